"""The world of a calendar: the true rows of each instrument, and the rows that venues show at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime

import polars as pl

from cexkit.schema import INSTRUMENT_KEYS, TABLES
from cexkit.schema.intervals import Window
from cexkit.schema.render import to_polars
from cexkit.testing import LOOPBACKS, Feed, LoopbackVenue
from cexkit.testing.market import moved
from cexkit.testing.simulation import MINUTES_FROM, simulate
from cexkit.testing.stream import LoopbackStream

from ..clock import Clock
from .events import DAY, HOUR, Calendar, Event
from .faults import faults_of

#: Three instruments of each venue: by type and coin.
LISTED = (("spot", "BTC"), ("perp", "BTC"), ("perp", "ETH"))
FACTS = ("ohlcv_1m", "ohlcv_1h", "ohlcv_1d", "mark_1h", "index_1h", "funding_rates", "open_interest", "liquidations")
#: Venues that are listened to.
STREAMED = ("binance", "bybit")
#: Rows that are final this long after their timestamps; other rows are bars of an hour, or snapshots.
LENGTHS = {"ohlcv_1m": HOUR / 60, "ohlcv_1d": DAY, "funding_rates": HOUR / 60, "liquidations": 0 * HOUR}


class World:
    """Four venues that live through a calendar.

    Use it as a context manager. ``now`` is the present time of the world; set it to let time pass.

    Attributes
    ----------
    facts : dict of str to polars.DataFrame
        Every row that is true, by table.
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
        self.terms = _chosen(market.tables["instruments"], calendar)
        self.facts = {name: self._alive(name, _chosen(market.tables[name], calendar)) for name in FACTS}
        self.facts["ohlcv_1m"] = self.facts["ohlcv_1m"].filter(instrument_type="spot")
        self.venues: dict[str, LoopbackVenue] = {
            name: make(
                _Shown(self),
                now=lambda: self.now,
                clock=self.clock,
                faults=faults_of(calendar, name, lambda: self.now),
            )
            for name, make in LOOPBACKS.items()
        }
        self._stack = ExitStack()

    @property
    def base_urls(self) -> dict[str, str]:
        """Addresses of the venues, by API."""
        return {api: url for venue in self.venues.values() for api, url in venue.settings.base_urls.items()}

    @property
    def minutes_from(self) -> datetime:
        """When bars of one minute and liquidations begin."""
        return max(self.calendar.window.start, MINUTES_FROM + self.calendar.moved)

    def lives(self, exchange: str) -> list[Window]:
        """Return the times in which the perpetual swap of ETH is listed at a venue."""
        span, events = self.calendar.window, self.calendar.of("listing", "delisting", exchange=exchange)
        always = not events or events[0].kind == "delisting"
        begins = [span.start - 365 * DAY] * always + [each.window.start for each in events if each.kind == "listing"]
        ends = [each.window.start for each in events if each.kind == "delisting"]
        return [Window(begin, end) for begin, end in zip(begins, [*ends, span.end + 365 * DAY], strict=False)]

    def instruments(self, now: datetime) -> pl.DataFrame:
        """Return the instruments as venues list them at a time."""
        rows = [row for row in self.terms.iter_rows(named=True) if not _may_change(row)]
        for row in self.terms.iter_rows(named=True):
            begun = [life for life in self.lives(row["exchange"]) if life.start <= now]
            if _may_change(row) and begun:
                start = row["listing_time"] if begun[-1].start < self.calendar.window.start else begun[-1].start
                end = begun[-1].end if begun[-1].end <= now else None
                status = "trading" if end is None else "delisted"
                rows.append(row | {"listing_time": start, "delisting_time": end, "status": status})
        return pl.DataFrame(rows, schema=self.terms.schema).sort("exchange", *INSTRUMENT_KEYS[1:])

    def _alive(self, name: str, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of times in which their instruments were listed."""
        closed = {"funding_rates": "right", "open_interest": "both"}.get(name, "left")
        alive = pl.lit(False)
        for exchange in LOOPBACKS:
            for life in self.lives(exchange):
                inside = pl.col("timestamp").is_between(life.start, life.end, closed)
                alive |= (pl.col("exchange") == exchange) & inside
        return rows.filter((pl.col("instrument_type") == "spot") | (pl.col("base") != "ETH") | alive)

    @contextmanager
    def streams(self, since: datetime) -> Iterator[dict[str, LoopbackStream]]:
        """Yield streams that send the liquidations of a span up to now; venues without any have none."""
        found = {}
        with ExitStack() as stack:
            for name in STREAMED:
                seen = pl.col("timestamp").is_between(since, self.now, "left") & (pl.col("exchange") == name)
                rows = self.facts["liquidations"].filter(seen)
                bad = any(event.window.start <= self.now < event.window.end
                          for event in self.calendar.of("bad message", exchange=name))  # fmt: skip
                if rows.height:
                    stream = LoopbackStream(name, rows, self.terms, faults=["cut"] * bad)
                    found[name] = stack.enter_context(stream)
            yield found

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
        self._listed: dict[datetime, pl.DataFrame] = {}
        self._facts = {
            (name, *key): rows.sort("timestamp")
            for name, frame in world.facts.items()
            for key, rows in frame.partition_by("exchange", *INSTRUMENT_KEYS[1:], as_dict=True).items()
        }

    def holds(self, name: str) -> bool:
        return name in FACTS

    def instruments(self, exchange: str) -> pl.DataFrame:
        now = self._world.now
        if now not in self._listed:
            self._listed = {now: self._world.instruments(now)}
        return self._listed[now].filter(exchange=exchange)

    def rows(self, name: str, exchange: str, instrument_type: str, symbol: str) -> pl.DataFrame:
        declared = to_polars(TABLES[name]).to_frame()
        found = self._facts.get((name, exchange, instrument_type, symbol), declared)
        for event in self._world.calendar.of("correction", exchange=exchange):
            if event.table == name and self._world.now < event.window.end:
                found = draft(found, event)
        return found if found.width == declared.width else pl.concat([declared, found], how="diagonal")


def draft(rows: pl.DataFrame, event: Event) -> pl.DataFrame:
    """Return rows as a venue shows them before it corrects them."""
    begun = event.window.start
    early = pl.col("timestamp").is_between(begun - 6 * HOUR, begun, "right")
    value = "funding_rate" if "funding_rate" in rows.columns else "close"
    other = {"funding_rate": pl.col(value) + 1e-5, "close": pl.col("low")}[value]
    return rows.with_columns(pl.when(early).then(other).otherwise(value).alias(value))


def _may_change(row: dict) -> bool:
    return row["instrument_type"] == "perp" and row["base"] == "ETH"


def _chosen(frame: pl.DataFrame, calendar: Calendar) -> pl.DataFrame:
    """Return the rows of the instruments of the world, at the times of the calendar."""
    kinds = pl.struct("instrument_type", "base")
    wanted = pl.Series([{"instrument_type": kind, "base": coin} for kind, coin in LISTED])
    return moved({"": frame.filter(kinds.is_in(wanted.implode()))}, calendar.moved)[""]
