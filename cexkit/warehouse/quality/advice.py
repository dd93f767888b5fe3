"""What to do about blocking checks that fail, as the last part of an error message."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from cexkit.warehouse.store.ledgers import read_ledgers
from cexkit.warehouse.store.wording import counted, first_names

#: Checks that pass after a rebuild of the table.
_REBUILT = {"schema", "data_files", "unique_key", "bronze_rows"}


def advice(failed: pl.DataFrame, root: Path | None = None) -> str:
    """Return what to do about failed checks.

    Parameters
    ----------
    failed : polars.DataFrame
        Rows of ``data_quality`` that block.
    root : Path, optional
        Folder of the warehouse, whose lost Bronze files are named.
    """
    checks = set(failed["check_name"])
    parts = []
    if "bronze_files" in checks:
        parts += [*(_bronze_files(root) if root else ()), "`cexkit bronze check` lists lost Bronze files"]
    if others := checks & _REBUILT:
        places = (
            failed.filter(pl.col("check_name").is_in(list(others)))
            .select("exchange", "table_name")
            .unique()
            .sort("exchange", "table_name")
        )
        commands = [f"`cexkit rebuild {exchange} --table {table}`" for exchange, table in places.iter_rows()]
        parts.append(f"make tables again from Bronze: {first_names(commands)}")
    if checks - _REBUILT - {"bronze_files"}:
        parts.append("leave out a wrong response with `cexkit quarantine exclude`, or restore the files from a backup")
    return "; ".join(parts)


def _bronze_files(root: Path) -> Iterator[str]:
    """Yield what to do about Bronze files that are lost, and those that no build has merged."""
    lost, pending = set(), set()
    for ledger in read_ledgers(root):
        gone = {file.path: file.problem for file in ledger.lost}
        lost |= set(gone.values())
        new = ledger.files.filter(pl.col("state") == "pending", ~pl.col("retired"))["path"]
        pending |= set() if ledger.is_earlier else set(new) - gone.keys()
    if lost:
        yield (
            f"{first_names(sorted(lost))}: restore the files from a backup, or run `cexkit bronze retire` if they were "
            "moved or removed on purpose"
        )
    if pending:
        yield f"merge {counted(len(pending), 'new Bronze file')} with `cexkit pull`"
