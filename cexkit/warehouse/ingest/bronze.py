"""Ingestion into Bronze: every response unmodified, and complete spans requested once."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from cexkit.errors import BlockedError, FetchError, UnknownNameError
from cexkit.exchanges.archives import Archive, requested_twice
from cexkit.exchanges.downloads import archive_pages
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.page import Page
from cexkit.exchanges.registry import exchange
from cexkit.exchanges.rows import quarantined
from cexkit.schema import Table
from cexkit.schema.intervals import EPOCH, Window, merged
from cexkit.schema.symbols import Instrument
from cexkit.warehouse.ingest.before_listing import BeforeListing, known_periods, late_problem, tells_listing
from cexkit.warehouse.ingest.completeness import CompletenessRule, common, cut_days, due_missing
from cexkit.warehouse.ingest.inventories import open_inventory
from cexkit.warehouse.ingest.listing_periods import ListingPeriods, hull, listing_periods
from cexkit.warehouse.ingest.repeats import choose_repeats, missing_problems
from cexkit.warehouse.ingest.replay import endpoints
from cexkit.warehouse.ingest.report import ClockProblem, Problem, Report, Step, Tally
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.bronze import BronzeWriter, archived, bronze_files, newest_bronze_files
from cexkit.warehouse.store.inventory import Inventory, key_of
from cexkit.warehouse.store.inventory_entries import Key, subtract
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.sequence import Sequence as RequestNumbers
from cexkit.warehouse.store.sequence import largest_number
from cexkit.warehouse.store.warehouse import Warehouse

if TYPE_CHECKING:
    from cexkit.exchanges.http.client import NextSequence

#: An interruption loses the responses of at most this time.
FLUSH_SECONDS = 30.0
#: Longest span of one archive file.
ARCHIVE_SPAN = timedelta(days=32)


def ingest_bronze(
    warehouse: Warehouse,
    fetcher: Fetcher,
    exchange_name: str,
    table: Table,
    window: Window | None = None,
    of: Iterable[Instrument] = (),
    *,
    step: Step | None = None,
    refresh: bool = False,
    now: datetime | None = None,
) -> Report:
    """Read a table of an exchange and store every response unmodified, malformed ones included.

    An instrument that cannot be read is reported, and the others are still read. Spans that are complete are not
    requested again, so a run that was cut resumes where it stopped. Requested each time is what is younger than
    :data:`SETTLED` by the venue's clock, because it may still be corrected. Spans without rows that are due (see
    :mod:`cexkit.warehouse.ingest.completeness`) are requested again by later runs with growing delays, and reported
    until then. What was read while the venue's clock and this machine's disagreed is not complete either; the report
    has one problem for it.

    Parameters
    ----------
    warehouse : Warehouse
        Destination.
    fetcher : Fetcher
        Client that reads the venue.
    exchange_name, table
        Venue and table.
    window : Window, optional
        Span to read; None for ``instruments``.
    of : iterable of Instrument
        Instruments whose rows to read; ignored for ``instruments``.
    step : callable, optional
        Called with a short text as each instrument finishes.
    refresh : bool
        Request everything again, for late corrections of old rows, and forget earlier requests for missing rows.
    now : datetime, optional
        Time that delays of repeated requests are measured at. Default: the current time.

    Raises
    ------
    BlockedError
        If the venue refuses this address, because every other instrument would fail too.
    """
    warehouse.tidy()
    tally, run = Tally(), _run_name()
    numbers = RequestNumbers(warehouse.root, _latest_number(warehouse, exchange_name, table))
    progress = _Progress.begun(warehouse, exchange_name, table, window, list(of), refresh, now, numbers.next)
    with ExitStack() as stack:
        stack.callback(_announce, warehouse, exchange_name, table, progress)
        writers = progress.writers
        stack.callback(progress.flush)
        for symbol, pages in _readings(warehouse, fetcher, exchange_name, table, window, tally.problems, progress):
            try:
                for page in pages:
                    if page.endpoint not in writers:
                        writer = BronzeWriter(warehouse.root, exchange_name, page.endpoint, run)
                        writers[page.endpoint] = stack.enter_context(writer)
                    keep = writers[page.endpoint]
                    row = _bronze_row(page)
                    (keep.add_file if page.is_file else keep.add)(row)
                    tally.add(row["data_start"], row["data_end"])
                    progress.seen(page)
                    _note_skew(page, exchange_name, table, tally.problems)
            except BlockedError:
                raise
            except (FetchError, UnknownNameError) as error:
                tally.problems.append(Problem(exchange_name, table.name, symbol, window, str(error)))
            if step is not None:
                step(f"{table.name} {symbol or exchange_name}")
    tally.problems += progress.missing_problems(fetcher)
    tally.files = [path.relative_to(warehouse.root).as_posix() for w in writers.values() for path in w.files]
    return tally.report()


def _latest_number(warehouse: Warehouse, exchange_name: str, table: Table) -> int:
    """Return the largest number of a stored response about a table: an older counter may have been restored."""
    ledger = Ledger(warehouse.root, exchange_name, table)
    found = (
        path
        for endpoint in endpoints(exchange_name, table)
        for path in newest_bronze_files(warehouse.root, exchange_name, endpoint)
    )
    unread = largest_number(warehouse.root / path for path in ledger.new(found))
    return max(ledger.last_sequence or 0, unread or 0)


@dataclass(slots=True)
class _Progress:
    """What a run has read so far, and which spans it requests."""

    table: Table
    inventory: Inventory | None
    requested: Window | None
    #: The parts of the requested span in which each instrument was listed.
    parts: dict[Instrument, list[Window]]
    #: Listing periods, from the first known row on if that is before the listing time, and as the venue states them.
    listed: dict[Key, ListingPeriods]
    stated: dict[Key, ListingPeriods]
    refresh: bool
    clock: Callable[[], datetime]
    next_sequence: NextSequence
    repeats: dict[Instrument, list[Window]] = field(default_factory=dict)
    writers: dict[str, BronzeWriter] = field(default_factory=dict)
    now: datetime | None = None
    whole: bool = True
    #: The span of the rows since it was last set to None.
    rows: Window | None = None
    #: False while times before a listing are read: without rows, they are not complete.
    listed_then: bool = True
    times: list[np.ndarray] = field(default_factory=list)
    flushed: float = field(default_factory=time.monotonic)

    @classmethod
    def begun(
        cls,
        warehouse: Warehouse,
        exchange_name: str,
        table: Table,
        window: Window | None,
        of: Sequence[Instrument],
        refresh: bool,
        now: datetime | None,
        next_sequence: NextSequence,
    ) -> _Progress:
        """Return the progress of a run that has requested nothing yet."""
        clock = partial(datetime.now, UTC) if now is None else lambda: now
        if table.name == "instruments":
            return cls(table, None, None, {}, {}, {}, refresh, clock, next_sequence)
        stated, listed = listing_periods(warehouse, exchange_name), known_periods(warehouse, exchange_name)
        parts = {one: listed.get(key_of(one), ListingPeriods()).within(window) for one in of}
        inventory = open_inventory(warehouse, exchange_name, table, listed)
        progress = cls(table, inventory, window, parts, listed, stated, refresh, clock, next_sequence)
        progress.repeats = {} if refresh else choose_repeats(inventory, table, progress.windows, clock())
        return progress

    @property
    def windows(self) -> dict[Instrument, Window]:
        """The span from the first part of each instrument to its last."""
        return {one: hull(parts, self.requested) for one, parts in self.parts.items()}

    def spans(self, instrument: Instrument, window: Window, earliest: datetime | None) -> Iterator[Window]:
        """Yield the spans to request, none longer than a file of the table, so that little is lost by a cut.

        Missing spans that the venue no longer retains are among them, so that they are reported as such.
        """
        gaps = [window]
        if not self.refresh:
            again = [*self.repeats.get(instrument, ())]
            if earliest is not None:
                lost = Window(window.start, max(window.start, min(window.end, earliest)))
                again += [entry.window for entry in self.inventory.missing(instrument, lost)]
            gaps = [*self.inventory.unread(instrument, window), *(common(span, window) for span in again)]
        for gap in merged(gap for gap in gaps if not gap.empty):
            for period in layout.periods(self.table, gap):
                yield common(gap, layout.period_window(self.table, period))

    def begin(self) -> None:
        """Prepare for the pages of a span."""
        self.whole, self.now, self.times = True, None, []

    def seen(self, page: Page) -> None:
        """Note a page of the span that is stored."""
        self.now = page.context.now
        self.whole = self.whole and page.error is None and not page.context.skewed and not self._lacks_rows(page)
        if page.table is not None and self.table.time in page.table.column_names:
            self.times.append(page.table[self.table.time].cast("int64").to_numpy())
        self._note_rows(page.context.window if page.is_file else page.row_span)

    def _lacks_rows(self, page: Page) -> bool:
        """Return whether rows of a page are quarantined that would not be found missing: the rows of no bars."""
        return page.table is not None and self.table.bar is None and quarantined(page.table).count > 0

    def end(self, instrument: Instrument, span: Window) -> None:
        """Note that all pages of a span are stored: which part of it is settled, and which due rows it lacks."""
        if self.whole and self.now is not None and (self.listed_then or self.rows is not None):
            self._record(instrument, self._rule(instrument).settled(span, self.now))
        if time.monotonic() - self.flushed > FLUSH_SECONDS:
            self.flush()

    def refused(self, instrument: Instrument) -> None:
        """Note that the venue does not know an instrument: none of its missing spans has rows."""
        self.begin()
        for span in self.repeats.get(instrument, ()):
            self._record(instrument, span)

    def covered(self, instrument: Instrument, spans: Iterable[Window]) -> None:
        """Note that archive files hold these spans: nothing in them is missing from the API."""
        for span in spans:
            self._note_rows(span)
            self.inventory.observe(instrument, Window(span.end, span.end))
            for entry in self.inventory.missing(instrument, span):
                self.inventory.record(instrument, common(entry.window, span), at=self.clock())

    def before_listing(self, instrument: Instrument, fetcher: Fetcher) -> BeforeListing:
        """Return what may be requested of an instrument before its listings."""
        listed = self.listed.get(key_of(instrument), ListingPeriods())
        earliest = fetcher.earliest(instrument.exchange, self.table.name, instrument.instrument_type)
        return BeforeListing(self.inventory, self.table, instrument, listed, self.requested, earliest, self.refresh)

    def _note_rows(self, span: Window | None) -> None:
        if span is not None:
            known = self.rows or span
            self.rows = Window(min(known.start, span.start), max(known.end, span.end))

    def flush(self) -> None:
        """Write the responses first, then the inventory that refers to them."""
        for writer in self.writers.values():
            writer.flush()
        if self.inventory is not None:
            self.inventory.flush()
        self.flushed = time.monotonic()

    def missing_problems(self, fetcher: Fetcher) -> list[Problem]:
        """Return one problem per instrument with due rows that the venue did not return."""
        if self.inventory is None:
            return []
        kinds = {(instrument.exchange, instrument.instrument_type) for instrument in self.windows}
        earliest = {kind: fetcher.earliest(name, self.table.name, kind) for name, kind in kinds}
        return missing_problems(self.inventory, self.table, self.windows, self.listed, earliest)

    def lost_problems(self, instrument: Instrument, lost: Window) -> Iterator[Problem]:
        """Yield one problem per part of a span with due rows that the venue retains no longer."""
        rule = self._rule(instrument)
        listed = self.listed.get(key_of(instrument), ListingPeriods())
        for part in (common(lost, window) for window in listed.windows):
            if part.empty:
                continue
            if rule.density != "dense" or rule.missing(part, np.empty(0, dtype="int64")):
                where = (instrument.exchange, self.table.name, instrument.symbol, part)
                yield Problem(*where, "the venue does not keep it")

    def _rule(self, instrument: Instrument) -> CompletenessRule:
        source = exchange(instrument.exchange).source(self.table.name, instrument.instrument_type)
        return CompletenessRule.of(self.table, source)

    def _record(self, instrument: Instrument, span: Window) -> None:
        times = np.concatenate([np.empty(0, dtype="int64"), *self.times])
        if times.size:
            first, last = (EPOCH + timedelta(microseconds=int(end)) for end in (times.min(), times.max()))
            self.inventory.observe(instrument, Window(first, last))
        listed = self.listed.get(key_of(instrument), ListingPeriods())
        if tells_listing(self.table):
            listed = listed.widened(self.inventory.extent(instrument))
        rule = self._rule(instrument)
        missing = due_missing(rule, listed, span, times)
        days = [] if rule.density == "dense" else cut_days(span)
        known = [day for day in days if self._has_row_elsewhere(instrument, day, span, listed)]
        missing = [part for hole in missing for part in subtract(hole, known)]
        self.inventory.record(instrument, span, missing, at=self.clock(), reset=self.refresh)
        for day in days:
            due = [part for window in listed.windows if not (part := common(common(day, span), window)).empty]
            if due and all(common(*parts).empty for parts in product(missing, due)):  # it has a row, so it is complete
                for entry in self.inventory.missing(instrument, day):
                    self.inventory.record(instrument, entry.window, at=self.clock())

    def _has_row_elsewhere(self, instrument: Instrument, day: Window, span: Window, listed: ListingPeriods) -> bool:
        """Return whether the part of a day outside of a span was read and had a row: a day with one is complete."""
        complete = (part for rest in subtract(day, [span]) for part in self.inventory.complete(instrument, rest))
        return any(not common(*parts).empty for parts in product(complete, listed.windows))


def _readings(
    warehouse: Warehouse,
    fetcher: Fetcher,
    exchange_name: str,
    table: Table,
    window: Window | None,
    problems: list[Problem],
    progress: _Progress,
) -> Iterator[tuple[str | None, Iterator[Page]]]:
    """Yield each instrument's symbol and its pages; None and the pages of the lists for ``instruments``."""
    if table.name == "instruments":
        yield None, fetcher.instrument_pages(exchange_name, next_sequence=progress.next_sequence)
        return
    known: dict[str, dict[str, str]] = {}
    for instrument in progress.parts:
        archive = exchange(exchange_name).archives.get((table.name, instrument.instrument_type))
        if archive is not None and archive.endpoint not in known:
            known[archive.endpoint] = _archived(warehouse, exchange_name, table, archive.endpoint, window)
        files = {} if archive is None else known[archive.endpoint]
        yield instrument.symbol, _pages_of(fetcher, table, archive, instrument, files, problems, progress)


