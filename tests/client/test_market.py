"""connect() and Market: the right rows, the right files, errors that help."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import duckdb
import ibis
import pandas as pd
import polars as pl
import pytest

import cexkit
from cexkit.client.market import Market
from cexkit.config import settings
from cexkit.errors import (
    AmbiguousInstrumentError,
    DatasetNotFoundError,
    InvalidInputError,
    NewerSchemaError,
    UnknownNameError,
    UnknownTableError,
)
from cexkit.schema import TABLES
from cexkit.warehouse.store.locations import SAMPLE_ROOT


@pytest.fixture(scope="module")
def market() -> Market:
    return cexkit.connect("sample")


def _scanned(market: Market, expression) -> int:
    """Files that DuckDB opens for an expression."""
    plan = market._backend.raw_sql("explain analyze " + ibis.to_sql(expression, dialect="duckdb")).fetchall()[0][1]
    return int(plan.split("Total Files Read: ")[1].split()[0])


def test_every_declared_table_is_in_the_sample_and_an_attribute(market):
    assert list(market.tables) == list(TABLES)
    assert set(TABLES) <= set(dir(market))
    for name, info in market.tables.items():
        table = getattr(market, name)
        assert table.columns == TABLES[name].columns
        assert table.count().execute() == info.rows


def test_a_window_is_half_open_and_rows_are_those_of_the_whole(market):
    cut = market.table(
        "funding_rates", start="2026-01-01", end="2026-01-02", exchange="okx", symbol=["BTCUSDT", "ETHUSDT"]
    )
    whole = market.funding_rates.to_polars()
    expected = whole.filter(
        pl.col("timestamp") >= datetime(2026, 1, 1, tzinfo=UTC),
        pl.col("timestamp") < datetime(2026, 1, 2, tzinfo=UTC),
        pl.col("symbol").is_in(["BTCUSDT", "ETHUSDT"]),
        exchange="okx",
    )
    order = ["symbol", "timestamp"]
    assert cut.to_polars().sort(order).equals(expected.sort(order))
    assert expected.height == 6


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_naive_times_are_utc_and_aware_ones_are_what_they_are(market, zone):
    start = pd.Timestamp("2026-01-01", tz=zone) if zone != "Asia/Tokyo" else pd.Timestamp("2026-01-01T09:00", tz=zone)
    cut = market.table("funding_rates", start=start, exchange="okx", symbol="BTCUSDT")
    assert cut.timestamp.min().execute() == pd.Timestamp("2026-01-01", tz="UTC")


def test_table_opens_only_the_files_it_needs(market):
    every = len([file for file in market._manifest.files if file.table == "funding_rates"])
    assert _scanned(market, market.table("funding_rates")) == every
    assert _scanned(market, market.table("funding_rates", start="2026-01-01")) == every // 2
    assert _scanned(market, market.table("funding_rates", start="2026-01-01", exchange="okx")) == 1


def test_the_whole_table_is_pruned_by_venue(market):
    table = market.funding_rates
    assert _scanned(market, table.filter(table.exchange == "okx")) == 2


def test_nothing_asked_for_is_nothing_given(market):
    assert market.table("funding_rates", symbol=[]).count().execute() == 0
    empty = market.table("funding_rates", start="2030-01-01").to_polars()
    assert empty.is_empty()
    assert empty.columns == list(TABLES["funding_rates"].columns)


def test_expressions_compose_across_tables(market):
    funding = market.table("funding_rates", start="2026-06-25", exchange="binance", symbol="BTCUSDT")
    bars = market.table("ohlcv_1h", start="2026-06-25", exchange="binance", symbol="BTCUSDT", instrument_type="perp")
    joined = funding.join(bars, ["symbol", "timestamp"]).select("timestamp", "funding_rate", "close")
    assert joined.count().execute() == 18
    apr = funding.pipe(cexkit.funding_apr).funding_apr.mean().execute()
    assert apr == pytest.approx(funding.to_pandas().crypto.funding_apr().mean())


def test_sql_sees_tables_by_name_in_the_declared_columns(market):
    result = market.sql("select exchange, count(*) as n from funding_rates group by exchange order by exchange")
    assert result.to_pandas().exchange.tolist() == ["binance", "bybit", "coinbase", "okx"]
    assert market.sql("select * from ohlcv_1m limit 1").columns == TABLES["ohlcv_1m"].columns
    assert market.sql("select base from funding_weighted_8h").filter(ibis._.base == "BTC").count().execute() > 0


def test_sql_names_each_column_once(market):
    """Ibis would keep one of two, and fail on both."""
    with pytest.raises(InvalidInputError, match="columns are named base, exchange"):
        market.sql("select a.*, b.exchange, b.base from funding_rates a join mark_1h b using (symbol, timestamp)")


def test_sql_that_is_not_accepted_says_why_and_what_there_is(market):
    with pytest.raises(InvalidInputError, match=r"fundings(.|\n)*Tables: instruments"):
        market.sql("select * from fundings")
    with pytest.raises(InvalidInputError, match="not accepted"):
        market.sql("selec 1")


@pytest.mark.parametrize(
    "query",
    [
        "create table x as select 1",
        "insert into funding_rates select * from funding_rates",
        "drop view funding_rates",
        "copy (select 1) to '{root}/x.csv'",
        "copy funding_rates to '/tmp/x.csv'",
        "attach '/tmp/x.db'",
        "install httpfs",
        "load httpfs",
        "set threads = 1",
        "pragma threads=1",
        "select 1; select 2",
        "select 1; drop view funding_rates",
        "create or replace view funding_rates as select 1",
        "",
        "export database '/tmp/x'",
        "call pragma_version()",
        "update instruments set symbol = 'x'",
        "delete from instruments",
        "explain select 1",
        "checkpoint",
    ],
)
def test_sql_is_one_select(market, query):
    with pytest.raises(InvalidInputError, match=r"one SELECT|not accepted"):
        market.sql(query.replace("{root}", str(SAMPLE_ROOT)))
    assert market.funding_rates.count().execute() == market.tables["funding_rates"].rows


@pytest.mark.parametrize(
    "query",
    [
        "select * from read_text('/etc/hostname')",
        "select * from '/etc/hostname'",
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('{root}/../errors.py')",
        "select * from glob('/etc/*')",
        "from read_parquet('/tmp/*')",
        "select * from read_parquet('http://127.0.0.1:9/x.parquet')",
        "select * from query('drop view instruments')",
        "select * from market",
        "select getenv('HOME')",
    ],
)
def test_sql_sees_the_dataset_and_nothing_else(market, query):
    with pytest.raises((InvalidInputError, duckdb.Error)):
        market.sql(query.replace("{root}", str(SAMPLE_ROOT))).to_pandas()


@pytest.mark.parametrize(
    "query",
    [
        "with funding_rates as (select 1 as a) select * from funding_rates",
        "from Funding_Rates limit 1",
        'select count(*) from (select * from "funding_rates") t join instruments using (symbol) -- more\n',
        "select 1 as a where exists (select * from liquidations);",
        "select * from memory.main.funding_rates limit 1",
    ],
)
def test_sql_finds_its_tables_however_they_are_written(query):
    assert len(cexkit.connect("sample").sql(query).to_pandas()) == 1


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        ({"name": "funding"}, UnknownTableError, "did you mean 'funding_rates'"),
        ({"name": "funding_rates", "exchange": "ocks"}, UnknownNameError, "Available: binance, bybit, coinbase, okx"),
        ({"name": "funding_rates", "symbol": "BTCUSD"}, UnknownNameError, "did you mean 'BTCUSD[CT]'"),
        ({"name": "funding_rates", "symbol": "BTC'; drop table x"}, UnknownNameError, "unknown symbol"),
        ({"name": "ohlcv_1h", "symbol": "BTCUSDT"}, AmbiguousInstrumentError, "'perp' or instrument_type='spot'"),
        ({"name": "ohlcv_1h", "instrument_type": "swap"}, UnknownNameError, "Available: perp, spot"),
        ({"name": "instruments", "start": "2026-01-01"}, InvalidInputError, "no time to cut by"),
        ({"name": "funding_weighted_8h", "symbol": "BTCUSDT"}, InvalidInputError, "has no column 'symbol'"),
        ({"name": "ohlcv_1h", "start": "2026-01-02", "end": "2026-01-01"}, InvalidInputError, "ends before"),
        ({"name": "ohlcv_1h", "start": "tomorrow"}, InvalidInputError, "not a time: 'tomorrow'"),
    ],
)
def test_what_makes_no_sense_is_refused(market, words, error, says):
    with pytest.raises(error, match=says):
        market.table(**words)


def test_a_symbol_that_is_one_instrument_needs_no_type(market):
    assert market.table("funding_rates", symbol="BTCUSDT").count().execute() > 0
    assert market.table("ohlcv_1d", symbol="BTCUSDC").instrument_type.nunique().execute() == 1


def test_unknown_attributes_are_attribute_errors_that_help(market):
    assert not hasattr(market, "fundings")
    with pytest.raises(AttributeError, match="did you mean 'funding_rates'"):
        _ = market.fundings


def test_it_says_what_it_is(market):
    for shown in (repr(market), market._repr_html_()):
        assert "simulated data" in shown
        assert "funding_rates" in shown
        assert "2026-06-30" in shown
    assert market.tables["liquidations"].exchanges == ("binance", "bybit", "okx")
    assert market.updated.tzinfo is not None


def test_connect_takes_the_setting_then_the_sample(monkeypatch, tmp_path):
    assert cexkit.connect().simulated
    monkeypatch.setenv("CEXKIT_DATA", str(tmp_path))
    settings.cache_clear()
    with pytest.raises(DatasetNotFoundError, match="no dataset at"):
        cexkit.connect()


def test_connect_says_what_is_wrong_with_a_place(tmp_path):
    with pytest.raises(FileNotFoundError, match="cexkit pull"):
        cexkit.connect(tmp_path / "nowhere")
    with pytest.raises(InvalidInputError, match=r"hf://datasets/org/name\[@revision\]"):
        cexkit.connect("ftp://some/where")
    (tmp_path / "manifest.json").write_text('{"schema_version": 999, "files": []}')
    with pytest.raises(NewerSchemaError, match="upgrade"):
        print(cexkit.connect(tmp_path))


def test_a_folder_with_an_awkward_name(tmp_path):
    import shutil

    place = tmp_path / 'it\'s "so" %s; drop -- ünï'
    shutil.copytree(SAMPLE_ROOT, place)
    market = cexkit.connect(place)
    assert market.open_interest.count().execute() == cexkit.connect("sample").tables["open_interest"].rows


def test_frames_of_all_kinds_carry_the_accessor(market):
    table = market.table("funding_rates", start="2026-06-01", exchange="bybit")
    as_pandas = table.order_by(["symbol", "timestamp"]).to_pandas()
    as_polars = table.order_by(["symbol", "timestamp"]).to_polars()
    assert as_pandas.crypto.funding_apr().to_list() == as_polars.crypto.funding_apr().to_list()


OFFLINE = """
import sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise AssertionError(f"{event} {arguments}")
sys.addaudithook(refuse)
import cexkit
market = cexkit.connect("sample")
print(market.table("funding_rates", symbol="BTCUSDT").count().execute() > 0, "huggingface_hub" in sys.modules)
"""


def test_neither_import_nor_the_first_question_asks_the_network():
    done = subprocess.run([sys.executable, "-c", OFFLINE], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("True False\n", 0), done.stderr
