"""OKX's bodies → declared tables: pure functions, real recordings where they are present."""

import json
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from cexkit.errors import PayloadError, RateLimitedError, TransportError, UnknownNameError, VenueError
from cexkit.exchanges.http import PageRequest, Response
from cexkit.exchanges.http.paginate import PageResult
from cexkit.exchanges.instruments import left_out
from cexkit.exchanges.okx import descriptor as okx
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.registry import exchange, join_companions, parse_response
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, utc
from cexkit.schema.render import to_pyarrow
from cexkit.schema.symbols import Instrument
from tests.flaws import flaw

START = utc("2024-01-01")
MS = int(START.timestamp() * 1000)
HOUR_MS = 3_600_000


def instrument(kind="perp", venue_symbol="BTC-USDT-SWAP", symbol="BTCUSDT", quote="USDT", size=0.01, inverse=False):
    return Instrument(
        exchange="okx", instrument_type=kind, symbol=symbol, venue_symbol=venue_symbol, base="BTC", quote=quote,
        contract_size=size, inverse=inverse,
    )  # fmt: skip


SPOT = instrument("spot", "BTC-USDT", size=1.0)
INVERSE = instrument(venue_symbol="BTC-USD-SWAP", symbol="BTCUSD:BTC", quote="USD", size=100.0, inverse=True)


def context(table, *, now="2025-01-01", window=("2024-01-01", "2024-02-01"), of=None):
    if table == "instruments":
        return Context(exchange="okx", table=table, now=utc(now))
    return Context(exchange="okx", table=table, now=utc(now), instrument=of or instrument(), window=Window.of(*window))


def said(data, code="0"):
    return json.dumps({"code": code, "data": data, "msg": ""}).encode()


def candle(hour, length=HOUR_MS, **changes):
    row = {"ts": str(MS + hour * length), "open": "3", "high": "4", "low": "1", "close": "2"}
    row |= {"vol": "1050", "volCcy": "10.5", "volCcyQuote": "31.5", "confirm": "1"} | changes
    return list(row.values())


def candles(rows, table="ohlcv_1h", **options):
    return parse_response("okx", "v5.history-candles", said(rows), context(table, **options))


def reference(hour, **changes):
    row = {"ts": str(MS + hour * HOUR_MS), "open": "3", "high": "4", "low": "1", "close": "2", "confirm": "1"}
    return list((row | changes).values())


def settled(ms, rate="0.0001", **more):
    known = {"instId": "BTC-USDT-SWAP", "instType": "SWAP", "fundingTime": str(ms), "fundingRate": "0.0009"}
    return known | {"realizedRate": rate, "method": "current_period"} | more


def funding(rows, **options):
    return parse_response("okx", "v5.funding-rate-history", said(rows), context("funding_rates", **options))


def open_interest(rows, **options):
    return parse_response("okx", "v5.open-interest-history", said(rows), context("open_interest", **options))


def event(ms, **changes):
    return {"ts": str(ms), "bkPx": "100.5", "sz": "3", "side": "sell", "posSide": "long", "bkLoss": "0"} | changes


def liquidations(*events, instrument_id="BTC-USDT-SWAP", more=(), **options):
    items = [{"instId": instrument_id, "instType": "SWAP", "details": list(events)}, *more]
    return parse_response("okx", "v5.liquidation-orders", said(items), context("liquidations", **options))


