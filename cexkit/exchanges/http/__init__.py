"""HTTP for any service: one client that retries, keeps to rate limits and pages. Knows no venue."""

from cexkit.exchanges.http.client import Answer, HttpClient
from cexkit.exchanges.http.paginate import Ask, Backward, Cursor, Forward, Got, OnePage, Paging
from cexkit.exchanges.http.ratelimit import Budget, RateLimiter, Usage
from cexkit.exchanges.http.retry import RetryPolicy

__all__ = [
    "Answer",
    "Ask",
    "Backward",
    "Budget",
    "Cursor",
    "Forward",
    "Got",
    "HttpClient",
    "OnePage",
    "Paging",
    "RateLimiter",
    "RetryPolicy",
    "Usage",
]
