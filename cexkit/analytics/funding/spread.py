"""How far the funding of two venues is apart, and what is left of it after costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl

from cexkit.analytics._core.arguments import MOST_COST, MOST_FEE, check_cost, check_days
from cexkit.analytics._core.classes import ASSET_CLASS, of_class
from cexkit.analytics._core.compat import Column, Frame, names, number, text, with_time
from cexkit.analytics._core.hours import Hours
from cexkit.analytics._core.registry import metric
from cexkit.analytics.funding.intervals import DECLARED
from cexkit.analytics.funding.rates import with_apr
from cexkit.analytics.funding.weighted import MINUTE, perps, with_second
from cexkit.errors import InvalidInputError

#: What tells the legs of a base apart.
_LEG = ("_exchange", "_symbol")


def _inspect_fees(frame: pl.DataFrame, arguments: Mapping[str, Any]) -> None:
    fees = arguments["fees"]
    if not isinstance(fees, Mapping):
        return
    unknown = sorted(set(frame["exchange"].cast(pl.String).drop_nulls()) - set(fees))
    if unknown:
        raise InvalidInputError(f"funding_spread: fees= has none for {', '.join(unknown)}")


@metric(
    kind="cross-venue",
    inputs=("exchange", "base", "funding_rate"),
    optional=(DECLARED, "quote", ASSET_CLASS),
    outputs=(
        "timestamp",
        "base",
        "long_exchange",
        "short_exchange",
        "gross_apr",
        "net_apr",
        "break_even_days",
        "long_symbol",
        "short_symbol",
        "quotes",
    ),
    settlements=True,
    inspects=_inspect_fees,
)
def funding_spread(
    frame: Frame,
    *,
    days: float = 30.0,
    fees: float | Mapping[str, float] = 0.0,
    slippage: float = 0.0,
    rate: Column = "funding_rate",
    interval_hours: Hours | None = None,
    asset_class: str | None = "crypto",
) -> Frame:
    """What being long a perpetual at one venue and short at another earns in funding, per year.

    ``gross = APR_short - APR_long``; ``net = gross - costs * 365 / days`` with
    ``costs = 2 * (fee_long + fee_short) + slippage``; ``break-even = 365 * costs / gross``.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        Settled funding of perpetuals with ``exchange``, ``base`` and ``timestamp``. Where
        ``instrument_type`` is there, only ``perp`` counts; rows without a rate are no settlements.
    days : float
        How long the position is held: costs are spread over it.
    fees : float or mapping of str to float
        Fee of one fill as a fraction of its value, for all venues or by exchange. Each leg is filled twice.
    slippage : float
        Slippage of all four fills together, as a fraction of one leg. **No costs are assumed**: with
        neither, net is gross.
    rate, interval_hours
        As for :func:`funding_apr`.
    asset_class : str or None, default "crypto"
        Class of the instruments that count, if the frame has a column ``asset_class``. ``"crypto"`` leaves out those
        known to be of another class; null and unknown classes stay. Any other class keeps only instruments known to
        be of it. None keeps all.

    Returns
    -------
    Same type as ``frame``
        One row per time of any settlement of the base and pair of instruments at two venues, sorted by
        base, time and venues (Ibis promises no order):

        * ``timestamp``, to the minute, UTC; ``base``.
        * ``long_exchange``: where the APR is lower, ``short_exchange``: where it is higher; of equal ones
          the first by name is the long.
        * ``gross_apr``: never below zero; ``net_apr``; ``break_even_days``, null where gross is zero.
        * ``long_symbol``, ``short_symbol``: a venue may have several; null without ``symbol``.
        * ``quotes``: the two quotes in order, joined by ``+`` where they differ; null without ``quote``.

        Each leg counts with its last settled APR as of then, no older than its own interval (and a minute).
        **A gap**: a leg whose settlement is late drops out, with all of its pairs, until it settles again. A leg
        whose interval is not known drops out likewise. Later rows play no part, but for intervals
        that must be derived: see the note in :func:`funding_zscore`.

    Raises
    ------
    InvalidInputError
        If days, fees or slippage is out of range, or ``fees`` lacks a venue (eager frames; elsewhere net
        and break-even of its pairs are null).
    MissingColumnError, ColumnTypeError, DuplicateKeyError
    UnknownNameError
        If the asset class is unknown.

    Warns
    -----
    SuspectRateWarning
        As for :func:`funding_apr`.
    ExcludedInstrumentsWarning
        If instruments are left out because of their class, with their number (eager frames).

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import datetime
    >>> frame = pl.DataFrame({
    ...     "exchange": ["binance", "okx"],
    ...     "base": "BTC",
    ...     "timestamp": [datetime(2024, 1, 1, 8)] * 2,
    ...     "funding_rate": [1e-4, 1e-4],
    ...     "funding_interval_hours": [8, 4],
    ... })
    >>> result = frame.crypto.funding_spread(fees=0.0005, slippage=0.001)
    >>> result.select("short_exchange", pl.col("gross_apr", "net_apr", "break_even_days").round(6)).rows()
    [('okx', 0.1095, 0.073, 10.0)]
    """
    _check_costs(days, fees, slippage)
    frame = of_class(frame, asset_class)
    legs = _standing(_settlements(frame, rate=rate, interval_hours=interval_hours))
    pairs = _paired(legs)
    costs = (_fee("_long", fees) + _fee("_short", fees)) * 2 + slippage
    gross = nw.col("_short_apr") - nw.col("_long_apr")
    pairs = pairs.with_columns(gross.alias("gross_apr"), costs.alias("_costs"))
    pairs = with_time(pairs, "timestamp", "_second")
    gross, days_to_even = nw.col("gross_apr"), nw.col("_costs") * 365 / nw.col("gross_apr")
    return pairs.select(
        "timestamp",
        "base",
        nw.col("_long").alias("long_exchange"),
        nw.col("_short").alias("short_exchange"),
        "gross_apr",
        (gross - nw.col("_costs") * 365 / days).alias("net_apr"),
        nw.when(gross > 0).then(days_to_even).alias("break_even_days"),
        nw.col("_long_symbol").alias("long_symbol"),
        nw.col("_short_symbol").alias("short_symbol"),
        _both(nw.col("_long_quote"), nw.col("_short_quote")).alias("quotes"),
    ).sort("base", "timestamp", "long_exchange", "short_exchange", "long_symbol", "short_symbol")


def _check_costs(days: float, fees: float | Mapping[str, float], slippage: float) -> None:
    check_days("days", days, least=0)
    if days == 0:
        raise InvalidInputError("days must be above zero, got days=0")
    named = {f"fees[{venue!r}]": fee for venue, fee in fees.items()} if isinstance(fees, Mapping) else {"fees": fees}
    for name, fee in named.items():
        check_cost(name, fee, most=MOST_FEE, least=-MOST_FEE)
    check_cost("slippage", slippage, most=MOST_COST)


def _settlements(frame: Frame, *, rate: str, interval_hours: Hours | None) -> Frame:
    """One row per settlement: leg, minute, APR and hours."""
    frame = perps(frame)
    frame = frame.filter(~number(frame, rate).is_null())
    frame = with_second(with_apr(frame, "_apr", rate=rate, interval_hours=interval_hours))
    present, none = names(frame), nw.lit(None, nw.String)
    frame = frame.with_columns(
        text("exchange").alias("_exchange"),
        # a plain text, for a null equals nothing in a join
        (text("symbol").fill_null("") if "symbol" in present else nw.lit("")).alias("_symbol"),
        (text("quote") if "quote" in present else none).alias("_quote"),
    )
    frame = frame.filter(~nw.col("_exchange").is_null())
    # Eager frames with two settlements in one minute are refused. Elsewhere neither counts, because they may differ.
    frame = frame.with_columns(nw.col("_us").count().over("base", *_LEG, "_second").alias("_settlements"))
    frame = frame.filter(nw.col("_settlements") == 1)
    return frame.select("base", *_LEG, "_quote", "_second", "_apr", nw.col("_covered").alias("_hours"))


def _standing(settled: Frame) -> Frame:
    """Each leg at each minute in which any leg of its base settles, with the APR that stands then."""
    minutes = settled.select("base", "_second").unique()
    legs = settled.group_by("base", *_LEG).agg(nw.col("_quote").max().alias("_quote"))
    grid = minutes.join(legs, on="base", how="inner")
    own = settled.select("base", *_LEG, "_second", "_apr", "_hours", nw.col("_second").alias("_since"))
    grid = grid.join(own, on=["base", *_LEG, "_second"], how="left")
    # a run begins at each settlement; its values are those of the only row that has them
    began = (~nw.col("_since").is_null()).cast(nw.Int64)
    grid = grid.with_columns(began.alias("_began"))
    grid = grid.with_columns(nw.col("_began").cum_sum().over("base", *_LEG, order_by="_second").alias("_run"))
    grid = grid.with_columns(
        nw.col(name).max().over("base", *_LEG, "_run").alias(name) for name in ("_apr", "_hours", "_since")
    )
    age = nw.col("_second") - nw.col("_since")
    return grid.filter(~nw.col("_apr").is_null(), age <= nw.col("_hours") * 3600 + MINUTE)


def _paired(legs: Frame) -> Frame:
    """Pairs of legs at different venues, the one with the lower APR long."""

    def side(name: str) -> Frame:
        return legs.select(
            "base",
            "_second",
            nw.col("_exchange").alias(f"_{name}"),
            nw.col("_symbol").alias(f"_{name}_key"),
            nw.col("_apr").alias(f"_{name}_apr"),
            nw.col("_quote").alias(f"_{name}_quote"),
        )

    pairs = side("long").join(side("short"), on=["base", "_second"], how="inner")
    low, high = nw.col("_long_apr"), nw.col("_short_apr")
    first = nw.col("_long") < nw.col("_short")
    pairs = pairs.filter(nw.col("_long") != nw.col("_short"), (low < high) | ((low == high) & first))
    return pairs.with_columns(
        nw.when(nw.col(f"_{name}_key") != "").then(nw.col(f"_{name}_key")).alias(f"_{name}_symbol")
        for name in ("long", "short")
    )


def _fee(exchange: str, fees: float | Mapping[str, float]) -> nw.Expr:
    if not isinstance(fees, Mapping):
        return nw.lit(float(fees))
    known = [nw.when(nw.col(exchange) == name).then(nw.lit(float(fee))) for name, fee in fees.items()]
    return nw.coalesce(*known, nw.lit(None, nw.Float64))


def _both(one: nw.Expr, other: nw.Expr) -> nw.Expr:
    """Two texts in order, joined by ``+`` where they differ."""
    joined = nw.when(one < other).then(nw.concat_str(one, other, separator="+"))
    joined = joined.otherwise(nw.concat_str(other, one, separator="+"))
    return nw.when(one == other).then(one).otherwise(joined)
