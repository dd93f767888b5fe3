"""Order flow: which side takes liquidity."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from cexkit.analytics._core.compat import Column, Frame, amount, in_time, number
from cexkit.analytics._core.registry import metric

# a part may exceed its whole by what rounding does to sums of trades, and by no more
_ROUNDING = 1e-6


def _delta(frame: Frame, taker_buy: str, volume: str) -> nw.Expr:
    """Taker buys less taker sells; null where the parts cannot be those of the whole."""
    bought, whole = amount(frame, taker_buy), amount(frame, volume)
    return nw.when(bought <= whole * (1 + _ROUNDING)).then(bought * 2 - whole)


@metric(kind="row", inputs=("taker_buy_volume_base", "volume_base"), outputs=("taker_imbalance",))
def taker_imbalance(
    frame: Frame, *, taker_buy: Column = "taker_buy_volume_base", volume: Column = "volume_base"
) -> Frame:
    """Taker buys less taker sells as a fraction of the volume, ``(2 * taker_buy - volume) / volume``.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        Bars with their volume and the part of it in which the taker bought.
    taker_buy, volume : str
        Columns of the two, one-sided and in the same unit.

    Returns
    -------
    Same type as ``frame``
        With ``taker_imbalance`` added, from -1 (takers only sold) to 1 (takers only bought). Null where a
        value is null, NaN or infinite, nothing was traded, or the part is below zero or more than a
        millionth above the whole: such columns are not what they are called. Each row stands alone, so
        gaps do not matter.

    Raises
    ------
    MissingColumnError, ColumnTypeError

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> frame = pl.DataFrame({"taker_buy_volume_base": [75.0, 0.0], "volume_base": [100.0, 0.0]})
    >>> frame.crypto.taker_imbalance().to_list()
    [0.5, None]
    """
    whole = number(frame, volume)
    return frame.with_columns(
        nw.when(whole > 0).then(_delta(frame, taker_buy, volume) / whole).alias("taker_imbalance")
    )


@metric(kind="rolling", inputs=("taker_buy_volume_base", "volume_base"), outputs=("cvd",))
def cvd(frame: Frame, *, taker_buy: Column = "taker_buy_volume_base", volume: Column = "volume_base") -> Frame:
    """Cumulative volume delta: the running sum of taker buys less taker sells, ``2 * taker_buy - volume``.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        Bars with ``timestamp``, volume and the part of it in which the taker bought; several instruments
        where their keys are there; in any order.
    taker_buy, volume : str
        As for :func:`taker_imbalance`.

    Returns
    -------
    Same type as ``frame``
        With ``cvd`` added, in the unit of the volumes (units of base), summed from the instrument's first row
        on: differences mean something, the level depends on where the data begins. A row is null where
        a value is null, NaN or infinite, or the part cannot be one of the whole (see
        :func:`taker_imbalance`), and the sum goes on over it in the rows after; a bar without trades
        adds zero. Bars that are missing add nothing.

    Raises
    ------
    MissingColumnError, ColumnTypeError
    DuplicateKeyError
        If two rows of one instrument share a time (eager frames).

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import date
    >>> frame = pl.DataFrame({
    ...     "timestamp": [date(2024, 1, 3), date(2024, 1, 1), date(2024, 1, 2)],
    ...     "taker_buy_volume_base": [10.0, 7.0, None],
    ...     "volume_base": [30.0, 10.0, 10.0],
    ... })
    >>> frame.crypto.cvd().to_list()
    [-6.0, 4.0, None]
    """
    frame = frame.with_columns(_delta(frame, taker_buy, volume).alias("_delta"))
    return frame.with_columns(in_time(frame)(nw.col("_delta").cum_sum()).alias("cvd"))
