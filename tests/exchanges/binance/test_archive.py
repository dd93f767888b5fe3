"""Files of Binance's archive: the right plan, the right units in every era, bad files refused by cell."""

from __future__ import annotations

import contextlib
import io
import itertools
import zipfile
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cexkit.errors import CexkitError, PayloadError
from cexkit.exchanges.archives import days_of, plan
from cexkit.exchanges.binance.descriptor import EXCHANGE
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.registry import parse_response
from cexkit.exchanges.rows import added_columns, quarantined
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, merged, to_ms, utc
from cexkit.schema.render import to_pyarrow
from cexkit.schema.symbols import Instrument
from tests.flaws import flaw

KLINE_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)
DAY, HOUR, STEP = timedelta(days=1), timedelta(hours=1), timedelta(minutes=5)


def instrument(kind: str = "perp") -> Instrument:
    return Instrument(
        exchange="binance", instrument_type=kind, symbol="BTCUSDT", venue_symbol="BTCUSDT", base="BTC", quote="USDT"
    )


def zipped(text: str, names: tuple[str, ...] = ("file.csv",)) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, text)
    return buffer.getvalue()


def kline(time: str, *, scale: int = 1, length: timedelta = timedelta(minutes=1)) -> str:
    opened = to_ms(utc(time)) * scale
    closed = to_ms(utc(time) + length) * scale - 1
    return f"{opened},10,12,9,11,5,{closed},55,3,2,22,0"


def read(table: str, endpoint: str, text: str | bytes, *, kind: str = "perp", window=("2024-01-01", "2027-01-01")):
    context = Context(
        exchange="binance", table=table, now=utc("2027-01-01"), instrument=instrument(kind), window=Window.of(*window)
    )
    return parse_response("binance", endpoint, zipped(text) if isinstance(text, str) else text, context)


