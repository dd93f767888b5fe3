"""The client: what is tried again, what is not, and what is handed on."""

import gzip
import hashlib
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import count

import httpx
import pytest

from cexkit.errors import BlockedError, ConfigError, RateLimitedError, TransportError, VenueError
from cexkit.exchanges.http import Budget, HttpClient, RateLimiter, RetryPolicy, Usage
from cexkit.exchanges.http.client import Response
from cexkit.exchanges.http.clocks import ClockReading, read_clocks
from cexkit.exchanges.http.retry import http_date, retry_after
from cexkit.testing import Loopback, Reply

URL = "http://venue.example/x"


class Script:
    """Answers in turn; an exception is raised."""

    def __init__(self, *replies):
        self.replies, self.requests = list(replies), []

    def __call__(self, request):
        self.requests.append(request)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


def client(script, **options):
    slept = []
    http = HttpClient(transport=httpx.MockTransport(script), sleep=slept.append, **options)
    return http, slept


def ok():
    return httpx.Response(200, content=b"[]")


def test_an_answer_is_kept_as_received():
    headers = {"X-MBX-Used-Weight-1M": "7", "Date": "Mon, 01 Jan 2024 00:00:05 GMT"}
    http, _ = client(Script(httpx.Response(200, content=b'{"a": 1}\n', headers=headers)))
    response = http.get(URL, {"symbol": "BTCUSDT"})
    assert (response.url, response.params, response.status, response.body) == (
        URL,
        {"symbol": "BTCUSDT"},
        200,
        b'{"a": 1}\n',
    )
    assert response.headers["x-mbx-used-weight-1m"] == "7"
    assert response.sha256 == hashlib.sha256(b'{"a": 1}\n').hexdigest()
    assert response.server_time == datetime(2024, 1, 1, 0, 0, 5, tzinfo=UTC)
    assert response.received_at.tzinfo is UTC


def test_without_a_date_header_our_clock_stands_in():
    http, _ = client(Script(ok()))
    response = http.get(URL)
    assert response.server_time == response.received_at


def test_it_says_who_asks():
    script = Script(ok())
    http, _ = client(script)
    http.get(URL, headers={"x-more": "1"})
    assert script.requests[0].headers["user-agent"] == "cexkit"
    assert script.requests[0].headers["x-more"] == "1"


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut"),
        httpx.Response(500),
        httpx.Response(503, headers={"retry-after": "2"}),
        httpx.Response(429),
        httpx.Response(200, content=b"[1", headers={"content-length": "5"}),
        httpx.Response(200, stream=httpx.ByteStream(b"not gzip"), headers={"content-encoding": "gzip"}),
    ],
    ids=lambda f: type(f).__name__ if isinstance(f, Exception) else str(f.status_code),
)
def test_passing_failures_are_tried_again(failure):
    script = Script(failure, ok())
    http, slept = client(script)
    assert http.get(URL).body == b"[]"
    assert len(script.requests) == 2
    assert len(slept) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [(418, RateLimitedError), (403, BlockedError), (451, BlockedError), (404, VenueError), (302, VenueError)],
)
def test_lasting_ones_are_not(status, error):
    script = Script(httpx.Response(status, content=b"because"))
    http, slept = client(script)
    with pytest.raises(error, match=f"HTTP {status}: because") as caught:
        http.get(URL)
    assert caught.value.status == status
    assert (len(script.requests), slept) == (1, [])


def test_pauses_grow_and_are_random_and_bounded():
    def pauses():
        http, slept = client(lambda request: httpx.Response(500), retry=RetryPolicy(attempts=9, longest_seconds=4))
        with pytest.raises(TransportError):
            http.get(URL)
        return slept

    many = [pauses() for _ in range(20)]
    assert all(len(slept) == 8 and all(0 <= pause <= 4 for pause in slept) for slept in many)
    assert all(slept[0] <= 0.5 and slept[1] <= 1 for slept in many)
    assert max(max(slept) for slept in many) > 2
    assert len({slept[-1] for slept in many}) == 20


def test_retry_after_is_honored_and_pauses_the_budget():
    now = [0.0]
    limiter = RateLimiter([Budget("w", 100, 60)], clock=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s))
    script = Script(httpx.Response(429, headers={"retry-after": "9"}), ok(), ok())
    slept = []
    http = HttpClient(transport=httpx.MockTransport(script), limiter=limiter, sleep=slept.append)
    http.get(URL, cost={"w": 1})
    # told to wait 9 s, this request slept on its own clock and then for the budget on the budget's
    assert slept == [9]
    assert now[0] == 9


def test_every_try_is_paid_for():
    spent = []

    class Counting(RateLimiter):
        def charge(self, cost):
            spent.append(cost)
            return nullcontext()

    http = HttpClient(
        transport=httpx.MockTransport(Script(httpx.Response(500), ok())), limiter=Counting(), sleep=lambda s: None
    )
    http.get(URL, cost={"w": 3})
    assert spent == [{"w": 3}, {"w": 3}]


def test_a_venues_own_error_inside_200_is_found_and_a_busy_one_tried_again():
    def inspect(response):
        if b"50011" in response.body:
            return RateLimitedError("busy")
        return VenueError("51001: no such instrument") if b"51001" in response.body else None

    busy, bad = httpx.Response(200, content=b'{"code":"50011"}'), httpx.Response(200, content=b'{"code":"51001"}')
    script = Script(busy, bad)
    http, slept = client(script)
    with pytest.raises(VenueError, match="no such instrument"):
        http.get(URL, inspect=inspect)
    assert len(slept) == 1


