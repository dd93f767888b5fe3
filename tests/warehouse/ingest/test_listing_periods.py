"""Listing periods: no life of a name is lost, and a listing time that is wrong costs no row and few requests."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import sha256

import httpx
import polars as pl
import pytest

from cexkit.config import Settings
from cexkit.exchanges.fetcher import Fetcher
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, to_ms, utc
from cexkit.testing import LOOPBACKS
from cexkit.testing.loopback import server_error
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.before_listing import may_move_listings
from cexkit.warehouse.ingest.bronze import ingest_bronze
from cexkit.warehouse.ingest.listing_periods import periods_of
from cexkit.warehouse.ingest.listings import instruments, requestable
from cexkit.warehouse.ingest.plan import plan
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.store.warehouse import Warehouse

from ...clock import Clock, reading

#: The time of venues and readers, which passes when budgets wait.
CLOCK = Clock()

FUNDING, LISTING, BARS = (TABLES[name] for name in ("funding_rates", "instruments", "ohlcv_1h"))
DAY = timedelta(days=1)


def day(number: float) -> datetime:
    return datetime(2023, 1, 1, tzinfo=UTC) + timedelta(days=number)


# --- periods in rows ---


def spans(*rows: tuple) -> list[tuple]:
    """Listing periods of rows: valid from, valid to, listing, delisting, status; all times as days."""
    names = ("valid_from", "valid_to", "listing_time", "delisting_time")
    records = [
        {name: None if time is None else day(time) for name, time in zip(names, row[:4], strict=True)}
        | {"status": row[4], "observed_at": day(99)}
        for row in rows
    ]
    days = lambda time: None if time is None else (time - day(0)) / DAY  # noqa: E731
    return [(days(period.start), days(period.end)) for period in periods_of(records).periods]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(3, None, 3, None, "trading")], [(3, None)]),
        ([(9, None, None, None, "trading")], [(None, None)]),
        ([(3, 9, 3, None, "trading"), (9, None, 3, 8, "delisted")], [(3, 8)]),
        ([(3, 9, 3, None, "trading"), (9, None, 3, None, "delisted")], [(3, 9)]),
        ([(3, 9, 3, 20, "trading"), (9, None, 3, None, "trading")], [(3, None)]),
        ([(3, 9, 3, 8, "delisted"), (9, None, 9, None, "trading")], [(3, 8), (9, None)]),
        (
            [(3, 9, 3, None, "trading"), (9, 15, 3, 8, "delisted"), (15, None, 15, None, "trading")],
            [(3, 8), (15, None)],
        ),
        ([(3, 15, 3, None, "trading"), (15, None, 15, None, "trading")], [(3, None)]),
        ([(3, 15, 3, None, "trading"), (15, None, 8, None, "trading")], [(3, None)]),
        ([(3, 9, 3, 8, "delisted"), (9, None, 15, None, "pending")], [(3, 8)]),
        ([(3, 9, 15, None, "pending")], []),
        ([(3, None, 3, None, "pending")], [(3, None)]),
        ([(9, None, None, None, "delisted")], [(None, None)]),
    ],
)
def test_listing_periods_of_rows(rows, expected):
    assert spans(*rows) == expected


# --- a venue whose lists change ---


class Binance:
    """A venue with one perpetual and settlements every 8 hours; lists and clock are set."""

    def __init__(self):
        self.now, self.contracts, self.served, self.files = day(0), [], [], {}
        self.requests: list[tuple[str, datetime]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path, params = request.url.path, request.url.params
        headers = {"Date": format_datetime(self.now, usegmt=True)}
        if path.startswith("/data/"):
            self.requests.append((path, self.now))
            return self._file(path, headers)
        body: object = []
        if path.endswith("exchangeInfo"):
            body = {"symbols": self.contracts if "fapi" in path else [], "rateLimits": []}
        elif path.endswith("fundingRate"):
            start, end = (int(params[name]) for name in ("startTime", "endTime"))
            self.requests.append(("fundingRate", datetime.fromtimestamp(start / 1000, UTC)))
            body = [self._row(at) for at in self.served if start <= to_ms(at) <= end][: int(params["limit"])]
        return httpx.Response(200, json=body, headers=headers)

    def _row(self, at: datetime) -> dict:
        return {"symbol": "AUSDT", "fundingTime": to_ms(at), "fundingRate": "0.0001", "markPrice": "1"}

    def _file(self, path: str, headers: dict[str, str]) -> httpx.Response:
        body = self.files.get(path.removesuffix(".CHECKSUM"))
        if body is None:
            return httpx.Response(404, headers=headers)
        content = f"{sha256(body).hexdigest()}  x".encode() if path.endswith(".CHECKSUM") else body
        return httpx.Response(200, content=content, headers=headers)

    @property
    def fetcher(self) -> Fetcher:
        settings = Settings(max_clock_skew_seconds=None)
        return Fetcher(settings, httpx.MockTransport(self), sleep=lambda _: None)

    def list(self, warehouse: Warehouse, at: float, *contracts: dict) -> None:
        self.now, self.contracts = day(at), list(contracts)
        with self.fetcher as fetcher:
            ingest_bronze(warehouse, fetcher, "binance", LISTING)
        build_silver(warehouse, "binance", LISTING)

    def pull(self, warehouse: Warehouse, first: float, last: float, table: str = "funding_rates", **more):
        self.requests.clear()
        with self.fetcher as fetcher:
            return pull("binance", table, start=day(first), end=day(last), warehouse=warehouse, fetcher=fetcher, **more)


def contract(symbol: str = "AUSDT", onboard: float = 0, **more) -> dict:
    names = {"symbol": symbol, "baseAsset": symbol.removesuffix("USDT"), "quoteAsset": "USDT", "marginAsset": "USDT"}
    times = {"deliveryDate": 4133404800000, "onboardDate": to_ms(day(onboard))}
    return names | times | {"status": "TRADING", "contractType": "PERPETUAL", "filters": []} | more


def settlements(first: float, last: float) -> list[datetime]:
    return [day(first) + timedelta(hours=8 * n) for n in range(round((last - first) * 3))]


@pytest.fixture
def warehouse(tmp_path) -> Warehouse:
    return Warehouse(tmp_path / "warehouse")


@pytest.fixture
def relisted(warehouse) -> Binance:
    """Listed on day 10, delisted on day 45, listed again on day 52; three lists show it."""
    venue = Binance()
    gone = {"status": "SETTLING", "deliveryDate": to_ms(day(45))}
    venue.list(warehouse, 40, contract(onboard=10))
    venue.list(warehouse, 46, contract(onboard=10, **gone))
    venue.list(warehouse, 90, contract(onboard=52))
    venue.served = [*settlements(10, 45), *settlements(52, 90)]
    return venue


def times(warehouse: Warehouse) -> list[datetime]:
    return sorted(warehouse.read(FUNDING)["timestamp"].to_pylist())


def test_first_life_of_a_name_is_pulled(relisted, warehouse):
    report = relisted.pull(warehouse, 0, 88)
    assert times(warehouse) == [at for at in relisted.served if at < day(88)]
    assert [problem for problem in report.problems if "returned no data" not in problem.message] == []


@pytest.mark.parametrize(("first", "moved"), [(0, True), (8, True), (20, True), (49, True), (60, False)])
def test_tables_wait_for_each_other_only_if_a_listing_time_may_be_wrong(relisted, warehouse, first, moved):
    """Days 20 and 49 are before the second listing, whose time may be too late as well."""
    assert may_move_listings(warehouse, "binance", Window(day(first), day(90))) is moved
    relisted.pull(warehouse, 0, 88)
    assert may_move_listings(warehouse, "binance", Window(day(first), day(90))) is moved


@pytest.mark.parametrize(
    ("first", "last", "listed"), [(0, 10, 0), (0, 11, 1), (44, 46, 1), (45, 52, 0), (46, 53, 1), (60, 61, 1)]
)
def test_instruments_of_a_window_are_those_of_all_lives(relisted, warehouse, first, last, listed):
    found = instruments(warehouse, "binance", FUNDING, Window(day(first), day(last)))
    assert len(found) == listed
    assert len(requestable(warehouse, "binance", FUNDING, Window(day(first), day(last)))) == 1


def test_time_between_two_lives_lacks_nothing(relisted, warehouse):
    relisted.served = relisted.served[:-3]
    report = relisted.pull(warehouse, 0, 86)
    assert not [problem for problem in report.problems if "returned no data" in problem.message]


def test_rows_that_are_missing_in_a_first_life_are_reported(relisted, warehouse):
    relisted.served = [at for at in relisted.served if not day(20) <= at < day(23)]
    report = relisted.pull(warehouse, 0, 86)
    (problem,) = report.problems
    assert "3 days" in problem.message
    assert problem.window == Window(day(20), day(23))


# --- a listing time that is too late ---


@pytest.fixture(scope="module")
def truth() -> dict[str, pl.DataFrame]:
    tables = simulate(start="2026-03-01", end="2026-05-30", coins=["BTC"]).tables
    late = pl.lit(utc("2026-04-30")).cast(pl.Datetime("us", "UTC"))
    names = ("ohlcv_1h", "funding_rates", "open_interest")
    return {name: tables[name] for name in names} | {
        "instruments": tables["instruments"].with_columns(listing_time=late)
    }


class Pulls:
    """Pulls of a table of a venue's perpetuals, and their requests for it."""

    def __init__(self, truth, root, exchange: str, table: str):
        self.truth, self.exchange, self.table, self.warehouse = truth, exchange, table, Warehouse(root)

    def __call__(self, start: str = "2026-03-01", end: str = "2026-05-30", **more):
        words = {"start": start, "end": end, "instrument_type": "perp", "warehouse": self.warehouse}
        with (
            LOOPBACKS[self.exchange](self.truth, now="2026-05-30T01:00", clock=CLOCK) as venue,
            reading(venue, CLOCK) as fetcher,
        ):
            report = pull(self.exchange, self.table, fetcher=fetcher, now=utc("2026-05-30T01:00"), **words, **more)
            self.requests = sum(
                "instruments" not in one.request.path and "Info" not in one.request.path for one in venue.log
            )
        return report

    def rows(self) -> int:
        return self.warehouse.read(TABLES[self.table]).num_rows

    def expected(self, start: str = "2026-03-01", end: str = "2026-05-30") -> int:
        rows = self.truth[self.table].filter(exchange=self.exchange, instrument_type="perp")
        return rows.filter(pl.col("timestamp").is_between(utc(start), utc(end), closed="left")).height


