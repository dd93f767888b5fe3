"""Funding as money: signs, inverse contracts, units."""

from __future__ import annotations

import math
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import given, settings

import cexkit
from cexkit.errors import (
    ColumnTypeError,
    ForwardFilledRateWarning,
    InvalidInputError,
    MissingColumnError,
    SuspectRateWarning,
    UnpricedQuoteWarning,
)

SHARED = Path(os.environ.get("CEXKIT_SHARED", Path(__file__).parents[4] / "shared"))
NUMBERS = ("funding_rate", "mark_price", "quantity")


def positions(*rows: tuple, **columns) -> pl.DataFrame:
    schema = {"row": pl.Int64, **dict.fromkeys(NUMBERS, pl.Float64), "side": pl.String}
    numbered = [(i, *row) for i, row in enumerate(rows)]
    return pl.DataFrame(numbered, schema=schema, orient="row").with_columns(**columns)


def values(engine, result, name):
    return [clean(value) for value in engine.back(result).sort("row")[name].to_list()]


def clean(value):
    return None if value is None or math.isnan(value) else value


def test_a_long_pays_and_a_short_receives_a_positive_rate(engine, helpers):
    frame = positions(
        (0.0001, 50_000.0, 2.0, "long"),
        (0.0001, 50_000.0, 2.0, "short"),
        (-0.0003, 2_000.0, 10.0, "long"),
        (-0.0003, 2_000.0, 10.0, "short"),
        (0.0001, 50_000.0, 0.0, "long"),
    )
    got = values(engine, cexkit.funding_pnl(engine.make(frame)), "funding_pnl")
    helpers.close(got, [-10.0, 10.0, 6.0, -6.0, 0.0])


@pytest.mark.parametrize("dtype", [pl.Int64, pl.Float64, pl.Int8])
def test_sides_may_be_numbers(engine, helpers, dtype):
    frame = positions(*[(0.0001, 50_000.0, 2.0, "")] * 3, side=pl.Series([1, -1, None], dtype=dtype))
    got = values(engine, cexkit.funding_pnl(engine.make(frame)), "funding_pnl")
    helpers.close(got, [-10.0, 10.0, None])


def test_inverse_contracts_pay_in_coin(engine, helpers):
    # 1000 contracts of 100 USD at 50,000 are 2 BTC; 1 bp of it is 0.0002 BTC, whatever 2 BTC are worth in dollars
    frame = positions((0.0001, 50_000.0, 1000.0, "long"), (0.0001, 50_000.0, 1000.0, "short"))
    got = values(engine, cexkit.funding_pnl(engine.make(frame), inverse=True, contract_size=100), "funding_pnl")
    helpers.close(got, [-0.0002, 0.0002])
    sized = engine.make(frame.with_columns(contract_size=pl.Series([100.0, 10.0])))
    helpers.close(values(engine, cexkit.funding_pnl(sized, inverse=True), "funding_pnl"), [-0.0002, 0.00002])


def test_linear_and_inverse_row_by_row(engine, helpers):
    rows = [(0.0001, 50_000.0, 1000.0, "short")] * 4
    frame = positions(
        *rows, inverse=pl.Series([True, False, None, True]), contract_size=pl.Series([100.0, 0.01, 1.0, 0.0])
    )
    got = values(engine, cexkit.funding_pnl(engine.make(frame)), "funding_pnl")
    helpers.close(got, [0.0002, 5_000.0, None, None])
    # an argument wins over the column
    got = values(engine, cexkit.funding_pnl(engine.make(frame), inverse=False), "funding_pnl")
    helpers.close(got, [5_000.0] * 4)


def test_inverse_contracts_of_unknown_size_are_refused(engine):
    frame = positions((0.0001, 50_000.0, 1.0, "long"), inverse=True)
    for arguments in ({}, {"inverse": True}):
        with pytest.raises(MissingColumnError, match=r"contract_size.*inverse=False"):
            cexkit.funding_pnl(engine.make(frame), **arguments)
    with pytest.raises(InvalidInputError, match="contract_size"):
        cexkit.funding_pnl(engine.make(frame), contract_size=0)


