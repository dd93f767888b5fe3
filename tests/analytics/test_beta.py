"""Beta and correlation: against plain Python, a column or a symbol, over gaps."""

from __future__ import annotations

import math
import random
import statistics
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import ibis
import polars as pl
import pytest
from hypothesis import given, settings

import cexkit
from cexkit.analytics.catalog import METRICS
from cexkit.errors import (
    AmbiguousInstrumentError,
    DuplicateKeyError,
    InvalidInputError,
    MissingColumnError,
    UnknownNameError,
)

#: Values that cannot be are null, with a warning that test_ranges.py looks at.
pytestmark = pytest.mark.filterwarnings("ignore::cexkit.errors.OutOfRangeWarning")
START = datetime(2024, 1, 1, tzinfo=UTC)
SCHEMA = {
    **dict.fromkeys(("exchange", "instrument_type", "symbol"), pl.String),
    "timestamp": pl.Datetime("us", "UTC"),
    "close": pl.Float64,
}
Prices = dict[int, float | None]


def walk(seed: int, n: int, skip: tuple[int, ...] = (), sd: float = 0.01) -> Prices:
    rng, price, prices = random.Random(seed), 100.0, {}
    for hour in range(n):
        price *= math.exp(rng.gauss(0, sd))
        if hour not in skip:
            prices[hour] = price
    return prices


def legal(value: float | None) -> bool:
    return value is not None and math.isfinite(value) and value > 0


def oracle(own: Prices, market: Prices, window: int, samples: int | None = None) -> list[tuple]:
    """(beta, correlation) of each row of ``own``; both returns between the instrument's own times."""
    hours, pairs, result = sorted(own), [], []
    for before, hour in zip([None, *hours], hours, strict=False):
        four = (own[hour], own.get(before), market.get(hour), market.get(before))
        if before is not None and all(map(legal, four)):
            pairs.append((math.log(four[0] / four[1]), math.log(four[2] / four[3])))
        else:
            pairs.append(None)
        part = [pair for pair in pairs[-window:] if pair is not None]
        if len(part) < (samples or window):
            result.append((None, None))
            continue
        own_, market_ = zip(*part, strict=True)
        still = statistics.pstdev(market_) < 1e-12, statistics.pstdev(own_) < 1e-12
        beta = None if still[0] else statistics.covariance(own_, market_) / statistics.variance(market_)
        result.append((beta, None if any(still) else statistics.correlation(own_, market_)))
    return result


def rows(identity: tuple[str, str, str], prices: Prices) -> list[tuple]:
    return [(*identity, START + timedelta(hours=hour), price) for hour, price in prices.items()]


def frame_of(series: dict[tuple[str, str, str], Prices]) -> pl.DataFrame:
    data = [row for identity, prices in series.items() for row in rows(identity, prices)]
    frame = pl.DataFrame(data, schema=SCHEMA, orient="row")
    return frame.sample(fraction=1, shuffle=True, seed=9) if data else frame


SERIES = {
    ("binance", "perp", "BTCUSDT"): walk(1, 30),
    ("binance", "perp", "ETHUSDT"): walk(2, 30, skip=(9, 10, 17)),
    ("binance", "spot", "BTCUSDT"): walk(3, 30, skip=(12,)),
    ("binance", "spot", "ETHUSDT"): {**walk(4, 30), 20: math.nan},
    ("okx", "perp", "ETHUSDT"): walk(5, 30),
}


def check(engine, helpers, name, frame, want, **arguments):
    got = engine.back(getattr(cexkit, name)(engine.make(frame), **arguments))
    helpers.close(helpers.column(got, name), [w[("beta", "correlation").index(name)] for w in want], 1e-9)


@pytest.mark.parametrize("name", ["beta", "correlation"])
def test_a_symbol_of_the_same_venue_and_type(engine, helpers, name):
    want = []
    for exchange, kind, symbol in sorted(SERIES):
        market = SERIES.get((exchange, kind, "BTCUSDT"), {})
        want += oracle(SERIES[exchange, kind, symbol], market, 5)
    check(engine, helpers, name, frame_of(SERIES), want, benchmark="BTCUSDT", window=5)
    # its own is 1; okx has no benchmark of its own and borrows none
    if name == "beta":
        assert want[5] == (pytest.approx(1), pytest.approx(1))
        assert set(want[-30:]) == {(None, None)}


