"""A clock for tests that wait."""

from __future__ import annotations

import threading


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
