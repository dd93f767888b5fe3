"""Open interest of Binance: hours at which it was taken, and no rows of the API whose labels may mean other times."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import replace
from datetime import datetime, timedelta

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from cexkit.exchanges.registry import EXCHANGES
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, utc
from cexkit.schema.render import to_polars
from cexkit.testing import LoopbackBinance
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.plan import plan
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.ingest.rebuild import rebuild
from cexkit.warehouse.ingest.report import Report
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.warehouse import Warehouse

from ...clock import Clock, reading
from ...problems import MISSING

#: The time of venues and readers, which passes when budgets wait.
CLOCK = Clock()

OPEN_INTEREST, LISTING = TABLES["open_interest"], TABLES["instruments"]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
START, END = utc("2026-05-28"), utc("2026-07-10")
#: At 2026-06-25 01:00, open interest is 7,924.
ZERO = utc("2026-06-25T01:00") - 7924 * timedelta(minutes=5)
BEHIND = {"api_lag": timedelta(minutes=5)}


@pytest.fixture(scope="module")
def listing() -> pl.DataFrame:
    return simulate(start="2026-05-28", end="2026-05-29", coins=["BTC"], exchanges=["binance"]).tables["instruments"]


def interest(start: datetime = START, end: datetime = END, *, without: tuple[Window, ...] = ()) -> pl.DataFrame:
    """Hourly rows of a series that grows by one every five minutes."""
    times = [start + number * HOUR for number in range((end - start) // HOUR)]
    rows = [
        {"exchange": "binance", "instrument_type": "perp", "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT",
         "timestamp": time, "open_interest_base": value(time), "open_interest_quote": 2 * value(time)}
        for time in times if not any(time in window for window in without)
    ]  # fmt: skip

    return (
        pl.DataFrame(rows, schema_overrides=to_polars(OPEN_INTEREST))
        .with_columns(multiplier=pl.lit(None, pl.Float64))
        .select(OPEN_INTEREST.columns)
    )


def value(time: datetime) -> float:
    return (time - ZERO) / timedelta(minutes=5)


def bring(folder, listing, start: str, end: str, now: str, rows: pl.DataFrame | None = None, **venue) -> Report:
    feed = {"instruments": listing, "open_interest": interest() if rows is None else rows}
    with LoopbackBinance(feed, now=now, **venue, clock=CLOCK) as server, reading(server, CLOCK) as fetcher:
        return pull("binance", "open_interest", "BTCUSDT", start, end, instrument_type="perp", warehouse=folder,
                    fetcher=fetcher, now=utc(now))  # fmt: skip


def stored(folder, start: str = "2000-01-01", end: str = "2100-01-01") -> dict[datetime, float]:
    rows = pl.from_arrow(Warehouse(folder).read(OPEN_INTEREST, span=Window.of(start, end))).sort("timestamp")
    assert rows["timestamp"].is_unique().all()
    return dict(rows.select("timestamp", "open_interest_base").iter_rows())


def hours(start: str, end: str) -> dict[datetime, float]:
    """Return the true values of the hours in a window."""
    window = Window.of(start, end)
    return {span.start: value(span.start) for span in window.split(HOUR)}


def require_equal_to_rebuild(folder, now: str) -> None:
    """Incremental builds give what one build from all of Bronze gives: rows, quarantine, rules, and states."""
    warehouse, copy = Warehouse(folder), Warehouse(folder.with_name(f"{folder.name}-copy"))
    shutil.rmtree(copy.root, ignore_errors=True)
    shutil.copytree(warehouse.root / "bronze", copy.root / "bronze")
    for table in (LISTING, OPEN_INTEREST):
        build_silver(copy, "binance", table, now=utc(now))
    one, other = (Ledger(each.root, "binance", OPEN_INTEREST) for each in (warehouse, copy))
    assert stored(copy.root) == stored(warehouse.root)
    assert one.rules.equals(other.rules)
    assert one.read_state("labels").equals(other.read_state("labels"))
    for done in rebuild(warehouse, "binance", [OPEN_INTEREST], dry_run=True, now=utc(now)):
        assert (done.added, done.changed, done.lost.height) == (0, 0, 0), str(done)


def unjoined(report: Report) -> list:
    return [problem for problem in report.problems if "labels" in problem.message]


class Killed(BaseException):
    pass


def _kill_for_open_interest(original):
    """Return a method that raises when it is called for open interest, as a kill at that moment would end it."""

    def call(self, *values, **words):
        if any(each is OPEN_INTEREST for each in (*values, getattr(self, "table", None))):
            raise Killed
        return original(self, *values, **words)

    return call


class TestHours:
    def test_both_sides_of_the_change_of_labels(self, listing, tmp_path):
        report = bring(tmp_path, listing, "2026-06-20", "2026-07-01", now="2026-07-05")
        assert report.problems == ()
        assert stored(tmp_path, "2026-06-20", "2026-07-01") == hours("2026-06-20", "2026-07-01")
        assert stored(tmp_path)[utc("2026-06-25T01:00")] == 7924

    @pytest.mark.parametrize("day", ["2026-06-01", "2026-06-24", "2026-06-25", "2026-06-26", "2026-07-01"])
    def test_one_day_has_its_hours_from_two_files(self, listing, tmp_path, day):
        end = f"{utc(day) + DAY:%Y-%m-%d}"
        report = bring(tmp_path, listing, day, end, now="2026-07-05")
        assert report.problems == ()
        assert stored(tmp_path, day, end) == hours(day, end)
        with (
            LoopbackBinance({"instruments": listing}, now="2026-07-05", clock=CLOCK) as server,
            reading(server, CLOCK) as fetcher,
        ):
            made = plan(tmp_path, "binance", [OPEN_INTEREST], Window.of(day, end), fetcher=fetcher, refresh=True)
        assert (made.steps[0].files, made.steps[0].spans, made.requests) == (2, (), 4)

    def test_hour_of_a_missing_file_is_requested_from_the_api(self, listing, tmp_path):
        gone = Window.of("2026-06-19T00:05", "2026-06-20T00:01")
        report = bring(tmp_path, listing, "2026-06-20", "2026-06-21", now="2026-07-05", rows=interest(without=(gone,)))
        assert stored(tmp_path) == hours("2026-06-20T01:00", "2026-06-21T01:00")
        (problem,) = report.problems
        assert MISSING in problem.message
        assert "1 row" in problem.message
        assert problem.window == Window.of("2026-06-20", "2026-06-20T01:00")

    def test_hour_of_a_missing_file_that_nobody_keeps_is_reported(self, listing, tmp_path):
        rows = interest(utc("2026-05-29T01:00"))
        report = bring(tmp_path, listing, "2026-05-29", "2026-05-30", now="2026-07-05", rows=rows)
        assert stored(tmp_path) == hours("2026-05-29T01:00", "2026-05-30T01:00")
        (problem,) = report.problems
        assert (problem.window, problem.message) == (
            Window.of("2026-05-29", "2026-05-29T01:00"),
            "the venue does not keep it",
        )

    @pytest.mark.parametrize("listed", ["2026-05-29", "2026-05-29T00:30", "2026-05-29T08:00", "2026-05-28T23:57"])
    def test_first_day_of_a_listing_lacks_no_hour(self, listing, tmp_path, listed):
        """Only at the very minute of a listing at midnight, nobody knows whether a snapshot was due."""
        first = utc(listed) + (utc("2026-05-28") - utc(listed)) % HOUR
        first += HOUR if listed == "2026-05-29" else timedelta(0)
        life = listing.with_columns(listing_time=pl.lit(utc(listed)).cast(pl.Datetime("us", "UTC")))
        report = bring(tmp_path, life, "2026-05-20", "2026-06-01", now="2026-07-05", rows=interest(first))
        expected = [Window.of("2026-05-29", "2026-05-29T01:00")] if listed == "2026-05-29" else []
        assert [problem.window for problem in report.problems] == expected
        assert stored(tmp_path, "2026-05-20", "2026-06-01") == hours(first.isoformat(), "2026-06-01")

    def test_files_of_an_older_version_give_midnights_after_a_rebuild(self, listing, tmp_path, monkeypatch):
        """It requested files by their UTC day, and did not read the last row."""
        now = {"now": "2026-07-20"}
        with monkeypatch.context() as patch:
            patch.setitem(EXCHANGES, "binance", _older_version(EXCHANGES["binance"]))
            bring(tmp_path, listing, "2026-05-30", "2026-06-02", **now)
            assert utc("2026-06-01") not in stored(tmp_path)
        report = bring(tmp_path, listing, "2026-06-01", "2026-06-02", **now)
        assert any("older version of the parsers" in problem.message for problem in report.problems)
        rebuild(Warehouse(tmp_path), "binance", [LISTING, OPEN_INTEREST], now=utc("2026-07-20"))
        assert stored(tmp_path) == hours("2026-05-30T01:00", "2026-06-02T00:01")
        report = bring(tmp_path, listing, "2026-05-31", "2026-06-04", **now)
        assert report.problems == ()
        assert stored(tmp_path) == hours("2026-05-30T01:00", "2026-06-04T00:01")
        require_equal_to_rebuild(tmp_path, "2026-07-20")


def _older_version(venue):
    """Return the descriptor without what it knows of the files' spans, and with a parser that drops midnights."""

    def parse(body, context):
        rows = key_parser(body, context)
        return rows.filter(pc.less(rows["timestamp"], pa.scalar(context.window.end, rows["timestamp"].type)))

    key = ("open_interest", "perp")
    key_parser = venue.archives[key].parse
    older = replace(venue.archives[key], ahead=timedelta(0), margin=timedelta(0), ready={"day": DAY}, parse=parse)
    archives = {name: archive for name, archive in venue.archives.items() if name[0] != key[0]}
    return replace(venue, archives=archives | {key: older}, parser_version=2)


