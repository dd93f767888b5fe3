"""Compaction: the pieces of a running month or year put together as its weeks, its months, and all of it are closed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from cexkit.errors import DamagedFileError
from cexkit.schema import TABLES, Table
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.data_files import require_intact
from cexkit.warehouse.store.ledgers import same_rows
from cexkit.warehouse.store.manifest import DataFile
from cexkit.warehouse.store.warehouse import Warehouse


def compact(warehouse: Warehouse, *, exchange: str | None = None, now: datetime | None = None) -> tuple[DataFile, ...]:
    """Put pieces together that are closed by now, and delete files that left the dataset a day ago.

    No row changes: each new file is read again and held against its pieces before it takes their place, in one step.
    Done twice, the second time changes nothing. A running year that lies in one file, as earlier versions wrote it, is
    taken apart into its pieces.

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
    DamagedFileError
        If a piece is missing or damaged; the other pieces were put together.
    DatasetError
        If the folder cannot be written, or a file read again is not what its pieces were; nothing is changed then.

    Examples
    --------
    >>> import tempfile
    >>> compact(Warehouse(tempfile.mkdtemp()))
    ()
    """
    moment, done, damaged = now or datetime.now(UTC), [], []
    for table, venue in _in_pieces(warehouse, exchange, moment):
        with warehouse.exclusive(table, venue), same_rows(warehouse, table, venue):
            present = {file.period: file for file in warehouse.manifest.select(table.name, exchanges=[venue])}
            for old, new in layout.moved(table, present, moment):
                parts = [present[period] for period in old]
                try:
                    require_intact(warehouse.root, parts)
                except DamagedFileError as error:
                    damaged.append(error)
                else:
                    done += _move(warehouse, table, venue, new, parts)
    warehouse.sweep()
    if damaged:
        raise damaged[0]
    return tuple(done)


def _in_pieces(warehouse: Warehouse, exchange: str | None, now: datetime) -> Iterator[tuple[Table, str]]:
    """Yield tables and venues that have files to put together."""
    present: dict[tuple[str, str], list[str]] = {}
    for file in warehouse.manifest.files:
        if file.table in TABLES and file.exchange and exchange in (None, file.exchange):
            present.setdefault((file.table, file.exchange), []).append(file.period)
    for (name, venue), periods in sorted(present.items()):
        if layout.moved(TABLES[name], periods, now):
            yield TABLES[name], venue


def _move(
    warehouse: Warehouse, table: Table, exchange: str, periods: tuple[str, ...], parts: list[DataFile]
) -> tuple[DataFile, ...]:
    """Make files of these periods of the parts: instrument by instrument if each has row groups of its own."""
    if table.period == "month":
        return (warehouse.combine(table, exchange, *periods, parts),)
    return warehouse.rearrange(table, exchange, periods, parts)
