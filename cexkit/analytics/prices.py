"""Returns of a price series, and how far it is below its highest price."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from cexkit.analytics._core.compat import Column, Frame, in_time, positive, shifted
from cexkit.analytics._core.registry import metric


@metric(kind="rolling", inputs=("close",), outputs=("returns",))
def returns(frame: Frame, *, price: Column = "close") -> Frame:
    """Simple return over the instrument's previous row, ``p / p_before - 1``, as a fraction.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        ``timestamp`` and a price; several instruments where their keys are there; in any order.
    price : str
        Column of the price.

    Returns
    -------
    Same type as ``frame``
        With ``returns`` added. Null in an instrument's first row and where the price or the one before
        it is null, NaN, infinite or not above zero. The previous row is the one before in time: over a
        gap in the data it lies further back, and the return spans the gap.

    Raises
    ------
    MissingColumnError, ColumnTypeError
    DuplicateKeyError
        If two rows of one instrument share a time (eager frames).

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import date
    >>> frame = pl.DataFrame({"timestamp": [date(2024, 1, 2), date(2024, 1, 1)], "close": [110.0, 100.0]})
    >>> frame.crypto.returns().round(6).to_list()
    [0.1, None]
    """
    frame = frame.with_columns(shifted(frame)(positive(frame, price), 1).alias("_before"))
    return frame.with_columns(returns=positive(frame, price) / positive(frame, "_before") - 1)


@metric(kind="rolling", inputs=("close",), outputs=("log_returns",))
def log_returns(frame: Frame, *, price: Column = "close") -> Frame:
    """Log return over the instrument's previous row, ``ln(p / p_before)``.

    Parameters
    ----------
    frame, price
        As for :func:`returns`.

    Returns
    -------
    Same type as ``frame``
        With ``log_returns`` added; null where :func:`returns` is, and a gap is treated as there.

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import date
    >>> frame = pl.DataFrame({"timestamp": [date(2024, 1, 1), date(2024, 1, 2)], "close": [100.0, 110.0]})
    >>> frame.crypto.log_returns().round(6).to_list()
    [None, 0.09531]
    """
    frame = frame.with_columns(shifted(frame)(positive(frame, price), 1).alias("_before"))
    return frame.with_columns(log_returns=(positive(frame, price) / positive(frame, "_before")).log())


@metric(kind="rolling", inputs=("close",), outputs=("drawdown",))
def drawdown(frame: Frame, *, price: Column = "close") -> Frame:
    """Distance of the price from its highest so far, ``p / max(p) - 1``, as a fraction.

    Parameters
    ----------
    frame, price
        As for :func:`returns`.

    Returns
    -------
    Same type as ``frame``
        With ``drawdown`` added: 0 at a new high, -0.2 where the price is 20 % below the highest of the
        instrument's rows up to this one. The maximum begins with the first row of the frame: a high before it
        is not known. Null where the price is null, NaN, infinite or not above zero; such rows do not change
        the maximum, and neither does a gap. It is the maximum of the column that is given: that of ``close``
        is below that of ``high``.

    Raises
    ------
    MissingColumnError, ColumnTypeError
    DuplicateKeyError
        If two rows of one instrument share a time (eager frames).

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import date
    >>> days = [date(2024, 1, day) for day in range(1, 5)]
    >>> frame = pl.DataFrame({"timestamp": days, "close": [100.0, 125.0, 100.0, 150.0]})
    >>> frame.crypto.drawdown().round(6).to_list()
    [0.0, 0.0, -0.2, 0.0]
    """
    frame = frame.with_columns(positive(frame, price).alias("_price"))
    frame = frame.with_columns(in_time(frame)(nw.col("_price").cum_max()).alias("_high"))
    return frame.with_columns((nw.col("_price") / nw.col("_high") - 1).alias("drawdown"))
