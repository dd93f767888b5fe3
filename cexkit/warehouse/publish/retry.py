"""What ``huggingface_hub`` raises, which of it may pass, and how often and after how long it is tried again."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import tenacity
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from cexkit.config import settings
from cexkit.exchanges.http.retry import retry_after

try:
    from httpx2 import HTTPError, TransportError  # what huggingface_hub 2 is built on
except ImportError:
    from httpx import HTTPError, TransportError

#: Longest pause that a hub's ``Retry-After`` is followed for.
LONGEST_WAIT_SECONDS = 300.0
_AGAIN = {408, 429, 500, 502, 503, 504}
#: What the client raises. Of an upload that failed it says so in a RuntimeError with the reason as cause; what the hub
#: says against one file of a batch (no room, say) is a ValueError.
FAILURES = (HTTPError, OSError, RuntimeError, ValueError)


class Again(Exception):
    """The plan is to be made anew; the cause says why."""


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status of the hub's failed response; None without one."""
    return error.response.status_code if isinstance(error, HfHubHTTPError) else None


def is_transient(error: BaseException) -> bool:
    """Return whether the same request may succeed a moment later.

    A gateway fails with a page where JSON was promised. A download that cannot reach the hub raises that a file is
    missing, with the failed request as cause.
    """
    if isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    return status_of(error) in _AGAIN or isinstance(error, TransportError | json.JSONDecodeError)


def retrying(worth: Callable[[BaseException], bool]) -> tenacity.Retrying:
    """A fresh loop of tries; the last error is raised as it is."""
    backoff = tenacity.wait_random_exponential(multiplier=1, max=30)

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception()
        response = getattr(error.__cause__ if isinstance(error, Again) else error, "response", None)
        delay = None if response is None else retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
        return backoff(state) if delay is None else min(delay, LONGEST_WAIT_SECONDS)

    return tenacity.Retrying(
        stop=tenacity.stop_after_attempt(settings().http_attempts),
        wait=wait,
        retry=tenacity.retry_if_exception(worth),
        reraise=True,
    )
