"""Parsers of OKX's instruments and upcoming settlements. Facts of the venue: :mod:`cexkit.exchanges.okx.descriptor`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, NotRequired

from typing_extensions import TypedDict

from cexkit.exchanges.instruments import listing, not_known, with_funding_hours
from cexkit.exchanges.okx.payloads import HOUR, OR_NONE, Exact, rows_of
from cexkit.exchanges.parsing import Context, Ms, Name
from cexkit.exchanges.rows import Rows
from cexkit.schema.intervals import MILLISECOND
from cexkit.schema.intervals import from_ms as moment
from cexkit.schema.symbols import canonical, split_multiplier

if TYPE_CHECKING:
    import pyarrow as pa

STATUS = {
    "live": "trading",
    "preopen": "pending",
    "suspend": "halted",
    "rebase": "halted",
    "post_only": "halted",
    "settling": "halted",
    "expired": "delisted",
}

#: States of instruments that are not for trading.
NOT_READ = {"test"}

#: Class of the underlying, by ``instCategory``. Documented; rows recorded before 2025 lack the field.
ASSET_CLASS = {"1": "crypto", "3": "equity", "4": "commodity", "5": "fx", "6": "bond"}


class NextFunding(TypedDict):
    """A row of ``funding-rate``: the coming settlement and the one after."""

    instId: Name
    fundingTime: Annotated[Ms | None, OR_NONE]
    nextFundingTime: Annotated[Ms | None, OR_NONE]


class Listed(TypedDict):
    """A row of ``instruments``."""

    instId: Name
    state: str
    baseCcy: str
    quoteCcy: str
    tickSz: Annotated[Exact | None, OR_NONE]
    lotSz: Annotated[Exact | None, OR_NONE]
    listTime: Annotated[Ms | None, OR_NONE]
    expTime: Annotated[Ms | None, OR_NONE]
    instCategory: NotRequired[str | None]


class ListedContract(Listed):
    """A row of ``instruments`` that is a swap or a future."""

    uly: str
    settleCcy: Annotated[Name | None, OR_NONE]
    ctType: str
    ctVal: Annotated[Exact | None, OR_NONE]
    ctMult: Annotated[Exact | None, OR_NONE]
    ctValCcy: str


def parse_spot_listing(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Instruments of ``instType=SPOT``."""
    return _listing(rows_of(Listed, body, endpoint, name="instId"), context, _spot)


def parse_swap_listing(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Instruments of ``instType=SWAP``."""
    return _listing(rows_of(ListedContract, body, endpoint, name="instId"), context, _swap)


def parse_futures_listing(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Instruments of ``instType=FUTURES``, X-Perps left out."""
    return _listing(rows_of(ListedContract, body, endpoint, name="instId"), context, _future)


class _NotRead(Exception):
    """Reason why an instrument is left out."""


def _listing(rows: Rows, context: Context, read: Callable[[Any, Context], dict[str, Any]]) -> pa.Table:
    """Return readable instruments, and the reasons for the others."""
    records: list[dict[str, Any]] = []
    reasons: dict[str, str] = {}
    for row in rows.values:
        try:
            records.append(read(row, context))
        except _NotRead as reason:
            reasons[row["instId"]] = str(reason)
    return listing(records, reasons, rows)


def _record(row: Listed, kind: str, base: str, quote: str, context: Context) -> dict[str, Any]:
    if row["state"] in NOT_READ:
        raise _NotRead(f"its state {row['state']!r} is not read")
    if row["state"] not in STATUS:
        raise _NotRead(not_known("state", row["state"]))
    if not (base.isalnum() and quote.isalnum()):
        raise _NotRead(f"its currencies are not plain names: {base!r} and {quote!r}")
    asset_class = ASSET_CLASS.get(row.get("instCategory"))
    coin, multiplier = split_multiplier(base, asset_class)
    return {
        "exchange": "okx",
        "instrument_type": kind,
        "symbol": canonical(base, quote),
        "base": coin,
        "quote": quote,
        "venue_symbol": row["instId"],
        "settle": quote,
        "multiplier": multiplier,
        "contract_size": 1.0,
        "inverse": False,
        "tick_size": _float(row["tickSz"]),
        "lot_size": _float(row["lotSz"]),
        "status": STATUS[row["state"]],
        "listing_time": _time(row["listTime"]),
        "delisting_time": _time(row["expTime"]),
        "observed_at": context.now,
        "asset_class": asset_class,
    }


def _spot(row: Listed, context: Context) -> dict[str, Any]:
    return _record(row, "spot", row["baseCcy"], row["quoteCcy"], context)


def _swap(row: ListedContract, context: Context) -> dict[str, Any]:
    return _contract(row, "perp", context)


def _future(row: ListedContract, context: Context) -> dict[str, Any]:
    if "XPERP" in row["instId"]:
        raise _NotRead("it is an X-Perp: it has a date and pays funding")
    expiry = _time(row["expTime"])
    if expiry is None or not row["instId"].endswith(f"-{expiry:%y%m%d}"):
        raise _NotRead(f"its expiry {expiry} is not the one in its name")
    return _contract(row, "future", context) | {"expiry": expiry}


def _contract(row: ListedContract, kind: str, context: Context) -> dict[str, Any]:
    base, _, quote = row["uly"].partition("-")
    record = _record(row, kind, base, quote, context)
    if not (row["ctVal"] and row["ctMult"] and row["settleCcy"]):
        raise _NotRead("its contract's value or settlement is not said")
    if row["ctType"] not in ("linear", "inverse", ""):
        raise _NotRead(not_known("contract type", row["ctType"]))
    if (row["ctType"], row["ctValCcy"]) not in (("linear", base), ("inverse", quote)):
        raise _NotRead(f"its contract is worth {row['ctVal']} {row['ctValCcy']}, though it is {row['ctType']!r}")
    size, inverse = row["ctVal"] * row["ctMult"], row["ctType"] == "inverse"
    expiry = _time(row["expTime"]) if kind == "future" else None
    return record | {
        "symbol": canonical(base, quote, settle=row["settleCcy"], expiry=expiry),
        "settle": row["settleCcy"],
        "contract_size": float(size),
        "inverse": inverse,
        # a lot of an inverse contract is a number of dollars
        "lot_size": None if inverse or row["lotSz"] is None else float(row["lotSz"] * size),
    }


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _time(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else moment(milliseconds)


def parse_next_funding(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Funding intervals now: columns ``venue_symbol`` and ``funding_interval_hours``."""
    import pyarrow as pa

    rows = rows_of(NextFunding, body, endpoint, name="instId")
    hours = [_hours(row["fundingTime"], row["nextFundingTime"]) for row in rows.values]
    columns = {"venue_symbol": [row["instId"] for row in rows.values], "funding_interval_hours": hours}
    schema = pa.schema({"venue_symbol": pa.string(), "funding_interval_hours": pa.float64()})
    return pa.table(columns, schema.with_metadata(rows.metadata()))


def _hours(coming: int | None, following: int | None) -> float | None:
    hours = None if coming is None or following is None else (following - coming) * MILLISECOND / HOUR
    return hours if hours and 0 < hours <= 24 else None


def join_next_funding(instruments: pa.Table, companions: Mapping[str, pa.Table]) -> pa.Table:
    """Put funding intervals on perpetuals; null where the venue does not say one."""
    return with_funding_hours(instruments, companions.get("v5.funding-rate"))
