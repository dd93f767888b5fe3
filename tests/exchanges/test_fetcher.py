"""fetch() over real sockets: what is fetched is the truth, whatever goes wrong on the way."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import httpx
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st

from cexkit.config import Settings
from cexkit.errors import (
    AmbiguousInstrumentError,
    BlockedError,
    ClockSkewWarning,
    InvalidInputError,
    NotOfferedError,
    PayloadError,
    QuarantinedRowsWarning,
    RateLimitedError,
    TransportError,
    UnknownNameError,
    UnknownTableError,
    VenueError,
)
from cexkit.exchanges.assembly import assemble_table
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.http import PageRequest
from cexkit.exchanges.instruments import left_out
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.registry import parse_response
from cexkit.schema import TABLES
from cexkit.schema.intervals import INTERVALS, Window, to_ms, utc
from cexkit.schema.render import to_polars, to_pyarrow
from cexkit.testing import (
    LoopbackBinance,
    banned,
    chance,
    disordered,
    doubled,
    emptied,
    every,
    garbled,
    misdated,
    nth,
    reset,
    server_error,
    stalled,
    too_many_requests,
    truncated,
    web_page,
)
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.store.warehouse import Warehouse

from ..clock import Clock, reading, shift_local_clock
from ..lengths import examples

START = utc("2024-01-01")
LATER = "2025-01-01"
FUNDING, UM_KLINES, SPOT_KLINES = "/fapi/v1/fundingRate", "/fapi/v1/klines", "/api/v3/klines"


def listed(kind, symbol, venue_symbol=None, base="BTC", **terms):
    row = dict.fromkeys(TABLES["instruments"].columns) | {
        "exchange": "binance",
        "instrument_type": kind,
        "symbol": symbol,
        "venue_symbol": venue_symbol or symbol,
        "base": base,
        "quote": "USDT",
        "settle": "USDT",
        "multiplier": 1.0,
        "contract_size": 1.0,
        "inverse": False,
        "tick_size": 0.1,
        "lot_size": 0.001,
        "status": "trading",
        "observed_at": utc(LATER),
    }
    return row | terms


LISTED = [
    listed("spot", "BTCUSDT"),
    listed("spot", "ETHUSDT", base="ETH"),
    listed("perp", "BTCUSDT", funding_interval_hours=8.0, listing_time=utc("2019-09-25T08:00")),
    listed(
        "perp",
        "1000PEPEUSDT",
        base="PEPE",
        multiplier=1000.0,
        funding_interval_hours=4.0,
        listing_time=utc("2023-05-05"),
    ),
    listed(
        "future",
        "BTCUSDT-20240628",
        "BTCUSDT_240628",
        expiry=utc("2024-06-28T08:00"),
        delisting_time=utc("2024-06-28T08:00"),
        listing_time=utc("2023-12-29"),
    ),
    listed("perp", "NEWUSDT", base="NEW", status="pending", listing_time=utc("2025-01-01")),
]


def frame(table, rows):
    return pl.DataFrame(rows, schema=to_polars(TABLES[table]), orient="row")


def identity(kind, symbol):
    row = next(row for row in LISTED if (row["instrument_type"], row["symbol"]) == (kind, symbol))
    return {name: row[name] for name in ("exchange", "instrument_type", "symbol", "base", "quote", "multiplier")}


def bars(kind, symbol, table, times, seed=0):
    """Bars at these times with prices of full precision."""
    random, count = np.random.default_rng(seed), len(times)
    low, high, volume = random.uniform(1e-7, 1, count), random.uniform(1e4, 7e4, count), random.uniform(0, 1e9, count)
    columns = {
        "timestamp": times,
        "open": random.uniform(1, 1e4, count),
        "high": high,
        "low": low,
        "close": random.uniform(1, 1e4, count),
        "volume_base": volume,
        "volume_quote": random.uniform(0, 1e12, count),
        "trades": random.integers(2, 10**6, count),
        "taker_buy_volume_base": volume * random.uniform(0, 1, count),
        "taker_buy_volume_quote": random.uniform(0, 1e12, count),
    }
    return conforming(table, kind, symbol, columns)


def settlements(kind, symbol, times, seed=0):
    random, count = np.random.default_rng(seed), len(times)
    late = random.integers(0, 48, count)
    marks = [None if mark < 0.3 else mark for mark in random.uniform(0, 7e4, count)]
    columns = {
        "timestamp": times,
        "funding_rate": random.normal(0, 1e-4, count),
        "mark_price": marks,
        "venue_timestamp": [t + timedelta(milliseconds=int(ms)) for t, ms in zip(times, late, strict=True)],
    }
    return conforming("funding_rates", kind, symbol, columns)


def conforming(table, kind, symbol, columns):
    schema = to_polars(TABLES[table])
    data = pl.DataFrame(columns, schema={name: schema[name] for name in columns})
    fixed = {name: value for name, value in identity(kind, symbol).items() if name in schema}
    missing = [name for name in schema if name not in columns and name not in fixed]
    return data.with_columns(**{k: pl.lit(v) for k, v in fixed.items()}, **dict.fromkeys(missing)).select(
        pl.col(name).cast(dtype) for name, dtype in schema.items()
    )


def grid(count, step, start=START):
    return [start + index * step for index in range(count)]


HOUR = timedelta(hours=1)
TRUTH = {
    "instruments": frame("instruments", LISTED),
    "ohlcv_1h": pl.concat(
        [
            bars("spot", "BTCUSDT", "ohlcv_1h", grid(2500, HOUR), seed=1),
            bars("perp", "BTCUSDT", "ohlcv_1h", grid(2500, HOUR), seed=2),
            bars("future", "BTCUSDT-20240628", "ohlcv_1h", grid(50, HOUR), seed=3),
        ]
    ),
    "ohlcv_1d": bars("spot", "ETHUSDT", "ohlcv_1d", grid(30, 24 * HOUR), seed=4),
    "ohlcv_1m": bars("perp", "1000PEPEUSDT", "ohlcv_1m", grid(1500, HOUR / 60), seed=5),
    "funding_rates": pl.concat(
        [
            settlements("perp", "BTCUSDT", grid(1200, 8 * HOUR, utc("2023-01-01")), seed=6),
            settlements("perp", "1000PEPEUSDT", grid(300, 4 * HOUR), seed=7),
        ]
    ),
}


def truth(table, kind, symbol, start, end):
    times = pl.col("timestamp")
    rows = TRUTH[table].filter(instrument_type=kind, symbol=symbol)
    return rows.filter(times >= utc(start), times < utc(end)).sort("timestamp")


@pytest.fixture
def venue():
    with LoopbackBinance(TRUTH, now=LATER) as loopback:
        yield loopback


@pytest.fixture
def fetcher(venue):
    with reading(venue, Clock()) as one:
        yield one


def patient(venue, clock):
    """A fetcher that lives on this clock."""
    return Fetcher(venue.settings, clock=clock, sleep=clock.sleep)


def asked(venue, path):
    return [entry for entry in venue.log if entry.request.path == path]


def same(fetched, expected):
    """Equal to the last bit, and in the declared schema."""
    table = fetched if isinstance(fetched, pa.Table) else pa.table(fetched)
    frame = pl.from_arrow(table)
    assert frame.height == expected.height
    assert frame.equals(expected), "rows differ"
    return True


class TestTheTruthComesBack:
    @pytest.mark.parametrize(
        ("table", "kind", "symbol", "start", "end"),
        [
            ("ohlcv_1h", "spot", "BTCUSDT", "2024-01-01", "2024-04-01"),
            ("ohlcv_1h", "perp", "BTCUSDT", "2024-01-01", "2024-04-01"),
            ("ohlcv_1h", "future", "BTCUSDT-20240628", "2023-01-01", "2024-04-01"),
            ("ohlcv_1d", "spot", "ETHUSDT", "2023-01-01", "2024-04-01"),
            ("ohlcv_1m", "perp", "1000PEPEUSDT", "2024-01-01T00:30", "2024-01-02T00:30"),
            ("funding_rates", "perp", "BTCUSDT", "2023-01-01", "2024-12-01"),
            ("funding_rates", "perp", "1000PEPEUSDT", "2024-01-01", "2024-12-01"),
        ],
    )
    def test_bit_for_bit(self, fetcher, table, kind, symbol, start, end):
        rows = fetcher.fetch("binance", table, symbol, start, end, instrument_type=kind)
        assert rows.schema.equals(to_pyarrow(TABLES[table]), check_metadata=True)
        same(rows, truth(table, kind, symbol, start, end))

    def test_a_short_page_is_not_the_end(self, venue, fetcher):
        rows = fetcher.fetch("binance", "funding_rates", "BTCUSDT", "2023-01-01", "2024-12-01")
        same(rows, truth("funding_rates", "perp", "BTCUSDT", "2023-01-01", "2024-12-01"))
        pages = asked(venue, FUNDING)
        assert [page.request.params["limit"] for page in pages] == [
            "1000"
        ] * 6  # 500, 500, 200, and three times nothing

    def test_fixed_steps_need_no_empty_page_and_no_more_than_fits(self, venue, fetcher):
        fetcher.fetch("binance", "ohlcv_1h", "BTCUSDT", START, START + 1050 * HOUR, instrument_type="perp")
        assert [page.request.params["limit"] for page in asked(venue, UM_KLINES)] == ["1000", "50"]

    def test_a_hole_in_the_bars_ends_nothing(self):
        times = [t for i, t in enumerate(grid(60, HOUR)) if i % 7 and not 20 < i < 41]
        holed = bars("spot", "BTCUSDT", "ohlcv_1h", times)
        with LoopbackBinance(TRUTH | {"ohlcv_1h": holed}, now=LATER) as venue, Fetcher(venue.settings) as fetcher:
            rows = fetcher.fetch("binance", "ohlcv_1h", "BTCUSDT", START, "2024-02-01", instrument_type="spot")
        same(rows, holed)

    def test_nothing_there_is_an_empty_conforming_table(self, fetcher):
        rows = fetcher.fetch("binance", "funding_rates", "BTCUSDT", "2019-01-01", "2019-02-01")
        assert rows.num_rows == 0
        assert rows.schema.equals(to_pyarrow(TABLES["funding_rates"]))

    def test_an_empty_window_asks_for_nothing(self, venue, fetcher):
        assert fetcher.fetch("binance", "funding_rates", "BTCUSDT", START, START).num_rows == 0
        assert asked(venue, FUNDING) == []

    def test_spot_and_perp_are_not_confused(self, fetcher):
        span = (START, START + 5 * HOUR)
        spot, perp = (
            fetcher.fetch("binance", "ohlcv_1h", "BTCUSDT", *span, instrument_type=kind) for kind in ("spot", "perp")
        )
        assert spot["close"].to_pylist() != perp["close"].to_pylist()
        assert set(spot["instrument_type"].to_pylist()) == {"spot"}
        same(perp, truth("ohlcv_1h", "perp", "BTCUSDT", *span))


class TestUnfinishedBars:
    @pytest.mark.parametrize("kind", ["spot", "perp"])
    def test_the_running_bar_is_left_out_and_comes_when_it_is_over(self, venue, fetcher, kind):
        venue.now = START + 10 * HOUR + timedelta(minutes=59, seconds=59)
        request = ("binance", "ohlcv_1h", "BTCUSDT", START)
        assert fetcher.fetch(*request, instrument_type=kind)["timestamp"][-1].as_py() == START + 9 * HOUR
        venue.now = START + 11 * HOUR + timedelta(seconds=1)
        same(
            fetcher.fetch(*request, instrument_type=kind), truth("ohlcv_1h", kind, "BTCUSDT", START, START + 11 * HOUR)
        )

    def test_the_venue_does_show_it(self, venue):
        venue.now = START + 10 * HOUR + timedelta(minutes=30)
        params = {"symbol": "BTCUSDT", "interval": "1h", "limit": "1"}
        row = httpx.get(venue.url + SPOT_KLINES, params=params, trust_env=False).json()[0]
        assert row[0] == (START + 10 * HOUR).timestamp() * 1000
        assert float(row[5]) != TRUTH["ohlcv_1h"].filter(instrument_type="spot")["volume_base"][10]

    def test_the_venues_clock_decides_not_ours(self, venue, fetcher):
        # our clock says 2026 or later, the venue's says that the bar still runs
        venue.now = START + timedelta(minutes=30)
        assert fetcher.fetch("binance", "ohlcv_1h", "BTCUSDT", START, LATER, instrument_type="spot").num_rows == 0


class TestWindows:
    @pytest.mark.parametrize(
        ("start", "end", "hours"),
        [
            ("2024-01-01T01:00", "2024-01-01T03:00", [1, 2]),
            ("2024-01-01T01:00:00.000001", "2024-01-01T03:00", [2]),
            ("2024-01-01T00:59:59.999999", "2024-01-01T03:00:00.000001", [1, 2, 3]),
            ("2024-01-01T01:30", "2024-01-01T01:59", []),
        ],
    )
    def test_half_open(self, fetcher, start, end, hours):
        rows = fetcher.fetch("binance", "ohlcv_1h", "BTCUSDT", start, end, instrument_type="spot")
        assert [t.hour for t in rows["timestamp"].to_pylist()] == hours

    @pytest.mark.parametrize(
        ("start", "end", "hours"),
        [
            ("2024-01-01T08:00", "2024-01-01T16:00", [8]),
            ("2024-01-01T08:00:00.001", "2024-01-01T16:00:00.001", [16]),
            ("2024-01-01T07:59:59.999", "2024-01-01T08:00:00.001", [8]),
            ("2024-01-01T08:00:00.060", "2024-01-01T15:59:59.999999", []),
        ],
    )
    def test_settlements_count_by_their_minute_not_their_jitter(self, fetcher, start, end, hours):
        rows = fetcher.fetch("binance", "funding_rates", "BTCUSDT", start, end)
        assert [t.hour for t in rows["timestamp"].to_pylist()] == hours

    def test_naive_times_are_utc(self, fetcher):
        naive, aware = datetime(2024, 1, 1, 2), datetime(2024, 1, 1, 2, tzinfo=UTC)  # noqa: DTZ001
        other = aware.astimezone(tz=datetime.fromisoformat("2024-01-01T00:00+05:30").tzinfo)
        tables = [
            fetcher.fetch("binance", "ohlcv_1h", "BTCUSDT", start, date(2024, 1, 2), instrument_type="spot")
            for start in (naive, aware, other, "2024-01-01T02:00")
        ]
        assert tables[0].num_rows == 22
        assert all(table.equals(tables[0]) for table in tables)

    def test_neighboring_windows_share_nothing_and_lose_nothing(self, fetcher):
        whole = fetcher.fetch("binance", "funding_rates", "BTCUSDT", "2023-01-01", "2023-03-01")
        cuts = ["2023-01-01", "2023-01-07T08:00", "2023-01-07T08:00:00.020", "2023-02-01T15:59:59.9", "2023-03-01"]
        parts = [fetcher.fetch("binance", "funding_rates", "BTCUSDT", a, b) for a, b in pairwise(cuts)]
        assert pa.concat_tables(parts).equals(whole)

    def test_nonsense_is_refused(self, fetcher):
        with pytest.raises(InvalidInputError, match="needs a start"):
            fetcher.fetch("binance", "funding_rates", "BTCUSDT")
        with pytest.raises(InvalidInputError, match="ends before it starts"):
            fetcher.fetch("binance", "funding_rates", "BTCUSDT", "2024-01-02", "2024-01-01")
        with pytest.raises(InvalidInputError, match="not a time"):
            fetcher.fetch("binance", "funding_rates", "BTCUSDT", "yesterday")


class TestJitter:
    @pytest.mark.parametrize("rows", [1, 2, 7])
    def test_no_row_is_doubled_or_lost_at_page_edges(self, rows):
        with LoopbackBinance(TRUTH, now=LATER, page_rows=rows) as venue, Fetcher(venue.settings) as fetcher:
            fetched = fetcher.fetch("binance", "funding_rates", "BTCUSDT", "2023-01-01", "2023-01-15")
            pages = len(asked(venue, FUNDING))
        same(fetched, truth("funding_rates", "perp", "BTCUSDT", "2023-01-01", "2023-01-15"))
        assert pages == -(-42 // rows) + 3, "what is empty at the end is asked for three times"

    def test_the_raw_time_is_kept(self, fetcher):
        rows = pl.from_arrow(fetcher.fetch("binance", "funding_rates", "BTCUSDT", "2023-01-01", "2023-02-01"))
        late = rows["venue_timestamp"] - rows["timestamp"]
        assert late.min() >= timedelta(0)
        assert timedelta(milliseconds=20) < late.max() < timedelta(milliseconds=48)
        assert (rows["timestamp"].dt.truncate("8h") == rows["timestamp"]).all()


class TestFaults:
    @pytest.mark.parametrize(
        "fault",
        [
            too_many_requests(every(2), retry_after=0),
            too_many_requests(every(2), retry_after=None),
            server_error(every(2)),
            server_error(every(3), status=500, retry_after=0),
            truncated(every(2)),
            truncated(every(2), sent=0.0),
            reset(every(2)),
            stalled(nth(1, 4), seconds=30),
            reset(chance(0.3, seed=1)),
        ],
        ids=lambda fault: fault.name,
    )
    def test_the_table_is_the_truth_all_the_same(self, fault):
        clock = Clock()
        with LoopbackBinance(TRUTH, now=LATER, faults=[fault]) as venue:
            settings = venue.settings.model_copy(update={"http_timeout_seconds": 0.4})
            with Fetcher(settings, sleep=clock.sleep) as fetcher:
                rows = fetcher.fetch("binance", "funding_rates", "BTCUSDT", "2023-01-01", "2024-12-01")
            struck = [entry for entry in venue.log if entry.fault]
        same(rows, truth("funding_rates", "perp", "BTCUSDT", "2023-01-01", "2024-12-01"))
        assert struck, "the fault never struck"

    def test_retry_after_is_waited_for(self):
        clock = Clock()
        faults = [too_many_requests(nth(1, path=FUNDING), retry_after=7)]
        with (
            LoopbackBinance(TRUTH, now=LATER, faults=faults, clock=clock) as venue,
            patient(venue, clock) as fetcher,
        ):
            fetcher.fetch("binance", "funding_rates", "BTCUSDT", START, "2024-01-02")
            first, second = asked(venue, FUNDING)[:2]
        assert second.request.at - first.request.at == pytest.approx(7)

    def test_it_gives_up_and_says_what_happened(self):
        clock = Clock()
        with LoopbackBinance(TRUTH, now=LATER, faults=[server_error(every(1))]) as venue:
            settings = venue.settings.model_copy(update={"http_attempts": 3})
            with (
                Fetcher(settings, sleep=clock.sleep) as fetcher,
                pytest.raises(TransportError, match="HTTP 503: <html>Service Unavailable"),
            ):
                fetcher.fetch("binance", "funding_rates", "BTCUSDT", START)
            assert len(venue.log) == 3
            assert len(clock.slept) == 2

    def test_too_many_requests_to_the_end_is_a_rate_limit_error(self):
        clock = Clock()
        faults = [too_many_requests(every(1), retry_after=1)]
        with (
            LoopbackBinance(TRUTH, now=LATER, faults=faults) as venue,
            patient(venue, clock) as fetcher,
            pytest.raises(RateLimitedError) as caught,
        ):
            fetcher.instruments("binance")
        assert (caught.value.status, caught.value.retry_after) == (429, 1)

    def test_a_ban_is_not_hammered(self):
        clock = Clock()
        faults = [banned(nth(2), retry_after=300)]
        with (
            LoopbackBinance(TRUTH, now=LATER, faults=faults) as venue,
            patient(venue, clock) as fetcher,
        ):
            request = ("binance", "funding_rates", "BTCUSDT", START, "2024-01-02")
            with pytest.raises(RateLimitedError, match="418"):
                fetcher.fetch(*request)
            with pytest.raises(RateLimitedError, match="banned by the server for 300 s more"):
                fetcher.fetch(*request)
            assert len(venue.log) == 2
            assert clock.slept == []
            clock.sleep(300)
            assert fetcher.fetch(*request).num_rows == 3

    def test_a_retry_after_beyond_patience_is_raised_at_once(self):
        clock = Clock()
        faults = [too_many_requests(nth(1), retry_after=86400)]
        with (
            LoopbackBinance(TRUTH, now=LATER, faults=faults) as venue,
            patient(venue, clock) as fetcher,
        ):
            with pytest.raises(RateLimitedError):
                fetcher.instruments("binance", "spot")
            assert len(venue.log) == 1

    @pytest.mark.parametrize("status", [403, 451])
    def test_blocked(self, status):
        text = {"code": 0, "msg": "Service unavailable from a restricted location"}
        transport = httpx.MockTransport(lambda request: httpx.Response(status, json=text))
        with Fetcher(Settings(), transport) as fetcher, pytest.raises(BlockedError, match="restricted location"):
            fetcher.instruments("binance")

    def test_nobody_listening(self):
        clock = Clock()
        settings = Settings(base_urls={"binance.um": "http://127.0.0.1:9", "binance.spot": "http://127.0.0.1:9"})
        with Fetcher(settings, sleep=clock.sleep) as fetcher, pytest.raises(TransportError, match="ConnectError"):
            fetcher.instruments("binance")


class TestMalformedPages:
    FAULTS = (garbled(nth(2, 3, 4, 5, 6, path=UM_KLINES)),)
    SPAN = (START, START + 2500 * HOUR)

    def test_fetch_raises(self):
        second = str(to_ms(START + 1000 * HOUR))
        faults = [garbled(lambda request: request.params.get("startTime", "0") >= second)]
        with LoopbackBinance(TRUTH, now=LATER, faults=faults) as venue, Fetcher(venue.settings) as fetcher:
            with pytest.raises(PayloadError, match=r"um\.klines: Invalid JSON"):
                fetcher.fetch("binance", "ohlcv_1h", "BTCUSDT", *self.SPAN, instrument_type="perp")
            assert 6 <= len(asked(venue, UM_KLINES)) <= 11

    def test_windows_that_are_read_at_once_cover_the_window_and_fail_alone(self):
        lost = range(to_ms(START + 900 * HOUR), to_ms(START + 1100 * HOUR))
        faults = [server_error(lambda request: int(request.params.get("startTime", 0)) in lost)]
        clock = Clock()
        with LoopbackBinance(TRUTH, now=LATER, faults=faults) as venue, patient(venue, clock) as fetcher:
            btc = fetcher.resolve("binance", "ohlcv_1h", "BTCUSDT", "perp")
            results = list(fetcher.window_pages("binance", "ohlcv_1h", btc, Window(*map(utc, self.SPAN)), count=4))
        ends = {result.task.window: result.error for result in results if result.ended}
        assert sum((window.end - window.start for window in ends), timedelta()) == 2500 * HOUR
        (failed,) = (window for window, error in ends.items() if error is not None)
        rows = pl.concat([pl.from_arrow(result.item.table) for result in results if result.item]).sort("timestamp")
        whole = truth("ohlcv_1h", "perp", "BTCUSDT", *self.SPAN)
        kept = whole.filter(~pl.col("timestamp").is_between(failed.start, failed.end, closed="left"))
        same(rows.drop("multiplier"), kept.drop("multiplier"))

    @pytest.mark.parametrize("fault", [garbled, web_page, emptied, doubled, disordered])
    def test_a_page_that_is_wrong_once_is_asked_for_again(self, fault):
        faults = [fault(nth(2, path=UM_KLINES))]
        with LoopbackBinance(TRUTH, now=LATER, faults=faults) as venue, Fetcher(venue.settings) as fetcher:
            rows = fetcher.fetch("binance", "ohlcv_1h", "BTCUSDT", *self.SPAN, instrument_type="perp")
        same(rows, truth("ohlcv_1h", "perp", "BTCUSDT", *self.SPAN))

    def test_pages_go_on_behind_it_and_say_what_is_missing(self):
        with LoopbackBinance(TRUTH, now=LATER, faults=self.FAULTS) as venue, Fetcher(venue.settings) as fetcher:
            instrument = fetcher.resolve("binance", "ohlcv_1h", "BTCUSDT", "perp")
            pages = list(fetcher.pages("binance", "ohlcv_1h", instrument, Window(*self.SPAN)))
        assert [page.error is None for page in pages] == [True, False, True]
        bad = pages[1]
        assert bad.table is None
        assert bad.skipped == Window(
            START + 999 * HOUR + timedelta(milliseconds=1), START + 1999 * HOUR + timedelta(milliseconds=1)
        )
        assert bad.response.body.endswith(b"<<")
        rows = pl.from_arrow(pa.concat_tables([page.table for page in pages if page.table is not None]))
        expected = truth("ohlcv_1h", "perp", "BTCUSDT", *self.SPAN)
        lost = pl.col("timestamp").is_between(bad.skipped.start, bad.skipped.end, closed="left")
        assert rows.drop("multiplier").equals(expected.filter(~lost).drop("multiplier"))

    def test_every_page_can_be_parsed_again_from_what_is_kept(self):
        with LoopbackBinance(TRUTH, now=LATER) as venue, Fetcher(venue.settings) as fetcher:
            instrument = fetcher.resolve("binance", "funding_rates", "BTCUSDT")
            pages = list(
                fetcher.pages("binance", "funding_rates", instrument, Window(utc("2023-01-01"), utc("2024-01-01")))
            )
            pages += list(fetcher.instrument_pages("binance"))
        assert {page.endpoint for page in pages} == {
            "um.fundingRate",
            "um.exchangeInfo",
            "um.fundingInfo",
            "spot.exchangeInfo",
        }
        for page in pages:
            context = Context.from_json(page.context.to_json())
            assert context == page.context
            assert parse_response("binance", page.endpoint, page.response.body, context).equals(page.table)

    def test_clock_ahead_finishes_no_running_bar_and_warns_once(self, monkeypatch):
        """Two hours of bars, and the venue's clock says that a third one is over."""
        running = START + timedelta(hours=2, minutes=30)
        settings = {"max_clock_skew_seconds": 300.0}
        with (
            LoopbackBinance(TRUTH, now=running, page_rows=2, faults=[misdated(every(1), timedelta(days=10))]) as venue,
            Fetcher(venue.settings.model_copy(update=settings)) as fetcher,
        ):
            shift_local_clock(monkeypatch, running - datetime.now(UTC))
            with pytest.warns(ClockSkewWarning, match="2024-01-11 02:30:00 UTC, ahead of this machine's") as warned:
                rows = fetcher.fetch("binance", "ohlcv_1h", "BTCUSDT", START, LATER, instrument_type="perp")
        same(rows, truth("ohlcv_1h", "perp", "BTCUSDT", START, START + 2 * HOUR))
        assert len(warned) == 1

    def test_different_rows_for_one_key_are_not_silently_one(self):
        row = {"symbol": "BTCUSDT", "fundingTime": 1704067200000, "fundingRate": "0.0001"}
        body = json.dumps([row, row | {"fundingRate": "0.0002"}])
        with LoopbackBinance(TRUTH, now=LATER) as venue:
            listing = httpx.get(venue.url + "/fapi/v1/exchangeInfo", trust_env=False).content

        def response(request):
            return httpx.Response(200, content=listing if "exchangeInfo" in request.url.path else body)

        with (
            Fetcher(Settings(), httpx.MockTransport(response)) as fetcher,
            pytest.raises(PayloadError, match=r"um\.fundingRate, row 0, .* different values for 2024-01-01"),
        ):
            fetcher.fetch("binance", "funding_rates", "BTCUSDT", "2024-01-01", "2024-01-02")

    def test_later_of_two_pages_that_contradict_each_other_counts(self, fetcher):
        window = Window(START, START + timedelta(days=1))
        instrument = fetcher.resolve("binance", "funding_rates", "BTCUSDT")
        pages = list(fetcher.pages("binance", "funding_rates", instrument, window))
        rows = pl.from_arrow(pages[0].table)
        changed = rows.with_columns(
            funding_rate=pl.when(pl.col("timestamp") == START).then(0.0009).otherwise("funding_rate")
        )
        later = replace(pages[0], table=changed.to_arrow().cast(pages[0].table.schema))
        with pytest.warns(QuarantinedRowsWarning, match="gave 1 rows that contradict later ones"):
            found = assemble_table([*pages, later], "funding_rates")
        assert pl.from_arrow(found).equals(changed)
        assert assemble_table([*pages, *pages], "funding_rates").equals(pages[0].table)


