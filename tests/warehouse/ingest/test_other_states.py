"""Silver, ledgers, and counters of another state than the last run left: the next run finds out and mends them."""

from __future__ import annotations

import shutil
from datetime import timedelta

import polars as pl
import pytest

from cexkit.errors import DatasetError
from cexkit.schema import TABLES
from cexkit.schema.intervals import utc
from cexkit.testing import LOOPBACKS
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.inputs import Inputs
from cexkit.warehouse.ingest.listing_state import ListingState
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.ingest.rebuild import rebuild
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.compact import compact
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.ledgers import exclude, retire
from cexkit.warehouse.store.warehouse import Warehouse

from ...clock import Clock, reading

#: The time of venues and readers, which passes when budgets wait.
CLOCK = Clock()

START, DAY, NOW = utc("2025-12-20"), timedelta(days=1), utc("2026-01-20")
BARS, LISTING, PERIODS = TABLES["ohlcv_1h"], TABLES["instruments"], TABLES["instrument_periods"]


@pytest.fixture(scope="module")
def truth() -> dict[str, pl.DataFrame]:
    tables = simulate(start="2025-12-20", end="2025-12-30", coins=["BTC"], exchanges=["okx"]).tables
    return {name: tables[name] for name in tables}


def _pull(truth, warehouse, first: int, days: int, *, times: float = 1.0, refresh: bool = False, now=NOW):
    prices = pl.col("open", "high", "low", "close") * times
    changed = truth | {"ohlcv_1h": truth["ohlcv_1h"].with_columns(prices)}
    with LOOPBACKS["okx"](changed, now=NOW, clock=CLOCK) as server, reading(server, CLOCK) as fetcher:
        span = START + first * DAY, START + (first + days) * DAY
        words = {"warehouse": warehouse, "fetcher": fetcher, "refresh": refresh, "now": now}
        return pull("okx", "ohlcv_1h", None, *span, instrument_type="perp", **words)


@pytest.fixture
def warehouse(truth, tmp_path) -> Warehouse:
    warehouse = Warehouse(tmp_path / "warehouse")
    _pull(truth, warehouse, 0, 3)
    return warehouse


def _rows(warehouse: Warehouse, table=BARS) -> pl.DataFrame:
    return pl.from_arrow(warehouse.read(table)).sort(table.key)


def _merged_again(report) -> bool:
    return any("all of Bronze is merged again" in problem.message for problem in report.problems)


def _require_equal_to_rebuild(warehouse: Warehouse, *tables) -> None:
    for done in rebuild(warehouse, "okx", tables or [BARS], dry_run=True, now=NOW):
        assert (done.added, done.changed, done.lost.height) == (0, 0, 0), str(done)


def test_deleted_silver_is_merged_again_by_a_pull_of_the_next_day(truth, warehouse):
    before = _rows(warehouse)
    warehouse.remove(BARS, "okx", "2025")
    assert _merged_again(_pull(truth, warehouse, 3, 1))
    after = _rows(warehouse)
    assert after.height == before.height + 24
    assert after.join(before, on=BARS.key, how="semi").equals(before)


def _pull_and_interrupt(truth, warehouse: Warehouse, monkeypatch) -> None:
    """Pull a day; the build ends after Silver was written, and before the ledger says so."""

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Inputs, "finish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _pull(truth, warehouse, 3, 1)


def test_fewer_rows_are_found_after_an_interrupted_build(truth, warehouse, monkeypatch):
    before = _rows(warehouse)
    _pull_and_interrupt(truth, warehouse, monkeypatch)
    assert Ledger(warehouse.root, "okx", BARS).is_interrupted
    warehouse.remove(BARS, "okx", "2025")
    assert _merged_again(build_silver(warehouse, "okx", BARS, now=NOW))
    assert _rows(warehouse).height == before.height + 24
    assert not build_silver(warehouse, "okx", BARS, now=NOW).problems


def test_more_rows_after_an_interrupted_build_are_no_problem(truth, warehouse, monkeypatch):
    _pull_and_interrupt(truth, warehouse, monkeypatch)
    assert not _pull(truth, warehouse, 4, 1).problems
    _require_equal_to_rebuild(warehouse)


def test_older_silver_with_the_same_keys_is_merged_again(truth, warehouse, tmp_path):
    old = Warehouse(shutil.copytree(warehouse.root, tmp_path / "old"))
    _pull(truth, warehouse, 1, 1, times=2.0, refresh=True)
    corrected = _rows(warehouse)
    assert not _rows(old).equals(corrected)
    shutil.rmtree(warehouse.root / layout.TABLES)
    shutil.copytree(old.root / layout.TABLES, warehouse.root / layout.TABLES)
    shutil.copy(old.root / layout.MANIFEST, warehouse.root / layout.MANIFEST)
    assert _merged_again(build_silver(warehouse, "okx", BARS, now=NOW))
    assert _rows(warehouse).equals(corrected)


