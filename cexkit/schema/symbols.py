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

#: A unit of 1,000 coins or more, as venues write it before or after the coin: 1 and at least three zeros. No coin has
#: a name that begins or ends so; other digits (``1INCH``, ``0G``, ``SPX6900``, ``BROCCOLI714``) belong to the name.
_MULTIPLIED = re.compile(r"(?P<before>10{3,})(?P<prefixed>[^\W\d_].*)|(?P<suffixed>.*[^\W\d_])(?P<after>10{3,})")
#: Names that write a million otherwise. "1M" cannot be a rule, because ``1MIL`` is a coin.
_MILLION = {"1MBABYDOGE": "BABYDOGE"}
#: What no rule explains and may be a unit: a run of zeros at an end of a base, or in the number that it begins with,
#: and ``1K``, ``1M``, or ``1B`` before a name of three letters or more.
_UNCLEAR = re.compile(r"\d*0{3,}.*|.*0{3,}|1[KMB][^\W\d_]{3,}.*")
#: A number in a venue's name that would be a multiplier at the end of a base.
_POWER = re.compile(r"(?<!\d)10{3,}(?!\d)")


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


def split_multiplier(listed: str, asset_class: str | None = None) -> tuple[str, int]:
    """Return the coin that a venue lists, and how many of it one listed unit is.

    This is the only place that reads a multiplier from a name. It takes the venue's own field for the base
    (``baseAsset``, ``baseCoin``), never a symbol.

    Parameters
    ----------
    listed : str
        Base as the venue lists it.
    asset_class : str, optional
        Class of what is priced, if the venue states it. Only coins are listed by the thousand: the name of an index
        or a stock is never split.

    Returns
    -------
    tuple of str and int
        Base without multiplier, and coins per unit. A name that no rule explains is returned unchanged with 1.

    Examples
    --------
    >>> split_multiplier("1000PEPE"), split_multiplier("SHIB1000"), split_multiplier("10000000AIDOGE")
    (('PEPE', 1000), ('SHIB', 1000), ('AIDOGE', 10000000))
    >>> split_multiplier("1INCH"), split_multiplier("SPX6900")
    (('1INCH', 1), ('SPX6900', 1))
    """
    if asset_class not in (None, "crypto"):
        return listed, 1
    if listed in _MILLION:
        return _MILLION[listed], 1_000_000
    match = _MULTIPLIED.fullmatch(listed)
    if match is None:
        return listed, 1
    return match["prefixed"] or match["suffixed"], int(match["before"] or match["after"])


def has_unclear_unit(base: str, multiplier: float, venue_symbol: str) -> bool:
    """Return True if an instrument's names show a number that may be a multiplier and was not read as one.

    Parameters
    ----------
    base : str
        Base without multiplier.
    multiplier : float
        Coins per unit of base.
    venue_symbol : str
        Name of the instrument on the venue.

    Examples
    --------
    >>> has_unclear_unit("RUSSELL2000", 1.0, "RUSSELL2000USDT"), has_unclear_unit("PEPE", 1000.0, "1000PEPEUSDT")
    (True, False)
    """
    return bool(_UNCLEAR.fullmatch(base) or (multiplier == 1 and _POWER.search(venue_symbol)))
