"""Clocks that disagree: the run says so, nothing it read is final, and a healthy run completes it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pyarrow.compute as pc
import pytest

from cexkit.exchanges.fetcher import Fetcher
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, utc
from cexkit.schema.symbols import Instrument
from cexkit.testing import LoopbackBybit, every, misdated
from cexkit.testing.market import moved
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.ingest.report import ClockProblem, Problem, Report
from cexkit.warehouse.store.inventory import Inventory
from cexkit.warehouse.store.warehouse import Warehouse

from ...clock import shift_local_clock

BARS = TABLES["ohlcv_1h"]
CANDLES = "/v5/market/kline"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SPOT, PERP = (
    Instrument(
        exchange="bybit", instrument_type=kind, symbol="BTCUSDT", venue_symbol="BTCUSDT", base="BTC", quote="USDT"
    )
    for kind in ("spot", "perp")
)
TODAY = utc(datetime.now(UTC).date())


@pytest.fixture(scope="module")
def truth() -> dict[str, pl.DataFrame]:
    """The simulated market in the present; its last day is today."""
    tables = simulate(start="2026-06-01", end="2026-06-09", coins=["BTC"], exchanges=["bybit"]).tables
    by = TODAY + DAY - utc("2026-06-09")
    return moved({name: tables[name] for name in ("instruments", "ohlcv_1h")}, by)


class Venue(LoopbackBybit):
    """Bybit in the present; its clock is compared with this machine's. It marks no bar as running."""

    def __init__(self, truth, **options):
        super().__init__(truth, now=lambda: datetime.now(UTC), **options)

    @property
    def settings(self):
        return super().settings.model_copy(update={"max_clock_skew_seconds": 300.0})


def bring(venue: Venue, warehouse: Warehouse, *, end: datetime | None = None) -> Report:
    # one request after another, so that tests can say when the clock jumps
    with Fetcher(venue.settings.model_copy(update={"concurrent_requests": 1})) as fetcher:
        return pull("bybit", "ohlcv_1h", None, TODAY - 6 * DAY, end, warehouse=warehouse, fetcher=fetcher)


def stored(warehouse: Warehouse) -> pl.DataFrame:
    return pl.from_arrow(warehouse.read(BARS)).sort(BARS.key)


def complete(truth, until: datetime) -> pl.DataFrame:
    rows = truth["ohlcv_1h"].filter(
        pl.col("timestamp") >= TODAY - 6 * DAY, pl.col("timestamp") + HOUR + timedelta(seconds=1) <= until
    )
    return rows.sort(BARS.key)


def missing(warehouse: Warehouse, instrument: Instrument) -> list[Window]:
    window = Window(TODAY - 6 * DAY, TODAY - 3 * DAY)
    return Inventory(warehouse.root, "bybit", BARS).unread(instrument, window)


def clock_problems(report: Report) -> list[Problem]:
    return [problem for problem in report.problems if isinstance(problem, ClockProblem)]


def assert_healed(venue: Venue, warehouse: Warehouse, truth) -> None:
    """A run with right clocks completes the table, and later runs need not request its settled part again."""
    venue.faults = ()
    report = bring(venue, warehouse)
    assert not report.problems
    found = stored(warehouse)
    expected = complete(truth, datetime.now(UTC) - timedelta(seconds=30))
    assert found.join(expected, on=BARS.key, how="semi", maintain_order="left").equals(expected)
    assert found["timestamp"].max() + HOUR <= datetime.now(UTC)
    assert missing(warehouse, SPOT) == missing(warehouse, PERP) == []


def test_date_ten_days_ahead_finishes_no_running_bar(truth, tmp_path):
    warehouse, fault = Warehouse(tmp_path), misdated(every(1), 10 * DAY)
    with Venue(truth, faults=[fault]) as venue:
        report = bring(venue, warehouse)
        assert stored(warehouse)["timestamp"].max() + HOUR <= datetime.now(UTC)
        assert stored(warehouse).height > 0
        assert missing(warehouse, SPOT) == [Window(TODAY - 6 * DAY, TODAY - 3 * DAY)]
        (problem,) = report.problems
        assert isinstance(problem, ClockProblem)
        now = datetime.now(UTC)
        for text in (f"{now + 10 * DAY:%Y-%m-%d}", f"{now:%Y-%m-%d}", "ahead", "run again"):
            assert text in str(problem)
        assert_healed(venue, warehouse, truth)


