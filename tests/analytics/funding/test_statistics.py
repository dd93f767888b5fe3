"""Funding against its own past: trailing windows, ties, constant rates."""

from __future__ import annotations

import math
import random
import statistics
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import given, settings

import cexkit
from cexkit.errors import DuplicateKeyError, InvalidInputError, MissingColumnError

START = datetime(2024, 1, 1, tzinfo=UTC)
NAMES = ("funding_zscore", "funding_pct_rank", "funding_regime")


def series(rates, hours=8.0, declared=True, **columns) -> pl.DataFrame:
    """Settlements of one instrument, ``hours`` apart."""
    every = [hours] * len(rates) if isinstance(hours, int | float) else hours
    times = [START + timedelta(hours=sum(every[: i + 1])) for i in range(len(rates))]
    frame = pl.DataFrame(
        {
            "timestamp": pl.Series(times, dtype=pl.Datetime("us", "UTC")),
            "funding_rate": pl.Series(rates, dtype=pl.Float64),
        }
    )
    if declared:
        frame = frame.with_columns(funding_interval_hours=pl.Series(every, dtype=pl.Float64))
    return frame.with_columns(**columns)


def clean(value):
    return None if value is None or (isinstance(value, float) and math.isnan(value)) else value


def oracle(aprs, window, samples):
    """All three in plain Python, row by row over the window that ends there."""
    found = {name: [] for name in NAMES}
    for i, apr in enumerate(aprs):
        past = [value for value in aprs[max(0, i - window + 1) : i + 1] if value is not None]
        full = apr is not None and len(past) >= samples
        z = rank = None
        if full:
            sd = statistics.stdev(past)
            z = (apr - statistics.fmean(past)) / sd if len(set(past)) > 1 else None
            below, equal = sum(value < apr for value in past), sum(value == apr for value in past)
            rank = (below + (equal + 1) / 2) / len(past)
        found["funding_zscore"].append(z)
        found["funding_pct_rank"].append(rank)
        found["funding_regime"].append(regime(apr, past, full))
    return found


def regime(apr, past, full):
    if apr is None:
        return None
    if apr <= 0.12:
        return "negative" if apr < 0 else "baseline"
    if not full:
        return None
    ranked, at = sorted(past), 0.95 * (len(past) - 1)
    low = math.floor(at)
    high = min(low + 1, len(past) - 1)
    quantile = ranked[low] + (ranked[high] - ranked[low]) * (at - low)
    return "extreme" if apr > quantile else "elevated"


def aprs(frame):
    hours = frame["funding_interval_hours"]
    return [None if clean(r) is None else r * 24 / h * 365 for r, h in zip(frame["funding_rate"], hours, strict=True)]


def results(engine, frame, helpers, **arguments):
    native = engine.make(frame)
    return {name: helpers.column(engine.back(getattr(cexkit, name)(native, **arguments)), name) for name in NAMES}


def test_by_hand(engine, helpers):
    frame = series([1e-4, 2e-4, 6e-4, 6e-4, -1e-4])
    got = results(engine, frame, helpers, window=3)
    sd = statistics.stdev([1, 2, 6])
    want = [
        None,
        None,
        3 / sd,
        (6 - 14 / 3) / statistics.stdev([2, 6, 6]),
        (-1 - 11 / 3) / statistics.stdev([6, 6, -1]),
    ]
    helpers.close(got["funding_zscore"], want, 1e-9)
    # two share the ranks 2 and 3 of 3
    helpers.close(got["funding_pct_rank"], [None, None, 1.0, 2.5 / 3, 1 / 3])
    assert got["funding_regime"] == ["baseline", None, "extreme", "elevated", "negative"]


def test_every_engine_agrees_with_plain_python(engine, helpers):
    parts, want = [], {}
    for k, symbol in enumerate("ABC"):
        rng = random.Random(k)
        rates = [rng.choice([1e-4, 1e-4, 2e-4, rng.gauss(1e-4, 2e-4)]) for _ in range(24)]
        rates[9], rates[17] = None, math.nan
        hours = [rng.choice([4.0, 8.0]) for _ in rates]
        part = series(rates, hours, symbol=pl.lit(symbol))
        parts.append(part)
        want[symbol] = oracle(aprs(part), 6, 4)
    frame = pl.concat(parts).sample(fraction=1, shuffle=True, seed=5)
    native = engine.make(frame)
    for name in NAMES:
        got = engine.back(getattr(cexkit, name)(native, window=6, min_samples=4))
        for symbol, expected in want.items():
            found = helpers.column(got.filter(pl.col("symbol") == symbol), name)
            helpers.close(found, expected[name], 1e-9)


# whole numbers of a basis point, so that ties are frequent
rate = st.one_of(st.none(), st.just(math.nan), st.integers(-5, 20).map(lambda bps: bps / 1e4), st.just(1e-4))


@settings(max_examples=40, deadline=None)
@given(st.lists(rate, max_size=25), st.integers(2, 8), st.integers(0, 4))
def test_agrees_with_plain_python(rates, window, fewer):
    samples = max(2, window - fewer)
    frame = series(rates)
    want = oracle(aprs(frame), window, samples)
    for native in (frame, frame.to_pandas()):
        for name in NAMES:
            got = getattr(native.crypto, name)(window=window, min_samples=samples).to_list()
            for value, expected in zip(map(clean, got), want[name], strict=True):
                if not isinstance(expected, float):
                    assert value == expected
                else:
                    assert math.isclose(value, expected, rel_tol=1e-9, abs_tol=1e-9)


