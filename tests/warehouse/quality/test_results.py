"""Cached results of checks equal those of a plain computation over all rows, whatever is in the files."""

from __future__ import annotations

import json
import os
import random
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import Phase, given
from hypothesis import settings as tries
from hypothesis import strategies as st

from cexkit.errors import DatasetError
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, utc
from cexkit.schema.render import to_polars
from cexkit.warehouse.quality import facts, run_checks
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.damage import sha256
from cexkit.warehouse.store.manifest import DataFile
from cexkit.warehouse.store.parquet import write_table
from cexkit.warehouse.store.warehouse import Warehouse

from ...lengths import examples
from .oracle import compute_checks

VENUES = ("binance", "bybit", "okx")
SYMBOLS = ("BTCUSDT", "DOGEUSDT")
NOW, START = utc("2026-03-20"), utc("2026-02-10")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
#: Tables of a small market: bars in years, bars in months and their pieces, settlements, and the list of instruments.
NAMES = ("instruments", "ohlcv_1h", "ohlcv_1m", "funding_rates", "liquidations")


def _identity(venue: str, symbol: str) -> dict:
    keys = {"exchange": venue, "instrument_type": "perp", "symbol": symbol}
    return keys | {"base": symbol.removesuffix("USDT"), "quote": "USDT"}


def _listed(random: random.Random) -> list[dict]:
    terms = {"venue_symbol": "X", "settle": "USDT", "contract_size": 1.0, "inverse": False, "observed_at": NOW}
    ends = [None, None, NOW - 20 * DAY, NOW - 5 * DAY + HOUR / 2]
    return [
        _identity(venue, symbol)
        | terms
        | {"multiplier": random.choice([1.0, 1000.0]), "status": random.choice(["trading", "delisted"])}
        | {"delisting_time": random.choice(ends)}
        for venue in VENUES
        for symbol in SYMBOLS
        if random.random() < 0.9
    ]


def _bars(random: random.Random, step: timedelta, days: int) -> list[dict]:
    rows = []
    for venue in VENUES:
        for symbol in SYMBOLS:
            first = START + random.randrange(3 * 24) * HOUR
            count = int((START + days * DAY - first) / step)
            hole = random.randrange(count)
            for number in range(count):
                if hole <= number < hole + 30 or random.random() < 0.02:
                    continue
                close = random.choice([100.0, 100.0, 101.0, 107.0])
                volumes = {"volume_base": random.choice([1.0, 1.0, -1.0 if random.random() < 0.1 else 2.0])}
                prices = dict.fromkeys(("open", "high", "low", "close"), close)
                rows.append(_identity(venue, symbol) | {"timestamp": first + number * step} | prices | volumes)
    return rows


def _settlements(random: random.Random) -> list[dict]:
    rows = []
    for venue in VENUES:
        for symbol in SYMBOLS:
            hours, at = random.choice([4, 8]), START - 80 * DAY
            while at < NOW:
                if random.random() < 0.03:
                    hours, at = random.choice([1, 4, 8]), at + random.randrange(100) * HOUR
                interval = None if random.random() < 0.05 else float(hours)
                rate = {"funding_rate": random.choice([0.0001, 0.2]), "funding_interval_hours": interval}
                rows.append(_identity(venue, symbol) | {"timestamp": at} | rate)
                at += hours * HOUR
    return rows


def _events(random: random.Random) -> list[dict]:
    event = {"price_type": "bankruptcy", "quantity_base": 1.0, "value_quote": 1.0, "event": "1", "coverage": "full"}
    return [
        _identity(random.choice(VENUES), random.choice(SYMBOLS))
        | event
        | {"timestamp": START + number * HOUR, "price": float(number), "side": random.choice(["long", "short", "x"])}
        for number in range(60)
    ]


def _frame(name: str, rows: list[dict]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict(to_polars(TABLES[name])), orient="row").sort(TABLES[name].key)


def _write(warehouse: Warehouse, name: str, rows: pl.DataFrame) -> None:
    """Write rows in the pieces that a month has on the day ``NOW``."""
    table = TABLES[name]
    if table.time is None:
        warehouse.write(table, rows.to_arrow())
        return
    span = Window(rows[table.time].min(), rows[table.time].max() + DAY)
    for venue in rows["exchange"].unique():
        periods = layout.periods(table, span, NOW)
        warehouse.replace(table, venue, periods, rows.filter(exchange=venue).to_arrow())


