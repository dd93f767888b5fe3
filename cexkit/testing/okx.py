"""OKX on this machine: canonical frames in, OKX's wire form out, quirks included."""

from __future__ import annotations

import io
import re
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from cexkit.config import Settings
from cexkit.schema.intervals import EPOCH, INTERVALS, TimeLike, to_ms, utc
from cexkit.testing.feed import Feed
from cexkit.testing.loopback import Fault, Reply, Request
from cexkit.testing.venue import LoopbackVenue, as_json, plain, with_partial

#: Requests in 2 seconds, and most rows of a page, by endpoint.
LIMITS = {
    "instruments": 20,
    "funding-rate": 20,
    "history-candles": 20,
    "history-mark-price-candles": 10,
    "history-index-candles": 10,
    "funding-rate-history": 10,
    "open-interest-history": 10,
    "liquidation-orders": 20,
}
ROWS = {"history-candles": 300, "funding-rate-history": 400}
#: How far back an endpoint goes; the others have everything.
DEPTH = {
    "funding-rate-history": timedelta(days=92),
    "open-interest-history": timedelta(hours=1440),
    "liquidation-orders": timedelta(hours=24),
}
#: Bars by their name, and by how much they are off the UTC grid.
BARS = {
    "1m": ("1m", timedelta(0)),
    "1H": ("1h", timedelta(0)),
    "1D": ("1d", timedelta(hours=-8)),
    "1Dutc": ("1d", timedelta(0)),
}
#: Bars are confirmed, and settlements have their rate, this much later than they are over.
LATE, SETTLING = timedelta(seconds=2), timedelta(minutes=1)
#: Where the files of the archive lie.
ARCHIVE = "/cdn/okex/traderecords/swaprates/monthly/"
#: Listed among the futures at all times.
X_PERP = "BTC-USD_UM_XPERP-310404"

_KINDS = {"SPOT": "spot", "SWAP": "perp", "FUTURES": "future"}
_STATE = {"trading": "live", "pending": "preopen", "halted": "suspend"}


class _Refused(Exception):
    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code


