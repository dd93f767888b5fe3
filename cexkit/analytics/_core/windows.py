"""Statistics of complete trailing windows of rows, in passes over whole columns.

Running sums keep something of every value that was ever in the window. Here a window is put together from windows of
1, 2, 4 … rows beside each other: a value counts only where it stands, a NaN makes NaN of its own windows alone, and
moments are merged about their own means, which does not cancel (Chan, Golub and LeVeque 1983).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

#: Number of a row's instrument in eager frames whose rows are in order.
INSTRUMENT = "_instrument"
#: Windows up to this length are ranked by comparing each value with every one before it in its window.
RANKED = 250
# rows that stay in the cache of a core with all that is made of them
_CACHED = 32_768

Columns = Mapping[str, np.ndarray]
#: One column for its mean, two for their sample covariance (N - 1): of a column with itself that is its variance.
Moment = tuple[str, ...]


def with_windows(
    frame: pl.DataFrame,
    columns: Sequence[str],
    outputs: Sequence[str],
    kernel: Callable[[Columns], Sequence[np.ndarray]],
    window: int,
) -> pl.DataFrame:
    """Add what a kernel makes of columns, null where the window lacks a value or a row of the instrument.

    Parameters
    ----------
    frame : polars.DataFrame
        Its rows in order, with ``INSTRUMENT``.
    columns, outputs : sequence of str
        float64 columns that the kernel takes, with NaN for null, and names of what it gives.
    kernel : callable
        Arrays in, fresh arrays out, NaN where the trailing window holds one.
    window : int
        Rows of a window; the row's own is the last.
    """

    def task(series: Sequence[pl.Series]) -> pl.Series:
        instrument, *values = (one.to_numpy() for one in series)
        with np.errstate(over="ignore", invalid="ignore"):  # infinities in, none or NaN out
            found = kernel(dict(zip(columns, values, strict=True)))
        # rows in order: a window is of one instrument if its first row is
        foreign = instrument[window - 1 :] != instrument[: max(len(instrument) - window + 1, 0)]
        for array in found:
            array[: window - 1] = np.nan
            array[window - 1 :][foreign] = np.nan
        results = zip(outputs, found, strict=True)
        return pl.DataFrame([pl.Series(output, array, nan_to_null=True) for output, array in results]).to_struct()

    dtype = pl.Struct(dict.fromkeys(outputs, pl.Float64))
    frame = frame.with_columns(pl.map_batches([INSTRUMENT, *columns], task, return_dtype=dtype).alias("_found"))
    return frame.with_columns(pl.col("_found").struct.field(output) for output in outputs)


class _Spans(NamedTuple):
    """Of every ``rows`` neighboring rows: sums, and sums of products of deviations from the means."""

    rows: int
    sums: Columns
    products: Mapping[Moment, np.ndarray]


def moments(columns: Columns, wanted: Sequence[Moment], window: int) -> list[np.ndarray]:
    """Trailing means and covariances, NaN where the window is not complete.

    Examples
    --------
    >>> moments({"x": np.array([1.0, 2.0, 4.0])}, [("x",), ("x", "x")], 2)
    [array([nan, 1.5, 3. ]), array([nan, 0.5, 2. ])]
    """
    length = len(next(iter(columns.values())))
    found = [np.full(length, np.nan) for _ in wanted]
    step = max(_CACHED, window)  # a part takes in the window before it
    for start in range(window - 1, length, step):
        stop = min(start + step, length)
        part = {name: column[start - window + 1 : stop] for name, column in columns.items()}
        spans = _spans(part, [of for of in wanted if len(of) == 2], window)
        for array, of in zip(found, wanted, strict=True):
            total, n = (spans.sums[of[0]], window) if len(of) == 1 else (spans.products[of], window - 1)
            np.divide(total, n, out=array[start:stop])
    return found


def _spans(columns: Columns, pairs: Sequence[Moment], window: int) -> _Spans:
    """All complete windows, put together by the binary digits of their length."""
    length = len(next(iter(columns.values())))
    power = _Spans(1, columns, dict.fromkeys(pairs, np.broadcast_to(0.0, length)))
    whole: _Spans | None = None
    while True:
        if window & power.rows:
            whole = _beside(whole, power) if whole else power
        if whole and whole.rows == window:
            return whole
        power = _beside(power, power)


def _beside(first: _Spans, second: _Spans) -> _Spans:
    """Spans of the rows of ``first`` and the rows of ``second`` right after them."""
    n, m = first.rows, second.rows
    length = len(next(iter(second.sums.values()))) - n
    before, after = slice(length), slice(n, n + length)
    sums, gaps, products = {}, {}, {}
    for name, total in first.sums.items():
        a, b = total[before], second.sums[name][after]
        sums[name] = a + b
        gaps[name] = a - b if n == m else a * m - b * n
    for (one, other), total in first.products.items():
        product = gaps[one] * gaps[other]
        product *= (n if n == m else 1 / n) / (m * (n + m))
        if n > 1:  # a single row does not deviate from its mean
            product += total[before]
        if m > 1:
            product += second.products[one, other][after]
        products[one, other] = product
    return _Spans(n + m, sums, products)


def ranks(columns: Columns, column: str, window: int, method: Literal["average", "min"]) -> list[np.ndarray]:
    """Rank, from 1 on, of each value in its trailing window; ties share the average or the lowest of their ranks.

    NaN where the window is not complete, or holds one.

    Examples
    --------
    >>> ranks({"x": np.array([2.0, 1.0, 1.0, 3.0])}, "x", 3, "average")
    [array([nan, nan, 1.5, 3. ])]
    """
    values = columns[column]
    below, equal = np.zeros(len(values), dtype=np.uint8), np.zeros(len(values), dtype=np.uint8)
    found = np.empty(min(_CACHED, len(values)), dtype=bool)
    for start in range(window - 1, len(values), _CACHED):
        stop = min(start + _CACHED, len(values))
        own, truth = values[start:stop], found[: stop - start]
        for before in range(1, window):
            other = values[start - before : stop - before]
            _count(np.less(other, own, out=truth), below[start:stop])
            if method == "average":
                _count(np.equal(other, own, out=truth), equal[start:stop])
    rank = below + (1.0 if method == "min" else 1 + equal / 2)
    rank[: window - 1] = np.nan
    missing = np.isnan(values)
    if missing.any():
        rows = np.arange(len(values))
        rank[np.maximum.accumulate(np.where(missing, rows, -window)) > rows - window] = np.nan
    return [rank]


def _count(truth: np.ndarray, counts: np.ndarray) -> None:
    # as the bytes they are: as truth values they would be converted first
    np.add(counts, truth.view(np.uint8), out=counts)