@pytest.mark.parametrize(
    ("exchange", "table"),
    [("okx", "funding_rates"), ("okx", "ohlcv_1h"), ("bybit", "funding_rates"), ("bybit", "open_interest"),
     ("binance", "funding_rates"), ("binance", "ohlcv_1h"), ("coinbase", "funding_rates")],
)  # fmt: skip
def test_late_listing_time_loses_no_row_and_is_reported(truth, tmp_path, exchange, table):
    pulls = Pulls(truth, tmp_path, exchange, table)
    report = pulls()
    assert pulls.rows() == pulls.expected()
    late = [problem for problem in report.problems if "listing time 2026-04-30T00:00" in problem.message]
    names = truth["instruments"].filter(exchange=exchange, instrument_type="perp")["symbol"]
    assert sorted(problem.symbol for problem in late) == sorted(names)
    assert {problem.window.end for problem in late} == {utc("2026-04-30")}
    again = pulls()
    assert [problem.message for problem in again.problems if "listing time" in problem.message] == []


def test_window_before_a_late_listing_time_is_read(truth, tmp_path):
    pulls = Pulls(truth, tmp_path, "bybit", "ohlcv_1h")
    pulls("2026-03-05", "2026-03-06")
    window = Window.of("2026-03-05", "2026-03-06")
    found = pl.from_arrow(pulls.warehouse.read(BARS, span=window))
    assert found.height == pulls.expected("2026-03-05", "2026-03-06") == 24


