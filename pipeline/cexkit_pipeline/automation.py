"""Automation of assets: schedules for data read from venues, conditions for data derived from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import dagster as dg

from cexkit.exchanges.registry import EXCHANGES
from cexkit.exchanges.streams import STREAMS
from cexkit.warehouse.ingest.repeats import missing_days
from cexkit.warehouse.store.layout import SETTLED
from cexkit_pipeline.compaction import compaction
from cexkit_pipeline.partitions import FIRST_DAY

#: Silver and Gold run when any partition of their inputs changes. Missing input partitions do not block a run, because
#: a year's file is needed long before its last day has been read.
WHEN_INPUTS_CHANGE = (
    dg.AutomationCondition.eager()
    .without(~dg.AutomationCondition.any_deps_missing())
    .without(dg.AutomationCondition.in_latest_time_window())
)

_BRONZE = dg.AssetSelection.key_prefixes("bronze")
_LISTINGS = dg.AssetSelection.groups("listings") & _BRONZE
#: Age, from its start, at which venues no longer correct a day.
_SETTLED_DAY = SETTLED + timedelta(days=1)
#: Tables that venues retain for less than that.
_FORGOTTEN = dg.AssetSelection.assets(
    *(
        ["bronze", venue.name, table]
        for venue in EXCHANGES.values()
        for (table, _), source in venue.sources.items()
        if source.reach is not None and source.reach < _SETTLED_DAY
    )
)

listings = dg.define_asset_job("listings", _LISTINGS, description="Read the current listing of every venue.")
day = dg.define_asset_job("day", _BRONZE - _LISTINGS, description="Read every venue's data for one UTC day.")
settled = dg.define_asset_job(
    "settled", _BRONZE - _LISTINGS - _FORGOTTEN, description="Read a day again once venues no longer correct it."
)
stream_silver = dg.define_asset_job(
    "stream_silver",
    dg.AssetSelection.assets(*(["silver", name, "liquidations"] for name in STREAMS)),
    description="Parse liquidations received by the collector into rows.",
)


@dataclass(frozen=True, slots=True)
class ScheduleSpec:
    """A job at fixed times; ``partition`` maps the scheduled time to the partition to run."""

    name: str
    job: object
    cron: str
    meaning: str
    partition: Callable[[datetime], str | None] = lambda at: None

    def schedule(self, status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
        """Return the Dagster schedule; a repeated tick does not start a second run."""

        def request(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
            at = context.scheduled_execution_time
            return dg.RunRequest(run_key=f"{at:%Y-%m-%dT%H:%M}", partition_key=self.partition(at))

        return dg.ScheduleDefinition(
            name=self.name,
            job=self.job,
            cron_schedule=self.cron,
            execution_timezone="UTC",
            execution_fn=request,
            description=self.meaning,
            default_status=status,
        )


SCHEDULES = (
    ScheduleSpec("hourly_listings", listings, "5 * * * *", "Read listings every hour, to record delistings promptly."),
    ScheduleSpec(
        "hourly_running_day",
        day,
        "10 1-23 * * *",
        "Read the current day so far; only new data is requested.",
        lambda at: f"{at:%Y-%m-%d}",
    ),
    ScheduleSpec(
        "daily_closed_day",
        day,
        "20 0 * * *",
        "Read the whole day that has just ended.",
        lambda at: f"{at - timedelta(days=1):%Y-%m-%d}",
    ),
    ScheduleSpec(
        "daily_settled_day",
        settled,
        "40 0 * * *",
        "Read the day that ended two days ago again, for late corrections and data that could not be read before.",
        lambda at: f"{at - _SETTLED_DAY:%Y-%m-%d}",
    ),
    # Run after late corrections have reached Silver, and before the dataset is published.
    ScheduleSpec("daily_compaction", compaction, "50 1 * * *", "Merge the completed files of the current month."),
    ScheduleSpec(
        "hourly_stream_silver",
        stream_silver,
        # The collector does not notify Dagster, so this schedule reads its files.
        "15 * * * *",
        "Parse messages received by the collector into rows.",
        # Use the hour that has ended: the first tick of a year belongs to the last hour of the previous year.
        lambda at: f"{at - timedelta(hours=1):%Y}",
    ),
)


#: Most days with missing rows that one tick requests again.
MISSING_DAYS = 10


def missing_days_schedule(status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    """Return the schedule that requests missing rows again: one run per day with such rows, oldest first."""

    def requests(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        at = context.scheduled_execution_time
        found = missing_days(context.resources.store.open(), at)
        days = [(f"{moment:%Y-%m-%d}", names) for moment, names in found.items()]
        for partition, names in [day for day in days if day[0] >= FIRST_DAY][:MISSING_DAYS]:
            yield dg.RunRequest(
                run_key=f"{at:%Y-%m-%dT%H:%M} {partition}",
                partition_key=partition,
                asset_selection=[dg.AssetKey(["bronze", *name]) for name in names],
            )

    return dg.ScheduleDefinition(
        name="daily_missing_days",
        job=day,
        cron_schedule="20 1 * * *",
        execution_timezone="UTC",
        execution_fn=requests,
        required_resource_keys={"store"},
        description="Read days again on which a venue did not return rows that should exist.",
        default_status=status,
    )


def schedules(*, running: bool) -> list[dg.ScheduleDefinition]:
    """Return all schedules. ``running`` starts them with the daemon; otherwise they wait for a manual start."""
    status = dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED
    return [*(spec.schedule(status) for spec in SCHEDULES), missing_days_schedule(status)]


def follower(*, running: bool) -> dg.AutomationConditionSensorDefinition:
    """Return the sensor that runs Silver, checks, and Gold when their inputs change."""
    return dg.AutomationConditionSensorDefinition(
        "follow_inputs",
        target=dg.AssetSelection.all(),
        description="Run Silver, its checks, and Gold when their inputs have changed.",
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
    )
