"""Bounds of HTTP responses, against servers on sockets that keep none."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc

import httpx
import pytest

from cexkit.config import Settings
from cexkit.errors import ResponseBoundError, TransportError
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.http import HttpClient, RetryPolicy
from cexkit.exchanges.http.client import DEFAULT_BOUNDS
from cexkit.transfer import Bounds, OutOfBoundsError, bounded_client, receive
from tests.raw_server import CHUNK, RawServer, dribbled, endless, fixed, head


def get(server, *, size=1_000_000, seconds=1.0):
    with HttpClient(bounds=Bounds(size, seconds), sleep=lambda _: None) as http:
        return http.get(server.url + "/x")


def bomb(size):
    return gzip.compress(b"0" * size, 9)


def test_default_bounds_are_those_of_the_settings():
    found = Settings()
    assert Bounds(found.max_response_bytes, found.max_request_seconds) == DEFAULT_BOUNDS


def test_endless_body_is_read_up_to_the_bound():
    with RawServer(endless) as server:
        with pytest.raises(ResponseBoundError, match=r"at most 1,000,000 bytes \(CEXKIT_MAX_RESPONSE_BYTES\)"):
            get(server, seconds=60)
        assert len(server.requests) == 1, "what is too large is not requested again"
        assert server.sent < 30_000_000  # what the buffers of both sockets take


def test_announced_body_beyond_the_bound_is_not_read():
    with (
        RawServer(fixed(head(Content_Length="1000001"))) as server,
        pytest.raises(ResponseBoundError, match="CEXKIT_MAX_RESPONSE_BYTES"),
    ):
        get(server)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lambda: iter([head(), b"x" * 1_000]), id="headers"),
        pytest.param(lambda: iter([b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 10_000]), id="one endless header"),
        pytest.param(lambda: iter([b"HTTP/1.1 100 Continue\r\n\r\n"] * 1_000), id="interim responses"),
    ],
)
def test_bytes_that_dribble_end_at_the_deadline(data):
    began = time.monotonic()
    with (
        RawServer(dribbled(data)) as server,
        pytest.raises(ResponseBoundError, match=r"within 1 seconds \(CEXKIT_MAX_REQUEST_SECONDS\)"),
    ):
        get(server, seconds=1.0)
    assert time.monotonic() - began < 3


def test_silence_beyond_the_deadline_names_the_deadline():
    with (
        RawServer(lambda server, connection, request: server.stopped.wait(5)) as server,
        pytest.raises(ResponseBoundError, match="CEXKIT_MAX_REQUEST_SECONDS"),
    ):
        get(server, seconds=0.5)


def test_silence_before_the_deadline_is_a_timeout_and_is_tried_again():
    retry = RetryPolicy(attempts=2, first_seconds=0.01)
    with RawServer(lambda server, connection, request: server.stopped.wait(5)) as server:
        with HttpClient(timeout_seconds=0.1, retry=retry) as http, pytest.raises(TransportError, match="ReadTimeout"):
            http.get(server.url)
        assert len(server.requests) == 2


def test_compressed_body_is_unpacked_up_to_the_bound():
    body = bomb(200_000_000)
    assert len(body) < 200_000
    with RawServer(fixed(head(Content_Encoding="gzip") + body)) as server:
        tracemalloc.start()
        with pytest.raises(ResponseBoundError, match="CEXKIT_MAX_RESPONSE_BYTES"):
            get(server, seconds=60)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 10_000_000


def test_compressed_body_within_the_bound_is_unpacked():
    body = gzip.compress(b"[1]" * 100_000)
    with RawServer(fixed(head(Content_Encoding="gzip", Content_Length=str(len(body))) + body)) as server:
        assert get(server, seconds=60).body == b"[1]" * 100_000


def test_compressed_body_without_its_end_is_an_error():
    body = gzip.compress(b"[1]" * 100_000)[:-9]
    with (
        RawServer(fixed(head(Content_Encoding="gzip") + body)) as server,
        pytest.raises(TransportError, match="truncated"),
    ):
        get(server, seconds=60)


def test_coding_that_was_not_requested_is_an_error():
    with (
        RawServer(fixed(head(Content_Encoding="zstd") + b"x")) as server,
        pytest.raises(TransportError, match="content-encoding must be gzip, got zstd"),
    ):
        get(server, seconds=60)


def test_endless_chunks_without_content_end():
    def answer(server, connection, request):
        server.send(connection, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not server.stopped.is_set():
            server.send(connection, b"1;" + CHUNK[:4_000] + b"\r\nx\r\n")

    with RawServer(answer) as server, pytest.raises(ResponseBoundError, match="CEXKIT_MAX_RESPONSE_BYTES"):
        get(server, size=100_000, seconds=60)


def test_redirect_with_an_endless_body_ends():
    def answer(server, connection, request):
        server.send(connection, head("302 Found", Location="/y"))
        while not server.stopped.is_set():
            server.send(connection, CHUNK)

    with (
        RawServer(answer) as server,
        bounded_client(follow_redirects=True) as client,
        pytest.raises(OutOfBoundsError),
        receive(client, "GET", server.url, Bounds(100_000, 60)),
    ):
        pass


def test_deadline_holds_for_each_request_alone():
    with RawServer(fixed(head(Content_Length="2") + b"[]")) as server, HttpClient(bounds=Bounds(10, 0.5)) as http:
        for _ in range(4):
            assert http.get(server.url).body == b"[]"
            time.sleep(0.2)


def test_exchange_info_of_two_thousand_symbols_passes_the_defaults():
    symbol = {
        "symbol": "BTCUSDT",
        "filters": [{"filterType": "X", "a": "0.00001"}] * 14,
        "permissionSets": [["S"] * 500],
    }
    body = json.dumps({"symbols": [symbol] * 2_000}).encode()
    assert len(body) > 5_000_000
    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=body))
    with HttpClient(transport=transport) as http:
        assert http.get("http://venue.example/exchangeInfo").body == body


def test_fetcher_takes_bounds_from_its_settings():
    with RawServer(endless) as server:
        settings = Settings(base_urls={"binance.spot": server.url}, max_response_bytes=1_000_000)
        with Fetcher(settings) as fetcher, pytest.raises(ResponseBoundError, match="1,000,000 bytes"):
            fetcher.instruments("binance", "spot")
