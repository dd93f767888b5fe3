"""Compaction: the pieces of a running month put together as its weeks, and then the month, are closed."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime

from cexkit.schema import TABLES, Table
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.manifest import DataFile
from cexkit.warehouse.store.warehouse import Warehouse


def compact(warehouse: Warehouse, *, exchange: str | None = None, now: datetime | None = None) -> tuple[DataFile, ...]:
    """Put pieces together that are closed by now, and delete files that left the dataset a day ago.

    No row changes: each new file is read again and held against its pieces before it takes their place, in one step.
    Done twice, the second time changes nothing.

    Parameters
    ----------
    warehouse : Warehouse
        Whose tables.
    exchange : str, optional
        Only files of this venue.
    now : datetime, optional
        Time that decides what is closed: periods that ended :data:`cexkit.warehouse.store.layout.SETTLED` before it;
        the clock by default.

    Returns
    -------
    tuple of DataFile
        The files that took the place of others.

    Raises
    ------
    DatasetError
        If the folder cannot be written, or a file read again is not what its pieces were; nothing is changed then.

    Examples
    --------
    >>> import tempfile
    >>> compact(Warehouse(tempfile.mkdtemp()))
    ()
    """
    moment, done = now or datetime.now(UTC), []
    for table, venue in _in_pieces(warehouse, exchange):
        with warehouse.exclusive(table, venue):
            for period, parts in _due(warehouse, table, venue, moment).items():
                done.append(warehouse.combine(table, venue, period, parts))
    warehouse.sweep()
    return tuple(done)


def _in_pieces(warehouse: Warehouse, exchange: str | None) -> list[tuple[Table, str]]:
    """Tables and venues that have files which are not the largest of their kind."""
    found = {
        (file.table, file.exchange)
        for file in warehouse.manifest.files
        if file.table in TABLES
        and file.start is not None
        and file.period != layout.period_of(TABLES[file.table], file.start)
        and exchange in (None, file.exchange)
    }
    return [(TABLES[table], venue) for table, venue in sorted(found)]


def _due(warehouse: Warehouse, table: Table, exchange: str, now: datetime) -> dict[str, list[DataFile]]:
    """Pieces by the larger period that is closed by now."""
    found = defaultdict(list)
    for file in warehouse.manifest.select(table.name, exchanges=[exchange]):
        period = layout.period_of(table, file.start, now)
        if not layout.contains(layout.span_of(file.period), period):
            found[period].append(file)
    return dict(sorted(found.items()))
