"""The Dagster assets do what the plain functions do, one partition at a time."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import polars as pl
import pytest

import cexkit
from cexkit.exchanges import EXCHANGES
from cexkit.exchanges.streams import STREAMS
from cexkit.quality import checks_of
from cexkit.schema import TABLES
from cexkit.simulation import simulate
from cexkit.store.warehouse import Warehouse
from cexkit.testing import LoopbackBinance, LoopbackStream

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


def test_there_is_a_bronze_and_a_silver_asset_for_all_that_is_read_and_one_for_each_gold_table():
    keys = {key.to_user_string() for key in build_defs().resolve_asset_graph().get_all_asset_keys()}
    read = {
        f"{layer}/{name}/{table}"
        for layer in ("bronze", "silver")
        for name, venue in EXCHANGES.items()
        for table, _ in venue.sources
    }
    read |= {f"{layer}/{name}/liquidations" for layer in ("bronze", "silver") for name in STREAMS}
    gold = {f"gold/{table.name}" for table in TABLES.values() if table.layer == "gold"}
    assert keys == read | gold | {"publication"}


def test_every_silver_asset_has_all_checks_of_its_table():
    checks = {(key.asset_key.path[-1], key.name) for key in build_defs().resolve_asset_graph().asset_check_keys}
    read = {table for venue in EXCHANGES.values() for table, _ in venue.sources}
    assert checks == {(table, check) for table in read for check in checks_of(TABLES[table])}


def test_silver_and_gold_follow_what_changed_though_most_days_are_missing():
    defs = build_defs()
    with dg.DagsterInstance.ephemeral() as instance:
        nothing = dg.evaluate_automation_conditions(defs, instance)
        assert nothing.total_requested == 0
        instance.report_runless_asset_event(
            dg.AssetMaterialization(["bronze", "okx", "liquidations"], partition="2024-03-05")
        )
        silver = dg.AssetKey(["silver", "okx", "liquidations"])
        found = dg.evaluate_automation_conditions(defs, instance, cursor=nothing.cursor)
        assert found.get_requested_partitions(silver) == {"2024"}
        assert found.get_num_requested(dg.AssetKey(["silver", "binance", "liquidations"])) == 0
        instance.report_runless_asset_event(dg.AssetMaterialization(silver, partition="2024"))
        found = dg.evaluate_automation_conditions(defs, instance, cursor=found.cursor)
        assert found.get_num_requested(dg.AssetKey(["gold", "liquidations_1d"])) == 1
        assert found.get_num_requested(dg.AssetKey(["gold", "ohlcv_1d_composite"])) == 0


@pytest.mark.parametrize(
    ("schedule", "at", "partition"),
    [
        ("hourly_running_day", "2026-06-20T13:10", "2026-06-20"),
        ("daily_closed_day", "2026-06-20T00:20", "2026-06-19"),
        ("hourly_listings", "2026-06-20T13:05", None),
        ("hourly_heard", "2026-06-20T13:15", "2026"),
    ],
)
def test_schedules_ask_for_the_running_and_the_closed_day(schedule, at, partition):
    defs = build_defs()
    when = datetime.fromisoformat(at).replace(tzinfo=UTC)
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(
            instance=instance, scheduled_execution_time=when, repository_def=defs.get_repository_def()
        )
        found = defs.resolve_schedule_def(schedule).evaluate_tick(context)
    (request,) = found.run_requests
    assert request.partition_key == partition


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


def test_the_collector_runs_as_a_job_and_its_messages_become_rows(tmp_path):
    truth = simulate(start="2026-05-19", end="2026-05-21", coins=["BTC"], exchanges=["binance"]).tables
    frames = {"instruments": truth["instruments"]}
    with (
        LoopbackBinance(frames, now="2026-05-21") as venue,
        LoopbackStream("binance", truth["liquidations"], truth["instruments"]) as stream,
    ):
        urls = dict(venue.settings.base_urls) | {"binance.stream": stream.url}
        defs = build_defs({"store": Store(warehouse=str(tmp_path)), "venues": Venues(base_urls=urls)})
        config = {"ops": {"listen": {"config": {"exchanges": ["binance"], "seconds": 3}}}}
        assert defs.resolve_job_def("collect_liquidations").execute_in_process(run_config=config).success
    assert _materialize(defs, ["silver", "binance", "liquidations"], "2026").success
    assert cexkit.connect(tmp_path).liquidations.count().execute() == truth["liquidations"].height > 0


def test_checks_of_a_silver_table_run_as_dagster_checks(venue, truth, tmp_path):
    warehouse = Warehouse(tmp_path)
    for name in ("instruments", "ohlcv_1h"):
        warehouse.write(TABLES[name], truth[name].to_arrow())
    apart = truth["ohlcv_1h"].head(2).with_columns(reason=pl.lit("ohlc_order"))
    warehouse.write_rejects(TABLES["ohlcv_1h"], "binance", "2026", apart.to_arrow())
    defs = build_defs({"store": Store(warehouse=str(tmp_path))})
    job = dg.define_asset_job(
        "checks", dg.AssetSelection.checks_for_assets(dg.AssetKey(["silver", "binance", "ohlcv_1h"]))
    )
    done = dg.Definitions.merge(defs, dg.Definitions(jobs=[job])).resolve_job_def("checks").execute_in_process()
    found = {result.check_name: result for result in done.get_asset_check_evaluations()}
    assert set(found) == set(checks_of(TABLES["ohlcv_1h"]))
    assert {name for name, result in found.items() if not result.passed} == {"fresh", "kept_apart"}
    assert found["kept_apart"].severity == dg.AssetCheckSeverity.WARN
    assert found["kept_apart"].metadata["rows_failed"].value == 2


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
            [DAGSTER, *words], env=environment, cwd=project_root, capture_output=True, text=True, timeout=300
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
        assert _assets(f"http://127.0.0.1:{port}/graphql", seconds=240) == {
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
