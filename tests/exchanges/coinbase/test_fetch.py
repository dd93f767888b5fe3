"""Coinbase read over real sockets: what is fetched is the feed's truth, whatever the venue's quirks and faults."""

import json
from datetime import timedelta

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
    NotOfferedError,
    PayloadError,
    RateLimitedError,
    TransportError,
    UnknownNameError,
    VenueError,
)
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.registry import parse_response
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, to_ms, utc
from cexkit.schema.render import to_polars, to_pyarrow
from cexkit.testing import (
    LoopbackCoinbase,
    chance,
    emptied,
    every,
    garbled,
    reset,
    server_error,
    too_many_requests,
    truncated,
)
from cexkit.testing.simulation import simulate

from ...clock import Clock
from ...lengths import examples

START, LATER = utc("2024-01-01"), utc("2025-01-01")
HOUR = timedelta(hours=1)
SPOT, PERP, INVERSE, DATED = "BTCUSD", "BTCUSDC", "BTCUSD:BTC", "BTCUSD-20240628:BTC"
CANDLES, CHART = "/products/BTC-USD/candles", "/api/v2/public/get_tradingview_chart_data"
FUNDING, CONTRACTS = "/api/v2/public/get_funding_rate_history", "/api/v2/public/get_instruments"


def listed(kind, symbol, venue_symbol, quote="USD", base="BTC", **terms):
    row = dict.fromkeys(TABLES["instruments"].columns) | {
        "exchange": "coinbase", "instrument_type": kind, "symbol": symbol, "venue_symbol": venue_symbol,
        "base": base, "quote": quote, "settle": quote, "multiplier": 1.0, "contract_size": 1.0, "inverse": False,
        "tick_size": 0.5, "lot_size": 0.0001, "status": "trading", "observed_at": LATER,
    }  # fmt: skip
    return row | terms


TERMS = {"listing_time": utc("2023-05-05T08:00"), "funding_interval_hours": 1.0}
REVERSED = {"settle": "BTC", "inverse": True, "contract_size": 10.0, "lot_size": None}
EXPIRY = {"expiry": utc("2024-06-28T08:00"), "delisting_time": utc("2024-06-28T08:00"), "funding_interval_hours": None}
LISTED = [
    listed("spot", SPOT, "BTC-USD"),
    listed("spot", "OLDUSD", "OLD-USD", base="OLD", status="delisted"),
    listed("perp", PERP, "BTC_USDC-PERPETUAL", "USDC", contract_size=0.0001, **TERMS),
    listed("perp", INVERSE, "BTC-PERPETUAL", **TERMS, **REVERSED),
    listed("perp", "1000PEPEUSDC", "1000PEPE_USDC-PERPETUAL", "USDC", "PEPE", multiplier=1000.0, **TERMS),
    listed("future", DATED, "BTC-28JUN24", **TERMS | REVERSED | EXPIRY, status="delisted"),
]


def conforming(table, kind, symbol, columns):
    row = next(row for row in LISTED if (row["instrument_type"], row["symbol"]) == (kind, symbol))
    schema = to_polars(TABLES[table])
    data = pl.DataFrame(columns, schema={name: schema[name] for name in columns})
    rest = {name: row.get(name) for name in schema if name not in columns}
    kept = ("exchange", "instrument_type", "symbol", "base", "quote", "multiplier")
    rest |= {name: None for name in rest if name not in kept}
    return data.with_columns(**{k: pl.lit(v) for k, v in rest.items()}).select(
        pl.col(name).cast(dtype) for name, dtype in schema.items()
    )


def bars(kind, symbol, table, times, seed=0):
    """Bars at these times with prices of full precision."""
    random, count = np.random.default_rng(seed), len(times)
    columns = {"timestamp": times, "open": random.uniform(1, 1e4, count), "close": random.uniform(1, 1e4, count)}
    columns |= {"low": random.uniform(1e-7, 1, count), "high": random.uniform(1e4, 7e4, count)}
    columns |= {"volume_base": random.uniform(1e-9, 1e9, count)}
    return conforming(
        table, kind, symbol, columns | ({} if kind == "spot" else {"volume_quote": random.uniform(0, 1e12, count)})
    )


