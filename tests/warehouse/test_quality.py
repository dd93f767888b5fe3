"""Each check finds the fault that was planted, on the day it was planted, and nothing else."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta

import polars as pl
import pyarrow.parquet as pq
import pytest

from cexkit.errors import DatasetNotFoundError, QualityError, UnknownTableError
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.registry import exchange
from cexkit.exchanges.streams import STREAMS
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window
from cexkit.schema.render import to_polars
from cexkit.testing import LOOPBACKS
from cexkit.testing.simulation import simulate
from cexkit.warehouse.gold.build import MADE_OF, build_gold
from cexkit.warehouse.ingest.bronze import ingest_bronze
from cexkit.warehouse.ingest.listings import instruments
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.quality import blocking_failures, check_results, checks_of, raise_on_failures, run_checks, stale
from cexkit.warehouse.store.bronze import BronzeWriter
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.warehouse import Warehouse

from ..clock import Clock, reading

START, END = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 5, tzinfo=UTC)
DAY = timedelta(days=1)
PULLED = ("instruments", "ohlcv_1h", "funding_rates", "mark_1h")
NAMES = ("instruments", "instrument_periods", "ohlcv_1h", "ohlcv_1d", "funding_rates", "open_interest", "liquidations")


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
    found = run_checks(warehouse, now=now).filter(pl.col("rows_failed") > 0)
    return found.select("table_name", "exchange", "check_name", pl.col("timestamp").dt.day(), "rows_failed").rows()


PRICES = ("open", "high", "low", "close")
BTC = (pl.col("exchange") == "binance") & (pl.col("symbol") == "BTCUSDT") & (pl.col("instrument_type") == "perp")


def test_sound_data_fails_nothing(warehouse, truth):
    filled(warehouse, truth)
    found = run_checks(warehouse, now=END)
    assert failed(warehouse) == []
    assert found.schema == to_polars(TABLES["data_quality"])
    assert {tuple(row) for row in found.select("table_name", "check_name").unique().rows()} == {
        (name, check)
        for name in NAMES
        for check in checks_of(TABLES[name])
        if check not in ("bronze_files", "bronze_rows")
    }
    bars = found.filter(table_name="ohlcv_1h", check_name="gaps")
    assert bars["rows_checked"].sum() == truth["ohlcv_1h"].height
    raise_on_failures(found)


#: Declared check → what breaks it and no other one.
BROKEN = {
    "positive_multiplier": {"multiplier": pl.lit(0.0)},
    "known_status": {"status": pl.lit("gone")},
    "period_not_empty": {"valid_to": pl.col("valid_from")},
    "ohlc_order": {"high": pl.col("low") * 0.999},
    "positive_price": {"low": pl.lit(-1.0)},
    "volume_not_negative": {"volume_quote": pl.lit(-1.0)},
    "taker_within_volume": {"taker_buy_volume_base": pl.col("volume_base") * 1.01 + 1},
    "plausible_rate": {"funding_rate": pl.lit(0.11)},
    "known_interval": {"funding_interval_hours": pl.lit(3.0)},
    "open_interest_not_negative": {"open_interest_base": pl.lit(-1.0)},
    "known_side": {"side": pl.lit("buy")},
    "positive_liquidation": {"price": pl.lit(0.0)},
}


@pytest.mark.parametrize("name", NAMES)
def test_each_declared_check_finds_the_row_that_breaks_it_and_blocks(warehouse, truth, name):
    table = TABLES[name]
    for check in table.checks:
        first = pl.int_range(pl.len()) == 0
        broken = {c: pl.when(first).then(value).otherwise(c) for c, value in BROKEN[check.name].items()}
        filled(warehouse, {**truth, name: truth[name].with_columns(**broken)})
        found = blocking_failures(run_checks(warehouse, [name], now=END))
        assert found.select("check_name", "rows_failed").rows() == [(check.name, 1)]
        with pytest.raises(QualityError, match=f"{name} of .*: {check.name} fails for 1 of"):
            raise_on_failures(found)


class TestAgainstBronze:
    """Rows compared with the counts that the ledger recorded when the responses were parsed."""

    @pytest.fixture(scope="class")
    @classmethod
    def pulled(cls, tmp_path_factory) -> Warehouse:
        """Two days of all four venues, in which one bar of Binance fails a check on the way in."""
        tables = simulate(start="2026-06-01", end="2026-06-03", coins=["BTC"]).tables
        odd = BTC & (pl.col("timestamp") == START + timedelta(hours=30))
        bars = tables["ohlcv_1h"].with_columns(high=pl.when(odd).then(pl.col("low") / 2).otherwise("high"))
        warehouse = Warehouse(tmp_path_factory.mktemp("pulled"))
        for name, loopback in LOOPBACKS.items():
            frames = {**tables, "ohlcv_1h": bars}
            clock = Clock()
            with loopback(frames, now="2026-06-03T00:00:05", clock=clock) as venue, reading(venue, clock) as fetcher:
                names = [table for table in PULLED if exchange(name).instrument_types(table)]
                report = pull(name, names, None, START, START + 2 * DAY, warehouse=warehouse, fetcher=fetcher)
            assert not report.problems
        return warehouse

    @pytest.fixture
    def warehouse(self, pulled, tmp_path) -> Warehouse:
        return Warehouse(shutil.copytree(pulled.root, tmp_path / "own"))

    def counted(self, warehouse: Warehouse) -> list[tuple]:
        found = run_checks(warehouse, now=END).filter(pl.col("rows_failed") > 0, check_name="bronze_rows")
        return found.select("table_name", "exchange", pl.col("timestamp").dt.day(), "rows_failed").rows()

    def test_what_came_in_is_there_or_kept_apart(self, warehouse):
        found = run_checks(warehouse, now=END).filter(check_name="bronze_rows")
        assert self.counted(warehouse) == []
        assert set(found.select("table_name", "exchange").unique().rows()) == {
            (table, name) for name in LOOPBACKS for table in PULLED if exchange(name).instrument_types(table)
        }
        bars = found.filter(table_name="ohlcv_1h", exchange="binance")
        assert bars["rows_checked"].to_list() == [48, 48], "the quarantined bar counts"
        raise_on_failures(run_checks(warehouse, now=END))

    def test_a_row_that_got_lost_is_found_on_its_day(self, warehouse):
        rows = warehouse.read(TABLES["funding_rates"], exchange="okx")
        warehouse.replace(TABLES["funding_rates"], "okx", ["2026"], rows.slice(0, rows.num_rows - 1))
        assert self.counted(warehouse) == [("funding_rates", "okx", 2, 1)]
        with pytest.raises(QualityError, match="funding_rates of okx on 2026-06-02: bronze_rows fails for 1 of"):
            raise_on_failures(run_checks(warehouse, now=END))

    def test_rows_that_no_answer_has_are_found(self, warehouse):
        rows = pl.from_arrow(warehouse.read(TABLES["ohlcv_1h"], exchange="bybit"))
        more = rows.head(2).with_columns(pl.col("timestamp") + 5 * DAY)
        warehouse.replace(TABLES["ohlcv_1h"], "bybit", ["2026"], pl.concat([rows, more]).to_arrow())
        assert self.counted(warehouse) == [("ohlcv_1h", "bybit", 6, 2)]

    def test_a_file_that_left_the_dataset_is_found(self, warehouse):
        warehouse.remove(TABLES["ohlcv_1h"], "coinbase", "2026")
        assert self.counted(warehouse) == [("ohlcv_1h", "coinbase", 1, 48), ("ohlcv_1h", "coinbase", 2, 48)]
        warehouse.remove(TABLES["instruments"], "okx", "all")
        (row,) = (row for row in self.counted(warehouse) if row[0] == "instruments")
        assert row == ("instruments", "okx", warehouse.manifest.updated_at.day, 2)

    def test_rejects_that_got_lost_are_found(self, warehouse):
        (path,) = (warehouse.root / "quarantine/ohlcv_1h/exchange=binance").glob("*.parquet")
        path.unlink()
        assert self.counted(warehouse) == [("ohlcv_1h", "binance", 2, 1)]

    def test_answers_of_which_nothing_was_made_are_found(self, warehouse, pulled):
        more = simulate(start="2026-06-01", end="2026-06-04", coins=["BTC"], exchanges=["bybit"]).tables
        with LOOPBACKS["bybit"](more, now="2026-06-04T00:00:05") as venue, Fetcher(venue.settings) as fetcher:
            table, window = TABLES["funding_rates"], Window(START + 2 * DAY, START + 3 * DAY)
            of = instruments(warehouse, "bybit", table, window)
            ingest_bronze(warehouse, fetcher, "bybit", table, window, of)
        failures = blocking_failures(run_checks(warehouse, now=END))
        assert failures.select("table_name", "exchange", "check_name").rows() == [
            ("funding_rates", "bybit", "bronze_files")
        ]
        build_silver(warehouse, "bybit", table)
        assert self.counted(warehouse) == []

    def test_table_whose_files_all_left_the_dataset_is_found(self, warehouse):
        table = TABLES["mark_1h"]
        venues = {file.exchange for file in warehouse.manifest.select(table.name)}
        for venue in venues:
            warehouse.remove(table, venue, "2026")
        lost = [row for row in self.counted(warehouse) if row[0] == table.name]
        recorded = [Ledger(warehouse.root, venue, table).days for venue in venues]
        assert sum(row[3] for row in lost) == sum(sum(days.values()) for days in recorded) > 0


def test_events_before_their_instrument_was_listed_fail_no_check_once_it_is(warehouse, truth):
    event = {"bkPx": "57102.9", "posSide": "long", "side": "sell", "sz": "10", "ts": "1780358400000"}
    items = [{"details": [event], "instId": name} for name in ("DOGE-USDT-SWAP", "BTC-USDT-SWAP")]
    body = json.dumps({"arg": {"channel": "liquidation-orders"}, "data": items}).encode()
    row = {"table": "liquidations", "data_start": START, "data_end": START + DAY, "context": "{}", "url": "",
           "params": "{}", "status": None, "headers": "{}", "received_at": END, "sha256": "",
           "body": body}  # fmt: skip
    with BronzeWriter(warehouse.root, "okx", STREAMS["okx"].endpoint, "run") as writer:
        writer.add(row)
    listed = truth["instruments"].filter(exchange="okx")
    swap = pl.col("venue_symbol") == "BTC-USDT-SWAP"
    for known, rows in ((listed.filter(~swap), 1), (listed, 2)):
        warehouse.replace(TABLES["instruments"], "okx", ["all"], known.to_arrow())
        assert build_silver(warehouse, "okx", TABLES["liquidations"]).rows == rows
        assert blocking_failures(run_checks(warehouse, ["liquidations"], now=END)).is_empty()


@pytest.mark.parametrize("name", ["ohlcv_1h", "open_interest"])
def test_missing_bars_are_counted_on_their_day(warehouse, truth, name):
    hole = BTC & pl.col("timestamp").is_between(START + timedelta(hours=22), START + timedelta(hours=26), closed="left")
    filled(warehouse, {**truth, name: truth[name].filter(~hole)})
    assert failed(warehouse) == [(name, "binance", "gaps", 1, 2), (name, "binance", "gaps", 2, 2)]


def test_a_tail_that_only_one_instrument_lacks_is_a_gap(warehouse, truth):
    tail = BTC & (pl.col("timestamp") >= END - timedelta(hours=30))
    filled(warehouse, {**truth, "ohlcv_1h": truth["ohlcv_1h"].filter(~tail)})
    assert failed(warehouse) == [("ohlcv_1h", "binance", "gaps", 3, 6), ("ohlcv_1h", "binance", "gaps", 4, 24)]


@pytest.mark.parametrize("hours", [30, 30.5])
def test_an_instrument_that_is_gone_has_no_gap(warehouse, truth, hours):
    gone = END - timedelta(hours=hours)
    life = truth["instruments"].with_columns(
        delisting_time=pl.when(BTC).then(pl.lit(gone)).otherwise("delisting_time"),
        status=pl.when(BTC).then(pl.lit("delisted")).otherwise("status"),
    )
    # no bar opens in the moment in which it is gone
    bars = truth["ohlcv_1h"].filter(~(BTC & (pl.col("timestamp") >= gone)))
    filled(warehouse, {"instruments": life.cast(dict(to_polars(TABLES["instruments"]))), "ohlcv_1h": bars})
    assert failed(warehouse) == []


def relisted(truth, gone, back) -> pl.DataFrame:
    """Periods of BTC on Binance, delisted at one time and listed again at another."""
    (first,) = truth["instrument_periods"].filter(BTC).to_dicts()
    ended = {"valid_from": gone, "valid_to": back, "delisting_time": gone, "status": "delisted"}
    spans = [first | {"valid_to": gone}, first | ended, first | {"valid_from": back, "listing_time": back}]
    return pl.DataFrame(spans, schema=to_polars(TABLES["instrument_periods"]))


def test_time_between_two_listings_of_a_name_is_no_gap(warehouse, truth):
    gone, back = START + timedelta(hours=30), START + timedelta(hours=50.5)
    periods = relisted(truth, gone, back)
    listed = truth["instruments"].with_columns(
        listing_time=pl.when(BTC).then(pl.lit(back)).otherwise("listing_time").cast(pl.Datetime("us", "UTC"))
    )
    times = pl.col("timestamp")
    hole = BTC & (times >= gone) & (times < back.replace(minute=0))
    bars = truth["ohlcv_1h"].filter(~hole)
    filled(warehouse, {"instruments": listed, "instrument_periods": periods, "ohlcv_1h": bars})
    assert failed(warehouse) == []
    filled(warehouse, {"ohlcv_1h": bars.filter(~(BTC & (times == START + timedelta(hours=52))))})
    assert failed(warehouse) == [("ohlcv_1h", "binance", "gaps", 3, 1)]


def test_bar_in_which_a_name_was_delisted_and_listed_again_is_due_once(warehouse, truth):
    periods = relisted(truth, START + timedelta(hours=30.25), START + timedelta(hours=30.5))
    bars = {name: truth[name] for name in ("ohlcv_1h", "ohlcv_1d")}
    filled(warehouse, {"instruments": truth["instruments"], "instrument_periods": periods, **bars})
    assert failed(warehouse) == []


# The first settlement after a listing is later than the listing, even if that is at a full interval.
@pytest.mark.parametrize("hours", [48, 50.5])
def test_settlements_between_two_listings_of_a_name_are_not_missing(warehouse, truth, hours):
    gone, back = START + timedelta(hours=30), START + timedelta(hours=hours)
    periods = relisted(truth, gone, back)
    perp = BTC & (pl.col("instrument_type") == "perp")
    rates = truth["funding_rates"].filter(~(perp & pl.col("timestamp").is_between(gone, back)))
    assert truth["funding_rates"].height - rates.height == 3
    filled(warehouse, {"instruments": truth["instruments"], "instrument_periods": periods, "funding_rates": rates})
    assert failed(warehouse) == []
    lost = perp & (pl.col("timestamp") == START + timedelta(hours=56))
    filled(warehouse, {"funding_rates": rates.filter(~lost)})
    assert failed(warehouse) == [("funding_rates", "binance", "gaps", (START + timedelta(hours=64)).day, 1)]


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


def test_outlier_is_judged_by_the_multiplier_of_the_bar(warehouse, truth):
    second = BTC & (pl.col("timestamp").dt.day() == 2)
    scaled = [pl.when(second).then(pl.col(name) * 1000.0).otherwise(name).alias(name) for name in PRICES]
    multiplier = pl.when(second).then(1000.0).otherwise("multiplier")
    filled(warehouse, {**truth, "ohlcv_1h": truth["ohlcv_1h"].with_columns(*scaled, multiplier=multiplier)})
    assert failed(warehouse) == []


def test_outlier_falls_back_to_the_listed_multiplier(warehouse, truth):
    unknown = pl.lit(None, pl.Float64)
    filled(warehouse, {**truth, "ohlcv_1h": truth["ohlcv_1h"].with_columns(multiplier=unknown)})
    assert failed(warehouse) == []


def test_rows_kept_apart_are_counted_and_do_not_block(warehouse, truth):
    filled(warehouse, truth)
    apart = truth["ohlcv_1h"].filter(exchange="okx").head(3).with_columns(reason=pl.lit("ohlc_order"))
    warehouse.write_quarantine(TABLES["ohlcv_1h"], "okx", "2026", apart.to_arrow())
    assert failed(warehouse) == [("ohlcv_1h", "okx", "quarantined_rows", 1, 3)]
    assert blocking_failures(run_checks(warehouse, now=END)).is_empty()


def test_a_file_that_was_tampered_with_blocks(warehouse, truth):
    filled(warehouse, truth)
    (file,) = (file for file in warehouse.manifest.select("funding_rates") if file.exchange == "okx")
    rows = pq.ParquetFile(warehouse.root / file.path).read()
    bad = pl.from_arrow(rows).with_columns(funding_rate=pl.lit(12.0)).to_arrow().cast(rows.schema)
    pq.write_table(bad, warehouse.root / file.path)
    found = blocking_failures(run_checks(warehouse, now=END))
    assert set(found["check_name"]) == {"data_files", "plausible_rate"}
    with pytest.raises(QualityError, match=r"funding_rates of okx on 2026-06-01: data_files fails for"):
        raise_on_failures(found)


def test_a_file_of_another_schema_blocks_and_hides_no_other(warehouse, truth):
    filled(warehouse, truth)
    (file,) = (file for file in warehouse.manifest.select("funding_rates") if file.exchange == "okx")
    rows = pq.ParquetFile(warehouse.root / file.path).read()
    pq.write_table(rows.drop_columns(["mark_price"]), warehouse.root / file.path)
    found = run_checks(warehouse, now=END).filter(table_name="funding_rates")
    assert blocking_failures(found).select("exchange", "check_name", "rows_failed").rows() == [
        ("okx", "data_files", rows.num_rows),
        ("okx", "schema", rows.num_rows),
    ]
    assert found.filter(exchange="binance", check_name="plausible_rate").height


def test_a_doubled_key_blocks(warehouse, truth):
    filled(warehouse, truth)
    (file,) = (file for file in warehouse.manifest.select("open_interest") if file.exchange == "okx")
    rows = pq.ParquetFile(warehouse.root / file.path).read()
    pq.write_table(rows.take([0, *range(rows.num_rows)]), warehouse.root / file.path)
    found = blocking_failures(run_checks(warehouse, now=END))
    assert found.select("table_name", "exchange", "check_name", "rows_failed").rows() == [
        ("open_interest", "okx", "data_files", rows.num_rows),
        ("open_interest", "okx", "unique_key", 2),
    ]


def test_gold_is_made_of_silver_and_of_nothing_else(warehouse, truth):
    filled(warehouse, truth)
    for name in (*MADE_OF, "data_quality"):
        (file,) = build_gold(warehouse, name, now=END)
        assert file.rows == pq.ParquetFile(warehouse.root / file.path).metadata.num_rows > 0
    before = warehouse.manifest
    assert [build_gold(warehouse, name, now=END) for name in MADE_OF]
    assert warehouse.manifest.files == before.files, "made twice, nothing changes"


def test_gold_says_what_is_missing(warehouse, truth):
    with pytest.raises(DatasetNotFoundError, match="requires liquidations, which is missing"):
        build_gold(warehouse, "liquidations_1d")
    with pytest.raises(UnknownTableError, match="liquidations_1d"):
        build_gold(warehouse, "liquidation_1d")


def test_a_table_that_is_not_there_by_name_is_no_sound_one(warehouse):
    with pytest.raises(UnknownTableError, match="ohlcv_1h"):
        run_checks(warehouse, ["ohlcv_1hour"])


def test_stale_tables_are_named_with_their_venue(warehouse, truth):
    filled(warehouse, {name: truth[name].filter(exchange="okx") for name in ("instruments", "open_interest")})
    assert stale(warehouse, now=END + timedelta(hours=1)) == []
    (line,) = stale(warehouse, now=END + timedelta(days=5))
    assert line.startswith("open_interest of okx: ")
    assert line.endswith("newest day 2026-06-04")


def test_outcomes_are_there_where_no_rows_are(warehouse, truth):
    assert {result.rows_checked for result in check_results(warehouse, "okx", TABLES["ohlcv_1h"])} == {0}
    filled(warehouse, truth)
    found = {result.check_name: result for result in check_results(warehouse, "okx", TABLES["ohlcv_1h"])}
    assert found["ohlc_order"].rows_checked == truth["ohlcv_1h"].filter(exchange="okx").height
    assert found["fresh"].days, "the simulated time is long over"
