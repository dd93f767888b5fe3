"""Bybit (v5): spot and linear, that is USDT and USDC, perpetuals and dated futures.

Facts that shape the parsers, each of which has made somebody's numbers wrong:

- errors come with status 200; 403 is a refusal of the place or a ban of ten minutes, which only the text tells;
- spot and linear share names: ``category`` tells them apart, and a body must repeat it;
- all lists go from new to old, and a window wider than a page keeps its newest part;
- bars do not say whether they are finished;
- ``funding/history`` with a start and no end is an error, and its rows are 1, 2, 4 or 8 hours apart;
- ``openInterest`` counts both sides of each contract;
- the oldest row of a page of open interest may be stamped in seconds;
- cursors come URL-encoded;
- ``fundingInterval`` is in minutes;
- the default list of instruments leaves out closed ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from cexkit.errors import RateLimitedError, TransportError, UnknownNameError, VenueError
from cexkit.exchanges.base import Api, Exchange, Source
from cexkit.exchanges.bybit.payloads import (
    Bar,
    PriceBar,
    category,
    parse_bars,
    parse_funding,
    parse_linear_listing,
    parse_open_interest,
    parse_spot_listing,
    read_cursor,
)
from cexkit.exchanges.bybit.stream import STREAM
from cexkit.exchanges.facts import settlement_window
from cexkit.exchanges.http.client import Response
from cexkit.exchanges.http.paginate import Backward, Cursor, PageRequest
from cexkit.exchanges.http.ratelimit import Budget, Usage
from cexkit.schema import TABLES
from cexkit.schema.intervals import EPOCH, Window, to_ms
from cexkit.schema.intervals import from_ms as moment
from cexkit.schema.symbols import Instrument

#: Seconds that an address is shut out for asking too fast.
BAN_SECONDS = 600.0
#: Requests an address may make in 5 seconds.
LIMIT = 600
INTERVALS = {"1m": "1", "1h": "60", "1d": "D"}
TOO_FAST, BUSY, BAD_PARAMETER = (10006, 10018), 10016, 10001


def read_error(response: Response) -> Exception | None:
    """Bybit's ``{"retCode": 10001, "retMsg": …}`` in a response of any status, and the text of its bans."""
    if response.status == 403 and b"too frequent" in response.body:
        return RateLimitedError(f"{response.url}: access too frequent", status=403, retry_after=BAN_SECONDS)
    found = re.search(rb'"retCode"\s*:\s*(-?\d{1,9})', response.body)
    if found is None or int(found[1]) == 0:
        return None
    text = re.search(rb'"retMsg"\s*:\s*"([^"]*)"', response.body)
    code, message = int(found[1]), (text[1] if text else response.body[:300]).decode(errors="replace")
    text = f"{response.url}: retCode {code}: {message}"
    if code in TOO_FAST:
        return RateLimitedError(text, status=response.status, retry_after=_until_reset(response))
    if code == BUSY:
        return TransportError(text, status=response.status)
    if code == BAD_PARAMETER and "symbol" in message.lower():
        return UnknownNameError(f"bybit knows no symbol {response.params.get('symbol')!r} here ({text})")
    return VenueError(text, status=response.status)


def _until_reset(response: Response) -> float | None:
    """Seconds until the limit is lifted, where the headers say."""
    reset = response.headers.get("x-bapi-limit-reset-timestamp", "")
    if not re.fullmatch(r"\d{13}", reset):
        return None
    return max(0.0, (moment(int(reset)) - response.server_time).total_seconds())


def read_usage(response: Response) -> tuple[Usage, ...]:
    """The part of a limit that is used up, as that part of ours: the headers may speak of a narrower one."""
    limit, left = (response.headers.get(name, "") for name in ("x-bapi-limit", "x-bapi-limit-status"))
    if not (limit.isdecimal() and left.isdecimal()) or int(limit) == 0:
        return ()
    used = LIMIT * max(0.0, 1 - int(left) / int(limit))
    return (Usage("requests", used, _until_reset(response) or 0.0),)


def _of_instrument(instrument: Instrument) -> dict[str, str]:
    return {"category": category(instrument), "symbol": instrument.venue_symbol}


def _bar_params(table: str, instrument: Instrument, request: PageRequest) -> dict[str, str]:
    # A start inside a bar would give that bar, in place of one that is wanted: begin with the first whole one.
    step, window = TABLES[table].bar, request.window
    start = to_ms(window.start + (EPOCH - window.start) % step)
    end = to_ms(window.end) - 1
    span = {"start": str(max(0, min(start, end))), "end": str(max(0, end)), "limit": str(request.limit)}
    return _of_instrument(instrument) | {"interval": INTERVALS[TABLES[table].interval]} | span


