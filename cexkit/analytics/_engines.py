"""One definition on every engine: the caller's frame in, the caller's kind of frame out.

Of eager frames only the columns that are needed travel through polars, and the outputs are put onto
the caller's frame by position, so that index, row order and all other columns stay untouched. Lazy
polars and Ibis frames stay expressions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import narwhals.stable.v2 as nw
import polars as pl

from cexkit.analytics import _checks as checks
from cexkit.analytics._order import arrange
from cexkit.errors import ColumnTypeError, UnsupportedBackendError
from cexkit.schema.fields import INSTRUMENT_KEYS

if TYPE_CHECKING:
    from cexkit.analytics._registry import Metric

#: ``lazy`` is polars' LazyFrame; the last two are Ibis tables on these backends.
ENGINES: tuple[str, ...] = ("pandas", "polars", "lazy", "pyarrow", "duckdb", "pyspark")
EAGER: tuple[str, ...] = ("pandas", "polars", "pyarrow")


def engine_of(frame: Any) -> str | None:
    """Name of the engine of a native frame, None where cexkit has none for it.

    An Ibis table has the name of its backend, also of one that no metric takes; tables of none (unbound
    ones, memtables) count as DuckDB.
    """
    if isinstance(frame, pl.DataFrame):
        return "polars"
    if isinstance(frame, pl.LazyFrame):
        return "lazy"
    known = nw.dependencies
    if known.is_ibis_table(frame):
        backends, _ = frame._find_backends()  # get_backend() would open a connection where there is none
        return backends[0].name if backends else "duckdb"
    tests = {"pandas": known.is_pandas_dataframe, "pyarrow": known.is_pyarrow_table}
    return next((name for name, test in tests.items() if test(frame)), None)


def run(metric: Metric, frame: Any, arguments: Mapping[str, Any]) -> Any:
    """Evaluate a metric on a native frame."""
    engine = engine_of(frame)
    if engine not in metric.engines:
        on = f" on {engine}" if nw.dependencies.is_ibis_table(frame) else ""
        raise UnsupportedBackendError(
            f"{metric.name} cannot take {type(frame).__module__}.{type(frame).__qualname__}{on}; "
            f"it takes {', '.join(metric.engines)}: convert first, for example with polars.from_pandas, "
            "polars.from_arrow, or ibis.duckdb.connect().create_table"
        )
    if engine in EAGER:
        return _eager(metric, engine, frame, arguments)
    try:
        return _deferred(metric, engine, nw.from_native(frame), arguments)
    except NotImplementedError as error:
        raise UnsupportedBackendError(
            f"{metric.name} cannot be expressed on {engine} ({error}); collect the columns it needs into polars, "
            "for example with table.to_polars(), and call it there"
        ) from error


def _deferred(metric: Metric, engine: str, frame: Any, arguments: Mapping[str, Any]) -> Any:
    schema = frame.collect_schema()
    checks.columns(metric, schema.names(), arguments)
    checks.types(metric, schema, arguments, ordered=_ordered(metric, schema.names(), arguments))
    # a caller's column that looks like a temporary must survive
    aside = {name: f"own {name}" for name in schema.names() if name.startswith("_")} if metric.appends else {}
    result = metric.definition(frame.rename(aside) if aside else frame, **arguments)
    if metric.appends:
        kept = [aside.get(name, name) for name in schema.names()]
        new = [name for name in metric.outputs if name not in kept]
        result = result.select(*kept, *new).rename({own: name for name, own in aside.items()})
    return result.to_native()


def _eager(metric: Metric, engine: str, frame: Any, arguments: Mapping[str, Any]) -> Any:
    names = list(frame.column_names if engine == "pyarrow" else frame.columns)
    checks.columns(metric, names, arguments)
    complete = metric.complete_with in names and _complete(_take(engine, frame, [metric.complete_with]))
    ordered = not complete and _ordered(metric, names, arguments)
    needed = _needed(metric, names, arguments, ordered=ordered)
    keys = [name for name in INSTRUMENT_KEYS if name in needed]
    if ordered and metric.appends and _only_groups(metric, keys, arguments):
        work, back = _in_order(metric, engine, frame, needed, keys, arguments)
    else:
        work, back = _take(engine, frame, needed), None
        checks.types(metric, nw.from_native(work).schema, arguments, ordered=ordered)
        if ordered:
            checks.unique(metric, work)
    work = _clean(metric, work, arguments)
    checks.rates(metric, work, arguments)
    if metric.inspects:
        metric.inspects(work, arguments)
    result = metric.definition(nw.from_native(work), **arguments).to_native()
    if not metric.appends:
        return _to(engine, result)
    outputs = pl.DataFrame([result.get_column(name) for name in metric.outputs])
    return _attach(engine, frame, outputs if back is None else outputs[pl.Series(back)])


def _only_groups(metric: Metric, keys: Sequence[str], arguments: Mapping[str, Any]) -> bool:
    """Whether keys serve to tell instruments apart and for nothing else."""
    return not set(keys) & {*metric.used(arguments), *metric.group_columns(arguments)}


def _in_order(
    metric: Metric, engine: str, frame: Any, needed: list[str], keys: list[str], arguments: Mapping[str, Any]
) -> tuple[pl.DataFrame, Any]:
    """The columns, keys aside, with rows grouped and in time order; and how to put results back."""
    work = _take(engine, frame, [name for name in needed if name not in keys])
    checks.types(metric, nw.from_native(work).schema, arguments, ordered=True)
    checks.timed(metric, work)

    def doubled() -> None:
        checks.unique(metric, _take(engine, frame, [*keys, "timestamp"]))

    return arrange(work, [_key(engine, frame, name) for name in keys], doubled)


def _key(engine: str, frame: Any, name: str) -> Any:
    """A column to compare with itself: as it lies in memory where that can be, text of pandas above all."""
    column = frame.column(name) if engine == "pyarrow" else frame[name]
    if engine == "polars":
        return column
    if engine == "pandas" and getattr(column.dtype, "storage", None) == "pyarrow":
        column = column.array.__arrow_array__()
    if hasattr(column, "combine_chunks") and not column.null_count and "string" in str(column.type):
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return _take(engine, frame, [name]).to_series()


def _ordered(metric: Metric, names: Sequence[str], arguments: Mapping[str, Any]) -> bool:
    """Whether the metric looks at other rows of the instrument, given these columns and arguments."""
    if metric.complete_with is None:
        return metric.kind in ("rolling", "cross-venue") and not metric.ties
    overridden = metric.unless is not None and arguments[metric.unless] is not None
    return not overridden and "timestamp" in names


def _complete(column: pl.DataFrame) -> bool:
    """Whether a single column holds finite numbers above zero in every row."""
    values = column.to_series()
    if not values.dtype.is_numeric() or values.null_count():
        return False
    values = values.cast(pl.Float64)
    least = values.min()
    return _all_finite(values) and (least is None or least > 0)  # type: ignore[operator]


def _all_finite(values: pl.Series) -> bool:
    """Whether a float column is free of NaN and infinities: either would show in the sum, in one cheap pass."""
    return math.isfinite(values.sum()) or bool(values.is_finite().all())


def _needed(metric: Metric, names: Sequence[str], arguments: Mapping[str, Any], *, ordered: bool) -> list[str]:
    if metric.whole:
        return list(names)
    timed = ordered or not metric.appends or "timestamp" in metric.required(arguments)
    used = [name for name in metric.used(arguments) if timed or name != "timestamp"]
    wanted = [*(metric.column(name, arguments) for name in used), *metric.group_columns(arguments)]
    wanted += [*INSTRUMENT_KEYS, "timestamp"] if ordered or not metric.appends else []
    return [name for name in dict.fromkeys(wanted) if name in names]


def _take(engine: str, frame: Any, columns: list[str]) -> pl.DataFrame:
    """The columns in polars."""
    if engine == "polars":
        # as every step here, without an expression: the core of polars costs more than the work on small frames
        return pl.DataFrame([frame.get_column(name) for name in columns])
    if engine == "pyarrow":
        return pl.DataFrame(pl.from_arrow(frame.select(columns)))
    if not len(frame):
        # an empty pandas column is often of type object, which says nothing
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.Null))
    try:
        # column by column: a slice of the frame would copy them first
        return pl.DataFrame([pl.from_pandas(frame[name]).alias(name) for name in columns])
    except (TypeError, ValueError) as error:  # a column of type object that holds this and that
        dtypes = ", ".join(f"{name} ({frame[name].dtype})" for name in columns)
        raise ColumnTypeError(f"cannot read the columns {dtypes}: {error}; give each one type") from error


def _clean(metric: Metric, work: pl.DataFrame, arguments: Mapping[str, Any]) -> pl.DataFrame:
    """Number inputs as float64 without NaN and infinities: what ``number`` promises."""
    columns = {metric.column(name, arguments) for name in metric.used(arguments) if checks.kind(name) == "numbers"}
    return pl.DataFrame([_finite(values) if values.name in columns else values for values in work])


def _finite(values: pl.Series) -> pl.Series:
    values = values.cast(pl.Float64)
    if _all_finite(values):
        return values
    return values.zip_with(values.is_finite(), pl.Series([None], dtype=pl.Float64))


def _to(engine: str, result: pl.DataFrame) -> Any:
    if engine == "polars":
        return result
    if engine == "pyarrow":
        return result.to_arrow(compat_level=pl.CompatLevel.oldest())
    return result.to_pandas()


def _attach(engine: str, frame: Any, outputs: pl.DataFrame) -> Any:
    """Put output columns onto the caller's frame, row by row as they stand."""
    if engine == "polars":
        fresh = not set(outputs.columns) & set(frame.columns)
        return frame.hstack(outputs) if fresh else frame.with_columns(outputs)
    if engine == "pyarrow":
        for series in outputs:
            array = series.to_arrow(compat_level=pl.CompatLevel.oldest())
            names = frame.column_names
            if series.name in names:
                frame = frame.set_column(names.index(series.name), series.name, array)
            else:
                frame = frame.append_column(series.name, array)
        return frame
    result = frame.copy(deep=False)
    arrow = any(hasattr(dtype, "pyarrow_dtype") for dtype in frame.dtypes)
    for series in outputs:
        column = series.to_pandas(use_pyarrow_extension_array=arrow)
        # with the frame's own index pandas takes it as it is; a bare array it would copy
        column.index = frame.index
        result[series.name] = column
    return result
