"""Venues that send nothing usable: the run fails and names the cause, and other venues are not affected."""

from __future__ import annotations

import httpx
import pytest

from cexkit.config import Settings
from cexkit.errors import QuarantinedRowsWarning
from cexkit.exchanges.fetcher import Fetcher
from cexkit.schema import TABLES
from cexkit.testing import LoopbackMarket
from cexkit.testing.loopback import emptied, server_error, web_page
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.store.warehouse import Warehouse

ALWAYS = {"when": lambda request: True}
START, END = "2026-05-19", "2026-05-21"


@pytest.fixture
def market():
    with LoopbackMarket(START, END, coins=["BTC"]) as market:
        yield market


def read(market, folder, venues="okx", tables="funding_rates", symbols="BTCUSDT"):
    settings = Settings(base_urls=market.base_urls, max_clock_skew_seconds=None, http_attempts=2)
    with Fetcher(settings, sleep=lambda _: None) as fetcher:
        return pull(venues, tables, symbols, market.start, market.end, warehouse=folder, fetcher=fetcher)


def break_venue(market, name, *faults):
    market.venues[name].faults = faults


@pytest.mark.parametrize("fault", [server_error, web_page, emptied])
@pytest.mark.parametrize("symbols", ["BTCUSDT", None], ids=["one symbol", "all symbols"])
def test_venue_without_a_usable_response_fails(market, tmp_path, fault, symbols):
    break_venue(market, "okx", fault(**ALWAYS))
    report = read(market, tmp_path, symbols=symbols)
    assert report.failed
    assert report.requests > 0
    assert "no usable response: okx instruments" in report.cause


@pytest.mark.parametrize("fault", [server_error, web_page])
def test_venue_that_was_read_before_fails_too(market, tmp_path, fault):
    assert not read(market, tmp_path).failed
    listed = Warehouse(tmp_path).read(TABLES["instruments"])
    break_venue(market, "okx", fault(**ALWAYS))
    assert read(market, tmp_path, tables=["funding_rates", "ohlcv_1h"]).failed
    assert Warehouse(tmp_path).read(TABLES["instruments"])["status"].equals(listed["status"])


def test_nothing_due_is_success_and_is_said(tmp_path, market):
    read(market, tmp_path)
    settings = Settings(base_urls=market.base_urls, max_clock_skew_seconds=None)
    old = {"start": "2026-05-19", "end": "2026-05-19"}
    with Fetcher(settings) as fetcher:
        report = pull("okx", "funding_rates", "BTCUSDT", **old, warehouse=tmp_path, fetcher=fetcher)
    assert not report.failed
    assert report.problems == ()
    assert "okx funding_rates: nothing was due, no request was sent" in report.notes
    assert "nothing was due" in str(report)


def test_venue_that_fails_wholly_is_a_problem_among_others(market, tmp_path):
    break_venue(market, "okx", server_error(**ALWAYS))
    report = read(market, tmp_path, venues=["okx", "bybit"])
    assert not report.failed
    assert {problem.exchange for problem in report.problems} == {"okx"}
    assert "503" in str(report)
    assert Warehouse(tmp_path).read(TABLES["funding_rates"], exchange="bybit").num_rows > 0


def listed_by(body):
    return Fetcher(
        Settings(max_clock_skew_seconds=None),
        httpx.MockTransport(lambda request: httpx.Response(200, json=body(request))),
        sleep=lambda _: None,
    )


def contract(symbol, **values):
    names = {"symbol": symbol, "baseAsset": symbol[:-4], "quoteAsset": "USDT", "marginAsset": "USDT", "filters": []}
    terms = {
        "contractType": "PERPETUAL",
        "status": "TRADING",
        "deliveryDate": 4133404800000,
        "onboardDate": 1577836800000,
    }
    return names | terms | values


def binance(*contracts):
    def body(request):
        if request.url.path.endswith("/fapi/v1/exchangeInfo"):
            return {"symbols": list(contracts), "rateLimits": []}
        if request.url.path.endswith("exchangeInfo"):
            return {"symbols": [contract("BTCUSDT")], "rateLimits": []}
        return []

    return body


def list_venue(folder, body):
    with listed_by(body) as fetcher:
        return pull("binance", "instruments", warehouse=folder, fetcher=fetcher)


def statuses(folder):
    rows = Warehouse(folder).read(TABLES["instruments"]).to_pylist()
    return {row["symbol"]: row["status"] for row in rows if row["instrument_type"] == "perp"}


BOTH = (contract("AAAUSDT"), contract("BBBUSDT"))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"status": "RESTING"}, "its status 'RESTING' is not known"),
        ({"contractType": "ETERNAL"}, "its contract type 'ETERNAL' is not known"),
    ],
)
def test_value_that_is_not_known_is_reported_with_its_instrument(tmp_path, values, reason):
    assert list_venue(tmp_path, binance(*BOTH)).problems == ()
    report = list_venue(tmp_path, binance(BOTH[0], contract("BBBUSDT", **values), contract("CCCUSDT", **values)))
    assert [problem.symbol for problem in report.problems] == ["BBBUSDT", "CCCUSDT"]
    assert all(reason in problem.message for problem in report.problems)
    assert statuses(tmp_path) == {"AAAUSDT": "trading", "BBBUSDT": "trading"}
    assert list_venue(tmp_path, binance(*BOTH)).problems == (), "it disappears once the venue's list can be read"


def test_empty_list_is_reported_and_delists_nothing(tmp_path):
    list_venue(tmp_path, binance(*BOTH))
    report = list_venue(tmp_path, binance())
    (problem,) = report.problems
    assert "um.exchangeInfo: the list is empty, and had 2 instruments that trade" in problem.message
    assert statuses(tmp_path) == {"AAAUSDT": "trading", "BBBUSDT": "trading"}
    assert not report.failed, "the list of spot pairs can be read"
    assert list_venue(tmp_path, binance(BOTH[0])).problems == ()
    assert statuses(tmp_path) == {"AAAUSDT": "trading", "BBBUSDT": "delisted"}


def test_first_list_without_instruments_fails(tmp_path):
    report = list_venue(tmp_path, lambda request: {"symbols": [], "rateLimits": []})
    assert report.failed
    assert "hold no instrument that can be read" in report.cause


def test_fetch_warns_of_a_value_that_is_not_known():
    listed = binance(BOTH[0], contract("BBBUSDT", status="RESTING"))
    with listed_by(listed) as fetcher, pytest.warns(QuarantinedRowsWarning, match="BBBUSDT: its status 'RESTING' is"):
        fetcher.instruments("binance", "perp")