def test_older_instruments_are_built_again(truth, warehouse, tmp_path):
    old = Warehouse(shutil.copytree(warehouse.root, tmp_path / "old"))
    _pull_lists(_finer(truth), warehouse)
    newer = _rows(warehouse, LISTING)
    shutil.rmtree(warehouse.root / layout.TABLES)
    shutil.copytree(old.root / layout.TABLES, warehouse.root / layout.TABLES)
    shutil.copy(old.root / layout.MANIFEST, warehouse.root / layout.MANIFEST)
    build_silver(warehouse, "okx", LISTING, now=NOW)
    assert _rows(warehouse, LISTING).equals(newer)


def test_compaction_is_no_other_state(truth, tmp_path):
    warehouse, today = Warehouse(tmp_path / "warehouse"), START + 10 * DAY
    _pull(truth, warehouse, 0, 9, now=today)
    assert compact(warehouse, now=NOW)
    assert not build_silver(warehouse, "okx", BARS, now=NOW).problems
    assert not _pull(truth, warehouse, 9, 1).problems


def test_dropped_keys_are_requested_again(truth, warehouse):
    _pull(truth, warehouse, 3, 2)
    before = _rows(warehouse)
    max((warehouse.root / "bronze").glob("exchange=okx/endpoint=*candles*/*/*.parquet")).unlink()
    (done,) = rebuild(warehouse, "okx", [BARS], allow_loss=["ohlcv_1h"], now=NOW)
    assert done.lost.height == 48
    _pull(truth, warehouse, 0, 5)
    assert _rows(warehouse).equals(before)


@pytest.mark.parametrize("with_ledger", [False, True])
def test_numbers_follow_those_in_bronze_if_an_older_counter_is_restored(truth, warehouse, tmp_path, with_ledger):
    counter, old = warehouse.root / layout.SEQUENCE, shutil.copytree(warehouse.root, tmp_path / "old")
    for times in (2.0, 1.5):
        _pull(truth, warehouse, 0, 3, times=times, refresh=True)
    with counter.open("r+b") as file:  # in place, as `cp` does
        file.write((old / layout.SEQUENCE).read_bytes())
    if with_ledger:
        shutil.copytree(old / layout.LEDGER, warehouse.root / layout.LEDGER, dirs_exist_ok=True)
    _pull(truth, warehouse, 0, 3, times=0.5, refresh=True)
    expected = truth["ohlcv_1h"].filter(pl.col("timestamp") < START + 3 * DAY, instrument_type="perp").sort(BARS.key)
    assert _rows(warehouse)["close"].to_list() == (expected["close"] * 0.5).to_list()


@pytest.mark.parametrize("part", ["lists", "changes", "current"])
def test_state_of_lists_with_other_content_is_built_again(truth, warehouse, part):
    folder = warehouse.root / layout.ledger_folder(LISTING, "okx")
    shutil.copy(folder / "files.parquet", folder / f"{part}.parquet")
    assert ListingState.read(Ledger(warehouse.root, "okx", LISTING)) is None
    assert not _pull(truth, warehouse, 3, 1).problems
    _require_equal_to_rebuild(warehouse, LISTING, PERIODS)


def test_list_that_arrives_late_is_not_the_newest(truth, warehouse, tmp_path):
    first, late = set((warehouse.root / "bronze").rglob("*.parquet")), Warehouse(tmp_path / "late")
    _pull_lists(_finer(truth), warehouse)
    expected, periods = _rows(warehouse, LISTING), _rows(warehouse, PERIODS)
    shutil.copytree(warehouse.root / "bronze", late.root / "bronze")
    moved = [path.relative_to(warehouse.root) for path in first]
    for path in moved:
        (late.root / path).unlink()
    build_silver(late, "okx", LISTING, now=NOW)
    for path in moved:
        shutil.copy(warehouse.root / path, late.root / path)
    build_silver(late, "okx", LISTING, now=NOW)
    assert _rows(late, LISTING).equals(expected)
    assert _rows(late, PERIODS).equals(periods)


def _with_one_more(truth) -> dict[str, pl.DataFrame]:
    names = {"symbol": "NEWUSDT", "venue_symbol": "NEW-USDT-SWAP", "base": "NEW"}
    shown = truth["instruments"].filter(instrument_type="perp")
    more = shown.with_columns(pl.lit(value).alias(name) for name, value in names.items())
    return truth | {"instruments": pl.concat([shown, more])}


def _pull_lists(tables, warehouse: Warehouse):
    with LOOPBACKS["okx"](tables, now=NOW, clock=CLOCK) as server, reading(server, CLOCK) as fetcher:
        return pull("okx", "instruments", warehouse=warehouse, fetcher=fetcher)


