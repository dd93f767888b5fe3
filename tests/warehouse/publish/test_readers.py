"""What was published, read by clients that are not ours, each by its own way, in a process of its own.

Every one must give exactly the rows of the warehouse. ``hf://`` of polars and DuckDB goes to the public hub whatever
``HF_ENDPOINT`` says, so these two read the addresses that the manifest's paths resolve to.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
import yaml

from cexkit.schema import TABLES
from cexkit.schema.render import to_pyarrow
from cexkit.testing.hub import TOKEN, LoopbackHub
from cexkit.warehouse.publish import publish
from cexkit.warehouse.store.warehouse import Warehouse

from ...hub import point
from .conftest import REPO, TO, content, tree, write_days

pytest.importorskip("datasets", reason="needs the extra `dev`")
pytest.importorskip("duckdb_extension_httpfs", reason="needs the extra `dev`")

COLUMNS = ["exchange", "instrument_type", "symbol", "timestamp", "funding_rate", "mark_price"]
SCRIPT = r"""
import json, os, sys
from pathlib import Path
import pandas as pd
import polars as pl

REPO, COLUMNS, TABLE = "me/data", {columns}, "funding_rates"
BASE = os.environ["HF_ENDPOINT"] + "/datasets/me/data/resolve/main/"

def paths():
    import httpx
    manifest = httpx.get(BASE + "manifest.json", follow_redirects=True).json()
    return [BASE + file["path"] for file in manifest["files"] if file["table"] == TABLE]

def datasets():
    from datasets import load_dataset
    return load_dataset(REPO, TABLE, split="train").to_polars()

def datasets_default():
    from datasets import load_dataset
    return load_dataset(REPO)["train"].to_polars()

def datasets_streaming():
    from datasets import load_dataset
    return pl.DataFrame(list(load_dataset(REPO, TABLE, split="train", streaming=True)))

def datasets_tag():
    from datasets import load_dataset
    return load_dataset(REPO, TABLE, split="train", revision="v1").to_polars()

def polars():
    return pl.scan_parquet(paths(), hive_partitioning=False).collect()

def pandas():
    return pl.from_pandas(pd.read_parquet(f"hf://datasets/{REPO}/tables/{TABLE}", partitioning=None))

def pandas_file_by_file():
    from huggingface_hub import HfFileSystem
    found = HfFileSystem().glob(f"datasets/{REPO}/tables/{TABLE}/**/*.parquet")
    return pl.from_pandas(pd.concat([pd.read_parquet(f"hf://{path}") for path in found]))

def duckdb():
    import duckdb, duckdb_extension_httpfs
    folder = Path(next(iter(duckdb_extension_httpfs.__path__)))
    connection = duckdb.connect()
    connection.execute(f"LOAD '{next(folder.rglob('httpfs.duckdb_extension'))}'")
    query = "SELECT * FROM read_parquet($files, hive_partitioning = false)"
    return connection.execute(query, {"files": paths()}).pl()

def snapshot_download():
    from huggingface_hub import snapshot_download
    folder = Path(snapshot_download(REPO, repo_type="dataset"))
    return pl.read_parquet(sorted(folder.glob(f"tables/{TABLE}/**/*.parquet")), hive_partitioning=False)

def connect():
    import cexkit
    return cexkit.connect(f"hf://datasets/{REPO}").table(TABLE).to_polars()

def connect_tag():
    import cexkit
    return cexkit.connect(f"hf://datasets/{REPO}@v1").table(TABLE).to_polars()

def rows(frame):
    times = pl.col("timestamp").dt.convert_time_zone("UTC").dt.epoch("us")
    shown = frame.select(COLUMNS).with_columns(times).sort(COLUMNS[:4])
    return shown.rows()

def every_table():
    from datasets import get_dataset_config_names, load_dataset
    return {name: load_dataset(REPO, name, split="train").num_rows for name in get_dataset_config_names(REPO)}

for name in {names}:
    print(json.dumps([name, rows(globals()[name]())]), flush=True)
