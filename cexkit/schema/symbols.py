"""Instruments and their canonical names.

``exchange``, ``instrument_type`` and ``symbol`` identify an instrument. The canonical symbol is
``BASEQUOTE`` in upper case, ``-YYYYMMDD`` appended for a dated contract and ``:SETTLE`` where
settlement is not in the quote currency. It is made here, from facts, and never parsed back: every
row of data also carries ``base`` and ``quote``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal, get_args

InstrumentType = Literal["spot", "perp", "future"]
INSTRUMENT_TYPES: tuple[str, ...] = get_args(InstrumentType)

# A venue quotes 1000 PEPE as one unit and says so only in the name. "1M" is read so for the one coin
# it is used with: other names may well begin with it.
_MULTIPLIED = re.compile(r"(?P<n>1000000|100000|10000|1000)(?P<prefixed>[A-Z][A-Z0-9]*)|(?P<suffixed>[A-Z]+)1000")
_MILLION = {"1MBABYDOGE": "BABYDOGE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One tradable instrument of one venue, as far as reading its data needs it.

    ``venue_symbol`` is the name the venue's own API takes, ``base`` is without multiplier. A venue that
    counts in contracts counts ``contract_size`` units of base in each (of quote, if ``inverse``).
    """

    exchange: str
    instrument_type: InstrumentType
    symbol: str
    venue_symbol: str
    base: str
    quote: str
    contract_size: float = 1.0
    inverse: bool = False

    def __str__(self) -> str:
        return f"{self.exchange} {self.instrument_type} {self.symbol}"

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Instrument:
        """The instrument of a row of table ``instruments``."""
        return cls(**{part.name: row[part.name] for part in fields(cls)})


def canonical(base: str, quote: str, *, settle: str | None = None, expiry: datetime | None = None) -> str:
    """The canonical symbol of an instrument.

    Parameters
    ----------
    base, quote : str
        Currencies as the venue lists them, the multiplier included (``1000PEPE``).
    settle : str, optional
        Settlement currency; shown only where it is not the quote.
    expiry : datetime, optional
        Delivery time of a dated contract (UTC).

    Examples
    --------
    >>> canonical("BTC", "USDT")
    'BTCUSDT'
    >>> canonical("btc", "usd", settle="BTC")
    'BTCUSD:BTC'
    >>> from datetime import datetime, timezone
    >>> canonical("BTC", "USDT", expiry=datetime(2021, 9, 24, 8, tzinfo=timezone.utc))
    'BTCUSDT-20210924'
    """
    name = f"{base}{quote}".upper()
    if expiry is not None:
        name += f"-{expiry:%Y%m%d}"
    if settle is not None and settle.upper() != quote.upper():
        name += f":{settle.upper()}"
    return name


def split_multiplier(listed: str) -> tuple[str, int]:
    """The coin and how many of it one listed unit is.

    Examples
    --------
    >>> split_multiplier("1000PEPE"), split_multiplier("SHIB1000"), split_multiplier("1INCH")
    (('PEPE', 1000), ('SHIB', 1000), ('1INCH', 1))
    """
    if listed in _MILLION:
        return _MILLION[listed], 1_000_000
    match = _MULTIPLIED.fullmatch(listed)
    if match is None:
        return listed, 1
    return (match["prefixed"], int(match["n"])) if match["prefixed"] else (match["suffixed"], 1000)
