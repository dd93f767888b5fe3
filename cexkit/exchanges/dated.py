"""Facts of venues that change, each value with the time from which it holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from cexkit.errors import InvalidInputError
from cexkit.schema.intervals import Window

T = TypeVar("T")

_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Dated(Generic[T]):
    """A fact of a venue that may have changed.

    Parameters
    ----------
    first : object
        The value before all changes, or at all times.
    changes : tuple of (datetime, object)
        Later values, each with the UTC time from which it holds, oldest first.

    Raises
    ------
    InvalidInputError
        If the changes are not in order of time.

    Examples
    --------
    >>> from cexkit.schema.intervals import utc
    >>> unit = Dated("ms", ((utc("2025-01-01"), "us"),))
    >>> unit.at(utc("2024-12-31T23:59")), unit.at(utc("2025-01-01"))
    ('ms', 'us')
    >>> [span.start.isoformat() for span in unit.spans("us")]
    ['2025-01-01T00:00:00+00:00']
    """

    first: T
    changes: tuple[tuple[datetime, T], ...] = ()

    def __post_init__(self) -> None:
        times = [since for since, _ in self.changes]
        if times != sorted(set(times)):
            raise InvalidInputError(f"changes of a dated fact must be in order of time, got {times!r}")

    def at(self, moment: datetime) -> T:
        """Return the value that holds at a time."""
        return next((value for since, value in reversed(self.changes) if since <= moment), self.first)

    def spans(self, value: T) -> tuple[Window, ...]:
        """Return the spans of time in which a value holds, oldest first."""
        starts = [(_FIRST, self.first), *self.changes]
        ends = [since for since, _ in starts[1:]] + [_LAST]
        return tuple(Window(start, end) for (start, held), end in zip(starts, ends, strict=True) if held == value)
