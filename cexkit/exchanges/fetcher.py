"""Fetcher: reads venues page by page, file by file, or table by table.

Calls are synchronous and work in scripts, threads, and notebooks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cexkit.config import Settings
from cexkit.config import settings as environment
from cexkit.errors import (
    ClockSkewWarning,
    InvalidInputError,
    NotOfferedError,
    UnclearUnitWarning,
    UnknownTableError,
    warn,
)
from cexkit.exchanges.assembly import assemble_instruments, assemble_table
from cexkit.exchanges.http.client import HttpClient, NextSequence, Response
from cexkit.exchanges.http.clocks import ClockReading
from cexkit.exchanges.http.ratelimit import RateLimiter
from cexkit.exchanges.http.retry import RetryPolicy
from cexkit.exchanges.http.workers import Result, sleep
from cexkit.exchanges.instruments import describe_unclear_units, matching
from cexkit.exchanges.listings import Listings, require_symbol
from cexkit.exchanges.page import Page
from cexkit.exchanges.page_walk import WindowWalk, walk_windows
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.registry import exchange as find_venue
from cexkit.exchanges.registry import resolve_exchange
from cexkit.exchanges.venue_client import Pace, VenueClient
from cexkit.exchanges.venue_walk import VenueWalk
from cexkit.schema import TABLES
from cexkit.schema.intervals import TimeLike, Window, utc
from cexkit.schema.symbols import Instrument, InstrumentType
from cexkit.transfer import Bounds

if TYPE_CHECKING:
    import httpx
    import pyarrow as pa

#: Margin before the retention limit. Data this close to the limit may expire before it is requested.
REACH_MARGIN = timedelta(minutes=5)


class Fetcher:
    """Reader of exchanges. Reusable and thread-safe; holds connections, budgets, and instrument listings.

    Parameters
    ----------
    settings : Settings, optional
        Base URLs, timeout, bounds, number of attempts, largest clock skew; default: the environment.
    transport : httpx.BaseTransport, optional
        Replaces the network.
    clock, sleep : callable
        Monotonic clock and sleep function, both in seconds, for budgets and retries.

    Examples
    --------
    >>> import httpx
    >>> info = {"symbols": [{"symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT",
    ...                      "filters": []}], "rateLimits": []}
    >>> transport = httpx.MockTransport(lambda request: httpx.Response(200, json=info))
    >>> with Fetcher(transport=transport) as fetcher:
    ...     print(fetcher.resolve("binance", "ohlcv_1h", "BTCUSDT", "spot"))
    binance spot BTCUSDT
    """

    def __init__(
        self,
        settings: Settings | None = None,
        transport: httpx.BaseTransport | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = sleep,
    ):
        settings = settings or environment()
        self._http = HttpClient(
            transport=transport,
            timeout_seconds=settings.http_timeout_seconds,
            bounds=Bounds(settings.max_response_bytes, settings.max_request_seconds),
            retry=RetryPolicy(attempts=settings.http_attempts),
            limiter=RateLimiter(clock=clock, sleep=sleep),
            sleep=sleep,
        )
        self._client = VenueClient(self._http, settings.base_urls, settings.max_clock_skew_seconds)
        self._listings = Listings(self._client)
        #: Most requests at once to read a table of a venue.
        self.concurrent_requests = settings.concurrent_requests

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def instruments(self, exchange: str, instrument_type: InstrumentType | None = None) -> pa.Table:
        """Return the instruments that a venue lists now, with companions joined.

        Parameters
        ----------
        exchange : str
            Name of the venue.
        instrument_type : str, optional
            Instrument type to return; default: all.

        Raises
        ------
        PayloadError
            If a response is not what the endpoint promises.

        Warns
        -----
        ClockSkewWarning
            If the clocks of the venue and of this machine disagree.
        UnclearUnitWarning
            If a listed name contains a number that may be a multiplier and is not read as one.
        """
        exchange = resolve_exchange(exchange)
        pages = list(_warn_of_skew(exchange, self.instrument_pages(exchange, instrument_type)))
        instruments = assemble_instruments(exchange, pages, instrument_type)
        if text := describe_unclear_units(instruments):
            warn(f"{exchange}: {text}", UnclearUnitWarning)
        return instruments

    def instrument_pages(
        self,
        exchange: str,
        instrument_type: InstrumentType | None = None,
        *,
        companions: bool = True,
        next_sequence: NextSequence | None = None,
    ) -> Iterator[Page]:
        """Yield the responses behind :meth:`instruments`; malformed ones too, with their error.

        One response may list several instrument types. Companions follow the pages that they complete.
        ``next_sequence`` numbers the requests, see :meth:`pages`.
        """
        yield from self._listings.read_pages(
            find_venue(exchange), instrument_type, companions=companions, next_sequence=next_sequence
        )

    def resolve(
        self, exchange: str, table: str, symbol: str, instrument_type: InstrumentType | None = None
    ) -> Instrument:
        """Return the instrument that a symbol refers to in a table.

        Parameters
        ----------
        exchange, table : str
            Venue and table to search.
        symbol : str
            Canonical symbol, or else the venue's own name; else either in another case.
        instrument_type : str, optional
            Required if the symbol matches several instruments.

        Raises
        ------
        UnknownNameError
            If the venue does not list the symbol; the message suggests similar ones.
        AmbiguousInstrumentError
            If the symbol matches several instruments; the message lists them.
        InvalidInputError
            If ``symbol`` is not a non-empty string.
        """
        venue = find_venue(resolve_exchange(exchange))
        return self._listings.resolve(venue, _require_venue_table(table), symbol, instrument_type)

    def pages(
        self,
        exchange: str,
        table: str,
        instrument: Instrument,
        window: Window,
        *,
        next_sequence: NextSequence | None = None,
        confirm_empty: bool = True,
    ) -> Iterator[Page]:
        """Read a table of one instrument, page by page.

        A malformed page is yielded with its error, and reading continues after it. All rows are within
        the window; pages come in the venue's order.

        Parameters
        ----------
        exchange, table, instrument, window
            What to read.
        next_sequence : callable, optional
            Returns the number of a request, called when it is sent: the ``next`` of the
            :class:`~cexkit.warehouse.store.sequence.Sequence` of the warehouse that stores the responses. Default:
            requests have no number.
        confirm_empty : bool
            Request a page without rows again before it is accepted.

        Raises
        ------
        NotOfferedError
            If the window starts before the venue's retention period; see :meth:`earliest`.
        FetchError
            If the venue cannot be read at all.
        """
        walk = self._walk(exchange, table, instrument, window, next_sequence)
        return replace(walk, confirm_empty=confirm_empty).read()

    def window_pages(
        self,
        exchange: str,
        table: str,
        instrument: Instrument,
        window: Window,
        *,
        listed: bool = False,
        count: int | None = None,
        settled: datetime | None = None,
        next_sequence: NextSequence | None = None,
    ) -> Iterator[Result[Page]]:
        """Read a table of one instrument, several pages at once where the venue's pages allow.

        Parameters
        ----------
        exchange, table, instrument, window, next_sequence
            See :meth:`pages`.
        listed : bool
            True if rows are expected throughout the window; see :func:`~cexkit.exchanges.page_walk.walk_windows`.
        count : int, optional
            Most requests at once. Default: the setting ``CEXKIT_CONCURRENT_REQUESTS``.
        settled : datetime, optional
            Time from which on the caller will read the rows again: an empty last page there needs no confirmation.

        Yields
        ------
        Result
            A page in ``item``, or the end of a part of the window with the error that ended it early, if any;
            ``task.window`` is the part. Parts end in any order, and together cover the window.

        Raises
        ------
        NotOfferedError
            If the window starts before the venue's retention period; see :meth:`earliest`.
        """
        walk = replace(self._walk(exchange, table, instrument, window, next_sequence), settled=settled)
        return walk_windows(walk, count or self.concurrent_requests, listed=listed)

    def venue_walk(
        self,
        exchange: str,
        table: str,
        instruments: Sequence[Instrument],
        window: Window,
        *,
        only: bool,
        next_sequence: NextSequence | None = None,
    ) -> VenueWalk:
        """Return the walk through the rows of all instruments of a venue, which its ``read`` reads.

        Parameters
        ----------
        exchange, table, window, next_sequence
            See :meth:`pages`; the source of the table has a ``whole_venue``.
        instruments : sequence of Instrument
            Those that must be read whole, all of one type.
        only : bool
            True to keep only their rows.
        """
        walk = self._walk(exchange, table, instruments[0], window, next_sequence)
        names = frozenset(one.venue_symbol for one in instruments)
        context = replace(walk.context, instrument=None, names=tuple(sorted(names)) if only else None)
        return VenueWalk(self._client, walk.venue, walk.source, context, names, next_sequence)

    def _walk(
        self, exchange: str, table: str, instrument: Instrument, window: Window, next_sequence: NextSequence | None
    ) -> WindowWalk:
        venue = find_venue(exchange)
        source = venue.source(_require_venue_table(table), instrument.instrument_type)
        earliest = self.earliest(exchange, table, instrument.instrument_type)
        if earliest is not None and window.start < earliest:
            raise NotOfferedError(
                f"{table} of {exchange} goes back {source.reach.days} days only: ask from {earliest:%Y-%m-%dT%H:%M} on"
            )
        context = Context(
            exchange=exchange,
            table=table,
            now=datetime.now(UTC),
            instrument=instrument,
            window=window,
            terms=self._listings.terms(venue),
        )
        return WindowWalk(self._client, venue, source, context, next_sequence)

    def earliest(self, exchange: str, table: str, instrument_type: InstrumentType) -> datetime | None:
        """Return the oldest time for which a venue's API retains rows, by the venue's clock; None if unlimited."""
        reach = find_venue(exchange).source(_require_venue_table(table), instrument_type).reach
        # Our clock is frozen until the venue's clock is known. Otherwise data at the limit would age before the read.
        return None if reach is None else self._client.recall_server_time(exchange) - reach + REACH_MARGIN

    def fetch(
        self,
        exchange: str,
        table: str,
        symbol: str | None = None,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        *,
        instrument_type: InstrumentType | None = None,
    ) -> pa.Table:
        """Read a table with this fetcher's connections and budgets. See :func:`cexkit.exchanges.fetch.fetch`."""
        _require_venue_table(table)
        # Report an unknown venue before a missing start.
        exchange = resolve_exchange(exchange)
        if table == "instruments":
            return self._fetch_instruments(exchange, symbol, instrument_type)
        venue = find_venue(exchange)
        window = _parse_window(table, start, end)
        instrument = self.resolve(exchange, table, symbol, instrument_type)
        listed = self._listings.was_listed(venue, instrument, window.start)
        pages = _require_read(self.window_pages(exchange, table, instrument, window, listed=listed))
        rows = assemble_table(_warn_of_skew(exchange, pages), table)
        return self._listings.fill_multiplier(rows, venue, instrument)

    def file(self, exchange: str, path: str, *, next_sequence: NextSequence | None = None) -> Response | None:
        """Return a file of a venue's archive; None if the file does not exist.

        ``next_sequence`` numbers the request, see :meth:`pages`.
        """
        return self._client.get_file(find_venue(exchange), path, next_sequence)

    def pace(self, exchange: str) -> Pace:
        """Return how many responses a venue sent, and the share of its limits that is used now."""
        return self._client.pace(exchange)

    def read_clocks(self, response: Response) -> ClockReading:
        """Return the time of a response by the earlier of the venue's clock and ours, and whether they disagree."""
        return self._client.read_clocks(response)

    def _fetch_instruments(self, exchange: str, symbol: str | None, instrument_type: InstrumentType | None) -> pa.Table:
        """Return a venue's listing, or only the rows that match a symbol."""
        if symbol is not None:
            require_symbol(symbol)
        instruments = self.instruments(exchange, instrument_type)
        return instruments if symbol is None else matching(instruments, symbol, exchange, "instruments")


