"""Alerts reach a webhook over a real socket, and never give its address away."""

from __future__ import annotations

import json
import logging
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import SecretStr

dg = pytest.importorskip("dagster", reason="needs the extra `pipeline`")

from cexkit_pipeline.alerts import alert, failed_runs, stale_data  # noqa: E402
from cexkit_pipeline.definitions import build_defs  # noqa: E402
from cexkit_pipeline.resources import Store, Venues  # noqa: E402

from cexkit.config import settings  # noqa: E402
from cexkit.exchanges.registry import EXCHANGES  # noqa: E402
from cexkit.schema import TABLES  # noqa: E402
from cexkit.testing import LoopbackMarket  # noqa: E402
from cexkit.testing.loopback import web_page  # noqa: E402
from cexkit.testing.simulation import simulate  # noqa: E402
from cexkit.warehouse.store.warehouse import Warehouse  # noqa: E402
from tests.raw_server import RawServer, fixed, head  # noqa: E402

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
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
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


@pytest.fixture
def hooked(hook, monkeypatch):
    """The same webhook, by the setting."""
    monkeypatch.setenv("CEXKIT_ALERT_WEBHOOK", hook[0].get_secret_value())
    settings.cache_clear()
    return hook


def test_a_failed_run_is_told(hooked):
    _, said, _ = hooked

    @dg.op
    def breaks():
        raise ValueError("the venue is gone")

    @dg.job
    def broken():
        breaks()

    with dg.DagsterInstance.ephemeral() as instance:
        result = broken.execute_in_process(instance=instance, raise_on_error=False)
        event = result.get_run_failure_event()
        context = dg.build_run_status_sensor_context("failed_runs", event, instance, result.dagster_run)
        failed_runs(context.for_run_failure())
    assert len(said) == 1
    assert "of broken failed" in said[0]
    assert "breaks: ValueError: the venue is gone" in said[0]


@pytest.fixture
def dead_venue(tmp_path, monkeypatch):
    """Definitions whose venues all respond 503."""
    with RawServer(fixed(head("503 Service Unavailable", Content_Length="0"))) as server:
        monkeypatch.setenv("CEXKIT_HTTP_ATTEMPTS", "1")
        settings.cache_clear()
        urls = {f"{venue.name}.{api}": server.url for venue in EXCHANGES.values() for api in venue.apis}
        yield build_defs(
            {"store": Store(warehouse=str(tmp_path)), "venues": Venues(base_urls=urls, max_clock_skew_seconds=None)}
        )


def test_run_of_the_command_line_that_fails_is_told_with_its_cause(hooked, dead_venue):
    _, said, _ = hooked
    with dg.DagsterInstance.ephemeral() as instance:
        repository = dead_venue.get_repository_def()

        def tick(cursor):
            with dg.build_sensor_context(instance, cursor, repository_def=repository) as context:
                return failed_runs.evaluate_tick(context).cursor

        cursor = tick(None)
        asset = dead_venue.resolve_assets_def(dg.AssetKey(["bronze", "okx", "instruments"]))
        result = dg.materialize([asset], instance=instance, raise_on_error=False)
        assert not result.success
        assert not result.get_asset_materialization_events(), "the partition is not materialized"
        assert result.dagster_run.remote_job_origin is None, "as of runs that no daemon launched"
        tick(cursor)
    assert len(said) == 1
    assert "requests received no usable response: okx instruments" in said[0]
    assert "HTTP 503" in said[0]


def test_venue_that_fails_wholly_fails_only_its_own_partition(tmp_path):
    with LoopbackMarket("2026-05-19", "2026-05-21", coins=["BTC"]) as market:
        market.venues["okx"].faults = (web_page(lambda request: True),)
        venues = Venues(base_urls=market.base_urls, max_clock_skew_seconds=None)
        defs = build_defs({"store": Store(warehouse=str(tmp_path)), "venues": venues})
        assets = [defs.resolve_assets_def(dg.AssetKey(["bronze", name, "instruments"])) for name in ("okx", "bybit")]
        with dg.DagsterInstance.ephemeral() as instance:
            result = dg.materialize(assets, instance=instance, raise_on_error=False)
    assert not result.success
    made = {event.asset_key.path[1] for event in result.get_asset_materialization_events()}
    assert made == {"bybit"}
    (failure,) = result.get_step_failure_events()
    details = failure.step_failure_data.user_failure_data
    assert "no usable response" in details.description
    assert details.metadata["problems"].value > 0
    assert "okx instruments" in details.metadata["first_problems"].value[0]


def test_stale_data_are_told_once_a_day_and_again_where_nobody_took_the_message(hooked, tmp_path):
    _, said, handler = hooked
    old = simulate(start="2026-06-01", end="2026-06-02", coins=["BTC"], exchanges=["okx"]).tables
    for name in ("instruments", "open_interest"):
        Warehouse(tmp_path).write(TABLES[name], old[name].to_arrow())
    context = dg.build_sensor_context(resources={"store": Store(warehouse=str(tmp_path))})
    for status, lines in ((500, 1), (200, 2), (200, 2)):
        handler.status = status
        stale_data(context)
        assert len(said) == lines
    assert said[1].startswith("stale: open_interest of okx: ")
    assert context.cursor == f"{datetime.now(UTC):%Y-%m-%d}"
