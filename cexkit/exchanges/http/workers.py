"""Threads that read several things at once and deliver what they read to one consumer."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

Item = TypeVar("Item")

#: Tells whether the work of the present thread is still wanted; None in threads that are not workers.
_STOP: ContextVar[_Stop | None] = ContextVar("cexkit_stop", default=None)
#: The turn that the present thread has; None if it needs none.
_TURN: ContextVar[threading.Lock | None] = ContextVar("cexkit_turn", default=None)
#: How often a thread that waits looks whether its work is still wanted, in seconds.
_LOOK_SECONDS = 0.2
#: How long the end of a delivery waits for its workers to end, in seconds, and how much less at each level of
#: deliveries in deliveries, so that inner ones end first.
_END_SECONDS, _LEVEL_SECONDS = 1.2, 0.3


class Stopped(BaseException):
    """Ends a worker whose results are no longer wanted. Not an Exception, so that nothing handles it by accident."""


class _Stop:
    """Whether work is no longer wanted: because it was stopped, or the work that it is part of."""

    def __init__(self, whole: _Stop | None):
        self._event, self._whole = threading.Event(), whole
        self.level: int = 0 if whole is None else whole.level + 1

    def set(self) -> None:
        self._event.set()

    def is_set(self) -> bool:
        return self._event.is_set() or (self._whole is not None and self._whole.is_set())

    def wait(self, seconds: float) -> bool:
        """Wait until the work is no longer wanted, at most some seconds; return whether that is so."""
        end = time.monotonic() + seconds
        while not self.is_set() and (rest := end - time.monotonic()) > 0:
            self._event.wait(min(rest, _LOOK_SECONDS))
        return self.is_set()


def sleep(seconds: float) -> None:
    """Sleep; in a worker whose work is no longer wanted, raise :class:`Stopped` at once."""
    stop = _STOP.get()
    if stop is None:
        time.sleep(seconds)
    elif stop.wait(seconds):
        raise Stopped


def require_wanted() -> None:
    """Raise :class:`Stopped` in a worker whose work is no longer wanted."""
    stop = _STOP.get()
    if stop is not None and stop.is_set():
        raise Stopped


@contextmanager
def taking_turns(lock: threading.Lock) -> Iterator[None]:
    """Hold a lock that several threads share, except while this one waits for a response (:func:`waiting`).

    So the threads can work on shared state as if each were the only one, and wait at the same time.
    """
    with lock:
        token = _TURN.set(lock)
        try:
            yield
        finally:
            _TURN.reset(token)


@contextmanager
def waiting() -> Iterator[None]:
    """Let other threads have their turn while this one waits."""
    lock = _TURN.get()
    if lock is None:
        yield
        return
    lock.release()
    try:
        yield
    finally:
        lock.acquire()


def at_once(calls: Sequence[Callable[[], Item]]) -> list[Item]:
    """Return the results of calls, each made in its own thread; raise the first error.

    Examples
    --------
    >>> at_once([lambda: 1, lambda: 2])
    [1, 2]
    """
    tasks = [_Call(number, call) for number, call in enumerate(calls)]
    waiting_tasks, found = iter(tasks), {}
    with Delivery(lambda: next(waiting_tasks, None), len(tasks)) as delivery:
        for result in delivery:
            if result.error is not None:
                raise result.error
            if not result.ended:
                found[result.task.number] = result.item
    return [found[task.number] for task in tasks]


class Task(Protocol[Item]):
    """Something to read, item by item."""

    def read(self) -> Iterator[Item]:
        """Yield the items; runs in a worker."""


@dataclass(frozen=True, slots=True)
class Result(Generic[Item]):
    """An item of a task, or its end.

    Attributes
    ----------
    task : Task
        Whose it is.
    item : object
        What was read; None at the end.
    ended : bool
        True if nothing follows of this task.
    error : BaseException or None
        What ended the task early.
    """

    task: Any
    item: Any = None
    ended: bool = False
    error: BaseException | None = None


class Delivery:
    """Results of tasks that several threads read at once. Use it as a context manager, and iterate over it.

    Items of one task arrive in order, those of different tasks in any order. Threads wait while the consumer is behind,
    so that memory does not grow with the number of items. They are daemons: leaving the context gives them
    a second to end, and does not wait for responses that are no longer wanted. A task may run another delivery, which
    ends with it.

    Parameters
    ----------
    next_task : callable
        Returns the next task, or None if there is none now. It is called by the consumer's thread, again after
        each task that ends, so that tasks can depend on the results of others.
    count : int
        Threads.

    Examples
    --------
    >>> class Letters:
    ...     def __init__(self, text):
    ...         self.text = text
    ...     def read(self):
    ...         yield from self.text
    >>> tasks = iter([Letters("ab"), Letters("c")])
    >>> with Delivery(lambda: next(tasks, None), 2) as delivery:
    ...     sorted(result.item for result in delivery if not result.ended)
    ['a', 'b', 'c']
    """

    def __init__(self, next_task: Callable[[], Task | None], count: int):
        self._next_task, self._count = next_task, count
        self._stop = _Stop(_STOP.get())
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._results: queue.Queue[Result] = queue.Queue(maxsize=2 * count)
        self._running = 0
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Delivery:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for _ in self._threads:
            self._tasks.put(None)
        end = time.monotonic() + _END_SECONDS - self._stop.level * _LEVEL_SECONDS
        with waiting():
            for thread in self._threads:
                thread.join(max(0.0, end - time.monotonic()))

    def __iter__(self) -> Iterator[Result]:
        while True:
            self._start_tasks()
            if self._running == 0:
                return
            result = self._next_result()
            self._running -= result.ended
            yield result

    def _next_result(self) -> Result:
        """Return the next result; what has arrived also if the work is no longer wanted."""
        with waiting():
            while True:
                try:
                    return self._results.get(timeout=_LOOK_SECONDS)
                except queue.Empty:
                    require_wanted()

    def _start_tasks(self) -> None:
        while self._running < self._count and (task := self._next_task()) is not None:
            self._running += 1
            self._tasks.put(task)
            if len(self._threads) < self._running:
                name = f"cexkit-{len(self._threads) + 1}"
                self._threads.append(threading.Thread(target=self._work, name=name, daemon=True))
                self._threads[-1].start()

    def _work(self) -> None:
        _STOP.set(self._stop)
        while (task := self._tasks.get()) is not None:
            try:
                self._read(task)
            except Stopped:
                return

    def _read(self, task: Task) -> None:
        error = None
        try:
            for item in task.read():
                self._put(Result(task, item))
        except Stopped:
            raise
        except BaseException as raised:  # noqa: BLE001 (the consumer handles it)
            error = raised
        self._put(Result(task, ended=True, error=error))

    def _put(self, result: Result) -> None:
        while not self._stop.is_set():
            try:
                self._results.put(result, timeout=_LOOK_SECONDS)
            except queue.Full:
                continue
            return
        raise Stopped


@dataclass(frozen=True, slots=True)
class _Call(Generic[Item]):
    """A call that is made in a worker."""

    number: int
    call: Callable[[], Item]

    def read(self) -> Iterator[Item]:
        yield self.call()
