"""Read tables from exchanges: ``fetch()`` in one line, :class:`Fetcher` page by page.

Plain synchronous calls, that work in scripts, threads and notebooks alike.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from cexkit.config import Settings
from cexkit.config import settings as environment
from cexkit.errors import (
    DuplicateKeyError,
    InvalidInputError,
    NotOfferedError,
    PayloadError,
    UnknownNameError,
    UnknownTableError,
    VenueError,
)
from cexkit.exchanges.base import Exchange, Source
from cexkit.exchanges.http.client import Answer, HttpClient
from cexkit.exchanges.http.paginate import Ask
from cexkit.exchanges.http.ratelimit import RateLimiter
from cexkit.exchanges.http.retry import RetryPolicy
from cexkit.exchanges.instruments import latest, matching, of_type, stacked, the_one
from cexkit.exchanges.parsing import Context, extent
from cexkit.exchanges.registry import exchange as venue
from cexkit.schema import TABLES
from cexkit.schema.intervals import TimeLike, Window, utc
from cexkit.schema.symbols import INSTRUMENT_TYPES, Instrument, InstrumentType

if TYPE_CHECKING:
    import httpx
    import pyarrow as pa

#: How often a page is asked for until its malformed body, or its lack of rows, is believed: an empty
#: page that ends the reading deserves more doubt than one between others.
MALFORMED_ASKS = 5
EMPTY_ASKS_AT_END = 3
EMPTY_ASKS = 2
#: What is this close to being forgotten may be so before it is asked for.
REACH_MARGIN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Page:
    """One answer and what was made of it.

    Parameters
    ----------
    answer : Answer
        As received; goes to Bronze whatever it holds.
    endpoint : str
        Where it came from, such as ``um.fundingRate``.
    context : Context
        What parsing it takes beside the bytes.
    table : pyarrow.Table or None
        The rows; None where the body is malformed.
    error : PayloadError or None
        What was wrong with the body.
    skipped : Window or None
        The span that paging gave up because of it.
    companion : bool
        Whether it completes another page (by ``join_companions``) and holds no rows of its own.
    """

    answer: Answer
    endpoint: str
    context: Context
    table: pa.Table | None
    error: PayloadError | None = None
    skipped: Window | None = None
    companion: bool = False

    @property
    def is_file(self) -> bool:
        """Whether the body is a file of an archive, which is parsed later."""
        return self.endpoint.startswith("archive.")


class Fetcher:
    """Reads exchanges. Reusable and thread-safe; holds connections, budgets and the lists of instruments.

    Parameters
    ----------
    settings : Settings, optional
        Base URLs, timeout, number of attempts; default: the environment.
    transport : httpx.BaseTransport, optional
        Replaces the network.
    clock, sleep : callable
        Monotonic seconds and how to wait, for budgets and retries.

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
        sleep: Callable[[float], None] = time.sleep,
    ):
        self._settings = settings or environment()
        self._http = HttpClient(
            transport=transport,
            timeout_s=self._settings.http_timeout_s,
            retry=RetryPolicy(attempts=self._settings.http_attempts),
            limiter=RateLimiter(clock=clock, sleep=sleep),
            sleep=sleep,
        )
        self._listings: dict[tuple[str, str], pa.Table] = {}
        self._declared: set[str] = set()
        #: What a venue's clock said last.
        self._clocks: dict[str, datetime] = {}
        self._lock = threading.Lock()
        self._listing = threading.Lock()

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def instruments(self, exchange: str, instrument_type: InstrumentType | None = None) -> pa.Table:
        """What a venue lists now, companions joined.

        Parameters
        ----------
        exchange : str
            Name of the venue.
        instrument_type : str, optional
            Only this kind; default: all.

        Raises
        ------
        PayloadError
            If an answer is not what the endpoint promises.
        """
        pages = list(self.instrument_pages(exchange, instrument_type))
        for page in pages:
            if page.error is not None:
                raise page.error
        companions = {page.endpoint: page.table for page in pages if page.companion}
        parts = [_joined(venue(exchange), page, companions) for page in pages if not page.companion]
        return _finished(of_type(latest(stacked(parts)), instrument_type), "instruments")

    def instrument_pages(
        self, exchange: str, instrument_type: InstrumentType | None = None, *, companions: bool = True
    ) -> Iterator[Page]:
        """The answers behind :meth:`instruments`; malformed ones too, with their error.

        One answer may list several kinds of instruments. Companions follow the pages they complete.
        """
        found = venue(exchange)
        kinds = _kinds(found, "instruments", instrument_type)
        sources = {found.source("instruments", kind).endpoint: found.source("instruments", kind) for kind in kinds}
        for source in sources.values():
            yield from self._list_pages(found, source)
            for companion in source.companions if companions else ():
                yield from (replace(page, companion=True) for page in self._list_pages(found, companion))
        more = {part.endpoint: part for source in sources.values() for part in source.more}
        for part in more.values():
            if part.endpoint not in sources:
                yield from self._list_pages(found, part)

    def resolve(
        self, exchange: str, table: str, symbol: str, instrument_type: InstrumentType | None = None
    ) -> Instrument:
        """The instrument that a symbol means in a table.

        Parameters
        ----------
        exchange, table : str
            Where it is looked for.
        symbol : str
            Canonical symbol, or else the venue's own name; in any case.
        instrument_type : str, optional
            Needed where the symbol means several.

        Raises
        ------
        UnknownNameError
            If the venue does not list it; the message names near ones.
        AmbiguousInstrumentError
            If it means several instruments; the message lists them.
        InvalidInputError
            If it is no text.
        """
        found = venue(exchange)
        kinds = _kinds(found, _known(table), instrument_type)
        _require_text(symbol)
        try:
            return the_one(self._listed(found, kinds, fresh=False), symbol, exchange, table)
        except UnknownNameError:
            # it may have been listed since
            return the_one(self._listed(found, kinds, fresh=True), symbol, exchange, table)

    def pages(self, exchange: str, table: str, instrument: Instrument, window: Window) -> Iterator[Page]:
        """Read a table of one instrument, page by page.

        A malformed page is yielded with its error, and reading goes on behind it. Rows lie within
        the window; pages come in the venue's order.

        Raises
        ------
        NotOfferedError
            If the window begins before what the venue keeps; see :meth:`earliest`.
        FetchError
            If the venue cannot be read at all.
        """
        found = venue(exchange)
        source = found.source(_known(table), instrument.instrument_type)
        earliest = self.earliest(exchange, table, instrument.instrument_type)
        if earliest is not None and window.start < earliest:
            raise NotOfferedError(
                f"{table} of {exchange} goes back {source.reach.days} days only: ask from {earliest:%Y-%m-%dT%H:%M} on"
            )
        context = Context(exchange=exchange, table=table, now=_now(), instrument=instrument, window=window)
        return self._walk(found, source, context)

    def earliest(self, exchange: str, table: str, instrument_type: InstrumentType) -> datetime | None:
        """The oldest time a venue's API still has rows of a table for, by the venue's clock; None: all of them."""
        reach = venue(exchange).source(_known(table), instrument_type).reach
        # until the venue's clock is known ours stands still: what is just young enough must not age until it is read
        return None if reach is None else self._clocks.setdefault(exchange, _now()) - reach + REACH_MARGIN

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
        """As :func:`cexkit.exchanges.fetcher.fetch`, with this fetcher's connections and budgets."""
        import pyarrow as pa

        from cexkit.schema.render import empty

        if _known(table) == "instruments":
            if symbol is not None:
                _require_text(symbol)
            listed = self.instruments(exchange, instrument_type)
            return listed if symbol is None else matching(listed, symbol, exchange, table)
        venue(exchange)
        window = _window(table, start, end)
        instrument = self.resolve(exchange, table, symbol, instrument_type)
        parts = []
        for page in self.pages(exchange, table, instrument, window):
            if page.error is not None:
                raise page.error
            parts.append(page.table)
        return _finished(pa.concat_tables([empty(TABLES[table]), *parts]), table)

    def _list_pages(self, found: Exchange, source: Source) -> Iterator[Page]:
        """One list of instruments to its last page; a limit that it announces holds from then on."""
        for page in self._walk(found, source, Context(exchange=found.name, table="instruments", now=_now())):
            try:
                limits = source.limits(page.answer.body) if page.table is not None else ()
            except PayloadError as error:
                yield replace(page, table=None, error=error)
                continue
            for budget in limits:
                self._http.limiter.declare(replace(budget, name=_budget(found, source, budget.name)))
            yield page

    def _walk(self, found: Exchange, source: Source, context: Context) -> Iterator[Page]:
        ask = source.paging.first(context.window)
        while ask is not None:
            page = self._page(found, source, context, ask)
            if page.table is None:
                skipped, ask = source.paging.skip(ask)
                yield replace(page, skipped=skipped)
            else:
                ask = source.paging.after(ask, extent(page.table, source.cursor(page.answer.body)))
                yield page

    def _page(self, found: Exchange, source: Source, context: Context, ask: Ask) -> Page:
        """One page, asked for again where its body is malformed, or without rows.

        Venues now and then answer with half a body or an empty list, and do better a moment later.
        """
        malformed = empty = 0
        while True:
            answer = self._get(found, source, source.params(context.instrument, ask))
            seen = replace(context, window=ask.window, now=answer.server_time)
            try:
                table = source.parse(answer.body, seen)
            except PayloadError as error:
                malformed += 1
                if malformed == MALFORMED_ASKS:
                    return Page(answer, source.endpoint, seen, None, error)
                continue
            got = extent(table, source.cursor(answer.body))
            empty += 1
            enough = EMPTY_ASKS if source.paging.after(ask, got) else EMPTY_ASKS_AT_END
            if ask.window is None or got.last is not None or empty >= enough:
                return Page(answer, source.endpoint, seen, table)

    def file(self, exchange: str, path: str) -> Answer | None:
        """A file of a venue's archive; None where there is none."""
        found = venue(exchange)
        try:
            return self._get(found, Source(endpoint="archive.file", path=path, parse=_no_table, cost=_one_file), {})
        except VenueError as error:
            if error.status == 404:
                return None
            raise

    def _get(self, found: Exchange, source: Source, params: dict[str, str]) -> Answer:
        api = found.apis[source.api]
        self._declare(found, source)
        named = partial(_budget, found, source)
        base = self._settings.base_urls.get(f"{found.name}.{source.api}", api.base_url)
        path, query = source.target(params)
        answer = self._http.get(
            base.rstrip("/") + path,
            query,
            headers=api.headers,
            cost={named(name): weight for name, weight in source.cost(params).items()},
            inspect=api.error,
            usage=lambda answer: tuple(replace(seen, budget=named(seen.budget)) for seen in api.usage(answer)),
        )
        self._clocks[found.name] = answer.server_time
        return answer

    def _declare(self, found: Exchange, source: Source) -> None:
        """Make an API's budgets known on its first use; later limits of the venue's own stand."""
        with self._lock:
            if (key := f"{found.name}.{source.api}") in self._declared:
                return
            for budget in found.apis[source.api].budgets:
                self._http.limiter.declare(replace(budget, name=_budget(found, source, budget.name)))
            self._declared.add(key)

    def _listed(self, found: Exchange, kinds: tuple[InstrumentType, ...], *, fresh: bool) -> pa.Table:
        """Instruments of these kinds, from memory unless ``fresh``. Companions are not needed here.

        Lists of what is no longer traded are read where ``fresh`` only: few ask for such instruments.
        """
        sources = {source.endpoint: source for source in (found.source("instruments", kind) for kind in kinds)}
        more = {part.endpoint: part for source in sources.values() for part in source.more}
        parts = []
        # one thread asks, the others wait for what it gets
        with self._listing:
            for endpoint, source in (more | sources).items():
                key = (found.name, endpoint)
                if fresh or (key not in self._listings and endpoint in sources):
                    self._listings[key] = self._list(found, source)
                if key in self._listings:
                    parts.append(self._listings[key])
        listed = latest(stacked(parts))
        return stacked([of_type(listed, kind) for kind in kinds])

    def _list(self, found: Exchange, source: Source) -> pa.Table:
        pages = list(self._list_pages(found, source))
        for page in pages:
            if page.error is not None:
                raise page.error
        return stacked([page.table for page in pages])


