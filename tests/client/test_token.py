"""Token and Tokens: all instruments or an error, per coin, at the time that was known, whatever the window."""

from __future__ import annotations

import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

import cexkit
from cexkit import Token, Tokens
from cexkit.config import settings
from cexkit.errors import (
    AmbiguousInstrumentError,
    InvalidInputError,
    PartialResultWarning,
    UnknownNameError,
    UnpricedQuoteWarning,
)
from cexkit.schema import INSTRUMENT_KEYS

from ..rows import at, listed

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def market():
    return cexkit.connect("sample")


@pytest.fixture
def token(market):
    def make(name="BTC", **words):
        return Token(name, market=market, return_type="polars", **words)

    return make


def row(instrument, when, **more):
    return {name: instrument[name] for name in (*INSTRUMENT_KEYS, "base", "quote")} | {"timestamp": when} | more


def bar(instrument, when, close):
    return row(instrument, when, open=close, high=close + 1, low=close - 0.5, close=close, volume_base=2.0)


# --- what a name means


def test_a_coin_is_all_its_instruments_and_a_symbol_those_of_that_name(token):
    assert len(token("BTC").instruments) == 8
    assert set(token("BTC").instruments["quote"]) == {"USDT", "USDC", "USD"}
    assert token("BTCUSDC").instruments.select(INSTRUMENT_KEYS).rows() == [("coinbase", "perp", "BTCUSDC")]
    assert token("1000PEPEUSDT").instruments["base"].unique().to_list() == ["PEPE"]
    assert token("btc").instruments.equals(token("BTC").instruments)


def test_prices_and_amounts_are_per_coin_by_the_multiplier_of_their_time(made_market):
    perp = listed("PEPEUSDT", base="PEPE")
    bars = [bar(perp, at(0), 1000.0) | {"multiplier": 1000.0}, bar(perp, at(1), 2.0)]
    made = Token("PEPE", market=made_market(instruments=[perp], ohlcv_1h=bars), return_type="polars").ohlcv("1h")
    assert made.select("close", "volume_base", "multiplier").rows() == [(1.0, 2000.0, 1.0), (2.0, 2.0, 1.0)]


def test_rows_without_a_multiplier_are_scaled_by_the_one_of_their_time(made_market):
    perp = listed("PEPEUSDT", base="PEPE")
    terms = {name: value for name, value in perp.items() if name != "observed_at"}
    periods = [
        terms | {"multiplier": 1000.0, "valid_from": at(0), "valid_to": at(5)},
        terms | {"multiplier": 1.0, "valid_from": at(5)},
    ]
    event = {"side": "long", "price_type": "fill", "coverage": "full", "event": 0, "value_quote": 6.0}
    rows = [
        row(perp, at(1), price=3000.0, quantity_base=0.002, **event),
        row(perp, at(5), price=3.0, quantity_base=2.0, **event),
    ]
    market = made_market(instruments=[perp], instrument_periods=periods, liquidations=rows)
    found = Token("PEPE", market=market, return_type="polars").liquidations()
    assert found.select("price", "quantity_base").rows() == [(3.0, 2.0), (3.0, 2.0)]


def test_venues_and_types_narrow_it_down(token):
    perps = token("BTC", exchange=["okx", "coinbase"], instrument_type="perp")
    assert perps.instruments["symbol"].to_list() == ["BTCUSDC", "BTCUSDT"]
    frame = perps.funding_rate(start="2026-06-30")
    assert set(frame["exchange"]) == {"okx", "coinbase"}


@pytest.mark.parametrize(
    ("name", "words", "says"),
    [
        ("BTCC", {}, "did you mean 'BTC"),
        ("BTC", {"exchange": "binanse"}, "did you mean 'binance'"),
        ("FTT", {"exchange": "coinbase"}, "Available: binance, bybit, okx"),
        ("WIF", {"exchange": "coinbase", "instrument_type": "perp"}, "instrument type of WIF 'perp'. Available: spot"),
        ("BTC'; DROP TABLE instruments; --", {}, "unknown coin or symbol"),
        ("ВТС", {}, "unknown coin or symbol"),
        ("BTC\x00", {}, "unknown coin or symbol"),
        ("../BTC", {}, "unknown coin or symbol"),
        ("ſOL", {}, "unknown coin or symbol"),  # upper case of the long s is S
        ("BTC", {"exchange": "okx' OR '1'='1"}, "unknown exchange of BTC"),
        ("", {}, "unknown coin or symbol"),
    ],
)
def test_what_is_not_there_is_an_error_that_lists_what_is(token, name, words, says):
    with pytest.raises(UnknownNameError, match=says):
        token(name, **words)


