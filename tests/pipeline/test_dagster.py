"""The Dagster assets do what the plain functions do, one partition at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import cexkit
from cexkit.exchanges import EXCHANGES
from cexkit.simulation import simulate
from cexkit.testing import LoopbackBinance

dg = pytest.importorskip("dagster", reason="needs the extra `pipeline`")

from cexkit_pipeline.definitions import build_defs  # noqa: E402
from cexkit_pipeline.resources import Store, Venues  # noqa: E402

DAY = "2026-06-20"


@pytest.fixture(scope="module")
def truth():
    return simulate(start="2026-06-15", end="2026-06-25", coins=["BTC", "ETH"], exchanges=["binance"]).tables


@pytest.fixture(scope="module")
def venue(truth):
    frames = {name: truth[name] for name in ("instruments", "funding_rates", "ohlcv_1h", "ohlcv_1d")}
    with LoopbackBinance(frames, now="2026-06-25") as loopback:
        yield loopback


def _materialize(defs, key: list[str], partition: str | None = None):
    asset = defs.resolve_assets_def(dg.AssetKey(key))
    return dg.materialize([asset], partition_key=partition)


def test_there_is_a_bronze_and_a_silver_asset_for_all_that_is_read():
    keys = {
        key.path[0] + "/" + "/".join(key.path[1:]) for key in build_defs().resolve_asset_graph().get_all_asset_keys()
    }
    expected = {
        f"{layer}/{name}/{table}"
        for layer in ("bronze", "silver")
        for name, venue in EXCHANGES.items()
        for table, _ in venue.sources
    }
    assert keys == expected


def test_one_day_through_bronze_and_silver(venue, truth, tmp_path):
    defs = build_defs(
        {"store": Store(warehouse=str(tmp_path)), "venues": Venues(base_urls=dict(venue.settings.base_urls))}
    )
    for key, partition in [
        (["bronze", "binance", "instruments"], None),
        (["silver", "binance", "instruments"], None),
        (["bronze", "binance", "funding_rates"], DAY),
        (["silver", "binance", "funding_rates"], DAY[:4]),
    ]:
        assert _materialize(defs, key, partition).success
    rows = cexkit.connect(tmp_path).funding_rates.to_polars()
    expected = truth["funding_rates"].filter(pl.col("timestamp").dt.date() == pl.lit(DAY).str.to_date())
    columns = ["symbol", "timestamp", "funding_rate"]
    assert rows.select(columns).sort(columns).equals(expected.select(columns).sort(columns))
    assert rows.height > 0


def test_the_commands_of_the_readme(venue, tmp_path, project_root):
    """`dagster` finds the definitions from the project's folder and materialises a partition."""
    environment = os.environ | {
        "CEXKIT_WAREHOUSE": str(tmp_path / "warehouse"),
        "CEXKIT_BASE_URLS": json.dumps(dict(venue.settings.base_urls)),
        "DAGSTER_HOME": str(tmp_path),
    }
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    dagster = str(Path(sys.executable).with_name("dagster"))
    where = ["-m", "cexkit_pipeline.definitions"]
    for words in (
        ["definitions", "validate"],
        ["asset", "materialize", "--select", "key:*/binance/instruments", *where],
        ["asset", "materialize", "--select", "key:bronze/binance/ohlcv_1d", "--partition", DAY, *where],
        ["asset", "materialize", "--select", "key:silver/binance/ohlcv_1d", "--partition", DAY[:4], *where],
    ):
        done = subprocess.run(
            [dagster, *words], env=environment, cwd=project_root, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert cexkit.connect(tmp_path / "warehouse").ohlcv_1d.count().execute() > 0
