"""Forms of frames that users have: each axis of a frame (times, texts, numbers, unrelated columns) in turn.

A case changes every axis at once, so that a few dozen frames hold all forms of all axes.
"""

from __future__ import annotations

import datetime as dt
import decimal
import random
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
_INSTRUMENTS = (("binance", "perp", "BTCUSDT", "USDT"), ("okx", "perp", "BTCUSD", "USD"))

Change = Callable[[Any], Any]
Make = Callable[[pl.DataFrame], Any]


@cache
def plain(hours: int = 8, rows: int = 15) -> pl.DataFrame:
    """Return all columns that metrics read, of two instruments that take turns; every number is exact in float32."""
    rng = random.Random(3)
    made = []
    for i in range(2 * rows):
        exchange, kind, symbol, quote = _INSTRUMENTS[i % 2]
        close, open_ = (float(rng.randint(95, 105)) for _ in range(2))
        volume, interest = (float(rng.randint(100, 900)) for _ in range(2))
        made.append({
            "exchange": exchange, "instrument_type": kind, "symbol": symbol, "base": "BTC", "quote": quote,
            "timestamp": START + dt.timedelta(hours=i // 2 * hours),
            "expiry": START + dt.timedelta(days=40 + i % 2 * 10),
            "funding_rate": rng.randint(-8, 8) / 2**16, "funding_interval_hours": 8.0, "open": open_,
            "high": max(open_, close) + 1, "low": min(open_, close) - 1, "close": close, "price": close,
            "reference": open_, "benchmark": open_, "mark_price": close, "index_price": open_,
            "volume_base": volume, "volume_quote": volume * close, "volume_usd": volume * close,
            "taker_buy_volume_base": volume / 4, "open_interest_base": interest,
            "open_interest_quote": interest * close, "open_interest_usd": interest * close,
            "market_cap_usd": interest * 1024, "side": rng.choice(["long", "short"]), "quantity": interest / 8,
            "quantity_base": volume / 8, "value_quote": volume, "value_usd": volume, "contract_size": 100.0,
            "multiplier": 1.0, "inverse": exchange == "okx", "coverage": rng.choice(["full", "throttled"]),
            "trades": rng.randint(1, 99),
        })  # fmt: skip
    return pl.DataFrame(made)


def of_type(*dtypes: Any) -> tuple[str, ...]:
    return tuple(name for name, dtype in plain().schema.items() if dtype in dtypes)


TIMES, TEXTS, FLOATS = of_type(pl.Datetime), of_type(pl.String), of_type(pl.Float64)
#: Columns of floats that hold small whole numbers.
WHOLE = ("open", "high", "low", "close", "price", "reference", "benchmark", "multiplier", "funding_interval_hours")


def on_pandas(frame: Any, columns: tuple[str, ...], change: Change) -> pd.DataFrame:
    made = frame.to_pandas() if isinstance(frame, pl.DataFrame) else frame
    for name in made.columns.intersection(columns):
        made[name] = change(made[name])
    return made


def on_pyarrow(frame: Any, columns: tuple[str, ...], change: Change) -> pa.Table:
    made = frame.to_arrow(compat_level=pl.CompatLevel.oldest()) if isinstance(frame, pl.DataFrame) else frame
    for name in columns:
        if name in made.column_names:
            made = made.set_column(made.column_names.index(name), name, change(made.column(name)))
    return made


def on_polars(frame: pl.DataFrame, columns: tuple[str, ...], change: Change) -> pl.DataFrame:
    return frame.with_columns(change(frame[name]).alias(name) for name in columns if name in frame.columns)


def _arrow(change: Change) -> Change:
    """A change of PyArrow's for a pandas column backed by PyArrow."""
    return lambda s: pd.Series(
        pd.arrays.ArrowExtensionArray(pa.chunked_array([change(pa.chunked_array([pa.array(s)]))]))
    )


def _cast(kind: pa.DataType) -> Change:
    return lambda column: column.cast(kind)


def run_ends(column: pa.ChunkedArray) -> pa.Array:
    return pc.run_end_encode(column.combine_chunks() if column.num_chunks != 1 else column.chunk(0))


def _dictionary(values: pa.DataType | None = None, indices: pa.DataType | None = None) -> Change:
    def encode(column: pa.ChunkedArray) -> pa.Array:
        made = (
            column.combine_chunks().dictionary_encode()
            if column.num_chunks != 1
            else column.chunk(0).dictionary_encode()
        )
        return pa.DictionaryArray.from_arrays(
            made.indices.cast(indices or pa.int32()), made.dictionary.cast(values or made.dictionary.type)
        )

    return encode


class _Tagged(pa.ExtensionType):
    def __init__(self, storage: pa.DataType) -> None:
        super().__init__(storage, "test.tagged")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: pa.DataType, _: bytes) -> _Tagged:
        return cls(storage)


