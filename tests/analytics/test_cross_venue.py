"""Prices, volumes and capitalizations beside each other: by hand, against plain Python."""

from __future__ import annotations

import math
import statistics
import warnings
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import given, settings

import cexkit
from cexkit.errors import DuplicateKeyError, MissingColumnError, MixedUnitsWarning, UnpricedQuoteWarning

#: Values that cannot be are null, with a warning that test_ranges.py looks at.
pytestmark = pytest.mark.filterwarnings("ignore::cexkit.errors.OutOfRangeWarning")
START = datetime(2024, 1, 1, tzinfo=UTC)
SCHEMA = {
    **dict.fromkeys(("exchange", "symbol", "base", "quote"), pl.String),
    "timestamp": pl.Datetime("us", "UTC"),
    **dict.fromkeys(("multiplier", "close", "volume_usd"), pl.Float64),
}
NAN = math.nan
#: exchange, base, quote, hour, multiplier, close, volume
ROWS = [
    ("binance", "BTC", "USDT", 0, 1.0, 100.0, 6.0),
    ("binance", "BTC", "USDC", 0, 1.0, 102.0, 2.0),
    ("okx", "BTC", "USDT", 0, 1.0, 100.0, 4.0),
    ("coinbase", "BTC", "USD", 0, 1.0, 110.0, 4.0),
    ("binance", "BTC", "USDT", 1, 1.0, 100.0, 0.0),  # alone, nothing traded
    ("binance", "BTC", "USDT", 2, 1.0, 200.0, 1.0),
    ("okx", "BTC", "USDT", 2, 1.0, NAN, 3.0),
    ("coinbase", "BTC", "USD", 2, 1.0, 198.0, None),
    ("binance", "PEPE", "USDT", 0, 1000.0, 0.02, 5.0),
    ("okx", "PEPE", "USDT", 0, 1.0, 0.00002, 5.0),
]


def frame_of(rows) -> pl.DataFrame:
    data = [
        (e, f"{'' if m == 1 else int(m)}{b}{q}", b, q, START + timedelta(hours=h), m, p, v)
        for e, b, q, h, m, p, v in rows
    ]
    frame = pl.DataFrame(data, schema=SCHEMA, orient="row")
    return frame.sample(fraction=1, shuffle=True, seed=4) if data else frame


def result(engine, name, frame, *columns, **arguments) -> list[tuple]:
    got = engine.back(getattr(cexkit, name)(engine.make(frame), **arguments))
    hour = (pl.col("timestamp").dt.epoch("s") - int(START.timestamp())) // 3600
    by = [c for c in ("base", "hour", "exchange", "symbol") if c in got.columns or c == "hour"]
    return got.with_columns(hour=hour).sort(by).select("base", "hour", *columns).rows()


def same(got, want):
    assert len(got) == len(want)
    for left, right in zip(got, want, strict=True):
        assert [v is None for v in left] == [v is None for v in right], (left, right)
        # texts are compared as they are, numbers closely; a NaN equals nothing
        assert left == tuple(pytest.approx(v, rel=1e-9, abs=1e-9) if isinstance(v, float) else v for v in right)


def test_divergence_by_hand(engine):
    got = result(engine, "price_divergence_bps", frame_of(ROWS), "symbol", "price_divergence_bps", "venues", "quotes")
    # binance stands at 101, so that the median of 101, 100 and 110 is 101
    three = "USD+USDC+USDT"
    want = [
        ("BTC", 0, "BTCUSDC", 1 / 101 * 1e4, 3, three),
        ("BTC", 0, "BTCUSDT", -1 / 101 * 1e4, 3, three),
        ("BTC", 0, "BTCUSD", 9 / 101 * 1e4, 3, three),
        ("BTC", 0, "BTCUSDT", -1 / 101 * 1e4, 3, three),
        ("BTC", 1, "BTCUSDT", None, 1, "USDT"),
        ("BTC", 2, "BTCUSDT", 1 / 199 * 1e4, 2, "USD+USDT"),
        ("BTC", 2, "BTCUSD", -1 / 199 * 1e4, 2, "USD+USDT"),
        ("PEPE", 0, "1000PEPEUSDT", 0.0, 2, "USDT"),
        ("PEPE", 0, "PEPEUSDT", 0.0, 2, "USDT"),
    ]
    same(got, want)