def test_a_name_that_is_a_coin_and_a_symbol_is_not_chosen_in_silence(made_market):
    market = made_market(instruments=[listed("ABCUSDT", base="ABC"), listed("ABC", base="A", quote="BC")])
    with pytest.raises(AmbiguousInstrumentError, match=r"a coin \(ABCUSDT\) and also a symbol of A"):
        Token("ABC", market=market)
    assert Token("A", market=market).instruments["symbol"].to_list() == ["ABC"]


def test_symbols_of_one_name_and_other_coins_do_not_mix(made_market):
    """BTC + USDT and BTCU + SDT are one symbol and two coins."""
    mine, other = listed("BTCUSDT"), listed("BTCUSDT", base="BTCU", quote="SDT", exchange="okx")
    bars = [bar(mine, at(0), 5.0), bar(other, at(0), 9.0)]
    market = made_market(instruments=[mine, other], ohlcv_1d=bars)
    assert Token("BTC", market=market, return_type="polars").ohlcv()["close"].to_list() == [5.0]


def test_what_a_table_cannot_hold_is_an_error_and_no_empty_frame(token):
    with pytest.raises(InvalidInputError, match=r"funding_rates has none of .*spot BTCUSDT.*type perp"):
        token("BTC", instrument_type="spot").funding_rate()
    with pytest.raises(InvalidInputError, match=r"liquidations has none of coinbase.* at binance, bybit, okx"):
        token("BTC", exchange="coinbase").liquidations()


# --- units


def test_everything_is_per_coin(token, market):
    prices = token("PEPE").price()["price"]
    assert len(prices) == 7
    assert prices.max() / prices.min() < 1.01
    words = {"exchange": "binance", "symbol": "1000PEPEUSDT", "start": "2026-06-29"}
    thousands = market.table("ohlcv_1d", **words).to_polars().sort("timestamp")
    coins = token("1000PEPEUSDT", exchange="binance").ohlcv(start="2026-06-29")
    for name in ("open", "high", "low", "close"):
        assert coins[name].to_list() == pytest.approx((thousands[name] / 1000).to_list(), rel=1e-14)
    for name in ("volume_base", "taker_buy_volume_base"):
        assert coins[name].to_list() == (thousands[name] * 1000).to_list()
    for name in ("volume_quote", "trades"):
        assert coins[name].to_list() == thousands[name].to_list()


def test_events_and_open_interest_are_in_coins_and_their_values_stay(token, market):
    pepe = token("1000PEPEUSDT", exchange="bybit")
    events = pepe.liquidations()
    assert (events["price"] * events["quantity_base"] / events["value_quote"] - 1).abs().max() < 1e-9
    held = pepe.open_interest(start="2026-06-30")
    raw = market.table("open_interest", start="2026-06-30", exchange="bybit", symbol="1000PEPEUSDT").to_polars()
    assert held["open_interest_base"].to_list() == (raw.sort("timestamp")["open_interest_base"] * 1000).to_list()
    assert held["open_interest_usd"].to_list() == raw.sort("timestamp")["open_interest_quote"].to_list()


def test_basis_per_coin_is_the_same_fraction(token, market):
    got = token("1000PEPEUSDT", exchange="binance").basis(reference="spot", start="2026-06-30")
    raw = market.basis(reference="spot", exchange="binance", symbol="1000PEPEUSDT", start="2026-06-30").to_polars()
    assert got["basis"].to_list() == raw.sort("timestamp")["basis"].to_list()
    assert got["price"].to_list() == pytest.approx((raw.sort("timestamp")["price"] / 1000).to_list(), rel=1e-14)
    fraction = (got["price"] - got["reference"]) / got["reference"]
    assert (fraction - got["basis"]).abs().max() < 1e-12