@pytest.mark.parametrize("name", ["beta", "correlation"])
@pytest.mark.parametrize("samples", [None, 3])
def test_a_column_of_the_frame(engine, helpers, name, samples):
    own, market = {**walk(1, 40, skip=(7, 21)), 15: None}, {**walk(2, 40), 30: 0.0}
    frame = frame_of({("okx", "perp", "A"): own})
    prices = [market[h] for h in ((t - START) // timedelta(hours=1) for t in frame["timestamp"])]
    frame = frame.with_columns(index=pl.Series(prices))
    want = oracle(own, market, 6, samples)
    check(engine, helpers, name, frame, want, benchmark_price="index", window=6, min_samples=samples)


def test_by_hand(engine, helpers):
    hours = [START + timedelta(hours=i) for i in range(4)]
    # returns of the market +x, -x, +x; of the instrument twice that, and half that the other way round
    market = [100.0, 110.0, 100.0, 110.0]
    frame = pl.DataFrame(
        {
            "symbol": ["UP"] * 4 + ["DOWN"] * 4,
            "timestamp": hours * 2,
            "close": [p**2 for p in market] + [p**-0.5 for p in market],
            "benchmark": market * 2,
        }
    )
    none = [(None, None)] * 3
    want = [*none, (-0.5, -1.0), *none, (2.0, 1.0)]
    for name in ("beta", "correlation"):
        check(engine, helpers, name, frame, want, window=3)


def test_a_gap_shifts_nothing(helpers):
    """An instrument that is the benchmark's square has beta 2, whichever of its bars are missing."""
    market = walk(8, 40)
    own = {h: p**2 for h, p in market.items() if h not in (5, 6, 20)}
    frame = frame_of({("okx", "perp", "BTCUSDT"): market, ("okx", "perp", "X"): own})
    got = cexkit.beta(frame, benchmark="BTCUSDT", window=4).filter(symbol="X").sort("timestamp")["beta"].to_list()
    helpers.close(got, [None] * 4 + [2.0] * 33, 1e-9)
    own_beta = cexkit.beta(frame, benchmark="BTCUSDT", window=4).filter(symbol="BTCUSDT")["beta"].drop_nulls()
    assert own_beta.len() == 36
    assert ((own_beta - 1).abs() < 1e-12).all()


def test_what_does_not_move_has_no_correlation(engine, helpers):
    still = dict.fromkeys(range(20), 5.0)
    jumped = {h: (5.0 if h < 8 else 7.0) for h in range(20)}
    moving = walk(1, 20)
    for own, market in ((still, moving), (moving, still), (moving, jumped), (jumped, moving)):
        frame = frame_of({("okx", "perp", "M"): market, ("okx", "perp", "A"): own})
        want = oracle(own, market, 4) + oracle(market, market, 4)
        for name in ("beta", "correlation"):
            check(engine, helpers, name, frame, want, benchmark="M", window=4)


def test_a_spike_does_not_poison_what_follows(engine, helpers):
    own, market, other = {**walk(1, 60), 20: 1e12}, {**walk(2, 60), 25: 1e-9}, walk(3, 60)
    frame = frame_of(
        {
            ("okx", "perp", "A"): own,
            ("okx", "perp", "M"): market,
            ("okx", "spot", "A"): other,
            ("okx", "spot", "M"): own,
        }
    )
    want = [*oracle(own, market, 8), *oracle(market, market, 8), *oracle(other, own, 8), *oracle(own, own, 8)]
    for name in ("beta", "correlation"):
        check(engine, helpers, name, frame, want, benchmark="M", window=8)


def test_nothing_after_a_row_changes_it():
    frame = frame_of(SERIES).sort("timestamp", "exchange", "instrument_type", "symbol")
    part = frame.filter(pl.col("timestamp") < START + timedelta(hours=20))
    for name in ("beta", "correlation"):
        whole = getattr(frame.crypto, name)(benchmark="BTCUSDT", window=5)
        assert whole[: part.height].to_list() == getattr(part.crypto, name)(benchmark="BTCUSDT", window=5).to_list()


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 5), st.integers(0, 14), st.sets(st.integers(0, 13)), st.sets(st.integers(0, 13)), st.integers(0, 99)
)
def test_agrees_with_plain_python(window, n, skip, skip_market, seed):
    own, market = walk(seed, n, tuple(skip)), walk(seed + 1000, n, tuple(skip_market))
    frame = frame_of({("okx", "perp", "A"): own, ("okx", "perp", "M"): {**market, 99: 1.0}})
    got = cexkit.beta(cexkit.correlation(frame, benchmark="M", window=window), benchmark="M", window=window)
    got = got.filter(symbol="A").sort("timestamp").select("beta", "correlation").rows()
    for left, right in zip(got, oracle(own, market, window), strict=True):
        assert [v is None for v in left] == [v is None for v in right]
        assert left == (None, None) or left == pytest.approx(right, rel=1e-9, abs=1e-9)


