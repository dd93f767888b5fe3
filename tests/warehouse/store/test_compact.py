"""The current month in pieces: named by one rule, merged once they are closed, always with the same rows."""

from __future__ import annotations

import calendar
import shutil
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cexkit.errors import DatasetError, InvalidInputError
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, utc
from cexkit.testing import LoopbackBinance
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.bronze import ingest_bronze
from cexkit.warehouse.ingest.listings import instruments
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.ingest.rebuild import rebuild
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.store import layout, parquet
from cexkit.warehouse.store.compact import compact
from cexkit.warehouse.store.warehouse import Warehouse

from ...clock import Clock, reading
from ...problems import failures

#: The time of venues and readers, which passes when budgets wait.
CLOCK = Clock()

MINUTES, HOURS = TABLES["ohlcv_1m"], TABLES["ohlcv_1h"]
START, END = "2026-04-29", "2026-06-03"
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def truth() -> dict[str, pl.DataFrame]:
    """Five weeks of two instruments, a bar of a minute every twenty minutes."""
    # minutes are simulated from 2 May on: three days later than they are wanted
    later = [utc(day) + 3 * DAY for day in (START, END)]
    tables = simulate(start=later[0], end=later[1], coins=["BTC"], exchanges=["binance"]).tables
    thinned = tables["ohlcv_1m"].filter(pl.col("timestamp").dt.minute() % 20 == 0)
    thinned = thinned.with_columns(pl.col("timestamp") - 3 * DAY)
    return {"instruments": tables["instruments"], "ohlcv_1h": tables["ohlcv_1h"], "ohlcv_1m": thinned}


@pytest.fixture(scope="module")
def bronze(truth, tmp_path_factory) -> Warehouse:
    """All responses about these weeks, day by day; tests make Silver of them elsewhere."""
    warehouse = Warehouse(tmp_path_factory.mktemp("bronze"))
    with LoopbackBinance(truth, now=f"{END}T00:00:05", clock=CLOCK) as venue, reading(venue, CLOCK) as fetcher:
        assert not pull("binance", "instruments", warehouse=warehouse, fetcher=fetcher).problems
        for day in layout.periods(MINUTES, Window.of(START, END), utc(START)):
            window = layout.span_of(day)
            of = instruments(warehouse, "binance", MINUTES, window)
            report = ingest_bronze(warehouse, fetcher, "binance", MINUTES, window, of)
            assert not failures(report)
            for path in report.files:
                target = warehouse.root / "days" / day / path
                target.parent.mkdir(parents=True, exist_ok=True)
                (warehouse.root / path).rename(target)
            # no run asks for a day twice, and thousands of bars are missing
            shutil.rmtree(warehouse.root / layout.INVENTORY)
    return warehouse


@pytest.fixture
def warehouse(bronze, tmp_path) -> Warehouse:
    """The list of instruments; the days of the responses are received one by one."""
    shutil.copytree(bronze.root / layout.BRONZE, tmp_path / layout.BRONZE)
    (tmp_path / "days").symlink_to(bronze.root / "days")
    made = Warehouse(tmp_path)
    build_silver(made, "binance", TABLES["instruments"])
    return made


def receive(warehouse: Warehouse, start: str | datetime, end: str | datetime) -> None:
    """Add the responses about some days to Bronze."""
    for day in layout.periods(MINUTES, Window(utc(start), utc(end)), utc(START)):
        shutil.copytree(warehouse.root / "days" / day, warehouse.root, dirs_exist_ok=True)


def rows(warehouse: Warehouse) -> pl.DataFrame:
    return pl.from_arrow(warehouse.read(MINUTES)).sort(MINUTES.key)


def lies(warehouse: Warehouse) -> list[str]:
    return [file.period for file in warehouse.manifest.select("ohlcv_1m")]


def expected(truth, start: datetime, end: datetime) -> pl.DataFrame:
    return truth["ohlcv_1m"].filter(pl.col("timestamp").is_between(start, end, "left")).sort(MINUTES.key)


