"""The main perpetual of a venue: one with data, whatever its name and whatever volumes the venue gives."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

import cexkit
from cexkit.client.tearsheet import tearsheet
from cexkit.client.tearsheet.data import TearsheetData
from cexkit.errors import MissingSettlementsWarning

from ...rows import at, listed
from .test_tearsheet import Page

DAYS = 20
LINEAR = listed()
INVERSE = listed("BTCUSD:BTC", quote="USD", settle="BTC", inverse=True, contract_size=100.0)
TWIN = listed("BTCUSDC", quote="USDC")


def rows_of(terms: dict, days: int, *, bars: bool = True, volume: float | None = None) -> dict[str, list[dict]]:
    """Settlements of the last days, and daily bars; a volume of None is one that the venue does not give."""
    keys = {name: terms[name] for name in ("exchange", "instrument_type", "symbol", "base", "quote")}
    first = DAYS - days
    paid = [
        keys | {"timestamp": at(8 * number), "funding_rate": 1e-4, "funding_interval_hours": 8.0}
        for number in range(3 * first, 3 * DAYS)
    ]
    prices = dict.fromkeys(("open", "high", "low", "close"), 100.0)
    daily = [
        keys | prices | {"timestamp": at(24 * day), "volume_base": (volume or 0.0) / 100, "volume_quote": volume}
        for day in range(first, DAYS if bars else first)
    ]
    return {"funding_rates": paid, "ohlcv_1d": daily}


def market_with(made_market, *parts: tuple[dict, dict[str, list[dict]]]):
    tables = {name: [row for _, rows in parts for row in rows[name]] for name in ("funding_rates", "ohlcv_1d")}
    return made_market(instruments=[terms for terms, _ in parts], **{k: v for k, v in tables.items() if v})


@pytest.mark.parametrize(
    ("parts", "main"),
    [
        # without volumes, the first by name is coin-margined and has no rows
        ([(INVERSE, 0, False, None), (LINEAR, DAYS, True, None)], "BTCUSDT"),
        ([(INVERSE, 0, False, None), (LINEAR, DAYS, False, None)], "BTCUSDT"),
        # a few busy days do not outweigh all days
        ([(TWIN, 3, True, 9e9), (LINEAR, DAYS, True, 1e6)], "BTCUSDT"),
        ([(INVERSE, 10, True, 9e9), (LINEAR, DAYS, True, None)], "BTCUSDT"),
        # nearly as much data: volume decides, then linear, then the name
        ([(TWIN, DAYS, True, 1e6), (LINEAR, DAYS - 1, True, 2e6)], "BTCUSDT"),
        ([(TWIN, DAYS, True, 2e6), (LINEAR, DAYS, True, 1e6)], "BTCUSDC"),
        ([(INVERSE, DAYS, True, None), (LINEAR, DAYS, True, None)], "BTCUSDT"),
        ([(INVERSE, DAYS, True, 2e6), (LINEAR, DAYS, True, 1e6)], "BTCUSD:BTC"),
        ([(LINEAR, DAYS, True, None), (TWIN, DAYS, True, None)], "BTCUSDC"),
    ],
)
def test_main_perp_has_data_then_volume_then_is_linear(made_market, parts, main):
    rows = [(terms, rows_of(terms, days, bars=bars, volume=volume)) for terms, days, bars, volume in parts]
    data = TearsheetData.of(market_with(made_market, *rows), "BTC", days=DAYS)
    assert data.main_perps["symbol"].to_list() == [main]


def test_lead_perp_is_of_a_venue_with_data(made_market):
    empty = listed("BTCUSDT", exchange="aaa")
    rows = [(empty, rows_of(empty, 0, bars=False)), (LINEAR, rows_of(LINEAR, DAYS))]
    data = TearsheetData.of(market_with(made_market, *rows), "BTC", days=DAYS)
    assert data.main_perps["exchange"].to_list() == ["binance", "aaa"]
    assert data.lead_perp == "binance"


def test_lead_perp_without_volumes_has_the_newest_bar(made_market):
    stale, fresh = listed(exchange="binance"), listed(exchange="okx")
    parts = [(stale, rows_of(stale, DAYS)), (fresh, rows_of(fresh, DAYS - 5))]
    parts[0][1]["ohlcv_1d"] = parts[0][1]["ohlcv_1d"][: DAYS // 2]
    market = market_with(made_market, *parts)
    data = TearsheetData.of(market, "BTC", days=DAYS)
    assert data.main_perps["exchange"].to_list() == ["binance", "okx"]
    assert data.lead_perp == "okx"
    page = Page(tearsheet(market, "BTC", days=DAYS).html)
    assert page.rows["… daily bars in that year"] == [str(DAYS // 2), str(DAYS - 5)]
    assert "The price is the daily close of okx." in tearsheet(market, "BTC", days=DAYS).html


def test_open_interest_is_in_dollars_by_the_rule_of_the_market(made_market):
    keys = {name: LINEAR[name] for name in ("exchange", "instrument_type", "symbol", "base", "quote")}
    held = [keys | {"timestamp": at(hour), "open_interest_base": 3.0} for hour in (1, 2)]
    bars = [keys | dict.fromkeys(("open", "high", "low", "close"), 50.0) | {"timestamp": at(0)}]
    market = made_market(instruments=[LINEAR], open_interest=held, mark_1h=bars, **rows_of(LINEAR, DAYS))
    data = TearsheetData.of(market, "BTC", start=at(0), end=at(24 * DAYS))
    assert data.open_interest.sort("timestamp")["open_interest_usd"].to_list() == [150.0, 150.0]
    token = cexkit.Token("BTC", market=market, return_type="polars").open_interest()
    assert token["open_interest_usd"].to_list() == [150.0, 150.0]
    assert Page(tearsheet(market, "BTC", start=at(0), end=at(24 * DAYS)).html).rows["Open interest, USD"] == ["150"]


def test_volumes_that_nobody_knows_are_no_data(made_market):
    html = tearsheet(market_with(made_market, (LINEAR, rows_of(LINEAR, DAYS))), "BTC", days=DAYS).html
    assert "No data: the dataset has no volume in dollars in this window." in html
    assert "Not drawn" not in html


def test_band_counts_the_coins_that_it_is_made_of(made_market):
    old, recent = listed("ETHUSDT", base="ETH"), listed("SOLUSDT", base="SOL")
    parts = [(terms, rows_of(terms, DAYS, bars=False)) for terms in (LINEAR, old, recent)]
    parts[1][1]["funding_rates"] = parts[1][1]["funding_rates"][:9]  # ends before the last 7 days
    html = tearsheet(market_with(made_market, *parts), "BTC", days=DAYS).html
    assert "Each of the others (2) has one vote in the band." in html
    assert "Higher than this share of 1 perpetuals of other coins" in html


def test_days_without_a_daily_bar_come_from_their_hours(made_market):
    keys = {name: LINEAR[name] for name in ("exchange", "instrument_type", "symbol", "base", "quote")}
    hours = [hour for hour in range(24 * DAYS) if hour != 30]  # an hour of the second day is missing
    hourly = [
        keys
        | {"timestamp": at(hour), "open": 100.0 + hour, "high": 200.0 + hour, "low": 50.0, "close": 101.0 + hour}
        | {"volume_base": 2.0, "volume_quote": None if hour == 50 else 200.0}
        for hour in hours
    ]
    own = keys | dict.fromkeys(("open", "high", "low", "close"), 77.0) | {"timestamp": at(24 * 5), "volume_base": 1.0}
    market = made_market(instruments=[LINEAR], ohlcv_1h=hourly, ohlcv_1d=[own])
    data = TearsheetData.of(market, "BTC", start=at(0), end=at(24 * DAYS))
    daily = data.daily.sort("timestamp")
    assert daily["timestamp"].to_list() == [at(24 * day) for day in range(DAYS) if day != 1]
    assert daily["close"].to_list() == [77.0 if day == 5 else 101.0 + 24 * day + 23 for day in range(DAYS) if day != 1]
    assert daily["high"][1] == 200.0 + 24 * 3 - 1
    assert daily["volume_quote"].to_list()[:3] == [4800.0, None, 4800.0]  # the third day lacks the value of an hour
    assert data.stored_daily["timestamp"].to_list() == [at(24 * 5)]
    html = tearsheet(market, "BTC", start=at(0), end=at(24 * DAYS)).html
    assert Page(html).rows["Price, quote per coin"] == ["580"]
    assert f"aggregated from their 24 hourly bars: binance BTCUSDT {DAYS - 2}." in html


def test_missing_settlements_are_stated():
    """OKX lacks settlements of SOL in November 2025."""
    token = cexkit.Token("SOL", exchange="okx")
    stated = "What longs paid on okx is unknown, because settlements are missing in the window."
    with pytest.warns(MissingSettlementsWarning):
        page = token.tearsheet(start="2025-11-15", end="2025-11-25").html
    assert stated in page
    assert "lines end where settlements are missing" in page
    assert stated not in token.tearsheet(start="2025-11-21", end="2025-11-25").html


def test_tearsheet_basis_is_the_basis_of_the_market():
    market = cexkit.connect("sample")
    data = TearsheetData.of(market, "BTC", days=3)
    assert set(data.basis_prices["exchange"]) == {"binance", "bybit", "coinbase", "okx"}
    window = {"start": data.start + timedelta(seconds=1), "end": data.end + timedelta(seconds=1)}
    rows = cexkit.Token("BTC", market=market, return_type="polars").basis(**window)
    columns = ["exchange", "symbol", "timestamp", "price", "reference", "reference_name", "reference_quote"]
    keys = ["exchange", "symbol", "timestamp"]
    wanted = rows.filter(pl.col("instrument_type") == "perp").select(columns).sort(keys)
    assert data.basis_prices.select(columns).sort(keys).equals(wanted)
    html = tearsheet(market, "BTC", days=3).html
    assert "spot BTCUSD (USDC over USD)" in html
    assert "contains the premium of one over the other: coinbase (USDC over USD)." in html