def _no_table(body: bytes, context: Context) -> NoReturn:
    raise NotImplementedError("files of an archive are parsed by their descriptor")


def _one_file(params: Mapping[str, str]) -> dict[str, float]:
    return {"requests": 1}


def _now() -> datetime:
    return datetime.now(UTC)


def _budget(found: Exchange, source: Source, name: str) -> str:
    return f"{found.name}.{source.api}.{name}"


def _known(table: str) -> str:
    """The name of a table that venues publish."""
    published = [name for name, declared in TABLES.items() if declared.layer == "silver"]
    if table in TABLES and table not in published:
        raise UnknownTableError(f"{table!r} is computed from others; to fetch there are: {', '.join(published)}")
    if table not in published:
        raise UnknownTableError.of("table", table, published)
    return table


def _kinds(found: Exchange, table: str, instrument_type: InstrumentType | None) -> tuple[InstrumentType, ...]:
    """The kinds of instruments to look at, or the error that says why there are none."""
    if instrument_type is not None and instrument_type not in INSTRUMENT_TYPES:
        raise UnknownNameError.of("instrument_type", instrument_type, INSTRUMENT_TYPES)
    if instrument_type is not None:
        found.source(table, instrument_type)
        return (instrument_type,)
    kinds = found.instrument_types(table)
    if not kinds:
        found.explain(table, TABLES[table].instrument_types)
    return kinds


