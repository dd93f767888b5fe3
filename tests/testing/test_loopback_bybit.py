"""Bybit's manners on this machine, each quirk by the raw response that has it."""

from datetime import timedelta
from urllib.parse import unquote

import httpx
import polars as pl
import pytest

from cexkit.schema import TABLES
from cexkit.schema.intervals import utc
from cexkit.schema.render import to_polars
from cexkit.testing import LoopbackBybit, nth
from cexkit.testing.bybit import shut_out, wrong_country

START = utc("2024-01-01")
HOUR = timedelta(hours=1)
NOW = START + timedelta(hours=300, minutes=30)


def listed(kind="perp", symbol="BTCUSDT", **terms):
    row = dict.fromkeys(TABLES["instruments"].columns) | {
        "exchange": "bybit", "instrument_type": kind, "symbol": symbol, "venue_symbol": symbol, "base": "BTC",
        "quote": "USDT", "settle": "USDT", "multiplier": 1.0, "contract_size": 1.0, "inverse": False,
        "tick_size": 1e-7, "lot_size": 0.001, "status": "trading", "observed_at": START,
        "funding_interval_hours": 4.0 if kind == "perp" else None,
    }  # fmt: skip
    return row | terms


LISTED = [
    listed("spot"),
    listed(),
    listed(symbol="SHIB1000USDT", multiplier=1000.0, base="SHIB"),
    listed(symbol="OLDUSDT", base="OLD", status="delisted", delisting_time=utc("2023-06-01")),
]


def frame(table, **columns):
    schema = to_polars(TABLES[table])
    count = len(columns["timestamp"])
    columns = {name: columns.get(name, [LISTED[1].get(name)] * count) for name in schema}
    return pl.DataFrame(columns, schema=schema)


TIMES = [START + i * HOUR for i in range(301)]
NUMBERS = [0.1 + 0.2 + i for i in range(301)]
FRAMES = {
    "instruments": pl.DataFrame(LISTED, schema=to_polars(TABLES["instruments"])),
    "ohlcv_1h": frame(
        "ohlcv_1h",
        timestamp=TIMES,
        **dict.fromkeys(("open", "high", "low", "close", "volume_base", "volume_quote"), NUMBERS),
    ),
    "funding_rates": frame("funding_rates", timestamp=TIMES, funding_rate=[i / 1e7 for i in range(301)]),
    "open_interest": frame("open_interest", timestamp=TIMES, open_interest_base=NUMBERS),
}


@pytest.fixture
def venue():
    with LoopbackBybit(FRAMES, now=NOW) as loopback:
        yield loopback


def get(venue, path, category="linear", **params):
    params = {"category": category} | params
    return httpx.get(f"{venue.url}/v5/market/{path}", params=params, trust_env=False, timeout=5)


def result(venue, path, **params):
    said = get(venue, path, **params).json()
    assert said["retCode"] == 0, said
    return said["result"]


def ms(hour):
    return int((START + hour * HOUR).timestamp() * 1000)


def test_bars_go_from_new_to_old_and_keep_the_newest_part(venue):
    rows = result(venue, "kline", symbol="BTCUSDT", interval="60", start=ms(0), end=ms(99), limit=10)["list"]
    assert [int(row[0]) for row in rows] == [ms(h) for h in range(99, 89, -1)]
    assert len(result(venue, "kline", symbol="BTCUSDT", interval="60", start=ms(0))["list"]) == 200


def test_a_start_inside_a_bar_gives_that_bar(venue):
    rows = result(venue, "kline", symbol="BTCUSDT", interval="60", start=ms(5) + 1, end=ms(7) - 1)["list"]
    assert [int(row[0]) for row in rows] == [ms(6), ms(5)]


def test_the_newest_bar_is_unfinished_and_does_not_say_so(venue):
    newest, before = result(venue, "kline", symbol="BTCUSDT", interval="60", limit=2)["list"]
    assert int(newest[0]) == ms(300)
    assert len(newest) == len(before) == 7
    assert float(newest[5]) == pytest.approx(0.01 * NUMBERS[300])


def test_numbers_are_text_of_full_precision(venue):
    (row,) = result(venue, "kline", symbol="BTCUSDT", interval="60", start=ms(0), end=ms(0))["list"]
    assert row[1:] == ["0.30000000000000004"] * 6