def _pages_of(
    fetcher: Fetcher,
    table: Table,
    archive: Archive | None,
    instrument: Instrument,
    known: Mapping[str, str],
    problems: list[Problem],
    progress: _Progress,
) -> Iterator[Page]:
    """Yield the pages of an instrument in the times in which it was listed, and before them if the venue has rows."""

    def pages(span: Window, problems: list[Problem]) -> Iterator[Page]:
        if archive is None:
            return _api_pages(fetcher, table, instrument, span, problems, progress)
        where = (fetcher, table.name, archive, instrument, span, known)
        files = partial(archive_pages, *where, next_sequence=progress.next_sequence)
        return _with_archive(fetcher, table, archive, instrument, span, files, problems, progress)

    for part in progress.parts[instrument]:
        yield from pages(part, problems)
    before = progress.before_listing(instrument, fetcher)

    def pages_before(span: Window) -> Iterator[Page]:
        progress.listed_then, progress.rows = False, None
        try:
            yield from pages(span, [])  # what the venue no longer keeps there may never have been
        finally:
            progress.listed_then = True

    if late := (yield from before.read(fetcher, pages_before, lambda: progress.rows)):
        problems.append(late_problem(instrument, table, progress.stated[key_of(instrument)], late))


def _archived(warehouse: Warehouse, exchange_name: str, table: Table, endpoint: str, window: Window) -> dict[str, str]:
    """Return the hash of each archive file of a window that is stored, by its address."""
    paths = bronze_files(warehouse.root, exchange_name, endpoint)
    # a file of a month holds days outside of the window
    around = Window(window.start - ARCHIVE_SPAN, window.end + ARCHIVE_SPAN)
    return archived(warehouse.root, Ledger(warehouse.root, exchange_name, table).candidates(paths, around))


