"""Binance's bodies → declared tables: pure functions, real recordings where they are present."""

import json
import re
from collections import Counter
from datetime import datetime, timedelta

import polars as pl
import pyarrow as pa
import pytest

from cexkit.errors import NotOfferedError, NotReadYetError, PayloadError, UnknownNameError
from cexkit.exchanges.http import PageRequest, Response
from cexkit.exchanges.instruments import left_out
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.registry import EXCHANGES, exchange, join_companions, parse_response
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, utc
from cexkit.schema.render import to_pyarrow
from cexkit.schema.symbols import Instrument
from tests.flaws import flaw

START = utc("2024-01-01")
MS = int(START.timestamp() * 1000)
HOUR_MS = 3_600_000


def instrument(kind="perp", venue_symbol="BTCUSDT", symbol="BTCUSDT"):
    return Instrument(
        exchange="binance", instrument_type=kind, symbol=symbol, venue_symbol=venue_symbol, base="BTC", quote="USDT"
    )


def context(table, *, now="2025-01-01", window=("2024-01-01", "2024-02-01"), of=None):
    if table == "instruments":
        return Context(exchange="binance", table=table, now=utc(now))
    return Context(
        exchange="binance", table=table, now=utc(now), instrument=of or instrument(), window=Window.of(*window)
    )


def kline(hour, length=HOUR_MS, **changes):
    row = [
        MS + hour * length,
        "3",
        "4",
        "1",
        "2",
        "10.5",
        MS + (hour + 1) * length - 1,
        "30.5",
        7,
        "5.25",
        "15.25",
        "0",
    ]
    names = ("openTime", "open", "high", "low", "close", "volume", "closeTime", "quoteVolume", "trades")
    for name, value in changes.items():
        row[names.index(name)] = value
    return row


def settlement(ms, rate="0.0001", **more):
    return {"symbol": "BTCUSDT", "fundingTime": ms, "fundingRate": rate, "markPrice": "42000.5"} | more


def klines(rows, table="ohlcv_1h", **options):
    return parse_response("binance", "um.klines", json.dumps(rows).encode(), context(table, **options))


def funding(rows, **options):
    return parse_response("binance", "um.fundingRate", json.dumps(rows).encode(), context("funding_rates", **options))


