"""What is wrong with a warehouse: every check, counted per venue and UTC day of data.

Silver holds no row that fails a declared check (those are quarantined, see ``quarantine/``). These checks read the
files themselves again, the quarantined rows, and what no single row can show: keys, gaps, age, other venues.
The outcome is the table ``data_quality``. A failure of a ``blocking`` check stops a publication.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from cexkit.errors import QualityError
from cexkit.exchanges.registry import EXCHANGES
from cexkit.schema import INSTRUMENT_KEYS, SCHEMA_VERSION, TABLES, USD_LIKE, Check, Table
from cexkit.schema import table as declared
from cexkit.schema.intervals import utc
from cexkit.schema.render import to_polars, to_pyarrow
from cexkit.warehouse.row_checks import as_quality, data_quality
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.parquet import scan, scan_table
from cexkit.warehouse.store.warehouse import Warehouse

#: Checks in addition to those that tables declare: name → whether it blocks, and what it requires.
CHECKS = {
    "schema": (True, "every file has the declared columns and types"),
    "unique_key": (True, "no key stands twice"),
    "bronze_files": (True, "every Bronze file is merged, and there unchanged or retired on purpose"),
    "bronze_rows": (
        True,
        "every row that the venue's responses in Bronze hold is in the table or quarantined, and no other row is",
    ),
    "quarantined_rows": (False, "rows that failed a check on the way in, and are not in the table"),
    "gaps": (False, "every bar, snapshot and settlement of the instrument's own calendar is there"),
    "fresh": (False, "the newest row of every trading instrument is young enough"),
    "outlier": (False, "a close is near the median of at least three venues"),
}
#: How old the newest row of a table may be: a day's refresh and the time it takes.
MAX_AGE = timedelta(hours=36)
#: How far a close may be from the median of all venues.
OUTLIER = 0.05
#: Venues that a median is believed of.
MIN_VENUES = 3

_DAY = pl.col("timestamp").dt.truncate("1d")
_COUNTED = {"exchange": pl.String, "timestamp": pl.Datetime("us", "UTC"), "counted": pl.Int64}


def run_checks(
    warehouse: Warehouse,
    names: Iterable[str] | None = None,
    *,
    now: datetime | None = None,
    max_age: timedelta = MAX_AGE,
) -> pl.DataFrame:
    """Run all checks over the Silver tables of a warehouse.

    Parameters
    ----------
    warehouse : Warehouse
        Warehouse to check; it is not changed.
    names : iterable of str, optional
        Tables to check. Default: all that have rows.
    now : datetime, optional
        Time that the age of data is measured at; the clock by default.
    max_age : timedelta
        How old the newest row of a trading instrument may be.

    Returns
    -------
    polars.DataFrame
        Table ``data_quality``: one row for every venue, table, check and UTC day of data, also where nothing failed.

    Raises
    ------
    UnknownTableError
        If a table is unknown.

    Examples
    --------
    >>> from cexkit.warehouse.store.locations import SAMPLE_ROOT
    >>> found = run_checks(Warehouse(SAMPLE_ROOT))
    >>> blocking_failures(found).height
    0
    """
    moment = now or datetime.now(UTC)
    wanted = TABLES if names is None else {declared(name).name for name in names}
    tables = [table for table in _there(warehouse) if table.name in wanted]
    parts = [part for table in tables for part in _found(warehouse, table, moment, max_age)]
    return as_quality(pl.concat(parts)) if parts else as_quality(to_polars(TABLES["data_quality"]).to_frame())


def checks_of(table: Table) -> dict[str, bool]:
    """Checks that :func:`run_checks` runs on a table: name → whether it blocks.

    Examples
    --------
    >>> list(checks_of(TABLES["liquidations"]))
    ['known_side', 'positive_liquidation', 'schema', 'unique_key', 'bronze_files', 'bronze_rows', 'quarantined_rows']
    """
    with_gaps = table.bar is not None or table.name == "funding_rates"
    fits = {
        "gaps": with_gaps,
        "fresh": table.time is not None and table.name != "liquidations",
        "outlier": table.bar is not None and "volume_base" in table.columns,
    }
    others = {name: blocking for name, (blocking, _) in CHECKS.items() if fits.get(name, True)}
    return {check.name: check.blocking for check in table.checks} | others


def blocking_failures(quality: pl.DataFrame) -> pl.DataFrame:
    """The rows of ``data_quality`` that stop a publication."""
    return quality.filter("blocking", pl.col("rows_failed") > 0)


def raise_on_failures(quality: pl.DataFrame) -> None:
    """Refuse data that fails a blocking check.

    Raises
    ------
    QualityError
        Naming the table, venue, check and day of the first failures.

    Examples
    --------
    >>> raise_on_failures(to_polars(TABLES["data_quality"]).to_frame())
    """
    failed = blocking_failures(quality)
    if failed.height:
        first = "; ".join(
            f"{row['table_name']} of {row['exchange']} on {row['timestamp']:%Y-%m-%d}: {row['check_name']} fails for "
            f"{row['rows_failed']} of {row['rows_checked']} rows"
            for row in failed.head(3).iter_rows(named=True)
        )
        raise QualityError(f"{failed.height} blocking checks failed: {first}")


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found in all rows of a table of a venue; ``days`` are those on which rows failed."""

    check_name: str
    blocking: bool
    rows_checked: int
    rows_failed: int
    days: tuple[date, ...]


