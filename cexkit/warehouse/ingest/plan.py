"""What bringing tables in would take: files, spans, requests, less what is there. Asks for nothing but listings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from cexkit.errors import AmbiguousInstrumentError, DamagedFileError, UnknownNameError
from cexkit.exchanges.base import Source
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.registry import exchange
from cexkit.exchanges.venue_client import FILES
from cexkit.schema import Table
from cexkit.schema.intervals import TimeLike, Window
from cexkit.schema.names import to_tuple
from cexkit.schema.symbols import Instrument, InstrumentType
from cexkit.warehouse.ingest.before_listing import BeforeListing, known_periods
from cexkit.warehouse.ingest.due import Due, find_due
from cexkit.warehouse.ingest.inventories import open_inventory
from cexkit.warehouse.ingest.listing_periods import ListingPeriods, hull
from cexkit.warehouse.ingest.listings import knows_instruments, requestable
from cexkit.warehouse.ingest.pull import exchange_names, explained, pull, resolve_request
from cexkit.warehouse.ingest.repeats import choose_repeats, fewest_pages
from cexkit.warehouse.ingest.report import ALL_TABLES, LostFileProblem, Problem
from cexkit.warehouse.ingest.whole_venue import choices
from cexkit.warehouse.store.inventory import key_of
from cexkit.warehouse.store.warehouse import Warehouse
from cexkit.warehouse.store.wording import duration_text


@dataclass(frozen=True, slots=True)
class Step:
    """One table of one instrument.

    Attributes
    ----------
    files : int
        Files of the venue's archive; each takes two requests where checksums are published, else one. A file with a
        checksum that is there unchanged takes one.
    spans : tuple of Window
        What is asked of the venue's API.
    requests : int
        The fewest requests that can bring it, were no file there. If the window starts before a listing time, one of
        them asks whether the venue has rows there.
    lost : Window or None
        What the venue does not keep any more.
    """

    table: str
    instrument: Instrument
    files: int
    spans: tuple[Window, ...]
    requests: int
    lost: Window | None
    #: What the requests weigh, by API and budget of the venue.
    weights: Mapping[tuple[str, str], float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WholeStep:
    """A span of a table that is requested for all instruments at once.

    Attributes
    ----------
    table : str
        The table.
    window : Window
        The span.
    requests : int
        The fewest requests that it takes, by an estimate of the number of rows.
    weights : mapping of (str, str) to float
        What they weigh, by API and budget of the venue.
    """

    table: str
    window: Window
    requests: int
    weights: Mapping[tuple[str, str], float]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pull will do. ``str`` of it is a table, a line a table of the schema."""

    exchange: str
    window: Window
    steps: tuple[Step, ...]
    #: Files of the listings that were missing or damaged when they were read for the plan.
    problems: tuple[Problem, ...] = ()
    #: What is requested for all instruments at once, and is in no step.
    whole: tuple[WholeStep, ...] = ()
    #: Why there are no steps: no listing of the venue could be read, now or before.
    unread: tuple[Problem, ...] = ()

    @property
    def requests(self) -> int:
        """The fewest requests that it takes, listings aside."""
        return sum(step.requests for step in (*self.steps, *self.whole))

    @property
    def seconds(self) -> float:
        """The least time that the requests take within the limits of the venue, in seconds; listings aside."""
        totals: Counter[tuple[str, str]] = Counter()
        for step in (*self.steps, *self.whole):
            totals.update(step.weights)
        apis = exchange(self.exchange).apis
        rates = {(api, b.name): b.limit / b.per_seconds for api in apis for b in apis[api].budgets}
        return max((weight / rates[key] for key, weight in totals.items() if key in rates), default=0.0)

    def __str__(self) -> str:
        if self.unread:
            return f"plan: {self.exchange}, {self.window}, unknown: its instruments could not be read"
        lines = [f"plan: {self.exchange}, {self.window}, at least {duration_text(self.seconds)} within its limits"]
        for table in dict.fromkeys(step.table for step in self.steps):
            steps = [step for step in self.steps if step.table == table]
            days = sum(span.days for step in steps for span in step.spans)
            lost = sum(step.lost is not None for step in steps)
            at_once = [step for step in self.whole if step.table == table]
            nothing = 0 if at_once else sum(not step.requests for step in steps)
            parts = [
                f"{len(steps)} instruments",
                f"{sum(step.files for step in steps)} archive files",
                f"{days:,.0f} instrument-days by API",
                f"at least {sum(step.requests for step in (*steps, *at_once)):,} requests",
            ]
            parts += [f"{step.window} of all instruments at once" for step in at_once]
            parts += [f"{nothing} instruments need nothing"] if nothing else []
            parts += [f"{lost} instruments begin before what the venue keeps"] if lost else []
            lines.append(f"  {table}: {', '.join(parts)}")
        return "\n".join(lines)