def day_by_day(warehouse: Warehouse, until: str, since: str = "2026-05-01") -> None:
    """Build each day, then merge the closed pieces, as a daily refresh does."""
    now = utc(since)
    while now < utc(until):
        receive(warehouse, now, now + DAY)
        now += DAY
        build_silver(warehouse, "binance", MINUTES, now=now)
        compact(warehouse, now=now)


class TestNames:
    @pytest.mark.parametrize(
        ("day", "now", "name"),
        [
            ("2026-06-08", "2026-06-08", "2026-06-08"),
            ("2026-06-07", "2026-06-09", "2026-06-07"),
            ("2026-06-07", "2026-06-10", "2026-06-01..07"),
            ("2026-06-22", "2026-07-02", "2026-06-22"),
            ("2026-06-30", "2026-07-03", "2026-06"),
            ("2026-02-28", "2026-03-02", "2026-02-28"),
            ("2024-02-29", "2024-03-03", "2024-02"),
        ],
    )
    def test_a_span_is_closed_two_days_after_its_end(self, day, now, name):
        assert layout.period_of(MINUTES, utc(day), utc(now)) == name

    @given(st.dates(date(2000, 1, 1), date(2099, 12, 31)), st.integers(0, 40))
    def test_pieces_tile_every_month_and_their_names_mean_themselves(self, day, later):
        first = datetime(day.year, day.month, 1, tzinfo=UTC)
        days = calendar.monthrange(day.year, day.month)[1]
        names = layout.periods(MINUTES, Window(first, first + days * DAY), first + later * DAY)
        spans = [layout.period_window(MINUTES, name) for name in names]
        assert spans[0].start == first
        assert spans[-1].end == first + days * DAY
        assert [span.end for span in spans[:-1]] == [span.start for span in spans[1:]]
        assert names == sorted(names)

    @pytest.mark.parametrize(
        ("now", "names"),
        [
            ("2026-01-09", ["2026"]),
            ("2026-01-10", ["2026-01-01..07", "2026-01-08..12-31"]),
            ("2026-02-02", ["2026-01-01..21", "2026-01-22..12-31"]),
            ("2026-02-03", ["2026-01..01", "2026-02-01..12-31"]),
            ("2024-03-02", ["2024-01..01", "2024-02-01..21", "2024-02-22..12-31"]),
            ("2024-03-03", ["2024-01..02", "2024-03-01..12-31"]),
            ("2026-06-17", ["2026-01..05", "2026-06-01..14", "2026-06-15..12-31"]),
            ("2027-01-02", ["2026-01..11", "2026-12-01..21", "2026-12-22..12-31"]),
            ("2027-01-03", ["2026"]),
        ],
    )
    def test_running_year_has_closed_months_closed_weeks_and_the_rest(self, now, names):
        year = layout.period_window(HOURS, names[0][:4])
        assert layout.periods(HOURS, year, utc(now)) == names

    @given(st.dates(date(2000, 1, 1), date(2099, 12, 31)), st.integers(-400, 400))
    def test_pieces_tile_every_year_and_their_names_mean_themselves(self, day, later):
        year = layout.period_window(HOURS, f"{day.year}")
        names = layout.periods(HOURS, year, datetime(day.year, day.month, day.day, tzinfo=UTC) + later * DAY)
        spans = [layout.period_window(HOURS, name) for name in names]
        assert len(names) <= 3
        assert (spans[0].start, spans[-1].end) == (year.start, year.end)
        assert [span.end for span in spans[:-1]] == [span.start for span in spans[1:]]
        assert names == sorted(names)
        assert all(layout.data_file(HOURS, "okx", name, "0a").parts[3] == f"year={day.year}" for name in names)

    @pytest.mark.parametrize(
        "name",
        [
            *("2026-06-09..15", "2026-06-22..31", "2026-6-1", "2026-06-31", "2026-13", "2026-06-1..07", "", "../up"),
            *("2026-01..12", "2026-02..05", "2026-05..01", "2026-06-01..13", "2026-06-01..30", "2026-06-14..12-31"),
            *("2026-01-01..12-31", "2026-06-15..12-30", "2026-06-15..", "2026-02-30..12-31", "2026..2027"),
            *("0000", "9999", "9999-12-31"),
        ],
    )
    def test_what_no_file_is_called_is_no_name(self, name):
        with pytest.raises(InvalidInputError, match="not the name of a file period"):
            layout.period_window(MINUTES, name)

    @pytest.mark.parametrize("name", ["2026-06-09", "2026-06-08..14", "2026-06", "all"])
    def test_table_by_years_has_no_days_weeks_and_months(self, name):
        with pytest.raises(InvalidInputError, match="one file per year"):
            layout.period_window(HOURS, name)

    @pytest.mark.parametrize("name", ["2026", "2026-01..05", "2026-06-01..14", "2026-06-15..12-31"])
    def test_table_by_months_has_no_pieces_of_years(self, name):
        with pytest.raises(InvalidInputError, match="one file per month"):
            layout.period_window(MINUTES, name)


