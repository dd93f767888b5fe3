"""Bybit's stream of liquidations.

Bybit sends every event. ``S`` is the side of the **position**: Buy was a long. The price is the bankruptcy price.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from cexkit.errors import VenueError
from cexkit.exchanges.base import Event, Side, Stream
from cexkit.schema.symbols import Instrument

#: Maximum number of topics per message.
TOPICS = 100


def _items(message: Any) -> Iterator[Any]:
    if str(message.get("topic", "")).startswith("allLiquidation."):
        yield from message["data"]


def _event(item: Any) -> Event:
    side: Side = {"Buy": "long", "Sell": "short"}[item["S"]]  # type: ignore[assignment]
    return Event(str(item["s"]), int(item["T"]), side, float(item["p"]), Decimal(item["v"]))


def _subscribe(instruments: Sequence[Instrument]) -> list[str]:
    topics = [f"allLiquidation.{one.venue_symbol}" for one in instruments]
    parts = [topics[start : start + TOPICS] for start in range(0, len(topics), TOPICS)]
    return [json.dumps({"op": "subscribe", "args": part}) for part in parts]


def _grants(message: Any) -> bool:
    if not isinstance(message, dict) or message.get("op") != "subscribe":
        return False
    if not message.get("success"):
        raise VenueError(f"bybit refused a subscription: {message.get('ret_msg')}")
    return True


def _delivers(message: Any) -> bool:
    return "topic" in message


STREAM = Stream(
    endpoint="stream.allLiquidation",
    url="wss://stream.bybit.com/v5/public/linear",
    coverage="full",
    price_type="bankruptcy",
    subscribe=_subscribe,
    grants=_grants,
    items=_items,
    event=_event,
    delivers=_delivers,
    # The venue sends the running bar every 1 to 60 seconds.
    heartbeat='{"op":"subscribe","args":["kline.1.BTCUSDT"]}',
    ping='{"op":"ping"}',
    counts_messages=True,
)