class TestVenueErrors:
    @pytest.mark.parametrize("status", [200, 400])
    @pytest.mark.parametrize(
        ("code", "error"), [(-1100, VenueError), (-1121, UnknownNameError), (-1003, RateLimitedError)]
    )
    def test_an_error_body_is_an_error_whatever_the_status(self, venue, status, code, error):
        listing = httpx.get(venue.url + "/fapi/v1/exchangeInfo", trust_env=False).content

        def response(request):
            if "exchangeInfo" in request.url.path:
                return httpx.Response(200, content=listing)
            return httpx.Response(status, json={"code": code, "msg": "Text of the venue."})

        with (
            Fetcher(Settings(), httpx.MockTransport(response), sleep=lambda s: None) as fetcher,
            pytest.raises(error, match=rf"code {code}: Text of the venue") as caught,
        ):
            fetcher.fetch("binance", "funding_rates", "BTCUSDT", START)
        if code == -1121:
            assert "'BTCUSDT'" in str(caught.value)

    @pytest.mark.parametrize("table", ["funding_rates", "index_1h"])
    def test_delisted_between_listing_and_reading(self, venue, fetcher, table):
        instrument = fetcher.resolve("binance", "funding_rates", "BTCUSDT")
        gone = replace(instrument, venue_symbol="GONEUSDT")
        with pytest.raises(UnknownNameError, match=r"'GONEUSDT'.*-1121"):
            list(fetcher.pages("binance", table, gone, Window.of("2024-01-01", "2024-02-01")))


