"""Downloads of a dataset end at the size that its manifest promises, and at a deadline."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

import cexkit
from cexkit.config import settings
from cexkit.errors import DatasetError
from cexkit.warehouse.store.layout import MANIFEST
from cexkit.warehouse.store.locations import SAMPLE_ROOT
from tests.hub import point
from tests.raw_server import CHUNK, RawServer, head

MANIFEST_TEXT = (SAMPLE_ROOT / MANIFEST).read_bytes()
COMMIT = "a" * 40
TABLE = "funding_rates"


class Source(RawServer):
    """A web server, and a hub, with an honest manifest and data files that ``send_file`` sends."""

    def __init__(self, send_file, manifest: bytes = head() + MANIFEST_TEXT):
        super().__init__(self._respond)
        self._send_file, self._manifest = send_file, manifest

    def _respond(self, _, connection, request: str) -> None:
        method, path, _ = request.split(" ")
        is_manifest = path.endswith(MANIFEST)
        if path.startswith("/api/"):
            body = json.dumps({"id": "org/name", "sha": COMMIT}).encode()
            self.send(connection, head(Content_Type="application/json", Content_Length=str(len(body))) + body)
        elif method == "HEAD":
            size = str(len(MANIFEST_TEXT)) if is_manifest else "1000"
            self.send(connection, head(Content_Length=size, ETag='"x"', X_Repo_Commit=COMMIT))
        elif is_manifest:
            self.send(connection, self._manifest)
        else:
            self._send_file(self, connection)


def endless(server, connection) -> None:
    server.send(connection, head())
    while not server.stopped.is_set():
        server.send(connection, CHUNK)


def dribbled(server, connection) -> None:
    server.send(connection, head())
    while not server.stopped.wait(0.05):
        server.send(connection, b"0")


#: Arrow's client of S3 requests ranges, and reads no more of them.
WITHOUT_S3 = pytest.mark.parametrize("open_source", ["http", "hub"], indirect=True)


@pytest.fixture(params=["http", "hub", "s3"])
def open_source(request, tmp_path, monkeypatch):
    def opened(server: Source):
        if request.param == "http":
            return cexkit.connect(server.url, mode="cache", cache=tmp_path / "cache")
        if request.param == "s3":
            names = {"ENDPOINT_URL": server.url, "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "REGION": "us-east-1"}
            for name, value in names.items():
                monkeypatch.setenv(f"CEXKIT_S3_{name}", value)
            settings.cache_clear()
            return cexkit.connect("s3://bucket/set", mode="cache", cache=tmp_path / "cache")
        point(monkeypatch, server.url)
        return cexkit.connect("hf://datasets/org/name", mode="cache", cache=tmp_path / "cache")

    return opened


def stored_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@WITHOUT_S3
def test_endless_file_ends_at_its_size_in_the_manifest(open_source, tmp_path):
    with Source(endless) as server:
        market = open_source(server)
        with pytest.raises(DatasetError, match=r"at most [\d,]+ bytes \(its size in the manifest\)"):
            market.table(TABLE).to_polars()
        assert server.sent < 200_000_000
    assert stored_bytes(tmp_path / "cache") < 1_000_000


def test_dribbled_file_ends_at_the_deadline(open_source, monkeypatch):
    monkeypatch.setenv("CEXKIT_MAX_REQUEST_SECONDS", "3")
    monkeypatch.setenv("CEXKIT_MIN_BYTES_PER_SECOND", "1e9")
    with Source(dribbled) as server:
        market = open_source(server)
        with pytest.raises(DatasetError, match=r"within 3 seconds \(CEXKIT_MAX_REQUEST_SECONDS\)"):
            market.table(TABLE).to_polars()


def test_compressed_manifest_is_unpacked_up_to_the_bound(tmp_path):
    body = gzip.compress(bytes(300_000_000), 9)
    with Source(endless, head(Content_Encoding="gzip") + body) as server:
        with pytest.raises(DatasetError, match=r"at most 64,000,000 bytes \(CEXKIT_MAX_RESPONSE_BYTES\)"):
            cexkit.connect(server.url, cache=tmp_path / "cache")
        assert len(server.requests) == 1


@WITHOUT_S3
def test_endless_manifest_ends(open_source, monkeypatch):
    monkeypatch.setenv("CEXKIT_MAX_RESPONSE_BYTES", "2000000")
    with (
        Source(endless, head() + bytes(200_000_000)) as server,
        pytest.raises(DatasetError, match=r"at most 2,000,000 bytes \(CEXKIT_MAX_RESPONSE_BYTES\)"),
    ):
        open_source(server)
