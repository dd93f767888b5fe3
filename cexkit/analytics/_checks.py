"""What is checked before a metric runs, and how it is said."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import narwhals.stable.v2 as nw
import polars as pl

from cexkit.errors import (
    ColumnTypeError,
    DuplicateKeyError,
    InvalidInputError,
    MissingColumnError,
    SuspectRateWarning,
)
from cexkit.schema.fields import FIELDS, INSTRUMENT_KEYS

if TYPE_CHECKING:
    from cexkit.analytics._registry import Metric

#: How to get a column that is not there.
_HINTS = {
    "timestamp": "rename the time column to 'timestamp'; if it is the index, call frame.reset_index() first",
    "funding_interval_hours": "cexkit.funding_interval(frame) derives it from the timestamps",
    "reference": "the spot or index price of the same moment, joined on before, for example with join_asof",
    "value_usd": "value_quote and quote do as well",
}
# a frame this long is judged by a sample of it
_SAMPLE = 100_000


def columns(metric: Metric, names: Sequence[Any], arguments: Mapping[str, Any]) -> None:
    """Raise MissingColumnError unless the inputs are there, once each."""
    required = {name: metric.column(name, arguments) for name in metric.required(arguments)}
    if metric.kind in ("rolling", "cross-venue"):
        required["timestamp"] = "timestamp"
    for name, column in required.items():
        if column not in names:
            raise _missing(metric, name, column, names)
    for column in (*required.values(), *INSTRUMENT_KEYS):
        if names.count(column) > 1:
            raise InvalidInputError(f"{metric.name}: the frame has {names.count(column)} columns named {column!r}")
    overridden = metric.unless is not None and arguments[metric.unless] is not None
    if metric.alternatives and not overridden and not any(set(group) <= set(names) for group in metric.alternatives):
        raise _no_alternative(metric, names)


def _missing(metric: Metric, name: str, column: str, names: Sequence[Any]) -> MissingColumnError:
    part = metric.parts.get(name)
    other = f"; if another column holds it, say {metric.name}(frame, {part}=...)" if part else ""
    hint = f"; {_HINTS[name]}" if name in _HINTS else ""
    return MissingColumnError(f"{metric.name} needs a column {column!r}; there are: {_listed(names)}{other}{hint}")


def _no_alternative(metric: Metric, names: Sequence[Any]) -> MissingColumnError:
    choices = " or ".join(" with ".join(map(repr, group)) for group in metric.alternatives)
    override = f", or the argument {metric.unless}=" if metric.unless else ""
    hints = "".join(f"; {_HINTS[g]}" for group in metric.alternatives for g in group if g in _HINTS and g not in names)
    return MissingColumnError(f"{metric.name} needs {choices}{override}; there are: {_listed(names)}{hints}")


def _listed(names: Sequence[Any]) -> str:
    return ", ".join(map(str, names)) or "none"


def types(metric: Metric, schema: nw.Schema, arguments: Mapping[str, Any], *, ordered: bool) -> None:
    """Raise ColumnTypeError where an input has a type that cannot be meant."""
    used = [*metric.required(arguments), *metric.optional, *(name for group in metric.alternatives for name in group)]
    for name in dict.fromkeys([*used, *(["timestamp"] if ordered or not metric.appends else [])]):
        column = metric.column(name, arguments)
        # polars' Null and its kin: no value at all, so none of a wrong type
        if column in schema and schema[column] != nw.Unknown:
            _type(metric, name, column, schema[column])


def _type(metric: Metric, name: str, column: str, dtype: Any) -> None:
    declared = FIELDS[name].type if name in FIELDS else "float64"
    if declared == "string":
        right, wanted = dtype in (nw.String, nw.Categorical, nw.Enum), "text"
    elif declared.startswith("timestamp"):
        right, wanted = dtype in (nw.Datetime, nw.Date), "times"
    else:
        right, wanted = dtype.is_numeric(), "numbers"
    if not right:
        hint = {
            "times": "convert it: pandas.to_datetime(column, unit='ms', utc=True) or polars.from_epoch(column, 'ms') "
            "for whole numbers (say the unit: seconds, ms and us look alike), str.to_datetime for text",
            "numbers": "convert it with astype(float) (pandas) or cast(pl.Float64) (polars)",
            "text": "convert it with astype(str) (pandas) or cast(pl.String) (polars)",
        }[wanted]
        raise ColumnTypeError(f"{metric.name} takes {wanted} in column {column!r}, not {dtype}; {hint}")


def unique(metric: Metric, frame: pl.DataFrame) -> None:
    """Raise unless each row of an instrument has a time of its own: no order is right among ties."""
    nulls = frame["timestamp"].null_count()
    if nulls:
        raise InvalidInputError(f"{metric.name}: {nulls} rows have no timestamp, so their order is unknown; drop them")
    key = [*(name for name in INSTRUMENT_KEYS if name in frame.columns), "timestamp"]
    if _ascending(frame, key) or _ascending(frame, key[-1:] + key[:-1]):
        return
    # equal rows have equal hashes: as many hashes as rows means that all differ
    rows = frame.select(key)
    if rows.hash_rows().n_unique() == rows.height or not (twice := rows.is_duplicated()).any():
        return
    first = rows.filter(twice).row(0, named=True)
    raise DuplicateKeyError(
        f"{metric.name}: {twice.sum()} rows share instrument and time, for example "
        f"{', '.join(f'{name}={value}' for name, value in first.items())}; drop duplicates first, and see that "
        "exchange, instrument_type and symbol are columns where the frame holds several instruments"
    )


def _ascending(frame: pl.DataFrame, key: Sequence[str]) -> bool:
    """Whether rows strictly ascend by the key (cheap, and the usual state of a frame)."""
    above = pl.lit(False)
    for name in reversed(key):
        column, before = pl.col(name), pl.col(name).shift(1)
        above = (column > before) | ((column == before) & above)
    return bool(frame.select(above.slice(1).fill_null(False).all()).item())


def rates(metric: Metric, frame: nw.DataFrame[Any], arguments: Mapping[str, Any]) -> None:
    """Warn where funding rates look like percent: half of 30 or more rows above 0.2 % a settlement."""
    if "funding_rate" not in metric.required(arguments):
        return
    native = frame.get_column(metric.column("funding_rate", arguments)).to_native()
    values = native if isinstance(native, pl.Series) else pl.from_pandas(native)
    if len(values) > _SAMPLE:
        values = values.sample(_SAMPLE, with_replacement=True, seed=0)
    values = values.cast(pl.Float64).fill_nan(None).drop_nulls().abs()
    median = values.median()
    if len(values) >= 30 and isinstance(median, float) and median > 0.002:
        warnings.warn(
            f"{metric.name}: the median funding rate is {median:.4g} per settlement, which looks like percent; "
            "cexkit takes fractions (0.0001 is 0.01 %): divide by 100",
            SuspectRateWarning,
            stacklevel=6,
        )
