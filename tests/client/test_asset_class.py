"""Rankings, universes, and views across venues leave out what is known not to be a coin, and say how much."""

from __future__ import annotations

import re
import shutil
import warnings
from pathlib import Path

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import cexkit
from cexkit.cli import demo
from cexkit.client.queries import Queries, find_sql_folder
from cexkit.client.tearsheet import tearsheet
from cexkit.client.tearsheet.data import TearsheetData
from cexkit.errors import ExcludedInstrumentsWarning, InvalidInputError, UnknownNameError
from cexkit.schema import INSTRUMENT_KEYS, TABLES
from cexkit.schema.asset_class import NOT_CRYPTO
from cexkit.testing.simulation import simulate
from cexkit.warehouse.gold import tables as gold
from cexkit.warehouse.gold.build import build_gold
from cexkit.warehouse.store.locations import SAMPLE_ROOT
from cexkit.warehouse.store.warehouse import Warehouse

NAMES = ("funding_rates", "liquidations", "ohlcv_1d", "ohlcv_1h", "mark_1h", "open_interest")
#: SOL is a stock on Binance, a coin on OKX, and not stated elsewhere.
STOCKS = (pl.col("exchange") == "binance") & (pl.col("base") == "SOL")
#: What each query across instruments is asked here.
ASKED = {
    "funding_across_venues": {"base": "SOL"},
    "funding_spread": {"base": "SOL"},
    "largest_liquidations": {"top": 10_000},
    "open_interest_usd": {"base": "SOL"},
    "top_funding": {},
    "universe": {},
    "volume_share": {"base": "SOL", "instrument_type": "perp"},
}
ONE = "leaves out 1 instrument known not to be crypto (1 equity); asset_class=None includes it"
TWO = "leaves out 2 instruments known not to be crypto (2 equity); asset_class=None includes them"


@pytest.fixture(scope="module")
def truth() -> dict[str, pl.DataFrame]:
    tables = simulate(start="2026-05-18", end="2026-05-22", coins=["BTC", "SOL"]).tables
    stated = pl.when(STOCKS).then(pl.lit("equity")).when(pl.col("exchange") == "okx").then(pl.lit("crypto"))
    listed = {name: tables[name].with_columns(asset_class=stated) for name in ("instruments", "instrument_periods")}
    return listed | {name: tables[name] for name in NAMES}


def store(folder: Path, tables: dict[str, pl.DataFrame]) -> Warehouse:
    warehouse = Warehouse(folder)
    for name, rows in tables.items():
        warehouse.write(TABLES[name], rows.to_arrow())
    return warehouse


