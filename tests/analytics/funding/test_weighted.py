"""One funding rate over venues: other intervals, missing legs, moments at which only some settle."""

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
from cexkit.errors import DuplicateKeyError, InvalidInputError, MissingColumnError, UnpricedQuoteWarning

DAY = datetime(2024, 1, 10, tzinfo=UTC)
SCHEMA = {
    "exchange": pl.String,
    "symbol": pl.String,
    "base": pl.String,
    "quote": pl.String,
    "timestamp": pl.Datetime("us", "UTC"),
    "funding_rate": pl.Float64,
    "funding_interval_hours": pl.Float64,
    "open_interest_usd": pl.Float64,
}


def at(hour: float) -> datetime:
    return DAY + timedelta(hours=hour)


def row(exchange, hour, rate=None, hours=None, weight=None, base="BTC", quote="USDT", symbol=None):
    return (exchange, symbol or base + quote, base, quote, at(hour), rate, hours, weight)


def frame_of(rows) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def weighted(engine, rows, **arguments) -> list[dict]:
    frame = frame_of(rows).sample(fraction=1, shuffle=True, seed=4) if rows else frame_of(rows)
    return listed(engine.back(cexkit.weighted_funding(engine.make(frame), **arguments)))


def listed(frame: pl.DataFrame) -> list[dict]:
    return frame.sort("base", "timestamp").with_columns(pl.col("timestamp").dt.epoch("s")).to_dicts()


def settled(exchange, hours, rates, weight=None, **more):
    return [row(exchange, hour, rate, hours, weight, **more) for hour, rate in rates.items()]


THREE = [
    *settled("binance", 8.0, {8: 0.0008}, 600.0),
    *settled("bybit", 4.0, {4: 0.0001, 8: 0.0003}, 300.0),
    *settled("coinbase", 1.0, dict.fromkeys(range(1, 9), 0.0001), 100.0, quote="USDC"),
]


def test_venues_with_different_intervals(engine):
    (got,) = weighted(engine, THREE)
    # over 8 h: 0.0008, 0.0004, 0.0008; weights .6, .3, .1
    assert got["weighted_funding"] == pytest.approx(0.6 * 0.0008 + 0.3 * 0.0004 + 0.1 * 0.0008, rel=1e-12)
    assert got | {"weighted_funding": 0} == {
        "timestamp": at(8).timestamp(),
        "base": "BTC",
        "weighted_funding": 0,
        "venues": 3,
        "coverage": 1.0,
        "quotes": "USDC+USDT",
    }


def test_a_moment_when_only_some_settle_makes_no_row(engine):
    rows = [
        *THREE,
        *settled("bybit", 4.0, {12: 0.05}, 300.0),
        *settled("coinbase", 1.0, {9: 0.05}, 100.0, quote="USDC"),
    ]
    assert [got["timestamp"] for got in weighted(engine, rows)] == [at(8).timestamp()]


def test_a_missing_leg_leaves_both_sums_and_shows_in_the_coverage(engine):
    (got,) = weighted(engine, [*THREE[1:], row("binance", 8, weight=600.0)])
    assert got["weighted_funding"] == pytest.approx((0.3 * 0.0004 + 0.1 * 0.0008) / 0.4, rel=1e-12)
    assert (got["venues"], got["coverage"]) == (2, pytest.approx(0.4))


def test_half_the_hours_are_enough_and_stand_for_the_rest(engine):
    other = settled("binance", 8.0, {8: 0.0002}, 1.0)
    half = settled("okx", 1.0, dict.fromkeys((1, 2, 3, 8), 0.0001), 1.0)
    (got,) = weighted(engine, [*other, *half])
    assert (got["weighted_funding"], got["venues"]) == (pytest.approx((0.0002 + 0.0008) / 2, rel=1e-12), 2)
    (got,) = weighted(engine, [*other, *half[1:]])
    assert (got["weighted_funding"], got["venues"], got["coverage"]) == (pytest.approx(0.0002), 1, 0.5)


def test_the_window_is_open_at_its_start_and_closed_at_its_end(engine):
    rows = settled("okx", 8.0, {0: 0.5, 8: 0.001, 16: 0.002}, 1.0)
    got = {r["timestamp"]: r["weighted_funding"] for r in weighted(engine, rows)}
    assert got == {at(h).timestamp(): rate for h, rate in {0: 0.5, 8: 0.001, 16: 0.002}.items()}


def test_a_settlement_some_milliseconds_late_belongs_to_its_minute(engine):
    rows = settled("okx", 8.0, {8 + 0.047 / 3600: 0.001}, 1.0)
    ((stamp, value),) = [(r["timestamp"], r["weighted_funding"]) for r in weighted(engine, rows)]
    assert (stamp, value) == (at(8).timestamp(), 0.001)