@pytest.mark.parametrize("sides", [["buy"], ["Long"], [""]])
def test_the_side_of_an_order_is_no_side_of_a_position(sides):
    frame = positions((0.0001, 50_000.0, 1.0, sides[0]))
    for native in (frame, frame.to_pandas(), frame.to_arrow()):
        with pytest.raises(InvalidInputError, match="side of the position"):
            cexkit.funding_pnl(native)
    assert cexkit.funding_pnl(frame.lazy()).collect()["funding_pnl"].to_list() == [None]
    with pytest.raises(InvalidInputError, match=r"holds 2\.0"):
        cexkit.funding_pnl(frame.with_columns(side=2))


#: Values that cannot be are null, with a warning that test_ranges.py looks at.
pytestmark = pytest.mark.filterwarnings("ignore::cexkit.errors.OutOfRangeWarning")
number = st.one_of(st.none(), st.just(math.nan), st.floats(-10, 1e6, width=32))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(number, number, number, st.sampled_from(["long", "short", None]), number, st.booleans()), max_size=12
    )
)
def test_pnl_agrees_with_plain_python(rows):
    rows = rows + [(0.0, 1.0, 1.0, "long", 1.0, False)] * 13  # so that the median of a column is in range
    frame = positions(*[row[:4] for row in rows])
    frame = frame.with_columns(
        contract_size=pl.Series([row[4] for row in rows], dtype=pl.Float64),
        inverse=pl.Series([row[5] for row in rows], dtype=pl.Boolean),
    )
    for native in (frame, frame.to_pandas()):
        got = native.crypto.funding_pnl().to_list()
        for (rate, mark, quantity, side, size, inverse), value in zip(rows, got, strict=True):
            rate, mark, quantity, size = map(clean, (rate, mark, quantity, size))
            usable = None not in (rate, mark, quantity, side) and mark > 0 and quantity >= 0
            if inverse:
                usable = usable and size is not None and size > 0
            if not usable:
                assert clean(value) is None
                continue
            notional = quantity * size / mark if inverse else quantity * mark
            want = (-1 if side == "long" else 1) * rate * notional
            assert math.isclose(value, want, rel_tol=1e-12, abs_tol=1e-300)


def test_wrong_types_are_named():
    frame = positions((0.0001, 50_000.0, 1.0, "long"))
    with pytest.raises(ColumnTypeError, match="truth values in column 'inverse'"):
        cexkit.funding_pnl(frame.with_columns(inverse=pl.lit("yes"), contract_size=1.0))
    with pytest.raises(ColumnTypeError, match="text in column 'side'"):
        cexkit.funding_pnl(frame.with_columns(side=True))
    with pytest.raises(MissingColumnError, match=r"'quantity'.*quantity=\.\.\."):
        cexkit.funding_pnl(frame.drop("quantity"))
    # a sign is no text anywhere else
    events = pl.DataFrame({"timestamp": [0], "side": [1], "quantity_base": [1.0], "value_usd": [1.0]})
    with pytest.raises(ColumnTypeError, match="text in column 'side'"):
        cexkit.liquidation_summary(events.with_columns(pl.from_epoch("timestamp")))


# ------------------------------------------------------------- what all pay
def test_spend_is_rate_times_open_interest(engine, helpers):
    frame = pl.DataFrame(
        {"row": [0, 1, 2, 3], "funding_rate": [0.0001, -0.0002, None, 0.1], "open_interest_usd": [2e9, 1e9, 1e9, -1.0]}
    )
    got = values(engine, cexkit.funding_spend_usd(engine.make(frame)), "funding_spend_usd")
    helpers.close(got, [200_000.0, -200_000.0, None, None])


def test_spend_in_dollars_takes_only_dollar_quotes():
    frame = pl.DataFrame({"funding_rate": [0.0001] * 2, "open_interest_quote": [1e6] * 2, "quote": ["USDT", "EUR"]})
    with pytest.warns(UnpricedQuoteWarning, match="EUR"):
        assert frame.crypto.funding_spend_usd().to_list() == pytest.approx([100.0, None])
    with pytest.raises(MissingColumnError, match="'open_interest_usd' or 'open_interest_quote' with 'quote'"):
        cexkit.funding_spend_usd(frame.drop("quote"))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(number, number), max_size=12))
