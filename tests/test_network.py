"""Proxies, certificates, and tokens of the environment: used if they can be, otherwise named."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import certifi
import polars as pl
import pytest
from huggingface_hub import close_session, constants

import cexkit
from cexkit.config import Settings, settings
from cexkit.errors import ConfigError, DatasetNotFoundError, DatasetUnreachableError, TransportError
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.streams import STREAMS
from cexkit.network import proxy_of, require_usable_network, tls_context
from cexkit.testing import LoopbackBinance, LoopbackBybit, LoopbackFiles, LoopbackHub, LoopbackStream
from cexkit.testing.simulation import simulate
from cexkit.warehouse.collect.collector import collect
from cexkit.warehouse.store.bronze import read_bronze
from cexkit.warehouse.store.locations import SAMPLE_ROOT

from .hub import point
from .proxy import LoopbackProxy, LoopbackSocks

HAS_SOCKS = all(find_spec(name) for name in ("socksio", "python_socks"))
UNUSABLE = [
    ("HTTPS_PROXY", "http://proxy:x"),
    ("http_proxy", "ftp://proxy:21"),
    ("HTTP_PROXY", "http://"),
    ("ALL_PROXY", "http://proxy.example:3128/path"),
    ("NO_PROXY", "[::1]"),
    ("no_proxy", "localhost,fd00::/8"),
    ("NO_PROXY", "bücher.example"),
    ("SSL_CERT_FILE", "/missing/certificates.pem"),
    ("SSL_CERT_FILE", os.fspath(Path(__file__))),
    ("SSL_CERT_DIR", "/missing"),
    ("REQUESTS_CA_BUNDLE", "/missing/certificates.pem"),
    ("SSLKEYLOGFILE", "/missing/keys.log"),
]
if not HAS_SOCKS:
    UNUSABLE += [("ALL_PROXY", "socks5://127.0.0.1:1080"), ("https_proxy", "socks5h://127.0.0.1:1080")]


@pytest.fixture(autouse=True)
def no_network_of_the_machine(monkeypatch):
    for name in list(os.environ):
        if name.upper().endswith(("_PROXY", "CA_BUNDLE")) or name.startswith(("SSL", "HF_TOKEN", "HUGGING_FACE")):
            monkeypatch.delenv(name)
    close_session()
    yield
    close_session()


@pytest.fixture(scope="module")
def bars() -> dict[str, pl.DataFrame]:
    tables = simulate(
        start="2026-05-18", end="2026-05-21", coins=["BTC", "PEPE"], exchanges=["binance", "bybit"]
    ).tables
    return {name: tables[name] for name in ("instruments", "ohlcv_1h", "liquidations")}


def fetch(_: Path) -> None:
    cexkit.fetch("binance", "ohlcv_1h", "BTCUSDT", start="2026-05-18")


def publish(_: Path) -> None:
    cexkit.publish(SAMPLE_ROOT, "hf://datasets/me/data", dry_run=True)


def listen(folder: Path) -> None:
    collect("binance", folder, seconds=0)


USES = {
    "fetch": fetch,
    "hub": lambda _: cexkit.connect("hf://datasets/me/data"),
    "web": lambda _: cexkit.connect("https://data.example/set"),
    "s3": lambda _: cexkit.connect("s3://bucket/set"),
    "publish": publish,
    "collect": listen,
}


@pytest.mark.parametrize(("name", "value"), UNUSABLE)
@pytest.mark.parametrize("use", [use for use in USES if use != "publish"])
def test_unusable_variable_raises_error_that_names_it(monkeypatch, tmp_path, use, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=rf"^{name} (must|names)"):
        USES[use](tmp_path)


def test_unusable_variable_stops_publication_before_any_request(monkeypatch, tmp_path):
    with LoopbackHub() as hub:
        point(monkeypatch, hub.url)
        monkeypatch.setenv("SSL_CERT_FILE", "/missing")
        with pytest.raises(ConfigError, match=r"^SSL_CERT_FILE must name a file of certificates, got '/missing'"):
            publish(tmp_path)
        assert hub.log == []


def test_clients_share_the_certificates_until_their_file_changes(monkeypatch, tmp_path):
    assert tls_context() is tls_context()
    end = "-----END CERTIFICATE-----\n"
    known = Path(certifi.where()).read_text(encoding="utf-8").split(end)
    own = tmp_path / "own.pem"
    monkeypatch.setenv("SSL_CERT_FILE", os.fspath(own))
    for count in (1, 2):
        own.write_text("".join(one + end for one in known[:count]), encoding="utf-8")
        os.utime(own, ns=(count, count))
        assert len(tls_context().get_ca_certs()) == count
    monkeypatch.delenv("SSL_CERT_FILE")
    assert len(tls_context().get_ca_certs()) > 2


@pytest.mark.skipif(HAS_SOCKS, reason="the packages for SOCKS are installed")
def test_socks_without_its_packages_names_the_extra(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://me:hunter2@127.0.0.1:1080")
    with pytest.raises(ConfigError, match=r"pip install 'cexkit\[socks\]'") as error:
        Fetcher()
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("value", ["http://me:hunter2@proxy:x", "http://me:hunter2@[", "me:hunter2@"])
def test_error_of_a_proxy_does_not_repeat_its_password(monkeypatch, value):
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(ConfigError, match=r"^HTTPS_PROXY must be") as error:
        require_usable_network()
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("no_proxy", "url", "proxied"),
    [
        ("", "https://venue.example/x", True),
        ("*", "https://venue.example/x", False),
        ("venue.example", "wss://stream.venue.example/x", False),
        (".venue.example", "https://venue.example/x", False),
        ("venue.example", "https://othervenue.example/x", True),
        ("10.0.0.0/8", "https://venue.example/x", True),
        ("localhost,::1", "https://[::1]:8000/x", False),
        ("", "ws://127.0.0.1:8000/x", False),
    ],
)
def test_proxy_of_url_follows_no_proxy(monkeypatch, no_proxy, url, proxied):
    monkeypatch.setenv("HTTPS_PROXY", "proxy:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    require_usable_network(url)
    assert (proxy_of(url) is not None) == proxied


def test_address_in_an_excluded_range_is_refused_because_clients_ignore_ranges(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8")
    with pytest.raises(ConfigError, match=r"^NO_PROXY must name hosts, got the range 10\.0\.0\.0/8"):
        cexkit.connect("http://10.1.2.3/set")


@pytest.mark.parametrize("name", ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"])
@pytest.mark.parametrize("token", ["hf_abcé", "hf_abc\u200b", "hf_a\x07bc"])
def test_token_that_cannot_be_sent_is_named_and_not_shown(monkeypatch, tmp_path, name, token):
    with LoopbackHub() as hub:
        point(monkeypatch, hub.url)
        monkeypatch.setenv(name, token)
        for use in ("hub", "publish"):
            with pytest.raises(ConfigError, match=f"^{name} must hold only printable ASCII") as error:
                USES[use](tmp_path)
            assert "hf_a" not in str(error.value)
        assert hub.log == []


def test_stored_token_that_cannot_be_sent_is_named(monkeypatch, tmp_path):
    path = tmp_path / "token"
    path.write_text("hf_é", encoding="utf-8")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(path))
    with pytest.raises(ConfigError, match=f"the token in {path}"):
        cexkit.connect("hf://datasets/me/data")


@pytest.mark.parametrize("name", ["CEXKIT_S3_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "CEXKIT_ALERT_WEBHOOK"])
def test_secret_that_cannot_be_sent_is_named_and_not_shown(monkeypatch, name):
    monkeypatch.setenv(name, "hunter2é")
    with pytest.raises(ConfigError, match=name) as error:
        settings()
    assert "hunter2" not in str(error.value)


def test_hub_address_without_a_scheme_is_named(monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "hub.example")
    with pytest.raises(ConfigError, match=r"^HF_ENDPOINT must be https://host"):
        cexkit.connect("hf://datasets/me/data")


NEEDS_SOCKS = pytest.mark.skipif(not HAS_SOCKS, reason="the extra `socks` is not installed")


@pytest.fixture(params=["http", pytest.param("socks", marks=NEEDS_SOCKS)])
def proxied(request, monkeypatch):
    """Start a proxy in front of a server and name it in the environment."""
    kind = {"http": LoopbackProxy, "socks": LoopbackSocks}[request.param]
    started = []

    def start(upstream: str) -> LoopbackProxy:
        started.append(kind(upstream).__enter__())
        monkeypatch.setenv("ALL_PROXY", started[-1].url)
        return started[-1]

    yield start
    for proxy in started:
        proxy.__exit__()


def test_fetch_goes_through_the_proxy(proxied, bars):
    with LoopbackBinance(bars, now="2026-05-21") as venue:
        proxy = proxied(venue.url)
        urls = {name: url.replace(venue.url, "http://venue.example") for name, url in venue.settings.base_urls.items()}
        with Fetcher(Settings(base_urls=urls, max_clock_skew_seconds=None)) as fetcher:
            rows = fetcher.fetch("binance", "ohlcv_1h", "BTCUSDT", "2026-05-18", "2026-05-19", instrument_type="perp")
    assert rows.num_rows == 24
    assert set(proxy.hosts) == {"venue.example"}


def test_dataset_is_read_through_the_proxy(proxied):
    with LoopbackFiles(SAMPLE_ROOT) as files:
        proxy = proxied(files.url)
        market = cexkit.connect("http://data.example", mode="cache")
        assert market.funding_rates.count().execute() > 1000
    assert set(proxy.hosts) == {"data.example"}


def test_files_are_read_in_place_through_the_proxy(proxied):
    with LoopbackFiles(SAMPLE_ROOT) as files:
        proxy = proxied(files.url)
        market = cexkit.connect("http://data.example", mode="direct")
        if proxy.scheme == "socks5":
            with pytest.raises(ConfigError, match=r"^ALL_PROXY must name an HTTP proxy if files are read in place"):
                _ = market.funding_rates
            return
        assert market.funding_rates.count().execute() > 1000
        assert len(files.log) > 1
    assert set(proxy.hosts) == {"data.example"}


def test_bucket_is_read_through_the_proxy(monkeypatch, tmp_path):
    for name, value in {"ENDPOINT_URL": "http://s3.example", "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(f"CEXKIT_S3_{name}", value)
    with LoopbackFiles(tmp_path) as files, LoopbackProxy(files.url) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        with pytest.raises(DatasetNotFoundError, match="no dataset at s3://bucket/set"):
            cexkit.connect("s3://bucket/set")
    assert set(proxy.hosts) == {"s3.example"}


def test_hub_is_read_through_the_proxy(proxied, monkeypatch):
    with LoopbackHub() as hub:
        proxy = proxied(hub.url)
        point(monkeypatch, "http://hub.example")
        with pytest.raises(DatasetNotFoundError, match="no dataset hf://datasets/me/data"):
            cexkit.connect("hf://datasets/me/data")
    assert set(proxy.hosts) == {"hub.example"}


def test_stream_is_heard_through_the_proxy(proxied, bars, tmp_path):
    rows = bars["liquidations"].filter(exchange="bybit").sort("timestamp").head(5)
    with (
        LoopbackBybit(bars, now="2026-05-21") as venue,
        LoopbackStream("bybit", rows, bars["instruments"]) as stream,
        Fetcher(Settings(base_urls=dict(venue.settings.base_urls), max_clock_skew_seconds=None)) as fetcher,
    ):
        proxy = proxied(stream.url)
        url = "ws://me:hunter2@stream.example/ws?token=hunter2"
        done = collect("bybit", tmp_path, seconds=1, fetcher=fetcher, urls={"bybit": url})
    assert done.messages > 0
    assert set(proxy.hosts) == {"stream.example"}
    stored = list(read_bronze(tmp_path, "bybit", STREAMS["bybit"].endpoint, "liquidations"))
    assert {row["url"] for row in stored} == {"ws://***@stream.example/ws?token=***"}


def test_unreachable_proxy_is_named(monkeypatch):
    monkeypatch.setenv("all_proxy", "http://me:hunter2@127.0.0.1:9")
    with (
        Fetcher(Settings(http_attempts=1)) as fetcher,
        pytest.raises(TransportError, match="proxy of all_proxy") as one,
    ):
        fetcher.instruments("binance")
    with pytest.raises(DatasetUnreachableError, match="goes through the proxy of all_proxy") as other:
        cexkit.connect("https://data.example/set")
    assert "hunter2" not in f"{one.value}{other.value}"
