"""Parsers of live liquidation messages, to events and to rows. Pure: no I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, NamedTuple

from cexkit.errors import PayloadError
from cexkit.exchanges.base import Event, Stream
from cexkit.exchanges.registry import EXCHANGES
from cexkit.exchanges.terms import Terms
from cexkit.schema.intervals import from_ms
from cexkit.schema.symbols import Instrument

if TYPE_CHECKING:
    import pyarrow as pa

#: The streams of the venues that have one.
STREAMS: Mapping[str, Stream] = {name: venue.stream for name, venue in EXCHANGES.items() if venue.stream}


class Received(NamedTuple):
    """The content of one raw message."""

    events: list[Event]
    #: Events of another market, which are left out.
    skipped: int
    #: True if the message carries data of a channel, so that the connection delivers.
    delivers: bool


def read_message(stream: Stream, body: bytes) -> Received:
    """Return the content of one raw message.

    Raises
    ------
    PayloadError
        If the message is not what the venue promises.

    Examples
    --------
    >>> body = (
    ...     b'{"e":"forceOrder","o":{"s":"BTCUSD_PERP","S":"SELL","ap":"50000","z":"3","T":1,"st":2}}'
    ... )
    >>> read_message(STREAMS["binance"], body)
    Received(events=[], skipped=1, delivers=True)
    """
    try:
        message = json.loads(body)
        received = Received(list(stream.events(message)), stream.skipped(message), stream.delivers(message))
        for event in received.events:
            from_ms(event.ms)
            if not (event.quantity.is_finite() and abs(event.price) < float("inf")):
                raise ValueError("price and quantity must be finite")
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise PayloadError(stream.endpoint, f"{type(error).__name__}: {error}") from error
    except InvalidOperation:
        raise PayloadError(stream.endpoint, "quantity must be a number") from None
    return received


def read_events(stream: Stream, body: bytes) -> list[Event]:
    """Return the events of one raw message; events of another market are left out.

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
    return read_message(stream, body).events


def liquidations_of(
    exchange: str, messages: Iterable[bytes], instruments: Terms | Iterable[Instrument]
) -> tuple[pa.Table, list[str]]:
    """Convert messages to rows of table ``liquidations``. Pure.

    Parameters
    ----------
    exchange : str
        Venue of the messages.
    messages : iterable of bytes
        Raw messages. A repeated message is a replay and counts once.
    instruments : Terms or iterable of Instrument
        Instruments to which the venue's names refer. ``Terms`` give each event the contract value at its time; plain
        instruments are taken to have the same terms at all times.

    Returns
    -------
    tuple of pyarrow.Table and list of str
        Rows, and problems: malformed messages and names without an instrument.
    """
    import polars as pl

    from cexkit.schema import TABLES
    from cexkit.schema.render import to_pyarrow

    stream = STREAMS[exchange]
    terms = instruments if isinstance(instruments, Terms) else _unchanging(exchange, instruments)
    problems: list[str] = []
    rows = []
    for number, body in enumerate(dict.fromkeys(messages)):
        try:
            events = read_events(stream, body)
        except PayloadError as error:
            problems.append(str(error))
            continue
        for event in events:
            if (instrument := terms.named(event.venue_symbol, from_ms(event.ms))) is None:
                problems.append(f"{stream.endpoint}: no instrument {event.venue_symbol!r} is listed")
            else:
                rows.append(_row(stream, instrument, event) | {"_message": number})
    schema = to_pyarrow(TABLES["liquidations"])
    if not rows:
        return schema.empty_table(), problems
    frame = pl.DataFrame(rows, infer_schema_length=None)
    row_key = ["exchange", "instrument_type", "symbol", "timestamp", "side", "price", "quantity_base"]
    event_key = row_key if stream.counts_messages else [*row_key, "_message"]
    frame = frame.with_columns(event=pl.int_range(pl.len()).over(event_key)).unique(
        [*row_key, "event"], keep="first", maintain_order=True
    )
    return frame.select(schema.names).to_arrow().cast(schema), list(dict.fromkeys(problems))


def _unchanging(exchange: str, instruments: Iterable[Instrument]) -> Terms:
    return Terms((None, instrument) for instrument in instruments if instrument.exchange == exchange)


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
