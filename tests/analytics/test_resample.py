"""Longer bars and average prices: stocks, flows, first and last, on every engine."""

from __future__ import annotations

import math
import random
import warnings
from datetime import UTC, datetime, timedelta
from functools import cache

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import given, settings
from polars.testing import assert_frame_equal

import cexkit
from cexkit.errors import (
    CexkitWarning,
    ColumnTypeError,
    DuplicateKeyError,
    ForwardFilledRateWarning,
    InvalidInputError,
    MissingColumnError,
    MissingSettlementsWarning,
    UnknownNameError,
)
from cexkit.schema.fields import FIELDS
from cexkit.testing.simulation import simulate

#: Values that cannot be are null, with a warning that test_ranges.py looks at.
pytestmark = pytest.mark.filterwarnings("ignore::cexkit.errors.OutOfRangeWarning")
START = datetime(2024, 1, 1, tzinfo=UTC)
FLOATS = ("open", "high", "low", "close", "volume_base", "open_interest_base", "open_interest_usd", "value_usd")
SCHEMA = {
    **dict.fromkeys(("exchange", "symbol", "base"), pl.String),
    "timestamp": pl.Datetime("us", "UTC"),
    **dict.fromkeys(FLOATS, pl.Float64),
    "trades": pl.Int64,
}
HOW = {
    "open": "first", "high": "max", "low": "min", "close": "last", "volume_base": "sum", "open_interest_base": "last",
    "open_interest_usd": "last", "value_usd": "sum", "trades": "sum",
}  # fmt: skip


def row(symbol: str, hour: float, values: list, trades: int | None = 1) -> tuple:
    return ("okx", symbol, symbol[:3], START + timedelta(hours=hour), *values, trades)


def frame_of(rows) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    return frame.sample(fraction=1, shuffle=True, seed=1) if rows else frame


def resampled(engine, frame, **arguments) -> pl.DataFrame:
    got = engine.back(cexkit.resample(engine.make(frame), **arguments))
    hour = (pl.col("timestamp").dt.epoch("s") - int(START.timestamp())) / 3600
    return got.with_columns(hour=hour).sort(
        [c for c in ("exchange", "symbol", "hour") if c in got.columns or c == "hour"]
    )


def oracle(rows, hours: int) -> dict:
    """(symbol, start) → column → value, one bucket at a time."""
    buckets: dict = {}
    names = list(SCHEMA)
    for r in rows:
        start = (r[3] - START) // timedelta(hours=hours) * hours
        buckets.setdefault((r[1], start), []).append(dict(zip(names, r, strict=True)))
    result = {}
    for key, part in buckets.items():
        part.sort(key=lambda r: r["timestamp"])
        out = {"rows": len(part)}
        for name, how in HOW.items():
            values = [r[name] for r in part if r[name] is not None and math.isfinite(r[name])]
            take = {"first": lambda v: v[0], "last": lambda v: v[-1], "max": max, "min": min, "sum": sum}[how]
            out[name] = take(values) if values else None
        result[key] = out
    return result


def random_rows(n: int, seed: int, symbols=("BTCUSDT", "ETHUSDT")) -> list[tuple]:
    rng, rows = random.Random(seed), []
    for symbol in symbols:
        for hour in rng.sample(range(60), n):
            values = [rng.choice([rng.uniform(1e-4, 1e-3), rng.uniform(1e-4, 1e-3), None, math.nan]) for _ in FLOATS]
            rows.append(row(symbol, hour, values, rng.choice([None, rng.randrange(9)])))
    return rows


def same(got: pl.DataFrame, want: dict):
    assert {(r["symbol"], r["hour"]) for r in got.to_dicts()} == set(want)
    for r in got.to_dicts():
        for name, value in want[r["symbol"], r["hour"]].items():
            assert (r[name] is None) == (value is None), name
            assert r[name] == value or math.isclose(r[name], value, rel_tol=1e-12), name


