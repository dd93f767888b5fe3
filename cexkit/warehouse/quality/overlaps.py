"""Groups of files that have rows in the same time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime


def overlapping(spans: Sequence[Mapping[str, tuple[datetime, datetime]]]) -> list[list[int]]:
    """Return the numbers of files in groups; files of different groups never have rows in the same time.

    Parameters
    ----------
    spans : sequence of mapping
        For each file, the first and the last time of its rows by venue. Only spans of the same venue overlap.

    Returns
    -------
    list of list of int
        Groups in the order of their first file.

    Examples
    --------
    >>> from cexkit.schema.intervals import utc
    >>> days = [utc(f"2026-06-{day:02}") for day in (1, 2, 3, 4)]
    >>> overlapping([{"okx": (days[0], days[2])}, {"okx": (days[1], days[3])}, {"bybit": (days[0], days[3])}])
    [[0, 1], [2]]
    """
    leader = list(range(len(spans)))

    def find(number: int) -> int:
        while leader[number] != number:
            number = leader[number]
        return number

    for venue in sorted({name for span in spans for name in span}):
        known = sorted((*span[venue], number) for number, span in enumerate(spans) if venue in span)
        latest: tuple[datetime, int] | None = None
        for first, last, number in known:
            if latest is not None and first <= latest[0]:
                one, other = sorted((find(number), find(latest[1])))
                leader[other] = one
            if latest is None or last > latest[0]:
                latest = (last, number)
    groups: dict[int, list[int]] = {}
    for number in range(len(spans)):
        groups.setdefault(find(number), []).append(number)
    return list(groups.values())
