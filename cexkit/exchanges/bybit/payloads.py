"""Payloads of Bybit's endpoints and their parsers. Facts of the venue: :mod:`cexkit.exchanges.bybit.descriptor`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired
from urllib.parse import unquote

import msgspec
from pydantic import AfterValidator, BeforeValidator, Field, FiniteFloat, TypeAdapter
from typing_extensions import TypedDict

from cexkit.errors import PayloadError
from cexkit.exchanges.facts import facts, finished, from_ms, settlement
from cexkit.exchanges.instruments import listing, not_known
from cexkit.exchanges.parsing import (
    Context,
    Ms,
    Name,
    Price,
    QuickMs,
    QuickPrice,
    all_finite,
    arrays,
    by_name,
    quick,
)
from cexkit.exchanges.rows import Flaw, Rows, check_grid, check_same, read_json, read_rows
from cexkit.schema import TABLES
from cexkit.schema.intervals import from_ms as moment
from cexkit.schema.symbols import Instrument, canonical, split_multiplier

if TYPE_CHECKING:
    import pyarrow as pa

BAR = ("startTime", "open", "high", "low", "close", "volume", "turnover")
STATUS = {"Trading": "trading", "PreLaunch": "pending", "Delivering": "halted", "Closed": "delisted"}
KINDS = {"LinearPerpetual": "perp", "LinearFutures": "future"}
#: Class of what is priced, by ``symbolType``. Zones of new coins have names; other coins have an empty one. A type that
#: is not in here is not known.
ASSET_CLASS = {
    "": "crypto",
    "adventure": "crypto",
    "innovation": "crypto",
    "commodity": "commodity",
    "etf": "equity",
    "mstocks": "equity",
    "stock": "equity",
    "xstocks": "equity",
    "forex": "fx",
}

#: Milliseconds, from a field in which the venue mixes in seconds; seconds are converted.
MsOrSeconds = Annotated[
    int, AfterValidator(lambda time: time * 1000 if 10**9 <= time < 10**10 else time), Field(ge=10**12, lt=10**13)
]
#: A timestamp that may be missing: "0" or an empty string.
Moment = Annotated[Ms | None, BeforeValidator(lambda value: None if value in ("0", "", 0) else value)]
Bar = tuple[Ms, Price, Price, Price, Price, Price, Price]
_NEXT = {"nextPageCursor": NotRequired[str | None]}
PriceBar = tuple[Ms, Price, Price, Price, Price]


class Settlement(TypedDict):
    """A row of ``funding/history``."""

    symbol: Name
    fundingRate: FiniteFloat
    fundingRateTimestamp: Ms


class OpenInterest(TypedDict):
    """A row of ``open-interest``."""

    openInterest: Price
    singleOpenInterest: NotRequired[Price | None]
    timestamp: MsOrSeconds


class PriceFilter(TypedDict):
    tickSize: Price


class SpotLots(TypedDict):
    basePrecision: Price


class LinearLots(TypedDict):
    qtyStep: Price


class Listed(TypedDict):
    """An instrument of ``instruments-info``, as far as spot and linear have it in common."""

    symbol: Name
    status: str
    baseCoin: Name
    quoteCoin: Name
    priceFilter: PriceFilter
    symbolType: NotRequired[str | None]


class ListedPair(Listed):
    lotSizeFilter: SpotLots


class ListedContract(Listed):
    """A linear contract; ``fundingInterval`` is in minutes."""

    contractType: str
    settleCoin: Name
    launchTime: Moment
    deliveryTime: Moment
    fundingInterval: NotRequired[Annotated[int, Field(ge=0, le=1440)] | None]
    lotSizeFilter: LinearLots


@lru_cache
def _body(row: Any) -> TypeAdapter:
    """Return the validator of a body with rows of a type."""
    # Validate the cursor here too, so that a page that parses also locates the next one.
    result = {"category": str, "symbol": NotRequired[str], "list": list[row]} | _NEXT
    return TypeAdapter(TypedDict("body", {"retCode": Literal[0], "result": TypedDict("result", result)}))


def _read(row: Any, endpoint: str, body: bytes, part: str, symbol: str | None = None, **words: Any) -> Rows:
    """Return the rows of a body; raise PayloadError if it is of another category or instrument."""
    rows = read_rows(_body(row), body, endpoint, ("result", "list"), **words)
    result = rows.body["result"]
    for field, wanted in (("category", part), ("symbol", symbol or result.get("symbol"))):
        if result.get(field, wanted) != wanted:
            raise PayloadError(endpoint, f"got {result[field]!r} where {wanted!r} is read", field=field)
    return rows


def _rows_of(row: Any, endpoint: str, body: bytes, context: Context, **words: Any) -> Rows:
    """Return the rows of a body; raise PayloadError if it is for another instrument."""
    instrument = context.instrument
    return _read(row, endpoint, body, category(instrument), instrument.venue_symbol, **words)


def category(instrument: Instrument) -> str:
    """Return the venue's category of an instrument."""
    return "spot" if instrument.instrument_type == "spot" else "linear"


