"""Metrics beside what a user would write, 3 million rows of 100 instruments, in one run.

Run it with ``python -m pytest tests/benchmarks --benchmark-json=benchmarks.json``, then
``python tests/benchmarks/report.py benchmarks.json`` writes the table of the docs. Only ratios within one
run mean anything. ``CEXKIT_BENCHMARK_ROWS`` makes the frames smaller.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import polars as pl
import pytest

import cexkit
from cexkit.analytics._registry import METRICS

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


RATE, HOURS, CLOSE = pl.col("funding_rate"), pl.col("funding_interval_hours"), pl.col("close")
GAIN = CLOSE.log() - ordered(CLOSE.log().shift(1))

#: Metric → the same steps written natively, and the shortest native version, on polars.
POLARS = {
    "funding_apr": (
        lambda f: f.with_columns(apr=clean("funding_rate") * 24 / clean("funding_interval_hours") * 365),
        lambda f: f.with_columns(apr=RATE * 24 / HOURS * 365),
    ),
    "basis": (
        lambda f: f.with_columns(basis=(above_zero("price") - above_zero("reference")) / above_zero("reference")),
        lambda f: f.with_columns(basis=(pl.col("price") - pl.col("reference")) / pl.col("reference")),
    ),
    "cumulative_funding": (
        lambda f: f.with_columns(total=ordered(clean("funding_rate").cum_sum())),
        lambda f: f.with_columns(total=RATE.cum_sum().over(KEYS)),
    ),
    "realized_volatility": (
        lambda f: f.with_columns(gain=GAIN).with_columns(vol=ordered(pl.col("gain").rolling_std(30)) * 33.1),
        lambda f: f.with_columns(vol=(CLOSE.log().diff().rolling_std(30) * 33.1).over(KEYS)),
    ),
    "returns": (
        lambda f: f.with_columns(before=ordered(above_zero("close").shift(1))).with_columns(
            gain=above_zero("close") / pl.col("before") - 1
        ),
        lambda f: f.with_columns(gain=(CLOSE / CLOSE.shift(1) - 1).over(KEYS)),
    ),
    "drawdown": (
        lambda f: f.with_columns(high=ordered(above_zero("close").cum_max())).with_columns(
            drawdown=above_zero("close") / pl.col("high") - 1
        ),
        lambda f: f.with_columns(drawdown=(CLOSE / CLOSE.cum_max() - 1).over(KEYS)),
    ),
    "cvd": (
        lambda f: f.with_columns(cvd=ordered((2 * clean("taker_buy_volume_base") - clean("volume_base")).cum_sum())),
        lambda f: f.with_columns(
            cvd=(2 * pl.col("taker_buy_volume_base") - pl.col("volume_base")).cum_sum().over(KEYS)
        ),
    ),
    "funding_zscore": (
        lambda f: f.with_columns(apr=clean("funding_rate") * 24 / HOURS * 365).with_columns(
            z=(pl.col("apr") - ordered(pl.col("apr").rolling_mean(90))) / ordered(pl.col("apr").rolling_std(90))
        ),
        lambda f: f.with_columns(z=((RATE - RATE.rolling_mean(90)) / RATE.rolling_std(90)).over(KEYS)),
    ),
}


def in_order(f: pd.DataFrame) -> pd.DataFrame:
    return f.sort_values([*KEYS, "timestamp"])


def rolling(f: pd.DataFrame, column: str, window: int):
    return f.groupby(KEYS, sort=False)[column].rolling(window)


def finite(column: pd.Series) -> pd.Series:
    return column.where(np.isfinite(column))


def priced(column: pd.Series) -> pd.Series:
    return column.where(np.isfinite(column) & (column > 0))


def _volatility(f: pd.DataFrame) -> pd.Series:
    gains = np.log(f.close / f.groupby(KEYS, sort=False).close.shift(1))
    return rolling(f.assign(gain=gains), "gain", 30).std().droplevel([0, 1]) * 33.1


def _zscore(f: pd.DataFrame) -> pd.Series:
    apr = f.assign(apr=f.funding_rate * 24 / f.funding_interval_hours * 365)
    window = rolling(apr, "apr", 90)
    return (apr.apr - window.mean().droplevel([0, 1])) / window.std().droplevel([0, 1])


#: Row metric → the same steps in pandas, and the shortest version.
PANDAS_ROWS = {
    "funding_apr": (
        lambda f: f.assign(apr=finite(f.funding_rate) * 24 / priced(f.funding_interval_hours) * 365),
        lambda f: f.assign(apr=f.funding_rate * 24 / f.funding_interval_hours * 365),
    ),
    "basis": (
        lambda f: f.assign(basis=(priced(f.price) - priced(f.reference)) / priced(f.reference)),
        lambda f: f.assign(basis=(f.price - f.reference) / f.reference),
    ),
}
#: Rolling metric → what a pandas user would write. Right only if rows are in time order, hence ``in_order``.
PANDAS_ROLLING = {
    "cumulative_funding": lambda f: f.assign(total=in_order(f).groupby(KEYS, sort=False).funding_rate.cumsum()),
    "realized_volatility": lambda f: f.assign(vol=_volatility(in_order(f))),
    "funding_zscore": lambda f: f.assign(z=_zscore(in_order(f))),
}


def compute(name: str, frame):
    return getattr(cexkit, name)(frame)


@pytest.mark.parametrize("version", ["cexkit", "same steps", "shortest"])
@pytest.mark.parametrize("name", POLARS)
def test_polars(benchmark, frame, name, version):
    benchmark.group = f"{name} on polars"
    same, shortest = POLARS[name]
    run = {"cexkit": lambda f: compute(name, f), "same steps": same, "shortest": shortest}[version]
    result = benchmark.pedantic(run, args=(frame,), rounds=5, warmup_rounds=1)
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
    same, shortest = PANDAS_ROWS[name]
    run = {"cexkit": lambda f: compute(name, f), "same steps": same, "shortest": shortest}[version]
    result = benchmark.pedantic(run, args=(pandas_frame,), rounds=7, warmup_rounds=1)
    assert len(result) == len(pandas_frame)


@pytest.mark.parametrize("order", ["by instrument", "by time"])
@pytest.mark.parametrize("version", ["cexkit", "groupby().rolling()"])
@pytest.mark.parametrize("name", PANDAS_ROLLING)
def test_rolling_on_pandas(benchmark, pandas_frame, by_time, name, version, order):
    benchmark.group = f"{name} on pandas, rows {order}"
    run = (lambda f: compute(name, f)) if version == "cexkit" else PANDAS_ROLLING[name]
    given = by_time if order == "by time" else pandas_frame
    result = benchmark.pedantic(run, args=(given,), rounds=3, warmup_rounds=1)
    assert len(result) == len(given)


#: Metrics that put columns beside the caller's.
APPENDING = sorted(name for name, entry in METRICS.items() if entry.appends)


@pytest.mark.parametrize("library", ["polars", "pandas"])
@pytest.mark.parametrize("name", APPENDING)
def test_overhead_on_1000_rows(benchmark, frame, name, library):
    benchmark.group = f"1,000 rows on {library}"
    small = frame.filter(pl.int_range(pl.len()).over("symbol") < 10)
    small = small.drop("funding_interval_hours") if name == "funding_interval" else small
    native = small if library == "polars" else small.to_pandas()
    benchmark.pedantic(compute, args=(name, native), rounds=100, warmup_rounds=5)
