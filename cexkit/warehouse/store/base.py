"""What every place of a dataset can do, and what is said of one that lacks a file or does not respond."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from cexkit.errors import DatasetError, DatasetNotFoundError, DatasetUnreachableError
from cexkit.warehouse.store.layout import MANIFEST

#: Told of bytes as they come in.
OnProgress = Callable[[int], object]
#: A statement for DuckDB and its bound values.
Statement = tuple[str, dict[str, object]]


class Location:
    """A place that holds a dataset. Subclasses say how its files are asked for.

    Attributes
    ----------
    address : str
        The place as it is shown; never with a secret in it.
    remote : bool
        Whether files come over a network.
    pinned : bool
        Whether the place can only ever hold one state of the dataset (a commit).
    direct : bool
        Whether DuckDB can read from it without the cache.
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
        """What the addresses of all its files begin with."""
        raise NotImplementedError

    def pin(self) -> Location:
        """The same place at the state it has now."""
        return self

    def at(self, revision: str) -> Location:
        """The same place at a state that was found before."""
        return self

    def revision_of(self, text: str) -> str:
        """What names the state of the dataset: for most places the hash of the manifest's content."""
        import hashlib

        return hashlib.sha256(text.encode()).hexdigest()

    def read(self, path: str) -> str:
        """Text of a small file, as the manifest is."""
        raise NotImplementedError

    def download(self, path: str, folder: Path, on_progress: OnProgress) -> Path:
        """Bring a file into a folder."""
        raise NotImplementedError

    def url(self, path: str) -> str:
        """The address of a file for DuckDB."""
        return self.prefix + path

    def statements(self) -> list[Statement]:
        """What DuckDB must be told before it can read from here."""
        return []

    def ping(self) -> None:
        """Ask for something small."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address!r})"


def missing(address: str, path: str) -> DatasetError:
    """What to say of a file that is not there."""
    if path == MANIFEST:
        return DatasetNotFoundError(f"no dataset at {address} (no {path} there); check the address")
    return DatasetError(
        f"{address} no longer has {path}: the dataset was published anew since this connection was made. "
        "market.refresh() moves on to what is there now"
    )


def unreachable(address: str, error: object) -> DatasetUnreachableError:
    """What to say where nothing answers."""
    return DatasetUnreachableError(
        f"{address} cannot be reached ({type(error).__name__}). Without a network, connect(…, offline=True) reads what "
        "is in the cache, and connect('sample') the embedded sample"
    )