def settlements(symbol, times, seed=0):
    random, count = np.random.default_rng(seed), len(times)
    columns = {"timestamp": times, "funding_rate": random.normal(0, 1e-5, count), "venue_timestamp": times}
    columns |= {"funding_interval_hours": [1.0] * count, "index_price": random.uniform(1, 7e4, count)}
    return conforming("funding_rates", "perp", symbol, columns)


def grid(count, step, start=START, without=()):
    return [start + index * step for index in range(count) if index not in without]


TRUTH = {
    "instruments": pl.DataFrame(LISTED, schema=to_polars(TABLES["instruments"]), orient="row"),
    "ohlcv_1h": pl.concat(
        [
            # two gaps, one longer than any request
            bars("spot", SPOT, "ohlcv_1h", grid(1500, HOUR, without={5, *range(300, 302), *range(500, 1200)}), 1),
            bars("perp", PERP, "ohlcv_1h", grid(6000, HOUR), 2),
            bars("perp", INVERSE, "ohlcv_1h", grid(50, HOUR), 3),
            bars("future", DATED, "ohlcv_1h", grid(50, HOUR), 4),
            bars("spot", "OLDUSD", "ohlcv_1h", grid(50, HOUR), 5),
        ]
    ),
    "ohlcv_1d": pl.concat(
        [
            bars("spot", SPOT, "ohlcv_1d", grid(350, 24 * HOUR), 6),
            bars("perp", PERP, "ohlcv_1d", grid(30, 24 * HOUR), 7),
        ]
    ),
    "ohlcv_1m": bars("spot", SPOT, "ohlcv_1m", grid(1000, HOUR / 60), 8),
    "funding_rates": pl.concat([settlements(PERP, grid(3000, HOUR), 9), settlements(INVERSE, grid(30, HOUR), 10)]),
}


def truth(table, kind, symbol, start="2000-01-01", end="2100-01-01", frames=TRUTH):
    times, rows = pl.col("timestamp"), frames[table].filter(instrument_type=kind, symbol=symbol)
    return rows.filter(times >= utc(start), times < utc(end)).sort("timestamp")


def same(fetched, expected):
    """Equal to the last bit, and in the declared schema."""
    frame = pl.from_arrow(fetched)
    assert frame.height == expected.height
    assert frame.equals(expected), "rows differ"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def venue(clock):
    with LoopbackCoinbase(TRUTH, now=LATER, clock=clock) as loopback:
        yield loopback


@pytest.fixture
def fetcher(venue, clock):
    with Fetcher(venue.settings, clock=clock, sleep=clock.sleep) as one:
        yield one


def asked(venue, path):
    return [entry for entry in venue.log if entry.request.path == path]