def test_quotes_that_are_no_dollars_are_named(made_market):
    euro = listed("BTCEUR", quote="EUR")
    held = [row(euro, at(1), open_interest_base=1.0, open_interest_quote=2.0)]
    market = made_market(instruments=[euro], open_interest=held)
    with pytest.warns(UnpricedQuoteWarning, match="EUR"):
        frame = Token("BTC", market=market).open_interest()
    assert frame.open_interest_usd.isna().all()


# --- bars


@pytest.mark.parametrize("interval", ["1m", "1h", "1d"])
def test_stored_bars_are_the_rows_of_the_table(token, market, interval):
    words = {"start": "2026-06-30T02:00", "end": "2026-06-30T05:00"}
    if interval == "1d":
        words = {"start": "2026-06-01", "end": "2026-06-05"}
    got = token("ETH", exchange="okx").ohlcv(interval, **words)
    names = {"exchange": "okx", "symbol": "ETHUSDT", "instrument_type": ["perp", "spot"]}
    want = market.table(f"ohlcv_{interval}", **words, **names).to_polars().sort(*INSTRUMENT_KEYS, "timestamp")
    assert got.equals(want)
    assert got.height > 0


@pytest.mark.parametrize(("interval", "source"), [("5m", "1m"), ("4h", "1h"), ("2d", "1d"), ("1w", "1d")])
def test_other_bars_are_made_of_the_longest_that_divide_them(token, interval, source):
    one = token("BTC", exchange="okx", instrument_type="perp")
    got = one.ohlcv(interval)
    want = cexkit.resample(one.ohlcv(source), every=interval)
    whole = want.filter(pl.col("rows") == want["rows"].max())
    assert got.filter(pl.col("rows") == want["rows"].max()).select(whole.columns).equals(whole)
    length = timedelta(seconds={"5m": 300, "4h": 14400, "2d": 172800, "1w": 604800}[interval])
    reached = one.ohlcv(source)["timestamp"].max() + timedelta(seconds={"1m": 60, "1h": 3600, "1d": 86400}[source])
    assert (got["timestamp"] + length).max() <= reached < (got["timestamp"] + 2 * length).max()


def test_a_bar_that_the_data_do_not_reach_the_end_of_is_left_out(made_market):
    one, far = listed(), listed(exchange="okx")
    hours = [bar(one, at(h), float(h + 1)) for h in range(6)] + [bar(far, at(h), float(h + 1)) for h in range(9)]
    market = made_market(instruments=[one, far], ohlcv_1h=hours)
    got = Token("BTC", market=market, return_type="polars").ohlcv("4h")
    assert got.select("exchange", "timestamp", "rows").rows() == [
        ("binance", at(0), 4),  # 04:00 ends at 08:00, and binance is known to 06:00
        ("okx", at(0), 4),
        ("okx", at(4), 4),
    ]


def test_a_gap_is_told_by_the_number_of_rows(made_market):
    one, other = listed(), listed("ETHUSDT", base="ETH")
    hours = [bar(one, at(h), float(h + 1)) for h in (0, 1, 2, 4)] + [bar(other, at(h), 1.0) for h in range(8)]
    market = made_market(instruments=[one, other], ohlcv_1h=hours)
    got = Token("BTC", market=market, return_type="polars").ohlcv("4h")
    # the venue is known to 08:00, so the second bar is finished, with one row in it
    assert got.select("timestamp", "rows", "close").rows() == [(at(0), 3, 3.0), (at(4), 1, 5.0)]


