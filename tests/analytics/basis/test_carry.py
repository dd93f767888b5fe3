"""Carry: funding received and change of basis, or the basis kept to expiry."""

from __future__ import annotations

import math
import warnings
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings

import cexkit
from cexkit.errors import (
    DuplicateKeyError,
    ForwardFilledRateWarning,
    InvalidInputError,
    MissingColumnError,
    MissingSettlementsWarning,
)

from ...lengths import examples

NOW = datetime(2024, 1, 1, tzinfo=UTC)
SCHEMA = {
    "symbol": pl.String,
    "timestamp": pl.Datetime("us", "UTC"),
    "price": pl.Float64,
    "reference": pl.Float64,
    "funding_rate": pl.Float64,
    "expiry": pl.Datetime("us", "UTC"),
}


def at(hour):
    return NOW + timedelta(hours=hour)


def frame_of(rows) -> pl.DataFrame:
    """Symbol, hour, basis, rate, hour of expiry."""
    full = [
        (s, at(h), None if b is None else 100 * (1 + b), 100.0, r, None if x is None else at(x))
        for s, h, b, r, x in rows
    ]
    return pl.DataFrame(full, schema=SCHEMA, orient="row")


PERP = [
    ("P", 0, 0.005, 0.9, None),
    ("P", 8, 0.003, 1e-4, None),
    ("P", 12, 0.004, None, None),
    ("P", 16, 0.002, -3e-4, None),
]
DATED = [("F", 0, 0.02, None, 240), ("F", 16, 0.5, None, 240)]


def carry(engine, rows, **arguments):
    frame = frame_of(rows)
    frame = frame.sample(fraction=1, shuffle=True, seed=6) if rows else frame
    got = engine.back(cexkit.carry_return(engine.make(frame), **arguments)).sort("symbol")
    return got.with_columns(pl.col("start", "end").dt.epoch("us")).rows()


def row(symbol, start, end, *values):
    us = [int(at(hour).timestamp() * 1e6) for hour in (start, end)]
    return (symbol, *us, *(None if v is None else pytest.approx(v, abs=1e-12) for v in values))


def test_by_hand(engine):
    # what settles as the trade is opened is not received; a dated future keeps the basis it began with
    want = [row("F", 0, 240, 0.0, 0.02, 0.018), row("P", 0, 16, -2e-4, 0.003, 0.0008)]
    assert carry(engine, PERP + DATED, fees=0.002) == want


def test_no_fees_are_assumed(engine):
    assert [r[-1] for r in carry(engine, PERP + DATED)] == pytest.approx([0.02, 0.0028])


def test_from_the_first_to_the_last_row_that_has_a_basis(engine):
    rows = [("P", -8, None, 0.7, None), *PERP, ("P", 24, None, 0.7, None)]
    assert carry(engine, rows) == carry(engine, PERP)


def test_what_cannot_be_known_is_null(engine):
    rows = [("A", 0, 0.01, 1e-4, None), ("B", 0, 0.01, None, 0), ("C", 0, None, 1e-4, None), ("D", 0, 0.01, None, 5)]
    want = [row("A", 0, 0, None, None, None), row("B", 0, 0, None, None, None), row("D", 0, 5, 0.0, 0.01, 0.01)]
    assert carry(engine, rows) == want


def test_frames_of_one_kind_need_not_have_the_column_of_the_other():
    perps, dated = frame_of(PERP).drop("expiry"), frame_of(DATED).drop("funding_rate")
    assert cexkit.carry_return(perps)["carry_return"].to_list() == pytest.approx([0.0028])
    assert cexkit.carry_return(dated)["carry_return"].to_list() == pytest.approx([0.02])
    # a perpetual whose funding is not there has no return: its change of basis is a part
    got = cexkit.carry_return(frame_of(PERP).drop("funding_rate"))
    assert got.select("funding_received", "basis_change", "carry_return").rows() == [(None, None, None)]
    with pytest.raises(MissingColumnError, match="'funding_rate' or 'expiry'"):
        cexkit.carry_return(perps.drop("funding_rate"))


