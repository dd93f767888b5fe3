"""Completeness of a span that was read: which of its rows are due, and which of these were not returned.

The rule depends on the density of the source and on the instrument's listing periods. Of the settled part of a span,
within the listing periods:

- ``dense``: a step of the interval without a row is missing.
- ``sparse`` and ``irregular``: a UTC day without any row is missing; a day with one row is complete. Events without an
  interval (liquidations) are an exception: no venue promises one per day, so a day without events is complete.

Everything else is complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cexkit.exchanges.archives import Density
from cexkit.schema import Table
from cexkit.schema.intervals import EPOCH, Window, merged
from cexkit.warehouse.ingest.listing_periods import ListingPeriods
from cexkit.warehouse.store.inventory_entries import common
from cexkit.warehouse.store.layout import SETTLED
from cexkit.warehouse.store.wording import counted

if TYPE_CHECKING:
    import numpy as np

    from cexkit.exchanges.base import Source

_HOUR, _DAY, _MICROSECOND = timedelta(hours=1), timedelta(days=1), timedelta(microseconds=1)
#: Longest interval of settlements that is common.
_FUNDING_INTERVAL = timedelta(hours=8)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class CompletenessRule:
    """The rule of one source.

    Parameters
    ----------
    density : {"dense", "sparse", "irregular"}
        Which rows are due.
    bar : timedelta or None
        Interval of the table.

    Examples
    --------
    >>> import numpy as np
    >>> hourly = CompletenessRule("dense", timedelta(hours=1))
    >>> span = Window.of("2024-01-01", "2024-01-01T04:00")
    >>> times = np.array([1_704_067_200_000_000, 1_704_078_000_000_000])  # 00:00 and 03:00
    >>> print(*hourly.missing(span, times))
    2024-01-01T01:00:00+00:00 … 2024-01-01T03:00:00+00:00
    >>> CompletenessRule("sparse", timedelta(hours=1)).missing(span, times)
    []
    """

    density: Density
    bar: timedelta | None

    @classmethod
    def of(cls, table: Table, source: Source) -> CompletenessRule:
        """Return the rule of the source that a table is read from."""
        return cls(source.density, table.bar)

    @property
    def step(self) -> timedelta:
        """Shortest span that can be missing."""
        return self.bar if self.density == "dense" else _DAY

    @property
    def overlap(self) -> timedelta:
        """Time before the last rows that the next run reads again, because rows may come late: two steps."""
        return 2 * (self.bar or (_FUNDING_INTERVAL if self.density == "irregular" else _HOUR))

    def settled(self, span: Window, now: datetime) -> Window:
        """Return the part of a span that is settled by the venue's clock, up to the end of a step.

        Without the last clause, a day would be judged by its first hours.
        """
        final = now - SETTLED
        final -= (final - EPOCH) % self.step
        return Window(span.start, max(span.start, min(span.end, final)))

    def seen(self, span: Window, times: np.ndarray) -> Window:
        """Return the part of a span up to its first missing step, or else to its last row; empty without rows.

        Of events that no venue promises, it is all of the span.
        """
        if self.density == "sparse" and self.bar is None:
            return span
        if not times.size:
            return Window(span.start, span.start)
        if self.density == "dense":
            holes = self.missing(span, times)
            return Window(span.start, holes[0].start) if holes else span
        return Window(span.start, max(span.start, _time(int(times.max()) + 1)))

    def missing(self, span: Window, times: np.ndarray) -> list[Window]:
        """Return the parts of a span without due rows, given the times of its rows in microseconds since 1970.

        A day that the span only touches counts with the part in the span.
        """
        import numpy as np

        if self.density == "sparse" and self.bar is None:
            return []
        step = self.step // _MICROSECOND
        start, end = ((moment - EPOCH) // _MICROSECOND for moment in (span.start, span.end))
        first = (-(-start // step) if self.density == "dense" else start // step) * step
        present = np.zeros(max(0, -((first - end) // step)), dtype=bool)
        present[(times[(times >= max(start, first)) & (times < end)] - first) // step] = True
        edges = np.flatnonzero(np.diff(np.concatenate(([True], present, [True]))))
        holes = ((first + int(begin) * step, first + int(stop) * step) for begin, stop in edges.reshape(-1, 2))
        return [Window(_time(max(begin, start)), _time(min(stop, end))) for begin, stop in holes]

    def whole(self, spans: Iterable[Window]) -> list[Window]:
        """Return the spans that miss a whole step or day."""
        return [span for span in merged(spans) if self._count(span)]

    def describe(self, spans: Iterable[Window]) -> str:
        """Return how much is missing, as ``3 rows`` or ``2 days``."""
        return counted(sum(map(self._count, spans)), "row" if self.density == "dense" else "day")

    def _count(self, span: Window) -> int:
        if self.density == "dense":
            return -((span.start - span.end) // self.step)
        return max(0, (span.end - EPOCH) // _DAY + (EPOCH - span.start) // _DAY)


def due_missing(rule: CompletenessRule, listed: ListingPeriods, span: Window, times: np.ndarray) -> Sequence[Window]:
    """Return the parts of a settled span without due rows, within the listing periods."""
    due = (common(span, window) for window in listed.windows)
    return [hole for part in due if not part.empty for hole in rule.missing(part, times)]


def cut_days(span: Window) -> list[Window]:
    """Return the UTC days of which a span has a part only.

    Examples
    --------
    >>> [str(day.start.date()) for day in cut_days(Window.of("2024-01-01T09:30", "2024-01-03"))]
    ['2024-01-01']
    """
    starts = {moment - (moment - EPOCH) % _DAY for moment in (span.start, span.end) if (moment - EPOCH) % _DAY}
    return [Window(start, start + _DAY) for start in sorted(starts)]


def _time(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)
