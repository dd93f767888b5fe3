"""Instrument listings: the table of instruments, from every list ever read, and each instrument's listing window."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from cexkit.errors import DatasetError, UnknownNameError
from cexkit.exchanges.instruments import latest, left_out
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.registry import exchange, join_companions
from cexkit.schema import INSTRUMENT_KEYS, TABLES, Table
from cexkit.schema.intervals import Window
from cexkit.schema.symbols import Instrument, InstrumentType
from cexkit.schema.validate import split
from cexkit.warehouse.ingest.replay import LOST_ACTION, Record, parse
from cexkit.warehouse.ingest.report import Problem, Report
from cexkit.warehouse.store.bronze import bronze_files, read_file, request_order
from cexkit.warehouse.store.ledger import Ledger
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


def build_listing(warehouse: Warehouse, exchange_name: str, table: Table) -> Report:
    """Build the table of instruments from all lists in Bronze; hold its lock meanwhile."""
    ledger = Ledger(warehouse.root, exchange_name, table)
    record = Record(warehouse.root, exchange(exchange_name).parser_version)
    lost = [
        Problem(exchange_name, table.name, None, None, f"{file.problem}: {LOST_ACTION}")
        for file in ledger.lost
        if file.problem != file.damage
    ]
    rows, problems = listings(warehouse, exchange_name, table, record)
    if rows is None:
        return Report(problems=(*problems, *lost))
    ledger.record([file | {"state": "pending"} for file in record.files("")])
    if record.damaged or ledger.absent():
        rows = _with_stored(warehouse, exchange_name, table, rows)
    good, quarantined = split(rows, table)
    warehouse.write_quarantine(table, exchange_name, "all", quarantined.to_arrow())
    files = warehouse.replace(table, exchange_name, ["all"], good.to_arrow())
    ledger.record(record.files(""), record.responses, {"all": rows.height})
    return Report(
        rows=good.height,
        quarantined=quarantined.height,
        files=tuple(file.path for file in files),
        problems=(*problems, *lost),
    )


def _with_stored(warehouse: Warehouse, exchange_name: str, table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the instruments of the available lists and of Silver: each as last observed, delisted at the earliest.

    What the list that was observed last does not say stays as the other one said it: its companion may be lost.
    """
    import polars as pl

    stored = pl.from_arrow(warehouse.read(table, exchange=exchange_name)).select(rows.columns)
    both = pl.concat([stored, rows]).sort("observed_at", maintain_order=True)
    facts = [name for name in rows.columns if name not in (*table.key, "status", "delisting_time")]
    gone = pl.col("status") == "delisted"
    return (
        both.group_by(table.key, maintain_order=True)
        .agg(
            *(pl.col(name).drop_nulls().last() for name in facts),
            pl.when(gone.any()).then(pl.lit("delisted")).otherwise(pl.col("status").last()).alias("status"),
            pl.col("delisting_time").min(),
        )
        .select(rows.columns)
    )


def listings(
    warehouse: Warehouse, exchange_name: str, table: Table, record: Record
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
    lists = _lists(warehouse, exchange_name, table, companions, problems, record)
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
    record: Record,
) -> list[_List]:
    """Return all lists with a readable page; add the rows that complete them to ``companions``, by run."""
    venue, lists = exchange(exchange_name), {}
    pages = []
    for row, context, rows in _responses(warehouse, exchange_name, table, problems, record):
        endpoint = row["endpoint"]
        is_last = rows is not None and not venue.endpoint(table.name, endpoint).cursor(row["body"])
        pages.append(_ListPage(request_order(row), row["run"], endpoint, context.now, rows, is_last))
    for page in sorted(pages, key=lambda page: page.order):
        if page.endpoint not in venue.companions:
            lists.setdefault((page.run, page.endpoint), _List(page.endpoint, page.run)).add(page)
        elif page.rows is not None:
            companions.setdefault(page.run, {})[page.endpoint] = page.rows
    return [found for found in lists.values() if found.pages]


def _responses(
    warehouse: Warehouse, exchange_name: str, table: Table, problems: list[Problem], record: Record
) -> Iterator[tuple[dict, Context, pa.Table | None]]:
    """Yield all parsed lists in Bronze; malformed ones yield None and are added to ``problems``."""
    for endpoint in exchange(exchange_name).endpoints(table.name):
        for path in bronze_files(warehouse.root, exchange_name, endpoint):
            try:
                for row in read_file(warehouse.root, path, range(sys.maxsize)):
                    if row["table"] == table.name:
                        parsed = parse(exchange_name, table, row, problems)
                        record.add(parsed)
                        if row["damage"] is not None:
                            _report_damage(exchange_name, table, path, row["damage"], problems, record)
                        elif parsed.context is not None:
                            yield row, parsed.context, parsed.rows
            except DatasetError:
                text = f"{path} must be Parquet with the columns of responses, got other content"
                _report_damage(exchange_name, table, path, text, problems, record)


def _report_damage(
    exchange_name: str, table: Table, path: str, text: str, problems: list[Problem], record: Record
) -> None:
    record.damage(path, text)
    problems.append(Problem(exchange_name, table.name, None, None, f"{text}: {LOST_ACTION}"))


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
