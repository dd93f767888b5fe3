"""Each check finds the fault that was planted, on the day it was planted, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pyarrow.parquet as pq
import pytest

from cexkit.errors import DatasetNotFoundError, QualityError, UnknownTableError
from cexkit.quality import blocking_failures, checks_of, inspect, outcomes, require, stale
from cexkit.refine import MADE_OF, to_gold
from cexkit.schema import TABLES
from cexkit.schema.render import to_polars
from cexkit.simulation import simulate
from cexkit.store.warehouse import Warehouse

START, END = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 5, tzinfo=UTC)
NAMES = ("instruments", "ohlcv_1h", "ohlcv_1d", "funding_rates", "open_interest", "liquidations")


@pytest.fixture(scope="module")
def truth() -> dict[str, pl.DataFrame]:
    tables = simulate(start="2026-06-01", end="2026-06-05", coins=["BTC", "DOGE"]).tables
    return {name: tables[name] for name in NAMES}


@pytest.fixture
def warehouse(tmp_path) -> Warehouse:
    return Warehouse(tmp_path)


def filled(warehouse: Warehouse, tables: dict[str, pl.DataFrame]) -> Warehouse:
    for name, rows in tables.items():
        warehouse.write(TABLES[name], rows.to_arrow())
    return warehouse


def failed(warehouse: Warehouse, now: datetime = END) -> list[tuple]:
    found = inspect(warehouse, now=now).filter(pl.col("rows_failed") > 0)
    return found.select("table_name", "exchange", "check_name", pl.col("timestamp").dt.day(), "rows_failed").rows()


BTC = (pl.col("exchange") == "binance") & (pl.col("symbol") == "BTCUSDT") & (pl.col("instrument_type") == "perp")


def test_sound_data_fails_nothing(warehouse, truth):
    filled(warehouse, truth)
    found = inspect(warehouse, now=END)
    assert failed(warehouse) == []
    assert found.schema == to_polars(TABLES["data_quality"])
    assert {tuple(row) for row in found.select("table_name", "check_name").unique().rows()} == {
        (name, check) for name in NAMES for check in checks_of(TABLES[name])
    }
    bars = found.filter(table_name="ohlcv_1h", check_name="gaps")
    assert bars["rows_checked"].sum() == truth["ohlcv_1h"].height
    require(found)


@pytest.mark.parametrize("name", ["ohlcv_1h", "open_interest"])
def test_missing_bars_are_counted_on_their_day(warehouse, truth, name):
    hole = BTC & pl.col("timestamp").is_between(START + timedelta(hours=22), START + timedelta(hours=26), closed="left")
    filled(warehouse, {**truth, name: truth[name].filter(~hole)})
    assert failed(warehouse) == [(name, "binance", "gaps", 1, 2), (name, "binance", "gaps", 2, 2)]


def test_a_tail_that_only_one_instrument_lacks_is_a_gap(warehouse, truth):
    tail = BTC & (pl.col("timestamp") >= END - timedelta(hours=30))
    filled(warehouse, {**truth, "ohlcv_1h": truth["ohlcv_1h"].filter(~tail)})
    assert failed(warehouse) == [("ohlcv_1h", "binance", "gaps", 3, 6), ("ohlcv_1h", "binance", "gaps", 4, 24)]


def test_an_instrument_that_is_gone_has_no_gap(warehouse, truth):
    gone = END - timedelta(hours=30)
    life = truth["instruments"].with_columns(
        delisting_time=pl.when(BTC).then(pl.lit(gone)).otherwise("delisting_time"),
        status=pl.when(BTC).then(pl.lit("delisted")).otherwise("status"),
    )
    bars = truth["ohlcv_1h"].filter(~(BTC & (pl.col("timestamp") > gone)))
    filled(warehouse, {"instruments": life.cast(dict(to_polars(TABLES["instruments"]))), "ohlcv_1h": bars})
    assert failed(warehouse) == []


def test_missing_settlements_follow_the_instruments_own_interval(warehouse, truth):
    rates = truth["funding_rates"]
    of_doge = rates.filter(exchange="binance", symbol="DOGEUSDT").sort("timestamp")
    assert of_doge["funding_interval_hours"].unique().to_list() == [4.0]
    lost = of_doge["timestamp"][7]
    keep = ~((pl.col("exchange") == "binance") & (pl.col("symbol") == "DOGEUSDT") & (pl.col("timestamp") == lost))
    filled(warehouse, {**truth, "funding_rates": rates.filter(keep)})
    assert failed(warehouse) == [("funding_rates", "binance", "gaps", of_doge["timestamp"][8].day, 1)]


def test_old_data_is_stale(warehouse, truth):
    filled(warehouse, {name: truth[name] for name in ("instruments", "open_interest")})
    assert failed(warehouse, END + timedelta(hours=35)) == []
    found = failed(warehouse, END + timedelta(hours=37))
    assert {row[:4] for row in found} == {
        ("open_interest", name, "fresh", 4) for name in truth["open_interest"]["exchange"].unique()
    }


def test_a_close_far_from_other_venues_is_an_outlier(warehouse, truth):
    at = START + timedelta(hours=30)
    close = pl.when(BTC & (pl.col("timestamp") == at)).then(pl.col("close") * 1.06).otherwise("close")
    bars = truth["ohlcv_1h"].with_columns(close=close).with_columns(high=pl.max_horizontal("high", "close"))
    filled(warehouse, {**truth, "ohlcv_1h": bars})
    assert failed(warehouse) == [("ohlcv_1h", "binance", "outlier", 2, 1)]


def test_rows_kept_apart_are_counted_and_do_not_block(warehouse, truth):
    filled(warehouse, truth)
    apart = truth["ohlcv_1h"].filter(exchange="okx").head(3).with_columns(reason=pl.lit("ohlc_order"))
    warehouse.write_rejects(TABLES["ohlcv_1h"], "okx", "2026", apart.to_arrow())
    assert failed(warehouse) == [("ohlcv_1h", "okx", "kept_apart", 1, 3)]
    assert blocking_failures(inspect(warehouse, now=END)).is_empty()


def test_a_file_that_was_tampered_with_blocks(warehouse, truth):
    filled(warehouse, truth)
    (file,) = (file for file in warehouse.manifest.select("funding_rates") if file.exchange == "okx")
    rows = pq.ParquetFile(warehouse.root / file.path).read()
    bad = pl.from_arrow(rows).with_columns(funding_rate=pl.lit(12.0)).to_arrow().cast(rows.schema)
    pq.write_table(bad, warehouse.root / file.path)
    with pytest.raises(QualityError, match=r"funding_rates of okx on 2026-06-0\d: plausible_rate fails for"):
        require(inspect(warehouse, now=END))


def test_a_file_of_another_schema_blocks_and_hides_no_other(warehouse, truth):
    filled(warehouse, truth)
    (file,) = (file for file in warehouse.manifest.select("funding_rates") if file.exchange == "okx")
    rows = pq.ParquetFile(warehouse.root / file.path).read()
    pq.write_table(rows.drop_columns(["mark_price"]), warehouse.root / file.path)
    found = inspect(warehouse, now=END).filter(table_name="funding_rates")
    assert blocking_failures(found).select("exchange", "check_name", "rows_failed").rows() == [
        ("okx", "schema", rows.num_rows)
    ]
    assert found.filter(exchange="binance", check_name="plausible_rate").height


def test_a_doubled_key_blocks(warehouse, truth):
    filled(warehouse, truth)
    (file,) = (file for file in warehouse.manifest.select("open_interest") if file.exchange == "okx")
    rows = pq.ParquetFile(warehouse.root / file.path).read()
    pq.write_table(rows.take([0, *range(rows.num_rows)]), warehouse.root / file.path)
    found = blocking_failures(inspect(warehouse, now=END))
    assert found.select("table_name", "exchange", "check_name", "rows_failed").rows() == [
        ("open_interest", "okx", "unique_key", 2)
    ]


def test_gold_is_made_of_silver_and_of_nothing_else(warehouse, truth):
    filled(warehouse, truth)
    for name in (*MADE_OF, "data_quality"):
        (file,) = to_gold(warehouse, name, now=END)
        assert file.rows == pq.ParquetFile(warehouse.root / file.path).metadata.num_rows > 0
    before = warehouse.manifest
    assert [to_gold(warehouse, name, now=END) for name in MADE_OF]
    assert warehouse.manifest.files == before.files, "made twice, nothing changes"


def test_gold_says_what_is_missing(warehouse, truth):
    with pytest.raises(DatasetNotFoundError, match="made of liquidations"):
        to_gold(warehouse, "liquidations_1d")
    with pytest.raises(UnknownTableError, match="liquidations_1d"):
        to_gold(warehouse, "liquidation_1d")


def test_stale_tables_are_named_with_their_venue(warehouse, truth):
    filled(warehouse, {name: truth[name].filter(exchange="okx") for name in ("instruments", "open_interest")})
    assert stale(warehouse, now=END + timedelta(hours=1)) == []
    (line,) = stale(warehouse, now=END + timedelta(days=5))
    assert line.startswith("open_interest of okx: ")
    assert line.endswith("newest day 2026-06-04")


def test_outcomes_are_there_where_no_rows_are(warehouse, truth):
    assert {outcome.rows_checked for outcome in outcomes(warehouse, "okx", TABLES["ohlcv_1h"])} == {0}
    filled(warehouse, truth)
    found = {outcome.check_name: outcome for outcome in outcomes(warehouse, "okx", TABLES["ohlcv_1h"])}
    assert found["ohlc_order"].rows_checked == truth["ohlcv_1h"].filter(exchange="okx").height
    assert found["fresh"].days, "the simulated time is long over"
