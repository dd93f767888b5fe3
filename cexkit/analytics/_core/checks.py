"""Input checks that run before a metric, and their error messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl

from cexkit.analytics._core.metric import Metric
from cexkit.errors import (
    ColumnTypeError,
    DuplicateKeyError,
    InvalidInputError,
    MissingColumnError,
    SuspectRateWarning,
    warn,
)
from cexkit.schema.fields import FIELDS, INSTRUMENT_KEYS, TIMESTAMP

#: How to obtain a missing column.
_HINTS = {
    "timestamp": "rename the time column to 'timestamp'; if it is the index, call frame.reset_index() first",
    "funding_interval_hours": "cexkit.funding_interval(frame) derives it from the timestamps",
    "reference": "the spot or index price of the same moment, joined on before, for example with join_asof",
    "benchmark": "benchmark='BTCUSDT' takes the rows of that symbol in the same frame",
    "value_usd": "value_quote and quote do as well",
}
# Longer frames are judged by a sample of this many rows.
_SAMPLE = 10_000
# Above this number of runs, checking them for duplicates is no longer cheap.
_RUNS = 10_000


def columns(metric: Metric, names: Sequence[Any], arguments: Mapping[str, Any], *, timed: bool = False) -> None:
    """Raise an error if an input is missing, is duplicated, or has a reserved name.

    A missing input raises MissingColumnError; the other two raise InvalidInputError.
    """
    _named(metric, arguments)
    required = {name: metric.column(name, arguments) for name in metric.required(arguments)}
    if timed or metric.kind in ("rolling", "cross-venue"):
        required["timestamp"] = "timestamp"
    required |= {name: name for name in metric.group_columns(arguments)}
    # By hash, because a name of pandas can be anything, such as a missing value that refuses to be compared.
    counts = Counter(names)
    for name, column in required.items():
        if not counts[column]:
            raise _missing(metric, name, column, names)
    used = metric.selects(counts, arguments) if metric.selects else metric.read(arguments)
    once(metric.name, names, (*used, *required.values(), *(metric.outputs if metric.appends else ())))
    overridden = metric.unless is not None and arguments[metric.unless] is not None
    if metric.alternatives and not overridden and not any(set(group) <= set(counts) for group in metric.alternatives):
        raise _no_alternative(metric, names)


def once(name: str, names: Sequence[Any], wanted: Iterable[str]) -> None:
    """Raise InvalidInputError if a frame has two columns of a name that is read."""
    counts = Counter(names)
    for column in (*wanted, *INSTRUMENT_KEYS, "timestamp"):
        if counts[column] > 1:
            raise InvalidInputError(
                f"{name}: the frame has {counts[column]} columns named {column!r}; rename or drop one"
            )


def _named(metric: Metric, arguments: Mapping[str, Any]) -> None:
    """Raise InvalidInputError for columns that the caller names but that cannot be inputs."""
    for column in (*(arguments[part] for part in metric.parts.values()), *metric.group_columns(arguments)):
        if not isinstance(column, str):
            raise InvalidInputError(f"{metric.name}: a column must be given by its name, a text, got {column!r}")
        if column.startswith("_"):
            raise InvalidInputError(
                f"{metric.name} cannot use column {column!r}: names with _ are temporary; rename it"
            )


def _missing(metric: Metric, name: str, column: str, names: Sequence[Any]) -> MissingColumnError:
    part = metric.parts.get(name)
    other = f"; if another column holds it, say {metric.name}(frame, {part}=...)" if part else ""
    hint = f"; {_HINTS[name]}" if name in _HINTS else ""
    return MissingColumnError(f"{metric.name} needs column {column!r}; available: {_listed(names)}{other}{hint}")


def _no_alternative(metric: Metric, names: Sequence[Any]) -> MissingColumnError:
    choices = " or ".join(" with ".join(map(repr, group)) for group in metric.alternatives)
    override = f", or the argument {metric.unless}=" if metric.unless else ""
    hints = "".join(f"; {_HINTS[g]}" for group in metric.alternatives for g in group if g in _HINTS and g not in names)
    return MissingColumnError(f"{metric.name} needs {choices}{override}; available: {_listed(names)}{hints}")


def _listed(names: Sequence[Any]) -> str:
    return ", ".join(map(str, names)) or "none"


def types(metric: Metric, schema: nw.Schema, arguments: Mapping[str, Any], *, ordered: bool) -> None:
    """Raise ColumnTypeError if an input has an invalid type."""
    for name in INSTRUMENT_KEYS:
        if name in schema and schema[name] in _NESTED:
            raise ColumnTypeError(
                f"{metric.name} takes text in column {name!r}, not {schema[name]}; {_CONVERT['text']}"
            )
    used = [*metric.used(arguments), *(["timestamp"] if ordered or not metric.appends else [])]
    for name in used:
        column = metric.column(name, arguments)
        if name in metric.signs and column in schema and schema[column].is_numeric():
            continue
        if column in schema:
            holds(metric.name, name, column, schema[column])


def holds(metric: str, name: str, column: str, dtype: Any) -> None:
    """Raise ColumnTypeError if a column cannot hold what a declared name says."""
    # Polars' Null and equivalent types hold no values, so no value has a wrong type.
    if dtype != nw.Unknown and not _RIGHT[kind(name)](dtype):
        raise ColumnTypeError(f"{metric} takes {kind(name)} in column {column!r}, not {dtype}; {_CONVERT[kind(name)]}")


def kind(name: str) -> str:
    """Return what a declared input holds: numbers, text, times, truth values, or hours."""
    if name == "funding_interval_hours":
        return "hours"
    declared = FIELDS[name].type if name in FIELDS else "float64"
    return {"string": "text", TIMESTAMP: "times", "boolean": "truth values"}.get(declared, "numbers")


_NESTED = (nw.List, nw.Struct, nw.Array, nw.Object)
_RIGHT: dict[str, Callable[[Any], bool]] = {
    "text": lambda dtype: dtype in (nw.String, nw.Categorical, nw.Enum),
    "times": lambda dtype: dtype in (nw.Datetime, nw.Date),
    "numbers": lambda dtype: dtype.is_numeric(),
    "hours": lambda dtype: dtype.is_numeric() or dtype in (nw.Duration, nw.String, nw.Categorical, nw.Enum),
    "truth values": lambda dtype: dtype == nw.Boolean,
}
_CONVERT = {
    "times": "convert whole numbers with pandas.to_datetime(column, unit='ms', utc=True) or "
    "polars.from_epoch(column, 'ms'), saying the unit: nothing here guesses it; text with str.to_datetime",
    "numbers": "convert it with astype(float) (pandas) or cast(pl.Float64) (polars)",
    "hours": "give numbers, durations, or texts such as '8h'",
    "text": "convert it with astype(str) (pandas) or cast(pl.String) (polars)",
    "truth values": "convert it with astype(bool) (pandas) or cast(pl.Boolean) (polars)",
}


def timed(metric: Metric, frame: pl.DataFrame) -> None:
    """Raise InvalidInputError unless every row has a time."""
    nulls = frame.get_column("timestamp").null_count()
    if nulls:
        raise InvalidInputError(f"{metric.name}: {nulls} rows have no timestamp, so their order is unknown; drop them")


def unique(metric: Metric, frame: pl.DataFrame) -> None:
    """Raise DuplicateKeyError if rows of an instrument share a time, because tied rows have no correct order."""
    timed(metric, frame)
    key = [*(name for name in INSTRUMENT_KEYS if name in frame.columns), "timestamp"]
    rows = frame.select(key)
    # Equal rows have equal hashes, so as many hashes as rows means that all rows differ.
    if _one_run_each(rows) or rows.hash_rows().n_unique() == rows.height or not (twice := rows.is_duplicated()).any():
        return
    first = rows.filter(twice).row(0, named=True)
    raise DuplicateKeyError(
        f"{metric.name}: {twice.sum()} rows share instrument and time, for example "
        f"{', '.join(f'{name}={value}' for name, value in first.items())}; drop duplicates first, and see that "
        "exchange, instrument_type and symbol are columns where the frame holds several instruments"
    )


def _one_run_each(rows: pl.DataFrame) -> bool:
    """Return True if each instrument is one run of ascending times, the usual case and cheap to detect."""
    *keys, time = (pl.col(name) for name in rows.columns)
    starts = time <= time.shift(1)
    for key in keys:
        starts = starts | key.ne_missing(key.shift(1))
    runs = rows.select(starts.fill_null(True).alias("starts")).to_series()
    if not keys:
        return runs.sum() <= 1
    return runs.sum() <= _RUNS and not rows.drop("timestamp").filter(runs).is_duplicated().any()


def rates(metric: Metric, frame: pl.DataFrame, arguments: Mapping[str, Any]) -> None:
    """Warn if funding rates look like percent: 30 or more rows, half of them above 0.2% per settlement."""
    column = metric.column("funding_rate", arguments)
    # The interval does not depend on the size of rates.
    only_times = metric.settlements and "funding_rate" in metric.optional
    if "funding_rate" not in metric.used(arguments) or only_times or column not in frame.columns:
        return
    values = frame.get_column(column)
    if len(values) > _SAMPLE:
        values = values.sample(_SAMPLE, with_replacement=True, seed=0)
    values = values.cast(pl.Float64)
    values = values.filter(values.is_finite()).abs()
    median = values.median()
    if len(values) >= 30 and isinstance(median, float) and median > 0.002:
        warn(
            f"{metric.name}: the median funding rate is {median:.4g} per settlement, which looks like percent; "
            "cexkit takes fractions (0.0001 is 0.01 %): divide by 100",
            SuspectRateWarning,
        )