class TestBars:
    @pytest.mark.parametrize("header", ["", KLINE_HEADER + "\n", KLINE_HEADER + "\r\n"])
    @pytest.mark.parametrize("scale", [1, 1000])
    def test_with_or_without_a_header_in_either_unit(self, header, scale):
        rows = read("ohlcv_1m", "archive.klines", header + kline("2025-01-01T00:07", scale=scale) + "\n", kind="spot")
        assert rows.schema.equals(to_pyarrow(TABLES["ohlcv_1m"]))
        assert rows.to_pylist() == [
            {
                "exchange": "binance", "instrument_type": "spot", "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT",
                "timestamp": utc("2025-01-01T00:07"), "open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0,
                "volume_base": 5.0, "volume_quote": 55.0, "trades": 3,
                "taker_buy_volume_base": 2.0, "taker_buy_volume_quote": 22.0, "multiplier": None,
            }
        ]  # fmt: skip

    def test_mark_bars_have_prices_only(self):
        text = (
            kline("2025-01-01", length=timedelta(hours=1)).replace(",5,", ",0,").replace(",55,3,2,22,", ",0,3600,0,0,")
        )
        rows = read("mark_1h", "archive.markPriceKlines", text)
        assert rows.column_names == list(TABLES["mark_1h"].columns)
        assert rows["close"].to_pylist() == [11.0]

    def test_units_are_told_row_by_row_and_seconds_are_quarantined(self):
        lines = [kline("2025-01-01"), kline("2025-01-01T00:01", scale=1000)]
        rows = read("ohlcv_1m", "archive.klines", "\n".join(lines))
        assert [time.minute for time in rows["timestamp"].to_pylist()] == [0, 1]
        seconds = kline("2025-01-01T00:02").replace("000,", ",", 1)
        found = flaw(read("ohlcv_1m", "archive.klines", f"{lines[0]}\n{seconds}"))
        assert found.startswith("row 1, field 'open_time': neither milliseconds nor microseconds")

    def test_columns_are_read_by_their_names(self):
        names = KLINE_HEADER.split(",")
        cells = dict(zip(names, kline("2025-01-01").split(","), strict=True)) | {"vwap": "11"}
        moved = ["vwap", *reversed(names)]
        text = "\n".join([",".join(moved), ",".join(cells[name] for name in moved)])
        rows = read("ohlcv_1m", "archive.klines", text)
        assert (rows["open"][0].as_py(), rows["volume_quote"][0].as_py()) == (10.0, 55.0)
        assert added_columns(rows) == "new in its files, and not read: vwap"
        renamed = KLINE_HEADER.replace(",quote_volume", ",turnover") + "\n" + kline("2025-01-01")
        with pytest.raises(PayloadError, match="a header that names quote_volume is expected"):
            read("ohlcv_1m", "archive.klines", renamed)

    def test_column_between_others_without_a_header_is_refused(self):
        cells = kline("2025-01-01").split(",")
        assert read("ohlcv_1m", "archive.klines", ",".join([*cells, "7"])).num_rows == 1
        for place in range(1, len(cells)):
            with pytest.raises(PayloadError):
                read("ohlcv_1m", "archive.klines", ",".join([*cells[:place], "7", *cells[place:]]))

    @pytest.mark.parametrize("line", ["", "\r", " ", "2025", '"'])
    def test_line_that_is_no_row_costs_nothing_else(self, line):
        rows = read("ohlcv_1m", "archive.klines", f"{kline('2025-01-01')}\n{line}\n{kline('2025-01-01T00:01')}\n\n")
        assert (rows.num_rows, quarantined(rows).count) == (2, int(line == "2025"))

    def test_times_may_have_fractions(self):
        cells = kline("2025-01-01").split(",")
        for opened in (f"{cells[0]}.000", f"{cells[0]}000.0"):
            rows = read("ohlcv_1m", "archive.klines", ",".join([opened, *cells[1:]]))
            assert rows["timestamp"].to_pylist() == [utc("2025-01-01")]

    def test_trades_beyond_64_bits_cost_their_row(self):
        text = f"{kline('2025-01-01')}\n{kline('2025-01-01T00:01').replace(',3,', f',{2**63},')}"
        assert flaw(read("ohlcv_1m", "archive.klines", text)).startswith("row 1, field 'count': no number")

    def test_bars_of_another_interval_are_refused(self):
        with pytest.raises(PayloadError, match=r"archive.klines, field 'close_time': bars of 0:59:59.999"):
            read("ohlcv_1m", "archive.klines", kline("2025-01-01", length=timedelta(hours=1)))

    def test_rows_outside_the_window_are_dropped(self):
        text = "\n".join(kline(f"2025-01-01T00:0{minute}") for minute in range(5))
        rows = read("ohlcv_1m", "archive.klines", text, window=("2025-01-01T00:01", "2025-01-01T00:03"))
        assert [time.minute for time in rows["timestamp"].to_pylist()] == [1, 2]

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            (kline("2025-01-01").replace(",12,", ",nan,"), "row 0, field 'high': no number"),
            (kline("2025-01-01").replace(",12,", ",,"), "row 0, field 'high': no number"),
            ("1,2,3", "12 columns expected"),
            ("<html></html>", "12 columns expected"),
        ],
    )
    def test_a_bad_cell_is_named(self, text, says):
        with pytest.raises(PayloadError, match=says):
            read("ohlcv_1m", "archive.klines", text)

    def test_an_empty_file_is_an_empty_table(self):
        assert read("ohlcv_1m", "archive.klines", "").num_rows == 0
        assert read("ohlcv_1m", "archive.klines", KLINE_HEADER + "\n").num_rows == 0