print(json.dumps(["every_table", every_table()]), flush=True)
"""
CLIENTS = [
    "datasets",
    "datasets_default",
    "datasets_streaming",
    "datasets_tag",
    "polars",
    "pandas",
    "pandas_file_by_file",
    "duckdb",
    "snapshot_download",
    "connect",
    "connect_tag",
]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A hub that holds a refreshed dataset: the first state tagged, the second at the head."""
    with pytest.MonkeyPatch.context() as patch, LoopbackHub() as hub:
        point(patch, hub.url)
        patch.setenv("HF_TOKEN", TOKEN)
        first = write_days(tmp_path_factory.mktemp("published"), "2026-06-04")
        old = Warehouse(shutil.copytree(first.root, tmp_path_factory.mktemp("old") / "warehouse"))
        publish(first, TO, tag="v1")
        publish(write_days(first.root, "2026-06-05"), TO)
        yield hub, {"v1": old, "main": first}


@pytest.fixture(scope="module")
def found(published, tmp_path_factory) -> dict[str, list]:
    """What each client read."""
    hub, _ = published
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "CEXKIT_"))}
    home = str(tmp_path_factory.mktemp("home"))
    environment = outside | {
        "HF_HOME": home,
        "HF_HUB_DISABLE_XET": "1",
        "HF_ENDPOINT": hub.url,
        "CEXKIT_CACHE_DIR": home,
    }
    script = SCRIPT.replace("{columns}", repr(COLUMNS)).replace("{names}", repr(CLIENTS))
    words = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)
    read = dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))
    assert done.returncode == 0, f"after {[*read]}: {done.stderr[-3000:]}"
    return read


def truth(warehouse: Warehouse, table: str = "funding_rates") -> list[list]:
    rows = pl.from_arrow(warehouse.read(TABLES[table])).select(COLUMNS)
    return [list(row) for row in rows.with_columns(pl.col("timestamp").dt.epoch("us")).sort(COLUMNS[:4]).rows()]


@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_reads_exactly_the_rows_of_the_warehouse(published, found, client):
    warehouse = published[1]["v1" if client.endswith("_tag") else "main"]
    expected = truth(warehouse)
    assert len(expected) > 20
    assert found[client] == expected


def test_datasets_reads_every_table_whole(published, found):
    manifest = published[1]["main"].manifest
    names = {file.table for file in manifest.files}
    assert found["every_table"] == {name: sum(file.rows for file in manifest.select(name)) for name in names}


def test_the_two_states_differ(published):
    """Else the test above could not tell a stale file from a current one."""
    assert len(truth(published[1]["v1"])) < len(truth(published[1]["main"]))


@pytest.mark.parametrize("revision", ["v1", "main"])
def test_each_table_is_a_subset_of_the_viewer_made_of_its_current_files(published, revision):
    """The patterns of the card match the manifest's files of each table, and no other file."""
    hub, warehouses = published
    head = yaml.safe_load(content(hub, "README.md", revision).decode().split("---\n")[1])
    manifest = warehouses[revision].manifest
    assert [c["config_name"] for c in head["configs"]] == [name for name in TABLES if manifest.select(name)]
    for config in head["configs"]:
        (pattern,) = (part["path"] for part in config["data_files"])
        # `**/` stands for any number of folders, none included
        matched = {
            p for p in tree(hub, revision) if fnmatchcase(p, pattern) or fnmatchcase(p, pattern.replace("**/", ""))
        }
        assert matched == {file.path for file in manifest.select(config["config_name"])}
    assert [c["config_name"] for c in head["configs"] if c.get("default")] == ["funding_rates"]


def test_datasets_finds_the_declared_types(published):
    """Of every table: nothing of a type is lost on the way, and times keep their zone."""
    hub, warehouses = published
    for file in warehouses["main"].manifest.files:
        schema = pq.read_schema(hub.blobs.path(tree(hub)[file.path].blob))
        assert schema.equals(to_pyarrow(TABLES[file.table]))


def test_the_hub_page_of_a_folder_copy_is_the_same_but_for_its_name(published, tmp_path):
    hub, warehouses = published
    publish(warehouses["main"], tmp_path / "copy")
    assert (tmp_path / "copy" / "spec.json").read_bytes() == content(hub, "spec.json")
    assert REPO not in Path(tmp_path / "copy" / "README.md").read_text()
    assert f'cexkit.connect("{TO}")' in content(hub, "README.md").decode()
