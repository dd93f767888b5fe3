"""Commands that maintain a warehouse: what they print, what they change, and their exit codes."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

import cexkit
from cexkit.cli.commands import app
from cexkit.config import settings
from cexkit.errors import (
    DataLossError,
    DatasetNotFoundError,
    InvalidInputError,
    PublicationError,
    QualityError,
    UnknownNameError,
)
from cexkit.schema import TABLES
from cexkit.schema.intervals import utc
from cexkit.testing import LOOPBACKS
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.ledgers import retired_files
from cexkit.warehouse.store.warehouse import Warehouse

from ..clock import Clock, reading

START, DAY, NOW = utc("2026-01-01"), timedelta(days=1), utc("2026-01-20")
BARS = TABLES["ohlcv_1h"]


@pytest.fixture(scope="module")
def truth() -> dict[str, pl.DataFrame]:
    tables = simulate(start="2026-01-01", end="2026-01-04", coins=["BTC"], exchanges=["okx"]).tables
    return {name: tables[name] for name in tables}


def _pull(truth, warehouse: Warehouse, day: int, *, refresh: bool = False):
    clock = Clock()
    with LOOPBACKS["okx"](truth, now=NOW, clock=clock) as server, reading(server, clock) as fetcher:
        span, words = (START + day * DAY, START + (day + 1) * DAY), {"warehouse": warehouse, "fetcher": fetcher}
        return pull("okx", "ohlcv_1h", None, *span, instrument_type="perp", now=NOW, refresh=refresh, **words)


@pytest.fixture(scope="module")
def two_days(truth, tmp_path_factory) -> Warehouse:
    warehouse = Warehouse(tmp_path_factory.mktemp("days"))
    for day in range(2):
        _pull(truth, warehouse, day)
    return warehouse


@pytest.fixture
def warehouse(two_days, tmp_path, monkeypatch) -> Warehouse:
    """Two days of bars, each from a separate Bronze file; the commands find it by its setting."""
    warehouse = Warehouse(shutil.copytree(two_days.root, tmp_path / "warehouse"))
    monkeypatch.setenv("CEXKIT_WAREHOUSE", str(warehouse.root))
    settings.cache_clear()
    yield warehouse
    settings.cache_clear()


def run(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.stdout


def _rows(warehouse: Warehouse) -> pl.DataFrame:
    return pl.from_arrow(warehouse.read(BARS)).sort(BARS.key)


def _bronze(warehouse: Warehouse) -> list[str]:
    ledger = Ledger(warehouse.root, "okx", BARS)
    return ledger.files.filter(pl.col("rows") > 0)["path"].to_list()


def _digest(warehouse: Warehouse, path: str) -> str:
    line = run("bronze", "responses", path).splitlines()[1]
    return line.split()[0]


def test_responses_have_a_header_and_any_form_of_path(warehouse, monkeypatch):
    path = _bronze(warehouse)[0]
    text = run("bronze", "responses", path)
    header, line = text.splitlines()
    assert header == "hash, table, instrument, span of its rows, rows"
    assert line.endswith("ohlcv_1h perp BTCUSDT 2026-01-01T00:00:00+00:00 … 2026-01-01T23:00:00+00:00 24 rows")
    assert run("bronze", "responses", str(warehouse.root / path)) == text
    monkeypatch.chdir(warehouse.root.parent)
    assert run("bronze", "responses", f"warehouse/{path}") == text
    with pytest.raises(UnknownNameError, match=r"unknown Bronze file 'bronze/none.parquet'; `cexkit bronze check`"):
        run("bronze", "responses", "bronze/none.parquet")


def test_unknown_file_names_only_near_ones(warehouse):
    path = _bronze(warehouse)[0]
    with pytest.raises(UnknownNameError, match="did you mean ") as error:
        run("bronze", "retire", path.replace("-0000", "-0001"))
    assert path in str(error.value)
    assert len(str(error.value)) < 700


def test_exclude_and_release_say_what_changed(warehouse, truth):
    before, (path, _) = _rows(warehouse), _bronze(warehouse)
    digest = _digest(warehouse, path)
    text = run("quarantine", "exclude", digest[:12])
    assert f"excluded {digest}\nokx ohlcv_1h: 24 keys left Silver, " in text
    assert run("quarantine", "exclude", digest) == f"already excluded: {digest}\n"
    assert f"{digest} ohlcv_1h perp BTCUSDT" in run("quarantine", "list")
    assert run("bronze", "responses", path).splitlines()[1].endswith("24 rows excluded")
    assert "okx ohlcv_1h: 24 keys of perp BTCUSDT (2026-01-01 00:00 to 23:00), by the rule" in run("bronze", "removed")
    assert _rows(warehouse).height == before.height - 24
    report = str(_pull(truth, warehouse, 0, refresh=True))
    assert "note: okx ohlcv_1h: 1 excluded response left out; `cexkit quarantine list` lists them" in report
    text = run("quarantine", "release", digest)
    assert f"released {digest}\nokx ohlcv_1h: 24 keys came back, 24 rows made again" in text
    assert run("quarantine", "release", digest) == f"not excluded: {digest}\n"
    assert _rows(warehouse).equals(before)


@pytest.mark.parametrize("digest", ["f649", "f649d3ceb976", ""])
def test_unknown_hash_says_where_hashes_come_from(warehouse, digest):
    with pytest.raises(UnknownNameError, match=rf"got '{digest}', which is not one; `cexkit bronze responses FILE`"):
        run("quarantine", "exclude", digest)


def test_excluding_a_response_of_a_retired_file_takes_its_rows_out(warehouse):
    path = _bronze(warehouse)[0]
    digest = _digest(warehouse, path)
    run("bronze", "retire", path)
    text = run("quarantine", "exclude", digest)
    assert f"no longer retired: {path}" in text
    assert "24 keys left Silver" in text
    assert _rows(warehouse).height == 24


def test_retired_files_are_listed_and_can_be_taken_back(warehouse, truth):
    before, path = _rows(warehouse), _bronze(warehouse)[0]
    assert "(24 rows), the file exists, but no build reads it any more\n1 file retired" in run("bronze", "retire", path)
    assert run("bronze", "retire", path) == f"already retired: {path}\n0 files retired\n"
    assert run("bronze", "retired") == f"{path}: 24 rows of okx ohlcv_1h, the file exists\n1 file retired\n"
    copy = shutil.move(warehouse.root / path, warehouse.root.parent / "copy")
    assert "the file exists" not in run("bronze", "retired")
    text = run("bronze", "unretire", path, code=3)
    assert f"{path} is missing: its rows stay in Silver" in text
    shutil.move(copy, warehouse.root / path)
    assert not build_silver(warehouse, "okx", BARS, now=NOW).problems
    assert retired_files(warehouse.root) == []
    assert _rows(warehouse).equals(before)
    with pytest.raises(UnknownNameError, match="unknown retired Bronze file"):
        run("bronze", "unretire", path)


def test_many_lost_files_are_summarized(warehouse, monkeypatch):
    from cexkit.cli import bronze

    monkeypatch.setattr(bronze, "FILES_SHOWN", 1)
    for path in _bronze(warehouse):
        (warehouse.root / path).unlink()
    lines = run("bronze", "check", code=3).splitlines()
    assert len([line for line in lines if "is missing (24 rows)" in line]) == 1
    assert "okx ohlcv_1h: 1 more file in bronze/exchange=okx/endpoint=v5.history-candles (24 rows)" in lines
    assert "restore the files from a backup, or run `cexkit bronze retire`" in lines[-1]


def test_check_reports_a_damaged_ledger_and_goes_through_the_others(warehouse):
    (warehouse.root / _bronze(warehouse)[0]).unlink()
    (warehouse.root / layout.ledger_folder(TABLES["instruments"], "okx") / "files.parquet").write_bytes(b"x")
    text = run("bronze", "check", code=3)
    assert "problem: the ledger " in text
    assert "is missing (24 rows)" in text


def test_rebuild_names_what_is_lost_and_the_narrow_option(warehouse):
    path = _bronze(warehouse)[0]
    (warehouse.root / path).unlink()
    dry = run("rebuild", "--dry-run", code=3)
    assert "  lost: 24 keys of perp BTCUSDT (2026-01-01 00:00 to 23:00)" in dry
    assert f"{path} is missing: a rebuild lacks its rows" in dry
    assert "stay in Silver" not in dry
    assert dry.splitlines()[-1].startswith("dry run, nothing was changed: ")
    assert "liquidations" not in dry
    with pytest.raises(DataLossError, match=r"24 keys of perp BTCUSDT .*--allow-loss ohlcv_1h:okx to drop"):
        run("rebuild")
    assert "lost, as allowed: 24 keys" in run("rebuild", "--dry-run", "--allow-loss", "ohlcv_1h:okx")


@pytest.mark.parametrize(
    ("option", "error"),
    [("foo", UnknownNameError), ("ohlcv_1h:foo", UnknownNameError), ("ohlcv_1h:", InvalidInputError)],
)
def test_rebuild_refuses_an_option_that_allows_nothing(warehouse, option, error):
    with pytest.raises(error):
        run("rebuild", "--dry-run", "--allow-loss", option)


def test_rebuild_reports_a_venue_whose_bronze_is_gone_altogether(warehouse):
    shutil.rmtree(warehouse.root / "bronze/exchange=okx")
    assert "48 keys of perp BTCUSDT" in run("rebuild", "--dry-run", code=3)
    with pytest.raises(DataLossError):
        run("rebuild")


def test_damaged_bronze_file_says_the_same_of_its_rows_everywhere(warehouse):
    path = warehouse.root / _bronze(warehouse)[0]
    path.write_bytes(b"x" * path.stat().st_size)
    text = run("rebuild", "--dry-run", code=3)
    assert "lost: 24 keys" in text
    assert "a rebuild lacks its rows" in text
    assert "stay in Silver" not in text


def test_nothing_to_rebuild_is_said(warehouse, tmp_path):
    assert "bybit: neither Bronze nor Silver has rows" in run("rebuild", "bybit", "--dry-run")
    with pytest.raises(DatasetNotFoundError):
        run("rebuild", "--dry-run", "--warehouse", str(tmp_path / "empty"))
    with pytest.raises(InvalidInputError, match="a Silver table, got 'data_quality'"):
        run("rebuild", "--table", "data_quality")


def test_migrate_of_a_current_warehouse_says_so(warehouse):
    run("migrate")
    assert run("migrate") == "already current: nothing was changed\n"


def test_doctor_verifies_the_warehouse_and_says_what_to_do(warehouse):
    text = run("doctor", "--verify")
    bronze = len(list((warehouse.root / "bronze").rglob("*.parquet")))
    assert str(warehouse.root) in text
    assert f"hashed     {bronze} bronze files" in text
    assert run("doctor", "--verify", "--warehouse", str(warehouse.root)).splitlines()[0] == text.splitlines()[0]
    (warehouse.root / _bronze(warehouse)[0]).unlink()
    (warehouse.root / warehouse.manifest.select("ohlcv_1h")[0].path).write_bytes(b"x")
    text = run("doctor", "--verify", code=1)
    assert f"hashed     {bronze - 1} bronze files" in text
    lines = text.splitlines()
    assert lines.index("tables") > max(n for n, line in enumerate(lines) if line.startswith(("problem", "advice")))
    assert "make these tables again from Bronze with `cexkit rebuild`" in text
    assert "restore Bronze files from a backup" in text
    with pytest.raises(InvalidInputError, match="one of --data and --warehouse"):
        run("doctor", "--data", "sample", "--warehouse", str(warehouse.root))


def test_blocked_publication_says_what_to_do(warehouse, tmp_path):
    path = _bronze(warehouse)[0]
    (warehouse.root / path).unlink()
    (warehouse.root / warehouse.manifest.select("ohlcv_1h")[0].path).touch()
    with pytest.raises(QualityError, match=r"held back, .* ohlcv_1h \(bronze_files fails: ") as error:
        cexkit.publish(warehouse, tmp_path / "published")
    assert f"{path} is missing: restore the files from a backup, or run `cexkit bronze retire`" in str(error.value)
    assert "`cexkit bronze check` lists" in str(error.value)


def test_publication_of_lost_silver_names_the_remedy(warehouse, tmp_path):
    for file in warehouse.manifest.files:
        (warehouse.root / file.path).unlink()
    with pytest.raises(OSError, match=r"held back, .* is missing") as error:
        cexkit.publish(warehouse, tmp_path / "published")
    assert "`cexkit rebuild okx --table ohlcv_1h`" in str(error.value)


def test_refused_publication_names_exclusions(warehouse, tmp_path):
    cexkit.publish(warehouse, tmp_path / "published")
    run("quarantine", "exclude", _digest(warehouse, _bronze(warehouse)[0]))
    with pytest.raises(PublicationError, match="`cexkit quarantine release` for 1 excluded response"):
        cexkit.publish(warehouse, tmp_path / "published")


def test_lost_days_are_pulled_again_after_their_loss_was_allowed(warehouse, truth):
    before = _rows(warehouse)
    (warehouse.root / Path(_bronze(warehouse)[0])).unlink()
    run("rebuild", "okx", "--allow-loss", "ohlcv_1h:okx")
    assert _rows(warehouse).height == 24
    _pull(truth, warehouse, 0)
    assert _rows(warehouse).equals(before)
