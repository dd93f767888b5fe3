"""What goes wrong at loopback venues, and when, by a calendar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from cexkit.testing import Fault, during, emptied, misdated, rewritten, server_error
from cexkit.testing.loopback import Request, When

from .events import HOUR, Calendar, Event

#: What the path of each venue's list of instruments holds, and the name of its column for the status.
LISTS = {
    "binance": ("exchangeInfo", "status"),
    "bybit": ("instruments-info", "status"),
    "coinbase": ("/products", "status"),
    "okx": ("public/instruments", "state"),
}


def faults_of(calendar: Calendar, exchange: str, now: Callable[[], datetime]) -> Iterator[Fault]:
    """Yield the faults of a venue."""
    for event in calendar.events:
        if event.exchange == exchange and event.kind in _MAKE:
            yield _MAKE[event.kind](event, during(event.window, now))


def _listing(exchange: str, when: When, *, listing: bool = True) -> When:
    """Match requests for the list of instruments, or for other data."""
    part = LISTS[exchange][0]

    def matches(request: Request) -> bool:
        is_list = request.path.endswith(part) or request.path.endswith("get_instruments")
        return is_list == listing and when(request)

    return matches


def _empty(event: Event, when: When) -> Fault:
    return emptied(_listing(event.exchange, when, listing=False))


def _skew(event: Event, when: When) -> Fault:
    return misdated(when, -HOUR if event.window.start.day % 2 else HOUR)


def _payload(event: Event, when: When) -> Fault:
    status = LISTS[event.exchange][1]

    def grown(rows: list[Any]) -> list[Any]:
        found = [row | {"newField": {"a": 1}} if isinstance(row, dict) else [*row, "1"] for row in rows]
        if found and isinstance(found[0], dict) and status in found[0]:
            found.append({name: "XNEW" if value == "BTCUSDT" else value for name, value in found[0].items()})
            found[-1][status] = "auction"
        return found

    return rewritten(when, grown)


def _bad_row(event: Event, when: When) -> Fault:
    newest = -2 if event.exchange == "binance" else 1  # the bar that is running is last, or first

    def spoiled(rows: list[Any]) -> list[Any]:
        if len(rows) > 2 and isinstance(rows[0], list):
            rows[newest] = [*rows[newest][:2], "", *rows[newest][3:]]
        return rows

    return rewritten(_listing(event.exchange, when, listing=False), spoiled)


_MAKE: dict[str, Callable[[Event, When], Fault]] = {
    "outage": lambda event, when: server_error(when),
    "empty": _empty,
    "skew": _skew,
    "payload": _payload,
    "bad row": _bad_row,
}
