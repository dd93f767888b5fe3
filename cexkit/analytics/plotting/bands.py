"""Distributions as bands: volatility by window, funding of one coin against all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from cexkit.analytics._core.classes import select_class
from cexkit.analytics.funding.rates import funding_apr
from cexkit.analytics.plotting._series import instruments, needs, numbers_of, read, rows_of, subject, times_of
from cexkit.analytics.plotting._style import LINESTYLES, axes_or_new, color, finish, ink
from cexkit.analytics.volatility import Estimator, realized_volatility
from cexkit.errors import InvalidInputError
from cexkit.schema import INSTRUMENT_KEYS
from cexkit.schema.names import resolve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Shares of a distribution that are drawn, from below.
CONE = {"lowest": 0.0, "lower": 0.25, "median": 0.5, "upper": 0.75, "highest": 1.0}
BAND = {"lowest": 0.05, "lower": 0.25, "median": 0.5, "upper": 0.75, "highest": 0.95}


def volatility_cone(
    frame: Any,
    *,
    windows: Sequence[int] = (7, 14, 30, 60, 90),
    estimator: Estimator = "close",
    interval: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Annual volatility by length of window: the latest against all that came before, in percent.

    Parameters
    ----------
    frame : pandas, polars, pyarrow or Ibis frame
        Bars of one instrument, with the inputs of :func:`cexkit.realized_volatility`.
    windows : sequence of int
        Lengths, in bars. Those for which no window is full are not drawn, and named in the picture.
    estimator, interval
        As for :func:`cexkit.realized_volatility`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Windows overlap, so that what lies in a band is not as many independent values.

    Raises
    ------
    MissingColumnError
        If an input is missing.
    InvalidInputError
        If there are no rows, several instruments, or no window is full.

    Examples
    --------
    >>> from datetime import date
    >>> import polars as pl
    >>> from matplotlib.figure import Figure
    >>> days = [date(2024, 1, day) for day in range(1, 9)]
    >>> frame = pl.DataFrame({"timestamp": days, "close": [100.0, 101.0, 100.0, 101.0, 100.0, 102.0, 100.0, 101.0]})
    >>> ax = volatility_cone(frame, windows=(3, 5), ax=Figure().subplots())
    >>> {line.get_label(): line.get_xdata().tolist() for line in ax.lines}
    {'median': [3, 5], 'latest': [3, 5]}
    """
    (one,) = instruments(read(frame, "realized_volatility", estimator=estimator), "volatility_cone", most=1)
    cone = cone_of(one.rows, windows, estimator, interval)
    missing = [window for window in windows if window not in cone["window"]]
    if not cone.height:
        raise InvalidInputError(f"volatility_cone: no window of {min(windows)} bars is full; the frame is too short")
    ax = axes_or_new(ax, figsize=(7, 4))
    x = cone["window"].to_numpy()
    _band(ax, x, cone, ("lowest", "highest"), 0.3, "lowest to highest")
    _band(ax, x, cone, ("lower", "upper"), 0.5, "middle half")
    ax.plot(x, numbers_of(cone, "median"), color=ink(ax), linewidth=1.0, label="median")
    ax.plot(x, numbers_of(cone, "latest"), color=color(None), linewidth=1.6, linestyle="--", marker="o", label="latest")
    ax.set_xticks(x)
    ax.set_ylim(bottom=0)
    finish(ax, "volatility per year, %", title=subject(one.rows), time=False)
    ax.set_xlabel(f"window, bars{f' of {interval}' if interval else ''}")
    if missing:
        text = f"too few bars for {', '.join(map(str, missing))}"
        ax.text(0.98, 0.03, text, transform=ax.transAxes, ha="right", fontsize="small")
    return ax


def cone_of(rows: pl.DataFrame, windows: Sequence[int], estimator: Estimator, interval: str | None) -> pl.DataFrame:
    """Of each window that is full somewhere: shares of its volatilities, and the latest; in percent."""
    parts = []
    for window in sorted(set(windows)):
        values = realized_volatility(rows, window=window, estimator=estimator, interval=interval).sort("timestamp")
        percent = pl.col("realized_volatility") * 100
        part = values.select(
            pl.lit(window).alias("window"), *_shares(percent, CONE), percent.drop_nulls().last().alias("latest")
        )
        parts.append(part.filter(pl.col("median").is_not_null()))
    return pl.concat(parts)


