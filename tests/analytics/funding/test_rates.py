"""Funding: intervals, annual rates, sums. The 8-hour assumption is the enemy."""

from __future__ import annotations

import math
import os
import random
import warnings
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import hypothesis.strategies as st
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings

import cexkit
from cexkit.errors import (
    ColumnTypeError,
    DuplicateKeyError,
    ForwardFilledRateWarning,
    InvalidInputError,
    MissingColumnError,
    MissingSettlementsWarning,
    SuspectRateWarning,
    UnknownNameError,
)

START = datetime(2024, 1, 1, tzinfo=UTC)
SHARED = Path(os.environ.get("CEXKIT_SHARED", Path(__file__).parents[4] / "shared"))


def settlements(distances: list[float], jitter: bool = False, **columns) -> pl.DataFrame:
    """A first settlement and one after each distance in hours."""
    hours = [0.0]
    for distance in distances:
        hours.append(hours[-1] + distance)
    wobble = [(i * 37) % 48 if jitter else 0 for i in range(len(hours))]
    times = [START + timedelta(hours=h, milliseconds=w) for h, w in zip(hours, wobble, strict=True)]
    return pl.DataFrame({"timestamp": pl.Series(times, dtype=pl.Datetime("us", "UTC")), **columns})


def intervals(frame: pl.DataFrame) -> list[tuple[float | None, bool]]:
    return cexkit.funding_interval(frame).select("funding_interval_hours", "is_gap").rows()


# ------------------------------------------------------------- the rule, case by case
DOUBT = (None, True)


def plain(*hours: float) -> list[tuple[float, bool]]:
    return [(float(h), False) for h in hours]


CASES = {
    "steady": ([8, 8, 8], plain(8, 8, 8, 8)),
    "8 to 4 to 1": ([8, 8, 4, 4, 4, 1, 1], plain(8, 8, 8, 4, 4, 4, 1, 1)),
    "1 to 4 to 8": ([1, 1, 4, 4, 8, 8], plain(1, 1, 1, 4, 4, 8, 8)),
    "down and up again": ([8, 8, 4, 4, 8, 8], plain(8, 8, 8, 4, 4, 8, 8)),
    "every interval": ([1, 1, 2, 2, 4, 4, 6, 6, 8, 8], plain(1, 1, 1, 2, 2, 4, 4, 6, 6, 8, 8)),
    "one settlement missing": ([8, 8, 16, 8, 8], [*plain(8, 8, 8), (8.0, True), *plain(8, 8)]),
    "missing, and the distance is an interval too": (
        [4, 4, 8, 4, 4],
        [*plain(4, 4, 4), (4.0, True), *plain(4, 4)],
    ),
    "three missing": ([1, 1, 4, 1, 1], [*plain(1, 1, 1), (1.0, True), *plain(1, 1)]),
    "a week missing": ([8, 8, 168, 8, 8], [*plain(8, 8, 8), (8.0, True), *plain(8, 8)]),
    "a shorter one alone": ([8, 8, 4, 8, 8], plain(8, 8, 8, 4, 8, 8)),
    "gap, then a last row": ([4, 4, 12, 4], [*plain(4, 4, 4), (4.0, True), *plain(4)]),
    # what the times leave open is null and flagged, never guessed
    "gap beside a change, 1 h to 4 h": ([1, 1, 2, 4, 4], [*plain(1, 1, 1), DOUBT, *plain(4, 4)]),
    "gap beside a change, 8 h to 4 h": ([8, 8, 12, 4, 4], [*plain(8, 8, 8), DOUBT, *plain(4, 4)]),
    "gap or change at the second row": ([8, 4, 4, 4], [DOUBT, DOUBT, *plain(4, 4, 4)]),
    "gap at the second row": ([16, 8, 8], [DOUBT, DOUBT, *plain(8, 8)]),
    "gap or change at the last row": ([4, 4, 8], [*plain(4, 4, 4), DOUBT]),
    "two gaps in a row": ([4, 4, 8, 8, 4, 4], [*plain(4, 4, 4), DOUBT, DOUBT, *plain(4, 4)]),
    "two gaps of different length": ([1, 1, 2, 4, 1, 1], [*plain(1, 1, 1), DOUBT, DOUBT, *plain(1, 1)]),
    "no interval at all": ([24, 24, 24], [DOUBT] * 4),
    "off the grid": ([8, 8, 7, 8, 8], [*plain(8, 8, 8), DOUBT, *plain(8, 8)]),
    "nothing beside supports it": ([12, 8, 12], [DOUBT] * 4),
    # a settlement that is early or late moves two distances
    **{f"{late} h late": ([8, 8, 8 + late, 8 - late, 8, 8], plain(*[8] * 7)) for late in (2, 4, 6, 7)},
    **{f"{early} h early": ([8, 8 - early, 8 + early, 8], plain(*[8] * 5)) for early in (2, 4, 6, 7)},
    "1 h late of 4 h": ([4, 4, 5, 3, 4], plain(*[4] * 6)),
    "late, and nothing after": ([8, 8, 12, 4], [*plain(8, 8, 8), DOUBT, DOUBT]),
    "early, and nothing before": ([4, 12, 8, 8], [DOUBT, DOUBT, DOUBT, *plain(8, 8)]),
    "late, and nothing else": ([14, 2], [DOUBT] * 3),
    "late beside a change": ([8, 8, 10, 6, 4, 4], [*plain(8, 8, 8), DOUBT, DOUBT, *plain(4, 4)]),
    "two late after each other": ([8, 8, 10, 8, 6, 8, 8], [*plain(8, 8, 8), DOUBT, (8.0, False), DOUBT, *plain(8, 8)]),
    "missing, and the next one late": ([8, 8, 20, 4, 8, 8], [*plain(8, 8, 8), DOUBT, DOUBT, *plain(8, 8)]),
    "1 h to 4 h on the grid": ([1, 1, 3, 4, 4], [*plain(1, 1, 1), DOUBT, *plain(4, 4)]),
    # ends
    "no row before or after": ([], [(None, False)]),
    "two rows": ([4], plain(4, 4)),
}


