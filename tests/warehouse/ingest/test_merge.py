"""Intervals that Silver derives from the times of settlements."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from cexkit.schema import INSTRUMENT_KEYS
from cexkit.warehouse.ingest.merge import REACH, with_intervals

START = datetime(2024, 1, 1, tzinfo=UTC)
KEYS = dict(zip(INSTRUMENT_KEYS, ("binance", "perp", "BTCUSDT"), strict=True))


def settlements(distances: list[float]) -> pl.DataFrame:
    """Settlements at these distances in hours, whose intervals the venue does not state."""
    hours = [0.0]
    for distance in distances:
        hours.append(hours[-1] + distance)
    times = pl.Series("timestamp", [START + timedelta(hours=hour) for hour in hours])
    keys = (pl.lit(value).alias(name) for name, value in KEYS.items())
    return pl.DataFrame([times]).select(*keys, "timestamp", funding_interval_hours=pl.lit(None, pl.Float64))


def intervals(rows: pl.DataFrame) -> list[float | None]:
    return with_intervals(rows)["funding_interval_hours"].to_list()


@pytest.mark.parametrize("shift", [-7, -6, -4, -2, -1, 1, 2, 4, 6, 7])
def test_a_displaced_settlement_keeps_the_interval(shift):
    pair = [8 + shift, 8 - shift]
    assert intervals(settlements([8, 8, *pair, 8])) == [8.0] * 6
    assert intervals(settlements([8, 8, *pair])) == [8.0] * 3 + [None] * 2  # nothing after it decides
    assert intervals(settlements([8, 8, *pair, 6, 6]))[3:5] == [None, 6.0 if pair[1] == 6 else None]


@pytest.mark.parametrize("seed", range(20))
def test_a_part_of_the_rows_has_the_intervals_of_all(seed):
    """Silver derives the intervals of new rows from those within reach; later cuts must not change them."""
    chance = random.Random(seed)
    distances = []
    while len(distances) < 150:
        interval = chance.choice([1, 2, 4, 8])
        shift = chance.choice([-0.5, -0.25, 0.25, 0.5]) * interval
        oddity = chance.choice([[], [interval + shift, interval - shift], [3 * interval], [30], [60]])
        distances += [interval] * chance.randint(1, 5) + oddity
    rows = settlements(distances)
    whole = with_intervals(rows)
    for _ in range(10):
        first, last = sorted(chance.sample(range(rows.height), 2))
        start, end = rows["timestamp"][first], rows["timestamp"][last]
        within = pl.col("timestamp").is_between(start, end)
        part = rows.filter(pl.col("timestamp").is_between(start - REACH, end + REACH))
        assert with_intervals(part).filter(within).equals(whole.filter(within))
