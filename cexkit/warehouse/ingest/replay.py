"""Replay of Bronze: stored responses, parsed again."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cexkit.errors import PayloadError
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.registry import exchange, parse_response
from cexkit.exchanges.streams import STREAMS, Stream, liquidations_of
from cexkit.schema import TABLES, Table
from cexkit.schema.intervals import Window
from cexkit.schema.symbols import Instrument
from cexkit.warehouse.ingest.report import Problem
from cexkit.warehouse.store.bronze import read_bronze, request_order
from cexkit.warehouse.store.ledger import LedgerEntry
from cexkit.warehouse.store.warehouse import Warehouse

if TYPE_CHECKING:
    import pyarrow as pa


class Inputs:
    """Bronze files that a build of Silver reads, as entries for the ledger.

    Attributes
    ----------
    parser_version : int
        Version of the venue's parsers.
    corrupt : set of str
        Files that are not Parquet, or hold a body that does not match its hash.
    """

    def __init__(self, root: Path, parser_version: int):
        self._root, self.parser_version = root, parser_version
        self._responses: dict[str, dict[str, int]] = defaultdict(dict)
        self._spans: dict[str, list[tuple[datetime | None, datetime | None]]] = defaultdict(list)
        self.corrupt: set[str] = set()

    def add(self, row: dict, rows: int | None) -> None:
        """Add a stored response and the rows it gave; None for a stream, whose messages are parsed together."""
        paths = [row["path"]] if row["file"] is None else [row["path"], row["file"]]
        for path in paths:
            self._spans[path].append((row["data_start"], row["data_end"]))
        if rows is not None:
            self._responses[paths[-1]][row["sha256"]] = rows

    def entries(self) -> list[LedgerEntry]:
        """Return the ledger entries of the files."""
        return [self._entry(path, self._spans[path]) for path in {*self._spans, *self.corrupt}]

    def _entry(self, path: str, spans: list[tuple[datetime | None, datetime | None]]) -> LedgerEntry:
        starts, ends = [start for start, _ in spans], [end for _, end in spans]
        return LedgerEntry(
            path=path,
            bytes=(self._root / path).stat().st_size,
            start=None if None in starts else min(starts, default=None),
            end=None if None in ends else max(ends, default=None),
            parser_version=self.parser_version,
            sha256=tuple(self._responses[path]),
            rows=tuple(self._responses[path].values()),
            corrupt=path in self.corrupt,
        )


def responses(
    warehouse: Warehouse,
    exchange_name: str,
    table: Table,
    window: Window | None,
    problems: list[Problem],
    inputs: Inputs | None = None,
) -> Iterator[tuple[dict, Context, pa.Table | None]]:
    """Yield the parsed Bronze responses of a table; malformed ones yield None and are added to ``problems``."""
    unreadable: list[str] = []
    for endpoint in exchange(exchange_name).endpoints(table.name):
        for row in read_bronze(warehouse.root, exchange_name, endpoint, table.name, window, unreadable=unreadable):
            if row["body"] is None:
                continue  # the ledger reports the file
            context = Context.from_json(row["context"])
            sound = hashlib.sha256(row["body"]).hexdigest() == row["sha256"]
            try:
                if not sound:
                    raise PayloadError(endpoint, f"the body stored in {row['path']} does not match its hash")
                rows = parse_response(exchange_name, endpoint, row["body"], context)
            except PayloadError as error:
                symbol = context.instrument.symbol if context.instrument else None
                problems.append(Problem(exchange_name, table.name, symbol, context.window, str(error)))
                rows = None
            if inputs is not None:
                inputs.add(row, 0 if rows is None else rows.num_rows)
                inputs.corrupt |= set() if sound else {row["file"] or row["path"]}
            yield row, context, rows
    _report_unreadable(exchange_name, table, unreadable, problems, inputs)


def _report_unreadable(
    exchange_name: str, table: Table, paths: list[str], problems: list[Problem], inputs: Inputs | None
) -> None:
    for path in paths:
        text = f"Bronze file {path} must be Parquet, got other content; restore it or run `cexkit bronze retire`"
        problems.append(Problem(exchange_name, table.name, None, None, text))
    if inputs is not None:
        inputs.corrupt |= set(paths)


def streamed(
    warehouse: Warehouse,
    exchange_name: str,
    table: Table,
    window: Window,
    problems: list[Problem],
    inputs: Inputs | None = None,
) -> list[pa.Table]:
    """Return the rows of messages received live, batch by batch in the order in which the batches began."""
    stream = _stream(exchange_name, table)
    if stream is None:
        return []
    messages, unreadable = [], []
    for row in read_bronze(warehouse.root, exchange_name, stream.endpoint, table.name, window, unreadable=unreadable):
        messages.append((request_order(row), row["body"]))
        if inputs is not None:
            inputs.add(row, None)
    _report_unreadable(exchange_name, table, unreadable, problems, inputs)
    if not messages:
        return []
    bodies = [body for _, body in sorted(messages, key=lambda message: message[0])]
    rows, quarantined = liquidations_of(exchange_name, bodies, stream_instruments(warehouse, exchange_name, table))
    problems += [Problem(exchange_name, table.name, None, window, text) for text in quarantined]
    return [rows]


def stream_instruments(warehouse: Warehouse, exchange_name: str, table: Table) -> list[Instrument]:
    """Return the instruments that names in a live stream refer to; empty if the table has no live stream."""
    if _stream(exchange_name, table) is None:
        return []
    listed = warehouse.read(TABLES["instruments"], exchange=exchange_name)
    return [Instrument.of(row) for row in listed.to_pylist()]


def endpoints(exchange_name: str, table: Table) -> tuple[str, ...]:
    """Return the endpoints whose responses a table is derived from, including the live stream."""
    stream = _stream(exchange_name, table)
    return (*exchange(exchange_name).endpoints(table.name), *([stream.endpoint] if stream else []))


def _stream(exchange_name: str, table: Table) -> Stream | None:
    return STREAMS.get(exchange_name) if table.name == "liquidations" else None
