"""Instruments and their periods as a warehouse must hold them after some nights, from the events alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from cexkit.schema import TABLES
from cexkit.schema.render import to_polars

from .events import runs
from .reports import FORGETFUL
from .world import World

#: Venues that state when spot pairs were listed.
STATE_SPOT_LISTINGS = ("okx",)


def expected_listings(world: World, nights: Sequence[datetime]) -> dict[str, pl.DataFrame]:
    """Return ``instruments`` and ``instrument_periods``."""
    periods = [row for terms in world.terms.iter_rows(named=True) for row in _periods(world, terms, nights)]
    newest = {(row["exchange"], row["instrument_type"], row["symbol"]): row for row in periods}
    made = {"instrument_periods": periods, "instruments": list(newest.values())}
    return {name: pl.DataFrame(rows, schema=_schema(name)).sort(TABLES[name].key) for name, rows in made.items()}


def _periods(world: World, terms: dict[str, Any], nights: Sequence[datetime]) -> list[dict[str, Any]]:
    """Return the periods of an instrument: a change is valid from the first list that shows it."""
    found: list[dict[str, Any]] = []
    before = world.calendar.window.start
    for at in _read_at(world, terms["exchange"], nights):
        row = _listed(world, terms, at)
        if row is None and found:
            row = found[-1] | {"status": "delisted"}
            row["delisting_time"] = row["delisting_time"] or at
        if row is not None:
            began = row["listing_time"]
            again = bool(found) and began is not None and before < began <= at
            row |= {"valid_from": began if began and (again or not found) else at, "valid_to": None}
            if not found or any(row[name] != found[-1][name] for name in ("status", "listing_time", "delisting_time")):
                if found:
                    found[-1]["valid_to"] = row["valid_from"]
                found.append(row)
            if _listed(world, terms, at) is not None:
                found[-1]["observed_at"] = at
        before = at
    return found


def _listed(world: World, terms: dict[str, Any], at: datetime) -> dict[str, Any] | None:
    """Return what the venue's list shows of an instrument at a time; None if it does not show it."""
    names = {name: terms[name] for name in ("exchange", "instrument_type", "symbol")}
    row = next(world.instruments(at).filter(**names).iter_rows(named=True), None)
    if row is None or (row["status"] == "delisted" and row["exchange"] in FORGETFUL):
        return None
    if row["instrument_type"] == "spot" and row["exchange"] not in STATE_SPOT_LISTINGS:
        row["listing_time"] = None
    return row


def _read_at(world: World, exchange: str, nights: Sequence[datetime]) -> Iterator[datetime]:
    """Yield the times at which the list of a venue was read."""
    outages = [event.window for event in world.calendar.of("outage", exchange=exchange)]
    for night in nights:
        for moment in runs(exchange, night):
            if not any(window.start <= moment < window.end for window in outages):
                yield moment


def _schema(name: str) -> dict[str, pl.DataType]:
    return dict(to_polars(TABLES[name]))
