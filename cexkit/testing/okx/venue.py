"""Loopback OKX: endpoints, limits, depths, and errors of the venue."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from cexkit.config import Settings
from cexkit.schema.intervals import EPOCH, INTERVALS, TimeLike, to_ms, utc
from cexkit.testing.feed import Feed
from cexkit.testing.loopback import Fault, Reply, Request
from cexkit.testing.okx.parameters import RequestError, parse_bar, parse_number, require_param
from cexkit.testing.okx.payloads import (
    add_confirm,
    add_volumes,
    build_liquidation,
    build_listing,
    build_next_funding,
    build_settlement,
    build_x_perp,
    format_rows,
    zip_settlements,
)
from cexkit.testing.venue import LoopbackVenue, as_json

#: Requests per 2 seconds, and maximum rows per page, by endpoint.
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
PAGE_ROWS = {"history-candles": 300, "funding-rate-history": 400}
#: Retention period, by endpoint; the others retain everything.
DEPTH = {
    "funding-rate-history": timedelta(days=92),
    "open-interest-history": timedelta(hours=1440),
    "liquidation-orders": timedelta(hours=24),
}
#: Delay between the end of a bar and its confirmation.
CONFIRM_DELAY = timedelta(seconds=2)
#: Path of the archive's files.
ARCHIVE = "/cdn/okex/traderecords/swaprates/monthly/"

_INSTRUMENT_TYPES = {"SPOT": "spot", "SWAP": "perp", "FUTURES": "future"}


class LoopbackOkx(LoopbackVenue):
    """OKX's public market data from a feed.

    Like the venue, it has these quirks:

    - All lists are newest first. ``after`` and ``before`` are exclusive, and ``before`` alone returns the newest page.
    - Bars are not confirmed until 2 s after their end. ``1D`` bars open at 16:00 UTC.
    - Volumes of swaps and futures are in contracts.
    - The published funding rate differs from the paid rate, which is empty in the first minute.
    - Open interest of the current hour is not final.
    - Liquidations are lists within a list, in contracts, and some lack the position's side. ``limit`` has no effect
      on them.
    - Delisted instruments are not listed, but an X-Perp is. Swaps name their currencies in ``uly`` only.
    - Errors have status 200. A throttled request gets status 429 and no ``data``.

    Parameters
    ----------
    feed, now, faults, page_rows, clock, latency_seconds
        See :class:`~cexkit.testing.LoopbackVenue`.
    limits : mapping, optional
        Limits that replace those of :data:`LIMITS`; requests beyond them get status 429.
    depth : mapping, optional
        Retention periods that replace those of :data:`DEPTH`.
    archive_error : float
        Offset of the archive's rates from the API's rates.

    Examples
    --------
    >>> from cexkit.exchanges.fetcher import Fetcher
    >>> from cexkit.schema import TABLES
    >>> from cexkit.schema.render import to_polars
    >>> with LoopbackOkx({"instruments": to_polars(TABLES["instruments"]).to_frame()}, now="2024-01-01") as venue:
    ...     with Fetcher(venue.settings) as fetcher:
    ...         fetcher.instruments("okx").num_rows
    0
    """

    def __init__(
        self,
        feed: Feed | Mapping[str, pl.DataFrame],
        *,
        now: TimeLike | Callable[[], datetime],
        faults: Iterable[Fault] = (),
        limits: Mapping[str, float] | None = None,
        depth: Mapping[str, timedelta] | None = None,
        page_rows: int | None = None,
        archive_error: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        latency_seconds: float | tuple[float, float] = 0.0,
    ):
        super().__init__(
            feed, now=now, faults=faults, page_rows=page_rows, clock=clock, latency_seconds=latency_seconds
        )
        self.limits = LIMITS | dict(limits or {})
        self.depth = DEPTH | dict(depth or {})
        self.archive_error = archive_error
        self._request_counts: dict[tuple[str, int], int] = {}

    @property
    def settings(self) -> Settings:
        """Settings with which cexkit reads this venue instead of the real one, whatever its clock shows."""
        urls = {"okx.v5": self.url, "okx.archive": self.url}
        return Settings(base_urls=urls, http_timeout_seconds=5, max_clock_skew_seconds=None)

    def respond(self, request: Request) -> Reply:
        """Return the response of the endpoint after counting the request."""
        serve = self._endpoints.get(request.path)
        if request.path.startswith(ARCHIVE):
            return self._serve_archive(request.path)
        if serve is None:
            return Reply(404, b"<html>Not Found</html>")
        endpoint = request.path.rpartition("/")[2]
        window = (endpoint, int(request.at // 2))
        self._request_counts[window] = self._request_counts.get(window, 0) + 1
        if self._request_counts[window] > self.limits[endpoint]:
            return Reply(429, as_json({"msg": "Too Many Requests", "code": "50011"}), weight=1)
        try:
            return Reply(200, as_json({"code": "0", "data": serve(endpoint, request.params), "msg": ""}), weight=1)
        except RequestError as error:
            return Reply(200, as_json({"code": error.code, "data": [], "msg": str(error)}), weight=1)

    @property
    def _endpoints(self) -> dict[str, Callable[[str, dict[str, str]], list[Any]]]:
        return {
            "/api/v5/public/instruments": self._serve_instruments,
            "/api/v5/public/funding-rate": self._serve_funding_rate,
            "/api/v5/public/funding-rate-history": self._serve_funding_history,
            "/api/v5/public/liquidation-orders": self._serve_liquidations,
            "/api/v5/market/history-candles": self._serve_candles,
            "/api/v5/market/history-mark-price-candles": self._serve_mark_bars,
            "/api/v5/market/history-index-candles": self._serve_index_bars,
            "/api/v5/rubik/stat/contracts/open-interest-history": self._serve_open_interest,
        }

    def _serve_archive(self, path: str) -> Reply:
        """Return a zip of the settlements of a UTC+8 month, from two days after its end; its CSV header varies."""
        match = re.fullmatch(r"\d{6}/(.+)-fundingrates-(\d{4}-\d{2})\.zip", path.removeprefix(ARCHIVE))
        venue_symbol, month = match.groups() if match else ("", "")
        instruments = self.feed.instruments("okx").filter(instrument_type="perp", venue_symbol=venue_symbol)
        if instruments.is_empty():
            return Reply(404)
        local_time = pl.col("timestamp") + pl.duration(hours=8)
        rows = self.feed.rows("funding_rates", "okx", "perp", instruments["symbol"][0])
        rows = rows.filter(local_time.dt.strftime("%Y-%m") == month).sort("timestamp")
        end = (utc(f"{month}-01") + timedelta(days=31)).replace(day=1) - timedelta(hours=8)
        if rows.is_empty() or end + timedelta(days=2) > self.now:
            return Reply(404)
        return Reply(200, zip_settlements(rows, venue_symbol, int(month[-2:]), self.archive_error))

    def _select_listed(self, *instrument_types: str) -> pl.DataFrame:
        instruments = self.feed.instruments("okx")
        return instruments.filter(pl.col("instrument_type").is_in(instrument_types), pl.col("status") != "delisted")

    def _iter_listed(self, instrument_type: str) -> Iterator[dict[str, Any]]:
        return self._select_listed(instrument_type).iter_rows(named=True)

    def _find_instrument(self, params: Mapping[str, str], *instrument_types: str) -> dict[str, Any]:
        rows = self._select_listed(*instrument_types).filter(venue_symbol=require_param(params, "instId"))
        if rows.is_empty():
            raise RequestError("51001", "Instrument ID doesn't exist.")
        return rows.row(0, named=True)

    def _read_rows(self, table: str, instrument: Mapping[str, Any]) -> pl.DataFrame:
        rows = self.feed.rows(table, "okx", instrument["instrument_type"], instrument["symbol"])
        return rows.filter(pl.col("timestamp") <= self.now)

    def _add_confirm(self, bars: pl.DataFrame, interval: str) -> pl.DataFrame:
        return add_confirm(bars, self.now - INTERVALS[interval] - CONFIRM_DELAY)

    def _cut_page(
        self,
        endpoint: str,
        rows: pl.DataFrame,
        timestamp: pl.Expr,
        params: Mapping[str, str],
        bounds=("after", "before"),
    ) -> pl.DataFrame:
        """Return rows between the two times, exclusive, newest first, up to the page limit."""
        older, newer = (parse_number(params, bound) for bound in bounds)
        limit = self.cut(min(parse_number(params, "limit") or 100, PAGE_ROWS.get(endpoint, 100)))
        rows = rows.with_columns(ms=timestamp.dt.timestamp("ms"))
        if endpoint in self.depth:
            rows = rows.filter(pl.col("ms") >= to_ms(max(EPOCH, self.now - self.depth[endpoint])))
        if older is not None:
            rows = rows.filter(pl.col("ms") < older)
        if newer is not None:
            rows = rows.filter(pl.col("ms") > newer)
        return rows.sort("ms", descending=True, maintain_order=True).head(limit)

    def _serve_instruments(self, endpoint: str, params: dict[str, str]) -> list[dict[str, Any]]:
        inst_type = require_param(params, "instType")
        if inst_type not in _INSTRUMENT_TYPES:
            raise RequestError("51000", "Parameter instType error")
        rows = [build_listing(row, inst_type) for row in self._iter_listed(_INSTRUMENT_TYPES[inst_type])]
        return rows + ([build_x_perp()] if inst_type == "FUTURES" else [])

    def _serve_funding_rate(self, endpoint: str, params: dict[str, str]) -> list[dict[str, Any]]:
        if require_param(params, "instId") == "ANY":
            instruments = self._iter_listed("perp")
        else:
            instruments = [self._find_instrument(params, "perp")]
        return [build_next_funding(instrument, self.now) for instrument in instruments]

    def _serve_funding_history(self, endpoint: str, params: dict[str, str]) -> list[dict[str, Any]]:
        instrument = self._find_instrument(params, "perp")
        settled_at = pl.coalesce("venue_timestamp", "timestamp")
        rows = self.feed.rows("funding_rates", "okx", "perp", instrument["symbol"]).filter(settled_at <= self.now)
        page = self._cut_page(endpoint, rows, settled_at, params)
        return [build_settlement(row, instrument, self.now) for row in page.iter_rows(named=True)]

    def _serve_candles(self, endpoint: str, params: dict[str, str]) -> list[list[str]]:
        instrument = self._find_instrument(params, "spot", "perp", "future")
        interval, offset = parse_bar(params)
        bars = self._add_confirm(self._read_rows(f"ohlcv_{interval}", instrument), interval)
        page = self._cut_page(endpoint, add_volumes(bars, instrument), pl.col("timestamp") + offset, params)
        return format_rows(page, ("ms", "open", "high", "low", "close", "vol", "volCcy", "volCcyQuote", "confirm"))

    def _serve_mark_bars(self, endpoint: str, params: dict[str, str]) -> list[list[str]]:
        return self._page_reference_bars(endpoint, "mark", params, [self._find_instrument(params, "perp", "future")])

    def _serve_index_bars(self, endpoint: str, params: dict[str, str]) -> list[list[str]]:
        contracts = self._select_listed("perp", "future").sort("instrument_type", descending=True)
        instruments = [
            contract
            for contract in contracts.iter_rows(named=True)
            if _derive_underlying(contract) == require_param(params, "instId")
        ]
        if not instruments:
            raise RequestError("51001", "Instrument ID doesn't exist.")
        return self._page_reference_bars(endpoint, "index", params, instruments)

    def _page_reference_bars(
        self, endpoint: str, price_type: str, params: dict[str, str], instruments: list[dict[str, Any]]
    ) -> list[list[str]]:
        interval, offset = parse_bar(params)
        candidates = (self._read_rows(f"{price_type}_{interval}", instrument) for instrument in instruments)
        no_bars = self._read_rows(f"{price_type}_{interval}", instruments[0])
        bars = next((bars for bars in candidates if bars.height), no_bars)
        bars = self._add_confirm(bars, interval)
        page = self._cut_page(endpoint, bars, pl.col("timestamp") + offset, params)
        return format_rows(page, ("ms", "open", "high", "low", "close", "confirm"))

    def _serve_open_interest(self, endpoint: str, params: dict[str, str]) -> list[list[str]]:
        instrument = self._find_instrument(params, "perp", "future")
        if params.get("period") != "1H":
            raise RequestError("51000", "Parameter period error")
        is_running = pl.col("timestamp") > self.now - INTERVALS["1h"]
        # The value in dollars differs from the value in the quote currency, unless that currency is USD.
        usd_rate = 1.0 if instrument["quote"] == "USD" else 1.0003
        base = pl.col("open_interest_base") * pl.when(is_running).then(1.01).otherwise(1.0)
        rows = self._read_rows("open_interest", instrument).with_columns(
            oiCcy=base,
            oi=base / instrument["contract_size"],
            oiUsd=pl.col("open_interest_quote").fill_null(0.0) * usd_rate,
        )
        page = self._cut_page(endpoint, rows, pl.col("timestamp"), params, bounds=("end", "begin"))
        return format_rows(page, ("ms", "oi", "oiCcy", "oiUsd"))

    def _serve_liquidations(self, endpoint: str, params: dict[str, str]) -> list[dict[str, Any]]:
        inst_type, family = require_param(params, "instType"), params.get("uly") or params.get("instFamily")
        if not family:
            raise RequestError("50015", "Either parameter uly or instFamily is required.")
        instruments = [
            instrument
            for instrument in self._iter_listed(_INSTRUMENT_TYPES[inst_type])
            if _derive_underlying(instrument) == family
        ]
        if not instruments:
            raise RequestError("51001", "Instrument ID doesn't exist.")
        by_symbol = {instrument["symbol"]: instrument for instrument in instruments}
        rows = pl.concat([self._read_rows("liquidations", instrument) for instrument in instruments])
        bounds = {bound: params[bound] for bound in ("after", "before") if bound in params}
        page = self._cut_page(endpoint, rows, pl.col("timestamp"), bounds)
        return [
            {
                "instType": inst_type,
                "instId": by_symbol[symbol]["venue_symbol"],
                "instFamily": family,
                "uly": family,
                "totalLoss": "0",
                "details": [build_liquidation(row, by_symbol[symbol]) for row in events.iter_rows(named=True)],
            }
            for (symbol,), events in page.group_by("symbol", maintain_order=True)
        ]


def _derive_underlying(instrument: Mapping[str, Any]) -> str:
    return "-".join(instrument["venue_symbol"].split("-")[:2])
