"""Rows of lists and messages that contradict themselves or each other: each costs only itself, for good."""

from __future__ import annotations

import json
from datetime import timedelta

import httpx
import polars as pl
import pytest

from cexkit.config import Settings
from cexkit.errors import PayloadError
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.instruments import left_out
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.registry import parse_response
from cexkit.exchanges.streams import STREAMS, liquidations_of, read_events
from cexkit.schema import TABLES
from cexkit.schema.intervals import to_ms, utc
from cexkit.schema.symbols import Instrument
from cexkit.warehouse.ingest.bronze import ingest_bronze
from cexkit.warehouse.ingest.rebuild import rebuild
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.store.warehouse import Warehouse

NOW = utc("2024-02-01")
LISTED, EARLIER = to_ms(utc("2023-01-01")), to_ms(utc("2022-01-01"))
LISTING = TABLES["instruments"]


def contract(symbol: str, /, **more) -> dict:
    names = {"symbol": symbol, "baseAsset": symbol.removesuffix("USDT"), "quoteAsset": "USDT", "marginAsset": "USDT"}
    times = {"deliveryDate": 4133404800000, "onboardDate": LISTED}
    return names | times | {"contractType": "PERPETUAL", "status": "TRADING", "filters": []} | more


def bybit(symbol: str, /, **more) -> dict:
    names = {"symbol": symbol, "baseCoin": symbol.removesuffix("USDT"), "quoteCoin": "USDT", "settleCoin": "USDT"}
    terms = {"contractType": "LinearPerpetual", "launchTime": str(LISTED), "deliveryTime": "0", "status": "Trading"}
    return names | terms | {"priceFilter": {"tickSize": "1"}, "lotSizeFilter": {"qtyStep": "1"}} | more


def okx(name: str, /, **more) -> dict:
    base = name.partition("-")[0]
    terms = {"uly": f"{base}-USDT", "settleCcy": "USDT", "ctType": "linear", "ctVal": "1", "ctMult": "1"}
    names = {"instId": name, "baseCcy": "", "quoteCcy": "", "tickSz": "1", "lotSz": "1", "ctValCcy": base}
    return names | terms | {"state": "live", "listTime": str(LISTED), "expTime": ""} | more


def deribit(name: str, /, **more) -> dict:
    base = name.partition("_")[0]
    names = {"instrument_name": name, "kind": "future", "settlement_period": "perpetual", "is_active": True}
    names |= {"base_currency": base, "quote_currency": "USDC", "settlement_currency": "USDC", "state": "open"}
    terms = {"contract_size": 1, "tick_size": 1, "min_trade_amount": 1, "instrument_type": "linear"}
    return names | terms | {"creation_timestamp": LISTED, "expiration_timestamp": 32503708800000} | more


def product(name: str, /, **more) -> dict:
    base, quote = name.split("-")
    steps = {"quote_increment": "0.01", "base_increment": "0.01"}
    return {"id": name, "base_currency": base, "quote_currency": quote, "status": "online"} | steps | more


def spot(symbol: str, /, **more) -> dict:
    names = {"symbol": symbol, "baseAsset": symbol.removesuffix("USDT"), "quoteAsset": "USDT"}
    return names | {"status": "TRADING", "filters": []} | more