@pytest.mark.parametrize(
    ("interval", "method"),
    [
        ("4h", "ohlcv"),
        ("1w", "ohlcv"),
        ("4h", "price_history"),
        ("1d", "returns"),
        ("4h", "returns"),
        ("1d", "volatility"),
    ],
)
def test_a_window_cuts_and_does_not_change_what_it_keeps(token, interval, method):
    """Bars at its edges are whole, the first return and the first volatility are there."""
    one = token("BTC", exchange=["okx", "binance"])
    words = {"start": "2026-06-09T05:30", "end": "2026-06-29T13:00"}
    whole, cut = getattr(one, method)(interval), getattr(one, method)(interval, **words)
    start, end = (datetime.fromisoformat(words[name]).replace(tzinfo=UTC) for name in ("start", "end"))
    want = whole.filter(pl.col("timestamp") >= start, pl.col("timestamp") < end)
    assert cut.height == want.height > 0
    for name in want.columns:
        if want[name].dtype == pl.Float64:
            apart = (cut[name] - want[name]).abs() / want[name].abs().clip(1e-12)
            assert (cut[name].is_null() == want[name].is_null()).all()
            assert (apart.max() or 0) < 1e-9
        else:
            assert cut[name].equals(want[name])


def test_bars_that_cannot_be_made_are_refused(token):
    with pytest.raises(InvalidInputError, match=r"multiple of the bars of this dataset \(1m, 1h, 1d\)"):
        token().ohlcv("90s")
    with pytest.raises(InvalidInputError, match="not a duration"):
        token().ohlcv("daily")
    with pytest.raises(InvalidInputError, match="window=-500"):
        token().volatility(window=-500, min_samples=2, start="2026-06-01")


# --- what was known when


def test_prices_stand_at_the_time_they_were_known(made_market):
    one = listed()
    market = made_market(instruments=[one], ohlcv_1h=[bar(one, at(h), float(h + 10)) for h in range(4)])
    token = Token("BTC", market=market, return_type="polars")
    history = token.price_history("1h")
    assert history.select("timestamp", "price").rows() == [(at(h + 1), float(h + 10)) for h in range(4)]
    assert token.price_history("1h", start=at(2), end=at(3))["price"].to_list() == [11.0]
    assert token.returns("1h", start=at(2), end=at(3))["returns"].to_list() == [pytest.approx(0.1)]
    # a frame joined by time meets the close that was known, and not that of the bar that opens then
    then = pl.DataFrame({"timestamp": [at(2)]}, schema={"timestamp": pl.Datetime("us", "UTC")})
    assert then.join_asof(history, on="timestamp")["price"].to_list() == [11.0]


def test_a_price_is_the_last_that_was_known_of_the_shortest_bars(made_market):
    one, gone = listed(), listed("OLDUSDT", base="OLD", status="delisted")
    market = made_market(
        instruments=[one, gone],
        ohlcv_1m=[bar(one, at(10) + timedelta(minutes=m), 100.0 + m) for m in range(120)],
        ohlcv_1h=[bar(one, at(h), float(h)) for h in range(1, 12)],
        ohlcv_1d=[bar(gone, at(0), 7.0), bar(one, at(-24), 3.0)],
    )

    def price(name, moment=None):
        return (
            Token(name, market=market, return_type="polars")
            .price(at=moment)
            .select("timestamp", "price", "interval")
            .rows()
        )

    assert price("BTC") == [(at(12), 219.0, "1m")]
    assert price("BTC", at(11)) == [(at(11), 159.0, "1m")]
    assert price("BTC", at(11.5)) == [(at(11.5), 189.0, "1m")]
    assert price("BTC", at(11) + timedelta(seconds=59)) == [(at(11), 159.0, "1m")]
    assert price("BTC", at(9.9)) == [(at(9), 8.0, "1h")]
    assert price("BTC", at(0)) == [(at(0), 3.0, "1d")]
    assert price("BTC", at(-1)) == []
    assert price("OLD") == [(at(24), 7.0, "1d")]


# --- funding


def test_annual_rates_are_by_each_rows_own_interval(token):
    frame = token("WIF").funding_rate_annualized(start="2026-06-01")
    assert set(frame["funding_interval_hours"]) >= {1.0, 4.0}
    want = frame["funding_rate"] * 24 / frame["funding_interval_hours"] * 365
    assert (frame["funding_apr"] - want).abs().max() < 1e-12
    compound = token("WIF").funding_rate_annualized(compound=True, start="2026-06-01")
    assert compound["funding_apy"].equals(frame.crypto.funding_apy())


