"""Exchanges → Bronze → Silver, as plain functions; `cexkit pull` and the Dagster assets call these.

Bronze keeps every answer as received. Silver is made from Bronze alone, so it can be made again at
any time, and the same Bronze always gives the same Silver.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cexkit.download import archive_pages
from cexkit.errors import BlockedError, FetchError, InvalidInputError, PayloadError, UnknownNameError
from cexkit.exchanges import Context, exchange, join_companions, left_out, parse_answer
from cexkit.exchanges.archive import Archive, merged
from cexkit.exchanges.base import latest
from cexkit.exchanges.streams import STREAMS, liquidations_of
from cexkit.fetch import Fetcher, Page
from cexkit.intervals import TimeLike, Window, utc
from cexkit.schema import INSTRUMENT_KEYS, TABLES, Table
from cexkit.schema import table as declared
from cexkit.schema.render import empty
from cexkit.schema.validate import split
from cexkit.store import layout
from cexkit.store.bronze import BronzeWriter, archived, bronze_window, read_bronze
from cexkit.store.inventory import Inventory
from cexkit.store.warehouse import Warehouse
from cexkit.symbols import Instrument, InstrumentType

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

#: How far the times of an instrument's life may be wrong.
LIFE_MARGIN = timedelta(days=1)
#: Rates closer than this are the same, written with fewer digits.
SAME_RATE = 1e-8
#: What is younger may still be corrected by the venue, and is asked for each time.
SETTLED = timedelta(days=2)
#: Answers of at most so long are lost by a cut.
FLUSH_S = 30.0
#: How far around a file period settlements are looked at to tell intervals from gaps.
NEIGHBOURS = timedelta(days=2)

Step = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that was not brought in, and why."""

    exchange: str
    table: str
    symbol: str | None
    window: Window | None
    message: str

    def __str__(self) -> str:
        place = " ".join(str(part) for part in (self.exchange, self.table, self.symbol, self.window) if part)
        return f"{place}: {self.message}"


@dataclass(frozen=True, slots=True)
class Report:
    """What a step did; reports add up.

    Attributes
    ----------
    answers : int
        Answers kept in Bronze.
    rows : int
        Rows written to Silver.
    rejected : int
        Rows that failed a check and are kept apart.
    files : tuple of str
        Files written, below the warehouse.
    problems : tuple of Problem
        What is missing because of an error; empty where all went well.
    """

    answers: int = 0
    rows: int = 0
    rejected: int = 0
    files: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    def __add__(self, other: Report) -> Report:
        return Report(*(getattr(self, part.name) + getattr(other, part.name) for part in fields(Report)))

    def __str__(self) -> str:
        lines = [f"{self.answers} answers kept, {self.rows} rows written, {self.rejected} rows rejected"]
        return "\n".join([*lines, *(f"problem: {problem}" for problem in self.problems)])


@dataclass(slots=True)
class _Tally:
    """A report in the making."""

    answers: int = 0
    files: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def report(self) -> Report:
        return Report(answers=self.answers, files=tuple(self.files), problems=tuple(self.problems))