class TestFundingAndOpenInterest:
    def test_every_settlement_has_its_own_interval(self):
        text = "calc_time,funding_interval_hours,last_funding_rate\n" + "\n".join(
            f"{to_ms(utc(time)) + 1},{hours},0.0001"
            for time, hours in (("2024-01-01T08:00", 8), ("2024-01-01T12:00", 4))
        )
        rows = read("funding_rates", "archive.fundingRate", text)
        assert rows["funding_interval_hours"].to_pylist() == [8.0, 4.0]
        assert rows["timestamp"].to_pylist() == [utc("2024-01-01T08:00"), utc("2024-01-01T12:00")]
        assert rows["venue_timestamp"][0].as_py() - rows["timestamp"][0].as_py() == timedelta(milliseconds=1)

    def metrics(self, *rows: str) -> str:
        head = "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,"
        head += "sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio"
        return "\n".join([head, *rows])

    def test_snapshots_are_those_of_full_hours(self):
        text = self.metrics(
            '2024-01-01 00:55:00,BTCUSDT,1,2,"","","",""',
            "2024-01-01 01:00:00,BTCUSDT,105550.9850000000000000,6858675634.7062540000000000,1.2,1.4,1.1,1.5",
        )
        rows = read("open_interest", "archive.metrics", text)
        assert rows["timestamp"].to_pylist() == [utc("2024-01-01T01:00")]
        assert rows["open_interest_base"].to_pylist() == [105550.985]

    @pytest.mark.parametrize("label", ["2024-01-01 01:00:00.000", "2024-01-01 01:00:00.123", "2024-01-01T01:00:00Z"])
    def test_labels_may_have_milliseconds(self, label):
        rows = read("open_interest", "archive.metrics", self.metrics(f"{label},BTCUSDT,7,9,1,1,1,1"))
        assert rows["timestamp"].to_pylist() == [utc("2024-01-01T01:00")]

    def test_blank_cells_count_in_rows_that_are_kept_only(self):
        lines = ["2024-01-01 00:55:00,BTCUSDT,,,,,,", "2024-01-01 01:00:00,BTCUSDT,7,9,,,,"]
        rows = read("open_interest", "archive.metrics", self.metrics(*lines))
        assert (rows.num_rows, quarantined(rows).count) == (1, 0)
        found = flaw(
            read("open_interest", "archive.metrics", self.metrics(*lines, "2024-01-01 02:00:00,BTCUSDT,,9,,,,"))
        )
        assert found == "row 2, field 'sum_open_interest': no number: ''"

    def test_zeros_that_fill_a_gap_are_no_snapshots(self):
        text = self.metrics("2024-01-01 01:00:00,BTCUSDT,0,0,0,0,0,0", "2024-01-01 02:00:00,BTCUSDT,7,9,1,1,1,1")
        assert read("open_interest", "archive.metrics", text)["open_interest_base"].to_pylist() == [7.0]

    @pytest.mark.parametrize(
        ("day", "labeled_by_end"),
        [("2023-12-31", True), ("2026-06-24", True), ("2026-06-25", False), ("2026-07-31", False)],
    )
    @pytest.mark.parametrize("stored_by", ["this version", "an older one"])
    def test_hours_of_metrics_are_those_at_which_they_were_taken(self, day, labeled_by_end, stored_by):
        """The series grows by one every five minutes from midnight, so at hour h it is 12 h."""
        start = utc(day)
        taken = [start + number * STEP for number in range(1, 289)]
        labels = taken if labeled_by_end else [time - STEP for time in taken]
        lines = [f"{label:%Y-%m-%d %H:%M:%S},BTCUSDT,{n},{2 * n},1,1,1,1" for n, label in enumerate(labels, 1)]
        (piece,) = metrics_files(start + HOUR, start + DAY)
        context = metrics_context(piece if stored_by == "this version" else Window(start, start + DAY))
        rows = parse_response("binance", "archive.metrics", zipped(self.metrics(*lines)), context)
        assert rows["timestamp"].to_pylist() == [start + hour * HOUR for hour in range(1, 25)]
        assert rows["open_interest_base"].to_pylist() == [12.0 * hour for hour in range(1, 25)]

    def test_one_label_in_two_files_means_two_times(self):
        """Only the file of the last old day holds what was taken at its label; a new one holds what followed it."""
        text = self.metrics("2026-06-25 00:00:00,BTCUSDT,7,9,1,1,1,1")
        older, newer = metrics_files(utc("2026-06-25"), utc("2026-06-25T02:00"))
        found = [parse_response("binance", "archive.metrics", zipped(text), metrics_context(w)) for w in (older, newer)]
        assert [rows["timestamp"].to_pylist() for rows in found] == [[utc("2026-06-25")], []]

    def test_rows_of_another_symbol_are_refused(self):
        with pytest.raises(PayloadError, match="'ETHUSDT'"):
            read("open_interest", "archive.metrics", self.metrics("2024-01-01 01:00:00,ETHUSDT,1,2,1,1,1,1"))

    def test_a_time_in_another_form_is_refused(self):
        with pytest.raises(PayloadError, match="row 0, field 'create_time'"):
            read("open_interest", "archive.metrics", self.metrics("01.01.2024 01:00,BTCUSDT,1,2,1,1,1,1"))


