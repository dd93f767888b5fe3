"""Repeated requests: which missing spans a run requests again, and what it reports of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from cexkit.exchanges.registry import exchange
from cexkit.schema import Table
from cexkit.schema.intervals import Window
from cexkit.schema.symbols import Instrument
from cexkit.warehouse.ingest.completeness import CompletenessRule, common
from cexkit.warehouse.ingest.listing_periods import ListingPeriods, listing_periods
from cexkit.warehouse.ingest.report import Problem
from cexkit.warehouse.store.inventory import Inventory, key_of, read_inventories
from cexkit.warehouse.store.inventory_entries import ATTEMPTS, Entry, Key
from cexkit.warehouse.store.warehouse import Warehouse
from cexkit.warehouse.store.wording import first_names

if TYPE_CHECKING:
    from cexkit.exchanges.base import Source

#: Most pages of missing spans that one run requests again, per table and venue. The others wait for the next run.
MAX_REPEATS = 200


def choose_repeats(
    inventory: Inventory, table: Table, windows: Mapping[Instrument, Window], now: datetime
) -> dict[Instrument, list[Window]]:
    """Return the missing spans to request again, by instrument: those that have waited longest first.

    Spans that fit in one page are one request, and all of them at most :data:`MAX_REPEATS` pages. Spans that were
    requested later than now, because a clock jumped back, wait from now on.

    Parameters
    ----------
    inventory : Inventory
        Holds the missing spans and when they were requested.
    table : Table
        The declaration.
    windows : mapping of Instrument to Window
        The spans that the run requests.
    now : datetime
        Current time.
    """
    groups = []
    for instrument, window in windows.items():
        inventory.postpone(instrument, now)
        due = [entry for entry in inventory.missing(instrument, window) if entry.due_at <= now]
        source = exchange(instrument.exchange).source(table.name, instrument.instrument_type)
        for group, since in _grouped(due, _page_length(source, table)):
            groups.append((since, group, key_of(instrument), instrument, source))
    chosen: dict[Instrument, list[Window]] = {}
    limit = MAX_REPEATS
    for _, group, _, instrument, source in sorted(groups, key=lambda found: found[:3]):
        pages = fewest_pages(source, table, group)
        if pages > limit:
            group = Window(group.start, min(group.end, group.start + limit * _page_length(source, table)))
        limit -= min(pages, limit)
        if not group.empty:
            chosen.setdefault(instrument, []).append(group)
    return chosen


def fewest_pages(source: Source, table: Table, span: Window) -> int:
    """Return the fewest pages that hold a span's rows; 1 if its rows cannot be counted beforehand."""
    limit = getattr(source.paginator, "limit", 0)
    if not limit or table.bar is None:
        return 1
    rows = -(-(span.end - span.start) // table.bar)
    return max(1, -(-rows // limit))


def missing_problems(
    inventory: Inventory,
    table: Table,
    windows: Mapping[Instrument, Window],
    listed: Mapping[Key, ListingPeriods],
    earliest: Mapping[str, datetime | None],
) -> list[Problem]:
    """Return one problem per instrument with missing rows in its window, or with rows given up in this run.

    Parameters
    ----------
    inventory, table, windows
        See :func:`choose_repeats`.
    listed : mapping of type and symbol to ListingPeriods
        Rows that are not due for certain are not reported.
    earliest : mapping of instrument type to datetime or None
        Oldest time that the venue retains. Older rows are reported separately.
    """
    found = []
    for instrument, window in windows.items():
        certain = listed.get(key_of(instrument), ListingPeriods()).certain(inventory.extent(instrument))
        retained = earliest[instrument.instrument_type] or window.start
        requested = Window(min(max(window.start, retained), window.end), window.end)
        spans = [common(requested, part) for part in certain]
        source = exchange(instrument.exchange).source(table.name, instrument.instrument_type)
        rule = CompletenessRule.of(table, source)
        pending = rule.whole(_parts((entry.window for entry in inventory.missing(instrument)), spans))
        given_up = rule.whole(_parts(inventory.given_up(instrument), spans))
        texts = []
        if pending:
            texts.append(
                f"the venue returned no data for {rule.describe(pending)} that should exist; later runs request them "
                f"again ({_listed(pending)})"
            )
        if given_up:
            texts.append(
                f"the venue returned no data for {rule.describe(given_up)} in {ATTEMPTS} requests; they are not "
                f"requested again ({_listed(given_up)}; `cexkit bronze unavailable` lists them)"
            )
        if texts:
            parts = [*pending, *given_up]
            whole = Window(min(part.start for part in parts), max(part.end for part in parts))
            text = f"{instrument.instrument_type}: {'; '.join(texts)}"
            found.append(Problem(instrument.exchange, table.name, instrument.symbol, whole, text))
    return found


def _listed(spans: Sequence[Window]) -> str:
    return first_names([str(span) for span in spans])


def missing_days(warehouse: Warehouse, now: datetime) -> dict[date, list[tuple[str, str]]]:
    """Return the UTC days on which rows are missing that may be requested again now, oldest first.

    Parameters
    ----------
    warehouse : Warehouse
        Holds the inventories.
    now : datetime
        Current time.

    Returns
    -------
    dict of date to list of (str, str)
        Venue and table of each inventory with such rows, by day. Rows that are not due for certain do not count.
    """
    found: dict[date, set[tuple[str, str]]] = {}
    for exchange_name, table, inventory in read_inventories(warehouse.root):
        listed = listing_periods(warehouse, exchange_name)
        for key, entry in inventory:
            if entry.due_at is None or entry.due_at > now:
                continue
            certain = listed.get(key, ListingPeriods()).certain(inventory.extent(key))
            for span in _parts([entry.window], certain):
                for day in span.split(timedelta(days=1)):
                    for moment in (day.start, day.end - timedelta(microseconds=1)):
                        found.setdefault(moment.date(), set()).add((exchange_name, table))
    return {day: sorted(found[day]) for day in sorted(found)}


def _grouped(entries: Iterable[Entry], length: timedelta) -> list[tuple[Window, datetime]]:
    """Return the spans of entries, those that fit in one page made one, and the earliest request of each."""
    found: list[tuple[Window, datetime]] = []
    for entry in entries:
        span, since = entry.window, entry.last_requested_at
        if found and span.end - found[-1][0].start <= length:
            found[-1] = Window(found[-1][0].start, span.end), min(since, found[-1][1])
        else:
            found.append((span, since))
    return found


def _page_length(source: Source, table: Table) -> timedelta:
    return source.page_length(table.bar)


def _parts(spans: Iterable[Window], windows: Sequence[Window]) -> Sequence[Window]:
    parts = (common(span, window) for span in spans for window in windows)
    return [part for part in parts if not part.empty]
