"""Counts of rows that fail the declared checks of a table, as table ``data_quality``."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from cexkit.errors import MissingColumnError
from cexkit.schema import TABLES, Check, Table
from cexkit.schema.render import to_polars

Frame = pl.DataFrame | pl.LazyFrame


def data_quality(table: Table, frame: Frame, checks: Sequence[Check] | None = None) -> pl.DataFrame:
    """Count the rows that fail the checks of a table, per venue and UTC day of data.

    Parameters
    ----------
    table : Table
        Declaration of the table.
    frame : polars.DataFrame or polars.LazyFrame
        Rows of the table, before or after failing ones were quarantined.
    checks : sequence of Check, optional
        Conditions to apply. Default: those that the table declares. A row fails a condition that is false or null.

    Returns
    -------
    polars.DataFrame
        Table ``data_quality``, even if no row failed. Instruments are counted on the day they were observed, their
        periods on the day they start.

    Raises
    ------
    MissingColumnError
        If the rows have no ``exchange`` (Gold tables over venues) or lack a column of a check.

    Examples
    --------
    >>> from cexkit.testing.simulation import simulate
    >>> market = simulate(start="2026-05-02", end="2026-05-03", coins=["BTC"], exchanges=["okx"])
    >>> found = data_quality(TABLES["ohlcv_1h"], market.tables["ohlcv_1h"])
    >>> found.select("check_name", "rows_checked", "rows_failed").row(0)
    ('ohlc_order', 48, 0)
    """
    lazy, checks = frame.lazy(), table.checks if checks is None else checks
    time = table.day_column
    have = lazy.collect_schema().names()
    missing = [name for name in ("exchange", time) if name not in have]
    if missing:
        raise MissingColumnError(f"data_quality of {table.name} needs columns {', '.join(missing)}; available: {have}")
    lazy = lazy.with_columns(pl.col(time).dt.truncate("1d").alias("_day"))
    rows = [lazy.group_by("exchange", timestamp="_day").agg(*_found(check)) for check in checks]
    if not rows:
        return as_quality(to_polars(TABLES["data_quality"]).to_frame())
    return as_quality(pl.concat(rows).with_columns(table_name=pl.lit(table.name)).collect())


def _found(check: Check) -> tuple[pl.Expr, ...]:
    return (
        pl.lit(check.name).alias("check_name"),
        pl.lit(check.blocking).alias("blocking"),
        pl.len().cast(pl.Int64).alias("rows_checked"),
        rows_failed(check).alias("rows_failed"),
    )


def rows_failed(check: Check) -> pl.Expr:
    """Return the number of rows that fail a check: its condition is false or null."""
    return (~pl.sql_expr(check.must).fill_null(False)).sum().cast(pl.Int64)


def as_quality(rows: pl.DataFrame) -> pl.DataFrame:
    """Return counts in the columns and order of ``data_quality``."""
    return with_quality_columns(rows).sort(TABLES["data_quality"].key)


def with_quality_columns(rows: pl.DataFrame) -> pl.DataFrame:
    """Return counts in the columns of ``data_quality``, in any order."""
    schema = to_polars(TABLES["data_quality"])
    return rows.select(schema.names()).cast(dict(schema))
