from __future__ import annotations

import polars as pl
import pytest

from cexkit.testing.simulation import SimulatedMarket, simulate


@pytest.fixture(scope="session")
def market() -> SimulatedMarket:
    """All of simulated history; do not ask it for one-minute bars."""
    return simulate()


@pytest.fixture(scope="session")
def may() -> SimulatedMarket:
    """Ten days that have everything, minutes and liquidations too."""
    return simulate(start="2026-05-16", end="2026-05-26")


def one(frame: pl.DataFrame, exchange: str, symbol: str, instrument_type: str = "perp") -> pl.DataFrame:
    """Rows of one instrument."""
    return frame.filter(exchange=exchange, symbol=symbol, instrument_type=instrument_type)


@pytest.fixture(scope="session", name="one")
def _one():
    return one
