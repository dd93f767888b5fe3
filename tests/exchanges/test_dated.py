"""Dated facts: looked up by time, in order, over all of time."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from cexkit.errors import InvalidInputError
from cexkit.exchanges.binance.archive import METRICS_LAG
from cexkit.exchanges.dated import Dated
from cexkit.schema.intervals import utc

TWICE = Dated("a", ((utc("2024-01-01"), "b"), (utc("2025-01-01"), "a")))


@pytest.mark.parametrize(
    ("time", "value"),
    [("1970-01-01", "a"), ("2023-12-31T23:59:59", "a"), ("2024-01-01", "b"), ("2024-12-31", "b"), ("2025-01-01", "a")],
)
def test_value_holds_from_its_time_to_the_next(time, value):
    assert TWICE.at(utc(time)) == value


def test_rows_get_the_values_of_their_times():
    rows = pl.DataFrame({"time": [utc(time) for time in ("2023-12-31", "2024-01-01", "2024-12-31", "2025-01-01")]})
    assert rows.select(TWICE.of(pl.col("time"))).to_series().to_list() == ["a", "b", "b", "a"]


def test_spans_of_values_cover_all_times_once():
    (b,) = TWICE.spans("b")
    first, last = TWICE.spans("a")
    assert (first.end, b.start, b.end, last.start) == (utc("2024-01-01"),) * 2 + (utc("2025-01-01"),) * 2
    assert (first.start.year, last.end.year) == (1, 9999)
    assert TWICE.spans("c") == ()


def test_binance_labels_changed_between_two_files():
    assert METRICS_LAG.at(utc("2026-06-24")) == timedelta(0)
    assert METRICS_LAG.at(utc("2026-06-25")) == timedelta(minutes=5)


def test_changes_out_of_order_are_refused():
    with pytest.raises(InvalidInputError, match="in order of time"):
        Dated(1, ((utc("2025-01-01"), 2), (utc("2024-01-01"), 3)))