def _require_venue_table(table: str) -> str:
    """Return the name of a table that venues publish; raise UnknownTableError for any other."""
    published = [name for name, each in TABLES.items() if each.layer == "silver" and each.made_with is None]
    if table in TABLES and table not in published:
        raise UnknownTableError(f"{table!r} is computed, not published by venues. Available: {', '.join(published)}")
    if table not in published:
        raise UnknownTableError.of("table", table, published)
    return table


def _require_read(results: Iterable[Result[Page]]) -> Iterator[Page]:
    """Yield the pages of results, and raise the first error."""
    for result in results:
        if result.error is not None:
            raise result.error
        if not result.ended:
            yield result.item


def _warn_of_skew(exchange: str, pages: Iterable[Page]) -> Iterator[Page]:
    """Yield pages; warn once if the clocks of the venue and of this machine disagree."""
    warned = False
    for page in pages:
        if not warned and (problem := page.clock_problem):
            text = "bars that may be running by either clock are left out; set the wrong clock and fetch again"
            warn(f"{exchange}: {problem}; {text}", ClockSkewWarning)
            warned = True
        yield page


def _parse_window(table: str, start: TimeLike | None, end: TimeLike | None) -> Window:
    if start is None:
        raise InvalidInputError(f"{table} needs a start, such as start='2024-01-01'")
    return Window(utc(start), datetime.now(UTC) if end is None else utc(end))