def check_results(warehouse: Warehouse, exchange: str, table: Table) -> list[CheckResult]:
    """Return one result per check of a venue's table, even if the table has no rows."""
    found = run_checks(warehouse, [table.name]).filter(exchange=exchange)
    parts = {name: found.filter(check_name=name) for name in checks_of(table)}
    return [
        CheckResult(
            check_name=name,
            blocking=checks_of(table)[name],
            rows_checked=int(rows["rows_checked"].sum()),
            rows_failed=int(rows["rows_failed"].sum()),
            days=tuple(moment.date() for moment in rows.filter(pl.col("rows_failed") > 0)["timestamp"]),
        )
        for name, rows in parts.items()
    ]


def stale(warehouse: Warehouse, *, now: datetime | None = None) -> list[str]:
    """A line for every venue and table whose newest rows are too old."""
    moment, listed = now or datetime.now(UTC), _listed(warehouse)
    found = [
        _stale(table, scan_table(sound, table), listed, moment, MAX_AGE)
        for table in _there(warehouse)
        if "fresh" in checks_of(table) and (sound := _schemas(warehouse, table)[0])
    ]
    return [
        f"{row['table_name']} of {row['exchange']}: {row['rows_failed']} of {row['rows_checked']} instruments, "
        f"newest day {row['timestamp']:%Y-%m-%d}"
        for rows in found
        for row in rows.filter(pl.col("rows_failed") > 0).iter_rows(named=True)
    ]


def _there(warehouse: Warehouse) -> list[Table]:
    """Silver tables of which there are rows."""
    return [table for table in TABLES.values() if table.layer == "silver" and warehouse.manifest.select(table.name)]


def _found(warehouse: Warehouse, table: Table, now: datetime, max_age: timedelta) -> Iterator[pl.DataFrame]:
    sound, schema = _schemas(warehouse, table)
    yield schema
    if not sound:
        return
    rows = scan_table(sound, table)
    yield data_quality(table, rows)
    ledgers = {name: Ledger(warehouse.root, name, table) for name in EXCHANGES}
    yield _lost_files(warehouse, ledgers, table)
    yield _recounted(warehouse, ledgers, table, rows)
    yield data_quality(table, *_quarantined_rows(warehouse, table, rows))
    yield _doubled(table, rows)
    fits, listed = checks_of(table), _listed(warehouse)
    if "gaps" in fits:
        yield _missing_settlements(table, rows) if table.bar is None else _missing_bars(table, rows, listed)
    if "fresh" in fits:
        yield _stale(table, rows, listed, now, max_age)
    if "outlier" in fits:
        yield _outliers(table, rows, listed)


def _schemas(warehouse: Warehouse, table: Table) -> tuple[list[str], pl.DataFrame]:
    """Return the files with the declared schema or an older one of it, and the count of rows in the others."""
    expected, sound, rows = to_pyarrow(table), [], []
    for file in warehouse.manifest.select(table.name):
        path = warehouse.root / file.path
        same = _is_sound(pq.read_schema(path), expected, outdated=file.schema_version < SCHEMA_VERSION)
        if same:
            sound.append(str(path))
        day = (file.start or warehouse.manifest.updated_at).replace(hour=0, minute=0, second=0, microsecond=0)
        rows.append({"timestamp": day, "exchange": file.exchange, "rows": file.rows, "bad": 0 if same else file.rows})
    frame = pl.DataFrame(rows).with_columns(pl.col("timestamp").cast(pl.Datetime("us", "UTC")))
    counted = frame.group_by("exchange", "timestamp").agg(rows_checked=pl.sum("rows"), rows_failed=pl.sum("bad"))
    return sound, _named(counted, table, "schema")


