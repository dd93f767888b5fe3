"""Payloads of Binance's endpoints and their parsers. Facts of the venue: :mod:`cexkit.exchanges.binance.descriptor`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, NotRequired

import msgspec
from pydantic import BeforeValidator, Field, FiniteFloat
from typing_extensions import TypedDict

from cexkit.errors import PayloadError
from cexkit.exchanges.facts import facts, finished, from_ms, settlement, venue_facts
from cexkit.exchanges.http.ratelimit import Budget
from cexkit.exchanges.instruments import listing, not_known, with_funding_hours
from cexkit.exchanges.parsing import (
    Context,
    Count,
    Ms,
    Name,
    Price,
    QuickCount,
    QuickMs,
    QuickPrice,
    adapter,
    all_finite,
    arrays,
    by_name,
    quick,
)
from cexkit.exchanges.rows import Rows, check_grid, check_same, read_json, read_rows
from cexkit.schema import TABLES
from cexkit.schema.intervals import MILLISECOND
from cexkit.schema.intervals import from_ms as moment
from cexkit.schema.symbols import canonical, split_multiplier

if TYPE_CHECKING:
    import pyarrow as pa

NO_DELIVERY_MS = 4133404800000
#: Interval of a perpetual that an older ``fundingInfo`` omits.
DEFAULT_FUNDING_HOURS = 8.0
#: Metadata of a ``fundingInfo`` that lists every trading perpetual.
_ALL_LISTED = b"all_listed"

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

#: Class of a contract's underlying, by ``underlyingType``. Seen on 2026-07-04; the Asian ones are documented.
ASSET_CLASS = {
    "COIN": "crypto",
    "INDEX": "index",
    "COMMODITY": "commodity",
    "EQUITY": "equity",
    "CN_EQUITY": "equity",
    "HK_EQUITY": "equity",
    "KR_EQUITY": "equity",
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

    symbol: Name
    fundingTime: Ms
    fundingRate: FiniteFloat
    markPrice: NotRequired[Annotated[Price | None, BeforeValidator(lambda text: None if text == "" else text)]]
    rateType: NotRequired[Name]


class OpenInterestRow(TypedDict):
    """A row of ``/futures/data/openInterestHist``: one side, in units of base."""

    symbol: Name
    sumOpenInterest: Price
    sumOpenInterestValue: Price
    timestamp: Ms


class FundingInfo(TypedDict):
    """A row of ``/fapi/v1/fundingInfo``."""

    symbol: Name
    fundingIntervalHours: Annotated[FiniteFloat, Field(gt=0, le=24)]


class Filter(TypedDict, total=False):
    """A trading rule of a symbol."""

    filterType: str
    tickSize: Price
    stepSize: Price


class Listed(TypedDict):
    """A symbol of ``exchangeInfo``, as far as spot and futures have it in common."""

    symbol: Name
    status: str
    baseAsset: Name
    quoteAsset: Name
    filters: list[Filter]


class ListedContract(Listed):
    """A symbol of ``/fapi/v1/exchangeInfo``."""

    contractType: str
    marginAsset: Name
    deliveryDate: Ms
    onboardDate: Ms
    underlyingType: NotRequired[str | None]
    underlyingSubType: NotRequired[list[Any] | None]


class SpotInfo(TypedDict):
    symbols: list[Listed]


class FuturesInfo(TypedDict):
    symbols: list[ListedContract]


def parse_klines(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Trade bars of ``klines``, unfinished ones dropped."""
    rows, column = _klines(endpoint, body)
    volumes = {
        "volume_base": column["volume"],
        "volume_quote": column["quoteVolume"],
        "trades": column["trades"],
        "taker_buy_volume_base": column["takerBuyBaseVolume"],
        "taker_buy_volume_quote": column["takerBuyQuoteVolume"],
    }
    return _bars(rows, column, volumes, context)


