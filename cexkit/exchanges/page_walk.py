"""Walk through the pages of one source: which page comes next, and when a page is requested again.

A window whose pages each hold a known span is divided into them, and several are read at once (:func:`walk_windows`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from cexkit.errors import CexkitError, PayloadError
from cexkit.exchanges.base import Exchange, Source
from cexkit.exchanges.facts import extent
from cexkit.exchanges.http.client import NextSequence
from cexkit.exchanges.http.paginate import Forward, PageRequest
from cexkit.exchanges.http.workers import Delivery, Result
from cexkit.exchanges.page import Page
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.venue_client import VenueClient
from cexkit.schema.intervals import Window

#: Number of requests after which a malformed or empty page is accepted. An empty page at the end of the walk needs more
#: confirmation than an empty page between others.
MAX_MALFORMED_REQUESTS = 5
MAX_EMPTY_REQUESTS_AT_END = 3
MAX_EMPTY_REQUESTS = 2


def walk_pages(
    client: VenueClient,
    venue: Exchange,
    source: Source,
    context: Context,
    next_sequence: NextSequence | None = None,
    *,
    confirm_empty: bool = True,
    settled: datetime | None = None,
) -> Iterator[Page]:
    """Yield the pages of a source that cover the window of ``context``, in the venue's order.

    A malformed page is yielded with its error and with the span that the walk skips because of it. ``next_sequence``
    numbers the requests. Pages without rows are requested again unless ``confirm_empty`` is False, or their window
    begins at ``settled`` or later, and they end the walk or hold rows before it.
    """
    ends_walk = isinstance(source.paginator, Forward)
    request = source.paginator.first(context.window)
    while request is not None:
        recent = settled is not None and request.window.start >= settled
        confirm = confirm_empty and not (ends_walk and recent)
        words = {"confirm_empty": confirm, "recent": recent}
        page = _read_page(client, venue, source, context, request, next_sequence, **words)
        if page.table is None:
            skipped, request = source.paginator.skip(request)
            yield replace(page, skipped=skipped)
        else:
            result = extent(page.table, source.cursor(page.response.body))
            # A page may lack a row at the start of its window. Only of a recent one that is noticed later.
            request = source.paginator.next(request, replace(result, earlier=result.earlier and recent))
            yield page


@dataclass(frozen=True, slots=True)
class WindowWalk:
    """The walk through one window, which a worker can do."""

    client: VenueClient
    venue: Exchange
    source: Source
    context: Context
    next_sequence: NextSequence | None = None
    confirm_empty: bool = True
    #: Time from which on the caller will read the rows again, so that an empty page there needs no confirmation.
    settled: datetime | None = None
    first_page_only: bool = False

    @property
    def window(self) -> Window:
        """The span to read."""
        return self.context.window

    def read(self) -> Iterator[Page]:
        """Yield the pages in the venue's order."""
        where = (self.client, self.venue, self.source, self.context, self.next_sequence)
        pages = walk_pages(*where, confirm_empty=self.confirm_empty, settled=self.settled)
        return islice(pages, 1) if self.first_page_only else pages

    def over(self, window: Window) -> WindowWalk:
        """Return the same walk through another window."""
        return replace(self, context=replace(self.context, window=window))


def walk_windows(walk: WindowWalk, count: int, *, listed: bool = False) -> Iterator[Result[Page]]:
    """Walk through a window in several walks, as many at once as the venue's pages allow.

    The pages of some venues begin with the newest row, or with the first one after the start, whatever a page's window
    is. There, a window before the first row costs one request as a whole, but one per page if it is divided. So
    it is divided only if ``listed``, or behind the first page that has rows.

    Parameters
    ----------
    walk : WindowWalk
        The walk through the whole window.
    count : int
        Most pages to read at once.
    listed : bool
        True if rows are expected throughout the window.

    Yields
    ------
    Result
        A page, or the end of a walk with the error that ended it early, if any; ``task`` is the walk. Together, the
        walks cover the window.
    """
    windows = walk.source.paginator.windows(walk.window)
    if len(windows) == 1:
        yield from _one_by_one([walk])
    elif listed or walk.source.paginator.span is not None:
        yield from _at_once(walk, windows, count)
    elif isinstance(walk.source.paginator, Forward):
        yield from _behind_the_first_page(walk, count)
    else:
        yield from _one_by_one([walk])


def _one_by_one(walks: Iterable[WindowWalk]) -> Iterator[Result[Page]]:
    for walk in walks:
        error = None
        try:
            for page in walk.read():
                yield Result(walk, page)
        except CexkitError as raised:
            error = raised
        yield Result(walk, ended=True, error=error)


def _at_once(walk: WindowWalk, windows: list[Window], count: int) -> Iterator[Result[Page]]:
    walks = (walk.over(window) for window in windows)
    if count == 1:
        yield from _one_by_one(walks)
        return
    with Delivery(lambda: next(walks, None), count) as delivery:
        yield from delivery


def _behind_the_first_page(walk: WindowWalk, count: int) -> Iterator[Result[Page]]:
    """Read the first page, and what follows it at once."""
    *pages, end = _one_by_one([replace(walk, first_page_only=True)])
    last = extent(pages[0].item.table, None).last if pages and pages[0].item.table is not None else None
    behind = walk.window.end if last is None else min(last + walk.source.paginator.resolution, walk.window.end)
    if pages and pages[0].item.table is None:
        yield from _one_by_one([walk])  # a malformed page does not say where the next one is
        return
    first = walk.over(Window(walk.window.start, behind))
    yield from (replace(page, task=first) for page in pages)
    yield replace(end, task=first)
    if behind < walk.window.end and end.error is None:
        rest = walk.over(Window(behind, walk.window.end))
        yield from _at_once(rest, rest.source.paginator.windows(rest.window), count)


def _read_page(
    client: VenueClient,
    venue: Exchange,
    source: Source,
    context: Context,
    request: PageRequest,
    next_sequence: NextSequence | None,
    *,
    confirm_empty: bool,
    recent: bool,
) -> Page:
    """Return one page; request it again if its body is malformed or has no rows.

    Venues occasionally send a truncated body or an empty list, and the correct page shortly afterwards. A page with
    only rows before a ``recent`` window is neither: later runs read that window again.
    """
    malformed_count = empty_count = 0
    while True:
        response = client.get(venue, source, source.params(context.instrument, request), next_sequence)
        clocks = client.read_clocks(response)
        page_context = replace(context, window=request.window, now=clocks.now, skewed=clocks.skewed)
        try:
            table = source.parse(response.body, page_context)
        except PayloadError as error:
            malformed_count += 1
            if malformed_count == MAX_MALFORMED_REQUESTS:
                return Page(response, source.endpoint, page_context, None, error)
            continue
        result = extent(table, source.cursor(response.body))
        empty_count += 1
        empty_limit = MAX_EMPTY_REQUESTS if source.paginator.next(request, result) else MAX_EMPTY_REQUESTS_AT_END
        is_certain = not confirm_empty or empty_count >= empty_limit or (result.earlier and recent)
        if request.window is None or result.last is not None or is_certain:
            return Page(response, source.endpoint, page_context, table)