def test_intervals_that_are_not_stored_come_from_times_also_at_the_edges_of_a_window(made_market):
    one = listed()
    hours = [*range(0, 48, 8), *range(48, 72, 4)]
    market = made_market(instruments=[one], funding_rates=[row(one, at(h), funding_rate=1e-4) for h in hours])
    token = Token("BTC", market=market, return_type="polars")
    got = token.funding_rate_annualized(start=at(24), end=at(25))
    assert got["funding_apr"].to_list() == [pytest.approx(1e-4 * 3 * 365)]
    assert token.funding_rate_annualized(start=at(60), end=at(61))["funding_apr"].to_list() == [pytest.approx(0.219)]


# --- kinds of frame


METHODS = {
    "ohlcv": {"interval": "4h", "start": "2026-06-20"},
    "price_history": {"limit": 3},
    "price": {},
    "returns": {"limit": 3, "start": "2026-06-20"},
    "volatility": {"limit": 3, "start": "2026-06-01"},
    "funding_rate": {"limit": 3},
    "funding_rate_annualized": {"limit": 3, "start": "2026-06-20"},
    "open_interest": {"limit": 3},
    "basis": {"limit": 3},
    "liquidations": {"limit": 3},
    "info": {},
    "exchanges": {},
}


@pytest.mark.parametrize("method", METHODS)
def test_every_kind_of_frame_holds_the_same(market, method):
    token = Token("BTC", market=market, exchange=["okx", "binance"])
    ask, options = getattr(token, method), METHODS[method]
    polars = ask(**options, return_type="polars")
    assert polars.height > 0
    pandas, arrow, lazy = ask(**options), ask(**options, return_type="arrow"), ask(**options, return_type="ibis")
    assert isinstance(pandas, pd.DataFrame)
    assert isinstance(arrow, pa.Table)
    assert list(pandas.columns) == polars.columns == arrow.column_names == list(lazy.columns)
    assert pl.from_arrow(arrow).equals(polars)
    assert pandas.equals(polars.to_pandas())
    assert_frame_equal(lazy.to_polars(), polars, check_dtypes=False, rel_tol=1e-9)
    if "timestamp" in polars.columns:
        assert polars.sort(*INSTRUMENT_KEYS, "timestamp").select(INSTRUMENT_KEYS).equals(polars.select(INSTRUMENT_KEYS))
        assert polars["timestamp"].dtype == pl.Datetime("us", "UTC")


@pytest.mark.parametrize(
    "method", [name for name in METHODS if name not in ("price", "info", "exchanges", "liquidations")]
)
@pytest.mark.parametrize("more", [{}, {"end": "2026-06-28T05:30"}])
def test_of_large_tables_only_the_newest_part_is_read_for_the_newest_rows(market, monkeypatch, method, more):
    from cexkit.client import selection

    asked = []
    words = {"interval": "6h"} if method in ("ohlcv", "price_history", "returns", "volatility") else {}
    words |= {"window": 3} if method == "volatility" else {}
    ask = getattr(Token("WIF", market=market, return_type="polars"), method)
    whole = ask(limit=4, **words, **more)
    monkeypatch.setattr(selection, "PROBE_MIN_BYTES", 0)
    real = market.table
    monkeypatch.setattr(market, "table", lambda name, **rest: asked.append((name, rest)) or real(name, **rest))
    part = ask(limit=4, **words, **more)
    assert whole.height >= 4
    assert_frame_equal(part, whole, rel_tol=1e-9)
    read = [rest["start"] for name, rest in asked if name in ("ohlcv_1h", "funding_rates", "open_interest")]
    assert read
    assert None not in read


def test_the_newest_rows_of_who_left_long_ago_are_found_all_the_same(market, monkeypatch):
    from cexkit.client import selection

    monkeypatch.setattr(selection, "PROBE_MIN_BYTES", 0)
    gone = Token("FTT", market=market, return_type="polars").ohlcv(limit=2)
    assert set(gone["timestamp"].dt.month()) == {11}
    assert gone.height == 2 * gone["exchange"].n_unique() + 2  # binance has a perpetual and a spot pair


