"""Liquidation totals: sides of positions, units that add up, coverage that is not lost."""

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
from cexkit.errors import InvalidInputError, MissingColumnError, UnpricedQuoteWarning

START = datetime(2024, 1, 1, tzinfo=UTC)
RANK = {"full": 0, "throttled": 1, "absent": 2}
SCHEMA = {
    "exchange": pl.String,
    "symbol": pl.String,
    "base": pl.String,
    "quote": pl.String,
    "timestamp": pl.Datetime("us", "UTC"),
    "side": pl.String,
    "quantity_base": pl.Float64,
    "value_quote": pl.Float64,
    "coverage": pl.String,
}


def events(n: int = 200, seed: int = 0) -> pl.DataFrame:
    rng, rows = random.Random(seed), []
    for _ in range(n):
        base = rng.choice(["BTC", "ETH"])
        exchange = rng.choice(["binance", "okx"])
        quantity = rng.random()
        time = START + timedelta(seconds=rng.uniform(0, 5 * 86_400))
        coverage = "throttled" if exchange == "binance" else "full"
        rows.append((exchange, f"{base}USDT", base, "USDT", time, rng.choice(["long", "long", "short"]), quantity,
                     quantity * 1000, coverage))  # fmt: skip
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def oracle(frame: pl.DataFrame, groups: list[str], every: timedelta) -> dict[tuple, tuple]:
    sums: dict = defaultdict(lambda: [0, 0.0, 0.0])
    totals: dict = defaultdict(lambda: {"long": 0.0, "short": 0.0, "rank": 0})
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    for row in frame.iter_rows(named=True):
        bucket = (*(row[g] for g in groups), epoch + (row["timestamp"] - epoch) // every * every)
        part = sums[*bucket, row["side"]]
        part[0] += 1
        part[1] += row["quantity_base"]
        part[2] += row["value_quote"]
        totals[bucket][row["side"]] += row["value_quote"]
        totals[bucket]["rank"] = max(totals[bucket]["rank"], RANK[row["coverage"]])
    result = {}
    for key, (count, quantity, value) in sums.items():
        whole = totals[key[:-1]]
        imbalance = (whole["long"] - whole["short"]) / (whole["long"] + whole["short"])
        result[key] = (count, quantity, value, imbalance, list(RANK)[whole["rank"]])
    return result


def check(got: pl.DataFrame, groups: list[str], want: dict[tuple, tuple]) -> None:
    assert got.height == len(want)
    for row in got.iter_rows(named=True):
        count, quantity, value, imbalance, coverage = want[*(row[g] for g in groups), row["timestamp"], row["side"]]
        assert (row["events"], row["coverage"]) == (count, coverage)
        assert math.isclose(row["value_usd"], value, rel_tol=1e-9)
        assert math.isclose(row["imbalance"], imbalance, rel_tol=1e-9, abs_tol=1e-12)
        assert math.isclose(row["quantity_base"], quantity, rel_tol=1e-9)


@pytest.mark.parametrize("every", ["1d", "12h", "8h", "90m"])
def test_every_engine_agrees_with_plain_python(engine, every):
    frame = events()
    unit = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}[every[-1]]
    got = engine.back(cexkit.liquidation_summary(engine.make(frame), every=every))
    assert got.columns[:4] == ["exchange", "symbol", "timestamp", "side"]
    assert got.schema["timestamp"].time_zone in ("UTC", "Etc/UTC")
    check(got, ["exchange", "symbol"], oracle(frame, ["exchange", "symbol"], int(every[:-1]) * unit))


@pytest.mark.parametrize("by", ["base", ["base"], ["exchange", "base"]])
def test_other_groups(by):
    frame = events()
    groups = [by] if isinstance(by, str) else by
    got = cexkit.liquidation_summary(frame, by=by)
    assert got.columns[: len(groups)] == groups
    check(got, groups, oracle(frame, groups, timedelta(days=1)))


def test_all_in_one_has_values_but_no_quantity(engine):
    frame = events()
    got = engine.back(cexkit.liquidation_summary(engine.make(frame), by=None)).sort("timestamp", "side")
    want = oracle(frame, [], timedelta(days=1))
    assert got["value_usd"].to_list() == pytest.approx([want[k][2] for k in sorted(want)])
    quantities = got["quantity_base"].to_list()
    assert all(q is None or math.isnan(q) for q in quantities)  # bitcoins and ethers do not add up
    assert got["coverage"].to_list() == ["throttled"] * len(want)


def test_by_hand():
    times = [START + timedelta(hours=h) for h in (1, 2, 3, 30)]
    frame = pl.DataFrame(
        {"timestamp": times, "side": ["long", "short", "long", "short"], "quantity_base": [1.0, 2.0, 3.0, 4.0],
         "value_usd": [10.0, 30.0, 50.0, 7.0]}
    )  # fmt: skip
    day = [START, START, START + timedelta(days=1)]
    want = [
        ("long", 2, 4.0, 60.0, 1 / 3, None),
        ("short", 1, 2.0, 30.0, 1 / 3, None),
        ("short", 1, 4.0, 7.0, -1.0, None),
    ]
    assert cexkit.liquidation_summary(frame).rows() == [(t, *w) for t, w in zip(day, want, strict=True)]


