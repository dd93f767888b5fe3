"""Reading answers beside what others do with the same bytes, in one run.

See ``test_metrics.py`` for how the table of the docs is made.
"""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
import pytest

from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.http import HttpClient
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.registry import exchange, parse_response
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, utc
from cexkit.schema.render import conform
from cexkit.schema.symbols import Instrument
from cexkit.schema.validate import split
from cexkit.testing import LOOPBACKS, Loopback, Reply
from cexkit.testing.simulation import simulate
from cexkit.warehouse.store.parquet import write_table

#: Venue → its name at ccxt, and where the candles lie in a page.
VENUES = {
    "binance": ("binance", lambda body: body),
    "bybit": ("bybit", lambda body: body["result"]["list"]),
    "coinbase": ("coinbaseexchange", lambda body: body),
    "okx": ("okx", lambda body: body["data"]),
}
START, END = "2025-11-01", "2026-06-25"


@lru_cache
def pages(name: str) -> list[tuple[str, bytes, Context]]:
    """Pages of hourly candles as the loopback venue sends them."""
    truth = simulate(start=START, end=END, coins=["BTC"], exchanges=[name]).tables
    frames = {table: truth[table] for table in ("instruments", "ohlcv_1h")}
    with LOOPBACKS[name](frames, now=f"{END}T00:00:05") as venue, Fetcher(venue.settings) as fetcher:
        instrument = fetcher.resolve(name, "ohlcv_1h", "BTCUSD" if name == "coinbase" else "BTCUSDT", "spot")
        found = fetcher.pages(name, "ohlcv_1h", instrument, Window.of("2026-04-01", END))
        return [(page.endpoint, page.response.body, page.context) for page in found]


@pytest.mark.parametrize("version", ["cexkit", "ccxt"])
@pytest.mark.parametrize("name", VENUES)
def test_candle_pages(benchmark, name, version):
    import ccxt

    benchmark.group = f"candle pages of {name}"
    theirs, candles = VENUES[name]
    client = getattr(ccxt, theirs)()

    def cexkit() -> int:
        return sum(parse_response(name, endpoint, body, context).num_rows for endpoint, body, context in pages(name))

    def by_ccxt() -> int:
        return sum(len(client.parse_ohlcvs(candles(json.loads(body)), None, "1h")) for _, body, _ in pages(name))

    # what lies outside the window is dropped by one and not by the other
    assert 0.99 * by_ccxt() <= cexkit() <= by_ccxt()
    benchmark.pedantic(cexkit if version == "cexkit" else by_ccxt, rounds=15, warmup_rounds=2)


def archive(days: int) -> bytes:
    """A zip as the archive has it: one CSV of 1-minute bars."""
    rows, rng = days * 1440, np.random.default_rng(0)
    opened = 1_704_067_200_000 + 60_000 * np.arange(rows)
    close = np.round(40_000 + np.cumsum(rng.normal(0, 5, rows)), 2)
    lines = [
        f"{at},{c:.2f},{c + 3:.2f},{c - 3:.2f},{c + 1:.2f},{v:.3f},{at + 59_999},{v * c:.4f},{n},{v / 2:.3f},"
        f"{v * c / 2:.4f},0"
        for at, c, v, n in zip(
            opened.tolist(), close.tolist(), rng.uniform(1, 90, rows).tolist(), rng.integers(1, 999, rows).tolist(),
            strict=True,
        )
    ]  # fmt: skip
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("BTCUSDT-1m.csv", "\n".join(lines) + "\n")
    return packed.getvalue()


@pytest.mark.parametrize("version", ["cexkit", "duckdb COPY"])
@pytest.mark.parametrize("days", [31, 366])
def test_archive_files(benchmark, tmp_path, days, version):
    import duckdb
    import polars as pl

    benchmark.group = f"archive zip of {days} days of minutes to Parquet"
    packed, table = archive(days), TABLES["ohlcv_1m"]
    instrument = Instrument(exchange="binance", instrument_type="perp", symbol="BTCUSDT", venue_symbol="BTCUSDT",
                            base="BTC", quote="USDT")  # fmt: skip
    start = utc("2024-01-01")
    context = Context(exchange="binance", table=table.name, now=datetime(2026, 1, 1, tzinfo=UTC), instrument=instrument,
                      window=Window(start, start + timedelta(days=days)))  # fmt: skip
    endpoint = exchange("binance").archives[table.name, "perp"].endpoint

    def cexkit() -> int:
        rows = pl.from_arrow(parse_response("binance", endpoint, packed, context))
        good, bad = split(rows, table)
        assert bad.is_empty()
        write_table(conform(good.sort(table.key).to_arrow(), table), table, tmp_path / "ours.parquet")
        return good.height

    def copy() -> int:
        with zipfile.ZipFile(io.BytesIO(packed)) as file:
            file.extractall(tmp_path)
        duckdb.sql(
            f"COPY (FROM read_csv('{tmp_path}/BTCUSDT-1m.csv')) TO '{tmp_path}/theirs.parquet' (COMPRESSION zstd)"
        )
        return duckdb.sql(f"SELECT count(*) FROM '{tmp_path}/theirs.parquet'").fetchone()[0]

    assert cexkit() == copy() == days * 1440
    benchmark.pedantic(cexkit if version == "cexkit" else copy, rounds=5, warmup_rounds=1)


class _Pong(Loopback):
    def respond(self, request):
        return Reply(body=b"[]")


@pytest.mark.parametrize("version", ["cexkit", "itertools.count under a lock", "httpx GET on loopback"])
def test_sequence_numbers(benchmark, tmp_path, version):
    """What ordering by numbers costs a request: one number, compared with the request itself."""
    import threading
    from itertools import count

    from cexkit.warehouse.store.sequence import Sequence

    benchmark.group = "200 sequence numbers"
    lock, counter, sequence = threading.Lock(), count(1), Sequence(tmp_path)

    def counted() -> int:
        with lock:
            return next(counter)

    with _Pong(now="2026-01-01") as venue, HttpClient() as http:
        one = {"cexkit": sequence.next, "itertools.count under a lock": counted}.get(
            version, lambda: http.get(venue.url).status
        )
        benchmark.pedantic(lambda: [one() for _ in range(200)], rounds=15, warmup_rounds=2)
