"""Venues on top of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from cexkit.analytics.plotting._series import numbers_of, one_base, times_of, with_gaps
from cexkit.analytics.plotting._style import color
from cexkit.schema import INSTRUMENT_KEYS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Bands that are at least this share of the picture are named in it, not in the legend alone.
ROOM_FOR_A_NAME = 0.08


def summed(rows: pl.DataFrame, value: str, plot: str) -> pl.DataFrame:
    """One row a time, one column a venue: its instruments added up.

    An instrument counts nothing before its first and after its last row. A time at which one that lives has no
    value is null for all venues.
    """
    one_base(rows, plot)
    parts = [key for key in INSTRUMENT_KEYS if key in rows.columns]
    known = rows.select("timestamp", *parts, value)
    times = known.select("timestamp").unique()
    lives = known.group_by(parts).agg(
        pl.col("timestamp").min().alias("_first"), pl.col("timestamp").max().alias("_last")
    )
    grid = times.join(lives, how="cross").join(known, on=["timestamp", *parts], how="left")
    lives_now = pl.col("timestamp").is_between("_first", "_last")
    grid = grid.with_columns(pl.when(lives_now).then(pl.col(value)).otherwise(0.0).alias(value))
    whole = pl.col(value).is_not_null().all().over("timestamp")
    totals = grid.with_columns(pl.when(whole).then(value).alias(value)).group_by("timestamp", "exchange")
    one = totals.agg(pl.when(pl.col(value).is_not_null().all()).then(pl.col(value).sum()).alias(value))
    return one.sort("exchange").pivot(on="exchange", index="timestamp", values=value).sort("timestamp")


def stack(ax: Axes, table: pl.DataFrame, scale: float) -> None:
    """Areas on top of each other, the largest at the bottom; blank where the sum is not known."""
    times = times_of(table)
    venues = [name for name in table.columns if name != "timestamp"]
    venues.sort(key=lambda name: (-(table[name].mean() or 0.0), name))
    below = np.zeros(len(times))
    edges = []
    for venue in venues:
        above = below + numbers_of(table, venue, scale)
        broken, top = with_gaps(times, above)
        _, bottom = with_gaps(times, below)
        ax.fill_between(broken, bottom, top, facecolor=color(venue), linewidth=0, label=venue)
        edges.append((venue, below, above))
        below = above
    ax.set_ylim(bottom=0)
    ax.margins(x=0)
    _name(ax, times, edges)


def _name(ax: Axes, times: np.ndarray, edges: list[tuple[str, np.ndarray, np.ndarray]]) -> None:
    """Names in the bands that have room, so that color is not all that tells them."""
    known = np.flatnonzero(~np.isnan(edges[-1][2]))
    if not len(known):
        return
    at = known[len(known) // 20]
    for venue, below, above in edges:
        if above[at] - below[at] >= ROOM_FOR_A_NAME * ax.get_ylim()[1]:
            middle = (above[at] + below[at]) / 2
            ax.text(times[at], middle, venue, color="white", weight="bold", va="center", parse_math=False)
