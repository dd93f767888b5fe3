"""Long histories: planned before, resumed after a cut, never asked for twice, and no more than can be there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from cexkit.exchanges.archives import plan as archive_plan
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.registry import exchange
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window
from cexkit.schema.symbols import Instrument
from cexkit.testing import LoopbackBybit, LoopbackCoinbase, LoopbackOkx, stalled
from cexkit.testing import every as each
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.bronze import ingest_bronze
from cexkit.warehouse.ingest.listings import LISTING_MARGIN
from cexkit.warehouse.ingest.plan import plan
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.store.warehouse import Warehouse

from ...clock import Clock, reading

#: The time of venues and readers, which passes when budgets wait.
CLOCK = Clock()

START, END, DAYS = "2026-05-28", "2026-06-05", 8
MINUTES = TABLES["ohlcv_1m"]
BTC = Instrument(
    exchange="okx", instrument_type="spot", symbol="BTCUSDT", venue_symbol="BTC-USDT", base="BTC", quote="USDT"
)


@pytest.fixture(scope="module")
def truth() -> dict[str, pl.DataFrame]:
    tables = simulate(start=START, end=END, coins=["BTC"], exchanges=["okx", "bybit", "coinbase"]).tables
    found = {name: tables[name] for name in ("instruments", "ohlcv_1h", "funding_rates")}
    return found | {"ohlcv_1m": minutes(tables["ohlcv_1h"].filter(exchange="okx", instrument_type="spot"))}


def minutes(hours: pl.DataFrame, symbol: str = "BTCUSDT") -> pl.DataFrame:
    """A bar for every minute, each like its hour's but for a price of its own."""
    span = pl.datetime_ranges("timestamp", pl.col("timestamp") + pl.duration(hours=1), "1m", closed="left")
    rows = hours.filter(symbol=symbol).with_columns(timestamp=span).explode("timestamp").sort("timestamp")
    close = pl.col("low") + (pl.col("high") - pl.col("low")) * (pl.int_range(pl.len()) % 97 / 97)
    return rows.with_columns(close=close.round(2)).with_columns(
        high=pl.max_horizontal("high", "close"), low=pl.min_horizontal("low", "close")
    )


def asked(venue, part: str) -> int:
    return sum(part in entry.request.path for entry in venue.log)


CANDLES = "candles"


def environment_of(venue) -> dict[str, str]:
    """The variables with which a process reads a loopback venue whose clock is simulated."""
    urls = json.dumps(dict(venue.settings.base_urls))
    return os.environ | {"CEXKIT_BASE_URLS": urls, "CEXKIT_MAX_CLOCK_SKEW_SECONDS": "none"}


def rows(warehouse: Warehouse | Path, table=MINUTES) -> pl.DataFrame:
    found = warehouse if isinstance(warehouse, Warehouse) else Warehouse(warehouse)
    return pl.from_arrow(found.read(table)).sort(table.key)


def bring(venue, folder, **more):
    with reading(venue, CLOCK) as fetcher:
        return pull("okx", "ohlcv_1m", "BTCUSDT", START, END, instrument_type="spot", warehouse=folder,
                    fetcher=fetcher, **more)  # fmt: skip


