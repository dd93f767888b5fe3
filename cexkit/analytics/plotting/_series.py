"""From any frame to series that can be drawn: one per instrument, gaps kept, extremes kept."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import narwhals.stable.v2 as nw
import numpy as np
import polars as pl

from cexkit.analytics._core import dispatch
from cexkit.analytics._core.registry import METRICS
from cexkit.analytics._core.usd import QUOTED, usd
from cexkit.errors import InvalidInputError, MissingColumnError
from cexkit.schema import INSTRUMENT_KEYS
from cexkit.schema.asset_class import ASSET_CLASS

#: Columns that titles and labels show, beside those that a metric reads.
_SHOWN = (*INSTRUMENT_KEYS, "base", "quote", "multiplier", ASSET_CLASS)

#: More lines than this cannot be told apart.
MOST_INSTRUMENTS = 8

#: Longer series are thinned to the lowest and highest point of each of half as many pieces.
MOST_POINTS = 4_000


class Instrument(NamedTuple):
    """Rows of one instrument; the label names only what tells it from the others."""

    keys: dict[str, str]
    label: str
    rows: pl.DataFrame


def read(frame: Any, metric: str, **arguments: Any) -> pl.DataFrame:
    """What a metric reads of any frame, and what says which instrument a row is of."""
    return dispatch.read(METRICS[metric], frame, arguments, _SHOWN)


def read_named(frame: Any, plot: str, *columns: str) -> pl.DataFrame:
    """These columns of any frame, as far as it has them, its times, and what says which instrument a row is of."""
    return dispatch.read_columns(plot, frame, {name: name for name in ("timestamp", *columns, *_SHOWN)})


def read_price(frame: Any, price: str) -> Instrument:
    """The price of the one instrument in a frame."""
    return next(instruments(read(frame, "drawdown", price=price), "the price", most=1))


def instruments(frame: pl.DataFrame, plot: str, most: int = MOST_INSTRUMENTS) -> Iterator[Instrument]:
    """Each instrument with its rows in time order, at most ``most`` of them."""
    keys = [key for key in INSTRUMENT_KEYS if key in frame.columns]
    rows_of(frame, plot)
    frame = frame.sort("timestamp")
    groups = frame.partition_by(keys, as_dict=True) if keys else {(): frame}
    if len(groups) > most:
        wanted = "it draws one" if most == 1 else f"more than {most} lines cannot be told apart"
        raise InvalidInputError(
            f"{plot}: {len(groups)} instruments, {wanted}; filter the frame by symbol, base or exchange first"
        )
    shown = [key for key in keys if key != "instrument_type"]
    telling = shown if len(groups) == 1 else [key for key in keys if frame[key].n_unique() > 1]
    for values in sorted(groups, key=lambda each: tuple(map(str, each))):
        named = dict(zip(keys, map(str, values), strict=True))
        yield Instrument(named, " ".join(named[key] for key in telling), groups[values])


def rows_of(frame: pl.DataFrame, plot: str) -> pl.DataFrame:
    """The frame itself, if it has rows."""
    if not frame.height:
        raise InvalidInputError(f"{plot}: the frame has no rows; widen its filter or its window")
    return frame


def needs(frame: pl.DataFrame, plot: str, *columns: str) -> None:
    """Raise where a column that no metric asks for is missing."""
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise MissingColumnError(
            f"{plot} needs {', '.join(missing)}; the frame has {', '.join(frame.columns) or 'no columns'}"
        )


def with_usd(frame: pl.DataFrame, column: str, plot: str) -> pl.DataFrame:
    """The frame with a dollar column, by the rule of all metrics."""
    if column not in frame.columns:
        needs(frame, plot, QUOTED[column], "quote")
    given = nw.from_native(frame, eager_only=True)
    return given.with_columns(usd(given, column).alias(column)).to_native()


def one_base(frame: pl.DataFrame, plot: str) -> str:
    """The coin of a frame that may hold one only."""
    bases = rows_of(frame, plot)["base"].unique().sort().to_list()
    if len(bases) > 1:
        raise InvalidInputError(
            f"{plot}: {len(bases)} coins ({', '.join(map(str, bases[:5]))}), it draws one; filter the frame by base"
        )
    return str(bases[0])


def subject(frame: pl.DataFrame) -> str:
    """What all rows have in common: venue, symbol or else coin, type."""
    shared = []
    for names in (("exchange",), ("symbol", "base"), ("instrument_type",)):
        common = [name for name in names if name in frame.columns and frame[name].n_unique() == 1]
        shared += [str(frame[common[0]][0])] if common else []
    return " ".join(shared)


def times_of(frame: pl.DataFrame, column: str = "timestamp") -> np.ndarray:
    """Times as numpy has them, UTC."""
    return frame[column].cast(pl.Datetime("us")).to_numpy()


def numbers_of(frame: pl.DataFrame, column: str, scale: float = 1.0) -> np.ndarray:
    """Numbers, null as NaN, which matplotlib leaves out."""
    return frame[column].cast(pl.Float64).fill_null(float("nan")).to_numpy() * scale


def bound(coverage: pl.Series) -> str:
    """What a total of liquidations is, by the coverage of its parts: empty where they are all there."""
    if coverage.null_count():
        return "coverage unknown"
    return "" if (coverage == "full").all() else "lower bounds"


def with_gaps(times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Break the line where a step is longer than is usual just there, the two steps before and after it.

    A change of interval (1 h, then 8 h from there on) is as long as the steps after it and stays whole.
    """
    if len(times) < 3:
        return times, values
    steps = np.diff(times).astype(np.int64)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(steps, 2, mode="reflect"), 5)
    at = np.flatnonzero(steps > 1.5 * np.median(around, axis=1)) + 1
    return np.insert(times, at, times[at - 1] + (times[at] - times[at - 1]) // 2), np.insert(values, at, np.nan)


def thinned(times: np.ndarray, values: np.ndarray, most: int = MOST_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """At most about ``most`` points: lowest and highest of each piece, and one hole where it has a hole."""
    if len(values) <= most:
        return times, values
    keep = {0, len(values) - 1}
    edges = np.linspace(0, len(values), most // 2 + 1).astype(int)
    for first, last in itertools.pairwise(edges):
        piece = values[first:last]
        holes = np.isnan(piece)
        if holes.any():
            keep.add(first + int(holes.argmax()))
        if not holes.all():
            keep |= {first + int(np.nanargmin(piece)), first + int(np.nanargmax(piece))}
    index = np.array(sorted(keep))
    return times[index], values[index]
