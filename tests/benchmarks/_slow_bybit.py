"""Separate process: a loopback Bybit at the venue's real limit, behind a network with latency, until stdin closes.

Prints its base URLs as a line of JSON; for each line on stdin, prints the times and statuses of the requests since the
line before.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta

import polars as pl

from cexkit.schema.intervals import utc
from cexkit.testing import LoopbackBybit
from cexkit.testing.simulation import simulate

START, NOW = "2025-06-01", "2026-06-02T00:00:05"
DAYS = 366


def minutes() -> pl.DataFrame:
    """A year of minute bars of one perp."""
    bars = simulate(start="2026-06-01", end="2026-06-02", coins=["BTC"], exchanges=["bybit"]).tables["ohlcv_1h"]
    one = bars.filter(instrument_type="perp", symbol="BTCUSDT").head(1).drop("timestamp")
    times = pl.datetime_range(utc(START), utc(START) + timedelta(days=DAYS), "1m", closed="left", eager=True)
    return pl.DataFrame({"timestamp": times.dt.cast_time_unit("us")}).join(one, how="cross").select(bars.columns)


def main(latency: float, jitter: float) -> None:
    """Serve until stdin closes."""
    truth = simulate(start="2026-06-01", end="2026-06-02", coins=["BTC"], exchanges=["bybit"]).tables
    listed = truth["instruments"].with_columns(listing_time=pl.lit(utc(START)).cast(pl.Datetime("us", "UTC")))
    bounds = (latency - jitter, latency + jitter)
    with LoopbackBybit({"instruments": listed, "ohlcv_1m": minutes()}, now=NOW, latency_seconds=bounds) as venue:
        print(json.dumps(dict(venue.settings.base_urls)), flush=True)
        seen = 0
        for _ in sys.stdin:
            new = venue.log[seen:]
            seen += len(new)
            print(json.dumps([[entry.request.at, entry.status] for entry in new]), flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]))
