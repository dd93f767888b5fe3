"""Tables that are held back from a publication, because a file that they depend on is damaged or missing.

Other tables are published. A table that was held back stays as readers see it now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from cexkit.errors import DamagedFileError, DatasetError, PublicationError, QualityError
from cexkit.schema import TABLES
from cexkit.warehouse.quality import blocking_failures
from cexkit.warehouse.quality.advice import advice
from cexkit.warehouse.quality.bronze import count_quarantined, read_ledgers
from cexkit.warehouse.store.data_files import file_problem, remedy, value_problem
from cexkit.warehouse.store.keys import broken_keys
from cexkit.warehouse.store.manifest import Manifest
from cexkit.warehouse.store.wording import NAMES_SHOWN, first_names

#: The check that fails if Bronze files are lost; the rows in Silver are as they were.
_OF_BRONZE = "bronze_files"


@dataclass(frozen=True, slots=True)
class HeldTable:
    """Why a table is held back.

    Attributes
    ----------
    problems : tuple of str
        What is wrong, one sentence per file.
    remedies : tuple of str
        What to do about it.
    by_check : bool
        True if all of its Silver is intact, and only the check of its Bronze files fails.
    """

    problems: tuple[str, ...]
    remedies: tuple[str, ...] = ()
    by_check: bool = False


#: Held tables by their name.
Held = Mapping[str, HeldTable]


def damaged_tables(root: Path, manifest: Manifest) -> Held:
    """Return the tables of which a data file, key digests, or a ledger are damaged or missing."""
    problems: dict[str, list[str]] = defaultdict(list)
    remedies: dict[str, dict[str, None]] = defaultdict(dict)
    for file in manifest.files:
        problem = file_problem(root, file) or value_problem(root, file)
        if found := [f"{file.path} {problem}"] if problem else broken_keys(root, Manifest(files=(file,))):
            problems[file.table] += found
            remedies[file.table][remedy(file)] = None
    for table in (table for table in TABLES.values() if table.layer == "silver"):
        try:
            count_quarantined(root, table)
            for ledger in read_ledgers(root, table).values():
                _ = ledger.days  # read on first use
        except DamagedFileError as error:
            problems[table.name].append(str(error))
    return _with_companions({name: HeldTable(tuple(found), tuple(remedies[name])) for name, found in problems.items()})


def tables_without_bronze(root: Path, quality: pl.DataFrame) -> Held:
    """Return the tables whose only failed blocking check is the one of their Bronze files."""
    failed = blocking_failures(quality)
    others = set(failed.filter(pl.col("check_name") != _OF_BRONZE)["table_name"])
    found = {}
    for name in set(failed["table_name"]) - others:
        lost = [file.problem for ledger in read_ledgers(root, TABLES[name]).values() for file in ledger.lost]
        problems = tuple(f"{_OF_BRONZE} fails: {problem}" for problem in lost or ["files are not merged yet"])
        found[name] = HeldTable(problems, (advice(failed.filter(table_name=name), root),), by_check=True)
    return _with_companions(found)


def describe_held(held: Held) -> str:
    """Return the tables and reasons as a text."""
    return "; ".join(
        f"{name} ({'; '.join(one.problems[:NAMES_SHOWN])}{' …' if one.problems[NAMES_SHOWN:] else ''})"
        for name, one in sorted(held.items())
    )


def held_error(held: Held, rest: str) -> DatasetError | QualityError:
    """Return the error that ends a publication which held tables back; ``rest`` says what became of the others."""
    remedies = list(dict.fromkeys(each for _, one in sorted(held.items()) for each in one.remedies))
    to_do = f" To do: {first_names(remedies)}." if remedies else ""
    text = f"held back, so that readers see them as before: {describe_held(held)}.{to_do} The other tables: {rest}"
    return QualityError(text) if all(one.by_check for one in held.values()) else PublicationError(text)


def _with_companions(held: Held) -> Held:
    """Add the tables that are made with a held one, because both come from the same responses."""
    made = {name: table.made_with for name, table in TABLES.items() if table.made_with in held and name not in held}
    return {**held, **{name: held[source] for name, source in made.items()}}
