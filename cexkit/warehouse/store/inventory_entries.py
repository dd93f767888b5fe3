"""Entries of an inventory: the spans of each instrument with their states, and the file that holds them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from cexkit.errors import DamagedFileError
from cexkit.schema.intervals import Window
from cexkit.warehouse.store.parquet import write_atomic

#: Delay before the next request for a missing span, by the number of requests so far. A span that is still missing
#: after one request more than delays, 15 days after the first, is one that the venue has none of.
REPEAT_AFTER = (timedelta(hours=1), *(timedelta(days=days) for days in (1, 2, 4, 8)))
ATTEMPTS = len(REPEAT_AFTER) + 1
#: Time after which rows that may still be corrected are read again.
REREAD_AFTER = timedelta(days=1)

#: ``complete``: all due rows were returned. ``missing``: due rows were not returned, and are requested again.
#: ``none``: the venue returned no rows in :data:`ATTEMPTS` requests.
State = Literal["complete", "missing", "none"]
#: Marks the row of an instrument that holds the times of its first and last row.
_EXTENT = "extent"
#: Marks the row of a time before which an instrument is not requested, because the venue had no rows next to it.
_FLOOR = "floor"
#: Marks the row of a span that was read although its rows may still be corrected, with the time of the reading.
_RECENT = "recent"
_TIME = pa.timestamp("us", tz="UTC")
_SCHEMA = pa.schema(
    [
        ("instrument_type", pa.string()),
        ("symbol", pa.string()),
        ("start", _TIME),
        ("end", _TIME),
        ("state", pa.string()),
        ("attempts", pa.int32()),
        ("last_requested_at", _TIME),
    ]
)


class Key(NamedTuple):
    """What an inventory knows an instrument by."""

    instrument_type: str
    symbol: str


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A span of one instrument and its state.

    Attributes
    ----------
    window : Window
        The span.
    state : {"complete", "missing", "none"}
        See :data:`State`.
    attempts : int
        Requests that returned none of its rows; 0 if complete.
    last_requested_at : datetime or None
        Time of the last of these requests; None if complete.
    """

    window: Window
    state: State
    attempts: int = 0
    last_requested_at: datetime | None = None

    @property
    def due_at(self) -> datetime | None:
        """Time from which the span may be requested again; None if it is not requested again."""
        if self.state != "missing" or self.last_requested_at is None:
            return None
        return self.last_requested_at + REPEAT_AFTER[min(self.attempts, len(REPEAT_AFTER)) - 1]

    def requested_again(self, at: datetime) -> Entry:
        """Return the entry after one more request without rows; one before the entry is due does not count."""
        if self.due_at is None or at < self.due_at:
            return self
        state = "missing" if self.attempts + 1 < ATTEMPTS else "none"
        return Entry(self.window, state, self.attempts + 1, at)

    def within(self, window: Window) -> Entry:
        """Return the entry of the common part with a window."""
        return replace(self, window=common(self.window, window))


class Recent(NamedTuple):
    """A span that was read although its rows may still be corrected, and the time of the oldest reading in it."""

    window: Window
    read_at: datetime

    def holds(self, now: datetime) -> bool:
        """Return whether the span need not be read again yet; no reading is later than now, unless a clock jumped."""
        return self.read_at <= now < self.read_at + REREAD_AFTER


