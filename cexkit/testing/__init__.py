"""Public tools for testing code that reads exchanges: loopback venues that speak real HTTP and websockets."""

from cexkit.testing.binance import LoopbackBinance
from cexkit.testing.bybit import LoopbackBybit
from cexkit.testing.coinbase import LoopbackCoinbase
from cexkit.testing.feed import Feed
from cexkit.testing.files import LoopbackFiles
from cexkit.testing.hub import LoopbackHub
from cexkit.testing.loopback import (
    Fault,
    Loopback,
    Reply,
    Request,
    banned,
    chance,
    disordered,
    doubled,
    during,
    emptied,
    error_in_body,
    every,
    garbled,
    misdated,
    nth,
    reset,
    rewritten,
    server_error,
    stalled,
    too_many_requests,
    truncated,
    web_page,
)
from cexkit.testing.market import LOOPBACKS, LoopbackMarket
from cexkit.testing.okx import LoopbackOkx
from cexkit.testing.stream import LoopbackStream
from cexkit.testing.venue import LoopbackVenue

__all__ = [
    "LOOPBACKS",
    "Fault",
    "Feed",
    "Loopback",
    "LoopbackBinance",
    "LoopbackBybit",
    "LoopbackCoinbase",
    "LoopbackFiles",
    "LoopbackHub",
    "LoopbackMarket",
    "LoopbackOkx",
    "LoopbackStream",
    "LoopbackVenue",
    "Reply",
    "Request",
    "banned",
    "chance",
    "disordered",
    "doubled",
    "during",
    "emptied",
    "error_in_body",
    "every",
    "garbled",
    "misdated",
    "nth",
    "reset",
    "rewritten",
    "server_error",
    "stalled",
    "too_many_requests",
    "truncated",
    "web_page",
]
