"""Payloads of OKX's market data and their parsers. Facts of the venue: :mod:`cexkit.exchanges.okx.descriptor`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, FiniteFloat, TypeAdapter
from typing_extensions import TypedDict

from cexkit.errors import PayloadError
from cexkit.exchanges.parsing import (
    Context,
    Ms,
    arrays,
    by_name,
    check_grid,
    check_same,
    facts,
    finished,
    from_ms,
    settlement,
    settlement_window,
    validated,
)
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, to_ms
from cexkit.schema.intervals import from_ms as moment
from cexkit.schema.symbols import Instrument

if TYPE_CHECKING:
    import pyarrow as pa

HOUR = timedelta(hours=1)
#: Maximum number of events on a page of ``liquidation-orders``.
LIQUIDATION_ROWS = 100
#: Tolerated factor between a page's average price and its price range; beyond it, volumes are in other units.
ROUNDING = 3.0

CANDLE = ("ts", "open", "high", "low", "close", "vol", "volCcy", "volCcyQuote", "confirm")
REFERENCE = ("ts", "open", "high", "low", "close", "confirm")
OPEN_INTEREST = ("ts", "oi", "oiCcy", "oiUsd")

Price = Annotated[FiniteFloat, Field(ge=0, lt=1e12)]
Amount = Annotated[FiniteFloat, Field(ge=0, lt=1e24)]
Exact = Annotated[Decimal, Field(gt=0, lt=10**18)]
Confirm = Literal["0", "1"]
OR_NONE = BeforeValidator(lambda text: None if text == "" else text)
Candle = tuple[Ms, Price, Price, Price, Price, Amount, Amount, Amount, Confirm]
Reference = tuple[Ms, Price, Price, Price, Price, Confirm]
OpenInterestRow = tuple[Ms, Amount, Amount, Amount]


class FundingRow(TypedDict):
    """A row of ``funding-rate-history``."""

    instId: str
    instType: Literal["SWAP"]
    fundingTime: Ms
    realizedRate: Annotated[FiniteFloat | None, OR_NONE]


class Liquidation(TypedDict):
    """One event of an item of ``liquidation-orders``."""

    ts: Ms
    bkPx: Price
    sz: Exact
    side: Literal["buy", "sell"]
    posSide: Literal["long", "short", "net", ""]


class Liquidations(TypedDict):
    """An item of ``liquidation-orders``."""

    instId: str
    details: list[Liquidation]


@lru_cache
def _adapter(row: Any) -> TypeAdapter:
    # `code` is text; a numeric 0 would come from another API.
    return TypeAdapter(TypedDict("Body", {"code": Literal["0"], "data": list[row]}))


def rows_of(row: Any, body: bytes, endpoint: str, fields: tuple[str, ...] = ()) -> list[Any]:
    return validated(_adapter(row), body, endpoint, fields)["data"]


def parse_candles(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Parse confirmed trade bars of ``history-candles``; base volumes are in coins."""
    column = by_name(rows_of(Candle, body, endpoint, CANDLE), CANDLE)
    base = column["vol" if context.instrument.instrument_type == "spot" else "volCcy"]
    _check_units(endpoint, column, base)
    return _bars(endpoint, context, column, {"volume_base": base, "volume_quote": column["volCcyQuote"]})


