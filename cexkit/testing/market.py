"""The simulated market in the present: all venues and streams on this machine, their last day being today."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import polars as pl

from cexkit.exchanges.streams import STREAMS
from cexkit.schema.intervals import TimeLike, utc
from cexkit.testing.binance import LoopbackBinance
from cexkit.testing.bybit import LoopbackBybit
from cexkit.testing.coinbase import LoopbackCoinbase
from cexkit.testing.okx import LoopbackOkx
from cexkit.testing.simulation import simulate
from cexkit.testing.stream import LoopbackStream
from cexkit.testing.venue import LoopbackVenue

#: Loopback venues by the name of the exchange they speak for.
LOOPBACKS: dict[str, type[LoopbackVenue]] = {
    "binance": LoopbackBinance,
    "bybit": LoopbackBybit,
    "coinbase": LoopbackCoinbase,
    "okx": LoopbackOkx,
}


def moved(tables: Mapping[str, pl.DataFrame], by: timedelta) -> dict[str, pl.DataFrame]:
    """Tables with all times moved: by whole days, so that settlements and bars stay where they belong in a day.

    Examples
    --------
    >>> tables = simulate(start="2026-05-20", end="2026-05-21", coins=["BTC"], exchanges=["okx"]).tables
    >>> moved({"funding_rates": tables["funding_rates"]}, timedelta(days=1))["funding_rates"]["timestamp"][0].day
    21
    """
    return {name: frame.with_columns(pl.col(pl.Datetime("us", "UTC")) + by) for name, frame in tables.items()}


class LoopbackMarket:
    """Every venue and every stream of liquidations, from one simulated market that ends today.

    Use it as a context manager. Venues keep the real clock: what they forget, and what is not over yet, is not there.

    Parameters
    ----------
    start, end : str, date or datetime
        Days of simulated time; the last of them becomes today.
    coins : collection of str
        Coins to list.

    Attributes
    ----------
    start, end : datetime
        The days as they are now.
    tables : dict
        What is true.
    venues, streams : dict
        The servers, by venue.
    base_urls : dict
        Where they are; a setting of the same name makes cexkit read them. Their clocks agree with this machine's.

    Examples
    --------
    >>> from cexkit.config import Settings
    >>> from cexkit.exchanges.fetcher import Fetcher
    >>> with LoopbackMarket("2026-05-20", "2026-05-21", coins=["BTC"]) as market:
    ...     with Fetcher(Settings(base_urls=market.base_urls)) as fetcher:
    ...         [fetcher.instruments(name).num_rows for name in market.venues]
    [2, 2, 2, 2]
    """

    def __init__(self, start: TimeLike, end: TimeLike, *, coins: Collection[str]):
        by = utc(datetime.now(UTC).date()) + timedelta(days=1) - utc(end)
        self.start, self.end = utc(start) + by, utc(end) + by
        self.tables = moved(simulate(start=start, end=end, coins=coins).tables, by)
        # what happened by now: a stream tells all it has at once
        heard = self.tables["liquidations"].filter(pl.col("timestamp") < datetime.now(UTC))
        self.venues: dict[str, LoopbackVenue] = {
            name: make(self.tables, now=lambda: datetime.now(UTC)) for name, make in LOOPBACKS.items()
        }
        self.streams = {name: LoopbackStream(name, heard, self.tables["instruments"]) for name in STREAMS}
        self._stack = ExitStack()

    @property
    def base_urls(self) -> dict[str, str]:
        """Addresses by API; of streams as ``<venue>.stream``."""
        urls = {f"{name}.stream": stream.url for name, stream in self.streams.items()}
        return urls | {api: url for venue in self.venues.values() for api, url in venue.settings.base_urls.items()}

    def __enter__(self) -> LoopbackMarket:
        for server in (*self.venues.values(), *self.streams.values()):
            self._stack.enter_context(server)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
