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
from cexkit.exchanges.facts import facts, finished, from_ms, settlement, settlement_window
from cexkit.exchanges.order import FEWEST_IN_ORDER, out_of_order
from cexkit.exchanges.parsing import Context, Ms, Name, adapter, arrays, by_name
from cexkit.exchanges.rows import REFUSED_SHARE, Rows, check_grid, check_rows, check_same, read_rows
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

    instId: Name
    instType: Literal["SWAP"]
    fundingTime: Ms
    realizedRate: Annotated[FiniteFloat | None, OR_NONE]


class Liquidation(TypedDict):
    """An event of ``liquidation-orders``, with the name of the item that holds it."""

    instId: str
    ts: Ms
    bkPx: Price
    sz: Exact
    side: Literal["buy", "sell"]
    posSide: Literal["long", "short", "net", ""]


class LiquidationItem(TypedDict):
    """An item of ``liquidation-orders``, whose events :class:`Liquidation` promises."""

    instId: str
    details: list[Any]


@lru_cache
def _adapter(row: Any) -> TypeAdapter:
    # `code` is text; a numeric 0 would come from another API.
    return TypeAdapter(TypedDict("Body", {"code": Literal["0"], "data": list[row]}))


def rows_of(row: Any, body: bytes, endpoint: str, **words: Any) -> Rows:
    """Return the rows of a body; ``words`` go to :func:`~cexkit.exchanges.rows.read_rows`."""
    return read_rows(_adapter(row), body, endpoint, ("data",), **words)


