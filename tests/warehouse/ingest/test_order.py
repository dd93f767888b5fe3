"""Of two responses, the one that was requested later holds, whatever the clocks show and whichever arrives first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from datetime import timedelta

import polars as pl
import pyarrow.parquet as pq
import pytest

from cexkit.exchanges.fetcher import Fetcher
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, utc
from cexkit.schema.symbols import Instrument
from cexkit.testing import LoopbackOkx, every, misdated, nth, stalled
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.bronze import ingest_bronze
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.store.bronze import read_bronze
from cexkit.warehouse.store.warehouse import Warehouse

from ...clock import shift_local_clock

BARS, LISTING = TABLES["ohlcv_1h"], TABLES["instruments"]
SPAN, NOW = Window.of("2026-06-01", "2026-06-03"), "2026-06-08"
CANDLES = "/api/v5/market/history-candles"
SPOT, PERP = (
    Instrument(exchange="okx", instrument_type=kind, symbol="BTCUSDT", venue_symbol=name, base="BTC", quote="USDT")
    for kind, name in (("spot", "BTC-USDT"), ("perp", "BTC-USDT-SWAP"))
)


@pytest.fixture(scope="module")
def truth() -> dict[str, pl.DataFrame]:
    return simulate(start="2026-06-01", end="2026-06-04", coins=["BTC"], exchanges=["okx"]).tables


@pytest.fixture(scope="module")
def corrected(truth) -> dict[str, pl.DataFrame]:
    prices = pl.col("open", "high", "low", "close") * 2
    return {"instruments": truth["instruments"], "ohlcv_1h": truth["ohlcv_1h"].with_columns(prices)}


@pytest.fixture
def warehouse(tmp_path) -> Warehouse:
    return Warehouse(tmp_path)


def bring(venue, warehouse: Warehouse, **more):
    with Fetcher(venue.settings) as fetcher:
        return pull("okx", "ohlcv_1h", "BTCUSDT", SPAN.start, SPAN.end, warehouse=warehouse, fetcher=fetcher, **more)


def closes(warehouse: Warehouse, kind: str = "spot") -> list[float]:
    rows = pl.from_arrow(warehouse.read(BARS)).filter(instrument_type=kind, symbol="BTCUSDT")
    return rows.sort("timestamp")["close"].to_list()


def expected(tables: dict[str, pl.DataFrame], kind: str = "spot") -> list[float]:
    rows = tables["ohlcv_1h"].filter(pl.col("timestamp") < SPAN.end, instrument_type=kind, symbol="BTCUSDT")
    return rows.sort("timestamp")["close"].to_list()


@pytest.mark.parametrize("by", [timedelta(hours=-3), timedelta(days=-40), timedelta(hours=3)], ids=str)
def test_correction_wins_whatever_the_local_clock_shows(truth, corrected, warehouse, monkeypatch, by):
    with LoopbackOkx(truth, now=NOW) as venue:
        assert not bring(venue, warehouse).problems
    assert closes(warehouse) == expected(truth)
    shift_local_clock(monkeypatch, by)
    with LoopbackOkx(corrected, now=NOW) as venue:
        bring(venue, warehouse, refresh=True)
    assert closes(warehouse) == expected(corrected)
    build_silver(warehouse, "okx", BARS)
    assert closes(warehouse) == expected(corrected)


def test_request_sent_first_loses_even_if_its_response_arrives_last(truth, corrected, warehouse):
    """Two processes: the first one's response was made before the correction and stored after it."""
    fault = stalled(nth(1, path=CANDLES), seconds=2.0)
    with LoopbackOkx(truth, now=NOW, faults=[fault]) as venue, Fetcher(venue.settings) as fetcher:
        pull("okx", "instruments", warehouse=warehouse, fetcher=fetcher)
        words = ["pull", "okx", "ohlcv_1h", "--symbol", "BTCUSDT", "--type", "spot", "--start", "2026-06-01",
                 "--end", "2026-06-03", "--warehouse", str(warehouse.root)]  # fmt: skip
        own = {
            "CEXKIT_BASE_URLS": json.dumps(dict(venue.settings.base_urls)),
            "CEXKIT_MAX_CLOCK_SKEW_SECONDS": "none",
        }
        slow = subprocess.Popen([sys.executable, "-m", "cexkit.cli", *words], env=os.environ | own)
        wait_for(lambda: any(entry.request.path == CANDLES for entry in venue.log))
        venue.feed = type(venue.feed)(corrected)
        ingest_bronze(warehouse, fetcher, "okx", BARS, SPAN, [SPOT])
        assert slow.poll() is None
        assert slow.wait(60) == 0
    build_silver(warehouse, "okx", BARS)
    assert closes(warehouse) == expected(corrected)


