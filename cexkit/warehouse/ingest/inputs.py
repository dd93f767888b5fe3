"""Inputs of a build: the new responses of a table, and the merged ones that can hold the same rows."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

import polars as pl

from cexkit.errors import DatasetError, PayloadError
from cexkit.exchanges.facts import unlisted
from cexkit.exchanges.registry import exchange
from cexkit.exchanges.rows import DESCRIBED, Quarantined
from cexkit.exchanges.streams import liquidations_of, read_events
from cexkit.exchanges.terms import Terms
from cexkit.schema import TABLES, Table
from cexkit.schema.intervals import Window, from_ms, merged
from cexkit.warehouse.ingest.region import Region
from cexkit.warehouse.ingest.replay import (
    LOST_ACTION,
    Identity,
    Order,
    Parsed,
    Record,
    endpoints,
    identity_of,
    lost_problems,
    order,
    parse,
    stale_text,
    stream_of,
)
from cexkit.warehouse.ingest.report import Problem
from cexkit.warehouse.store.bronze import bronze_files, read_file, read_heads
from cexkit.warehouse.store.instrument_range import ALL_INSTRUMENTS, InstrumentRange, Place
from cexkit.warehouse.store.layout import bronze_folder
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.ledger_files import State
from cexkit.warehouse.store.warehouse import Warehouse

#: Distance of rows by which the rows of a response are estimated if the table has no interval: the shortest of funding.
_TYPICAL_STEP = timedelta(hours=1)


class Inputs:
    """Responses that a build of a table reads, and what the ledger must know of them.

    Attributes
    ----------
    ledger : Ledger
        What was merged before.
    problems : list of Problem
        What is wrong with responses, files that are lost, and rows of older parsers.
    heads : dict of str to list of dict
        Heads of the responses in each new file, with the instrument and the span of the rows that each can hold.
    excluded : frozenset of str
        Hashes of responses whose rows are left out.
    lost : bool
        True if a merged response could not be read.
    """

    def __init__(self, warehouse: Warehouse, exchange_name: str, table: Table):
        self._root, self._exchange, self._table = warehouse.root, exchange_name, table
        self._endpoints, self._stream = endpoints(exchange_name, table), stream_of(exchange_name, table)
        is_read_whole = exchange(exchange_name).is_read_whole(table.name)
        names_instruments = is_read_whole or table.name == "liquidations"
        self._terms = read_terms(warehouse, exchange_name) if names_instruments else None
        self._names = self._terms.names if self._stream or is_read_whole else frozenset()
        self._margins = {
            str(bronze_folder(exchange_name, archive.endpoint)): archive.margin
            for (name, _), archive in exchange(exchange_name).archives.items()
            if name == table.name
        }
        self.ledger = Ledger(warehouse.root, exchange_name, table)
        self._record = Record(warehouse.root, exchange(exchange_name).parser_version)
        self._seen: set[tuple[str, int]] = set()
        self.excluded = self.ledger.excluded
        self._retired = frozenset(self.ledger.files.filter(pl.col("retired"))["path"])
        self.problems = list(self._standing_problems())
        self.heads: dict[str, list[dict[str, Any]]] = {}
        self.lost = False
        self._rows_before = 0

    def _standing_problems(self) -> Iterator[Problem]:
        yield from lost_problems(self.ledger)
        if stale := self.ledger.stale(self._record.parser_version):
            yield self._problem(stale_text(stale, self._record.parser_version))

    def _problem(self, text: str, span: Window | None = None) -> Problem:
        return Problem(self._exchange, self._table.name, None, span, text)

    def find(self, held_rows: int, state: str) -> None:
        """Find the new responses and announce them.

        If Silver is not as the ledger recorded it, all responses are new: it was deleted, or another state of it was
        restored. After a build that was interrupted, Silver may have more rows, but not fewer.

        Parameters
        ----------
        held_rows : int
            Rows of Silver and its quarantine.
        state : str
            Digest of the Silver files.
        """
        if (difference := self._difference(held_rows, state)) is not None:
            self.problems.append(self._problem(f"{difference}: all of Bronze is merged again"))
            self._rows_before = sum(self.ledger.days.values())
            self.ledger.reset()
        found = {
            path: size
            for endpoint in self._endpoints
            for path, size in bronze_files(self._root, self._exchange, endpoint).items()
        }
        announced = []
        for path in self.ledger.new(found, self._names_digest):
            heads = self._heads(path)
            if not heads:
                announced += [] if path in self._record.damaged else [_announced(path, found[path], "other")]
            else:
                self.heads[path] = heads
                bounds = merged(_span(head) for head in heads)
                announced.append(_announced(path, found[path], "pending", bounds[0].start, bounds[-1].end))
        self.ledger.record(announced)

    def _difference(self, held_rows: int, state: str) -> str | None:
        """Return how Silver differs from what the ledger recorded; None if a build can continue from it."""
        interrupted, recorded = self.ledger.is_interrupted, sum(self.ledger.days.values())
        if held_rows < recorded or (recorded and held_rows > recorded and not interrupted):
            return f"Silver holds {held_rows:,} rows, the ledger recorded {recorded:,}"
        if not interrupted and self.ledger.silver not in (None, state):
            return "Silver has other files than the last build left"
        return None

    @property
    def quarantined(self) -> int:
        """Number of rows of the new responses that are quarantined because something is wrong with them."""
        return self._record.quarantined

    @property
    def spans(self) -> tuple[Window, ...]:
        """The spans of time that the new responses can hold rows of."""
        return merged(_span(head) for heads in self.heads.values() for head in heads)

    @property
    def identities(self) -> set[Identity]:
        """The instruments that the new responses are about."""
        return {head["identity"] for heads in self.heads.values() for head in heads}

    def new_spans(self) -> Iterator[tuple[Identity, Window]]:
        """Yield the instrument of each new response and the span of the rows that it can hold."""
        return ((head["identity"], _span(head)) for heads in self.heads.values() for head in heads)

    def expected_rows(self, span: Window) -> Iterator[tuple[Place, float]]:
        """Yield about how many rows of a span each new response holds, by instrument."""
        step = self._table.bar or _TYPICAL_STEP
        for identity, window in self.new_spans():
            if identity is not None and _touch(window, span):
                yield identity, (min(window.end, span.end) - max(window.start, span.start)) / step

    def read_new(self, span: Window, instruments: InstrumentRange = ALL_INSTRUMENTS) -> list[Parsed]:
        """Return the new responses that can hold rows of a span; what is wrong with one is reported once."""
        found = []
        for path, heads in self.heads.items():
            touched = (head for head in heads if _touch(_span(head), span))
            chosen = {head["position"]: head for head in touched if instruments.contains(head["identity"])}
            for row in self._read(path, chosen):
                first = (path, row["position"]) not in self._seen
                parsed = self._parse(row, self.problems if first else [])
                if first:
                    self._seen.add((path, row["position"]))
                    self._record.add(parsed)
                if parsed.span is not None:  # the parser at the time of the request may have stated another one
                    whole = _around(_span(row), parsed.span)
                    chosen[row["position"]].update(data_start=whole.start, data_end=whole.end)
                found += [part for part in parsed.parts if instruments.contains(part.identity)]
        return found

    def read_merged(self, region: Region, instruments: InstrumentRange = ALL_INSTRUMENTS) -> list[Parsed]:
        """Return the merged responses that can hold rows of a region; ``lost`` tells if one cannot be read."""
        found = []
        for file in self.ledger.overlapping(region.bounds):
            if file.path in self.heads or not file.path.endswith(".parquet"):
                continue
            heads = self._heads(file.path)
            named = [head for head in heads if instruments.contains(head["identity"])]
            chosen = {head["position"] for head in named if region.touches(head["identity"], _span(head))}
            parts = (part for row in self._read(file.path, chosen) for part in self._parse(row, []).parts)
            found += [part for part in parts if instruments.contains(part.identity)]
        return found

    def _heads(self, path: str) -> list[dict[str, Any]]:
        try:
            heads = read_heads(self._root, path, self._table.name)
            if change := self.ledger.change_of(path, (head["sha256"] for head in heads)):
                self._report_damage(path, change)
                return []
            margin = self._margins.get(str(PurePosixPath(path).parents[1]), timedelta(0))
            return [_with_margin(_identified(head), margin) for head in heads]
        except DatasetError:
            self._report_damage(path, f"{path} must be Parquet with the columns of responses, got other content")
            return []

    def _read(self, path: str, positions: Container[int]) -> Iterator[dict[str, Any]]:
        try:
            yield from read_file(self._root, path, positions)
        except DatasetError:
            self._report_damage(path, f"{path} must be Parquet with the columns of responses, got other content")

    def _parse(self, row: dict[str, Any], problems: list[Problem]) -> Parsed:
        is_message = self._is_message(row)
        parsed = (
            self._message(row, problems)
            if is_message
            else parse(self._exchange, self._table, row, problems, self._terms)
        )
        if not is_message:
            row["body"] = None  # messages are parsed again, together
        if parsed.rows is not None and (unknown := unlisted(parsed.rows)):
            self._record.waiting.add(row["path"])
            text = f"no instrument {unknown[0]!r}{_more(unknown)} is listed: its rows wait until it is"
            problems.append(self._problem(f"{row['endpoint']}: {text}", _span(row)))
        if row["damage"] and row["file"] in self._retired:
            self.lost = True  # its rows are in Silver
            parsed.event_count = self.ledger.responses_with([row["sha256"]])["rows"].max() or 0
        elif row["damage"]:
            self._report_damage(row["file"] or row["path"], row["damage"], holder=row["path"])
        return parsed

    def _report_damage(self, path: str, text: str, *, holder: str | None = None) -> None:
        self.lost = True
        known = {file.path for file in self.ledger.lost if file.problem != file.damage}
        if path not in self._record.damaged and path not in known:
            self.problems.append(self._problem(f"{text}: {LOST_ACTION}"))
        self._record.damage(path, text, holder=holder)

    def _is_message(self, row: dict[str, Any]) -> bool:
        return self._stream is not None and row["endpoint"] == self._stream.endpoint

    def _message(self, row: dict[str, Any], problems: list[Problem]) -> Parsed:
        """Return a message of the live stream with the span of its events, and note if one waits for its instrument."""
        if row["damage"]:
            return Parsed(row, None, None)
        try:
            bad: list[str] = []
            events = read_events(self._stream, row["body"], row["received_at"], bad)
        except PayloadError as error:
            problems.append(self._problem(str(error), _span(row)))
            return Parsed(row, None, None)
        found = Quarantined(len(bad), tuple(bad[:DESCRIBED]))
        problems += [self._problem(str(found), _span(row))] if bad else []
        for name in sorted({event.venue_symbol for event in events} - self._names):
            self._record.waiting.add(row["path"])
            text = f"{self._stream.endpoint}: no instrument {name!r} is listed: its events wait until it is"
            problems.append(self._problem(text, _span(row)))
        times = [from_ms(event.ms) for event in events]
        span = Window(min(times), max(times) + timedelta(microseconds=1)) if times else None
        return Parsed(row, None, None, span, len(events), found)

    def region_of(self, parsed: Parsed) -> tuple[Identity, Window] | None:
        """Return whose rows a response can change, and when; None if it has no rows."""
        return None if parsed.span is None else (parsed.identity, parsed.span)

    @property
    def has_messages(self) -> bool:
        """True if responses can be messages of a live stream, which are parsed together."""
        return self._stream is not None

    def in_order(self, parsed: Iterable[Parsed]) -> list[Parsed]:
        """Return responses in the order in which the later one wins."""
        return sorted(parsed, key=self.order)

    def order(self, parsed: Parsed) -> Order:
        """Return the place of a response among all others."""
        return order(parsed.row, self._endpoints)

    def events(self, parsed: Iterable[Parsed]) -> list[pl.DataFrame]:
        """Return the rows of the messages among these responses, which are parsed together."""
        rows = [one.row for one in self.in_order(parsed) if self._is_message(one.row) and not one.row["damage"]]
        if not rows:
            return []
        known: dict[bytes, datetime] = {}
        for row in rows:
            if row["sha256"] not in self.excluded:
                known.setdefault(row["body"], row["received_at"])
        table, _ = liquidations_of(self._exchange, known, self._terms)  # problems were reported at the reading
        return [pl.from_arrow(table)]

    @property
    def _names_digest(self) -> str:
        return hashlib.sha256("\n".join(sorted(self._names)).encode()).hexdigest()[:16]

    def finish(self, state: str, left_out: Iterable[Window] = ()) -> None:
        """Record what was read as merged and the digest of the Silver files; call it when the rows are in Silver.

        Files with rows of spans that were left out stay new.
        """
        if (gone := self._rows_before - sum(self.ledger.days.values())) > 0:
            text = f"{gone:,} rows that Silver held come from no response in Bronze; restore them from a copy of Silver"
            self.problems.append(self._problem(text))
        self.ledger.record_silver(state)
        spans = list(left_out)
        unmerged = {
            path
            for path, heads in self.heads.items()
            if any(_touch(_span(head), span) for head in heads for span in spans)
        }
        files = [file for file in self._record.files(self._names_digest) if file["path"] not in unmerged]
        responses = [response for response in self._record.responses if response["path"] not in unmerged]
        self.ledger.record(files, responses)


def _more(names: Sequence[str]) -> str:
    return f" (and {len(names) - 1:,} others)" if len(names) > 1 else ""


def _announced(
    path: str, size: int, state: State, start: datetime | None = None, end: datetime | None = None
) -> dict[str, Any]:
    return {"path": path, "bytes": size, "state": state, "start": start, "end": end}


def _span(row: Mapping[str, Any]) -> Window:
    return Window(row["data_start"], row["data_end"])


def _identified(head: dict[str, Any]) -> dict[str, Any]:
    """Return a head with its ``identity`` in place of the context, which is much larger."""
    return {name: value for name, value in head.items() if name != "context"} | {"identity": identity_of(head)}


def _with_margin(head: dict[str, Any], margin: timedelta) -> dict[str, Any]:
    """Return the head of an archive's file with the margin in its span; an older version stated whole days."""
    start, end = head["data_start"], head["data_end"]
    if not margin or (end - start) % timedelta(days=1):
        return head
    return head | {"data_start": start - margin, "data_end": end + margin}


def _touch(one: Window, other: Window) -> bool:
    return one.start < other.end and other.start < one.end


def _around(*spans: Window) -> Window:
    return Window(min(span.start for span in spans), max(span.end for span in spans))


def read_terms(warehouse: Warehouse, exchange_name: str) -> Terms:
    """Return the contract terms of a venue's instruments over time.

    Instruments without a period have the terms as last seen: warehouses of earlier versions have no periods.
    """
    tables = (TABLES["instruments"], TABLES["instrument_periods"])
    listed, periods = (warehouse.read(table, exchange=exchange_name).to_pylist() for table in tables)
    known = {(row["instrument_type"], row["symbol"]) for row in periods}
    return Terms.of([*periods, *(row for row in listed if (row["instrument_type"], row["symbol"]) not in known)])
