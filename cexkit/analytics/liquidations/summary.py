"""Liquidations: forced closings, by the side of the position that was closed."""

from __future__ import annotations

from collections.abc import Sequence

import narwhals.stable.v2 as nw

from cexkit.analytics._core.compat import Frame, names, text, with_bucket
from cexkit.analytics._core.registry import metric
from cexkit.analytics._core.units import MIXED, mixed_notes
from cexkit.analytics._core.usd import usd, usd_inputs
from cexkit.analytics.liquidations._common import (
    SIDES,
    coverage,
    group_columns,
    inspects_events,
    must_agree,
    quantity,
    rank,
    whole,
)
from cexkit.schema.fields import INSTRUMENT_KEYS


@metric(
    kind="summary",
    inputs=("timestamp", "side", "quantity_base"),
    alternatives=usd_inputs("value_usd"),
    optional=("base", "multiplier", "coverage"),
    notes=mixed_notes(
        f"in {{count}} rows value over quantity differs by more than {MIXED:g} times between events, so quantities "
        "are in different units and their sum is null; add the column multiplier or symbol"
    ),
    outputs=("timestamp", "side", "events", "quantity_base", "value_usd", "imbalance", "coverage"),
    groups="by",
    inspects=inspects_events("liquidation_summary"),
)
def liquidation_summary(frame: Frame, *, every: str = "1d", by: str | Sequence[str] | None = INSTRUMENT_KEYS) -> Frame:
    """Liquidations per time bucket and side: how many, how much, and which side prevails.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        Events: ``timestamp``, ``side`` of the **position** (``long``, ``short``), ``quantity_base`` and
        either ``value_usd`` or ``value_quote`` with ``quote``; dollar stablecoins are then taken 1:1
        (``cexkit.schema.USD_LIKE``). ``coverage``, ``base``, ``multiplier`` are used where present.
    every : str
        Length of a bucket: a whole number of ``s``, ``m``, ``h``, ``d`` or ``w``. Buckets are counted in UTC
        from 1970; weeks begin on Monday.
    by : str, sequence of str or None
        Columns to total by, such as ``"base"``; None for all in one. By default the instrument keys that
        are there.

    Returns
    -------
    Same type as ``frame``
        One row per group, bucket and side that has events, sorted so (Ibis promises no order):

        * ``timestamp``: start of the bucket, UTC; ``side``; ``events``: count.
        * ``quantity_base``: sum, in units of base. Grouped by anything but symbol it is in coins where
          ``multiplier`` is there. Null where units do not add up: several bases (or, without ``base``,
          several symbols) in one total, several symbols without ``multiplier``, or without both columns events whose
          values over quantities differ by more than five times.
        * ``value_usd``: sum. Null where an event has no value in dollars: a part is not passed off as
          the whole.
        * ``imbalance``: (long - short) / (long + short) of value_usd in the bucket, the same in the rows of
          both sides; a side without events counts as zero. Null where a value is null or both are zero.
        * ``coverage``: the worst of the bucket, both sides: ``throttled`` totals are lower bounds. Null
          where any of it is unknown.

    Raises
    ------
    MissingColumnError, ColumnTypeError
    InvalidInputError
        If ``side`` holds anything but long and short, such as the order's buy and sell (eager frames; on
        lazy and Ibis frames such rows make the bucket's imbalance null).

    Warns
    -----
    UnpricedQuoteWarning
        If values are in quotes that are not taken as dollars (eager frames).
    SignedQuantityWarning
        If quantities or values are below zero (eager frames); sums with them are null.
    MixedUnitsWarning
        If quantities are in different units (eager frames).

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import datetime
    >>> frame = pl.DataFrame({
    ...     "timestamp": [datetime(2024, 1, 1, 3), datetime(2024, 1, 1, 9), datetime(2024, 1, 1, 22)],
    ...     "side": ["long", "short", "long"],
    ...     "quantity_base": [1.0, 0.5, 0.5],
    ...     "value_usd": [40_000.0, 20_000.0, 20_000.0],
    ... })
    >>> frame.crypto.liquidation_summary().select("side", "events", "value_usd", "imbalance").rows()
    [('long', 2, 60000.0, 0.5), ('short', 1, 20000.0, 0.5)]
    """
    present = names(frame)
    groups = group_columns("liquidation_summary", by, present, {"timestamp", "side"})
    frame = with_bucket(frame, every).with_columns(
        text("side").alias("_side"),
        usd(frame, "value_usd").alias("_value"),
        quantity(frame, groups).alias("_quantity"),
        rank(frame).alias("_rank"),
    )
    unit_price = nw.when(nw.col("_quantity") > 0).then(nw.col("_value") / nw.col("_quantity"))
    frame = frame.with_columns(unit_price.alias("_unit_price"))
    agree = must_agree(present, groups)
    totals = frame.group_by(*groups, "_bucket", "_side").agg(
        nw.len().cast(nw.Int64).alias("events"),
        nw.col("_quantity").sum().alias("_quantity"),
        nw.col("_quantity").is_null().cast(nw.Int64).sum().alias("_no_quantity"),
        nw.col("_value").sum().alias("_value"),
        nw.col("_value").is_null().cast(nw.Int64).sum().alias("_no_value"),
        nw.col("_rank").max().alias("_rank"),
        nw.col("_unit_price").min().alias("_lowest"),
        nw.col("_unit_price").max().alias("_highest"),
        *(nw.col(name).n_unique().alias(f"_mixed_{name}") for name in agree),
    )
    unknown = not {"symbol", "multiplier"} & set(present)
    # Both sides of a bucket, because their quantities are compared.
    bucket = [*groups, "_bucket"]
    lowest, highest = nw.col("_lowest").min().over(*bucket), nw.col("_highest").max().over(*bucket)
    totals = totals.with_columns(lowest.alias("_lowest"), highest.alias("_highest"))
    differ = (nw.col("_highest") > nw.col("_lowest") * MIXED).fill_null(False) if unknown else nw.lit(False)
    totals = totals.with_columns(differ.alias("_mixed"))
    return _finish(totals, groups, mixed=[f"_mixed_{name}" for name in agree])


