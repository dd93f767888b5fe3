"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cexkit.config import settings

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def project_root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real answers and real history, which is no part of the project."""
    folder = Path(os.environ.get("CEXKIT_SHARED", ROOT.parent / "shared"))
    if not (folder / "real").is_dir():
        pytest.skip(f"no real recordings at {folder}; set CEXKIT_SHARED to where they are")
    return folder


@pytest.fixture(autouse=True)
def no_outside_settings(monkeypatch, tmp_path_factory):
    """Tests neither see the settings nor fill the cache of whoever runs them; each reads its settings anew."""
    for name in list(os.environ):
        if name.startswith(("CEXKIT_", "AWS_")) and name != "CEXKIT_SHARED":
            monkeypatch.delenv(name)
    monkeypatch.setenv("CEXKIT_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cexkit-cache"))
    settings.cache_clear()
    yield
    settings.cache_clear()


def pytest_configure(config):
    # Only a power failure shows whether files were synced, and on a busy disk syncing takes most of a test's time.
    if config.getoption("--long"):
        os.environ["LONG_FORM_OF_TESTS"] = "1"  # read by lengths.py
    else:
        os.fsync = lambda handle: None
    # a session of Spark is short: compiling its Java well takes longer than running it
    os.environ.setdefault("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1")


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="run the long form of heavy tests")
    parser.addoption("--live", action="store_true", help="run the tests that ask the real venues")


@pytest.fixture
def made_market(tmp_path):
    """A market of rows written by hand: ``made_market(ohlcv_1h=[{...}, ...])``; columns left out are null."""

    def make(**tables):
        import polars as pl

        import cexkit
        from cexkit.schema import TABLES
        from cexkit.schema.render import to_polars
        from cexkit.warehouse.store.warehouse import Warehouse

        warehouse = Warehouse(tmp_path / "made")
        for name, rows in tables.items():
            schema = to_polars(TABLES[name])
            frame = pl.DataFrame(rows, schema=dict(schema), orient="row").sort(TABLES[name].key)
            warehouse.write(TABLES[name], frame.to_arrow())
        return cexkit.connect(tmp_path / "made")

    return make
