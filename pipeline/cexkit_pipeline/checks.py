"""Asset checks of Silver tables, from what they declare. What each says stands in ``cexkit.quality``."""

# no `from __future__ import annotations`: Dagster reads the annotations of checks
from collections.abc import Iterator

import dagster as dg
import polars as pl

from cexkit.quality import checks_of, inspect
from cexkit.schema import Table
from cexkit_pipeline.resources import Store


def silver_checks(exchange: str, table: Table) -> dg.AssetChecksDefinition:
    """All checks of a table of a venue, over all its files; a failure of a blocking one is an error."""
    asset = dg.AssetKey(["silver", exchange, table.name])
    specs = [dg.AssetCheckSpec(name, asset=asset) for name in checks_of(table)]

    @dg.multi_asset_check(name=f"checks_{exchange}_{table.name}", specs=specs)
    def checks(store: Store) -> Iterator[dg.AssetCheckResult]:
        found = inspect(store.open(), [table.name]).filter(exchange=exchange)
        for name, blocking in checks_of(table).items():
            yield _result(name, blocking, found.filter(check_name=name), asset)

    return checks


def _result(name: str, blocking: bool, found: pl.DataFrame, asset: dg.AssetKey) -> dg.AssetCheckResult:
    failed = found.filter(pl.col("rows_failed") > 0)
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=failed.is_empty(),
        severity=dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN,
        metadata={
            "rows_checked": int(found["rows_checked"].sum()),
            "rows_failed": int(found["rows_failed"].sum()),
            "days": [f"{day:%Y-%m-%d}" for day in failed["timestamp"].head(20)],
        },
    )