@pytest.mark.parametrize("jitter", [False, True], ids=["exact", "jitter"])
@pytest.mark.parametrize("name", CASES)
def test_interval_rule(name, jitter):
    distances, want = CASES[name]
    assert intervals(settlements(distances, jitter)) == want


@pytest.mark.parametrize(("seconds", "hours"), [(59, 8.0), (-59, 8.0), (89, 8.0), (91, None), (-91, None)])
def test_snap_is_within_one_minute_of_the_rounded_distance(seconds, hours):
    late = settlements([8 + seconds / 3600])
    assert intervals(late) == [(hours, hours is None)] * 2


LEGAL = {60, 120, 240, 360, 480}


def distances_of(times: list[int]) -> list[int]:
    """Minutes from each settlement to the next, snapped to the hour."""
    found = []
    for before, after in pairwise(times):
        hour = (after - before + 30) // 60 * 60
        found.append(hour if abs(after - before - hour) <= 1 else after - before)
    return found


def multiple(distance: int | None, of: int) -> bool:
    return distance is not None and of in LEGAL and round(distance / of) >= 2 and abs(distance % of) == 0


def judge_pair(d: list[int | None], i: int) -> int | None:
    """Interval if distances i and i + 1 are of a displaced settlement, 0 if nothing decides, None if they are not."""
    before, one, two, after = d[i - 1], d[i], d[i + 1], d[i + 2]
    if not one or not two or one in (two, before) or two == after:
        return None
    for interval in LEGAL:
        twice = abs(one + two - 2 * interval) <= 1
        if before == after == interval and twice:
            return interval
        rest = (one + two) % interval
        if before == after == interval and one % interval and min(rest, interval - rest) <= 1:
            return 0
        if twice and (interval in (before, after) or before is after is None):
            return 0
    return None


def judge(d: list[int | None], i: int, *, displaced: bool = True) -> tuple[float | None, bool]:
    """Interval and flag of the settlement after distance i; ``d`` has three nulls at each end."""
    distance, before, after = d[i], d[i - 1], d[i + 1]
    if before is not None and before == after and multiple(distance, before):
        return before / 60, True
    pairs = [judge_pair(d, i - 1), judge_pair(d, i)] if displaced else []
    if interval := next((found for found in pairs if found), None):
        return interval / 60, False
    undone = [other for other in (d[i - 2], d[i + 2]) if other and before and abs(distance + other - 2 * before) <= 1]
    if 0 in pairs or (displaced and before == after and before in LEGAL and distance != before and undone):
        return DOUBT
    if distance not in LEGAL:
        return DOUBT
    if distance in (before, after):
        left = i if distance == after else i - 1
        alone = d[left - 1] != distance and d[left + 2] != distance
        between = d[left - 1] == d[left + 2] and d[left - 1] is not None and multiple(distance, d[left - 1])
        return DOUBT if alone and between else (distance / 60, False)
    if displaced and distance in (judge_pair(d, i - 2), judge_pair(d, i + 1)):
        return distance / 60, False
    beside = [other for other in (before, after) if other is not None]
    if any(multiple(distance, other) for other in beside):
        return DOUBT
    supported = not beside or any(other in LEGAL or multiple(other, distance) for other in beside)
    return (distance / 60, False) if supported else DOUBT


