"""Four years of real settlements through the whole path, and the real list of instruments.

Loopback Binance in wire form, with the jitter the venue had → Bronze → Silver → connect → accessor.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from datetime import UTC, datetime

import polars as pl
import pytest

import cexkit
from cexkit.schema import TABLES
from cexkit.schema.render import to_polars
from cexkit.testing import LoopbackBinance
from cexkit.warehouse.ingest.pull import pull

SYMBOLS = ["BTCUSDT", "ETHUSDT"]
SETTLEMENTS = 4383


def _rows(path) -> list[tuple[int, float]]:
    with path.open() as file:
        return [(int(row["funding_time_ms"]), float(row["funding_rate"])) for row in csv.DictReader(file)]


def _feed(history: dict[str, list[tuple[int, float]]]) -> dict[str, pl.DataFrame]:
    funding, listed = [], []
    for symbol, rows in history.items():
        raw = pl.Series([ms for ms, _ in rows]).cast(pl.Datetime("ms", "UTC")).cast(pl.Datetime("us", "UTC"))
        identity = {
            "exchange": "binance",
            "instrument_type": "perp",
            "symbol": symbol,
            "base": symbol.removesuffix("USDT"),
            "quote": "USDT",
        }
        funding.append(
            pl.select(
                **{name: pl.lit(value) for name, value in identity.items()},
                timestamp=raw.dt.truncate("1m"),
                funding_rate=pl.Series([rate for _, rate in rows]),
                funding_interval_hours=pl.lit(None, pl.Float64),
                mark_price=pl.lit(None, pl.Float64),
                index_price=pl.lit(None, pl.Float64),
                venue_timestamp=raw,
            )
        )
        terms = {"settle": "USDT", "multiplier": 1.0, "contract_size": 1.0, "inverse": False, "status": "trading"}
        moments = {"listing_time": datetime(2019, 9, 25, tzinfo=UTC), "observed_at": datetime(2024, 1, 2, tzinfo=UTC)}
        listed.append(identity | terms | moments | {"venue_symbol": symbol, "funding_interval_hours": 8.0})
    instruments = pl.DataFrame(listed, schema=to_polars(TABLES["instruments"]))
    return {"funding_rates": pl.concat(funding), "instruments": instruments}


@pytest.fixture(scope="module")
def history(shared):
    return {symbol: _rows(shared / "real" / f"binance_{symbol}_funding_utc.csv") for symbol in SYMBOLS}


@pytest.fixture(scope="module")
def market(history, tmp_path_factory):
    from cexkit.exchanges.fetcher import Fetcher

    root = tmp_path_factory.mktemp("warehouse")
    with LoopbackBinance(_feed(history), now="2024-01-02") as venue, Fetcher(venue.settings) as fetcher:
        report = pull("binance", "funding_rates", start="2020-01-01", end="2024-01-01", warehouse=root, fetcher=fetcher)
    assert report.problems == ()
    assert report.quarantined == 0
    assert report.rows == 2 * SETTLEMENTS + 4  # plus two instruments and their periods
    return cexkit.connect(root)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_cumulative_funding_per_year_equals_the_plain_sum(market, history, symbol):
    sums: dict[int, list[float]] = defaultdict(list)
    for ms, rate in history[symbol]:
        sums[datetime.fromtimestamp(ms / 1000, UTC).year].append(rate)
    for year, rates in sums.items():
        rows = market.table("funding_rates", start=f"{year}-01-01", end=f"{year + 1}-01-01", symbol=symbol).to_pandas()
        total = rows.crypto.cumulative_funding()[rows.timestamp.idxmax()]
        assert len(rows) == len(rates)
        assert total == pytest.approx(math.fsum(rates), abs=1e-12)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_no_settlement_is_lost_doubled_or_taken_for_a_gap(market, history, symbol):
    rows = market.table("funding_rates", symbol=symbol).order_by("timestamp").to_polars()
    assert rows.height == rows["timestamp"].n_unique() == SETTLEMENTS
    assert rows["venue_timestamp"].dt.epoch("ms").to_list() == [ms for ms, _ in history[symbol]]
    assert rows["funding_rate"].to_list() == [rate for _, rate in history[symbol]]
    assert rows["funding_interval_hours"].unique().to_list() == [8.0]
    for frame in (rows, rows.drop("funding_interval_hours")):
        flagged = frame.crypto.funding_interval()
        assert flagged["is_gap"].sum() == 0
        assert flagged["funding_interval_hours"].unique().to_list() == [8.0]


def test_the_annual_rate_needs_no_argument(market):
    frame = market.funding_rates.to_polars()
    expected = frame["funding_rate"] * 3 * 365
    assert (frame.crypto.funding_apr() - expected).abs().max() < 1e-12
