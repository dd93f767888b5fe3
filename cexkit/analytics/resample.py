"""From short bars to long ones, and the price that was paid on average."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, get_args

import narwhals.stable.v2 as nw
import polars as pl

from cexkit.analytics._core import settlements
from cexkit.analytics._core.checks import kind as kind_of
from cexkit.analytics._core.checks import unique
from cexkit.analytics._core.compat import (
    INSTRUMENT,
    MICRO,
    Column,
    Frame,
    aggregated,
    amount,
    instrument_keys,
    names,
    number,
    positive,
    shifted,
    text,
    with_bucket,
    with_epoch_us,
)
from cexkit.analytics._core.metric import Note
from cexkit.analytics._core.order import arrange
from cexkit.analytics._core.ranges import RANGES
from cexkit.analytics._core.registry import METRICS, metric
from cexkit.analytics._core.usd import QUOTED
from cexkit.analytics.funding.intervals import DECLARED as DECLARED_HOURS
from cexkit.analytics.funding.intervals import declared_hours, with_ends, with_missing
from cexkit.analytics.liquidations._common import coverage, rank
from cexkit.errors import InvalidInputError, MissingSettlementsWarning, UnknownNameError
from cexkit.schema.fields import FIELDS, INSTRUMENT_KEYS, Aggregate
from cexkit.schema.intervals import seconds
from cexkit.schema.scalars import is_among

#: Columns without an aggregate that say what the instrument is, so that a bucket has one value.
DESCRIPTIVE: tuple[str, ...] = (
    "base", "quote", "settle", "venue_symbol", "multiplier", "contract_size", "inverse", "tick_size", "lot_size",
    "listing_time", "delisting_time", "expiry",
)  # fmt: skip
#: How each column that is known is brought to a bucket. Dollars are as the quotes they stand for.
DECLARED: dict[str, Aggregate] = {
    **{name: field.aggregate for name, field in FIELDS.items()},
    **{name: FIELDS[quoted].aggregate for name, quoted in QUOTED.items()},
}
_IMPLIED = frozenset(("timestamp", *INSTRUMENT_KEYS))
_RATE = "funding_rate"
#: Columns that are read beside keys and time; those that are left out may hold anything.
_READ = (*(name for name, how in DECLARED.items() if how != "none"), *DESCRIPTIVE, DECLARED_HOURS, "coverage")


def _inputs(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    given = {} if arguments["aggregates"] is None else arguments["aggregates"]
    if not isinstance(given, Mapping):
        raise InvalidInputError(f"aggregates must map columns to aggregates, got {given!r}")
    return ("timestamp", *(name for name, how in given.items() if how != "none"))


def _selected(present: Collection[Any], arguments: Mapping[str, Any]) -> list[str]:
    """Columns that are read: keys, time, what is brought to a bucket, and what funding needs."""
    plan = _plan(present, arguments["aggregates"])
    wanted = {*_IMPLIED, *plan, *(["coverage"] if _has_coverage(present, plan, arguments["aggregates"]) else [])}
    wanted |= {DECLARED_HOURS} if plan.get(_RATE) == "sum" else set()
    return [name for name in dict.fromkeys(present) if name in wanted]


def _has_coverage(present: Collection[Any], plan: Mapping[str, str], aggregates: Mapping[str, str] | None) -> bool:
    """Whether the coverage of a bucket is its worst one."""
    return "coverage" in present and "coverage" not in plan and (aggregates or {}).get("coverage") != "none"


def _inspect(frame: pl.DataFrame, arguments: Mapping[str, Any]) -> None:
    # where no first or last is asked for, events may share a time
    plan = _plan(frame.columns, arguments["aggregates"])
    if {"first", "last"} & set(plan.values()):
        unique(METRICS["resample"], frame)
    if plan.get(_RATE) == "sum":
        settlements.check(METRICS["resample"], frame, {})


@metric(
    kind="summary",
    inputs=("timestamp",),
    optional=_READ,
    outputs=("timestamp", "rows"),
    requires=_inputs,
    notes={
        "_lost": Note(
            MissingSettlementsWarning,
            "in {count} buckets settlements are missing, or their times leave the interval open, so funding is null",
        )
    },
    inspects=_inspect,
    selects=_selected,
)
def resample(frame: Frame, *, every: str = "1d", aggregates: Mapping[str, str] | None = None) -> Frame:
    """Longer bars: each column by its declared aggregate, so that a stock is not summed and a flow not averaged.

    ``open`` first, ``high`` max, ``low`` min, ``close``, ``mark_price``, ``index_price`` and open interest last;
    volumes, ``trades``, ``funding_rate`` and what was liquidated summed (``cexkit.schema.FIELDS`` declares them).

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        ``timestamp`` and columns that cexkit declares, or ``volume_usd``, ``open_interest_usd``, ``value_usd``;
        several instruments where their keys are there; in any order.
    every : str
        Length of a bucket: a whole number of ``s``, ``m``, ``h``, ``d`` or ``w``, and a multiple of the length of
        the bars: a bar lies wholly in the bucket in which it begins. Buckets are counted in UTC from
        1970; weeks begin on Monday.
    aggregates : mapping, optional
        Column → ``first``, ``max``, ``min``, ``last``, ``sum`` or ``none`` (to leave it out), for columns that are
        not declared and for other aggregates than the declared one. Columns of your own must be numbers.

    Returns
    -------
    Same type as ``frame``
        One row per instrument and bucket that has rows, sorted so (Ibis promises no order): the keys,
        ``timestamp`` (start of the bucket, UTC), ``rows``, and the columns of the frame.

        * **Partial buckets** are there like all others, the first and last among them: ``rows``, the number of rows
          that went in, tells them. Twenty-four hours make a day.
        * A null, NaN or infinite value is left out; null is a column of which the bucket holds no value. ``first`` and
          ``last`` are by time, of the rows that have a value. A gap adds nothing. So is a price that is not above zero;
          a sum of amounts is null if one of them is below zero.
        * **Funding**: the sum of ``funding_rate`` is null in a bucket that lacks a settlement between two others of the
          instrument, between the first row of the instrument and its first settlement, or between the last ones, and if
          times leave the interval open (see :func:`funding_interval`). Settlements outside of the frame are not
          missed: the first and last bucket may be partial.
        * Columns that say what an instrument is (``base``, ``quote``, ``multiplier``, ``contract_size``,
          ``expiry`` …) are kept, and null in buckets in which they change. ``coverage`` is the worst of the bucket.
        * All other columns are facts of one row (``side``, ``price``, ``venue_timestamp`` …) and left out. So
          is ``funding_interval_hours``: a summed rate covers the bucket, not the interval.

    Raises
    ------
    InvalidInputError
        If it is not declared how a column is brought to a bucket and ``aggregates`` does not say so.
    UnknownNameError
        If ``aggregates`` holds no such aggregate.
    MissingColumnError, ColumnTypeError
    DuplicateKeyError
        If a first or last is asked for and two rows of one instrument share a time, or funding is summed and two of its
        settlements are less than a minute apart (eager frames; elsewhere the sum is null).

    Warns
    -----
    MissingSettlementsWarning
        If settlements are missing in a bucket (eager frames).
    SuspectRateWarning, ForwardFilledRateWarning
        As for :func:`funding_apr`.

    Notes
    -----
    Bars carry the time they begin, settlements the time they are paid: the rate of 00:00 is in the bucket
    that begins there, though it is for the hours before.

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import datetime
    >>> frame = pl.DataFrame({
    ...     "timestamp": [datetime(2024, 1, 1, hour) for hour in (0, 8, 16)],
    ...     "close": [100.0, 120.0, 110.0],
    ...     "volume_base": [1.0, 2.0, 3.0],
    ...     "open_interest_base": [7.0, 8.0, 9.0],
    ...     "funding_rate": [0.0001, 0.0001, 0.0002],
    ... })
    >>> result = frame.crypto.resample(every="1d")
    >>> result.select("rows", "close", "volume_base", "open_interest_base", pl.col("funding_rate").round(6)).rows()
    [(3, 110.0, 6.0, 9.0, 0.0004)]
    """
    present = names(frame)
    plan = _plan(present, aggregates)
    keys = instrument_keys(frame)
    frame = with_bucket(frame, every)
    lossy = plan.get(_RATE) == "sum"
    frame = _with_lost(frame, every) if lossy else frame
    signed = _signed(frame, plan)
    frame = frame.with_columns(number(frame, name).alias(f"_least_{name}") for name in signed)
    frame = frame.with_columns(_value(frame, name).alias(name) for name in plan)
    with_coverage = _has_coverage(present, plan, aggregates)
    if with_coverage:
        frame = frame.with_columns(rank(frame).alias("_rank"))
    extra = {f"_least_{name}": "min" for name in signed} | ({"_lost": "max"} if lossy else {})
    extra |= {"_rank": "max"} if with_coverage else {}
    totals = aggregated(frame, [*keys, "_bucket"], plan | extra, rows="rows")
    # A sum of which a part is not known is not passed off as the whole.
    totals = totals.with_columns(
        nw.when((nw.col(f"_least_{name}") >= 0).fill_null(True)).then(nw.col(name)).alias(name) for name in signed
    )
    if lossy:
        totals = totals.with_columns(nw.when(nw.col("_lost") == 0).then(nw.col(_RATE)).alias(_RATE))
    return totals.select(
        *keys,
        nw.col("_bucket").alias("timestamp"),
        "rows",
        *(_typed(name) for name in plan),
        *([coverage("_rank").alias("coverage")] if with_coverage else []),
        *([(nw.col("_lost") > 0).alias("_lost")] if lossy else []),
    ).sort(*keys, "timestamp")


def _plan(present: Collection[Any], aggregates: Mapping[str, str] | None) -> dict[str, str]:
    """How each column that goes in is brought to a bucket; ``same`` for what must not change in it."""
    given = dict(aggregates or {})
    for how in given.values():
        if not is_among(how, get_args(Aggregate)):
            raise UnknownNameError.of("aggregate", how, get_args(Aggregate))
    if taken := [name for name in given if name in _IMPLIED or str(name).startswith("_")]:
        raise InvalidInputError(f"resample: {', '.join(taken)} cannot have aggregates: keys, time and temporary names")
    hows = {**DECLARED, **dict.fromkeys(DESCRIPTIVE, "same"), **given}
    unknown = [name for name in present if name not in hows and name not in _IMPLIED]
    if unknown:
        raise InvalidInputError(
            f"resample: it is not declared how {', '.join(map(str, unknown))} is brought to a bucket; say so, for "
            f"example aggregates={{{unknown[0]!r}: 'last'}}, or leave it out with 'none'"
        )
    plan = {name: hows[name] for name in present if name not in _IMPLIED and hows[name] != "none"}
    if unnamed := [name for name in plan if not isinstance(name, str)]:
        raise InvalidInputError(f"resample: a column must be named by a text, got {unnamed[0]!r}; rename it")
    if summed := [name for name, how in plan.items() if how == "sum" and kind_of(name) != "numbers"]:
        raise InvalidInputError(f"resample: {', '.join(summed)} cannot be summed: no numbers")
    return plan


def _with_lost(frame: Frame, every: str) -> Frame:
    """Add ``_lost``, 1 in rows of a bucket that lacks a settlement before or after the row."""
    frame = frame.with_columns((~number(frame, _RATE).is_null()).alias("_settled"))
    return (
        _with_lost_in_order(frame, every) if isinstance(frame, nw.DataFrame) else _judged(frame, every, ("_settled",))
    )


def _with_lost_in_order(frame: nw.DataFrame[pl.DataFrame], every: str) -> nw.DataFrame[pl.DataFrame]:
    """Add ``_lost`` to an eager frame: rows are put in order once, and settlements alone are judged."""
    work, read = frame.to_native(), ("timestamp", "_bucket", "_settled", DECLARED_HOURS)
    order = arrange(work["timestamp"], [work[name] for name in instrument_keys(frame)], lambda: None)
    rows = order.take(work.select(name for name in read if name in work.columns), 0, work.height)
    rows = with_epoch_us(nw.from_native(rows), "_us").to_native()
    ends = rows.group_by(INSTRUMENT).agg(pl.col("_us").min().alias("_begin"), pl.col("_us").max().alias("_end"))
    found = rows.filter("_settled").join(ends, on=INSTRUMENT, how="left", maintain_order="left")
    lost = _judged(nw.from_native(found), every).to_native()["_lost"]
    places = rows["_settled"].cast(pl.UInt32).cum_sum() - 1
    lost = lost.gather(pl.select(pl.when(rows["_settled"]).then(places)).to_series()).fill_null(0)
    return nw.from_native(work.with_columns(order.back(lost).alias("_lost")))


def _judged(frame: Frame, every: str, separate_by: Sequence[str] = ()) -> Frame:
    """Add ``_lost``; rows that differ in the columns ``separate_by`` belong to different series."""
    frame = with_ends(with_missing(frame, separate_by=separate_by))
    frame = with_epoch_us(frame, "_start", "_bucket")
    after = shifted(frame, separate_by)
    frame = frame.with_columns(
        after(nw.col("_missing").cast(nw.Int64), -1).alias("_next_missing"),
        after(nw.col("_span"), -1).alias("_next_span"),
    )
    us, start, end = nw.col("_us"), nw.col("_start"), nw.col("_start") + seconds(every) * MICRO
    before = (nw.col("_missing") | nw.col("_lost_before")) & (us - nw.col("_span") >= start)
    beyond = (nw.col("_next_missing") > 0) & (us + nw.col("_next_span") < end)
    beyond = beyond.fill_null(False) | (nw.col("_lost_after") & (us + nw.col("_span") < end))
    lost = nw.col("_settled") & (before | beyond | nw.col("_again"))
    return frame.with_columns(lost.cast(nw.Int64).alias("_lost"))


def _signed(frame: Frame, plan: Mapping[str, str]) -> list[str]:
    """Amounts to be summed that may be below zero; of eager frames those that are."""
    summed = [name for name, how in plan.items() if how == "sum" and name in RANGES]
    if isinstance(frame, nw.DataFrame):
        return [name for name in summed if (frame.get_column(name) < 0).any()]
    return summed


def _value(frame: Frame, name: str) -> nw.Expr:
    """A column without NaN and prices of zero, text as plain strings."""
    if name in RANGES and kind_of(name) == "numbers":
        return amount(frame, name) if RANGES[name].closed else positive(frame, name)
    reads = {"numbers": lambda: number(frame, name), "text": lambda: text(name), "hours": lambda: declared_hours(frame)}
    return reads.get(kind_of(name), lambda: nw.col(name))()


def _typed(name: str) -> nw.Expr:
    whole = name in FIELDS and FIELDS[name].type == "int64"
    return nw.col(name).cast(nw.Int64) if whole else nw.col(name)


@metric(
    kind="summary",
    inputs=("timestamp", "close", "volume_base"),
    outputs=("timestamp", "vwap", "volume"),
)
def vwap(frame: Frame, *, every: str = "1d", price: Column = "close", volume: Column = "volume_base") -> Frame:
    """Average price per bucket, weighted by volume: ``sum(price * volume) / sum(volume)``.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        ``timestamp``, a price and a volume in units of base; several instruments where their keys are there; in
        any order. From bars it is an approximation, the better the shorter they are against the bucket;
        where bars have their value, ``volume_quote / volume_base`` is their exact average price.
    every : str
        Length of a bucket, as for :func:`resample`.
    price, volume : str
        Columns of the two; of events for example ``price`` and ``quantity_base``.

    Returns
    -------
    Same type as ``frame``
        One row per instrument and bucket that has rows, sorted so (Ibis promises no order), with its keys,
        ``timestamp`` (start of the bucket, UTC), ``vwap`` and ``volume``, the sum of the weights. Rows whose
        price or volume is null, NaN or infinite, whose price is not above zero or whose volume is below zero,
        are in neither sum. ``vwap`` is null where nothing was traded. The first and last bucket may be partial,
        and a gap adds nothing: each is the average of the rows that there are.

    Raises
    ------
    MissingColumnError, ColumnTypeError

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import datetime
    >>> frame = pl.DataFrame({
    ...     "timestamp": [datetime(2024, 1, 1, 0), datetime(2024, 1, 1, 1)],
    ...     "close": [100.0, 110.0],
    ...     "volume_base": [3.0, 1.0],
    ... })
    >>> frame.crypto.vwap().select("vwap", "volume").rows()
    [(102.5, 4.0)]
    """
    keys = instrument_keys(frame)
    paid, weight = positive(frame, price), amount(frame, volume)
    usable = ~weight.is_null() & ~paid.is_null()
    frame = with_bucket(
        frame.with_columns(
            nw.when(usable).then(weight).alias("_weight"), nw.when(usable).then(weight * paid).alias("_value")
        ),
        every,
    )
    sums = frame.group_by(*keys, "_bucket").agg(nw.col("_weight").sum(), nw.col("_value").sum())
    average = nw.when(nw.col("_weight") > 0).then(nw.col("_value") / nw.col("_weight"))
    return sums.select(
        *keys, nw.col("_bucket").alias("timestamp"), average.alias("vwap"), nw.col("_weight").alias("volume")
    ).sort(*keys, "timestamp")
