"""OKX, API v5: spot, perpetual swaps and dated futures, linear and inverse.

Facts that shape the parsers, each of which has made somebody's numbers wrong:

- every list is newest first, and ``after`` means *older than*, exclusively; ``before`` alone gives the newest page
  and not the one next to it, so only ``after`` (``end`` for open interest) is ever sent;
- bars of ``1D`` open at 16:00 UTC, which is midnight in UTC+8: ``1Dutc`` are days;
- a bar with ``confirm`` "0" is not final;
- ``vol`` of swaps and futures is in contracts, ``volCcy`` in coins; of spot ``vol`` is in coins and ``volCcy`` in
  the quote currency;
- one contract is ``ctVal`` × ``ctMult`` of ``ctValCcy``: coins, or dollars if inverse. Swaps and futures leave
  ``baseCcy`` and ``quoteCcy`` empty; ``uly`` names both. No coin is quoted by the thousand;
- ``fundingRate`` of the history is the published rate, ``realizedRate`` the one that was paid. About three months
  are kept;
- a row of open interest may still change while its hour runs, and is in contracts, coins and US dollars (which are
  not USDT);
- an item of ``liquidation-orders`` holds a list of events, in contracts, at the bankruptcy price; ``limit`` is not
  kept to, and about a day is there. OKX says that it shows at most one a second and contract: ``throttled``;
- an X-Perp is listed among the futures, has a date, and pays funding. It is neither of our two kinds: as a future
  its basis would lack the funding, so it is left out by name;
- errors come with status 200 and a ``code`` that is text. Delisted instruments are not listed;
- since 2026-04-14 the interval of a coin's swap changes automatically when its rate reaches the cap or the floor, so it
  is read with each list of instruments (``nextFundingTime`` − ``fundingTime``) and never applied to settlements.

Not seen in any recording, so held to strictly: the rows of mark and index candles (``ts, o, h, l, c, confirm``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from cexkit.errors import RateLimitedError, TransportError, UnknownNameError, VenueError
from cexkit.exchanges.base import Api, Exchange, Source
from cexkit.exchanges.facts import settlement_window
from cexkit.exchanges.http.client import Response
from cexkit.exchanges.http.paginate import Backward, PageRequest, PageResult
from cexkit.exchanges.http.ratelimit import Budget
from cexkit.exchanges.okx.archive import ARCHIVES
from cexkit.exchanges.okx.listings import (
    join_next_funding,
    parse_futures_listing,
    parse_next_funding,
    parse_spot_listing,
    parse_swap_listing,
)
from cexkit.exchanges.okx.payloads import (
    HOUR,
    LIQUIDATION_ROWS,
    oldest_event,
    parse_candles,
    parse_funding,
    parse_liquidations,
    parse_open_interest,
    parse_references,
)
from cexkit.exchanges.okx.stream import STREAM
from cexkit.exchanges.parsing import complaint
from cexkit.schema import TABLES
from cexkit.schema.intervals import MILLISECOND, Window, to_ms, to_timedelta
from cexkit.schema.intervals import from_ms as moment
from cexkit.schema.symbols import Instrument

#: Bars by our name; from 6 hours up they open in UTC+8 without the suffix.
BARS = {"1m": "1m", "1h": "1H", "1d": "1Dutc"}
#: Requests in 2 s for each endpoint. The venue does not say in its responses how many are left.
LIMITS = {
    "instruments": 20,
    "funding-rate": 10,
    "history-candles": 20,
    "history-mark-price-candles": 10,
    "history-index-candles": 10,
    "funding-rate-history": 10,
    "open-interest-history": 10,
    "liquidation-orders": 20,
}
#: Most rows of a page.
CANDLE_ROWS, REFERENCE_ROWS, FUNDING_ROWS, OPEN_INTEREST_ROWS = 300, 100, 400, 100
INST_TYPE = {"spot": "SPOT", "perp": "SWAP", "future": "FUTURES"}


@dataclass(frozen=True, slots=True)
class Overlapping:
    """Pagination from newest to oldest, with any number of rows per timestamp.

    A page may end between rows of the same timestamp. The next page therefore starts with the oldest timestamp again,
    so that it is read completely. After a page with a single timestamp, the next page starts before that timestamp. If
    a page has no rows of the instrument, its cursor says how far back the page reached.

    Examples
    --------
    >>> paginator = Overlapping(limit=100)
    >>> request = paginator.first(Window.of("2024-01-01", "2024-01-02"))
    >>> noon = request.window.start + timedelta(hours=12)
    >>> again = paginator.next(request, PageResult(first=noon, last=noon))
    >>> again.window.end.isoformat()
    '2024-01-01T12:00:00.001000+00:00'
    >>> print(paginator.next(again, PageResult(first=noon, last=noon)).window)
    2024-01-01T00:00:00+00:00 … 2024-01-01T12:00:00+00:00
    """

    limit: int

    def first(self, window: Window | None) -> PageRequest | None:
        """Return the page at the window's end; None for an empty window."""
        return None if window is None or window.empty else PageRequest(window, self.limit)

    def next(self, request: PageRequest, result: PageResult) -> PageRequest | None:
        """Return the page from the oldest timestamp back; None after an empty page or at the window's start."""
        oldest = result.first or (moment(int(result.cursor)) if result.cursor else None)
        if oldest is None or oldest < request.window.start:
            return None
        again = oldest + MILLISECOND
        return self.first(Window(request.window.start, again if again < request.window.end else oldest))

    def skip(self, request: PageRequest) -> tuple[Window, None]:
        """Skip the whole window, because it is unknown how far back the page reached."""
        return request.window, None

    def windows(self, window: Window) -> list[Window]:
        """The window: only a page says where the next one is."""
        return [window]