def test_by_hand(engine):
    rows = [
        row("BTCUSDT", 0, [10.0, 15.0, 9.0, 12.0, 1.0, 100.0, 5e3, 1e-4], 5),
        row("BTCUSDT", 8, [12.0, 20.0, 11.0, 19.0, 2.0, 110.0, 6e3, 2e-4], 6),
        row("BTCUSDT", 16, [19.0, 19.5, 8.0, 8.5, 4.0, 90.0, 4e3, 5e-4], 7),
        row("BTCUSDT", 24, [8.5, 9.0, 8.0, 8.8, 3.0, 95.0, 4e3, 1e-4], 2),
    ]
    got = resampled(engine, frame_of(rows))
    assert got.columns == ["exchange", "symbol", "timestamp", "rows", "base", *FLOATS, "trades", "hour"]
    assert {got.schema["trades"], got.schema["rows"]} == {pl.Int64}
    assert got.drop("timestamp", "value_usd").rows() == [
        ("okx", "BTCUSDT", 3, "BTC", 10.0, 20.0, 8.0, 8.5, 7.0, 90.0, 4e3, 18, 0.0),
        ("okx", "BTCUSDT", 1, "BTC", 8.5, 9.0, 8.0, 8.8, 3.0, 95.0, 4e3, 2, 24.0),
    ]
    assert got["value_usd"].to_list() == pytest.approx([8e-4, 1e-4], rel=1e-12)


@pytest.mark.parametrize("hours", [4, 24])
def test_engine_agrees_with_plain_python(engine, hours):
    rows = random_rows(40, 3)
    same(resampled(engine, frame_of(rows), every=f"{hours}h"), oracle(rows, hours))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 20), st.integers(0, 999), st.sampled_from([1, 8, 24]))
def test_oracle(n, seed, hours):
    rows = random_rows(n, seed)
    got = cexkit.resample(frame_of(rows), every=f"{hours}h")
    same(got.with_columns(hour=(pl.col("timestamp") - START).dt.total_hours()), oracle(rows, hours))


def test_what_an_instrument_is_stays_and_facts_of_one_row_go(engine):
    times = [START + timedelta(hours=h) for h in (0, 6, 30)]
    frame = pl.DataFrame(
        {
            "timestamp": times,
            "quote": ["USDT", "USDT", None],
            "multiplier": [1.0, 1000.0, 1000.0],
            "inverse": [False, False, True],
            "expiry": [times[2]] * 3,
            "coverage": ["full", "throttled", "full"],
            "side": ["long", "short", "long"],
            "venue_timestamp": times,
            "funding_interval_hours": [8.0] * 3,
            "quantity_base": [1.0, 2.0, 4.0],
            "value_quote": [1.0, 2.0, None],
            "event": [0, 1, 0],
        },
        schema_overrides={"expiry": pl.Datetime("us", "UTC")},
    )
    got = resampled(engine, frame).drop("timestamp", "hour")
    assert got.columns == [
        "rows",
        "quote",
        "multiplier",
        "inverse",
        "expiry",
        "quantity_base",
        "value_quote",
        "coverage",
    ]
    assert got.drop("expiry").rows() == [
        (2, "USDT", None, False, 3.0, 3.0, "throttled"),
        (1, None, 1000.0, True, 4.0, None, "full"),
    ]
    assert got["expiry"].dt.epoch("s").to_list() == [int(times[2].timestamp())] * 2


def test_aggregates_of_ones_own(engine):
    rows = [row("BTCUSDT", h, [float(h + 1)] * 8) for h in (1, 0, 2)]
    frame = frame_of(rows).with_columns(score=pl.col("close") * 2, note=pl.lit("x"))
    choice = {"score": "first", "value_usd": "last", "high": "min", "note": "none", "open": "none"}
    got = resampled(engine, frame, aggregates=choice)
    assert "note" not in got.columns
    assert "open" not in got.columns
    assert got.select("score", "value_usd", "high", "low").rows() == [(2.0, 3.0, 1.0, 1.0)]


