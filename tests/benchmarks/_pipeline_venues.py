"""A process of its own: four loopback venues with as many perps as asked for, until stdin closes.

Prints one line of JSON: the base URLs, and the first and last moment of the data.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import polars as pl

from cexkit.intervals import utc
from cexkit.simulation import simulate
from cexkit.testing import LOOPBACKS
from cexkit.testing.market import moved

#: Listed as perps by all four venues.
COINS = ("BTC", "ETH", "SOL", "XRP", "DOGE")
TABLES = ("instruments", "funding_rates", "open_interest", "ohlcv_1h")
END = "2026-06-25"


def copies(frame: pl.DataFrame, count: int) -> pl.DataFrame:
    """Perps under other names: BTC00, BTC01 …, so that there are ``count`` a venue."""
    perps = frame.filter(instrument_type="perp")
    names = [name for name in ("symbol", "venue_symbol") if name in frame.columns]

    def renamed(number: int) -> pl.DataFrame:
        new = pl.col("base") + f"{number:02}"
        return perps.with_columns(
            # each of these begins with the coin
            *((new + pl.col(name).str.strip_prefix(pl.col("base"))).alias(name) for name in names),
            base=new,
        )

    return pl.concat([renamed(number) for number in range(count // len(COINS))])


def main(symbols: int, days: int) -> None:
    start = utc(END) - timedelta(days=days)
    by = utc(datetime.now(UTC).date()) - utc(END)
    truth = simulate(start=start, end=END, coins=COINS).tables
    frames = {name: copies(frame, symbols) for name, frame in moved({x: truth[x] for x in TABLES}, by).items()}
    now = utc(END) + by + timedelta(seconds=10)
    with ExitStack() as stack:
        venues = [stack.enter_context(make(frames, now=now)) for make in LOOPBACKS.values()]
        urls = {api: url for venue in venues for api, url in venue.settings.base_urls.items()}
        said = {"base_urls": urls, "start": (start + by).isoformat(), "end": (utc(END) + by).isoformat()}
        print(json.dumps(said), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
