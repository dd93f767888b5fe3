"""All ledgers of a warehouse: which there are, and what people decide about Bronze."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cexkit.errors import DamagedFileError, DatasetError, UnknownNameError
from cexkit.schema import TABLES, Table
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.warehouse import Warehouse
from cexkit.warehouse.store.wording import NAMES_SHOWN


def read_ledgers(root: Path, table: Table | None = None, *, damaged: list[str] | None = None) -> list[Ledger]:
    """Return the ledgers of a warehouse, or of one table, by table and venue; those of earlier versions too.

    A damaged ledger is an error, or is left out if ``damaged`` is given, which gets the message.
    """
    known, found = TABLES if table is None else {table.name: table}, []
    for name, venue in _ledger_names(root):
        try:
            found += [Ledger(root, venue, known[name])] if name in known else []
        except DamagedFileError as error:
            if damaged is None:
                raise
            damaged.append(str(error))
    return found


def ledger_venues(root: Path) -> set[str]:
    """Return the venues that have a ledger."""
    return {venue for _, venue in _ledger_names(root)}


def _ledger_names(root: Path) -> list[tuple[str, str]]:
    """Return the table and venue of each ledger: of a folder, or of the file that earlier versions wrote."""
    paths = (root / layout.LEDGER).glob("*/exchange=*")
    return sorted({(path.parent.name, path.name.removeprefix("exchange=").removesuffix(".parquet")) for path in paths})


@contextmanager
def same_rows(warehouse: Warehouse, table: Table, exchange: str | None) -> Iterator[None]:
    """Let files of Silver be replaced by others with the same rows, so that the next build does not merge all again."""
    ledger = Ledger(warehouse.root, exchange or "", table)
    expected = ledger.silver is not None and ledger.silver == warehouse.manifest.state_of(table.name, ledger.exchange)
    if expected:
        ledger.record_silver(None)
    yield
    if expected:
        ledger.record_silver(warehouse.manifest.state_of(table.name, ledger.exchange))


def retire(root: Path, paths: Iterable[str]) -> dict[str, int]:
    """Mark Bronze files as moved or removed on purpose, in every ledger that names them.

    Their hashes, row counts, and parser versions stay in the ledger, and their rows stay in Silver.

    Parameters
    ----------
    root : Path
        Folder of the warehouse.
    paths : iterable of str
        Files below the warehouse, as the ledgers name them, or with the folder of the warehouse before it.

    Returns
    -------
    dict of str to int
        Rows of each file that is retired now.

    Raises
    ------
    UnknownNameError
        If no ledger names a file.
    """
    ledgers = read_ledgers(root)
    rows = rows_by_file(ledgers)
    chosen = [find_file(root, path, rows) for path in paths]
    for ledger in ledgers:
        ledger.retire(chosen)
    return {path: rows[path] for path in chosen}


def unretire(root: Path, paths: Iterable[str]) -> tuple[dict[str, int], list[Ledger]]:
    """Undo :func:`retire`; the next build of the tables merges the files again, or reports those that are missing.

    Parameters
    ----------
    root : Path
        Folder of the warehouse.
    paths : iterable of str
        See :func:`retire`.

    Returns
    -------
    dict of str to int, list of Ledger
        Rows of each file that is no longer retired, and the ledgers that name one.

    Raises
    ------
    UnknownNameError
        If a file is not retired.
    """
    ledgers = read_ledgers(root)
    rows = {file.path: file.rows for file in retired_files(root)}
    chosen = [find_file(root, path, rows, what="retired Bronze file", listing="retired") for path in paths]
    changed = [ledger for ledger in ledgers if ledger.unretire(chosen)]
    return {path: rows[path] for path in chosen}, changed


@dataclass(frozen=True, slots=True)
class RetiredFile:
    """A Bronze file that was moved or removed on purpose; ``rows`` of all ``tables``, as the ledgers name them."""

    path: str
    tables: tuple[str, ...]
    rows: int
    present: bool


def retired_files(root: Path) -> list[RetiredFile]:
    """Return the Bronze files that are retired, by path; ``present`` if a file exists all the same."""
    import polars as pl

    found: dict[str, dict[str, int]] = {}
    for ledger in read_ledgers(root):
        rows = ledger.files.filter(pl.col("retired"), pl.col("state") != "other")
        for path, count in rows.select("path", "rows").iter_rows():
            found.setdefault(path, {})[f"{ledger.exchange} {ledger.table.name}"] = count
    return [
        RetiredFile(path, tuple(tables), sum(tables.values()), (root / path).exists())
        for path, tables in sorted(found.items())
    ]


def rows_by_file(ledgers: Iterable[Ledger]) -> dict[str, int]:
    """Return the rows of each Bronze file that gave some or is still to be merged, over all tables."""
    rows: dict[str, int] = {}
    for ledger in ledgers:
        for path, count, state in ledger.files.select("path", "rows", "state").iter_rows():
            if state != "other":
                rows[path] = rows.get(path, 0) + count
    return rows


def find_file(
    root: Path, path: str, known: Collection[str], *, what: str = "Bronze file", listing: str = "check"
) -> str:
    """Return the path below the warehouse of a Bronze file; with the folder of the warehouse before it, it works too.

    Raises
    ------
    UnknownNameError
        If it is not a known file; the message names the nearest ones.
    """
    inside = os.path.relpath(Path(path).absolute(), root.absolute())
    for name in (path, inside, os.path.relpath(Path(path).resolve(), root.resolve())):
        if Path(name).as_posix() in known:
            return Path(name).as_posix()
    near = difflib.get_close_matches(path, known, n=NAMES_SHOWN)
    hint = f"; did you mean {' or '.join(near)}?" if near else ";"
    raise UnknownNameError(f"unknown {what} {path!r}{hint} `cexkit bronze {listing}` lists files")


def exclude(root: Path, digest: str, *, excluded: bool = True) -> list[Ledger]:
    """Leave out the rows of a response, or use them again, from the next build on.

    Parameters
    ----------
    root : Path
        Folder of the warehouse.
    digest : str
        Hash (sha256) of the response's body, as the ledger names it; see
        :func:`cexkit.warehouse.store.responses.find_digest`.
    excluded : bool
        False uses the rows again.

    Returns
    -------
    list of Ledger
        Ledgers of the tables that the response is about, or that carry facts from it; Silver changes with their next
        build.

    Raises
    ------
    UnknownNameError
        If no ledger names the hash.
    DatasetError
        If Bronze does not hold the response any more, because its rows are not known apart from others then.
    """
    for ledger in read_ledgers(root):
        for path in ledger.holders(digest):
            if not (root / path).exists():
                raise DatasetError(f"{path} must hold the response with hash {digest}, but it is missing; restore it")
    found = [ledger for ledger in read_ledgers(root) if ledger.exclude(digest, excluded=excluded)]
    if not found:
        raise UnknownNameError.of("hash of a Bronze response", digest, [])
    return [*found, *_reset_dependent(root, found)]


def _reset_dependent(root: Path, changed: Iterable[Ledger]) -> list[Ledger]:
    """Let the next build make all rows again that carry facts of instruments, if a list of instruments changed."""
    venues = {ledger.exchange for ledger in changed if ledger.table.name == "instruments"}
    dependent = [
        ledger
        for ledger in read_ledgers(root)
        if ledger.exchange in venues and "multiplier" in ledger.table.nullable and ledger.table.time is not None
    ]
    for ledger in dependent:
        ledger.reset()
    return dependent
