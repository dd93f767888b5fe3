"""A small warehouse, and a loopback hub that ``huggingface_hub`` is pointed to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from cexkit.config import settings
from cexkit.schema import TABLES
from cexkit.testing.hub import TOKEN, LoopbackHub
from cexkit.testing.simulation import simulate
from cexkit.warehouse.gold.build import build_gold
from cexkit.warehouse.store.keys import keys_path
from cexkit.warehouse.store.manifest import Manifest
from cexkit.warehouse.store.warehouse import Warehouse

from ...hub import point

REPO = "me/data"
TO = f"hf://datasets/{REPO}"
NAMES = ("instruments", "funding_rates", "ohlcv_1d", "ohlcv_1h", "liquidations", "open_interest")


def write_days(root: Path, end: str, *, exchanges: tuple[str, ...] = ("binance", "okx")) -> Warehouse:
    """The days from 1 June 2026 to ``end``, as a warehouse."""
    warehouse = Warehouse(root)
    market = simulate(start="2026-06-01", end=end, coins=["BTC", "ETH"], exchanges=list(exchanges)).tables
    for name in NAMES:
        warehouse.write(TABLES[name], market[name].to_arrow())
    warehouse.describe(simulated=True, description="A small simulated market.")
    for name in ("funding_weighted_8h", "liquidations_1d", "data_quality"):
        build_gold(warehouse, name, now=datetime(2026, 6, 10, tzinfo=UTC))
    return warehouse


@pytest.fixture(scope="session")
def written(tmp_path_factory) -> Path:
    return write_days(tmp_path_factory.mktemp("written"), "2026-06-06").root


@pytest.fixture
def warehouse(written, tmp_path) -> Warehouse:
    """Five days of two venues; each test has its own."""
    return Warehouse(shutil.copytree(written, tmp_path / "warehouse"))


@pytest.fixture
def refresh():
    """Write the next day into a warehouse; nothing before it changes."""

    def write(warehouse: Warehouse, end: str = "2026-06-07") -> None:
        write_days(warehouse.root, end)

    return write


@pytest.fixture
def spoil():
    """Change rows of one file, as another writer might: the manifest knows of it."""

    def change(warehouse: Warehouse, table: str, exchange: str, **columns: pl.Expr) -> None:
        rows = pl.from_arrow(warehouse.read(TABLES[table], exchange=exchange)).with_columns(**columns)
        warehouse.write(TABLES[table], rows.to_arrow())

    return change


@pytest.fixture
def hub(monkeypatch):
    with LoopbackHub(part_bytes=1 << 20) as hub:
        point(monkeypatch, hub.url)
        # waits are short, and not none: threads of other libraries that do nothing but sleep would take a core
        monkeypatch.setattr("time.sleep", lambda seconds, sleep=time.sleep: sleep(min(seconds, 0.01)))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("CEXKIT_HTTP_ATTEMPTS", "4")
        settings.cache_clear()
        yield hub


@pytest.fixture
def elsewhere(tmp_path):
    """Run a script in a process of its own, which the given hub is the hub of."""

    def start(script: str, hub: LoopbackHub | None = None) -> subprocess.Popen:
        outside = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "CEXKIT_"))}
        environment = outside | {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN}
        if hub is not None:
            environment["HF_ENDPOINT"] = hub.url
        words = [sys.executable, "-c", script]
        return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


def named(manifest: Manifest) -> dict[str, str]:
    """Return the sha256 of each file that a manifest names: data files and key digests."""
    keys = {keys_path(file): file.keys_sha256 for file in manifest.files if file.keys_sha256}
    return {file.path: file.sha256 for file in manifest.files} | keys


def size_of(warehouse: Warehouse, paths: Iterable[str]) -> int:
    """Return the bytes of files of a warehouse."""
    return sum((warehouse.root / path).stat().st_size for path in paths)


def tree(hub: LoopbackHub, revision: str = "main") -> dict:
    """Files at a revision."""
    return hub.repos[REPO].at(revision).tree


def content(hub: LoopbackHub, path: str, revision: str = "main") -> bytes:
    return hub.blobs.path(tree(hub, revision)[path].blob).read_bytes()