class TestCandles:
    def test_every_slot_lands_in_its_column(self):
        rows = candles([candle(0)])
        assert rows.schema.equals(to_pyarrow(TABLES["ohlcv_1h"]), check_metadata=True)
        assert rows.to_pylist() == [
            {
                "exchange": "okx", "instrument_type": "perp", "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT",
                "timestamp": START, "open": 3.0, "high": 4.0, "low": 1.0, "close": 2.0,
                "volume_base": 10.5, "volume_quote": 31.5, "trades": None,
                "taker_buy_volume_base": None, "taker_buy_volume_quote": None, "multiplier": None,
            }
        ]  # fmt: skip

    def test_volumes_of_spot_stand_in_other_slots(self):
        row = candles([candle(0, vol="10.5", volCcy="31.5", volCcyQuote="31.5")], of=SPOT).to_pylist()[0]
        assert (row["volume_base"], row["volume_quote"]) == (10.5, 31.5)

    def test_inverse_volumes_are_the_coins_the_venue_says(self):
        row = candles([candle(0, vol="0.3", volCcy="10.5", volCcyQuote="30")], of=INVERSE).to_pylist()[0]
        assert (row["volume_base"], row["volume_quote"]) == (10.5, 30.0)

    @pytest.mark.parametrize("of", [SPOT, instrument()])
    def test_contracts_are_not_taken_for_coins(self, of):
        swapped = {"vol": "10.5", "volCcy": "1050"} if of is not SPOT else {}
        with pytest.raises(PayloadError, match="volumes are in other units"):
            candles([candle(0, **swapped)], of=of)

    def test_no_trades_are_no_reason_to_refuse(self):
        assert candles([candle(0, vol="0", volCcy="0", volCcyQuote="0")])["volume_base"].to_pylist() == [0.0]

    def test_what_is_not_confirmed_is_dropped_whatever_the_clock_says(self):
        rows = candles([candle(1, confirm="0"), candle(0)])
        assert rows["timestamp"].to_pylist() == [START]

    def test_what_is_confirmed_but_not_over_is_dropped(self):
        assert candles([candle(1), candle(0)], now="2024-01-01T02:00:00.9").num_rows == 1
        assert candles([candle(1), candle(0)], now="2024-01-01T02:00:01").num_rows == 2

    def test_days_of_utc_plus_8_are_refused(self):
        with pytest.raises(PayloadError, match=r"2024-01-01T16:00:00.00:00 is not on the UTC grid of 1 day"):
            candles([candle(16)], "ohlcv_1d")

    def test_bars_of_another_length_are_refused(self):
        with pytest.raises(PayloadError, match="not on the UTC grid"):
            candles([candle(1, 60_000), candle(0, 60_000)])

    def test_a_page_that_is_not_older_than_asked_is_refused(self):
        with pytest.raises(PayloadError, match=r"rows must be before 2024-01-01T05:00:00.00:00, got 2024-01-01T05:00"):
            candles([candle(5), candle(4)], window=("2024-01-01", "2024-01-01T05:00"))

    def test_oldest_first_is_refused(self):
        with pytest.raises(PayloadError, match="newer than the one before") as caught:
            candles([candle(2), candle(0), candle(1)])
        assert caught.value.row == 2

    def test_rows_before_the_window_are_dropped(self):
        rows = candles([candle(2), candle(1), candle(0)], window=("2024-01-01T01:00", "2024-01-01T03:00"))
        assert [t.hour for t in rows["timestamp"].to_pylist()] == [2, 1]

    @pytest.mark.parametrize(
        ("row", "field", "text"),
        [
            (candle(0, close="NaN"), "close", "finite number"),
            (candle(0, high="-1"), "high", "greater than or equal to 0"),
            (candle(0, low=""), "low", "unable to parse"),
            (candle(0, volCcy=""), "volCcy", "unable to parse"),
            (candle(0, ts=str(MS // 1000)), "ts", "1000000000000"),
            (candle(0, confirm="2"), "confirm", "'0' or '1'"),
            (candle(0)[:8], "confirm", "Field required"),
        ],
    )
    def test_errors_name_row_and_field(self, row, field, text):
        found = flaw(candles([candle(1), row]))
        assert found.startswith(f"row 1, field {field!r}: ")
        assert re.search(text, found)

    @pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"code":0,"data":[]}', b'{"data":[]}'])
    def test_bodies_that_are_none(self, body):
        with pytest.raises(PayloadError, match=r"v5\.history-candles"):
            parse_response("okx", "v5.history-candles", body, context("ohlcv_1h"))

    @pytest.mark.parametrize(("interval", "bar"), [("1m", "1m"), ("1h", "1H"), ("1d", "1Dutc")])
    def test_only_older_rows_are_asked_for(self, interval, bar):
        source = exchange("okx").source(f"ohlcv_{interval}", "perp")
        params = source.params(instrument(), PageRequest(Window.of("2024-01-01", "2024-01-02"), 300))
        assert params == {"instId": "BTC-USDT-SWAP", "bar": bar, "after": str(MS + 24 * HOUR_MS), "limit": "300"}


class TestReferences:
    @pytest.mark.parametrize(
        ("table", "endpoint"),
        [("mark_1h", "v5.history-mark-price-candles"), ("index_1h", "v5.history-index-candles")],
    )
    def test_every_slot_lands_in_its_column(self, table, endpoint):
        rows = parse_response("okx", endpoint, said([reference(1, confirm="0"), reference(0)]), context(table))
        assert rows.schema.equals(to_pyarrow(TABLES[table]))
        row = rows.to_pylist()[0]
        assert [row[name] for name in ("timestamp", "open", "high", "low", "close")] == [START, 3.0, 4.0, 1.0, 2.0]

    def test_rows_of_another_shape_are_refused(self):
        with pytest.raises(PayloadError, match=r"v5\.history-index-candles"):
            parse_response("okx", "v5.history-index-candles", said([candle(0)]), context("index_1h"))

    @pytest.mark.parametrize("venue_symbol", ["BTC-USDT-SWAP", "BTC-USDT-240628", "BTC-USDT_UM-SWAP"])
    def test_the_index_is_that_of_the_pair(self, venue_symbol):
        source = exchange("okx").source("index_1h", "perp")
        asked = PageRequest(Window.of("2024-01-01", "2024-01-02"), 100)
        assert source.params(instrument(venue_symbol=venue_symbol), asked)["instId"] == "BTC-USDT"


class TestFunding:
    def test_the_rate_that_was_paid_not_the_published_one(self):
        row = funding([settled(MS, "-0.00001234", fundingRate="0.0009")]).to_pylist()[0]
        assert row["funding_rate"] == -0.00001234
        assert row["funding_interval_hours"] is row["mark_price"] is row["index_price"] is None

    def test_keyed_on_the_minute_and_the_raw_time_kept(self):
        row = funding([settled(MS + 47)]).to_pylist()[0]
        assert row["timestamp"] == START
        assert row["venue_timestamp"] == START + timedelta(milliseconds=47)

    def test_without_its_rate_a_settlement_under_way_is_left_for_later(self):
        rows = funding([settled(MS + 8 * HOUR_MS, ""), settled(MS)], now="2024-01-01T08:00:30")
        assert rows["timestamp"].to_pylist() == [START]

    def test_without_its_rate_an_old_settlement_is_quarantined(self):
        found = flaw(funding([settled(MS + 8 * HOUR_MS), settled(MS, "")]))
        assert found == "row 1, field 'realizedRate': an old settlement without the rate that was paid"

    def test_what_is_still_to_come_is_no_settlement(self):
        rows = funding([settled(MS + 8 * HOUR_MS), settled(MS)], now="2024-01-01T07:59:59")
        assert rows["timestamp"].to_pylist() == [START]

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"instId": "ETH-USDT-SWAP"}, "instId"),
            ({"instType": "FUTURES"}, "instType"),
            ({"realizedRate": "x"}, "realizedRate"),
            ({"fundingTime": "1704067200"}, "fundingTime"),
        ],
    )
    def test_errors_name_row_and_field(self, change, field):
        found = flaw(funding([settled(MS + HOUR_MS), settled(MS, **change)]))
        assert found.startswith(f"row 1, field {field!r}: ")

    def test_asked_for_with_room_for_jitter(self):
        source = exchange("okx").source("funding_rates", "perp")
        params = source.params(instrument(), PageRequest(Window.of("2023-12-31", "2024-01-01"), 400))
        assert MS - 30_001 <= int(params["after"]) <= MS - 29_999