def test_date_ten_days_behind_is_reported_and_heals(truth, tmp_path):
    warehouse = Warehouse(tmp_path)
    with Venue(truth, faults=[misdated(every(1), -10 * DAY)]) as venue:
        report = bring(venue, warehouse)
        assert "behind" in clock_problems(report)[0].message
        assert stored(warehouse).height == 0
        assert_healed(venue, warehouse, truth)


@pytest.mark.parametrize("by", [-3 * HOUR, 3 * HOUR], ids=["back", "ahead"])
def test_local_clock_three_hours_off_is_reported_and_heals(truth, tmp_path, monkeypatch, by):
    warehouse = Warehouse(tmp_path)
    with Venue(truth) as venue:
        with monkeypatch.context() as wrong:
            shift_local_clock(wrong, by)
            report = bring(venue, warehouse, end=TODAY + DAY)
        (problem,) = report.problems
        assert ("ahead" if by < timedelta(0) else "behind") in problem.message
        assert stored(warehouse)["timestamp"].max() + HOUR <= datetime.now(UTC) + min(by, timedelta(0))
        assert missing(warehouse, SPOT) == [Window(TODAY - 6 * DAY, TODAY - 3 * DAY)]
        assert_healed(venue, warehouse, truth)


def test_skew_in_the_middle_of_a_run_keeps_what_was_read_before_it(truth, tmp_path):
    """Instruments are read in order; the clock jumps before the last page of the second."""
    warehouse = Warehouse(tmp_path)
    with Venue(truth, page_rows=100) as venue:
        assert not bring(venue, Warehouse(tmp_path / "other")).problems
        pages = venue._counts[CANDLES]
        venue.faults = (misdated(lambda request: request.path_number == 2 * pages, 10 * DAY),)
        report = bring(venue, warehouse)
        assert len(report.problems) == len(clock_problems(report)) == 1
        spans = [missing(warehouse, one) for one in (PERP, SPOT)]
        assert spans == [[], [Window(TODAY - 6 * DAY, TODAY - 3 * DAY)]]
        assert_healed(venue, warehouse, truth)


def test_difference_within_the_bound_is_no_problem_and_finishes_no_running_bar(truth, tmp_path, monkeypatch):
    """A bar that is over by the venue's clock and not by ours waits for the next run."""
    warehouse = Warehouse(tmp_path)
    shift = TODAY + timedelta(minutes=58) - datetime.now(UTC)
    shift_local_clock(monkeypatch, shift)
    with Venue(truth, faults=[misdated(every(1), timedelta(minutes=4))]) as venue:
        venue.now = lambda: datetime.now(UTC) + shift
        report = bring(venue, warehouse, end=TODAY + DAY)
    assert not report.problems
    assert stored(warehouse)["timestamp"].max() == TODAY - HOUR


@pytest.mark.parametrize("ahead", [-10 * DAY, 10 * DAY], ids=["behind", "ahead"])
def test_list_read_while_clocks_disagree_delists_nothing(truth, tmp_path, ahead):
    """Its time may precede the delisting, and rows are requested only until then; the next list delists."""
    warehouse, listing = Warehouse(tmp_path), TABLES["instruments"]
    spot = truth["instruments"].filter(instrument_type="spot")
    other = spot.with_columns(symbol=pl.lit("ETHUSDT"), venue_symbol=pl.lit("ETHUSDT"), base=pl.lit("ETH"))
    every_one = pl.concat([truth["instruments"], other])  # an empty list would delist nothing either
    fewer = every_one.filter((pl.col("instrument_type") == "perp") | (pl.col("base") == "ETH"))
    for listed, faults in ((every_one, ()), (fewer, (misdated(every(1), ahead),)), (fewer, ())):
        with Venue({"instruments": listed}, faults=faults) as venue, Fetcher(venue.settings) as fetcher:
            pull("bybit", "instruments", warehouse=warehouse, fetcher=fetcher)
        is_first = (pc.field("instrument_type") == "spot") & (pc.field("base") == "BTC")
        (spot,) = warehouse.read(listing).filter(is_first).to_pylist()
        if faults:
            assert (spot["status"], spot["delisting_time"]) == ("trading", None)
    assert spot["status"] == "delisted"
    assert abs(spot["delisting_time"] - datetime.now(UTC)) < timedelta(minutes=5)


def test_report_names_a_venue_once():
    skew = [ClockProblem("okx", table, None, None, f"at {table}") for table in ("instruments", "ohlcv_1h")]
    other, plain = ClockProblem("bybit", "instruments", None, None, "."), Problem("okx", "ohlcv_1h", None, None, ".")
    total = sum((Report(problems=(one,)) for one in (skew[0], plain, other, skew[1], plain)), Report())
    assert total.problems == (skew[0], plain, other, plain)
