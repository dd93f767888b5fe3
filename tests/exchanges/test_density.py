"""Density of every source: which rows are due, by the venues' documentation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cexkit.errors import InvalidInputError
from cexkit.exchanges.registry import EXCHANGES

DENSE, SPARSE, IRREGULAR = "dense", "sparse", "irregular"
#: Venue → table → density of spot, perp, and future; None: not read.
DENSITIES = {
    "binance": {
        "ohlcv_1m": (DENSE, DENSE, DENSE),
        "ohlcv_1h": (DENSE, DENSE, DENSE),
        "ohlcv_1d": (DENSE, DENSE, DENSE),
        "mark_1h": (None, DENSE, DENSE),
        "index_1h": (None, DENSE, DENSE),
        "funding_rates": (None, IRREGULAR, None),
        "open_interest": (None, DENSE, DENSE),
    },
    "bybit": {
        "ohlcv_1m": (DENSE, DENSE, DENSE),
        "ohlcv_1h": (DENSE, DENSE, DENSE),
        "ohlcv_1d": (DENSE, DENSE, DENSE),
        "mark_1h": (None, DENSE, DENSE),
        "index_1h": (None, DENSE, DENSE),
        "funding_rates": (None, IRREGULAR, None),
        "open_interest": (None, DENSE, DENSE),
    },
    # Coinbase Exchange has no candle of an interval without trades; the derivatives gateway fills it with a flat bar.
    "coinbase": {
        "ohlcv_1m": (SPARSE, DENSE, DENSE),
        "ohlcv_1h": (SPARSE, DENSE, DENSE),
        "ohlcv_1d": (SPARSE, DENSE, DENSE),
        "funding_rates": (None, IRREGULAR, None),
    },
    "okx": {
        "ohlcv_1m": (DENSE, DENSE, DENSE),
        "ohlcv_1h": (DENSE, DENSE, DENSE),
        "ohlcv_1d": (DENSE, DENSE, DENSE),
        "mark_1h": (None, DENSE, DENSE),
        "index_1h": (None, DENSE, DENSE),
        "funding_rates": (None, IRREGULAR, None),
        "open_interest": (None, DENSE, DENSE),
        "liquidations": (None, SPARSE, SPARSE),
    },
}
STATED = {
    (venue, table, kind): density
    for venue, tables in DENSITIES.items()
    for table, densities in tables.items()
    for kind, density in zip(("spot", "perp", "future"), densities, strict=True)
    if density is not None
}


def test_every_source_declares_the_density_of_its_venue():
    declared = {
        (name, *key): source.density
        for name, venue in EXCHANGES.items()
        for key, source in venue.sources.items()
        if key[0] != "instruments"
    }
    assert declared == STATED


def test_every_archive_declares_the_density_of_its_source():
    declared = {
        (name, *key): archive.density for name, venue in EXCHANGES.items() for key, archive in venue.archives.items()
    }
    assert declared
    assert declared == {key: STATED[key] for key in declared}


@pytest.mark.parametrize(
    ("table", "density"), [("ohlcv_1h", None), ("funding_rates", "dense"), ("instruments", "dense")]
)
def test_exchange_with_a_wrong_density_raises(table, density):
    venue = EXCHANGES["okx"]
    source = replace(venue.sources[table, "perp"], density=density)
    with pytest.raises(InvalidInputError, match=f"density of {table} of okx perp must be"):
        replace(venue, sources={(table, "perp"): source})
