"""Steps noted once and carried out block by block: the right numbers, whatever came before or runs beside."""

from __future__ import annotations

import math
import random
import warnings
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest

import cexkit
from cexkit.analytics._core import plan
from cexkit.analytics._core.compat import number
from cexkit.analytics._core.plan import blocks, metric_plan
from cexkit.errors import CexkitWarning, InvalidInputError


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(plan, "BLOCK", 5)


def test_blocks_are_cut_between_instruments(small_blocks):
    sizes = [1, 7, 2, 2, 12, 1, 1, 1, 3]
    instruments = pl.Series(np.repeat(np.arange(len(sizes)), sizes))
    found = blocks(len(instruments), instruments)
    starts = {0, *np.cumsum(sizes).tolist()}
    assert len(found) > 2
    assert {start for start, _ in found} | {stop for _, stop in found} <= starts
    assert [stop for _, stop in found][:-1] == [start for start, _ in found][1:]
    assert (found[0][0], found[-1][1]) == (0, len(instruments))
    assert blocks(100, pl.Series([0]).new_from_index(0, 100)) == [(0, 100)]
    assert blocks(23, None) == [(0, 5), (5, 10), (10, 15), (15, 20), (20, 23)]
    assert blocks(0, None) == [(0, 0)]


def bars(symbol: str, scale: float, rows: int, seed: int) -> pl.DataFrame:
    rng, start = random.Random(seed), datetime(2024, 1, 1, tzinfo=UTC)
    return pl.DataFrame(
        {
            "symbol": symbol,
            "timestamp": [start + timedelta(hours=8 * i) for i in range(rows)],
            "funding_rate": [rng.gauss(0, 1e-4) * scale for _ in range(rows)],
            "funding_interval_hours": 8.0,
        }
    )


def test_an_instrument_of_another_scale_leaves_nothing_behind(helpers):
    """Windows of neighbors follow each other in memory: what the large one leaves must not show in the small one."""
    small = bars("B", 1e-6, 60, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CexkitWarning)
        beside = cexkit.funding_zscore(pl.concat([bars("A", 1e9, 60, seed=2), small]), window=20)
        assert beside.filter(symbol="A")["funding_zscore"].null_count() == 19
        got = beside.filter(symbol="B")["funding_zscore"].to_list()
    rates = small["funding_rate"].to_list()
    want: list[float | None] = [None] * 19
    for i in range(19, 60):
        window = rates[i - 19 : i + 1]
        mean = math.fsum(window) / 20
        want.append((rates[i] - mean) / math.sqrt(math.fsum((rate - mean) ** 2 for rate in window) / 19))
    helpers.close(got, want, 1e-12)


def test_a_window_never_reaches_into_the_instrument_before():
    """Rows in order stand without a border: with exactly one window of rows, only the last has a value."""
    frame = pl.concat([bars(symbol, 1.0, 10, seed) for seed, symbol in enumerate("ABC")])
    got = cexkit.funding_zscore(frame, window=10).group_by("symbol", maintain_order=True).agg("funding_zscore")
    for values in got["funding_zscore"]:
        assert values.null_count() == 9
        assert values[9] is not None


def test_a_definition_runs_once_for_each_kind_of_input(monkeypatch):
    calls = []

    def definition(frame, *, by):
        calls.append(by)
        return frame.with_columns((number(frame, "price") * by).alias("output"))

    schema = {"price": pl.Float64()}
    for _ in range(3):
        steps = metric_plan(definition, ("output",), schema, {"by": 2})
        assert steps(pl.DataFrame({"price": [1.0, 2.0]}))[0].to_list() == [2.0, 4.0]
    assert calls == [2]
    assert metric_plan(definition, ("output",), schema, {"by": 3})(pl.DataFrame({"price": [1.0]}))[0].to_list() == [3.0]
    metric_plan(definition, ("output",), schema | {"other": pl.String()}, {"by": 2})
    metric_plan(definition, ("output",), schema, {"by": 2.0})
    assert calls == [2, 3, 2, 2.0]
    assert metric_plan(definition, ("output",), schema, {"by": 2.0}).outputs == {"output": pl.Float64()}


