"""Writing: whole files or none, no row doubled or lost, older manifests stay readable."""

from __future__ import annotations

import os
import subprocess
import sys

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cexkit.errors import DatasetError, DuplicateKeyError, NewerSchemaError
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, utc
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.manifest import Manifest, read_manifest
from cexkit.warehouse.store.warehouse import Warehouse

FUNDING = TABLES["funding_rates"]


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(tmp_path / 'it\'s a "warehouse"')


def test_rows_come_back_sorted_and_in_files_by_venue_and_year(warehouse, make_funding):
    rows = pa.concat_tables(
        [make_funding("2023-12-31", 6), make_funding("2024-05-01", 2, exchange="okx"), make_funding("2023-06-01", 3)]
    )
    files = warehouse.write(FUNDING, rows)
    assert sorted((file.exchange, file.period, file.rows) for file in files) == [
        ("binance", "2023", 6),
        ("binance", "2024", 3),
        ("okx", "2024", 2),
    ]
    back = pl.from_arrow(warehouse.read(FUNDING))
    expected = pl.from_arrow(rows).sort(FUNDING.key)
    assert back.sort(FUNDING.key).equals(expected)


def test_a_table_in_one_file_without_a_venue_keeps_all_rows(warehouse):
    table = TABLES["funding_weighted_8h"]
    times = pl.datetime_range(utc("2024-01-01"), utc("2024-01-03"), "8h", eager=True)
    rows = pl.select(
        timestamp=times, base=pl.lit("BTC"), weighted_funding=1e-4, venues=3, weight_coverage=1.0, quotes=pl.lit("USDT")
    )
    (file,) = warehouse.write(table, rows.with_columns(pl.col("venues").cast(pl.Int64)).to_arrow())
    assert (file.exchange, file.period, file.rows) == (None, "all", 7)
    assert warehouse.read(table).num_rows == 7


def test_writing_the_same_twice_changes_nothing(warehouse, make_funding):
    warehouse.write(FUNDING, make_funding("2024-01-01", 5))
    before = (warehouse.root / layout.MANIFEST).read_bytes()
    warehouse.write(FUNDING, make_funding("2024-01-01", 5))
    assert (warehouse.root / layout.MANIFEST).read_bytes() == before
    for folder in (layout.TABLES, layout.KEYS):
        assert len(list((warehouse.root / folder).rglob("*.parquet"))) == 1


def test_a_reader_of_an_older_manifest_still_finds_its_files(warehouse, make_funding):
    warehouse.write(FUNDING, make_funding("2024-01-01", 5))
    older = warehouse.manifest
    warehouse.write(FUNDING, make_funding("2024-01-01", 9))
    assert pq.read_table(warehouse.root / older.files[0].path).num_rows == 5
    assert warehouse.read(FUNDING).num_rows == 9
    assert warehouse.sweep() == 0, "a young file must survive a sweep"
    assert warehouse.sweep(older_than_seconds=-1) == 2, "the file and its key digests"
    assert warehouse.read(FUNDING).num_rows == 9


def test_a_key_that_stands_twice_is_refused_and_nothing_changes(warehouse, make_funding):
    warehouse.write(FUNDING, make_funding("2024-01-01", 5))
    doubled = pa.concat_tables([make_funding("2024-01-01", 2), make_funding("2024-01-01", 1, rate=2e-4)])
    with pytest.raises(DuplicateKeyError, match="1 keys stand more than once"):
        warehouse.write(FUNDING, doubled)
    assert warehouse.read(FUNDING).num_rows == 5


def test_a_removed_period_leaves_the_dataset(warehouse, make_funding):
    warehouse.write(FUNDING, make_funding("2023-12-31", 6))
    warehouse.remove(FUNDING, "binance", "2023")
    assert [file.period for file in warehouse.manifest.files] == ["2024"]


def test_a_failed_write_leaves_no_temporary_and_says_where(warehouse, make_funding, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    warehouse.write(FUNDING, make_funding("2024-01-01", 5))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DatasetError, match="No space left on device"):
        warehouse.write(FUNDING, make_funding("2024-01-01", 9))
    assert warehouse.read(FUNDING).num_rows == 5
    assert not list(warehouse.root.rglob(f"{layout.TEMPORARY}*"))


def test_processes_that_write_at_once_lose_nothing(warehouse, make_funding, tmp_path):
    source = tmp_path / "rows.parquet"
    pq.write_table(make_funding("2024-01-01", 3).drop(["exchange"]), source)
    script = """
import sys, pyarrow as pa, pyarrow.parquet as pq
from cexkit.schema import TABLES
from cexkit.warehouse.store.warehouse import Warehouse
rows = pq.read_table(sys.argv[2])
for period in range(5):
    rows = rows.append_column("exchange", pa.array([sys.argv[3]] * rows.num_rows))
    Warehouse(sys.argv[1]).write(TABLES["funding_rates"], rows)
    rows = rows.drop(["exchange"])
"""
    venues = ["binance", "bybit", "okx", "coinbase"]
    workers = [
        subprocess.Popen([sys.executable, "-c", script, str(warehouse.root), str(source), venue]) for venue in venues
    ]
    assert [worker.wait(timeout=60) for worker in workers] == [0] * 4
    assert sorted(file.exchange for file in warehouse.manifest.files) == sorted(venues)


