"""Inventory of a table: merged spans in one file, shared by processes."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import timedelta

import pyarrow.parquet as pq
import pytest

from cexkit.errors import DatasetError
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, utc
from cexkit.warehouse.store.inventory import Inventory, read_inventories
from cexkit.warehouse.store.inventory_entries import ATTEMPTS, Key
from cexkit.warehouse.store.layout import inventory_file

TABLE, OTHER = TABLES["ohlcv_1h"], TABLES["mark_1h"]
BTC, ETH = Key("perp", "BTCUSDT"), Key("perp", "ETHUSDT")
DAY, AT = timedelta(days=1), utc("2024-06-01")


def day(number: int, days: int = 1) -> Window:
    start = utc("2024-01-01") + number * DAY
    return Window(start, start + days * DAY)


def opened(root) -> Inventory:
    return Inventory(root, "okx", TABLE)


def test_spans_of_many_runs_are_one_row(tmp_path):
    for number in range(30):
        inventory = opened(tmp_path)
        inventory.record(BTC, day(number), at=AT)
        inventory.flush()
    rows = pq.ParquetFile(tmp_path / inventory_file(TABLE, "okx")).read().to_pylist()
    assert [(row["start"], row["end"], row["state"]) for row in rows] == [(day(0).start, day(29).end, "complete")]


def test_unread_parts_are_those_of_no_state(tmp_path):
    inventory = opened(tmp_path)
    inventory.record(BTC, day(1, 3), [day(2)], at=AT)
    assert inventory.unread(BTC, day(0, 6)) == [day(0), day(4, 2)]
    assert inventory.unread(ETH, day(0)) == [day(0)]
    assert [entry.window for entry in inventory.missing(BTC)] == [day(2)]


def test_two_open_inventories_lose_no_span_of_each_other(tmp_path):
    one, other = opened(tmp_path), opened(tmp_path)
    one.record(BTC, day(0), at=AT)
    other.record(BTC, day(1), [day(1)], at=AT)
    other.record(ETH, day(5), at=AT)
    one.flush()
    other.flush()
    found = opened(tmp_path)
    assert found.unread(BTC, day(0, 3)) == [day(2)]
    assert found.unread(ETH, day(5)) == []
    assert [entry.window for entry in found.missing(BTC)] == [day(1)]


def test_two_requests_at_once_are_one_attempt(tmp_path):
    first = opened(tmp_path)
    first.record(BTC, day(0), [day(0)], at=AT)
    first.flush()
    one, other = opened(tmp_path), opened(tmp_path)
    for inventory in (one, other):
        inventory.record(BTC, day(0), [day(0)], at=AT + DAY)
        inventory.flush()
    assert [entry.attempts for entry in opened(tmp_path).missing(BTC)] == [2]


def test_rows_returned_before_stay_complete(tmp_path):
    inventory = opened(tmp_path)
    inventory.record(BTC, day(0, 2), at=AT)
    inventory.record(BTC, day(0, 3), [day(0), day(2)], at=AT + DAY)
    assert [entry.window for entry in inventory.missing(BTC)] == [day(2)]


def test_refresh_forgets_what_was_complete_and_given_up(tmp_path):
    inventory = opened(tmp_path)
    inventory.record(BTC, day(0, 2), at=AT)
    inventory.record(BTC, day(0, 2), [day(1)], at=AT, reset=True)
    (entry,) = inventory.missing(BTC)
    assert (entry.window, entry.attempts) == (day(1), 1)


def test_span_is_given_up_after_the_last_attempt_and_named_once(tmp_path):
    inventory = opened(tmp_path)
    for number in range(ATTEMPTS):
        assert inventory.given_up(BTC) == ()
        inventory.record(BTC, day(0), [day(0)], at=AT + number * 30 * DAY)
    assert inventory.given_up(BTC) == (day(0),)
    inventory.flush()
    later = opened(tmp_path)
    later.record(BTC, day(0), [day(0)], at=AT + 400 * DAY)
    assert later.given_up(BTC) == ()
    assert not later.missing(BTC)


def test_flush_without_a_change_writes_no_byte(tmp_path):
    inventory = opened(tmp_path)
    inventory.record(BTC, day(0), at=AT)
    inventory.observe(BTC, day(0))
    inventory.flush()
    path = tmp_path / inventory_file(TABLE, "okx")
    before = path.stat()
    again = opened(tmp_path)
    again.record(BTC, day(0), at=AT + DAY)
    again.flush()
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_extent_grows_only(tmp_path):
    inventory = opened(tmp_path)
    assert inventory.extent(BTC) is None
    inventory.observe(BTC, day(4, 2))
    inventory.observe(BTC, day(5, 4))
    inventory.flush()
    assert opened(tmp_path).extent(BTC) == day(4, 5)


@pytest.mark.parametrize("content", [b"", b"PAR1 and no Parquet", "other columns", "other state"])
def test_damaged_file_raises_with_the_way_out(tmp_path, content):
    path = tmp_path / inventory_file(TABLE, "okx")
    inventory = opened(tmp_path)
    inventory.record(BTC, day(0), at=AT)
    inventory.flush()
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        rows = pq.ParquetFile(path).read()
        index = rows.column_names.index("state")
        changed = rows.select(["symbol"]) if content == "other columns" else rows.set_column(index, "state", [["odd"]])
        pq.write_table(changed, path)
    with pytest.raises(DatasetError, match="delete it, and spans are requested again"):
        opened(tmp_path)
    path.unlink()
    assert opened(tmp_path).unread(BTC, day(0)) == [day(0)]


def test_threads_of_several_tables_and_writers_lose_no_span(tmp_path):
    def note(table, first: int) -> None:
        for number in range(first, 20, 2):
            inventory = Inventory(tmp_path, "okx", table)
            inventory.record(BTC, day(number), at=AT)
            inventory.flush()

    threads = [threading.Thread(target=note, args=(table, first)) for table in (TABLE, OTHER) for first in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [name for _, name, _ in read_inventories(tmp_path)] == ["mark_1h", "ohlcv_1h"]
    for _, _, inventory in read_inventories(tmp_path):
        assert inventory.unread(BTC, day(0, 21)) == [day(20)]


SCRIPT = """
import sys
from datetime import timedelta
from pathlib import Path
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, utc
from cexkit.warehouse.store.inventory import Inventory
from cexkit.warehouse.store.inventory_entries import Key
start, day = utc("2024-01-01"), timedelta(days=1)
for number in range(int(sys.argv[2]), 40, 2):
    inventory = Inventory(Path(sys.argv[1]), "okx", TABLES["ohlcv_1h"])
    inventory.record(Key("perp", "BTCUSDT"), Window(start + number * day, start + (number + 1) * day), at=start)
    inventory.flush()
"""


def test_two_processes_lose_no_span(tmp_path):
    words = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    processes = [subprocess.Popen([*words, number]) for number in "01"]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert opened(tmp_path).unread(BTC, day(0, 41)) == [day(40)]
