"""Colours and axes. Text and background stay those of the caller's matplotlib style, white or dark."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Of Okabe and Ito, told apart by colour-blind readers; a venue has its colour in every picture.
VENUES = {"binance": "#0072B2", "bybit": "#E69F00", "coinbase": "#009E73", "okx": "#CC79A7"}
OTHERS = ("#56B4E9", "#D55E00", "#999999")

LINESTYLES = ("-", "--", ":", "-.")


def colour(exchange: str | None) -> str:
    """The colour of a venue, the same in every process."""
    if exchange is None:
        return VENUES["binance"]
    return VENUES.get(exchange) or OTHERS[crc32(exchange.encode()) % len(OTHERS)]


def axes_or_new(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(9, 4), layout="constrained")[1]


def finish(ax: Axes, ylabel: str, *, zero: bool = False) -> Axes:
    """Unit, UTC dates, legend outside the data; a line at zero where the sign matters."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator()
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    ax.set(ylabel=ylabel, xlabel="time, UTC")
    if zero:
        ax.axhline(0, color="0.5", linewidth=0.8, zorder=0)
    ax.spines[["top", "right"]].set_visible(False)
    if ax.get_legend_handles_labels()[1]:
        ax.legend(frameon=False, ncols=4, loc="lower left", bbox_to_anchor=(0, 1))
    return ax
