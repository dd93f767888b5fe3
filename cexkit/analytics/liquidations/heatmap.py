"""Liquidations over time and price."""

from __future__ import annotations

import math
from collections.abc import Sequence

import narwhals.stable.v2 as nw

from cexkit.analytics._core.arguments import check_number
from cexkit.analytics._core.compat import Frame, names, with_bucket
from cexkit.analytics._core.registry import metric
from cexkit.analytics._core.units import MIXED, mixed_notes
from cexkit.analytics._core.usd import usd_inputs
from cexkit.analytics.liquidations._common import (
    coverage,
    group_columns,
    inspects_events,
    rank,
    summed_values,
    total_values,
    with_price,
    with_values,
)
from cexkit.errors import InvalidInputError
from cexkit.schema.fields import INSTRUMENT_KEYS

#: Heights of price bins that can be meant, in basis points.
LEAST_BPS, MOST_BPS = 0.1, 10_000.0


@metric(
    kind="summary",
    inputs=("timestamp", "side", "price"),
    alternatives=usd_inputs("value_usd"),
    optional=("quote", "multiplier", "coverage"),
    outputs=(
        "timestamp",
        "price_low",
        "price_high",
        "events",
        "value_usd",
        "long_value_usd",
        "short_value_usd",
        "coverage",
    ),
    groups="by",
    notes=mixed_notes(
        f"in {{count}} buckets prices differ by more than {MIXED:g} times, so they are in different units and have no "
        "bins; add the columns multiplier and symbol"
    ),
    inspects=inspects_events("liquidation_heatmap", needs=("timestamp",)),
)
def liquidation_heatmap(
    frame: Frame,
    *,
    every: str = "1h",
    bin_bps: float = 100.0,
    bin_width: float | None = None,
    by: str | Sequence[str] | None = INSTRUMENT_KEYS,
) -> Frame:
    """Liquidated value per time bucket and price bin, of events that took place.

    Nothing is predicted: where positions *would* be liquidated is not in this data.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        Events: ``timestamp``, ``side`` of the **position** (``long``, ``short``), ``price`` and either
        ``value_usd`` or ``value_quote`` with ``quote``; dollar stablecoins are then taken 1:1
        (``cexkit.schema.USD_LIKE``). ``quote``, ``multiplier`` and ``coverage`` are used where present.
    every : str
        Length of a time bucket, as for :func:`liquidation_summary`.
    bin_bps : float
        Height of a price bin relative to its lower edge, in basis points. The edges are the powers of
        ``1 + bin_bps / 1e4``, the same for every frame.
    bin_width : float, optional
        Height of a price bin in quote instead: edges are its multiples.
    by : str, sequence of str or None
        Columns to total by, such as ``"base"``; None for all in one. By default the instrument keys that
        are there.

    Returns
    -------
    Same type as ``frame``
        One row per group, bucket and bin that has events, sorted so (Ibis promises no order):

        * ``timestamp``: start of the bucket, UTC.
        * ``price_low``, ``price_high``: the bin, lower edge included, in quote per unit of base. Grouped by
          anything but symbol it is per coin where ``multiplier`` is there. Null, in a row of their own,
          for events whose price is null, NaN, infinite or not above zero, and for all of a group whose
          prices cannot stand on one axis: in several quotes that are not all taken as dollars, or of
          several symbols without ``multiplier`` and ``quote``. Without ``symbol`` and ``multiplier`` also for all of a
          bucket whose prices differ by more than five times.
        * ``events``: count.
        * ``value_usd``, ``long_value_usd``, ``short_value_usd``: sums; zero for a side without events. Null
          where an event has no value in dollars.
        * ``coverage``: the worst of the cell; ``throttled`` values are lower bounds. Null where any of it
          is unknown.

        What the price is depends on the venue (``price_type``): an average fill or a bankruptcy price.

    Raises
    ------
    MissingColumnError, ColumnTypeError
    InvalidInputError
        If ``side`` holds an order's side or an event has no time (eager frames), or a bin has no height.

    Warns
    -----
    UnpricedQuoteWarning
        If values are in quotes that are not taken as dollars (eager frames).
    MixedUnitsWarning
        If prices of a bucket are in different units (eager frames).

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import datetime
    >>> frame = pl.DataFrame({
    ...     "timestamp": [datetime(2024, 1, 1, 3, minute) for minute in (5, 20, 40)],
    ...     "side": ["long", "short", "long"],
    ...     "price": [42_010.0, 42_090.0, 42_350.0],
    ...     "value_usd": [5e4, 2e4, 1e4],
    ... })
    >>> result = frame.crypto.liquidation_heatmap(bin_width=100)
    >>> result.select("price_low", "events", "value_usd", "long_value_usd").rows()
    [(42000.0, 2, 70000.0, 50000.0), (42300.0, 1, 10000.0, 10000.0)]
    """
    height, name = (bin_bps, "bin_bps") if bin_width is None else (bin_width, "bin_width")
    check_number(name, height, "a number, because a price bin needs a height above zero", least=0, closed=False)
    if bin_width is None and not LEAST_BPS <= bin_bps <= MOST_BPS:
        hint = f"; it looks like a fraction: {bin_bps:g} are {bin_bps * 1e4:g} bps" if bin_bps < LEAST_BPS else ""
        raise InvalidInputError(
            f"bin_bps must be from {LEAST_BPS:g} to {MOST_BPS:,.0f} basis points, got bin_bps={bin_bps!r}{hint}"
        )
    groups = group_columns("liquidation_heatmap", by, names(frame), {"timestamp"})
    unknown = not {"symbol", "multiplier"} & set(names(frame))
    frame = with_price(with_bucket(with_values(frame), every), groups, per_unit="symbol" in groups)
    frame = _with_one_unit(frame, [*groups, "_bucket"], unknown=unknown)
    step = math.log1p(bin_bps / 1e4)
    bins = nw.col("_price") / bin_width if bin_width is not None else nw.col("_price").log() / step
    frame = frame.with_columns(bins.floor().cast(nw.Float64).alias("_bin"), rank(frame).alias("_rank"))
    totals = frame.group_by(*groups, "_bucket", "_bin").agg(
        nw.len().cast(nw.Int64).alias("events"),
        *summed_values(),
        nw.col("_rank").max().alias("_rank"),
        nw.col("_mixed").max().alias("_mixed"),
    )
    low, high = nw.col("_bin"), nw.col("_bin") + 1
    low, high = (low * step, high * step) if bin_width is None else (low * bin_width, high * bin_width)
    return totals.select(
        *groups,
        nw.col("_bucket").alias("timestamp"),
        (low.exp() if bin_width is None else low).alias("price_low"),
        (high.exp() if bin_width is None else high).alias("price_high"),
        "events",
        *total_values(),
        coverage("_rank").alias("coverage"),
        (nw.col("_mixed") > 0).alias("_mixed"),
    ).sort(*groups, "timestamp", "price_low")


def _with_one_unit(frame: Frame, bucket: Sequence[str], *, unknown: bool) -> Frame:
    """Make ``_price`` null in buckets whose prices are in different units, and add ``_mixed``, 1 there."""
    price = nw.col("_price")
    frame = frame.with_columns(price.min().over(*bucket).alias("_lowest"), price.max().over(*bucket).alias("_highest"))
    differ = (nw.col("_highest") > nw.col("_lowest") * MIXED).fill_null(False) if unknown else nw.lit(False)
    frame = frame.with_columns(differ.cast(nw.Int64).alias("_mixed"))
    return frame.with_columns(nw.when(nw.col("_mixed") == 0).then(price).alias("_price"))