def pull(
    exchange_name: str | Sequence[str],
    tables: str | Sequence[str],
    symbols: str | Sequence[str] | None = None,
    start: TimeLike | None = None,
    end: TimeLike | None = None,
    *,
    instrument_type: InstrumentType | None = None,
    warehouse: Warehouse | str | Path | None = None,
    fetcher: Fetcher | None = None,
    step: Step | None = None,
    refresh: bool = False,
) -> Report:
    """Bring tables of exchanges into a warehouse: instruments first, then Bronze, then Silver.

    Several venues are read side by side, each at its own pace; within one, one request follows another.

    Parameters
    ----------
    exchange_name : str or sequence of str
        Venues.
    tables : str or sequence of str
        Tables to bring in.
    symbols : str or sequence of str, optional
        Canonical symbols; all that were listed in the window by default. A symbol that is both spot and
        perp is brought in as both, each under its own ``instrument_type``.
    start, end : str, date or datetime
        Half-open UTC window; ``end`` defaults to now. Not needed for ``instruments``.
    instrument_type : str, optional
        Only instruments of this type.
    warehouse : Warehouse or path, optional
        Where to; the setting ``CEXKIT_WAREHOUSE`` by default.
    fetcher : Fetcher, optional
        How to read the venues.
    step : callable, optional
        Called with a short text as each instrument is done; from several threads where there are several venues.
    refresh : bool
        Ask for everything anew; by default only for what was not answered before, and for the last two days.

    Returns
    -------
    Report
        With every problem; what could be brought in was. A venue that refuses this address is a problem where others
        were asked for too.

    Raises
    ------
    UnknownNameError, NotOfferedError, InvalidInputError
        If what is asked for does not exist; nothing is read then.
    BlockedError
        If the only venue refuses this address.
    """
    names = [exchange_name] if isinstance(exchange_name, str) else list(dict.fromkeys(exchange_name))
    target, window, facts = asked(names, tables, start, end, instrument_type, warehouse)
    with ExitStack() as stack:
        reader = fetcher or stack.enter_context(Fetcher())
        one = partial(_pull_one, target, reader, facts, window, symbols, instrument_type, step=step, refresh=refresh)
        if len(names) == 1:
            return one(names[0])
        threads = stack.enter_context(ThreadPoolExecutor(len(names), thread_name_prefix="pull"))
        return sum(threads.map(partial(_reported, one), names), Report())


def asked(
    exchanges: Iterable[str],
    tables: str | Sequence[str],
    start: TimeLike | None,
    end: TimeLike | None,
    instrument_type: InstrumentType | None,
    warehouse: Warehouse | str | Path | None,
) -> tuple[Warehouse, Window, list[Table]]:
    """What a pull was asked for: where to, when, and which tables beside listings; raises what ``pull`` raises."""
    wanted = [declared(name) for name in ([tables] if isinstance(tables, str) else tables)]
    facts = [table for table in wanted if table.name != "instruments"]
    for name in exchanges:
        exchange(name)
        for table in facts:
            _types(name, table, instrument_type)
    return _warehouse(warehouse), _window(facts, start, end), facts


def _pull_one(
    target: Warehouse,
    reader: Fetcher,
    facts: Sequence[Table],
    window: Window,
    symbols: str | Sequence[str] | None,
    instrument_type: InstrumentType | None,
    name: str,
    *,
    step: Step | None,
    refresh: bool,
) -> Report:
    listing = TABLES["instruments"]
    report = to_bronze(target, reader, name, listing) + to_silver(target, name, listing)
    for table in facts:
        found = instruments(target, name, table, window, symbols, instrument_type)
        report += to_bronze(target, reader, name, table, window, found, step=step, refresh=refresh)
        report += to_silver(target, name, table, layout.periods(table, window))
    return report


def _reported(one: Callable[[str], Report], name: str) -> Report:
    """A venue that cannot be read at all keeps no other from being read."""
    try:
        return one(name)
    except (FetchError, UnknownNameError) as error:
        return Report(problems=(Problem(name, "all tables", None, None, str(error)),))


def instruments(
    warehouse: Warehouse,
    exchange_name: str,
    table: Table,
    window: Window,
    symbols: str | Sequence[str] | None = None,
    instrument_type: InstrumentType | None = None,
) -> list[Instrument]:
    """Instruments of Silver that have rows of a table in a window: listed by its end, not gone before it.

    Raises
    ------
    UnknownNameError
        If a symbol was never listed.
    """
    import polars as pl

    rows = pl.from_arrow(warehouse.read(TABLES["instruments"], exchange=exchange_name))
    rows = rows.filter(pl.col("instrument_type").is_in(_types(exchange_name, table, instrument_type)))
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
    names = [part.name for part in fields(Instrument)]
    return [Instrument(**row) for row in rows.select(names).iter_rows(named=True)]


