"""What rows of settlements show before a metric runs: repeated, forward-filled, joined to bars, or evenly spaced.

All steps take whole columns of eager frames. Forward-filled rates are looked for in a sample of adjacent rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from cexkit.analytics._core.compat import INSTRUMENT
from cexkit.analytics._core.metric import Metric
from cexkit.analytics._core.order import Order, arrange
from cexkit.errors import DuplicateKeyError, ForwardFilledRateWarning, warn
from cexkit.schema.fields import INSTRUMENT_KEYS

_MINUTE_US = 60_000_000
#: Minutes between settlements that venues use, the longest first.
_INTERVALS = (480, 360, 240, 120, 60)
_DECLARED = "funding_interval_hours"
#: Adjacent rows per slice of the sample, and slices.
_SLICE, _SLICES = 2_500, 4
#: Fewer rows of an instrument say nothing, and fewer nothing about the most frequent rate.
_FEWEST, _ENOUGH = 8, 30
#: Minutes → rate at which venues settle if nothing moves it: 0.01% for 8 hours, and in proportion.
_BASELINES = {480: 0.0001, 240: 0.00005}
#: Chance that rates of real settlements change only at every k-th row: below the first, one instrument suffices;
#: below the second, it must be half of them.
_CERTAIN, _LIKELY = 1e-6, 0.02
#: Farther than any settlement is from another, in microseconds.
_FAR = 2**62


def check(metric: Metric, frame: pl.DataFrame, arguments: Mapping[str, Any]) -> None:
    """Raise for repeated settlements and warn of forward-filled rates, of a frame in any order.

    Rows without a rate do not count as settlements here.
    """
    rate = metric.column("funding_rate", arguments)
    if rate not in frame.columns:
        return
    known = _known(frame.get_column(rate))
    rows = frame if known.all() else frame.filter(known)
    keys = [rows.get_column(name) for name in INSTRUMENT_KEYS if name in rows.columns]
    order = arrange(rows.get_column("timestamp"), keys, lambda: None)
    times = _microseconds(order.times)
    _check_unique(metric, times, _distances(times, order.instruments))
    _check_filled(metric, rows, order, rate)


def check_payments(metric: Metric, frame: pl.DataFrame, arguments: Mapping[str, Any]) -> None:
    """Warn of forward-filled rates, of a frame that may hold several payments of a settlement."""
    rate = metric.column("funding_rate", arguments)
    if rate not in frame.columns or not isinstance(frame.schema.get("timestamp"), pl.Datetime | pl.Date):
        return
    keys = [name for name in INSTRUMENT_KEYS if name in frame.columns]
    rows = frame.filter(_known(frame.get_column(rate)), pl.col("timestamp").is_not_null())
    rows = rows.unique([*keys, "timestamp"], keep="first", maintain_order=True)
    order = arrange(rows.get_column("timestamp"), [rows.get_column(name) for name in keys], lambda: None)
    _check_filled(metric, rows, order, rate)


def prepared(metric: Metric, work: pl.DataFrame, order: Order, arguments: Mapping[str, Any]) -> pl.Series | None:
    """Check the rows that a metric appends to, and return what saves it work, for the rows in order; None if nothing.

    It is a column ``_settled`` if an instrument has rows between settlements, and ``_hours`` if each instrument is
    evenly spaced by an interval and lacks no settlement.
    """
    rate = metric.column("funding_rate", arguments)
    times, instruments = _microseconds(order.times), order.instruments
    added = _settled(work, order, rate) if rate in work.columns else None
    if added is None:
        _check_unique(metric, times, distances := _distances(times, instruments))
        added = _even_hours(work, distances, instruments)
    else:
        times = times.filter(added)
        _check_unique(metric, times, _distances(times, instruments.filter(added)))
    if rate in work.columns:
        _check_filled(metric, work, order, rate)
    return added


def _known(rates: pl.Series) -> pl.Series:
    return rates.cast(pl.Float64).is_finite().fill_null(False)


def _microseconds(times: pl.Series) -> pl.Series:
    """Return microseconds since 1970."""
    return times.cast(pl.Datetime("us")).to_physical()


def _in_order(values: pl.Series, order: Order) -> pl.Series:
    return values if order.rows is None else values[pl.Series(order.rows)]


def _same(instruments: pl.Series) -> pl.Series:
    """Return whether a row is of the instrument of the row before it, from the second on."""
    return instruments.slice(1) == instruments.slice(0, max(len(instruments) - 1, 0))


def _distances(times: pl.Series, instruments: pl.Series) -> np.ndarray:
    """Return microseconds from each row to the next one; ``_FAR`` if that is of another instrument."""
    distances = np.diff(times.to_numpy())
    distances[np.diff(instruments.to_numpy()) != 0] = _FAR
    return distances


def _check_unique(metric: Metric, times: pl.Series, distances: np.ndarray) -> None:
    """Raise DuplicateKeyError if two settlements of an instrument are less than a minute apart."""
    close = distances < _MINUTE_US
    if close.any():
        pair = times.slice(int(close.argmax()), 2).cast(pl.Datetime("us"))
        raise DuplicateKeyError(
            f"{metric.name}: {close.sum()} settlements follow another one of their instrument within a minute, "
            f"for example {pair[0]} and {pair[1]}; a settlement is identified by its minute, so drop duplicates first"
        )


def _settled(work: pl.DataFrame, order: Order, rate: str) -> pl.Series | None:
    """Return which rows are settlements, in order; None if all are.

    If half of an instrument's rows or more have no rate, rows without one are bars or snapshots.
    """
    rates = work.get_column(rate).cast(pl.Float64)
    if not rates.null_count() and math.isfinite(rates.sum()):
        return None
    known = _in_order(_known(rates), order)
    shares = pl.DataFrame([order.instruments, known.alias("known")]).group_by(INSTRUMENT).agg(pl.col("known").mean())
    mostly = shares.filter(pl.col("known") > 0.5).get_column(INSTRUMENT)
    if len(mostly) == shares.height:
        return None
    return (known | order.instruments.is_in(mostly.implode())).alias("_settled")


def _even_hours(work: pl.DataFrame, distances: np.ndarray, instruments: pl.Series) -> pl.Series | None:
    """Return the interval of each row if all instruments are evenly spaced and no settlement is missing."""
    ends = np.append(np.flatnonzero(distances == _FAR), len(distances))
    starts = np.concatenate([[0], ends[:-1] + 1])
    if (ends == starts).any():  # an instrument with a single settlement has no distance
        return None
    least = _to_minutes(np.minimum.reduceat(distances, starts))
    distances[ends[:-1]] = 0
    most = _to_minutes(np.maximum.reduceat(distances, starts))
    hours = (least + 30) // 60
    if not (np.isin(hours * 60, _INTERVALS) & (least >= hours * 60 - 1) & (most <= hours * 60 + 1)).all():
        return None
    if _DECLARED in work.columns:
        declared = work.get_column(_DECLARED).cast(pl.Float64).min()
        if isinstance(declared, float) and not declared * 2 > hours.max():
            return None
    if (hours == hours[0]).all():
        return pl.Series("_hours", [float(hours[0])]).new_from_index(0, len(instruments))
    return pl.Series("_hours", hours.astype(float)).gather(instruments)


def _to_minutes(microseconds: np.ndarray) -> np.ndarray:
    return (microseconds + _MINUTE_US // 2) // _MINUTE_US


def _check_filled(metric: Metric, work: pl.DataFrame, order: Order, rate: str) -> None:
    """Warn if rates are of longer intervals than the rows, as those that are filled forward to bars."""
    found = [chance for rows in _sample(work, order, rate) if (chance := _chance(*rows)) is not None]
    likely = [one for one in found if one[0] <= _LIKELY]
    if len(likely) * 2 < len(found):
        likely = [one for one in likely if one[0] <= _CERTAIN]
    if likely:
        _, interval, step = min(likely)
        warn(
            f"{metric.name}: rows are {step} minutes apart but their rates are of {interval // 60} hours, so they were "
            "filled forward and each settlement counts several times; keep only the rows at which funding was settled",
            ForwardFilledRateWarning,
        )


def _sample(work: pl.DataFrame, order: Order, rate: str) -> Iterator[tuple[pl.Series, pl.Series]]:
    """Give minutes and rates of adjacent settlements, by instrument."""
    columns, length = work.select("timestamp", rate), _SLICE if work.height > _SLICE * _SLICES else work.height
    cuts = [(work.height - length) * cut // (_SLICES - 1) for cut in range(_SLICES)] if length < work.height else [0]
    for cut in cuts:
        part = order.take(columns, cut, cut + length)
        part = part.filter(_known(part.get_column(rate)))
        minutes = (_microseconds(part.get_column("timestamp")) + _MINUTE_US // 2) // _MINUTE_US
        rates = part.get_column(rate)
        starts = [0, *((~_same(part.get_column(INSTRUMENT))).arg_true() + 1), part.height]
        for start, end in pairwise(starts):
            if end - start > _FEWEST:
                yield minutes.slice(start, end - start), rates.slice(start, end - start)


def _chance(minutes: pl.Series, rates: pl.Series) -> tuple[float, int, int] | None:
    """Return the chance that settlements look forward-filled, the interval that they suggest, and the step of rows.

    Half of the rates or more are the venues' baseline of a longer interval, or rates change only when a longer interval
    ends. None if the rate changes less than twice. If k rows make an interval, rates of real settlements change only
    with every k-th row by a chance of one in k for each change after the first. A rate that also changes with each
    interval is as telling in fewer rows.
    """
    step = int(minutes.diff().median())  # type: ignore[arg-type]
    for interval, baseline in _BASELINES.items():
        if len(rates) >= _ENOUGH and step < interval and (rates == baseline).sum() * 2 >= len(rates):
            return 0.0, interval, step
    changes = minutes.slice(1).filter(rates.slice(1) != rates.slice(0, len(rates) - 1))
    if len(changes) < 2:
        return None
    steps = changes.diff().slice(1)
    common = math.gcd(*steps)
    interval = next((one for one in _INTERVALS if common % one == 0 and one >= 2 * step > 0), 0)
    if not interval:
        return 1.0, 0, step
    chance = (interval / step) ** (1.0 - len(changes))
    each = (steps == interval).all() and max(changes[0] - minutes[0], minutes[-1] - changes[-1]) <= interval
    return (min(chance, _LIKELY) if each else chance), interval, step