def _shares(value: pl.Expr, shares: dict[str, float]) -> list[pl.Expr]:
    return [value.quantile(share, "linear").alias(name) for name, share in shares.items()]


def _band(ax: Axes, x: Any, table: pl.DataFrame, between: tuple[str, str], alpha: float, label: str) -> None:
    low, high = (numbers_of(table, name) for name in between)
    ax.fill_between(x, low, high, color="0.5", alpha=alpha, linewidth=0, label=label)


def funding_band(frame: Any, *, base: str, asset_class: str | None = "crypto", ax: Axes | None = None) -> Axes:
    """Funding APR of a coin against that of all other perpetuals, mean of each UTC day, in percent.

    Parameters
    ----------
    frame : pandas, polars, pyarrow or Ibis frame
        Funding of many instruments, with ``base`` and the inputs of :func:`cexkit.funding_apr`.
    base : str
        The coin drawn as lines, one for each of its instruments (8 at most); the others are the band: middle half,
        and from the 5th to the 95th of a hundred, each instrument with one vote.
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
    UnknownNameError
        If the frame does not hold the coin.
    InvalidInputError
        If there are no rows, no other coin, or too many instruments of this one.

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
    ...     "symbol": ["BTCUSDT", "ETHUSDT", "SOLUSDT"], "base": ["BTC", "ETH", "SOL"],
    ...     "timestamp": datetime(2024, 1, 1), "funding_rate": [1e-4, 2e-4, 4e-4], "funding_interval_hours": 8,
    ... })
    >>> ax = funding_band(frame, base="BTC", ax=Figure().subplots())
    >>> {line.get_label(): [round(float(y), 2) for y in line.get_ydata()] for line in ax.lines[:2]}
    {'median of 2': [32.85], 'BTCUSDT': [10.95]}
    """
    days = daily_apr(select_class("funding_band", read(frame, "funding_apr"), {"asset_class": asset_class}))
    base = resolve("base", base, set(days["base"]))
    others = days.filter(pl.col("base") != base)
    if not others.height:
        raise InvalidInputError(f"funding_band: the frame holds {base} alone; give it the other coins too")
    own = list(instruments(days.filter(pl.col("base") == base), "funding_band"))
    band = others.group_by("timestamp").agg(_shares(pl.col("funding_apr") * 100, BAND)).sort("timestamp")
    ax = axes_or_new(ax)
    x = times_of(band)
    _band(ax, x, band, ("lowest", "highest"), 0.35, "others 5–95 %")
    _band(ax, x, band, ("lower", "upper"), 0.5, "others 25–75 %")
    keys = [key for key in INSTRUMENT_KEYS if key in days.columns]
    count = others.select(keys).n_unique() if keys else others["base"].n_unique()
    ax.plot(x, numbers_of(band, "median"), color=ink(ax), linewidth=0.8, label=f"median of {count}")
    for place, (named, label, rows) in enumerate(own):
        values = numbers_of(rows, "funding_apr", 100)
        style = LINESTYLES[place % len(LINESTYLES)]
        ax.plot(times_of(rows), values, color=color(named.get("exchange")), linestyle=style, label=label or base)
    return finish(ax, "funding APR, daily mean, %", title=base, zero=True)


def daily_apr(frame: pl.DataFrame) -> pl.DataFrame:
    """Mean funding APR of each instrument and UTC day, over its settlements that have one."""
    rows = funding_apr(rows_of(frame, "funding_band"))
    needs(rows, "funding_band", "base", "timestamp")
    keys = [key for key in (*INSTRUMENT_KEYS, "base") if key in rows.columns]
    # without its zone a time is UTC; with it, days would be those of the zone
    day = pl.col("timestamp").cast(pl.Datetime("us")).dt.truncate("1d")
    days = rows.group_by(*keys, day).agg(pl.col("funding_apr").mean())
    return days.filter(pl.col("funding_apr").is_not_null()).sort(*keys, "timestamp")
