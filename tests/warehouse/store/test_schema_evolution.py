"""Files of an older schema: a nullable column they lack reads as null, with every reader and next to newer files."""

from __future__ import annotations

import json
from dataclasses import replace

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cexkit
from cexkit.errors import DatasetError, NewerSchemaError
from cexkit.schema import FIELDS, SCHEMA_VERSION, TABLES, Field
from cexkit.warehouse.quality import blocking_failures, run_checks
from cexkit.warehouse.quality import files as quality_files
from cexkit.warehouse.store import manifest as manifest_module
from cexkit.warehouse.store import reader
from cexkit.warehouse.store.layout import MANIFEST
from cexkit.warehouse.store.manifest import Manifest, read_manifest
from cexkit.warehouse.store.warehouse import Warehouse

from .conftest import funding

OLD, NEW = SCHEMA_VERSION, SCHEMA_VERSION + 1


def _add_columns(monkeypatch, *fields: Field) -> None:
    """Declare the next schema version, with more columns in ``funding_rates``."""
    table = TABLES["funding_rates"]
    for field in fields:
        monkeypatch.setitem(FIELDS, field.name, field)
    columns = (*table.columns, *(field.name for field in fields))
    monkeypatch.setitem(TABLES, "funding_rates", replace(table, columns=columns))
    for module in (manifest_module, reader, quality_files):
        monkeypatch.setattr(module, "SCHEMA_VERSION", NEW)


@pytest.fixture
def old(tmp_path):
    """A warehouse that the current schema wrote."""
    warehouse = Warehouse(tmp_path / "warehouse")
    warehouse.write(TABLES["funding_rates"], funding("2023-12-30", 9))
    return warehouse


@pytest.fixture
def mixed(old, monkeypatch):
    """The same warehouse under the next schema: 2023 and 2024 were written by the old one, 2025 by the new one."""
    rows = funding("2025-01-01", 3).append_column("ratio", pa.array([0.5, None, 2.0]))
    _add_columns(monkeypatch, Field("ratio", "float64", "", "A number.", nullable=True))
    old.write(TABLES["funding_rates"], rows)
    return old


def _ratios(rows: pl.DataFrame) -> list[float | None]:
    return rows.sort("timestamp")["ratio"].to_list()


RATIOS = [None] * 9 + [0.5, None, 2.0]


def test_missing_column_reads_as_null_by_table(mixed):
    market = cexkit.connect(mixed.root)
    assert _ratios(market.funding_rates.to_polars()) == RATIOS
    assert _ratios(market.table("funding_rates", end="2024-01-01").to_polars()) == RATIOS[:6]
    assert _ratios(market.table("funding_rates", start="2025-01-01").to_polars()) == RATIOS[9:]
    assert market.table("funding_rates", end="2024-01-01").ratio.type().is_float64()


def test_missing_column_reads_as_null_by_sql(mixed):
    rows = cexkit.connect(mixed.root).sql("SELECT timestamp, ratio FROM funding_rates").to_polars()
    assert _ratios(rows) == RATIOS


def test_missing_column_reads_as_null_by_warehouse(mixed):
    rows = mixed.read(TABLES["funding_rates"])
    assert rows.column_names == list(TABLES["funding_rates"].columns)
    assert _ratios(pl.from_arrow(rows)) == RATIOS


def test_old_files_pass_the_checks(mixed):
    results = run_checks(mixed, ["funding_rates"])
    assert blocking_failures(results).is_empty()
    assert results.filter(check_name="schema")["rows_checked"].sum() == 12


def test_only_old_files_read_as_null(old, monkeypatch):
    _add_columns(monkeypatch, Field("ratio", "float64", "", "A number.", nullable=True))
    assert _ratios(cexkit.connect(old.root).funding_rates.to_polars()) == RATIOS[:9]
    assert read_manifest(old.root / MANIFEST).schema_version == OLD


def test_manifest_keeps_the_version_of_each_file(mixed):
    manifest = read_manifest(mixed.root / MANIFEST)
    assert manifest.schema_version == NEW
    assert [file.schema_version for file in manifest.files] == [OLD, OLD, NEW]
    raw = json.loads((mixed.root / MANIFEST).read_text())
    assert ["schema_version" in file for file in raw["files"]] == [True, True, False]


def test_missing_required_column_is_an_error_that_names_it(old, monkeypatch):
    _add_columns(monkeypatch, Field("ratio", "float64", "", "A number."))
    for read in (lambda: old.read(TABLES["funding_rates"]), lambda: cexkit.connect(old.root).funding_rates):
        with pytest.raises(DatasetError, match=r"funding_rates: .* lacks required columns ratio"):
            read()


def test_unknown_column_is_not_read(old):
    (file,) = (one for one in old.manifest.files if one.period == "2023")
    path = old.root / file.path
    pq.write_table(pq.read_table(path, partitioning=None).append_column("later", pa.nulls(file.rows)), path)
    assert cexkit.connect(old.root).funding_rates.columns == TABLES["funding_rates"].columns
    assert old.read(TABLES["funding_rates"]).column_names == list(TABLES["funding_rates"].columns)


def test_unknown_manifest_keys_are_kept(old):
    raw = json.loads((old.root / MANIFEST).read_text())
    raw["digest"], raw["files"][0]["keys"] = {"a": [1]}, "0a1b"
    (old.root / MANIFEST).write_text(json.dumps(raw))
    old.write(TABLES["funding_rates"], funding("2025-01-01", 3))
    after = json.loads((old.root / MANIFEST).read_text())
    assert after["digest"] == {"a": [1]}
    assert [file.get("keys") for file in after["files"]] == ["0a1b", None, None]
    assert cexkit.connect(old.root).funding_rates.count().execute() == 12


def test_newer_schema_is_refused(old):
    raw = json.loads((old.root / MANIFEST).read_text()) | {"schema_version": NEW}
    with pytest.raises(NewerSchemaError, match="upgrade"):
        Manifest.from_json(json.dumps(raw))


def test_manifest_its_reader_would_reject_is_never_written(old, monkeypatch):
    before = (old.root / MANIFEST).read_text()
    monkeypatch.setattr(manifest_module, "_NAME", manifest_module.re.compile("nothing"))
    with pytest.raises(DatasetError, match="not a manifest"):
        old.describe(simulated=False, description="x")
    assert (old.root / MANIFEST).read_text() == before
