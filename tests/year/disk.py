"""What happens to the warehouse itself: a Bronze file that is away for some days, and a later version of cexkit."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from cexkit.schema import FIELDS, SCHEMA_VERSION, TABLES, Field
from cexkit.schema.intervals import to_ms
from cexkit.warehouse.quality import files as quality_files
from cexkit.warehouse.store import manifest, reader
from cexkit.warehouse.store.warehouse import Warehouse

from .events import Calendar, Event

#: A column that the later version adds to the table of funding.
LATER = Field("later", "float64", "", "A number of a later version.", nullable=True)


class Disk:
    """The disk of a warehouse, from which files are away at times.

    Parameters
    ----------
    warehouse : Warehouse
        What is on it.
    calendar : Calendar
        Says when what is lost.
    """

    def __init__(self, warehouse: Warehouse, calendar: Calendar):
        self._root, self._events = warehouse.root, calendar.of("lost file")
        self._away: dict[Event, Path] = {}

    def apply(self, now: datetime) -> None:
        """Take away the files that are lost now, and bring back those that are not any more."""
        for event in self._events:
            lost = event.window.start <= now < event.window.end
            if lost and event not in self._away:
                self._away[event] = self._oldest(event)
                self._away[event].rename(self._aside(event))
            elif not lost and event in self._away:
                path = self._away.pop(event)
                os.makedirs(path.parent, exist_ok=True)
                self._aside(event).rename(path)

    def _oldest(self, event: Event) -> Path:
        folder = self._root / "bronze" / f"exchange={event.exchange}"
        files = sorted(folder.rglob("*.parquet"), key=lambda path: path.name)
        return next(path for path in files if event.table in pl.read_parquet(path, columns=["table"])["table"])

    def _aside(self, event: Event) -> Path:
        return self._root.parent / f"{event.exchange}-{event.table}-{to_ms(event.window.start)}"


def upgrade(monkeypatch: pytest.MonkeyPatch, version: int = SCHEMA_VERSION + 1) -> None:
    """Run a later version of cexkit from now on: its table of funding has one more column."""
    table = TABLES["funding_rates"]
    monkeypatch.setitem(FIELDS, LATER.name, LATER)
    monkeypatch.setitem(TABLES, table.name, replace(table, columns=(*table.columns, LATER.name)))
    for module in (manifest, reader, quality_files):
        monkeypatch.setattr(module, "SCHEMA_VERSION", version)