def test_what_is_refused():
    frame = frame_of(SERIES)
    with pytest.raises(UnknownNameError, match="did you mean 'BTCUSDT'"):
        frame.crypto.beta(benchmark="BTCUSD")
    assert cexkit.beta(frame.lazy(), benchmark="BTCUSD").collect()["beta"].null_count() == frame.height
    with pytest.raises(MissingColumnError, match=r"'benchmark'.*benchmark_price=.*benchmark='BTCUSDT'"):
        frame.crypto.correlation()
    with pytest.raises(MissingColumnError, match="'symbol'"):
        frame.drop("symbol").crypto.beta(benchmark="BTCUSDT")
    with pytest.raises(InvalidInputError, match="window=1"):
        frame.crypto.beta(benchmark="BTCUSDT", window=1)
    with pytest.raises(DuplicateKeyError):
        pl.concat([frame, frame[:1]]).crypto.beta(benchmark="BTCUSDT")


def test_few_rows(engine):
    for prices in ({}, {0: 1.0}):
        frame = frame_of({("okx", "perp", "M"): prices})
        got = engine.back(cexkit.correlation(engine.make(frame), benchmark="M"))
        assert got["correlation"].to_list() == [None] * len(prices)


def named(*symbols: str) -> pl.DataFrame:
    """Twelve hours of each symbol, every price another one."""
    rows = [
        ("x", "perp", symbol, START + timedelta(hours=hour), price)
        for place, symbol in enumerate(symbols)
        for hour, price in walk(place, 12).items()
    ]
    return pl.DataFrame(rows, SCHEMA, orient="row")


def betas(frame, benchmark: str) -> list:
    made = METRICS["beta"].function(frame, benchmark=benchmark, window=3)
    made = made.collect() if isinstance(made, pl.LazyFrame) else made
    made = made if isinstance(made, pl.DataFrame) else made.to_polars()
    return made.sort("symbol", "timestamp")["beta"].to_list()


ENGINES = {"polars": lambda f: f, "lazy": pl.DataFrame.lazy, "ibis": ibis.memtable}


@pytest.mark.parametrize("engine", ENGINES)
def test_benchmark_in_another_case(engine):
    frame = named("BTCUSDT", "ETHUSDT")
    want = betas(frame, "BTCUSDT")
    assert want[:3] == [None] * 3
    assert want[5] == pytest.approx(1.0)
    found = betas(ENGINES[engine](frame), "btcUsdt")
    assert pl.Series(found).round(9).to_list() == pl.Series(want).round(9).to_list()


@pytest.mark.parametrize("engine", ENGINES)
def test_benchmark_is_the_exact_name_if_others_differ_in_case_only(engine):
    frame = named("BTCUSDT", "btcusdt", "ETHUSDT")
    want = betas(frame.filter(pl.col("symbol") != "btcusdt"), "BTCUSDT")
    found = betas(ENGINES[engine](frame), "BTCUSDT")
    assert pl.Series(found[:24]).round(9).to_list() == pl.Series(want).round(9).to_list()


@pytest.mark.parametrize("engine", ENGINES)
def test_benchmark_that_means_several_symbols(engine):
    frame = ENGINES[engine](named("BTCUSDT", "btcusdt", "ETHUSDT"))
    if engine == "polars":
        with pytest.raises(AmbiguousInstrumentError, match="write 'BTCUSDT' or 'btcusdt'"):
            betas(frame, "Btcusdt")
    else:
        assert set(betas(frame, "Btcusdt")) == {None}
