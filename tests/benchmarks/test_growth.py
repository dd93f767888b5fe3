"""One more day after many days next to one after a few: requests, Silver, compaction, and checks, in one run.

Each day is one run, so that the warehouse has as many Bronze files as days. By default 300 days; ``--long`` has 1,500.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from statistics import median

import pytest

from cexkit.config import Settings
from cexkit.exchanges.fetcher import Fetcher
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, utc
from cexkit.warehouse.ingest.bronze import ingest_bronze
from cexkit.warehouse.ingest.listings import instruments
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.quality import run_checks
from cexkit.warehouse.store.compact import compact
from cexkit.warehouse.store.warehouse import Warehouse

VENUE, NAMES, SYMBOLS = "bybit", ("ohlcv_1h", "funding_rates"), 10
FEW, DAY = 5, timedelta(days=1)
#: Most that one more day may cost after many days, as a multiple of the cost after a few.
AT_MOST = 1.5


class History:
    """A warehouse with some days of two tables, one run per day."""

    def __init__(self, root: Path, days: int):
        script = Path(__file__).parent / "_pipeline_venues.py"
        command = [sys.executable, str(script), str(SYMBOLS), str(days)]
        self._venues = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        said = json.loads(self._venues.stdout.readline())
        self.warehouse, (first, last, _) = Warehouse(root), said["days"]
        self._first, self._end = utc(first), utc(last)
        self._fetcher = Fetcher(Settings(base_urls=said["base_urls"], max_clock_skew_seconds=None))

    def fill(self) -> None:
        """Read all days, and build and check them."""
        self._listing()
        for number in range((self._end - self._first).days):
            start = self._first + number * DAY
            self._request(Window(start, start + DAY))
        self._build()

    def one_more_day(self) -> float:
        """Return the seconds that a day's refresh takes."""
        self._venues.stdin.write("\n")
        self._venues.stdin.flush()
        self._venues.stdout.readline()
        began = time.perf_counter()
        self._listing()
        self._request(Window(self._end, self._end + DAY))
        self._build()
        return time.perf_counter() - began

    def close(self) -> None:
        self._fetcher.close()
        self._venues.stdin.close()
        self._venues.wait()

    def _listing(self) -> None:
        ingest_bronze(self.warehouse, self._fetcher, VENUE, TABLES["instruments"])
        build_silver(self.warehouse, VENUE, TABLES["instruments"])

    def _request(self, window: Window) -> None:
        for table in (TABLES[name] for name in NAMES):
            of = instruments(self.warehouse, VENUE, table, window)
            ingest_bronze(self.warehouse, self._fetcher, VENUE, table, window, of)

    def _build(self) -> None:
        for name in NAMES:
            build_silver(self.warehouse, VENUE, TABLES[name])
        compact(self.warehouse)
        run_checks(self.warehouse)


def test_one_more_day_after_many(benchmark, tmp_path, request: pytest.FixtureRequest):
    many, seconds = 1500 if request.config.getoption("--long") else 300, {}
    benchmark.group = "one more day"

    def both() -> None:
        for days in (FEW, many):
            rounds = []
            for number in range(3):
                history = History(tmp_path / f"{days}-{number}", days)
                history.fill()
                rounds.append(history.one_more_day())
                history.close()
                if days == many:
                    break
            seconds[days] = median(rounds)

    benchmark.pedantic(both, rounds=1)
    ratio = seconds[many] / seconds[FEW]
    benchmark.extra_info["ratio"] = round(ratio, 3)
    print(f"{seconds[FEW]:.2f} s after {FEW} days, {ratio:.2f} times that after {many}")
    assert ratio <= AT_MOST
