"""A venue whose instruments cannot be read: every command names the failure, not an unknown symbol."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from cexkit.cli.commands import app
from cexkit.config import settings
from cexkit.testing import LoopbackOkx, server_error, too_many_requests
from cexkit.testing.simulation import simulate

FUNDING = ["funding_rates", "--symbol", "BTCUSDT", "--start", "2026-05-20", "--end", "2026-05-21"]


@pytest.fixture
def pull(monkeypatch, tmp_path):
    """Run ``cexkit pull`` with base URLs; return its exit code and output."""

    def run(venues: str, urls: dict[str, str], *words: str) -> tuple[int, str]:
        monkeypatch.setenv("CEXKIT_BASE_URLS", json.dumps(urls))
        monkeypatch.setenv("CEXKIT_MAX_CLOCK_SKEW_SECONDS", "none")
        monkeypatch.setenv("CEXKIT_HTTP_ATTEMPTS", "1")
        settings.cache_clear()
        done = CliRunner().invoke(app, ["pull", venues, *FUNDING, "--warehouse", str(tmp_path), *words])
        settings.cache_clear()
        return done.exit_code, done.output

    return run


@pytest.fixture(scope="module")
def truth():
    return simulate(start="2026-05-20", end="2026-05-21", coins=["BTC"], exchanges=["okx"]).tables


@pytest.mark.parametrize("words", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("fault", "text"),
    [(server_error, "HTTP 503"), (lambda when: too_many_requests(when, retry_after=0), "HTTP 429"), (None, "Connect")],
)
def test_failure_of_the_only_venue_is_the_error(pull, truth, fault, text, words):
    faults = [] if fault is None else [fault(lambda _: True)]
    with LoopbackOkx(truth, now="2026-05-21T00:00:10", faults=faults) as venue:
        urls = dict(venue.settings.base_urls)
        if fault is not None:
            code, output = pull("okx", urls, *words)
    if fault is None:  # nobody listens any more
        code, output = pull("okx", urls, *words)
    assert code == 1
    assert text in output
    assert "unknown okx instrument" not in output


def test_dry_run_of_several_venues_plans_those_that_can_be_read(pull, truth):
    with LoopbackOkx(truth, now="2026-05-21T00:00:10") as venue:
        urls = dict(venue.settings.base_urls) | {"bybit.v5": "http://127.0.0.1:9"}
        code, output = pull("okx,bybit", urls, "--dry-run")
    assert code == 3
    assert "1 instruments" in output
    assert "bybit, " in output
    assert "its instruments could not be read" in output
    assert "problem: bybit instruments: http://127.0.0.1:9" in output
