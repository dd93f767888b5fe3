"""Merge of parsed responses: the last one wins per key, and intervals are filled from the distance of settlements."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from cexkit.schema import INSTRUMENT_KEYS, Table

if TYPE_CHECKING:
    import polars as pl

#: A longer distance of settlements separates series whose intervals are derived apart.
SEPARATE = timedelta(days=2)
#: How far a settlement can affect the derived intervals of others: four settlements on each side decide one.
REACH = 4 * SEPARATE


def latest(rows: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Return the last row of each key; what it does not say stays as an earlier one said it.

    An archive of funding has no mark prices: without this they would be gone once a month's file is there.
    """
    import polars as pl

    last = rows.unique(subset=table.key, keep="last", maintain_order=True)
    incomplete = [] if last.height == rows.height else [name for name in last.columns if last[name].null_count()]
    for name in incomplete:
        earlier = rows.filter(pl.col(name).is_not_null()).unique(subset=table.key, keep="last")
        earlier = earlier.select(*table.key, pl.col(name).alias("_earlier"))
        last = last.join(earlier, on=table.key, how="left", maintain_order="left")
        last = last.with_columns(pl.coalesce(name, "_earlier").alias(name)).drop("_earlier")
    return last


def with_intervals(rows: pl.DataFrame) -> pl.DataFrame:
    """Fill the interval where the venue does not say it, from the distance of settlements.

    It is stored, so that a later cut of the table does not change a row's interval. Series that are more than
    :data:`SEPARATE` apart do not affect each other, so a part of the rows gives the same intervals as all of them. What
    the venue says stays as it is, so that the checks of the table see it.
    """
    import polars as pl

    from cexkit.analytics.funding.rates import funding_interval

    columns = rows.columns
    rows = rows.sort(*INSTRUMENT_KEYS, "timestamp")
    apart = (pl.col("timestamp").diff() > SEPARATE).fill_null(False).cum_sum().over(INSTRUMENT_KEYS)
    series = pl.format("{} {}", "symbol", apart)  # of one instrument, those apart are several to the metric
    times = rows.select(*INSTRUMENT_KEYS, "timestamp").with_columns(symbol=series)
    derived = funding_interval(times).get_column("funding_interval_hours")
    return rows.with_columns(pl.coalesce("funding_interval_hours", derived)).select(columns)
