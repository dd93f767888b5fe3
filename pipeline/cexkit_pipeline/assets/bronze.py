"""Bronze assets: one per venue and table, partitioned by day. :mod:`cexkit.warehouse.ingest` implements ingestion."""

# no `from __future__ import annotations`: Dagster reads the annotations of assets
from collections.abc import Mapping

import dagster as dg
from pydantic import Field

from cexkit.schema import TABLES, Table
from cexkit.schema.intervals import Window
from cexkit.warehouse.ingest.bronze import ingest_bronze
from cexkit.warehouse.ingest.listings import requestable
from cexkit.warehouse.ingest.report import Report
from cexkit_pipeline.assets.labels import labels
from cexkit_pipeline.partitions import DAYS
from cexkit_pipeline.resources import Store, Venues

LISTING = TABLES["instruments"]
#: Most problems in the metadata of a materialization; all are in the log.
MAX_PROBLEMS = 20


class BronzeConfig(dg.Config):
    """Run configuration of a Bronze asset."""

    refresh: bool = Field(
        default=False,
        description="Request everything again, and ignore earlier requests for missing rows. Default: request what no "
        "earlier run read, the last two days once a day, and missing rows whose delay has passed.",
    )


def bronze_asset(exchange: str, table: Table) -> dg.AssetsDefinition:
    """Return the asset of a venue's raw responses about a table, malformed ones included."""
    if table is LISTING:
        return _listing(exchange)

    @dg.asset(
        **labels("bronze", table.name, exchange),
        partitions_def=DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=[dg.AssetKey(["silver", exchange, LISTING.name])],
        description=f"Raw responses of {exchange} about {table.name}, unmodified.",
        pool=exchange,
    )
    def bronze(
        context: dg.AssetExecutionContext, config: BronzeConfig, store: Store, venues: Venues
    ) -> dg.MaterializeResult:
        # The window covers all days of the run, because a backfill requests them together.
        span = context.partition_time_window
        window, warehouse = Window(span.start, span.end), store.open()
        of = requestable(warehouse, exchange, table, window, store.symbols or None)
        with venues.fetcher() as fetcher:
            report = ingest_bronze(warehouse, fetcher, exchange, table, window, of, refresh=config.refresh)
            return result(context, report)

    return bronze


def _listing(exchange: str) -> dg.AssetsDefinition:
    @dg.asset(
        **labels("bronze", LISTING.name, exchange),
        description=f"Raw responses of {exchange} with its current listing, unmodified.",
        pool=exchange,
    )
    def bronze(context: dg.AssetExecutionContext, store: Store, venues: Venues) -> dg.MaterializeResult:
        with venues.fetcher() as fetcher:
            return result(context, ingest_bronze(store.open(), fetcher, exchange, LISTING))

    return bronze


def live_asset(exchange: str) -> dg.AssetSpec:
    """Return the asset of a venue's live liquidations, which the collector materializes instead of Dagster."""
    return dg.AssetSpec(
        **labels("bronze", "liquidations", exchange),
        deps=[dg.AssetKey(["silver", exchange, LISTING.name])],
        description=f"Raw liquidation messages of {exchange}, received live by the collector, unmodified.",
    )


def result(
    context: dg.AssetExecutionContext, report: Report, more: Mapping[str, dg.MetadataValue] | None = None
) -> dg.MaterializeResult:
    """Convert a report for Dagster: counts and the first problems become metadata, and every problem is logged.

    Parameters
    ----------
    context : dagster.AssetExecutionContext
        Whose log to write.
    report : Report
        What the step did.
    more : mapping, optional
        Metadata to add, such as :func:`~cexkit_pipeline.assets.metadata.extent_metadata` returns.

    Raises
    ------
    dagster.Failure
            If requests were sent and no usable response was received, so that the partition is not materialized.
    """
    for problem in report.problems:
        context.log.warning(str(problem))
    for note in report.notes:
        context.log.info(note)
    metadata = {
        **(more or {}),
        **_span_metadata(report),
        "responses": report.responses,
        "rows": report.rows,
        "quarantined": report.quarantined,
        "problems": len(report.problems),
        "files": list(report.files),
    }
    if report.problems:
        metadata["first_problems"] = [str(problem) for problem in report.problems[:MAX_PROBLEMS]]
    if report.notes:
        metadata["notes"] = list(report.notes)
    if report.failed:
        raise dg.Failure(report.cause, metadata=metadata, allow_retries=False)
    return dg.MaterializeResult(metadata=metadata)


def _span_metadata(report: Report) -> dict[str, dg.MetadataValue]:
    """Return the times that the stored responses can hold rows of."""
    if not report.spans:
        return {}
    first, last = min(span.start for span in report.spans), max(span.end for span in report.spans)
    return {"requested_from": dg.MetadataValue.timestamp(first), "requested_to": dg.MetadataValue.timestamp(last)}
