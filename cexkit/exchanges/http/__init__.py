"""HTTP for any service: one client that retries, keeps to rate limits and pages. Knows no venue."""

from cexkit.exchanges.http.client import HttpClient, Response
from cexkit.exchanges.http.paginate import Backward, Cursor, Forward, OnePage, PageRequest, PageResult, Paginator
from cexkit.exchanges.http.ratelimit import Budget, RateLimiter, Usage
from cexkit.exchanges.http.retry import RetryPolicy

__all__ = [
    "Backward",
    "Budget",
    "Cursor",
    "Forward",
    "HttpClient",
    "OnePage",
    "PageRequest",
    "PageResult",
    "Paginator",
    "RateLimiter",
    "Response",
    "RetryPolicy",
    "Usage",
]
