"""Key digests: row count and fingerprint of the keys of each instrument and month in a data file.

A publication compares digests instead of rows to find out whether published keys would disappear. The digests of a data
file are stored in a small Parquet file of the same name below ``keys/``, see :mod:`cexkit.warehouse.store.layout`.

A key is hashed to 64 bits: the bits of each key column go through the splitmix64 finalizer, one after the other. The
digest of a group is the sum of its hashes modulo 2**64, so it depends neither on the order of the rows nor on how they
are split into files, and digests of parts can be added. Each step is an exact integer operation defined here, so that
digests are the same on every platform and with every version of the libraries.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cexkit.errors import DatasetError
from cexkit.schema import INSTRUMENT_KEYS, Table
from cexkit.warehouse.store.damage import require_columns, sha256
from cexkit.warehouse.store.layout import keys_file
from cexkit.warehouse.store.manifest import DataFile, Manifest

#: Version of the hash; digests of another version are ignored, and the data file is read instead.
VERSION = "1"
#: Month of the keys of a table without time.
ALL = "all"

_MODULUS = 1 << 64
# Constants of splitmix64, https://prng.di.unimi.it/splitmix64.c
_INCREMENT, _FIRST, _SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_NULL = np.uint64(0xD1B54A32D192ED03)
_METADATA = b"cexkit.keys"


class Group(NamedTuple):
    """An instrument (the values of its key columns) and a UTC month (``2026-06``)."""

    instrument: tuple[str, ...]
    month: str


class Digest(NamedTuple):
    """Number of keys, and the sum of their hashes modulo 2**64."""

    rows: int
    digest: int

    def plus(self, other: Digest) -> Digest:
        """Return the digest of both sets of keys."""
        return Digest(self.rows + other.rows, (self.digest + other.digest) % _MODULUS)


Digests = dict[Group, Digest]


def has_keys(table: Table) -> bool:
    """Return whether key digests are stored for a table: Gold tables are recomputed, so their keys may change."""
    return table.layer == "silver"


def key_hashes(rows: pa.Table, table: Table) -> np.ndarray:
    """Return the 64-bit hash of each row's key.

    Two keys that differ only in an instrument's time never have the same hash, because each step is a bijection.

    Examples
    --------
    >>> from cexkit.schema import TABLES
    >>> names = {"exchange": ["okx"], "instrument_type": ["perp"], "symbol": ["BTCUSDT"]}
    >>> [hex(number) for number in key_hashes(pa.table(names), TABLES["instruments"])]
    ['0x68b926cc7b611d44']
    """
    hashes = np.zeros(rows.num_rows, dtype=np.uint64)
    for name in table.key:
        hashes ^= _bits(rows.column(name))
        _mix(hashes)
    return hashes


def key_digests(rows: pa.Table, table: Table) -> Digests:
    """Return the digest of each instrument and month in some rows, in any order."""
    hashes = key_hashes(rows, table)
    return _added((group, Digest(len(part), _total(part))) for group, part in split_groups(rows, table, hashes))


def file_digests(paths: Iterable[Path], table: Table) -> Digests:
    """Return the digest of each instrument and month in data files; one row group is in memory at a time."""
    return merged(key_digests(rows, table) for path in paths for rows in _key_rows(path, table))


def group_hashes(paths: Iterable[Path], table: Table, groups: Collection[Group]) -> dict[Group, np.ndarray]:
    """Return the key hashes of some instruments and months in data files, in file order."""
    parts: dict[Group, list[np.ndarray]] = defaultdict(list)
    for path in paths:
        for rows in _key_rows(path, table):
            for group, part in split_groups(rows, table, key_hashes(rows, table)):
                if group in groups:
                    parts[group].append(part)
    return {group: np.concatenate(found) for group, found in parts.items()}


def merged(parts: Iterable[Digests]) -> Digests:
    """Return the digests of all parts together."""
    return _added(item for part in parts for item in part.items())


def contains_run(hashes: np.ndarray, digest: Digest) -> bool:
    """Return whether consecutive hashes have exactly this digest; then these keys are the digested ones.

    Rows are usually added after or before existing ones, so that this proves without the old rows that none is missing.

    Examples
    --------
    >>> hashes = np.array([3, 5, 7], dtype=np.uint64)
    >>> contains_run(hashes, Digest(2, 12)), contains_run(hashes, Digest(2, 10)), contains_run(hashes, Digest(4, 15))
    (True, False, False)
    """
    if digest.rows > len(hashes):
        return False
    sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(hashes, dtype=np.uint64)])
    runs = sums[digest.rows :] - sums[: len(sums) - digest.rows]
    return bool((runs == np.uint64(digest.digest)).any())


def write_digests(digests: Digests, table: Table, path: Path) -> None:
    """Write the digests of a data file, sorted: the same keys give the same file."""
    groups = sorted(digests)
    names = _instrument_columns(table)
    columns = [pa.array([group.instrument[i] for group in groups], pa.string()) for i in range(len(names))]
    columns.append(pa.array([group.month for group in groups], pa.string()))
    columns.append(pa.array([digests[group].rows for group in groups], pa.int64()))
    columns.append(pa.array([digests[group].digest for group in groups], pa.uint64()))
    made = pa.Table.from_arrays(columns, names=[*names, "month", "rows", "digest"])
    pq.write_table(
        made.replace_schema_metadata({_METADATA: _signature(table)}),
        path,
        compression="zstd",
        use_dictionary=[*names, "month"],
        write_statistics=False,
    )


def read_digests(path: Path, table: Table) -> Digests | None:
    """Return the digests of a file that :func:`write_digests` wrote; None if this version cannot compare them."""
    try:
        found = pq.read_table(path, partitioning=None)
        if (found.schema.metadata or {}).get(_METADATA) != _signature(table):
            return None
        columns = found.to_pydict()
        instruments = zip(*(columns[name] for name in _instrument_columns(table)), strict=True)
        return {
            Group(instrument, month): Digest(rows, digest)
            for instrument, month, rows, digest in zip(
                instruments, columns["month"], columns["rows"], columns["digest"], strict=True
            )
        }
    except (pa.ArrowException, KeyError, OSError):
        return None


def keys_path(file: DataFile) -> str | None:
    """Return the path of a data file's key digests, below the root of the dataset; None if it has none."""
    return None if file.keys_sha256 is None else keys_file(file.table, file.exchange, file.sha256).as_posix()


