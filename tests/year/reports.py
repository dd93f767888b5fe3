"""Topics of the reports of a night, and those that the calendar requires and allows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime

from .events import DAY, Calendar, Event, runs

#: A venue, and what is wrong.
Topic = tuple[str, str]

_KINDS = {
    r"HTTP 503": "outage",
    r"returned no data|0 rows with status 'ok'": "empty",
    r"the venue's clock reads": "skew",
    r"is not known; it is left out|places, \d+ are known": "payload",
    r"knows no symbol": "delisting",
    r"rows? (is|are) quarantined": "bad row",
    r"\.parquet is missing|bronze_files fails": "lost file",
    r"the venue does not keep it": "forgotten",
    r"stream\.": "bad message",
}
#: Venues that no longer know an instrument after its delisting, so that its last rows are lost.
FORGETFUL = ("binance", "okx")
#: How long after an event rows are requested again, with delays, that it kept from being read.
REPEATED = {"empty": 4 * DAY, "delisting": 4 * DAY, "bad row": 0 * DAY, "outage": DAY}


def topics(problems: Iterable[str]) -> set[Topic]:
    """Return the topics of problems; one of an unknown kind is its own topic."""
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
    for event in calendar.of(*REPEATED):
        if event.window.start <= now < event.window.end + REPEATED[event.kind]:
            found.add((event.exchange, "delisting" if event.kind == "delisting" else "empty"))
    return found


def _holds(event: Event, now: datetime) -> Iterator[bool]:
    """Yield whether an event is to be reported; nothing if it never is."""
    begun, ended = event.window.start, event.window.end
    if event.kind in ("outage", "empty", "skew", "payload", "lost file", "bad row", "bad message"):
        yield any(begun <= run < ended for run in runs(event.exchange, now))
    elif event.kind == "delisting" and event.exchange in FORGETFUL:
        yield begun <= now < begun + DAY
