"""Liquidations live: websockets → Bronze, with a record of when a venue was listened to.

Most venues publish liquidations only as they happen. What was not listened to is lost, so every total must be able to
say whether it is whole: :func:`coverage` tells for every moment whether a venue's events are ``full``, ``throttled``
or ``absent``. ``listener`` hears one venue, ``sessions`` keeps when.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.streams import STREAMS
from cexkit.network import require_usable_network
from cexkit.schema.names import resolve_all, to_tuple
from cexkit.warehouse.collect.listener import CollectReport, Listener, ListenerTimeouts
from cexkit.warehouse.collect.sessions import SESSIONS, coverage
from cexkit.warehouse.store.warehouse import Warehouse

__all__ = ["SESSIONS", "CollectReport", "ListenerTimeouts", "collect", "coverage"]


def collect(
    exchanges: str | Sequence[str],
    warehouse: Warehouse | str | Path,
    *,
    seconds: float | None = None,
    fetcher: Fetcher | None = None,
    urls: dict[str, str] | None = None,
    timeouts: ListenerTimeouts | None = None,
    stop: threading.Event | None = None,
) -> CollectReport:
    """Listen to venues and keep every message about liquidations in Bronze, until told to stop.

    Runs until ``seconds`` are over, ``stop`` is set, or, in a process' main thread, SIGTERM or Ctrl-C comes; what was
    received by then is written. A venue that cannot be reached is tried again for ever and keeps no other from being
    listened to, at the start too. ``build_silver(warehouse, exchange, TABLES["liquidations"])`` makes rows of it.

    Parameters
    ----------
    exchanges : str or sequence of str
        Venues.
    warehouse : Warehouse or path
        Where to. Its listing of instruments is read anew first, and again when a venue lists others or refuses some.
    seconds : float, optional
        For how long from the first listing that was read; for ever by default.
    fetcher : Fetcher, optional
        How to read the listings.
    urls : dict, optional
        Other addresses by venue.
    timeouts : ListenerTimeouts, optional
        Intervals of files, pings, retries and looks at listings.
    stop : threading.Event, optional
        Ends it when set.

    Returns
    -------
    CollectReport

    Raises
    ------
    UnknownNameError
        If a venue has no stream of liquidations; the message lists those that have.
    ConfigError
        If a variable for proxies or certificates cannot be used.
    FetchError
        If no venue's instruments can be read and none are known.

    Examples
    --------
    >>> import tempfile
    >>> import cexkit
    >>> from cexkit.config import Settings
    >>> from cexkit.exchanges.fetcher import Fetcher
    >>> from cexkit.testing import LoopbackMarket
    >>> with LoopbackMarket("2026-05-20", "2026-05-22", coins=["BTC"]) as venues:
    ...     streams = {name: stream.url for name, stream in venues.streams.items()}
    ...     with Fetcher(Settings(base_urls=venues.base_urls)) as fetcher:
    ...         done = cexkit.collect("okx", tempfile.mkdtemp(), seconds=1, fetcher=fetcher, urls=streams)
    >>> done.messages > 0
    True
    """
    names = resolve_all("exchange with a stream of liquidations", to_tuple(exchanges), STREAMS)
    require_usable_network()
    target = warehouse if isinstance(warehouse, Warehouse) else Warehouse(warehouse)
    done, halt = CollectReport(), stop or threading.Event()
    listeners = [
        Listener(name, target, fetcher, (urls or {}).get(name), timeouts or ListenerTimeouts(), done) for name in names
    ]
    _run(_listen(listeners, seconds, halt), halt)
    return done


def _run(listening: Coroutine[Any, Any, None], stop: threading.Event) -> None:
    """Run it to its end, in a thread of its own where this one has an event loop already, as in notebooks."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(listening)
        return
    with ThreadPoolExecutor(1) as one:
        running = one.submit(asyncio.run, listening)
        try:
            running.result()
        except BaseException:
            stop.set()  # an interrupted cell ends it; what came is written before the thread is left
            raise


async def _listen(listeners: list[Listener], seconds: float | None, stop: threading.Event) -> None:
    """All venues side by side, until it is time to stop."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
    tasks = [asyncio.create_task(listener.run()) for listener in listeners]
    until: float | None = None
    try:
        while not (ended.is_set() or stop.is_set() or (until is not None and time.monotonic() >= until)):
            # not wait_for: before Python 3.12 it swallows a cancellation that comes with a result
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await ended.wait()
            if until is None and seconds is not None and any(listener.is_listed for listener in listeners):
                until = time.monotonic() + seconds
            failures = [listener.unlisted for listener in listeners]
            if all(failures):
                raise failures[0]
            for task in tasks:
                if task.done():  # only a full disk or a fault of ours ends a listener
                    task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for listener in listeners:
            listener.close()
