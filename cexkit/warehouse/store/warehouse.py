"""A writable local dataset: Silver and Gold tables, Bronze responses, quarantined rows."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cexkit.errors import DatasetError, DatasetNotFoundError, InvalidInputError
from cexkit.schema import Table
from cexkit.schema.intervals import Window
from cexkit.schema.render import conform, to_pyarrow
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.damage import sha256
from cexkit.warehouse.store.file_writer import FileWriter
from cexkit.warehouse.store.instrument_range import ALL_INSTRUMENTS, InstrumentRange
from cexkit.warehouse.store.keys import (
    Digests,
    file_digests,
    has_keys,
    key_digests,
    keys_path,
    read_digests,
    write_digests,
)
from cexkit.warehouse.store.manifest import DataFile, Extent, Manifest, read_manifest
from cexkit.warehouse.store.parquet import (
    locked,
    merge,
    move_named,
    read_table,
    reading,
    sweep_temporaries,
    write_atomic,
    write_named,
    write_table,
    write_verified,
    writing,
)
from cexkit.warehouse.store.rows import by_file, judged, require_unique, within


class Warehouse:
    """A folder that holds a dataset and the responses it is derived from.

    Parameters
    ----------
    root : str or Path
        The folder; created by the first write.

    Examples
    --------
    >>> import tempfile
    >>> from cexkit.schema import TABLES
    >>> from cexkit.schema.render import empty
    >>> warehouse = Warehouse(tempfile.mkdtemp())
    >>> warehouse.write(TABLES["instruments"], empty(TABLES["instruments"]))
    ()
    """

    def __init__(self, root: str | Path):
        self.root = Path(root)

    def __repr__(self) -> str:
        return f"Warehouse({str(self.root)!r})"

    @property
    def manifest(self) -> Manifest:
        """The current manifest; empty before the first write."""
        try:
            return read_manifest(self.root / layout.MANIFEST)
        except DatasetNotFoundError:
            return Manifest()

    def write(self, table: Table, rows: pa.Table) -> tuple[DataFile, ...]:
        """Replace the content of the files that the rows belong to.

        Pass all rows of each venue and period they touch, because files are replaced, not appended to.
        Writing the same rows again changes nothing.

        Parameters
        ----------
        table : Table
            Declaration that the rows are converted to.
        rows : pyarrow.Table
            Rows in any order.

        Returns
        -------
        tuple of DataFile
            The files that now hold them.

        Raises
        ------
        SchemaError
            If the rows do not conform.
        DuplicateKeyError
            If two rows have the same key.
        DatasetError
            If the folder cannot be written.
        """
        rows = conform(rows, table)
        files = tuple(
            self._write_file(table, exchange, period, part) for (exchange, period), part in by_file(rows, table).items()
        )
        self._commit(files)
        return files

    def replace(
        self, table: Table, exchange: str | None, periods: Sequence[str], rows: pa.Table | Iterable[pa.Table]
    ) -> tuple[DataFile, ...]:
        """Replace all rows of a venue in some file periods; readers see the change as one.

        A period without rows is removed from the dataset. Files of other periods are replaced if the given periods
        cover them together: a month replaces its pieces, see :mod:`cexkit.warehouse.store.layout`.

        Parameters
        ----------
        table : Table
            Declaration that the rows are converted to.
        exchange : str or None
            Venue; None for tables over venues.
        periods : sequence of str
            File periods, such as ``"2024"``, ``"2024-05"``, ``"2024-05-08..14"``, ``"2024-05-08..12-31"``.
        rows : pyarrow.Table or iterable of pyarrow.Table
            Rows in any order. An iterable gives batches of them, each of instruments that follow those of earlier
            batches. One batch at a time is in memory, and the files are the same however the rows are split.

        Returns
        -------
        tuple of DataFile
            The files that now hold them.

        Raises
        ------
        InvalidInputError
            If a row is in none or in two of the periods, they cover only a part of an existing file's period, or an
            instrument does not follow those of earlier batches.
        SchemaError, DuplicateKeyError, DatasetError
            See :meth:`write`.
        """
        with ExitStack() as stack:
            writers = {period: stack.enter_context(FileWriter(table, self.root / layout.TABLES)) for period in periods}
            for batch in [rows] if isinstance(rows, pa.Table) else rows:
                _add(batch, table, writers)
                del batch  # the next one is made before this name refers to it
            files = tuple(
                self._place(table, exchange, period, writer) for period, writer in writers.items() if writer.rows
            )
        gone = [_blank(table, exchange, period) for period, writer in writers.items() if not writer.rows]
        self._commit([*files, *gone])
        return files

    def adopt(self, other: Warehouse, table: Table, exchange: str) -> None:
        """Replace all files of a venue's table with those of another warehouse; readers see the change as one."""
        files = other.manifest.select(table.name, exchanges=[exchange])
        for file in files:
            keys = layout.keys_file(table.name, exchange, file.sha256).as_posix()
            for path, folder in ((keys, layout.KEYS), (file.path, layout.TABLES)):
                if (source := other.root / path).exists():
                    write_atomic(self.root / path, partial(shutil.copyfile, source), via=self.root / folder)

        def change(manifest: Manifest) -> Manifest:
            others = tuple(file for file in manifest.files if (file.table, file.exchange) != (table.name, exchange))
            return replace(manifest, files=others).with_files(files)

        self._change(change)

    def remove(self, table: Table, exchange: str | None, period: str) -> None:
        """Remove a file period, including its rows, from the dataset."""
        self.replace(table, exchange, [period], to_pyarrow(table).empty_table())

    def combine(self, table: Table, exchange: str | None, period: str, parts: Sequence[DataFile]) -> DataFile:
        """Merge the pieces of a month or week into one file with exactly the same rows; readers see the change as one.

        Raises
        ------
        DatasetError
            If the file, read again, does not hold exactly the rows of the pieces; the pieces then stay.
        """
        paths = [self.root / part.path for part in sorted(parts, key=lambda part: part.period)]
        whole = Extent.of(parts)
        file = self._put(
            table,
            exchange,
            period,
            lambda temporary: merge(paths, table, temporary),
            lambda: file_digests(paths, table),
            rows=whole.rows,
            start=whole.start,
            end=whole.end,
        )
        self._commit([file])
        return file

    def rearrange(
        self, table: Table, exchange: str | None, periods: Sequence[str], parts: Sequence[DataFile]
    ) -> tuple[DataFile, ...]:
        """Move all rows of some files into files of other periods; readers see the change as one.

        Each new file is read again and compared with the old rows of its period. One new file at a time is in memory.

        Raises
        ------
        DatasetError
            If a new file does not hold exactly the old rows of its period, or a row is in none of the periods; the old
            files then stay.
        """
        files = []
        for period in periods:
            span = layout.period_window(table, period)
            old = (read_table(self.root / part.path, table) for part in parts if part.overlaps(span.start, span.end))
            rows = pa.concat_tables([to_pyarrow(table).empty_table(), *(within(each, table, span) for each in old)])
            if rows.num_rows:
                files.append(self._write_file(table, exchange, period, rows, write_verified))
            else:
                files.append(_blank(table, exchange, period))
        moved, present = sum(file.rows for file in files), sum(part.rows for part in parts)
        if moved != present:
            raise DatasetError(
                f"{table.name} of {exchange}: {present} rows are {moved} rows in {', '.join(periods)}; "
                "the files stay as they are"
            )
        self._commit(files)
        return tuple(file for file in files if file.rows)

    def write_quarantine(self, table: Table, exchange: str | None, period: str, rows: pa.Table) -> Path | None:
        """Replace the quarantined rows of a file period; each has a ``reason``."""
        path = self.root / layout.quarantine_file(table, exchange, period)
        before, rows = self.quarantine(table, exchange, period), judged(rows, table)
        others = within(before, table, layout.period_window(table, period), other=True)
        after = pa.concat_tables([others, rows]).sort_by([(name, "ascending") for name in (*table.key, "reason")])
        if after.num_rows == 0:
            with writing(path.parent):
                path.unlink(missing_ok=True)
            return None
        if after.equals(before):
            return path
        return write_atomic(
            path,
            lambda temporary: pq.write_table(after, temporary, compression="zstd"),
            via=self.root / layout.QUARANTINE,
        )

    def quarantine(self, table: Table, exchange: str | None, period: str) -> pa.Table:
        """Return the quarantined rows of a file period; a month includes the rows of all its pieces."""
        path = self.root / layout.quarantine_file(table, exchange, period)
        with reading(path, action=_rewritten(table)):
            return judged(pq.ParquetFile(path).read() if path.exists() else None, table)

    def count_quarantined(self, table: Table, exchange: str) -> int:
        """Return the number of quarantined rows of a venue's table that has times."""
        folder = (self.root / layout.quarantine_file(table, exchange, "2000-01")).parent
        return sum(_count_rows(path, table) for path in folder.glob("[!.]*.parquet"))

    @contextmanager
    def exclusive(self, table: Table, exchange: str | None) -> Iterator[None]:
        """Keep other processes and threads from rewriting a table of a venue meanwhile.

        Hold it while making files from existing ones, or what another process writes in between is lost. It ends with
        its process, however that ends. Temporaries of killed writers are deleted first.
        """
        self.tidy()
        with locked(self.root / layout.lock_file(table, exchange)):
            yield

    def read(
        self,
        table: Table,
        *,
        exchange: str | None = None,
        span: Window | None = None,
        without: Collection[str] = (),
        instruments: InstrumentRange = ALL_INSTRUMENTS,
    ) -> pa.Table:
        """Return the rows of a table, of one venue of it, of a span of time, or of some instruments, in file order.

        Files whose path is in ``without`` are left out, because they are known to be missing or damaged.
        """
        exchanges = None if exchange is None else [exchange]
        start, end = (None, None) if span is None else (span.start, span.end)
        files = self.manifest.select(table.name, start=start, end=end, exchanges=exchanges)
        paths = [self.root / file.path for file in files if file.path not in without]
        parts = [read_table(path, table, instruments) for path in paths]
        rows = pa.concat_tables([to_pyarrow(table).empty_table(), *parts])
        return rows if span is None else within(rows, table, span)

    def describe(self, *, simulated: bool, description: str) -> None:
        """State in the manifest whether the dataset is simulated, and its description."""
        self._change(lambda manifest: replace(manifest, simulated=simulated, description=description))

    def tidy(self) -> int:
        """Delete temporaries of killed writers and return their number; those of living writers stay."""
        with writing(self.root):
            return sum(sweep_temporaries(self.root / name) for name in layout.WRITTEN)

    def sweep(self, *, older_than_seconds: float = 86_400.0) -> int:
        """Delete data files and key digests that are no longer current, and temporaries of killed writers.

        Files that left the dataset less than ``older_than_seconds`` ago stay, because a reader may still hold the
        manifest that names them.

        Returns
        -------
        int
            Number of deleted files.
        """
        with locked(self.root / layout.LOCK), writing(self.root):
            current = _paths(self.manifest.files)
            before = time.time() - older_than_seconds
            stale = [
                path
                for folder in (layout.TABLES, layout.KEYS)
                for path in (self.root / folder).rglob("*.parquet")
                if path.relative_to(self.root).as_posix() not in current and path.stat().st_mtime < before
            ]
            for path in stale:
                path.unlink(missing_ok=True)
        return len(stale) + self.tidy()

    def _write_file(
        self,
        table: Table,
        exchange: str | None,
        period: str,
        rows: pa.Table,
        write: Callable[[pa.Table, Table, Path], None] = write_table,
    ) -> DataFile:
        rows = rows.sort_by([(name, "ascending") for name in table.order])
        require_unique(rows, table)
        times = pc.min_max(rows.column(table.time)).as_py() if table.time else {"min": None, "max": None}
        return self._put(
            table,
            exchange,
            period,
            lambda temporary: write(rows, table, temporary),
            lambda: key_digests(rows, table),
            rows=rows.num_rows,
            start=times["min"],
            end=times["max"],
        )

    def _put(
        self,
        table: Table,
        exchange: str | None,
        period: str,
        write: Callable[[Path], object],
        digests: Callable[[], Digests],
        *,
        rows: int,
        start: datetime | None,
        end: datetime | None,
    ) -> DataFile:
        """Write a data file and its key digests under a name given by its content; no manifest names them yet."""
        folder, name = self._folder(table, exchange, period), partial(_content_name, table, exchange, period)
        path = write_named(folder, write, name, via=self.root / layout.TABLES)
        return self._described(table, exchange, period, path, digests, rows=rows, start=start, end=end)

    def _place(self, table: Table, exchange: str | None, period: str, writer: FileWriter) -> DataFile:
        """Move a file that was written in batches to its place, as :meth:`_put` does."""
        name = partial(_content_name, table, exchange, period)
        path = move_named(writer.finish(), self._folder(table, exchange, period), name)
        facts = {"rows": writer.rows, "start": writer.start, "end": writer.end}
        return self._described(table, exchange, period, path, lambda: writer.digests, **facts)

    def _folder(self, table: Table, exchange: str | None, period: str) -> Path:
        return (self.root / layout.data_file(table, exchange, period, "digest")).parent

    def _described(
        self,
        table: Table,
        exchange: str | None,
        period: str,
        path: Path,
        digests: Callable[[], Digests],
        *,
        rows: int,
        start: datetime | None,
        end: datetime | None,
    ) -> DataFile:
        """Write the key digests of a data file; return its entry in the manifest."""
        digest = sha256(path)
        return DataFile(
            path=path.relative_to(self.root).as_posix(),
            table=table.name,
            exchange=exchange,
            period=period,
            rows=rows,
            bytes=path.stat().st_size,
            sha256=digest,
            start=start,
            end=end,
            keys_sha256=self._put_keys(table, exchange, digest, digests()) if has_keys(table) else None,
        )

    def _put_keys(self, table: Table, exchange: str | None, digest: str, digests: Digests) -> str:
        """Write the key digests of a data file; return the sha256 of their file."""
        path = self.root / layout.keys_file(table.name, exchange, digest)
        # The manifest may name the existing file, so its bytes must not change if only their encoding would.
        if path.exists() and read_digests(path, table) == digests:
            self._leave([path.relative_to(self.root).as_posix()])
            return sha256(path)
        write_atomic(path, lambda temporary: write_digests(digests, table, temporary), via=self.root / layout.KEYS)
        return sha256(path)

    def _commit(self, files: Sequence[DataFile]) -> None:
        def change(manifest: Manifest) -> Manifest:
            swept = [path for path in sorted(_paths(files)) if not (self.root / path).exists()]
            if swept:  # it existed, had left the dataset long ago, and was swept just now
                raise DatasetError(f"{swept[0]} was deleted while it was written again; nothing was changed, try again")
            return manifest.with_files(files)

        self._change(change)

    def _change(self, change: Callable[[Manifest], Manifest]) -> None:
        """Read, change and replace the manifest under a lock that other processes respect."""
        with locked(self.root / layout.LOCK):
            before = self.manifest
            after = change(before)
            if after == before and (self.root / layout.MANIFEST).exists():
                return
            self._leave(_paths(before.files) - _paths(after.files))
            text, path = replace(after, updated_at=datetime.now(UTC)).to_json(), self.root / layout.MANIFEST
            Manifest.from_json(text, str(path))  # what no reader could read must not replace this one
            write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))

    def _leave(self, paths: Iterable[str]) -> None:
        """Set the modification time of files to now, so that a sweep spares them for a while."""
        for path in paths:
            with writing(self.root), suppress(FileNotFoundError):
                os.utime(self.root / path)


