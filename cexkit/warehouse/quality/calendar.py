"""Checks of completeness in time: gaps in each instrument's calendar, and the age of its newest row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

from cexkit.schema import INSTRUMENT_KEYS, Table
from cexkit.warehouse.quality.catalog import named
from cexkit.warehouse.quality.facts import Facts, missing_settlements

_DAY = ("exchange", "timestamp")


def gaps(
    table: Table,
    facts: Sequence[Facts],
    days: pl.DataFrame,
    listed: pl.DataFrame,
    breaks: pl.DataFrame,
    rows: pl.LazyFrame,
) -> pl.DataFrame:
    """Return the check ``gaps`` of bars or settlements.

    Parameters
    ----------
    table : Table
        The declaration.
    facts : sequence of Facts
        Facts of disjoint files.
    days : polars.DataFrame
        Their counts by venue and day, added up.
    listed : polars.DataFrame
        Instruments with ``delisting_time`` and ``expiry``.
    breaks : polars.DataFrame
        Instruments that were listed again: ``gone`` and ``back``, once per break. No row is due in between.
    rows : polars.LazyFrame
        The rows of the files; only settlements around breaks are read.
    """
    instruments = pl.concat([part.instruments for part in facts])
    if table.bar is None:
        return named(_missing_settlements(instruments, days, _settlements_in(breaks, rows)), table, "gaps")
    return named(_missing_bars(table, instruments, days, listed, breaks), table, "gaps")


def age(table: Table, facts: Sequence[Facts], listed: pl.DataFrame, now: datetime, max_age: timedelta) -> pl.DataFrame:
    """Return the check ``fresh``: trading instruments whose newest row is too old, on the venue's newest day.

    A bar is as old as its end: yesterday's bar is the newest possible one until today is over.
    """
    instruments = pl.concat([part.instruments for part in facts])
    newest = instruments.group_by(INSTRUMENT_KEYS).agg(pl.max("last"))
    trading = newest.join(listed.filter(status="trading"), on=INSTRUMENT_KEYS, how="semi")
    counted = trading.group_by("exchange").agg(
        timestamp=pl.max("last").dt.truncate("1d"),
        rows_checked=pl.len(),
        rows_failed=(pl.col("last") + (table.bar or timedelta()) < now - max_age).sum(),
    )
    return named(counted, table, "fresh")


def _missing_bars(
    table: Table, instruments: pl.DataFrame, days: pl.DataFrame, listed: pl.DataFrame, breaks: pl.DataFrame
) -> pl.DataFrame:
    """Count the rows missing between an instrument's first row and its end, each on the day where it should be.

    The end is the instrument's delisting or expiry, else the venue's newest row in the table. A venue that leaves out
    bars without trades shows them here too.
    """
    life = instruments.group_by(INSTRUMENT_KEYS).agg(pl.min("first"), pl.max("last"))
    life = life.join(listed, on=INSTRUMENT_KEYS, how="left")
    newest = pl.max("last").over("exchange")
    # No bar opens at the very time of a delisting or expiry.
    gone = pl.coalesce("delisting_time", "expiry") - pl.duration(microseconds=1)
    end = pl.min_horizontal(pl.coalesce(gone, newest), newest)
    life = life.with_columns(end=pl.max_horizontal("last", end.dt.truncate(table.interval)))
    expected = _expected_bars(table, _without_breaks(table, life, breaks))
    counted = expected.join(days.select(*_DAY, "rows"), on=_DAY, how="left")
    missing = pl.col("rows_checked") - pl.col("rows").fill_null(0)
    return counted.select(*_DAY, "rows_checked", rows_failed=missing)


def _without_breaks(table: Table, life: pl.DataFrame, breaks: pl.DataFrame) -> pl.DataFrame:
    """Return lives divided at their breaks, each with the times of its ``first`` and last (``end``) bar."""
    keys = list(INSTRUMENT_KEYS)
    inside = breaks.join(life.select(*keys, "first", "end"), on=keys).filter(
        pl.col("first") < pl.col("gone"), pl.col("back") <= pl.col("end")
    )
    last = (pl.col("gone") - pl.duration(microseconds=1)).dt.truncate(table.interval)
    again = pl.col("back").dt.truncate(table.interval)
    # A break within a bar divides nothing: the bar is due once.
    inside = inside.select(*keys, last=last, again=again).filter(pl.col("again") > pl.col("last"))
    begins = pl.concat([life.select(*keys, "first"), inside.select(*keys, first="again")])
    ends = pl.concat([life.select(*keys, "end"), inside.select(*keys, end="last")])
    return begins.sort(*keys, "first").with_columns(ends.sort(*keys, "end")["end"])


def _expected_bars(table: Table, life: pl.DataFrame) -> pl.DataFrame:
    """Return the number of bars that a venue's instruments should have on each day of their lives.

    The number changes only at the first day of an instrument, the day after it, its last day, and the day after that.
    So it is the running sum of these changes, whatever the length of the lives.
    """
    a_day, day = round(timedelta(days=1) / table.bar), timedelta(days=1)
    life = life.select(
        "exchange",
        "first",
        "end",
        start_day=pl.col("first").dt.truncate("1d"),
        end_day=pl.col("end").dt.truncate("1d"),
    )
    before_first = _bars(pl.col("first") - pl.col("start_day"), table)
    after_end = a_day - 1 - _bars(pl.col("end") - pl.col("end_day"), table)
    changes = [
        (pl.col("start_day"), a_day - before_first, 1),
        (pl.col("start_day") + day, before_first, 0),
        (pl.col("end_day"), -after_end, 0),
        (pl.col("end_day") + day, after_end - a_day, -1),
    ]
    steps = pl.concat(
        [life.select("exchange", timestamp=at, bars=bars, alive=pl.lit(alive)) for at, bars, alive in changes]
    )
    steps = steps.group_by(_DAY).agg(pl.sum("bars", "alive")).sort(_DAY)
    steps = steps.with_columns(pl.col("bars", "alive").cum_sum().over("exchange"))
    # Each state lasts until the next change of the venue; the last one is the end of all lives.
    until = pl.col("timestamp").shift(-1).over("exchange") - day
    lasting = steps.with_columns(until=until).filter(pl.col("alive") > 0)
    spread = lasting.with_columns(timestamp=pl.datetime_ranges("timestamp", "until", "1d")).explode("timestamp")
    return spread.select(*_DAY, rows_checked="bars")


def _missing_settlements(instruments: pl.DataFrame, days: pl.DataFrame, undue: pl.DataFrame) -> pl.DataFrame:
    """Count the settlements missing before each one, by the interval that it states, on its day.

    Those within a file are among its facts. Those between files follow from the last row before and the first after.
    Both count times at which the instrument was not listed, which ``undue`` has by day.
    """
    ordered = instruments.sort(*INSTRUMENT_KEYS, "first")
    before = pl.col("last").shift(1).over(INSTRUMENT_KEYS)
    seams = ordered.select(
        "exchange",
        timestamp=pl.col("first").dt.truncate("1d"),
        seam=missing_settlements(pl.col("first") - before, pl.col("interval")),
    )
    seams = seams.group_by(_DAY).agg(pl.sum("seam"))
    counted = days.join(seams, on=_DAY, how="left").join(undue, on=_DAY, how="left")
    missing = pl.col("missing") + pl.col("seam").fill_null(0) - pl.col("undue").fill_null(0)
    return counted.select(*_DAY, rows_checked=pl.col("rows") + missing, rows_failed=missing)


def _settlements_in(breaks: pl.DataFrame, rows: pl.LazyFrame) -> pl.DataFrame:
    """Count the settlements that seem to be missing while instruments were not listed (``undue``), by day."""
    keys = list(INSTRUMENT_KEYS)
    columns = [*keys, "timestamp", "funding_interval_hours"]
    rows = rows.limit(0) if breaks.is_empty() else rows
    own = rows.select(columns).join(breaks.lazy().select(keys).unique(), on=keys, how="semi").collect()
    own = own.sort(columns).with_columns(before=pl.col("timestamp").shift(1).over(keys))
    found = own.join(breaks, on=keys).filter(pl.col("before") < pl.col("back"), pl.col("timestamp") >= pl.col("gone"))
    interval = pl.col("funding_interval_hours")
    count = missing_settlements(pl.col("timestamp") - pl.col("before"), interval)
    # Of the settlements missing before a row, counted backward from it, those from the delisting to the new listing.
    # The first settlement after a listing is later than the listing.
    hours = {name: (pl.col("timestamp") - pl.col(name)).dt.total_minutes() / 60 for name in ("gone", "back")}
    earliest = pl.min_horizontal(count, (hours["gone"] / interval).floor().cast(pl.Int64, strict=False))
    after = ((hours["back"] / interval).ceil() - 1).clip(lower_bound=0).cast(pl.Int64, strict=False)
    undue = (earliest - after).clip(lower_bound=0)
    return found.group_by("exchange", pl.col("timestamp").dt.truncate("1d")).agg(undue=undue.sum())


def _bars(span: pl.Expr, table: Table) -> pl.Expr:
    return span.dt.total_microseconds() // round(table.bar / timedelta(microseconds=1))
