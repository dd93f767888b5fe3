"""Coinbase: spot of Coinbase Exchange; perpetuals and dated futures of the derivatives gateway.

In September 2026 Coinbase International was moved to a gateway that speaks Deribit's JSON-RPC. What its own API held
before is not read: perpetuals' history is what the gateway has.

Facts that shape the parsers, each of which has made somebody's numbers wrong:

- spot candles are ``[time, low, high, open, close, volume]``, newest first, in seconds;
- a request for more than 300 of them is refused, one that lacks ``start`` or ``end`` ignores both, and rows before
  ``start`` may come with the others;
- there is no spot candle of an interval without trades: a gap is no error and an empty response is not the end;
- delisted products stay in the list; the gateway lists contracts that expired of late apart from the others;
- the gateway's candles are columns, oldest first, silently cut at 5,001 rows. It fills minutes without trades with
  flat bars of no volume: they are kept, for that is what it publishes, and ``volume_base`` tells them apart;
- ``volume`` of a gateway candle is in coins and ``cost`` in the quote currency, for inverse contracts as well;
- a row of ``get_funding_rate_history`` stands for the hour that ends at its time. ``interest_1h`` is what accrued in
  that hour, the rate that was paid; ``interest_8h`` is the sum of the last eight and no rate of any settlement;
- the gateway gives the newest 740 or so hours of funding that were asked for, and does not say that it cut the rest;
- a perpetual's ``expiration_timestamp`` is the year 3000;
- errors come with status 200;
- ``contract_size`` is stored as given, though amounts are counted in coins (of inverse contracts: in USD).

In both lists the last bar may still be running.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial

from cexkit.errors import RateLimitedError, TransportError, UnknownNameError, VenueError
from cexkit.exchanges.base import Api, Exchange, Source
from cexkit.exchanges.coinbase.payloads import (
    HOUR,
    parse_candles,
    parse_chart,
    parse_contracts,
    parse_funding,
    parse_products,
)
from cexkit.exchanges.facts import settlement_window
from cexkit.exchanges.http.client import USER_AGENT, Response
from cexkit.exchanges.http.paginate import Backward, PageRequest
from cexkit.exchanges.http.ratelimit import Budget
from cexkit.exchanges.parsing import complaint
from cexkit.schema import TABLES
from cexkit.schema.intervals import EPOCH, Window, to_ms, to_timedelta
from cexkit.schema.symbols import Instrument

#: Most candles of one spot request.
SPOT_CANDLES = 300
#: Asked for at once, below what the gateway cuts at.
CHART_BARS, FUNDING_ROWS = 5000, 720
RESOLUTION = {"1m": "1", "1h": "60", "1d": "1D"}

#: Codes of the gateway: too many requests (also at once, or a full queue), and "later".
TOO_FAST = frozenset({10028, 10047, 10066})
LATER = frozenset({10040, 10041, 11051, 11094, 13028, 13888})
NO_INSTRUMENT = frozenset({10020, 13020})


def read_spot_error(response: Response) -> Exception | None:
    """Coinbase Exchange's ``{"message": …}``, whatever the HTTP status."""
    message = (complaint(response.body) or {}).get("message")
    if not isinstance(message, str):
        return None
    text = f"{response.url}: {message}"
    if response.status == 404 or message == "NotFound":
        return UnknownNameError(f"coinbase knows no such product ({text}); see the table instruments")
    if "rate limit" in message.lower():
        return RateLimitedError(text, status=response.status)
    return VenueError(text, status=response.status)


def read_gateway_error(response: Response) -> Exception | None:
    """The gateway's ``{"error": {"code": 10028, …}}``, whatever the HTTP status."""
    error = (complaint(response.body) or {}).get("error")
    if not isinstance(error, dict) or not isinstance(error.get("code"), int):
        return None
    code, about = error["code"], error.get("data")
    text = f"{response.url}: code {code}: {error.get('message')}"
    if code in NO_INSTRUMENT or (isinstance(about, dict) and about.get("param") == "instrument_name"):
        return UnknownNameError(
            f"coinbase knows no instrument {response.params.get('instrument_name')!r} here ({text})"
        )
    kind = RateLimitedError if code in TOO_FAST else TransportError if code in LATER else VenueError
    return kind(text, status=response.status)


def _grid(window: Window, step: timedelta) -> tuple[datetime, datetime]:
    """The first and the last opening time in a window; the last one before it where there is none."""
    last = window.end - timedelta(microseconds=1)
    last -= (last - EPOCH) % step
    first = window.start + (EPOCH - window.start) % step
    return max(EPOCH, min(first, last)), max(EPOCH, last)


def _candle_params(interval: str, instrument: Instrument, request: PageRequest) -> dict[str, str]:
    step = to_timedelta(interval)
    first, last = (f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in _grid(request.window, step))
    granularity = str(int(step.total_seconds()))
    return {"product_id": instrument.venue_symbol, "granularity": granularity, "start": first, "end": last}


