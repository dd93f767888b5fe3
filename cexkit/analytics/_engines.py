"""One definition on every engine: the caller's frame in, the caller's kind of frame out.

Eager frames travel through polars with only the columns that are needed, and the outputs are put
onto the caller's frame by position, so that index, row order and all other columns stay untouched.
Row metrics on pandas stay in pandas. Lazy polars and Ibis frames stay expressions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import narwhals.stable.v2 as nw
import polars as pl

from cexkit.analytics import _checks as checks
from cexkit.errors import UnsupportedBackendError
from cexkit.schema.fields import INSTRUMENT_KEYS

if TYPE_CHECKING:
    from cexkit.analytics._registry import Metric

ENGINES: tuple[str, ...] = ("pandas", "polars", "lazy", "pyarrow", "ibis")
EAGER: tuple[str, ...] = ("pandas", "polars", "pyarrow")


def engine_of(frame: Any) -> str | None:
    """Name of the engine of a native frame, None where cexkit has none for it."""
    if isinstance(frame, pl.DataFrame):
        return "polars"
    if isinstance(frame, pl.LazyFrame):
        return "lazy"
    known = nw.dependencies
    tests = {"pandas": known.is_pandas_dataframe, "pyarrow": known.is_pyarrow_table, "ibis": known.is_ibis_table}
    return next((name for name, test in tests.items() if test(frame)), None)


def run(metric: Metric, frame: Any, arguments: Mapping[str, Any]) -> Any:
    """Evaluate a metric on a native frame."""
    engine = engine_of(frame)
    if engine not in metric.engines:
        raise UnsupportedBackendError(
            f"{metric.name} cannot take {type(frame).__module__}.{type(frame).__qualname__}; "
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
    native_pandas = engine == "pandas" and metric.kind == "row" and not ordered and len(frame)
    work = frame[needed] if native_pandas else _take(engine, frame, needed)
    narwhal = nw.from_native(work, eager_only=True)
    checks.types(metric, narwhal.schema, arguments, ordered=ordered)
    if ordered:
        checks.unique(metric, work)
    checks.rates(metric, narwhal, arguments)
    if metric.inspects:
        metric.inspects(work, arguments)
    result = metric.definition(narwhal, **arguments)
    if not metric.appends:
        return _to(engine, result.to_native())
    return _attach(engine, frame, {name: result.get_column(name).to_native() for name in metric.outputs}, work)


def _ordered(metric: Metric, names: Sequence[str], arguments: Mapping[str, Any]) -> bool:
    """Whether the metric looks at other rows of the instrument, given these columns and arguments."""
    if metric.complete_with is None:
        return metric.kind in ("rolling", "cross-venue")
    overridden = metric.unless is not None and arguments[metric.unless] is not None
    return not overridden and "timestamp" in names


def _complete(column: pl.DataFrame) -> bool:
    """Whether a single column holds finite numbers above zero in every row."""
    values = column.to_series()
    if not values.dtype.is_numeric() or values.null_count():
        return False
    values = values.cast(pl.Float64)
    return bool((values.is_finite() & (values > 0)).all())


def _needed(metric: Metric, names: Sequence[str], arguments: Mapping[str, Any], *, ordered: bool) -> list[str]:
    declared = [*metric.required(arguments), *metric.optional, *(n for group in metric.alternatives for n in group)]
    wanted = [metric.column(name, arguments) for name in declared if ordered or name != "timestamp"]
    wanted += [*INSTRUMENT_KEYS, "timestamp"] if ordered or not metric.appends else []
    return [name for name in dict.fromkeys(wanted) if name in names]


def _take(engine: str, frame: Any, columns: list[str]) -> pl.DataFrame:
    if engine == "polars":
        return frame.select(columns)
    if engine == "pyarrow":
        return pl.DataFrame(pl.from_arrow(frame.select(columns)))
    if not len(frame):
        # an empty pandas column is often of type object, which says nothing
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.Null))
    return pl.from_pandas(frame[columns])


def _to(engine: str, result: pl.DataFrame) -> Any:
    if engine == "polars":
        return result
    if engine == "pyarrow":
        return result.to_arrow(compat_level=pl.CompatLevel.oldest())
    return result.to_pandas()


def _attach(engine: str, frame: Any, outputs: Mapping[str, Any], work: Any) -> Any:
    """Put output columns onto the caller's frame, row by row as they stand."""
    if engine == "polars":
        return frame.with_columns(series.alias(name) for name, series in outputs.items())
    if engine == "pyarrow":
        for name, series in outputs.items():
            array = series.to_arrow(compat_level=pl.CompatLevel.oldest())
            place = frame.column_names.index(name) if name in frame.column_names else None
            frame = frame.append_column(name, array) if place is None else frame.set_column(place, name, array)
        return frame
    result = frame.copy(deep=False)
    for name, series in outputs.items():
        result[name] = (series.to_pandas() if isinstance(series, pl.Series) else series).array
    return result
