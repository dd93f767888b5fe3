"""Base class of dataset locations, and the errors for a missing file and an unreachable location."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

from cexkit.config import settings
from cexkit.errors import DatasetError, DatasetNotFoundError, DatasetUnreachableError
from cexkit.transfer import Bounds
from cexkit.warehouse.store.layout import MANIFEST

#: Called with the number of bytes as they arrive.
OnProgress = Callable[[int], object]
#: A statement for DuckDB and its bound values.
Statement = tuple[str, dict[str, object]]


class Location:
    """The location of a dataset. Subclasses implement how its files are read.

    Attributes
    ----------
    address : str
        The location as displayed; never contains a secret.
    remote : bool
        True if files are read over a network.
    pinned : bool
        True if the location can hold only one state of the dataset (a commit).
    direct : bool
        True if DuckDB can read from it without the cache.
    """

    address: str
    remote: ClassVar[bool] = True
    pinned: bool = False
    direct: bool = True

    @property
    def cache_key(self) -> str:
        """The key under which a cache stores the revision."""
        return self.address

    @property
    def prefix(self) -> str:
        """The common prefix of the addresses of all its files."""
        raise NotImplementedError

    @property
    def origin(self) -> str:
        """An address that its requests go to, by which proxies are chosen."""
        return self.prefix

    def pin(self) -> Location:
        """Return this location pinned to its current state."""
        return self

    def at(self, revision: str) -> Location:
        """Return this location at a revision found earlier."""
        return self

    def revision_of(self, text: str) -> str:
        """Return the revision of the dataset: for most locations, the hash of the manifest's content."""
        import hashlib

        return hashlib.sha256(text.encode()).hexdigest()

    def read(self, path: str) -> str:
        """Return the text of a small file, such as the manifest."""
        raise NotImplementedError

    def download(self, path: str, folder: Path, on_progress: OnProgress, bounds: Bounds) -> Path:
        """Download a file to a folder; raise DatasetError if it exceeds the bounds."""
        raise NotImplementedError

    def url(self, path: str) -> str:
        """Return the address of a file for DuckDB."""
        return self.prefix + path

    def statements(self, proxy: Mapping[str, str]) -> list[Statement]:
        """Return the statements that DuckDB must run before it can read from this location.

        ``proxy`` holds options of DuckDB's HTTP secrets; it is empty if no proxy applies.
        """
        return [create_secret("cexkit_proxy", "http", proxy)] if proxy else []

    def ping(self) -> None:
        """Send a small request."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address!r})"


def small_bounds() -> Bounds:
    """Return the bounds of a file whose size nothing states, such as the manifest."""
    found = settings()
    return Bounds(found.max_response_bytes, found.max_request_seconds)


def promised_bounds(size: int) -> Bounds:
    """Return the bounds of a file whose size in bytes the manifest states."""
    found = settings()
    return Bounds(size, found.max_request_seconds + size / found.min_bytes_per_second, "its size in the manifest")


def create_secret(name: str, kind: str, options: Mapping[str, object]) -> Statement:
    """Return the statement that creates a secret; SQL of users cannot read the passwords and tokens in it."""
    return f"CREATE SECRET {name} (TYPE {kind}, {', '.join(f'{each} ${each}' for each in options)})", dict(options)


def missing(address: str, path: str) -> DatasetError:
    """Return the error for a missing file."""
    if path == MANIFEST:
        return DatasetNotFoundError(f"no dataset at {address} (no {path} there); check the address")
    return DatasetError(
        f"{address} no longer contains {path}: the dataset was republished after you connected; "
        "call market.refresh() to use the latest revision"
    )


def unreachable(address: str, error: object, hint: str = "") -> DatasetUnreachableError:
    """Return the error for a location that does not respond; ``hint`` names the variables that the request used."""
    return DatasetUnreachableError(
        f"{address} cannot be reached ({type(error).__name__}){hint}; use connect(…, offline=True) to read the cache, "
        "or connect('sample') to read the embedded sample"
    )
