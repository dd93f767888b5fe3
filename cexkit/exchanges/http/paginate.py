"""How a span of time is read page by page, as strategies that know no venue.

A strategy says which page to ask for first, and which next given what the last one held. **A short
page is never the end**: venues cut pages below the limit they document. The end is an empty page,
the end of the window, or the lack of a cursor.

A strategy keeps no state: where a walk stands is all in the :class:`PageRequest`, so that every step of it can
be replayed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from cexkit.errors import VenueError
from cexkit.schema.intervals import MILLISECOND, Window


@dataclass(frozen=True, slots=True)
class PageRequest:
    """One page to ask for: at most ``limit`` rows of ``window``, from ``cursor`` on where there is one.

    ``rest`` is what is still to be read behind ``window``, where a walk goes in spans.
    """

    window: Window | None
    limit: int
    cursor: str | None = None
    rest: Window | None = None


@dataclass(frozen=True, slots=True)
class PageResult:
    """What a page held: its first and last ``timestamp`` (None: no rows), and the next page's cursor.

    Rows count that lie in the window, those of unfinished bars included. ``earlier``: there were rows before it too.
    """

    first: datetime | None
    last: datetime | None
    cursor: str | None = None
    earlier: bool = False


class Paginator(Protocol):
    """A strategy. All of it is pure, so that the walk can be replayed and tested without a network."""

    def first(self, window: Window | None) -> PageRequest | None:
        """The page to begin with; None where the window needs none."""

    def next(self, request: PageRequest, result: PageResult) -> PageRequest | None:
        """The page after one that was read; None at the end."""

    def skip(self, request: PageRequest) -> tuple[Window | None, PageRequest | None]:
        """What is given up with a page that cannot be read, and the page behind it."""

    def windows(self, window: Window) -> list[Window]:
        """Windows of a page each that cover a window, so that they can be read at once; itself if that is unknown."""


@dataclass(frozen=True, slots=True)
class OnePage:
    """All there is, in one response."""

    def first(self, window: Window | None) -> PageRequest:
        """The only page."""
        return PageRequest(window, limit=0)

    def next(self, request: PageRequest, result: PageResult) -> None:
        """Nothing follows."""

    def skip(self, request: PageRequest) -> tuple[Window | None, None]:
        """All is given up."""
        return request.window, None

    def windows(self, window: Window) -> list[Window]:
        """The window: there is one page."""
        return [window]


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
    span : int, optional
        Longest window that one request may ask for, in steps. The window is then walked in such spans,
        each until it is covered or gives an empty page. An empty span is not the end: gaps may be longer.

    Examples
    --------
    >>> hourly = Forward(limit=2, step=timedelta(hours=1))
    >>> request = hourly.first(Window.of("2024-01-01", "2024-01-02"))
    >>> page = PageResult(first=request.window.start, last=request.window.start)  # one row, though two were requested
    >>> hourly.next(request, page).window.start.isoformat()
    '2024-01-01T00:00:00.001000+00:00'
    >>> hourly.next(request, PageResult(None, None)) is None
    True
    """

    limit: int
    step: timedelta
    resolution: timedelta = MILLISECOND
    fixed: bool = False
    span: int | None = None

    def first(self, window: Window | None) -> PageRequest | None:
        """The page at the window's start."""
        if window is None or window.empty:
            return None
        middle = window.end if self.span is None else window.start + _at_most(self.span * self.step, window)
        return self._ask(Window(window.start, middle), Window(middle, window.end))

    def next(self, request: PageRequest, result: PageResult) -> PageRequest | None:
        """The page behind the last row; behind an empty page or a span's end the next span; None at the end."""
        if result.last is None or result.last + self.step >= request.window.end:
            return self.first(request.rest)
        return self._ask(Window(result.last + self.resolution, request.window.end), request.rest)

    def skip(self, request: PageRequest) -> tuple[Window, PageRequest | None]:
        """Give up as far as the page reached if its rows were as dense as can be."""
        resume = request.window.start + _at_most(request.limit * self.step, request.window)
        behind = Window(resume, request.window.end)
        follows = self.first(request.rest) if behind.empty else self._ask(behind, request.rest)
        return Window(request.window.start, resume), follows

    def windows(self, window: Window) -> list[Window]:
        """Windows of a page each if a page holds a known span; the window itself otherwise."""
        return _page_windows(self, window)

    def _ask(self, window: Window, rest: Window | None) -> PageRequest:
        return PageRequest(window, _limit(self, window), rest=rest)


