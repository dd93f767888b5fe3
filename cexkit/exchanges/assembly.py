"""Assembly of one table from the pages of a venue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from cexkit.errors import QuarantinedRowsWarning, warn
from cexkit.exchanges.instruments import latest, left_out, new_values, of_type, stacked
from cexkit.exchanges.page import Page
from cexkit.exchanges.registry import join_companions
from cexkit.exchanges.rows import quarantined
from cexkit.schema import TABLES
from cexkit.schema.symbols import InstrumentType
from cexkit.schema.validate import split

if TYPE_CHECKING:
    import pyarrow as pa


def assemble_table(pages: Iterable[Page], table: str) -> pa.Table:
    """Return the rows of pages as one table, sorted by key, with each key once.

    Rows that cannot be used or fail a check of the table are left out.

    Raises
    ------
    PayloadError
        If a page is malformed; the pages after it are not read.

    Warns
    -----
    QuarantinedRowsWarning
        If rows are left out, or contradict rows of a later page.
    """
    import polars as pl
    import pyarrow as pa

    from cexkit.schema.render import empty

    read = list(_warn_of_flaws(require_well_formed(pages)))
    rows = _sort_unique(pa.concat_tables([empty(TABLES[table]), *(page.table for page in read)]), table)
    _, failed = split(pl.from_arrow(rows), TABLES[table])
    if failed.is_empty():
        return rows
    counts = ", ".join(f"{count:,} × {reason}" for reason, count in sorted(failed["reason"].value_counts().iter_rows()))
    warn(f"{table}: {failed.height:,} rows failed a check and were left out: {counts}", QuarantinedRowsWarning)
    good = pl.from_arrow(rows).join(failed, on=TABLES[table].key, how="anti", maintain_order="left")
    return good.to_arrow().cast(rows.schema)


def _warn_of_flaws(pages: Iterable[Page]) -> Iterator[Page]:
    """Yield pages, and warn of the rows that each lacks because something is wrong with them, once per reason."""
    for page in pages:
        if (found := quarantined(page.table)).count:
            warn(f"{page.context.exchange} {page.context.table}: {page.endpoint}: {found}", QuarantinedRowsWarning)
        yield page


def assemble_instruments(exchange: str, pages: Iterable[Page], instrument_type: InstrumentType | None) -> pa.Table:
    """Return the instruments of listing pages as one table, with companions joined.

    Raises
    ------
    PayloadError
        If a page is malformed.

    Warns
    -----
    QuarantinedRowsWarning
        If instruments are left out because they cannot be read, or have a status or type that is not known.
    """
    pages = list(_warn_of_flaws(require_well_formed(pages)))
    companions = {page.endpoint: page.table for page in pages if page.companion}
    if found := new_values({name: why for page in pages for name, why in left_out(page.table).items()}):
        texts = ", ".join(f"{name}: {why}" for name, why in sorted(found.items())[:5])
        warn(f"{exchange} instruments: {len(found):,} were left out: {texts}", QuarantinedRowsWarning)
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
    """Return rows, which are in the order of their requests, sorted by key and with each key once.

    Where responses contradict each other, the later request counts, as in a warehouse; a warning counts such keys.
    """
    import polars as pl

    keys = list(TABLES[table].key)
    if rows.group_by(keys).aggregate([]).num_rows == rows.num_rows:
        return rows.sort_by([(name, "ascending") for name in keys])
    found = pl.from_arrow(rows).unique(maintain_order=True)
    once = found.unique(keys, keep="last", maintain_order=True)
    if contradicted := found.height - once.height:
        text = f"{table}: the venue gave {contradicted:,} rows that contradict later ones of the same {', '.join(keys)}"
        warn(f"{text}; the later ones are returned", QuarantinedRowsWarning)
    return once.sort(keys).to_arrow().cast(rows.schema)
