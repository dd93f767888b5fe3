"""All checks that need no ledger, computed plainly from all rows at once: what cached results are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import polars as pl
import pyarrow.parquet as pq

from cexkit.schema import INSTRUMENT_KEYS, TABLES, USD_LIKE, Table
from cexkit.schema.render import to_pyarrow
from cexkit.warehouse.quality import CHECKS, MAX_AGE, checks_of
from cexkit.warehouse.quality.row_checks import as_quality, data_quality
from cexkit.warehouse.quality.venues import MIN_VENUES, OUTLIER
from cexkit.warehouse.store.damage import sha256
from cexkit.warehouse.store.layout import span_of
from cexkit.warehouse.store.parquet import scan_table
from cexkit.warehouse.store.warehouse import Warehouse

_DAY = pl.col("timestamp").dt.truncate("1d")


def compute_checks(warehouse: Warehouse, now: datetime, max_age: timedelta = MAX_AGE) -> pl.DataFrame:
    """Return ``data_quality`` without the checks of Bronze and quarantine."""
    tables = [table for table in TABLES.values() if table.layer == "silver" and warehouse.manifest.select(table.name)]
    return as_quality(pl.concat([part for table in tables for part in _compute(warehouse, table, now, max_age)]))


def _compute(warehouse: Warehouse, table: Table, now: datetime, max_age: timedelta) -> Iterator[pl.DataFrame]:
    files = warehouse.manifest.select(table.name)
    sound = [pq.read_schema(warehouse.root / file.path).equals(to_pyarrow(table)) for file in files]
    yield _by_file(warehouse, table, files, [not each for each in sound], "schema")
    yield _by_file(warehouse, table, files, [_is_misstated(warehouse, table, file) for file in files], "data_files")
    rows = scan_table([warehouse.root / file.path for file, fits in zip(files, sound, strict=True) if fits], table)
    yield data_quality(table, rows)
    yield _doubled(table, rows)
    fits, listed = checks_of(table), _listed(warehouse)
    if "gaps" in fits:
        yield _missing_settlements(table, rows) if table.bar is None else _missing_bars(table, rows, listed)
    if "fresh" in fits:
        yield _stale(table, rows, listed, now, max_age)
    if "outlier" in fits:
        yield _outliers(table, rows, listed)


def _by_file(warehouse: Warehouse, table: Table, files, failed, check: str) -> pl.DataFrame:
    rows = [
        {
            "exchange": file.exchange,
            "timestamp": file.start or warehouse.manifest.updated_at,
            "rows_checked": file.rows,
            "rows_failed": file.rows * fails,
        }
        for file, fails in zip(files, failed, strict=True)
    ]
    frame = pl.DataFrame(rows).with_columns(pl.col("timestamp").cast(pl.Datetime("us", "UTC"))).with_columns(_DAY)
    return _named(frame.group_by("exchange", "timestamp").agg(pl.sum("rows_checked", "rows_failed")), table, check)


def _is_misstated(warehouse: Warehouse, table: Table, file) -> bool:
    path, period = warehouse.root / file.path, span_of(file.period)
    if path.stat().st_size != file.bytes or sha256(path) != file.sha256:
        return True
    rows = pl.read_parquet(path, hive_partitioning=False)
    if table.name not in TABLES or rows.columns != list(table.columns):
        return False
    times = rows[table.time or "observed_at"]
    stated = (times.min(), times.max()) if table.time else (None, None)
    others = [other for other in warehouse.manifest.select(table.name) if other.exchange == file.exchange]
    spans = [span_of(other.period) for other in others if other != file]
    return not (
        rows.height == file.rows
        and (file.start, file.end) == stated
        and rows["exchange"].is_in([file.exchange]).all()
        and times.is_between(period.start, period.end, closed="left").all()
        and not [span for span in spans if span.start < period.end and period.start < span.end]
    )


def _doubled(table: Table, rows: pl.LazyFrame) -> pl.DataFrame:
    """Rows whose key occurs more than once."""
    time = table.time or "observed_at"
    counted = rows.group_by(table.key).agg(pl.len().alias("_n"), *([pl.min(time)] if time not in table.key else []))
    counted = counted.group_by("exchange", timestamp=pl.col(time).dt.truncate("1d")).agg(
        rows_checked=pl.sum("_n"), rows_failed=pl.col("_n").filter(pl.col("_n") > 1).sum()
    )
    return _named(counted.collect(), table, "unique_key")


def _listed(warehouse: Warehouse) -> pl.DataFrame:
    columns = (*INSTRUMENT_KEYS, "multiplier", "status", "delisting_time", "expiry")
    rows = pl.from_arrow(warehouse.read(TABLES["instruments"])).sort("observed_at", maintain_order=True)
    return rows.unique(INSTRUMENT_KEYS, keep="last", maintain_order=True).select(columns)


def _missing_bars(table: Table, rows: pl.LazyFrame, listed: pl.DataFrame) -> pl.DataFrame:
    """Count the rows missing between an instrument's first row and its end, each on the day where it should be."""
    life = rows.group_by(INSTRUMENT_KEYS).agg(first=pl.min("timestamp"), last=pl.max("timestamp")).collect()
    life = life.join(listed, on=INSTRUMENT_KEYS, how="left")
    newest = pl.max("last").over("exchange")
    gone = pl.coalesce("delisting_time", "expiry") - pl.duration(microseconds=1)
    end = pl.min_horizontal(pl.coalesce(gone, newest), newest)
    life = life.with_columns(end=pl.max_horizontal("last", end.dt.truncate(table.interval)))
    bars_a_day = round(timedelta(days=1) / table.bar)
    days = life.select(
        *INSTRUMENT_KEYS, "first", "end", timestamp=pl.datetime_ranges(_midnight("first"), _midnight("end"), "1d")
    ).explode("timestamp")
    expected = (
        bars_a_day
        - _bars(pl.col("first") - pl.col("timestamp"), table).clip(lower_bound=0)
        - (bars_a_day - 1 - _bars(pl.col("end") - pl.col("timestamp"), table)).clip(lower_bound=0)
    )
    there = rows.group_by(*INSTRUMENT_KEYS, timestamp=_DAY).agg(there=pl.len()).collect()
    counted = days.with_columns(expected=expected).join(there, on=[*INSTRUMENT_KEYS, "timestamp"], how="left")
    counted = counted.group_by("exchange", "timestamp").agg(
        rows_checked=pl.sum("expected"), rows_failed=(pl.col("expected") - pl.col("there").fill_null(0)).sum()
    )
    return _named(counted, table, "gaps")


