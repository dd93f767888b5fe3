"""The two clocks of a response, the server's and ours: which one to use, and whether they agree.

Clocks never order responses; sequence numbers do. Clocks decide which bars were complete when a server responded, and a
clock that is ahead would make a running bar complete. So the earlier clock counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cexkit.exchanges.http.retry import http_date

if TYPE_CHECKING:
    from cexkit.exchanges.http.client import Response


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The time of a response.

    Attributes
    ----------
    now : datetime
        Time by the earlier clock. The response was made then or later.
    skewed : bool
        True if the clocks differ by more than the bound.
    """

    now: datetime
    skewed: bool


def read_clocks(response: Response, max_skew: timedelta | None) -> ClockReading:
    """Return the time of a response by the earlier of the server's clock and ours.

    Parameters
    ----------
    response : Response
        A response; without a ``Date`` header, our clock counts and no skew is known.
    max_skew : timedelta or None
        Largest difference of clocks that agree; None uses the server's clock whatever ours shows.

    Examples
    --------
    >>> from cexkit.exchanges.http.client import Response
    >>> sent = http_date("Wed, 01 Jan 2020 00:00:00 GMT")
    >>> headers = {"date": "Wed, 01 Jan 2020 03:00:00 GMT"}
    >>> response = Response("http://x/time", {}, 200, headers, sent + timedelta(seconds=1), b"{}", sent_at=sent)
    >>> read_clocks(response, timedelta(minutes=5))
    ClockReading(now=datetime.datetime(2020, 1, 1, 0, 0, tzinfo=datetime.timezone.utc), skewed=True)
    >>> read_clocks(response, None).now.hour
    3
    """
    server = http_date(response.headers.get("date"))
    if server is None:
        return ClockReading(response.sent_at or response.received_at, skewed=False)
    if max_skew is None:
        return ClockReading(server, skewed=False)
    skew = _skew(response, server)
    # A server that is ahead responded at an unknown time of the request, so the time of sending is the safe one.
    now = (response.sent_at or response.received_at) if skew > timedelta(0) else server
    return ClockReading(now, skewed=abs(skew) > max_skew)


def describe_skew(response: Response) -> str:
    """Return a text that states both clocks of a response with a ``Date`` header, and what to do."""
    server = http_date(response.headers.get("date"))
    skew = _skew(response, server)
    return (
        f"the venue's clock reads {server:%Y-%m-%d %H:%M:%S} UTC, {'ahead of' if skew > timedelta(0) else 'behind'} "
        f"this machine's, which reads {response.received_at:%Y-%m-%d %H:%M:%S} UTC"
    )


def _skew(response: Response, server: datetime) -> timedelta:
    """Return how far the server's clock is ahead of ours; zero if the duration of the request explains it."""
    if server > response.received_at:
        return server - response.received_at
    return min(server - (response.sent_at or response.received_at), timedelta(0))