def test_the_last_weight_within_the_tolerance_counts_and_no_later_one(engine):
    rows = [
        row("okx", 8, 0.0002, 8.0),
        row("okx", 7, weight=9.0),
        row("okx", 7.5, weight=1.0),
        row("okx", 8.5, weight=99.0),
        row("bybit", 8, 0.0004, 8.0),
        row("bybit", 7, weight=3.0),
    ]
    (got,) = weighted(engine, rows)
    assert got["weighted_funding"] == pytest.approx((0.0002 + 3 * 0.0004) / 4, rel=1e-12)
    (got,) = weighted(engine, rows, tolerance="30m")
    assert (got["weighted_funding"], got["coverage"]) == (pytest.approx(0.0002), 1.0)
    assert weighted(engine, rows, tolerance="10m") == []


def test_intervals_are_derived_from_settlements_alone(engine):
    known = settled("okx", 4.0, dict.fromkeys((4, 8, 12, 16), 0.0001)) + settled(
        "bybit", 8.0, {0: 0.1, 8: 3e-4, 16: 3e-4}
    )
    snapshots = [row(venue, hour + 0.5, weight=1.0) for venue in ("okx", "bybit") for hour in range(16)]
    want = weighted(engine, known + snapshots)
    bare = [(*r[:6], None, r[7]) for r in known]
    assert weighted(engine, bare + snapshots) == want
    assert [r["weighted_funding"] for r in want] == pytest.approx([0.00025, 0.00025])


def test_other_horizons_and_weights(engine):
    rows = [r for day in range(2) for r in settled("okx", 8.0, {24 * day + h: 1e-4 for h in (8, 16, 24)}, 5.0)]
    got = weighted(engine, rows, horizon="1d")
    assert [r["weighted_funding"] for r in got] == pytest.approx([3e-4, 3e-4], rel=1e-12)
    assert [r["timestamp"] for r in got] == [at(24).timestamp(), at(48).timestamp()]
    frame = frame_of(rows).rename({"open_interest_usd": "own"})
    named = engine.back(cexkit.weighted_funding(engine.make(frame), weight="own", horizon="1d"))
    assert listed(named) == got


def test_weeks_end_on_mondays():
    (got,) = cexkit.weighted_funding(
        frame_of(settled("okx", 8.0, dict.fromkeys(range(8, 170, 8), 0.0001), 1.0)), horizon="1w"
    )["timestamp"]
    assert got.weekday() == 0


def test_spot_and_futures_have_no_part():
    rows = frame_of([*settled("okx", 8.0, {8: 1e-4}, 1.0), row("okx", 8, weight=9.0, symbol="BTCUSDT-20240329")])
    rows = rows.with_columns(instrument_type=pl.Series(["perp", "future"]))
    assert cexkit.weighted_funding(rows)["coverage"].to_list() == [1.0]


def test_quotes_that_are_no_dollars_have_no_weight():
    rows = frame_of([*settled("okx", 8.0, {8: 1e-4}, 1.0), *settled("bybit", 8.0, {8: 0.9}, 1.0, quote="EUR")])
    with pytest.warns(UnpricedQuoteWarning, match=r"weighted_funding.*EUR"):
        got = cexkit.weighted_funding(rows.rename({"open_interest_usd": "open_interest_quote"}))
    assert got.select("weighted_funding", "quotes", "coverage").rows() == [(1e-4, "USDT", 1.0)]


def test_several_instruments_of_a_venue_are_one_venue(engine):
    rows = [*settled("okx", 8.0, {8: 1e-4}, 1.0), *settled("okx", 8.0, {8: 3e-4}, 1.0, quote="USDC")]
    (got,) = weighted(engine, rows)
    assert (got["weighted_funding"], got["venues"], got["quotes"]) == (pytest.approx(2e-4), 1, "USDC+USDT")


def test_later_rows_change_no_earlier_row(engine):
    rng = random.Random(3)
    rows = [
        row(venue, hour, rng.gauss(1e-4, 1e-4), float(step), rng.random())
        for venue, step in (("okx", 8), ("bybit", 4), ("coinbase", 1))
        for hour in range(step, 49, step)
    ]
    whole, part = weighted(engine, rows), weighted(engine, [r for r in rows if r[4] <= at(24)])
    assert len(part) == 3
    for early, late in zip(part, whole, strict=False):
        assert early | {"weighted_funding": 0} == pytest.approx(late | {"weighted_funding": 0})
        assert early["weighted_funding"] == pytest.approx(late["weighted_funding"], rel=1e-12)


