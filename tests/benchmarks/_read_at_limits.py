"""Separate process: reads tables of all venues into Bronze, at the same time, until it is killed."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import partial

from cexkit.config import Settings
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.http.workers import at_once
from cexkit.exchanges.registry import EXCHANGES
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window
from cexkit.warehouse.ingest.bronze import ingest_bronze
from cexkit.warehouse.ingest.listings import instruments
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.store.warehouse import Warehouse

NAMES = ("funding_rates", "open_interest", "ohlcv_1h")


def main(urls: dict[str, str], root: str, start: str, end: str) -> None:
    """Read the window from the APIs: archives have no limits that a venue states."""
    for name, venue in list(EXCHANGES.items()):
        EXCHANGES[name] = replace(venue, archives={})
    warehouse, window = Warehouse(root), Window.of(start, end)
    with Fetcher(Settings(base_urls=urls, max_clock_skew_seconds=None, concurrent_requests=64)) as fetcher:

        def read(name: str) -> None:
            ingest_bronze(warehouse, fetcher, name, TABLES["instruments"])
            build_silver(warehouse, name, TABLES["instruments"])
            offered = [TABLES[each] for each in NAMES if (each, "perp") in EXCHANGES[name].sources]
            of = {table: instruments(warehouse, name, table, window) for table in offered}
            at_once([partial(ingest_bronze, warehouse, fetcher, name, table, window, of[table]) for table in offered])

        at_once([partial(read, name) for name in EXCHANGES])


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), *sys.argv[2:5])
