"""HTTP responses within bounds: bytes are counted as they arrive, and a deadline ends every wait.

A timeout of a client ends only a silence: a server that sends one byte per second never reaches it. Here the deadline
holds for the whole request, its connection and headers included.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cexkit.network import LOOPBACK_MOUNTS

if TYPE_CHECKING:
    import httpx

BYTES_SETTING, SECONDS_SETTING = "CEXKIT_MAX_RESPONSE_BYTES", "CEXKIT_MAX_REQUEST_SECONDS"
#: Headers, redirects, and the frames of chunks, in bytes and as a multiple of the body: tiny chunks cost most.
_WIRE_BYTES, _WIRE_FACTOR = 1_000_000, 8
#: Most bytes that are decompressed at once.
_CHUNK = 1 << 20
#: Compressed bodies that were not requested, because they are not decompressed within bounds.
_REFUSED_CODINGS = {"br", "compress", "deflate", "zstd"}


class OutOfBoundsError(Exception):
    """A response exceeds a bound; the message names the bound and its setting. Raised again as an error of cexkit."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of one request.

    Attributes
    ----------
    bytes : int
        Most bytes of the body, decompressed.
    seconds : float
        Longest time from the first connection to the last byte, in seconds.
    source : str
        What states ``bytes``, for messages.

    Examples
    --------
    >>> Bounds(64_000_000, 600.0).source
    'CEXKIT_MAX_RESPONSE_BYTES'
    """

    bytes: int
    seconds: float
    source: str = BYTES_SETTING

    def too_large(self, url: str) -> OutOfBoundsError:
        return OutOfBoundsError(
            f"{url}: the response must have at most {self.bytes:,} bytes ({self.source}), and has more; the rest was "
            "not read"
        )

    def too_slow(self, url: str) -> OutOfBoundsError:
        return OutOfBoundsError(
            f"{url}: the response must arrive within {round(self.seconds, 1):,g} seconds ({SECONDS_SETTING}), and has "
            "not; the rest was not read"
        )


class Received:
    """A response whose body is being read.

    Attributes
    ----------
    response : httpx.Response
        The response; its body is in ``chunks`` only.
    status : int
        HTTP status.
    headers : dict
        Headers, with lower-case names.
    chunks : iterator of bytes
        The body, decompressed.
    wire_bytes : int
        Bytes of the body that arrived so far, before they were decompressed.
    """

    def __init__(self, response: httpx.Response, budget: _Budget):
        self.response, self.status, self.wire_bytes = response, response.status_code, 0
        self.headers = {name.lower(): value for name, value in response.headers.items()}
        self.chunks = _body(self, budget)


def bounded_client(transport: httpx.BaseTransport | None = None, **options: Any) -> httpx.Client:
    """Return an HTTP client whose connections obey the bounds of :func:`receive`.

    Parameters
    ----------
    transport : httpx.BaseTransport, optional
        Replaces the network.
    **options
        Other arguments of ``httpx.Client``.
    """
    import httpx

    mounts = LOOPBACK_MOUNTS if transport is None else None
    client = httpx.Client(transport=transport, mounts=mounts, **options)
    client.headers["accept-encoding"] = "gzip"
    bound_connections(client)
    return client


def bound_connections(client: Any) -> None:
    """Make the new connections of a client obey :func:`within`; other requests of the client stay as they are.

    httpx has no argument for the backend of its pools. If a version names them differently, :func:`receive` still
    checks the bounds with every piece of the body.
    """
    for each in (getattr(client, "_transport", None), *getattr(client, "_mounts", {}).values()):
        pool = getattr(each, "_pool", None)
        backend = getattr(pool, "_network_backend", None)
        if backend is not None and not isinstance(backend, _Backend):
            pool._network_backend = _Backend(backend)


@contextmanager
def within(address: str, bounds: Bounds) -> Iterator[_Budget]:
    """Apply bounds to the requests that this thread sends meanwhile; ``address`` is for messages.

    Bytes are those on the wire here, with a margin for headers.

    Raises
    ------
    OutOfBoundsError
        If a bound is exceeded.
    """
    before, budget = getattr(_thread, "budget", None), _Budget(address, bounds)
    _thread.budget = budget
    try:
        yield budget
    finally:
        _thread.budget = before


@contextmanager
def receive(client: httpx.Client, method: str, url: Any, bounds: Bounds, **request: Any) -> Iterator[Received]:
    """Send a request, and yield its response, whose body is read within bounds.

    Parameters
    ----------
    client : httpx.Client
        Made by :func:`bounded_client`.
    method, url, **request
        As for ``httpx.Client.stream``.
    bounds : Bounds
        Bounds of this request.

    Raises
    ------
    OutOfBoundsError
        If a bound is exceeded.
    httpx.HTTPError
        If the request fails otherwise.
    """
    with within(str(url), bounds) as budget, client.stream(method, url, **request) as response:
        yield Received(response, budget)


def _body(received: Received, budget: _Budget) -> Iterator[bytes]:
    """Yield the body, and raise at the first byte beyond the bounds."""
    promised = received.headers.get("content-length", "")
    if promised.isdecimal() and int(promised) > budget.bounds.bytes:
        raise budget.bounds.too_large(budget.url)
    count = 0
    for chunk in _decompressed(received.headers.get("content-encoding", ""), _raw(received, budget)):
        count += len(chunk)
        if count > budget.bounds.bytes:
            raise budget.bounds.too_large(budget.url)
        yield chunk


def _raw(received: Received, budget: _Budget) -> Iterator[bytes]:
    # The stream itself, because httpx would decompress a chunk whole, whatever it becomes.
    for chunk in received.response.stream:
        received.wire_bytes += len(chunk)
        if received.wire_bytes > budget.bounds.bytes:
            raise budget.bounds.too_large(budget.url)
        budget.seconds_left()
        yield chunk


def _decompressed(coding: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the content of a body in pieces of bounded size."""
    import httpx

    codings = {each.strip().lower() for each in coding.split(",")}
    if refused := codings & _REFUSED_CODINGS:
        raise httpx.DecodingError(f"content-encoding must be gzip, got {', '.join(sorted(refused))}")
    if not codings & {"gzip", "x-gzip"}:
        yield from chunks
        return
    decoder, empty = zlib.decompressobj(zlib.MAX_WBITS | 16), True
    try:
        for chunk in chunks:
            empty = empty and not chunk
            piece = decoder.decompress(chunk, _CHUNK)
            while piece:
                yield piece
                piece = decoder.decompress(decoder.unconsumed_tail, _CHUNK)
    except zlib.error as error:
        raise httpx.DecodingError(str(error)) from error
    if not (empty or decoder.eof):
        raise httpx.DecodingError("the compressed body is truncated")


