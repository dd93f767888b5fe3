"""One venue's stream of liquidations → Bronze, whatever the line does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import threading
import time
import uuid
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cexkit.errors import (
    BlockedError,
    CexkitError,
    ConfigError,
    DatasetError,
    FetchError,
    PayloadError,
    TransportError,
    VenueError,
)
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.streams import STREAMS, read_message
from cexkit.network import network_hint, proxy_of
from cexkit.schema import TABLES
from cexkit.schema.intervals import from_ms
from cexkit.schema.symbols import Instrument
from cexkit.text import masked, printable
from cexkit.warehouse.collect.sessions import LIQUIDATIONS, SESSIONS, Session, row_of
from cexkit.warehouse.ingest.bronze import ingest_bronze
from cexkit.warehouse.ingest.report import ClockProblem, Problem, Report
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.store.bronze import BronzeWriter
from cexkit.warehouse.store.sequence import Sequence
from cexkit.warehouse.store.warehouse import Warehouse

if TYPE_CHECKING:
    import pyarrow as pa
    from websockets.asyncio.client import ClientConnection

_log = logging.getLogger("cexkit.warehouse.collect")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerTimeouts:
    """How long is waited for what, in seconds."""

    #: A file holds messages of at most so long.
    flush_seconds: float = 60.0
    #: A ping is sent so often, and its response must come within the same time.
    heartbeat_seconds: float = 20.0
    #: All subscriptions must be granted within.
    subscribe_seconds: float = 30.0
    #: Pauses between attempts to connect double from the first to the second.
    first_retry_seconds: float = 1.0
    max_retry_seconds: float = 60.0
    #: Longest time without data on a connection before it counts as silent and is replaced. Each venue sends a busy
    #: channel at least once a minute; see :class:`~cexkit.exchanges.base.Stream`.
    silence_seconds: float = 90.0
    #: A venue that is subscribed is asked so often whether it lists other instruments or contract values by now.
    relist_seconds: float = 3600.0


@dataclass(slots=True)
class CollectReport:
    """What a collector did, by the venue.

    Attributes
    ----------
    messages, sessions : int
        Messages kept, and connections that delivered data.
    skipped : int
        Events of other markets, which are not kept: Binance sends those of coin-margined contracts too.
    files : list of str
        Bronze files written, below the warehouse.
    problems : list of Problem
        Every connection that broke, and why; and once per venue a clock that disagrees with this machine's, by which
        sessions are timed.
    """

    messages: int = 0
    sessions: int = 0
    skipped: int = 0
    files: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def __str__(self) -> str:
        skipped = f", {self.skipped} events of other markets skipped" if self.skipped else ""
        lines = [f"{self.messages} messages in {len(self.files)} files, {self.sessions} sessions{skipped}"]
        return "\n".join([*lines, *(f"problem: {problem}" for problem in self.problems[-20:])])


class Listener:
    """Listens to one venue for as long as it is let."""

    def __init__(
        self,
        exchange: str,
        warehouse: Warehouse,
        fetcher: Fetcher | None,
        url: str | None,
        timeouts: ListenerTimeouts,
        done: CollectReport,
    ):
        self._exchange, self._stream, self._fetcher = exchange, STREAMS[exchange], fetcher
        self._url, self._timeouts, self._done, self._warehouse = url or self._stream.url, timeouts, done, warehouse
        run = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:8]}"
        # rotated by time here, by size in the writer
        self._messages = BronzeWriter(warehouse.root, exchange, self._stream.endpoint, run)
        self._sessions = BronzeWriter(warehouse.root, exchange, SESSIONS, run)
        self._sequence = Sequence(warehouse.root)
        #: Sequence number of the messages since the last flush; None before the first of them.
        self._batch: int | None = None
        #: None until the connection delivers data.
        self._session: Session | None = None
        self._subscribed_at = datetime.now(UTC)
        self._delivered = time.monotonic()
        self._flushed = time.monotonic()
        # a listener that is told to stop may be writing in a thread
        self._writing = threading.Lock()
        self._listed: list[Instrument] = []
        #: Empty until the venue's instruments are known.
        self._subscriptions: list[str] = []
        #: True once the venue's instruments are known; until then, the last failure to read them.
        self.is_listed = False
        self.unlisted: FetchError | None = None

    def _relist(self) -> None:
        """What to subscribe, from the venue's listing now."""
        self._listed = _listed(self._warehouse, self._exchange, self._fetcher, self._done.problems)
        self._subscriptions = self._subscribe_to(self._listed)

    async def _list_first(self) -> None:
        """Read what to subscribe, while other venues are listened to already.

        In a daemon thread, because a venue that does not respond must not delay the end of the process.
        """
        listing: Future[None] = Future()
        listing.set_running_or_notify_cancel()  # else a listener that stops would cancel it

        def read() -> None:
            try:
                listing.set_result(self._relist())
            except BaseException as error:  # noqa: BLE001 (raised again below)
                listing.set_exception(error)

        threading.Thread(target=read, daemon=True).start()
        try:
            await asyncio.wrap_future(listing)
        except FetchError as error:
            self.unlisted = error
            raise
        self.is_listed, self.unlisted = True, None

    def _subscribe_to(self, instruments: list[Instrument]) -> list[str]:
        """Return the messages that subscribe the liquidations of instruments, and a channel that is never quiet."""
        heartbeat = [self._stream.heartbeat] if self._stream.heartbeat else []
        return [*self._stream.subscribe(instruments), *heartbeat]

    async def run(self) -> None:
        """Connect, listen, and connect again when that breaks."""
        import websockets

        failures = 0
        while True:
            outdated = False
            try:
                if not self._subscriptions:
                    await self._list_first()
                outdated = await self._once()
                reason = "other instruments are listed now" if outdated else "the venue closed the connection"
            except VenueError as error:
                # of what is asked for, something may be gone; each look keeps a listing, so not at each attempt
                reason, outdated = f"{type(error).__name__}: {error}", failures % 16 == 0
            except (DatasetError, ConfigError):
                raise  # of the disk or the settings, which another attempt does not repair
            except (OSError, TimeoutError, websockets.WebSocketException) as error:
                reason = f"{type(error).__name__}: {error}{network_hint(self._url, error)}"
            reason = printable(masked(reason))  # a venue says why it closes a connection
            failures = 0 if self._session else failures
            self._end(reason)
            self._done.problems.append(Problem(self._exchange, LIQUIDATIONS.name, None, None, reason))
            _log.warning("%s: %s", self._exchange, reason)
            if outdated:
                self._subscriptions = []
            # full jitter: many collectors do not come back at the same moment
            most = min(self._timeouts.max_retry_seconds, self._timeouts.first_retry_seconds * 2 ** min(failures, 16))
            failures += 1
            await asyncio.sleep(random.uniform(most / 2, most))

    async def _once(self) -> bool:
        """One connection, until the venue ends it (False) or lists what is not subscribed (True)."""
        from websockets.asyncio.client import connect

        beat, proxy = self._timeouts.heartbeat_seconds, proxy_of(self._url)
        async with connect(
            self._url,
            # the proxy resolves the name of the venue, as it does for HTTP
            proxy=None if proxy is None else proxy.url.replace("socks5://", "socks5h://", 1),
            ping_interval=beat,
            ping_timeout=beat,
            open_timeout=self._timeouts.subscribe_seconds,
            close_timeout=2,
        ) as socket:
            async with asyncio.timeout(self._timeouts.subscribe_seconds):
                early = await self._subscribe(socket)
            self._subscribed_at, self._delivered = datetime.now(UTC), time.monotonic()
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
            await asyncio.sleep(self._timeouts.relist_seconds)
            if self._subscriptions and await asyncio.to_thread(self._lists_others):
                return True

    def _lists_others(self) -> bool:
        """Return whether other subscriptions are needed, by what the venue lists now.

        If the venue lists other contracts or contract values under the same subscriptions, the list is kept: an event
        has the contract value of its time.
        """
        try:
            with _reader(self._fetcher) as reader:
                found = _exposed(reader.instruments(self._exchange))
            others = [one for one in found if one not in self._listed]
            if self._subscribe_to([*self._listed, *others]) != self._subscriptions:
                return True
            if others:
                self._relist()
        except CexkitError as error:
            _log.warning("%s: failed to read what is listed now: %s", self._exchange, printable(str(error)))
        return False

    async def _subscribe(self, socket: ClientConnection) -> list[bytes]:
        """Ask for everything and wait until all of it is granted; what came in between is not lost."""
        for text in self._subscriptions:
            await socket.send(text)
        early, granted = [], 0
        while granted < len(self._subscriptions):
            body = _bytes(await socket.recv())
            try:
                message = json.loads(body)
            except (ValueError, RecursionError):
                continue
            if self._stream.grants(message):
                granted += 1
            else:
                early.append(body)
        return early

    async def _receive(self, socket: ClientConnection) -> bool:
        """Keep messages, flush, and ping until the venue closes the connection or delivers no more data.

        Raises
        ------
        TransportError
            If the connection is silent. Pongs and acknowledgments are not data: a connection under a wrong path gives
            both and never delivers.
        """
        from websockets.exceptions import ConnectionClosedOK

        spoken = time.monotonic()
        limits = (self._timeouts.flush_seconds, self._timeouts.heartbeat_seconds, self._timeouts.silence_seconds)
        pause = min(limits) / 4
        while True:
            try:
                async with asyncio.timeout(pause):
                    body = await socket.recv()
                self._keep(_bytes(body))
            except TimeoutError:
                pass
            except ConnectionClosedOK:
                return False
            if self._stream.ping and time.monotonic() - spoken >= self._timeouts.heartbeat_seconds:
                await socket.send(self._stream.ping)
                spoken = time.monotonic()
            if time.monotonic() - self._delivered >= self._timeouts.silence_seconds:
                raise TransportError(
                    f"{self._url} is connected and subscribed, but delivered no data for "
                    f"{self._timeouts.silence_seconds:g} s; nothing since its last message counts as covered"
                )
            if time.monotonic() - self._flushed >= self._timeouts.flush_seconds:
                await asyncio.to_thread(self._flush)

    def _keep(self, body: bytes) -> None:
        """Store a message about liquidations in Bronze, even if malformed; others only show that data flows."""
        now = datetime.now(UTC)
        try:
            received = read_message(self._stream, body, now)
        except PayloadError:
            received, times = None, [now]
        else:
            times = [from_ms(event.ms) for event in received.events]
        if received is not None and received.delivers:
            self._note_delivery(now, received.skipped)
        if body == b"pong" or not times:
            return
        if self._batch is None:
            self._batch = self._sequence.next()
        span = (min(times), max(times))
        self._messages.add(row_of(self._stream.endpoint, self._exchange, self._url, body, now, *span, self._batch))
        self._done.messages += 1

    def _note_delivery(self, now: datetime, skipped: int) -> None:
        """Extend the session to a message with data; the first one shows that data flowed since the subscription."""
        self._delivered = time.monotonic()
        if self._session is None:
            self._session = Session(uuid.uuid4().hex, self._subscribed_at, now)
            self._done.sessions += 1
        self._session.extend(now)
        self._session.frames += 1
        self._session.skipped += skipped
        self._done.skipped += skipped

    def _end(self, reason: str) -> None:
        if self._session is not None:
            self._session.reason = reason
        self._flush()
        self._session = None

    def _flush(self) -> None:
        """Messages first, then the record that says they are whole."""
        with self._writing:
            self._messages.flush()
            self._batch = None
            if (session := self._session) is not None:
                body = session.to_json().encode()
                row = row_of(SESSIONS, self._exchange, self._url, body, datetime.now(UTC), session.start, session.end)
                self._sessions.add(row)
                self._sessions.flush()
            self._flushed = time.monotonic()

    def close(self) -> None:
        """Write what is left."""
        self._end("told to stop")
        for writer in (self._messages, self._sessions):
            writer.flush()
            self._done.files += [path.relative_to(self._warehouse.root).as_posix() for path in writer.files]


def _listed(warehouse: Warehouse, exchange: str, fetcher: Fetcher | None, problems: list[Problem]) -> list[Instrument]:
    """What can be liquidated at a venue now; as last seen where the venue does not respond.

    Clocks that disagree are added to ``problems``, once per venue.
    """
    listing, report = TABLES["instruments"], Report()
    with _reader(fetcher) as reader:
        try:
            report = ingest_bronze(warehouse, reader, exchange, listing)
        except BlockedError as error:
            report = Report(problems=(Problem(exchange, listing.name, None, None, str(error)),))
    report += build_silver(warehouse, exchange, listing)
    if not any(isinstance(problem, ClockProblem) and problem.exchange == exchange for problem in problems):
        problems += [problem for problem in report.problems if isinstance(problem, ClockProblem)]
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


def _bytes(message: str | bytes) -> bytes:
    return message.encode() if isinstance(message, str) else message