def broken_keys(root: Path, manifest: Manifest) -> list[str]:
    """Return one sentence per file of key digests that is missing or damaged."""
    return [problem for file in manifest.files if (problem := _broken(root, file))]


def _broken(root: Path, file: DataFile) -> str | None:
    name = keys_path(file)
    if name is None:
        return None
    path = root / name
    if not path.is_file():
        return f"{name} is missing"
    return None if sha256(path) == file.keys_sha256 else f"{name} differs from the manifest (sha256)"


def _signature(table: Table) -> bytes:
    """Return what makes digests comparable: version of the hash, table, and hashed columns."""
    return f"{VERSION}:{table.name}:{','.join(table.key)}".encode()


def _instrument_columns(table: Table) -> list[str]:
    return [name for name in INSTRUMENT_KEYS if name in table.key]


def _added(items: Iterable[tuple[Group, Digest]]) -> Digests:
    found: Digests = {}
    for group, digest in items:
        found[group] = found[group].plus(digest) if group in found else digest
    return found


def _total(hashes: np.ndarray) -> int:
    return int(hashes.sum(dtype=np.uint64))


def _key_rows(path: Path, table: Table) -> Iterator[pa.Table]:
    """Yield the key columns of a data file, one row group at a time.

    Raises
    ------
    DatasetError
        If the file cannot be read or lacks a key column.
    """
    try:
        with pq.ParquetFile(path) as file:
            require_columns(path, file.schema_arrow.names, table)
            for number in range(file.num_row_groups):
                rows = file.read_row_group(number, columns=list(table.key))
                _require_groups(path, rows, table)
                yield rows
    except pa.ArrowException as error:
        raise DatasetError(f"cannot read the keys of {path}: {error}; rebuild the file from Bronze") from error


def _require_groups(path: Path, rows: pa.Table, table: Table) -> None:
    """Raise if a row lacks an instrument or a time."""
    names = [*_instrument_columns(table), *([table.time] if table.time else [])]
    if empty := [name for name in names if rows.column(name).null_count]:
        raise DatasetError(f"{path}: key columns {', '.join(empty)} have nulls; rebuild the file from Bronze")


def split_groups(rows: pa.Table, table: Table, hashes: np.ndarray) -> Iterator[tuple[Group, np.ndarray]]:
    """Yield the hashes of adjacent rows of the same instrument and month; sorted rows give each of them once."""
    if rows.num_rows == 0:
        return
    names = [_encoded(rows.column(name)) for name in _instrument_columns(table)]
    months = _months(rows, table)
    codes = [*(name.indices.to_numpy() for name in names), months]
    changes = np.logical_or.reduce([code[1:] != code[:-1] for code in codes])
    starts = [0, *(np.flatnonzero(changes) + 1).tolist()]
    for start, end in zip(starts, [*starts[1:], rows.num_rows], strict=True):
        instrument = tuple(name.dictionary[name.indices[start].as_py()].as_py() for name in names)
        month = ALL if table.time is None else str(months[start])
        yield Group(instrument, month), hashes[start:end]


def _months(rows: pa.Table, table: Table) -> np.ndarray:
    if table.time is None:
        return np.zeros(rows.num_rows, dtype=np.int64)
    return _microseconds(rows.column(table.time)).view("datetime64[us]").astype("datetime64[M]")


def _encoded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    return column.cast(pa.string()).combine_chunks().dictionary_encode()


def _microseconds(column: pa.ChunkedArray) -> np.ndarray:
    times = column.cast(pa.timestamp("us", column.type.tz))
    return times.cast(pa.int64()).fill_null(0).to_numpy()


def _bits(column: pa.ChunkedArray) -> np.ndarray:
    """Return 64 bits per value that are the same on every platform; equal values have equal bits."""
    bits = _value_bits(column)
    return np.where(column.is_null().to_numpy(), _NULL, bits) if column.null_count else bits


def _value_bits(column: pa.ChunkedArray) -> np.ndarray:
    kind = column.type
    if pa.types.is_timestamp(kind):
        return _microseconds(column).view(np.uint64)
    if pa.types.is_floating(kind):
        # Adding 0.0 turns -0.0 into 0.0, because they are the same key.
        return (column.cast(pa.float64()).fill_null(0.0).to_numpy() + 0.0).view(np.uint64)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return column.cast(pa.int64()).fill_null(0).to_numpy().view(np.uint64)
    encoded = _encoded(column)
    words = np.array([_word(value) for value in encoded.dictionary.to_pylist()] or [0], dtype=np.uint64)
    return words[encoded.indices.fill_null(0).to_numpy()]


def _word(value: str) -> int:
    return int.from_bytes(hashlib.sha256(value.encode()).digest()[:8], "little")


def _mix(values: np.ndarray) -> None:
    """Apply the step of splitmix64 in place."""
    values += _INCREMENT
    values ^= values >> np.uint64(30)
    values *= _FIRST
    values ^= values >> np.uint64(27)
    values *= _SECOND
    values ^= values >> np.uint64(31)
