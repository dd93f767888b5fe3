"""Columns of pandas and PyArrow frames as Polars series of plain types.

Both libraries have types that Polars cannot read, or reads as something else. Those that hold the same values in
another encoding are decoded; all others raise :class:`~cexkit.errors.ColumnTypeError`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from cexkit.errors import ColumnTypeError

#: Types of PyArrow that Polars reads as what they are.
_READABLE = (
    pa.types.is_null, pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_string,
    pa.types.is_large_string, pa.types.is_string_view, pa.types.is_date, pa.types.is_duration, pa.types.is_timestamp,
    pa.types.is_binary, pa.types.is_large_binary,
)  # fmt: skip
_NO_VALUES = (pl.Object, pl.List, pl.Array, pl.Struct, pl.Time)


def from_polars(series: pl.Series) -> pl.Series:
    """Return a column of a Polars frame; raise ColumnTypeError if its type holds no number, text, or time."""
    if isinstance(series.dtype, _NO_VALUES) or series.dtype in _NO_VALUES:
        raise _unreadable(series.name, series.dtype)
    return series


def from_arrow(name: str, column: pa.ChunkedArray | pa.Array) -> pl.Series:
    """Return a column of a PyArrow table.

    Encodings are decoded, and times in zones that Polars does not know become UTC.
    """
    try:
        readable = _decoded(column)
    except (pa.ArrowInvalid, NotImplementedError, TypeError) as error:
        raise _unreadable(name, column.type) from error
    if readable is None:
        raise _unreadable(name, column.type)
    return pl.Series(name, pl.from_arrow(readable))


def from_pandas(name: str, column: Any, *, raw: bool = False) -> pl.Series:
    """Return a column of a pandas frame; ``raw``: floats of NumPy as they are, NaN included, without reading them."""
    if hasattr(column, "sparse"):
        column = column.sparse.to_dense()
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "iuf":
        column = _native(column)
        if dtype.kind == "f" and _is_missing(column.to_numpy()):
            return pl.Series(name, [None], dtype=pl.Null).new_from_index(0, len(column))
        if raw and column.dtype == np.float64:
            return pl.Series(name, column.to_numpy())
    if getattr(dtype, "tz", None) is not None and dtype.tz.utcoffset(None) is not None:
        column = column.dt.tz_convert("UTC")  # a fixed offset, which may have seconds
    try:
        array = pa.array(column, from_pandas=True)
    except (TypeError, ValueError, NotImplementedError, OverflowError) as error:
        raise ColumnTypeError(f"cannot read the column {name!r} ({dtype}): {error}; give it one type") from error
    if dtype.kind == "O" and pa.types.is_date(array.type) and any(isinstance(value, datetime) for value in column):
        raise ColumnTypeError(f"cannot read the column {name!r}: it holds dates and times; give it one type")
    return from_arrow(name, array)


def text_in_place(column: Any) -> pa.Array | None:
    """Return a column of pandas or PyArrow as the text array that it is; None if it is another or has nulls."""
    if getattr(getattr(column, "dtype", None), "storage", None) == "pyarrow":
        column = column.array.__arrow_array__()
    if not isinstance(column, pa.ChunkedArray) or column.null_count:
        return None
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return None
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _is_missing(values: np.ndarray) -> bool:
    """Return True if all values are NaN, as pandas fills a column of any type."""
    return bool(len(values) and np.isnan(values[0]) and np.isnan(values).all())


def _native(column: Any) -> Any:
    """Return numbers in the byte order of this machine, and extended floats as float64."""
    dtype = column.dtype
    wanted = np.dtype(np.float64) if dtype.kind == "f" and dtype.itemsize > 8 else dtype.newbyteorder("=")
    return column if wanted == dtype else column.astype(wanted)


def _decoded(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array | None:
    """Return a column of a type that Polars can read; None if it cannot be one."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return None if _is_period(kind) else _decoded(_storage(column))
    if pa.types.is_run_end_encoded(kind):
        return _decoded(pc.run_end_decode(column))
    if pa.types.is_dictionary(kind):
        return _decoded_dictionary(column)
    if pa.types.is_decimal(kind):
        return column.cast(pa.float64()) if kind.bit_width > 128 else column
    if pa.types.is_timestamp(kind) and kind.tz is not None and not _is_known_zone(kind.tz):
        return column.cast(pa.timestamp(kind.unit, "UTC"))  # the values are in UTC already
    return column if any(test(kind) for test in _READABLE) else None


def _decoded_dictionary(column: pa.ChunkedArray | pa.DictionaryArray) -> pa.ChunkedArray | pa.Array | None:
    values = column.type.value_type
    if column.null_count == len(column):
        return pa.nulls(len(column))  # without values, the type of the values says nothing
    if pa.types.is_string(values) or pa.types.is_large_string(values):
        return column
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    # PyArrow cannot take from views.
    kind = pa.large_string() if pa.types.is_string_view(values) else values
    parts = [(_decoded(chunk.dictionary.cast(kind)), chunk.indices) for chunk in chunks]
    if any(values is None for values, _ in parts):
        return None
    return pa.chunked_array([values.take(indices) for values, indices in parts])


def _storage(column: pa.ChunkedArray | pa.ExtensionArray) -> pa.ChunkedArray | pa.Array:
    if isinstance(column, pa.ChunkedArray):
        return pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
    return column.storage


def _is_period(kind: pa.BaseExtensionType) -> bool:
    """Return True for periods of pandas, whose stored numbers count periods of any length."""
    return kind.extension_name == "pandas.period"


def _is_known_zone(name: str) -> bool:
    try:
        pl.Series(dtype=pl.Datetime("us", name))
    except pl.exceptions.ComputeError:
        return False
    return True


def _unreadable(name: str, kind: object) -> ColumnTypeError:
    return ColumnTypeError(
        f"cannot read the column {name!r} of type {kind}; convert it to numbers, text, or times (a period of pandas "
        "with .dt.to_timestamp())"
    )
