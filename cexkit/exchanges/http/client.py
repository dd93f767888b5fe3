"""One HTTP client for every service: retries, budgets, and errors from one tree."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from cexkit.errors import (
    BlockedError,
    ConfigError,
    FetchError,
    RateLimitedError,
    ResponseBoundError,
    TransportError,
    VenueError,
)
from cexkit.exchanges.http.ratelimit import RateLimiter, Usage
from cexkit.exchanges.http.retry import BANNED, RetryPolicy, http_date, retry_after
from cexkit.exchanges.http.workers import require_wanted, sleep, waiting
from cexkit.network import network_hint, require_usable_network
from cexkit.text import masked
from cexkit.transfer import Bounds, OutOfBoundsError, Received, bounded_client, receive

if TYPE_CHECKING:
    import httpx

#: Length of a ban that comes without ``Retry-After``; the shortest that venues document.
BAN_SECONDS = 120.0
#: Some services refuse requests that do not say who asks.
USER_AGENT = "cexkit"

#: Those of the settings' defaults.
DEFAULT_BOUNDS = Bounds(64_000_000, 600.0)

_REFUSED_HERE = frozenset({403, 451})
_TOO_FAST = frozenset({418, 429})


@dataclass(frozen=True, slots=True)
class Response:
    """What came back for one request, exactly as received.

    ``url`` is the requested one with its credentials masked, because responses are stored. ``headers`` have lower-case
    names. ``body`` is what the headers describe, after HTTP's own content encoding (gzip) is undone. ``sent_at`` and
    ``received_at`` are times of this machine's clock.
    ``sequence`` is the number of the request among all requests of a warehouse; None if it was sent without one.

    Examples
    --------
    >>> headers = {"date": "Wed, 01 Jan 2020 00:00:00 GMT"}
    >>> response = Response("http://x/time", {}, 200, headers, datetime.now(UTC), b"{}")
    >>> response.server_time.year, response.sha256[:8]
    (2020, '44136fa3')
    """

    url: str
    params: dict[str, str]
    status: int
    headers: dict[str, str]
    received_at: datetime
    body: bytes
    sequence: int | None = None
    sent_at: datetime | None = None

    @property
    def sha256(self) -> str:
        """Hash of the body, in hex."""
        return hashlib.sha256(self.body).hexdigest()

    @property
    def server_time(self) -> datetime:
        """The server's clock (``Date``, whole seconds), or ours where it does not say."""
        return http_date(self.headers.get("date")) or self.received_at


#: Returns the next sequence number of a warehouse.
NextSequence = Callable[[], int]
#: Reads a venue's own error out of a response; None where there is none.
Inspect = Callable[[Response], Exception | None]
#: Reads what the server says of our budgets out of a response.
ReadUsage = Callable[[Response], tuple[Usage, ...]]


