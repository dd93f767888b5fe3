"""What it costs to trade, estimated from bars."""

from __future__ import annotations

import math

import narwhals.stable.v2 as nw

from cexkit.analytics._core.compat import Column, Frame, positive, shifted, with_moments
from cexkit.analytics._core.registry import metric
from cexkit.analytics._core.usd import usd, usd_inputs, warns_of_quotes
from cexkit.analytics.volatility import samples_of, with_bars

#: Returns per million dollars.
PER_USD = 1e6
_K = 3 - 2 * math.sqrt(2)


@metric(
    kind="rolling",
    inputs=("close",),
    alternatives=usd_inputs("volume_usd"),
    outputs=("amihud",),
    inspects=warns_of_quotes("amihud", "volume_usd"),
)
def amihud(
    frame: Frame,
    *,
    window: int = 30,
    interval: str | None = None,
    min_samples: int | None = None,
    price: Column = "close",
) -> Frame:
    """Illiquidity of the trailing bars: ``mean(|r| / volume_usd) * 1e6``, r being the simple return of a bar.

    How far the price moves for a million dollars traded: the higher, the less liquid.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        Bars: ``timestamp``, a price and ``volume_usd``, or ``volume_quote`` with ``quote``; dollar stablecoins
        are then taken 1:1 (``cexkit.schema.USD_LIKE``). The volume is one-sided and that of the bar.
    window : int
        Bars in the trailing window; the row's own bar is the last of them.
    interval : str, optional
        Length of a bar, such as ``"1h"`` or ``"1d"``. By default the median distance between all rows of the
        instrument, later ones too: say it where the length changes.
    min_samples : int, optional
        Bars in the window that must have a value; by default all of them.
    price : str
        Column of the price.

    Returns
    -------
    Same type as ``frame``
        With ``amihud`` added: a fraction per million dollars (0.001 is 10 bps), not below zero. Its size
        depends on the length of the bars. A bar has no value where its price, the one before or its volume
        is null, NaN, infinite or not above zero, or its quote is not taken as dollars; null are windows that
        hold such a bar, unless ``min_samples`` allows for it, and those that are not full. **A gap**: a
        return over anything but one bar (within 1 %) does not belong to the volume of one, and is left out
        likewise.

    Raises
    ------
    InvalidInputError
        If window or min_samples is out of range.
    MissingColumnError, ColumnTypeError, DuplicateKeyError

    Warns
    -----
    UnpricedQuoteWarning
        If volumes are in quotes that are not taken as dollars (eager frames).

    References
    ----------
    Amihud (2002), Illiquidity and stock returns, Journal of Financial Markets 5.

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import date
    >>> frame = pl.DataFrame({
    ...     "timestamp": [date(2024, 1, day) for day in range(1, 4)],
    ...     "close": [100.0, 101.0, 101.0],
    ...     "volume_usd": [5e6, 5e6, 4e6],
    ... })
    >>> frame.crypto.amihud(window=2).round(6).to_list()
    [None, None, 0.001]
    """
    samples = samples_of(window, min_samples)
    frame = with_bars(frame, interval)
    frame = frame.with_columns(positive(frame, price).alias("_price"), usd(frame, "volume_usd").alias("_volume"))
    moved = (nw.col("_price") / shifted(frame)(nw.col("_price"), 1) - 1).abs() / nw.col("_volume")
    usable = nw.col("_adjacent") & (nw.col("_volume") > 0)
    frame = frame.with_columns((nw.when(usable).then(moved) * PER_USD).alias("_moved"))
    return with_moments(frame, {"amihud": ("_moved",)}, window, samples)