def tagged(column: pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return pa.ExtensionArray.from_storage(_Tagged(array.type), array)


def _zone(minutes: float) -> dt.timezone:
    return dt.timezone(dt.timedelta(minutes=minutes))


def _zoned(zone: Any) -> Change:
    return lambda s: s.dt.tz_convert(zone)


def _objects(convert: Change) -> Change:
    return lambda s: pd.Series([convert(value) for value in s], dtype=object)


def _read_only(s: pd.Series) -> pd.Series:
    values = s.to_numpy().copy()
    values.setflags(write=False)
    return pd.Series(values, copy=False)


#: Whole numbers have the form of the other numbers.
NUMBERS: tuple[str, Change | None] = ("as numbers", None)


def _with(kind: str, values: Callable[[int], Any], name: Any = "own") -> tuple[str, Change]:
    return kind, lambda f: _named(f.assign(spare=values(len(f))), name)


def _named(frame: pd.DataFrame, name: Any) -> pd.DataFrame:
    """Name the last column; an index of texts would turn None into NaN."""
    return frame.set_axis(pd.Index([*frame.columns[:-1], name], dtype=object, tupleize_cols=False), axis=1)


def _twice(frame: pd.DataFrame, name: Any) -> pd.DataFrame:
    return _named(_named(frame.assign(spare="a"), name).assign(spare="b"), name)


class _Subclass(pd.DataFrame):
    @property
    def _constructor(self) -> type:
        return _Subclass


PANDAS: dict[str, list[tuple[str, Change | None]]] = {
    "times": [
        ("+05:30", _zoned(_zone(330))),
        ("+05:45", _zoned(_zone(345))),
        ("-03:30", _zoned(_zone(-210))),
        ("+05:30:15", _zoned(_zone(330.25))),
        ("Asia/Kolkata", _zoned(ZoneInfo("Asia/Kolkata"))),
        ("objects +05:30", lambda s: s.dt.tz_convert(_zone(330)).astype(object)),
        ("arrow -03:30", _arrow(_cast(pa.timestamp("us", "-03:30")))),
        ("seconds", lambda s: s.dt.as_unit("s")),
        ("nanoseconds, naive", lambda s: s.dt.tz_localize(None).dt.as_unit("ns")),
        ("arrow milliseconds", _arrow(_cast(pa.timestamp("ms", "UTC")))),
        ("datetimes", lambda s: pd.Series(list(s.dt.to_pydatetime()), dtype=object)),
        ("mixed zones", lambda s: _objects(lambda t: t.tz_convert(_zone(60 * (t.hour // 8))))(s)),
        ("dateutil", _zoned("dateutil/America/St_Johns")),
    ],
    "texts": [
        ("category", lambda s: s.astype("category")),
        ("objects", lambda s: s.astype(object)),
        ("string[python]", lambda s: s.astype("string[python]")),
        ("string[pyarrow]", lambda s: s.astype("string[pyarrow]")),
        ("NumPy texts", _objects(np.str_)),
        ("arrow view", _arrow(_cast(pa.string_view()))),
        ("arrow run ends", _arrow(run_ends)),
        ("arrow dictionary of views", _arrow(_dictionary(pa.string_view()))),
        ("category of arrow", lambda s: s.astype(pd.ArrowDtype(pa.string())).astype("category")),
    ],
    "numbers": [
        ("Float64", lambda s: s.astype("Float64")),
        ("float32", lambda s: s.astype("float32")),
        ("Decimal", _objects(lambda x: decimal.Decimal(repr(x)))),
        ("objects", lambda s: s.astype(object)),
        ("read-only", _read_only),
        ("other byte order", lambda s: pd.Series(s.to_numpy().astype(np.dtype(float).newbyteorder("S")))),
        ("long double", lambda s: s.astype("longdouble")),
        ("sparse", lambda s: s.astype(pd.SparseDtype("float64"))),
        ("arrow decimal256", _arrow(_cast(pa.decimal256(50, 20)))),
        ("arrow run ends", _arrow(run_ends)),
        ("arrow", lambda s: s.astype(pd.ArrowDtype(pa.float64()))),
        ("category", lambda s: s.astype("category")),
        ("strided", lambda s: pd.Series(np.repeat(s.to_numpy(), 2)[::2], copy=False)),
    ],
    "whole": [(kind, lambda s, kind=kind: s.astype(kind)) for kind in ("int64", "Int64", "uint8", "Int32")] + [NUMBERS],
    "rest": [
        _with("None", lambda n: 1.0, None),
        _with("NA", lambda n: 1.0, pd.NA),
        _with("NaN", lambda n: 1.0, float("nan")),
        _with("tuple", lambda n: 1.0, ("a", 1)),
        _with("lists", lambda n: [[1] * (i % 3) for i in range(n)]),
        _with("dictionaries", lambda n: [{"a": i} if i % 2 else {"b": "x"} for i in range(n)]),
        _with("objects", lambda n: [object() if i % 2 else i for i in range(n)]),
        _with("complex", lambda n: 1j),
        _with("periods", lambda n: pd.period_range("2024", periods=n, freq="D")),
        ("two of a name", lambda f: _twice(f, "own")),
        ("two without a name", lambda f: _twice(f, None)),
        ("index of times", lambda f: f.set_index("timestamp", drop=False)),
        ("MultiIndex", lambda f: f.set_index(["exchange", "timestamp"], drop=False)),
        ("index of one value", lambda f: f.set_axis([0] * len(f))),
        ("subclass", _Subclass),
        ("categorical names", lambda f: f.set_axis(pd.CategoricalIndex(f.columns), axis=1)),
    ],
}


def _own(values: Callable[[int], Any]) -> Change:
    return lambda t: t.append_column("own", values(t.num_rows))


PYARROW: dict[str, list[tuple[str, Change | None]]] = {
    "times": [
        ("+05:30", _cast(pa.timestamp("us", "+05:30"))),
        ("s -03:30", _cast(pa.timestamp("s", "-03:30"))),
        ("ns +05:45", _cast(pa.timestamp("ns", "+05:45"))),
        ("UTC+05:30", _cast(pa.timestamp("us", "UTC+05:30"))),
        ("Asia/Kathmandu", _cast(pa.timestamp("us", "Asia/Kathmandu"))),
        ("naive ms", _cast(pa.timestamp("ms"))),
        ("run ends", run_ends),
        ("dictionary", _dictionary()),
    ],
    "texts": [
        ("view", _cast(pa.string_view())),
        ("large", _cast(pa.large_string())),
        ("run ends", run_ends),
        ("dictionary int8", _dictionary(indices=pa.int8())),
        ("dictionary of views", _dictionary(pa.string_view())),
        ("dictionary uint64 of large", _dictionary(pa.large_string(), pa.uint64())),
        ("extension", tagged),
    ],
    "numbers": [
        ("decimal128", _cast(pa.decimal128(38, 20))),
        ("decimal256", _cast(pa.decimal256(50, 20))),
        ("float32", _cast(pa.float32())),
        ("run ends", run_ends),
        ("dictionary", _dictionary()),
        ("extension", tagged),
    ],
    "whole": [(str(kind), _cast(kind)) for kind in (pa.int64(), pa.uint8(), pa.int16())] + [NUMBERS],
    "rest": [
        ("list view", _own(lambda n: pa.array([[1] * (i % 3) for i in range(n)], pa.list_view(pa.int64())))),
        ("map", _own(lambda n: pa.array([[("a", 1)]] * n, pa.map_(pa.string(), pa.int64())))),
        ("union", _own(lambda n: pa.UnionArray.from_sparse(pa.array([0] * n, pa.int8()), [pa.array(range(n))]))),
        ("interval", _own(lambda n: pa.array([(1, 2, 3)] * n, pa.month_day_nano_interval()))),
        ("two of a name", lambda t: _own(lambda n: pa.nulls(n))(_own(lambda n: pa.nulls(n))(t))),
        ("chunks", lambda t: pa.concat_tables([t[:3], t[3:3], t[3:10], t[10:]])),
        ("slice", lambda t: pa.concat_tables([t, t])[len(t) :]),
    ],
}

POLARS: dict[str, list[tuple[str, Change | None]]] = {
    "times": [
        ("Asia/Kolkata", lambda s: s.dt.convert_time_zone("Asia/Kolkata")),
        ("naive ms", lambda s: s.dt.replace_time_zone(None).dt.cast_time_unit("ms")),
        ("ns", lambda s: s.dt.cast_time_unit("ns")),
    ],
    "texts": [
        ("categorical", lambda s: s.cast(pl.Categorical)),
        ("enum", lambda s: s.cast(pl.Enum(s.unique().sort()))),
    ],
    "numbers": [("Decimal", lambda s: s.cast(pl.Decimal(38, 20))), ("float32", lambda s: s.cast(pl.Float32))],
    "whole": [("int8", lambda s: s.cast(pl.Int8)), NUMBERS],
    "rest": [
        ("lists", lambda f: f.with_columns(own=pl.Series([[1] * (i % 3) for i in range(f.height)]))),
        ("struct", lambda f: f.with_columns(pl.struct("timestamp").alias("_own"))),
        ("objects", lambda f: f.with_columns(pl.Series("own", [object() for _ in range(f.height)], dtype=pl.Object))),
        ("chunks", lambda f: pl.concat([f[:4], f[4:4], f[4:]], rechunk=False)),
    ],
}
_AXES = {"times": TIMES, "texts": TEXTS, "whole": WHOLE, "numbers": tuple(name for name in FLOATS if name not in WHOLE)}


def _case(axes: dict[str, list[tuple[str, Change | None]]], apply: Callable[..., Any], i: int) -> tuple[str, Make]:
    chosen = {axis: forms[i % len(forms)] for axis, forms in axes.items()}

    def make(frame: pl.DataFrame) -> Any:
        made: Any = frame
        for axis, columns in _AXES.items():
            made = apply(made, columns, chosen[axis][1] or chosen["numbers"][1])
        return chosen["rest"][1](made)

    return ", ".join(f"{axis} {name}" for axis, (name, _) in chosen.items()), make


def cases() -> Iterator[tuple[str, Make]]:
    """Yield names and makers of frames that hold the same values as the plain one."""
    for engine, axes, apply in (("pandas", PANDAS, on_pandas), ("pyarrow", PYARROW, on_pyarrow)):
        for i in range(max(map(len, axes.values()))):
            name, make = _case(axes, apply, i)
            yield f"{engine}: {name}", make
    for i in range(4):
        name, make = _case(POLARS, on_polars, i)
        yield f"polars: {name}", make
        if i < 2:
            yield f"lazy: {name}", lambda frame, make=make: make(frame).lazy()


#: A column that cannot be read, or holds nothing, by engine.
BROKEN: dict[str, tuple[Callable[..., Any], Change]] = {
    "pandas lists": (on_pandas, lambda s: pd.Series([[1]] * len(s))),
    "pandas objects": (on_pandas, lambda s: pd.Series([object() for _ in s])),
    "pandas mixed": (on_pandas, lambda s: pd.Series([value if i else 7.5 for i, value in enumerate(s)], dtype=object)),
    "pandas periods": (on_pandas, lambda s: pd.Series(pd.period_range("2024", periods=len(s), freq="D"))),
    "pandas complex": (on_pandas, lambda s: pd.Series([1j] * len(s))),
    "pandas dates and times": (
        on_pandas,
        lambda s: pd.Series([dt.date(2024, 1, 1), START] * (len(s) // 2), dtype=object),
    ),
    "pandas bytes": (on_pandas, lambda s: pd.Series([b"x"] * len(s), dtype=object)),
    "pyarrow interval": (on_pyarrow, lambda c: pa.array([(0, 0, 1)] * len(c), pa.month_day_nano_interval())),
    "pyarrow list view": (on_pyarrow, lambda c: pa.array([[1]] * len(c), pa.list_view(pa.int64()))),
    "pyarrow struct": (on_pyarrow, lambda c: pa.array([{"a": 1}] * len(c))),
    "polars lists": (on_polars, lambda s: pl.Series([[1]] * len(s))),
    "polars objects": (on_polars, lambda s: pl.Series(s.to_list(), dtype=pl.Object)),
    "polars time": (on_polars, lambda s: pl.Series([dt.time(1)] * len(s))),
    "lazy lists": (lambda f, *change: on_polars(f, *change).lazy(), lambda s: pl.Series([[1]] * len(s))),
}
EMPTY: dict[str, tuple[Callable[..., Any], Change]] = {
    "pandas None": (on_pandas, lambda s: pd.Series([None] * len(s), dtype=object)),
    "pandas NA": (on_pandas, lambda s: pd.Series([pd.NA] * len(s), dtype=object)),
    "pandas NaT": (on_pandas, lambda s: pd.Series([pd.NaT] * len(s), dtype=object)),
    "pandas arrow null": (on_pandas, lambda s: pd.Series([None] * len(s), dtype=pd.ArrowDtype(pa.null()))),
    "pandas category": (on_pandas, lambda s: pd.Series([None] * len(s), dtype="category")),
    "pyarrow null": (on_pyarrow, lambda c: pa.nulls(len(c))),
    "pyarrow null dictionary": (
        on_pyarrow,
        lambda c: pa.nulls(len(c)).cast(pa.dictionary(pa.int32(), pa.string_view())),
    ),
    "polars null": (on_polars, lambda s: pl.Series([None] * len(s), dtype=pl.Null)),
}
