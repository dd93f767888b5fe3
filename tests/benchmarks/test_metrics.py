"""Metrics beside what a user would write, 3 million rows of 100 instruments, in one run.

Run as docs/reference/benchmarks.md says, then
``python tests/benchmarks/report.py benchmarks.json`` writes the table of the docs. Only ratios within one
run mean anything. ``CEXKIT_BENCHMARK_ROWS`` makes the frames smaller.
"""

from __future__ import annotations

import math
import os
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import polars as pl
import pytest

import cexkit
from cexkit.analytics.catalog import METRICS

ROWS, INSTRUMENTS = int(os.environ.get("CEXKIT_BENCHMARK_ROWS", 3_000_000)), 100
KEYS = ["exchange", "symbol"]


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    rng, each = np.random.default_rng(0), ROWS // INSTRUMENTS
    start = datetime(2020, 1, 1, tzinfo=UTC)
    times = pl.datetime_range(start, start + timedelta(hours=8 * (each - 1)), "8h", eager=True)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, (INSTRUMENTS, each)), axis=1)).ravel()
    return pl.DataFrame(
        {
            "exchange": "binance",
            "symbol": np.repeat([f"C{i:02}USDT" for i in range(INSTRUMENTS)], each),
            "timestamp": pl.concat([times] * INSTRUMENTS),
            "funding_rate": rng.normal(0, 1e-4, ROWS),
            "funding_interval_hours": 8.0,
            "close": close,
            "high": close * 1.01,
            "low": close * 0.99,
            "price": close,
            "reference": close * (1 + rng.normal(0, 1e-3, ROWS)),
            "benchmark": np.roll(close, 1),
            "expiry": start + timedelta(days=20_000),
            "volume_base": rng.uniform(1, 2, ROWS),
            "taker_buy_volume_base": rng.uniform(0, 1, ROWS),
            "volume_usd": rng.uniform(1, 2, ROWS),
            "open_interest_base": rng.uniform(1, 2, ROWS),
            "open_interest_usd": rng.uniform(1, 2, ROWS),
            "market_cap_usd": rng.uniform(1, 2, ROWS),
            "mark_price": close,
            "quantity": 1.0,
            "side": "long",
        }
    )


def ordered(step: pl.Expr) -> pl.Expr:
    return step.over(KEYS, order_by="timestamp")


def clean(name: str) -> pl.Expr:
    """What every metric does at the door: NaN and infinities are null."""
    return pl.when(pl.col(name).is_finite()).then(pl.col(name))


def above_zero(name: str) -> pl.Expr:
    """What every price goes through: all else than finite numbers above zero is null."""
    return pl.when(pl.col(name).is_finite() & (pl.col(name) > 0)).then(pl.col(name))


def above_none(rate: pl.Expr) -> pl.Expr:
    """Rates after which something is left."""
    return pl.when(rate > -1).then(rate)


RATE, HOURS, CLOSE = pl.col("funding_rate"), pl.col("funding_interval_hours"), pl.col("close")
GAIN = CLOSE.log() - ordered(CLOSE.log().shift(1))
#: Square root of the bars of 8 hours in a year.
YEAR = math.sqrt(3 * 365)


def _moments(f: pl.DataFrame) -> pl.DataFrame:
    before = f.with_columns(c=above_zero("close"), b=above_zero("benchmark")).with_columns(
        c0=ordered(pl.col("c").shift(1)), b0=ordered(pl.col("b").shift(1))
    )
    gains = before.with_columns(r=(pl.col("c") / pl.col("c0")).log(), m=(pl.col("b") / pl.col("b0")).log())
    return gains.with_columns(
        vm=ordered(pl.col("m").rolling_var(30)),
        vr=ordered(pl.col("r").rolling_var(30)),
        vs=ordered((pl.col("r") + pl.col("m")).rolling_var(30)),
    ).with_columns(cov=(pl.col("vs") - pl.col("vr") - pl.col("vm")) / 2)


