"""Payloads of Coinbase's endpoints and their parsers. See :mod:`cexkit.exchanges.coinbase.descriptor`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired

from pydantic import Field, FiniteFloat
from typing_extensions import TypedDict

from cexkit.errors import PayloadError
from cexkit.exchanges.facts import facts, finished, from_ms, settlement
from cexkit.exchanges.instruments import listing, not_known
from cexkit.exchanges.parsing import Context, Ms, Name, Price, adapter, arrays, by_name, validated
from cexkit.exchanges.rows import Rows, check_grid, check_rows, read_rows
from cexkit.schema import TABLES
from cexkit.schema.intervals import from_ms as moment
from cexkit.schema.symbols import canonical, split_multiplier

if TYPE_CHECKING:
    import pyarrow as pa

#: Expirations from the year 2100 on mean "never".
NEVER_MS = 4_102_444_800_000
HOUR = timedelta(hours=1)
#: Hours between settlements, by the definition of ``interest_1h``.
FUNDING_HOURS = 1.0

CANDLE = ("time", "low", "high", "open", "close", "volume")
STATUS = {"online": "trading", "offline": "halted", "delisted": "delisted"}
#: Flags under which a product that is online is not matched.
HALTED = ("trading_disabled", "cancel_only", "post_only", "auction_mode")
#: Status by the ``state`` of a contract. Documented; rows recorded before 2026 lack the field and have ``is_active``.
STATE = {
    "open": "trading",
    "settlement": "halted",
    "locked": "halted",
    "inactive": "halted",
    "delivered": "delisted",
}

#: Kinds of contracts that are neither perpetuals nor dated futures.
NOT_READ = {"option", "option_combo", "future_combo", "spot"}

# Between 2001 and 2286: other units fall outside. An expiry may be later.
Seconds = Annotated[int, Field(ge=10**9, lt=10**10)]
Expiry = Annotated[int, Field(ge=10**12, lt=10**14)]
Size = Annotated[FiniteFloat, Field(gt=0)]
CHART = ("ticks", "open", "high", "low", "close", "volume", "cost")
ChartRow = tuple[Ms, Price, Price, Price, Price, Price, Price]
Candle = tuple[Seconds, Price, Price, Price, Price, Price]


class Product(TypedDict):
    """A row of ``/products``."""

    id: Name
    base_currency: Name
    quote_currency: Name
    quote_increment: Price
    base_increment: Price
    status: str
    trading_disabled: NotRequired[bool]
    cancel_only: NotRequired[bool]
    post_only: NotRequired[bool]
    auction_mode: NotRequired[bool]


class Contract(TypedDict):
    """A row of ``get_instruments``. ``future_type`` is the older name of ``instrument_type``."""

    instrument_name: Name
    kind: str
    base_currency: Name
    quote_currency: Name
    settlement_currency: Name
    settlement_period: str
    expiration_timestamp: Expiry
    creation_timestamp: Ms
    is_active: bool
    contract_size: Size
    tick_size: Price
    min_trade_amount: Price
    state: NotRequired[str]
    instrument_type: NotRequired[str]
    future_type: NotRequired[str]


class Chart(TypedDict):
    """The result of ``get_tradingview_chart_data``: a list per column, whose values :data:`ChartRow` promises."""

    status: Literal["ok", "no_data"]
    ticks: list[Any]
    open: list[Any]
    high: list[Any]
    low: list[Any]
    close: list[Any]
    volume: list[Any]
    cost: list[Any]


class FundingRow(TypedDict):
    """A row of ``get_funding_rate_history``."""

    timestamp: Ms
    interest_1h: FiniteFloat
    index_price: Price | None


class Envelope(TypedDict):
    """Envelope of every gateway result. Results of a test network are rejected because they are not market data."""

    testnet: NotRequired[Literal[False]]


class Contracts(Envelope):
    result: list[Contract]


class ChartResult(Envelope):
    result: Chart


class Fundings(Envelope):
    result: list[FundingRow]


def parse_products(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Spot products of ``/products``, delisted ones among them."""
    rows = read_rows(adapter(list[Product]), body, endpoint, name="id")
    unknown = [row for row in rows.values if row["status"] not in STATUS]
    reasons = {row["id"]: not_known("status", row["status"]) for row in unknown}
    return listing([_product(row, context) for row in rows.values if row["id"] not in reasons], reasons, rows)


def _product(row: Product, context: Context) -> dict[str, Any]:
    idle = row["status"] == "online" and any(row.get(flag, False) for flag in HALTED)
    return {
        **_names("spot", row["base_currency"], row["quote_currency"]),
        "symbol": canonical(row["base_currency"], row["quote_currency"]),
        "venue_symbol": row["id"],
        "settle": row["quote_currency"],
        "contract_size": 1.0,
        "inverse": False,
        "tick_size": row["quote_increment"],
        "lot_size": row["base_increment"],
        "status": "halted" if idle else STATUS[row["status"]],
        "observed_at": context.now,
    }


def _names(kind: str, listed_base: str, quote: str) -> dict[str, Any]:
    base, multiplier = split_multiplier(listed_base)
    return {"exchange": "coinbase", "instrument_type": kind, "base": base, "quote": quote, "multiplier": multiplier}


