"""Ledger of a venue's table: the Bronze files that its Silver rows came from.

Silver is built from Bronze, so a Bronze file that disappears would take its rows along unnoticed. The ledger remembers
each file with the hash and row count of every response in it. A file that is missing or has another size is reported,
its rows stay in Silver, and a check blocks publication until the file is back or retired on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cexkit.errors import DatasetError, UnknownNameError
from cexkit.schema import TABLES, Table
from cexkit.schema.intervals import Window
from cexkit.warehouse.store.layout import LEDGER, ledger_file
from cexkit.warehouse.store.parquet import write_atomic

_TIME = pa.timestamp("us", tz="UTC")
_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("bytes", pa.int64()),
        ("start", _TIME),
        ("end", _TIME),
        ("parser_version", pa.int32()),
        ("sha256", pa.list_(pa.string())),
        ("rows", pa.list_(pa.int64())),
        ("corrupt", pa.bool_()),
        ("retired", pa.bool_()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One Bronze file as a table of a venue used it.

    Attributes
    ----------
    path : str
        The file below the warehouse.
    bytes : int
        Its size.
    start, end : datetime or None
        Span of the rows that its responses can hold; None for lists of instruments, which have no times.
    parser_version : int
        Version of the venue's parsers that read it.
    sha256 : tuple of str
        Hash of each response's body, in the order of the file.
    rows : tuple of int
        Rows that each response gave; 0 for a malformed one.
    corrupt : bool
        True if the file was not Parquet, or a body in it did not match its hash, when it was read.
    retired : bool
        True if the file was removed on purpose.
    """

    path: str
    bytes: int
    start: datetime | None
    end: datetime | None
    parser_version: int
    sha256: tuple[str, ...]
    rows: tuple[int, ...]
    corrupt: bool = False
    retired: bool = False

    def overlaps(self, span: Window) -> bool:
        """Return whether its responses can hold rows of a span."""
        return self.start is None or self.end is None or (self.start < span.end and span.start < self.end)

    def problem(self, root: Path) -> str | None:
        """Return what is wrong with the file on disk; None if it is as it was parsed, by its size."""
        if self.corrupt:
            return f"{self.path} is not Parquet, or holds a body that does not match its hash"
        try:
            size = (root / self.path).stat().st_size
        except FileNotFoundError:
            return f"{self.path} is missing"
        return None if size == self.bytes else f"{self.path} has {size} bytes, {self.bytes} when it was parsed"


