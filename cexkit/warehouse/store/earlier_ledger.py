"""Ledgers of storage version 1: one file per table and venue, whose rows are Bronze files with lists of responses.

They become ledgers of the present version with the first build. Until then they are read as such: files that are
missing or changed are lost, retired ones stay retired, and all others are merged again.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cexkit.errors import DamagedFileError
from cexkit.warehouse.store.ledger_files import EMPTY, FILES, RESPONSES, schema_of
from cexkit.warehouse.store.parquet import has_size

if TYPE_CHECKING:
    import polars as pl

#: What was wrong with a file that a build of version 1 could not read.
DAMAGE = "{path} is not Parquet, or holds a body that does not match its hash"


def read_earlier(root: Path, path: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the Bronze files and the responses that a ledger of version 1 names, in the columns of the present one.

    Parameters
    ----------
    root : Path
        Folder of the warehouse.
    path : Path
        File of the ledger.

    Raises
    ------
    DamagedFileError
        If it cannot be read.
    """
    import polars as pl

    try:
        rows = pl.read_parquet(path, hive_partitioning=False, glob=False).to_dicts()
        files = [_file(root, row) for row in rows]
        responses = [
            {"path": row["path"], "position": position, "sha256": digest, "rows": count}
            | {name: row[name] for name in ("start", "end", "parser_version")}
            for row in rows
            for position, (digest, count) in enumerate(zip(row["sha256"], row["rows"], strict=True))
        ]
        empty = dict.fromkeys(RESPONSES)
        return (
            pl.DataFrame([dict(EMPTY) | file for file in files], schema_of(FILES)),
            pl.DataFrame([empty | response for response in responses], schema_of(RESPONSES)),
        )
    except (pl.exceptions.PolarsError, OSError, KeyError, TypeError, ValueError) as error:
        raise DamagedFileError(
            f"the ledger {path} must be readable Parquet, got {error}; restore it from a copy, or delete it, and no "
            "run reports the Bronze files that were lost before"
        ) from error


def _file(root: Path, row: dict) -> dict:
    """Return a Bronze file as a row of the present ledger; one that can be read again is still to be merged."""
    present = not row["retired"] and has_size(root / row["path"], row["bytes"])
    names = ("path", "bytes", "start", "end", "parser_version", "retired")
    return {name: row[name] for name in names} | {
        "responses": len(row["sha256"]),
        "rows": sum(row["rows"]),
        "state": "pending" if present else "merged",
        "damage": DAMAGE.format(path=row["path"]) if row["corrupt"] else None,
    }
