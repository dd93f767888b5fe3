"""What a carry trade, long spot and short the derivative, has returned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl

from cexkit.analytics._core.arguments import MOST_COST, check_cost
from cexkit.analytics._core.checks import unique
from cexkit.analytics._core.compat import Column, Frame, in_zone, instrument_keys, names, number, with_possible_us
from cexkit.analytics._core.metric import Note
from cexkit.analytics._core.registry import METRICS, metric
from cexkit.analytics._core.units import warns_of_units
from cexkit.analytics.basis.basis import with_basis
from cexkit.analytics.funding.intervals import DECLARED, HOUR_US, MINUTE_US, with_missing
from cexkit.errors import MissingSettlementsWarning


def _inspect(frame: pl.DataFrame, arguments: Mapping[str, Any]) -> None:
    unique(METRICS["carry_return"], frame)
    warns_of_units("carry_return")(frame, arguments)


@metric(
    kind="summary",
    inputs=("timestamp", "price", "reference"),
    alternatives=(("funding_rate",), ("expiry",)),
    optional=(DECLARED,),
    outputs=("start", "end", "funding_received", "basis_change", "carry_return"),
    settlements=True,
    notes={
        "_lost": Note(
            MissingSettlementsWarning,
            "the span of {count} instruments lacks settlements, or their times leave the interval open, so funding and "
            "return are null; give all settlements from the first price to the last: join prices to settlements, or "
            "concatenate both, because settlements joined to bars are lost between bars",
        )
    },
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
        with an expiry is a dated future. Select the time the trade is held before. ``funding_interval_hours`` is used
        where present; otherwise the times of the settlements say how far apart they are.
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
        * ``funding_received``: sum of the rates in ``(start, end]``, by the minute of each settlement; 0 for a dated
          future. The short receives positive rates.
        * ``basis_change``: b_start - b_end: the short gains as the basis falls.
        * ``carry_return``: funding_received + basis_change - fees. A fraction over the whole time, not annual,
          on a trade that is kept at one value. Below zero: the opposite trade earned, before its fees.

        Instruments without a basis have no row. Null are all three for a perpetual with one row that has a
        basis, or without ``funding_rate``, and for a future whose first row is not before its expiry.

        **A gap**: null for a perpetual whose settlements do not cover the whole span: one is missing between two
        others, before the first (it is more than its interval after the start) or after the last (its interval has
        passed at the end), or times leave the interval open (see :func:`funding_interval`). On lazy and Ibis frames
        also if a settlement is there twice.

    Raises
    ------
    InvalidInputError
        If fees are not a fraction from -0.1 to 0.1.
    MissingColumnError, ColumnTypeError
    DuplicateKeyError
        If two rows of one instrument share a time, or two settlements are less than a minute apart (eager frames).

    Warns
    -----
    MissingSettlementsWarning
        If settlements do not cover the span of a perpetual (eager frames).
    MixedUnitsWarning
        As for :func:`basis`.
    SuspectRateWarning, ForwardFilledRateWarning
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
    check_cost("fees", fees, most=MOST_COST, least=-MOST_COST)
    frame = _with_ends(with_basis(frame, price, reference))
    if "funding_rate" in names(frame):
        frame = _with_lost(frame)
    return _finish(_totals(frame), fees)


def _with_ends(frame: Frame) -> Frame:
    """Add the times of the first and last basis of each instrument, and when it expires."""
    present = names(frame)
    frame = with_possible_us(frame, "_us")
    # A settlement is named by its minute: that of 08:00:00.047 is paid by who holds at 08:00.
    minute = (nw.col("_us") + MINUTE_US // 2) // MINUTE_US * MINUTE_US
    frame = frame.with_columns(minute.alias("_minute"))
    if "expiry" in present:
        frame = with_possible_us(frame, "_expires", "expiry")
        frame = frame.with_columns(in_zone(frame, "expiry", "timestamp").alias("_expiry"))
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


def _with_lost(frame: Frame) -> Frame:
    """Add ``_lost``, 1 where a settlement between the first price of a perpetual and its last is not in the frame."""
    frame = frame.with_columns((~number(frame, "funding_rate").is_null()).alias("_settled"))
    frame = with_missing(frame, separate_by=("_settled", "_all"))
    us, first, last, previous = (nw.col(name) for name in ("_minute", "_first", "_last", "_previous"))
    frame = frame.with_columns(
        nw.when(nw.col("_settled")).then(us).alias("_at"), (nw.col("_covered") * HOUR_US).cast(nw.Int64).alias("_span")
    )
    at, keys = nw.col("_at"), _keys(frame)
    frame = frame.with_columns(at.min().over(*keys).alias("_earliest"), at.max().over(*keys).alias("_final"))
    span, earliest = nw.col("_span"), us == nw.col("_earliest")
    # The last settlement before this one that is due in the time of the trade, and the last one after it.
    steps = nw.when(us > last).then((us - last + span - 1) // span).otherwise(us * 0 + 1)
    due, next_due = us - steps * span, us + (last - us) // span * span
    before = (due > first + MINUTE_US) & (earliest | (due > previous))
    before = nw.when(span.is_null()).then((us > first) & (earliest | (previous < last))).otherwise(before)
    after = nw.when(span.is_null()).then(us < last).otherwise((next_due > us) & (next_due > first))
    lost = ((nw.col("_missing") | earliest) & before) | ((us == nw.col("_final")) & after)
    lost = nw.col("_settled") & (lost | (nw.col("_again") & (us > first) & (us <= last))).fill_null(False)
    return frame.with_columns((lost | nw.col("_earliest").is_null()).cast(nw.Int64).alias("_lost"))


def _totals(frame: Frame) -> Frame:
    """One row per instrument that has a basis."""
    us, first, last = nw.col("_us"), nw.col("_first"), nw.col("_last")
    funding = "funding_rate" in names(frame)
    held = (nw.col("_minute") > first) & (nw.col("_minute") <= last)
    received = nw.when(held).then(number(frame, "funding_rate")) if funding else nw.lit(None, nw.Float64)
    lost = nw.col("_lost") if funding else nw.lit(0)
    frame = frame.filter(~first.is_null()).with_columns(
        nw.when(us == first).then(nw.col("_basis")).alias("_entry"),
        nw.when(us == last).then(nw.col("_basis")).alias("_exit"),
        nw.when(us == first).then(nw.col("timestamp")).alias("_start"),
        nw.when(us == last).then(nw.col("timestamp")).alias("_end"),
        received.alias("_received"),
        lost.alias("_lost"),
    )
    aggregates = {"_first": "min", "_last": "max", "_expires": "max", "_entry": "max", "_exit": "max"}
    aggregates |= {"_start": "max", "_end": "max", "_expiry": "max", "_received": "sum", "_lost": "max"}
    totals = frame.group_by(*_keys(frame)).agg(
        getattr(nw.col(name), how)().alias(name) for name, how in aggregates.items()
    )
    return totals if funding else totals.with_columns(nw.lit(None, nw.Float64).alias("_received"))


def _finish(totals: Frame, fees: float) -> Frame:
    dated = ~nw.col("_expires").is_null()
    whole = nw.col("_last") > nw.col("_first")
    alive = nw.col("_expires") > nw.col("_first")
    entry, received = nw.col("_entry"), nw.when(nw.col("_lost") == 0).then(nw.col("_received"))
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
        (~dated & whole & (nw.col("_lost") > 0)).alias("_lost"),
    )
    return totals.sort(*keys) if keys else totals