@cache
def history():
    return simulate(start="2026-05-02", end="2026-05-09", coins=["BTC"])


@pytest.mark.parametrize("name", ["ohlcv_1h", "mark_1h", "funding_rates", "open_interest", "liquidations"])
def test_tables_go_in_as_they_are(name):
    """Nothing of a table is undeclared, stocks are the last of the bucket and flows add up to the same."""
    frame = pl.DataFrame(history().tables[name])
    got = frame.crypto.resample(every="12h")
    assert got["rows"].sum() == frame.height > got.height > 0
    keys = ["exchange", "instrument_type", "symbol"]
    for column in set(got.columns) & set(FIELDS):
        if FIELDS[column].aggregate == "sum":
            assert got[column].sum() == pytest.approx(frame[column].sum(), rel=1e-9)
        if FIELDS[column].aggregate == "last":
            ends = frame.sort("timestamp").group_by(keys).agg(pl.col(column).drop_nulls().last()).sort(keys)
            last = got.sort("timestamp").group_by(keys).agg(pl.col(column).drop_nulls().last()).sort(keys)
            assert last[column].to_list() == ends[column].to_list()


def test_what_is_refused(engine):
    frame = frame_of([row("BTCUSDT", 0, [1.0] * 8)])
    own = frame.with_columns(score=1.0, note=pl.lit("x"))
    with pytest.raises(InvalidInputError, match=r"how score, note is brought.*aggregates=\{'score': 'last'\}"):
        cexkit.resample(engine.make(own))
    with pytest.raises(UnknownNameError, match="did you mean 'sum'"):
        cexkit.resample(engine.make(frame), aggregates={"close": "sums"})
    with pytest.raises(MissingColumnError, match="'score'"):
        cexkit.resample(engine.make(frame), aggregates={"score": "sum"})
    with pytest.raises(InvalidInputError, match="symbol cannot have aggregates"):
        cexkit.resample(engine.make(frame), aggregates={"symbol": "last"})
    with pytest.raises(InvalidInputError, match="base cannot be summed"):
        cexkit.resample(engine.make(frame), aggregates={"base": "sum"})
    with pytest.raises(ColumnTypeError, match="'note'"):
        cexkit.resample(engine.make(own), aggregates={"score": "sum", "note": "last"})
    with pytest.raises(InvalidInputError, match="not a duration"):
        cexkit.resample(engine.make(frame), every="1M")


def test_ties_matter_only_to_first_and_last():
    frame = frame_of([row("BTCUSDT", 0, [1.0] * 8), row("BTCUSDT", 0, [2.0] * 8)])
    with pytest.raises(DuplicateKeyError):
        frame.crypto.resample()
    flows = frame.select("timestamp", "symbol", "volume_base", "high")
    assert flows.crypto.resample().select("rows", "volume_base", "high").rows() == [(2, 3.0, 2.0)]


def test_few_rows(engine):
    assert resampled(engine, frame_of([])).height == 0
    assert resampled(engine, frame_of([row("BTCUSDT", 3, [1.0] * 8)]))["rows"].to_list() == [1]


def test_resampled_twice_is_resampled_once():
    frame = frame_of(random_rows(50, 8))
    once, twice = frame.crypto.resample(every="1d"), frame.crypto.resample(every="4h").drop("rows").crypto.resample()
    for name in HOW:
        assert twice[name].to_list() == pytest.approx(once[name].to_list(), rel=1e-12, nan_ok=False) or name in FLOATS
    assert twice.select("open", "high", "low", "close", "trades").equals(
        once.select("open", "high", "low", "close", "trades")
    )


def trades(rows) -> pl.DataFrame:
    schema = {
        "symbol": pl.String,
        "timestamp": pl.Datetime("us", "UTC"),
        "close": pl.Float64,
        "volume_base": pl.Float64,
    }
    data = [(s, START + timedelta(hours=h), p, v) for s, h, p, v in rows]
    return pl.DataFrame(data, schema=schema, orient="row")


