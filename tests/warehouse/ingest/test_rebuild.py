"""Rebuild: incremental builds equal a build from all of Bronze, and keys are only dropped on demand."""

from __future__ import annotations

import contextlib
import shutil
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st
from typer.testing import CliRunner

from cexkit.cli.commands import app
from cexkit.errors import DataLossError
from cexkit.schema import TABLES
from cexkit.schema.intervals import utc
from cexkit.testing import LOOPBACKS
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.ingest.rebuild import rebuild
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.quality import blocking_failures, run_checks
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.warehouse import Warehouse

from ...clock import Clock, reading
from ...lengths import examples

#: The time of venues and readers, which passes when budgets wait.
CLOCK = Clock()

START, DAY, NOW = utc("2025-12-20"), timedelta(days=1), utc("2026-01-20")
BARS, FUNDING, LISTING = TABLES["ohlcv_1h"], TABLES["funding_rates"], TABLES["instruments"]
TABLES_READ = [BARS, FUNDING, LISTING]


@pytest.fixture(scope="module")
def truth() -> dict[str, pl.DataFrame]:
    tables = simulate(start="2025-12-20", end="2026-01-15", coins=["BTC", "ETH"], exchanges=["okx"]).tables
    return {name: tables[name] for name in tables}


def _pull(truth, warehouse, table: str, first: int, days: int, *, times: float = 1.0, refresh: bool = False, coin=None):
    changed = {
        name: frame.with_columns(pl.col(columns) * times)
        for name, columns in (("ohlcv_1h", ["open", "high", "low", "close"]), ("funding_rates", ["funding_rate"]))
        for frame in [truth[name]]
    }
    with LOOPBACKS["okx"](truth | changed, now=NOW, clock=CLOCK) as server, reading(server, CLOCK) as fetcher:
        return pull(
            "okx",
            table,
            None if coin is None else f"{coin}USDT",
            START + first * DAY,
            START + (first + days) * DAY,
            warehouse=warehouse,
            fetcher=fetcher,
            refresh=refresh,
            now=NOW,
            instrument_type="perp",
        )


def _rows(warehouse: Warehouse, table) -> pl.DataFrame:
    return pl.from_arrow(warehouse.read(table)).sort(table.key)


def _cut(warehouse: Warehouse, table) -> str:
    """Cut the file of a table and return its name."""
    path = warehouse.root / warehouse.manifest.select(table.name)[-1].path
    path.write_bytes(path.read_bytes()[:100])
    return path.name


def test_damaged_file_costs_a_pull_only_its_table(truth, tmp_path):
    warehouse = Warehouse(tmp_path)
    _pull(truth, warehouse, "ohlcv_1h", 0, 2)
    name = _cut(warehouse, BARS)
    report = _pull(truth, warehouse, ["ohlcv_1h", "funding_rates"], 2, 2)
    (problem,) = [problem for problem in report.problems if name in problem.message]
    assert problem.table == "ohlcv_1h"
    assert "made again from Bronze" in problem.message
    assert _rows(warehouse, FUNDING).height > 10


def test_rebuild_replaces_a_damaged_file_if_bronze_has_its_rows(truth, tmp_path):
    warehouse = Warehouse(tmp_path)
    _pull(truth, warehouse, "ohlcv_1h", 0, 2)
    before, name = _rows(warehouse, BARS), _cut(warehouse, BARS)
    (done,) = rebuild(warehouse, "okx", [BARS], now=NOW)
    assert (done.lost.height, name in done.problems[0].message) == (0, True)
    assert _rows(warehouse, BARS).equals(before)
    name = _cut(warehouse, BARS)
    for path in sorted(warehouse.root.glob("bronze/exchange=okx/endpoint=*candles*/*/*.parquet")):
        path.unlink()
    with pytest.raises(DataLossError, match=f"okx ohlcv_1h: {before.height} or more keys"):
        rebuild(warehouse, "okx", [BARS], now=NOW)


def _require_equal_to_rebuild(warehouse: Warehouse) -> None:
    for done in rebuild(warehouse, "okx", TABLES_READ, dry_run=True, now=NOW):
        assert (done.added, done.changed, done.lost.height) == (0, 0, 0), str(done)