def lives(warehouse: Warehouse, exchange_name: str) -> dict[tuple[str, str], Window]:
    """When each instrument can have rows: from a day before it was listed to a day after it was gone.

    Asking for years before a listing costs as many requests as years of rows. Of a day either way, venues' own times
    of listing are not always right.
    """
    rows = warehouse.read(TABLES["instruments"], exchange=exchange_name).to_pylist()
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    return {
        (row["instrument_type"], row["symbol"]): Window(
            first if row["listing_time"] is None else row["listing_time"] - LIFE_MARGIN,
            last if row["delisting_time"] is None else row["delisting_time"] + LIFE_MARGIN,
        )
        for row in rows
    }


def alive(lives: Mapping[tuple[str, str], Window], instrument: Instrument, window: Window) -> Window:
    """The part of a window in which an instrument can have rows; empty where it has none."""
    life = lives.get((instrument.instrument_type, instrument.symbol), window)
    start = max(window.start, life.start)
    return Window(start, max(start, min(window.end, life.end)))


def to_bronze(
    warehouse: Warehouse,
    fetcher: Fetcher,
    exchange_name: str,
    table: Table,
    window: Window | None = None,
    of: Iterable[Instrument] = (),
    *,
    step: Step | None = None,
    refresh: bool = False,
) -> Report:
    """Ask an exchange and keep every answer, malformed ones too.

    One instrument that cannot be read is reported and does not keep the others from being read. Spans that were
    answered whole before are not asked for again, so that a run that was cut goes on where it was; but what is
    younger than :data:`SETTLED` by the venue's clock always is, for it may still be corrected.

    Parameters
    ----------
    warehouse : Warehouse
        Where to.
    fetcher : Fetcher
        How to read.
    exchange_name, table
        What to read.
    window : Window, optional
        Span to read; none for ``instruments``.
    of : iterable of Instrument
        Whose rows to read; ignored for ``instruments``.
    refresh : bool
        Ask for everything anew, for late corrections of old rows.

    Raises
    ------
    BlockedError
        If the venue refuses this address: no other instrument would fare better.
    """
    tally, run = _Tally(), _run_name()
    life = {} if table.name == "instruments" else lives(warehouse, exchange_name)
    progress = _Progress(Inventory(warehouse.root, exchange_name, table.name, run), refresh, life)
    with ExitStack() as stack:
        writers = progress.writers
        stack.callback(progress.flush)
        for symbol, pages in _readings(warehouse, fetcher, exchange_name, table, window, of, tally.problems, progress):
            try:
                for page in pages:
                    if page.endpoint not in writers:
                        writer = BronzeWriter(warehouse.root, exchange_name, page.endpoint, run)
                        writers[page.endpoint] = stack.enter_context(writer)
                    keep = writers[page.endpoint]
                    (keep.add_file if page.is_file else keep.add)(_bronze_row(page))
                    tally.answers += 1
                    progress.seen(page)
            except BlockedError:
                raise
            except (FetchError, UnknownNameError) as error:
                tally.problems.append(Problem(exchange_name, table.name, symbol, window, str(error)))
            if step is not None:
                step(f"{table.name} {symbol or exchange_name}")
    tally.files = [path.relative_to(warehouse.root).as_posix() for w in writers.values() for path in w.files]
    return tally.report()


def to_silver(warehouse: Warehouse, exchange_name: str, table: Table, periods: Iterable[str] | None = None) -> Report:
    """Make Silver files of a table from Bronze: parsed, deduplicated, checked, sorted.

    A malformed answer fails for itself only and is reported; where an answer corrects an earlier one,
    the later holds; rows that fail a check go to ``rejects/``.

    Parameters
    ----------
    warehouse : Warehouse
        Holds Bronze and gets Silver.
    exchange_name, table
        What to make.
    periods : iterable of str, optional
        File periods (``"2024"``, ``"2024-05"``); all that Bronze has answers for by default.
    """
    if table.name == "instruments":
        rows, problems = _listings(warehouse, exchange_name, table)
        return _write(warehouse, exchange_name, table, "all", rows, problems)
    report = Report()
    for period in _periods(warehouse, exchange_name, table) if periods is None else periods:
        span = layout.period_window(table, period)
        rows, problems = _facts(warehouse, exchange_name, table, span)
        report += _write(warehouse, exchange_name, table, period, rows, problems)
    return report