def _missing_settlements(table: Table, rows: pl.LazyFrame) -> pl.DataFrame:
    """Settlements missing before each one, by the interval that it states; counted on its day."""
    hours = (pl.col("timestamp") - pl.col("timestamp").shift(1).over(INSTRUMENT_KEYS)).dt.total_minutes() / 60
    missing = (hours / pl.col("funding_interval_hours")).round() - 1
    ordered = rows.sort(*INSTRUMENT_KEYS, "timestamp", "funding_interval_hours")
    counted = ordered.select("exchange", "timestamp", missing=missing)
    missing = pl.col("missing").fill_null(0).clip(lower_bound=0).cast(pl.Int64)
    counted = counted.group_by("exchange", timestamp=_DAY).agg(
        rows_checked=pl.len() + missing.sum(), rows_failed=missing.sum()
    )
    return _named(counted.collect(), table, "gaps")


def _stale(table: Table, rows: pl.LazyFrame, listed: pl.DataFrame, now: datetime, max_age: timedelta) -> pl.DataFrame:
    newest = rows.group_by(INSTRUMENT_KEYS).agg(last=pl.max("timestamp")).collect()
    trading = newest.join(listed.filter(status="trading"), on=INSTRUMENT_KEYS, how="semi")
    counted = trading.group_by("exchange").agg(
        timestamp=pl.max("last").dt.truncate("1d"),
        rows_checked=pl.len(),
        rows_failed=(pl.col("last") + (table.bar or timedelta()) < now - max_age).sum(),
    )
    return _named(counted, table, "fresh")


def _outliers(table: Table, rows: pl.LazyFrame, listed: pl.DataFrame) -> pl.DataFrame:
    listed = listed.lazy().select(*INSTRUMENT_KEYS, now="multiplier")
    near = rows.filter(pl.col("quote").is_in(USD_LIKE)).join(listed, on=INSTRUMENT_KEYS, how="left")
    close = pl.col("close") / pl.coalesce("multiplier", "now")
    near = near.select("exchange", "base", "timestamp", close=close).drop_nulls()
    medians = near.group_by("base", "timestamp").agg(median=pl.median("close"), venues=pl.n_unique("exchange"))
    joined = near.join(medians.filter(pl.col("venues") >= MIN_VENUES), on=["base", "timestamp"])
    far = (pl.col("close") / pl.col("median") - 1).abs() > OUTLIER
    counted = joined.group_by("exchange", timestamp=_DAY).agg(rows_checked=pl.len(), rows_failed=far.sum())
    return _named(counted.collect(), table, "outlier")


def _midnight(column: str) -> pl.Expr:
    return pl.col(column).dt.truncate("1d")


def _bars(span: pl.Expr, table: Table) -> pl.Expr:
    return span.dt.total_microseconds() // round(table.bar / timedelta(microseconds=1))


def _named(counted: pl.DataFrame, table: Table, check: str) -> pl.DataFrame:
    return as_quality(
        counted.with_columns(table_name=pl.lit(table.name), check_name=pl.lit(check), blocking=pl.lit(CHECKS[check][0]))
    )