def _is_sound(schema: pa.Schema, expected: pa.Schema, *, outdated: bool) -> bool:
    """Return whether a file has the declared columns in order; one of an older schema may lack nullable ones."""
    fields = [field for field in expected if field.name in schema.names or not (outdated and field.nullable)]
    return schema.equals(pa.schema(fields), check_metadata=False)


def _lost_files(warehouse: Warehouse, ledgers: Mapping[str, Ledger], table: Table) -> pl.DataFrame:
    """Count the rows of Bronze files in the ledgers, and of those that are lost, by their first day.

    A file counts as one row at least, so that a file without rows is reported too.
    """
    rows = [
        ledger.files.filter(pl.col("state") != "other").select(
            pl.lit(name).alias("exchange"),
            pl.col("start").fill_null(warehouse.manifest.updated_at).alias("timestamp"),
            pl.max_horizontal("rows", 1).alias("rows_checked"),
            pl.when(pl.col("path").is_in([file.path for file in ledger.lost]) | pl.col("state").eq("pending"))
            .then(pl.max_horizontal("rows", 1))
            .otherwise(0)
            .alias("rows_failed"),
        )
        for name, ledger in ledgers.items()
    ]
    frame = pl.concat(rows, how="vertical_relaxed").with_columns(_DAY)
    counts = frame.group_by("exchange", "timestamp").agg(pl.sum("rows_checked", "rows_failed"))
    return _named(counts, table, "bronze_files")


def _recounted(warehouse: Warehouse, ledgers: Mapping[str, Ledger], table: Table, rows: pl.LazyFrame) -> pl.DataFrame:
    """Compare the rows in the table and in quarantine with those that the ledger recorded, for venues that have one.

    A table without times has one count, on the day it was last observed.
    """
    day = pl.col(table.time or "observed_at").dt.truncate("1d").alias("timestamp")
    there = pl.concat([rows.select("exchange", day), *_read_quarantine(warehouse, table, ["exchange", day])])
    if table.time is None:
        there = there.with_columns(pl.max("timestamp").over("exchange"))
    silver = there.group_by("exchange", "timestamp").agg(there=pl.len()).collect()
    recorded = _recorded(warehouse, ledgers, silver)
    both = silver.join(recorded, on=["exchange", "timestamp"], how="full", coalesce=True)
    both = both.filter(pl.col("exchange").is_in([name for name, ledger in ledgers.items() if ledger.days]))
    both = both.with_columns(pl.col("there", "counted").fill_null(0))
    off = (pl.col("counted").cast(pl.Int64) - pl.col("there").cast(pl.Int64)).abs()
    return _named(
        both.with_columns(rows_checked=pl.max_horizontal("there", "counted"), rows_failed=off), table, "bronze_rows"
    )


def _recorded(warehouse: Warehouse, ledgers: Mapping[str, Ledger], silver: pl.DataFrame) -> pl.DataFrame:
    """Rows by venue and day in the ledgers; those without a time on the newest day of the table."""
    newest = dict(silver.group_by("exchange").agg(pl.max("timestamp")).iter_rows())
    today = warehouse.manifest.updated_at.replace(hour=0, minute=0, second=0, microsecond=0)
    counted = [
        {"exchange": name, "timestamp": newest.get(name, today) if day == "all" else utc(day), "counted": count}
        for name, ledger in ledgers.items()
        for day, count in ledger.days.items()
    ]
    return pl.DataFrame(counted, schema=_COUNTED)


def _quarantined_rows(warehouse: Warehouse, table: Table, rows: pl.LazyFrame) -> tuple[pl.LazyFrame, list[Check]]:
    """All rows that came in, with whether they were quarantined, and the check that says so."""
    columns = ["exchange", table.time or "observed_at"]
    quarantined = _read_quarantine(warehouse, table, columns)
    parts = [
        rows.select(*columns, quarantined=pl.lit(False)),
        *(part.with_columns(quarantined=pl.lit(True)) for part in quarantined),
    ]
    check = Check("quarantined_rows", "NOT quarantined", CHECKS["quarantined_rows"][1], blocking=False)
    return pl.concat(parts, how="vertical_relaxed"), [check]


def _read_quarantine(warehouse: Warehouse, table: Table, columns: Iterable[str | pl.Expr]) -> list[pl.LazyFrame]:
    folder = warehouse.root / layout.QUARANTINE / table.name
    return [scan(path).select(columns) for path in sorted(folder.rglob("*.parquet"))]


