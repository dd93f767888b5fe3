"""Instrument listings: the instruments of every list ever read, their periods, and each one's listing window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from cexkit.errors import DatasetError, UnknownNameError
from cexkit.exchanges.instruments import describe_unclear_units, latest, left_out
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.registry import exchange, join_companions
from cexkit.schema import INSTRUMENT_KEYS, TABLES, Table
from cexkit.schema.intervals import Window
from cexkit.schema.symbols import Instrument, InstrumentType
from cexkit.schema.validate import split
from cexkit.warehouse.ingest.replay import LOST_ACTION, Record, parse, stale_text
from cexkit.warehouse.ingest.report import Problem, Report
from cexkit.warehouse.store.bronze import bronze_files, read_file, read_heads, request_order
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.warehouse import Warehouse

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl
    import pyarrow as pa

    from cexkit.warehouse.ingest.instrument_periods import PeriodLog

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
    skewed: bool


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
    skewed: bool = False

    @property
    def whole(self) -> bool:
        """True if the list is complete and its time is known, so that an instrument missing from it was delisted."""
        return self.ended and not self.malformed and not self.skewed

    def add(self, page: _ListPage) -> None:
        """Add the next page."""
        self.skewed |= page.skewed
        if page.rows is None:
            self.malformed = True
            return
        self.pages.append(page.rows)
        self.unread |= left_out(page.rows)
        self.order, self.at, self.ended = page.order, page.at, page.is_last


def build_listing(warehouse: Warehouse, exchange_name: str) -> Report:
    """Build ``instruments`` and ``instrument_periods`` from the lists in Bronze; the caller holds their lock.

    Lists that are later than all others continue the state that the last build left in the ledger. Without a state, or
    with a list that is earlier than another one, all lists are read.
    """
    import polars as pl

    instruments, periods = TABLES["instruments"], TABLES["instrument_periods"]
    ledger = Ledger(warehouse.root, exchange_name, instruments)
    record = Record(warehouse.root, exchange(exchange_name).parser_version)
    problems = list(_standing_problems(ledger, record.parser_version))
    found = _list_files(warehouse, exchange_name)
    held = sum(file.rows for file in warehouse.manifest.select(instruments.name, exchanges=[exchange_name]))
    held += warehouse.quarantine(instruments, exchange_name, "all").num_rows
    intact = ledger.days == {"all": held}
    state = ListingState.read(ledger) if intact else None
    new = ledger.new(found)
    if state is not None and not new:
        return Report(problems=tuple(problems))
    ledger.announce(new)
    if state is None or not _all_later(warehouse, new, ledger.last_sequence):
        state, new = None, found
    history = listings(warehouse, exchange_name, record, new, state)
    problems += history.problems
    if history.instruments is None:
        ledger.record(record.files(""), record.responses)
        return Report(problems=tuple(problems))
    rows, stored = history.instruments, None
    if text := describe_unclear_units(rows.to_arrow()):
        problems.append(Problem(exchange_name, instruments.name, None, None, text))
    if state is None and (record.damaged or ledger.absent()):
        rows = _with_stored(warehouse, exchange_name, instruments, rows)
        stored = pl.from_arrow(warehouse.read(periods, exchange=exchange_name))
    report = _write(warehouse, exchange_name, periods, history.periods.periods(stored))
    report += _write(warehouse, exchange_name, instruments, rows)
    if stored is None:
        history.state.write(ledger)
    ledger.record(record.files(""), record.responses, {"all": rows.height})
    return report + Report(problems=tuple(problems))


def _standing_problems(ledger: Ledger, parser_version: int) -> Iterator[Problem]:
    """Yield what was wrong before a build: lost files, and lists that an older parser read."""
    for file in ledger.lost:
        if file.problem != file.damage:  # a damaged file is read again
            yield Problem(ledger.exchange, ledger.table.name, None, file.span, f"{file.problem}: {LOST_ACTION}")
    if stale := ledger.stale(parser_version):
        yield Problem(ledger.exchange, ledger.table.name, None, None, stale_text(stale, parser_version))


def _list_files(warehouse: Warehouse, exchange_name: str) -> list[str]:
    names = exchange(exchange_name).endpoints("instruments")
    return [path for name in names for path in bronze_files(warehouse.root, exchange_name, name)]


def _all_later(warehouse: Warehouse, paths: Iterable[str], last_sequence: int | None) -> bool:
    """Return whether all responses in some files were requested after all merged ones."""
    try:
        heads = [head for path in paths for head in read_heads(warehouse.root, path, "instruments")]
    except DatasetError:
        return True  # reading the file reports it
    return all(head["sequence"] is not None and head["sequence"] > (last_sequence or 0) for head in heads)


def _write(warehouse: Warehouse, exchange_name: str, table: Table, rows: pl.DataFrame) -> Report:
    good, quarantined = split(rows, table)
    warehouse.write_quarantine(table, exchange_name, "all", quarantined.to_arrow())
    files = warehouse.replace(table, exchange_name, ["all"], good.to_arrow())
    paths = tuple(file.path for file in files)
    return Report(rows=good.height, quarantined=quarantined.height, files=paths)


def _with_stored(warehouse: Warehouse, exchange_name: str, table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the instruments of the available lists and of Silver: each as last observed, delisted at the earliest.

    What the list that was observed last does not say stays as the other one said it: its companion may be lost.
    """
    import polars as pl

    stored = pl.from_arrow(warehouse.read(table, exchange=exchange_name)).select(rows.columns)
    both = pl.concat([stored, rows]).sort("observed_at", "delisting_time", descending=[False, True], nulls_last=False)
    said = [name for name in rows.columns if name not in (*table.key, "delisting_time")]
    facts = [pl.col(name).drop_nulls().last() for name in said]
    return both.group_by(table.key, maintain_order=True).agg(*facts, pl.last("delisting_time")).select(rows.columns)


