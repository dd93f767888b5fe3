"""Funding intervals in any form: hours, durations, or texts such as ``8h``; and the unit that a wrong number is in."""

from __future__ import annotations

from datetime import timedelta
from numbers import Real
from types import MappingProxyType
from typing import Any

import polars as pl

from cexkit.errors import InvalidInputError
from cexkit.schema.intervals import seconds

#: An interval as an argument: hours, ``"8h"``, or a timedelta.
Hours = float | str | timedelta
#: No venue settles funding less often than once a day, in hours.
LONGEST = 24
#: From the largest: a number is in the first unit in which it is a possible length.
_PER_HOUR = MappingProxyType(
    {"minutes": 60, "seconds": 3600, "milliseconds": 3.6e6, "microseconds": 3.6e9, "nanoseconds": 3.6e12}
)


def is_number(value: Any) -> bool:
    """Return whether a value is a real number.

    Truth values do not count, and neither do durations of NumPy, which do not say their unit.

    Examples
    --------
    >>> import numpy as np
    >>> is_number(8), is_number(np.float32(8)), is_number(True), is_number(np.timedelta64(8, "h"))
    (True, True, False, False)
    """
    return isinstance(value, Real) and not is_truth(value) and _numpy_kind(value) != "m"


def is_truth(value: Any) -> bool:
    """Return whether a value is True or False, of Python or NumPy."""
    return isinstance(value, bool) or (_numpy_kind(value) == "b" and not value.shape)


def _numpy_kind(value: Any) -> str:
    """Return the letter that NumPy has for the type of one of its values; empty for others."""
    return getattr(getattr(value, "dtype", None), "kind", "")


def unit_hint(hours: float, longest: float = LONGEST, unit: str = "hours") -> str:
    """Return the likely unit of a length that is too long to be in hours or days, as the end of a message.

    Examples
    --------
    >>> unit_hint(480)
    '; it looks like minutes: 480 minutes are 8 hours'
    >>> unit_hint(8)
    ''
    """
    per_hour = {"hours": 1, **_PER_HOUR} if unit == "days" else _PER_HOUR
    scale = 24 if unit == "days" else 1
    fits = [name for name, per in per_hour.items() if hours > longest and 1 <= hours / (per * scale) <= longest]
    if not fits:
        return ""
    return f"; it looks like {fits[0]}: {hours:.15g} {fits[0]} are {hours / (per_hour[fits[0]] * scale):.6g} {unit}"


def to_hours(value: Hours, name: str = "interval_hours") -> float:
    """Return an interval as hours; raise InvalidInputError unless it is above 0 and at most 24.

    Examples
    --------
    >>> to_hours("8h"), to_hours(timedelta(hours=4)), to_hours(1)
    (8.0, 4.0, 1.0)
    >>> to_hours(28_800)
    Traceback (most recent call last):
    cexkit.errors.InvalidInputError: interval_hours must be above 0 and at most 24 hours, got 28800; it looks like
    seconds: 28800 seconds are 8 hours
    """
    hours = 0.0 if is_truth(value) else _as_hours(value)
    if not 0 < hours <= LONGEST:
        hint = unit_hint(hours) if is_number(value) else ""
        hint = hint or "; give hours as a number, a text such as '8h', or a timedelta"
        raise InvalidInputError(f"{name} must be above 0 and at most {LONGEST} hours, got {value!r}{hint}")
    return hours


def _as_hours(value: Any) -> float:
    """Return hours; 0 for what is none."""
    try:
        if isinstance(value, str):
            return hours_of_text(value)
        try:
            # First, because a timedelta of NumPy is a number too, in a unit that it does not say.
            return float(value / timedelta(hours=1))
        except TypeError:
            return float(value)
    except (TypeError, ValueError):
        return 0.0


def hours_of_text(text: str) -> float:
    """Return the hours of a duration such as ``8h``, ``480m``, or ``1d``.

    Examples
    --------
    >>> hours_of_text("480m")
    8.0
    """
    return seconds(text) / 3600


def with_hours_as_numbers(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame whose funding intervals, if it has any, are numbers of hours."""
    if "funding_interval_hours" not in frame.columns:
        return frame
    values = frame.get_column("funding_interval_hours")
    return frame if values.dtype.is_numeric() else frame.with_columns(hours_of(values))


def hours_of(values: pl.Series) -> pl.Series:
    """Return funding intervals as numbers of hours; other types than durations and texts stay as they are."""
    if values.dtype == pl.Duration:
        return values.cast(pl.Duration("us")).to_physical().cast(pl.Float64) / 3.6e9
    if values.dtype not in (pl.String, pl.Categorical, pl.Enum):
        return values
    texts = values.cast(pl.String)
    known = {}
    for text in texts.drop_nulls().unique():
        try:
            known[text] = hours_of_text(text)
        except InvalidInputError as error:
            raise InvalidInputError(
                f"column {values.name!r} must hold hours as numbers or durations such as '8h', got {text!r}"
            ) from error
    return texts.replace_strict(known, default=None, return_dtype=pl.Float64)