def _contracts_params(expired: bool, instrument: Instrument | None, request: PageRequest) -> dict[str, str]:
    return {"currency": "any", "kind": "future"} | ({"expired": "true"} if expired else {})


def _chart_params(interval: str, instrument: Instrument, request: PageRequest) -> dict[str, str]:
    step = to_timedelta(interval)
    first, last = _grid(request.window, step)
    # to the end of the last bar: right whether the venue takes the end as inclusive or not
    return _named(instrument, first, last + step) | {"resolution": RESOLUTION[interval]}


def _funding_params(instrument: Instrument, request: PageRequest) -> dict[str, str]:
    around = settlement_window(request.window)
    return _named(instrument, around.start, around.end)


def _named(instrument: Instrument, start: datetime, end: datetime) -> dict[str, str]:
    span = {"start_timestamp": str(max(0, to_ms(start))), "end_timestamp": str(max(0, to_ms(end) - 1))}
    return {"instrument_name": instrument.venue_symbol} | span


def _listing_cost(params: Mapping[str, str]) -> dict[str, float]:
    return {"requests": 1, "listing": 1}


def _cost(params: Mapping[str, str]) -> dict[str, float]:
    return {"requests": 1}


def _paging(table: str, rows: int) -> Backward:
    # newest first: where a response is cut, the older rows are missing
    return Backward(limit=rows, step=TABLES[table].bar or HOUR, span=rows)


def _candles(table: str) -> Source:
    return Source(
        endpoint="spot.candles",
        path="/products/{product_id}/candles",
        parse=partial(parse_candles, "spot.candles"),
        params=partial(_candle_params, TABLES[table].interval),
        paginator=_paging(table, SPOT_CANDLES),
        # intervals without trades have no candle
        density="sparse",
        cost=_cost,
    )


def _chart(table: str) -> Source:
    return Source(
        endpoint="drb.get_tradingview_chart_data",
        path="/public/get_tradingview_chart_data",
        parse=partial(parse_chart, "drb.get_tradingview_chart_data"),
        params=partial(_chart_params, TABLES[table].interval),
        paginator=_paging(table, CHART_BARS),
        # the gateway fills intervals without trades with flat bars
        density="dense",
        cost=_cost,
    )


def _contract_list(endpoint: str, *, expired: bool = False, more: tuple[Source, ...] = ()) -> Source:
    return Source(
        endpoint=endpoint,
        path="/public/get_instruments",
        parse=partial(parse_contracts, endpoint, expired),
        params=partial(_contracts_params, expired),
        cost=_listing_cost,
        more=more,
    )


_PRODUCTS = Source(
    endpoint="spot.products",
    path="/products",
    parse=partial(parse_products, "spot.products"),
    cost=_cost,
)
_CONTRACTS = _contract_list("drb.get_instruments", more=(_contract_list("drb.get_instruments.expired", expired=True),))
_FUNDING = Source(
    endpoint="drb.get_funding_rate_history",
    path="/public/get_funding_rate_history",
    parse=partial(parse_funding, "drb.get_funding_rate_history"),
    params=_funding_params,
    paginator=_paging("funding_rates", FUNDING_ROWS),
    density="irregular",
    cost=_cost,
)


def _sources() -> dict[tuple[str, str], Source]:
    found = {
        ("instruments", "spot"): _PRODUCTS,
        ("instruments", "perp"): _CONTRACTS,
        ("instruments", "future"): _CONTRACTS,
        ("funding_rates", "perp"): _FUNDING,
    }
    for table in ("ohlcv_1m", "ohlcv_1h", "ohlcv_1d"):
        found[table, "spot"] = _candles(table)
        found[table, "perp"] = found[table, "future"] = _chart(table)
    return found


_WHY_NOT = {
    "mark_1h": "no history of mark prices of perpetuals and futures is kept",
    "index_1h": "no history of index prices is kept; the index at each settlement is in funding_rates",
    "open_interest": "only the current open interest is published, no history",
    "liquidations": "no list of liquidations is published; only single trades carry a mark of them",
}

EXCHANGE = Exchange(
    name="coinbase",
    parser_version=3,
    apis={
        "spot": Api(
            base_url="https://api.exchange.coinbase.com",
            # A token bucket that refills 10 a second and holds 15 never runs out at 15 in any 1.5 seconds.
            budgets=(Budget("requests", limit=15, per_seconds=1.5),),
            # without one, every request is refused
            headers={"user-agent": USER_AGENT},
            error=read_spot_error,
        ),
        "drb": Api(
            base_url="https://drb.coinbase.com/api/v2",
            # a token bucket of 10 that refills 10 a second, and for lists of instruments one of 1
            budgets=(Budget("requests", limit=10, per_seconds=1), Budget("listing", limit=1, per_seconds=1)),
            error=read_gateway_error,
        ),
    },
    sources=_sources(),
    not_offered={(table, kind): why for table, why in _WHY_NOT.items() for kind in ("perp", "future")},
)
