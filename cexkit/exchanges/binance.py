"""Binance: spot and USD-M futures.

Facts that shape the parsers, each of which has made somebody's numbers wrong:

- one body of ``/fapi/v1/exchangeInfo`` lists perpetuals, dated futures and contracts without a type yet;
- ``deliveryDate`` 4133404800000 (the year 2100) on a perpetual means "none";
- ``fundingInfo`` lists only perpetuals whose interval was changed at some time: one that is absent pays every 8 h;
- ``fundingTime`` is up to tens of milliseconds off the full minute;
- the last bar of ``klines`` may still be running;
- ``fundingRate`` gave 500 rows for ``limit=1000``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Annotated, Any, NotRequired

import msgspec
from pydantic import BeforeValidator, Field, FiniteFloat, TypeAdapter
from typing_extensions import TypedDict

from cexkit.errors import PayloadError, RateLimitedError, UnknownNameError, VenueError
from cexkit.exchanges.base import (
    STAMPED_LATE,
    Api,
    Context,
    Exchange,
    QuickCount,
    QuickMs,
    QuickPrice,
    Source,
    all_finite,
    facts,
    from_ms,
    quick,
    validated,
    with_left_out,
)
from cexkit.exchanges.binance_archive import ARCHIVES
from cexkit.http.client import Answer
from cexkit.http.paginate import Ask, Forward
from cexkit.http.ratelimit import Budget, Usage
from cexkit.intervals import EPOCH, MILLISECOND, Window, to_ms, to_timedelta
from cexkit.intervals import from_ms as moment
from cexkit.schema import TABLES
from cexkit.symbols import Instrument, canonical, split_multiplier

if TYPE_CHECKING:
    import pyarrow as pa

NO_DELIVERY_MS = 4133404800000
DEFAULT_FUNDING_HOURS = 8.0
#: Half of the grid that settlement times are keyed on; nothing settles closer than an hour.
HALF_MINUTE = timedelta(seconds=30)

STATUS = {
    "TRADING": "trading",
    "PENDING_TRADING": "pending",
    "PRE_TRADING": "pending",
    "AUCTION_MATCH": "halted",
    "BREAK": "halted",
    "DELIVERING": "halted",
    "END_OF_DAY": "halted",
    "HALT": "halted",
    "POST_TRADING": "halted",
    "PRE_DELIVERING": "halted",
    "PRE_SETTLE": "halted",
    "SETTLING": "halted",
    "CLOSE": "delisted",
    "DELIVERED": "delisted",
}

KLINE = (
    "openTime",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "closeTime",
    "quoteVolume",
    "trades",
    "takerBuyBaseVolume",
    "takerBuyQuoteVolume",
    "ignored",
)

# Milliseconds between 2001 and 2286: seconds and microseconds, which venues mix in, fall outside.
Ms = Annotated[int, Field(ge=10**12, lt=10**13)]
Price = Annotated[FiniteFloat, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Kline = tuple[Ms, Price, Price, Price, Price, Price, Ms, Price, Count, Price, Price, object]
_PRICES = (QuickPrice,) * 5
_QUICK_KLINES = msgspec.json.Decoder(
    list[tuple[QuickMs, *_PRICES, QuickMs, QuickPrice, QuickCount, QuickPrice, QuickPrice, object]],  # type: ignore[valid-type]
    strict=False,
)
#: Mark and index bars have the same places; those of volumes hold zeros or blanks.
PriceKline = tuple[Ms, Price, Price, Price, Price, object, Ms, object, object, object, object, object]


class FundingRow(TypedDict):
    """A row of ``/fapi/v1/fundingRate``."""

    symbol: str
    fundingTime: Ms
    fundingRate: FiniteFloat
    markPrice: NotRequired[Annotated[Price | None, BeforeValidator(lambda text: None if text == "" else text)]]
    rateType: NotRequired[str]


class OpenInterestRow(TypedDict):
    """A row of ``/futures/data/openInterestHist``: one side, in units of base."""

    symbol: str
    sumOpenInterest: Price
    sumOpenInterestValue: Price
    timestamp: Ms


class FundingInfo(TypedDict):
    """A row of ``/fapi/v1/fundingInfo``."""

    symbol: str
    fundingIntervalHours: Annotated[FiniteFloat, Field(gt=0, le=24)]


class Filter(TypedDict, total=False):
    """A trading rule of a symbol."""

    filterType: str
    tickSize: Price
    stepSize: Price


class Listed(TypedDict):
    """A symbol of ``exchangeInfo``, as far as spot and futures have it in common."""

    symbol: str
    status: str
    baseAsset: str
    quoteAsset: str
    filters: list[Filter]


class ListedContract(Listed):
    """A symbol of ``/fapi/v1/exchangeInfo``."""

    contractType: str
    marginAsset: str
    deliveryDate: Ms
    onboardDate: Ms


class RateLimit(TypedDict, total=False):
    """A limit that ``exchangeInfo`` announces."""

    rateLimitType: str
    interval: str
    intervalNum: int
    limit: int


class SpotInfo(TypedDict):
    symbols: list[Listed]


class FuturesInfo(TypedDict):
    symbols: list[ListedContract]


class Limits(TypedDict):
    rateLimits: list[RateLimit]


@lru_cache
def _adapter(promise: Any) -> TypeAdapter:
    return TypeAdapter(promise)


def parse_klines(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Trade bars of ``klines``, unfinished ones dropped."""
    column = _kline_columns(endpoint, body)
    volumes = {
        "volume_base": column["volume"],
        "volume_quote": column["quoteVolume"],
        "trades": column["trades"],
        "taker_buy_volume_base": column["takerBuyBaseVolume"],
        "taker_buy_volume_quote": column["takerBuyQuoteVolume"],
    }
    return _bars_of(endpoint, column, volumes, context)


