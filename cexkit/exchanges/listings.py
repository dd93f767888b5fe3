"""Instrument listings of venues, and the lookup of symbols in them."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cexkit.errors import InvalidInputError, UnknownNameError
from cexkit.exchanges.assembly import require_well_formed
from cexkit.exchanges.base import Exchange, Source
from cexkit.exchanges.instruments import latest, of_type, stacked, the_one
from cexkit.exchanges.page import Page
from cexkit.exchanges.page_walk import walk_pages
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.terms import Terms, TermsLog
from cexkit.exchanges.venue_client import VenueClient
from cexkit.schema import TABLES
from cexkit.schema.symbols import INSTRUMENT_TYPES, Instrument, InstrumentType

if TYPE_CHECKING:
    import pyarrow as pa

    from cexkit.exchanges.http.client import NextSequence

#: Age at which a list in memory is read again: venues change contract values and list new instruments.
MAX_LIST_AGE_SECONDS = 3600.0


class Listings:
    """Instrument listings of venues, read page by page and kept in memory to resolve symbols. Thread-safe.

    Parameters
    ----------
    client : VenueClient
        Sends the requests.
    """

    def __init__(self, client: VenueClient):
        self._client = client
        #: Parsed listings, by venue and endpoint.
        self._tables: dict[tuple[str, str], pa.Table] = {}
        self._read_at: dict[tuple[str, str], float] = {}
        self._logs: dict[str, TermsLog] = defaultdict(TermsLog)
        self._read_lock = threading.Lock()

    def read_pages(
        self,
        venue: Exchange,
        instrument_type: InstrumentType | None,
        *,
        companions: bool,
        next_sequence: NextSequence | None = None,
    ) -> Iterator[Page]:
        """Yield the pages of a venue's listings; companions follow the pages that they complete."""
        instrument_types = _select_instrument_types(venue, "instruments", instrument_type)
        sources = _listing_sources(venue, instrument_types)
        for source in sources.values():
            yield from self._walk_listing(venue, source, next_sequence)
            for companion in source.companions if companions else ():
                for page in self._walk_listing(venue, companion, next_sequence):
                    yield replace(page, companion=True)
        for endpoint, source in _supplementary_sources(sources).items():
            if endpoint not in sources:
                yield from self._walk_listing(venue, source, next_sequence)

    def resolve(
        self, venue: Exchange, table: str, symbol: str, instrument_type: InstrumentType | None = None
    ) -> Instrument:
        """Return the instrument that a symbol refers to in a table; raises the same errors as ``Fetcher.resolve``."""
        instrument_types = _select_instrument_types(venue, table, instrument_type)
        require_symbol(symbol)
        try:
            return the_one(self._load_instruments(venue, instrument_types, fresh=False), symbol, venue.name, table)
        except UnknownNameError:
            # The instrument may have been listed since the last read.
            return the_one(self._load_instruments(venue, instrument_types, fresh=True), symbol, venue.name, table)

    def fill_multiplier(self, rows: pa.Table, venue: Exchange, instrument: Instrument) -> pa.Table:
        """Fill the multiplier of an instrument's rows as it is listed now; null if no list in memory shows it."""
        import pyarrow as pa

        place = rows.schema.get_field_index("multiplier")
        if place < 0:
            return rows
        found = self._rows_of(venue, instrument)["multiplier"]
        value = found[-1] if len(found) else pa.scalar(None, pa.float64())
        return rows.set_column(place, rows.schema.field(place), pa.repeat(value, rows.num_rows))

    def was_listed(self, venue: Exchange, instrument: Instrument, at: datetime) -> bool:
        """Return whether a list in memory shows that an instrument was listed at a time."""
        found = self._rows_of(venue, instrument)["listing_time"]
        return len(found) > 0 and found[-1].is_valid and found[-1].as_py() <= at

    def _rows_of(self, venue: Exchange, instrument: Instrument) -> pa.Table:
        """Return the rows of an instrument in the lists in memory."""
        import pyarrow.compute as pc

        with self._read_lock:
            listed = latest(stacked([table for (name, _), table in self._tables.items() if name == venue.name]))
        same = [pc.equal(listed[name], getattr(instrument, name)) for name in ("instrument_type", "symbol")]
        return listed.filter(pc.and_(*same))

    def _load_instruments(
        self, venue: Exchange, instrument_types: tuple[InstrumentType, ...], *, fresh: bool
    ) -> pa.Table:
        """Return instruments of these types, from memory unless ``fresh``. Companions are not needed here.

        Lists of instruments that no longer trade are read only if ``fresh``, because they are rarely requested.
        """
        sources = _listing_sources(venue, instrument_types)
        tables = []
        # One thread sends the requests; the others wait for its result.
        with self._read_lock:
            for endpoint, source in (_supplementary_sources(sources) | sources).items():
                key = (venue.name, endpoint)
                if fresh or (endpoint in sources and self._is_outdated(key)):
                    self._tables[key] = self._read_listing(venue, source)
                    self._read_at[key] = time.monotonic()
                if key in self._tables:
                    tables.append(self._tables[key])
        instruments = latest(stacked(tables))
        return stacked([of_type(instruments, instrument_type) for instrument_type in instrument_types])

    def _is_outdated(self, key: tuple[str, str]) -> bool:
        return key not in self._tables or time.monotonic() - self._read_at[key] > MAX_LIST_AGE_SECONDS

    def terms(self, venue: Exchange) -> Terms:
        """Return the contract terms of a venue over time, as far as the lists that were read show them."""
        return self._logs[venue.name].terms()

    def _read_listing(self, venue: Exchange, source: Source) -> pa.Table:
        # Raise an error only after the last page, so that budgets announced by later pages take effect.
        pages = list(self._walk_listing(venue, source))
        return stacked([page.table for page in require_well_formed(pages)])

    def _walk_listing(
        self, venue: Exchange, source: Source, next_sequence: NextSequence | None = None
    ) -> Iterator[Page]:
        """Yield all pages of one list of instruments; a limit that a page announces applies from then on."""
        context = Context(exchange=venue.name, table="instruments", now=datetime.now(UTC))
        for page in walk_pages(self._client, venue, source, context, next_sequence):
            budgets = source.limits(page.response.body) if page.table is not None else ()
            self._client.declare_budgets(venue, source, budgets)
            if page.table is not None and "status" in page.table.column_names:
                self._logs[venue.name].add(page.table.to_pylist(), page.context.now)
            yield page


