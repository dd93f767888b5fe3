"""Parquet files: written atomically, and laid out for the queries that read them."""

from __future__ import annotations

import fcntl
import os
import sys
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock

from cexkit.errors import CexkitError, DamagedFileError, DatasetError
from cexkit.schema import INSTRUMENT_KEYS, Table
from cexkit.schema.render import to_polars, to_pyarrow
from cexkit.warehouse.store.damage import RESTORE, damaged, require_columns
from cexkit.warehouse.store.instrument_range import ALL_INSTRUMENTS, InstrumentRange, read_instruments
from cexkit.warehouse.store.layout import TEMPORARY

if TYPE_CHECKING:
    import polars as pl

#: Minimum rows of a row group, if it holds several instruments. Smaller row groups make footers larger
#: than the data; one instrument per row group pays off only for 1-minute bars.
ROW_GROUP_ROWS = 32_768
_PRICES = {"open", "high", "low", "close"}


def write_atomic(path: Path, write: Callable[[Path], object], *, via: Path | None = None) -> Path:
    """Write to a temporary file with ``write``, then move it into place atomically.

    The file is on disk before it gets its name, so readers never see half of it, even after a crash.

    Parameters
    ----------
    path : Path
        Destination of the file.
    write : callable
        Called with the path of the file to fill.
    via : Path, optional
        Folder of the temporary file, on the same disk. Default: the folder of ``path``.

    Raises
    ------
    DatasetError
        If the disk is full, the folder cannot be written, or ``path`` is a folder or a device. The temporary file is
        deleted.
    """
    if path.exists() and not path.is_file():  # it would be replaced, a device as well as an empty folder
        raise DatasetError(f"could not write to {path}: it must be a file, got a folder or a device; name another file")
    return write_named(path.parent, write, lambda _: path.name, via=via)


def write_named(
    folder: Path, write: Callable[[Path], object], name: Callable[[Path], str], *, via: Path | None = None
) -> Path:
    """Write a file atomically under a name that depends on its content: ``name`` gets the filled file."""
    with writing(folder), temporary(via or folder) as path:
        write(path)
        return move_named(path, folder, name)


def move_named(path: Path, folder: Path, name: Callable[[Path], str]) -> Path:
    """Move a filled temporary file to a name that depends on its content; it is on disk before it gets the name."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        fsync(path)
        named = folder / name(path)
        os.replace(path, named)
        fsync(folder)
    return named


def has_size(path: Path, size: int) -> bool:
    """Return whether a file exists and has the given size in bytes."""
    try:
        return path.stat().st_size == size
    except (FileNotFoundError, NotADirectoryError):
        return False


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Raise errors of the operating system as one that names the place and states that existing data is intact.

    A folder in place of a file, or the other way around, counts as damage: the other tables can still be written.
    """
    try:
        yield
    except DatasetError:
        raise
    except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
        blocking = error.filename2 or error.filename
        raise DamagedFileError(
            f"could not write to {place}: a folder is in place of a file, or a file in place of a folder: {blocking}; "
            "move it away, and what belongs there is made again; what was there before is untouched"
        ) from error
    except OSError as error:
        problem = error.strerror or error
        raise DatasetError(f"could not write to {place}: {problem}; what was there before is untouched") from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes and threads out while the block runs; the lock ends with its process."""
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def temporary(folder: Path) -> Iterator[Path]:
    """Yield a temporary file that is locked while its writer lives, and deleted afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{TEMPORARY}{uuid.uuid4().hex}"
    handle = open_locked(path)
    try:
        yield path
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        os.close(handle)


def open_locked(path: Path) -> int:
    """Create or open a file, lock it, and return its descriptor; try again if the file was deleted in between."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        fcntl.flock(handle, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        os.close(handle)


def sweep_temporaries(folder: Path) -> int:
    """Delete the temporaries in a folder whose writers are dead; return their number.

    A killed writer no longer holds the lock of its file, wherever and as whichever user it ran.
    """
    found = 0
    for path in folder.glob(f"{TEMPORARY}*"):
        with suppress(FileNotFoundError), path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            path.unlink()
            found += 1
    return found


def fsync(path: Path) -> None:
    """Write a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def reading(*paths: Path, action: str = RESTORE) -> Iterator[None]:
    """Raise what fails in reading Parquet files as an error that names the damaged one, and what to do about it.

    Raises
    ------
    DamagedFileError
        If a file is missing or its content cannot be read.
    """
    try:
        yield
    except CexkitError:
        raise
    except Exception as error:
        if not _is_of_files(error):
            raise
        for path in paths:
            if problem := _problem(path):
                raise damaged(path, problem, action) from error
        if len(paths) == 1 and not isinstance(error, OSError):
            raise damaged(paths[0], error, action) from error
        raise  # another file, such as one that is written meanwhile


