"""Summary of the tables that a dataset holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cexkit.schema import Table
from cexkit.text import printable
from cexkit.warehouse.store.manifest import Extent

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class TableInfo:
    """Summary of one table of a dataset; ``end`` is the time of the last row."""

    name: str
    meaning: str
    rows: int
    bytes: int
    start: datetime | None
    end: datetime | None
    exchanges: tuple[str, ...]


class TableList(Mapping[str, TableInfo]):
    """Tables of a dataset by name."""

    def __init__(self, infos: Mapping[str, TableInfo]):
        self._infos = dict(infos)

    def __getitem__(self, name: str) -> TableInfo:
        return self._infos[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._infos)

    def __len__(self) -> int:
        return len(self._infos)

    def to_pandas(self) -> pd.DataFrame:
        """Return the list as a DataFrame with one row per table."""
        import pandas as pd

        rows: list[dict[str, Any]] = [
            {
                "table": info.name,
                "rows": info.rows,
                "first": _format_date(info.start),
                "last": _format_date(info.end),
                "exchanges": ", ".join(info.exchanges),
                "MB": round(info.bytes / 1e6, 2),
            }
            for info in self.values()
        ]
        return pd.DataFrame(rows, columns=["table", "rows", "first", "last", "exchanges", "MB"]).set_index("table")

    def __repr__(self) -> str:
        return printable(self.to_pandas().to_string(), "\n")

    def _repr_html_(self) -> str:
        return printable(self.to_pandas().to_html(), "\n")


def _format_date(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else ""


def describe_table(table: Table, extent: Extent) -> TableInfo:
    """Return the summary of a table whose files have this extent."""
    return TableInfo(
        name=table.name,
        meaning=table.meaning,
        rows=extent.rows,
        bytes=extent.bytes,
        start=extent.start,
        end=extent.end,
        exchanges=extent.exchanges,
    )
