"""Rows put in order: every row keeps its instrument and comes back to its place, whatever order it came in."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cexkit.analytics._core import order as order_module
from cexkit.analytics._core.compat import INSTRUMENT
from cexkit.analytics._core.order import arrange


class Doubled(Exception):
    pass


def doubled() -> None:
    raise Doubled


def check(rows: list[tuple], *, arrow: bool = False) -> np.ndarray | None:
    """Arrange rows of (exchange, symbol, hour) and hold the outcome against sorting them in Python."""
    frame = pl.DataFrame(rows, schema={"exchange": pl.String, "symbol": pl.String, "hour": pl.Int64}, orient="row")
    work = frame.select(pl.from_epoch("hour").alias("timestamp"), row=pl.int_range(pl.len()))
    keys = [frame["exchange"], frame["symbol"]]
    order = arrange(work["timestamp"], [key.to_arrow() for key in keys] if arrow else keys, doubled)
    half = len(rows) // 2
    found = pl.concat([order.take(work, 0, half), order.take(work, half, len(rows))])
    places = found["row"].to_list()
    assert sorted(places) == list(range(len(rows)))
    assert order.back(found["row"]).to_list() == list(range(len(rows)))
    if order.rows is None:
        assert places == list(range(len(rows)))
    ordered = [rows[place] for place in places]
    numbers = found[INSTRUMENT].to_list()
    assert numbers == sorted(numbers)
    for (one, first), (two, second) in zip(
        zip(ordered, numbers, strict=True), list(zip(ordered, numbers, strict=True))[1:], strict=False
    ):
        assert (one[:2] == two[:2]) == (first == second)
        if first == second:
            assert one[2] < two[2]
    assert len(set(numbers)) == len({row[:2] for row in rows})
    return order.rows


ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from(["x", "y", "z", None]), st.integers(0, 9)),
    unique=True, max_size=40,
)  # fmt: skip


@pytest.mark.parametrize("many", [0, 10_000], ids=["told apart row by row", "told apart run by run"])
@settings(deadline=None)
@given(rows=ROWS)
def test_any_order_becomes_the_right_one(many, rows):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order_module, "MANY", many)
        check(rows)


@settings(deadline=None)
@given(rows=ROWS.map(lambda rows: [row for row in rows if None not in row]))
def test_text_compared_where_it_lies_gives_the_same(rows):
    check(rows, arrow=True)


def test_rows_in_order_are_left_as_they_are():
    assert check([("a", "x", 0), ("a", "x", 1), ("b", "x", 0)]) is None
    assert check([("a", "x", 0), ("b", "x", 0), ("a", "x", 1)]) is not None
    assert check([("a", "x", 1), ("a", "x", 0)]) is not None
    assert check([]) is None


@pytest.mark.parametrize("apart", [0, 5])
def test_two_rows_at_one_time_are_refused_wherever_they_stand(apart):
    rows = [("a", "x", 3), *(("b", "y", hour) for hour in range(apart)), ("a", "x", 3)]
    with pytest.raises(Doubled):
        check(rows)


def test_without_keys_all_rows_are_one_instrument():
    order = arrange(pl.Series([3, 1, 2]), [], doubled)
    assert order.rows.tolist() == [1, 2, 0]
    assert order.back(pl.Series(["1", "2", "3"])).to_list() == ["3", "1", "2"]
    with pytest.raises(Doubled):
        arrange(pl.Series([3, 1, 3]), [], doubled)


def test_more_instruments_than_a_small_number_holds():
    symbols = [f"S{n}" for n in range(70_000)]
    work = pl.DataFrame({"timestamp": np.tile([2, 1], 70_000), "row": np.arange(140_000)})
    keys = [pl.Series(np.repeat(symbols, 2)), pl.Series(["one"]).new_from_index(0, 140_000)]
    order = arrange(work["timestamp"], keys, doubled)
    found = order.take(work, 0, 140_000)
    assert found[INSTRUMENT].n_unique() == 70_000
    assert (order.back(found["row"]).to_numpy() == np.arange(140_000)).all()
    assert (np.diff(found["timestamp"].to_numpy().reshape(-1, 2)) == 1).all()


TURNS = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(0, 3), st.randoms(use_true_random=False))


@settings(deadline=None)
@given(turns=TURNS, arrow=st.booleans())
def test_instruments_that_take_turns_are_grouped(turns, arrow):
    count, hours, cut, random = turns
    names = [(exchange, symbol) for exchange in "ab" for symbol in "xyz"]
    random.shuffle(names)
    rows = [(*name, hour) for hour in range(hours) for name in names[:count]]
    check(rows[: max(len(rows) - cut, 0)], arrow=arrow)


@pytest.mark.parametrize("changed", [0, 1, 7, 11])
def test_a_turn_out_of_sequence_is_grouped_by_instrument(changed):
    rows = [("a", symbol, hour) for hour in range(6) for symbol in "xy"]
    rows[changed] = ("b", rows[changed][1], rows[changed][2])
    check(rows)
    check([row for number, row in enumerate(rows) if number != changed])


def test_a_long_frame_in_turns_with_another_instrument_at_its_end():
    hours, symbols = 1_100, [f"S{n:03}" for n in range(100)]
    rows = [("a", symbol, hour) for hour in range(hours) for symbol in symbols]
    check(rows)
    check([*rows[:-1], ("b", *rows[-1][1:])])
    check([*rows[:-1], ("a", "S000", hours)])
