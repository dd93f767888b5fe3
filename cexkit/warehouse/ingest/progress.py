"""Progress of a run that reads a table: which spans it requests, and which of them it completed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product

import numpy as np

from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.page import Page
from cexkit.exchanges.registry import exchange
from cexkit.exchanges.rows import quarantined
from cexkit.schema import Table
from cexkit.schema.intervals import EPOCH, Window, merged
from cexkit.schema.symbols import Instrument
from cexkit.warehouse.ingest.before_listing import BeforeListing, known_periods, tells_listing
from cexkit.warehouse.ingest.completeness import CompletenessRule, common, cut_days, due_missing
from cexkit.warehouse.ingest.inventories import open_inventory
from cexkit.warehouse.ingest.listing_periods import ListingPeriods, hull, listing_periods
from cexkit.warehouse.ingest.repeats import choose_repeats, missing_problems
from cexkit.warehouse.ingest.report import Problem
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.inventory import Inventory, key_of
from cexkit.warehouse.store.inventory_entries import Key, subtract
from cexkit.warehouse.store.warehouse import Warehouse


@dataclass(slots=True)
class Reading:
    """What was read of one span so far."""

    whole: bool = True
    now: datetime | None = None
    times: list[np.ndarray] = field(default_factory=list)

    def note(self, page: Page, table: Table) -> None:
        """Note a page of the span."""
        self.now = page.context.now
        self.whole = self.whole and page.error is None and not page.context.skewed and not _lacks_rows(page, table)
        if page.table is not None and table.time in page.table.column_names:
            self.times.append(page.table[table.time].cast("int64").to_numpy())


def _lacks_rows(page: Page, table: Table) -> bool:
    """Return whether rows of a page are quarantined that would not be found missing: the rows of no bars."""
    return page.table is not None and table.bar is None and quarantined(page.table).count > 0


@dataclass(slots=True)
class Progress:
    """Which spans of a table a run requests, and which of them it has read. Threads take turns."""

    table: Table
    inventory: Inventory
    requested: Window
    #: The parts of the requested span in which each instrument was listed.
    parts: dict[Instrument, list[Window]]
    #: Listing periods, from the first known row on if that is before the listing time, and as the venue states them.
    listed: dict[Key, ListingPeriods]
    stated: dict[Key, ListingPeriods]
    refresh: bool
    clock: Callable[[], datetime]
    repeats: dict[Instrument, list[Window]] = field(default_factory=dict)
    #: Spans that the run read of all instruments at once.
    read_whole: dict[Instrument, list[Window]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def begun(
        cls,
        warehouse: Warehouse,
        exchange_name: str,
        table: Table,
        window: Window,
        of: Sequence[Instrument],
        refresh: bool,
        now: datetime | None,
    ) -> Progress:
        """Return the progress of a run that has requested nothing yet."""
        clock = partial(datetime.now, UTC) if now is None else lambda: now
        stated, listed = listing_periods(warehouse, exchange_name), known_periods(warehouse, exchange_name)
        parts = {one: listed.get(key_of(one), ListingPeriods()).within(window) for one in of}
        inventory = open_inventory(warehouse, exchange_name, table, listed)
        progress = cls(table, inventory, window, parts, listed, stated, refresh, clock)
        progress.repeats = {} if refresh else choose_repeats(inventory, table, progress.windows, clock())
        return progress

    @property
    def windows(self) -> dict[Instrument, Window]:
        """The span from the first part of each instrument to its last."""
        return {one: hull(parts, self.requested) for one, parts in self.parts.items()}

    def listing(self, instrument: Instrument) -> ListingPeriods:
        """Return the listing periods of an instrument, as far as rows are known."""
        return self.listed.get(key_of(instrument), ListingPeriods())

    def spans(
        self, instrument: Instrument, window: Window, earliest: datetime | None, *, whole: bool
    ) -> Iterator[Window]:
        """Yield the spans to request.

        Unless their pages are recorded one by one (``whole``), none is longer than a file of the table, so that little
        is lost by a cut. Missing spans that the venue no longer retains are among them, so that they are reported as
        such.
        """
        gaps = [window]
        if not self.refresh:
            self._complete_unserved(instrument, window, earliest)
            again = [*self.repeats.get(instrument, ())]
            if earliest is not None:
                lost = Window(window.start, max(window.start, min(window.end, earliest)))
                again += [entry.window for entry in self.inventory.missing(instrument, lost)]
            due = self.inventory.due(instrument, window, self.clock(), self.rule(instrument).overlap)
            gaps = [*due, *(common(span, window) for span in again)]
        done = self.read_whole.get(instrument, ())
        gaps = [part for gap in gaps for part in subtract(gap, done)]
        for gap in merged(gap for gap in gaps if not gap.empty):
            periods = [] if whole else layout.periods(self.table, gap)
            yield from [common(gap, layout.period_window(self.table, period)) for period in periods] or [gap]

    def _complete_unserved(self, instrument: Instrument, window: Window, earliest: datetime | None) -> None:
        """Note as complete what was read and the venue no longer retains, which may be before it is settled."""
        if earliest is not None and earliest > window.start:
            self._complete_recent(instrument, Window(window.start, earliest))

    def _complete_recent(self, instrument: Instrument, window: Window) -> None:
        for part in self.inventory.recent(instrument, window):
            self.inventory.record(instrument, part, at=self.clock())

    def completed(self, instrument: Instrument, span: Window, reading: Reading) -> None:
        """Note that all pages of a span are stored: which part of it is settled, and which due rows it lacks.

        The rest is read again: its last rows by the next run, all of it a day later.
        """
        if reading.whole and reading.now is not None:
            rule = self.rule(instrument)
            settled, times = rule.settled(span, reading.now), _joined(reading.times)
            self._record(instrument, settled, times)
            rest = Window(settled.end, span.end)
            self.inventory.note_recent(
                instrument, rule.seen(rest, times[times >= _microseconds(rest.start)]), self.clock()
            )

    def refused(self, instrument: Instrument) -> None:
        """Note that the venue does not know an instrument: what was read is complete, other settled rows are missing.

        Without this, an instrument that was delisted would be requested by every run.
        """
        rule, now, listed = self.rule(instrument), self.clock(), self._rows_due(instrument)
        refused = [*self.repeats.get(instrument, ())]
        for part in self.parts[instrument]:
            self._complete_recent(instrument, rule.settled(part, now))
            due = self.inventory.due(instrument, part, now, rule.overlap)
            refused += [rule.settled(span, now) for span in due]
        for span in refused:
            missing = due_missing(rule, listed, span, _joined([]))
            self.inventory.record(instrument, span, missing, at=now, reset=self.refresh)

    def covered(self, instrument: Instrument, spans: Iterable[Window]) -> None:
        """Note that archive files hold these spans: nothing in them is missing from the API."""
        for span in spans:
            self.inventory.observe(instrument, Window(span.end, span.end))
            for entry in self.inventory.missing(instrument, span):
                self.inventory.record(instrument, common(entry.window, span), at=self.clock())

    def before_listing(self, instrument: Instrument, fetcher: Fetcher) -> BeforeListing:
        """Return what may be requested of an instrument before its listings."""
        earliest = fetcher.earliest(instrument.exchange, self.table.name, instrument.instrument_type)
        listed = self.listing(instrument)
        return BeforeListing(self.inventory, self.table, instrument, listed, self.requested, earliest, self.refresh)

    def missing_problems(self, fetcher: Fetcher) -> list[Problem]:
        """Return one problem per instrument with due rows that the venue did not return."""
        kinds = {(instrument.exchange, instrument.instrument_type) for instrument in self.windows}
        earliest = {kind: fetcher.earliest(name, self.table.name, kind) for name, kind in kinds}
        return missing_problems(self.inventory, self.table, self.windows, self.listed, earliest)

    def lost_problems(self, instrument: Instrument, lost: Window) -> Iterator[Problem]:
        """Yield one problem per part of a span with due rows that the venue retains no longer."""
        rule = self.rule(instrument)
        for part in (common(lost, window) for window in self.listing(instrument).windows):
            if part.empty:
                continue
            if rule.density != "dense" or rule.missing(part, np.empty(0, dtype="int64")):
                where = (instrument.exchange, self.table.name, instrument.symbol, part)
                yield Problem(*where, "the venue does not keep it")

    def rule(self, instrument: Instrument) -> CompletenessRule:
        """Return the rule by which rows of an instrument are due."""
        source = exchange(instrument.exchange).source(self.table.name, instrument.instrument_type)
        return CompletenessRule.of(self.table, source)

    def _record(self, instrument: Instrument, span: Window, times: np.ndarray) -> None:
        if times.size:
            first, last = (EPOCH + timedelta(microseconds=int(end)) for end in (times.min(), times.max()))
            self.inventory.observe(instrument, Window(first, last))
        rule, listed = self.rule(instrument), self._rows_due(instrument)
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

    def _rows_due(self, instrument: Instrument) -> ListingPeriods:
        """Return the periods in which rows are due: the listing periods, from the first known row on."""
        listed = self.listing(instrument)
        return listed.widened(self.inventory.extent(instrument)) if tells_listing(self.table) else listed

    def _has_row_elsewhere(self, instrument: Instrument, day: Window, span: Window, listed: ListingPeriods) -> bool:
        """Return whether the part of a day outside of a span was read and had a row: a day with one is complete."""
        complete = (part for rest in subtract(day, [span]) for part in self.inventory.complete(instrument, rest))
        return any(not common(*parts).empty for parts in product(complete, listed.windows))


def _joined(times: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype="int64"), *times])


def _microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)