class LoopbackOkx(LoopbackVenue):
    """OKX's public market data from a feed.

    Quirks it has in common with the venue: everything is newest first, ``after`` and ``before`` are exclusive and
    ``before`` alone gives the newest page; bars are not confirmed until 2 s after their end; volumes of
    contracts are in contracts; ``1D`` opens at 16:00 UTC; the published funding rate is not the paid one, which is
    empty in the first minute; the running hour of open interest is off; liquidations are lists within a list, in
    contracts, some without the position's side, and ``limit`` does nothing there; delisted instruments are not
    listed, an X-Perp is; swaps name their currencies in ``uly`` only; errors have status 200, a throttled request
    has 429 and no ``data``.

    Parameters
    ----------
    feed, now, faults, page_rows, clock
        As for :class:`~cexkit.testing.LoopbackVenue`.
    limits : mapping, optional
        Other limits than :data:`LIMITS`; beyond them it answers 429.
    depth : mapping, optional
        Other depths than :data:`DEPTH`.
    archive_error : float
        By how much rates of the archive are off those of the API.

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
    ):
        super().__init__(feed, now=now, faults=faults, page_rows=page_rows, clock=clock)
        self.limits = LIMITS | dict(limits or {})
        self.depth = DEPTH | dict(depth or {})
        self.archive_error = archive_error
        self._used: dict[tuple[str, int], int] = {}

    @property
    def settings(self) -> Settings:
        """Settings under which cexkit reads this venue in place of the real one."""
        return Settings(base_urls={"okx.v5": self.url, "okx.archive": self.url}, http_timeout_s=5)

    def answer(self, request: Request) -> Reply:
        """The answer of the endpoint, after the request is counted."""
        serve = self._endpoints.get(request.path)
        if request.path.startswith(ARCHIVE):
            return self._archived(request.path)
        if serve is None:
            return Reply(404, b"<html>Not Found</html>")
        name = request.path.rpartition("/")[2]
        window = (name, int(request.at // 2))
        self._used[window] = self._used.get(window, 0) + 1
        if self._used[window] > self.limits[name]:
            return Reply(429, as_json({"msg": "Too Many Requests", "code": "50011"}), weight=1)
        try:
            return Reply(200, as_json({"code": "0", "data": serve(name, request.params), "msg": ""}), weight=1)
        except _Refused as error:
            return Reply(200, as_json({"code": error.code, "data": [], "msg": str(error)}), weight=1)

    @property
    def _endpoints(self) -> dict[str, Callable[[str, dict[str, str]], list[Any]]]:
        return {
            "/api/v5/public/instruments": self._instruments,
            "/api/v5/public/funding-rate": self._funding_rate,
            "/api/v5/public/funding-rate-history": self._funding_history,
            "/api/v5/public/liquidation-orders": self._liquidations,
            "/api/v5/market/history-candles": self._candles,
            "/api/v5/market/history-mark-price-candles": self._marks,
            "/api/v5/market/history-index-candles": self._indices,
            "/api/v5/rubik/stat/contracts/open-interest-history": self._open_interest,
        }

    def _archived(self, path: str) -> Reply:
        """A zip of a month's settlements, by months of UTC+8, two days after its end; headers as they come."""
        found = re.fullmatch(r"\d{6}/(.+)-fundingrates-(\d{4}-\d{2})\.zip", path.removeprefix(ARCHIVE))
        listed = self.feed.instruments("okx").filter(instrument_type="perp", venue_symbol=found[1] if found else "")
        if listed.is_empty():
            return Reply(404)
        local = pl.col("timestamp") + pl.duration(hours=8)
        rows = self.feed.rows("funding_rates", "okx", "perp", listed["symbol"][0])
        rows = rows.filter(local.dt.strftime("%Y-%m") == found[2]).sort("timestamp")
        end = (utc(f"{found[2]}-01") + timedelta(days=31)).replace(day=1) - timedelta(hours=8)
        if rows.is_empty() or end + timedelta(days=2) > self.now:
            return Reply(404)
        month = int(found[2][-2:])
        heads = ["", "instrument_name,funding_rate,funding_time\n", "合约名称,资金费率,资金费率时间\n"]
        lines = [
            f"{found[1]},{row['funding_rate'] + self.archive_error!r},{round(row['timestamp'].timestamp() * 1000)}\n"
            for row in rows.to_dicts()
        ]
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as file:
            # one date, so that the same rows are the same bytes
            info = zipfile.ZipInfo("rates.csv", (2020, 1, 1, 0, 0, 0))
            file.writestr(info, (heads[month % 3] + "".join(lines)).encode("gb18030"))
        return Reply(200, packed.getvalue())

    def _shown(self, *kinds: str) -> pl.DataFrame:
        listed = self.feed.instruments("okx")
        return listed.filter(pl.col("instrument_type").is_in(kinds), pl.col("status") != "delisted")

    def _instrument(self, params: Mapping[str, str], *kinds: str) -> dict[str, Any]:
        found = self._shown(*kinds).filter(venue_symbol=_needed(params, "instId"))
        if found.is_empty():
            raise _Refused("51001", "Instrument ID doesn't exist.")
        return found.row(0, named=True)

    def _rows(self, table: str, instrument: Mapping[str, Any]) -> pl.DataFrame:
        rows = self.feed.rows(table, "okx", instrument["instrument_type"], instrument["symbol"])
        return rows.filter(pl.col("timestamp") <= self.now)

    def _page(
        self, name: str, rows: pl.DataFrame, time: pl.Expr, params: Mapping[str, str], ends=("after", "before")
    ) -> pl.DataFrame:
        """Rows between the two times, exclusively, the newest first; only so many of them."""
        older, newer = (_number(params, end) for end in ends)
        limit = self.cut(min(_number(params, "limit") or 100, ROWS.get(name, 100)))
        rows = rows.with_columns(ms=time.dt.timestamp("ms"))
        if name in self.depth:
            rows = rows.filter(pl.col("ms") >= to_ms(max(EPOCH, self.now - self.depth[name])))
        if older is not None:
            rows = rows.filter(pl.col("ms") < older)
        if newer is not None:
            rows = rows.filter(pl.col("ms") > newer)
        return rows.sort("ms", descending=True, maintain_order=True).head(limit)

    def _instruments(self, name: str, params: dict[str, str]) -> list[dict[str, Any]]:
        kind = _needed(params, "instType")
        if kind not in _KINDS:
            raise _Refused("51000", "Parameter instType error")
        rows = [_listed(row, kind) for row in self._shown(_KINDS[kind]).iter_rows(named=True)]
        return rows + ([_x_perp()] if kind == "FUTURES" else [])

    def _funding_rate(self, name: str, params: dict[str, str]) -> list[dict[str, Any]]:
        asked = _needed(params, "instId")
        rows = self._shown("perp").iter_rows(named=True) if asked == "ANY" else [self._instrument(params, "perp")]
        return [_coming(row, self.now) for row in rows]

    def _funding_history(self, name: str, params: dict[str, str]) -> list[dict[str, Any]]:
        instrument = self._instrument(params, "perp")
        raw = pl.coalesce("venue_timestamp", "timestamp")
        rows = self.feed.rows("funding_rates", "okx", "perp", instrument["symbol"]).filter(raw <= self.now)
        page = self._page(name, rows, raw, params)
        return [_settled(row, instrument, self.now) for row in page.iter_rows(named=True)]

    def _candles(self, name: str, params: dict[str, str]) -> list[list[str]]:
        instrument = self._instrument(params, "spot", "perp", "future")
        interval, off = _bar(params)
        rows = _with_confirm(self._rows(f"ohlcv_{interval}", instrument), self.now - INTERVALS[interval] - LATE)
        page = self._page(name, _with_volumes(rows, instrument), pl.col("timestamp") + off, params)
        return _text(page, ("ms", "open", "high", "low", "close", "vol", "volCcy", "volCcyQuote", "confirm"))

    def _marks(self, name: str, params: dict[str, str]) -> list[list[str]]:
        return self._references(name, "mark", params, [self._instrument(params, "perp", "future")])

    def _indices(self, name: str, params: dict[str, str]) -> list[list[str]]:
        priced = self._shown("perp", "future").sort("instrument_type", descending=True).iter_rows(named=True)
        same = [row for row in priced if _underlying(row) == _needed(params, "instId")]
        if not same:
            raise _Refused("51001", "Instrument ID doesn't exist.")
        return self._references(name, "index", params, same)

    def _references(
        self, name: str, which: str, params: dict[str, str], instruments: list[dict[str, Any]]
    ) -> list[list[str]]:
        interval, off = _bar(params)
        found = (self._rows(f"{which}_{interval}", instrument) for instrument in instruments)
        rows = next((rows for rows in found if rows.height), self._rows(f"{which}_{interval}", instruments[0]))
        rows = _with_confirm(rows, self.now - INTERVALS[interval] - LATE)
        page = self._page(name, rows, pl.col("timestamp") + off, params)
        return _text(page, ("ms", "open", "high", "low", "close", "confirm"))

    def _open_interest(self, name: str, params: dict[str, str]) -> list[list[str]]:
        instrument = self._instrument(params, "perp", "future")
        if params.get("period") != "1H":
            raise _Refused("51000", "Parameter period error")
        running = pl.col("timestamp") > self.now - INTERVALS["1h"]
        # dollars are not the quote currency, unless that is USD
        dollars = 1.0 if instrument["quote"] == "USD" else 1.0003
        base = pl.col("open_interest_base") * pl.when(running).then(1.01).otherwise(1.0)
        rows = self._rows("open_interest", instrument).with_columns(
            oiCcy=base,
            oi=base / instrument["contract_size"],
            oiUsd=pl.col("open_interest_quote").fill_null(0.0) * dollars,
        )
        page = self._page(name, rows, pl.col("timestamp"), params, ends=("end", "begin"))
        return _text(page, ("ms", "oi", "oiCcy", "oiUsd"))

    def _liquidations(self, name: str, params: dict[str, str]) -> list[dict[str, Any]]:
        kind, family = _needed(params, "instType"), params.get("uly") or params.get("instFamily")
        if not family:
            raise _Refused("50015", "Either parameter uly or instFamily is required.")
        listed = [row for row in self._shown(_KINDS[kind]).iter_rows(named=True) if _underlying(row) == family]
        if not listed:
            raise _Refused("51001", "Instrument ID doesn't exist.")
        by_symbol = {row["symbol"]: row for row in listed}
        rows = pl.concat([self._rows("liquidations", row) for row in listed])
        unlimited = {end: params[end] for end in ("after", "before") if end in params}
        page = self._page(name, rows, pl.col("timestamp"), unlimited)
        return [
            {
                "instType": kind,
                "instId": by_symbol[symbol]["venue_symbol"],
                "instFamily": family,
                "uly": family,
                "totalLoss": "0",
                "details": [_event(row, by_symbol[symbol]) for row in events.iter_rows(named=True)],
            }
            for (symbol,), events in page.group_by("symbol", maintain_order=True)
        ]


