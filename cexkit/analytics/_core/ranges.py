"""Possible values of each declared input; what is outside counts as null on every engine.

On eager frames a column whose median is outside raises, because such a column is not what its name says. Single values
outside give a warning. A pass for the lowest and highest value decides whether more is needed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import polars as pl

from cexkit.analytics._core.hours import LONGEST, unit_hint
from cexkit.analytics._core.metric import Metric
from cexkit.errors import CexkitWarning, InvalidInputError, OutOfRangeWarning, SignedQuantityWarning, warn


class Range(NamedTuple):
    """Values that a column can hold, and what to do about others."""

    allowed: str
    lowest: float
    #: Whether the lowest value is allowed.
    closed: bool
    highest: float
    warning: type[CexkitWarning]
    advice: str
    #: Whether a median outside raises.
    judged: bool = True

    def outside(self, values: pl.Series) -> pl.Series:
        """Return which finite values are outside; null and NaN are not."""
        below = (values < self.lowest) if self.closed else (values <= self.lowest)
        return (below | (values > self.highest)) & values.is_finite()

    def holds(self, values: pl.Series) -> bool:
        """Return whether all values are inside, in one pass for each end; infinite ones count as outside."""
        least, most = values.min(), values.max()
        if not isinstance(least, float) or not isinstance(most, float):
            return True
        return (least >= self.lowest if self.closed else least > self.lowest) and most <= self.highest


_PRICE = Range(
    "above zero", 0.0, False, math.inf, OutOfRangeWarning, "drop rows without a price, or give the column of the price"
)
_AMOUNT = Range(
    "zero or more",
    0.0,
    True,
    math.inf,
    SignedQuantityWarning,
    "give amounts without a sign; the side of a position or event has its own column",
)
#: Positions are often signed, so the median says which side prevails and nothing about the column.
_POSITION = _AMOUNT._replace(judged=False)
_SIZE = Range("above zero", 0.0, False, math.inf, OutOfRangeWarning, "give the value from the venue's listing")
_HOURS = Range(
    f"above 0 and at most {LONGEST} hours", 0.0, False, float(LONGEST), OutOfRangeWarning, "convert the column to hours"
)

RANGES: Mapping[str, Range] = {
    **dict.fromkeys(
        ("open", "high", "low", "close", "price", "reference", "benchmark", "mark_price", "index_price"), _PRICE
    ),
    **dict.fromkeys(
        (
            *("volume_base", "volume_quote", "volume_usd", "taker_buy_volume_base", "taker_buy_volume_quote", "trades"),
            *("open_interest_base", "open_interest_quote", "open_interest_usd", "market_cap_usd"),
            *("quantity_base", "value_quote", "value_usd"),
        ),
        _AMOUNT,
    ),
    "quantity": _POSITION,
    "multiplier": _SIZE,
    "funding_interval_hours": _HOURS,
}

#: Times of market data, in years; a time outside was read in the wrong unit.
_YEARS = (2000, 2200)
_PER_SECOND = {"ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def check(metric: Metric, frame: pl.DataFrame, arguments: Mapping[str, Any]) -> None:
    """Raise for columns that cannot be what their names say, and warn of single values that cannot be.

    Raises
    ------
    InvalidInputError
        If the median of a column is out of range.
    """
    for name in metric.used(arguments):
        column = metric.column(name, arguments)
        if name in RANGES and column in frame.columns and frame.schema[column].is_numeric():
            _check_values(metric.name, RANGES[name], frame.get_column(column))


def check_times(metric: Metric, frame: pl.DataFrame, arguments: Mapping[str, Any]) -> None:
    """Raise for times outside of the years 2000 to 2199, before anything else reads them: Python has no year 10000.

    Raises
    ------
    InvalidInputError
        Naming the column.
    """
    columns = [*(metric.column(name, arguments) for name in metric.used(arguments)), "timestamp"]
    for column in dict.fromkeys(columns):
        if column in frame.columns:
            _check_times(metric.name, frame.get_column(column))


def _check_values(metric: str, possible: Range, values: pl.Series) -> None:
    values = values.cast(pl.Float64)
    if possible.holds(values) or not (bad := possible.outside(values)).any():
        return
    median = _judged(possible, values.filter(values.is_finite())).median()
    if possible.judged and isinstance(median, float) and possible.outside(pl.Series([median])).item():
        hint = unit_hint(median) if possible is _HOURS else ""
        raise InvalidInputError(
            f"{metric}: column {values.name!r} must be {possible.allowed}, got a median of {median:.6g}"
            f"{hint}; {possible.advice}"
        )
    warn(
        f"{metric}: {bad.sum()} of {len(values)} values in column {values.name!r} are not {possible.allowed}, "
        f"for example {values.filter(bad)[0]:.6g}, and count as null; {possible.advice}",
        possible.warning,
    )


def _judged(possible: Range, values: pl.Series) -> pl.Series:
    """Return the values whose median says what a column holds.

    Zero hours mean that the hours are not known, so they say nothing about the unit. Nor do single negative ones.
    """
    if possible is not _HOURS or (values < 0).sum() * 2 > len(values):
        return values
    return values.filter(values > 0)


def _check_times(metric: str, values: pl.Series) -> None:
    dtype = values.dtype
    if not isinstance(dtype, pl.Datetime | pl.Date) or not len(values):
        return
    per_year = 365.2425 * 86_400 * _PER_SECOND[dtype.time_unit] if isinstance(dtype, pl.Datetime) else 365.2425
    whole = values.to_physical()
    for value in (whole.min(), whole.max()):
        year = 1970 + value / per_year if isinstance(value, int) else _YEARS[0]
        if not _YEARS[0] <= year < _YEARS[1]:
            raise InvalidInputError(
                f"{metric}: times in column {values.name!r} must be in the years {_YEARS[0]} to {_YEARS[1] - 1}, got "
                f"the year {year:.0f}; whole numbers were probably converted in the wrong unit (seconds, milliseconds, "
                "microseconds, or nanoseconds since 1970)"
            )
