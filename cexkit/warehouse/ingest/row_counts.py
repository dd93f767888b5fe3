"""Row counts of Bronze, computed independently of Silver so that the two can be reconciled."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cexkit.errors import DatasetError
from cexkit.exchanges.registry import exchange
from cexkit.schema import SCHEMA_VERSION, Table
from cexkit.schema.intervals import Window
from cexkit.warehouse.ingest.replay import endpoints, responses, stream_instruments, streamed
from cexkit.warehouse.ingest.silver import conflicting_archives
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.bronze import bronze_spans
from cexkit.warehouse.store.parquet import write_atomic
from cexkit.warehouse.store.warehouse import Warehouse

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

#: Changed when the same responses would be counted differently.
_VERSION = f"{SCHEMA_VERSION}.1"


def count_bronze_rows(warehouse: Warehouse, exchange_name: str, table: Table) -> dict[str, int]:
    """How many different keys the responses of a venue about a table hold, by UTC day.

    Everything is parsed again; a file period whose responses are the very files that were counted before, with names
    that mean the same as then, is not.

    Parameters
    ----------
    warehouse : Warehouse
        Holds Bronze; what was counted is noted in it.
    exchange_name, table
        What to count.

    Returns
    -------
    dict of day to count
        Days as ISO text; ``"all"`` for a table without times.

    Examples
    --------
    >>> import tempfile
    >>> from cexkit.schema import TABLES
    >>> count_bronze_rows(Warehouse(tempfile.mkdtemp()), "okx", TABLES["ohlcv_1h"])
    {}
    """
    place = warehouse.root / layout.count_file(table, exchange_name)
    before, after = _noted(place), {}
    unused = conflicting_archives(warehouse, exchange_name, table, [])
    known = [
        _VERSION,
        *(sorted(map(repr, part)) for part in (unused, stream_instruments(warehouse, exchange_name, table))),
    ]
    for period, inputs in _inputs(warehouse, exchange_name, table).items():
        made_of = _digest([known, inputs])
        if before.get(period, {}).get("made_of") == made_of:
            after[period] = before[period]
        else:
            days = _days(warehouse, exchange_name, table, layout.period_window(table, period), unused)
            after[period] = {"made_of": made_of, "days": days}
    if after != before:
        with suppress(DatasetError):  # a note only saves time, and the folder may be read-only
            text = json.dumps(after, indent=1)
            write_atomic(place, lambda temporary: temporary.write_text(text), via=warehouse.root / layout.ROW_COUNTS)
    return {day: count for noted in after.values() for day, count in noted["days"].items()}


def _noted(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}


def _digest(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _inputs(warehouse: Warehouse, exchange_name: str, table: Table) -> dict[str, list[tuple[str, int]]]:
    """File periods that responses can have rows of, and the files with these responses."""
    present = {file.period for file in warehouse.manifest.select(table.name, exchanges=[exchange_name])}
    now, found = datetime.now(UTC), {}
    for endpoint in endpoints(exchange_name, table):
        for path, span in bronze_spans(warehouse.root, exchange_name, endpoint, table.name).items():
            file = (path.relative_to(warehouse.root).as_posix(), path.stat().st_size)
            for period in layout.periods(table, span, now, present):
                found.setdefault(period, []).append(file)
    return dict(sorted(found.items()))


def _days(
    warehouse: Warehouse, exchange_name: str, table: Table, span: Window, unused: set[tuple[str, Any]]
) -> dict[str, int]:
    """Different keys a day in the responses that can have rows of a span."""
    import polars as pl

    completing = exchange(exchange_name).companions
    window = None if table.time is None else span
    parsed = [
        rows
        for row, context, rows in responses(warehouse, exchange_name, table, window, [])
        if rows is not None
        and (row["endpoint"], context.instrument) not in unused
        and not (table.time is None and row["endpoint"] in completing)
    ]
    parsed += streamed(warehouse, exchange_name, table, span, [])
    if not parsed:
        return {}
    keys = pl.concat([_keys(rows, table) for rows in parsed]).unique()
    if table.time is None:
        return {"all": keys.height}
    inside = keys.filter(pl.col(table.time).is_between(span.start, span.end, "left"))
    days = inside.group_by(pl.col(table.time).dt.strftime("%Y-%m-%d").alias("day")).len().sort("day")
    return dict(days.iter_rows())


def _keys(rows: pa.Table, table: Table) -> pl.DataFrame:
    import polars as pl

    return pl.from_arrow(rows.select(list(table.key)))
