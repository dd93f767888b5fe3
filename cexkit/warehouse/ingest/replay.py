"""Replay of Bronze: stored responses, parsed again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cexkit.errors import PayloadError
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.registry import exchange, parse_response
from cexkit.exchanges.streams import STREAMS, Stream, liquidations_of
from cexkit.schema import TABLES, Table
from cexkit.schema.intervals import Window
from cexkit.schema.symbols import Instrument
from cexkit.warehouse.ingest.report import Problem
from cexkit.warehouse.store.bronze import read_bronze
from cexkit.warehouse.store.warehouse import Warehouse

if TYPE_CHECKING:
    import pyarrow as pa


def responses(
    warehouse: Warehouse, exchange_name: str, table: Table, window: Window | None, problems: list[Problem]
) -> Iterator[tuple[dict, Context, pa.Table | None]]:
    """Yield the parsed Bronze responses of a table; malformed ones yield None and are added to ``problems``."""
    for endpoint in exchange(exchange_name).endpoints(table.name):
        for row in read_bronze(warehouse.root, exchange_name, endpoint, table.name, window):
            context = Context.from_json(row["context"])
            try:
                rows = parse_response(exchange_name, endpoint, row["body"], context)
            except PayloadError as error:
                symbol = context.instrument.symbol if context.instrument else None
                problems.append(Problem(exchange_name, table.name, symbol, context.window, str(error)))
                rows = None
            yield row, context, rows


def streamed(
    warehouse: Warehouse, exchange_name: str, table: Table, window: Window, problems: list[Problem]
) -> list[pa.Table]:
    """Return the rows of messages received live."""
    stream = _stream(exchange_name, table)
    if stream is None:
        return []
    stored = read_bronze(warehouse.root, exchange_name, stream.endpoint, table.name, window)
    messages = [row["body"] for row in stored]
    if not messages:
        return []
    rows, quarantined = liquidations_of(exchange_name, messages, stream_instruments(warehouse, exchange_name, table))
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
