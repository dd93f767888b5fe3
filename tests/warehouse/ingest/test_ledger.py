"""Bronze files that disappear or change: their rows stay in Silver, and publication stops until they are retired."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st
from typer.testing import CliRunner

import cexkit
from cexkit.cli.commands import app
from cexkit.errors import DatasetNotFoundError, QualityError, UnknownNameError
from cexkit.exchanges.fetcher import Fetcher
from cexkit.schema import TABLES
from cexkit.schema.intervals import utc
from cexkit.testing import LOOPBACKS
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.quality import blocking_failures, run_checks
from cexkit.warehouse.store.ledger import Ledger, read_ledgers, retire
from cexkit.warehouse.store.warehouse import Warehouse

START, DAY = utc("2026-06-01"), timedelta(days=1)
BARS, LISTING = TABLES["ohlcv_1h"], TABLES["instruments"]


@pytest.fixture(scope="module")
def truth() -> dict[str, pl.DataFrame]:
    return simulate(start="2026-06-01", end="2026-06-08", coins=["BTC"]).tables


def _pull(truth, warehouse: Warehouse, day: int, *, refresh: bool = False):
    """Pull one day as it is three days later, so that it is settled and never read again."""
    end = START + (day + 1) * DAY
    loopback = LOOPBACKS["okx"](truth, now=(end + 3 * DAY).isoformat())
    with loopback as server, Fetcher(server.settings) as fetcher:
        start = START + day * DAY
        return pull("okx", "ohlcv_1h", None, start, end, warehouse=warehouse, fetcher=fetcher, refresh=refresh)


@pytest.fixture(scope="module")
def three_days(truth, tmp_path_factory) -> Warehouse:
    warehouse = Warehouse(tmp_path_factory.mktemp("days"))
    for day in range(3):
        assert not _pull(truth, warehouse, day).problems
    return warehouse


@pytest.fixture
def warehouse(three_days, tmp_path) -> Warehouse:
    return Warehouse(shutil.copytree(three_days.root, tmp_path / "warehouse"))


def _rows(warehouse: Warehouse, table=BARS) -> pl.DataFrame:
    return pl.from_arrow(warehouse.read(table)).sort(table.key)


def _bronze_files(warehouse: Warehouse, table=BARS) -> list[Path]:
    ledger = Ledger(warehouse.root, "okx", table)
    return [warehouse.root / path for path in ledger.entries]


def _failed(warehouse: Warehouse, check: str = "bronze_files") -> int:
    failures = blocking_failures(run_checks(warehouse, ["ohlcv_1h", "instruments"]))
    return int(failures.filter(check_name=check)["rows_failed"].sum())


def test_ledger_names_every_response_and_its_rows(warehouse, truth):
    ledger = Ledger(warehouse.root, "okx", BARS)
    assert sum(sum(entry.rows) for entry in ledger.entries.values()) == _rows(warehouse).height
    assert all((warehouse.root / path).stat().st_size == entry.bytes for path, entry in ledger.entries.items())
    assert all(len(digest) == 64 for entry in ledger.entries.values() for digest in entry.sha256)
    assert {(exchange, table) for exchange, table, _ in read_ledgers(warehouse.root)} == {
        ("okx", "instruments"),
        ("okx", "ohlcv_1h"),
    }


def test_rows_of_a_missing_file_stay_and_are_reported(warehouse, truth):
    before, lost = _rows(warehouse), _bronze_files(warehouse)[0]
    lost.unlink()
    report = _pull(truth, warehouse, 3)
    after = _rows(warehouse)
    assert after.join(before, on=BARS.key, how="semi").equals(before)
    assert after.height == before.height // 3 * 4
    (problem,) = (problem for problem in report.problems if problem.table == "ohlcv_1h")
    assert lost.relative_to(warehouse.root).as_posix() in problem.message
    assert "is missing" in problem.message
    assert "cexkit bronze retire" in problem.message


def test_missing_file_blocks_publication(warehouse, tmp_path):
    _bronze_files(warehouse)[0].unlink()
    assert _failed(warehouse) == _rows(warehouse).height // 3
    with pytest.raises(QualityError, match="bronze_files"):
        cexkit.publish(warehouse, tmp_path / "published")


def test_value_of_a_lost_correction_stays(truth, warehouse):
    corrected = {name: truth[name] for name in truth}
    corrected["ohlcv_1h"] = truth["ohlcv_1h"].with_columns(pl.col("close", "high", "low", "open") * 2)
    before = set(_bronze_files(warehouse))
    _pull(corrected, warehouse, 1, refresh=True)
    (correction,) = set(_bronze_files(warehouse)) - before
    rows = _rows(warehouse)
    correction.unlink()
    _pull(truth, warehouse, 3)
    after = _rows(warehouse).join(rows, on=BARS.key, how="semi", maintain_order="left")
    assert after["close"].to_list() == rows["close"].to_list()
    build_silver(warehouse, "okx", BARS)
    assert _rows(warehouse).join(rows, on=BARS.key, how="semi", maintain_order="left").equals(after)


def test_response_received_after_the_loss_overrides_stored_rows(truth, warehouse):
    _bronze_files(warehouse)[1].unlink()
    corrected = {name: truth[name] for name in truth}
    corrected["ohlcv_1h"] = truth["ohlcv_1h"].with_columns(pl.col("close", "high", "low", "open") * 2)
    rows = _rows(warehouse)
    _pull(corrected, warehouse, 1, refresh=True)
    day = pl.col("timestamp").dt.truncate("1d") == START + DAY
    assert (_rows(warehouse).filter(day)["close"] / rows.filter(day)["close"]).unique().to_list() == [2.0]


def test_retired_file_that_is_still_there_stays_retired(truth, warehouse):
    file = _bronze_files(warehouse)[0]
    name = file.relative_to(warehouse.root).as_posix()
    retire(warehouse.root, [name])
    _pull(truth, warehouse, 3)
    file.unlink()
    assert not _failed(warehouse)


def test_restored_file_clears_the_failure(warehouse, tmp_path):
    (lost, *_), copy = _bronze_files(warehouse), tmp_path / "copy"
    shutil.move(lost, copy)
    assert _failed(warehouse)
    shutil.move(copy, lost)
    assert not _failed(warehouse)


def test_retired_file_keeps_its_rows_and_publishes(warehouse, truth, tmp_path):
    before, lost = _rows(warehouse), _bronze_files(warehouse)[0]
    lost.unlink()
    name = lost.relative_to(warehouse.root).as_posix()
    assert retire(warehouse.root, [name]) == {name: before.height // 3}
    assert not _pull(truth, warehouse, 3).problems
    assert _rows(warehouse).join(before, on=BARS.key, how="semi").equals(before)
    assert blocking_failures(run_checks(warehouse, ["ohlcv_1h"])).is_empty()
    assert cexkit.publish(warehouse, tmp_path / "published").changed
    entry = Ledger(warehouse.root, "okx", BARS).entries[name]
    assert entry.retired
    assert sum(entry.rows) == before.height // 3


def test_rebuild_without_any_change_gives_the_same_rows(warehouse):
    before = _rows(warehouse)
    _bronze_files(warehouse)[1].unlink()
    build_silver(warehouse, "okx", BARS, ["2026"])
    assert _rows(warehouse).equals(before)


def test_truncated_file_is_reported_and_its_rows_stay(warehouse, truth):
    before, changed = _rows(warehouse), _bronze_files(warehouse)[0]
    rows = pq.ParquetFile(changed).read()
    pq.write_table(rows.slice(0, 0), changed)
    report = _pull(truth, warehouse, 3)
    assert _rows(warehouse).join(before, on=BARS.key, how="semi").equals(before)
    assert any("bytes" in problem.message for problem in report.problems)
    assert _failed(warehouse)


def test_body_that_does_not_match_its_hash_is_not_parsed(warehouse, truth):
    before, changed = _rows(warehouse), _bronze_files(warehouse)[0]
    rows = pl.read_parquet(changed, hive_partitioning=False)
    other = rows.with_columns(body=pl.lit(b'{"code":"0","data":[]}'))
    pq.write_table(other.to_arrow().cast(pq.read_schema(changed)), changed)
    report = _pull(truth, warehouse, 3)
    assert _rows(warehouse).join(before, on=BARS.key, how="semi").equals(before)
    assert any("does not match its hash" in problem.message for problem in report.problems)
    assert _failed(warehouse)


@pytest.mark.parametrize("same_size", [True, False])
def test_file_that_is_not_parquet_is_reported_and_its_rows_stay(warehouse, truth, same_size):
    before, changed = _rows(warehouse), _bronze_files(warehouse)[0]
    changed.write_bytes(b"x" * (changed.stat().st_size if same_size else 7))
    report = _pull(truth, warehouse, 3)
    after = _rows(warehouse)
    assert after.join(before, on=BARS.key, how="semi").equals(before)
    assert after.height == before.height // 3 * 4
    assert any("must be Parquet" in problem.message for problem in report.problems)
    assert _failed(warehouse)


def test_instruments_of_a_missing_list_stay(warehouse, truth):
    listed = _rows(warehouse, LISTING)
    only_spot = {name: rows.filter(instrument_type="spot") for name, rows in truth.items() if name == "instruments"}
    for path in _bronze_files(warehouse, LISTING):
        path.unlink()
    report = _pull({name: truth[name] for name in truth} | only_spot, warehouse, 3)
    assert set(_rows(warehouse, LISTING)["symbol"]) == set(listed["symbol"])
    assert any(problem.table == "instruments" for problem in report.problems)


def test_deleted_archive_file_is_a_problem_and_no_traceback(tmp_path):
    warehouse, table = Warehouse(tmp_path / "warehouse"), TABLES["funding_rates"]
    may = simulate(start="2026-05-01", end="2026-06-01", coins=["BTC"], exchanges=["okx"]).tables
    with LOOPBACKS["okx"](may, now="2026-06-05") as server, Fetcher(server.settings) as fetcher:
        pull("okx", "funding_rates", None, "2026-05-01", "2026-06-01", warehouse=warehouse, fetcher=fetcher)
    before = _rows(warehouse, table)
    archives = list((warehouse.root / "bronze/exchange=okx/archive").glob("*.zip"))
    assert archives
    for path in archives:
        path.unlink()
    report = build_silver(warehouse, "okx", table)
    assert _rows(warehouse, table).equals(before)
    assert any(".zip is missing" in problem.message for problem in report.problems)


def test_commands_list_and_retire_missing_files(warehouse):
    lost = _bronze_files(warehouse)[0]
    lost.unlink()
    name = lost.relative_to(warehouse.root).as_posix()
    run = CliRunner().invoke
    listed = run(app, ["bronze", "check", "--warehouse", str(warehouse.root)])
    assert listed.exit_code == 3
    assert f"okx ohlcv_1h: {name} is missing (" in listed.stdout
    done = run(app, ["bronze", "retire", "--missing", "--warehouse", str(warehouse.root)])
    assert f"retired {name} (" in done.stdout
    assert run(app, ["bronze", "check", "--warehouse", str(warehouse.root)]).exit_code == 0
    again = run(app, ["bronze", "retire", "--missing", "--warehouse", str(warehouse.root)])
    assert "0 files retired" in again.stdout
    elsewhere = run(app, ["bronze", "check", "--warehouse", str(warehouse.root / "none")])
    assert isinstance(elsewhere.exception, DatasetNotFoundError)
    with pytest.raises(UnknownNameError, match="Bronze file"):
        retire(warehouse.root, ["bronze/none.parquet"])


def test_warehouse_without_bronze_has_no_ledger(truth, tmp_path):
    warehouse = Warehouse(tmp_path / "simulated")
    warehouse.write(BARS, truth["ohlcv_1h"].to_arrow())
    assert read_ledgers(warehouse.root) == []
    assert not _failed(warehouse)


STEPS = st.lists(
    st.tuples(st.sampled_from(["pull", "delete", "restore", "retire", "rebuild"]), st.integers(0, 5)),
    min_size=4,
    max_size=8,
)


@tries(max_examples=8, deadline=None, derandomize=True)
@given(steps=STEPS)
def test_no_sequence_of_runs_and_losses_drops_a_row(truth, tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("sequence")
    warehouse, removed, pulled = Warehouse(folder / "warehouse"), {}, set()
    for step, number in steps:
        present = [path for path in _bronze_files(warehouse) if path.exists()]
        if step == "pull":
            _pull(truth, warehouse, number)
            pulled.add(START + number * DAY)
        elif step == "delete" and present:
            path = present[number % len(present)]
            removed[path] = shutil.move(path, folder / f"removed-{len(removed)}")
        elif step == "restore" and removed:
            path, copy = removed.popitem()
            shutil.move(copy, path)
        elif step == "retire":
            retire(warehouse.root, [path.relative_to(warehouse.root).as_posix() for path in removed])
        elif step == "rebuild" and pulled:
            build_silver(warehouse, "okx", BARS)
    expected = truth["ohlcv_1h"].filter(pl.col("timestamp").dt.truncate("1d").is_in(pulled), exchange="okx")
    rows = _rows(warehouse)
    assert rows.select(BARS.key).equals(expected.select(BARS.key).sort(BARS.key))
    assert rows["close"].to_list() == expected.sort(BARS.key)["close"].to_list()
