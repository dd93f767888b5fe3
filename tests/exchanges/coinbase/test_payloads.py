"""Coinbase's bodies → declared tables: pure functions, real recordings where they are present."""

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st

from cexkit.errors import (
    CexkitError,
    NotOfferedError,
    PayloadError,
    RateLimitedError,
    TransportError,
    UnknownNameError,
    VenueError,
)
from cexkit.exchanges.http import PageRequest, Response
from cexkit.exchanges.instruments import left_out
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.registry import exchange, parse_response
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, utc
from cexkit.schema.render import to_pyarrow
from cexkit.schema.symbols import Instrument
from tests.flaws import flaw

START = utc("2024-01-01")
S = int(START.timestamp())
MS = S * 1000
HOUR_MS = 3_600_000

SPOT = Instrument(
    exchange="coinbase", instrument_type="spot", symbol="BTCUSD", venue_symbol="BTC-USD", base="BTC", quote="USD"
)
PERP = Instrument(
    exchange="coinbase",
    instrument_type="perp",
    symbol="BTCUSDC",
    venue_symbol="BTC_USDC-PERPETUAL",
    base="BTC",
    quote="USDC",
)
CANDLES, PRODUCTS = "spot.candles", "spot.products"
CHART, FUNDING, CONTRACTS = (
    f"drb.get_{name}" for name in ("tradingview_chart_data", "funding_rate_history", "instruments")
)
ENDPOINTS = {
    CANDLES: ("ohlcv_1h", SPOT),
    PRODUCTS: ("instruments", None),
    CHART: ("ohlcv_1h", PERP),
    FUNDING: ("funding_rates", PERP),
    CONTRACTS: ("instruments", None),
}


def context(table, of, *, now="2025-01-01", window=("2024-01-01", "2024-02-01")):
    if table == "instruments":
        return Context(exchange="coinbase", table=table, now=utc(now))
    return Context(exchange="coinbase", table=table, now=utc(now), instrument=of, window=Window.of(*window))


def parsed(endpoint, body, *, table=None, **options):
    default, of = ENDPOINTS[endpoint]
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_response("coinbase", endpoint, body, context(table or default, of, **options))


def result(rows, **more):
    return {"jsonrpc": "2.0", "result": rows, "usIn": 1, "usOut": 2, "usDiff": 1, "testnet": False} | more


def chart(*hours, **changes):
    columns = {name: [price + hour for hour in hours] for name, price in zip(("low", "high"), (1, 9), strict=True)}
    columns |= {name: [price + hour for hour in hours] for name, price in zip(("open", "close"), (3, 4), strict=True)}
    ticks = {"ticks": [MS + hour * HOUR_MS for hour in hours], "status": "ok" if hours else "no_data"}
    return result(columns | ticks | {"volume": [0.5] * len(hours), "cost": [20.25] * len(hours)} | changes)


def funding(ms, rate=0.00002, **more):
    return {"timestamp": ms, "interest_1h": rate, "interest_8h": 0.0005, "index_price": 42000.5} | more