def test_a_bucket_starts_at_midnight_utc_whatever_the_zone():
    late = events(50).with_columns(pl.col("timestamp").dt.convert_time_zone("Asia/Tokyo"))
    assert cexkit.liquidation_summary(late).equals(cexkit.liquidation_summary(events(50)))


def test_weeks_begin_on_monday():
    got = cexkit.liquidation_summary(events(), every="1w", by="base")
    assert set(got["timestamp"].dt.weekday()) == {1}


@pytest.mark.parametrize("side", ["buy", "SELL", "Long", None])
def test_order_sides_are_refused(side):
    frame = events(5).with_columns(side=pl.lit(side, dtype=pl.String))
    for native in (frame, frame.to_pandas(), frame.to_arrow()):
        with pytest.raises(InvalidInputError, match="position that was closed"):
            cexkit.liquidation_summary(native)


def test_order_sides_give_no_imbalance_where_values_cannot_be_seen():
    frame = events(20).with_columns(side=pl.when(pl.int_range(20) == 0).then(pl.lit("buy")).otherwise("side"))
    got = cexkit.liquidation_summary(frame.lazy(), every="10d", by="quote").collect()
    assert got["imbalance"].to_list() == [None] * 3


def test_values_in_other_quotes_are_not_dollars(engine):
    frame = events(40).with_columns(
        quote=pl.when(pl.int_range(40) == 0).then(pl.lit("BTC")).otherwise("quote"), everything=pl.lit("x")
    )
    if engine.eager:
        with pytest.warns(UnpricedQuoteWarning, match="BTC"):
            got = cexkit.liquidation_summary(engine.make(frame), every="10d", by="everything")
    else:
        got = cexkit.liquidation_summary(engine.make(frame), every="10d", by="everything")
    got = engine.back(got)
    side = frame["side"][0]
    for row in got.iter_rows(named=True):
        value = row["value_usd"]
        assert (value is None or math.isnan(value)) == (row["side"] == side)  # a part is not the whole
        assert row["imbalance"] is None or math.isnan(row["imbalance"])


def test_value_usd_wins():
    frame = events(10).with_columns(value_usd=pl.lit(1.0), quote=pl.lit("BTC"))
    got = cexkit.liquidation_summary(frame, every="10d", by="exchange")
    assert got["value_usd"].to_list() == got["events"].to_list()


def test_multipliers_decide_what_adds_up():
    rows = pl.DataFrame(
        {"timestamp": [START, START], "side": ["long", "long"], "symbol": ["1000PEPEUSDT", "PEPEUSDT"],
         "base": ["PEPE", "PEPE"], "quantity_base": [2.0, 500.0], "value_usd": [20.0, 5.0]}
    )  # fmt: skip
    assert cexkit.liquidation_summary(rows, by="base")["quantity_base"].to_list() == [None]
    scaled = rows.with_columns(multiplier=pl.Series([1000.0, 1.0]))
    assert cexkit.liquidation_summary(scaled, by="base")["quantity_base"].to_list() == [2500.0]
    assert cexkit.liquidation_summary(scaled)["quantity_base"].to_list() == [2.0, 500.0]


def test_unknown_coverage_is_not_full(engine):
    frame = events(40).with_columns(coverage=pl.when(pl.int_range(40) > 0).then("coverage"))
    got = engine.back(cexkit.liquidation_summary(engine.make(frame), every="10d", by="quote"))
    assert [c if isinstance(c, str) else None for c in got["coverage"]] == [None, None]


def test_no_events(engine):
    got = engine.back(cexkit.liquidation_summary(engine.make(events(0))))
    assert got.height == 0
    assert got.columns[-6:] == ["side", "events", "quantity_base", "value_usd", "imbalance", "coverage"]


def test_missing_and_impossible():
    frame = events(3)
    with pytest.raises(MissingColumnError, match="'value_usd' or 'value_quote' with 'quote'"):
        cexkit.liquidation_summary(frame.drop("quote"))
    with pytest.raises(MissingColumnError, match="settle"):
        cexkit.liquidation_summary(frame, by="settle")
    with pytest.raises(InvalidInputError, match="twice"):
        cexkit.liquidation_summary(frame, by=["side"])
    with pytest.raises(InvalidInputError, match="not a duration"):
        cexkit.liquidation_summary(frame, every="1mo")


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 40), st.integers(0, 10_000), st.sampled_from(["1h", "7h", "1d", "3d"]))
def test_oracle(n, seed, every):
    frame = events(n, seed)
    unit = {"d": timedelta(days=1), "h": timedelta(hours=1)}[every[-1]]
    got = cexkit.liquidation_summary(frame, every=every)
    check(got, ["exchange", "symbol"], oracle(frame, ["exchange", "symbol"], int(every[:-1]) * unit))
