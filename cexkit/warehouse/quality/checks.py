"""All checks of a warehouse.

Silver holds no row that fails a declared check, because those are quarantined. These checks read the files again, and
find what no single row can show: keys, gaps, age, other venues, Bronze. The result is the table ``data_quality``.

Facts about the rows of each file are cached in ``checks/``, so a run costs as much as the files that changed.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path

import polars as pl

from cexkit.errors import QualityError
from cexkit.schema import INSTRUMENT_KEYS, TABLES, Table
from cexkit.schema import table as declared
from cexkit.schema.render import to_polars
from cexkit.warehouse.quality.advice import advice
from cexkit.warehouse.quality.bronze import (
    count_quarantined,
    lost_files,
    quarantined_rows,
    read_ledgers,
    recorded_rows,
)
from cexkit.warehouse.quality.cache import ResultCache
from cexkit.warehouse.quality.calendar import age, gaps
from cexkit.warehouse.quality.catalog import checks_of, named
from cexkit.warehouse.quality.facts import add_days, count_facts
from cexkit.warehouse.quality.files import InspectedFile, disjoint_facts, file_checks, inspect
from cexkit.warehouse.quality.row_checks import as_quality
from cexkit.warehouse.quality.venues import outliers
from cexkit.warehouse.store.parquet import scan_table
from cexkit.warehouse.store.warehouse import Warehouse
from cexkit.warehouse.store.wording import counted, first_names

#: How old the newest row of a table may be: a day's refresh and the time it takes.
MAX_AGE = timedelta(hours=36)

_DAY = ("exchange", "timestamp")


def run_checks(
    warehouse: Warehouse,
    names: Iterable[str] | None = None,
    *,
    now: datetime | None = None,
    max_age: timedelta = MAX_AGE,
    full: bool = False,
) -> pl.DataFrame:
    """Run all checks over the Silver tables of a warehouse.

    Parameters
    ----------
    warehouse : Warehouse
        Warehouse to check. Only its folder ``checks/`` is changed, which caches results and may be deleted.
    names : iterable of str, optional
        Tables to check. Default: all that have rows.
    now : datetime, optional
        Time at which the age of data is measured. Default: the current time.
    max_age : timedelta
        Maximum age of the newest row of a trading instrument.
    full : bool, default False
        True to read every row again and compute the hash of every file, whatever is cached.

    Returns
    -------
    polars.DataFrame
        Table ``data_quality``: one row for every venue, table, check, and UTC day of data, also where nothing failed.

    Raises
    ------
    UnknownTableError
        If a table is unknown.
    DatasetError
        If the manifest, a ledger, or quarantined rows cannot be read.

    Examples
    --------
    >>> from cexkit.warehouse.store.locations import SAMPLE_ROOT
    >>> found = run_checks(Warehouse(SAMPLE_ROOT))
    >>> blocking_failures(found).height
    0
    """
    wanted = TABLES if names is None else {declared(name).name for name in names}
    run = _Run(warehouse, now or datetime.now(UTC), max_age, full=full)
    parts = [part for table in run.tables(wanted) for part in run.results(table)]
    run.sweep([TABLES[name] for name in wanted])
    return as_quality(pl.concat(parts)) if parts else as_quality(to_polars(TABLES["data_quality"]).to_frame())


def blocking_failures(quality: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of ``data_quality`` that stop a publication."""
    return quality.filter("blocking", pl.col("rows_failed") > 0)


def raise_on_failures(quality: pl.DataFrame, root: Path | None = None) -> None:
    """Raise if data fails a blocking check.

    Parameters
    ----------
    quality : polars.DataFrame
        Table ``data_quality``.
    root : Path, optional
        Folder of the warehouse; the message names its lost Bronze files.

    Raises
    ------
    QualityError
        Naming the table, venue, check, and day of the first failures, and what to do about them.

    Examples
    --------
    >>> raise_on_failures(to_polars(TABLES["data_quality"]).to_frame())
    """
    failed = blocking_failures(quality)
    if failed.height:
        failures = [
            f"{row['table_name']} of {row['exchange']} on {row['timestamp']:%Y-%m-%d}: {row['check_name']} fails for "
            f"{row['rows_failed']} of {row['rows_checked']} rows"
            for row in failed.iter_rows(named=True)
        ]
        what = counted(failed.height, "blocking check")
        raise QualityError(f"{what} failed: {first_names(failures)}. To do: {advice(failed, root)}")


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Result of one check over all rows of a venue's table; ``days`` are those on which rows failed."""

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
    """Return a line for every venue and table whose newest rows are too old."""
    run = _Run(warehouse, now or datetime.now(UTC), MAX_AGE, full=False)
    found = [run.age(table) for table in run.tables(TABLES) if "fresh" in checks_of(table)]
    return [
        f"{row['table_name']} of {row['exchange']}: {row['rows_failed']} of {row['rows_checked']} instruments, "
        f"newest day {row['timestamp']:%Y-%m-%d}"
        for rows in found
        for row in rows.filter(pl.col("rows_failed") > 0).iter_rows(named=True)
    ]


