"""Datasets below an HTTP prefix or in an S3 bucket."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import wait
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
from pyarrow import fs
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from cexkit.config import settings
from cexkit.errors import (
    CexkitError,
    ConfigError,
    DatasetAccessError,
    DatasetError,
    DatasetUnreachableError,
    InvalidInputError,
)
from cexkit.network import network_hint, proxy_of, require_usable_network
from cexkit.transfer import Bounds, OutOfBoundsError, bounded_client, receive
from cexkit.warehouse.store.base import (
    Location,
    OnProgress,
    Statement,
    create_secret,
    missing,
    small_bounds,
    unreachable,
)
from cexkit.warehouse.store.layout import MANIFEST
from cexkit.warehouse.store.threads import Result, start

_CHUNK = 1 << 20


class Web(Location):
    """Files below an ``http(s)://`` prefix."""

    def __init__(self, address: str):
        self.address = address

    @property
    def prefix(self) -> str:
        return f"{self.address}/"

    def url(self, path: str) -> str:
        return self.prefix + quote(path, safe="/=:")

    def read(self, path: str) -> str:
        return self._tried(path, lambda: b"".join(self._chunks("GET", path, small_bounds()))).decode(errors="replace")

    def ping(self) -> None:
        self._tried(MANIFEST, lambda: list(self._chunks("HEAD", MANIFEST, small_bounds())))

    def download(self, path: str, folder: Path, on_progress: OnProgress, bounds: Bounds) -> Path:
        def stored() -> Path:
            return write_chunks(self._chunks("GET", path, bounds), folder / Path(path).name, on_progress)

        return self._tried(path, stored)

    def _chunks(self, method: str, path: str, bounds: Bounds) -> Iterator[bytes]:
        require_usable_network(self.address)
        with (
            bounded_client(timeout=settings().http_timeout_seconds, follow_redirects=True) as client,
            receive(client, method, self.url(path), bounds) as received,
        ):
            received.response.raise_for_status()
            if method != "HEAD":
                yield from received.chunks

    def _tried(self, path: str, do: Callable[[], Result]) -> Result:
        """Call ``do``, retry transient errors, and raise failures as dataset errors."""
        attempts = Retrying(
            stop=stop_after_attempt(3),
            wait=wait_random_exponential(0.2, 2),
            retry=retry_if_exception(_is_transient),
            reraise=True,
        )
        try:
            return attempts(do)
        except OutOfBoundsError as error:
            raise DatasetError(str(error)) from error
        except httpx.HTTPStatusError as error:
            raise _refused(error.response.status_code, self.address, path) from error
        except (httpx.InvalidURL, UnicodeError) as error:
            raise InvalidInputError(f"{self.address!r} is not a valid address: {error}") from error
        except httpx.HTTPError as error:
            raise unreachable(self.address, error, network_hint(self.address, error)) from error


