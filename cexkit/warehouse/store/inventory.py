"""Inventory of a venue's table: the spans that were read, and those for which the venue returned no rows.

One file per table and venue, with merged spans, so its size depends on instruments and missing spans, not on runs.
A response without rows does not complete a span: missing spans are requested again with growing delays, until the
inventory states that the venue has none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

from cexkit.schema import TABLES, Table
from cexkit.schema.intervals import Window, merged
from cexkit.warehouse.store.inventory_entries import (
    Content,
    Entry,
    Key,
    common,
    overlapping,
    read_content,
    subtract,
    write_content,
)
from cexkit.warehouse.store.layout import INVENTORY, inventory_file, inventory_lock
from cexkit.warehouse.store.parquet import locked


class Identified(Protocol):
    """The attributes of an instrument that an inventory uses."""

    @property
    def instrument_type(self) -> str: ...

    @property
    def symbol(self) -> str: ...


def key_of(instrument: Identified) -> Key:
    """Return the instrument type and symbol, by which an inventory knows an instrument."""
    return Key(instrument.instrument_type, instrument.symbol)


class Inventory:
    """Spans of one table of a venue, per instrument: complete, missing, or such that the venue has none.

    Changes are kept in memory until :meth:`flush`, which adds them to what other processes wrote meanwhile.

    Parameters
    ----------
    root : Path
        Folder of the warehouse.
    exchange : str
        Venue.
    table : Table
        The declaration.

    Raises
    ------
    DatasetError
        If the file is damaged.

    Examples
    --------
    >>> import tempfile
    >>> from cexkit.schema.intervals import utc
    >>> from cexkit.schema.symbols import Instrument
    >>> btc = Instrument(exchange="okx", instrument_type="perp", symbol="BTCUSDT", venue_symbol="BTC-USDT-SWAP",
    ...                  base="BTC", quote="USDT")
    >>> inventory = Inventory(Path(tempfile.mkdtemp()), "okx", TABLES["ohlcv_1h"])
    >>> hole = Window.of("2024-01-02T06:00", "2024-01-02T08:00")
    >>> inventory.record(btc, Window.of("2024-01-02", "2024-01-03"), [hole], at=utc("2024-01-09"))
    >>> [part.days for part in inventory.unread(btc, Window.of("2024-01-01", "2024-01-05"))]
    [1.0, 2.0]
    >>> [entry.window == hole for entry in inventory.missing(btc)]
    [True]
    """

    def __init__(self, root: Path, exchange: str, table: Table):
        self._root = root
        self._path, self._lock = root / inventory_file(table, exchange), root / inventory_lock(table, exchange)
        self._content = read_content(self._path)
        self._pending: list[Callable[[Content], object]] = []
        self._given_up: dict[Key, list[Window]] = defaultdict(list)
        #: True if the file was there.
        self.stored = self._path.exists()

    def __iter__(self) -> Iterator[tuple[Key, Entry]]:
        """Yield every entry with the type and symbol of its instrument."""
        for key in sorted(self._content.entries):
            for entry in self._content.entries[key]:
                yield key, entry

    @property
    def keys(self) -> list[Key]:
        """Type and symbol of every instrument with entries."""
        return sorted(self._content.entries)

    def unread(self, instrument: Identified, window: Window) -> list[Window]:
        """Return the parts of a window that were never read, in order."""
        return subtract(window, [entry.window for entry in self._content.entries[key_of(instrument)]])

    def due(self, instrument: Identified, window: Window, now: datetime, overlap: timedelta) -> list[Window]:
        """Return the parts of a window to read now, in order.

        Parameters
        ----------
        instrument : Identified
            Whose rows.
        window : Window
            The span that a run requests.
        now : datetime
            Current time.
        overlap : timedelta
            What is read again before the end of a span whose rows may still be corrected. The rest of such a span is
            read again a day after its reading.
        """
        known = [each.window for each in self._content.recent[key_of(instrument)] if each.holds(now)]
        fresh = [Window(span.start, span.end - overlap) for span in known if span.start + overlap < span.end]
        return [part for span in self.unread(instrument, window) for part in subtract(span, fresh)]

    def recent(self, instrument: Identified, window: Window) -> list[Window]:
        """Return the parts of a window that were read although their rows may still be corrected, in order."""
        found = (common(each.window, window) for each in self._content.recent[key_of(instrument)])
        return [part for part in found if not part.empty]

    def note_recent(self, instrument: Identified, window: Window, at: datetime) -> None:
        """Note that a span was read whose rows may still be corrected."""
        if not window.empty:
            self._change(partial(Content.note_recent, key=key_of(instrument), window=window, at=at))

    def missing(self, instrument: Identified, window: Window | None = None) -> list[Entry]:
        """Return the spans of a window that are requested again, in order."""
        entries = self._content.entries[key_of(instrument)]
        found = entries if window is None else overlapping(entries, window)
        return [entry for entry in found if entry.state == "missing"]

    def complete(self, instrument: Identified, window: Window) -> list[Window]:
        """Return the parts of a window that are complete, in order."""
        found = overlapping(self._content.entries[key_of(instrument)], window)
        return [entry.window for entry in found if entry.state == "complete"]

    def given_up(self, instrument: Identified) -> tuple[Window, ...]:
        """Return the spans that this inventory changed to state ``none``, which no earlier run did."""
        return merged(self._given_up[key_of(instrument)])

    def extent(self, instrument: Identified) -> Window | None:
        """Return the times of an instrument's first and last row, as a closed span; None if it never had a row."""
        return self._content.extents.get(key_of(instrument))

    def observe(self, instrument: Identified, extent: Window) -> None:
        """Note the times of the first and last row that were read; those of earlier reads stay."""
        known = self.extent(instrument)
        if known is None or extent.start < known.start or extent.end > known.end:
            self._change(partial(Content.observe, key=key_of(instrument), extent=extent))

    def floor(self, instrument: Identified, window: Window) -> datetime | None:
        """Return the newest time of a window, its end included, before which the instrument is not requested."""
        floors = self._content.floors[key_of(instrument)]
        return max((moment for moment in floors if window.start <= moment <= window.end), default=None)

    def add_floor(self, instrument: Identified, moment: datetime) -> None:
        """Note that the venue has no rows next to a time, so that the instrument is not requested before it.

        It holds only for the part before a listing, see :mod:`cexkit.warehouse.ingest.before_listing`.
        """
        if moment not in self._content.floors[key_of(instrument)]:
            self._change(partial(Content.add_floor, key=key_of(instrument), moment=moment))

    def record(
        self,
        instrument: Identified,
        window: Window,
        missing: Iterable[Window] = (),
        *,
        at: datetime,
        reset: bool = False,
    ) -> None:
        """Note that a window was read, and which parts of it lack due rows.

        Parameters
        ----------
        instrument : Identified
            Whose rows.
        window : Window
            The span that was read.
        missing : iterable of Window
            Its parts without the rows that are due. A part that was complete before stays complete.
        at : datetime
            Time of the request.
        reset : bool
            True to ignore earlier requests for these parts.
        """
        if window.empty:
            return
        key, spans = key_of(instrument), merged(missing)
        found = self._change(partial(Content.record, key=key, window=window, missing=spans, at=at, reset=reset))
        self._given_up[key] += [entry.window for entry in found]

    def forget(self, instrument: Identified, window: Window) -> None:
        """Note that the rows of a window were removed, so that the next run requests them."""
        self._change(partial(Content.forget, key=key_of(instrument), window=window))

    def postpone(self, instrument: Identified, at: datetime) -> None:
        """Let the delays of an instrument begin now where a request is noted for later than now."""
        if any(entry.last_requested_at > at for entry in self.missing(instrument)):
            self._change(partial(Content.postpone, key=key_of(instrument), at=at))

    def flush(self) -> None:
        """Write the changes; call it only when the responses themselves are on disk."""
        if not self._pending:
            return
        with locked(self._lock):
            content = read_content(self._path)
            before = content.rows()
            for change in self._pending:
                change(content)
            if content.rows() != before:
                write_content(content, self._path, via=self._root / INVENTORY)
        self._content, self._pending = content, []

    def _change(self, change: Callable[[Content], list[Entry]]) -> list[Entry]:
        self._pending.append(change)
        return change(self._content)


def read_inventories(root: Path) -> list[tuple[str, str, Inventory]]:
    """Return the inventories of a warehouse, with the venue and table of each."""
    files = sorted((root / INVENTORY).glob("*/exchange=*.parquet"))
    names = [(path.stem.removeprefix("exchange="), path.parent.name) for path in files]
    return [(exchange, table, Inventory(root, exchange, TABLES[table])) for exchange, table in names if table in TABLES]
