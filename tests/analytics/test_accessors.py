"""`.crypto`: bare columns that are right on any index, frames where a column will not do."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import cexkit
from cexkit.analytics.catalog import METRICS
from cexkit.errors import CexkitError, MissingColumnError

START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def frame() -> pl.DataFrame:
    """Two interleaved instruments with intervals of 8 h and 4 h, shuffled."""
    parts = [
        pl.DataFrame(
            {
                "symbol": [symbol] * 6,
                "timestamp": [START + timedelta(hours=hours * i) for i in range(6)],
                "funding_rate": [1e-4 * (i + 1) for i in range(6)],
                "close": [100.0 + i for i in range(6)],
                "expected_apr": [1e-4 * (i + 1) * 24 / hours * 365 for i in range(6)],
                "expected_sum": np.cumsum([1e-4 * (i + 1) for i in range(6)]),
            }
        )
        for symbol, hours in (("A", 8), ("B", 4))
    ]
    return pl.concat(parts).sample(fraction=1, shuffle=True, seed=9)


INDEXES = {
    "range": lambda n: pd.RangeIndex(n),
    "reversed": lambda n: pd.RangeIndex(n, 0, -1),
    "duplicate labels": lambda n: pd.Index([0, 1] * (n // 2)),
    "all the same": lambda n: pd.Index(["x"] * n),
    "text": lambda n: pd.Index([f"row {i}" for i in range(n)]),
    "times": lambda n: pd.date_range("2030", periods=n),
    "two levels": lambda n: pd.MultiIndex.from_arrays([["a"] * n, range(n)]),
    "missing labels": lambda n: pd.Index([None, np.nan] * (n // 2)),
}


@pytest.mark.parametrize("index", INDEXES)
def test_assignment_is_right_on_any_index(frame, index):
    table = frame.to_pandas().set_index(INDEXES[index](frame.height))
    apr, total = table.crypto.funding_apr(), table.crypto.cumulative_funding()
    assert isinstance(apr, pd.Series)
    assert apr.name == "funding_apr"
    assert apr.index is table.index or apr.index.equals(table.index)
    table["apr"], table["total"] = apr, total
    table["declared"] = table.assign(funding_interval_hours=8.0).crypto.funding_apr()
    np.testing.assert_allclose(table["apr"].to_numpy(), table["expected_apr"].to_numpy(), rtol=1e-12)
    np.testing.assert_allclose(table["total"].to_numpy(), table["expected_sum"].to_numpy(), rtol=1e-9)
    np.testing.assert_allclose(table["declared"].to_numpy(), table["funding_rate"].to_numpy() * 1095, rtol=1e-12)


def test_the_callers_frame_is_not_changed(frame):
    table = frame.to_pandas()
    before = table.copy(deep=True)
    for name in ("funding_interval", "funding_apr", "cumulative_funding", "returns"):
        getattr(table.crypto, name)()
        getattr(cexkit, name)(table)
    pd.testing.assert_frame_equal(table, before)
    result = cexkit.returns(table)
    result["close"] = 0.0
    pd.testing.assert_frame_equal(table, before)


def test_polars_column_and_frame(frame):
    got = frame.with_columns(frame.crypto.funding_apr())
    assert got["funding_apr"].to_list() == pytest.approx(got["expected_apr"].to_list(), rel=1e-12)
    assert isinstance(frame.crypto.funding_interval(), pl.DataFrame)
    assert isinstance(frame.lazy().crypto.funding_apr(), pl.LazyFrame)


def test_twin_on_every_library(frame):
    import ibis

    kinds = {
        "pandas": (frame.to_pandas(), pd.Series, pd.DataFrame),
        "polars": (frame, pl.Series, pl.DataFrame),
        "lazy": (frame.lazy(), pl.LazyFrame, pl.LazyFrame),
        "arrow": (frame.to_arrow(), pa.ChunkedArray, pa.Table),
        "ibis": (ibis.memtable(frame.to_arrow()), ibis.Table, ibis.Table),
    }
    for native, column, whole in kinds.values():
        assert isinstance(cexkit.crypto(native).funding_apr(), column)
        assert isinstance(cexkit.crypto(native).funding_interval(), whole)
        assert isinstance(cexkit.funding_apr(native), whole)


def test_pyarrow_backed_pandas_stays_so(frame):
    table = frame.to_pandas(use_pyarrow_extension_array=True)
    assert isinstance(table.crypto.returns().dtype, pd.ArrowDtype)
    assert table.crypto.returns().isna().sum() == 2
    assert frame.to_pandas().crypto.returns().dtype == np.float64


def test_errors_are_not_swallowed():
    for table in (pd.DataFrame({"x": [1.0]}), pl.DataFrame({"x": [1.0]}), pl.LazyFrame({"x": [1.0]})):
        with pytest.raises(MissingColumnError, match=r"'price'; available: x") as caught:
            table.crypto.basis()
        assert not isinstance(caught.value, AttributeError)
    with pytest.raises(TypeError, match=r"^\w+\(\) got an unexpected keyword argument .*; its arguments are "):
        pd.DataFrame().crypto.basis(pricee="x")
    assert not issubclass(CexkitError, AttributeError)


def test_signatures_and_docs_are_the_functions_own():
    accessor = pd.DataFrame().crypto
    for name, entry in METRICS.items():
        method = getattr(accessor, name)
        assert name in dir(accessor)
        assert method.__doc__ == entry.function.__doc__
        mine = list(inspect.signature(method).parameters.values())
        assert mine == list(inspect.signature(getattr(cexkit, name)).parameters.values())[1:]