def test_usage_is_learned_from_refusals_too():
    limiter = RateLimiter([Budget("w", 100, 60)], clock=lambda: 0.0, sleep=lambda s: pytest.fail("slept"))
    learned = []
    limiter.learn = learned.append
    http, _ = client(Script(httpx.Response(404, headers={"used": "55"})), limiter=limiter)
    with pytest.raises(VenueError):
        http.get(URL, usage=lambda response: (Usage("w", float(response.headers["used"]), 10),))
    assert learned == [Usage("w", 55, 10)]


def test_gzip_is_undone_and_not_taken_for_a_cut():
    body = gzip.compress(b"[" + b"1," * 1000 + b"1]")
    response = httpx.Response(
        200, stream=httpx.ByteStream(body), headers={"content-encoding": "gzip", "content-length": str(len(body))}
    )
    http, _ = client(Script(response))
    assert http.get(URL).body.startswith(b"[1,1,")


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "http://host:port/x", "http://two..dots/x"])
def test_a_url_that_is_none_is_a_setting_gone_wrong(url):
    with HttpClient() as http, pytest.raises(ConfigError, match=url):
        http.get(url)


def test_retry_after_forms():
    now = http_date("Mon, 01 Jan 2024 00:00:00 GMT")
    assert retry_after("Mon, 01 Jan 2024 00:00:30 GMT", now) == 30
    assert retry_after("Sun, 31 Dec 2023 00:00:30 GMT", now) == 0
    assert retry_after("soon", now) is None
    assert retry_after("Fri, 31 Dec 9999 23:59:59 -2300", now) is None


def test_a_proxy_of_the_environment_does_not_stand_before_this_machine(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    class Hello(Loopback):
        def respond(self, request):
            return Reply(body=b"[]")

    with Hello(now="2024-01-01") as venue, HttpClient(retry=RetryPolicy(attempts=1)) as http:
        assert http.get(venue.url).body == b"[]"
        with pytest.raises(TransportError):
            http.get("http://venue.example/x")


def test_credentials_of_a_base_url_are_sent_and_not_kept(caplog):
    script = Script(ok(), httpx.ConnectError("refused"), httpx.Response(404, content=b"no\n\x1b[31m"))
    http, _ = client(script, retry=RetryPolicy(attempts=1))
    url = "http://me:hunter2@venue.example/x?token=hunter2"
    with caplog.at_level("INFO"):
        response = http.get(url, {"symbol": "BTCUSDT"})
    assert script.requests[0].headers["authorization"] == "Basic bWU6aHVudGVyMg=="
    assert response.url == "http://***@venue.example/x?token=***"
    assert "me:hunter2" not in caplog.text
    with pytest.raises(TransportError) as refused:
        http.get(url)
    with pytest.raises(VenueError) as missing:
        http.get(url)
    assert "hunter2" not in f"{refused.value}{missing.value}"
    assert r"no\n\x1b[31m" in str(missing.value)


def test_each_try_takes_a_number_and_the_response_has_its_own():
    numbers = count(1)
    http, _ = client(Script(httpx.Response(500), httpx.ReadTimeout("slow"), ok(), ok()))
    response = http.get(URL, next_sequence=lambda: next(numbers))
    assert response.sequence == 3
    assert next(numbers) == 4
    assert http.get(URL).sequence is None


def test_number_is_taken_after_the_wait_for_the_budget():
    events = []

    class Waiting(RateLimiter):
        def charge(self, cost):
            events.append("waited")
            return nullcontext()

    def respond(request):
        events.append("sent")
        return ok()

    http = HttpClient(transport=httpx.MockTransport(respond), limiter=Waiting())
    http.get(URL, next_sequence=lambda: events.append("numbered") or 1)
    assert events == ["waited", "numbered", "sent"]


class TestClocks:
    SENT = datetime(2026, 1, 1, 12, tzinfo=UTC)
    RECEIVED = SENT + timedelta(minutes=20)

    def read(self, date: datetime | None, bound: timedelta | None = timedelta(minutes=5)):
        headers = {} if date is None else {"date": format_datetime(date, usegmt=True)}
        response = Response(URL, {}, 200, headers, self.RECEIVED, b"", sent_at=self.SENT)
        return read_clocks(response, bound)

    @pytest.mark.parametrize("minutes", [0, 1, 20])
    def test_long_request_is_no_skew(self, minutes):
        date = self.SENT + timedelta(minutes=minutes)
        assert self.read(date) == ClockReading(date, skewed=False)

    @pytest.mark.parametrize(
        ("date", "now", "skewed"),
        [
            (SENT - timedelta(minutes=4), SENT - timedelta(minutes=4), False),
            (SENT - timedelta(minutes=6), SENT - timedelta(minutes=6), True),
            (RECEIVED + timedelta(minutes=4), SENT, False),
            (RECEIVED + timedelta(days=10), SENT, True),
        ],
    )
    def test_earlier_clock_counts(self, date, now, skewed):
        assert self.read(date) == ClockReading(now, skewed)

    def test_without_date_header_no_skew_is_known(self):
        assert self.read(None) == ClockReading(self.SENT, skewed=False)

    def test_without_bound_the_server_clock_counts_alone(self):
        date = self.RECEIVED + timedelta(days=10)
        assert self.read(date, None) == ClockReading(date, skewed=False)

    def test_unreadable_date_header_counts_as_none(self):
        response = Response(URL, {}, 200, {"date": "soon"}, self.RECEIVED, b"")
        assert read_clocks(response, timedelta(0)) == ClockReading(self.RECEIVED, skewed=False)