def parse_references(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Parse confirmed bars of mark or index prices."""
    return _bars(endpoint, context, by_name(rows_of(Reference, body, endpoint, REFERENCE), REFERENCE), {})


def _bars(endpoint: str, context: Context, column: Mapping[str, Any], volumes: Mapping[str, Any]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    opened = pa.array(column["ts"], pa.int64())
    _check_order(endpoint, opened, context.window)
    check_grid(endpoint, "ts", opened, TABLES[context.table].bar)
    confirmed = pc.equal(pa.array(column["confirm"], pa.string()), "1")
    prices = {name: column[name] for name in ("open", "high", "low", "close")}
    return facts(
        context,
        {"timestamp": from_ms(opened), **prices, **volumes},
        keep=pc.and_(confirmed, finished(context, opened)),
    )


def _check_order(endpoint: str, times: pa.Array, window: Window) -> None:
    """Raise PayloadError for a page that misleads pagination: not newest first, or not older than requested."""
    import pyarrow.compute as pc

    if not len(times):
        return
    if times[0].as_py() >= to_ms(window.end):
        text = f"rows must be before {window.end.isoformat()}, got {moment(times[0].as_py()).isoformat()}"
        raise PayloadError(endpoint, text, row=0, field="ts")
    row = pc.index(pc.greater(times[1:], times[:-1]), True).as_py()
    if row >= 0:
        raise PayloadError(endpoint, "a row is newer than the one before it", row=row + 1, field="ts")


def _check_units(endpoint: str, column: Mapping[str, Any], base: tuple[float, ...]) -> None:
    """Raise PayloadError if the volumes imply other units: a page's average price must be near its price range."""
    base, quote = sum(base), sum(column["volCcyQuote"])
    if not base or not quote:
        return
    low, high = min(column["low"]), max(column["high"])
    if not low / ROUNDING <= quote / base <= high * ROUNDING:
        text = f"price {quote:g} / {base:g} must be near {low:g} to {high:g}; volumes are in other units"
        raise PayloadError(endpoint, text, field="volCcyQuote")


def parse_funding(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Parse settlements of ``funding-rate-history``: the paid rate, keyed on the nearest minute.

    A settlement without a paid rate is dropped for one hour, because it may still be in progress. An older one raises
    PayloadError.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = rows_of(FundingRow, body, endpoint)
    column = arrays(rows, instId=pa.string(), fundingTime=pa.int64(), realizedRate=pa.float64())
    names, times, rates = column.values()
    _check_order(endpoint, times, settlement_window(context.window))
    check_same(endpoint, "instId", names, context.instrument.venue_symbol)
    now = to_ms(context.now)
    row = pc.index(pc.and_(pc.is_null(rates), pc.less(times, to_ms(context.now - HOUR))), True).as_py()
    if row >= 0:
        raise PayloadError(endpoint, "an old settlement without the rate that was paid", row=row, field="realizedRate")
    settled = pc.and_(pc.is_valid(rates), pc.less_equal(times, now))
    known = pc.fill_null(rates, 0.0)
    return facts(context, {**settlement(times), "funding_rate": known}, keep=settled)


def parse_open_interest(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Parse hourly rows of ``open-interest-history`` whose hour is over, in coins.

    The value in the quote currency is null unless that currency is USD, because the venue reports US dollars.
    """
    import pyarrow as pa

    column = by_name(rows_of(OpenInterestRow, body, endpoint, OPEN_INTEREST), OPEN_INTEREST)
    times = pa.array(column["ts"], pa.int64())
    _check_order(endpoint, times, context.window)
    check_grid(endpoint, "ts", times, HOUR)
    values = {"open_interest_base": column["oiCcy"]}
    if context.instrument.quote == "USD":
        values["open_interest_quote"] = column["oiUsd"]
    return facts(context, {"timestamp": from_ms(times), **values}, keep=finished(context, times))


def parse_liquidations(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Parse events of one instrument in ``liquidation-orders``, in coins at the bankruptcy price.

    Contracts of an inverse instrument are in dollars; they are converted to coins at the bankruptcy price.
    """
    items = rows_of(Liquidations, body, endpoint)
    times = [event["ts"] for item in items for event in item["details"]]
    if len(times) >= LIQUIDATION_ROWS and min(times) == max(times):
        text = f"all {len(times)} events of a full page have the same timestamp; further events may be missing"
        raise PayloadError(endpoint, text)
    return liquidation_rows(endpoint, items, context)


def liquidation_rows(endpoint: str, items: list[Liquidations], context: Context) -> pa.Table:
    """Return the rows of the context's instrument from items that hold lists of events.

    Events that are equal in all columns are numbered from 0 **within their timestamp**. A page with all events of a
    timestamp therefore assigns the same numbers on every read, and a page with some of them assigns the first of
    these numbers. An event that is read twice is one row, and two equal events remain two rows.
    """
    import polars as pl

    instrument = context.instrument
    events = [event for item in items if item["instId"] == instrument.venue_symbol for event in item["details"]]
    price = [event["bkPx"] for event in events]
    amount = [_coins(event, context.instrument_at(moment(event["ts"]))) for event in events]
    columns = {
        "timestamp": from_ms([event["ts"] for event in events]),
        "side": [_closed(endpoint, row, event) for row, event in enumerate(events)],
        "price": price,
        "quantity_base": amount,
    }
    if items:
        newest = max((event["ts"] for item in items for event in item["details"]), default=0)
        if newest >= to_ms(context.window.end):
            text = f"events must be before {context.window.end.isoformat()}, got {moment(newest).isoformat()}"
            raise PayloadError(endpoint, text, field="ts")
    numbers = pl.DataFrame(columns).select(pl.int_range(pl.len()).over(list(columns))).to_series()
    return facts(
        context,
        columns
        | {
            "price_type": ["bankruptcy"] * len(events),
            "value_quote": [p * q for p, q in zip(price, amount, strict=True)],
            "event": numbers.to_arrow(),
            "coverage": ["throttled"] * len(events),
        },
    )


def _coins(event: Liquidation, instrument: Instrument) -> float:
    """Return the size of an event in coins, computed from exact decimals."""
    worth = event["sz"] * Decimal(repr(instrument.contract_size))
    if not instrument.inverse:
        return float(worth)
    return float(worth) / event["bkPx"] if event["bkPx"] else 0.0


def _closed(endpoint: str, row: int, event: Liquidation) -> str:
    """Return the side of the position: the venue's value, or else the opposite of the order that closed it."""
    side = "long" if event["side"] == "sell" else "short"
    if event["posSide"] in ("long", "short") and event["posSide"] != side:
        text = f"a {event['posSide']} position closed by an order to {event['side']}"
        raise PayloadError(endpoint, text, row=row, field="posSide")
    return side


def oldest_event(body: bytes) -> str | None:
    """Return the time of the oldest event on a page of ``liquidation-orders``, for any instrument."""
    items = validated(_adapter(Liquidations), body, "v5.liquidation-orders")["data"]
    times = [event["ts"] for item in items for event in item["details"]]
    return str(min(times)) if times else None
