"""Rows of eager frames, grouped by instrument and in time order, before a metric looks at them.

Sorting once here and giving the definitions one whole-number column instead of three text ones is most of what makes
rolling metrics fast. Most frames come in order; that is seen by comparing neighbours, and costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl

from cexkit.analytics._seams import INSTRUMENT

#: More runs of equal keys than this are no longer cheap to tell apart.
MANY = 10_000


def arrange(
    work: pl.DataFrame, keys: Sequence[Any], doubled: Callable[[], None]
) -> tuple[pl.DataFrame, np.ndarray | None]:
    """The rows in order, with their instrument as a sorted number, and how to put results back.

    Parameters
    ----------
    work : polars.DataFrame
        ``timestamp``, without nulls, and whatever the metric needs but the keys.
    keys : sequence of polars.Series or pyarrow.Array
        Those that identify an instrument; arrays hold text without nulls.
    doubled : callable
        Raises the error for two rows of one instrument at one time.

    Returns
    -------
    tuple of polars.DataFrame and numpy.ndarray or None
        The frame, with the column ``INSTRUMENT``, and for each row of the caller's its place there; None where
        the rows were in order.
    """
    time = work.get_column("timestamp")
    starts, ascending = _runs(keys, time)
    firsts = _firsts(keys, starts) if len(starts) <= MANY else None
    if ascending and firsts is not None and not (keys and firsts.is_duplicated().any()):
        return work.hstack([_numbered(_spread(np.arange(len(starts), dtype=np.uint32), starts, len(time)))]), None
    rows, codes = _sorted(_codes(keys, firsts, starts, len(time)), time, doubled)
    back = np.empty(len(rows), dtype=np.uint32)
    back[rows] = np.arange(len(rows), dtype=np.uint32)
    return work[pl.Series(rows)].hstack([_numbered(codes)]), back


def _runs(keys: Sequence[Any], time: pl.Series) -> tuple[np.ndarray, bool]:
    """Where runs of one instrument begin, and whether time ascends within all of them."""
    stays = time.slice(1) <= time.slice(0, max(len(time) - 1, 0))
    if not keys:
        return np.zeros(min(len(time), 1), dtype=np.int64), not stays.any()
    changes = _changes(keys[0])
    for key in keys[1:]:
        changes = changes | _changes(key)
    starts = np.concatenate([[0], changes.arg_true().to_numpy() + 1]) if len(time) else np.zeros(0, dtype=np.int64)
    return starts, not (stays & ~changes).any()


def _changes(key: Any) -> pl.Series:
    """Whether a value differs from the one before it, from the second on."""
    before = key.slice(0, max(len(key) - 1, 0))
    if isinstance(key, pl.Series):
        return key.slice(1).ne_missing(before)
    import pyarrow.compute as pc

    return pl.Series(pc.not_equal(key.slice(1), before), dtype=pl.Boolean)


def _firsts(keys: Sequence[Any], starts: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({str(n): pl.Series(key.take(starts) if not isinstance(key, pl.Series) else key[starts])
                         for n, key in enumerate(keys)})  # fmt: skip


def _codes(keys: Sequence[Any], firsts: pl.DataFrame | None, starts: np.ndarray, rows: int) -> np.ndarray:
    """A number for each row, from 0 on, the same for the same instrument and for no other."""
    if firsts is not None:
        return _spread(_dense(firsts, len(starts)), starts, rows)
    varied = {str(n): pl.Series(key) for n, key in enumerate(keys) if _changes(key).any()}
    return _dense(pl.DataFrame(varied), rows)


def _dense(keys: pl.DataFrame, height: int) -> np.ndarray:
    codes = np.zeros(height, dtype=np.int64)
    for n, key in enumerate(keys):
        one = (key if key.dtype == pl.Categorical else key.cast(pl.Categorical)).to_physical()
        one = one.cast(pl.Int64).fill_null(-1).to_numpy() + 1
        if n:
            one += codes * (int(one.max(initial=0)) + 1)
        # few numbers again after each key, so that no product of sizes can overflow
        codes = _renumbered(one)
    return codes


def _renumbered(codes: np.ndarray) -> np.ndarray:
    most = int(codes.max(initial=0))
    if most < MANY:
        return codes
    present = np.sort(pl.Series(codes).unique().to_numpy())
    if most > 50 * MANY:
        return np.searchsorted(present, codes)
    table = np.zeros(most + 1, dtype=np.int64)
    table[present] = np.arange(len(present))
    return table[codes]


def _sorted(codes: np.ndarray, time: pl.Series, doubled: Callable[[], None]) -> tuple[np.ndarray, np.ndarray]:
    """Rows by instrument and time, and the instrument of each."""
    moment = time.to_physical().to_numpy()
    in_time = None if (moment[1:] >= moment[:-1]).all() else time.arg_sort().to_numpy()
    by_time = codes if in_time is None else codes[in_time]
    # a stable sort of small numbers is a radix sort: one pass
    small = by_time.astype(np.uint16) if codes.max(initial=0) < 2**16 else by_time
    rows = np.argsort(small, kind="stable")
    if in_time is not None:
        rows = in_time[rows]
    codes, moment = codes[rows], moment[rows]
    if ((codes[1:] == codes[:-1]) & (moment[1:] == moment[:-1])).any():
        doubled()
    return rows, codes


def _spread(values: np.ndarray, starts: np.ndarray, rows: int) -> np.ndarray:
    """One value a run to one value a row."""
    return np.repeat(values, np.diff(np.append(starts, rows)))


def _numbered(codes: np.ndarray) -> pl.Series:
    return pl.Series(INSTRUMENT, codes.astype(np.uint32)).set_sorted()