def oracle(times: list[int], *, displaced: bool = True) -> list[tuple[float | None, bool]]:
    """The rule in plain Python: times in minutes, sorted; without settlements that are early or late."""
    none = [None] * 3
    d = [*none, *distances_of(times), *none]
    judged = [judge(d, i, displaced=displaced) for i in range(3, len(d) - 3)]
    return [judged[0] if judged else (None, False), *judged]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.lists(
            st.sampled_from([60, 120, 240, 360, 480, 480, 480, 480, 600, 240, 60, 720, 960, 61, 479, 90]), max_size=12
        ),
        min_size=1,
        max_size=3,
    ),
    st.randoms(use_true_random=False),
)
def test_interval_agrees_with_the_oracle_whatever_the_order(series, rnd):
    rows, want = [], {}
    for k, distances in enumerate(series):
        times = [0]
        for distance in distances:
            times.append(times[-1] + distance)
        for time, result in zip(times, oracle(times), strict=True):
            rows.append((f"S{k}", START + timedelta(minutes=time)))
            want[rows[-1]] = result
    rnd.shuffle(rows)
    schema = {"symbol": pl.String, "timestamp": pl.Datetime("us", "UTC")}
    got = cexkit.funding_interval(pl.DataFrame(rows, schema=schema, orient="row"))
    for symbol, time, hours, gap in got.rows():
        expected_hours, expected_gap = want[symbol, time]
        assert gap == expected_gap
        assert (hours is None) == (expected_hours is None)
        assert hours is None or math.isclose(hours, expected_hours)


def test_declared_interval_wins_and_nulls_are_derived():
    frame = settlements([8, 8, 4, 4, 8, 4], funding_interval_hours=[8, 8, None, 4, None, 4, None])
    assert intervals(frame) == [*plain(8, 8), (8.0, False), *plain(4, 4), (4.0, True), *([(4.0, False)])]


def test_declared_gap_needs_two_intervals():
    frame = settlements([8, 16, 12, 7, 20], funding_interval_hours=[8.0] * 6)
    assert [gap for _, gap in intervals(frame)] == [False, False, True, False, False, True]


@pytest.mark.filterwarnings("ignore::cexkit.errors.OutOfRangeWarning")
def test_declared_zero_is_not_an_interval():
    assert intervals(settlements([4, 4], funding_interval_hours=[0.0, -8.0, math.nan])) == plain(4, 4, 4)


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_units_and_zones_of_timestamps(unit, zone):
    frame = settlements([8, 8, 4, 4]).with_columns(pl.col("timestamp").dt.convert_time_zone(zone or "UTC"))
    frame = frame.with_columns(pl.col("timestamp").dt.replace_time_zone(None)) if zone is None else frame
    assert intervals(frame.with_columns(pl.col("timestamp").cast(pl.Datetime(unit, zone)))) == plain(8, 8, 8, 4, 4)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_pandas_units(unit):
    times = pd.DatetimeIndex(["2024-01-01 00:00", "2024-01-01 04:00", "2024-01-01 08:00"]).as_unit(unit)
    got = pd.DataFrame({"timestamp": times, "funding_rate": 1e-4}).crypto.funding_interval()
    assert got["funding_interval_hours"].tolist() == [4.0, 4.0, 4.0]
    assert got["is_gap"].dtype == bool


def test_whole_number_timestamps_are_refused():
    with pytest.raises(ColumnTypeError, match=r"timestamp.*unit"):
        cexkit.funding_interval(pl.DataFrame({"timestamp": [0, 28_800_000]}))


# ------------------------------------------------------------- every engine
@pytest.fixture
def mixed() -> pl.DataFrame:
    """Three instruments with different intervals, one of them changing, interleaved and shuffled."""
    parts = []
    plans = {"AUSDT": [8] * 6, "BUSDT": [8, 8, 4, 4, 4, 8, 4], "CUSDT": [1, 1, 1, 3, 1, 1, 1]}
    for exchange in ("binance", "okx"):
        for symbol, distances in plans.items():
            n = len(distances) + 1
            rng = random.Random(symbol + exchange)
            rates = [rng.gauss(0, 1e-4) for _ in range(n)]
            rates[2], rates[4] = None, math.nan
            parts.append(
                settlements(distances, jitter=True).with_columns(
                    exchange=pl.lit(exchange),
                    instrument_type=pl.lit("perp"),
                    symbol=pl.lit(symbol),
                    funding_rate=pl.Series(rates, dtype=pl.Float64),
                    _mine=pl.int_range(n),
                )
            )
    return pl.concat(parts).sample(fraction=1, shuffle=True, seed=3)