def _with_archive(
    fetcher: Fetcher,
    table: Table,
    archive: Archive,
    instrument: Instrument,
    window: Window,
    files: Callable[[list[Window], list[Window], list[tuple[Window, str]]], Iterator[Page]],
    problems: list[Problem],
    progress: _Progress,
) -> Iterator[Page]:
    """Yield the pages of a venue with an archive: first if it is preferred, last if only it has the instrument.

    Files are stored unparsed. The spans that they hold are not missing from the API; holes in them are found by the
    quality check ``gaps``.
    """
    if not archive.preferred:
        try:
            yield from _api_pages(fetcher, table, instrument, window, problems, progress)
            return
        except UnknownNameError:
            pass  # delisted: the API forgets, the archive does not
    rest: list[Window] = []
    held: list[Window] = []
    unverified: list[tuple[Window, str]] = []
    yield from files(rest, held, unverified)
    problems += [Problem(instrument.exchange, table.name, instrument.symbol, *each) for each in unverified]
    if archive.compared:
        rest.append(_kept_by_api(fetcher, table, instrument, window))
    progress.covered(instrument, subtract(window, rest))
    earliest = fetcher.earliest(instrument.exchange, table.name, instrument.instrument_type)
    twice = requested_twice(archive, rest, held, earliest)
    for span in merged([*rest, *twice]):
        yield from _api_pages(fetcher, table, instrument, span, problems, progress)
    progress.covered(instrument, twice)


