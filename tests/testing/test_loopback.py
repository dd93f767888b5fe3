"""The loopback venues themselves: real sockets, Binance's manners."""

import json
import time
from datetime import timedelta

import httpx
import polars as pl
import pytest

from cexkit.errors import SchemaError, UnknownTableError
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window
from cexkit.schema.render import to_polars
from cexkit.testing import (
    Feed,
    Loopback,
    LoopbackBinance,
    Reply,
    banned,
    chance,
    during,
    every,
    garbled,
    misdated,
    nth,
    reset,
    rewritten,
    server_error,
    stalled,
    too_many_requests,
    truncated,
)
from cexkit.testing.loopback import Request

PERP = {
    "exchange": "binance",
    "instrument_type": "perp",
    "symbol": "BTCUSDT",
    "base": "BTC",
    "quote": "USDT",
}


def frame(table, **columns):
    schema = to_polars(TABLES[table])
    rows = max(len(values) for values in columns.values())
    fixed = {name: [PERP.get(name)] * rows for name in schema if name not in columns}
    return pl.DataFrame(fixed | columns, schema=schema)


def listed(**terms):
    known = {
        "venue_symbol": ["BTCUSDT"],
        "settle": ["USDT"],
        "multiplier": [1.0],
        "contract_size": [1.0],
        "inverse": [False],
        "tick_size": [1e-7],
        "status": ["trading"],
        "observed_at": [None],
    }
    return frame("instruments", **known | terms)


def hours(count, start="2024-01-01"):
    return pl.datetime_range(
        pl.lit(start).str.to_datetime("%Y-%m-%d", time_zone="UTC"),
        pl.lit(start).str.to_datetime("%Y-%m-%d", time_zone="UTC") + pl.duration(hours=count - 1),
        "1h",
        eager=True,
    ).cast(pl.Datetime("us", "UTC"))


FUNDING = frame("funding_rates", timestamp=hours(1200), funding_rate=[i / 1e7 for i in range(1200)])
BARS = frame(
    "ohlcv_1h",
    timestamp=hours(700),
    **{name: [0.1 + 0.2 + i for i in range(700)] for name in ("open", "high", "low", "close", "volume_base")},
    **{name: [1.5] * 700 for name in ("volume_quote", "taker_buy_volume_base", "taker_buy_volume_quote")},
    trades=[5] * 700,
)
FRAMES = {"instruments": listed(), "funding_rates": FUNDING, "ohlcv_1h": BARS}


@pytest.fixture
def venue():
    with LoopbackBinance(FRAMES, now="2025-01-01") as loopback:
        yield loopback


def get(venue, path, **params):
    return httpx.get(venue.url + path, params=params, trust_env=False, timeout=5)


