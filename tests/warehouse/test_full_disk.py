"""A disk that is full and a folder that is read-only: said clearly, nothing lost, and the next run goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest

from cexkit.errors import DatasetError
from cexkit.exchanges.fetcher import Fetcher
from cexkit.schema import TABLES
from cexkit.schema.intervals import utc
from cexkit.testing import LoopbackBinance
from cexkit.testing.simulation import simulate
from cexkit.warehouse.gold.build import build_gold
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.publish import publish
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.compact import compact
from cexkit.warehouse.store.warehouse import Warehouse

from ..problems import failures

START, MIDDLE, END = "2026-06-01", "2026-06-09", "2026-06-10"
NAMES = ("ohlcv_1m", "ohlcv_1h", "ohlcv_1d")


@contextmanager
def mounted(folder: Path, *words: str) -> Iterator[None]:
    """A file system on a folder, where this machine lets us."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *words, str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"needs the right to mount: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(autouse=True)
def _linux():
    if not Path("/proc/mounts").exists() or os.geteuid() != 0:
        pytest.skip("needs Linux and the right to mount")


@pytest.fixture(scope="module")
def truth():
    tables = simulate(start=START, end=END, coins=["BTC"], exchanges=["binance"]).tables
    minutes = tables["ohlcv_1m"].filter(pl.col("timestamp").dt.minute() % 20 == 0)
    return {name: tables[name] for name in ("instruments", *NAMES)} | {"ohlcv_1m": minutes}


@pytest.fixture(scope="module")
def venue(truth) -> Iterator[LoopbackBinance]:
    with LoopbackBinance(truth, now=f"{END}T00:00:05") as venue:
        yield venue


def refresh(venue: LoopbackBinance, root: Path, end: str = END) -> None:
    """A day's work: responses, rows, weeks put together, Gold, a copy for readers beside it."""
    with Fetcher(venue.settings) as fetcher:
        report = pull("binance", NAMES, None, START, end, warehouse=root, fetcher=fetcher, now=utc(end))
    assert not failures(report)
    warehouse = Warehouse(root)
    compact(warehouse, now=utc("2026-06-17"))
    build_gold(warehouse, "ohlcv_1d_composite")
    publish(root, root.parent / "copy")


def held(root: Path) -> dict[str, pl.DataFrame]:
    return {name: pl.from_arrow(Warehouse(root).read(TABLES[name])).sort(TABLES[name].key) for name in NAMES}


def nothing_temporary(folder: Path) -> bool:
    return not [path for path in folder.rglob("*") if path.name.startswith(layout.TEMPORARY)]


def fill(folder: Path, leave: int) -> Callable[[], None]:
    """Use up the disk but for so many bytes; what is returned frees it."""
    filler = folder / "filler"
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    filler.write_bytes(b"\0" * max(free - leave, 0))
    return filler.unlink


def test_a_full_disk_at_any_step_loses_nothing_and_the_next_run_goes_on(venue, truth, tmp_path):
    disk = tmp_path / "disk"
    with mounted(disk, "-t", "tmpfs", "-o", "size=8m", "tmpfs"):
        root, errors = disk / "warehouse", []
        refresh(venue, root, MIDDLE)
        for leave in (0, 2, 4, 8, 16, 24, 32, 48, 96):
            before, free = held(root), fill(disk, leave << 10)
            try:
                refresh(venue, root)
            except DatasetError as error:
                errors.append(str(error))
            assert nothing_temporary(disk)
            after = held(root)
            assert all(after[name].equals(before[name]) or after[name].height > before[name].height for name in NAMES)
            assert Warehouse(disk / "copy").read(TABLES["ohlcv_1h"]).num_rows in {rows.height for rows in (
                before["ohlcv_1h"], after["ohlcv_1h"])}  # fmt: skip
            free()
        assert all("No space left on device" in error and str(disk) in error for error in errors)
        places = {error.partition(":")[0] for error in errors}
        assert len(places) > 3, "the disk must have been full at several steps"
        refresh(venue, root)
        found = held(root)
        for name in NAMES:
            expected = truth[name].sort(TABLES[name].key)
            assert found[name].select("timestamp", "close").equals(expected.select("timestamp", "close")), name


def test_a_read_only_folder_is_named_and_can_be_read(venue, tmp_path):
    root = tmp_path / "disk" / "warehouse"
    root.parent.mkdir()
    refresh(venue, root, MIDDLE)
    before = held(root)
    with mounted(root.parent, "--bind", str(root.parent)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(root.parent)], check=True)
        warehouse, rows = Warehouse(root), before["ohlcv_1h"].to_arrow()
        for work in (
            lambda: refresh(venue, root),
            lambda: warehouse.write(TABLES["ohlcv_1h"], rows),
            lambda: warehouse.remove(TABLES["ohlcv_1h"], "binance", "2026"),
            lambda: warehouse.write_quarantine(
                TABLES["ohlcv_1h"], "binance", "2026", before["ohlcv_1h"].with_columns(reason=pl.lit("x")).to_arrow()
            ),
            lambda: build_gold(warehouse, "ohlcv_1d_composite"),
            lambda: compact(warehouse, now=utc("2026-07-10")),
            lambda: publish(root, root.parent / "another"),
        ):
            with pytest.raises(DatasetError, match="Read-only file system") as caught:
                work()
            assert str(root.parent) in str(caught.value)
        assert all(held(root)[name].equals(before[name]) for name in NAMES)
    refresh(venue, root)
    assert held(root)["ohlcv_1h"].height > before["ohlcv_1h"].height
    assert nothing_temporary(root.parent)