def test_what_was_noted_for_whole_numbers_does_not_let_others_through():
    frame = bars("A", 1.0, 40, seed=3)
    assert cexkit.funding_zscore(frame, window=30)["funding_zscore"].null_count() == 29
    for window in (30.0, [30], None):
        with pytest.raises(InvalidInputError, match="window="):
            cexkit.funding_zscore(frame, window=window)


@pytest.mark.parametrize(
    ("definition", "why"),
    [
        (lambda frame: frame.with_columns(output=frame["price"].sum()), "must not read values"),
        (lambda frame: frame.with_columns(output=nw.lit(len(frame.to_dict()))), "must not read values"),
        (lambda frame: frame.with_columns(output=nw.lit(1)).filter(nw.col("price") > 0), "must not read values"),
        (lambda frame: frame.with_columns(output=nw.lit(1)).sort("price"), "with_columns and nothing else"),
        (lambda frame: frame.with_columns(output=nw.lit(1)).drop("price"), "with_columns and nothing else"),
    ],
)
def test_a_definition_that_does_more_than_append_is_refused(definition, why):
    with pytest.raises(TypeError, match=why):
        metric_plan(definition, ("output",), {"price": pl.Float64()}, {})


def test_calls_beside_each_other_keep_their_own_rows(small_blocks):
    frames = [pl.concat([bars(symbol, 1.0 + n, 12, n) for symbol in "ABCDE"]) for n in range(16)]
    want = [cexkit.funding_zscore(frame, window=5) for frame in frames]
    plan._noted.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda frame: cexkit.funding_zscore(frame, window=5), frames * 4))
    assert all(one.equals(other) for one, other in zip(got, want * 4, strict=True))


def test_results_on_pandas_are_the_callers_to_change():
    frame = pl.concat([bars(symbol, 1.0, 12, 1) for symbol in "AB"]).to_pandas()
    before = frame.copy(deep=True)
    for result in (cexkit.funding_interval(frame), cexkit.funding_apr(frame), cexkit.cumulative_funding(frame)):
        for column in set(result.columns) - {"symbol", "timestamp"}:
            result.loc[0, column] = 7 if result[column].dtype != bool else True
    pd.testing.assert_frame_equal(frame, before)


def test_pandas_columns_cut_from_a_table_are_read_where_they_lie():
    table = np.arange(1.0, 13.0).reshape(4, 3)[:, ::-1]
    frame = pd.DataFrame(table, columns=["price", "other", "reference"]).iloc[::2]
    want = (frame["price"] - frame["reference"]) / frame["reference"]
    assert cexkit.basis(frame)["basis"].tolist() == want.tolist()


def test_a_plan_reads_and_computes_only_what_its_outputs_need():
    def definition(frame):
        frame = frame.with_columns((number(frame, "price") * 2).alias("_twice"), nw.col("other").alias("_unused"))
        return frame.with_columns((nw.col("_twice") + 1).alias("output"), nw.col("_unused").alias("_unused again"))

    found = metric_plan(definition, ("output",), {"price": pl.Float64(), "other": pl.Int64()}, {})
    assert found.inputs == {"price"}
    assert [len(step) for step in found.steps] == [1, 1]
    assert found(pl.DataFrame({"price": [1.0]}))[0].to_list() == [3.0]
    overwritten = metric_plan(
        lambda frame: frame.with_columns((nw.col("price") + 1).alias("price")), ("price",), {"price": pl.Float64()}, {}
    )
    assert overwritten.inputs == {"price"}
    assert overwritten(pl.DataFrame({"price": [1.0]}))[0].to_list() == [2.0]


def test_a_metric_of_constants_has_as_many_rows_as_its_frame():
    frame = pl.concat([bars(symbol, 1.0, 12, 1) for symbol in "AB"]).sample(fraction=1, shuffle=True, seed=1)
    assert cexkit.funding_interval(frame)["funding_interval_hours"].to_list() == [8.0] * 24
    assert cexkit.funding_interval(frame.drop("funding_interval_hours"))["is_gap"].to_list() == [False] * 24