class TestKlines:
    def test_every_slot_lands_in_its_column(self):
        rows = klines([kline(0)])
        assert rows.schema.equals(to_pyarrow(TABLES["ohlcv_1h"]), check_metadata=True)
        assert rows.to_pylist() == [
            {
                "exchange": "binance", "instrument_type": "perp", "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT",
                "timestamp": START, "open": 3.0, "high": 4.0, "low": 1.0, "close": 2.0,
                "volume_base": 10.5, "volume_quote": 30.5, "trades": 7,
                "taker_buy_volume_base": 5.25, "taker_buy_volume_quote": 15.25, "multiplier": None,
            }
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("now", "kept"),
        [("2024-01-01T02:00:00.999", 1), ("2024-01-01T02:00:01", 2), ("2024-01-01T01:59:59", 1), ("2024-01-01", 0)],
    )
    def test_a_bar_counts_a_second_after_it_is_over(self, now, kept):
        assert klines([kline(0), kline(1)], now=now).num_rows == kept

    def test_a_bar_cut_short_by_an_outage_is_still_unfinished_until_its_time_is_over(self):
        cut = kline(1, closeTime=MS + HOUR_MS + 60_000)
        assert klines([kline(0), cut], now="2024-01-01T01:30").num_rows == 1
        assert klines([kline(0), cut], now="2024-01-01T02:00:01").num_rows == 2

    def test_rows_outside_the_window_are_dropped(self):
        rows = klines([kline(h) for h in range(5)], window=("2024-01-01T01:00", "2024-01-01T03:00"))
        assert [t.hour for t in rows["timestamp"].to_pylist()] == [1, 2]

    def test_nothing_is_an_empty_conforming_table(self):
        rows = klines([])
        assert rows.num_rows == 0
        assert rows.schema.equals(to_pyarrow(TABLES["ohlcv_1h"]))

    @pytest.mark.parametrize("length", [60_000, 24 * HOUR_MS])
    def test_another_interval_is_not_taken_for_ours(self, length):
        message = rf"um\.klines, field 'closeTime': bars must last 3600000 ms, got {length} ms"
        with pytest.raises(PayloadError, match=message):
            klines([kline(h, length) for h in range(3)])

    @pytest.mark.parametrize(
        ("row", "field", "text"),
        [
            (kline(1, close="NaN"), "close", "finite number"),
            (kline(1, open="inf"), "open", "finite number"),
            (kline(1, high="-1"), "high", "greater than or equal to 0"),
            (kline(1, low=""), "low", "unable to parse"),
            (kline(1, close=None), "close", "valid number"),
            (kline(1, openTime=MS // 1000), "openTime", "1000000000000"),
            (kline(1, openTime=MS * 1000), "openTime", "less than 10000000000000"),
            (kline(1, trades="many"), "trades", "valid integer"),
            (kline(1)[:11], "ignored", "Field required"),
            ([*kline(1), "0"], None, "at most 12"),
        ],
    )
    def test_errors_name_row_and_field(self, row, field, text):
        found = flaw(klines([kline(0), row]))
        assert found.startswith(f"row 1, field {field!r}: " if field else "row 1: ")
        assert re.search(text, found)

    @pytest.mark.parametrize("body", [b"", b"<html>", b'{"a": 1}', b"null", b"[[1,", b"[1]"])
    def test_bodies_that_are_none(self, body):
        with pytest.raises(PayloadError, match=r"um\.klines"):
            parse_response("binance", "um.klines", body, context("ohlcv_1h"))

    def test_padded_numbers_of_the_vendors_examples(self):
        assert klines([kline(0, volume="0  ")])["volume_base"].to_pylist() == [0.0]

    def test_columns_equal_the_loop_that_one_would_write(self):
        body = json.dumps([kline(i, 60_000) for i in range(1000)]).encode()
        asked = context("ohlcv_1m")
        schema = to_pyarrow(TABLES["ohlcv_1m"])

        def loop():
            rows = [_by_hand(row) for row in json.loads(body)]
            return pa.Table.from_pylist(rows, schema=schema)

        assert parse_response("binance", "um.klines", body, asked).equals(loop())


def _by_hand(row):
    return {
        "exchange": "binance", "instrument_type": "perp", "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT",
        "timestamp": datetime.fromtimestamp(row[0] / 1000, START.tzinfo),
        "open": float(row[1]), "high": float(row[2]), "low": float(row[3]), "close": float(row[4]),
        "volume_base": float(row[5]), "volume_quote": float(row[7]), "trades": int(row[8]),
        "taker_buy_volume_base": float(row[9]), "taker_buy_volume_quote": float(row[10]),
    }  # fmt: skip


class TestFunding:
    @pytest.mark.parametrize("late", [0, 1, 47, 29_999, -1, -30_000])
    def test_keyed_on_the_nearest_minute_and_the_raw_time_kept(self, late):
        row = funding([settlement(MS + 8 * HOUR_MS + late)]).to_pylist()[0]
        assert row["timestamp"] == START + timedelta(hours=8)
        assert row["venue_timestamp"] == START + timedelta(hours=8, milliseconds=late)

    def test_a_settlement_keyed_at_the_windows_start_belongs_though_it_came_early(self):
        assert funding([settlement(MS - 1)]).num_rows == 1
        assert funding([settlement(MS - 1)], window=("2023-12-01", "2024-01-01")).num_rows == 0

    def test_no_mark_price_is_null_not_zero(self):
        without = settlement(MS + 2 * HOUR_MS)
        del without["markPrice"]
        rows = funding([settlement(MS), settlement(MS + HOUR_MS, markPrice=""), without])
        assert rows["mark_price"].to_pylist() == [42000.5, None, None]

    def test_what_the_venue_does_not_say_is_null(self):
        rows = funding([settlement(MS)])
        assert rows["funding_interval_hours"].null_count == rows["index_price"].null_count == 1

    def test_rates_are_fractions_as_they_stand(self):
        assert funding([settlement(MS, "-0.00001234")])["funding_rate"].to_pylist() == [-0.00001234]

    def test_another_rate_type_is_not_mixed_in(self):
        assert funding([settlement(MS, rateType="Regular")]).num_rows == 1
        found = flaw(funding([settlement(MS), settlement(MS + HOUR_MS, rateType="Special")]))
        assert found == "row 1, field 'rateType': got 'Special' where 'Regular' is read"

    def test_another_symbol_is_not_mixed_in(self):
        found = flaw(funding([settlement(MS), settlement(MS, symbol="ETHUSDT")]))
        assert found == "row 1, field 'symbol': got 'ETHUSDT' where 'BTCUSDT' is read"

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"fundingRate": "NaN"}, "fundingRate"),
            ({"fundingRate": ""}, "fundingRate"),
            ({"markPrice": "x"}, "markPrice"),
            ({"markPrice": "NaN"}, "markPrice"),
            ({"fundingTime": MS // 1000}, "fundingTime"),
            ({"symbol": None}, "symbol"),
        ],
    )
    def test_errors_name_row_and_field(self, change, field):
        found = flaw(funding([settlement(MS), settlement(MS + HOUR_MS, **change)]))
        assert found.startswith(f"row 1, field {field!r}: ")

    def test_asked_for_with_room_for_jitter(self):
        source = exchange("binance").source("funding_rates", "perp")
        params = source.params(instrument(), PageRequest(Window.of("2024-01-01", "2024-01-02"), 1000))
        # the last minute that settlements of the window are keyed on begins 90 s before its end
        assert (int(params["startTime"]), int(params["endTime"])) == (MS - 30_000, MS + 24 * HOUR_MS - 30_001)

    def test_a_body_nested_too_deep_is_no_error_of_the_venue_and_none_of_ours(self):
        body = b'{"code":' + b"[" * 4000
        response = Response("http://x", {}, 200, {}, utc("2024-01-01"), body)
        assert exchange("binance").apis["um"].error(response) is None

    def test_times_before_1970_are_not_asked_for(self):
        source = exchange("binance").source("funding_rates", "perp")
        assert source.params(instrument(), PageRequest(Window.of("1970-01-01", "2024-01-02"), 1000))["startTime"] == "0"


