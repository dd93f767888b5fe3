"""Binance: spot and USD-M futures.

Facts that shape the parsers, each of which has made somebody's numbers wrong:

- one body of ``/fapi/v1/exchangeInfo`` lists perpetuals, dated futures and contracts without a type yet;
- ``deliveryDate`` 4133404800000 (the year 2100) on a perpetual means "none";
- ``fundingInfo`` lists all trading perpetuals and, since 2026-06-30, coin-margined ones. Older responses, whose rows
  lack ``updateTime``, list only perpetuals whose interval was ever changed: one that is absent pays every 8 h;
- USD-M and COIN-M share one weight per address, and the used weight in a response counts both; ``/futures/data`` has
  its own limit of 1,000 requests in 5 minutes;
- ``fundingTime`` is up to tens of milliseconds off the full minute;
- the last bar of ``klines`` may still be running;
- ``fundingRate`` gave 500 rows for ``limit=1000``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from cexkit.errors import RateLimitedError, UnknownNameError, VenueError
from cexkit.exchanges.base import Api, Exchange, Source, WholeVenue
from cexkit.exchanges.binance.archive import ARCHIVES
from cexkit.exchanges.binance.payloads import (
    funding_keys,
    join_funding_info,
    parse_funding,
    parse_funding_info,
    parse_futures_listing,
    parse_klines,
    parse_open_interest,
    parse_price_klines,
    parse_spot_listing,
    read_limits,
)
from cexkit.exchanges.binance.stream import STREAM
from cexkit.exchanges.facts import settlement_window
from cexkit.exchanges.http.client import Response
from cexkit.exchanges.http.paginate import Forward, PageRequest
from cexkit.exchanges.http.ratelimit import Budget, Usage
from cexkit.exchanges.parsing import complaint
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, to_ms, to_timedelta
from cexkit.schema.symbols import Instrument


def read_error(response: Response) -> Exception | None:
    """Binance's ``{"code": -1121, "msg": …}``, whatever the HTTP status."""
    error = complaint(response.body)
    if error is None or not isinstance(error.get("code"), int) or "msg" not in error:
        return None
    text = f"{response.url}: code {error['code']}: {error['msg']}"
    if error["code"] == -1121:
        name = response.params.get("symbol") or response.params.get("pair")  # index prices are of a pair
        return UnknownNameError(f"binance knows no symbol {name!r} here ({text})")
    if error["code"] == -1003:
        return RateLimitedError(text, status=response.status)
    return VenueError(text, status=response.status)


def read_usage(response: Response) -> tuple[Usage, ...]:
    """The weight used in the running minute."""
    used = response.headers.get("x-mbx-used-weight-1m", "")
    return (Usage("weight", float(used), 60 - response.server_time.second),) if used.isdecimal() else ()


def _kline_params(interval: str, instrument: Instrument, request: PageRequest) -> dict[str, str]:
    return {"symbol": instrument.venue_symbol, "interval": interval} | _span(request.window, request.limit)


def _funding_params(instrument: Instrument, request: PageRequest) -> dict[str, str]:
    return {"symbol": instrument.venue_symbol} | _span(settlement_window(request.window), request.limit)


def _funding_bounds(window: Window) -> tuple[int, int]:
    raw = settlement_window(window)
    return to_ms(raw.start), to_ms(raw.end) - 1


def _venue_funding_params(first_ms: int, last_ms: int) -> dict[str, str]:
    return {"startTime": str(first_ms), "endTime": str(last_ms), "limit": "1000"}


def _span(window: Window, limit: int) -> dict[str, str]:
    """A half-open window as Binance's inclusive milliseconds, which may not be negative."""
    start, end = (max(0, to_ms(moment)) for moment in (window.start, window.end))
    return {"startTime": str(start), "endTime": str(max(0, end - 1)), "limit": str(limit)}


def _open_interest_params(instrument: Instrument, request: PageRequest) -> dict[str, str]:
    return {"symbol": instrument.venue_symbol, "period": "1h"} | _span(request.window, request.limit)


def _index_params(interval: str, instrument: Instrument, request: PageRequest) -> dict[str, str]:
    # an index belongs to a pair; a dated contract's name is its pair and its date
    return {"pair": instrument.venue_symbol.partition("_")[0], "interval": interval} | _span(
        request.window, request.limit
    )


def _um_kline_cost(params: Mapping[str, str]) -> dict[str, float]:
    limit = int(params["limit"])
    return {"weight": 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10}


def _flat(cost: Mapping[str, float], params: Mapping[str, str]) -> dict[str, float]:
    return dict(cost)


def _bars(table: str, api: str, path: str, cost: Any) -> Source:
    interval, endpoint = TABLES[table].interval, f"{api}.klines"
    return Source(
        endpoint=endpoint,
        path=path,
        parse=partial(parse_klines, endpoint),
        params=partial(_kline_params, interval),
        # 1,000 although futures allow 1,500: that would cost twice the weight
        paginator=Forward(limit=1000, step=to_timedelta(interval), fixed=True),
        density="dense",
        cost=cost,
    )


