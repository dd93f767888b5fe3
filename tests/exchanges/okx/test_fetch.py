"""OKX over real sockets: what is fetched is the truth, and every quirk fails if it is ignored."""

import json
from dataclasses import replace
from datetime import timedelta

import httpx
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st

from cexkit.config import Settings
from cexkit.errors import PayloadError, RateLimitedError, UnknownNameError, VenueError
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.http import Backward
from cexkit.exchanges.instruments import left_out
from cexkit.exchanges.okx import descriptor as okx
from cexkit.exchanges.okx import payloads
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, utc
from cexkit.schema.render import to_polars, to_pyarrow
from cexkit.testing import (
    LoopbackOkx,
    disordered,
    error_in_body,
    every,
    garbled,
    nth,
    reset,
    server_error,
    too_many_requests,
)
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.store.warehouse import Warehouse

from ...clock import Clock
from ...lengths import examples

SPAN = Window.of("2026-05-18", "2026-05-22")
NOW = "2026-05-22T00:00:00"
HOUR = timedelta(hours=1)
CANDLES, FUNDING = "/api/v5/market/history-candles", "/api/v5/public/funding-rate-history"
LIQUIDATIONS = "/api/v5/public/liquidation-orders"
#: Deep enough for all of the truth.
DEEP = dict.fromkeys(("funding-rate-history", "open-interest-history", "liquidation-orders"), timedelta(days=1000))