class Killed(BaseException):
    pass


def _killed_in(monkeypatch, owner, name: str, number: int) -> None:
    """Raise at the n-th call of a method, as a kill at that moment would end it."""
    original, calls = getattr(owner, name), []

    def call(self, *values, **words):
        calls.append(name)
        if len(calls) == number:
            raise Killed
        return original(self, *values, **words)

    monkeypatch.setattr(owner, name, call)


STEP = st.tuples(
    st.sampled_from(["ohlcv_1h", "funding_rates"]),
    st.integers(0, 20),
    st.integers(1, 12),
    st.sampled_from([1.0, 2.0, 0.5]),
    st.booleans(),
    st.sampled_from([None, "BTC", "ETH"]),
    st.sampled_from([None, None, "write_quarantine", "replace", "record"]),
    st.integers(1, 4),
)


@tries(max_examples=examples(5, 10), deadline=None, derandomize=True)
@given(steps=st.lists(STEP, min_size=3, max_size=7))
def test_any_sequence_of_runs_equals_a_rebuild(truth, tmp_path_factory, steps):
    warehouse = Warehouse(tmp_path_factory.mktemp("steps"))
    for table, first, days, times, refresh, coin, kill, number in steps:
        with pytest.MonkeyPatch.context() as patch:
            if kill:
                _killed_in(patch, Ledger if kill == "record" else Warehouse, kill, number)
            with contextlib.suppress(Killed):
                _pull(truth, warehouse, table, first, days, times=times, refresh=refresh, coin=coin)
    for table in TABLES_READ:
        build_silver(warehouse, "okx", table, now=NOW)
    _require_equal_to_rebuild(warehouse)
    assert blocking_failures(run_checks(warehouse)).is_empty()


def test_a_later_correction_wins_and_equals_the_venue(truth, tmp_path):
    warehouse = Warehouse(tmp_path / "warehouse")
    _pull(truth, warehouse, "ohlcv_1h", 0, 20)
    _pull(truth, warehouse, "ohlcv_1h", 5, 3, times=2.0, refresh=True)
    expected = truth["ohlcv_1h"].filter(pl.col("timestamp") < START + 20 * DAY, instrument_type="perp").sort(BARS.key)
    twice = pl.col("timestamp").is_between(START + 5 * DAY, START + 8 * DAY, closed="left")
    assert _rows(warehouse, BARS)["close"].equals(
        expected.select(pl.col("close") * pl.when(twice).then(2.0).otherwise(1.0)).to_series()
    )
    _require_equal_to_rebuild(warehouse)


def test_only_new_responses_are_parsed(truth, tmp_path, monkeypatch):
    warehouse = Warehouse(tmp_path / "warehouse")
    _pull(truth, warehouse, "ohlcv_1h", 0, 15)
    from cexkit.warehouse.ingest import replay

    parsed, parse = [], replay.parse_response
    monkeypatch.setattr(replay, "parse_response", lambda *words: parsed.append(words[1]) or parse(*words))
    build_silver(warehouse, "okx", BARS, now=NOW)
    assert parsed == []
    _pull(truth, warehouse, "ohlcv_1h", 15, 1)
    assert 0 < len([endpoint for endpoint in parsed if "candles" in endpoint]) <= 6


def test_silver_that_was_deleted_is_merged_again(truth, tmp_path):
    warehouse = Warehouse(tmp_path / "warehouse")
    _pull(truth, warehouse, "ohlcv_1h", 0, 5)
    before = _rows(warehouse, BARS)
    warehouse.remove(BARS, "okx", "2025")
    report = build_silver(warehouse, "okx", BARS, now=NOW)
    assert _rows(warehouse, BARS).equals(before)
    assert any("all of Bronze is merged again" in problem.message for problem in report.problems)
    assert not build_silver(warehouse, "okx", BARS, now=NOW).problems


