"""Files of a remote dataset that DuckDB reads in place, as byte ranges over HTTP.

DuckDB's own HTTP client first asks for the size of a file, which the manifest states, follows the redirect of a hub
again for each range, and cannot use SOCKS proxies. Here the client of all other requests sends them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import fsspec
import httpx

from cexkit.config import settings
from cexkit.errors import DatasetError
from cexkit.network import require_usable_network
from cexkit.transfer import Bounds, bounded_client, receive
from cexkit.warehouse.store.base import Location
from cexkit.warehouse.store.manifest import DataFile
from cexkit.warehouse.store.snapshot import RANGES

#: Statuses of an address that a hub redirected to, and that is no longer valid.
_EXPIRED = {401, 403, 404, 410}
#: When files were last changed, for DuckDB, which keeps nothing of a file that is new, or older than its own epoch.
_UNCHANGED = datetime(2000, 1, 1, tzinfo=UTC)
#: Fewest bytes that are requested. The columns that a query filters by are a few hundred bytes each, side by side.
_LEAST_BYTES = 16_384
#: Most small ranges in memory; what DuckDB reads next is often in them.
_KEPT_RANGES = 64
#: Failures that are kept until the query that they ended reports them.
_KEPT_FAILURES = 64


class RangeFiles(fsspec.AbstractFileSystem):
    """The files of one state of a dataset, as DuckDB opens them; threads share it.

    Parameters
    ----------
    location : Location
        Place of the files.
    files : iterable of DataFile
        Files that may be read.
    """

    protocol = RANGES.removesuffix("://")
    cachable = False

    def __init__(self, location: Location, files: Iterable[DataFile]):
        super().__init__()
        self._location = location
        self._files = {file.path: file for file in files}
        self._targets: dict[str, str] = {}
        self._ranges: deque[tuple[DataFile, int, bytes]] = deque(maxlen=_KEPT_RANGES)
        self._failures: deque[DatasetError] = deque(maxlen=_KEPT_FAILURES)

    def failure(self, text: str) -> DatasetError | None:
        """Return the error that ended a query, by the text of DuckDB's own error; None if another did."""
        return next((error for error in self._failures if str(error) in text), None)

    def open(self, path: str, mode: str = "rb", **options: Any) -> RangeFile:
        """Open a file; no request is sent."""
        if mode not in ("r", "rb"):
            raise PermissionError(f"{path}: files of a dataset must be opened for reading, got mode {mode!r}")
        file = self._find(path)
        return RangeFile(file.bytes, lambda start, count: self._read(file, start, count))

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """Return the size of a file in bytes, from the manifest."""
        return {"name": path, "size": self._find(path).bytes, "type": "file"}

    def exists(self, path: str, **options: Any) -> bool:
        """Return whether the manifest lists a file."""
        return path.removeprefix(RANGES) in self._files

    def glob(self, path: str, **options: Any) -> list[str]:
        """Return the file itself, because the manifest lists paths, not patterns."""
        return [path] if self.exists(path) else []

    def modified(self, path: str) -> datetime:
        """Return the same time for every file: the files of one state of a dataset never change."""
        return _UNCHANGED

    def _find(self, path: str) -> DataFile:
        try:
            return self._files[path.removeprefix(RANGES)]
        except KeyError:
            raise FileNotFoundError(f"{path} is not a file of {self._location.address}") from None

    @cached_property
    def _client(self) -> httpx.Client:
        return bounded_client(timeout=settings().http_timeout_seconds, follow_redirects=True)

    def _read(self, file: DataFile, start: int, count: int) -> bytes:
        if count >= _LEAST_BYTES:
            return self._requested(file, start, count)
        for kept, first, content in tuple(self._ranges):
            if kept is file and first <= start and start + count <= first + len(content):
                return content[start - first :][:count]
        content = self._requested(file, start, min(_LEAST_BYTES, file.bytes - start))
        self._ranges.append((file, start, content))
        return content[:count]

    def _requested(self, file: DataFile, start: int, count: int) -> bytes:
        try:
            return self._location.tried(file.path, lambda: self._request(file, start, count))
        except DatasetError as error:
            self._failures.append(error)
            raise

    def _request(self, file: DataFile, start: int, count: int) -> bytes:
        """Return a range of a file; an address that a hub redirected to before is asked first."""
        target = self._targets.get(file.path)
        if target is not None:
            try:
                return self._receive(target, file, start, count)
            except httpx.HTTPStatusError as error:
                if error.response.status_code not in _EXPIRED:
                    raise
                self._targets.pop(file.path, None)
        return self._receive(self._location.url(file.path), file, start, count)

    def _receive(self, url: str, file: DataFile, start: int, count: int) -> bytes:
        require_usable_network(url)
        found = settings()
        bounds = Bounds(count, found.max_request_seconds + count / found.min_bytes_per_second, "the requested range")
        headers = {"range": f"bytes={start}-{start + count - 1}", "accept-encoding": "identity"}
        if _origin(url) == _origin(self._location.origin):
            headers |= self._location.headers()
        with receive(self._client, "GET", url, bounds, headers=headers) as received:
            if received.status != httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                received.response.raise_for_status()
            self._require_range(received.status, received.headers.get("content-range", ""), file, start, count)
            content = b"".join(received.chunks)
            self._targets[file.path] = str(received.response.url)
        if len(content) != count:
            raise httpx.ReadError(f"{count} bytes were requested, and {len(content)} arrived")
        return content

    def _require_range(self, status: int, given: str, file: DataFile, start: int, count: int) -> None:
        """Raise if a response holds anything else than a range of the file that the manifest describes."""
        if status == httpx.codes.OK:
            raise DatasetError(
                f"{self._location.address} must serve ranges of a file to be read in place, got a whole file; use "
                "connect(…, mode='cache')"
            )
        if given.replace(" ", "") != f"bytes{start}-{start + count - 1}/{file.bytes}":
            raise DatasetError(
                f"{self._location.address}: {file.path} must have {file.bytes:,} bytes, as its manifest states, got "
                f"the range {given!r}; if the dataset was republished after you connected, call market.refresh()"
            )


class RangeFile:
    """An open file. Each thread has its own position, because DuckDB's threads may share an open file."""

    def __init__(self, size: int, read: Callable[[int, int], bytes]):
        self.size, self._read, self._position = size, read, threading.local()

    def seek(self, offset: int, whence: int = 0) -> int:
        """Set the position of this thread, in bytes."""
        self._position.value = offset + {0: 0, 1: self.tell(), 2: self.size}[whence]
        return self._position.value

    def tell(self) -> int:
        """Return the position of this thread, in bytes."""
        return getattr(self._position, "value", 0)

    def read(self, count: int = -1) -> bytes:
        """Return bytes from the position of this thread on, fewer at the end of the file."""
        start = self.tell()
        end = self.size if count < 0 else min(start + count, self.size)
        content = self._read(start, end - start) if end > start else b""
        self._position.value = start + len(content)
        return content

    def seekable(self) -> bool:
        """Return True: ranges are read in any order."""
        return True

    def close(self) -> None:
        """Do nothing: an open file holds no resource."""


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
