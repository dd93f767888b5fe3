"""A real local HTTP server that responds like a venue, and fails on command.

Sockets, threads, timeouts, and truncated bodies are real; only the venue is simulated.
"""

from __future__ import annotations

import json
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from cexkit.schema.intervals import TimeLike, Window, utc


@dataclass(frozen=True, slots=True)
class Request:
    """A received request.

    ``number`` counts all requests from 1, and ``path_number`` counts requests of the same path. ``at`` is
    the server's clock in seconds. Names in ``headers`` are in lower case.
    """

    number: int
    path_number: int
    at: float
    path: str
    params: dict[str, str]
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply to a request. ``weight`` is the request weight that the venue charged."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Logged:
    """A request with its response status, weight, and fault."""

    request: Request
    status: int
    weight: float
    fault: str | None


When = Callable[[Request], bool]


def nth(*numbers: int, path: str | None = None) -> When:
    """Match the requests with these numbers (from 1), counted per path if ``path`` is given.

    Examples
    --------
    >>> nth(2, path="/a")(Request(number=5, path_number=2, at=0.0, path="/a", params={}))
    True
    """
    return lambda request: (
        request.number in numbers if path is None else request.path == path and request.path_number in numbers
    )


def every(n: int, *, path: str | None = None) -> When:
    """Match every ``n``-th request, counted per path if ``path`` is given."""
    return lambda request: (
        request.number % n == 0 if path is None else request.path == path and request.path_number % n == 0
    )


def chance(probability: float, seed: int = 0, *, path: str | None = None) -> When:
    """Match each request with this probability; the same seed matches the same request numbers."""
    return lambda request: (
        path in (None, request.path) and random.Random(f"{seed}:{request.number}").random() < probability
    )


def during(window: Window, now: Callable[[], datetime]) -> When:
    """Match the requests that are received in a span of time, by any clock.

    Examples
    --------
    >>> request = Request(number=1, path_number=1, at=0.0, path="/a", params={})
    >>> during(Window.of("2024-01-01", "2024-01-02"), lambda: utc("2024-01-01T12:00"))(request)
    True
    """
    return lambda request: window.start <= now() < window.end


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure and its condition. If several faults of a server match a request, the first one applies.

    Made by :func:`too_many_requests`, :func:`banned`, :func:`server_error`, :func:`garbled`,
    :func:`truncated`, :func:`stalled`, :func:`reset`, :func:`web_page`, :func:`error_in_body`,
    :func:`emptied`, :func:`doubled`, :func:`disordered`, :func:`rewritten` and :func:`misdated`.
    """

    name: str
    when: When
    #: Changes the correct reply into the faulty one.
    change: Callable[[Reply], Reply] = lambda reply: reply
    #: Seconds to wait before sending.
    stall_seconds: float = 0.0
    #: Fraction of the body to send; its full length is announced. None resets the connection instead.
    sent: float | None = 1.0
    #: How far the ``Date`` header is ahead of the venue's clock.
    ahead: timedelta = timedelta(0)


def _instead(status: int, body: bytes, retry_after: float | None = None) -> Callable[[Reply], Reply]:
    told = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    return lambda reply: replace(reply, status=status, body=body, headers=reply.headers | told)


def too_many_requests(when: When, retry_after: float | None = 1) -> Fault:
    """Respond 429, with ``Retry-After`` in seconds if given."""
    return Fault("429", when, _instead(429, b'{"code":-1003,"msg":"Too many requests."}', retry_after))


def banned(when: When, retry_after: float | None = 120) -> Fault:
    """Respond 418: the address is banned."""
    return Fault("418", when, _instead(418, b'{"code":-1003,"msg":"Way too many requests; IP banned."}', retry_after))


def server_error(when: When, status: int = 503, retry_after: float | None = None) -> Fault:
    """Respond with a 5xx status and an HTML page instead of JSON."""
    return Fault(str(status), when, _instead(status, b"<html>Service Unavailable</html>", retry_after))


def garbled(when: When) -> Fault:
    """Respond with status 200 and the announced length, but JSON that breaks off in the middle."""
    return Fault("garbled", when, lambda reply: replace(reply, body=reply.body[: len(reply.body) // 2] + b"<<"))


def truncated(when: When, sent: float = 0.5) -> Fault:
    """End the connection before the announced length."""
    return Fault("truncated", when, sent=sent)


def stalled(when: When, seconds: float) -> Fault:
    """Wait before responding; exceed the client's timeout to provoke one."""
    return Fault("stalled", when, stall_seconds=seconds)


def reset(when: When) -> Fault:
    """Reset the connection instead of responding."""
    return Fault("reset", when, sent=None)


def web_page(when: When) -> Fault:
    """Respond with status 200 and an HTML page instead of JSON, as gateways do."""
    return Fault("html", when, _instead(200, b"<html><body>We will be right back.</body></html>"))


def error_in_body(when: When, body: bytes) -> Fault:
    """Respond with status 200 and an error of the venue in the body."""
    return Fault("error in 200", when, _instead(200, body))


def emptied(when: When) -> Fault:
    """Respond with a page without its rows."""
    return Fault("emptied", when, _with_rows(lambda rows: []))


def doubled(when: When) -> Fault:
    """Respond with a page that has each row twice."""
    return Fault("doubled", when, _with_rows(lambda rows: rows + rows))