@pytest.fixture(scope="module", autouse=True)
def as_deep_as_the_loopback():
    """The real venue forgets; the loopback is asked for what it was told to keep."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fetcher, "earliest", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def market():
    return simulate(start=SPAN.start, end=SPAN.end, coins=["BTC", "PEPE"], exchanges=["okx"]).tables


@pytest.fixture
def venue(market):
    with LoopbackOkx(market, now=NOW, depth=DEEP) as loopback:
        yield loopback


@pytest.fixture
def fetcher(venue):
    with Fetcher(venue.settings) as one:
        yield one


def truth(market, table, kind, symbol, start=SPAN.start, end=SPAN.end):
    rows = market[table].filter(exchange="okx", instrument_type=kind, symbol=symbol)
    rows = rows.filter(pl.col("timestamp") >= utc(start), pl.col("timestamp") < utc(end))
    unsaid = {
        "funding_rates": ("funding_interval_hours", "mark_price", "index_price"),
        "open_interest": ("open_interest_quote",),
    }
    nothing = {name: pl.lit(None, rows.schema[name]) for name in unsaid.get(table, ())}
    return rows.with_columns(**nothing).sort(TABLES[table].key)


def same(fetched, expected):
    assert fetched.schema.equals(to_pyarrow(TABLES[table_of(expected)]))
    found = pl.from_arrow(fetched)
    assert found.height == expected.height > 0
    assert found.equals(expected)


def table_of(rows):
    return next(name for name, table in TABLES.items() if list(table.columns) == rows.columns)


def asked(venue, path):
    return [entry.request for entry in venue.log if entry.request.path == path]


class TestTheTruthComesBack:
    @pytest.mark.parametrize("symbol", ["BTCUSDT", "PEPEUSDT"])
    @pytest.mark.parametrize(
        ("table", "kind"),
        [
            ("ohlcv_1m", "spot"), ("ohlcv_1m", "perp"), ("ohlcv_1h", "spot"), ("ohlcv_1h", "perp"),
            ("ohlcv_1d", "spot"), ("ohlcv_1d", "perp"), ("funding_rates", "perp"), ("open_interest", "perp"),
            ("liquidations", "perp"),
        ],
    )  # fmt: skip
    def test_bit_for_bit(self, market, venue, fetcher, table, kind, symbol):
        venue.now = "2026-06-01"
        end = SPAN.start + timedelta(hours=9) if table == "ohlcv_1m" else SPAN.end
        rows = fetcher.fetch("okx", table, symbol, SPAN.start, end, instrument_type=kind)
        same(rows, truth(market, table, kind, symbol, end=end))

    @pytest.mark.parametrize("table", ["mark_1h", "index_1h"])
    def test_references(self, market, venue, fetcher, table):
        venue.now = "2026-06-01"
        wanted = truth(market, table, "perp", "BTCUSDT")
        rows = pl.from_arrow(fetcher.fetch("okx", table, "BTCUSDT", SPAN.start, SPAN.end))
        assert rows.height == wanted.height == 96
        assert rows.equals(wanted)

    def test_instruments(self, market, fetcher):
        found = fetcher.instruments("okx")
        wanted = market["instruments"].filter(exchange="okx").sort(TABLES["instruments"].key)
        said = [name for name in wanted.columns if name not in ("observed_at", "lot_size")]
        assert pl.from_arrow(found).select(said).equals(wanted.select(said))
        assert found["lot_size"].to_pylist() == pytest.approx(wanted["lot_size"].to_list(), rel=1e-15)
        assert left_out(found) == {"BTC-USD_UM_XPERP-310404": "it is an X-Perp: it has a date and pays funding"}

    def test_through_the_warehouse(self, market, venue, fetcher, tmp_path):
        venue.now = "2026-05-30"
        tables = ["funding_rates", "ohlcv_1h", "open_interest", "liquidations"]
        for _ in range(2):
            report = pull("okx", tables, start=SPAN.start, end=SPAN.end, warehouse=tmp_path, fetcher=fetcher)
            assert report.problems == ()
            assert report.quarantined == 0
        house = Warehouse(tmp_path)
        for table in ("ohlcv_1h", "liquidations"):
            rows = pl.from_arrow(house.read(TABLES[table], exchange="okx"))
            assert rows.height == market[table].filter(exchange="okx").height


class TestPaging:
    def test_listed_bars_are_read_page_by_page_at_once(self, venue, fetcher):
        fetcher.fetch("okx", "ohlcv_1m", "BTCUSDT", SPAN.start, SPAN.start + 11 * HOUR, instrument_type="perp")
        pages = [request.params for request in asked(venue, CANDLES)]
        ends = [SPAN.start + 5 * HOUR, SPAN.start + 10 * HOUR, SPAN.start + 11 * HOUR]
        assert sorted((page["after"], page["limit"]) for page in pages) == [
            (str(int(end.timestamp() * 1000)), limit) for end, limit in zip(ends, ("300", "300", "60"), strict=True)
        ]
        assert not any("before" in page for page in pages)

    def test_a_short_page_is_not_the_end(self, market):
        with LoopbackOkx(market, now=NOW, page_rows=7) as venue, Fetcher(venue.settings) as fetcher:
            rows = fetcher.fetch("okx", "ohlcv_1h", "BTCUSDT", SPAN.start, SPAN.end, instrument_type="spot")
            # at NOW the last bar is not confirmed
            same(rows, truth(market, "ohlcv_1h", "spot", "BTCUSDT", end=SPAN.end - HOUR))

    def test_a_page_of_nothing_but_the_running_bar_is_not_the_end(self, market):
        with LoopbackOkx(market, now="2026-05-20T00:30", page_rows=1) as venue, Fetcher(venue.settings) as fetcher:
            rows = fetcher.fetch("okx", "ohlcv_1h", "BTCUSDT", "2026-05-19T20:00", NOW, instrument_type="spot")
            assert rows.num_rows == 4

    @pytest.mark.parametrize("page_rows", [3, 4, 7, 100])
    def test_twins_stay_two_and_what_is_read_twice_is_one(self, market, page_rows):
        moments = [SPAN.start + timedelta(milliseconds=ms) for ms in (5, 5, 5, 6, 7, 7, 8, 9, 9, 9, 12)]
        sizes = [1.0, 1.0, 2.0, 1.0, 1.0, 1.0, 3.0, 1.0, 1.0, 1.0, 5.0]
        with_twins = events(moments, sizes)
        with (
            LoopbackOkx(
                {**instruments_only(market), "liquidations": with_twins}, now=NOW, depth=DEEP, page_rows=page_rows
            ) as venue,
            Fetcher(venue.settings) as fetcher,
        ):
            rows = fetcher.fetch("okx", "liquidations", "BTCUSDT", SPAN.start, SPAN.end)
            same(rows, with_twins.sort(TABLES["liquidations"].key))
            assert sorted(rows["event"].to_pylist()) == [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2]

    def test_a_moment_that_a_page_cuts_would_be_lost_without_reading_it_again(self, market, monkeypatch):
        moments = [SPAN.start + timedelta(milliseconds=ms) for ms in (5, 6, 6, 6, 7)]
        frames = {**instruments_only(market), "liquidations": events(moments, [1.0] * 5)}
        assert fetched(frames, "liquidations", SPAN, 3)[0].height == 5
        key = ("liquidations", "perp")
        gone = replace(okx.EXCHANGE.sources[key], paginator=Backward(limit=100, step=timedelta(milliseconds=1)))
        monkeypatch.setitem(okx.EXCHANGE.sources, key, gone)
        assert fetched(frames, "liquidations", SPAN, 3)[0].height == 4

    def test_what_is_beyond_the_venues_depth_is_not_there(self, market):
        with LoopbackOkx(market, now=NOW) as venue, Fetcher(venue.settings) as fetcher:
            rows = fetcher.fetch("okx", "liquidations", "BTCUSDT", SPAN.start, SPAN.end)
            assert rows.num_rows > 0
            assert min(rows["timestamp"].to_pylist()) >= utc(NOW) - timedelta(days=1)


def instruments_only(market):
    return {"instruments": market["instruments"]}


def events(moments, sizes, side="long"):
    rows = pl.DataFrame({"timestamp": moments, "quantity_base": sizes}).with_columns(
        exchange=pl.lit("okx"), instrument_type=pl.lit("perp"), symbol=pl.lit("BTCUSDT"), base=pl.lit("BTC"),
        quote=pl.lit("USDT"), side=pl.lit(side), price=pl.lit(100.5), price_type=pl.lit("bankruptcy"),
        value_quote=100.5 * pl.col("quantity_base"), coverage=pl.lit("throttled"),
        event=pl.int_range(pl.len()).over("timestamp", "quantity_base"),
    )  # fmt: skip
    schema = to_polars(TABLES["liquidations"])
    return rows.select(pl.col(name).cast(dtype) for name, dtype in schema.items())


class TestQuirks:
    """Each with the reading that ignores it, which must not go unnoticed."""

    def fetch(self, fetcher, table, kind=None):
        return fetcher.fetch("okx", table, "BTCUSDT", SPAN.start, SPAN.end, instrument_type=kind)

    def test_days_of_utc_plus_8(self, fetcher, monkeypatch):
        monkeypatch.setitem(okx.BARS, "1d", "1D")
        with pytest.raises(PayloadError, match="not on the UTC grid"):
            self.fetch(fetcher, "ohlcv_1d", "spot")

    def test_small_letters(self, fetcher, monkeypatch):
        monkeypatch.setitem(okx.BARS, "1h", "1h")
        with pytest.raises(VenueError, match="code 51000: Parameter bar error"):
            self.fetch(fetcher, "ohlcv_1h", "spot")

    def test_contracts(self, venue, fetcher, monkeypatch):
        slots = ("ts", "open", "high", "low", "close", "volCcy", "vol", "volCcyQuote", "confirm")
        monkeypatch.setattr(payloads, "CANDLE", slots)
        with pytest.raises(PayloadError, match="volumes are in other units"):
            self.fetch(fetcher, "ohlcv_1h", "perp")

    def test_confirm(self, market, venue, fetcher):
        venue.now = "2026-05-20T01:00:01"  # the bar is over for a second, and not confirmed
        request = ("okx", "ohlcv_1h", "BTCUSDT", SPAN.start, SPAN.end)
        wanted = truth(market, "ohlcv_1h", "perp", "BTCUSDT", end="2026-05-20T00:00")
        same(fetcher.fetch(*request, instrument_type="perp"), wanted)
        instrument = fetcher.resolve("okx", "ohlcv_1h", "BTCUSDT", "perp")
        page = next(fetcher.pages("okx", "ohlcv_1h", instrument, Window.of("2026-05-20", "2026-05-20T01:00")))
        assert page.table.num_rows == 0
        taken = payloads.parse_candles("x", page.response.body.replace(b'"0"]', b'"1"]'), page.context)
        after = truth(market, "ohlcv_1h", "perp", "BTCUSDT", start="2026-05-20T00:00")
        assert taken["timestamp"][0].as_py() == after["timestamp"][0]
        assert taken["volume_base"][0].as_py() != after["volume_base"][0]
        venue.now = "2026-05-20T01:00:02"
        assert fetcher.fetch(*request, instrument_type="perp").num_rows == wanted.height + 1

    def test_before_alone_gives_the_newest_page(self, venue):
        early = str(int(SPAN.start.timestamp() * 1000))
        rows = get(venue, CANDLES, instId="BTC-USDT", bar="1H", before=early, limit="2")
        assert int(rows[0][0]) == int((SPAN.end - HOUR).timestamp() * 1000)

    def test_ends_are_exclusive(self, venue):
        times = [int((SPAN.start + i * HOUR).timestamp() * 1000) for i in range(4)]
        rows = get(venue, CANDLES, instId="BTC-USDT", bar="1H", before=str(times[0]), after=str(times[3]))
        assert [int(row[0]) for row in rows] == [times[2], times[1]]

    def test_the_published_rate_is_not_the_paid_one(self, venue, market):
        rows = get(venue, FUNDING, instId="BTC-USDT-SWAP")
        assert all(row["fundingRate"] != row["realizedRate"] for row in rows)

    def test_a_settlement_gets_its_rate_late(self, venue, fetcher, market):
        venue.now = "2026-05-20T08:00:30"
        assert get(venue, FUNDING, instId="BTC-USDT-SWAP")[0]["realizedRate"] == ""
        rows = self.fetch(fetcher, "funding_rates")
        same(rows, truth(market, "funding_rates", "perp", "BTCUSDT", end="2026-05-20T08:00"))

    def test_open_interest_of_the_running_hour_is_not_final(self, venue, fetcher, market):
        venue.now = "2026-05-20T08:30"
        shown = get(venue, "/api/v5/rubik/stat/contracts/open-interest-history", instId="BTC-USDT-SWAP", period="1H")
        wanted = truth(market, "open_interest", "perp", "BTCUSDT", end="2026-05-20T08:00")
        after = truth(market, "open_interest", "perp", "BTCUSDT", start="2026-05-20T08:00")
        assert float(shown[0][2]) != after["open_interest_base"][0]
        same(self.fetch(fetcher, "open_interest"), wanted)

    def test_the_limit_of_liquidations_does_nothing(self, venue):
        items = get(venue, LIQUIDATIONS, instType="SWAP", uly="BTC-USDT", state="filled", limit="3")
        assert sum(len(item["details"]) for item in items) > 3
        assert {event["posSide"] for item in items for event in item["details"]} > {"net", ""}

    def test_liquidations_need_a_family(self, venue):
        reply = httpx.get(venue.url + LIQUIDATIONS, params={"instType": "SWAP"}, trust_env=False)
        assert (reply.status_code, reply.json()["code"]) == (200, "50015")

    def test_a_multiplier_of_contracts(self, venue):
        rows = {row["instId"]: row for row in get(venue, "/api/v5/public/instruments", instType="SWAP")}
        pepe = rows["PEPE-USDT-SWAP"]
        assert (float(pepe["ctVal"]), pepe["ctMult"]) == (1e6, "10")
        assert rows["BTC-USDT-SWAP"]["baseCcy"] == ""

    def test_an_unknown_instrument_has_status_200(self, venue, fetcher):
        gone = replace(fetcher.resolve("okx", "funding_rates", "BTCUSDT"), venue_symbol="LUNA-USDT-SWAP")
        with pytest.raises(UnknownNameError, match="okx knows no instrument 'LUNA-USDT-SWAP'"):
            list(fetcher.pages("okx", "funding_rates", gone, SPAN))
        assert venue.log[-1].status == 200

    def test_a_page_that_ignores_what_was_asked_is_refused(self, venue, fetcher):
        source = okx.EXCHANGE.source("ohlcv_1h", "spot")
        instrument = fetcher.resolve("okx", "ohlcv_1h", "BTCUSDT", "spot")
        newest = get(venue, CANDLES, instId="BTC-USDT", bar="1H")
        body = json.dumps({"code": "0", "data": newest, "msg": ""}).encode()
        page = next(fetcher.pages("okx", "ohlcv_1h", instrument, Window.of(SPAN.start, SPAN.start + HOUR)))
        with pytest.raises(PayloadError, match="rows must be before"):
            source.parse(body, page.context)


def get(venue, path, **params):
    reply = httpx.get(venue.url + path, params=params, trust_env=False, timeout=5).json()
    assert reply["code"] == "0"
    return reply["data"]


class TestFaults:
    ASK = ("okx", "ohlcv_1h", "BTCUSDT", SPAN.start, SPAN.end - HOUR)

    @pytest.mark.parametrize(
        "fault",
        [
            too_many_requests(nth(1, 3, path=CANDLES), None),
            server_error(nth(2, path=CANDLES)),
            reset(nth(1, path=CANDLES)),
            error_in_body(nth(1, path=CANDLES), b'{"msg":"Too Many Requests","code":"50011"}'),
            error_in_body(nth(2, path=CANDLES), b'{"code":"50013","data":[],"msg":"System is busy."}'),
        ],
        ids=lambda fault: fault.name,
    )
    def test_what_passes_is_tried_again(self, market, fault):
        clock = Clock()
        with (
            LoopbackOkx(market, now=NOW, faults=[fault], page_rows=40) as venue,
            Fetcher(venue.settings, clock=clock, sleep=clock.sleep) as fetcher,
        ):
            same(fetcher.fetch(*self.ASK, instrument_type="spot"), truth(market, "ohlcv_1h", "spot", *self.span))

    span = ("BTCUSDT", SPAN.start, SPAN.end - HOUR)

    def test_a_throttled_venue_is_an_error_in_the_end(self, market):
        clock = Clock()
        with (
            LoopbackOkx(market, now=NOW, limits={"history-candles": 0}) as venue,
            Fetcher(venue.settings, clock=clock, sleep=clock.sleep) as fetcher,
            pytest.raises(RateLimitedError, match="50011"),
        ):
            fetcher.fetch(*self.ASK, instrument_type="spot")

    @pytest.mark.parametrize("fault", [garbled(every(1, path=CANDLES)), disordered(every(1, path=CANDLES))])
    def test_what_is_malformed_is_an_error(self, market, fault):
        with (
            LoopbackOkx(market, now=NOW, faults=[fault]) as venue,
            Fetcher(venue.settings) as fetcher,
            pytest.raises(PayloadError, match=r"v5\.history-candles"),
        ):
            fetcher.fetch(*self.ASK, instrument_type="spot")

    def test_limits_are_kept(self, market):
        """Asked as fast as can be, with the client's budgets on the venue's clock."""
        clock = Clock()
        with (
            LoopbackOkx(market, now=NOW, page_rows=2, clock=clock) as venue,
            Fetcher(venue.settings, clock=clock, sleep=clock.sleep) as fetcher,
        ):
            fetcher.fetch(*self.ASK, instrument_type="spot")
            assert len(asked(venue, CANDLES)) > 45
            assert {entry.status for entry in venue.log} == {200}


@st.composite
def histories(draw, step, most=40):
    """Moments on a grid with gaps, within a few steps of each other."""
    gaps = draw(st.lists(st.integers(1, 1) | st.integers(1, 30), min_size=0, max_size=most))
    moments, at = [], SPAN.start
    for gap in gaps:
        at += gap * step
        moments.append(at)
    return moments


def windows(moments, step):
    ends = st.integers(-3, 1300).map(lambda n: SPAN.start + n * step / 2)
    return st.tuples(ends, ends).map(sorted).map(lambda pair: Window(*pair))


def fetched(frames, table, window, page_rows, now="2026-12-01"):
    """What comes through the real client from a venue without sockets."""
    venue = LoopbackOkx(frames, now=now, depth=DEEP, limits=dict.fromkeys(okx.LIMITS, 10**6), page_rows=page_rows)

    def response(request):
        reply, _ = venue._serve(request.url.path, dict(request.url.params), dict(request.headers))
        return httpx.Response(reply.status, content=reply.body, headers=reply.headers)

    clock = Clock()
    settings = Settings(max_clock_skew_seconds=None)
    with Fetcher(settings, httpx.MockTransport(response), clock=clock, sleep=clock.sleep) as fetcher:
        rows = fetcher.fetch("okx", table, "BTCUSDT", window.start, window.end, instrument_type="perp")
        return pl.from_arrow(rows), venue


def facts_of(table, columns):
    fixed = {"exchange": "okx", "instrument_type": "perp", "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT"}
    fixed |= {"multiplier": 1.0}
    schema = to_polars(TABLES[table])
    rows = len(columns["timestamp"])
    return pl.DataFrame({n: columns.get(n, [fixed.get(n)] * rows) for n in schema}, schema=schema)


class TestAnyHistoryAndWindow:
    @tries(max_examples=examples(25, 200), deadline=None)
    @given(data=st.data(), page_rows=st.integers(1, 9))
    def test_bars(self, market, data, page_rows):
        moments = data.draw(histories(HOUR))
        closes = [float(100 + i) for i in range(len(moments))]
        columns = dict.fromkeys(("open", "high", "low", "close"), closes)
        columns |= {"volume_base": [2.0] * len(moments), "volume_quote": [2 * c for c in closes]}
        frames = {**instruments_only(market), "ohlcv_1h": facts_of("ohlcv_1h", {"timestamp": moments, **columns})}
        window = data.draw(windows(moments, HOUR))
        now = SPAN.start + data.draw(st.integers(0, 600)) * HOUR / 10
        rows, _ = fetched(frames, "ohlcv_1h", window, page_rows, now=now)
        over = frames["ohlcv_1h"].filter(pl.col("timestamp") + HOUR + timedelta(seconds=2) <= now)
        assert rows.equals(within(over, window))

    @tries(max_examples=examples(25, 200), deadline=None)
    @given(data=st.data(), page_rows=st.integers(1, 9))
    def test_settlements_of_changing_intervals_off_the_minute(self, market, data, page_rows):
        moments = data.draw(histories(HOUR))
        late = data.draw(st.lists(st.integers(-900, 900), min_size=len(moments), max_size=len(moments)))
        raw = [moment + timedelta(milliseconds=ms) for moment, ms in zip(moments, late, strict=True)]
        columns = {"timestamp": moments, "venue_timestamp": raw, "funding_rate": [i / 1e5 for i, _ in enumerate(raw)]}
        frames = {**instruments_only(market), "funding_rates": facts_of("funding_rates", columns)}
        window = data.draw(windows(moments, HOUR))
        rows, _ = fetched(frames, "funding_rates", window, page_rows)
        assert rows.equals(within(frames["funding_rates"], window))

    @tries(max_examples=examples(25, 200), deadline=None)
    @given(data=st.data(), page_rows=st.integers(1, 9))
    def test_snapshots(self, market, data, page_rows):
        moments = data.draw(histories(HOUR))
        columns = {"timestamp": moments, "open_interest_base": [float(i) for i, _ in enumerate(moments)]}
        frames = {**instruments_only(market), "open_interest": facts_of("open_interest", columns)}
        window = data.draw(windows(moments, HOUR))
        rows, _ = fetched(frames, "open_interest", window, page_rows)
        assert rows.equals(within(frames["open_interest"], window))

    @tries(max_examples=examples(25, 200), deadline=None)
    @given(data=st.data(), page_rows=st.integers(1, 9))
    def test_bursts_of_events(self, market, data, page_rows):
        """As long as a moment fits a page: more than that the venue cannot be asked for."""
        moments = data.draw(histories(timedelta(milliseconds=1), most=20))
        counts = data.draw(st.lists(st.integers(1, page_rows), min_size=len(moments), max_size=len(moments)))
        burst = [moment for moment, count in zip(moments, counts, strict=True) for _ in range(count)]
        sizes = data.draw(st.lists(st.sampled_from([1.0, 2.0]), min_size=len(burst), max_size=len(burst)))
        frames = {**instruments_only(market), "liquidations": events(burst, sizes)}
        window = data.draw(windows(moments, timedelta(milliseconds=1)))
        rows, _ = fetched(frames, "liquidations", window, page_rows)
        assert rows.equals(within(frames["liquidations"], window))

    def test_no_more_requests_than_pages(self, market):
        moments = [SPAN.start + i * HOUR for i in range(3000)]
        columns = {name: [1.0] * 3000 for name in ("open", "high", "low", "close", "volume_base", "volume_quote")}
        frames = {**instruments_only(market), "ohlcv_1h": facts_of("ohlcv_1h", {"timestamp": moments, **columns})}
        rows, venue = fetched(frames, "ohlcv_1h", Window(SPAN.start, SPAN.start + 3000 * HOUR), None)
        assert rows.height == 3000
        assert len(asked(venue, CANDLES)) == 10

    def test_paging_is_backward(self):
        assert isinstance(okx.EXCHANGE.source("ohlcv_1h", "perp").paginator, Backward)


def within(rows, window):
    inside = (pl.col("timestamp") >= window.start) & (pl.col("timestamp") < window.end)
    return rows.filter(inside).sort(TABLES[table_of(rows)].key)
