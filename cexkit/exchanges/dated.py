"""Facts of venues that change, each value with the time from which it holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Generic, TypeVar

from cexkit.errors import InvalidInputError
from cexkit.schema.intervals import Window

if TYPE_CHECKING:
    import polars as pl

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

    def of(self, times: pl.Expr) -> pl.Expr:
        """Return the value that holds at the time of each row.

        Examples
        --------
        >>> import polars as pl
        >>> from cexkit.schema.intervals import utc
        >>> unit = Dated("ms", ((utc("2025-01-01"), "us"),))
        >>> rows = pl.DataFrame({"time": [utc("2024-12-31"), utc("2025-01-01")]})
        >>> rows.select(unit.of(pl.col("time"))).to_series().to_list()
        ['ms', 'us']
        """
        import polars as pl

        values = pl.lit(self.first)
        for since, value in self.changes:
            values = pl.when(times >= since).then(pl.lit(value)).otherwise(values)
        return values

    def spans(self, value: T) -> tuple[Window, ...]:
        """Return the spans of time in which a value holds, oldest first."""
        starts = [(_FIRST, self.first), *self.changes]
        ends = [since for since, _ in starts[1:]] + [_LAST]
        return tuple(Window(start, end) for (start, held), end in zip(starts, ends, strict=True) if held == value)
