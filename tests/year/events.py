"""What happens in a year at four venues, as data: when it runs, and the events of each calendar."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cexkit.schema.intervals import Window, utc

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
#: When a nightly run starts, after the end of its day.
AFTER_MIDNIGHT = timedelta(minutes=20)

Kind = Literal[
    "listing", "delisting", "outage", "empty", "correction", "skew", "payload", "lost file", "bad row", "bad message",
    "new schema",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens at a venue, or to the warehouse of its data.

    Attributes
    ----------
    kind : str
        What happens:

        - ``listing``, ``delisting``: of the perpetual swap of ETH. It may be listed again.
        - ``outage``: The venue responds to everything with status 503.
        - ``empty``: The venue responds without rows, lists of instruments aside.
        - ``correction``: The last six hours before it begins have other values until it ends.
        - ``skew``: The venue's clock is an hour ahead, or behind if its start is on an odd day.
        - ``payload``: Rows have a new column, and the list of instruments has a status that is not known.
        - ``lost file``: The disk with the oldest Bronze file of a table is away.
        - ``bad row``: The newest row of a page cannot be read.
        - ``bad message``: The venue's stream sends half a message.
        - ``new schema``: A later version of cexkit runs, whose table of funding has another column.
    exchange : str
        The venue.
    start : str
        When it begins.
    days : float
        How long it lasts.
    table : str
        The table that it is about, if it is about one.
    """

    kind: Kind
    exchange: str
    start: str
    days: float = 1.0
    table: str = "ohlcv_1h"

    @property
    def window(self) -> Window:
        """The time of the event."""
        return Window(utc(self.start), utc(self.start) + self.days * DAY)


@dataclass(frozen=True, slots=True)
class Calendar:
    """A span of simulated days, and what happens in it.

    Attributes
    ----------
    start, end : str
        The first day, and the day after the last.
    moved : timedelta
        How far the times of the simulated market are moved. It has bars of one minute and liquidations from 2026-05-02
        on only.
    """

    start: str
    end: str
    moved: timedelta
    events: tuple[Event, ...] = ()

    @property
    def window(self) -> Window:
        """The span of time."""
        return Window.of(self.start, self.end)

    @property
    def nights(self) -> list[datetime]:
        """The times of the nightly runs."""
        days = (self.window.end - self.window.start) // DAY
        return [self.window.start + (number + 1) * DAY + AFTER_MIDNIGHT for number in range(days)]

    def of(self, *kinds: Kind, exchange: str | None = None) -> list[Event]:
        """Return the events of some kinds, of one venue or of all, in order of time."""
        found = (event for event in self.events if event.kind in kinds and exchange in (None, event.exchange))
        return sorted(found, key=lambda event: event.window)


def runs(exchange: str, night: datetime) -> tuple[datetime, ...]:
    """Return when a venue is read for a night: OKX also half a day before, because it keeps liquidations for a day."""
    return (night - DAY / 2, night) if exchange == "okx" else (night,)


#: Eight days around the end of a year; the market crashes on the first.
SHORT = Calendar(
    "2025-12-27",
    "2026-01-04",
    -144 * DAY,
    (
        Event("bad message", "binance", "2025-12-27T12:00"),
        Event("empty", "coinbase", "2025-12-28T12:00", 3),
        Event("listing", "bybit", "2025-12-29"),
        Event("correction", "okx", "2025-12-29", 1.5, "funding_rates"),
        Event("delisting", "binance", "2025-12-29T09:00"),
        Event("payload", "okx", "2025-12-29T12:00", 2),
        Event("payload", "binance", "2025-12-29T12:00", 2),
        Event("delisting", "bybit", "2025-12-30T09:00"),
        Event("outage", "binance", "2025-12-31T12:00"),
        Event("skew", "coinbase", "2025-12-31T12:00"),
        Event("listing", "bybit", "2026-01-01"),
        Event("correction", "bybit", "2026-01-01", 1.5),
        Event("new schema", "binance", "2026-01-01"),
        Event("lost file", "coinbase", "2026-01-01T12:00"),
        Event("outage", "okx", "2026-01-01T12:00", 1.5),
        Event("listing", "binance", "2026-01-02"),
        Event("bad row", "binance", "2026-01-02T12:00"),
    ),
)
#: A year: each kind of event at least twice, and at least once at the end of a month or of the year.
LONG = Calendar(
    "2025-06-20",
    "2026-06-20",
    0 * DAY,
    (
        Event("listing", "bybit", "2025-06-30"),
        Event("skew", "binance", "2025-07-09T12:00"),
        Event("correction", "okx", "2025-08-01", 1.5, "funding_rates"),
        Event("bad row", "bybit", "2025-08-10T12:00"),
        Event("delisting", "binance", "2025-08-31T09:00"),
        Event("payload", "okx", "2025-09-10T12:00", 3),
        Event("listing", "binance", "2025-09-30"),
        Event("lost file", "coinbase", "2025-10-20T12:00", 5),
        Event("outage", "okx", "2025-10-31T12:00", 1.5),
        Event("empty", "coinbase", "2025-11-10T12:00", 4),
        Event("delisting", "bybit", "2025-11-30T09:00"),
        Event("payload", "binance", "2025-12-30T12:00", 2),
        Event("outage", "coinbase", "2025-12-31T12:00"),
        Event("listing", "bybit", "2026-01-01"),
        Event("correction", "binance", "2026-01-01", 1.5),
        Event("new schema", "binance", "2026-01-01"),
        Event("bad row", "binance", "2026-01-31T12:00"),
        Event("skew", "coinbase", "2026-02-28T12:00"),
        Event("delisting", "okx", "2026-03-10T09:00"),
        Event("lost file", "bybit", "2026-03-31T12:00", 2, "funding_rates"),
        Event("listing", "okx", "2026-04-10"),
        Event("empty", "binance", "2026-04-29T12:00", 4),
        Event("bad message", "binance", "2026-05-20T12:00"),
        Event("bad message", "bybit", "2026-05-20T12:00"),
        Event("outage", "okx", "2026-05-31T12:00", 1.5),
    ),
)