def _require_text(symbol: object) -> None:
    if not isinstance(symbol, str) or not symbol:
        raise InvalidInputError(f"a symbol is needed, such as 'BTCUSDT'; got {symbol!r}")


def _window(table: str, start: TimeLike | None, end: TimeLike | None) -> Window:
    if start is None:
        raise InvalidInputError(f"{table} needs a start, such as start='2024-01-01'")
    return Window(utc(start), _now() if end is None else utc(end))


def _joined(found: Exchange, page: Page, companions: dict[str, pa.Table]) -> pa.Table:
    join = found.endpoint("instruments", page.endpoint).join
    return join(page.table, companions) if join else page.table


def _finished(rows: pa.Table, table: str) -> pa.Table:
    """Sorted by key and each key once.

    Raises
    ------
    DuplicateKeyError
        If a venue gave two different rows for one key.
    """
    keys = list(TABLES[table].key)
    if rows.group_by(keys).aggregate([]).num_rows != rows.num_rows:
        rows = rows.group_by(rows.column_names).aggregate([]).cast(rows.schema)
        if rows.group_by(keys).aggregate([]).num_rows != rows.num_rows:
            raise DuplicateKeyError(f"{table}: the venue gave different rows for the same {', '.join(keys)}")
    return rows.sort_by([(name, "ascending") for name in keys])


