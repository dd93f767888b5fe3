"""Ranges of instruments: those that follow each other in the order of a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

#: Instrument type and symbol, by which the instruments of a venue are sorted in a file.
Place = tuple[str, str]
_COLUMNS = ("instrument_type", "symbol")


@dataclass(frozen=True, slots=True)
class InstrumentRange:
    """The instruments of a venue after one and up to another one, which is included; None: without a bound.

    Examples
    --------
    >>> range = InstrumentRange(("future", "BTCUSDT"), ("perp", "ETHUSDT"))
    >>> [range.contains(("perp", symbol)) for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT")]
    [True, True, False]
    """

    after: Place | None = None
    last: Place | None = None

    @property
    def is_whole(self) -> bool:
        """True if it contains all instruments."""
        return self.after is None and self.last is None

    def contains(self, place: Place | None) -> bool:
        """Return whether it contains an instrument; None means several instruments, and is always contained."""
        return place is None or self.meets(place, place)

    def meets(self, first: Place, last: Place) -> bool:
        """Return whether it contains an instrument from one to another one."""
        return (self.after is None or last > self.after) and (self.last is None or first <= self.last)

    def rows(self, rows: pa.Table) -> pa.Table:
        """Return the rows of its instruments, in their order."""
        if self.after is not None:
            rows = rows.filter(_is_after(rows, self.after))
        return rows if self.last is None else rows.filter(pc.invert(_is_after(rows, self.last)))


#: All instruments.
ALL_INSTRUMENTS = InstrumentRange()


class GroupBounds(NamedTuple):
    """Row count of a row group, and bounds of its instruments; None without statistics."""

    rows: int
    first: Place | None
    last: Place | None


def group_bounds(facts: pq.FileMetaData) -> Iterator[GroupBounds]:
    """Yield the bounds of the instruments in each row group of a file."""
    names = facts.schema.to_arrow_schema().names
    columns = [names.index(name) for name in _COLUMNS]
    for number in range(facts.num_row_groups):
        group = facts.row_group(number)
        known = [group.column(column).statistics for column in columns]
        if all(each is not None and each.has_min_max for each in known):
            yield GroupBounds(group.num_rows, tuple(each.min for each in known), tuple(each.max for each in known))
        else:
            yield GroupBounds(group.num_rows, None, None)


def read_instruments(file: pq.ParquetFile, instruments: InstrumentRange) -> pa.Table:
    """Return the rows of some instruments in a file; row groups without any are not read."""
    if instruments.is_whole:
        return file.read()
    groups = [
        number
        for number, (_, first, last) in enumerate(group_bounds(file.metadata))
        if first is None or instruments.meets(first, last)
    ]
    return instruments.rows(file.read_row_groups(groups))


def _is_after(rows: pa.Table, place: Place) -> pa.ChunkedArray:
    kinds, symbols = (rows.column(name) for name in _COLUMNS)
    same_kind = pc.and_(pc.equal(kinds, place[0]), pc.greater(symbols, place[1]))
    return pc.or_(pc.greater(kinds, place[0]), same_kind)