class _Budget:
    """What is left of the bounds of a request; the connections of its thread charge it."""

    def __init__(self, url: str, bounds: Bounds):
        self.url, self.bounds = url, bounds
        self._deadline = time.monotonic() + bounds.seconds
        self._wire_left = bounds.bytes * _WIRE_FACTOR + _WIRE_BYTES

    def seconds_left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise self.bounds.too_slow(self.url)
        return left

    def charge(self, count: int) -> None:
        self._wire_left -= count
        if self._wire_left < 0:
            raise self.bounds.too_large(self.url)


_thread = threading.local()


def _waited(wait: Callable[[float | None], Any], timeout: float | None) -> Any:
    """Wait for a connection at most until the deadline of the request."""
    budget: _Budget | None = getattr(_thread, "budget", None)
    if budget is None:
        return wait(timeout)
    left = budget.seconds_left()
    try:
        return wait(left if timeout is None else min(left, timeout))
    except Exception:
        budget.seconds_left()  # says which of the two it was
        raise


class _Stream:
    """A connection of ``httpcore`` that charges the budget of the thread that uses it."""

    def __init__(self, stream: Any):
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = _waited(lambda seconds: self._stream.read(max_bytes, seconds), timeout)
        if budget := getattr(_thread, "budget", None):
            budget.charge(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        _waited(lambda seconds: self._stream.write(buffer, seconds), timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> _Stream:
        return _Stream(_waited(lambda seconds: self._stream.start_tls(ssl_context, server_hostname, seconds), timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend:
    """The sockets of ``httpcore``, each as a :class:`_Stream`."""

    def __init__(self, backend: Any):
        self._backend = backend

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> _Stream:
        return _Stream(
            _waited(lambda seconds: self._backend.connect_tcp(host, port, timeout=seconds, **options), timeout)
        )

    def connect_unix_socket(self, path: str, timeout: float | None = None, **options: Any) -> _Stream:
        return _Stream(
            _waited(lambda seconds: self._backend.connect_unix_socket(path, timeout=seconds, **options), timeout)
        )

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)
