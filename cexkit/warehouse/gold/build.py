"""Build Gold tables of a warehouse from its Silver tables."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import polars as pl

from cexkit.errors import DatasetNotFoundError, UnknownTableError
from cexkit.schema import TABLES
from cexkit.warehouse.gold.tables import funding_weighted_8h, liquidations_1d, ohlcv_1d_composite
from cexkit.warehouse.quality import run_checks
from cexkit.warehouse.store.manifest import DataFile
from cexkit.warehouse.store.parquet import scan_table
from cexkit.warehouse.store.warehouse import Warehouse

#: Gold tables made of Silver ones: name → function and the tables it takes, in order.
MADE_OF: dict[str, tuple[Callable[..., pl.DataFrame], tuple[str, ...]]] = {
    "funding_weighted_8h": (funding_weighted_8h, ("funding_rates", "open_interest")),
    "ohlcv_1d_composite": (ohlcv_1d_composite, ("ohlcv_1d", "instruments")),
    "liquidations_1d": (liquidations_1d, ("liquidations",)),
}


def build_gold(warehouse: Warehouse, name: str, *, now: datetime | None = None) -> tuple[DataFile, ...]:
    """Make one Gold table anew from the Silver tables of a warehouse.

    Parameters
    ----------
    warehouse : Warehouse
        Holds Silver and gets Gold.
    name : str
        Gold table.
    now : datetime, optional
        Time that ``data_quality`` measures the age of data at; the clock by default.

    Returns
    -------
    tuple of DataFile
        The file written; none where the table has no rows.

    Raises
    ------
    UnknownTableError
        If there is no such Gold table.
    DatasetNotFoundError
        If a Silver table it is made of is not there.

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
        rows = _rows(warehouse, name, now)
        return warehouse.replace(TABLES[name], None, ["all"], rows.to_arrow())


def _rows(warehouse: Warehouse, name: str, now: datetime | None) -> pl.DataFrame:
    if name == "data_quality":
        return run_checks(warehouse, now=now)
    make, needs = MADE_OF[name]
    return make(*(_silver(warehouse, table, name) for table in needs))


def _silver(warehouse: Warehouse, table: str, wanted: str) -> pl.LazyFrame:
    files = warehouse.manifest.select(table)
    if not files:
        raise DatasetNotFoundError(f"{wanted} is made of {table}, of which {warehouse.root} holds nothing; bring it in")
    return scan_table([warehouse.root / file.path for file in files], TABLES[table])
