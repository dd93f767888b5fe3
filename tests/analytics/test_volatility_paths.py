"""Estimators on simulated paths whose volatility or spread is known.

A path is a random walk in small steps; the highest and lowest price within a step are drawn from their exact
distribution on a Brownian bridge, so that what differs from the truth is sampling error alone. Each bound is four
times that error: ``sigma / sqrt(2 N e)`` for N bars and an estimator e times as efficient as that of closes.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

import cexkit  # noqa: F401, registers .crypto

START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
YEAR = timedelta(days=365)
BARS, STEPS = 3_000, 48
#: Efficiency beside closes, from the papers; rounded down.
EFFICIENCY = {"close": 1.0, "parkinson": 4.9, "garman_klass": 7.4, "rogers_satchell": 6.0, "yang_zhang": 6.0}


def path(*, sigma: float, seed: int, drift: float = 0.0, jump: float = 0.0) -> pl.DataFrame:
    """Hourly bars; ``sigma``, ``drift`` and ``jump`` (the sd of jumps between bars) per year or its root."""
    rng, bar = np.random.default_rng(seed), HOUR / YEAR
    variance = sigma**2 * bar / STEPS
    steps = rng.normal(drift * bar / STEPS, math.sqrt(variance), (BARS, STEPS))
    jumps = rng.normal(0, jump * math.sqrt(bar), BARS) if jump else np.zeros(BARS)
    inside = np.concatenate([np.zeros((BARS, 1)), steps.cumsum(axis=1)], axis=1)
    starts = np.concatenate([[0.0], (inside[:, -1] + jumps).cumsum()[:-1]]) + jumps[0]
    inside += starts[:, None]
    a, b = inside[:, :-1], inside[:, 1:]

    def reach() -> np.ndarray:
        return np.sqrt((b - a) ** 2 - 2 * variance * np.log(rng.random(a.shape)))

    prices = {
        "open": inside[:, 0],
        "high": ((a + b + reach()) / 2).max(axis=1),
        "low": ((a + b - reach()) / 2).min(axis=1),
        "close": inside[:, -1],
    }
    times = [START + i * HOUR for i in range(BARS)]
    return pl.DataFrame({"timestamp": times, **{name: 100 * np.exp(value) for name, value in prices.items()}})


def estimate(frame: pl.DataFrame, estimator: str) -> float:
    return frame.crypto.realized_volatility(window=BARS - 1, estimator=estimator)[-1]


def bound(estimator: str) -> float:
    return 4 / math.sqrt(2 * BARS * EFFICIENCY[estimator])


@pytest.mark.parametrize("sigma", [0.2, 0.9])
@pytest.mark.parametrize("estimator", EFFICIENCY)
def test_the_volatility_of_a_path_is_found(estimator, sigma):
    got = estimate(path(sigma=sigma, seed=1), estimator)
    assert abs(got / sigma - 1) < bound(estimator)


@pytest.mark.parametrize("estimator", EFFICIENCY)
def test_a_trend_misleads_those_and_only_those_that_assume_none(estimator):
    sigma = 0.5
    # a drift of two standard deviations a bar
    got = estimate(path(sigma=sigma, seed=2, drift=2 * sigma * math.sqrt(YEAR / HOUR)), estimator)
    if estimator in ("parkinson", "garman_klass"):
        assert got / sigma > 1.05
    else:
        assert abs(got / sigma - 1) < bound(estimator)


@pytest.mark.parametrize("estimator", EFFICIENCY)
def test_jumps_between_bars_are_seen_by_those_that_look_there(estimator):
    sigma, jump = 0.5, 0.5
    got = estimate(path(sigma=sigma, seed=3, jump=jump), estimator)
    whole = math.hypot(sigma, jump) if estimator in ("close", "yang_zhang") else sigma
    # the jumps are seen once a bar, as closes are
    assert abs(got / whole - 1) < bound("close" if estimator == "yang_zhang" else estimator)


def quoted(*, spread: float, sigma: float, seed: int, bars: int = 1_500, trades: int = 300) -> pl.DataFrame:
    """Hourly highs and lows of trades at bid or ask by the toss of a coin, about a middle that wanders."""
    rng = np.random.default_rng(seed)
    moves = rng.normal(0, sigma * math.sqrt(HOUR / YEAR / trades), bars * trades)
    side = rng.choice([-1.0, 1.0], bars * trades)
    prices = (100 * np.exp(moves.cumsum()) * (1 + side * spread / 2)).reshape(bars, trades)
    times = [START + i * HOUR for i in range(bars)]
    return pl.DataFrame({"timestamp": times, "high": prices.max(axis=1), "low": prices.min(axis=1)})


@pytest.mark.parametrize(("spread", "sigma"), [(0.002, 0.3), (0.005, 0.3), (0.005, 0.8), (0.01, 0.8)])
def test_the_spread_of_a_path_is_found(spread, sigma):
    frame = quoted(spread=spread, sigma=sigma, seed=5)
    per_bar = frame.crypto.corwin_schultz(window=2, min_samples=2)
    assert per_bar.null_count() == 2
    got = frame.crypto.corwin_schultz(window=1_400)[-1]
    # the S of one bar scatters by 0.92 of the volatility of a bar, and hardly hangs together with the next
    error = 0.92 * sigma * math.sqrt(HOUR / YEAR) / math.sqrt(1_400)
    assert abs(got - spread) < 4 * error


def test_average_first_clip_last():
    """Clipping each bar biases up: without a spread the mean of many stays far below the clipped ones'."""
    frame = quoted(spread=0.0, sigma=0.8, seed=6)
    mean = frame.crypto.corwin_schultz(window=1_400)[-1]
    short = frame.crypto.corwin_schultz(window=2)
    assert (short.drop_nulls() >= 0).all()
    assert (short.drop_nulls() == 0).sum() > 300
    assert mean < short.mean() / 3
