"""Assembly of one table from the pages of a venue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from cexkit.errors import DuplicateKeyError
from cexkit.exchanges.instruments import latest, of_type, stacked
from cexkit.exchanges.page import Page
from cexkit.exchanges.registry import join_companions
from cexkit.schema import TABLES
from cexkit.schema.symbols import InstrumentType

if TYPE_CHECKING:
    import pyarrow as pa


def assemble_table(pages: Iterable[Page], table: str) -> pa.Table:
    """Return the rows of pages as one table, sorted by key, with each key once.

    Raises
    ------
    PayloadError
        If a page is malformed; the pages after it are not read.
    DuplicateKeyError
        If a venue gave two different rows for one key.
    """
    import pyarrow as pa

    from cexkit.schema.render import empty

    rows = pa.concat_tables([empty(TABLES[table]), *(page.table for page in require_well_formed(pages))])
    return _sort_unique(rows, table)


def assemble_instruments(exchange: str, pages: Iterable[Page], instrument_type: InstrumentType | None) -> pa.Table:
    """Return the instruments of listing pages as one table, with companions joined.

    Raises
    ------
    PayloadError
        If a page is malformed.
    DuplicateKeyError
        If a venue gave two different rows for one key.
    """
    pages = list(require_well_formed(pages))
    companions = {page.endpoint: page.table for page in pages if page.companion}
    listings = [
        join_companions(exchange, page.endpoint, page.table, companions) for page in pages if not page.companion
    ]
    return _sort_unique(of_type(latest(stacked(listings)), instrument_type), "instruments")


def require_well_formed(pages: Iterable[Page]) -> Iterator[Page]:
    """Yield pages, and raise the error of the first malformed one."""
    for page in pages:
        if page.error is not None:
            raise page.error
        yield page


def _sort_unique(rows: pa.Table, table: str) -> pa.Table:
    """Return rows sorted by key, with each key once.

    Raises
    ------
    DuplicateKeyError
        If a venue gave two different rows for one key.
    """
    keys = list(TABLES[table].key)
    if rows.group_by(keys).aggregate([]).num_rows != rows.num_rows:
        rows = rows.group_by(rows.column_names).aggregate([]).cast(rows.schema)
        if rows.group_by(keys).aggregate([]).num_rows != rows.num_rows:
            raise DuplicateKeyError(f"{table}: the venue gave different rows for the same {', '.join(keys)}")
    return rows.sort_by([(name, "ascending") for name in keys])
