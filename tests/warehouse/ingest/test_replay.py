"""What a build tells the ledger of the files that it read."""

from __future__ import annotations

import pyarrow as pa
import pytest

from cexkit.schema.intervals import Window, utc
from cexkit.warehouse.ingest.replay import Parsed, Record


@pytest.fixture
def record(tmp_path) -> Record:
    for name in ("a.parquet", "b.zip"):
        (tmp_path / name).write_bytes(b"12345")
    return Record(tmp_path, 7)


def _parsed(sequence, day: int, *, position: int = 0, file: str | None = None) -> Parsed:
    times = pa.table({"timestamp": pa.array([utc(f"2024-01-{day:02}")], pa.timestamp("us", tz="UTC"))})
    window = Window.of("2024-01-01", "2024-02-01")
    row = {"path": "a.parquet", "file": file, "position": position, "sequence": sequence, "sha256": "x"}
    return Parsed(row | {"data_start": window.start, "data_end": window.end}, None, times)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_file_has_the_span_the_rows_and_the_largest_number_of_its_responses(record, order):
    responses = [_parsed(12, 5), _parsed(30, 9, position=1), _parsed(None, 2, position=2)]
    for number in order:
        record.add(responses[number])
    (file,) = record.files("names")
    assert (file["start"].day, file["end"].day) == (2, 9)
    assert (file["responses"], file["rows"], file["last_sequence"]) == (3, 3, 30)
    assert (file["state"], file["bytes"], file["parser_version"]) == ("merged", 5, 7)


def test_damaged_archive_and_the_file_that_refers_to_it_are_read_again(record):
    record.add(_parsed(12, 5, file="b.zip"))
    assert {file["path"]: file["state"] for file in record.files("")} == {"a.parquet": "merged", "b.zip": "merged"}
    record.damage("b.zip", "does not match its hash", holder="a.parquet")
    assert {file["path"]: file["state"] for file in record.files("")} == {"a.parquet": "pending", "b.zip": "pending"}
    assert {file["path"]: file["damage"] for file in record.files("")} == {
        "a.parquet": None,
        "b.zip": "does not match its hash",
    }


def test_file_that_is_missing_is_not_recorded(record, tmp_path):
    record.add(_parsed(12, 5, file="b.zip"))
    (tmp_path / "b.zip").unlink()
    assert [file["path"] for file in record.files("")] == ["a.parquet"]