class Echo(Loopback):
    def respond(self, request):
        return Reply(body=json.dumps({"number": request.number, "x": "y" * 5000}).encode(), weight=3)


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "status", "wait"),
        [
            (too_many_requests(nth(1), 7), 429, "7"),
            (too_many_requests(nth(1), None), 429, None),
            (banned(nth(1)), 418, "120"),
            (server_error(nth(1), 502), 502, None),
        ],
        ids=lambda x: getattr(x, "name", None),
    )
    def test_refusals(self, fault, status, wait):
        with Echo(now="2024-01-01", faults=[fault]) as venue:
            first, second = get(venue, "/x"), get(venue, "/x")
        assert (first.status_code, first.headers.get("retry-after"), second.status_code) == (status, wait, 200)
        assert [entry.fault for entry in venue.log] == [str(status), None]

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            (truncated(nth(1)), httpx.RemoteProtocolError),
            (truncated(nth(1), sent=0.0), httpx.RemoteProtocolError),
            (reset(nth(1)), httpx.NetworkError),
        ],
    )
    def test_broken_connections(self, fault, error):
        with Echo(now="2024-01-01", faults=[fault]) as venue:
            with pytest.raises(error):
                get(venue, "/x")
            assert get(venue, "/x").json()["number"] == 2

    def test_garbled_has_the_right_length_and_is_no_json(self):
        with Echo(now="2024-01-01", faults=[garbled(nth(1))]) as venue:
            response = get(venue, "/x")
        assert response.status_code == 200
        assert int(response.headers["content-length"]) == len(response.content)
        with pytest.raises(ValueError):
            response.json()

    def test_a_stall_is_given_up_when_the_venue_stops(self):
        start = time.monotonic()
        with Echo(now="2024-01-01", faults=[stalled(nth(1), 60)]) as venue, pytest.raises(httpx.ReadTimeout):
            httpx.get(venue.url, trust_env=False, timeout=0.1)
        assert time.monotonic() - start < 5

    def test_when(self):
        def strikes(when, path="/a"):
            return [n for n in range(1, 13) if when(Request(n, (n + 1) // 2, 0.0, path, {}))]

        assert strikes(nth(2, 5)) == [2, 5]
        assert strikes(every(4)) == [4, 8, 12]
        assert strikes(nth(2, path="/a")) == [3, 4]
        assert strikes(nth(2, path="/b")) == []
        assert strikes(every(3, path="/a")) == [5, 6, 11, 12]
        assert strikes(chance(0.5, seed=1)) == strikes(chance(0.5, seed=1)) != strikes(chance(0.5, seed=2))
        assert strikes(chance(0)) == []
        assert strikes(chance(1)) == list(range(1, 13))

    def test_the_first_fault_that_strikes_happens(self):
        with Echo(now="2024-01-01", faults=[server_error(nth(1)), banned(every(1))]) as venue:
            assert [get(venue, "/x").status_code for _ in range(2)] == [503, 418]

    def test_the_clock_is_in_the_date_and_can_move(self):
        with Echo(now="2024-01-01") as venue:
            assert get(venue, "/x").headers["date"] == "Mon, 01 Jan 2024 00:00:00 GMT"
            venue.now = "2024-01-01T12:00"
            assert get(venue, "/x").headers["date"] == "Mon, 01 Jan 2024 12:00:00 GMT"

    def test_date_may_be_wrong(self):
        with Echo(now="2024-01-01", faults=[misdated(nth(2), timedelta(days=-1))]) as venue:
            days = [get(venue, "/x").headers["date"][:16] for _ in range(2)]
        assert days == ["Mon, 01 Jan 2024", "Sun, 31 Dec 2023"]

    def test_rows_can_be_rewritten_for_a_time(self):
        window = Window.of("2024-01-01", "2024-01-02")
        with LoopbackBinance(FRAMES, now="2024-01-01T12:00") as changed:
            changed.faults = (rewritten(during(window, lambda: changed.now), lambda rows: [[1, 2], *rows]),)
            params = {"symbol": "BTCUSDT", "interval": "1h"}
            assert get(changed, "/fapi/v1/klines", **params).json()[0] == [1, 2]
            changed.now = window.end
            assert [1, 2] not in get(changed, "/fapi/v1/klines", **params).json()

    def test_it_must_be_started(self):
        with pytest.raises(RuntimeError, match="not started"):
            _ = Echo(now="2024-01-01").url

    def test_it_can_be_started_again(self):
        venue = Echo(now="2024-01-01")
        for _ in range(2):
            with venue:
                assert get(venue, "/x").status_code == 200


class TestBinance:
    def test_500_funding_rows_whatever_is_asked(self, venue):
        request = {"symbol": "BTCUSDT", "startTime": 1704067200000}
        assert len(get(venue, "/fapi/v1/fundingRate", **request, limit=1000).json()) == 500
        assert len(get(venue, "/fapi/v1/fundingRate", **request).json()) == 100
        latest = get(venue, "/fapi/v1/fundingRate", symbol="BTCUSDT").json()
        assert float(latest[-1]["fundingRate"]) == FUNDING["funding_rate"][-1]

    def test_settlements_are_late_by_up_to_47_ms_and_the_same_each_time(self, venue):
        request = {"symbol": "BTCUSDT", "startTime": 1704067200000, "limit": 1000}
        rows = get(venue, "/fapi/v1/fundingRate", **request).json()
        late = [row["fundingTime"] % 60_000 for row in rows]
        assert min(late) + 1 > 0
        assert 40 <= max(late) <= 47
        assert 0.3 < sum(ms > 0 for ms in late) / len(late) < 0.7
        assert rows == get(venue, "/fapi/v1/fundingRate", **request).json()
        assert {row["markPrice"] for row in rows} == {""}
        assert {row["rateType"] for row in rows} == {"Regular"}

    def test_prices_are_text_of_full_precision(self, venue):
        row = get(venue, "/fapi/v1/klines", symbol="BTCUSDT", interval="1h", startTime=1704067200000, limit=1).json()[0]
        assert row[1] == "0.30000000000000004"
        assert row[6] - row[0] == 3_599_999
        assert len(row) == 12

    def test_limits_of_candles(self, venue):
        request = {"symbol": "BTCUSDT", "interval": "1h", "startTime": 1704067200000}
        assert len(get(venue, "/fapi/v1/klines", **request).json()) == 500
        assert len(get(venue, "/fapi/v1/klines", **request, limit=1500).json()) == 700
        assert len(get(venue, "/fapi/v1/klines", **request, endTime=1704067200000 + 3_600_000).json()) == 2

    def test_nothing_from_the_future(self, venue):
        venue.now = "2024-01-01T02:30"
        request = {"symbol": "BTCUSDT", "startTime": 1704067200000}
        assert len(get(venue, "/fapi/v1/klines", **request, interval="1h").json()) == 3
        assert len(get(venue, "/fapi/v1/fundingRate", **request).json()) == 3

    @pytest.mark.parametrize(
        ("path", "params", "code"),
        [
            ("/fapi/v1/klines", {"symbol": "NOPE", "interval": "1h"}, -1121),
            ("/api/v3/klines", {"symbol": "BTCUSDT", "interval": "1h"}, -1121),
            ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "7h"}, -1120),
            ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1d"}, -1120),
            ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1h", "startTime": "x"}, -1100),
            ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1h", "limit": "1501"}, -1130),
            ("/fapi/v1/klines", {"interval": "1h"}, -1102),
        ],
    )
    def test_errors(self, venue, path, params, code):
        response = get(venue, path, **params)
        assert (response.status_code, response.json()["code"]) == (400, code)

    def test_unknown_paths(self, venue):
        assert get(venue, "/fapi/v1/nope").status_code == 404

    def test_weights_are_counted_and_the_limit_is_real(self):
        now = [0.0]
        with LoopbackBinance(FRAMES, now="2025-01-01", limits={"um": 11}, clock=lambda: now[0]) as venue:
            request = {"symbol": "BTCUSDT", "interval": "1h"}
            used = [
                get(venue, "/fapi/v1/klines", **request, limit=limit).headers["x-mbx-used-weight-1m"]
                for limit in (99, 499, 1000)
            ]
            assert used == ["1", "3", "8"]
            now[0] = 20.5
            response = get(venue, "/fapi/v1/klines", **request)
            assert (response.status_code, response.json()["code"]) == (429, -1003)
            now[0] += float(response.headers["retry-after"])
            assert get(venue, "/fapi/v1/klines", **request).status_code == 200

    def test_funding_has_a_limit_of_its_own(self):
        with LoopbackBinance(FRAMES, now="2025-01-01", limits={"funding": 2}, clock=lambda: 0.0) as venue:
            assert [get(venue, "/fapi/v1/fundingInfo").status_code for _ in range(3)] == [200, 200, 429]
            assert get(venue, "/fapi/v1/exchangeInfo").status_code == 200

    def test_sizes_are_plain_decimals(self, venue):
        symbol = get(venue, "/fapi/v1/exchangeInfo").json()["symbols"][0]
        assert symbol["filters"] == [{"filterType": "PRICE_FILTER", "tickSize": "0.0000001"}]
        assert symbol["deliveryDate"] == 4133404800000

    def test_delisted_instruments_are_gone(self):
        frames = FRAMES | {"instruments": listed(status=["delisted"])}
        with LoopbackBinance(frames, now="2025-01-01") as venue:
            assert get(venue, "/fapi/v1/exchangeInfo").json()["symbols"] == []


class TestFeed:
    def test_frames_must_be_as_declared(self):
        with pytest.raises(SchemaError, match="instruments: the frame is not as declared"):
            Feed({"instruments": listed().drop("base")}).instruments("binance")
        with pytest.raises(SchemaError, match="needs the table 'instruments'"):
            Feed({})
        with pytest.raises(UnknownTableError):
            Feed({"funding": FUNDING})

    def test_tables_are_made_only_when_asked_for(self):
        class Lazy(dict):
            def __getitem__(self, name):
                asked.append(name)
                return super().__getitem__(name)

        asked = []
        feed = Feed(Lazy(FRAMES))
        assert (asked, feed.holds("ohlcv_1h")) == ([], True)
        for _ in range(2):
            feed.rows("ohlcv_1h", "binance", "perp", "BTCUSDT")
        assert asked == ["ohlcv_1h"]

    def test_rows_by_time_whatever_the_order_of_the_frame(self):
        feed = Feed(FRAMES | {"funding_rates": FUNDING.reverse()})
        assert feed.rows("funding_rates", "binance", "perp", "BTCUSDT").equals(FUNDING)
        assert feed.rows("funding_rates", "binance", "spot", "BTCUSDT").is_empty()
        assert feed.rows("open_interest", "binance", "perp", "BTCUSDT").is_empty()
