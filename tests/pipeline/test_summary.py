"""A run says what it did: one message a scheduled run, of the others only what is not right."""

from __future__ import annotations

import logging

import pytest

dg = pytest.importorskip("dagster", reason="needs the extra `pipeline`")

from cexkit_pipeline import alerts  # noqa: E402
from cexkit_pipeline.summary import summary  # noqa: E402

from cexkit.config import Settings  # noqa: E402

BY_SCHEDULE = {"dagster/schedule_name": "hourly_running_day", "dagster/partition": "2026-06-20"}
BY_CONDITION = {"dagster/from_automation_condition": "true"}


def _ran(instance, tags=None, *, quarantined: int = 0, passed: bool = True):
    """A run of two assets, one of them with a check."""

    @dg.asset(key=["bronze", "okx", "funding_rates"])
    def bronze():
        return dg.MaterializeResult(
            metadata={"responses": 1200, "rows": 0, "quarantined": 0, "problems": 0, "files": ["x"]}
        )

    @dg.asset(key=["silver", "okx", "funding_rates"], check_specs=[dg.AssetCheckSpec("gaps", asset=["silver", "okx", "funding_rates"])])  # fmt: skip  # noqa: E501
    def silver():
        yield dg.MaterializeResult(
            metadata={"responses": 0, "rows": 90, "quarantined": quarantined, "problems": 0},
            check_results=[dg.AssetCheckResult(passed=passed, severity=dg.AssetCheckSeverity.WARN)],
        )

    job = dg.Definitions(assets=[bronze, silver], jobs=[dg.define_asset_job("day")]).resolve_job_def("day")
    return job.execute_in_process(instance=instance, tags=tags)


def _told(monkeypatch, result, instance) -> list[tuple[bool, int, str]]:
    """What the sensor says of a run: to the webhook or not, level, text."""
    said = []
    monkeypatch.setattr(alerts, "settings", lambda: Settings(alert_webhook="http://127.0.0.1:9/x"))
    monkeypatch.setattr(alerts, "alert", lambda text, hook, level: said.append((hook is not None, level, text)))
    event = next(one for one in result.all_events if one.event_type == dg.DagsterEventType.RUN_SUCCESS)
    alerts.run_summaries(dg.build_run_status_sensor_context("run_summaries", event, instance, result.dagster_run))
    return said


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def test_counts_are_per_venue_and_table(instance):
    result = _ran(instance, BY_SCHEDULE, quarantined=2, passed=False)
    found = summary(instance, result.dagster_run)
    assert str(found).splitlines() == [
        f"run {result.run_id[:8]} of day, 2026-06-20: 1,200 responses, 90 rows, 2 quarantined",
        "bronze/okx/funding_rates: 1,200 responses",
        "silver/okx/funding_rates: 90 rows, 2 quarantined",
        "check failed: gaps of silver/okx/funding_rates",
    ]
    assert not found.fine


def test_a_scheduled_run_is_told_though_all_is_fine(instance, monkeypatch):
    ((hooked, level, text),) = _told(monkeypatch, _ran(instance, BY_SCHEDULE), instance)
    assert (hooked, level) == (True, logging.INFO)
    assert "of day, 2026-06-20: 1,200 responses, 90 rows" in text


@pytest.mark.parametrize("tags", [BY_CONDITION, None], ids=["follows", "manual"])
@pytest.mark.parametrize(("quarantined", "passed", "hooked"), [(0, True, False), (2, True, True), (0, False, True)])
def test_another_run_is_told_where_something_is_not_right(instance, monkeypatch, tags, quarantined, passed, hooked):
    result = _ran(instance, tags, quarantined=quarantined, passed=passed)
    ((told, level, _),) = _told(monkeypatch, result, instance)
    assert told is hooked
    assert level == (logging.WARNING if hooked else logging.INFO)


def test_problems_of_assets_are_told(instance, monkeypatch):
    @dg.asset(key=["bronze", "okx", "funding_rates"])
    def bronze():
        return dg.MaterializeResult(metadata={"problems": 1, "first_problems": ["okx funding_rates: HTTP 503"]})

    result = dg.materialize([bronze], instance=instance)
    ((hooked, _, text),) = _told(monkeypatch, result, instance)
    assert hooked
    assert text.endswith("problem: okx funding_rates: HTTP 503")
