"""Loopback Coinbase: serves canonical frames in the wire formats of its two APIs, including their quirks."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from cexkit.config import Settings
from cexkit.errors import InvalidInputError
from cexkit.schema import TABLES
from cexkit.schema.intervals import EPOCH, INTERVALS, TimeLike, from_ms, to_ms, utc
from cexkit.schema.render import to_polars
from cexkit.testing.feed import Feed
from cexkit.testing.loopback import Fault, Reply, Request
from cexkit.testing.venue import LoopbackVenue, as_json, plain, with_partial

#: Requests per second and largest burst, by API, and for lists of instruments.
LIMITS = {"spot": (10.0, 15.0), "drb": (10.0, 10.0), "listing": (1.0, 1.0)}
#: Path of the gateway, as on the real host.
GATEWAY = "/api/v2"
#: Maximum candles of a spot request, bars of a chart, and hours of funding.
CANDLES, CHART_BARS, FUNDING_ROWS = 300, 5001, 740
#: Expiration of instruments that never expire: the year 3000.
NEVER_MS = 32_503_708_800_000

_GRANULARITIES = (60, 300, 900, 3600, 21600, 86400)
_TABLES = {length: f"ohlcv_{name}" for name, length in INTERVALS.items()}
_RESOLUTIONS = {"1": INTERVALS["1m"], "60": INTERVALS["1h"], "1D": INTERVALS["1d"]}
_SPOT_STATUS = {"trading": "online", "pending": "offline", "halted": "offline", "delisted": "delisted"}
_CANDLES = re.compile(r"/products/([^/]+)/candles")


class _Refused(Exception):
    """An error response of Coinbase Exchange."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class _Failed(Exception):
    """An error of the gateway."""

    def __init__(self, code: int, message: str, **about: str):
        super().__init__(message)
        self.error = {"code": code, "message": message} | ({"data": about} if about else {})