#: Metric → the same steps written natively, and the shortest native version, on polars.
POLARS = {
    "funding_apr": (
        lambda f: f.with_columns(value=clean("funding_rate") * 24 / above_zero("funding_interval_hours") * 365),
        lambda f: f.with_columns(value=RATE * 24 / HOURS * 365),
    ),
    "funding_apy": (
        lambda f: f.with_columns(
            value=(above_none(clean("funding_rate")).log1p() * 8760 / above_zero("funding_interval_hours")).exp() - 1
        ),
        lambda f: f.with_columns(value=(1 + RATE) ** (8760 / HOURS) - 1),
    ),
    "basis": (
        lambda f: f.with_columns(value=(above_zero("price") - above_zero("reference")) / above_zero("reference")),
        lambda f: f.with_columns(value=(pl.col("price") - pl.col("reference")) / pl.col("reference")),
    ),
    "cumulative_funding": (
        lambda f: f.with_columns(value=ordered(clean("funding_rate").cum_sum())),
        lambda f: f.with_columns(value=RATE.cum_sum().over(KEYS)),
    ),
    "realized_volatility": (
        lambda f: f.with_columns(gain=GAIN).with_columns(value=ordered(pl.col("gain").rolling_std(30)) * YEAR),
        lambda f: f.with_columns(value=(CLOSE.log().diff().rolling_std(30) * YEAR).over(KEYS)),
    ),
    "returns": (
        lambda f: f.with_columns(before=ordered(above_zero("close").shift(1))).with_columns(
            value=above_zero("close") / pl.col("before") - 1
        ),
        lambda f: f.with_columns(value=(CLOSE / CLOSE.shift(1) - 1).over(KEYS)),
    ),
    "drawdown": (
        lambda f: f.with_columns(high=ordered(above_zero("close").cum_max())).with_columns(
            value=above_zero("close") / pl.col("high") - 1
        ),
        lambda f: f.with_columns(value=(CLOSE / CLOSE.cum_max() - 1).over(KEYS)),
    ),
    "cvd": (
        lambda f: f.with_columns(value=ordered((2 * clean("taker_buy_volume_base") - clean("volume_base")).cum_sum())),
        lambda f: f.with_columns(
            value=(2 * pl.col("taker_buy_volume_base") - pl.col("volume_base")).cum_sum().over(KEYS)
        ),
    ),
    "oi_change": (
        lambda f: f.with_columns(now=clean("open_interest_base")).with_columns(
            value=pl.col("now") - ordered(pl.col("now").shift(1))
        ),
        lambda f: f.with_columns(value=pl.col("open_interest_base").diff().over(KEYS)),
    ),
    "amihud": (
        lambda f: f.with_columns(gain=above_zero("close") / ordered(above_zero("close").shift(1)) - 1).with_columns(
            value=ordered((pl.col("gain").abs() / above_zero("volume_usd")).rolling_mean(30)) * 1e6
        ),
        lambda f: f.with_columns(
            value=((CLOSE / CLOSE.shift(1) - 1).abs() / pl.col("volume_usd")).rolling_mean(30).over(KEYS) * 1e6
        ),
    ),
    "correlation": (
        lambda f: _moments(f).select(*f.columns, value=pl.col("cov") / (pl.col("vr") * pl.col("vm")).sqrt()),
        lambda f: f.with_columns(
            r=CLOSE.log().diff().over(KEYS), m=pl.col("benchmark").log().diff().over(KEYS)
        ).with_columns(value=pl.rolling_corr("r", "m", window_size=30).over(KEYS)),
    ),
    "funding_zscore": (
        lambda f: f.with_columns(apr=clean("funding_rate") * 24 / HOURS * 365).with_columns(
            value=(pl.col("apr") - ordered(pl.col("apr").rolling_mean(90))) / ordered(pl.col("apr").rolling_std(90))
        ),
        lambda f: f.with_columns(value=((RATE - RATE.rolling_mean(90)) / RATE.rolling_std(90)).over(KEYS)),
    ),
    "funding_pct_rank": (
        lambda f: f.with_columns(apr=clean("funding_rate") * 24 / HOURS * 365).with_columns(
            value=ordered(pl.col("apr").rolling_rank(90)) / 90
        ),
        lambda f: f.with_columns(value=RATE.rolling_rank(90).over(KEYS) / 90),
    ),
}


