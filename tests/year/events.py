"""What happens in a year at four venues, as data: when it runs, and the events of each calendar."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cexkit.schema.intervals import Window, utc

DAY, HOUR = timedelta(days=1), timedelta(hours=1)

Kind = Literal["delisting", "outage"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens at a venue; ``days`` is how long it lasts."""

    kind: Kind
    exchange: str
    start: str
    days: float = 1.0

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
        """The times of the nightly runs: 20 minutes after the end of each day."""
        days = (self.window.end - self.window.start) // DAY
        return [self.window.start + (number + 1) * DAY + timedelta(minutes=20) for number in range(days)]

    def of(self, kind: Kind) -> list[Event]:
        """Return the events of a kind, in order of time."""
        return sorted((event for event in self.events if event.kind == kind), key=lambda event: event.window)


#: Ten days without any event.
QUIET = Calendar("2025-12-20", "2025-12-24", -150 * DAY)