@dataclass(slots=True)
class ListingState:
    """What all lists read so far show: the instruments of each endpoint, and the periods of all.

    Attributes
    ----------
    seen : dict of str to polars.DataFrame
        Every instrument that an endpoint ever listed, as last seen, with the ``_place`` of that list.
    periods : PeriodLog
        Their facts over time.
    """

    seen: dict[str, pl.DataFrame]
    periods: PeriodLog

    @classmethod
    def new(cls) -> ListingState:
        """Return the state before the first list."""
        from cexkit.warehouse.ingest.instrument_periods import PeriodLog

        return cls({}, PeriodLog())

    @classmethod
    def read(cls, ledger: Ledger) -> ListingState | None:
        """Return the state that the last build left; None if there is none of this schema version."""
        from cexkit.schema.render import to_polars
        from cexkit.warehouse.ingest.instrument_periods import PeriodLog

        lists, changes, current = (ledger.read_state(name) for name in ("lists", "changes", "current"))
        if lists is None or changes is None or current is None:
            return None
        if [*to_polars(TABLES["instruments"]), "_place", "_endpoint"] != lists.columns:
            return None
        seen = {name: rows.drop("_endpoint") for (name,), rows in lists.partition_by("_endpoint", as_dict=True).items()}
        return cls(seen, PeriodLog.resume(changes, current))

    def write(self, ledger: Ledger) -> None:
        """Leave the state for the next build."""
        import polars as pl

        rows = [rows.with_columns(_endpoint=pl.lit(name)) for name, rows in self.seen.items()]
        changes, current = self.periods.state()
        for name, frame in (("lists", pl.concat(rows)), ("changes", changes), ("current", current)):
            ledger.write_state(name, frame)

    @property
    def places(self) -> int:
        """The number of lists read so far, or more."""
        return max((rows["_place"].max() + 1 for rows in self.seen.values() if rows.height), default=0)

    def add(self, found: _List, companions: Mapping[str, pa.Table], exchange_name: str) -> None:
        """Add a later list."""
        import polars as pl
        import pyarrow as pa

        rows = latest(pa.concat_tables(found.pages))
        joined = pl.from_arrow(join_companions(exchange_name, found.endpoint, rows, companions))
        joined = joined.with_columns(_place=pl.lit(self.places, pl.Int64))
        before = self.seen.get(found.endpoint)
        self.seen[found.endpoint] = _succeed(before, joined, found.unread, found.at, whole=found.whole)

    def instruments(self) -> pl.DataFrame:
        """Return every instrument ever listed, as last seen."""
        import polars as pl

        rows = pl.concat(self.seen.values()).sort("_place", maintain_order=True).drop("_place")
        return pl.from_arrow(latest(rows.to_arrow()))


