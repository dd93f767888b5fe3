"""Distance of a perpetual or dated future from its spot or index price."""

from __future__ import annotations

from cexkit.analytics._registry import metric
from cexkit.analytics._seams import Column, Frame, positive


@metric(kind="row", inputs=("price", "reference"), outputs=("basis",))
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
        price is null, NaN, infinite or not above zero.

    Raises
    ------
    MissingColumnError, ColumnTypeError

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> frame = pl.DataFrame({"price": [50_250.0, 49_900.0], "reference": [50_000.0, 50_000.0]})
    >>> cexkit.basis(frame)["basis"].to_list()
    [0.005, -0.002]
    """
    spot = positive(frame, reference)
    return frame.with_columns(((positive(frame, price) - spot) / spot).alias("basis"))


@metric(kind="row", inputs=("price", "reference"), outputs=("basis_bps",))
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
    spot = positive(frame, reference)
    return frame.with_columns(((positive(frame, price) - spot) / spot * 10_000).alias("basis_bps"))
