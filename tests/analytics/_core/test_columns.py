"""Results merged from blocks of rows: null stays null and NaN stays NaN, wherever the rows stood."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from cexkit.analytics._core.columns import Results
from cexkit.analytics._core.order import Order

NAN = math.nan


@pytest.mark.parametrize("values", [[1.0, 2.0, 3.0, 4.0], [1.0, None, 3.0, None], [NAN, 2.0, None, 4.0], [None] * 4])
@pytest.mark.parametrize("rows", [None, [2, 0, 3, 1]])
@pytest.mark.parametrize("engine", ["polars", "pyarrow"])
def test_nulls_and_nan_come_back_to_their_rows(engine, rows, values):
    frame = pl.DataFrame({"row": range(4)})
    frame = frame if engine == "polars" else frame.to_arrow()
    order = Order(pl.Series([0, 0, 0, 0]), pl.Series(range(4)), None if rows is None else np.array(rows))
    results = Results(engine, frame, {"x": pl.Float64()}, order)
    found = pl.Series("x", [values[row] for row in rows or range(4)], dtype=pl.Float64)
    for start in (2, 0):
        results.put(start, start + 2, [found.slice(start, 2)])
    got = results.attached()
    got = got if engine == "polars" else pl.from_arrow(got)
    assert got["x"].to_list() == pytest.approx(values, nan_ok=True)
    assert got["x"].null_count() == values.count(None)
