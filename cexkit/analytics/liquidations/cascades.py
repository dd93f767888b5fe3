"""Cascades: liquidations of a coin that follow each other closely, on all venues."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from cexkit.analytics._core.arguments import check_number
from cexkit.analytics._core.classes import ASSET_CLASS, of_class
from cexkit.analytics._core.compat import (
    MICRO,
    Frame,
    amount,
    instrument_keys,
    names,
    positive,
    text,
    with_instant,
    with_possible_us,
)
from cexkit.analytics._core.registry import metric
from cexkit.analytics._core.snapshots import as_of, snapshots
from cexkit.analytics._core.units import MIXED, mixed_notes
from cexkit.analytics._core.usd import usd_inputs
from cexkit.analytics.liquidations._common import (
    coverage,
    inspects_events,
    rank,
    summed_values,
    total_values,
    with_price,
    with_values,
)
from cexkit.schema.intervals import seconds

_CASCADE = ("base", "_cascade")
# before any time
_NEVER = -(2**61)


@metric(
    kind="summary",
    inputs=("exchange", "base", "timestamp", "side"),
    alternatives=usd_inputs("value_usd"),
    optional=("price", "quote", "multiplier", "coverage", "open_interest_base", ASSET_CLASS),
    outputs=(
        "base",
        "start",
        "end",
        "duration_seconds",
        "events",
        "value_usd",
        "long_value_usd",
        "short_value_usd",
        "price_move",
        "oi_change",
        "venues",
        "coverage",
    ),
    notes=mixed_notes(
        f"in {{count}} cascades prices differ by more than {MIXED:g} times, so they are in different units and "
        "price move and change of open interest are null; add the columns multiplier and symbol"
    ),
    inspects=inspects_events("liquidation_cascades", needs=("timestamp", "base"), snapshots=("open_interest_base",)),
)
def liquidation_cascades(
    frame: Frame,
    *,
    gap: str = "60s",
    min_events: int = 2,
    min_value_usd: float = 0.0,
    tolerance: str = "2h",
    asset_class: str | None = "crypto",
) -> Frame:
    """Runs of liquidations of one coin, over all venues, in which none is further than ``gap`` from the next.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        Events: ``exchange``, ``base``, ``timestamp``, ``side`` of the **position** (``long``, ``short``)
        and either ``value_usd`` or ``value_quote`` with ``quote``; dollar stablecoins are then taken 1:1
        (``cexkit.schema.USD_LIKE``). ``price``, ``multiplier`` and ``coverage`` are used where present.
        Where ``open_interest_base`` is a column, rows that have it are snapshots of open interest and
        rows without a side are no events (put one below the other:
        ``polars.concat([events, snapshots], how="diagonal")``).
    gap : str
        Longest time between neighbors of a cascade; exactly this long still joins them.
    min_events : int
        Fewest events of a cascade.
    min_value_usd : float
        Least value of a cascade, in dollars; events without one count as zero here.
    tolerance : str
        How far from the cascade a snapshot of open interest may be.
    asset_class : str or None, default "crypto"
        Class of the instruments that count, if the frame has a column ``asset_class``. ``"crypto"`` leaves out those
        known to be of another class; null and unknown classes stay. Any other class keeps only instruments known to
        be of it. None keeps all.

    Returns
    -------
    Same type as ``frame``
        One row per base and cascade, sorted so (Ibis promises no order):

        * ``base``; ``start``, ``end``: times of the first and last event, UTC; ``duration_seconds`` between them.
        * ``events``: count; ``venues``: exchanges with events.
        * ``value_usd``, ``long_value_usd``, ``short_value_usd``: sums; zero for a side without events. Null
          where an event has no value in dollars.
        * ``price_move``: price per coin of the last event over that of the first, minus 1. Events of the
          same microsecond have no order: their prices are averaged. It holds what venues' prices
          differ by, and what they are (``price_type``). Null without usable prices, where prices are in
          several quotes that are not all taken as dollars, or of several symbols without ``multiplier``
          and ``quote``. Without ``symbol`` and ``multiplier`` it and ``oi_change`` are null where prices differ by more
          than five times.
        * ``oi_change``: change of open interest in coins, summed over the instruments with events: from the
          last snapshot before the first event of each to the first one at or after its last. Null where
          one of them is missing or too far away, and of several symbols without ``multiplier``. It is
          **known only when that later snapshot is**: not a signal at ``end``.
        * ``coverage``: the worst of the cascade; values of ``throttled`` events are lower bounds, and a
          cascade may have gone on between them. Null where any of it is unknown.

        The last cascade of a frame is finished only when the data goes on for ``gap`` after it. Events whose
        base or time is null belong nowhere: an error on eager frames, else left out.

    Raises
    ------
    MissingColumnError, ColumnTypeError
    DuplicateKeyError
        If snapshots of one instrument and time differ (eager frames; else they are unknown).
    InvalidInputError
        If ``side`` holds an order's side, events have no time or base (eager frames), or an argument is out of range.
    UnknownNameError
        If the asset class is unknown.

    Warns
    -----
    UnpricedQuoteWarning
        If values are in quotes that are not taken as dollars (eager frames).
    ExcludedInstrumentsWarning
        If instruments are left out because of their class, with their number (eager frames).
    SignedQuantityWarning
        If values or open interest are below zero (eager frames); sums with them are null.
    MixedUnitsWarning
        If prices of a cascade are in different units (eager frames).

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import datetime
    >>> frame = pl.DataFrame({
    ...     "exchange": ["binance", "okx", "binance", "okx"],
    ...     "base": "BTC",
    ...     "timestamp": [datetime(2024, 1, 1, 3, *time) for time in ((0, 0), (0, 40), (1, 30), (9, 0))],
    ...     "side": ["long", "long", "short", "long"],
    ...     "price": [100.0, 99.0, 98.0, 97.0],
    ...     "value_usd": [5e4, 2e4, 1e4, 3e4],
    ... })
    >>> result = frame.crypto.liquidation_cascades()
    >>> result.select("duration_seconds", "events", "value_usd", "long_value_usd", "price_move", "venues").rows()
    [(90.0, 3, 80000.0, 70000.0, -0.020000000000000018, 2)]
    """
    check_number("min_events", min_events, "1 or more", least=1)
    check_number("min_value_usd", min_value_usd, "zero or more", least=0)
    frame = of_class(frame, asset_class)
    frame = with_possible_us(frame, "_us").filter(~nw.col("base").is_null(), ~nw.col("_us").is_null())
    snapped = "open_interest_base" in names(frame)
    frame = _with_units(frame) if snapped and "multiplier" in names(frame) else frame
    events = frame.filter(~nw.col("side").is_null()) if snapped else frame
    events = _with_cascade(events, seconds(gap) * MICRO)
    # most events stand alone: what is left out first need not be carried through what follows
    events = events.with_columns(nw.col("_us").count().over(*_CASCADE).alias("_size"))
    events = events.filter(nw.col("_size") >= min_events)
    totals = _totals(events).filter(nw.col("_value") >= min_value_usd)
    if snapped:
        changes = _changes(frame, events, seconds(tolerance) * MICRO)
        totals = totals.join(changes, on=list(_CASCADE), how="left")
    else:
        totals = totals.with_columns(nw.lit(None, nw.Float64).alias("oi_change"))
    unknown = not {"symbol", "multiplier"} & set(names(frame))
    differ = (nw.col("_highest") > nw.col("_lowest") * MIXED).fill_null(False) if unknown else nw.lit(False)
    return _finish(totals.with_columns(differ.alias("_mixed")))


def _with_units(frame: Frame) -> Frame:
    """Fill the multiplier of events from the snapshots of their instrument, unless these differ."""
    own, keys = positive(frame, "multiplier"), [*instrument_keys(frame), "base"]
    frame = frame.with_columns(own.min().over(*keys).alias("_least"), own.max().over(*keys).alias("_most"))
    known = nw.when(nw.col("_least") == nw.col("_most")).then(nw.col("_least"))
    return frame.with_columns(nw.coalesce(own, known).alias("multiplier")).drop("_least", "_most")


def _with_cascade(events: Frame, gap: int) -> Frame:
    """Add ``_cascade``, the time of its cascade's first event, to each event.

    Events of one time have no order, so each of them must get the same: whether that time begins a cascade
    is decided for all of them, and carried on as a running maximum, which no order among them changes.
    """
    events = events.with_columns(nw.col("_us").shift(1).over("base", order_by="_us").alias("_before"))
    begins = nw.col("_before").is_null() | (nw.col("_us") - nw.col("_before") > gap)
    events = events.with_columns(begins.cast(nw.Int64).alias("_begins"))
    events = events.with_columns(nw.col("_begins").max().over("base", "_us").alias("_begins"))
    start = nw.when(nw.col("_begins") == 1).then(nw.col("_us")).otherwise(nw.lit(_NEVER, nw.Int64))
    events = events.with_columns(start.alias("_start"))
    return events.with_columns(nw.col("_start").cum_max().over("base", order_by="_us").alias("_cascade"))


def _totals(events: Frame) -> Frame:
    """One row per cascade: counts, values, first and last price."""
    events = with_values(events).with_columns(rank(events).alias("_rank"))
    events = _with_prices(events)
    return events.group_by(*_CASCADE).agg(
        nw.col("_us").max().alias("_end"),
        nw.len().cast(nw.Int64).alias("events"),
        nw.col("exchange").n_unique().cast(nw.Int64).alias("venues"),
        *summed_values(),
        nw.col("_first_price").mean().alias("_first_price"),
        nw.col("_last_price").mean().alias("_last_price"),
        nw.col("_price").min().alias("_lowest"),
        nw.col("_price").max().alias("_highest"),
        nw.col("_rank").max().alias("_rank"),
    )


def _with_prices(events: Frame) -> Frame:
    """Add ``_first_price`` and ``_last_price`` to the events of a cascade's first and last time with a price."""
    if "price" not in names(events):
        nothing = nw.lit(None, nw.Float64)
        return events.with_columns(nothing.alias(name) for name in ("_price", "_first_price", "_last_price"))
    events = with_price(events, _CASCADE)
    events = events.with_columns(nw.when(~nw.col("_price").is_null()).then(nw.col("_us")).alias("_priced"))
    events = events.with_columns(
        nw.col("_priced").min().over(*_CASCADE).alias("_first"), nw.col("_priced").max().over(*_CASCADE).alias("_last")
    )
    return events.with_columns(
        nw.when(nw.col("_priced") == nw.col(time)).then(nw.col("_price")).alias(f"{time}_price")
        for time in ("_first", "_last")
    )


