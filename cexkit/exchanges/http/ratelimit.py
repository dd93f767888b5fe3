"""Request budgets: what a server counts in any span of time never exceeds the limit, whatever the network's delays."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from cexkit.errors import InvalidInputError, RateLimitedError
from cexkit.exchanges.http.workers import require_wanted, sleep

#: Share of a limit that may be sent at once; the rest is sent evenly.
BURST = 0.1
#: Every request travels at least this share of the shortest response time, less how much the mean exceeds it, once as
#: many responses were measured: where response times vary, the shortest says little about the next. The rest may be
#: time that threads waited for a processor, which one request spends before it is sent and the next one afterwards.
TRAVEL_SHARE, MEASURED_RESPONSES = 0.5, 20
#: Margin for clocks, in seconds.
CLOCK_MARGIN_SECONDS = 0.005
#: Longest wait for a response that would free part of a budget before the budget is looked at again, in seconds.
RECHECK_SECONDS = 1.0


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
    """What a server reports about a budget: weight used in its present window, and seconds until the window ends."""

    budget: str
    used: float
    resets_in_seconds: float


class _Window:
    """State of one budget; every access holds the limiter's lock.

    A server counts a request when it arrives, at an unknown time between sending and the response. So a request is
    charged from its sending until ``per_seconds`` after its response, less the time that every request travels at
    least: the request that takes its place arrives that much after it is sent.
    """

    def __init__(self, budget: Budget, now: float):
        self.limit, self.per_seconds = budget.limit, budget.per_seconds
        self.in_flight = self.charged = 0.0
        #: When each request that is still charged was answered, and its weight, in order.
        self.answered: deque[tuple[float, float]] = deque()
        #: When the next request is due if requests are sent evenly.
        self.due = now
        self.paused_until = self.banned_until = now
        #: What the server still allows in its present window, and when that ends.
        self.server_allows, self.server_resets_at = float("inf"), now
        self.shortest_response, self.mean_response, self.responses = float("inf"), 0.0, 0

    def wait(self, weight: float, now: float) -> float | None:
        """Return the seconds until ``weight`` may be sent, 0 if now; None if that depends on a response."""
        self._expire(now)
        pause = max(self.paused_until, self.due - BURST * self.per_seconds) - now
        if weight > self.server_allows:
            pause = max(pause, self.server_resets_at - now)
        excess = self.charged + self.in_flight + min(weight, self.limit) - self.limit
        if excess > 1e-9 * self.limit:
            freed = self._freed_at(excess)
            return None if freed is None else max(pause, freed - now)
        return pause if pause > 1e-9 else 0.0  # a shorter sleep may not move a clock

    def send(self, weight: float, now: float) -> None:
        self.in_flight += weight
        self.server_allows -= weight
        self.due = max(self.due, now) + weight * self.per_seconds / self.limit

    def receive(self, weight: float, sent: float, now: float, *, has_response: bool) -> None:
        if has_response:
            self.responses += 1
            self.shortest_response = min(self.shortest_response, now - sent)
            self.mean_response += (now - sent - self.mean_response) / self.responses
        self.in_flight -= weight
        self.charged += weight
        self.answered.append((now, weight))

    def used(self, now: float) -> float:
        self._expire(now)
        return min(1.0, (self.charged + self.in_flight) / self.limit)

    @property
    def _charged_seconds(self) -> float:
        """How long a request stays charged after its response."""
        travel = 0.0
        if self.responses >= MEASURED_RESPONSES:
            travel = TRAVEL_SHARE * max(0.0, 2 * self.shortest_response - self.mean_response)
        return self.per_seconds + CLOCK_MARGIN_SECONDS - travel

    def learn(self, usage: Usage, now: float) -> None:
        # what is in flight may or may not be counted already
        self.server_allows = self.limit - usage.used - self.in_flight
        self.server_resets_at = now + usage.resets_in_seconds

    def _expire(self, now: float) -> None:
        while self.answered and self.answered[0][0] + self._charged_seconds <= now:
            self.charged -= self.answered.popleft()[1]
        if not self.answered:
            self.charged = 0.0  # sums of floats drift
        if now >= self.server_resets_at:
            self.server_allows = float("inf")

    def _freed_at(self, weight: float) -> float | None:
        """Return the time at which answered requests free a weight; None if they do not hold as much."""
        for received, freed in self.answered:
            weight -= freed
            if weight <= 1e-9 * self.limit:
                return received + self._charged_seconds
        return None


class RateLimiter:
    """Keeps requests within named budgets. Thread-safe.

    The server counts at most the limit in any span as long as the budget's, however long requests travel. Requests are
    spread evenly over the span; a tenth of the limit may be sent at once. Only this process's requests are
    counted. Those of other processes behind the same address count as far as the server reports them, see
    :meth:`learn`.

    Parameters
    ----------
    budgets : iterable of Budget
        Known from the start; more by :meth:`declare`.
    clock, sleep : callable
        Monotonic seconds and how to wait; replaced in tests.

    Examples
    --------
    >>> waits = []
    >>> budget = Budget("weight", limit=10, per_seconds=10)
    >>> limiter = RateLimiter([budget], clock=lambda: sum(waits), sleep=waits.append)
    >>> for _ in range(4):
    ...     with limiter.charge({"weight": 1}):
    ...         pass
    >>> [round(wait, 6) for wait in waits]
    [1.0, 1.0]
    """

    def __init__(
        self,
        budgets: Iterable[Budget] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = sleep,
    ):
        self._clock, self._sleep = clock, sleep
        self._changed = threading.Condition()
        self._windows: dict[str, _Window] = {}
        #: One thread at a time waits for a budget; the others wait for this thread.
        self._turns: dict[str, threading.Lock] = {}
        for budget in budgets:
            self.declare(budget)

    def declare(self, budget: Budget) -> None:
        """Make a budget known, or change the limit of a known one; what was spent stays spent."""
        if budget.limit <= 0 or budget.per_seconds <= 0:
            raise InvalidInputError(f"limit and per_seconds of a budget must be above zero, got {budget}")
        with self._changed:
            window = self._windows.get(budget.name)
            if window is None:
                self._windows[budget.name] = _Window(budget, self._clock())
                self._turns[budget.name] = threading.Lock()
            else:
                window.limit, window.per_seconds = budget.limit, budget.per_seconds

    @contextmanager
    def charge(self, cost: Mapping[str, float]) -> Iterator[None]:
        """Wait until every budget in ``cost`` has its weight, and spend it on the request sent in this context.

        An exception means that no response came, so that the time of arrival is unknown.

        Raises
        ------
        RateLimitedError
            If the server has banned us and the ban is not over: nothing is sent then.
        """
        with ExitStack() as stack:
            # the slowest budget first, so that no request holds weight of a fast one while it waits
            for name, weight in sorted(cost.items(), key=lambda item: self._rate(item[0])):
                sent = self._spend(name, weight)
                stack.push(lambda kind, *_, name=name, weight=weight, sent=sent: self._end(name, weight, sent, kind))
            yield

    def used(self, prefix: str) -> float:
        """Return the share that is spent of the budget that is spent most, of those whose names begin with a prefix."""
        with self._changed:
            now, windows = self._clock(), self._windows.items()
            return max((window.used(now) for name, window in windows if name.startswith(prefix)), default=0.0)

    def _rate(self, name: str) -> float:
        window = self._windows[name]
        return window.limit / window.per_seconds

    def _spend(self, name: str, weight: float) -> float:
        """Wait for a budget's weight and spend it; return when."""
        with self._turns[name]:
            while True:
                require_wanted()
                with self._changed:
                    window, now = self._windows[name], self._clock()
                    self._require_no_ban(name, window, now)
                    pause = window.wait(weight, now)
                    if pause == 0:
                        window.send(weight, now)
                        return now
                    if pause is None:
                        self._changed.wait(RECHECK_SECONDS)
                        continue
                self._sleep(pause)

    def _require_no_ban(self, name: str, window: _Window, now: float) -> None:
        if window.banned_until > now:
            left = window.banned_until - now
            message = f"{name}: banned by the server for {left:.0f} s more; nothing was sent"
            raise RateLimitedError(message, status=418, retry_after=left)

    def _end(self, name: str, weight: float, sent: float, error: type | None) -> None:
        with self._changed:
            self._windows[name].receive(weight, sent, self._clock(), has_response=error is None)
            self._changed.notify_all()

    def learn(self, usage: Usage) -> None:
        """Take over what the server counts: others behind the same address spend from it too."""
        with self._changed:
            self._windows[usage.budget].learn(usage, self._clock())

    def pause(self, names: Iterable[str], seconds: float) -> None:
        """Send nothing on these budgets for a while (the server said so)."""
        with self._changed:
            until = self._clock() + seconds
            for name in names:
                self._windows[name].paused_until = max(self._windows[name].paused_until, until)

    def ban(self, names: Iterable[str], seconds: float) -> None:
        """Refuse everything on these budgets for a while."""
        with self._changed:
            until = self._clock() + seconds
            for name in names:
                self._windows[name].banned_until = max(self._windows[name].banned_until, until)