class TestSymbols:
    def test_spot_and_perp_of_one_name_must_be_told_apart(self, fetcher):
        with pytest.raises(AmbiguousInstrumentError, match="binance spot BTCUSDT and binance perp BTCUSDT") as caught:
            fetcher.fetch("binance", "ohlcv_1h", "BTCUSDT", START)
        assert "instrument_type='spot' or 'perp'" in str(caught.value)

    def test_funding_is_of_perps_only_so_nothing_is_ambiguous(self, venue, fetcher):
        assert fetcher.resolve("binance", "funding_rates", "btcusdt").instrument_type == "perp"
        assert not asked(venue, "/api/v3/exchangeInfo"), "spot was asked for nothing"

    @pytest.mark.parametrize("name", ["BTCUSDT-20240628", "BTCUSDT_240628", "btcusdt-20240628"])
    def test_the_venues_own_name_is_understood_too(self, fetcher, name):
        found = fetcher.resolve("binance", "ohlcv_1h", name)
        assert (found.symbol, found.venue_symbol, found.instrument_type) == (
            "BTCUSDT-20240628",
            "BTCUSDT_240628",
            "future",
        )

    def test_base_is_without_multiplier(self, fetcher):
        found = fetcher.resolve("binance", "funding_rates", "1000PEPEUSDT")
        assert (found.symbol, found.base) == ("1000PEPEUSDT", "PEPE")

    @pytest.mark.parametrize(
        ("call", "error", "text"),
        [
            (("binance", "funding_rates", "BTCUSD"), UnknownNameError, "did you mean 'BTCUSDT'"),
            (("binance", "funding_rates", "ETHUSDT"), UnknownNameError, "'ETHUSDT'"),
            (("binance", "funding_rates", "NEWUSDT"), UnknownNameError, "no contract type yet"),
            (("binance", "ohlcv_5m", "BTCUSDT"), UnknownTableError, "ohlcv_1m"),
            (("binance", "liquidations_1d", "BTCUSDT"), UnknownTableError, "computed"),
            (("binance", "liquidations", "BTCUSDT"), NotOfferedError, "live stream"),
            (("kraken", "funding_rates", "BTCUSDT"), UnknownNameError, "binance"),
            (("binance", "funding_rates", ""), InvalidInputError, "symbol must be a non-empty string"),
            (("binance", "funding_rates", None), InvalidInputError, "symbol must be a non-empty string"),
            (("binance", "instruments", 7), InvalidInputError, "symbol must be a non-empty string"),
        ],
    )
    def test_errors_say_what_there_is(self, fetcher, call, error, text):
        with pytest.raises(error, match=text):
            fetcher.fetch(*call, START)

    def test_kinds(self, fetcher):
        with pytest.raises(NotOfferedError, match="funding_rates exists for perp only"):
            fetcher.fetch("binance", "funding_rates", "BTCUSDT", START, instrument_type="spot")
        with pytest.raises(UnknownNameError, match="spot"):
            fetcher.fetch("binance", "ohlcv_1h", "BTCUSDT", START, instrument_type="swap")

    def test_the_list_is_read_once_and_again_for_what_is_new(self, venue, fetcher):
        for _ in range(3):
            fetcher.resolve("binance", "funding_rates", "BTCUSDT")
        assert len(venue.log) == 1
        with pytest.raises(UnknownNameError):
            fetcher.resolve("binance", "funding_rates", "NOPEUSDT")
        assert len(venue.log) == 2


