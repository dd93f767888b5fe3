"""A dataset at one state: its manifest, and for each file the address that DuckDB opens."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cexkit.errors import DatasetNotFoundError, DatasetUnreachableError, InvalidInputError
from cexkit.warehouse.store.base import Location, OnProgress, promised_bounds
from cexkit.warehouse.store.layout import MANIFEST
from cexkit.warehouse.store.manifest import DataFile, Manifest

if TYPE_CHECKING:
    from cexkit.warehouse.store.cache import FileCache, PinnedRevision

Mode = Literal["auto", "cache", "direct"]
MODES: tuple[str, ...] = ("auto", "cache", "direct")

#: What says which instruments there are is asked for by every question: it goes through the cache in every mode.
NAMES = "instruments"
_DOWNLOADS = 8


class Snapshot:
    """A dataset at one state. Several connections and processes may hold the same.

    Parameters
    ----------
    location : Location
        The place, pinned where it can be.
    manifest : Manifest
        What it held when it was opened.
    revision : str
        Name of that state.
    cache : FileCache, optional
        Where remote files go.
    mode : {"auto", "cache", "direct"}
        How remote files are read; ``auto`` reads tables above ``big_bytes`` directly.
    offline : bool
        Read nothing but the cache.
    big_bytes : int
        What counts as a big table.
    """

    def __init__(
        self,
        location: Location,
        manifest: Manifest,
        revision: str,
        cache: FileCache | None = None,
        *,
        mode: str = "auto",
        offline: bool = False,
        big_bytes: int = 0,
    ):
        self.location, self.manifest, self.revision, self.cache = location, manifest, revision, cache
        self.mode, self.offline, self.big_bytes = mode, offline, big_bytes
        self._lease = cache.lease() if cache else None
        if self._lease:
            weakref.finalize(self, self._lease.release)

    def bytes(self, table: str) -> int:
        """Size of a table's files."""
        return sum(file.bytes for file in self.manifest.select(table))

    def big(self, table: str) -> bool:
        """Whether a table is too big to be read whole over a network unasked."""
        return self.location.remote and self.bytes(table) > self.big_bytes

    def direct(self, table: str) -> bool:
        """Whether DuckDB reads a table's files where they are, not from the cache."""
        if not self.location.remote:
            return True
        if self.offline or table == NAMES or self.mode == "cache" or not self.location.direct:
            return False
        return self.mode == "direct" or self.big(table)

    @property
    def over_network(self) -> bool:
        """Whether DuckDB itself reads over the network."""
        return self.location.remote and any(self.direct(file.table) for file in self.manifest.files)

    @property
    def roots(self) -> list[str]:
        """All that DuckDB may open."""
        cached = [f"{self.cache.files}/"] if self.cache else []
        return [self.location.prefix, self.location.url(""), *cached]

    def paths(self, files: Sequence[DataFile]) -> list[str]:
        """Addresses of files, brought into the cache first where they are read from there.

        Raises
        ------
        DatasetUnreachableError
            If one is not in the cache and cannot be asked for.
        """
        if not files or self.direct(files[0].table):
            return [self.location.url(file.path) for file in files]
        found = self._cached(files)
        return [str(found[file]) for file in files]

    def _cached(self, files: Sequence[DataFile]) -> dict[DataFile, Path]:
        self._lease.add(file.sha256 for file in files)
        found = {file: self.cache.find(file) for file in files}
        lacking = [file for file, path in found.items() if path is None]
        if lacking:
            self._refuse_offline(lacking)
            found |= self._download(lacking)
        return found

    def warm(self, files: Sequence[DataFile]) -> int:
        """Bring files into the cache, whatever the mode; how many are there."""
        if self.cache is None:
            return 0
        return len(self._cached(files))

    def _refuse_offline(self, files: Sequence[DataFile]) -> None:
        if self.offline:
            named = ", ".join(file.path for file in files[:3]) + (f" and {len(files) - 3} more" if files[3:] else "")
            raise DatasetUnreachableError(
                f"offline, and not in the cache at {self.cache.root}: {named}. "
                f"With a network, `cexkit cache warm {files[0].table} --data {self.location.address}` brings it there"
            )

    def _download(self, files: Sequence[DataFile]) -> dict[DataFile, Path]:
        with _progress(files) as on_progress, ThreadPoolExecutor(_DOWNLOADS) as pool:

            def bring(file: DataFile) -> Path:
                bounds = promised_bounds(file.bytes)
                return self.cache.fetch(
                    file, lambda folder: self.location.download(file.path, folder, on_progress, bounds)
                )

            return dict(zip(files, pool.map(bring, files), strict=True))


@contextmanager
def _progress(files: Sequence[DataFile]) -> Iterator[OnProgress]:
    """A bar for downloads that take more than a moment, where somebody looks."""
    from tqdm.auto import tqdm

    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    size = sum(file.bytes for file in files)
    options = {"unit": "B", "unit_scale": True, "delay": 1, "leave": False, "disable": not watched}
    with tqdm(total=size, desc=f"{files[0].table}, {len(files)} files", **options) as bar:
        yield bar.update


def open_snapshot(
    location: Location,
    cache: FileCache | None,
    *,
    revision: str | None = None,
    mode: str = "auto",
    offline: bool = False,
    big_bytes: int = 0,
) -> Snapshot:
    """Open a dataset at the state it has now, or offline at the one it had when it was last opened.

    With ``revision``, open it at that one.

    Raises
    ------
    DatasetNotFoundError
        If there is no dataset, or it has another revision than the one that is wanted.
    DatasetAccessError, DatasetUnreachableError, NewerSchemaError, DatasetError
        If it cannot be opened; the message says why and what to do.
    """
    if mode not in MODES:
        raise InvalidInputError(f"mode is one of {', '.join(MODES)}, not {mode!r}")
    if offline and mode == "direct":
        raise InvalidInputError("mode='direct' asks the network at every query; offline=True goes with the cache")
    source = f"{location.address}/{MANIFEST}"
    if not location.remote:
        text = location.read(MANIFEST)
        _require_revision(location, location.revision_of(text), revision)
        return Snapshot(location, Manifest.from_json(text, source), location.revision_of(text))
    location = location if revision is None else location.at(revision)
    known = _recall(location, cache) if offline else _ask(location, cache)
    _require_revision(location, known.revision, revision)
    manifest = Manifest.from_json(known.text, source)
    if not offline:
        for key in {location.cache_key, location.at(known.revision).cache_key}:
            cache.remember(key, known)
    options = {"mode": mode, "offline": offline, "big_bytes": big_bytes}
    return Snapshot(location.at(known.revision), manifest, known.revision, cache, **options)


def _require_revision(location: Location, found: str, wanted: str | None) -> None:
    if wanted is not None and found != wanted:
        raise DatasetNotFoundError(
            f"{location.address}: the dataset no longer has revision {wanted[:12]!r}, it is at {found[:12]!r}; "
            "connect to it again to read that"
        )


def _ask(location: Location, cache: FileCache) -> PinnedRevision:
    from cexkit.warehouse.store.cache import PinnedRevision

    pinned = location.pin()
    known = cache.recall(pinned.cache_key) if pinned.pinned else None
    if known is not None:
        return known
    text = pinned.read(MANIFEST)
    return PinnedRevision(location.address, pinned.revision_of(text), text)


def _recall(location: Location, cache: FileCache) -> PinnedRevision:
    known = cache.recall(location.cache_key)
    if known is None:
        raise DatasetUnreachableError(
            f"offline, and {location.address} was never opened with the cache at {cache.root}. Connect once with a "
            "network, or to the embedded sample: connect('sample')"
        )
    return known