def _finish(totals: Frame, groups: Sequence[str], *, mixed: Sequence[str]) -> Frame:
    """From sums per side to the published columns."""
    bucket = [*groups, "_bucket"]
    side, value = nw.col("_side"), nw.col("_value")
    signed = nw.when(side == "long").then(value).otherwise(nw.when(side == "short").then(-value))
    unusable = (nw.col("_no_value") > 0) | ~side.is_in(list(SIDES)).fill_null(False)
    totals = totals.with_columns(signed.alias("_signed"), unusable.cast(nw.Int64).alias("_unusable"))
    totals = totals.with_columns(
        nw.col("_signed").sum().over(*bucket).alias("_net"),
        value.sum().over(*bucket).alias("_gross"),
        nw.col("_unusable").sum().over(*bucket).alias("_unusable"),
        nw.col("_rank").max().over(*bucket).alias("_rank"),
    )
    adds_up = (nw.col("_no_quantity") == 0) & ~nw.col("_mixed")
    for name in mixed:
        adds_up = adds_up & (nw.col(name) == 1)
    imbalance = nw.when((nw.col("_unusable") == 0) & (nw.col("_gross") > 0)).then(nw.col("_net") / nw.col("_gross"))
    return totals.select(
        *groups,
        nw.col("_bucket").alias("timestamp"),
        side.alias("side"),
        "events",
        nw.when(adds_up).then(nw.col("_quantity")).alias("quantity_base"),
        whole("_value").alias("value_usd"),
        imbalance.alias("imbalance"),
        coverage("_rank").alias("coverage"),
        "_mixed",
    ).sort(*groups, "timestamp", "side")
