"""Columns of eager frames on their way into polars and back: nothing is copied that can be read where it lies."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import polars as pl

from cexkit.analytics._core.order import Order
from cexkit.analytics._core.series import from_arrow, from_pandas, from_polars, text_in_place


def take(engine: str, frame: Any, columns: Sequence[str], *, raw: bool = False) -> pl.DataFrame:
    """Return columns of an eager frame in Polars; the only way in which entry points read them.

    ``raw`` keeps NaN in floats of pandas, which are then not even read.

    Raises
    ------
    ColumnTypeError
        If a column holds no numbers, text, or times, or values of several types.
    """
    if engine == "polars":
        # as every step here, without an expression: the core of polars costs more than the work on small frames
        return pl.DataFrame([from_polars(frame.get_column(name)) for name in columns])
    if engine == "pyarrow":
        return pl.DataFrame([from_arrow(name, frame.column(name)) for name in columns])
    if not len(frame):
        # an empty pandas column is often of type object, which says nothing
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.Null))
    # column by column: a slice of the frame would copy them first
    return pl.DataFrame([from_pandas(name, frame[name], raw=raw) for name in columns])


def key(engine: str, frame: Any, name: str) -> Any:
    """A column to compare with itself: as it lies in memory where that can be, text of pandas above all."""
    if engine != "polars":
        text = text_in_place(frame.column(name) if engine == "pyarrow" else frame[name])
        if text is not None:
            return text
    return take(engine, frame, [name]).to_series()


def complete(column: pl.Series, most: float) -> bool:
    """Whether a column holds numbers above zero and at most ``most`` in every row."""
    if not column.dtype.is_numeric() or column.null_count():
        return False
    values = column.cast(pl.Float64)
    least, highest = values.min(), values.max()
    return _all_finite(values) and (least is None or (least > 0 and highest <= most))  # type: ignore[operator]


def cleaned(work: pl.DataFrame, numbers: Iterable[str]) -> pl.DataFrame:
    """The columns of numbers as float64 without NaN and infinities: what ``number`` promises."""
    return pl.DataFrame([_finite(values) if values.name in numbers else values for values in work])


def _finite(values: pl.Series) -> pl.Series:
    values = values.cast(pl.Float64)
    if _all_finite(values):
        return values
    return values.zip_with(values.is_finite(), pl.Series([None], dtype=pl.Float64))


def _all_finite(values: pl.Series) -> bool:
    """Whether a float column is free of NaN and infinities: either would show in the sum, in one cheap pass."""
    return math.isfinite(values.sum()) or bool(values.is_finite().all())


class Results:
    """Output columns, put together from blocks of rows.

    Floats go straight into an array in the caller's order if pandas is going to have it, or if rows were put in order;
    of anything else the blocks are kept.
    """

    def __init__(self, engine: str, frame: Any, dtypes: Mapping[str, pl.DataType], order: Order | None) -> None:
        self.engine, self.frame, self.dtypes, self.order = engine, frame, dtypes, order
        self.rows = order.rows if order else None
        self.arrow = engine == "pandas" and any(hasattr(dtype, "pyarrow_dtype") for dtype in frame.dtypes)
        self.plain = engine == "pandas" and not self.arrow
        floats = [name for name, dtype in dtypes.items() if dtype == pl.Float64]
        direct = self.plain or self.rows is not None
        self.arrays = {name: np.empty(len(frame)) for name in floats} if direct else {}
        #: Rows of arrays that are null, by column; they hold NaN, as other rows may.
        self.nulls: dict[str, list[np.ndarray]] = {name: [] for name in self.arrays}
        self.parts: dict[str, dict[int, pl.Series]] = {name: {} for name in dtypes if name not in self.arrays}

    def put(self, start: int, stop: int, found: Iterable[pl.Series]) -> None:
        """Take the outputs of a block, which may be done before another that precedes it."""
        places = slice(start, stop) if self.rows is None else self.rows[start:stop]
        for series in found:
            if series.name not in self.arrays:
                self.parts[series.name][start] = series
                continue
            self.arrays[series.name][places] = series.to_numpy()  # nulls as NaN
            if not self.plain and series.null_count():
                self.nulls[series.name].append(places[series.is_null().to_numpy()])

    def attached(self) -> Any:
        """The caller's frame with all outputs, row by row as it stands."""
        series = {name: self._whole(name) for name in self.dtypes if not (self.plain and name in self.arrays)}
        if self.engine == "polars":
            fresh = not set(series) & set(self.frame.columns)
            return self.frame.hstack(list(series.values())) if fresh else self.frame.with_columns(series.values())
        if self.engine == "pyarrow":
            return _on_arrow(self.frame, series.values())
        return self._on_pandas(series)

    def _whole(self, name: str) -> pl.Series:
        if name in self.arrays:
            return _with_nulls(pl.Series(name, self.arrays[name]), self.nulls[name])
        parts = self.parts[name]
        ordered = [parts[start] for start in sorted(parts)]
        whole = pl.concat(ordered, rechunk=False) if len(ordered) > 1 else ordered[0]
        return self.order.back(whole) if self.order else whole

    def _on_pandas(self, series: Mapping[str, pl.Series]) -> Any:
        result, pandas = self.frame.copy(deep=False), nw.dependencies.get_pandas()
        for name in self.dtypes:
            if name not in series:
                column = pandas.Series(self.arrays[name], copy=False)
            else:
                column = series[name].to_pandas(use_pyarrow_extension_array=self.arrow)
            # with the frame's own index pandas takes it as it is; a bare array it would copy
            column.index = self.frame.index
            result[name] = column
        return result


def _with_nulls(values: pl.Series, nulls: Sequence[np.ndarray]) -> pl.Series:
    """Return floats that are null in some rows, all of which hold NaN."""
    if not nulls:
        return values
    found = values.fill_nan(None)
    if found.null_count() == sum(map(len, nulls)):
        return found
    known = np.ones(len(values), dtype=bool)
    known[np.concatenate(nulls)] = False
    return values.zip_with(pl.Series(known), pl.Series([None], dtype=pl.Float64))


def _on_arrow(frame: Any, outputs: Iterable[pl.Series]) -> Any:
    for series in outputs:
        array = series.to_arrow(compat_level=pl.CompatLevel.oldest())
        names = frame.column_names
        if series.name in names:
            frame = frame.set_column(names.index(series.name), series.name, array)
        else:
            frame = frame.append_column(series.name, array)
    return frame


def native(engine: str, result: pl.DataFrame) -> Any:
    """A frame of its own in the caller's kind."""
    if engine == "polars":
        return result
    if engine == "pyarrow":
        return result.to_arrow(compat_level=pl.CompatLevel.oldest())
    return result.to_pandas()