def _funding_params(instrument: Instrument, request: PageRequest) -> dict[str, str]:
    # only the end: what is before the window is dropped, and a page can only be the newest part
    end = to_ms(settlement_window(request.window).end) - 1
    return _of_instrument(instrument) | {"endTime": str(max(0, end)), "limit": str(request.limit)}


def _open_interest_params(instrument: Instrument, request: PageRequest) -> dict[str, str]:
    start, end = _inclusive(request.window)
    span = {"intervalTime": "1h", "startTime": str(start), "endTime": str(end), "limit": str(request.limit)}
    return _of_instrument(instrument) | span | _cursor_param(request)


def _inclusive(window: Window) -> tuple[int, int]:
    return max(0, to_ms(window.start)), max(0, to_ms(window.end) - 1)


def _cursor_param(request: PageRequest) -> dict[str, str]:
    return {} if request.cursor is None else {"cursor": request.cursor}


def _listing_params(status: str | None, instrument: None, request: PageRequest) -> dict[str, str]:
    only = {} if status is None else {"status": status}
    return {"category": "linear", "limit": str(request.limit)} | only | _cursor_param(request)


def _spot_params(instrument: None, request: PageRequest) -> dict[str, str]:
    return {"category": "spot"} | _cursor_param(request)


def _cost(params: Mapping[str, str]) -> dict[str, float]:
    return {"requests": 1}


def _bars(table: str, name: str, row: Any) -> Source:
    endpoint = f"v5.{name}"
    return Source(
        endpoint=endpoint,
        path=f"/v5/market/{name}",
        parse=partial(parse_bars, row, endpoint),
        params=partial(_bar_params, table),
        paginator=Backward(limit=1000, step=TABLES[table].bar, fixed=True, span=1000),
        density="dense",
        cost=_cost,
    )


def _linear_listing(endpoint: str, status: str | None, more: tuple[Source, ...] = ()) -> Source:
    return Source(
        endpoint=endpoint,
        path="/v5/market/instruments-info",
        parse=partial(parse_linear_listing, endpoint, status),
        params=partial(_listing_params, status),
        paginator=Cursor(limit=1000),
        cursor=partial(read_cursor, endpoint),
        cost=_cost,
        more=more,
    )


_SPOT_LISTING = Source(
    endpoint="v5.instruments-info.spot",
    path="/v5/market/instruments-info",
    parse=partial(parse_spot_listing, "v5.instruments-info.spot"),
    params=_spot_params,
    # one page today; should there be more, they are not lost
    paginator=Cursor(limit=0),
    cursor=partial(read_cursor, "v5.instruments-info.spot"),
    cost=_cost,
)
_LINEAR_LISTING = _linear_listing(
    "v5.instruments-info.linear", None, more=(_linear_listing("v5.instruments-info.linear-closed", "Closed"),)
)
_FUNDING = Source(
    endpoint="v5.funding-history",
    path="/v5/market/funding/history",
    parse=partial(parse_funding, "v5.funding-history"),
    params=_funding_params,
    paginator=Backward(limit=200, step=timedelta(hours=1)),
    density="irregular",
    cost=_cost,
)
_OPEN_INTEREST = Source(
    endpoint="v5.open-interest",
    path="/v5/market/open-interest",
    parse=partial(parse_open_interest, "v5.open-interest"),
    params=_open_interest_params,
    paginator=Cursor(limit=200, step=timedelta(hours=1)),
    density="dense",
    cursor=partial(read_cursor, "v5.open-interest"),
    cost=_cost,
)


def _sources() -> dict[tuple[str, str], Source]:
    found = {
        ("instruments", "spot"): _SPOT_LISTING,
        ("instruments", "perp"): _LINEAR_LISTING,
        ("instruments", "future"): _LINEAR_LISTING,
        ("funding_rates", "perp"): _FUNDING,
    }
    for table in ("ohlcv_1m", "ohlcv_1h", "ohlcv_1d"):
        for kind in ("spot", "perp", "future"):
            found[table, kind] = _bars(table, "kline", Bar)
    for kind in ("perp", "future"):
        found["mark_1h", kind] = _bars("mark_1h", "mark-price-kline", PriceBar)
        found["index_1h", kind] = _bars("index_1h", "index-price-kline", PriceBar)
        found["open_interest", kind] = _OPEN_INTEREST
    return found


_NO_LIQUIDATIONS = "liquidations come only as a live stream; no history is published (`cexkit collect` listens to it)"

EXCHANGE = Exchange(
    name="bybit",
    parser_version=4,
    apis={
        "v5": Api(
            base_url="https://api.bybit.com",
            budgets=(Budget("requests", limit=LIMIT, per_seconds=5),),
            usage=read_usage,
            error=read_error,
        ),
    },
    sources=_sources(),
    not_offered={("liquidations", "perp"): _NO_LIQUIDATIONS, ("liquidations", "future"): _NO_LIQUIDATIONS},
    stream=STREAM,
)