def _kline_columns(endpoint: str, body: bytes) -> dict[str, tuple]:
    rows = quick(_QUICK_KLINES, body)
    if rows is not None:
        column = _columns(rows)
        if all_finite(column[name] for name in KLINE[:-1]):
            return column
    return _columns(validated(_adapter(list[Kline]), body, endpoint, KLINE))


def parse_price_klines(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Bars of ``markPriceKlines`` and ``indexPriceKlines``, unfinished ones dropped."""
    return _bars_of(endpoint, _columns(validated(_adapter(list[PriceKline]), body, endpoint, KLINE)), {}, context)


def _columns(rows: list[tuple]) -> dict[str, tuple]:
    return dict(zip(KLINE, zip(*rows, strict=True) if rows else [()] * len(KLINE), strict=True))


def _bars_of(endpoint: str, column: Mapping[str, tuple], volumes: Mapping[str, tuple], context: Context) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    opened, closed = pa.array(column["openTime"], pa.int64()), pa.array(column["closeTime"], pa.int64())
    length = to_timedelta(context.interval) // MILLISECOND
    _check_length(endpoint, pc.max(pc.subtract(closed, opened)).as_py(), length, len(opened))
    over = pc.max_element_wise(closed, pc.add(opened, length - 1))
    prices = {name: column[name] for name in ("open", "high", "low", "close")}
    return facts(
        context,
        {"timestamp": from_ms(opened), **prices, **volumes},
        keep=pc.less(over, (context.now - STAMPED_LATE - EPOCH) // MILLISECOND),
    )


def _check_length(endpoint: str, longest: int | None, length: int, rows: int) -> None:
    # one bar of an outage may be cut short, a whole page of short bars is another interval
    if longest is not None and (longest + 1 > length or (longest + 1 < length and rows > 1)):
        raise PayloadError(endpoint, f"bars of {longest + 1} ms where {length} ms were asked for", field="closeTime")


def parse_funding(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Settlements of ``fundingRate``, keyed on the nearest minute."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = validated(_adapter(list[FundingRow]), body, endpoint)
    text, number = pa.string(), pa.float64()
    types = {"symbol": text, "fundingTime": pa.int64(), "fundingRate": number, "markPrice": number, "rateType": text}
    column = dict(zip(types, pa.array(rows, pa.struct(list(types.items()))).flatten(), strict=True))
    _check_all(endpoint, "symbol", column["symbol"], context.instrument.venue_symbol)
    _check_all(endpoint, "rateType", column["rateType"], "Regular")
    minute = timedelta(minutes=1) // MILLISECOND
    keyed = pc.multiply(pc.divide(pc.add(column["fundingTime"], minute // 2), minute), minute)
    return facts(
        context,
        {
            "timestamp": from_ms(keyed),
            "funding_rate": column["fundingRate"],
            "mark_price": column["markPrice"],
            "venue_timestamp": from_ms(column["fundingTime"]),
        },
    )


def parse_open_interest(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Snapshots of ``openInterestHist``."""
    import pyarrow as pa

    rows = validated(_adapter(list[OpenInterestRow]), body, endpoint)
    number = pa.float64()
    types = {"symbol": pa.string(), "timestamp": pa.int64(), "sumOpenInterest": number, "sumOpenInterestValue": number}
    column = dict(zip(types, pa.array(rows, pa.struct(list(types.items()))).flatten(), strict=True))
    _check_all(endpoint, "symbol", column["symbol"], context.instrument.venue_symbol)
    return facts(
        context,
        {
            "timestamp": from_ms(column["timestamp"]),
            "open_interest_base": column["sumOpenInterest"],
            "open_interest_quote": column["sumOpenInterestValue"],
        },
    )


def _check_all(endpoint: str, field: str, values: pa.Array, wanted: str) -> None:
    """Refuse a page in which a field is there and not what was asked for."""
    import pyarrow.compute as pc

    row = pc.index(pc.fill_null(pc.not_equal(values, wanted), False), True).as_py()
    if row >= 0:
        raise PayloadError(endpoint, f"got {values[row].as_py()!r} where {wanted!r} is read", row=row, field=field)


def parse_spot_listing(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Instruments of ``/api/v3/exchangeInfo``."""
    listed = validated(_adapter(SpotInfo), body, endpoint)["symbols"]
    reasons = {row["symbol"]: _unknown_status(row) for row in listed}
    records = [_record(row, "spot", context) for row in listed if not reasons[row["symbol"]]]
    return _instruments(records, {symbol: reason for symbol, reason in reasons.items() if reason})


def parse_futures_listing(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Perpetuals and dated futures of ``/fapi/v1/exchangeInfo``.

    A contract that is not open yet and has no type is neither; it is named in :func:`left_out`.
    """
    listed = validated(_adapter(FuturesInfo), body, endpoint)["symbols"]
    records, reasons = [], {}
    for row in listed:
        kind, reason = _kind(row)
        if kind:
            records.append(_record(row, kind, context) | _contract_terms(row, kind))
        else:
            reasons[row["symbol"]] = reason
    return _instruments(records, reasons)


def _unknown_status(row: Listed) -> str:
    return "" if row["status"] in STATUS else f"its status {row['status']!r} is not known"


def _kind(row: ListedContract) -> tuple[str | None, str]:
    contract = row["contractType"]
    if reason := _unknown_status(row):
        return None, reason
    if "PERPETUAL" in contract:
        return "perp", ""
    if "QUARTER" in contract or "MONTH" in contract:
        return "future", ""
    if not contract:
        return None, f"it has no contract type yet ({row['status']})"
    return None, f"its contract type {contract!r} is not known"


def _record(row: Listed, kind: str, context: Context) -> dict[str, Any]:
    base, multiplier = split_multiplier(row["baseAsset"])
    rules = {rule.get("filterType"): rule for rule in row["filters"]}
    return {
        "exchange": "binance",
        "instrument_type": kind,
        "symbol": canonical(row["baseAsset"], row["quoteAsset"]),
        "base": base,
        "quote": row["quoteAsset"],
        "venue_symbol": row["symbol"],
        "settle": row["quoteAsset"],
        "multiplier": multiplier,
        "contract_size": 1.0,
        "inverse": False,
        "tick_size": rules.get("PRICE_FILTER", {}).get("tickSize"),
        "lot_size": rules.get("LOT_SIZE", {}).get("stepSize"),
        "status": STATUS[row["status"]],
        "observed_at": context.now,
    }


def _contract_terms(row: ListedContract, kind: str) -> dict[str, Any]:
    delivery = None if row["deliveryDate"] == NO_DELIVERY_MS else moment(row["deliveryDate"])
    expiry = delivery if kind == "future" else None
    return {
        "symbol": canonical(row["baseAsset"], row["quoteAsset"], settle=row["marginAsset"], expiry=expiry),
        "settle": row["marginAsset"],
        "listing_time": moment(row["onboardDate"]),
        "delisting_time": delivery,
        "expiry": expiry,
    }


def _instruments(records: list[dict[str, Any]], reasons: dict[str, str]) -> pa.Table:
    import pyarrow as pa

    from cexkit.schema.render import conform, to_pyarrow

    declared = TABLES["instruments"]
    table = conform(pa.Table.from_pylist(records, schema=to_pyarrow(declared)), declared)
    return table.replace_schema_metadata(with_left_out(reasons))


def parse_funding_info(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Funding intervals that were ever changed: columns ``venue_symbol`` and ``funding_interval_hours``."""
    import pyarrow as pa

    rows = validated(_adapter(list[FundingInfo]), body, endpoint)
    columns = zip(*((row["symbol"], row["fundingIntervalHours"]) for row in rows), strict=True) if rows else ((), ())
    types = {"venue_symbol": pa.string(), "funding_interval_hours": pa.float64()}
    return pa.table([pa.array(c, t) for c, t in zip(columns, types.values(), strict=True)], names=list(types))


def join_funding_info(instruments: pa.Table, companions: Mapping[str, pa.Table]) -> pa.Table:
    """Put funding intervals on perpetuals; absent from ``fundingInfo`` means the default of 8 hours."""
    import pyarrow as pa
    import pyarrow.compute as pc

    info = companions.get("um.fundingInfo")
    if info is None:
        return instruments
    found = pc.index_in(instruments["venue_symbol"], value_set=info["venue_symbol"].combine_chunks())
    hours = pc.fill_null(pc.take(info["funding_interval_hours"], found), DEFAULT_FUNDING_HOURS)
    hours = pc.if_else(pc.equal(instruments["instrument_type"], "perp"), hours, pa.scalar(None, pa.float64()))
    place = instruments.schema.get_field_index("funding_interval_hours")
    return instruments.set_column(place, instruments.schema.field(place), hours)


def read_error(answer: Answer) -> Exception | None:
    """Binance's ``{"code": -1121, "msg": …}``, whatever the HTTP status."""
    body = answer.body.strip()
    if not body.startswith(b"{") or len(body) > 4096:
        return None
    try:
        said = json.loads(body)
    except ValueError:
        return None  # the endpoint's parser says what is wrong with it
    if not isinstance(said.get("code"), int) or "msg" not in said:
        return None
    text = f"{answer.url}: code {said['code']}: {said['msg']}"
    if said["code"] == -1121:
        return UnknownNameError(f"binance knows no symbol {answer.params.get('symbol')!r} here ({text})")
    if said["code"] == -1003:
        return RateLimitedError(text, status=answer.status)
    return VenueError(text, status=answer.status)


def read_usage(answer: Answer) -> tuple[Usage, ...]:
    """The weight used in the running minute."""
    used = answer.headers.get("x-mbx-used-weight-1m", "")
    return (Usage("weight", float(used), 60 - answer.server_time.second),) if used.isdecimal() else ()


def read_limits(body: bytes) -> tuple[Budget, ...]:
    """The weight limit that ``exchangeInfo`` announces."""
    found = validated(_adapter(Limits), body, "exchangeInfo")["rateLimits"]
    return tuple(
        Budget("weight", limit=rule["limit"], per_s=60 * rule["intervalNum"])
        for rule in found
        if rule.get("rateLimitType") == "REQUEST_WEIGHT"
        and rule.get("interval") == "MINUTE"
        # one that says no number says nothing; the descriptor's holds then
        and min(rule.get("limit", 0), rule.get("intervalNum", 0)) > 0
    )


def _kline_params(interval: str, instrument: Instrument, ask: Ask) -> dict[str, str]:
    return {"symbol": instrument.venue_symbol, "interval": interval} | _span(ask.window, ask.limit)


def _funding_params(instrument: Instrument, ask: Ask) -> dict[str, str]:
    # Times are off the minute they are keyed on: asked for with half a minute to spare on both sides,
    # the parser then keeps what is keyed inside.
    around = Window(ask.window.start - HALF_MINUTE, ask.window.end + HALF_MINUTE)
    return {"symbol": instrument.venue_symbol} | _span(around, ask.limit)


def _span(window: Window, limit: int) -> dict[str, str]:
    """A half-open window as Binance's inclusive milliseconds, which may not be negative."""
    start, end = (max(0, to_ms(moment)) for moment in (window.start, window.end))
    return {"startTime": str(start), "endTime": str(max(0, end - 1)), "limit": str(limit)}


def _open_interest_params(instrument: Instrument, ask: Ask) -> dict[str, str]:
    return {"symbol": instrument.venue_symbol, "period": "1h"} | _span(ask.window, ask.limit)


def _index_params(interval: str, instrument: Instrument, ask: Ask) -> dict[str, str]:
    # an index belongs to a pair; a dated contract's name is its pair and its date
    return {"pair": instrument.venue_symbol.partition("_")[0], "interval": interval} | _span(ask.window, ask.limit)


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
        paging=Forward(limit=1000, step=to_timedelta(interval), fixed=True),
        cost=cost,
    )


_FUNDING = Source(
    endpoint="um.fundingRate",
    path="/fapi/v1/fundingRate",
    parse=partial(parse_funding, "um.fundingRate"),
    params=_funding_params,
    paging=Forward(limit=1000, step=timedelta(hours=1), resolution=timedelta(minutes=1)),
    cost=partial(_flat, {"funding": 1, "weight": 1}),
)
_FUNDING_INFO = Source(
    endpoint="um.fundingInfo",
    path="/fapi/v1/fundingInfo",
    parse=partial(parse_funding_info, "um.fundingInfo"),
    cost=partial(_flat, {"funding": 1}),
)
_HOUR = timedelta(hours=1)
_MARK = Source(
    endpoint="um.markPriceKlines",
    path="/fapi/v1/markPriceKlines",
    parse=partial(parse_price_klines, "um.markPriceKlines"),
    params=partial(_kline_params, "1h"),
    paging=Forward(limit=1000, step=_HOUR, fixed=True),
    cost=_um_kline_cost,
)
_INDEX = Source(
    endpoint="um.indexPriceKlines",
    path="/fapi/v1/indexPriceKlines",
    parse=partial(parse_price_klines, "um.indexPriceKlines"),
    params=partial(_index_params, "1h"),
    paging=Forward(limit=1000, step=_HOUR, fixed=True),
    cost=_um_kline_cost,
)
_OPEN_INTEREST = Source(
    endpoint="um.openInterestHist",
    path="/futures/data/openInterestHist",
    parse=partial(parse_open_interest, "um.openInterestHist"),
    params=_open_interest_params,
    paging=Forward(limit=500, step=_HOUR, fixed=True),
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
    apis={
        "spot": Api(
            base_url="https://api.binance.com",
            budgets=(Budget("weight", limit=6000, per_s=60),),
            usage=read_usage,
            error=read_error,
        ),
        "um": Api(
            base_url="https://fapi.binance.com",
            budgets=(
                Budget("weight", limit=2400, per_s=60),
                Budget("funding", limit=500, per_s=300),
                Budget("data", limit=500, per_s=300),
            ),
            usage=read_usage,
            error=read_error,
        ),
        "archive": Api(
            base_url="https://data.binance.vision",
            # no limit is documented; this is what a browser would do
            budgets=(Budget("requests", limit=600, per_s=60),),
        ),
    },
    sources=_sources(),
    archives=ARCHIVES,
    not_offered={
        ("liquidations", "perp"): _NO_LIQUIDATIONS,
        ("liquidations", "future"): _NO_LIQUIDATIONS,
    },
)
