"""Separate process: pulls tables of venues, all at once, and prints seconds, requests, problems, and peak memory."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections import Counter
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
        words = {"instrument_type": "perp", "warehouse": root, "fetcher": fetcher}
        calls = [partial(cexkit.pull, name, found, None, start, end, **words) for name, found in offered.items()]
        reports = at_once([partial(_timed, call) for call in calls])
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - began,
                "venues": {name: seconds for name, (_, seconds) in zip(offered, reports, strict=True)},
                "requests": {name: report.requests for name, (report, _) in zip(offered, reports, strict=True)},
                "rows": sum(report.rows for report, _ in reports),
                "problems": Counter(problem.message[:80] for report, _ in reports for problem in report.problems),
                "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


def _timed(call: partial) -> tuple[cexkit.warehouse.ingest.report.Report, float]:
    began = time.perf_counter()
    return call(), time.perf_counter() - began


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2], *map(json.loads, sys.argv[3:5]), *sys.argv[5:7])
