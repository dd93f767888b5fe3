"""The world of a calendar: what is true of each instrument, and what the venues show of it at a time."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import datetime

import polars as pl

from cexkit.schema import INSTRUMENT_KEYS, TABLES
from cexkit.schema.render import to_polars
from cexkit.testing import LOOPBACKS, Feed, LoopbackVenue
from cexkit.testing.market import moved
from cexkit.testing.simulation import simulate

from ..clock import Clock
from .events import Calendar

#: Three instruments of each venue: by type and coin.
LISTED = (("spot", "BTC"), ("perp", "BTC"), ("perp", "ETH"))
FACTS = ("ohlcv_1m", "ohlcv_1h", "ohlcv_1d", "mark_1h", "index_1h", "funding_rates", "open_interest", "liquidations")


class World:
    """Four venues that live through a calendar.

    Use it as a context manager. ``now`` is the present time of the world; set it to let time pass.

    Attributes
    ----------
    facts : dict of str to polars.DataFrame
        Every row that venues ever give, by table.
    venues : dict of str to LoopbackVenue
        The servers.
    clock : Clock
        Seconds of budgets and retries, which pass only if somebody sleeps.
    """

    def __init__(self, calendar: Calendar, seed: int):
        self.calendar, self.now, self.clock = calendar, calendar.window.start, Clock()
        span = calendar.window
        coins = sorted({coin for _, coin in LISTED})
        market = simulate(seed, span.start - calendar.moved, span.end - calendar.moved, coins)
        self.facts = {name: _chosen(market.tables[name], calendar) for name in FACTS}
        self.facts["ohlcv_1m"] = self.facts["ohlcv_1m"].filter(instrument_type="spot")
        self.terms = _chosen(market.tables["instruments"], calendar)
        self.venues: dict[str, LoopbackVenue] = {
            name: make(_Shown(self), now=lambda: self.now, clock=self.clock) for name, make in LOOPBACKS.items()
        }
        self._stack = ExitStack()

    @property
    def base_urls(self) -> dict[str, str]:
        """Addresses of the venues, by API."""
        return {api: url for venue in self.venues.values() for api, url in venue.settings.base_urls.items()}

    def instruments(self, now: datetime) -> pl.DataFrame:
        """Return the instruments as venues list them at a time."""
        return self.terms

    def __enter__(self) -> World:
        for venue in self.venues.values():
            self._stack.enter_context(venue)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


class _Shown(Feed):
    """The rows that venues show at the present time of a world."""

    def __init__(self, world: World):
        super().__init__({"instruments": world.terms})
        self._world = world
        self._facts = {
            (name, *key): rows.sort("timestamp")
            for name, frame in world.facts.items()
            for key, rows in frame.partition_by("exchange", *INSTRUMENT_KEYS[1:], as_dict=True).items()
        }

    def holds(self, name: str) -> bool:
        return name in FACTS

    def instruments(self, exchange: str) -> pl.DataFrame:
        return self._world.instruments(self._world.now).filter(exchange=exchange)

    def rows(self, name: str, exchange: str, instrument_type: str, symbol: str) -> pl.DataFrame:
        found = self._facts.get((name, exchange, instrument_type, symbol))
        return to_polars(TABLES[name]).to_frame() if found is None else found


def _chosen(frame: pl.DataFrame, calendar: Calendar) -> pl.DataFrame:
    """Return the rows of the instruments of the world, at the times of the calendar."""
    kinds = pl.struct("instrument_type", "base")
    wanted = pl.Series([{"instrument_type": kind, "base": coin} for kind, coin in LISTED])
    return moved({"": frame.filter(kinds.is_in(wanted.implode()))}, calendar.moved)[""]
