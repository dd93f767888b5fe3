"""Listing periods: the times in which a name was listed, from the first listing to the present one.

A venue may delist a name and list it again. ``instruments`` states the newest listing and delisting time only;
``instrument_periods`` states all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from cexkit.schema import INSTRUMENT_KEYS, TABLES
from cexkit.schema.intervals import Window, merged
from cexkit.warehouse.store.inventory_entries import Key, common
from cexkit.warehouse.store.warehouse import Warehouse

#: Largest expected error of a listing or delisting time.
LISTING_MARGIN = timedelta(days=1)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_TIMES = ("valid_from", "valid_to", "observed_at", "listing_time", "delisting_time", "expiry")
_COLUMNS = [*INSTRUMENT_KEYS, *_TIMES, "status"]


@dataclass(frozen=True, slots=True)
class ListingPeriod:
    """A time in which a name was listed without interruption.

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

    def certain(self, first: datetime | None, last: datetime | None) -> Window:
        """Return the period in which rows are due for certain, given the times of its first and last known row.

        A time that is unknown, or up to :data:`LISTING_MARGIN` off, says less than the rows: nobody knows whether an
        instrument traded before its first or after its last row.
        """
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


@dataclass(frozen=True, slots=True)
class ListingPeriods:
    """All times in which a name was listed, in order and apart from each other.

    Examples
    --------
    >>> from cexkit.schema.intervals import utc
    >>> first = ListingPeriod(utc("2022-01-01"), utc("2023-02-15"), trading=False)
    >>> listed = ListingPeriods((first, ListingPeriod(utc("2023-02-22"))))
    >>> [str(part) for part in listed.within(Window.of("2023-02-01", "2023-03-01"))]
    ['2023-02-01T00:00:00+00:00 … 2023-02-16T00:00:00+00:00', '2023-02-21T00:00:00+00:00 … 2023-03-01T00:00:00+00:00']
    """

    periods: tuple[ListingPeriod, ...] = (ListingPeriod(),)

    @property
    def windows(self) -> tuple[Window, ...]:
        """The longest possible periods."""
        return tuple(period.window for period in self.periods)

    @property
    def padded(self) -> tuple[Window, ...]:
        """The periods, longer by :data:`LISTING_MARGIN` on each side, because stated times are inaccurate."""
        return merged(
            Window(
                window.start if window.start == _FIRST else window.start - LISTING_MARGIN,
                window.end if window.end == _LAST else window.end + LISTING_MARGIN,
            )
            for window in self.windows
        )

    def within(self, window: Window) -> list[Window]:
        """Return the parts of a window in which the instrument can have rows, see :attr:`padded`."""
        return [part for listed in self.padded if not (part := common(listed, window)).empty]

    def certain(self, extent: Window | None) -> list[Window]:
        """Return the periods in which rows are due for certain, given the times of the first and last known row."""
        last = len(self.periods) - 1
        return [
            period.certain(
                extent.start if extent and number == 0 else None, extent.end if extent and number == last else None
            )
            for number, period in enumerate(self.periods)
        ]

    def widened(self, extent: Window | None) -> ListingPeriods:
        """Return the periods with the first one from the first known row on, if that is before the listing time."""
        if extent is None or not self.periods or extent.start >= self.windows[0].start:
            return self
        first, *others = self.periods
        return ListingPeriods((replace(first, start=extent.start), *others))


def hull(parts: Sequence[Window], window: Window) -> Window:
    """Return the span from the first part of a window to the last one; an empty one without parts."""
    return Window(parts[0].start, parts[-1].end) if parts else Window(window.start, window.start)


def listing_periods(warehouse: Warehouse, exchange_name: str) -> dict[Key, ListingPeriods]:
    """Return the listing periods of each instrument of a venue, by type and symbol."""
    periods, listed = (
        warehouse.read(TABLES[name], exchange=exchange_name) for name in ("instrument_periods", "instruments")
    )
    found = {}
    # Warehouses of earlier versions have no periods.
    for table in (listed, periods):
        rows = table.select([name for name in _COLUMNS if name in table.column_names]).to_pylist()
        rows.sort(key=lambda row: (*_key(row), row.get("valid_from", _FIRST)))
        found |= {key: periods_of(list(own)) for key, own in groupby(rows, _key)}
    return found


def periods_of(rows: Sequence[Mapping[str, Any]]) -> ListingPeriods:
    """Return the listing periods in the rows of an instrument, in order of time.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of ``instrument_periods``, or the row of ``instruments``.

    Returns
    -------
    ListingPeriods
        Without a period if the instrument was only announced. A listing time that was corrected while the instrument
        was listed is not another listing.

    Examples
    --------
    >>> from cexkit.schema.intervals import utc
    >>> names = ("valid_from", "valid_to", "listing_time", "delisting_time", "status")
    >>> first = ("2022-01-01", "2023-02-16", "2022-01-01", None, "trading")
    >>> gone = ("2023-02-16", "2023-02-22", "2022-01-01", "2023-02-15", "delisted")
    >>> again = ("2023-02-22", None, "2023-02-22", None, "trading")
    >>> rows = [dict(zip(names, [*(day and utc(day) for day in row[:4]), row[4]])) for row in (first, gone, again)]
    >>> [str(window.start.date()) for window in periods_of(rows).windows]
    ['2022-01-01', '2023-02-22']
    """
    windows = [window for window in _windows(rows) if not window.empty]
    trading = bool(rows) and rows[-1]["status"] == "trading"
    parts = merged(windows)
    return ListingPeriods(
        tuple(
            ListingPeriod(
                None if part.start == _FIRST else part.start,
                None if part.end == _LAST else part.end,
                trading and part == parts[-1],
            )
            for part in parts
        )
    )


def _windows(rows: Sequence[Mapping[str, Any]]) -> Iterator[Window]:
    """Yield the longest window in which each row says that the instrument was listed."""
    ends = {row["listing_time"]: _end(row) for row in rows}  # as stated last of each listing
    for number, row in enumerate(rows):
        begun, held_from = row["listing_time"], row.get("valid_from") or row["observed_at"]
        if row["status"] == "pending" and (begun is None or begun > held_from):
            continue
        start = begun or (_FIRST if number == 0 else rows[number - 1]["valid_from"])
        if row["status"] == "delisted":
            # The list that first shows an instrument as delisted does not say when that was.
            end = _end(row) or ends[begun] or (None if number == 0 else held_from)
        else:
            end = min(ends[begun] or _LAST, row.get("valid_to") or _LAST)
        yield Window(start, max(start, end or _LAST))


def _end(row: Mapping[str, Any]) -> datetime | None:
    return min(filter(None, (row.get("delisting_time"), row.get("expiry"))), default=None)


def _key(row: Mapping[str, Any]) -> Key:
    return Key(row["instrument_type"], row["symbol"])
