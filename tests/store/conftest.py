"""Small conforming tables to write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pyarrow as pa
import pytest

from cexkit.schema import TABLES
from cexkit.schema.render import to_polars


def funding(
    start: str, periods: int, *, symbol: str = "BTCUSDT", exchange: str = "binance", rate: float = 1e-4
) -> pa.Table:
    first = datetime.fromisoformat(start).replace(tzinfo=UTC)
    times = [first + timedelta(hours=8 * i) for i in range(periods)]
    frame = pl.DataFrame(
        {
            "exchange": exchange,
            "instrument_type": "perp",
            "symbol": symbol,
            "base": "BTC",
            "quote": "USDT",
            "timestamp": times,
            "funding_rate": rate,
            "funding_interval_hours": 8.0,
            "mark_price": None,
            "index_price": None,
            "venue_timestamp": times,
        },
        schema=to_polars(TABLES["funding_rates"]),
    )
    return frame.to_arrow()


@pytest.fixture
def make_funding():
    return funding
