"""Liquidations live: websockets → Bronze, with a record of when a venue was listened to.

Most venues publish liquidations only as they happen. What was not listened to is lost, so every total must be able to
say whether it is whole: :func:`coverage` tells for every moment whether a venue's events are ``full``, ``throttled``
or ``absent``.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import random
import signal
import threading
import time
import uuid
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cexkit.errors import BlockedError, CexkitError, PayloadError, TransportError, UnknownNameError, VenueError
from cexkit.exchanges import Context
from cexkit.exchanges.streams import STREAMS, read_events
from cexkit.fetch import Fetcher
from cexkit.ingest import Problem, Report, to_bronze, to_silver
from cexkit.intervals import TimeLike, Window, from_ms, merged, utc
from cexkit.schema import TABLES
from cexkit.store.bronze import BronzeWriter, read_bronze
from cexkit.store.warehouse import Warehouse
from cexkit.symbols import Instrument

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    from websockets.asyncio.client import ClientConnection

#: Endpoint that sessions are kept under.
SESSIONS = "stream.sessions"
LIQUIDATIONS = TABLES["liquidations"]

_log = logging.getLogger("cexkit.collect")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long is waited for what, in seconds."""

    #: A file holds messages of at most so long.
    flush_s: float = 60.0
    #: A ping is sent so often, and its answer must come within the same time.
    heartbeat_s: float = 20.0
    #: All subscriptions must be granted within.
    subscribe_s: float = 30.0
    #: Pauses between attempts to connect double from the first to the second.
    retry_first_s: float = 1.0
    retry_most_s: float = 60.0
    #: A venue that is subscribed by instrument is asked so often whether it lists others by now.
    relist_s: float = 3600.0


@dataclass(slots=True)
class Collected:
    """What a collector did, by the venue.

    Attributes
    ----------
    messages, sessions : int
        Messages kept, and connections that were subscribed.
    files : list of str
        Bronze files written, below the warehouse.
    problems : list of Problem
        Every connection that broke, and why.
    """

    messages: int = 0
    sessions: int = 0
    files: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.messages} messages in {len(self.files)} files, {self.sessions} sessions"]
        return "\n".join([*lines, *(f"problem: {problem}" for problem in self.problems[-20:])])


