"""Gold: tables over venues, each in one file. What they are stands in ``cexkit.gold`` and ``cexkit.quality``."""

# no `from __future__ import annotations`: Dagster reads the annotations of assets
import dagster as dg

from cexkit.exchanges import EXCHANGES
from cexkit.exchanges.streams import STREAMS
from cexkit.refine import MADE_OF, to_gold
from cexkit.schema import TABLES, Table
from cexkit_pipeline.assets.labels import labels
from cexkit_pipeline.automation import WHEN_INPUTS_CHANGE
from cexkit_pipeline.resources import Store


def gold_asset(table: Table) -> dg.AssetsDefinition:
    """A Gold table, made anew from the Silver ones it is made of."""

    @dg.asset(
        **labels("gold", table.name),
        deps=_silver(MADE_OF[table.name][1] if table.name in MADE_OF else _silver_tables()),
        description=table.meaning,
        automation_condition=WHEN_INPUTS_CHANGE,
        pool=f"gold_{table.name}",
    )
    def gold(context: dg.AssetExecutionContext, store: Store) -> dg.MaterializeResult:
        files = to_gold(store.open(), table.name)
        return dg.MaterializeResult(
            metadata={"rows": sum(file.rows for file in files), "files": [file.path for file in files]}
        )

    return gold


def _silver_tables() -> tuple[str, ...]:
    return tuple(table.name for table in TABLES.values() if table.layer == "silver")


def _silver(tables: tuple[str, ...]) -> list[dg.AssetKey]:
    """Silver assets of these tables, of all venues that offer them."""
    return [
        dg.AssetKey(["silver", venue.name, table])
        for venue in EXCHANGES.values()
        for table in tables
        if any(table == offered for offered, _ in venue.sources) or (table == "liquidations" and venue.name in STREAMS)
    ]
