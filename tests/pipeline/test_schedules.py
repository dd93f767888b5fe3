"""Schedules and automation start with the daemon where that is set, and wait to be started else."""

from __future__ import annotations

import pytest

dg = pytest.importorskip("dagster", reason="needs the extra `pipeline`")

from cexkit_pipeline.definitions import build_defs  # noqa: E402


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