def test_other_tables_use_the_first_rows_that_one_has(truth, tmp_path):
    pulls = Pulls(truth, tmp_path, "bybit", "ohlcv_1h")
    pulls()
    pulls.table = "funding_rates"
    report = pulls()
    assert (pulls.rows(), report.problems) == (pulls.expected(), ())


# --- few requests ---


def test_names_that_are_new_cost_one_request_each(warehouse):
    venue = Binance()
    names = [f"A{number}USDT" for number in range(6)]
    venue.list(warehouse, 400, *(contract(name, onboard=395) for name in names))
    for first, last, probes in ((0, 100, 6), (0, 400, 0), (-900, 400, 0)):
        with venue.fetcher as fetcher:
            planned = plan(warehouse, "binance", [FUNDING], Window(day(first), day(last)), fetcher=fetcher)
        report = venue.pull(warehouse, first, last)
        before = [at for path, at in venue.requests if path == "fundingRate" and at < day(393.9)]
        assert len(before) == probes
        # two monthly files with a checksum each hold the time since the listing
        assert planned.requests == probes + (6 * 4 if last == 400 else 0)
        assert not [problem for problem in report.problems if "listing time" in problem.message]


def test_first_life_that_no_list_shows_is_found_behind_a_long_break(warehouse):
    """The venue was first read after the name had been listed again."""
    venue = Binance()
    venue.list(warehouse, 700, contract(onboard=600))
    venue.served = [*settlements(10, 100), *settlements(600, 700)]
    report = venue.pull(warehouse, 0, 690)
    assert times(warehouse) == [at for at in venue.served if at < day(690)]
    (problem,) = [problem for problem in report.problems if "listing time" in problem.message]
    assert problem.window == Window(day(10), day(600))


def test_rows_outside_of_the_window_are_not_stored_by_the_question(warehouse):
    venue = Binance()
    venue.list(warehouse, 700, contract(onboard=600))
    venue.served = settlements(10, 700)
    venue.pull(warehouse, 590, 610)
    assert (min(times(warehouse)), max(times(warehouse))) == (day(590), day(610) - timedelta(hours=8))


