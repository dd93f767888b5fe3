"""Open interest: changes in coins, quadrants, ratios."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import given, settings

import cexkit
from cexkit.errors import ColumnTypeError, DuplicateKeyError, MissingColumnError, UnpricedQuoteWarning

#: Values that cannot be are null, with a warning that test_ranges.py checks.
pytestmark = pytest.mark.filterwarnings("ignore::cexkit.errors.OutOfRangeWarning")
START = datetime(2024, 1, 1, tzinfo=UTC)
NAN, INF = float("nan"), float("inf")


def snapshots(interest: list, price: list | None = None, symbol: str = "BTCUSDT") -> pl.DataFrame:
    n = len(interest)
    return pl.DataFrame(
        {
            "symbol": [symbol] * n,
            "timestamp": [START + timedelta(hours=i) for i in range(n)],
            "open_interest_base": interest,
            "close": price or [100.0] * n,
        },
        schema={
            "symbol": pl.String,
            "timestamp": pl.Datetime("us", "UTC"),
            "open_interest_base": pl.Float64,
            "close": pl.Float64,
        },
    )


def fine(value: float | None, *, above: bool = False) -> float | None:
    ok = value is not None and math.isfinite(value) and (value > 0 if above else value >= 0)
    return value if ok else None


def test_change_by_hand(engine, helpers):
    frame = engine.make(snapshots([100.0, 125.0, 100.0, 0.0, 50.0]))
    got = engine.back(cexkit.oi_change(frame))
    helpers.close(helpers.column(got, "oi_change"), [None, 25.0, -25.0, -100.0, 50.0])
    got = engine.back(cexkit.oi_change(frame, relative=True))
    helpers.close(helpers.column(got, "oi_change"), [None, 0.25, -0.2, -1.0, None])


def test_quadrants_by_hand(engine, helpers):
    price = [100.0, 101.0, 102.0, 101.0, 100.0, 100.0, 101.0]
    interest = [10.0, 11.0, 10.0, 12.0, 11.0, 15.0, 15.0]
    got = engine.back(cexkit.oi_quadrant(engine.make(snapshots(interest, price))))
    want = [None, "new_longs", "short_covering", "new_shorts", "long_unwinding", "unchanged", "unchanged"]
    assert helpers.column(got, "oi_quadrant") == want


def test_a_price_that_moves_opens_no_position():
    """Value in dollars rises with the price, coins do not: the trap of quadrants in dollars."""
    frame = snapshots([10.0, 10.0, 9.9], [100.0, 110.0, 121.0])
    assert cexkit.oi_quadrant(frame)["oi_quadrant"].to_list() == [None, "unchanged", "short_covering"]


def test_unknown_values_are_null_here_and_after(engine, helpers):
    frame = engine.make(snapshots([1.0, NAN, 3.0, -1.0, 5.0, None, 7.0, 8.0], [1.0] * 7 + [0.0]))
    got = engine.back(cexkit.oi_change(frame))
    assert helpers.column(got, "oi_change") == [None] * 7 + [1.0]
    got = engine.back(cexkit.oi_quadrant(frame))
    assert helpers.column(got, "oi_quadrant") == [None] * 8


def test_instruments_interleaved_and_shuffled(engine, helpers):
    frame = pl.concat([snapshots([1.0, 2.0, 4.0]), snapshots([9.0, 8.0, 5.0], symbol="ETHUSDT")])
    got = engine.back(cexkit.oi_change(engine.make(frame.sample(fraction=1, shuffle=True, seed=1))))
    assert helpers.column(got, "oi_change") == [None, 1.0, 2.0, None, -1.0, -3.0]


def test_a_change_spans_a_gap():
    frame = snapshots([1.0, 2.0, 4.0, 8.0]).filter(pl.int_range(4) != 2)
    assert cexkit.oi_change(frame)["oi_change"].to_list() == [None, 1.0, 6.0]


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("name", ["oi_change", "oi_quadrant"])
def test_none_and_one(engine, helpers, rows, name):
    got = engine.back(getattr(cexkit, name)(engine.make(snapshots([5.0] * rows))))
    assert helpers.column(got, name) == [None] * rows


@pytest.mark.parametrize("name", ["oi_change", "oi_quadrant"])
def test_what_comes_later_changes_nothing(name):
    whole = snapshots([1.0, 5.0, 2.0, 8.0, 9.0], [1.0, 2.0, 1.0, 3.0, 2.0])
    function = getattr(cexkit, name)
    assert function(whole).head(3).equals(function(whole.head(3)))


def test_ratios_by_hand(engine, helpers):
    frame = pl.DataFrame(
        {
            "open_interest_quote": [30.0, 30.0, 30.0, NAN, -1.0, 0.0],
            "volume_usd": [120.0, 0.0, -1.0, 10.0, 10.0, 10.0],
            "market_cap_usd": [300.0, 0.0, None, 10.0, 10.0, INF],
            "quote": ["USDT", "USD", "USDC", "USDT", "USDT", "USDT"],
        }
    )
    got = engine.back(cexkit.oi_to_volume(engine.make(frame)))
    helpers.close(helpers.column(got, "oi_to_volume"), [0.25, None, None, None, None, 0.0])
    got = engine.back(cexkit.oi_to_market_cap(engine.make(frame)))
    helpers.close(helpers.column(got, "oi_to_market_cap"), [0.1, *[None] * 5])


def test_a_ratio_in_another_quote_is_none():
    frame = pl.DataFrame({"open_interest_quote": [1.0, 1.0], "volume_quote": [2.0, 2.0], "quote": ["BTC", "USDT"]})
    with pytest.warns(UnpricedQuoteWarning, match=r"BTC.*open_interest_usd and volume_usd"):
        got = cexkit.oi_to_volume(frame)
    assert got["oi_to_volume"].to_list() == [None, 0.5]


def test_errors():
    frame = snapshots([1.0, 2.0])
    with pytest.raises(DuplicateKeyError):
        cexkit.oi_change(frame.with_columns(timestamp=pl.lit(START)))
    with pytest.raises(MissingColumnError, match=r"'close'.*price="):
        cexkit.oi_quadrant(frame.drop("close"))
    with pytest.raises(MissingColumnError, match="'open_interest_usd' with 'volume_usd'"):
        cexkit.oi_to_volume(frame)
    with pytest.raises(ColumnTypeError, match="not String"):
        cexkit.oi_change(frame.with_columns(pl.col("open_interest_base").cast(pl.String)))
    renamed = frame.rename({"open_interest_base": "oi", "close": "mark"})
    assert cexkit.oi_quadrant(renamed, open_interest="oi", price="mark").height == 2


def same(got: list, want: list) -> bool:
    pairs = list(zip(got, want, strict=True))
    return all(a == b if a is None or b is None else math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9) for a, b in pairs)


number = st.none() | st.floats(-2, 1e6) | st.sampled_from([NAN, INF, 0.0, 1.0])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(number, number), max_size=30))
def test_oracle(pairs):
    pairs = pairs + [(1.0, 1.0)] * 31  # so that the median of a column is in range
    frame = snapshots([o for o, _ in pairs], [p for _, p in pairs])
    interest, price = [fine(o) for o, _ in pairs], [fine(p, above=True) for _, p in pairs]
    changes, relative, quadrants = [None], [None], [None]
    named = {(1, 1): "new_longs", (1, -1): "short_covering", (-1, 1): "new_shorts", (-1, -1): "long_unwinding"}
    for i in range(1, len(pairs)):
        before, now, low, high = interest[i - 1], interest[i], price[i - 1], price[i]
        known = before is not None and now is not None
        changes.append(now - before if known else None)
        relative.append(now / before - 1 if known and before else None)
        signs = ((high > low) - (high < low), (now > before) - (now < before)) if known and low and high else None
        quadrants.append(None if signs is None else named.get(signs, "unchanged"))
    n = len(pairs)
    assert cexkit.oi_change(frame)["oi_change"].to_list() == changes[:n]
    got = cexkit.oi_change(frame, relative=True)["oi_change"].to_list()
    assert same(got, relative[:n])
    assert cexkit.oi_quadrant(frame)["oi_quadrant"].to_list() == quadrants[:n]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(number, number, number), max_size=30))
def test_ratio_oracle(rows):
    rows = rows + [(1.0, 1.0, 1.0)] * 31
    columns = ("open_interest_usd", "volume_usd", "market_cap_usd")
    frame = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.Float64), orient="row")
    for function, part in ((cexkit.oi_to_volume, 1), (cexkit.oi_to_market_cap, 2)):
        pairs = [(fine(row[0]), fine(row[part], above=True)) for row in rows]
        want = [None if interest is None or whole is None else interest / whole for interest, whole in pairs]
        assert same(function(frame)[function.__name__].to_list(), want)