def test_without_multiplier_and_quote(engine):
    frame = frame_of(ROWS[:4]).drop("multiplier", "quote", "symbol").filter(pl.col("close") != 102)
    got = result(engine, "price_divergence_bps", frame, "exchange", "price", "median_price", "quotes")
    same(got, [("BTC", 0, e, p, 100.0, None) for e, p in (("binance", 100.0), ("coinbase", 110.0), ("okx", 100.0))])


def test_prices_of_different_units_are_not_compared(engine):
    """Without a multiplier 1000PEPE is a thousand times PEPE; a coin whose venues agree is compared."""
    rows = [
        *ROWS[:3],
        *ROWS[-2:],
        ("okx", "PEPE", "USDT", 1, 1.0, 0.00002, 5.0),
        ("bybit", "PEPE", "USDT", 1, 1.0, 0.0001, 1.0),
    ]
    frame = frame_of(rows).drop("multiplier")
    if engine.eager:
        with pytest.warns(MixedUnitsWarning, match=r"price_divergence_bps: in 2 rows .* add the column multiplier"):
            got = result(
                engine, "price_divergence_bps", frame, "symbol", "price", "median_price", "price_divergence_bps"
            )
    else:
        got = result(engine, "price_divergence_bps", frame, "symbol", "price", "median_price", "price_divergence_bps")
    want = [
        ("BTC", 0, "BTCUSDC", 102.0, 100.5, 1.5 / 100.5 * 1e4),
        ("BTC", 0, "BTCUSDT", 100.0, 100.5, -0.5 / 100.5 * 1e4),
        ("BTC", 0, "BTCUSDT", 100.0, 100.5, -0.5 / 100.5 * 1e4),
        ("PEPE", 0, "1000PEPEUSDT", 0.02, None, None),
        ("PEPE", 0, "PEPEUSDT", 0.00002, None, None),
        # five times is not more than five times
        ("PEPE", 1, "PEPEUSDT", 0.0001, 0.00006, 4 / 6 * 1e4),
        ("PEPE", 1, "PEPEUSDT", 0.00002, 0.00006, -4 / 6 * 1e4),
    ]
    same(got, want)


def test_a_row_without_multiplier_has_an_unknown_unit(engine, helpers):
    """Files of schema version 1 have null multipliers; their rows count unless units differ."""
    frame = frame_of([*ROWS[:4], *ROWS[-2:]])
    with warnings.catch_warnings(record=True, action="always") as caught:
        partly = frame.with_columns(multiplier=pl.when(pl.col("exchange") != "binance").then("multiplier"))
        nowhere = frame.with_columns(multiplier=pl.lit(None, pl.Float64))
        columns = ("symbol", "exchange", "price_divergence_bps")
        found = [result(engine, "price_divergence_bps", part, *columns) for part in (partly, nowhere)]
    without = frame.drop("multiplier")
    with warnings.catch_warnings(action="ignore"):
        want = result(engine, "price_divergence_bps", without, *columns)
    same(found[0], want)
    same(found[1], want)
    mixed = [one for one in caught if one.category is MixedUnitsWarning]
    assert len(mixed) == (2 if engine.eager else 0)


def test_the_sample_with_and_without_multipliers():
    bars = cexkit.connect("sample").ohlcv_1d.to_polars()
    perps = bars.filter(instrument_type="perp", base="PEPE")
    assert cexkit.price_divergence_bps(perps)["price_divergence_bps"].abs().max() < 20
    with pytest.warns(MixedUnitsWarning):
        lost = cexkit.price_divergence_bps(perps.drop("multiplier"))
    assert lost["price_divergence_bps"].null_count() == lost.height > 0


