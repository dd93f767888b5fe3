"""A process of its own: bring tables of four venues in as the pipeline does, and print what it took as JSON.

Arguments: base URLs (JSON), warehouse, start, end. Venues are read side by side, a venue's tables one after another,
by the functions that the Dagster assets call. Loopback venues have no archives of files, so none are asked for: all
comes through the APIs, whose limits are what is measured.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import ClassVar

import httpx

from cexkit.config import Settings
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.registry import EXCHANGES
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window
from cexkit.warehouse.gold.build import MADE_OF, build_gold
from cexkit.warehouse.ingest.bronze import ingest_bronze
from cexkit.warehouse.ingest.listings import instruments
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.store.warehouse import Warehouse

NAMES = ("funding_rates", "open_interest", "ohlcv_1h")
GOLD = (*(name for name in MADE_OF if set(MADE_OF[name][1]) <= {*NAMES, "instruments"}), "data_quality")


class Counting(httpx.HTTPTransport):
    """The network, counting answers by status."""

    statuses: ClassVar[Counter[int]] = Counter()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        Counting.statuses[response.status_code] += 1
        return response


def main(urls: dict[str, str], root: str, start: str, end: str) -> dict:
    for name, venue in list(EXCHANGES.items()):
        EXCHANGES[name] = replace(venue, archives={})
    warehouse, window, began = Warehouse(root), Window.of(start, end), time.monotonic()
    with Fetcher(Settings(base_urls=urls, max_clock_skew_seconds=None), Counting()) as fetcher:
        spent = watched(fetcher)
        with ThreadPoolExecutor(len(EXCHANGES)) as threads:
            parts = list(threads.map(lambda name: one(warehouse, fetcher, name, window, spent), EXCHANGES))
    read = time.monotonic() - began
    for name in GOLD:
        build_gold(warehouse, name)
    return {
        "wall_seconds": read,
        "gold_seconds": time.monotonic() - began - read,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "statuses": dict(Counting.statuses),
        "rows": sum(file.rows for file in warehouse.manifest.files if file.table in NAMES),
        "tables": [part for found in parts for part in found],
    }


def watched(fetcher: Fetcher) -> dict[int, list]:
    """What each thread spends of its budgets: moments, seconds waited for it, costs."""
    spent: dict[int, list] = {}
    acquire = fetcher._http.limiter.acquire

    def counted(cost) -> None:
        began = time.monotonic()
        acquire(cost)
        now = time.monotonic()
        spent.setdefault(threading.get_ident(), []).append((now, now - began, dict(cost)))

    fetcher._http.limiter.acquire = counted
    return spent


def one(warehouse: Warehouse, fetcher: Fetcher, name: str, window: Window, spent: dict[int, list]) -> list[dict]:
    """A venue, table after table."""
    listing = TABLES["instruments"]
    ingest_bronze(warehouse, fetcher, name, listing)
    build_silver(warehouse, name, listing)
    found = []
    for table in (TABLES[table] for table in NAMES if EXCHANGES[name].instrument_types(table)):
        of, spent[threading.get_ident()] = instruments(warehouse, name, table, window), []
        began = time.monotonic()
        report = ingest_bronze(warehouse, fetcher, name, table, window, of)
        asked = time.monotonic()
        made = build_silver(warehouse, name, table)
        found.append(
            {
                "exchange": name,
                "table": table.name,
                "instruments": len(of),
                "requests": len(spent[threading.get_ident()]),
                "problems": len(report.problems) + len(made.problems),
                "rows": made.rows,
                "bronze_seconds": asked - began,
                "silver_seconds": time.monotonic() - asked,
                **used(fetcher, spent[threading.get_ident()]),
            }
        )
    return found


def used(fetcher: Fetcher, spent: list) -> dict:
    """The budget of which most was used: as a share of what its limit allowed from the first request to the last, and
    the part of that time in which it was waited for."""
    span = spent[-1][0] - spent[0][0] if spent else 0
    if not span:
        return {"budget": None, "share": None, "waited": 0.0}
    shares = {}
    for name in {name for _, _, cost in spent for name in cost}:
        bucket = fetcher._http.limiter._buckets[name]
        weight = sum(cost.get(name, 0) for _, _, cost in spent)
        shares[name] = weight / (bucket.limit * span / bucket.per_seconds)
    most = max(shares, key=shares.get)
    waited = sum(seconds for _, seconds, _ in spent) / span
    bucket = fetcher._http.limiter._buckets[most]
    return {"budget": f"{most}: {bucket.limit:g} in {bucket.per_seconds:g} s", "share": shares[most], "waited": waited}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]), *sys.argv[2:])))
