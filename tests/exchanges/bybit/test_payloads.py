"""Bybit's bodies → declared tables: pure functions, real recordings where they are present."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pyarrow as pa
import pytest

from cexkit.errors import (
    NotOfferedError,
    PayloadError,
    RateLimitedError,
    TransportError,
    UnknownNameError,
    VenueError,
)
from cexkit.exchanges.http import PageRequest, Response, Usage
from cexkit.exchanges.instruments import left_out
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.registry import EXCHANGES, exchange, parse_response
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, utc
from cexkit.schema.render import to_pyarrow
from cexkit.schema.symbols import Instrument
from tests.flaws import flaw

START = utc("2024-01-01")
MS = int(START.timestamp() * 1000)
HOUR_MS = 3_600_000
LINEAR, CLOSED, SPOT = (f"v5.instruments-info.{name}" for name in ("linear", "linear-closed", "spot"))


def instrument(kind="perp", venue_symbol="BTCUSDT"):
    return Instrument(
        exchange="bybit", instrument_type=kind, symbol="BTCUSDT", venue_symbol=venue_symbol, base="BTC", quote="USDT"
    )


def context(table, *, now="2025-01-01", window=("2024-01-01", "2024-02-01"), of=None):
    if table == "instruments":
        return Context(exchange="bybit", table=table, now=utc(now))
    return Context(
        exchange="bybit", table=table, now=utc(now), instrument=of or instrument(), window=Window.of(*window)
    )


def body(rows, category="linear", **more):
    result = {"symbol": "BTCUSDT", "category": category, "list": rows} | more
    return json.dumps({"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": MS}).encode()


def bar(hour, *rest):
    return [str(MS + hour * HOUR_MS), "3", "4", "1", "2", *(rest or ("10.5", "30.5"))]


def bars(rows, table="ohlcv_1h", category="linear", **options):
    return parse_response("bybit", "v5.kline", body(rows, category), context(table, **options))


def funding(rows, **options):
    return parse_response("bybit", "v5.funding-history", body(rows), context("funding_rates", **options))


def open_interest(rows, **options):
    return parse_response("bybit", "v5.open-interest", body(rows), context("open_interest", **options))


def settlement(ms, rate="0.0001", symbol="BTCUSDT"):
    return {"symbol": symbol, "fundingRate": rate, "fundingRateTimestamp": str(ms)}


class TestBars:
    def test_every_slot_lands_in_its_column(self):
        rows = bars([bar(0)])
        assert rows.schema.equals(to_pyarrow(TABLES["ohlcv_1h"]), check_metadata=True)
        assert rows.to_pylist() == [
            {
                "exchange": "bybit", "instrument_type": "perp", "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT",
                "timestamp": START, "open": 3.0, "high": 4.0, "low": 1.0, "close": 2.0,
                "volume_base": 10.5, "volume_quote": 30.5, "trades": None,
                "taker_buy_volume_base": None, "taker_buy_volume_quote": None, "multiplier": None,
            }
        ]  # fmt: skip

    @pytest.mark.parametrize("name", ["mark", "index"])
    def test_mark_and_index_have_no_volume(self, name):
        rows = parse_response("bybit", f"v5.{name}-price-kline", body([bar(1)[:5]]), context(f"{name}_1h"))
        assert rows.select(["timestamp", "open", "high", "low", "close"]).to_pylist() == [
            {"timestamp": START + timedelta(hours=1), "open": 3.0, "high": 4.0, "low": 1.0, "close": 2.0}
        ]
        with pytest.raises(PayloadError):
            parse_response("bybit", f"v5.{name}-price-kline", body([bar(1)]), context(f"{name}_1h"))

    @pytest.mark.parametrize(
        ("now", "kept"),
        [("2024-01-01T02:00:00.999", 1), ("2024-01-01T02:00:01", 2), ("2024-01-01T01:59:59", 1), ("2024-01-01", 0)],
    )
    def test_a_bar_counts_a_second_after_it_is_over(self, now, kept):
        assert bars([bar(1), bar(0)], now=now).num_rows == kept

    @pytest.mark.parametrize(("table", "off"), [("ohlcv_1h", 60_000), ("ohlcv_1d", HOUR_MS), ("ohlcv_1m", 1_000)])
    def test_a_shorter_interval_is_not_taken_for_ours(self, table, off):
        with pytest.raises(PayloadError, match=r"row 0, field 'startTime': .* is not on the UTC grid"):
            bars([[str(MS + off), "3", "4", "1", "2", "1", "1"], bar(0)], table)

    def test_spot_is_not_taken_for_linear(self):
        with pytest.raises(PayloadError, match="field 'category': got 'spot' where 'linear' is read"):
            bars([bar(0)], category="spot")
        assert bars([bar(0)], category="spot", of=instrument("spot")).num_rows == 1
        with pytest.raises(PayloadError, match="got 'linear' where 'spot' is read"):
            bars([bar(0)], of=instrument("spot"))

    def test_another_symbol_is_not_taken_for_ours(self):
        with pytest.raises(PayloadError, match="field 'symbol': got 'BTCUSDT' where 'BTCPERP' is read"):
            bars([bar(0)], of=instrument(venue_symbol="BTCPERP"))

    @pytest.mark.parametrize(
        ("row", "field"),
        [
            (["x", *bar(0)[1:]], "startTime"),
            ([str(MS // 1000), *bar(0)[1:]], "startTime"),
            ([str(MS), "NaN", *bar(0)[2:]], "open"),
            ([str(MS), "3", "-4", *bar(0)[3:]], "high"),
            ([*bar(0)[:6], ""], "turnover"),
        ],
    )
    def test_a_breach_names_row_and_field(self, row, field):
        assert flaw(bars([bar(1), row])).startswith(f"row 1, field {field!r}: ")

    def test_an_error_kept_in_bronze_is_not_an_empty_table(self):
        said = json.dumps({"retCode": 10001, "retMsg": "no", "result": {}}).encode()
        with pytest.raises(PayloadError, match="field 'retCode'"):
            parse_response("bybit", "v5.kline", said, context("ohlcv_1h"))


class TestFunding:
    def test_keyed_on_the_minute_and_the_raw_time_kept(self):
        rows = funding([settlement(MS + 3_600_047, "-0.00012345")])
        (row,) = rows.select(["timestamp", "funding_rate", "venue_timestamp"]).to_pylist()
        assert row == {
            "timestamp": START + timedelta(hours=1),
            "funding_rate": -0.00012345,
            "venue_timestamp": START + timedelta(hours=1, milliseconds=47),
        }

    def test_the_interval_is_not_made_up(self):
        assert funding([settlement(MS)])["funding_interval_hours"].to_pylist() == [None]

    def test_another_symbol_is_refused(self):
        found = flaw(funding([settlement(MS), settlement(MS, symbol="ETHUSDT")]))
        assert found == "row 1, field 'symbol': got 'ETHUSDT' where 'BTCUSDT' is read"

    def test_rows_are_asked_for_by_their_end_alone(self):
        source = EXCHANGES["bybit"].source("funding_rates", "perp")
        params = source.params(instrument(), source.paginator.first(Window.of("2024-01-01", "2024-01-02")))
        assert params == {
            "category": "linear",
            "symbol": "BTCUSDT",
            "endTime": str(MS + 24 * HOUR_MS - 30_001),
            "limit": "200",
        }


class TestOpenInterest:
    @staticmethod
    def row(hour, both, single=None, seconds=False):
        stamp = (MS + hour * HOUR_MS) // (1000 if seconds else 1)
        return {"openInterest": both, "timestamp": str(stamp)} | (
            {} if single is None else {"singleOpenInterest": single}
        )

    def test_one_side_where_given_else_half(self):
        rows = open_interest([self.row(2, "21.0", "10.5"), self.row(1, "30")])
        assert rows["open_interest_base"].to_pylist() == [10.5, 15.0]
        assert rows["open_interest_quote"].to_pylist() == [None, None]

    def test_seconds_are_brought_to_milliseconds(self):
        rows = open_interest([self.row(2, "2"), self.row(1, "2", seconds=True)])
        assert [t.hour for t in rows["timestamp"].to_pylist()] == [2, 1]

    @pytest.mark.parametrize("stamp", ["1704067200000000", "170406720", "17040672000", "0"])
    def test_other_units_are_refused(self, stamp):
        with pytest.raises(PayloadError, match="field 'timestamp'"):
            open_interest([{"openInterest": "2", "timestamp": stamp}])

    def test_if_the_sum_is_no_longer_of_both_sides_it_is_refused(self):
        with pytest.raises(PayloadError, match="is not twice singleOpenInterest"):
            open_interest([self.row(1, "10.5", "10.5")])
        assert open_interest([self.row(1, "0", "0")])["open_interest_base"].to_pylist() == [0.0]

    def test_snapshots_of_five_minutes_are_refused(self):
        with pytest.raises(PayloadError, match="not on the UTC grid of 1:00:00"):
            open_interest([{"openInterest": "2", "timestamp": str(MS + 300_000)}])

    def test_the_cursor_is_decoded_once(self):
        source = EXCHANGES["bybit"].source("open_interest", "perp")
        found = source.cursor(body([], nextPageCursor="lastid%3D28782110%26lasttime%3D1789458000"))
        assert found == "lastid=28782110&lasttime=1789458000"
        request = PageRequest(Window.of("2024-01-01", "2024-01-02"), 200, found)
        assert source.params(instrument(), request)["cursor"] == found
        assert source.cursor(body([], nextPageCursor="")) is None
        assert source.cursor(body([])) is None


def pair(**changes):
    row = {
        "symbol": "BTCUSDT",
        "baseCoin": "BTC",
        "quoteCoin": "USDT",
        "status": "Trading",
        "lotSizeFilter": {"basePrecision": "0.000001"},
        "priceFilter": {"tickSize": "0.01"},
    }
    return row | changes


def contract(**changes):
    row = {
        "symbol": "BTCUSDT",
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": "BTC",
        "quoteCoin": "USDT",
        "settleCoin": "USDT",
        "launchTime": "1585526400000",
        "deliveryTime": "0",
        "priceFilter": {"tickSize": "0.10"},
        "lotSizeFilter": {"qtyStep": "0.001"},
        "fundingInterval": 480,
    }
    return row | changes


def linear(*rows, endpoint=LINEAR):
    said = json.dumps({"retCode": 0, "result": {"category": "linear", "list": rows, "nextPageCursor": ""}}).encode()
    return parse_response("bybit", endpoint, said, context("instruments"))


class TestInstruments:
    def test_a_perpetual(self):
        rows = linear(contract())
        assert rows.schema.equals(to_pyarrow(TABLES["instruments"]))
        assert rows.to_pylist() == [
            {
                "exchange": "bybit", "instrument_type": "perp", "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT",
                "venue_symbol": "BTCUSDT", "settle": "USDT", "multiplier": 1.0, "contract_size": 1.0,
                "inverse": False, "tick_size": 0.1, "lot_size": 0.001, "status": "trading",
                "listing_time": datetime(2020, 3, 30, tzinfo=UTC), "delisting_time": None, "expiry": None,
                "funding_interval_hours": 8.0, "observed_at": utc("2025-01-01"), "asset_class": None,
            }
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("stated", "expected"),
        [
            ({}, None),
            ({"symbolType": None}, None),
            ({"symbolType": ""}, "crypto"),
            ({"symbolType": "innovation"}, "crypto"),
            ({"symbolType": "stock"}, "equity"),
            ({"symbolType": "commodity"}, "commodity"),
            ({"symbolType": "forex"}, "fx"),
            ({"symbolType": "never-seen-before"}, None),
        ],
    )
    def test_asset_class_is_what_the_venue_states(self, stated, expected):
        assert linear(contract(**stated))["asset_class"].to_pylist() == [expected]

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"symbol": "BTCPERP", "quoteCoin": "USDC", "settleCoin": "USDC"}, ("BTCUSDC", "BTC", 1.0)),
            ({"symbol": "SHIB1000USDT", "baseCoin": "SHIB1000"}, ("SHIB1000USDT", "SHIB", 1000.0)),
            ({"symbol": "1000PEPEUSDT", "baseCoin": "1000PEPE"}, ("1000PEPEUSDT", "PEPE", 1000.0)),
            ({"symbol": "10000LADYSUSDT", "baseCoin": "10000LADYS"}, ("10000LADYSUSDT", "LADYS", 10000.0)),
            ({"symbol": "10000000AIDOGEUSDT", "baseCoin": "10000000AIDOGE"}, ("10000000AIDOGEUSDT", "AIDOGE", 1e7)),
            ({"symbol": "US1000USDT", "baseCoin": "US1000", "symbolType": "stock"}, ("US1000USDT", "US1000", 1.0)),
        ],
    )
    def test_names_and_multipliers(self, changes, expected):
        (row,) = linear(contract(**changes)).to_pylist()
        assert (row["symbol"], row["base"], row["multiplier"]) == expected
        assert row["venue_symbol"] == changes["symbol"]

    def test_a_dated_future_pays_no_funding_and_expires(self):
        dated = contract(
            symbol="BTCUSDT-28JUN24", contractType="LinearFutures", deliveryTime="1719561600000", fundingInterval=0
        )
        (row,) = linear(dated).to_pylist()
        expiry = utc("2024-06-28T08:00")
        assert (row["instrument_type"], row["symbol"]) == ("future", "BTCUSDT-20240628")
        assert (row["expiry"], row["delisting_time"], row["funding_interval_hours"]) == (expiry, expiry, None)

    @pytest.mark.parametrize(("minutes", "hours"), [(480, 8.0), (240, 4.0), (60, 1.0), (0, None), (None, None)])
    def test_the_interval_is_in_minutes(self, minutes, hours):
        assert linear(contract(fundingInterval=minutes))["funding_interval_hours"].to_pylist() == [hours]

    def test_hours_where_minutes_are_meant_are_refused(self):
        with pytest.raises(
            PayloadError, match=r"row 1, field 'fundingInterval': must be 0 or at least 60 minutes, got 8"
        ):
            linear(contract(), contract(fundingInterval=8))

    @pytest.mark.parametrize(
        ("status", "ours"),
        [("Trading", "trading"), ("PreLaunch", "pending"), ("Delivering", "halted"), ("Closed", "delisted")],
    )
    def test_statuses(self, status, ours):
        assert linear(contract(status=status))["status"].to_pylist() == [ours]

    def test_what_is_not_known_is_left_out_with_the_reason(self):
        rows = linear(
            contract(symbol="A", status="Resting"),
            contract(symbol="B", contractType="LinearOption"),
            contract(symbol="C", contractType="LinearFutures"),
        )
        assert rows.num_rows == 0
        assert left_out(rows) == {
            "A": "its status 'Resting' is not known",
            "B": "its contract type 'LinearOption' is not known",
            "C": "it is dated and has no delivery time",
        }

    def test_the_closed_list_must_be_of_closed_ones(self):
        closed = contract(status="Closed", deliveryTime="1719561600000")
        (row,) = linear(closed, endpoint=CLOSED).to_pylist()
        assert (row["status"], row["delisting_time"]) == ("delisted", utc("2024-06-28T08:00"))
        with pytest.raises(PayloadError, match="must be 'Closed', got 'Trading'"):
            linear(closed, contract(), endpoint=CLOSED)

    def test_spot(self):
        said = json.dumps({"retCode": 0, "result": {"category": "spot", "list": [pair()]}}).encode()
        (row,) = parse_response("bybit", SPOT, said, context("instruments")).to_pylist()
        assert (row["instrument_type"], row["symbol"], row["settle"]) == ("spot", "BTCUSDT", "USDT")
        assert (row["tick_size"], row["lot_size"], row["listing_time"]) == (0.01, 1e-6, None)


class TestBarParams:
    """Times of the query; a start inside a bar would give that bar."""

    def params(self, table, start, end):
        source = EXCHANGES["bybit"].source(table, "perp")
        return source.params(instrument(), source.paginator.first(Window.of(start, end)))

    def test_inclusive_milliseconds(self):
        assert self.params("ohlcv_1h", "2024-01-01", "2024-01-02") == {
            "category": "linear", "symbol": "BTCUSDT", "interval": "60", "limit": "24",
            "start": str(MS), "end": str(MS + 24 * HOUR_MS - 1),
        }  # fmt: skip

    def test_the_start_is_that_of_a_whole_bar(self):
        params = self.params("ohlcv_1d", "2024-01-01T00:00:00.000001", "2024-01-03")
        assert params["start"] == str(MS + 24 * HOUR_MS)
        assert params["interval"] == "D"

    def test_a_window_without_a_bar_is_no_error(self):
        params = self.params("ohlcv_1h", "2024-01-01T00:10", "2024-01-01T00:20")
        assert int(params["start"]) <= int(params["end"])

    def test_no_window_is_wider_than_a_page(self):
        params = self.params("ohlcv_1m", "2020-01-01", "2024-01-01")
        assert int(params["end"]) - int(params["start"]) == 1000 * 60_000 - 1
        assert int(params["end"]) == MS - 1


def response(said, status=200, **headers):
    when = utc("2024-01-01")
    text = said if isinstance(said, bytes) else json.dumps(said).encode()
    stamped = {"date": "Mon, 01 Jan 2024 00:00:00 GMT"} | {name.replace("_", "-"): v for name, v in headers.items()}
    return Response("http://x", {"symbol": "XUSDT"}, status, stamped, when, text)


API = EXCHANGES["bybit"].apis["v5"]


class TestErrors:
    @pytest.mark.parametrize(
        ("code", "message", "error"),
        [
            (10001, "params error: Symbol Is Invalid", UnknownNameError),
            (10001, "params error: limit", VenueError),
            (10006, "Too many visits.", RateLimitedError),
            (10018, "Exceeded the IP Rate Limit.", RateLimitedError),
            (10016, "Internal System Error.", TransportError),
            (110001, "something else", VenueError),
        ],
    )
    @pytest.mark.parametrize("status", [200, 400])
    def test_inside_any_status(self, code, message, error, status):
        found = API.error(response({"retCode": code, "retMsg": message, "result": {}}, status))
        assert type(found) is error
        assert f"retCode {code}: {message}" in str(found)

    def test_none_where_there_is_none(self):
        assert API.error(response({"retCode": 0, "retMsg": "OK"})) is None
        assert API.error(response(b"<html>")) is None

    def test_the_reset_of_the_headers_is_the_wait(self):
        limited = {"retCode": 10006, "retMsg": "Too many visits."}
        found = API.error(response(limited, x_bapi_limit_reset_timestamp=str(MS + 2500)))
        assert found.retry_after == 2.5
        assert API.error(response(limited, x_bapi_limit_reset_timestamp=str(MS - 9))).retry_after == 0
        assert API.error(response(limited)).retry_after is None

    def test_a_ban_is_told_from_a_refusal_of_the_place(self):
        ban = API.error(response(b"access too frequent. Please try again in 10 minutes", 403))
        assert (type(ban), ban.retry_after, ban.status) == (RateLimitedError, 600, 403)
        assert API.error(response(b"The Amazon CloudFront distribution is configured to block access", 403)) is None

    def test_usage_is_a_share(self):
        headers = {"x_bapi_limit": "10", "x_bapi_limit_status": "4", "x_bapi_limit_reset_timestamp": str(MS + 1000)}
        assert API.usage(response({}, **headers)) == (Usage("requests", pytest.approx(360), 1.0),)
        assert API.usage(response({})) == ()
        assert API.usage(response({}, x_bapi_limit="0", x_bapi_limit_status="0")) == ()


class TestDescriptor:
    def test_liquidations_are_live_only(self):
        for kind in ("perp", "future"):
            with pytest.raises(NotOfferedError, match="live stream"):
                exchange("bybit").source("liquidations", kind)

    def test_all_is_there(self):
        found = exchange("bybit")
        assert {table for table, _ in found.sources} == {
            "instruments", "ohlcv_1m", "ohlcv_1h", "ohlcv_1d", "mark_1h", "index_1h", "funding_rates", "open_interest"
        }  # fmt: skip
        assert found.instrument_types("funding_rates") == ("perp",)


def recording(shared, name):
    return (shared / "recordings" / "bybit" / name).read_bytes()


def shape(shared, name):
    """The body of a shape; its first three lines are method, path and whether it is signed."""
    text = (shared / "recordings" / "shapes" / f"Bybit__Endpoints_V5Api_ExchangeData_{name}.txt").read_text()
    _, path, _, text = text.split("\n", 3)
    return path, text.encode()


class TestRecordings:
    def test_open_interest_of_one_side_and_its_last_row_in_seconds(self, shared):
        said = recording(shared, "open-interest__ETHUSDT_1h_2025-09-13.partial.json")
        eth = Instrument(
            exchange="bybit", instrument_type="perp", symbol="ETHUSDT", venue_symbol="ETHUSDT", base="ETH", quote="USDT"
        )
        seen = context("open_interest", of=eth, now="2026-01-01", window=("2025-09-13", "2025-09-14"))
        rows = parse_response("bybit", "v5.open-interest", said, seen)
        plain = json.loads(said)["result"]["list"]
        assert rows["open_interest_base"].to_pylist() == [float(row["singleOpenInterest"]) for row in plain]
        hours = [t.timestamp() for t in rows["timestamp"].to_pylist()]
        assert [a - b for a, b in pairwise(hours)] == [3600] * 4
        assert len(plain[-1]["timestamp"]) == 10

    def test_snapshots_of_five_minutes_are_refused(self, shared):
        said = recording(shared, "open-interest__BTCUSDT_5min_limit3_2026-09-15.json")
        with pytest.raises(PayloadError, match="not on the UTC grid"):
            parse_response("bybit", "v5.open-interest", said, context("open_interest"))

    def test_cursors(self, shared):
        source = EXCHANGES["bybit"].source("open_interest", "perp")
        assert source.cursor(recording(shared, "open-interest__ETHUSDT_5min_2023-03-03.json")) == "lastid=44487872"

    def test_shapes_are_those_that_are_read(self, shared):
        paths = {source.path for source in EXCHANGES["bybit"].sources.values()}
        names = ("GetKlines", "GetMarkPriceKlines", "GetIndexPriceKlines", "GetFundingRateHistory", "GetOpenInterest")
        assert {shape(shared, name)[0] for name in (*names, "GetSpotSymbols")} == paths

    def test_shapes_parse(self, shared):
        window = ("2022-01-01", "2023-01-01")
        mark = context("mark_1h", window=window)
        assert (
            parse_response("bybit", "v5.mark-price-kline", shape(shared, "GetMarkPriceKlines")[1], mark).num_rows == 1
        )
        eth = context("funding_rates", window=window, of=instrument(venue_symbol="ETHPERP"))
        said = shape(shared, "GetFundingRateHistory")[1]
        assert parse_response("bybit", "v5.funding-history", said, eth).num_rows == 1
        listing = context("instruments")
        for endpoint, name in ((LINEAR, "GetLinearInverseSymbols"), (SPOT, "GetSpotSymbols")):
            rows = parse_response("bybit", endpoint, shape(shared, name)[1], listing)
            assert rows["symbol"].to_pylist() == ["BTCUSDT"]

    def test_inverse_bodies_are_not_taken_for_linear(self, shared):
        with pytest.raises(PayloadError, match="got 'inverse' where 'linear' is read"):
            parse_response("bybit", "v5.kline", shape(shared, "GetKlines")[1], context("ohlcv_1h"))


def test_parsing_is_pure():
    rows = [bar(1), bar(0)]
    assert isinstance(bars(rows), pa.Table)
    assert bars(rows).equals(bars(rows))
