"""Forced closings: by side over time, and over time and price."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from cexkit.analytics.liquidations.heatmap import liquidation_heatmap as heatmap
from cexkit.analytics.liquidations.summary import liquidation_summary
from cexkit.analytics.plotting._open_interest import draw_price
from cexkit.analytics.plotting._series import (
    bound,
    instruments,
    numbers_of,
    one_base,
    read,
    read_price,
    rows_of,
    subject,
)
from cexkit.analytics.plotting._style import SIDES, axes_or_new, finish, heat, plain
from cexkit.errors import InvalidInputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MILLION = 1e6


def liquidations(
    frame: Any, *, every: str = "1d", prices: Any = None, price: str = "close", ax: Axes | None = None
) -> Axes:
    """Value liquidated per bucket of time, shorts upwards and longs downwards, with a price where one is given.

    Parameters
    ----------
    frame : pandas, polars, pyarrow or Ibis frame
        Events, with the inputs of :func:`cexkit.liquidation_summary`; all that is in it is added up. Where
        ``coverage`` is not full all over, the axis says that values are lower bounds, or of unknown coverage.
    every : str
        Length of a bucket, such as ``"1d"`` or ``"1h"``.
    prices : frame, optional
        ``timestamp`` and a price of **one** instrument, drawn on a second Axes with the label ``price``.
    price : str
        Column of the price.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingColumnError
        If an input is missing.
    InvalidInputError
        If there are no rows, none has a value in dollars, or ``prices`` holds several instruments.

    Examples
    --------
    >>> from datetime import datetime
    >>> import polars as pl
    >>> from matplotlib.figure import Figure
    >>> frame = pl.DataFrame({
    ...     "timestamp": datetime(2024, 1, 1), "side": ["long", "short"], "quantity_base": [2.0, 1.0],
    ...     "value_usd": [8e6, 4e6], "coverage": "full",
    ... })
    >>> [float(bar.get_height()) for bar in liquidations(frame, ax=Figure().subplots()).patches]
    [4.0, -8.0]
    """
    from matplotlib.dates import date2num

    rows = rows_of(read(frame, "liquidation_summary", by=None), "liquidations")
    totals = liquidation_summary(rows, every=every, by=None)
    if not totals["value_usd"].is_not_null().any():
        raise InvalidInputError("liquidations: no event has a value in dollars; add value_usd, or select other quotes")
    beside = None if prices is None else read_price(prices, price)
    ax = axes_or_new(ax)
    for side, sign, hatch in (("short", 1, ""), ("long", -1, "//////")):
        part = totals.filter(pl.col("side") == side)
        starts = part["timestamp"].cast(pl.Datetime("us"))
        left, right = date2num(starts.to_numpy()), date2num(starts.dt.offset_by(every).to_numpy())
        ax.bar(
            left,
            numbers_of(part, "value_usd", sign / _MILLION),
            width=right - left,
            align="edge",
            facecolor="none" if hatch else SIDES[side],
            edgecolor=SIDES[side],
            hatch=hatch,
            linewidth=0.5,
            label=f"{side}s liquidated",
        )
    ax.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    qualified = bound(totals["coverage"])
    finish(ax, f"USD million{qualified and ', ' + qualified}", title=subject(rows), zero=True)
    if beside is not None:
        draw_price(ax, beside, price)
    return ax


def liquidation_heatmap(
    frame: Any,
    *,
    every: str = "1d",
    bin_bps: float = 100.0,
    bin_width: float | None = None,
    ax: Axes | None = None,
    colorbar: bool | Axes = True,
) -> Axes:
    """Value liquidated per bucket of time and bin of price, of events that took place, on a logarithmic scale.

    Parameters
    ----------
    frame : pandas, polars, pyarrow or Ibis frame
        Events of one coin, with the inputs of :func:`cexkit.liquidation_heatmap`; venues are added up where ``base``
        is a column. With ``multiplier`` the price is per coin.
    every, bin_bps, bin_width
        As for :func:`cexkit.liquidation_heatmap`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.
    colorbar : bool or matplotlib.axes.Axes, default True
        The scale of colors: beside ``ax``, which gives up room for it; in an Axes of yours; or none.

    Returns
    -------
    matplotlib.axes.Axes
        ``ax``, which holds the mesh as ``ax.collections[0]`` and its scale as ``ax.collections[0].colorbar``.

    Raises
    ------
    MissingColumnError
        If an input is missing.
    InvalidInputError
        If there are no rows, several coins, or no event has a price and a value in dollars.

    Examples
    --------
    >>> from datetime import datetime
    >>> import polars as pl
    >>> from matplotlib.figure import Figure
    >>> frame = pl.DataFrame({
    ...     "base": "BTC", "timestamp": [datetime(2024, 1, 1), datetime(2024, 1, 2)], "side": ["long", "short"],
    ...     "price": [42_010.0, 42_290.0], "value_usd": [5e4, 2e4], "coverage": "full",
    ... })
    >>> ax = liquidation_heatmap(frame, bin_width=100, ax=Figure().subplots())
    >>> float(ax.collections[0].get_array().max())
    50000.0
    """
    rows = rows_of(read(frame, "liquidation_heatmap", by=None), "liquidation_heatmap")
    if "base" in rows.columns:
        one_base(rows, "liquidation_heatmap")
    elif "symbol" in rows.columns:
        list(instruments(rows, "liquidation_heatmap", most=1))
    cells = heatmap(rows, every=every, bin_bps=bin_bps, bin_width=bin_width, by=None)
    drawn = cells.filter(pl.col("price_low").is_not_null(), pl.col("value_usd") > 0)
    if not drawn.height:
        raise InvalidInputError(
            "liquidation_heatmap: no event has a price and a value in dollars that can be compared; see that "
            "quotes are one, and that multiplier is there where symbols are several"
        )
    ax = axes_or_new(ax)
    _mesh(ax, drawn, every, colorbar)
    finish(ax, _price_unit(rows), title=subject(rows))
    plain(ax)
    if left_out := cells["events"].sum() - drawn["events"].sum():
        text = f"{left_out} events without price or value not drawn"
        ax.text(0.01, 0.02, text, transform=ax.transAxes, fontsize="small")
    return ax


def _mesh(ax: Axes, cells: pl.DataFrame, every: str, colorbar: bool | Axes) -> None:
    from matplotlib.colors import LogNorm
    from matplotlib.dates import date2num

    starts = cells["timestamp"].cast(pl.Datetime("us"))
    left, right = date2num(starts.to_numpy()), date2num(starts.dt.offset_by(every).to_numpy())
    low, high = cells["price_low"].to_numpy(), cells["price_high"].to_numpy()
    times, prices = np.unique(np.r_[left, right]), np.unique(np.r_[low, high])
    values = np.full((len(prices) - 1, len(times) - 1), np.nan)
    values[np.searchsorted(prices, low), np.searchsorted(times, left)] = cells["value_usd"].to_numpy()
    least, most = np.nanmin(values), np.nanmax(values)
    # one value alone spans no scale
    norm = LogNorm(least if least < most else most / 10, most)
    mesh = ax.pcolormesh(times, prices, np.ma.masked_invalid(values), cmap=heat(ax), norm=norm, rasterized=True)
    if colorbar is False:
        return
    place = {"ax": ax, "pad": 0.02} if colorbar is True else {"cax": colorbar}
    qualified = bound(cells["coverage"])
    label = f"liquidated, USD{qualified and ', ' + qualified}"
    ax.figure.colorbar(mesh, label=label, **place)


def _price_unit(rows: pl.DataFrame) -> str:
    quotes = rows["quote"].unique().sort().to_list() if "quote" in rows.columns else []
    per = " per coin" if "multiplier" in rows.columns else ""
    return f"price, {'+'.join(map(str, quotes))}{per}" if quotes else f"price{per}"
