"""Datasets below an HTTP prefix or in an S3 bucket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
from cexkit.network import LOOPBACK_MOUNTS, network_hint, proxy_of, require_usable_network, tls_context
from cexkit.warehouse.store.base import Location, OnProgress, Statement, create_secret, missing, unreachable
from cexkit.warehouse.store.layout import MANIFEST

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
        return self._tried(path, lambda: self._get("GET", path).text)

    def ping(self) -> None:
        self._tried(MANIFEST, lambda: self._get("HEAD", MANIFEST))

    def download(self, path: str, folder: Path, on_progress: OnProgress) -> Path:
        return self._tried(path, lambda: self._stream(path, folder / Path(path).name, on_progress))

    def _get(self, method: str, path: str) -> httpx.Response:
        with self._client() as client:
            return client.request(method, self.url(path)).raise_for_status()

    def _client(self) -> httpx.Client:
        require_usable_network(self.address)
        words = {"timeout": settings().http_timeout_seconds, "follow_redirects": True}
        return httpx.Client(verify=tls_context(), mounts=LOOPBACK_MOUNTS, **words)

    def _stream(self, path: str, to: Path, on_progress: OnProgress) -> Path:
        with (
            self._client() as client,
            client.stream("GET", self.url(path)) as response,
            to.open("wb") as file,
        ):
            for chunk in response.raise_for_status().iter_bytes(_CHUNK):
                file.write(chunk)
                on_progress(len(chunk))
        return to

    def _tried(self, path: str, do):
        """Call ``do``, retry transient errors, and raise failures as dataset errors."""
        attempts = Retrying(
            stop=stop_after_attempt(3),
            wait=wait_random_exponential(0.2, 2),
            retry=retry_if_exception(_is_transient),
            reraise=True,
        )
        try:
            return attempts(do)
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
        return b"".join(self._chunks(path)).decode(errors="replace")

    def ping(self) -> None:
        with self._translate_errors(MANIFEST):
            found = self._files().get_file_info(f"{self._root}/{MANIFEST}")
        if found.type == fs.FileType.NotFound:
            raise missing(self.address, MANIFEST)

    def download(self, path: str, folder: Path, on_progress: OnProgress) -> Path:
        to = folder / Path(path).name
        with to.open("wb") as file:
            for chunk in self._chunks(path):
                file.write(chunk)
                on_progress(len(chunk))
        return to

    def _chunks(self, path: str) -> Iterator[bytes]:
        """Yield a file in chunks; errors of the disk that they are written to are not treated as errors of S3."""
        with self._translate_errors(path), self._files().open_input_stream(f"{self._root}/{path}") as source:
            while chunk := source.read(_CHUNK):
                yield chunk

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