def test_day_by_day_the_month_grows_in_pieces_and_every_row_is_there_once(warehouse, truth):
    since = "2026-05-01"
    for until, periods in {
        "2026-05-09": [f"2026-05-{day:02}" for day in range(1, 9)],
        "2026-05-10": ["2026-05-01..07", "2026-05-08", "2026-05-09"],
        "2026-05-25": ["2026-05-01..07", "2026-05-08..14", "2026-05-15..21", *(f"2026-05-{d}" for d in (22, 23, 24))],
        "2026-06-03": ["2026-05", "2026-06-01", "2026-06-02"],
    }.items():
        day_by_day(warehouse, until, since)
        since = until
        assert lies(warehouse) == periods
        assert rows(warehouse).equals(expected(truth, utc("2026-05-01"), utc(until)))


def test_pieces_put_together_are_the_very_file_that_bronze_gives(warehouse, tmp_path):
    now = utc("2026-05-30")
    receive(warehouse, "2026-05-01", "2026-06-01")
    build_silver(warehouse, "binance", MINUTES, now=now)
    pieces, sums = lies(warehouse), rows(warehouse)
    assert len(pieces) == 3 + 10
    (file,) = compact(warehouse, now=utc("2026-06-03"))
    assert lies(warehouse) == ["2026-05"]
    assert rows(warehouse).equals(sums)
    before = (warehouse.root / layout.MANIFEST).read_bytes()
    assert compact(warehouse, now=utc("2026-06-03")) == ()
    build_silver(warehouse, "binance", MINUTES, now=utc("2026-06-03"))
    assert (warehouse.root / layout.MANIFEST).read_bytes() == before
    rebuild(warehouse, "binance", [MINUTES], now=utc("2026-06-03"))
    assert warehouse.manifest.select("ohlcv_1m") == (file,)


def test_a_days_refresh_and_a_late_correction_write_one_piece_each(warehouse, truth):
    now = utc("2026-05-25")
    receive(warehouse, "2026-05-01", "2026-05-24")
    build_silver(warehouse, "binance", MINUTES, now=now)
    before = {file.period: file.path for file in warehouse.manifest.select("ohlcv_1m")}
    receive(warehouse, "2026-05-24", "2026-05-25")
    build_silver(warehouse, "binance", MINUTES, now=now)
    more = {file.period: file.path for file in warehouse.manifest.select("ohlcv_1m")}
    assert more.keys() - before.keys() == {"2026-05-24"}
    assert before.items() <= more.items()

    late = utc("2026-05-10T07:20")
    at = pl.col("timestamp") == late
    bars = truth["ohlcv_1m"].with_columns(close=pl.when(at).then(pl.col("low")).otherwise("close"))
    with LoopbackBinance(truth | {"ohlcv_1m": bars}, now=now, clock=CLOCK) as venue, reading(venue, CLOCK) as fetcher:
        pull("binance", "ohlcv_1m", None, late, late + DAY, warehouse=warehouse, fetcher=fetcher, refresh=True, now=now)
    after = {file.period: file.path for file in warehouse.manifest.select("ohlcv_1m")}
    assert {period for period in more if more[period] != after[period]} == {"2026-05-08..14"}


