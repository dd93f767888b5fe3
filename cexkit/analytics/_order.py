"""Rows of eager frames, grouped by instrument and in time order, before a metric looks at them.

Sorting once here and giving the definitions one whole-number column instead of three text ones is most of what makes
rolling metrics fast. Most frames come in order; that is seen by comparing neighbours, and costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from cexkit.analytics._seams import INSTRUMENT

#: More runs of equal keys than this are no longer cheap to tell apart.
MANY = 10_000
#: Rows that tell whether a frame is made of short runs.
SAMPLE = 10_000


class Order(NamedTuple):
    """The instrument of each row as a sorted number, once rows are in order, and which row of the caller's it is.

    ``rows`` is None where the caller's rows are in order.
    """

    instruments: pl.Series
    rows: np.ndarray | None

    def take(self, work: pl.DataFrame, start: int, stop: int) -> pl.DataFrame:
        """Some of the rows in order, with their instrument."""
        part = work.slice(start, stop - start) if self.rows is None else work[pl.Series(self.rows[start:stop])]
        return part.hstack([self.instruments.slice(start, stop - start)])

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
            return Order(_numbered(_spread(np.arange(len(starts)), starts, len(time))), None)
    rows, codes = _grouped(keys, len(time))
    moments = time.to_physical()[pl.Series(rows)].to_numpy()
    same = codes[1:] == codes[:-1]
    if (same & (moments[1:] <= moments[:-1])).any():
        again = _by_time(codes, moments)
        rows, moments = rows[again], moments[again]
        if (same & (moments[1:] == moments[:-1])).any():
            doubled()
    return Order(_numbered(codes), rows)


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


def _changes(key: Any) -> pl.Series:
    """Whether a value differs from the one before it, from the second on."""
    before = key.slice(0, max(len(key) - 1, 0))
    if isinstance(key, pl.Series):
        return key.slice(1).ne_missing(before)
    import pyarrow.compute as pc

    return pl.Series(pc.not_equal(key.slice(1), before), dtype=pl.Boolean)


def _repeated(keys: Sequence[Any], starts: np.ndarray) -> bool:
    """Whether an instrument has several runs."""
    firsts = [pl.Series(str(n), key[starts] if isinstance(key, pl.Series) else key.take(starts))
              for n, key in enumerate(keys)]  # fmt: skip
    return bool(pl.DataFrame(firsts).is_duplicated().any())


def _grouped(keys: Sequence[Any], rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows one instrument after the other, each as they came, and a number of the instrument of each."""
    codes, size = np.zeros(rows, dtype=np.int64), 1
    for key in keys:
        if _changes(key.slice(0, SAMPLE)).any() or _changes(key).any():
            found, distinct = _coded(key)
            codes, size = _coded(pl.Series(codes * distinct + found)) if size > 1 else (found, distinct)
    places = _sorted_places(codes, size)
    return places.astype(np.uint32), codes[places]


def _coded(key: Any) -> tuple[np.ndarray, int]:
    """A whole number for each value of a key, in the order of first rows, and how many there are; null is a value."""
    import pyarrow.compute as pc

    if isinstance(key, pl.Series):
        text = isinstance(key.dtype, pl.Categorical | pl.Enum)
        key = (key.cast(pl.String) if text else key).to_arrow(compat_level=pl.CompatLevel.oldest())
    encoded = pc.dictionary_encode(key, null_encoding="encode")
    return encoded.indices.to_numpy().astype(np.int64), len(encoded.dictionary)


def _sorted_places(codes: np.ndarray, size: int) -> np.ndarray:
    """Places of codes in ascending order, of equal ones as they stand."""
    # a stable sort of small numbers is a radix sort: one pass
    return np.argsort(codes.astype(np.uint16) if size <= 2**16 else codes, kind="stable")


def _by_time(codes: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Places of rows by sorted code and time."""
    in_time = pl.Series(moments).arg_sort().to_numpy()
    return in_time[_sorted_places(codes[in_time], int(codes.max(initial=0)) + 1)]


def _spread(values: np.ndarray, starts: np.ndarray, rows: int) -> np.ndarray:
    """One value a run to one value a row."""
    return np.repeat(values, np.diff(np.append(starts, rows)))


def _numbered(codes: np.ndarray) -> pl.Series:
    return pl.Series(INSTRUMENT, codes.astype(np.uint32, copy=False)).set_sorted()