def plan(
    warehouse: Warehouse | Path | str,
    exchange_name: str,
    tables: Sequence[Table],
    window: Window,
    symbols: str | Sequence[str] | None = None,
    instrument_type: str | None = None,
    *,
    fetcher: Fetcher | None = None,
    refresh: bool = False,
    now: datetime | None = None,
    alone: bool = True,
) -> Plan:
    """Say what :func:`cexkit.pull` would do, from the listings in a warehouse.

    Parameters
    ----------
    warehouse : Warehouse or path
        Whose listings are read, and whose inventory says what is there.
    exchange_name, tables, window, symbols, instrument_type, refresh
        As for ``pull``.
    fetcher : Fetcher, optional
        Knows the venue's clock, by which some things are too old to be had.
    now : datetime, optional
        Time that delays of repeated requests are measured at. Default: the current time.
    alone : bool
        False if other venues are read too: then a symbol that names no instrument is left out if another one does.

    Returns
    -------
    Plan
    """
    target = warehouse if isinstance(warehouse, Warehouse) else Warehouse(warehouse)
    listed = known_periods(target, exchange_name)
    steps: list[Step] = []
    whole: list[WholeStep] = []
    moment = now or datetime.now(UTC)
    with ExitStack() as stack:
        reader = fetcher or stack.enter_context(Fetcher())
        for table in tables:
            unknown = None if alone else []
            found = requestable(target, exchange_name, table, window, symbols, instrument_type, unknown=unknown)
            parts = {one: listed.get(key_of(one), ListingPeriods()).within(window) for one in found}
            inventory = open_inventory(target, exchange_name, table, listed)
            windows = {one: hull(spans, window) for one, spans in parts.items()}
            repeats = {} if refresh else choose_repeats(inventory, table, windows, moment)
            due: dict[Instrument, Due] = {}
            for one, spans in parts.items():
                earliest = reader.earliest(exchange_name, table.name, one.instrument_type)
                periods = listed.get(key_of(one), ListingPeriods())
                before = BeforeListing(inventory, table, one, periods, window, earliest, refresh).questions()
                again = None if refresh else repeats.get(one, [])
                if spans or before:
                    due[one] = find_due(inventory, table, one, spans, again, before, earliest, moment)
            for choice in choices(target, exchange_name, table, window, due):
                whole.append(WholeStep(table.name, choice.window, choice.requests, choice.weights))
                due |= {one: due[one].without(choice.window) for one in choice.instruments}
            venue = exchange(exchange_name)
            steps += [_step(due[one], venue.source(table.name, one.instrument_type), table, one) for one in due]
    return Plan(exchange_name, window, tuple(steps), whole=tuple(whole))


def plans(
    exchanges: Sequence[str],
    tables: str | Sequence[str],
    symbols: str | Sequence[str] | None = None,
    start: TimeLike | None = None,
    end: TimeLike | None = None,
    *,
    instrument_type: InstrumentType | None = None,
    warehouse: Warehouse | Path | str | None = None,
    fetcher: Fetcher | None = None,
    refresh: bool = False,
) -> list[Plan]:
    """Return the plan of a pull, one per venue; takes and raises what :func:`cexkit.pull` does.

    Reads the venues' listings first. The plan of a venue whose instruments could not be read says why (``unread``). A
    venue with a damaged file has no plan; nor has one of several that knows none of the symbols.
    """
    exchanges, symbols = exchange_names(exchanges), to_tuple(symbols)
    # Before any request, so that a wrong name costs none.
    target, window, facts = resolve_request(exchanges, tables, start, end, instrument_type, warehouse)
    with ExitStack() as stack:
        reader = fetcher or stack.enter_context(Fetcher())
        listed = pull(exchanges, "instruments", warehouse=target, fetcher=reader)
        restored = [problem for problem in listed.problems if isinstance(problem, LostFileProblem)]
        refused = {problem.exchange for problem in listed.problems if problem.table == ALL_TABLES}
        failed = refused | {name for name in exchanges if not knows_instruments(target, name)}
        found, alone = [], len(exchanges) == 1
        # the pull reports these
        reported = (DamagedFileError, *(() if alone else (UnknownNameError, AmbiguousInstrumentError)))
        for name in exchanges:
            if name in failed:
                unread = tuple(problem for problem in listed.problems if problem.exchange == name)
                found.append(Plan(name, window, (), unread=unread))
            else:
                with suppress(*reported), explained(listed):
                    words = {"fetcher": reader, "refresh": refresh, "alone": alone}
                    made = plan(target, name, facts, window, symbols, instrument_type, **words)
                    found.append(replace(made, problems=tuple(lost for lost in restored if lost.exchange == name)))
        return found


def _step(due: Due, source: Source, table: Table, instrument: Instrument) -> Step:
    """Return the step of an instrument."""
    pages = [(fewest_pages(source, table, part), part) for part in (*due.spans, *due.before)]
    weights = Counter({(FILES.api, "requests"): due.file_requests})
    for count, part in pages:
        cost = source.cost(source.params(instrument, source.paginator.first(part)))
        weights.update({(source.api, name): count * weight for name, weight in cost.items()})
    requests = due.file_requests + len(due.before) + sum(count for count, _ in pages[: len(due.spans)])
    return Step(table.name, instrument, due.files, due.spans, requests, due.lost, weights)