class HttpClient:
    """Sends GET requests, within budgets, until there is a response or a reason to stop. Thread-safe.

    Parameters
    ----------
    transport : httpx.BaseTransport, optional
        Replaces the network.
    timeout_seconds : float
        Seconds without a byte until a request counts as failed.
    bounds : Bounds
        Most bytes of a response, and the longest time that it may take.
    retry : RetryPolicy
        What is tried again.
    limiter : RateLimiter, optional
        Holds the budgets that ``get(cost=…)`` names.
    sleep : callable
        How to wait between tries.

    Examples
    --------
    >>> import httpx
    >>> transport = httpx.MockTransport(lambda request: httpx.Response(200, json={"ok": True}))
    >>> with HttpClient(transport=transport) as http:
    ...     http.get("http://venue.example/ping", {"a": "1"}).body
    b'{"ok":true}'
    """

    def __init__(
        self,
        *,
        transport: httpx.BaseTransport | None = None,
        timeout_seconds: float = 30.0,
        bounds: Bounds = DEFAULT_BOUNDS,
        retry: RetryPolicy | None = None,
        limiter: RateLimiter | None = None,
        sleep: Callable[[float], None] = sleep,
    ):
        self._over_network = transport is None
        if self._over_network:
            require_usable_network()
        self._bounds = bounds
        self._new_client = partial(
            bounded_client, transport, timeout=timeout_seconds, headers={"user-agent": USER_AGENT}
        )
        self._idle, self._closed = [self._new_client()], False
        self._retry = retry or RetryPolicy()
        self.limiter = limiter or RateLimiter()
        self._sleep = sleep

    def __enter__(self) -> HttpClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _client(self) -> Iterator[httpx.Client]:
        """Lend a client to one request at a time: a pool of httpx goes through all its connections at every request."""
        try:
            client = self._idle.pop()
        except IndexError:
            client = self._new_client()
        try:
            yield client
        finally:
            self._idle.append(client)
            if self._closed:
                self.close()

    def get(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        cost: Mapping[str, float] | None = None,
        inspect: Inspect = lambda response: None,
        usage: ReadUsage = lambda response: (),
        next_sequence: NextSequence | None = None,
    ) -> Response:
        """Return one response with status 200.

        Parameters
        ----------
        url, params, headers
            The request.
        cost : mapping of budget name to weight
            Spent before every try.
        inspect : callable
            Reads the venue's own error out of a response of any status; what it returns is raised
            (or tried again, where it is a transport or rate-limit error).
        usage : callable
            Reads the server's count of our budgets out of a response.
        next_sequence : callable, optional
            Called when a request is sent, again for each try; the response has the number of its own request.

        Raises
        ------
        ResponseBoundError
            A response exceeds a bound. It is not tried again, because it may take as long each time.
        TransportError
            No usable response in all tries: network, timeout, truncated body, 5xx.
        RateLimitedError
            429 in all tries, or a ban (418, or a 403 that ``inspect`` takes for one) beyond the patience of ``retry``.
        BlockedError
            403 or 451.
        Exception
            Whatever ``inspect`` found; VenueError for another status that it did not explain.
        """

        def once() -> Response:
            with self.limiter.charge(cost or {}):
                require_wanted()
                sequence = None if next_sequence is None else next_sequence()
                response = self._send(url, dict(params or {}), dict(headers or {}), sequence)
            for seen in usage(response):
                self.limiter.learn(seen)
            self._check(response, cost or {}, inspect)
            return response

        with waiting():
            return self._retry.retrying(self._sleep)(once)

    def _send(self, url: str, params: dict[str, str], headers: dict[str, str], sequence: int | None) -> Response:
        import httpx

        if self._over_network:
            require_usable_network(url)
        sent_at = datetime.now(UTC)
        try:
            plain, user = _without_user(url)
            with (
                self._client() as client,
                receive(client, "GET", plain, self._bounds, params=params, headers=headers, auth=user) as received,
            ):
                body = b"".join(received.chunks)
        except OutOfBoundsError as error:
            raise ResponseBoundError(str(error)) from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError) as error:
            raise ConfigError(f"not a URL that can be read: {url!r} ({error}); check CEXKIT_BASE_URLS") from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            hint = network_hint(url, error) if self._over_network else ""
            raise TransportError(
                f"{url}: {type(error).__name__}: {error}; check the network connection{hint}"
            ) from error
        _refuse_truncated(url, received)
        return Response(
            masked(url),
            params,
            received.status,
            received.headers,
            datetime.now(UTC),
            body,
            sequence=sequence,
            sent_at=sent_at,
        )

    def _check(self, response: Response, cost: Mapping[str, float], inspect: Inspect) -> None:
        error = _by_status(response)
        if error is None or isinstance(error, BlockedError):
            # some venues ban for a while with the status of a refusal, and only their words tell
            venue_error = inspect(response)
            error = venue_error if error is None or isinstance(venue_error, RateLimitedError) else error
        if error is None and response.status != 200:
            error = VenueError(_error_text(response), status=response.status)
        if error is None:
            return
        if isinstance(error, RateLimitedError):
            wait = error.retry_after
            if error.status in BANNED:
                self.limiter.ban(cost, BAN_SECONDS if wait is None else wait)
            elif wait is not None:
                self.limiter.pause(cost, wait)
        raise error


def _without_user(url: str) -> tuple[httpx.URL, tuple[str, str] | None]:
    """Return a URL without its user and password, and these; httpx logs the URL of every request."""
    import httpx

    found = httpx.URL(url)
    if not found.userinfo:
        return found, None
    return found.copy_with(userinfo=b""), (found.username, found.password)


def _by_status(response: Response) -> FetchError | None:
    """The error that a status means at any service."""
    status = response.status
    wait = retry_after(response.headers.get("retry-after"), response.server_time)
    if status in _TOO_FAST:
        return RateLimitedError(_error_text(response), status=status, retry_after=wait)
    if status in _REFUSED_HERE:
        return BlockedError(_error_text(response), status=status)
    if status >= 500:
        return TransportError(_error_text(response), status=status, retry_after=wait)
    return None


def _error_text(response: Response) -> str:
    return (
        f"{response.url}: HTTP {response.status}: {response.body[:300].decode(errors='replace').strip() or 'no text'}"
    )


def _refuse_truncated(url: str, received: Received) -> None:
    promised = received.headers.get("content-length", "")
    if promised.isdecimal() and received.wire_bytes != int(promised):
        raise TransportError(
            f"{url}: the body is cut off: {received.wire_bytes} bytes of {promised}", status=received.status
        )
