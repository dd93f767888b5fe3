"""An hourly refresh of four venues, and a backfill of one, over a network with 150 ms of latency.

By default a short form runs. The long one has 200 perps of each venue, and 600 perps of Bybit::

    python -m pytest tests/benchmarks/test_refresh_and_backfill.py --long -s
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest

from cexkit.schema.intervals import utc

HERE = Path(__file__).parent
TABLES = ["funding_rates", "open_interest", "ohlcv_1h"]
ALL_TABLES = [*TABLES, "ohlcv_1m", "ohlcv_1d", "mark_1h", "index_1h"]
LATENCY = 0.15
#: Longest time of a refresh of all tables, as a multiple of the time that its requests take at the limits.
FLOOR_RATIO = 1.25


@contextmanager
def venues(symbols: int, days: int, hours: int, *, all_tables: bool = False):
    numbers = [symbols, days, LATENCY, hours, int(all_tables)]
    words = [sys.executable, str(HERE / "_pipeline_venues.py"), *map(str, numbers)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process, json.loads(process.stdout.readline())
        process.stdin.close()


def pull(urls: dict[str, str], root: Path, names: list[str], tables: list[str], start: str, end: str) -> dict:
    lists = [json.dumps(urls), str(root), json.dumps(names), json.dumps(tables)]
    words = [sys.executable, str(HERE / "_pull_client.py"), *lists, start, end]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def pull_apart(urls: dict[str, str], root: Path, names: list[str], tables: list[str], start: str, end: str) -> dict:
    """Pull each venue in a separate process, as Dagster does."""
    began = time.perf_counter()
    with ThreadPoolExecutor(len(names)) as pool:
        found = list(pool.map(lambda name: pull(urls, root, [name], tables, start, end), names))
    merged = {part: {} for part in ("venues", "floor", "requests", "problems")}
    for part, of in product(merged, found):
        merged[part] |= of[part]
    sums = {part: sum(each[part] for each in found) for part in ("rows", "memory_mb")}
    return {"seconds": time.perf_counter() - began, **merged, **sums}


@pytest.mark.parametrize("tables", [TABLES, ALL_TABLES], ids=["three tables", "all tables"])
def test_hourly_refresh(request, tmp_path, tables):
    """The last hour of a day, into a warehouse that holds the time before it; all tables by a process per venue."""
    run = pull if tables is TABLES else pull_apart
    long, names = request.config.getoption("--long"), ["binance", "bybit", "coinbase", "okx"]
    with venues(200 if long else 10, 3, 1, all_tables=tables is ALL_TABLES) as (process, said):
        first, _, last = said["days"]
        # venues have rows before, as they do
        start = (utc(first) + timedelta(days=2)).isoformat()
        hour_before = (utc(last) - timedelta(hours=1)).isoformat()
        before = run(said["base_urls"], tmp_path, names, tables, start, hour_before)
        process.stdin.write("\n")
        process.stdin.flush()
        process.stdout.readline()
        found = run(said["base_urls"], tmp_path, names, tables, start, last)
    print(f"\nbefore: {before}\nan hour later: {found}")
    assert found["rows"]
    if long and tables is TABLES:
        assert found["seconds"] <= 90
        assert found["memory_mb"] <= 700
    if long and tables is ALL_TABLES:
        assert found["seconds"] <= FLOOR_RATIO * max(found["floor"].values())


def test_backfill_of_one_venue(request, tmp_path):
    """Ninety days of funding and hourly bars."""
    long = request.config.getoption("--long")
    with venues(600 if long else 10, 100 if long else 20, 24) as (_, said):
        first, end, _ = said["days"]
        start = (utc(first) + timedelta(days=10)).isoformat()
        found = pull(said["base_urls"], tmp_path, ["bybit"], ["funding_rates", "ohlcv_1h"], start, end)
    print(f"\nbackfill: {found}")
    assert found["rows"]
    if long:
        assert found["seconds"] <= 90
