"""Order flow: taker imbalance and cumulative volume delta."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import given, settings

import cexkit
from cexkit.errors import DuplicateKeyError, MissingColumnError

#: Values that cannot be are null, with a warning that test_ranges.py checks.
pytestmark = pytest.mark.filterwarnings("ignore::cexkit.errors.OutOfRangeWarning")
START = datetime(2024, 1, 1, tzinfo=UTC)
NAN, INF = float("nan"), float("inf")
SCHEMA = {
    "symbol": pl.String,
    "timestamp": pl.Datetime("us", "UTC"),
    "taker_buy_volume_base": pl.Float64,
    "volume_base": pl.Float64,
}


def bars(bought: list, volume: list, symbol: str = "BTCUSDT") -> pl.DataFrame:
    times = [START + timedelta(hours=i) for i in range(len(bought))]
    columns = zip([symbol] * len(bought), times, bought, volume, strict=True)
    return pl.DataFrame(list(columns), schema=SCHEMA, orient="row")


def delta(bought: float | None, volume: float | None) -> float | None:
    if bought is None or volume is None or not (math.isfinite(bought) and math.isfinite(volume)):
        return None
    return 2 * bought - volume if 0 <= bought <= volume * 1.000001 else None


def test_by_hand(engine, helpers):
    frame = bars([75.0, 0.0, 50.0, 100.0, 0.0], [100.0, 100.0, 100.0, 100.0, 0.0])
    got = engine.back(cexkit.taker_imbalance(engine.make(frame)))
    helpers.close(helpers.column(got, "taker_imbalance"), [0.5, -1.0, 0.0, 1.0, None])
    got = engine.back(cexkit.cvd(engine.make(frame)))
    helpers.close(helpers.column(got, "cvd"), [50.0, -50.0, -50.0, 50.0, 50.0])


def test_what_cannot_be_is_null_and_the_sum_goes_on(engine, helpers):
    frame = bars([5.0, NAN, None, 1.0, -1.0, 11.0, 8.0, 10.000001], [10.0, 10.0, 10.0, INF, 10.0, 10.0, 10.0, 10.0])
    got = engine.back(cexkit.taker_imbalance(engine.make(frame)))
    helpers.close(helpers.column(got, "taker_imbalance"), [0.0, *[None] * 5, 0.6, 1.0000002], 1e-9)
    got = engine.back(cexkit.cvd(engine.make(frame)))
    helpers.close(helpers.column(got, "cvd"), [0.0, *[None] * 5, 6.0, 16.000002], 1e-9)


def test_instruments_interleaved_and_shuffled(engine, helpers):
    frame = pl.concat([bars([1.0, 2.0, 3.0], [2.0, 2.0, 2.0]), bars([9.0, 9.0, 9.0], [9.0, 9.0, 9.0], "ETHUSDT")])
    got = engine.back(cexkit.cvd(engine.make(frame.sample(fraction=1, shuffle=True, seed=3))))
    # 3 of 2 cannot be bought
    helpers.close(helpers.column(got, "cvd"), [0.0, 2.0, None, 9.0, 18.0, 27.0])


@pytest.mark.parametrize("rows", [0, 1])
def test_none_and_one(engine, helpers, rows):
    frame = bars([3.0], [4.0]).head(rows)
    assert helpers.column(engine.back(cexkit.cvd(engine.make(frame))), "cvd") == [2.0][:rows]
    assert helpers.column(engine.back(cexkit.taker_imbalance(engine.make(frame))), "taker_imbalance") == [0.5][:rows]


def test_what_comes_later_changes_nothing():
    whole = bars([1.0, 5.0, 2.0, 8.0, 9.0], [10.0] * 5)
    assert cexkit.cvd(whole).head(3).equals(cexkit.cvd(whole.head(3)))


def test_errors():
    frame = bars([1.0, 2.0], [3.0, 3.0])
    with pytest.raises(DuplicateKeyError, match="share instrument and time"):
        cexkit.cvd(frame.with_columns(timestamp=pl.lit(START)))
    with pytest.raises(MissingColumnError, match=r"'taker_buy_volume_base'.*taker_buy=\.\.\."):
        cexkit.taker_imbalance(frame.drop("taker_buy_volume_base"))
    renamed = frame.rename({"taker_buy_volume_base": "bought", "volume_base": "all"})
    assert cexkit.taker_imbalance(renamed, taker_buy="bought", volume="all")["taker_imbalance"][0] == -1 / 3


def same(got: list, want: list, rel: float) -> bool:
    pairs = list(zip(got, want, strict=True))
    return all(a == b if a is None or b is None else math.isclose(a, b, rel_tol=rel, abs_tol=1e-9) for a, b in pairs)


value = st.none() | st.floats(-5, 100) | st.sampled_from([NAN, INF, 0.0])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(value, value), max_size=30))
def test_oracle(pairs):
    pairs = pairs + [(1.0, 1.0)] * 31  # so that the median of a column is in range
    frame = bars([b for b, _ in pairs], [v for _, v in pairs])
    deltas = [delta(b, v) for b, v in pairs]
    total, sums = 0.0, []
    for one in deltas:
        total += one or 0.0
        sums.append(None if one is None else total)
    wants = [None if d is None or not v or v <= 0 else d / v for d, (_, v) in zip(deltas, pairs, strict=True)]
    assert same(cexkit.taker_imbalance(frame)["taker_imbalance"].to_list(), wants, 1e-12)
    assert same(cexkit.cvd(frame)["cvd"].to_list(), sums, 1e-9)