def test_shares_by_hand(engine):
    got = result(engine, "volume_share", frame_of(ROWS), "exchange", "volume_usd", "volume_share")
    want = [
        ("BTC", 0, "binance", 8.0, 0.5),
        ("BTC", 0, "coinbase", 4.0, 0.25),
        ("BTC", 0, "okx", 4.0, 0.25),
        ("BTC", 1, "binance", 0.0, None),
        # what coinbase traded is not known, so no share is
        ("BTC", 2, "binance", 1.0, None),
        ("BTC", 2, "coinbase", None, None),
        ("BTC", 2, "okx", 3.0, None),
        ("PEPE", 0, "binance", 5.0, 0.5),
        ("PEPE", 0, "okx", 5.0, 0.5),
    ]
    same(got, want)


def test_concentration_by_hand(engine):
    got = result(engine, "herfindahl", frame_of(ROWS), "herfindahl", "venues")
    same(got, [("BTC", 0, 0.375, 3), ("BTC", 1, None, 1), ("BTC", 2, None, 3), ("PEPE", 0, 0.5, 2)])


def caps(rows) -> pl.DataFrame:
    schema = {"timestamp": pl.Datetime("us", "UTC"), "base": pl.String, "market_cap_usd": pl.Float64}
    data = [(START + timedelta(hours=h), base, cap) for h, base, cap in rows]
    return pl.DataFrame(data, schema=schema, orient="row")


def test_dominance_by_hand(engine):
    first = [(0, "ETH", 30.0), (0, "BTC", 60.0), (0, "XRP", 10.0), (0, "BTC", 60.0)]  # BTC as of two venues
    later = [(1, "BTC", 60.0), (1, "ETH", NAN), (2, "BTC", 60.0), (2, "BTC", 61.0), (2, "ETH", 1.0), (3, "BTC", 5.0)]
    got = result(engine, "dominance", caps(first + later), "market_cap_usd", "dominance")
    want = [
        ("BTC", 0, 60.0, 0.6),
        ("BTC", 1, 60.0, None),
        ("BTC", 2, None, None),  # two values: neither is taken
        ("BTC", 3, 5.0, 1.0),
        ("ETH", 0, 30.0, 0.3),
        ("ETH", 1, None, None),
        ("ETH", 2, 1.0, None),
        ("XRP", 0, 10.0, 0.1),
    ]
    same(got, want)


legs = st.lists(
    st.tuples(
        st.sampled_from(["okx", "bybit", "binance"]),
        st.sampled_from(["BTC", "ETH"]),
        st.sampled_from(["USDT", "USDC", "USD"]),
        st.integers(0, 2),
        st.just(1.0),
        st.one_of(st.none(), st.just(NAN), st.integers(-1, 40).map(float)),
        st.one_of(st.none(), st.just(NAN), st.integers(-1, 40).map(float)),
    ),
    max_size=25,
    unique_by=lambda leg: leg[:4],
)


#: More than there are other rows, so that the median of a column is in range.
SOUND = [("okx", "XRP", "USDT", hour, 1.0, 1.0, 1.0) for hour in range(26)]


