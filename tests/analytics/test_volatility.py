"""Realized volatility against plain Python, for every estimator and engine."""

from __future__ import annotations

import math
import random
import statistics
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import given, settings

import cexkit
from cexkit.analytics.volatility import ESTIMATORS
from cexkit.errors import InvalidInputError, MissingColumnError, UnknownNameError

START = datetime(2024, 1, 1, tzinfo=UTC)


def bars(n: int, seed: int, step: timedelta = timedelta(hours=1), skip: tuple[int, ...] = ()) -> list[dict]:
    """Random bars, those numbered in ``skip`` left out."""
    rng, price, rows = random.Random(seed), 100.0, []
    for i in range(n):
        opened = price * math.exp(rng.gauss(0, 0.002))
        price = opened * math.exp(rng.gauss(0, 0.01))
        high = max(opened, price) * math.exp(abs(rng.gauss(0, 0.003)))
        low = min(opened, price) * math.exp(-abs(rng.gauss(0, 0.003)))
        if i not in skip:
            rows.append({"timestamp": START + i * step, "open": opened, "high": high, "low": low, "close": price})
    return rows


def oracle(rows: list[dict], estimator: str, window: int, step: timedelta, samples: int | None = None) -> list:
    """Formulas as printed, one window at a time."""
    ln, a = math.log, timedelta(days=365) / step
    values: list = []
    for before, bar in zip([None, *rows], rows, strict=False):
        o, h, low, c = (bar[k] for k in ("open", "high", "low", "close"))
        near = before is not None and bar["timestamp"] - before["timestamp"] == step
        rs = ln(h / c) * ln(h / o) + ln(low / c) * ln(low / o)
        values.append(
            {
                "close": ln(c / before["close"]) if near else None,
                "parkinson": ln(h / low) ** 2 / (4 * ln(2)),
                "garman_klass": 0.5 * ln(h / low) ** 2 - (2 * ln(2) - 1) * ln(c / o) ** 2,
                "rogers_satchell": rs,
                "yang_zhang": (ln(o / before["close"]), ln(c / o), rs) if near else None,
            }[estimator]
        )
    result = []
    for i in range(len(rows)):
        part = [v for v in values[max(0, i - window + 1) : i + 1] if v is not None]
        if i + 1 < (samples or window) or len(part) < (samples or window):
            result.append(None)
        elif estimator == "close":
            result.append(math.sqrt(a * statistics.variance(part)))
        elif estimator == "yang_zhang":
            jump, body, rs = zip(*part, strict=True)
            k = 0.34 / (1.34 + (window + 1) / (window - 1))
            variance = statistics.variance(jump) + k * statistics.variance(body) + (1 - k) * statistics.fmean(rs)
            result.append(math.sqrt(a * variance))
        else:
            result.append(math.sqrt(a * statistics.fmean(part)))
    return result


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_engine_agrees_with_the_formulas(engine, helpers, estimator):
    plans = {"A": (timedelta(hours=1), ()), "B": (timedelta(minutes=1), ()), "C": (timedelta(days=1), (12, 13, 30))}
    series = {name: bars(45, seed, step, skip) for seed, (name, (step, skip)) in enumerate(plans.items())}
    frame = pl.concat([pl.DataFrame(rows).with_columns(symbol=pl.lit(name)) for name, rows in series.items()])
    frame = frame.with_columns(exchange=pl.lit("okx")).sample(fraction=1, shuffle=True, seed=5)
    for samples in (None, 4):
        want = [value for name, rows in series.items() for value in oracle(rows, estimator, 7, plans[name][0], samples)]
        native = cexkit.realized_volatility(engine.make(frame), window=7, estimator=estimator, min_samples=samples)
        helpers.close(helpers.column(engine.back(native), "realized_volatility"), want, 1e-9)


def test_year_has_365_days_whatever_the_bar():
    for step, interval in ((timedelta(minutes=1), "1m"), (timedelta(hours=8), "8h"), (timedelta(days=1), "1d")):
        frame = pl.DataFrame(bars(40, 1, step))
        plain = statistics.stdev(math.log(b / a) for a, b in pairwise(frame["close"].to_list()[9:40]))
        for given_interval in (None, interval):
            got = frame.crypto.realized_volatility(interval=given_interval)[-1]
            assert got == pytest.approx(plain * math.sqrt(timedelta(days=365) / step), rel=1e-9)


