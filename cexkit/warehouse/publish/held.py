"""Tables that are held back from a publication, because a file that they depend on is damaged or missing.

Other tables are published. A table that was held back stays as readers see it now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from cexkit.errors import DamagedFileError, DatasetError, PublicationError, QualityError
from cexkit.schema import TABLES
from cexkit.warehouse.quality import blocking_failures
from cexkit.warehouse.quality.bronze import count_quarantined, read_ledgers
from cexkit.warehouse.store.keys import broken_keys
from cexkit.warehouse.store.manifest import DataFile, Manifest
from cexkit.warehouse.store.parquet import sha256

#: The check that fails if Bronze files are lost; the rows in Silver are as they were.
_OF_BRONZE = "bronze_files"
_SHOWN = 3

#: Table → what is wrong, one sentence per file.
Held = Mapping[str, tuple[str, ...]]


def damaged_tables(root: Path, manifest: Manifest) -> Held:
    """Return the tables of which a data file, key digests, or a ledger are damaged or missing."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in manifest.files:
        wrong = _wrong(root, file)
        found[file.table] += [f"{file.path} {wrong}"] if wrong else broken_keys(root, Manifest(files=(file,)))
    for table in (table for table in TABLES.values() if table.layer == "silver"):
        try:
            count_quarantined(root, table)
            for ledger in read_ledgers(root, table).values():
                _ = ledger.days  # read on first use
        except DamagedFileError as error:
            found[table.name].append(str(error))
    return _with_companions({name: tuple(problems) for name, problems in found.items() if problems})


def tables_without_bronze(root: Path, quality: pl.DataFrame) -> Held:
    """Return the tables whose only failed blocking check is the one of their Bronze files."""
    failed = blocking_failures(quality)
    others = set(failed.filter(pl.col("check_name") != _OF_BRONZE)["table_name"])
    found = {}
    for name in set(failed["table_name"]) - others:
        lost = [file.problem for ledger in read_ledgers(root, TABLES[name]).values() for file in ledger.lost]
        found[name] = tuple(f"{_OF_BRONZE} fails: {problem}" for problem in lost or ["files are not merged yet"])
    return _with_companions(found)


def describe_held(held: Held) -> str:
    """Return the tables and reasons as a text."""
    return "; ".join(
        f"{name} ({'; '.join(problems[:_SHOWN])}{' …' if problems[_SHOWN:] else ''})"
        for name, problems in sorted(held.items())
    )


def held_error(held: Held, rest: str) -> DatasetError | QualityError:
    """Return the error that ends a publication which held tables back; ``rest`` says what became of the others."""
    text = (
        f"held back, so that readers see them as before: {describe_held(held)}. Restore these files, or make them "
        f"again from Bronze with `cexkit rebuild`. The other tables: {rest}"
    )
    by_check = all(problem.startswith(_OF_BRONZE) for problems in held.values() for problem in problems)
    return QualityError(text) if by_check else PublicationError(text)


def _with_companions(held: Held) -> Held:
    """Add the tables that are made with a held one, because both come from the same responses."""
    made = {name: table.made_with for name, table in TABLES.items() if table.made_with in held and name not in held}
    return {**held, **{name: held[source] for name, source in made.items()}}


def _wrong(root: Path, file: DataFile) -> str | None:
    path = root / file.path
    if not path.is_file():
        return "is missing"
    if path.stat().st_size != file.bytes:
        return f"has {path.stat().st_size:,} bytes, the manifest says {file.bytes:,}"
    return None if sha256(path) == file.sha256 else "has another content than the manifest says (sha256)"