def test_a_return_after_a_gap_is_the_same_in_every_window(made_market):
    one = listed()
    days = [day for day in range(40) if not 10 <= day < 20]
    market = made_market(instruments=[one], ohlcv_1d=[bar(one, at(24 * day), 100.0 + day) for day in days])
    token = Token("BTC", market=market, return_type="polars")
    cut = token.returns(start=at(24 * 21), end=at(24 * 22))
    assert cut["returns"].to_list() == [pytest.approx(120 / 109 - 1)]
    whole = token.volatility(window=5, min_samples=2)
    cut = token.volatility(window=5, min_samples=2, start=at(24 * 23))
    assert_frame_equal(cut, whole.filter(pl.col("timestamp") >= at(24 * 23)), rel_tol=1e-9)


@pytest.mark.parametrize("probe_min_bytes", [0, 10**9])
def test_a_window_of_volatility_reaches_over_any_gap_where_not_all_of_it_must_be_there(
    made_market, monkeypatch, probe_min_bytes
):
    from cexkit.client import selection

    monkeypatch.setattr(selection, "PROBE_MIN_BYTES", probe_min_bytes)
    one = listed()
    days = [day for day in range(200) if not 100 <= day < 160]
    market = made_market(instruments=[one], ohlcv_1d=[bar(one, at(24 * d), 100.0 + d + d * d % 7) for d in days])
    token = Token("BTC", market=market, return_type="polars")
    for estimator in ("close", "parkinson"):
        words = {"window": 5, "min_samples": 2, "estimator": estimator}
        whole, cut = token.volatility(**words), token.volatility(**words, start=at(24 * 162))
        assert_frame_equal(cut, whole.filter(pl.col("timestamp") >= at(24 * 162)), rel_tol=1e-9)


def test_the_kind_is_set_for_a_token_or_a_call(market):
    token = Token("BTC", market=market, return_type="arrow")
    assert isinstance(token.price(), pa.Table)
    assert isinstance(token.price(return_type="pandas"), pd.DataFrame)
    for wrong in (lambda: Token("BTC", market=market, return_type="spark"), lambda: token.price(return_type="sparks")):
        with pytest.raises(UnknownNameError, match="Available: arrow, ibis, pandas, polars"):
            wrong()


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda token: token.price_history(start="0001-01-01"), "leave it out"),
        (lambda token: token.ohlcv("4h", end="9999-12-31"), "leave it out"),
        (lambda token: token.price(at="0001-01-01"), "leave it out"),
        (lambda token: token.basis(start="0001-01-01"), "leave it out"),
        (lambda token: token.funding_rate_annualized(end="9999-12-31"), "leave it out"),
        (lambda token: token.ohlcv("99999999999w"), "not a duration"),
        (lambda token: token.basis(tolerance="99999999999w"), "not a duration"),
        (lambda token: token.basis(tolerance=timedelta.max), "a tolerance is"),
        (lambda token: token.tearsheet(days=10**10), "days is"),
    ],
)
def test_what_no_calendar_holds_is_refused(token, ask, says):
    with pytest.raises(InvalidInputError, match=says):
        ask(token("BTC", exchange="okx"))


def test_more_rows_than_a_calendar_holds_are_all_there_are(market, monkeypatch):
    from cexkit.client import selection

    monkeypatch.setattr(selection, "PROBE_MIN_BYTES", 0)
    token = Token("BTC", market=market, exchange="okx", return_type="polars")
    assert token.ohlcv(limit=10**12).equals(token.ohlcv())
    for window in (200_000, 10**9):
        far = token.volatility(window=window, start="2026-06-01")
        assert far["realized_volatility"].null_count() == far.height == 62


