"""Names of file periods and the spans that they mean; :mod:`cexkit.warehouse.store.layout` decides which ones exist.

A name has one spelling only; any other spelling is refused.

====================  ==============================================  ==================
kind                  span                                            name
====================  ==============================================  ==================
``all``               everything                                      ``all``
``year``              a year                                          ``2026``
``year_to_date``      the first months of a year                      ``2026-01..05``
``month_to_date``     the first weeks of a month                      ``2026-06-01..14``
``rest_of_year``      from a week of a year to its last day           ``2026-06-15..12-31``
``month``             a month                                         ``2026-06``
``week``              days 1-7, 8-14, 15-21, or 22-end of a month     ``2026-06-08..14``
``day``               a day                                           ``2026-06-23``
====================  ==============================================  ==================

Names of one table sort in the order of their spans.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType

from cexkit.errors import InvalidInputError
from cexkit.schema.intervals import Window

_DAY = timedelta(days=1)
_NAME = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?(?:\.\.(?:([0-9]{2})-)?([0-9]{2}))?")
_KINDS = ("year", "month", "week", "day", "year_to_date", "month_to_date", "rest_of_year")
_ALL = Window(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


def span_at(kind: str, moment: datetime) -> Window:
    """Return the span of a kind that a moment falls in; only for kinds that do not depend on the current time.

    Examples
    --------
    >>> print(span_at("week", datetime(2026, 2, 25, 13, tzinfo=UTC)))
    2026-02-22T00:00:00+00:00 … 2026-03-01T00:00:00+00:00
    """
    if kind == "all":
        return _ALL
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if kind == "day":
        return Window(day, day + _DAY)
    month = day.replace(day=1)
    if kind == "year":
        return Window(month.replace(month=1), month.replace(month=1, year=month.year + 1))
    next_month = (month + 31 * _DAY).replace(day=1)
    if kind == "month":
        return Window(month, next_month)
    first = min((day.day - 1) // 7, 3) * 7
    return Window(month + first * _DAY, next_month if first == 21 else month + (first + 7) * _DAY)


def spell(kind: str, span: Window) -> str:
    """Return the name of a span of a kind.

    Examples
    --------
    >>> spell("rest_of_year", Window.of("2026-06-15", "2027-01-01"))
    '2026-06-15..12-31'
    """
    first, last = span.start, span.end - _DAY
    year, month, day = f"{first.year:04}", f"-{first.month:02}", f"-{first.day:02}"
    match kind:
        case "all":
            return "all"
        case "year":
            return year
        case "month":
            return year + month
        case "day":
            return year + month + day
        case "year_to_date":
            return f"{year}{month}..{last.month:02}"
        case "rest_of_year":
            return f"{year}{month}{day}..{last.month:02}-{last.day:02}"
    return f"{year}{month}{day}..{last.day:02}"


def name_at(kind: str, moment: datetime) -> str:
    """Return the name of the span of a kind that a moment falls in."""
    return spell(kind, span_at(kind, moment))


def parts_of_year(year: Window, cut: datetime) -> tuple[str, ...]:
    """Return the names of the at most three files of a year whose closed weeks end at ``cut``, the start of a week.

    A year without a closed week, and one that is closed, is one file.

    Examples
    --------
    >>> year = Window.of("2026-01-01", "2027-01-01")
    >>> parts_of_year(year, datetime(2026, 6, 15, tzinfo=UTC))
    ('2026-01..05', '2026-06-01..14', '2026-06-15..12-31')
    >>> parts_of_year(year, datetime(2026, 2, 1, tzinfo=UTC)), parts_of_year(year, year.end)
    (('2026-01..01', '2026-02-01..12-31'), ('2026',))
    """
    if cut in (year.start, year.end):
        return (spell("year", year),)
    month = cut.replace(day=1)
    spans = {
        "year_to_date": Window(year.start, month),
        "month_to_date": Window(month, cut),
        "rest_of_year": Window(cut, year.end),
    }
    return tuple(spell(kind, span) for kind, span in spans.items() if span.start < span.end)


@lru_cache(maxsize=4096)
def parse(period: str) -> Mapping[str, Window]:
    """Return the span that a name means, by each kind that it is a name of.

    Raises
    ------
    InvalidInputError
        If it is not the name of a file period.

    Examples
    --------
    >>> [list(parse(name)) for name in ("2026-06-01..07", "2026-06-01..14", "2026")]
    [['week', 'month_to_date'], ['month_to_date'], ['year']]
    """
    if period == "all":
        return MappingProxyType({"all": _ALL})
    found: dict[str, Window] = {}
    with suppress(ValueError, OverflowError):  # of a date that does not exist, or a window that ends before it starts
        span = _span(period)
        found = {kind: span for kind in _KINDS if _is_kind(kind, span) and spell(kind, span) == period}
    if not found:
        raise InvalidInputError(
            f"not the name of a file period: {period!r}; valid names are such as 'all', '2024', '2024-05', "
            "'2024-05-08..14', '2024-05-23', '2024-01..04', '2024-05-01..21', '2024-05-22..12-31'"
        )
    return MappingProxyType(found)


def _span(period: str) -> Window:
    """Return the span between the dates of a name; ValueError or OverflowError without valid dates."""
    match = _NAME.fullmatch(period)
    if not match:
        raise ValueError(period)
    year, month, day, last_month, last = (int(number) if number else None for number in match.groups())
    first = datetime(year, month or 1, day or 1, tzinfo=UTC)
    if last is None:
        return span_at("day" if day else "month" if month else "year", first)
    if day is None:
        return Window(first, span_at("month", first.replace(month=last)).end)
    return Window(first, first.replace(month=last_month or month, day=last) + _DAY)


def _is_kind(kind: str, span: Window) -> bool:
    year, month = span_at("year", span.start), span_at("month", span.start)
    match kind:
        case "year_to_date":
            return span.start == year.start and span.end.day == 1 and span.end < year.end
        case "month_to_date":
            return span.start == month.start and _starts_week(span.end) and span.end < month.end
        case "rest_of_year":
            return span.end == year.end and year.start < span.start and _starts_week(span.start)
    return span == span_at(kind, span.start)


def _starts_week(moment: datetime) -> bool:
    return span_at("week", moment).start == moment
