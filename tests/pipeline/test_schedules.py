"""Schedules and automation start with the daemon where that is set, and wait to be started else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, utc
from cexkit.warehouse.store.inventory import Inventory
from cexkit.warehouse.store.inventory_entries import Key

dg = pytest.importorskip("dagster", reason="needs the extra `pipeline`")

from cexkit_pipeline.definitions import build_defs  # noqa: E402
from cexkit_pipeline.resources import Store  # noqa: E402


@pytest.mark.parametrize("running", [True, False])
def test_nothing_reads_venues_by_itself_unless_told_to(monkeypatch, running):
    monkeypatch.setenv("CEXKIT_PIPELINE_RUNNING", str(running).lower())
    defs = build_defs()
    # a publication waits until it is said where to
    reading = [schedule for schedule in defs.schedules if schedule.name != "daily_publication"]
    status = {schedule.default_status for schedule in reading}
    assert status == {dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED}
    follow = next(sensor for sensor in defs.sensors if sensor.name == "follow_inputs")
    assert follow.default_status == (dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED)


def test_alerts_are_always_on():
    told = {sensor.name: sensor.default_status for sensor in build_defs().sensors}
    for name in ("failed_runs", "stale_data", "run_summaries"):
        assert told[name] == dg.DefaultSensorStatus.RUNNING


def test_days_with_missing_rows_are_read_again_once_their_delay_has_passed(tmp_path):
    at, btc = utc("2026-06-20T01:20"), Key("perp", "BTCUSDT")
    for name, days in (("ohlcv_1h", ("2026-06-01", "2026-06-03")), ("mark_1h", ("2026-06-01",))):
        inventory = Inventory(tmp_path, "okx", TABLES[name])
        inventory.observe(btc, Window.of("2026-05-01", "2026-06-10"))
        for day in days:
            hole = Window(utc(day) + timedelta(hours=5), utc(day) + timedelta(hours=7))
            inventory.record(btc, hole, [hole], at=at - timedelta(hours=2))
        late = Window.of("2026-06-05", "2026-06-06")
        inventory.record(btc, late, [late], at=at)
        inventory.flush()
    store = Store(warehouse=str(tmp_path))
    defs = build_defs({"store": store})
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=at,
            repository_def=defs.get_repository_def(),
            resources={"store": store},
        )
        found = defs.resolve_schedule_def("daily_missing_days").evaluate_tick(context).run_requests
    assert [(one.partition_key, ["/".join(key.path) for key in one.asset_selection]) for one in found] == [
        ("2026-06-01", ["bronze/okx/mark_1h", "bronze/okx/ohlcv_1h"]),
        ("2026-06-03", ["bronze/okx/ohlcv_1h"]),
    ]
