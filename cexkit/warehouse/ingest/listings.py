"""Instrument listings: the table of instruments, from every list ever read, and each instrument's listing window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from cexkit.errors import UnknownNameError
from cexkit.exchanges.instruments import latest, left_out
from cexkit.exchanges.registry import exchange, join_companions
from cexkit.schema import INSTRUMENT_KEYS, TABLES, Table
from cexkit.schema.intervals import Window
from cexkit.schema.symbols import Instrument, InstrumentType
from cexkit.warehouse.ingest.replay import Inputs, responses
from cexkit.warehouse.ingest.report import Problem
from cexkit.warehouse.store.bronze import request_order
from cexkit.warehouse.store.warehouse import Warehouse

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl
    import pyarrow as pa

#: Largest expected error of a listing or delisting time.
LISTING_MARGIN = timedelta(days=1)


def instruments(
    warehouse: Warehouse,
    exchange_name: str,
    table: Table,
    window: Window,
    symbols: str | Sequence[str] | None = None,
    instrument_type: InstrumentType | None = None,
) -> list[Instrument]:
    """Return the Silver instruments that can have rows of a table in a window.

    They were listed before the window ends and not delisted before it starts; an unknown time passes. Pending
    instruments are excluded.

    Raises
    ------
    UnknownNameError
        If a symbol was never listed.
    """
    import polars as pl

    rows = pl.from_arrow(warehouse.read(TABLES["instruments"], exchange=exchange_name))
    rows = rows.filter(pl.col("instrument_type").is_in(types_read(exchange_name, table, instrument_type)))
    if symbols is not None:
        wanted = [symbols] if isinstance(symbols, str) else list(symbols)
        known = set(rows["symbol"])
        for symbol in wanted:
            if symbol not in known:
                raise UnknownNameError.of(f"{exchange_name} instrument for {table.name}", symbol, known)
        rows = rows.filter(pl.col("symbol").is_in(wanted))
    rows = rows.filter(
        pl.col("status") != "pending",
        (pl.col("listing_time") < window.end).fill_null(True),
        (pl.col("delisting_time") > window.start).fill_null(True),
    ).sort(INSTRUMENT_KEYS)
    return [Instrument.of(row) for row in rows.iter_rows(named=True)]


def listing_windows(warehouse: Warehouse, exchange_name: str) -> dict[tuple[str, str], Window]:
    """Return each instrument's listing window, padded by one day on each side.

    Requesting years before a listing costs as many requests as years of data. The padding allows for inaccurate venue
    listing times.
    """
    rows = warehouse.read(TABLES["instruments"], exchange=exchange_name).to_pylist()
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    return {
        (row["instrument_type"], row["symbol"]): Window(
            first if row["listing_time"] is None else row["listing_time"] - LISTING_MARGIN,
            last if row["delisting_time"] is None else row["delisting_time"] + LISTING_MARGIN,
        )
        for row in rows
    }


def clip_to_listing(windows: Mapping[tuple[str, str], Window], instrument: Instrument, window: Window) -> Window:
    """Return the part of a window in which an instrument can have rows; empty if there is none."""
    listed = windows.get((instrument.instrument_type, instrument.symbol), window)
    start = max(window.start, listed.start)
    return Window(start, max(start, min(window.end, listed.end)))


def types_read(exchange_name: str, table: Table, instrument_type: InstrumentType | None) -> tuple[InstrumentType, ...]:
    """Return the instrument types that are read for a table; raise an error if no type is read."""
    venue = exchange(exchange_name)
    if instrument_type is not None:
        venue.source(table.name, instrument_type)
        return (instrument_type,)
    return venue.instrument_types(table.name) or venue.explain(table.name, table.instrument_types)


class _ListPage(NamedTuple):
    """A stored page of a list; ``rows`` is None if it is malformed."""

    order: tuple[bool, int]
    run: str
    endpoint: str
    at: datetime
    rows: pa.Table | None
    is_last: bool


@dataclass(slots=True)
class _List:
    """A list of instruments as read in one run: its pages, and whether they are complete."""

    endpoint: str
    run: str
    #: Place of its last readable page among all responses.
    order: tuple[bool, int] = (False, 0)
    pages: list[pa.Table] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    at: datetime | None = None
    malformed: bool = False
    ended: bool = False

    @property
    def whole(self) -> bool:
        """True if the list is complete, so that an instrument missing from it is not listed."""
        return self.ended and not self.malformed

    def add(self, page: _ListPage) -> None:
        """Add the next page."""
        if page.rows is None:
            self.malformed = True
            return
        self.pages.append(page.rows)
        self.unread |= left_out(page.rows)
        self.order, self.at, self.ended = page.order, page.at, page.is_last


def listings(
    warehouse: Warehouse, exchange_name: str, table: Table, inputs: Inputs | None = None
) -> tuple[pl.DataFrame | None, list[Problem]]:
    """Return every instrument ever listed, as last seen, and the problems; None if no list can be read.

    Lists follow each other in the order of their requests, whatever the clocks showed.
    An instrument missing from a later complete list is delisted, at the latest at the time of that list.
    """
    import polars as pl
    import pyarrow as pa

    problems: list[Problem] = []
    companions: dict[str, dict[str, pa.Table]] = {}
    seen: dict[str, pl.DataFrame] = {}
    lists = _lists(warehouse, exchange_name, table, companions, problems, inputs)
    # Lists of older versions have no number; their runs are named by time.
    for place, found in enumerate(sorted(lists, key=lambda one: (one.order, one.run))):
        rows = latest(pa.concat_tables(found.pages))
        joined = pl.from_arrow(join_companions(exchange_name, found.endpoint, rows, companions.get(found.run, {})))
        joined = joined.with_columns(_place=pl.lit(place))
        before = seen.get(found.endpoint)
        seen[found.endpoint] = _succeed(before, joined, found.unread, found.at, whole=found.whole)
    if not seen:
        return None, problems
    rows = pl.concat(seen.values()).sort("_place", maintain_order=True).drop("_place")
    return pl.from_arrow(latest(rows.to_arrow())), problems


def _lists(
    warehouse: Warehouse,
    exchange_name: str,
    table: Table,
    companions: dict[str, dict[str, pa.Table]],
    problems: list[Problem],
    inputs: Inputs | None,
) -> list[_List]:
    """Return all lists with a readable page; add the rows that complete them to ``companions``, by run."""
    venue, lists = exchange(exchange_name), {}
    pages = []
    for row, context, rows in responses(warehouse, exchange_name, table, None, problems, inputs):
        endpoint = row["endpoint"]
        is_last = rows is not None and not venue.endpoint(table.name, endpoint).cursor(row["body"])
        pages.append(_ListPage(request_order(row), row["run"], endpoint, context.now, rows, is_last))
    for page in sorted(pages, key=lambda page: page.order):
        if page.endpoint not in venue.companions:
            lists.setdefault((page.run, page.endpoint), _List(page.endpoint, page.run)).add(page)
        elif page.rows is not None:
            companions.setdefault(page.run, {})[page.endpoint] = page.rows
    return [found for found in lists.values() if found.pages]


def _succeed(
    before: pl.DataFrame | None, now: pl.DataFrame, unread: dict[str, str], at: datetime, *, whole: bool
) -> pl.DataFrame:
    """Return the newer list and the instruments missing from it, which are delisted if the list is ``whole``.

    An instrument that the newer list has in a form that is not read (``unread``) is not delisted; it stays as it was.
    """
    import polars as pl

    if before is None:
        return now
    gone = before.join(now, on=INSTRUMENT_KEYS, how="anti")
    delisted = ~pl.col("venue_symbol").is_in(list(unread)) & (pl.col("status") != "delisted") & pl.lit(whole)
    gone = gone.with_columns(
        status=pl.when(delisted).then(pl.lit("delisted")).otherwise("status"),
        delisting_time=pl.when(delisted)
        .then(pl.min_horizontal("delisting_time", pl.lit(at)))
        .otherwise("delisting_time"),
    )
    return pl.concat([now, gone])