def metrics_files(start, end) -> list[Window]:
    """Return the windows that the files of a span of open interest are requested with."""
    archive = EXCHANGE.archives["open_interest", "perp"]
    pieces = plan(archive, instrument(), Window(start, end), utc("2027-01-01")).files
    return [Window(piece.window.start - archive.margin, piece.window.end + archive.margin) for piece in pieces]


def metrics_context(window: Window) -> Context:
    return Context(
        exchange="binance", table="open_interest", now=utc("2027-01-01"), instrument=instrument(), window=window
    )


@pytest.mark.parametrize("endpoint", sorted({archive.endpoint for archive in EXCHANGE.archives.values()}))
@settings(max_examples=60, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(lambda raw: zipped(raw.decode("latin-1")))))
def test_any_bytes_give_a_table_or_an_error_of_ours(endpoint, body):
    table = next(table for (table, _), archive in EXCHANGE.archives.items() if archive.endpoint == endpoint)
    with contextlib.suppress(CexkitError):
        assert read(table, endpoint, body).column_names == list(TABLES[table].columns)


def test_a_zip_holds_one_file():
    with pytest.raises(PayloadError, match="one file expected in the zip, there are 2"):
        read("ohlcv_1m", "archive.klines", zipped("", ("a.csv", "b.csv")))