class Ledger:
    """Entries of one table of a venue, by the path of their Bronze file.

    Parameters
    ----------
    root : Path
        Folder of the warehouse.
    exchange : str
        Venue.
    table : Table
        The declaration.

    Examples
    --------
    >>> import tempfile
    >>> from cexkit.schema import TABLES
    >>> ledger = Ledger(Path(tempfile.mkdtemp()), "okx", TABLES["ohlcv_1h"])
    >>> file = {"path": "bronze/a.parquet", "bytes": 9, "start": None, "end": None}
    >>> entry = LedgerEntry(**file, parser_version=1, sha256=(), rows=())
    >>> ledger.record([entry])
    >>> ledger.missing()[0].problem(ledger.root)
    'bronze/a.parquet is missing'
    >>> ledger.retire(["bronze/a.parquet"])
    1
    >>> ledger.missing()
    []
    """

    def __init__(self, root: Path, exchange: str, table: Table):
        self.root = root
        self._path = root / ledger_file(table, exchange)
        self.entries = _read(self._path)
        self._hashes: dict[str, frozenset[str]] = {}

    def record(self, entries: Iterable[LedgerEntry]) -> None:
        """Add entries, and their responses to those of the same files; entries of other files stay.

        A file never changes once written. So the entry of one that has another size now stays as it was.
        """
        changed = {entry.path: self._merged(entry) for entry in entries}
        self._write(self.entries | changed)

    def _merged(self, entry: LedgerEntry) -> LedgerEntry:
        before = self.entries.get(entry.path)
        if before is None:
            return entry
        if before.bytes != entry.bytes or entry.corrupt:
            return replace(before, corrupt=entry.corrupt)
        rows = dict(zip(before.sha256, before.rows, strict=True)) | dict(zip(entry.sha256, entry.rows, strict=True))
        return replace(
            entry,
            retired=before.retired,
            start=_earliest(before.start, entry.start),
            end=_latest(before.end, entry.end),
            sha256=tuple(rows),
            rows=tuple(rows.values()),
        )

    def holds(self, row: Mapping[str, Any], parser_version: int) -> bool:
        """Return whether a stored response gave its rows to Silver already, by these parsers."""
        entry = self.entries.get(row["file"] or row["path"])
        if entry is None or entry.parser_version != parser_version:
            return False
        if entry.path not in self._hashes:
            self._hashes[entry.path] = frozenset(entry.sha256)
        return row["sha256"] in self._hashes[entry.path]

    def missing(self, span: Window | None = None) -> list[LedgerEntry]:
        """Return the entries of a span whose file is missing or changed and was not retired."""
        return [
            entry
            for entry in self.entries.values()
            if not entry.retired and (span is None or entry.overlaps(span)) and entry.problem(self.root)
        ]

    def retired(self, span: Window | None = None) -> list[LedgerEntry]:
        """Return the entries of a span whose file was retired."""
        return [entry for entry in self.entries.values() if entry.retired and (span is None or entry.overlaps(span))]

    def retire(self, paths: Iterable[str]) -> int:
        """Mark files as removed on purpose; their hashes, row counts, and rows in Silver stay. Return how many."""
        chosen = [self.entries[path] for path in paths if path in self.entries and not self.entries[path].retired]
        self._write(self.entries | {entry.path: replace(entry, retired=True) for entry in chosen})
        return len(chosen)

    def _write(self, entries: dict[str, LedgerEntry]) -> None:
        if entries == self.entries:
            return
        self.entries, self._hashes = dict(sorted(entries.items())), {}
        names = _SCHEMA.names
        rows = pa.Table.from_pylist(
            [{name: getattr(e, name) for name in names} for e in self.entries.values()], _SCHEMA
        )
        write_atomic(
            self._path, lambda temporary: pq.write_table(rows, temporary, compression="zstd"), via=self.root / LEDGER
        )


def _earliest(one: datetime | None, other: datetime | None) -> datetime | None:
    return None if one is None or other is None else min(one, other)


def _latest(one: datetime | None, other: datetime | None) -> datetime | None:
    return None if one is None or other is None else max(one, other)


def _read(path: Path) -> dict[str, LedgerEntry]:
    if not path.exists():
        return {}
    try:
        rows = pq.read_table(path, partitioning=None).to_pylist()
        return {row["path"]: LedgerEntry(**_hashable(row)) for row in rows}
    except (pa.ArrowException, OSError, TypeError, KeyError) as error:
        raise DatasetError(
            f"cannot read the ledger {path}: {error}; restore it from a copy, because without it a missing Bronze file "
            "goes unnoticed"
        ) from error


def _hashable(row: dict) -> dict:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}


def read_ledgers(root: Path) -> list[tuple[str, str, Ledger]]:
    """Return the ledgers of a warehouse, with the venue and table of each."""
    files = sorted((root / LEDGER).glob("*/exchange=*.parquet"))
    names = [(path.stem.removeprefix("exchange="), path.parent.name) for path in files]
    return [(exchange, table, Ledger(root, exchange, TABLES[table])) for exchange, table in names if table in TABLES]


def retire(root: Path, paths: Iterable[str]) -> dict[str, int]:
    """Mark Bronze files as removed on purpose, in every ledger that names them.

    Their hashes, row counts, and parser versions stay in the ledger, and their rows stay in Silver.

    Parameters
    ----------
    root : Path
        Folder of the warehouse.
    paths : iterable of str
        Files below the warehouse, as the ledger names them.

    Returns
    -------
    dict of str to int
        Rows of each file that is retired now.

    Raises
    ------
    UnknownNameError
        If no ledger names a file.
    """
    ledgers, chosen = read_ledgers(root), list(paths)
    known = {path for _, _, ledger in ledgers for path in ledger.entries}
    for path in chosen:
        if path not in known:
            raise UnknownNameError.of("Bronze file", path, known)
    retired: dict[str, int] = dict.fromkeys(chosen, 0)
    for _, _, ledger in ledgers:
        for path in chosen:
            retired[path] += sum(ledger.entries[path].rows) if path in ledger.entries else 0
        ledger.retire(chosen)
    return retired
