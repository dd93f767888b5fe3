"""Exchanges → Bronze: every response as received, and nothing asked for twice."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from cexkit.errors import BlockedError, FetchError, UnknownNameError
from cexkit.exchanges.archives import Archive
from cexkit.exchanges.downloads import archive_pages
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.page import Page
from cexkit.exchanges.registry import exchange
from cexkit.schema import Table
from cexkit.schema.intervals import Window, merged
from cexkit.schema.symbols import Instrument
from cexkit.warehouse.ingest.listings import clip_to_listing, listing_windows
from cexkit.warehouse.ingest.report import ClockProblem, Problem, Report, Step, Tally
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.bronze import BronzeWriter, archived
from cexkit.warehouse.store.inventory import Inventory
from cexkit.warehouse.store.layout import SETTLED
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.sequence import Sequence
from cexkit.warehouse.store.warehouse import Warehouse

if TYPE_CHECKING:
    from cexkit.exchanges.http.client import NextSequence

#: An interruption loses the responses of at most this time.
FLUSH_SECONDS = 30.0


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
) -> Report:
    """Ask an exchange and keep every response, malformed ones too.

    One instrument that cannot be read is reported and does not keep the others from being read. Spans that were
    answered whole before are not asked for again, so that a run that was cut goes on where it was; but what is
    younger than :data:`SETTLED` by the venue's clock always is, for it may still be corrected. So is what was answered
    while the venue's clock and this machine's disagreed; the report has one problem for it.

    Parameters
    ----------
    warehouse : Warehouse
        Where to.
    fetcher : Fetcher
        How to read.
    exchange_name, table
        What to read.
    window : Window, optional
        Span to read; none for ``instruments``.
    of : iterable of Instrument
        Whose rows to read; ignored for ``instruments``.
    refresh : bool
        Ask for everything anew, for late corrections of old rows.

    Raises
    ------
    BlockedError
        If the venue refuses this address: no other instrument would fare better.
    """
    warehouse.tidy()
    tally, run, sequence = Tally(), _run_name(), Sequence(warehouse.root)
    windows = {} if table.name == "instruments" else listing_windows(warehouse, exchange_name)
    inventory = Inventory(warehouse.root, exchange_name, table.name, run)
    progress = _Progress(inventory, refresh, windows, sequence.next)
    with ExitStack() as stack:
        stack.callback(_announce, warehouse, exchange_name, table, progress)
        writers = progress.writers
        stack.callback(progress.flush)
        for symbol, pages in _readings(warehouse, fetcher, exchange_name, table, window, of, tally.problems, progress):
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
    tally.files = [path.relative_to(warehouse.root).as_posix() for w in writers.values() for path in w.files]
    return tally.report()


@dataclass(slots=True)
class _Progress:
    """What a run has brought in so far, and what it need not ask for."""

    inventory: Inventory
    refresh: bool
    listing_windows: dict[tuple[str, str], Window]
    next_sequence: NextSequence
    writers: dict[str, BronzeWriter] = field(default_factory=dict)
    now: datetime | None = None
    whole: bool = True
    flushed: float = field(default_factory=time.monotonic)

    def missing(self, table: Table, instrument: Instrument, window: Window) -> Iterator[Window]:
        """Spans to ask for, none longer than a file of the table, so that little is lost by a cut."""
        window = clip_to_listing(self.listing_windows, instrument, window)
        gaps = [window] if self.refresh else self.inventory.missing(instrument, window)
        for gap in gaps:
            for period in layout.periods(table, gap):
                whole = layout.period_window(table, period)
                yield Window(max(gap.start, whole.start), min(gap.end, whole.end))

    def begin(self) -> None:
        """A span is about to be asked for."""
        self.whole, self.now = True, None

    def seen(self, page: Page) -> None:
        """One of its pages is kept."""
        self.now = page.context.now
        self.whole = self.whole and page.error is None and not page.context.skewed

    def end(self, instrument: Instrument, span: Window) -> None:
        """All of its pages are kept; what is settled of it need not be asked for again."""
        if self.whole and self.now is not None:
            self.inventory.add(instrument, Window(span.start, max(span.start, min(span.end, self.now - SETTLED))))
        if time.monotonic() - self.flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the responses first, then the inventory that states them."""
        for writer in self.writers.values():
            writer.flush()
        self.inventory.flush()
        self.flushed = time.monotonic()


def _readings(
    warehouse: Warehouse,
    fetcher: Fetcher,
    exchange_name: str,
    table: Table,
    window: Window | None,
    of: Iterable[Instrument],
    problems: list[Problem],
    progress: _Progress,
) -> Iterator[tuple[str | None, Iterator[Page]]]:
    """What is read, instrument by instrument."""
    if table.name == "instruments":
        yield None, fetcher.instrument_pages(exchange_name, next_sequence=progress.next_sequence)
        return
    known: dict[str, dict[str, str]] = {}
    for instrument in of:
        archive = exchange(exchange_name).archives.get((table.name, instrument.instrument_type))
        if archive is None:
            yield instrument.symbol, _api_pages(fetcher, table, instrument, window, problems, progress)
            continue
        if archive.endpoint not in known:
            known[archive.endpoint] = archived(warehouse.root, exchange_name, archive.endpoint)
        span = clip_to_listing(progress.listing_windows, instrument, window)
        where = (fetcher, table.name, archive, instrument, span, known[archive.endpoint])
        files = partial(archive_pages, *where, next_sequence=progress.next_sequence)
        yield instrument.symbol, _with_archive(fetcher, table, archive, instrument, span, files, problems, progress)


def _with_archive(
    fetcher: Fetcher,
    table: Table,
    archive: Archive,
    instrument: Instrument,
    window: Window,
    files: Callable[[list[Window]], Iterator[Page]],
    problems: list[Problem],
    progress: _Progress,
) -> Iterator[Page]:
    """Pages of a venue that has an archive too: read first where it is preferred, last where only it remembers."""
    if not archive.preferred:
        try:
            yield from _api_pages(fetcher, table, instrument, window, problems, progress)
            return
        except UnknownNameError:
            pass  # delisted: the API forgets, the archive does not
    rest: list[Window] = []
    yield from files(rest)
    if archive.compared:
        rest.append(_kept_by_api(fetcher, table, instrument, window))
    for span in merged(rest):
        yield from _api_pages(fetcher, table, instrument, span, problems, progress)


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
    """Pages of a venue's API, of what it still keeps; what it does not is a problem, not a silence."""
    exchange_name = instrument.exchange
    for span in progress.missing(table, instrument, window):
        earliest = fetcher.earliest(exchange_name, table.name, instrument.instrument_type)
        if earliest is not None and span.start < earliest:
            lost = Window(span.start, min(earliest, span.end))
            problems.append(Problem(exchange_name, table.name, instrument.symbol, lost, "the venue does not keep it"))
            span = Window(lost.end, max(lost.end, span.end))
        if not span.empty:
            progress.begin()
            yield from fetcher.pages(exchange_name, table.name, instrument, span, next_sequence=progress.next_sequence)
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
