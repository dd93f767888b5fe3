"""Basis: a row metric, with whatever a price column may hold."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import given, settings

import cexkit
from cexkit.analytics.catalog import METRICS
from cexkit.errors import ColumnTypeError, MissingColumnError, MixedUnitsWarning

#: Values that cannot be, and prices in different units, are null, with warnings that other tests check.
pytestmark = [
    pytest.mark.filterwarnings("ignore::cexkit.errors.OutOfRangeWarning"),
    pytest.mark.filterwarnings("ignore::cexkit.errors.MixedUnitsWarning"),
]
BAD = [None, math.nan, math.inf, -math.inf, 0.0, -1.0]


def clean(value):
    return None if value is None or math.isnan(value) else value


def test_by_hand(engine, helpers):
    frame = pl.DataFrame({"row": [0, 1, 2], "price": [50_250.0, 49_900.0, 100.0], "reference": [5e4, 5e4, 100.0]})
    got = engine.back(cexkit.basis(engine.make(frame))).sort("row")
    helpers.close(got["basis"].to_list(), [0.005, -0.002, 0.0])
    got = engine.back(cexkit.basis_bps(engine.make(frame))).sort("row")
    helpers.close(got["basis_bps"].to_list(), [50.0, -20.0, 0.0])


def test_no_price_no_basis(engine):
    rows = [(bad, 1.0) for bad in BAD] + [(1.0, bad) for bad in BAD] + [(5.1, 1.0), (1.0, 5.1)]
    frame = pl.DataFrame(rows, schema={"price": pl.Float64, "reference": pl.Float64}, orient="row")
    for name in ("basis", "basis_bps"):
        got = engine.back(getattr(cexkit, name)(engine.make(frame)))[name]
        assert [clean(value) for value in got] == [None] * len(rows)


price = st.one_of(st.none(), st.floats(1e-9, 1e9), st.just(math.nan), st.floats(-10, 0))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(price, price), max_size=20))
def test_agrees_with_plain_python(rows):
    rows = rows + [(1.0, 1.0)] * 21  # so that the median of a column is in range
    frame = pl.DataFrame(rows, schema={"price": pl.Float64, "reference": pl.Float64}, orient="row")
    for native in (frame, frame.to_pandas()):
        for (f, s), value in zip(rows, native.crypto.basis().to_list(), strict=True):
            legal = all(x is not None and x > 0 for x in (f, s)) and 0.2 <= f / s <= 5
            if legal:
                assert math.isclose(value, (f - s) / s, rel_tol=1e-12, abs_tol=1e-15)
            else:
                assert clean(value) is None


def test_whole_numbers_and_other_names(engine, helpers):
    frame = pl.DataFrame({"mark": [101, 99], "index_price": [100, 100]})
    got = engine.back(cexkit.basis(engine.make(frame), price="mark", reference="index_price")).sort("mark")
    helpers.close(got["basis"].to_list(), [-0.01, 0.01])


@pytest.mark.parametrize("name", ["basis", "basis_bps", "annualized_basis", "constant_maturity_basis", "carry_return"])
def test_prices_of_different_units_have_no_basis(engine, helpers, name):
    # 1000PEPE over PEPE: a basis of 99,900 %
    frame = pl.DataFrame(
        {
            "exchange": "okx",
            "base": "PEPE",
            "timestamp": [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)],
            "expiry": datetime(2024, 3, 1, tzinfo=UTC),
            "price": [0.01, 0.00001],
            "reference": 0.00001,
        }
    )
    call = METRICS[name].function
    if engine.eager:
        with pytest.warns(MixedUnitsWarning, match=f"{name}: in 1 rows .* multiplier"):
            got = engine.back(call(engine.make(frame)))
    else:
        got = engine.back(call(engine.make(frame)))
    if name == "carry_return":
        assert got["start"].dt.day().to_list() == [2]
    elif name == "constant_maturity_basis":
        assert got["timestamp"].dt.day().to_list() == [2]
    else:
        helpers.close([clean(value) for value in got.sort("timestamp")[name]], [None, 0.0])


def test_errors(engine):
    with pytest.raises(MissingColumnError, match=r"'reference'.*available: price.*join_asof"):
        cexkit.basis(engine.make(pl.DataFrame({"price": [1.0]})))
    with pytest.raises(ColumnTypeError, match="numbers in column 'price'"):
        cexkit.basis(engine.make(pl.DataFrame({"price": [True], "reference": [1.0]})))
