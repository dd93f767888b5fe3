"""Arguments that are numbers: with a unit, such as days and costs as fractions of a value, or without."""

from __future__ import annotations

import math
from typing import Any

from cexkit.analytics._core.hours import is_number, is_truth, unit_hint
from cexkit.errors import InvalidInputError

#: Longest time to expiry or holding period, in days.
MOST_DAYS = 3_650
#: A number in another unit is read as at most a year, in days.
YEAR = 366
#: Highest fee of one fill; the dearest venue charges 1.2% at its lowest volume.
MOST_FEE = 0.02
#: Highest cost of a whole trade, all fills of both legs.
MOST_COST = 0.1


def check_number(name: str, value: Any, allowed: str, *, least: float, closed: bool = True) -> None:
    """Raise InvalidInputError unless an argument is a finite number from ``least`` on, or above it if not ``closed``.

    Examples
    --------
    >>> check_number("contract_size", -1, "a number above zero", least=0, closed=False)
    Traceback (most recent call last):
    cexkit.errors.InvalidInputError: contract_size must be a number above zero, got contract_size=-1
    """
    if not (is_number(value) and (least <= value if closed else least < value) and value < math.inf):
        raise InvalidInputError(f"{name} must be {allowed}, got {name}={value!r}")


def check_flag(name: str, value: Any) -> None:
    """Raise InvalidInputError unless an argument is True or False, because any text counts as true.

    Examples
    --------
    >>> check_flag("compound", "no")
    Traceback (most recent call last):
    cexkit.errors.InvalidInputError: compound must be True or False, got 'no'
    """
    if not is_truth(value):
        raise InvalidInputError(f"{name} must be True or False, got {value!r}")


def check_days(name: str, days: float, *, least: float) -> None:
    """Raise InvalidInputError unless an argument is a number of days, from ``least`` to ten years.

    Examples
    --------
    >>> check_days("days", 2_592_000, least=0)
    Traceback (most recent call last):
    cexkit.errors.InvalidInputError: days must be from 0 to 3,650 days, got days=2592000; it looks like seconds:
    2592000 seconds are 30 days
    """
    if not (is_number(days) and least <= days <= MOST_DAYS):
        hint = unit_hint(float(days), YEAR, "days") if is_number(days) else ""
        raise InvalidInputError(f"{name} must be from {least:g} to {MOST_DAYS:,} days, got {name}={days!r}{hint}")


def check_cost(name: str, cost: float, *, most: float, least: float = 0.0) -> None:
    """Raise InvalidInputError unless an argument is a cost as a fraction of a value, from ``least`` to ``most``.

    Examples
    --------
    >>> check_cost("fees", 5, most=MOST_FEE)
    Traceback (most recent call last):
    cexkit.errors.InvalidInputError: fees must be a fraction from 0 to 0.02 (0.002 is 20 bps), got fees=5; it looks like
    basis points: 5 bps are 0.0005
    """
    if is_number(cost) and least <= cost <= most:
        return
    value = float(cost) if is_number(cost) else 0.0
    hint = ""
    if most < value < 1:
        hint = f"; it looks like percent: {value:g}% are {value / 100:g}"
    elif 1 <= value <= most * 10_000:
        hint = f"; it looks like basis points: {value:g} bps are {value / 10_000:g}"
    raise InvalidInputError(
        f"{name} must be a fraction from {least:g} to {most:g} (0.002 is 20 bps), got {name}={cost!r}{hint}"
    )
