"""Facts about the rows of files: counts and summaries from which all checks but the one across venues follow.

Facts of files whose spans are disjoint add up, so the facts of an unchanged file never need to be computed again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from cexkit.schema import INSTRUMENT_KEYS, Table
from cexkit.schema.render import to_polars
from cexkit.warehouse.quality.row_checks import rows_failed
from cexkit.warehouse.store.damage import require_columns
from cexkit.warehouse.store.parquet import read_table

#: Raised when the facts of the same rows would be others.
FACTS_VERSION = 1
#: Minimum rows in memory at a time; a batch holds whole row groups.
BATCH_ROWS = 1 << 18
#: First and last time of the rows of each venue.
Spans = dict[str, tuple[datetime, datetime]]

_ALWAYS = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
_DAY = ("exchange", "timestamp")


@dataclass(frozen=True, slots=True)
class Facts:
    """Counts and summaries of rows.

    Attributes
    ----------
    days : polars.DataFrame
        One row per venue and UTC day. ``rows``: number of rows; ``keyed``: the same, with the rows of a key counted on
        the day of its first row; ``doubled``: rows whose key occurs more than once; ``missing``: settlements missing
        before a row, after the instrument's previous row; ``failed_<check>``: rows that fail a declared check.
    instruments : polars.DataFrame
        One row per instrument: ``first`` and ``last`` time, and ``interval``, the hours of its first settlement.
    """

    days: pl.DataFrame
    instruments: pl.DataFrame

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.days["rows"].sum())

    @property
    def extent(self) -> tuple[datetime | None, datetime | None]:
        """The first and the last time of all rows; None without rows."""
        return self.instruments["first"].min(), self.instruments["last"].max()


def venue_spans(facts: Sequence[Facts], table: Table) -> list[Spans]:
    """Return the span of each venue in each of some facts; all time if rows of different times can have one key."""
    spans: list[Spans] = [{} for _ in facts]
    if facts:
        numbered = [part.instruments.with_columns(number=pl.lit(number)) for number, part in enumerate(facts)]
        found = pl.concat(numbered).group_by("number", "exchange").agg(pl.min("first"), pl.max("last"))
        for number, venue, first, last in found.iter_rows():
            spans[number][venue] = (first, last) if table.time in table.key else _ALWAYS
    return spans


def add_days(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return the counts of disjoint rows per venue and day."""
    days = pl.concat(parts)
    return days if len(parts) == 1 else days.group_by(_DAY).agg(pl.exclude(_DAY).sum()).sort(_DAY)


def count_facts(rows: pl.DataFrame, table: Table) -> Facts:
    """Return the facts of rows.

    Parameters
    ----------
    rows : polars.DataFrame
        Rows in the declared columns, in any order.
    table : Table
        The declaration.

    Examples
    --------
    >>> from cexkit.schema import TABLES
    >>> from cexkit.testing.simulation import simulate
    >>> bars = simulate(start="2026-05-02", end="2026-05-04", coins=["BTC"], exchanges=["okx"]).tables["ohlcv_1h"]
    >>> facts = count_facts(bars, TABLES["ohlcv_1h"])
    >>> facts.days.select("rows", "doubled", "failed_ohlc_order").rows()
    [(48, 0, 0), (48, 0, 0)]
    >>> facts.instruments.height
    2
    """
    time = table.day_column
    day = pl.col(time).dt.truncate("1d").alias("timestamp")
    failed = {f"failed_{check.name}": rows_failed(check) for check in table.checks}
    days = rows.group_by("exchange", day).agg(rows=_count(pl.len()), **failed)
    interval = pl.lit(None, pl.Float64)
    missing = _no_counts("missing")
    if table.name == "funding_rates":
        rows = rows.sort(*INSTRUMENT_KEYS, "timestamp", "funding_interval_hours")
        interval = pl.first("funding_interval_hours")
        before = pl.col("timestamp").shift(1).over(INSTRUMENT_KEYS)
        lacking = missing_settlements(pl.col("timestamp") - before, pl.col("funding_interval_hours"))
        missing = rows.select("exchange", day, lacking.alias("missing")).group_by(_DAY).agg(pl.sum("missing"))
    for counts in (_keys(rows, table, day), missing):
        days = days.join(counts, on=_DAY, how="left")
    counts = pl.col("keyed", "doubled", "missing").fill_null(0)
    instruments = rows.group_by(INSTRUMENT_KEYS).agg(first=pl.min(time), last=pl.max(time), interval=interval)
    return Facts(days.with_columns(counts).sort(_DAY), instruments.sort(INSTRUMENT_KEYS))