class Content:
    """All entries of a table of a venue, the first and last row of each instrument, its floors, and recent spans."""

    def __init__(self) -> None:
        self.entries: dict[Key, list[Entry]] = defaultdict(list)
        self.extents: dict[Key, Window] = {}
        self.floors: dict[Key, set[datetime]] = defaultdict(set)
        self.recent: dict[Key, list[Recent]] = defaultdict(list)

    def observe(self, key: Key, extent: Window) -> None:
        """Extend the times of the first and last row."""
        known = self.extents.get(key, extent)
        self.extents[key] = Window(min(known.start, extent.start), max(known.end, extent.end))

    def add_floor(self, key: Key, moment: datetime) -> None:
        """Add a time before which the instrument is not requested."""
        self.floors[key].add(moment)

    def record(self, key: Key, window: Window, missing: Sequence[Window], at: datetime, *, reset: bool) -> list[Entry]:
        """Replace what is known of a window by what was read; return the parts that the venue has none of by now."""
        before = [] if reset else overlapping(self.entries[key], window)
        found = [part for span in missing for part in _requested(before, common(span, window), at)]
        complete = [Entry(span, "complete") for span in subtract(window, [entry.window for entry in found])]
        self.entries[key] = _merged([*_outside(self.entries[key], window), *found, *complete])
        given_up = {entry.window for entry in before if entry.state == "none"}
        return [entry for entry in found if entry.state == "none" and entry.window not in given_up]

    def note_recent(self, key: Key, window: Window, at: datetime) -> None:
        """Add a span that was read at a time; touching spans become one, so that they are read again together."""
        known = [recent for recent in self.recent[key] if recent.holds(at)]
        touching = [each for each in known if each.window.start <= window.end and window.start <= each.window.end]
        others = [each for each in known if each not in touching]
        self.recent[key] = sorted([*others, _united(touching, Recent(window, at))])

    def forget(self, key: Key, window: Window) -> None:
        """Drop what is known of a window."""
        known = ((recent, part) for recent in self.recent[key] for part in subtract(recent.window, [window]))
        self.recent[key] = [recent._replace(window=part) for recent, part in known]
        parts = ((e, part) for e in self.entries[key] for part in subtract(e.window, [window]))
        self.entries[key] = [replace(entry, window=part) for entry, part in parts]

    def postpone(self, key: Key, at: datetime) -> None:
        """Set the times of requests that were later than now to now, because a clock jumped back."""
        self.entries[key] = _merged(
            replace(entry, last_requested_at=at) if entry.state == "missing" and entry.last_requested_at > at else entry
            for entry in self.entries[key]
        )

    def rows(self) -> list[dict]:
        """Return the rows of the file, in order."""
        found = [
            {"start": e.window.start, "end": e.window.end, "state": e.state, "attempts": e.attempts,
             "last_requested_at": e.last_requested_at, "instrument_type": key.instrument_type, "symbol": key.symbol}
            for key, entries in self.entries.items() for e in entries
        ] + [
            {"start": extent.start, "end": extent.end, "state": _EXTENT, "attempts": 0, "last_requested_at": None,
             "instrument_type": key.instrument_type, "symbol": key.symbol}
            for key, extent in self.extents.items()
        ] + [
            {"start": moment, "end": moment, "state": _FLOOR, "attempts": 0, "last_requested_at": None,
             "instrument_type": key.instrument_type, "symbol": key.symbol}
            for key, moments in self.floors.items() for moment in moments
        ] + [
            {"start": recent.window.start, "end": recent.window.end, "state": _RECENT, "attempts": 0,
             "last_requested_at": recent.read_at, "instrument_type": key.instrument_type, "symbol": key.symbol}
            for key, spans in self.recent.items() for recent in spans
        ]  # fmt: skip
        return sorted(found, key=lambda row: (row["instrument_type"], row["symbol"], row["start"], row["state"]))


def subtract(window: Window, others: Iterable[Window]) -> list[Window]:
    """Return the parts of a window that are in none of the others, in order.

    Examples
    --------
    >>> [w.days for w in subtract(Window.of("2024-01-01", "2024-01-09"), [Window.of("2024-01-02", "2024-01-04")])]
    [1.0, 5.0]
    """
    found, moment = [], window.start
    for other in sorted(others):
        if other.end <= moment:
            continue
        if other.start >= window.end:
            break
        if other.start > moment:
            found.append(Window(moment, other.start))
        moment = other.end
    return [*found, Window(moment, window.end)] if moment < window.end else found


def common(one: Window, other: Window) -> Window:
    """Return the common part of two windows; empty if they have none."""
    start = max(one.start, other.start)
    return Window(start, max(start, min(one.end, other.end)))


