"""Liquidations live: what to say to each venue's websocket, and what its messages hold. No I/O here.

- Binance sends the latest order of a symbol at most once a second: totals are too low in every cascade, so its
  events are ``throttled``. ``S`` is the side of the order: SELL closed a long. The price is the average fill.
- Bybit sends every event. ``S`` is the side of the **position**: Buy was a long. The price is that of bankruptcy.
- OKX counts in contracts, at the bankruptcy price, and shows the newest events again after each subscription. It
  sends at most one order a contract and second.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from cexkit.errors import PayloadError, VenueError
from cexkit.schema.intervals import from_ms
from cexkit.schema.symbols import Instrument

if TYPE_CHECKING:
    import pyarrow as pa

Side = Literal["long", "short"]


class Event(NamedTuple):
    """One liquidation as a venue says it; ``quantity`` is in the venue's unit."""

    venue_symbol: str
    ms: int
    side: Side
    price: float
    quantity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A venue's stream of liquidations."""

    endpoint: str
    url: str
    #: What totals of it are: ``full`` or ``throttled``.
    coverage: str
    price_type: str
    #: What to send first, for these instruments; as many positive answers must come before anything counts.
    subscribe: Callable[[Sequence[Instrument]], list[str]]
    #: Whether a message grants a subscription; raises VenueError where it refuses one.
    grants: Callable[[Any], bool]
    #: Events of a decoded message; none where it is about something else.
    events: Callable[[Any], Iterator[Event]]
    #: What the venue wants to hear every so often, beside the websocket's own pings.
    ping: str | None = None
    #: Whether quantities are contracts.
    contracts: bool = False
    #: Whether two messages that hold the same event mean two events; else one is a replay of the other.
    counts_messages: bool = False


def read_events(stream: Stream, body: bytes) -> list[Event]:
    """Events of one message, as received.

    Raises
    ------
    PayloadError
        If the message is not what the venue promises.

    Examples
    --------
    >>> body = b'{"topic":"allLiquidation.BTCUSDT","data":[{"T":1,"s":"BTCUSDT","S":"Buy","v":"2","p":"50000"}]}'
    >>> read_events(STREAMS["bybit"], body)
    [Event(venue_symbol='BTCUSDT', ms=1, side='long', price=50000.0, quantity=Decimal('2'))]
    """
    try:
        events = list(stream.events(json.loads(body)))
        for event in events:
            from_ms(event.ms)
            if not (event.quantity.is_finite() and abs(event.price) < float("inf")):
                raise ValueError("a number that is none")
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise PayloadError(stream.endpoint, f"{type(error).__name__}: {error}") from error
    except InvalidOperation:
        raise PayloadError(stream.endpoint, "an amount that is no number") from None
    return events


def liquidations_of(
    exchange: str, messages: Iterable[bytes], instruments: Iterable[Instrument]
) -> tuple[pa.Table, list[str]]:
    """Messages as rows of table ``liquidations``. Pure.

    Parameters
    ----------
    exchange : str
        Whose messages.
    messages : iterable of bytes
        As received. A message that stands twice is a replay and counts once.
    instruments : iterable of Instrument
        What the venue's names mean.

    Returns
    -------
    tuple of pyarrow.Table and list of str
        Rows, and what could not be read: malformed messages and names without an instrument.
    """
    import polars as pl

    from cexkit.schema import TABLES
    from cexkit.schema.render import to_pyarrow

    stream = STREAMS[exchange]
    known = {one.venue_symbol: one for one in instruments if one.exchange == exchange and one.instrument_type != "spot"}
    problems: list[str] = []
    rows = []
    for number, body in enumerate(dict.fromkeys(messages)):
        try:
            events = read_events(stream, body)
        except PayloadError as error:
            problems.append(str(error))
            continue
        for event in events:
            if (instrument := known.get(event.venue_symbol)) is None:
                problems.append(f"{stream.endpoint}: no instrument {event.venue_symbol!r} is listed")
            else:
                rows.append(_row(stream, instrument, event) | {"_message": number})
    schema = to_pyarrow(TABLES["liquidations"])
    if not rows:
        return schema.empty_table(), problems
    frame = pl.DataFrame(rows, infer_schema_length=None)
    alike = ["exchange", "instrument_type", "symbol", "timestamp", "side", "price", "quantity_base"]
    apart = alike if stream.counts_messages else [*alike, "_message"]
    frame = frame.with_columns(event=pl.int_range(pl.len()).over(apart)).unique(
        [*alike, "event"], keep="first", maintain_order=True
    )
    return frame.select(schema.names).to_arrow().cast(schema), list(dict.fromkeys(problems))