class TestJoin:
    """The newest hours come from the API until the files of their days are there."""

    def test_labels_that_agree_are_joined(self, listing, tmp_path):
        report = bring(tmp_path, listing, "2026-06-20", "2026-07-05", now="2026-07-05T00:00:05")
        assert report.problems == ()
        assert stored(tmp_path, "2026-06-20", "2026-07-05") == hours("2026-06-20", "2026-07-05")
        require_equal_to_rebuild(tmp_path, "2026-07-05")

    def test_labels_that_differ_leave_only_the_archive(self, listing, tmp_path):
        report = bring(tmp_path, listing, "2026-06-20", "2026-07-05", now="2026-07-05T00:00:05", **BEHIND)
        assert stored(tmp_path, "2026-06-20", "2026-07-05") == hours("2026-06-20", "2026-07-04T00:01")
        (problem,) = report.problems
        assert problem.symbol == "BTCUSDT"
        assert problem.window.start == utc("2026-07-02T01:00")
        assert utc("2026-07-04T22:00") < problem.window.end <= utc("2026-07-05")
        assert "48 of 48 rows that both have differ" in problem.message
        assert Ledger(tmp_path, "binance", OPEN_INTEREST).rules["rule"].to_list() == ["unconfirmed label"]
        require_equal_to_rebuild(tmp_path, "2026-07-05")
        rebuild(Warehouse(tmp_path), "binance", [OPEN_INTEREST], now=utc("2026-07-05"))
        assert build_silver(Warehouse(tmp_path), "binance", OPEN_INTEREST, now=utc("2026-07-05")) == Report()
        require_equal_to_rebuild(tmp_path, "2026-07-05")

    def test_labels_before_the_change_are_known_to_agree(self, listing, tmp_path):
        report = bring(tmp_path, listing, "2026-06-10", "2026-06-24", now="2026-06-24T00:00:05", **BEHIND)
        assert report.problems == ()
        assert stored(tmp_path, "2026-06-10", "2026-06-24") == hours("2026-06-10", "2026-06-24")

    def test_api_alone_is_one_series(self, listing, tmp_path):
        without_files = {"now": "2026-06-26T06:00", "rows": interest(utc("2026-06-25T03:00"))}
        report = bring(tmp_path, listing, "2026-06-25", "2026-06-26T06:00", **without_files)
        assert unjoined(report) == []
        assert stored(tmp_path) == hours("2026-06-25T03:00", "2026-06-26T06:00")
        require_equal_to_rebuild(tmp_path, "2026-06-26T06:00")

    @pytest.mark.parametrize("killed_in", [None, (Warehouse, "replace"), (Ledger, "write_state")])
    def test_rows_of_the_api_leave_silver_when_a_file_shows_that_they_differ(self, listing, tmp_path, killed_in):
        bring(tmp_path, listing, "2026-06-25T03:00", "2026-06-26T06:00", now="2026-06-26T06:00", **BEHIND)
        assert len(stored(tmp_path)) == 27
        if killed_in:
            with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Killed):
                patch.setattr(*killed_in, _kill_for_open_interest(getattr(*killed_in)))
                bring(tmp_path, listing, "2026-06-25T03:00", "2026-06-26T01:00", now="2026-06-27", **BEHIND)
        report = bring(tmp_path, listing, "2026-06-25T03:00", "2026-06-26T01:00", now="2026-06-27", **BEHIND)
        assert stored(tmp_path) == hours("2026-06-25T01:00", "2026-06-26T00:01")
        if killed_in is None:
            assert any("5 rows were removed by the rule 'unconfirmed label'" in str(one) for one in report.problems)
        removed = Ledger(tmp_path, "binance", OPEN_INTEREST).removed
        assert removed["timestamp"].unique().sort().to_list() == [
            utc("2026-06-26") + number * HOUR for number in range(1, 6)
        ]
        require_equal_to_rebuild(tmp_path, "2026-06-27")

    @pytest.mark.parametrize("venue", [{}, BEHIND], ids=["agree", "differ"])
    def test_files_that_appear_later_decide_about_rows_of_the_api(self, listing, tmp_path, venue):
        """A file a day, each published after the API's rows of that day were stored."""
        for day in range(25, 28):
            now = f"2026-06-{day + 1}T00:20"
            report = bring(tmp_path, listing, f"2026-06-{day}", f"2026-06-{day + 1}", now=now, **venue)
            require_equal_to_rebuild(tmp_path, now)
        whole = stored(tmp_path, "2026-06-25", "2026-06-28")
        if venue:
            assert whole == hours("2026-06-25", "2026-06-27T00:01")
            assert [problem.symbol for problem in unjoined(report)] == ["BTCUSDT"]
        else:
            assert whole == hours("2026-06-25", "2026-06-28")

    def test_rows_without_a_common_hour_are_not_joined_until_there_is_one(self, listing, tmp_path):
        bring(tmp_path, listing, "2026-06-25", "2026-06-28", now="2026-07-02")
        report = bring(tmp_path, listing, "2026-06-30T03:00", "2026-07-01", now="2026-07-01T00:20")
        (problem,) = unjoined(report)
        assert "no row that both have confirms them" in problem.message
        assert problem.window == Window.of("2026-06-30T03:00", "2026-06-30T23:00:00.000001")
        assert stored(tmp_path, "2026-06-30T03:00") == {}
        require_equal_to_rebuild(tmp_path, "2026-07-01")
        assert bring(tmp_path, listing, "2026-06-29", "2026-07-01", now="2026-07-01T12:00").problems == ()
        assert stored(tmp_path, "2026-06-30T03:00") == hours("2026-06-30T03:00", "2026-07-01T00:01")
        require_equal_to_rebuild(tmp_path, "2026-07-01T12:00")
