"""``cexkit doctor`` and ``cexkit cache``: what they say is so, and their exit codes tell."""

from __future__ import annotations

import json
import shutil

import pytest
from typer.testing import CliRunner

import cexkit
from cexkit.cli.commands import app
from cexkit.cli.doctor import diagnose
from cexkit.config import settings
from cexkit.errors import UnknownNameError, UnknownSettingWarning
from cexkit.schema import TABLES
from cexkit.testing import LoopbackFiles
from cexkit.warehouse.store.keys import keys_path
from cexkit.warehouse.store.locations import SAMPLE_ROOT
from cexkit.warehouse.store.warehouse import Warehouse


@pytest.fixture
def where(tmp_path, monkeypatch):
    """The sample behind HTTP, and a cache of one's own."""
    monkeypatch.setenv("CEXKIT_CACHE_DIR", str(tmp_path / "cache"))
    settings.cache_clear()
    with LoopbackFiles(SAMPLE_ROOT) as server:
        yield server.url


def run(*words: str):
    return CliRunner().invoke(app, words, catch_exceptions=False)


def test_doctor_says_what_a_connection_is_made_of(where):
    done = run("doctor", "--data", where, "--json")
    found = json.loads(done.stdout)
    market = cexkit.connect(where)
    assert done.exit_code == 0
    assert (found["location"], found["revision"], found["problems"]) == (where, market.revision, [])
    assert found["bytes"] == {name: info.bytes for name, info in market.tables.items()}
    assert set(found["mode"].values()) == {"through the cache"}
    assert found["versions"]["cexkit"] == cexkit.__version__
    assert found["latency_ms"] > 0
    assert found["query_ms"] > 0
    text = run("doctor", "--data", where).stdout
    assert text.endswith("no problem found\n")
    assert "checked    manifest; one request; one query of " in text
    assert "unchecked  content of the data files" in text


def test_doctor_tells_what_is_wrong_by_its_exit_code_too(where, tmp_path):
    done = run("doctor", "--data", str(tmp_path / "nowhere"), "--json")
    assert done.exit_code == 1
    assert "DatasetNotFoundError" in json.loads(done.stdout)["problems"][0]
    assert run("doctor", "--data", where, "--offline").exit_code == 1
    assert "never opened with the cache" in run("doctor", "--data", where, "--offline").stdout


def test_doctor_names_variables_that_are_no_settings(where, monkeypatch):
    monkeypatch.setenv("CEXKIT_BIG_TABLE_BYTE", "1")
    with pytest.warns(UnknownSettingWarning):
        done = run("doctor", "--data", where)
    assert done.exit_code == 1
    assert "did you mean CEXKIT_BIG_TABLE_BYTES?" in done.stdout


def test_a_warm_cache_is_all_that_offline_needs(where, tmp_path):
    assert json.loads(run("cache", "info", "--json").stdout)["files"] == 0
    assert "2 files" in run("cache", "warm", "ohlcv_1h", "instruments", "--exchange", "okx", "--data", where).stdout
    assert run("cache", "warm", "funding_rates", "--start", "2026-01-01", "--data", where).exit_code == 0
    found = json.loads(run("cache", "info", "--json").stdout)
    assert found["locations"] == [where]
    assert found["files"] == 2 + 4
    market = cexkit.connect(where, offline=True)
    assert market.table("ohlcv_1h", exchange="okx").count().execute() > 0
    assert diagnose(where, offline=True).latency_ms is None
    del market
    assert run("cache", "clear").stdout.startswith("6 files dropped")
    assert json.loads(run("cache", "info", "--json").stdout)["files"] == 0


def test_a_folder_needs_no_cache(tmp_path, where):
    root = shutil.copytree(SAMPLE_ROOT, tmp_path / "root")
    assert "0 files" in run("cache", "warm", "--data", str(root)).stdout
    with pytest.raises(UnknownNameError, match="did you mean 'binance'"):
        run("cache", "warm", "--exchange", "binanse", "--data", str(root))
    assert not (tmp_path / "cache").exists()


def test_a_file_that_cannot_be_read_is_a_problem_and_no_traceback(tmp_path):
    root = shutil.copytree(SAMPLE_ROOT, tmp_path / "root")
    for file in root.rglob("*.parquet"):
        file.write_bytes(b"no parquet")
    done = run("doctor", "--data", str(root))
    assert done.exit_code == 1
    assert "is damaged" in done.stdout


def test_damaged_key_digests_are_a_problem(tmp_path):
    warehouse = Warehouse(tmp_path / "root")
    for exchange in ("binance", "okx"):
        warehouse.write(
            TABLES["funding_rates"], Warehouse(SAMPLE_ROOT).read(TABLES["funding_rates"], exchange=exchange)
        )
    assert diagnose(warehouse.root).problems == []
    first, second, *_ = (keys_path(file) for file in warehouse.manifest.files)
    (warehouse.root / first).unlink()
    (warehouse.root / second).write_bytes(b"")
    problems = diagnose(warehouse.root).problems
    assert problems == [f"{first} is missing", f"{second} differs from the manifest (sha256)"]


@pytest.fixture
def root(tmp_path):
    return shutil.copytree(SAMPLE_ROOT, tmp_path / "root")


def test_doctor_verify_counts_the_files_it_hashed(root):
    done = run("doctor", "--data", str(root), "--verify", "--json")
    files = list((root / "tables").rglob("*.parquet"))
    assert json.loads(done.stdout)["verified"] == {"data_files": len(files), "bronze_files": 0}
    text = run("doctor", "--data", str(root), "--verify").stdout
    assert f"hashed     {len(files)} data files" in text
    assert "unchecked" not in text
    assert done.exit_code == 0
    assert json.loads(run("doctor", "--data", str(root), "--json").stdout)["verified"] is None


def test_doctor_verify_finds_a_changed_file_of_the_same_size(root):
    path = next((root / "tables/liquidations").rglob("*.parquet"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    plain = run("doctor", "--data", str(root))
    assert plain.exit_code == 0
    assert "unchecked  content of the data files and of Bronze (`--verify` hashes them)" in plain.stdout
    done = run("doctor", "--data", str(root), "--verify")
    assert done.exit_code == 1
    assert f"problem    {path.relative_to(root)} has other content than the manifest says (sha256)" in done.stdout


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"PAR1")])
def test_doctor_finds_a_missing_or_short_file_that_no_query_reads(root, damage):
    path = next((root / "tables/liquidations").rglob("*.parquet"))
    damage(path)
    done = run("doctor", "--data", str(root))
    assert done.exit_code == 1
    assert f"problem    {path.relative_to(root)} " in done.stdout
    assert "no problem found" not in done.stdout


def test_doctor_verify_needs_a_folder(where):
    done = run("doctor", "--data", where, "--verify")
    assert done.exit_code == 1
    assert "verify must be used with a folder" in done.stdout