class TestTheTruthComesBack:
    @pytest.mark.parametrize(
        ("table", "kind", "symbol", "start", "end"),
        [
            ("ohlcv_1h", "spot", SPOT, "2023-12-01", "2024-04-01"),
            ("ohlcv_1h", "spot", "OLDUSD", "2023-12-30", "2024-01-05"),
            ("ohlcv_1h", "perp", PERP, "2023-12-01", "2024-09-20"),
            ("ohlcv_1h", "perp", INVERSE, "2023-12-01", "2024-04-01"),
            ("ohlcv_1h", "future", DATED, "2023-12-01", "2024-04-01"),
            ("ohlcv_1d", "spot", SPOT, "2023-06-01", "2024-12-30"),
            ("ohlcv_1d", "perp", PERP, "2023-06-01", "2024-12-30"),
            ("ohlcv_1m", "spot", SPOT, "2024-01-01T00:00:30", "2024-01-01T16:00:30"),
            ("funding_rates", "perp", PERP, "2023-12-01", "2024-12-01"),
            ("funding_rates", "perp", INVERSE, "2023-12-31", "2024-02-01"),
        ],
    )
    def test_bit_for_bit(self, fetcher, table, kind, symbol, start, end):
        rows = fetcher.fetch("coinbase", table, symbol, start, end, instrument_type=kind)
        assert rows.schema.equals(to_pyarrow(TABLES[table]), check_metadata=True)
        assert rows.num_rows > 20
        same(rows, truth(table, kind, symbol, start, end))

    def test_instruments_as_the_feed_has_them_delisted_ones_too(self, fetcher):
        rows = pl.from_arrow(fetcher.instruments("coinbase"))
        assert rows.equals(TRUTH["instruments"].sort("exchange", "instrument_type", "symbol"))

    def test_spot_never_asks_for_more_than_300_candles(self, venue, fetcher):
        fetcher.fetch("coinbase", "ohlcv_1h", SPOT, "2023-12-01", "2024-04-01", instrument_type="spot")
        assert {entry.status for entry in asked(venue, CANDLES)} == {200}
        assert all({"start", "end"} <= set(entry.request.params) for entry in asked(venue, CANDLES))

    def test_no_more_requests_than_pages_where_nothing_is_missing(self, venue, fetcher):
        fetcher.fetch("coinbase", "ohlcv_1m", SPOT, START, START + 900 * HOUR / 60)
        assert len(asked(venue, CANDLES)) == 3
        fetcher.fetch("coinbase", "ohlcv_1h", PERP, START, START + 6000 * HOUR)
        assert len(asked(venue, CHART)) == 2
        fetcher.fetch("coinbase", "funding_rates", PERP, START, START + 2880 * HOUR)
        assert len(asked(venue, FUNDING)) == 4

    def test_an_empty_window_asks_for_nothing(self, venue, fetcher):
        assert fetcher.fetch("coinbase", "funding_rates", PERP, START, START).num_rows == 0
        assert asked(venue, FUNDING) == []

    @pytest.mark.parametrize(
        ("start", "end", "hours"),
        [
            ("2024-01-01T01:00", "2024-01-01T03:00", [1, 2]),
            ("2024-01-01T01:00:00.000001", "2024-01-01T03:00", [2]),
            ("2024-01-01T00:59:59.999999", "2024-01-01T03:00:00.000001", [1, 2, 3]),
            ("2024-01-01T01:30", "2024-01-01T01:59", []),
        ],
    )
    @pytest.mark.parametrize(("table", "symbol"), [("ohlcv_1h", SPOT), ("ohlcv_1h", PERP), ("funding_rates", PERP)])
    def test_windows_are_half_open(self, fetcher, table, symbol, start, end, hours):
        rows = fetcher.fetch("coinbase", table, symbol, start, end)
        assert [t.hour for t in rows["timestamp"].to_pylist()] == hours


