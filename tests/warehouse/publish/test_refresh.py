"""What a day's refresh sends of a large dataset, in bytes that crossed the socket.

The short form has a few months of two instruments; ``--long`` a year of every simulated instrument, 0.46 GB.
"""

from __future__ import annotations

import calendar
import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from cexkit.schema import TABLES
from cexkit.testing.simulation import simulate
from cexkit.warehouse.gold.build import build_gold
from cexkit.warehouse.publish import publish
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.compact import compact
from cexkit.warehouse.store.warehouse import Warehouse

from .conftest import TO, named, size_of

BASE = datetime(2026, 6, 1, tzinfo=UTC)
YEARLY = ("ohlcv_1h", "mark_1h", "index_1h", "open_interest", "funding_rates", "ohlcv_1d", "liquidations")
YEAR = 2025


class Growing:
    """A warehouse that grows day by day; every month repeats the same simulated one, at its own times."""

    def __init__(self, warehouse: Warehouse, first: datetime, **options):
        self.warehouse, self.first = warehouse, first
        self.month = simulate(start="2026-06-01", end="2026-07-01", **options).tables
        warehouse.write(TABLES["instruments"], self.month["instruments"].to_arrow())
        warehouse.describe(simulated=True, description="A simulated month, again and again.")

    def rows(self, table: str, start: datetime, end: datetime) -> pl.DataFrame:
        """Rows of a span, from those of the simulated month."""
        parts, day, known = [], start.replace(day=1), self.month[table]
        while day < end:
            days = calendar.monthrange(day.year, day.month)[1]
            for shift, kept in ((timedelta(), min(days, 30)), (timedelta(days=30), max(days - 30, 0))):
                rows = known.filter(pl.col("timestamp") < BASE + timedelta(days=kept))
                moved = pl.col("timestamp") + (day - BASE + shift)
                again = {"venue_timestamp": pl.col("venue_timestamp") + (day - BASE + shift)}
                parts.append(rows.with_columns(timestamp=moved, **(again if "venue_timestamp" in rows.columns else {})))
            day += timedelta(days=days)
        return pl.concat(parts).filter(pl.col("timestamp").is_between(start, end, closed="left"))

    def grow(self, start: datetime, end: datetime) -> None:
        """Bring in the days of a span as the pipeline does: pieces of the running month, the year written anew."""
        minutes = TABLES["ohlcv_1m"]
        for exchange in self.month["ohlcv_1m"]["exchange"].unique().sort():
            present = [f.period for f in self.warehouse.manifest.select("ohlcv_1m") if f.exchange == exchange]
            wanted = layout.period_window
            for period in layout.periods(minutes, layout.Window(start, end), end, present):
                span = wanted(minutes, period)
                rows = self.rows("ohlcv_1m", span.start, min(span.end, end)).filter(exchange=exchange)
                self.warehouse.replace(minutes, exchange, [period], rows.to_arrow())
        for table in YEARLY:
            self.warehouse.write(TABLES[table], self.rows(table, self.first, end).to_arrow())
        for table in ("funding_weighted_8h", "ohlcv_1d_composite", "liquidations_1d"):
            build_gold(self.warehouse, table, now=end)
        compact(self.warehouse, now=end)


@pytest.fixture
def growing(tmp_path, pytestconfig) -> Growing:
    if pytestconfig.getoption("--long"):
        return Growing(Warehouse(tmp_path / "large"), datetime(YEAR, 1, 1, tzinfo=UTC))
    first = datetime(YEAR, 9, 1, tzinfo=UTC)
    return Growing(Warehouse(tmp_path / "large"), first, coins=["BTC"], exchanges=["okx"])


def size(warehouse: Warehouse) -> int:
    return sum(file.bytes for file in warehouse.manifest.files)


SEND = """
import json, resource
from pathlib import Path
from cexkit.warehouse.publish.content import Content
from cexkit.warehouse.publish.hub import Hub
from cexkit.warehouse.publish.plans import Piece
from cexkit.warehouse.store.layout import MANIFEST
from cexkit.warehouse.store.manifest import Manifest
from cexkit.warehouse.store.damage import sha256

peaks = []
for megabytes in (1, {megabytes}):
    path = Path({folder!r}) / f"{{megabytes}}.parquet"
    with path.open("wb") as file:
        file.truncate(megabytes << 20)
    piece = Piece(f"tables/{{path.name}}", path.stat().st_size, sha256(path), path)
    manifest = Manifest()
    pieces = [piece, Piece.of(MANIFEST, manifest.to_json())]
    Hub("me/data", "main").put(Content(manifest, pieces, {{}}), tag=None, step=lambda _: None)
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
print(json.dumps(peaks))
"""


def test_memory_does_not_grow_with_what_is_sent(hub, elsewhere, tmp_path, pytestconfig):
    megabytes = 1024 if pytestconfig.getoption("--long") else 96
    process = elsewhere(SEND.format(megabytes=megabytes, folder=str(tmp_path)), hub)
    said, errors = process.communicate()
    assert process.returncode == 0, errors
    small, large = json.loads(said)
    assert hub.received("upload", "part") == (megabytes + 1) << 20
    assert large - small < 32


@pytest.mark.soak
def test_a_days_refresh_sends_less_than_a_twentieth(growing, hub, capsys):
    """In December, when the files of the running year are at their largest."""
    days = {9: "first publication", 10: "a day on which a week closes", 11: "a day"}
    warehouse, done_to, held, told = growing.warehouse, growing.first, set(), []
    for number, what in days.items():
        end = datetime(YEAR, 12, number, tzinfo=UTC)
        growing.grow(done_to, end)
        hub.log.clear()
        publish(warehouse, TO)
        new = size_of(warehouse, set(named(warehouse.manifest)) - held)
        assert hub.received("upload", "part") == new, "new files once, and no other"
        told.append(f"{what}: {hub.received() / 1e6:.2f} MB ({hub.received() / size(warehouse):.1%})")
        done_to, held = end, set(named(warehouse.manifest))
    assert hub.received() < size(warehouse) / 20
    with capsys.disabled():
        print(f"\n{size(warehouse) / 1e6:,.0f} MB in the end; sent on", *told, sep="\n  ")