def by_instrument(frame: pl.DataFrame) -> dict[tuple, list[dict]]:
    groups = defaultdict(list)
    for row in frame.sort("timestamp").iter_rows(named=True):
        groups[row["exchange"], row["symbol"]].append(row)
    return groups


def clean(value):
    return None if value is None or math.isnan(value) else value


def test_every_engine_agrees_with_plain_python(engine, helpers, mixed):
    frame = engine.make(mixed)
    names = ("funding_apr", "funding_apy")
    results = {name: engine.back(getattr(cexkit, name)(frame)) for name in names}
    results["cumulative_funding"] = engine.back(cexkit.cumulative_funding(frame, gaps="skip"))
    results["compound"] = engine.back(cexkit.cumulative_funding(frame, compound=True, gaps="skip"))
    found = engine.back(cexkit.funding_interval(frame))
    for rows in by_instrument(mixed).values():
        where = pl.all_horizontal(pl.col("exchange") == rows[0]["exchange"], pl.col("symbol") == rows[0]["symbol"])
        minutes = [round(row["timestamp"].timestamp() / 60) for row in rows]
        judged, rates = oracle(minutes), [clean(row["funding_rate"]) for row in rows]
        hours = [h for h, _ in judged]
        assert helpers.column(found.filter(where), "is_gap") == [g for _, g in judged]
        helpers.close(helpers.column(found.filter(where), "funding_interval_hours"), hours)
        usable = [r is not None and h is not None for r, h in zip(rates, hours, strict=True)]
        pairs = list(zip(rates, hours, usable, strict=True))
        apr = [r * 24 / h * 365 if ok else None for r, h, ok in pairs]
        apy = [(1 + r) ** (8760 / h) - 1 if ok else None for r, h, ok in pairs]
        sums, compound, total, growth = [], [], [], 1.0
        for rate in rates:
            total += [] if rate is None else [rate]
            growth *= 1 + (rate or 0.0)
            sums.append(None if rate is None else math.fsum(total))
            compound.append(None if rate is None else growth - 1)
        helpers.close(helpers.column(results["funding_apr"].filter(where), "funding_apr"), apr)
        helpers.close(helpers.column(results["funding_apy"].filter(where), "funding_apy"), apy, 1e-9)
        helpers.close(helpers.column(results["cumulative_funding"].filter(where), "cumulative_funding"), sums, 1e-9)
        helpers.close(helpers.column(results["compound"].filter(where), "cumulative_funding"), compound, 1e-9)


def test_callers_columns_and_order_survive(engine, mixed):
    got = engine.back(cexkit.funding_interval(engine.make(mixed)))
    assert got.columns == [*mixed.columns, "funding_interval_hours", "is_gap"]
    kept = got.select(mixed.columns)
    if engine.name != "ibis":  # which promises no row order
        assert kept["symbol"].to_list() == mixed["symbol"].to_list()
        assert kept["timestamp"].dt.epoch("us").to_list() == mixed["timestamp"].dt.epoch("us").to_list()
    assert sorted(kept["_mine"].to_list()) == sorted(mixed["_mine"].to_list())
    if engine.name in ("polars", "lazy", "pyarrow"):  # a caller's NaN stays in the caller's own column
        assert kept["funding_rate"].is_nan().sum() == mixed["funding_rate"].is_nan().sum() > 0


@pytest.mark.parametrize("name", ["funding_interval", "funding_apr", "funding_apy", "cumulative_funding"])
@pytest.mark.parametrize("rows", [0, 1])
def test_empty_and_single_row(engine, name, rows):
    frame = settlements([], funding_rate=[0.0001]).head(rows)
    got = engine.back(getattr(cexkit, name)(engine.make(frame)))
    assert got.height == rows
    if rows and name in ("funding_apr", "funding_apy"):
        assert got[name].to_list() == [None]  # one settlement says nothing about its interval
    if rows and name == "cumulative_funding":
        assert got[name].to_list() == [0.0001]


def test_empty_pandas_frame_without_types():
    frame = pd.DataFrame(columns=["timestamp", "funding_rate"])
    assert frame.crypto.funding_apr().empty
    assert list(cexkit.funding_interval(frame).columns)[-2:] == ["funding_interval_hours", "is_gap"]


