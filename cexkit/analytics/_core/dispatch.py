"""One definition on every engine: the caller's frame in, the caller's kind of frame out.

Of eager frames only the columns that are needed travel through polars, and the outputs are put onto
the caller's frame by position, so that index, row order and all other columns stay untouched. Lazy
polars and Ibis frames stay expressions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl

from cexkit.analytics._core import checks, ranges, settlements
from cexkit.analytics._core.classes import select_class
from cexkit.analytics._core.columns import Results, cleaned, complete, key, native, take
from cexkit.analytics._core.hours import LONGEST, hours_of, with_hours_as_numbers
from cexkit.analytics._core.metric import EAGER, Metric
from cexkit.analytics._core.order import Order, arrange
from cexkit.analytics._core.plan import MetricPlan, blocks, each, metric_plan
from cexkit.errors import ColumnTypeError, UnsupportedBackendError, warn
from cexkit.schema.fields import INSTRUMENT_KEYS

#: Rows of a frame of payments that are searched for rates that were filled forward.
PAYMENTS = 10_000


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


def read(metric: Metric, frame: Any, arguments: Mapping[str, Any], also: Sequence[str] = ()) -> pl.DataFrame:
    """Return what a metric reads of a frame and the columns ``also``, in Polars: all that a plot of the metric needs.

    Every row must have a time, so a frame without ``timestamp`` raises MissingColumnError.
    """
    arguments = {name: each.default for name, each in metric.signature.parameters.items()} | dict(arguments)
    checks.columns(metric, _names(frame), arguments, timed=True)
    columns = {name: metric.column(name, arguments) for name in metric.used(arguments)}
    return read_columns(metric.name, frame, columns | {name: name for name in (*also, "timestamp")})


def read_columns(name: str, frame: Any, columns: Mapping[str, str]) -> pl.DataFrame:
    """Return columns of any frame that has them, in Polars; ``columns`` maps what each must hold to its name.

    Raises
    ------
    InvalidInputError
        If the frame has two columns of one of these names.
    ColumnTypeError
        If a column does not hold what its declared name says.
    """
    present = set(names := _names(frame))
    columns = {declared: column for declared, column in columns.items() if column in present}
    wanted = list(dict.fromkeys(columns.values()))
    checks.once(name, names, wanted)
    engine = engine_of(frame)
    if engine not in EAGER:
        engine, frame = "polars", nw.from_native(frame).select(wanted).collect("polars").to_native()
    work = take(engine, frame, wanted)
    schema = nw.from_native(work).schema
    for declared, column in columns.items():
        checks.holds(name, declared, column, schema[column])
    return with_hours_as_numbers(work)


def _names(frame: Any) -> list[Any]:
    """Return the names of a frame's columns, which in pandas can be anything."""
    engine = engine_of(frame)
    if engine is None:
        raise UnsupportedBackendError(
            f"a frame must be one of pandas, Polars, PyArrow, or Ibis, got {type(frame).__qualname__}"
        )
    if engine == "lazy":
        return frame.collect_schema().names()
    return list(frame.column_names if engine == "pyarrow" else frame.columns)


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
    elif metric.notes:
        result = result.drop(*metric.notes, strict=False)
    return result.to_native()


def _eager(metric: Metric, engine: str, frame: Any, arguments: Mapping[str, Any]) -> Any:
    names = _names(frame)
    checks.columns(metric, names, arguments)
    present = dict.fromkeys(names)  # found by hash, because a name of pandas can refuse to be compared
    if metric.appends:
        return _appended(metric, engine, frame, present, arguments)
    ordered = _ordered(metric, present, arguments)
    work = take(engine, frame, _needed(metric, present, arguments, ordered=ordered))
    work = select_class(metric.name, work, arguments)
    checks.types(metric, nw.from_native(work).schema, arguments, ordered=ordered)
    ranges.check_times(metric, work, arguments)
    work = with_hours_as_numbers(work)
    if ordered:
        checks.unique(metric, work)
    _look(metric, work, arguments)
    if metric.settlements:
        settlements.check(metric, work, arguments)
    work = cleaned(work, _numbers(metric, arguments))
    result = metric.definition(nw.from_native(work), **arguments).to_native()
    marked = {name: int(result.get_column(name).sum()) for name in metric.notes if name in result.columns}
    _tell(metric, [marked])
    return native(engine, result.drop(marked))


