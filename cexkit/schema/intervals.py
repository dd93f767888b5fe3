"""Bar intervals, durations and UTC time windows.

Every window in cexkit is half-open, ``start <= t < end``, in UTC at microsecond precision. A time
without a zone (a naive ``datetime``, a ``date``, ``"2024-01-01"``) **is taken as UTC**; that is the
one rule for naive times everywhere in the package.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from cexkit.errors import InvalidInputError, UnknownNameError
from cexkit.schema.scalars import to_plain

INTERVALS: dict[str, timedelta] = {
    "1m": timedelta(minutes=1),
    "1h": timedelta(hours=1),
    "1d": timedelta(days=1),
}

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
# a hundred years; more is out of range, and overflows where times are counted in microseconds
_LONGEST = 36_525 * _UNITS["d"]

TimeLike = str | date | datetime
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Times that a window can begin or end at: a calendar's own ends leave no room to look before or after them.
YEARS = range(1700, 2200)
MILLISECOND = timedelta(milliseconds=1)


def to_timedelta(interval: str) -> timedelta:
    """Length of a bar interval.

    Examples
    --------
    >>> to_timedelta("1h")
    datetime.timedelta(seconds=3600)
    """
    try:
        return INTERVALS[interval]
    except KeyError:
        raise UnknownNameError.of("interval", interval, INTERVALS) from None


def seconds(duration: str) -> int:
    """Length of a fixed duration such as ``"5m"``, ``"8h"``, ``"1d"`` or ``"1w"``, in seconds.

    Raises
    ------
    InvalidInputError
        If it is none, or longer than a hundred years.

    Examples
    --------
    >>> seconds("8h")
    28800
    """
    match = re.fullmatch(r"([1-9]\d*)([smhdw])", duration) if isinstance(duration, str) else None
    if match is None or int(match[1]) * _UNITS[match[2]] > _LONGEST:
        raise InvalidInputError(
            f"not a duration: {duration!r}; give a whole number and one of s, m, h, d, w, such as '1m', '8h' or '1d'"
        )
    return int(match[1]) * _UNITS[match[2]]


def utc(value: TimeLike) -> datetime:
    """A time as an aware UTC ``datetime``; one without a zone is taken as UTC.

    Parameters
    ----------
    value : str, date or datetime
        ISO 8601 text (``"2024-01-01"``, ``"2024-01-01T08:00Z"``), a date (its midnight) or a datetime
        (pandas' ``Timestamp`` and NumPy's ``datetime64`` are too).

    Raises
    ------
    InvalidInputError
        If the value is no time, or one outside the years 1700 to 2199.

    Examples
    --------
    >>> utc("2024-01-01")
    datetime.datetime(2024, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)
    >>> utc("2024-01-01T08:00+08:00").isoformat()
    '2024-01-01T00:00:00+00:00'
    """
    given, value = value, to_plain(value)
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day)  # noqa: DTZ001 (the rule follows below)
        # rebuilt field by field, so that subclasses (pandas.Timestamp) become plain datetimes
        plain = datetime.combine(value.date(), value.timetz())
        moment = plain.replace(tzinfo=UTC) if plain.tzinfo is None else plain.astimezone(UTC)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise InvalidInputError(
            f"not a time: {given!r}; give ISO text such as '2024-01-01', a date or a datetime"
        ) from error
    if moment.year not in YEARS:
        raise InvalidInputError(
            f"{moment.isoformat()} is outside all data; for a window without a start or end leave it out"
        )
    return moment


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970 of an aware datetime, rounded up: the first whole one not before it.

    Examples
    --------
    >>> to_ms(utc("2020-01-01"))
    1577836800000
    """
    return -((EPOCH - moment) // MILLISECOND)


def from_ms(milliseconds: int) -> datetime:
    """The UTC datetime of milliseconds since 1970.

    Examples
    --------
    >>> from_ms(1577836800000).isoformat()
    '2020-01-01T00:00:00+00:00'
    """
    return EPOCH + timedelta(milliseconds=milliseconds)


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A half-open span of UTC time, ``start <= t < end``.

    Examples
    --------
    >>> Window.of("2024-01-01", "2024-01-02").days
    1.0
    >>> datetime(2024, 1, 2, tzinfo=UTC) in Window.of("2024-01-01", "2024-01-02")
    False
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise InvalidInputError(
                f"the window ends before it starts: {self.start.isoformat()} … {self.end.isoformat()}"
            )

    @classmethod
    def of(cls, start: TimeLike, end: TimeLike) -> Window:
        """A window from anything :func:`utc` takes."""
        return cls(utc(start), utc(end))

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    def __str__(self) -> str:
        return f"{self.start.isoformat(timespec='seconds')} … {self.end.isoformat(timespec='seconds')}"

    @property
    def days(self) -> float:
        """Length in days."""
        return (self.end - self.start) / timedelta(days=1)

    @property
    def empty(self) -> bool:
        """Whether no moment lies in it."""
        return self.end <= self.start

    def split(self, step: timedelta) -> Iterator[Window]:
        """Consecutive pieces of at most ``step``.

        Examples
        --------
        >>> [w.days for w in Window.of("2024-01-01", "2024-01-04").split(timedelta(days=2))]
        [2.0, 1.0]
        """
        start = self.start
        while start < self.end:
            yield Window(start, min(start + step, self.end))
            start += step


def merged(windows: Iterable[Window]) -> tuple[Window, ...]:
    """Windows in order, those that touch made one.

    Examples
    --------
    >>> [w.days for w in merged([Window.of("2024-01-02", "2024-01-03"), Window.of("2024-01-01", "2024-01-02")])]
    [2.0]
    """
    found: list[Window] = []
    for window in sorted(windows):
        if found and window.start <= found[-1].end:
            found[-1] = Window(found[-1].start, max(found[-1].end, window.end))
        else:
            found.append(window)
    return tuple(found)