@dataclass(slots=True)
class _Progress:
    """What a run has brought in so far, and what it need not ask for."""

    inventory: Inventory
    refresh: bool
    lives: dict[tuple[str, str], Window]
    writers: dict[str, BronzeWriter] = field(default_factory=dict)
    now: datetime | None = None
    whole: bool = True
    flushed: float = field(default_factory=time.monotonic)

    def missing(self, table: Table, instrument: Instrument, window: Window) -> Iterator[Window]:
        """Spans to ask for, none longer than a file of the table, so that little is lost by a cut."""
        window = alive(self.lives, instrument, window)
        gaps = [window] if self.refresh else self.inventory.missing(instrument, window)
        for gap in gaps:
            for period in layout.periods(table, gap):
                whole = layout.period_window(table, period)
                yield Window(max(gap.start, whole.start), min(gap.end, whole.end))

    def begin(self) -> None:
        """A span is about to be asked for."""
        self.whole, self.now = True, None

    def seen(self, page: Page) -> None:
        """One of its pages is kept."""
        self.now, self.whole = page.context.now, self.whole and page.error is None

    def end(self, instrument: Instrument, span: Window) -> None:
        """All of its pages are kept; what is settled of it need not be asked for again."""
        if self.whole and self.now is not None:
            self.inventory.add(instrument, Window(span.start, max(span.start, min(span.end, self.now - SETTLED))))
        if time.monotonic() - self.flushed > FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Answers first, then the claim that they are there."""
        for writer in self.writers.values():
            writer.flush()
        self.inventory.flush()
        self.flushed = time.monotonic()


def _readings(
    warehouse: Warehouse,
    fetcher: Fetcher,
    exchange_name: str,
    table: Table,
    window: Window | None,
    of: Iterable[Instrument],
    problems: list[Problem],
    progress: _Progress,
) -> Iterator[tuple[str | None, Iterator[Page]]]:
    """What is read, instrument by instrument."""
    if table.name == "instruments":
        yield None, fetcher.instrument_pages(exchange_name)
        return
    known: dict[str, dict[str, str]] = {}
    for instrument in of:
        archive = exchange(exchange_name).archives.get((table.name, instrument.instrument_type))
        if archive is None:
            yield instrument.symbol, _api_pages(fetcher, table, instrument, window, problems, progress)
            continue
        if archive.endpoint not in known:
            known[archive.endpoint] = archived(warehouse.root, exchange_name, archive.endpoint)
        span = alive(progress.lives, instrument, window)
        files = partial(archive_pages, fetcher, table.name, archive, instrument, span, known[archive.endpoint])
        yield instrument.symbol, _with_archive(fetcher, table, archive, instrument, span, files, problems, progress)


def _with_archive(
    fetcher: Fetcher,
    table: Table,
    archive: Archive,
    instrument: Instrument,
    window: Window,
    files: Callable[[list[Window]], Iterator[Page]],
    problems: list[Problem],
    progress: _Progress,
) -> Iterator[Page]:
    """Pages of a venue that has an archive too: read first where it is preferred, last where only it remembers."""
    if not archive.preferred:
        try:
            yield from _api_pages(fetcher, table, instrument, window, problems, progress)
            return
        except UnknownNameError:
            pass  # delisted: the API forgets, the archive does not
    rest: list[Window] = []
    yield from files(rest)
    if archive.compared:
        rest.append(_kept_by_api(fetcher, table, instrument, window))
    for span in merged(rest):
        yield from _api_pages(fetcher, table, instrument, span, problems, progress)


def _kept_by_api(fetcher: Fetcher, table: Table, instrument: Instrument, window: Window) -> Window:
    """The part of a window that the venue's API still keeps."""
    earliest = fetcher.earliest(instrument.exchange, table.name, instrument.instrument_type) or window.start
    start = min(max(window.start, earliest), window.end)
    return Window(start, window.end)


