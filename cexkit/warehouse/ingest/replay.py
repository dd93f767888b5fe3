"""Replay of Bronze: stored responses, parsed again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cexkit.errors import PayloadError
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.registry import exchange, parse_response
from cexkit.exchanges.rows import Quarantined, added_columns, quarantined
from cexkit.exchanges.streams import STREAMS, Stream
from cexkit.exchanges.terms import Terms
from cexkit.schema import Table
from cexkit.schema.intervals import Window
from cexkit.warehouse.ingest.report import Problem
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.wording import counted

if TYPE_CHECKING:
    import pyarrow as pa

#: What a user does about a file that is lost.
ROWS_STAY = "its rows stay in Silver; "
LOST_ACTION = f"{ROWS_STAY}restore it, or run `cexkit bronze retire` on it if it was removed on purpose"
#: Most lost files of a table that are reported one by one.
LOST_SHOWN = 5
#: Instrument type and symbol; None for responses about several instruments.
Identity = tuple[str, str] | None
#: Place of a response among all others: the later one wins.
Order = tuple[bool, int, str, int]


@dataclass(slots=True)
class Parsed:
    """A stored response and the rows that it gave.

    Attributes
    ----------
    row : dict
        Columns of Bronze, see :func:`cexkit.warehouse.store.bronze.read_file`.
    context : Context or None
        None if the stored text is invalid.
    rows : pyarrow.Table or None
        None if the response is malformed or damaged.
    """

    row: dict[str, Any]
    context: Context | None
    rows: pa.Table | None
    #: Times of the events in a message of a live stream, whose rows are parsed with others.
    events: Window | None = None
    event_count: int = 0
    #: What is wrong with rows that are quarantined.
    bad: Quarantined = field(default_factory=Quarantined)
    #: The instrument of the rows if the response is about a whole venue.
    part_of: Identity = None

    @property
    def identity(self) -> Identity:
        if self.part_of is not None:
            return self.part_of
        instrument = self.context.instrument if self.context else None
        return None if instrument is None else (instrument.instrument_type, instrument.symbol)

    @property
    def parts(self) -> list[Parsed]:
        """The response by instrument if it is about a whole venue, so that each is merged as if requested alone."""
        import polars as pl

        if self.rows is None or not self.rows.num_rows or self.identity is not None or self.events is not None:
            return [self]
        rows = pl.from_arrow(self.rows).partition_by("instrument_type", "symbol", as_dict=True)
        return [
            replace(self, rows=part.to_arrow().cast(self.rows.schema), part_of=identity)
            for identity, part in rows.items()
        ]

    @property
    def span(self) -> Window | None:
        """The span of its rows or events; None without any."""
        import pyarrow.compute as pc

        if self.events is not None:
            return self.events
        if self.rows is None or not self.rows.num_rows or "timestamp" not in self.rows.column_names:
            return None
        times = pc.min_max(self.rows["timestamp"]).as_py()
        return Window(times["min"], times["max"] + timedelta(microseconds=1))


def lost_problems(ledger: Ledger) -> Iterator[Problem]:
    """Yield the problems of lost Bronze files, a few one by one; a damaged file is read again, which reports it."""
    lost = [file for file in ledger.lost if file.problem != file.damage]
    for file in lost[:LOST_SHOWN]:
        yield Problem(ledger.exchange, ledger.table.name, None, file.span, f"{file.problem}: {LOST_ACTION}")
    if (others := len(lost) - LOST_SHOWN) > 0:
        text = f"{counted(others, 'more Bronze file')} missing or changed: `cexkit bronze check` lists them"
        yield Problem(ledger.exchange, ledger.table.name, None, None, text)


def exclusion_notes(ledger: Ledger) -> tuple[str, ...]:
    """Return how many responses are excluded from a table."""
    if not (hashes := ledger.excluded):
        return ()
    what = f"{ledger.exchange} {ledger.table.name}: {counted(len(hashes), 'excluded response')}"
    return (f"{what} left out; `cexkit quarantine list` lists them, `cexkit quarantine release` uses their rows again",)


def stale_text(files: int, parser_version: int) -> str:
    """Return the problem of files that an older version of the parsers read."""
    return (
        f"{files:,} Bronze files were read by an older version of the parsers than the present {parser_version}; run "
        "`cexkit rebuild` to read them again"
    )


def order(row: dict[str, Any], endpoints: tuple[str, ...]) -> Order:
    """Return the place of a response: by its number, else by endpoint and time of its run, before numbered ones."""
    if (sequence := row.get("sequence")) is not None:
        return True, sequence, row["path"], row["position"]
    return False, endpoints.index(row["endpoint"]), row["path"], row["position"]


def identity_of(head: dict[str, Any]) -> Identity:
    """Return the instrument that a response is about, from the columns of its head; None if it cannot be told."""
    try:
        instrument = json.loads(head["context"]).get("instrument")
        return None if instrument is None else (instrument["instrument_type"], instrument["symbol"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def parse(
    exchange_name: str, table: Table, row: dict[str, Any], problems: list[Problem], terms: Terms | None = None
) -> Parsed:
    """Parse a stored response; a malformed one has no rows and is added to ``problems``.

    A damaged one has no rows either, and says so in ``row["damage"]``. With ``terms``, each row gets the contract terms
    at its time, whenever the response was requested.
    """
    if row["damage"] is None:
        try:
            context = replace(Context.from_json(row["context"]), terms=terms)
        except (ValueError, TypeError, KeyError):
            row["damage"] = f"{row['path']} must hold responses with their context, got one without"
    if row["damage"] is not None:
        return Parsed(row, None, None)
    symbol = context.instrument.symbol if context.instrument else None
    try:
        rows = parse_response(exchange_name, row["endpoint"], row["body"], context)
    except PayloadError as error:
        problems.append(Problem(exchange_name, table.name, symbol, context.window, str(error)))
        return Parsed(row, context, None)
    if (bad := quarantined(rows)).count:
        problems.append(Problem(exchange_name, table.name, symbol, context.window, f"{row['endpoint']}: {bad}"))
    if (added := added_columns(rows)) is not None:
        text = f"{row['endpoint']}: {added}"
        if all(text not in problem.message for problem in problems):
            problems.append(Problem(exchange_name, table.name, None, None, text))
    return Parsed(row, context, rows, bad=bad)


class Record:
    """Files that a build read and the responses in them, as rows of the ledger."""

    def __init__(self, root: Path, parser_version: int):
        self._root, self.parser_version = root, parser_version
        self.responses: list[dict[str, Any]] = []
        #: Number of rows of these responses that are quarantined because something is wrong with them.
        self.quarantined = 0
        self.damaged: dict[str, str] = {}
        self.waiting: set[str] = set()
        self._pending: set[str] = set()
        self._files: dict[str, dict[str, Any]] = {}

    def add(self, parsed: Parsed) -> None:
        """Add a response that was read whole."""
        row, span, identity = parsed.row, parsed.span, parsed.identity or (None, None)
        count = parsed.event_count if parsed.rows is None else parsed.rows.num_rows
        start, end = (row["data_start"], row["data_end"]) if span is None else (span.start, span.end)
        names = ("path", "position", "sequence", "sha256")
        facts = {"start": start, "end": end, "rows": count, "parser_version": self.parser_version}
        facts |= {"quarantined": parsed.bad.count, "reason": str(parsed.bad) if parsed.bad.count else None}
        self.quarantined += parsed.bad.count
        whose = {"instrument_type": identity[0], "symbol": identity[1]}
        self.responses.append({name: row.get(name) for name in names} | whose | facts)
        for path in dict.fromkeys((row["path"], row["file"] or row["path"])):
            self._extend(path, start, end, count, row.get("sequence"))

    def _extend(self, path: str, start: datetime | None, end: datetime | None, rows: int, sequence: int | None) -> None:
        before = self._files.get(path)
        if before is None:
            self._files[path] = {"start": start, "end": end, "responses": 1, "rows": rows, "last_sequence": sequence}
            return
        before["start"] = None if None in (start, before["start"]) else min(start, before["start"])
        before["end"] = None if None in (end, before["end"]) else max(end, before["end"])
        before["responses"] += 1
        before["rows"] += rows
        before["last_sequence"] = max((n for n in (sequence, before["last_sequence"]) if n is not None), default=None)

    def damage(self, path: str, text: str, *, holder: str | None = None) -> None:
        """Add a damaged file; it, and the file that refers to it, are read again by the next build."""
        self.damaged[path] = text
        self._pending |= {path, holder or path}

    def files(self, names: str) -> list[dict[str, Any]]:
        """Return the files as rows of the ledger; ``names`` is what waiting ones were read with."""
        found = []
        for path in dict.fromkeys([*self._files, *sorted(self._pending)]):
            facts = self._files.get(path)
            state = "pending" if path in self._pending else "waiting" if path in self.waiting else "merged"
            row = {"path": path, "state": state, "damage": self.damaged.get(path), "bytes": _size(self._root / path)}
            row |= {} if facts is None else facts | {"parser_version": self.parser_version, "names": names}
            if row["bytes"] is not None:
                found.append(row)
        return found


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def endpoints(exchange_name: str, table: Table) -> tuple[str, ...]:
    """Return the endpoints whose responses a table is derived from, including the live stream."""
    stream = stream_of(exchange_name, table)
    return (*exchange(exchange_name).endpoints(table.name), *([stream.endpoint] if stream else []))


def stream_of(exchange_name: str, table: Table) -> Stream | None:
    """Return the live stream that a table of a venue is derived from."""
    return STREAMS.get(exchange_name) if table.name == "liquidations" else None
