"""Work in a thread that may be left behind, because nothing can end what it waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


def start(work: Callable[[], Result]) -> Future[Result]:
    """Call ``work`` in a thread, and return its outcome; the interpreter does not wait for the thread at its end.

    Examples
    --------
    >>> start(lambda: 1 + 1).result()
    2
    """
    outcome: Future[Result] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 (raised again in the thread that waits)
            outcome.set_exception(error)

    # Not of a pool, whose threads the interpreter would wait for at its end.
    threading.Thread(target=run, daemon=True).start()
    return outcome
