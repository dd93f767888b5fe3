"""Row validation: rows that fail a check are quarantined with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cexkit.schema.tables import Table

if TYPE_CHECKING:
    import polars as pl

#: Check of every table of bars or snapshots, in addition to its declared checks.
ON_GRID = "on_grid"


def conditions(table: Table) -> dict[str, pl.Expr]:
    """Return the conditions that every row must meet.

    Keys are check names; values are boolean expressions that are never null. In addition to the declared checks, the
    timestamp of a row in a table with an interval must be on the grid of that interval.

    Examples
    --------
    >>> from cexkit.schema import TABLES
    >>> list(conditions(TABLES["open_interest"]))
    ['open_interest_not_negative', 'on_grid']
    """
    import polars as pl

    found = {check.name: pl.sql_expr(check.must) for check in table.checks}
    if table.bar is not None:
        found[ON_GRID] = pl.col("timestamp").dt.truncate(table.interval) == pl.col("timestamp")
    return {name: condition.fill_null(False).alias(name) for name, condition in found.items()}


def split(rows: pl.DataFrame, table: Table) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split rows into those that meet all checks and those that do not, with a ``reason`` column.

    Parameters
    ----------
    rows : polars.DataFrame
        Rows in the declared columns.
    table : Table
        Declaration of the rows' table.

    Returns
    -------
    tuple of polars.DataFrame
        Good rows in the declared columns; failed rows with ``reason``, the names of the failed checks
        joined by ``+``. Every row is in exactly one of the two.

    Examples
    --------
    >>> import polars as pl
    >>> from cexkit.schema import TABLES
    >>> from cexkit.schema.render import to_polars
    >>> rows = to_polars(TABLES["liquidations"]).to_frame()
    >>> [part.height for part in split(rows, TABLES["liquidations"])]
    [0, 0]
    """
    import polars as pl

    failed = [pl.when(~condition).then(pl.lit(name)) for name, condition in conditions(table).items()]
    reasons = pl.concat_str(failed, separator="+", ignore_nulls=True) if failed else pl.lit("")
    judged = rows.with_columns(reason=reasons)
    return judged.filter(reason="").drop("reason"), judged.filter(pl.col("reason") != "")
