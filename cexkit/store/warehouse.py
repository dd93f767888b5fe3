"""A local dataset that can be written: Silver and Gold tables, Bronze answers, rejected rows."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock

from cexkit.errors import DatasetError, DatasetNotFoundError, DuplicateKeyError
from cexkit.schema import Table
from cexkit.schema.render import conform, to_pyarrow
from cexkit.store import layout
from cexkit.store.manifest import DataFile, Manifest, read_manifest
from cexkit.store.parquet import sha256, write_atomic, write_named, write_table


class Warehouse:
    """A folder that holds a dataset and the answers it was made from.

    Parameters
    ----------
    root : str or Path
        The folder; it is made at the first write.

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
        """The current manifest; an empty one where nothing was written yet."""
        try:
            return read_manifest(self.root / layout.MANIFEST)
        except DatasetNotFoundError:
            return Manifest()

    def write(self, table: Table, rows: pa.Table) -> tuple[DataFile, ...]:
        """Make these rows the content of the files they fall into.

        The rows must be all of each venue and period they touch: files are replaced, not added to.
        Writing the same rows again changes nothing.

        Parameters
        ----------
        table : Table
            The declaration; rows are brought to it.
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
            self._write_file(table, exchange, period, part) for (exchange, period), part in _split(rows, table).items()
        )
        self._commit(files)
        return files

    def remove(self, table: Table, exchange: str | None, period: str) -> None:
        """Take a file out of the dataset (a period whose rows are gone)."""
        blank = DataFile(
            path="",
            table=table.name,
            exchange=exchange,
            period=period,
            rows=0,
            bytes=0,
            sha256="",
            start=None,
            end=None,
        )
        self._commit([blank])

    def write_rejects(self, table: Table, exchange: str | None, period: str, rows: pa.Table) -> Path | None:
        """Keep rows that failed a check, with a ``reason`` column; none removes what was kept before."""
        path = self.root / layout.rejects_file(table, exchange, period)
        if rows.num_rows == 0:
            path.unlink(missing_ok=True)
            return None
        return write_atomic(path, lambda temporary: pq.write_table(rows, temporary, compression="zstd"))

    def read(self, table: Table, *, exchange: str | None = None, period: str | None = None) -> pa.Table:
        """Rows of a table, or of one venue or period of it, in file order."""
        files = self.manifest.select(table.name, exchanges=None if exchange is None else [exchange])
        parts = [
            pq.ParquetFile(self.root / file.path).read() for file in files if period is None or file.period == period
        ]
        return pa.concat_tables([to_pyarrow(table).empty_table(), *parts])

    def describe(self, *, simulated: bool, description: str) -> None:
        """State what the dataset is; kept in the manifest."""
        self._change(lambda manifest: replace(manifest, simulated=simulated, description=description))

    def sweep(self, *, older_than_s: float = 86_400.0) -> int:
        """Delete data files that are no longer current, and temporaries of killed writers.

        Files younger than ``older_than_s`` seconds stay: a reader may still hold the manifest that
        names them.

        Returns
        -------
        int
            How many files were deleted.
        """
        with self._lock():
            current = {file.path for file in self.manifest.files}
            before = time.time() - older_than_s
            folders = [self.root / name for name in (layout.TABLES, layout.BRONZE, layout.REJECTS)]
            stale = [
                path
                for folder in folders
                for path in folder.rglob("*")
                if path.is_file() and self._is_stale(path, current) and path.stat().st_mtime < before
            ]
            for path in stale:
                path.unlink(missing_ok=True)
        return len(stale)

    def _is_stale(self, path: Path, current: set[str]) -> bool:
        relative = path.relative_to(self.root)
        if path.name.startswith(layout.TEMPORARY):
            return True
        return relative.parts[0] == layout.TABLES and relative.as_posix() not in current

    def _write_file(self, table: Table, exchange: str | None, period: str, rows: pa.Table) -> DataFile:
        rows = rows.sort_by([(name, "ascending") for name in table.order])
        _unique(rows, table)
        path = write_named(
            (self.root / layout.data_file(table, exchange, period, "digest")).parent,
            lambda temporary: write_table(rows, table, temporary),
            lambda temporary: layout.data_file(table, exchange, period, sha256(temporary)).name,
        )
        times = pc.min_max(rows.column(table.time)).as_py() if table.time else {"min": None, "max": None}
        return DataFile(
            path=path.relative_to(self.root).as_posix(),
            table=table.name,
            exchange=exchange,
            period=period,
            rows=rows.num_rows,
            bytes=path.stat().st_size,
            sha256=sha256(path),
            start=times["min"],
            end=times["max"],
        )

    def _commit(self, files: Iterable[DataFile]) -> None:
        self._change(lambda manifest: manifest.with_files(files))

    def _change(self, change) -> None:
        """Read, change and replace the manifest under a lock that other processes respect."""
        with self._lock():
            before = self.manifest
            after = change(before)
            if after == before and (self.root / layout.MANIFEST).exists():
                return
            text = replace(after, updated_at=datetime.now(UTC)).to_json()
            write_atomic(self.root / layout.MANIFEST, lambda temporary: temporary.write_text(text, encoding="utf-8"))

    def _lock(self) -> FileLock:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatasetError(f"could not write {self.root}: {error.strerror or error}") from error
        return FileLock(self.root / layout.LOCK)


def _split(rows: pa.Table, table: Table) -> dict[tuple[str | None, str], pa.Table]:
    """Rows by the venue and period whose file they belong to."""
    import polars as pl

    if rows.num_rows == 0:
        return {}
    period = pl.lit("all")
    if table.period != "all":
        period = pl.col(table.time).dt.strftime("%Y" if table.period == "year" else "%Y-%m")
    exchange = pl.col("exchange") if table.by_exchange else pl.lit(None, pl.String)
    # beside a column, for a select of nothing but literals has one row
    labels = pl.from_arrow(rows).with_row_index().select("index", exchange=exchange, period=period)
    groups = labels.group_by("exchange", "period", maintain_order=True).agg("index")
    return {(row["exchange"], row["period"]): rows.take(pa.array(row["index"])) for row in groups.iter_rows(named=True)}


def _unique(rows: pa.Table, table: Table) -> None:
    counts = rows.group_by(list(table.key)).aggregate([([], "count_all")])
    doubled = counts.filter(pc.greater(counts.column("count_all"), 1))
    if doubled.num_rows:
        first = {name: str(value) for name, value in doubled.slice(0, 1).to_pylist()[0].items() if name != "count_all"}
        raise DuplicateKeyError(f"{table.name}: {doubled.num_rows} keys stand more than once, the first is {first}")
