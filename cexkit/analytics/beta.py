"""How an instrument moves with the market: rolling beta and correlation against a benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl

from cexkit.analytics._core.compat import Column, Frame, instrument_keys, positive, shifted, text, with_moments
from cexkit.analytics._core.registry import metric
from cexkit.analytics.volatility import samples_of
from cexkit.schema.names import fold, resolve

# a variance of log returns below this is rounding of the prices, which float64 holds to 1e-16
_FLAT = 1e-24


def _inputs(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    return ("close", "benchmark") if arguments["benchmark"] is None else ("close", "symbol")


def _inspect(frame: pl.DataFrame, arguments: Mapping[str, Any]) -> None:
    benchmark = arguments["benchmark"]
    if benchmark is None or not frame.height:
        return
    symbols = frame["symbol"].cast(pl.String).unique().drop_nulls().to_list()
    resolve("benchmark", benchmark, symbols)


@metric(kind="rolling", inputs=("close", "benchmark"), outputs=("beta",), requires=_inputs, inspects=_inspect)
def beta(
    frame: Frame,
    *,
    benchmark: str | None = None,
    window: int = 30,
    min_samples: int | None = None,
    price: Column = "close",
    benchmark_price: Column = "benchmark",
) -> Frame:
    """Beta of the trailing bars, ``cov(r, m) / var(m)``, of log returns r against those of a benchmark m.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        Bars: ``timestamp``, a price, and either the benchmark's price in a column of its own or its rows.
    benchmark : str, optional
        Symbol whose rows in this frame are the benchmark, such as ``"BTCUSDT"``, else the one in another case: those of
        the same exchange and instrument type, as far as these are columns, at the same timestamp. By default the
        column ``benchmark_price`` is.
    window : int
        Bars in the trailing window; the row's own bar is the last of them.
    min_samples : int, optional
        Pairs of returns that the window must hold; by default one in each of its bars.
    price, benchmark_price : str
        Columns of the prices.

    Returns
    -------
    Same type as ``frame``
        With ``beta`` added, a ratio: 1.5 moves by 1.5 % where the benchmark moves by 1 %. That of the
        benchmark itself is 1. Both returns of a pair reach from the instrument's previous row to this one, so
        that **a gap** shifts nothing: over it both span the same time. There is no pair where one of the four
        prices is null, NaN, infinite, not above zero or not there; null are windows that lack one, unless
        ``min_samples`` allows for it, and those in which the benchmark does not move.

    Raises
    ------
    UnknownNameError
        If no row is of the benchmark (eager frames; on lazy and Ibis frames all is null).
    AmbiguousInstrumentError
        If several symbols differ from it in case only (eager frames; on lazy and Ibis frames all is null).
    InvalidInputError
        If window or min_samples is out of range.
    MissingColumnError, ColumnTypeError, DuplicateKeyError

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import date
    >>> frame = pl.DataFrame({
    ...     "timestamp": [date(2024, 1, day) for day in range(1, 5)],
    ...     "close": [100.0, 121.0, 100.0, 121.0],
    ...     "benchmark": [100.0, 110.0, 100.0, 110.0],
    ... })
    >>> frame.crypto.beta(window=3).round(6).to_list()
    [None, None, None, 2.0]
    """
    frame = _with_moments(frame, benchmark, window, min_samples, price, benchmark_price)
    moves = nw.col("_var_market") > _FLAT
    return frame.with_columns(nw.when(moves).then(nw.col("_cov") / nw.col("_var_market")).alias("beta"))


@metric(kind="rolling", inputs=("close", "benchmark"), outputs=("correlation",), requires=_inputs, inspects=_inspect)
def correlation(
    frame: Frame,
    *,
    benchmark: str | None = None,
    window: int = 30,
    min_samples: int | None = None,
    price: Column = "close",
    benchmark_price: Column = "benchmark",
) -> Frame:
    """Correlation of the trailing bars, ``cov(r, m) / (sd(r) sd(m))``, of log returns with a benchmark's.

    Parameters
    ----------
    frame, benchmark, window, min_samples, price, benchmark_price
        As for :func:`beta`.

    Returns
    -------
    Same type as ``frame``
        With ``correlation`` added, from -1 to 1; that of the benchmark with itself is 1. Null where
        :func:`beta` is, and where the instrument itself does not move in the window; a gap is treated as there.

    Raises
    ------
    UnknownNameError, AmbiguousInstrumentError, InvalidInputError
    MissingColumnError, ColumnTypeError, DuplicateKeyError
        As for :func:`beta`.

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import date
    >>> frame = pl.DataFrame({
    ...     "timestamp": [date(2024, 1, day) for day in range(1, 5)],
    ...     "close": [100.0, 121.0, 100.0, 121.0],
    ...     "benchmark": [110.0, 100.0, 110.0, 100.0],
    ... })
    >>> frame.crypto.correlation(window=3).round(6).to_list()
    [None, None, None, -1.0]
    """
    frame = _with_moments(frame, benchmark, window, min_samples, price, benchmark_price)
    move = (nw.col("_var_market") > _FLAT) & (nw.col("_var_own") > _FLAT)
    scale = nw.when(move).then(nw.col("_var_market").sqrt() * nw.col("_var_own").sqrt())
    # rounding alone can lead beyond 1
    return frame.with_columns((nw.col("_cov") / scale).clip(-1.0, 1.0).alias("correlation"))


def _with_moments(
    frame: Frame, benchmark: str | None, window: int, min_samples: int | None, price: str, benchmark_price: str
) -> Frame:
    """Add variances and covariance of the trailing pairs of returns."""
    shift, samples = shifted(frame), samples_of(window, min_samples)
    frame = _with_prices(frame, benchmark, price, benchmark_price)
    frame = frame.with_columns(
        shift(nw.col("_price"), 1).alias("_price_before"), shift(nw.col("_market"), 1).alias("_market_before")
    )
    frame = frame.with_columns(
        (nw.col("_price") / nw.col("_price_before")).log().alias("_own"),
        (nw.col("_market") / nw.col("_market_before")).log().alias("_other"),
    )
    paired = ~nw.col("_own").is_null() & ~nw.col("_other").is_null()
    frame = frame.with_columns(nw.when(paired).then(nw.col(name)).alias(name) for name in ("_own", "_other"))
    moments = {"_var_market": ("_other", "_other"), "_var_own": ("_own", "_own"), "_cov": ("_own", "_other")}
    return with_moments(frame, moments, window, samples)


def _with_prices(frame: Frame, benchmark: str | None, price: str, benchmark_price: str) -> Frame:
    """Add the row's own price and the benchmark's at the same time."""
    frame = frame.with_columns(positive(frame, price).alias("_price"))
    if benchmark is None:
        return frame.with_columns(positive(frame, benchmark_price).alias("_market"))
    # an aggregate over the moment, not a join: the rows stay as they are
    moment = [key for key in instrument_keys(frame) if key != "symbol"]
    frame = _with_benchmark(frame, benchmark)
    frame = frame.with_columns(nw.when(nw.col("_named") == text("symbol")).then(nw.col("_price")).alias("_market"))
    return frame.with_columns(nw.col("_market").max().over(*moment, "timestamp"))


def _with_benchmark(frame: Frame, benchmark: str) -> Frame:
    """Add the symbol that a benchmark means in ``_named``: itself, else the only one in another case, else null."""
    symbol = text("symbol")
    alike = nw.when(symbol.str.to_lowercase() == fold(benchmark)).then(symbol)
    same = nw.when(symbol == benchmark).then(symbol)
    frame = frame.with_columns(alike.alias("_alike"), same.alias("_same"), nw.lit(0).alias("_all"))
    first, last, exact = (
        getattr(nw.col(name), how)().over("_all")
        for name, how in (("_alike", "min"), ("_alike", "max"), ("_same", "max"))
    )
    frame = frame.with_columns(first.alias("_alike"), last.alias("_last"), exact.alias("_same"))
    only = nw.when(nw.col("_alike") == nw.col("_last")).then(nw.col("_alike"))
    return frame.with_columns(nw.when(~nw.col("_same").is_null()).then(nw.col("_same")).otherwise(only).alias("_named"))
