"""Checks against Bronze, by what the ledger recorded: lost files, rows that do not match the responses, quarantine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from cexkit.errors import DamagedFileError
from cexkit.schema import Table
from cexkit.schema.intervals import utc
from cexkit.warehouse.quality.catalog import named
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.ledgers import read_ledgers as all_ledgers

_DAY = ("exchange", "timestamp")
_TIME = pl.Datetime("us", "UTC")
_ROWS = {"exchange": pl.String, "timestamp": _TIME, "rows": pl.Int64}

Ledgers = Mapping[str, Ledger]


def read_ledgers(root: Path, table: Table) -> dict[str, Ledger]:
    """Return the ledgers of a table by venue."""
    return {ledger.exchange: ledger for ledger in all_ledgers(root, table)}


def lost_files(table: Table, ledgers: Ledgers, today: datetime) -> pl.DataFrame:
    """Return the check ``bronze_files``: rows of files that are lost or not merged yet, by the first day of the file.

    A file counts as one row at least, so that a file without rows is reported too.
    """
    rows = pl.max_horizontal("rows", 1)
    parts = [
        ledger.files.filter(pl.col("state") != "other").select(
            pl.lit(name).alias("exchange"),
            pl.col("start").fill_null(today).dt.truncate("1d").alias("timestamp"),
            rows.alias("rows_checked"),
            pl.when(_is_open(ledger)).then(rows).otherwise(0).alias("rows_failed"),
        )
        for name, ledger in ledgers.items()
    ]
    schema = {"exchange": pl.String, "timestamp": _TIME, "rows_checked": pl.Int64, "rows_failed": pl.Int64}
    frame = pl.concat([pl.DataFrame(schema=schema), *parts], how="vertical_relaxed")
    return named(frame.group_by(_DAY).agg(pl.sum("rows_checked", "rows_failed")), table, "bronze_files")


def _is_open(ledger: Ledger) -> pl.Expr:
    """True for a file that is lost, or that no build has merged; a ledger of an earlier version names merged files."""
    pending = (pl.col("state") == "pending") & ~pl.col("retired") & ~pl.lit(ledger.is_earlier)
    return pending | pl.col("path").is_in([file.path for file in ledger.lost])


def recorded_rows(
    table: Table, ledgers: Ledgers, days: pl.DataFrame, quarantined: pl.DataFrame, today: datetime
) -> pl.DataFrame:
    """Return the check ``bronze_rows``: keys that the responses gave, compared with rows in the table and quarantine.

    A table without times has one count, on the day it was last observed. A venue whose ledger recorded no counts is
    left out.

    Parameters
    ----------
    table : Table
        The declaration.
    ledgers : mapping of str to Ledger
        Ledgers of the table by venue.
    days, quarantined : polars.DataFrame
        Rows in the table and in quarantine by venue and day.
    today : datetime
        When the manifest was last changed.
    """
    recorded = {name: counts for name, ledger in ledgers.items() if (counts := ledger.days)}
    there = pl.concat([days.select(*_ROWS), quarantined]).filter(pl.col("exchange").is_in(list(recorded)))
    if table.time is None:
        there = there.with_columns(pl.max("timestamp").over("exchange"))
    there = there.group_by(_DAY).agg(there=pl.sum("rows"))
    both = there.join(_recorded(recorded, there, today), on=_DAY, how="full", coalesce=True)
    both = both.with_columns(pl.col("there", "counted").fill_null(0))
    off = (pl.col("counted") - pl.col("there")).abs()
    counted = both.with_columns(rows_checked=pl.max_horizontal("there", "counted"), rows_failed=off)
    return named(counted, table, "bronze_rows")


def quarantined_rows(table: Table, days: pl.DataFrame, quarantined: pl.DataFrame) -> pl.DataFrame:
    """Return the check ``quarantined_rows``: quarantined rows among all rows that the responses gave."""
    parts = [
        days.select(*_ROWS, failed=pl.lit(0, pl.Int64)),
        quarantined.with_columns(failed="rows"),
    ]
    counted = pl.concat(parts).group_by(_DAY).agg(rows_checked=pl.sum("rows"), rows_failed=pl.sum("failed"))
    return named(counted, table, "quarantined_rows")


def count_quarantined(root: Path, table: Table) -> pl.DataFrame:
    """Return the number of quarantined rows by venue and day.

    Raises
    ------
    DatasetError
        If a file cannot be read.
    """
    time = table.day_column
    parts = [_read(path, ["exchange", time]) for path in _quarantine_files(root, table)]
    day = pl.col("timestamp").dt.truncate("1d")
    rows = pl.concat([pl.DataFrame(schema={"exchange": pl.String, "timestamp": _TIME}), *parts])
    return rows.group_by("exchange", day).agg(rows=pl.len().cast(pl.Int64))


def _quarantine_files(root: Path, table: Table) -> Sequence[Path]:
    folder = root / layout.QUARANTINE / table.name
    return sorted(path for path in folder.rglob("*.parquet") if not path.name.startswith(layout.TEMPORARY))


def _read(path: Path, columns: list[str]) -> pl.DataFrame:
    try:
        rows = pl.from_arrow(pq.ParquetFile(path).read(columns))
    except (OSError, pa.ArrowException) as error:
        raise DamagedFileError(f"cannot read quarantined rows: {path}: {error}; build its Silver again") from error
    return rows.select(pl.col(columns[0]), pl.col(columns[1]).cast(_TIME).alias("timestamp"))


def _recorded(recorded: Mapping[str, Mapping[str, int]], there: pl.DataFrame, today: datetime) -> pl.DataFrame:
    """Return the recorded counts by venue and day; those without a day on the newest day of the table."""
    newest = dict(there.group_by("exchange").agg(pl.max("timestamp")).iter_rows())
    today = today.replace(hour=0, minute=0, second=0, microsecond=0)
    rows = [
        (name, newest.get(name, today) if day == "all" else utc(day), count)
        for name, counts in recorded.items()
        for day, count in counts.items()
    ]
    return pl.DataFrame(rows, schema={"exchange": pl.String, "timestamp": _TIME, "counted": pl.Int64}, orient="row")
