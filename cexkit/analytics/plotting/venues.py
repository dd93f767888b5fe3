"""Venues beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cexkit.analytics.cross_venue import volume_share
from cexkit.analytics.plotting._series import one_base, read, rows_of, subject
from cexkit.analytics.plotting._stack import stack, summed
from cexkit.analytics.plotting._style import axes_or_new, finish
from cexkit.errors import InvalidInputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def venue_share(frame: Any, *, asset_class: str | None = "crypto", ax: Axes | None = None) -> Axes:
    """Share of each venue in the volume of a coin, in percent.

    Parameters
    ----------
    frame : pandas, polars, pyarrow or Ibis frame
        Bars of one coin, with the inputs of :func:`cexkit.volume_share`; spot and perpetuals count together unless you
        select. A time at which a venue that has earlier and later bars has none is left blank.
    asset_class : str or None, default "crypto"
        Class of the instruments that count, if the frame has a column ``asset_class``; see :func:`cexkit.volume_share`.
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
        If there are no rows, several coins, or no volume is known in dollars.

    Warns
    -----
    ExcludedInstrumentsWarning
        If instruments are left out because of their class, with their number.

    Examples
    --------
    >>> from datetime import date
    >>> import polars as pl
    >>> from matplotlib.figure import Figure
    >>> frame = pl.DataFrame({
    ...     "exchange": ["binance", "okx"] * 2, "base": "BTC", "volume_usd": [3e9, 1e9, 3e9, 1e9],
    ...     "timestamp": [date(2024, 1, 1)] * 2 + [date(2024, 1, 2)] * 2,
    ... })
    >>> venue_share(frame, ax=Figure().subplots()).get_legend_handles_labels()[1]
    ['binance', 'okx']
    """
    rows = rows_of(read(frame, "volume_share"), "venue_share")
    shares = volume_share(rows, asset_class=asset_class)
    one_base(shares, "venue_share")
    if not shares["volume_share"].is_not_null().any():
        raise InvalidInputError("venue_share: no volume is known in dollars; add volume_usd, or select other quotes")
    table = summed(shares, "volume_share", "venue_share")
    ax = axes_or_new(ax)
    stack(ax, table, 100)
    ax.set_ylim(0, 100)
    return finish(ax, "share of volume in USD, %", title=subject(rows))