def test_floor_holds_for_the_listing_time_that_was_tested(warehouse):
    venue = Binance()
    venue.list(warehouse, 90, contract(onboard=80))
    venue.served = settlements(81, 90)
    venue.pull(warehouse, 0, 88)
    venue.served = settlements(60, 90)
    venue.pull(warehouse, 0, 88)
    assert min(times(warehouse)) == day(81), "the venue was asked, and had nothing"
    venue.list(warehouse, 91, contract(onboard=60))
    venue.pull(warehouse, 0, 88)
    assert min(times(warehouse)) == day(60)
    venue.served = settlements(30, 90)
    venue.pull(warehouse, 0, 88, refresh=True)
    assert min(times(warehouse)) == day(30)


def test_walk_before_a_late_listing_time_ends_at_an_empty_month(warehouse):
    venue = Binance()
    venue.list(warehouse, 1000, contract(onboard=995))
    venue.served = settlements(900, 1000)
    venue.pull(warehouse, -1000, 998)
    assert min(times(warehouse)) == day(900)
    assert Counter(path for path, _ in venue.requests)["fundingRate"] < 30


def metrics(number: int) -> tuple[str, bytes]:
    """Return path and content of a daily file with one row."""
    date = day(number)
    buffer, names = io.BytesIO(), "create_time,symbol,sum_open_interest,sum_open_interest_value"
    with zipfile.ZipFile(buffer, "w") as archive:
        ratios = "count_toptrader_long_short_ratio,sum_toptrader_long_short_ratio,count_long_short_ratio,"
        row = f"{date:%Y-%m-%d} 12:00:00,AUSDT,5,10,1,1,1,1"
        archive.writestr("x.csv", f"{names},{ratios}sum_taker_long_short_vol_ratio\n{row}")
    return f"/data/futures/um/daily/metrics/AUSDT/AUSDT-metrics-{date:%Y-%m-%d}.zip", buffer.getvalue()


@pytest.mark.parametrize(("first", "rows"), [(380, 20), (395, 5)])
def test_archive_tells_where_the_api_does_not_reach(warehouse, first, rows):
    venue = Binance()
    venue.list(warehouse, 500, contract(onboard=395))
    venue.files = dict(metrics(number) for number in range(first, 400))
    report = venue.pull(warehouse, 0, 400, table="open_interest")
    assert warehouse.read(TABLES["open_interest"]).num_rows == rows
    late = [problem for problem in report.problems if "listing time" in problem.message]
    assert len(late) == (first < 395)
    assert sum(path.endswith(".CHECKSUM") for path, _ in venue.requests) <= (80 if late else 12)


def test_index_of_a_contract_is_not_requested_before_its_listing(truth, tmp_path):
    tables = simulate(start="2026-03-01", end="2026-05-30", coins=["BTC"], exchanges=["okx"]).tables
    pulls = Pulls({"instruments": truth["instruments"], "index_1h": tables["index_1h"]}, tmp_path, "okx", "index_1h")
    report = pulls()
    assert min(pulls.warehouse.read(TABLES["index_1h"])["timestamp"].to_pylist()) == utc("2026-04-29")
    assert report.problems == ()


def test_files_that_fail_before_a_late_listing_time_do_not_end_the_walk(tmp_path):
    """All files of a month that is read before the listing fail once; older files have rows."""
    start, end, now = utc("2025-09-01"), utc("2026-06-01"), utc("2026-06-10")
    tables = simulate(start=start, end=end, coins=["BTC"], exchanges=["okx"]).tables
    listing = tables["instruments"].with_columns(listing_time=pl.lit(utc("2026-04-15")).dt.cast_time_unit("us"))
    rows = tables["funding_rates"].filter(symbol="BTCUSDT")
    clock, broken = Clock(), {"2025-12.zip", "2026-01.zip"}
    fault = server_error(lambda request: request.path.endswith(tuple(broken)))
    frames = {"instruments": listing, "funding_rates": rows}
    with LOOPBACKS["okx"](frames, now=now, clock=clock, faults=[fault]) as venue:
        for _ in range(2):
            with reading(venue, clock) as fetcher:
                words = {"instrument_type": "perp", "warehouse": tmp_path, "fetcher": fetcher, "now": now}
                report = pull("okx", "funding_rates", "BTCUSDT", start, end, **words)
            stored = pl.from_arrow(Warehouse(tmp_path).read(TABLES["funding_rates"]))
            lost = rows.join(stored, on=["symbol", "timestamp"], how="anti")["timestamp"]
            if broken:
                named = [problem.window for problem in report.problems if "HTTP 503" in problem.message]
                assert lost.len() == 186
                assert all(any(time in window for window in named) for time in lost)
            broken.clear()
        assert lost.is_empty()
