"""A damaged file of a table is named, and no other table depends on it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cexkit
from cexkit.errors import DamagedFileError, DatasetError
from cexkit.schema import TABLES
from cexkit.warehouse.gold.build import build_gold
from cexkit.warehouse.store.layout import MANIFEST
from cexkit.warehouse.store.locations import SAMPLE_ROOT
from cexkit.warehouse.store.manifest import Manifest
from cexkit.warehouse.store.warehouse import Warehouse

HARMS = {
    "empty": lambda content: b"",
    "short": lambda content: content[: len(content) // 2],
    "other": lambda content: b"<html>not found</html>",
    "footer": lambda content: content[:-60] + b"\xff" * 50 + content[-10:],
    "pages": lambda content: content[:4] + bytes(2_000) + content[2_004:],
}
NAMES = ("instruments", "funding_rates", "open_interest")


@pytest.fixture
def warehouse(tmp_path) -> Warehouse:
    """Three tables of the sample."""
    root = tmp_path / "root"
    files = [file for file in Warehouse(SAMPLE_ROOT).manifest.files if file.table in NAMES]
    for file in files:
        (root / file.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SAMPLE_ROOT / file.path, root / file.path)
    (root / MANIFEST).write_text(Manifest(files=tuple(files), simulated=True).to_json())
    return Warehouse(root)


def harm(warehouse: Warehouse, table: str, how: str) -> Path:
    """Damage the last file of a table."""
    path = warehouse.root / warehouse.manifest.select(table)[-1].path
    path.write_bytes(HARMS[how](path.read_bytes()))
    return path


@pytest.mark.parametrize("how", HARMS)
def test_damaged_file_is_named_and_other_tables_are_read(warehouse, how):
    path = harm(warehouse, "funding_rates", how)
    market = cexkit.connect(warehouse.root)
    reads = {
        "sql": lambda: market.sql("select sum(funding_rate) as s from funding_rates").to_pandas(),
        "attribute": lambda: market.funding_rates.to_polars(),
        "table": lambda: market.table("funding_rates").to_pyarrow(),
        "batches": lambda: list(market.table("funding_rates").to_pyarrow_batches()),
        "query": lambda: market.query("funding_across_venues", base="BTC"),
        "warehouse": lambda: warehouse.read(TABLES["funding_rates"]),
        "gold": lambda: build_gold(warehouse, "funding_weighted_8h"),
    }
    for name, read in reads.items():
        for _ in range(2):  # a failed query must not fail the next one
            advice = r"is damaged \(.*other tables can be read|has .*the manifest says.* `cexkit rebuild"
            with pytest.raises(DamagedFileError, match=rf"{path.name}.* ({advice})") as error:
                read()
            assert "\n" not in str(error.value), name
            assert market.open_interest.count().execute() == market.tables["open_interest"].rows
            assert len(market.sql("select * from open_interest limit 3").to_pandas()) == 3


def test_missing_file_is_named(warehouse):
    path = warehouse.root / warehouse.manifest.select("funding_rates")[0].path
    path.unlink()
    market = cexkit.connect(warehouse.root)
    with pytest.raises(DatasetError, match=f"{path.name}.*market.refresh"):
        market.funding_rates.to_pandas()
    with pytest.raises(DamagedFileError, match=f"{path.name} is missing"):
        warehouse.read(TABLES["funding_rates"])
    assert market.open_interest.count().execute() > 0


@pytest.mark.parametrize("how", ["short", "pages"])
def test_damaged_list_of_instruments_does_not_keep_symbols_from_being_read(warehouse, how):
    path = harm(warehouse, "instruments", how)
    market = cexkit.connect(warehouse.root)
    whole = cexkit.connect("sample").table("open_interest", symbol="BTCUSDT", instrument_type="perp")
    part = market.table("open_interest", symbol="BTCUSDT", instrument_type="perp")
    assert part.count().execute() == whole.count().execute()
    with pytest.raises(LookupError, match="did you mean 'BTCUSDT'"):
        market.table("open_interest", symbol="BTCUSDX")
    with pytest.raises(DamagedFileError, match=path.name):
        market.instruments.to_pandas()


def test_file_outside_the_dataset_is_refused_by_name(warehouse, tmp_path):
    path = warehouse.root / warehouse.manifest.select("funding_rates")[0].path
    path.rename(tmp_path / "elsewhere.parquet")
    path.symlink_to(tmp_path / "elsewhere.parquet")
    with pytest.raises(DatasetError, match=path.name):
        cexkit.connect(warehouse.root).funding_rates.to_pandas()


@pytest.mark.parametrize("text", ["", "{", '{"files": ' + "[" * 100_000])
def test_damaged_manifest_is_named(warehouse, text):
    (warehouse.root / MANIFEST).write_text(text)
    with pytest.raises(DatasetError, match=rf"{warehouse.root}/manifest\.json is not a manifest"):
        cexkit.connect(warehouse.root)


def test_unknown_keys_of_a_manifest_may_be_nested():
    text = Manifest().to_json().replace('"simulated"', '"later": ' + "[" * 500 + "]" * 500 + ', "simulated"')
    assert '"later"' in Manifest.from_json(text).to_json()


@pytest.mark.parametrize("number", [0, -1])
def test_file_with_other_columns_is_named_and_not_the_one_that_it_is_compared_with(warehouse, number):
    shutil.rmtree(warehouse.root)
    shutil.copytree(SAMPLE_ROOT, warehouse.root)
    files = sorted(warehouse.root.glob("tables/funding_rates/**/*.parquet"))
    pq.write_table(pa.table({"x": [1]}), files[number])
    with pytest.raises(DamagedFileError) as caught:
        cexkit.connect(warehouse.root).table("funding_rates").to_polars()
    # before the text of DuckDB, which names both
    assert str(files[number].relative_to(warehouse.root)) in str(caught.value).partition("(")[0]
