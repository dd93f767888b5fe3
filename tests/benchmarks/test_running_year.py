"""The running year in pieces: bytes that a day's publication uploads, and what a query costs, next to one file a year.

By default a small form runs; ``--long`` has all simulated venues, and hourly bars of 600 symbols::

    python -m pytest tests/benchmarks/test_running_year.py --long -s

Bytes and numbers of files do not depend on the machine; latency is a ratio of two layouts in one run.
"""

from __future__ import annotations

import statistics
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, utc
from cexkit.testing.simulation import simulate
from cexkit.warehouse.gold.build import build_gold
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.compact import compact
from cexkit.warehouse.store.warehouse import Warehouse

HOURS, INSTRUMENTS = TABLES["ohlcv_1h"], TABLES["instruments"]
GOLD = ("funding_weighted_8h", "ohlcv_1d_composite", "liquidations_1d")
DAY = timedelta(days=1)
YEAR = Window.of("2025-01-01", "2026-01-01")
#: Simulated time begins in May.
SHIFT = timedelta(days=120)
#: Parts of a dataset of one year that a publication may upload: on the median day, on one that closes a week or month.
MEDIAN, WEEK, MONTH = 0.05, 0.10, 1.05
#: Most additional files of a window of 30 days, and latency of a year of one symbol compared with one file.
MORE_FILES, SLOWER = 2, 1.5


class Growing:
    """Tables with one file per year, brought in day by day: the last two days again, then compaction."""

    def __init__(self, root: Path, exchanges: list[str]):
        self.warehouse = Warehouse(root)
        span = {"start": YEAR.start + SHIFT, "end": YEAR.end + 5 * DAY + SHIFT}
        simulated = simulate(**span, exchanges=exchanges).tables
        self.tables = {name: _shifted(rows) for name, rows in simulated.items() if name != "ohlcv_1m"}
        self.yearly = [name for name in self.tables if TABLES[name].period == "year"]
        self.venues = exchanges

    def grow(self, now: datetime) -> None:
        for name in self.yearly:
            table = TABLES[name]
            for venue in self.venues:
                present = [file.period for file in self.warehouse.manifest.select(name, exchanges=[venue])]
                periods = layout.periods(table, Window(now - 3 * DAY, now), now, present)
                spans = [layout.period_window(table, period) for period in periods]
                inside = pl.any_horizontal(pl.col("timestamp").is_between(s.start, s.end, "left") for s in spans)
                rows = self.tables[name].filter(inside, pl.col("timestamp") < now, exchange=venue)
                self.warehouse.replace(table, venue, periods, rows.to_arrow())

    def other_bytes(self) -> int:
        """Size of instruments and Gold at the end, which a publication uploads whole."""
        self.warehouse.write(INSTRUMENTS, self.tables["instruments"].to_arrow())
        for name in GOLD:
            build_gold(self.warehouse, name, now=YEAR.end)
        return sum(file.bytes for file in self.warehouse.manifest.files if TABLES[file.table].period == "all")


def test_publication_uploads_little_and_windows_open_few_files(tmp_path, request):
    long = request.config.getoption("--long")
    growing = Growing(tmp_path, ["binance", "bybit", "coinbase", "okx"] if long else ["okx"])
    warehouse, held, sent, more = growing.warehouse, set(), {}, 0
    now = YEAR.start
    while now < YEAR.end + 5 * DAY:
        now += DAY
        growing.grow(now)
        more = max(more, _more_files(warehouse, now))
        compact(warehouse, now=now)
        more = max(more, _more_files(warehouse, now))
        files = {file.path: file.bytes for file in warehouse.manifest.files}
        sent[now] = sum(size for path, size in files.items() if path not in held)
        held = set(files)
    year = sum(file.bytes for file in warehouse.manifest.files if file.period == f"{YEAR.start.year}")
    others = growing.other_bytes()
    shares = {"median": [], "week": [], "month": []}
    for now, size in sent.items():
        ended = now - layout.SETTLED
        kind = "month" if ended.day == 1 else "week" if ended.day in (8, 15, 22) else "median"
        shares[kind].append((size + others) / (year + others))
    print(f"\n{(year + others) / 1e6:.1f} MB a year, instruments and Gold are {others / (year + others):.1%} of it")
    for kind, found in shares.items():
        print(f"{kind}: median {statistics.median(found):.1%}, most {max(found):.1%} of {len(found)} days")
    print(f"30 days: at most {more} files more than with one file per year")
    assert statistics.median([*shares["median"], *shares["week"], *shares["month"]]) <= MEDIAN
    assert max(shares["week"]) <= WEEK
    assert max(shares["month"]) <= MONTH
    assert more <= MORE_FILES


def _shifted(rows: pl.DataFrame) -> pl.DataFrame:
    times = [name for name in ("timestamp", "venue_timestamp") if name in rows.columns]
    return rows.with_columns(pl.col(times) - SHIFT) if times else rows


def _more_files(warehouse: Warehouse, now: datetime) -> int:
    """Files of hourly bars that the last 30 days open, less those of one file per year."""
    window = Window(max(now - 30 * DAY, YEAR.start), now)
    years = len(layout.periods(HOURS, window))
    venues = {file.exchange for file in warehouse.manifest.select("ohlcv_1h")}
    return max(
        len(warehouse.manifest.select("ohlcv_1h", start=window.start, end=window.end, exchanges=[venue])) - years
        for venue in venues
    )


