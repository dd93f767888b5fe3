"""Separate process: four loopback venues with as many perps as requested, until stdin closes.

Prints one line of JSON: the base URLs, and when the days begin, end, and the next one ends.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import polars as pl

from cexkit.schema.intervals import utc
from cexkit.testing import LOOPBACKS
from cexkit.testing.market import moved
from cexkit.testing.simulation import simulate

#: Listed as perps by all four venues.
COINS = ("BTC", "ETH", "SOL", "XRP", "DOGE")
TABLES = ("instruments", "funding_rates", "open_interest", "ohlcv_1h")
#: Those of a refresh of all tables.
ALL_TABLES = (*TABLES, "ohlcv_1m", "ohlcv_1d", "mark_1h", "index_1h")
END = "2026-06-25"
#: A part of the time that is simulated.
REPEAT = timedelta(days=400)


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


def history(start: datetime, tables: tuple[str, ...] = TABLES) -> dict[str, pl.DataFrame]:
    """Return tables from a time on; what is older than the simulated time repeats it."""
    frames, end = [], utc(END)
    while (before := len(frames) * REPEAT) < end - start:
        first = max(start + before, end - REPEAT)
        frames.append(moved(simulate(start=first, end=END, coins=COINS).tables, -before))
    longest = {name: pl.concat([frame[name] for frame in reversed(frames)]) for name in tables}
    # listed long before all of it
    listed = frames[0]["instruments"].with_columns(pl.col("listing_time").dt.offset_by("-10y"))
    return longest | {"instruments": listed}


def main(symbols: int, days: int, latency: float = 0.0, hours: int = 24, all_tables: int = 0) -> None:
    """Serve the days before so many hours before the end of one more; each line on stdin makes it that end, once."""
    tables = ALL_TABLES if all_tables else TABLES
    start = utc(END) - timedelta(days=days + 1)
    by = utc(datetime.now(UTC).date()) - utc(END)
    truth = history(start, tables)
    frames = {name: copies(frame, symbols) for name, frame in moved({x: truth[x] for x in tables}, by).items()}
    last = utc(END) + by
    with ExitStack() as stack:
        clock = last - timedelta(hours=hours) + timedelta(seconds=10)
        makers = LOOPBACKS.values()
        venues = [stack.enter_context(make(frames, now=clock, latency_seconds=latency)) for make in makers]
        urls = {api: url for venue in venues for api, url in venue.settings.base_urls.items()}
        moments = [(start + by).isoformat(), (last - timedelta(days=1)).isoformat(), last.isoformat()]
        print(json.dumps({"base_urls": urls, "days": moments}), flush=True)
        for _ in sys.stdin:
            for venue in venues:
                venue.now = last + timedelta(seconds=10)
            print("a day later", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]), *map(float, sys.argv[3:4]), *map(int, sys.argv[4:6]))
