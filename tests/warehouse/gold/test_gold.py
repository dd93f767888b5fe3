"""Gold tables on small frames worked by hand."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from cexkit.errors import MissingColumnError, SchemaError
from cexkit.schema import TABLES, Check
from cexkit.schema.intervals import utc
from cexkit.schema.render import to_polars
from cexkit.warehouse.gold import tables as gold
from cexkit.warehouse.quality.row_checks import data_quality

DAY = utc("2026-01-10")


def at(hour: float) -> datetime:
    return DAY + timedelta(hours=hour)


def table(name: str, rows: list[dict]) -> pl.DataFrame:
    """Rows of a table; columns that are not given are null."""
    schema = to_polars(TABLES[name])
    return pl.DataFrame([dict.fromkeys(schema) | row for row in rows], schema=schema)


def perp(exchange: str, symbol: str = "BTCUSDT", base: str = "BTC", quote: str = "USDT") -> dict:
    return {"exchange": exchange, "instrument_type": "perp", "symbol": symbol, "base": base, "quote": quote}


def settled(leg: dict, interval: float | None, rates: dict[float, float]) -> list[dict]:
    return [
        leg | {"timestamp": at(hour), "funding_rate": rate, "funding_interval_hours": interval}
        for hour, rate in rates.items()
    ]


def open_at(leg: dict, hour: float, value: float | None) -> dict:
    return leg | {"timestamp": at(hour), "open_interest_base": 1.0, "open_interest_quote": value}


def weighted(rates: list[dict], interest: list[dict], **options) -> list[dict]:
    frame = gold.funding_weighted_8h(table("funding_rates", rates), table("open_interest", interest), **options)
    assert frame.schema == to_polars(TABLES["funding_weighted_8h"])
    return frame.to_dicts()


A, B, C = perp("binance"), perp("bybit"), perp("coinbase", "BTCUSDC", quote="USDC")


def test_venues_with_different_intervals_are_brought_to_8_hours():
    rates = [
        *settled(A, 8, {8: 0.0008}),
        *settled(B, 4, {4: 0.0001, 8: 0.0003}),
        *settled(C, 1, dict.fromkeys(range(1, 9), 0.0001)),
    ]
    interest = [open_at(A, 8, 600.0), open_at(B, 8, 300.0), open_at(C, 8, 100.0)]
    (row,) = weighted(rates, interest)
    # 8 h sums: 0.0008, 0.0004, 0.0008; weights .6, .3, .1
    assert row["weighted_funding"] == pytest.approx(0.6 * 0.0008 + 0.3 * 0.0004 + 0.1 * 0.0008, rel=1e-12)
    assert row["timestamp"] == at(8)
    assert (row["venues"], row["quotes"], row["weight_coverage"]) == (3, "USDC+USDT", 1.0)


def test_a_moment_when_only_some_settle_makes_no_row():
    rates = [*settled(A, 8, {8: 0.0008}), *settled(B, 4, {4: 0.0001, 8: 0.0001, 12: 0.05})]
    interest = [open_at(leg, hour, 100.0) for leg in (A, B) for hour in range(4, 16)]
    rows = weighted(rates, interest)
    assert [row["timestamp"] for row in rows] == [at(8)]
    assert rows[0]["weighted_funding"] == pytest.approx(0.0005, rel=1e-12)


def test_the_window_is_open_at_its_start_and_closed_at_its_end():
    rates = settled(A, 8, {0: 0.5, 8: 0.001, 16: 0.002})
    rows = weighted(rates, [open_at(A, 8, 1.0), open_at(A, 16, 1.0)])
    assert [(row["timestamp"], row["weighted_funding"]) for row in rows] == [(at(8), 0.001), (at(16), 0.002)]


def test_a_settlement_that_is_late_by_milliseconds_falls_into_its_own_minute():
    # timestamp is keyed on the minute; only the raw time is late
    late = settled(A, 8, {8: 0.001})[0] | {"venue_timestamp": at(8) + timedelta(milliseconds=47)}
    (row,) = weighted([late], [open_at(A, 8, 1.0)])
    assert (row["timestamp"], row["weighted_funding"]) == (at(8), 0.001)


def test_missing_settlements_scale_up_to_half_and_below_it_the_venue_leaves_both_sums():
    hours_5 = settled(C, 1, dict.fromkeys((1, 2, 3, 7, 8), 0.0001))
    (row,) = weighted([*settled(A, 8, {8: 0.0002}), *hours_5], [open_at(A, 8, 1.0), open_at(C, 8, 1.0)])
    assert row["weighted_funding"] == pytest.approx((0.0002 + 0.0008) / 2, rel=1e-12)
    assert row["venues"] == 2
    hours_3 = hours_5[:3]
    (row,) = weighted([*settled(A, 8, {8: 0.0002}), *hours_3], [open_at(A, 8, 1.0), open_at(C, 8, 3.0)])
    assert row["weighted_funding"] == pytest.approx(0.0002, rel=1e-12)
    assert (row["venues"], row["weight_coverage"], row["quotes"]) == (1, 0.25, "USDT")


def test_a_venue_without_funding_counts_in_the_coverage():
    (row,) = weighted(settled(A, 8, {8: 0.0002}), [open_at(A, 8, 1.0), open_at(B, 8, 1.0)])
    assert (row["venues"], row["weight_coverage"]) == (1, 0.5)


def test_a_venue_without_open_interest_has_no_weight():
    (row,) = weighted([*settled(A, 8, {8: 0.0002}), *settled(B, 8, {8: 0.9})], [open_at(A, 8, 1.0)])
    assert (row["weighted_funding"], row["venues"]) == (pytest.approx(0.0002), 1)


def test_weights_are_as_of_the_end_and_not_older_than_the_tolerance():
    rates = [*settled(A, 8, {8: 0.0002}), *settled(B, 8, {8: 0.0004})]
    interest = [open_at(A, 7, 9.0), open_at(A, 7.5, 1.0), open_at(A, 8.5, 99.0), open_at(B, 7, 3.0)]
    (row,) = weighted(rates, interest)
    assert row["weighted_funding"] == pytest.approx((0.0002 + 3 * 0.0004) / 4, rel=1e-12)
    (row,) = weighted(rates, interest, tolerance_hours=0.5)
    assert (row["weighted_funding"], row["weight_coverage"]) == (pytest.approx(0.0002), 1.0)
    assert weighted(rates, [open_at(A, 6.9, 9.0)]) == []


def test_multipliers_do_not_matter_for_weights_are_values():
    thousand, single = perp("binance", "1000PEPEUSDT", "PEPE"), perp("okx", "PEPEUSDT", "PEPE")
    rates = [*settled(thousand, 8, {8: 0.0004}), *settled(single, 8, {8: 0.0001})]
    interest = [
        open_at(thousand, 8, 100.0) | {"open_interest_base": 10_000.0},
        open_at(single, 8, 200.0) | {"open_interest_base": 20_000_000.0},
    ]
    (row,) = weighted(rates, interest)
    assert row["weighted_funding"] == pytest.approx(0.0002, rel=1e-12)
    assert row["base"] == "PEPE"


def test_an_unknown_value_leaves_the_moment_out():
    rates = settled(A, 8, {8: 0.0002, 16: 0.0002})
    interest = [open_at(A, 8, 1.0), open_at(B, 8, None), open_at(A, 16, 1.0)]
    assert [row["timestamp"] for row in weighted(rates, interest)] == [at(16)]


def test_quotes_that_are_no_dollars_have_no_part():
    euro = perp("bybit", "BTCEUR", quote="EUR")
    rates = [*settled(A, 8, {8: 0.0002}), *settled(euro, 8, {8: 0.9})]
    (row,) = weighted(rates, [open_at(A, 8, 1.0), open_at(euro, 8, 1.0)])
    assert (row["weighted_funding"], row["quotes"], row["weight_coverage"]) == (pytest.approx(0.0002), "USDT", 1.0)


def test_intervals_that_are_not_given_are_derived():
    known, unknown = (
        settled(A, 4, dict.fromkeys((4, 8, 12, 16), 0.0001)),
        settled(A, None, {4: 1e-4, 8: 1e-4, 12: 1e-4, 16: 1e-4}),
    )
    interest = [open_at(A, 8, 1.0), open_at(A, 16, 1.0)]
    assert weighted(unknown, interest) == weighted(known, interest)
    assert [row["weighted_funding"] for row in weighted(unknown, interest)] == pytest.approx([0.0002, 0.0002])


def test_no_rows_make_no_rows_and_lazy_frames_do_as_well():
    assert weighted([], []) == []
    assert weighted(settled(A, 8, {8: 0.1}), []) == []
    rates = table("funding_rates", settled(A, 8, {8: 0.0002}))
    interest = table("open_interest", [open_at(A, 8, 1.0)])
    assert_frame_equal(
        gold.funding_weighted_8h(rates.lazy(), interest.lazy()), gold.funding_weighted_8h(rates, interest)
    )


def spot(exchange: str, symbol: str, base: str, quote: str) -> dict:
    return perp(exchange, symbol, base, quote) | {"instrument_type": "spot"}


def day(leg: dict, prices: tuple[float, float, float, float], volume: float) -> dict:
    return (
        leg
        | {"timestamp": DAY, "volume_base": volume}
        | dict(zip(("open", "high", "low", "close"), prices, strict=True))
    )


def listed(leg: dict, multiplier: float = 1.0) -> dict:
    times = {"observed_at": DAY, "settle": leg["quote"], "venue_symbol": leg["symbol"], "status": "trading"}
    return leg | times | {"multiplier": multiplier, "contract_size": 1.0, "inverse": False}


def test_composite_takes_medians_over_venues_per_coin():
    x, y, z = (
        spot("binance", "1000PEPEUSDT", "PEPE", "USDT"),
        spot("coinbase", "PEPEUSD", "PEPE", "USD"),
        spot("okx", "PEPEUSDT", "PEPE", "USDT"),
    )
    bars = table(
        "ohlcv_1d",
        [day(x, (1000, 1300, 900, 1100), 5), day(y, (1.1, 1.2, 1.0, 1.0), 700), day(z, (1.2, 1.4, 0.8, 1.2), 300)],
    )
    units = table("instruments", [listed(x, 1000), listed(y), listed(z)])
    (row,) = gold.ohlcv_1d_composite(bars, units).to_dicts()
    assert [row[name] for name in ("open", "high", "low", "close")] == pytest.approx([1.1, 1.3, 0.9, 1.1])
    assert row["volume_base"] == 6000
    assert (row["venues"], row["quotes"]) == (3, "USD+USDT")
    assert row["dispersion_bps"] == pytest.approx(0.1 / 1.1 * 1e4)


def test_composite_of_one_venue_has_no_dispersion_and_perps_no_part():
    x, future = spot("okx", "BTCUSDT", "BTC", "USDT"), perp("okx")
    bars = table("ohlcv_1d", [day(x, (1, 3, 1, 2), 5), day(future, (9, 9, 9, 9), 5)])
    (row,) = gold.ohlcv_1d_composite(bars, table("instruments", [listed(x)])).to_dicts()
    assert (row["close"], row["venues"], row["dispersion_bps"]) == (2, 1, None)


def test_composite_counts_a_venue_with_several_pairs_once():
    pairs = [spot("binance", f"BTC{quote}", "BTC", quote) for quote in ("USDT", "USDC")]
    other, euro = spot("okx", "BTCUSDT", "BTC", "USDT"), spot("okx", "BTCEUR", "BTC", "EUR")
    legs = [*pairs, other]
    bars = [day(leg, (price,) * 4, 1) for leg, price in zip(legs, (100, 102, 111), strict=True)]
    frame = table("ohlcv_1d", [*bars, day(euro, (1, 1, 1, 1), 1)])
    (row,) = gold.ohlcv_1d_composite(frame, table("instruments", [listed(leg) for leg in legs])).to_dicts()
    assert (row["close"], row["venues"], row["volume_base"], row["quotes"]) == (106, 2, 3, "USDC+USDT")


def test_composite_refuses_instruments_of_unknown_unit():
    x = spot("okx", "BTCUSDT", "BTC", "USDT")
    with pytest.raises(SchemaError, match="okx spot BTCUSDT"):
        gold.ohlcv_1d_composite(table("ohlcv_1d", [day(x, (1, 1, 1, 1), 1)]), table("instruments", []))


def event(leg: dict, hour: float, side: str, quantity: float, coverage: str) -> dict:
    value = {"price": 10.0, "quantity_base": quantity, "value_quote": 10.0 * quantity, "price_type": "bankruptcy"}
    return leg | value | {"timestamp": at(hour), "side": side, "event": 0, "coverage": coverage}


def test_liquidations_of_a_day():
    rows = [
        event(A, 0, "long", 1.0, "full"),
        event(A, 23.99, "long", 2.0, "throttled"),
        event(A, 24, "long", 4.0, "full"),
        event(A, 5, "short", 8.0, "full"),
        event(B, 5, "short", 16.0, "full"),
    ]
    found = gold.liquidations_1d(table("liquidations", rows))
    assert found.schema == to_polars(TABLES["liquidations_1d"])
    columns = ["exchange", "timestamp", "side", "events", "quantity_base", "value_quote", "coverage"]
    assert found.select(columns).rows() == [
        ("binance", DAY, "long", 2, 3.0, 30.0, "throttled"),
        ("binance", DAY, "short", 1, 8.0, 80.0, "full"),
        ("binance", at(24), "long", 1, 4.0, 40.0, "full"),
        ("bybit", DAY, "short", 1, 16.0, 160.0, "full"),
    ]


def test_quality_counts_failures_per_venue_and_day():
    rows = [
        open_at(A, 1, 1.0),
        open_at(A, 2, 1.0) | {"open_interest_base": -1.0},
        open_at(A, 25, 1.0) | {"open_interest_base": None},
        open_at(B, 1, 1.0),
    ]
    found = data_quality(TABLES["open_interest"], table("open_interest", rows).lazy())
    columns = ["timestamp", "exchange", "table_name", "check_name", "blocking", "rows_checked", "rows_failed"]
    check = ("open_interest", "open_interest_not_negative", True)
    assert found.columns == columns
    assert found.rows() == [
        (DAY, "binance", *check, 2, 1),
        (at(24), "binance", *check, 1, 1),
        (DAY, "bybit", *check, 1, 0),
    ]


def test_quality_with_checks_of_ones_own_and_of_tables_without_times():
    rows = table("instruments", [listed(A), listed(B, 0.0)])
    own = [Check("settles_in_tether", "settle = 'USDT'", "all do", blocking=False)]
    assert data_quality(TABLES["instruments"], rows, own)["rows_failed"].to_list() == [0, 0]
    declared = data_quality(TABLES["instruments"], rows).filter(check_name="positive_multiplier")
    assert declared.select("exchange", "timestamp", "rows_failed").rows() == [("binance", DAY, 0), ("bybit", DAY, 1)]


def test_quality_of_a_table_over_venues_is_refused():
    with pytest.raises(MissingColumnError, match="exchange"):
        data_quality(TABLES["funding_weighted_8h"], table("funding_weighted_8h", []))


@pytest.mark.parametrize("name", [name for name in TABLES if TABLES[name].by_exchange])
def test_every_declared_check_can_be_run(name):
    assert data_quality(TABLES[name], table(name, [])).is_empty()


def test_composite_uses_the_multiplier_of_the_bar():
    x = spot("binance", "PEPEUSDT", "PEPE", "USDT")
    bars = [day(x, (1000, 1000, 1000, 1000), 5) | {"multiplier": 1000.0}]
    bars += [day(x, (1, 1, 1, 1), 5) | {"timestamp": DAY + timedelta(days=1)}]
    rows = gold.ohlcv_1d_composite(table("ohlcv_1d", bars), table("instruments", [listed(x)]))
    assert rows.select("close", "volume_base").rows() == [(1.0, 5000.0), (1.0, 5.0)]


def test_composite_counts_bars_once_if_an_instrument_is_listed_twice():
    x = spot("binance", "PEPEUSDT", "PEPE", "USDT")
    bars, twice = table("ohlcv_1d", [day(x, (1, 1, 1, 1), 5)]), table("instruments", [listed(x), listed(x)])
    assert gold.ohlcv_1d_composite(bars, twice)["volume_base"].to_list() == [5.0]
