"""Compaction as a job: closed days become weeks, and no row changes."""

from __future__ import annotations

import pytest

from cexkit.schema import TABLES
from cexkit.testing.simulation import simulate
from cexkit.warehouse.store.warehouse import Warehouse

dg = pytest.importorskip("dagster", reason="needs the extra `pipeline`")

from cexkit_pipeline.definitions import build_defs  # noqa: E402
from cexkit_pipeline.resources import Store  # noqa: E402

TABLE = TABLES["ohlcv_1m"]


def test_the_job_puts_closed_pieces_together_and_changes_no_row(tmp_path):
    # two days of a month that is closed, as they were written while it was running
    rows = simulate(start="2026-05-10", end="2026-05-12", coins=["BTC"], exchanges=["okx"]).tables["ohlcv_1m"]
    warehouse = Warehouse(tmp_path)
    warehouse.replace(TABLE, "okx", ["2026-05-10", "2026-05-11"], rows.to_arrow())
    before = warehouse.manifest.select("ohlcv_1m")
    assert len(before) == 2
    job = build_defs({"store": Store(warehouse=str(tmp_path))}).resolve_job_def("compaction")
    assert job.execute_in_process().success
    (after,) = warehouse.manifest.select("ohlcv_1m")
    assert after.period == "2026-05"
    assert after.rows == rows.height
    assert job.execute_in_process().success
    assert warehouse.manifest.select("ohlcv_1m") == (after,)


def test_a_table_by_months_is_made_day_by_day_in_dagster():
    defs = build_defs()
    found = {
        name: defs.resolve_assets_def(dg.AssetKey(["silver", "okx", name])).partitions_def
        for name in ("ohlcv_1m", "ohlcv_1h")
    }
    assert found["ohlcv_1m"].fmt == "%Y-%m-%d"
    assert found["ohlcv_1h"].fmt == "%Y"