class TestOpenInterest:
    def test_coins_and_no_dollars_for_tether(self):
        row = open_interest([[str(MS), "5000", "50.5", "2500000"]]).to_pylist()[0]
        assert (row["open_interest_base"], row["open_interest_quote"]) == (50.5, None)

    def test_dollars_where_the_quote_is_the_dollar(self):
        row = open_interest([[str(MS), "25000", "50.5", "2500000"]], of=INVERSE).to_pylist()[0]
        assert (row["open_interest_base"], row["open_interest_quote"]) == (50.5, 2_500_000.0)

    def test_the_running_hour_may_still_change(self):
        rows = [[str(MS + HOUR_MS), "1", "1", "1"], [str(MS), "2", "2", "2"]]
        assert open_interest(rows, now="2024-01-01T02:00:00")["open_interest_base"].to_pylist() == [2.0]
        assert open_interest(rows, now="2024-01-01T02:00:01").num_rows == 2

    def test_both_ends_are_exclusive(self):
        source = exchange("okx").source("open_interest", "perp")
        params = source.params(instrument(), PageRequest(Window.of("2023-12-31", "2024-01-01"), 24))
        assert params == {"instId": "BTC-USDT-SWAP", "period": "1H", "end": str(MS), "limit": "24"}

    def test_rows_off_the_hour_are_refused(self):
        with pytest.raises(PayloadError, match="not on the UTC grid"):
            open_interest([[str(MS + 60_000), "1", "1", "1"]])


