"""Data files on disk, compared with what the manifest says of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from cexkit.errors import DamagedFileError
from cexkit.schema import Table
from cexkit.warehouse.store.keys import (
    Digests,
    Group,
    contains_run,
    key_hashes,
    keys_path,
    read_digests,
    split_groups,
)
from cexkit.warehouse.store.manifest import DataFile
from cexkit.warehouse.store.parquet import sha256


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
