"""Request budgets: token buckets that never let more through than a limit allows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from cexkit.errors import InvalidInputError, RateLimitedError

#: Part of the limit that may be spent at once. The rest flows in evenly, so that burst and refill
#: together never exceed the limit within any span as long as the limit's own.
BURST = 0.1

#: From this part of the limit on, as the server counts it, nothing is sent until its window ends.
FULL = 0.95


@dataclass(frozen=True, slots=True)
class Budget:
    """At most ``limit`` weight in any ``per_seconds`` seconds.

    Examples
    --------
    >>> Budget("weight", limit=2400, per_seconds=60)
    Budget(name='weight', limit=2400, per_seconds=60)
    """

    name: str
    limit: float
    per_seconds: float


@dataclass(frozen=True, slots=True)
class Usage:
    """What a server says of a budget: weight used in its running window, seconds until that ends."""

    budget: str
    used: float
    resets_in_seconds: float


class _Bucket:
    """State of one budget; every access holds the limiter's lock."""

    def __init__(self, budget: Budget, now: float):
        self.limit, self.per_seconds = budget.limit, budget.per_seconds
        self.tokens, self.filled_at = self.burst, now
        self.paused_until = self.banned_until = now
        #: When a waiting request may go out; None while none waits.
        self.due: float | None = None

    @property
    def burst(self) -> float:
        return self.limit * BURST

    @property
    def rate(self) -> float:
        return self.limit * (1 - BURST) / self.per_seconds

    def refill(self, now: float) -> None:
        # never back: a request that is counted at the time it was due may be before another one
        if now > self.filled_at:
            self.tokens = min(self.burst, self.tokens + (now - self.filled_at) * self.rate)
            self.filled_at = now

    def wait(self, weight: float, now: float) -> float:
        """Seconds until ``weight`` may be spent; it is spent where that is 0."""
        # Sleeps last too long. Were each counted when it ends, small budgets would lose a tenth of their rate; it is
        # counted when it was due, or, where it ends later than that by more than the request takes to refill, then.
        if self.due is not None:
            self.refill(min(now, max(self.due, now - weight / self.rate)))
        else:
            self.refill(now)
        # a request heavier than the bucket goes out on a full one and leaves a debt behind
        short = min(weight, self.burst) - self.tokens
        # a token missing by rounding alone would ask for sleeps too short to move a clock
        pause = max(self.paused_until - now, short / self.rate if short > 1e-9 * self.limit else 0.0)
        if pause <= 0:
            self.tokens -= weight
            self.due = None
            return 0.0
        self.due = now + pause
        return pause


class RateLimiter:
    """Keeps requests within named budgets. Thread-safe.

    What is sent within any span as long as a budget's own never exceeds its limit, given that no single
    request weighs more than a tenth of it, and that sleeps end on time; a sleep that ends late can put one request
    more into a span.

    Parameters
    ----------
    budgets : iterable of Budget
        Known from the start; more by :meth:`declare`.
    clock, sleep : callable
        Monotonic seconds and how to wait; replaced in tests.

    Examples
    --------
    >>> waits = []
    >>> limiter = RateLimiter([Budget("weight", limit=10, per_seconds=9)], clock=lambda: sum(waits), sleep=waits.append)
    >>> for _ in range(3):
    ...     limiter.acquire({"weight": 1})
    >>> [round(wait, 6) for wait in waits]
    [1.0, 1.0]
    """

    def __init__(
        self,
        budgets: Iterable[Budget] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._buckets: dict[str, _Bucket] = {}
        for budget in budgets:
            self.declare(budget)

    def declare(self, budget: Budget) -> None:
        """Make a budget known, or change the limit of a known one; what was spent stays spent."""
        if budget.limit <= 0 or budget.per_seconds <= 0:
            raise InvalidInputError(f"a budget needs a limit and a span above zero: {budget}")
        with self._lock:
            bucket = self._buckets.get(budget.name)
            if bucket is None:
                self._buckets[budget.name] = _Bucket(budget, self._clock())
                return
            bucket.refill(self._clock())
            bucket.limit, bucket.per_seconds = budget.limit, budget.per_seconds
            bucket.tokens = min(bucket.tokens, bucket.burst)

    def acquire(self, cost: Mapping[str, float]) -> None:
        """Wait until every budget in ``cost`` has its weight, and spend it.

        Raises
        ------
        RateLimitedError
            If the server has banned us and the ban is not over: nothing is sent then.
        """
        for name, weight in cost.items():
            while pause := self._wait(name, weight):
                self._sleep(pause)

    def _wait(self, name: str, weight: float) -> float:
        with self._lock:
            bucket, now = self._buckets[name], self._clock()
            if bucket.banned_until > now:
                left = bucket.banned_until - now
                message = f"{name}: banned by the server for {left:.0f} s more; nothing was sent"
                raise RateLimitedError(message, status=418, retry_after=left)
            return bucket.wait(weight, now)

    def learn(self, usage: Usage) -> None:
        """Take over what the server counts: others behind the same address spend from it too."""
        with self._lock:
            bucket, now = self._buckets[usage.budget], self._clock()
            bucket.refill(now)
            bucket.tokens = min(bucket.tokens, max(0.0, bucket.limit - usage.used))
            if usage.used >= FULL * bucket.limit:
                bucket.paused_until = max(bucket.paused_until, now + usage.resets_in_seconds)

    def pause(self, names: Iterable[str], seconds: float) -> None:
        """Send nothing on these budgets for a while (the server said so)."""
        with self._lock:
            until = self._clock() + seconds
            for name in names:
                self._buckets[name].paused_until = max(self._buckets[name].paused_until, until)

    def ban(self, names: Iterable[str], seconds: float) -> None:
        """Refuse everything on these budgets for a while."""
        with self._lock:
            until = self._clock() + seconds
            for name in names:
                self._buckets[name].banned_until = max(self._buckets[name].banned_until, until)
