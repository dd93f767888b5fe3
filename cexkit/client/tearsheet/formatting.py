"""Numbers and times as a reader sees them; what is unknown is a dash."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime

UNKNOWN = "–"


def _signed(text: str) -> str:
    """With a minus as wide as a plus."""
    return text.replace("-", "−")


def number(value: float | None, digits: int = 6) -> str:
    """Significant digits, thousands apart.

    Examples
    --------
    >>> number(104788.8), number(0.00001), number(1000.0), number(None)
    ('104,789', '0.00001', '1,000', '–')
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = _signed(f"{value:,.{min(places, 15)}f}")
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_usd(value: float | None) -> str:
    """Dollars in a size that can be read.

    Examples
    --------
    >>> format_usd(10_268_931_186.0), format_usd(95_400.0), format_usd(12.0), format_usd(-2.5e6)
    ('10.27 bn', '95.4 k', '12', '−2.5 m')
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    for size, unit in ((1e12, " tn"), (1e9, " bn"), (1e6, " m"), (1e3, " k")):
        if abs(value) >= size:
            return f"{number(value / size, 4)}{unit}"
    return number(value, 4)


def at_least(value: float | None, coverage: str | None, words: Callable[[float | None], str] = format_usd) -> str:
    """A total of liquidations: a lower bound unless every event is known to be in it.

    Examples
    --------
    >>> at_least(2e6, "full"), at_least(2e6, "throttled"), at_least(None, "throttled")
    ('2 m', '≥ 2 m', '–')
    """
    return words(value) if value is None or coverage == "full" else f"≥ {words(value)}"


def percent(value: float | None, places: int = 2) -> str:
    """A fraction in percent.

    Examples
    --------
    >>> percent(0.1095), percent(-0.00004), percent(None)
    ('10.95 %', '0.00 %', '–')
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    # no minus before what rounds to zero
    return _signed(f"{round(value * 100, places) + 0.0:.{places}f} %")


def format_minute(value: datetime | None) -> str:
    """A time to the minute, UTC (the page says so once).

    Examples
    --------
    >>> format_minute(datetime(2024, 1, 1, 8))
    '2024-01-01 08:00'
    """
    return UNKNOWN if value is None else f"{value:%Y-%m-%d %H:%M}"


def format_date(value: datetime | None) -> str:
    """A day, UTC.

    Examples
    --------
    >>> format_date(datetime(2024, 1, 1, 8))
    '2024-01-01'
    """
    return UNKNOWN if value is None else f"{value:%Y-%m-%d}"