#: Endpoint: venue, a sound row, a second one, and the body around rows.
LISTS = {
    "um.exchangeInfo": ("binance", contract, ("AUSDT", "BUSDT"), lambda rows: {"symbols": rows}),
    "spot.exchangeInfo": ("binance", spot, ("AUSDT", "BUSDT"), lambda rows: {"symbols": rows}),
    "v5.instruments-info.linear": (
        "bybit", bybit, ("AUSDT", "BUSDT"), lambda rows: {"retCode": 0, "result": {"category": "linear", "list": rows}}
    ),
    "v5.instruments-perp": (
        "okx", okx, ("A-USDT-SWAP", "B-USDT-SWAP"), lambda rows: {"code": "0", "data": rows}
    ),
    "drb.get_instruments": (
        "coinbase", deribit, ("A_USDC-PERPETUAL", "B_USDC-PERPETUAL"), lambda rows: {"result": rows}
    ),
    "spot.products": ("coinbase", product, ("A-USD", "B-USD"), lambda rows: rows),
}  # fmt: skip
FAULTS = {
    "um.exchangeInfo": [
        {"onboardDate": None}, {"deliveryDate": 0}, {"deliveryDate": EARLIER}, {"baseAsset": ""}, {"status": None},
        {"baseAsset": "B\u0000"}, {"baseAsset": "1" * 100_000}, {"filters": [{"tickSize": "1e400"}]}, {"status": "NEW"},
        {"onboardDate": LISTED // 1000}, {"contractType": "PERPETUAL\ud800", "marginAsset": "\ud800"},
        {"deliveryDate": 9_999_999_999_999, "contractType": "CURRENT_QUARTER"}, {"onboardDate": 7_258_118_400_000},
    ],
    "spot.exchangeInfo": [{"baseAsset": None}, {"filters": None}, {"quoteAsset": "US\x1b"}, {"status": 5}],
    "v5.instruments-info.linear": [
        {"baseCoin": ""}, {"launchTime": "soon"}, {"deliveryTime": str(EARLIER)},
        {"priceFilter": {}}, {"lotSizeFilter": {"qtyStep": "1e400"}}, {"baseCoin": "\t"}, {"fundingInterval": 8},
    ],
    "v5.instruments-perp": [
        {"ctVal": "0"}, {"uly": None}, {"expTime": str(EARLIER)}, {"listTime": "x"}, {"uly": "B\n-USDT"},
        {"ctVal": "1e400"},
    ],
    "drb.get_instruments": [
        {"creation_timestamp": None}, {"expiration_timestamp": EARLIER}, {"contract_size": 0},
        {"base_currency": "B\x00"}, {"contract_size": 1e400}, {"kind": None},
    ],
    "spot.products": [{"base_currency": None}, {"base_increment": ""}, {"base_currency": "B" * 101}, {"status": None}],
}  # fmt: skip


def parsed(endpoint: str, *rows: dict):
    exchange, _, _, around = LISTS[endpoint]
    body = json.dumps(around(list(rows))).encode()
    return parse_response(exchange, endpoint, body, Context(exchange=exchange, table="instruments", now=NOW))


@pytest.mark.parametrize(("endpoint", "fault"), [(name, fault) for name in FAULTS for fault in FAULTS[name]])
def test_bad_row_of_a_list_is_left_out_with_its_reason(endpoint, fault):
    _, row, (good, bad), _ = LISTS[endpoint]
    listed = parsed(endpoint, row(good), row(bad, **fault))
    assert listed["venue_symbol"].to_pylist() == [good]
    assert list(left_out(listed)) == [bad]
    assert left_out(listed)[bad].isprintable()


@pytest.mark.parametrize("endpoint", LISTS)
def test_two_names_of_one_symbol_are_both_left_out(endpoint):
    _, row, (first, second), _ = LISTS[endpoint]
    name = next(key for key, value in row(first).items() if value == first)
    others = parsed(endpoint, row(first), row(first, **{name: "A-USD-TWIN"}), row(second))
    assert others["venue_symbol"].to_pylist() == [second]
    assert sorted(left_out(others)) == sorted([first, "A-USD-TWIN"])
    assert parsed(endpoint, row(first), row(first)).num_rows == 1, "a row that is repeated is one"


def test_row_without_a_name_delists_nothing(tmp_path):
    lists = [[contract("AUSDT"), contract("BUSDT")], [contract("AUSDT"), contract("BUSDT", symbol=None)]]
    assert read(tmp_path, lists)["status"].to_list() == ["trading", "trading"]


def read(root, lists) -> pl.DataFrame:
    """Return the instruments of Binance after some lists, by symbol; a rebuild must give the same."""
    warehouse = Warehouse(root)
    for contracts in lists:

        def response(request, contracts=contracts):
            body = {"symbols": contracts if "fapi" in request.url.path else [], "rateLimits": ["bad"]}
            body = [] if "fundingInfo" in request.url.path else body
            return httpx.Response(200, content=json.dumps(body), headers={"Date": "Thu, 01 Feb 2024 00:00:00 GMT"})

        with Fetcher(Settings(max_clock_skew_seconds=None), httpx.MockTransport(response)) as fetcher:
            ingest_bronze(warehouse, fetcher, "binance", LISTING)
        build_silver(warehouse, "binance", LISTING)
    (done, _) = rebuild(warehouse, "binance", [LISTING], dry_run=True)
    assert (done.added, done.changed, done.lost_keys) == (0, 0, 0), str(done)
    return pl.from_arrow(warehouse.read(LISTING)).sort("symbol")


def test_two_names_leave_what_was_known_and_end_with_them(tmp_path):
    twin = contract("AUSDT", symbol="A_USDT")
    rows = read(tmp_path / "1", [[contract("AUSDT"), contract("BUSDT")], [contract("AUSDT"), twin, contract("BUSDT")]])
    assert rows.select("venue_symbol", "status").rows() == [("AUSDT", "trading"), ("BUSDT", "trading")]
    rows = read(tmp_path / "2", [[contract("AUSDT"), twin, contract("BUSDT")], [twin, contract("BUSDT")]])
    assert rows.select("venue_symbol", "status").rows() == [("A_USDT", "trading"), ("BUSDT", "trading")]
    rows = read(tmp_path / "3", [[contract("AUSDT"), twin, contract("BUSDT")], [contract("BUSDT")]])
    assert rows["venue_symbol"].to_list() == ["BUSDT"]


BTC = {"symbol": "BTCUSDT", "base": "BTC", "quote": "USDT", "instrument_type": "perp"}
MS = to_ms(NOW)
GOOD = {"T": MS, "s": "BTCUSDT", "S": "Buy", "v": "2", "p": "50000"}
BAD_EVENTS = [
    {"p": "1e400"}, {"v": "1e400"}, {"v": "x"}, {"T": to_ms(utc("2190-01-01"))}, {"T": 253402300799000},
    {"T": 32503680000000}, {"T": MS // 1000}, {"T": None}, {"S": "Up"}, {"s": "B\x00"}, {"s": "B" * 100_000},
    {"v": 1e400}, {"T": to_ms(NOW + timedelta(days=2))},
]  # fmt: skip


def message(exchange: str, *events: dict) -> bytes:
    if exchange == "bybit":
        body = {"topic": "allLiquidation.BTCUSDT", "data": list(events)}
    elif exchange == "binance":
        names = {"T": "T", "s": "s", "v": "z", "p": "ap"}
        sides = {"Buy": "SELL", "Sell": "BUY"}
        orders = [{names.get(k, k): sides.get(v, v) if k == "S" else v for k, v in event.items()} for event in events]
        body = {"data": [{"e": "forceOrder", "o": order} for order in orders]}
    else:
        sides = {"Buy": "sell", "Sell": "buy"}
        details = [
            {"ts": e["T"], "side": sides.get(e["S"], e["S"]), "bkPx": e["p"], "sz": e["v"], "posSide": "long"}
            for e in events
        ]
        items = [{"instId": e["s"], "details": [detail]} for e, detail in zip(events, details, strict=True)]
        body = {"arg": {"channel": "liquidation-orders"}, "data": items}
    return json.dumps(body).encode()


@pytest.mark.parametrize("exchange", STREAMS)
@pytest.mark.parametrize("fault", BAD_EVENTS, ids=lambda fault: str(fault)[:30])
def test_bad_event_of_a_message_costs_only_itself(exchange, fault):
    problems = []
    events = read_events(STREAMS[exchange], message(exchange, GOOD, GOOD | fault), NOW, problems)
    assert [event.ms for event in events] == [MS]
    assert len(problems) == 1
    assert len(problems[0]) < 400
    with pytest.raises(PayloadError):
        read_events(STREAMS[exchange], message(exchange, GOOD | fault), NOW)


def test_size_that_overflows_is_left_out():
    inverse = Instrument(exchange="okx", venue_symbol="BTC-USD-SWAP", contract_size=100.0, inverse=True, **BTC)
    event = GOOD | {"s": "BTC-USD-SWAP", "p": "1e-320", "v": "1e20"}
    rows, problems = liquidations_of("okx", {message("okx", event, event | {"p": "50000"}): NOW}, [inverse])
    assert rows["price"].to_pylist() == [50000.0]
    assert "not finite" in problems[0]
