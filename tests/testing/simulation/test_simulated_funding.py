"""Funding follows the rule of its venue; open interest and liquidations follow the price."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from cexkit.schema import TABLES
from cexkit.schema.intervals import utc
from cexkit.testing.simulation.bars import edge_prices
from cexkit.testing.simulation.world import SHOCKS


def clamp(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def naive_rate(premiums: list[float], *, rising: bool, cap: float) -> float:
    """Average premium plus clamped interest of 0.01 % per 8 hours, scaled to the hours covered."""
    weights = [i + 1 if rising else 1 for i in range(len(premiums))]
    average = sum(w * p for w, p in zip(weights, premiums, strict=True)) / sum(weights)
    per_8h = average + clamp(0.0001 - average, -0.0005, 0.0005)
    return clamp(per_8h * len(premiums) / 8, -cap, cap)


@pytest.mark.parametrize(
    ("exchange", "symbol", "rising", "cap"),
    [
        ("binance", "BTCUSDT", True, 0.003),
        ("binance", "DOGEUSDT", True, 0.02),
        ("binance", "WIFUSDT", True, 0.02),
        ("bybit", "1000PEPEUSDT", True, 0.02),
        ("okx", "PEPEUSDT", False, 0.015),
    ],
)
def test_rates_follow_the_rule_from_published_prices(market, one, exchange, symbol, rising, cap):
    mark = one(market.tables["mark_1h"], exchange, symbol)
    index = one(market.tables["index_1h"], exchange, symbol)
    closes = zip(mark["timestamp"], mark["close"], index["close"], strict=True)
    premium = {opened: m / i - 1 for opened, m, i in closes}
    rates = one(market.tables["funding_rates"], exchange, symbol)
    assert rates.height > 1000
    for row in rates.to_dicts():
        hours = int(row["funding_interval_hours"])
        covered = [premium[row["timestamp"] - timedelta(hours=h)] for h in range(hours, 0, -1)]
        assert row["funding_rate"] == pytest.approx(naive_rate(covered, rising=rising, cap=cap), abs=0.51e-8)


def test_coinbase_has_a_dead_zone_and_settles_every_hour(market, one):
    listing = next(x for x in market.listings if (x.exchange, x.symbol) == ("coinbase", "SOLUSDC"))
    prices = market.prices(listing)
    index = edge_prices(prices, "index")
    premium = edge_prices(prices, "mark") / index - 1
    rates = one(market.tables["funding_rates"], "coinbase", "SOLUSDC")
    for hour, row in enumerate(rates.head(3000).to_dicts(), start=1):
        value = premium[hour]
        expected = 0.0 if abs(value) <= 0.00025 else (value - 0.00025 if value > 0 else value + 0.00025)
        assert row["funding_rate"] == pytest.approx(clamp(expected / 8, -0.000625, 0.000625), abs=0.51e-8)
        assert row["index_price"] == index[hour]
    assert (rates["funding_rate"] == 0).any()
    assert (rates["funding_rate"] != 0).any()
    assert set(rates["funding_interval_hours"]) == {1}


def test_intervals_change_as_declared(market, one):
    rates = market.tables["funding_rates"]
    doge = one(rates, "binance", "DOGEUSDT")
    assert doge["funding_interval_hours"].rle().struct.field("value").to_list() == [8, 4]
    assert doge.filter(funding_interval_hours=8)["timestamp"].max() == utc("2025-12-03T08:00")
    pepe = one(rates, "bybit", "1000PEPEUSDT")
    assert pepe["funding_interval_hours"].rle().struct.field("value").to_list() == [4, 1, 4]
    wif = one(rates, "binance", "WIFUSDT")
    assert wif["funding_interval_hours"].rle().struct.field("value").to_list() == [4, 1]
    assert wif["timestamp"].min() == utc("2025-09-16T20:00")
    terms = one(market.tables["instruments"], "binance", "WIFUSDT")
    assert terms["funding_interval_hours"].item() == 1


def test_distances_are_the_stored_intervals_but_for_one_gap(market):
    rates = market.tables["funding_rates"].with_columns(
        apart=pl.col("timestamp").diff().over("exchange", "symbol").dt.total_minutes() / 60
    )
    wrong = rates.filter(pl.col("apart") != pl.col("funding_interval_hours"))
    assert wrong.select("exchange", "symbol", "apart", "timestamp").rows() == [
        ("okx", "SOLUSDT", 56.0, utc("2025-11-20T00:00"))
    ]


def test_only_binance_is_late_by_up_to_47_ms(market):
    rates = market.tables["funding_rates"].with_columns(late=pl.col("venue_timestamp") - pl.col("timestamp"))
    late = rates.filter(exchange="binance")["late"].dt.total_milliseconds()
    assert (late.min(), late.max()) == (0, 47)
    assert 0.4 < (late > 0).mean() < 0.6
    assert rates.filter(pl.col("exchange") != "binance")["late"].dt.total_microseconds().max() == 0
    assert (rates["timestamp"].dt.truncate("1h") == rates["timestamp"]).all()


def test_marks_and_indices_stand_where_the_venue_gives_them(market, one):
    rates = market.tables["funding_rates"]
    given = rates.group_by("exchange").agg(pl.col("mark_price", "index_price").is_not_null().mean())
    assert {row[0]: row[1:] for row in given.rows()} == {
        "binance": (1.0, 0.0),
        "bybit": (0.0, 0.0),
        "coinbase": (0.0, 1.0),
        "okx": (0.0, 0.0),
    }
    paid = one(rates, "binance", "ETHUSDT").join(one(market.tables["mark_1h"], "binance", "ETHUSDT"), on="timestamp")
    assert (paid["mark_price"] == paid["open"]).all()


def test_funding_is_of_a_usual_size(market):
    apr = market.tables["funding_rates"].select(
        apr=pl.col("funding_rate") * 24 / pl.col("funding_interval_hours") * 365
    )["apr"]
    assert ((apr > -0.2) & (apr < 0.6)).mean() > 0.85
    assert 0.02 < apr.mean() < 0.2
    assert apr.min() < -0.2
    assert apr.max() > 0.3


def test_open_interest_is_positive_and_valued_at_the_mark(market):
    snapshots = market.tables["open_interest"]
    assert (snapshots["open_interest_base"] > 0).all()
    valued = snapshots.join(market.tables["mark_1h"], on=TABLES["mark_1h"].key)
    assert valued.height > 200_000
    apart = valued["open_interest_quote"] - valued["open_interest_base"] * valued["open"]
    assert apart.abs().max() < 0.5001


def test_shocks_unwind_open_interest(market, one):
    snapshots = one(market.tables["open_interest"], "binance", "BTCUSDT")
    at = dict(zip(snapshots["timestamp"], snapshots["open_interest_base"], strict=True))
    for shock in SHOCKS:
        drop = at[shock.at + timedelta(hours=1)] / at[shock.at] - 1
        assert drop < -0.03


def test_falls_liquidate_longs(may):
    at = SHOCKS[-1].at
    hour = may.tables["liquidations"].filter(pl.col("timestamp").is_between(at, at + timedelta(hours=1)), base="BTC")
    value = dict(hour.group_by("side").agg(pl.col("value_quote").sum()).rows())
    assert value["long"] > 1e7
    assert value["long"] > 20 * value.get("short", 0.0)


def test_each_venue_shows_liquidations_its_own_way(may):
    events = may.tables["liquidations"]
    ways = events.select("exchange", "coverage", "price_type").unique().sort("exchange").rows()
    assert ways == [
        ("binance", "throttled", "average_fill"),
        ("bybit", "full", "bankruptcy"),
        ("okx", "throttled", "bankruptcy"),
    ]
    assert (events["value_quote"] == events["price"] * events["quantity_base"]).all()
    busiest = events.group_by("exchange", "symbol", pl.col("timestamp").dt.truncate("1s")).len()
    most = dict(busiest.group_by("exchange").agg(pl.col("len").max()).rows())
    assert most["binance"] == 1
    assert most["bybit"] > 1
