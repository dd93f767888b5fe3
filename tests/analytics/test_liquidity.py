"""Illiquidity and spread of bars: by hand, against plain Python, over gaps and spikes."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import given, settings

import cexkit
from cexkit.errors import DuplicateKeyError, InvalidInputError, MissingColumnError, UnpricedQuoteWarning

#: Values that cannot be are null, with a warning that test_ranges.py looks at.
pytestmark = pytest.mark.filterwarnings("ignore::cexkit.errors.OutOfRangeWarning")
START = datetime(2024, 1, 1, tzinfo=UTC)
SCHEMA = {
    "symbol": pl.String,
    "timestamp": pl.Datetime("us", "UTC"),
    **dict.fromkeys(("high", "low", "close", "volume_usd"), pl.Float64),
}


def bars(n: int, seed: int, symbol: str = "A", skip: tuple[int, ...] = ()) -> list[dict]:
    rng, rows = random.Random(seed), []
    for i in range(n):
        close = 100 * math.exp(rng.gauss(0, 0.01))
        high, low = close * math.exp(abs(rng.gauss(0, 0.01))), close * math.exp(-abs(rng.gauss(0, 0.01)))
        volume = rng.lognormvariate(12, 1)
        row = dict(zip(SCHEMA, (symbol, START + timedelta(hours=i), high, low, close, volume), strict=True))
        if i not in skip:
            rows.append(row)
    return rows


def frame_of(rows: list[dict]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA)


def legal(value: float | None) -> bool:
    return value is not None and math.isfinite(value) and value > 0


def moved(before: dict, bar: dict) -> float | None:
    if not all(map(legal, (before["close"], bar["close"], bar["volume_usd"]))):
        return None
    return abs(bar["close"] / before["close"] - 1) / bar["volume_usd"] * 1e6


def spread(before: dict, bar: dict) -> float | None:
    """As printed by Corwin and Schultz."""
    prices = [row[name] for row in (before, bar) for name in ("high", "low")]
    if not all(map(legal, prices)) or any(row["high"] < row["low"] for row in (before, bar)):
        return None
    b = sum(math.log(row["high"] / row["low"]) ** 2 for row in (before, bar))
    g = math.log(max(before["high"], bar["high"]) / min(before["low"], bar["low"])) ** 2
    k = 3 - 2 * math.sqrt(2)
    a = (math.sqrt(2 * b) - math.sqrt(b)) / k - math.sqrt(g / k)
    return 2 * (math.exp(a) - 1) / (1 + math.exp(a))


def oracle(rows: list[dict], term, window: int, samples: int | None = None) -> list[float | None]:
    values = [
        term(before, bar) if before and bar["timestamp"] - before["timestamp"] == timedelta(hours=1) else None
        for before, bar in zip([None, *rows], rows, strict=False)
    ]
    result = []
    for i in range(len(rows)):
        part = [v for v in values[max(0, i - window + 1) : i + 1] if v is not None]
        mean = sum(part) / len(part) if len(part) >= (samples or window) else None
        result.append(max(mean, 0.0) if mean is not None else None)
    return result


METRICS = {"amihud": moved, "corwin_schultz": spread}


@pytest.mark.parametrize("name", METRICS)
def test_every_engine_agrees_with_plain_python(engine, helpers, name):
    series = {"A": bars(40, 1, "A"), "B": bars(40, 2, "B", skip=(11, 12)), "C": bars(1, 3, "C")}
    series["A"][9] |= {"close": math.nan, "high": math.nan}
    series["A"][20] |= {"volume_usd": 0.0, "low": 0.0}
    series["B"][20] |= {"volume_usd": None, "high": 1.0}
    frame = frame_of([row for rows in series.values() for row in rows]).sample(fraction=1, shuffle=True, seed=3)
    for samples in (None, 3):
        want = [value for rows in series.values() for value in oracle(rows, METRICS[name], 5, samples)]
        got = engine.back(getattr(cexkit, name)(engine.make(frame), window=5, min_samples=samples, interval="1h"))
        helpers.close(helpers.column(got, name), want, 1e-9)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(METRICS)),
    st.integers(2, 5),
    st.integers(0, 14),
    st.sets(st.integers(0, 13), max_size=3),
    st.integers(0, 999),
)
def test_oracle_under_any_gaps(name, window, n, skip, seed):
    rows = bars(n, seed, skip=tuple(skip))
    got = getattr(cexkit, name)(frame_of(rows), window=window, interval="1h")[name]
    for left, right in zip(got, oracle(rows, METRICS[name], window), strict=True):
        assert (left is None) == (right is None)
        assert left is None or math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-14)


def test_amihud_by_hand(engine, helpers):
    # 1 % on 5 M, then 2 % on 4 M: 0.002 and 0.005 per million
    rows = [(100.0, 1e6), (101.0, 5e6), (98.98, 4e6)]
    days = [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 3)]
    frame = pl.DataFrame({"timestamp": days, "close": [r[0] for r in rows], "volume_usd": [r[1] for r in rows]})
    got = engine.back(cexkit.amihud(engine.make(frame), window=2))
    helpers.close(helpers.column(got, "amihud"), [None, None, 0.0035], 1e-9)


def test_corwin_schultz_by_hand(engine, helpers):
    # bars of one range: beta = 2 x^2, gamma = x^2, alpha = x ((2 - sqrt 2) / k - 1 / sqrt k) = x
    x = 0.02
    days = [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 3)]
    frame = pl.DataFrame({"timestamp": days, "high": [100 * math.exp(x)] * 3, "low": [100.0] * 3})
    got = engine.back(cexkit.corwin_schultz(engine.make(frame), window=2))
    want = 2 * (math.exp(x) - 1) / (1 + math.exp(x))
    helpers.close(helpers.column(got, "corwin_schultz"), [None, None, want], 1e-9)
    assert want == pytest.approx(x, rel=1e-3)  # all of the range is spread


@pytest.mark.parametrize("name", METRICS)
def test_nothing_after_a_row_changes_it(name):
    rows = bars(40, 4)
    whole = getattr(frame_of(rows).crypto, name)(window=5, interval="1h").to_list()
    part = getattr(frame_of(rows[:25]).crypto, name)(window=5, interval="1h").to_list()
    assert whole[:25] == part


@pytest.mark.parametrize("name", METRICS)
def test_a_spike_does_not_poison_what_follows(engine, helpers, name):
    spiked, calm = bars(80, 11, "A"), bars(80, 12, "B")
    spiked[30] |= {"close": 1e12, "high": 1e15, "volume_usd": 1e-6}
    want = [value for rows in (spiked, calm) for value in oracle(rows, METRICS[name], 10)]
    got = engine.back(getattr(cexkit, name)(engine.make(frame_of(spiked + calm)), window=10))
    helpers.close(helpers.column(got, name), want, 1e-9)


def test_dollars_from_quotes():
    frame = frame_of(bars(10, 1)).rename({"volume_usd": "volume_quote"}).with_columns(quote=pl.lit("USDC"))
    want = frame_of(bars(10, 1)).crypto.amihud(window=3).to_list()
    assert frame.crypto.amihud(window=3).to_list() == want
    with pytest.warns(UnpricedQuoteWarning, match="EUR"):
        assert frame.with_columns(quote=pl.lit("EUR")).crypto.amihud(window=3).null_count() == 10


@pytest.mark.parametrize("name", METRICS)
def test_what_is_refused(name):
    frame = frame_of(bars(5, 0))
    for arguments in ({"window": 1}, {"min_samples": 31}, {"interval": "1M"}):
        with pytest.raises(InvalidInputError):
            getattr(frame.crypto, name)(**arguments)
    with pytest.raises(DuplicateKeyError):
        getattr(pl.concat([frame, frame]).crypto, name)()
    with pytest.raises(MissingColumnError):
        getattr(frame.select("timestamp").crypto, name)()


@pytest.mark.parametrize("name", METRICS)
def test_few_rows(engine, name):
    for n in (0, 1):
        got = engine.back(getattr(cexkit, name)(engine.make(frame_of(bars(n, 0)))))
        assert got[name].to_list() == [None] * n