def contract(
    symbol, kind="PERPETUAL", status="TRADING", base="BTC", quote="USDT", delivery=4133404800000, margin="USDT"
):
    return {
        "symbol": symbol, "contractType": kind, "status": status, "baseAsset": base, "quoteAsset": quote,
        "marginAsset": margin, "deliveryDate": delivery, "onboardDate": MS,
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.10", "minPrice": "1"},
            {"filterType": "LOT_SIZE", "stepSize": "0.001"},
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
        ],
    }  # fmt: skip


def listing(*symbols, endpoint="um.exchangeInfo"):
    return parse_response("binance", endpoint, json.dumps({"symbols": symbols}).encode(), context("instruments"))


class TestListings:
    def test_a_perp(self):
        row = listing(contract("1000PEPEUSDT", base="1000PEPE")).to_pylist()[0]
        assert row == {
            "exchange": "binance", "instrument_type": "perp", "symbol": "1000PEPEUSDT", "base": "PEPE", "quote": "USDT",
            "venue_symbol": "1000PEPEUSDT", "settle": "USDT", "multiplier": 1000.0, "contract_size": 1.0,
            "inverse": False, "tick_size": 0.1, "lot_size": 0.001, "status": "trading", "listing_time": START,
            "delisting_time": None, "expiry": None, "funding_interval_hours": None, "observed_at": utc("2025-01-01"),
            "asset_class": None,
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"underlyingType": "COIN"}, "crypto"),
            ({"underlyingType": "INDEX"}, "index"),
            ({"underlyingType": "COMMODITY"}, "commodity"),
            ({"underlyingType": "KR_EQUITY"}, "equity"),
            ({"underlyingType": "PREMARKET", "underlyingSubType": ["Pre-IPO", "TradFi"]}, "equity"),
            ({"underlyingType": "PREMARKET", "underlyingSubType": ["AI"]}, None),
            ({"underlyingType": "PREMARKET"}, None),
            ({"underlyingType": "NEVER_SEEN_BEFORE"}, None),
            ({"underlyingType": None, "underlyingSubType": None}, None),
        ],
    )
    def test_asset_class_is_what_the_venue_states(self, changes, expected):
        assert listing(contract("XAUUSDT") | changes)["asset_class"].to_pylist() == [expected]

    def test_a_dated_future(self):
        delivery = int(utc("2024-06-28T08:00").timestamp() * 1000)
        row = listing(contract("BTCUSDT_240628", "CURRENT_QUARTER", delivery=delivery)).to_pylist()[0]
        assert (row["instrument_type"], row["symbol"]) == ("future", "BTCUSDT-20240628")
        assert row["expiry"] == row["delisting_time"] == utc("2024-06-28T08:00")

    def test_a_perp_on_its_way_out_has_a_delisting_time_and_no_expiry(self):
        end = utc("2025-01-02")
        delivery = int(end.timestamp() * 1000)
        row = listing(contract("OLDUSDT", status="SETTLING", delivery=delivery)).to_pylist()[0]
        assert (row["instrument_type"], row["status"]) == ("perp", "halted")
        assert (row["delisting_time"], row["expiry"]) == (end, None)

    def test_settlement_outside_the_quote_shows_in_the_symbol(self):
        assert listing(contract("BTCUSD_PERP", quote="USD", margin="BTC"))["symbol"].to_pylist() == ["BTCUSD:BTC"]

    def test_what_is_neither_is_left_out_by_name(self):
        rows = listing(
            contract("A", ""),
            contract("B", "TRADIFI_PERPETUAL"),
            contract("C", "WEEKLY_OPTION"),
            contract("D", status="ON_HOLD"),
            contract("E", "", "PENDING_TRADING"),
        )
        assert rows["venue_symbol"].to_pylist() == ["B"]
        assert left_out(rows) == {
            "A": "it has no contract type yet (TRADING)",
            "C": "its contract type 'WEEKLY_OPTION' is not known",
            "D": "its status 'ON_HOLD' is not known",
            "E": "it has no contract type yet (PENDING_TRADING)",
        }

    def test_spot(self):
        symbol = {"symbol": "ETHBTC", "status": "BREAK", "baseAsset": "ETH", "quoteAsset": "BTC", "filters": []}
        row = listing(symbol, endpoint="spot.exchangeInfo").to_pylist()[0]
        assert (row["instrument_type"], row["symbol"], row["status"], row["settle"]) == (
            "spot",
            "ETHBTC",
            "halted",
            "BTC",
        )
        assert row["tick_size"] is row["lot_size"] is row["listing_time"] is row["expiry"] is None

    def test_errors_name_row_and_field(self):
        bad = contract("B")
        del bad["baseAsset"]
        listed = listing(contract("A"), bad)
        assert flaw(listed) == "'B', field 'baseAsset': Field required"
        assert left_out(listed) == {"B": "its 'baseAsset' cannot be read: Field required"}

    @pytest.mark.parametrize("start", [b"\x80", b"\\udc80"])
    def test_interval_of_a_name_that_is_no_text_costs_only_itself(self, start):
        one = b'{"symbol":"%sBTCUSDT","adjustedFundingRateCap":"0.02","adjustedFundingRateFloor":"-0.02",'
        one += b'"fundingIntervalHours":4,"disclaimer":false}'
        body = b"[" + one % start + b"," + one % b"" + b"," + one % b"A" + b"," + one % b"B" + b"]"
        info = parse_response("binance", "um.fundingInfo", body, context("instruments"))
        assert info.to_pylist()[-1] == {"venue_symbol": "?BTCUSDT", "funding_interval_hours": None}
        assert info["funding_interval_hours"].to_pylist() == [4, 4, 4, None]

    def test_absent_from_funding_info_is_8_hours_for_perps_only(self):
        rows = listing(
            contract("BTCUSDT"), contract("XUSDT", base="X"), contract("BTCUSDT_X", "NEXT_QUARTER", delivery=MS)
        )
        body = b'[{"symbol":"XUSDT","adjustedFundingRateCap":"0.02","fundingIntervalHours":1,"disclaimer":false}]'
        info = parse_response("binance", "um.fundingInfo", body, context("instruments"))
        joined = join_companions("binance", "um.exchangeInfo", rows, {"um.fundingInfo": info})
        assert joined.select(["venue_symbol", "funding_interval_hours"]).to_pylist() == [
            {"venue_symbol": "BTCUSDT", "funding_interval_hours": 8.0},
            {"venue_symbol": "XUSDT", "funding_interval_hours": 1.0},
            {"venue_symbol": "BTCUSDT_X", "funding_interval_hours": None},
        ]
        assert joined.schema.equals(to_pyarrow(TABLES["instruments"]))

    def test_absent_from_a_list_of_all_perpetuals_is_unknown(self):
        """Since 2026 the list holds every trading perpetual, and coin-margined ones that are listed elsewhere."""
        rows = listing(contract("XUSDT", base="X"), contract("OLDUSDT", base="OLD"))
        item = {"symbol": "XUSDT", "adjustedFundingRateCap": "0.02", "fundingIntervalHours": 4, "disclaimer": False}
        body = json.dumps([item | {"updateTime": None}, item | {"symbol": "XUSD_PERP", "updateTime": MS}]).encode()
        info = parse_response("binance", "um.fundingInfo", body, context("instruments"))
        joined = join_companions("binance", "um.exchangeInfo", rows, {"um.fundingInfo": info})
        assert joined["funding_interval_hours"].to_pylist() == [4.0, None]

    def test_a_real_list_of_all_perpetuals(self, shared):
        recorded = shared / "recordings" / "binance"
        body = (recorded / "fapi_v1_fundingInfo_2026-07-04_some_rows.json").read_bytes()
        listed = (recorded / "fapi_v1_exchangeInfo_2026-07-04_first_rows.json").read_bytes()
        info = parse_response("binance", "um.fundingInfo", body, context("instruments"))
        rows = parse_response("binance", "um.exchangeInfo", listed, context("instruments"))
        joined = join_companions("binance", "um.exchangeInfo", rows, {"um.fundingInfo": info})
        hours = dict(joined.select(["venue_symbol", "funding_interval_hours"]).to_pandas().itertuples(index=False))
        found = {row["symbol"]: row["fundingIntervalHours"] for row in json.loads(body)}
        assert "BCHUSD_PERP" in found
        both = found.keys() & hours.keys()
        assert both
        assert {name: hours[name] for name in both} == {name: float(found[name]) for name in both}
        assert all(value != value for name, value in hours.items() if name not in found)

    def test_without_the_companion_nothing_is_assumed(self):
        rows = listing(contract("BTCUSDT"))
        assert join_companions("binance", "um.exchangeInfo", rows, {})["funding_interval_hours"].to_pylist() == [None]

    def test_an_empty_companion_means_all_8(self):
        info = parse_response("binance", "um.fundingInfo", b"[]", context("instruments"))
        joined = join_companions("binance", "um.exchangeInfo", listing(contract("BTCUSDT")), {"um.fundingInfo": info})
        assert joined["funding_interval_hours"].to_pylist() == [8.0]


