"""Every registered metric gives the same numbers on every engine: shuffled, interleaved, with nulls, NaN and gaps.

Driven by the registry. Of a new metric it is enough that its inputs are declared columns, or that
``parity_frame`` says what they hold.
"""

from __future__ import annotations

import itertools
import random
import statistics
import typing
import warnings
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import polars as pl
import pytest

import cexkit
from cexkit.analytics._core import plan
from cexkit.analytics._core.metric import Metric
from cexkit.analytics.catalog import METRICS
from cexkit.errors import CexkitWarning, UnsupportedBackendError

START = datetime(2024, 1, 1, tzinfo=UTC)
#: Name of the engine fixture → engine in the registry, where they differ.
REGISTERED = {"ibis": "duckdb", "spark": "pyspark", "pandas-pyarrow": "pandas", "pandas-nullable": "pandas"}
#: Windows of the default length would be longer than these frames.
WINDOW = 5
#: Venue, symbol, base, quote, multiplier, hours between settlements; one changes its interval, one misses some.
INSTRUMENTS = (
    ("binance", "BTCUSDT", "BTC", "USDT", 1.0, [8] * 12),
    ("okx", "BTCUSDT", "BTC", "USDT", 1.0, [8, 8, 8, 4, 4, 4, 4, 8, 8, 8, 8, 8]),
    ("okx", "BTCUSD:BTC", "BTC", "USD", 1.0, [4, 4, 4, 12, 4, 4, 4, 4, 8, 8, 8, 8]),
    ("binance", "1000PEPEUSDT", "PEPE", "USDT", 1000.0, [1, 1, 1, 2, 1, 1, 5, 8, 8, 8, 8, 8]),
    ("bybit", "PEPEUSDT", "PEPE", "USDT", 1.0, [1, 1, 1]),
    ("coinbase", "ETHUSD", "ETH", "USD", 1.0, [1]),
    ("bybit", "ETHEUR", "ETH", "EUR", 1.0, []),
)


def _row(rng: random.Random, identity: tuple, hours: float, gap: float, i: int) -> dict[str, Any]:
    exchange, symbol, base, quote, multiplier, _ = identity
    close, open_ = 100 * rng.lognormvariate(0, 0.05), 100 * rng.lognormvariate(0, 0.05)
    high, low = max(close, open_) * (1 + rng.random() / 100), min(close, open_) * (1 - rng.random() / 100)
    volume, interest = rng.lognormvariate(8, 1), rng.lognormvariate(9, 0.2)
    return {
        "row": 0,
        "exchange": exchange,
        "instrument_type": "future" if ":" in symbol else "perp",
        "symbol": symbol,
        "base": base,
        "quote": quote,
        "multiplier": multiplier,
        "timestamp": START + timedelta(hours=hours, milliseconds=(i * 37) % 48),
        "expiry": START + timedelta(days=2 + (i * 13) % 40 + 20 * (exchange == "okx")),
        "funding_rate": rng.gauss(0, 1e-4),
        "funding_interval_hours": None if i % 3 else gap,
        "open": open_,
        "high": high,
        "low": low,
        "close": close,
        "price": close,
        "reference": open_,
        "benchmark": open_,
        "mark_price": close,
        "index_price": open_,
        "volume_base": volume,
        "volume_quote": volume * close,
        "volume_usd": volume * close,
        "taker_buy_volume_base": volume * rng.random(),
        "open_interest_base": interest,
        "open_interest_quote": interest * close,
        "open_interest_usd": interest * close,
        "market_cap_usd": rng.lognormvariate(20, 1),
        "side": rng.choice(["long", "short"]),
        "quantity": rng.gauss(0, 3),
        "quantity_base": rng.lognormvariate(0, 1),
        "value_quote": rng.lognormvariate(5, 1),
        "value_usd": rng.lognormvariate(5, 1),
        "contract_size": 100.0,
        "inverse": ":" in symbol,
        "coverage": rng.choice(["full", "full", "throttled"]),
        "trades": rng.randrange(100),
    }


