"""Public function ``fetch`` and the fetcher that it shares between calls."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cexkit.exchanges.fetcher import Fetcher
from cexkit.schema.intervals import TimeLike
from cexkit.schema.symbols import InstrumentType

if TYPE_CHECKING:
    import pyarrow as pa

_default: Fetcher | None = None
_default_lock = threading.Lock()


def _default_fetcher() -> Fetcher:
    global _default
    with _default_lock:
        _default = _default or Fetcher()
        return _default


def fetch(
    exchange: str,
    table: str,
    symbol: str | None = None,
    start: TimeLike | None = None,
    end: TimeLike | None = None,
    *,
    instrument_type: InstrumentType | None = None,
) -> pa.Table:
    """Read a table of one instrument from an exchange.

    Parameters
    ----------
    exchange : str
        Name of the venue, such as ``"binance"``.
    table : str
        Name of a table, such as ``"funding_rates"`` or ``"ohlcv_1h"``; ``"instruments"`` for what
        the venue lists (symbol and times may be left out then).
    symbol : str
        Canonical symbol (``"BTCUSDT"``, ``"BTCUSDT-20240628"``), or the venue's own name.
    start, end : str, date or datetime
        Half-open UTC window, ``start <= timestamp < end``; naive times are UTC. ``end`` is now by
        default.
    instrument_type : {"spot", "perp", "future"}, optional
        Needed where the symbol means several.

    Returns
    -------
    pyarrow.Table
        In the table's declared schema, sorted by key, each key once, finished bars only. Without
        rows where the venue has none. Whether bars are missing is not checked: a venue leaves out
        bars in outages, and some leave out bars without trades.

    Raises
    ------
    UnknownNameError
        No such venue, table or instrument; the message lists what there is.
    AmbiguousInstrumentError
        The symbol means several instruments.
    NotOfferedError, NotReadYetError
        The venue does not publish it; cexkit does not read it yet.
    FetchError
        The venue could not be read.
    PayloadError
        A response is not what the endpoint promises; nothing is returned then.

    Examples
    --------
    >>> from cexkit.exchanges.fetch import fetch
    >>> fetch("binanse", "funding_rates", "BTCUSDT", "2024-01-01")
    Traceback (most recent call last):
    cexkit.errors.UnknownNameError: unknown exchange 'binanse'; did you mean 'binance'? There are: binance, ...
    """
    return _default_fetcher().fetch(exchange, table, symbol, start, end, instrument_type=instrument_type)
