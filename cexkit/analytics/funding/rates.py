"""Funding of perpetual swaps: intervals, annual rates, sums.

``funding_rate`` is always the rate *settled* at ``timestamp`` for the interval that ends there, as a
fraction. Predicted rates are another series and do not belong in the same column.
"""

from __future__ import annotations

from collections.abc import Sequence

import narwhals.stable.v2 as nw

from cexkit.analytics._core.compat import Column, Frame, in_time, names, number, positive, shifted, with_epoch_us
from cexkit.analytics._core.registry import metric
from cexkit.errors import InvalidInputError

#: Hours between settlements that venues use.
INTERVALS: tuple[int, ...] = (1, 2, 4, 6, 8)
HOURS_PER_YEAR = 365 * 24

DECLARED = "funding_interval_hours"
_MINUTE_US = 60_000_000


@metric(
    kind="rolling",
    inputs=(),
    optional=(DECLARED,),
    outputs=(DECLARED, "is_gap"),
)
def funding_interval(frame: Frame) -> Frame:
    """Hours that each settlement covers, and whether settlements are missing before it.

    A venue changes intervals while an instrument trades (8 h to 4 h to 1 h), so the interval belongs to
    the row. Per row, in this order:

    1. ``funding_interval_hours`` in the frame, where it is above zero, is taken as it is. ``is_gap``
       then means that the previous settlement is at least two such intervals (less a minute) away.
    2. Otherwise the distance to the instrument's previous settlement decides, rounded to the minute and
       snapped to 1, 2, 4, 6 or 8 h within one minute (the first row has the result of the second).

       * A **gap** is a single distance that is a whole multiple of both distances beside it, these
         being equal: the row gets their interval and ``is_gap``.
       * A distance that the one before or after it repeats is an interval. So is a lone shorter one,
         and the only one there is.
       * Null with ``is_gap`` is everything that the times leave open: a distance that snaps to no
         interval; a single distance that is a multiple of one beside it and no gap by the rule above
         (a gap right beside a change of interval, or at either end of the data, looks exactly like a
         change); two equal ones within a series of a shorter interval they are multiples of (two gaps in
         a row, or a brief change); a single one beside distances that are neither intervals nor multiples of it.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        ``timestamp`` of settlements, in any order; several instruments where ``exchange``,
        ``instrument_type`` or ``symbol`` are there. Times without a zone are taken as UTC.

    Returns
    -------
    Same type as ``frame``
        With ``funding_interval_hours`` (float, hours) and ``is_gap`` (bool, never null). An instrument
        with a single settlement has a null interval and no gap. The accessor returns the frame too,
        since there are two outputs.

    Raises
    ------
    MissingColumnError, ColumnTypeError
    DuplicateKeyError
        If two rows of one instrument share a time (eager frames; on lazy and Ibis frames it is for the
        caller to see that they do not).

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import datetime
    >>> hours = [0, 8, 16, 20, 24, 36, 40]  # 8 h, then 4 h, two settlements missing
    >>> frame = pl.DataFrame({"timestamp": [datetime(2024, 1, 1 + h // 24, h % 24) for h in hours]})
    >>> frame.crypto.funding_interval().select("funding_interval_hours", "is_gap").rows()
    [(8.0, False), (8.0, False), (8.0, False), (4.0, False), (4.0, False), (4.0, True), (4.0, False)]
    """
    frame = _derive(_with_distance(frame))
    if DECLARED not in names(frame):
        return frame.with_columns(nw.col("_derived").alias(DECLARED), nw.col("_doubt").alias("is_gap"))
    declared = positive(frame, DECLARED)
    gap = (nw.col("_minutes") + 1 >= declared * 120).fill_null(False)
    return frame.with_columns(
        nw.when(declared.is_null()).then(nw.col("_doubt")).otherwise(gap).alias("is_gap"),
        nw.coalesce(declared, nw.col("_derived")).alias(DECLARED),
    )


