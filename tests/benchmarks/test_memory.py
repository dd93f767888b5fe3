"""Peak memory of metrics beyond the frame they are given, 3 million rows, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Metric → the columns it reads, beside timestamp and keys.
READS = {
    "funding_apr": ["funding_rate", "funding_interval_hours"],
    "cumulative_funding": ["funding_rate"],
    "funding_zscore": ["funding_rate", "funding_interval_hours"],
    "realized_volatility": ["close"],
    "drawdown": ["close"],
    "oi_quadrant": ["open_interest_base", "close"],
}

SCRIPT = """
import sys, threading, time
import numpy as np, polars as pl, psutil
import cexkit
from datetime import datetime, timedelta
name, columns = sys.argv[1], sys.argv[2].split(",")
rows, each, rng = 3_000_000, 30_000, np.random.default_rng(0)
start = datetime(2020, 1, 1)
times = pl.datetime_range(start, start + timedelta(hours=8 * (each - 1)), "8h", eager=True)
frame = pl.DataFrame({
    "exchange": pl.Series(["binance"]).new_from_index(0, rows),
    "symbol": np.repeat([f"C{i:02}USDT" for i in range(100)], each),
    "timestamp": pl.concat([times] * 100).dt.cast_time_unit("us").dt.replace_time_zone("UTC"),
} | {column: (np.full(rows, 8.0) if "hours" in column else rng.uniform(1e-4, 2e-4, rows)) for column in columns})
getattr(cexkit, name)(frame.head(1000))
used = frame.select(["timestamp", "symbol", *columns]).estimated_size()
me, peak, done = psutil.Process(), 0, threading.Event()
def watch():
    global peak
    while not done.is_set():
        peak = max(peak, me.memory_info().rss)
        time.sleep(0.0005)
before = me.memory_info().rss
watcher = threading.Thread(target=watch); watcher.start()
result = getattr(cexkit, name)(frame)
done.set(); watcher.join()
print((peak - before) / used)
"""


@pytest.mark.parametrize("name", READS)
def test_peak_memory(benchmark, name):
    benchmark.group = "memory"
    ratios: list[float] = []

    def run() -> None:
        words = [sys.executable, "-c", SCRIPT, name, ",".join(READS[name])]
        ratios.append(float(subprocess.run(words, capture_output=True, text=True, check=True, timeout=120).stdout))

    benchmark.pedantic(run, rounds=3)
    benchmark.extra_info["ratio"] = sorted(ratios)[1]
