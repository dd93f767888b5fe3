"""Every parser of a table, with one fault in one row: the row is quarantined or repaired, and the others stay.

Parsers come from the registry, so a new one without a sound row in this file fails.
"""

from __future__ import annotations

import copy
import io
import json
import warnings
import zipfile
from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest

from cexkit.errors import PayloadError, QuarantinedRowsWarning
from cexkit.exchanges.archives import unzipped
from cexkit.exchanges.assembly import assemble_table
from cexkit.exchanges.http import Response
from cexkit.exchanges.page import Page
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.registry import EXCHANGES, parse_response
from cexkit.exchanges.rows import added_columns, quarantined
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, to_ms, utc
from cexkit.schema.symbols import Instrument

START, NOW = utc("2024-01-02"), utc("2024-02-01")
COUNT, BAD = 12, 5
HOUR_MS = 3_600_000
NAMES = {"binance": "BTCUSDT", "bybit": "BTCUSDT", "okx": "BTC-USDT-SWAP", "coinbase": "BTC_USDC-PERPETUAL"}
#: Each parser of the registry once: venue, table, instrument type, endpoint.
PARSERS = sorted(
    {
        (venue.name, table, kind, part.endpoint)
        for venue in EXCHANGES.values()
        for (table, kind), part in (*venue.sources.items(), *venue.archives.items())
        if table != "instruments"
    }
)
FAULTS = ["blank cell", "BOM", "extra column", "off-grid time", "duplicate", "seconds", "null", "unknown enum"]
#: The endpoint mixes in seconds, and states open interest in a second field too.
REPAIRED = {("v5.open-interest", "seconds"), ("v5.open-interest", "null")}
#: Fields with an enumerated value, and another value.
ENUMS = {"symbol": "ETHUSDT", "instType": "FUTURES", "side": "up", "instId": "ETH-USDT-SWAP"}