class TestQuirks:
    def test_hours_without_trades_on_the_gateway_are_bars_without_volume(self, clock):
        frames = TRUTH | {"ohlcv_1h": bars("perp", PERP, "ohlcv_1h", grid(30, HOUR, without={3, 4, 20}))}
        with (
            LoopbackCoinbase(frames, now=LATER, clock=clock) as venue,
            Fetcher(venue.settings, clock=clock, sleep=clock.sleep) as fetcher,
        ):
            rows = pl.from_arrow(fetcher.fetch("coinbase", "ohlcv_1h", PERP, START, "2024-02-01"))
        assert rows["timestamp"].to_list() == grid(30, HOUR)
        assert rows.filter(pl.col("volume_base") > 0).equals(frames["ohlcv_1h"])
        assert rows.filter(volume_base=0)["open"].to_list() == [rows["close"][n] for n in (2, 2, 19)]

    @pytest.mark.parametrize(("kind", "symbol"), [("spot", SPOT), ("perp", PERP)])
    def test_the_running_bar_is_left_out_and_comes_when_it_is_over(self, venue, fetcher, kind, symbol):
        venue.now = START + 10 * HOUR + timedelta(minutes=59, seconds=59)
        request = ("coinbase", "ohlcv_1h", symbol, START)
        end = START + 20 * HOUR
        assert fetcher.fetch(*request, end)["timestamp"][-1].as_py() == START + 9 * HOUR
        venue.now = START + 11 * HOUR + timedelta(seconds=1)
        same(fetcher.fetch(*request, end), truth("ohlcv_1h", kind, symbol, START, START + 11 * HOUR))

    def test_a_page_of_nothing_but_the_running_bar_is_not_the_end(self, clock):
        with (
            LoopbackCoinbase(TRUTH, now=START + 10.5 * HOUR, page_rows=1, clock=clock) as venue,
            Fetcher(venue.settings, clock=clock, sleep=clock.sleep) as fetcher,
        ):
            rows = fetcher.fetch("coinbase", "ohlcv_1h", PERP, START, START + 11 * HOUR)
        same(rows, truth("ohlcv_1h", "perp", PERP, START, START + 10 * HOUR))

    @pytest.mark.parametrize("most", [1, 7, 299])
    def test_incomplete_answers_are_completed(self, clock, most):
        with (
            LoopbackCoinbase(TRUTH, now=LATER, page_rows=most, clock=clock) as venue,
            Fetcher(venue.settings, clock=clock, sleep=clock.sleep) as fetcher,
        ):
            for table, kind, symbol in (("ohlcv_1h", "spot", SPOT), ("funding_rates", "perp", PERP)):
                rows = fetcher.fetch("coinbase", table, symbol, "2023-12-31", "2024-01-21")
                same(rows, truth(table, kind, symbol, "2023-12-31", "2024-01-21"))

    def test_an_answer_that_is_empty_for_once_is_asked_for_again(self, clock):
        faults = [emptied(every(3, path=CANDLES))]
        with (
            LoopbackCoinbase(TRUTH, now=LATER, faults=faults, clock=clock) as venue,
            Fetcher(venue.settings, clock=clock, sleep=clock.sleep) as fetcher,
        ):
            rows = fetcher.fetch("coinbase", "ohlcv_1m", SPOT, START, START + 1000 * HOUR / 60)
            assert any(entry.fault for entry in venue.log)
        same(rows, truth("ohlcv_1m", "spot", SPOT))

    def test_the_8_hour_sum_is_nowhere_taken_for_the_rate(self, venue, fetcher):
        rows = fetcher.fetch("coinbase", "funding_rates", PERP, START, "2024-01-03")
        params = {"instrument_name": "BTC_USDC-PERPETUAL", "start_timestamp": "1704067199999"}
        sent = httpx.get(venue.url + FUNDING, params=params | {"end_timestamp": "1704236400000"}, trust_env=False)
        sums = [row["interest_8h"] for row in sent.json()["result"]]
        assert rows["funding_rate"].to_pylist()[7] == pytest.approx(sums[7] - sum(rows["funding_rate"].to_pylist()[:7]))
        assert set(rows["funding_interval_hours"].to_pylist()) == {1.0}