def bars(symbols: int, start: datetime, end: datetime) -> pl.DataFrame:
    """Hourly bars of so many symbols of one venue: prices walk in ticks."""
    hours, rng = int((end - start) / timedelta(hours=1)), np.random.default_rng(0)
    level = np.geomspace(0.5, 50_000, symbols)[:, None]
    tick = 10.0 ** np.floor(np.log10(level) - 4)
    close = np.maximum(np.round(level * np.exp(np.cumsum(rng.normal(0, 4e-3, (symbols, hours)), axis=1)) / tick), 20)
    first = np.concatenate([np.round(level / tick), close[:, :-1]], axis=1)
    reach = rng.integers(0, 12, (2, symbols, hours))
    volume = np.round(rng.lognormal(2, 1.5, (symbols, hours)), 3)
    bought = np.round(volume * rng.random((symbols, hours)), 3)
    values = {
        "open": first * tick, "high": (np.maximum(first, close) + reach[0]) * tick,
        "low": (np.minimum(first, close) - reach[1]) * tick, "close": close * tick, "volume_base": volume,
        "volume_quote": np.round(volume * close * tick, 2), "trades": rng.integers(1, 900, (symbols, hours)),
        "taker_buy_volume_base": bought, "taker_buy_volume_quote": np.round(bought * close * tick, 2),
    }  # fmt: skip
    times = pl.datetime_range(start, end, "1h", closed="left", time_unit="us", time_zone="UTC", eager=True)
    names = pl.Series([f"C{number:03}" for number in range(symbols)])
    frame = pl.DataFrame({column: np.ravel(numbers) for column, numbers in values.items()}).with_columns(
        exchange=pl.lit("okx"), instrument_type=pl.lit("perp"), quote=pl.lit("USDT"),
        base=names.gather(np.repeat(np.arange(symbols), hours)),
        timestamp=times.gather(np.tile(np.arange(hours), symbols)),
    )  # fmt: skip
    return frame.with_columns(symbol=pl.col("base") + "USDT").select(HOURS.columns)


@pytest.fixture(scope="module")
def datasets(tmp_path_factory, pytestconfig) -> Path:
    """Two datasets of the same year of hourly bars, in one file and in pieces."""
    folder, now = tmp_path_factory.mktemp("bars"), utc("2025-12-24")
    rows = bars(600 if pytestconfig.getoption("--long") else 60, YEAR.start, now)
    names = rows.select("symbol", "base").unique().sort("symbol")
    listed = pl.DataFrame(
        [{field.name: None for field in INSTRUMENTS.fields} | row for row in names.iter_rows(named=True)]
    ).with_columns(
        exchange=pl.lit("okx"), instrument_type=pl.lit("perp"), quote=pl.lit("USDT"), settle=pl.lit("USDT"),
        venue_symbol="symbol", multiplier=1.0, contract_size=1.0, inverse=False, status=pl.lit("trading"),
        observed_at=pl.lit(now),
    )  # fmt: skip
    for layout_name in ("one file", "pieces"):
        warehouse = Warehouse(folder / layout_name.replace(" ", "-"))
        warehouse.write(INSTRUMENTS, listed.to_arrow())
        warehouse.write(HOURS, rows.to_arrow())
        if layout_name == "pieces":
            compact(warehouse, now=now)
        sizes = {file.period: f"{file.bytes / 1e6:.1f} MB" for file in warehouse.manifest.select("ohlcv_1h")}
        print(f"\n{rows.height:,} rows in {layout_name}: {sizes}")
        assert len(sizes) == {"one file": 1, "pieces": 3}[layout_name]
    return folder


@pytest.mark.parametrize("mode", ["direct", "cache"])
def test_year_of_one_symbol_costs_little_more_than_from_one_file(datasets, mode, monkeypatch):
    import cexkit

    monkeypatch.syspath_prepend(Path(__file__).parent)  # the process of the server imports it, too
    import client_report as report

    def ask(where: str, cache: str):
        market = cexkit.connect(where, mode=mode, cache=cache)
        table = market.table("ohlcv_1h", start="2025-01-01", end="2025-12-24", exchange="okx", symbol="C031USDT")
        return table.to_pyarrow()

    times: dict[str, list[float]] = {"one-file": [], "pieces": []}
    asked = {}
    with report.server("http", datasets) as (url, take):
        for _ in range(9):
            for name, found in times.items():
                take()
                with tempfile.TemporaryDirectory() as cache:
                    ms, rows = report.timed(lambda name=name, cache=cache: ask(f"{url}/{name}", cache))
                assert rows.num_rows == 357 * 24
                found.append(ms)
                asked[name] = take()
    ratio = min(times["pieces"]) / min(times["one-file"])
    for name, found in times.items():
        requests, size = asked[name]
        print(f"\n{mode}, {name}: {min(found):.0f} ms, {requests} requests, {size / 1e6:.2f} MB", end="")
    print(f"\n{mode}: {ratio:.2f} times the latency")
    assert ratio <= SLOWER
