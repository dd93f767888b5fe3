"""Build of ``instruments`` and ``instrument_periods`` from the lists in Bronze."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING

from cexkit.errors import DatasetError
from cexkit.exchanges.instruments import describe_unclear_units
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.registry import exchange
from cexkit.schema import TABLES, Table
from cexkit.schema.validate import split
from cexkit.warehouse.ingest.listing_state import InstrumentList, ListingState, ListPage
from cexkit.warehouse.ingest.replay import LOST_ACTION, Record, lost_problems, parse, stale_text
from cexkit.warehouse.ingest.report import Problem, Report
from cexkit.warehouse.store.bronze import bronze_files, read_file, read_heads, request_order
from cexkit.warehouse.store.ledger import EXCLUDED, Ledger
from cexkit.warehouse.store.warehouse import Warehouse

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from cexkit.warehouse.ingest.instrument_periods import PeriodLog


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
    found = list_files(warehouse, exchange_name)
    held = sum(file.rows for file in warehouse.manifest.select(instruments.name, exchanges=[exchange_name]))
    held += warehouse.quarantine(instruments, exchange_name, "all").num_rows
    silver = warehouse.manifest.state_of(instruments.name, exchange_name)
    intact = ledger.days == {"all": held} and ledger.silver in (None, silver)
    state = ListingState.read(ledger) if intact else None
    new = ledger.new(found)
    if state is not None and not new:
        return Report(problems=tuple(problems))
    ledger.announce(new)
    if state is None or not _all_later(warehouse, new, ledger.last_sequence):
        state, new = None, found
    excluded = ledger.excluded
    history = listings(warehouse, exchange_name, record, new, state, excluded)
    problems += history.problems
    if history.instruments is None:
        ledger.record(record.files(""), record.responses)
        return Report(problems=tuple(problems))
    rows, stored = history.instruments, None
    if text := describe_unclear_units(rows.to_arrow()):
        problems.append(Problem(exchange_name, instruments.name, None, None, text))
    unexplained = state is None and _has_unexplained(warehouse, ledger, rows, problems, removable=bool(excluded))
    if state is None and (record.damaged or ledger.absent() or unexplained):
        rows = _with_stored(warehouse, exchange_name, instruments, rows)
        stored = pl.from_arrow(warehouse.read(periods, exchange=exchange_name))
    report = _write(warehouse, exchange_name, periods, history.periods.periods(stored))
    report += _write(warehouse, exchange_name, instruments, rows)
    ledger.record_silver(warehouse.manifest.state_of(instruments.name, exchange_name))
    if stored is None:
        history.state.write(ledger)
    ledger.record(record.files(""), record.responses, {"all": rows.height})
    return report + Report(quarantined=record.quarantined, problems=tuple(problems))


def _has_unexplained(
    warehouse: Warehouse, ledger: Ledger, rows: pl.DataFrame, problems: list[Problem], *, removable: bool
) -> bool:
    """Return whether Silver has instruments that no list shows and no rule removes; those removed are listed."""
    import polars as pl

    table, key = ledger.table, list(ledger.table.key)
    stored = pl.from_arrow(warehouse.read(table, exchange=ledger.exchange))
    gone = stored.join(rows, on=key, how="anti").select(key)
    if gone.is_empty():
        return False
    text = (
        f"{gone.height:,} instruments come from no response in Bronze: they stay in Silver; restore what Bronze lacks, "
        "or run `cexkit rebuild` to remove them"
    )
    if removable:
        ledger.log_removed(gone, EXCLUDED, datetime.now(UTC))
        text = f"{gone.height:,} rows were removed by the rule '{EXCLUDED}'"
    problems.append(Problem(ledger.exchange, table.name, None, None, text))
    return not removable


def _standing_problems(ledger: Ledger, parser_version: int) -> Iterator[Problem]:
    """Yield what was wrong before a build: lost files, and lists that an older parser read."""
    yield from lost_problems(ledger)
    if stale := ledger.stale(parser_version):
        yield Problem(ledger.exchange, ledger.table.name, None, None, stale_text(stale, parser_version))


def list_files(warehouse: Warehouse, exchange_name: str) -> list[str]:
    """Return the Bronze files that hold lists of a venue, in the order received by endpoint; retired ones are not."""
    files = Ledger(warehouse.root, exchange_name, TABLES["instruments"]).files
    retired = set(files.filter(files["retired"])["path"])
    names = exchange(exchange_name).endpoints("instruments")
    found = (path for name in names for path in bronze_files(warehouse.root, exchange_name, name))
    return [path for path in found if path not in retired]


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
    excluded: Collection[str] = (),
) -> ListingHistory:
    """Return the instruments of lists in some Bronze files, and their periods; they continue a ``state``.

    Lists follow each other in the order of their requests, whatever the clocks showed.
    An instrument missing from a later complete list is delisted, at the latest at the time of that list.
    Responses with an ``excluded`` hash do not count.
    """
    import polars as pl

    problems: list[Problem] = []
    newest: dict[str, InstrumentList] = {}
    companions: dict[str, dict[str, pa.Table]] = {}
    state = state or ListingState.new()
    lists = _lists(warehouse, exchange_name, paths, companions, problems, record, excluded)
    read_until = state.periods.read_until or datetime.min.replace(tzinfo=UTC)
    # Lists of older versions have no number; their runs are named by time.
    ordered = sorted(lists, key=lambda one: (one.order, one.run))
    # The lists of a run complete each other: one shows what is traded, another what no longer is.
    for run, together in groupby(ordered, key=lambda one: one.run):
        for found in together:
            for reason in dict.fromkeys(state.add(found, companions.get(run, {}), exchange_name).values()):
                problems.append(Problem(exchange_name, "instruments", None, None, f"{found.endpoint}: {reason}"))
            newest[found.endpoint] = found
            read_until = max(read_until, found.at)  # clocks may disagree with the order of requests
        state.periods.add(pl.concat(state.seen.values()).drop("_place"), read_until)
    # Earlier lists were reported when they were read.
    problems += [problem for found in newest.values() for problem in found.problems()]
    return ListingHistory(state.instruments() if state.seen else None, state, problems)


def _lists(
    warehouse: Warehouse,
    exchange_name: str,
    paths: Iterable[str],
    companions: dict[str, dict[str, pa.Table]],
    problems: list[Problem],
    record: Record,
    excluded: Collection[str],
) -> list[InstrumentList]:
    """Return all lists with a readable page; add the rows that complete them to ``companions``, by run."""
    venue, lists = exchange(exchange_name), {}
    pages = []
    for row, context, rows in _responses(warehouse, exchange_name, paths, problems, record):
        endpoint = row["endpoint"]
        rows = None if row["sha256"] in excluded else rows
        is_last = rows is not None and not venue.endpoint("instruments", endpoint).cursor(row["body"])
        order = request_order(row)
        pages.append(ListPage(order, row["run"], endpoint, context.now, rows, is_last, context.skewed))
    for page in sorted(pages, key=lambda page: page.order):
        if page.endpoint not in venue.companions:
            lists.setdefault(
                (page.run, page.endpoint), InstrumentList(page.endpoint, page.run, exchange=exchange_name)
            ).add(page)
        elif page.rows is not None:
            companions.setdefault(page.run, {})[page.endpoint] = page.rows
    return [found for found in lists.values() if found.pages]


def _responses(
    warehouse: Warehouse, exchange_name: str, paths: Iterable[str], problems: list[Problem], record: Record
) -> Iterator[tuple[dict, Context, pa.Table | None]]:
    """Yield the parsed lists in some files; malformed ones yield None and are added to ``problems``."""
    table = TABLES["instruments"]
    ledger = Ledger(warehouse.root, exchange_name, table)
    for path in paths:
        try:
            heads = read_heads(warehouse.root, path, table.name)
            if change := ledger.change_of(path, (head["sha256"] for head in heads)):
                _report_damage(exchange_name, table, path, change, problems, record)
                continue
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