@dataclass(frozen=True, slots=True)
class Backward:
    """Newest first: the next page ends before the oldest row of this one.

    Parameters
    ----------
    limit, step, fixed, span
        As for :class:`Forward`; spans are walked from the newest to the oldest.

    Examples
    --------
    >>> hourly = Backward(limit=2, step=timedelta(hours=1))
    >>> request = hourly.first(Window.of("2024-01-01", "2024-01-02"))
    >>> noon = request.window.start + timedelta(hours=12)
    >>> print(hourly.next(request, PageResult(first=noon, last=noon)).window)
    2024-01-01T00:00:00+00:00 … 2024-01-01T12:00:00+00:00
    >>> hourly.next(request, PageResult(first=request.window.start, last=noon)) is None
    True
    """

    limit: int
    step: timedelta
    fixed: bool = False
    span: int | None = None

    def first(self, window: Window | None) -> PageRequest | None:
        """The page at the window's end."""
        if window is None or window.empty:
            return None
        middle = window.start if self.span is None else window.end - _at_most(self.span * self.step, window)
        return self._ask(Window(middle, window.end), Window(window.start, middle))

    def next(self, request: PageRequest, result: PageResult) -> PageRequest | None:
        """The page before the oldest row; before an empty page or a span's start the next span; None at the end.

        Rows before the window show that it was read to its start, if pages have no holes.
        """
        if result.earlier or result.first is None or result.first - self.step < request.window.start:
            return self.first(request.rest)
        return self._ask(Window(request.window.start, result.first), request.rest)

    def skip(self, request: PageRequest) -> tuple[Window, PageRequest | None]:
        """Give up as far back as the page reached if its rows were as dense as can be."""
        resume = request.window.end - _at_most(request.limit * self.step, request.window)
        before = Window(request.window.start, resume)
        follows = self.first(request.rest) if before.empty else self._ask(before, request.rest)
        return Window(resume, request.window.end), follows

    def windows(self, window: Window) -> list[Window]:
        """Windows of a page each if a page holds a known span; the window itself otherwise."""
        return _page_windows(self, window)

    def _ask(self, window: Window, rest: Window | None) -> PageRequest:
        return PageRequest(window, _limit(self, window), rest=rest)


@dataclass(frozen=True, slots=True)
class Cursor:
    """On by an opaque cursor until the venue gives none; an empty page that has one is not the end.

    Parameters
    ----------
    limit : int
        Rows asked for; the venue may give fewer.
    step : timedelta, optional
        Smallest distance of two rows, given where cursors lead from new to old: a first row less than a
        ``step`` behind the window's start is the end then, whatever the cursor says.

    Examples
    --------
    >>> paginator = Cursor(limit=2)
    >>> request = paginator.first(None)
    >>> paginator.next(request, PageResult(None, None, cursor="page=2"))
    PageRequest(window=None, limit=2, cursor='page=2', rest=None)
    >>> paginator.next(request, PageResult(None, None)) is None
    True
    """

    limit: int
    step: timedelta | None = None

    def first(self, window: Window | None) -> PageRequest | None:
        """The page without a cursor."""
        return None if window is not None and window.empty else PageRequest(window, self.limit)

    def next(self, request: PageRequest, result: PageResult) -> PageRequest | None:
        """The page that the cursor leads to; None without one.

        Raises
        ------
        VenueError
            If the cursor leads to the page it came with: what follows can never be read.
        """
        if not result.cursor or self._covers(request, result):
            return None
        if result.cursor == request.cursor:
            raise VenueError(f"the page of cursor {request.cursor!r} names itself as the next one")
        return PageRequest(request.window, self.limit, result.cursor)

    def skip(self, request: PageRequest) -> tuple[Window | None, None]:
        """All is given up: a page that cannot be read does not say where the next one is."""
        return request.window, None

    def windows(self, window: Window) -> list[Window]:
        """The window: only a page says where the next one is."""
        return [window]

    def _covers(self, request: PageRequest, result: PageResult) -> bool:
        return self.step is not None and result.first is not None and result.first - self.step < request.window.start


def _page_windows(paginator: Forward | Backward, window: Window) -> list[Window]:
    sizes = [paginator.span, paginator.limit if paginator.fixed else None]
    rows = min((size for size in sizes if size is not None), default=None)
    return [window] if rows is None else list(window.split(rows * paginator.step))


def _at_most(length: timedelta, window: Window) -> timedelta:
    return min(length, window.end - window.start)


def _limit(paginator: Forward | Backward, window: Window) -> int:
    """The rows to ask for: no more than a window holds, where these can be counted."""
    rows = -((window.start - window.end) // paginator.step)
    return min(paginator.limit, rows) if paginator.fixed else paginator.limit
