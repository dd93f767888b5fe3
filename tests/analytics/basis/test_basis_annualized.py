"""The basis as an annual rate: days, methods, expiries."""

from __future__ import annotations

import math
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import given, settings

import cexkit
from cexkit.errors import (
    ColumnTypeError,
    InvalidInputError,
    MissingColumnError,
    MissingSettlementsWarning,
    UnknownNameError,
)

#: Values that cannot be, and prices in different units, are null, with warnings that other tests check.
pytestmark = [
    pytest.mark.filterwarnings("ignore::cexkit.errors.OutOfRangeWarning"),
    pytest.mark.filterwarnings("ignore::cexkit.errors.MixedUnitsWarning"),
]
NOW = datetime(2024, 1, 1, tzinfo=UTC)
SHARED = Path(os.environ.get("CEXKIT_SHARED", Path(__file__).parents[4] / "shared"))
METHODS = ("simple", "continuous", "compound")


def futures(*rows: tuple) -> pl.DataFrame:
    """Price, reference, days to expiry (null: none)."""
    ends = [None if days is None else NOW + timedelta(days=days) for _, _, days in rows]
    return pl.DataFrame(
        {
            "row": pl.Series(range(len(rows)), dtype=pl.Int64),
            "timestamp": pl.Series([NOW] * len(rows), dtype=pl.Datetime("us", "UTC")),
            "expiry": pl.Series(ends, dtype=pl.Datetime("us", "UTC")),
            "price": pl.Series([row[0] for row in rows], dtype=pl.Float64),
            "reference": pl.Series([row[1] for row in rows], dtype=pl.Float64),
        }
    )


def clean(value):
    return None if value is None or math.isnan(value) else value


def annualized(engine, frame, **arguments):
    got = engine.back(cexkit.annualized_basis(engine.make(frame), **arguments)).sort("row")
    return [clean(value) for value in got["annualized_basis"].to_list()]


@pytest.mark.parametrize(
    ("method", "want"),
    [
        ("simple", [0.02 * 365 / 73, -0.01 * 365 / 36.5, 0.02 * 2]),
        ("continuous", [math.log(1.02) * 5, math.log(0.99) * 10, math.log(1.02) * 2]),
        ("compound", [1.02**5 - 1, 0.99**10 - 1, 1.02**2 - 1]),
    ],
)
def test_by_hand(engine, helpers, method, want):
    frame = futures((51_000.0, 50_000.0, 73), (49_500.0, 50_000.0, 36.5), (51_000.0, 50_000.0, 182.5))
    helpers.close(annualized(engine, frame, method=method), want, 1e-11)


def test_null_near_at_and_after_expiry_and_without_one(engine, helpers):
    frame = futures(*((101.0, 100.0, days) for days in (3, 2.999, 0, -10, None)))
    helpers.close(annualized(engine, frame), [0.01 * 365 / 3, None, None, None, None], 1e-12)
    got = annualized(engine, frame, min_days=0)
    helpers.close(got, [0.01 * 365 / 3, 0.01 * 365 / 2.999, None, None, None], 1e-12)


def test_what_compounds_beyond_any_number_is_null(engine):
    frame = futures((200.0, 100.0, 0.1), (100.0, 200.0, 0.1))
    assert annualized(engine, frame, method="compound", min_days=0) == [None, -1.0]


def test_no_price_no_basis(engine):
    bad = [None, math.nan, math.inf, 0.0, -1.0]
    frame = futures(*((x, 100.0, 30) for x in bad), *((100.0, x, 30) for x in bad))
    for method in METHODS:
        assert annualized(engine, frame, method=method) == [None] * 10


price = st.one_of(st.none(), st.just(math.nan), st.floats(1, 1e6), st.floats(-10, 0))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(price, price, st.one_of(st.none(), st.floats(-5, 400))), max_size=10), st.sampled_from(METHODS)
)
def test_agrees_with_plain_python(rows, method):
    rows = rows + [(1.0, 1.0, None)] * 11  # so that the median of a column is in range
    frame = futures(*rows)
    for native in (frame, frame.to_pandas()):
        got = native.crypto.annualized_basis(method=method).to_list()
        for (f, s, _), end, value in zip(rows, frame["expiry"], map(clean, got), strict=True):
            days = None if end is None else (end - NOW) / timedelta(days=1)
            sound = all(x is not None and x > 0 for x in (f, s)) and 0.2 <= f / s <= 5
            if not sound or days is None or days < 3:
                assert value is None
                continue
            if method == "compound" and math.log(f / s) * 365 / days > 700:
                continue
            want = {
                "simple": lambda f=f, s=s, d=days: (f / s - 1) * 365 / d,
                "continuous": lambda f=f, s=s, d=days: math.log(f / s) * 365 / d,
                "compound": lambda f=f, s=s, d=days: math.exp(math.log(f / s) * 365 / d) - 1,
            }[method]()
            assert math.isclose(value, want, rel_tol=1e-9, abs_tol=1e-12)