class TestPlan:
    def plan(self, table: str, start: str, end: str, now: str):
        return plan(EXCHANGE.archives[table, "perp"], instrument(), Window.of(start, end), utc(now))

    def test_paths_are_those_of_the_archive(self):
        files = self.plan("ohlcv_1m", "2024-01-01", "2024-03-03", "2024-03-05").files
        assert files[0].path == "/data/futures/um/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-01.zip"
        assert files[-1].path == "/data/futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2024-03-02.zip"
        rates = self.plan("funding_rates", "2024-01-01", "2024-01-02", "2024-03-05").files
        assert rates[0].path == "/data/futures/um/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2024-01.zip"
        spot = plan(
            EXCHANGE.archives["ohlcv_1d", "spot"],
            instrument("spot"),
            Window.of("2024-01-01", "2024-02-01"),
            utc("2025-01-01"),
        )
        assert spot.files[0].path == "/data/spot/monthly/klines/BTCUSDT/1d/BTCUSDT-1d-2024-01.zip"

    def test_a_year_is_twelve_files(self):
        made = self.plan("ohlcv_1m", "2023-01-01", "2024-01-01", "2024-06-01")
        assert (len(made.files), made.rest) == (12, ())

    def test_what_is_not_out_yet_is_left_to_the_api(self):
        made = self.plan("funding_rates", "2024-01-01", "2024-03-05", "2024-03-05")
        assert [piece.window.start.month for piece in made.files] == [1]
        assert made.rest == (Window.of("2024-02-01", "2024-03-05"),)

    @pytest.mark.parametrize(
        ("start", "end", "days"),
        [
            ("2024-03-01", "2024-03-02", ["2024-02-29", "2024-03-01"]),
            ("2024-01-01", "2024-01-02", ["2023-12-31", "2024-01-01"]),
            ("2024-01-01", "2024-01-01T01:00", ["2023-12-31"]),
            ("2024-01-01T01:00", "2024-01-02", ["2024-01-01"]),
            ("2026-06-24", "2026-06-26", ["2026-06-23", "2026-06-24", "2026-06-25"]),
        ],
    )
    def test_midnight_of_open_interest_is_in_the_file_of_the_day_before(self, start, end, days):
        made = self.plan("open_interest", start, end, "2026-12-01")
        assert [piece.path.removesuffix(".zip")[-10:] for piece in made.files] == days
        assert made.files[0].window.start.hour == made.files[-1].window.end.hour == 1
        assert made.rest == ()

    def test_a_day_of_open_interest_is_expected_a_day_after_it(self):
        assert self.plan("open_interest", "2024-01-02", "2024-01-03", "2024-01-03T23:59").rest == (
            Window.of("2024-01-02T01:00", "2024-01-03"),
        )
        assert self.plan("open_interest", "2024-01-02", "2024-01-03", "2024-01-04").rest == ()

    def test_a_missing_month_becomes_its_days_within_the_window(self):
        window = Window.of("2024-01-30", "2024-02-10")
        (month, *_) = self.plan("ohlcv_1m", "2024-01-30", "2024-02-10", "2024-06-01").files
        assert [piece.window.start.day for piece in days_of(month, instrument(), window)] == [30, 31]
        rates = self.plan("funding_rates", "2024-01-01", "2024-01-02", "2024-03-05").files[0]
        assert days_of(rates, instrument(), window) == ()

    @settings(max_examples=80, deadline=None)
    @given(
        st.datetimes(
            min_value=utc("2020-01-01").replace(tzinfo=None), max_value=utc("2024-12-31").replace(tzinfo=None)
        ),
        st.integers(0, 900),
        st.integers(-5, 60),
    )
    def test_files_and_rest_cover_every_moment_once(self, start, hours, age_days):
        window = Window(utc(start), utc(start) + timedelta(hours=hours))
        for archive in EXCHANGE.archives.values():
            made = plan(archive, instrument(), window, window.end + timedelta(days=age_days))
            spans = [piece.window for piece in made.files] + list(made.rest)
            assert all(left.end == right.start for left, right in itertools.pairwise(spans))
            if not window.empty:
                assert spans[0].start <= window.start
                assert spans[-1].end >= window.end


def test_windows_that_touch_are_merged():
    days = [Window.of(f"2024-01-0{day}", f"2024-01-0{day + 1}") for day in (3, 1, 2, 6)]
    assert merged(days) == (Window.of("2024-01-01", "2024-01-04"), Window.of("2024-01-06", "2024-01-07"))


def test_the_real_rows(shared):
    lines = (shared / "recordings/binance/archive_rows_BTCUSDT.csv.txt").read_text().splitlines()
    header = lines.index(KLINE_HEADER)
    bars = read(
        "ohlcv_1m", "archive.klines", "\n".join(lines[header : header + 2]), window=("2026-01-01", "2027-01-01")
    )
    assert bars.num_rows == 1
    assert pl.from_arrow(bars)["timestamp"][0] == utc("2026-07-15")
    at = next(i for i, line in enumerate(lines) if line.startswith("calc_time"))
    rates = read(
        "funding_rates", "archive.fundingRate", "\n".join(lines[at : at + 2]), window=("2026-01-01", "2027-01-01")
    )
    assert rates["funding_interval_hours"].to_pylist() == [8.0]
    at = next(i for i, line in enumerate(lines) if line.startswith("create_time"))
    newer, older = lines[at + 1], next(line for line in lines if line.startswith("2024-06-03 00:00:00,BTCUSDT"))
    found = [read("open_interest", "archive.metrics", "\n".join([lines[at], line])) for line in (older, newer)]
    assert found[0]["timestamp"].to_pylist() == [utc("2024-06-03")]
    assert found[0]["open_interest_base"].to_pylist() == [76155.768]
    assert found[1].num_rows == 0, "it was taken at 00:05"
