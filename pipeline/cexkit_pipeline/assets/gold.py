"""Gold assets: one file per table across venues, built by :mod:`cexkit.warehouse.gold`."""

# no `from __future__ import annotations`: Dagster reads the annotations of assets
from collections.abc import Iterable

import dagster as dg

from cexkit.errors import DatasetNotFoundError
from cexkit.schema import Table
from cexkit.warehouse.gold.build import MADE_OF, build_gold
from cexkit_pipeline.assets.labels import labels
from cexkit_pipeline.assets.metadata import column_schema, extent_metadata
from cexkit_pipeline.automation import WHEN_INPUTS_CHANGE
from cexkit_pipeline.resources import Store


def gold_asset(table: Table, silver: Iterable[tuple[str, Table]]) -> dg.AssetsDefinition:
    """Return the asset of a Gold table, rebuilt from the Silver tables that it depends on."""
    # The data quality table depends on all Silver tables.
    names = MADE_OF[table.name][1] if table.name in MADE_OF else None

    @dg.asset(
        **labels("gold", table.name),
        metadata={"dagster/column_schema": column_schema(table)},
        deps=[
            dg.AssetKey(["silver", exchange, one.name])
            for exchange, one in silver
            if names is None or one.name in names
        ],
        description=table.meaning,
        automation_condition=WHEN_INPUTS_CHANGE,
        pool=f"gold_{table.name}",
    )
    def gold(context: dg.AssetExecutionContext, store: Store) -> dg.MaterializeResult:
        warehouse = store.open()
        try:
            files = build_gold(warehouse, table.name)
        except DatasetNotFoundError as error:
            if warehouse.manifest.select(table.name):
                raise  # its inputs were there
            return dg.MaterializeResult(metadata={"rows": 0, "files": [], "note": f"nothing to build yet: {error}"})
        written = {"rows": sum(file.rows for file in files), "files": [file.path for file in files]}
        return dg.MaterializeResult(metadata=written | extent_metadata(warehouse, table))

    return gold
