"""Symbols that some of several venues do not know: they cost neither other venues nor other symbols."""

from __future__ import annotations

from dataclasses import replace

import pytest

import cexkit
from cexkit.config import Settings
from cexkit.errors import UnknownNameError
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.http.client import HttpClient
from cexkit.schema import TABLES
from cexkit.testing import LoopbackMarket
from cexkit.warehouse.ingest.plan import plans
from cexkit.warehouse.store.warehouse import Warehouse

VENUES = ["bybit", "okx"]


@pytest.fixture(scope="module")
def venues():
    with LoopbackMarket("2026-05-19", "2026-05-21", coins=["BTC", "ETH"]) as market:
        yield market


@pytest.fixture
def fetcher(venues):
    with Fetcher(Settings(base_urls=venues.base_urls)) as fetcher:
        yield fetcher


def symbols(warehouse) -> set[str]:
    rows = Warehouse(warehouse).read(TABLES["funding_rates"])
    return {f"{row['exchange']} {row['symbol']}" for row in rows.select(["exchange", "symbol"]).to_pylist()}


def test_unknown_symbol_costs_no_other_symbol(venues, fetcher, tmp_path):
    report = cexkit.pull(
        VENUES, "funding_rates", ["BTCUSDT", "NOSUCHUSDT"], venues.start, warehouse=tmp_path, fetcher=fetcher
    )
    assert symbols(tmp_path) == {"bybit BTCUSDT", "okx BTCUSDT"}
    assert sorted(problem.exchange for problem in report.problems) == VENUES
    assert all("'NOSUCHUSDT'" in problem.message for problem in report.problems)


def test_symbol_that_one_venue_lacks_costs_no_other_venue(venues, tmp_path):
    with LoopbackMarket("2026-05-19", "2026-05-21", coins=["ETH"]) as fewer:
        base_urls = venues.base_urls | {name: url for name, url in fewer.base_urls.items() if name.startswith("okx")}
        with Fetcher(Settings(base_urls=base_urls)) as reader:
            words = {"warehouse": tmp_path, "fetcher": reader}
            made = plans(VENUES, "funding_rates", "BTCUSDT", venues.start, **words)
            report = cexkit.pull(VENUES, "funding_rates", "BTCUSDT", venues.start, **words)
    assert [plan.exchange for plan in made] == ["bybit"]
    assert symbols(tmp_path) == {"bybit BTCUSDT"}
    assert [problem.exchange for problem in report.problems] == ["okx"]


def test_unknown_symbol_of_the_only_venue_raises(venues, fetcher, tmp_path):
    for run in (cexkit.pull, plans):
        with pytest.raises(UnknownNameError, match="unknown okx instrument for funding_rates 'NOSUCH'"):
            run(["okx"], "funding_rates", ["BTCUSDT", "NOSUCH"], venues.start, warehouse=tmp_path, fetcher=fetcher)


def test_symbol_whose_row_of_the_listing_is_left_out_is_unknown_for_that_reason(venues, fetcher, tmp_path, monkeypatch):
    get = HttpClient.get

    def spoiled(self, url, query, **more):
        response = get(self, url, query, **more)
        return replace(response, body=response.body.replace(b'"ctVal":"0.01"', b'"ctVal":"0"'))

    monkeypatch.setattr(HttpClient, "get", spoiled)
    for run in (cexkit.pull, plans):
        with pytest.raises(UnknownNameError, match=r"'BTCUSDT'.* not read whole: okx .*'BTC-USDT-SWAP', field 'ctVal'"):
            run(["okx"], "funding_rates", "BTCUSDT", venues.start, warehouse=tmp_path, fetcher=fetcher)
