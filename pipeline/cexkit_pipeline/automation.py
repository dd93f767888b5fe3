"""When assets run: schedules for what is read from venues, conditions for what is made of it."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg

from cexkit.exchanges.streams import STREAMS

#: Silver and Gold follow their inputs, whichever partition changed. Without the rule that every input partition
#: must be there: a year's file is wanted long before its last day has been read.
WHEN_INPUTS_CHANGE = (
    dg.AutomationCondition.eager()
    .without(~dg.AutomationCondition.any_deps_missing())
    .without(dg.AutomationCondition.in_latest_time_window())
)

_LISTINGS = dg.AssetSelection.groups("listings") & dg.AssetSelection.key_prefixes("bronze")
_FACTS = dg.AssetSelection.key_prefixes("bronze") - _LISTINGS

listings = dg.define_asset_job("listings", _LISTINGS, description="What every venue lists at the moment.")
day = dg.define_asset_job("day", _FACTS, description="Answers of every venue about one UTC day.")


@dg.schedule(job=listings, cron_schedule="5 * * * *", execution_timezone="UTC")
def hourly_listings(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Listings every hour: a delisting is seen while it is news."""
    return dg.RunRequest(run_key=f"{context.scheduled_execution_time:%Y-%m-%dT%H}")


@dg.schedule(job=day, cron_schedule="10 1-23 * * *", execution_timezone="UTC")
def hourly_running_day(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """The running day so far; only what is new is asked for."""
    now = context.scheduled_execution_time
    return dg.RunRequest(run_key=f"{now:%Y-%m-%dT%H}", partition_key=f"{now:%Y-%m-%d}")


@dg.schedule(job=day, cron_schedule="20 0 * * *", execution_timezone="UTC")
def daily_closed_day(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """The day that has just ended, whole."""
    ended = context.scheduled_execution_time - timedelta(days=1)
    return dg.RunRequest(run_key=f"{ended:%Y-%m-%d}", partition_key=f"{ended:%Y-%m-%d}")


heard = dg.define_asset_job(
    "heard",
    dg.AssetSelection.assets(*(["silver", name, "liquidations"] for name in STREAMS)),
    description="Liquidations that the collector has heard, as rows.",
)


@dg.schedule(job=heard, cron_schedule="15 * * * *", execution_timezone="UTC")
def hourly_heard(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """The collector tells Dagster nothing, so its files are looked at every hour."""
    now = context.scheduled_execution_time
    return dg.RunRequest(run_key=f"{now:%Y-%m-%dT%H}", partition_key=f"{now:%Y}")


SCHEDULES = (hourly_listings, hourly_running_day, daily_closed_day, hourly_heard)