class TestSymbols:
    @pytest.mark.parametrize("name", [PERP, "BTC_USDC-PERPETUAL", "btcusdc"])
    def test_by_canonical_or_the_venues_name(self, fetcher, name):
        assert fetcher.resolve("coinbase", "ohlcv_1h", name).venue_symbol == "BTC_USDC-PERPETUAL"

    def test_spot_and_inverse_are_two_names(self, fetcher):
        spot, perp = (fetcher.resolve("coinbase", "ohlcv_1h", name) for name in (SPOT, INVERSE))
        assert (spot.instrument_type, perp.instrument_type, perp.inverse) == ("spot", "perp", True)

    def test_one_symbol_of_two_kinds_must_be_told_apart(self, clock):
        both = [
            listed("spot", "BTCUSDC", "BTC-USDC", "USDC"),
            listed("perp", "BTCUSDC", "BTC_USDC-PERPETUAL", "USDC", **TERMS),
        ]
        frame = pl.DataFrame(both, schema=to_polars(TABLES["instruments"]), orient="row")
        with (
            LoopbackCoinbase({"instruments": frame}, now=LATER) as venue,
            Fetcher(venue.settings) as fetcher,
            pytest.raises(AmbiguousInstrumentError, match="coinbase spot BTCUSDC and coinbase perp BTCUSDC"),
        ):
            fetcher.fetch("coinbase", "ohlcv_1h", "BTCUSDC", START)

    def test_delisted_between_listing_and_reading(self, venue, fetcher):
        for kind, symbol in (("spot", SPOT), ("perp", PERP)):
            instrument = fetcher.resolve("coinbase", "ohlcv_1h", symbol, kind)
            venue.feed._instruments = TRUTH["instruments"].filter(pl.col("symbol") != symbol)
            with pytest.raises(UnknownNameError, match=instrument.venue_symbol):
                list(fetcher.pages("coinbase", "ohlcv_1h", instrument, Window.of("2024-01-01", "2024-02-01")))

    @pytest.mark.parametrize("table", ["mark_1h", "index_1h", "open_interest", "liquidations"])
    def test_what_is_not_offered_is_an_error_that_says_why(self, venue, fetcher, table):
        with pytest.raises(NotOfferedError, match="the venue does not offer it"):
            fetcher.fetch("coinbase", table, PERP, START)
        assert venue.log == []


