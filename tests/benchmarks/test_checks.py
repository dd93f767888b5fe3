"""Checks of a warehouse: their cost after one more day, for short and long histories, and cached next to full.

The ratios are those of one run; see ``test_metrics.py`` for how the table of the docs is made.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache

import numpy as np
import polars as pl
import pytest

from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, utc
from cexkit.schema.render import to_polars
from cexkit.warehouse.quality import run_checks
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.compact import compact
from cexkit.warehouse.store.warehouse import Warehouse

VENUES, SYMBOLS = ("binance", "okx"), 20
#: The day after the last one of every history, in the middle of a year.
END, DAY = utc("2026-06-24"), timedelta(days=1)
HISTORIES = (5, 300, 1500)
NAMES = ("ohlcv_1h", "funding_rates")


@lru_cache(maxsize=8)
def rows(name: str, start: datetime, end: datetime) -> pl.DataFrame:
    """Return sound rows of all instruments in a window."""
    step = timedelta(hours=1 if name == "ohlcv_1h" else 8)
    times = pl.DataFrame({"timestamp": pl.datetime_range(start, end, step, closed="left", time_zone="UTC", eager=True)})
    keys = [
        {"exchange": venue, "instrument_type": "perp", "symbol": f"C{n:03}USDT", "base": f"C{n:03}", "quote": "USDT"}
        for venue in VENUES
        for n in range(SYMBOLS)
    ]
    found = pl.DataFrame(keys).join(times, how="cross")
    draws = np.random.default_rng(0).lognormal(size=found.height)
    if name == "ohlcv_1h":
        values = dict.fromkeys(("open", "high", "low", "close", "volume_base"), pl.Series(draws))
    else:
        values = {"funding_rate": pl.Series(draws / 1e6), "funding_interval_hours": pl.lit(8.0)}
    schema = to_polars(TABLES[name])
    absent = {column: pl.lit(None, kind) for column, kind in schema.items() if column not in found.columns}
    return found.with_columns(**(absent | values)).select(schema.names()).cast(dict(schema))


def add(warehouse: Warehouse, start: datetime, end: datetime) -> None:
    """Add a window of rows in the files that an ingestion at its end would write."""
    for name in NAMES:
        table = TABLES[name]
        for venue in VENUES:
            present = {file.period for file in warehouse.manifest.select(name, exchanges=[venue])}
            periods = layout.periods(table, Window(start, end), end, present)
            spans = [layout.span_of(period) for period in periods]
            around = Window(min(span.start for span in spans), max(span.end for span in spans))
            kept = pl.from_arrow(warehouse.read(table, exchange=venue, span=around))
            both = pl.concat([kept, rows(name, start, end).filter(exchange=venue)])
            warehouse.replace(table, venue, periods, both.to_arrow())
    compact(warehouse, now=end)


def made(folder, days: int) -> Warehouse:
    """Return a warehouse with this many days whose checks were run."""
    warehouse = Warehouse(folder)
    terms = {"multiplier": 1.0, "contract_size": 1.0, "inverse": False, "observed_at": END}
    terms |= {"venue_symbol": "X", "settle": "USDT", "status": "trading"}
    listed = rows(NAMES[0], END - DAY, END).select("exchange", "instrument_type", "symbol", "base", "quote").unique()
    schema = to_polars(TABLES["instruments"])
    listed = listed.with_columns(**{name: pl.lit(value) for name, value in terms.items()})
    absent = {column: pl.lit(None, kind) for column, kind in schema.items() if column not in listed.columns}
    listed = listed.with_columns(**absent).select(schema.names()).cast(dict(schema))
    warehouse.write(TABLES["instruments"], listed.to_arrow())
    add(warehouse, END - days * DAY, END)
    run_checks(warehouse, now=END)
    return warehouse


@pytest.mark.parametrize("days", HISTORIES)
def test_checks_after_one_more_day(benchmark, tmp_path, days):
    benchmark.group = "checks after one more day, by days of history"
    warehouse, end = made(tmp_path, days), [END]

    def one_more_day() -> None:
        add(warehouse, end[0], end[0] + DAY)
        end[0] += DAY

    def checks() -> pl.DataFrame:
        return run_checks(warehouse, now=end[0])

    benchmark.pedantic(checks, setup=one_more_day, rounds=7, warmup_rounds=2)
    failed = checks().filter(pl.col("rows_failed") > 0)
    assert failed.is_empty(), failed


@pytest.mark.parametrize("version", ["cached", "full"])
def test_checks_of_unchanged_files(benchmark, tmp_path, version):
    benchmark.group = "checks of 1,500 days, no file changed"
    warehouse = made(tmp_path, HISTORIES[-1])
    benchmark.pedantic(lambda: run_checks(warehouse, now=END, full=version == "full"), rounds=5, warmup_rounds=1)
