"""Write the generated type stub: ``python -m cexkit.analytics`` from the project's root."""

from __future__ import annotations

import inspect
from pathlib import Path

# importing cexkit, which comes first, has registered every metric
from cexkit.analytics._registry import METRICS, Metric

_HEAD = """\
# Generated from the metric registry by `python -m cexkit.analytics`; do not edit.
import collections.abc
from typing import Generic, Literal, TypeVar, overload

import ibis
import pandas as pd
import polars as pl
import pyarrow as pa

FrameT = TypeVar("FrameT")
ColumnT = TypeVar("ColumnT")

class Crypto(Generic[FrameT, ColumnT]):
    def __init__(self, frame: FrameT) -> None: ...
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
    return {"cexkit/accessors.pyi": "".join([_HEAD, *methods, _TAIL])}


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
