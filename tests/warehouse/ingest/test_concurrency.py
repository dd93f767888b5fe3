"""Reading many parts at once: every row arrives once, and a failure or an interruption costs only itself."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import polars as pl
import pytest

from cexkit.exchanges.fetcher import Fetcher
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window
from cexkit.testing import LoopbackBybit, banned, nth, server_error, stalled, too_many_requests
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.store.inventory import Inventory
from cexkit.warehouse.store.warehouse import Warehouse
from tests.warehouse.ingest.test_backfill import MINUTES, environment_of, minutes

START, END = "2026-05-28", "2026-06-02"
#: Two more days: the venue's clock is there, so that all rows are settled.
NOW = "2026-06-05T00:00:05"
KLINE = "/v5/market/kline"
BOTH = ("BTCUSDT", "ETHUSDT")


@pytest.fixture(scope="module")
def truth() -> dict[str, pl.DataFrame]:
    tables = simulate(start=START, end=END, coins=["BTC", "ETH"], exchanges=["okx", "bybit"]).tables
    hours = tables["ohlcv_1h"].filter(exchange="bybit", instrument_type="perp")
    found = {name: tables[name] for name in ("instruments", "ohlcv_1h", "funding_rates")}
    return found | {"ohlcv_1m": pl.concat(minutes(hours, symbol) for symbol in BOTH)}


def bring(venue, folder, tables="ohlcv_1m", symbols="BTCUSDT", *, count: int = 8, attempts: int = 2, **more):
    changed = {"http_attempts": attempts, "concurrent_requests": count, "http_timeout_seconds": 10.0}
    with Fetcher(venue.settings.model_copy(update=changed)) as fetcher:
        return pull("bybit", tables, symbols, START, END, instrument_type="perp", warehouse=folder, fetcher=fetcher,
                    **more)  # fmt: skip


def stored(folder, table=MINUTES) -> pl.DataFrame:
    return pl.from_arrow(Warehouse(folder).read(table)).sort(table.key).select("timestamp", "symbol", "close")


def expected(truth, table: str = "ohlcv_1m", symbols=("BTCUSDT",)) -> pl.DataFrame:
    rows = truth[table].filter(pl.col("symbol").is_in(symbols), exchange="bybit", instrument_type="perp")
    return rows.sort(TABLES[table].key).select("timestamp", "symbol", "close")


def pages_begin(venue) -> list[datetime]:
    found = (int(e.request.params["start"]) for e in venue.log if e.request.path == KLINE)
    return [datetime.fromtimestamp(start / 1000, UTC) for start in found]


def at_window(number: int, minutes: int = 1000):
    """Match requests for the window of a page, counted from the start."""
    start = datetime.fromisoformat(START).replace(tzinfo=UTC).timestamp() + number * minutes * 60
    return lambda request: request.path == KLINE and int(request.params["start"]) == int(start * 1000)


def test_a_failed_window_leaves_exactly_its_gap_and_is_all_that_is_requested_next(truth, tmp_path):
    with LoopbackBybit(truth, now=NOW, faults=[server_error(at_window(3))]) as venue:
        report = bring(venue, tmp_path)
    (problem,) = report.problems
    gap = Window.of("2026-05-30T02:00", "2026-05-30T18:40")
    assert (problem.symbol, problem.window) == ("BTCUSDT", gap)
    inventory = Inventory(tmp_path, "bybit", MINUTES)
    assert [inventory.unread(key, Window.of(START, END)) for key in inventory.keys] == [[gap]]
    assert stored(tmp_path).equals(expected(truth).filter(~pl.col("timestamp").is_between(gap.start, gap.end, "left")))
    with LoopbackBybit(truth, now=NOW) as venue:
        assert not bring(venue, tmp_path).problems
        assert pages_begin(venue) == [gap.start]
    assert stored(tmp_path).equals(expected(truth))


def test_an_instrument_that_fails_everywhere_is_given_up_and_the_others_are_read(truth, tmp_path):
    def about_btc(request):
        return request.path == KLINE and request.params["symbol"] == "BTCUSDT"

    with LoopbackBybit(truth, now=NOW, faults=[server_error(about_btc)]) as venue:
        report = bring(venue, tmp_path, "ohlcv_1h", BOTH, attempts=1, count=1)
    assert {problem.symbol for problem in report.problems} == {"BTCUSDT"}
    assert stored(tmp_path, TABLES["ohlcv_1h"]).equals(expected(truth, "ohlcv_1h", ["ETHUSDT"]))


@pytest.mark.parametrize(
    "faults",
    [
        [stalled(nth(3, path=KLINE), seconds=1.0)],
        [stalled(lambda request: request.number % 3 == 0, seconds=0.2)],
        [too_many_requests(nth(4, 5, path=KLINE), retry_after=2)],
        [banned(nth(4, path=KLINE), retry_after=2)],
    ],
    ids=["one stalls", "out of order", "429", "banned midway"],
)
def test_nothing_is_lost_or_duplicated_and_the_others_go_on(truth, tmp_path, faults):
    with LoopbackBybit(truth, now=NOW, faults=faults) as venue:
        report = bring(venue, tmp_path, ["ohlcv_1m", "ohlcv_1h", "funding_rates"], BOTH, attempts=6)
        log = [(entry.request.at, entry.fault) for entry in venue.log]
    assert not report.problems
    assert stored(tmp_path).equals(expected(truth, "ohlcv_1m", BOTH))
    assert stored(tmp_path, TABLES["ohlcv_1h"]).equals(expected(truth, "ohlcv_1h", BOTH))
    refused = [at for at, fault in log if fault in ("418", "429")]
    if refused:  # those in flight still arrive, but none is sent during the pause
        assert not [at for at, _ in log if refused[-1] + 1.0 < at < refused[-1] + 1.9]


def test_responses_are_the_same_however_many_are_requested_at_once(truth, tmp_path):
    for count in (1, 16):
        with LoopbackBybit(truth, now=NOW, latency_seconds=0.02) as venue:
            bring(venue, tmp_path / str(count), ["ohlcv_1m", "ohlcv_1h"], BOTH, count=count)
            in_all = len(pages_begin(venue))
        (tmp_path / f"{count}.txt").write_text(str(in_all))
    one, many = (Warehouse(tmp_path / name).manifest.files for name in ("1", "16"))
    assert one == many
    assert (tmp_path / "1.txt").read_text() == (tmp_path / "16.txt").read_text()


def test_interruption_ends_within_two_seconds_and_keeps_what_arrived(truth, tmp_path):
    """While two requests stall for a minute, and the others wait for nothing."""
    with LoopbackBybit(truth, now=NOW, faults=[stalled(nth(4, 6, path=KLINE), seconds=60)]) as venue:
        words = ["pull", "bybit", "ohlcv_1m", "ohlcv_1h", "--symbol", "BTCUSDT", "--type", "perp", "--start", START,
                 "--end", END, "--warehouse", str(tmp_path)]  # fmt: skip
        run = subprocess.Popen([sys.executable, "-m", "cexkit.cli", *words], env=environment_of(venue),
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
        until = time.monotonic() + 30
        while len(pages_begin(venue)) < 8 and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(0.5)
        os.kill(run.pid, signal.SIGINT)
        began = time.monotonic()
        said, _ = run.communicate(timeout=20)
        assert time.monotonic() - began < 3, said
        assert run.returncode == 130
        assert "run the same command again" in said
        before = len(pages_begin(venue))
    with LoopbackBybit(truth, now=NOW) as venue:
        assert not bring(venue, tmp_path, ["ohlcv_1m", "ohlcv_1h"]).problems
        assert before + len(pages_begin(venue)) <= 9 + 2
    assert stored(tmp_path).equals(expected(truth))


def test_fetch_works_inside_a_running_loop(truth):
    async def read(fetcher):
        return fetcher.fetch("bybit", "ohlcv_1m", "BTCUSDT", START, END, instrument_type="perp")

    with LoopbackBybit(truth, now=NOW) as venue, Fetcher(venue.settings) as fetcher:
        assert asyncio.run(read(fetcher)).num_rows == expected(truth).height
