"""Funding of perpetual swaps: intervals, annual rates, sums.

``funding_rate`` is always the rate *settled* at ``timestamp`` for the interval that ends there, as a
fraction. Predicted rates are another series and do not belong in the same column.
"""

from __future__ import annotations

import narwhals.stable.v2 as nw

from cexkit.analytics._registry import metric
from cexkit.analytics._seams import Column, Frame, in_time, names, number, positive, with_epoch_us
from cexkit.errors import InvalidInputError

#: Hours between settlements that venues use.
INTERVALS: tuple[int, ...] = (1, 2, 4, 6, 8)
HOURS_PER_YEAR = 365 * 24

DECLARED = "funding_interval_hours"
_MINUTE_US = 60_000_000
_MINUTE = 1 / 60  # in hours
# room for the rounding of minutes held as fractions of an hour
_TOLERANCE = 1.001 * _MINUTE


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
    declared = positive(DECLARED)
    gap = (nw.col("_distance") >= 2 * declared - _TOLERANCE).fill_null(False)
    return frame.with_columns(
        nw.when(declared.is_null()).then(nw.col("_doubt")).otherwise(gap).alias("is_gap"),
        nw.coalesce(declared, nw.col("_derived")).alias(DECLARED),
    )


def _with_distance(frame: Frame) -> Frame:
    """Add ``_distance``, hours since the previous settlement, rounded to the minute and snapped."""
    over = in_time(frame)
    frame = with_epoch_us(frame, "_us")
    frame = frame.with_columns(over(nw.col("_us").shift(1)).alias("_previous"))
    minutes = (nw.col("_us") - nw.col("_previous") + _MINUTE_US // 2) // _MINUTE_US
    frame = frame.with_columns((minutes.cast(nw.Float64) / 60).alias("_raw"))
    raw = nw.col("_raw")
    snapped = [nw.when((raw - hours).abs() <= _TOLERANCE).then(nw.lit(float(hours))) for hours in INTERVALS]
    return frame.with_columns(nw.coalesce(*snapped, raw).alias("_distance"))


def _derive(frame: Frame) -> Frame:
    """Add ``_derived`` (hours, null where in doubt) and ``_doubt`` (gap or doubt) from ``_distance``."""
    over = in_time(frame)
    steps = {"_before": 1, "_before2": 2, "_after": -1, "_after2": -2}
    frame = frame.with_columns(over(nw.col("_distance").shift(n)).alias(name) for name, n in steps.items())
    distance, before, after = nw.col("_distance"), nw.col("_before"), nw.col("_after")

    gap = (before == after) & _is_multiple(distance, before)
    repeated = _true(distance == before) | _true(distance == after)
    pair_first = (distance == after) & (before == nw.col("_after2")) & _is_multiple(distance, before)
    pair_second = (distance == before) & (nw.col("_before2") == after) & _is_multiple(distance, after)
    single = ~repeated & (_true(_is_multiple(distance, before)) | _true(_is_multiple(distance, after)))
    alone = before.is_null() & after.is_null()
    supported = repeated | alone | _true(_supports(before, distance)) | _true(_supports(after, distance))
    doubt = ~_true(_is_interval(distance)) | _true(pair_first) | _true(pair_second) | single | ~supported

    frame = frame.with_columns(_true(gap).alias("_gap"), doubt.alias("_open"))
    hours = nw.when(nw.col("_gap")).then(before).otherwise(nw.when(~nw.col("_open")).then(distance))
    frame = frame.with_columns(hours.alias("_hours"), (nw.col("_gap") | nw.col("_open")).alias("_flag"))
    # the first settlement of an instrument has no distance of its own: it shares that of the second
    frame = frame.with_columns(
        over(nw.col("_hours").shift(-1)).alias("_next_hours"), over(nw.col("_flag").shift(-1)).alias("_next_flag")
    )
    first = distance.is_null()
    return frame.with_columns(
        nw.when(first).then(nw.col("_next_hours")).otherwise(nw.col("_hours")).alias("_derived"),
        _true(nw.when(first).then(nw.col("_next_flag")).otherwise(nw.col("_flag"))).alias("_doubt"),
    )


def _true(condition: nw.Expr) -> nw.Expr:
    return condition.fill_null(False)


def _is_interval(hours: nw.Expr) -> nw.Expr:
    return hours.is_in([float(h) for h in INTERVALS])


def _is_multiple(distance: nw.Expr, hours: nw.Expr) -> nw.Expr:
    """Whether a distance is, within a minute, two or more times an interval."""
    times = (distance / hours).round()
    return _is_interval(hours) & (times >= 2) & ((distance - times * hours).abs() <= _TOLERANCE)


def _supports(beside: nw.Expr, distance: nw.Expr) -> nw.Expr:
    """Whether the distance beside is one that a series with this interval can have."""
    return _is_interval(beside) | _is_multiple(beside, distance)


def _with_hours(frame: Frame, interval_hours: float | None) -> Frame:
    """Add ``_covered``: the hours a settlement covers, from argument, column or times, in this order."""
    if interval_hours is not None:
        if not 0 < interval_hours < float("inf"):
            raise InvalidInputError(f"interval_hours is a number of hours above zero, not {interval_hours!r}")
        return frame.with_columns(nw.lit(float(interval_hours)).alias("_covered"))
    present = names(frame)
    if "timestamp" not in present:
        return frame.with_columns(positive(DECLARED).alias("_covered"))
    frame = _derive(_with_distance(frame))
    hours = [positive(DECLARED)] if DECLARED in present else []
    return frame.with_columns(nw.coalesce(*hours, nw.col("_derived")).alias("_covered"))


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
    frame = _with_hours(frame, interval_hours)
    return frame.with_columns((number(rate) * 24 / nw.col("_covered") * 365).alias("funding_apr"))


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
        With ``funding_apy`` added, a fraction per 365 days. Null where :func:`funding_apr` is, and for
        r <= -1, where nothing is left to compound.

    Examples
    --------
    >>> import cexkit, pandas as pd
    >>> frame = pd.DataFrame({"funding_rate": [0.0001]})
    >>> frame.crypto.funding_apy(interval_hours=8).round(6).tolist()
    [0.115714]
    """
    frame = _with_hours(frame, interval_hours)
    frame = frame.with_columns((number(rate) + 1).alias("_growth"))
    grown = (positive("_growth").log() * HOURS_PER_YEAR / nw.col("_covered")).exp()
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
    settled = number(rate)
    if not compound:
        return frame.with_columns(over(settled.cum_sum()).alias("cumulative_funding"))
    frame = frame.with_columns((settled + 1).alias("_growth"), _true(settled <= -1).cast(nw.Int64).alias("_lost"))
    frame = frame.with_columns(
        over(positive("_growth").log().cum_sum()).alias("_log"), over(nw.col("_lost").cum_sum()).alias("_losses")
    )
    return frame.with_columns(
        nw.when(nw.col("_losses") == 0).then(nw.col("_log").exp() - 1).alias("cumulative_funding")
    )
