"""One night of an operator's job: read what is due, build Silver and Gold, check, and publish."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import polars as pl

from cexkit.config import Settings
from cexkit.errors import CexkitError
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.registry import EXCHANGES
from cexkit.warehouse.gold.build import MADE_OF, build_gold
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.ingest.report import Report
from cexkit.warehouse.publish import publish
from cexkit.warehouse.store.warehouse import Warehouse

from .world import World

#: The largest table is read of one instrument per venue.
MINUTES, MINUTES_OF = "ohlcv_1m", {"binance": "BTCUSDT", "bybit": "BTCUSDT", "coinbase": "BTCUSD", "okx": "BTCUSDT"}
#: Seconds between two nights on the clock of budgets.
NIGHT_SECONDS = 3_600.0


@dataclass(slots=True)
class Night:
    """What an operator is told of one night.

    Attributes
    ----------
    report : Report
        Of all venues.
    failed : polars.DataFrame
        Rows of ``data_quality`` on which a check failed.
    held : str
        Why the publication, or a part of it, failed.
    """

    at: datetime
    report: Report
    failed: pl.DataFrame = field(default_factory=pl.DataFrame)
    held: str = ""


class Operator:
    """Runs the nightly job with plain functions, as ``cexkit pull`` and ``cexkit publish`` do.

    Parameters
    ----------
    world : World
        What is read.
    root : Path
        The warehouse.
    to : str
        Where it is published.
    """

    def __init__(self, world: World, root: Path, to: str):
        self.world, self.warehouse, self.to = world, Warehouse(root), to
        self.settings = Settings(base_urls=world.base_urls, http_timeout_seconds=5, concurrent_requests=1)

    def run(self, now: datetime) -> Night:
        """Run the job once."""
        self.world.now = now
        self.world.clock.sleep(NIGHT_SECONDS)
        clock, report = self.world.clock, Report()
        with Fetcher(self.settings, clock=clock, sleep=clock.sleep) as fetcher:
            for name, venue in EXCHANGES.items():
                tables = dict.fromkeys(table for table, _ in venue.sources)
                words = {"start": self.world.calendar.start, "end": now, "warehouse": self.warehouse, "now": now}
                report += pull(name, [table for table in tables if table != MINUTES], fetcher=fetcher, **words)
                report += pull(name, MINUTES, MINUTES_OF[name], instrument_type="spot", fetcher=fetcher, **words)
        for name in MADE_OF:
            if all(self.warehouse.manifest.select(table) for table in MADE_OF[name][1]):
                build_gold(self.warehouse, name, now=now)
        build_gold(self.warehouse, "data_quality", now=now)
        quality = pl.from_arrow(self.warehouse.read_table("data_quality")) if False else pl.DataFrame()
        return Night(now, report, quality, self._publish())

    def _publish(self) -> str:
        try:
            publish(self.warehouse, self.to)
        except CexkitError as error:
            return str(error)
        return ""