def test_temporaries_of_the_dead_go_and_those_of_the_living_stay(warehouse, make_funding):
    """A writer is told from a dead one by the lock it holds; neither its age nor its number says so."""
    warehouse.write(FUNDING, make_funding("2024-01-01", 3))
    script = """
import os, sys, time
from pathlib import Path
from cexkit.warehouse.store.parquet import write_atomic
folder = Path(sys.argv[1])
def write(temporary):
    temporary.write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(60)
write_atomic(folder / "deep" / "file", write, via=folder)
"""
    folder = warehouse.root / layout.BRONZE
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        assert [writer.stdout.readline() for writer in writers] == ["writing\n"] * 2
        writers[0].kill()
        writers[0].wait()
        assert warehouse.tidy() == 1
        assert len(list(folder.glob(f"{layout.TEMPORARY}*"))) == 1
        assert warehouse.tidy() == 0
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    with warehouse.exclusive(FUNDING, "binance"):
        assert not list(folder.glob(f"{layout.TEMPORARY}*"))


def test_temporaries_go_from_every_folder_that_is_written(warehouse):
    places = [layout.TABLES, layout.KEYS, layout.BRONZE, layout.QUARANTINE, layout.LEDGER, layout.CHECKS]
    for folder in [warehouse.root, *(warehouse.root / name for name in places)]:
        folder.mkdir()
        (folder / f"{layout.TEMPORARY}dead").touch()
    assert warehouse.tidy() == 1 + len(places)
    assert not list(warehouse.root.rglob(f"{layout.TEMPORARY}*"))


def test_who_rewrites_a_table_of_a_venue_is_alone(warehouse):
    with warehouse.exclusive(FUNDING, "binance"):
        script = """
import sys
from cexkit.schema import TABLES
from cexkit.warehouse.store.warehouse import Warehouse
with Warehouse(sys.argv[1]).exclusive(TABLES["funding_rates"], sys.argv[2]):
    pass
"""
        words = [sys.executable, "-c", script, str(warehouse.root)]
        assert subprocess.run([*words, "okx"], timeout=60).returncode == 0
        other = subprocess.Popen([*words, "binance"])
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(2)
    assert other.wait(60) == 0


def test_a_file_leaves_at_the_moment_it_is_replaced_and_not_by_its_age(warehouse, make_funding):
    (old,) = warehouse.write(FUNDING, make_funding("2024-01-01", 5))
    os.utime(warehouse.root / old.path, (0, 0))
    warehouse.write(FUNDING, make_funding("2024-01-01", 9))
    assert warehouse.sweep() == 0
    assert (warehouse.root / old.path).exists()


def test_row_groups_hold_whole_instruments(tmp_path, make_funding):
    from cexkit.warehouse.store.parquet import row_groups

    rows = pa.concat_tables([make_funding("2024-01-01", 20_000, symbol=name) for name in "ABCDE"])
    assert [group.num_rows for group in row_groups(rows, FUNDING)] == [40_000, 40_000, 20_000]
    minutes = TABLES["ohlcv_1m"]
    assert [group.num_rows for group in row_groups(rows, minutes)] == [20_000] * 5


def test_manifest_round_trip_and_pruning(warehouse, make_funding):
    warehouse.write(
        FUNDING, pa.concat_tables([make_funding("2022-12-31", 1200), make_funding("2024-05-01", 2, exchange="okx")])
    )
    manifest = read_manifest(warehouse.root / layout.MANIFEST)
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert [f.period for f in manifest.select("funding_rates", start=utc("2023-05-01"), end=utc("2023-06-01"))] == [
        "2023"
    ]
    assert [f.exchange for f in manifest.select("funding_rates", exchanges=["okx"])] == ["okx"]
    assert manifest.select("funding_rates", start=utc("2030-01-01")) == ()
    # half-open: a file whose first row is the end of the window is not touched
    assert [f.period for f in manifest.select("funding_rates", end=utc("2023-01-01"), exchanges=["binance"])] == [
        "2022"
    ]


def test_a_newer_schema_and_a_foreign_file_are_told_apart():
    with pytest.raises(NewerSchemaError, match="upgrade"):
        Manifest.from_json('{"schema_version": 999}')
    for text in ("", "[]", "{}", '{"schema_version": 1, "files": [{}], "updated_at": "x"}'):
        with pytest.raises(DatasetError, match="not a manifest"):
            Manifest.from_json(text)


@pytest.mark.parametrize("name", ["../up", "a/b", "a\0b", "", ".", "..", "x\n"])
def test_names_cannot_leave_their_folder(name):
    with pytest.raises(ValueError, match="not usable in a path"):
        layout.data_file(FUNDING, name, "2024", "abc")
    with pytest.raises(ValueError, match="not usable in a path"):
        layout.bronze_file("binance", name, utc("2024-01-01").date(), "run", 0)


def test_periods_of_a_window_are_half_open():
    assert layout.periods(FUNDING, Window.of("2023-06-01", "2024-01-01")) == ["2023"]
    assert layout.periods(FUNDING, Window.of("2023-06-01", "2024-01-01T00:00:00.000001")) == ["2023", "2024"]
