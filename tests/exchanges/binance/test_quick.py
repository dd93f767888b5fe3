"""The quick way of reading pages of bars gives exactly what the careful one gives, or leaves it to that."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cexkit.errors import PayloadError
from cexkit.exchanges.binance import payloads as binance
from cexkit.exchanges.parsing import Context, adapter, quick, validated
from cexkit.exchanges.registry import parse_response
from cexkit.schema.intervals import Window, utc
from cexkit.schema.symbols import Instrument

BTC = Instrument(
    exchange="binance", instrument_type="spot", symbol="BTCUSDT", venue_symbol="BTCUSDT", base="BTC", quote="USDT"
)
CONTEXT = Context(
    exchange="binance", table="ohlcv_1h", now=utc("2024-02-01"), instrument=BTC,
    window=Window.of("2024-01-01", "2024-02-01"),
)  # fmt: skip
OPENED = 1_704_067_200_000

numbers = (
    st.decimals(0, 10**12, allow_nan=False, places=8).map(lambda value: format(value, "f"))
    | st.floats(0, allow_infinity=False).map(repr)
    | st.integers(0, 10**25).map(str)
)


@given(cells=st.lists(numbers, min_size=8, max_size=8))
def test_every_number_is_the_one_that_python_reads(cells):
    row = [OPENED, *cells[:5], OPENED + 3_599_999, cells[5], 7, cells[6], cells[7], "0"]
    body = json.dumps([row]).encode()
    (read,) = quick(binance._QUICK_KLINES, body)
    assert read[1:6] == tuple(map(float, cells[:5]))
    assert [read] == validated(adapter(list[binance.Kline]), body, "spot.klines")


@pytest.mark.parametrize(
    ("place", "value", "field"),
    [
        (2, "inf", "high"), (2, "NaN", "high"), (2, "-1", "high"), (2, None, "high"), (2, "1e999", "high"),
        (0, OPENED // 1000, "openTime"), (0, OPENED * 1000, "openTime"), (8, -1, "trades"), (8, 1.5, "trades"),
        (8, 2**63, "trades"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_all_the_same(place, value, field):
    row = [OPENED, "10", "12", "9", "11", "5", OPENED + 3_599_999, "55", 3, "2", "22", "0"]
    row[place] = value
    with pytest.raises(PayloadError, match=field):
        parse_response("binance", "spot.klines", json.dumps([row]).encode(), CONTEXT)