def oracle(rows):
    """Plain Python; times in whole hours, intervals declared."""
    legs, last = defaultdict(lambda: {"rates": [], "weights": {}}), None
    for exchange, symbol, base, _quote, time, rate, hours, weight in rows:
        hour = (time - DAY).total_seconds() / 3600
        leg = legs[base, math.ceil(hour / 8) * 8, exchange, symbol]
        if rate is not None:
            last = hour if last is None else max(last, hour)
            leg["rates"].append((rate, hours))
        if weight is not None and math.ceil(hour / 8) * 8 - hour <= 1:
            leg["weights"][hour] = weight
    points = defaultdict(list)
    for (base, end, exchange, _), leg in legs.items():
        if leg["weights"] and last is not None and end <= last:
            weight, covered = leg["weights"][max(leg["weights"])], sum(h for _, h in leg["rates"])
            rate = sum(r for r, _ in leg["rates"]) * 8 / covered if covered >= 4 else None
            points[base, end].append((exchange, weight, rate))
    found = {}
    for point, members in points.items():
        inside = [(e, w, r) for e, w, r in members if r is not None]
        total = sum(w for _, w, _ in inside)
        if total > 0:
            share = total / sum(w for _, w, _ in members)
            found[point] = (sum(w * r for _, w, r in inside) / total, len({e for e, _, _ in inside}), share)
    return found


events = st.lists(
    st.tuples(
        st.sampled_from(["okx", "bybit"]),
        st.sampled_from(["BTCUSDT", "BTCUSDC", "ETHUSDT"]),
        st.integers(1, 24),
        st.one_of(st.none(), st.integers(-20, 20)),
        st.sampled_from([1.0, 4.0, 8.0]),
        st.one_of(st.none(), st.integers(0, 9)),
    ),
    max_size=30,
    unique_by=lambda e: e[:3],
)


@settings(max_examples=40, deadline=None)
@given(events)
def test_agrees_with_plain_python(events):
    rows = [
        (e, s, s[:3], s[3:], at(h), None if r is None else r / 1e4, i, None if w is None else float(w))
        for e, s, h, r, i, w in events
    ]
    want = oracle(rows)
    for native in (frame_of(rows), frame_of(rows).to_pandas()):
        got = cexkit.weighted_funding(native)
        got = pl.DataFrame(got) if isinstance(got, pl.DataFrame) else pl.from_pandas(got)
        found = {(b, (t - DAY).total_seconds() / 3600): rest for t, b, *rest in got.drop("quotes").iter_rows()}
        assert found.keys() == want.keys()
        for point, (value, venues, share) in found.items():
            assert math.isclose(value, want[point][0], rel_tol=1e-9, abs_tol=1e-15)
            assert venues == want[point][1]
            assert math.isclose(share, want[point][2], rel_tol=1e-9)


def test_nothing_makes_nothing(engine):
    assert weighted(engine, []) == []
    assert weighted(engine, settled("okx", 8.0, {8: 1e-4})) == []
    assert weighted(engine, [row("okx", 8, weight=1.0)]) == []
    assert weighted(engine, settled("okx", 8.0, {8: 1e-4}, 0.0)) == []


def test_what_is_refused():
    frame = frame_of(THREE)
    with pytest.raises(InvalidInputError, match="longer than horizon"):
        cexkit.weighted_funding(frame, tolerance="9h")
    with pytest.raises(InvalidInputError, match="not a duration"):
        cexkit.weighted_funding(frame, horizon="8 hours")
    with pytest.raises(DuplicateKeyError, match="2 rows share"):
        cexkit.weighted_funding(pl.concat([frame, frame[:1]]))
    with pytest.raises(MissingColumnError, match=r"'open_interest_usd' or .*'volume_usd'.*weight="):
        cexkit.weighted_funding(frame.drop("open_interest_usd"))
    with pytest.raises(MissingColumnError, match="'mine'"):
        cexkit.weighted_funding(frame, weight="mine")
    with pytest.raises(MissingColumnError, match="'base'"):
        cexkit.weighted_funding(frame.drop("base"))


def test_a_settlement_of_the_same_minute_is_a_duplicate(engine):
    """A snapshot at the time of a settlement is none."""
    rows = [*THREE, row("binance", 8 + 11 / 3.6e6, 0.0008, 8.0, 600.0)]
    if engine.eager:
        with pytest.raises(DuplicateKeyError, match="weighted_funding: 1 settlements follow another"):
            weighted(engine, rows)
    else:
        (got,) = weighted(engine, rows)
        assert got["venues"] == 2  # its venue is left out, because the two could differ
    (got,) = weighted(engine, [*THREE, row("binance", 8 + 11 / 3.6e6, weight=600.0)])
    assert got["venues"] == 3


def test_a_weight_in_units_is_scaled_to_coins(engine):
    rows = [
        *settled("binance", 8.0, {8: 0.0008}, 1.0, base="PEPE", symbol="1000PEPEUSDT"),
        *settled("okx", 8.0, {8: 0.0002}, 3000.0, base="PEPE"),
    ]
    frame = frame_of(rows).rename({"open_interest_usd": "open_interest_base"})
    scaled = engine.make(frame.with_columns(multiplier=pl.Series([1000.0, 1.0])))
    (got,) = listed(engine.back(cexkit.weighted_funding(scaled, weight="open_interest_base")))
    assert got["weighted_funding"] == pytest.approx(0.25 * 0.0008 + 0.75 * 0.0002, rel=1e-12)
    with pytest.raises(MissingColumnError, match="'multiplier'"):
        cexkit.weighted_funding(engine.make(frame), weight="open_interest_base")
