"""Threads that read several things at once and deliver what they read to one consumer."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

Item = TypeVar("Item")

#: Set when the work of the present thread is no longer wanted; None in threads that are not workers.
_STOP: ContextVar[threading.Event | None] = ContextVar("cexkit_stop", default=None)
#: The turn that the present thread has; None if it needs none.
_TURN: ContextVar[threading.Lock | None] = ContextVar("cexkit_turn", default=None)
#: How often a worker that waits for its consumer looks whether its work is still wanted, in seconds.
_LOOK_SECONDS = 0.2


class Stopped(Exception):
    """Ends a worker whose results are no longer wanted."""


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
    error : Exception or None
        What ended the task early.
    """

    task: Any
    item: Any = None
    ended: bool = False
    error: Exception | None = None


class Delivery:
    """Results of tasks that several threads read at once. Use it as a context manager, and iterate over it.

    Items of one task arrive in order, those of different tasks in any order. Threads wait while the consumer is behind,
    so that memory does not grow with the number of items. They are daemons: leaving the context does not wait for
    responses that are no longer wanted.

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
        self._stop = threading.Event()
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._results: queue.Queue[Result] = queue.Queue(maxsize=2 * count)
        self._running = self._threads = 0

    def __enter__(self) -> Delivery:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for _ in range(self._threads):
            self._tasks.put(None)

    def __iter__(self) -> Iterator[Result]:
        while True:
            self._start_tasks()
            if self._running == 0:
                return
            with waiting():
                result = self._results.get()
            yield self._taken(result)

    def arrived(self) -> Iterator[Result]:
        """Yield what has arrived and was not taken, without waiting for more."""
        while True:
            try:
                yield self._taken(self._results.get_nowait())
            except queue.Empty:
                return

    def _taken(self, result: Result) -> Result:
        self._running -= result.ended
        return result

    def _start_tasks(self) -> None:
        while self._running < self._count and (task := self._next_task()) is not None:
            self._running += 1
            self._tasks.put(task)
            if self._threads < self._running:
                self._threads += 1
                threading.Thread(target=self._work, name=f"cexkit-{self._threads}", daemon=True).start()

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
        except Exception as raised:  # noqa: BLE001 (the consumer handles it)
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