class TestInstruments:
    def test_all_kinds_with_the_companion(self, fetcher):
        rows = fetcher.fetch("binance", "instruments")
        found = pl.from_arrow(rows).select("instrument_type", "symbol", "funding_interval_hours").rows()
        assert found == [
            ("future", "BTCUSDT-20240628", None),
            ("perp", "1000PEPEUSDT", 4.0),
            ("perp", "BTCUSDT", 8.0),
            ("spot", "BTCUSDT", None),
            ("spot", "ETHUSDT", None),
        ]
        assert left_out(rows) == {"NEWUSDT": "it has no contract type yet (PENDING_TRADING)"}

    def test_as_the_feed_has_them(self, fetcher):
        rows = pl.from_arrow(fetcher.instruments("binance"))
        keys = ["exchange", "instrument_type", "symbol"]
        assert rows.equals(TRUTH["instruments"].filter(pl.col("status") != "pending").sort(keys))

    def test_one_kind_and_one_symbol(self, venue, fetcher):
        assert fetcher.instruments("binance", "perp")["symbol"].to_pylist() == ["1000PEPEUSDT", "BTCUSDT"]
        assert not asked(venue, "/api/v3/exchangeInfo")
        assert fetcher.fetch("binance", "instruments", "BTCUSDT").num_rows == 2

    def test_a_malformed_companion_is_reported_not_taken_for_8_hours(self):
        faults = [garbled(every(1, path="/fapi/v1/fundingInfo"))]
        with LoopbackBinance(TRUTH, now=LATER, faults=faults) as venue, Fetcher(venue.settings) as fetcher:
            with pytest.raises(PayloadError, match=r"um\.fundingInfo"):
                fetcher.instruments("binance", "perp")
            listing, companion = fetcher.instrument_pages("binance", "perp")
        assert companion.companion
        assert companion.error is not None
        assert listing.table["funding_interval_hours"].null_count == listing.table.num_rows


