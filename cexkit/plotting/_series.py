"""From any frame to series that can be drawn: one per instrument, gaps kept, extremes kept."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl

from cexkit.errors import InvalidInputError, UnsupportedBackendError

KEYS = ("exchange", "instrument_type", "symbol")

#: More lines than this cannot be told apart.
MOST_INSTRUMENTS = 8

#: Longer series are thinned to the lowest and highest point of each of half as many pieces.
MOST_POINTS = 4_000


def as_polars(frame: Any) -> pl.DataFrame:
    """The frame as polars: pandas, polars (lazy too), pyarrow and Ibis are understood."""
    try:
        known = nw.from_native(frame)
    except TypeError:
        raise UnsupportedBackendError(
            f"a plot takes a pandas, polars, pyarrow or Ibis frame, not {type(frame).__qualname__}"
        ) from None
    eager = known.collect("polars") if isinstance(known, nw.LazyFrame) else known
    return eager.to_polars()


def instruments(frame: pl.DataFrame, plot: str) -> Iterator[tuple[dict[str, str], str, pl.DataFrame]]:
    """Keys, label and rows in time order of each instrument; the label names only what differs."""
    keys = [key for key in KEYS if key in frame.columns]
    frame = frame.sort("timestamp")
    groups = frame.partition_by(keys, as_dict=True) if keys else {(): frame}
    if not frame.height:
        raise InvalidInputError(f"{plot}: the frame has no rows; widen its filter or its window")
    if len(groups) > MOST_INSTRUMENTS:
        raise InvalidInputError(
            f"{plot}: {len(groups)} instruments, more than {MOST_INSTRUMENTS} lines cannot be told apart; "
            "filter the frame by symbol, base or exchange first"
        )
    telling = [key for key in keys if frame[key].n_unique() > 1] or keys[:1]
    for values in sorted(groups, key=lambda each: tuple(map(str, each))):
        named = dict(zip(keys, map(str, values), strict=True))
        yield named, " ".join(named[key] for key in telling), groups[values]


def with_gaps(times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Break the line where a step is longer than both steps beside it.

    A change of interval (1 h, then 8 h from there on) is as long as the step after it and stays whole.
    """
    if len(times) < 3:
        return times, values
    steps = np.diff(times).astype(np.int64)
    beside = np.maximum(np.r_[0, steps[:-1]], np.r_[steps[1:], 0])
    at = np.flatnonzero(steps > 1.5 * beside) + 1
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
