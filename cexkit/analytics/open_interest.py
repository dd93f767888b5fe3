"""Open interest: how it changes, with which price, and how large it is.

Changes are taken in units of base. Open interest in dollars moves with the price alone, so that its change
says nothing about positions opened or closed.
"""

from __future__ import annotations

import narwhals.stable.v2 as nw

from cexkit.analytics._core.arguments import check_flag
from cexkit.analytics._core.compat import Column, Frame, amount, positive, shifted
from cexkit.analytics._core.registry import metric
from cexkit.analytics._core.usd import usd, usd_inputs, warns_of_quotes

#: By sign of the change of price and of open interest.
QUADRANTS: dict[tuple[int, int], str] = {
    (1, 1): "new_longs",
    (1, -1): "short_covering",
    (-1, 1): "new_shorts",
    (-1, -1): "long_unwinding",
}
UNCHANGED = "unchanged"


@metric(kind="rolling", inputs=("open_interest_base",), outputs=("oi_change",))
def oi_change(frame: Frame, *, open_interest: Column = "open_interest_base", relative: bool = False) -> Frame:
    """Change of open interest since the instrument's previous row, ``OI - OI_before``, in coins.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        Snapshots: ``timestamp`` and open interest in units of base; several instruments where their keys
        are there; in any order.
    open_interest : str
        Column of the open interest, one-sided, in units of base (not its value, which moves with the price).
    relative : bool
        Give the change as a fraction of the open interest before instead, ``OI / OI_before - 1``.

    Returns
    -------
    Same type as ``frame``
        With ``oi_change`` added, in the unit of the input: units of base, which are coins but where a contract
        has a multiplier (``1000PEPEUSDT`` counts thousands). Positive: positions were opened. Null in an
        instrument's first row and where open interest here or in the row before is null, NaN, infinite or
        below zero; ``relative``, also where it was zero before. The previous row is the one before in
        time: over a gap in the data it lies further back, and the change spans the gap.

    Raises
    ------
    MissingColumnError, ColumnTypeError
    DuplicateKeyError
        If two rows of one instrument share a time (eager frames).

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import datetime
    >>> times = [datetime(2024, 1, 1, hour) for hour in range(3)]
    >>> frame = pl.DataFrame({"timestamp": times, "open_interest_base": [100.0, 125.0, 100.0]})
    >>> frame.crypto.oi_change().to_list()
    [None, 25.0, -25.0]
    >>> frame.crypto.oi_change(relative=True).round(6).to_list()
    [None, 0.25, -0.2]
    """
    check_flag("relative", relative)
    frame = frame.with_columns(amount(frame, open_interest).alias("_now"))
    frame = frame.with_columns(shifted(frame)(nw.col("_now"), 1).alias("_before"))
    if relative:
        return frame.with_columns((nw.col("_now") / positive(frame, "_before") - 1).alias("oi_change"))
    return frame.with_columns((nw.col("_now") - nw.col("_before")).alias("oi_change"))


@metric(kind="rolling", inputs=("open_interest_base", "close"), outputs=("oi_quadrant",))
def oi_quadrant(frame: Frame, *, open_interest: Column = "open_interest_base", price: Column = "close") -> Frame:
    """Who moved the price: the sign of its change with the sign of the change of open interest, in coins.

    ========== ================== ==================
    price      open interest up   open interest down
    ========== ================== ==================
    up         ``new_longs``      ``short_covering``
    down       ``new_shorts``     ``long_unwinding``
    ========== ================== ==================

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        ``timestamp``, open interest in units of base and a price of the same moment; several instruments
        where their keys are there; in any order. The close of a bar is the price at its end: join it to the
        snapshot taken there, not to the one at its open time.
    open_interest, price : str
        Columns of the open interest and the price.

    Returns
    -------
    Same type as ``frame``
        With ``oi_quadrant`` added, text. ``unchanged`` where either of the two is what it was in the row
        before: no sign, so no quadrant. Null in an instrument's first row and where one of the four values
        is null, NaN or infinite, open interest is below zero or a price is not above zero. Over a gap in the data the
        changes span the gap.

    Raises
    ------
    MissingColumnError, ColumnTypeError
    DuplicateKeyError
        If two rows of one instrument share a time (eager frames).

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import datetime
    >>> frame = pl.DataFrame({
    ...     "timestamp": [datetime(2024, 1, 1, hour) for hour in range(4)],
    ...     "close": [100.0, 101.0, 99.0, 99.0],
    ...     "open_interest_base": [10.0, 12.0, 11.0, 15.0],
    ... })
    >>> frame.crypto.oi_quadrant().to_list()
    [None, 'new_longs', 'long_unwinding', 'unchanged']
    """
    shift = shifted(frame)
    frame = frame.with_columns(amount(frame, open_interest).alias("_now"), positive(frame, price).alias("_price"))
    frame = frame.with_columns(
        shift(nw.col("_now"), 1).alias("_before"), shift(nw.col("_price"), 1).alias("_price_before")
    )
    # compared, not subtracted: the difference of unlike numbers can round to zero
    frame = frame.with_columns(
        (nw.col("_price") > nw.col("_price_before")).alias("_1"),
        (nw.col("_price") < nw.col("_price_before")).alias("_-1"),
        (nw.col("_now") > nw.col("_before")).alias("_oi_1"),
        (nw.col("_now") < nw.col("_before")).alias("_oi_-1"),
    )
    known = ~nw.col("_1").is_null() & ~nw.col("_oi_1").is_null()
    quadrant = nw.when(known).then(nw.lit(UNCHANGED))
    for (price_sign, sign), name in QUADRANTS.items():
        meets = nw.col(f"_{price_sign}") & nw.col(f"_oi_{sign}")
        quadrant = nw.when(meets).then(nw.lit(name)).otherwise(quadrant)
    return frame.with_columns(quadrant.alias("oi_quadrant"))


