"""A dataset of schema version 1: without multipliers on rows, asset classes, and instrument periods.

The last commit of schema version 1 (5445a2d) filled the warehouse in ``tests/fixtures/schema_1.zip``: ``cexkit.pull``
of BTC and PEPE from the loopback Binance with the simulated market of 2025-12-29 to 2026-01-04 and the time 2026-01-02:
``ohlcv_1h``, ``ohlcv_1d``, ``funding_rates``, and ``open_interest`` from 2025-12-31 to 2026-01-01T12:00.
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import duckdb
import polars as pl
import pytest
from typer.testing import CliRunner

import cexkit
from cexkit import Token
from cexkit.cli.commands import app
from cexkit.errors import DatasetNotFoundError
from cexkit.exchanges.fetcher import Fetcher
from cexkit.schema import SCHEMA_VERSION, TABLES
from cexkit.schema.intervals import utc
from cexkit.testing import LoopbackBinance
from cexkit.testing.simulation import simulate
from cexkit.warehouse.gold.build import MADE_OF, build_gold
from cexkit.warehouse.ingest.migrate import migrate
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.quality import blocking_failures, run_checks
from cexkit.warehouse.sql_views import generated
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.layout import MANIFEST
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.manifest import read_manifest
from cexkit.warehouse.store.warehouse import Warehouse

FACTS = ("ohlcv_1h", "ohlcv_1d", "open_interest")


@pytest.fixture(scope="module")
def stored(tmp_path_factory, project_root) -> Path:
    root = tmp_path_factory.mktemp("schema_1")
    with zipfile.ZipFile(project_root / "tests/fixtures/schema_1.zip") as archive:
        archive.extractall(root)
    return root


@pytest.fixture
def warehouse(stored, tmp_path) -> Warehouse:
    return Warehouse(shutil.copytree(stored, tmp_path / "warehouse"))


@pytest.fixture(scope="module")
def truth() -> dict[str, pl.DataFrame]:
    return simulate(start="2025-12-29", end="2026-01-04", coins=["BTC", "PEPE"], exchanges=["binance"]).tables


def test_fixture_is_of_schema_1(stored):
    manifest = read_manifest(stored / MANIFEST)
    assert manifest.schema_version == 1 < SCHEMA_VERSION
    assert {file.table for file in manifest.files} == {*FACTS, "funding_rates", "instruments"}


@pytest.mark.parametrize("table", FACTS)
def test_missing_columns_read_as_null(stored, table):
    market = cexkit.connect(stored)
    rows = getattr(market, table)
    assert rows.columns == TABLES[table].columns
    assert rows.multiplier.notnull().sum().execute() == 0 < rows.count().execute()
    assert market.sql(f"SELECT count(multiplier) AS known FROM {table}").known.execute().item() == 0
    assert Warehouse(stored).read(TABLES[table])["multiplier"].null_count == rows.count().execute()


def test_missing_table_reads_as_empty(stored):
    market = cexkit.connect(stored)
    assert market.instruments.asset_class.notnull().sum().execute() == 0
    assert Warehouse(stored).read(TABLES["instrument_periods"]).num_rows == 0
    assert "instrument_periods" not in market.tables


def test_prices_per_coin_use_the_listed_multiplier(stored, truth):
    market = cexkit.connect(stored)
    token = Token("PEPE", instrument_type="perp", market=market)
    prices = token.ohlcv("1h", return_type="polars")
    assert set(prices["multiplier"]) == {1.0}
    own = truth["ohlcv_1h"].filter(symbol="1000PEPEUSDT").join(prices, on="timestamp", how="semi")
    assert prices["close"].to_list() == pytest.approx((own["close"] / 1000).to_list(), rel=1e-12)
    interest = token.open_interest(return_type="polars")
    known = truth["open_interest"].filter(symbol="1000PEPEUSDT").join(interest, on="timestamp", how="semi")
    assert interest["open_interest_base"].to_list() == (known["open_interest_base"] * 1000).to_list()


def test_basis_over_spot_is_in_one_unit(stored):
    rows = cexkit.connect(stored).basis(reference="spot", symbol="1000PEPEUSDT").to_polars()
    assert rows.height == 36
    assert rows["basis"].abs().max() < 0.05


def test_checks_pass(stored):
    assert blocking_failures(run_checks(Warehouse(stored))).is_empty()


@pytest.mark.parametrize("name", [name for name, (_, needs) in MADE_OF.items() if "liquidations" not in needs])
def test_gold_is_built(warehouse, name):
    assert build_gold(warehouse, name)
    assert warehouse.read(TABLES[name]).num_rows


def test_composite_bars_are_per_coin(warehouse, truth):
    build_gold(warehouse, "ohlcv_1d_composite")
    rows = pl.from_arrow(warehouse.read(TABLES["ohlcv_1d_composite"])).filter(base="PEPE")
    own = truth["ohlcv_1d"].filter(symbol="PEPEUSDT").join(rows, on="timestamp", how="semi")
    assert rows["close"].to_list() == own["close"].to_list()


def test_first_pull_merges_old_bronze_again_and_fills_multipliers(warehouse, truth):
    span = {"start": "2026-01-01T12:00", "end": "2026-01-03"}
    with LoopbackBinance(truth, now="2026-01-04") as venue, Fetcher(venue.settings) as fetcher:
        report = pull("binance", ["ohlcv_1h", "open_interest"], warehouse=warehouse, fetcher=fetcher, **span)
    assert report.problems == ()
    rows = _read(warehouse, "ohlcv_1h")
    expected = truth["ohlcv_1h"].filter(pl.col("timestamp").is_between(utc("2025-12-31"), utc("2026-01-03"), "left"))
    assert rows.equals(expected)
    assert {file.schema_version for file in warehouse.manifest.select("ohlcv_1h")} == {SCHEMA_VERSION}
    assert blocking_failures(run_checks(warehouse)).is_empty()
    market = cexkit.connect(warehouse.root)
    assert market.ohlcv_1h.multiplier.notnull().sum().execute() == rows["multiplier"].count()
    # The new list names a class for the two perpetuals, the old one does not.
    assert market.instrument_periods.count().execute() == 4 + 2
    token = Token("PEPE", instrument_type="perp", market=market)
    ratio = token.ohlcv("1h", return_type="polars")["close"] / rows.filter(symbol="1000PEPEUSDT")["close"]
    assert (ratio * 1000 - 1).abs().max() < 1e-12


def _read(warehouse: Warehouse, table: str) -> pl.DataFrame:
    return pl.from_arrow(warehouse.read(TABLES[table])).sort(TABLES[table].key)


def test_rebuild_from_old_bronze_fills_the_columns(warehouse, truth):
    for table in ("instruments", "ohlcv_1h"):
        build_silver(warehouse, "binance", TABLES[table])
    rows = _read(warehouse, "ohlcv_1h")
    assert rows.equals(truth["ohlcv_1h"].join(rows, on=TABLES["ohlcv_1h"].key, how="semi"))
    assert warehouse.read(TABLES["instrument_periods"]).num_rows == 4


def test_plain_sql_reads_old_files(stored):
    connection = duckdb.connect()
    connection.execute("SET VARIABLE root = ?", [str(stored)])
    for text in generated().values():
        connection.execute(text)
    assert connection.execute("SELECT count(*) > 0, count(multiplier) FROM ohlcv_1h").fetchone() == (True, 0)
    assert connection.execute("SELECT count(*) FROM instrument_periods").fetchone() == (0,)


def _files(root: Path) -> dict[str, bytes]:
    ignored = (".locks", ".manifest.lock")
    files = (path for path in root.rglob("*") if path.is_file() and not path.name.endswith(".lock"))
    return {str(path.relative_to(root)): path.read_bytes() for path in files if path.parent.name not in ignored}


@pytest.mark.parametrize("with_bronze", [True, False])
def test_migration_fills_the_columns_and_changes_nothing_the_second_time(warehouse, truth, with_bronze):
    if not with_bronze:  # as a copy that was downloaded
        shutil.rmtree(warehouse.root / "bronze")
        shutil.rmtree(warehouse.root / "ledger")
    assert migrate(warehouse).problems == ()
    for name in FACTS:
        rows = _read(warehouse, name)
        assert rows.equals(truth[name].join(rows, on=TABLES[name].key, how="semi"))
    files = [file for file in warehouse.manifest.files if TABLES[file.table].layer == "silver"]
    assert {file.schema_version for file in files} == {SCHEMA_VERSION}
    assert None not in {file.keys_sha256 for file in files}
    assert not list(warehouse.root.glob("bronze/*/endpoint=inventory.*"))
    assert blocking_failures(run_checks(warehouse)).is_empty()
    before = _files(warehouse.root)
    assert migrate(warehouse).problems == ()
    assert _files(warehouse.root) == before


def test_migrate_command_refuses_a_folder_that_is_no_warehouse(tmp_path):
    done = CliRunner().invoke(app, ["migrate", "--warehouse", str(tmp_path)])
    assert isinstance(done.exception, DatasetNotFoundError)


def test_quarantined_rows_of_schema_1_keep_their_place(warehouse):
    table = TABLES["ohlcv_1h"]
    path = warehouse.root / layout.quarantine_file(table, "binance", "2026")
    path.parent.mkdir(parents=True, exist_ok=True)
    old = _read(warehouse, "ohlcv_1h").head(1).drop("multiplier").with_columns(reason=pl.lit("ohlc_order"))
    old.write_parquet(path)
    assert warehouse.quarantine(table, "binance", "2026")["multiplier"].to_pylist() == [None]
    assert run_checks(warehouse, ["ohlcv_1h"]).filter(check_name="quarantined_rows")["rows_failed"].sum() == 1


def _bronze_of(warehouse: Warehouse, table: str) -> list[Path]:
    return sorted(warehouse.root / path for path in Ledger(warehouse.root, "binance", TABLES[table]).files["path"])


def _migrate_by_pull(warehouse: Warehouse, truth):
    span = {"start": "2026-01-01T12:00", "end": "2026-01-02"}
    with LoopbackBinance(truth, now="2026-01-04") as venue, Fetcher(venue.settings) as fetcher:
        return pull("binance", ["ohlcv_1h", "open_interest"], warehouse=warehouse, fetcher=fetcher, **span)


@pytest.mark.parametrize(
    ("run", "loss"), [("migrate", "missing"), ("migrate", "cut"), ("migrate", "retired"), ("pull", "missing")]
)
def test_bronze_that_was_lost_before_the_migration_is_known_after_it(warehouse, truth, run, loss):
    before, path = _read(warehouse, "open_interest"), _bronze_of(warehouse, "open_interest")[0]
    path.write_bytes(path.read_bytes()[:50]) if loss == "cut" else path.unlink()
    name = path.relative_to(warehouse.root).as_posix()
    if loss == "retired":
        earlier = warehouse.root / layout.earlier_ledger_file(TABLES["open_interest"], "binance")
        rows = pl.read_parquet(earlier, hive_partitioning=False).with_columns(retired=pl.lit(value=True))
        rows.write_parquet(earlier)
    listed = CliRunner().invoke(app, ["bronze", "check", "--warehouse", str(warehouse.root)])
    assert (name in listed.stdout) == (loss != "retired")
    assert "5 ledgers of an earlier version" in listed.stdout
    report = migrate(warehouse) if run == "migrate" else _migrate_by_pull(warehouse, truth)
    assert any(name in problem.message for problem in report.problems) == (loss != "retired")
    after = _read(warehouse, "open_interest")
    assert after.join(before, on=TABLES["open_interest"].key, how="semi").height == before.height
    ledger = Ledger(warehouse.root, "binance", TABLES["open_interest"])
    (file,) = ledger.files.filter(path=name).to_dicts()
    assert (file["rows"], file["retired"]) == (before.height, loss == "retired")
    (day,) = {layout.received_on(name)}
    assert set(ledger.responses(day).filter(path=name)["sha256"].str.len_chars()) == {64}
    failed = set(blocking_failures(run_checks(warehouse))["check_name"])
    assert failed == (set() if loss == "retired" else {"bronze_files"})


def test_bronze_lost_as_a_whole_before_the_migration_is_reported(warehouse):
    shutil.rmtree(warehouse.root / "bronze")
    assert "bronze_files" in set(blocking_failures(run_checks(warehouse))["check_name"])
    before = _read(warehouse, "ohlcv_1h")
    assert sum("is missing" in problem.message for problem in migrate(warehouse).problems) == 9
    assert _read(warehouse, "ohlcv_1h").drop("multiplier").equals(before.drop("multiplier"))
    assert "bronze_files" in set(blocking_failures(run_checks(warehouse))["check_name"])


def test_correction_that_only_silver_has_survives_the_loss_of_its_file(warehouse, truth):
    """A later file corrected a row of an earlier one, and was lost before the migration."""
    table = TABLES["ohlcv_1h"]
    rows = _read(warehouse, "ohlcv_1h").with_columns(pl.col("close", "high", "low", "open") * 2)
    warehouse.write(table, rows.to_arrow())
    path = max(_bronze_of(warehouse, "ohlcv_1h"))
    path.unlink()
    migrate(warehouse)
    assert _read(warehouse, "ohlcv_1h")["close"].to_list() == rows["close"].to_list()