@cache
def parity_frame(unclean: bool = True) -> pl.DataFrame:
    """All that metrics read, shuffled and interleaved; unclean: with null, NaN, infinite, zero and negative numbers."""
    rng = random.Random(7)
    rows = []
    for identity in INSTRUMENTS:
        distances = identity[-1]
        hours = [0.0, *itertools.accumulate(distances)]
        gaps = [distances[0] if distances else 8, *distances]
        rows += [_row(rng, identity, h, float(g), i) for i, (h, g) in enumerate(zip(hours, gaps, strict=True))]
    rng.shuffle(rows)
    frame = pl.DataFrame(
        rows, schema_overrides={"timestamp": pl.Datetime("us", "UTC"), "expiry": pl.Datetime("us", "UTC")}
    )
    frame = frame.with_columns(row=pl.int_range(frame.height))
    return frame.with_columns(_spoilt(frame)) if unclean else frame


def _spoilt(frame: pl.DataFrame) -> list[pl.Series]:
    """Number columns with a few bad values each, never all in one row."""
    bad = [None, float("nan"), float("inf"), 0.0, -1.0]
    series = []
    for k, name in enumerate(
        sorted(set(frame.columns) - {"row", "multiplier", "contract_size", "funding_interval_hours"})
    ):
        if frame.schema[name] == pl.Float64:
            at = {(k * 7 + 11 * j) % frame.height: value for j, value in enumerate(bad)}
            series.append(pl.Series(name, [at.get(i, v) for i, v in enumerate(frame[name])], dtype=pl.Float64))
    return series


def variants(metric: Metric) -> list[dict[str, Any]]:
    """Arguments to try: a short window with each choice of each parameter that is a choice."""
    parameters = metric.signature.parameters
    base = {"window": WINDOW} if metric.window else {}
    found = [base]
    for parameter in parameters.values():
        choices = (
            typing.get_args(parameter.annotation) if typing.get_origin(parameter.annotation) is typing.Literal else ()
        )
        if parameter.annotation is bool:
            choices = (True, False)
        found += [base | {parameter.name: choice} for choice in choices if choice != parameter.default]
    return [*found, base | {"benchmark": "BTCUSDT"}] if "benchmark" in parameters else found


def inputs(metric: Metric, arguments: dict[str, Any], unclean: bool) -> pl.DataFrame:
    """The columns the metric may read, and a row number for those that append."""
    frame = parity_frame(unclean)
    defaults = {p.name: p.default for p in metric.signature.parameters.values() if p.default is not p.empty}
    known = defaults | arguments
    names = [metric.column(name, known) for name in metric.used(known)]
    identity = ["exchange", "instrument_type", "symbol", "base", "timestamp"]
    missing = set(metric.required(known)) - set(frame.columns)
    assert not missing, f"say in _row what {missing} hold"
    wanted = dict.fromkeys([*(["row"] if metric.appends else []), *identity, *names, *metric.group_columns(known)])
    return frame.select([name for name in wanted if name in frame.columns])


def ordered(frame: pl.DataFrame, metric: Metric) -> pl.DataFrame:
    """Rows in an order of their own: engines other than polars promise none."""
    if metric.appends:
        return frame.sort("row").select(metric.outputs)
    by = [name for name, dtype in frame.schema.items() if not dtype.is_float() and not dtype.is_nested()]
    return frame.select(sorted(frame.columns)).sort(sorted(by), nulls_last=True)


CASES = [
    pytest.param(name, arguments, unclean, id=f"{name}-{arguments}-{'unclean' if unclean else 'clean'}")
    for name in sorted(METRICS)
    for arguments in variants(METRICS[name])
    for unclean in (True, False)
]
#: Metrics that give a row its own number have them in clean rows of an unclean frame too: once is enough on Spark.
ONCE = [case for case in CASES if METRICS[case.values[0]].appends and not case.values[2]]


@pytest.mark.parametrize(("name", "arguments", "unclean"), [case for case in CASES if case not in ONCE])
def test_every_engine_gives_the_numbers_of_polars(every_engine, helpers, name, arguments, unclean):
    check(every_engine, helpers, name, arguments, unclean)


@pytest.mark.parametrize(("name", "arguments", "unclean"), ONCE)
def test_clean_columns_give_the_numbers_of_polars(engine, helpers, name, arguments, unclean):
    check(engine, helpers, name, arguments, unclean)