def test_spend_agrees_with_plain_python(rows):
    rows = rows + [(0.0, 1.0)] * 13
    frame = pl.DataFrame(rows, schema={"funding_rate": pl.Float64, "open_interest_usd": pl.Float64}, orient="row")
    for (rate, interest), value in zip(rows, frame.crypto.funding_spend_usd().to_list(), strict=True):
        rate, interest = clean(rate), clean(interest)
        usable = None not in (rate, interest) and interest >= 0
        assert (value is not None) == usable
        assert not usable or math.isclose(value, rate * interest, rel_tol=1e-12, abs_tol=1e-300)


@pytest.mark.parametrize("name", ["funding_pnl", "funding_spend_usd"])
@pytest.mark.parametrize("rows", [0, 1])
def test_empty_and_single_row(engine, name, rows):
    frame = positions((0.0001, 50_000.0, 1.0, "long"), open_interest_usd=50_000.0).head(rows)
    got = engine.back(getattr(cexkit, name)(engine.make(frame)))[name].to_list()
    assert got == pytest.approx([{"funding_pnl": -5.0, "funding_spend_usd": 5.0}[name]][:rows])


@pytest.mark.parametrize("make", [lambda f: f, lambda f: f.to_pandas(), lambda f: f.to_arrow()])
@pytest.mark.parametrize("name", ["funding_pnl", "funding_spend_usd"])
def test_filled_rates_are_suspected(name, make):
    """Rates of 8 h on hourly bars are paid eight times; two positions at each settlement are no such fill."""
    rates = [(hour // 8 * 7 % 11 - 5) / 1e5 for hour in range(240)]
    times = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(240)]
    frame = pl.DataFrame({"timestamp": times, "funding_rate": rates, "mark_price": 100.0, "quantity": 1.0})
    frame = frame.with_columns(side=pl.lit("long"), open_interest_usd=1e6)
    call = getattr(cexkit, name)
    with pytest.warns(ForwardFilledRateWarning, match=f"{name}: rows are 60 minutes apart"):
        call(make(frame))
    settled = frame.gather_every(8)
    for rows in (settled, pl.concat([settled, settled]).sort("timestamp"), settled.with_columns(funding_rate=1e-4)):
        call(make(rows))  # without a warning
    for column in (pl.int_range(pl.len()), pl.lit("soon"), pl.lit(None)):
        call(make(frame.with_columns(timestamp=column)))  # times are not read otherwise


def test_percent_is_suspected():
    frame = positions(*[(0.01, 1.0, 1.0, "long")] * 30, open_interest_usd=1.0)
    for call in (cexkit.funding_pnl, cexkit.funding_spend_usd):
        with pytest.warns(SuspectRateWarning, match="percent"):
            call(frame)


# ------------------------------------------------------------- real history
def xrp(name: str) -> pl.DataFrame:
    path = SHARED / "real" / f"XRP_USDT_USDT-{name}.feather"
    if not path.exists():
        pytest.skip(f"no recorded history at {path}")
    return pl.read_ipc(path).rename({"date": "timestamp"})


def test_real_funding_pnl_over_a_month():
    funding = xrp("8h-funding_rate").select(pl.col("timestamp").dt.round("1m"), funding_rate="open")
    mark = xrp("8h-mark").select("timestamp", mark_price="open")
    frame = funding.join(mark, on="timestamp").with_columns(quantity=1000.0, side=pl.lit("short"))
    assert frame.height == 91
    total = frame.crypto.funding_pnl().sum()
    want = math.fsum(rate * 1000.0 * price for rate, price in frame.select("funding_rate", "mark_price").rows())
    assert math.isclose(total, want, rel_tol=1e-12)
    longs = frame.with_columns(side=-1 * pl.lit(-1)).to_pandas().crypto.funding_pnl().sum()
    assert math.isclose(longs, -want, rel_tol=1e-12)
    assert funding.crypto.funding_apr().to_list() == pytest.approx(
        [r * 3 * 365 for r in funding["funding_rate"]], rel=1e-12
    )