def _kept_by_api(fetcher: Fetcher, table: Table, instrument: Instrument, window: Window) -> Window:
    """The part of a window that the venue's API still keeps."""
    earliest = fetcher.earliest(instrument.exchange, table.name, instrument.instrument_type) or window.start
    start = min(max(window.start, earliest), window.end)
    return Window(start, window.end)


def _api_pages(
    fetcher: Fetcher,
    table: Table,
    instrument: Instrument,
    window: Window,
    problems: list[Problem],
    progress: _Progress,
) -> Iterator[Page]:
    """Yield the pages of a venue's API; what the venue no longer retains of a listed instrument is a problem."""
    exchange_name = instrument.exchange
    earliest = partial(fetcher.earliest, exchange_name, table.name, instrument.instrument_type)
    for span in progress.spans(instrument, window, earliest()):
        oldest = earliest()
        if oldest is not None and span.start < oldest:
            lost = Window(span.start, min(oldest, span.end))
            problems += progress.lost_problems(instrument, lost)
            span = Window(lost.end, max(lost.end, span.end))
        if not span.empty:
            progress.begin()
            numbered = {"next_sequence": progress.next_sequence}
            try:
                yield from fetcher.pages(exchange_name, table.name, instrument, span, **numbered)
            except UnknownNameError:
                progress.refused(instrument)
                raise
            progress.end(instrument, span)


