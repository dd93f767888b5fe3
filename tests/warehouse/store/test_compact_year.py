"""The current year in pieces: three files at most, moved as weeks and months close, always with the same rows."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cexkit
from cexkit.errors import DatasetError, InvalidInputError
from cexkit.exchanges.fetcher import Fetcher
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, utc
from cexkit.testing import LoopbackBinance
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.ingest.rebuild import rebuild
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.store import layout, parquet
from cexkit.warehouse.store.compact import compact
from cexkit.warehouse.store.manifest import DataFile, Manifest
from cexkit.warehouse.store.warehouse import Warehouse

HOURS, FUNDING = TABLES["ohlcv_1h"], TABLES["funding_rates"]
DAY = timedelta(days=1)


def settlements(start: str, end: str, *silent: Window) -> pl.DataFrame:
    """Rates of two instruments every eight hours, without those of silent spans."""
    times = pl.datetime_range(utc(start), utc(end), "8h", closed="left", time_unit="us", eager=True)
    rows = pl.DataFrame({"timestamp": times}).join(pl.DataFrame({"base": ["BTC", "ETH"]}), how="cross")
    rows = rows.filter(~pl.any_horizontal(False, *(_inside(span) for span in silent)))
    rows = rows.with_columns(
        exchange=pl.lit("okx"),
        instrument_type=pl.lit("perp"),
        symbol=pl.col("base") + "USDT",
        quote=pl.lit("USDT"),
        funding_rate=pl.col("timestamp").dt.ordinal_day() / 1e6,
        funding_interval_hours=pl.lit(8.0),
        mark_price=pl.when(pl.col("base") == "BTC").then(6e4),
        index_price=pl.lit(None, pl.Float64),
        venue_timestamp=pl.col("timestamp"),
    )
    return rows.select(FUNDING.columns).sort(FUNDING.key)


def _inside(span: Window) -> pl.Expr:
    return pl.col("timestamp").is_between(span.start, span.end, "left")


def lies(warehouse: Warehouse, table=FUNDING) -> list[str]:
    return [file.period for file in warehouse.manifest.select(table.name)]


def rows(warehouse: Warehouse, table=FUNDING) -> pl.DataFrame:
    return pl.from_arrow(warehouse.read(table)).sort(table.key)


def ingest(warehouse: Warehouse, truth: pl.DataFrame, window: Window, now: datetime, *, known=True) -> None:
    """Write the files that a window touches, as Silver does, with all rows before ``now``."""
    present = lies(warehouse) if known else ()
    periods = layout.periods(FUNDING, window, now, present)
    spans = [layout.period_window(FUNDING, period) for period in periods]
    part = truth.filter(pl.any_horizontal(_inside(span) for span in spans), pl.col("timestamp") < now)
    warehouse.replace(FUNDING, "okx", periods, part.to_arrow())


def directly(root: Path, truth: pl.DataFrame, now: datetime) -> Warehouse:
    """The same rows, written at once."""
    warehouse = Warehouse(root)
    ingest(warehouse, truth, Window(truth["timestamp"].min(), now), now)
    return warehouse


def content(warehouse: Warehouse) -> list[tuple[str, str]]:
    return [(file.path, file.period) for file in warehouse.manifest.files]


def spans_of(periods: list[str], year: int) -> list[Window]:
    return [layout.period_window(FUNDING, period) for period in periods if period.startswith(f"{year}")]


class TestEveryDay:
    @pytest.mark.parametrize("year", [2024, 2026])
    @pytest.mark.parametrize("every", [1, 3, 11])
    def test_boundaries_move_once_a_week_and_tile_the_year(self, year, every):
        """Names alone, each day of two years; compaction every ``every`` days."""
        present: list[str] = []
        for number in range(731):
            now = utc(f"{year}-01-01") + (number + 1) * DAY
            present = sorted({*present, *layout.periods(FUNDING, Window(now - DAY, now), now, present)})
            if number % every == 0:
                for old, new in layout.moved(FUNDING, present, now):
                    assert layout.span_of(old[0]).start == layout.span_of(new[0]).start
                    assert layout.span_of(old[-1]).end == layout.span_of(new[-1]).end
                    present = sorted({*present, *new} - {*old})
                assert layout.moved(FUNDING, present, now) == []
            for one in (year, year + 1):
                spans = spans_of(present, one)
                assert len(spans) <= 3
                assert all(first.end == second.start for first, second in pairwise(spans))
            window = Window(now - 30 * DAY, now)
            spans = [span for span in map(layout.span_of, present) if span.start < window.end > window.start < span.end]
            assert len(spans) <= len({window.start.year, (window.end - DAY).year}) + 2

    @given(data=st.data(), year=st.sampled_from([2024, 2025, 2026]))
    @settings(max_examples=12, deadline=None)
    def test_files_are_those_of_a_direct_write(self, data, year, tmp_path_factory):
        first, ends = utc(f"{year}-01-01"), [28, 31, 59, 60, 151, 182, 334, 364, 365, 366]
        any_day = st.one_of(st.integers(1, 400), st.sampled_from([end + later for end in ends for later in (0, 1, 2)]))
        moments = sorted(first + day * DAY for day in data.draw(st.sets(any_day, min_size=2, max_size=7)))
        begin = data.draw(st.integers(0, 390))
        silent = Window(first + begin * DAY, first + (begin + data.draw(st.integers(0, 90))) * DAY)
        truth = settlements(f"{year - 1}-12-20", f"{year + 1}-02-10", silent)
        root = tmp_path_factory.mktemp("year")
        warehouse, last = Warehouse(root / "grown"), first - 12 * DAY
        for now in moments:
            ingest(warehouse, truth, Window(last, now), now)
            before = rows(warehouse)
            assert before.height == truth.filter(pl.col("timestamp") < now).height
            if data.draw(st.booleans()) or now == moments[-1]:
                compact(warehouse, now=now)
                assert rows(warehouse).equals(before)
            spans = spans_of(lies(warehouse), year)
            assert len(spans) <= 3
            assert all(one.end <= other.start for one, other in pairwise(spans))
            last = now - 2 * DAY
        assert content(warehouse) == content(directly(root / "direct", truth, moments[-1]))
        text = (warehouse.root / layout.MANIFEST).read_bytes()
        assert compact(warehouse, now=moments[-1]) == ()
        assert (warehouse.root / layout.MANIFEST).read_bytes() == text


@pytest.fixture
def truth() -> pl.DataFrame:
    return settlements("2025-11-01", "2026-08-01")


@pytest.fixture
def warehouse(tmp_path, truth) -> Warehouse:
    """As it is on 24 June before compaction: the week from the 15th is closed, and still in the rest of the year."""
    warehouse = Warehouse(tmp_path / "warehouse")
    ingest(warehouse, truth, Window.of("2025-11-01", "2026-06-23"), utc("2026-06-23"))
    ingest(warehouse, truth, Window.of("2026-06-22", "2026-06-24"), utc("2026-06-24"))
    assert lies(warehouse) == ["2025", "2026-01..05", "2026-06-01..14", "2026-06-15..12-31"]
    return warehouse


def test_week_in_the_rest_of_the_year_stays_there_until_compaction(warehouse, truth):
    before = {file.period: file.path for file in warehouse.manifest.files}
    ingest(warehouse, truth, Window.of("2026-06-16", "2026-06-25"), utc("2026-06-25"))
    after = {file.period: file.path for file in warehouse.manifest.files}
    assert {period for period in after if before.get(period) != after[period]} == {"2026-06-15..12-31"}
    made = compact(warehouse, now=utc("2026-06-25"))
    assert [file.period for file in made] == ["2026-06-01..21", "2026-06-22..12-31"]
    assert rows(warehouse).equals(truth.filter(pl.col("timestamp") < utc("2026-06-25")))
    assert lies(warehouse) == ["2025", "2026-01..05", "2026-06-01..21", "2026-06-22..12-31"]


def test_compaction_deletes_files_that_left_the_dataset_a_day_ago(warehouse):
    before = {file.path for file in warehouse.manifest.select(FUNDING.name)}
    compact(warehouse, now=utc("2027-03-01"))
    left = before - {file.path for file in warehouse.manifest.select(FUNDING.name)}
    assert left
    assert all((warehouse.root / path).exists() for path in left), "readers may still read them"
    for path in left:
        os.utime(warehouse.root / path, (0, 0))
    compact(warehouse, now=utc("2027-03-01"))
    assert not [path for path in left if (warehouse.root / path).exists()]


def test_closed_month_joins_the_year_to_date_and_the_year_becomes_one_file(warehouse):
    whole = rows(warehouse)
    made = compact(warehouse, now=utc("2026-07-10"))
    assert [file.period for file in made] == ["2026-01..06"], "the other pieces have no rows"
    assert [file.period for file in compact(warehouse, now=utc("2027-01-03"))] == ["2026"]
    assert lies(warehouse) == ["2025", "2026"]
    assert rows(warehouse).equals(whole)


def test_files_with_several_row_groups_are_those_of_a_direct_write(tmp_path, monkeypatch, truth):
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 50)
    warehouse = Warehouse(tmp_path / "grown")
    names = [f"C{number}" for number in range(7)]
    many = pl.concat(truth.filter(base="BTC").with_columns(base=pl.lit(n), symbol=pl.lit(f"{n}USDT")) for n in names)
    for now in map(utc, ("2026-01-20", "2026-05-30", "2026-06-24", "2026-07-20")):
        ingest(warehouse, many, Window(utc("2025-11-01"), now), now)
        compact(warehouse, now=now)
        assert content(warehouse) == content(directly(tmp_path / f"{now:%m}", many, now))
    assert pq.ParquetFile(warehouse.root / warehouse.manifest.files[1].path).num_row_groups == len(names)


def test_only_files_that_change_are_read(warehouse, monkeypatch):
    read, paths = parquet.read_table, []
    monkeypatch.setattr(
        "cexkit.warehouse.store.warehouse.read_table", lambda path, table: (paths.append(path), read(path, table))[1]
    )
    kept = {warehouse.root / file.path for file in warehouse.manifest.files[:2]}
    compact(warehouse, now=utc("2026-06-24"))
    assert paths
    assert not kept & set(paths)


def test_boundaries_do_not_move_back_with_the_clock(warehouse):
    compact(warehouse, now=utc("2026-06-24"))
    assert compact(warehouse, now=utc("2026-03-01")) == ()


def test_running_year_in_one_file_is_split_by_compaction_only(tmp_path, truth):
    now = utc("2026-06-24")
    warehouse = Warehouse(tmp_path / "old")
    warehouse.write(FUNDING, truth.filter(pl.col("timestamp") < now - DAY).to_arrow())
    assert lies(warehouse) == ["2025", "2026"]
    ingest(warehouse, truth, Window(now - 2 * DAY, now), now)
    assert lies(warehouse) == ["2025", "2026"], "what is in one file stays there"
    with pytest.raises(InvalidInputError, match=r"2026-06-22\.\.12-31 is a piece of 2026, which is there in one file"):
        ingest(warehouse, truth, Window(now - DAY, now), now, known=False)
    market = cexkit.connect(warehouse.root)
    before = market.sql("select count(*) n, sum(funding_rate) s from funding_rates").to_polars()
    compact(warehouse, now=now)
    assert content(warehouse) == content(directly(tmp_path / "direct", truth, now))
    for one in (market, cexkit.connect(warehouse.root)):
        assert (
            one.sql("select count(*) n, sum(funding_rate) s from funding_rates").to_polars()["n"][0] == before["n"][0]
        )
    june = market.refresh() or market
    found = june.table("funding_rates", start="2026-06-10", end="2026-06-24", exchange="okx", symbol="BTCUSDT")
    assert found.to_polars().height == 14 * 3


@pytest.mark.parametrize("since", ["2026-06-16", "2026-06-03", "2026-02-03"])
def test_earlier_rows_fill_the_gap_before_present_pieces(tmp_path, truth, since):
    """Only some pieces are there, their boundaries are old, and months before them come in."""
    warehouse, now = Warehouse(tmp_path / "gap"), utc("2026-07-20")
    early = truth.filter(pl.col("timestamp") >= utc(since))
    ingest(warehouse, early, Window(utc(since), utc("2026-06-17")), utc("2026-06-17"))
    ingest(warehouse, truth, Window.of("2025-12-01", "2026-07-20"), now)
    expected = truth.filter(pl.col("timestamp").is_between(utc("2025-11-01"), now, "left"))
    assert rows(warehouse).equals(expected)
    compact(warehouse, now=now)
    assert lies(warehouse) == ["2025", "2026-01..06", "2026-07-01..14", "2026-07-15..12-31"]
    assert rows(warehouse).equals(expected)


def test_rows_that_are_not_the_same_do_not_take_their_place(warehouse, monkeypatch):
    before, groups = content(warehouse), parquet.write_groups
    monkeypatch.setattr(parquet, "write_groups", lambda parts, *rest: groups((part.slice(1) for part in parts), *rest))
    with pytest.raises(DatasetError, match="changed them"):
        compact(warehouse, now=utc("2026-06-24"))
    assert content(warehouse) == before
    assert not list(warehouse.root.rglob(f"{layout.TEMPORARY}*"))


def test_lost_rows_are_noticed_before_the_manifest_changes(warehouse, monkeypatch):
    before, read = content(warehouse), parquet.read_table
    monkeypatch.setattr("cexkit.warehouse.store.warehouse.read_table", lambda path, table: read(path, table).slice(1))
    with pytest.raises(DatasetError, match="rows are"):
        compact(warehouse, now=utc("2026-06-24"))
    assert content(warehouse) == before


def test_each_change_of_boundaries_is_one_manifest(warehouse, monkeypatch):
    whole, seen, write = rows(warehouse).height, [], parquet.os.replace

    def watched(source, target):
        write(source, target)
        if target.name == layout.MANIFEST:
            seen.append((lies(warehouse), rows(warehouse).height))

    monkeypatch.setattr(parquet.os, "replace", watched)
    for now in ("2026-06-24", "2026-07-10", "2027-02-01"):
        compact(warehouse, now=utc(now))
    assert [height for _, height in seen] == [whole] * 3
    assert seen[-1][0] == ["2025", "2026"]


def test_year_replaces_and_removes_its_pieces(warehouse, truth):
    year = truth.filter(pl.col("timestamp").dt.year() == 2026, pl.col("timestamp") < utc("2026-06-24"))
    warehouse.remove(FUNDING, "okx", "2026")
    assert lies(warehouse) == ["2025"]
    warehouse.replace(FUNDING, "okx", ["2026"], year.to_arrow())
    assert lies(warehouse) == ["2025", "2026"]


def test_pieces_of_a_year_share_one_quarantine_file(warehouse, truth):
    def failed(day: str):
        return (
            truth.filter(pl.col("timestamp") == utc(day))
            .with_columns(reason=pl.lit("range"))
            .select(*FUNDING.columns, "reason")
            .to_arrow()
        )

    for period, day in {"2026-01..05": "2026-03-03", "2026-06-15..12-31": "2026-06-20"}.items():
        warehouse.write_quarantine(FUNDING, "okx", period, failed(day))
    assert len(list((warehouse.root / layout.QUARANTINE).rglob("*.parquet"))) == 1
    assert warehouse.quarantine(FUNDING, "okx", "2026").num_rows == 4
    compact(warehouse, now=utc("2026-06-24"))
    warehouse.write_quarantine(FUNDING, "okx", "2026-06-01..21", failed("2026-06-20").slice(0, 0))
    assert {moment.month for moment in warehouse.quarantine(FUNDING, "okx", "2026")["timestamp"].to_pylist()} == {3}


class TestManifest:
    def manifest(self, *periods: str) -> Manifest:
        return Manifest(files=tuple(self.file(period) for period in periods))

    def file(self, period: str, rows: int = 1) -> DataFile:
        moment = layout.span_of(period).start
        words = {"path": f"tables/{period}.parquet", "table": "ohlcv_1h", "exchange": "okx", "sha256": "0" * 64}
        return DataFile(**words, period=period, rows=rows, bytes=1, start=moment, end=moment)

    def test_files_replace_what_they_cover_together(self):
        before = self.manifest("2025", "2026-01..05", "2026-06-01..14", "2026-06-15..12-31")
        after = before.with_files([self.file("2026-06-22..12-31", rows=0), self.file("2026-06-01..21")])
        assert [file.period for file in after.files] == ["2025", "2026-01..05", "2026-06-01..21"]

    @pytest.mark.parametrize(
        ("new", "part"),
        [
            (["2026-06-01..21"], "2026-06-15..12-31"),
            (["2026-06-22..12-31"], "2026-06-15..12-31"),
            (["2026-01..05", "2026-06-22..12-31"], "2026-06-15..12-31"),
            (["2026-01..04"], "2026-01..05"),
        ],
    )
    def test_files_that_cover_a_part_of_another_are_refused(self, new, part):
        before = self.manifest("2026-01..05", "2026-06-01..14", "2026-06-15..12-31")
        with pytest.raises(InvalidInputError, match=f"is a piece of {part}, which is there"):
            before.with_files(map(self.file, new))

    def test_manifest_with_overlapping_files_is_not_read(self):
        text = self.manifest("2025", "2026", "2026-01..05").to_json()
        with pytest.raises(DatasetError, match=r"files must not overlap, got 2026(-01\.\.05)? and 2026"):
            Manifest.from_json(text)

    def test_manifest_with_periods_of_a_later_version_is_read(self):
        later = replace(self.manifest("2026"), files=(replace(self.file("2026"), period="2026-Q1"),))
        assert Manifest.from_json(later.to_json()).files[0].period == "2026-Q1"

    def test_files_that_overlap_each_other_are_refused(self):
        with pytest.raises(InvalidInputError, match=r"must not overlap, got 2026-01\.\.05 and 2026-02-01\.\.12-31"):
            Manifest().with_files([self.file("2026-01..05"), self.file("2026-02-01..12-31")])


@pytest.fixture(scope="module")
def bronze(tmp_path_factory) -> Warehouse:
    """Hourly bars of some weeks as responses, and in pieces as pulled."""
    warehouse = Warehouse(tmp_path_factory.mktemp("bronze"))
    tables = simulate(start="2026-05-20", end="2026-06-18", coins=["BTC"], exchanges=["binance"]).tables
    tables = {name: tables[name] for name in ("instruments", "ohlcv_1h")}
    now = utc("2026-06-18")
    with LoopbackBinance(tables, now="2026-06-18T00:00:05") as venue, Fetcher(venue.settings) as fetcher:
        report = pull("binance", "ohlcv_1h", None, "2026-05-20", now, warehouse=warehouse, fetcher=fetcher, now=now)
    assert not report.problems
    return warehouse


def test_silver_of_a_year_makes_its_pieces(bronze):
    pieces = ["2026-01..05", "2026-06-01..14", "2026-06-15..12-31"]
    assert lies(bronze, HOURS) == pieces
    before = bronze.manifest.files
    build_silver(bronze, "binance", HOURS, now=utc("2026-07-08"))
    assert bronze.manifest.files == before
    whole = rows(bronze, HOURS)
    compact(bronze, now=utc("2026-07-08"))
    assert lies(bronze, HOURS) == ["2026-01..06"]
    assert rows(bronze, HOURS).equals(whole)
    (done,) = rebuild(bronze, "binance", [HOURS], now=utc("2026-07-20"))
    assert (done.added, done.changed, done.lost.height) == (0, 0, 0)
    assert rows(bronze, HOURS).equals(whole)
