"""Instruments, settlements, bars, and liquidations in OKX's wire format."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from cexkit.schema.intervals import EPOCH, to_ms
from cexkit.testing.venue import plain, with_partial

#: Delay between a settlement and the moment when its paid rate is published.
SETTLEMENT_DELAY = timedelta(minutes=1)
#: Instrument that is always listed among the futures.
X_PERP = "BTC-USD_UM_XPERP-310404"

_STATES = {"trading": "live", "pending": "preopen", "halted": "suspend"}
_CATEGORIES = {"crypto": "1", "equity": "3", "commodity": "4", "fx": "5", "bond": "6", None: ""}


def _format_number(value: Decimal | float | None) -> str:
    return "" if value is None else plain(value)


def _format_ms(timestamp: datetime | None) -> str:
    return "" if timestamp is None else str(to_ms(timestamp))


def format_rows(page: pl.DataFrame, columns: tuple[str, ...]) -> list[list[str]]:
    """Return columns of a page as rows of text."""
    texts = [page[column].cast(pl.String).to_list() for column in columns]
    return [list(row) for row in zip(*texts, strict=True)]


def add_confirm(rows: pl.DataFrame, confirmed_until: datetime) -> pl.DataFrame:
    """Add ``confirm`` to bars: "1" if the bar is confirmed, else "0"."""
    is_running = pl.col("timestamp") > confirmed_until
    return with_partial(rows, confirmed_until).with_columns(
        confirm=pl.when(is_running).then(pl.lit("0")).otherwise(pl.lit("1"))
    )


def add_volumes(rows: pl.DataFrame, instrument: Mapping[str, Any]) -> pl.DataFrame:
    """Add OKX's three volumes to bars; ``vol`` counts contracts unless the instrument is spot."""
    base = pl.col("volume_base")
    quote = pl.col("volume_quote").fill_null(base * pl.col("close"))
    if instrument["instrument_type"] == "spot":
        return rows.with_columns(vol=base, volCcy=quote, volCcyQuote=quote)
    contracts = (quote if instrument["inverse"] else base) / instrument["contract_size"]
    return rows.with_columns(vol=contracts, volCcy=base, volCcyQuote=quote)


def build_listing(instrument: Mapping[str, Any], inst_type: str) -> dict[str, Any]:
    """Return the listing of an instrument."""
    base, quote = instrument["venue_symbol"].split("-")[:2]
    common = {
        "instType": inst_type,
        "instId": instrument["venue_symbol"],
        "instCategory": _CATEGORIES[instrument["asset_class"]],
        "alias": "",
        "baseCcy": base if inst_type == "SPOT" else "",
        "quoteCcy": quote if inst_type == "SPOT" else "",
        "state": _STATES[instrument["status"]],
        "tickSz": _format_number(instrument["tick_size"]),
        "lotSz": _format_number(instrument["lot_size"]),
        "listTime": _format_ms(instrument["listing_time"]),
        "expTime": _format_ms(instrument["expiry"] or instrument["delisting_time"]),
    }
    empty_terms = dict.fromkeys(("uly", "instFamily", "settleCcy", "ctType", "ctVal", "ctMult", "ctValCcy"), "")
    return common | (empty_terms if inst_type == "SPOT" else _build_contract_terms(instrument, base, quote))


def _build_contract_terms(instrument: Mapping[str, Any], base: str, quote: str) -> dict[str, Any]:
    """Return the contract terms; a size of 1,000 or more is split into a value and a multiplier of 10."""
    size = Decimal(repr(instrument["contract_size"]))
    multiplier = 10 if size >= 1000 else 1
    lots = (
        "1"
        if instrument["inverse"] or instrument["lot_size"] is None
        else _format_number(Decimal(repr(instrument["lot_size"])) / size)
    )
    return {
        "uly": f"{base}-{quote}",
        "instFamily": f"{base}-{quote}",
        "settleCcy": instrument["settle"],
        "ctType": "inverse" if instrument["inverse"] else "linear",
        "ctVal": _format_number(size / multiplier),
        "ctMult": str(multiplier),
        "ctValCcy": quote if instrument["inverse"] else base,
        "lotSz": lots,
    }


def build_x_perp() -> dict[str, Any]:
    """Return the listing of an X-Perp, which OKX lists among the futures."""
    expiry = datetime.fromisoformat("2031-04-04T08:00:00+00:00")
    row = {"venue_symbol": X_PERP, "status": "trading", "tick_size": 0.1, "lot_size": 0.01, "listing_time": None}
    terms = {"contract_size": 0.01, "inverse": False, "settle": "USD", "expiry": expiry, "delisting_time": None}
    return build_listing(row | terms | {"asset_class": "crypto"}, "FUTURES")


def build_next_funding(instrument: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return the next settlement of an instrument; its rate is a constant."""
    hours = instrument["funding_interval_hours"]
    interval = timedelta(hours=hours or 8)
    funding_time = now + (EPOCH - now) % interval
    return {
        "instType": "SWAP",
        "instId": instrument["venue_symbol"],
        "method": "current_period",
        "fundingRate": "0.0000100000",
        "nextFundingRate": "",
        "fundingTime": _format_ms(funding_time),
        "nextFundingTime": _format_ms(funding_time + interval if hours else None),
    }


def build_settlement(row: Mapping[str, Any], instrument: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return a past settlement; the paid rate is empty until :data:`SETTLEMENT_DELAY` has passed."""
    is_paid = (row["venue_timestamp"] or row["timestamp"]) + SETTLEMENT_DELAY <= now
    return {
        "formulaType": "withRate",
        "fundingRate": repr(row["funding_rate"] * 0.9 + 1e-6),
        "fundingTime": str(row["ms"]),
        "instId": instrument["venue_symbol"],
        "instType": "SWAP",
        "method": "current_period",
        "realizedRate": repr(row["funding_rate"]) if is_paid else "",
    }


def build_liquidation(row: Mapping[str, Any], instrument: Mapping[str, Any]) -> dict[str, Any]:
    """Return a liquidation; its size is in contracts."""
    size = row["value_quote"] if instrument["inverse"] else row["quantity_base"]
    return {
        "bkLoss": "0",
        "bkPx": _format_number(row["price"]),
        "ccy": "",
        # Positions of accounts in net mode have no side.
        "posSide": ("net", row["side"], "", row["side"])[row["ms"] % 4],
        "side": "sell" if row["side"] == "long" else "buy",
        "sz": _format_number(Decimal(repr(size)) / Decimal(repr(instrument["contract_size"]))),
        "ts": str(row["ms"]),
    }


def zip_settlements(rows: pl.DataFrame, venue_symbol: str, month: int, rate_error: float) -> bytes:
    """Return a month's settlements as a zipped CSV file of the archive.

    The header varies with the month: none, English, or Chinese.

    Parameters
    ----------
    rows : polars.DataFrame
        Funding rates, oldest first.
    venue_symbol : str
        OKX's name of the instrument.
    month : int
        Number of the month in the file's name.
    rate_error : float
        Offset added to each rate.
    """
    headers = ["", "instrument_name,funding_rate,funding_time\n", "合约名称,资金费率,资金费率时间\n"]
    lines = [
        f"{venue_symbol},{row['funding_rate'] + rate_error!r},{round(row['timestamp'].timestamp() * 1000)}\n"
        for row in rows.to_dicts()
    ]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        # Use a constant date, so that the same rows give the same bytes.
        info = zipfile.ZipInfo("rates.csv", (2020, 1, 1, 0, 0, 0))
        file.writestr(info, (headers[month % 3] + "".join(lines)).encode("gb18030"))
    return buffer.getvalue()