def _add(rows: pa.Table, table: Table, writers: Mapping[str, FileWriter]) -> None:
    """Add a batch of rows to the files of their periods."""
    rows, added = conform(rows, table), 0
    for period, writer in writers.items():
        part = within(rows, table, layout.period_window(table, period))
        added += part.num_rows
        writer.add(part)
    if added != rows.num_rows:
        raise InvalidInputError(
            f"{table.name}: rows must be in exactly one of {', '.join(writers)}, got rows in none or in two of them"
        )


def _content_name(table: Table, exchange: str | None, period: str, file: Path) -> str:
    """Return the name that a data file has because of its content."""
    return layout.data_file(table, exchange, period, sha256(file)).name


def _count_rows(path: Path, table: Table) -> int:
    with reading(path, action=_rewritten(table)):
        return pq.read_metadata(path).num_rows


def _rewritten(table: Table) -> str:
    """Return what to do about a damaged file of quarantined rows."""
    return f"restore it, or delete it: the next pull of {table.name} writes it again"


def _paths(files: Iterable[DataFile]) -> set[str]:
    """Return the paths of data files and of their key digests."""
    return {path for file in files if file.rows for path in (file.path, keys_path(file)) if path}


def _blank(table: Table, exchange: str | None, period: str) -> DataFile:
    """Return a file without rows; the file that it replaces leaves the dataset."""
    return DataFile(
        path="", table=table.name, exchange=exchange, period=period, rows=0, bytes=0, sha256="", start=None, end=None
    )
