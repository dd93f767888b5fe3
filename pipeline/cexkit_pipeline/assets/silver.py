"""Silver: one asset a venue and table, one partition a file. How it is made stands in ``cexkit.warehouse.ingest``."""

# no `from __future__ import annotations`: Dagster reads the annotations of assets
import dagster as dg

from cexkit.schema import TABLES, Table
from cexkit.warehouse.ingest.silver import build_silver
from cexkit_pipeline.assets.bronze import result
from cexkit_pipeline.assets.labels import labels
from cexkit_pipeline.assets.metadata import column_schema, extent_metadata
from cexkit_pipeline.automation import WHEN_INPUTS_CHANGE
from cexkit_pipeline.partitions import file_periods
from cexkit_pipeline.resources import Store

PERIODS = TABLES["instrument_periods"]


def silver_asset(exchange: str, table: Table) -> dg.AssetsDefinition:
    """A table of a venue in the declared schema: parsed, deduplicated, checked."""

    @dg.asset(
        **labels("silver", table.name, exchange),
        metadata={"dagster/column_schema": column_schema(table)},
        partitions_def=file_periods(table),
        deps=[dg.AssetKey(["bronze", exchange, table.name])],
        description=table.meaning,
        backfill_policy=dg.BackfillPolicy.single_run() if table.period != "all" else None,
        automation_condition=WHEN_INPUTS_CHANGE,
        # a file has one writer at a time, so that none writes rows made of older answers over newer ones
        pool=f"silver_{exchange}_{table.name}",
    )
    def silver(context: dg.AssetExecutionContext, store: Store) -> dg.MaterializeResult:
        # all that is new, whatever the partitions of the run: a backfill makes them in one go
        warehouse = store.open()
        report = build_silver(warehouse, exchange, table)
        built = result(context, report, extent_metadata(warehouse, table, exchange))
        if table.name == PERIODS.made_with:
            found = extent_metadata(warehouse, PERIODS, exchange)
            context.log_event(dg.AssetMaterialization(periods_asset(exchange).key, metadata=found))
        return built

    return silver


def periods_asset(exchange: str) -> dg.AssetSpec:
    """Return the asset of a venue's instrument periods, which the asset of its instruments writes and reports."""
    return dg.AssetSpec(
        **labels("silver", PERIODS.name, exchange),
        metadata={"dagster/column_schema": column_schema(PERIODS)},
        deps=[dg.AssetKey(["silver", exchange, PERIODS.made_with])],
        description=PERIODS.meaning,
    )
