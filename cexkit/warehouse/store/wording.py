"""Words of messages: numbers of things, sizes, durations, and lists that end after a few names."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

#: Most names that a message lists.
NAMES_SHOWN = 3


def counted(number: int, noun: str) -> str:
    """Return a number of things.

    Examples
    --------
    >>> counted(1, "file"), counted(2000, "file")
    ('1 file', '2,000 files')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def first_names(names: Sequence[str], limit: int = NAMES_SHOWN) -> str:
    """Return the first names, and how many more there are.

    Examples
    --------
    >>> first_names(["a", "b", "c", "d", "e"]), first_names(["a"])
    ('a, b, c, and 2 more', 'a')
    """
    others = len(names) - limit
    return ", ".join(names[:limit]) + (f", and {others:,} more" if others > 0 else "")


def size_text(size: int) -> str:
    """Return a size in the largest unit that leaves a digit before the point.

    Examples
    --------
    >>> size_text(853), size_text(8_230), size_text(1_500_000)
    ('853 bytes', '8.2 kB', '1.5 MB')
    """
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return counted(size, "byte")


def duration_text(seconds: float) -> str:
    """Return a duration in the unit in which people say it: seconds, minutes, or hours.

    Examples
    --------
    >>> duration_text(8.2), duration_text(300), duration_text(65_000)
    ('9 s', '5 min', '18.1 h')
    """
    if seconds <= 90:
        return f"{ceil(seconds)} s"
    return f"{ceil(seconds / 60)} min" if seconds <= 5_400 else f"{seconds / 3_600:.1f} h"