class TestFaults:
    @pytest.mark.parametrize(
        "fault",
        [too_many_requests(every(3)), too_many_requests(every(3), None), server_error(every(3)), truncated(every(3)),
         reset(every(3)), server_error(chance(0.3, seed=1), 502)],
        ids=lambda fault: fault.name,
    )  # fmt: skip
    def test_faults_in_between_change_nothing(self, clock, fault):
        with (
            LoopbackCoinbase(TRUTH, now=LATER, faults=[fault], clock=clock) as venue,
            Fetcher(venue.settings, clock=clock, sleep=clock.sleep) as fetcher,
        ):
            for table, kind, symbol in (("ohlcv_1h", "spot", SPOT), ("funding_rates", "perp", PERP)):
                rows = fetcher.fetch("coinbase", table, symbol, "2023-12-01", "2024-04-01")
                same(rows, truth(table, kind, symbol, "2023-12-01", "2024-04-01"))
            assert any(entry.fault for entry in venue.log)

    def test_our_own_pace_keeps_within_the_limits(self, venue, fetcher, clock):
        for _ in range(3):
            fetcher.instruments("coinbase")
        fetcher.fetch("coinbase", "ohlcv_1m", SPOT, START, START + 10_000 * HOUR / 60)
        fetcher.fetch("coinbase", "funding_rates", PERP, "2020-01-01", LATER)
        assert not [entry for entry in venue.log if entry.status != 200]
        assert clock.seconds > 5, "more was asked for than goes at once"

    def test_an_error_in_status_200_is_seen_and_waited_out(self, venue, fetcher, clock):
        fetcher.fetch("coinbase", "funding_rates", PERP, START, "2024-05-01")
        pages = len(asked(venue, FUNDING))
        # refilled fast beside the pauses between tries, whose length is chance, and slowly beside our pace
        limits = {"drb": (2.0, 2.0)}
        with (
            LoopbackCoinbase(TRUTH, now=LATER, limits=limits, clock=clock) as venue,
            Fetcher(venue.settings, clock=clock, sleep=clock.sleep) as fetcher,
        ):
            rows = fetcher.fetch("coinbase", "funding_rates", PERP, START, "2024-05-01")
            bodies = len(asked(venue, FUNDING))
        same(rows, truth("funding_rates", "perp", PERP, START, "2024-05-01"))
        assert bodies > pages, "some were refused with 10028"

    def test_too_many_requests_to_the_end(self, clock):
        with (
            LoopbackCoinbase(TRUTH, now=LATER, limits={"listing": (1e-9, 0.5)}, clock=clock) as venue,
            Fetcher(venue.settings, clock=clock, sleep=clock.sleep) as fetcher,
            pytest.raises(RateLimitedError, match="code 10028: too_many_requests"),
        ):
            fetcher.instruments("coinbase", "perp")

    @pytest.mark.parametrize(
        ("status", "body", "error"),
        [
            (403, {"message": "blocked"}, BlockedError),
            (451, {}, BlockedError),
            (200, {"error": {"code": 11050, "message": "bad_request"}}, VenueError),
            (200, {"error": {"code": 11051, "message": "system_maintenance"}}, TransportError),
            (400, {"error": {"code": -32602, "message": "Invalid params"}}, VenueError),
            (200, {"jsonrpc": "2.0", "testnet": True, "result": []}, PayloadError),
            (200, {"jsonrpc": "2.0"}, PayloadError),
        ],
    )
    def test_other_refusals_of_the_gateway(self, status, body, error):
        transport = httpx.MockTransport(lambda request: httpx.Response(status, json=body))
        clock = Clock()
        with Fetcher(Settings(), transport, clock=clock, sleep=clock.sleep) as fetcher, pytest.raises(error):
            fetcher.instruments("coinbase", "perp")

    def test_a_malformed_page_is_reported_and_what_is_missing_with_it(self, clock):
        spoilt = str(to_ms(START + 1560 * HOUR) - 30_000)
        faults = [garbled(lambda request: request.params.get("start_timestamp") == spoilt)]
        with (
            LoopbackCoinbase(TRUTH, now=LATER, faults=faults, clock=clock) as venue,
            Fetcher(venue.settings, clock=clock, sleep=clock.sleep) as fetcher,
        ):
            instrument = fetcher.resolve("coinbase", "funding_rates", PERP)
            window = Window(START, START + 3000 * HOUR)
            pages = list(fetcher.pages("coinbase", "funding_rates", instrument, window))
        (bad,) = [page for page in pages if page.error is not None]
        assert bad.skipped == Window(START + 1560 * HOUR, START + 2280 * HOUR)
        rows = pl.from_arrow(pa.concat_tables([page.table for page in pages if page.table is not None]))
        lost = pl.col("timestamp").is_between(bad.skipped.start, bad.skipped.end, closed="left")
        assert rows.sort("timestamp").equals(truth("funding_rates", "perp", PERP).filter(~lost))

    def test_every_page_can_be_parsed_again_from_what_is_kept(self, fetcher):
        pages = list(fetcher.instrument_pages("coinbase"))
        for table, symbol in (("ohlcv_1h", SPOT), ("ohlcv_1h", PERP), ("funding_rates", PERP)):
            instrument = fetcher.resolve("coinbase", table, symbol)
            pages += fetcher.pages("coinbase", table, instrument, Window.of("2023-12-01", "2024-03-01"))
        assert len({page.endpoint for page in pages}) == 6
        for page in pages:
            context = Context.from_json(page.context.to_json())
            assert parse_response("coinbase", page.endpoint, page.response.body, context).equals(page.table)

    def test_who_asks_is_said(self):
        seen = []

        def response(request):
            seen.append(request.headers["user-agent"])
            return httpx.Response(200, content=json.dumps([]))

        with Fetcher(Settings(), httpx.MockTransport(response)) as fetcher:
            fetcher.instruments("coinbase", "spot")
        assert seen == ["cexkit"]


