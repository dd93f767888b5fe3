"""When assets run: schedules for what is read from venues, conditions for what is made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import dagster as dg

from cexkit.exchanges.registry import EXCHANGES
from cexkit.exchanges.streams import STREAMS
from cexkit.warehouse.store.layout import SETTLED
from cexkit_pipeline.compaction import compaction

#: Silver and Gold follow their inputs, whichever partition changed. Without the rule that every input partition
#: must be there: a year's file is wanted long before its last day has been read.
WHEN_INPUTS_CHANGE = (
    dg.AutomationCondition.eager()
    .without(~dg.AutomationCondition.any_deps_missing())
    .without(dg.AutomationCondition.in_latest_time_window())
)

_BRONZE = dg.AssetSelection.key_prefixes("bronze")
_LISTINGS = dg.AssetSelection.groups("listings") & _BRONZE
#: How long ago a day began that nothing is corrected of any more.
_SETTLED_DAY = SETTLED + timedelta(days=1)
#: What venues forget before that.
_FORGOTTEN = dg.AssetSelection.assets(
    *(
        ["bronze", venue.name, table]
        for venue in EXCHANGES.values()
        for (table, _), source in venue.sources.items()
        if source.reach is not None and source.reach < _SETTLED_DAY
    )
)

listings = dg.define_asset_job("listings", _LISTINGS, description="What every venue lists at the moment.")
day = dg.define_asset_job("day", _BRONZE - _LISTINGS, description="Answers of every venue about one UTC day.")
settled = dg.define_asset_job(
    "settled", _BRONZE - _LISTINGS - _FORGOTTEN, description="A day once more, when venues no longer correct it."
)
stream_silver = dg.define_asset_job(
    "stream_silver",
    dg.AssetSelection.assets(*(["silver", name, "liquidations"] for name in STREAMS)),
    description="Parse liquidations received by the collector into rows.",
)


@dataclass(frozen=True, slots=True)
class ScheduleSpec:
    """A job at fixed times; ``partition`` says of which partition, from the time it was meant to run at."""

    name: str
    job: object
    cron: str
    meaning: str
    partition: Callable[[datetime], str | None] = lambda at: None

    def schedule(self, status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
        """As Dagster has it; a tick that is repeated starts nothing twice."""

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
    ScheduleSpec(
        "hourly_listings", listings, "5 * * * *", "Listings every hour: a delisting is seen while it is news."
    ),
    ScheduleSpec(
        "hourly_running_day",
        day,
        "10 1-23 * * *",
        "The running day so far; only what is new is asked for.",
        lambda at: f"{at:%Y-%m-%d}",
    ),
    ScheduleSpec(
        "daily_closed_day",
        day,
        "20 0 * * *",
        "The day that has just ended, whole.",
        lambda at: f"{at - timedelta(days=1):%Y-%m-%d}",
    ),
    ScheduleSpec(
        "daily_settled_day",
        settled,
        "40 0 * * *",
        "The day that ended two days ago, once more: what was corrected late, and what could not be read before.",
        lambda at: f"{at - _SETTLED_DAY:%Y-%m-%d}",
    ),
    # when what was corrected late has become Silver, and before the dataset is published
    ScheduleSpec("daily_compaction", compaction, "50 1 * * *", "Closed pieces of the running month are put together."),
    ScheduleSpec(
        "hourly_stream_silver",
        stream_silver,
        # the collector tells Dagster nothing, so its files are looked at
        "15 * * * *",
        "Parse messages received by the collector into rows.",
        # by the hour that has ended: the first tick of a year is about the last hour of the year before
        lambda at: f"{at - timedelta(hours=1):%Y}",
    ),
)


def schedules(*, running: bool) -> list[dg.ScheduleDefinition]:
    """All schedules, started with the daemon or waiting to be started by hand."""
    status = dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED
    return [spec.schedule(status) for spec in SCHEDULES]


def follower(*, running: bool) -> dg.AutomationConditionSensorDefinition:
    """What makes Silver, checks and Gold follow their inputs."""
    return dg.AutomationConditionSensorDefinition(
        "follow_inputs",
        target=dg.AssetSelection.all(),
        description="Starts Silver, its checks and Gold when what they are made of has changed.",
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
    )
