"""Liquidations against the open interest before them: nothing from inside the bucket or after it."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import given, settings

import cexkit
from cexkit.errors import DuplicateKeyError, InvalidInputError, MissingColumnError, UnpricedQuoteWarning

START = datetime(2024, 1, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SCHEMA = {
    "exchange": pl.String,
    "symbol": pl.String,
    "base": pl.String,
    "timestamp": pl.Datetime("us", "UTC"),
    "side": pl.String,
    "value_usd": pl.Float64,
    "open_interest_usd": pl.Float64,
    "coverage": pl.String,
}
NAME = "liquidation_intensity_bps"


def event(hour: float, value: float | None, exchange: str = "okx", coverage: str = "full") -> tuple:
    return (exchange, "BTCUSDT", "BTC", START + hour * HOUR, "long", value, None, coverage)


def snapshot(hour: float, interest: float | None, exchange: str = "okx") -> tuple:
    return (exchange, "BTCUSDT", "BTC", START + hour * HOUR, None, None, interest, None)


def table(*rows: tuple) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SCHEMA, orient="row")


def intensity(engine, frame: pl.DataFrame, **arguments) -> pl.DataFrame:
    got = engine.back(cexkit.liquidation_intensity_bps(engine.make(frame), **arguments))
    return got.sort(*(name for name in ("exchange", "base", "timestamp") if name in got.columns))


def oracle(frame: pl.DataFrame, groups: list[str], every: timedelta, tolerance: timedelta) -> dict:
    rows = frame.rows(named=True)
    leg = lambda row: (row["exchange"], row["symbol"])  # noqa: E731
    events: dict = {}
    for row in rows:
        if row["side"] is not None:
            start = EPOCH + (row["timestamp"] - EPOCH) // every * every
            events.setdefault((*(row[g] for g in groups), start), []).append(row)
    result = {}
    for (*group, start), parts in events.items():
        interest: dict = {}
        for row in sorted(rows, key=lambda row: row["timestamp"]):
            known = row["open_interest_usd"] is not None and [row[g] for g in groups] == group
            if known and start - tolerance <= row["timestamp"] < start:
                interest[leg(row)] = row["open_interest_usd"]
        values = [row["value_usd"] for row in parts]
        value = None if None in values else sum(values)
        whole = sum(interest.values()) if all(leg(row) in interest for row in parts) else None
        share = value / whole * 1e4 if value is not None and whole else None
        result[*group, start] = (len(parts), value, whole, share)
    return result


def random_frame(n: int, seed: int) -> pl.DataFrame:
    rng, rows, seen = random.Random(seed), [], set()
    for _ in range(n):
        exchange, hour = rng.choice(["okx", "bybit"]), rng.randrange(40)
        if rng.random() < 0.5:
            rows.append(event(hour, rng.choice([None, *[rng.uniform(1, 9)] * 9]), exchange))
        elif (exchange, hour) not in seen:
            seen.add((exchange, hour))
            rows.append(snapshot(hour, rng.choice([0.0, rng.uniform(50, 99), rng.uniform(50, 99)]), exchange))
    return table(*rows)


def check(got: pl.DataFrame, groups: list[str], want: dict) -> None:
    assert got.height == len(want)
    for row in got.rows(named=True):
        for have, expected in zip(
            (row[name] for name in ("events", "value_usd", "open_interest_usd", NAME)),
            want[*(row[g] for g in groups), row["timestamp"]],
            strict=True,
        ):
            assert have == expected or math.isclose(have, expected, rel_tol=1e-9)


def test_by_hand(engine, helpers):
    frame = table(
        snapshot(-3, 1e9), snapshot(-1, 4e9), event(0, 1e6), event(9, 1e6, coverage="throttled"), snapshot(10, 1e9),
        snapshot(23, 2e9), event(30, 3e6),
    )  # fmt: skip
    got = intensity(engine, frame)
    assert got["timestamp"].dt.epoch("d").to_list() == [19723, 19724]
    helpers.close(helpers.column(got, NAME), [5.0, 15.0])
    helpers.close(helpers.column(got, "open_interest_usd"), [4e9, 2e9])
    assert helpers.column(got, "events") == [2, 1]
    assert helpers.column(got, "coverage") == ["throttled", "full"]


def test_a_snapshot_at_the_start_of_the_bucket_is_not_before_it(engine, helpers):
    got = intensity(engine, table(snapshot(-1, 100.0), snapshot(0, 50.0), event(1, 1.0)))
    helpers.close(helpers.column(got, NAME), [100.0])


@pytest.mark.parametrize(("age", "want"), [(24, 100.0), (25, None)])
def test_a_snapshot_may_be_too_old(engine, helpers, age, want):
    got = intensity(engine, table(snapshot(-age, 100.0), event(1, 1.0)))
    helpers.close(helpers.column(got, NAME), [want])
    helpers.close(helpers.column(got, "value_usd"), [1.0])


def test_venues_without_events_count_and_those_without_interest_spoil(engine, helpers):
    frame = table(snapshot(-1, 60.0), snapshot(-2, 40.0, "bybit"), event(1, 1.0))
    got = intensity(engine, frame, by="base")
    helpers.close(helpers.column(got, NAME), [100.0])
    got = intensity(engine, pl.concat([frame, table(event(2, 1.0, "binance"))]), by="base")
    assert helpers.column(got, "open_interest_usd") == [None]
    assert helpers.column(got, NAME) == [None]
    got = intensity(engine, pl.concat([frame, table(event(2, 1.0, "binance"))]))
    helpers.close(helpers.column(got, NAME), [None, 10_000 / 60])
    assert helpers.column(intensity(engine, frame, by=None), NAME) == [100.0]


def test_unknown_values(engine, helpers):
    frame = table(snapshot(-2, 40.0), snapshot(-1, None), event(1, None), event(2, 1.0), event(30, 1.0))
    got = intensity(engine, frame)
    helpers.close(helpers.column(got, "open_interest_usd"), [40.0, None])
    assert helpers.column(got, "value_usd") == [None, 1.0]
    zero = intensity(engine, table(snapshot(-1, 0.0), event(1, 1.0)))
    assert helpers.column(zero, NAME) == [None]


def test_in_other_quotes():
    frame = table(snapshot(-1, 100.0), event(1, 1.0)).rename(
        {"value_usd": "value_quote", "open_interest_usd": "open_interest_quote"}
    )
    assert cexkit.liquidation_intensity_bps(frame.with_columns(quote=pl.lit("USDT")))[NAME].to_list() == [100.0]
    with pytest.warns(UnpricedQuoteWarning, match="BTC"):
        got = cexkit.liquidation_intensity_bps(frame.with_columns(quote=pl.lit("BTC")))
    assert got[NAME].to_list() == [None]


@pytest.mark.parametrize("kept", [0, 1])
def test_no_events(engine, kept):
    got = intensity(engine, table(snapshot(-1, 100.0)).head(kept))
    assert got.height == 0
    assert got.columns[-4:] == ["value_usd", "open_interest_usd", NAME, "coverage"]


def test_what_comes_later_changes_nothing():
    frame = random_frame(80, 1).sort("timestamp")
    cut = START + 24 * HOUR
    past = cexkit.liquidation_intensity_bps(frame.filter(pl.col("timestamp") < cut), every="4h")
    whole = cexkit.liquidation_intensity_bps(frame, every="4h").filter(pl.col("timestamp") < cut)
    assert past.height > 3
    assert past.equals(whole)


def test_errors():
    frame = table(snapshot(-1, 100.0), event(1, 1.0))
    with pytest.raises(DuplicateKeyError, match="2 snapshots share instrument and time"):
        cexkit.liquidation_intensity_bps(pl.concat([frame, table(snapshot(-1, 90.0))]))
    assert cexkit.liquidation_intensity_bps(pl.concat([frame, frame.head(1)]))[NAME].to_list() == [100.0]
    lazy = cexkit.liquidation_intensity_bps(pl.concat([frame, table(snapshot(-1, 90.0))]).lazy()).collect()
    assert lazy[NAME].to_list() == [None]
    with pytest.raises(InvalidInputError, match="position that was closed"):
        cexkit.liquidation_intensity_bps(frame.with_columns(pl.col("side").replace("long", "sell")))
    with pytest.raises(InvalidInputError, match="1 events have no base"):
        cexkit.liquidation_intensity_bps(frame.with_columns(base=pl.lit(None, pl.String)), by="base")
    with pytest.raises(InvalidInputError, match="no side to group by"):
        cexkit.liquidation_intensity_bps(frame, by="side")
    with pytest.raises(MissingColumnError, match="'value_usd' with 'open_interest_usd' or"):
        cexkit.liquidation_intensity_bps(frame.drop("open_interest_usd"))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 40), st.integers(0, 10_000), st.sampled_from([1, 5, 24]), st.sampled_from([1, 6, 24]))
def test_oracle(n, seed, every, tolerance):
    frame = random_frame(n, seed)
    for groups in (["exchange", "symbol"], ["base"]):
        by = {} if groups == ["exchange", "symbol"] else {"by": groups}
        got = cexkit.liquidation_intensity_bps(frame, every=f"{every}h", tolerance=f"{tolerance}h", **by)
        check(got, groups, oracle(frame, groups, every * HOUR, tolerance * HOUR))
