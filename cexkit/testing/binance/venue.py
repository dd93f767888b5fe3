"""Loopback Binance: serves canonical frames in Binance's wire format, including its quirks."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any

import polars as pl

from cexkit.config import Settings
from cexkit.exchanges.binance.descriptor import EXCHANGE
from cexkit.exchanges.binance.payloads import NO_DELIVERY_MS
from cexkit.schema.intervals import INTERVALS, TimeLike, from_ms, to_ms, utc
from cexkit.testing.binance.archive import LABELED_BY_START, METRICS, PUBLISHED_AFTER, metrics_csv, zipped
from cexkit.testing.feed import Feed
from cexkit.testing.loopback import Fault, Reply, Request
from cexkit.testing.venue import LoopbackVenue, as_json, plain, with_partial

#: Weight per minute for each API, and requests per 5 minutes for funding and for ``/futures/data``.
LIMITS = {"spot": 6000, "um": 2400, "funding": 500, "data": 1000}
#: Maximum rows of a ``fundingRate`` response, even if ``limit`` allows more.
FUNDING_ROWS = 500
#: Retention period of ``openInterestHist``.
OPEN_INTEREST_REACH = timedelta(days=30)
SPAN_SECONDS = {"spot": 60, "um": 60, "funding": 300, "data": 300}

_SPOT_STATUS = {"trading": "TRADING", "pending": "PRE_TRADING", "halted": "BREAK"}
_UM_STATUS = {"trading": "TRADING", "pending": "PENDING_TRADING", "halted": "SETTLING"}
_KINDS = {"spot": ("spot",), "um": ("perp", "future")}
_UNDERLYING = {"crypto": "COIN", "equity": "EQUITY", "commodity": "COMMODITY", "index": "INDEX"}


_NO_SUCH_KEY = b"<Error><Code>NoSuchKey</Code></Error>"


class _Refused(Exception):
    def __init__(self, code: int, message: str):
        super().__init__(message)
        self.code = code


class LoopbackBinance(LoopbackVenue):
    """Binance's public market data, spot and USD-M, from a feed.

    Like the venue, it has these quirks: the last bar is unfinished, and settlements are some
    milliseconds off the minute. ``fundingRate`` returns 500 rows if 1,000 are requested.
    ``fundingInfo`` lists all perpetuals and a coin-margined one. Delisted instruments are not listed, and
    contracts that are not open yet have no type. Prices are text.

    Of the archive, it serves the daily ``metrics`` files, which hold open interest; see
    :mod:`cexkit.testing.binance.archive`. All other files are absent.

    Parameters
    ----------
    feed, now, faults, page_rows, clock, latency_seconds
        See :class:`~cexkit.testing.LoopbackVenue`.
    limits : mapping, optional
        Limits that replace those of :data:`LIMITS`; requests beyond them get status 429.
    funding_rows : int
        Most rows of a ``fundingRate`` response.
    api_lag : timedelta
        How long after its label an open interest of the API was taken, from 2026-06-25 on. The venue's is not known.

    Examples
    --------
    >>> from cexkit.exchanges.fetcher import Fetcher
    >>> from cexkit.schema import TABLES
    >>> from cexkit.schema.render import to_polars
    >>> with LoopbackBinance({"instruments": to_polars(TABLES["instruments"]).to_frame()}, now="2024-01-01") as venue:
    ...     with Fetcher(venue.settings) as fetcher:
    ...         fetcher.instruments("binance").num_rows
    0
    """

    def __init__(
        self,
        feed: Feed | Mapping[str, pl.DataFrame],
        *,
        now: TimeLike | Callable[[], datetime],
        faults: Iterable[Fault] = (),
        limits: Mapping[str, float] | None = None,
        funding_rows: int = FUNDING_ROWS,
        page_rows: int | None = None,
        api_lag: timedelta = timedelta(0),
        clock: Callable[[], float] = time.monotonic,
        latency_seconds: float | tuple[float, float] = 0.0,
    ):
        super().__init__(
            feed, now=now, faults=faults, page_rows=page_rows, clock=clock, latency_seconds=latency_seconds
        )
        self.limits = LIMITS | dict(limits or {})
        self.funding_rows = funding_rows
        self.api_lag = api_lag
        self._used: dict[tuple[str, int], float] = {}

    @property
    def settings(self) -> Settings:
        """Settings with which cexkit reads this venue instead of the real one, whatever its clock shows."""
        urls = {f"binance.{api}": self.url for api in EXCHANGE.apis}
        return Settings(base_urls=urls, http_timeout_seconds=5, max_clock_skew_seconds=None)

    def respond(self, request: Request) -> Reply:
        """Return the response of the endpoint after charging its weight."""
        if request.path.startswith("/data/"):
            return self._archive_file(request.path)
        endpoint = self._endpoints.get(request.path)
        if endpoint is None:
            return Reply(404, b"<html>Not Found</html>")
        serve, api = endpoint
        cost = _cost(api, request)
        weight = cost.get(api, 0)
        used, over_seconds = self._charge(cost, request.at)
        headers = {"X-MBX-USED-WEIGHT-1M": str(int(used))}
        if over_seconds:
            body = {"code": -1003, "msg": "Too many requests; current limit is exceeded."}
            return Reply(429, as_json(body), headers | {"Retry-After": str(over_seconds)}, weight)
        try:
            return Reply(200, as_json(serve(api, request.params)), headers, weight)
        except _Refused as error:
            return Reply(400, as_json({"code": error.code, "msg": str(error)}), headers, weight)

    @property
    def _endpoints(self) -> dict[str, tuple[Callable[[str, dict[str, str]], Any], str]]:
        return {
            "/api/v3/exchangeInfo": (self._exchange_info, "spot"),
            "/api/v3/klines": (self._klines, "spot"),
            "/fapi/v1/exchangeInfo": (self._exchange_info, "um"),
            "/fapi/v1/fundingInfo": (self._funding_info, "um"),
            "/fapi/v1/fundingRate": (self._funding_rate, "um"),
            "/fapi/v1/klines": (self._klines, "um"),
            "/fapi/v1/markPriceKlines": (partial(self._price_klines, "mark_1h", "symbol"), "um"),
            "/fapi/v1/indexPriceKlines": (partial(self._price_klines, "index_1h", "pair"), "um"),
            "/futures/data/openInterestHist": (self._open_interest, "um"),
        }

    def _archive_file(self, path: str) -> Reply:
        """Return a file of the archive or its checksum; files appear some hours after their day."""
        match = METRICS.fullmatch(path.removesuffix(".CHECKSUM"))
        found = self.feed.instruments("binance").filter(
            pl.col("instrument_type").is_in(_KINDS["um"]), venue_symbol=match[1] if match else ""
        )
        if found.is_empty() or (day := utc(match[2])) + timedelta(days=1) + PUBLISHED_AFTER > self.now:
            return Reply(404, _NO_SUCH_KEY)
        instrument = found.row(0, named=True)
        rows = self.feed.rows("open_interest", "binance", instrument["instrument_type"], instrument["symbol"])
        text = metrics_csv(rows, match[1], day)
        if text is None:
            return Reply(404, _NO_SUCH_KEY)
        name = path.removesuffix(".CHECKSUM").rpartition("/")[2]
        body = zipped(text, name.replace(".zip", ".csv"))
        is_checksum = path.endswith(".CHECKSUM")
        return Reply(200, f"{hashlib.sha256(body).hexdigest()}  {name}\n".encode() if is_checksum else body)

    def _charge(self, cost: Mapping[str, float], at: float) -> tuple[float, int]:
        """Return the weight used in the current minute, and the seconds to wait if a limit is exceeded."""
        used, wait = 0.0, 0
        for name, weight in cost.items():
            window = int(at // SPAN_SECONDS[name])
            total = self._used[name, window] = self._used.get((name, window), 0) + weight
            if total > self.limits[name]:
                wait = max(wait, int((window + 1) * SPAN_SECONDS[name] - at) + 1)
            used = total if name in EXCHANGE.apis else used
        return used, wait

    def _exchange_info(self, api: str, params: dict[str, str]) -> dict[str, Any]:
        limit = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": self.limits[api]}
        shown = self._shown(api).iter_rows(named=True)
        symbol = _spot_symbol if api == "spot" else _um_symbol
        now_ms = int(self.now.timestamp() * 1000)
        return {
            "timezone": "UTC",
            "serverTime": now_ms,
            "rateLimits": [limit],
            "symbols": [symbol(row) for row in shown],
        }

    def _shown(self, api: str) -> pl.DataFrame:
        return self.feed.instruments("binance").filter(
            pl.col("instrument_type").is_in(_KINDS[api]), pl.col("status") != "delisted"
        )

    def _instrument(self, api: str, params: dict[str, str]) -> dict[str, Any]:
        if not params.get("symbol"):
            raise _Refused(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
        found = self._shown(api).filter(venue_symbol=params["symbol"])
        if found.is_empty():
            raise _Refused(-1121, "Invalid symbol.")
        return found.row(0, named=True)

    def _klines(self, api: str, params: dict[str, str]) -> list[list[Any]]:
        instrument, interval = self._instrument(api, params), params.get("interval", "")
        if interval not in INTERVALS or not self.feed.holds(f"ohlcv_{interval}"):
            raise _Refused(-1120, "Invalid interval.")
        limit = self.cut(_number(params, "limit", 500, highest=1000 if api == "spot" else 1500))
        bar = INTERVALS[interval]
        rows = self.feed.rows(f"ohlcv_{interval}", "binance", instrument["instrument_type"], instrument["symbol"])
        rows = _page(rows.filter(pl.col("timestamp") <= self.now), pl.col("timestamp"), params, limit)
        return _kline_rows(with_partial(rows, self.now - bar), bar)

    def _price_klines(self, table: str, name: str, api: str, params: dict[str, str]) -> list[list[Any]]:
        # The index endpoint takes a pair instead of a symbol; the perpetual of a pair has the pair's name.
        instrument = self._instrument(api, {"symbol": params.get(name, "")})
        if params.get("interval") != "1h":
            raise _Refused(-1120, "Invalid interval.")
        limit = self.cut(_number(params, "limit", 500, highest=1500))
        rows = self.feed.rows(table, "binance", instrument["instrument_type"], instrument["symbol"])
        rows = _page(rows.filter(pl.col("timestamp") <= self.now), pl.col("timestamp"), params, limit)
        blank = with_partial(rows, self.now - INTERVALS["1h"]).with_columns(
            *(pl.lit(0.0).alias(x) for x in ("volume_base", "volume_quote")),
            *(pl.lit(0.0).alias(f"taker_buy_volume_{x}") for x in ("base", "quote")),
            trades=3600,
        )
        return _kline_rows(blank, INTERVALS["1h"])

    def _open_interest(self, api: str, params: dict[str, str]) -> list[dict[str, Any]]:
        instrument = self._instrument(api, params)
        if params.get("period") != "1h":
            raise _Refused(-1130, "parameter 'period' is invalid.")
        start = _number(params, "startTime", None)
        if start is not None and from_ms(start) < self.now - OPEN_INTEREST_REACH:
            raise _Refused(-1130, "parameter 'startTime' is invalid.")
        limit = self.cut(_number(params, "limit", 30, highest=500))
        rows = self.feed.rows("open_interest", "binance", instrument["instrument_type"], instrument["symbol"])
        rows = _taken_later(rows, self.api_lag).filter(pl.col("timestamp") <= self.now)
        rows = _page(rows, pl.col("timestamp"), params, limit)
        return [
            {
                "symbol": params["symbol"],
                "sumOpenInterest": repr(row["open_interest_base"]),
                "sumOpenInterestValue": repr(row["open_interest_quote"] or 0.0),
                "CMCCirculatingSupply": "0",
                "timestamp": to_ms(row["timestamp"]),
            }
            for row in rows.iter_rows(named=True)
        ]

    def _funding_info(self, api: str, params: dict[str, str]) -> list[dict[str, Any]]:
        perps = self._shown(api).filter(instrument_type="perp").select("venue_symbol", "funding_interval_hours").rows()
        return [
            {
                "symbol": symbol,
                "adjustedFundingRateCap": "0.02000000",
                "adjustedFundingRateFloor": "-0.02000000",
                "fundingIntervalHours": int(hours),
                "disclaimer": False,
                "updateTime": None,
            }
            for symbol, hours in [*perps, ("BTCUSD_PERP", 8.0)]
            if hours is not None
        ]

    @cached_property
    def _all_funding(self) -> pl.DataFrame:
        """The settlements of all contracts that were ever listed, with their names."""
        perps = self.feed.instruments("binance").filter(instrument_type="perp").select("symbol", "venue_symbol")
        parts = [
            self.feed.rows("funding_rates", "binance", "perp", symbol).with_columns(name=pl.lit(name))
            for symbol, name in perps.iter_rows()
        ]
        empty = self.feed.rows("funding_rates", "binance", "perp", "").with_columns(name=pl.lit("").cast(pl.String))
        return pl.concat([empty, *parts])

    def _funding_rate(self, api: str, params: dict[str, str]) -> list[dict[str, Any]]:
        limit = self.cut(min(_number(params, "limit", 100, highest=1000), self.funding_rows))
        if "symbol" in params:
            instrument = self._instrument(api, params)
            rows = self.feed.rows("funding_rates", "binance", instrument["instrument_type"], instrument["symbol"])
            rows = rows.with_columns(name=pl.lit(params["symbol"]))
        else:
            rows = self._all_funding
        # Half of all settlements are up to 47 ms late.
        jitter = pl.col("timestamp").dt.timestamp("ms") // 3_600_000 * 29 % 95 - 47
        raw = pl.coalesce("venue_timestamp", pl.col("timestamp") + pl.duration(milliseconds=jitter.clip(0)))
        rows = rows.with_columns(raw=raw.dt.timestamp("ms")).sort("raw", "name")
        rows = _page(
            rows.filter(raw <= self.now), pl.from_epoch("raw", "ms").dt.replace_time_zone("UTC"), params, limit
        )
        return [
            {
                "symbol": row["name"],
                "fundingTime": row["raw"],
                "fundingRate": repr(row["funding_rate"]),
                "markPrice": "" if row["mark_price"] is None else repr(row["mark_price"]),
                "rateType": "Regular",
            }
            for row in rows.iter_rows(named=True)
        ]


def _cost(api: str, request: Request) -> dict[str, float]:
    name = request.path.rpartition("/")[2]
    if name in ("fundingRate", "fundingInfo"):
        return {"funding": 1, "um": 1} if name == "fundingRate" else {"funding": 1, "um": 0}
    if name == "openInterestHist":
        return {"data": 1, "um": 0}
    if name == "exchangeInfo":
        return {api: 20 if api == "spot" else 1}
    limit = request.params.get("limit", "500")
    limit = int(limit) if limit.isdecimal() else 500
    return {api: 2 if api == "spot" else 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10}


def _number(params: Mapping[str, str], name: str, default: int | None, highest: int | None = None) -> int | None:
    text = params.get(name)
    if text is None:
        return default
    if not text.isdecimal():
        raise _Refused(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
    if highest is not None and not 1 <= int(text) <= highest:
        raise _Refused(-1130, f"Data sent for parameter '{name}' is not valid.")
    return int(text)


def _page(rows: pl.DataFrame, time: pl.Expr, params: Mapping[str, str], limit: int) -> pl.DataFrame:
    """Return the rows from ``startTime`` on if given, else the latest; both ends are inclusive."""
    start, end = _number(params, "startTime", None), _number(params, "endTime", None)
    if start is not None:
        rows = rows.filter(time >= from_ms(start))
    if end is not None:
        rows = rows.filter(time <= from_ms(end))
    return rows.tail(limit) if start is None else rows.head(limit)


def _taken_later(rows: pl.DataFrame, lag: timedelta) -> pl.DataFrame:
    """Return hourly snapshots whose labels, from 2026-06-25 on, are earlier than the times at which they were taken."""
    if not lag:
        return rows
    moved = pl.col("timestamp") >= LABELED_BY_START
    change = {name: pl.col(name).shift(-1) - pl.col(name) for name in ("open_interest_base", "open_interest_quote")}
    later = {
        name: pl.when(moved).then(pl.col(name) + by * (lag / INTERVALS["1h"])).otherwise(name)
        for name, by in change.items()
    }
    return rows.with_columns(**later).filter(pl.col("open_interest_base").is_not_null())


def _kline_rows(rows: pl.DataFrame, bar: timedelta) -> list[list[Any]]:
    text = [rows[name].cast(pl.String).to_list() for name in ("open", "high", "low", "close", "volume_base")]
    opened = rows["timestamp"].dt.timestamp("ms")
    closed = opened + int(bar.total_seconds() * 1000) - 1
    rest = [rows["volume_quote"].cast(pl.String).to_list(), rows["trades"].to_list()]
    taker = [rows[f"taker_buy_volume_{unit}"].cast(pl.String).to_list() for unit in ("base", "quote")]
    columns = [opened.to_list(), *text, closed.to_list(), *rest, *taker, ["0"] * rows.height]
    return [list(row) for row in zip(*columns, strict=True)]


def _common(row: Mapping[str, Any]) -> dict[str, Any]:
    pair = row["venue_symbol"].partition("_")[0]
    rules = [("PRICE_FILTER", "tickSize", row["tick_size"]), ("LOT_SIZE", "stepSize", row["lot_size"])]
    return {
        "symbol": row["venue_symbol"],
        "baseAsset": pair.removesuffix(row["quote"]),
        "quoteAsset": row["quote"],
        "filters": [{"filterType": kind, name: plain(size)} for kind, name, size in rules if size is not None],
    }


def _spot_symbol(row: Mapping[str, Any]) -> dict[str, Any]:
    return _common(row) | {"status": _SPOT_STATUS[row["status"]], "isSpotTradingAllowed": True}


def _um_symbol(row: Mapping[str, Any]) -> dict[str, Any]:
    kind = "PERPETUAL" if row["instrument_type"] == "perp" else "CURRENT_QUARTER"
    underlying = {} if row["asset_class"] is None else {"underlyingType": _UNDERLYING[row["asset_class"]]}
    return (
        _common(row)
        | {
            "pair": row["venue_symbol"].partition("_")[0],
            "contractType": "" if row["status"] == "pending" else kind,
            "status": _UM_STATUS[row["status"]],
            "marginAsset": row["settle"],
            "deliveryDate": _ms(row["expiry"] or row["delisting_time"], NO_DELIVERY_MS),
            "onboardDate": _ms(row["listing_time"], 1569398400000),
        }
        | underlying
    )


def _ms(moment: datetime | None, default: int) -> int:
    return default if moment is None else to_ms(moment)
