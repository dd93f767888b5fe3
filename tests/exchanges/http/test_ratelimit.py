"""Budgets: never more than the limit in any span, and what servers say counts."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cexkit.errors import InvalidInputError, RateLimitedError
from cexkit.exchanges.http import Budget, RateLimiter, Usage


class Clock:
    def __init__(self):
        self.seconds, self._lock = 0.0, threading.Lock()

    def __call__(self):
        return self.seconds

    def sleep(self, seconds):
        assert seconds > 0
        with self._lock:
            self.seconds += seconds


def limiter(limit, per_seconds, name="weight"):
    clock = Clock()
    return RateLimiter([Budget(name, limit, per_seconds)], clock=clock, sleep=clock.sleep), clock


@given(
    st.integers(20, 5000),
    st.sampled_from([1, 60, 300]),
    st.lists(st.tuples(st.floats(0.001, 1), st.sampled_from([0, 0, 0, 0.1, 2])), min_size=1, max_size=200),
)
def test_no_span_ever_holds_more_than_the_limit(limit, per_seconds, requests):
    budgets, clock = limiter(limit, per_seconds)
    sent = []
    for share, idle in requests:
        clock.seconds += idle * per_seconds
        weight = share * limit / 10
        budgets.acquire({"weight": weight})
        sent.append((clock.seconds, weight))
    for since, _ in sent:
        total = sum(weight for at, weight in sent if since <= at <= since + per_seconds)
        assert total <= limit * (1 + 1e-6)


def test_idleness_saves_up_a_tenth_and_no_more():
    budgets, clock = limiter(100, 60)
    clock.seconds = 3600
    for _ in range(11):
        budgets.acquire({"weight": 1})
    assert clock.seconds == pytest.approx(3600 + 1 / 1.5)


def test_it_is_not_slower_than_it_need_be():
    budgets, clock = limiter(1000, 60)
    for _ in range(10_000):
        budgets.acquire({"weight": 1})
    # 100 at once, the rest at 900 a minute
    assert clock.seconds == pytest.approx(9_900 / 15)


@pytest.mark.parametrize(("limit", "per_seconds"), [(10, 2), (20, 2), (100, 10), (500, 300)])
def test_sleeps_that_last_too_long_cost_no_rate(limit, per_seconds):
    budgets, clock = limiter(limit, per_seconds)
    budgets._sleep = lambda seconds: clock.sleep(seconds + 0.02)
    sent = []
    for _ in range(4 * limit):
        budgets.acquire({"weight": 1})
        sent.append(clock.seconds)
    assert len(sent) / (limit * sent[-1] / per_seconds) >= 0.9
    for since in sent:
        assert sum(since <= at < since + per_seconds for at in sent) <= limit + 1


def test_a_sleep_that_lasts_for_ages_is_no_credit():
    budgets, clock = limiter(10, 2)
    budgets.acquire({"weight": 1})
    budgets._sleep = lambda seconds: clock.sleep(3600)
    budgets.acquire({"weight": 1})
    budgets._sleep, began = clock.sleep, clock.seconds
    for _ in range(3):
        budgets.acquire({"weight": 1})
    assert clock.seconds - began >= 2 / 4.5 - 1e-9


def test_threads_share_one_budget():
    budgets, clock = limiter(100, 10)
    threads = [threading.Thread(target=lambda: [budgets.acquire({"weight": 1}) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # threads that wait at the same time move the common clock on together, so it is this much or later
    assert clock.seconds >= (200 - 10) / 9 - 1e-6


def test_every_budget_in_the_cost_counts():
    clock = Clock()
    budgets = RateLimiter([Budget("a", 100, 60), Budget("b", 10, 60)], clock=clock, sleep=clock.sleep)
    budgets.acquire({"a": 1, "b": 1})
    assert clock.seconds == 0
    budgets.acquire({"a": 1, "b": 1})
    assert clock.seconds == pytest.approx(1 / (9 / 60))


def test_a_full_server_is_left_alone_until_its_window_ends():
    budgets, clock = limiter(100, 60)
    budgets.learn(Usage("weight", used=94, resets_in_seconds=30))
    budgets.acquire({"weight": 1})
    assert clock.seconds == 0
    budgets.learn(Usage("weight", used=95, resets_in_seconds=30))
    budgets.acquire({"weight": 1})
    assert clock.seconds == 30


def test_what_others_used_is_taken_off():
    budgets, clock = limiter(100, 60)
    budgets.learn(Usage("weight", used=94, resets_in_seconds=30))
    for _ in range(6):
        budgets.acquire({"weight": 1})
    assert clock.seconds == 0
    budgets.acquire({"weight": 1})
    assert clock.seconds > 0


def test_pause_and_ban():
    budgets, clock = limiter(100, 60)
    budgets.pause(["weight"], 7)
    budgets.pause(["weight"], 3)
    budgets.acquire({"weight": 1})
    assert clock.seconds == 7
    budgets.ban(["weight"], 120)
    with pytest.raises(RateLimitedError, match="120 s more; nothing was sent") as caught:
        budgets.acquire({"weight": 1})
    assert (caught.value.status, caught.value.retry_after) == (418, 120)
    clock.seconds += 120
    budgets.acquire({"weight": 1})


def test_a_new_limit_does_not_refill():
    budgets, clock = limiter(100, 60)
    budgets.acquire({"weight": 10})
    budgets.declare(Budget("weight", 1000, 60))
    budgets.acquire({"weight": 1})
    assert clock.seconds == pytest.approx(1 / 15)


@pytest.mark.parametrize("budget", [Budget("x", 0, 60), Budget("x", 10, 0), Budget("x", -1, 60)])
def test_nonsense_budgets(budget):
    with pytest.raises(InvalidInputError, match="above zero"):
        RateLimiter([budget])
