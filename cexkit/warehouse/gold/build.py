"""Build Gold tables of a warehouse from its Silver tables."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import polars as pl

from cexkit.errors import DatasetNotFoundError, UnknownTableError
from cexkit.schema import TABLES
from cexkit.warehouse.gold.tables import funding_weighted_8h, liquidations_1d, ohlcv_1d_composite
from cexkit.warehouse.quality import run_checks
from cexkit.warehouse.store.data_files import require_intact
from cexkit.warehouse.store.manifest import DataFile
from cexkit.warehouse.store.parquet import reading, scan_table
from cexkit.warehouse.store.warehouse import Warehouse

#: Function and input tables, in argument order, of each Gold table derived from Silver tables.
MADE_OF: dict[str, tuple[Callable[..., pl.DataFrame], tuple[str, ...]]] = {
    "funding_weighted_8h": (funding_weighted_8h, ("funding_rates", "open_interest", "instruments")),
    "ohlcv_1d_composite": (ohlcv_1d_composite, ("ohlcv_1d", "instruments")),
    "liquidations_1d": (liquidations_1d, ("liquidations",)),
}
#: Tables that are used if the warehouse has them.
OPTIONAL: dict[str, tuple[str, ...]] = {"ohlcv_1d_composite": ("instrument_periods",)}


def build_gold(warehouse: Warehouse, name: str, *, now: datetime | None = None) -> tuple[DataFile, ...]:
    """Rebuild one Gold table from the Silver tables of a warehouse.

    Parameters
    ----------
    warehouse : Warehouse
        Source of the Silver tables and destination of the Gold table.
    name : str
        Name of the Gold table.
    now : datetime, optional
        Time at which ``data_quality`` measures the age of data. Default: the current time.

    Returns
    -------
    tuple of DataFile
        The written file; empty if the table has no rows.

    Raises
    ------
    UnknownTableError
        If the Gold table is unknown.
    DatasetNotFoundError
        If a required Silver table is missing.
    DamagedFileError
        If a file of a required Silver table cannot be read.

    Warns
    -----
    ExcludedInstrumentsWarning
        If a table across venues leaves out instruments known not to be coins, with their number.

    Examples
    --------
    >>> import tempfile
    >>> from cexkit.testing.simulation import simulate
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     warehouse = Warehouse(folder)
    ...     silver = simulate(start="2026-05-20", end="2026-05-21", coins=["BTC"], exchanges=["okx"]).tables
    ...     _ = warehouse.write(TABLES["liquidations"], silver["liquidations"].to_arrow())
    ...     [file.table for file in build_gold(warehouse, "liquidations_1d")]
    ['liquidations_1d']
    """
    if name not in MADE_OF and name != "data_quality":
        raise UnknownTableError.of("Gold table", name, [*MADE_OF, "data_quality"])
    with warehouse.exclusive(TABLES[name], None):
        rows = compute_gold(warehouse, name, now=now)
        return warehouse.replace(TABLES[name], None, ["all"], rows.to_arrow())


def compute_gold(warehouse: Warehouse, name: str, *, now: datetime | None = None) -> pl.DataFrame:
    """Return the rows that a Gold table has by the present Silver; see :func:`build_gold`."""
    if name == "data_quality":
        return run_checks(warehouse, now=now)
    make, needs = MADE_OF[name]
    tables = [*needs, *(table for table in OPTIONAL.get(name, ()) if warehouse.manifest.select(table))]
    paths = [warehouse.root / file.path for table in tables for file in warehouse.manifest.select(table)]
    with reading(*paths):
        return make(*(_silver(warehouse, table, name) for table in tables))


def _silver(warehouse: Warehouse, table: str, wanted: str) -> pl.LazyFrame:
    files = warehouse.manifest.select(table)
    if not files:
        raise DatasetNotFoundError(f"{wanted} requires {table}, which is missing from {warehouse.root}; pull it first")
    require_intact(warehouse.root, files)
    return scan_table([warehouse.root / file.path for file in files], TABLES[table])