@metric(kind="rolling", inputs=("high", "low"), outputs=("corwin_schultz",))
def corwin_schultz(
    frame: Frame,
    *,
    window: int = 30,
    interval: str | None = None,
    min_samples: int | None = None,
    high: Column = "high",
    low: Column = "low",
) -> Frame:
    """Bid-ask spread of the trailing bars as a fraction of the price, from their highs and lows.

    A high is mostly a buy and a low a sale, so that their ratio holds the spread once, and the volatility in
    proportion to time: one bar and two bars together tell the two apart. Of each bar and the one before it,
    ``beta`` is the sum of both ``ln(H / L)^2``, ``gamma`` is ``ln(max H / min L)^2``,
    ``alpha = (sqrt(2 beta) - sqrt(beta)) / (3 - 2 sqrt(2)) - sqrt(gamma / (3 - 2 sqrt(2)))`` and
    ``S = 2 (e^alpha - 1) / (1 + e^alpha)``. The result is the mean of S over the window, then 0 where it is
    below: setting each S below zero to zero would bias it up.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        Bars: ``timestamp``, ``high`` and ``low`` of trades (of mark prices they hold no spread).
    window : int
        Estimates S in the trailing window, each of a bar and the one before it; the last is the row's own.
    interval : str, optional
        Length of a bar, such as ``"1h"`` or ``"1d"``. By default the median distance between all rows of the
        instrument, later ones too: say it where the length changes.
    min_samples : int, optional
        Bars in the window that must have an S; by default all of them.
    high, low : str
        Columns of the prices.

    Returns
    -------
    Same type as ``frame``
        With ``corwin_schultz`` added, a fraction (0.001 is 10 bps), not below zero. A bar has no S where a
        price of it or of the bar before is null, NaN, infinite or not above zero, or a high is below its low; null are
        windows that hold such a bar, unless ``min_samples`` allows for it, and those that are not full. **A
        gap**: a bar that does not follow the one before directly (within 1 %) has no S either.

    Raises
    ------
    InvalidInputError
        If window or min_samples is out of range.
    MissingColumnError, ColumnTypeError, DuplicateKeyError

    Notes
    -----
    There is no correction for a price that jumps between bars: markets here do not close. It is an average
    statement: where the spread is small beside the volatility of a bar its error is larger than itself.

    References
    ----------
    Corwin and Schultz (2012), A simple way to estimate bid-ask spreads from daily high and low prices, Journal
    of Finance 67.

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import date
    >>> days = [date(2024, 1, day) for day in range(1, 4)]
    >>> frame = pl.DataFrame({"timestamp": days, "high": [100.5, 100.6, 100.5], "low": [99.5, 99.6, 99.5]})
    >>> frame.crypto.corwin_schultz(window=2).round(6).to_list()
    [None, None, 0.007582]
    """
    samples = samples_of(window, min_samples)
    frame = with_bars(frame, interval)
    shift = shifted(frame)
    frame = frame.with_columns(positive(frame, high).alias("_high"), positive(frame, low).alias("_low"))
    high_, low_ = nw.col("_high"), nw.col("_low")
    frame = frame.with_columns(nw.when(high_ >= low_).then((high_ / low_).log() ** 2).alias("_range"))
    frame = frame.with_columns(shift(nw.col(c), 1).alias(f"{c}_before") for c in ("_high", "_low", "_range"))
    frame = with_moments(_with_spread(frame), {"_mean": ("_spread",)}, window, samples)
    return frame.with_columns(nw.col("_mean").clip(lower_bound=0.0).alias("corwin_schultz"))


def _with_spread(frame: Frame) -> Frame:
    """Add S of each bar and the one before it; null where the two are not to be had."""
    highest, lowest = nw.max_horizontal("_high", "_high_before"), nw.min_horizontal("_low", "_low_before")
    frame = frame.with_columns(
        nw.when("_adjacent").then(nw.col("_range") + nw.col("_range_before")).sqrt().alias("_root_beta"),
        (highest / lowest).log().alias("_root_gamma"),
    )
    alpha = nw.col("_root_beta") * ((math.sqrt(2) - 1) / _K) - nw.col("_root_gamma") / math.sqrt(_K)
    frame = frame.with_columns(alpha.exp().alias("_grown"))
    return frame.with_columns(((nw.col("_grown") - 1) * 2 / (nw.col("_grown") + 1)).alias("_spread"))