class LoopbackCoinbase(LoopbackVenue):
    """Coinbase's public market data, spot and derivatives gateway, from a feed.

    Like the venue, it has these quirks:

    - Spot candles are ``[time, low, high, open, close, volume]`` with times in seconds, newest first. One candle
      from before ``start`` is included.
    - Spot requests for more than 300 candles are refused, and ``start`` without ``end`` is ignored.
    - Spot requests without a ``User-Agent`` are refused. Delisted products are listed.
    - The gateway's charts are columns, with flat bars for intervals without trades, truncated to 5,001 rows.
    - The gateway's funding is hourly, excludes ``start_timestamp``, and is truncated to 740 rows.
    - The gateway's errors have status 200.
    - The last bar is unfinished on both APIs.

    Parameters
    ----------
    feed, now, faults, page_rows, clock, latency_seconds
        See :class:`~cexkit.testing.LoopbackVenue`.
    limits : mapping, optional
        Limits that replace those of :data:`LIMITS`.

    Examples
    --------
    >>> from cexkit.exchanges.fetcher import Fetcher
    >>> from cexkit.schema import TABLES
    >>> from cexkit.schema.render import to_polars
    >>> with LoopbackCoinbase({"instruments": to_polars(TABLES["instruments"]).to_frame()}, now="2024-01-01") as venue:
    ...     with Fetcher(venue.settings) as fetcher:
    ...         fetcher.instruments("coinbase").num_rows
    0
    """

    def __init__(
        self,
        feed: Feed | Mapping[str, pl.DataFrame],
        *,
        now: TimeLike | Callable[[], datetime],
        faults: Iterable[Fault] = (),
        limits: Mapping[str, tuple[float, float]] | None = None,
        page_rows: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        latency_seconds: float | tuple[float, float] = 0.0,
    ):
        super().__init__(
            feed, now=now, faults=faults, page_rows=page_rows, clock=clock, latency_seconds=latency_seconds
        )
        self.limits = LIMITS | dict(limits or {})
        self._buckets: dict[str, tuple[float, float]] = {}

    @property
    def settings(self) -> Settings:
        """Settings with which cexkit reads this venue instead of the real one, whatever its clock shows."""
        urls = {"coinbase.spot": self.url, "coinbase.drb": self.url + GATEWAY}
        return Settings(base_urls=urls, http_timeout_seconds=5, max_clock_skew_seconds=None)

    def respond(self, request: Request) -> Reply:
        """Return the response of the endpoint after counting the request."""
        if request.path.startswith(GATEWAY + "/"):
            return self._gateway(request)
        try:
            if not request.headers.get("user-agent"):
                raise _Refused(400, "User-Agent header is required.")
            if not self._charge("spot", request.at):
                raise _Refused(429, "Public rate limit exceeded")
            return Reply(200, as_json(self._exchange(request)), weight=1)
        except _Refused as error:
            return Reply(error.status, as_json({"message": str(error)}), weight=1)

    def _gateway(self, request: Request) -> Reply:
        method = request.path.removeprefix(GATEWAY + "/")
        serve = {
            "public/get_instruments": self._contracts,
            "public/get_tradingview_chart_data": self._chart,
            "public/get_funding_rate_history": self._funding,
        }.get(method)
        at = int(self.now.timestamp() * 1_000_000)
        envelope = {"jsonrpc": "2.0", "usIn": at, "usOut": at + 500, "usDiff": 500, "testnet": False}
        try:
            if serve is None:
                raise _Failed(-32601, "Method not found")
            listed = method != "public/get_instruments" or self._charge("listing", request.at)
            if not (self._charge("drb", request.at) and listed):
                raise _Failed(10028, "too_many_requests")
            return Reply(200, as_json(envelope | {"result": serve(request.params)}), weight=1)
        except _Failed as failure:
            return Reply(200, as_json(envelope | {"error": failure.error}), weight=1)

    def _charge(self, name: str, at: float) -> bool:
        """Take a token from a bucket; return False if the bucket is empty."""
        rate, burst = self.limits[name]
        tokens, since = self._buckets.get(name, (burst, at))
        tokens = min(burst, tokens + (at - since) * rate)
        allowed = tokens >= 1 - 1e-9
        self._buckets[name] = (tokens - allowed, at)
        return allowed

    def _cut(self, rows: pl.DataFrame, most: int) -> pl.DataFrame:
        return rows.tail(self.cut(most))

    def _exchange(self, request: Request) -> list[Any]:
        if request.path == "/products":
            listed = self.feed.instruments("coinbase").filter(instrument_type="spot")
            return [_product(row) for row in listed.iter_rows(named=True)]
        found = _CANDLES.fullmatch(request.path)
        if found is None:
            raise _Refused(404, "NotFound")
        return self._candles(found[1], request.params)

    def _candles(self, product_id: str, params: dict[str, str]) -> list[list[Any]]:
        found = self.feed.instruments("coinbase").filter(instrument_type="spot", venue_symbol=product_id)
        if found.is_empty():
            raise _Refused(404, "NotFound")
        granularity = params.get("granularity", "60")
        if granularity not in map(str, _GRANULARITIES):
            raise _Refused(400, "Unsupported granularity")
        bar = timedelta(seconds=int(granularity))
        rows = self._traded(bar, "spot", found["symbol"][0])
        span = _span(params)
        if span is None:
            return _candle_rows(with_partial(self._cut(rows, CANDLES), self.now - bar))
        if (span[1] - span[0]) // bar + 1 > CANDLES:
            message = "granularity too small for the requested time range. Count of aggregations requested exceeds 300"
            raise _Refused(400, message)
        requested = rows.filter(pl.col("timestamp").is_between(*span))
        sent = self._cut(requested, CANDLES)
        if sent.height == requested.height:
            sent = pl.concat([rows.filter(pl.col("timestamp") < span[0]).tail(1), sent])
        return _candle_rows(with_partial(sent, self.now - bar))

    def _traded(self, bar: timedelta, kind: str, symbol: str) -> pl.DataFrame:
        """Return the bars so far; empty for a length that no table has."""
        if bar not in _TABLES:
            return to_polars(TABLES["ohlcv_1m"]).to_frame()
        rows = self.feed.rows(_TABLES[bar], "coinbase", kind, symbol)
        return rows.filter(pl.col("timestamp") <= self.now)

    def _contracts(self, params: dict[str, str]) -> list[dict[str, Any]]:
        if params.get("currency") != "any" or params.get("kind") != "future":
            raise _Failed(-32602, "Invalid params", reason="only all futures are served", param="currency")
        expired = params.get("expired") == "true"
        rows = self.feed.instruments("coinbase").filter(
            pl.col("instrument_type") != "spot", (pl.col("status") == "delisted") == expired
        )
        return [_contract(row) for row in rows.iter_rows(named=True)]

    def _parse_request(
        self, params: dict[str, str], kinds: tuple[str, ...]
    ) -> tuple[dict[str, Any], datetime, datetime]:
        """Return the instrument and both ends of the span."""
        times = []
        for name in ("start_timestamp", "end_timestamp"):
            if not params.get(name, "").isdecimal():
                raise _Failed(-32602, "Invalid params", reason="must be a number", param=name)
            times.append(from_ms(int(params[name])))
        rows = self.feed.instruments("coinbase").filter(pl.col("instrument_type").is_in(kinds))
        found = rows.filter(venue_symbol=params.get("instrument_name", ""))
        if found.is_empty():
            raise _Failed(13020, "instrument_not_found")
        return found.row(0, named=True), *times

    def _chart(self, params: dict[str, str]) -> dict[str, Any]:
        instrument, start, end = self._parse_request(params, ("perp", "future"))
        bar = _RESOLUTIONS.get(params.get("resolution", ""))
        if bar is None:
            raise _Failed(-32602, "Invalid params", reason="must be a known value", param="resolution")
        rows = _flat(self._traded(bar, instrument["instrument_type"], instrument["symbol"]), bar)
        rows = self._cut(rows.filter(pl.col("timestamp").is_between(start, end)), CHART_BARS)
        rows = with_partial(rows, self.now - bar)
        columns = {name: rows[name].to_list() for name in ("open", "high", "low", "close")}
        volumes = {"volume": rows["volume_base"].to_list(), "cost": rows["volume_quote"].to_list()}
        ticks = rows["timestamp"].dt.timestamp("ms").to_list()
        return {"status": "ok" if ticks else "no_data", "ticks": ticks} | columns | volumes

    def _funding(self, params: dict[str, str]) -> list[dict[str, Any]]:
        instrument, start, end = self._parse_request(params, ("perp",))
        raw = pl.coalesce("venue_timestamp", "timestamp")
        rows = self.feed.rows("funding_rates", "coinbase", "perp", instrument["symbol"])
        rows = rows.select(
            timestamp=raw.dt.timestamp("ms"),
            index_price="index_price",
            prev_index_price=pl.col("index_price").shift(1),
            interest_1h="funding_rate",
            interest_8h=pl.col("funding_rate").rolling_sum(8, min_samples=1),
        ).filter(pl.from_epoch("timestamp", "ms").dt.replace_time_zone("UTC") <= self.now)
        behind = rows.filter(pl.col("timestamp") > to_ms(start), pl.col("timestamp") <= to_ms(end))
        return self._cut(behind, FUNDING_ROWS).to_dicts()


