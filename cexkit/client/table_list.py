"""Summary of the tables that a dataset holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from cexkit.schema import TABLES, Table
from cexkit.text import printable
from cexkit.warehouse.store.manifest import Extent, Manifest

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


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

    @classmethod
    def of(cls, extents: Mapping[str, Extent]) -> TableList:
        """Return the list of tables whose files have these extents."""
        return cls({name: _describe_table(TABLES[name], extent) for name, extent in extents.items()})

    def __getitem__(self, name: str) -> TableInfo:
        return self._infos[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._infos)

    def __len__(self) -> int:
        return len(self._infos)

    def to_pandas(self) -> pd.DataFrame:
        """Return the list as a DataFrame with one row per table."""
        import pandas as pd

        return pd.DataFrame(self.columns).set_index("table")

    def to_pyarrow(self) -> pa.Table:
        """Return the list as an Arrow table with one row per table."""
        import pyarrow as pa

        return pa.table(self.columns)

    @property
    def columns(self) -> dict[str, list]:
        """The list as columns of plain values: names, counts of rows, days, venues, and sizes in MB."""
        infos = self.values()
        return {
            "table": [info.name for info in infos],
            "rows": [info.rows for info in infos],
            "first": [_format_date(info.start) for info in infos],
            "last": [_format_date(info.end) for info in infos],
            "exchanges": [", ".join(info.exchanges) for info in infos],
            "MB": [round(info.bytes / 1e6, 2) for info in infos],
        }

    def __repr__(self) -> str:
        return printable(self.to_pandas().to_string(), "\n")

    def _repr_html_(self) -> str:
        return printable(self.to_pandas().to_html(), "\n")


def _format_date(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else ""


def describe_dataset(manifest: Manifest, address: str) -> str:
    """Return a line on a dataset: whether its data is simulated, where it is, and when it was last written."""
    kind = "simulated data" if manifest.simulated else "data"
    return f"Market: {kind} in {address}, updated {manifest.updated_at:%Y-%m-%d %H:%M} UTC"


def _describe_table(table: Table, extent: Extent) -> TableInfo:
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
