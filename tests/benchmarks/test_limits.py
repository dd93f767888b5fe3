"""Reading a venue at its limit over a network with latency: the share of Bybit's limit that a pull reaches.

By default a short form runs. The long one reads until three whole windows of the limit are measured, also with jitter,
and compares with one request after another::

    python -m pytest tests/benchmarks/test_limits.py --long -s
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from bisect import bisect_left
from datetime import timedelta
from pathlib import Path

import pytest

from cexkit.config import Settings
from cexkit.exchanges.fetcher import Fetcher
from cexkit.schema.intervals import utc
from cexkit.testing import LoopbackBinance
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.pull import pull
from tests.benchmarks._slow_bybit import DAYS, NOW, START

HERE = Path(__file__).parent
#: Bybit's limit: requests in a span of seconds.
LIMIT, SPAN_SECONDS = 600, 5.0
#: Pages of a minute bar's year.
PAGES = DAYS * 1440 // 1000


class Venue:
    """A loopback Bybit in a separate process."""

    def __init__(self, latency: float, jitter: float):
        words = [sys.executable, str(HERE / "_slow_bybit.py"), str(latency), str(jitter)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.base_urls = json.loads(self._process.stdout.readline())

    def __enter__(self) -> Venue:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def requests(self) -> list[tuple[float, int]]:
        """When each request since the last call arrived, and the status of its response."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def read_year(venue: Venue, folder: Path, count: int, years: int = 1, end: str = NOW) -> float:
    """Pull a year of minute bars into empty warehouses; return the seconds that a year takes."""
    began = time.perf_counter()
    with Fetcher(Settings(base_urls=venue.base_urls, max_clock_skew_seconds=None, concurrent_requests=count)) as reader:
        for year in range(years):
            report = pull("bybit", "ohlcv_1m", "BTCUSDT", START, end, instrument_type="perp",
                          warehouse=folder / str(year), fetcher=reader)  # fmt: skip
            assert not report.problems
    return (time.perf_counter() - began) / years


def most_in_a_span(times: list[float]) -> int:
    return max(n + 1 - bisect_left(times, at - SPAN_SECONDS) for n, at in enumerate(times))


@pytest.mark.parametrize("jitter", [0.0, 0.1])
def test_share_of_the_limit(request, tmp_path, jitter):
    """``Fetcher`` alone, so that building Silver does not interrupt the measurement."""
    long = request.config.getoption("--long")
    with Venue(0.15, jitter) as venue:
        settings = Settings(base_urls=venue.base_urls, max_clock_skew_seconds=None, concurrent_requests=64)
        with Fetcher(settings) as reader:
            for _ in range(5 if long else 1):
                end = NOW if long else "2025-07-01"
                reader.fetch("bybit", "ohlcv_1m", "BTCUSDT", START, end, instrument_type="perp")
        times = [at for at, _ in venue.requests()]
    assert most_in_a_span(times) <= LIMIT
    if long:
        after = [at for at in times if times[0] + SPAN_SECONDS <= at < times[0] + 4 * SPAN_SECONDS]
        share = len(after) / (3 * LIMIT)
        print(f"\njitter {jitter} s: {len(after)} requests in three windows, {share:.3f} of the limit")
        assert share >= 0.88


def test_year_of_minute_bars(request, tmp_path):
    """At once, and one request after another; the ratio holds on any machine."""
    long = request.config.getoption("--long")
    with Venue(0.15, 0.0) as venue:
        end = NOW if long else "2025-07-01"
        many = read_year(venue, tmp_path / "many", 64, end=end)
        assert not [status for _, status in venue.requests() if status != 200]
        one = read_year(venue, tmp_path / "one", 1, end=end)
    print(f"\n{many:.1f} s at once, {one:.1f} s one after another: {one / many:.1f} times")


def test_archive_files_of_one_instrument(request, tmp_path):
    """Sixty daily files, several at once and one after another."""
    days = 60 if request.config.getoption("--long") else 10
    start = utc("2026-03-01")
    tables = simulate(start=start, end=start + timedelta(days=days), coins=["BTC"], exchanges=["binance"]).tables
    seconds = []
    with LoopbackBinance(tables, now="2026-06-10", latency_seconds=0.15) as venue:
        for count in (32, 1):
            with Fetcher(venue.settings.model_copy(update={"concurrent_requests": count})) as reader:
                began = time.perf_counter()
                report = pull("binance", "open_interest", "BTCUSDT", start, start + timedelta(days=days),
                              instrument_type="perp", warehouse=tmp_path / str(count), fetcher=reader)  # fmt: skip
                seconds.append(time.perf_counter() - began)
                assert not report.problems
    many, one = seconds
    print(f"\n{days} files: {many:.1f} s at once, {one:.1f} s one after another: {one / many:.1f} times")
