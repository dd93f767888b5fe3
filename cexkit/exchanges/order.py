"""Order of the rows of a page: which of them have a wrong time, because the others are in order."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

#: Fewest rows of which an order, or a usual distance, can be told.
FEWEST_IN_ORDER = 4


def out_of_order(times: np.ndarray) -> np.ndarray:
    """Return which times have to be taken out so that the others ascend; one that is next to its place may stay.

    Examples
    --------
    >>> import numpy as np
    >>> out_of_order(np.array([1, 2, 9, 3, 4])).tolist()
    [False, False, True, False, False]
    >>> out_of_order(np.array([1, 3, 2, 4])).any().item()
    False
    """
    import numpy as np

    if (np.diff(times) >= 0).all():
        return np.zeros(len(times), bool)
    ends: list[int] = []  # the smallest last value of an ascending chain, by the length of the chain
    chain: list[int] = []  # the place of each of them
    before = np.full(len(times), -1)
    for place, value in enumerate(times.tolist()):
        length = bisect_right(ends, value)
        before[place] = chain[length - 1] if length else -1
        ends[length : length + 1], chain[length : length + 1] = [value], [place]
    apart = np.ones(len(times), bool)
    place = chain[-1]
    while place >= 0:
        apart[place], place = False, before[place]
    rank = np.empty(len(times), int)
    rank[np.argsort(times, kind="stable")] = np.arange(len(times))
    return apart & (np.abs(rank - np.arange(len(times))) > 1)
