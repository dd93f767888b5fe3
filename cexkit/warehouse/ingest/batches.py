"""Batches of a build: instruments that follow each other in a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from cexkit.warehouse.store.instrument_range import InstrumentRange, Place

#: Most rows of a batch, new and stored ones, unless one instrument has more. A row takes about 1 kB while it is merged.
BATCH_ROWS = 70_000


class LostMeanwhileError(Exception):
    """A response turned out to be lost after batches were merged as if none was."""


def batches(rows: Iterable[tuple[Place, float]]) -> list[InstrumentRange]:
    """Return ranges that contain all instruments, each with a bounded number of rows.

    Parameters
    ----------
    rows : iterable of tuple
        Instruments, each as often as needed, and about how many rows each has.

    Examples
    --------
    >>> for each in batches([(("perp", symbol), 40_000) for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT")]):
    ...     print(each.after, each.last)
    None ('perp', 'BTCUSDT')
    ('perp', 'BTCUSDT') ('perp', 'ETHUSDT')
    ('perp', 'ETHUSDT') None
    """
    sums: Counter[Place] = Counter()
    for place, count in rows:
        sums[place] += count
    cuts: list[Place] = []
    total, before = 0.0, None
    for place in sorted(sums):
        if before is not None and total + sums[place] > BATCH_ROWS:
            cuts.append(before)
            total = 0.0
        total += sums[place]
        before = place
    return [InstrumentRange(after, last) for after, last in pairwise([None, *cuts, None])]
