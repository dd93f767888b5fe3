"""Write what is generated from the registry, type stub and docs: ``python -m cexkit.analytics`` from the root."""

from __future__ import annotations

import inspect
from pathlib import Path

from cexkit.analytics._core.metric import ENGINES, Metric
from cexkit.analytics.catalog import METRICS

_HEAD = """\
# Generated from the metric registry by `python -m cexkit.analytics`; do not edit.
import collections.abc
import datetime
from typing import Generic, Literal, TypeVar, overload

import ibis
import pandas as pd
import polars as pl
import pyarrow as pa

from cexkit.analytics.plotting import Plots

FrameT = TypeVar("FrameT")
ColumnT = TypeVar("ColumnT")

class Crypto(Generic[FrameT, ColumnT]):
    def __init__(self, frame: FrameT) -> None: ...
    @property
    def plot(self) -> Plots: ...
"""
_TAIL = """
@overload
def crypto(frame: pl.DataFrame) -> Crypto[pl.DataFrame, pl.Series]: ...
@overload
def crypto(frame: pl.LazyFrame) -> Crypto[pl.LazyFrame, pl.LazyFrame]: ...
@overload
def crypto(frame: ibis.Table) -> Crypto[ibis.Table, ibis.Table]: ...
@overload
def crypto(frame: pd.DataFrame) -> Crypto[pd.DataFrame, pd.Series]: ...
@overload
def crypto(frame: pa.Table) -> Crypto[pa.Table, pa.ChunkedArray]: ...
"""


def generated() -> dict[str, str]:
    """Path below the project's root → text."""
    methods = (_method(METRICS[name]) for name in sorted(METRICS))
    return {"cexkit/analytics/accessors.pyi": "".join([_HEAD, *methods, _TAIL]), "docs/reference/metrics.md": _page()}


_PAGE = """\
# Metrics

Generated from the metric registry by `python -m cexkit.analytics`; do not edit.

Each metric is `cexkit.<name>(frame, …)`, `frame.crypto.<name>(…)` on pandas and polars, and
`cexkit.crypto(frame).<name>(…)` on all engines. Inputs are columns that must be there beside `timestamp` and those
of `exchange`, `instrument_type`, `symbol` that there are; "or" separates what may stand in for each other. A rolling
metric looks at the trailing rows of its instrument, in time order.

"""


def _page() -> str:
    """Metrics by kind, then metric × engine."""
    parts = [_PAGE]
    for kind in ("row", "rolling", "summary", "cross-venue"):
        chosen = [METRICS[name] for name in sorted(METRICS) if METRICS[name].kind == kind]
        rows = [
            f"| `{one.name}` | {_needs(one)} | {_ticks(one.outputs)} | {one.window or ''} | {_cell(one.meaning)} |"
            for one in chosen
        ]
        head = f"## {kind.capitalize()}\n\n| metric | inputs | outputs | window | meaning |\n|---|---|---|---|---|\n"
        parts.append(head + "\n".join(rows) + "\n\n")
    parts.append("## Engines\n\nA cell without a mark raises `UnsupportedBackendError`, which names the way round.\n\n")
    parts.append(f"| metric | {' | '.join(ENGINES)} |\n|---|{'---|' * len(ENGINES)}\n")
    for name in sorted(METRICS):
        marks = " | ".join("yes" if engine in METRICS[name].engines else "" for engine in ENGINES)
        parts.append(f"| `{name}` | {marks} |\n")
    return "".join(parts)


def _needs(one: Metric) -> str:
    choices = " or ".join(_ticks(each) for each in one.alternatives)
    return "; ".join(part for part in (_ticks(one.inputs), choices) if part)


def _cell(text: str) -> str:
    """Text in a cell of a table, where a bare bar would end it."""
    return text.replace("|", "\\|")


def _ticks(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _method(metric: Metric) -> str:
    result = "ColumnT" if metric.appends and len(metric.outputs) == 1 else "FrameT"
    lines = ["        self,\n"]
    parameters = list(metric.signature.parameters.values())[1:]
    if parameters:
        lines.append("        *,\n")
    for parameter in parameters:
        annotation = inspect.formatannotation(parameter.annotation)
        default = "..." if isinstance(parameter.default, tuple) else repr(parameter.default)
        lines.append(f"        {parameter.name}: {annotation} = {default},\n".replace("'", '"'))
    return f"    def {metric.name}(\n{''.join(lines)}    ) -> {result}: ...\n"


if __name__ == "__main__":
    for path, text in generated().items():
        Path(path).write_text(text, encoding="utf-8")