def parse_candles(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Spot candles, unfinished ones dropped. The venue gives no quote volume."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = read_rows(adapter(list[Candle]), body, endpoint, fields=CANDLE, time="time", unit=1000)
    column = by_name(rows.values, CANDLE)
    opened = pc.multiply(pa.array(column["time"], pa.int64()), 1000)
    prices = {name: column[name] for name in ("open", "high", "low", "close")}
    return _bars(rows, "time", opened, prices | {"volume_base": column["volume"]}, context)


def parse_chart(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Parse candles of the gateway; drop unfinished candles and keep candles without trades."""
    import pyarrow as pa

    chart = validated(adapter(ChartResult), body, endpoint)["result"]
    count = len(chart["ticks"])
    for name in CHART[1:]:
        if len(chart[name]) != count:
            raise PayloadError(endpoint, f"must have {count} values, one per tick, got {len(chart[name])}", field=name)
    if (chart["status"] == "ok") != bool(count):
        raise PayloadError(endpoint, f"{count} rows with status {chart['status']!r}", field="status")
    bars = [list(bar) for bar in zip(*(chart[name] for name in CHART), strict=True)]
    rows = check_rows(adapter(list[ChartRow]), bars, endpoint, fields=CHART, time="ticks")
    column = by_name(rows.values, CHART)
    columns = {name: column[name] for name in ("open", "high", "low", "close")}
    volumes = {"volume_base": column["volume"], "volume_quote": column["cost"]}
    return _bars(rows, "ticks", pa.array(column["ticks"], pa.int64()), columns | volumes, context)


def _bars(rows: Rows, field: str, opened: pa.Array, columns: Mapping[str, Any], context: Context) -> pa.Table:
    check_grid(rows, field, opened, TABLES[context.table].bar)
    return facts(context, {"timestamp": from_ms(opened), **columns}, finished(context, opened), rows)


def parse_contracts(endpoint: str, expired: bool, body: bytes, context: Context) -> pa.Table:
    """Perpetuals and dated futures of ``get_instruments``: those that are listed, or those that expired of late."""
    rows = read_rows(adapter(Contracts), body, endpoint, ("result",), name="instrument_name")
    reasons = {row["instrument_name"]: reason for row in rows.values if (reason := _unreadable(row))}
    readable = [row for row in rows.values if row["instrument_name"] not in reasons]
    return listing([_contract(row, expired, context) for row in readable], reasons, rows)


def _unreadable(row: Contract) -> str:
    if row["kind"] != "future":
        return f"its kind {row['kind']!r} is not read" if row["kind"] in NOT_READ else not_known("kind", row["kind"])
    if (state := row.get("state")) and state not in STATE:
        return not_known("state", state)
    terms = _terms(row)
    return "" if terms in ("linear", "reversed") else not_known("instrument type", terms)


def _terms(row: Contract) -> str:
    return row.get("instrument_type") or row.get("future_type") or ""


def _contract(row: Contract, expired: bool, context: Context) -> dict[str, Any]:
    kind = "perp" if row["settlement_period"] == "perpetual" else "future"
    ends = moment(row["expiration_timestamp"]) if row["expiration_timestamp"] < NEVER_MS else None
    expiry = ends if kind == "future" else None
    base, quote, settle = (row[f"{name}_currency"] for name in ("base", "quote", "settlement"))
    inverse = _terms(row) == "reversed"
    return {
        **_names(kind, base, quote),
        "symbol": canonical(base, quote, settle=settle, expiry=expiry),
        "venue_symbol": row["instrument_name"],
        "settle": settle,
        "contract_size": row["contract_size"],
        "inverse": inverse,
        "tick_size": row["tick_size"],
        # amounts of inverse contracts are in the quote currency
        "lot_size": None if inverse else row["min_trade_amount"],
        "status": "delisted" if expired else _contract_status(row),
        "listing_time": moment(row["creation_timestamp"]),
        "delisting_time": ends,
        "expiry": expiry,
        "funding_interval_hours": FUNDING_HOURS if kind == "perp" else None,
        "observed_at": context.now,
    }


def _contract_status(row: Contract) -> str:
    by_activity = "trading" if row["is_active"] else "halted"
    stated = STATE.get(row.get("state", ""), by_activity)
    return by_activity if stated == "trading" else stated


def parse_funding(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Funding of whole hours, each keyed on the hour's end."""
    import pyarrow as pa

    rows = read_rows(adapter(Fundings), body, endpoint, ("result",), time="timestamp")
    column = arrays(rows.values, timestamp=pa.int64(), interest_1h=pa.float64(), index_price=pa.float64())
    times = settlement(column["timestamp"])
    keyed = times["timestamp"].cast(pa.timestamp("ms", "UTC")).cast(pa.int64())
    check_grid(rows, "timestamp", keyed, HOUR, mark=True)
    return facts(
        context,
        times
        | {
            "funding_rate": column["interest_1h"],
            "funding_interval_hours": pa.repeat(FUNDING_HOURS, len(rows.values)),
            "index_price": column["index_price"],
        },
        rows=rows,
    )
