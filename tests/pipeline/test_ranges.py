"""Long ranges in one run: a backfill asks for all its days at once and makes all its files at once."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

import cexkit
from cexkit.testing import LoopbackBinance, LoopbackMarket
from cexkit.testing.simulation import simulate

dg = pytest.importorskip("dagster", reason="needs the extra `pipeline`")

from cexkit_pipeline.definitions import build_defs  # noqa: E402
from cexkit_pipeline.resources import Store, Venues  # noqa: E402

FIRST, LAST = "2025-12-20", "2026-01-10"
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


@pytest.fixture(scope="module")
def truth():
    return simulate(start="2025-12-15", end="2026-01-15", coins=["BTC"], exchanges=["binance"]).tables


@pytest.fixture
def venue(truth):
    with LoopbackBinance({name: truth[name] for name in ("instruments", "ohlcv_1h")}, now="2026-01-15") as loopback:
        yield loopback


@pytest.fixture
def run(venue, tmp_path):
    """Materialise one asset, over a range of partitions where one is given."""
    venues = Venues(base_urls=dict(venue.settings.base_urls), max_clock_skew_seconds=None)
    defs = build_defs({"store": Store(warehouse=str(tmp_path)), "venues": venues})

    def materialize(layer: str, table: str, *partitions: str, **config: bool):
        asset = defs.resolve_assets_def(dg.AssetKey([layer, "binance", table]))
        tags = dict(zip(RANGE, partitions, strict=True)) if partitions else None
        run_config = {"ops": {asset.op.name: {"config": config}}} if config else None
        done = dg.materialize([asset], tags=tags, run_config=run_config)
        return done.asset_materializations_for_node(asset.op.name)

    materialize("bronze", "instruments")
    materialize("silver", "instruments")
    return materialize


def test_a_range_of_days_is_asked_for_in_one_go_and_is_every_day_of_it(run, venue, truth, tmp_path):
    before = len(venue.log)
    kept = run("bronze", "ohlcv_1h", FIRST, LAST)
    assert {event.partition for event in kept} == {f"{day:%Y-%m-%d}" for day in _days()}
    # spot and perp, and a year's end between, at which spans are cut: not one for each of the 22 days
    assert len(venue.log) - before == 4
    made = run("silver", "ohlcv_1h", "2025", "2026")
    assert {event.partition for event in made} == {"2025", "2026"}
    columns = ["instrument_type", "symbol", "timestamp", "close"]
    got = cexkit.connect(tmp_path).ohlcv_1h.to_polars().select(columns).sort(columns)
    wanted = truth["ohlcv_1h"].filter(pl.col("timestamp").dt.date().is_in(_days()))
    assert got.equals(wanted.select(columns).sort(columns))


def test_refresh_in_the_run_config_requests_everything_again(run, venue):
    run("bronze", "ohlcv_1h", FIRST, LAST)
    counts = []
    for refresh in (False, True):
        before = len(venue.log)
        run("bronze", "ohlcv_1h", FIRST, LAST, refresh=refresh)
        counts.append(len(venue.log) - before)
    assert counts == [0, 4]


def test_any_range_of_files_merges_all_new_responses(run, tmp_path):
    run("bronze", "ohlcv_1h", FIRST, LAST)
    run("silver", "ohlcv_1h", "2024", "2025")
    rows = cexkit.connect(tmp_path).ohlcv_1h
    assert {rows.timestamp.min().execute().year, rows.timestamp.max().execute().year} == {2025, 2026}


def test_every_partitioned_asset_is_backfilled_in_one_run():
    graph = build_defs().resolve_asset_graph()
    nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
    partitioned = [node for node in nodes if node.is_partitioned]
    assert len(partitioned) > 30
    assert {node.backfill_policy for node in partitioned} == {dg.BackfillPolicy.single_run()}


def _days() -> list:
    return pl.date_range(pl.lit(FIRST).str.to_date(), pl.lit(LAST).str.to_date(), eager=True).to_list()


def test_what_a_venue_no_longer_keeps_is_a_problem_and_the_rest_is_read(tmp_path):
    """OKX keeps a day of liquidations: of a range of days only the end can be had, by a clock that goes on."""
    with LoopbackMarket("2026-05-19", "2026-05-22", coins=["BTC"]) as market:
        venues = Venues(base_urls=market.base_urls)
        defs = build_defs({"store": Store(warehouse=str(tmp_path)), "venues": venues})
        listing = [
            defs.resolve_assets_def(dg.AssetKey([layer, "okx", "instruments"])) for layer in ("bronze", "silver")
        ]
        dg.materialize(listing)
        bronze = defs.resolve_assets_def(dg.AssetKey(["bronze", "okx", "liquidations"]))
        days = [f"{day:%Y-%m-%d}" for day in (market.start, market.end - timedelta(days=1))]
        done = dg.materialize([bronze], tags=dict(zip(RANGE, days, strict=True)))
    told = done.asset_materializations_for_node(bronze.op.name)[0].metadata
    assert told["problems"].value == 1
    assert told["responses"].value > 0
