"""Metrics on rows by time, instruments interleaved, compared with the shortest Polars code that is right on them.

Both run in turns, nine times each; the ratio is the median of the turns', with its quartiles. Processor time is shown
as well, because other programs on the machine hardly change it. ``CEXKIT_BENCHMARK_ROWS`` makes the frame smaller.
"""

from __future__ import annotations

import gc
import math
import os
import statistics
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

import cexkit

ROWS, INSTRUMENTS, ROUNDS = int(os.environ.get("CEXKIT_BENCHMARK_ROWS", 3_000_000)), 100, 9
RESAMPLED_ROWS = 600_000


def by_time(rows: int) -> pl.DataFrame:
    """Hourly rows of instruments that take turns."""
    rng, hours = np.random.default_rng(7), rows // INSTRUMENTS
    start = datetime(2024, 1, 1, tzinfo=UTC)
    times = pl.datetime_range(start, start + timedelta(hours=hours - 1), "1h", eager=True)
    return pl.DataFrame(
        {
            "exchange": "x",
            "instrument_type": "perp",
            "symbol": np.tile([f"C{number:03d}USDT" for number in range(INSTRUMENTS)], hours),
            "timestamp": times.gather(np.repeat(np.arange(hours), INSTRUMENTS)),
            "funding_rate": rng.normal(1e-4, 5e-5, rows),
            "funding_interval_hours": 8.0,
            "close": 100 * np.exp(np.cumsum(rng.normal(0, 0.01, (hours, INSTRUMENTS)), axis=0)).ravel(),
            "volume_base": rng.random(rows),
        }
    )


def in_time(step: pl.Expr) -> pl.Expr:
    return step.over("symbol", order_by="timestamp")


def shortest_zscore(frame: pl.DataFrame) -> pl.DataFrame:
    apr = pl.col("apr")
    frame = frame.with_columns(apr=pl.col("funding_rate") * 24 / pl.col("funding_interval_hours") * 365)
    return frame.with_columns(value=in_time((apr - apr.rolling_mean(90)) / apr.rolling_std(90)))


def shortest_volatility(frame: pl.DataFrame) -> pl.DataFrame:
    frame = frame.with_columns(gain=in_time(pl.col("close").log().diff()))
    return frame.with_columns(value=in_time(pl.col("gain").rolling_std(30)) * math.sqrt(8760))


#: Metric → the shortest code, which checks nothing.
SHORTEST: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "cumulative_funding": lambda frame: frame.with_columns(value=in_time(pl.col("funding_rate").cum_sum())),
    "realized_volatility": shortest_volatility,
    "funding_zscore": shortest_zscore,
}


def measured(run: Callable[[], object]) -> tuple[float, float]:
    gc.collect()
    wall, worked = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - worked


def compare(benchmark, ours: Callable[[], object], theirs: Callable[[], object]) -> None:
    """Run both in turns, and leave the ratios to the report."""
    ours(), theirs()
    turns = [(measured(ours), measured(theirs)) for _ in range(ROUNDS)]
    walls, works = ([one[side] / other[side] for one, other in turns] for side in (0, 1))
    low, _, high = statistics.quantiles(walls, n=4)
    benchmark.extra_info |= {
        "ratio": statistics.median(walls), "low": low, "high": high, "work": statistics.median(works),
        "work_ms": statistics.median(one[1] for one, _ in turns) * 1e3,
    }  # fmt: skip
    benchmark.pedantic(ours, rounds=1)


@pytest.mark.parametrize("name", SHORTEST)
def test_by_time(benchmark, name):
    benchmark.group, frame = "by time", by_time(ROWS)
    compare(benchmark, lambda: getattr(cexkit, name)(frame), lambda: SHORTEST[name](frame))


def test_resample_of_bars_with_funding(benchmark):
    """The same bars without funding are the alternative: what funding adds is the search for missing settlements."""
    benchmark.group, frame = "by time", by_time(min(ROWS, RESAMPLED_ROWS)).drop("funding_interval_hours")
    settled = pl.col("timestamp").dt.hour() % 8 == 0
    joined = frame.with_columns(pl.when(settled).then("funding_rate").alias("funding_rate"))
    bars = joined.drop("funding_rate")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compare(benchmark, lambda: cexkit.resample(joined), lambda: cexkit.resample(bars))


@pytest.mark.parametrize("name", SHORTEST)
def test_shortest_code_is_the_same_metric(name):
    frame = by_time(60_000)
    got, want = getattr(cexkit, name)(frame)[name], SHORTEST[name](frame)["value"]
    both = got.is_not_null() & want.is_not_null()
    assert both.sum() > 0.8 * len(both)
    assert ((got - want).abs() <= 1e-6 * want.abs() + 1e-9).filter(both).all()
