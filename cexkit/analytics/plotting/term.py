"""Dated futures by expiry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from cexkit.analytics.basis.basis import Method, annualized_basis
from cexkit.analytics.plotting._series import MOST_INSTRUMENTS, numbers_of, read, rows_of, subject, times_of
from cexkit.analytics.plotting._style import LINESTYLES, MARKERS, axes_or_new, color, finish
from cexkit.errors import InvalidInputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CURVE = ("exchange", "base", "quote")


def basis_term_structure(
    frame: Any,
    *,
    method: Method = "simple",
    min_days: float = 3.0,
    price: str = "price",
    reference: str = "reference",
    expiry: str = "expiry",
    ax: Axes | None = None,
) -> Axes:
    """Annualized basis of dated futures over their expiry, at the last time of the frame, in percent a year.

    Parameters
    ----------
    frame : pandas, polars, pyarrow or Ibis frame
        With the inputs of :func:`cexkit.annualized_basis`; one line for each ``exchange``, ``base`` and ``quote``
        (those that are there), at most 8. Filter by time to see another moment.
    method, min_days, price, reference, expiry
        As for :func:`cexkit.annualized_basis`.
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
        If there are no rows, no future has a basis at the last time (perpetuals have no expiry), or there are too
        many lines to tell apart.

    Examples
    --------
    >>> from datetime import datetime
    >>> import polars as pl
    >>> from matplotlib.figure import Figure
    >>> frame = pl.DataFrame({
    ...     "timestamp": datetime(2024, 1, 1), "expiry": [datetime(2024, 3, 14), datetime(2024, 5, 26)],
    ...     "price": [51_000.0, 52_000.0], "reference": 50_000.0,
    ... })
    >>> ax = basis_term_structure(frame, ax=Figure().subplots())
    >>> [round(float(y), 6) for y in ax.lines[0].get_ydata()]
    [10.0, 10.0]
    """
    rows = read(frame, "annualized_basis", price=price, reference=reference, expiry=expiry)
    # later rows without a basis are no reason to show nothing; the time drawn is named
    rows = annualized_basis(
        rows_of(rows, "basis_term_structure"),
        method=method,
        min_days=min_days,
        price=price,
        reference=reference,
        expiry=expiry,
    ).filter(pl.col("annualized_basis").is_not_null())
    if not rows.height:
        raise InvalidInputError(
            "basis_term_structure: no row has an annualized basis; it needs dated futures "
            f"with both prices and {min_days:g} days or more to their expiry"
        )
    rows = rows.filter(pl.col("timestamp") == pl.col("timestamp").max())
    keys = [key for key in _CURVE if key in rows.columns]
    curves = rows.sort(expiry).partition_by(keys, as_dict=True) if keys else {(): rows.sort(expiry)}
    if len(curves) > MOST_INSTRUMENTS:
        raise InvalidInputError(
            f"basis_term_structure: {len(curves)} lines, more than {MOST_INSTRUMENTS} cannot be told apart; "
            "filter the frame by base, quote or exchange first"
        )
    return _draw(rows, curves, keys, expiry, axes_or_new(ax))


def _draw(rows: pl.DataFrame, curves: dict[Any, pl.DataFrame], keys: list[str], expiry: str, ax: Axes) -> Axes:
    telling = [key for key in keys if rows[key].n_unique() > 1] or keys[:1]
    for place, values in enumerate(sorted(curves, key=lambda each: tuple(map(str, each)))):
        named = dict(zip(keys, map(str, values), strict=True))
        ax.plot(
            times_of(curves[values], expiry),
            numbers_of(curves[values], "annualized_basis", 100),
            label=" ".join(named[key] for key in telling) or None,
            color=color(named.get("exchange")),
            linestyle=LINESTYLES[place % len(LINESTYLES)],
            marker=MARKERS[place % len(MARKERS)],
            linewidth=1.2,
        )
    moment = rows["timestamp"].cast(pl.Datetime("us"))[0]
    finish(ax, "annualized basis, %", title=f"{subject(rows)}  {moment:%Y-%m-%d %H:%M} UTC".strip(), zero=True)
    ax.set_xlabel("expiry, UTC")
    return ax
