"""Metrics across instruments leave out what is known not to be a coin, on every engine, and say how much."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta
from functools import partial

import polars as pl
import pytest

import cexkit
from cexkit.analytics.catalog import METRICS
from cexkit.errors import ColumnTypeError, ExcludedInstrumentsWarning, UnknownNameError

START = datetime(2024, 1, 1, tzinfo=UTC)
CLASSED = sorted(name for name, metric in METRICS.items() if "asset_class" in metric.signature.parameters)
#: Ibis takes seconds for the long ones.
PAIRS = [(name, engine) for name in CLASSED for engine in ("pandas", "polars", "lazy", "pyarrow")]
PAIRS += [(name, "ibis") for name in ("volume_share", "price_divergence_bps")]
each_pair = pytest.mark.parametrize(("name", "engine"), PAIRS, indirect=["engine"])
#: Venue and class of each instrument of ON: a coin, a stock, and two that nobody knows.
INSTRUMENTS = (("binance", "crypto"), ("okx", None), ("coinbase", "never seen before"), ("bybit", "equity"))


def frame() -> pl.DataFrame:
    """Rows of one base at two times, in all columns that these metrics read."""
    rows = [
        {
            "exchange": exchange,
            "instrument_type": "perp",
            "symbol": f"ON{number}",
            "base": "ON",
            "quote": "USDT",
            "timestamp": START + timedelta(hours=8 * hour, seconds=number),
            "asset_class": asset_class,
            "close": 100.0 + number,
            "price": 100.0 + number * (number + 1),
            "reference": 100.0,
            "expiry": START + timedelta(days=(20, 40, 50, 32)[number]),
            "volume_usd": 1.0 + number,
            "value_usd": 1.0 + number,
            "open_interest_usd": 1.0 + number,
            "market_cap_usd": 5.0,
            "funding_rate": 1e-4 * number,
            "funding_interval_hours": 8.0,
            "side": "long",
        }
        for number, (exchange, asset_class) in enumerate(INSTRUMENTS)
        for hour in (1, 2)
    ]
    same_time = pl.col("timestamp").dt.truncate("1h")
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(timestamp=same_time)


def compute(engine, name: str, rows: pl.DataFrame, **arguments) -> pl.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExcludedInstrumentsWarning)
        got = engine.back(getattr(cexkit, name)(engine.make(rows), **arguments))
    return got.sort(got.columns)


def same(left: pl.DataFrame, right: pl.DataFrame) -> None:
    assert left.columns == right.columns
    for ours, theirs in zip(left.rows(), right.rows(), strict=True):
        assert ours == tuple(
            pytest.approx(value, nan_ok=True) if isinstance(value, float) else value for value in theirs
        )


def test_every_metric_across_venues_takes_the_argument():
    assert set(CLASSED) == {name for name, one in METRICS.items() if one.kind == "cross-venue"} | {
        "liquidation_cascades"
    }


@each_pair
def test_what_is_known_not_to_be_a_coin_is_left_out(name, engine):
    rows = frame()
    plain = rows.drop("asset_class")
    is_stock = pl.col("exchange") == "bybit"
    coins = compute(engine, name, rows)
    assert coins.height
    same(coins, compute(engine, name, plain.filter(~is_stock)))
    same(compute(engine, name, rows, asset_class=None), compute(engine, name, plain))
    if name != "dominance":  # one coin has all of the market, whatever its rows
        assert coins.rows() != compute(engine, name, plain).rows()
    stocks = compute(engine, name, rows, asset_class="equity")
    same(stocks, compute(engine, name, plain.filter(is_stock)))


@each_pair
def test_eager_frames_say_how_many_and_others_cannot(name, engine):
    with warnings.catch_warnings(record=True, action="always") as caught:
        getattr(cexkit, name)(engine.make(frame()))
    texts = [str(one.message) for one in caught if one.category is ExcludedInstrumentsWarning]
    text = f"{name} leaves out 1 instrument known not to be crypto (1 equity); asset_class=None includes it"
    assert texts == ([text] if engine.eager else [])


@pytest.mark.parametrize("name", CLASSED)
@pytest.mark.parametrize("rows", [frame().drop("asset_class"), frame().with_columns(asset_class=pl.lit("crypto"))])
def test_without_other_classes_nothing_is_said(name, rows):
    with warnings.catch_warnings():
        warnings.simplefilter("error", ExcludedInstrumentsWarning)
        getattr(cexkit, name)(rows)


@each_pair
def test_an_unknown_class_is_refused_with_or_without_the_column(name, engine):
    for rows in (frame(), frame().drop("asset_class")):
        with pytest.raises(UnknownNameError, match=r"unknown asset class 'stocks'.*equity"):
            getattr(cexkit, name)(engine.make(rows), asset_class="stocks")


def test_a_column_that_is_not_text(engine):
    with pytest.raises(ColumnTypeError, match="takes text in column 'asset_class'"):
        cexkit.volume_share(engine.make(frame().with_columns(asset_class=pl.lit(1.5))))


@pytest.mark.parametrize("plot", ["venue_share", "open_interest", "funding_band"])
def test_plots_across_instruments(plot):
    from matplotlib.figure import Figure

    function, rows = getattr(cexkit.plotting, plot), frame()
    if plot == "funding_band":
        rows = pl.concat([rows, rows.head(2).with_columns(base=pl.lit("BTC"), symbol=pl.lit("BTC"))])
        function = partial(function, base="BTC")
    with pytest.warns(ExcludedInstrumentsWarning, match="leaves out 1 instrument known not to be crypto"):
        labels = function(rows, ax=Figure().subplots()).get_legend_handles_labels()[1]
    everything = function(rows, asset_class=None, ax=Figure().subplots()).get_legend_handles_labels()[1]
    assert set(everything) - set(labels) == ({"median of 4"} if plot == "funding_band" else {"bybit"})
