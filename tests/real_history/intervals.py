"""Settlement intervals from times alone, written independently of cexkit in plain Python.

Distances between settlements are whole minutes, and whole hours if within a minute of one. Settlements come every 1, 2,
4, 6, or 8 hours; such a distance is *regular*. A *run* is a maximal sequence of equal distances. By these rules:

1. A regular distance in a run of two or more is an interval. Exception: exactly two, between distances of one shorter
   interval that divides them. They can be two gaps in a row, so they are unknown.
2. A run of one between two equal regular distances that divide it is a gap: the interval is theirs.
3. Two adjacent runs of one, whose sum is twice a regular distance that the runs before and after both have, are a
   displaced settlement: both rows have that interval.
4. Another run of one is an interval if it is regular, no multiple of a regular distance next to it, and either has a
   regular distance or a multiple of itself next to it, or is the only distance.
5. Everything else is unknown.
6. The first settlement has the interval of the second.
"""

from __future__ import annotations

from itertools import groupby, pairwise

REGULAR = {hours * 60 for hours in (1, 2, 4, 6, 8)}


def settlement_intervals(times_ms: list[int]) -> list[float | None]:
    """Return the interval of each settlement in hours, None if it is unknown; the times ascend."""
    minutes = [_snap((after - before) / 60_000) for before, after in pairwise(times_ms)]
    runs = [(distance, len(list(same))) for distance, same in groupby(minutes)]
    found: list[int | None] = []
    for place, (_, count) in enumerate(runs):
        found += [_interval(runs, place)] * count
    hours = [None if interval is None else interval / 60 for interval in found]
    return [*hours[:1], *hours] if hours else [None] * len(times_ms)


def _snap(minutes: float) -> int:
    whole = round(minutes)
    hour = round(whole / 60) * 60
    return hour if abs(whole - hour) <= 1 else whole


def _interval(runs: list[tuple[int, int]], place: int) -> int | None:
    """Return the interval of a run in minutes."""
    distance, count = runs[place]
    before = runs[place - 1][0] if place else None
    after = runs[place + 1][0] if place + 1 < len(runs) else None
    around = [other for other in (before, after) if other is not None]
    shorter = [other for other in around if other in REGULAR and distance > other and distance % other == 0]
    if count > 1:
        hidden_gaps = count == 2 and before == after and shorter
        return distance if distance in REGULAR and not hidden_gaps else None
    if before == after and shorter:
        return before
    if (displaced := _displaced(runs, place)) is not None:
        return displaced
    supported = not around or any(other in REGULAR or (other > distance and other % distance == 0) for other in around)
    return distance if distance in REGULAR and supported and not shorter else None


def _displaced(runs: list[tuple[int, int]], place: int) -> int | None:
    """Return the interval of a displaced settlement that a run of one belongs to; None if it belongs to none."""
    for first in (place - 1, place):
        if first < 1 or first + 2 >= len(runs):
            continue
        (before, _), (one, ones), (other, others), (after, _) = runs[first - 1 : first + 3]
        if ones == others == 1 and before == after and before in REGULAR and one + other == 2 * before:
            return before
    return None