def _is_of_files(error: Exception) -> bool:
    """Return whether an exception is one of Arrow, Polars, or the operating system."""
    polars = sys.modules.get("polars")  # what was not imported raised nothing
    kinds = (pa.ArrowException, OSError, *((polars.exceptions.PolarsError,) if polars else ()))
    return isinstance(error, kinds)


def _problem(path: Path) -> Exception | None:
    """Return the exception that reading a whole file raises; None if it can be read."""
    try:
        with pq.ParquetFile(path) as file:
            for number in range(file.num_row_groups):
                file.read_row_group(number)
    except (pa.ArrowException, OSError) as error:
        return error
    return None


def write_table(rows: pa.Table, table: Table, path: Path) -> None:
    """Write conforming, sorted rows as one Parquet file in the layout of their table."""
    write_groups(row_groups(rows, table), table, path)


def write_verified(rows: pa.Table, table: Table, path: Path) -> None:
    """Write rows as :func:`write_table` does, then read the file again, a row group at a time, and compare.

    Raises
    ------
    DatasetError
        If the written file does not hold exactly these rows.
    """
    write_table(rows, table, path)
    begin = 0
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            written = file.read_row_group(number)
            if not written.equals(rows.slice(begin, written.num_rows)):
                break
            begin += written.num_rows
    if begin != rows.num_rows:
        raise DatasetError(f"{table.name}: writing {rows.num_rows} rows changed them; the files stay as they are")


def write_groups(groups: Iterable[pa.Table], table: Table, path: Path) -> None:
    """Write row groups as one Parquet file; only one of them is in memory at a time."""
    with open_writer(path, table) as writer:
        for group in groups:
            writer.write_table(group, row_group_size=max(group.num_rows, 1))


def open_writer(path: Path, table: Table) -> pq.ParquetWriter:
    """Return a writer of row groups in the encodings of a table.

    Times and integers are delta-encoded; all columns are compressed with zstd 9. Prices of 1-minute bars are
    dictionary-encoded because they repeat. Prices of longer bars repeat too rarely, and are a fifth smaller unencoded.

    Files with a row group for each instrument have statistics only of the columns that choose row groups; those of the
    others would be two fifths of the footer, which every reader fetches.
    """
    repeated = _PRICES if table.period == "month" else set()
    dictionary = [f.name for f in table.fields if f.type == "string" or f.name in repeated]
    encoding = {f.name: "DELTA_BINARY_PACKED" for f in table.fields if f.type.startswith(("timestamp", "int"))}
    return pq.ParquetWriter(
        path,
        to_pyarrow(table),
        compression="zstd",
        compression_level=9,
        use_dictionary=dictionary,
        column_encoding=encoding,
        write_page_index=False,
        write_statistics=[*INSTRUMENT_KEYS, table.time] if table.period == "month" else True,
    )


def merge(paths: Sequence[Path], table: Table, into: Path) -> None:
    """Merge files that follow each other in time into one file, instrument by instrument.

    Only tables with one row group per instrument can be merged this way.

    Raises
    ------
    DatasetError
        If the written file, read again, does not hold exactly the rows of the others.
    """
    with reading(*paths), ExitStack() as stack:
        files = [stack.enter_context(pq.ParquetFile(path)) for path in paths]
        places = _places(files, table)
        write_groups(_merged(places, table), table, into)
        whole = stack.enter_context(pq.ParquetFile(into))
        same = whole.metadata.num_rows == sum(file.metadata.num_rows for file in files) and all(
            whole.read_row_group(number).equals(group) for number, group in enumerate(_merged(places, table))
        )
    if not same:
        raise DatasetError(f"{table.name}: merging {len(paths)} files changed their rows; the files stay separate")