class TestDescriptor:
    def test_every_table_of_every_kind_is_read_or_says_why_not(self):
        for venue in EXCHANGES.values():
            for name, table in TABLES.items():
                for kind in ("spot", "perp", "future"):
                    if (name, kind) in venue.sources:
                        assert kind in table.instrument_types
                        assert venue.source(name, kind).api in venue.apis
                        continue
                    with pytest.raises((NotOfferedError, NotReadYetError), match=name):
                        venue.source(name, kind)

    def test_costs_name_declared_budgets(self):
        venue = EXCHANGES["binance"]
        for source in venue.sources.values():
            for one in (source, *source.companions):
                request = one.paginator.first(Window.of("2024-01-01", "2024-01-02"))
                cost = one.cost(one.params(instrument(), request))
                assert set(cost) <= {budget.name for budget in venue.apis[one.api].budgets}

    def test_limits_are_those_of_the_documentation(self):
        limits = {name: {budget.name: (budget.limit, budget.per_seconds) for budget in api.budgets}
                  for name, api in EXCHANGES["binance"].apis.items()}  # fmt: skip
        assert limits["um"] == {"weight": (2400, 60), "funding": (500, 300), "data": (1000, 300)}
        assert limits["spot"] == {"weight": (6000, 60)}
        interest = EXCHANGES["binance"].source("open_interest", "perp")
        assert interest.path.startswith("/futures/data/")
        assert interest.cost({}) == {"data": 1}

    def test_unknown_names(self):
        with pytest.raises(UnknownNameError, match="binance"):
            exchange("kraken")
        with pytest.raises(UnknownNameError, match=r"um\.fundingRate"):
            parse_response("binance", "um.nope", b"[]", context("funding_rates"))

    def test_contexts_survive_json_to_the_microsecond(self):
        one = context("ohlcv_1h", now="2024-01-01T00:00:00.000001", window=("2024-01-01T00:00:00.001", "2024-01-02"))
        assert Context.from_json(one.to_json()) == one


