"""Batches of a build: however the instruments are split, files, quarantine, ledger, and report are the same."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from cexkit.exchanges import registry
from cexkit.schema import TABLES
from cexkit.schema.intervals import utc
from cexkit.testing import LOOPBACKS, LoopbackBinance
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest import batches
from cexkit.warehouse.ingest import pull as pulls
from cexkit.warehouse.ingest.inputs import Inputs
from cexkit.warehouse.ingest.report import Report
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.warehouse import Warehouse

from ...clock import Clock, reading
from . import test_whole_venue as whole_venue

CLOCK = Clock()
START, DAY, NOW = utc("2025-12-28"), timedelta(days=1), utc("2026-01-20")
NAMES = ("funding_rates", "ohlcv_1h", "ohlcv_1m")


@pytest.fixture(scope="module")
def truth() -> dict[str, pl.DataFrame]:
    coins = ["BTC", "ETH", "SOL"]
    tables = simulate(start="2025-12-28", end="2026-01-06", coins=coins, exchanges=["okx"]).tables
    minutes = (
        tables["ohlcv_1h"].filter(instrument_type="perp").join(pl.DataFrame({"minute": range(0, 60, 5)}), how="cross")
    )
    minutes = minutes.with_columns(pl.col("timestamp") + pl.duration(minutes="minute")).drop("minute")
    return {name: tables[name] for name in tables} | {"ohlcv_1m": minutes}


def _fetch(
    truth,
    warehouse: Warehouse,
    first: int,
    days: int,
    *,
    times: float = 1.0,
    high: float = 1.0,
    coin: str | None = None,
) -> None:
    """Store responses in Bronze, without a build."""
    changed = {name: truth[name].with_columns(pl.col("open", "high", "low", "close") * times) for name in NAMES[1:]}
    changed |= {name: rows.with_columns(pl.col("high") * high) for name, rows in changed.items()}
    changed["funding_rates"] = truth["funding_rates"].with_columns(pl.col("funding_rate") * times)
    venue = LOOPBACKS["okx"](truth | changed, now=NOW, clock=CLOCK)
    build = pulls.build_silver
    with venue as server, reading(server, CLOCK) as fetcher, pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            pulls,
            "build_silver",
            lambda target, name, table, **more: (
                build(target, name, table, **more) if table.name == "instruments" else Report()
            ),
        )
        symbol = None if coin is None else f"{coin}USDT"
        start, end = START + first * DAY, START + (first + days) * DAY
        more = {"warehouse": warehouse, "fetcher": fetcher, "now": NOW, "refresh": True, "instrument_type": "perp"}
        pulls.pull("okx", list(NAMES), symbol, start, end, **more)


def _content(root: Path) -> dict[str, bytes]:
    kept = (path for path in root.rglob("*.parquet") if "bronze" not in path.relative_to(root).parts[:1])
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in kept}


def _facts(warehouse: Warehouse, report: Report) -> tuple:
    problems = sorted(map(str, report.problems))
    return report.rows, report.quarantined, report.files, problems, report.notes, warehouse.manifest.files


def _build_both_ways(source: Warehouse, exchange: str, names=NAMES, *, now=NOW) -> tuple[Warehouse, list[Report]]:
    """Build in one batch and in one batch per instrument, require the same result, and return that."""
    folders = [source.root.with_name(f"{source.root.name}_{kind}") for kind in ("at_once", "apart")]
    (at_once, apart) = [Warehouse(shutil.copytree(source.root, folder)) for folder in folders]
    reports = []
    for name in names:
        whole = build_silver(at_once, exchange, TABLES[name], now=now)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(batches, "BATCH_ROWS", 1)
            split = build_silver(apart, exchange, TABLES[name], now=now)
        assert _facts(apart, split) == _facts(at_once, whole)
        reports.append(whole)
    assert _content(apart.root) == _content(at_once.root)
    return at_once, reports


def _messages(reports: list[Report]) -> str:
    return "\n".join(str(problem) for report in reports for problem in report.problems)


def _end(warehouse: Warehouse, symbol: str, end) -> None:
    """State that an instrument was delisted."""
    table = TABLES["instrument_periods"]
    rows = pl.from_arrow(warehouse.read(table))
    end = pl.when(pl.col("symbol") == symbol).then(pl.lit(end)).otherwise("delisting_time")
    warehouse.write(table, rows.with_columns(delisting_time=end.cast(rows.schema["delisting_time"])).to_arrow())


def test_corrections_failed_rows_and_ends_are_merged_the_same_in_batches(truth, tmp_path):
    warehouse = Warehouse(tmp_path / "w")
    _fetch(truth, warehouse, 0, 3)
    warehouse, reports = _build_both_ways(warehouse, "okx")
    assert all(report.rows for report in reports)
    _fetch(truth, warehouse, 2, 3, times=2.0, coin="ETH")  # other instruments stay as they are
    warehouse, _ = _build_both_ways(warehouse, "okx")
    _fetch(truth, warehouse, 3, 2, high=0.5, coin="SOL")
    warehouse, reports = _build_both_ways(warehouse, "okx")
    assert sum(report.quarantined for report in reports)
    _end(warehouse, "BTCUSDT", START + 2 * DAY)
    warehouse, reports = _build_both_ways(warehouse, "okx")
    assert "after the instrument's end" in _messages(reports)
    assert [report.rows for report in _build_both_ways(warehouse, "okx")[1]] == [0, 0, 0]


@pytest.mark.parametrize("retired", [False, True])
def test_lost_responses_are_merged_the_same_in_batches(truth, tmp_path, retired):
    warehouse = Warehouse(tmp_path / "w")
    _fetch(truth, warehouse, 0, 2)
    _fetch(truth, warehouse, 1, 1, times=2.0)
    warehouse, _ = _build_both_ways(warehouse, "okx")
    for name in NAMES:
        ledger = Ledger(warehouse.root, "okx", TABLES[name])
        path = max(ledger.files.filter(state="merged")["path"])
        if retired:
            ledger.retire([path])
        (warehouse.root / path).unlink()
    _fetch(truth, warehouse, 1, 3, coin="BTC")
    _, reports = _build_both_ways(warehouse, "okx")
    assert ("is missing" in _messages(reports)) != retired


def test_response_found_damaged_in_a_later_batch_starts_the_build_again(truth, tmp_path):
    warehouse = Warehouse(tmp_path / "w")
    _fetch(truth, warehouse, 0, 2)
    warehouse, _ = _build_both_ways(warehouse, "okx")
    _fetch(truth, warehouse, 1, 2, times=2.0)
    ledger = Ledger(warehouse.root, "okx", TABLES["ohlcv_1h"])
    path = max(ledger.files.filter(pl.col("state") != "merged")["path"])
    rows = pl.read_parquet(warehouse.root / path)
    responses = pl.concat([ledger.responses(day) for day in ledger.response_days])
    for digest in responses.filter(symbol="BTCUSDT")["sha256"].unique():
        ledger.exclude(digest)  # at once, its rows stay, because Silver may hold those of the lost response
    last = pl.col("context").str.contains("SOL")
    rows.with_columns(body=pl.when(last).then(pl.lit(b"other")).otherwise("body")).write_parquet(warehouse.root / path)
    _, reports = _build_both_ways(warehouse, "okx")
    assert "does not match its hash" in _messages(reports)


def test_rows_that_leave_silver_are_listed_the_same_in_batches(truth, tmp_path, monkeypatch):
    warehouse = Warehouse(tmp_path / "w")
    _fetch(truth, warehouse, 0, 2)
    _fetch(truth, warehouse, 2, 1)
    warehouse, _ = _build_both_ways(warehouse, "okx")
    for name in NAMES:
        ledger = Ledger(warehouse.root, "okx", TABLES[name])
        responses = pl.concat([ledger.responses(day) for day in ledger.response_days]).sort("path", "position")
        for digest in responses.filter(pl.col("path") == responses["path"][-1])["sha256"]:
            ledger.exclude(digest)
    warehouse, reports = _build_both_ways(warehouse, "okx")
    assert "rule 'excluded response'" in _messages(reports)
    monkeypatch.setitem(registry.EXCHANGES, "okx", replace(registry.EXCHANGES["okx"], parser_version=99))
    short = {
        name: rows.filter(pl.col("timestamp").dt.hour() != 5) if name in NAMES else rows for name, rows in truth.items()
    }
    _fetch(short, warehouse, 1, 1)
    _build_both_ways(warehouse, "okx")


def test_responses_about_a_whole_venue_are_merged_the_same_in_batches(tmp_path):
    tables = whole_venue.tables([*whole_venue.COINS[:6], *whole_venue.STOCKS])
    with LoopbackBinance(tables, now=whole_venue.NOW) as venue, pytest.MonkeyPatch.context() as patch:
        patch.delitem(whole_venue.ARCHIVES, ("funding_rates", "perp"))
        whole_venue.bring(venue, tmp_path / "w", start="2026-06-17")
        assert whole_venue.asked(venue, whole=True)
        built = Warehouse(tmp_path / "w")
        shutil.rmtree(tmp_path / "w" / "ledger" / "exchange=binance" / "table=funding_rates", ignore_errors=True)
        built.remove(TABLES["funding_rates"], "binance", "2026")
        _, (report,) = _build_both_ways(built, "binance", ["funding_rates"], now=whole_venue.NOW)
    assert report.rows


def test_rebuild_in_batches_parses_the_responses_of_one_batch_at_a_time(truth, tmp_path, monkeypatch):
    warehouse = Warehouse(tmp_path / "w")
    _fetch(truth, warehouse, 0, 2)
    read, instruments = Inputs.read_new, []
    monkeypatch.setattr(batches, "BATCH_ROWS", 1)
    monkeypatch.setattr(Inputs, "read_new", lambda *words: instruments.append(found := read(*words)) or found)
    build_silver(warehouse, "okx", TABLES["ohlcv_1h"], now=NOW)
    assert [len({one.identity for one in found}) for found in instruments if found] == [1, 1, 1]
