"""Verification by hashes: data files against the manifest, Bronze files against the ledgers."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cexkit.schema import TABLES
from cexkit.schema.intervals import utc
from cexkit.warehouse.store.bronze import BronzeWriter
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.ledgers import retire
from cexkit.warehouse.store.verify import verify
from cexkit.warehouse.store.warehouse import Warehouse

from .conftest import funding

FUNDING, NOW = TABLES["funding_rates"], utc("2024-01-02")
BODIES = (b"one", b"two")


def _response(body: bytes) -> dict:
    digest = hashlib.sha256(body).hexdigest()
    times = {"data_start": NOW, "data_end": NOW, "received_at": NOW}
    texts = {"table": "funding_rates", "context": "{}", "url": "", "params": "{}", "headers": "{}"}
    return {"status": 200, "sha256": digest, "body": body} | times | texts


@pytest.fixture
def warehouse(tmp_path) -> Warehouse:
    """A warehouse with two data files, a Bronze file of two responses, and an archive file."""
    warehouse = Warehouse(tmp_path / "warehouse")
    warehouse.write(FUNDING, funding("2023-12-30", 9))
    with BronzeWriter(warehouse.root, "binance", "um.fundingRate", "run") as writer:
        for body in BODIES:
            writer.add(_response(body))
        writer.add_file(_response(b"zip"))
    archive = next(warehouse.root.rglob("*.zip"))
    paths = [path.relative_to(warehouse.root).as_posix() for path in (writer.files[0], archive)]
    Ledger(warehouse.root, "binance", FUNDING).record(
        [{"path": path, "bytes": (warehouse.root / path).stat().st_size, "state": "merged"} for path in paths],
        [
            {
                "path": paths[0],
                "position": n,
                "sha256": hashlib.sha256(body).hexdigest(),
                "rows": 1,
                "parser_version": 1,
            }
            for n, body in enumerate((*BODIES, b"zip"))
        ],
    )
    return warehouse


def _change(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def test_unchanged_files_have_no_problem(warehouse):
    found = verify(warehouse)
    assert (found.data_files, found.bronze_files, found.problems) == (2, 2, ())


@pytest.mark.parametrize(
    ("pattern", "how"),
    [
        ("tables/**/*.parquet", "changed"),
        ("tables/**/*.parquet", "missing"),
        ("bronze/**/*.parquet", "longer"),
        ("bronze/**/*.parquet", "missing"),
        ("bronze/**/*.zip", "changed"),
        ("bronze/**/*.zip", "missing"),
    ],
)
def test_file_with_other_content_is_one_problem(warehouse, pattern, how):
    path = next(warehouse.root.glob(pattern))
    if how == "changed":
        _change(path)
    elif how == "longer":
        path.write_bytes(path.read_bytes() + b"x")
    else:
        path.unlink()
    (problem,) = verify(warehouse).problems
    assert problem.startswith(path.relative_to(warehouse.root).as_posix())


def test_replaced_body_of_the_same_length_is_a_problem(warehouse):
    path = next(warehouse.root.glob("bronze/**/*.parquet"))
    rows = pq.ParquetFile(path).read().to_pylist()
    rows[1]["body"] = b"tow"
    schema = pq.read_schema(path)
    pq.write_table(pa.Table.from_pylist(rows, schema), path, compression="zstd")
    (problem,) = verify(warehouse).problems
    assert "lacks 1 of 3 responses" in problem or "bytes" in problem


def test_retired_file_is_left_out(warehouse):
    path = next(warehouse.root.glob("bronze/**/*.zip"))
    path.unlink()
    retire(warehouse.root, [path.relative_to(warehouse.root).as_posix()])
    assert verify(warehouse).problems == ()
    assert verify(warehouse).bronze_files == 1