class TestRecordings:
    @pytest.fixture
    def recorded(self, shared):
        return shared / "recordings" / "binance"

    @pytest.fixture
    def shape(self, shared):
        def read(name):
            return json.loads(
                (shared / "recordings/shapes" / f"Binance__Endpoints_{name}.txt").read_text().split("\n", 3)[3]
            )

        return read

    def test_all_122_symbols_of_the_real_list_are_accounted_for(self, recorded):
        kept = json.loads((recorded / "binance_um_exchangeInfo_2021-07-22.json").read_text())
        rows = listing(*kept["body"]["symbols"])
        kinds = Counter(rows["instrument_type"].to_pylist())
        assert (kinds["perp"], kinds["future"], list(left_out(rows))) == (119, 2, ["BTCSTUSDT"])
        assert rows.num_rows + len(left_out(rows)) == len(kept["body"]["symbols"]) == 122
        frame = pl.from_arrow(rows)
        assert frame.select("exchange", "instrument_type", "symbol").is_unique().all()
        perps = frame.filter(instrument_type="perp")
        assert perps["expiry"].null_count() == perps["delisting_time"].null_count() == 119
        shib = frame.row(by_predicate=pl.col("symbol") == "1000SHIBUSDT", named=True)
        assert (shib["base"], shib["multiplier"]) == ("SHIB", 1000.0)
        dated = frame.filter(instrument_type="future")
        assert set(dated["symbol"]) == {"BTCUSDT-20210924", "ETHUSDT-20210924"}
        assert set(dated["expiry"]) == {utc("2021-09-24T08:00")}
        assert frame.filter(pl.col("tick_size").is_null() | pl.col("lot_size").is_null()).is_empty()

    def test_every_type_of_underlying_in_the_real_list_has_its_class(self, recorded):
        kept = json.loads((recorded / "fapi_v1_exchangeInfo_2026-07-04_first_rows.json").read_text())["symbols"]
        types = {row["symbol"]: row["underlyingType"] for row in kept}
        rows = listing(*kept).select(["venue_symbol", "asset_class"]).to_pylist()
        assert {(types[row["venue_symbol"]], row["asset_class"]) for row in rows} == {
            ("COIN", "crypto"), ("INDEX", "index"), ("COMMODITY", "commodity"), ("EQUITY", "equity"),
            ("KR_EQUITY", "equity"), ("PREMARKET", "equity"),
        }  # fmt: skip

    def test_the_real_funding_row(self, recorded):
        body = (recorded / "fapi_v1_fundingRate_ETHUSDT_row_2026-10-01.json").read_bytes()
        asked = context(
            "funding_rates",
            window=("2026-10-01", "2026-10-02"),
            of=instrument(symbol="ETHUSDT", venue_symbol="ETHUSDT"),
        )
        rows = parse_response("binance", "um.fundingRate", body, asked)
        sent = json.loads(body)[0]
        row = rows.to_pylist()[0]
        assert rows.num_rows == 1
        assert row["timestamp"] == utc("2026-10-01T08:00")
        assert row["venue_timestamp"] - row["timestamp"] == timedelta(milliseconds=sent["fundingTime"] % 60_000)
        assert (row["funding_rate"], row["mark_price"]) == (float(sent["fundingRate"]), float(sent["markPrice"]))

    def test_the_vendors_example_shapes(self, shape):
        info = shape("UsdFutures_ExchangeData_GetFundingInfo")
        parsed = parse_response("binance", "um.fundingInfo", json.dumps(info).encode(), context("instruments"))
        assert parsed.num_rows == len(info)
        assert listing(*shape("UsdFutures_ExchangeData_GetExchangeInfo")["symbols"]).num_rows == 1
        assert (
            listing(*shape("Spot_ExchangeData_GetExchangeInfo")["symbols"], endpoint="spot.exchangeInfo").num_rows == 1
        )
        rates = shape("UsdFutures_ExchangeData_GetFundingRates")
        assert funding(rates, window=("2020-01-01", "2025-01-01")).num_rows == len(rates)

    def test_the_vendors_example_candles(self, shape):
        # the examples are weekly bars: right in form, and refused for their length
        for name, endpoint in (("Spot", "spot.klines"), ("UsdFutures", "um.klines")):
            body = json.dumps(shape(f"{name}_ExchangeData_GetKlines")).encode()
            with pytest.raises(PayloadError, match="bars must last 86400000 ms, got 604800000 ms"):
                parse_response("binance", endpoint, body, context("ohlcv_1d", window=("2017-01-01", "2018-01-01")))
