"""What an operator is told of a night, by venue and kind, and what the calendar says that they must be told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from .events import DAY, Calendar, Event, runs

#: A venue, and what is wrong.
Topic = tuple[str, str]

_KINDS = {
    r"HTTP 503": "outage",
    r"returned no data|0 rows with status 'ok'": "empty",
    r"the venue's clock reads": "skew",
    r"is not known; it is left out": "payload",
    r"knows no symbol": "delisting",
    r"rows? (is|are) quarantined": "bad row",
    r"\.parquet is missing": "lost file",
    r"the venue does not keep it": "forgotten",
    r"stream\.": "bad message",
}
#: Rows that venues may still correct are not missing yet.
SETTLED = timedelta(days=2)
#: Venues that no longer know an instrument after its delisting, so that its last rows are lost.
FORGETFUL = ("binance", "okx")
#: Longest time after which missing rows are requested again, and rows of an instrument that is delisted are not.
REPEATED = timedelta(days=4)


def topics(problems: Iterable[str]) -> set[Topic]:
    """Return the topics of problems; one that is of no known kind is a topic of its own."""
    return {(text.partition(" ")[0], _kind(text)) for text in problems}


def _kind(text: str) -> str:
    return next((kind for pattern, kind in _KINDS.items() if re.search(pattern, text)), text)


def required(calendar: Calendar, now: datetime) -> set[Topic]:
    """Return the topics that the report of a night must have."""
    return {(event.exchange, event.kind) for event in calendar.events if any(_holds(event, now))}


def allowed(calendar: Calendar, now: datetime) -> set[Topic]:
    """Return the topics that it may have besides.

    Missing rows are missed once they are settled, and requested again with delays. Rows of a delisted instrument, too,
    are requested until no request is due.
    """
    found = set()
    for event in calendar.of("empty", "delisting", "bad row", "outage"):
        if event.window.start <= now < event.window.end + REPEATED:
            found.add((event.exchange, "delisting" if event.kind == "delisting" else "empty"))
    return found


def _holds(event: Event, now: datetime) -> Iterator[bool]:
    """Yield whether an event is to be reported; nothing if it never is."""
    begun, ended = event.window.start, event.window.end
    if event.kind in ("outage", "skew", "payload", "lost file", "bad row", "bad message"):
        yield any(begun <= run < ended for run in runs(event.exchange, now))
    elif event.kind == "empty":
        # The last night before it read what was there; a day of what follows must be settled.
        yield begun + DAY + SETTLED <= now < ended
    elif event.kind == "delisting" and event.exchange in FORGETFUL:
        yield begun <= now < begun + DAY
