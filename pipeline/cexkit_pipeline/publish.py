"""The publication: one asset after all others. What publishing is stands in ``cexkit.warehouse.publish``."""

# no `from __future__ import annotations`: Dagster reads the annotations of assets
from collections.abc import Iterable

import dagster as dg
from pydantic import Field

from cexkit.config import settings
from cexkit.errors import ConfigError
from cexkit.schema import TABLES, Table
from cexkit.warehouse.publish import Publication, publish
from cexkit_pipeline.automation import ScheduleSpec
from cexkit_pipeline.resources import Store

KEY = dg.AssetKey(["publication"])


class Release(dg.Config):
    """How one run publishes; by default to ``CEXKIT_PUBLISH_TO``, without a tag."""

    to: str | None = Field(None, description="hf://datasets/owner/name[@branch] or a folder.")
    tag: str | None = Field(None, description="Name of the release, such as v2026.06.30.")
    allow_loss: list[str] = Field(
        default=[], description="Tables whose published keys may disappear, such as ohlcv_1h:okx."
    )


def publication_asset(silver: Iterable[tuple[str, Table]]) -> dg.AssetsDefinition:
    """The dataset as its readers see it: this Silver and all Gold, if no blocking check fails."""
    above = [dg.AssetKey(["silver", exchange, table.name]) for exchange, table in silver]
    above += [dg.AssetKey(["gold", table.name]) for table in TABLES.values() if table.layer == "gold"]

    @dg.asset(
        key=KEY,
        group_name="publication",
        deps=above,
        description="The published dataset: one commit holding what changed.",
        kinds={"huggingface", "parquet"},
        # two publications at once would only wait for each other
        pool="publication",
    )
    def publication(context: dg.AssetExecutionContext, config: Release, store: Store) -> dg.MaterializeResult:
        to = config.to or settings().publish_to
        if to is None:
            raise ConfigError("nowhere to publish to: set CEXKIT_PUBLISH_TO, or `to` in the run's config")
        done = publish(store.open(), to, tag=config.tag, allow_loss=config.allow_loss, step=context.log.debug)
        context.log.info(str(done))
        return dg.MaterializeResult(metadata=_metadata(done))

    return publication


def _metadata(done: Publication) -> dict[str, dg.MetadataValue]:
    link = dg.MetadataValue.url if done.revision else dg.MetadataValue.path
    return {
        "url": link(done.url),
        "changed": dg.MetadataValue.bool(done.changed),
        "files_written": dg.MetadataValue.int(len(done.plan.add)),
        "files_deleted": dg.MetadataValue.int(len(done.plan.delete)),
        "files_kept": dg.MetadataValue.int(len(done.plan.keep)),
        "keys_lost": dg.MetadataValue.int(sum(loss.keys for loss in done.lost)),
        "bytes_written": dg.MetadataValue.int(done.plan.bytes),
        "bytes_kept": dg.MetadataValue.int(done.plan.kept_bytes),
        **({"commit": dg.MetadataValue.text(done.revision)} if done.revision else {}),
        **({"tag": dg.MetadataValue.text(done.tag)} if done.tag else {}),
    }


publishing = dg.define_asset_job(
    "publishing", dg.AssetSelection.assets(KEY), description="What changed, to the readers of the dataset."
)


def publication_schedule(*, running: bool) -> dg.ScheduleDefinition:
    """Every day, when the day that has ended is Silver and Gold; stopped where there is nowhere to publish to."""
    at = ScheduleSpec("daily_publication", publishing, "30 2 * * *", "The dataset, published once a day.")
    starts = running and settings().publish_to is not None
    return at.schedule(dg.DefaultScheduleStatus.RUNNING if starts else dg.DefaultScheduleStatus.STOPPED)