def _needed(params: Mapping[str, str], name: str) -> str:
    if not params.get(name):
        raise _Refused("50014", f"Parameter {name} can not be empty.")
    return params[name]


def _number(params: Mapping[str, str], name: str) -> int | None:
    text = params.get(name)
    if text is not None and not text.isdecimal():
        raise _Refused("51000", f"Parameter {name} error")
    return None if text is None else int(text)


def _bar(params: Mapping[str, str]) -> tuple[str, timedelta]:
    if params.get("bar", "1m") not in BARS:
        raise _Refused("51000", "Parameter bar error")
    return BARS[params.get("bar", "1m")]


def _underlying(row: Mapping[str, Any]) -> str:
    return "-".join(row["venue_symbol"].split("-")[:2])


def _plain(value: Decimal | float | None) -> str:
    return "" if value is None else plain(value)


def _ms(moment: datetime | None) -> str:
    return "" if moment is None else str(to_ms(moment))


def _text(page: pl.DataFrame, names: tuple[str, ...]) -> list[list[str]]:
    columns = [page[name].cast(pl.String).to_list() for name in names]
    return [list(row) for row in zip(*columns, strict=True)]


def _with_confirm(rows: pl.DataFrame, confirmed: datetime) -> pl.DataFrame:
    """Bars and whether they are confirmed."""
    running = pl.col("timestamp") > confirmed
    return with_partial(rows, confirmed).with_columns(confirm=pl.when(running).then(pl.lit("0")).otherwise(pl.lit("1")))


