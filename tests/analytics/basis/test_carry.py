"""Carry: funding received and change of basis, or the basis kept to expiry."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import given, settings

import cexkit
from cexkit.errors import DuplicateKeyError, InvalidInputError, MissingColumnError

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


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("AB"), st.integers(0, 40), number, number), max_size=20, unique_by=lambda e: e[:2]
    )
)
def test_agrees_with_plain_python(events):
    rows = [(s, h, b, r, 30 if s == "B" else None) for s, h, b, r in events]
    series, want = defaultdict(list), {}
    for s, h, b, r, x in sorted(rows, key=lambda e: e[1]):
        series[s].append((h, b, r, x))
    for symbol, points in series.items():
        priced = [(h, b) for h, b, _, _ in points if b is not None]
        if not priced:
            continue
        (start, first), (end, last) = priced[0], priced[-1]
        if symbol == "B":
            want[symbol] = first if start < 30 else None
        else:
            paid = math.fsum(r for h, _, r, _ in points if r is not None and start < h <= end)
            want[symbol] = paid + first - last if end > start else None
    for native in (frame_of(rows), frame_of(rows).to_pandas()):
        got = cexkit.carry_return(native)
        got = got if isinstance(got, pl.DataFrame) else pl.from_pandas(got)
        found = dict(got.select("symbol", "carry_return").iter_rows())
        assert found.keys() == want.keys()
        for symbol, value in found.items():
            assert value == (None if want[symbol] is None else pytest.approx(want[symbol], rel=1e-9, abs=1e-12))


def test_nothing_makes_nothing(engine):
    assert carry(engine, []) == []


def test_what_is_refused():
    frame = frame_of(PERP)
    with pytest.raises(DuplicateKeyError, match="2 rows share"):
        cexkit.carry_return(pl.concat([frame, frame[:1]]))
    for fees in (5, math.nan, -1):
        with pytest.raises(InvalidInputError, match="20 bps"):
            cexkit.carry_return(frame, fees=fees)