def test_a_history_of_minutes_costs_hardly_more_than_the_fewest_requests(truth, tmp_path):
    with LoopbackOkx(truth, now=f"{END}T00:00:05", clock=CLOCK) as venue:
        report = bring(venue, tmp_path)
        with reading(venue, CLOCK) as fetcher:
            window = Window.of(START, END)
            made = plan(tmp_path, "okx", [MINUTES], window, "BTCUSDT", "spot", fetcher=fetcher, refresh=True)
        fewest = -(-(DAYS * 1440) // 300)
        assert made.requests == fewest
        assert made.seconds == pytest.approx(fewest / 10)
        assert asked(venue, CANDLES) <= 1.05 * fewest
    assert not report.problems
    assert rows(tmp_path).height == truth["ohlcv_1m"].height


def test_what_was_answered_is_not_asked_for_again_but_for_what_may_change(truth, tmp_path):
    later = datetime.now(UTC) + timedelta(days=1, minutes=1)
    with LoopbackOkx(truth, now=f"{END}T00:00:05", clock=CLOCK) as venue:
        bring(venue, tmp_path)
        first, whole = asked(venue, CANDLES), rows(tmp_path)
        bring(venue, tmp_path)
        assert asked(venue, CANDLES) - first == 1, "two steps are requested again"
        bring(venue, tmp_path, now=later)
        again = asked(venue, CANDLES) - first - 1
        assert again == -(-(2 * 1440) // 300), "a day later, two days are not settled"
        with reading(venue, CLOCK) as fetcher:
            window = Window.of(START, END)
            made = plan(
                tmp_path, "okx", [MINUTES], window, "BTCUSDT", "spot", fetcher=fetcher, now=later + timedelta(days=2)
            )
        assert made.requests == again
        assert "at least 10 requests" in str(made)
        bring(venue, tmp_path, refresh=True)
        assert asked(venue, CANDLES) == 2 * first + 1 + again
    assert rows(tmp_path).equals(whole)


def test_a_pull_that_was_killed_goes_on_where_it_was(truth, tmp_path):
    """Cut off twice without warning; together the runs ask for hardly more than one that was not."""
    with LoopbackOkx(truth, now=f"{END}T00:00:05", faults=[stalled(each(1, path=CANDLES), seconds=0.03)]) as venue:
        words = [str(Path(sys.executable).with_name("cexkit")), "pull", "okx", "ohlcv_1m", "--symbol", "BTCUSDT",
                 "--type", "spot", "--start", START, "--end", END, "--warehouse", str(tmp_path)]  # fmt: skip
        environment = environment_of(venue)
        script = (
            "import cexkit.warehouse.ingest.bronze as i; i.FLUSH_SECONDS = 0.0; "
            "from cexkit.cli.commands import main; main()"
        )
        for at in (22, 34):
            process = subprocess.Popen([sys.executable, "-c", script, *words[1:]], env=environment)
            until = time.monotonic() + 60
            while asked(venue, CANDLES) < at and process.poll() is None and time.monotonic() < until:
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        requests = asked(venue, CANDLES)
    expected = truth["ohlcv_1m"].filter(exchange="okx", instrument_type="spot").sort(MINUTES.key)
    found = rows(tmp_path)
    assert found.select("timestamp", "close").equals(expected.select("timestamp", "close"))
    fewest = -(-(DAYS * 1440) // 300)
    # a cut loses the month it falls in, no more
    assert requests < 2.4 * fewest


def test_nothing_is_asked_for_before_a_listing_or_after_the_end(truth, tmp_path):
    listed = datetime(2026, 6, 1, 3, tzinfo=UTC)
    gone = datetime(2026, 6, 3, tzinfo=UTC)
    life = truth["instruments"].with_columns(
        listing_time=pl.lit(listed).cast(pl.Datetime("us", "UTC")),
        delisting_time=pl.lit(gone).cast(pl.Datetime("us", "UTC")),
    )
    warehouse = Warehouse(tmp_path)
    warehouse.write(TABLES["instruments"], life.filter(exchange="okx").to_arrow())
    served = truth | {"ohlcv_1m": truth["ohlcv_1m"].filter(pl.col("timestamp") >= listed)}
    with LoopbackOkx(served, now=f"{END}T00:00:05", clock=CLOCK) as venue, reading(venue, CLOCK) as fetcher:
        ingest_bronze(warehouse, fetcher, "okx", MINUTES, Window.of(START, END), [BTC])
        requests = asked(venue, CANDLES)
    days = (gone - listed + 2 * LISTING_MARGIN) / timedelta(days=1)
    assert requests <= -(-days * 1440 // 300) + 2  # one to learn that nothing is before it


def test_a_listing_time_that_is_a_little_late_loses_no_row(truth, tmp_path):
    first = truth["ohlcv_1m"]["timestamp"].min()
    late = truth["instruments"].with_columns(
        listing_time=pl.lit(first + timedelta(hours=23)).cast(pl.Datetime("us", "UTC"))
    )
    with LoopbackOkx(truth | {"instruments": late}, now=f"{END}T00:00:05", clock=CLOCK) as venue:
        bring(venue, tmp_path)
    assert rows(tmp_path)["timestamp"].min() == first


def test_venues_are_read_side_by_side_and_one_that_is_down_is_a_problem(truth, tmp_path):
    pause = 0.05
    slow = [stalled(each(1), seconds=pause)]
    with (
        LoopbackOkx(truth, now=f"{END}T00:00:05", faults=slow) as okx,
        LoopbackBybit(truth, now=f"{END}T00:00:05", faults=slow) as bybit,
    ):
        urls = (
            dict(okx.settings.base_urls) | dict(bybit.settings.base_urls) | {"coinbase.exchange": "http://127.0.0.1:9"}
        )
        settings = okx.settings.model_copy(update={"base_urls": urls, "http_attempts": 1})
        busy = {"okx": [], "bybit": []}
        with Fetcher(settings) as fetcher:
            report = pull(["okx", "bybit", "coinbase"], "ohlcv_1h", "BTCUSDT", START, END, instrument_type="spot",
                          warehouse=tmp_path, fetcher=fetcher)  # fmt: skip
        for name, venue in (("okx", okx), ("bybit", bybit)):
            busy[name] = [entry.request.at for entry in venue.log]
    assert busy["okx"][0] < busy["bybit"][-1]
    assert busy["bybit"][0] < busy["okx"][-1]
    assert {problem.exchange for problem in report.problems} == {"coinbase"}
    expected = truth["ohlcv_1h"].filter(pl.col("exchange") != "coinbase", instrument_type="spot", symbol="BTCUSDT")
    assert rows(tmp_path, TABLES["ohlcv_1h"]).height == expected.height


def test_files_that_are_held_against_the_api_are_planned_with_it(truth, tmp_path):
    window, now = Window.of("2026-01-01", END), datetime.now(UTC)
    with LoopbackOkx(truth, now=END, clock=CLOCK) as venue, reading(venue, CLOCK) as fetcher:
        pull("okx", "instruments", warehouse=tmp_path, fetcher=fetcher)
        (step,) = plan(tmp_path, "okx", [TABLES["funding_rates"]], window, "BTCUSDT", "perp", fetcher=fetcher).steps
        source = exchange("okx").archives["funding_rates", "perp"]
        files = archive_plan(source, step.instrument, window, now).files
        earliest = fetcher.earliest("okx", "funding_rates", "perp")
    assert step.files == len(files) > 1
    assert step.spans == (Window(earliest, window.end),)
    # no checksums are published, and one page holds what the API keeps
    assert (step.requests, step.lost) == (len(files) + 1, None)


def test_the_plan_comes_before_and_may_be_all(truth, tmp_path):
    with LoopbackCoinbase(truth, now=f"{END}T00:00:05") as venue:
        environment = environment_of(venue)
        words = [str(Path(sys.executable).with_name("cexkit")), "pull", "coinbase", "ohlcv_1h", "--type", "spot",
                 "--start", START, "--end", END, "--warehouse", str(tmp_path)]  # fmt: skip
        run = {"env": environment, "capture_output": True, "text": True, "timeout": 60}
        dry = subprocess.run([*words, "--dry-run"], **run)
        assert dry.returncode == 0, dry.stderr
        assert "ohlcv_1h: 1 instruments, 0 archive files, 8 instrument-days by API, at least 1 requests" in dry.stdout
        assert asked(venue, CANDLES) == 0
        done = subprocess.run(words, **run)
        assert done.returncode == 0, done.stderr
        assert done.stdout.index("plan:") < done.stdout.index("responses kept")
        assert asked(venue, CANDLES) == 1
