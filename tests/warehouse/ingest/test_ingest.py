"""Exchange → Bronze → Silver: nothing lost, nothing invented, everything that failed said."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from datetime import UTC, datetime, timedelta

import httpx
import polars as pl
import pytest
from typer.testing import CliRunner

from cexkit.cli.commands import app
from cexkit.config import Settings
from cexkit.errors import BlockedError, InvalidInputError, NotOfferedError, UnknownNameError
from cexkit.exchanges.fetcher import Fetcher
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, to_ms, utc
from cexkit.warehouse.gold.build import build_gold
from cexkit.warehouse.ingest.bronze import ingest_bronze
from cexkit.warehouse.ingest.listings import instruments
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.ingest.rebuild import rebuild
from cexkit.warehouse.ingest.report import ClockProblem, Report
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.compact import compact
from cexkit.warehouse.store.layout import SEQUENCE
from cexkit.warehouse.store.warehouse import Warehouse

from ...problems import failures, missing

FUNDING, LISTING, BARS = TABLES["funding_rates"], TABLES["instruments"], TABLES["ohlcv_1h"]
HOUR = timedelta(hours=1)


def contract(symbol: str, **more) -> dict:
    base = symbol.removesuffix("USDT")
    return {
        "symbol": symbol,
        "status": "TRADING",
        "baseAsset": base,
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "filters": [],
    } | more


def settlement(time: str, rate: str = "0.0001", symbol: str = "BTCUSDT") -> dict:
    return {"symbol": symbol, "fundingTime": to_ms(utc(time)), "fundingRate": rate, "markPrice": "40000"}


def kline(time: str, *, high: str = "12") -> list:
    opened = to_ms(utc(time))
    return [opened, "10", high, "9", "11", "5", opened + 3_599_999, "55", 3, "2", "22", "0"]


class Venue:
    """What a venue responds, by path; a request is answered from the window it asks for."""

    def __init__(self):
        self.contracts = [contract("BTCUSDT"), contract("ETHUSDT")]
        self.pages: dict[tuple[str, str], list] = {}
        self.broken: dict[tuple[str, str], httpx.Response] = {}
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        params, path = request.url.params, request.url.path
        headers = {"Date": "Thu, 01 Feb 2024 00:00:00 GMT"}
        key = (path, params.get("symbol", ""))
        self.asked.append(path)
        if path.startswith("/data/"):
            return self._file(path, headers)
        if key in self.broken:
            return self.broken[key]
        if path.endswith("exchangeInfo"):
            listed = self.contracts if "fapi" in path else []
            return httpx.Response(200, json={"symbols": listed, "rateLimits": []}, headers=headers)
        rows = self.pages.get(key, [])
        if "startTime" in params:
            time = (lambda row: row["fundingTime"]) if "funding" in path else (lambda row: row[0])
            rows = [row for row in rows if int(params["startTime"]) <= time(row) <= int(params["endTime"])]
        return httpx.Response(200, json=rows[:2], headers=headers)

    def _file(self, path: str, headers: dict[str, str]) -> httpx.Response:
        body = self.files.get(path.removesuffix(".CHECKSUM"))
        if body is None:
            return httpx.Response(404, content=b"<Error><Code>NoSuchKey</Code></Error>", headers=headers)
        if path.endswith(".CHECKSUM"):
            body = f"{hashlib.sha256(body).hexdigest()}  {path.rpartition('/')[2]}\n".encode()
        return httpx.Response(200, content=body, headers=headers)

    @property
    def fetcher(self) -> Fetcher:
        settings = Settings(max_clock_skew_seconds=None)
        return Fetcher(settings, httpx.MockTransport(self), sleep=lambda _: None)


RATES, KLINES = "/fapi/v1/fundingRate", "/fapi/v1/klines"


@pytest.fixture
def venue():
    return Venue()


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(tmp_path / "warehouse")


def january(venue, warehouse, tables="funding_rates", **more) -> Report:
    return pull(
        "binance", tables, start="2024-01-01", end="2024-02-01", warehouse=warehouse, fetcher=venue.fetcher, **more
    )


def funding(warehouse, symbol="BTCUSDT") -> pl.DataFrame:
    return pl.from_arrow(warehouse.read(FUNDING)).filter(symbol=symbol)


def test_interval_is_stored_as_settled_through_a_change(venue, warehouse):
    times = ["00:00", "08:00", "16:00", "20:00"]
    venue.pages[RATES, "BTCUSDT"] = [settlement(f"2024-01-10T{time}") for time in times]
    assert failures(january(venue, warehouse)) == []
    assert funding(warehouse)["funding_interval_hours"].to_list() == [8, 8, 8, 4]


def test_a_malformed_page_stays_in_bronze_and_fails_alone(venue, warehouse):
    venue.pages[RATES, "ETHUSDT"] = [settlement("2024-01-10T08:00", symbol="ETHUSDT")]
    venue.broken[RATES, "BTCUSDT"] = httpx.Response(200, content=b'[{"symbol": "BTCUSDT", "fundingTime": "soon"}]')
    report = january(venue, warehouse)
    assert funding(warehouse).is_empty()
    assert funding(warehouse, "ETHUSDT").height == 1
    (problem,) = failures(report)
    assert (problem.table, problem.symbol) == ("funding_rates", "BTCUSDT")
    assert "um.fundingRate, row 0, field 'fundingTime'" in problem.message
    (copy := Warehouse(warehouse.root.parent / "copy")).root.mkdir()
    (copy.root / layout.BRONZE).symlink_to(warehouse.root / layout.BRONZE)
    build_silver(copy, "binance", LISTING)
    assert build_silver(copy, "binance", FUNDING).problems == (problem,), "Bronze alone must tell the same"


def test_a_page_read_at_last_mends_what_failed(venue, warehouse):
    venue.broken[RATES, "BTCUSDT"] = httpx.Response(200, content=b"<html>sorry</html>")
    january(venue, warehouse)
    del venue.broken[RATES, "BTCUSDT"]
    venue.pages[RATES, "BTCUSDT"] = [settlement("2024-01-10T08:00")]
    january(venue, warehouse)
    assert funding(warehouse).height == 1


def test_one_instrument_that_cannot_be_read_does_not_stop_the_others(venue, warehouse):
    venue.pages[RATES, "ETHUSDT"] = [settlement("2024-01-10T08:00", symbol="ETHUSDT")]
    venue.broken[RATES, "BTCUSDT"] = httpx.Response(400, json={"code": -1100, "msg": "Illegal characters"})
    report = january(venue, warehouse)
    assert funding(warehouse, "ETHUSDT").height == 1
    assert [(problem.symbol, "-1100" in problem.message) for problem in failures(report)] == [("BTCUSDT", True)]


def test_a_refused_address_stops_everything(venue, warehouse):
    venue.broken[RATES, "BTCUSDT"] = httpx.Response(451, json={"code": 0, "msg": "restricted location"})
    with pytest.raises(BlockedError):
        january(venue, warehouse)


def test_doing_it_twice_changes_nothing(venue, warehouse):
    venue.pages[RATES, "BTCUSDT"] = [settlement(f"2024-01-{day:02}T08:00") for day in range(1, 20)]
    january(venue, warehouse)
    before = (warehouse.root / layout.MANIFEST).read_bytes()
    january(venue, warehouse)
    assert (warehouse.root / layout.MANIFEST).read_bytes() == before
    assert funding(warehouse).height == 19


def test_every_layer_done_twice_changes_no_byte(venue, warehouse):
    """Layers: Bronze of settled data, the inventory, Silver, its ledger, quarantined rows, Gold, compaction."""
    venue.pages[RATES, "BTCUSDT"] = [settlement(f"2024-01-{day:02}T08:00") for day in range(1, 20)]
    venue.pages[KLINES, "BTCUSDT"] = [kline("2024-01-01T00:00"), kline("2024-01-01T01:00", high="8")]
    window, now = Window.of("2024-01-01", "2024-01-25"), utc("2024-02-01")
    ingest_bronze(warehouse, venue.fetcher, "binance", LISTING)

    def everything() -> dict[str, bytes]:
        build_silver(warehouse, "binance", LISTING)
        for table in (FUNDING, BARS):
            of = instruments(warehouse, "binance", table, window)
            ingest_bronze(warehouse, venue.fetcher, "binance", table, window, of)
            build_silver(warehouse, "binance", table, now=now)
        build_gold(warehouse, "data_quality", now=now)
        compact(warehouse, now=now)
        return {
            path.relative_to(warehouse.root).as_posix(): path.read_bytes()
            for path in warehouse.root.rglob("*")
            if path.is_file() and path != warehouse.root / SEQUENCE  # requests are counted
        }

    first = everything()
    assert {path.partition("/")[0] for path in first} >= {
        "bronze",
        "ledger",
        "checks",
        "manifest.json",
        "quarantine",
        "tables",
    }
    assert "inventory/funding_rates/exchange=binance.parquet" in first
    assert everything() == first


def test_a_later_correction_replaces_and_bronze_keeps_both(venue, warehouse):
    venue.pages[RATES, "BTCUSDT"] = [settlement("2024-01-10T08:00", "0.0001")]
    january(venue, warehouse)
    venue.pages[RATES, "BTCUSDT"] = [settlement("2024-01-10T08:00", "0.0002")]
    january(venue, warehouse, refresh=True)
    assert funding(warehouse)["funding_rate"].to_list() == [0.0002]
    bodies = [
        body
        for path in (warehouse.root / layout.BRONZE).rglob("endpoint=um.fundingRate/**/*.parquet")
        for body in pl.read_parquet(path, hive_partitioning=False)["body"]
    ]
    assert any(b'"0.0001"' in body for body in bodies)
    assert any(b'"0.0002"' in body for body in bodies)


def test_silver_can_be_made_again_from_bronze_alone(venue, warehouse):
    venue.pages[RATES, "BTCUSDT"] = [settlement("2023-12-31T16:00"), settlement("2024-01-01T00:00")]
    venue.pages[KLINES, "BTCUSDT"] = [kline("2024-01-01T00:00"), kline("2024-01-01T01:00")]
    pull(
        "binance",
        ["funding_rates", "ohlcv_1h"],
        "BTCUSDT",
        "2023-12-01",
        "2024-02-01",
        warehouse=warehouse,
        instrument_type="perp",
        fetcher=venue.fetcher,
    )
    before = warehouse.manifest.files
    (warehouse.root / layout.MANIFEST).unlink()
    for table in (LISTING, FUNDING, BARS):
        build_silver(warehouse, "binance", table)
    assert warehouse.manifest.files == before
    assert [file.period for file in before if file.table == "funding_rates"] == ["2023", "2024"]


def test_rows_that_fail_a_check_are_kept_apart_with_the_reason(venue, warehouse):
    good, bad = kline("2024-01-01T00:00"), kline("2024-01-01T01:00", high="8")
    off_grid = kline("2024-01-01T02:00")
    off_grid[0] += 1789
    venue.pages[KLINES, "BTCUSDT"] = [good, bad, off_grid]
    report = january(venue, warehouse, "ohlcv_1h", symbols="BTCUSDT", instrument_type="perp")
    assert (report.rows - 4, report.quarantined) == (1, 2)  # plus two instruments and their periods
    kept = pl.read_parquet(
        warehouse.root / "quarantine/ohlcv_1h/exchange=binance/year=2024.parquet", hive_partitioning=False
    )
    assert kept.sort("timestamp")["reason"].to_list() == ["ohlc_order", "on_grid"]
    venue.pages[KLINES, "BTCUSDT"] = [good, kline("2024-01-01T01:00")]
    report = january(venue, warehouse, "ohlcv_1h", symbols="BTCUSDT", instrument_type="perp", refresh=True)
    assert warehouse.read(BARS).num_rows == 2


def test_quarantine_is_listed_in_one_place_and_survives_a_rebuild(venue, warehouse):
    times = ["2024-01-01T00:00", "2024-01-01T01:00"]
    venue.pages[KLINES, "BTCUSDT"] = [kline(times[0]), kline(times[1], high="8")]
    twice = [settlement("2024-01-10T08:00", rate) for rate in ("0.0001", "0.0002")]
    venue.pages[RATES, "BTCUSDT"] = [*twice, settlement("2024-01-10T16:00", rate="")]
    venue.pages[RATES, "ETHUSDT"] = [settlement("2024-01-10T08:00", rate="", symbol="ETHUSDT")]
    venue.pages[RATES, "ETHUSDT"].append(settlement("2024-01-10T16:00", symbol="ETHUSDT"))
    january(venue, warehouse, "ohlcv_1h", symbols="BTCUSDT", instrument_type="perp")
    report = january(venue, warehouse)
    assert report.quarantined == 1, "of BTCUSDT, no row of the page is left"
    assert funding(warehouse).height == 0
    assert funding(warehouse, "ETHUSDT").height == 1
    assert any("1 row is quarantined: row 0, field 'fundingRate'" in problem.message for problem in report.problems)

    def listed() -> str:
        found = CliRunner().invoke(app, ["quarantine", "list", "--warehouse", str(warehouse.root)])
        assert found.exit_code == 0, found.output
        return " ".join(found.output.split())

    text = listed()
    for part in ("binance ohlcv_1h: 1 row of perp BTCUSDT", "by the check 'ohlc_order'", "field 'fundingRate'"):
        assert part in text
    rebuild(warehouse, "binance", [FUNDING, BARS])
    assert listed() == text


def test_what_a_later_list_lacks_is_delisted_and_kept(venue, warehouse):
    fetcher = venue.fetcher
    ingest_bronze(warehouse, fetcher, "binance", LISTING)
    venue.contracts = [contract("BTCUSDT"), contract("NEWUSDT")]
    ingest_bronze(warehouse, fetcher, "binance", LISTING)
    build_silver(warehouse, "binance", LISTING)
    rows = pl.from_arrow(warehouse.read(LISTING))
    assert dict(rows.select("symbol", "status").iter_rows()) == {
        "BTCUSDT": "trading",
        "ETHUSDT": "delisted",
        "NEWUSDT": "trading",
    }
    assert rows.filter(symbol="ETHUSDT")["delisting_time"].item() == datetime(2024, 2, 1, tzinfo=UTC)
    assert set(rows["funding_interval_hours"]) == {8.0}


def test_what_a_later_list_has_in_an_unknown_form_is_not_called_delisted(venue, warehouse):
    fetcher = venue.fetcher
    ingest_bronze(warehouse, fetcher, "binance", LISTING)
    venue.contracts = [contract("BTCUSDT"), contract("ETHUSDT", status="NEVER_SEEN_BEFORE")]
    ingest_bronze(warehouse, fetcher, "binance", LISTING)
    build_silver(warehouse, "binance", LISTING)
    assert set(pl.from_arrow(warehouse.read(LISTING))["status"]) == {"trading"}


def test_instruments_of_a_window_are_those_listed_in_it(venue, warehouse):
    gone = to_ms(utc("2023-06-01"))
    young = to_ms(utc("2024-03-01"))
    venue.contracts += [
        contract("OLDUSDT", deliveryDate=gone, status="SETTLING"),
        contract("NEWUSDT", onboardDate=young),
    ]
    ingest_bronze(warehouse, venue.fetcher, "binance", LISTING)
    build_silver(warehouse, "binance", LISTING)
    found = instruments(warehouse, "binance", FUNDING, Window.of("2024-01-01", "2024-02-01"))
    assert [one.symbol for one in found] == ["BTCUSDT", "ETHUSDT"]


def test_bad_input_is_refused_before_anything_is_read(venue, warehouse):
    def no_network(request):
        raise AssertionError("nothing may be asked")

    fetcher = Fetcher(transport=httpx.MockTransport(no_network))
    for args, error, says in [
        (("binanse", "funding_rates"), UnknownNameError, "did you mean 'binance'"),
        (("binance", "funding"), UnknownNameError, "did you mean 'funding_rates'"),
        (("binance", "liquidations"), NotOfferedError, "live stream"),
        (("binance", "funding_rates"), InvalidInputError, "needs a start"),
    ]:
        with pytest.raises(error, match=says):
            pull(*args, warehouse=warehouse, fetcher=fetcher)
    with pytest.raises(InvalidInputError, match="ends before it starts"):
        pull("binance", "funding_rates", start="2024-02-01", end="2024-01-01", warehouse=warehouse, fetcher=fetcher)
    assert not warehouse.root.exists()


def test_an_unknown_symbol_names_near_ones(venue, warehouse):
    with pytest.raises(UnknownNameError, match="did you mean 'BTCUSDT'"):
        january(venue, warehouse, symbols="BTCUSD")


def test_reports_add_up_and_read_well():
    both = Report(responses=1, rows=2, files=("a",)) + Report(rows=3, quarantined=1, files=("b",))
    assert both == Report(responses=1, rows=5, quarantined=1, files=("a", "b"))
    assert str(both) == "1 responses kept, 5 rows written, 1 rows quarantined"


def test_bronze_holds_the_answer_as_received(venue, warehouse):
    venue.pages[RATES, "BTCUSDT"] = [settlement("2024-01-10T08:00")]
    january(venue, warehouse, symbols="BTCUSDT")
    (path, *_) = (warehouse.root / layout.BRONZE).rglob("endpoint=um.fundingRate/**/*.parquet")
    row = pl.read_parquet(path, hive_partitioning=False).row(0, named=True)
    assert json.loads(row["body"])[0]["fundingRate"] == "0.0001"
    assert json.loads(row["params"])["symbol"] == "BTCUSDT"
    assert row["status"] == 200
    assert row["url"].endswith(RATES)
    assert row["data_start"] == utc("2024-01-10T08:00")


MONTHLY = "/data/futures/um/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2024-01.zip"


def funding_file(*rows: tuple[str, int, str]) -> bytes:
    lines = [f"{to_ms(utc(time)) + 3},{hours},{rate}" for time, hours, rate in rows]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x.csv", "\n".join(["calc_time,funding_interval_hours,last_funding_rate", *lines]))
    return buffer.getvalue()


class TestArchive:
    def test_a_month_that_is_there_is_read_from_its_file_alone(self, venue, warehouse):
        venue.files[MONTHLY] = funding_file(("2024-01-10T08:00", 8, "0.0003"), ("2024-01-10T12:00", 4, "0.0001"))
        report = january(venue, warehouse, symbols="BTCUSDT")
        assert report.problems == ()
        assert funding(warehouse).select("funding_rate", "funding_interval_hours").rows() == [(0.0003, 8), (0.0001, 4)]
        assert RATES not in venue.asked

    def test_what_its_file_does_not_say_stays_as_the_api_said_it(self, venue, warehouse):
        """The file of a month has no mark prices: they must not be gone once it is there."""
        venue.pages[RATES, "BTCUSDT"] = [settlement("2024-01-10T08:00"), settlement("2024-01-10T16:00")]
        january(venue, warehouse, symbols="BTCUSDT")
        before = funding(warehouse)
        assert before["mark_price"].null_count() == 0
        venue.files[MONTHLY] = funding_file(("2024-01-10T08:00", 8, "0.0003"), ("2024-01-11T00:00", 8, "0.0002"))
        january(venue, warehouse, symbols="BTCUSDT", refresh=True)
        after = funding(warehouse)
        assert after["funding_rate"].to_list() == [0.0003, 0.0001, 0.0002]
        assert after["mark_price"].to_list() == [*before["mark_price"], None]

    def test_a_month_that_is_not_there_is_read_from_the_api(self, venue, warehouse):
        venue.pages[RATES, "BTCUSDT"] = [settlement("2024-01-10T08:00")]
        assert failures(january(venue, warehouse, symbols="BTCUSDT")) == []
        assert funding(warehouse).height == 1

    def test_month_without_file_is_missing_until_its_file_exists(self, venue, warehouse):
        (problem,) = missing(january(venue, warehouse, symbols="BTCUSDT"))
        assert "29 days" in problem.message
        venue.files[MONTHLY] = funding_file(("2024-01-10T08:00", 8, "0.0003"))
        report = january(venue, warehouse, symbols="BTCUSDT")
        assert report.problems == ()
        assert funding(warehouse)["funding_rate"].to_list() == [0.0003]
        venue.asked.clear()
        assert january(venue, warehouse, symbols="BTCUSDT").problems == ()
        assert RATES not in venue.asked

    def test_a_known_file_is_not_downloaded_again_and_a_replaced_one_is(self, venue, warehouse):
        venue.files[MONTHLY] = funding_file(("2024-01-10T08:00", 8, "0.0003"))
        january(venue, warehouse, symbols="BTCUSDT")
        venue.asked.clear()
        january(venue, warehouse, symbols="BTCUSDT")
        assert [path for path in venue.asked if path.startswith("/data/")] == [f"{MONTHLY}.CHECKSUM"]
        venue.files[MONTHLY] = funding_file(("2024-01-10T08:00", 8, "0.0004"))
        january(venue, warehouse, symbols="BTCUSDT")
        assert funding(warehouse)["funding_rate"].to_list() == [0.0004]
        assert len(list((warehouse.root / layout.BRONZE).rglob("archive/*.zip"))) == 2, "Bronze keeps both versions"

    def test_file_that_was_read_while_clocks_disagreed_is_downloaded_again(self, venue, warehouse):
        """Rows that were running by a wrong clock are dropped from it, and its checksum never changes."""
        venue.files[MONTHLY] = funding_file(("2024-01-10T08:00", 8, "0.0003"))
        with Fetcher(Settings(), httpx.MockTransport(venue)) as skewed:
            report = pull("binance", "funding_rates", "BTCUSDT", "2024-01-01", "2024-02-01", warehouse=warehouse,
                          fetcher=skewed)  # fmt: skip
        (problem,) = report.problems
        assert isinstance(problem, ClockProblem)
        for expected in ([f"{MONTHLY}.CHECKSUM", MONTHLY], [f"{MONTHLY}.CHECKSUM"]):
            venue.asked.clear()
            assert january(venue, warehouse, symbols="BTCUSDT").problems == ()
            assert [path for path in venue.asked if path.startswith("/data/")] == expected

    def test_a_file_that_is_not_what_its_checksum_says_is_refused(self, venue, warehouse):
        venue.files[MONTHLY] = funding_file(("2024-01-10T08:00", 8, "0.0003"))
        cut = httpx.Response(200, content=venue.files[MONTHLY][:-20], headers={"Date": "Thu, 01 Feb 2024 00:00:00 GMT"})
        served = venue._file
        venue._file = lambda path, headers: cut if path == MONTHLY else served(path, headers)
        report = january(venue, warehouse, symbols="BTCUSDT")
        assert ["does not match its checksum" in problem.message for problem in failures(report)] == [True]
        assert not list((warehouse.root / layout.BRONZE).rglob("archive/*.zip"))

    def test_bad_checksum_of_a_day_costs_only_that_day(self, venue, warehouse):
        """The second of five files is damaged, and the third has a blank cell in a row that is not kept."""
        head = "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,"
        head += "sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio"
        path = "/data/futures/um/daily/metrics/BTCUSDT/BTCUSDT-metrics-2024-01-{:02}.zip"
        for day in range(1, 6):
            lines = [f"2024-01-{day:02} {hour:02}:00:00,BTCUSDT,7,9,1,1,1,1" for hour in range(1, 24)]
            lines += [f"2024-01-{day:02} 12:05:00,BTCUSDT,,,,,,"] if day == 3 else []
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as archive:
                archive.writestr("x.csv", "\n".join([head, *sorted(lines)]))
            venue.files[path.format(day)] = buffer.getvalue()
        cut = httpx.Response(200, content=b"cut", headers={"Date": "Thu, 01 Feb 2024 00:00:00 GMT"})
        served = venue._file
        venue._file = lambda at, headers: cut if at == path.format(2) else served(at, headers)
        report = pull(
            "binance", "open_interest", "BTCUSDT", "2024-01-01T01:00", "2024-01-06", instrument_type="perp",
            warehouse=warehouse, fetcher=venue.fetcher,
        )  # fmt: skip
        rows = pl.from_arrow(warehouse.read(TABLES["open_interest"]))
        assert rows["timestamp"].dt.day().value_counts(sort=True).sort("timestamp").rows() == [
            (1, 23), (3, 23), (4, 23), (5, 23)
        ]  # fmt: skip
        assert sum("does not match its checksum" in problem.message for problem in report.problems) == 1
        assert report.quarantined == 0

    def test_checksum_that_is_a_web_page_once_is_requested_again(self, venue, warehouse):
        venue.files[MONTHLY] = funding_file(("2024-01-10T08:00", 8, "0.0003"))
        page = httpx.Response(200, content=b"<html>Busy</html>", headers={"Date": "Thu, 01 Feb 2024 00:00:00 GMT"})
        served, pages = venue._file, [page]
        venue._file = lambda path, headers: (
            pages.pop() if path.endswith(".CHECKSUM") and pages else served(path, headers)
        )
        report = january(venue, warehouse, symbols="BTCUSDT")
        assert report.problems == ()
        assert 0.0003 in funding(warehouse)["funding_rate"].to_list()

    def test_bars_of_a_delisted_instrument_come_from_the_archive(self, venue, warehouse):
        january(venue, warehouse, "ohlcv_1h", symbols="BTCUSDT", instrument_type="perp")
        gone = httpx.Response(400, json={"code": -1121, "msg": "Invalid symbol."})
        venue.broken[KLINES, "BTCUSDT"] = gone
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("x.csv", ",".join(map(str, kline("2024-01-01T05:00"))))
        venue.files["/data/futures/um/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2024-01.zip"] = buffer.getvalue()
        january(venue, warehouse, "ohlcv_1h", symbols="BTCUSDT", instrument_type="perp")
        assert warehouse.read(BARS)["timestamp"].to_pylist() == [utc("2024-01-01T05:00")]

    def test_a_year_of_minutes_takes_hardly_more_requests_than_files(self, venue, warehouse):
        path = "/data/futures/um/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2023-{:02}.zip"
        for month in range(1, 13):
            opened = to_ms(utc(f"2023-{month:02}-01"))
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as archive:
                archive.writestr("x.csv", f"{opened},10,12,9,11,5,{opened + 59_999},55,3,2,22,0")
            venue.files[path.format(month)] = buffer.getvalue()
        pull(
            "binance",
            "ohlcv_1m",
            "BTCUSDT",
            "2023-01-01",
            "2024-01-01",
            instrument_type="perp",
            warehouse=warehouse,
            fetcher=venue.fetcher,
        )
        assert warehouse.read(TABLES["ohlcv_1m"]).num_rows == 12
        # a file and its checksum each, and what it takes to know the instrument
        assert len([path for path in venue.asked if not path.endswith("Info")]) == 24