#: Files and row groups that hold the rows of an instrument, in time order.
_Places = dict[tuple[str, ...], list[tuple[pq.ParquetFile, int]]]


def _places(files: Sequence[pq.ParquetFile], table: Table) -> _Places:
    found: _Places = defaultdict(list)
    for file in files:
        columns = [file.schema_arrow.names.index(name) for name in INSTRUMENT_KEYS]
        for number in range(file.num_row_groups):
            known = [file.metadata.row_group(number).column(column).statistics for column in columns]
            if any(one is None or one.min != one.max for one in known):
                raise DatasetError(f"{table.name}: a row group does not hold one instrument; its file cannot be merged")
            found[tuple(one.min for one in known)].append((file, number))
    return dict(sorted(found.items()))


def _merged(places: _Places, table: Table) -> Iterator[pa.Table]:
    for groups in places.values():
        rows = [fill_missing(file.read_row_group(number), table) for file, number in groups]
        yield from row_groups(pa.concat_tables(rows).combine_chunks(), table)


def scan(paths: Path | Sequence[Path]) -> pl.LazyFrame:
    """Scan exactly these files; a path is not treated as a pattern, nor a part of it as a column."""
    import polars as pl

    return pl.scan_parquet(paths, hive_partitioning=False, glob=False)


def scan_table(paths: Sequence[str | Path], table: Table) -> pl.LazyFrame:
    """Scan the declared columns of a table's files; a nullable column that a file lacks is null.

    Raises
    ------
    DamagedFileError
        If a file is missing or damaged.
    DatasetError
        If a file lacks a required column.
    """
    import polars as pl

    for path in paths:
        with reading(Path(path)):
            require_columns(path, pq.read_schema(path).names, table)
    return pl.scan_parquet(
        paths,
        schema=to_polars(table),
        missing_columns="insert",
        extra_columns="ignore",
        hive_partitioning=False,
        glob=False,
    )


def read_table(path: Path, table: Table, instruments: InstrumentRange = ALL_INSTRUMENTS) -> pa.Table:
    """Read the declared columns of a table's file, or of some instruments; a nullable column that it lacks is null.

    Raises
    ------
    DamagedFileError
        If the file is missing or damaged.
    DatasetError
        If the file lacks a required column.
    """
    with reading(path), pq.ParquetFile(path) as file:
        require_columns(path, file.schema_arrow.names, table)
        return fill_missing(read_instruments(file, instruments), table)


def fill_missing(rows: pa.Table, table: Table) -> pa.Table:
    """Return the declared columns of rows of any schema version; a missing one is null."""
    schema = to_pyarrow(table)
    if rows.column_names == schema.names:
        return rows
    columns = [
        rows.column(field.name) if field.name in rows.column_names else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def row_groups(rows: pa.Table, table: Table) -> Iterator[pa.Table]:
    """Split sorted rows into row groups that each hold whole instruments."""
    groups, rest = full_groups(rows, table)
    yield from groups
    if rest.num_rows or not groups:
        yield rest


def full_groups(rows: pa.Table, table: Table) -> tuple[list[pa.Table], pa.Table]:
    """Return the row groups of sorted rows that are large enough, and the rows of whole instruments after them."""
    at_least = 1 if table.period == "month" else ROW_GROUP_ROWS
    groups, begin = [], 0
    for end in [*_instrument_starts(rows, table)[1:], rows.num_rows]:
        if end - begin >= at_least:
            groups.append(rows.slice(begin, end - begin))
            begin = end
    return groups, rows.slice(begin)


def _instrument_starts(rows: pa.Table, table: Table) -> list[int]:
    """Return the row numbers at which a new instrument begins."""
    keys = [name for name in INSTRUMENT_KEYS if name in table.columns]
    if rows.num_rows == 0 or not keys:
        return [0]
    columns = [rows.column(name).combine_chunks() for name in keys]
    changes = [pc.not_equal(column.slice(1), column.slice(0, rows.num_rows - 1)) for column in columns]
    changed = changes[0]
    for more in changes[1:]:
        changed = pc.or_(changed, more)
    return [0, *(index + 1 for index in pc.indices_nonzero(changed).to_pylist())]
