"""Walk through the pages of one source: which page comes next, and when a page is requested again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cexkit.errors import PayloadError
from cexkit.exchanges.base import Exchange, Source
from cexkit.exchanges.http.paginate import Ask
from cexkit.exchanges.page import Page
from cexkit.exchanges.parsing import Context, extent
from cexkit.exchanges.venue_client import VenueClient

#: How often a page is asked for until its malformed body, or its lack of rows, is believed: an empty
#: page that ends the reading deserves more doubt than one between others.
MALFORMED_ASKS = 5
EMPTY_ASKS_AT_END = 3
EMPTY_ASKS = 2


def walk_pages(client: VenueClient, venue: Exchange, source: Source, context: Context) -> Iterator[Page]:
    """Yield the pages of a source that cover the window of ``context``, in the venue's order.

    A malformed page is yielded with its error and with the span that the walk skips because of it.
    """
    ask = source.paging.first(context.window)
    while ask is not None:
        page = _read_page(client, venue, source, context, ask)
        if page.table is None:
            skipped, ask = source.paging.skip(ask)
            yield replace(page, skipped=skipped)
        else:
            ask = source.paging.after(ask, extent(page.table, source.cursor(page.answer.body)))
            yield page


def _read_page(client: VenueClient, venue: Exchange, source: Source, context: Context, ask: Ask) -> Page:
    """One page, asked for again where its body is malformed, or without rows.

    Venues now and then answer with half a body or an empty list, and do better a moment later.
    """
    malformed_count = empty_count = 0
    while True:
        answer = client.get(venue, source, source.params(context.instrument, ask))
        page_context = replace(context, window=ask.window, now=answer.server_time)
        try:
            table = source.parse(answer.body, page_context)
        except PayloadError as error:
            malformed_count += 1
            if malformed_count == MALFORMED_ASKS:
                return Page(answer, source.endpoint, page_context, None, error)
            continue
        got = extent(table, source.cursor(answer.body))
        empty_count += 1
        empty_limit = EMPTY_ASKS if source.paging.after(ask, got) else EMPTY_ASKS_AT_END
        if ask.window is None or got.last is not None or empty_count >= empty_limit:
            return Page(answer, source.endpoint, page_context, table)
