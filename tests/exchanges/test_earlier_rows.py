"""Rows before a window show that a page reached its start, unless one of them may have a wrong time."""

from __future__ import annotations

import json

import pytest

from cexkit.exchanges.facts import extent
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.registry import parse_response
from cexkit.schema.intervals import Window, to_ms, utc
from cexkit.schema.symbols import Instrument

BTC = Instrument(
    exchange="bybit", instrument_type="perp", symbol="BTCUSDT", venue_symbol="BTCUSDT", base="BTC", quote="USDT"
)


@pytest.mark.parametrize(
    ("times", "earlier"),
    [
        (["03T16:00", "03T08:00", "03T00:00", "02T16:00"], True),
        (["03T00:00", "02T16:00", "02T08:00"], True),  # none is in the window
        (["03T16:00", "03T08:00", "03T00:00"], False),  # the last one may be a row of the window with a wrong time
        (["03T16:00", "01T00:00", "01T08:00", "03T08:00"], False),
        (["03T16:00", "03T08:00"], False),
        ([], False),
    ],
)
def test_several_ordered_rows_before_the_window_count(times, earlier):
    rows = [
        {"symbol": "BTCUSDT", "fundingRate": "0.0001", "fundingRateTimestamp": str(to_ms(utc(f"2024-01-{time}")))}
        for time in times
    ]
    body = json.dumps({"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": rows}, "time": 0})
    context = Context(
        exchange="bybit", table="funding_rates", now=utc("2024-02-01"), instrument=BTC,
        window=Window.of("2024-01-03T07:00", "2024-01-04"),
    )  # fmt: skip
    page = parse_response("bybit", "v5.funding-history", body.encode(), context)
    assert extent(page, None).earlier == earlier
