"""Cascades: gaps, ties in time, units across venues, open interest around them."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import given, settings

import cexkit
from cexkit.errors import DuplicateKeyError, InvalidInputError, MissingColumnError

#: Values that cannot be are null, with a warning that test_ranges.py looks at.
pytestmark = pytest.mark.filterwarnings("ignore::cexkit.errors.OutOfRangeWarning")
START = datetime(2024, 1, 1, tzinfo=UTC)
SCHEMA = {
    "exchange": pl.String,
    "symbol": pl.String,
    "base": pl.String,
    "quote": pl.String,
    "multiplier": pl.Float64,
    "timestamp": pl.Datetime("us", "UTC"),
    "side": pl.String,
    "price": pl.Float64,
    "value_usd": pl.Float64,
    "coverage": pl.String,
    "open_interest_base": pl.Float64,
}
DEFAULTS = {
    "exchange": "okx", "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT", "multiplier": 1.0, "side": "long",
    "price": 100.0, "value_usd": 1.0, "coverage": "full", "open_interest_base": None,
}  # fmt: skip


def event(second: float, **other) -> dict:
    return {**DEFAULTS, **other, "timestamp": START + timedelta(seconds=second)}


def snapshot(second: float, interest: float | None, **other) -> dict:
    nothing = {"side": None, "price": None, "value_usd": None, "coverage": None}
    return event(second, **{**nothing, **other, "open_interest_base": interest})


def table(*rows: dict) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SCHEMA)


def cascades(engine, frame: pl.DataFrame, **arguments) -> pl.DataFrame:
    return engine.back(cexkit.liquidation_cascades(engine.make(frame), **arguments)).sort("base", "start")


def seconds(series: pl.Series) -> list[float]:
    return [round((t - START).total_seconds(), 6) for t in series.dt.convert_time_zone("UTC")]


def test_by_hand(engine, helpers):
    frame = table(
        event(0.000001, price=100.0, value_usd=5.0), event(60.000001, exchange="bybit", side="short", price=99.0),
        event(60.000001, exchange="binance", price=97.0, coverage="throttled"), event(200, base="ETH"),
        event(120.000002, base="BTC", value_usd=7.0), event(130, value_usd=2.0, price=101.0),
    )  # fmt: skip
    got = cascades(engine, frame.sample(fraction=1, shuffle=True, seed=5))
    assert got.schema["start"].time_zone in ("UTC", "Etc/UTC")
    assert got["base"].to_list() == ["BTC", "BTC"]
    assert seconds(got["start"]) == [0.000001, 120.000002]
    assert seconds(got["end"]) == [60.000001, 130.0]
    wants = {
        "duration_seconds": [60.0, 9.999998],
        "events": [3, 2],
        "value_usd": [7.0, 9.0],
        "long_value_usd": [6.0, 9.0],
        "short_value_usd": [1.0, 0.0],
        "price_move": [-0.02, 0.01],
        "oi_change": [None, None],
        "venues": [3, 1],
        "coverage": ["throttled", "full"],
    }
    for name, want in wants.items():
        helpers.close(got[name].to_list(), want, 1e-9)


def test_thresholds(engine):
    frame = table(event(0, value_usd=5.0), event(10, value_usd=None), event(500, value_usd=9.0))
    assert cascades(engine, frame)["events"].to_list() == [2]
    assert cascades(engine, frame)["value_usd"].is_null().to_list() == [True]  # a part is not the whole
    assert cascades(engine, frame, min_events=1)["events"].to_list() == [2, 1]
    assert cascades(engine, frame, min_events=1, min_value_usd=5.5)["events"].to_list() == [1]
    assert cascades(engine, frame, min_value_usd=5.0)["events"].to_list() == [2]


def test_any_order_of_ties_gives_the_same():
    """Of events of one microsecond none is first, so that no island may begin in their midst."""
    rng = random.Random(2)
    rows = [event(100 * (i // 6), exchange=rng.choice("abc"), price=90 + i % 7) for i in range(60)]
    want = cexkit.liquidation_cascades(table(*rows))
    assert want["events"].to_list() == [6] * 10
    for seed in range(5):
        rng.shuffle(rows)
        got = cexkit.liquidation_cascades(table(*rows))
        assert got.drop("price_move").equals(want.drop("price_move")), seed
        assert got["price_move"].to_list() == [0.0] * 10


def test_prices_of_unlike_units(engine, helpers):
    thousand = {"symbol": "1000PEPEUSDT", "base": "PEPE", "multiplier": 1000.0, "price": 10.0}
    frame = table(event(0, **thousand), event(5, base="PEPE", symbol="PEPEUSDC", quote="USDC", price=0.0099))
    helpers.close(cascades(engine, frame)["price_move"].to_list(), [-0.01], 1e-9)
    assert cascades(engine, frame.drop("multiplier"))["price_move"].is_null().all()
    assert cascades(engine, frame.drop("quote"))["price_move"].is_null().all()
    euro = frame.with_columns(quote=pl.Series(["USDT", "EUR"]))
    assert cascades(engine, euro)["price_move"].is_null().all()
    assert cascades(engine, frame.drop("price"))["price_move"].is_null().all()


def test_events_have_the_multiplier_of_their_snapshots(engine, helpers):
    """Rows of open interest carry it, events do not."""
    thousand = {"symbol": "1000PEPEUSDT", "base": "PEPE"}
    one = {"symbol": "PEPEUSDC", "base": "PEPE", "quote": "USDC", "multiplier": 1.0}
    snapshots = [snapshot(-60, 5.0, **thousand, multiplier=1000.0), snapshot(-60, 5.0, **one)]
    events = [event(0, **thousand, price=10.0, multiplier=None), event(5, **one | {"multiplier": None}, price=0.0099)]
    helpers.close(cascades(engine, table(*snapshots, *events))["price_move"].to_list(), [-0.01], 1e-9)
    changing = snapshot(-120, 5.0, **thousand, multiplier=1.0)
    found = cascades(engine, table(changing, *snapshots, *events))["price_move"]
    helpers.close(found.to_list(), [0.0], 1e-9)  # only the other price has a known unit


def test_the_price_of_those_that_have_one(engine, helpers):
    prices = [None, 50.0, 60.0, 0.0, float("nan")]
    got = cascades(engine, table(*(event(i, price=price) for i, price in enumerate(prices))))
    helpers.close(got["price_move"].to_list(), [0.2], 1e-9)


def test_open_interest_around_a_cascade(engine, helpers):
    pepe = {"symbol": "1000PEPEUSDT", "exchange": "bybit", "multiplier": 1000.0}
    frame = table(
        snapshot(-3600, 9.0), snapshot(-60, 10.0), event(0), snapshot(0, 7.0), event(20), snapshot(20, 6.0),
        snapshot(80, 5.0), event(30, **pepe), snapshot(0, 3.0, **pepe), snapshot(3600, 2.5, **pepe),
    )  # fmt: skip
    got = cascades(engine, frame)
    assert got["events"].to_list() == [3]
    helpers.close(got["oi_change"].to_list(), [6 - 10 + 1000 * (2.5 - 3)])
    # of several symbols, units do not add up without their multiplier
    assert cascades(engine, frame.drop("multiplier"))["oi_change"].is_null().all()
    # a snapshot too far away is none
    assert cascades(engine, frame, tolerance="10m")["oi_change"].is_null().all()
    # nor is one that is not there yet
    assert cascades(engine, frame.filter(pl.col("open_interest_base") != 2.5))["oi_change"].is_null().all()


def test_what_comes_later_does_not_change_finished_cascades():
    rng = random.Random(4)
    rows = [event(rng.uniform(0, 9000), exchange=rng.choice("ab"), price=rng.uniform(9, 10)) for _ in range(200)]
    rows += [snapshot(i * 600, 10.0 + i, exchange=x) for i in range(16) for x in "ab"]
    whole, cut = table(*rows), START + timedelta(seconds=4500)
    past = cexkit.liquidation_cascades(whole.filter(pl.col("timestamp") < cut))
    finished = past.filter(pl.col("end") < cut - timedelta(seconds=60))
    later = cexkit.liquidation_cascades(whole).head(finished.height)
    assert finished.height > 5
    assert finished.drop("oi_change").equals(later.drop("oi_change"))
    known = finished["oi_change"].is_not_null()
    assert known.any()
    assert finished.filter(known)["oi_change"].equals(later.filter(known)["oi_change"])


@pytest.mark.parametrize("rows", [0, 1])
def test_none_and_one(engine, rows):
    frame = table(event(0)).head(rows)
    assert cascades(engine, frame).height == 0
    assert cascades(engine, frame, min_events=1)["duration_seconds"].to_list() == [0.0] * rows


def test_categories_and_zones_of_every_kind():
    frame = table(snapshot(-60, 10.0), event(0), event(20, exchange="bybit", price=99.0), snapshot(20, 6.0))
    want = cexkit.liquidation_cascades(frame)
    assert want.height == 1
    texts = pl.col("exchange", "symbol", "base", "quote", "side", "coverage")
    times = (
        pl.col("timestamp").dt.replace_time_zone(None),
        pl.col("timestamp").dt.convert_time_zone("Asia/Tokyo"),
        pl.col("timestamp").dt.cast_time_unit("ns"),
    )
    for other in (texts.cast(pl.Categorical), *times):
        for native in (frame.with_columns(other), frame.lazy().with_columns(other)):
            got = cexkit.liquidation_cascades(native).lazy().collect()
            assert got.with_columns(pl.col("base").cast(pl.String)).equals(want)


def test_sides_and_bases():
    frame = table(event(0), event(1))
    with pytest.raises(InvalidInputError, match="position that was closed"):
        cexkit.liquidation_cascades(frame.with_columns(side=pl.lit("sell")))
    bare = frame.drop("open_interest_base")
    with pytest.raises(InvalidInputError, match="side holds None"):
        cexkit.liquidation_cascades(bare.with_columns(side=pl.lit(None, pl.String)))
    lazy = cexkit.liquidation_cascades(frame.with_columns(side=pl.Series(["long", "buy"])).lazy()).collect()
    assert lazy.select("value_usd", "long_value_usd", "short_value_usd").rows() == [(2.0, None, None)]
    nowhere = frame.with_columns(base=pl.lit(None, pl.String))
    with pytest.raises(InvalidInputError, match="2 events have no base"):
        cexkit.liquidation_cascades(nowhere)
    assert cexkit.liquidation_cascades(nowhere.lazy()).collect().height == 0


def test_errors():
    frame = table(event(0), event(1))
    with pytest.raises(InvalidInputError, match="min_events=0"):
        cexkit.liquidation_cascades(frame, min_events=0)
    with pytest.raises(InvalidInputError, match="min_value_usd=-1"):
        cexkit.liquidation_cascades(frame, min_value_usd=-1)
    with pytest.raises(InvalidInputError, match="not a duration"):
        cexkit.liquidation_cascades(frame, gap="1 minute")
    with pytest.raises(MissingColumnError, match="'base'"):
        cexkit.liquidation_cascades(frame.drop("base"))
    with pytest.raises(DuplicateKeyError, match="open_interest_base="):
        cexkit.liquidation_cascades(table(event(0), snapshot(0, 1.0), snapshot(0, 2.0)))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 40), st.integers(0, 10_000), st.sampled_from([1, 5, 30]), st.integers(1, 3))
def test_oracle(n, seed, gap, least):
    rng = random.Random(seed)
    rows = [
        event(rng.randrange(200), exchange=rng.choice("abc"), base=rng.choice(["BTC", "ETH"]), price=rng.uniform(9, 11),
              side=rng.choice(["long", "short"]), value_usd=rng.uniform(1, 5))
        for _ in range(n)
    ]  # fmt: skip
    want = []
    for base in ("BTC", "ETH"):
        runs: list[list[dict]] = []
        for row in sorted((row for row in rows if row["base"] == base), key=lambda row: row["timestamp"]):
            if runs and row["timestamp"] - runs[-1][-1]["timestamp"] <= timedelta(seconds=gap):
                runs[-1].append(row)
            else:
                runs.append([row])
        want += [run for run in runs if len(run) >= least]
    got = cexkit.liquidation_cascades(table(*rows), gap=f"{gap}s", min_events=least)
    assert got.height == len(want)
    for row, run in zip(got.rows(named=True), want, strict=True):
        start, end = run[0]["timestamp"], run[-1]["timestamp"]
        assert (row["start"], row["end"], row["events"]) == (start, end, len(run))
        assert row["venues"] == len({part["exchange"] for part in run})
        for side in ("long", "short"):
            whole = sum(part["value_usd"] for part in run if part["side"] == side)
            assert math.isclose(row[f"{side}_value_usd"], whole, rel_tol=1e-9)
        first, last = ([p["price"] for p in run if p["timestamp"] == time] for time in (start, end))
        move = sum(last) / len(last) / (sum(first) / len(first)) - 1
        assert math.isclose(row["price_move"], move, rel_tol=1e-9, abs_tol=1e-12)
