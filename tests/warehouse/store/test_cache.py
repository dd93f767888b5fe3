"""The cache of files: verified, repaired, shared, bounded, moved."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import cexkit
from cexkit.config import settings
from cexkit.errors import DatasetError, DatasetUnreachableError
from cexkit.warehouse.store.cache import FileCache, PinnedRevision
from cexkit.warehouse.store.manifest import DataFile


def entry(content: bytes, name: str = "a") -> DataFile:
    return DataFile(
        path=f"tables/t/{name}.parquet", table="t", exchange=None, period="all", rows=1, bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(), start=None, end=None,
    )  # fmt: skip


class Source:
    """Gives one content, counts how often."""

    def __init__(self, *contents: bytes, delay_s: float = 0.0):
        self.contents, self.asked, self.delay_s = contents, 0, delay_s

    def __call__(self, folder: Path) -> Path:
        content = self.contents[min(self.asked, len(self.contents) - 1)]
        self.asked += 1
        time.sleep(self.delay_s)
        (folder / "came").write_bytes(content)
        return folder / "came"


@pytest.fixture
def files(tmp_path) -> FileCache:
    return FileCache(tmp_path / "cache", 1_000_000)


def keep_time(path: Path, content: bytes) -> None:
    """Change a file and hide it as well as a program can."""
    state = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"another"),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
        lambda path: keep_time(path, b"CONTENT"),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.with_suffix(".seen").unlink()),
        lambda path: (path.write_bytes(b"x"), path.with_suffix(".seen").write_bytes(b"\xff\0")),
    ],
)
def test_a_file_that_is_not_itself_any_more_is_fetched_again(files, spoil):
    content = b"content"
    source = Source(content)
    path = files.fetch(entry(content), source)
    assert (files.find(entry(content)), source.asked) == (path, 1)
    spoil(path)
    assert files.find(entry(content)) is None
    assert files.fetch(entry(content), source).read_bytes() == content
    assert source.asked == 2


def test_a_file_is_hashed_once_and_again_only_if_touched(files, monkeypatch):
    hashed = []
    monkeypatch.setattr("cexkit.warehouse.store.cache.sha256", lambda path: hashed.append(path) or entry(b"x").sha256)
    path = files.fetch(entry(b"x"), Source(b"x"))
    before = len(hashed)
    for _ in range(3):
        assert FileCache(files.root, 1).find(entry(b"x")) == path
    assert len(hashed) == before
    os.utime(path, (1, 1))
    assert FileCache(files.root, 1).find(entry(b"x")) == path
    assert len(hashed) == before + 1


def test_what_comes_wrong_is_asked_for_once_more_and_then_said(files):
    good = b"good"
    assert files.fetch(entry(good), Source(b"evil", good)).read_bytes() == good
    source = Source(b"evil")
    with pytest.raises(DatasetError, match="is not what the manifest says"):
        files.fetch(entry(b"best"), source)
    assert source.asked == 2
    assert files.usage().files == 1
    assert not [path for path in files.files.rglob("*") if path.name.startswith(".tmp")]


def test_of_many_threads_one_downloads(files):
    content = b"x" * 10_000
    source = Source(content, delay_s=0.05)
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: files.fetch(entry(content), source), range(16)))
    assert (len(found), source.asked) == (1, 1)


def test_it_stays_within_its_size_and_drops_what_was_not_used_for_longest(tmp_path):
    files = FileCache(tmp_path, 3_000)
    contents = [bytes([65 + number]) * 1_000 for number in range(5)]
    for number, content in enumerate(contents[:3]):
        path = files.fetch(entry(content), Source(content))
        os.utime(path.with_suffix(".seen"), (number, number))
    files.find(entry(contents[0]))
    for content in contents[3:]:
        files.fetch(entry(content), Source(content))
    assert files.usage().bytes == 3_000
    assert [files.find(entry(content)) is not None for content in contents] == [True, False, False, True, True]


def test_what_a_connection_uses_is_never_dropped_not_even_by_clear(tmp_path):
    files, content = FileCache(tmp_path, 0), b"x" * 100
    lease = files.lease()
    lease.add([entry(content).sha256])
    path = files.fetch(entry(content), Source(content))
    assert FileCache(tmp_path, 0).clear() == (0, 0)
    assert path.exists()
    lease.release()
    assert FileCache(tmp_path, 0).clear() == (1, 100)
    assert not path.exists()


def test_what_a_killed_process_used_is_free_again(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from cexkit.warehouse.store.cache import FileCache;"
        "lease = FileCache(Path(sys.argv[1]), 0).lease(); lease.add([sys.argv[2]]); print('ready', flush=True);"
        "time.sleep(60)"
    )
    content, files = b"y" * 100, FileCache(tmp_path, 10_000)
    files.fetch(entry(content), Source(content))
    words = [sys.executable, "-c", code, str(tmp_path), entry(content).sha256]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        assert files.clear() == (0, 0)
        process.kill()
    assert files.clear() == (1, 100)
    assert not list((tmp_path / "leases").iterdir())


def test_the_folder_can_be_moved(tmp_path):
    content, files = b"z" * 100, FileCache(tmp_path / "a", 10_000)
    files.fetch(entry(content), Source(content))
    files.remember("place", PinnedRevision("place", "r1", "{}"))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    shutil.move(tmp_path / "a", tmp_path / "c")
    for folder in ("b", "c"):
        moved = FileCache(tmp_path / folder, 10_000)
        assert moved.find(entry(content)).read_bytes() == content
        assert moved.recall("place").revision == "r1"


def test_a_damaged_note_of_a_place_is_none(files):
    files.remember("place", PinnedRevision("place", "r1", '{"a": 1}'))
    (note,) = (files.root / "locations").iterdir()
    whole = note.read_text()
    for damaged in (whole[:20], "", whole.replace("r1", "r1").replace('\\"a\\"', '\\"b\\"'), "[]", json.dumps({})):
        note.write_text(damaged)
        assert files.recall("place") is None
        assert files.usage().locations == ()
    assert files.recall("other") is None


def test_a_download_that_ends_while_another_makes_room_does_no_harm(files):
    path = files.fetch(entry(b"x"), Source(b"x"))
    (path.parent / ".tmp-gone").symlink_to("nowhere")
    assert files.clear() == (1, 1)


def test_a_disk_that_refuses_says_which_setting_helps(tmp_path):
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(DatasetError, match=r"cache at .*taken cannot be used.*CEXKIT_CACHE_DIR"):
        FileCache(tmp_path / "taken", 1).fetch(entry(b"x"), Source(b"x"))


READ = """
import hashlib, sys
from pathlib import Path
from cexkit.warehouse.store.cache import FileCache
from cexkit.warehouse.store.locations import locate
from cexkit.warehouse.store.snapshot import open_snapshot
snapshot = open_snapshot(locate(sys.argv[1]), FileCache(Path(sys.argv[2]), 10**9), mode="cache")
files = snapshot.manifest.select("funding_rates")
found = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in snapshot.paths(files)]
print(found == [file.sha256 for file in files])
"""


def test_processes_share_it(places, tmp_path):
    where = places.serve("http", latency_seconds=0.05)
    words = [sys.executable, "-c", READ, where, str(tmp_path / "shared")]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate()[0] for process in running] == ["True\n"] * 3
    data = [logged.request.path for logged in places.server.log if logged.request.path.endswith(".parquet")]
    assert len(data) == len(set(data)) == 8


@pytest.mark.parametrize("kind", ["hub", "http"])
def test_a_spoilt_cache_is_never_fatal_and_never_wrong(places, cache, kind):
    where = places.serve(kind)
    market = cexkit.connect(where, mode="cache")
    whole = market.funding_rates.count().execute()
    total = market.funding_rates.funding_rate.sum().execute()
    paths = sorted((cache / "files").rglob("*.parquet"))
    other = paths[0].read_bytes()
    for number, path in enumerate(paths):
        path.write_bytes([b"", b"garbage" * 100, path.read_bytes()[:1000], other][number % 4])
    for again in (market, cexkit.connect(where, mode="cache")):
        assert again.funding_rates.count().execute() == whole
        assert again.funding_rates.funding_rate.sum().execute() == pytest.approx(total, rel=1e-12)
    paths[3].write_bytes(b"spoilt")
    places.stop()
    with pytest.raises(DatasetUnreachableError, match="offline, and not in the cache"):
        _ = cexkit.connect(where, offline=True).funding_rates


def test_a_small_cache_serves_all_the_same(places, cache, monkeypatch):
    monkeypatch.setenv("CEXKIT_CACHE_MAX_BYTES", "60000")
    settings.cache_clear()
    market = cexkit.connect(places.serve("http"), mode="cache")
    held = market.table("funding_rates", exchange="okx")
    rows = held.count().execute()
    threads = [threading.Thread(target=lambda: cexkit.connect(places.server.url, mode="cache").warm()) for _ in "ab"]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert held.count().execute() == rows