class TestWhereItRuns:
    def test_inside_a_running_event_loop(self, fetcher):
        async def notebook():
            return fetcher.fetch("binance", "funding_rates", "BTCUSDT", START, "2024-01-02")

        assert asyncio.run(notebook()).num_rows == 3

    def test_in_threads(self, venue, fetcher):
        spans = [(START + 100 * i * HOUR, START + 100 * (i + 1) * HOUR) for i in range(16)]

        def read(span):
            return fetcher.fetch("binance", "ohlcv_1h", "BTCUSDT", *span, instrument_type="perp")

        with ThreadPoolExecutor(8) as pool:
            parts = list(pool.map(read, spans))
        same(pa.concat_tables(parts), truth("ohlcv_1h", "perp", "BTCUSDT", START, START + 1600 * HOUR))

    def test_base_urls_of_the_settings_are_used(self, venue):
        urls = {name: url + "/" for name, url in venue.settings.base_urls.items()}
        slashed = venue.settings.model_copy(update={"base_urls": urls})
        with Fetcher(slashed) as fetcher:
            assert fetcher.instruments("binance", "spot").num_rows == 2


class TestRate:
    def test_no_limit_is_ever_exceeded(self):
        clock = Clock()
        with (
            LoopbackBinance(TRUTH, now=LATER, limits={"um": 100}, clock=clock) as venue,
            patient(venue, clock) as fetcher,
        ):
            fetcher.instruments("binance", "perp")  # announces the limit of 100
            rows = fetcher.fetch("binance", "ohlcv_1h", "BTCUSDT", START, "2024-04-14", instrument_type="perp")
            for _ in range(80):
                fetcher.fetch("binance", "ohlcv_1h", "BTCUSDT", START, START + 200 * HOUR, instrument_type="perp")
            log = list(venue.log)
        same(rows, truth("ohlcv_1h", "perp", "BTCUSDT", START, "2024-04-14"))
        assert {entry.status for entry in log} == {200}
        sent = [(entry.request.at, entry.weight) for entry in log]
        for since, _ in sent:
            assert sum(weight for at, weight in sent if since <= at < since + 60) <= 100
        assert clock.seconds > 60, "more than a minute's worth was asked for"

    def test_others_behind_the_same_address_are_seen_in_the_headers(self):
        clock = Clock()
        used = iter(["10", "100", "1", "1"])
        limit = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 100}

        def response(request):
            return httpx.Response(
                200,
                json={"symbols": [], "rateLimits": [limit, limit | {"rateLimitType": "ORDERS", "limit": 1}]},
                headers={"x-mbx-used-weight-1m": next(used), "date": "Mon, 01 Jan 2024 00:00:20 GMT"},
            )

        with Fetcher(Settings(), httpx.MockTransport(response), clock=clock, sleep=clock.sleep) as fetcher:
            pages = [next(fetcher.instrument_pages("binance", "perp", companions=False)) for _ in range(2)]
            assert clock.seconds == 0
            next(fetcher.instrument_pages("binance", "perp", companions=False))
        assert len(pages) == 2
        assert clock.seconds == pytest.approx(40)  # until the venue's minute is over