def test_later_settlements_change_nothing(engine, helpers):
    rng = random.Random(1)
    frame = series([rng.gauss(1e-4, 3e-4) for _ in range(40)])
    whole, part = results(engine, frame, helpers, window=10), results(engine, frame.head(25), helpers, window=10)
    for name in NAMES:
        assert part[name] == whole[name][:25] or name == "funding_zscore"
        helpers.close(part[name], whole[name][:25], 1e-9)


def test_a_rate_that_never_moves_has_no_zscore(engine, helpers):
    frame = series([5e-3, -3e-4, *[1e-4] * 12, 2e-4])
    got = results(engine, frame, helpers, window=8)
    assert got["funding_zscore"][9:14] == [None] * 5
    assert got["funding_zscore"][14] == pytest.approx(7 / math.sqrt(8), rel=1e-9)
    helpers.close(got["funding_pct_rank"][9:14], [4.5 / 8] * 5)


def test_a_spike_does_not_spoil_later_windows(engine, helpers):
    rng = random.Random(2)
    rates = [rng.gauss(1e-4, 1e-5) for _ in range(60)]
    rates[5] = 1e6
    frame = series(rates)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cexkit.analytics._core.checks.warn", lambda *_: None)
        got = results(engine, frame, helpers, window=10)["funding_zscore"]
    helpers.close(got[20:], oracle(aprs(frame), 10, 10)["funding_zscore"][20:], 1e-9)


def test_a_change_of_interval_is_no_jump():
    # the same annual rate, settled every 8 h and then every 4 h
    frame = series([8e-5] * 20 + [4e-5] * 20, [8.0] * 20 + [4.0] * 20, declared=False)
    assert set(cexkit.funding_pct_rank(frame, window=10)["funding_pct_rank"].to_list()) == {None, 0.55}
    assert cexkit.funding_zscore(frame, window=10)["funding_zscore"].null_count() == 40
    derived = cexkit.funding_regime(frame, window=10)["funding_regime"].to_list()
    assert derived == ["baseline"] * 40


def test_a_low_rate_is_not_extreme_however_low_it_was_before():
    frame = series([-1e-4] * 9 + [1e-5])
    assert frame.crypto.funding_regime(window=10).to_list() == ["negative"] * 9 + ["baseline"]
    assert frame.crypto.funding_pct_rank(window=10)[-1] == 1.0


def test_borders_of_regimes():
    frame = series([0.0, 0.12 / 1095, 1.3e-4, 1e-3])
    assert frame.crypto.funding_apr()[1] == pytest.approx(0.12)
    got = frame.crypto.funding_regime(window=4, min_samples=2, baseline=0.1201).to_list()
    assert got == ["baseline", "baseline", "extreme", "extreme"]
    assert frame.crypto.funding_regime(window=4, min_samples=2, extreme=0.999999)[3] == "extreme"


def test_ninety_settlements_by_default():
    frame = series([1e-4 * (1 + i % 7) for i in range(91)])
    for name in ("funding_zscore", "funding_pct_rank"):
        assert cexkit.metrics().filter(name=name)["window"].item() == 90
        assert getattr(frame.crypto, name)().null_count() == 89


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rows", [0, 1])
def test_empty_and_single_row(engine, name, rows):
    got = engine.back(getattr(cexkit, name)(engine.make(series([2e-4]).head(rows))))
    assert got[name].to_list() == [None] * rows


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_meant(name):
    frame = series([1e-4] * 3)
    for arguments in ({"window": 1}, {"window": 5, "min_samples": 6}, {"window": 5, "min_samples": 1}, {"window": 2.5}):
        with pytest.raises(InvalidInputError, match="min_samples <= window"):
            getattr(cexkit, name)(frame, **arguments)
    with pytest.raises(MissingColumnError, match="'funding_rate'"):
        getattr(cexkit, name)(frame.drop("funding_rate"))


@pytest.mark.parametrize("arguments", [{"baseline": -0.1}, {"extreme": 1.0}, {"extreme": 0.0}, {"baseline": math.nan}])
def test_regimes_that_cannot_be_meant(arguments):
    with pytest.raises(InvalidInputError, match="baseline="):
        cexkit.funding_regime(series([1e-4] * 3), **arguments)


@pytest.mark.parametrize("name", NAMES)
def test_a_settlement_of_the_same_minute_does_not_count_twice(name):
    frame = series([1e-4, 3e-4, 2e-4, 4e-4, 5e-4])
    again = frame[1:2].with_columns(pl.col("timestamp") + pl.duration(milliseconds=11))
    with pytest.raises(DuplicateKeyError, match=f"{name}: 1 settlements follow another"):
        getattr(cexkit, name)(pl.concat([frame, again]), window=3)
    got = getattr(cexkit, name)(pl.concat([frame, again]).lazy(), window=3).collect().sort("timestamp")[name]
    assert got[2:5].to_list() == [None] * 3  # itself, and the windows that hold it
    assert got[5] is not None
