"""Bounds of SQL queries: memory, threads, temporary space, the size of a result, and time; and Ctrl-C."""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from cexkit.config import settings
from cexkit.errors import QueryBoundError
from cexkit.warehouse.store.statements import literal
from cexkit.warehouse.store.threads import Result, start

#: Rows per batch of a result, after each of which its size is checked.
BATCH_ROWS = 100_000
#: Seconds between two attempts to interrupt a query, and after which one that does not react is abandoned.
_RETRY_SECONDS, _GRACE_SECONDS = 0.05, 10.0
_ADVICE = "select fewer rows or columns, or raise the bound"


def set_bounds(base: duckdb.DuckDBPyConnection) -> None:
    """Set the bounds of a database, before its configuration is locked."""
    found = settings()
    most = f"least({found.sql_memory_bytes}, parse_formatted_bytes(current_setting('memory_limit')))"
    (memory,) = base.execute(f"SELECT {most}").fetchone()
    folder = Path(tempfile.gettempdir()) / f"cexkit-sql-{uuid.uuid4().hex}"  # made when needed, and removed at the end
    values = {
        "memory_limit": f"{memory}B",
        "temp_directory": str(folder),
        "max_temp_directory_size": f"{found.sql_temp_bytes}B",
    }
    if found.sql_threads is not None:
        values["threads"] = str(found.sql_threads)
    for name, value in values.items():
        base.execute(f"SET {name} = {literal(value)}")


def run_bounded(connection: duckdb.DuckDBPyConnection, work: Callable[[], Result]) -> Result:
    """Run a query in a thread, and interrupt it after ``CEXKIT_SQL_SECONDS`` or on Ctrl-C.

    In the main thread DuckDB would note Ctrl-C only between some of its steps.

    Raises
    ------
    QueryBoundError
        If the query takes longer.
    """
    seconds, outcome = settings().sql_seconds, start(work)
    try:
        ended = _wait(outcome, seconds)
    except BaseException:
        _interrupt(connection, outcome)
        raise
    if not ended:
        _interrupt(connection, outcome)
        raise QueryBoundError(
            f"the query must end within {seconds:,g} seconds (CEXKIT_SQL_SECONDS), and was stopped; {_ADVICE}"
        )
    return outcome.result()


def _wait(outcome: Future, seconds: float) -> bool:
    """Return whether a query ended in time; Thread.join would not tell after Ctrl-C."""
    return bool(wait([outcome], seconds).done)


def _interrupt(connection: duckdb.DuckDBPyConnection, outcome: Future) -> None:
    until = time.monotonic() + _GRACE_SECONDS
    while not outcome.done() and time.monotonic() < until:
        connection.interrupt()
        _wait(outcome, _RETRY_SECONDS)


class BoundedQuery:
    """A query whose result Ibis reads within bounds."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, query: str):
        self._connection, self._query = connection, query

    def to_arrow_table(self) -> pa.Table:
        """Return the whole result; raise QueryBoundError if it exceeds a bound."""
        return fetch_rows(self._connection, self._query)


def fetch_rows(cursor: duckdb.DuckDBPyConnection, query: str) -> pa.Table:
    """Return the result of a query within the bounds; errors are those of DuckDB and PyArrow, and QueryBoundError."""
    return run_bounded(cursor, lambda: _read_all(cursor.execute(query).to_arrow_reader(BATCH_ROWS)))


def _read_all(batches: pa.RecordBatchReader) -> pa.Table:
    """Return batches as a table; raise QueryBoundError if they exceed ``CEXKIT_SQL_MEMORY_BYTES``."""
    most, size, kept = settings().sql_memory_bytes, 0, []
    for batch in batches:
        size += batch.nbytes
        if size > most:
            raise QueryBoundError(
                f"the result must have at most {most:,} bytes (CEXKIT_SQL_MEMORY_BYTES), and has more; {_ADVICE}"
            )
        kept.append(batch)
    return pa.Table.from_batches(kept, batches.schema)


def bounded_batches(connection: duckdb.DuckDBPyConnection, batches: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """Yield batches, each within the bound on time."""
    remaining: Any = iter(batches)
    while (batch := run_bounded(connection, lambda: next(remaining, None))) is not None:
        yield batch


def bound_failure(error: BaseException) -> QueryBoundError | None:
    """Return the error for a query that exceeds a bound of DuckDB; None if it failed otherwise."""
    text = str(error)
    if not isinstance(error, duckdb.OutOfMemoryException | MemoryError) and "Out of Memory Error" not in text:
        return None
    found, first = settings(), text.partition("\n")[0]
    if "max_temp_directory_size" in text:
        return QueryBoundError(
            f"the query must use at most {found.sql_temp_bytes:,} bytes of temporary space (CEXKIT_SQL_TEMP_BYTES); "
            f"{_ADVICE} ({first})"
        )
    return QueryBoundError(
        f"the query must use at most {found.sql_memory_bytes:,} bytes of memory (CEXKIT_SQL_MEMORY_BYTES); {_ADVICE} "
        f"({first})"
    )