@st.composite
def histories(draw):
    """Gappy histories with a page size and a window that need not fit them."""
    table = draw(st.sampled_from(["ohlcv_1h", "ohlcv_1d", "ohlcv_1m", "funding_rates"]))
    step = INTERVALS[TABLES[table].interval] if TABLES[table].interval else HOUR
    slots = draw(st.lists(st.integers(0, 120), unique=True, max_size=60).map(sorted))
    off = st.timedeltas(timedelta(0), 3 * step)
    start = START + draw(st.integers(-3, 60)) * step + draw(off)
    end = start + draw(st.integers(0, 120)) * step + draw(off)
    now = START + draw(st.integers(1, 150)) * step + draw(off)
    return table, [START + slot * step for slot in slots], Window(start, end), now, draw(st.integers(1, 25))


class TestAnyHistory:
    @tries(max_examples=examples(25, 200), deadline=None)
    @given(histories(), st.integers(0, 99))
    def test_fetched_is_the_truth(self, history, seed):
        table, times, window, now, limit = history
        make = settlements if table == "funding_rates" else lambda *a: bars(*a[:2], table, *a[2:])
        rows = make("perp", "BTCUSDT", times, seed)
        now = now.replace(microsecond=0)
        with (
            LoopbackBinance({"instruments": TRUTH["instruments"], table: rows}, now=now, page_rows=limit) as venue,
            Fetcher(venue.settings) as fetcher,
        ):
            fetched = fetcher.fetch("binance", table, "BTCUSDT", window.start, window.end, instrument_type="perp")
        time = pl.col("timestamp")
        if table == "funding_rates":
            over = pl.col("venue_timestamp") <= now
        else:
            over = time + INTERVALS[TABLES[table].interval] <= now
        same(fetched, rows.filter(over, time >= window.start, time < window.end))


