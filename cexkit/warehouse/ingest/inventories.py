"""Inventories as ingestion opens them: with the spans that earlier versions kept in Bronze."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cexkit.errors import NotOfferedError, NotReadYetError
from cexkit.exchanges.registry import exchange
from cexkit.schema import Table
from cexkit.schema.intervals import EPOCH, Window, merged
from cexkit.warehouse.ingest.completeness import CompletenessRule, common, due_missing
from cexkit.warehouse.ingest.listing_periods import ListingPeriods
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.bronze import read_bronze
from cexkit.warehouse.store.data_files import require_intact
from cexkit.warehouse.store.inventory import Inventory
from cexkit.warehouse.store.inventory_entries import Key, subtract
from cexkit.warehouse.store.parquet import scan
from cexkit.warehouse.store.warehouse import Warehouse

if TYPE_CHECKING:
    import numpy as np


def open_inventory(
    warehouse: Warehouse, exchange_name: str, table: Table, listed: Mapping[Key, ListingPeriods]
) -> Inventory:
    """Return the inventory of a venue's table.

    Earlier versions kept spans as Bronze responses of the endpoint ``inventory.<table>``, without saying whether the
    venue returned rows. If the inventory has no file yet, it starts with these spans, and due rows that Silver lacks
    are missing.

    Parameters
    ----------
    warehouse : Warehouse
        Holds the inventory.
    exchange_name, table
        Venue and table.
    listed : mapping of type and symbol to ListingPeriods
        Listing periods; outside of them, no row is due.
    """
    inventory = Inventory(warehouse.root, exchange_name, table)
    if not inventory.stored:
        _add_earlier_spans(inventory, warehouse, exchange_name, table, listed)
    return inventory


def _add_earlier_spans(
    inventory: Inventory, warehouse: Warehouse, exchange_name: str, table: Table, listed: Mapping[Key, ListingPeriods]
) -> None:
    spans, at = _earlier_spans(warehouse, exchange_name, table)
    rules = {key: rule for key in spans if (rule := _rule(exchange_name, table, key)) is not None}
    missing: dict[Key, list[Window]] = defaultdict(list)
    for period, times in _stored_times(warehouse, exchange_name, table, spans):
        for key, rule in rules.items():
            found = times[key]
            if found.size:
                inventory.observe(key, Window(*(EPOCH + timedelta(microseconds=int(t)) for t in found[[0, -1]])))
            parts = [common(span, period) for span in spans[key]]
            for part in parts:
                if not part.empty:
                    missing[key] += due_missing(rule, listed.get(key, ListingPeriods()), part, found)
    for key, parts in spans.items():
        for part in parts:
            inventory.record(key, part, [common(hole, part) for hole in missing[key]], at=at[key])


def _earlier_spans(
    warehouse: Warehouse, exchange_name: str, table: Table
) -> tuple[dict[Key, tuple[Window, ...]], dict[Key, datetime]]:
    """Return the spans of each instrument and when the last of them was noted."""
    spans: dict[Key, list[Window]] = defaultdict(list)
    at: dict[Key, datetime] = {}
    for row in read_bronze(warehouse.root, exchange_name, f"inventory.{table.name}", table.name):
        facts = json.loads(row["context"])
        key = Key(facts["instrument_type"], facts["symbol"])
        spans[key].append(Window(row["data_start"], row["data_end"]))
        at[key] = max(row["received_at"], at.get(key, row["received_at"]))
    return {key: merged(parts) for key, parts in spans.items()}, at


def _rule(exchange_name: str, table: Table, key: Key) -> CompletenessRule | None:
    """Return the rule of a source; None if the table is no longer read for the instrument type."""
    try:
        return CompletenessRule.of(table, exchange(exchange_name).source(table.name, key.instrument_type))
    except (NotOfferedError, NotReadYetError):
        return None


def _stored_times(
    warehouse: Warehouse, exchange_name: str, table: Table, spans: Mapping[Key, Sequence[Window]]
) -> Iterator[tuple[Window, Mapping[Key, np.ndarray]]]:
    """Yield consecutive periods and the sorted times of the rows that Silver holds of each instrument in them."""
    import numpy as np
    import polars as pl

    nothing = np.empty(0, dtype="int64")
    if not spans:
        return
    whole = Window(min(parts[0].start for parts in spans.values()), max(parts[-1].end for parts in spans.values()))
    periods = []
    files = warehouse.manifest.select(table.name, exchanges=[exchange_name])
    require_intact(warehouse.root, files)
    for file in files:
        periods.append(layout.period_window(table, file.period))
        columns = ("instrument_type", "symbol", pl.col("timestamp").dt.epoch("us"))
        rows = scan(warehouse.root / file.path).select(columns).collect()
        found = rows.partition_by("instrument_type", "symbol", as_dict=True)
        times = {key: part["timestamp"].sort().to_numpy() for key, part in found.items()}
        yield periods[-1], defaultdict(lambda: nothing, times)
    for period in subtract(whole, periods):
        yield period, defaultdict(lambda: nothing)
