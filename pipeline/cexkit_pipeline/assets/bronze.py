"""Bronze: one asset a venue and table, one partition a day. How it is read stands in ``cexkit.warehouse.ingest``."""

# no `from __future__ import annotations`: Dagster reads the annotations of assets
import dagster as dg

from cexkit.schema import TABLES, Table
from cexkit.schema.intervals import Window
from cexkit.warehouse.ingest.bronze import ingest_bronze
from cexkit.warehouse.ingest.listings import instruments
from cexkit.warehouse.ingest.report import Report
from cexkit_pipeline.assets.labels import labels
from cexkit_pipeline.partitions import DAYS
from cexkit_pipeline.resources import Store, Venues

LISTING = TABLES["instruments"]


def bronze_asset(exchange: str, table: Table) -> dg.AssetsDefinition:
    """Every response of a venue about a table, as received."""
    if table is LISTING:
        return _listing(exchange)

    @dg.asset(
        **labels("bronze", table.name, exchange),
        partitions_def=DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=[dg.AssetKey(["silver", exchange, LISTING.name])],
        description=f"Answers of {exchange} about {table.name}, exactly as received.",
        pool=exchange,
    )
    def bronze(context: dg.AssetExecutionContext, store: Store, venues: Venues) -> dg.MaterializeResult:
        # of all days of the run: a backfill asks for them in one go
        span = context.partition_time_window
        window, warehouse = Window(span.start, span.end), store.open()
        of = instruments(warehouse, exchange, table, window, store.symbols or None)
        with venues.fetcher() as fetcher:
            return result(context, ingest_bronze(warehouse, fetcher, exchange, table, window, of))

    return bronze


def _listing(exchange: str) -> dg.AssetsDefinition:
    @dg.asset(
        **labels("bronze", LISTING.name, exchange),
        description=f"What {exchange} lists at the moment, exactly as received.",
        pool=exchange,
    )
    def bronze(context: dg.AssetExecutionContext, store: Store, venues: Venues) -> dg.MaterializeResult:
        with venues.fetcher() as fetcher:
            return result(context, ingest_bronze(store.open(), fetcher, exchange, LISTING))

    return bronze


def live_asset(exchange: str) -> dg.AssetSpec:
    """Liquidations of a venue that publishes them only as they happen: the collector's, not Dagster's, to make."""
    return dg.AssetSpec(
        **labels("bronze", "liquidations", exchange),
        deps=[dg.AssetKey(["silver", exchange, LISTING.name])],
        description=f"Liquidations of {exchange}, heard live by the collector, exactly as received.",
    )


def result(context: dg.AssetExecutionContext, report: Report) -> dg.MaterializeResult:
    """A report as Dagster shows it: counts as metadata, every problem in the log."""
    for problem in report.problems:
        context.log.warning(str(problem))
    return dg.MaterializeResult(
        metadata={
            "responses": report.responses,
            "rows": report.rows,
            "quarantined": report.quarantined,
            "problems": len(report.problems),
            "files": list(report.files),
        }
    )