class TestSimulatedMarket:
    def test_it_is_served_and_read_back_whole(self):
        start, end = "2026-06-01", "2026-06-04"
        market = simulate(start=start, end=end, coins=["BTC", "PEPE"], exchanges=["binance"])
        listings = market.tables["instruments"].rows(named=True)
        assert {row["instrument_type"] for row in listings} >= {"spot", "perp"}
        with LoopbackBinance(market.tables, now=f"{end}T00:00:01") as venue, Fetcher(venue.settings) as fetcher:
            for table in ("ohlcv_1m", "ohlcv_1h", "ohlcv_1d", "funding_rates", "mark_1h", "index_1h", "open_interest"):
                for row in listings:
                    if row["instrument_type"] not in TABLES[table].instrument_types:
                        continue
                    kind, symbol = row["instrument_type"], row["symbol"]
                    rows = fetcher.fetch("binance", table, symbol, start, end, instrument_type=kind)
                    expected = market.tables[table].filter(instrument_type=kind, symbol=symbol)
                    # what the venue does not say with a settlement is not made up
                    unsaid = ["funding_interval_hours", "index_price", "venue_timestamp"]
                    rest = [name for name in expected.columns if name not in unsaid]
                    assert expected.height > 0
                    assert pl.from_arrow(rows).select(rest).equals(expected.select(rest))


