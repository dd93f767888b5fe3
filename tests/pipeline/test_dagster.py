"""The Dagster assets do what the plain functions do, one partition at a time."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
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


@pytest.fixture
def environment(venue, tmp_path) -> dict[str, str]:
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    return os.environ | {
        "CEXKIT_WAREHOUSE": str(tmp_path / "warehouse"),
        "CEXKIT_BASE_URLS": json.dumps(dict(venue.settings.base_urls)),
        "DAGSTER_HOME": str(tmp_path),
    }


DAGSTER = str(Path(sys.executable).with_name("dagster"))


def test_the_commands_of_the_readme(environment, tmp_path, project_root):
    """`dagster` finds the definitions from the project's folder and materialises a partition."""
    where = ["-m", "cexkit_pipeline.definitions"]
    for words in (
        ["definitions", "validate"],
        ["asset", "materialize", "--select", "key:*/binance/instruments", *where],
        ["asset", "materialize", "--select", "key:bronze/binance/funding_rates", "--partition", DAY, *where],
        ["asset", "materialize", "--select", "key:silver/binance/funding_rates", "--partition", DAY[:4], *where],
    ):
        done = subprocess.run(
            [DAGSTER, *words], env=environment, cwd=project_root, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert cexkit.connect(tmp_path / "warehouse").funding_rates.count().execute() > 0


def test_dagster_dev_serves_the_asset_graph(environment, tmp_path, project_root):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [DAGSTER, "dev", "--host", "127.0.0.1", "--port", str(port)],
            env=environment, cwd=project_root, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        assert _assets(f"http://127.0.0.1:{port}/graphql", seconds=100) == {
            key.to_user_string() for key in build_defs().resolve_asset_graph().get_all_asset_keys()
        }
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=60)


def _assets(url: str, seconds: float) -> set[str]:
    """Asset keys the web server knows, as soon as it answers."""
    until = time.monotonic() + seconds
    while True:
        try:
            answer = httpx.post(url, json={"query": "{assetNodes {assetKey {path}}}"}, timeout=10).json()
            return {"/".join(node["assetKey"]["path"]) for node in answer["data"]["assetNodes"]}
        except httpx.TransportError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)
