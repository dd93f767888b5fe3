"""Engine-specific code, all in one module.

Everything else in this package is plain Narwhals, which means the same on Polars, pandas, and Ibis.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, TypeAlias

import narwhals.stable.v2 as nw
import polars as pl

from cexkit.analytics._core.windows import INSTRUMENT, RANKED, Moment, moments, ranks, with_windows
from cexkit.schema.fields import INSTRUMENT_KEYS
from cexkit.schema.intervals import EPOCH, seconds

#: Definitions use only methods of a lazy frame; an eager Narwhals frame has all of them.
Frame: TypeAlias = "nw.LazyFrame[Any]"
#: A parameter that names the caller's column for an input.
Column: TypeAlias = str

#: Microseconds per second.
MICRO = 1_000_000
_DAY = 86_400
_POSSIBLE_US = tuple(int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * MICRO for year in (2000, 2200))


def number(frame: Frame, column: str) -> nw.Expr:
    """Return an input as float64 in which NaN and infinities are null.

    Eager frames arrive from the core in this form. On lazy and Ibis frames, the conversion is part of the expression.
    """
    value = nw.col(column)
    if isinstance(frame, nw.DataFrame):
        return value
    value = value.cast(nw.Float64)
    # Compare, because every engine sorts NaN above all numbers; a test for finite values differs on Spark.
    return nw.when(value.abs() <= sys.float_info.max).then(value)


def positive(frame: Frame, column: str) -> nw.Expr:
    """Return an input as float64 in which everything but finite numbers above zero is null.

    Prices need this: DuckDB fails on the logarithm of any other value, and Polars returns NaN.
    """
    value = number(frame, column)
    return nw.when(value > 0).then(value)


def amount(frame: Frame, column: str) -> nw.Expr:
    """Return an input as float64 in which everything but finite numbers of zero or more is null.

    Quantities and values have no sign; what has one is of another convention and must not enter a sum.
    """
    value = number(frame, column)
    return nw.when(value >= 0).then(value)


def text(column: str) -> nw.Expr:
    """Return a column as plain strings, whatever its encoding."""
    return nw.col(column).cast(nw.String)


def names(frame: Frame) -> list[str]:
    """Return the column names of a frame."""
    return frame.collect_schema().names()


def instrument_keys(frame: Frame) -> list[str]:
    """Return the columns among exchange, instrument_type, and symbol that a frame has."""
    present = names(frame)
    return [key for key in INSTRUMENT_KEYS if key in present]


def group_keys(frame: Frame) -> list[str]:
    """Return the columns that identify an instrument: its number if the core put the rows in order, else its keys."""
    return [INSTRUMENT] if INSTRUMENT in names(frame) else instrument_keys(frame)


def in_time(frame: Frame) -> Callable[[nw.Expr], nw.Expr]:
    """Return a function that evaluates an order-dependent step per instrument, in time order."""
    keys = group_keys(frame)
    if keys == [INSTRUMENT]:
        return lambda step: step.over(INSTRUMENT)
    return lambda step: step.over(*keys, order_by="timestamp")


def shifted(frame: Frame, separate_by: Sequence[str] = ()) -> Callable[[nw.Expr, int], nw.Expr]:
    """Return a function that gives each row its instrument's value ``n`` rows before; null at the ends.

    Rows that differ in the columns ``separate_by`` belong to different series.
    """
    keys = [*group_keys(frame), *separate_by]
    if keys == [INSTRUMENT]:
        # Rows are in order, so the value is ``n`` rows above if that row has the same instrument.
        number = nw.col(INSTRUMENT)
        return lambda value, n: nw.when(number == number.shift(n)).then(value.shift(n))
    return lambda value, n: value.shift(n).over(*keys, order_by="timestamp")


def with_moments(frame: Frame, wanted: Mapping[str, Moment], window: int, samples: int) -> Frame:
    """Add means and covariances of each instrument's trailing rows; null if fewer than ``samples`` have a value.

    ``wanted`` maps each new column to the one column whose mean it is, or to the two whose covariance it is. Those two
    must have their values in the same rows.
    """
    if group_keys(frame) == [INSTRUMENT] and samples == window:
        columns = list(dict.fromkeys(name for of in wanted.values() for name in of))
        kernel = partial(moments, wanted=list(wanted.values()), window=window)
        return nw.from_native(with_windows(frame.to_native(), columns, list(wanted), kernel, window))
    over = in_time(frame)

    def variance(value: nw.Expr) -> nw.Expr:
        return over(value.rolling_var(window, min_samples=samples))

    # Compute each variance once, because covariances use it too.
    own = {name: f"_var{name}" for of in wanted.values() if len(of) == 2 for name in of}
    if own:
        frame = frame.with_columns(variance(nw.col(name)).alias(column) for name, column in own.items())

    def moment(one: str, other: str | None = None) -> nw.Expr:
        if other is None:
            return over(nw.col(one).rolling_mean(window, min_samples=samples))
        if one == other:
            return nw.col(own[one])
        # E[xy] - E[x]E[y] would cancel if x and y are alike
        both = variance(nw.col(one) + nw.col(other))
        return (both - nw.col(own[one]) - nw.col(own[other])) / 2

    return frame.with_columns(moment(*of).alias(name) for name, of in wanted.items())


def per_instrument(frame: Frame) -> Callable[[nw.Expr], nw.Expr]:
    """Return a function that evaluates an aggregate per instrument and assigns it to each of its rows."""
    keys = group_keys(frame)
    return (lambda aggregate: aggregate.over(*keys)) if keys else (lambda aggregate: aggregate)


def is_ibis(frame: Frame) -> bool:
    """Return True if a frame is an Ibis expression."""
    return frame.implementation.is_ibis()


def with_epoch_us(frame: Frame, name: str, column: str = "timestamp") -> Frame:
    """Add a time column as microseconds since 1970 (int64); a time without a zone is treated as UTC."""
    dtype = frame.collect_schema()[column]
    if dtype != nw.Datetime:
        frame = frame.with_columns(nw.col(column).cast(nw.Datetime("us")).alias(name))
        column, dtype = name, nw.Datetime("us")
    if not is_ibis(frame):
        return frame.with_columns(nw.col(column).dt.timestamp("us").alias(name))
    # Narwhals has no dt.timestamp on Ibis; a difference in microseconds is exact on every SQL engine
    table = frame.to_native()
    epoch = EPOCH if dtype.time_zone else EPOCH.replace(tzinfo=None)
    return nw.from_native(table.mutate(**{name: table[column].delta(epoch, unit="microsecond")}))


def with_possible_us(frame: Frame, name: str, column: str = "timestamp") -> Frame:
    """Add a time column as :func:`with_epoch_us` does, null outside of the years 2000 to 2199.

    Such times were read in the wrong unit. Eager frames that have some are refused before.
    """
    frame = with_epoch_us(frame, name, column)
    if isinstance(frame, nw.DataFrame):
        return frame
    possible = nw.col(name).is_between(*_POSSIBLE_US, closed="left")
    return frame.with_columns(nw.when(possible).then(nw.col(name)).alias(name))


def in_zone(frame: Frame, column: str, like: str) -> nw.Expr:
    """Return a column of times in the time zone of another one, so that values of both can be in one column."""
    schema, expr = frame.collect_schema(), nw.col(column)
    if is_ibis(frame) or not all(schema[name] in (nw.Datetime, nw.Date) for name in (column, like)):
        return expr  # SQL converts them, and a column of nulls has no zone
    ours, theirs = (None if schema[name] == nw.Date else schema[name].time_zone for name in (like, column))
    if ours == theirs:
        return expr
    known = expr if theirs else expr.cast(nw.Datetime("us")).dt.replace_time_zone("UTC")
    moved = known.dt.convert_time_zone(ours or "UTC")
    return moved if ours else moved.dt.replace_time_zone(None)


def hours_of_duration(column: str) -> nw.Expr:
    """Return a column of durations as hours."""
    return nw.col(column).dt.total_seconds().cast(nw.Float64) / 3600


def with_bucket(frame: Frame, every: str, name: str = "_bucket") -> Frame:
    """Add the start of the bucket that contains ``timestamp``, as a UTC timestamp.

    The start is computed with integer arithmetic since 1970. The engines' own truncation follows the session's time
    zone on DuckDB; on Ibis it loses UTC and does not support weeks. Weeks begin on Monday.
    """
    step = seconds(every)
    frame = with_epoch_us(frame, name)
    start = (nw.col(name) - origin(step) * MICRO) // (step * MICRO) * step + origin(step)
    return with_time(frame.with_columns(start.alias(name)), name, name)


def origin(step: int) -> int:
    """Return the origin of buckets of ``step`` seconds, in seconds since 1970: its first Monday for weeks, else 0."""
    return 4 * _DAY if step % (7 * _DAY) == 0 else 0


def with_time(frame: Frame, name: str, column: str) -> Frame:
    """Add whole seconds since 1970 (int64) as a UTC timestamp."""
    if not is_ibis(frame):
        return frame.with_columns((nw.col(column) * MICRO).cast(nw.Datetime("us", "UTC")).alias(name))
    table = frame.to_native()
    return nw.from_native(table.mutate(**{name: table[column].as_timestamp("s").cast("timestamp('UTC', 6)")}))


def with_instant(frame: Frame, name: str, column: str) -> Frame:
    """Add microseconds since 1970 (int64) as a UTC timestamp."""
    if not is_ibis(frame):
        return frame.with_columns(nw.col(column).cast(nw.Datetime("us", "UTC")).alias(name))
    table = frame.to_native()
    # No SQL engine of Ibis accepts microseconds; all accept seconds and can add the rest.
    whole = (table[column] // MICRO).as_timestamp("s").cast("timestamp('UTC', 6)")
    return nw.from_native(table.mutate(**{name: whole + (table[column] % MICRO).as_interval("us")}))


def with_rank(frame: Frame, column: str, window: int, samples: int, method: Literal["average", "min"]) -> Frame:
    """Add the rank of each value among its instrument's trailing rows (``_rank``, from 1) and their ``_count``.

    The row's own value is included. Ties share the average or the lowest of their ranks. Nulls have no rank and are not
    counted, but occupy their place in the window. The rank is also null if fewer than ``samples`` rows have a value.
    """
    if group_keys(frame) == [INSTRUMENT] and samples == window <= RANKED:
        kernel = partial(ranks, column=column, window=window, method=method)
        return nw.from_native(
            with_windows(frame.to_native(), [column], ["_rank"], kernel, window).with_columns(_count=pl.lit(window))
        )
    frame = frame.with_columns((~nw.col(column).is_null()).cast(nw.Int64).alias("_known"))
    frame = frame.with_columns(in_time(frame)(nw.col("_known").rolling_sum(window, min_samples=1)).alias("_count"))
    frame = (_ranked_on_ibis if is_ibis(frame) else _ranked_on_polars)(frame, column, window, method)
    return frame.with_columns(nw.when(nw.col("_count") >= samples).then(nw.col("_rank")).alias("_rank"))


def _ranked_on_polars(frame: Frame, column: str, window: int, method: Literal["average", "min"]) -> Frame:
    keys, native = group_keys(frame), frame.to_native()
    order = None if keys == [INSTRUMENT] else "timestamp"
    rank = pl.col(column).rolling_rank(window, method=method, min_samples=1)
    return nw.from_native(native.with_columns(rank.over(keys or None, order_by=order).alias("_rank")))


def _ranked_on_ibis(frame: Frame, column: str, window: int, method: Literal["average", "min"]) -> Frame:
    native = frame.to_native()
    values = native[column].collect().over(rows=(1 - window, 0), group_by=group_keys(frame), order_by="timestamp")
    table = native.mutate(_values=values)
    value = table[column]
    below = table["_values"].filter(lambda other: other < value).length()
    equal = table["_values"].filter(lambda other: other == value).length()
    rank = {"min": below + 1, "average": below + (equal + 1) / 2}[method].cast("float64")
    return nw.from_native(table.mutate(_rank=value.notnull().ifelse(rank, None)).drop("_values"))


def distinct_text(frame: Frame, by: Sequence[str], column: str, name: str) -> Frame:
    """Return one row per group with its distinct values of a text column, sorted and joined by ``+``; null if none."""
    native: Any = frame.to_native()
    if not is_ibis(frame):
        # Deduplicate the whole frame first: per group, it takes three times as long.
        values = native.select(*by, pl.col(column).cast(pl.String).alias(name)).unique().sort(name)
        found = pl.col(name).drop_nulls()
        return nw.from_native(values.group_by(by).agg(pl.when(found.len() > 0).then(found.str.join("+")).alias(name)))
    values = native.group_by(list(by)).agg(_values=native[column].cast("string").collect(distinct=True))
    joined = values["_values"].sort().join("+").nullif("")
    return nw.from_native(values.mutate(**{name: joined}).drop("_values"))


def aggregated(frame: Frame, by: Sequence[str], hows: Mapping[str, str], *, rows: str) -> Frame:
    """Return one row per group with the aggregate of each column and the number of rows.

    An aggregate is null if its column has no value. ``first`` and ``last`` follow ``timestamp`` among the rows that
    have a value. ``same`` is the only value of the group, null if the group has several.
    """
    native: Any = frame.to_native()
    if not is_ibis(frame):
        wanted = [_polars_aggregate(pl.col(name), how).alias(name) for name, how in hows.items()]
        return nw.from_native(native.group_by(by).agg(pl.len().cast(pl.Int64).alias(rows), *wanted))
    time = native["timestamp"]
    table = native.group_by(list(by)).agg(
        **{rows: native.count()}, **{name: _ibis_aggregate(native[name], how, time) for name, how in hows.items()}
    )
    return nw.from_native(table)


def _polars_aggregate(column: pl.Expr, how: str) -> pl.Expr:
    if how in ("first", "last"):
        there = column.is_not_null()
        value, time = column.filter(there), pl.col("timestamp").filter(there)
        return value.min_by(time) if how == "first" else value.max_by(time)
    if how == "sum":
        return pl.when(column.count() > 0).then(column.sum())
    if how == "same":
        return pl.when(column.drop_nulls().n_unique() == 1).then(column.drop_nulls().first())
    return getattr(column, how)()


def _ibis_aggregate(column: Any, how: str, time: Any) -> Any:
    if how in ("first", "last"):
        by_time = column.argmin if how == "first" else column.argmax
        return by_time(time, where=column.notnull())
    if how == "same":
        return (column.min() == column.max()).ifelse(column.min(), None)
    return getattr(column, how)()
