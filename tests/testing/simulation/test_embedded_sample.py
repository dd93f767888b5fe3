"""The sample in the package is what the code makes."""

from __future__ import annotations

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from cexkit.schema import TABLES
from cexkit.testing.simulation import sample
from cexkit.warehouse.store.keys import keys_path
from cexkit.warehouse.store.locations import SAMPLE_ROOT
from cexkit.warehouse.store.warehouse import Warehouse


@pytest.fixture(scope="module")
def made() -> dict[str, pl.DataFrame]:
    return sample.frames()


def test_it_is_labelled_simulated():
    manifest = Warehouse(SAMPLE_ROOT).manifest
    assert manifest.simulated
    assert manifest.description == sample.description()


def test_it_is_small():
    assert sum(path.stat().st_size for path in SAMPLE_ROOT.rglob("*") if path.is_file()) <= 5_000_000


def test_it_holds_nothing_but_what_the_manifest_names():
    named = Warehouse(SAMPLE_ROOT).manifest.files
    files = {path for file in named for path in (file.path, keys_path(file)) if path} | {"manifest.json"}
    assert {path.relative_to(SAMPLE_ROOT).as_posix() for path in SAMPLE_ROOT.rglob("*") if path.is_file()} == files


def test_it_has_every_table(made):
    assert set(made) == set(TABLES)
    assert {file.table for file in Warehouse(SAMPLE_ROOT).manifest.files} == set(TABLES)


@pytest.mark.parametrize("name", list(TABLES))
def test_it_has_not_drifted(made, name):
    stored = pl.from_arrow(Warehouse(SAMPLE_ROOT).read(TABLES[name])).sort(TABLES[name].key)
    assert_frame_equal(stored, made[name], rel_tol=1e-12, abs_tol=1e-15)


def test_windows_are_kept(made):
    for name, window in sample.WINDOWS.items():
        assert window.start <= made[name]["timestamp"].min() < made[name]["timestamp"].max() < window.end


def test_checks_find_nothing(made):
    quality = made["data_quality"]
    assert quality["rows_failed"].sum() == 0
    assert (
        quality.filter(table_name="ohlcv_1m", check_name="ohlc_order")["rows_checked"].sum() == made["ohlcv_1m"].height
    )


def test_made_and_written_twice_it_is_the_same_files(made, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sample, "frames", lambda: made)
        first = sample.write(tmp_path)
    files = {file.path for file in Warehouse(tmp_path).manifest.files}
    assert sample.write(tmp_path) == first
    assert {file.path for file in Warehouse(tmp_path).manifest.files} == files
