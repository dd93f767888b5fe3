"""Paging strategies, and that their shape carries the venues to come."""

from dataclasses import dataclass
from datetime import timedelta

import pytest

from cexkit.http import Ask, Forward, Got, OnePage
from cexkit.intervals import Window, utc

HOUR = timedelta(hours=1)
START = utc("2024-01-01")


def walk(paging, window, serve):
    """Rows of all pages, as a reader would collect them, and the number of pages."""
    rows, pages, ask = [], 0, paging.first(window)
    while ask is not None:
        pages += 1
        assert pages < 1000, "paging does not end"
        page, cursor = serve(ask)
        rows += page
        ask = paging.after(ask, Got(min(page, default=None), max(page, default=None), cursor))
    return rows, pages


def oldest_first(times, most):
    def serve(ask):
        return [t for t in times if t in ask.window][: min(ask.limit, most)], None

    return serve


@pytest.mark.parametrize("most", [1, 3, 10])
def test_forward_takes_no_short_page_for_the_end(most):
    times = [START + i * HOUR for i in (0, 1, 2, 7, 8, 30, 31, 47)]
    window = Window(START, START + 48 * HOUR)
    rows, _ = walk(Forward(limit=10, step=HOUR), window, oldest_first(times, most))
    assert rows == times


def test_forward_loses_nothing_that_is_off_its_grid():
    times = [START, START + HOUR + timedelta(minutes=7), START + 2 * HOUR, START + 3 * HOUR]
    rows, _ = walk(Forward(limit=2, step=HOUR), Window(START, START + 4 * HOUR), oldest_first(times, 2))
    assert rows == times


def test_forward_ends_at_the_window_without_an_empty_page():
    times = [START + i * HOUR for i in range(6)]
    _, pages = walk(Forward(limit=3, step=HOUR), Window(START, START + 6 * HOUR), oldest_first(times, 3))
    assert pages == 2


@pytest.mark.parametrize("count", range(1, 9))
def test_forward_reads_a_last_page_of_one_row(count):
    times = [START + i * HOUR for i in range(count)]
    window = Window(START, START + count * HOUR)
    rows, pages = walk(Forward(limit=3, step=HOUR), window, oldest_first(times, 3))
    assert (rows, pages) == (times, -(-count // 3))


def test_forward_asks_for_no_more_than_fits_where_rows_can_be_counted():
    window = Window(START, START + 24 * HOUR)
    assert Forward(limit=1000, step=HOUR, fixed=True).first(window).limit == 24
    assert Forward(limit=1000, step=HOUR).first(window).limit == 1000
    assert Forward(limit=10, step=HOUR, fixed=True).first(window).limit == 10


def test_forward_skips_what_a_bad_page_may_have_held():
    paging = Forward(limit=10, step=HOUR)
    skipped, ask = paging.skip(paging.first(Window(START, START + 24 * HOUR)))
    assert skipped == Window(START, START + 10 * HOUR)
    assert ask.window == Window(START + 10 * HOUR, START + 24 * HOUR)
    skipped, ask = paging.skip(Ask(Window(START + 20 * HOUR, START + 24 * HOUR), 10))
    assert skipped == Window(START + 20 * HOUR, START + 24 * HOUR)
    assert ask is None


def test_empty_windows():
    assert Forward(limit=10, step=HOUR).first(Window(START, START)) is None


def test_one_page():
    paging = OnePage()
    ask = paging.first(None)
    assert paging.after(ask, Got(None, None)) is None
    assert paging.skip(ask) == (None, None)


@dataclass(frozen=True)
class Backward:
    """Newest first: the next page ends where this one began (Bybit, OKX)."""

    limit: int

    def first(self, window):
        return Ask(window, self.limit)

    def after(self, ask, got):
        if got.first is None or got.first <= ask.window.start:
            return None
        return Ask(Window(ask.window.start, got.first), self.limit)


@dataclass(frozen=True)
class ByCursor:
    """On until the venue gives no cursor (Bybit open interest)."""

    limit: int

    def first(self, window):
        return Ask(window, self.limit)

    def after(self, ask, got):
        return Ask(ask.window, self.limit, got.cursor) if got.cursor else None


def test_the_shape_carries_newest_first():
    times = [START + i * HOUR for i in (0, 1, 5, 6, 7)]

    def serve(ask):
        return sorted((t for t in times if t in ask.window), reverse=True)[:2], None

    rows, _ = walk(Backward(limit=2), Window(START, START + 9 * HOUR), serve)
    assert sorted(rows) == times


def test_the_shape_carries_cursors():
    times = [START + i * HOUR for i in range(5)]

    def serve(ask):
        at = int(ask.cursor or 0)
        return times[at : at + 2], str(at + 2) if at + 2 < len(times) else None

    rows, pages = walk(ByCursor(limit=2), Window(START, START + 9 * HOUR), serve)
    assert (rows, pages) == (times, 3)