class TestLiquidations:
    def test_contracts_become_coins(self):
        row = liquidations(event(MS, sz="10000", bkPx="57102.9")).to_pylist()[0]
        wanted = {"side": "long", "price": 57102.9, "price_type": "bankruptcy", "quantity_base": 100.0,
                  "value_quote": 57102.9 * 100.0, "event": 0, "coverage": "throttled", "timestamp": START}  # fmt: skip
        assert {name: row[name] for name in wanted} == wanted

    def test_contracts_become_coins_without_binary_dust(self):
        rows = liquidations(event(MS, sz="3"), of=instrument(size=0.1))
        assert rows["quantity_base"].to_pylist() == [0.3]

    def test_inverse_contracts_are_dollars(self):
        row = liquidations(event(MS, sz="3", bkPx="50000"), instrument_id="BTC-USD-SWAP", of=INVERSE).to_pylist()[0]
        assert row["quantity_base"] == 300 / 50000
        assert row["value_quote"] == pytest.approx(300.0)

    @pytest.mark.parametrize(
        ("position", "order", "side"),
        [
            ("long", "sell", "long"), ("short", "buy", "short"),
            ("net", "sell", "long"), ("net", "buy", "short"), ("", "sell", "long"), ("", "buy", "short"),
        ],
    )  # fmt: skip
    def test_the_side_of_the_position(self, position, order, side):
        assert liquidations(event(MS, posSide=position, side=order))["side"].to_pylist() == [side]

    def test_sides_that_contradict_each_other_are_refused(self):
        with pytest.raises(PayloadError, match="a long position closed by an order to buy"):
            liquidations(event(MS, posSide="long", side="buy"))

    def test_all_details_of_all_items_are_read_and_other_instruments_are_not(self):
        other = {"instId": "BTC-USDT-240628", "details": [event(MS)]}
        again = {"instId": "BTC-USDT-SWAP", "details": [event(MS + 1)]}
        rows = liquidations(event(MS + 3), event(MS + 2), more=[other, again])
        assert [t.microsecond for t in rows["timestamp"].to_pylist()] == [3000, 2000, 1000]

    def test_twins_are_numbered_within_their_moment(self):
        rows = liquidations(event(MS + 1), event(MS + 1), event(MS + 1, sz="4"), event(MS), event(MS))
        assert rows["event"].to_pylist() == [0, 1, 0, 0, 1]

    def test_a_part_of_a_moment_gets_the_first_numbers_of_the_whole(self):
        part, whole = liquidations(event(MS), event(MS)), liquidations(event(MS), event(MS), event(MS))
        assert whole["event"].to_pylist()[:2] == part["event"].to_pylist()

    def test_a_page_that_is_not_older_than_asked_is_refused(self):
        with pytest.raises(PayloadError, match="events must be before"):
            liquidations(event(MS), window=("2023-12-01", "2024-01-01"))

    def test_more_in_one_moment_than_a_page_holds_is_an_error(self):
        with pytest.raises(PayloadError, match="all 100 events of a full page have the same timestamp"):
            liquidations(*[event(MS)] * 100)
        assert liquidations(event(MS + 1), *[event(MS)] * 99).num_rows == 100

    @pytest.mark.parametrize("change", [{"sz": "NaN"}, {"sz": "-1"}, {"bkPx": ""}, {"side": "long"}, {"ts": "1"}])
    def test_events_that_are_none_are_refused(self, change):
        with pytest.raises(PayloadError, match=r"v5\.liquidation-orders"):
            liquidations(event(MS, **change))


def test_limits_are_those_of_the_documentation():
    assert {(budget.name, budget.limit, budget.per_seconds) for budget in exchange("okx").apis["v5"].budgets} == {
        ("instruments", 20, 2), ("funding-rate", 10, 2), ("history-candles", 20, 2), ("liquidation-orders", 20, 2),
        ("history-mark-price-candles", 10, 2), ("history-index-candles", 10, 2), ("funding-rate-history", 10, 2),
        ("open-interest-history", 10, 2),
    }  # fmt: skip
    (companion,) = exchange("okx").source("instruments", "perp").companions
    assert (companion.cost({}), companion.params(None, companion.paginator.first(None))) == (
        {"funding-rate": 1}, {"instId": "ANY"},
    )  # fmt: skip