def test_numpy_numbers_and_times_are_those_of_python(market):
    token = cexkit.Token("BTC", exchange="okx", instrument_type="perp", market=market, return_type="polars")
    start, end = np.datetime64("2026-06-29"), np.datetime64("2026-06-30T12:00", "ns")
    plain = {"start": "2026-06-29", "end": "2026-06-30T12:00"}
    limit, window = np.int32(3), np.uint8(5)
    assert token.funding_rate(start=start, end=end, limit=limit).equals(token.funding_rate(**plain, limit=3))
    assert token.volatility(window=window, end=end, limit=limit).equals(
        token.volatility(window=5, end="2026-06-30T12:00", limit=3)
    )
    assert token.price(at=end).equals(token.price(at="2026-06-30T12:00"))
    question = {"symbol": np.str_("BTCUSDT"), "days": np.float32(2), "until": end}
    asked = market.query("returns", **question, return_type="polars")
    assert asked.equals(market.query("returns", symbol="BTCUSDT", days=2, until=plain["end"], return_type="polars"))
    assert market.universe(end).count().execute() == market.universe(plain["end"]).count().execute()
    assert len(token.tearsheet(start=start, end=end).html) == len(token.tearsheet(**plain).html)
    assert "2026-06" in token.tearsheet(days=np.int64(2)).html
    for wrong in (np.datetime64("NaT"), np.float64(1.5), np.bool_(True)):
        with pytest.raises(InvalidInputError):
            token.funding_rate(start=wrong)
        with pytest.raises(InvalidInputError):
            token.funding_rate(limit=wrong)


def test_limit_is_the_newest_of_each_instrument(token):
    whole = token("BTC").funding_rate(start="2026-06-20")
    newest = token("BTC").funding_rate(start="2026-06-20", limit=2)
    assert newest.height == 8
    times = {}
    for *key, when in whole.select(*INSTRUMENT_KEYS, "timestamp").rows():
        times.setdefault(tuple(key), []).append(when)
    want = [(*key, when) for key in sorted(times) for when in sorted(times[key])[-2:]]
    assert newest.select(*INSTRUMENT_KEYS, "timestamp").rows() == want
    for wrong in (0, -1, 1.5, True, "3"):
        with pytest.raises(InvalidInputError, match="limit must be a positive integer"):
            token().funding_rate(limit=wrong)
    with pytest.raises(InvalidInputError, match="ends before it starts"):
        token().funding_rate(start="2026-06-02", end="2026-06-01")


def test_frames_take_metrics_further(token):
    frame = token("BTC").funding_rate(start="2026-06-01")
    assert frame.crypto.funding_spread(fees=0.0005).height > 0
    assert token("BTC").ohlcv(start="2026-06-01").crypto.returns().len() > 0


# --- several tokens


def test_tokens_are_one_long_frame(market):
    pair = Tokens(["BTC", "PEPE"], market=market, return_type="polars")
    frame = pair.funding_rate(start="2026-06-30")
    parts = [
        Token(name, market=market, return_type="polars").funding_rate(start="2026-06-30") for name in ("BTC", "PEPE")
    ]
    assert frame.equals(pl.concat(parts))
    assert pair.failed == {}
    assert set(pair.price_history(limit=1, return_type="ibis").to_polars()["base"]) == {"BTC", "PEPE"}
    assert [member.name for member in pair] == ["BTC", "PEPE"]
    assert pair["PEPE"].instruments["base"].unique().to_list() == ["PEPE"]
    assert pair._ipython_key_completions_() == ["BTC", "PEPE"]


def test_what_fails_is_reported_and_the_others_answer(market):
    with pytest.warns(PartialResultWarning, match="2 of 3 found, without:\n  XYZ: unknown coin"):
        three = Tokens(["BTC", "XYZ", "FTT"], market=market, exchange="okx", return_type="polars")
    with pytest.warns(PartialResultWarning, match="XYZ"):
        assert set(three.price()["base"]) == {"BTC", "FTT"}
    assert set(three.failed) == {"XYZ"}
    with pytest.warns(PartialResultWarning, match=r"1 of 3 answered(.|\n)*FTT: funding_rates has none") as caught:
        frame = three.funding_rate(limit=1)
    assert [each.filename for each in caught if each.category is PartialResultWarning] == [__file__]
    assert set(frame["base"]) == {"BTC"}
    assert set(three.failed) == {"XYZ", "FTT"}
    assert isinstance(three.failed["FTT"], InvalidInputError)