def _doubled(table: Table, rows: pl.LazyFrame) -> pl.DataFrame:
    """Rows whose key stands more than once."""
    time = table.time or "observed_at"
    counted = rows.group_by(table.key).agg(pl.len().alias("_n"), *([pl.first(time)] if time not in table.key else []))
    counted = counted.group_by("exchange", timestamp=pl.col(time).dt.truncate("1d")).agg(
        rows_checked=pl.sum("_n"), rows_failed=pl.col("_n").filter(pl.col("_n") > 1).sum()
    )
    return _named(counted.collect(), table, "unique_key")


def _listed(warehouse: Warehouse) -> pl.DataFrame:
    """What is known of the life and unit of each instrument."""
    columns = (*INSTRUMENT_KEYS, "multiplier", "status", "delisting_time", "expiry")
    return pl.from_arrow(warehouse.read(TABLES["instruments"]).select(columns))


def _missing_bars(table: Table, rows: pl.LazyFrame, listed: pl.DataFrame) -> pl.DataFrame:
    """Count the rows missing between an instrument's first row and its end, each on the day where it should be.

    The end is the instrument's delisting or expiry, else the venue's newest row in the table. A venue that leaves out
    bars without trades shows them here too.
    """
    life = rows.group_by(INSTRUMENT_KEYS).agg(first=pl.min("timestamp"), last=pl.max("timestamp")).collect()
    life = life.join(listed, on=INSTRUMENT_KEYS, how="left")
    newest = pl.max("last").over("exchange")
    # No bar opens at the very time of a delisting or expiry.
    gone = pl.coalesce("delisting_time", "expiry") - pl.duration(microseconds=1)
    end = pl.min_horizontal(pl.coalesce(gone, newest), newest)
    life = life.with_columns(end=pl.max_horizontal("last", end.dt.truncate(table.interval)))
    bars_a_day = round(timedelta(days=1) / table.bar)
    days = life.select(
        *INSTRUMENT_KEYS, "first", "end", timestamp=pl.datetime_ranges(_midnight("first"), _midnight("end"), "1d")
    ).explode("timestamp")
    # A day's bars, minus those before the first and after the end.
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
    """Settlements missing before each one, by the interval it says; counted on its day."""
    hours = (pl.col("timestamp") - pl.col("timestamp").shift(1).over(INSTRUMENT_KEYS)).dt.total_minutes() / 60
    missing = (hours / pl.col("funding_interval_hours")).round() - 1
    counted = rows.sort(*INSTRUMENT_KEYS, "timestamp").select("exchange", "timestamp", missing=missing)
    missing = pl.col("missing").fill_null(0).clip(lower_bound=0).cast(pl.Int64)
    counted = counted.group_by("exchange", timestamp=_DAY).agg(
        rows_checked=pl.len() + missing.sum(), rows_failed=missing.sum()
    )
    return _named(counted.collect(), table, "gaps")


def _stale(table: Table, rows: pl.LazyFrame, listed: pl.DataFrame, now: datetime, max_age: timedelta) -> pl.DataFrame:
    """Trading instruments whose newest row is too old, counted on the day of the newest row of the venue.

    A bar is as old as its end: yesterday's bar is the newest possible one until today is over.
    """
    newest = rows.group_by(INSTRUMENT_KEYS).agg(last=pl.max("timestamp")).collect()
    trading = newest.join(listed.filter(status="trading"), on=INSTRUMENT_KEYS, how="semi")
    counted = trading.group_by("exchange").agg(
        timestamp=pl.max("last").dt.truncate("1d"),
        rows_checked=pl.len(),
        rows_failed=(pl.col("last") + (table.bar or timedelta()) < now - max_age).sum(),
    )
    return _named(counted, table, "fresh")


def _outliers(table: Table, rows: pl.LazyFrame, listed: pl.DataFrame) -> pl.DataFrame:
    """Bars whose close per coin is far from the median of all venues at that time."""
    near = rows.filter(pl.col("quote").is_in(USD_LIKE)).join(listed.lazy(), on=INSTRUMENT_KEYS)
    near = near.select("exchange", "base", "timestamp", close=pl.col("close") / pl.col("multiplier"))
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
    counted = counted.with_columns(
        table_name=pl.lit(table.name), check_name=pl.lit(check), blocking=pl.lit(CHECKS[check][0])
    )
    return as_quality(counted)
