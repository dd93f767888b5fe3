"""A warehouse of real history, pulled once from loopback venues; a part of it, or all with ``--long``."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import polars as pl
import pytest

import cexkit
from cexkit.client.market import Market
from cexkit.exchanges.streams import STREAMS
from cexkit.schema import TABLES
from cexkit.schema.intervals import utc
from cexkit.testing import LoopbackStream
from cexkit.warehouse.collect.collector import collect
from cexkit.warehouse.collect.listener import ListenerTimeouts
from cexkit.warehouse.ingest.report import Report
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.store.bronze import read_bronze
from cexkit.warehouse.store.warehouse import Warehouse

from .replay import list_instruments, read_history, replay, serve

#: Table: first and last time of the short form, and the venues' clock when it is pulled.
SHORT = {
    "funding_rates": ("2025-03-08", "2026-03-08", "2026-03-08T12:00"),
    "ohlcv_1h": ("2025-10-01", "2025-10-20", "2025-10-20T12:00"),
    "mark_1h": ("2025-10-01", "2025-10-20", "2025-10-20T12:00"),
    "ohlcv_1d": ("2024-10-21", "2025-10-21", "2025-10-21T12:00"),
    "open_interest": ("2026-05-28", "2026-06-11", "2026-06-11T12:00"),
}
#: The same of the long form, which takes all that a venue still has at the time.
LONG = {
    "funding_rates": ("2019-01-01", "2027-01-01", "2026-07-22"),
    "ohlcv_1h": ("2019-01-01", "2027-01-01", "2026-03-08T12:00"),
    "mark_1h": ("2019-01-01", "2027-01-01", "2026-03-08T12:00"),
    "ohlcv_1d": ("2019-01-01", "2027-01-01", "2026-05-20T12:00"),
    "open_interest": ("2019-01-01", "2027-01-01", "2026-07-07T12:00"),
}


@dataclass(frozen=True)
class History:
    """Served rows, the warehouse that they were pulled into, and the reports of the pulls, by table."""

    served: dict[str, pl.DataFrame]
    warehouse: Warehouse
    market: Market
    reports: dict[str, Report]

    def stored(self, table: str) -> pl.DataFrame:
        """Return all rows of a table in the warehouse."""
        return pl.from_arrow(self.warehouse.read(TABLES[table])).sort(TABLES[table].key)


@pytest.fixture(scope="session")
def folder(shared):
    """The folder of the history."""
    found = shared / "real" / "history"
    if not found.is_dir():
        pytest.skip(f"no history at {found}")
    return found


@pytest.fixture(scope="session")
def history(folder, tmp_path_factory, pytestconfig) -> History:
    """Real rows of five tables and of the stream of liquidations, pulled into one warehouse."""
    spans = LONG if pytestconfig.getoption("--long") else SHORT
    served = {}
    for name, (start, end, _) in spans.items():
        rows = read_history(folder, name)
        served[name] = rows.filter(pl.col("timestamp") >= utc(start), pl.col("timestamp") < utc(end))
    events = read_history(folder, "liquidations").filter(price_type="average_fill")
    listing = list_instruments([*served.values(), events])
    warehouse = Warehouse(tmp_path_factory.mktemp("history") / "warehouse")
    reports = {name: replay(warehouse, {name: rows}, listing, spans[name][2]) for name, rows in served.items()}
    reports["liquidations"] = _listen(warehouse, events, listing)
    return History(served | {"liquidations": events}, warehouse, cexkit.connect(warehouse.root), reports)


def _listen(warehouse: Warehouse, events: pl.DataFrame, listing: pl.DataFrame) -> Report:
    """Collect the events from a loopback stream until all are stored, and build the table."""
    quick = ListenerTimeouts(flush_seconds=0.2, heartbeat_seconds=1, subscribe_seconds=5)
    stop = threading.Event()

    def watch(stream: LoopbackStream) -> None:
        stream.sent_all.wait(60)
        until, endpoint = time.monotonic() + 60, STREAMS["binance"].endpoint
        while time.monotonic() < until and not stop.wait(0.2):
            stored = sum(1 for _ in read_bronze(warehouse.root, "binance", endpoint, "liquidations"))
            if stored >= stream.messages:
                break
        stop.set()

    with (
        serve({"liquidations": events.clear()}, listing, "2026-07-22") as fetcher,
        LoopbackStream("binance", events, listing) as stream,
    ):
        threading.Thread(target=watch, args=(stream,), daemon=True).start()
        collect("binance", warehouse, fetcher=fetcher, urls={"binance": stream.url}, timeouts=quick, stop=stop)
    return build_silver(warehouse, "binance", TABLES["liquidations"])