def overlapping(entries: Sequence[Entry], window: Window) -> list[Entry]:
    """Return the parts of entries in a window; the entries are in order and do not overlap each other."""
    first = bisect_right(entries, window.start, key=lambda entry: entry.window.end)
    last = bisect_left(entries, window.end, key=lambda entry: entry.window.start)
    parts = (entry.within(window) for entry in entries[first:last])
    return [part for part in parts if not part.window.empty]


def _outside(entries: Sequence[Entry], window: Window) -> list[Entry]:
    """Return the parts of entries outside a window; the entries are in order and do not overlap each other."""
    first = bisect_right(entries, window.start, key=lambda entry: entry.window.end)
    last = max(first, bisect_left(entries, window.end, key=lambda entry: entry.window.start))
    cut = [replace(e, window=part) for e in entries[first:last] for part in subtract(e.window, [window])]
    return [*entries[:first], *cut, *entries[last:]]


def _requested(before: Sequence[Entry], span: Window, at: datetime) -> list[Entry]:
    """Return the entries of a span without rows, given those before the request.

    A part that was complete before is left out, because its rows were returned to an earlier request.
    """
    known = overlapping(before, span)
    new = [Entry(part, "missing", 1, at) for part in subtract(span, [entry.window for entry in known])]
    return [*new, *(entry.requested_again(at) for entry in known if entry.state != "complete")]


def _united(touching: Sequence[Recent], new: Recent) -> Recent:
    """Return one span for spans that touch a new one."""
    every = [*touching, new]
    whole = Window(min(each.window.start for each in every), max(each.window.end for each in every))
    return Recent(whole, min(each.read_at for each in every))


def _facts(entry: Entry) -> tuple[State, int, datetime | None]:
    return entry.state, entry.attempts, entry.last_requested_at


def _merged(entries: Iterable[Entry]) -> list[Entry]:
    """Return entries in order, with touching ones of the same state merged."""
    found: list[Entry] = []
    for entry in sorted(entries, key=lambda entry: entry.window):
        if found and entry.window.start == found[-1].window.end and _facts(entry) == _facts(found[-1]):
            found[-1] = replace(entry, window=Window(found[-1].window.start, entry.window.end))
        else:
            found.append(entry)
    return found


def write_content(content: Content, path: Path, via: Path) -> None:
    """Write the file atomically, by way of a temporary in ``via``."""
    rows = pa.Table.from_pylist(content.rows(), _SCHEMA)
    write_atomic(path, lambda temporary: pq.write_table(rows, temporary, compression="zstd"), via=via)


def read_extents(path: Path) -> dict[Key, Window]:
    """Return the times of each instrument's first and last row from a file; empty if the file does not exist."""
    return read_content(path, [("state", "=", _EXTENT)]).extents


def read_content(path: Path, only: list[tuple[str, str, str]] | None = None) -> Content:
    """Return the content of a file, or only the rows for which conditions hold; empty if the file does not exist.

    Raises
    ------
    DamagedFileError
        If the file is damaged.
    """
    content = Content()
    if not path.exists():
        return content
    try:
        rows = pl.from_arrow(pq.read_table(path, schema=_SCHEMA, partitioning=None, filters=only))
        for row in rows.iter_rows(named=True):  # faster than to_pylist of PyArrow, which looks up the zone of each time
            _add(content, row)
    except (pa.ArrowException, OSError, TypeError, KeyError, ValueError) as error:
        raise DamagedFileError(
            f"inventory {path} must be a Parquet file of spans, got {error}; delete it, and spans are requested again"
        ) from error
    return content


def _add(content: Content, row: dict) -> None:
    key, window, state = Key(row["instrument_type"], row["symbol"]), Window(row["start"], row["end"]), row["state"]
    if state == _EXTENT:
        content.extents[key] = window
    elif state == _FLOOR:
        content.floors[key].add(window.start)
    elif state == _RECENT and row["last_requested_at"]:
        content.recent[key].append(Recent(window, row["last_requested_at"]))
    elif state == "complete" or (state in get_args(State) and row["attempts"] > 0 and row["last_requested_at"]):
        content.entries[key].append(Entry(window, state, row["attempts"], row["last_requested_at"]))
    else:
        raise ValueError(f"{state!r} as the state of {key.instrument_type} {key.symbol}")
