"""Open interest: how much, and what its change says with the price."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from cexkit.analytics._core.classes import select_class
from cexkit.analytics.open_interest import QUADRANTS, oi_change, oi_quadrant
from cexkit.analytics.plotting._series import (
    Instrument,
    instruments,
    needs,
    numbers_of,
    read,
    read_named,
    read_price,
    subject,
    times_of,
    with_usd,
)
from cexkit.analytics.plotting._stack import stack, summed
from cexkit.analytics.plotting._style import SIDES, axes_or_new, finish, with_price
from cexkit.analytics.prices import returns
from cexkit.errors import InvalidInputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Of each quadrant: the side that moved, and whether positions were opened.
MEANING = {
    "new_longs": ("long", True),
    "short_covering": ("short", False),
    "new_shorts": ("short", True),
    "long_unwinding": ("long", False),
}
assert set(MEANING) == set(QUADRANTS.values())


def open_interest(
    frame: Any,
    *,
    prices: Any = None,
    price: str = "close",
    asset_class: str | None = "crypto",
    ax: Axes | None = None,
) -> Axes:
    """Open interest of a coin in dollars, venues on top of each other, with a price where one is given.

    Parameters
    ----------
    frame : pandas, polars, pyarrow or Ibis frame
        Snapshots of one ``base``: ``timestamp``, ``exchange`` and ``open_interest_usd`` or ``open_interest_quote`` with
        ``quote``; dollar stablecoins are then taken 1:1 (``cexkit.schema.USD_LIKE``). A time at which an
        instrument that has earlier and later snapshots has none, or none in dollars, is left blank: the rest
        is not passed off as the whole.
    prices, price, ax
        As for :func:`liquidations`.
    asset_class : str or None, default "crypto"
        Class of the instruments that count, if the frame has a column ``asset_class``; see :func:`cexkit.volume_share`.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingColumnError
        If an input is missing.
    InvalidInputError
        If there are no rows, several coins, or several instruments in ``prices``.

    Warns
    -----
    ExcludedInstrumentsWarning
        If instruments are left out because of their class, with their number.

    Examples
    --------
    >>> from datetime import datetime
    >>> import polars as pl
    >>> from matplotlib.figure import Figure
    >>> frame = pl.DataFrame({
    ...     "exchange": "okx", "symbol": "BTCUSDT", "base": "BTC", "open_interest_usd": [2e9, 3e9],
    ...     "timestamp": [datetime(2024, 1, 1), datetime(2024, 1, 2)],
    ... })
    >>> open_interest(frame, ax=Figure().subplots()).get_ylabel()
    'open interest, USD billion'
    """
    rows = read_named(frame, "open_interest", "open_interest_usd", "open_interest_quote")
    rows = select_class("open_interest", rows, {"asset_class": asset_class})
    needs(rows, "open_interest", "timestamp", "exchange", "base")
    rows = with_usd(rows, "open_interest_usd", "open_interest")
    table = summed(rows, "open_interest_usd", "open_interest")
    beside = None if prices is None else read_price(prices, price)
    ax = axes_or_new(ax)
    scale, unit = (1e9, "billion") if (rows["open_interest_usd"].max() or 0) >= 1e9 else (1e6, "million")
    stack(ax, table, 1 / scale)
    finish(ax, f"open interest, USD {unit}", title=subject(rows))
    if beside is not None:
        draw_price(ax, beside, price)
    return ax


def draw_price(ax: Axes, beside: Instrument, price: str) -> None:
    """One instrument's price on a second scale, with its quote as the unit."""
    quotes = beside.rows["quote"].unique().to_list() if "quote" in beside.rows.columns else []
    unit = f"price, {quotes[0]}" if len(quotes) == 1 else "price"
    with_price(ax, times_of(beside.rows), numbers_of(beside.rows, price), unit)


