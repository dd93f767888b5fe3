"""The basis at one maturity: brackets, no extrapolation, several venues."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from statistics import fmean

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import given, settings

import cexkit
from cexkit.errors import DuplicateKeyError, InvalidInputError, MissingColumnError, UnknownNameError

NOW = datetime(2024, 1, 1, tzinfo=UTC)
SCHEMA = {
    "exchange": pl.String,
    "symbol": pl.String,
    "base": pl.String,
    "quote": pl.String,
    "timestamp": pl.Datetime("us", "UTC"),
    "expiry": pl.Datetime("us", "UTC"),
    "price": pl.Float64,
    "reference": pl.Float64,
}


def future(days, rate, exchange="okx", base="BTC", quote="USDT", hour=0):
    """A future whose simple annual basis is ``rate``, so many days before its expiry."""
    time = NOW + timedelta(hours=hour)
    price = None if rate is None else 100.0 * (1 + rate * (days or 0) / 365)
    expiry = None if days is None else time + timedelta(days=days)
    return (exchange, f"{base}{quote}-{days}", base, quote, time, expiry, price, 100.0)


def frame_of(rows) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def constant(engine, rows, **arguments):
    frame = frame_of(rows)
    frame = frame.sample(fraction=1, shuffle=True, seed=1) if rows else frame
    got = engine.back(cexkit.constant_maturity_basis(engine.make(frame), **arguments))
    return got.sort("base", "timestamp").drop("timestamp").rows()


def near(*values):
    return tuple(pytest.approx(value, rel=1e-9) if isinstance(value, float) else value for value in values)


def test_linear_between_the_two_around_it(engine):
    rows = [future(10, 0.5), future(20, 0.10), future(45, 0.20, quote="USD"), future(90, 0.9)]
    assert constant(engine, rows) == [near("BTC", 0.10 + 0.10 * 10 / 25, 20.0, 45.0, 2, "USD+USDT")]
    assert constant(engine, rows, days=60.0) == [near("BTC", 0.20 + 0.70 * 15 / 45, 45.0, 90.0, 2, "USD+USDT")]


def test_one_that_expires_just_then_needs_no_other(engine):
    assert constant(engine, [future(30, 0.12)]) == [near("BTC", 0.12, 30.0, 30.0, 1, "USDT")]
    rows = [future(20, 0.9), future(30, 0.12), future(40, 0.9)]
    assert constant(engine, rows) == [near("BTC", 0.12, 30.0, 30.0, 1, "USDT")]


def test_nothing_is_extrapolated(engine):
    assert constant(engine, [future(40, 0.1), future(60, 0.2)]) == [near("BTC", None, None, 40.0, 0, None)]
    assert constant(engine, [future(10, 0.1), future(20, 0.2)]) == [near("BTC", None, 20.0, None, 0, None)]


def test_futures_too_near_expired_or_without_price_are_not_there(engine):
    rows = [future(2, 5.0), future(-5, 5.0), future(None, 0.0), future(25, None), future(40, 0.1)]
    assert constant(engine, rows) == [near("BTC", None, None, 40.0, 0, None)]
    assert constant(engine, rows[:3]) == []


def test_the_same_expiry_at_several_venues_counts_with_its_mean(engine):
    rows = [future(20, 0.1), future(20, 0.3, "binance"), future(40, 0.4), future(40, 0.4, "bybit", base="ETH")]
    got = constant(engine, rows)
    assert got == [near("BTC", 0.3, 20.0, 40.0, 3, "USDT"), near("ETH", None, None, 40.0, 0, None)]


def test_a_time_without_a_price_borrows_none_from_others(engine):
    rows = [future(20, 0.1), future(40, 0.3), future(40, 0.3, hour=1)]
    assert [row[1] for row in constant(engine, rows)] == [pytest.approx(0.2), None]


@pytest.mark.parametrize("method", ["simple", "continuous", "compound"])
def test_methods_are_those_of_annualized_basis(method):
    frame = frame_of([future(20, 0.1), future(40, 0.3)])
    first, second = cexkit.annualized_basis(frame, method=method)["annualized_basis"]
    got = cexkit.constant_maturity_basis(frame, method=method)["constant_maturity_basis"].item()
    assert got == pytest.approx((first + second) / 2, rel=1e-12)


listed = st.tuples(
    st.integers(0, 60), st.floats(-0.5, 1.0), st.sampled_from(["okx", "bybit"]), st.sampled_from(["BTC", "ETH"])
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(listed, st.integers(0, 2)), max_size=15, unique_by=lambda e: (e[0][0], e[0][2:], e[1])))
def test_agrees_with_plain_python(rows):
    points = defaultdict(lambda: defaultdict(list))
    for (days, rate, _, base), hour in rows:
        if days >= 3:
            points[base, NOW + timedelta(hours=hour)][days].append(rate)
    frame = frame_of([future(*arguments, hour=hour) for arguments, hour in rows])
    for native in (frame, frame.to_pandas()):
        got = cexkit.constant_maturity_basis(native)
        got = got if isinstance(got, pl.DataFrame) else pl.from_pandas(got)
        found = {(b, t): (value, n) for t, b, value, _, _, n, _ in got.iter_rows()}
        assert found.keys() == points.keys()
        for point, curve in points.items():
            value, n = found[point]
            below, above = [d for d in curve if d <= 30], [d for d in curve if d >= 30]
            if not below or not above:
                assert (value, n) == (None, 0)
                continue
            near, far = max(below), min(above)
            one, two = fmean(curve[near]), fmean(curve[far])
            part = (30 - near) / (far - near) if far > near else 0.0
            assert n == len(curve[near]) + (len(curve[far]) if far > near else 0)
            assert math.isclose(value, one + (two - one) * part, rel_tol=1e-9, abs_tol=1e-9)


def test_nothing_makes_nothing(engine):
    assert constant(engine, []) == []


def test_what_is_refused():
    frame = frame_of([future(20, 0.1), future(40, 0.3)])
    with pytest.raises(InvalidInputError, match="days="):
        cexkit.constant_maturity_basis(frame, days=2.0)
    with pytest.raises(UnknownNameError):
        cexkit.constant_maturity_basis(frame, method="spline")
    with pytest.raises(DuplicateKeyError, match="2 rows share"):
        cexkit.constant_maturity_basis(pl.concat([frame, frame[:1]]))
    with pytest.raises(MissingColumnError, match="'base'"):
        cexkit.constant_maturity_basis(frame.drop("base"))
