"""A clock for tests that wait, and a local clock that is wrong."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from cexkit.exchanges.fetcher import Fetcher
from cexkit.testing import Loopback


class Clock:
    """Time that passes only when somebody sleeps; ``slept`` is how long, each time."""

    def __init__(self) -> None:
        self.seconds, self.slept, self._lock = 0.0, [], threading.Lock()

    def __call__(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        with self._lock:
            self.seconds += seconds
            self.slept.append(seconds)


@contextmanager
def reading(venue: Loopback, clock: Clock) -> Iterator[Fetcher]:
    """Read a venue that has this clock, long after its last reader; waits for its budgets take no time."""
    clock.sleep(600)
    with Fetcher(venue.settings, clock=clock, sleep=clock.sleep) as fetcher:
        yield fetcher


def shift_local_clock(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    """Shift the time that cexkit reads from this machine; loopback venues keep theirs."""
    set_local_clock(monkeypatch, lambda: datetime.now(UTC) + by)


def set_local_clock(monkeypatch: pytest.MonkeyPatch, now: Callable[[], datetime]) -> None:
    """Replace the time that loaded modules of cexkit read from this machine; loopback venues keep theirs."""

    class AnyDatetime(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, datetime)

    class Replaced(datetime, metaclass=AnyDatetime):
        @classmethod
        def now(cls, tz=None):
            return now().astimezone(tz)

    for name, module in list(sys.modules.items()):
        own = name.startswith(("cexkit.", "cexkit_pipeline.")) and not name.startswith("cexkit.testing")
        if own and vars(module).get("datetime") is datetime:
            monkeypatch.setattr(module, "datetime", Replaced)