def parse_candles(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Parse confirmed trade bars of ``history-candles``; base volumes are in coins."""
    rows = rows_of(Candle, body, endpoint, fields=CANDLE, time="ts")
    column = by_name(rows.values, CANDLE)
    base = column["vol" if context.instrument.instrument_type == "spot" else "volCcy"]
    _check_units(rows, column, base)
    return _bars(rows, context, column, {"volume_base": base, "volume_quote": column["volCcyQuote"]})


def parse_references(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Parse confirmed bars of mark or index prices."""
    rows = rows_of(Reference, body, endpoint, fields=REFERENCE, time="ts")
    return _bars(rows, context, by_name(rows.values, REFERENCE), {})


def _bars(rows: Rows, context: Context, column: Mapping[str, Any], volumes: Mapping[str, Any]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    opened = pa.array(column["ts"], pa.int64())
    _check_order(rows, "ts", opened, context.window)
    check_grid(rows, "ts", opened, TABLES[context.table].bar)
    confirmed = pc.equal(pa.array(column["confirm"], pa.string()), "1")
    prices = {name: column[name] for name in ("open", "high", "low", "close")}
    keep = pc.and_(confirmed, finished(context, opened))
    return facts(context, {"timestamp": from_ms(opened), **prices, **volumes}, keep, rows)


def _check_order(rows: Rows, field: str, times: pa.Array, window: Window) -> None:
    """Raise PayloadError for a page that misleads pagination: not newest first, or not older than requested."""
    import numpy as np
    import pyarrow.compute as pc

    end = to_ms(window.end)

    def too_new(place: int) -> str:
        return f"rows must be before {window.end.isoformat()}, got {moment(times[place].as_py()).isoformat()}"

    # A few rows after the end are wrong, and do not say how the page was made.
    rows.refuse_if_many(pc.greater_equal(times, end), field, too_new)
    older = pc.indices_nonzero(pc.less(times, end))
    known = times.take(older)
    place = pc.index(pc.greater(known[1:], known[:-1]), True).as_py()
    apart = np.count_nonzero(out_of_order(-known.to_numpy()))
    # A few rows out of order have a wrong time, for which they are quarantined.
    if place >= 0 and (len(known) < FEWEST_IN_ORDER or apart >= REFUSED_SHARE * len(known)):
        row = rows.numbers[older[place + 1].as_py()]
        raise PayloadError(rows.endpoint, "a row is newer than the one before it", row=row, field=field)


def _check_units(rows: Rows, column: Mapping[str, Any], base: tuple[float, ...]) -> None:
    """Refuse a page whose volumes imply other units: its average price must be near its price range.

    Quarantine bars if few of them are the reason, each by its own prices.
    """
    import pyarrow as pa

    quote, lows, highs = (column[name] for name in ("volCcyQuote", "low", "high"))
    if not base or _fits(sum(base), sum(quote), min(lows), max(highs)):
        return
    bad = pa.array([not _fits(*bar) for bar in zip(base, quote, lows, highs, strict=True)], pa.bool_())

    def problem(place: int) -> str:
        price = f"{quote[place]:g} / {base[place]:g} must be near {lows[place]:g} to {highs[place]:g}"
        return f"price {price}; volumes are in other units"

    rows.refuse_if_many(bad, "volCcyQuote", problem)
    rows.mark(bad, "volCcyQuote", problem)


def _fits(base: float, quote: float, low: float, high: float) -> bool:
    return not base or not quote or low / ROUNDING <= quote / base <= high * ROUNDING


def parse_funding(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Parse settlements of ``funding-rate-history``: the paid rate, keyed on the nearest minute.

    A settlement without a paid rate is dropped for one hour, because it may still be in progress. An older one is
    quarantined.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = rows_of(FundingRow, body, endpoint, time="fundingTime")
    column = arrays(rows.values, instId=pa.string(), fundingTime=pa.int64(), realizedRate=pa.float64())
    names, times, rates = column.values()
    _check_order(rows, "fundingTime", times, settlement_window(context.window))
    check_same(rows, "instId", names, context.instrument.venue_symbol)
    unpaid = pc.and_(pc.is_null(rates), pc.less(times, to_ms(context.now - HOUR)))
    rows.mark(unpaid, "realizedRate", lambda place: "an old settlement without the rate that was paid")
    settled = pc.and_(pc.or_(pc.is_valid(rates), unpaid), pc.less_equal(times, to_ms(context.now)))
    known = pc.fill_null(rates, 0.0)
    return facts(context, {**settlement(times), "funding_rate": known}, settled, rows)


def parse_open_interest(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Parse hourly rows of ``open-interest-history`` whose hour is over, in coins.

    The value in the quote currency is null unless that currency is USD, because the venue reports US dollars.
    """
    import pyarrow as pa

    rows = rows_of(OpenInterestRow, body, endpoint, fields=OPEN_INTEREST, time="ts")
    column = by_name(rows.values, OPEN_INTEREST)
    times = pa.array(column["ts"], pa.int64())
    _check_order(rows, "ts", times, context.window)
    check_grid(rows, "ts", times, HOUR)
    values = {"open_interest_base": column["oiCcy"]}
    if context.instrument.quote == "USD":
        values["open_interest_quote"] = column["oiUsd"]
    return facts(context, {"timestamp": from_ms(times), **values}, finished(context, times), rows)


def parse_liquidations(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Parse events of one instrument in ``liquidation-orders``, in coins at the bankruptcy price.

    Contracts of an inverse instrument are in dollars; they are converted to coins at the bankruptcy price.
    """
    rows = _events(endpoint, body)
    times = [event["ts"] for event in rows.values]
    if len(times) >= LIQUIDATION_ROWS and min(times) == max(times):
        text = f"all {len(times)} events of a full page have the same timestamp; further events may be missing"
        raise PayloadError(endpoint, text)
    return _liquidation_rows(rows, context)


def _events(endpoint: str, body: bytes) -> Rows:
    """Return the events of all instruments, each as a separate row."""
    items = rows_of(LiquidationItem, body, endpoint, name="instId")
    flat = [
        {"instId": item["instId"], **event} if isinstance(event, dict) else event
        for item in items.values
        for event in item["details"]
    ]
    rows = check_rows(adapter(list[Liquidation]), flat, endpoint, time="ts", name="instId")
    rows.flaws += items.flaws
    return rows


def _liquidation_rows(rows: Rows, context: Context) -> pa.Table:
    """Return the rows of the context's instrument.

    Events that are equal in all columns are numbered from 0 **within their timestamp**. A page with all events of a
    timestamp therefore assigns the same numbers on every read, and a page with some of them assigns the first of
    these numbers. An event that is read twice is one row, and two equal events remain two rows.
    """
    import polars as pl
    import pyarrow as pa
    import pyarrow.compute as pc

    instrument, end = context.instrument, to_ms(context.window.end)
    every = pa.array([event["ts"] for event in rows.values], pa.int64())

    def too_new(place: int) -> str:
        return f"events must be before {context.window.end.isoformat()}, got {moment(every[place].as_py()).isoformat()}"

    rows.refuse_if_many(pc.greater_equal(every, end), "ts", too_new)
    places = [place for place, event in enumerate(rows.values) if event["instId"] == instrument.venue_symbol]
    events = [rows.values[place] for place in places]
    own = Rows(rows.endpoint, events, [rows.numbers[place] for place in places])
    own.flaws = [flaw for flaw in rows.flaws if flaw.name in (None, instrument.venue_symbol)]
    sides = [_closed(event) for event in events]
    wrong = pa.array([side is None for side in sides], pa.bool_())
    own.mark(wrong, "posSide", lambda place: _contradiction(events[place]))
    price = [event["bkPx"] for event in events]
    amount = [_coins(event, context.instrument_at(moment(event["ts"]))) for event in events]
    columns = {
        "timestamp": from_ms([event["ts"] for event in events]),
        "side": sides,
        "price": price,
        "quantity_base": amount,
    }
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
        rows=own,
    )


def _coins(event: Liquidation, instrument: Instrument) -> float:
    """Return the size of an event in coins, computed from exact decimals."""
    worth = event["sz"] * Decimal(repr(instrument.contract_size))
    if not instrument.inverse:
        return float(worth)
    return float(worth) / event["bkPx"] if event["bkPx"] else 0.0


def _closed(event: Liquidation) -> str | None:
    """Return the side of the position: the opposite of the order that closed it; None if the venue says another."""
    side = "long" if event["side"] == "sell" else "short"
    return None if event["posSide"] in ("long", "short") and event["posSide"] != side else side


def _contradiction(event: Liquidation) -> str:
    return f"a {event['posSide']} position closed by an order to {event['side']}"


def oldest_event(body: bytes) -> str | None:
    """Return the time of the oldest event on a page of ``liquidation-orders``, for any instrument."""
    times = [event["ts"] for event in _events("v5.liquidation-orders", body).values]
    return str(min(times)) if times else None