def test_row_paths_agree_with_declared_hours(engine, helpers):
    hours, rates = [8.0, 4.0, 1.0, 8.0, 8.0], [1e-4, 1e-4, -2e-4, math.nan, None]
    frame = settlements([8, 4, 1, 8], funding_rate=rates, funding_interval_hours=hours)
    for source in (frame, frame.drop("timestamp")):
        native = engine.make(source.with_row_index("timestamp_order"))
        apr = engine.back(cexkit.funding_apr(native)).sort("timestamp_order")["funding_apr"].to_list()
        helpers.close([clean(v) for v in apr], [0.1095, 0.219, -1.752, None, None])
        apy = engine.back(cexkit.funding_apy(native)).sort("timestamp_order")["funding_apy"].to_list()
        want = [1.0001**1095 - 1, 1.0001**2190 - 1, 0.9998**8760 - 1, None, None]
        helpers.close([clean(v) for v in apy], want, 1e-9)


@pytest.mark.filterwarnings("ignore::cexkit.errors.OutOfRangeWarning")
def test_partly_declared_hours_are_completed(engine, helpers):
    frame = settlements([4] * 4, funding_rate=[1e-4] * 5, funding_interval_hours=[8.0, None, math.nan, 0.0, 4.0])
    got = engine.back(cexkit.funding_apr(engine.make(frame)))
    helpers.close(helpers.column(got, "funding_apr"), [0.1095, 0.219, 0.219, 0.219, 0.219])


@pytest.mark.filterwarnings("ignore::cexkit.errors.OutOfRangeWarning")
@pytest.mark.parametrize("impossible", [0.0, -8.0, 480.0, math.inf, math.nan])
def test_impossible_declared_hours_are_derived(engine, helpers, impossible):
    frame = settlements([4] * 4, funding_rate=[1e-4] * 5, funding_interval_hours=[8.0, impossible, 4.0, 4.0, 4.0])
    got = engine.back(cexkit.funding_apr(engine.make(frame)))
    helpers.close(helpers.column(got, "funding_apr"), [0.1095, 0.219, 0.219, 0.219, 0.219])


def test_not_eight_hours_by_assumption():
    frame = settlements([4] * 4, funding_rate=[1e-4] * 5)
    assert frame.crypto.funding_apr().to_list() == pytest.approx([0.219] * 5)
    assert frame.crypto.funding_apr(interval_hours=8).to_list() == pytest.approx([0.1095] * 5)


def test_losing_everything(engine, helpers):
    frame = settlements([8] * 4, funding_rate=[0.1, -1.0, 0.1, None, -2.0])
    apy = engine.back(cexkit.funding_apy(engine.make(frame)))
    found = [value is None for value in map(clean, helpers.column(apy, "funding_apy"))]
    assert found == [False, True, False, True, True]
    total = engine.back(cexkit.cumulative_funding(engine.make(frame), compound=True))
    helpers.close([clean(v) for v in helpers.column(total, "cumulative_funding")], [0.1, None, None, None, None], 1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(-0.5, 0.5), st.just(math.nan)), min_size=1, max_size=30))