def _with_volumes(rows: pl.DataFrame, instrument: Mapping[str, Any]) -> pl.DataFrame:
    base = pl.col("volume_base")
    quote = pl.col("volume_quote").fill_null(base * pl.col("close"))
    if instrument["instrument_type"] == "spot":
        return rows.with_columns(vol=base, volCcy=quote, volCcyQuote=quote)
    contracts = (quote if instrument["inverse"] else base) / instrument["contract_size"]
    return rows.with_columns(vol=contracts, volCcy=base, volCcyQuote=quote)


def _listed(row: Mapping[str, Any], kind: str) -> dict[str, Any]:
    base, quote = row["venue_symbol"].split("-")[:2]
    common = {
        "instType": kind,
        "instId": row["venue_symbol"],
        "alias": "",
        "baseCcy": base if kind == "SPOT" else "",
        "quoteCcy": quote if kind == "SPOT" else "",
        "state": _STATE[row["status"]],
        "tickSz": _plain(row["tick_size"]),
        "lotSz": _plain(row["lot_size"]),
        "listTime": _ms(row["listing_time"]),
        "expTime": _ms(row["expiry"] or row["delisting_time"]),
    }
    contract = dict.fromkeys(("uly", "instFamily", "settleCcy", "ctType", "ctVal", "ctMult", "ctValCcy"), "")
    return common | (contract if kind == "SPOT" else _terms(row, base, quote))


def _terms(row: Mapping[str, Any], base: str, quote: str) -> dict[str, Any]:
    """What a contract is worth; large ones are said as a value and a multiplier."""
    size = Decimal(repr(row["contract_size"]))
    times = 10 if size >= 1000 else 1
    lots = "1" if row["inverse"] or row["lot_size"] is None else _plain(Decimal(repr(row["lot_size"])) / size)
    return {
        "uly": f"{base}-{quote}",
        "instFamily": f"{base}-{quote}",
        "settleCcy": row["settle"],
        "ctType": "inverse" if row["inverse"] else "linear",
        "ctVal": _plain(size / times),
        "ctMult": str(times),
        "ctValCcy": quote if row["inverse"] else base,
        "lotSz": lots,
    }


def _x_perp() -> dict[str, Any]:
    expiry = datetime.fromisoformat("2031-04-04T08:00:00+00:00")
    row = {"venue_symbol": X_PERP, "status": "trading", "tick_size": 0.1, "lot_size": 0.01, "listing_time": None}
    terms = {"contract_size": 0.01, "inverse": False, "settle": "USD", "expiry": expiry, "delisting_time": None}
    return _listed(row | terms, "FUTURES")


def _coming(row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    hours = row["funding_interval_hours"]
    interval = timedelta(hours=hours or 8)
    coming = now + (EPOCH - now) % interval
    return {
        "instType": "SWAP",
        "instId": row["venue_symbol"],
        "method": "current_period",
        "fundingRate": "0.0000100000",
        "nextFundingRate": "",
        "fundingTime": _ms(coming),
        "nextFundingTime": _ms(coming + interval if hours else None),
    }


def _settled(row: Mapping[str, Any], instrument: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    paid = (row["venue_timestamp"] or row["timestamp"]) + SETTLING <= now
    return {
        "formulaType": "withRate",
        "fundingRate": repr(row["funding_rate"] * 0.9 + 1e-6),
        "fundingTime": str(row["ms"]),
        "instId": instrument["venue_symbol"],
        "instType": "SWAP",
        "method": "current_period",
        "realizedRate": repr(row["funding_rate"]) if paid else "",
    }


def _event(row: Mapping[str, Any], instrument: Mapping[str, Any]) -> dict[str, Any]:
    worth = row["value_quote"] if instrument["inverse"] else row["quantity_base"]
    return {
        "bkLoss": "0",
        "bkPx": _plain(row["price"]),
        "ccy": "",
        # accounts in net mode have no side of a position
        "posSide": ("net", row["side"], "", row["side"])[row["ms"] % 4],
        "side": "sell" if row["side"] == "long" else "buy",
        "sz": _plain(Decimal(repr(worth)) / Decimal(repr(instrument["contract_size"]))),
        "ts": str(row["ms"]),
    }
