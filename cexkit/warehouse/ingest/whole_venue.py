"""Reading a table for all instruments of a venue at once, where that takes fewer requests than one by one.

What a response holds of an instrument counts as read only if the response was whole, and only for instruments that were
listed throughout the span. Everything else is requested per instrument afterwards, as if nothing had been read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from cexkit.errors import BlockedError, FetchError
from cexkit.exchanges.base import Source
from cexkit.exchanges.base import WholeVenue as Request
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.http.client import NextSequence
from cexkit.exchanges.page import Page
from cexkit.exchanges.registry import exchange
from cexkit.schema import Table
from cexkit.schema.intervals import Window
from cexkit.schema.symbols import Instrument
from cexkit.warehouse.ingest.due import Due, find_due
from cexkit.warehouse.ingest.listings import requestable
from cexkit.warehouse.ingest.progress import Progress, Reading
from cexkit.warehouse.ingest.repeats import fewest_pages
from cexkit.warehouse.store.inventory import key_of
from cexkit.warehouse.store.inventory_entries import subtract
from cexkit.warehouse.store.warehouse import Warehouse

_DAY = timedelta(days=1)
#: Requests that show that nothing follows.
_END_REQUESTS = 2


@dataclass(frozen=True, slots=True)
class Choice:
    """The span of a venue that is read at once.

    Attributes
    ----------
    window : Window
        The span.
    instruments : tuple of Instrument
        Those with a span that is due and begins in the window.
    requests : int
        The fewest requests that it takes, by an estimate of the number of rows.
    only : bool
        True if the venue lists more instruments, whose rows are not kept.
    source : Source
        Where the instruments are read.
    """

    window: Window
    instruments: tuple[Instrument, ...]
    requests: int
    only: bool
    source: Source

    @property
    def weights(self) -> dict[tuple[str, str], float]:
        """What the requests weigh, by API and budget of the venue."""
        request = self.source.whole_venue
        cost = self.source.cost(request.params(*request.bounds(self.window)))
        return {(self.source.api, name): self.requests * weight for name, weight in cost.items()}


def choose(table: Table, source: Source, due: Mapping[Instrument, Due], listed: int) -> Choice | None:
    """Return the span to read at once that saves most requests; None if none does.

    Parameters
    ----------
    table : Table
        The declaration.
    source : Source
        Where the instruments are read.
    due : mapping of Instrument to Due
        What a run requests of each.
    listed : int
        Number of instruments that the venue lists; a response holds the rows of all of them.
    """
    request = source.whole_venue
    spans = [(span, one) for one, each in due.items() for span in each.spans]
    spans.sort(key=lambda pair: pair[0], reverse=True)
    if request is None or not spans:
        return None
    end = max(span.end for span, _ in spans)
    best: Choice | None = None
    most = saved = 0
    covered: dict[Instrument, None] = {}
    for number, (span, one) in enumerate(spans, 1):
        saved += fewest_pages(source, table, span)
        covered[one] = None
        if number < len(spans) and spans[number][0].start == span.start:
            continue
        window = Window(span.start, end)
        cost = _requests(request, window, listed)
        if saved - cost > most:
            most, best = saved - cost, Choice(window, tuple(covered), cost, len(due) < listed, source)
    return best


def _requests(request: Request, window: Window, listed: int) -> int:
    rows = listed * request.rows_per_day * (window.end - window.start) / _DAY
    return int(rows // request.page_rows) + _END_REQUESTS


def choices(
    warehouse: Warehouse, exchange_name: str, table: Table, window: Window, due: Mapping[Instrument, Due]
) -> list[Choice]:
    """Return what is read at once of a table, by type of the instruments."""
    found = []
    for kind in dict.fromkeys(one.instrument_type for one in due):
        source = exchange(exchange_name).source(table.name, kind)
        if source.whole_venue is not None:
            listed = len(requestable(warehouse, exchange_name, table, window, instrument_type=kind))
            own = {one: each for one, each in due.items() if one.instrument_type == kind}
            found += [choice] if (choice := choose(table, source, own, listed)) else []
    return found


def due_of_run(progress: Progress, fetcher: Fetcher) -> dict[Instrument, Due]:
    """Return what a run requests of each instrument, but for times before its listing."""
    found = {}
    for one, parts in progress.parts.items():
        earliest = fetcher.earliest(one.exchange, progress.table.name, one.instrument_type)
        repeats = None if progress.refresh else progress.repeats.get(one, [])
        now = progress.clock()
        found[one] = find_due(progress.inventory, progress.table, one, parts, repeats, (), earliest, now)
    return found


def read_whole_venue(
    warehouse: Warehouse, fetcher: Fetcher, progress: Progress, exchange_name: str, next_sequence: NextSequence
) -> Iterator[Page]:
    """Yield the pages of what is read at once, and note what was read whole.

    A venue that refuses such a request costs nothing but the request.

    Raises
    ------
    BlockedError
        If the venue refuses this address.
    """
    table = progress.table
    if not exchange(exchange_name).is_read_whole(table.name):
        return
    for choice in choices(warehouse, exchange_name, table, progress.requested, due_of_run(progress, fetcher)):
        yield from _read(fetcher, progress, choice, next_sequence)


def _read(fetcher: Fetcher, progress: Progress, choice: Choice, next_sequence: NextSequence) -> Iterator[Page]:
    name, table = choice.instruments[0].exchange, progress.table
    walk = fetcher.venue_walk(
        name, table.name, choice.instruments, choice.window, only=choice.only, next_sequence=next_sequence
    )
    pages: list[Page] = []
    try:
        for page in walk.read():
            pages.append(page)
            yield page
    except BlockedError:
        raise
    except FetchError:
        pass  # what is not noted is requested per instrument, and reported if that fails too
    read = Window(choice.window.start, walk.reached)
    whole = [one for one in choice.instruments if one.venue_symbol not in walk.doubtful]
    _note(progress, [one for one in whole if _is_listed_throughout(progress, one, read)], read, pages)


def _is_listed_throughout(progress: Progress, instrument: Instrument, span: Window) -> bool:
    return not subtract(span, progress.listing(instrument).windows)


def _note(progress: Progress, instruments: Sequence[Instrument], span: Window, pages: Sequence[Page]) -> None:
    """Note that a span of instruments was read."""
    if span.empty or any(page.context.skewed for page in pages):
        return
    rows = pl.concat([pl.from_arrow(page.table) for page in pages if page.table is not None])
    rows = rows.select("instrument_type", "symbol", pl.col(progress.table.time).dt.epoch("us").alias("time"))
    inside = pl.from_epoch("time", "us").dt.replace_time_zone("UTC").is_between(span.start, span.end, closed="left")
    times = rows.filter(inside).partition_by("instrument_type", "symbol", as_dict=True)
    none = rows["time"].clear()
    now = min(page.context.now for page in pages)
    for one in instruments:
        read = times[key_of(one)]["time"] if key_of(one) in times else none
        progress.completed(one, span, Reading(now=now, times=[read.to_numpy()]))
        progress.read_whole[one].append(span)