def _finer(truth) -> dict[str, pl.DataFrame]:
    return truth | {"instruments": truth["instruments"].with_columns(tick_size=pl.lit(0.025))}


def _newest_lists(warehouse: Warehouse) -> set[str]:
    """Return the hashes of the lists that the last run read."""
    ledger = Ledger(warehouse.root, "okx", LISTING)
    rows = pl.concat([ledger.responses(day) for day in ledger.response_days])
    rows = rows.filter(pl.col("path").str.contains("instruments"), pl.col("rows") > 0)
    run = pl.col("path").str.split("/").list.last()  # names begin with the time of the run
    return set(rows.filter(run == run.max())["sha256"])


def test_excluded_list_does_not_count_until_it_is_released(truth, warehouse):
    before = _rows(warehouse, LISTING)
    _pull(_finer(truth), warehouse, 3, 1)
    after, periods = _rows(warehouse, LISTING), _rows(warehouse, PERIODS)
    assert after["tick_size"].unique().to_list() == [0.025]
    digests = _newest_lists(warehouse)
    for digest in digests:
        exclude(warehouse.root, digest)
    build_silver(warehouse, "okx", LISTING, now=NOW)
    assert _rows(warehouse, LISTING)["tick_size"].equals(before["tick_size"])
    _require_equal_to_rebuild(warehouse, LISTING, PERIODS)
    for digest in digests:
        exclude(warehouse.root, digest, excluded=False)
    build_silver(warehouse, "okx", LISTING, now=NOW)
    assert _rows(warehouse, LISTING).equals(after)
    assert _rows(warehouse, PERIODS).equals(periods)


def test_rows_follow_the_facts_of_the_lists_that_are_left(truth, warehouse):
    """Bars carry the multiplier, so they are made again if a list that stated it is excluded."""
    assert _rows(warehouse)["multiplier"].unique().to_list() == [1.0]
    for digest in _newest_lists(warehouse):
        exclude(warehouse.root, digest)
    tenfold = truth | {"instruments": truth["instruments"].with_columns(multiplier=pl.lit(10.0))}
    _pull_lists(tenfold, warehouse)
    build_silver(warehouse, "okx", BARS, now=NOW)
    _require_equal_to_rebuild(warehouse, BARS, LISTING, PERIODS)


def test_instruments_that_only_an_excluded_list_shows_are_removed_and_listed(truth, warehouse):
    before = set(_rows(warehouse, LISTING)["symbol"])
    _pull(_with_one_more(truth), warehouse, 3, 1)
    assert set(_rows(warehouse, LISTING)["symbol"]) == before | {"NEWUSDT"}
    for digest in _newest_lists(warehouse):
        exclude(warehouse.root, digest)
    report = build_silver(warehouse, "okx", LISTING, now=NOW)
    assert set(_rows(warehouse, LISTING)["symbol"]) == before
    assert any("1 rows were removed by the rule 'excluded response'" in problem.message for problem in report.problems)
    assert Ledger(warehouse.root, "okx", LISTING).removed["symbol"].to_list() == ["NEWUSDT"]


def test_instruments_of_a_list_that_ledger_and_bronze_lack_stay(truth, warehouse):
    before, periods = _rows(warehouse, LISTING), _rows(warehouse, PERIODS)
    shutil.rmtree(warehouse.root / layout.ledger_folder(LISTING, "okx"))
    for path in (warehouse.root / "bronze").glob("exchange=okx/endpoint=*instruments*/*/*.parquet"):
        path.unlink()
    only_spot = truth | {"instruments": truth["instruments"].filter(instrument_type="spot")}
    report = _pull_lists(only_spot, warehouse)
    assert set(_rows(warehouse, LISTING).select(LISTING.key).rows()) == set(before.select(LISTING.key).rows())
    assert set(periods["symbol"]) == set(_rows(warehouse, PERIODS)["symbol"])
    assert any("come from no response in Bronze" in problem.message for problem in report.problems)


def test_response_that_bronze_lacks_cannot_be_excluded(truth, warehouse):
    ledger = Ledger(warehouse.root, "okx", BARS)
    response = ledger.responses(ledger.response_days[0]).row(0, named=True)
    (warehouse.root / response["path"]).unlink()
    retire(warehouse.root, [response["path"]])
    with pytest.raises(DatasetError, match="restore it"):
        exclude(warehouse.root, response["sha256"])
    assert not Ledger(warehouse.root, "okx", BARS).is_interrupted


def _data_file(warehouse: Warehouse, table):
    (file,) = warehouse.manifest.select(table.name)
    return warehouse.root / file.path


