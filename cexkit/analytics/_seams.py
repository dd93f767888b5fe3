"""The only code that knows how engines differ.

Everything else in this package is plain Narwhals that means the same on polars, pandas and Ibis.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

import narwhals.stable.v2 as nw

from cexkit.errors import InvalidInputError
from cexkit.schema.fields import INSTRUMENT_KEYS

#: Definitions use what a lazy frame has; an eager Narwhals frame has all of it.
Frame: TypeAlias = "nw.LazyFrame[Any]"
#: A parameter that names the caller's column for an input.
Column: TypeAlias = str

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_MICRO = 1_000_000
# 1970-01-05, the first Monday: weeks begin there, every shorter bucket divides it
_MONDAY = 4 * _UNITS["d"]


def number(frame: Frame, column: str) -> nw.Expr:
    """An input as float64 in which NaN and infinities are null.

    Eager frames come from the core like that; on lazy and Ibis frames it is part of the expression.
    """
    value = nw.col(column)
    if isinstance(frame, nw.DataFrame):
        return value
    value = value.cast(nw.Float64)
    return nw.when(value.is_finite()).then(value)


def positive(frame: Frame, column: str) -> nw.Expr:
    """An input as float64 in which all but finite numbers above zero is null.

    For prices: DuckDB fails on the logarithm of anything else, polars returns NaN.
    """
    value = number(frame, column)
    return nw.when(value > 0).then(value)


def text(column: str) -> nw.Expr:
    """A column as plain strings, whatever its encoding."""
    return nw.col(column).cast(nw.String)


def names(frame: Frame) -> list[str]:
    """Columns of a frame."""
    return frame.collect_schema().names()


def instrument_keys(frame: Frame) -> list[str]:
    """Those of exchange, instrument_type and symbol that a frame has."""
    present = names(frame)
    return [key for key in INSTRUMENT_KEYS if key in present]


def in_time(frame: Frame) -> Callable[[nw.Expr], nw.Expr]:
    """A function that evaluates an order-dependent step per instrument, in time order."""
    keys = instrument_keys(frame)
    return lambda step: step.over(*keys, order_by="timestamp")


def per_instrument(frame: Frame) -> Callable[[nw.Expr], nw.Expr]:
    """A function that evaluates an aggregate per instrument and gives it to each of its rows."""
    keys = instrument_keys(frame)
    return (lambda aggregate: aggregate.over(*keys)) if keys else (lambda aggregate: aggregate)


def is_ibis(frame: Frame) -> bool:
    """Whether a frame is an Ibis expression."""
    return frame.implementation.is_ibis()


def with_epoch_us(frame: Frame, name: str, column: str = "timestamp") -> Frame:
    """Add a time column as microseconds since 1970 (int64); a time without a zone is taken as UTC."""
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


def with_bucket(frame: Frame, every: str, name: str = "_bucket") -> Frame:
    """Add the start of the bucket that ``timestamp`` lies in, as a UTC timestamp.

    Whole-number arithmetic since 1970 instead of the engines' own truncation, which follows the
    session's time zone on DuckDB, loses UTC on Ibis and knows no weeks there. Weeks begin on Monday.
    """
    step = seconds(every)
    origin = _MONDAY if step % _UNITS["w"] == 0 else 0
    frame = with_epoch_us(frame, name)
    start = (nw.col(name) - origin * _MICRO) // (step * _MICRO) * step + origin
    frame = frame.with_columns(start.alias(name))
    if not is_ibis(frame):
        return frame.with_columns((nw.col(name) * _MICRO).cast(nw.Datetime("us", "UTC")).alias(name))
    table = frame.to_native()
    return nw.from_native(table.mutate(**{name: table[name].as_timestamp("s").cast("timestamp('UTC', 6)")}))


def seconds(duration: str) -> int:
    """Length of a fixed duration such as ``"5m"``, ``"8h"``, ``"1d"`` or ``"1w"``.

    Examples
    --------
    >>> seconds("8h")
    28800
    """
    match = re.fullmatch(r"([1-9]\d*)([smhdw])", duration) if isinstance(duration, str) else None
    if match is None:
        raise InvalidInputError(
            f"not a duration: {duration!r}; give a whole number and one of s, m, h, d, w, such as '1m', '8h' or '1d'"
        )
    return int(match[1]) * _UNITS[match[2]]
