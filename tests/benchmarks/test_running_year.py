"""The running year in pieces: bytes that a day uploads, and what a query costs, compared with one file per year.

By default a small form runs; ``--long`` has 200 symbols day by day, and queries on hourly bars of 600::

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
#: Parts of a dataset of one year that a publication may upload: on the median day, on one that closes a week or month.
MEDIAN, WEEK, MONTH = 0.05, 0.10, 1.05
#: Most additional files of a window of 30 days, and latency of a year of one symbol compared with one file.
MORE_FILES, SLOWER = 2, 1.5


class Growing:
    """Tables with one file per year, written day by day: the last days again, then compaction."""

    def __init__(self, root: Path, symbols: int):
        self.warehouse = Warehouse(root)
        trades = bars(symbols, YEAR.start, YEAR.end + 5 * DAY)
        noise = np.random.default_rng(1).normal(1, 1e-4, trades.height)
        prices = ("open", "high", "low", "close")
        priced = trades.with_columns((pl.col(name) * noise).round(8) for name in prices)
        every = {name: pl.col("timestamp").dt.hour() % hours == 0 for name, hours in (("8h", 8), ("1d", 24))}
        self.tables = {
            "ohlcv_1h": trades,
            "mark_1h": priced.select(TABLES["mark_1h"].columns),
            "ohlcv_1d": trades.filter(every["1d"]),
            "funding_rates": priced.filter(every["8h"]).select(
                *(name for name in TABLES["funding_rates"].key),
                *("base", "quote"),
                funding_rate=(pl.col("trades") / 1e7).round(8),
                funding_interval_hours=pl.lit(8.0),
                mark_price="close",
                index_price=pl.lit(None, pl.Float64),
                venue_timestamp="timestamp",
            ),
        }

    def grow(self, now: datetime) -> None:
        for name, known in self.tables.items():
            present = [file.period for file in self.warehouse.manifest.select(name)]
            periods = layout.periods(TABLES[name], Window(now - 3 * DAY, now), now, present)
            spans = [layout.period_window(TABLES[name], period) for period in periods]
            inside = pl.any_horizontal(pl.col("timestamp").is_between(s.start, s.end, "left") for s in spans)
            rows = known.filter(inside, pl.col("timestamp") < now)
            self.warehouse.replace(TABLES[name], "okx", periods, rows.to_arrow())


def gold_share(root: Path) -> float:
    """The part of a simulated dataset of a year that is instruments and Gold, which a publication uploads whole."""
    warehouse = Warehouse(root)
    for name, rows in simulate(start="2025-06-01", end="2026-06-01").tables.items():
        if name != "ohlcv_1m":
            warehouse.write(TABLES[name], rows.to_arrow())
    for name in GOLD:
        build_gold(warehouse, name)
    sizes = dict.fromkeys(("all", "year"), 0)
    for file in warehouse.manifest.files:
        sizes[TABLES[file.table].period] += file.bytes
    return sizes["all"] / sum(sizes.values())


def test_publication_uploads_little_and_windows_open_few_files(tmp_path, request):
    growing = Growing(tmp_path / "year", 200 if request.config.getoption("--long") else 60)
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
    others = gold_share(tmp_path / "gold")
    shares: dict[str, list[float]] = {"day": [], "week": [], "month": []}
    for now, size in sent.items():
        ended = now - layout.SETTLED
        kind = "month" if ended.day == 1 else "week" if ended.day in (8, 15, 22) else "day"
        shares[kind].append(size / year + others)
    every = [share for found in shares.values() for share in found]
    print(f"\n{year / 1e6:.1f} MB a year; instruments and Gold are {others:.1%} in each of these")
    for kind, found in {**shares, "all": every}.items():
        print(f"{kind}: median {statistics.median(found):.1%}, most {max(found):.1%} of {len(found)} days")
    print(f"30 days: at most {more} files more than with one file per year")
    assert statistics.median(every) <= MEDIAN
    assert max(shares["week"]) <= WEEK
    assert max(shares["month"]) <= MONTH
    assert more <= MORE_FILES


def _more_files(warehouse: Warehouse, now: datetime) -> int:
    """Files of hourly bars that the last 30 days open, minus those of one file per year."""
    window = Window(max(now - 30 * DAY, YEAR.start), now)
    files = warehouse.manifest.select("ohlcv_1h", start=window.start, end=window.end)
    return len(files) - len(layout.periods(HOURS, window))


def bars(symbols: int, start: datetime, end: datetime) -> pl.DataFrame:
    """Hourly bars of some symbols of one venue: prices walk in ticks."""
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
        timestamp=times.gather(np.tile(np.arange(hours), symbols)), multiplier=1.0,
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
