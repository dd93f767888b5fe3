"""Colors and axes of plots. Text and background keep the caller's matplotlib style, light or dark."""

from __future__ import annotations

import math
from datetime import UTC
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from cexkit.errors import InvalidInputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

#: Colors by Okabe and Ito, which color-blind readers can distinguish. The orange and the sky blue are darkened, so that
#: every color contrasts with both white and black (at least 3:1). A venue has the same color in every plot.
VENUES = {"binance": "#0072B2", "bybit": "#C98200", "coinbase": "#009E73", "okx": "#CC79A7"}
OTHERS = ("#2E9BD6", "#D55E00", "#8C8C8C")

#: Color of each side of the position, the same in every plot. Plots with sides show no venues.
SIDES = {"long": "#2E9BD6", "short": "#D55E00"}

#: Line styles in the order of a plot's lines: if lines cover each other, the gaps show the line below.
LINESTYLES = ("-", (0, (5, 1.5)), (0, (2, 1)), (0, (6, 1.5, 1.5, 1.5)), (0, (9, 2)), (0, (1, 1)), (0, (3, 3)), "-.")
MARKERS = ("o", "s", "^", "D")


def color(exchange: str | None) -> str:
    """Return the color of a venue, the same in every process."""
    if exchange is None:
        return VENUES["binance"]
    return VENUES.get(exchange) or OTHERS[crc32(exchange.encode()) % len(OTHERS)]


def fresh(ax: Axes | None, title: str) -> str:
    """Return the title, or an empty string if the axes already show data that it would not describe."""
    return "" if ax is not None and require_axes(ax).has_data() else title


def require_axes(ax: Axes) -> Axes:
    """Return what to draw on; raise InvalidInputError if it is not matplotlib Axes."""
    from matplotlib.axes import Axes as Kind

    if not isinstance(ax, Kind):
        raise InvalidInputError(f"ax must be matplotlib Axes, got {type(ax).__name__}; leave it out for a new figure")
    return ax


def axes_or_new(ax: Axes | None, *, figsize: tuple[float, float] = (9, 4)) -> Axes:
    if ax is not None:
        return require_axes(ax)
    from matplotlib import pyplot

    return pyplot.subplots(figsize=figsize, layout="constrained")[1]


def ink(ax: Axes) -> Any:
    """Return the text color of the style that was active when the axes were created."""
    return ax.xaxis.label.get_color()


def heat(ax: Axes) -> Colormap:
    """Return Cividis, oriented so that the largest value contrasts most with the background of the axes."""
    from matplotlib import colormaps
    from matplotlib.colors import LinearSegmentedColormap, to_rgba

    red, green, blue, alpha = to_rgba(ax.get_facecolor())
    behind = 0.2126 * red + 0.7152 * green + 0.0722 * blue if alpha else 1.0
    # Omit the end that is close to the background color.
    steps = [0.2 + 0.8 * step / 255 for step in range(256)]
    scale = colormaps["cividis" if behind < 0.5 else "cividis_r"]
    return LinearSegmentedColormap.from_list("heat", scale(steps))


def dates(ax: Axes) -> None:
    """Label the x-axis with UTC dates."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    # Pass the zone explicitly, because matplotlib's own setting may differ.
    locator = AutoDateLocator(tz=UTC, minticks=3, maxticks=8)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))
    ax.set_xlabel("time, UTC")


def finish(ax: Axes, ylabel: str, *, title: str = "", zero: bool = False, time: bool = True) -> Axes:
    """Add the unit, UTC dates, the title (top left), the legend (top right), and a zero line if signs matter."""
    if time:
        dates(ax)
    ax.set_ylabel(ylabel)
    ax.set_title(title, loc="left", fontsize="medium", parse_math=False)
    if zero:
        ax.axhline(0, color="0.5", linewidth=0.8, zorder=0)
    ax.spines[["top", "right"]].set_visible(False)
    legend(ax)
    return ax


def legend(ax: Axes, *, beside: Axes | None = None) -> None:
    """Add a legend at the top right, including names of a second scale; move the title above it if both do not fit."""
    handles, labels = ax.get_legend_handles_labels()
    if beside is not None:
        more, names = beside.get_legend_handles_labels()
        handles, labels = [*handles, *more], [*labels, *names]
    # The title names a single line.
    if len(labels) < 2:
        return
    columns, pad = _room(ax, labels)
    drawn = ax.legend(
        handles,
        labels,
        frameon=False,
        ncols=columns,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        borderaxespad=0.1,
        handlelength=2.0,
        handletextpad=0.5,
        columnspacing=1.0,
    )
    for text in drawn.get_texts():
        # Show a dollar sign in a name literally.
        text.set_parse_math(False)
    if pad is not None:
        ax.set_title(ax.get_title(loc="left"), loc="left", fontsize="medium", pad=pad, parse_math=False)


def _room(ax: Axes, labels: list[str]) -> tuple[int, float | None]:
    """Return the legend's columns and the title's distance above the axes in points (None: next to the legend)."""
    from matplotlib import rcParams
    from matplotlib.font_manager import FontProperties

    size = FontProperties(size=rcParams["legend.fontsize"]).get_size_in_points()
    letter = 0.57 * size
    widths = [letter * len(label) + 3.5 * size for label in labels]
    room = 1.05 * ax.bbox.width / ax.get_figure(root=True).dpi * 72
    fitting = (n for n in range(len(labels), 0, -1) if sum(map(max, np.array_split(widths, n))) <= room)
    rows = math.ceil(len(labels) / next(fitting, 1))
    columns = math.ceil(len(labels) / rows)
    if rows == 1 and letter * len(ax.get_title(loc="left")) + sum(widths) < room:
        return columns, None
    return columns, 1.45 * size * rows + 6


def plain(ax: Axes) -> None:
    """Show prices in full, without a separate power of ten."""
    ax.ticklabel_format(axis="y", style="plain", useOffset=False)


def with_price(ax: Axes, times: Any, prices: Any, unit: str) -> Axes:
    """Draw the price on a separate scale on the right and return its Axes, labeled ``price``."""
    beside = ax.twinx()
    beside.set_label("price")
    beside.plot(times, prices, color=ink(ax), linewidth=1.1, label="price")
    beside.set_ylabel(unit, parse_math=False)
    plain(beside)
    beside.spines[["top", "left"]].set_visible(False)
    legend(ax, beside=beside)
    return beside