def test_readers_see_each_change_as_one(warehouse, monkeypatch):
    """Every manifest that was ever in place names every row once."""
    day_by_day(warehouse, "2026-05-23")
    whole, seen = rows(warehouse).height, []
    write = parquet.os.replace

    def watched(source, target):
        write(source, target)
        if target.name == layout.MANIFEST:
            seen.append((lies(warehouse), rows(warehouse).height))

    monkeypatch.setattr(parquet.os, "replace", watched)
    compact(warehouse, now=utc("2026-05-30"))
    compact(warehouse, now=utc("2026-06-03"))
    assert [height for _, height in seen] == [whole] * 2
    assert seen[-1][0] == ["2026-05"]


def test_what_is_not_the_same_rows_does_not_take_their_place(warehouse, monkeypatch):
    day_by_day(warehouse, "2026-05-09")
    before, groups = lies(warehouse), parquet.write_groups
    monkeypatch.setattr(parquet, "write_groups", lambda parts, *rest: groups((part.slice(1) for part in parts), *rest))
    with pytest.raises(DatasetError, match="changed their rows"):
        compact(warehouse, now=utc("2026-05-10"))
    assert lies(warehouse) == before
    assert not list(warehouse.root.rglob(f"{layout.TEMPORARY}*"))


def test_a_month_in_one_file_is_not_taken_apart(warehouse, truth):
    may = expected(truth, utc("2026-05-01"), utc("2026-06-01")).to_arrow()
    warehouse.write(MINUTES, may)
    with pytest.raises(InvalidInputError, match="2026-05-12 is a piece of 2026-05, which is there in one file"):
        warehouse.replace(MINUTES, "binance", ["2026-05-12"], may.slice(0, 0))
    receive(warehouse, "2026-05-12", "2026-05-13")
    build_silver(warehouse, "binance", MINUTES, now=utc("2026-05-20"))
    assert lies(warehouse) == ["2026-05"]
    assert rows(warehouse).height == may.num_rows


def test_rows_beside_the_periods_are_refused(warehouse, truth):
    two_days = expected(truth, utc("2026-05-01"), utc("2026-05-03")).to_arrow()
    with pytest.raises(InvalidInputError, match="exactly one of 2026-05-01"):
        warehouse.replace(MINUTES, "binance", ["2026-05-01"], two_days)
    assert lies(warehouse) == []


def test_rejects_of_pieces_follow_their_days(warehouse, truth):
    def failed(day: str) -> pa.Table:
        part = expected(truth, utc(day), utc(day) + DAY).head(2)
        return part.with_columns(reason=pl.lit("ohlc_order")).to_arrow()

    for day in ("2026-05-02", "2026-05-03"):
        warehouse.write_quarantine(MINUTES, "binance", day, failed(day))
    assert warehouse.quarantine(MINUTES, "binance", "2026-05").num_rows == 4
    warehouse.write_quarantine(MINUTES, "binance", "2026-05-02", failed("2026-05-02").slice(0, 0))
    kept = warehouse.quarantine(MINUTES, "binance", "2026-05")
    assert {moment.day for moment in kept["timestamp"].to_pylist()} == {3}


def test_put_together_file_has_one_row_group_an_instrument(warehouse):
    day_by_day(warehouse, "2026-05-10")
    (week,) = (file for file in warehouse.manifest.select("ohlcv_1m") if file.period == "2026-05-01..07")
    assert pq.ParquetFile(warehouse.root / week.path).num_row_groups == 2
