"""Loopback Bybit: serves canonical frames in Bybit's wire format, including its quirks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

import polars as pl

from cexkit.config import Settings
from cexkit.schema import TABLES
from cexkit.schema.intervals import EPOCH, TimeLike, from_ms, to_ms
from cexkit.testing.feed import Feed
from cexkit.testing.loopback import Fault, Reply, Request, When
from cexkit.testing.venue import LoopbackVenue, as_json, plain, with_partial

#: Requests in 5 seconds.
LIMIT, SPAN_SECONDS = 600, 5

_STATUS = {"trading": "Trading", "pending": "PreLaunch", "halted": "Delivering", "delisted": "Closed"}
_KINDS = {"spot": ("spot",), "linear": ("perp", "future")}
_SYMBOL_TYPES = {"crypto": "", "equity": "stock", "commodity": "commodity", "fx": "forex"}
_BARS = {"1": "ohlcv_1m", "60": "ohlcv_1h", "D": "ohlcv_1d"}
_CLOUDFRONT = (
    b"<html><body><h1>403 ERROR</h1>The request could not be satisfied. The Amazon CloudFront distribution is "
    b"configured to block access from your country.</body></html>"
)


def shut_out(when: When) -> Fault:
    """Respond 403 to requests that come too fast: the address is banned for ten minutes."""
    body = b'{"retCode":10006,"retMsg":"access too frequent. Please try again in 10 minutes."}'
    return Fault("403 too fast", when, lambda reply: Reply(403, body))


def wrong_country(when: When) -> Fault:
    """Respond 403 because of the country that the request comes from."""
    return Fault("403 country", when, lambda reply: Reply(403, _CLOUDFRONT, {"Content-Type": "text/html"}))


def code(when: When, ret_code: int, message: str) -> Fault:
    """Respond with an error of the venue; the status is 200, as for all its errors."""
    return Fault(str(ret_code), when, lambda reply: Reply(200, _error(ret_code, message, 0)))


class _Refused(Exception):
    """Refused parameters; the response has code 10001."""


class LoopbackBybit(LoopbackVenue):
    """Bybit's public market data, spot and linear, from a feed.

    Like the venue, it has these quirks:

    - Errors have status 200, and numbers are text. Spot and linear instruments share names.
    - Rows are newest first, and a page of a wider window holds its newest rows.
    - A start inside a bar returns that bar. The newest bar is unfinished, without a flag that says so.
    - Funding refuses a start without an end. Funding intervals are in minutes.
    - Open interest counts both sides. The oldest row of a page has its timestamp in seconds, and cursors are
      URL-encoded.
    - Linear instruments come in pages, closed ones only if requested. A perpetual's delivery time is "0".

    Parameters
    ----------
    feed, now, faults, page_rows, clock, latency_seconds
        See :class:`~cexkit.testing.LoopbackVenue`.
    limit : int, optional
        Maximum requests in 5 seconds; requests beyond it get code 10006.

    Examples
    --------
    >>> from cexkit.exchanges.fetcher import Fetcher
    >>> from cexkit.schema.render import to_polars
    >>> with LoopbackBybit({"instruments": to_polars(TABLES["instruments"]).to_frame()}, now="2024-01-01") as venue:
    ...     with Fetcher(venue.settings) as fetcher:
    ...         fetcher.instruments("bybit").num_rows
    0
    """

    def __init__(
        self,
        feed: Feed | Mapping[str, pl.DataFrame],
        *,
        now: TimeLike | Callable[[], datetime],
        faults: Iterable[Fault] = (),
        limit: int = LIMIT,
        page_rows: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        latency_seconds: float | tuple[float, float] = 0.0,
    ):
        super().__init__(
            feed, now=now, faults=faults, page_rows=page_rows, clock=clock, latency_seconds=latency_seconds
        )
        self.limit = limit
        self._used: dict[int, int] = {}

    @property
    def settings(self) -> Settings:
        """Settings with which cexkit reads this venue instead of the real one, whatever its clock shows."""
        return Settings(base_urls={"bybit.v5": self.url}, http_timeout_seconds=5, max_clock_skew_seconds=None)

    def respond(self, request: Request) -> Reply:
        """Return the response of the endpoint after counting the request."""
        serve, now_ms = self._endpoints.get(request.path.removeprefix("/v5/market/")), int(self.now.timestamp() * 1000)
        if serve is None:
            return Reply(404, b"404 page not found")
        left, headers = self._charge(request.at, now_ms)
        if left < 0:
            return Reply(200, _error(10006, "Too many visits. Exceeded the API Rate Limit.", now_ms), headers, 1)
        try:
            body = {"retCode": 0, "retMsg": "OK", "result": serve(request.params), "retExtInfo": {}, "time": now_ms}
            return Reply(200, as_json(body), headers, 1)
        except _Refused as error:
            return Reply(200, _error(10001, str(error), now_ms), headers, 1)

    @property
    def _endpoints(self) -> dict[str, Callable[[dict[str, str]], dict[str, Any]]]:
        return {
            "instruments-info": self._instruments,
            "kline": self._klines,
            "mark-price-kline": partial(self._price_klines, "mark_1h"),
            "index-price-kline": partial(self._price_klines, "index_1h"),
            "funding/history": self._funding,
            "open-interest": self._open_interest,
        }

    def _charge(self, at: float, now_ms: int) -> tuple[int, dict[str, str]]:
        window = int(at // SPAN_SECONDS)
        used = self._used[window] = self._used.get(window, 0) + 1
        left, reset = self.limit - used, now_ms + int(((window + 1) * SPAN_SECONDS - at) * 1000) + 1
        headers = {
            "X-Bapi-Limit": str(self.limit),
            "X-Bapi-Limit-Status": str(max(0, left)),
            "X-Bapi-Limit-Reset-Timestamp": str(reset),
        }
        return left, headers

    def _shown(self, params: Mapping[str, str]) -> pl.DataFrame:
        if params.get("category") not in _KINDS:
            raise _Refused("params error: Category is invalid")
        return self.feed.instruments("bybit").filter(pl.col("instrument_type").is_in(_KINDS[params["category"]]))

    def _instrument(self, params: Mapping[str, str]) -> dict[str, Any]:
        found = self._shown(params).filter(venue_symbol=params.get("symbol", ""))
        if found.is_empty():
            raise _Refused("params error: Symbol Is Invalid")
        return found.row(0, named=True)

    def _rows(self, table: str, params: Mapping[str, str]) -> pl.DataFrame:
        instrument = self._instrument(params)
        rows = self.feed.rows(table, "bybit", instrument["instrument_type"], instrument["symbol"])
        return rows.filter(pl.col("timestamp") <= self.now)

    def _instruments(self, params: dict[str, str]) -> dict[str, Any]:
        status, shown = params.get("status"), self._shown(params)
        known = pl.col("status").replace_strict(_STATUS, default=None)
        shown = shown.filter(known != "Closed" if status is None else known == status)
        if params["category"] == "spot":
            return {"category": "spot", "list": [_pair(row) for row in shown.iter_rows(named=True)]}
        at, limit = _place(params), self.cut(_number(params, "limit", 500, highest=1000))
        page = [_contract(row) for row in shown.slice(at, limit).iter_rows(named=True)]
        more = quote(f"first={at + limit}&last={at + 2 * limit}") if at + limit < shown.height else ""
        return {"category": "linear", "list": page, "nextPageCursor": more}

    def _klines(self, params: dict[str, str]) -> dict[str, Any]:
        table = _BARS.get(params.get("interval", ""), "")
        if not self.feed.holds(table):
            raise _Refused("params error: Interval Is Invalid")
        columns = ("open", "high", "low", "close", "volume_base", "volume_quote")
        return self._bars(table, columns, params)

    def _price_klines(self, table: str, params: dict[str, str]) -> dict[str, Any]:
        if params.get("interval") != "60":
            raise _Refused("params error: Interval Is Invalid")
        if params.get("category") == "spot":
            raise _Refused("params error: Category is invalid")
        return self._bars(table, ("open", "high", "low", "close"), params)

    def _bars(self, table: str, columns: tuple[str, ...], params: dict[str, str]) -> dict[str, Any]:
        bar, rows = TABLES[table].bar, self._rows(table, params)
        start, end = _number(params, "start", None), _number(params, "end", None)
        # A start inside a bar returns that bar.
        since = None if start is None else from_ms(start) - (from_ms(start) - EPOCH) % bar
        page = _newest(rows, since, end, self.cut(_number(params, "limit", 200, highest=1000)))
        page = with_partial(page, self.now - bar)
        text = [page[name].cast(pl.String).to_list() for name in columns]
        times = page["timestamp"].dt.timestamp("ms").cast(pl.String).to_list()
        return _result(params, [list(row) for row in zip(times, *text, strict=True)])

    def _funding(self, params: dict[str, str]) -> dict[str, Any]:
        start, end = _number(params, "startTime", None), _number(params, "endTime", None)
        if start is not None and end is None:
            raise _Refused("params error: EndTime is required with StartTime")
        rows = self._rows("funding_rates", params)
        limit = self.cut(_number(params, "limit", 200, highest=200))
        page = _newest(rows, None if start is None else from_ms(start), end, limit)
        listed = [
            {
                "symbol": params["symbol"],
                "fundingRate": repr(row["funding_rate"]),
                "fundingRateTimestamp": str(to_ms(row["timestamp"])),
            }
            for row in page.iter_rows(named=True)
        ]
        return {"category": params["category"], "list": listed}

    def _open_interest(self, params: dict[str, str]) -> dict[str, Any]:
        if params.get("intervalTime") != "1h" or params.get("category") != "linear":
            raise _Refused("params error: intervalTime is invalid")
        start, end = _number(params, "startTime", None), _number(params, "endTime", None)
        limit = self.cut(_number(params, "limit", 50, highest=200))
        since = None if start is None else from_ms(start)
        whole = _newest(self._rows("open_interest", params), since, end, None)
        at = _place(params)
        page = [
            {
                "openInterest": repr(2 * row["open_interest_base"]),
                "singleOpenInterest": repr(row["open_interest_base"]),
                "timestamp": str(to_ms(row["timestamp"])),
            }
            for row in whole.slice(at, limit).iter_rows(named=True)
        ]
        if page:
            page[-1]["timestamp"] = page[-1]["timestamp"][:-3]
        cursor = quote(f"lastid={at + limit}&lasttime={page[-1]['timestamp']}") if at + limit < whole.height else ""
        return _result(params, page) | {"nextPageCursor": cursor}


def _newest(rows: pl.DataFrame, since: datetime | None, end: int | None, limit: int | None) -> pl.DataFrame:
    """Return rows newest first, both ends inclusive; at most ``limit``, the newest."""
    if since is not None:
        rows = rows.filter(pl.col("timestamp") >= since)
    if end is not None:
        rows = rows.filter(pl.col("timestamp") <= from_ms(end))
    rows = rows.sort("timestamp", descending=True)
    return rows if limit is None else rows.head(limit)


def _place(params: Mapping[str, str]) -> int:
    """Return the row that a cursor points to; refuse a cursor that was encoded twice."""
    cursor = params.get("cursor")
    if cursor is None:
        return 0
    number = cursor.partition("&")[0].partition("=")[2]
    if not number.isdecimal():
        raise _Refused("params error: cursor is invalid")
    return int(number)


def _number(params: Mapping[str, str], name: str, default: int | None, highest: int | None = None) -> int | None:
    text = params.get(name)
    if text is None:
        return default
    if not text.isdecimal() or (highest is not None and not 1 <= int(text) <= highest):
        raise _Refused(f"params error: {name} is invalid")
    return int(text)


def _result(params: Mapping[str, str], rows: list[Any]) -> dict[str, Any]:
    return {"symbol": params["symbol"], "category": params["category"], "list": rows}


def _error(ret_code: int, message: str, now_ms: int) -> bytes:
    return as_json({"retCode": ret_code, "retMsg": message, "result": {}, "retExtInfo": {}, "time": now_ms})


def _text(size: float | None) -> str:
    return "0" if size is None else plain(size)


def _common(row: Mapping[str, Any]) -> dict[str, Any]:
    pair = row["symbol"].partition(":")[0].partition("-")[0]
    symbol_type = {} if row["asset_class"] is None else {"symbolType": _SYMBOL_TYPES[row["asset_class"]]}
    return symbol_type | {
        "symbol": row["venue_symbol"],
        "status": _STATUS[row["status"]],
        "baseCoin": pair.removesuffix(row["quote"]),
        "quoteCoin": row["quote"],
        "priceFilter": {"tickSize": _text(row["tick_size"])},
    }


def _pair(row: Mapping[str, Any]) -> dict[str, Any]:
    return _common(row) | {"marginTrading": "none", "lotSizeFilter": {"basePrecision": _text(row["lot_size"])}}


def _contract(row: Mapping[str, Any]) -> dict[str, Any]:
    perpetual = row["instrument_type"] == "perp"
    minutes = (row["funding_interval_hours"] or 0) * timedelta(hours=1) // timedelta(minutes=1)
    return _common(row) | {
        "contractType": "LinearPerpetual" if perpetual else "LinearFutures",
        "launchTime": _ms(row["listing_time"]),
        "deliveryTime": _ms(row["expiry"] or row["delisting_time"]),
        "settleCoin": row["settle"],
        "fundingInterval": minutes,
        "lotSizeFilter": {"qtyStep": _text(row["lot_size"])},
    }


def _ms(moment: datetime | None) -> str:
    return "0" if moment is None else str(to_ms(moment))