def _price_bars(name: str, params: Any) -> Source:
    endpoint = f"um.{name}"
    return Source(
        endpoint=endpoint,
        path=f"/fapi/v1/{name}",
        parse=partial(parse_price_klines, endpoint),
        params=partial(params, "1h"),
        paginator=Forward(limit=1000, step=_HOUR, fixed=True),
        density="dense",
        cost=_um_kline_cost,
    )


_HOUR = timedelta(hours=1)
_MARK, _INDEX = _price_bars("markPriceKlines", _kline_params), _price_bars("indexPriceKlines", _index_params)
_FUNDING = Source(
    endpoint="um.fundingRate",
    path="/fapi/v1/fundingRate",
    parse=partial(parse_funding, "um.fundingRate"),
    params=_funding_params,
    paginator=Forward(limit=1000, step=_HOUR, resolution=timedelta(minutes=1)),
    density="irregular",
    cost=partial(_flat, {"funding": 1, "weight": 1}),
    # a page of one symbol had 500 rows; contracts settle six times a day at most, but for a few
    whole_venue=WholeVenue(
        keys=funding_keys, params=_venue_funding_params, bounds=_funding_bounds, page_rows=500, rows_per_day=6
    ),
)
_FUNDING_INFO = Source(
    endpoint="um.fundingInfo",
    path="/fapi/v1/fundingInfo",
    parse=partial(parse_funding_info, "um.fundingInfo"),
    cost=partial(_flat, {"funding": 1}),
)
_OPEN_INTEREST = Source(
    endpoint="um.openInterestHist",
    path="/futures/data/openInterestHist",
    parse=partial(parse_open_interest, "um.openInterestHist"),
    params=_open_interest_params,
    paginator=Forward(limit=500, step=_HOUR, fixed=True),
    density="dense",
    reach=timedelta(days=30),
    cost=partial(_flat, {"data": 1}),
)
_SPOT_LISTING = Source(
    endpoint="spot.exchangeInfo",
    path="/api/v3/exchangeInfo",
    parse=partial(parse_spot_listing, "spot.exchangeInfo"),
    cost=partial(_flat, {"weight": 20}),
    limits=read_limits,
)
_FUTURES_LISTING = Source(
    endpoint="um.exchangeInfo",
    path="/fapi/v1/exchangeInfo",
    parse=partial(parse_futures_listing, "um.exchangeInfo"),
    limits=read_limits,
    companions=(_FUNDING_INFO,),
    join=join_funding_info,
)


def _sources() -> dict[tuple[str, str], Source]:
    found = {
        ("instruments", "spot"): _SPOT_LISTING,
        ("instruments", "perp"): _FUTURES_LISTING,
        ("instruments", "future"): _FUTURES_LISTING,
        ("funding_rates", "perp"): _FUNDING,
    }
    for kind in ("perp", "future"):
        found |= {("mark_1h", kind): _MARK, ("index_1h", kind): _INDEX, ("open_interest", kind): _OPEN_INTEREST}
    for table in ("ohlcv_1m", "ohlcv_1h", "ohlcv_1d"):
        found[table, "spot"] = _bars(table, "spot", "/api/v3/klines", partial(_flat, {"weight": 2}))
        found[table, "perp"] = found[table, "future"] = _bars(table, "um", "/fapi/v1/klines", _um_kline_cost)
    return found


_NO_LIQUIDATIONS = (
    "liquidations come only as a live stream, at most one a second and symbol; "
    "no history is published (`cexkit collect` listens to it)"
)

EXCHANGE = Exchange(
    name="binance",
    parser_version=4,
    apis={
        "spot": Api(
            base_url="https://api.binance.com",
            budgets=(Budget("weight", limit=6000, per_seconds=60),),
            usage=read_usage,
            error=read_error,
        ),
        "um": Api(
            base_url="https://fapi.binance.com",
            budgets=(
                Budget("weight", limit=2400, per_seconds=60),
                Budget("funding", limit=500, per_seconds=300),
                Budget("data", limit=1000, per_seconds=300),
            ),
            usage=read_usage,
            error=read_error,
        ),
        "archive": Api(
            base_url="https://data.binance.vision",
            # No limit is documented. S3, which holds the files, serves 5,500 requests per second and folder; this is
            # a hundredth of that, and enough that bandwidth binds: a file takes two requests.
            budgets=(Budget("requests", limit=3000, per_seconds=60),),
        ),
    },
    sources=_sources(),
    archives=ARCHIVES,
    not_offered={
        ("liquidations", "perp"): _NO_LIQUIDATIONS,
        ("liquidations", "future"): _NO_LIQUIDATIONS,
    },
    stream=STREAM,
)
