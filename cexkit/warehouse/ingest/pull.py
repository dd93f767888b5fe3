"""Pulls: download tables of venues into a warehouse."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from cexkit.errors import AmbiguousInstrumentError, FetchError, InvalidInputError, UnknownNameError
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.http.workers import at_once
from cexkit.exchanges.registry import exchange, resolve_exchange
from cexkit.schema import TABLES, Table
from cexkit.schema import table as declared
from cexkit.schema.intervals import TimeLike, Window, utc
from cexkit.schema.names import to_tuple
from cexkit.schema.symbols import InstrumentType
from cexkit.warehouse.ingest.before_listing import may_move_listings, tells_listing
from cexkit.warehouse.ingest.bronze import ingest_bronze
from cexkit.warehouse.ingest.listings import knows_instruments, requestable, types_read
from cexkit.warehouse.ingest.report import ALL_TABLES, Problem, Report, Step, damage_reported, without_repeats
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.store.compact import compact
from cexkit.warehouse.store.warehouse import Warehouse

#: Most problems of a listing in the error of an unknown symbol.
MAX_REASONS = 3


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
    now: datetime | None = None,
) -> Report:
    """Download tables of exchanges into a warehouse: instruments first, then Bronze, then Silver.

    Venues, tables, and instruments are read at the same time, within the limits of each venue. If it is interrupted, it
    stops within two seconds and keeps what arrived; the next call resumes there.

    Parameters
    ----------
    exchange_name : str or sequence of str
        Venues.
    tables : str or sequence of str
        Tables to download.
    symbols : str or sequence of str, optional
        Canonical symbols. Default: all that were listed in the window. A symbol that is both spot and
        perp is downloaded as both, each under its own ``instrument_type``.
    start, end : str, date or datetime
        Half-open UTC window; ``end`` defaults to now. Not needed for ``instruments``.
    instrument_type : str, optional
        Only instruments of this type.
    warehouse : Warehouse or path, optional
        Destination. Default: the setting ``CEXKIT_WAREHOUSE``.
    fetcher : Fetcher, optional
        Client that reads the venues. Default: a new one.
    step : callable, optional
        Called with a :class:`~cexkit.warehouse.ingest.report.Done` as each instrument finishes, from several threads;
        its text is such as ``bybit ohlcv_1h BTCUSDT``.
    refresh : bool
        Request everything again. Default: request only data that no earlier run read, two steps before it, the last
        two days once a day, and rows that are missing from earlier responses, with growing delays.
    now : datetime, optional
        Time that decides which months of 1-minute bars are closed and in one file, and which missing rows are requested
        again. Default: the current time.

    Returns
    -------
    Report
        Report with every problem; all other data was downloaded. A venue that refuses this address is a problem if
        other venues were requested too.

    Raises
    ------
    UnknownNameError, NotOfferedError, InvalidInputError
        If a requested name is unknown, not offered, or invalid. Raised before any request. Symbols are checked
        later, against the venue's instruments; with several venues, an unknown symbol is a problem instead, and the
        others are read.
    BlockedError
        If the only venue refuses this address.

    Examples
    --------
    >>> import tempfile
    >>> import cexkit
    >>> from cexkit.config import Settings
    >>> from cexkit.exchanges.fetcher import Fetcher
    >>> from cexkit.testing import LoopbackMarket
    >>> folder = tempfile.mkdtemp()
    >>> with LoopbackMarket("2026-05-19", "2026-05-21", coins=["BTC"]) as venues:
    ...     with Fetcher(Settings(base_urls=venues.base_urls)) as fetcher:
    ...         report = cexkit.pull(
    ...             "okx", "funding_rates", "BTCUSDT", venues.start, warehouse=folder, fetcher=fetcher
    ...         )
    >>> report.problems
    ()
    >>> sorted(cexkit.connect(folder).tables.to_pandas().query("rows > 0").index)
    ['funding_rates', 'instrument_periods', 'instruments']
    """
    names, symbols = exchange_names(exchange_name), to_tuple(symbols)
    target, window, facts = resolve_request(names, tables, start, end, instrument_type, warehouse)
    with ExitStack() as stack:
        reader = fetcher or stack.enter_context(Fetcher())
        words = {"step": step, "refresh": refresh, "now": now or datetime.now(UTC), "alone": len(names) == 1}
        one = partial(_pull_one, target, reader, facts, window, symbols, instrument_type, threading.Lock(), **words)
        if len(names) == 1:
            return one(names[0])
        return sum(at_once([partial(_reported, one, name) for name in names]), Report())


def exchange_names(names: str | Iterable[str]) -> list[str]:
    """Return the venues that names mean, in any case, each once; raise UnknownNameError for an unknown one."""
    return list(dict.fromkeys(map(resolve_exchange, to_tuple(names) or ())))


def resolve_request(
    exchanges: Iterable[str],
    tables: str | Sequence[str],
    start: TimeLike | None,
    end: TimeLike | None,
    instrument_type: InstrumentType | None,
    warehouse: Warehouse | str | Path | None,
) -> tuple[Warehouse, Window, list[Table]]:
    """Return the warehouse, window, and tables (without those of listings) of a pull; raise the errors of ``pull``."""
    wanted = [declared(name) for name in to_tuple(tables) or ()]
    facts = [table for table in wanted if "instruments" not in (table.name, table.made_with)]
    for name in exchanges:
        exchange(name)
        for table in facts:
            types_read(name, table, instrument_type)
    return _warehouse(warehouse), _window(facts, start, end), facts


def _pull_one(
    target: Warehouse,
    reader: Fetcher,
    facts: Sequence[Table],
    window: Window,
    symbols: str | Sequence[str] | None,
    instrument_type: InstrumentType | None,
    building: threading.Lock,
    name: str,
    *,
    step: Step | None,
    refresh: bool,
    now: datetime,
    alone: bool,
) -> Report:
    def kept(table: Table) -> Report:
        if table.name == "instruments":
            return ingest_bronze(target, reader, name, table)
        unknown = None if alone else []
        with explained(listing):
            found = requestable(target, name, table, window, symbols, instrument_type, unknown=unknown)
        problems = tuple(Problem(name, table.name, None, None, text) for text in unknown or ())
        stored = ingest_bronze(target, reader, name, table, window, found, step=step, refresh=refresh, now=now)
        return stored + Report(problems=problems)

    def compacted() -> Report:
        compact(target, exchange=name, now=now)
        return Report()

    def pulled(table: Table) -> Report:
        # Silver is built even if a file that the download needs is damaged, because that may make the file again
        report = damage_reported(name, table.name, partial(kept, table))
        with building:  # each build uses all cores, and memory
            return report + damage_reported(name, table.name, partial(build_silver, target, name, table, now=now))

    listing = report = pulled(TABLES["instruments"])
    if report.failed and not knows_instruments(target, name):
        return report
    for tables in _phases(facts, moved=may_move_listings(target, name, window)):
        report += sum(at_once([partial(pulled, table) for table in tables]), Report())
    return without_repeats(report + damage_reported(name, ALL_TABLES, compacted))


def _phases(tables: Sequence[Table], *, moved: bool) -> list[list[Table]]:
    """Return the tables to read at the same time, in order.

    If listing times may be ``moved``, the requests for tables that do not tell of a listing begin with the first rows
    of the others.
    """
    if not moved:
        return [[*tables]]
    return [[table for table in tables if tells_listing(table) is tells] for tells in (True, False)]


@contextmanager
def explained(listing: Report) -> Iterator[None]:
    """Raise the error of an unknown name with what was wrong with the listing, which may be why it is unknown."""
    try:
        yield
    except UnknownNameError as error:
        if not listing.problems:
            raise
        problems = "; ".join(str(problem) for problem in listing.problems[:MAX_REASONS])
        raise UnknownNameError(f"{error}. The listing was not read whole: {problems}") from None


def _reported(one: Callable[[str], Report], name: str) -> Report:
    """Pull a venue; report an unreadable venue as a problem, so that the others are still read."""
    try:
        return one(name)
    except (FetchError, UnknownNameError, AmbiguousInstrumentError) as error:
        return Report(problems=(Problem(name, ALL_TABLES, None, None, str(error)),))


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