@dataclass(frozen=True, slots=True)
class ListingHistory:
    """All instruments that the lists of a venue show.

    Attributes
    ----------
    instruments : polars.DataFrame or None
        Every instrument ever listed, as last seen; None if no list can be read.
    state : ListingState
        The state after the last list.
    problems : list of Problem
        Responses that cannot be read.
    """

    instruments: pl.DataFrame | None
    state: ListingState
    problems: list[Problem]

    @property
    def periods(self) -> PeriodLog:
        """The facts of the instruments over time."""
        return self.state.periods


def listings(
    warehouse: Warehouse,
    exchange_name: str,
    record: Record,
    paths: Iterable[str],
    state: ListingState | None = None,
) -> ListingHistory:
    """Return the instruments of lists in some Bronze files, and their periods; they continue a ``state``.

    Lists follow each other in the order of their requests, whatever the clocks showed.
    An instrument missing from a later complete list is delisted, at the latest at the time of that list.
    """
    import polars as pl

    problems: list[Problem] = []
    companions: dict[str, dict[str, pa.Table]] = {}
    state = state or ListingState.new()
    lists = _lists(warehouse, exchange_name, paths, companions, problems, record)
    read_until = state.periods.read_until or datetime.min.replace(tzinfo=UTC)
    # Lists of older versions have no number; their runs are named by time.
    ordered = sorted(lists, key=lambda one: (one.order, one.run))
    # The lists of a run complete each other: one shows what is traded, another what no longer is.
    for run, together in groupby(ordered, key=lambda one: one.run):
        for found in together:
            state.add(found, companions.get(run, {}), exchange_name)
            read_until = max(read_until, found.at)  # clocks may disagree with the order of requests
        state.periods.add(pl.concat(state.seen.values()).drop("_place"), read_until)
    return ListingHistory(state.instruments() if state.seen else None, state, problems)


def _lists(
    warehouse: Warehouse,
    exchange_name: str,
    paths: Iterable[str],
    companions: dict[str, dict[str, pa.Table]],
    problems: list[Problem],
    record: Record,
) -> list[_List]:
    """Return all lists with a readable page; add the rows that complete them to ``companions``, by run."""
    venue, lists = exchange(exchange_name), {}
    pages = []
    for row, context, rows in _responses(warehouse, exchange_name, paths, problems, record):
        endpoint = row["endpoint"]
        is_last = rows is not None and not venue.endpoint("instruments", endpoint).cursor(row["body"])
        order = request_order(row)
        pages.append(_ListPage(order, row["run"], endpoint, context.now, rows, is_last, context.skewed))
    for page in sorted(pages, key=lambda page: page.order):
        if page.endpoint not in venue.companions:
            lists.setdefault((page.run, page.endpoint), _List(page.endpoint, page.run)).add(page)
        elif page.rows is not None:
            companions.setdefault(page.run, {})[page.endpoint] = page.rows
    return [found for found in lists.values() if found.pages]


def _responses(
    warehouse: Warehouse, exchange_name: str, paths: Iterable[str], problems: list[Problem], record: Record
) -> Iterator[tuple[dict, Context, pa.Table | None]]:
    """Yield the parsed lists in some files; malformed ones yield None and are added to ``problems``."""
    table = TABLES["instruments"]
    for path in paths:
        try:
            heads = read_heads(warehouse.root, path, table.name)
            for row in read_file(warehouse.root, path, {head["position"] for head in heads}):
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
