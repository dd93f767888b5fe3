"""Facts of one instrument: parsed columns as a conforming table, in which a bad row costs only itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from cexkit.exchanges.http.paginate import PageResult
from cexkit.exchanges.order import FEWEST_IN_ORDER, out_of_order
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.rows import FIRST_TIME, MINUTE_MS, REFUSED_SHARE, Flaw, Rows
from cexkit.schema import IDENTITY, TABLES
from cexkit.schema.intervals import EPOCH, MILLISECOND, Window, utc
from cexkit.schema.intervals import from_ms as moment

if TYPE_CHECKING:
    import pyarrow as pa

#: Metadata of a page from which rows were left out: first and last time with them.
REACHED = b"reached"
#: Metadata of a page that reached beyond the start of its window: rows before it were dropped.
EARLIER = b"earlier"
#: Metadata of a page about a whole venue: names that no list shows.
UNLISTED = b"unlisted"
#: Fewest rows before a window that show that a page reached its start.
FEWEST_EARLIER = 2
#: A response may be stamped this much later than it was made: a bar must be over for as long to be finished.
STAMPED_LATE = timedelta(seconds=1)


def from_ms(milliseconds: Any) -> pa.Array:
    """Whole milliseconds since 1970, in any sequence, as UTC microseconds.

    Examples
    --------
    >>> from_ms([1577836800000, None]).to_pylist()
    [datetime.datetime(2020, 1, 1, 0, 0, tzinfo=...), None]
    """
    import pyarrow as pa

    return pa.array(milliseconds, pa.int64()).cast(pa.timestamp("ms", "UTC")).cast(pa.timestamp("us", "UTC"))


def finished(context: Context, opened_ms: pa.Array) -> pa.Array:
    """Return which bars, by opening times in milliseconds, were complete when the venue responded."""
    import pyarrow.compute as pc

    last = (context.now - STAMPED_LATE - TABLES[context.table].bar - EPOCH) // MILLISECOND
    return pc.less_equal(opened_ms, last)


def settlement(raw_ms: pa.Array) -> dict[str, pa.Array]:
    """Columns ``timestamp`` (the nearest minute) and ``venue_timestamp`` of settlements in milliseconds.

    Examples
    --------
    >>> import pyarrow as pa
    >>> {name: column[0].as_py().isoformat() for name, column in settlement(pa.array([1577836800047])).items()}
    {'timestamp': '2020-01-01T00:00:00+00:00', 'venue_timestamp': '2020-01-01T00:00:00.047000+00:00'}
    """
    import pyarrow.compute as pc

    keyed = pc.multiply(pc.divide(pc.add(raw_ms, MINUTE_MS // 2), MINUTE_MS), MINUTE_MS)
    return {"timestamp": from_ms(keyed), "venue_timestamp": from_ms(raw_ms)}


def settlement_window(window: Window) -> Window:
    """The span of the raw times whose :func:`settlement` is in a window.

    Examples
    --------
    >>> print(settlement_window(Window.of("2024-01-01", "2024-01-02")))
    2023-12-31T23:59:30+00:00 … 2024-01-01T23:59:30+00:00
    """
    minute, half = timedelta(minutes=1), timedelta(seconds=30)
    start, end = (moment + (EPOCH - moment) % minute - half for moment in (window.start, window.end))
    return Window(start, end)


def facts(
    context: Context, columns: Mapping[str, Any], keep: pa.Array | None = None, rows: Rows | None = None
) -> pa.Table:
    """Rows of one instrument as a conforming table: identity added, rows outside the window dropped.

    Only rows that would be kept can be bad: those without a plausible time, with a number that is not finite, or of
    which the response holds another version are quarantined. Paging still learns of all rows that are left out, see
    :func:`extent`.

    Parameters
    ----------
    context : Context
        Says whose rows and which window.
    columns : mapping of name to sequence or Arrow array
        At least the required columns in addition to the identity; a nullable one that is left out is null.
    keep : pyarrow.BooleanArray, optional
        Rows to keep; the others are dropped as well. A row whose time is unknown is null.
    rows : Rows, optional
        What is wrong with rows of the response so far.

    Raises
    ------
    PayloadError
        If rows are quarantined and none is left.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from cexkit.schema.render import to_pyarrow

    schema, instrument = to_pyarrow(TABLES[context.table]), context.instrument
    count = len(columns["timestamp"])
    arrays = []
    for column in schema:
        if column.name in columns:
            arrays.append(pa.array(columns[column.name], column.type))
        elif hasattr(instrument, column.name):
            arrays.append(pa.repeat(pa.scalar(getattr(instrument, column.name), column.type), count))
        else:
            arrays.append(pa.nulls(count, column.type))
    table = pa.table(arrays, schema=schema)
    rows = rows or Rows(context.table, [], range(count))
    time = table["timestamp"].combine_chunks()
    start, end = (pa.scalar(moment, time.type) for moment in (context.window.start, context.window.end))
    inside = pc.fill_null(pc.and_(pc.greater_equal(time, start), pc.less(time, end)), True)
    kept = inside if keep is None else pc.and_(inside, pc.fill_null(keep, True))
    rows.flaws = [flaw for flaw in rows.flaws if _would_be_kept(flaw, context)]
    _mark_implausible(rows, table)
    if rows.ordered and TABLES[context.table].key[-1] == "timestamp":
        _mark_displaced(rows, table["timestamp"])
    good = rows.good(kept)
    if table.num_rows and TABLES[context.table].key[-1] == "timestamp":
        by = ["timestamp"] if instrument is not None else list(TABLES[context.table].key)
        good = _without_versions(rows, table, good, by)
    if rows.flaws and not pc.any(good, min_count=0).as_py():
        rows.refuse()
    metadata = rows.metadata()
    if not pc.all(pc.equal(good, inside), min_count=0).as_py() or rows.flaws:
        metadata |= _reach(pc.filter(time, inside), rows.flaws)
    if _has_earlier(time, context.window.start):
        metadata |= {EARLIER: b""}
    if not pc.all(good, min_count=0).as_py():
        table = table.filter(good)
    return table.replace_schema_metadata(metadata) if metadata else table


