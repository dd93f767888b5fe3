"""Hours that a settlement covers: declared, derived from the times of settlements, or unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import narwhals.stable.v2 as nw

from cexkit.analytics._core.compat import (
    Frame,
    hours_of_duration,
    names,
    number,
    per_instrument,
    shifted,
    text,
    with_possible_us,
)
from cexkit.analytics._core.hours import LONGEST, Hours, hours_of_text, to_hours

#: Hours between settlements that venues use.
INTERVALS: tuple[int, ...] = (1, 2, 4, 6, 8)
DECLARED = "funding_interval_hours"

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
_MINUTES = [hours * 60 for hours in INTERVALS]


def declared_hours(frame: Frame) -> nw.Expr:
    """Return ``funding_interval_hours`` as a float; null unless it is above 0 and at most 24 hours."""
    dtype = frame.collect_schema()[DECLARED]
    if dtype in (nw.String, nw.Categorical, nw.Enum):
        known = (nw.when(text(DECLARED) == name).then(nw.lit(hours)) for name, hours in _TEXTS.items())
        return nw.coalesce(*known, nw.lit(None, nw.Float64))
    value = hours_of_duration(DECLARED) if dtype == nw.Duration else number(frame, DECLARED)
    return nw.when(value > 0, value <= LONGEST).then(value)


#: Texts that lazy and Ibis frames understand; eager frames take every duration.
_TEXTS: Mapping[str, float] = MappingProxyType(
    {
        name: hours_of_text(name)
        for name in (*(f"{n}h" for n in range(1, LONGEST + 1)), *(f"{minutes}m" for minutes in _MINUTES), "1d")
    }
)


def with_distance(frame: Frame, separate_by: Sequence[str] = ()) -> Frame:
    """Add ``_distance``, whole minutes since the previous settlement, snapped to the hour within one minute."""
    frame = with_possible_us(frame, "_us")
    frame = frame.with_columns(shifted(frame, separate_by)(nw.col("_us"), 1).alias("_previous"))
    frame = frame.with_columns(((nw.col("_us") - nw.col("_previous") + MINUTE_US // 2) // MINUTE_US).alias("_minutes"))
    minutes = nw.col("_minutes")
    frame = frame.with_columns(((minutes + 30) // 60 * 60).alias("_hour"))
    near = (minutes - nw.col("_hour")).abs() <= 1
    return frame.with_columns(nw.when(near).then(nw.col("_hour")).otherwise(minutes).alias("_distance"))


def derive(frame: Frame, separate_by: Sequence[str] = ()) -> Frame:
    """Add ``_derived`` (hours, null if in doubt) and ``_doubt`` (gap or doubt) from ``_distance``.

    ``_found`` holds minutes: below zero after a gap, 0 for doubt, null for the only settlement.
    """
    shift = shifted(frame, separate_by)
    distance, before, after = nw.col("_distance"), nw.col("_before"), nw.col("_after")
    # 0 means no distance: it equals none, and no distance is a multiple of it.
    steps = {"_before": 1, "_before2": 2, "_after": -1, "_after2": -2}
    frame = frame.with_columns(shift(distance, n).fill_null(0).alias(name) for name, n in steps.items())
    frame = frame.with_columns(
        nw.col(name).is_in(_MINUTES).alias(f"_fits{name}") for name in ("_distance", "_before", "_after", "_after2")
    )
    frame = frame.with_columns(
        (nw.col("_fits_before") & (distance > before) & (distance % before == 0)).alias("_over_before"),
        (nw.col("_fits_after") & (distance > after) & (distance % after == 0)).alias("_over_after"),
        ((distance == before) | (distance == after)).alias("_repeated"),
        _supported(distance, before, after).alias("_supported"),
        _pair().alias("_pair"),
    )
    pair_steps = {"_pair_before": 1, "_pair_before2": 2, "_pair_after": -1}
    frame = frame.with_columns(shift(nw.col("_pair"), n).alias(name) for name, n in pair_steps.items())
    frame = frame.with_columns(_found().alias("_found"))
    # The first settlement of an instrument has no distance, so it shares the interval of the second.
    frame = frame.with_columns(shift(nw.col("_found"), -1).alias("_next"))
    frame = frame.with_columns(nw.coalesce("_found", "_next").alias("_found"))
    found = nw.col("_found")
    return frame.with_columns(
        (nw.when(found != 0).then(found.abs()).cast(nw.Float64) / 60).alias("_derived"),
        (found <= 0).fill_null(False).alias("_doubt"),
    )


def _supported(distance: nw.Expr, before: nw.Expr, after: nw.Expr) -> nw.Expr:
    """Return whether a single distance is next to those that a series with this interval can have, or alone."""
    alone = (before == 0) & (after == 0)
    gap_before = (before > distance) & (before % distance == 0)
    gap_after = (after > distance) & (after % distance == 0)
    return alone | nw.col("_fits_before") | nw.col("_fits_after") | gap_before | gap_after


def _pair() -> nw.Expr:
    """Return what this distance and the next say about a settlement that is early or late.

    Minutes of the interval if the two are a displacement, 0 if they may be one and nothing decides, -1 otherwise. A
    distance that the one outside of the pair repeats is an interval, so it is not part of a displacement.
    """
    distance, before, after, beyond = (nw.col(name) for name in ("_distance", "_before", "_after", "_after2"))
    both = distance + after
    single = (distance > 0) & (after > 0) & (distance != after) & (distance != before) & (after != beyond)
    enclosed = single & nw.col("_fits_before") & (before == beyond)
    displaced = enclosed & _twice(both, before)
    # 18 h, then 6 h: a settlement is missing and the next one is late
    with_gap = enclosed & (distance % before != 0) & ((both + 1) % before <= 2)
    one_side = (nw.col("_fits_before") & _twice(both, before)) | (nw.col("_fits_after2") & _twice(both, beyond))
    no_side = (before == 0) & (beyond == 0) & both.is_in([2 * m + rest for m in _MINUTES for rest in (-1, 0, 1)])
    undecided = single & (with_gap | one_side | no_side)
    open_or_none = nw.when(undecided).then(distance * 0).otherwise(distance * 0 - 1)
    return nw.when(displaced).then(before).otherwise(open_or_none)


def _twice(both: nw.Expr, interval: nw.Expr) -> nw.Expr:
    """Return whether two distances add up to two intervals, within one minute."""
    return (both - interval * 2).abs() <= 1


def _found() -> nw.Expr:
    """Return minutes of the interval; below zero for a gap, 0 for doubt, null for a first settlement."""
    distance, before, after = nw.col("_distance"), nw.col("_before"), nw.col("_after")
    over_before, over_after = nw.col("_over_before"), nw.col("_over_after")
    pair, second = nw.col("_pair"), nw.col("_pair_before")
    gaps_first = (distance == after) & (before == nw.col("_after2")) & over_before
    gaps_second = (distance == before) & (nw.col("_before2") == after) & over_after
    single = nw.col("_supported") & ~over_before & ~over_after
    next_to_pair = (nw.col("_pair_after") == distance) | (nw.col("_pair_before2") == distance)
    known = nw.col("_fits_distance") & (nw.col("_repeated") | single | next_to_pair.fill_null(False))
    known = known & ~gaps_first & ~gaps_second
    # 10 h, 8 h, 6 h among 8 h: two settlements in a row are late
    undone = _twice(distance + nw.col("_before2"), before) | _twice(distance + nw.col("_after2"), before)
    undone = undone & (before == after) & nw.col("_fits_before") & (distance != before)
    undecided = (pair == 0) | (second == 0) | undone
    cases = (
        (over_before & (before == after), -before),
        (pair > 0, pair),
        (second > 0, second),
        (undecided, distance * 0),
        (known, distance),
    )
    found = distance * 0
    for condition, minutes in reversed(cases):
        found = nw.when(condition).then(minutes).otherwise(found)
    return found


def with_hours(frame: Frame, interval_hours: Hours | None, separate_by: Sequence[str] = ()) -> Frame:
    """Add ``_covered``: the hours that a settlement covers, from argument, column or times, in this order.

    Rows that differ in the columns ``separate_by`` belong to different series.
    """
    if interval_hours is not None:
        return frame.with_columns(nw.lit(to_hours(interval_hours)).alias("_covered"))
    present = names(frame)
    # Metrics that append have times only if there is something to derive.
    if "timestamp" not in present or _declared_throughout(frame):
        return frame.with_columns(declared_hours(frame).alias("_covered"))
    if "_hours" in present:
        frame = frame.with_columns(nw.col("_hours").alias("_derived"))
    else:
        frame = derive(with_distance(frame, separate_by), separate_by)
    hours = [declared_hours(frame)] if DECLARED in present else []
    return frame.with_columns(nw.coalesce(*hours, nw.col("_derived")).alias("_covered"))


def _declared_throughout(frame: Frame) -> bool:
    """Return whether no row of an eager frame needs its hours derived; False for lazy and empty frames."""
    if not isinstance(frame, nw.DataFrame) or DECLARED not in frame.columns or frame.is_empty():
        return False
    hours = frame.get_column(DECLARED)
    return not hours.null_count() and bool(((hours > 0) & (hours <= LONGEST)).all())


def with_settled(frame: Frame, rate: str) -> tuple[Frame, tuple[str, ...]]:
    """Add ``_settled`` and return what separates settlements from other rows.

    If half of an instrument's rows or more have no rate, they are bars or snapshots that were joined to settlements.
    Otherwise such a row is a settlement whose rate is not known. The core adds the column to eager frames that need it.
    """
    if isinstance(frame, nw.DataFrame):
        return frame, (("_settled",) if "_settled" in names(frame) else ())
    frame = frame.with_columns((~number(frame, rate).is_null()).alias("_rated"))
    share = per_instrument(frame)(nw.col("_rated").cast(nw.Float64).mean())
    frame = frame.with_columns(share.alias("_share"))
    return frame.with_columns((nw.col("_rated") | (nw.col("_share") > 0.5)).alias("_settled")), ("_settled",)


def with_missing(frame: Frame, interval_hours: Hours | None = None, separate_by: Sequence[str] = ()) -> Frame:
    """Add ``_covered``, as :func:`with_hours` does, and ``_missing``: whether settlements are missing before a row.

    Times that leave the interval open count as missing, with one exception: a distance that is not longer than the
    next one and than any interval. A venue that changes to a longer interval has one (1 h, 1 h, 3 h, 4 h, 4 h).
    """
    frame = derive(with_distance(frame, separate_by), separate_by)
    distance, after, found = nw.col("_distance"), nw.col("_after"), nw.col("_found")
    change = (distance <= after) & (distance <= max(_MINUTES))
    derived = ~distance.is_null() & (found <= 0) & ~((found == 0) & change)
    if interval_hours is not None:
        hours = nw.lit(to_hours(interval_hours))
    else:
        hours = declared_hours(frame) if DECLARED in names(frame) else nw.lit(None, nw.Float64)
    frame = frame.with_columns(hours.alias("_stated"), derived.fill_null(False).alias("_unclear"))
    stated = nw.col("_stated")
    gap = (nw.col("_minutes") + 1 >= stated * 120).fill_null(False)
    return frame.with_columns(
        nw.coalesce(stated, nw.col("_derived")).alias("_covered"),
        nw.when(stated.is_null()).then(nw.col("_unclear")).otherwise(gap).alias("_missing"),
        _is_again().alias("_again"),
    )


def with_ends(frame: Frame) -> Frame:
    """Add ``_lost_before`` and ``_lost_after``: whether settlements are missing at the ends of an instrument's rows.

    Both are True only at its first or last settlement, if another one was due between it and the first or last row. One
    due at the first row is not missed, because the instrument may be listed since then. The frame has ``_settled`` and
    what :func:`with_missing` adds; one that lacks rows that are not settlements has ``_begin`` and ``_end`` as well.
    """
    over, us, present = per_instrument(frame), nw.col("_us"), names(frame)
    settled_at = nw.when(nw.col("_settled")).then(us)
    ends = {"_begin": us.min(), "_end": us.max(), "_earliest": settled_at.min(), "_latest": settled_at.max()}
    frame = frame.with_columns(over(time).alias(name) for name, time in ends.items() if name not in present)
    # Where the interval is open, it is the longest: a longer one does not exist.
    span = (nw.coalesce("_covered", nw.lit(float(max(INTERVALS)))) * HOUR_US).cast(nw.Int64)
    before = (us == nw.col("_earliest")) & (us - span > nw.col("_begin") + MINUTE_US)
    after = (us == nw.col("_latest")) & (us + span <= nw.col("_end") + MINUTE_US)
    return frame.with_columns(
        span.alias("_span"),
        (nw.col("_settled") & before).fill_null(False).alias("_lost_before"),
        (nw.col("_settled") & after).fill_null(False).alias("_lost_after"),
    )


def with_again(frame: Frame, separate_by: Sequence[str] = ()) -> Frame:
    """Add ``_again``: whether a settlement is the one before it again, because both are of one minute.

    Eager frames with such settlements are refused before.
    """
    if isinstance(frame, nw.DataFrame):
        return frame.with_columns(nw.lit(False).alias("_again"))
    return with_distance(frame, separate_by).with_columns(_is_again().alias("_again"))


def _is_again() -> nw.Expr:
    return (nw.col("_us") - nw.col("_previous") < MINUTE_US).fill_null(False)