def _klines(endpoint: str, body: bytes) -> tuple[Rows, Mapping[str, Any]]:
    values = quick(_QUICK_KLINES, body)
    if values is not None:
        column = by_name(values, KLINE)
        if all_finite(column[name] for name in KLINE[:-1]):
            return Rows(endpoint, values, range(len(values))), column
    rows = _read_klines(Kline, endpoint, body)
    return rows, by_name(rows.values, KLINE)


def parse_price_klines(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Bars of ``markPriceKlines`` and ``indexPriceKlines``, unfinished ones dropped."""
    rows = _read_klines(PriceKline, endpoint, body)
    return _bars(rows, by_name(rows.values, KLINE), {}, context)


def _read_klines(row: Any, endpoint: str, body: bytes) -> Rows:
    return read_rows(adapter(list[row]), body, endpoint, fields=KLINE, filler="ignored", time="openTime")


def _bars(rows: Rows, column: Mapping[str, Any], volumes: Mapping[str, Any], context: Context) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    opened, closed = pa.array(column["openTime"], pa.int64()), pa.array(column["closeTime"], pa.int64())
    _check_length(rows, pc.add(pc.subtract(closed, opened), 1), TABLES[context.table].bar)
    check_grid(rows, "openTime", opened, TABLES[context.table].bar)
    prices = {name: column[name] for name in ("open", "high", "low", "close")}
    return facts(context, {"timestamp": from_ms(opened), **prices, **volumes}, finished(context, opened), rows)


def _check_length(rows: Rows, lengths: pa.Array, bar: timedelta) -> None:
    import pyarrow.compute as pc

    length = bar // MILLISECOND

    def problem(place: int) -> str:
        return f"bars must last {length} ms, got {lengths[place].as_py()} ms"

    rows.mark(pc.or_(pc.greater(lengths, length), pc.less(lengths, 1)), "closeTime", problem)
    # A single bar may be short because of an outage. A whole page of short bars has another interval.
    shortest, longest = pc.min_max(lengths).as_py().values()
    if len(lengths) and (shortest > length or (longest < length and len(lengths) > 1)):
        raise PayloadError(rows.endpoint, problem(pc.index(lengths, longest).as_py()), field="closeTime")


def parse_funding(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Settlements of ``fundingRate``, keyed on the nearest minute."""
    import pyarrow as pa

    text, number = pa.string(), pa.float64()
    rows = read_rows(adapter(list[FundingRow]), body, endpoint, time="fundingTime")
    column = arrays(
        rows.values,
        symbol=text, fundingTime=pa.int64(), fundingRate=number, markPrice=number, rateType=text,
    )  # fmt: skip
    check_same(rows, "rateType", column["rateType"], "Regular")
    columns = settlement(column["fundingTime"])
    columns |= {"funding_rate": column["fundingRate"], "mark_price": column["markPrice"]}
    if context.instrument is None:
        return venue_facts(context, column["symbol"], columns, rows)
    check_same(rows, "symbol", column["symbol"], context.instrument.venue_symbol)
    return facts(context, columns, rows=rows)


def funding_keys(body: bytes) -> list[tuple[int, str]]:
    """The time in milliseconds and the symbol of each row of ``fundingRate``."""
    try:
        return [(int(row["fundingTime"]), str(row["symbol"])) for row in read_json(body)]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise PayloadError("um.fundingRate", f"rows must have a time and a symbol, got {error!r}") from error


def parse_open_interest(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Snapshots of ``openInterestHist``."""
    import pyarrow as pa

    number = pa.float64()
    rows = read_rows(adapter(list[OpenInterestRow]), body, endpoint, time="timestamp")
    column = arrays(
        rows.values,
        symbol=pa.string(), timestamp=pa.int64(), sumOpenInterest=number, sumOpenInterestValue=number,
    )  # fmt: skip
    check_same(rows, "symbol", column["symbol"], context.instrument.venue_symbol)
    check_grid(rows, "timestamp", column["timestamp"], TABLES[context.table].bar)
    return facts(
        context,
        {
            "timestamp": from_ms(column["timestamp"]),
            "open_interest_base": column["sumOpenInterest"],
            "open_interest_quote": column["sumOpenInterestValue"],
        },
        rows=rows,
    )


def parse_spot_listing(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Instruments of ``/api/v3/exchangeInfo``."""
    rows = read_rows(adapter(SpotInfo), body, endpoint, ("symbols",), name="symbol")
    reasons = {row["symbol"]: reason for row in rows.values if (reason := _unknown_status(row))}
    records = [_record(row, "spot", context) for row in rows.values if row["symbol"] not in reasons]
    return listing(records, reasons, rows)


def parse_futures_listing(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Perpetuals and dated futures of ``/fapi/v1/exchangeInfo``.

    A contract that is not open yet and has no type is neither; :func:`cexkit.exchanges.instruments.left_out` names it.
    """
    rows = read_rows(adapter(FuturesInfo), body, endpoint, ("symbols",), name="symbol")
    records, reasons = [], {}
    for row in rows.values:
        kind, reason = _kind(row)
        if kind:
            records.append(_record(row, kind, context) | _contract_terms(row, kind))
        else:
            reasons[row["symbol"]] = reason
    return listing(records, reasons, rows)


def _unknown_status(row: Listed) -> str:
    return "" if row["status"] in STATUS else not_known("status", row["status"])


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
    return None, not_known("contract type", contract)


def _record(row: Listed, kind: str, context: Context) -> dict[str, Any]:
    asset_class = _asset_class(row)
    base, multiplier = split_multiplier(row["baseAsset"], asset_class)
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
        "asset_class": asset_class,
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


def _asset_class(row: Mapping[str, Any]) -> str | None:
    kind = row.get("underlyingType")
    # Before a market opens the type names only the phase; the subtype says that it is of shares.
    if kind == "PREMARKET" and "Pre-IPO" in (row.get("underlyingSubType") or ()):
        return "equity"
    return ASSET_CLASS.get(kind)


def parse_funding_info(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Funding intervals now: columns ``venue_symbol`` and ``funding_interval_hours``.

    Rows with ``updateTime`` come from a list of all trading perpetuals. Older lists hold only perpetuals whose interval
    was ever changed.
    """
    import pyarrow as pa

    rows = read_rows(adapter(list[FundingInfo]), body, endpoint, name="symbol")
    # The interval of one that cannot be read is unknown, not the default.
    unread = [flaw.name for flaw in rows.flaws if flaw.name is not None]
    if len(unread) < len(rows.flaws):
        rows.refuse()
    columns = arrays(
        [*rows.values, *({"symbol": name} for name in unread)],
        symbol=pa.string(), fundingIntervalHours=pa.float64(),
    )  # fmt: skip
    table = pa.table(list(columns.values()), names=["venue_symbol", "funding_interval_hours"])
    all_listed = {_ALL_LISTED: b"yes"} if b'"updateTime"' in body else {}
    return table.replace_schema_metadata(all_listed | rows.metadata() or None)


def join_funding_info(instruments: pa.Table, companions: Mapping[str, pa.Table]) -> pa.Table:
    """Put funding intervals on perpetuals.

    A perpetual that is absent from ``fundingInfo`` pays every 8 hours if the list is an older one; otherwise it no
    longer trades, and its interval is unknown.
    """
    info = companions.get("um.fundingInfo")
    all_listed = info is not None and _ALL_LISTED in (info.schema.metadata or {})
    return with_funding_hours(instruments, info, None if all_listed else DEFAULT_FUNDING_HOURS)


def read_limits(body: bytes) -> tuple[Budget, ...]:
    """The weight limit that ``exchangeInfo`` announces; without one, the descriptor's holds."""
    try:
        rules = read_json(body)["rateLimits"]
        return tuple(
            Budget("weight", limit=rule["limit"], per_seconds=60 * rule["intervalNum"])
            for rule in rules
            if (rule.get("rateLimitType"), rule.get("interval")) == ("REQUEST_WEIGHT", "MINUTE")
            and all(isinstance(rule.get(name), int) and rule[name] > 0 for name in ("limit", "intervalNum"))
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ()
