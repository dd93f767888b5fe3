"""Funding of perpetual swaps: intervals, annual rates, sums.

``funding_rate`` is always the rate *settled* at ``timestamp`` for the interval that ends there, as a
fraction. Predicted rates are another series and do not belong in the same column.
"""

from __future__ import annotations

from typing import Literal, get_args

import narwhals.stable.v2 as nw

from cexkit.analytics._core.arguments import check_flag
from cexkit.analytics._core.compat import Column, Frame, in_time, names, number, positive
from cexkit.analytics._core.hours import Hours
from cexkit.analytics._core.metric import Note
from cexkit.analytics._core.registry import metric
from cexkit.analytics.funding.intervals import (
    DECLARED,
    declared_hours,
    derive,
    with_distance,
    with_ends,
    with_hours,
    with_missing,
    with_settled,
)
from cexkit.errors import MissingSettlementsWarning, UnknownNameError
from cexkit.schema.scalars import is_among

HOURS_PER_YEAR = 365 * 24
#: Start of the text of notes about missing settlements.
MISSING = "before {count} settlements others are missing, or their times leave the interval open, "


@metric(
    kind="rolling",
    inputs=(),
    optional=(DECLARED, "funding_rate"),
    outputs=(DECLARED, "is_gap"),
    settlements=True,
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
       * A **displaced** settlement, early or late, moves two distances. Two adjacent ones that add up to twice an
         interval (within one minute) are a displacement if the distances before and after the two both equal that
         interval: both rows get it, without ``is_gap``. If only one of them does, or the two are all there is, both
         rows are null with ``is_gap``, unless the distance outside repeats one of the two, which is then an interval.
       * A distance that the one before or after it repeats is an interval. So is a lone shorter one,
         and the only one there is.
       * Null with ``is_gap`` is everything that the times leave open: a distance that snaps to no
         interval; a single distance that is a multiple of one beside it and no gap by the rule above
         (a gap right beside a change of interval, or at either end of the data, looks exactly like a
         change); two equal ones within a series of a shorter interval they are multiples of (two gaps in
         a row, or a brief change); a single one beside distances that are neither intervals nor multiples of it.

    A single shorter interval at the end of the data (8 h, 8 h, 6 h) can be a change or a settlement that was early: it
    is taken as a change. Rows between settlements, if at least half of an instrument's rows have no ``funding_rate``,
    have a null interval and no gap.

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
    InvalidInputError
        If half of the intervals in the frame are above 24 hours or below zero (eager frames; elsewhere such intervals
        are derived). The message names the likely unit.
    DuplicateKeyError
        If two settlements of one instrument are less than a minute apart (eager frames; on lazy and Ibis frames it is
        for the caller to see that they are not).

    Warns
    -----
    ForwardFilledRateWarning
        As for :func:`funding_apr`, if the frame has ``funding_rate``.
    OutOfRangeWarning
        If single intervals in the frame are out of range (eager frames); they are derived.

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import datetime
    >>> hours = [0, 8, 16, 20, 24, 36, 40]  # 8 h, then 4 h, two settlements missing
    >>> frame = pl.DataFrame({"timestamp": [datetime(2024, 1, 1 + h // 24, h % 24) for h in hours]})
    >>> frame.crypto.funding_interval().select("funding_interval_hours", "is_gap").rows()
    [(8.0, False), (8.0, False), (8.0, False), (4.0, False), (4.0, False), (4.0, True), (4.0, False)]
    """
    if "_hours" in names(frame):
        frame = frame.with_columns(nw.col("_hours").alias("_derived"), nw.lit(False).alias("_doubt"))
        frame = frame.with_columns(nw.lit(0).alias("_minutes"))
        separate_by: tuple[str, ...] = ()
    elif "funding_rate" in names(frame):
        frame, separate_by = with_settled(frame, "funding_rate")
        frame = derive(with_distance(frame, separate_by), separate_by)
    else:
        frame, separate_by = derive(with_distance(frame)), ()
    hours, gap = nw.col("_derived"), nw.col("_doubt")
    if DECLARED in names(frame):
        declared = declared_hours(frame)
        hours = nw.coalesce(declared, hours)
        stated_gap = (nw.col("_minutes") + 1 >= declared * 120).fill_null(False)
        gap = nw.when(declared.is_null()).then(gap).otherwise(stated_gap)
    if separate_by:
        settled = nw.col("_settled")
        hours, gap = nw.when(settled).then(hours), settled & gap
    return frame.with_columns(gap.alias("is_gap"), hours.alias(DECLARED))


def with_apr(frame: Frame, name: str, *, rate: str, interval_hours: Hours | None) -> Frame:
    """Add the rate as a simple annual rate."""
    frame = with_covered(frame, rate, interval_hours)
    return frame.with_columns((number(frame, rate) * 24 / nw.col("_covered") * 365).alias(name))


def with_covered(frame: Frame, rate: str, interval_hours: Hours | None) -> Frame:
    """Add ``_covered``, the hours that each settled rate covers."""
    separate_by: tuple[str, ...] = ()
    if interval_hours is None and "timestamp" in names(frame):
        frame, separate_by = with_settled(frame, rate)
    return with_hours(frame, interval_hours, separate_by)


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
    settlements=True,
    outputs=("funding_apr",),
)
def funding_apr(frame: Frame, *, rate: Column = "funding_rate", interval_hours: Hours | None = None) -> Frame:
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
    interval_hours : float, str, or timedelta, optional
        Take these hours for every row, whatever the frame says: a number of hours above 0 and at most 24, a text such
        as ``"8h"``, or a duration. A column ``funding_interval_hours`` may hold the same.

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
    ColumnTypeError
    InvalidInputError
        If the argument is out of range, or half of the hours in the frame are (eager frames; elsewhere such hours are
        derived from the times, or null without times). The message names the likely unit: 480 are minutes.
    DuplicateKeyError
        If hours must be derived and two settlements of one instrument are less than a minute apart (eager frames).

    Warns
    -----
    SuspectRateWarning
        If half of 30 or more rates are above 0.2 % per settlement: likely percent (eager frames).
    ForwardFilledRateWarning
        If hours must be derived and rates change only when a longer interval ends, or half of 30 or more are the
        venues' baseline of a longer interval (0.01 % for 8 h, 0.005 % for 4 h): likely filled forward to bars, so that
        the APR is too large (eager frames).
    OutOfRangeWarning
        If single hours in the frame are out of range (eager frames).

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
    settlements=True,
    outputs=("funding_apy",),
)
def funding_apy(frame: Frame, *, rate: Column = "funding_rate", interval_hours: Hours | None = None) -> Frame:
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
    frame = with_covered(frame, rate, interval_hours)
    frame = frame.with_columns((number(frame, rate) + 1).alias("_growth"))
    grown = (_log_growth(frame, rate) * HOURS_PER_YEAR / nw.col("_covered")).exp()
    return frame.with_columns((grown - 1).alias("funding_apy"))


Gaps = Literal["null", "skip"]


@metric(
    kind="rolling",
    inputs=("funding_rate",),
    optional=(DECLARED,),
    outputs=("cumulative_funding",),
    settlements=True,
    notes={"_missing": Note(MissingSettlementsWarning, MISSING + "so the sums from there on are null")},
)
def cumulative_funding(
    frame: Frame, *, rate: Column = "funding_rate", compound: bool = False, gaps: Gaps = "null"
) -> Frame:
    """Running sum of the settled rates of each instrument, from its first row on.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        ``timestamp`` and the settled rate, in any row order.
    rate : str
        Column of the settled rate, as a fraction per interval.
    compound : bool
        Reinvest: ``exp(sum(log(1 + r))) - 1`` instead of the sum.
    gaps : str
        ``null``: null from the first row on before which settlements are missing. ``skip``: they add nothing, so the
        sum is that of the settlements in the frame.

    Returns
    -------
    Same type as ``frame``
        With ``cumulative_funding`` added, a fraction: what a long has paid so far. A row whose rate is
        null, NaN or infinite is null, and the sum goes on over it in the rows after. Compounded, all rows
        from the first r <= -1 on are null.

        **A gap**: settlements are missing if two are two intervals apart or more, or if their times leave the interval
        open (see :func:`funding_interval`); the interval is that of ``funding_interval_hours`` where it is known. Of
        settlements joined to bars, some are also missing if the first is more than its interval after the first bar. On
        lazy and Ibis frames the sum is also null from a settlement on that the frame has twice.

    Raises
    ------
    UnknownNameError
        If ``gaps`` is not known.
    MissingColumnError, ColumnTypeError
    DuplicateKeyError
        If an instrument has two settlements within a minute (eager frames).

    Warns
    -----
    MissingSettlementsWarning
        If settlements are missing and ``gaps`` is ``null`` (eager frames).
    SuspectRateWarning, ForwardFilledRateWarning
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
    if not is_among(gaps, get_args(Gaps)):
        raise UnknownNameError.of("gaps", gaps, get_args(Gaps))
    check_flag("compound", compound)
    frame = _summed(frame, rate, compound)
    # The core has seen that eager frames with _hours lack no settlement.
    if gaps == "skip" or "_hours" in names(frame):
        return frame
    frame, separate_by = with_settled(frame, rate)
    frame = with_missing(frame, separate_by=separate_by)
    lost = nw.col("_missing") | nw.col("_again")
    if separate_by:
        frame = with_ends(frame)
        lost = (lost | nw.col("_lost_before")) & nw.col("_settled")
    frame = frame.with_columns(lost.alias("_missing"))
    frame = frame.with_columns(in_time(frame)(nw.col("_missing").cast(nw.Int64).cum_sum()).alias("_lost"))
    total = nw.when(nw.col("_lost") == 0).then(nw.col("cumulative_funding"))
    return frame.with_columns(total.alias("cumulative_funding"))


def _summed(frame: Frame, rate: str, compound: bool) -> Frame:
    """Add the running sum of the rates in the frame."""
    over, settled = in_time(frame), number(frame, rate)
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
