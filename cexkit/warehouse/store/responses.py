"""Responses in Bronze as the ledgers name them: found by their file or hash, and those that are excluded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from cexkit.errors import UnknownNameError
from cexkit.schema.intervals import Window
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.ledgers import find_file, read_ledgers, rows_by_file

if TYPE_CHECKING:
    import polars as pl

#: Fewest characters by which a response may be named.
SHORTEST_DIGEST = 8


def find_digest(root: Path, digest: str) -> str:
    """Return the whole hash of a Bronze response, given its first characters.

    Raises
    ------
    UnknownNameError
        If no response, or more than one, has a hash that begins like this.
    """
    ledgers = read_ledgers(root)
    known = {each for ledger in ledgers for day in ledger.response_days for each in ledger.responses(day)["sha256"]}
    found = {each for each in known.union(*(ledger.excluded for ledger in ledgers)) if each.startswith(digest.lower())}
    if len(found) == 1 and len(digest) >= SHORTEST_DIGEST:
        return found.pop()
    problem = f"begins {len(found):,} hashes" if len(found) > 1 and len(digest) >= SHORTEST_DIGEST else "is not one"
    raise UnknownNameError(
        f"hash must be the sha256 of a Bronze response, or at least its first {SHORTEST_DIGEST} characters, got "
        f"{digest!r}, which {problem}; `cexkit bronze responses FILE` prints the hashes of a file"
    )


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A Bronze response as a ledger names it.

    Attributes
    ----------
    sha256, exchange, table, path : str
        Its hash, whose rows it gave, and its file.
    instrument : str
        Type and symbol; empty if it is about several.
    span : Window or None
        Span of its rows; None if they have no times.
    rows : int
        Rows that it gave.
    excluded : bool
        True if its rows are left out of Silver.
    quarantined : int
        Rows that it gave and that cannot be used.
    reason : str
        What is wrong with them; empty without any.
    """

    sha256: str
    exchange: str
    table: str
    path: str
    instrument: str
    span: Window | None
    rows: int
    excluded: bool
    quarantined: int = 0
    reason: str = ""


def responses_in(root: Path, path: str) -> list[StoredResponse]:
    """Return the responses in a Bronze file, by table and position; of an archive file, the one that refers to it.

    Raises
    ------
    UnknownNameError
        If no ledger names the file.
    """
    ledgers = read_ledgers(root)
    path = find_file(root, path, rows_by_file(ledgers))
    found = []
    for ledger in ledgers:
        if path.endswith(".parquet"):
            rows = ledger.responses(layout.received_on(path)).filter(path=path)
        else:
            rows = ledger.responses_with([PurePosixPath(path).stem])
        found += _stored(ledger, rows)
    return found


def excluded_responses(root: Path) -> list[StoredResponse]:
    """Return the responses whose rows are left out of Silver, by table and venue."""
    return [
        response
        for ledger in read_ledgers(root)
        if (hashes := ledger.excluded)
        for response in _stored(ledger, ledger.responses_with(hashes))
    ]


def responses_with_bad_rows(root: Path) -> list[StoredResponse]:
    """Return the responses of which some rows cannot be used, by table and venue."""
    import polars as pl

    return [
        response
        for ledger in read_ledgers(root)
        for day in ledger.response_days
        for response in _stored(ledger, ledger.responses(day).filter(pl.col("quarantined") > 0))
    ]


def _stored(ledger: Ledger, rows: pl.DataFrame) -> list[StoredResponse]:
    excluded = ledger.excluded
    return [
        StoredResponse(
            row["sha256"],
            ledger.exchange,
            ledger.table.name,
            row["path"],
            " ".join(row[name] for name in ("instrument_type", "symbol") if row[name]),
            None if None in (row["start"], row["end"]) else Window(row["start"], row["end"]),
            row["rows"],
            row["sha256"] in excluded,
            row["quarantined"] or 0,
            row["reason"] or "",
        )
        for row in rows.sort("path", "position").iter_rows(named=True)
    ]