def _api_pages(
    fetcher: Fetcher,
    table: Table,
    instrument: Instrument,
    window: Window,
    problems: list[Problem],
    progress: _Progress,
) -> Iterator[Page]:
    """Pages of a venue's API, of what it still keeps; what it does not is a problem, not a silence."""
    exchange_name = instrument.exchange
    for span in progress.missing(table, instrument, window):
        earliest = fetcher.earliest(exchange_name, table.name, instrument.instrument_type)
        if earliest is not None and span.start < earliest:
            lost = Window(span.start, min(earliest, span.end))
            problems.append(Problem(exchange_name, table.name, instrument.symbol, lost, "the venue does not keep it"))
            span = Window(lost.end, max(lost.end, span.end))
        if not span.empty:
            progress.begin()
            yield from fetcher.pages(exchange_name, table.name, instrument, span)
            progress.end(instrument, span)


def _bronze_row(page: Page) -> dict:
    start, end = _span(page)
    return {
        "table": page.context.table,
        "data_start": start,
        "data_end": end,
        "context": page.context.to_json(),
        "url": page.answer.url,
        "params": json.dumps(dict(page.answer.params)),
        "status": page.answer.status,
        "headers": json.dumps(dict(page.answer.headers)),
        "received_at": page.answer.received_at,
        "sha256": page.answer.sha256,
        "body": page.answer.body,
    }


def _span(page: Page) -> tuple[datetime | None, datetime | None]:
    """The span a page can hold rows of: that of its rows, else all that was asked for."""
    import pyarrow.compute as pc

    window = page.skipped or page.context.window
    if window is None:
        return None, None
    if page.table is None or page.table.num_rows == 0:
        return window.start, window.end
    times = page.table["timestamp"]
    return pc.min(times).as_py(), pc.max(times).as_py() + timedelta(microseconds=1)


def _answers(
    warehouse: Warehouse, exchange_name: str, table: Table, window: Window | None, problems: list[Problem]
) -> Iterator[tuple[dict, Context, pa.Table | None]]:
    """Bronze answers of a table, parsed; malformed ones are None and become problems."""
    for endpoint in exchange(exchange_name).endpoints(table.name):
        for row in read_bronze(warehouse.root, exchange_name, endpoint, table.name, window):
            context = Context.from_json(row["context"])
            try:
                rows = parse_answer(exchange_name, endpoint, row["body"], context)
            except PayloadError as error:
                symbol = context.instrument.symbol if context.instrument else None
                problems.append(Problem(exchange_name, table.name, symbol, context.window, str(error)))
                rows = None
            yield row, context, rows


def _facts(
    warehouse: Warehouse, exchange_name: str, table: Table, span: Window
) -> tuple[pl.DataFrame | None, list[Problem]]:
    """Rows of one file period, the last answer's where several gave the same key; None without answers."""
    import polars as pl
    import pyarrow as pa

    problems: list[Problem] = []
    around = Window(span.start - NEIGHBOURS, span.end + NEIGHBOURS) if table.name == "funding_rates" else span
    apart = _apart(warehouse, exchange_name, table, problems)
    parsed = [
        rows
        for row, context, rows in _answers(warehouse, exchange_name, table, around, problems)
        if rows is not None and (row["endpoint"], context.instrument) not in apart
    ]
    parsed += _streamed(warehouse, exchange_name, table, span, problems)
    if not parsed:
        return None, problems
    rows = pl.from_arrow(pa.concat_tables([empty(table), *parsed]))
    rows = rows.unique(subset=table.key, keep="last", maintain_order=True)
    if table.name == "funding_rates":
        rows = _with_intervals(rows)
    return rows.filter(pl.col(table.time).is_between(span.start, span.end, closed="left")), problems


