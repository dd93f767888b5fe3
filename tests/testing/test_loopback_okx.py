"""The loopback venue of OKX by itself: real sockets, OKX's envelopes and manners."""

from datetime import timedelta

import httpx
import polars as pl
import pytest

from cexkit.schema import TABLES
from cexkit.schema.intervals import utc
from cexkit.schema.render import to_polars
from cexkit.testing import LoopbackOkx

NOW = utc("2024-03-10T05:30:00.500")
HOUR = timedelta(hours=1)
KNOWN = {"exchange": "okx", "instrument_type": "perp", "base": "BTC", "symbol": "BTCUSDT", "quote": "USDT"}
API = "/api/v5/"
CANDLES, FUNDING = API + "market/history-candles", API + "public/funding-rate-history"


def frame(table, **columns):
    schema = to_polars(TABLES[table])
    rows = max(len(values) for values in columns.values())
    return pl.DataFrame({n: columns.get(n, [KNOWN.get(n)] * rows) for n in schema}, schema=schema)


def instrument(name, symbol, kind="perp", **terms):
    known = {
        "venue_symbol": name, "symbol": symbol, "instrument_type": kind, "settle": "USDT", "multiplier": 1.0,
        "contract_size": 0.01, "inverse": False, "tick_size": 0.1, "lot_size": 0.001, "status": "trading",
        "observed_at": NOW, "funding_interval_hours": 4.0 if kind == "perp" else None,
    }  # fmt: skip
    return frame("instruments", **{name: [value] for name, value in (known | terms).items()})


def hours(count):
    last = NOW.replace(minute=0, second=0, microsecond=0)
    return [last - i * HOUR for i in range(count)]


INVERSE = {"quote": "USD", "settle": "BTC", "inverse": True, "contract_size": 100.0, "lot_size": None}
PRICES = dict.fromkeys(("open", "high", "low", "close"), [50_000.0] * 400)
FRAMES = {
    "instruments": pl.concat(
        [
            instrument("BTC-USDT-SWAP", "BTCUSDT"),
            instrument("BTC-USD-SWAP", "BTCUSD:BTC", **INVERSE),
            instrument("BTC-USDT", "BTCUSDT", "spot", contract_size=1.0),
            instrument("OLD-USDT-SWAP", "OLDUSDT", base="OLD", status="delisted"),
        ]
    ),
    "ohlcv_1h": frame(
        "ohlcv_1h", timestamp=hours(400), volume_base=[2.0] * 400, volume_quote=[1e5] * 400, **PRICES
    ),
    "funding_rates": frame("funding_rates", timestamp=hours(3000), funding_rate=[1e-4] * 3000),
}  # fmt: skip


@pytest.fixture
def venue():
    with LoopbackOkx(FRAMES, now=NOW) as loopback:
        yield loopback


def request(venue, path, **params):
    return httpx.get(venue.url + path, params=params, trust_env=False, timeout=5)


def rows(venue, path, **params):
    body = request(venue, path, **params).json()
    assert (body["code"], body["msg"]) == ("0", "")
    return body["data"]


class TestEnvelopes:
    def test_an_error_has_status_200_and_a_code_that_is_text(self, venue):
        reply = request(venue, CANDLES, instId="BTC-USDT-SWAP", bar="1h")
        assert (reply.status_code, reply.json()) == (200, {"code": "51000", "data": [], "msg": "Parameter bar error"})

    def test_too_many_requests_have_429_and_no_data(self, venue):
        venue.limits["history-candles"] = 1
        replies = [request(venue, CANDLES, instId="BTC-USDT-SWAP") for _ in range(20)]
        refused = next(reply for reply in replies if reply.status_code == 429)
        assert refused.json() == {"msg": "Too Many Requests", "code": "50011"}
        assert "retry-after" not in refused.headers

    @pytest.mark.parametrize(
        ("path", "params", "code"),
        [
            (CANDLES, {"instId": "OLD-USDT-SWAP"}, "51001"),
            (CANDLES, {}, "50014"),
            (CANDLES, {"instId": "BTC-USDT", "after": "yesterday"}, "51000"),
            (API + "public/instruments", {"instType": "SWAPS"}, "51000"),
            (API + "public/liquidation-orders", {"instType": "SWAP"}, "50015"),
            (API + "rubik/stat/contracts/open-interest-history", {"instId": "BTC-USDT-SWAP", "period": "1h"}, "51000"),
        ],
    )
    def test_refusals(self, venue, path, params, code):
        assert request(venue, path, **params).json()["code"] == code

    def test_other_paths_are_not_there(self, venue):
        assert request(venue, API + "public/nothing").status_code == 404


class TestPages:
    def test_limits_of_pages(self, venue):
        assert len(rows(venue, CANDLES, instId="BTC-USDT-SWAP", bar="1H")) == 100
        assert len(rows(venue, CANDLES, instId="BTC-USDT-SWAP", bar="1H", limit="1000")) == 300
        assert len(rows(venue, FUNDING, instId="BTC-USDT-SWAP", limit="1000")) == 400

    def test_newest_first(self, venue):
        times = [int(row[0]) for row in rows(venue, CANDLES, instId="BTC-USDT-SWAP", bar="1H")]
        assert times == sorted(times, reverse=True)

    def test_funding_of_three_months(self, venue):
        early = int((NOW - timedelta(days=92)).timestamp() * 1000)
        assert rows(venue, FUNDING, instId="BTC-USDT-SWAP", after=str(early)) == []
        assert rows(venue, FUNDING, instId="BTC-USDT-SWAP", after=str(early + 3_600_000)) != []


class TestForms:
    def test_volumes_of_contracts_are_contracts_and_the_running_bar_is_not_confirmed(self, venue):
        running, done = rows(venue, CANDLES, instId="BTC-USDT-SWAP", bar="1H", limit="2")
        assert [float(value) for value in done[5:8]] == [200.0, 2.0, 1e5]
        assert (running[8], done[8]) == ("0", "1")
        assert float(running[6]) < 2.0

    def test_lists(self, venue):
        linear, inverse = rows(venue, API + "public/instruments", instType="SWAP")
        names = ("instId", "baseCcy", "uly", "settleCcy", "ctType", "ctVal", "ctValCcy")
        assert [linear[name] for name in names] == ["BTC-USDT-SWAP", "", "BTC-USDT", "USDT", "linear", "0.01", "BTC"]
        assert [inverse[name] for name in names[2:5]] == ["BTC-USD", "BTC", "inverse"]
        assert (float(inverse["ctVal"]), inverse["ctValCcy"]) == (100.0, "USD")
        assert float(linear["lotSz"]) == 0.1
        (spot,) = rows(venue, API + "public/instruments", instType="SPOT")
        assert (spot["baseCcy"], spot["quoteCcy"], spot["ctVal"]) == ("BTC", "USDT", "")
        (x_perp,) = rows(venue, API + "public/instruments", instType="FUTURES")
        assert "XPERP" in x_perp["instId"]

    def test_the_next_settlements(self, venue):
        found = rows(venue, API + "public/funding-rate", instId="ANY")
        assert {row["instId"] for row in found} == {"BTC-USDT-SWAP", "BTC-USD-SWAP"}
        coming, following = (int(found[0][name]) for name in ("fundingTime", "nextFundingTime"))
        assert coming == int(utc("2024-03-10T08:00").timestamp() * 1000)
        assert following - coming == 4 * 3_600_000
