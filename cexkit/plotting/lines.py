"""Lines over time, one per instrument."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import polars as pl

from cexkit.analytics import funding, prices
from cexkit.plotting._series import as_polars, instruments, thinned, with_gaps
from cexkit.plotting._style import LINESTYLES, axes_or_new, colour, finish

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
    rows = funding.funding_apr(as_polars(frame))
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
    rows = funding.cumulative_funding(as_polars(frame), compound=compound)
    return _draw(rows, "cumulative_funding", ax, "funding paid by longs, cumulative, %")


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
    rows = prices.drawdown(as_polars(frame), price=price)
    return _draw(rows, "drawdown", ax, "drawdown from the running maximum, %")


def _draw(rows: pl.DataFrame, column: str, ax: Axes | None, ylabel: str) -> Axes:
    """Each instrument as a line, in percent: colour by venue, line style within a venue."""
    series = list(instruments(rows, column))
    ax = axes_or_new(ax)
    drawn: Counter[str | None] = Counter()
    for keys, label, part in series:
        venue = keys.get("exchange")
        values = part[column].cast(pl.Float64).fill_null(float("nan")).to_numpy() * 100
        times = part["timestamp"].cast(pl.Datetime("us")).to_numpy()
        style = LINESTYLES[drawn[venue] % len(LINESTYLES)]
        ax.plot(
            *thinned(*with_gaps(times, values)),
            label=label or None,
            color=colour(venue),
            linestyle=style,
            linewidth=1.2,
        )
        drawn[venue] += 1
    return finish(ax, ylabel, zero=True)