def test_a_return_over_a_gap_is_no_one_bar_return():
    rows = bars(60, 3, skip=(30,))
    got = pl.DataFrame(rows).crypto.realized_volatility(window=5).to_list()
    assert [i for i, value in enumerate(got) if value is None] == [0, 1, 2, 3, 4, *range(30, 35)]
    wrong_interval = pl.DataFrame(rows).crypto.realized_volatility(window=5, interval="1m")
    assert wrong_interval.null_count() == len(rows)  # never a number on the wrong scale


def test_a_spike_does_not_poison_what_follows(helpers):
    rows = bars(200, 11)
    rows[50]["close"] *= 1e9
    got = pl.DataFrame(rows).crypto.realized_volatility(window=20).to_list()
    helpers.close(got, oracle(rows, "close", 20, timedelta(hours=1)), 1e-9)


def test_nothing_after_a_row_changes_it():
    rows = bars(60, 4)
    whole = pl.DataFrame(rows).crypto.realized_volatility(window=10, interval="1h").to_list()
    part = pl.DataFrame(rows[:40]).crypto.realized_volatility(window=10, interval="1h").to_list()
    assert whole[:40] == part


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(ESTIMATORS)),
    st.integers(2, 6),
    st.integers(0, 15),
    st.sets(st.integers(1, 14), max_size=3),
    st.integers(0, 999),
)
def test_oracle_under_any_gaps(estimator, window, n, skip, seed):
    rows = bars(n, seed, skip=tuple(skip))
    schema = {"timestamp": pl.Datetime("us", "UTC"), **dict.fromkeys(("open", "high", "low", "close"), pl.Float64)}
    got = cexkit.realized_volatility(
        pl.DataFrame(rows, schema=schema), window=window, estimator=estimator, interval="1h"
    )
    for left, right in zip(
        got["realized_volatility"], oracle(rows, estimator, window, timedelta(hours=1)), strict=True
    ):
        assert (left is None) == (right is None)
        assert left is None or math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-12)


def test_only_the_prices_of_the_estimator_are_needed():
    frame = pl.DataFrame(bars(40, 2)).select("timestamp", "high", "low")
    assert frame.crypto.realized_volatility(estimator="parkinson").null_count() == 29
    with pytest.raises(MissingColumnError, match="'close'"):
        frame.crypto.realized_volatility()


def test_arguments_that_cannot_be_meant():
    frame = pl.DataFrame(bars(3, 0))
    with pytest.raises(UnknownNameError, match="did you mean 'parkinson'"):
        frame.crypto.realized_volatility(estimator="parkinsons")
    for arguments in ({"window": 1}, {"window": 30, "min_samples": 31}, {"window": 2.5}, {"min_samples": 0}):
        with pytest.raises(InvalidInputError, match="min_samples"):
            frame.crypto.realized_volatility(**arguments)
    for interval in ("1 hour", "0h", "1M", "", 60):
        with pytest.raises(InvalidInputError, match="not a duration"):
            frame.crypto.realized_volatility(interval=interval)


def test_defaults_are_declared():
    assert cexkit.metrics().filter(name="realized_volatility")["window"].to_list() == [30]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_spike_of_one_instrument_spoils_no_other_window(engine, helpers, estimator):
    spiked, calm = bars(90, 11), bars(90, 12)
    spiked[30] |= {name: spiked[30][name] * 1e12 for name in ("open", "high", "close")}
    want = [value for rows in (spiked, calm) for value in oracle(rows, estimator, 12, timedelta(hours=1))]
    frames = (pl.DataFrame(rows).with_columns(symbol=pl.lit(name)) for name, rows in (("A", spiked), ("B", calm)))
    native = engine.make(pl.concat(frames).sample(fraction=1, shuffle=True, seed=6))
    got = engine.back(cexkit.realized_volatility(native, window=12, estimator=estimator))
    helpers.close(helpers.column(got, "realized_volatility"), want, 1e-9)