def test_zones_units_and_dates_of_both_times():
    frame = futures((101.0, 100.0, 36.5))
    want = cexkit.annualized_basis(frame)["annualized_basis"].to_list()
    naive = frame.with_columns(pl.col("timestamp", "expiry").dt.replace_time_zone(None))
    mixed = frame.with_columns(
        pl.col("expiry").cast(pl.Datetime("ms", "UTC")), pl.col("timestamp").dt.replace_time_zone(None)
    )
    tokyo = frame.with_columns(pl.col("expiry").dt.convert_time_zone("Asia/Tokyo"))
    for other in (naive, mixed, tokyo):
        assert cexkit.annualized_basis(other)["annualized_basis"].to_list() == pytest.approx(want, rel=1e-12)
    days = frame.with_columns(expiry=pl.lit(date(2024, 1, 11)))
    assert cexkit.annualized_basis(days)["annualized_basis"].to_list() == pytest.approx([0.365])


def test_what_is_refused(engine):
    frame = engine.make(futures((101.0, 100.0, 30)))
    with pytest.raises(UnknownNameError, match="simple"):
        cexkit.annualized_basis(frame, method="linear")
    with pytest.raises(InvalidInputError, match="min_days"):
        cexkit.annualized_basis(frame, min_days=-1)
    with pytest.raises(MissingColumnError, match="'expiry'"):
        cexkit.annualized_basis(engine.make(futures((101.0, 100.0, 30)).drop("expiry")))
    with pytest.raises(MissingColumnError, match="'timestamp'"):
        cexkit.annualized_basis(engine.make(futures((101.0, 100.0, 30)).drop("timestamp")))
    with pytest.raises(ColumnTypeError, match="times in column 'expiry'"):
        cexkit.annualized_basis(engine.make(futures((101.0, 100.0, 30)).with_columns(expiry=1_700_000_000_000)))


@pytest.mark.parametrize("rows", [0, 1])
def test_empty_and_single_row(engine, rows):
    assert annualized(engine, futures((101.0, 100.0, 36.5)).head(rows)) == pytest.approx([0.1][:rows])


def test_rows_of_one_time_need_no_keys():
    frame = futures((101.0, 100.0, 36.5), (102.0, 100.0, 36.5))
    assert frame.crypto.annualized_basis().to_list() == pytest.approx([0.1, 0.2])


# ------------------------------------------------------------- real history
def test_real_basis_of_futures_over_mark():
    paths = [SHARED / "real" / f"XRP_USDT_USDT-1h-{kind}.feather" for kind in ("futures", "mark")]
    if not all(path.exists() for path in paths):
        pytest.skip(f"no recorded history at {paths[0].parent}")
    trade, mark = (pl.read_ipc(path).select(timestamp="date", price="close") for path in paths)
    frame = trade.join(mark.rename({"price": "reference"}), on="timestamp")
    assert frame.height == 57
    got = frame.crypto.basis_bps()
    want = [(f - s) / s * 1e4 for f, s in frame.select("price", "reference").rows()]
    assert got.to_list() == pytest.approx(want, rel=1e-9, abs=1e-9)
    # the last trade of an hour and the mark at its end are near each other
    assert 0 < got.abs().median() < 10
    assert got.abs().max() < 100
    # 57 hours without a settlement: what was received is not known, and the change of basis is a part of the return
    with pytest.warns(MissingSettlementsWarning):
        carried = cexkit.carry_return(frame.with_columns(funding_rate=pl.lit(None, pl.Float64)))
    assert carried["carry_return"].item() is None
    paid = frame.with_columns(funding_rate=pl.when(pl.col("timestamp").dt.hour() % 8 == 0).then(1e-4))
    first, last = frame.sort("timestamp").select(pl.col("price") / pl.col("reference") - 1).to_series()[[0, -1]]
    received = 1e-4 * (paid.sort("timestamp")[1:]["funding_rate"].count())
    assert cexkit.carry_return(paid)["carry_return"].item() == pytest.approx(first - last + received, rel=1e-9)
