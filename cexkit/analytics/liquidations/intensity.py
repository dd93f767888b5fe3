"""Liquidations against what was open before them."""

from __future__ import annotations

from collections.abc import Sequence

import narwhals.stable.v2 as nw

from cexkit.analytics._core.compat import (
    MICRO,
    Frame,
    instrument_keys,
    names,
    with_bucket,
    with_epoch_us,
    with_instant,
)
from cexkit.analytics._core.registry import metric
from cexkit.analytics._core.snapshots import as_of, snapshots
from cexkit.analytics._core.usd import usd, usd_inputs
from cexkit.analytics.liquidations._common import coverage, group_columns, inspects_events, rank, whole
from cexkit.errors import InvalidInputError
from cexkit.schema.fields import INSTRUMENT_KEYS
from cexkit.schema.intervals import seconds


@metric(
    kind="summary",
    inputs=("timestamp", "side"),
    alternatives=usd_inputs("value_usd", "open_interest_usd"),
    optional=("coverage",),
    outputs=("timestamp", "events", "value_usd", "open_interest_usd", "liquidation_intensity_bps", "coverage"),
    groups="by",
    inspects=inspects_events(
        "liquidation_intensity_bps",
        dollars=("value_usd", "open_interest_usd"),
        needs=("timestamp",),
        snapshots=("open_interest_usd", "open_interest_quote"),
        by="by",
    ),
)
def liquidation_intensity_bps(
    frame: Frame, *, every: str = "1d", tolerance: str = "1d", by: str | Sequence[str] | None = INSTRUMENT_KEYS
) -> Frame:
    """Liquidated value per time bucket, relative to the open interest before it, in basis points.

    ``value / open interest * 1e4``. The open interest is that of the last snapshot strictly before the bucket
    begins: one inside it already lacks what was liquidated, and one at its very start may.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        Events and snapshots of open interest in one frame: rows with a ``side`` (of the **position**:
        ``long``, ``short``) are events with ``value_usd``, rows with ``open_interest_usd`` are snapshots
        (put one below the other: ``polars.concat([events, snapshots], how="diagonal")``). In place of
        each, ``value_quote`` or ``open_interest_quote`` with ``quote`` does as well; dollar stablecoins
        are then taken 1:1 (``cexkit.schema.USD_LIKE``). ``coverage`` is used where present.
    every : str
        Length of a bucket, as for :func:`liquidation_summary`.
    tolerance : str
        How old a snapshot may be when the bucket begins.
    by : str, sequence of str or None
        Columns to total by, such as ``"base"``, that events and snapshots have; None for all in one. By default
        the instrument keys that are there.

    Returns
    -------
    Same type as ``frame``
        One row per group and bucket that has events, sorted so (Ibis promises no order):

        * ``timestamp``: start of the bucket, UTC; ``events``: count.
        * ``value_usd``: sum, one-sided as reported. Null where an event has no value in dollars.
        * ``open_interest_usd``: sum over the group's instruments, of the last known snapshot of each; those
          without one that is recent enough are not in it. Null where such an instrument had events: they
          would be set against what others had open.
        * ``liquidation_intensity_bps``: null where either is, or the open interest is zero.
        * ``coverage``: the worst of the bucket; ``throttled`` intensities are lower bounds. Null where
          any of it is unknown.

        A bucket without events has no row: whether there were none or they are missing is not known here.
        Rows whose keys or groups are null belong nowhere: an error on eager frames, else left out.

    Raises
    ------
    MissingColumnError, ColumnTypeError
    DuplicateKeyError
        If snapshots of one instrument and time differ (eager frames; else their value is null).
    InvalidInputError
        If ``side`` holds an order's side, or events have no time or group (eager frames).

    Warns
    -----
    UnpricedQuoteWarning
        If values are in quotes that are not taken as dollars (eager frames).

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import datetime
    >>> frame = pl.DataFrame({
    ...     "timestamp": [datetime(2023, 12, 31, 23), datetime(2024, 1, 1, 9), datetime(2024, 1, 1, 10)],
    ...     "side": [None, "long", None],
    ...     "value_usd": [None, 2e6, None],
    ...     "open_interest_usd": [4e9, None, 3e9],
    ... })
    >>> frame.crypto.liquidation_intensity_bps().select("open_interest_usd", "liquidation_intensity_bps").rows()
    [(4000000000.0, 5.0)]
    """
    groups = group_columns("liquidation_intensity_bps", by, names(frame), {"timestamp"})
    if "side" in groups:
        raise InvalidInputError("liquidation_intensity_bps: open interest has no side to group by")
    keys = list(dict.fromkeys([*groups, *instrument_keys(frame)]))
    for name in ("timestamp", *keys):
        frame = frame.filter(~nw.col(name).is_null())
    frame = with_epoch_us(with_epoch_us(with_bucket(frame, every), "_start", "_bucket"), "_us")
    events = _events(frame, keys)
    points = _points(frame, events, groups, keys)
    known = snapshots(frame, keys, usd(frame, "open_interest_usd"))
    interest = as_of(points, known, keys, within=seconds(tolerance) * MICRO)
    legs = interest.join(events, on=[*keys, "_us"], how="left")
    if isinstance(legs, nw.DataFrame):
        # added up in the same order each time, so that the same frame has the same numbers to the last bit
        legs = legs.sort(*keys, "_us")
    return _finish(legs, groups)


def _events(frame: Frame, keys: Sequence[str]) -> Frame:
    """Events per instrument and bucket, whose start is ``_us``."""
    events = frame.filter(~nw.col("side").is_null())
    events = events.with_columns(usd(frame, "value_usd").alias("_value"), rank(frame).alias("_rank"))
    totals = events.group_by(*keys, "_start").agg(
        nw.len().cast(nw.Int64).alias("_events"),
        nw.col("_value").sum().alias("_value"),
        nw.col("_value").is_null().cast(nw.Int64).sum().alias("_no_value"),
        nw.col("_rank").max().alias("_rank"),
    )
    return totals.rename({"_start": "_us"})


def _points(frame: Frame, events: Frame, groups: Sequence[str], keys: Sequence[str]) -> Frame:
    """Every instrument of a group at the start of every bucket in which the group has events."""
    instruments = frame.with_columns(nw.lit(0).alias("_all")).select("_all", *keys).unique()
    buckets = events.with_columns(nw.lit(0).alias("_all")).select("_all", *groups, "_us").unique()
    return buckets.join(instruments, on=["_all", *groups], how="inner")


def _finish(legs: Frame, groups: Sequence[str]) -> Frame:
    """From instruments to the published totals of groups."""
    lacks = ~nw.col("_events").is_null() & nw.col("_interest").is_null()
    legs = legs.with_columns(lacks.cast(nw.Int64).alias("_no_interest"))
    sums = ("_events", "_value", "_no_value", "_interest", "_no_interest")
    totals = legs.group_by(*groups, "_us").agg(
        *(nw.col(name).sum().alias(name) for name in sums), nw.col("_rank").max().alias("_rank")
    )
    totals = with_instant(totals, "timestamp", "_us").with_columns(
        whole("_value").alias("value_usd"), whole("_interest").alias("open_interest_usd")
    )
    share = nw.when(nw.col("open_interest_usd") > 0).then(nw.col("value_usd") / nw.col("open_interest_usd") * 1e4)
    return totals.select(
        *groups,
        "timestamp",
        nw.col("_events").alias("events"),
        "value_usd",
        "open_interest_usd",
        share.alias("liquidation_intensity_bps"),
        coverage("_rank").alias("coverage"),
    ).sort(*groups, "timestamp")
