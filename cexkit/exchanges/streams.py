"""Parsers of live liquidation messages, to events and to rows. Pure: no I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

from cexkit.errors import PayloadError
from cexkit.exchanges.base import Event, Stream
from cexkit.exchanges.registry import EXCHANGES
from cexkit.exchanges.rows import plain_name, plausible
from cexkit.exchanges.terms import Terms
from cexkit.schema.intervals import from_ms
from cexkit.schema.symbols import Instrument

if TYPE_CHECKING:
    import pyarrow as pa

#: The streams of the venues that have one.
STREAMS: Mapping[str, Stream] = {name: venue.stream for name, venue in EXCHANGES.items() if venue.stream}

#: Largest plausible price and quantity, as in the pages of venues.
MAX_PRICE, MAX_QUANTITY = 1e15, 1e24


class Received(NamedTuple):
    """The content of one raw message."""

    events: list[Event]
    #: Events of another market, which are left out.
    skipped: int
    #: True if the message carries data of a channel, so that the connection delivers.
    delivers: bool


def read_message(
    stream: Stream, body: bytes, received_at: datetime | None = None, problems: list[str] | None = None
) -> Received:
    """Return the content of one raw message; a bad event costs only itself.

    Parameters
    ----------
    stream : Stream
        The venue's stream.
    body : bytes
        The message.
    received_at : datetime, optional
        When it was received: no event is later by a day or more. Default: any time that is plausible at all, see
        :func:`~cexkit.exchanges.rows.plausible`.
    problems : list of str, optional
        Gets what is wrong with events that are left out.

    Raises
    ------
    PayloadError
        If the message is not what the venue promises, or none of its events is.

    Examples
    --------
    >>> body = (
    ...     b'{"e":"forceOrder","o":{"s":"BTCUSD_PERP","S":"SELL","ap":"50000","z":"3","T":1,"st":2}}'
    ... )
    >>> read_message(STREAMS["binance"], body)
    Received(events=[], skipped=1, delivers=True)
    """
    events, bad = [], []
    try:
        message = json.loads(body)
        for item in stream.items(message):
            try:
                events.append(_checked(stream.event(item), received_at))
            except _MALFORMED as error:
                bad.append(PayloadError(stream.endpoint, _text(error)))
        received = Received(events, stream.skipped(message), stream.delivers(message))
    except _MALFORMED as error:
        raise PayloadError(stream.endpoint, _text(error)) from error
    if bad and not events:
        raise bad[0]
    if problems is not None:
        problems += map(str, bad)
    return received


#: What reading a malformed message raises.
_MALFORMED = (
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    IndexError,
    OverflowError,
    RecursionError,
    InvalidOperation,
)


def _text(error: Exception) -> str:
    if isinstance(error, InvalidOperation):
        return "quantity must be a number"
    return f"{type(error).__name__}: {error!s:.200}"


def _checked(event: Event, received_at: datetime | None) -> Event:
    """Return an event; raise ValueError if its name, time, or size is not plausible."""
    plain_name(event.venue_symbol)
    if not plausible(event.ms, received_at):
        raise ValueError(f"time {event.ms} is not in milliseconds, or not plausible")
    if not (event.quantity.is_finite() and abs(event.quantity) < MAX_QUANTITY and abs(event.price) < MAX_PRICE):
        raise ValueError("price and quantity must be finite and plausible")
    return event


def read_events(
    stream: Stream, body: bytes, received_at: datetime | None = None, problems: list[str] | None = None
) -> list[Event]:
    """Return the events of one raw message, see :func:`read_message`; those of another market are left out.

    Examples
    --------
    >>> body = b'{"topic":"allLiquidation.X","data":[{"T":1779148800000,"s":"X","S":"Buy","v":"2","p":"50000"}]}'
    >>> read_events(STREAMS["bybit"], body)
    [Event(venue_symbol='X', ms=1779148800000, side='long', price=50000.0, quantity=Decimal('2'))]
    """
    return read_message(stream, body, received_at, problems).events


def liquidations_of(
    exchange: str, messages: Iterable[bytes] | Mapping[bytes, datetime], instruments: Terms | Iterable[Instrument]
) -> tuple[pa.Table, list[str]]:
    """Convert messages to rows of table ``liquidations``. Pure.

    Parameters
    ----------
    exchange : str
        Venue of the messages.
    messages : iterable of bytes, or mapping of bytes to datetime
        Raw messages, or when each was received. A repeated message is a replay and counts once.
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
    received = messages if isinstance(messages, Mapping) else dict.fromkeys(messages)
    problems: list[str] = []
    rows = []
    for number, (body, received_at) in enumerate(received.items()):
        try:
            events = read_events(stream, body, received_at, problems)
        except PayloadError as error:
            problems.append(str(error))
            continue
        for event in events:
            if (instrument := terms.named(event.venue_symbol, from_ms(event.ms))) is None:
                problems.append(f"{stream.endpoint}: no instrument {event.venue_symbol!r} is listed")
            elif isfinite((row := _row(stream, instrument, event))["quantity_base"] + row["value_quote"]):
                rows.append(row | {"_message": number})
            else:
                problems.append(f"{stream.endpoint}: the size of an event of {event.venue_symbol!r} is not finite")
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
