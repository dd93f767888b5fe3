"""When a venue delivered: sessions as a listener records them, and the coverage of events over time."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cexkit.exchanges.parsing import Context
from cexkit.exchanges.streams import STREAMS
from cexkit.schema import TABLES
from cexkit.schema.intervals import TimeLike, Window, merged, utc
from cexkit.schema.names import resolve
from cexkit.text import masked
from cexkit.warehouse.store.bronze import read_bronze
from cexkit.warehouse.store.warehouse import Warehouse

if TYPE_CHECKING:
    import polars as pl

#: Endpoint that sessions are kept under.
SESSIONS = "stream.sessions"
LIQUIDATIONS = TABLES["liquidations"]


def coverage(warehouse: Warehouse | str | Path, exchange: str, start: TimeLike, end: TimeLike) -> pl.DataFrame:
    """When a venue was listened to, and what its liquidations are worth there.

    Parameters
    ----------
    warehouse : Warehouse or path
        Holds what was collected.
    exchange : str
        Venue.
    start, end : str, date or datetime
        Half-open UTC window.

    Returns
    -------
    polars.DataFrame
        Spans that make up the window without gap or overlap: ``exchange``, ``start``, ``end`` and ``coverage``
        (``full``, ``throttled`` or ``absent``). A sum of liquidations over ``absent`` spans is a lower bound. It is
        that of instruments which were listed when a span began: of Bybit, one that is new is heard within the hour.
    """
    import polars as pl

    target = warehouse if isinstance(warehouse, Warehouse) else Warehouse(warehouse)
    exchange = resolve("exchange with a stream of liquidations", exchange, STREAMS)
    window = Window.of(utc(start), utc(end))
    worth = STREAMS[exchange].coverage
    spans, reached = [], window.start
    for session in merged(Window(session.start, session.end) for session in sessions(target, exchange)):
        first, last = max(session.start, window.start), min(session.end, window.end)
        if first >= last:
            continue
        if first > reached:
            spans.append((reached, first, "absent"))
        spans.append((first, last, worth))
        reached = last
    if reached < window.end:
        spans.append((reached, window.end, "absent"))
    time = pl.Datetime("us", "UTC")
    frame = pl.DataFrame(spans, schema={"start": time, "end": time, "coverage": pl.String}, orient="row")
    return frame.select(pl.lit(exchange).alias("exchange"), "start", "end", "coverage")


@dataclass(slots=True)
class Session:
    """A time in which a venue delivered data without a break; it grows, and the longest record of it holds.

    Attributes
    ----------
    name, reason : str
        Identity, and why it ended.
    start, end : datetime
        When the venue had granted every subscription, and its last message with data.
    frames, skipped : int
        Messages with data, and events of other markets in them.
    """

    name: str
    start: datetime
    end: datetime
    reason: str = "listening"
    frames: int = 0
    skipped: int = 0

    def extend(self, moment: datetime) -> None:
        self.end = max(self.end, moment)

    def to_json(self) -> str:
        parts = {"session": self.name, "start": self.start.isoformat(), "end": self.end.isoformat()}
        return json.dumps(parts | {"reason": self.reason, "frames": self.frames, "skipped": self.skipped})


def sessions(warehouse: Warehouse, exchange: str) -> list[Session]:
    """Sessions as last recorded."""
    found: dict[str, Session] = {}
    for row in read_bronze(warehouse.root, exchange, SESSIONS, LIQUIDATIONS.name):
        record: dict[str, Any] = json.loads(row["body"])
        session = Session(record["session"], utc(record["start"]), utc(record["end"]), record["reason"])
        if session.name not in found or found[session.name].end < session.end:
            found[session.name] = session
    return list(found.values())


def row_of(
    endpoint: str,
    exchange: str,
    url: str,
    body: bytes,
    now: datetime,
    first: datetime,
    last: datetime,
    sequence: int | None = None,
) -> dict[str, Any]:
    """Return the Bronze row of a message; ``sequence`` is the number of its batch, None for a session."""
    context = Context(exchange=exchange, table=LIQUIDATIONS.name, now=now)
    return {
        "table": LIQUIDATIONS.name,
        "data_start": first,
        "data_end": last + timedelta(microseconds=1),
        "context": context.to_json(),
        "url": masked(url),
        "params": "{}",
        "status": None,
        "headers": "{}",
        "received_at": now,
        "sha256": hashlib.sha256(body).hexdigest(),
        "body": body,
        "sequence": sequence,
    }