def test_spot_and_linear_share_names(venue):
    assert result(venue, "kline", category="spot", symbol="BTCUSDT", interval="60")["list"] == []
    assert get(venue, "kline", category="spot", symbol="OLDUSDT", interval="60").json()["retCode"] == 10001


def test_funding_refuses_a_start_without_an_end(venue):
    assert get(venue, "funding/history", symbol="BTCUSDT", startTime=ms(0)).json()["retCode"] == 10001
    rows = result(venue, "funding/history", symbol="BTCUSDT", endTime=ms(250))["list"]
    assert (len(rows), int(rows[0]["fundingRateTimestamp"])) == (200, ms(250))
    assert get(venue, "funding/history", symbol="BTCUSDT", limit=201).json()["retCode"] == 10001


def test_open_interest_is_doubled_its_last_row_in_seconds_its_cursor_encoded(venue):
    page = result(venue, "open-interest", symbol="BTCUSDT", intervalTime="1h", limit=3)
    assert [row["timestamp"] for row in page["list"]] == [str(ms(300)), str(ms(299)), str(ms(298) // 1000)]
    for row in page["list"]:
        assert float(row["openInterest"]) == 2 * float(row["singleOpenInterest"])
    cursor = page["nextPageCursor"]
    assert cursor.startswith("lastid%3D3%26lasttime%3D")
    following = result(venue, "open-interest", symbol="BTCUSDT", intervalTime="1h", limit=3, cursor=unquote(cursor))
    assert int(following["list"][0]["timestamp"]) == ms(297)
    twice = get(venue, "open-interest", symbol="BTCUSDT", intervalTime="1h", limit=3, cursor=cursor.replace("%", "%25"))
    assert twice.json()["retCode"] == 10001


def test_linear_instruments_come_in_pages_and_closed_ones_when_asked_for(venue):
    first = result(venue, "instruments-info", limit=1)
    second = result(venue, "instruments-info", limit=1, cursor=unquote(first["nextPageCursor"]))
    assert [row["symbol"] for row in (*first["list"], *second["list"])] == ["BTCUSDT", "SHIB1000USDT"]
    assert second["nextPageCursor"] == ""
    (closed,) = result(venue, "instruments-info", status="Closed")["list"]
    assert (closed["symbol"], closed["status"], closed["deliveryTime"]) == ("OLDUSDT", "Closed", "1685577600000")
    assert (first["list"][0]["fundingInterval"], first["list"][0]["deliveryTime"]) == (240, "0")
    assert second["list"][0]["baseCoin"] == "SHIB1000"
    assert first["list"][0]["priceFilter"]["tickSize"] == "0.0000001"


def test_spot_instruments_are_not_paged(venue):
    said = result(venue, "instruments-info", category="spot", limit=1)
    assert "nextPageCursor" not in said
    assert "contractType" not in said["list"][0]


def test_errors_have_status_200(venue):
    response = get(venue, "kline", symbol="NOUSDT", interval="60")
    assert (response.status_code, response.json()["retCode"]) == (200, 10001)
    assert get(venue, "kline", category="option", symbol="BTCUSDT").json()["retCode"] == 10001
    assert get(venue, "kline", symbol="BTCUSDT", interval="7").json()["retCode"] == 10001


def test_the_limit_and_its_headers():
    with LoopbackBybit(FRAMES, now=NOW, limit=2, clock=lambda: 11.0) as venue:
        responses = [get(venue, "instruments-info") for _ in range(3)]
    assert [response.json()["retCode"] for response in responses] == [0, 0, 10006]
    assert [response.headers["x-bapi-limit-status"] for response in responses] == ["1", "0", "0"]
    reset = int(responses[-1].headers["x-bapi-limit-reset-timestamp"])
    assert reset - int(NOW.timestamp() * 1000) == 4001


def test_two_kinds_of_403():
    with LoopbackBybit(FRAMES, now=NOW, faults=[shut_out(nth(1)), wrong_country(nth(2))]) as venue:
        ban, country = get(venue, "kline"), get(venue, "kline")
    assert (ban.status_code, country.status_code) == (403, 403)
    assert "too frequent" in ban.text
    assert "block access from your country" in country.text
