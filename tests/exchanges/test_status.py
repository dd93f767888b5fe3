"""Status of instruments: what a venue states, compared with the end of the contract at the time of the list."""

from __future__ import annotations

import json
from datetime import timedelta

import polars as pl
import pytest

from cexkit.exchanges.binance.payloads import STATUS as BINANCE
from cexkit.exchanges.bybit.payloads import STATUS as BYBIT
from cexkit.exchanges.coinbase.payloads import STATE as COINBASE
from cexkit.exchanges.okx.listings import STATUS as OKX
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.registry import parse_response
from cexkit.schema.intervals import to_ms, utc

NOW, DAY = utc("2024-06-01"), timedelta(days=1)
LISTED = str(to_ms(utc("2020-01-01")))


def binance(state: str, end: str) -> tuple[str, object]:
    names = {"symbol": "AUSDT", "baseAsset": "A", "quoteAsset": "USDT", "marginAsset": "USDT", "filters": []}
    times = {"deliveryDate": int(end or 4133404800000), "onboardDate": int(LISTED)}
    return "um.exchangeInfo", {"symbols": [names | times | {"contractType": "PERPETUAL", "status": state}]}


def okx(state: str, end: str) -> tuple[str, object]:
    terms = {"uly": "A-USDT", "settleCcy": "USDT", "ctType": "linear", "ctVal": "1", "ctMult": "1", "ctValCcy": "A"}
    names = {"instId": "A-USDT-SWAP", "baseCcy": "", "quoteCcy": "", "tickSz": "1", "lotSz": "1"}
    row = names | terms | {"state": state, "listTime": LISTED, "expTime": end}
    return "v5.instruments-perp", {"code": "0", "data": [row]}


def bybit(state: str, end: str) -> tuple[str, object]:
    names = {"symbol": "AUSDT", "baseCoin": "A", "quoteCoin": "USDT", "settleCoin": "USDT", "status": state}
    terms = {"contractType": "LinearPerpetual", "launchTime": LISTED, "deliveryTime": end or "0"}
    sizes = {"priceFilter": {"tickSize": "1"}, "lotSizeFilter": {"qtyStep": "1"}}
    result = {"category": "linear", "list": [names | terms | sizes]}
    return "v5.instruments-info.linear", {"retCode": 0, "result": result}


def coinbase(state: str, end: str) -> tuple[str, object]:
    names = {"instrument_name": "A_USDC-PERPETUAL", "kind": "future", "settlement_period": "perpetual", "state": state}
    names |= {"base_currency": "A", "quote_currency": "USDC", "settlement_currency": "USDC", "is_active": True}
    terms = {"contract_size": 1, "tick_size": 1, "min_trade_amount": 1, "instrument_type": "linear"}
    times = {"creation_timestamp": int(LISTED), "expiration_timestamp": int(end or 32503708800000)}
    return "drb.get_instruments", {"result": [names | terms | times]}


STATES = {binance: BINANCE, okx: OKX, bybit: BYBIT, coinbase: COINBASE}
EVERY = [(venue, state, ours) for venue, states in STATES.items() for state, ours in states.items()]


def listed(venue, state: str, end=None) -> tuple[str, object]:
    """Return the status and the delisting time of a perpetual."""
    endpoint, body = venue(state, "" if end is None else str(to_ms(end)))
    context = Context(exchange=venue.__name__, table="instruments", now=NOW)
    row = parse_response(venue.__name__, endpoint, json.dumps(body).encode(), context).to_pylist()[0]
    return row["status"], row["delisting_time"]


@pytest.mark.parametrize(("venue", "state", "ours"), EVERY)
def test_status_without_an_end_or_before_it_is_what_the_venue_states(venue, state, ours):
    assert listed(venue, state) == (ours, None)
    assert listed(venue, state, NOW + DAY) == (ours, NOW + DAY)


@pytest.mark.parametrize(("venue", "state", "ours"), EVERY)
@pytest.mark.parametrize("ago", [timedelta(), 700 * DAY])
def test_instrument_that_does_not_trade_is_delisted_from_its_end_on(venue, state, ours, ago):
    expected = ("trading", None) if ours == "trading" else ("delisted", NOW - ago)
    assert listed(venue, state, NOW - ago) == expected


@pytest.mark.parametrize("state", ["PRE_DELIVERING", "SETTLING", "DELIVERING"])
def test_dated_contract_is_delisted_from_its_expiry_on(state):
    _, body = binance(state, str(to_ms(NOW - DAY)))
    body["symbols"][0] |= {"contractType": "CURRENT_QUARTER"}
    context = Context(exchange="binance", table="instruments", now=NOW)
    (row,) = parse_response("binance", "um.exchangeInfo", json.dumps(body).encode(), context).to_pylist()
    assert (row["status"], row["delisting_time"], row["expiry"]) == ("delisted", NOW - DAY, NOW - DAY)


def test_settling_contracts_of_the_real_list_are_delisted(shared):
    name = "recordings/binance/fapi_v1_exchangeInfo_2026-07-04_first_rows.json"
    body = (shared / name).read_bytes()
    sent = json.loads(body)
    context = Context(exchange="binance", table="instruments", now=utc("2026-07-04T14:00:17.043"))
    rows = pl.from_arrow(parse_response("binance", "um.exchangeInfo", body, context))
    expected = {"SETTLING": "delisted", "TRADING": "trading", "PENDING_TRADING": "pending"}
    states = {row["symbol"]: expected[row["status"]] for row in sent["symbols"]}
    assert dict(rows.select("venue_symbol", "status").rows()) == states
    ends = {row["symbol"]: row["deliveryDate"] for row in sent["symbols"] if row["status"] == "SETTLING"}
    gone = rows.filter(status="delisted").select("venue_symbol", pl.col("delisting_time").dt.epoch("ms"))
    assert dict(gone.rows()) == ends
