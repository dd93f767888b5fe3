"""Rows written by hand, for ``made_market``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any


def at(hour: float, day: int = 1) -> datetime:
    """A time in January 2024."""
    return datetime(2024, 1, day, tzinfo=UTC) + timedelta(hours=hour)


def listed(
    symbol: str = "BTCUSDT", kind: str = "perp", base: str = "BTC", quote: str = "USDT", exchange: str = "binance",
    **more: Any,
) -> dict[str, Any]:  # fmt: skip
    """An instrument that trades from 1 January 2024 on, last seen on the 20th."""
    identity = {"exchange": exchange, "instrument_type": kind, "symbol": symbol, "base": base, "quote": quote}
    terms = {"venue_symbol": symbol, "settle": quote, "multiplier": 1.0, "contract_size": 1.0, "inverse": False}
    life = {"status": "trading", "listing_time": at(0), "observed_at": at(0, day=20)}
    return identity | terms | life | more