def venue_facts(context: Context, names: pa.Array, columns: Mapping[str, Any], rows: Rows) -> pa.Table:
    """Rows of many instruments as a conforming table, each with the instrument that its name meant at its time.

    Rows of names that ``context`` does not ask for are dropped. So are those of names that no list shows;
    :func:`unlisted` names them.

    Parameters
    ----------
    context : Context
        Says which window, and which names; its terms say what they mean.
    names : pyarrow.StringArray
        The venue's name of the instrument of each row.
    columns, rows
        See :func:`facts`.
    """
    import pyarrow as pa

    asked = None if context.names is None else frozenset(context.names)
    named = list(zip(names.to_pylist(), columns["timestamp"].to_pylist(), strict=True))
    found = [
        context.terms.named(name, time) if context.terms and (asked is None or name in asked) else None
        for name, time in named
    ]
    identity = {
        part: pa.array([getattr(one, part, None) for one in found], pa.string())
        for part in IDENTITY
        if part in TABLES[context.table].columns
    }
    table = facts(context, {**columns, **identity}, pa.array([one is not None for one in found], pa.bool_()), rows)
    unknown = {
        name
        for (name, time), one in zip(named, found, strict=True)
        if one is None and (asked is None or name in asked) and time in context.window
    }
    if not unknown:
        return table
    metadata = {UNLISTED: json.dumps(sorted(unknown)).encode()}
    return table.replace_schema_metadata((table.schema.metadata or {}) | metadata)


def unlisted(table: pa.Table) -> tuple[str, ...]:
    """Return the names in a response about a whole venue that no list shows.

    Examples
    --------
    >>> import pyarrow as pa
    >>> unlisted(pa.table({"timestamp": []}))
    ()
    """
    return tuple(json.loads((table.schema.metadata or {}).get(UNLISTED, b"[]")))


def _would_be_kept(flaw: Flaw, context: Context) -> bool:
    """Return whether a bad row would have been kept: its time is in the window and its bar over, or not known."""
    if flaw.ms is None:
        return True
    over = context.now - STAMPED_LATE - (TABLES[context.table].bar or timedelta(0))
    return flaw.ms <= (over - EPOCH) // MILLISECOND and moment(flaw.ms) in context.window


def _mark_implausible(rows: Rows, table: pa.Table) -> None:
    """Quarantine rows with an implausible time, or with a number that is not finite."""
    import pyarrow as pa
    import pyarrow.compute as pc

    time = table["timestamp"]
    early = pc.less(time, pa.scalar(FIRST_TIME, time.type))
    rows.mark(early, "timestamp", lambda place: f"{time[place].as_py():%Y-%m-%d %H:%M} is not plausible")
    for field in table.schema:
        if not pa.types.is_floating(field.type):
            continue
        finite = pc.is_finite(table[field.name])
        if not pc.all(finite, min_count=0).as_py():
            problem = partial(_not_finite, table[field.name])
            rows.mark(pc.invert(finite), field.name, problem)


def _mark_displaced(rows: Rows, times: pa.ChunkedArray) -> None:
    """Quarantine the few rows that are far from their place in a page that is otherwise in order: their time is wrong.

    A page with many such rows has no order. A time that the page states twice is judged by its values.
    """
    import numpy as np
    import pyarrow as pa

    known = times.cast("int64").to_numpy()
    steps = np.diff(known)
    if (steps >= 0).all() or (steps <= 0).all():
        return
    apart = min((out_of_order(known), out_of_order(-known)), key=np.count_nonzero)
    if len(known) < FEWEST_IN_ORDER or np.count_nonzero(apart) >= REFUSED_SHARE * len(known):
        return
    _, place, count = np.unique(known, return_inverse=True, return_counts=True)
    bad = apart & (count[place] == 1)
    if bad.any():
        problem = "{:%Y-%m-%d %H:%M:%S} is not between the times of the rows around it"
        rows.mark(pa.array(bad), "timestamp", lambda place: problem.format(times[place].as_py()))


