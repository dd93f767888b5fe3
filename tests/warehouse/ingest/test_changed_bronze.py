"""A response that is another one than when it was read is never used: Silver keeps its rows, and every run says so."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cexkit
from cexkit.cli.doctor import diagnose
from cexkit.errors import DataLossError, QualityError
from cexkit.exchanges.fetcher import Fetcher
from cexkit.schema import TABLES
from cexkit.schema.intervals import utc
from cexkit.testing import LOOPBACKS
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.ingest.rebuild import rebuild
from cexkit.warehouse.ingest.report import Report
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.verify import record, verify
from cexkit.warehouse.store.warehouse import Warehouse

START, DAY, NOW = utc("2026-01-01"), timedelta(days=1), utc("2026-01-20")
BARS, INSTRUMENTS = TABLES["ohlcv_1h"], TABLES["instruments"]


@pytest.fixture(scope="module")
def truth() -> dict[str, pl.DataFrame]:
    tables = simulate(start="2026-01-01", end="2026-01-03", coins=["BTC"], exchanges=["okx"]).tables
    return {name: tables[name] for name in tables}


def _pull(truth, warehouse: Warehouse, day: int, *, refresh: bool = False) -> Report:
    with LOOPBACKS["okx"](truth, now=NOW) as server, Fetcher(server.settings) as fetcher:
        span, words = (START + day * DAY, START + (day + 1) * DAY), {"warehouse": warehouse, "fetcher": fetcher}
        return pull("okx", "ohlcv_1h", None, *span, instrument_type="perp", now=NOW, refresh=refresh, **words)


@pytest.fixture(scope="module")
def two_days(truth, tmp_path_factory) -> Warehouse:
    warehouse = Warehouse(tmp_path_factory.mktemp("days"))
    for day in range(2):
        _pull(truth, warehouse, day)
    return warehouse


@pytest.fixture
def warehouse(two_days, tmp_path) -> Warehouse:
    return Warehouse(shutil.copytree(two_days.root, tmp_path / "warehouse"))


def _rows(warehouse: Warehouse) -> pl.DataFrame:
    return pl.from_arrow(warehouse.read(BARS)).sort(BARS.key)


def _bronze(warehouse: Warehouse, table=BARS) -> list[Path]:
    files = Ledger(warehouse.root, "okx", table).files
    return [warehouse.root / path for path in files.filter(pl.col("rows") > 0)["path"]]


def _double_highs(body: bytes) -> bytes:
    page = json.loads(body)
    page["data"] = [[time, opened, str(2 * float(high)), *rest] for time, opened, high, *rest in page["data"]]
    return json.dumps(page).encode()


def _rename(body: bytes) -> bytes:
    return body.replace(b"BTC", b"XYZ")


def _change(path: Path, change=_double_highs) -> None:
    """Change the responses in a file together with the hashes that it states."""
    rows = pq.ParquetFile(path).read().to_pylist()
    for row in rows:
        row["body"] = change(row["body"])
        row["sha256"] = hashlib.sha256(row["body"]).hexdigest()
    pq.write_table(pa.Table.from_pylist(rows, pq.read_schema(path)), path, compression="zstd")


def _hide_size(warehouse: Warehouse, path: Path, table=BARS) -> None:
    """Let the ledger name the present size of a file, as if its change had left it the same."""
    ledger, name = Ledger(warehouse.root, "okx", table), path.relative_to(warehouse.root).as_posix()
    (row,) = ledger.files.filter(path=name).to_dicts()
    ledger.record([row | {"bytes": path.stat().st_size}])


def test_changed_response_of_same_size_is_found_when_its_file_is_read(warehouse, truth):
    before, path = _rows(warehouse), _bronze(warehouse)[0]
    original = path.read_bytes()
    _change(path)
    _hide_size(warehouse, path)
    with LOOPBACKS["okx"](truth, now=NOW) as server, Fetcher(server.settings) as fetcher:
        half = {"warehouse": warehouse, "fetcher": fetcher, "now": NOW, "refresh": True, "instrument_type": "perp"}
        report = pull("okx", "ohlcv_1h", None, START, START + DAY / 2, **half)
    assert "lacks 1 of 1 responses that were read from it: its rows stay in Silver" in str(report)
    assert _rows(warehouse).equals(before)
    assert "lacks 1 of 1 responses" in str(_pull(truth, warehouse, 1, refresh=True))
    path.write_bytes(original)
    _hide_size(warehouse, path)
    assert not _pull(truth, warehouse, 1).problems
    assert verify(warehouse).problems == ()
    assert _rows(warehouse).equals(before)


def test_changed_response_is_not_merged_when_all_of_bronze_is(warehouse, truth):
    before, path = _rows(warehouse), _bronze(warehouse)[0]
    _change(path)
    ledger = Ledger(warehouse.root, "okx", BARS)
    ledger.reset()
    for _ in range(2):
        report = build_silver(warehouse, "okx", BARS, now=NOW)
        assert path.name in str(report)
        assert _rows(warehouse).equals(before)
    assert [file.path for file in Ledger(warehouse.root, "okx", BARS).lost] == [
        path.relative_to(warehouse.root).as_posix()
    ]


def test_rebuild_lacks_the_rows_of_a_changed_response(warehouse):
    before, path = _rows(warehouse), _bronze(warehouse)[0]
    _change(path)
    one = rebuild(warehouse, "okx", [BARS], dry_run=True)[0]
    assert (one.changed, one.lost_keys) == (0, 24)
    assert "lacks 1 of 1 responses that were read from it: a rebuild lacks its rows" in str(one.problems)
    with pytest.raises(DataLossError, match="24 keys of perp BTCUSDT"):
        rebuild(warehouse, "okx", [BARS])
    assert _rows(warehouse).equals(before)


def test_rebuild_uses_a_file_of_another_size_with_the_same_responses(warehouse):
    before, path = _rows(warehouse), _bronze(warehouse)[0]
    _change(path, lambda body: body)
    (one,) = rebuild(warehouse, "okx", [BARS])
    assert (one.changed, one.lost_keys, one.problems) == (0, 0, ())
    assert Ledger(warehouse.root, "okx", BARS).lost == []
    assert _rows(warehouse).equals(before)


def test_changed_list_of_instruments_is_not_used(warehouse):
    before = pl.from_arrow(warehouse.read(INSTRUMENTS)).sort(INSTRUMENTS.key)
    for path in _bronze(warehouse, INSTRUMENTS):
        _change(path, _rename)
        _hide_size(warehouse, path, INSTRUMENTS)
    Ledger(warehouse.root, "okx", INSTRUMENTS).drop_state()
    report = build_silver(warehouse, "okx", INSTRUMENTS)
    assert "lacks 1 of 1 responses that were read from it" in str(report)
    assert pl.from_arrow(warehouse.read(INSTRUMENTS)).sort(INSTRUMENTS.key).equals(before)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def test_doctor_blocks_publication_until_the_file_is_back(warehouse, truth, tmp_path):
    path = _bronze(warehouse)[0]
    original = path.read_bytes()
    _flip(path)
    (problem,) = diagnose(warehouse.root, verify=True).problems
    for _ in range(2):  # a file that is known to be damaged is verified again
        assert diagnose(warehouse.root, verify=True).problems == [problem]
        with pytest.raises(QualityError, match="bronze_files fails"):
            cexkit.publish(warehouse, tmp_path / "published")
        assert _pull(truth, warehouse, 1).problems
    path.write_bytes(original)
    assert diagnose(warehouse.root, verify=True).problems == []
    assert Ledger(warehouse.root, "okx", BARS).lost == []
    assert not _pull(truth, warehouse, 1).problems
    cexkit.publish(warehouse, tmp_path / "published")


def test_verification_that_finds_nothing_changes_nothing(warehouse):
    before = {path: path.stat().st_mtime_ns for path in warehouse.root.rglob("*") if path.is_file()}
    assert record(warehouse, verify(warehouse)) == 0
    assert {path: path.stat().st_mtime_ns for path in warehouse.root.rglob("*") if path.is_file()} == before


def test_doctor_records_a_changed_archive_file_and_the_file_that_refers_to_it(tmp_path):
    warehouse, funding = Warehouse(tmp_path / "warehouse"), TABLES["funding_rates"]
    may = simulate(start="2026-05-01", end="2026-06-01", coins=["BTC"], exchanges=["okx"]).tables
    with LOOPBACKS["okx"](may, now="2027-06-05") as server, Fetcher(server.settings) as fetcher:
        pull("okx", "funding_rates", None, "2026-05-01", "2026-06-01", warehouse=warehouse, fetcher=fetcher)
    before = pl.from_arrow(warehouse.read(funding)).sort(funding.key)
    path = next(warehouse.root.rglob("*.zip"))
    original = path.read_bytes()
    _flip(path)
    (problem,) = diagnose(warehouse.root, verify=True).problems
    assert problem.startswith(path.relative_to(warehouse.root).as_posix())
    for _ in range(2):
        assert path.name in str(build_silver(warehouse, "okx", funding))
        assert pl.from_arrow(warehouse.read(funding)).sort(funding.key).equals(before)
    path.write_bytes(original)
    assert diagnose(warehouse.root, verify=True).problems == []
    assert build_silver(warehouse, "okx", funding).problems == ()
    states = Ledger(warehouse.root, "okx", funding).files["state"]
    assert "pending" not in states
    assert pl.from_arrow(warehouse.read(funding)).sort(funding.key).equals(before)
