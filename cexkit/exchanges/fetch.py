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
        Name of the venue, such as ``"binance"``, in any case.
    table : str
        Name of a table, such as ``"funding_rates"`` or ``"ohlcv_1h"``; ``"instruments"`` for the
        venue's listing (then ``symbol`` and times are optional).
    symbol : str
        Canonical symbol (``"BTCUSDT"``, ``"BTCUSDT-20240628"``), or the venue's own name; else either in another case.
    start, end : str, date or datetime
        Half-open UTC window, ``start <= timestamp < end``; naive times are UTC. ``end`` is now by
        default.
    instrument_type : {"spot", "perp", "future"}, optional
        Required if the symbol matches several instruments.

    Returns
    -------
    pyarrow.Table
        Rows in the table's declared schema: sorted by key, unique by key, completed bars only. Empty
        if the venue has no rows. ``multiplier`` is the one listed now. Quantities that the venue states in contracts
        have the contract value that was listed at their time, as far as this process has read lists; rows before its
        first list have the contract value of this list. :func:`cexkit.pull` knows the lists of all earlier pulls.
        Missing bars are not detected: venues omit bars during outages, and some omit bars without trades.

    Warns
    -----
    ClockSkewWarning
        If the venue's clock and this machine's differ by more than ``CEXKIT_MAX_CLOCK_SKEW_SECONDS``. Bars that are
        not over by the earlier clock are left out.
    QuarantinedRowsWarning
        If rows were left out because they cannot be used, contradict each other, or fail a check of the table.
    UnclearUnitWarning
        If the listing (table ``instruments``) has a name with a number that may be a multiplier.

    Raises
    ------
    UnknownNameError
        If the venue, table, or instrument is unknown; the message lists the valid names.
    AmbiguousInstrumentError
        If the symbol matches several instruments, or several names in another case.
    NotOfferedError, NotReadYetError
        If the venue does not publish the table, or cexkit does not read it yet.
    FetchError
        If the venue cannot be read.
    PayloadError
        If a response is not what the endpoint promises, or none of its rows can be used; no rows are returned.

    Examples
    --------
    >>> from cexkit.exchanges.fetch import fetch
    >>> fetch("binanse", "funding_rates", "BTCUSDT", "2024-01-01")
    Traceback (most recent call last):
    cexkit.errors.UnknownNameError: unknown exchange 'binanse'; did you mean 'binance'? Available: binance, ...
    """
    return _default_fetcher().fetch(exchange, table, symbol, start, end, instrument_type=instrument_type)