def _with_distance(frame: Frame, separate_by: Sequence[str] = ()) -> Frame:
    """Add ``_distance``, whole minutes since the previous settlement, snapped to the hour within one minute."""
    frame = with_epoch_us(frame, "_us")
    frame = frame.with_columns(shifted(frame, separate_by)(nw.col("_us"), 1).alias("_previous"))
    frame = frame.with_columns(
        ((nw.col("_us") - nw.col("_previous") + _MINUTE_US // 2) // _MINUTE_US).alias("_minutes")
    )
    minutes = nw.col("_minutes")
    frame = frame.with_columns(((minutes + 30) // 60 * 60).alias("_hour"))
    near = (minutes - nw.col("_hour")).abs() <= 1
    return frame.with_columns(nw.when(near).then(nw.col("_hour")).otherwise(minutes).alias("_distance"))


def _derive(frame: Frame, separate_by: Sequence[str] = ()) -> Frame:
    """Add ``_derived`` (hours, null where in doubt) and ``_doubt`` (gap or doubt) from ``_distance``."""
    shift = shifted(frame, separate_by)
    distance, before, after = nw.col("_distance"), nw.col("_before"), nw.col("_after")
    # 0 stands for no distance: it equals none and no distance is a multiple of it
    steps = {"_before": 1, "_before2": 2, "_after": -1, "_after2": -2}
    frame = frame.with_columns(shift(distance, n).fill_null(0).alias(name) for name, n in steps.items())
    frame = frame.with_columns(
        nw.col(name).is_in([hours * 60 for hours in INTERVALS]).alias(f"_fits{name}")
        for name in ("_distance", "_before", "_after")
    )
    frame = frame.with_columns(
        (nw.col("_fits_before") & (distance > before) & (distance % before == 0)).alias("_over_before"),
        (nw.col("_fits_after") & (distance > after) & (distance % after == 0)).alias("_over_after"),
        ((distance == before) | (distance == after)).alias("_repeated"),
        _supported(distance, before, after).alias("_supported"),
    )
    over_before, over_after = nw.col("_over_before"), nw.col("_over_after")
    pair_first = (distance == after) & (before == nw.col("_after2")) & over_before
    pair_second = (distance == before) & (nw.col("_before2") == after) & over_after
    single = nw.col("_supported") & ~over_before & ~over_after
    known = nw.col("_fits_distance") & (nw.col("_repeated") | single) & ~pair_first & ~pair_second

    # minutes of the interval; below zero for a gap, 0 for doubt, null for a first settlement
    found = (
        nw.when(over_before & (before == after))
        .then(-before)
        .otherwise(nw.when(known).then(distance).otherwise(distance * 0))
    )
    frame = frame.with_columns(found.alias("_found"))
    # the first settlement of an instrument has no distance of its own: it shares that of the second
    frame = frame.with_columns(shift(nw.col("_found"), -1).alias("_next"))
    frame = frame.with_columns(nw.coalesce("_found", "_next").alias("_found"))
    found = nw.col("_found")
    return frame.with_columns(
        (nw.when(found != 0).then(found.abs()).cast(nw.Float64) / 60).alias("_derived"),
        (found <= 0).fill_null(False).alias("_doubt"),
    )


def _supported(distance: nw.Expr, before: nw.Expr, after: nw.Expr) -> nw.Expr:
    """Whether a single distance stands beside those that a series with this interval can have, or alone."""
    alone = (before == 0) & (after == 0)
    gap_before = (before > distance) & (before % distance == 0)
    gap_after = (after > distance) & (after % distance == 0)
    return alone | nw.col("_fits_before") | nw.col("_fits_after") | gap_before | gap_after


def with_hours(frame: Frame, interval_hours: float | None, separate_by: Sequence[str] = ()) -> Frame:
    """Add ``_covered``: the hours a settlement covers, from argument, column or times, in this order.

    Rows that differ in the columns ``separate_by`` are no settlements of one series.
    """
    if interval_hours is not None:
        if not 0 < interval_hours < float("inf"):
            raise InvalidInputError(f"interval_hours is a number of hours above zero, not {interval_hours!r}")
        return frame.with_columns(nw.lit(float(interval_hours)).alias("_covered"))
    present = names(frame)
    # metrics that append get times only where there is something to derive
    if "timestamp" not in present or _declared_throughout(frame):
        return frame.with_columns(positive(frame, DECLARED).alias("_covered"))
    frame = _derive(_with_distance(frame, separate_by), separate_by)
    hours = [positive(frame, DECLARED)] if DECLARED in present else []
    return frame.with_columns(nw.coalesce(*hours, nw.col("_derived")).alias("_covered"))


def _declared_throughout(frame: Frame) -> bool:
    """Whether no row of an eager frame needs its hours derived; a lazy one, and one without rows, says nothing."""
    if not isinstance(frame, nw.DataFrame) or DECLARED not in frame.columns or frame.is_empty():
        return False
    hours = frame.get_column(DECLARED)
    return not hours.null_count() and bool((hours > 0).all())


def with_apr(frame: Frame, name: str, *, rate: str, interval_hours: float | None) -> Frame:
    """Add the rate as a simple annual rate."""
    frame = with_hours(frame, interval_hours)
    return frame.with_columns((number(frame, rate) * 24 / nw.col("_covered") * 365).alias(name))


def _log_growth(frame: Frame, rate: str) -> nw.Expr:
    """Logarithm of ``_growth``, which is 1 + rate, without the digits that the sum of 1 and a small rate loses."""
    growth = positive(frame, "_growth")
    # W. Kahan's correction: the rounding error of 1 + r is the same above and below
    return nw.when(growth == 1).then(number(frame, rate)).otherwise(growth.log() * number(frame, rate) / (growth - 1))


@metric(
    kind="row",
    inputs=("funding_rate",),
    optional=(DECLARED,),
    alternatives=((DECLARED,), ("timestamp",)),
    unless="interval_hours",
    complete_with=DECLARED,
    outputs=("funding_apr",),
)
def funding_apr(frame: Frame, *, rate: Column = "funding_rate", interval_hours: float | None = None) -> Frame:
    """Funding rate as a simple annual rate, ``r * 24 / h * 365``.

    0.01 % every 8 h is 10.95 % a year; every 4 h it is 21.9 %.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        Settled funding. The hours h come from ``funding_interval_hours``; rows where that is null, and
        frames without it, take them from ``timestamp`` by the rule of :func:`funding_interval`, which
        looks at the other rows of the instrument.
    rate : str
        Column of the settled rate, as a fraction per interval.
    interval_hours : float, optional
        Take these hours for every row, whatever the frame says.

    Returns
    -------
    Same type as ``frame``
        With ``funding_apr`` added, a fraction per 365 days; positive: longs pay. Null where the rate is
        null, NaN or infinite, or the hours are not known. A row after a gap keeps the interval of
        its own settlement.

    Raises
    ------
    MissingColumnError
        If there is neither ``funding_interval_hours`` nor ``timestamp`` nor the argument.
    ColumnTypeError, InvalidInputError
    DuplicateKeyError
        If hours must be derived and two rows of one instrument share a time (eager frames).

    Warns
    -----
    SuspectRateWarning
        If half of 30 or more rates are above 0.2 % per settlement: likely percent (eager frames).

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> frame = pl.DataFrame({"funding_rate": [0.0001, 0.0001], "funding_interval_hours": [8, 4]})
    >>> cexkit.funding_apr(frame)["funding_apr"].round(6).to_list()
    [0.1095, 0.219]
    """
    return with_apr(frame, "funding_apr", rate=rate, interval_hours=interval_hours)


@metric(
    kind="row",
    inputs=("funding_rate",),
    optional=(DECLARED,),
    alternatives=((DECLARED,), ("timestamp",)),
    unless="interval_hours",
    complete_with=DECLARED,
    outputs=("funding_apy",),
)
def funding_apy(frame: Frame, *, rate: Column = "funding_rate", interval_hours: float | None = None) -> Frame:
    """Funding rate compounded over a year, ``(1 + r) ** (8760 / h) - 1``.

    Parameters
    ----------
    frame, rate, interval_hours
        As for :func:`funding_apr`; so are errors and warnings.

    Returns
    -------
    Same type as ``frame``
        With ``funding_apy`` added, a fraction per 365 days. It is null where :func:`funding_apr` is, and
        for r <= -1, where nothing is left to compound.

    Examples
    --------
    >>> import cexkit, pandas as pd
    >>> frame = pd.DataFrame({"funding_rate": [0.0001]})
    >>> frame.crypto.funding_apy(interval_hours=8).round(6).tolist()
    [0.115714]
    """
    frame = with_hours(frame, interval_hours)
    frame = frame.with_columns((number(frame, rate) + 1).alias("_growth"))
    grown = (_log_growth(frame, rate) * HOURS_PER_YEAR / nw.col("_covered")).exp()
    return frame.with_columns((grown - 1).alias("funding_apy"))


@metric(kind="rolling", inputs=("funding_rate",), outputs=("cumulative_funding",))
def cumulative_funding(frame: Frame, *, rate: Column = "funding_rate", compound: bool = False) -> Frame:
    """Running sum of the settled rates of each instrument, from its first row on.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        ``timestamp`` and the settled rate, in any row order.
    rate : str
        Column of the settled rate, as a fraction per interval.
    compound : bool
        Reinvest: ``exp(sum(log(1 + r))) - 1`` instead of the sum.

    Returns
    -------
    Same type as ``frame``
        With ``cumulative_funding`` added, a fraction: what a long has paid so far. A row whose rate is
        null, NaN or infinite is null, and the sum goes on over it in the rows after. Compounded, all rows
        from the first r <= -1 on are null. Missing settlements add nothing; ``funding_interval`` flags them.

    Raises
    ------
    MissingColumnError, ColumnTypeError
    DuplicateKeyError
        If two rows of one instrument share a time (eager frames).

    Warns
    -----
    SuspectRateWarning
        As for :func:`funding_apr`.

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import datetime
    >>> times = [datetime(2024, 1, 1, hour) for hour in (16, 0, 8)]
    >>> frame = pl.DataFrame({"timestamp": times, "funding_rate": [0.25, 0.5, None]})
    >>> frame.crypto.cumulative_funding().to_list()
    [0.75, 0.5, None]
    >>> frame.crypto.cumulative_funding(compound=True).round(6).to_list()
    [0.875, 0.5, None]
    """
    over = in_time(frame)
    settled = number(frame, rate)
    if not compound:
        return frame.with_columns(over(settled.cum_sum()).alias("cumulative_funding"))
    frame = frame.with_columns(
        (settled + 1).alias("_growth"), (settled <= -1).fill_null(False).cast(nw.Int64).alias("_lost")
    )
    frame = frame.with_columns(_log_growth(frame, rate).alias("_log"))
    frame = frame.with_columns(
        over(nw.col("_log").cum_sum()).alias("_log"), over(nw.col("_lost").cum_sum()).alias("_losses")
    )
    return frame.with_columns(
        nw.when(nw.col("_losses") == 0).then(nw.col("_log").exp() - 1).alias("cumulative_funding")
    )
