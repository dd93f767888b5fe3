"""Annual rates and basis points against plain Python, whatever the numbers."""

from __future__ import annotations

import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cexkit

#: Values that cannot be, and prices in different units, are null, with warnings that other tests check.
pytestmark = [
    pytest.mark.filterwarnings("ignore::cexkit.errors.OutOfRangeWarning"),
    pytest.mark.filterwarnings("ignore::cexkit.errors.MixedUnitsWarning"),
]
#: More than there are other rows, so that a column is not refused for its median.
SOUND = [(100.0, 100.0)] * 21

rates = st.one_of(st.none(), st.floats(-1.5, 0.5), st.sampled_from([math.nan, math.inf, -1.0]))
hours = st.sampled_from([1.0, 2.0, 4.0, 6.0, 8.0])
prices = st.one_of(st.none(), st.floats(-10, 1e6), st.sampled_from([math.nan, 0.0]))


def known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def agree(got: float | None, want: float | None) -> bool:
    if want is None or got is None:
        return got is want
    return got == want or math.isclose(got, want, rel_tol=1e-9, abs_tol=1e-15)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(rates, hours), max_size=20))
def test_funding_apr_and_funding_apy(rows):
    frame = pl.DataFrame(rows, schema={"funding_rate": pl.Float64, "funding_interval_hours": pl.Float64}, orient="row")
    simple = cexkit.funding_apr(frame)["funding_apr"].to_list()
    compound = cexkit.funding_apy(frame)["funding_apy"].to_list()
    for (rate, every), apr, apy in zip(rows, simple, compound, strict=True):
        assert agree(apr, rate * 24 / every * 365 if known(rate) else None)
        grows = known(rate) and rate > -1
        exponent = 8760 / every
        want = math.exp(math.log1p(rate) * exponent) - 1 if grows and math.log1p(rate) * exponent < 700 else None
        if grows and want is None:
            continue  # beyond what a float holds
        assert agree(apy, want)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(prices, prices), max_size=20))
def test_basis_bps(rows):
    rows = rows + SOUND
    frame = pl.DataFrame(rows, schema={"price": pl.Float64, "reference": pl.Float64}, orient="row")
    for (price, reference), got in zip(rows, cexkit.basis_bps(frame)["basis_bps"].to_list(), strict=True):
        sound = known(price) and known(reference) and price > 0 and reference > 0
        sound = sound and 0.2 <= price / reference <= 5
        assert agree(got, (price - reference) / reference * 1e4 if sound else None)
