"""Walk through the rows of a whole venue, where one request returns those of all instruments.

Rows are in order of time, and hundreds of instruments have one at the same millisecond. So each page begins at the last
time of the page before, and repeats rows of it: a page without them is wrong, and is requested again.
A time is read whole when a page holds a later one. The walk is over at a page without a new row that is shorter than
another one. If no page was longer, the page may be full: then rows of its only time may be missing, and the names
behind its last one are doubtful.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from cexkit.errors import PayloadError
from cexkit.exchanges.base import Exchange, Source
from cexkit.exchanges.http.client import NextSequence
from cexkit.exchanges.page import Page
from cexkit.exchanges.page_walk import MAX_EMPTY_REQUESTS_AT_END, MAX_MALFORMED_REQUESTS
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.venue_client import VenueClient
from cexkit.schema.intervals import MILLISECOND, Window, from_ms

#: Number of requests after which a page without a new row is the end.
_ENDS = 2
#: How much longer than the window the one is that shows how many rows a page can hold.
_MARGIN = timedelta(days=3)

Key = tuple[int, str]


@dataclass(slots=True)
class VenueWalk:
    """The walk through the rows of a venue in a window.

    Attributes
    ----------
    client, venue, source, next_sequence
        Where and how to read; ``source`` has a ``whole_venue``.
    context : Context
        The window, and the names whose rows are kept.
    names : frozenset of str
        The venue's names of the instruments that must be read whole.
    reached : datetime
        The time before which everything was read, but for the rows of ``doubtful`` names.
    doubtful : set of str
        Names of which rows may be missing.
    """

    client: VenueClient
    venue: Exchange
    source: Source
    context: Context
    names: frozenset[str]
    next_sequence: NextSequence | None = None
    reached: datetime = field(init=False)
    doubtful: set[str] = field(default_factory=set)
    _longest: int = 0
    _is_probed: bool = False

    def __post_init__(self) -> None:
        self.reached = self.context.window.start

    def read(self) -> Iterator[Page]:
        """Yield the pages; a page that cannot be read ends the walk.

        Raises
        ------
        FetchError
            If the venue cannot be read.
        """
        start, last = self.source.whole_venue.bounds(self.context.window)
        first, seen, ends = start, frozenset(), 0
        while True:
            page, keys = self._read_page(self.context, first, last, seen)
            yield page
            if keys is None:
                return
            self._doubt_lost_rows(page, keys)
            if all(time == first and name in seen for time, name in keys):
                if len(keys) >= self._longest > 0 and not self._is_probed:
                    yield from self._probe(start, last)
                if len(keys) < self._longest or not keys:
                    ends += 1
                    if ends < _ENDS and keys:
                        continue
                    self.reached = self.context.window.end
                    return
                self._doubt_names_behind(keys, seen)
                first, seen = first + 1, frozenset()
            else:
                self._longest = max(self._longest, len(keys))
                time = keys[-1][0]
                names = frozenset(name for at, name in keys if at == time)
                first, seen = time, names | seen if time == first else names
            # a row belongs to the minute nearest to its time
            self.reached = max(self.reached, min(from_ms(first) - timedelta(minutes=1), self.context.window.end))

    def _read_page(
        self, context: Context, first: int, last: int, seen: frozenset[str]
    ) -> tuple[Page, list[Key] | None]:
        """Return a page and the keys of its rows; without keys, it cannot be read."""
        malformed = empty = 0
        while True:
            params = self.source.whole_venue.params(first, last)
            response = self.client.get(self.venue, self.source, params, self.next_sequence)
            clocks = self.client.read_clocks(response)
            context = replace(context, now=clocks.now, skewed=clocks.skewed)
            try:
                keys = self._checked(self.source.whole_venue.keys(response.body), first, last, seen)
                page = Page(response, self.source.endpoint, context, self.source.parse(response.body, context))
            except PayloadError as error:
                malformed += 1
                if malformed == MAX_MALFORMED_REQUESTS:
                    return Page(response, self.source.endpoint, context, None, error), None
                continue
            empty += 1
            if keys or empty == MAX_EMPTY_REQUESTS_AT_END:
                return page, keys

    def _checked(self, keys: list[Key], first: int, last: int, seen: frozenset[str]) -> list[Key]:
        keys = list(dict.fromkeys(keys))  # a page with each row twice is no longer than another one
        times = [time for time, _ in keys]
        if times != sorted(times) or not all(first <= time <= last for time in times):
            raise PayloadError(self.source.endpoint, "rows must be in order of time, and in the requested span")
        if missing := seen - {name for time, name in keys if time == first}:
            raise PayloadError(
                self.source.endpoint, f"the row of {min(missing)!r} is missing, which an earlier page had"
            )
        return keys

    def _probe(self, first: int, last: int) -> Iterator[Page]:
        """Request more rows, which shows whether a page can hold more than the longest one so far."""
        window = Window(self.context.window.start - _MARGIN, self.context.window.end)
        context = replace(self.context, window=window)
        page, keys = self._read_page(context, first - _MARGIN // MILLISECOND, last, frozenset())
        self._longest, self._is_probed = max(self._longest, len(keys or ())), True
        yield page

    def _doubt_names_behind(self, keys: list[Key], seen: frozenset[str]) -> None:
        """Doubt the names of which a full page, all rows of which have one time, may lack a row."""
        names = [name for _, name in keys]
        behind = max(names) if names == sorted(names) else ""
        self.doubtful |= {name for name in self.names - seen if name > behind}

    def _doubt_lost_rows(self, page: Page, keys: list[Key]) -> None:
        """Doubt the names of rows that are in a response and not in the table parsed from it."""
        terms, window = self.context.terms, page.context.window
        columns = (page.table[name].to_pylist() for name in ("instrument_type", "symbol", "venue_timestamp"))
        parsed = set(zip(*columns, strict=True))
        for time, name in keys:
            moment = from_ms(time)
            one = terms.named(name, moment) if name in self.names else None
            inside = window.start <= moment + timedelta(seconds=30) < window.end
            if one is not None and inside and (one.instrument_type, one.symbol, moment) not in parsed:
                self.doubtful.add(name)
