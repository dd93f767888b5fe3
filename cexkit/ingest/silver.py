"""Bronze → Silver: one schema, validated, deduplicated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import fields
from datetime import timedelta
from typing import TYPE_CHECKING

from cexkit.exchanges import exchange
from cexkit.exchanges.streams import STREAMS, liquidations_of
from cexkit.ingest.answers import answers
from cexkit.ingest.listings import listings
from cexkit.ingest.report import Problem, Report
from cexkit.intervals import Window
from cexkit.schema import TABLES, Table
from cexkit.schema.render import empty
from cexkit.schema.validate import split
from cexkit.store import layout
from cexkit.store.bronze import bronze_window, read_bronze
from cexkit.store.warehouse import Warehouse
from cexkit.symbols import Instrument

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

#: Rates closer than this are the same, written with fewer digits.
SAME_RATE = 1e-8
#: How far around a file period settlements are looked at to tell intervals from gaps.
NEIGHBOURS = timedelta(days=2)


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
        rows, problems = listings(warehouse, exchange_name, table)
        return _write(warehouse, exchange_name, table, "all", rows, problems)
    report = Report()
    for period in _periods(warehouse, exchange_name, table) if periods is None else periods:
        span = layout.period_window(table, period)
        rows, problems = _facts(warehouse, exchange_name, table, span)
        report += _write(warehouse, exchange_name, table, period, rows, problems)
    return report


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
        for row, context, rows in answers(warehouse, exchange_name, table, around, problems)
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
    for row, context, rows in answers(warehouse, exchange_name, table, None, []):
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
