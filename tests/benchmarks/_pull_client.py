"""Separate process: pulls tables of venues, all at once, and prints seconds, requests, problems, and peak memory.

``floor`` is the time in seconds that the limit which binds a venue most takes for the requests that were sent.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import partial

import cexkit
from cexkit.config import Settings
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.http.workers import at_once
from cexkit.exchanges.registry import EXCHANGES


def main(base_urls: dict[str, str], root: str, venues: list[str], tables: list[str], start: str, end: str) -> None:
    """Pull from each venue the tables that it offers, for perps."""
    offered = {name: [t for t in tables if (t, "perp") in EXCHANGES[name].sources] for name in venues}
    began = time.perf_counter()
    with Fetcher(Settings(base_urls=base_urls, max_clock_skew_seconds=None)) as fetcher:
        spent = _count_costs(fetcher)
        words = {"instrument_type": "perp", "warehouse": root, "fetcher": fetcher}
        calls = [partial(cexkit.pull, name, found, None, start, end, **words) for name, found in offered.items()]
        reports = at_once([partial(_timed, call) for call in calls])
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - began,
                "venues": {name: seconds for name, (_, seconds) in zip(offered, reports, strict=True)},
                "floor": {name: _floor(fetcher, name, spent) for name in offered},
                "requests": {name: report.requests for name, (report, _) in zip(offered, reports, strict=True)},
                "rows": sum(report.rows for report, _ in reports),
                "problems": Counter(problem.message[:80] for report, _ in reports for problem in report.problems),
                "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


def _count_costs(fetcher: Fetcher) -> Counter[str]:
    """Count what requests spend of each budget from here on."""
    limiter, spent = fetcher._http.limiter, Counter()
    charge = limiter.charge

    def counted(cost: Mapping[str, float]) -> AbstractContextManager[None]:
        spent.update(cost)
        return charge(cost)

    limiter.charge = counted
    return spent


def _floor(fetcher: Fetcher, exchange: str, spent: Counter[str]) -> float:
    windows = fetcher._http.limiter._windows
    seconds = [
        cost * windows[name].per_seconds / windows[name].limit
        for name, cost in spent.items()
        if name.startswith(f"{exchange}.")
    ]
    return round(max(seconds, default=0.0), 1)


def _timed(call: partial) -> tuple[cexkit.warehouse.ingest.report.Report, float]:
    began = time.perf_counter()
    return call(), time.perf_counter() - began


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2], *map(json.loads, sys.argv[3:5]), *sys.argv[5:7])