def test_rebuild_refuses_to_drop_keys_unless_told_to(truth, tmp_path):
    warehouse = Warehouse(tmp_path / "warehouse")
    for first in (0, 5):
        _pull(truth, warehouse, "ohlcv_1h", first, 5)
    before = _rows(warehouse, BARS)
    lost = max((warehouse.root / "bronze").glob("exchange=okx/endpoint=*candles*/*/*.parquet"))
    lost.unlink()
    (done,) = rebuild(warehouse, "okx", [BARS], dry_run=True, now=NOW)
    assert done.lost.height == before.height // 2
    with pytest.raises(DataLossError, match=r"--allow-loss ohlcv_1h"):
        rebuild(warehouse, "okx", [BARS], now=NOW)
    assert _rows(warehouse, BARS).equals(before)
    assert blocking_failures(run_checks(warehouse))["check_name"].unique().to_list() == ["bronze_files"]
    command = ["rebuild", "okx", "--table", "ohlcv_1h", "--warehouse", str(warehouse.root)]
    assert CliRunner().invoke(app, [*command, "--dry-run"]).exit_code == 3
    done = CliRunner().invoke(app, [*command, "--allow-loss", "ohlcv_1h:okx"])
    assert done.exit_code == 0, done.output
    assert _rows(warehouse, BARS).height == before.height // 2
    assert blocking_failures(run_checks(warehouse)).is_empty()


def test_rebuild_cut_in_its_middle_is_mended_by_the_next_run(truth, tmp_path, monkeypatch):
    warehouse = Warehouse(tmp_path / "warehouse")
    _pull(truth, warehouse, "funding_rates", 0, 15)
    before = _rows(warehouse, FUNDING)
    for owner, name in ((Warehouse, "adopt"), (Ledger, "adopt"), (Warehouse, "write_quarantine")):
        with pytest.MonkeyPatch.context() as patch:
            _killed_in(patch, owner, name, 4 if name == "write_quarantine" else 1)
            with contextlib.suppress(Killed):
                rebuild(warehouse, "okx", [FUNDING], now=NOW)
        build_silver(warehouse, "okx", FUNDING, now=NOW)
        assert _rows(warehouse, FUNDING).equals(before)
        _require_equal_to_rebuild(warehouse)


def test_rows_of_an_older_parser_are_stale_until_a_rebuild(truth, tmp_path, monkeypatch):
    from dataclasses import replace

    from cexkit.exchanges import registry

    warehouse = Warehouse(tmp_path / "warehouse")
    _pull(truth, warehouse, "ohlcv_1h", 0, 3)
    monkeypatch.setitem(registry.EXCHANGES, "okx", replace(registry.EXCHANGES["okx"], parser_version=99))
    report = build_silver(warehouse, "okx", BARS, now=NOW)
    assert any("older version of the parsers" in problem.message for problem in report.problems)
    rebuild(warehouse, "okx", [BARS], now=NOW)
    assert not build_silver(warehouse, "okx", BARS, now=NOW).problems


def test_rows_that_a_newer_parser_does_not_give_are_removed_and_listed(truth, tmp_path, monkeypatch):
    from dataclasses import replace

    from cexkit.exchanges import registry
    from cexkit.warehouse.ingest import replay

    warehouse, parse, odd = Warehouse(tmp_path / "warehouse"), replay.parse_response, START + timedelta(hours=30)
    _pull(truth, warehouse, "ohlcv_1h", 0, 3, coin="BTC")
    before = _rows(warehouse, BARS)

    def without_one_hour(*words):
        rows = pl.from_arrow(parse(*words))
        return (rows.filter(pl.col("timestamp") != odd) if "close" in rows.columns else rows).to_arrow()

    monkeypatch.setattr(replay, "parse_response", without_one_hour)
    monkeypatch.setitem(registry.EXCHANGES, "okx", replace(registry.EXCHANGES["okx"], parser_version=99))
    report = _pull(truth, warehouse, "ohlcv_1h", 1, 1, coin="BTC", refresh=True)
    assert _rows(warehouse, BARS).equals(before.filter(pl.col("timestamp") != odd))
    assert any("1 rows were removed by the rule 'new parser'" in problem.message for problem in report.problems)
    removed = Ledger(warehouse.root, "okx", BARS).removed
    assert removed.select("timestamp", "rule").rows() == [(odd, "new parser")]