def test_vwap_by_hand(engine):
    rows = [
        ("A", 0, 100.0, 3.0), ("A", 1, 110.0, 1.0), ("A", 2, None, 9.0), ("A", 3, 120.0, math.nan), ("A", 3, 1.0, -1.0),
        ("A", 25, 50.0, 0.0), ("A", 49, None, 1.0), ("B", 1, 7.0, 2.0), ("B", 1, 9.0, 2.0),
    ]  # fmt: skip
    got = engine.back(cexkit.vwap(engine.make(trades(rows)))).sort("symbol", "timestamp")
    assert got.select("symbol", "vwap").rows() == [("A", 102.5), ("A", None), ("A", None), ("B", 8.0)]
    assert got["volume"].fill_null(0.0).to_list() == [4.0, 0.0, 0.0, 4.0]
    assert engine.back(cexkit.vwap(engine.make(trades([])))).height == 0


number = st.one_of(st.none(), st.just(math.nan), st.integers(-1, 50).map(float))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 60), number, number), max_size=30))
def test_vwap_agrees_with_plain_python(rows):
    rows = rows + [("C", 0, 1.0, 1.0)] * 31  # so that the median of a column is in range
    want = {}
    for symbol, start in {(r[0], r[1] // 8 * 8) for r in rows}:
        part = [r[2:] for r in rows if (r[0], r[1] // 8 * 8) == (symbol, start)]
        part = [(p, v) for p, v in part if p is not None and v is not None and p > 0 and v >= 0]
        total = sum(v for _, v in part)
        want[symbol, start] = sum(p * v for p, v in part) / total if total else None
    got = cexkit.vwap(trades(rows), every="8h").with_columns(hour=(pl.col("timestamp") - START).dt.total_hours())
    assert {r[:2]: r[2] for r in got.select("symbol", "hour", "vwap").rows()} == pytest.approx(want)


# ------------------------------------------------------------- funding
def funding(hours: list[float], **columns) -> pl.DataFrame:
    """Settlements at these hours, one basis point each."""
    times = pl.Series([START + timedelta(hours=hour) for hour in hours], dtype=pl.Datetime("us", "UTC"))
    return pl.DataFrame({"symbol": "BTCUSDT", "timestamp": times, "funding_rate": 1e-4, **columns})


def daily(engine, frame, **arguments) -> tuple[list[float | None], int]:
    """Sums of funding by day, and the number of warnings that settlements are missing."""
    with warnings.catch_warnings(record=True, action="always") as caught:
        got = resampled(engine, frame, **arguments)
    told = [one for one in caught if one.category is MissingSettlementsWarning]
    return [None if v is None or math.isnan(v) else round(v, 9) for v in got["funding_rate"].to_list()], len(told)


DAYS = list(range(0, 96, 8))


@pytest.mark.parametrize(
    ("missing", "want"),
    [
        ([], [3e-4, 3e-4, 3e-4, 3e-4]),
        ([32], [3e-4, None, 3e-4, 3e-4]),  # within the second day
        ([24], [3e-4, None, 3e-4, 3e-4]),  # at its start
        ([16], [None, 3e-4, 3e-4, 3e-4]),  # at the end of the first
        ([16, 24], [None, None, 3e-4, 3e-4]),
        ([0, 88], [2e-4, 3e-4, 3e-4, 2e-4]),  # outside of the frame: nobody knows
    ],
)
@pytest.mark.parametrize("declared", [True, False])
def test_funding_of_a_day_that_lacks_settlements_is_null(engine, missing, want, declared):
    hours = [hour for hour in DAYS if hour not in missing]
    frame = funding(hours, **({"funding_interval_hours": 8.0} if declared else {}))
    assert daily(engine, frame) == (want, int(None in want and engine.eager))


def test_funding_joined_to_daily_bars_is_null(engine):
    frame = funding([0, 24, 48, 72], funding_interval_hours=8.0, close=100.0)
    values, told = daily(engine, frame)
    assert values[:3] == [None] * 3
    assert told == engine.eager
    # closes are not lost with it
    assert resampled(engine, frame.drop("funding_rate"))["close"].to_list() == [100.0] * 4


def test_funding_joined_to_hourly_bars_is_whole(engine):
    bars = funding(list(range(72))).with_columns(
        pl.when(pl.int_range(72) % 8 == 0).then("funding_rate").alias("funding_rate")
    )
    assert daily(engine, bars) == ([3e-4] * 3, 0)


@pytest.mark.parametrize(
    ("settled", "want"),
    [
        (range(8, 72, 8), [2e-4, 3e-4, 3e-4]),  # nothing settled at the first bar: perhaps it was listed then
        (range(16, 72, 8), [None, 3e-4, 3e-4]),
        (range(32, 72, 8), [None, None, 3e-4]),
        (range(0, 64, 8), [3e-4, 3e-4, None]),
        (range(0, 49, 8), [3e-4, 3e-4, None]),
        (range(0, 41, 8), [3e-4, 3e-4, None]),
    ],
)
@pytest.mark.parametrize("declared", [True, False])
def test_bars_that_go_beyond_settlements_have_no_sum(engine, settled, want, declared):
    hours = list(range(72))
    frame = funding(hours, **({"funding_interval_hours": 8.0} if declared else {}))
    frame = frame.with_columns(funding_rate=pl.Series([1e-4 if hour in settled else None for hour in hours]))
    values, told = daily(engine, frame)
    assert values == want
    some = {hour // 24 for hour in settled}
    assert told == (engine.eager and any(want[day] is None for day in some))  # days without any have no sum anyway


def test_a_late_settlement_is_not_missing(engine):
    assert daily(engine, funding([0, 8, 16, 26, 32, 40, 48, 56, 64])) == ([3e-4] * 3, 0)


def test_a_settlement_of_the_same_minute_is_a_duplicate(engine):
    frame = funding([*DAYS, 8 + 11 / 3.6e6])
    if engine.eager:
        with pytest.raises(DuplicateKeyError, match="resample: 1 settlements follow another"):
            daily(engine, frame)
        # where funding is not summed, rows may be anything
        assert resampled(engine, frame, aggregates={"funding_rate": "max"}).height == 4
    else:
        assert daily(engine, frame)[0] == [None, 3e-4, 3e-4, 3e-4]


def test_filled_rates_are_suspected():
    rates = [(hour // 8 * 7 % 11 - 5) / 1e5 for hour in range(72)]
    with pytest.warns(ForwardFilledRateWarning, match="resample: rows are 60 minutes apart"):
        cexkit.resample(funding(list(range(72))).with_columns(funding_rate=pl.Series(rates)))


@pytest.mark.parametrize("seed", range(6))
def test_settlements_joined_to_bars_in_any_order_as_in_sql(seed):
    """Eager frames are judged by their settlements alone, lazy ones row by row: both find the same buckets."""
    rng, parts = random.Random(seed), []
    for exchange, symbol in (("a", "X"), ("a", None), ("b", "X"), ("b", "Y")):
        step, hours = rng.choice([1, 4, 8]), sorted(rng.sample(range(240), rng.choice([120, 230, 239])))
        rates = [rng.gauss(0, 1e-4) if hour % step == 0 and rng.random() < 0.9 else None for hour in hours]
        times = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in hours]
        columns = {"exchange": exchange, "symbol": symbol, "timestamp": times, "close": 1.0, "funding_rate": rates}
        parts.append(pl.DataFrame(columns, schema_overrides={"symbol": pl.String, "funding_rate": pl.Float64}))
    rows = pl.concat(parts)
    for frame in (rows, rows.sort("timestamp"), rows.sample(fraction=1, shuffle=True, seed=seed)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CexkitWarning)
            got = cexkit.resample(frame, every="1d")
        want = cexkit.resample(frame.lazy(), every="1d").collect()
        assert_frame_equal(got, want, rel_tol=1e-12)
        assert got["funding_rate"].null_count()