def _span(params: Mapping[str, str]) -> tuple[datetime, datetime] | None:
    """Return both ends, given as ISO text or seconds; None if one is missing, because the other is then ignored."""
    if "start" not in params or "end" not in params:
        return None
    try:
        start, end = (
            EPOCH + timedelta(seconds=float(text)) if text.replace(".", "", 1).isdecimal() else utc(text)
            for text in (params["start"], params["end"])
        )
    except InvalidInputError:
        raise _Refused(400, "start and end must be times") from None
    if start > end:
        raise _Refused(400, "start must be before end")
    return start, end


def _candle_rows(rows: pl.DataFrame) -> list[list[Any]]:
    names = ("low", "high", "open", "close", "volume_base")
    times = rows["timestamp"].dt.timestamp("ms") // 1000
    return [list(row) for row in zip(times, *(rows[name] for name in names), strict=True)][::-1]


def _flat(rows: pl.DataFrame, bar: timedelta) -> pl.DataFrame:
    """Add bars for intervals without trades between the first and last bar: at the last close, with zero volume."""
    if rows.is_empty():
        return rows
    filled = rows.upsample("timestamp", every=bar)
    close = pl.col("close").forward_fill()
    return filled.with_columns(
        close, *(pl.col(name).fill_null(close) for name in ("open", "high", "low"))
    ).with_columns(pl.col("volume_base", "volume_quote").fill_null(0.0))


def _product(row: Mapping[str, Any]) -> dict[str, Any]:
    sizes = {"quote_increment": row["tick_size"], "base_increment": row["lot_size"]}
    return {
        "id": row["venue_symbol"],
        "base_currency": row["venue_symbol"].partition("-")[0],
        "quote_currency": row["quote"],
        **{name: plain(size) for name, size in sizes.items()},
        "display_name": row["venue_symbol"].replace("-", "/"),
        "margin_enabled": False,
        "post_only": False,
        "limit_only": False,
        "cancel_only": False,
        "status": _SPOT_STATUS[row["status"]],
        "status_message": "",
        "trading_disabled": row["status"] == "delisted",
        "fx_stablecoin": False,
        "auction_mode": False,
    }


def _contract(row: Mapping[str, Any]) -> dict[str, Any]:
    perp = row["instrument_type"] == "perp"
    ends = row["expiry"] or row["delisting_time"]
    return {
        "instrument_name": row["venue_symbol"],
        "kind": "future",
        "instrument_type": "reversed" if row["inverse"] else "linear",
        "base_currency": re.split("[_-]", row["venue_symbol"])[0],
        "quote_currency": row["quote"],
        "counter_currency": row["quote"],
        "settlement_currency": row["settle"],
        "settlement_period": "perpetual" if perp else "month",
        "expiration_timestamp": NEVER_MS if ends is None else to_ms(ends),
        "creation_timestamp": to_ms(row["listing_time"]),
        "is_active": row["status"] == "trading",
        "contract_size": row["contract_size"],
        "tick_size": row["tick_size"],
        # Amounts of inverse contracts are in dollars.
        "min_trade_amount": row["contract_size"] if row["inverse"] else row["lot_size"],
    }
