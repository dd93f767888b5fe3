"""Rows of eager frames, grouped by instrument and in time order, before a metric looks at them.

Sorting once here and giving the definitions one whole-number column instead of three text ones is most of what makes
rolling metrics fast. Most frames come in order; that is seen by comparing neighbors, and costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from cexkit.analytics._core.compat import INSTRUMENT

#: More runs of equal keys than this are no longer cheap to tell apart.
MANY = 10_000
#: Rows that tell whether a frame is made of short runs.
SAMPLE = 10_000


class Order(NamedTuple):
    """Instrument, as a sorted number, and time of each row, once rows are in order, and which of the caller's it is.

    ``rows`` is None where the caller's rows are in order.
    """

    instruments: pl.Series
    times: pl.Series
    rows: np.ndarray | None

    def take(
        self, work: pl.DataFrame, start: int, stop: int, in_order: Sequence[pl.Series] | None = None
    ) -> pl.DataFrame:
        """Some of the rows in order, with columns that are in order already, by default their instrument."""
        part = work.slice(start, stop - start) if self.rows is None else work[pl.Series(self.rows[start:stop])]
        added = [self.instruments] if in_order is None else in_order
        return part.hstack([series.slice(start, stop - start) for series in added])

    def back(self, results: pl.Series) -> pl.Series:
        """Results of all rows in order, for the caller's rows."""
        if self.rows is None:
            return results
        if (results.dtype.is_numeric() or results.dtype == pl.Boolean) and not results.null_count():
            values = results.to_numpy()
            put = np.empty_like(values)
            put[self.rows] = values
            return pl.Series(results.name, put)
        places = np.empty(len(self.rows), dtype=np.uint32)
        places[self.rows] = np.arange(len(self.rows), dtype=np.uint32)
        return results[pl.Series(places)]


def arrange(time: pl.Series, keys: Sequence[Any], doubled: Callable[[], None]) -> Order:
    """The order of rows by instrument and time.

    Parameters
    ----------
    time : polars.Series
        Without nulls.
    keys : sequence of polars.Series or pyarrow.Array
        Those that identify an instrument; arrays hold text without nulls.
    doubled : callable
        Raises the error for two rows of one instrument at one time.
    """
    if not _short_runs(keys, len(time)):
        starts, ascending = _runs(keys, time)
        if ascending and len(starts) <= MANY and not (keys and _repeated(keys, starts)):
            return Order(_numbered(_spread(np.arange(len(starts)), starts, len(time))), time, None)
    rows, codes = _grouped(keys, len(time))
    times = time[pl.Series(rows)]
    moments = times.to_physical().to_numpy()
    same = codes[1:] == codes[:-1]
    if (same & (moments[1:] <= moments[:-1])).any():
        again = _by_time(codes, moments)
        rows, times = rows[again], times[pl.Series(again)]
        moments = times.to_physical().to_numpy()
        if (same & (moments[1:] == moments[:-1])).any():
            doubled()
    return Order(_numbered(codes), times, rows)


def _short_runs(keys: Sequence[Any], rows: int) -> bool:
    """Whether a long frame begins with instruments that take turns: then it is not in order."""
    if rows < 10 * SAMPLE:
        return False
    changes = [_changes(key.slice(0, SAMPLE)).sum() for key in keys]
    return max(changes, default=0) > SAMPLE // 2


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


def _changes(key: Any, distance: int = 1) -> pl.Series:
    """Whether a value differs from the one ``distance`` rows before it, from the first row on that has one."""
    before = key.slice(0, max(len(key) - distance, 0))
    if isinstance(key, pl.Series):
        return key.slice(distance).ne_missing(before)
    import pyarrow.compute as pc

    return pl.Series(pc.not_equal(key.slice(distance), before), dtype=pl.Boolean)


def _repeated(keys: Sequence[Any], starts: np.ndarray) -> bool:
    """Whether an instrument has several runs."""
    firsts = [_values(key, starts).alias(str(n)) for n, key in enumerate(keys)]
    return bool(pl.DataFrame(firsts).is_duplicated().any())


def _values(key: Any, rows: slice | np.ndarray) -> pl.Series:
    """Return the values of some rows of a key."""
    if isinstance(key, pl.Series) or isinstance(rows, slice):
        return pl.Series("", key[rows])
    return pl.Series("", key.take(rows))


def _grouped(keys: Sequence[Any], rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows one instrument after the other, each as they came, and a number of the instrument of each."""
    varied = [str(n) for n in _varied(keys, rows)]
    if not varied:
        return np.arange(rows, dtype=np.uint32), np.zeros(rows, dtype=np.uint32)
    if turn := _turn([keys[int(name)] for name in varied], rows):
        return _grouped_by_turns(turn, rows)
    frame = pl.DataFrame([pl.Series(name, keys[int(name)]) for name in varied]).with_row_index("row")
    # groups in the order of their first rows: the same frame has the same numbers to the last bit
    groups = frame.group_by(varied, maintain_order=True).agg("row")["row"]
    lengths = groups.list.len().to_numpy()
    return groups.explode().to_numpy(), np.repeat(np.arange(len(lengths), dtype=np.uint32), lengths)


def _varied(keys: Sequence[Any], rows: int) -> list[int]:
    """Return which keys have more than one value; long ones are read in threads of their own."""

    def varies(key: Any) -> bool:
        return bool(_changes(key.slice(0, SAMPLE)).any() or _changes(key).any())

    if rows < 10 * SAMPLE:
        found = list(map(varies, keys))
    else:
        with ThreadPoolExecutor(max(len(keys), 1)) as pool:
            found = list(pool.map(varies, keys))
    return [n for n, varied in enumerate(found) if varied]


def _turn(keys: Sequence[Any], rows: int) -> int | None:
    """Return the number of instruments if all of them take turns in the same sequence, which is cheaper to see
    than groups are to make; None if they do not.
    """
    head = [_values(key, slice(0, SAMPLE)) for key in keys]
    again = pl.Series([True]).new_from_index(0, min(rows, SAMPLE) - 1)
    for values in head:
        again &= values.slice(1).eq_missing(values.new_from_index(0, len(values) - 1))
    turn = (again.arg_max() or 0) + 1
    if not again.any() or pl.DataFrame([values.head(turn) for values in head]).is_duplicated().any():
        return None
    return None if any(_changes(key, turn).any() for key in keys) else turn


def _grouped_by_turns(turn: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what :func:`_grouped` does, of ``turn`` instruments that take turns; the last turn may be cut short."""
    turns = -(-rows // turn)
    places = np.arange(turns * turn, dtype=np.uint32).reshape(turns, turn).T.ravel()
    lengths = np.full(turn, turns)
    if short := turns * turn - rows:
        places = places[places < rows]
        lengths[-short:] -= 1
    return places, np.repeat(np.arange(turn, dtype=np.uint32), lengths)


def _by_time(codes: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Places of rows by sorted code and time."""
    in_time = pl.Series(moments).arg_sort().to_numpy()
    by_time = codes[in_time]
    # a stable sort of small numbers is a radix sort: one pass
    small = by_time.astype(np.uint16) if codes.max(initial=0) < 2**16 else by_time
    return in_time[np.argsort(small, kind="stable")]


def _spread(values: np.ndarray, starts: np.ndarray, rows: int) -> np.ndarray:
    """One value a run to one value a row."""
    return np.repeat(values, np.diff(np.append(starts, rows)))


def _numbered(codes: np.ndarray) -> pl.Series:
    return pl.Series(INSTRUMENT, codes.astype(np.uint32, copy=False)).set_sorted()
