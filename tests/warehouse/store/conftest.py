"""Small conforming tables to write, and one dataset at every kind of place, behind real sockets."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from huggingface_hub import HfApi, close_session, constants

from cexkit.config import settings
from cexkit.schema import TABLES
from cexkit.schema.render import to_polars
from cexkit.testing import LoopbackFiles, LoopbackHub
from cexkit.testing.hub import TOKEN
from cexkit.warehouse.store.layout import MANIFEST
from cexkit.warehouse.store.locations import SAMPLE_ROOT
from cexkit.warehouse.store.manifest import read_manifest

from ...hub import point

REPO, BUCKET = "me/data", "data"
SERVED = {"instruments", "funding_rates", "liquidations_1d"}


def funding(
    start: str, periods: int, *, symbol: str = "BTCUSDT", exchange: str = "binance", rate: float = 1e-4
) -> pa.Table:
    first = datetime.fromisoformat(start).replace(tzinfo=UTC)
    times = [first + timedelta(hours=8 * i) for i in range(periods)]
    frame = pl.DataFrame(
        {
            "exchange": exchange,
            "instrument_type": "perp",
            "symbol": symbol,
            "base": "BTC",
            "quote": "USDT",
            "timestamp": times,
            "funding_rate": rate,
            "funding_interval_hours": 8.0,
            "mark_price": None,
            "index_price": None,
            "venue_timestamp": times,
        },
        schema=to_polars(TABLES["funding_rates"]),
    )
    return frame.to_arrow()


@pytest.fixture
def make_funding():
    return funding


@pytest.fixture
def root(tmp_path) -> Path:
    """A dataset of one's own: three tables of the sample."""
    manifest, root = read_manifest(SAMPLE_ROOT / MANIFEST), tmp_path / "root"
    files = tuple(file for file in manifest.files if file.table in SERVED)
    for file in files:
        (root / file.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SAMPLE_ROOT / file.path, root / file.path)
    (root / MANIFEST).write_text(replace(manifest, files=files).to_json())
    return root


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """The cache's folder, by the setting."""
    monkeypatch.setenv("CEXKIT_CACHE_DIR", str(tmp_path / "cache"))
    settings.cache_clear()
    return tmp_path / "cache"


class Places:
    """Serves a folder's dataset in several ways."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, stack: ExitStack):
        self.root, self._monkeypatch, self._stack = root, monkeypatch, stack

    def serve(self, kind: str, **options) -> str:
        """Where the dataset is; the server stops with the test."""
        return {"sample": lambda: "sample", "folder": lambda: str(self.root)}.get(
            kind, lambda: getattr(self, f"_{kind}")(**options)
        )()

    def _http(self, **options) -> str:
        self.server = self._stack.enter_context(LoopbackFiles(self.root, **options))
        return self.server.url

    def _hub(self, *, private: bool = False, **options) -> str:
        self.server = self._stack.enter_context(LoopbackHub(**options))
        point(self._monkeypatch, self.server.url)
        self._monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
        self.server.create(REPO, private=private)
        self.publish()
        self.server.log.clear()
        return f"hf://datasets/{REPO}"

    def stop(self) -> None:
        """No network from here on."""
        self._stack.close()
        close_session()

    def publish(self) -> str:
        """Make the folder the content of the main branch; its commit."""
        api = HfApi(endpoint=self.server.url, token=TOKEN)
        words = {"repo_id": REPO, "repo_type": "dataset", "folder_path": self.root}
        return api.upload_folder(**words, allow_patterns=["tables/**", MANIFEST], delete_patterns=["tables/**"]).oid

    def _s3(self) -> str:
        from moto.server import ThreadedMotoServer
        from pyarrow import fs

        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        self._stack.callback(server.stop)
        host, port = server.get_host_and_port()
        keys = {"access_key": "loopback", "secret_key": "loopback's own", "region": "us-east-1"}
        for name, value in zip(("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "REGION"), keys.values(), strict=True):
            self._monkeypatch.setenv(f"CEXKIT_S3_{name}", value)
        self._monkeypatch.setenv("CEXKIT_S3_ENDPOINT_URL", f"http://{host}:{port}")
        settings.cache_clear()
        at = {"endpoint_override": f"{host}:{port}", "scheme": "http", "allow_bucket_creation": True}
        store = fs.S3FileSystem(**keys, **at)
        store.create_dir(BUCKET)
        for path in (path for path in self.root.rglob("*") if path.is_file()):
            with store.open_output_stream(f"{BUCKET}/v1/{path.relative_to(self.root).as_posix()}") as out:
                out.write(path.read_bytes())
        return f"s3://{BUCKET}/v1"


@pytest.fixture
def places(root, cache, monkeypatch, tmp_path) -> Iterator[Places]:
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    with ExitStack() as stack:
        yield Places(root, monkeypatch, stack)


@pytest.fixture
def counted(places) -> Callable[[], list[tuple[str, str]]]:
    """What the server was asked since the last time: method and route."""

    def take() -> list[tuple[str, str]]:
        found = [(logged.request.method, logged.request.route) for logged in places.server.log]
        places.server.log.clear()
        return found

    return take