class _Run:
    """One run over the state that a warehouse has at its begin."""

    def __init__(self, warehouse: Warehouse, now: datetime, max_age: timedelta, *, full: bool):
        self._root, self._now, self._max_age = warehouse.root, now, max_age
        self._manifest = warehouse.manifest
        self._cache = ResultCache(warehouse.root, full=full)
        self._inspected: dict[str, list[InspectedFile]] = {}

    def tables(self, wanted: Container[str]) -> list[Table]:
        """Return the wanted Silver tables that have files, or a ledger by which they should have."""
        silver = [table for table in TABLES.values() if table.layer == "silver" and table.name in wanted]
        return [table for table in silver if self._manifest.select(table.name) or read_ledgers(self._root, table)]

    def results(self, table: Table) -> Iterator[pl.DataFrame]:
        """Yield the results of all checks of a table."""
        files, ledgers, today = self._files(table), read_ledgers(self._root, table), self._manifest.updated_at
        yield from file_checks(files, table, today)
        if table.made_with is None:
            yield lost_files(table, ledgers, today)
        facts = disjoint_facts(files, table)
        days = add_days([part.days for part in facts]) if facts else _no_days(table)
        quarantined = count_quarantined(self._root, table)
        if table.made_with is None:
            yield recorded_rows(table, ledgers, days, quarantined, today)
        yield quarantined_rows(table, days, quarantined)
        yield from _row_checks(table, days)
        if not facts:
            return
        fits = checks_of(table)
        if "gaps" in fits:
            yield gaps(table, facts, days, self._listed, self._breaks, self._scan(table))
        if "fresh" in fits:
            yield age(table, facts, self._listed, self._now, self._max_age)
        if "outlier" in fits:
            yield outliers(table, files, self._listed, self._cache)

    def age(self, table: Table) -> pl.DataFrame:
        """Return the check ``fresh`` of a table."""
        facts = [each.facts for each in self._files(table) if each.facts is not None]
        facts = facts or [count_facts(to_polars(table).to_frame(), table)]
        return age(table, facts, self._listed, self._now, self._max_age)

    def sweep(self, tables: Iterable[Table]) -> None:
        """Delete cached results of files that left the dataset."""
        for table in tables:
            self._cache.sweep(table)

    def _files(self, table: Table) -> list[InspectedFile]:
        if table.name not in self._inspected:
            files = self._manifest.select(table.name)
            self._inspected[table.name] = [inspect(self._root, file, table, self._cache) for file in files]
        return self._inspected[table.name]

    @cached_property
    def _listed(self) -> pl.DataFrame:
        """The life, unit, and class of each instrument as last observed, from the files that can be read."""
        columns = [*INSTRUMENT_KEYS, "multiplier", "asset_class", "status", "delisting_time", "expiry"]
        rows = self._scan(TABLES["instruments"])
        latest = rows.sort("observed_at", maintain_order=True).unique(INSTRUMENT_KEYS, keep="last", maintain_order=True)
        return latest.select(columns).collect()

    @cached_property
    def _breaks(self) -> pl.DataFrame:
        """The times in which instruments were delisted that were listed again: ``gone`` and ``back``."""
        rows = self._scan(TABLES["instrument_periods"]).sort(*INSTRUMENT_KEYS, "valid_from")
        rows = rows.with_columns(back=pl.col("listing_time").shift(-1).over(INSTRUMENT_KEYS))
        breaks = rows.filter(pl.col("status") == "delisted", pl.col("back") > pl.col("delisting_time"))
        return breaks.select(*INSTRUMENT_KEYS, "back", gone="delisting_time").collect()

    def _scan(self, table: Table) -> pl.LazyFrame:
        """Return the rows of a table in the files that can be read."""
        paths = [each.path for each in self._files(table) if each.facts is not None]
        return scan_table(paths, table) if paths else to_polars(table).to_frame().lazy()


def _row_checks(table: Table, days: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield the checks of single rows and keys."""
    for check in table.checks:
        yield named(days.select(*_DAY, rows_checked="rows", rows_failed=f"failed_{check.name}"), table, check.name)
    keyed = days.filter(pl.col("keyed") > 0)
    yield named(keyed.select(*_DAY, rows_checked="keyed", rows_failed="doubled"), table, "unique_key")


def _no_days(table: Table) -> pl.DataFrame:
    return count_facts(to_polars(table).to_frame(), table).days