@cache
def reference(name: str, arguments: tuple[tuple[str, Any], ...], unclean: bool) -> pl.DataFrame:
    """Return the numbers of Polars, which are computed once for all engines."""
    metric, given = METRICS[name], dict(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CexkitWarning)
        return ordered(metric.function(inputs(metric, given, unclean), **given), metric)


def check(engine: Any, helpers: Any, name: str, arguments: dict[str, Any], unclean: bool) -> None:
    metric = METRICS[name]
    frame = inputs(metric, arguments, unclean)
    if REGISTERED.get(engine.name, engine.name) not in metric.engines:
        with pytest.raises(UnsupportedBackendError, match=name):
            metric.function(engine.make(frame), **arguments)
        return
    want = reference(name, tuple(arguments.items()), unclean)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CexkitWarning)
        got = ordered(engine.back(metric.function(engine.make(frame), **arguments)), metric)
    assert got.columns == want.columns
    assert want.height > 0
    rel = 1e-12 if metric.kind == "row" else 1e-9
    for column in want.columns:
        helpers.close(_plain(got[column]), _plain(want[column]), rel)


def test_the_median_is_exact_on_many_venues(every_engine, helpers):
    """Not an approximation by sketches: of a thousand skewed prices the mean of the two in the middle."""
    prices = [1.0 + (i * 7919 % 1000) ** 3 / 1e3 for i in range(1000)]
    frame = pl.DataFrame(
        {
            "exchange": [f"v{i:03}" for i in range(1000)],
            "base": "BTC",
            "timestamp": START,
            "close": prices,
            "multiplier": 1.0,
        }
    )
    got = every_engine.back(cexkit.price_divergence_bps(every_engine.make(frame))).sort("exchange")
    median = statistics.median(prices)
    helpers.close(_plain(got["median_price"]), [median] * 1000, 1e-12)
    helpers.close(_plain(got["price_divergence_bps"]), [(price / median - 1) * 1e4 for price in prices], 1e-9)


ORDERS = {
    "shuffled": lambda frame: frame,
    "by instrument": lambda frame: frame.sort("exchange", "symbol", "timestamp"),
    "by time": lambda frame: frame.sort("timestamp", "symbol"),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", sorted(name for name, entry in METRICS.items() if entry.appends))
def test_long_frames_cut_into_blocks_give_what_one_gives(monkeypatch, helpers, name, order):
    metric = METRICS[name]
    for arguments in variants(metric):
        frame = ORDERS[order](inputs(metric, arguments, unclean=True))
        with warnings.catch_warnings(), monkeypatch.context() as patch:
            warnings.simplefilter("ignore", CexkitWarning)
            whole = metric.function(frame, **arguments)
            patch.setattr(plan, "BLOCK", 5)
            assert len(plan.blocks(frame.height, None)) > 3
            cut = metric.function(frame, **arguments)
            assert metric.function(frame, **arguments).equals(cut)  # to the last bit
            on_pandas = pl.from_pandas(metric.function(frame.to_pandas(), **arguments))
        assert on_pandas.select(metric.outputs).equals(cut.select(metric.outputs))
        for column in metric.outputs:
            helpers.close(_plain(cut[column]), _plain(whole[column]), 1e-12 if metric.kind == "row" else 1e-9)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_the_parity_frame_says_something_about_every_metric(name):
    """At least one value of each output is there, and for appended ones at least one null: no test of emptiness."""
    metric = METRICS[name]
    arguments = variants(metric)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CexkitWarning)
        result = metric.function(inputs(metric, arguments, unclean=False), **arguments)
    for output in set(metric.outputs) & set(result.columns):
        assert result[output].null_count() < result.height, output


def _plain(series: pl.Series) -> list[Any]:
    if series.dtype == pl.Datetime:
        return series.dt.epoch("us").to_list()
    return series.cast(pl.Int64).to_list() if series.dtype.is_integer() else series.to_list()


def test_no_other_backend_is_taken_on_trust():
    ibis = pytest.importorskip("ibis")
    sqlite = pytest.importorskip("ibis.backends.sqlite")
    table = sqlite.Backend().connect().create_table("prices", ibis.memtable({"price": [1.0], "reference": [1.0]}))
    with pytest.raises(UnsupportedBackendError, match=r"basis cannot take .*Table on sqlite; it takes .*duckdb"):
        cexkit.basis(table)
