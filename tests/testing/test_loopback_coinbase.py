"""The quirks of the Coinbase loopback, seen with a plain HTTP client: nothing of cexkit's own reading is in the way."""

import http.client
import json

import httpx
import polars as pl
import pytest

from cexkit.schema import TABLES
from cexkit.schema.intervals import to_ms, utc
from cexkit.schema.render import to_polars
from cexkit.testing import LoopbackCoinbase

START = utc("2024-01-01")
S = int(START.timestamp())
IDENTITY = {"exchange": "coinbase", "base": "BTC"}
SPOT = IDENTITY | {"instrument_type": "spot", "symbol": "BTCUSD", "quote": "USD"}
PERP = IDENTITY | {"instrument_type": "perp", "symbol": "BTCUSDC", "quote": "USDC"}


def frame(table, identity, **columns):
    schema = to_polars(TABLES[table])
    data = pl.DataFrame(columns, schema={name: schema[name] for name in columns})
    absent = {name: identity.get(name) for name in schema if name not in columns}
    return data.with_columns(**{k: pl.lit(v) for k, v in absent.items()}).select(
        pl.col(name).cast(dtype) for name, dtype in schema.items()
    )


def hours(numbers):
    return [START.replace(day=1 + n // 24, hour=n % 24) for n in numbers]


def bars(identity, numbers):
    prices = {"open": [2.0 + n for n in numbers], "high": [4.0 + n for n in numbers], "low": [1.0 + n for n in numbers]}
    volume = {"volume_base": [0.1 + 0.2] * len(numbers), "volume_quote": [9.5] * len(numbers)}
    return frame("ohlcv_1h", identity, timestamp=hours(numbers), close=[3.0 + n for n in numbers], **prices, **volume)


def listed(identity, venue_symbol, **terms):
    columns = {
        "venue_symbol": venue_symbol, "settle": identity["quote"], "multiplier": 1.0, "contract_size": 1.0,
        "inverse": False, "tick_size": 0.01, "lot_size": 1e-8, "status": "trading", "observed_at": START,
        "listing_time": START,
    } | terms  # fmt: skip
    return frame("instruments", identity, **{name: [value] for name, value in columns.items()})


FRAMES = {
    "instruments": pl.concat(
        [
            listed(SPOT, "BTC-USD"),
            listed(SPOT | {"symbol": "OLDUSD", "base": "OLD"}, "OLD-USD", status="delisted"),
            listed(PERP, "BTC_USDC-PERPETUAL", contract_size=0.0001),
            listed(PERP | {"symbol": "OLDUSDC", "base": "OLD"}, "OLD_USDC-PERPETUAL", status="delisted"),
        ]
    ),
    "ohlcv_1h": pl.concat(
        [
            bars(SPOT, [n for n in range(400) if n not in (2, 3, 200)]),
            bars(PERP, [n for n in range(40) if n not in (2, 3)]),
        ]
    ),
    "funding_rates": frame(
        "funding_rates",
        PERP,
        timestamp=[START.replace(month=1 + n // 480, day=1 + n // 24 % 20, hour=n % 24) for n in range(1000)],
        funding_rate=[n / 1e7 for n in range(1000)],
        index_price=[40_000.0 + n for n in range(1000)],
    ),
}


@pytest.fixture
def venue():
    with LoopbackCoinbase(FRAMES, now="2025-01-01") as loopback:
        yield loopback


def get(venue, path, **params):
    return httpx.get(venue.url + path, params=params, trust_env=False, timeout=5)


def candles(venue, **params):
    return get(venue, "/products/BTC-USD/candles", granularity=3600, **params)


def rpc(venue, method, **params):
    response = get(venue, f"/api/v2/public/{method}", **params)
    assert response.status_code == 200
    return response.json()


def chart(venue, start, end, resolution="60"):
    span = {"start_timestamp": (S + start * 3600) * 1000, "end_timestamp": (S + end * 3600) * 1000}
    return rpc(venue, "get_tradingview_chart_data", instrument_name="BTC_USDC-PERPETUAL", resolution=resolution, **span)


class TestSpot:
    def test_low_high_open_close_in_seconds_newest_first_as_numbers(self, venue):
        rows = candles(venue, start=S, end=S + 3600).json()
        assert rows == [[S + 3600, 2.0, 5.0, 3.0, 4.0, 0.1 + 0.2], [S, 1.0, 4.0, 2.0, 3.0, 0.1 + 0.2]]

    def test_hours_without_trades_have_no_candle(self, venue):
        rows = candles(venue, start=S, end=S + 5 * 3600).json()
        assert [(row[0] - S) // 3600 for row in rows] == [5, 4, 1, 0]

    def test_a_candle_from_before_start_comes_along(self, venue):
        rows = candles(venue, start=S + 5 * 3600, end=S + 6 * 3600).json()
        assert [(row[0] - S) // 3600 for row in rows] == [6, 5, 4]

    def test_an_empty_span_is_an_empty_list(self, venue):
        assert candles(venue, start=S - 7200, end=S - 3600).json() == []

    def test_300_are_given_and_301_are_refused(self, venue):
        assert len(candles(venue, start=S, end=S + 299 * 3600).json()) == 297
        response = candles(venue, start=S, end=S + 300 * 3600)
        assert (response.status_code, "exceeds 300" in response.json()["message"]) == (400, True)

    @pytest.mark.parametrize("only", [{"start": S}, {"end": S + 3600}, {}])
    def test_half_a_span_is_no_span(self, venue, only):
        rows = candles(venue, **only).json()
        assert (len(rows), (rows[0][0] - S) // 3600) == (300, 399)

    def test_iso_times_are_understood(self, venue):
        iso = candles(venue, start="2024-01-01T00:00:00Z", end="2024-01-01T01:00:00Z").json()
        assert iso == candles(venue, start=S, end=S + 3600).json()

    def test_row_0_may_still_be_running(self, venue):
        venue.now = "2024-01-01T05:30"
        first = candles(venue).json()[0]
        assert ((first[0] - S) // 3600, first[1:5]) == (5, [7.0] * 4)

    def test_delisted_products_are_listed(self, venue):
        rows = get(venue, "/products").json()
        assert {row["id"]: row["status"] for row in rows} == {"BTC-USD": "online", "OLD-USD": "delisted"}
        assert rows[0]["base_increment"] == "0.00000001"

    def test_who_does_not_say_who_asks_is_refused(self, venue):
        connection = http.client.HTTPConnection("127.0.0.1", int(venue.url.rpartition(":")[2]), timeout=5)
        connection.request("GET", "/products")
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())) == (400, {"message": "User-Agent header is required."})

    @pytest.mark.parametrize(
        ("path", "params", "status", "said"),
        [
            ("/products/NO-NO/candles", {"granularity": 3600}, 404, "NotFound"),
            ("/nope", {}, 404, "NotFound"),
            ("/products/BTC-USD/candles", {"granularity": 61}, 400, "Unsupported granularity"),
            ("/products/BTC-USD/candles", {"start": "x", "end": "y"}, 400, "must be times"),
            ("/products/BTC-USD/candles", {"start": S, "end": S - 1}, 400, "before end"),
        ],
    )
    def test_errors(self, venue, path, params, status, said):
        response = get(venue, path, **params)
        assert response.status_code == status
        assert said in response.json()["message"]

    def test_15_at_once_and_10_a_second(self):
        now = [0.0]
        with LoopbackCoinbase(FRAMES, now="2025-01-01", clock=lambda: now[0]) as venue:
            assert [candles(venue).status_code for _ in range(16)] == [200] * 15 + [429]
            now[0] = 0.5
            responses = [candles(venue) for _ in range(6)]
        assert [response.status_code for response in responses] == [200] * 5 + [429]
        assert responses[-1].json() == {"message": "Public rate limit exceeded"}


class TestGateway:
    def test_columns_oldest_first_with_flat_bars_where_nothing_was_traded(self, venue):
        result = chart(venue, 1, 4)["result"]
        assert result == {
            "status": "ok",
            "ticks": [(S + n * 3600) * 1000 for n in range(1, 5)],
            "open": [3.0, 4.0, 4.0, 6.0],
            "high": [5.0, 4.0, 4.0, 8.0],
            "low": [2.0, 4.0, 4.0, 5.0],
            "close": [4.0, 4.0, 4.0, 7.0],
            "volume": [0.1 + 0.2, 0.0, 0.0, 0.1 + 0.2],
            "cost": [9.5, 0.0, 0.0, 9.5],
        }

    def test_nothing_there_is_a_status_of_its_own(self, venue):
        result = chart(venue, -10, -5)["result"]
        assert (result["status"], result["ticks"], result["cost"]) == ("no_data", [], [])

    def test_charts_are_cut_at_5001_rows_and_keep_the_newest(self):
        names = ("open", "high", "low", "close", "volume_base", "volume_quote")
        columns = {name: [1.0, 1.0] for name in names}
        sparse = frame("ohlcv_1h", PERP, timestamp=[START, utc("2025-01-01")], **columns)
        with LoopbackCoinbase(FRAMES | {"ohlcv_1h": sparse}, now="2026-01-01") as venue:
            ticks = chart(venue, 0, 366 * 24)["result"]["ticks"]
        assert (len(ticks), ticks[-1]) == (5001, to_ms(utc("2025-01-01")))

    def test_the_last_bar_still_runs(self, venue):
        venue.now = "2024-01-01T05:30"
        result = chart(venue, 0, 10)["result"]
        assert (result["ticks"][-1], result["close"][-1]) == ((S + 5 * 3600) * 1000, 7.0)
        assert result["volume"][-1] == pytest.approx(0.003)

    def funding(self, venue, start, end):
        span = {"start_timestamp": start, "end_timestamp": end}
        return rpc(venue, "get_funding_rate_history", instrument_name="BTC_USDC-PERPETUAL", **span)["result"]

    def test_funding_is_hourly_and_interest_8h_is_another_thing(self, venue):
        row = self.funding(venue, 0, (S + 10 * 3600) * 1000)[9]
        assert (row["timestamp"], row["interest_1h"]) == ((S + 9 * 3600) * 1000, 9e-7)
        assert row["interest_8h"] == pytest.approx(sum(range(2, 10)) / 1e7)
        assert (row["index_price"], row["prev_index_price"]) == (40_009.0, 40_008.0)

    def test_funding_begins_behind_its_start_and_keeps_the_newest_740_rows(self, venue):
        assert len(self.funding(venue, S * 1000, (S + 3600) * 1000)) == 1
        rows = self.funding(venue, 0, to_ms(utc("2025-01-01")))
        assert (len(rows), rows[-1]["interest_1h"]) == (740, 999 / 1e7)

    def test_perpetuals_expire_in_the_year_3000(self, venue):
        (row,) = rpc(venue, "get_instruments", currency="any", kind="future")["result"]
        assert (row["instrument_name"], row["settlement_period"]) == ("BTC_USDC-PERPETUAL", "perpetual")
        assert (row["expiration_timestamp"], row["contract_size"]) == (32_503_708_800_000, 0.0001)

    def test_what_expired_is_listed_apart(self, venue):
        rows = rpc(venue, "get_instruments", currency="any", kind="future", expired="true")["result"]
        assert [(row["instrument_name"], row["is_active"]) for row in rows] == [("OLD_USDC-PERPETUAL", False)]

    @pytest.mark.parametrize(
        ("method", "params", "code"),
        [
            ("nope", {}, -32601),
            ("get_instruments", {"currency": "BTC"}, -32602),
            ("get_funding_rate_history", {"instrument_name": "X", "start_timestamp": 0, "end_timestamp": 1}, 13020),
            ("get_funding_rate_history", {"instrument_name": "BTC_USDC-PERPETUAL", "start_timestamp": 0}, -32602),
        ],
    )
    def test_errors_come_with_status_200(self, venue, method, params, code):
        assert rpc(venue, method, **params)["error"]["code"] == code

    def test_an_unknown_resolution(self, venue):
        assert chart(venue, 0, 1, resolution="7")["error"]["data"]["param"] == "resolution"

    def test_too_many_requests_come_with_status_200_too(self):
        with LoopbackCoinbase(FRAMES, now="2025-01-01", clock=lambda: 0.0) as venue:
            assert ["error" in chart(venue, 0, 1) for _ in range(11)] == [False] * 10 + [True]
            assert chart(venue, 0, 1)["error"] == {"code": 10028, "message": "too_many_requests"}

    def test_lists_of_instruments_have_a_limit_of_their_own(self):
        with LoopbackCoinbase(FRAMES, now="2025-01-01", clock=lambda: 0.0) as venue:
            asked = [rpc(venue, "get_instruments", currency="any", kind="future") for _ in range(2)]
            assert ["error" in response for response in asked] == [False, True]
            assert "result" in chart(venue, 0, 1)
