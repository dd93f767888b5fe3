"""The publication as an asset: what it says in the run, and what stops it."""

from __future__ import annotations

import shutil

import polars as pl
import pytest

from cexkit.config import settings
from cexkit.errors import ConfigError, PublicationError, QualityError
from cexkit.schema import TABLES
from cexkit.warehouse.store.locations import SAMPLE_ROOT
from cexkit.warehouse.store.warehouse import Warehouse

dg = pytest.importorskip("dagster", reason="needs the extra `pipeline`")

from cexkit_pipeline.definitions import build_defs  # noqa: E402
from cexkit_pipeline.publish import KEY, publication_asset  # noqa: E402
from cexkit_pipeline.resources import Store  # noqa: E402


def materialize(warehouse, **options):
    with dg.DagsterInstance.ephemeral() as instance:
        config = {"ops": {"publication": {"config": options}}} if options else None
        resources = {"store": Store(warehouse=str(warehouse))}
        return dg.materialize([publication_asset([])], instance=instance, resources=resources, run_config=config)


def metadata(result) -> dict:
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def test_it_comes_after_all_silver_and_gold():
    graph = build_defs().resolve_asset_graph()
    above = {key for key in graph.get_all_asset_keys() if key.path[0] in {"silver", "gold"}}
    assert graph.get(KEY).parent_keys == above


def test_the_run_shows_where_it_is_and_what_it_took(tmp_path):
    first, again = (metadata(materialize(SAMPLE_ROOT, to=str(tmp_path / "copy"))) for _ in range(2))
    files = len(Warehouse(SAMPLE_ROOT).manifest.files)
    assert (first["url"], first["changed"], first["files_written"]) == (str(tmp_path / "copy"), True, files + 3)
    assert first["bytes_written"] > sum(file.bytes for file in Warehouse(SAMPLE_ROOT).manifest.files)
    assert (again["changed"], again["files_written"], again["files_kept"]) == (False, 0, files + 3)


def test_it_goes_where_the_environment_says(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="CEXKIT_PUBLISH_TO"):
        materialize(SAMPLE_ROOT)
    monkeypatch.setenv("CEXKIT_PUBLISH_TO", str(tmp_path / "copy"))
    settings.cache_clear()
    assert metadata(materialize(SAMPLE_ROOT))["url"] == str(tmp_path / "copy")


def test_a_failed_blocking_check_stops_it(tmp_path):
    shutil.copytree(SAMPLE_ROOT, tmp_path / "warehouse")
    warehouse, table = Warehouse(tmp_path / "warehouse"), TABLES["ohlcv_1d"]
    rows = pl.from_arrow(warehouse.read(table, exchange="okx")).with_columns(high=pl.col("low") / 2)
    warehouse.write(table, rows.to_arrow())
    with pytest.raises(QualityError, match="ohlc_order"):
        materialize(warehouse.root, to=str(tmp_path / "copy"))
    assert not (tmp_path / "copy").exists()


def test_lost_keys_stop_it_unless_the_config_allows_them(tmp_path):
    shutil.copytree(SAMPLE_ROOT, tmp_path / "warehouse")
    warehouse, table, to = Warehouse(tmp_path / "warehouse"), TABLES["ohlcv_1d"], str(tmp_path / "copy")
    materialize(warehouse.root, to=to)
    rows = pl.from_arrow(warehouse.read(table, exchange="okx"))
    warehouse.write(table, rows.filter(pl.col("timestamp").dt.day() != 7).to_arrow())
    with pytest.raises(PublicationError, match="--allow-loss ohlcv_1d:okx"):
        materialize(warehouse.root, to=to)
    done = metadata(materialize(warehouse.root, to=to, allow_loss=["ohlcv_1d:okx"]))
    assert done["keys_lost"] == rows.filter(pl.col("timestamp").dt.day() == 7).height
