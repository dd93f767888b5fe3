"""Regions against their definition: windows by instrument, and windows of all instruments."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from cexkit.schema.intervals import Window, utc
from cexkit.warehouse.ingest.region import Region

BTC, ETH, HOUR = ("perp", "BTCUSDT"), ("perp", "ETHUSDT"), timedelta(hours=1)
SPAN = Window.of("2024-01-02", "2024-01-03")
LATER = Window.of("2024-01-04", "2024-01-05")


@pytest.mark.parametrize(
    ("identity", "window", "expected"),
    [
        (BTC, SPAN, True),
        (BTC, Window.of("2024-01-01", "2024-01-02"), False),
        (BTC, Window.of("2024-01-03", "2024-01-04"), False),
        (ETH, SPAN, False),
        (ETH, LATER, True),
        (("spot", "BTCUSDT"), SPAN, False),
        (None, SPAN, True),
        (None, Window.of("2024-01-03", "2024-01-04"), False),
    ],
)
def test_touches_windows_of_the_instrument_and_of_all(identity, window, expected):
    assert Region([(BTC, SPAN), (None, LATER)]).touches(identity, window) is expected


def test_contains_the_start_and_not_the_end():
    rows = pl.DataFrame(
        [
            (*identity, moment)
            for moment in (SPAN.start - HOUR, SPAN.start, SPAN.end - HOUR, SPAN.end, LATER.start, LATER.end)
            for identity in (BTC, ETH)
        ],
        schema={"instrument_type": pl.String, "symbol": pl.String, "timestamp": pl.Datetime("us", "UTC")},
        orient="row",
    )
    found = rows.filter(Region([(BTC, SPAN), (None, LATER)]).contains(rows)).drop("instrument_type").rows()
    expected = [
        ("BTCUSDT", SPAN.start),
        ("BTCUSDT", SPAN.end - HOUR),
        ("BTCUSDT", LATER.start),
        ("ETHUSDT", LATER.start),
    ]
    assert found == expected


def test_padded_grows_at_both_ends_and_within_cuts():
    region = Region([(BTC, SPAN)])
    (_, padded) = next(iter(region.padded(HOUR)))
    assert (padded.start, padded.end) == (SPAN.start - HOUR, SPAN.end + HOUR)
    (_, cut) = next(iter(region.within(Window(utc("2024-01-02T05:00"), LATER.end))))
    assert (cut.start, cut.end) == (utc("2024-01-02T05:00"), SPAN.end)
    assert not region.within(LATER)
