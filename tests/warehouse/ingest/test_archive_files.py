"""Files of an archive, several at once: each that fails costs only itself, and the next run reads what is missing."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta

import polars as pl
import pytest

from cexkit.errors import BlockedError, TransportError
from cexkit.exchanges.downloads import AT_ONCE, MAX_FAILURES, archive_pages
from cexkit.exchanges.http.client import HttpClient
from cexkit.exchanges.registry import EXCHANGES
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, utc
from cexkit.schema.symbols import Instrument
from cexkit.testing import LoopbackBinance
from cexkit.testing.loopback import server_error
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.store.warehouse import Warehouse

from ...clock import Clock, reading
from ...problems import failures

#: The time of venues and readers, which passes when budgets wait.
CLOCK = Clock()
BTC = Instrument(
    exchange="binance", instrument_type="perp", symbol="BTCUSDT", venue_symbol="BTCUSDT", base="BTC", quote="USDT"
)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
#: Days that the API no longer has.
START, END, NOW = utc("2026-02-01"), utc("2026-02-21"), utc("2026-06-10")


@pytest.fixture(scope="module")
def truth() -> dict[str, pl.DataFrame]:
    tables = simulate(start=START, end=END, coins=["BTC"], exchanges=["binance"]).tables
    return {name: tables[name] for name in ("instruments", "open_interest")}


class Archive:
    """A venue whose archive fails for the files whose names end like one of ``broken``."""

    def __init__(self, truth, folder):
        self.folder, self.broken = folder, set()
        fault = server_error(lambda request: request.path.endswith(tuple(self.broken)))
        self._venue = LoopbackBinance(truth, now=NOW, faults=[fault], clock=CLOCK, latency_seconds=0.02)

    def __enter__(self):
        self._venue.__enter__()
        return self

    def __exit__(self, *error):
        self._venue.__exit__(*error)

    def pull(self):
        """Return the report of a pull, and the files that it requested."""
        before = len(self._venue.log)
        with reading(self._venue, CLOCK) as fetcher:
            report = pull("binance", "open_interest", "BTCUSDT", START, END, instrument_type="perp",
                          warehouse=self.folder, fetcher=fetcher, now=NOW)  # fmt: skip
        paths = [seen.request.path for seen in self._venue.log[before:]]
        return report, [path for path in paths if path.endswith(".zip")]


@pytest.fixture
def archive(truth, tmp_path):
    with Archive(truth, tmp_path) as archive:
        yield archive


def lost(truth, folder) -> set:
    """Return the days of which Silver lacks hours; the first hour of the first day is in the file before it."""
    rows = truth["open_interest"].filter(instrument_type="perp", symbol="BTCUSDT")
    stored = pl.from_arrow(Warehouse(folder).read(TABLES["open_interest"]))
    assert stored.join(rows, on=["timestamp", "open_interest_base"], how="anti").is_empty()
    return set(rows.join(stored, on="timestamp", how="anti")["timestamp"].dt.date())


def names(*days: datetime) -> set[str]:
    return {f"BTCUSDT-metrics-{day:%Y-%m-%d}.zip" for day in days}


def test_files_of_one_instrument_are_read_at_once(truth, archive, monkeypatch):
    get, lock, running, most = HttpClient.get, threading.Lock(), [0], [0]

    def counted(self, url, query, **more):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        try:
            return get(self, url, query, **more)
        finally:
            with lock:
                running[0] -= 1

    monkeypatch.setattr(HttpClient, "get", counted)
    report, files = archive.pull()
    assert not report.problems
    assert AT_ONCE // 2 <= most[0] <= AT_ONCE
    assert len(files) == len(set(files)) == 21
    assert not lost(truth, archive.folder)


def test_file_that_fails_leaves_exactly_its_gap(truth, archive):
    day = START + 8 * DAY
    archive.broken = names(day)
    report, _ = archive.pull()
    # its hours begin at 01:00, and the first hour of the next day is in it
    (problem,) = (problem for problem in failures(report) if "HTTP 503" in problem.message)
    assert (problem.window.start, problem.window.end) == (day + HOUR, day + DAY + HOUR)
    assert lost(truth, archive.folder) == {day.date(), (day + DAY).date()}
    archive.broken = set()
    report, files = archive.pull()
    assert not report.problems
    assert {path.rpartition("/")[2] for path in files} == names(day)
    assert not lost(truth, archive.folder)


def test_archive_that_always_fails_is_left_after_a_few_files(truth, archive):
    archive.broken = {".zip"}
    report, files = archive.pull()
    assert failures(report)
    assert len(set(files)) <= AT_ONCE + MAX_FAILURES
    archive.broken = set()
    assert not archive.pull()[0].problems
    assert not lost(truth, archive.folder)


def test_files_that_arrive_beside_failing_ones_are_kept(truth, archive):
    days = [END - number * DAY for number in (1, 2, 3)]
    archive.broken = names(*days)
    archive.pull()
    assert lost(truth, archive.folder) == {day.date() for day in days}
    archive.broken = set()
    _, files = archive.pull()
    assert {path.rpartition("/")[2] for path in files} == names(*days)
    assert not lost(truth, archive.folder)


class Files:
    """A fetcher of files: ``respond`` gets the path."""

    def __init__(self, respond):
        self.respond, self.paths = respond, []

    def file(self, exchange, path, next_sequence=None):
        self.paths.append(path)
        return self.respond(path)

    def pages(self, table, window):
        archive = EXCHANGES["binance"].archives[table, "perp"]
        return list(archive_pages(self, table, archive, BTC, Window.of(*window), {}, [], [], [], count=AT_ONCE))


def test_blocked_address_is_not_hidden_by_a_file_that_fails_later():
    def respond(path):
        if "01-01" in path:
            raise BlockedError("HTTP 451")
        time.sleep(0.1)
        raise TransportError("connection reset")

    with pytest.raises(BlockedError):
        Files(respond).pages("open_interest", ("2026-01-01T01:00", "2026-01-21T01:00"))


def test_no_days_of_absent_months_are_requested_after_the_end():
    def respond(path):
        if "2024-01" in path:
            raise BlockedError("HTTP 451")
        time.sleep(0.1)

    files = Files(respond)
    with pytest.raises(BlockedError):
        files.pages("ohlcv_1m", ("2024-01-01", "2024-05-01"))
    assert len(files.paths) == 4
