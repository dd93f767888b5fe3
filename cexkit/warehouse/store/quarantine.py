"""Quarantined rows of a warehouse: those that failed a check, by instrument and reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cexkit.schema import TABLES
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.warehouse import Warehouse
from cexkit.warehouse.store.wording import counted


@dataclass(frozen=True, slots=True)
class QuarantinedRows:
    """Rows of an instrument that failed the same checks; ``first`` and ``last`` are the ends of their times."""

    exchange: str
    table: str
    instrument: str
    reason: str
    count: int
    first: datetime
    last: datetime

    def __str__(self) -> str:
        times = f"{self.first:%Y-%m-%d %H:%M} … {self.last:%Y-%m-%d %H:%M}"
        rows = counted(self.count, "row")
        return f"{self.exchange} {self.table}: {rows} of {self.instrument} ({times}), by the check {self.reason!r}"


def quarantined_rows(root: Path) -> list[QuarantinedRows]:
    """Return the quarantined rows of a warehouse by table, venue, instrument, and reason.

    Raises
    ------
    DamagedFileError
        If a file cannot be read.
    """
    import polars as pl

    warehouse, found = Warehouse(root), []
    for table in TABLES.values():
        folder = root / layout.QUARANTINE / table.name
        files = sorted(path for path in folder.rglob("*.parquet") if not path.name.startswith("."))
        for path in files:
            exchange = path.parent.name.removeprefix("exchange=")
            period = path.stem.partition("=")[2] or path.stem
            rows = pl.from_arrow(warehouse.quarantine(table, exchange, period))
            keys = ["instrument_type", "symbol", "reason"]
            time = pl.col(table.day_column)
            groups = rows.group_by(keys).agg(pl.len(), first=time.min(), last=time.max()).sort(keys)
            for kind, symbol, reason, count, first, last in groups.iter_rows():
                found.append(QuarantinedRows(exchange, table.name, f"{kind} {symbol}", reason, count, first, last))
    return found
