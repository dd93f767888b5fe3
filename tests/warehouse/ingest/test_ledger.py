"""Bronze files that disappear or change: their rows stay in Silver, and publication stops until they are retired."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st
from typer.testing import CliRunner

import cexkit
from cexkit.cli.commands import app
from cexkit.errors import DatasetError, DatasetNotFoundError, QualityError, UnknownNameError
from cexkit.schema import TABLES
from cexkit.schema.intervals import utc
from cexkit.testing import LOOPBACKS
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.ingest.rebuild import rebuild
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.quality import blocking_failures, run_checks
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.ledgers import exclude, read_ledgers, retire
from cexkit.warehouse.store.warehouse import Warehouse

from ...clock import Clock, reading

#: The time of venues and readers, which passes when budgets wait.
CLOCK = Clock()

START, DAY = utc("2026-06-01"), timedelta(days=1)
BARS, LISTING = TABLES["ohlcv_1h"], TABLES["instruments"]


@pytest.fixture(scope="module")
def truth() -> dict[str, pl.DataFrame]:
    return simulate(start="2026-06-01", end="2026-06-08", coins=["BTC"]).tables


def _pull(truth, warehouse: Warehouse, day: int, *, refresh: bool = False):
    """Pull one day as it is three days later, so that it is settled and never read again."""
    end = START + (day + 1) * DAY
    loopback = LOOPBACKS["okx"](truth, now=(end + 3 * DAY).isoformat(), clock=CLOCK)
    with loopback as server, reading(server, CLOCK) as fetcher:
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
    return [warehouse.root / path for path in ledger.files["path"]]


def _failed(warehouse: Warehouse, check: str = "bronze_files") -> int:
    failures = blocking_failures(run_checks(warehouse, ["ohlcv_1h", "instruments"]))
    return int(failures.filter(check_name=check)["rows_failed"].sum())


def test_ledger_names_every_response_and_its_rows(warehouse, truth):
    ledger = Ledger(warehouse.root, "okx", BARS)
    files = ledger.files.filter(state="merged")
    assert files["rows"].sum() == _rows(warehouse).height
    assert all((warehouse.root / path).stat().st_size == size for path, size in files.select("path", "bytes").rows())
    responses = pl.concat([ledger.responses(day) for day in ledger.response_days])
    assert responses["rows"].sum() == _rows(warehouse).height
    assert set(responses["path"]) == set(files["path"])
    assert responses["sha256"].str.len_chars().unique().to_list() == [64]
    assert sum(ledger.days.values()) == _rows(warehouse).height
    assert {(each.exchange, each.table.name) for each in read_ledgers(warehouse.root)} == {
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


@pytest.mark.parametrize("table", [BARS, LISTING], ids=["bars", "listing"])
def test_rebuild_keeps_the_rows_of_retired_files(warehouse, table):
    before, listed = _rows(warehouse), _rows(warehouse, LISTING)
    lost = _bronze_files(warehouse, table)[0]
    lost.unlink()
    (refused,) = rebuild(warehouse, "okx", [BARS], dry_run=True)
    assert refused.lost.height == (before.height // 3 if table == BARS else 0)
    retire(warehouse.root, [lost.relative_to(warehouse.root).as_posix()])
    for done in rebuild(warehouse, "okx", [LISTING, BARS]):
        assert (done.added, done.changed, done.lost.height, done.problems) == (0, 0, 0, ()), str(done)
    assert _rows(warehouse).equals(before)
    assert _rows(warehouse, LISTING).equals(listed)
    assert build_silver(warehouse, "okx", BARS).rows == 0
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
    (file,) = Ledger(warehouse.root, "okx", BARS).files.filter(path=name).to_dicts()
    assert file["retired"]
    assert file["rows"] == before.height // 3


def test_rebuild_without_any_change_gives_the_same_rows(warehouse):
    before = _rows(warehouse)
    _bronze_files(warehouse)[1].unlink()
    build_silver(warehouse, "okx", BARS)
    assert _rows(warehouse).equals(before)


def test_truncated_file_is_reported_and_its_rows_stay(warehouse, truth):
    before, changed = _rows(warehouse), _bronze_files(warehouse)[0]
    rows = pq.ParquetFile(changed).read()
    pq.write_table(rows.slice(0, 0), changed)
    report = _pull(truth, warehouse, 3)
    assert _rows(warehouse).join(before, on=BARS.key, how="semi").equals(before)
    assert any("bytes" in problem.message for problem in report.problems)
    assert _failed(warehouse)


def test_body_that_does_not_match_its_hash_is_not_parsed(warehouse, tmp_path):
    before, copy = _rows(warehouse), Warehouse(tmp_path / "copy")
    shutil.copytree(warehouse.root / "bronze", copy.root / "bronze")
    changed = copy.root / _bronze_files(warehouse)[0].relative_to(warehouse.root)
    rows = pl.read_parquet(changed, hive_partitioning=False)
    other = rows.with_columns(body=pl.lit(b'{"code":"0","data":[]}'))
    pq.write_table(other.to_arrow().cast(pq.read_schema(changed)), changed)
    build_silver(copy, "okx", LISTING)
    report = build_silver(copy, "okx", BARS)
    assert _rows(copy).height == before.height // 3 * 2
    assert any("does not match its hash" in problem.message for problem in report.problems)
    assert _failed(copy)


@pytest.mark.parametrize("same_size", [True, False])
def test_file_that_is_not_parquet_is_reported_and_its_rows_stay(warehouse, truth, same_size):
    before, changed = _rows(warehouse), _bronze_files(warehouse)[0]
    changed.write_bytes(b"x" * (changed.stat().st_size if same_size else 7))
    report = _pull(truth, warehouse, 0, refresh=True)
    assert _rows(warehouse).equals(before)
    expected = "must be Parquet" if same_size else "has 7 bytes"
    assert any(expected in problem.message for problem in report.problems)
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
    with LOOPBACKS["okx"](may, now="2026-06-05", clock=CLOCK) as server, reading(server, CLOCK) as fetcher:
        pull("okx", "funding_rates", None, "2026-05-01", "2026-06-01", warehouse=warehouse, fetcher=fetcher)
    before = _rows(warehouse, table)
    archives = list((warehouse.root / "bronze/exchange=okx/archive").glob("*.zip"))
    assert archives
    for path in archives:
        path.unlink()
    report = build_silver(warehouse, "okx", table)
    assert _rows(warehouse, table).equals(before)
    assert any(".zip is missing" in problem.message for problem in report.problems)


def test_retired_archive_file_keeps_its_rows_and_is_no_problem(tmp_path):
    warehouse, table = Warehouse(tmp_path / "warehouse"), TABLES["funding_rates"]
    may = simulate(start="2026-05-01", end="2026-06-01", coins=["BTC"], exchanges=["okx"]).tables
    _pull_okx(may, warehouse, "funding_rates", "2026-05-01", "2026-06-01", now="2027-06-05")  # only the archive has it
    before = _rows(warehouse, table)
    archives = sorted((warehouse.root / "bronze/exchange=okx/archive").glob("*.zip"))
    retire(warehouse.root, [path.relative_to(warehouse.root).as_posix() for path in archives])
    copies = {path: shutil.move(path, tmp_path / path.name) for path in archives}
    for done in rebuild(warehouse, "okx", [table]):
        assert (done.lost.height, done.problems) == (0, ()), str(done)
    Ledger(warehouse.root, "okx", table).reset()
    assert build_silver(warehouse, "okx", table).problems == ()
    assert _rows(warehouse, table).equals(before)
    ledger, digests = Ledger(warehouse.root, "okx", table), [path.stem for path in archives]
    assert ledger.responses_with(digests)["rows"].sum() >= before.height
    assert blocking_failures(run_checks(warehouse, ["funding_rates"])).is_empty()
    with pytest.raises(DatasetError, match="restore it"):
        exclude(warehouse.root, digests[0])
    for path, copy in copies.items():
        shutil.move(copy, path)
        exclude(warehouse.root, path.stem)
    build_silver(warehouse, "okx", table)
    assert _rows(warehouse, table).is_empty()


def _pull_okx(tables, warehouse: Warehouse, table: str, start: str, end: str, *, now: str, refresh: bool = False):
    with LOOPBACKS["okx"](tables, now=now, clock=CLOCK) as server, reading(server, CLOCK) as fetcher:
        return pull("okx", table, None, start, end, warehouse=warehouse, fetcher=fetcher, refresh=refresh)


def _doubled(tables, name: str, *columns: str) -> dict[str, pl.DataFrame]:
    changed = {each: tables[each] for each in tables}
    return changed | {name: tables[name].with_columns(pl.col(columns) * 2)}


def test_file_of_a_run_that_was_killed_before_the_ledger_is_known(truth, warehouse, monkeypatch):
    record, known = Ledger.record, set(_bronze_files(warehouse))

    def killed(self, files, responses=(), days=None, **words):
        if responses and self.table is BARS:
            raise KeyboardInterrupt
        record(self, files, responses, days, **words)

    monkeypatch.setattr(Ledger, "record", killed)
    with pytest.raises(KeyboardInterrupt):
        _pull(truth, warehouse, 3)
    monkeypatch.setattr(Ledger, "record", record)
    rows = _rows(warehouse)
    new = set((warehouse.root / "bronze").glob("exchange=okx/endpoint=*candles*/*/*.parquet")) - known
    assert new
    for path in new:
        path.unlink()
    report = _pull(truth, warehouse, 4)
    assert _rows(warehouse).join(rows, on=BARS.key, how="semi").equals(rows)
    assert any("is missing" in problem.message for problem in report.problems)
    assert _failed(warehouse)


def test_correction_across_a_year_reaches_both_years(tmp_path):
    warehouse, table = Warehouse(tmp_path / "warehouse"), TABLES["funding_rates"]
    tables = simulate(start="2025-12-28", end="2026-01-08", coins=["BTC"], exchanges=["okx"]).tables
    span = ("2025-12-30", "2026-01-05")
    _pull_okx(tables, warehouse, "funding_rates", *span, now="2026-01-07")
    kept = set(_bronze_files(warehouse, table))
    _pull_okx(tables, warehouse, "funding_rates", "2026-01-05", "2026-01-06", now="2026-01-07")
    later = set(_bronze_files(warehouse, table)) - kept
    assert later
    retire(warehouse.root, [path.relative_to(warehouse.root).as_posix() for path in later])
    before = _rows(warehouse, table)
    twice = _doubled(tables, "funding_rates", "funding_rate")
    _pull_okx(twice, warehouse, "funding_rates", *span, now="2026-01-07", refresh=True)
    inside = pl.col("timestamp").is_between(utc(span[0]), utc(span[1]), closed="left")
    ratio = _rows(warehouse, table).filter(inside)["funding_rate"] / before.filter(inside)["funding_rate"]
    assert ratio.drop_nans().unique().to_list() == [2.0]


def test_conflicting_archive_stays_out_after_the_loss_of_the_api_files(tmp_path):
    warehouse, table = Warehouse(tmp_path / "warehouse"), TABLES["funding_rates"]
    tables = simulate(start="2026-03-01", end="2026-06-01", coins=["BTC"], exchanges=["okx"]).tables
    _pull_okx(tables, warehouse, "funding_rates", "2026-03-01", "2026-06-01", now="2026-06-05")
    twice = _doubled(tables, "funding_rates", "funding_rate")
    _pull_okx(twice, warehouse, "funding_rates", "2026-05-01", "2026-06-01", now="2026-06-05", refresh=True)
    before = _rows(warehouse, table)
    lost = [path for path in _bronze_files(warehouse, table) if "rate-history" in str(path)]
    assert lost
    for path in lost:
        path.unlink()
    retire(warehouse.root, [path.relative_to(warehouse.root).as_posix() for path in lost])
    build_silver(warehouse, "okx", table)
    assert _rows(warehouse, table).select(table.key).equals(before.select(table.key))
    assert _rows(warehouse, table)["funding_rate"].to_list() == before["funding_rate"].to_list()


def test_facts_of_a_lost_companion_list_stay(warehouse):
    before = _rows(warehouse, LISTING)
    assert before["funding_interval_hours"].drop_nulls().len()
    lost = [path for path in _bronze_files(warehouse, LISTING) if "v5.funding-rate" in str(path)]
    assert lost
    for path in lost:
        path.unlink()
    Ledger(warehouse.root, "okx", LISTING).drop_state()  # so that all lists are read again
    build_silver(warehouse, "okx", LISTING)
    assert _rows(warehouse, LISTING).equals(before)


def test_retired_listing_does_not_block(truth, warehouse):
    only_spot = {name: truth[name] for name in truth}
    only_spot["instruments"] = truth["instruments"].filter(instrument_type="spot")
    first = _bronze_files(warehouse, LISTING)
    _pull(only_spot, warehouse, 3)
    for path in first:
        path.unlink()
    retire(warehouse.root, [path.relative_to(warehouse.root).as_posix() for path in first])
    _pull(only_spot, warehouse, 4)
    assert blocking_failures(run_checks(warehouse, ["instruments", "ohlcv_1h"])).is_empty()


def test_file_restored_after_a_truncated_first_build_is_accepted(warehouse, tmp_path):
    copy = Warehouse(tmp_path / "copy")
    shutil.copytree(warehouse.root / "bronze", copy.root / "bronze")
    broken = copy.root / _bronze_files(warehouse)[0].relative_to(warehouse.root)
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    build_silver(copy, "okx", LISTING)
    build_silver(copy, "okx", BARS)
    broken.write_bytes(whole)
    build_silver(copy, "okx", BARS)
    assert _rows(copy).equals(_rows(warehouse))
    assert not _failed(copy)


def test_files_of_other_content_are_problems_and_no_exceptions(warehouse):
    before = _rows(warehouse)
    typed, context = _bronze_files(warehouse)[:2]
    pq.write_table(pa.table({"table": [1.5], "data_start": ["x"], "data_end": ["y"]}), typed)
    rows = pl.read_parquet(context, hive_partitioning=False).with_columns(context=pl.lit("{"))
    pq.write_table(rows.to_arrow().cast(pq.read_schema(context)), context)
    report = build_silver(warehouse, "okx", BARS)
    assert _rows(warehouse).equals(before)
    assert len(report.problems) >= 2


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


def _file(root: Path, name: str) -> str:
    (root / name).write_bytes(b"x")
    return name


def test_two_open_ledgers_lose_no_file_of_each_other(tmp_path):
    one, other = (Ledger(tmp_path, "okx", BARS) for _ in range(2))
    one.announce([_file(tmp_path, "a")])
    other.announce([_file(tmp_path, "b")])
    one.record([{"path": _file(tmp_path, "c"), "bytes": 1, "state": "merged"}])
    assert Ledger(tmp_path, "okx", BARS).files["path"].to_list() == ["a", "b", "c"]


def test_retired_files_of_an_older_parser_are_not_stale(tmp_path):
    ledger = Ledger(tmp_path, "okx", BARS)
    ledger.record(
        {"path": _file(tmp_path, name), "bytes": 1, "state": state, "parser_version": version}
        for name, state, version in (("a", "merged", 1), ("b", "waiting", 1), ("c", "merged", 2), ("d", "other", 0))
    )
    assert (ledger.stale(1), ledger.stale(2)) == (0, 2)
    ledger.retire(["a"])
    assert ledger.stale(2) == 1


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
