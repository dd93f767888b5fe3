"""Record a metric's expressions once, then replay them on eager frames block by block.

Narwhals takes milliseconds to build a metric's expressions; Polars evaluates them on a small frame in a fraction of
one. So a definition that appends columns runs once per input schema, on an empty frame that records its expressions;
later calls replay them. Large frames are processed in blocks of whole instruments, which keeps all cores busy and the
intermediate columns small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import narwhals.stable.v2 as nw
import polars as pl

#: Approximate rows per block: few enough for the cache of a core, many enough that the work outweighs the calls.
BLOCK = 250_000

Step = tuple[pl.Expr, ...]
T = TypeVar("T")


class MetricPlan(NamedTuple):
    """The expressions of a metric, step by step, what they read, the types of its outputs, and its columns of notes."""

    steps: tuple[Step, ...]
    inputs: frozenset[str]
    outputs: Mapping[str, pl.DataType]
    notes: tuple[str, ...] = ()

    def __call__(self, work: pl.DataFrame) -> list[pl.Series]:
        """Return the outputs, then the notes."""
        for step in self.steps:
            work = work.with_columns(step)
        return [work.get_column(name) for name in (*self.outputs, *self.notes)]


class _RecordingFrame(pl.DataFrame):
    """An empty frame that records the columns appended to it."""

    recorded: tuple[Step, ...]

    def with_columns(self, *exprs: Any, **named: Any) -> _RecordingFrame:
        listed = [one for some in exprs for one in ([some] if isinstance(some, pl.Expr) else some)]
        step = (*listed, *(one.alias(name) for name, one in named.items()))
        page = _RecordingFrame(super().with_columns(step))
        page.recorded = (*self.recorded, step)
        return page

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise TypeError("a definition that appends columns must not read values, because its plan is reused for others")

    __getitem__ = get_column = get_columns = to_series = item = row = rows = iter_rows = to_dict = filter = _refuse


def metric_plan(
    definition: Callable[..., Any],
    outputs: tuple[str, ...],
    schema: Mapping[str, pl.DataType],
    arguments: Mapping[str, Any],
    notes: tuple[str, ...] = (),
) -> MetricPlan:
    """Return the steps of a definition on frames of this schema, given these arguments.

    Raises
    ------
    TypeError
        If the definition does anything other than append columns, or reads values.
    """
    # 30 and 30.0 are equal, but a definition may treat them differently.
    known = tuple((name, type(value), value) for name, value in arguments.items())
    columns = tuple(schema.items())
    try:
        return _noted(definition, outputs, columns, known, notes)
    except TypeError as error:
        if "unhashable" not in str(error):
            raise
        return _noted.__wrapped__(definition, outputs, columns, known, notes)


@lru_cache(maxsize=256)
def _noted(
    definition: Callable[..., Any],
    outputs: tuple[str, ...],
    columns: tuple[tuple[str, pl.DataType], ...],
    arguments: tuple[tuple[str, type, Any], ...],
    notes: tuple[str, ...],
) -> MetricPlan:
    page = _RecordingFrame(schema=dict(columns))
    page.recorded = ()
    result = definition(nw.from_native(page), **{name: value for name, _, value in arguments}).to_native()
    recorded = getattr(result, "recorded", None)
    if recorded is None:
        raise TypeError(f"{definition.__name__} appends columns, so it may use with_columns and nothing else")
    present = tuple(name for name in notes if name in result.schema)
    steps, inputs = _needed(recorded, {*outputs, *present})
    return MetricPlan(steps, inputs, {name: result.schema[name] for name in outputs}, present)


def _needed(steps: Sequence[Step], wanted: set[str]) -> tuple[tuple[Step, ...], frozenset[str]]:
    """Return the expressions that columns need, and the columns that those need in turn."""
    kept: list[Step] = []
    for step in reversed(steps):
        used = tuple(expr for expr in step if expr.meta.output_name() in wanted)
        wanted = wanted.difference(expr.meta.output_name() for expr in used)
        wanted = wanted.union(*(expr.meta.root_names() for expr in used))
        kept += [used] if used else []
    return tuple(reversed(kept)), frozenset(wanted)


def blocks(rows: int, instruments: pl.Series | None) -> list[tuple[int, int]]:
    """Return ranges of rows, split between instruments if their sorted numbers are given, otherwise anywhere."""
    cuts: Iterator[int] = iter(range(BLOCK, rows - BLOCK // 2, BLOCK))
    if instruments is not None:
        cuts = (int(instruments.search_sorted(instruments[cut], side="left")) for cut in cuts)
    return list(pairwise(dict.fromkeys([0, *cuts, rows]))) if rows else [(0, 0)]


def each(task: Callable[[int, int], T], ranges: list[tuple[int, int]]) -> list[T]:
    """Return the results of a task on ranges of rows, using as many threads as Polars has."""
    if len(ranges) == 1:
        return [task(*ranges[0])]
    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        return list(pool.map(task, *zip(*ranges, strict=True)))