class TestOverlapping:
    paginator = okx.Overlapping(limit=100)

    def test_a_page_without_ours_goes_on_from_where_it_reached(self):
        request = self.paginator.first(Window.of("2024-01-01", "2024-01-02"))
        again = self.paginator.next(request, PageResult(None, None, cursor=str(MS + 5)))
        assert again.window.end == START + timedelta(milliseconds=6)

    def test_the_end_is_an_empty_page_or_the_windows_start(self):
        request = self.paginator.first(Window.of("2024-01-01", "2024-01-02"))
        assert self.paginator.next(request, PageResult(None, None)) is None
        assert self.paginator.next(request, PageResult(None, None, cursor=str(MS - 1))) is None
        assert self.paginator.first(Window(START, START)) is None
        assert self.paginator.skip(request) == (request.window, None)


def contract(name="BTC-USDT-SWAP", **changes):
    row = {
        "instId": name, "state": "live", "baseCcy": "", "quoteCcy": "", "uly": "BTC-USDT", "settleCcy": "USDT",
        "ctType": "linear", "ctVal": "0.01", "ctMult": "1", "ctValCcy": "BTC", "tickSz": "0.1", "lotSz": "0.1",
        "listTime": str(MS), "expTime": "",
    }  # fmt: skip
    return row | changes


def listed(*rows, kind="perp"):
    return parse_response("okx", f"v5.instruments-{kind}", said(rows), context("instruments"))