def disordered(when: When) -> Fault:
    """Respond with a page whose rows are in another order."""
    return Fault("disordered", when, _with_rows(lambda rows: rows[1::2] + rows[::2]))


def rewritten(when: When, change: Callable[[list], list]) -> Fault:
    """Respond with a page whose rows a function changes, such as by a new column."""
    return Fault("rewritten", when, _with_rows(change))


def misdated(when: When, ahead: timedelta) -> Fault:
    """Respond with a ``Date`` header ahead of the venue's clock (behind it, if negative)."""
    return Fault("misdated", when, ahead=ahead)


def _with_rows(change: Callable[[list], list]) -> Callable[[Reply], Reply]:
    """Return a change of a page's rows, which are the outermost list of its body; other bodies stay as they are."""

    def of(value: object) -> object:
        if isinstance(value, list):
            return change(value)
        if isinstance(value, dict):
            return {name: of(inner) for name, inner in value.items()}
        return value

    def changed(reply: Reply) -> Reply:
        try:
            body = json.loads(reply.body)
        except ValueError:
            return reply
        return replace(reply, body=json.dumps(of(body), separators=(",", ":")).encode())

    return changed


class Loopback:
    """A venue on 127.0.0.1. Subclasses define its responses; see :meth:`respond`.

    Parameters
    ----------
    now : str, date, datetime or callable
        The venue's clock, or a function that returns it. It sets the ``Date`` header.
    faults : iterable of Fault
        Failures and their conditions.
    clock : callable
        Returns seconds, for rate limits and the log.
    latency_seconds : float or tuple of two floats
        Time from the arrival of a request to its response, or the bounds of a random one.

    Attributes
    ----------
    log : list of Logged
        All requests so far.

    Examples
    --------
    >>> class Hello(Loopback):
    ...     def respond(self, request):
    ...         return Reply(body=b'"hello"')
    >>> import httpx
    >>> with Hello(now="2024-01-01", faults=[server_error(nth(1))]) as venue:
    ...     [httpx.get(venue.url + "/x", trust_env=False).status_code for _ in range(2)]
    [503, 200]
    """

    def __init__(
        self,
        *,
        now: TimeLike | Callable[[], datetime],
        faults: Iterable[Fault] = (),
        clock: Callable[[], float] = time.monotonic,
        latency_seconds: float | tuple[float, float] = 0.0,
    ):
        self.now = now
        self.faults = tuple(faults)
        self.log: list[Logged] = []
        self.latency_seconds = latency_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._server: ThreadingHTTPServer | None = None
        self._stopping = threading.Event()

    @property
    def now(self) -> datetime:
        """The venue's clock; set it to advance the time."""
        return utc(self._now())

    @now.setter
    def now(self, value: TimeLike | Callable[[], datetime]) -> None:
        moment = None if callable(value) else utc(value)
        self._now = value if moment is None else lambda: moment

    @property
    def url(self) -> str:
        """Base URL of the server."""
        if self._server is None:
            raise RuntimeError("the loopback venue is not started")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def respond(self, request: Request) -> Reply:
        """Return the reply to a request without a fault. Called by one thread at a time."""
        raise NotImplementedError

    def start(self) -> None:
        """Listen on a free port."""
        self._stopping.clear()
        self._server = _Server(("127.0.0.1", 0), _Handler, self)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening, and abandon stalled responses."""
        if self._server is not None:
            self._stopping.set()
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _serve(self, path: str, params: dict[str, str], headers: dict[str, str]) -> tuple[Reply, Fault | None]:
        with self._lock:
            self._counts[path] += 1
            request = Request(len(self.log) + 1, self._counts[path], self._clock(), path, params, headers)
            reply = self.respond(request)
            fault = next((fault for fault in self.faults if fault.when(request)), None)
            if fault is not None:
                reply = fault.change(reply)
            moment = self.now + (fault.ahead if fault else timedelta(0))
            date = {"Date": format_datetime(moment, usegmt=True), "Content-Type": "application/json"}
            reply = replace(reply, headers=date | reply.headers)
            self.log.append(Logged(request, reply.status, reply.weight, fault.name if fault else None))
        if seconds := self._delay() + (fault.stall_seconds if fault else 0.0):
            self._stopping.wait(seconds)
        return reply, fault

    def _delay(self) -> float:
        bounds = self.latency_seconds
        return random.uniform(*bounds) if isinstance(bounds, tuple) else bounds


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], venue: Loopback):
        super().__init__(address, handler)
        self.venue = venue

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that disconnect; report any other error as usual."""
        import sys

        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        params = dict(parse_qsl(parts.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply, fault = self.server.venue._serve(parts.path, params, headers)
        sent = 1.0 if fault is None else fault.sent
        if sent is None:
            # A linger time of 0 s makes close() send RST.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        headers = reply.headers | {"Content-Length": str(len(reply.body))}
        lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}", *map(": ".join, headers.items()), "", ""]
        # Write header and body in one call, because separate writes would wait for the client's delayed ACK.
        self.wfile.write("\r\n".join(lines).encode("latin-1") + reply.body[: int(len(reply.body) * sent)])
        self.close_connection = self.close_connection or sent < 1

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing here; see ``Loopback.log``."""
