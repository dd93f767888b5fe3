"""Walk through the pages of one source: which page comes next, and when a page is requested again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cexkit.errors import PayloadError
from cexkit.exchanges.base import Exchange, Source
from cexkit.exchanges.http.client import NextSequence
from cexkit.exchanges.http.paginate import PageRequest
from cexkit.exchanges.page import Page
from cexkit.exchanges.parsing import Context, extent
from cexkit.exchanges.venue_client import VenueClient

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
) -> Iterator[Page]:
    """Yield the pages of a source that cover the window of ``context``, in the venue's order.

    A malformed page is yielded with its error and with the span that the walk skips because of it. ``next_sequence``
    numbers the requests. Pages without rows are requested again unless ``confirm_empty`` is False.
    """
    request = source.paginator.first(context.window)
    while request is not None:
        page = _read_page(client, venue, source, context, request, next_sequence, confirm_empty=confirm_empty)
        if page.table is None:
            skipped, request = source.paginator.skip(request)
            yield replace(page, skipped=skipped)
        else:
            request = source.paginator.next(request, extent(page.table, source.cursor(page.response.body)))
            yield page


def _read_page(
    client: VenueClient,
    venue: Exchange,
    source: Source,
    context: Context,
    request: PageRequest,
    next_sequence: NextSequence | None,
    *,
    confirm_empty: bool,
) -> Page:
    """Return one page; request it again if its body is malformed or has no rows.

    Venues occasionally send a truncated body or an empty list, and the correct page shortly afterwards.
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
        is_certain = not confirm_empty or empty_count >= empty_limit
        if request.window is None or result.last is not None or is_certain:
            return Page(response, source.endpoint, page_context, table)
