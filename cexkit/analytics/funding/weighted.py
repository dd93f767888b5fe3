"""One funding rate for a coin: all venues over the same hours, weighted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl

from cexkit.analytics._core.classes import ASSET_CLASS, of_class
from cexkit.analytics._core.compat import (
    MICRO,
    Column,
    Frame,
    amount,
    distinct_text,
    instrument_keys,
    names,
    number,
    origin,
    positive,
    text,
    with_possible_us,
    with_time,
)
from cexkit.analytics._core.hours import Hours
from cexkit.analytics._core.registry import metric
from cexkit.analytics._core.usd import QUOTED, usd, warns_of_quotes
from cexkit.analytics.funding.intervals import DECLARED, with_again, with_hours
from cexkit.errors import InvalidInputError
from cexkit.schema.intervals import seconds

#: An instrument goes in when at least this part of the horizon is covered by its settlements.
COVERED = 0.5
#: Dollar columns that can be the weight, in the order in which they are looked for.
WEIGHTS: tuple[str, ...] = ("open_interest_usd", "volume_usd")
MINUTE = 60


def _weight_inputs(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    weight = arguments["weight"]
    if not isinstance(weight, str | None):
        raise InvalidInputError(f"weight must be the name of a column or None, got {weight!r}")
    given = () if weight is None else (weight, "multiplier") if _counts_units(weight) else (weight,)
    return ("exchange", "base", "funding_rate", *given)


def _counts_units(weight: str) -> bool:
    """Return whether a column counts units of base, of which a contract may hold a thousand coins."""
    return weight.endswith("_base")


def _inspect_weights(frame: pl.DataFrame, arguments: Mapping[str, Any]) -> None:
    column = _weight_column(frame.columns)
    if arguments["weight"] is None and column not in frame.columns:
        warns_of_quotes("weighted_funding", column)(frame, arguments)


def _weight_column(present: Sequence[str]) -> str:
    """The dollar column that is the weight where the caller names none; it may have to be made from quotes."""
    had = (name for name in WEIGHTS if name in present or {QUOTED[name], "quote"} <= set(present))
    return next(had, WEIGHTS[0])


@metric(
    kind="cross-venue",
    inputs=("exchange", "base", "funding_rate"),
    optional=(DECLARED, "quote", ASSET_CLASS),
    alternatives=tuple(group for name in WEIGHTS for group in ((name,), (QUOTED[name], "quote"))),
    unless="weight",
    requires=_weight_inputs,
    settlements=True,
    outputs=("timestamp", "base", "weighted_funding", "venues", "coverage", "quotes"),
    inspects=_inspect_weights,
)
def weighted_funding(
    frame: Frame,
    *,
    horizon: str = "8h",
    tolerance: str = "1h",
    weight: str | None = None,
    rate: Column = "funding_rate",
    interval_hours: Hours | None = None,
    asset_class: str | None = "crypto",
) -> Frame:
    """Funding of each coin over all venues, weighted: ``sum(w * R) / sum(w)``.

    R is what an instrument settled in ``(t - horizon, t]``, summed and scaled to the horizon by the hours
    these settlements cover. Rates of one moment are never compared: at 04:00 only venues with short
    intervals settle, and their rates are of other lengths.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        Rows of perpetuals with ``exchange``, ``base``, ``timestamp``, the settled rate where there was a
        settlement (null elsewhere), and a weight in dollars where it is known: settlements joined with
        snapshots of open interest, in an outer join on instrument and time. Where ``instrument_type`` is
        there, only ``perp`` counts.
    horizon : str
        Length of the sums, such as ``"8h"`` or ``"1d"``. The ends t are its multiples in UTC since 1970
        (00:00, 08:00, 16:00 for 8 h; Mondays for weeks). Take one at least as long as the longest interval;
        under a shorter one venues come and go, which ``venues`` and ``coverage`` show.
    tolerance : str
        How old a weight may be at t; at most the horizon.
    weight : str, optional
        Column of the weight. By default the first of these that can be had: ``open_interest_usd``,
        ``open_interest_quote`` with ``quote``, ``volume_usd``, ``volume_quote`` with ``quote``; dollar
        stablecoins are taken 1:1 (``cexkit.schema.USD_LIKE``). It must be known at its timestamp: the
        volume of a bar is known at its end, while bars carry the time they open. A column of units, such as
        ``open_interest_base``, needs the column ``multiplier`` and is multiplied by it.
    rate : str
        Column of the settled rate, as a fraction per interval.
    interval_hours : float, str, or timedelta, optional
        As for :func:`funding_apr`; by default ``funding_interval_hours``, or the times where that is null.
    asset_class : str or None, default "crypto"
        Class of the instruments that count, if the frame has a column ``asset_class``. ``"crypto"`` leaves out those
        known to be of another class; null and unknown classes stay. Any other class keeps only instruments known to
        be of it. None keeps all.

    Returns
    -------
    Same type as ``frame``
        One row per base and t, sorted so (Ibis promises no order):

        * ``timestamp``: t, UTC; ``base``.
        * ``weighted_funding``: a fraction per horizon; positive: longs pay.
        * ``venues``: exchanges that went in.
        * ``coverage``: share of the weight known at t whose instruments went in.
        * ``quotes``: their quotes, in order, joined by ``+`` (USDT is not USD); null without ``quote``.

        An instrument with less than half of the horizon covered leaves both sums, as does one without a
        weight at t. **A gap**: the hours that are covered stand for the others, down to that half. There is no
        row where nothing went in or the weights are all zero, and none after the last settlement of the
        frame: the next t is not complete. Rows whose base is null, and settlements whose hours are not
        known, are left out.

    Raises
    ------
    InvalidInputError
        If horizon or tolerance is out of range.
    UnknownNameError
        If the asset class is unknown.
    MissingColumnError, ColumnTypeError, DuplicateKeyError

    Warns
    -----
    SuspectRateWarning
        As for :func:`funding_apr`.
    UnpricedQuoteWarning
        If weights are in quotes that are not taken as dollars (eager frames); they do not count.
    ExcludedInstrumentsWarning
        If instruments are left out because of their class, with their number (eager frames).

    Notes
    -----
    Times are taken to the nearest minute, so that a settlement of 08:00:00.047 is that of 08:00. Of several
    weights within the tolerance the last one counts. Weights are values, so contract multipliers do not matter.

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import datetime
    >>> frame = pl.DataFrame({
    ...     "exchange": ["binance", "bybit", "bybit"],
    ...     "base": "BTC",
    ...     "timestamp": [datetime(2024, 1, 1, hour) for hour in (8, 4, 8)],
    ...     "funding_rate": [8e-4, 1e-4, 3e-4],
    ...     "funding_interval_hours": [8, 4, 4],
    ...     "open_interest_usd": [3e9, 1e9, 1e9],
    ... })
    >>> result = frame.crypto.weighted_funding()
    >>> result.select("base", pl.col("weighted_funding").round(6), "venues", "coverage").rows()
    [('BTC', 0.0007, 2, 1.0)]
    """
    frame = of_class(frame, asset_class)
    step, oldest = seconds(horizon), seconds(tolerance)
    if oldest > step:
        raise InvalidInputError(f"tolerance={tolerance!r} is longer than horizon={horizon!r}")
    frame = _with_terms(perps(frame), rate=rate, weight=weight, interval_hours=interval_hours)
    frame = _with_end(frame, step)
    fresh = ~nw.col("_weight").is_null() & ((nw.col("_end") - nw.col("_second")) <= oldest)
    legs = _legs(frame.with_columns(nw.when(fresh).then(nw.col("_us")).alias("_weighed")))
    return _weighted(legs, step)


def perps(frame: Frame) -> Frame:
    """Rows that are a coin's, and of perpetuals where that is said."""
    frame = frame.filter(~nw.col("base").is_null())
    return frame.filter(text("instrument_type") == "perp") if "instrument_type" in names(frame) else frame