def test_request_sent_last_wins_even_if_its_run_began_first(truth, corrected, warehouse):
    fault = stalled(nth(1, path=CANDLES), seconds=2.0)
    with LoopbackOkx(truth, now=NOW, faults=[fault]) as venue, Fetcher(venue.settings) as fetcher:
        pull("okx", "instruments", warehouse=warehouse, fetcher=fetcher)
        fetcher.concurrent_requests = 1
        first = threading.Thread(target=ingest_bronze, args=(warehouse, fetcher, "okx", BARS, SPAN, [SPOT, PERP]))
        first.start()
        wait_for(lambda: any(entry.request.path == CANDLES for entry in venue.log))
        ingest_bronze(warehouse, fetcher, "okx", BARS, SPAN, [PERP])
        venue.feed = type(venue.feed)(corrected)
        assert first.is_alive()
        first.join()
    build_silver(warehouse, "okx", BARS)
    assert closes(warehouse, "perp") == expected(corrected, "perp")


def test_responses_of_old_versions_precede_numbered_ones(truth, corrected, warehouse):
    with LoopbackOkx(truth, now=NOW) as venue:
        bring(venue, warehouse)
    for path in (warehouse.root / "bronze").rglob("*.parquet"):
        rows = pq.read_table(path, partitioning=None).drop_columns("sequence")
        # as if a clock that was far ahead had named the run
        pq.write_table(rows, path.with_name(f"9999{path.name}"))
        path.unlink()
    assert closes_after_rebuild(warehouse) == expected(truth)
    with LoopbackOkx(corrected, now=NOW) as venue:
        bring(venue, warehouse, refresh=True)
    assert closes_after_rebuild(warehouse) == expected(corrected)


def closes_after_rebuild(warehouse: Warehouse) -> list[float]:
    build_silver(warehouse, "okx", LISTING)
    build_silver(warehouse, "okx", BARS)
    return closes(warehouse)


def test_every_stored_response_has_a_number_of_its_own(truth, warehouse):
    with LoopbackOkx(truth, now=NOW) as venue:
        bring(venue, warehouse)
    endpoints = [path.name.removeprefix("endpoint=") for path in (warehouse.root / "bronze/exchange=okx").iterdir()]
    rows = [
        row
        for endpoint in endpoints
        if not endpoint.startswith("inventory.")
        for table in ("instruments", "ohlcv_1h")
        for row in read_bronze(warehouse.root, "okx", endpoint, table)
    ]
    numbers = [row["sequence"] for row in rows]
    assert len(set(numbers)) == len(numbers) > 3
    assert None not in numbers


@pytest.mark.parametrize("ahead", [timedelta(days=-10), timedelta(0)], ids=["date header behind", "local clock behind"])
def test_instrument_missing_from_the_list_requested_last_is_delisted(warehouse, monkeypatch, ahead):
    both = simulate(start="2026-06-01", end="2026-06-02", coins=["BTC", "ETH"], exchanges=["okx"]).tables["instruments"]
    for listed, by in ((both, timedelta(0)), (both.filter(base="BTC"), ahead)):
        faults = [misdated(every(1), by)]
        with LoopbackOkx({"instruments": listed}, now=NOW, faults=faults) as venue, Fetcher(venue.settings) as fetcher:
            pull("okx", "instruments", warehouse=warehouse, fetcher=fetcher)
        shift_local_clock(monkeypatch, timedelta(hours=-3))
    rows = pl.from_arrow(warehouse.read(LISTING)).filter(base="ETH")
    assert rows["status"].unique().to_list() == ["delisted"]
    assert rows["delisting_time"].unique().to_list() == [utc(NOW) + ahead]


def wait_for(condition, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)