def _apart(
    warehouse: Warehouse, exchange_name: str, table: Table, problems: list[Problem]
) -> set[tuple[str, Instrument]]:
    """Archives and instruments whose rows differ from those of the venue's API where both have them.

    Which of the two is wrong for the rest nobody can say, so the archive's rows are not used at all.
    """
    import polars as pl

    archives = {
        a.endpoint for (name, _), a in exchange(exchange_name).archives.items() if name == table.name and a.compared
    }
    if not archives:
        return set()
    parts: dict[tuple[bool, Instrument], list[pl.DataFrame]] = defaultdict(list)
    for row, context, rows in _answers(warehouse, exchange_name, table, None, []):
        if rows is not None:
            parts[row["endpoint"] in archives, context.instrument].append(pl.from_arrow(rows))
    found = set()
    for of_archive, instrument in parts:
        if not of_archive or (False, instrument) not in parts:
            continue
        one, other = (pl.concat(parts[which, instrument]).unique(table.key, keep="last") for which in (True, False))
        both = one.join(other, on=table.key, suffix="_api")
        off = (both["funding_rate"] - both["funding_rate_api"]).abs() > SAME_RATE
        if off.any():
            text = (
                f"the archive's rate differs from the paid one in {off.sum()} of {both.height} settlements that both "
                "have: only what the API has is used"
            )
            problems.append(Problem(exchange_name, table.name, instrument.symbol, None, text))
            found |= {(endpoint, instrument) for endpoint in archives}
    return found


def _streamed(
    warehouse: Warehouse, exchange_name: str, table: Table, window: Window, problems: list[Problem]
) -> list[pa.Table]:
    """Rows of what was heard live."""
    if table.name != "liquidations" or exchange_name not in STREAMS:
        return []
    answers = read_bronze(warehouse.root, exchange_name, STREAMS[exchange_name].endpoint, table.name, window)
    messages = [answer["body"] for answer in answers]
    if not messages:
        return []
    names = [part.name for part in fields(Instrument)]
    listed = warehouse.read(TABLES["instruments"], exchange=exchange_name).select(names).to_pylist()
    rows, said = liquidations_of(exchange_name, messages, [Instrument(**row) for row in listed])
    problems += [Problem(exchange_name, table.name, None, window, text) for text in said]
    return [rows]


def _with_intervals(rows: pl.DataFrame) -> pl.DataFrame:
    """Fill the interval where the venue does not say it, from the distance of settlements.

    It is stored, so that a later cut of the table does not change a row's interval.
    """
    from cexkit.analytics.funding import funding_interval

    columns = rows.columns
    return funding_interval(rows).select(columns)


@dataclass(slots=True)
class _List:
    """One list of instruments as one run read it: its pages, and whether these are all of it."""

    endpoint: str
    run: str
    pages: list[pa.Table] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    at: datetime | None = None
    malformed: bool = False
    ended: bool = False

    @property
    def whole(self) -> bool:
        """Whether an instrument that it lacks is not listed."""
        return self.ended and not self.malformed

    def add(self, context: Context, rows: pa.Table | None, cursor: Callable[[], str | None]) -> None:
        """The next page; None where it is malformed."""
        if rows is None:
            self.malformed = True
            return
        self.pages.append(rows)
        self.unread |= left_out(rows)
        self.at, self.ended = context.now, not cursor()


def _listings(warehouse: Warehouse, exchange_name: str, table: Table) -> tuple[pl.DataFrame | None, list[Problem]]:
    """Everything ever listed, as last seen; what a later whole list lacks is delisted, at the latest then."""
    import polars as pl
    import pyarrow as pa

    problems: list[Problem] = []
    companions: dict[str, dict[str, pa.Table]] = {}
    seen: dict[str, pl.DataFrame] = {}
    lists = _lists(warehouse, exchange_name, table, companions, problems)
    for found in sorted(lists, key=lambda one: one.at):
        rows = latest(pa.concat_tables(found.pages))
        joined = pl.from_arrow(join_companions(exchange_name, found.endpoint, rows, companions.get(found.run, {})))
        before = seen.get(found.endpoint)
        seen[found.endpoint] = _succeed(before, joined, found.unread, found.at, whole=found.whole)
    if not seen:
        return None, problems
    return pl.from_arrow(latest(pl.concat(seen.values()).to_arrow())), problems


