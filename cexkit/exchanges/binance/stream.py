"""Binance's stream of liquidations.

Binance sends at most one order per symbol and second, always the latest. Totals are too low in every cascade, so its
events are ``throttled``. ``S`` is the side of the order: SELL closed a long. The price is the average fill.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from cexkit.exchanges.base import Event, Side, Stream


def _events(message: Any) -> Iterator[Event]:
    found = message.get("data", message)
    if found.get("e") != "forceOrder":
        return
    order = found["o"]
    side: Side = {"SELL": "long", "BUY": "short"}[order["S"]]  # type: ignore[assignment]
    yield Event(str(order["s"]), int(order["T"]), side, float(order["ap"]), Decimal(order["z"]))


STREAM = Stream(
    endpoint="stream.forceOrder",
    # Streams other than the order book are under /market. The URL names the stream, so no subscription is needed.
    url="wss://fstream.binance.com/market/stream?streams=!forceOrder@arr",
    coverage="throttled",
    price_type="average_fill",
    events=_events,
)
