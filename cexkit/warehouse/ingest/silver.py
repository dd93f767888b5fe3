"""Bronze → Silver: one schema, validated, deduplicated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cexkit.exchanges.registry import exchange
from cexkit.schema import Table
from cexkit.schema.intervals import Window
from cexkit.schema.render import empty, to_pyarrow
from cexkit.schema.symbols import Instrument
from cexkit.schema.validate import split
from cexkit.warehouse.ingest.listings import listings
from cexkit.warehouse.ingest.replay import Inputs, endpoints, responses, streamed
from cexkit.warehouse.ingest.report import Problem, Report
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.bronze import bronze_spans, request_order
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.rows import within
from cexkit.warehouse.store.warehouse import Warehouse

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

#: Rates closer than this are the same, written with fewer digits.
SAME_RATE = 1e-8
#: How far around a file period settlements are read, to distinguish intervals from gaps.
NEIGHBORS = timedelta(days=2)


def build_silver(
    warehouse: Warehouse,
    exchange_name: str,
    table: Table,
    periods: Iterable[str] | None = None,
    *,
    now: datetime | None = None,
) -> Report:
    """Make Silver files of a table from Bronze: parsed, deduplicated, checked, sorted.

    A malformed response fails for itself only and is reported; where a response corrects an earlier one, the later
    holds, but for what it does not say; rows that fail a check go to ``quarantine/``.

    Parameters
    ----------
    warehouse : Warehouse
        Holds Bronze and gets Silver.
    exchange_name, table
        What to make.
    periods : iterable of str, optional
        File periods (``"2024"``, ``"2024-05"``, and of a month's pieces ``"2024-05-08..14"``, ``"2024-05-23"``); all
        that Bronze has responses for by default. A month that is not closed is made in pieces; a day that was merged
        with others is made with these.
    now : datetime, optional
        Time that decides which months and weeks are closed, see :mod:`cexkit.warehouse.store.layout`; default: now.
    """
    with warehouse.exclusive(table, exchange_name):
        ledger = Ledger(warehouse.root, exchange_name, table)
        lost = Report(problems=tuple(_report_missing(ledger, exchange_name, table)))
        if table.name == "instruments":
            inputs = Inputs(warehouse.root, exchange(exchange_name).parser_version)
            rows, problems = listings(warehouse, exchange_name, table, inputs)
            if rows is not None and (inputs.corrupt or ledger.missing() or ledger.retired()):
                rows = _with_stored_instruments(warehouse, exchange_name, table, rows)
            report = _write(warehouse, exchange_name, table, ["all"], rows, problems)
            ledger.record(inputs.entries())
            return report + lost
        wanted = _periods(warehouse, exchange_name, table) if periods is None else periods
        report, differing = Report(), []
        unused = conflicting_archives(warehouse, exchange_name, table, differing)
        for pieces in _pieces(warehouse, exchange_name, table, wanted, now or datetime.now(UTC)):
            spans = [layout.period_window(table, piece) for piece in pieces]
            span = Window(spans[0].start, spans[-1].end)
            inputs = Inputs(warehouse.root, exchange(exchange_name).parser_version)
            rows, problems = _facts(warehouse, ledger, exchange_name, table, span, unused, inputs)
            report += _write(warehouse, exchange_name, table, pieces, rows, problems)
            ledger.record(inputs.entries())
        return report + Report(problems=tuple(differing)) + lost


def _pieces(
    warehouse: Warehouse, exchange_name: str, table: Table, wanted: Iterable[str], now: datetime
) -> list[list[str]]:
    """The files that hold these periods, those that follow each other within a month together: Bronze is read once."""
    present = {file.period for file in warehouse.manifest.select(table.name, exchanges=[exchange_name])}
    spans = [layout.period_window(table, period) for period in wanted]
    pieces = dict.fromkeys(piece for span in spans for piece in layout.periods(table, span, now, present))
    found: list[list[str]] = []
    for piece in sorted(pieces):
        follows = (
            found
            and piece[:7] == found[-1][-1][:7]
            and (layout.span_of(found[-1][-1]).end == layout.span_of(piece).start)
        )
        if follows:
            found[-1].append(piece)
        else:
            found.append([piece])
    return found


def _report_missing(ledger: Ledger, exchange_name: str, table: Table) -> Iterator[Problem]:
    """Yield a problem for each Bronze file that Silver rows came from and that is missing or changed."""
    for entry in ledger.missing():
        span = None if entry.start is None or entry.end is None else Window(entry.start, entry.end)
        text = f"{entry.problem(ledger.root)}: its rows stay in Silver; restore it, or run `cexkit bronze retire`"
        yield Problem(exchange_name, table.name, None, span, text)


def _with_stored_instruments(
    warehouse: Warehouse, exchange_name: str, table: Table, rows: pl.DataFrame
) -> pl.DataFrame:
    """Return the instruments of the available lists and of Silver: each as last observed, delisted at the earliest."""
    import polars as pl

    stored = pl.from_arrow(warehouse.read(table, exchange=exchange_name)).select(rows.columns)
    both = pl.concat([stored, rows]).sort("observed_at", "delisting_time", descending=[False, True], nulls_last=False)
    return both.unique(subset=table.key, keep="last", maintain_order=True)


def _stored_rows(warehouse: Warehouse, exchange_name: str, table: Table, span: Window) -> list[pa.Table]:
    """Return the rows of a span that Silver and its quarantine hold, in the declared columns."""
    schema = to_pyarrow(table)
    parts = [warehouse.read(table, exchange=exchange_name, span=span)]
    for period in layout.periods(table, span):
        quarantined = within(warehouse.quarantine(table, exchange_name, period), table, span)
        parts.append(quarantined.select(schema.names).cast(schema))
    return parts


def _facts(
    warehouse: Warehouse,
    ledger: Ledger,
    exchange_name: str,
    table: Table,
    span: Window,
    unused: set[tuple[str, Instrument]],
    inputs: Inputs,
) -> tuple[pl.DataFrame | None, list[Problem]]:
    """Return the rows of a span without ``unused`` ones; the latest request wins per key; None without responses.

    If a Bronze file is missing, changed, or retired, the rows that Silver holds follow those of the responses that it
    was built from, and precede those of newer responses. So neither a row nor a correction is lost with its file.
    """
    import polars as pl
    import pyarrow as pa

    problems: list[Problem] = []
    around = Window(span.start - NEIGHBORS, span.end + NEIGHBORS) if table.name == "funding_rates" else span
    numbered = [
        (request_order(row), ledger.holds(row, inputs.parser_version), rows)
        for row, context, rows in responses(warehouse, exchange_name, table, around, problems, inputs)
        if rows is not None and (row["endpoint"], context.instrument) not in unused
    ]
    numbered.sort(key=lambda part: part[0])
    parsed = [(held, rows) for _, held, rows in numbered]
    parsed += [(True, rows) for rows in streamed(warehouse, exchange_name, table, span, problems, inputs)]
    if not parsed:
        return None, problems
    if inputs.corrupt or ledger.missing(around) or ledger.retired(around):
        parsed += [(True, rows) for rows in _stored_rows(warehouse, exchange_name, table, around)]
        parsed.sort(key=lambda part: not part[0])  # stable: built from, stored, newer
    rows = pl.from_arrow(pa.concat_tables([empty(table), *(rows for _, rows in parsed)]))
    rows = _latest(rows, table)
    if table.name == "funding_rates":
        rows = _with_intervals(rows)
    return rows.filter(pl.col(table.time).is_between(span.start, span.end, closed="left")), problems


def _latest(rows: pl.DataFrame, table: Table) -> pl.DataFrame:
    """The last row of each key; what it does not say stays as an earlier one said it.

    An archive of funding has no mark prices: without this they would be gone once a month's file is there.
    """
    import polars as pl

    last = rows.unique(subset=table.key, keep="last", maintain_order=True)
    incomplete = [] if last.height == rows.height else [name for name in last.columns if last[name].null_count()]
    for name in incomplete:
        earlier = rows.filter(pl.col(name).is_not_null()).unique(subset=table.key, keep="last")
        earlier = earlier.select(*table.key, pl.col(name).alias("_earlier"))
        last = last.join(earlier, on=table.key, how="left", maintain_order="left")
        last = last.with_columns(pl.coalesce(name, "_earlier").alias(name)).drop("_earlier")
    return last


def conflicting_archives(
    warehouse: Warehouse, exchange_name: str, table: Table, problems: list[Problem]
) -> set[tuple[str, Instrument]]:
    """Archives and instruments whose rows differ from those of the venue's API where both have them.

    Which of the two is wrong for the rest nobody can say, so the archive's rows are not used at all.
    """
    compared = [a for (name, _), a in exchange(exchange_name).archives.items() if name == table.name and a.compared]
    endpoints = {archive.endpoint for archive in compared}
    found = set()
    for instrument, archived, paid in _both(warehouse, exchange_name, table, endpoints):
        both = archived.join(paid, on=table.key, suffix="_paid")
        off = (both["funding_rate"] - both["funding_rate_paid"]).abs() > SAME_RATE
        if off.any():
            text = (
                f"the archive's rate differs from the paid one in {off.sum()} of {both.height} settlements that both "
                "have: only what the API has is used"
            )
            problems.append(Problem(exchange_name, table.name, instrument.symbol, None, text))
            found |= {(endpoint, instrument) for endpoint in endpoints}
    return found


def _both(
    warehouse: Warehouse, exchange_name: str, table: Table, archives: set[str]
) -> Iterator[tuple[Instrument, pl.DataFrame, pl.DataFrame]]:
    """Instruments that archives and the API have rows of, with these, the latest of each key."""
    import polars as pl

    if not archives:
        return
    parts: dict[tuple[bool, Instrument], list[tuple[tuple[bool, int], pl.DataFrame]]] = defaultdict(list)
    for row, context, rows in responses(warehouse, exchange_name, table, None, []):
        if rows is not None:
            part = (request_order(row), pl.from_arrow(rows))
            parts[row["endpoint"] in archives, context.instrument].append(part)
    for numbered in parts.values():
        numbered.sort(key=lambda part: part[0])
    for of_archive, instrument in parts:
        if of_archive and (False, instrument) in parts:
            one, other = (pl.concat(rows for _, rows in parts[which, instrument]) for which in (True, False))
            yield instrument, *(rows.unique(table.key, keep="last", maintain_order=True) for rows in (one, other))


def _with_intervals(rows: pl.DataFrame) -> pl.DataFrame:
    """Fill the interval where the venue does not say it, from the distance of settlements.

    It is stored, so that a later cut of the table does not change a row's interval.
    """
    from cexkit.analytics.funding.rates import funding_interval

    columns = rows.columns
    return funding_interval(rows).select(columns)


def _write(
    warehouse: Warehouse,
    exchange_name: str,
    table: Table,
    periods: Sequence[str],
    rows: pl.DataFrame | None,
    problems: list[Problem],
) -> Report:
    if rows is None:
        return Report(problems=tuple(problems))
    good, quarantined = split(rows, table)
    for period in periods:
        failed = within(quarantined.to_arrow(), table, layout.period_window(table, period))
        warehouse.write_quarantine(table, exchange_name, period, failed)
    files = warehouse.replace(table, exchange_name, periods, good.to_arrow())
    return Report(
        rows=good.height,
        quarantined=quarantined.height,
        files=tuple(file.path for file in files),
        problems=tuple(problems),
    )


def _periods(warehouse: Warehouse, exchange_name: str, table: Table) -> list[str]:
    spans = [
        span
        for endpoint in endpoints(exchange_name, table)
        for span in bronze_spans(warehouse.root, exchange_name, endpoint, table.name).values()
    ]
    if not spans:
        return []
    return layout.periods(table, Window(min(s.start for s in spans), max(s.end for s in spans)))
