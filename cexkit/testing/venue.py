"""What the loopback venues have in common: a feed, pages that may be cut, and how numbers and bars are shown."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import polars as pl

from cexkit.schema.intervals import TimeLike
from cexkit.testing.feed import Feed
from cexkit.testing.loopback import Fault, Loopback


class LoopbackVenue(Loopback):
    """A venue that answers from a feed.

    Parameters
    ----------
    feed : Feed or mapping of table name to polars.DataFrame
        What it answers from.
    now, faults, clock, latency_seconds
        As for :class:`~cexkit.testing.Loopback`.
    page_rows : int, optional
        Most rows of any page, below the venue's own limits.
    """

    def __init__(
        self,
        feed: Feed | Mapping[str, pl.DataFrame],
        *,
        now: TimeLike | Callable[[], datetime],
        faults: Iterable[Fault] = (),
        page_rows: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        latency_seconds: float | tuple[float, float] = 0.0,
    ):
        super().__init__(now=now, faults=faults, clock=clock, latency_seconds=latency_seconds)
        self.feed = feed if isinstance(feed, Feed) else Feed(feed)
        self.page_rows = page_rows

    def cut(self, limit: int) -> int:
        """The rows of a page, of which the venue would give so many."""
        return limit if self.page_rows is None else min(limit, self.page_rows)


def as_json(body: Any) -> bytes:
    """A body as venues send it."""
    return json.dumps(body, separators=(",", ":")).encode()


def plain(number: float | Decimal) -> str:
    """A number as text without an exponent.

    Examples
    --------
    >>> plain(1e-7)
    '0.0000001'
    """
    return f"{number if isinstance(number, Decimal) else Decimal(repr(number)):f}"


def with_partial(rows: pl.DataFrame, finished: datetime) -> pl.DataFrame:
    """Bars that opened after a time as they are after their first trade: nothing that may be taken for the truth."""
    running = pl.col("timestamp") > finished
    first = {name: pl.col("open") for name in ("high", "low", "close")}
    first |= {name: pl.col(name) * 0.01 for name in rows.columns if "volume" in name}
    first |= {name: pl.lit(1) for name in rows.columns if name == "trades"}
    return rows.with_columns(**{name: pl.when(running).then(then).otherwise(name) for name, then in first.items()})
