"""Questions across instruments: nothing from the future, nothing too old, nothing in another unit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import ibis
import numpy as np
import polars as pl
import pytest

import cexkit
from cexkit.client.asof import asof, duration
from cexkit.client.instruments import one_per_instrument
from cexkit.errors import (
    AmbiguousInstrumentError,
    ExcludedInstrumentsWarning,
    InvalidInputError,
    NoReferenceWarning,
    UnknownNameError,
)
from cexkit.schema import INSTRUMENT_KEYS, TABLES

from ..rows import at, listed

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def market():
    return cexkit.connect("sample")


def row(instrument, hour, **more):
    keys = (*INSTRUMENT_KEYS, "base", "quote")
    return {name: instrument[name] for name in keys} | {"timestamp": at(hour)} | more


def bar(instrument, hour, close, **more):
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    return row(instrument, hour, **prices, volume_base=1.0) | more


PERP, SPOT = listed(), listed(kind="spot")


# --- as-of joins


def naive_asof(left, right, keys, tolerance):
    """For each left row the newest right one that is neither later nor too old."""
    for one in left:
        fit = [
            other
            for other in right
            if all(one[key] == other[key] for key in keys)
            and one["timestamp"] - tolerance <= other["_available_at"] <= one["timestamp"]
        ]
        newest = max(fit, key=lambda other: other["_available_at"], default={"_available_at": None, "price": None})
        yield *(one[key] for key in keys), one["timestamp"], newest["price"], newest["_available_at"]


@pytest.mark.parametrize("tolerance", ["0s", "1m", "7m", "1d"])
def test_an_as_of_join_is_what_a_loop_finds(tolerance):
    draw, minute = np.random.default_rng(7), timedelta(minutes=1)
    left = [
        {"venue": "ab"[v], "coin": "xy"[c], "timestamp": at(0) + int(m) * minute}
        for v, c, m in draw.integers(0, (2, 2, 200), (300, 3))
    ]
    # known once for each series and time, at whole and at half minutes, and one series without any
    moments = sorted({("ab"[v], "xy"[c], int(m)) for v, c, m in draw.integers(0, (2, 2, 400), (90, 3))})
    right = [
        {"venue": v, "coin": c, "_available_at": at(0) + m * minute / 2, "price": float(n)}
        for n, (v, c, m) in enumerate(moments)
        if (v, c) != ("b", "y")
    ]
    tables = [ibis.memtable(pl.DataFrame(rows)) for rows in (left, right)]
    got = asof(*tables, ["venue", "coin"], duration(tolerance), available="since").to_polars()
    want = list(naive_asof(left, right, ["venue", "coin"], duration(tolerance)))
    assert sorted(got.rows(), key=str) == sorted(want, key=str)
    assert 0 < got["price"].null_count() < len(left)


def test_a_tolerance_is_not_below_zero():
    with pytest.raises(InvalidInputError, match="zero or more"):
        duration(timedelta(seconds=-1))
    with pytest.raises(InvalidInputError, match="not a duration"):
        duration("soon")


def test_a_bar_is_not_known_before_its_end(made_market):
    """A settlement at 08:00 and the bar that opens at 08:00: joining these two is to look ahead."""
    bars = [bar(PERP, hour, float(hour)) for hour in (6, 7, 8, 9)]
    paid = [row(PERP, hour, funding_rate=1e-4, funding_interval_hours=8.0) for hour in (8, 8.5)]
    market = made_market(instruments=[PERP], mark_1h=bars, funding_rates=paid)
    got = market.funding_with_price().order_by("timestamp").to_polars()
    assert got["price"].to_list() == [7.0, 7.0]  # not 8.0, the close of 09:00
    assert got["price_timestamp"].to_list() == [at(8), at(8)]
    assert got["price_name"].to_list() == ["mark_1h"] * 2


def test_a_price_that_is_too_old_is_none(made_market):
    paid = [row(PERP, 8, funding_rate=1e-4, funding_interval_hours=8.0)]
    market = made_market(instruments=[PERP], mark_1h=[bar(PERP, 6, 6.0), bar(PERP, 8, 8.0)], funding_rates=paid)
    assert market.funding_with_price(tolerance="1h").price.to_pandas().tolist() == [6.0]
    none = market.funding_with_price(tolerance="59m").to_polars()
    assert none.select("price", "price_name", "price_timestamp").row(0) == (None, None, None)
    assert none["funding_rate"].to_list() == [1e-4]


@pytest.mark.parametrize("price", ["mark", "index", "trade"])
def test_prices_of_settlements_are_those_a_loop_finds(market, price):
    words = {"start": "2026-06-28", "end": "2026-06-29", "exchange": ["okx", "binance"]}
    got = market.funding_with_price(price=price, **words).to_polars()
    table = {"mark": "mark_1h", "index": "index_1h", "trade": "ohlcv_1h"}[price]
    bars = market.table(table, start="2026-06-27", end="2026-06-30", exchange=["okx", "binance"]).to_polars()
    bars = bars.filter(instrument_type="perp").with_columns(pl.col("timestamp") + HOUR)
    available = {row[:4]: row[4] for row in bars.select(*INSTRUMENT_KEYS, "timestamp", "close").rows()}
    want = [available.get(row) for row in got.select(*INSTRUMENT_KEYS, "timestamp").rows()]
    assert got.height > 40
    assert got["price"].to_list() == want


def test_the_files_that_are_read_are_those_of_the_window(market):
    def files(expression):
        plan = market._backend.raw_sql("explain analyze " + ibis.to_sql(expression, dialect="duckdb")).fetchall()[0][1]
        return [int(part.split()[0]) for part in plan.split("Total Files Read: ")[1:]]

    one = {"start": "2026-06-30", "exchange": "okx"}
    assert files(market.funding_with_price(**one)) == [1, 1]
    assert max(files(market.open_interest_usd(**one))) == 1
    assert max(files(market.basis(**one, reference="spot"))) == 1


def test_answers_compose_further(market):
    rows = market.basis(exchange="okx", start="2026-06-29").pipe(cexkit.basis_bps)
    by_coin = rows.group_by("base").agg(bps=rows.basis_bps.mean(), hours=rows.count()).to_pandas()
    assert by_coin.hours.unique().tolist() == [49]  # the close of the 29th at 00:00 was known then
    assert by_coin.bps.abs().between(0, 50, inclusive="neither").all()


# --- basis


def test_basis_compares_what_was_known_at_the_same_time(made_market):
    bars, index = [bar(PERP, 6, 101.0), bar(PERP, 7, 102.0)], [bar(PERP, 6, 100.0)]
    market = made_market(instruments=[PERP], ohlcv_1h=bars, index_1h=index)
    got = market.basis().order_by("timestamp").to_polars()
    assert got["timestamp"].to_list() == [at(7), at(8)]
    assert got["basis"].to_list() == [pytest.approx(0.01), None]
    assert got["reference_name"].to_list() == ["index_1h", None]
    older = market.basis(tolerance="1h").order_by("timestamp").to_polars()
    assert older["basis"].to_list() == [pytest.approx(0.01), pytest.approx(0.02)]
    assert older["reference_timestamp"].to_list() == [at(7), at(7)]


def test_a_window_of_basis_is_of_the_times_closes_were_known(made_market):
    bars = [bar(PERP, hour, 100.0) for hour in range(5, 10)]
    market = made_market(instruments=[PERP], ohlcv_1h=bars, index_1h=bars)
    got = market.basis(start=at(7), end=at(9)).to_polars()
    assert sorted(got["timestamp"]) == [at(7), at(8)]
    assert got["basis"].to_list() == [0.0, 0.0]


def test_spot_is_brought_to_the_unit_of_the_perpetual(made_market):
    perp = listed("1000PEPEUSDT", base="PEPE", multiplier=1000.0)
    spot = listed("PEPEUSDT", kind="spot", base="PEPE")
    other = listed("1000PEPEUSDT", kind="spot", base="PEPE", multiplier=1000.0)
    far = listed("PEPEUSDT", kind="spot", base="PEPE", exchange="okx")
    bars = [bar(perp, 6, 1.01), bar(spot, 6, 0.001), bar(other, 6, 7.0), bar(far, 6, 9.0)]
    market = made_market(instruments=[perp, spot, other, far], ohlcv_1h=bars)
    got = market.basis(reference="spot").to_polars()
    assert got.select("price", "reference_name").rows() == [(1.01, "spot PEPEUSDT")]
    assert got["reference"].item() == pytest.approx(1.0)
    assert got["basis"].item() == pytest.approx(0.01)


def test_prices_have_the_multiplier_of_their_own_time(made_market):
    perp, spot = listed("PEPEUSDT", base="PEPE"), listed("PEPEUSDT", kind="spot", base="PEPE")
    bars = [bar(perp, 5, 1.01, multiplier=1000.0), bar(perp, 6, 0.00101), bar(perp, 7, 0.00101, multiplier=1.0)]
    bars += [bar(spot, 5, 0.001, multiplier=1.0), bar(spot, 6, 1.0, multiplier=1000.0), bar(spot, 7, 0.001)]
    market = made_market(instruments=[perp, spot], ohlcv_1h=bars)
    got = market.basis(reference="spot").order_by("timestamp").to_polars()
    assert got["basis"].to_list() == [pytest.approx(0.01)] * 3
    assert got["reference"].to_list() == [pytest.approx(1.0), pytest.approx(0.001), pytest.approx(0.001)]


def test_instrument_listed_twice_does_not_multiply_rows():
    rows = ibis.memtable(
        [{**dict(zip(INSTRUMENT_KEYS, ("okx", "perp", "A"), strict=True)), "observed_at": at(hour)} for hour in (1, 2)]
    )
    assert one_per_instrument(rows).observed_at.to_pandas().to_list() == [at(2)]


def spot_of(quote, **more):
    return listed(f"BTC{quote}", kind="spot", quote=quote, **more)


@pytest.mark.parametrize(
    ("pairs", "quotes", "chosen"),
    [
        ({"USDT": 1, "USD": 3}, {}, ("spot BTCUSDT", "USDT")),  # its own quote first
        ({"USD": 1, "USDC": 2, "EUR": 3}, {}, ("spot BTCUSDC", "USDC")),  # then the most bars
        ({"USDT": 0, "USD": 1}, {}, ("spot BTCUSD", "USD")),  # listed, but without bars
        ({"USD": 3, "EUR": 1}, {"quotes": ["USDT", "EUR"]}, ("spot BTCEUR", "EUR")),
        ({"USDT": 1, "USD": 3}, {"quotes": ()}, ("spot BTCUSDT", "USDT")),
        ({"USD": 3}, {"quotes": ()}, None),
        ({"USD": 3}, {"quotes": ["USD", "USDC"]}, None),  # its own quote is not in the group
        ({"EUR": 3}, {}, None),
        ({"USDT": 3}, {"reference": "index"}, None),
    ],
)
def test_basis_chooses_reference_with_bars_in_compatible_quote(made_market, pairs, quotes, chosen):
    spots = {quote: spot_of(quote) for quote in pairs}
    bars = [bar(PERP, hour, 101.0) for hour in (6, 7, 8)]
    bars += [bar(spots[quote], hour, 100.0) for quote, count in pairs.items() for hour in (6, 7, 8)[:count]]
    # other hours, another coin, and another venue do not matter
    strangers = [spot_of("USDT", base="ETH"), spot_of("USDT", exchange="okx")]
    bars += [bar(PERP, 9, 101.0), *(bar(spots[quote], 9, 7.0) for quote in pairs)]
    bars += [bar(one, hour, 7.0) for one in strangers for hour in (6, 7, 8) if one["exchange"] == "okx"]
    index = [bar(listed("ETHUSDT", base="ETH"), 6, 3.0)]
    market = made_market(
        instruments=[PERP, *spots.values(), strangers[1], listed("ETHUSDT", base="ETH")], ohlcv_1h=bars, index_1h=index
    )
    window = {"start": at(7), "end": at(10)}
    if chosen is None:
        with pytest.warns(NoReferenceWarning, match=r"binance perp BTCUSDT.* its index|spot pair"):
            got = market.basis(**window, **quotes).to_polars()
        assert got.height == 3
        assert got["basis"].to_list() == [None] * 3
        return
    got = market.basis(**window, **quotes).order_by("timestamp").to_polars()
    assert got.select("reference_name", "reference_quote").row(0) == chosen
    assert got["basis"].to_list() == [pytest.approx(0.01)] * pairs[chosen[1]] + [None] * (3 - pairs[chosen[1]])
    assert got["reference_quote"].null_count() == 3 - pairs[chosen[1]]
    token = cexkit.Token("BTC", exchange="binance", market=market, return_type="polars")
    assert token.basis(**window, **quotes)["basis"].to_list() == got["basis"].to_list()
    if not quotes:
        asked = market.query("basis", symbol="BTCUSDT", days=0.125, until=at(10), return_type="polars")
        columns = ["timestamp", "reference", "reference_name", "reference_quote", "basis"]
        assert asked.select(columns).rows() == got.select(columns).rows()


def test_basis_prefers_own_index_and_skips_asset_of_other_class(made_market):
    stock, coin = listed("ONUSDT", base="ON", asset_class="equity"), listed("ONUSDT", kind="spot", base="ON")
    bars = [bar(stock, 6, 101.0), bar(coin, 6, 5.0)]
    market = made_market(instruments=[stock, coin | {"asset_class": "crypto"}], ohlcv_1h=bars)
    with pytest.warns(NoReferenceWarning, match="binance perp ONUSDT"):
        assert market.basis().to_polars()["basis"].to_list() == [None]
    both = made_market(instruments=[PERP, SPOT], ohlcv_1h=[bar(PERP, 6, 101.0), bar(SPOT, 6, 50.0)],
                       index_1h=[bar(PERP, 6, 100.0)])  # fmt: skip
    assert both.basis().to_polars().select("reference", "reference_name").rows() == [(100.0, "index_1h")]
    assert both.basis(reference="spot").to_polars()["reference"].to_list() == [50.0]


@pytest.mark.parametrize("classes", [("equity", None), (None, "equity"), ("crypto", "index"), ("equity", "index")])
def test_basis_never_compares_a_coin_with_something_else(made_market, classes):
    own, pair = listed("ONUSDT", base="ON") | {"asset_class": classes[0]}, listed("ONUSDT", kind="spot", base="ON")
    bars = [bar(own, 6, 101.0), bar(pair, 6, 5.0)]
    instruments, index = [own, pair | {"asset_class": classes[1]}, PERP], [bar(PERP, 6, 100.0)]
    market = made_market(instruments=instruments, ohlcv_1h=bars, index_1h=index)
    for options in ({}, {"reference": "spot"}, {"asset_class": None}):
        with pytest.warns(NoReferenceWarning, match="1 of 1 derivatives is null"):
            assert market.basis(**options).to_polars()["basis"].to_list() == [None]
    asked = market.query("basis", symbol="ONUSDT", days=0.125, until=at(10), return_type="polars")
    assert asked["basis"].to_list() == [None]


@pytest.mark.parametrize("reference", ["auto", "spot"])
def test_basis_leaves_out_what_is_not_a_coin_and_states_the_number(made_market, reference):
    stock, its_pair = (listed("ONUSDT", kind=kind, base="ON") | {"asset_class": "equity"} for kind in ("perp", "spot"))
    bars = [bar(PERP, 6, 101.0), bar(SPOT, 6, 100.0), bar(stock, 6, 51.0), bar(its_pair, 6, 50.0)]
    market = made_market(instruments=[PERP, SPOT, stock, its_pair], ohlcv_1h=bars)
    with pytest.warns(
        ExcludedInstrumentsWarning, match=r"market.basis leaves out 1 instrument .*\(1 equity\)"
    ) as caught:
        coins = market.basis(reference=reference).to_polars()
    assert [one.category for one in caught if one.category is not DeprecationWarning] == [ExcludedInstrumentsWarning]
    assert coins.select("symbol", "basis").rows() == [("BTCUSDT", pytest.approx(0.01))]
    everything = market.basis(reference=reference, asset_class=None).order_by("symbol").to_polars()
    assert everything["basis"].to_list() == [pytest.approx(0.01), pytest.approx(0.02)]
    named = market.basis(reference=reference, symbol="ONUSDT").to_polars()
    assert named["basis"].to_list() == [pytest.approx(0.02)]  # nothing else is of that name
    token = cexkit.Token("ON", market=market, return_type="polars")
    assert token.basis(reference=reference)["basis"].to_list() == [pytest.approx(0.02)]
    with pytest.raises(UnknownNameError, match="asset class"):
        market.basis(asset_class="stock")


def test_basis_names_missing_references_and_unknown_quotes(market):
    with pytest.warns(NoReferenceWarning) as caught:
        market.basis(exchange="coinbase", quotes=(), start="2026-06-30")
    text = str(next(one.message for one in caught if one.category is NoReferenceWarning))
    for part in ("5 of 5", "coinbase perp BTCUSDC", "index_1h", "spot pair", "coinbase BTCUSD", "`quotes`"):
        assert part in text
    with pytest.raises(UnknownNameError, match=r"unknown quote 'usdx'.*Available: .*USDC"):
        market.basis(quotes=["usdx"])
    with pytest.raises(UnknownNameError, match="unknown quote 'usdx'"):
        market.query("basis", symbol="BTCUSDC", quotes="USDC,usdx")
    with pytest.raises(InvalidInputError, match="`quotes` must be quote currencies, got 7"):
        market.basis(quotes=7)


def test_a_dated_future_has_an_annual_basis(made_market):
    dated = listed("BTCUSDT-20240401", kind="future", expiry=at(7) + timedelta(days=73))
    bars = [bar(dated, 6, 102.0), bar(PERP, 6, 101.0)]
    index = [bar(dated, 6, 100.0), bar(PERP, 6, 100.0)]
    market = made_market(instruments=[PERP, dated], ohlcv_1h=bars, index_1h=index)
    got = market.basis().order_by("symbol").to_polars()
    assert got["annualized_basis"].to_list() == [None, pytest.approx(0.02 * 365 / 73)]


def test_a_venue_without_futures_is_answered_where_others_have_them(made_market):
    dated = listed("BTCUSDT-20240401", kind="future", exchange="okx", expiry=at(0, day=30))
    bars = [bar(PERP, 6, 102.0), bar(dated, 6, 103.0)]
    held = [row(PERP, 7, open_interest_base=2.0)]
    market = made_market(instruments=[PERP, SPOT, dated], ohlcv_1h=bars, index_1h=bars, open_interest=held)
    assert market.basis(exchange="binance").to_polars()["basis"].to_list() == [0.0]
    assert market.open_interest_usd(exchange="binance").to_polars()["open_interest_usd"].to_list() == [204.0]


def test_names_may_come_from_what_can_be_read_but_once(market):
    words = {"start": "2026-06-30", "end": "2026-06-30T05:00"}
    for question in (market.basis, market.open_interest_usd, market.funding_with_price):
        got = question(exchange=iter(["okx"]), symbol=iter(["BTCUSDT"]), **words).to_polars()
        assert got.equals(question(exchange="okx", symbol="BTCUSDT", **words).to_polars())


def test_basis_of_spot_and_unknown_words_are_refused(market):
    with pytest.raises(InvalidInputError, match="spot is what derivatives are compared with"):
        market.basis(instrument_type="spot")
    for words in ({"reference": "moon"}, {"price": "moon"}, {"interval": "7m"}):
        with pytest.raises(UnknownNameError, match=r"Available: .*(spot|trade|1h)"):
            market.basis(**words)
    with pytest.raises(UnknownNameError, match="unknown exchange 'binanse'"):
        market.basis(exchange="binanse")
    with pytest.raises(InvalidInputError, match="stored by the hour"):
        market.basis(price="mark", interval="1d")


# --- open interest


def test_open_interest_is_in_dollars_by_the_first_source_that_knows(made_market):
    euro = listed("BTCEUR", quote="EUR")
    own, marked, traded, unknown = (row(PERP, hour, open_interest_base=2.0) for hour in (1, 6, 9, 20))
    own["open_interest_quote"] = 50.0
    tables = {
        "open_interest": [own, marked, traded, unknown, row(euro, 6, open_interest_base=2.0, open_interest_quote=9.0)],
        "mark_1h": [bar(PERP, 5, 40.0), bar(PERP, 6, 99.0)],
        "ohlcv_1h": [bar(PERP, 5, 41.0), bar(PERP, 8, 42.0), bar(SPOT, 5, 7.0)],
    }
    market = made_market(instruments=[PERP, SPOT, euro], **tables)
    got = market.open_interest_usd().order_by("symbol", "timestamp").to_polars()
    assert got.select("open_interest_usd", "usd_from").rows() == [
        (None, None),  # euros are no dollars
        (50.0, "venue"),
        (80.0, "mark_1h"),
        (84.0, "ohlcv_1h"),
        (None, None),
    ]


# --- universe


def test_the_universe_of_a_time_is_who_was_listed_then(made_market):
    def one(name, **life):
        return listed(name, **life)

    instruments = [
        one("ALWAYS"),
        one("LATER", listing_time=at(0, day=10)),
        one("GONE", status="delisted", delisting_time=at(0, day=5)),
        one("VANISHED", status="delisted", observed_at=at(0, day=6)),
        one("SINCE-WHEN", listing_time=None),
        one("PENDING", listing_time=None, status="pending"),
        one("EXPIRED", kind="future", expiry=at(8, day=5)),
        one("HALTED", status="halted"),
    ]
    market = made_market(instruments=instruments)

    def names(moment):
        rows = market.universe(moment).to_polars()
        return set(rows["symbol"]), set(rows.filter(~pl.col("certain"))["symbol"])

    everyone = {"ALWAYS", "SINCE-WHEN", "HALTED"}
    assert names(at(0, day=2)) == (everyone | {"GONE", "VANISHED", "EXPIRED"}, {"VANISHED", "SINCE-WHEN"})
    assert names(at(0, day=5))[0] == everyone | {"VANISHED", "EXPIRED"}  # delisted at that very time
    assert names(at(0, day=10)) == (everyone | {"LATER"}, {"SINCE-WHEN"})
    assert names(at(0, day=25))[1] == everyone | {"LATER"}  # later than venues were looked at
    assert names(datetime(2023, 12, 31, tzinfo=UTC)) == ({"SINCE-WHEN"}, {"SINCE-WHEN"})
    assert names(None) == names(at(0, day=20))


def test_delisted_instruments_are_in_the_universe_of_their_time(market):
    then = market.universe("2025-06-01", instrument_type="perp").to_polars()
    now = market.universe(instrument_type="perp").to_polars()
    assert {"FTTUSDT"} == set(then["symbol"]) - set(now["symbol"])
    assert {"WIFUSDT"} == set(now["symbol"]) - set(then["symbol"])


# --- panels


@pytest.mark.parametrize(("column", "table"), [("close", "ohlcv_1d"), ("funding_rate", "funding_rates")])
def test_a_panel_is_the_rows_of_the_table_side_by_side(market, column, table):
    words = {"start": "2026-06-20", "symbol": ["BTCUSDT", "WIFUSDT"], "instrument_type": ["perp", "spot"]}
    if table == "funding_rates":
        words["instrument_type"] = "perp"
    panel = market.panel(column, table, **words)
    rows = market.table(table, **words).to_pandas()
    assert panel.index.is_monotonic_increasing
    assert panel.index.is_unique
    assert list(panel.columns) == sorted(panel.columns)
    assert int(panel.notna().sum().sum()) == len(rows)
    for one in rows.itertuples():
        assert panel.at[one.timestamp, f"{one.exchange} {one.instrument_type} {one.symbol}"] == getattr(one, column)


def test_a_panel_is_the_same_of_every_kind(market):
    words = {"start": "2026-06-20", "exchange": ["okx", "coinbase"]}
    polars = market.panel("close", return_type="polars", **words)
    assert market.panel("close", return_type="ibis", **words).to_polars().equals(polars)
    assert polars.equals(pl.from_arrow(market.panel("close", return_type="arrow", **words)))
    assert polars.equals(pl.from_pandas(market.panel("close", **words).reset_index()).cast(polars.schema))
    assert {"okx perp BTCUSDT", "okx spot BTCUSDT", "coinbase perp BTCUSDC"} <= set(polars.columns)


def test_a_panel_of_nothing_has_no_columns_but_time(market):
    assert market.panel("close", start="2030-01-01").empty
    assert market.panel("close", start="2030-01-01", return_type="ibis").to_polars().columns == ["timestamp"]


def test_panels_of_coins_are_named_by_the_coin(market):
    panel = market.panel("weighted_funding", "funding_weighted_8h", start="2026-06-30")
    assert {"BTC", "PEPE"} <= set(panel.columns)


def test_what_is_no_panel_is_refused(market):
    for table in ("liquidations", "instruments", "data_quality"):
        with pytest.raises(InvalidInputError, match="several rows for one instrument and time"):
            market.panel("price", table)
    with pytest.raises(UnknownNameError, match="did you mean 'close'"):
        market.panel("closes")
    with pytest.raises(UnknownNameError, match="unknown column"):
        market.panel("symbol")
    with pytest.raises(AmbiguousInstrumentError):
        market.panel("close", symbol="BTCUSDT")


# --- names


HOSTILE = [
    "BTC'; DROP TABLE instruments; --",
    'BTC"',
    "../../etc/passwd",
    "BTC\x00USDT",
    "ВТС",  # Cyrillic letters that look like Latin ones
    "BTC\u200bUSDT",
    "' OR '1'='1",
    "$symbol",
    "{}",
    "%s",
    "",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_unknown_names_and_do_no_harm(market, name):
    rows = market.tables["ohlcv_1d"].rows
    questions = [
        lambda: market.table("ohlcv_1d", symbol=name),
        lambda: market.table(name),
        lambda: market.panel(name),
        lambda: market.panel("close", name),
        lambda: market.panel("close", exchange=name),
        lambda: market.universe(exchange=name),
        lambda: market.basis(symbol=name),
        lambda: market.funding_with_price(price=name),
        lambda: market.open_interest_usd(symbol=name),
        lambda: market.symbols[name],
    ]
    for question in questions:
        with pytest.raises(UnknownNameError, match="Available: "):
            question()
    assert market.ohlcv_1d.count().execute() == rows


def test_a_hostile_symbol_that_is_listed_is_a_symbol_like_others(made_market):
    name = """x'"; DROP VIEW ohlcv_1d; --../$a{b}"""
    strange = listed(name, base="X'--", kind="perp")
    market = made_market(instruments=[strange, PERP], ohlcv_1d=[bar(strange, 0, 5.0), bar(PERP, 0, 6.0)])
    assert market.panel("close")[f"binance perp {name}"].tolist() == [5.0]
    assert market.panel("close", symbol=name, return_type="ibis").columns == ("timestamp", f"binance perp {name}")
    assert market.table("ohlcv_1d", symbol=name).close.to_pandas().tolist() == [5.0]
    assert market.symbols["X'--"].symbol.tolist() == [name]
    assert market.ohlcv_1d.count().execute() == 2


def test_symbols_are_completed_by_tab(market):
    keys = market.symbols._ipython_key_completions_()
    assert {"BTC", "BTCUSDT", "1000PEPEUSDT"} <= set(keys)
    assert len(keys) == len(market.symbols) == len(set(keys))
    assert "BTC" in market.symbols
    assert set(market.symbols["PEPE"].symbol) == {"1000PEPEUSDT", "PEPEUSDT", "PEPEUSD"}
    assert "PEPE" in repr(market.symbols)
    assert TABLES["instruments"].columns == tuple(market.symbols["BTC"].columns)
