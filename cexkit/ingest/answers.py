"""Answers of Bronze, parsed again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cexkit.errors import PayloadError
from cexkit.exchanges import Context, exchange, parse_answer
from cexkit.ingest.report import Problem
from cexkit.intervals import Window
from cexkit.schema import Table
from cexkit.store.bronze import read_bronze
from cexkit.store.warehouse import Warehouse

if TYPE_CHECKING:
    import pyarrow as pa


def answers(
    warehouse: Warehouse, exchange_name: str, table: Table, window: Window | None, problems: list[Problem]
) -> Iterator[tuple[dict, Context, pa.Table | None]]:
    """Bronze answers of a table, parsed; malformed ones are None and become problems."""
    for endpoint in exchange(exchange_name).endpoints(table.name):
        for row in read_bronze(warehouse.root, exchange_name, endpoint, table.name, window):
            context = Context.from_json(row["context"])
            try:
                rows = parse_answer(exchange_name, endpoint, row["body"], context)
            except PayloadError as error:
                symbol = context.instrument.symbol if context.instrument else None
                problems.append(Problem(exchange_name, table.name, symbol, context.window, str(error)))
                rows = None
            yield row, context, rows