@settings(max_examples=40, deadline=None)
@given(legs)
def test_divergence_agrees_with_plain_python(rows):
    rows = rows + SOUND
    priced = [r for r in rows if r[5] is not None and r[5] > 0]
    want = {}
    for row in priced:
        venues = defaultdict(list)
        for other in priced:
            if (other[1], other[3]) == (row[1], row[3]):
                venues[other[0]].append(other[5])
        median = statistics.median(statistics.median(prices) for prices in venues.values())
        want[row[:4]] = (row[5] - median) / median * 1e4 if len(venues) > 1 else None
    got = cexkit.price_divergence_bps(frame_of(rows))
    keys = ("exchange", "base", "symbol", "timestamp", "price_divergence_bps")
    found = {(e, b, s[3:], (t - START) // timedelta(hours=1)): v for e, b, s, t, v in got.select(keys).rows()}
    assert found.keys() == want.keys()
    for key, value in found.items():
        assert value == want[key] or value == pytest.approx(want[key], rel=1e-9, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(legs)
def test_shares_and_concentration_agree_with_plain_python(rows):
    rows = rows + SOUND
    shares, index = {}, {}
    for base, hour in {(r[1], r[3]) for r in rows}:
        part = [r for r in rows if (r[1], r[3]) == (base, hour)]
        known = all(r[6] is not None and r[6] >= 0 for r in part)
        total = sum(r[6] for r in part) if known else 0
        own = {e: sum(r[6] for r in part if r[0] == e) / total if total else None for e in {r[0] for r in part}}
        shares |= {(base, hour, e): share for e, share in own.items()}
        index[base, hour] = sum(share**2 for share in own.values()) if total else None
    frame = frame_of(rows).with_columns(hour=(pl.col("timestamp") - START).dt.total_hours())
    got = cexkit.volume_share(frame).with_columns(hour=(pl.col("timestamp") - START).dt.total_hours())
    assert {r[:3]: r[3] for r in got.select("base", "hour", "exchange", "volume_share").rows()} == pytest.approx(shares)
    got = cexkit.herfindahl(frame).with_columns(hour=(pl.col("timestamp") - START).dt.total_hours())
    assert {r[:2]: r[2] for r in got.select("base", "hour", "herfindahl").rows()} == pytest.approx(index)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ABC"), st.integers(-1, 9).map(float)), max_size=15))
def test_dominance_agrees_with_plain_python(rows):
    rows = rows + [(4, "D", 1.0)] * 16
    want = {}
    for hour in {r[0] for r in rows}:
        coins = {
            base: {r[2] for r in rows if r[:2] == (hour, base) and r[2] >= 0}
            for base in "ABCD"
            if any(r[:2] == (hour, base) for r in rows)
        }
        known = all(len(values) == 1 for values in coins.values())
        total = sum(max(values) for values in coins.values()) if known else 0
        want |= {(hour, base): max(values) / total if total else None for base, values in coins.items()}
    got = cexkit.dominance(caps(rows)).with_columns(hour=(pl.col("timestamp") - START).dt.total_hours())
    assert {r[:2]: r[2] for r in got.select("hour", "base", "dominance").rows()} == pytest.approx(want)


CROSS = ["price_divergence_bps", "volume_share", "herfindahl", "dominance"]


@pytest.mark.parametrize("name", CROSS)
def test_few_rows_and_no_base(engine, name):
    frame = frame_of(ROWS).with_columns(market_cap_usd=pl.col("volume_usd"))
    assert result(engine, name, frame[:0]) == []
    assert len(result(engine, name, frame[:1])) == 1
    lost = frame.with_columns(base=pl.when(pl.col("base") == "BTC").then(pl.lit("BTC")))
    assert {row[0] for row in result(engine, name, lost)} == {"BTC"}


@pytest.mark.parametrize("name", CROSS)
def test_later_rows_change_no_earlier_one(name):
    frame = frame_of(ROWS).with_columns(market_cap_usd=pl.col("volume_usd"))
    early = pl.col("timestamp") < START + timedelta(hours=2)
    assert getattr(frame.crypto, name)().filter(early).equals(getattr(frame.filter(early).crypto, name)())


def test_what_is_refused():
    frame = frame_of(ROWS)
    for name in CROSS[:3]:
        with pytest.raises(DuplicateKeyError):
            getattr(pl.concat([frame, frame[:1]]).crypto, name)()
        with pytest.raises(MissingColumnError, match="'base'"):
            getattr(frame.drop("base").crypto, name)()
    with pytest.raises(MissingColumnError, match="'market_cap_usd'"):
        frame.crypto.dominance()
    quoted = frame.rename({"volume_usd": "volume_quote"}).with_columns(quote=pl.lit("EUR"))
    with pytest.warns(UnpricedQuoteWarning, match="volume_share: quotes EUR"):
        assert quoted.crypto.volume_share()["volume_share"].null_count() == quoted.crypto.volume_share().height