def in_order(f: pd.DataFrame) -> pd.DataFrame:
    return f.sort_values([*KEYS, "timestamp"])


def by(f: pd.DataFrame):
    return f.groupby(KEYS, sort=False)


def rolling(f: pd.DataFrame, values: pd.Series, window: int):
    """Trailing windows of values per instrument; what they give has the rows of ``f`` again."""
    return by(f.assign(x=values)).x.rolling(window)


def rows(result: pd.Series) -> pd.Series:
    return result.droplevel([0, 1])


def finite(column: pd.Series) -> pd.Series:
    return column.where(np.isfinite(column))


def priced(column: pd.Series) -> pd.Series:
    return column.where(np.isfinite(column) & (column > 0))


def _gain(f: pd.DataFrame, column: str) -> pd.Series:
    return f[column] / by(f)[column].shift(1)


def _apr(f: pd.DataFrame) -> pd.Series:
    return f.funding_rate * 24 / f.funding_interval_hours * 365


def _zscore(f: pd.DataFrame) -> pd.Series:
    apr = _apr(f)
    window = rolling(f, apr, 90)
    return (apr - rows(window.mean())) / rows(window.std())


def _quadrant(f: pd.DataFrame) -> pd.Series:
    price, interest = by(f).close.diff(), by(f).open_interest_base.diff()
    cases = [(price > 0) & (interest > 0), (price > 0) & (interest < 0), (price < 0) & (interest > 0),
             (price < 0) & (interest < 0), price.notna() & interest.notna()]  # fmt: skip
    names = ["new_longs", "short_covering", "new_shorts", "long_unwinding", "unchanged"]
    return pd.Series(np.select(cases, names, default=None), index=f.index)


def _gains(f: pd.DataFrame):
    return by(f.assign(r=np.log(_gain(f, "close")), m=np.log(_gain(f, "benchmark"))))


def _entry(matrices: pd.DataFrame, row: str, column: str) -> pd.Series:
    """One entry of each row's matrix, on the rows of the frame again."""
    return rows(matrices[column].xs(row, level=-1))


def _beta(f: pd.DataFrame) -> pd.Series:
    matrices = _gains(f)[["r", "m"]].rolling(30).cov()
    return _entry(matrices, "r", "m") / _entry(matrices, "m", "m")


def _one_by_one(f: pd.DataFrame, measure) -> pd.Series:
    return pd.concat([measure(one.r.rolling(30), one.m) for _, one in _gains(f)])


def _spread(f: pd.DataFrame) -> pd.Series:
    k = 3 - 2 * math.sqrt(2)
    before = by(f)[["high", "low"]].shift(1)
    beta = np.log(f.high / f.low) ** 2 + np.log(before.high / before.low) ** 2
    gamma = np.log(np.maximum(f.high, before.high) / np.minimum(f.low, before.low)) ** 2
    alpha = (math.sqrt(2) - 1) / k * np.sqrt(beta) - np.sqrt(gamma / k)
    estimate = 2 * (np.exp(alpha) - 1) / (1 + np.exp(alpha))
    return rows(rolling(f, estimate, 30).mean()).clip(lower=0)


def _interval(f: pd.DataFrame) -> pd.Series:
    hours = (by(f).timestamp.diff().dt.total_seconds() / 3600).round()
    around = by(f.assign(x=hours)).x
    before, after = around.shift(1), around.shift(-1)
    gap = (hours > before) & (before == after) & (hours % before == 0)
    return hours.where(~gap, before).fillna(around.shift(-1))