def opened(table: str, number: int) -> int:
    """The time of a row in milliseconds, oldest first; settlements are 8 hours apart."""
    step = {"funding_rates": 8 * HOUR_MS, "liquidations": 60_000}.get(table)
    return to_ms(START) + number * (step or TABLES[table].bar // timedelta(milliseconds=1))


def candle(table: str, number: int) -> tuple[list[str], list[str], int]:
    bar = TABLES[table].bar // timedelta(milliseconds=1)
    return ["10", "12", "9", "11"], ["5", "55"], opened(table, number) + bar - 1


def json_row(endpoint: str, table: str, number: int):
    """A row of a page, as the venue sends it."""
    if endpoint.startswith("archive."):
        return csv_row(endpoint, table, number)
    at, value = opened(table, number), str(number + 1)
    rate = {"symbol": "BTCUSDT", "fundingRate": f"0.000{number + 1}"}
    if "klines" in endpoint or "Klines" in endpoint:
        prices, (base, quote), closed = candle(table, number)
        return [at, *prices, base, closed, quote, number, "2", "22", "0"]
    if endpoint.endswith("fundingRate"):
        return rate | {"fundingTime": at, "markPrice": "40000"}
    if endpoint.endswith("openInterestHist"):
        return {"symbol": "BTCUSDT", "sumOpenInterest": value, "sumOpenInterestValue": value, "timestamp": at}
    if endpoint in ("v5.kline", "v5.mark-price-kline", "v5.index-price-kline"):
        prices, volumes, _ = candle(table, number)
        return [str(at), *prices, *(volumes if endpoint == "v5.kline" else [])]
    if endpoint == "v5.funding-history":
        return rate | {"fundingRateTimestamp": str(at)}
    if endpoint == "v5.open-interest":
        return {"openInterest": str(2 * number + 2), "singleOpenInterest": value, "timestamp": str(at)}
    if endpoint in ("v5.history-candles", "v5.history-mark-price-candles", "v5.history-index-candles"):
        prices, _, _ = candle(table, number)
        return [str(at), *prices, *(["5", "5", "55"] if endpoint == "v5.history-candles" else []), "1"]
    if endpoint == "v5.funding-rate-history":
        return {"instId": NAMES["okx"], "instType": "SWAP", "fundingTime": str(at), "realizedRate": rate["fundingRate"]}
    if endpoint.startswith("v5.open-interest-history"):
        return [str(at), value, value, value]
    if endpoint == "v5.liquidation-orders":
        return {"ts": str(at), "bkPx": "40000", "sz": value, "side": "buy", "posSide": "short"}
    if endpoint == "spot.candles":
        return [at // 1000, 9, 12, 10, 11, 5]
    if endpoint == "drb.get_tradingview_chart_data":
        return [at, 10, 12, 9, 11, 5, 55]
    if endpoint == "drb.get_funding_rate_history":
        return {"timestamp": at, "interest_1h": float(rate["fundingRate"]), "index_price": 40000}
    raise AssertionError(f"write a sound row of {endpoint} here")


def csv_row(endpoint: str, table: str, number: int) -> list[str]:
    at, value = opened(table, number), str(number + 1)
    if endpoint in ("archive.klines", "archive.markPriceKlines", "archive.indexPriceKlines"):
        prices, (base, quote), closed = candle(table, number)
        return [str(at), *prices, base, str(closed), quote, "3", "2", "22", "0"]
    if endpoint == "archive.fundingRate":
        return [str(at), "8", f"0.000{value}"]
    if endpoint == "archive.metrics":
        label = (START + timedelta(hours=number)).strftime("%Y-%m-%d %H:%M:%S")
        return [label, "BTCUSDT", value, value, "1", "1", "1", "1"]
    if endpoint == "archive.swaprates":
        return [NAMES["okx"], f"0.000{value}", str(at)]
    raise AssertionError(f"write a sound row of {endpoint} here")


def body(endpoint: str, rows: list, fault: str) -> bytes:
    if endpoint.startswith("archive."):
        text = "\n".join(",".join(row) for row in rows) + "\n\n"
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("x.csv", ("\ufeff" if fault == "BOM" else "") + header(endpoint, fault) + text)
        return buffer.getvalue()
    venue_rows = around(endpoint, rows)
    return (b"\xef\xbb\xbf" if fault == "BOM" else b"") + json.dumps(venue_rows).encode()


def header(endpoint: str, fault: str) -> str:
    if endpoint != "archive.metrics" and endpoint != "archive.fundingRate":
        return ""
    from cexkit.exchanges.binance import archive

    names = archive._METRICS if endpoint == "archive.metrics" else archive._FUNDING
    return ",".join([*names, *(["new"] if fault == "extra column" else [])]) + "\n"


def around(endpoint: str, rows: list):
    """The body around rows; pages of some venues begin with the newest row."""
    if endpoint == "drb.get_tradingview_chart_data":
        columns = ("ticks", "open", "high", "low", "close", "volume", "cost")
        lists = {name: [row[place] for row in rows] for place, name in enumerate(columns)}
        return {"result": {"status": "ok", **lists}}
    if endpoint.startswith("drb."):
        return {"result": rows}
    if endpoint == "v5.liquidation-orders":
        items = [{"instId": row.pop("instId", NAMES["okx"]), "details": [row]} for row in copy.deepcopy(rows)]
        return {"code": "0", "data": items}
    if endpoint in (
        "v5.kline",
        "v5.mark-price-kline",
        "v5.index-price-kline",
        "v5.open-interest",
        "v5.funding-history",
    ):
        return {"retCode": 0, "result": {"category": "linear", "symbol": "BTCUSDT", "list": rows[::-1]}}
    if endpoint.startswith("v5."):
        return {"code": "0", "data": rows[::-1]}
    return rows


def time_field(row) -> int | str:
    names = ("fundingTime", "fundingRateTimestamp", "timestamp", "ts")
    return next(name for name in names if name in row) if isinstance(row, dict) else 0


def value_field(row) -> int | str:
    names = ("fundingRate", "realizedRate", "interest_1h", "sumOpenInterest", "singleOpenInterest", "bkPx")
    return next(name for name in names if name in row) if isinstance(row, dict) else 2


def faulty(endpoint: str, rows: list, fault: str) -> tuple[list, int, int]:
    """Return rows with a fault, how many good rows are left, and how many are quarantined."""
    rows = copy.deepcopy(rows)
    bad, lost = rows[BAD], (COUNT - 1, 1)
    is_file = endpoint.startswith("archive.")
    at = 2 if endpoint == "archive.swaprates" else time_field(bad)
    value = 1 if endpoint == "archive.swaprates" else value_field(bad)
    if fault == "BOM":
        return rows, COUNT, 0
    if fault in ("blank cell", "null"):
        if fault == "null" and is_file:
            bad[value] = "null"
        else:
            bad[value] = "" if fault == "blank cell" else None
    elif fault == "extra column":
        for row in rows:
            row.append("7") if isinstance(row, list) else row.update(new="7")
        return rows, COUNT, 0
    elif fault == "off-grid time":
        shifted = {"archive.metrics": "2024-01-02 05:00:07"}.get(endpoint)
        step = 7 if endpoint == "spot.candles" else 7_001
        bad[at] = shifted or type(bad[at])(int(bad[at]) + step)
    elif fault == "duplicate":
        twin = copy.deepcopy(bad)
        twin[value] = type(bad[value])(float(bad[value]) * 1.001) if value != 2 or is_file else type(bad[value])(11.5)
        rows.insert(BAD, twin)
        return rows, COUNT - 1, 2
    elif fault == "seconds":
        bad[at] = "1704171600" if is_file else type(bad[at])(1_704_171_600 if endpoint != "spot.candles" else 1_704_171)
    elif fault == "unknown enum":
        name = next((name for name in ENUMS if isinstance(bad, dict) and name in bad), None)
        if name:
            bad[name] = ENUMS[name]
        elif endpoint in ("archive.metrics", "archive.swaprates"):
            bad[1 if endpoint == "archive.metrics" else 0] = "OTHER"
        elif endpoint.startswith("v5.history"):
            bad[-1] = "2"
        else:
            return rows, COUNT, 0
    return rows, *lost


@cache
def context(venue: str, table: str, kind: str) -> Context:
    spot = {"binance": "BTCUSDT", "bybit": "BTCUSDT", "okx": "BTC-USDT", "coinbase": "BTC-USD"}
    instrument = Instrument(
        exchange=venue, instrument_type=kind, symbol="BTCUSDT", base="BTC", quote="USDT",
        venue_symbol=spot[venue] if kind == "spot" else NAMES[venue],
    )  # fmt: skip
    return Context(exchange=venue, table=table, now=NOW, instrument=instrument, window=Window(START, NOW))


def used(venue: str, table: str, endpoint: str, content: bytes, of: Context) -> tuple[int, int, str | None]:
    """Return how many rows are used, how many are quarantined, and which columns are not read."""
    if of.instrument.instrument_type == "spot":
        content = content.replace(b'"category": "linear"', b'"category": "spot"')
    parsed = parse_response(venue, endpoint, content, of)
    page = Page(
        Response(url="", params={}, status=200, headers={}, body=content, received_at=NOW), endpoint, of, parsed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuarantinedRowsWarning)
        good = assemble_table([page], table)
    return good.num_rows, quarantined(parsed).count + parsed.num_rows - good.num_rows, added_columns(parsed)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("venue", "table", "kind", "endpoint"), PARSERS, ids=lambda part: part)
def test_fault_of_a_row_costs_only_that_row(venue, table, kind, endpoint, fault):
    of = context(venue, table, kind)
    sound = [json_row(endpoint, table, number) for number in range(COUNT)]
    assert used(venue, table, endpoint, body(endpoint, sound, ""), of) == (COUNT, 0, None)
    rows, left, lost = faulty(endpoint, sound, fault)
    good, bad, added = used(venue, table, endpoint, body(endpoint, rows, fault), of)
    if fault == "off-grid time" and endpoint == "archive.metrics":
        left, lost = COUNT - 1, 0  # snapshots at other times are not kept
    elif (fault == "off-grid time" and TABLES[table].bar is None) or (endpoint, fault) in REPAIRED:
        left, lost = COUNT, 0  # settlements jitter, and events have any time
    if table == "liquidations" and fault in ("duplicate", "unknown enum"):
        left, lost = (COUNT + 1, 0) if fault == "duplicate" else (COUNT - 1, 1)
    assert (good, bad) == (left, lost)
    has_places = isinstance(sound[0], list) and endpoint != "drb.get_tradingview_chart_data"
    assert (added is not None) == (fault == "extra column" and has_places)


@pytest.mark.parametrize(
    ("venue", "table", "kind", "endpoint"), [part for part in PARSERS if not part[3].startswith("archive.")]
)
def test_cell_with_half_a_character_costs_only_its_row(venue, table, kind, endpoint):
    rows = [json_row(endpoint, table, number) for number in range(COUNT)]
    rows[BAD][value_field(rows[BAD])] = "\ud800"
    good, bad, _ = used(venue, table, endpoint, body(endpoint, rows, ""), context(venue, table, kind))
    assert (good, bad) == (COUNT - 1, 1)


@pytest.mark.parametrize("table", ["ohlcv_1d", "funding_rates", "open_interest"])
def test_page_in_order_but_for_one_row_keeps_the_others(table):
    """OKX's pages are refused if they are not newest first, because they mislead pagination."""
    (endpoint,) = {part[3] for part in PARSERS if part[:3] == ("okx", table, "perp")} - {"archive.swaprates"}
    rows = [json_row(endpoint, table, number) for number in range(COUNT)]
    rows[BAD][time_field(rows[BAD])] = str(opened(table, -7))
    of = replace(context("okx", table, "perp"), window=Window(START - timedelta(days=90), NOW))
    good, bad, _ = used("okx", table, endpoint, body(endpoint, rows, ""), of)
    assert (good, bad) == (COUNT - 1, 1)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_zip_is_refused_whatever_byte_is_wrong(method):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("x.csv", "1,2,3\n" * 50)
    refused = 0
    for place in range(len(buffer.getvalue())):
        damaged = bytearray(buffer.getvalue())
        damaged[place] ^= 0xFF
        try:
            unzipped("archive.klines", bytes(damaged))
        except PayloadError:
            refused += 1
    assert refused > 50