def parse_bars(row: Any, endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Bars of ``kline``, ``mark-price-kline`` and ``index-price-kline``, unfinished ones dropped."""
    import pyarrow as pa

    rows = _bar_rows(row, endpoint, body, context)
    column = by_name(rows.values, BAR[: len(row.__args__)])
    opened = pa.array(column["startTime"], pa.int64())
    check_grid(rows, "startTime", opened, TABLES[context.table].bar)
    names = ("open", "high", "low", "close", "volume_base", "volume_quote")
    values = dict(zip(names, [column[name] for name in BAR if name in column][1:], strict=False))
    return facts(context, {"timestamp": from_ms(opened)} | values, finished(context, opened), rows)


def _bar_rows(row: Any, endpoint: str, body: bytes, context: Context) -> Rows:
    read = quick(_quick_body(len(row.__args__) - 1), body)
    if read is not None and (read["result"]["category"], read["result"].get("symbol")) == (
        category(context.instrument),
        context.instrument.venue_symbol,
    ):
        bars = read["result"]["list"]
        if all_finite(zip(*bars, strict=True)):
            return Rows(endpoint, bars, range(len(bars)))
    fields, is_price = BAR[: len(row.__args__)], row is PriceBar
    words = {"fields": fields, "time": "startTime", "other_width": len(BAR) if is_price else None}
    return _rows_of(row, endpoint, body, context, **words)


@lru_cache
def _quick_body(numbers: int) -> msgspec.json.Decoder:
    """Return the fast decoder of a body whose bars have this many numbers. See :func:`_body`."""
    row = tuple[QuickMs, *([QuickPrice] * numbers)]  # type: ignore[misc]
    page = TypedDict("page", {"category": str, "symbol": str, "list": list[row]} | _NEXT)  # type: ignore[misc]
    return msgspec.json.Decoder(TypedDict("body", {"retCode": Literal[0], "result": page}), strict=False)


def parse_funding(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Settlements of ``funding/history``, keyed on the nearest minute."""
    import pyarrow as pa

    rows = _rows_of(Settlement, endpoint, body, context, time="fundingRateTimestamp")
    column = arrays(rows.values, symbol=pa.string(), fundingRateTimestamp=pa.int64(), fundingRate=pa.float64())
    check_same(rows, "symbol", column["symbol"], context.instrument.venue_symbol)
    rates = {"funding_rate": column["fundingRate"]}
    return facts(context, settlement(column["fundingRateTimestamp"]) | rates, rows=rows)


def parse_open_interest(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Snapshots of ``open-interest``, one side: ``singleOpenInterest``, or half of ``openInterest`` without it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = _rows_of(OpenInterest, endpoint, body, context, time="timestamp")
    column = arrays(rows.values, timestamp=pa.int64(), openInterest=pa.float64(), singleOpenInterest=pa.float64())
    stamped, both, one = column.values()
    check_grid(rows, "timestamp", stamped, TABLES[context.table].bar)
    _check_both_sides(rows, both, one)
    return facts(
        context,
        {"timestamp": from_ms(stamped), "open_interest_base": pc.coalesce(one, pc.divide(both, 2.0))},
        rows=rows,
    )


def _check_both_sides(rows: Rows, both: pa.Array, one: pa.Array) -> None:
    """Quarantine rows in which ``one`` is not half of ``both``; refuse a page of them: halving would then be wrong."""
    import pyarrow.compute as pc

    known = pc.is_valid(one)
    of_both, of_one = (pc.sum(pc.filter(values, known)).as_py() or 0.0 for values in (both, one))
    # The venue rounds its values; the error is small on the sum of a page.
    if abs(of_both - 2 * of_one) <= 0.1 * of_both:
        return
    off = pc.fill_null(pc.greater(pc.abs(pc.subtract(both, pc.multiply(one, 2.0))), pc.multiply(both, 0.1)), False)

    def problem(place: int) -> str:
        values = f"openInterest {both[place].as_py():g} is not twice singleOpenInterest {one[place].as_py():g}"
        return f"{values} (sums of the page: {of_both:g} and {of_one:g})"

    rows.refuse_if_many(off, "openInterest", problem)
    rows.mark(off, "openInterest", problem)


def parse_spot_listing(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Spot pairs of ``instruments-info``."""
    return _instruments(_read(ListedPair, endpoint, body, "spot", name="symbol"), _pair, context)


def parse_linear_listing(endpoint: str, status: str | None, body: bytes, context: Context) -> pa.Table:
    """Parse linear perpetuals and dated futures of ``instruments-info``; all must have ``status`` if given."""
    rows = _read(ListedContract, endpoint, body, "linear", name="symbol")
    readable = []
    for place, row in zip(rows.numbers, rows.values, strict=True):
        if status is not None and row["status"] != status:
            rows.flaws.append(Flaw(place, "status", f"must be {status!r}, got {row['status']!r}", row["symbol"]))
        # The field is documented in minutes, so a value below an hour must have another unit.
        elif 0 < (row.get("fundingInterval") or 0) < 60:
            problem = f"must be 0 or at least 60 minutes, got {row['fundingInterval']}"
            rows.flaws.append(Flaw(place, "fundingInterval", problem, row["symbol"]))
        else:
            readable.append(row)
    rows.values = readable
    return _instruments(rows, _contract, context)


def _instruments(rows: Rows, record: Callable[[Any], dict[str, Any]], context: Context) -> pa.Table:
    reasons = {row["symbol"]: why for row in rows.values if (why := _unread(row))}
    records = [_common(row, context) | record(row) for row in rows.values if row["symbol"] not in reasons]
    return listing(records, reasons, rows)


def _unread(row: Mapping[str, Any]) -> str:
    """Return why an instrument cannot be read; empty if it can."""
    if row["status"] not in STATUS:
        return not_known("status", row["status"])
    kind = KINDS.get(row["contractType"]) if "contractType" in row else "spot"
    if kind is None:
        return not_known("contract type", row["contractType"])
    return "it is dated and has no delivery time" if kind == "future" and row["deliveryTime"] is None else ""


def _common(row: Mapping[str, Any], context: Context) -> dict[str, Any]:
    asset_class = ASSET_CLASS.get(row.get("symbolType"))
    base, multiplier = split_multiplier(row["baseCoin"], asset_class)
    return {
        "exchange": "bybit",
        "base": base,
        "quote": row["quoteCoin"],
        "venue_symbol": row["symbol"],
        "multiplier": multiplier,
        "contract_size": 1.0,
        "inverse": False,
        "tick_size": row["priceFilter"]["tickSize"],
        "status": STATUS[row["status"]],
        "observed_at": context.now,
        "asset_class": asset_class,
    }


def _pair(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "instrument_type": "spot",
        "symbol": canonical(row["baseCoin"], row["quoteCoin"]),
        "settle": row["quoteCoin"],
        "lot_size": row["lotSizeFilter"]["basePrecision"],
    }


def _contract(row: Mapping[str, Any]) -> dict[str, Any]:
    kind, delivery = KINDS[row["contractType"]], _moment(row["deliveryTime"])
    expiry = delivery if kind == "future" else None
    minutes = row.get("fundingInterval") if kind == "perp" else None
    return {
        "instrument_type": kind,
        "symbol": canonical(row["baseCoin"], row["quoteCoin"], settle=row["settleCoin"], expiry=expiry),
        "settle": row["settleCoin"],
        "lot_size": row["lotSizeFilter"]["qtyStep"],
        "listing_time": _moment(row["launchTime"]),
        "delisting_time": delivery,
        "expiry": expiry,
        "funding_interval_hours": minutes / 60 if minutes else None,
    }


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else moment(milliseconds)


def read_cursor(endpoint: str, body: bytes) -> str | None:
    """Return the next page's cursor. The venue sends it URL-encoded; decode it because HTTP encodes it again."""
    try:
        return unquote(read_json(body)["result"].get("nextPageCursor") or "") or None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PayloadError(endpoint, f"no cursor can be read: {error}", field="nextPageCursor") from None
