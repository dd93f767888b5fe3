"""Workers: everything arrives once, failures cost only themselves, and an interruption ends within a moment."""

from __future__ import annotations

import threading
import time

import pytest

from cexkit.exchanges.http.workers import Delivery, at_once, sleep, taking_turns, waiting


class Numbers:
    def __init__(self, first: int, count: int, fail: bool = False, seconds: float = 0.0):
        self.first, self.count, self.fail, self.seconds = first, count, fail, seconds

    def read(self):
        for number in range(self.first, self.first + self.count):
            sleep(self.seconds)
            yield number
        if self.fail:
            raise ValueError("no more")


def delivered(tasks, count: int):
    given = iter(tasks)
    with Delivery(lambda: next(given, None), count) as delivery:
        return list(delivery)


def test_everything_arrives_once_and_in_order_per_task():
    tasks = [Numbers(100 * n, n % 7, fail=n % 3 == 0) for n in range(50)]
    results = delivered(tasks, 8)
    for task in tasks:
        own = [result for result in results if result.task is task]
        assert [result.item for result in own[:-1]] == list(range(task.first, task.first + task.count))
        assert own[-1].ended
        assert isinstance(own[-1].error, ValueError) == task.fail


def test_tasks_run_at_the_same_time_and_no_more_than_asked_for():
    lock, running, most = threading.Lock(), [0], [0]

    class Counting(Numbers):
        def read(self):
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            yield from super().read()
            with lock:
                running[0] -= 1

    began = time.monotonic()
    delivered([Counting(0, 1, seconds=0.05) for _ in range(40)], 10)
    assert most[0] <= 10
    assert time.monotonic() - began < 1.5


def test_task_can_depend_on_the_results_of_another():
    waiting, found = [Numbers(0, 2)], []
    with Delivery(lambda: waiting.pop() if waiting else None, 4) as delivery:
        for result in delivery:
            if result.ended and result.task.first == 0:
                waiting.append(Numbers(10, 2))
            found.append(result.item)
    assert [item for item in found if item is not None] == [0, 1, 10, 11]


def test_whatever_ends_a_task_reaches_the_consumer():
    """An exception that handlers of Exception do not see, too: the consumer would wait forever."""

    class Killed(BaseException):
        pass

    class Dies:
        def read(self):
            raise Killed
            yield

    (end,) = delivered([Dies()], 1)
    assert isinstance(end.error, Killed)
    with pytest.raises(Killed):
        at_once([lambda: next(Dies().read()), lambda: 1])


def test_slow_consumer_bounds_what_is_read_ahead():
    read = []

    class Endless:
        def read(self):
            for number in range(10_000):
                read.append(number)
                yield number

    with Delivery(iter([Endless(), None]).__next__, 1) as delivery:
        next(iter(delivery))
        time.sleep(0.1)
        assert len(read) < 10


def test_interruption_keeps_what_arrived_and_ends_all_threads():
    kept = []

    class Whole:
        """A task whose parts are read at once."""

        def __init__(self, first: int):
            self.first = first

        def read(self):
            parts = iter([Numbers(self.first, 3), *(Numbers(n, 9, seconds=60) for n in range(4))])
            with Delivery(lambda: next(parts, None), 5) as delivery:
                for result in delivery:
                    kept.append(result.item)
                    yield result.item

    tasks = iter([Whole(100), Whole(200)])
    began = time.monotonic()
    with Delivery(lambda: next(tasks, None), 2) as delivery:
        next(iter(delivery))
    assert time.monotonic() - began < 1.5
    assert {100, 200} <= {*kept}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("cexkit-")]


def test_threads_take_turns_except_while_they_wait():
    lock, running, at_once, waits = threading.Lock(), [0], [], [0]

    class Turn(Numbers):
        def read(self):
            with taking_turns(lock):
                for _ in range(3):
                    running[0] += 1
                    at_once.append(running[0])
                    time.sleep(0.001)
                    running[0] -= 1
                    with waiting():
                        waits[0] += 1
                        time.sleep(0.03)
            yield from ()

    began = time.monotonic()
    delivered([Turn(0, 0) for _ in range(8)], 8)
    assert set(at_once) == {1}
    assert len(at_once) == 24
    assert time.monotonic() - began < 24 * 0.03
