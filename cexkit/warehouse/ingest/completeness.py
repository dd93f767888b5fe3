"""Completeness of a span that was read: which of its rows are due, and which of these were not returned.

The rule depends on the density of the source and on the instrument's listing period. Of the settled part of a span,
within the listing period:

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
from cexkit.schema import TABLES, Table
from cexkit.schema.intervals import EPOCH, Window, merged
from cexkit.warehouse.ingest.listings import LISTING_MARGIN
from cexkit.warehouse.store.inventory_entries import Key
from cexkit.warehouse.store.layout import SETTLED
from cexkit.warehouse.store.warehouse import Warehouse

if TYPE_CHECKING:
    import numpy as np

    from cexkit.exchanges.base import Source

_DAY, _MICROSECOND = timedelta(days=1), timedelta(microseconds=1)
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

    def settled(self, span: Window, now: datetime) -> Window:
        """Return the part of a span that is settled by the venue's clock, up to the end of a step.

        Without the last clause, a day would be judged by its first hours.
        """
        final = now - SETTLED
        final -= (final - EPOCH) % self.step
        return Window(span.start, max(span.start, min(span.end, final)))

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

    def describe(self, spans: Iterable[Window]) -> str | None:
        """Return how much is missing, as ``3 rows`` or ``2 days``; None if no whole step or day is."""
        count, unit = sum(self._count(span) for span in merged(spans)), "row" if self.density == "dense" else "day"
        return f"{count:,} {unit}{'s' if count > 1 else ''}" if count else None

    def _count(self, span: Window) -> int:
        if self.density == "dense":
            return -((span.start - span.end) // self.step)
        return max(0, (span.end - EPOCH) // _DAY + (EPOCH - span.start) // _DAY)


@dataclass(frozen=True, slots=True)
class ListingPeriod:
    """The time in which an instrument was listed.

    Parameters
    ----------
    start, end : datetime or None
        Listing, and delisting or expiry; None if unknown.
    trading : bool
        False if it does not trade any more, or not at present.
    """

    start: datetime | None = None
    end: datetime | None = None
    trading: bool = True

    @property
    def window(self) -> Window:
        """The longest possible period."""
        start = self.start or _FIRST
        return Window(start, max(start, self.end or _LAST))

    def certain(self, extent: Window | None) -> Window:
        """Return the period in which rows are due for certain, given the times of the first and last known row.

        A time that is unknown, or up to :data:`LISTING_MARGIN` off, says less than the rows: nobody knows whether an
        instrument traded before its first or after its last row.
        """
        first, last = (extent.start, extent.end) if extent else (None, None)
        start = (
            (first or _LAST)
            if self.start is None
            else max(self.start, min(first or _LAST, self.start + LISTING_MARGIN))
        )
        if self.end is not None:
            end = min(self.end, max(last or _FIRST, self.end - LISTING_MARGIN))
        else:
            end = _LAST if self.trading else (last or _FIRST)
        return Window(start, max(start, end))


def listing_periods(warehouse: Warehouse, exchange_name: str) -> dict[Key, ListingPeriod]:
    """Return the listing period of each instrument of a venue, by type and symbol."""
    columns = ["instrument_type", "symbol", "listing_time", "delisting_time", "expiry", "status"]
    rows = warehouse.read(TABLES["instruments"], exchange=exchange_name).select(columns).to_pylist()
    return {
        Key(row["instrument_type"], row["symbol"]): ListingPeriod(
            row["listing_time"],
            min(filter(None, (row["delisting_time"], row["expiry"])), default=None),
            row["status"] == "trading",
        )
        for row in rows
    }


def due_missing(rule: CompletenessRule, listed: ListingPeriod, span: Window, times: np.ndarray) -> Sequence[Window]:
    """Return the parts of a settled span without due rows, within the listing period."""
    due = common(span, listed.window)
    return [] if due.empty else rule.missing(due, times)


def common(one: Window, other: Window) -> Window:
    """Return the common part of two windows; empty if they have none."""
    start = max(one.start, other.start)
    return Window(start, max(start, min(one.end, other.end)))


def _time(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)
