"""Asset checks of Silver tables, from what they declare. What each says stands in ``cexkit.warehouse.quality``."""

# no `from __future__ import annotations`: Dagster reads the annotations of checks
from collections.abc import Iterator

import dagster as dg

from cexkit.schema import Table
from cexkit.warehouse.quality import CheckResult, check_results, checks_of, meanings_of
from cexkit_pipeline.resources import Store


def silver_checks(exchange: str, table: Table) -> dg.AssetChecksDefinition:
    """All checks of a table of a venue, over all its files; a failure of a blocking one is an error."""
    asset = dg.AssetKey(["silver", exchange, table.name])
    meanings = meanings_of(table)
    specs = [
        dg.AssetCheckSpec(name, asset=asset, description=f"Requires that {meanings[name]}.", blocking=blocking)
        for name, blocking in checks_of(table).items()
    ]

    @dg.multi_asset_check(name=f"checks_{exchange}_{table.name}", specs=specs)
    def checks(store: Store) -> Iterator[dg.AssetCheckResult]:
        for result in check_results(store.open(), exchange, table):
            yield _result(result, asset)

    return checks


def _result(result: CheckResult, asset: dg.AssetKey) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=result.check_name,
        passed=not result.rows_failed,
        severity=dg.AssetCheckSeverity.ERROR if result.blocking else dg.AssetCheckSeverity.WARN,
        metadata={
            "rows_checked": result.rows_checked,
            "rows_failed": result.rows_failed,
            "days": [day.isoformat() for day in result.days[:20]],
        },
    )
