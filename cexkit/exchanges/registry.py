"""Registry of the venues cexkit reads. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cexkit.errors import UnknownNameError
from cexkit.exchanges.base import Exchange
from cexkit.exchanges.binance.descriptor import EXCHANGE as BINANCE
from cexkit.exchanges.bybit.descriptor import EXCHANGE as BYBIT
from cexkit.exchanges.coinbase.descriptor import EXCHANGE as COINBASE
from cexkit.exchanges.okx.descriptor import EXCHANGE as OKX
from cexkit.exchanges.parsing import Context
from cexkit.schema.names import resolve

if TYPE_CHECKING:
    import pyarrow as pa

EXCHANGES: dict[str, Exchange] = {
    "binance": BINANCE,
    "bybit": BYBIT,
    "coinbase": COINBASE,
    "okx": OKX,
}


def exchange(name: str) -> Exchange:
    """Return the descriptor of a venue.

    Raises
    ------
    UnknownNameError
        If the venue is unknown; the message lists the valid names.

    Examples
    --------
    >>> exchange("binance").instrument_types("funding_rates")
    ('perp',)
    >>> exchange("binanse")
    Traceback (most recent call last):
    cexkit.errors.UnknownNameError: unknown exchange 'binanse'; did you mean 'binance'? Available: ...
    """
    try:
        return EXCHANGES[name]
    except (KeyError, TypeError):
        raise UnknownNameError.of("exchange", name, EXCHANGES) from None


def resolve_exchange(name: str) -> str:
    """Return the name of the venue that a user's name means, in any case.

    Raises
    ------
    UnknownNameError
        If the venue is unknown; the message lists the valid names.

    Examples
    --------
    >>> resolve_exchange("BINANCE")
    'binance'
    """
    return resolve("exchange", name, EXCHANGES)


def parse_response(exchange_name: str, endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Parse one response, fresh or from Bronze. Pure: the same bytes and context give the same table.

    Parameters
    ----------
    exchange_name, endpoint : str
        Where the response came from (``Page.endpoint``).
    body : bytes
        The response's body.
    context : Context
        Context that was stored with the response.

    Returns
    -------
    pyarrow.Table
        Rows that conform to ``context.table``. For a companion, the columns that :func:`join_companions`
        requires.

    Raises
    ------
    PayloadError
        If the body is not what the endpoint promises.

    Examples
    --------
    >>> from cexkit.schema.intervals import Window, utc
    >>> from cexkit.schema.symbols import Instrument
    >>> btc = Instrument(exchange="binance", instrument_type="perp", symbol="BTCUSDT", venue_symbol="BTCUSDT",
    ...                  base="BTC", quote="USDT")
    >>> context = Context(exchange="binance", table="funding_rates", now=utc("2024-01-02"), instrument=btc,
    ...                   window=Window.of("2024-01-01", "2024-01-02"))
    >>> body = b'[{"symbol":"BTCUSDT","fundingTime":1704067200004,"fundingRate":"0.0001","markPrice":""}]'
    >>> parse_response("binance", "um.fundingRate", body, context).select(["timestamp", "funding_rate"]).to_pylist()
    [{'timestamp': datetime.datetime(2024, 1, 1, 0, 0, tzinfo=...), 'funding_rate': 0.0001}]
    """
    return exchange(exchange_name).parser(context.table, endpoint)(body, context)


def join_companions(
    exchange_name: str, endpoint: str, instruments: pa.Table, companions: Mapping[str, pa.Table]
) -> pa.Table:
    """Complete parsed instruments with data from the venue's other endpoints. Pure.

    Parameters
    ----------
    exchange_name, endpoint : str
        Source of ``instruments``.
    instruments : pyarrow.Table
        Instruments parsed by :func:`parse_response`.
    companions : mapping of endpoint to pyarrow.Table
        Parsed companion responses. A missing companion leaves its columns null.
    """
    source = exchange(exchange_name).endpoint("instruments", endpoint)
    return source.join(instruments, companions) if source.join else instruments
