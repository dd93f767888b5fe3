"""Requests before a listing time, because the stated time may be too late.

If a window begins before an instrument was listed, the venue is asked once whether it has rows before the listing time.
If it has none, the inventory remembers a floor: nothing before it is requested again, unless another list states an
earlier listing time. If it has rows, the listing time is wrong. The window is then read backward from the listing time,
a month or page at a time, until one before all known rows is empty. So a name that was really listed last week costs
one request per table, whatever the window.

An index exists without the contract, and liquidations are rare, so their tables tell nothing of a listing: their
requests begin with the first rows of the other tables.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cexkit.errors import DamagedFileError, UnknownNameError, VenueError
from cexkit.exchanges.archives import Archive, piece_before
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.page import Page
from cexkit.exchanges.registry import exchange
from cexkit.schema import TABLES, Table
from cexkit.schema.intervals import Window
from cexkit.schema.symbols import Instrument
from cexkit.warehouse.ingest.listing_periods import ListingPeriods, listing_periods
from cexkit.warehouse.ingest.report import Problem
from cexkit.warehouse.store.inventory import Inventory
from cexkit.warehouse.store.inventory_entries import Key, common, read_extents
from cexkit.warehouse.store.layout import inventory_file
from cexkit.warehouse.store.warehouse import Warehouse

#: Shortest span that is read at a time before a listing time that is wrong.
MONTH = timedelta(days=31)
#: No venue has rows before the first block of Bitcoin.
_DAWN = datetime(2009, 1, 3, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def tells_listing(table: Table) -> bool:
    """Return whether rows of a table show that their instrument was listed."""
    return table.name not in ("index_1h", "liquidations")


def may_move_listings(warehouse: Warehouse, exchange_name: str, window: Window) -> bool:
    """Return whether rows of a window may show that an instrument was listed earlier than is known."""
    known = known_periods(warehouse, exchange_name).values()
    return any(window.start < period.start for listed in known for period in listed.padded)


def known_periods(warehouse: Warehouse, exchange_name: str) -> dict[Key, ListingPeriods]:
    """Return the listing periods of each instrument, from its first known row on if that is before the listing time."""
    extents: dict[Key, Window] = {}
    for table in TABLES.values():
        if table.name.startswith("ohlcv") or table.name in ("funding_rates", "open_interest"):
            with suppress(DamagedFileError):  # the pull of its table reports it
                for key, extent in read_extents(warehouse.root / inventory_file(table, exchange_name)).items():
                    extents[key] = min(extents.get(key, extent), extent)
    stated = listing_periods(warehouse, exchange_name)
    return {key: listed.widened(extents.get(key)) for key, listed in stated.items()}


def late_problem(instrument: Instrument, table: Table, stated: ListingPeriods, late: Sequence[Window]) -> Problem:
    """Return the problem of a listing time after spans with rows."""
    first = min(late).start
    listing = min(period.start for period in stated.windows if period.start > first)
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
    earliest : datetime or None
        Oldest time that the venue's API retains.
    refresh : bool
        True to request what was requested before.
    """

    inventory: Inventory
    table: Table
    instrument: Instrument
    listed: ListingPeriods
    window: Window
    earliest: datetime | None = None
    refresh: bool = False

    def gaps(self) -> list[Window]:
        """Return the times between listing periods, and before the first, that the window touches; newest first."""
        if not tells_listing(self.table):
            return []
        gaps, oldest = [], _DAWN if self._archive else max(_DAWN, self.earliest or _DAWN)
        for period in self.listed.padded:
            if oldest < period.start and self.window.start < period.start and oldest < self.window.end:
                gaps.append(Window(oldest, period.start))
            oldest = max(oldest, period.end)
        return gaps[::-1]

    def question(self, gap: Window) -> Window | None:
        """Return the span for which the venue is asked whether it has rows in a gap; None if it was asked before.

        The span is the whole gap if one request can tell, else its last page or the file before the listing.
        """
        if not self.refresh and self.inventory.floor(self.instrument, gap) is not None:
            return None
        if self._archive is not None:
            # The file in which the listing lies is read anyway.
            piece = piece_before(self._archive, self.instrument, gap.end - _MICROSECOND)
            return piece.window if piece.window.start > gap.start else None
        unread = [gap] if self.refresh else self.inventory.unread(self.instrument, gap)
        if not unread:
            return None
        return gap if self._is_unlimited else Window(max(gap.start, gap.end - self._page), gap.end)

    def questions(self) -> list[Window]:
        """Return the spans of the requests that a run makes for certain."""
        return [span for gap in self.gaps() if (span := self.question(gap)) is not None]

    def read(
        self,
        fetcher: Fetcher,
        pages: Callable[[Window], Iterator[Page]],
        rows: Callable[[], Window | None],
        is_whole: Callable[[], bool],
    ) -> Generator[Page, None, list[Window]]:
        """Yield the pages of the window before listing times, as far as the venue has rows there.

        Parameters
        ----------
        fetcher : Fetcher
            Asks the venue.
        pages : callable
            Returns the pages of a span.
        rows : callable
            Returns the span of the rows of these pages; None without any.
        is_whole : callable
            Returns whether no part of the span failed. Otherwise it does not show that the venue has no rows there.

        Returns
        -------
        list of Window
            Spans before a listing time in which the venue has rows.
        """
        late = []
        for gap in self.gaps():
            asked, floor, known = self.question(gap), self.inventory.floor(self.instrument, gap), None
            if asked is not None:
                known = self._ask(fetcher, asked)
                floor = asked.end if known is None else None
            if known is not None:
                late.append(known)
                self.inventory.observe(self.instrument, known)
            elif floor is not None:
                self.inventory.add_floor(self.instrument, floor)
            late += yield from self._read_backward(Window(floor or gap.start, gap.end), known, pages, rows, is_whole)
        return late

    def _read_backward(
        self,
        gap: Window,
        known: Window | None,
        pages: Callable[[Window], Iterator[Page]],
        rows: Callable[[], Window | None],
        is_whole: Callable[[], bool],
    ) -> Generator[Page, None, list[Window]]:
        """Yield the pages of the window in a gap, newest first, until a span before the ``known`` rows is empty.

        A span of which a part failed may have rows, so the ones before it are read too.
        """
        late, requested = [], common(self.window, gap)
        length = max(self._page, MONTH)
        parts = [requested] if self.refresh else self.inventory.unread(self.instrument, requested)
        spans = [span for part in parts if not part.empty for span in part.split(length)]
        for span in spans[::-1]:
            yield from pages(span)
            if (found := rows()) is not None:
                late.append(found)
            elif (
                is_whole() and span.end in (gap.end, span.start + length) and (known is None or span.end <= known.start)
            ):
                self.inventory.add_floor(self.instrument, span.end)
                break
        return late

    def _ask(self, fetcher: Fetcher, span: Window) -> Window | None:
        """Return the span of rows that one request for a span shows; None without any."""
        if self._archive is not None:
            path = piece_before(self._archive, self.instrument, span.end).path
            path += ".CHECKSUM" if self._archive.checksums else ""
            return None if fetcher.file(self.instrument.exchange, path) is None else span
        name, table = self.instrument.exchange, self.table
        try:
            page = next(fetcher.pages(name, table.name, self.instrument, span, confirm_empty=False), None)
        except UnknownNameError:
            return None
        if page is not None and page.error is not None:
            raise VenueError(str(page.error)) from page.error
        return None if page is None or not page.table else page.row_span

    @property
    def _archive(self) -> Archive | None:
        """The archive that is read where the API does not reach."""
        archive = exchange(self.instrument.exchange).archives.get((self.table.name, self.instrument.instrument_type))
        return archive if archive is not None and archive.preferred and self.earliest is not None else None

    @property
    def _page(self) -> timedelta:
        source = exchange(self.instrument.exchange).source(self.table.name, self.instrument.instrument_type)
        return source.page_length(self.table.bar)

    @property
    def _is_unlimited(self) -> bool:
        """True if one request may ask for any span. The venue then returns the first or the last rows."""
        source = exchange(self.instrument.exchange).source(self.table.name, self.instrument.instrument_type)
        return getattr(source.paginator, "span", None) is None
