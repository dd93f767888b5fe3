"""Text from outside is shown escaped, and without credentials."""

from __future__ import annotations

import json

import pytest

from cexkit.errors import CexkitError, FetchError, InvalidInputError, PayloadError, TransportError
from cexkit.text import masked, printable, printable_json
from cexkit.warehouse.ingest.report import Problem


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("BTC-USDT é 币安 …", "BTC-USDT é 币安 …"),
        ("\x1b[2J\x07\x00\x7f", r"\x1b[2J\x07\x00\x7f"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x9b31m", r"\x9b31m"),  # one byte of the C1 set does what ESC [ does
        ("\u202eTDSU\u2066", r"\u202eTDSU\u2066"),
        ("\u2028\u200b\ufeff\ud800", r"\u2028\u200b\ufeff\ud800"),
    ],
)
def test_printable_escapes_all_that_a_terminal_acts_on(text, shown):
    assert printable(text) == shown
    assert printable(printable(text)) == shown
    assert json.loads(printable_json(json.dumps([text], ensure_ascii=False))) == [text]


@pytest.mark.parametrize(
    "url",
    [
        "https://me:hunter2@venue.example/x",
        "https://hunter2@venue.example/x",
        "http://me:hun/ter2hunter2@venue.example/x",
        "http://me:p@hunter2@venue.example:80/x",
        "https://venue.example/x?token=hunter2&symbol=BTCUSDT",
        "https://venue.example/x?symbol=BTCUSDT&api_key=hunter2",
        "https://venue.example/x?apiKey=hunter2#access_token=hunter2",
        "https://b.s3.example/x?X-Amz-Credential=hunter2&X-Amz-Signature=hunter2&X-Amz-Security-Token=hunter2",
        "https://b.example/x?sv=2024&sig=hunter2",
        "https://cdn.example/x?Policy=hunter2&Signature=hunter2&Key-Pair-Id=hunter2",
        "https://storage.example/x?GoogleAccessId=me&X-Goog-Signature=hunter2",
        "wss://venue.example/ws?listenKey=hunter2",
        "https://venue.example/login?code=hunter2&state=1",
        "https://venue.example/to?url=https%3A%2F%2Fb.example%2Fx%3Fa%3D1%26token%3Dhunter2%26b%3D2",
        "https://venue.example/to?url=b%3Ftoken%3dhunter2",
        "//me:hunter2@venue.example/x",
        "http:/me:hunter2@venue.example/x",
        "hf://datasets/me:hunter2@venue.example/x",
    ],
)
def test_credentials_of_urls_are_in_no_error_and_no_problem(url):
    for text in (
        str(TransportError(f"{url}: ConnectError")),
        str(InvalidInputError(f"source must be a folder, got {url!r}")),
        repr(FetchError(f"<{url}>")),
        str(PayloadError(url, f"moved to {url}", row=1)),
        str(Problem("okx", "ohlcv_1h", None, None, f'{{"url":"{url}"}}')),
    ):
        assert "hunter2" not in text
        assert "venue.example" in text or "." in text
    assert masked(url) == masked(masked(url))


@pytest.mark.parametrize(
    "text", ["Authorization: Bearer hunter2.x", "token hf_hunter2hunter2hunter2", "Basic aHVudGVyMjo="]
)
def test_tokens_outside_of_urls_are_masked(text):
    found = str(TransportError(f"refused: {text}"))
    assert "***" in found
    assert "hunter2" not in found
    assert "aHVudGVy" not in found


@pytest.mark.parametrize(
    "text",
    [
        "https://venue.example:8443/x?symbol=BTCUSDT&limit=1000",
        "hf://datasets/org/name@v1",
        "http://host:8080/path@v1",
        "s3://bucket/prefix",
        "s3://bucket//folder:x@v1",
        "folder//name:x@v1",
        "https://venue.example/x?statuscode=1&error_code=-1121",
        "what was asked? symbol=X",
        "the symbol hf_BTC is not listed",
    ],
)
def test_other_text_is_not_masked(text):
    assert masked(text) == text


def test_a_venue_cannot_write_a_line_of_a_log():
    forged = "refused\n2026-01-01 ERROR cexkit: all is lost\x1b[0m"
    for text in (FetchError(forged), PayloadError("/x", forged), Problem("okx", "t", forged, None, forged)):
        assert "\n" not in str(text)
        assert "\x1b" not in str(text)
    assert str(CexkitError("two\nlines")) == "two\nlines"
