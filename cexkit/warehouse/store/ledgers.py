"""All ledgers of a warehouse: which there are, and what people decide about Bronze."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cexkit.errors import UnknownNameError
from cexkit.schema import TABLES
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.ledger import Ledger


def read_ledgers(root: Path) -> list[Ledger]:
    """Return the ledgers of a warehouse, by table and venue."""
    folders = sorted((root / layout.LEDGER).glob("*/exchange=*"))
    return [
        Ledger(root, folder.name.removeprefix("exchange="), TABLES[folder.parent.name])
        for folder in folders
        if folder.is_dir() and folder.parent.name in TABLES
    ]


def retire(root: Path, paths: Iterable[str]) -> dict[str, int]:
    """Mark Bronze files as moved or removed on purpose, in every ledger that names them.

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
    rows: dict[str, int] = {}
    for ledger in ledgers:
        for path, count, state in ledger.files.select("path", "rows", "state").iter_rows():
            if state != "other":
                rows[path] = rows.get(path, 0) + count
    for path in chosen:
        if path not in rows:
            raise UnknownNameError.of("Bronze file", path, rows)
    for ledger in ledgers:
        ledger.retire(chosen)
    return {path: rows[path] for path in chosen}


def exclude(root: Path, digest: str, *, excluded: bool = True) -> list[Ledger]:
    """Leave out the rows of a response, or use them again, from the next build on.

    Parameters
    ----------
    root : Path
        Folder of the warehouse.
    digest : str
        Hash (sha256) of the response's body, as the ledger names it.
    excluded : bool
        False uses the rows again.

    Returns
    -------
    list of Ledger
        Ledgers of the tables that the response is about; Silver changes with their next build.

    Raises
    ------
    UnknownNameError
        If no ledger names the hash.
    """
    found = [ledger for ledger in read_ledgers(root) if ledger.exclude(digest, excluded=excluded)]
    if not found:
        raise UnknownNameError.of("hash of a Bronze response", digest, [])
    return found