def read_error(response: Response) -> Exception | None:
    """Return the error of OKX's ``{"code": "51001", "msg": …}``, for any HTTP status."""
    error = complaint(response.body) or {}
    code = error.get("code")
    if not isinstance(code, str) or code == "0":
        return None
    text = f"{response.url}: code {code}: {error.get('msg')}"
    if code == "51001":
        return UnknownNameError(f"okx knows no instrument {response.params.get('instId')!r} here ({text})")
    if code in ("50011", "50061"):
        return RateLimitedError(text, status=response.status)
    if code in ("50001", "50004", "50013", "50026"):
        return TransportError(text, status=response.status)  # busy or in maintenance
    return VenueError(text, status=response.status)


def _older(request: PageRequest, window: Window | None = None) -> dict[str, str]:
    """Return the parameters of a page before the window's end; the parser drops rows before its start."""
    return {"after": str(to_ms((window or request.window).end)), "limit": str(request.limit)}


def _candle_params(interval: str, instrument: Instrument, request: PageRequest) -> dict[str, str]:
    return {"instId": instrument.venue_symbol, "bar": BARS[interval]} | _older(request)


def _index_params(interval: str, instrument: Instrument, request: PageRequest) -> dict[str, str]:
    return {"instId": _underlying(instrument), "bar": BARS[interval]} | _older(request)


def _funding_params(instrument: Instrument, request: PageRequest) -> dict[str, str]:
    return {"instId": instrument.venue_symbol} | _older(request, settlement_window(request.window))


def _open_interest_params(instrument: Instrument, request: PageRequest) -> dict[str, str]:
    params = {"instId": instrument.venue_symbol, "period": "1H"}
    return params | {"end": str(to_ms(request.window.end)), "limit": str(request.limit)}


def _liquidation_params(instrument: Instrument, request: PageRequest) -> dict[str, str]:
    kind = INST_TYPE[instrument.instrument_type]
    return {"instType": kind, "uly": _underlying(instrument), "state": "filled"} | _older(request)


def _underlying(instrument: Instrument) -> str:
    """``BTC-USDT`` of ``BTC-USDT-SWAP`` and of ``BTC-USDT_UM-SWAP``."""
    base, quote = instrument.venue_symbol.split("-")[:2]
    return f"{base}-{quote.partition('_')[0]}"


def _copy_params(params: Mapping[str, str], instrument: Instrument | None, request: PageRequest) -> dict[str, str]:
    return dict(params)


