"""Silver files that are missing or damaged: made again from Bronze, or kept in the manifest until a user decides."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from cexkit.cli.commands import app
from cexkit.config import settings
from cexkit.errors import DamagedFileError, DataLossError
from cexkit.schema import TABLES
from cexkit.schema.intervals import utc
from cexkit.testing import LOOPBACKS
from cexkit.testing.simulation import simulate
from cexkit.warehouse.gold.build import build_gold
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.ingest.rebuild import rebuild
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.quality import blocking_failures, run_checks
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.compact import compact
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.ledgers import retire
from cexkit.warehouse.store.parquet import read_table, write_table
from cexkit.warehouse.store.warehouse import Warehouse

from ...clock import Clock, reading

#: The time of venues and readers, which passes when budgets wait.
CLOCK = Clock()

START, DAY, NOW = utc("2025-12-29"), timedelta(days=1), utc("2026-01-20")
BARS, FUNDING, LISTING, PERIODS = (
    TABLES[name] for name in ("ohlcv_1h", "funding_rates", "instruments", "instrument_periods")
)


@pytest.fixture(scope="module")
def truth() -> dict[str, pl.DataFrame]:
    tables = simulate(start="2025-12-29", end="2026-01-08", coins=["BTC"], exchanges=["okx"]).tables
    return {name: tables[name] for name in tables}


def _pull(truth, warehouse: Warehouse, first: int, days: int, *tables: str, refresh: bool = False):
    with LOOPBACKS["okx"](truth, now=NOW, clock=CLOCK) as server, reading(server, CLOCK) as fetcher:
        span = START + first * DAY, START + (first + days) * DAY
        words = {"warehouse": warehouse, "fetcher": fetcher, "now": NOW, "refresh": refresh}
        return pull("okx", tables or ["ohlcv_1h"], None, *span, instrument_type="perp", **words)


@pytest.fixture(scope="module")
def six_days(truth, tmp_path_factory) -> Warehouse:
    """Three days of 2025 and three of 2026, each from a separate Bronze file."""
    warehouse = Warehouse(tmp_path_factory.mktemp("days"))
    for day in range(6):
        assert not _pull(truth, warehouse, day, 1).problems
    return warehouse


@pytest.fixture
def warehouse(six_days, tmp_path) -> Warehouse:
    return Warehouse(shutil.copytree(six_days.root, tmp_path / "warehouse"))


def _rows(warehouse: Warehouse, table=BARS) -> pl.DataFrame:
    return pl.from_arrow(warehouse.read(table)).sort(table.key)


def _file(warehouse: Warehouse, table=BARS, number: int = 0) -> Path:
    return warehouse.root / warehouse.manifest.select(table.name)[number].path


def _delete(path: Path) -> None:
    path.unlink()


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(content)


def _swap(path: Path) -> None:
    """Give a file other rows and the same size, as no reader of Parquet would notice."""
    size, rows = path.stat().st_size, read_table(path, BARS)
    write_table(rows.slice(0, rows.num_rows - 9), BARS, path)
    content = path.read_bytes()
    footer = content[-8 - int.from_bytes(content[-8:-4], "little") :]
    path.write_bytes(content[: -len(footer)] + bytes(size - len(content)) + footer)


def _about(report, table: str) -> list[str]:
    return [problem.message for problem in report.problems if problem.table == table]


@pytest.mark.parametrize(
    ("run", "damage"), [("pull", _delete), ("pull", _swap), ("rebuild", _truncate), ("rebuild", _flip)]
)
def test_file_is_made_again_from_bronze(truth, warehouse, damage, run):
    before, path = _rows(warehouse), _file(warehouse)
    damage(path)
    if run == "rebuild":
        (done,) = rebuild(warehouse, "okx", [BARS], now=NOW)
        assert done.lost_keys == 0
        messages = [problem.message for problem in done.problems]
    else:
        messages = _about(_pull(truth, warehouse, 0, 1, refresh=damage in (_flip, _swap)), "ohlcv_1h")
    assert len(messages) == 1
    assert path.relative_to(warehouse.root).as_posix() in messages[0]
    assert "made again from Bronze" in messages[0]
    assert _rows(warehouse).equals(before)
    assert not build_silver(warehouse, "okx", BARS, now=NOW).problems
    assert blocking_failures(run_checks(warehouse, ["ohlcv_1h"])).is_empty()


@pytest.mark.parametrize(("table", "with_state"), [(LISTING, False), (PERIODS, True)], ids=["instruments", "periods"])
def test_listing_is_made_again(truth, warehouse, table, with_state):
    before = _rows(warehouse, table)
    if not with_state:
        (warehouse.root / layout.ledger_folder(LISTING, "okx") / "lists.parquet").unlink()
    _file(warehouse, table).unlink()
    report = _pull(truth, warehouse, 6, 1)
    assert [message for message in _about(report, table.name) if "made again from Bronze" in message]
    assert set(_rows(warehouse, table).select(table.key).rows()) >= set(before.select(table.key).rows())
    assert _rows(warehouse).height == 7 * 24


def _lose_bronze(warehouse: Warehouse, day: int = 0) -> Path:
    """Delete the Bronze file of one day of bars."""
    ledger = Ledger(warehouse.root, "okx", BARS)
    (lost,) = (file for file in ledger.overlapping(layout.Window(START + day * DAY, START + (day + 1) * DAY)))
    (warehouse.root / lost.path).unlink()
    return warehouse.root / lost.path


@pytest.mark.parametrize("retired", [False, True])
def test_file_of_which_bronze_lacks_rows_stays_in_the_manifest(truth, warehouse, retired, tmp_path):
    before, lost, path = _rows(warehouse), _lose_bronze(warehouse), _file(warehouse)
    if retired:
        retire(warehouse.root, [lost.relative_to(warehouse.root).as_posix()])
    shutil.move(path, tmp_path / "copy")
    report = _pull(truth, warehouse, 6, 1, "ohlcv_1h", "funding_rates")
    (message,) = (message for message in _about(report, "ohlcv_1h") if path.name in message)
    assert "is missing, and Bronze lacks 24 or more of its 72 rows" in message
    assert "--allow-loss ohlcv_1h:okx" in message
    assert "stay in Silver" not in str(report)
    # the file costs only itself: the other year and the other table are up to date
    year = pl.from_arrow(warehouse.read(BARS, span=layout.Window(utc("2026-01-01"), utc("2027-01-01"))))
    assert year.height == 4 * 24
    assert _rows(warehouse, FUNDING).height == 3
    failed = blocking_failures(run_checks(warehouse, ["ohlcv_1h"]))
    assert "data_files" in set(failed["check_name"])
    assert any(path.name in message for message in _about(build_silver(warehouse, "okx", BARS, now=NOW), "ohlcv_1h"))
    shutil.move(tmp_path / "copy", path)
    assert not [m for m in _about(_pull(truth, warehouse, 6, 1), "ohlcv_1h") if path.name in m]
    assert _rows(warehouse).join(before, on=BARS.key, how="semi").equals(before)


def test_settlements_are_made_again_with_their_intervals(truth, warehouse):
    _pull(truth, warehouse, 0, 6, "funding_rates")
    before = _rows(warehouse, FUNDING)
    _file(warehouse, FUNDING).unlink()
    (problem,) = build_silver(warehouse, "okx", FUNDING, now=NOW).problems
    assert "made again from Bronze" in problem.message
    assert _rows(warehouse, FUNDING).equals(before)


@pytest.mark.parametrize("run", ["pull", "rebuild"])
def test_new_rows_do_not_stand_for_lost_ones_without_digests(truth, warehouse, run):
    """As many rows as before prove nothing if some of them are new."""
    lost = _lose_bronze(warehouse, day=4)
    retire(warehouse.root, [lost.relative_to(warehouse.root).as_posix()])
    shutil.rmtree(warehouse.root / layout.KEYS)
    path = _file(warehouse, number=1)
    path.unlink()
    report = _pull(truth, warehouse, 6, 1)
    assert any(
        f"{path.name} is missing, and Bronze lacks 1 or more of its 72 rows" in each
        for each in _about(report, "ohlcv_1h")
    )
    if run == "rebuild":
        with pytest.raises(DataLossError, match="or more keys in tables/ohlcv_1h"):
            rebuild(warehouse, "okx", [BARS], now=NOW)


def test_plan_of_a_pull_does_not_hide_a_listing_made_again(truth, warehouse, monkeypatch):
    _file(warehouse, LISTING).unlink()
    with LOOPBACKS["okx"](truth, now=NOW) as server:
        monkeypatch.setenv("CEXKIT_BASE_URLS", json.dumps(dict(server.settings.base_urls)))
        settings.cache_clear()
        words = ["okx", "ohlcv_1h", "--start", "2025-12-29", "--end", "2025-12-30", "--warehouse", str(warehouse.root)]
        done = CliRunner().invoke(app, ["pull", *words], catch_exceptions=False)
    settings.cache_clear()
    assert done.exit_code == 3
    assert "is missing: its 2 rows are made again from Bronze" in done.stdout


def test_responses_about_a_lost_file_wait_for_it(truth, warehouse, tmp_path):
    _lose_bronze(warehouse)
    path = _file(warehouse)
    shutil.move(path, tmp_path / "copy")
    doubled = truth["ohlcv_1h"].with_columns(pl.col("open", "high", "low", "close") * 2)
    _pull(truth | {"ohlcv_1h": doubled}, warehouse, 1, 1, refresh=True)
    shutil.move(tmp_path / "copy", path)
    build_silver(warehouse, "okx", BARS, now=NOW)
    day = pl.col("timestamp").is_between(START + DAY, START + 2 * DAY, closed="left")
    expected = truth["ohlcv_1h"].filter(day, instrument_type="perp").sort(BARS.key)
    assert (_rows(warehouse).filter(day)["close"] / expected["close"]).unique().to_list() == [2.0]
    assert _rows(warehouse).height == 6 * 24


def test_rebuild_refuses_to_drop_the_rows_of_a_lost_file_unless_told_to(truth, warehouse):
    before = _rows(warehouse)
    _lose_bronze(warehouse)
    _file(warehouse).unlink()
    (done,) = rebuild(warehouse, "okx", [BARS], dry_run=True, now=NOW)
    assert done.lost_keys == 24
    with pytest.raises(DataLossError, match=r"24 or more keys of perp BTCUSDT .*2025-12.*--allow-loss ohlcv_1h:okx"):
        rebuild(warehouse, "okx", [BARS], now=NOW)
    assert not _file(warehouse).exists()
    rebuild(warehouse, "okx", [BARS], allow_loss=["ohlcv_1h:OKX"], now=NOW)
    assert _rows(warehouse).height == 5 * 24
    assert blocking_failures(run_checks(warehouse, ["ohlcv_1h"])).is_empty()
    assert not _pull(truth, warehouse, 0, 6).problems  # requests again what was dropped
    assert _rows(warehouse).equals(before)


def test_damage_elsewhere_costs_only_its_table(truth, warehouse):
    (warehouse.root / layout.inventory_file(BARS, "okx")).write_bytes(b"x")
    report = _pull(truth, warehouse, 6, 1, "ohlcv_1h", "funding_rates")
    assert any("inventory" in message for message in _about(report, "ohlcv_1h"))
    assert _rows(warehouse, FUNDING).height == 3


@pytest.mark.parametrize("blocked", ["file", "folder"])
def test_folder_in_place_of_a_file_costs_only_its_table_until_it_is_moved_away(truth, warehouse, blocked):
    before, path = _rows(warehouse), _file(warehouse)
    if blocked == "file":  # a folder has its name
        path.unlink()
        path.mkdir()
    else:  # a file has the name of its folder
        path = path.parent
        shutil.rmtree(path)
        path.write_text("")
    report = _pull(truth, warehouse, 6, 1, "ohlcv_1h", "funding_rates")
    assert any(str(path) in problem.message and "move it away" in problem.message for problem in report.problems)
    assert {problem.table for problem in report.problems} == {"ohlcv_1h"}
    assert _rows(warehouse, FUNDING)["timestamp"].max() >= START + 6 * DAY
    path.rmdir() if blocked == "file" else path.unlink()
    _pull(truth, warehouse, 6, 1, "ohlcv_1h")
    assert _rows(warehouse).filter(pl.col("timestamp") < START + 6 * DAY).equals(before)
    assert _rows(warehouse)["timestamp"].max() >= START + 6 * DAY


def test_no_reader_on_the_write_side_ends_in_a_traceback(truth, tmp_path):
    warehouse, today = Warehouse(tmp_path / "warehouse"), START + 12 * DAY
    with LOOPBACKS["okx"](truth, now=today, clock=CLOCK) as server, reading(server, CLOCK) as fetcher:
        words = {"warehouse": warehouse, "fetcher": fetcher, "now": today, "instrument_type": "perp"}
        pull("okx", ["ohlcv_1h", "funding_rates"], None, START, START + 9 * DAY, **words)
    for path in (file.path for file in warehouse.manifest.files if file.table in ("ohlcv_1h", "funding_rates")):
        _flip(warehouse.root / path)
    with pytest.raises(DamagedFileError, match=r"tables/funding_rates/.*cexkit rebuild okx --table funding_rates"):
        compact(warehouse, now=utc("2026-03-01"))
    with pytest.raises(DamagedFileError, match="tables/funding_rates"):
        build_gold(warehouse, "funding_weighted_8h")
    with pytest.raises(DamagedFileError, match=r"tables/ohlcv_1h/.* is damaged"):
        warehouse.read(BARS)
