"""Rows that a venue does not return: requested again with delays, reported, and given up in the end."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st
from typer.testing import CliRunner

from cexkit.cli.commands import app
from cexkit.exchanges.fetcher import Fetcher
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, utc
from cexkit.testing import LOOPBACKS, Fault, emptied, every
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest import repeats
from cexkit.warehouse.ingest.plan import plan
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.ingest.report import Report
from cexkit.warehouse.store.bronze import BronzeWriter
from cexkit.warehouse.store.inventory import Inventory
from cexkit.warehouse.store.inventory_entries import ATTEMPTS, REPEAT_AFTER
from cexkit.warehouse.store.warehouse import Warehouse

from ...clock import Clock, reading
from ...lengths import examples
from ...problems import failures, missing

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
#: The time of venues and readers, which passes when budgets wait.
CLOCK = Clock()
START, END, NOW = utc("2026-05-20"), utc("2026-06-01"), utc("2026-06-10")
BARS, FUNDING, MINUTES = TABLES["ohlcv_1h"], TABLES["funding_rates"], TABLES["ohlcv_1m"]
PATHS = {"okx": "/api/v5/market/history-candles", "binance": "/api/v3/klines"}


#: The venue knows an instrument no longer.
FORGOTTEN = Fault(
    "unknown instrument",
    lambda request: "candles" in request.path or "funding-rate-history" in request.path,
    change=lambda reply: replace(reply, body=b'{"code":"51001","msg":"Instrument ID does not exist","data":[]}'),
)


@pytest.fixture(scope="module")
def truth() -> dict[str, pl.DataFrame]:
    names = ("instruments", "ohlcv_1h", "funding_rates")
    tables = simulate(start=START, end=END, coins=["BTC"], exchanges=["okx", "bybit", "coinbase", "binance"]).tables
    return {name: tables[name] for name in names}


class Runs:
    """Runs against one venue into one warehouse, each at a time of our clock."""

    def __init__(self, truth, root, venue="okx", kind="spot", table=BARS, symbol="BTCUSDT"):
        self.truth, self.warehouse, self.name, self.kind, self.table = truth, Warehouse(root), venue, kind, table
        self.symbol, self.requests, self.now = symbol, 0, NOW
        self.served = NOW  # the present time of the venue

    def __call__(self, *faults: Fault, after: timedelta = timedelta(0), until=END, **more) -> Report:
        self.now += after
        loopback = LOOPBACKS[self.name](self.truth, now=self.served, faults=faults, clock=CLOCK)
        with loopback as server, reading(server, CLOCK) as fetcher:
            report = pull(self.name, self.table.name, self.symbol, START, until, instrument_type=self.kind,
                          warehouse=self.warehouse, fetcher=fetcher, now=self.now, **more)  # fmt: skip
            self.requests = sum(_is_data(entry.request.path) for entry in server.log)
        return report

    def plan(self) -> int:
        with LOOPBACKS[self.name](self.truth, now=NOW, clock=CLOCK) as server, reading(server, CLOCK) as fetcher:
            window = Window(START, END)
            found = plan(self.warehouse, self.name, [self.table], window, self.symbol, self.kind, fetcher=fetcher,
                         now=self.now)  # fmt: skip
        return found.requests

    @property
    def rows(self) -> pl.DataFrame:
        return pl.from_arrow(self.warehouse.read(self.table, exchange=self.name)).sort(self.table.key)

    @property
    def expected(self) -> pl.DataFrame:
        rows = self.truth[self.table.name].filter(exchange=self.name, instrument_type=self.kind, symbol=self.symbol)
        return rows.filter(pl.col("timestamp").is_between(START, END, closed="left")).sort(self.table.key)

    @property
    def inventory(self) -> Inventory:
        return Inventory(self.warehouse.root, self.name, self.table)

    def entries(self, state: str) -> list:
        return [entry for _, entry in self.inventory if entry.state == state]


def _is_data(path: str) -> bool:
    return any(part in path for part in ("candles", "kline", "funding-rate-history", "funding/history", "fundingRate"))


def without(dropped, times=None) -> Fault:
    """Leave out the rows of OKX candles that open at these times, in every response."""
    ms = {str(int(moment.timestamp() * 1000)) for moment in dropped}

    def change(reply):
        body = json.loads(reply.body)
        if isinstance(body.get("data"), list):
            body["data"] = [row for row in body["data"] if not (isinstance(row, list) and row[0] in ms)]
        return replace(reply, body=json.dumps(body).encode())

    return Fault("without rows", lambda request: "candles" in request.path, change=change)


def empty_pages(part: str = "candles") -> Fault:
    return emptied(lambda request: part in request.path)


@pytest.fixture
def runs(truth, tmp_path) -> Runs:
    return Runs(truth, tmp_path)


@pytest.mark.parametrize("venue", ["okx", "bybit", "binance"])
def test_days_answered_with_an_empty_list_are_read_by_the_next_run(truth, tmp_path, venue):
    runs = Runs(truth, tmp_path, venue)
    runs(emptied(lambda request: _is_data(request.path)))
    assert runs.rows.is_empty()
    report = runs(after=2 * HOUR)
    assert runs.rows.height == runs.expected.height == 288
    assert not report.problems
    runs(after=30 * DAY)
    assert runs.requests == 0


def test_empty_responses_for_a_listed_instrument_are_one_problem(runs):
    (problem,) = missing(runs(empty_pages()))
    assert (problem.table, problem.symbol) == ("ohlcv_1h", "BTCUSDT")
    assert problem.window == Window(START, END)
    assert "spot: the venue returned no data for 288 rows that should exist" in problem.message


def test_holes_in_a_page_are_the_rows_requested_again(runs):
    dropped = [START + hours * HOUR for hours in (30, 31, 100)]
    (problem,) = runs(without(dropped)).problems
    first, second = "2026-05-21T06:00:00+00:00 … 2026-05-21T08:00", "2026-05-24T04:00:00+00:00 … 2026-05-24T05:00"
    assert f"3 rows that should exist; later runs request them again ({first}:00+00:00, {second}" in problem.message
    assert problem.window == Window(dropped[0], dropped[-1] + HOUR)
    assert [entry.window for entry in runs.entries("missing")] == [
        Window(dropped[0], dropped[1] + HOUR),
        Window(dropped[2], dropped[2] + HOUR),
    ]
    assert not runs(after=DAY).problems
    assert runs.requests == 1, "holes in one page are one request"
    assert runs.rows.equals(runs.expected.select(runs.rows.columns))


def test_holes_are_not_requested_within_the_hour(runs):
    runs(empty_pages())
    assert missing(runs(after=HOUR / 2))
    assert runs.requests == 0


def test_rows_that_a_venue_never_has_are_given_up_and_said_so_once(runs):
    gone, said, requested = [START + 50 * HOUR], [], []
    for _ in range(40):
        report = runs(without(gone), after=DAY)
        said.append([problem.message for problem in report.problems])
        requested.append(runs.requests)
    *pending, last = [messages for messages in said if messages]
    assert all("later runs request them again" in message for (message,) in pending)
    assert f"1 row in {ATTEMPTS} requests; they are not requested again" in last[0]
    attempts = sum(count > 0 for count in requested)
    assert attempts == ATTEMPTS
    assert (said[17:], requested[17:]) == ([[]] * 23, [0] * 23)
    (entry,) = runs.entries("none")
    assert entry.window == Window(gone[0], gone[0] + HOUR)
    done = CliRunner().invoke(app, ["bronze", "unavailable", "--warehouse", str(runs.warehouse.root)])
    assert "okx ohlcv_1h spot BTCUSDT: 2026-05-22T02:00:00+00:00 … 2026-05-22T03:00:00+00:00" in done.stdout


def test_refresh_requests_given_up_rows_again(runs):
    gone = [START + 50 * HOUR]
    for _ in range(20):
        runs(without(gone), after=DAY)
    assert runs.entries("none")
    runs(without(gone), refresh=True)
    (entry,) = runs.entries("missing")
    assert (entry.attempts, entry.last_requested_at) == (1, runs.now)
    runs(refresh=True)
    assert not runs.entries("missing")
    assert runs.rows.height == 288


def test_delays_follow_the_stated_backoff(runs):
    runs(without([START]))
    for delay in REPEAT_AFTER:
        runs(without([START]), after=delay - timedelta(seconds=1))
        assert runs.requests == 0
        runs(without([START]), after=timedelta(seconds=1))
        assert runs.requests > 0
    assert runs.entries("none")


def test_clock_that_jumps_back_neither_loses_nor_duplicates_attempts(runs):
    runs(without([START]))
    runs(without([START]), after=365 * DAY)
    assert runs.entries("missing")[0].attempts == 2
    runs(without([START]), after=-365 * DAY)
    assert runs.requests == 0
    (entry,) = runs.entries("missing")
    assert (entry.attempts, entry.last_requested_at) == (2, NOW)
    runs(without([START]), after=REPEAT_AFTER[1])
    assert runs.entries("missing")[0].attempts == 3


def test_repeats_of_a_run_are_capped_oldest_first(runs, monkeypatch):
    monkeypatch.setattr(repeats, "MAX_REPEATS", 2)
    monkeypatch.setattr(repeats, "_page_length", lambda source, table: HOUR)
    dropped = [START + 10 * count * HOUR for count in range(1, 6)]
    runs(without(dropped))
    left = []
    for _ in range(3):
        planned = runs.plan() if runs.now > NOW else None
        runs(after=2 * HOUR)
        assert planned in (None, runs.requests)
        left.append([entry.window.start for entry in runs.entries("missing")])
    assert left == [dropped[2:], dropped[4:], []]


def test_plan_counts_the_repeats_that_are_due(runs):
    runs(without([START + 30 * HOUR, START + 200 * HOUR]))
    assert runs.plan() == 0
    runs.now += 2 * HOUR
    assert runs.plan() == 1
    runs()
    assert runs.requests == 1
    assert runs.plan() == 0


def test_coinbase_hours_without_trades_are_complete(truth, tmp_path):
    quiet = pl.col("timestamp").dt.hour().is_in([2, 3, 4, 5])
    empty_day = pl.col("timestamp").dt.truncate("1d") == START + 4 * DAY
    bars = truth["ohlcv_1h"].filter(~quiet & ~empty_day)
    runs = Runs(truth | {"ohlcv_1h": bars}, tmp_path, "coinbase", symbol="BTCUSD")
    (problem,) = runs().problems
    assert "1 day that should exist" in problem.message
    assert problem.window == Window(START + 4 * DAY, START + 5 * DAY)
    counts = []
    for _ in range(30):
        runs(after=DAY)
        counts.append(runs.requests)
    assert 0 < sum(counts) <= 3 * (ATTEMPTS - 1)
    assert counts[-10:] == [0] * 10
    assert runs.rows.height == runs.expected.height


def test_day_without_a_settlement_is_requested_again(truth, tmp_path):
    runs = Runs(truth, tmp_path, "bybit", "perp", FUNDING)
    runs(emptied(lambda request: _is_data(request.path)))
    assert not failures(runs(after=DAY))
    assert runs.rows.height == runs.expected.height


def test_unknown_listing_time_is_no_problem_and_still_requested_again(truth, tmp_path):
    runs = Runs(truth, tmp_path, "binance")
    assert not runs(emptied(lambda request: _is_data(request.path))).problems
    runs(after=DAY)
    assert runs.rows.height == 288
    dropped = runs.truth["ohlcv_1h"].filter(pl.col("timestamp") >= START + 3 * DAY)
    later = Runs(runs.truth | {"ohlcv_1h": dropped}, tmp_path / "later", "binance")
    assert not later().problems, "nobody knows whether it traded before its first row"


def delisted(truth, at: datetime) -> dict[str, pl.DataFrame]:
    gone = pl.lit(at).cast(pl.Datetime("us", "UTC"))
    listed = truth["instruments"].with_columns(delisting_time=gone, status=pl.lit("delisted"))
    return truth | {"instruments": listed, "ohlcv_1h": truth["ohlcv_1h"].filter(pl.col("timestamp") < at)}


def test_steps_after_the_delisting_are_not_due(truth, tmp_path):
    runs = Runs(delisted(truth, START + 5 * DAY), tmp_path, "bybit", "perp")
    assert not runs().problems
    assert not runs.entries("missing")
    runs(after=DAY)
    assert runs.requests == 0


def test_delisted_instrument_that_the_venue_forgets_ends_its_requests(truth, tmp_path):
    runs = Runs(truth, tmp_path)
    runs(without([START + 30 * HOUR]))
    counts = []
    for _ in range(30):
        runs(FORGOTTEN, after=DAY)
        counts.append(runs.requests)
    assert sum(counts) == ATTEMPTS - 1
    assert runs.entries("none")


def test_instrument_that_a_venue_forgot_before_it_was_read_ends_its_requests(truth, tmp_path):
    runs = Runs(truth, tmp_path)
    reports = [runs(FORGOTTEN, after=DAY) for _ in range(30)]
    assert reports[0].problems
    assert not reports[-1].problems
    assert runs.requests == 0
    assert runs.entries("none")
    runs(refresh=True)  # the venue serves it again
    assert runs.rows.equals(runs.expected)


@pytest.mark.parametrize(("table", "newest"), [(BARS, START + 29 * HOUR), (FUNDING, START + DAY)])
def test_what_was_read_before_a_venue_forgot_it_is_not_missing(truth, tmp_path, table, newest):
    runs = Runs(truth, tmp_path, kind="perp", table=table)
    read, end = START + 30 * HOUR, START + 4 * DAY
    runs.now = runs.served = read
    runs(until=read)  # so early that rows may still be corrected
    runs.now = runs.served = end
    runs(FORGOTTEN, until=end)
    assert all(entry.window.start >= newest for entry in runs.entries("missing"))
    runs.served = NOW
    runs(after=10 * DAY)  # the venue serves it again
    assert runs.rows.equals(runs.expected)


def test_events_that_a_venue_soon_forgets_are_read_once_and_not_reported_as_lost(tmp_path):
    """OKX keeps liquidations for a day, and rows are settled after two."""
    tables = simulate(start=START, end=END, coins=["BTC"], exchanges=["okx"]).tables
    warehouse, nights = Warehouse(tmp_path), [START + number * DAY / 2 + HOUR / 3 for number in range(1, 13)]
    for now in nights:
        with LOOPBACKS["okx"](tables, now=now, clock=CLOCK) as server, reading(server, CLOCK) as fetcher:
            report = pull("okx", "liquidations", "BTCUSDT", START, now, instrument_type="perp",
                          warehouse=warehouse, fetcher=fetcher, now=now)  # fmt: skip
        assert not report.problems
    events = tables["liquidations"].filter(symbol="BTCUSDT", instrument_type="perp")
    rows = pl.from_arrow(warehouse.read(TABLES["liquidations"]))
    assert events.filter(pl.col("timestamp") < nights[-1]).height == rows.height > 0


def test_window_edges_inside_a_day_are_no_problem(truth, tmp_path):
    runs = Runs(truth, tmp_path, "bybit", "perp", FUNDING)
    assert not runs(until=END - 5 * DAY + 3 * HOUR).problems
    assert not runs(until=END - 5 * DAY + 7 * HOUR).problems


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_part_of_a_day_with_a_settlement_is_complete(truth, tmp_path, order):
    day, half_hours = START + 2 * DAY, [0, 19, 20]  # 00:00, 09:30, 10:00; settlements are at 00:00 and 08:00
    parts = [Window(day + start * HOUR / 2, day + end * HOUR / 2) for start, end in pairwise(half_hours)]
    runs = Runs(truth, tmp_path, "okx", "perp", FUNDING)
    with LOOPBACKS["okx"](truth, now=NOW) as server, Fetcher(server.settings) as fetcher:
        words = {"instrument_type": "perp", "warehouse": runs.warehouse, "fetcher": fetcher, "now": NOW}
        for number in order:
            pull("okx", "funding_rates", "BTCUSDT", parts[number].start, parts[number].end, **words)
    assert not runs.entries("missing")
    assert [entry.window for entry in runs.entries("complete")] == [Window(parts[0].start, parts[1].end)]


def test_run_killed_before_the_inventory_requests_the_span_again(runs, monkeypatch):
    def killed(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Inventory, "flush", killed)
        with pytest.raises(KeyboardInterrupt):
            runs()
    assert not list(runs.inventory)
    assert list(runs.warehouse.root.rglob("endpoint=v5.history-candles/**/*.parquet"))
    runs()
    assert runs.requests > 0
    assert runs.rows.height == 288


def test_spans_of_earlier_versions_are_kept_and_held_against_silver(runs):
    dropped = [START + 30 * HOUR]
    runs(without(dropped))
    (runs.warehouse.root / "inventory/ohlcv_1h/exchange=okx.parquet").unlink()
    at = NOW - 30 * DAY
    with BronzeWriter(runs.warehouse.root, "okx", "inventory.ohlcv_1h", "20260511T000000000000-0a") as writer:
        for span in (Window(START, START + 2 * DAY), Window(START + 2 * DAY, END)):
            context = json.dumps({"instrument_type": "spot", "symbol": "BTCUSDT"})
            row = {"table": "ohlcv_1h", "data_start": span.start, "data_end": span.end, "context": context}
            writer.add(row | {"url": "", "params": "{}", "status": None, "headers": "{}", "received_at": at,
                              "sha256": "", "body": b""})  # fmt: skip
    assert runs.plan() == 1
    assert not runs().problems
    assert runs.requests == 1
    assert runs.rows.height == 288
    runs()
    assert runs.requests == 0


def test_empty_spans_of_earlier_versions_are_read_at_last(runs):
    runs(empty_pages())
    path = runs.warehouse.root / "inventory/ohlcv_1h/exchange=okx.parquet"
    path.unlink()
    with BronzeWriter(runs.warehouse.root, "okx", "inventory.ohlcv_1h", "20260511T000000000000-0a") as writer:
        context = json.dumps({"instrument_type": "spot", "symbol": "BTCUSDT"})
        row = {"table": "ohlcv_1h", "data_start": START, "data_end": END, "context": context, "received_at": NOW - DAY}
        writer.add(row | {"url": "", "params": "{}", "status": None, "headers": "{}", "sha256": "", "body": b""})
    runs()
    assert runs.rows.height == 288


PAGES = st.lists(st.sampled_from(["healthy", "empty", "second", "holes"]), min_size=1, max_size=6)


@tries(max_examples=examples(6, 12), deadline=None, derandomize=True)
@given(sequence=PAGES, hours=st.integers(1, 60))
def test_any_sequence_of_faulty_runs_ends_with_the_venues_rows(truth, tmp_path_factory, sequence, hours):
    runs = Runs(truth, tmp_path_factory.mktemp("sequence"))
    faults = {
        "healthy": [],
        "empty": [empty_pages()],
        "second": [emptied(every(2, path=PATHS["okx"]))],
        "holes": [without([START + (hours + 7 * count) * HOUR for count in range(12)])],
    }
    total = 0
    for kind in sequence:
        runs(*faults[kind], after=timedelta(hours=hours))
        total += runs.requests
    for _ in range(3):
        runs(after=16 * DAY)
        total += runs.requests
    assert runs.rows.select(BARS.key).equals(runs.expected.select(BARS.key))
    assert runs.rows["close"].to_list() == runs.expected["close"].to_list()
    assert runs.requests == 0
    assert total <= 8 * (len(sequence) + 2)