def _source(path: str, parse: Any, *, name: str | None = None, **more: Any) -> Source:
    """A source named after the end of its path, whose budget has that name as well."""
    budget = path.rpartition("/")[2]
    endpoint = f"v5.{name or budget}"
    cost = {budget: 1.0}
    return Source(endpoint=endpoint, path=path, parse=partial(parse, endpoint), cost=lambda params: dict(cost), **more)


def _listing_source(kind: str, parse: Any, **more: Any) -> Source:
    params = partial(_copy_params, {"instType": INST_TYPE[kind]})
    return _source("/api/v5/public/instruments", parse, name=f"instruments-{kind}", params=params, **more)


def _bars_source(table: str, path: str, parse: Any, params: Any, limit: int) -> Source:
    interval = TABLES[table].interval
    paginator = Backward(limit=limit, step=to_timedelta(interval), fixed=True)
    return _source(path, parse, params=partial(params, interval), paginator=paginator, density="dense")


_NEXT_FUNDING = _source(
    "/api/v5/public/funding-rate", parse_next_funding, params=partial(_copy_params, {"instId": "ANY"})
)
_FUNDING = _source(
    "/api/v5/public/funding-rate-history",
    parse_funding,
    params=_funding_params,
    paginator=Backward(limit=FUNDING_ROWS, step=HOUR),
    density="irregular",
    # beyond it responses are empty, not refused; 281 settlements of 8 h were seen
    reach=timedelta(days=93),
)
_OPEN_INTEREST = _source(
    "/api/v5/rubik/stat/contracts/open-interest-history",
    parse_open_interest,
    params=_open_interest_params,
    paginator=Backward(limit=OPEN_INTEREST_ROWS, step=HOUR, fixed=True),
    density="dense",
    # the latest 1,440 of any period
    reach=timedelta(days=60),
)
_LIQUIDATIONS = _source(
    "/api/v5/public/liquidation-orders",
    parse_liquidations,
    params=_liquidation_params,
    paginator=Overlapping(limit=LIQUIDATION_ROWS),
    cursor=oldest_event,
    # The venue promises neither an event per day nor that it shows all events. It retains a day.
    density="sparse",
    reach=timedelta(days=1),
)


def _sources() -> dict[tuple[str, str], Source]:
    found = {
        ("instruments", "spot"): _listing_source("spot", parse_spot_listing),
        ("instruments", "perp"): _listing_source(
            "perp", parse_swap_listing, companions=(_NEXT_FUNDING,), join=join_next_funding
        ),
        ("instruments", "future"): _listing_source("future", parse_futures_listing),
        ("funding_rates", "perp"): _FUNDING,
    }
    candles = "/api/v5/market/history-candles"
    for table in ("ohlcv_1m", "ohlcv_1h", "ohlcv_1d"):
        bars = _bars_source(table, candles, parse_candles, _candle_params, CANDLE_ROWS)
        found |= {(table, kind): bars for kind in ("spot", "perp", "future")}
    mark, index = "/api/v5/market/history-mark-price-candles", "/api/v5/market/history-index-candles"
    for kind in ("perp", "future"):
        found["mark_1h", kind] = _bars_source("mark_1h", mark, parse_references, _candle_params, REFERENCE_ROWS)
        found["index_1h", kind] = _bars_source("index_1h", index, parse_references, _index_params, REFERENCE_ROWS)
        found["open_interest", kind] = _OPEN_INTEREST
        found["liquidations", kind] = _LIQUIDATIONS
    return found


EXCHANGE = Exchange(
    name="okx",
    parser_version=4,
    apis={
        "v5": Api(
            base_url="https://www.okx.com",
            budgets=tuple(Budget(name, limit=limit, per_seconds=2) for name, limit in LIMITS.items()),
            error=read_error,
        ),
        "archive": Api(
            base_url="https://static.okx.com",
            # no limit is documented; the list of its files allows about one request in two seconds
            budgets=(Budget("requests", limit=5, per_seconds=2),),
        ),
    },
    sources=_sources(),
    archives=ARCHIVES,
    stream=STREAM,
)