@pytest.mark.parametrize("table", [BARS, LISTING, PERIODS], ids=lambda table: table.name)
@pytest.mark.parametrize("cut", [True, False], ids=["cut", "deleted"])
def test_damaged_data_file_is_made_again(truth, warehouse, table, cut):
    before, path = _rows(warehouse, table), _data_file(warehouse, table)
    path.write_bytes(path.read_bytes()[:100]) if cut else path.unlink()
    report = _pull(truth, warehouse, 0, 3)
    found = [problem.message for problem in report.problems if path.name in problem.message]
    assert [message for message in found if "made again from Bronze" in message]
    assert _rows(warehouse, table).drop("observed_at", strict=False).equals(before.drop("observed_at", strict=False))
    assert not _pull(truth, warehouse, 0, 3).problems
    _require_equal_to_rebuild(warehouse, BARS, LISTING, PERIODS)


def test_damaged_data_file_of_the_same_size_is_made_again(truth, warehouse):
    before, path = _rows(warehouse), _data_file(warehouse, BARS)
    path.write_bytes(b"x" * path.stat().st_size)
    (problem,) = _pull(truth, warehouse, 3, 1).problems
    assert f"{path.name} has other content than the manifest says" in problem.message
    assert _rows(warehouse).join(before, on=BARS.key, how="semi").equals(before)


def test_rows_that_cannot_be_made_again_are_counted(truth, warehouse):
    ledger = Ledger(warehouse.root, "okx", BARS)
    (path,) = ledger.files.filter(state="merged")["path"]
    (warehouse.root / path).unlink()
    retire(warehouse.root, [path])
    _data_file(warehouse, BARS).unlink()
    report = _pull(truth, warehouse, 3, 1)
    assert any("Bronze lacks 48 or more of its 72 rows" in problem.message for problem in report.problems)


def test_retired_response_precedes_an_earlier_one_that_arrives_after_it(truth, warehouse, tmp_path):
    _pull(truth, warehouse, 0, 3, times=2.0, refresh=True)
    expected, late = _rows(warehouse), Warehouse(tmp_path / "late")
    earlier, later = sorted(Ledger(warehouse.root, "okx", BARS).files.filter(state="merged")["path"])
    shutil.copytree(warehouse.root / "bronze", late.root / "bronze")
    (late.root / earlier).unlink()
    build_silver(late, "okx", LISTING, now=NOW)
    build_silver(late, "okx", BARS, now=NOW)
    retire(late.root, [later])
    (late.root / later).unlink()
    shutil.copy(warehouse.root / earlier, late.root / earlier)
    build_silver(late, "okx", BARS, now=NOW)
    assert _rows(late).equals(expected)
    _require_equal_to_rebuild(late)


def test_rows_that_came_from_elsewhere_stay_and_are_reported(truth, tmp_path):
    """A downloaded dataset has no Bronze; the venue no longer has one of its hours."""
    warehouse, bars = Warehouse(tmp_path / "downloaded"), truth["ohlcv_1h"].filter(instrument_type="perp")
    held = bars.filter(pl.col("timestamp") < START + 3 * DAY).sort(BARS.key)
    warehouse.write(BARS, held.to_arrow())
    report = _pull(truth | {"ohlcv_1h": bars.filter(pl.col("timestamp") != START + 1.25 * DAY)}, warehouse, 1, 1)
    assert _rows(warehouse).select(BARS.key).equals(held.select(BARS.key))
    assert any("1 rows come from no response in Bronze" in problem.message for problem in report.problems)


def test_damaged_quarantine_is_named_and_written_again(truth, warehouse):
    odd = pl.when(pl.col("timestamp").dt.hour() == 5).then(pl.col("high") / 2).otherwise("high").alias("high")
    tables = truth | {"ohlcv_1h": truth["ohlcv_1h"].with_columns(odd)}
    _pull(tables, warehouse, 3, 1)
    (path,) = (warehouse.root / layout.QUARANTINE / "ohlcv_1h").rglob("*.parquet")
    content = warehouse.quarantine(BARS, "okx", "2025")
    assert not build_silver(warehouse, "okx", BARS, now=NOW).problems
    path.write_bytes(b"x")
    (problem,) = _pull(tables, warehouse, 4, 1).problems
    assert f"{path.name} is damaged" in problem.message
    assert "delete it" in problem.message
    path.unlink()
    _pull(tables, warehouse, 3, 1)
    assert warehouse.quarantine(BARS, "okx", "2025").slice(0, 1).equals(content)
    _require_equal_to_rebuild(warehouse)


def test_deleted_key_digests_do_not_block_a_pull(truth, warehouse):
    shutil.rmtree(warehouse.root / layout.KEYS)
    assert not _pull(truth, warehouse, 3, 1).problems
    assert _rows(warehouse).height == 96
