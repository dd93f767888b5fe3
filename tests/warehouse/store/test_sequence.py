"""Sequence numbers: never the same twice, whatever happens to the counter, the process, or the machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest

from cexkit.errors import DatasetError
from cexkit.warehouse.store import sequence as module
from cexkit.warehouse.store.bronze import BronzeWriter, archived, bronze_files, read_bronze, request_order
from cexkit.warehouse.store.layout import SEQUENCE
from cexkit.warehouse.store.sequence import RECOVERY_GAP, Sequence, largest_stored_number

ENDPOINT = "v5.candles"


def response(sequence: int | None, **more) -> dict:
    now = datetime.now(UTC)
    return {"table": "ohlcv_1h", "data_start": now, "data_end": now, "context": "{}", "url": "u", "params": "{}",
            "status": 200, "headers": "{}", "received_at": now, "sha256": "0", "body": b"", "sequence": sequence,
            **more}  # fmt: skip


def store(root, *responses: dict, run: str = "run", endpoint: str = ENDPOINT) -> None:
    with BronzeWriter(root, "okx", endpoint, run) as writer:
        for row in responses:
            writer.add(row)


def test_numbers_increase_over_objects_of_one_warehouse(tmp_path):
    one, other = Sequence(tmp_path), Sequence(tmp_path)
    assert [one.next(), other.next(), one.next(), Sequence(tmp_path).next()] == [1, 2, 3, 4]


def test_threads_share_no_number(tmp_path):
    shared = Sequence(tmp_path)
    with ThreadPoolExecutor(8) as threads:
        parts = list(threads.map(lambda _: [shared.next() for _ in range(200)], range(8)))
    assert sorted(number for part in parts for number in part) == list(range(1, 1601))
    assert all(part == sorted(part) for part in parts)


def test_processes_share_no_number(tmp_path):
    script = (
        "import sys; from pathlib import Path; from cexkit.warehouse.store.sequence import Sequence; "
        "s = Sequence(Path(sys.argv[1])); print(*(s.next() for _ in range(2000)))"
    )
    words = [sys.executable, "-c", script, str(tmp_path)]
    processes = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    parts = [[int(word) for word in process.communicate(timeout=120)[0].split()] for process in processes]
    assert sorted(number for part in parts for number in part) == list(range(1, 6001))
    assert all(part == sorted(part) for part in parts)


def test_forked_process_takes_other_numbers(tmp_path):
    shared = Sequence(tmp_path)
    shared.next()
    end, start = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(start, str([shared.next() for _ in range(100)]).encode())
        os._exit(0)
    own = [shared.next() for _ in range(100)]
    os.waitpid(child, 0)
    other = [int(word) for word in os.read(end, 1 << 16).decode().strip("[]").split(",")]
    assert not set(own) & set(other)


def test_killed_process_leaves_counter_behind_no_number(tmp_path):
    script = (
        "import os, sys; from pathlib import Path; from cexkit.warehouse.store.sequence import Sequence\n"
        "s = Sequence(Path(sys.argv[1]))\n"
        "while True: os.write(1, b'%d\\n' % s.next())"
    )
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
        lines = [process.stdout.readline() for _ in range(1000)]
        process.send_signal(signal.SIGKILL)
        lines += process.communicate()[0].splitlines(keepends=True)
        taken = [int(line) for line in lines if line.endswith(b"\n")]
        assert Sequence(tmp_path).next() > max(taken)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-9]),
        lambda path: path.write_bytes(b"\0" * 51),
        lambda path: path.write_bytes(path.read_bytes().replace(b"5", b"1", 1)),
        lambda path: path.write_bytes(path.read_bytes() * 2),
    ],
    ids=["deleted", "emptied", "truncated", "zeroed", "changed", "doubled"],
)
def test_lost_counter_continues_after_largest_stored_number(tmp_path, damage):
    counter = Sequence(tmp_path)
    numbers = [counter.next() for _ in range(5)]
    store(tmp_path, *map(response, numbers))
    damage(tmp_path / SEQUENCE)
    assert Sequence(tmp_path).next() == 5 + RECOVERY_GAP + 1
    assert Sequence(tmp_path).next() == 5 + RECOVERY_GAP + 2


def test_counter_deleted_while_in_use_goes_on(tmp_path):
    counter = Sequence(tmp_path)
    numbers = [counter.next() for _ in range(5)]
    (tmp_path / SEQUENCE).unlink()
    other = Sequence(tmp_path)
    other.next()
    assert counter.next() > max(numbers)
    assert other.next() > max(numbers)


def test_copied_warehouse_continues_after_its_own_bronze(tmp_path):
    """A copy that took the counter before the responses: its counter is intact, and too old."""
    first, copy = tmp_path / "first", tmp_path / "copy"
    counter = Sequence(first)
    store(first, response(counter.next()))
    shutil.copytree(first / "bronze", copy / "bronze")
    store(first, *(response(counter.next()) for _ in range(9)), run="later")
    shutil.copytree(first / "bronze/exchange=okx", copy / "bronze/exchange=okx", dirs_exist_ok=True)
    assert Sequence(copy).next() > 10
    assert counter.next() == 11


def test_intact_counter_is_opened_without_reading_bronze(tmp_path, monkeypatch):
    store(tmp_path, response(Sequence(tmp_path).next()))
    monkeypatch.setattr(module, "largest_stored_number", lambda root: pytest.fail("Bronze was read"))
    assert Sequence(tmp_path).next() == 2


def test_power_failure_never_repeats_a_stored_number(tmp_path, monkeypatch):
    """After it, the counter is as it was last flushed; everything written after that is lost."""
    on_disk, fsync = {}, os.fsync

    def noted(handle: int) -> None:
        fsync(handle)
        if os.readlink(f"/proc/self/fd/{handle}") == str(tmp_path / SEQUENCE):
            on_disk["counter"] = os.pread(handle, 100, 0)

    monkeypatch.setattr(os, "fsync", noted)
    counter = Sequence(tmp_path)
    store(tmp_path, *(response(counter.next()) for _ in range(7)))
    for _ in range(20):
        counter.next()
    with (tmp_path / SEQUENCE).open("r+b") as file:
        file.write(on_disk["counter"])
    assert Sequence(tmp_path).next() == 8 > largest_stored_number(tmp_path)


def test_counter_is_on_disk_before_responses_are_written(tmp_path, monkeypatch):
    events = []
    monkeypatch.setattr(Sequence, "persist", lambda self, number: events.append(("counter", number)))
    monkeypatch.setattr(BronzeWriter, "_write", lambda *_: events.append("responses"))
    store(tmp_path, response(3), response(9), response(4))
    assert events == [("counter", 9), "responses"]


def test_persisted_number_of_another_counter_is_not_repeated(tmp_path):
    Sequence(tmp_path).persist(40)
    assert Sequence(tmp_path).next() == 41


def test_folder_that_cannot_be_written_is_a_dataset_error(tmp_path):
    (tmp_path / "bronze").write_text("a file")
    with pytest.raises(DatasetError, match="could not write to"):
        Sequence(tmp_path).next()


def test_unreadable_bronze_file_does_not_stop_recovery(tmp_path):
    store(tmp_path, response(Sequence(tmp_path).next()))
    (tmp_path / "bronze/exchange=okx/broken.parquet").write_bytes(b"PAR1")
    (tmp_path / SEQUENCE).unlink()
    assert Sequence(tmp_path).next() == 1 + RECOVERY_GAP + 1


class TestOldBronze:
    """Files of versions that numbered no requests."""

    @pytest.fixture
    def old(self, tmp_path):
        for run in ("2026a", "2026b"):
            store(tmp_path, response(None, sha256=run), run=run)
        for path in tmp_path.rglob("*.parquet"):
            rows = pq.read_table(path, partitioning=None).drop_columns("sequence")
            pq.write_table(rows, path)
        return tmp_path

    def test_numbers_begin_at_one(self, old):
        assert largest_stored_number(old) is None
        assert Sequence(old).next() == 1

    def test_responses_precede_numbered_ones_in_file_order(self, old):
        store(old, response(2, sha256="third"), response(1, sha256="second"), run="2025")
        rows = list(read_bronze(old, "okx", ENDPOINT, "ohlcv_1h"))
        assert {row["sequence"] for row in rows} == {None, 1, 2}
        ordered = [row["sha256"] for row in sorted(rows, key=request_order)]
        assert ordered == ["2026a", "2026b", "second", "third"]


def test_newest_archive_version_is_the_one_requested_last(tmp_path):
    skewed = '{"skewed": true}'
    store(tmp_path, response(2, url="a", sha256="new"), response(3, url="b", sha256="bad", context=skewed), run="1")
    store(tmp_path, response(1, url="a", sha256="old"), run="2")
    assert archived(tmp_path, bronze_files(tmp_path, "okx", ENDPOINT)) == {"a": "new"}
