"""Realized volatility of price bars."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import narwhals.stable.v2 as nw

from cexkit.analytics._core.compat import (
    Column,
    Frame,
    Moment,
    per_instrument,
    positive,
    shifted,
    with_moments,
    with_possible_us,
)
from cexkit.analytics._core.registry import metric
from cexkit.errors import InvalidInputError, UnknownNameError
from cexkit.schema.intervals import seconds
from cexkit.schema.scalars import is_among

#: Longest window; engines count rows in 32 bits.
MOST_ROWS = 2**31 - 1
YEAR_US = 365 * 86_400 * 1_000_000

Estimator = Literal["close", "parkinson", "garman_klass", "rogers_satchell", "yang_zhang"]
#: Prices that each estimator reads.
ESTIMATORS: dict[str, tuple[str, ...]] = {
    "close": ("close",),
    "parkinson": ("high", "low"),
    "garman_klass": ("open", "high", "low", "close"),
    "rogers_satchell": ("open", "high", "low", "close"),
    "yang_zhang": ("open", "high", "low", "close"),
}


def _prices(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    estimator = arguments["estimator"]
    if not is_among(estimator, ESTIMATORS):
        raise UnknownNameError.of("estimator", estimator, ESTIMATORS)
    return ESTIMATORS[estimator]


@metric(kind="rolling", inputs=("close",), outputs=("realized_volatility",), requires=_prices)
def realized_volatility(
    frame: Frame,
    *,
    window: int = 30,
    estimator: Estimator = "close",
    interval: str | None = None,
    min_samples: int | None = None,
    open: Column = "open",
    high: Column = "high",
    low: Column = "low",
    price: Column = "close",
) -> Frame:
    """Volatility of the trailing bars per year of 365 days, ``sqrt(A * variance)``.

    A is the number of bars in 365 days of 24 h: crypto trades without a break.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        Bars: ``timestamp`` (open time) and the prices that the estimator reads.
    window : int
        Bars in the trailing window; the row's own bar is the last of them.
    estimator : str
        How the variance of one bar is measured. Over the N bars of the window, with ln O, H, L, C of a
        bar and C' the close before it:

        * ``close``: sample variance (N - 1) of ln(C/C').
        * ``parkinson``: mean of ln(H/L)^2 / (4 ln 2).
        * ``garman_klass``: mean of ln(H/L)^2 / 2 - (2 ln 2 - 1) ln(C/O)^2.
        * ``rogers_satchell``: mean of ln(H/C) ln(H/O) + ln(L/C) ln(L/O).
        * ``yang_zhang``: var ln(O/C') + k var ln(C/O) + (1 - k) Rogers-Satchell, with
          k = 0.34 / (1.34 + (N + 1) / (N - 1)).
    interval : str, optional
        Length of a bar, such as ``"1h"`` or ``"1d"``. By default the median distance between all rows of the
        instrument, later ones too: say it where the length changes.
    min_samples : int, optional
        Bars in the window that must have a value; by default all of them.
    open, high, low, price : str
        Columns of the prices.

    Returns
    -------
    Same type as ``frame``
        With ``realized_volatility`` added, a fraction per square root of a year (0.5 is 50 %). Null until
        the window is full. **A gap**: a return over anything but one bar (within 1 %) is no one-bar return
        and is left out, so that windows over a gap are null unless ``min_samples`` allows for it. Null,
        NaN, infinite and non-positive prices are left out likewise.

    Raises
    ------
    UnknownNameError
        If the estimator is not known.
    InvalidInputError
        If window or min_samples is out of range.
    MissingColumnError, ColumnTypeError, DuplicateKeyError

    References
    ----------
    Parkinson (1980); Garman and Klass (1980); Rogers and Satchell (1991); Yang and Zhang (2000).

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import date
    >>> days = [date(2024, 1, day) for day in range(1, 6)]
    >>> frame = pl.DataFrame({"timestamp": days, "close": [100.0, 101.0, 100.0, 101.0, 100.0]})
    >>> frame.crypto.realized_volatility(window=3).round(4).to_list()
    [None, None, None, 0.2195, 0.2195]
    """
    samples = samples_of(window, min_samples)
    prices = {"open": open, "high": high, "low": low, "close": price}
    frame = _with_terms(with_bars(frame, interval), estimator, prices)
    parts = _parts(estimator, window)
    frame = with_moments(frame, {name: of for name, (of, _) in parts.items()}, window, samples)
    variance = sum((nw.col(name) * weight for name, (_, weight) in parts.items()), nw.lit(0.0))
    frame = frame.with_columns((variance * YEAR_US / positive(frame, "_bar")).alias("_variance"))
    return frame.with_columns(
        nw.when(nw.col("_variance") >= 0).then(nw.col("_variance")).sqrt().alias("realized_volatility")
    )


def samples_of(window: int, min_samples: int | None) -> int:
    """Values that a window must hold; raises if one is out of range."""
    samples = window if min_samples is None else min_samples
    if not (isinstance(window, int) and isinstance(samples, int) and 2 <= samples <= window <= MOST_ROWS):
        raise InvalidInputError(
            f"window={window!r}, min_samples={min_samples!r}: both are whole numbers, 2 <= min_samples <= window, and "
            f"window is at most {MOST_ROWS:,}"
        )
    return samples


def with_bars(frame: Frame, interval: str | None) -> Frame:
    """Add ``_bar``, microseconds of a bar, and ``_adjacent``: whether the row before is one bar away."""
    frame = with_possible_us(frame, "_us")
    frame = frame.with_columns((nw.col("_us") - shifted(frame)(nw.col("_us"), 1)).cast(nw.Float64).alias("_step"))
    if interval is None:
        frame = frame.with_columns(per_instrument(frame)(nw.col("_step").median()).alias("_bar"))
    else:
        frame = frame.with_columns(nw.lit(seconds(interval) * 1e6).alias("_bar"))
    off = (nw.col("_step") - nw.col("_bar")).abs()
    return frame.with_columns((off * 100 <= nw.col("_bar")).fill_null(False).alias("_adjacent"))


def _with_terms(frame: Frame, estimator: str, prices: Mapping[str, str]) -> Frame:
    """Add what one bar gives to the variance; the columns are those of :func:`_parts`."""
    if estimator in ("close", "yang_zhang"):
        frame = frame.with_columns(shifted(frame)(positive(frame, prices["close"]), 1).alias("_close_before"))

    def ln(above: str, below: str) -> nw.Expr:
        return (positive(frame, prices.get(above, above)) / positive(frame, prices.get(below, below))).log()

    adjacent = nw.col("_adjacent")
    if estimator == "close":
        return frame.with_columns(nw.when(adjacent).then(ln("close", "_close_before")).alias("_return"))
    if estimator == "parkinson":
        return frame.with_columns((ln("high", "low") ** 2 / (4 * math.log(2))).alias("_range"))
    body = ln("close", "open")
    if estimator == "garman_klass":
        return frame.with_columns((ln("high", "low") ** 2 / 2 - (2 * math.log(2) - 1) * body**2).alias("_range"))
    range_ = ln("high", "close") * ln("high", "open") + ln("low", "close") * ln("low", "open")
    if estimator == "rogers_satchell":
        return frame.with_columns(range_.alias("_range"))
    frame = frame.with_columns(nw.when(adjacent).then(ln("open", "_close_before")).alias("_jump"))
    # the three parts are taken over the same bars: those that have all of them
    whole = ~nw.col("_jump").is_null() & ~body.is_null() & ~range_.is_null()
    terms = {"_jump": nw.col("_jump"), "_body": body, "_range": range_}
    return frame.with_columns(nw.when(whole).then(term).alias(name) for name, term in terms.items())


def _parts(estimator: str, window: int) -> dict[str, tuple[Moment, float]]:
    """The variance of a window as a weighted sum of moments of the terms."""
    if estimator == "close":
        return {"_var": (("_return", "_return"), 1.0)}
    if estimator == "yang_zhang":
        k = 0.34 / (1.34 + (window + 1) / (window - 1))
        between = {"_var_jump": (("_jump", "_jump"), 1.0), "_var_body": (("_body", "_body"), k)}
        return {**between, "_mean": (("_range",), 1 - k)}
    return {"_mean": (("_range",), 1.0)}
