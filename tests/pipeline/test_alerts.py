"""Alerts reach a webhook over a real socket, and never give its address away."""

from __future__ import annotations

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import SecretStr

dg = pytest.importorskip("dagster", reason="needs the extra `pipeline`")

from cexkit_pipeline.alerts import alert, failed_runs  # noqa: E402

SECRET = "T0/B0/verysecret"


@pytest.fixture
def hook():
    """A webhook that remembers; ``status`` is what it answers with."""
    said: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        status = 200

        def do_POST(self):
            said.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(Handler.status)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield SecretStr(f"http://127.0.0.1:{server.server_port}/{SECRET}"), said, Handler
        server.shutdown()


def test_an_alert_is_logged_and_posted(hook, caplog):
    address, said, _ = hook
    with caplog.at_level(logging.DEBUG):
        assert alert("okx is stale", address)
    assert said == ["okx is stale"]
    assert "okx is stale" in caplog.text
    assert SECRET not in caplog.text + repr(address)


@pytest.mark.parametrize("wrong", [500, "nobody there", "not an address"])
def test_a_webhook_that_fails_is_said_without_its_address(hook, caplog, wrong):
    address, _, handler = hook
    if wrong == 500:
        handler.status = 500
    else:
        address = SecretStr(f"http://127.0.0.1:9/{SECRET}" if wrong == "nobody there" else f"http://[/{SECRET}")
    with caplog.at_level(logging.DEBUG):
        assert not alert("okx is stale", address)
    assert "did not take" in caplog.text
    assert SECRET not in caplog.text


def test_a_failed_run_is_told(hook, monkeypatch):
    address, said, _ = hook
    monkeypatch.setenv("CEXKIT_ALERT_WEBHOOK", address.get_secret_value())
    from cexkit.config import settings

    settings.cache_clear()

    @dg.op
    def breaks():
        raise ValueError("the venue is gone")

    @dg.job
    def broken():
        breaks()

    try:
        with dg.DagsterInstance.ephemeral() as instance:
            result = broken.execute_in_process(instance=instance, raise_on_error=False)
            context = dg.build_run_status_sensor_context(
                "failed_runs", result.get_run_failure_event(), instance, result.dagster_run
            )
            failed_runs(context.for_run_failure())
    finally:
        settings.cache_clear()
    assert len(said) == 1
    assert "of broken failed" in said[0]