_default: Fetcher | None = None
_default_lock = threading.Lock()


def _default_fetcher() -> Fetcher:
    global _default
    with _default_lock:
        _default = _default or Fetcher()
        return _default


def fetch(
    exchange: str,
    table: str,
    symbol: str | None = None,
    start: TimeLike | None = None,
    end: TimeLike | None = None,
    *,
    instrument_type: InstrumentType | None = None,
) -> pa.Table:
    """Read a table of one instrument from an exchange.

    Parameters
    ----------
    exchange : str
        Name of the venue, such as ``"binance"``.
    table : str
        Name of a table, such as ``"funding_rates"`` or ``"ohlcv_1h"``; ``"instruments"`` for what
        the venue lists (symbol and times may be left out then).
    symbol : str
        Canonical symbol (``"BTCUSDT"``, ``"BTCUSDT-20240628"``), or the venue's own name.
    start, end : str, date or datetime
        Half-open UTC window, ``start <= timestamp < end``; naive times are UTC. ``end`` is now by
        default.
    instrument_type : {"spot", "perp", "future"}, optional
        Needed where the symbol means several.

    Returns
    -------
    pyarrow.Table
        In the table's declared schema, sorted by key, each key once, finished bars only. Without
        rows where the venue has none. Whether bars are missing is not checked: a venue leaves out
        bars in outages, and some leave out bars without trades.

    Raises
    ------
    UnknownNameError
        No such venue, table or instrument; the message lists what there is.
    AmbiguousInstrumentError
        The symbol means several instruments.
    NotOfferedError, NotReadYetError
        The venue does not publish it; cexkit does not read it yet.
    FetchError
        The venue could not be read.
    PayloadError
        An answer is not what the endpoint promises; nothing is returned then.

    Examples
    --------
    >>> from cexkit.exchanges.fetcher import fetch
    >>> fetch("binanse", "funding_rates", "BTCUSDT", "2024-01-01")
    Traceback (most recent call last):
    cexkit.errors.UnknownNameError: unknown exchange 'binanse'; did you mean 'binance'? There are: binance, ...
    """
    return _default_fetcher().fetch(exchange, table, symbol, start, end, instrument_type=instrument_type)