#: Row metric → the same steps in pandas, and the shortest version.
PANDAS_ROWS = {
    "funding_apr": (
        lambda f: finite(f.funding_rate) * 24 / priced(f.funding_interval_hours) * 365,
        lambda f: f.funding_rate * 24 / f.funding_interval_hours * 365,
    ),
    "funding_apy": (
        lambda f: np.exp(np.log1p(finite(f.funding_rate)) * 8760 / priced(f.funding_interval_hours)) - 1,
        lambda f: (1 + f.funding_rate) ** (8760 / f.funding_interval_hours) - 1,
    ),
    "basis": (
        lambda f: (priced(f.price) - priced(f.reference)) / priced(f.reference),
        lambda f: (f.price - f.reference) / f.reference,
    ),
    "oi_to_volume": (
        lambda f: finite(f.open_interest_usd) / priced(f.volume_usd),
        lambda f: f.open_interest_usd / f.volume_usd,
    ),
    "taker_imbalance": (
        lambda f: (2 * finite(f.taker_buy_volume_base) - priced(f.volume_base)) / priced(f.volume_base),
        lambda f: (2 * f.taker_buy_volume_base - f.volume_base) / f.volume_base,
    ),
}
#: Rolling metric → what a pandas user would write. Right only if rows are in time order, hence ``in_order``.
PANDAS_ROLLING = {
    "cumulative_funding": lambda f: by(f).funding_rate.cumsum(),
    "realized_volatility": lambda f: rows(rolling(f, np.log(_gain(f, "close")), 30).std()) * YEAR,
    "funding_zscore": _zscore,
    "funding_pct_rank": lambda f: rows(rolling(f, _apr(f), 90).rank(pct=True)),
    "funding_interval": _interval,
    "returns": lambda f: _gain(f, "close") - 1,
    "drawdown": lambda f: f.close / by(f).close.cummax() - 1,
    "cvd": lambda f: by(f.assign(x=2 * f.taker_buy_volume_base - f.volume_base)).x.cumsum(),
    "oi_change": lambda f: by(f).open_interest_base.diff(),
    "oi_quadrant": _quadrant,
    "amihud": lambda f: rows(rolling(f, (_gain(f, "close") - 1).abs() / f.volume_usd, 30).mean()) * 1e6,
    "corwin_schultz": _spread,
    "correlation": lambda f: _entry(_gains(f)[["r", "m"]].rolling(30).corr(), "r", "m"),
    "beta": _beta,
}
#: What an expert would write where ``groupby().rolling()`` makes more than is asked for: a loop over instruments.
PANDAS_LOOPS = {
    "correlation": lambda f: _one_by_one(f, lambda own, market: own.corr(market)),
    "beta": lambda f: _one_by_one(f, lambda own, market: own.cov(market) / market.rolling(30).var()),
}


def compute(name: str, frame):
    return getattr(cexkit, name)(frame)


def for_metric(name: str, frame):
    """What the metric is given: settlements that do not say their interval, where that is to be found."""
    if name != "funding_interval":
        return frame
    return frame[[column for column in frame.columns if column != "funding_interval_hours"]]


def in_pandas(native):
    """A rolling alternative in pandas, on the frame as it comes."""
    return lambda f: f.assign(value=native(in_order(f)))


@pytest.mark.parametrize("version", ["cexkit", "same steps", "shortest"])
@pytest.mark.parametrize("name", POLARS)
def test_polars(benchmark, frame, name, version):
    benchmark.group = f"{name} on polars"
    same, shortest = POLARS[name]
    run = {"cexkit": lambda f: compute(name, f), "same steps": same, "shortest": shortest}[version]
    result = benchmark.pedantic(run, args=(frame,), rounds=10, warmup_rounds=1)
    assert result.height == frame.height


@pytest.fixture(scope="module")
def pandas_frame(frame) -> pd.DataFrame:
    return frame.to_pandas()