def _with_terms(frame: Frame, *, rate: str, weight: str | None, interval_hours: Hours | None) -> Frame:
    """Add rate, hours and weight of each row; settlements are a series of their own among other rows."""
    frame = frame.with_columns((~number(frame, rate).is_null()).alias("_settled"))
    frame = with_hours(frame, interval_hours, separate_by=("_settled",))
    frame = with_again(frame, separate_by=("_settled",))
    value = usd(frame, _weight_column(names(frame))) if weight is None else amount(frame, weight)
    if weight is not None and _counts_units(weight):
        value = value * positive(frame, "multiplier")
    known = nw.col("_settled") & ~nw.col("_covered").is_null()
    return frame.with_columns(
        nw.when(known).then(number(frame, rate)).alias("_rate"),
        nw.when(known).then(nw.col("_covered")).alias("_hours"),
        value.alias("_weight"),
        (text("quote") if "quote" in names(frame) else nw.lit(None, nw.String)).alias("_quote"),
        (nw.col("_settled") & nw.col("_again")).cast(nw.Int64).alias("_again"),
    )


def with_second(frame: Frame) -> Frame:
    """Add ``_us``, the exact time, and ``_second``, that of its nearest minute in whole seconds."""
    frame = with_possible_us(frame, "_us")
    minute = (nw.col("_us") + MINUTE * MICRO // 2) // (MINUTE * MICRO)
    return frame.with_columns((minute * MINUTE).alias("_second"))


def _with_end(frame: Frame, step: int) -> Frame:
    """Add ``_end``, the end t of the ``(t - step, t]`` a row lies in, and ``_last``, the last settlement of all."""
    frame = with_second(frame)
    frame = frame.with_columns(nw.when(~nw.col("_rate").is_null()).then(nw.col("_second")).alias("_paid"))
    end = (nw.col("_second") - origin(step) + step - 1) // step * step + origin(step)
    return frame.with_columns(end.alias("_end"), nw.col("_paid").max().alias("_last"))


def _legs(frame: Frame) -> Frame:
    """One row per instrument and end: what it settled, over how many hours, and its last weight."""
    leg = [*instrument_keys(frame), "base", "_quote", "_end"]
    frame = frame.with_columns(nw.col("_weighed").max().over(*leg).alias("_latest"))
    latest = nw.when(nw.col("_weighed") == nw.col("_latest")).then(nw.col("_weight"))
    frame = frame.with_columns(latest.alias("_weight"))
    return frame.group_by(*leg).agg(
        nw.col("_rate").sum().alias("_sum"),
        nw.col("_hours").sum().alias("_hours"),
        nw.col("_weight").max().alias("_weight"),
        nw.col("_last").max().alias("_last"),
        nw.col("_again").max().alias("_again"),
    )


def _weighted(legs: Frame, step: int) -> Frame:
    """The average over the legs that have a weight and are covered enough."""
    point = ["base", "_end"]
    hours = step / 3600
    legs = legs.filter(~nw.col("_weight").is_null(), nw.col("_end") <= nw.col("_last"))
    legs = legs.with_columns(nw.col("_weight").sum().over(*point).alias("_all"))
    legs = legs.filter(nw.col("_hours") > 0, nw.col("_hours") >= COVERED * hours, nw.col("_again") == 0)
    scaled = nw.col("_sum") * hours / nw.col("_hours")
    legs = legs.with_columns((scaled * nw.col("_weight")).alias("_product"))
    if isinstance(legs, nw.DataFrame):
        # added up in the same order each time, so that the same frame has the same numbers to the last bit
        legs = legs.sort(*instrument_keys(legs), "_end")
    sums = legs.group_by(*point).agg(
        nw.col("_product").sum().alias("_product"),
        nw.col("_weight").sum().alias("_weight"),
        nw.col("_all").max().alias("_all"),
        nw.col("exchange").n_unique().cast(nw.Int64).alias("venues"),
    )
    quotes = distinct_text(legs, point, "_quote", "quotes")
    sums = with_time(sums.filter(nw.col("_weight") > 0), "timestamp", "_end")
    return (
        sums.join(quotes, on=point, how="left")
        .select(
            "timestamp",
            "base",
            (nw.col("_product") / nw.col("_weight")).alias("weighted_funding"),
            "venues",
            (nw.col("_weight") / nw.col("_all")).alias("coverage"),
            "quotes",
        )
        .sort("base", "timestamp")
    )
