"""Reader of a table of one instrument: from the venue's archive, its API, or both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cexkit.errors import BlockedError, FetchError, UnknownNameError
from cexkit.exchanges.archives import Archive, requested_twice
from cexkit.exchanges.downloads import MAX_FAILURES, archive_pages
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.http.client import NextSequence
from cexkit.exchanges.page import Page
from cexkit.exchanges.registry import exchange
from cexkit.schema.intervals import Window, merged
from cexkit.schema.symbols import Instrument
from cexkit.warehouse.ingest.before_listing import late_problem
from cexkit.warehouse.ingest.progress import Progress, Reading
from cexkit.warehouse.ingest.report import Problem
from cexkit.warehouse.store.inventory import key_of
from cexkit.warehouse.store.inventory_entries import common, subtract
from cexkit.warehouse.store.layout import SETTLED


@dataclass(slots=True)
class InstrumentReader:
    """Yields the pages of one instrument that a run requests, and notes what was read.

    A page is stored before the next one is requested.

    Parameters
    ----------
    fetcher : Fetcher
        Reads the venue.
    progress : Progress
        What the run requests; shared by all instruments.
    instrument : Instrument
        Whose rows.
    archive : Archive or None
        The files that hold its rows.
    known : mapping of address to sha256
        Archive files that are stored.
    next_sequence : callable
        Numbers the requests.
    concurrent_requests : callable
        Returns how many pages may be requested at once now.
    """

    fetcher: Fetcher
    progress: Progress
    instrument: Instrument
    archive: Archive | None
    known: Mapping[str, str]
    next_sequence: NextSequence
    concurrent_requests: Callable[[], int] = lambda: 1
    problems: list[Problem] = field(default_factory=list)
    failures: int = 0
    #: Readable responses, and available archive files; see :class:`Report`.
    usable: int = 0
    #: The span of the rows since it was last set to None.
    rows: Window | None = None
    #: False while times before a listing are read. There, what has no rows is not complete, and what the venue no
    #: longer keeps may never have been.
    listed: bool = True
    #: False if a part of what was requested since it was last set to True could not be read.
    is_whole: bool = True

    def read(self) -> Iterator[Page]:
        """Yield the pages in the times in which the instrument was listed, and before them if the venue has rows.

        Raises
        ------
        BlockedError
            If the venue refuses this address, because every other instrument would fail too.
        """
        try:
            yield from self._read()
        except BlockedError:
            raise
        except (FetchError, UnknownNameError) as error:
            self._fail(self.progress.requested, error)

    def _read(self) -> Iterator[Page]:
        for part in self.progress.parts[self.instrument]:
            yield from self._pages(part)
        before = self.progress.before_listing(self.instrument, self.fetcher)
        if late := (yield from before.read(self.fetcher, self._pages_before, lambda: self.rows, lambda: self.is_whole)):
            stated = self.progress.stated[key_of(self.instrument)]
            self.problems.append(late_problem(self.instrument, self.progress.table, stated, late))

    def _pages_before(self, span: Window) -> Iterator[Page]:
        self.listed, self.rows, self.is_whole = False, None, True
        try:
            yield from self._pages(span)
        finally:
            self.listed = True

    def _pages(self, window: Window) -> Iterator[Page]:
        if self.archive is None:
            yield from self._api_pages(window)
        elif self.archive.preferred:
            yield from self._archive_pages(window, self.archive)
        else:
            try:
                yield from self._api_pages(window)
            except UnknownNameError:  # delisted: only the archive still has its rows
                yield from self._archive_pages(window, self.archive)

    def _archive_pages(self, window: Window, archive: Archive) -> Iterator[Page]:
        """Yield the files of the archive, unparsed, and the pages of the API for what they do not hold.

        The spans of files are not missing from the API; holes in them are found by the quality check ``gaps``.
        """
        rest: list[Window] = []
        held: list[Window] = []
        unverified: list[tuple[Window, str]] = []
        where = (self.fetcher, self.progress.table.name, archive, self.instrument, window, self.known)
        words = {"count": self.concurrent_requests(), "next_sequence": self.next_sequence}
        for page in archive_pages(*where, rest, held, unverified, **words):
            self._note_rows(page.context.window)
            yield page
        self.usable += len(held)
        self.is_whole &= not unverified
        self.problems += [self._problem(span, text) for span, text in unverified]
        if archive.compared:
            rest.append(self._kept_by_api(window))
        self._note_covered(subtract(window, rest))
        twice = requested_twice(archive, rest, held, self._earliest())
        try:
            for span in merged([*rest, *twice]):
                yield from self._api_pages(span)
        except UnknownNameError:  # delisted: only the archive still has its rows
            self._note_covered(held)
            raise
        self._note_covered(twice)

    def _api_pages(self, window: Window) -> Iterator[Page]:
        """Yield the pages of the API; what the venue no longer retains of a listed instrument is a problem."""
        for part, dense in self._parts(window):
            for span in self.progress.spans(self.instrument, part, self._earliest(), whole=dense):
                kept = self._kept_by_api(span)
                if self.listed and kept != span:
                    self.problems += self.progress.lost_problems(self.instrument, Window(span.start, kept.start))
                if not kept.empty and self.failures < MAX_FAILURES:
                    yield from self._span_pages(kept, dense=dense)
                self.is_whole &= self.failures < MAX_FAILURES

    def _parts(self, window: Window) -> Iterator[tuple[Window, bool]]:
        """Yield the parts of a window, and whether rows are expected throughout: then pages are read at once."""
        source = exchange(self.instrument.exchange).source(self.progress.table.name, self.instrument.instrument_type)
        listed: list[Window] = []
        if self.listed and len(source.paginator.windows(window)) > 1:
            periods = self.progress.listing(self.instrument).periods
            listed = [common(window, period.window) for period in periods if period.start is not None]
        yield from ((part, False) for part in subtract(window, listed))
        yield from ((part, True) for part in listed if not part.empty)

    def _span_pages(self, span: Window, *, dense: bool) -> Iterator[Page]:
        """Yield the pages of a span; a part that fails costs only itself."""
        readings: dict[Window, Reading] = {}
        results = self.fetcher.window_pages(
            self.instrument.exchange,
            self.progress.table.name,
            self.instrument,
            span,
            listed=dense,
            count=self.concurrent_requests(),
            settled=self.progress.clock() - SETTLED,
            next_sequence=self.next_sequence,
        )
        for result in results:
            part = result.task.window
            reading = readings.setdefault(part, Reading())
            if result.error is not None:
                self._part_failed(part, result.error)
                if self.failures == MAX_FAILURES:
                    return
            elif result.ended:
                del readings[part]
                if self.listed or self.rows is not None:
                    self.progress.completed(self.instrument, part, reading)
            else:
                reading.note(result.item, self.progress.table)
                self.usable += result.item.error is None
                self.is_whole &= result.item.error is None
                self._note_rows(result.item.row_span)
                yield result.item

    def _part_failed(self, part: Window, error: Exception) -> None:
        if isinstance(error, UnknownNameError):
            self.progress.refused(self.instrument)
        if isinstance(error, BlockedError) or not isinstance(error, FetchError):
            raise error
        self._fail(part, error)

    def _fail(self, part: Window, error: Exception) -> None:
        self.failures += 1
        self.is_whole = False
        end = "; nothing more of it was requested" if self.failures == MAX_FAILURES else ""
        self.problems.append(self._problem(part, f"{error}{end}"))

    def _problem(self, span: Window, text: str) -> Problem:
        return Problem(self.instrument.exchange, self.progress.table.name, self.instrument.symbol, span, text)

    def _kept_by_api(self, window: Window) -> Window:
        """Return the part of a window that the venue's API still keeps."""
        start = min(max(window.start, self._earliest() or window.start), window.end)
        return Window(start, window.end)

    def _earliest(self) -> datetime | None:
        return self.fetcher.earliest(
            self.instrument.exchange, self.progress.table.name, self.instrument.instrument_type
        )

    def _note_covered(self, spans: list[Window] | tuple[Window, ...]) -> None:
        for span in spans:
            self._note_rows(span)
        self.progress.covered(self.instrument, spans)

    def _note_rows(self, span: Window | None) -> None:
        if span is not None:
            known = self.rows or span
            self.rows = Window(min(known.start, span.start), max(known.end, span.end))
