"""Files read in place by ranges: few requests, and the bytes of the manifest's file or an error."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import polars as pl
import pytest

import cexkit
from cexkit.errors import DatasetAccessError, DatasetError, DatasetUnreachableError
from cexkit.testing import LoopbackFiles
from cexkit.testing.hub import TOKEN, cut, on
from cexkit.testing.loopback import When, server_error
from cexkit.warehouse.store.layout import MANIFEST
from cexkit.warehouse.store.locations import SAMPLE_ROOT, locate
from cexkit.warehouse.store.manifest import read_manifest
from cexkit.warehouse.store.ranges import RangeFiles

ONE = {"exchange": "okx", "symbol": "BTCUSDT", "start": "2026-06-01"}
ORDER = ["exchange", "symbol", "timestamp"]


def rows(market, **words) -> pl.DataFrame:
    return market.table("funding_rates", **words).to_polars().sort(ORDER)


@pytest.fixture(scope="module")
def expected() -> pl.DataFrame:
    return rows(cexkit.connect("sample"))


@pytest.fixture
def file():
    return next(file for file in read_manifest(SAMPLE_ROOT / MANIFEST).files if file.table == "funding_rates")


@contextmanager
def serve_without_ranges(root) -> Iterator[str]:
    """Serve whole files, whatever range is requested, as the server of the standard library does."""
    handler = partial(SimpleHTTPRequestHandler, directory=root)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("size", [1, 7, 16_383, 16_384, 20_000])
def test_ranges_are_the_bytes_of_the_file(file, size):
    content = (SAMPLE_ROOT / file.path).read_bytes()
    with LoopbackFiles(SAMPLE_ROOT) as server:
        opened = RangeFiles(locate(server.url), [file]).open(f"cexkit://{file.path}")
        for start in (0, 3, 16_380, len(content) - size, len(content) - 1, len(content), len(content) + 5):
            opened.seek(start)
            assert opened.read(size) == content[start : start + size]
            assert opened.tell() == max(start, min(start + size, len(content)))
        opened.seek(-4, 2)
        assert opened.read() == content[-4:]


def test_threads_that_share_an_open_file_read_their_own_ranges(file):
    content = (SAMPLE_ROOT / file.path).read_bytes()
    with LoopbackFiles(SAMPLE_ROOT, latency_seconds=0.005) as server, ThreadPoolExecutor(8) as pool:
        opened = RangeFiles(locate(server.url), [file]).open(f"cexkit://{file.path}")

        def read(start: int) -> bool:
            opened.seek(start)
            return opened.read(20_000) == content[start : start + 20_000]

        assert all(pool.map(read, range(0, len(content), len(content) // 40)))


def test_small_ranges_side_by_side_are_one_request(file):
    with LoopbackFiles(SAMPLE_ROOT) as server:
        opened = RangeFiles(locate(server.url), [file]).open(f"cexkit://{file.path}")
        for start in (100, 500, 900):
            opened.seek(start)
            opened.read(200)
        assert len(server.log) == 1


def test_only_files_of_the_manifest_exist(file):
    files = RangeFiles(locate("http://127.0.0.1:9"), [file])
    assert files.exists(f"cexkit://{file.path}")
    for path in ("cexkit://manifest.json", "cexkit://../etc/passwd", file.path + "x"):
        assert not files.exists(path)
        assert files.glob(path) == []
        with pytest.raises(FileNotFoundError, match="is not a file of"):
            files.open(path)
    with pytest.raises(PermissionError, match="must be opened for reading"):
        files.open(f"cexkit://{file.path}", "wb")


@pytest.mark.parametrize("fault", [server_error(on("file", 3)), cut(on("file", 3), after=100)])
def test_failed_requests_are_repeated(places, expected, fault):
    market = cexkit.connect(places.serve("http", faults=[fault]), mode="direct")
    assert rows(market).equals(expected)
    assert fault.name in {logged.fault for logged in places.server.log}


def test_file_of_another_size_is_refused(file):
    with LoopbackFiles(SAMPLE_ROOT) as server:
        files = RangeFiles(locate(server.url), [replace(file, bytes=file.bytes + 1)])
        with pytest.raises(
            DatasetError, match=r"must have [\d,]+ bytes, as its manifest states, got .*market\.refresh"
        ):
            files.open(f"cexkit://{file.path}").read(10)


def test_server_without_ranges_names_the_cache(places, expected):
    with serve_without_ranges(places.root) as address:
        market = cexkit.connect(address, mode="direct")
        with pytest.raises(DatasetError, match=r"must serve ranges of a file to be read in place.*mode='cache'"):
            rows(market)
        assert rows(cexkit.connect(address, mode="cache")).equals(expected)


def test_failure_ends_its_query_only(places, expected):
    broken = []
    market = cexkit.connect(places.serve("http", faults=broken), mode="direct")
    places.server.faults = [server_error(on("file"))]
    with pytest.raises(DatasetUnreachableError, match=r"HTTP 503 for tables/funding_rates/.*try again later"):
        rows(market)
    with pytest.raises(DatasetUnreachableError, match="HTTP 503"):
        market.sql("select count(*) from funding_rates")
    places.server.faults = []
    assert rows(market).equals(expected)


def test_address_of_a_redirect_is_kept_until_it_expires(places, counted):
    market = cexkit.connect(places.serve("hub"), mode="direct")
    (file, *_) = market._manifest.select("funding_rates")
    content = (places.root / file.path).read_bytes()
    opened = RangeFiles(market._snapshot.location, [file]).open(f"cexkit://{file.path}")
    counted()

    def read(start: int) -> list[str]:
        opened.seek(start)
        assert opened.read(20_000) == content[start : start + 20_000]
        return [route for _, route in counted()]

    assert read(0) == ["resolve", "content"]
    assert read(20_000) == ["content"]
    places.server.faults = [server_error(first(), status=403)]
    assert read(40_000) == ["content", "resolve", "content"]
    assert read(10_000) == ["content"]


def first() -> When:
    """Match the first request only, of those that are sent from here on."""
    numbers = count()
    return lambda request: next(numbers) == 0


def test_hub_that_refuses_says_so(places, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    market = cexkit.connect(places.serve("hub", private=True), mode="direct")
    places.server.tokens.clear()
    with pytest.raises(DatasetAccessError, match=r"the hub refuses the token \(HTTP 401\)"):
        rows(market)