def _announce(warehouse: Warehouse, exchange_name: str, table: Table, progress: _Progress) -> None:
    """Tell the ledger of the files, so that a check finds them until a build has merged them."""
    files = [path.relative_to(warehouse.root).as_posix() for w in progress.writers.values() for path in w.files]
    Ledger(warehouse.root, exchange_name, table).announce(files)


def _bronze_row(page: Page) -> dict:
    start, end = _span(page)
    return {
        "table": page.context.table,
        "data_start": start,
        "data_end": end,
        "context": page.context.to_json(),
        "url": page.response.url,
        "params": json.dumps(dict(page.response.params)),
        "status": page.response.status,
        "headers": json.dumps(dict(page.response.headers)),
        "received_at": page.response.received_at,
        "sha256": page.response.sha256,
        "body": page.response.body,
        "sequence": page.response.sequence,
    }


def _note_skew(page: Page, exchange_name: str, table: Table, problems: list[Problem]) -> None:
    """Add a problem if the clocks disagree, once per run."""
    if page.clock_problem is None or any(isinstance(problem, ClockProblem) for problem in problems):
        return
    text = (
        f"{page.clock_problem}. Bars that may be running by either clock were left out, and nothing read meanwhile is "
        "marked as complete. Synchronize this machine's clock if it is wrong, else wait until the venue corrects its "
        "own; then run again"
    )
    problems.append(ClockProblem(exchange_name, table.name, None, None, text))


def _span(page: Page) -> tuple[datetime | None, datetime | None]:
    """The span a page can hold rows of: that of its rows, else all that was asked for."""
    import pyarrow.compute as pc

    window = page.skipped or page.context.window
    if window is None:
        return None, None
    if page.table is None or page.table.num_rows == 0:
        return window.start, window.end
    times = page.table["timestamp"]
    return pc.min(times).as_py(), pc.max(times).as_py() + timedelta(microseconds=1)


def _run_name() -> str:
    """Unique, and sorted by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:8]}"
