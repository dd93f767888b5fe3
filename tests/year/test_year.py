"""A year in fast forward: four venues, a nightly job, and everything that happens to them, while nobody intervenes.

In the end, the publication equals the truth key by key and value by value. Each night, the reports name exactly what
the events of the calendar explain. By default, eight days around the end of a year run with plain functions; the long
form has 365 days under Dagster::

    python -m pytest tests/year --long
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

import polars as pl
import pytest

import cexkit

from ..clock import set_local_clock
from .disk import Disk, upgrade
from .events import DAY, LONG, SHORT, Calendar
from .night import Night, Operator
from .reports import FORGETFUL, allowed, required, topics
from .truth import difference, expected
from .world import World

SEED = 20250841


@pytest.mark.soak
def test_year_without_an_operator_ends_with_the_truth(tmp_path, monkeypatch, request):
    is_long = request.config.getoption("--long")
    calendar, seed = LONG if is_long else SHORT, SEED
    random.seed(seed)
    world = World(calendar, seed)
    with world:
        operator = _operator(world, tmp_path, monkeypatch, is_long=is_long)
        wrong = _live(operator, calendar, monkeypatch)
        differences = _differences(operator)
    text = "\n".join([*wrong, *differences])
    assert not text, f"seed {seed}, {calendar.window}:\n{text}"


def _operator(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch, *, is_long: bool) -> Operator:
    make: Callable[..., Operator] = Operator
    if is_long:
        pytest.importorskip("dagster", reason="needs the extra `pipeline`")
        from .daemon import Daemon

        make = partial(Daemon, monkeypatch=monkeypatch)
    set_local_clock(monkeypatch, lambda: world.now)  # last, because it holds for loaded modules
    return make(world, folder / "warehouse", str(folder / "published"))


def _live(operator: Operator, calendar: Calendar, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run all nights; return what was reported without a reason, or not reported."""
    disk, wrong = Disk(operator.warehouse, calendar), []
    for night in calendar.nights:
        disk.apply(night)
        if any(event.window.start <= night < event.window.start + DAY for event in calendar.of("new schema")):
            upgrade(monkeypatch)
            operator.restart()
        wrong += _surprises(operator, night, operator.run(night))
    return wrong


def _surprises(operator: Operator, night: datetime, told: Night) -> list[str]:
    """Return how the reports of a night differ from what the calendar explains."""
    calendar = operator.world.calendar
    found, must = topics(told.problems), required(calendar, night)
    explained = must | allowed(calendar, night) | operator.false_alarms
    lines = [f"{night:%Y-%m-%d}: not reported: {' '.join(topic)}" for topic in sorted(must - found)]
    lines += [f"{night:%Y-%m-%d}: reported: {text}" for text in told.problems if not topics([text]) <= explained]
    lost = [event for event in calendar.of("lost file") if event.window.start <= night < event.window.end]
    if bool(lost) != bool(told.held) or not all(f"{event.table} (" in told.held for event in lost):
        lines.append(f"{night:%Y-%m-%d}: held back: {told.held or 'nothing'}")
    blocking = {(row["exchange"], row["table_name"]) for row in told.failed.iter_rows(named=True) if row["blocking"]}
    if blocking != {(event.exchange, event.table) for event in lost}:
        lines.append(f"{night:%Y-%m-%d}: blocking checks fail: {sorted(blocking)}")
    return lines if night < calendar.nights[-1] else [*lines, *_unresolved(calendar, told)]


def _unresolved(calendar: Calendar, told: Night) -> list[str]:
    """Return the checks that still fail after the last night, other than for rows that nobody could read."""
    lost = {event.exchange for event in calendar.of("delisting")} & set(FORGETFUL)
    failed = told.failed.filter(~((pl.col("check_name") == "gaps") & pl.col("exchange").is_in(list(lost))))
    return [f"{row['check_name']} of {row['exchange']} {row['table_name']} fails" for row in failed.to_dicts()]


def _differences(operator: Operator) -> list[str]:
    """Return how the publication differs from the truth."""
    market = cexkit.connect(operator.to)
    wanted = {name: rows for name, rows in expected(operator).items() if name not in operator.unread}
    found = (difference(name, market.table(name).to_polars(), rows) for name, rows in wanted.items())
    return [text for text in found if text]