@pytest.fixture(scope="module")
def by_time(frame) -> pd.DataFrame:
    """The same rows as a venue sends them and a time-ordered table has them: instruments interleaved."""
    return frame.sort("timestamp", "symbol").to_pandas()


@pytest.mark.parametrize("version", ["cexkit", "same steps", "shortest"])
@pytest.mark.parametrize("name", PANDAS_ROWS)
def test_rows_on_pandas(benchmark, pandas_frame, name, version):
    benchmark.group = f"{name} on pandas"
    native = dict(zip(("same steps", "shortest"), PANDAS_ROWS[name], strict=True))
    run = (lambda f: compute(name, f)) if version == "cexkit" else (lambda f: f.assign(value=native[version](f)))
    result = benchmark.pedantic(run, args=(pandas_frame,), rounds=15, warmup_rounds=1)
    assert len(result) == len(pandas_frame)


def rolling_on_pandas(name: str):
    """What a metric is measured against, by name; None is the metric itself."""
    natives = {"cexkit": None, "groupby().rolling()": PANDAS_ROLLING[name], "loop": PANDAS_LOOPS.get(name)}
    return {version: native for version, native in natives.items() if native or version == "cexkit"}


@pytest.mark.parametrize("order", ["by instrument", "by time"])
@pytest.mark.parametrize(
    ("name", "version"), [(name, version) for name in PANDAS_ROLLING for version in rolling_on_pandas(name)]
)
def test_rolling_on_pandas(benchmark, pandas_frame, by_time, name, version, order):
    benchmark.group = f"{name} on pandas, rows {order}"
    given = for_metric(name, by_time if order == "by time" else pandas_frame)
    native = rolling_on_pandas(name)[version]
    run = in_pandas(native) if native else (lambda f: compute(name, f))
    result = benchmark.pedantic(run, args=(given,), rounds=4 if native else 12, warmup_rounds=0 if native else 1)
    assert len(result) == len(given)


def agrees(value: pl.Series, other: pl.Series) -> bool:
    """Whether two columns are the same wherever both have a value, which is nearly everywhere."""
    both = value.is_not_null() & other.is_not_null()
    value, other = value.filter(both), other.filter(both)
    same = (value - other).abs() <= 1e-6 * other.abs() + 1e-12 if value.dtype.is_float() else value == other
    return bool(same.all()) and len(value) > 0.8 * len(both)


@pytest.mark.parametrize("name", sorted({*POLARS, *PANDAS_ROWS, *PANDAS_ROLLING}))
def test_alternatives_are_the_same_metric(frame, name):
    some = for_metric(name, frame.filter(pl.int_range(pl.len()).over("symbol") < 600).sample(fraction=1, shuffle=True))
    output = METRICS[name].outputs[0]
    want = compute(name, some).sort(*KEYS, "timestamp")
    steps = POLARS.get(name, ())
    for result in [native(want) for native in steps]:
        assert agrees(result["value"], want[output])
    for native in PANDAS_ROWS.get(name, ()):
        assert agrees(pl.from_pandas(native(want.to_pandas())), want[output])
    for native in (natives[name] for natives in (PANDAS_ROLLING, PANDAS_LOOPS) if name in natives):
        result = pl.from_pandas(in_pandas(native)(some.to_pandas())).sort(*KEYS, "timestamp")
        assert agrees(result["value"], want[output])


#: Metrics that put columns beside the caller's.
APPENDING = sorted(name for name, entry in METRICS.items() if entry.appends)


@pytest.mark.parametrize("library", ["polars", "pandas"])
@pytest.mark.parametrize("name", APPENDING)
def test_overhead_on_1000_rows(benchmark, frame, name, library):
    benchmark.group = f"1,000 rows on {library}"
    small = frame.filter(pl.int_range(pl.len()).over("symbol") < 10)
    native = for_metric(name, small if library == "polars" else small.to_pandas())
    benchmark.pedantic(compute, args=(name, native), rounds=100, warmup_rounds=5)
