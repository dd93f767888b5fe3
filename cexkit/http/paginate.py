"""How a span of time is read page by page, as strategies that know no venue.

A strategy says which page to ask for first, and which next given what the last one held. **A short
page is never the end**: venues cut pages below the limit they document. The end is an empty page,
the end of the window, or the lack of a cursor.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from cexkit.intervals import MILLISECOND, Window


@dataclass(frozen=True, slots=True)
class Ask:
    """One page to ask for: at most ``limit`` rows of ``window``, from ``cursor`` on where there is one."""

    window: Window | None
    limit: int
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Got:
    """What a page held: its first and last ``timestamp`` (None: no rows), and the next page's cursor."""

    first: datetime | None
    last: datetime | None
    cursor: str | None = None


class Paging(Protocol):
    """A strategy. All of it is pure, so that the walk can be replayed and tested without a network."""

    def first(self, window: Window | None) -> Ask | None:
        """The page to begin with; None where the window needs none."""

    def after(self, ask: Ask, got: Got) -> Ask | None:
        """The page after one that was read; None at the end."""

    def skip(self, ask: Ask) -> tuple[Window | None, Ask | None]:
        """What is given up with a page that cannot be read, and the page behind it."""


@dataclass(frozen=True, slots=True)
class OnePage:
    """All there is, in one answer."""

    def first(self, window: Window | None) -> Ask:
        """The only page."""
        return Ask(window, limit=0)

    def after(self, ask: Ask, got: Got) -> None:
        """Nothing follows."""

    def skip(self, ask: Ask) -> tuple[Window | None, None]:
        """All is given up."""
        return ask.window, None


@dataclass(frozen=True, slots=True)
class Forward:
    """Oldest first: ask from a time on, go on behind the last row.

    Parameters
    ----------
    limit : int
        Rows asked for; the venue may give fewer.
    step : timedelta
        Smallest distance of two rows, as the venue means it: a last row less than a ``step`` before the
        window's end is the end.
    resolution : timedelta
        Where the next page begins behind the last row. Finer than ``step`` where a venue's own
        rows may be off their grid, so that none falls between two pages.
    fixed : bool
        Whether rows lie on a grid of ``step``, so that a window's rows can be counted beforehand
        and no more than these are asked for (venues charge by the limit).

    Examples
    --------
    >>> hourly = Forward(limit=2, step=timedelta(hours=1))
    >>> ask = hourly.first(Window.of("2024-01-01", "2024-01-02"))
    >>> page = Got(first=ask.window.start, last=ask.window.start)     # one row, though two were asked for
    >>> hourly.after(ask, page).window.start.isoformat()
    '2024-01-01T00:00:00.001000+00:00'
    >>> hourly.after(ask, Got(None, None)) is None
    True
    """

    limit: int
    step: timedelta
    resolution: timedelta = MILLISECOND
    fixed: bool = False

    def first(self, window: Window | None) -> Ask | None:
        """The page at the window's start."""
        if window is None or window.empty:
            return None
        rows = -((window.start - window.end) // self.step)
        return Ask(window, min(self.limit, rows) if self.fixed else self.limit)

    def after(self, ask: Ask, got: Got) -> Ask | None:
        """The page behind the last row; None after an empty page or at the window's end."""
        if got.last is None or got.last + self.step >= ask.window.end:
            return None
        return self.first(Window(got.last + self.resolution, ask.window.end))

    def skip(self, ask: Ask) -> tuple[Window, Ask | None]:
        """Give up as far as the page reached if its rows were as dense as can be."""
        resume = min(ask.window.start + ask.limit * self.step, ask.window.end)
        return Window(ask.window.start, resume), self.first(Window(resume, ask.window.end))
