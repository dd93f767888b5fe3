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
from cexkit.exchanges.instruments import listing
from cexkit.exchanges.parsing import (
    Context,
    Ms,
    Price,
    QuickMs,
    QuickPrice,
    all_finite,
    arrays,
    check_grid,
    check_same,
    facts,
    finished,
    from_ms,
    quick,
    settlement,
    validated,
)
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

    symbol: str
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

    symbol: str
    status: str
    baseCoin: Annotated[str, Field(min_length=1)]
    quoteCoin: Annotated[str, Field(min_length=1)]
    priceFilter: PriceFilter
    symbolType: NotRequired[str | None]


class ListedPair(Listed):
    lotSizeFilter: SpotLots


class ListedContract(Listed):
    """A linear contract; ``fundingInterval`` is in minutes."""

    contractType: str
    settleCoin: Annotated[str, Field(min_length=1)]
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


def _result(row: Any, endpoint: str, body: bytes, part: str, fields: tuple[str, ...] = ()) -> dict[str, Any]:
    result = validated(_body(row), body, endpoint, fields)["result"]
    if result["category"] != part:
        raise PayloadError(endpoint, f"got {result['category']!r} where {part!r} is read", field="category")
    return result


def _rows_of(row: Any, endpoint: str, body: bytes, context: Context, fields: tuple[str, ...] = ()) -> list:
    """Return the rows of a body; raise PayloadError if it is for another instrument."""
    result = _result(row, endpoint, body, category(context.instrument), fields)
    wanted = context.instrument.venue_symbol
    if result.get("symbol", wanted) != wanted:
        raise PayloadError(endpoint, f"got {result['symbol']!r} where {wanted!r} is read", field="symbol")
    return result["list"]


def category(instrument: Instrument) -> str:
    """Return the venue's category of an instrument."""
    return "spot" if instrument.instrument_type == "spot" else "linear"


def parse_bars(row: Any, endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Bars of ``kline``, ``mark-price-kline`` and ``index-price-kline``, unfinished ones dropped."""
    import pyarrow as pa

    columns = _bar_columns(row, endpoint, body, context)
    opened = pa.array(columns[0], pa.int64())
    check_grid(endpoint, "startTime", opened, TABLES[context.table].bar)
    names = ("open", "high", "low", "close", "volume_base", "volume_quote")
    values = dict(zip(names, columns[1:], strict=False))
    return facts(context, {"timestamp": from_ms(opened)} | values, keep=finished(context, opened))


def _bar_columns(row: Any, endpoint: str, body: bytes, context: Context) -> list[tuple]:
    read = quick(_quick_body(len(row.__args__) - 1), body)
    if read is not None and (read["result"]["category"], read["result"].get("symbol")) == (
        category(context.instrument),
        context.instrument.venue_symbol,
    ):
        columns = list(zip(*read["result"]["list"], strict=True))
        if columns and all_finite(columns):
            return columns
    rows = _rows_of(row, endpoint, body, context, BAR)
    return list(zip(*rows, strict=True)) if rows else [()] * len(row.__args__)


@lru_cache
def _quick_body(numbers: int) -> msgspec.json.Decoder:
    """Return the fast decoder of a body whose bars have this many numbers. See :func:`_body`."""
    row = tuple[QuickMs, *([QuickPrice] * numbers)]  # type: ignore[misc]
    page = TypedDict("page", {"category": str, "symbol": str, "list": list[row]} | _NEXT)  # type: ignore[misc]
    return msgspec.json.Decoder(TypedDict("body", {"retCode": Literal[0], "result": page}), strict=False)


def parse_funding(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Settlements of ``funding/history``, keyed on the nearest minute."""
    import pyarrow as pa

    rows = _rows_of(Settlement, endpoint, body, context)
    column = arrays(rows, symbol=pa.string(), fundingRateTimestamp=pa.int64(), fundingRate=pa.float64())
    check_same(endpoint, "symbol", column["symbol"], context.instrument.venue_symbol)
    return facts(context, settlement(column["fundingRateTimestamp"]) | {"funding_rate": column["fundingRate"]})


def parse_open_interest(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Snapshots of ``open-interest``, one side: ``singleOpenInterest``, or half of ``openInterest`` without it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = _rows_of(OpenInterest, endpoint, body, context)
    column = arrays(rows, timestamp=pa.int64(), openInterest=pa.float64(), singleOpenInterest=pa.float64())
    stamped, both, one = column.values()
    check_grid(endpoint, "timestamp", stamped, TABLES[context.table].bar)
    _check_both_sides(endpoint, both, one)
    return facts(
        context,
        {"timestamp": from_ms(stamped), "open_interest_base": pc.coalesce(one, pc.divide(both, 2.0))},
    )


def _check_both_sides(endpoint: str, both: pa.Array, one: pa.Array) -> None:
    """Raise PayloadError if ``one`` is not half of ``both``, because halving would then be wrong."""
    import pyarrow.compute as pc

    known = pc.is_valid(one)
    of_both, of_one = (pc.sum(pc.filter(values, known)).as_py() or 0.0 for values in (both, one))
    # The venue rounds its values; the error is small on the sum of a page.
    if abs(of_both - 2 * of_one) > 0.1 * of_both:
        problem = f"openInterest {of_both:g} is not twice singleOpenInterest {of_one:g} (sums of the page)"
        raise PayloadError(endpoint, problem, field="openInterest")


def parse_spot_listing(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Spot pairs of ``instruments-info``."""
    return _instruments(_result(ListedPair, endpoint, body, "spot")["list"], _pair, context)


def parse_linear_listing(endpoint: str, status: str | None, body: bytes, context: Context) -> pa.Table:
    """Parse linear perpetuals and dated futures of ``instruments-info``; all must have ``status`` if given."""
    rows = _result(ListedContract, endpoint, body, "linear")["list"]
    for place, row in enumerate(rows):
        if status is not None and row["status"] != status:
            message = f"must be {status!r}, got {row['status']!r}"
            raise PayloadError(endpoint, message, row=place, field="status")
        # The field is documented in minutes, so a value below an hour must have another unit.
        if 0 < (row.get("fundingInterval") or 0) < 60:
            message = f"must be 0 or at least 60 minutes, got {row['fundingInterval']}"
            raise PayloadError(endpoint, message, row=place, field="fundingInterval")
    return _instruments(rows, _contract, context)


def _instruments(rows: list[Any], record: Callable[[Any], dict[str, Any]], context: Context) -> pa.Table:
    reasons = {row["symbol"]: why for row in rows if (why := _unread(row))}
    return listing([_common(row, context) | record(row) for row in rows if row["symbol"] not in reasons], reasons)


def _unread(row: Mapping[str, Any]) -> str:
    """Return why an instrument cannot be read; empty if it can."""
    if row["status"] not in STATUS:
        return f"its status {row['status']!r} is not known"
    kind = KINDS.get(row["contractType"]) if "contractType" in row else "spot"
    if kind is None:
        return f"its contract type {row['contractType']!r} is not known"
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


_PAGED = TypeAdapter(TypedDict("body", {"result": TypedDict("page", _NEXT)}))


def read_cursor(endpoint: str, body: bytes) -> str | None:
    """Return the next page's cursor. The venue sends it URL-encoded; decode it because HTTP encodes it again."""
    cursor = validated(_PAGED, body, endpoint)["result"].get("nextPageCursor")
    return unquote(cursor) if cursor else None