def _row(stream: Stream, instrument: Instrument, event: Event) -> dict[str, Any]:
    quantity = event.quantity
    if stream.contracts:
        quantity *= Decimal(repr(instrument.contract_size))
    amount = float(quantity)
    if instrument.inverse:
        amount = amount / event.price if event.price else 0.0
    return {
        **{name: getattr(instrument, name) for name in ("exchange", "instrument_type", "symbol", "base", "quote")},
        "timestamp": from_ms(event.ms),
        "side": event.side,
        "price": event.price,
        "price_type": stream.price_type,
        "quantity_base": amount,
        "value_quote": event.price * amount,
        "coverage": stream.coverage,
    }


def _binance_events(message: Any) -> Iterator[Event]:
    found = message.get("data", message)
    if found.get("e") != "forceOrder":
        return
    order = found["o"]
    side: Side = {"SELL": "long", "BUY": "short"}[order["S"]]  # type: ignore[assignment]
    yield Event(str(order["s"]), int(order["T"]), side, float(order["ap"]), Decimal(order["z"]))


def _bybit_events(message: Any) -> Iterator[Event]:
    if not str(message.get("topic", "")).startswith("allLiquidation."):
        return
    for item in message["data"]:
        side: Side = {"Buy": "long", "Sell": "short"}[item["S"]]  # type: ignore[assignment]
        yield Event(str(item["s"]), int(item["T"]), side, float(item["p"]), Decimal(item["v"]))


def _okx_events(message: Any) -> Iterator[Event]:
    if message.get("arg", {}).get("channel") != "liquidation-orders" or "data" not in message:
        return
    for item in message["data"]:
        for detail in item["details"]:
            side: Side = {"sell": "long", "buy": "short"}[detail["side"]]  # type: ignore[assignment]
            if detail.get("posSide") in ("long", "short") and detail["posSide"] != side:
                raise ValueError(f"a {detail['posSide']} position closed by an order to {detail['side']}")
            yield Event(str(item["instId"]), int(detail["ts"]), side, float(detail["bkPx"]), Decimal(detail["sz"]))


def _nothing(instruments: Sequence[Instrument]) -> list[str]:
    return []


def _never(message: Any) -> bool:
    return False


#: Topics that Bybit takes in one message.
_BYBIT_TOPICS = 100


def _bybit_subscribe(instruments: Sequence[Instrument]) -> list[str]:
    topics = [f"allLiquidation.{one.venue_symbol}" for one in instruments]
    parts = [topics[start : start + _BYBIT_TOPICS] for start in range(0, len(topics), _BYBIT_TOPICS)]
    return [json.dumps({"op": "subscribe", "args": part}) for part in parts]


def _bybit_grants(message: Any) -> bool:
    if not isinstance(message, dict) or message.get("op") != "subscribe":
        return False
    if not message.get("success"):
        raise VenueError(f"bybit refused a subscription: {message.get('ret_msg')}")
    return True


def _okx_subscribe(instruments: Sequence[Instrument]) -> list[str]:
    kinds = dict.fromkeys({"perp": "SWAP", "future": "FUTURES"}[one.instrument_type] for one in instruments)
    return [
        json.dumps({"op": "subscribe", "args": [{"channel": "liquidation-orders", "instType": kind}]}) for kind in kinds
    ]


def _okx_grants(message: Any) -> bool:
    event = message.get("event") if isinstance(message, dict) else None
    if event == "error":
        raise VenueError(f"okx refused a subscription: {message.get('code')} {message.get('msg')}")
    return event == "subscribe"


STREAMS: Mapping[str, Stream] = {
    "binance": Stream(
        endpoint="stream.forceOrder",
        # what is not about the book lies under /market; the stream is named in the address, so nothing is granted
        url="wss://fstream.binance.com/market/stream?streams=!forceOrder@arr",
        coverage="throttled",
        price_type="average_fill",
        subscribe=_nothing,
        grants=_never,
        events=_binance_events,
    ),
    "bybit": Stream(
        endpoint="stream.allLiquidation",
        url="wss://stream.bybit.com/v5/public/linear",
        coverage="full",
        price_type="bankruptcy",
        subscribe=_bybit_subscribe,
        grants=_bybit_grants,
        events=_bybit_events,
        ping='{"op":"ping"}',
        counts_messages=True,
    ),
    "okx": Stream(
        endpoint="stream.liquidation-orders",
        url="wss://ws.okx.com:8443/ws/v5/public",
        coverage="throttled",
        price_type="bankruptcy",
        subscribe=_okx_subscribe,
        grants=_okx_grants,
        events=_okx_events,
        ping="ping",
        contracts=True,
    ),
}
