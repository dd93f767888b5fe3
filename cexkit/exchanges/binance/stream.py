"""Binance's stream of liquidations.

Binance sends at most one order per symbol and second, always the latest. Totals are too low in every cascade, so its
events are ``throttled``. ``S`` is the side of the order: SELL closed a long. The price is the average fill.

Since 2026-06-30 the stream also carries coin-margined contracts, whose quantities are contracts. ``st`` in the order
names the market: 1 for USD-M, 2 for COIN-M. Older messages lack it; the form of the symbol tells them apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from cexkit.exchanges.base import Event, Side, Stream

#: Value of ``st`` for USD-M.
USD_M = "1"
_COIN_M_SYMBOL = re.compile(r"[^_]+USD_(PERP|\d{6})")


def _items(message: Any) -> Iterator[Any]:
    return (order for order in _orders(message) if _is_usd_m(order))


def _event(order: Any) -> Event:
    side: Side = {"SELL": "long", "BUY": "short"}[order["S"]]  # type: ignore[assignment]
    return Event(str(order["s"]), int(order["T"]), side, float(order["ap"]), Decimal(order["z"]))


def _skipped(message: Any) -> int:
    return sum(not _is_usd_m(order) for order in _orders(message))


def _orders(message: Any) -> Iterator[Any]:
    """Yield the liquidation orders of a message, whether it is wrapped or not."""
    found = message.get("data", message)
    for event in found if isinstance(found, list) else [found]:
        if not isinstance(event, dict):
            yield {"st": None}  # no order can be read from it, which is reported
        elif event.get("e") == "forceOrder":
            order = event.get("o")
            yield {"st": event.get("st")} | (order if isinstance(order, dict) else {})


def _is_usd_m(order: Any) -> bool:
    if order["st"] is None:
        return _COIN_M_SYMBOL.fullmatch(str(order.get("s"))) is None
    return str(order["st"]) == USD_M


def _delivers(message: Any) -> bool:
    found = message.get("data", message)
    return isinstance(found, list) or (isinstance(found, dict) and isinstance(found.get("e"), str))


STREAM = Stream(
    endpoint="stream.forceOrder",
    # The URL names the streams, so no subscription is needed. Both are under /market. Without that path, the venue
    # connects and acknowledges but delivers neither. The mark price comes every three seconds.
    url="wss://fstream.binance.com/market/stream?streams=!forceOrder@arr/btcusdt@markPrice",
    coverage="throttled",
    price_type="average_fill",
    items=_items,
    event=_event,
    delivers=_delivers,
    skipped=_skipped,
)
