"""The simulated market keeps the schema and behaves like a market."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from cexkit.errors import InvalidInputError, UnknownNameError, UnknownTableError
from cexkit.schema import TABLES
from cexkit.schema.render import conform
from cexkit.testing.simulation import HISTORY, MINUTES_FROM, simulate

SMALL = {"start": "2026-05-19", "end": "2026-05-22", "coins": ["BTC", "WIF"], "exchanges": ["binance", "coinbase"]}
LISTINGS = {"instruments", "instrument_periods"}
HOURLY = ["ohlcv_1h", "mark_1h", "index_1h"]


def test_two_runs_are_equal_and_another_seed_is_not():
    first, again, other = simulate(**SMALL), simulate(**SMALL), simulate(seed=1, **SMALL)
    for name in first.tables:
        assert_frame_equal(first.tables[name], again.tables[name], check_exact=True)
    for name in set(first.tables) - LISTINGS:
        assert not first.tables[name].equals(other.tables[name])


@pytest.mark.parametrize("name", sorted(set(simulate().tables) - {*LISTINGS, "ohlcv_1m"}))
def test_a_part_of_the_world_has_the_numbers_of_the_whole(market, name):
    part = simulate(**SMALL)
    expected = market.tables[name].filter(
        pl.col("timestamp").is_between(part.window.start, part.window.end, closed="left"),
        pl.col("base").is_in(SMALL["coins"]),
        pl.col("exchange").is_in(SMALL["exchanges"]),
    )
    assert expected.height
    assert_frame_equal(part.tables[name], expected, check_exact=True)


def test_minutes_do_not_depend_on_the_window(may):
    part = simulate(**SMALL).tables["ohlcv_1m"]
    expected = may.tables["ohlcv_1m"].join(part, on=TABLES["ohlcv_1m"].key, how="semi")
    assert_frame_equal(part, expected, check_exact=True)


@pytest.mark.parametrize("name", list(simulate().tables))
def test_tables_conform_are_sorted_unique_and_pass_their_checks(market, may, name):
    table = TABLES[name]
    frame = (may if name == "ohlcv_1m" else market).tables[name]
    assert frame.height
    conformed = pl.from_arrow(conform(frame.to_arrow(), table))
    assert_frame_equal(conformed, frame)
    keys = frame.select(table.key)
    assert keys.equals(keys.sort(table.key))
    assert not keys.is_duplicated().any()
    for check in table.checks:
        assert frame.filter(~pl.sql_expr(check.must).fill_null(False)).is_empty(), check.name


def test_every_silver_table_is_simulated(market):
    assert set(market.tables) == {name for name, table in TABLES.items() if table.layer == "silver"}


def test_a_coin_has_each_venues_name_unit_and_quote(market, one):
    rows = market.tables["instruments"]
    assert rows["base"].n_unique() == 8
    assert set(rows["exchange"]) == {"binance", "bybit", "coinbase", "okx"}
    multiplier = {(r["exchange"], r["symbol"]): r["multiplier"] for r in rows.filter(base="PEPE").to_dicts()}
    assert multiplier["binance", "1000PEPEUSDT"] == multiplier["bybit", "1000PEPEUSDT"] == 1000
    assert multiplier["okx", "PEPEUSDT"] == multiplier["binance", "PEPEUSDT"] == 1
    coinbase = rows.filter(exchange="coinbase", base="BTC")
    assert set(coinbase.select("symbol", "settle").rows()) == {("BTCUSD", "USD"), ("BTCUSDC", "USDC")}
    daily = market.tables["ohlcv_1d"]
    ratio = one(daily, "binance", "1000PEPEUSDT")["close"] / one(daily, "okx", "PEPEUSDT")["close"]
    assert (ratio / 1000 - 1).abs().max() < 0.005


def test_rows_begin_with_the_listing_and_end_with_the_delisting(market, one):
    rows = market.tables["instruments"]
    gone = rows.filter(base="FTT")
    assert set(gone["status"]) == {"delisted"}
    assert set(rows.filter(pl.col("base") != "FTT")["status"]) == {"trading"}
    for name in ["ohlcv_1h", "mark_1h", "open_interest"]:
        hours = one(market.tables[name], "binance", "FTTUSDT")["timestamp"]
        assert hours.min() == HISTORY.start
        assert hours.max() == gone["delisting_time"][0] - timedelta(hours=1)
        listed = one(market.tables[name], "binance", "WIFUSDT")["timestamp"]
        assert listed.min() == rows.filter(base="WIF")["listing_time"][0]
        assert listed.max() == HISTORY.end - timedelta(hours=1)
    before = simulate(end="2025-09-01", coins=["WIF", "FTT"]).tables["instruments"]
    assert set(before.select("base", "status", "delisting_time").rows()) == {("FTT", "trading", None)}


def test_periods_follow_changes_and_end_with_the_current_instrument(market):
    periods, keys = market.tables["instrument_periods"], ["exchange", "instrument_type", "symbol"]
    pepe = periods.filter(exchange="bybit", symbol="1000PEPEUSDT")
    assert pepe["funding_interval_hours"].to_list() == [4, 1, 4]
    assert pepe["valid_to"].to_list() == [*pepe["valid_from"].to_list()[1:], None]
    gone = periods.filter(exchange="binance", instrument_type="perp", base="FTT")
    assert gone.select("status", "delisting_time").rows() == [("trading", None), ("delisted", gone["valid_from"][1])]
    last = periods.filter(pl.col("valid_to").is_null())
    shared = [name for name in TABLES["instruments"].columns if name in periods.columns]
    assert_frame_equal(last.select(shared), market.tables["instruments"].select(shared))
    assert_frame_equal(periods.unique(keys, keep="first", maintain_order=True).select(keys), last.select(keys))


@pytest.mark.parametrize("name", HOURLY)
def test_no_hour_is_missing_but_where_nothing_trades(market, name):
    gaps = market.tables[name].with_columns(
        gap=pl.col("timestamp").diff().over("exchange", "instrument_type", "symbol") != pl.duration(hours=1)
    )
    quiet = gaps.filter("gap")
    assert set(quiet["exchange"]) <= {"coinbase"}
    assert (quiet.height > 0) == (name == "ohlcv_1h")


def aggregated(bars: pl.DataFrame, every: str) -> pl.DataFrame:
    sums = [name for name in bars.columns if "volume" in name or name == "trades"]
    keys = ["exchange", "instrument_type", "symbol", "base", "quote", "multiplier"]
    return bars.group_by_dynamic("timestamp", every=every, group_by=keys).agg(
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        *(pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()).alias(name) for name in sums),
    )


@pytest.mark.parametrize(("fine", "every", "coarse"), [("ohlcv_1m", "1h", "ohlcv_1h"), ("ohlcv_1h", "1d", "ohlcv_1d")])
def test_bars_add_up(may, fine, every, coarse):
    expected = may.tables[coarse]
    found = aggregated(may.tables[fine], every).select(expected.columns).sort(TABLES[coarse].key)
    prices = ["exchange", "symbol", "timestamp", "open", "high", "low", "close", "trades"]
    assert_frame_equal(found.select(prices), expected.select(prices), check_exact=True)
    assert_frame_equal(found, expected, rel_tol=1e-12, abs_tol=0)


def test_the_value_traded_lies_within_the_range_of_prices(may):
    bars = may.tables["ohlcv_1m"].drop_nulls("volume_quote")
    low, high = (pl.col(name) * pl.col("volume_base") for name in ("low", "high"))
    assert bars.filter((pl.col("volume_quote") < low - 1) | (pl.col("volume_quote") > high)).is_empty()


def test_columns_a_venue_does_not_give_are_null(may):
    bars = may.tables["ohlcv_1h"]
    for name in ["trades", "taker_buy_volume_base", "taker_buy_volume_quote"]:
        given = bars.filter(pl.col(name).is_not_null())
        assert set(given["exchange"]) == {"binance"}
        assert given.height == bars.filter(exchange="binance").height
    without = bars.filter(pl.col("volume_quote").is_null())
    assert set(without.select("exchange", "instrument_type").rows()) == {("coinbase", "spot")}
    assert "coinbase" not in set(may.tables["mark_1h"]["exchange"]) | set(may.tables["index_1h"]["exchange"])


def test_only_coinbase_leaves_out_minutes_without_trades(may):
    minutes = may.tables["ohlcv_1m"].group_by("exchange", "base", "instrument_type").len()
    full = int(may.window.days * 1440)
    short = minutes.filter(pl.col("len") < full)
    assert set(short.select("exchange", "base").rows()) == {("coinbase", "PEPE"), ("coinbase", "WIF")}
    assert short["len"].min() > 0.9 * full
    assert minutes["len"].max() == full


def test_volatility_correlation_and_premium_are_of_a_usual_size(market, one):
    daily = market.tables["ohlcv_1d"]
    yearly = one(daily, "binance", "BTCUSDT")["close"].log().diff().std() * 365**0.5
    assert 0.3 < yearly < 0.9
    returns = daily.filter(exchange="binance", instrument_type="spot").pivot("base", index="timestamp", values="close")
    returns = returns.select(pl.exclude("timestamp").log().diff())
    for base in ["ETH", "SOL", "DOGE"]:
        assert 0.4 < returns.select(pl.corr("BTC", base)).item() < 0.95
    joined = market.tables["mark_1h"].join(market.tables["index_1h"], on=TABLES["mark_1h"].key)
    premium = (joined["close"] / joined["close_right"] - 1).abs()
    assert premium.quantile(0.99) < 30e-4
    assert premium.median() < 6e-4


def test_prices_in_dollars_and_in_tether_are_a_little_apart(market, one):
    hours = market.tables["ohlcv_1h"]
    tether = one(hours, "binance", "BTCUSDT", "spot").join(one(hours, "coinbase", "BTCUSD", "spot"), on="timestamp")
    apart = (tether["close"] / tether["close_right"]).log() * 1e4
    assert 1 < apart.std() < 10
    assert apart.abs().max() < 30


def test_marks_lie_close_to_trades(market):
    traded = market.tables["ohlcv_1h"].filter(instrument_type="perp")
    both = traded.join(market.tables["mark_1h"], on=TABLES["mark_1h"].key)
    apart = (both["close"] / both["close_right"]).log().abs() * 1e4
    assert both.height == market.tables["mark_1h"].height
    assert apart.quantile(0.99) < 10


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"start": "2024-01-01"}, InvalidInputError),
        ({"end": "2027-01-01"}, InvalidInputError),
        ({"start": "2026-01-01", "end": "2026-01-01"}, InvalidInputError),
        ({"start": "2026-01-01T01:00"}, InvalidInputError),
        ({"coins": ["BTC", "LUNA"]}, UnknownNameError),
        ({"exchanges": ["mtgox"]}, UnknownNameError),
    ],
)
def test_what_is_not_simulated_is_refused(arguments, error):
    with pytest.raises(error):
        simulate(**arguments)


def test_unknown_tables_are_refused(market):
    with pytest.raises(UnknownTableError, match="ohlcv_1d"):
        market.tables["ohlcv_2d"]


def test_before_minutes_begin_there_are_none():
    early = simulate(start="2026-04-30", end="2026-05-03", coins=["BTC"])
    for name in ["ohlcv_1m", "liquidations"]:
        assert early.tables[name].is_empty() or early.tables[name]["timestamp"].min() >= MINUTES_FROM
    assert early.tables["ohlcv_1m"]["timestamp"].min() == MINUTES_FROM
