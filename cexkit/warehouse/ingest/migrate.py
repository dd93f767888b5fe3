"""Migration of a warehouse that an earlier version wrote to the present storage."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial

import polars as pl

from cexkit.exchanges.registry import EXCHANGES
from cexkit.schema import SCHEMA_VERSION, TABLES, Table
from cexkit.warehouse.ingest.inventories import open_inventory
from cexkit.warehouse.ingest.listing_periods import listing_periods
from cexkit.warehouse.ingest.report import (
    ALL_TABLES,
    ALL_VENUES,
    DamageProblem,
    Report,
    damage_reported,
    without_repeats,
)
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.bronze import has_bronze
from cexkit.warehouse.store.compact import compact
from cexkit.warehouse.store.ledgers import ledger_venues, same_rows
from cexkit.warehouse.store.manifest import DataFile
from cexkit.warehouse.store.warehouse import Warehouse
from cexkit.warehouse.units import with_multiplier

Step = Callable[[str], object]


def migrate(warehouse: Warehouse, *, step: Step | None = None, now: datetime | None = None) -> Report:
    """Bring a warehouse that an earlier version wrote to the present storage.

    Readers and pulls also work without it, and do the same bit by bit. Done twice, the second time changes nothing; a
    migration that was interrupted continues.

    1. Silver of venues that have Bronze is merged from it, which fills new columns and makes the ledger. The ledger of
       the earlier version says which files were lost or retired before.
    2. Other Silver files are written with the present columns; multipliers come from the instruments.
    3. Inventories of earlier versions are read, and files that nothing reads any more are deleted.
    4. The running year is divided into pieces.

    Parameters
    ----------
    warehouse : Warehouse
        Warehouse to migrate. Gold tables are left as they are: build them again.
    step : callable, optional
        Called with a short text as each table of a venue finishes.
    now : datetime, optional
        Time that decides which files are closed. Default: the current time.

    Returns
    -------
    Report
        Rows written, and every problem.

    Examples
    --------
    >>> import tempfile
    >>> migrate(Warehouse(tempfile.mkdtemp())).rows
    0
    """
    report, recorded = Report(), ledger_venues(warehouse.root)
    for exchange_name in EXCHANGES:
        if has_bronze(warehouse.root, exchange_name) or exchange_name in recorded:
            for table in _silver():
                one = partial(_migrate_table, warehouse, exchange_name, table, now)
                report += damage_reported(exchange_name, table.name, one)
                _call(step, f"{exchange_name} {table.name}")
    for file in _outdated(warehouse):
        report += damage_reported(file.exchange or "", file.table, partial(_rewrite, warehouse, file))
        _call(step, file.path)
    report += damage_reported(ALL_VENUES, ALL_TABLES, partial(_compacted, warehouse, now))
    if not any(isinstance(problem, DamageProblem) for problem in report.problems):
        _delete_outdated(warehouse)
    return without_repeats(report)


def _migrate_table(warehouse: Warehouse, exchange_name: str, table: Table, now: datetime | None) -> Report:
    """Merge a venue's table from Bronze, and read the inventory of earlier versions."""
    report = build_silver(warehouse, exchange_name, table, now=now) if table.made_with is None else Report()
    if table.time is not None:
        listed = listing_periods(warehouse, exchange_name)
        open_inventory(warehouse, exchange_name, table, listed).flush()
    return report


def _compacted(warehouse: Warehouse, now: datetime | None) -> Report:
    return Report(files=tuple(file.path for file in compact(warehouse, now=now)))


def _silver() -> list[Table]:
    """Return the Silver tables, instruments first because the others need them."""
    return [table for table in TABLES.values() if table.layer == "silver"]


def _call(step: Step | None, text: str) -> None:
    if step is not None:
        step(text)


def _outdated(warehouse: Warehouse) -> Iterator[DataFile]:
    """Yield the Silver files that lack columns of the present schema, or have no key digests."""
    for file in warehouse.manifest.files:
        is_silver = file.table in TABLES and TABLES[file.table].layer == "silver"
        if is_silver and (file.schema_version < SCHEMA_VERSION or file.keys_sha256 is None):
            yield file


def _rewrite(warehouse: Warehouse, file: DataFile) -> Report:
    table = TABLES[file.table]
    with warehouse.exclusive(table, file.exchange), same_rows(warehouse, table, file.exchange):
        if file not in warehouse.manifest.files:
            return Report()  # another process replaced it
        span = None if table.time is None else layout.period_window(table, file.period)
        rows = pl.from_arrow(warehouse.read(table, exchange=file.exchange, span=span))
        if "multiplier" in table.nullable:
            tables = (TABLES["instruments"], TABLES["instrument_periods"])
            listed, periods = (pl.from_arrow(warehouse.read(one, exchange=file.exchange)).lazy() for one in tables)
            rows = with_multiplier(rows.lazy(), listed, periods).collect()
        files = warehouse.replace(table, file.exchange, [file.period], rows.to_arrow())
    return Report(rows=rows.height, files=tuple(new.path for new in files))


def _delete_outdated(warehouse: Warehouse) -> None:
    for pattern in layout.OUTDATED:
        for path in warehouse.root.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
