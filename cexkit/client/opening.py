"""What a market was opened with, so that it can be opened again: location and options, never credentials."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cexkit.warehouse.store.locations import SAMPLE, SAMPLE_ROOT, Folder, folder_of, locate
from cexkit.warehouse.store.reader import Reader
from cexkit.warehouse.store.snapshot import Mode, Snapshot, open_snapshot

if TYPE_CHECKING:
    from cexkit.warehouse.store.cache import FileCache

#: DuckDB's community extension that caches blocks, and what ``cache=`` calls it by.
CACHE_HTTPFS = "cache_httpfs"


@dataclass(frozen=True, slots=True)
class Opening:
    """Arguments of :func:`~cexkit.client.market.connect`; ``source`` is the location that they name."""

    source: str
    mode: Mode = "auto"
    cache: str | None = None
    offline: bool = False

    @classmethod
    def of(
        cls, source: str | Path | None, mode: Mode = "auto", cache: str | Path | None = None, offline: bool = False
    ) -> Opening:
        """Return the opening of a location; folders become absolute, because another process may work elsewhere."""
        location = locate(source)
        place = location.address
        if isinstance(location, Folder):
            place = SAMPLE if location.root == SAMPLE_ROOT else str(location.root.absolute())
        folder = cache if cache in (None, CACHE_HTTPFS) else str(folder_of(cache).absolute())
        return cls(place, mode, folder, offline)

    @property
    def extension(self) -> str | None:
        """DuckDB's extension that caches what is read in place, if any."""
        return CACHE_HTTPFS if self.cache == CACHE_HTTPFS else None

    def open(self, revision: str | None = None) -> Snapshot:
        """Open the dataset at the state it has now, or at a revision.

        Raises
        ------
        DatasetNotFoundError
            If the revision no longer exists.
        """
        from cexkit.config import settings

        found, location = settings(), locate(self.source)
        return open_snapshot(
            location,
            self._files() if location.remote else None,
            revision=revision,
            mode=self.mode,
            offline=self.offline,
            big_bytes=found.big_table_bytes,
        )

    def _files(self) -> FileCache:
        from cexkit.config import settings
        from cexkit.warehouse.store.cache import FileCache

        found = settings()
        folder = found.cache_dir if self.cache is None or self.extension else Path(self.cache)
        return FileCache(folder_of(folder), found.cache_max_bytes)

    def reader(self, revision: str | None = None) -> Reader:
        """Return a reader of the state that :meth:`open` opens."""
        return Reader(self.open(revision), self.extension)