def oi_quadrants(
    frame: Any, *, open_interest: str = "open_interest_base", price: str = "close", ax: Axes | None = None
) -> Axes:
    """Change of price against change of open interest in coins, one point a row, in percent of the row before.

    Color is the side that moved; a filled point opened positions, a hollow one closed them. Each corner says
    what it means and how many rows are in it.

    Parameters
    ----------
    frame : pandas, polars, pyarrow or Ibis frame
        With the inputs of :func:`cexkit.oi_quadrant`; one instrument.
    open_interest, price : str
        As for :func:`cexkit.oi_quadrant`.
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
        If there are no rows, no row has a quadrant, or there are several instruments.

    Examples
    --------
    >>> from datetime import datetime
    >>> import polars as pl
    >>> from matplotlib.figure import Figure
    >>> frame = pl.DataFrame({
    ...     "timestamp": [datetime(2024, 1, 1), datetime(2024, 1, 2)],
    ...     "close": [100.0, 102.0], "open_interest_base": [10.0, 11.0],
    ... })
    >>> ax = oi_quadrants(frame, ax=Figure().subplots())
    >>> [(text.get_text(), text.get_position()) for text in ax.texts][0]
    ('new longs: 1', (0.98, 0.97))
    """
    rows = _with_quadrants(frame, "oi_quadrants", open_interest, price)
    rows = oi_change(returns(rows, price=price), open_interest=open_interest, relative=True)
    ax = axes_or_new(ax, figsize=(6, 5))
    for (rises, grows), name in QUADRANTS.items():
        side, opened = MEANING[name]
        part = rows.filter(pl.col("oi_quadrant") == name)
        ax.scatter(
            numbers_of(part, "returns", 100),
            numbers_of(part, "oi_change", 100),
            s=18,
            facecolor=SIDES[side] if opened else "none",
            edgecolor=SIDES[side],
            linewidth=0.9,
            alpha=0.8,
            label=name,
        )
        corner = (0.98 if rises > 0 else 0.02, 0.97 if grows > 0 else 0.03)
        text = f"{name.replace('_', ' ')}: {part.height}"
        align = {"ha": "right" if rises > 0 else "left", "va": "top" if grows > 0 else "bottom"}
        ax.text(*corner, text, transform=ax.transAxes, **align)
    for line in (ax.axhline, ax.axvline):
        line(0, color="0.5", linewidth=0.8, zorder=0)
    _room(ax)
    ax.set(xlabel="change of price, %", ylabel="change of open interest, %")
    ax.set_title(subject(rows), loc="left", fontsize="medium", parse_math=False)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _room(ax: Axes) -> None:
    """Zero in the middle, and room for the words in the corners."""
    for low, high, limit in ((*ax.get_xlim(), ax.set_xlim), (*ax.get_ylim(), ax.set_ylim)):
        most = 1.15 * max(abs(low), abs(high))
        limit(-most, most)


def oi_timeline(
    frame: Any, *, open_interest: str = "open_interest_base", price: str = "close", ax: Axes | None = None
) -> Axes:
    """Quadrants of open interest over time: a lane for each, marked from each row to the one before.

    Parameters
    ----------
    frame : pandas, polars, pyarrow or Ibis frame
        With the inputs of :func:`cexkit.oi_quadrant`; one instrument. Daily rows read best. Where rows are
        missing, the lanes are blank.
    open_interest, price : str
        As for :func:`cexkit.oi_quadrant`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingColumnError, InvalidInputError
        As :func:`oi_quadrants`.

    Examples
    --------
    >>> from datetime import datetime
    >>> import polars as pl
    >>> from matplotlib.figure import Figure
    >>> frame = pl.DataFrame({
    ...     "timestamp": [datetime(2024, 1, 1), datetime(2024, 1, 2)],
    ...     "close": [100.0, 102.0], "open_interest_base": [10.0, 11.0],
    ... })
    >>> [label.get_text() for label in oi_timeline(frame, ax=Figure().subplots()).get_yticklabels()]
    ['long unwinding', 'new shorts', 'short covering', 'new longs']
    """
    from matplotlib.dates import date2num

    rows = _with_quadrants(frame, "oi_timeline", open_interest, price).sort("timestamp")
    rows = rows.with_columns(_since=pl.col("timestamp").shift(1))
    step = pl.col("timestamp") - pl.col("_since")
    rows = rows.filter(step <= 1.5 * step.median())
    ax = axes_or_new(ax, figsize=(9, 2.6))
    lanes = list(reversed(QUADRANTS.values()))
    for lane, name in enumerate(lanes):
        side, opened = MEANING[name]
        part = rows.filter(pl.col("oi_quadrant") == name)
        since, until = date2num(times_of(part, "_since")), date2num(times_of(part))
        ax.broken_barh(
            list(zip(since, until - since, strict=True)),
            (lane - 0.4, 0.8),
            facecolor=SIDES[side] if opened else "none",
            edgecolor=SIDES[side],
            hatch=None if opened else "////",
            linewidth=0.6,
            label=name,
        )
    ax.set_yticks(range(len(lanes)), [name.replace("_", " ") for name in lanes])
    ax.set_ylim(-0.6, len(lanes) - 0.4)
    ax.autoscale_view(scaley=False)
    finish(ax, "", title=subject(rows))
    if ax.legend_ is not None:
        ax.legend_.remove()
    return ax


def _with_quadrants(frame: Any, plot: str, open_interest: str, price: str) -> pl.DataFrame:
    rows = oi_quadrant(
        read(frame, "oi_quadrant", open_interest=open_interest, price=price), open_interest=open_interest, price=price
    )
    needs(rows, plot, "timestamp")
    (one,) = instruments(rows, plot, most=1)
    if not one.rows["oi_quadrant"].is_in(list(MEANING)).any():
        raise InvalidInputError(f"{plot}: no row has a quadrant; it takes two rows with both values, and a change")
    return one.rows