def require_symbol(symbol: object) -> None:
    """Raise InvalidInputError unless a symbol is a text with at least one character."""
    if not isinstance(symbol, str) or not symbol:
        raise InvalidInputError(f"symbol must be a non-empty string such as 'BTCUSDT', got {symbol!r}")


def _select_instrument_types(
    venue: Exchange, table: str, instrument_type: InstrumentType | None
) -> tuple[InstrumentType, ...]:
    """Return the instrument types to read; raise the error that explains why none is available."""
    if instrument_type is not None and instrument_type not in INSTRUMENT_TYPES:
        raise UnknownNameError.of("instrument_type", instrument_type, INSTRUMENT_TYPES)
    if instrument_type is not None:
        venue.source(table, instrument_type)
        return (instrument_type,)
    instrument_types = venue.instrument_types(table)
    if not instrument_types:
        venue.explain(table, TABLES[table].instrument_types)
    return instrument_types


def _listing_sources(venue: Exchange, instrument_types: tuple[InstrumentType, ...]) -> dict[str, Source]:
    """Return the sources that list these types, by endpoint; one source may list several types."""
    sources = (venue.source("instruments", instrument_type) for instrument_type in instrument_types)
    return {source.endpoint: source for source in sources}


def _supplementary_sources(sources: dict[str, Source]) -> dict[str, Source]:
    """Return the sources of instruments that these sources leave out, by endpoint."""
    return {part.endpoint: part for source in sources.values() for part in source.more}