def _made(root: Path, seed: int) -> Warehouse:
    warehouse, chance = Warehouse(root), random.Random(seed)
    _write(warehouse, "instruments", _frame("instruments", _listed(chance)))
    _write(warehouse, "ohlcv_1h", _frame("ohlcv_1h", _bars(chance, HOUR, 8)))
    _write(warehouse, "ohlcv_1m", _frame("ohlcv_1m", _bars(chance, 3 * HOUR, 36)))
    _write(warehouse, "funding_rates", _frame("funding_rates", _settlements(chance)))
    _write(warehouse, "liquidations", _frame("liquidations", _events(chance)))
    return warehouse


def _replace_files(warehouse: Warehouse, changed: dict[str, DataFile]) -> None:
    """Write a manifest in which some files are others, as no writer of cexkit would."""
    files = tuple(changed.get(file.path, file) for file in warehouse.manifest.files)
    (warehouse.root / layout.MANIFEST).write_text(replace(warehouse.manifest, files=files).to_json())


def _put(warehouse: Warehouse, file: DataFile, rows: pl.DataFrame, *, stated: bool) -> None:
    """Write rows as the content of a file; ``stated``: the manifest says so, else it has the old row count and span."""
    table = TABLES[file.table]
    path = (warehouse.root / file.path).with_name("other.parquet")
    write_table(rows.to_arrow().cast(_schema(table)), table, path)
    digest = sha256(path)
    place = path.replace(path.with_name(f"{digest[:12]}.parquet"))
    changes = {"path": place.relative_to(warehouse.root).as_posix(), "bytes": place.stat().st_size, "sha256": digest}
    if stated:
        changes["rows"] = rows.height
        if table.time:
            changes |= {"start": rows[table.time].min(), "end": rows[table.time].max()}
    _replace_files(warehouse, {file.path: replace(file, **changes)})


def _schema(table):
    from cexkit.schema.render import to_pyarrow

    return to_pyarrow(table)


def _spoil(warehouse: Warehouse, seed: int) -> None:
    """Replace the content of one file: rows out of its period or of another venue, doubled or lost rows."""
    chance = random.Random(seed)
    file = chance.choice([file for file in warehouse.manifest.files if file.rows > 4])
    table = TABLES[file.table]
    rows = pl.read_parquet(warehouse.root / file.path, hive_partitioning=False)
    time = table.time or "observed_at"
    part = rows.sample(min(rows.height, 3), seed=seed)
    how = chance.choice(["late", "early", "venue", "doubled", "lost", "unsorted", "first_twice"])
    if how in ("late", "early"):
        rows = pl.concat([rows, part.with_columns(pl.col(time) + (40 if how == "late" else -40) * DAY)])
    elif how == "venue":
        rows = pl.concat([rows, part.with_columns(exchange=pl.lit("okx"))])
    elif how == "doubled":
        rows = pl.concat([rows, part])
    elif how == "first_twice":
        rows = pl.concat([rows.head(1), rows])
    elif how == "lost":
        rows = rows.join(part, on=table.key, how="anti")
    elif how == "unsorted":
        rows = rows.sample(rows.height, shuffle=True, seed=seed)
    _put(warehouse, file, rows, stated=chance.random() < 0.5)


def _assert_equal(warehouse: Warehouse) -> None:
    """Compare cached, recomputed, and full results with the plain computation."""
    expected = compute_checks(warehouse, NOW)
    checks = ~pl.col("check_name").is_in(["bronze_files", "bronze_rows", "quarantined_rows"])
    for full in (False, False, True):
        found = run_checks(warehouse, now=NOW, full=full).filter(checks)
        assert found.rows() == expected.rows()


