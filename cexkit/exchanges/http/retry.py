"""What is tried again, how often, and after how long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from cexkit.errors import RateLimitedError, TransportError

if TYPE_CHECKING:
    import tenacity

#: Statuses of a rate-limit error that say "banned": asking again makes the ban longer.
BANNED = frozenset({403, 418})


def http_date(text: str | None) -> datetime | None:
    """The UTC time of an HTTP date header, or None where it cannot be read.

    Examples
    --------
    >>> http_date("Wed, 01 Jan 2020 00:00:00 GMT").isoformat()
    '2020-01-01T00:00:00+00:00'
    >>> http_date("yesterday") is None
    True
    """
    if text is None:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a ``Retry-After`` header asks for: it holds seconds or a date.

    Parameters
    ----------
    value : str or None
        The header; None or unreadable text gives None.
    now : datetime
        The server's time (its ``Date`` header), for the date form.

    Examples
    --------
    >>> now = http_date("Wed, 01 Jan 2020 00:00:00 GMT")
    >>> retry_after("7", now), retry_after("Wed, 01 Jan 2020 00:01:00 GMT", now), retry_after(None, now)
    (7.0, 60.0, None)
    """
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    until = http_date(value)
    return max(0.0, (until - now).total_seconds()) if until else None


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a failed request is tried again.

    Transport errors and 5xx responses are tried again after an exponentially growing, randomized
    pause; refusals for speed (429) after the pause the server asks for, a ban (418) after it ends. An
    error of the venue, and a response that asks for more patience than there is, are raised at once.

    Parameters
    ----------
    attempts : int
        Tries in all, the first one included.
    first_seconds, longest_seconds : float
        Upper end of the first pause, and of any pause, in seconds.
    max_wait_seconds : float
        Longest ``Retry-After`` that is waited for, in seconds.
    max_ban_wait_seconds : float
        The same for a ban. Nothing is sent while one lasts.

    Examples
    --------
    >>> policy = RetryPolicy(attempts=3)
    >>> policy.is_retryable(TransportError("reset")), policy.is_retryable(RateLimitedError("ban", status=418))
    (True, False)
    """

    attempts: int = 6
    first_seconds: float = 0.5
    longest_seconds: float = 30.0
    max_wait_seconds: float = 300.0
    max_ban_wait_seconds: float = 60.0

    def is_retryable(self, error: BaseException) -> bool:
        """Whether the same request may well succeed in a moment."""
        if not isinstance(error, TransportError | RateLimitedError):
            return False
        if error.status in BANNED:
            return error.retry_after is not None and error.retry_after <= self.max_ban_wait_seconds
        return error.retry_after is None or error.retry_after <= self.max_wait_seconds

    def retrying(self, sleep: Callable[[float], None]) -> tenacity.Retrying:
        """A fresh tenacity loop for one request; the last error is raised as it is."""
        import tenacity

        backoff = tenacity.wait_random_exponential(multiplier=self.first_seconds, max=self.longest_seconds)

        def wait(state: tenacity.RetryCallState) -> float:
            delay = getattr(state.outcome.exception(), "retry_after", None)
            return backoff(state) if delay is None else delay

        return tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.attempts),
            wait=wait,
            retry=tenacity.retry_if_exception(self.is_retryable),
            sleep=sleep,
            reraise=True,
        )
