"""Ingestion into Bronze: every response unmodified, and complete spans requested once."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cexkit.errors import BlockedError, FetchError
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.http.client import NextSequence
from cexkit.exchanges.http.workers import Delivery, Stopped, taking_turns
from cexkit.exchanges.page import Page
from cexkit.exchanges.registry import exchange
from cexkit.schema import Table
from cexkit.schema.intervals import Window
from cexkit.schema.symbols import Instrument
from cexkit.warehouse.ingest.instrument_reader import InstrumentReader
from cexkit.warehouse.ingest.progress import Progress
from cexkit.warehouse.ingest.replay import endpoints
from cexkit.warehouse.ingest.report import ClockProblem, Done, Problem, Report, Step, Tally
from cexkit.warehouse.ingest.whole_venue import read_whole_venue
from cexkit.warehouse.store.bronze import BronzeWriter, archived, bronze_files, newest_bronze_files
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.sequence import Sequence as RequestNumbers
from cexkit.warehouse.store.sequence import largest_number
from cexkit.warehouse.store.warehouse import Warehouse

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

    Instruments are read at the same time, as many as the fetcher's ``concurrent_requests``, and parts of one as far as
    the venue's pages allow. Where one request returns the rows of all instruments, a span is read at once if that takes
    fewer requests (:mod:`cexkit.warehouse.ingest.whole_venue`). What cannot be read is reported, and the rest is still
    read.

    Spans that are complete are not requested again, so a run that was cut or interrupted resumes where it stopped. Rows
    younger than :data:`~cexkit.warehouse.store.layout.SETTLED` may still be corrected: the last two steps are requested
    each time, and all of them once a day. Spans without rows that are due (see
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
        Called with a :class:`~cexkit.warehouse.ingest.report.Done` as each instrument finishes.
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
    numbers = _Numbers(RequestNumbers(warehouse.root, _latest_number(warehouse, exchange_name, table)))
    if table.name == "instruments":
        with _Store(warehouse, exchange_name, table) as store:
            try:
                for page in fetcher.instrument_pages(exchange_name, next_sequence=numbers.next):
                    store.add(page)
                    store.tally.usable += _lists_anything(page)
            except BlockedError:
                raise
            except FetchError as error:
                store.tally.problems.append(Problem(exchange_name, table.name, None, None, str(error)))
        store.tally.requests = numbers.count
        if store.tally.responses and not store.tally.usable:
            text = "the venue's lists hold no instrument that can be read; the instruments stay as they were"
            store.tally.problems.append(Problem(exchange_name, table.name, None, None, text))
        if step is not None:
            step(Done(exchange_name, table.name, None))
        return store.tally.report()
    progress = Progress.begun(warehouse, exchange_name, table, window, list(of), refresh, now)
    with _Store(warehouse, exchange_name, table, progress.inventory.flush) as store:
        for page in read_whole_venue(warehouse, fetcher, progress, exchange_name, numbers.next):
            store.add(page)
            store.tally.usable += page.error is None
        readers = _readers(warehouse, fetcher, progress, exchange_name, numbers.next)
        _read_at_once(readers, store, fetcher.concurrent_requests, step)
    for reader in readers:
        store.tally.problems += reader.problems
    store.tally.problems += progress.missing_problems(fetcher)
    store.tally.requests = numbers.count
    store.tally.usable += sum(reader.usable for reader in readers)
    if not numbers.count:
        store.tally.notes = (f"{exchange_name} {table.name}: nothing was due, no request was sent",)
    return store.tally.report()


@dataclass(slots=True)
class _Numbers:
    """The numbers of the requests of a run, and their count."""

    numbers: RequestNumbers
    count: int = 0
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def next(self) -> int:
        with self._turn:
            self.count += 1
        return self.numbers.next()


def _lists_anything(page: Page) -> bool:
    """Return whether a page lists instruments: a list that is empty, or that completes another one, shows nothing."""
    return page.error is None and not page.companion and bool(page.table.num_rows)


@dataclass(slots=True)
class _Store:
    """The Bronze files of a run, one writer per endpoint, and their count. Threads take turns.

    Used as a context manager. After it ends, nothing is added any more: a late response ends the thread it came to.
    """

    warehouse: Warehouse
    exchange: str
    table: Table
    #: Writes what is known of the stored responses.
    flush_inventory: Callable[[], object] = lambda: None
    tally: Tally = field(default_factory=Tally)
    turn: threading.Lock = field(default_factory=threading.Lock)
    _writers: dict[str, BronzeWriter] = field(default_factory=dict)
    _run: str = field(default_factory=lambda: _run_name())
    _flushed: float = field(default_factory=time.monotonic)
    _closed: bool = False

    def __enter__(self) -> _Store:
        return self

    def __exit__(self, *_: object) -> None:
        with self.turn:
            self._closed = True
            try:
                self._flush()
            finally:
                self.tally.files = self._files
                # A check finds the files until a build has merged them.
                Ledger(self.warehouse.root, self.exchange, self.table).announce(self._files)

    def add(self, page: Page) -> None:
        """Store one page."""
        if self._closed:
            raise Stopped
        if page.endpoint not in self._writers:
            writer = BronzeWriter(self.warehouse.root, self.exchange, page.endpoint, self._run)
            self._writers[page.endpoint] = writer
        writer = self._writers[page.endpoint]
        row = _bronze_row(page)
        (writer.add_file if page.is_file else writer.add)(row)
        self.tally.add(row["data_start"], row["data_end"])
        _note_skew(page, self.exchange, self.table, self.tally.problems)

    def flush_after_a_while(self) -> None:
        """Write everything if that was not done for :data:`FLUSH_SECONDS`."""
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self._flush()

    def _flush(self) -> None:
        """Write the responses first, then the inventory that refers to them."""
        for writer in self._writers.values():
            writer.flush()
        self.flush_inventory()
        self._flushed = time.monotonic()

    @property
    def _files(self) -> list[str]:
        paths = (path for writer in self._writers.values() for path in writer.files)
        return [path.relative_to(self.warehouse.root).as_posix() for path in paths]


@dataclass(frozen=True, slots=True)
class _InstrumentTask:
    """The reading of one instrument, which a worker does."""

    reader: InstrumentReader
    store: _Store

    def read(self) -> Iterator[Page]:
        with taking_turns(self.store.turn):
            for page in self.reader.read():
                self.store.add(page)
                self.store.flush_after_a_while()
        return iter(())


def _read_at_once(readers: list[InstrumentReader], store: _Store, count: int, step: Step | None) -> None:
    """Read instruments in several threads, and store their pages."""
    tasks = (_InstrumentTask(reader, store) for reader in readers)
    unread = len(readers)
    for reader in readers:
        # the fewer instruments are left, the more parts of each are read at once
        reader.concurrent_requests = lambda: max(1, count // max(1, unread))
    with Delivery(lambda: next(tasks, None), min(count, len(readers))) as delivery:
        for result in delivery:
            unread -= 1
            if result.error is not None:
                raise result.error
            if step is not None:
                step(Done(store.exchange, store.table.name, result.task.reader.instrument.symbol))


def _readers(
    warehouse: Warehouse, fetcher: Fetcher, progress: Progress, exchange_name: str, next_sequence: NextSequence
) -> list[InstrumentReader]:
    known: dict[str, dict[str, str]] = {}
    readers = []
    for instrument in progress.parts:
        archive = exchange(exchange_name).archives.get((progress.table.name, instrument.instrument_type))
        if archive is not None and archive.endpoint not in known:
            known[archive.endpoint] = _archived(
                warehouse, exchange_name, progress.table, archive.endpoint, progress.requested
            )
        files = {} if archive is None else known[archive.endpoint]
        readers.append(InstrumentReader(fetcher, progress, instrument, archive, files, next_sequence))
    return readers


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


def _archived(warehouse: Warehouse, exchange_name: str, table: Table, endpoint: str, window: Window) -> dict[str, str]:
    """Return the hash of each archive file of a window that is stored, by its address."""
    paths = bronze_files(warehouse.root, exchange_name, endpoint)
    # a file of a month holds days outside of the window
    around = Window(window.start - ARCHIVE_SPAN, window.end + ARCHIVE_SPAN)
    return archived(warehouse.root, Ledger(warehouse.root, exchange_name, table).candidates(paths, around))


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