def _lists(
    warehouse: Warehouse,
    exchange_name: str,
    table: Table,
    companions: dict[str, dict[str, pa.Table]],
    problems: list[Problem],
) -> list[_List]:
    """All lists with a page that can be read; what completes them goes to ``companions``, by run."""
    venue, lists = exchange(exchange_name), {}
    completing = {part.endpoint for source in venue.sources.values() for part in source.companions}
    for row, context, rows in _answers(warehouse, exchange_name, table, None, problems):
        endpoint, run = row["endpoint"], row["run"]
        if endpoint not in completing:
            found = lists.setdefault((run, endpoint), _List(endpoint, run))
            found.add(context, rows, partial(venue.endpoint(table.name, endpoint).cursor, row["body"]))
        elif rows is not None:
            companions.setdefault(run, {})[endpoint] = rows
    return [found for found in lists.values() if found.pages]


def _succeed(
    before: pl.DataFrame | None, now: pl.DataFrame, unread: dict[str, str], at: datetime, *, whole: bool
) -> pl.DataFrame:
    """The newer list, and what it no longer has marked as delisted if it is whole.

    What the newer list has in a form that is not read (``unread``) is not gone; it stays as it was.
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


def _write(
    warehouse: Warehouse,
    exchange_name: str,
    table: Table,
    period: str,
    rows: pl.DataFrame | None,
    problems: list[Problem],
) -> Report:
    if rows is None:
        return Report(problems=tuple(problems))
    good, rejects = split(rows, table)
    warehouse.write_rejects(table, exchange_name, period, rejects.to_arrow())
    if good.is_empty():
        warehouse.remove(table, exchange_name, period)
    files = warehouse.write(table, good.to_arrow())
    return Report(
        rows=good.height,
        rejected=rejects.height,
        files=tuple(file.path for file in files),
        problems=tuple(problems),
    )


def _periods(warehouse: Warehouse, exchange_name: str, table: Table) -> list[str]:
    endpoints = exchange(exchange_name).endpoints(table.name)
    if table.name == "liquidations" and exchange_name in STREAMS:
        endpoints = (*endpoints, STREAMS[exchange_name].endpoint)
    spans = [bronze_window(warehouse.root, exchange_name, endpoint, table.name) for endpoint in endpoints]
    spans = [span for span in spans if span is not None]
    if not spans:
        return []
    return layout.periods(table, Window(min(s.start for s in spans), max(s.end for s in spans)))


def _types(exchange_name: str, table: Table, instrument_type: InstrumentType | None) -> tuple[InstrumentType, ...]:
    """Types of instruments whose rows of a table are read; an error where there are none."""
    venue = exchange(exchange_name)
    if instrument_type is not None:
        venue.source(table.name, instrument_type)
        return (instrument_type,)
    return venue.instrument_types(table.name) or venue.explain(table.name, table.instrument_types)


def _window(facts: list[Table], start: TimeLike | None, end: TimeLike | None) -> Window:
    if facts and start is None:
        raise InvalidInputError(f"{facts[0].name} needs a start, such as start='2024-01-01'")
    last = datetime.now(UTC) if end is None else utc(end)
    return Window(last if start is None else utc(start), last)


def _warehouse(given: Warehouse | str | Path | None) -> Warehouse:
    if isinstance(given, Warehouse):
        return given
    if given is None:
        from cexkit.config import settings

        given = settings().warehouse
    return Warehouse(given)


def _run_name() -> str:
    """Unique, and sorted by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:8]}"
