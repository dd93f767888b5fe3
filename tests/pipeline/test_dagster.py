"""The Dagster assets do what the plain functions do, one partition at a time."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import polars as pl
import pytest

import cexkit
from cexkit.exchanges.registry import EXCHANGES
from cexkit.exchanges.streams import STREAMS
from cexkit.schema import TABLES
from cexkit.testing import LoopbackBinance, LoopbackStream
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.quality import checks_of
from cexkit.warehouse.store.layout import SETTLED
from cexkit.warehouse.store.warehouse import Warehouse

dg = pytest.importorskip("dagster", reason="needs the extra `pipeline`")

from cexkit_pipeline.automation import SCHEDULES  # noqa: E402
from cexkit_pipeline.collector import Listening, listen  # noqa: E402
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


@pytest.fixture(scope="module")
def defs():
    return build_defs()


def _materialize(defs, key: list[str], partition: str | None = None):
    asset = defs.resolve_assets_def(dg.AssetKey(key))
    return dg.materialize([asset], partition_key=partition)


def simulated(urls) -> Venues:
    """Venues at these addresses, whose clocks are not compared with this machine's."""
    return Venues(base_urls=dict(urls), max_clock_skew_seconds=None)


def test_there_is_a_bronze_and_a_silver_asset_for_all_that_is_read_and_one_for_each_gold_table(defs):
    keys = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}
    read = {
        f"{layer}/{name}/{table}"
        for layer in ("bronze", "silver")
        for name, venue in EXCHANGES.items()
        for table, _ in venue.sources
    }
    read |= {f"{layer}/{name}/liquidations" for layer in ("bronze", "silver") for name in STREAMS}
    read |= {f"silver/{name}/instrument_periods" for name in EXCHANGES}
    gold = {f"gold/{table.name}" for table in TABLES.values() if table.layer == "gold"}
    assert keys == read | gold | {"publication"}


def test_every_silver_asset_has_all_checks_of_its_table(defs):
    checks = {(key.asset_key.path[-1], key.name) for key in defs.resolve_asset_graph().asset_check_keys}
    read = {table for venue in EXCHANGES.values() for table, _ in venue.sources} | {"instrument_periods"}
    assert checks == {(table, check) for table in read for check in checks_of(TABLES[table])}


def test_silver_instruments_also_materialize_their_periods(venue, tmp_path):
    defs = build_defs(
        {
            "store": Store(warehouse=str(tmp_path)),
            "venues": Venues(base_urls=dict(venue.settings.base_urls)),
        }
    )
    assert _materialize(defs, ["bronze", "binance", "instruments"]).success
    done = _materialize(defs, ["silver", "binance", "instruments"])
    reported = {event.asset_key.path[-1] for event in done.get_asset_materialization_events()}
    assert reported == {"instruments", "instrument_periods"}
    assert cexkit.connect(tmp_path).instrument_periods.count().execute() > 0


def test_silver_and_gold_follow_what_changed_though_most_days_are_missing(defs):
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
        ("daily_closed_day", "2026-01-01T00:20", "2025-12-31"),
        ("daily_settled_day", "2026-06-20T00:40", "2026-06-17"),
        ("hourly_stream_silver", "2026-06-20T13:15", "2026"),
        # what was heard in the last hour of a year
        ("hourly_stream_silver", "2026-01-01T00:15", "2025"),
        ("hourly_stream_silver", "2026-01-01T01:15", "2026"),
    ],
)
def test_schedules_ask_for_the_running_the_closed_and_the_settled_day(defs, schedule, at, partition):
    when = datetime.fromisoformat(at).replace(tzinfo=UTC)
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(
            instance=instance, scheduled_execution_time=when, repository_def=defs.get_repository_def()
        )
        found = defs.resolve_schedule_def(schedule).evaluate_tick(context)
    (request,) = found.run_requests
    assert request.partition_key == partition


def test_a_day_is_read_once_more_when_nothing_of_it_is_corrected_any_more_but_what_is_forgotten_by_then(defs):
    schedule = next(one for one in SCHEDULES if one.name == "daily_settled_day")
    at = datetime(2026, 6, 20, 0, 40, tzinfo=UTC)
    over = datetime.fromisoformat(schedule.partition(at)).replace(tzinfo=UTC) + timedelta(days=1)
    assert timedelta() <= (at - over) - SETTLED < timedelta(days=1)
    day, settled = (defs.resolve_job_def(name).asset_layer.executable_asset_keys for name in ("day", "settled"))
    assert day - settled == {dg.AssetKey(["bronze", "okx", "liquidations"])}
    assert settled < day


