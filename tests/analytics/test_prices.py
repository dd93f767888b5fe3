"""Returns: per instrument, in time order."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import given, settings

import cexkit
from cexkit.errors import DuplicateKeyError

#: Values that cannot be are null, with a warning that test_ranges.py checks.
pytestmark = pytest.mark.filterwarnings("ignore::cexkit.errors.OutOfRangeWarning")
START = datetime(2024, 1, 1, tzinfo=UTC)


def bars(series: dict[str, list[float | None]]) -> pl.DataFrame:
    rows = [
        (symbol, START + timedelta(hours=i), price)
        for symbol, prices in series.items()
        for i, price in enumerate(prices)
    ]
    schema = {"symbol": pl.String, "timestamp": pl.Datetime("us", "UTC"), "close": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row").sample(fraction=1, shuffle=True, seed=7)


def want(prices):
    result = [None]
    for before, now in pairwise(prices):
        legal = all(p is not None and not math.isnan(p) and p > 0 for p in (before, now))
        result.append(now / before if legal else None)
    return result[: len(prices)]


def test_every_engine_by_hand(engine, helpers):
    series = {"A": [100.0, 110.0, None, 99.0, 99.0], "B": [1.0, math.nan, 2.0, 0.0, 4.0, 2.0]}
    frame = bars(series)
    simple = engine.back(cexkit.returns(engine.make(frame)))
    logs = engine.back(cexkit.log_returns(engine.make(frame)))
    expected = [ratio for prices in series.values() for ratio in want(prices)]
    clean = [None if x is None or math.isnan(x) else x for x in helpers.column(simple, "returns")]
    helpers.close(clean, [None if r is None else r - 1 for r in expected], 1e-9)
    clean = [None if x is None or math.isnan(x) else x for x in helpers.column(logs, "log_returns")]
    helpers.close(clean, [None if r is None else math.log(r) for r in expected], 1e-9)


price = st.one_of(st.none(), st.floats(1e-6, 1e6), st.just(math.nan), st.just(0.0))


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from("ABC"), st.lists(price, min_size=1, max_size=15), min_size=1))
def test_agrees_with_plain_python(series):
    series = series | {"D": [1.0] * 46}  # so that the median price is in range
    got = cexkit.returns(cexkit.log_returns(bars(series))).sort("symbol", "timestamp")
    expected = [ratio for _, prices in sorted(series.items()) for ratio in want(prices)]
    for ratio, simple, log in zip(expected, got["returns"], got["log_returns"], strict=True):
        if ratio is None:
            assert simple is None
            assert log is None
        else:
            assert math.isclose(simple, ratio - 1, rel_tol=1e-9, abs_tol=1e-12)
            assert math.isclose(log, math.log(ratio), rel_tol=1e-9, abs_tol=1e-12)


def test_ties_are_refused():
    frame = pl.concat([bars({"A": [1.0, 2.0]}), bars({"A": [1.0]})])
    with pytest.raises(DuplicateKeyError, match="symbol=A"):
        cexkit.returns(frame)


def test_drawdown_by_hand(engine, helpers):
    series = {"A": [100.0, 125.0, None, 100.0, 150.0], "B": [4.0, math.nan, 2.0, 0.0, 8.0, 6.0], "C": [1.0]}
    got = engine.back(cexkit.drawdown(engine.make(bars(series))))
    want = [0.0, 0.0, None, -0.2, 0.0, 0.0, None, -0.5, None, 0.0, -0.25, 0.0]
    helpers.close(helpers.column(got, "drawdown"), want)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from("ABC"), st.lists(price, max_size=15), min_size=1))
def test_drawdown_agrees_with_plain_python(series):
    series = series | {"D": [1.0] * 46}
    got = cexkit.drawdown(bars(series)).sort("symbol", "timestamp")["drawdown"].to_list()
    expected = []
    for _, prices in sorted(series.items()):
        for i, p in enumerate(prices):
            legal = [q for q in prices[: i + 1] if q is not None and q > 0]
            expected.append(p / max(legal) - 1 if p is not None and p > 0 else None)
    assert got == expected


def test_a_later_high_changes_no_earlier_drawdown():
    whole = bars({"A": [5.0, 4.0, 3.0, 90.0]}).sort("timestamp")
    assert whole.crypto.drawdown().to_list()[:3] == whole[:3].crypto.drawdown().to_list()