class TestReach:
    """What a venue no longer keeps is an error, not an empty table."""

    @pytest.fixture
    def recent(self):
        truth = simulate(start="2026-05-20", end="2026-06-24", coins=["BTC"], exchanges=["binance"]).tables
        with LoopbackBinance(truth, now="2026-06-24") as venue, Fetcher(venue.settings) as fetcher:
            yield truth, fetcher

    def test_asking_too_early_says_from_when_on(self, recent):
        _, fetcher = recent
        with pytest.raises(NotOfferedError, match="goes back 30 days only: ask from 2026-05-25T00:05 on"):
            fetcher.fetch("binance", "open_interest", "BTCUSDT", "2026-05-20", "2026-06-01")
        assert fetcher.fetch("binance", "open_interest", "BTCUSDT", "2026-05-26", "2026-06-01").num_rows == 144

    def test_pull_brings_what_there_is_and_says_what_is_not(self, recent, tmp_path):
        truth, fetcher = recent
        report = pull(
            "binance", "open_interest", "BTCUSDT", "2026-05-18", "2026-06-24", warehouse=tmp_path, fetcher=fetcher
        )
        # the first snapshot, at 00:00 on 2026-05-20, is in the archive's file of the day before
        assert [(str(one.window), one.message) for one in report.problems] == [
            ("2026-05-18T00:00:00+00:00 … 2026-05-19T01:00:00+00:00", "the venue does not keep it")
        ]
        stored = pl.from_arrow(Warehouse(tmp_path).read(TABLES["open_interest"]))
        assert stored.equals(truth["open_interest"].select(stored.columns))


def test_an_ask_carries_what_other_venues_page_by():
    assert PageRequest(Window.of("2024-01-01", "2024-01-02"), 200, cursor="lastid%3D1").cursor == "lastid%3D1"
