"""Public tools for testing code that reads exchanges: loopback venues that speak real HTTP."""

from cexkit.testing.binance import LoopbackBinance
from cexkit.testing.feed import Feed
from cexkit.testing.loopback import (
    Fault,
    Loopback,
    Reply,
    Request,
    banned,
    chance,
    every,
    garbled,
    nth,
    reset,
    server_error,
    stalled,
    too_many_requests,
    truncated,
)

__all__ = [
    "Fault",
    "Feed",
    "Loopback",
    "LoopbackBinance",
    "Reply",
    "Request",
    "banned",
    "chance",
    "every",
    "garbled",
    "nth",
    "reset",
    "server_error",
    "stalled",
    "too_many_requests",
    "truncated",
]
