"""Liquidations over time and price."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import given, settings

import cexkit
from cexkit.errors import InvalidInputError, MissingColumnError

#: Values that cannot be are null, with a warning that test_ranges.py checks.
pytestmark = pytest.mark.filterwarnings("ignore::cexkit.errors.OutOfRangeWarning")
START = datetime(2024, 1, 1, tzinfo=UTC)
SCHEMA = {
    "symbol": pl.String,
    "base": pl.String,
    "quote": pl.String,
    "timestamp": pl.Datetime("us", "UTC"),
    "side": pl.String,
    "price": pl.Float64,
    "value_usd": pl.Float64,
    "coverage": pl.String,
}


def event(minute: float, side: str, price: float | None, value: float | None, **other: str) -> tuple:
    row = {"symbol": "BTCUSDT", "base": "BTC", "quote": "USDT", "coverage": "full"} | other
    time = START + timedelta(minutes=minute)
    return (row["symbol"], row["base"], row["quote"], time, side, price, value, row["coverage"])


def table(*rows: tuple) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SCHEMA, orient="row")


def heatmap(engine, frame: pl.DataFrame, **arguments) -> pl.DataFrame:
    got = engine.back(cexkit.liquidation_heatmap(engine.make(frame), **arguments))
    return got.sort("timestamp", "price_low")


def test_by_hand(engine, helpers):
    frame = table(
        event(5, "long", 42_000.0, 5.0), event(59, "short", 42_099.0, 2.0, coverage="throttled"),
        event(30, "long", 42_100.0, 1.0), event(60, "long", 42_000.0, None), event(61, "long", 42_000.0, 3.0),
    )  # fmt: skip
    got = heatmap(engine, frame, bin_width=100)
    wants = {
        "price_low": [42_000.0, 42_100.0, 42_000.0],
        "price_high": [42_100.0, 42_200.0, 42_100.0],
        "events": [2, 1, 2],
        "value_usd": [7.0, 1.0, None],
        "long_value_usd": [5.0, 1.0, None],
        "short_value_usd": [2.0, 0.0, 0.0],
        "coverage": ["throttled", "full", "full"],
    }
    for name, want in wants.items():
        helpers.close(got[name].to_list(), want)


def test_relative_bins(engine, helpers):
    frame = table(*(event(0, "long", price, 1.0) for price in (1.0, 1.005, 1.011, 0.995, 50.0)))
    got = heatmap(engine, frame)
    k = math.floor(math.log(50) / math.log(1.01))
    helpers.close(got["price_low"].to_list(), [1 / 1.01, 1.0, 1.01, 1.01**k], 1e-9)
    helpers.close(got["price_high"].to_list(), [1.0, 1.01, 1.01**2, 1.01 ** (k + 1)], 1e-9)
    assert got["events"].to_list() == [1, 2, 1, 1]


def test_events_without_a_price_are_not_lost(engine, helpers):
    bad = (None, float("nan"), float("inf"), 0.0, -1.0)
    got = heatmap(engine, table(*(event(0, "long", price, 1.0) for price in (*bad, *[10.0] * 6))))
    helpers.close(got.sort("events")["value_usd"].to_list(), [5.0, 6.0])
    assert got.sort("events")["price_low"].is_null().to_list() == [True, False]


def test_units_and_quotes_on_one_axis(engine, helpers):
    pepe = table(
        event(0, "long", 10.0, 1.0, symbol="1000PEPEUSDT", base="PEPE"),
        event(0, "long", 0.0101, 1.0, symbol="PEPEUSDC", base="PEPE", quote="USDC"),
    )
    for by in ("base", None):
        got = heatmap(engine, pepe, by=by, bin_width=0.001)
        assert got["price_low"].is_null().all()  # thousands and ones
        scaled = heatmap(engine, pepe.with_columns(multiplier=pl.Series([1000.0, 1.0])), by=by, bin_width=0.001)
        helpers.close(scaled["price_low"].to_list(), [0.01])
    apart = heatmap(engine, pepe.with_columns(multiplier=pl.Series([1000.0, 1.0])), bin_width=0.001)
    helpers.close(apart["price_low"].to_list(), [0.01, 10.0])
    euro = pepe.with_columns(multiplier=pl.Series([1000.0, 1.0]), quote=pl.Series(["USDT", "EUR"]))
    assert heatmap(engine, euro, by="base")["price_low"].is_null().all()


def test_no_events(engine):
    got = heatmap(engine, table())
    assert got.height == 0
    assert got.columns[0] == "symbol"


def test_errors():
    frame = table(event(0, "long", 1.0, 1.0))
    for height in ({"bin_bps": 0}, {"bin_width": -1.0}, {"bin_width": math.nan}, {"bin_bps": math.inf}):
        with pytest.raises(InvalidInputError, match="needs a height above zero"):
            cexkit.liquidation_heatmap(frame, **height)
    with pytest.raises(InvalidInputError, match="position that was closed"):
        cexkit.liquidation_heatmap(frame.with_columns(side=pl.lit("buy")))
    with pytest.raises(InvalidInputError, match="1 events have no timestamp"):
        cexkit.liquidation_heatmap(frame.with_columns(timestamp=pl.lit(None, SCHEMA["timestamp"])))
    with pytest.raises(MissingColumnError, match="'price'"):
        cexkit.liquidation_heatmap(frame.drop("price"))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 40), st.integers(0, 10_000), st.sampled_from([0.5, 3.0, 10.0]), st.sampled_from([30, 60, 90]))
def test_oracle(n, seed, width, every):
    rng = random.Random(seed)
    sides = ["long", "short"]
    rows = [event(rng.uniform(0, 300), rng.choice(sides), rng.uniform(1, 40), rng.uniform(1, 9)) for _ in range(n)]
    cells: dict = defaultdict(lambda: {"long": 0.0, "short": 0.0, "events": 0})
    for _, _, _, time, side, price, value, _ in rows:
        low = math.floor(price / width) * width
        cell = cells[START + (time - START) // timedelta(minutes=every) * timedelta(minutes=every), low]
        cell[side] += value
        cell["events"] += 1
    got = cexkit.liquidation_heatmap(table(*rows), every=f"{every}m", bin_width=width)
    assert got.height == len(cells)
    for row in got.rows(named=True):
        cell = cells[row["timestamp"], row["price_low"]]
        assert row["events"] == cell["events"]
        assert math.isclose(row["long_value_usd"], cell["long"], rel_tol=1e-9)
        assert math.isclose(row["short_value_usd"], cell["short"], rel_tol=1e-9)
        assert math.isclose(row["value_usd"], cell["long"] + cell["short"], rel_tol=1e-9)