@st.composite
def histories(draw):
    """Gappy histories with a page size and a window that need not fit them."""
    table, kind, symbol = draw(
        st.sampled_from(
            [("ohlcv_1m", "spot", SPOT), ("ohlcv_1h", "spot", SPOT), ("ohlcv_1h", "perp", PERP),
             ("ohlcv_1d", "perp", PERP), ("funding_rates", "perp", PERP)]
        )
    )  # fmt: skip
    step = TABLES[table].bar or HOUR
    # gaps longer than a request of 300 candles or 720 hours are among them
    slots = draw(st.lists(st.integers(0, 120) | st.integers(1400, 1500), unique=True, max_size=40).map(sorted))
    off = st.timedeltas(timedelta(0), 3 * step)
    start = START + draw(st.integers(-3, 60)) * step + draw(off)
    end = start + draw(st.integers(0, 120) | st.just(1600)) * step + draw(off)
    now = START + draw(st.integers(1, 150) | st.just(1600)) * step + draw(off)
    times = [START + slot * step for slot in slots]
    return table, kind, symbol, times, Window(start, end), now.replace(microsecond=0), draw(st.integers(2, 25))


def filled(rows, step, now):
    """What the gateway shows of gappy bars: each hole at the close before it, worked out one by one."""
    shown = []
    for row in rows.filter(pl.col("timestamp") <= now).to_dicts():
        while shown and row["timestamp"] - shown[-1]["timestamp"] > step:
            before = shown[-1]
            flat = dict.fromkeys(("open", "high", "low", "close"), before["close"])
            nothing = {"volume_base": 0.0, "volume_quote": 0.0, "timestamp": before["timestamp"] + step}
            shown.append(before | flat | nothing)
        shown.append(row)
    return pl.DataFrame(shown, schema=rows.schema, orient="row")


class TestAnyHistory:
    @tries(max_examples=examples(12, 200), deadline=None)
    @given(histories(), st.integers(0, 99))
    def test_fetched_is_the_truth(self, history, seed):
        table, kind, symbol, times, window, now, most = history
        step, time = TABLES[table].bar or HOUR, pl.col("timestamp")
        rows = settlements(symbol, times, seed) if table == "funding_rates" else bars(kind, symbol, table, times, seed)
        clock = Clock()
        frames = {"instruments": TRUTH["instruments"], table: rows}
        with (
            LoopbackCoinbase(frames, now=now, page_rows=most, clock=clock) as venue,
            Fetcher(venue.settings, clock=clock, sleep=clock.sleep) as fetcher,
        ):
            fetched = fetcher.fetch("coinbase", table, symbol, window.start, window.end, instrument_type=kind)
        if table == "funding_rates":
            expected = rows.filter(time <= now)
        else:
            expected = filled(rows, step, now) if kind == "perp" else rows
            expected = expected.filter(time + step + timedelta(seconds=1) <= now)
        same(fetched, expected.filter(time >= window.start, time < window.end))


class TestSimulatedMarket:
    def test_it_is_served_and_read_back_whole(self, clock):
        start, end = "2026-06-01", "2026-06-03"
        market = simulate(start=start, end=end, coins=["BTC", "PEPE"], exchanges=["coinbase"])
        with (
            LoopbackCoinbase(market.tables, now="2026-07-01", clock=clock) as venue,
            Fetcher(venue.settings, clock=clock, sleep=clock.sleep) as fetcher,
        ):
            count = 0
            for row in market.tables["instruments"].rows(named=True):
                kind, symbol = row["instrument_type"], row["symbol"]
                for table in ("ohlcv_1m", "ohlcv_1h", "ohlcv_1d", *(["funding_rates"] if kind == "perp" else [])):
                    rows = fetcher.fetch("coinbase", table, symbol, start, end, instrument_type=kind)
                    same(rows, truth(table, kind, symbol, frames=market.tables))
                    count += rows.num_rows
            assert count > 5_000
            quiet = truth("ohlcv_1m", "spot", "PEPEUSD", frames=market.tables)
            assert quiet.height < 2 * 1440, "minutes without trades are among them"
            names = ["symbol", "base", "quote", "venue_symbol", "multiplier", "contract_size", "tick_size", "lot_size"]
            listing = pl.from_arrow(fetcher.instruments("coinbase")).sort("symbol").select(names)
            assert listing.equals(market.tables["instruments"].sort("symbol").select(names))