class TestListings:
    def test_a_linear_swap(self):
        assert listed(contract()).to_pylist() == [
            {
                "exchange": "okx", "instrument_type": "perp", "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT",
                "venue_symbol": "BTC-USDT-SWAP", "settle": "USDT", "multiplier": 1.0, "contract_size": 0.01,
                "inverse": False, "tick_size": 0.1, "lot_size": 0.001, "status": "trading", "listing_time": START,
                "delisting_time": None, "expiry": None, "funding_interval_hours": None,
                "observed_at": utc("2025-01-01"), "asset_class": None,
            }
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("stated", "expected"),
        [
            ({"instCategory": "1"}, "crypto"),
            ({"instCategory": "3"}, "equity"),
            ({"instCategory": "4"}, "commodity"),
            ({"instCategory": ""}, None),
            ({"instCategory": "7"}, None),
        ],
    )
    def test_asset_class_is_what_the_venue_states(self, stated, expected):
        assert listed(contract(**stated))["asset_class"].to_pylist() == [expected]

    def test_a_contract_is_its_value_times_its_multiplier(self):
        assert listed(contract(ctVal="1000", ctMult="10"))["contract_size"].to_pylist() == [10_000.0]

    def test_an_inverse_swap(self):
        terms = {"uly": "BTC-USD", "settleCcy": "BTC", "ctType": "inverse", "ctVal": "100", "ctValCcy": "USD"}
        row = listed(contract("BTC-USD-SWAP", **terms)).to_pylist()[0]
        assert (row["symbol"], row["settle"], row["inverse"], row["contract_size"], row["lot_size"]) == (
            "BTCUSD:BTC", "BTC", True, 100.0, None,
        )  # fmt: skip

    def test_a_dated_future(self):
        row = listed(
            contract("BTC-USDT-240628", expTime=str(int(utc("2024-06-28T08:00").timestamp() * 1000))), kind="future"
        ).to_pylist()[0]
        assert (row["instrument_type"], row["symbol"]) == ("future", "BTCUSDT-20240628")
        assert row["expiry"] == row["delisting_time"] == utc("2024-06-28T08:00")

    def test_a_perp_on_its_way_out_has_a_delisting_time_and_no_expiry(self):
        end = utc("2025-01-02")
        row = listed(contract(expTime=str(int(end.timestamp() * 1000)), state="suspend")).to_pylist()[0]
        assert (row["status"], row["delisting_time"], row["expiry"]) == ("halted", end, None)

    def test_spot(self):
        empty = dict.fromkeys(("uly", "settleCcy", "ctType", "ctVal", "ctMult", "ctValCcy"), "")
        row = listed(contract("ETH-BTC", baseCcy="ETH", quoteCcy="BTC", listTime="", **empty), kind="spot").to_pylist()[
            0
        ]
        assert (row["symbol"], row["settle"], row["contract_size"], row["lot_size"]) == ("ETHBTC", "BTC", 1.0, 0.1)
        assert row["listing_time"] is None

    def test_what_is_not_read_is_left_out_by_name(self):
        date = str(int(utc("2031-04-04T08:00").timestamp() * 1000))
        futures = listed(
            contract("BTC-USD_UM_XPERP-310404", expTime=date), contract("BTC-USDT-240628", expTime=date),
            contract("BTC-USDT-240629"), kind="future",
        )  # fmt: skip
        assert futures.num_rows == 0
        assert left_out(futures) == {
            "BTC-USD_UM_XPERP-310404": "it is an X-Perp: it has a date and pays funding",
            "BTC-USDT-240628": "its expiry 2031-04-04 08:00:00+00:00 is not the one in its name",
            "BTC-USDT-240629": "its expiry None is not the one in its name",
        }
        swaps = listed(
            contract("A", state="test"), contract("B", uly=""), contract("C", uly="BTC-USD_UM"),
            contract("D", ctVal=""), contract("E", ctValCcy="USDT"), contract("F", ctType=""), contract("G"),
            contract("HH"),
        )  # fmt: skip
        assert swaps.num_rows == 0
        assert left_out(swaps) == {
            "A": "its state 'test' is not read",
            "B": "its currencies are not plain names: '' and ''",
            "C": "its currencies are not plain names: 'BTC' and 'USD_UM'",
            "D": "its contract's value or settlement is not said",
            "E": "its contract is worth 0.01 USDT, though it is 'linear'",
            "F": "its contract is worth 0.01 BTC, though it is ''",
            "G": "G and HH are both BTCUSDT; which is meant cannot be told",
            "HH": "G and HH are both BTCUSDT; which is meant cannot be told",
        }

    def test_errors_name_row_and_field(self):
        bad = contract()
        del bad["uly"]
        assert left_out(listed(contract("ETH-USDT-SWAP"), bad)) == {
            bad["instId"]: "its 'uly' cannot be read: Field required"
        }

    def test_the_funding_interval_is_the_distance_of_the_next_two_settlements(self):
        rows = [
            {"instId": "BTC-USDT-SWAP", "fundingTime": str(MS), "nextFundingTime": str(MS + 4 * HOUR_MS)},
            {"instId": "ETH-USDT-SWAP", "fundingTime": str(MS), "nextFundingTime": ""},
            {"instId": "XRP-USDT-SWAP", "fundingTime": str(MS), "nextFundingTime": str(MS)},
        ]
        info = parse_response("okx", "v5.funding-rate", said(rows), context("instruments"))
        assert info["funding_interval_hours"].to_pylist() == [4.0, None, None]
        perps = listed(contract(), contract("NEW-USDT-SWAP", uly="NEW-USDT", ctValCcy="NEW"))
        joined = join_companions("okx", "v5.instruments-perp", perps, {"v5.funding-rate": info})
        assert joined["funding_interval_hours"].to_pylist() == [4.0, None]
        assert joined.schema.equals(to_pyarrow(TABLES["instruments"]))
        assert join_companions("okx", "v5.instruments-perp", perps, {}).equals(perps)


class TestErrors:
    def of(self, body, status=200, params=None):
        response = Response("http://x/api", params or {}, status, {}, datetime.now(UTC), body)
        return exchange("okx").apis["v5"].error(response)

    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            ("51000", VenueError), ("50015", VenueError), ("50076", VenueError), ("51001", UnknownNameError),
            ("50011", RateLimitedError), ("50013", TransportError), ("50001", TransportError),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("status", [200, 400])
    def test_inside_any_status(self, code, kind, status):
        error = self.of(json.dumps({"code": code, "data": [], "msg": "why"}).encode(), status)
        assert type(error) is kind
        assert f"code {code}: why" in str(error)

    @pytest.mark.parametrize("body", [b'{"code":"0","data":[]}', b"[]", b"", b"{", b'{"code":1}', b"<html>"])
    def test_none(self, body):
        assert self.of(body) is None

    def test_an_unknown_instrument_is_named(self):
        error = self.of(b'{"code":"51001","data":[],"msg":"no"}', params={"instId": "X-SWAP"})
        assert "okx knows no instrument 'X-SWAP'" in str(error)