def test_sums_agree_with_plain_python(rates):
    # where most rows have no rate, they are bars between settlements
    rates += [0.01] * (1 + len(rates) - 2 * sum(clean(rate) is not None for rate in rates))
    frame = settlements([8] * (len(rates) - 1), funding_rate=pl.Series(rates, dtype=pl.Float64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SuspectRateWarning)
        got = cexkit.cumulative_funding(frame)["cumulative_funding"].to_list()
        compound = cexkit.cumulative_funding(frame, compound=True)["cumulative_funding"].to_list()
    total, growth = 0.0, 1.0
    for rate, value, grown in zip(map(clean, rates), got, compound, strict=True):
        if rate is None:
            assert value is None
            assert grown is None
            continue
        total, growth = total + rate, growth * (1 + rate)
        assert math.isclose(value, total, rel_tol=1e-9, abs_tol=1e-12)
        assert math.isclose(grown, growth - 1, rel_tol=1e-9, abs_tol=1e-9)


# ------------------------------------------------------------- what must be refused
def test_duplicate_settlements_are_refused():
    frame = settlements([8, 0, 8], funding_rate=[1e-4] * 4)
    for call in (cexkit.funding_interval, cexkit.funding_apr, cexkit.cumulative_funding):
        for native in (frame, frame.to_pandas(), frame.to_arrow(), frame.sample(fraction=1, shuffle=True, seed=1)):
            with pytest.raises(DuplicateKeyError, match="2 rows share"):
                call(native)


def test_duplicates_do_not_matter_where_order_does_not():
    frame = settlements([8, 0], funding_rate=[1e-4] * 3, funding_interval_hours=[8.0] * 3)
    assert cexkit.funding_apr(frame)["funding_apr"].to_list() == pytest.approx([0.1095] * 3)


def test_same_time_on_two_instruments_is_no_duplicate():
    one = settlements([8, 8], funding_rate=[0.1, 0.2, 0.3])
    both = pl.concat([one.with_columns(symbol=pl.lit(s)) for s in "AB"]).sample(fraction=1, shuffle=True, seed=0)
    got = cexkit.cumulative_funding(both).sort("symbol", "timestamp")["cumulative_funding"].to_list()
    assert got == pytest.approx([0.1, 0.3, 0.6] * 2)


def test_missing_columns_are_named():
    with pytest.raises(MissingColumnError, match=r"funding_rate.*available: rate.*rate=\.\.\."):
        cexkit.funding_apr(pl.DataFrame({"rate": [1.0]}))
    with pytest.raises(MissingColumnError, match=r"'funding_interval_hours' or 'timestamp'.*interval_hours=.*derives"):
        cexkit.funding_apr(pl.DataFrame({"funding_rate": [1e-4]}))
    with pytest.raises(MissingColumnError, match="reset_index"):
        cexkit.cumulative_funding(pd.DataFrame({"funding_rate": [1e-4]}))


def test_wrong_types_are_named(engine):
    frame = settlements([8], funding_rate=["0.0001", "0.0001"])
    with pytest.raises(ColumnTypeError, match="numbers in column 'funding_rate'"):
        cexkit.cumulative_funding(engine.make(frame))


@pytest.mark.parametrize("hours", [0, -8, math.inf, math.nan])
def test_impossible_override(hours):
    with pytest.raises(InvalidInputError, match="interval_hours"):
        cexkit.funding_apr(pl.DataFrame({"funding_rate": [1e-4]}), interval_hours=hours)


def test_null_timestamps_have_no_order():
    frame = settlements([8], funding_rate=[1e-4, 1e-4]).with_columns(
        timestamp=pl.when(pl.int_range(2) > 0).then("timestamp")
    )
    with pytest.raises(InvalidInputError, match="1 rows have no timestamp"):
        cexkit.cumulative_funding(frame)


@pytest.mark.parametrize("make", [lambda f: f, lambda f: f.to_pandas(), lambda f: f.to_arrow()])
def test_percent_is_suspected(make):
    percent = settlements([8] * 29, funding_rate=[0.01] * 30, funding_interval_hours=[8.0] * 30)
    with pytest.warns(SuspectRateWarning, match="percent") as caught:
        cexkit.funding_apr(make(percent))
    assert caught[0].filename == __file__
    cexkit.funding_apr(make(percent.head(29)))  # too few to judge
    cexkit.funding_apr(make(percent.with_columns(pl.col("funding_rate") / 100)))


# ------------------------------------------------------------- real history
@pytest.mark.parametrize("coin", ["BTC", "ETH"])
def test_real_history(coin):
    path = SHARED / "real" / f"binance_{coin}USDT_funding_utc.csv"
    if not path.exists():
        pytest.skip(f"no recorded history at {path}")
    raw = pl.read_csv(path)
    frame = raw.select(timestamp=pl.from_epoch("funding_time_ms", "ms"), funding_rate="funding_rate")
    found = cexkit.funding_interval(frame)
    assert found.height == 4383
    assert found["is_gap"].sum() == 0
    assert found["funding_interval_hours"].unique().to_list() == [8.0]
    for year in range(2020, 2024):
        part = frame.filter(pl.col("timestamp").dt.year() == year).sample(fraction=1, shuffle=True, seed=year)
        got = cexkit.cumulative_funding(part).sort("timestamp")["cumulative_funding"][-1]
        rows = zip(raw["funding_time_utc"], raw["funding_rate"], strict=True)
        assert got == pytest.approx(math.fsum(rate for time, rate in rows if time.startswith(str(year))), rel=1e-9)
    apr = cexkit.funding_apr(frame)["funding_apr"]
    assert apr.to_list() == pytest.approx([rate * 3 * 365 for rate in raw["funding_rate"]], rel=1e-12)


@pytest.mark.parametrize("table", ["funding_rates", "market_funding_binance_2026q1"])
def test_intervals_of_the_real_history(shared, table):
    """All perpetuals by an independent implementation; none of them has a settlement that is early or late."""
    path = shared / "real" / "history" / f"{table}.parquet"
    if not path.exists():
        pytest.skip(f"no recorded history at {path}")
    keys = ["exchange", "instrument_type", "symbol"]
    frame = pl.read_parquet(path).select(*keys, "timestamp", "funding_rate").sort(*keys, "timestamp")
    found = cexkit.funding_interval(frame.sample(fraction=1, shuffle=True, seed=1)).sort(*keys, "timestamp")
    changes = 0
    for part in found.partition_by(keys, maintain_order=True):
        minutes = [round(time.timestamp() / 60) for time in part["timestamp"]]
        got = part.select("funding_interval_hours", "is_gap").rows()
        assert got == [(hours, gap) for hours, gap in oracle(minutes)], part["symbol"][0]
        assert got == [(hours, gap) for hours, gap in oracle(minutes, displaced=False)], part["symbol"][0]
        distances = distances_of(minutes)
        for i in range(2, len(distances) - 2):
            if distances[i - 2 : i + 2] == [60, 60, 180, 240]:
                changes += 1
                # the settlement before, the first of 4 hours, and two that are 4 hours apart
                assert [hours for hours, _ in got[i : i + 4]] == [1.0, None, 4.0, 4.0]
    # a ninth ends the data of its perpetual, so that it is open whether 4 hours are an interval or a gap
    assert changes == (8 if table.startswith("market") else 0)


@pytest.mark.parametrize("name", ["funding_interval", "funding_apr", "cumulative_funding", "funding_zscore"])
def test_the_same_minute_is_the_same_settlement(name):
    frame = settlements([8] * 9, funding_rate=[1e-4, 2e-4] * 5)
    again = frame[4:5].with_columns(pl.col("timestamp") + pl.duration(milliseconds=11))
    twice = pl.concat([frame, again])
    call = getattr(cexkit, name)
    for native in (twice, twice.to_pandas(), twice.to_arrow(), twice.sample(fraction=1, shuffle=True, seed=1)):
        with pytest.raises(DuplicateKeyError, match=r"1 settlements follow another .* its minute"):
            call(native)


def test_a_settlement_that_is_there_twice_has_no_sum_on_lazy_frames():
    frame = settlements([8] * 5, funding_rate=[1e-4] * 6)
    twice = pl.concat([frame, frame[2:3].with_columns(pl.col("timestamp") + pl.duration(milliseconds=11))])
    got = cexkit.cumulative_funding(twice.lazy()).collect().sort("timestamp")["cumulative_funding"].to_list()
    assert got == [pytest.approx(1e-4), pytest.approx(2e-4), pytest.approx(3e-4), None, None, None, None]


# ------------------------------------------------------------- sums over missing settlements
def total(engine, frame: pl.DataFrame, **arguments) -> tuple[list[float | None], int]:
    """The sums, and the number of warnings of missing settlements."""
    with warnings.catch_warnings(record=True, action="always") as caught:
        got = engine.back(cexkit.cumulative_funding(engine.make(frame), **arguments)).sort("timestamp")
    values = [clean(value) for value in got["cumulative_funding"].to_list()]
    return values, len([one for one in caught if one.category is MissingSettlementsWarning])


@pytest.mark.parametrize("compound", [False, True])
def test_sums_end_where_a_settlement_is_missing(engine, compound):
    frame = settlements([8, 8, 16, 8], funding_rate=[1e-4] * 5)
    values, warned = total(engine, frame, compound=compound)
    assert values == [pytest.approx(1e-4), pytest.approx(2e-4, rel=1e-3), pytest.approx(3e-4, rel=1e-3), None, None]
    assert warned == engine.eager
    values, warned = total(engine, frame, compound=compound, gaps="skip")
    assert values[-1] == pytest.approx(5e-4, rel=1e-3)
    assert warned == 0


@pytest.mark.parametrize(("bar", "every"), [(24, 8), (16, 8), (24, 4), (24, 1), (12, 4)])
def test_sums_over_bars_that_lost_settlements_are_null(engine, bar, every):
    values, warned = total(engine, settlements([bar] * 9, funding_rate=[1e-4] * 10))
    assert values == [pytest.approx(1e-4), *[None] * 9]
    declared = settlements([bar] * 9, funding_rate=[1e-4] * 10, funding_interval_hours=[float(every)] * 10)
    assert total(engine, declared)[0] == values
    assert warned == engine.eager


def test_sums_over_a_declared_interval(engine):
    frame = settlements([8] * 4, funding_rate=[1e-4] * 5)
    assert total(engine, frame.with_columns(funding_interval_hours=8.0))[0][-1] == pytest.approx(5e-4)
    # settled every four hours, so every other one is missing
    assert total(engine, frame.with_columns(funding_interval_hours=4.0))[0] == [pytest.approx(1e-4), *[None] * 4]


def test_gaps_that_are_no_choice():
    with pytest.raises(UnknownNameError, match="unknown gaps 'fill'"):
        cexkit.cumulative_funding(settlements([8], funding_rate=[1e-4] * 2), gaps="fill")


# ------------------------------------------------------------- settlements among bars
def bars(hours: int, rates: dict[int, float | None], fill: bool = False) -> pl.DataFrame:
    """Bars of an hour with the settlements of some."""
    frame = settlements(
        [1] * (hours - 1), funding_rate=pl.Series([rates.get(i) for i in range(hours)], dtype=pl.Float64)
    )
    return frame.with_columns(pl.col("funding_rate").forward_fill()) if fill else frame


def test_sums_over_bars_before_the_first_settlement_are_null(engine):
    """Bars begin more than an interval before the settlements, so these are not all."""
    late, whole = (dict.fromkeys(range(first, 48, 8), 0.0001) for first in (16, 8))
    values, warned = total(engine, bars(48, late))
    assert values == [None] * 48
    assert warned == engine.eager
    values, warned = total(engine, bars(48, whole))
    assert [round(value, 9) for value in values if value is not None] == [1e-4, 2e-4, 3e-4, 4e-4, 5e-4]
    assert warned == 0


def test_bars_between_settlements_are_no_settlements(engine, helpers):
    """Joined to hourly bars, funding of eight hours is not that of one."""
    rates = {hour: 1e-4 * (1 + hour % 3) for hour in range(0, 48, 8)}
    frame = engine.make(bars(48, rates))
    got = helpers.column(engine.back(cexkit.funding_apr(frame)), "funding_apr")
    want = [rates[i] * 3 * 365 if i in rates else None for i in range(48)]
    helpers.close([clean(value) for value in got], want)
    found = engine.back(cexkit.funding_interval(frame)).sort("timestamp")
    hours = [clean(value) for value in found["funding_interval_hours"].to_list()]
    assert hours == [8.0 if i in rates else None for i in range(48)]
    assert not found["is_gap"].any()
    sums = helpers.column(engine.back(cexkit.cumulative_funding(frame)), "cumulative_funding")
    assert clean(sums[40]) == pytest.approx(math.fsum(rates.values()))


@pytest.mark.parametrize(
    "name", ["funding_apr", "funding_apy", "funding_interval", "cumulative_funding", "funding_zscore"]
)
@pytest.mark.parametrize("make", [lambda f: f, lambda f: f.to_pandas(), lambda f: f.to_arrow()])
def test_forward_filled_rates_are_suspected(name, make):
    rates = {hour: (hour * 7 % 11 - 5) / 1e5 for hour in range(0, 96, 8)}
    frame = bars(96, rates, fill=True)
    with pytest.warns(ForwardFilledRateWarning, match=rf"{name}: rows are 60 minutes apart .* of 8 hours") as caught:
        getattr(cexkit, name)(make(frame))
    assert caught[0].filename == __file__
    getattr(cexkit, name)(make(frame.with_columns(funding_rate=pl.Series([(i * 7 % 11 - 5) / 1e5 for i in range(96)]))))


@pytest.mark.parametrize("rate", [1e-4, 5e-5])
def test_a_filled_baseline_is_suspected(rate):
    """Most rates are the baseline of their interval: 0.01 % for 8 h, half of it for 4 h; an hour has an eighth."""
    frame = settlements([1] * 47, funding_rate=[rate] * 48)
    with pytest.warns(ForwardFilledRateWarning):
        cexkit.funding_apr(frame)
    cexkit.funding_apr(frame.with_columns(funding_rate=1.25e-5))
    cexkit.funding_apr(frame.with_columns(funding_interval_hours=8.0))  # each row is the rate that stands


def test_one_filled_instrument_among_many_is_found():
    rng = random.Random(5)
    rates = {hour: rng.gauss(0, 1e-4) for hour in range(0, 240, 8)}
    filled = bars(240, rates, fill=True).with_columns(symbol=pl.lit("FILLED"))
    others = [
        settlements([1] * 239, funding_rate=[rng.gauss(0, 1e-4) for _ in range(240)]).with_columns(
            symbol=pl.lit(f"S{k}")
        )
        for k in range(5)
    ]
    with pytest.warns(ForwardFilledRateWarning):
        cexkit.funding_apr(pl.concat([*others, filled]))
    cexkit.funding_apr(pl.concat(others))
