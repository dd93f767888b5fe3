"""OKX's stream of liquidations.

OKX counts in contracts, at the bankruptcy price, and shows the newest events again after each subscription. It sends at
most one order a contract and second: ``throttled``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from cexkit.errors import VenueError
from cexkit.exchanges.base import Event, Side, Stream
from cexkit.schema.symbols import Instrument


def _items(message: Any) -> Iterator[Any]:
    """Yield the details of all instruments, each with the item that holds it."""
    if message.get("arg", {}).get("channel") != "liquidation-orders" or "data" not in message:
        return
    for item in message["data"]:
        details = item.get("details") if isinstance(item, dict) else None
        yield from ((item, detail) for detail in (details if isinstance(details, list) else [None]))


def _event(pair: Any) -> Event:
    item, detail = pair
    side: Side = {"sell": "long", "buy": "short"}[detail["side"]]  # type: ignore[assignment]
    if detail.get("posSide") in ("long", "short") and detail["posSide"] != side:
        raise ValueError(f"a {detail['posSide']} position closed by an order to {detail['side']}")
    return Event(str(item["instId"]), int(detail["ts"]), side, float(detail["bkPx"]), Decimal(detail["sz"]))


def _subscribe(instruments: Sequence[Instrument]) -> list[str]:
    kinds = dict.fromkeys({"perp": "SWAP", "future": "FUTURES"}[one.instrument_type] for one in instruments)
    return [
        json.dumps({"op": "subscribe", "args": [{"channel": "liquidation-orders", "instType": kind}]}) for kind in kinds
    ]


def _grants(message: Any) -> bool:
    event = message.get("event") if isinstance(message, dict) else None
    if event == "error":
        raise VenueError(f"okx refused a subscription: {message.get('code')} {message.get('msg')}")
    return event == "subscribe"


def _delivers(message: Any) -> bool:
    return "arg" in message and "data" in message


STREAM = Stream(
    endpoint="stream.liquidation-orders",
    url="wss://ws.okx.com:8443/ws/v5/public",
    coverage="throttled",
    price_type="bankruptcy",
    subscribe=_subscribe,
    grants=_grants,
    items=_items,
    event=_event,
    delivers=_delivers,
    # The venue sends it every three seconds.
    heartbeat='{"op":"subscribe","args":[{"channel":"open-interest","instId":"BTC-USDT-SWAP"}]}',
    ping="ping",
    contracts=True,
)
