"""Everything assembled. ``dagster dev`` and ``dagster definitions validate`` load this module."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import dagster as dg

from cexkit.config import settings
from cexkit.exchanges.registry import EXCHANGES
from cexkit.exchanges.streams import STREAMS
from cexkit.schema import TABLES
from cexkit_pipeline.alerts import SENSORS
from cexkit_pipeline.assets.bronze import bronze_asset, live_asset
from cexkit_pipeline.assets.gold import gold_asset
from cexkit_pipeline.assets.silver import PERIODS, periods_asset, silver_asset
from cexkit_pipeline.automation import follower, schedules
from cexkit_pipeline.checks import silver_checks
from cexkit_pipeline.collector import collect_liquidations
from cexkit_pipeline.publish import publication_asset, publication_schedule
from cexkit_pipeline.resources import from_settings


def build_defs(overrides: Mapping[str, dg.ConfigurableResource] | None = None) -> dg.Definitions:
    """All assets, checks, schedules and sensors, with resources as the environment says.

    Parameters
    ----------
    overrides : mapping, optional
        Resources in place of those: ``store``, ``venues``.
    """
    read = [
        (venue.name, TABLES[table])
        for venue in EXCHANGES.values()
        for table in dict.fromkeys(table for table, _ in venue.sources)
    ]
    streamed = [(name, TABLES["liquidations"]) for name in STREAMS if (name, TABLES["liquidations"]) not in read]
    periods = [(venue, PERIODS) for venue in EXCHANGES]
    silver = (*read, *streamed, *periods)
    return dg.Definitions(
        assets=[
            *(bronze_asset(exchange, table) for exchange, table in read),
            *(live_asset(exchange) for exchange, _ in streamed),
            *(silver_asset(exchange, table) for exchange, table in (*read, *streamed)),
            *(periods_asset(exchange) for exchange, _ in periods),
            *(gold_asset(table, silver) for table in TABLES.values() if table.layer == "gold"),
            publication_asset(silver),
        ],
        asset_checks=[silver_checks(exchange, table) for exchange, table in silver],
        jobs=[collect_liquidations],
        schedules=[
            *schedules(running=settings().pipeline_running),
            publication_schedule(running=settings().pipeline_running),
        ],
        sensors=[*SENSORS, follower(running=settings().pipeline_running)],
        resources=from_settings() | dict(overrides or {}),
    )


with warnings.catch_warnings():
    # said once for every asset
    warnings.filterwarnings("ignore", "Parameter `backfill_policy`", dg.BetaWarning)
    defs = build_defs()
