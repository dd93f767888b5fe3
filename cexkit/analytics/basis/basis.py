"""Distance of a perpetual or dated future from its spot or index price."""

from __future__ import annotations

import math
from typing import Literal, get_args

import narwhals.stable.v2 as nw

from cexkit.analytics._core.arguments import check_days
from cexkit.analytics._core.compat import Column, Frame, positive, with_possible_us
from cexkit.analytics._core.registry import metric
from cexkit.analytics._core.units import MIXED, MIXED_NOTES
from cexkit.errors import UnknownNameError
from cexkit.schema.scalars import is_among

Method = Literal["simple", "continuous", "compound"]
DAY_US = 86_400 * 1_000_000
# largest x for which exp(x) is a float64
_LARGEST = math.log(1.797e308)


@metric(kind="row", inputs=("price", "reference"), outputs=("basis",), notes=MIXED_NOTES)
def basis(frame: Frame, *, price: Column = "price", reference: Column = "reference") -> Frame:
    """Basis ``(F - S) / S`` of a price over its reference, as a fraction.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        Both prices in one row. Joining them is not done here: use an as-of join with a stated
        tolerance, never a forward fill.
    price : str
        Column of F, the perpetual's or future's price.
    reference : str
        Column of S, the spot or index price of the same moment, in the same quote and unit.

    Returns
    -------
    Same type as ``frame``
        With ``basis`` added: positive when the derivative trades above its reference. Null where a
        price is null, NaN, infinite or not above zero, and where one price is more than five times the other: then they
        are in different units (1000PEPE and PEPE).

    Raises
    ------
    MissingColumnError, ColumnTypeError
    InvalidInputError
        If half of the prices are not above zero (eager frames).

    Warns
    -----
    MixedUnitsWarning
        If prices are in different units (eager frames).
    OutOfRangeWarning
        If prices are not above zero (eager frames).

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> frame = pl.DataFrame({"price": [50_250.0, 49_900.0], "reference": [50_000.0, 50_000.0]})
    >>> cexkit.basis(frame)["basis"].to_list()
    [0.005, -0.002]
    """
    return with_basis(frame, price, reference).with_columns(nw.col("_basis").alias("basis"))


@metric(kind="row", inputs=("price", "reference"), outputs=("basis_bps",), notes=MIXED_NOTES)
def basis_bps(frame: Frame, *, price: Column = "price", reference: Column = "reference") -> Frame:
    """Basis in basis points, ``(F - S) / S * 10_000``.

    Parameters
    ----------
    frame, price, reference
        As for :func:`basis`.

    Returns
    -------
    Same type as ``frame``
        With ``basis_bps`` added; null where :func:`basis` is.

    Examples
    --------
    >>> import cexkit, pandas as pd
    >>> frame = pd.DataFrame({"mark_price": [50_250.0], "index_price": [50_000.0]})
    >>> frame.crypto.basis_bps(price="mark_price", reference="index_price").tolist()
    [50.0]
    """
    return with_basis(frame, price, reference).with_columns((nw.col("_basis") * 10_000).alias("basis_bps"))


def with_basis(frame: Frame, price: str, reference: str) -> Frame:
    """Add ``_basis``, a fraction, and ``_mixed``: whether prices are in different units, so that the basis is null."""
    spot = positive(frame, reference)
    frame = frame.with_columns(((positive(frame, price) - spot) / spot).alias("_basis"))
    basis = nw.col("_basis")
    frame = frame.with_columns(((basis > MIXED - 1) | (basis < 1 / MIXED - 1)).fill_null(False).alias("_mixed"))
    return frame.with_columns(nw.when(~nw.col("_mixed")).then(basis).alias("_basis"))


@metric(
    kind="row",
    inputs=("price", "reference", "expiry", "timestamp"),
    outputs=("annualized_basis",),
    notes=MIXED_NOTES,
)
def annualized_basis(
    frame: Frame,
    *,
    method: Method = "simple",
    min_days: float = 3.0,
    price: Column = "price",
    reference: Column = "reference",
    expiry: Column = "expiry",
) -> Frame:
    """Basis of a dated future as an annual rate over the d days to its expiry.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        Both prices in one row, as for :func:`basis`, with ``timestamp`` and the expiry.
    method : str
        With F the price and S the reference:

        * ``simple``: ``(F/S - 1) * 365/d``.
        * ``continuous``: ``ln(F/S) * 365/d``.
        * ``compound``: ``(F/S) ** (365/d) - 1``.
    min_days : float
        Null below so many days: a fixed distance of prices grows without bound as d goes to zero.
    price, reference : str
        As for :func:`basis`.
    expiry : str
        Column of the time of delivery; a date is its midnight, UTC (most venues deliver at 08:00).

    Returns
    -------
    Same type as ``frame``
        With ``annualized_basis`` added, a fraction per 365 days; d is fractional, from ``timestamp`` to
        expiry. Null where :func:`basis` is, without expiry (perpetuals), below ``min_days``, at and after
        expiry, and where compounding leaves the range of a float. Each row stands alone, so gaps and order
        do not matter.

    Raises
    ------
    UnknownNameError
        If the method is not known.
    InvalidInputError
        If min_days is below zero.
    MissingColumnError, ColumnTypeError

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import datetime
    >>> frame = pl.DataFrame({
    ...     "timestamp": [datetime(2024, 1, 1)], "expiry": [datetime(2024, 3, 14)],
    ...     "price": [51_000.0], "reference": [50_000.0],
    ... })
    >>> frame.crypto.annualized_basis().round(6).to_list()
    [0.1]
    >>> frame.crypto.annualized_basis(method="compound").round(6).to_list()
    [0.104081]
    """
    frame = with_basis(with_days(frame, expiry, min_days), price, reference)
    return frame.with_columns(annualized(frame, method, price, reference).alias("annualized_basis"))


def with_days(frame: Frame, expiry: str, min_days: float) -> Frame:
    """Add ``_days`` to expiry, null at and after it and below ``min_days``."""
    check_days("min_days", min_days, least=0)
    frame = with_possible_us(with_possible_us(frame, "_us"), "_expires", expiry)
    left = nw.col("_expires") - nw.col("_us")
    days = left.cast(nw.Float64) / DAY_US
    return frame.with_columns(nw.when(left > 0, days >= min_days).then(days).alias("_days"))


def annualized(frame: Frame, method: str, price: str, reference: str) -> nw.Expr:
    """The annual rate from both prices, ``_days``, and ``_mixed``."""
    if not is_among(method, get_args(Method)):
        raise UnknownNameError.of("method", method, get_args(Method))
    ratio = nw.when(~nw.col("_mixed")).then(positive(frame, price) / positive(frame, reference))
    days = nw.col("_days")
    if method == "simple":
        return (ratio - 1) * 365 / days
    rate = ratio.log() * 365 / days
    if method == "continuous":
        return rate
    # DuckDB fails where others give infinity
    return nw.when(rate < _LARGEST).then(rate).exp() - 1
