"""One night of an operator's job: read what is due, build Silver and Gold, check, and publish."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from cexkit.config import Settings
from cexkit.errors import CexkitError
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.registry import EXCHANGES
from cexkit.schema import TABLES
from cexkit.testing.stream import LoopbackStream
from cexkit.warehouse.collect.collector import collect
from cexkit.warehouse.gold.build import MADE_OF, build_gold
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.publish import publish
from cexkit.warehouse.store.warehouse import Warehouse

from .events import HOUR, runs
from .reports import Topic
from .world import STREAMED, World

#: The largest table is read of one instrument per venue.
MINUTES, MINUTES_OF = "ohlcv_1m", {"binance": "BTCUSDT", "bybit": "BTCUSDT", "coinbase": "BTCUSD", "okx": "BTCUSDT"}
#: OKX keeps liquidations for a day, so they are read twice a day.
LIQUIDATIONS, KEPT = "liquidations", 23 * HOUR
#: Seconds between two runs on the clock of budgets.
RUN_SECONDS = 3_600.0
#: Longest time in which streams send everything, and time for the last message to arrive.
STREAM_SECONDS, IN_TRANSIT_SECONDS = 30.0, 0.3


@dataclass(frozen=True, slots=True)
class Night:
    """The reports of one night.

    Attributes
    ----------
    problems : tuple of str
        Of all venues.
    failed : polars.DataFrame
        Rows of ``data_quality`` on which a check failed.
    held : str
        Why the publication, or a part of it, failed; empty if all was published.
    """

    problems: tuple[str, ...]
    failed: pl.DataFrame
    held: str


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

    #: Tables that are not read.
    unread: tuple[str, ...] = ()
    #: True if each night requests what is due of all days, not of the last ones only.
    reads_all_days: bool = True
    #: Topics of reports that say too much.
    false_alarms: frozenset[Topic] = frozenset()

    def __init__(self, world: World, root: Path, to: str):
        self.world, self.warehouse, self.to = world, Warehouse(root), to
        self.settings = Settings(base_urls=world.base_urls, http_timeout_seconds=5)
        self._heard_until = world.now

    def run(self, now: datetime) -> Night:
        """Run the job once, and half a day before it read the liquidations of OKX."""
        problems: list[str] = []
        for moment, read in zip(runs("okx", now), (self.read_kept, self.read), strict=True):
            self.world.now = moment
            self.world.clock.sleep(RUN_SECONDS)
            with Fetcher(self.settings, clock=self.world.clock, sleep=self.world.clock.sleep) as fetcher:
                problems += read(fetcher)
        self.build()
        quality = pl.from_arrow(self.warehouse.read(TABLES["data_quality"]))
        return Night(tuple(problems), quality.filter(pl.col("rows_failed") > 0), self.publish())

    def restart(self) -> None:
        """Continue as a new process; functions keep no state."""

    def read_kept(self, fetcher: Fetcher) -> Iterator[str]:
        """Read the liquidations that a venue still keeps; yield what is wrong."""
        yield from self._pull(fetcher, "okx", LIQUIDATIONS, start=self.world.now - KEPT)

    def read(self, fetcher: Fetcher) -> Iterator[str]:
        """Read all that is due, and build Silver; yield what is wrong."""
        self.listen(fetcher)
        yield from self.read_kept(fetcher)
        for name, venue in EXCHANGES.items():
            tables = dict.fromkeys(table for table, _ in venue.sources)
            yield from self._pull(fetcher, name, [table for table in tables if table not in (MINUTES, LIQUIDATIONS)])
            if self.world.now > self.world.minutes_from:
                words = {"instrument_type": "spot", "start": self.world.minutes_from}
                yield from self._pull(fetcher, name, MINUTES, MINUTES_OF[name], **words)
        for name in STREAMED:
            report = build_silver(self.warehouse, name, TABLES[LIQUIDATIONS], now=self.world.now)
            yield from map(str, report.problems)

    def listen(self, fetcher: Fetcher) -> None:
        """Collect what the venues' streams said since the last night."""
        with self.world.streams(self._heard_until) as streams:
            if streams:
                stop = threading.Event()
                threading.Thread(target=_stop_at_end, args=(list(streams.values()), stop), daemon=True).start()
                urls = {name: stream.url for name, stream in streams.items()}
                collect(list(streams), self.warehouse, fetcher=fetcher, urls=urls, stop=stop)
        self._heard_until = self.world.now

    def build(self) -> None:
        """Build Gold; ``data_quality`` has the results of all checks."""
        for name in self.buildable():
            build_gold(self.warehouse, name, now=self.world.now)

    def buildable(self) -> list[str]:
        """Return the Gold tables whose inputs exist: the world has no liquidations at first."""
        exists = self.warehouse.manifest.select
        return [*(name for name, (_, needs) in MADE_OF.items() if all(map(exists, needs))), "data_quality"]

    def publish(self) -> str:
        """Publish the warehouse; return why it, or a part of it, was not published."""
        try:
            publish(self.warehouse, self.to)
        except CexkitError as error:
            return str(error)
        return ""

    def _pull(self, fetcher: Fetcher, name: str, tables: str | list[str], *symbols: str, **words: Any) -> Iterator[str]:
        now = self.world.now
        words = {"start": self.world.calendar.start, "end": now, "warehouse": self.warehouse, "now": now} | words
        yield from map(str, pull(name, tables, *symbols, fetcher=fetcher, **words).problems)


def _stop_at_end(streams: Iterable[LoopbackStream], stop: threading.Event) -> None:
    for stream in streams:
        stream.sent_all.wait(STREAM_SECONDS)
    stop.wait(IN_TRANSIT_SECONDS)
    stop.set()