# Without shrinking: a seed has no simpler form.
@tries(max_examples=examples(3, 6), deadline=None, derandomize=True, phases=[Phase.generate])
@given(seed=st.integers(0, 10**6), spoiled=st.lists(st.integers(0, 10**6), max_size=3))
def test_results_equal_plain_computation(tmp_path_factory, seed, spoiled):
    warehouse = _made(tmp_path_factory.mktemp("warehouse"), seed)
    _assert_equal(warehouse)
    for each in spoiled:
        _spoil(warehouse, each)
        _assert_equal(warehouse)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Warehouse:
    warehouse = _made(tmp_path_factory.mktemp("made"), 1)
    run_checks(warehouse, now=NOW)
    return warehouse


@pytest.fixture
def warehouse(made, tmp_path) -> Warehouse:
    return Warehouse(shutil.copytree(made.root, tmp_path / "warehouse"))


def test_warehouse_has_years_months_and_pieces(made):
    periods = {file.period for file in made.manifest.files}
    assert {"all", "2025", "2026-02", "2026-03-01..07", "2026-03-08..14", "2026-03-15"} <= periods


def test_facts_in_small_batches_equal_plain_computation(warehouse, monkeypatch):
    monkeypatch.setattr(facts, "BATCH_ROWS", 1)
    shutil.rmtree(warehouse.root / layout.CHECKS)
    _assert_equal(warehouse)


@pytest.mark.parametrize("seed", range(12))
def test_one_changed_file_equals_plain_computation(warehouse, seed):
    _spoil(warehouse, seed)
    _assert_equal(warehouse)


def test_overlapping_periods_are_refused(warehouse):
    (file,) = (f for f in warehouse.manifest.select("ohlcv_1m", exchanges=["okx"]) if f.period == "2026-03-15")
    _replace_files(warehouse, {file.path: replace(file, period="2026-03")})
    with pytest.raises(DatasetError, match="must not overlap"):
        run_checks(warehouse, ["ohlcv_1m"], now=NOW)


def _read_files(monkeypatch) -> list[str]:
    """Record the files whose rows are read."""
    from cexkit.warehouse.quality import files, venues

    read: list[str] = []
    read_facts, scan_table = files.read_facts, venues.scan_table
    monkeypatch.setattr(files, "read_facts", lambda path, table: read.append(path.name) or read_facts(path, table))
    monkeypatch.setattr(
        venues, "scan_table", lambda paths, table: read.extend(p.name for p in paths) or scan_table(paths, table)
    )
    return read


def test_unchanged_files_are_not_read_again(warehouse, monkeypatch):
    read = _read_files(monkeypatch)
    before = run_checks(warehouse, now=NOW)
    assert read == []
    assert run_checks(warehouse, now=NOW, full=True).equals(before)
    assert {Path(file.path).name for file in warehouse.manifest.files} == set(read)


def test_one_more_day_reads_that_day(warehouse, monkeypatch):
    table = TABLES["ohlcv_1m"]
    (file,) = (f for f in warehouse.manifest.select("ohlcv_1m", exchanges=["okx"]) if f.period == "2026-03-17")
    rows = pl.from_arrow(warehouse.read(table, exchange="okx", span=Window(utc("2026-03-17"), utc("2026-03-18"))))
    read = _read_files(monkeypatch)
    later = rows.with_columns(pl.col("timestamp") + DAY).to_arrow()
    (more,) = warehouse.replace(table, "okx", ["2026-03-18"], later)
    run_checks(warehouse, now=NOW)
    assert read == [Path(more.path).name]
    (changed,) = warehouse.replace(table, "okx", ["2026-03-17"], rows.head(3).to_arrow())
    run_checks(warehouse, now=NOW)
    others = [f for f in warehouse.manifest.select("ohlcv_1m") if f.period == "2026-03-17"]
    assert sorted(read[1:]) == sorted([Path(changed.path).name, *(Path(f.path).name for f in others)])
    assert Path(file.path).name not in read


def test_multiplier_changes_outliers_of_its_instruments_only(warehouse, monkeypatch):
    rows = pl.from_arrow(warehouse.read(TABLES["instruments"], exchange="okx"))
    once = pl.col("symbol") == "BTCUSDT"
    other = rows.with_columns(observed_at=pl.col("observed_at") + HOUR)
    warehouse.replace(TABLES["instruments"], "okx", ["all"], other.to_arrow())
    read = _read_files(monkeypatch)
    run_checks(warehouse, now=NOW)
    assert len(read) == 1, "only the list itself"
    other = rows.with_columns(multiplier=pl.when(once).then(pl.col("multiplier") * 10).otherwise("multiplier"))
    warehouse.replace(TABLES["instruments"], "okx", ["all"], other.to_arrow())
    _assert_equal(warehouse)


