"""As-of joins that look at nothing from the future, and at nothing too old.

Ibis' own ``asof_join(tolerance=)`` is not used: on DuckDB it finds its rows again by equal times, and so loses every
match that is not at the very same moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from cexkit.errors import InvalidInputError
from cexkit.schema.intervals import seconds

if TYPE_CHECKING:
    import ibis.expr.types as ir

#: Column of the right side: the time since which its row was known.
AVAILABLE_AT = "_available_at"
#: The longest tolerance.
LONGEST = timedelta(days=36_525)


def duration(value: str | timedelta) -> timedelta:
    """A tolerance as a ``timedelta``.

    Parameters
    ----------
    value : str or timedelta
        ``"90s"``, ``"5m"``, ``"1h"``, ``"1d"``, up to a hundred years; zero, also as ``"0s"``, is the very same moment.

    Raises
    ------
    InvalidInputError
        If it is no duration, below zero or longer.

    Examples
    --------
    >>> duration("90s")
    datetime.timedelta(seconds=90)
    """
    if isinstance(value, timedelta):
        if not timedelta(0) <= value <= LONGEST:
            raise InvalidInputError(f"a tolerance is zero or more, up to a hundred years, not {value!r}")
        return value
    return timedelta(0) if value == "0s" else timedelta(seconds=seconds(value))


def later(table: ir.Table, by: timedelta, name: str = "timestamp") -> ir.Table:
    """The table with ``timestamp`` so much later, in a column of this name."""
    import ibis

    # seconds, for a day of an SQL interval is a calendar day of the session's zone
    return table.mutate(**{name: table.timestamp + ibis.interval(seconds=int(by.total_seconds()))})


def closes(bars: ir.Table, bar: timedelta, keys: Sequence[str], **named: str) -> ir.Table:
    """The right side made of bars: what is known of each at its end, not at its open time.

    Parameters
    ----------
    bars : ibis.Table
        Bars at their open times.
    bar : timedelta
        Their length.
    keys : sequence of str
        Columns that the join matches.
    **named : str
        New name → column of the bars.
    """
    bars = later(bars, bar, AVAILABLE_AT)
    return bars.select(*keys, AVAILABLE_AT, **{name: bars[column] for name, column in named.items()})


def asof(left: ir.Table, right: ir.Table, keys: Sequence[str], tolerance: timedelta, *, available: str) -> ir.Table:
    """Every row of the left with the newest row of the right that was known by then.

    Parameters
    ----------
    left : ibis.Table
        With ``timestamp`` and the keys; every row stays, once.
    right : ibis.Table
        With ``_known`` and the keys, together unique, and values under names that the left does not have.
    keys : sequence of str
        Columns that must be equal.
    tolerance : timedelta
        How long before ``timestamp`` the right row may have become known; values are null beyond.
    available : str
        Name, in the result, of the time since which the right row was known.

    Returns
    -------
    ibis.Table
        The columns of the left, the values of the right, and ``available``.

    Examples
    --------
    >>> import ibis, pandas as pd
    >>> left = ibis.memtable({"k": ["a", "a"], "timestamp": pd.to_datetime(["2024-01-01 02:30", "2024-01-01 09:00"])})
    >>> right = ibis.memtable({"k": ["a"], "_available_at": pd.to_datetime(["2024-01-01 02:00"]), "price": [7.0]})
    >>> asof(left, right, ["k"], timedelta(hours=1), available="since").order_by("timestamp").price.to_pandas().tolist()
    [7.0, nan]
    """
    import ibis

    values = [name for name in right.columns if name not in (*keys, AVAILABLE_AT)]
    joined = left.asof_join(right, on=left.timestamp >= right[AVAILABLE_AT], predicates=list(keys))
    oldest = joined.timestamp - ibis.interval(microseconds=round(tolerance / timedelta(microseconds=1)))
    fresh = joined[AVAILABLE_AT] >= oldest
    kept = {name: fresh.ifelse(joined[name], ibis.null(right.schema()[name])) for name in values}
    return joined.select(
        *left.columns,
        **kept,
        **{available: fresh.ifelse(joined[AVAILABLE_AT], ibis.null(right.schema()[AVAILABLE_AT]))},
    )
