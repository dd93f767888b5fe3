"""Instruments that can have rows of a table in a window, by the lists that were read."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from cexkit.errors import AmbiguousInstrumentError, UnknownNameError
from cexkit.exchanges.registry import exchange
from cexkit.schema import INSTRUMENT_KEYS, TABLES, Table
from cexkit.schema.intervals import Window
from cexkit.schema.names import alike, resolve, resolve_all, to_tuple
from cexkit.schema.symbols import Instrument, InstrumentType
from cexkit.warehouse.ingest.listing_periods import LISTING_MARGIN as LISTING_MARGIN
from cexkit.warehouse.ingest.listing_periods import ListingPeriods, listing_periods
from cexkit.warehouse.store.inventory import key_of
from cexkit.warehouse.store.warehouse import Warehouse


def instruments(
    warehouse: Warehouse,
    exchange_name: str,
    table: Table,
    window: Window,
    symbols: str | Sequence[str] | None = None,
    instrument_type: InstrumentType | None = None,
) -> list[Instrument]:
    """Return the Silver instruments that were listed in a window and can have rows of a table, in order of their keys.

    One of their listing periods starts before the window ends and ends after it starts; an unknown time passes.
    Instruments that are only announced are excluded.

    Raises
    ------
    UnknownNameError
        If a symbol was never listed.
    """
    found = _selected(warehouse, exchange_name, table, symbols, instrument_type)
    return [instrument for instrument, listed in found if any(_touch(span, window) for span in listed.windows)]


def requestable(
    warehouse: Warehouse,
    exchange_name: str,
    table: Table,
    window: Window,
    symbols: str | Sequence[str] | None = None,
    instrument_type: InstrumentType | None = None,
    *,
    unknown: list[str] | None = None,
) -> list[Instrument]:
    """Return the instruments of :func:`instruments`, and those that were listed after the window.

    Of the latter, the listing time may be wrong: :mod:`cexkit.warehouse.ingest.before_listing` asks the venue once.

    Parameters
    ----------
    warehouse, exchange_name, table, window, symbols, instrument_type
        Whose instruments, see :func:`instruments`.
    unknown : list of str, optional
        Gets a message for each symbol that names none or several, if any other symbol names one.

    Raises
    ------
    UnknownNameError, AmbiguousInstrumentError
        If a symbol was never listed, or means several instruments.
    """
    found = _selected(warehouse, exchange_name, table, symbols, instrument_type, unknown)
    return [instrument for instrument, listed in found if any(span.end > window.start for span in listed.windows)]


def knows_instruments(warehouse: Warehouse, exchange_name: str) -> bool:
    """Return whether any list of a venue was read; without one, every symbol would seem unknown."""
    return bool(warehouse.manifest.select("instruments", exchanges=[exchange_name]))


def _selected(
    warehouse: Warehouse,
    exchange_name: str,
    table: Table,
    symbols: str | Sequence[str] | None,
    instrument_type: InstrumentType | None,
    unknown: list[str] | None = None,
) -> list[tuple[Instrument, ListingPeriods]]:
    """Return the instruments of these names and types, with their listing periods."""
    rows = pl.from_arrow(warehouse.read(TABLES["instruments"], exchange=exchange_name))
    rows = rows.filter(pl.col("instrument_type").is_in(types_read(exchange_name, table, instrument_type)))
    if symbols is not None:
        wanted = to_tuple(symbols)
        what, known = f"{exchange_name} instrument for {table.name}", set(rows["symbol"])
        readable = wanted if unknown is None else [name for name in wanted if len(alike(name, known)) == 1]
        chosen = resolve_all(what, readable or wanted, known)
        for name in wanted if len(readable) < len(wanted) else ():
            try:
                resolve(what, name, known)
            except (UnknownNameError, AmbiguousInstrumentError) as error:
                unknown.append(str(error))
        rows = rows.filter(pl.col("symbol").is_in(chosen))
    listed = listing_periods(warehouse, exchange_name)
    found = [Instrument.of(row) for row in rows.sort(INSTRUMENT_KEYS).iter_rows(named=True)]
    return [(instrument, listed[key_of(instrument)]) for instrument in found]


def _touch(one: Window, other: Window) -> bool:
    return one.start < other.end and other.start < one.end


def types_read(exchange_name: str, table: Table, instrument_type: InstrumentType | None) -> tuple[InstrumentType, ...]:
    """Return the instrument types that are read for a table; raise an error if no type is read."""
    venue = exchange(exchange_name)
    if instrument_type is not None:
        venue.source(table.name, instrument_type)
        return (instrument_type,)
    return venue.instrument_types(table.name) or venue.explain(table.name, table.instrument_types)