@pytest.fixture(scope="module")
def folder(truth, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("stocks")
    store(folder, truth)
    return folder


@pytest.fixture(scope="module")
def market(folder):
    return cexkit.connect(folder)


@pytest.fixture(scope="module")
def without(truth, tmp_path_factory):
    """The same market in which the stocks were never listed."""
    folder = tmp_path_factory.mktemp("coins")
    store(folder, {name: rows.filter(~STOCKS) for name, rows in truth.items()})
    return cexkit.connect(folder)


def quiet(function, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExcludedInstrumentsWarning)
        return function(*arguments, **options)


def said(function, *arguments, **options) -> list[str]:
    with warnings.catch_warnings(record=True, action="always") as caught:
        function(*arguments, **options)
    return [str(one.message) for one in caught if one.category is ExcludedInstrumentsWarning]


def identities(rows) -> set[tuple[str, ...]]:
    return set(rows.select(*INSTRUMENT_KEYS).to_polars().rows())


class TestUniverse:
    @pytest.mark.parametrize("at", [None, "2026-05-20"])
    def test_the_default_has_coins_and_what_is_not_stated(self, market, without, at):
        assert identities(quiet(market.universe, at)) == identities(without.universe(at))
        assert said(market.universe, at) == [f"market.universe {TWO}"]

    def test_none_and_another_class(self, market, truth):
        stocks = set(truth["instruments"].filter(STOCKS).select(INSTRUMENT_KEYS).rows())
        everything = identities(market.universe(asset_class=None))
        assert everything == set(truth["instruments"].select(INSTRUMENT_KEYS).rows())
        assert said(market.universe, asset_class=None) == []
        assert identities(quiet(market.universe, asset_class="equity")) == stocks
        assert said(market.universe, exchange="okx") == []
        with pytest.raises(UnknownNameError, match="unknown asset class 'stocks'"):
            market.universe(asset_class="stocks")


class TestPanel:
    @pytest.mark.parametrize("return_type", ["polars", "ibis"])
    @pytest.mark.parametrize("table", ["funding_rates", "ohlcv_1d"])
    def test_the_default_has_coins_and_what_is_not_stated(self, market, without, table, return_type):
        column = "funding_rate" if table == "funding_rates" else "close"
        options = {"table": table, "return_type": return_type}
        got, want = (quiet(one.panel, column, **options) for one in (market, without))
        got, want = (one.to_polars() if return_type == "ibis" else one for one in (got, want))
        assert got.height > 3
        assert_frame_equal(got, want)
        assert said(market.panel, column, **options) == [f"market.panel {ONE if table == 'funding_rates' else TWO}"]
        everything = market.panel(column, table, asset_class=None, return_type="polars")
        assert set(everything.columns) - set(got.columns) == {
            f"binance {kind} SOLUSDT" for kind in (("perp",) if table == "funding_rates" else ("perp", "spot"))
        }

    def test_a_named_stock_is_returned(self, market):
        options = {"symbol": "SOLUSDT", "instrument_type": "perp"}
        assert said(market.panel, "close", exchange="binance", **options) == []
        assert market.panel("close", exchange="binance", **options).columns.tolist() == ["binance perp SOLUSDT"]
        mixed = quiet(market.panel, "close", **options)
        assert "binance perp SOLUSDT" not in mixed.columns
        stocks = quiet(market.panel, "close", asset_class="equity", **options)
        assert stocks.columns.tolist() == ["binance perp SOLUSDT"]


class TestQueries:
    def test_every_query_with_the_parameter_is_asked_here(self):
        assert set(ASKED) == {name for name, query in Queries.read().items() if "asset_class" in query.parameters}

    def test_classes_are_by_the_one_list(self):
        listed = ", ".join(f"'{name}'" for name in NOT_CRYPTO)
        for name in ASKED:
            assert f"asset_class IN ({listed})" in Queries.read()[name].sql
        assert f"arg_max_null(asset_class, observed_at) IN ({listed})" in Queries.read()["basis"].sql

    @pytest.mark.parametrize("name", ASKED)
    def test_stocks_do_not_count(self, market, without, name):
        got, want = (quiet(one.query, name, return_type="polars", **ASKED[name]) for one in (market, without))
        assert got.height
        assert_frame_equal(got, want)
        (text,) = said(market.query, name, **ASKED[name])
        assert text == f"{name} {TWO if name == 'universe' else ONE}"
        everything = market.query(name, asset_class=None, return_type="polars", **ASKED[name])
        assert everything.height > got.height
        assert said(market.query, name, asset_class=None, **ASKED[name]) == []

    @pytest.mark.parametrize("name", ASKED)
    def test_the_shell_has_the_same_default(self, market, folder, name):
        shell = duckdb.connect()
        shell.execute("SET VARIABLE root = ?", [str(folder)])
        shell.execute((find_sql_folder() / "views" / "tables.sql").read_text(encoding="utf-8"))
        for parameter, value in ASKED[name].items():
            shell.execute(f"SET VARIABLE {parameter} = $value", {"value": value})
        rows = shell.execute(Queries.read()[name].sql).pl()
        assert rows.height == len(quiet(market.query, name, **ASKED[name]))

    def test_another_class_and_no_class(self, market):
        found = quiet(market.query, "top_funding", asset_class="equity")
        assert found[["exchange", "base"]].values.tolist() == [["binance", "SOL"]]
        with pytest.raises(InvalidInputError, match=r"asset_class is crypto, .*, or None for all, not 'shares'"):
            market.query("top_funding", asset_class="shares")


class TestTokens:
    def test_a_mixed_name_stands_for_its_coins(self, market):
        token = quiet(cexkit.Token, "SOL", market=market)
        assert "binance" not in set(token.instruments["exchange"])
        assert said(cexkit.Token, "SOL", market=market) == [f"SOL {TWO}"]
        assert "binance" in set(cexkit.Token("SOL", market=market, asset_class=None).instruments["exchange"])
        assert said(cexkit.Token, "BTC", market=market) == []

    def test_rows_are_those_of_the_selected_instruments(self, truth, tmp_path):
        """On one venue the perpetual is a stock and the pair is not stated: one symbol, two meanings."""
        stock = STOCKS & (pl.col("instrument_type") == "perp")
        listed = truth["instruments"].with_columns(asset_class=pl.when(stock).then(pl.lit("equity")))
        store(tmp_path, {**truth, "instruments": listed})
        token = quiet(cexkit.Token, "SOL", market=cexkit.connect(tmp_path))
        for rows in (token.price_history(), token.info(), token.instruments.to_pandas()):
            found = set(rows.loc[rows.exchange == "binance", "instrument_type"])
            assert found == {"spot"}

    def test_a_name_without_coins_stands_for_what_it_names(self, market):
        assert said(cexkit.Token, "SOL", exchange="binance", market=market) == []
        assert len(cexkit.Token("SOL", exchange="binance", market=market).funding_rate()) > 3

    def test_another_class(self, market):
        token = quiet(cexkit.Token, "SOL", market=market, asset_class="equity")
        assert set(token.instruments["exchange"]) == {"binance"}
        with pytest.raises(UnknownNameError, match=r"unknown asset class of SOL 'fx'.*Available: crypto, equity"):
            cexkit.Token("SOL", market=market, asset_class="fx")
        pair = quiet(cexkit.Tokens, ["BTC", "SOL"], market=market, instrument_type="perp")
        assert "binance" not in set(pair["SOL"].instruments["exchange"])


class TestTearsheet:
    def test_stocks_are_not_among_the_others(self, market, without):
        with pytest.warns(ExcludedInstrumentsWarning, match=f"^tearsheet {re.escape(ONE)}"):
            sheet = tearsheet(market, "BTC", days=3)
        assert "on these venues, without 1 perpetuals known not to be coins." in sheet.html
        others = len(without.universe(instrument_type="perp").to_polars().filter(pl.col("base") != "BTC"))
        assert f"higher than this share of others ({others})" in sheet.html

    def test_everything_and_the_sheet_of_a_stock(self, market):
        with warnings.catch_warnings():
            warnings.simplefilter("error", ExcludedInstrumentsWarning)
            everything = TearsheetData.of(market, "SOL", days=3, asset_class=None)
            stock = TearsheetData.of(market, "SOL", "binance", days=3)
        assert everything.outsiders.is_empty()
        assert set(everything.main_perps["exchange"]) == {"binance", "bybit", "coinbase", "okx"}
        assert stock.asset_class == "equity"
        assert set(stock.all_funding.select("exchange", "base").rows()) == {("binance", "SOL")}
        assert quiet(TearsheetData.of, market, "SOL", days=3).main_perps["exchange"].sort()[0] == "bybit"


class TestGold:
    @pytest.mark.parametrize("name", ["funding_weighted_8h", "ohlcv_1d_composite"])
    def test_stocks_do_not_count(self, truth, tmp_path, name):
        warehouse, coins = store(tmp_path / "a", truth), {n: rows.filter(~STOCKS) for n, rows in truth.items()}
        other = store(tmp_path / "b", coins)
        with pytest.warns(ExcludedInstrumentsWarning, match=f"^{name} leaves out 1 instrument known not"):
            build_gold(warehouse, name)
        build_gold(other, name)
        rows = [pl.from_arrow(one.read(TABLES[name])) for one in (warehouse, other)]
        assert rows[0].height > 3
        assert_frame_equal(*rows)

    def test_the_argument(self, truth):
        inputs = (truth["funding_rates"], truth["open_interest"])
        everything = gold.funding_weighted_8h(*inputs)
        assert_frame_equal(gold.funding_weighted_8h(*inputs, truth["instruments"], asset_class=None), everything)
        stocks = quiet(gold.funding_weighted_8h, *inputs, truth["instruments"], asset_class="equity")
        assert set(stocks.select("base", "venues").rows()) == {("SOL", 1)}


def test_the_demo_compares_coins(tmp_path, monkeypatch):
    folder = shutil.copytree(SAMPLE_ROOT, tmp_path / "sample")
    warehouse, listing = Warehouse(folder), TABLES["instruments"]
    rows = pl.from_arrow(warehouse.read(listing, exchange="okx"))
    stock = pl.when(pl.col("base") == "BTC").then(pl.lit("equity")).otherwise("asset_class").alias("asset_class")
    warehouse.replace(listing, "okx", ["all"], rows.with_columns(stock).to_arrow())
    before = demo.demo(tmp_path)
    monkeypatch.setattr(demo, "SAMPLE_ROOT", folder)
    after = demo.demo(tmp_path)
    assert f" {rows.filter(base='BTC').height} instruments known not to be coins are left out." in after
    assert "are left out" not in before
    rows = [next(line for line in text.splitlines() if " BTCUSDT |" in line) for text in (before, after)]
    assert [row.split("|")[5].strip() != "" for row in rows] == [True, False], rows
