"""Lives of instruments, and rows after the end of one, which are not its data.

Archives continue after a contract was settled, with frozen values or with those of nothing at all. Such rows are
quarantined with the reason :data:`AFTER_END`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta

import polars as pl

from cexkit.schema import TABLES, Table
from cexkit.schema.intervals import Window
from cexkit.schema.render import to_polars
from cexkit.warehouse.ingest.replay import Identity
from cexkit.warehouse.ingest.report import Problem
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.parquet import scan
from cexkit.warehouse.store.warehouse import Warehouse

#: Reason of quarantined rows.
AFTER_END = "after_end"
#: Name of the ended spans in the ledger, as the last build knew them.
ENDED = "ended"
#: Rows less than this after the end are the instrument's: the snapshot at the end, the bar that opens then, and the
#: last settlement, whose time is rounded to the minute.
END_MARGIN = timedelta(minutes=1)

_KEYS = ["instrument_type", "symbol"]
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_TIME = to_polars(TABLES["instrument_periods"])["valid_from"]
_SCHEMA = {"instrument_type": pl.String, "symbol": pl.String, "end": _TIME, "until": _TIME}


def lives(periods: pl.DataFrame) -> pl.DataFrame:
    """Return the lives of instruments: listed at one time, and ended or not.

    Parameters
    ----------
    periods : polars.DataFrame
        Rows of ``instrument_periods`` of one venue.

    Returns
    -------
    polars.DataFrame
        One row per instrument and listing time, in order of time: ``instrument_type``, ``symbol``, ``start``, and
        ``end``, each null if unknown. The end is the delisting time or the expiry, whichever is earlier, as the latest
        period of that life states it. Two lives cannot overlap: the one that was stated later corrects the other.
    """
    end = pl.min_horizontal("delisting_time", "expiry")
    times = {"end": end.last(), "stated": pl.col("valid_from").last()}
    found = periods.sort("valid_from").group_by(*_KEYS, "listing_time", maintain_order=True).agg(**times)
    found = found.rename({"listing_time": "start"})
    other = found.rename({name: f"other_{name}" for name in ("start", "end", "stated")})
    pairs = found.join(other, on=_KEYS).filter(
        pl.col("other_stated") > pl.col("stated"),
        (pl.col("other_start") < pl.col("end")).fill_null(value=True),
        (pl.col("start") < pl.col("other_end")).fill_null(value=True),
    )
    corrected = pairs.select(*_KEYS, "start").unique()
    found = found.join(corrected, on=[*_KEYS, "start"], how="anti", nulls_equal=True)
    return found.drop("stated").sort(*_KEYS, "start", nulls_last=False)


def ended_spans(periods: pl.DataFrame) -> pl.DataFrame:
    """Return the spans in which instruments had ended: ``instrument_type``, ``symbol``, ``end``, and ``until``.

    A span ends when the instrument is listed again; ``until`` is null if it is not.

    Examples
    --------
    >>> from cexkit.testing.simulation import simulate
    >>> listed = simulate(start="2026-05-01", end="2026-05-02", coins=["BTC"], exchanges=["okx"]).tables
    >>> delisted = listed["instrument_periods"].with_columns(delisting_time=pl.col("valid_from"))
    >>> ended_spans(listed["instrument_periods"]).height, ended_spans(delisted).columns
    (0, ['instrument_type', 'symbol', 'end', 'until'])
    """
    found = lives(periods).with_columns(until=pl.col("start").shift(-1).over(_KEYS))
    has_span = pl.col("end").is_not_null() & (pl.col("until").is_null() | (pl.col("until") > pl.col("end")))
    return found.filter(has_span).select(*_SCHEMA).cast(_SCHEMA)


def is_after_end(rows: pl.DataFrame, spans: pl.DataFrame) -> pl.Series:
    """Return whether each row is later than the end of its instrument's life by :data:`END_MARGIN` or more.

    Parameters
    ----------
    rows : polars.DataFrame
        Rows of one venue with ``timestamp``.
    spans : polars.DataFrame
        See :func:`ended_spans`.
    """
    numbered = rows.select(*_KEYS, "timestamp").with_row_index("_row")
    ended = pl.col("timestamp") >= pl.col("end") + END_MARGIN
    again = (pl.col("timestamp") >= pl.col("until")).fill_null(value=False)
    found = numbered.join(spans, on=_KEYS).filter(ended & ~again)["_row"]
    return numbered.select(pl.col("_row").is_in(found.unique().implode())).to_series()


def split_at_end(
    good: pl.DataFrame, quarantined: pl.DataFrame, spans: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Move good rows after an end to the quarantined ones; see :func:`cexkit.schema.validate.split`."""
    late = is_after_end(good, spans)
    moved = good.filter(late).with_columns(reason=pl.lit(AFTER_END))
    return good.filter(~late), pl.concat([quarantined, moved])


def end_problems(exchange_name: str, table: Table, quarantined: pl.DataFrame) -> Iterator[Problem]:
    """Yield one problem per instrument with rows after its end."""
    late = quarantined.filter(reason=AFTER_END)
    counts = late.group_by(*_KEYS).agg(pl.len(), first=pl.min("timestamp"), last=pl.max("timestamp")).sort(_KEYS)
    for kind, symbol, count, first, last in counts.iter_rows():
        text = f"{kind}: {count:,} rows after the instrument's end are not its data; quarantined as {AFTER_END!r}"
        yield Problem(exchange_name, table.name, symbol, Window(first, last + timedelta(microseconds=1)), text)


def changed_spans(before: pl.DataFrame | None, spans: pl.DataFrame) -> pl.DataFrame:
    """Return the spans that are in only one of two states, with the margin; None is a state without any."""
    before = spans.clear() if before is None else before.select(*_SCHEMA).cast(_SCHEMA)
    names = list(_SCHEMA)
    parts = [
        one.join(other, on=names, how="anti", nulls_equal=True) for one, other in ((before, spans), (spans, before))
    ]
    return pl.concat(parts).unique()


def held_spans(
    warehouse: Warehouse,
    exchange_name: str,
    table: Table,
    spans: pl.DataFrame,
    whole: Window,
    without: Collection[str] = (),
) -> list[tuple[Identity, Window]]:
    """Return the instruments of which Silver or its quarantine holds rows after their ends, with the spans of the rows.

    Only these rows have to be judged again if an end becomes known or changes. ``whole`` is the span of all rows.
    Files whose path is in ``without`` are left out, because they are known to be missing or damaged.
    """
    if spans.is_empty() or spans["end"].min() >= whole.end:
        return []
    held = Window(max(spans["end"].min(), whole.start), whole.end)
    files = warehouse.manifest.select(table.name, start=held.start, end=held.end, exchanges=[exchange_name])
    parts = [scan(warehouse.root / file.path) for file in files if file.path not in without]
    for period in layout.periods(table, held):
        parts.append(pl.from_arrow(warehouse.quarantine(table, exchange_name, period)).lazy())
    found = []
    for part in parts:
        rows = part.select(*_KEYS, "timestamp").join(spans.lazy(), on=_KEYS).filter(pl.col("timestamp") > pl.col("end"))
        times = rows.group_by(_KEYS).agg(first=pl.min("timestamp"), last=pl.max("timestamp")).collect()
        for kind, symbol, first, last in times.iter_rows():
            found.append(((kind, symbol), Window(first, last + timedelta(microseconds=1))))
    return found
