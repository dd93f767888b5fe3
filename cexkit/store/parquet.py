"""Parquet files: written whole or not at all, laid out for the queries they serve."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cexkit.errors import DatasetError
from cexkit.schema import INSTRUMENT_KEYS, Table
from cexkit.store.layout import TEMPORARY

#: Rows that a row group holds at least, where it holds several instruments. Smaller ones make footers
#: larger than the data; one instrument per row group pays only for 1-minute bars.
ROW_GROUP_ROWS = 32_768
_PRICES = {"open", "high", "low", "close"}


def write_atomic(path: Path, write: Callable[[Path], object]) -> Path:
    """Let ``write`` fill a temporary file, then put it in place in one step.

    The file is on disk before it gets its name, so neither a reader nor a crash ever sees half of it.

    Raises
    ------
    DatasetError
        If the disk is full or the folder cannot be written; nothing is left behind.
    """
    return write_named(path.parent, write, lambda _: path.name)


def write_named(folder: Path, write: Callable[[Path], object], name: Callable[[Path], str]) -> Path:
    """The same for a file whose name depends on its content: ``name`` is given the filled file."""
    temporary = folder / f"{TEMPORARY}{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write(temporary)
        _flush(temporary)
        path = folder / name(temporary)
        os.replace(temporary, path)
        _flush(folder)
    except OSError as error:
        problem = error.strerror or error
        raise DatasetError(f"could not write to {folder}: {problem}; what was there before is untouched") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return path


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_table(rows: pa.Table, table: Table, path: Path) -> None:
    """Write conforming, sorted rows as one Parquet file in the layout of their table.

    Times are stored as differences, all is under zstd 9. Prices go through a dictionary where they
    repeat, in bars of a minute; longer bars repeat too few, and plain they are a fifth smaller.
    """
    repeated = _PRICES if table.period == "month" else set()
    dictionary = [f.name for f in table.fields if f.type == "string" or f.name in repeated]
    encoding = {f.name: "DELTA_BINARY_PACKED" for f in table.fields if f.type.startswith(("timestamp", "int"))}
    with pq.ParquetWriter(
        path,
        rows.schema,
        compression="zstd",
        compression_level=9,
        use_dictionary=dictionary,
        column_encoding=encoding,
        write_page_index=False,
    ) as writer:
        for group in row_groups(rows, table):
            writer.write_table(group, row_group_size=max(group.num_rows, 1))


def row_groups(rows: pa.Table, table: Table) -> Iterator[pa.Table]:
    """Cut sorted rows into row groups that each hold whole instruments."""
    at_least = 1 if table.period == "month" else ROW_GROUP_ROWS
    starts = [*_instrument_starts(rows, table), rows.num_rows]
    begin = 0
    for end in starts[1:]:
        if end - begin >= at_least or end == rows.num_rows:
            yield rows.slice(begin, end - begin)
            begin = end


def _instrument_starts(rows: pa.Table, table: Table) -> list[int]:
    """Row numbers at which a new instrument begins."""
    keys = [name for name in INSTRUMENT_KEYS if name in table.columns]
    if rows.num_rows == 0 or not keys:
        return [0]
    columns = [rows.column(name).combine_chunks() for name in keys]
    changes = [pc.not_equal(column.slice(1), column.slice(0, rows.num_rows - 1)) for column in columns]
    changed = changes[0]
    for more in changes[1:]:
        changed = pc.or_(changed, more)
    return [0, *(index + 1 for index in pc.indices_nonzero(changed).to_pylist())]
