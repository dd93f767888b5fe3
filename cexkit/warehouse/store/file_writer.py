"""Writer of one data file in several batches of rows; one batch at a time is in memory."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cexkit.errors import InvalidInputError
from cexkit.schema import INSTRUMENT_KEYS, Table
from cexkit.schema.render import to_pyarrow
from cexkit.warehouse.store.keys import Digests, has_keys, key_digests, merged
from cexkit.warehouse.store.parquet import full_groups, open_writer, temporary, writing
from cexkit.warehouse.store.rows import require_unique


class FileWriter:
    """A temporary file that gets the rows of a table in batches, each of other instruments.

    The file has the same bytes however its rows are split into batches. Use it as a context manager, which deletes the
    file at its end unless it was moved away.

    Parameters
    ----------
    table : Table
        Declaration of the rows.
    via : Path
        Folder of the temporary file.

    Attributes
    ----------
    rows : int
        Number of rows so far.
    start, end : datetime or None
        First and last time of a row so far.
    digests : Digests
        Key digests of the rows so far; empty for tables without.
    """

    def __init__(self, table: Table, via: Path):
        self._table, self._via, self._stack = table, via, ExitStack()
        self._path: Path | None = None
        self._writer: pq.ParquetWriter | None = None
        self._rest = to_pyarrow(table).empty_table()
        self._last: tuple | None = None
        self.rows = 0
        self.start: datetime | None = None
        self.end: datetime | None = None
        self.digests: Digests = {}

    def __enter__(self) -> FileWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, rows: pa.Table) -> None:
        """Add conforming rows, in any order.

        Raises
        ------
        DuplicateKeyError
            If two rows have the same key.
        InvalidInputError
            If an instrument does not follow those of earlier batches.
        DatasetError
            If the file cannot be written.
        """
        if not rows.num_rows:
            return
        rows = rows.sort_by([(name, "ascending") for name in self._table.order])
        require_unique(rows, self._table)
        self._require_order(rows)
        self._count(rows)
        groups, rest = full_groups(pa.concat_tables([self._rest, rows]), self._table)
        for group in groups:
            self._write(group)
        self._rest = rest.combine_chunks()  # a copy, because a slice would keep the whole batch in memory

    def finish(self) -> Path:
        """Write the last rows and return the path of the whole file."""
        if self._rest.num_rows:
            self._write(self._rest)
        with writing(self._via):
            self._writer.close()
        self._writer = None
        return self._path

    def _require_order(self, rows: pa.Table) -> None:
        keys = [name for name in INSTRUMENT_KEYS if name in self._table.key]
        first, last = (tuple(rows.column(name)[place].as_py() for name in keys) for place in (0, rows.num_rows - 1))
        if self._last is not None and first <= self._last:
            raise InvalidInputError(
                f"{self._table.name}: each batch must be of instruments after those of earlier ones, got {first} "
                f"after {self._last}"
            )
        self._last = last

    def _count(self, rows: pa.Table) -> None:
        self.rows += rows.num_rows
        if has_keys(self._table):
            self.digests = merged([self.digests, key_digests(rows, self._table)])
        if self._table.time:
            times = pc.min_max(rows.column(self._table.time)).as_py()
            self.start = times["min"] if self.start is None else min(self.start, times["min"])
            self.end = times["max"] if self.end is None else max(self.end, times["max"])

    def _write(self, group: pa.Table) -> None:
        with writing(self._via):
            if self._writer is None:
                self._path = self._stack.enter_context(temporary(self._via))
                self._writer = open_writer(self._path, self._table)
                self._stack.callback(self._close)
            # Pages end where chunks end, and the bytes must not depend on the batches.
            self._writer.write_table(group.combine_chunks(), row_group_size=group.num_rows)

    def _close(self) -> None:
        """Close what was not finished; its temporary file is deleted next."""
        if self._writer is not None:
            with suppress(OSError):
                self._writer.close()
