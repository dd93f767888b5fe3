"""Data files on disk, compared with what the manifest says of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cexkit.errors import DamagedFileError, InvalidInputError
from cexkit.schema import TABLES, Table
from cexkit.warehouse.store.damage import sha256
from cexkit.warehouse.store.keys import (
    Digests,
    Group,
    contains_run,
    key_hashes,
    keys_path,
    read_digests,
    split_groups,
)
from cexkit.warehouse.store.layout import data_file, span_of
from cexkit.warehouse.store.manifest import DataFile


def file_problem(root: Path, file: DataFile, *, hashed: bool = True) -> str | None:
    """Return how a data file differs from its entry in the manifest; None if it is the same.

    Parameters
    ----------
    root : Path
        Folder of the dataset.
    file : DataFile
        Entry of the manifest.
    hashed : bool, default True
        False to compare the size only.
    """
    path = root / file.path
    try:
        size = path.stat().st_size
        if size != file.bytes:
            return f"has {size:,} bytes, the manifest says {file.bytes:,}"
        same = not hashed or sha256(path) == file.sha256
        return None if same else "has other content than the manifest says (sha256)"
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


def value_problem(root: Path, file: DataFile) -> str | None:
    """Return how the rows of a data file differ from its entry in the manifest; None if they agree.

    Compared are the number of rows, the first and last time, the period, and the venue, by the statistics of the file.
    Files of tables that this version does not know are left out.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from cexkit.warehouse.store.layout import MANIFEST
    >>> from cexkit.warehouse.store.locations import SAMPLE_ROOT
    >>> from cexkit.warehouse.store.manifest import read_manifest
    >>> file = read_manifest(SAMPLE_ROOT / MANIFEST).select("funding_rates")[0]
    >>> value_problem(SAMPLE_ROOT, file) is None
    True
    >>> value_problem(SAMPLE_ROOT, replace(file, rows=1))
    'has 6,496 rows, the manifest says 1'
    """
    table = TABLES.get(file.table)
    if table is None:
        return None
    try:
        facts = pq.read_metadata(root / file.path)
        if facts.num_rows != file.rows:
            return f"has {facts.num_rows:,} rows, the manifest says {file.rows:,}"
        first, last = extremes(root / file.path, facts, table.time) if table.time else (None, None)
        if (first, last) != (file.start, file.end):
            return f"has times {_times(first, last)}, the manifest says {_times(file.start, file.end)}"
        if "exchange" in table.partitions:
            venues = extremes(root / file.path, facts, "exchange")
            if venues != (file.exchange, file.exchange):
                return f"has rows of {' … '.join(map(str, venues))}, the manifest says {file.exchange}"
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    except (OSError, pa.ArrowException) as error:
        return f"cannot be read: {str(error).partition(chr(10))[0]}"
    return _period_problem(table, file)


def _period_problem(table: Table, file: DataFile) -> str | None:
    """Return what is wrong with the period of a data file: its times or its folder are of another one."""
    try:
        span = span_of(file.period)
        folder = data_file(table, file.exchange, file.period, file.sha256).parent
    except InvalidInputError:
        return f"has a period that is not known: {file.period}"
    if file.start and file.end and not (span.start <= file.start and file.end < span.end):
        return f"has times {_times(file.start, file.end)}, which are not in its period {file.period}"
    if folder != PurePosixPath(file.path).parent:
        return f"is not in the folder of its period {file.period}: {folder}"
    return None


def extremes(path: Path, facts: pq.FileMetaData, column: str) -> tuple[Any, Any]:
    """Return the smallest and the largest value of a column; read it if the file has no statistics."""
    place = facts.schema.to_arrow_schema().get_field_index(column)
    groups = [facts.row_group(number) for number in range(facts.num_row_groups)]
    found = [group.column(place).statistics for group in groups if group.num_rows]
    if all(each is not None and each.has_min_max for each in found):
        return min((each.min for each in found), default=None), max((each.max for each in found), default=None)
    values = pc.min_max(pq.read_table(path, columns=[column])[column]).as_py()
    return values["min"], values["max"]


def _times(first: object, last: object) -> str:
    return f"{first} … {last}"


def damaged_files(root: Path, files: Iterable[DataFile]) -> Iterator[tuple[DataFile, str]]:
    """Yield the data files that are missing or have other content, by their hash, and what is wrong with each."""
    for file in files:
        if (problem := file_problem(root, file)) is not None:
            yield file, problem


def require_intact(root: Path, files: Iterable[DataFile]) -> None:
    """Raise DamagedFileError if a data file is missing or has other content, by its hash."""
    for file, problem in damaged_files(root, files):
        raise DamagedFileError(f"{file.path} {problem}; {remedy(file)}")


def remedy(file: DataFile) -> str:
    """Return what to do about a data file that is missing or damaged."""
    if file.exchange is None:
        return f"build the table {file.table} again, or restore the file from a backup"
    return (
        f"make it again from Bronze with `cexkit rebuild {file.exchange} --table {file.table}`, or restore it from a "
        "backup"
    )


def stored_digests(root: Path, file: DataFile, table: Table) -> Digests | None:
    """Return the stored key digests of a data file; None if their file is missing or damaged too."""
    name = keys_path(file)
    if name is None or not (root / name).is_file() or sha256(root / name) != file.keys_sha256:
        return None
    return read_digests(root / name, table)


def lacking_keys(
    rows: pa.Table, table: Table, file: DataFile, digests: Digests | None, *, comparable: bool = True
) -> dict[Group | None, int]:
    """Return how many keys of a lost data file some rows lack, at least, by instrument and month.

    Parameters
    ----------
    rows : pyarrow.Table
        Rows of the period of the file, or an empty table.
    table : Table
        The declaration.
    file : DataFile
        The lost file.
    digests : mapping of Group to Digest, optional
        Digests of its keys; without them, only the number of rows is compared, under the key None.
    comparable : bool, default True
        False if the number of rows proves nothing, because some may have other keys than the file had.

    Examples
    --------
    >>> from cexkit.schema import TABLES
    >>> names = {"exchange": ["okx"], "instrument_type": ["perp"], "symbol": ["BTCUSDT"]}
    >>> whole = pa.table(names)
    >>> lost = DataFile(path="", table="instruments", exchange="okx", period="all", rows=1, bytes=0, sha256="",
    ...                 start=None, end=None)
    >>> lacking_keys(whole, TABLES["instruments"], lost, None)
    {}
    >>> lacking_keys(whole.slice(1), TABLES["instruments"], lost, None)
    {None: 1}
    """
    if digests is None:
        lacking = max(file.rows - rows.num_rows, 0 if comparable else 1)
        return {None: lacking} if lacking else {}
    ordered = rows.sort_by([(name, "ascending") for name in table.order])
    hashes = dict(split_groups(ordered, table, key_hashes(ordered, table)))
    return {
        group: max(1, digest.rows - len(hashes.get(group, ())))
        for group, digest in digests.items()
        if group not in hashes or not contains_run(hashes[group], digest)
    }