def _not_finite(values: pa.ChunkedArray, place: int) -> str:
    return f"{values[place].as_py()!r} is not finite"


def _without_versions(rows: Rows, table: pa.Table, good: pa.Array, by: list[str]) -> pa.Array:
    """Return which good rows are left if each key is there once; of rows that contradict each other, none is.

    Rows contradict each other if both state a value and the values differ. The time at which the venue stamped a
    settlement does not count. Of rows that agree, the one that states most is left.
    """
    import polars as pl
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(by) == 1:
        chosen = pc.filter(table[by[0]], good)
        repeats = len(chosen) - pc.count_distinct(chosen).as_py()
    else:
        repeats = pl.from_arrow(table.select(by).filter(good)).is_duplicated().any()
    if not repeats:
        return good
    times = pl.from_arrow(table["timestamp"])
    values = [name for name in table.column_names if name not in (*by, "venue_timestamp")]
    frame = pl.from_arrow(table).with_row_index("_row").filter(pl.from_arrow(good))
    differs = pl.any_horizontal(pl.col(name).drop_nulls().n_unique().over(by) > 1 for name in values)
    stated = pl.sum_horizontal(pl.col(name).is_not_null() for name in values)
    frame = frame.with_columns(_differs=differs, _stated=stated)
    bad = frame.filter("_differs")["_row"]
    left = frame.filter(~pl.col("_differs")).sort("_stated", maintain_order=True)
    left = left.unique(by, keep="last")["_row"]
    number = pl.int_range(table.num_rows, eager=True)
    problem = "the response holds different values for {:%Y-%m-%d %H:%M:%S}; which are right cannot be told"
    rows.mark(number.is_in(bad.implode()).to_arrow(), "timestamp", lambda place: problem.format(times[place]))
    good = rows.good(good)
    return pa.array(number.is_in(left.implode()).to_list(), pa.bool_()) if len(good) else good


def _has_earlier(times: pa.Array, start: datetime) -> bool:
    """Return whether a page surely has rows before a time: all its rows are in order, and several are before it.

    A single one may be a row of the window with a wrong time, behind which others are missing.
    """
    import numpy as np

    known = times.drop_null().cast("int64").to_numpy(zero_copy_only=False)
    if np.count_nonzero(known < (start - EPOCH) // timedelta(microseconds=1)) < FEWEST_EARLIER:
        return False
    steps = np.diff(known)
    return bool((steps > 0).all() or (steps < 0).all())


def _reach(times: pa.Array, flaws: Sequence[Flaw]) -> dict[bytes, bytes]:
    """Return metadata that tells paging how far a page reached with the rows that are left out."""
    import pyarrow as pa

    bad = pa.array([moment(flaw.ms) for flaw in flaws if flaw.ms is not None], times.type)
    reached = _ends(pa.concat_arrays([times, bad]))
    return {REACHED: json.dumps([end.isoformat() for end in reached]).encode()} if reached else {}


def _ends(times: pa.Array) -> tuple[datetime, datetime] | None:
    """Return how far a page surely reached; None without rows.

    The first or last row does not count if it is farther from the next one than rows mostly are: there may be a gap,
    but the row may also have a wrong time, and what is between would never be requested. The next page begins there,
    and no page more is needed.
    """
    import numpy as np

    known = np.sort(times.drop_null().cast("int64").to_numpy(zero_copy_only=False))
    if not len(known):
        return None
    first, last = 0, len(known) - 1
    if len(known) >= FEWEST_IN_ORDER:
        distances = np.diff(known)
        usual = np.median(distances)
        first, last = first + int(distances[0] > usual), last - int(distances[-1] > usual)
    start, end = (EPOCH + timedelta(microseconds=int(known[place])) for place in (first, last))
    return start, end


def extent(table: pa.Table, cursor: str | None) -> PageResult:
    """What paging needs to know of a parsed page.

    Rows that were dropped for being unfinished count: a page of nothing else is not an empty page.
    """
    metadata = table.schema.metadata or {}
    earlier = EARLIER in metadata
    if REACHED in metadata:
        return PageResult(*map(utc, json.loads(metadata[REACHED])), cursor, earlier)
    if not table.num_rows or "timestamp" not in table.column_names:
        return PageResult(None, None, cursor, earlier)
    return PageResult(*_ends(table["timestamp"].combine_chunks()), cursor, earlier)