def test_intervals_of_settlements_read_one_by_one_equal_those_of_all(truth, tmp_path):
    warehouse = Warehouse(tmp_path / "warehouse")
    for number in (1, 0, 2, 3):
        _pull(truth, warehouse, "funding_rates", 15 + number / 3, 1 / 3, coin="BTC")  # no archive has them yet
    assert _rows(warehouse, FUNDING)["funding_interval_hours"].to_list() == [8.0] * 4
    _require_equal_to_rebuild(warehouse)


def test_days_of_other_files_stay_in_the_ledger(truth, tmp_path):
    warehouse = Warehouse(tmp_path / "warehouse")
    for first in (10, 11, 12):  # the last two days of 2025, and days of 2026
        assert not _pull(truth, warehouse, "ohlcv_1h", first, 1, coin="BTC").problems
    rows = _rows(warehouse, BARS)
    counts = rows.group_by(pl.col("timestamp").dt.strftime("%Y-%m-%d")).len().rows()
    assert Ledger(warehouse.root, "okx", BARS).days == dict(sorted(counts))
    assert len(counts) == 3


def test_other_states_of_silver_with_the_same_bronze_are_equal(truth, tmp_path):
    warehouse, copy = Warehouse(tmp_path / "warehouse"), Warehouse(tmp_path / "copy")
    for first in (10, 0, 5):
        _pull(truth, warehouse, "funding_rates", first, 8)
    shutil.copytree(warehouse.root / "bronze", copy.root / "bronze")
    for table in (LISTING, FUNDING):
        build_silver(copy, "okx", table, now=NOW)
        assert _rows(copy, table).equals(_rows(warehouse, table))


def test_excluded_response_leaves_silver_and_comes_back(truth, tmp_path):
    warehouse = Warehouse(tmp_path / "warehouse")
    _pull(truth, warehouse, "ohlcv_1h", 0, 10, coin="BTC")
    _pull(truth, warehouse, "ohlcv_1h", 4, 2, times=2.0, refresh=True, coin="BTC")
    before, ledger = _rows(warehouse, BARS), Ledger(warehouse.root, "okx", BARS)
    last = pl.concat([ledger.responses(day) for day in ledger.response_days]).sort("path").row(-1, named=True)
    arguments = ["--warehouse", str(warehouse.root)]
    listed = CliRunner().invoke(app, ["bronze", "responses", last["path"], *arguments])
    assert f"{last['sha256']} ohlcv_1h perp BTCUSDT" in listed.stdout
    CliRunner().invoke(app, ["quarantine", "exclude", last["sha256"], *arguments])
    without = _rows(warehouse, BARS)
    assert without.height == before.height
    changed = pl.col("timestamp").is_between(START + 4 * DAY, START + 6 * DAY, closed="left")
    assert (before.filter(changed)["close"] / without.filter(changed)["close"]).unique().to_list() == [2.0]
    assert before.filter(~changed).equals(without.filter(~changed))
    _require_equal_to_rebuild(warehouse)
    CliRunner().invoke(app, ["quarantine", "release", last["sha256"], *arguments])
    assert _rows(warehouse, BARS).equals(before)


def test_rows_that_only_an_excluded_response_gave_are_removed_and_listed(truth, tmp_path):
    warehouse = Warehouse(tmp_path / "warehouse")
    _pull(truth, warehouse, "ohlcv_1h", 0, 2, coin="BTC")
    _pull(truth, warehouse, "ohlcv_1h", 2, 1, coin="BTC")
    before, ledger = _rows(warehouse, BARS), Ledger(warehouse.root, "okx", BARS)
    last = pl.concat([ledger.responses(day) for day in ledger.response_days]).sort("path").row(-1, named=True)
    ledger.exclude(last["sha256"])
    report = build_silver(warehouse, "okx", BARS, now=NOW)
    assert _rows(warehouse, BARS).height == before.height - 24
    assert any("24 rows were removed by the rule 'excluded response'" in p.message for p in report.problems)
    removed = Ledger(warehouse.root, "okx", BARS).removed
    assert removed.height == 24
    assert removed["rule"].unique().to_list() == ["excluded response"]
    assert blocking_failures(run_checks(warehouse)).is_empty()
