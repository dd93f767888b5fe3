"""Paging strategies: whatever the history, the page sizes and the windows, what is read is the truth."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cexkit.errors import VenueError
from cexkit.exchanges.http import Backward, Cursor, Forward, OnePage, PageRequest, PageResult
from cexkit.schema.intervals import Window, utc

HOUR = timedelta(hours=1)
START = utc("2024-01-01")


def walk(paginator, window, serve):
    """Rows of all pages, as a reader would collect them, and the number of pages."""
    rows, pages, request = [], 0, paginator.first(window)
    while request is not None:
        pages += 1
        assert pages < 1000, "paging does not end"
        page, cursor = serve(request)
        rows += page
        request = paginator.next(request, PageResult(min(page, default=None), max(page, default=None), cursor))
    return rows, pages


def oldest_first(times, most):
    def serve(request):
        return [t for t in times if t in request.window][: min(request.limit, most)], None

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
    paginator = Forward(limit=10, step=HOUR)
    skipped, request = paginator.skip(paginator.first(Window(START, START + 24 * HOUR)))
    assert skipped == Window(START, START + 10 * HOUR)
    assert request.window == Window(START + 10 * HOUR, START + 24 * HOUR)
    skipped, request = paginator.skip(PageRequest(Window(START + 20 * HOUR, START + 24 * HOUR), 10))
    assert skipped == Window(START + 20 * HOUR, START + 24 * HOUR)
    assert request is None


def test_empty_windows():
    assert Forward(limit=10, step=HOUR).first(Window(START, START)) is None


def test_one_page():
    paginator = OnePage()
    request = paginator.first(None)
    assert paginator.next(request, PageResult(None, None)) is None
    assert paginator.skip(request) == (None, None)


def newest_first(times, most):
    def serve(request):
        return sorted((t for t in times if t in request.window), reverse=True)[: min(request.limit, most)], None

    return serve


@pytest.mark.parametrize("most", [1, 3, 10])
def test_backward_takes_no_short_page_for_the_end(most):
    times = [START + i * HOUR for i in (0, 1, 2, 7, 8, 30, 31, 47)]
    rows, _ = walk(Backward(limit=10, step=HOUR), Window(START, START + 48 * HOUR), newest_first(times, most))
    assert sorted(rows) == times


@pytest.mark.parametrize("strategy", [Forward, Backward])
def test_an_empty_span_is_not_the_end_but_an_empty_page_of_all_is(strategy):
    times = [START, START + 500 * HOUR]
    window = Window(START, START + 501 * HOUR)
    serve = oldest_first(times, 10) if strategy is Forward else newest_first(times, 10)
    rows, pages = walk(strategy(limit=10, step=HOUR, span=10), window, serve)
    assert sorted(rows) == times
    assert pages > 40
    window = Window(START + HOUR, START + 500 * HOUR)
    assert walk(strategy(limit=10, step=HOUR), window, serve) == ([], 1)


@pytest.mark.parametrize("strategy", [Forward, Backward])
def test_no_request_is_wider_than_a_span(strategy):
    paginator = strategy(limit=10, step=HOUR, span=7)
    request = paginator.first(Window(START, START + timedelta(hours=30, minutes=20)))
    seen = []
    while request is not None:
        seen.append(request.window)
        request = paginator.next(request, PageResult(None, None))
    assert all(window.end - window.start <= 7 * HOUR for window in seen)
    covered = sorted(seen)
    assert [one.end for one in covered[:-1]] == [two.start for two in covered[1:]]
    assert (covered[0].start, covered[-1].end) == (START, START + timedelta(hours=30, minutes=20))


def test_backward_skips_what_a_bad_page_may_have_held():
    paginator = Backward(limit=10, step=HOUR)
    skipped, request = paginator.skip(paginator.first(Window(START, START + 24 * HOUR)))
    assert skipped == Window(START + 14 * HOUR, START + 24 * HOUR)
    assert request.window == Window(START, START + 14 * HOUR)
    skipped, request = paginator.skip(PageRequest(Window(START, START + 4 * HOUR), 10))
    assert (skipped, request) == (Window(START, START + 4 * HOUR), None)


@pytest.mark.parametrize("strategy", [Forward, Backward])
def test_a_bad_page_costs_its_span_and_no_more(strategy):
    paginator = strategy(limit=10, step=HOUR, span=10)
    request = paginator.first(Window(START, START + 24 * HOUR))
    skipped, following = paginator.skip(request)
    assert skipped == request.window
    assert following.window == paginator.next(request, PageResult(None, None)).window


def numbered(times, most):
    """Pages of an opaque cursor; one in three is empty."""

    def serve(request):
        at, gap = map(int, (request.cursor or "0:0").split(":"))
        if at % 3 == 1 and not gap:
            return [], f"{at}:1"
        size = min(request.limit, most)
        return times[at : at + size], f"{at + size}:0" if at + size < len(times) else None

    return serve


@pytest.mark.parametrize("most", [1, 2, 5])
def test_cursors_are_followed_over_empty_pages(most):
    times = [START + i * HOUR for i in range(7)]
    rows, _ = walk(Cursor(limit=2), None, numbered(times, most))
    assert rows == times


def test_a_cursor_from_new_to_old_ends_at_the_windows_start():
    paginator = Cursor(limit=2, step=HOUR)
    request = paginator.first(Window(START, START + 9 * HOUR))
    assert paginator.next(request, PageResult(START + HOUR, START + 2 * HOUR, "on")).cursor == "on"
    assert paginator.next(request, PageResult(START, START + HOUR, "on")) is None
    assert paginator.next(request, PageResult(None, None, "on")).cursor == "on"


def test_a_cursor_that_goes_nowhere_is_an_error_and_not_the_end():
    paginator = Cursor(limit=2)
    request = paginator.next(paginator.first(None), PageResult(None, None, "same"))
    with pytest.raises(VenueError, match="'same' names itself"):
        paginator.next(request, PageResult(None, None, "same"))


def test_nothing_follows_a_bad_page_of_a_cursor():
    window = Window(START, START + HOUR)
    assert Cursor(limit=2).skip(PageRequest(window, 2, "somewhere")) == (window, None)


STEPPED = st.sampled_from([Forward, Backward])


@st.composite
def histories(draw):
    """Times with gaps, bursts and changes of interval, all at least a step apart; a window that need not fit."""
    gaps = draw(st.lists(st.sampled_from([1, 1, 1, 2, 4, 8, 8, 40]), max_size=60))
    times, at = [START], START
    for gap in gaps:
        at += gap * HOUR
        times.append(at)
    ends = st.timedeltas(timedelta(hours=-30), timedelta(hours=300))
    return times, Window(*sorted((START + draw(ends), START + draw(ends))))


def shuffled_sizes(serve_all, seed, bad=0.0):
    """Pages of any size from one row up, some of which cannot be read."""
    chance = random.Random(seed)

    def serve(request):
        page, cursor = serve_all(request)
        return page[: chance.randint(1, max(1, len(page)))], cursor, chance.random() < bad

    return serve


@given(histories(), STEPPED, st.integers(1, 12), st.none() | st.integers(1, 15), st.integers(0, 999), st.booleans())
def test_what_is_read_is_the_truth(history, strategy, limit, span, seed, fixed):
    times, window = history
    serve = shuffled_sizes((oldest_first if strategy is Forward else newest_first)(times, 99), seed)
    rows, _ = walk(strategy(limit, HOUR, span=span, fixed=fixed), window, lambda request: serve(request)[:2])
    assert sorted(rows) == [t for t in times if t in window]


@given(histories(), STEPPED, st.integers(1, 12), st.none() | st.integers(1, 15), st.integers(0, 999))
def test_bad_pages_lose_what_is_said_and_nothing_else(history, strategy, limit, span, seed):
    times, window = history
    serve = shuffled_sizes((oldest_first if strategy is Forward else newest_first)(times, 99), seed, bad=0.3)
    paginator, rows, lost = strategy(limit, HOUR, span=span), [], []
    request = paginator.first(window)
    while request is not None:
        page, _, bad = serve(request)
        if bad:
            skipped, request = paginator.skip(request)
            lost.append(skipped)
        else:
            rows += page
            request = paginator.next(request, PageResult(min(page, default=None), max(page, default=None)))
    assert len(set(rows)) == len(rows)
    assert not [t for t in rows if any(t in gone for gone in lost)]
    assert set(rows) | {t for t in times if any(t in gone for gone in lost)} >= {t for t in times if t in window}


@given(STEPPED, st.integers(1, 3000), st.integers(100, 1000), st.booleans())
def test_without_gaps_no_request_is_wasted(strategy, rows, limit, spans):
    paginator = strategy(limit, HOUR, fixed=True, span=limit if spans else None)
    window, pages, request = Window(START, START + rows * HOUR), 0, None
    request = paginator.first(window)
    while request is not None:
        pages += 1
        held = min(request.limit, (request.window.end - request.window.start) // HOUR)
        if strategy is Forward:
            first = request.window.start + (START - request.window.start) % HOUR
            result = PageResult(first, min(first + (request.limit - 1) * HOUR, START + (rows - 1) * HOUR))
        else:
            result = PageResult(request.window.end - held * HOUR, request.window.end - HOUR)
        request = paginator.next(request, result)
    assert pages == -(-rows // limit)


@given(STEPPED, st.integers(1, 3000), st.integers(1, 1000), st.sampled_from([None, 70]), st.integers(0, 59))
def test_windows_of_a_page_cover_the_window(strategy, rows, limit, span, minutes):
    window = Window(START + timedelta(minutes=minutes), START + timedelta(minutes=minutes) + rows * HOUR)
    pages = strategy(limit, HOUR, fixed=True, span=span).windows(window)
    assert [page.start for page in pages] == [window.start, *(page.end for page in pages[:-1])]
    assert pages[-1].end == window.end
    assert max(page.end - page.start for page in pages) <= min(limit, span or limit) * HOUR
    assert strategy(limit, HOUR).windows(window) == [window]


def test_rows_before_the_window_end_a_walk_backward_and_no_walk_forward():
    day = Window.of("2024-01-01", "2024-01-02")
    held = PageResult(day.start + 8 * timedelta(hours=1), day.start + 16 * timedelta(hours=1))
    backward, forward = Backward(limit=9, step=timedelta(hours=1)), Forward(limit=9, step=timedelta(hours=1))
    assert backward.next(backward.first(day), held).window == Window(day.start, held.first)
    assert backward.next(backward.first(day), replace(held, earlier=True)) is None
    assert forward.next(forward.first(day), replace(held, earlier=True)).window.end == day.end