def test_one_day_through_bronze_and_silver(venue, truth, tmp_path):
    defs = build_defs({"store": Store(warehouse=str(tmp_path)), "venues": simulated(venue.settings.base_urls)})
    for key, partition in [
        (["bronze", "binance", "instruments"], None),
        (["silver", "binance", "instruments"], None),
        (["bronze", "binance", "funding_rates"], DAY),
        (["silver", "binance", "funding_rates"], DAY[:4]),
    ]:
        done = _materialize(defs, key, partition)
        assert done.success
    rows = cexkit.connect(tmp_path).funding_rates.to_polars()
    expected = truth["funding_rates"].filter(pl.col("timestamp").dt.date() == pl.lit(DAY).str.to_date())
    columns = ["symbol", "timestamp", "funding_rate"]
    assert rows.select(columns).sort(columns).equals(expected.select(columns).sort(columns))
    assert rows.height > 0
    shown = done.get_asset_materialization_events()[-1].step_materialization_data.materialization.metadata
    files = Warehouse(tmp_path).manifest.select("funding_rates")
    assert shown["dagster/row_count"].value == rows.height
    assert shown["bytes"].value == sum(file.bytes for file in files)
    assert shown["first_time"].value == rows["timestamp"].min().timestamp()
    assert shown["last_time"].value == rows["timestamp"].max().timestamp()


def test_the_collector_runs_as_a_job_and_its_messages_become_rows(tmp_path):
    truth = simulate(start="2026-05-19", end="2026-05-21", coins=["BTC"], exchanges=["binance"]).tables
    frames = {"instruments": truth["instruments"]}
    with (
        LoopbackBinance(frames, now="2026-05-21") as venue,
        LoopbackStream("binance", truth["liquidations"], truth["instruments"]) as stream,
    ):
        urls = dict(venue.settings.base_urls) | {"binance.stream": stream.url}
        defs = build_defs({"store": Store(warehouse=str(tmp_path)), "venues": simulated(urls)})
        config = {"ops": {"listen": {"config": {"exchanges": ["binance"], "seconds": 3}}}}
        assert defs.resolve_job_def("collect_liquidations").execute_in_process(run_config=config).success
    assert _materialize(defs, ["silver", "binance", "liquidations"], "2026").success
    assert cexkit.connect(tmp_path).liquidations.count().execute() == truth["liquidations"].height > 0


def test_a_run_that_is_ended_ends_the_collector_which_loses_nothing_and_has_its_last_word(tmp_path, monkeypatch):
    truth = simulate(start="2026-05-19", end="2026-05-21", coins=["BTC"], exchanges=["binance"]).tables

    class Ended(subprocess.Popen):
        """Its process is waited for until all is told; then the run is ended."""

        def communicate(self, *rest, **more):
            if not stream.sent_all.is_set():
                assert stream.sent_all.wait(60)
                time.sleep(0.5)
                raise KeyboardInterrupt
            return super().communicate(*rest, **more)

    said = []
    monkeypatch.setattr(subprocess, "Popen", Ended)
    with (
        dg.build_op_context() as context,
        LoopbackBinance({"instruments": truth["instruments"]}, now="2026-05-21") as venue,
        LoopbackStream("binance", truth["liquidations"], truth["instruments"]) as stream,
    ):
        monkeypatch.setattr(context.log, "info", said.append)
        venues = simulated(dict(venue.settings.base_urls) | {"binance.stream": stream.url})
        with pytest.raises(KeyboardInterrupt):
            listen(context, Listening(exchanges=["binance"]), Store(warehouse=str(tmp_path)), venues)
        assert f"{stream.messages} messages" in said[0]
    build_silver(Warehouse(tmp_path), "binance", TABLES["liquidations"])
    assert cexkit.connect(tmp_path).liquidations.count().execute() == truth["liquidations"].height


