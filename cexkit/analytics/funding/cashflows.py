"""Funding as money: what a position is paid, and what all positions together pay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl

from cexkit.analytics._core.arguments import check_flag, check_number
from cexkit.analytics._core.compat import Column, Frame, amount, names, number, positive, text
from cexkit.analytics._core.registry import metric
from cexkit.analytics._core.usd import usd, usd_inputs, warns_of_quotes
from cexkit.errors import InvalidInputError, MissingColumnError

#: Sign of a position by its side.
SIGNS: dict[str, float] = {"long": 1.0, "short": -1.0}


def _inspect(frame: pl.DataFrame, arguments: Mapping[str, Any]) -> None:
    sides = frame.get_column(arguments["side"])
    numeric = sides.dtype.is_numeric()
    sides = sides.cast(pl.Float64 if numeric else pl.String)
    legal: list[Any] = list(SIGNS.values()) if numeric else list(SIGNS)
    # two comparisons are cheaper than a search for all values there are
    if sum((sides == side).sum() for side in legal) + sides.null_count() == len(sides):
        return
    found = sides.drop_nulls().unique()
    strange = sorted(str(side) for side in found if side not in legal and side == side)
    if strange:
        raise InvalidInputError(
            f"funding_pnl: side holds {', '.join(strange[:5])}; it is the side of the position, 'long' or 'short', "
            "or as a number 1 or -1 (not the side of an order)"
        )


@metric(
    kind="row",
    inputs=("funding_rate", "mark_price", "quantity", "side"),
    optional=("inverse", "contract_size"),
    outputs=("funding_pnl",),
    signs=("side",),
    inspects=_inspect,
)
def funding_pnl(
    frame: Frame,
    *,
    rate: Column = "funding_rate",
    mark_price: Column = "mark_price",
    quantity: Column = "quantity",
    side: Column = "side",
    inverse: bool | None = None,
    contract_size: float | None = None,
) -> Frame:
    """Funding that a position receives at a settlement, ``-side * r * quantity * mark``.

    Linear contracts pay in the quote currency. **Inverse** contracts pay in coin:
    ``-side * r * contracts * contract_size / mark``.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        Settlements with the position that was open at each of them.
    rate : str
        Column of the settled rate, as a fraction per interval. No annual rate: the interval plays no part.
    mark_price : str
        Column of the mark price at the settlement.
    quantity : str
        Column of the size of the position, zero or more: in units of base where linear (contracts times
        their size), in contracts where inverse.
    side : str
        Column of the position's side: ``long`` or ``short``, or as a number 1 or -1.
    inverse : bool, optional
        Whether the contracts are inverse. By default the column ``inverse`` says so row by row; without
        that column they are linear.
    contract_size : float, optional
        Quote currency in one inverse contract (100 for BTC, 10 for most others). By default the column
        ``contract_size``. Linear positions do not use it.

    Returns
    -------
    Same type as ``frame``
        With ``funding_pnl`` added: positive is received, negative is paid; a long pays while the rate is
        positive. In the quote currency where linear, in coin where inverse: do not add them up. Null where
        an input is null, NaN or infinite, the price or contract size is not above zero, the quantity is
        below zero (the side carries the sign), or the side is none. Each row stands alone, so gaps and
        order do not matter.

    Raises
    ------
    MissingColumnError
        Also if contracts may be inverse and nothing says their size.
    ColumnTypeError
    InvalidInputError
        If ``side`` holds anything else (eager frames; elsewhere such rows are null).

    Warns
    -----
    SuspectRateWarning
        As for :func:`funding_apr`.
    ForwardFilledRateWarning
        If the frame has ``timestamp`` and its rates look filled forward: each settlement is then paid several times.

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> frame = pl.DataFrame({
    ...     "funding_rate": [0.0001, 0.0001], "mark_price": [50_000.0, 50_000.0],
    ...     "quantity": [2.0, 2.0], "side": ["long", "short"],
    ... })
    >>> frame.crypto.funding_pnl().round(6).to_list()
    [-10.0, 10.0]
    >>> frame.crypto.funding_pnl(inverse=True, contract_size=100).to_list()
    [-4e-07, 4e-07]
    """
    if inverse is not None:
        check_flag("inverse", inverse)
    if contract_size is not None:
        check_number("contract_size", contract_size, "a number above zero", least=0, closed=False)
    held, price = amount(frame, quantity), positive(frame, mark_price)
    paid = -_sign(frame, side) * number(frame, rate) * held
    present = names(frame)
    if inverse is False or (inverse is None and "inverse" not in present):
        return frame.with_columns((paid * price).alias("funding_pnl"))
    in_coin = paid * _contract_size(frame, contract_size) / price
    if inverse:
        return frame.with_columns(in_coin.alias("funding_pnl"))
    flag = nw.col("inverse").cast(nw.Boolean)
    # a null flag is in neither branch
    either = nw.when(flag).then(in_coin).otherwise(nw.when(~flag).then(paid * price))
    return frame.with_columns(either.alias("funding_pnl"))


def _sign(frame: Frame, side: str) -> nw.Expr:
    numeric = frame.collect_schema()[side].is_numeric()
    value = number(frame, side) if numeric else text(side)
    long, short = SIGNS.values() if numeric else SIGNS
    negative = nw.when(value == short).then(nw.lit(SIGNS["short"]))
    return nw.when(value == long).then(nw.lit(SIGNS["long"])).otherwise(negative)


def _contract_size(frame: Frame, contract_size: float | None) -> nw.Expr:
    if contract_size is not None:
        return nw.lit(float(contract_size))
    if "contract_size" not in names(frame):
        raise MissingColumnError(
            "funding_pnl needs a column 'contract_size' or the argument contract_size= for inverse contracts; there "
            f"are: {', '.join(names(frame))}; if all contracts are linear, say inverse=False"
        )
    return positive(frame, "contract_size")


@metric(
    kind="row",
    inputs=("funding_rate",),
    alternatives=usd_inputs("open_interest_usd"),
    outputs=("funding_spend_usd",),
    inspects=warns_of_quotes("funding_spend_usd", "open_interest_usd"),
)
def funding_spend_usd(frame: Frame, *, rate: Column = "funding_rate") -> Frame:
    """What all longs pay all shorts at a settlement, ``r * open interest``, in dollars.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        Settlements with the open interest at each of them, one-sided: ``open_interest_usd``, or
        ``open_interest_quote`` with ``quote``; dollar stablecoins are then taken 1:1
        (``cexkit.schema.USD_LIKE``). Joining them is an as-of join with a stated tolerance.
    rate : str
        Column of the settled rate, as a fraction per interval.

    Returns
    -------
    Same type as ``frame``
        With ``funding_spend_usd`` added: per settlement, not per day; negative where shorts pay longs.
        Null where the rate is null, NaN or infinite, the open interest is so or below zero, or its quote
        is not taken as dollars. Each row stands alone, so gaps and order do not matter.

    Raises
    ------
    MissingColumnError, ColumnTypeError

    Warns
    -----
    SuspectRateWarning
        As for :func:`funding_apr`.
    ForwardFilledRateWarning
        If the frame has ``timestamp`` and its rates look filled forward: each settlement is then paid several times.
    UnpricedQuoteWarning
        If open interest is in quotes that are not taken as dollars (eager frames).

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> frame = pl.DataFrame({"funding_rate": [0.0001, -0.0002], "open_interest_usd": [2e9, 1e9]})
    >>> frame.crypto.funding_spend_usd().to_list()
    [200000.0, -200000.0]
    """
    interest = usd(frame, "open_interest_usd")
    return frame.with_columns((number(frame, rate) * interest).alias("funding_spend_usd"))