def missing_settlements(distance: pl.Expr, interval: pl.Expr) -> pl.Expr:
    """Return the number of settlements missing in the time since the previous one; 0 without one or an interval."""
    missing = (distance.dt.total_minutes() / 60 / interval).round() - 1
    # An interval that no venue uses fails its own check; what it gives here may not be a number.
    return missing.clip(lower_bound=0).cast(pl.Int64, strict=False).fill_null(0)


def read_facts(path: Path, table: Table) -> Facts:
    """Return the facts of a file; only some of its row groups are in memory at a time.

    Raises
    ------
    DatasetError
        If the file lacks a required column.
    """
    parts = [count_facts(rows, table) for rows in _batches(path, table)]
    instruments = pl.concat([part.instruments for part in parts])
    if instruments.select(INSTRUMENT_KEYS).is_duplicated().any():
        # Facts add up only if each instrument is in one batch, as in every file that cexkit writes.
        return read_joined_facts([path], table)
    return Facts(add_days([part.days for part in parts]), instruments.sort(INSTRUMENT_KEYS))


def read_joined_facts(paths: Sequence[Path], table: Table) -> Facts:
    """Return the facts of all rows of files, whose spans may overlap."""
    return count_facts(pl.concat([pl.from_arrow(read_table(path, table)) for path in paths]), table)


def _batches(path: Path, table: Table) -> Iterator[pl.DataFrame]:
    """Yield the rows of a file, in the columns that facts need."""
    with pq.ParquetFile(path) as file:
        require_columns(path, file.schema_arrow.names, table)
        columns = _needed_columns(table)
        groups, count = [], 0
        for number in range(file.num_row_groups):
            groups.append(number)
            count += file.metadata.row_group(number).num_rows
            if count >= BATCH_ROWS:
                yield _read_groups(file, groups, columns)
                groups, count = [], 0
        if groups or not file.num_row_groups:
            yield _read_groups(file, groups, columns)


def _needed_columns(table: Table) -> dict[str, pl.DataType]:
    checked = {name for check in table.checks for name in pl.sql_expr(check.must).meta.root_names()}
    needed = {*INSTRUMENT_KEYS, *table.key, table.day_column, *checked}
    needed |= {"funding_interval_hours"} if table.name == "funding_rates" else set()
    return {name: kind for name, kind in to_polars(table).items() if name in needed}


def _read_groups(file: pq.ParquetFile, groups: list[int], columns: dict[str, pl.DataType]) -> pl.DataFrame:
    """Return columns of row groups; null where a file of an older schema lacks them."""
    present = [name for name in columns if name in file.schema_arrow.names]
    rows = pl.from_arrow(file.read_row_groups(groups, columns=present))
    return rows.select(
        pl.col(name) if name in present else pl.lit(None, kind).alias(name) for name, kind in columns.items()
    )


def _keys(rows: pl.DataFrame, table: Table, day: pl.Expr) -> pl.DataFrame:
    """Count rows by the day of their key, and those whose key occurs more than once."""
    if table.time in table.key and _increases(rows, table.key):
        return rows.group_by("exchange", day).agg(keyed=_count(pl.len()), doubled=pl.lit(0, pl.Int64))
    time = table.day_column
    at = [] if time in table.key else [pl.min(time)]
    counted = rows.group_by(table.key).agg(pl.len().alias("_n"), *at)
    return counted.group_by("exchange", day).agg(
        keyed=_count(pl.sum("_n")), doubled=_count(pl.col("_n").filter(pl.col("_n") > 1).sum())
    )


def _increases(rows: pl.DataFrame, key: Sequence[str]) -> bool:
    """Return whether every key is above the previous one, as in every file that cexkit writes: then none is doubled."""
    above = pl.lit(False)
    for name in reversed(key):
        before = pl.col(name).shift(1)
        above = (pl.col(name) > before) | ((pl.col(name) == before) & above)
    return rows.select(above.fill_null(False).slice(1).all()).item()


def _no_counts(name: str) -> pl.DataFrame:
    return pl.DataFrame(schema={"exchange": pl.String, "timestamp": pl.Datetime("us", "UTC"), name: pl.Int64})


def _count(expression: pl.Expr) -> pl.Expr:
    return expression.cast(pl.Int64)
