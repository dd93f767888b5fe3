"""Funding between venues: what stands as of a time, costs, and who is long."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import combinations

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import given, settings

import cexkit
from cexkit.errors import DuplicateKeyError, InvalidInputError, MissingColumnError

DAY = datetime(2024, 1, 10, tzinfo=UTC)
SCHEMA = {
    "exchange": pl.String,
    "symbol": pl.String,
    "base": pl.String,
    "quote": pl.String,
    "timestamp": pl.Datetime("us", "UTC"),
    "funding_rate": pl.Float64,
    "funding_interval_hours": pl.Float64,
}


def frame_of(rows) -> pl.DataFrame:
    return pl.DataFrame([(*r[:4], DAY + timedelta(hours=r[4]), *r[5:]) for r in rows], schema=SCHEMA, orient="row")


def leg(exchange, hours, rates, quote="USDT", base="BTC"):
    return [(exchange, base + quote, base, quote, h, rate, hours) for h, rate in rates.items()]


def spread(engine, rows, **arguments) -> list[tuple]:
    frame = frame_of(rows)
    frame = frame.sample(fraction=1, shuffle=True, seed=2) if rows else frame
    got = engine.back(cexkit.funding_spread(engine.make(frame), **arguments))
    got = got.sort("base", "timestamp", "long_exchange", "short_exchange", "long_symbol", "short_symbol")
    return got.with_columns(hour=(pl.col("timestamp").dt.epoch("s") - int(DAY.timestamp())) / 3600).to_dicts()


def pairs(rows):
    return [(r["hour"], r["long_exchange"], r["short_exchange"], pytest.approx(r["gross_apr"])) for r in rows]


def test_by_hand(engine):
    rows = [*leg("binance", 8.0, {8: 1e-4}), *leg("okx", 4.0, {8: 1e-4}, quote="USDC")]
    (got,) = spread(engine, rows, fees={"binance": 0.0004, "okx": 0.0006}, slippage=0.001, days=60)
    assert (got["long_exchange"], got["short_exchange"], got["quotes"]) == ("binance", "okx", "USDC+USDT")
    assert (got["long_symbol"], got["short_symbol"]) == ("BTCUSDT", "BTCUSDC")
    costs = 2 * (0.0004 + 0.0006) + 0.001
    assert got["gross_apr"] == pytest.approx(0.219 - 0.1095, rel=1e-12)
    assert got["net_apr"] == pytest.approx(0.1095 - costs * 365 / 60, rel=1e-12)
    assert got["break_even_days"] == pytest.approx(365 * costs / 0.1095, rel=1e-12)


def test_the_break_even_is_where_net_is_zero(engine):
    rows = [*leg("binance", 8.0, {8: 1e-4}), *leg("okx", 8.0, {8: -3e-4})]
    (got,) = spread(engine, rows, fees=0.0005)
    assert (got["long_exchange"], got["quotes"]) == ("okx", "USDT")
    (there,) = spread(engine, rows, fees=0.0005, days=got["break_even_days"])
    assert there["net_apr"] == pytest.approx(0.0, abs=1e-12)


def test_no_costs_are_assumed(engine):
    (got,) = spread(engine, [*leg("binance", 8.0, {8: 1e-4}), *leg("okx", 8.0, {8: 2e-4})])
    assert (got["net_apr"], got["break_even_days"]) == (got["gross_apr"], 0.0)


def test_a_rate_stands_for_its_own_interval_and_no_longer(engine):
    rows = [*leg("binance", 8.0, {0: 1e-4}), *leg("okx", 4.0, dict.fromkeys((0, 4, 8, 12), 1e-4))]
    got = spread(engine, rows)
    # at 8:00 the one of 0:00 is just 8 h old; at 12:00 it is not that of binance any more
    assert pairs(got) == [(h, "binance", "okx", 0.1095) for h in (0, 4, 8)]


def test_moments_when_only_one_settles_are_there_as_of(engine):
    rows = [*leg("binance", 8.0, {0: 1e-4, 8: 3e-4}), *leg("okx", 4.0, {0: 1e-4, 4: 2e-4, 8: 1e-4})]
    want = [(0, "binance", "okx", 0.1095), (4, "binance", "okx", 0.438 - 0.1095), (8, "okx", "binance", 0.3285 - 0.219)]
    assert pairs(spread(engine, rows)) == want


def test_equal_rates_have_no_break_even(engine):
    (got,) = spread(engine, [*leg("okx", 8.0, {8: 1e-4}), *leg("bybit", 8.0, {8: 1e-4})], fees=0.001)
    assert (got["long_exchange"], got["gross_apr"], got["break_even_days"]) == ("bybit", 0.0, None)


def test_all_pairs_of_venues_and_none_within_one(engine):
    rows = [
        *leg("okx", 8.0, {8: 1e-4}),
        *leg("okx", 8.0, {8: 5e-4}, "USDC"),
        *leg("bybit", 8.0, {8: 2e-4}),
        *leg("binance", 8.0, {8: 3e-4}),
        *leg("okx", 8.0, {8: 9e-4}, base="ETH"),
    ]
    got = [(r["long_exchange"], r["long_symbol"], r["short_exchange"], r["short_symbol"]) for r in spread(engine, rows)]
    assert got == [
        ("binance", "BTCUSDT", "okx", "BTCUSDC"),
        ("bybit", "BTCUSDT", "binance", "BTCUSDT"),
        ("bybit", "BTCUSDT", "okx", "BTCUSDC"),
        ("okx", "BTCUSDT", "binance", "BTCUSDT"),
        ("okx", "BTCUSDT", "bybit", "BTCUSDT"),
    ]


def test_milliseconds_do_not_part_what_settles_together(engine):
    rows = [*leg("binance", 8.0, {8 + 0.003 / 3600: 1e-4}), *leg("okx", 8.0, {8 + 0.047 / 3600: 2e-4})]
    assert pairs(spread(engine, rows)) == [(8, "binance", "okx", 0.1095)]


def test_intervals_are_derived_and_rows_without_a_rate_are_no_settlements(engine):
    rows = [*leg("binance", 8.0, {0: 1e-4, 8: 1e-4, 16: 1e-4}), *leg("okx", 4.0, {0: 1e-4, 4: 1e-4, 8: 1e-4, 12: 1e-4})]
    want = pairs(spread(engine, rows))
    bare = [(*r[:6], None) for r in rows] + leg("binance", None, {3: None, 9: math.nan})
    assert pairs(spread(engine, bare)) == want
    assert len(want) == 5


def test_later_settlements_change_no_earlier_row(engine):
    rows = [
        (e, "BTCUSDT", "BTC", "USDT", h, 1e-5 * ((h * k) % 13), float(step))
        for k, (e, step) in enumerate((("okx", 8), ("bybit", 4), ("coinbase", 1)), 3)
        for h in range(0, 33, step)
    ]
    whole, part = spread(engine, rows), spread(engine, [r for r in rows if r[4] <= 16])
    assert part == [r for r in whole if r["hour"] <= 16]
    assert len(part) > 20


def oracle(rows):
    found = {}
    for t in {r[4] for r in rows}:
        standing = []
        for key in {(r[0], r[1]) for r in rows}:
            own = [r for r in rows if (r[0], r[1]) == key and r[4] <= t]
            if own:
                *_, since, rate, hours = max(own, key=lambda r: r[4])
                if t - since <= hours:
                    standing.append((rate * 24 / hours * 365, key))
        for one, other in combinations(standing, 2):
            if one[1][0] != other[1][0]:
                low, high = sorted((one, other))
                found[t, *low[1], *high[1]] = high[0] - low[0]
    return found


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["okx", "bybit", "binance"]),
            st.sampled_from(["BTCUSDT", "BTCUSDC"]),
            st.integers(0, 20),
            st.integers(-9, 9),
            st.sampled_from([1.0, 4.0, 8.0]),
        ),
        max_size=20,
        unique_by=lambda e: e[:3],
    )
)
def test_agrees_with_plain_python(events):
    rows = [(e, s, "BTC", s[3:], h, r / 1e4, i) for e, s, h, r, i in events]
    want = oracle(rows)
    for native in (frame_of(rows), frame_of(rows).to_pandas()):
        got = cexkit.funding_spread(native, fees=0.0005)
        got = got if isinstance(got, pl.DataFrame) else pl.from_pandas(got)
        names = ("long_exchange", "long_symbol", "short_exchange", "short_symbol")
        found = {((r["timestamp"] - DAY).total_seconds() / 3600, *(r[n] for n in names)): r for r in got.to_dicts()}
        assert found.keys() == want.keys()
        assert len(found) == got.height
        for key, result in found.items():
            assert math.isclose(result["gross_apr"], want[key], rel_tol=1e-9, abs_tol=1e-12)
            assert math.isclose(result["net_apr"], want[key] - 0.002 * 365 / 30, rel_tol=1e-9, abs_tol=1e-12)


def test_nothing_makes_nothing(engine):
    assert spread(engine, []) == []
    assert spread(engine, leg("okx", 8.0, {0: 1e-4})) == []


def test_what_is_refused():
    frame = frame_of([*leg("okx", 8.0, {0: 1e-4}), *leg("bybit", 8.0, {0: 1e-4})])
    with pytest.raises(InvalidInputError, match="none for bybit"):
        cexkit.funding_spread(frame, fees={"okx": 0.0005})
    for arguments in ({"days": 0}, {"slippage": -0.1}, {"fees": 5}, {"fees": {"okx": math.nan, "bybit": 0.1}}):
        with pytest.raises(InvalidInputError, match=r"(days|slippage|fees.*) must be"):
            cexkit.funding_spread(frame, **arguments)
    with pytest.raises(DuplicateKeyError, match="2 rows share"):
        cexkit.funding_spread(pl.concat([frame, frame[:1]]))
    with pytest.raises(MissingColumnError, match="'exchange'"):
        cexkit.funding_spread(frame.drop("exchange"))
    unknown = cexkit.funding_spread(frame.lazy(), fees={"okx": 0.0005}).collect()
    assert unknown.select("net_apr", "break_even_days").rows() == [(None, None)]


def test_a_settlement_of_the_same_minute_is_a_duplicate(engine):
    rows = [*leg("binance", 8.0, {8: 1e-4}), *leg("okx", 8.0, {8: 2e-4, 8 + 11 / 3.6e6: 2e-4})]
    if engine.eager:
        with pytest.raises(DuplicateKeyError, match="funding_spread: 1 settlements follow another"):
            spread(engine, rows)
    else:
        assert spread(engine, rows) == []