def _is_transient(error: BaseException) -> bool:
    """Return whether an error may be temporary, so that a retry can succeed."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code == 429 or error.response.status_code >= 500
    return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.ConnectError)


def _refused(status: int, address: str, path: str) -> DatasetError:
    if status in (401, 403):
        return DatasetAccessError(f"{address} refuses {path} (HTTP {status}); it is not public")
    if status == 404:
        return missing(address, path)
    return DatasetUnreachableError(f"{address} returned HTTP {status} for {path}; try again later")


def write_chunks(chunks: Iterable[bytes], to: Path, on_progress: OnProgress) -> Path:
    """Write a file as its bytes arrive."""
    with to.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
            on_progress(len(chunk))
    return to


class Bucket(Location):
    """Files below a prefix of an S3 bucket, or of an S3-compatible store."""

    def __init__(self, bucket: str, prefix: str):
        self._root = f"{bucket}/{prefix}".rstrip("/")
        self.address = f"s3://{self._root}"
        # DuckDB knows only explicit keys; profiles and roles work only through the cache.
        self.direct = settings().s3_access_key_id is not None

    @property
    def cache_key(self) -> str:
        return f"{settings().s3_endpoint_url or ''} {self.address}"

    @property
    def prefix(self) -> str:
        return f"{self.address}/"

    @property
    def origin(self) -> str:
        return settings().s3_endpoint_url or "https://s3.amazonaws.com"

    def read(self, path: str) -> str:
        return b"".join(self._chunks(path, small_bounds())).decode(errors="replace")

    def ping(self) -> None:
        deadline = _Deadline(self.url(MANIFEST), small_bounds())
        with self._translate_errors(MANIFEST):
            found = deadline.call(lambda: self._files().get_file_info(f"{self._root}/{MANIFEST}"))
        if found.type == fs.FileType.NotFound:
            raise missing(self.address, MANIFEST)

    def download(self, path: str, folder: Path, on_progress: OnProgress, bounds: Bounds) -> Path:
        return write_chunks(self._chunks(path, bounds), folder / Path(path).name, on_progress)

    def _chunks(self, path: str, bounds: Bounds) -> Iterator[bytes]:
        """Yield a file in chunks; errors of the disk that they are written to are not treated as errors of S3."""
        count, deadline = 0, _Deadline(self.url(path), bounds)
        with self._translate_errors(path):
            source = deadline.call(lambda: self._files().open_input_stream(f"{self._root}/{path}"))
            # Not closed if it is too slow: a thread may still be reading it.
            while chunk := deadline.call(lambda: source.read(_CHUNK)):
                count += len(chunk)
                if count > bounds.bytes:
                    raise DatasetError(str(bounds.too_large(self.url(path))))
                yield chunk
            source.close()

    def _files(self) -> fs.S3FileSystem:
        require_usable_network(self.origin)
        found = settings()
        endpoint = urlsplit(found.s3_endpoint_url or "")
        options = {
            "access_key": _plain(found.s3_access_key_id),
            "secret_key": _plain(found.s3_secret_access_key),
            "session_token": _plain(found.s3_session_token),
            "region": found.s3_region,
            "endpoint_override": endpoint.netloc or None,
            "scheme": endpoint.scheme or None,
            "connect_timeout": found.http_timeout_seconds,
            "request_timeout": found.http_timeout_seconds,
            "proxy_options": self._proxy(),
        }
        return fs.S3FileSystem(**{name: value for name, value in options.items() if value is not None})

    def _proxy(self) -> str | None:
        """Return the proxy for Arrow's client of S3, which reads no variables."""
        proxy = proxy_of(self.origin)
        if proxy is None:
            return None
        if proxy.is_socks:
            raise ConfigError(
                f"{proxy.variable} must name an HTTP proxy if S3 is read, got a SOCKS proxy; correct it or unset it"
            )
        return proxy.url

    @contextmanager
    def _translate_errors(self, path: str) -> Iterator[None]:
        """Raise errors of Arrow's S3 client as dataset errors."""
        try:
            yield
        except FileNotFoundError as error:
            raise missing(self.address, path) from error
        except CexkitError:
            raise
        except OSError as error:
            raise self._failed(path, error) from error

    def _failed(self, path: str, error: OSError) -> DatasetError:
        text = str(error)
        if "ACCESS_DENIED" in text or "InvalidAccessKeyId" in text or "SIGNATURE" in text.upper() or "HTTP 403" in text:
            return DatasetAccessError(f"{self.address} refuses {path}; check the keys of S3 and what they may read")
        if "NO_SUCH_BUCKET" in text or "NoSuchBucket" in text:
            return missing(self.address, path)
        return unreachable(self.address, error, network_hint(self.origin, error))

    def statements(self, proxy: Mapping[str, str]) -> list[Statement]:
        found = settings()
        endpoint = urlsplit(found.s3_endpoint_url or "")
        options = {
            "key_id": _plain(found.s3_access_key_id),
            "secret": _plain(found.s3_secret_access_key),
            "session_token": _plain(found.s3_session_token),
            "region": found.s3_region or "us-east-1",
            "endpoint": endpoint.netloc or None,
            "url_style": "path" if endpoint.netloc else None,
            "use_ssl": endpoint.scheme != "http",
            "scope": self.address,
        }
        given = {name: value for name, value in options.items() if value is not None}
        return [*_set_proxy(self.origin, proxy), create_secret("cexkit", "s3", given)]


class _Deadline:
    """Time of a request to S3: Arrow's client ends a silence, but not a response that arrives byte by byte."""

    def __init__(self, url: str, bounds: Bounds):
        self._url, self._bounds, self._at = url, bounds, time.monotonic() + bounds.seconds

    def call(self, do: Callable[[], Result]) -> Result:
        """Return what ``do`` returns; raise DatasetError at the deadline, and leave its thread behind."""
        outcome = start(do)
        if not wait([outcome], max(0.0, self._at - time.monotonic())).done:
            raise DatasetError(str(self._bounds.too_slow(self._url)))
        return outcome.result()


def _set_proxy(origin: str, proxy: Mapping[str, str]) -> list[Statement]:
    """Return the statement that sets a proxy for S3, to which DuckDB does not apply HTTP secrets."""
    if not proxy:
        return []
    if len(proxy) > 1:  # any SQL could read the password of a setting
        raise ConfigError(
            f"{proxy_of(origin).variable} must name a proxy without a password if files of S3 are read in place; use "
            "connect(…, mode='cache')"
        )
    return [("SET http_proxy = $proxy", {"proxy": proxy["http_proxy"]})]


def _plain(secret) -> str | None:
    return None if secret is None else secret.get_secret_value()