@metric(
    kind="row",
    inputs=(),
    alternatives=usd_inputs("open_interest_usd", "volume_usd"),
    outputs=("oi_to_volume",),
    inspects=warns_of_quotes("oi_to_volume", "open_interest_usd", "volume_usd"),
)
def oi_to_volume(frame: Frame) -> Frame:
    """Open interest as a multiple of the volume of a day, both in dollars.

    High: positions are held; low: they are turned over within the day.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        ``open_interest_usd`` and ``volume_usd``, or in their place ``open_interest_quote`` or
        ``volume_quote`` with ``quote``; dollar stablecoins are then taken 1:1 (``cexkit.schema.USD_LIKE``).
        The volume is that of the **24 hours** up to the snapshot, one-sided: that of a shorter bar
        makes the ratio as many times too large.

    Returns
    -------
    Same type as ``frame``
        With ``oi_to_volume`` added, a ratio. Null where a value is null, NaN or infinite, open interest is below
        zero, volume is not above zero, or the quote is not taken as dollars. Each row stands alone, so gaps
        do not matter.

    Raises
    ------
    MissingColumnError, ColumnTypeError

    Warns
    -----
    UnpricedQuoteWarning
        If values are in quotes that are not taken as dollars (eager frames).

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> frame = pl.DataFrame({"open_interest_usd": [3e9, 1e9], "volume_usd": [12e9, 0.0]})
    >>> frame.crypto.oi_to_volume().to_list()
    [0.25, None]
    """
    open_interest, volume = usd(frame, "open_interest_usd"), usd(frame, "volume_usd")
    return frame.with_columns(nw.when(volume > 0).then(open_interest / volume).alias("oi_to_volume"))


@metric(
    kind="row",
    inputs=("market_cap_usd",),
    alternatives=usd_inputs("open_interest_usd"),
    outputs=("oi_to_market_cap",),
    inspects=warns_of_quotes("oi_to_market_cap", "open_interest_usd"),
)
def oi_to_market_cap(frame: Frame, *, market_cap: Column = "market_cap_usd") -> Frame:
    """Open interest as a fraction of the coin's market capitalization, both in dollars.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        ``open_interest_usd`` (or ``open_interest_quote`` with ``quote``; dollar stablecoins are then taken 1:1,
        ``cexkit.schema.USD_LIKE``) and the market capitalization of the same time, which is yours to join on.
    market_cap : str
        Column of the market capitalization, in dollars.

    Returns
    -------
    Same type as ``frame``
        With ``oi_to_market_cap`` added, a fraction (0.02 is 2 %) of the row's own open interest: sum
        open interest over instruments first for that of a coin. Null where a value is null, NaN or infinite,
        open interest is below zero, the capitalization is not above zero, or the quote is not taken as
        dollars. Each row stands alone, so gaps do not matter.

    Raises
    ------
    MissingColumnError, ColumnTypeError

    Warns
    -----
    UnpricedQuoteWarning
        If values are in quotes that are not taken as dollars (eager frames).

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> frame = pl.DataFrame({"open_interest_quote": [3e9], "quote": ["USDT"], "market_cap_usd": [150e9]})
    >>> frame.crypto.oi_to_market_cap().to_list()
    [0.02]
    """
    open_interest, capitalization = usd(frame, "open_interest_usd"), positive(frame, market_cap)
    return frame.with_columns((open_interest / capitalization).alias("oi_to_market_cap"))
