"""What a carry trade, long spot and short the derivative, has returned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl

from cexkit.analytics._core.checks import unique
from cexkit.analytics._core.compat import Column, Frame, instrument_keys, names, number, positive, with_epoch_us
from cexkit.analytics._core.registry import METRICS, metric
from cexkit.errors import InvalidInputError


def _inspect(frame: pl.DataFrame, arguments: Mapping[str, Any]) -> None:
    unique(METRICS["carry_return"], frame)


@metric(
    kind="summary",
    inputs=("timestamp", "price", "reference"),
    alternatives=(("funding_rate",), ("expiry",)),
    outputs=("start", "end", "funding_received", "basis_change", "carry_return"),
    inspects=_inspect,
)
def carry_return(
    frame: Frame,
    *,
    fees: float = 0.0,
    price: Column = "price",
    reference: Column = "reference",
) -> Frame:
    """Return of being long spot and short the derivative, from the first to the last price of each instrument.

    A perpetual: ``sum(r) + (b_start - b_end) - fees``, r being the rates settled meanwhile and b the
    :func:`basis`. A dated future, held to its expiry, where the basis is zero: ``b_start - fees``.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        ``timestamp`` and both prices, as for :func:`basis`; for perpetuals ``funding_rate``, the settled
        rate where there was a settlement and null elsewhere; for dated futures ``expiry``. An instrument
        with an expiry is a dated future. Select the time the trade is held before.
    fees : float
        Fees of the whole trade, all fills of both legs, as a fraction of its value. **None are assumed.**
    price, reference : str
        As for :func:`basis`.

    Returns
    -------
    Same type as ``frame``
        One row per instrument, sorted by it (Ibis promises no order), with its keys and

        * ``start``, ``end``: times of the first and last row that has a basis; the end of a dated future is its
          expiry.
        * ``funding_received``: sum of the rates in ``(start, end]``, 0 for a dated future: the short receives
          positive rates.
        * ``basis_change``: b_start - b_end: the short gains as the basis falls.
        * ``carry_return``: funding_received + basis_change - fees. A fraction over the whole time, not annual,
          on a trade that is kept at one value. Below zero: the opposite trade earned, before its fees.

        Instruments without a basis have no row. Null are all three for a perpetual with one row that has a
        basis, or without ``funding_rate``, and for a future whose first row is not before its expiry. **A gap**:
        settlements that are missing add nothing; ``funding_interval`` flags them.

    Raises
    ------
    InvalidInputError
        If fees cannot be meant.
    MissingColumnError, ColumnTypeError
    DuplicateKeyError
        If two rows of one instrument share a time (eager frames).

    Warns
    -----
    SuspectRateWarning
        As for :func:`funding_apr`.

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import datetime
    >>> frame = pl.DataFrame({
    ...     "timestamp": [datetime(2024, 1, 1, hour) for hour in (0, 8, 16)],
    ...     "price": [50_250.0, 50_200.0, 50_100.0],
    ...     "reference": 50_000.0,
    ...     "funding_rate": [0.0001, 0.0001, 0.0002],
    ... })
    >>> result = frame.crypto.carry_return(fees=0.002)
    >>> result.select(pl.col("funding_received", "basis_change", "carry_return").round(6)).rows()
    [(0.0003, 0.003, 0.0013)]
    """
    if not -1 < fees < 1:
        raise InvalidInputError(f"fees is a fraction of the trade's value (0.002 is 20 bps), not {fees!r}")
    spot = positive(frame, reference)
    frame = frame.with_columns(((positive(frame, price) - spot) / spot).alias("_basis"))
    return _finish(_totals(_with_ends(frame)), fees)


def _with_ends(frame: Frame) -> Frame:
    """Add the times of the first and last basis of each instrument, and when it expires."""
    present = names(frame)
    frame = with_epoch_us(frame, "_us")
    if "expiry" in present:
        frame = with_epoch_us(frame, "_expires", "expiry")
        frame = frame.with_columns(nw.col("expiry").alias("_expiry"))
    else:
        frame = frame.with_columns(nw.lit(None, nw.Int64).alias("_expires"), nw.col("timestamp").alias("_expiry"))
    priced = nw.when(~nw.col("_basis").is_null()).then(nw.col("_us"))
    # a constant beside the keys: a frame without them is one instrument
    frame = frame.with_columns(priced.alias("_priced"), nw.lit(0).alias("_all"))
    return frame.with_columns(
        nw.col("_priced").min().over(*_keys(frame)).alias("_first"),
        nw.col("_priced").max().over(*_keys(frame)).alias("_last"),
        nw.col("_expires").max().over(*_keys(frame)).alias("_expires"),
    )


def _keys(frame: Frame) -> list[str]:
    return [*instrument_keys(frame), "_all"]


def _totals(frame: Frame) -> Frame:
    """One row per instrument that has a basis."""
    us, first, last = nw.col("_us"), nw.col("_first"), nw.col("_last")
    funding = "funding_rate" in names(frame)
    held = (us > first) & (us <= last)
    received = nw.when(held).then(number(frame, "funding_rate")) if funding else nw.lit(None, nw.Float64)
    frame = frame.filter(~first.is_null()).with_columns(
        nw.when(us == first).then(nw.col("_basis")).alias("_entry"),
        nw.when(us == last).then(nw.col("_basis")).alias("_exit"),
        nw.when(us == first).then(nw.col("timestamp")).alias("_start"),
        nw.when(us == last).then(nw.col("timestamp")).alias("_end"),
        received.alias("_received"),
    )
    aggregates = {"_first": "min", "_last": "max", "_expires": "max", "_entry": "max", "_exit": "max"}
    aggregates |= {"_start": "max", "_end": "max", "_expiry": "max", "_received": "sum"}
    totals = frame.group_by(*_keys(frame)).agg(
        getattr(nw.col(name), how)().alias(name) for name, how in aggregates.items()
    )
    return totals if funding else totals.with_columns(nw.lit(None, nw.Float64).alias("_received"))


def _finish(totals: Frame, fees: float) -> Frame:
    dated = ~nw.col("_expires").is_null()
    whole = nw.col("_last") > nw.col("_first")
    alive = nw.col("_expires") > nw.col("_first")
    entry, received = nw.col("_entry"), nw.col("_received")
    keys = instrument_keys(totals)
    totals = totals.with_columns(
        nw.when(dated)
        .then(nw.when(alive).then(nw.lit(0.0)))
        .otherwise(nw.when(whole).then(received))
        .alias("_funding"),
        nw.when(dated)
        .then(nw.when(alive).then(entry))
        .otherwise(nw.when(whole).then(entry - nw.col("_exit")))
        .alias("_change"),
    )
    funding, change = nw.col("_funding"), nw.col("_change")
    known = ~funding.is_null() & ~change.is_null()
    totals = totals.select(
        *keys,
        nw.col("_start").alias("start"),
        nw.when(dated).then(nw.col("_expiry")).otherwise(nw.col("_end")).alias("end"),
        nw.when(known).then(funding).alias("funding_received"),
        nw.when(known).then(change).alias("basis_change"),
        (funding + change - fees).alias("carry_return"),
    )
    return totals.sort(*keys) if keys else totals