def _changes(frame: Frame, events: Frame, within: int) -> Frame:
    """Change of open interest of each cascade, in coins."""
    present, keys = names(frame), [*instrument_keys(frame), "base"]
    interest = amount(frame, "open_interest_base")
    scaled = "multiplier" in present
    known = snapshots(frame, keys, interest * positive(frame, "multiplier") if scaled else interest)
    spans = events.group_by(*keys, "_cascade").agg(
        nw.col("_us").min().alias("_first"), nw.col("_us").max().alias("_last")
    )
    for time, after in (("_first", False), ("_last", True)):
        points = spans.select(*keys, nw.col(time).alias("_us"))
        found = as_of(points, known, keys, within=within, after=after)
        found = found.rename({"_us": time, "_interest": f"{time}_interest"})
        spans = spans.join(found, on=[*keys, time], how="left")
    return _summed_changes(spans, comparable=scaled or "symbol" not in present)


def _summed_changes(spans: Frame, *, comparable: bool) -> Frame:
    change = nw.col("_last_interest") - nw.col("_first_interest")
    symbol = nw.lit("") if comparable else text("symbol")
    spans = spans.with_columns(change.alias("_change"), symbol.alias("_symbol"))
    sums = spans.group_by(*_CASCADE).agg(
        nw.col("_change").sum().alias("_change"),
        nw.col("_change").is_null().cast(nw.Int64).sum().alias("_no_change"),
        nw.col("_symbol").min().alias("_least"),
        nw.col("_symbol").max().alias("_most"),
    )
    adds_up = (nw.col("_no_change") == 0) & (nw.col("_least") == nw.col("_most"))
    return sums.select(*_CASCADE, nw.when(adds_up).then(nw.col("_change")).alias("oi_change"))


def _finish(totals: Frame) -> Frame:
    """The published columns."""
    totals = with_instant(with_instant(totals, "start", "_cascade"), "end", "_end")
    comparable = ~nw.col("_mixed")
    return totals.select(
        "base",
        "start",
        "end",
        ((nw.col("_end") - nw.col("_cascade")) / MICRO).alias("duration_seconds"),
        "events",
        *total_values(),
        nw.when(comparable).then(nw.col("_last_price") / nw.col("_first_price") - 1).alias("price_move"),
        nw.when(comparable).then(nw.col("oi_change")).alias("oi_change"),
        "venues",
        coverage("_rank").alias("coverage"),
        "_mixed",
    ).sort("base", "start")
