"""Datasets on the HuggingFace hub, or on whatever ``HF_ENDPOINT`` names. The token is found by ``huggingface_hub``."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from huggingface_hub import HfApi, constants, get_token, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import build_hf_headers, get_session
from tqdm import tqdm

from cexkit.config import environment, is_sendable
from cexkit.errors import (
    CexkitError,
    ConfigError,
    DatasetAccessError,
    DatasetError,
    DatasetNotFoundError,
    DatasetUnreachableError,
)
from cexkit.network import network_hint, require_usable_network
from cexkit.transfer import Bounds, OutOfBoundsError, bound_connections, within
from cexkit.warehouse.store.base import (
    Location,
    OnProgress,
    Statement,
    create_secret,
    missing,
    small_bounds,
    unreachable,
)

_SHA = re.compile(r"[0-9a-f]{40}")
_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def require_usable_hub() -> None:
    """Raise if a variable that the hub's client reads has a value that it cannot use.

    Raises
    ------
    ConfigError
        Naming the variable: a proxy, certificates, the hub's address, or the token.
    """
    require_usable_network(constants.ENDPOINT)
    if not re.match(r"https?://[^/\s]", constants.ENDPOINT):
        raise ConfigError(f"HF_ENDPOINT must be https://host, got {constants.ENDPOINT!r}; correct it or unset it")
    require_sendable_token()


def require_sendable_token() -> None:
    """Raise ConfigError if the token that the hub's client finds cannot be sent."""
    token = get_token()
    if token and not is_sendable(token):
        source = next((name for name in _TOKENS if environment().get(name)), f"the token in {constants.HF_TOKEN_PATH}")
        raise ConfigError(f"{source} must hold only printable ASCII characters; copy the token again")


class Hub(Location):
    """A dataset repository at a branch, a tag or a commit."""

    def __init__(self, repo: str, revision: str):
        self._repo, self._revision = repo, revision
        self.pinned = bool(_SHA.fullmatch(revision))
        self.address = f"hf://datasets/{repo}" + ("" if revision == "main" else f"@{revision}")

    @property
    def cache_key(self) -> str:
        return f"{constants.ENDPOINT}/datasets/{self._repo}@{self._revision}"

    @property
    def prefix(self) -> str:
        return f"{constants.ENDPOINT}/datasets/{self._repo}/resolve/{quote(self._revision, safe='')}/"

    def url(self, path: str) -> str:
        # DuckDB's own hf:// knows the public hub only
        return self.prefix + quote(path, safe="/=:")

    def pin(self) -> Hub:
        """The same dataset at the commit that its branch or tag names now."""
        return self if self.pinned else self.at(self._sha())

    def at(self, revision: str) -> Hub:
        return Hub(self._repo, revision)

    def revision_of(self, text: str) -> str:
        return self._revision

    def ping(self) -> None:
        self._sha()

    def _sha(self) -> str:
        with self._translate_errors(""):
            api = HfApi(endpoint=constants.ENDPOINT)
            return str(api.dataset_info(self._repo, revision=self._revision, expand=["sha"]).sha)

    def read(self, path: str) -> str:
        import tempfile

        with tempfile.TemporaryDirectory(prefix="cexkit-") as folder:
            place = self.download(path, Path(folder), lambda _: None, small_bounds())
            return place.read_text(encoding="utf-8", errors="replace")

    def download(self, path: str, folder: Path, on_progress: OnProgress, bounds: Bounds) -> Path:
        arrived, deadline = 0, time.monotonic() + bounds.seconds

        class ProgressBar(tqdm):
            """Passes on what the hub's client would draw, and ends a download that is too large or too slow.

            Downloads of Xet, which are not requests of httpx, have no other bound.
            """

            def __init__(self, *args, **kwargs):
                kwargs.pop("name", None)
                super().__init__(*args, **kwargs | {"disable": True})

            def update(self, n: float | None = 1) -> None:
                nonlocal arrived
                arrived += int(n or 0)
                if arrived > bounds.bytes:
                    raise bounds.too_large(hub.url(path))
                if time.monotonic() > deadline:
                    raise bounds.too_slow(hub.url(path))
                on_progress(int(n or 0))

        hub = self
        with self._translate_errors(path, bounds):
            place = hf_hub_download(
                self._repo,
                path,
                repo_type="dataset",
                revision=self._revision,
                local_dir=folder,
                endpoint=constants.ENDPOINT,
                tqdm_class=ProgressBar,
            )
        return Path(place)

    def statements(self, proxy: Mapping[str, str]) -> list[Statement]:
        """The token goes to the hub alone: DuckDB's other HTTP client would also send it where the hub redirects to."""
        require_sendable_token()
        token = build_hf_headers().get("authorization", "").removeprefix("Bearer ")
        made = super().statements(proxy)
        if not token:
            return made
        # DuckDB takes one secret per address, so the one with the token names the proxy too.
        options = {"bearer_token": token, "scope": f"{constants.ENDPOINT}/", **proxy}
        return [*made, ("SET httpfs_client_implementation = 'curl'", {}), create_secret("cexkit", "http", options)]

    @contextmanager
    def _translate_errors(self, path: str, bounds: Bounds | None = None) -> Iterator[None]:
        """Apply bounds to the requests of the hub's client, and raise its errors in the words of a dataset."""
        require_usable_hub()
        bound_connections(get_session())
        try:
            with within(self.url(path), bounds or small_bounds()):
                yield
        except OutOfBoundsError as error:
            raise DatasetError(str(error)) from error
        except OfflineModeIsEnabled as error:
            raise unreachable(self.address, error, "; HF_HUB_OFFLINE is set") from error
        except LocalEntryNotFoundError as error:
            raise unreachable(self.address, error, network_hint(constants.ENDPOINT, error)) from error
        except RevisionNotFoundError as error:
            raise DatasetNotFoundError(f"{self.address}: the dataset has no revision {self._revision!r}") from error
        except EntryNotFoundError as error:
            raise missing(self.address, path) from error
        except RepositoryNotFoundError as error:
            raise self._absent(error) from error
        except HfHubHTTPError as error:
            raise self._refused(error) from error
        except HTTPError as error:
            # of whichever httpx the hub's client is built on
            raise unreachable(self.address, error, network_hint(constants.ENDPOINT, error)) from error

    def _absent(self, error: HfHubHTTPError) -> CexkitError:
        advice = "check the name; a private dataset needs a token that may read it (HF_TOKEN or `hf auth login`)"
        if error.response is not None and error.response.status_code == 403:
            return DatasetAccessError(f"{self.address} is gated, and this token has no access; ask for it on its page")
        return DatasetNotFoundError(f"no dataset {self.address} for this token, or for none; {advice}")

    def _refused(self, error: HfHubHTTPError) -> CexkitError:
        status = error.response.status_code if error.response is not None else None
        if status in (401, 403):
            return DatasetAccessError(
                f"the hub refuses the token (HTTP {status}) for {self.address}; "
                "set HF_TOKEN to one that may read it, or `hf auth login`"
            )
        return DatasetUnreachableError(f"the hub answers HTTP {status} for {self.address}; try again later")