def _tamper(path: Path) -> None:
    """Change the content of a file, but not its size."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def _data_files_failed(warehouse: Warehouse, *, full: bool = False) -> int:
    found = run_checks(warehouse, now=NOW, full=full).filter(check_name="data_files")
    return int(found["rows_failed"].sum())


@pytest.mark.parametrize("change", ["longer", "same_size", "missing", "not_parquet", "empty"])
def test_changed_file_is_found(warehouse, change):
    (file,) = warehouse.manifest.select("liquidations", exchanges=["okx"])
    path = warehouse.root / file.path
    if change == "same_size":
        _tamper(path)
    elif change == "missing":
        path.unlink()
    else:
        path.write_bytes({"longer": path.read_bytes() + b"x", "not_parquet": b"x" * file.bytes, "empty": b""}[change])
    assert _data_files_failed(warehouse) == file.rows
    assert _data_files_failed(warehouse, full=True) == file.rows


def test_changed_file_of_same_size_and_time_is_found_by_full_run_only(warehouse):
    (file,) = warehouse.manifest.select("liquidations", exchanges=["okx"])
    path = warehouse.root / file.path
    status = path.stat()
    _tamper(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert _data_files_failed(warehouse) == 0
    assert _data_files_failed(warehouse, full=True) == file.rows


def test_tampered_rows_are_never_those_cached(warehouse):
    """A rewritten file of the same size is read again, so its rows fail the checks that they fail."""
    (file,) = warehouse.manifest.select("liquidations", exchanges=["okx"])
    path, table = warehouse.root / file.path, TABLES["liquidations"]
    before = pl.read_parquet(path, hive_partitioning=False)
    write_table(before.with_columns(side=pl.lit("buy")).to_arrow().cast(_schema(table)), table, path)
    found = run_checks(warehouse, now=NOW).filter(check_name="known_side", exchange="okx")
    assert found["rows_failed"].sum() == before.height
    write_table(before.to_arrow().cast(_schema(table)), table, path)
    assert path.stat().st_size == file.bytes
    _assert_equal(warehouse)


def test_copied_files_are_hashed_once_and_not_read(warehouse, monkeypatch):
    read = _read_files(monkeypatch)
    for path in (warehouse.root / layout.TABLES).rglob("*.parquet"):
        os.utime(path)
    before = run_checks(warehouse, now=NOW)
    hashed = []
    monkeypatch.setattr("cexkit.warehouse.quality.files.sha256", hashed.append)
    assert run_checks(warehouse, now=NOW).equals(before)
    assert (read, hashed) == ([], [])


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "other"])
def test_damaged_entry_is_ignored(warehouse, damage):
    before = run_checks(warehouse, now=NOW)
    entries = sorted((warehouse.root / layout.CHECKS).rglob("*.arrows"))
    for number, path in enumerate(entries):
        status, content = path.stat(), bytearray(path.read_bytes())
        if damage == "flipped":
            content[-9] ^= 0x01
        elif damage == "cut":
            content = content[: len(content) // 2]
        elif damage == "empty":
            content = bytearray()
        else:
            content = bytearray(entries[number - 1].read_bytes())
        path.write_bytes(content)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert run_checks(warehouse, now=NOW).equals(before)
    _assert_equal(warehouse)


def test_damaged_entry_does_not_vouch_for_a_changed_file(warehouse):
    (file,) = warehouse.manifest.select("liquidations", exchanges=["okx"])
    path = warehouse.root / file.path
    status = path.stat()
    _tamper(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    for entry in (warehouse.root / layout.CHECKS).rglob("*.arrows"):
        times = entry.stat()
        entry.write_bytes(b"x")
        os.utime(entry, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert _data_files_failed(warehouse) == file.rows


@pytest.mark.parametrize("version", ["FACTS_VERSION", "SCHEMA_VERSION"])
def test_entry_of_another_version_is_ignored(warehouse, monkeypatch, version):
    read = _read_files(monkeypatch)
    monkeypatch.setattr(f"cexkit.warehouse.quality.files.{version}", 99)
    run_checks(warehouse, ["liquidations"], now=NOW)
    assert {Path(f.path).name for f in warehouse.manifest.select("liquidations")} <= set(read)


def test_changed_declaration_is_checked_again(warehouse, monkeypatch):
    table = TABLES["liquidations"]
    strict = replace(table.checks[1], must="price > 30")
    monkeypatch.setitem(TABLES, "liquidations", replace(table, checks=(table.checks[0], strict)))
    found = run_checks(warehouse, ["liquidations"], now=NOW).filter(check_name="positive_liquidation")
    assert found["rows_failed"].sum() == 31


def test_folder_of_results_may_be_deleted_or_unwritable(warehouse):
    before = run_checks(warehouse, now=NOW)
    shutil.rmtree(warehouse.root / layout.CHECKS)
    (warehouse.root / layout.CHECKS).touch()  # no folder can be made here, as in a read-only warehouse
    assert run_checks(warehouse, now=NOW).equals(before)
    (warehouse.root / layout.CHECKS).unlink()
    assert run_checks(warehouse, now=NOW).equals(before)
    assert (warehouse.root / layout.CHECKS).is_dir()


def test_dataset_that_nobody_wrote_here_is_left_alone(warehouse):
    before = run_checks(warehouse, now=NOW)
    shutil.rmtree(warehouse.root / layout.CHECKS)
    (warehouse.root / layout.LOCK).unlink()
    assert run_checks(warehouse, now=NOW).equals(before)
    assert not (warehouse.root / layout.CHECKS).exists()


def test_entries_leave_with_their_files(warehouse):
    def entries(name: str) -> set[str]:
        return {path.name for path in (warehouse.root / layout.check_folder(TABLES[name])).iterdir()}

    before = {name: entries(name) for name in NAMES}
    assert {name: len(found) for name, found in before.items()} == {
        **{name: len(warehouse.manifest.select(name)) for name in NAMES},
        "ohlcv_1h": len(warehouse.manifest.select("ohlcv_1h")) + 1,
        "ohlcv_1m": len(warehouse.manifest.select("ohlcv_1m")) + 6,
    }, "one per file, and one per time that three venues have in common"
    warehouse.remove(TABLES["ohlcv_1m"], "okx", "2026-02")
    run_checks(warehouse, ["ohlcv_1m"], now=NOW)
    assert len(entries("ohlcv_1m")) == len(before["ohlcv_1m"]) - 2
    assert entries("ohlcv_1h") == before["ohlcv_1h"]
    for file in warehouse.manifest.select("liquidations"):
        warehouse.remove(TABLES["liquidations"], file.exchange, file.period)
    run_checks(warehouse, now=NOW)
    assert entries("liquidations") == set()


def test_entries_are_the_same_to_the_byte_when_made_again(warehouse):
    def content() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (warehouse.root / layout.CHECKS).rglob("*.arrows")}

    before = content()
    run_checks(warehouse, now=NOW, full=True)
    assert content() == before


def test_manifest_that_misstates_a_file_fails(warehouse):
    for change in ({"rows": 1}, {"start": NOW}, {"end": NOW}, {"period": "2025"}, {"exchange": "coinbase"}):
        raw = (warehouse.root / layout.MANIFEST).read_text()
        (file,) = warehouse.manifest.select("liquidations", exchanges=["okx"])
        _replace_files(warehouse, {file.path: replace(file, **change)})
        assert _data_files_failed(warehouse), change
        (warehouse.root / layout.MANIFEST).write_text(raw)
        assert json.loads(raw)
    assert _data_files_failed(warehouse) == 0


@pytest.mark.parametrize("interval", [0.0, -8.0, 1e-300, float("nan"), float("inf")])
def test_impossible_interval_fails_its_check_only(warehouse, interval):
    (file, *_) = warehouse.manifest.select("funding_rates", exchanges=["okx"])
    rows = pl.read_parquet(warehouse.root / file.path, hive_partitioning=False)
    before = run_checks(warehouse, ["funding_rates"], now=NOW).filter(check_name="known_interval")["rows_failed"].sum()
    first = pl.int_range(pl.len()) == 5
    changed = pl.when(first).then(pl.lit(interval)).otherwise("funding_interval_hours")
    _put(warehouse, file, rows.with_columns(funding_interval_hours=changed), stated=True)
    found = run_checks(warehouse, ["funding_rates"], now=NOW)
    assert found.filter(check_name="known_interval")["rows_failed"].sum() == before + 1
    assert found.filter(check_name="gaps")["rows_failed"].min() >= 0


@pytest.fixture
def level(tmp_path) -> Warehouse:
    """A warehouse in which all venues have the same closes, and no outlier."""
    warehouse = Warehouse(tmp_path / "level")
    terms = {"venue_symbol": "X", "settle": "USDT", "multiplier": 1.0, "contract_size": 1.0, "inverse": False}
    terms |= {"status": "trading", "observed_at": NOW}
    prices = dict.fromkeys(("open", "high", "low", "close", "volume_base"), 100.0)
    _write(warehouse, "instruments", _frame("instruments", [_identity(venue, "BTCUSDT") | terms for venue in VENUES]))
    times = [START + number * HOUR for number in range(5)]
    bars = [_identity(venue, "BTCUSDT") | prices | {"timestamp": time} for venue in VENUES for time in times]
    _write(warehouse, "ohlcv_1h", _frame("ohlcv_1h", bars))
    return warehouse


def _outliers(warehouse: Warehouse) -> dict[str, int]:
    found = run_checks(warehouse, ["ohlcv_1h"], now=NOW).filter(check_name="outlier")
    return dict(found.select("exchange", "rows_failed").rows())


def test_changed_multiplier_is_compared_again(level):
    assert _outliers(level) == {"binance": 0, "bybit": 0, "okx": 0}
    rows = pl.from_arrow(level.read(TABLES["instruments"], exchange="okx")).with_columns(multiplier=pl.lit(10.0))
    level.replace(TABLES["instruments"], "okx", ["all"], rows.to_arrow())
    assert _outliers(level) == {"binance": 0, "bybit": 0, "okx": 5}


def test_coin_and_stock_of_one_name_are_not_compared(level):
    """With the stock there are too few venues for a median; without a stated class it is far from the coins."""
    bars = pl.from_arrow(level.read(TABLES["ohlcv_1h"], exchange="okx"))
    prices = [pl.col(name) / 2 for name in ("open", "high", "low", "close")]
    level.replace(TABLES["ohlcv_1h"], "okx", ["2026"], bars.with_columns(prices).to_arrow())
    assert _outliers(level) == {"binance": 0, "bybit": 0, "okx": 5}
    rows = pl.from_arrow(level.read(TABLES["instruments"], exchange="okx")).with_columns(asset_class=pl.lit("equity"))
    level.replace(TABLES["instruments"], "okx", ["all"], rows.to_arrow())
    assert _outliers(level) == {}


def test_tampered_closes_are_never_those_cached(level):
    before = _outliers(level)
    (file,) = level.manifest.select("ohlcv_1h", exchanges=["okx"])
    path, table = level.root / file.path, TABLES["ohlcv_1h"]
    rows = pl.read_parquet(path, hive_partitioning=False)
    write_table(rows.with_columns(close=pl.lit(90.0)).to_arrow().cast(_schema(table)), table, path)
    assert _outliers(level) == before | {"okx": 5}
    write_table(rows.to_arrow().cast(_schema(table)), table, path)
    assert _outliers(level) == before


def test_instrument_in_files_of_two_venues_is_doubled_whenever_it_was_observed(level):
    (file,) = level.manifest.select("instruments", exchanges=["binance"])
    rows = pl.read_parquet(level.root / file.path, hive_partitioning=False)
    other = pl.from_arrow(level.read(TABLES["instruments"], exchange="okx"))
    later = other.with_columns(pl.col("observed_at") + 40 * DAY)
    _put(level, file, pl.concat([rows, later]), stated=True)
    _assert_equal(level)
    found = run_checks(level, ["instruments"], now=NOW).filter(check_name="unique_key", exchange="okx")
    assert found["rows_failed"].sum() == 2
