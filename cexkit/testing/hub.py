"""A hub of datasets on this machine: what ``huggingface_hub`` and readers of the hub need, over real sockets.

Set ``HF_ENDPOINT`` to its ``url`` (or give clients ``endpoint=``) and ``HF_HUB_DISABLE_XET=1``: large files go the way
of git LFS here. As on the hub, their content comes from another host (``localhost`` beside ``127.0.0.1``), which
clients must not send their token to.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

from cexkit.testing._hub_http import HubHandler
from cexkit.testing._hub_repo import ATTRIBUTES, Blobs, Entry, Refused, Repo, git_sha1
from cexkit.testing._hub_routes import HubRequest, HubRoutes
from cexkit.testing.loopback import Fault, When

#: A token that may write, where a test says no other.
TOKEN = "hf_loopbackWrite"


@dataclass(slots=True)
class HubLogged:
    """A request, what it was answered, and the bytes of both bodies that crossed the socket."""

    request: HubRequest
    status: int = 0
    received: int = 0
    sent: int = 0
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Cut(Fault):
    """The connection ends when so many bytes of the request's body came in, or of the response's went out."""

    after: int = 0
    abrupt: bool = True


def on(route: str, *numbers: int) -> When:
    """The requests of a route: those of these numbers (from 1), or all.

    Examples
    --------
    >>> on("commit", 1)(HubRequest(number=9, path_number=1, at=0.0, path="/", params={}, route="commit"))
    False
    """
    return lambda request: request.route == route and (not numbers or request.route_number in numbers)


def cut(when: When, after: int, *, abrupt: bool = True) -> Cut:
    """A connection that breaks in the middle of a file: reset, or closed as if all had been said."""
    return Cut("cut", when, sent=None, after=after, abrupt=abrupt)


class LoopbackHub(HubRoutes):
    """A hub of datasets on 127.0.0.1.

    Parameters
    ----------
    tokens : mapping of str to str
        Tokens that are known, and whether each may ``write`` or only ``read``. Whoever has none reads what is public.
    faults : iterable of Fault
        What goes wrong, and when. A refusal (429, 5xx) happens in place of what was asked; a ``reset`` after it was
        done; see also :func:`cut`. The attribute can be set anew at any time.
    latency_seconds : float
        Seconds before each response.
    part_bytes : int
        Large files above this are uploaded in parts of this size.
    page_files : int
        Files on one page of a tree.

    Attributes
    ----------
    log : list of HubLogged
        All requests so far.
    repos : dict of str to Repo
        What it holds, by ``owner/name``.

    Examples
    --------
    >>> from huggingface_hub import HfApi
    >>> with LoopbackHub() as hub:
    ...     api = HfApi(endpoint=hub.url, token=TOKEN)
    ...     _ = api.create_repo("me/data", repo_type="dataset")
    ...     api.list_repo_files("me/data", repo_type="dataset")
    ['.gitattributes']
    """

    def __init__(
        self,
        *,
        tokens: Mapping[str, str] | None = None,
        faults: Iterable[Fault] = (),
        latency_seconds: float = 0.0,
        part_bytes: int = 8 << 20,
        page_files: int = 1000,
    ):
        self.tokens = dict(tokens or {TOKEN: "write"})
        self.faults = tuple(faults)
        self.latency_seconds, self.part_bytes, self.page_files = latency_seconds, part_bytes, page_files
        self.log: list[HubLogged] = []
        self.repos: dict[str, Repo] = {}
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._routes: Counter[str] = Counter()
        self._paths: Counter[str] = Counter()
        self._parts: dict[tuple[str, int], Path] = {}
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def content_url(self) -> str:
        """Where large files come from and go to: another host by name."""
        return f"http://localhost:{self._port}"

    @property
    def _port(self) -> int:
        if self._server is None:
            raise RuntimeError("the loopback hub is not started")
        return self._server.server_address[1]

    def start(self) -> None:
        """Listen on a free port."""
        self.stopping.clear()
        self._folder = tempfile.TemporaryDirectory(prefix="loopback-hub-")
        self.blobs = Blobs(Path(self._folder.name))
        self._server = _Server(("127.0.0.1", 0), HubHandler, self)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening and forget everything."""
        if self._server is not None:
            self.stopping.set()
            self._server.shutdown()
            self._server.server_close()
            self._server = None
            self._folder.cleanup()

    def __enter__(self) -> LoopbackHub:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def create(self, repo: str, *, private: bool = False) -> Repo:
        """A new repository with its first commit, as the hub makes it."""
        with self._lock:
            if repo in self.repos:
                raise Refused(409, "RepoExists", "You already created this dataset repo")
            found = self.repos[repo] = Repo(repo, private)
        content = ATTRIBUTES.encode()
        self.blobs.add_bytes(git_sha1(content), content)
        found.put("main", {".gitattributes": Entry(git_sha1(content), len(content))}, "initial commit")
        return found

    def requests(self, route: str) -> list[HubLogged]:
        """What was asked of one route."""
        return [logged for logged in self.log if logged.request.route == route]

    def received(self, *routes: str) -> int:
        """Bytes of bodies that came in, of these routes or of all."""
        return sum(logged.received for logged in self.log if not routes or logged.request.route in routes)

    def begin(self, method: str, path: str, query: str, headers: dict[str, str]) -> tuple[HubLogged, Fault | None]:
        """Log a request and say what is to go wrong with it."""
        route = self.route_of(method, path)
        params = {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}
        with self._lock:
            self._paths[path] += 1
            self._routes[route] += 1
            numbers = len(self.log) + 1, self._paths[path], time.monotonic()
            request = HubRequest(*numbers, path, params, headers, method, route, self._routes[route])
            logged = HubLogged(request)
            self.log.append(logged)
            fault = next((fault for fault in self.faults if fault.when(request)), None)
            logged.fault = fault.name if fault else None
        return logged, fault


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[HubHandler], hub: LoopbackHub):
        super().__init__(address, handler)
        self.hub = hub

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are part of the game; anything else is shown as usual."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)
