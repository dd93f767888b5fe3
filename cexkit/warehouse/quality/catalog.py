"""The checks of a table, and their results as rows of the table ``data_quality``."""

from __future__ import annotations

import polars as pl

from cexkit.schema import Table
from cexkit.warehouse.quality.row_checks import with_quality_columns

#: Checks in addition to those that tables declare: name → whether it blocks, and what it requires.
CHECKS = {
    "schema": (True, "every file has the declared columns and types"),
    "data_files": (
        True,
        "every file is the one that the manifest names, with the rows, span, venue, and period that it states, and no "
        "two files of a venue cover the same time",
    ),
    "unique_key": (True, "no two rows have the same key"),
    "bronze_files": (
        True,
        "every Bronze file is merged, and has its recorded size and no damage that a build or a verification found, or "
        "was retired on purpose",
    ),
    "bronze_rows": (
        True,
        "every row that the venue's responses gave is in the table or quarantined, and no other row is",
    ),
    "quarantined_rows": (False, "no row failed a check during ingestion"),
    "gaps": (False, "every bar, snapshot, and settlement of the instrument's own calendar exists"),
    "fresh": (False, "the newest row of every trading instrument is young enough"),
    "outlier": (False, "a close is near the median of at least three venues"),
}


def checks_of(table: Table) -> dict[str, bool]:
    """Return the checks that :func:`run_checks` runs on a table: name → whether it blocks.

    Examples
    --------
    >>> from cexkit.schema import TABLES
    >>> list(checks_of(TABLES["liquidations"]))[:5]
    ['known_side', 'positive_liquidation', 'schema', 'data_files', 'unique_key']
    """
    with_gaps = table.bar is not None or table.name == "funding_rates"
    fits = {
        "gaps": with_gaps,
        "fresh": table.time is not None and table.name != "liquidations",
        "bronze_files": table.made_with is None,
        "bronze_rows": table.made_with is None,
        "outlier": table.bar is not None and "volume_base" in table.columns,
    }
    others = {name: blocking for name, (blocking, _) in CHECKS.items() if fits.get(name, True)}
    return {check.name: check.blocking for check in table.checks} | others


def meanings_of(table: Table) -> dict[str, str]:
    """Return what the checks of a table require: name → meaning.

    Examples
    --------
    >>> from cexkit.schema import TABLES
    >>> meanings_of(TABLES["ohlcv_1h"])["positive_price"]
    'prices are above zero'
    """
    declared = {check.name: check.meaning for check in table.checks}
    return {name: declared.get(name) or CHECKS[name][1] for name in checks_of(table)}


def named(counted: pl.DataFrame, table: Table, check: str) -> pl.DataFrame:
    """Return counts per venue and day as rows of ``data_quality``, in any order."""
    counted = counted.with_columns(
        table_name=pl.lit(table.name), check_name=pl.lit(check), blocking=pl.lit(checks_of(table)[check])
    )
    return with_quality_columns(counted)
