"""The basis at one maturity, from futures that expire at several."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from cexkit.analytics._core.arguments import check_days
from cexkit.analytics._core.classes import ASSET_CLASS, of_class
from cexkit.analytics._core.compat import Column, Frame, distinct_text, names, text
from cexkit.analytics._core.registry import metric
from cexkit.analytics._core.units import warns_of_units
from cexkit.analytics.basis.basis import Method, annualized, with_basis, with_days


@metric(
    kind="cross-venue",
    inputs=("base", "price", "reference", "expiry"),
    optional=("quote", ASSET_CLASS),
    outputs=("timestamp", "base", "constant_maturity_basis", "near_days", "far_days", "instruments", "quotes"),
    inspects=warns_of_units("constant_maturity_basis"),
)
def constant_maturity_basis(
    frame: Frame,
    *,
    days: float = 30.0,
    method: Method = "simple",
    min_days: float = 3.0,
    price: Column = "price",
    reference: Column = "reference",
    expiry: Column = "expiry",
    asset_class: str | None = "crypto",
) -> Frame:
    """Annualized basis of each coin at a fixed maturity, linear in time between the two expiries around it.

    ``b = b1 + (b2 - b1) * (days - d1) / (d2 - d1)`` with d1 <= days <= d2 the nearest expiries, in days,
    and b1, b2 their :func:`annualized_basis`.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        Dated futures with ``base``, ``timestamp``, expiry and both prices, as for
        :func:`annualized_basis`. Rows belong together when their ``timestamp`` is the same: bring prices to
        one grid first.
    days : float
        The maturity.
    method, min_days, price, reference, expiry
        As for :func:`annualized_basis`; futures closer than ``min_days`` to expiry are left out.
    asset_class : str or None, default "crypto"
        Class of the instruments that count, if the frame has a column ``asset_class``. ``"crypto"`` leaves out those
        known to be of another class; null and unknown classes stay. Any other class keeps only instruments known to
        be of it. None keeps all.

    Returns
    -------
    Same type as ``frame``
        One row per base and time that has a usable future, sorted so (Ibis promises no order):

        * ``timestamp``, ``base``; ``constant_maturity_basis``: a fraction per 365 days.
        * ``near_days``, ``far_days``: d1 and d2; both are ``days`` where a future expires just then.
        * ``instruments``: futures that went in. Those that share an expiry, at several venues or in several
          quotes, count with their mean.
        * ``quotes``: their quotes, in order, joined by ``+``; null without ``quote``.

        **No extrapolation**: where all expiries lie on one side, ``constant_maturity_basis`` is null, as are
        ``quotes`` and the missing side's days, and ``instruments`` is 0. Rows whose base is null are left out.
        Other times are never looked at: a future without a price at a time is not there at that time.

    Raises
    ------
    UnknownNameError
        If the method or the asset class is not known.
    InvalidInputError
        If days is below min_days.
    MissingColumnError, ColumnTypeError, DuplicateKeyError

    Warns
    -----
    ExcludedInstrumentsWarning
        If instruments are left out because of their class, with their number (eager frames).

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import datetime
    >>> frame = pl.DataFrame({
    ...     "symbol": ["BTCUSDT-20240121", "BTCUSDT-20240210"],
    ...     "base": "BTC",
    ...     "timestamp": datetime(2024, 1, 1),
    ...     "expiry": [datetime(2024, 1, 21), datetime(2024, 2, 10)],
    ...     "price": [50_200.0, 50_800.0],
    ...     "reference": 50_000.0,
    ... })
    >>> result = frame.crypto.constant_maturity_basis()
    >>> result.select(pl.col("constant_maturity_basis").round(6), "near_days", "far_days").rows()
    [(0.1095, 20.0, 40.0)]
    """
    check_days("min_days", min_days, least=0)
    check_days("days", days, least=min_days)
    frame = of_class(frame, asset_class)
    frame = with_days(frame.filter(~nw.col("base").is_null()), expiry, min_days)
    frame = with_basis(frame, price, reference)
    frame = frame.with_columns(annualized(frame, method, price, reference).alias("_basis"))
    frame = _with_sides(frame.filter(~nw.col("_basis").is_null()), days)
    used = frame.filter(nw.col("_used"))
    quote = text("quote") if "quote" in names(frame) else nw.lit(None, nw.String)
    quotes = distinct_text(used.with_columns(quote.alias("_quote")), _POINT, "_quote", "quotes")
    points = _points(frame)
    return _between(points.join(quotes, on=_POINT, how="left"), days).sort("base", "timestamp")


_POINT = ["base", "timestamp"]


def _with_sides(frame: Frame, days: float) -> Frame:
    """Add the nearest expiries on both sides, and whether a row is of one of them while both are there."""
    left = nw.col("_days")
    frame = frame.with_columns(
        nw.when(left <= days).then(left).alias("_before"), nw.when(left >= days).then(left).alias("_after")
    )
    frame = frame.with_columns(
        nw.col("_before").max().over(*_POINT).alias("_near"), nw.col("_after").min().over(*_POINT).alias("_far")
    )
    near, far = nw.col("_near"), nw.col("_far")
    used = ~near.is_null() & ~far.is_null() & ((left == near) | (left == far))
    return frame.with_columns(used.fill_null(False).alias("_used"))


def _points(frame: Frame) -> Frame:
    """One row per base and time: days and mean basis of both sides."""
    basis, left = nw.col("_basis"), nw.col("_days")
    frame = frame.with_columns(
        nw.when(left == nw.col("_near")).then(basis).alias("_first"),
        nw.when(left == nw.col("_far")).then(basis).alias("_second"),
        nw.col("_used").cast(nw.Int64).alias("_used"),
    )
    return frame.group_by(*_POINT).agg(
        nw.col("_near").max().alias("near_days"),
        nw.col("_far").max().alias("far_days"),
        nw.col("_first").mean().alias("_first"),
        nw.col("_second").mean().alias("_second"),
        nw.col("_used").sum().alias("instruments"),
    )


def _between(points: Frame, days: float) -> Frame:
    near, far = nw.col("near_days"), nw.col("far_days")
    first, second = nw.col("_first"), nw.col("_second")
    # null where a side is missing; the two are one where a future expires just then
    part = nw.when(far > near).then((-near + days) / (far - near))
    weight = nw.coalesce(part, nw.when(far == near).then(nw.lit(0.0)))
    basis = first + (second - first) * weight
    return points.select(
        "timestamp", "base", basis.alias("constant_maturity_basis"), "near_days", "far_days", "instruments", "quotes"
    )
