"""The nightly job as Dagster runs it: the project's own assets, jobs, checks, and schedules, in this process."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import dagster as dg
import pytest
from cexkit_pipeline import resources
from cexkit_pipeline.definitions import build_defs
from cexkit_pipeline.resources import Store, Venues
from cexkit_pipeline.summary import summary

from cexkit.config import settings
from cexkit.exchanges.fetcher import Fetcher

from .events import DAY
from .night import Operator
from .world import World

#: Ticks of a night, in order, by the time of day; Silver and Gold are made when their inputs have changed.
READING = (("hourly_listings", "00:05"), ("daily_closed_day", "00:20"), ("daily_settled_day", "00:40"))
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
#: The world has bars of one minute of some instruments and days only, and a schedule reads all.
UNREAD = "ohlcv_1m"


class Daemon(Operator):
    """Runs the nightly job as Dagster's daemon does, with the automation of assets followed after each tick."""

    unread = (UNREAD,)
    reads_all_days = False
    # OKX keeps liquidations for a day. Read times without any count as unread, and later as no longer kept.
    false_alarms = frozenset({("okx", "forgotten")})

    def __init__(self, world: World, root: Path, to: str, monkeypatch: pytest.MonkeyPatch):
        super().__init__(world, root, to)
        clock = world.clock
        monkeypatch.setattr(resources, "Fetcher", partial(Fetcher, clock=clock, sleep=clock.sleep))
        monkeypatch.setenv("CEXKIT_PUBLISH_TO", to)
        settings.cache_clear()
        self._store = Store(warehouse=str(root))
        self._instance = dg.DagsterInstance.ephemeral(settings={"telemetry": {"enabled": False}})
        self.restart()

    def restart(self) -> None:
        """Load the definitions, as a new process of the same instance does."""
        venues = Venues(base_urls=self.world.base_urls, max_clock_skew_seconds=300)
        defs = build_defs({"store": self._store, "venues": venues})
        silver = dg.AssetSelection.key_prefixes("silver")
        listed, minutes = dg.AssetSelection.groups("listings"), dg.AssetSelection.tag("table", UNREAD)
        follow = {
            "follow_listings": silver & listed,
            "follow_bronze": silver - listed - minutes,
            "follow_silver": dg.AssetSelection.key_prefixes("gold"),
        }
        jobs = [dg.define_asset_job(name, selection) for name, selection in follow.items()]
        self._defs = dg.Definitions.merge(defs, dg.Definitions(jobs=jobs))

    def read(self, fetcher: Fetcher) -> Iterator[str]:
        """Run the ticks of a night; yield the problems that are reported."""
        self.listen(fetcher)
        now = self.world.now
        for name, at in READING:
            yield from self._tick(name, now, at)
            if name == "hourly_listings":
                yield from self._execute("follow_listings")
        yield from self._tick("daily_missing_days", now, "01:20")
        yield from self._execute("follow_bronze", f"{now - DAY:%Y}")
        yield from self._execute("follow_silver", keys=[dg.AssetKey(["gold", name]) for name in self.buildable()])
        yield from self._tick("daily_compaction", now, "01:50")

    def build(self) -> None:
        """Build nothing: Gold follows Silver in :meth:`read`."""

    def publish(self) -> str:
        """Publish the warehouse; return why it, or a part of it, was not published."""
        return "\n".join(self._tick("daily_publication", self.world.now, "02:30"))

    def _tick(self, name: str, now: datetime, at: str) -> Iterator[str]:
        """Run what a schedule requests at a time of day."""
        moment = datetime.fromisoformat(f"{now:%Y-%m-%d}T{at}+00:00")
        schedule = self._defs.resolve_schedule_def(name)
        context = dg.build_schedule_context(
            instance=self._instance,
            scheduled_execution_time=moment,
            repository_def=self._defs.get_repository_def(),
            resources={"store": self._store},
        )
        for request in schedule.evaluate_tick(context).run_requests:
            if request.partition_key is not None and request.partition_key < self.world.calendar.start:
                continue  # the world begins then
            yield from self._execute(schedule.job_name, request.partition_key, request.asset_selection)

    def _execute(
        self, name: str, partition: str | None = None, keys: Sequence[dg.AssetKey] | None = None
    ) -> Iterator[str]:
        job = self._defs.resolve_job_def(name)
        if keys is None and any(key.path[-1] == UNREAD for key in job.asset_layer.executable_asset_keys):
            keys = [key for key in job.asset_layer.executable_asset_keys if key.path[-1] != UNREAD]
        done = job.execute_in_process(
            run_config=QUIET if name != "compaction" else None,
            instance=self._instance,
            partition_key=partition,
            asset_selection=keys,
            raise_on_error=False,
        )
        yield from summary(self._instance, done.dagster_run).problems
        for event in done.filter_events(lambda event: event.is_step_failure):
            failure = event.step_failure_data
            error = failure.error.cause or failure.error
            text = failure.user_failure_data.description if failure.user_failure_data else error.message
            checks = re.findall(r"silver/(\w+)/(\w+): (\w+)", text)
            yield from [f"{exchange} {table}: {check} fails" for exchange, table, check in checks] or [
                text.rpartition("no usable response: ")[2]
            ]