def test_no_row_comes_twice(market):
    """A sum over the frame would count them twice."""
    for names in (["BTC", "BTCUSDT"], ["btc", "BTC"]):
        with pytest.raises(InvalidInputError, match=f"{names[0]} and {names[1]} both select binance perp BTCUSDT"):
            Tokens(names, market=market)


def test_venues_may_come_from_what_can_be_read_but_once(market):
    assert Token("BTC", market=market, exchange=iter(["okx"])).instruments["exchange"].unique().to_list() == ["okx"]
    pair = Tokens(iter(["BTC", "ETH"]), market=market, exchange=iter(["okx"]), instrument_type=iter(["perp"]))
    assert len(pair.price()) == 2


def test_nothing_at_all_is_an_error(market):
    with pytest.raises(UnknownNameError, match="'XYZ'"):
        Tokens(["XYZ", "ZYX"], market=market)
    with pytest.raises(InvalidInputError, match="at least one"):
        Tokens([], market=market)
    with pytest.raises(InvalidInputError, match=r"for one there is Token\('BTC'\)"):
        Tokens("BTC", market=market)
    spots = Tokens(["BTC", "ETH"], market=market, instrument_type="spot")
    with pytest.raises(InvalidInputError, match="funding_rates has none of"):
        spots.funding_rate()


def test_threads_that_share_a_market_do_not_wait_for_each_other(market):
    """Empty windows too: what DuckDB reads from Python's memory has made threads wait for ever."""
    words = [{"start": "2026-06-29"}, {"start": "2030-01-01"}]
    tokens = [Token(name, market=market, return_type="polars") for name in ("BTC", "PEPE")]
    asks = [
        lambda token=token, each=each: (token.funding_rate(**each), token.info(), token.price_history("4h", **each))
        for token in tokens
        for each in words
    ]
    want, got = [ask() for ask in asks], {}

    def work(number):
        for turn in range(2):
            which = (number + turn) % len(asks)
            got[number, turn] = all(map(pl.DataFrame.equals, asks[which](), want[which]))

    threads = [threading.Thread(target=work, args=[number], daemon=True) for number in range(6)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 120
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    assert len(got) == 12, "threads wait for each other"
    assert all(got.values())


# --- manners


class Terminal:
    def __init__(self, interactive=True):
        self.text, self.interactive = "", interactive

    def isatty(self):
        return self.interactive

    def write(self, text):
        self.text += text


@pytest.mark.parametrize(("interactive", "quiet", "lines"), [(True, False, 1), (False, False, 0), (True, True, 0)])
def test_it_is_said_once_what_is_used(monkeypatch, market, interactive, quiet, lines):
    from cexkit.client import token as module

    monkeypatch.setattr(module, "_announced", set())
    monkeypatch.setattr(sys, "stderr", terminal := Terminal(interactive))
    monkeypatch.setenv("CEXKIT_QUIET", str(quiet))
    settings.cache_clear()
    Token("BTC", market=market)
    Tokens(["BTC", "ETH"], market=market)
    assert terminal.text.count("\n") == lines
    if lines:
        assert f"cexkit {cexkit.__version__}: simulated data in the embedded sample, updated 2026" in terminal.text


def test_a_token_without_a_market_opens_the_default_one():
    assert Token("BTC").market is Token("ETH").market
    assert Token("BTC").market.simulated


def test_it_shows_what_it_stands_for(market):
    token = Token("PEPE", market=market, instrument_type="perp")
    assert repr(token) == (
        "Token('PEPE'): 3 instruments (perp) at binance, bybit, okx, counted per coin where 1000PEPEUSDT lists several"
    )
    assert "1000PEPEUSDT" in token._repr_html_()
    assert "<table" in Tokens(["BTC", "ETH"], market=market)._repr_html_()
    assert "Tokens(['BTC', 'ETH'])" in repr(Tokens(["BTC", "ETH"], market=market))


def test_hostile_text_in_a_dataset_is_text_in_html(made_market):
    market = made_market(instruments=[listed("<script>x</script>", base="<b>'")])
    shown = Token("<b>'", market=market)._repr_html_()
    assert "<script>" not in shown
    assert "<b>" not in shown