def test_checks_of_a_silver_table_run_as_dagster_checks(venue, truth, tmp_path):
    warehouse = Warehouse(tmp_path)
    for name in ("instruments", "ohlcv_1h"):
        warehouse.write(TABLES[name], truth[name].to_arrow())
    apart = truth["ohlcv_1h"].head(2).with_columns(reason=pl.lit("ohlc_order"))
    warehouse.write_quarantine(TABLES["ohlcv_1h"], "binance", "2026", apart.to_arrow())
    defs = build_defs({"store": Store(warehouse=str(tmp_path))})
    job = dg.define_asset_job(
        "checks", dg.AssetSelection.checks_for_assets(dg.AssetKey(["silver", "binance", "ohlcv_1h"]))
    )
    done = dg.Definitions.merge(defs, dg.Definitions(jobs=[job])).resolve_job_def("checks").execute_in_process()
    found = {result.check_name: result for result in done.get_asset_check_evaluations()}
    assert set(found) == set(checks_of(TABLES["ohlcv_1h"]))
    assert {name for name, result in found.items() if not result.passed} == {"fresh", "quarantined_rows"}
    assert found["quarantined_rows"].severity == dg.AssetCheckSeverity.WARN
    assert found["quarantined_rows"].metadata["rows_failed"].value == 2


def test_assets_state_their_columns(defs):
    metadata = defs.resolve_asset_graph().get(dg.AssetKey(["silver", "binance", "funding_rates"])).metadata
    columns = {column.name: column for column in metadata["dagster/column_schema"].columns}
    assert list(columns) == list(TABLES["funding_rates"].columns)
    assert columns["funding_interval_hours"].description.endswith("Unit: hours.")
    assert not columns["symbol"].constraints.nullable


def test_blocking_checks_are_blocking_and_every_check_says_what_it_requires(defs):
    specs = [spec for checks in defs.asset_checks for spec in checks.check_specs]
    assert specs
    assert {spec.name for spec in specs if spec.blocking} >= {"unique_key", "bronze_files", "ohlc_order"}
    assert not {spec.name for spec in specs if spec.blocking} & {"fresh", "gaps", "outlier", "quarantined_rows"}
    assert all(spec.description.startswith("Requires that ") and len(spec.description) > 30 for spec in specs)


@pytest.fixture
def environment(venue, tmp_path) -> dict[str, str]:
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    return os.environ | {
        "CEXKIT_WAREHOUSE": str(tmp_path / "warehouse"),
        "CEXKIT_BASE_URLS": json.dumps(dict(venue.settings.base_urls)),
        "CEXKIT_MAX_CLOCK_SKEW_SECONDS": "none",
        "DAGSTER_HOME": str(tmp_path),
    }


DAGSTER = str(Path(sys.executable).with_name("dagster"))


def test_the_guides_commands_fill_a_warehouse(environment, venue, tmp_path, project_root):
    """Those that bring years in, for days that the venue here has; listings are there before, as the guide says."""
    resources = {
        "store": Store(warehouse=environment["CEXKIT_WAREHOUSE"]),
        "venues": simulated(venue.settings.base_urls),
    }
    for layer in ("bronze", "silver"):
        assert _materialize(build_defs(resources), [layer, "binance", "instruments"]).success
    guide = (project_root / "docs/how-to/run-the-pipeline.md").read_text(encoding="utf-8")
    commands = re.findall(r"^dagster (asset materialize .* --partition-range) (\S+)$", guide, flags=re.MULTILINE)
    assert [span for _, span in commands] == ["2023-01-01...2024-12-31", "2023...2024"]
    for (words, _), span in zip(commands, ["2026-06-19...2026-06-20", "2025...2026"], strict=True):
        done = subprocess.run(
            [DAGSTER, *words.split(), span], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    rows = cexkit.connect(environment["CEXKIT_WAREHOUSE"]).funding_rates.to_polars()
    assert set(rows["timestamp"].dt.date().cast(str)) == {"2026-06-19", "2026-06-20"}


def test_dagster_dev_finds_the_definitions_in_the_projects_folder_and_serves_the_asset_graph(
    environment, defs, tmp_path, project_root
):
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
            key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()
        }
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=60)


def _assets(url: str, seconds: float) -> set[str]:
    """Asset keys the web server knows, as soon as it answers."""
    until = time.monotonic() + seconds
    while True:
        try:
            response = httpx.post(url, json={"query": "{assetNodes {assetKey {path}}}"}, timeout=10).json()
            return {"/".join(node["assetKey"]["path"]) for node in response["data"]["assetNodes"]}
        except httpx.TransportError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


def test_gold_table_whose_input_has_no_rows_yet_says_so_and_succeeds(tmp_path):
    store = Store(warehouse=str(tmp_path))
    done = _materialize(build_defs({"store": store}), ["gold", "liquidations_1d"])
    (event,) = done.get_asset_materialization_events()
    metadata = event.materialization.metadata
    assert metadata["rows"].value == 0
    assert "nothing to build yet: liquidations_1d requires liquidations" in metadata["note"].value