def collect(
    exchanges: str | Sequence[str],
    warehouse: Warehouse | str | Path,
    *,
    seconds: float | None = None,
    fetcher: Fetcher | None = None,
    urls: dict[str, str] | None = None,
    patience: Patience | None = None,
    stop: threading.Event | None = None,
) -> Collected:
    """Listen to venues and keep every message about liquidations in Bronze, until told to stop.

    Runs until ``seconds`` are over, ``stop`` is set, or, in a process' main thread, SIGTERM or Ctrl-C comes; what was
    received by then is written. A venue that cannot be reached is tried again for ever and keeps no other from being
    listened to. ``to_silver(warehouse, exchange, TABLES["liquidations"])`` makes rows of it.

    Parameters
    ----------
    exchanges : str or sequence of str
        Venues.
    warehouse : Warehouse or path
        Where to. Its listing of instruments is read anew first, and again when a venue lists others or refuses some.
    seconds : float, optional
        For how long; for ever by default.
    fetcher : Fetcher, optional
        How to read the listings.
    urls : dict, optional
        Other addresses by venue.
    patience : Patience, optional
        Intervals of files, pings, retries and looks at listings.
    stop : threading.Event, optional
        Ends it when set.

    Returns
    -------
    Collected

    Raises
    ------
    UnknownNameError
        If a venue has no stream of liquidations; the message lists those that have.
    FetchError
        If a venue's instruments cannot be read and none are known.
    """
    names = [exchanges] if isinstance(exchanges, str) else list(exchanges)
    for name in names:
        if name not in STREAMS:
            raise UnknownNameError.of("exchange with a stream of liquidations", name, STREAMS)
    target = warehouse if isinstance(warehouse, Warehouse) else Warehouse(warehouse)
    done, halt = Collected(), stop or threading.Event()
    listeners = [
        _Listener(name, target, fetcher, (urls or {}).get(name), patience or Patience(), done) for name in names
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


def coverage(warehouse: Warehouse | str | Path, exchange: str, start: TimeLike, end: TimeLike) -> pl.DataFrame:
    """When a venue was listened to, and what its liquidations are worth there.

    Parameters
    ----------
    warehouse : Warehouse or path
        Holds what was collected.
    exchange : str
        Venue.
    start, end : str, date or datetime
        Half-open UTC window.

    Returns
    -------
    polars.DataFrame
        Spans that make up the window without gap or overlap: ``exchange``, ``start``, ``end`` and ``coverage``
        (``full``, ``throttled`` or ``absent``). A sum of liquidations over ``absent`` spans is a lower bound. It is
        that of instruments which were listed when a span began: of Bybit, one that is new is heard within the hour.
    """
    import polars as pl

    target = warehouse if isinstance(warehouse, Warehouse) else Warehouse(warehouse)
    if exchange not in STREAMS:
        raise UnknownNameError.of("exchange with a stream of liquidations", exchange, STREAMS)
    window = Window.of(utc(start), utc(end))
    worth = STREAMS[exchange].coverage
    spans, reached = [], window.start
    for session in merged(Window(one.start, one.end) for one in _sessions(target, exchange)):
        first, last = max(session.start, window.start), min(session.end, window.end)
        if first >= last:
            continue
        if first > reached:
            spans.append((reached, first, "absent"))
        spans.append((first, last, worth))
        reached = last
    if reached < window.end:
        spans.append((reached, window.end, "absent"))
    time = pl.Datetime("us", "UTC")
    frame = pl.DataFrame(spans, schema={"start": time, "end": time, "coverage": pl.String}, orient="row")
    return frame.select(pl.lit(exchange).alias("exchange"), "start", "end", "coverage")


def _listed(warehouse: Warehouse, exchange: str, fetcher: Fetcher | None) -> list[Instrument]:
    """What can be liquidated at a venue now; as last seen where the venue does not answer."""
    listing, report = TABLES["instruments"], Report()
    with _reader(fetcher) as reader:
        try:
            report = to_bronze(warehouse, reader, exchange, listing)
        except BlockedError as error:
            report = Report(problems=(Problem(exchange, listing.name, None, None, str(error)),))
    report += to_silver(warehouse, exchange, listing)
    found = _exposed(warehouse.read(listing, exchange=exchange))
    if not found:
        raise TransportError(f"{exchange}: no instruments are known: {report}")
    return found


def _reader(fetcher: Fetcher | None) -> contextlib.AbstractContextManager[Fetcher]:
    """The fetcher that was given, left open; else one of our own."""
    return Fetcher() if fetcher is None else contextlib.nullcontext(fetcher)


def _exposed(instruments: pa.Table) -> list[Instrument]:
    """Those of a listing that can be liquidated."""
    now = datetime.now(UTC)
    return [
        Instrument.of(row)
        for row in instruments.to_pylist()
        if row["instrument_type"] in LIQUIDATIONS.instrument_types
        and row["status"] in ("trading", "halted")
        and (row["expiry"] or now) >= now
    ]


async def _listen(listeners: list[_Listener], seconds: float | None, stop: threading.Event) -> None:
    """All venues side by side, until it is time to stop."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
    tasks = [asyncio.create_task(listener.run()) for listener in listeners]
    until = None if seconds is None else time.monotonic() + seconds
    try:
        while not (ended.is_set() or stop.is_set() or (until is not None and time.monotonic() >= until)):
            # not wait_for: before Python 3.12 it swallows a cancellation that comes with a result
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await ended.wait()
            for task in tasks:
                if task.done():  # only a full disk or a fault of ours ends a listener
                    task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for listener in listeners:
            listener.close()


class _Listener:
    """Listens to one venue for as long as it is let."""

    def __init__(
        self,
        exchange: str,
        warehouse: Warehouse,
        fetcher: Fetcher | None,
        url: str | None,
        patience: Patience,
        done: Collected,
    ):
        self._exchange, self._stream, self._fetcher = exchange, STREAMS[exchange], fetcher
        self._url, self._patience, self._done, self._warehouse = url or self._stream.url, patience, done, warehouse
        run = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:8]}"
        # rotated by time here, by size in the writer
        self._messages = BronzeWriter(warehouse.root, exchange, self._stream.endpoint, run)
        self._sessions = BronzeWriter(warehouse.root, exchange, SESSIONS, run)
        self._session: _Session | None = None
        self._flushed = time.monotonic()
        # a listener that is told to stop may be writing in a thread
        self._writing = threading.Lock()
        self._relist()

    def _relist(self) -> None:
        """What to subscribe, from the venue's listing now."""
        self._listed = _listed(self._warehouse, self._exchange, self._fetcher)
        self._asked = self._stream.subscribe(self._listed)

    async def run(self) -> None:
        """Connect, listen, and connect again when that breaks."""
        import websockets

        failures = 0
        while True:
            outdated = False
            try:
                outdated = await self._once()
                reason = "other instruments are listed now" if outdated else "the venue closed the connection"
            except VenueError as error:
                # of what is asked for, something may be gone; each look keeps a listing, so not at each attempt
                reason, outdated = f"{type(error).__name__}: {error}", failures % 16 == 0
            except (OSError, TimeoutError, websockets.WebSocketException) as error:
                reason = f"{type(error).__name__}: {error}"
            failures = 0 if self._session else failures
            self._end(reason)
            self._done.problems.append(Problem(self._exchange, LIQUIDATIONS.name, None, None, reason))
            _log.warning("%s: %s", self._exchange, reason)
            if outdated:
                await asyncio.to_thread(self._relist)
            # full jitter: many collectors do not come back at the same moment
            most = min(self._patience.retry_most_s, self._patience.retry_first_s * 2 ** min(failures, 16))
            failures += 1
            await asyncio.sleep(random.uniform(most / 2, most))

    async def _once(self) -> bool:
        """One connection, until the venue ends it (False) or lists what is not subscribed (True)."""
        from websockets.asyncio.client import connect

        beat = self._patience.heartbeat_s
        async with connect(
            self._url, ping_interval=beat, ping_timeout=beat, open_timeout=self._patience.subscribe_s, close_timeout=2
        ) as socket:
            async with asyncio.timeout(self._patience.subscribe_s):
                early = await self._subscribe(socket)
            self._begin()
            for body in early:
                self._keep(body)
            tasks = [asyncio.create_task(part) for part in (self._receive(socket), self._outdated())]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                return tasks[1].result() if tasks[1].done() else tasks[0].result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _outdated(self) -> bool:
        """True once the venue lists what is not subscribed; until then nothing."""
        while True:
            await asyncio.sleep(self._patience.relist_s)
            if self._asked and await asyncio.to_thread(self._lists_others):
                return True

    def _lists_others(self) -> bool:
        try:
            with _reader(self._fetcher) as reader:
                found = _exposed(reader.instruments(self._exchange))
        except CexkitError as error:
            _log.warning("%s: what is listed now cannot be read: %s", self._exchange, error)
            return False
        more = [one for one in found if one not in self._listed]
        return self._stream.subscribe([*self._listed, *more]) != self._asked

    async def _subscribe(self, socket: ClientConnection) -> list[bytes]:
        """Ask for everything and wait until all of it is granted; what came in between is not lost."""
        for text in self._asked:
            await socket.send(text)
        early, granted = [], 0
        while granted < len(self._asked):
            body = _bytes(await socket.recv())
            try:
                message = json.loads(body)
            except ValueError:
                continue
            if self._stream.grants(message):
                granted += 1
            else:
                early.append(body)
        return early

    async def _receive(self, socket: ClientConnection) -> bool:
        """Keep messages; flush, ping and note that we listen even where nothing is said."""
        from websockets.exceptions import ConnectionClosedOK

        spoken = time.monotonic()
        pause = min(self._patience.flush_s, self._patience.heartbeat_s) / 4
        while True:
            try:
                async with asyncio.timeout(pause):
                    body = await socket.recv()
                self._keep(_bytes(body))
            except TimeoutError:
                pass
            except ConnectionClosedOK:
                return False
            if self._stream.ping and time.monotonic() - spoken >= self._patience.heartbeat_s:
                await socket.send(self._stream.ping)
                spoken = time.monotonic()
            # a silent line is only known to have been alive one heartbeat ago
            self._session.heard(datetime.now(UTC) - timedelta(seconds=2 * self._patience.heartbeat_s))
            if time.monotonic() - self._flushed >= self._patience.flush_s:
                await asyncio.to_thread(self._flush)

    def _keep(self, body: bytes) -> None:
        """A message about liquidations, malformed ones too, to Bronze; all else is small talk."""
        now = datetime.now(UTC)
        self._session.heard(now)
        try:
            times = [from_ms(event.ms) for event in read_events(self._stream, body)]
        except PayloadError:
            times = [now]
        if body == b"pong" or not times:
            return
        self._messages.add(_row(self._stream.endpoint, self._exchange, self._url, body, now, min(times), max(times)))
        self._done.messages += 1

    def _begin(self) -> None:
        now = datetime.now(UTC)
        self._session = _Session(uuid.uuid4().hex, now, now)
        self._done.sessions += 1

    def _end(self, reason: str) -> None:
        if self._session is not None:
            self._session.reason = reason
            self._flush()
            self._session = None

    def _flush(self) -> None:
        """Messages first, then the record that says they are whole."""
        with self._writing:
            self._messages.flush()
            if (session := self._session) is not None:
                body = session.to_json().encode()
                row = _row(SESSIONS, self._exchange, self._url, body, datetime.now(UTC), session.start, session.end)
                self._sessions.add(row)
                self._sessions.flush()
            self._flushed = time.monotonic()

    def close(self) -> None:
        """Write what is left."""
        self._end("told to stop")
        for writer in (self._messages, self._sessions):
            writer.flush()
            self._done.files += [path.relative_to(self._warehouse.root).as_posix() for path in writer.files]


@dataclass(slots=True)
class _Session:
    """A time in which a venue was listened to without a break; it grows, and the longest record of it holds."""

    name: str
    start: datetime
    end: datetime
    reason: str = "listening"

    def heard(self, moment: datetime) -> None:
        self.end = max(self.end, moment)

    def to_json(self) -> str:
        parts = {"session": self.name, "start": self.start.isoformat(), "end": self.end.isoformat()}
        return json.dumps(parts | {"reason": self.reason})


def _sessions(warehouse: Warehouse, exchange: str) -> list[_Session]:
    """Sessions as last recorded."""
    found: dict[str, _Session] = {}
    for row in read_bronze(warehouse.root, exchange, SESSIONS, LIQUIDATIONS.name):
        said: dict[str, Any] = json.loads(row["body"])
        one = _Session(said["session"], utc(said["start"]), utc(said["end"]), said["reason"])
        if one.name not in found or found[one.name].end < one.end:
            found[one.name] = one
    return list(found.values())


def _row(
    endpoint: str, exchange: str, url: str, body: bytes, now: datetime, first: datetime, last: datetime
) -> dict[str, Any]:
    context = Context(exchange=exchange, table=LIQUIDATIONS.name, now=now)
    return {
        "table": LIQUIDATIONS.name,
        "data_start": first,
        "data_end": last + timedelta(microseconds=1),
        "context": context.to_json(),
        "url": url,
        "params": "{}",
        "status": None,
        "headers": "{}",
        "received_at": now,
        "sha256": hashlib.sha256(body).hexdigest(),
        "body": body,
    }


def _bytes(message: str | bytes) -> bytes:
    return message.encode() if isinstance(message, str) else message
