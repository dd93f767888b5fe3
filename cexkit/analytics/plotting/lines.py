"""Lines over time, one per instrument."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import polars as pl

from cexkit.analytics import prices
from cexkit.analytics.basis import basis as analytics_basis
from cexkit.analytics.funding import rates
from cexkit.analytics.plotting._series import (
    instruments,
    numbers_of,
    read,
    subject,
    thinned,
    times_of,
    with_gaps,
)
from cexkit.analytics.plotting._style import LINESTYLES, axes_or_new, color, finish, fresh
from cexkit.errors import MissingSettlementsWarning

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def funding_apr(frame: Any, *, ax: Axes | None = None) -> Axes:
    """Funding APR of each instrument over time, in percent.

    Parameters
    ----------
    frame : pandas, polars, pyarrow or Ibis frame
        With the inputs of :func:`cexkit.funding_apr` and ``timestamp``; at most 8 instruments.
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
        If there are no rows, or too many instruments to tell apart.

    Examples
    --------
    >>> from datetime import datetime
    >>> import polars as pl
    >>> from matplotlib.figure import Figure
    >>> frame = pl.DataFrame(
    ...     {"timestamp": [datetime(2024, 1, 1)], "funding_rate": [0.0001], "funding_interval_hours": [8]}
    ... )
    >>> funding_apr(frame, ax=Figure().subplots()).get_ylabel()
    'funding APR, %'
    """
    rows = rates.funding_apr(read(frame, "funding_apr"))
    return _draw(rows, "funding_apr", ax, "funding APR, %")


def cumulative_funding(frame: Any, *, compound: bool = False, ax: Axes | None = None) -> Axes:
    """Funding paid by a long since the first row, in percent of the position.

    Parameters
    ----------
    frame : pandas, polars, pyarrow or Ibis frame
        With the inputs of :func:`cexkit.cumulative_funding`; at most 8 instruments.
    compound : bool, default False
        Compound the rates instead of adding them.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        A line ends where settlements are missing, and the picture says so.

    Raises
    ------
    MissingColumnError, InvalidInputError
        As :func:`funding_apr`.

    Examples
    --------
    >>> from datetime import datetime
    >>> import polars as pl
    >>> from matplotlib.figure import Figure
    >>> frame = pl.DataFrame({"timestamp": [datetime(2024, 1, 1)], "funding_rate": [0.0001]})
    >>> [float(y) for y in cumulative_funding(frame, ax=Figure().subplots()).lines[0].get_ydata()]
    [0.01]
    """
    frame = read(frame, "cumulative_funding")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MissingSettlementsWarning)  # The picture states it.
        sums = rates.cumulative_funding(frame)
        rows = rates.cumulative_funding(frame, compound=compound) if compound else sums
    ax = _draw(rows, "cumulative_funding", ax, "paid by longs, cumulative, %")
    settled = pl.col("funding_rate").cast(pl.Float64).is_finite()
    if sums.filter(settled & pl.col("cumulative_funding").is_null()).height:
        text = "lines end where settlements are missing"
        ax.text(0.98, 0.03, text, transform=ax.transAxes, ha="right", fontsize="small")
    return ax


def drawdown(frame: Any, *, price: str = "close", ax: Axes | None = None) -> Axes:
    """Fall of the price below its running maximum, in percent.

    Parameters
    ----------
    frame : pandas, polars, pyarrow or Ibis frame
        With the inputs of :func:`cexkit.drawdown`; at most 8 instruments.
    price : str, default "close"
        Column of the price.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingColumnError, InvalidInputError
        As :func:`funding_apr`.

    Examples
    --------
    >>> from datetime import datetime
    >>> import polars as pl
    >>> from matplotlib.figure import Figure
    >>> frame = pl.DataFrame({"timestamp": [datetime(2024, 1, 1), datetime(2024, 1, 2)], "close": [100.0, 75.0]})
    >>> [float(y) for y in drawdown(frame, ax=Figure().subplots()).lines[0].get_ydata()]
    [0.0, -25.0]
    """
    rows = prices.drawdown(read(frame, "drawdown", price=price), price=price)
    return _draw(rows, "drawdown", ax, "drawdown, %")


def basis(frame: Any, *, price: str = "price", reference: str = "reference", ax: Axes | None = None) -> Axes:
    """Basis of each instrument over its reference, in basis points.

    Parameters
    ----------
    frame : pandas, polars, pyarrow or Ibis frame
        With the inputs of :func:`cexkit.basis_bps` and ``timestamp``; at most 8 instruments.
    price, reference : str
        Columns of both prices.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingColumnError, InvalidInputError
        As :func:`funding_apr`.

    Examples
    --------
    >>> from datetime import datetime
    >>> import polars as pl
    >>> from matplotlib.figure import Figure
    >>> frame = pl.DataFrame({"timestamp": [datetime(2024, 1, 1)], "price": [100.5], "reference": [100.0]})
    >>> [float(y) for y in basis(frame, ax=Figure().subplots()).lines[0].get_ydata()]
    [50.0]
    """
    rows = read(frame, "basis_bps", price=price, reference=reference)
    rows = analytics_basis.basis_bps(rows, price=price, reference=reference)
    return _draw(rows, "basis_bps", ax, "basis, bps", scale=1.0)


def _draw(rows: pl.DataFrame, column: str, ax: Axes | None, ylabel: str, scale: float = 100.0) -> Axes:
    """Each instrument as a line, by default in percent: color by venue, line style by place."""
    series = list(instruments(rows, column))
    title = fresh(ax, subject(rows))
    ax = axes_or_new(ax)
    before = len(ax.get_legend_handles_labels()[0])
    for place, (keys, label, part) in enumerate(series, start=before):
        ax.plot(
            *thinned(*with_gaps(times_of(part), numbers_of(part, column, scale))),
            label=label or None,
            color=color(keys.get("exchange")),
            linestyle=LINESTYLES[place % len(LINESTYLES)],
            linewidth=1.2,
        )
    return finish(ax, ylabel, title=title, zero=True)