def test_a_frame_without_keys_is_one_instrument(engine):
    got = engine.back(cexkit.carry_return(engine.make(frame_of(PERP).drop("symbol"))))
    assert got.columns == ["start", "end", "funding_received", "basis_change", "carry_return"]
    assert got["carry_return"].to_list() == pytest.approx([0.0028])


number = st.one_of(st.none(), st.integers(-50, 50).map(lambda bps: bps / 1e4))


def received(hours: int, settled: dict[int, float], start: int, end: int) -> float | None:
    """Funding of a perpetual that settles every so many hours, None if a settlement of the span is not there."""
    due = range((start // hours + 1) * hours, end + 1, hours)
    return math.fsum(settled[hour] for hour in due) if settled and set(due) <= set(settled) else None


@settings(max_examples=examples(25, 200), deadline=None)
@given(
    st.sampled_from([1, 4, 8]),
    st.sets(st.integers(0, 6)),
    st.dictionaries(st.integers(0, 50), number, max_size=12),
    st.dictionaries(st.integers(0, 50), number, max_size=8),
)
def test_agrees_with_plain_python(hours, lost, perp, dated):
    settled = {hour: (hour * 7 % 11 - 5) / 1e4 for hour in range(0, 49, hours) if hour // hours not in lost}
    rows = [("A", hour, perp.get(hour), settled.get(hour), None) for hour in sorted({*perp, *settled})]
    rows += [("B", hour, basis, None, 30) for hour, basis in dated.items()]
    frame = frame_of(rows).with_columns(
        funding_interval_hours=pl.when(pl.col("funding_rate").is_not_null()).then(float(hours))
    )
    want = {}
    for symbol, bases in (("A", perp), ("B", dated)):
        priced = sorted((hour, basis) for hour, basis in bases.items() if basis is not None)
        if not priced:
            continue
        (start, first), (end, last) = priced[0], priced[-1]
        paid = received(hours, settled, start, end) if end > start else None
        perp_return = None if paid is None else paid + first - last
        want[symbol] = perp_return if symbol == "A" else first if start < 30 else None
    for native in (frame, frame.to_pandas(), frame.lazy()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MissingSettlementsWarning)
            got = cexkit.carry_return(native)
        got = pl.from_pandas(got) if isinstance(got, pd.DataFrame) else got.lazy().collect()
        found = dict(got.select("symbol", "carry_return").iter_rows())
        assert found.keys() == want.keys()
        for symbol, value in found.items():
            assert value == (None if want[symbol] is None else pytest.approx(want[symbol], rel=1e-9, abs=1e-12))


def settlements(hours: range | list[int], rate: float = 1e-4) -> dict[int, float]:
    return dict.fromkeys(hours, rate)


def joined(bars: range, settled: dict[int, float], fill: bool = False) -> pl.DataFrame:
    """Bars, and the settlements that a left join on the time finds."""
    rates = [settled.get(hour) for hour in bars]
    frame = frame_of([("P", hour, 0.001, rate, None) for hour, rate in zip(bars, rates, strict=True)])
    return frame.with_columns(pl.col("funding_rate").forward_fill()) if fill else frame


#: Bars every so many hours joined with settlements every so many: what is found is less than what was paid.
LOSSY = [(24, 8), (12, 8), (24, 4), (24, 1), (16, 8), (12, 4)]


@pytest.mark.parametrize(("bar", "every"), LOSSY)
@pytest.mark.parametrize("declared", [True, False])
def test_settlements_lost_in_a_join_leave_no_return(engine, bar, every, declared):
    frame = joined(range(0, 20 * bar, bar), settlements(range(0, 20 * bar, every)))
    if declared:
        frame = frame.with_columns(funding_interval_hours=pl.when(~pl.col("funding_rate").is_null()).then(float(every)))
    if engine.eager:
        with pytest.warns(MissingSettlementsWarning, match="carry_return: the span of 1 instruments lacks settlements"):
            got = engine.back(cexkit.carry_return(engine.make(frame)))
    else:
        got = engine.back(cexkit.carry_return(engine.make(frame)))
    assert got.select("funding_received", "basis_change", "carry_return").rows() == [(None, None, None)]


def test_bars_that_hold_every_settlement_have_a_return(engine):
    frame = joined(range(481), settlements(range(0, 481, 8)))
    got = engine.back(cexkit.carry_return(engine.make(frame)))
    assert got["funding_received"].to_list() == pytest.approx([60e-4])


@pytest.mark.parametrize(
    ("hours", "lost"),
    [
        ([0, 8, 16, 24, 32, 40], False),
        ([8, 16, 24, 32, 40], False),
        ([0, 8, 24, 32, 40], True),  # one is missing
        ([16, 24, 32, 40], True),  # those at the start
        ([0, 8, 16, 24, 32], True),  # that at the end
        ([0, 8, 18, 24, 32, 40], False),  # late, but there
        ([], True),
    ],
)
def test_settlements_must_cover_the_span(engine, hours, lost):
    rows = [("P", hour, 0.001, settlements(hours).get(hour), None) for hour in sorted({0, 41, *hours})]
    with warnings.catch_warnings(record=True, action="always") as caught:
        ((*_, value),) = carry(engine, rows)
    assert (value is None) == lost
    assert value is None or value == pytest.approx(1e-4 * len([hour for hour in hours if hour > 0]))
    assert bool([one for one in caught if one.category is MissingSettlementsWarning]) == (lost and engine.eager)


@pytest.mark.parametrize("milliseconds", [-9, 0, 11, 47])
def test_a_settlement_is_paid_at_its_minute(engine, milliseconds):
    """Prices are of full hours; what settles some milliseconds later at the start is not received, at the end it is."""
    prices = frame_of([("P", hour, 0.005, None, None) for hour in (0, 24)])
    rates = frame_of([("P", hour, None, rate, None) for hour, rate in ((0, 0.9), (8, 1e-4), (16, 2e-4), (24, 3e-4))])
    rates = rates.with_columns(pl.col("timestamp") + timedelta(milliseconds=milliseconds))
    if milliseconds == 0:
        rates = rates.with_columns(price=pl.lit(100.5), reference=pl.lit(100.0))
        prices = prices.clear()
    got = engine.back(cexkit.carry_return(engine.make(pl.concat([prices, rates]))))
    assert got["funding_received"].to_list() == pytest.approx([6e-4])


def test_a_change_of_interval_loses_nothing(engine):
    # 1 h, 1 h, 3 h, 4 h: as venues change to a longer interval
    hours = [0, 1, 2, 5, 9, 13]
    rows = [("P", hour, 0.001, 1e-4, None) for hour in hours]
    ((*_, value),) = carry(engine, rows)
    assert value == pytest.approx(5e-4)


def test_forward_filled_rates_are_suspected():
    rates = {hour: (hour * 7 % 11 - 5) / 1e5 for hour in range(0, 97, 8)}
    frame = joined(range(97), rates, fill=True)
    with pytest.warns(
        ForwardFilledRateWarning, match="carry_return: rows are 60 minutes apart but their rates are of 8 hours"
    ):
        cexkit.carry_return(frame)


def test_a_settlement_of_the_same_minute_is_a_duplicate():
    frame = frame_of(PERP)
    again = frame[1:2].with_columns(pl.col("timestamp") + pl.duration(milliseconds=11))
    with pytest.raises(DuplicateKeyError, match="1 settlements follow another one of their instrument within a minute"):
        cexkit.carry_return(pl.concat([frame, again]))
    got = cexkit.carry_return(pl.concat([frame, again]).lazy()).collect()
    assert got["carry_return"].to_list() == [None]


def test_nothing_makes_nothing(engine):
    assert carry(engine, []) == []


def test_what_is_refused():
    frame = frame_of(PERP)
    for fees in (0.2, -0.2):
        with pytest.raises(InvalidInputError, match="fees must be a fraction"):
            cexkit.carry_return(frame, fees=fees)
    with pytest.raises(DuplicateKeyError, match="2 rows share"):
        cexkit.carry_return(pl.concat([frame, frame[:1]]))
    for fees in (5, math.nan, -1):
        with pytest.raises(InvalidInputError, match="20 bps"):
            cexkit.carry_return(frame, fees=fees)