@pytest.fixture
def recorded(shared):
    folder = shared / "recordings" / "okx"
    return lambda name: (folder / name).read_bytes()


class TestRecordings:
    now = "2026-11-01"

    def test_candles(self, recorded):
        body = recorded("history-candles__bar-1m_BTC-USDT-SWAP_limit-3.json")
        rows = parse_response(
            "okx", "v5.history-candles", body, context("ohlcv_1m", now=self.now, window=("2026-01-01", self.now))
        )
        raw = json.loads(body)["data"]
        assert [row[8] for row in raw] == ["0", "1", "1"]
        assert rows.num_rows == 2
        assert rows["volume_base"].to_pylist() == [float(row[6]) for row in raw[1:]]
        # contracts of 0.01
        assert rows["volume_base"].to_pylist() == pytest.approx([float(row[5]) / 100 for row in raw[1:]])

    @pytest.mark.parametrize(
        ("name", "count"),
        [("BTC-USDT-SWAP_2026-09-28..29.json", 6), ("BTC-USDT-SWAP_first82of281.json", 82)],
    )
    def test_funding(self, recorded, name, count):
        body = recorded(f"funding-rate-history__{name}")
        asked = context("funding_rates", now=self.now, window=("2026-01-01", self.now))
        rows = parse_response("okx", "v5.funding-rate-history", body, asked)
        assert rows.num_rows == count
        raw = {float(row["realizedRate"]) for row in json.loads(body)["data"]}
        assert set(rows["funding_rate"].to_pylist()) == raw
        times = sorted(rows["timestamp"].to_pylist())
        assert {late - early for early, late in pairwise(times)} == {timedelta(hours=8)}

    def test_a_swap_of_today(self, recorded):
        body = recorded("instruments_swap_USDC-USDT-SWAP.json")
        row = parse_response("okx", "v5.instruments-perp", body, context("instruments")).to_pylist()[0]
        assert (row["symbol"], row["base"], row["quote"], row["contract_size"]) == ("USDCUSDT", "USDC", "USDT", 10.0)

    @pytest.mark.parametrize(("name", "kind", "count"), [("SWAP", "perp", 166), ("FUTURES", "future", 104)])
    def test_whole_lists(self, recorded, name, kind, count):
        body = json.dumps(json.loads(recorded(f"okx_public_instruments_{name}_2022-05-13.json"))["body"]).encode()
        rows = parse_response("okx", f"v5.instruments-{kind}", body, context("instruments", now="2022-05-13"))
        assert left_out(rows) == {}
        assert rows.num_rows == len(set(rows["symbol"].to_pylist())) == count
        by_name = {row["venue_symbol"]: row for row in rows.to_pylist()}
        for raw in json.loads(body)["data"]:
            row = by_name[raw["instId"]]
            assert row["inverse"] == (raw["ctType"] == "inverse")
            assert row["contract_size"] == float(raw["ctVal"]) * float(raw["ctMult"])
            assert f"{row['base']}-{row['quote']}" == raw["uly"]
            assert row["symbol"].endswith(f":{row['base']}") == row["inverse"]
            assert (row["expiry"] is None) == (kind == "perp")

    def test_errors(self, recorded):
        error = TestErrors().of
        assert type(error(recorded("history-candles__bar-2s_error.json"))) is VenueError
        assert type(error(recorded("throttled_HTTP429_body.json"), 429)) is RateLimitedError

    def test_an_event_of_the_stream_is_read_alike(self, recorded):
        message = json.loads(recorded("ws_liquidation-orders_testnet_2024-08-07.json"))
        body, asked = said(message["data"]), context("liquidations", window=("2024-08-01", "2024-09-01"))
        row = parse_response("okx", "v5.liquidation-orders", body, asked).to_pylist()[0]
        raw = message["data"][0]["details"][0]
        assert (row["side"], row["quantity_base"]) == ("long", float(raw["sz"]) / 100)

    def test_shapes_of_the_vendor(self, shared):
        text = (shared / "recordings/shapes/OKX__Endpoints_UnifiedApi_ExchangeData_GetSymbols.txt").read_text()
        rows = parse_response("okx", "v5.instruments-spot", text.split("\n", 3)[3].encode(), context("instruments"))
        assert rows["venue_symbol"].to_pylist() == ["BTC-USDT"]
