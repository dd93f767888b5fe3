"""Requests before a listing time, because the stated time may be too late.

If a window begins before an instrument was listed, the page before the listing time is requested once. Without rows,
the inventory remembers a floor: nothing before it is requested again, unless another list states an earlier listing
time. With rows, the listing time is wrong. The window is then read backward from the listing time, a month or page at a
time, until one has no rows. So a name that was really listed last week costs one request per table, whatever the
window.

An index exists without the contract, and liquidations are rare, so their tables tell nothing of a listing: their
requests begin with the first rows of the other tables.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cexkit.exchanges.archives import Period
from cexkit.exchanges.page import Page
from cexkit.exchanges.registry import exchange
from cexkit.schema import TABLES, Table
from cexkit.schema.intervals import EPOCH, Window
from cexkit.schema.symbols import Instrument
from cexkit.warehouse.ingest.listing_periods import ListingPeriods, listing_periods
from cexkit.warehouse.ingest.report import Problem
from cexkit.warehouse.store.inventory import Inventory
from cexkit.warehouse.store.inventory_entries import Key, common, read_extents
from cexkit.warehouse.store.layout import inventory_file
from cexkit.warehouse.store.warehouse import Warehouse

#: Shortest span that is read at a time before a listing time that is wrong.
MONTH = timedelta(days=31)
_MICROSECOND = timedelta(microseconds=1)


def tells_listing(table: Table) -> bool:
    """Return whether rows of a table show that their instrument was listed."""
    return table.name not in ("index_1h", "liquidations")


def known_periods(warehouse: Warehouse, exchange_name: str) -> dict[Key, ListingPeriods]:
    """Return the listing periods of each instrument, from its first known row on if that is before the listing time."""
    extents: dict[Key, Window] = {}
    for table in TABLES.values():
        if table.name.startswith("ohlcv") or table.name in ("funding_rates", "open_interest"):
            for key, extent in read_extents(warehouse.root / inventory_file(table, exchange_name)).items():
                extents[key] = min(extents.get(key, extent), extent)
    stated = listing_periods(warehouse, exchange_name)
    return {key: listed.widened(extents.get(key)) for key, listed in stated.items()}


def late_problem(
    instrument: Instrument, table: Table, stated: ListingPeriods, late: Sequence[Window], extent: Window | None
) -> Problem:
    """Return the problem of a listing time after ``late`` spans with rows; ``extent`` is the span of all rows."""
    first = min(late).start
    listing = min(period.start for period in stated.windows if period.start > first)
    if extent is not None and first <= extent.start < listing:
        first = extent.start
    text = (
        f"{instrument.instrument_type}: the venue states the listing time {listing:%Y-%m-%dT%H:%M} but has rows from "
        f"before it, which are kept; do not take it for the start of trading"
    )
    return Problem(instrument.exchange, table.name, instrument.symbol, Window(first, listing), text)


@dataclass(frozen=True, slots=True)
class BeforeListing:
    """Times before the listings of an instrument that a run may request from a table.

    Parameters
    ----------
    inventory : Inventory
        Knows what was read, and the floors.
    table : Table
        The declaration.
    instrument : Instrument
        Whose rows.
    listed : ListingPeriods
        Its listing periods, as far as rows are known.
    window : Window
        The span that the run requests.
    page : timedelta
        Longest span of one page.
    files : {"day", "month"} or None
        Period of the archive's files, if these are read where the API does not reach.
    retained : datetime or None
        Oldest time that can be requested; None if unlimited.
    refresh : bool
        True to request what was requested before.
    """

    inventory: Inventory
    table: Table
    instrument: Instrument
    listed: ListingPeriods
    window: Window
    page: timedelta
    files: Period | None = None
    retained: datetime | None = None
    refresh: bool = False

    @classmethod
    def of(
        cls,
        inventory: Inventory,
        table: Table,
        instrument: Instrument,
        listed: ListingPeriods,
        window: Window,
        earliest: datetime | None,
        refresh: bool = False,
    ) -> BeforeListing:
        """Return the times before the listings of an instrument; ``earliest`` is the oldest that the API retains."""
        venue = exchange(instrument.exchange)
        source = venue.source(table.name, instrument.instrument_type)
        archive = venue.archives.get((table.name, instrument.instrument_type))
        page = source.page_length(table.bar)
        if archive is None or not archive.preferred or earliest is None:
            return cls(inventory, table, instrument, listed, window, page, None, earliest, refresh)
        return cls(inventory, table, instrument, listed, window, page, archive.periods[-1], None, refresh)

    def gaps(self) -> list[Window]:
        """Return the times between listing periods, and before the first, that the window touches; newest first."""
        if not tells_listing(self.table):
            return []
        gaps, oldest = [], max(EPOCH, self.retained or EPOCH)
        for period in self.listed.padded:
            if oldest < period.start and self.window.start < period.start and oldest < self.window.end:
                gaps.append(Window(oldest, period.start))
            oldest = max(oldest, period.end)
        return gaps[::-1]

    def probe(self, gap: Window) -> Window | None:
        """Return the page at the end of a gap that tells if the venue has rows in it; None if it was requested."""
        if not self.refresh and self.inventory.floor(self.instrument, gap) is not None:
            return None
        if self.files is not None:
            # The file of the listing itself is read anyway, so the one before it tells.
            end = _start_of(self.files, gap.end - _MICROSECOND)
            return Window(end - timedelta(days=1), end) if end > gap.start else None
        if self.refresh:
            return Window(max(gap.start, gap.end - self.page), gap.end)
        unread = self.inventory.unread(self.instrument, gap)
        return Window(max(unread[-1].start, unread[-1].end - self.page), unread[-1].end) if unread else None

    def probes(self) -> list[Window]:
        """Return the pages that a run requests for certain."""
        return [probe for gap in self.gaps() if (probe := self.probe(gap)) is not None]

    def read(self, pages: Callable[[Window, bool], Iterator[Page]], found: Callable[[], bool]) -> Generator:
        """Yield the pages of the window before listing times, as far as the venue has rows there.

        Parameters
        ----------
        pages : callable
            Returns the pages of a span; the second argument is True for a span that only tells if there are rows.
        found : callable
            Returns whether these pages had rows.

        Returns
        -------
        list of Window
            Spans before a listing time in which the venue has rows.
        """
        late = []
        for gap in self.gaps():
            probe, floor = self.probe(gap), self.inventory.floor(self.instrument, gap)
            if probe is not None:
                yield from pages(probe, True)
                floor = None if found() else probe.end
                late += [probe] if floor is None else []
            if floor is not None:
                self.inventory.add_floor(self.instrument, floor)
            late += yield from self._read_backward(Window(floor or gap.start, gap.end), pages, found)
        return late

    def _read_backward(
        self, gap: Window, pages: Callable[[Window, bool], Iterator[Page]], found: Callable[[], bool]
    ) -> Generator:
        """Yield the pages of the window in a gap, newest first, until a span of them has no rows."""
        late, requested = [], common(self.window, gap)
        length = max(self.page, MONTH)
        parts = [requested] if self.refresh else self.inventory.unread(self.instrument, requested)
        spans = [span for part in parts if not part.empty for span in part.split(length)]
        for span in spans[::-1]:
            yield from pages(span, False)
            if found():
                late.append(span)
            elif span.end in (gap.end, span.start + length):
                self.inventory.add_floor(self.instrument, span.end)
                break
        return late


def _start_of(period: Period, moment: datetime) -> datetime:
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return day if period == "day" else day.replace(day=1)