def _appended(metric: Metric, engine: str, frame: Any, names: Collection[Any], arguments: Mapping[str, Any]) -> Any:
    hours = metric.complete_with  # None is no name here, but can be that of a column of pandas
    known = hours is not None and hours in names
    known = known and complete(hours_of(take(engine, frame, [hours], raw=True).to_series()), LONGEST)
    ordered = _ordered(metric, names, arguments, complete=known)
    needed = _needed(metric, names, arguments, ordered=ordered)
    keys = [name for name in INSTRUMENT_KEYS if name in needed]
    grouped = ordered and _only_groups(metric, keys, arguments)
    work = take(engine, frame, [name for name in needed if not (grouped and name in keys)], raw=True)
    checks.types(metric, nw.from_native(work).schema, arguments, ordered=ordered)
    ranges.check_times(metric, work, arguments)
    work = with_hours_as_numbers(work)
    order = _order(metric, engine, frame, work, keys) if grouped else None
    if ordered and not grouped:
        checks.unique(metric, work)
    _look(metric, work, arguments)
    if "funding_rate" in metric.required(arguments) and not metric.settlements:
        first = _first_payments(metric, engine, frame, arguments)
        ranges.check_times(metric, first, arguments)
        settlements.check_payments(metric, first, arguments)
    added = settlements.prepared(metric, work, order, arguments) if order and metric.settlements else None
    if known and "timestamp" not in metric.used(arguments):
        work = work.drop("timestamp", strict=False)  # nothing is left to derive
    alone = ordered and not grouped  # rows of other instruments play a part
    spans = [(0, work.height)] if alone else blocks(work.height, order.instruments if order else None)
    numbers = _numbers(metric, arguments)
    in_order = [order.instruments] if order else []
    in_order += [order.times.alias("timestamp")] if order and "timestamp" in work.columns else []
    in_order += [] if added is None else [added]
    plan = _plan(metric, work, numbers, in_order, arguments)
    results = Results(engine, frame, plan.outputs, order)
    in_order = [series for series in in_order if series.name in plan.inputs]
    read = plan.inputs.difference(series.name for series in in_order)
    # at least one column, which says how many rows there are
    work = pl.DataFrame([series for series in work if series.name in read] or [work.to_series().alias("_rows")])

    def block(start: int, stop: int) -> dict[str, int]:
        part = order.take(work, start, stop, in_order) if order else work.slice(start, stop - start)
        found = plan(cleaned(part, numbers))
        results.put(start, stop, found[: len(plan.outputs)])
        return {series.name: int(series.sum()) for series in found[len(plan.outputs) :]}

    _tell(metric, each(block, spans))
    return results.attached()


def _first_payments(metric: Metric, engine: str, frame: Any, arguments: Mapping[str, Any]) -> pl.DataFrame:
    """Return rates, times, and instruments of the first rows; enough to see rates that were filled forward."""
    wanted = dict.fromkeys([metric.column("funding_rate", arguments), "timestamp", *INSTRUMENT_KEYS])
    rows = frame.iloc[:PAYMENTS] if engine == "pandas" else frame.slice(0, PAYMENTS)
    counts = Counter(name for name in _names(frame) if isinstance(name, str))
    try:
        return take(engine, rows, [name for name in wanted if counts[name] == 1])
    except ColumnTypeError:  # The metric itself reads neither times nor instruments.
        return pl.DataFrame()


def _tell(metric: Metric, marked: Sequence[Mapping[str, int]]) -> None:
    """Give the warnings of a result, from the number of rows that the notes of each block mark."""
    for name, note in metric.notes.items():
        if count := sum(part.get(name, 0) for part in marked):
            warn(f"{metric.name}: {note.text.format(count=count)}", note.category)


def _plan(
    metric: Metric, work: pl.DataFrame, numbers: set[str], added: Sequence[pl.Series], arguments: Mapping[str, Any]
) -> MetricPlan:
    schema = {name: pl.Float64() if name in numbers else dtype for name, dtype in work.schema.items()}
    schema |= {each.name: each.dtype for each in added}
    return metric_plan(metric.definition, metric.outputs, schema, arguments, tuple(metric.notes))


def _only_groups(metric: Metric, keys: Sequence[str], arguments: Mapping[str, Any]) -> bool:
    """Whether keys serve to tell instruments apart and for nothing else."""
    return not set(keys) & {*metric.used(arguments), *metric.group_columns(arguments)}


def _order(metric: Metric, engine: str, frame: Any, work: pl.DataFrame, keys: list[str]) -> Order:
    """The order of the frame's rows by instrument and time."""
    checks.timed(metric, work)

    def doubled() -> None:
        checks.unique(metric, take(engine, frame, [*keys, "timestamp"]))

    return arrange(work.get_column("timestamp"), [key(engine, frame, name) for name in keys], doubled)


def _look(metric: Metric, work: pl.DataFrame, arguments: Mapping[str, Any]) -> None:
    """What there is to say about values."""
    ranges.check(metric, work, arguments)
    checks.rates(metric, work, arguments)
    if metric.inspects:
        metric.inspects(work, arguments)


def _numbers(metric: Metric, arguments: Mapping[str, Any]) -> set[str]:
    """The caller's columns that are read as numbers."""
    used = metric.used(arguments)
    return {metric.column(name, arguments) for name in used if checks.kind(name) in ("numbers", "hours")}


def _ordered(metric: Metric, names: Collection[Any], arguments: Mapping[str, Any], *, complete: bool = False) -> bool:
    """Whether the metric looks at other rows of the instrument, given these columns and arguments."""
    if metric.kind != "row":
        return metric.kind in ("rolling", "cross-venue") and not metric.ties
    if metric.complete_with is None or complete:
        return False
    overridden = metric.unless is not None and arguments[metric.unless] is not None
    return not overridden and "timestamp" in names


def _needed(metric: Metric, names: Collection[Any], arguments: Mapping[str, Any], *, ordered: bool) -> list[str]:
    if metric.selects:
        return metric.selects(names, arguments)
    timed = ordered or not metric.appends or "timestamp" in metric.required(arguments)
    used = [name for name in metric.used(arguments) if timed or name != "timestamp"]
    wanted = [*(metric.column(name, arguments) for name in used), *metric.group_columns(arguments)]
    wanted += [*INSTRUMENT_KEYS, "timestamp"] if ordered or not metric.appends else []
    return [name for name in dict.fromkeys(wanted) if name in names]