class TestCandles:
    def test_every_slot_lands_in_its_column(self):
        rows = parsed(CANDLES, [[S, 1.5, 9.25, 3, 4, 0.30000000000000004]])
        assert rows.schema.equals(to_pyarrow(TABLES["ohlcv_1h"]), check_metadata=True)
        assert rows.to_pylist() == [
            {
                "exchange": "coinbase", "instrument_type": "spot", "symbol": "BTCUSD", "base": "BTC", "quote": "USD",
                "timestamp": START, "open": 3.0, "high": 9.25, "low": 1.5, "close": 4.0,
                "volume_base": 0.1 + 0.2, "volume_quote": None, "trades": None,
                "taker_buy_volume_base": None, "taker_buy_volume_quote": None, "multiplier": None,
            }
        ]  # fmt: skip

    def test_gaps_are_no_errors_and_rows_outside_the_window_are_dropped(self):
        rows = parsed(CANDLES, [[S + n * 3600, 1, 4, 2, 3, 1] for n in (30, 7, 0, -1)], window=(START, "2024-01-02"))
        assert [t.hour for t in rows["timestamp"].to_pylist()] == [7, 0]

    @pytest.mark.parametrize(("now", "kept"), [("2024-01-01T02:00:00.999", 1), ("2024-01-01T02:00:01", 2)])
    def test_the_running_bar_is_dropped(self, now, kept):
        assert parsed(CANDLES, [[S + 3600, 1, 4, 2, 3, 1], [S, 1, 4, 2, 3, 1]], now=now).num_rows == kept

    @pytest.mark.parametrize(
        ("row", "field", "text"),
        [
            ([MS, 1, 4, 2, 3, 1], "time", "less than 10000000000"),
            ([S, -1, 4, 2, 3, 1], "low", "greater than or equal to 0"),
            ([S, 1, None, 2, 3, 1], "high", "valid number"),
            ([S, 1, 4, "x", 3, 1], "open", "unable to parse"),
            ([S, 1, 4, 2, 3], "volume", "Field required"),
            ([S, 1, 4, 2, 3, 1, 1], None, "at most 6"),
        ],
    )
    def test_errors_name_row_and_field(self, row, field, text):
        found = flaw(parsed(CANDLES, [[S + 3600, 1, 4, 2, 3, 1], row]))
        assert found.startswith(f"row 1, field {field!r}: " if field else "row 1: ")
        assert re.search(text, found)

    def test_asked_for_by_both_ends_and_never_more_than_300(self):
        source = exchange("coinbase").source("ohlcv_1m", "spot")
        request = source.paginator.first(Window(START + timedelta(seconds=30), START + timedelta(days=3)))
        path, query = source.target(source.params(SPOT, request))
        assert path == "/products/BTC-USD/candles"
        assert query == {"granularity": "60", "start": "2024-01-03T19:00:00Z", "end": "2024-01-03T23:59:00Z"}

    @given(st.integers(0, 10**6), st.integers(1, 10**6), st.sampled_from(["ohlcv_1m", "ohlcv_1h", "ohlcv_1d"]))
    def test_any_window_is_asked_for_in_buckets_that_cover_it(self, begin, length, table):
        source, bar = exchange("coinbase").source(table, "spot"), TABLES[table].bar
        window = Window(START + timedelta(seconds=begin), START + timedelta(seconds=begin + length))
        request, covered = source.paginator.first(window), set()
        while request is not None:
            query = source.params(SPOT, request)
            first, last = (datetime.fromisoformat(query[name]) for name in ("start", "end"))
            assert first <= last
            assert (last - first) // bar < 300
            assert (first - START) % bar == (last - START) % bar == timedelta(0)
            covered |= {first + n * bar for n in range((last - first) // bar + 1)}
            request = source.paginator.first(request.rest)
        opened = window.start + (START - window.start) % bar
        while opened < window.end:
            assert opened in covered
            opened += bar

    def test_names_cannot_leave_their_place_in_the_path(self):
        source = exchange("coinbase").source("ohlcv_1m", "spot")
        assert source.target({"product_id": "../x?y"}) == ("/products/..%2Fx%3Fy/candles", {})


class TestChart:
    def test_every_column_lands_in_its_column(self):
        rows = parsed(CHART, chart(0, 1))
        assert rows.schema.equals(to_pyarrow(TABLES["ohlcv_1h"]), check_metadata=True)
        wanted = {"open": [3, 4], "high": [9, 10], "low": [1, 2], "close": [4, 5]}
        assert {name: rows[name].to_pylist() for name in wanted} == wanted
        assert rows["volume_base"].to_pylist() == [0.5, 0.5]
        assert rows["volume_quote"].to_pylist() == [20.25, 20.25]

    def test_bars_without_trades_are_kept(self):
        assert parsed(CHART, chart(0, volume=[0], cost=[0]))["volume_base"].to_pylist() == [0.0]

    def test_nothing_is_an_empty_conforming_table(self):
        rows = parsed(CHART, chart())
        assert rows.num_rows == 0
        assert rows.schema.equals(to_pyarrow(TABLES["ohlcv_1h"]))

    @pytest.mark.parametrize(("now", "kept"), [("2024-01-01T02:00:00.999", 1), ("2024-01-01T02:00:01", 2)])
    def test_the_running_bar_is_dropped(self, now, kept):
        assert parsed(CHART, chart(0, 1), now=now).num_rows == kept

    @pytest.mark.parametrize(
        ("body", "text"),
        [
            (chart(0, 1, close=[1]), "field 'close': must have 2 values, one per tick, got 1"),
            (chart(0, status="no_data"), "1 rows with status 'no_data'"),
            (chart(status="ok"), "0 rows with status 'ok'"),
            (chart(0, status="late"), "'ok' or 'no_data'"),
            (chart(0, ticks=[MS + 60_000]), "not on the UTC grid"),
            (chart(0, ticks=[S]), "greater than or equal"),
            (chart(0) | {"testnet": True}, "testnet"),
            ({"jsonrpc": "2.0"}, "result"),
        ],
    )
    def test_what_is_refused(self, body, text):
        with pytest.raises(PayloadError, match=text):
            parsed(CHART, body)

    def test_days_that_open_elsewhere_are_not_taken_for_utc_days(self):
        with pytest.raises(PayloadError, match="not on the UTC grid of 1 day"):
            parsed(CHART, chart(8), table="ohlcv_1d")

    def test_asked_for_to_the_end_of_the_last_bar(self):
        source = exchange("coinbase").source("ohlcv_1h", "perp")
        query = source.params(PERP, PageRequest(Window.of("2024-01-01T00:30", "2024-01-01T05:00"), 5000))
        assert query == {
            "instrument_name": "BTC_USDC-PERPETUAL",
            "start_timestamp": str(MS + HOUR_MS),
            "end_timestamp": str(MS + 5 * HOUR_MS - 1),
            "resolution": "60",
        }

    def test_times_before_1970_are_not_asked_for(self):
        for table, kind, of in (
            ("ohlcv_1h", "perp", PERP),
            ("funding_rates", "perp", PERP),
            ("ohlcv_1h", "spot", SPOT),
        ):
            source = exchange("coinbase").source(table, kind)
            for end in ("1950-01-01", "1970-01-01"):
                query = source.params(of, PageRequest(Window.of("1900-01-01", end), 300))
                assert query.get("start_timestamp", "0") == "0"
                assert query.get("start", "1970-01-01T00:00:00Z") == "1970-01-01T00:00:00Z"


class TestFunding:
    def test_the_rate_of_the_hour_and_never_the_sum_of_eight(self):
        rows = parsed(FUNDING, result([funding(MS + HOUR_MS, -0.00001234)]))
        assert rows.schema.equals(to_pyarrow(TABLES["funding_rates"]), check_metadata=True)
        (row,) = rows.to_pylist()
        assert (row["funding_rate"], row["funding_interval_hours"]) == (-0.00001234, 1.0)
        assert (row["index_price"], row["mark_price"]) == (42000.5, None)
        assert row["timestamp"] == row["venue_timestamp"] == START + timedelta(hours=1)

    @pytest.mark.parametrize("late", [0, 47, -1])
    def test_keyed_on_the_minute_with_the_raw_time_kept(self, late):
        (row,) = parsed(FUNDING, result([funding(MS + HOUR_MS + late)])).to_pylist()
        assert row["timestamp"] == START + timedelta(hours=1)
        assert row["venue_timestamp"] - row["timestamp"] == timedelta(milliseconds=late)

    def test_a_rate_that_is_not_of_a_whole_hour_is_refused(self):
        with pytest.raises(PayloadError, match="not on the UTC grid of 1:00:00") as caught:
            parsed(FUNDING, result([funding(MS), funding(MS + HOUR_MS // 2)]))
        assert (caught.value.row, caught.value.field) == (1, "timestamp")

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"interest_1h": None}, "interest_1h"),
            ({"interest_1h": "NaN"}, "interest_1h"),
            ({"timestamp": S}, "timestamp"),
            ({"index_price": -1}, "index_price"),
        ],
    )
    def test_errors_name_row_and_field(self, change, field):
        found = flaw(parsed(FUNDING, result([funding(MS), funding(MS) | change])))
        assert found.startswith(f"row 1, field {field!r}: ")

    def test_asked_for_with_room_for_rows_off_the_minute_and_a_start_that_is_not_included(self):
        source = exchange("coinbase").source("funding_rates", "perp")
        query = source.params(PERP, PageRequest(Window.of("2024-01-01", "2024-01-02"), 720))
        assert query["start_timestamp"] == str(MS - 30_000)
        assert query["end_timestamp"] == str(MS + 24 * HOUR_MS - 30_001)


def product(**changes):
    return {
        "id": "BTC-USD", "base_currency": "BTC", "quote_currency": "USD", "quote_increment": "0.01",
        "base_increment": "0.00000001", "status": "online", "trading_disabled": False, "cancel_only": False,
        "post_only": False, "limit_only": False, "auction_mode": False,
    } | changes  # fmt: skip


def contract(name="BTC_USDC-PERPETUAL", **changes):
    return {
        "instrument_name": name, "kind": "future", "instrument_type": "linear", "base_currency": "BTC",
        "quote_currency": "USDC", "counter_currency": "USDC", "settlement_currency": "USDC",
        "settlement_period": "perpetual", "expiration_timestamp": 32503708800000, "creation_timestamp": MS,
        "is_active": True, "contract_size": 0.0001, "tick_size": 0.5, "min_trade_amount": 0.001,
    } | changes  # fmt: skip


INVERSE = {"instrument_type": "reversed", "quote_currency": "USD", "settlement_currency": "BTC", "contract_size": 10}


class TestProducts:
    def test_a_product(self):
        assert parsed(PRODUCTS, [product()]).to_pylist() == [
            {
                "exchange": "coinbase", "instrument_type": "spot", "symbol": "BTCUSD", "base": "BTC", "quote": "USD",
                "venue_symbol": "BTC-USD", "settle": "USD", "multiplier": 1.0, "contract_size": 1.0, "inverse": False,
                "tick_size": 0.01, "lot_size": 1e-8, "status": "trading", "listing_time": None,
                "delisting_time": None, "expiry": None, "funding_interval_hours": None,
                "observed_at": utc("2025-01-01"), "asset_class": None,
            }
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("change", "status"),
        [
            ({}, "trading"),
            ({"limit_only": True}, "trading"),
            ({"trading_disabled": True}, "halted"),
            ({"cancel_only": True}, "halted"),
            ({"post_only": True}, "halted"),
            ({"auction_mode": True}, "halted"),
            ({"status": "offline"}, "halted"),
            ({"status": "delisted", "trading_disabled": True}, "delisted"),
        ],
    )
    def test_status(self, change, status):
        assert parsed(PRODUCTS, [product(**change)])["status"].to_pylist() == [status]

    def test_an_unknown_status_is_left_out_by_name(self):
        rows = parsed(PRODUCTS, [product(), product(id="X-USD", status="internal")])
        assert rows["venue_symbol"].to_pylist() == ["BTC-USD"]
        assert left_out(rows) == {"X-USD": "its status 'internal' is not known"}


class TestContracts:
    def test_a_perpetual(self):
        assert parsed(CONTRACTS, result([contract()])).to_pylist() == [
            {
                "exchange": "coinbase", "instrument_type": "perp", "symbol": "BTCUSDC", "base": "BTC", "quote": "USDC",
                "venue_symbol": "BTC_USDC-PERPETUAL", "settle": "USDC", "multiplier": 1.0, "contract_size": 0.0001,
                "inverse": False, "tick_size": 0.5, "lot_size": 0.001, "status": "trading", "listing_time": START,
                "delisting_time": None, "expiry": None, "funding_interval_hours": 1.0,
                "observed_at": utc("2025-01-01"), "asset_class": None,
            }
        ]  # fmt: skip

    def test_an_inverse_perpetual(self):
        (row,) = parsed(CONTRACTS, result([contract("BTC-PERPETUAL", **INVERSE)])).to_pylist()
        assert (row["symbol"], row["settle"], row["inverse"]) == ("BTCUSD:BTC", "BTC", True)
        assert (row["contract_size"], row["lot_size"]) == (10.0, None)

    def test_a_dated_future(self):
        expiry = utc("2027-06-25T08:00")
        terms = {"settlement_period": "month", "expiration_timestamp": int(expiry.timestamp() * 1000)}
        (row,) = parsed(CONTRACTS, result([contract("BTC-25JUN27", **INVERSE | terms)])).to_pylist()
        assert (row["instrument_type"], row["symbol"]) == ("future", "BTCUSD-20270625:BTC")
        assert row["expiry"] == row["delisting_time"] == expiry
        assert row["funding_interval_hours"] is None

    def test_what_expired_is_delisted_though_it_is_listed_apart(self):
        rows = parse_response(
            "coinbase",
            "drb.get_instruments.expired",
            json.dumps(result([contract()])).encode(),
            context("instruments", None),
        )
        assert rows["status"].to_pylist() == ["delisted"]

    def test_a_perpetual_that_ends_has_a_delisting_time_and_no_expiry(self):
        end = utc("2025-01-02")
        ends = {"expiration_timestamp": int(end.timestamp() * 1000), "is_active": False}
        (row,) = parsed(CONTRACTS, result([contract(**ends)])).to_pylist()
        assert (row["instrument_type"], row["status"]) == ("perp", "halted")
        assert (row["delisting_time"], row["expiry"]) == (end, None)

    def test_multipliers(self):
        (row,) = parsed(CONTRACTS, result([contract(base_currency="1000PEPE")])).to_pylist()
        assert (row["symbol"], row["base"], row["multiplier"]) == ("1000PEPEUSDC", "PEPE", 1000.0)

    def test_the_older_name_of_the_terms(self):
        old = contract(future_type="reversed")
        del old["instrument_type"]
        assert parsed(CONTRACTS, result([old]))["inverse"].to_pylist() == [True]

    def test_what_is_neither_is_left_out_by_name(self):
        rows = parsed(
            CONTRACTS, result([contract("A", kind="option"), contract("B", instrument_type="quanto"), contract("C")])
        )
        assert rows["venue_symbol"].to_pylist() == ["C"]
        assert left_out(rows) == {
            "A": "its kind 'option' is not read",
            "B": "its instrument type 'quanto' is not known",
        }

    @pytest.mark.parametrize("field", ["base_currency", "settlement_currency", "expiration_timestamp", "is_active"])
    def test_errors_name_row_and_field(self, field):
        bad = contract()
        del bad[field]
        with pytest.raises(PayloadError) as caught:
            parsed(CONTRACTS, result([contract(), bad]))
        assert (caught.value.row, caught.value.field) == (1, field)


def response(body, status=200, api="drb", **params):
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    said = Response(
        "http://venue/x", params, status, {}, moment, body if isinstance(body, bytes) else json.dumps(body).encode()
    )
    return exchange("coinbase").apis[api].error(said)


class TestErrors:
    @pytest.mark.parametrize("status", [200, 400, 429])
    @pytest.mark.parametrize(
        ("code", "error"),
        [
            (10028, RateLimitedError),
            (10047, RateLimitedError),
            (13020, UnknownNameError),
            (10020, UnknownNameError),
            (11051, TransportError),
            (10040, TransportError),
            (11050, VenueError),
            (-32602, VenueError),
        ],
    )
    def test_the_gateways_codes_whatever_the_status(self, status, code, error):
        found = response({"jsonrpc": "2.0", "error": {"code": code, "message": "said"}}, status, instrument_name="X-Y")
        assert type(found) is error
        assert f"code {code}: said" in str(found)
        if error is UnknownNameError:
            assert "'X-Y'" in str(found)

    def test_invalid_params_that_are_the_instrument(self):
        about = {"reason": "wrong format", "param": "instrument_name"}
        found = response({"error": {"code": -32602, "message": "Invalid params", "data": about}}, instrument_name="?")
        assert isinstance(found, UnknownNameError)

    @pytest.mark.parametrize(
        ("message", "status", "error"),
        [
            ("NotFound", 404, UnknownNameError),
            ("NotFound", 200, UnknownNameError),
            ("Public rate limit exceeded", 200, RateLimitedError),
            ("granularity too small", 400, VenueError),
        ],
    )
    def test_the_spot_venues_messages(self, message, status, error):
        found = response({"message": message}, status, api="spot")
        assert type(found) is error
        assert message in str(found)

    @pytest.mark.parametrize(
        "body", [result([]), [], [[1]], b"{", b"", b"<html>", b'{"a":' + b"[" * 4000, {"error": 3}]
    )
    def test_what_is_no_error(self, body):
        assert response(body) is None
        assert response(body, api="spot") is None


class TestDescriptor:
    @pytest.mark.parametrize("table", ["mark_1h", "index_1h", "open_interest", "liquidations"])
    @pytest.mark.parametrize("kind", ["perp", "future"])
    def test_what_is_not_offered_says_why(self, table, kind):
        with pytest.raises(NotOfferedError, match=r"the venue does not offer it: (no|only)"):
            exchange("coinbase").source(table, kind)

    def test_spot_has_no_funding(self):
        with pytest.raises(NotOfferedError, match="exists for perp only"):
            exchange("coinbase").source("funding_rates", "spot")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
SAMPLES = {
    CANDLES: [[S, 1, 4, 2, 3, 1]],
    PRODUCTS: [product()],
    CHART: chart(0, 1),
    FUNDING: result([funding(MS)]),
    CONTRACTS: result([contract()]),
}


@st.composite
def bodies(draw):
    """Any bytes, any JSON, and right answers with one thing changed."""
    endpoint = draw(st.sampled_from(list(SAMPLES)))
    if draw(st.booleans()):
        return endpoint, draw(st.binary(max_size=50) | JSON.map(lambda value: json.dumps(value).encode()))
    body = json.loads(json.dumps(SAMPLES[endpoint]))
    place = body
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or draw(st.integers(0, 3)) == 0:
            break
        place = place[key]
    if draw(st.booleans()):
        place[key] = draw(JSON | st.integers(10**9, 10**14))
    else:
        del place[key]
    return endpoint, json.dumps(body).encode()


class TestAnyBytes:
    @tries(max_examples=400, deadline=None)
    @given(bodies())
    def test_a_conforming_table_or_an_error_of_our_tree(self, sample):
        endpoint, body = sample
        try:
            rows = parsed(endpoint, body)
        except PayloadError:
            rows = None
        if rows is not None:
            assert rows.schema.equals(to_pyarrow(TABLES[ENDPOINTS[endpoint][0]]))
        for api in ("spot", "drb"):
            found = response(body, api=api)
            assert found is None or isinstance(found, CexkitError)


class TestRecordings:
    @pytest.fixture
    def recorded(self, shared):
        def read(name):
            return json.loads((shared / "recordings/coinbase" / name).read_text())

        return read

    def test_all_products_of_the_real_list_are_accounted_for(self, recorded):
        body = recorded("coinbase_exchange_products_2021-04-17.json")["body"]
        rows = parsed(PRODUCTS, body)
        frame = pl.from_arrow(rows)
        assert rows.num_rows == len(body) > 100
        assert left_out(rows) == {}
        assert frame["symbol"].is_unique().all()
        assert set(frame["multiplier"]) == {1.0}
        inch = frame.row(by_predicate=pl.col("venue_symbol") == "1INCH-USD", named=True)
        assert (inch["symbol"], inch["base"], inch["quote"]) == ("1INCHUSD", "1INCH", "USD")
        idle = {
            row["id"]
            for row in body
            if any(row[flag] for flag in ("trading_disabled", "cancel_only", "post_only")) or row["status"] != "online"
        }
        assert set(frame.filter(pl.col("status") != "trading")["venue_symbol"]) == idle
        assert Counter(frame["settle"]) == Counter(row["quote_currency"] for row in body)

    def test_a_real_candle_is_read_as_a_peer_reads_it(self, recorded):
        (case,) = recorded("coinbaseexchange.fetchOHLCV_fetchTicker.json")["fetchOHLCV"]
        rows = parsed(CANDLES, case["httpResponse"], window=("2024-03-01", "2024-04-01"))
        assert peers(rows) == case["parsedResponse"]

    def test_real_charts_are_read_as_a_peer_reads_them(self, recorded):
        linear, inverse = recorded("coinbaseinternational.json")["fetchOHLCV"]
        options = {"table": "ohlcv_1m", "window": ("2026-09-01", "2026-10-01"), "now": "2027-01-01"}
        rows = parsed(CHART, linear["httpResponse"], **options)
        assert peers(rows) == linear["parsedResponse"]
        assert rows["volume_quote"].to_pylist() == linear["httpResponse"]["result"]["cost"]
        # of inverse contracts too volume is in coins: at the price it is worth its cost
        rows = pl.from_arrow(parsed(CHART, inverse["httpResponse"], **options))
        assert rows.height == 3
        assert (
            rows.select((pl.col("volume_base") * pl.col("close") - pl.col("volume_quote")).abs() < 0.05)
            .to_series()
            .all()
        )

    def test_real_funding_is_read_as_a_peer_reads_it(self, recorded):
        (case,) = recorded("coinbaseinternational.json")["fetchFundingRateHistory"]
        rows = parsed(FUNDING, case["httpResponse"], window=("2026-08-01", "2026-09-01"), now="2027-01-01")
        times = [int(t.timestamp() * 1000) for t in rows["timestamp"].to_pylist()]
        rates = rows["funding_rate"].to_pylist()
        assert [list(row) for row in zip(times, rates, strict=True)] == case["parsedFundingRates"]
        sent = case["httpResponse"]["result"]
        assert rows["index_price"].to_pylist() == [row["index_price"] for row in sent]
        # a row's hour ends at its time: the index at its start is that of the row before
        assert [row["prev_index_price"] for row in sent[1:]] == [row["index_price"] for row in sent[:-1]]


def peers(rows):
    names = ("open", "high", "low", "close", "volume_base")
    times = [int(t.timestamp() * 1000) for t in rows["timestamp"].to_pylist()]
    return [list(row) for row in zip(times, *(rows[name].to_pylist() for name in names), strict=True)]
