"""Metadata of assets, under the names that Dagster's pages know: columns, rows, bytes, and times of a table."""

from __future__ import annotations

import dagster as dg

from cexkit.schema import Table
from cexkit.warehouse.store.manifest import Extent
from cexkit.warehouse.store.warehouse import Warehouse


def column_schema(table: Table) -> dg.TableSchema:
    """Return the columns of a table, with their units and meanings.

    Examples
    --------
    >>> from cexkit.schema import TABLES
    >>> [column.name for column in column_schema(TABLES["funding_rates"]).columns][-1]
    'venue_timestamp'
    """
    columns = [
        dg.TableColumn(
            field.name,
            field.type,
            description=f"{field.meaning} Unit: {field.unit}." if field.unit else field.meaning,
            constraints=dg.TableColumnConstraints(nullable=field.nullable),
        )
        for field in table.fields
    ]
    keys = dg.TableConstraints(other=[f"unique: {', '.join(table.key)}"])
    return dg.TableSchema(columns=columns, constraints=keys)


def extent_metadata(warehouse: Warehouse, table: Table, exchange: str | None = None) -> dict[str, dg.MetadataValue]:
    """Return rows, bytes, and span of a table, or of a venue's part of it, as its files are now."""
    found = Extent.of(warehouse.manifest.select(table.name, exchanges=exchange and [exchange]))
    times = {"first_time": found.start, "last_time": found.end}
    return {
        "dagster/row_count": dg.MetadataValue.int(found.rows),
        "dagster/table_name": dg.MetadataValue.text(table.name if exchange is None else f"{table.name}.{exchange}"),
        "bytes": dg.MetadataValue.int(found.bytes),
        "data_files": dg.MetadataValue.int(found.files),
        **{name: dg.MetadataValue.timestamp(time) for name, time in times.items() if time is not None},
    }
