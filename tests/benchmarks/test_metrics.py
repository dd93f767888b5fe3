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
            "price": close,
            "reference": close * (1 + rng.normal(0, 1e-3, ROWS)),
        }
    )


def ordered(step: pl.Expr) -> pl.Expr:
    return step.over(KEYS, order_by="timestamp")


def clean(name: str) -> pl.Expr:
    """What every metric does at the door: NaN and infinities are null."""
    return pl.when(pl.col(name).is_finite()).then(pl.col(name))


RATE, HOURS, CLOSE = pl.col("funding_rate"), pl.col("funding_interval_hours"), pl.col("close")
GAIN = CLOSE.log() - ordered(CLOSE.log().shift(1))

#: Metric → the same steps written natively, and the shortest native version, on polars.
POLARS = {
    "funding_apr": (
        lambda f: f.with_columns(apr=clean("funding_rate") * 24 / clean("funding_interval_hours") * 365),
        lambda f: f.with_columns(apr=RATE * 24 / HOURS * 365),
    ),
    "basis": (
        lambda f: f.with_columns(basis=(clean("price") - clean("reference")) / clean("reference")),
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
    "funding_zscore": (
        lambda f: f.with_columns(apr=clean("funding_rate") * 24 / HOURS * 365).with_columns(
            z=(pl.col("apr") - ordered(pl.col("apr").rolling_mean(90))) / ordered(pl.col("apr").rolling_std(90))
        ),
        lambda f: f.with_columns(z=((RATE - RATE.rolling_mean(90)) / RATE.rolling_std(90)).over(KEYS)),
    ),
}


def _grouped(f: pd.DataFrame, column: str):
    return f.sort_values([*KEYS, "timestamp"]).groupby(KEYS, sort=False)[column]


#: Metric → what a pandas user would write.
PANDAS = {
    "funding_apr": lambda f: f.assign(apr=f.funding_rate * 24 / f.funding_interval_hours * 365),
    "basis": lambda f: f.assign(basis=(f.price - f.reference) / f.reference),
    "cumulative_funding": lambda f: f.assign(total=_grouped(f, "funding_rate").cumsum()),
    "realized_volatility": lambda f: f.assign(
        vol=f.assign(gain=np.log(f.close).groupby([f.exchange, f.symbol]).diff())
        .groupby(KEYS)["gain"].rolling(30).std().droplevel([0, 1]) * 33.1
    ),
    "funding_zscore": lambda f: f.assign(
        z=(f.funding_rate - f.groupby(KEYS)["funding_rate"].rolling(90).mean().droplevel([0, 1]))
        / f.groupby(KEYS)["funding_rate"].rolling(90).std().droplevel([0, 1])
    ),
}  # fmt: skip


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


@pytest.mark.parametrize("version", ["cexkit", "pandas"])
@pytest.mark.parametrize("name", PANDAS)
def test_pandas(benchmark, pandas_frame, name, version):
    benchmark.group = f"{name} on pandas"
    run = PANDAS[name] if version == "pandas" else lambda f: compute(name, f)
    result = benchmark.pedantic(run, args=(pandas_frame,), rounds=3, warmup_rounds=1)
    assert len(result) == len(pandas_frame)


@pytest.mark.parametrize("library", ["polars", "pandas"])
@pytest.mark.parametrize("name", [*POLARS, "funding_interval"])
def test_overhead_on_1000_rows(benchmark, frame, name, library):
    benchmark.group = f"1,000 rows on {library}"
    small = frame.filter(pl.int_range(pl.len()).over("symbol") < 10)
    small = small.drop("funding_interval_hours") if name == "funding_interval" else small
    native = small if library == "polars" else small.to_pandas()
    benchmark.pedantic(compute, args=(name, native), rounds=100, warmup_rounds=5)
