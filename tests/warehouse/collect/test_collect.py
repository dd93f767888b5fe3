"""What is heard live becomes the same rows whatever the line does, and what was not heard is said."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cexkit.config import Settings
from cexkit.errors import PayloadError, TransportError, UnknownNameError
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.streams import STREAMS, liquidations_of, read_events, read_message
from cexkit.schema import TABLES
from cexkit.schema.render import to_pyarrow
from cexkit.schema.symbols import Instrument
from cexkit.testing import LOOPBACKS, Feed, LoopbackStream, every, server_error
from cexkit.testing.simulation import simulate
from cexkit.warehouse.collect.collector import collect
from cexkit.warehouse.collect.listener import ListenerTimeouts
from cexkit.warehouse.collect.sessions import SESSIONS, coverage
from cexkit.warehouse.ingest.bronze import ingest_bronze
from cexkit.warehouse.ingest.report import ClockProblem
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.store.bronze import BronzeWriter, read_bronze
from cexkit.warehouse.store.warehouse import Warehouse

VENUES = ("binance", "bybit", "okx")
LIQUIDATIONS = TABLES["liquidations"]
QUICK = ListenerTimeouts(
    flush_seconds=0.2, heartbeat_seconds=0.4, subscribe_seconds=5, first_retry_seconds=0.02, max_retry_seconds=0.05
)


@pytest.fixture(scope="module")
def truth() -> dict[str, pl.DataFrame]:
    tables = simulate(start="2026-05-18", end="2026-05-21", coins=["BTC", "PEPE"]).tables
    return {name: tables[name] for name in ("instruments", "liquidations")}


@pytest.fixture(scope="module")
def listings(truth):
    """Loopback venues that serve the listings, and a fetcher that reads them."""
    venues = {name: LOOPBACKS[name]({"instruments": truth["instruments"]}, now="2026-05-21") for name in VENUES}
    urls = {}
    for venue in venues.values():
        venue.__enter__()
        urls |= dict(venue.settings.base_urls)
    with Fetcher(Settings(base_urls=urls, max_clock_skew_seconds=None)) as fetcher:
        yield fetcher, urls
    for venue in venues.values():
        venue.__exit__(None, None, None)


def rows_of(warehouse: Warehouse, exchange: str) -> pl.DataFrame:
    report = build_silver(warehouse, exchange, LIQUIDATIONS)
    rows = pl.from_arrow(warehouse.read(LIQUIDATIONS, exchange=exchange))
    assert not report.quarantined
    return rows


def expected(truth, exchange: str) -> pl.DataFrame:
    rows = truth["liquidations"].filter(exchange=exchange).with_columns(pl.col("timestamp").dt.truncate("1ms"))
    return rows.sort(LIQUIDATIONS.key)


def wait_until_received(venue: LoopbackStream, root: Path) -> None:
    """Wait until all has been told and kept; replays count too, so a moment longer."""
    venue.sent_all.wait(60)
    until, endpoint = time.monotonic() + 20, STREAMS[venue.exchange].endpoint
    while time.monotonic() < until:
        if sum(1 for _ in read_bronze(root, venue.exchange, endpoint, "liquidations")) >= venue.messages:
            break
        time.sleep(0.1)
    time.sleep(0.3)


def listen(venue: LoopbackStream, warehouse: Warehouse, fetcher: Fetcher, timeouts: ListenerTimeouts = QUICK):
    """Collect until all has been told."""
    stop = threading.Event()

    def watch() -> None:
        wait_until_received(venue, warehouse.root)
        stop.set()

    threading.Thread(target=watch, daemon=True).start()
    return collect(
        venue.exchange, warehouse, fetcher=fetcher, urls={venue.exchange: venue.url}, timeouts=timeouts, stop=stop
    )


def same(found: pl.DataFrame, truth: pl.DataFrame) -> None:
    """Equal but for the last digits that a change of units leaves."""
    assert found.height == truth.height
    exact = ["exchange", "instrument_type", "symbol", "base", "quote", "timestamp", "side", "price_type", "event",
             "coverage"]  # fmt: skip
    order = ["instrument_type", "symbol", "timestamp", "side", "price"]
    found, truth = found.sort(order), truth.sort(order)
    assert found.select(exact).equals(truth.select(exact))
    for name in ("price", "quantity_base", "value_quote"):
        assert ((found[name] / truth[name] - 1).abs() < 1e-9).all()


FAULTS = [(), ("drop", "close", "garbage", "cut", "double", "disorder"), ("refuse", "stall")]


@pytest.mark.parametrize("faults", FAULTS, ids=lambda faults: "+".join(faults) or "well")
@pytest.mark.parametrize("exchange", VENUES)
def test_rows_equal_what_happened_whatever_the_line_does(exchange, faults, truth, listings, tmp_path):
    warehouse = Warehouse(tmp_path)
    with LoopbackStream(exchange, truth["liquidations"], truth["instruments"], faults=faults) as venue:
        done = listen(venue, warehouse, listings[0])
    assert venue.sent_all.is_set()
    same(rows_of(warehouse, exchange), expected(truth, exchange))
    breaks = len({"drop", "close", "stall", "refuse"} & set(faults)) - (exchange == "binance" and "refuse" in faults)
    assert venue.connections == breaks + 1
    assert len(done.problems) == breaks
    assert not list(tmp_path.rglob(".tmp-*"))
    kept = list(read_bronze(tmp_path, exchange, STREAMS[exchange].endpoint, "liquidations"))
    assert len(kept) == done.messages >= venue.messages
    batches = {path: {row["sequence"] for row in kept if row["path"] == path} for path in {row["path"] for row in kept}}
    numbers = [number for batch in batches.values() for number in batch]
    assert None not in numbers
    assert len(numbers) == len(set(numbers)) == len(batches)


def test_clock_that_disagrees_with_the_venues_is_reported_once(truth, tmp_path):
    """Sessions are timed by this machine's clock, so their spans would be wrong."""
    with (
        LOOPBACKS["okx"]({"instruments": truth["instruments"]}, now="2026-05-21") as venue,
        LoopbackStream("okx", truth["liquidations"], truth["instruments"], faults=("close",)) as stream,
        Fetcher(venue.settings.model_copy(update={"max_clock_skew_seconds": 300.0})) as fetcher,
    ):
        done = listen(stream, Warehouse(tmp_path), fetcher)
    (problem,) = (problem for problem in done.problems if isinstance(problem, ClockProblem))
    assert "2026-05-21 00:00:00 UTC" in problem.message


def test_venues_are_listened_to_side_by_side(truth, listings, tmp_path):
    warehouse, frames = Warehouse(tmp_path), (truth["liquidations"], truth["instruments"])
    with (
        LoopbackStream("binance", *frames) as one,
        LoopbackStream("okx", *frames) as two,
    ):
        stop = threading.Event()
        threading.Thread(
            target=lambda: [wait_until_received(one, tmp_path), wait_until_received(two, tmp_path), stop.set()],
            daemon=True,
        ).start()
        # bybit cannot be reached, and keeps neither of the others from being heard
        urls = {"binance": one.url, "okx": two.url, "bybit": "ws://127.0.0.1:9/"}
        done = collect(list(VENUES), warehouse, fetcher=listings[0], urls=urls, timeouts=QUICK, stop=stop)
    for exchange in ("binance", "okx"):
        same(rows_of(warehouse, exchange), expected(truth, exchange))
    assert {problem.exchange for problem in done.problems} == {"bybit"}
    spans = coverage(warehouse, "bybit", datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC))
    assert spans["coverage"].to_list() == ["absent"]


def test_every_symbol_is_subscribed_and_the_venue_hears_its_own_ping(truth, listings, tmp_path):
    with LoopbackStream("bybit", truth["liquidations"], truth["instruments"]) as venue:
        stop = threading.Event()
        threading.Timer(1.5, stop.set).start()
        collect("bybit", tmp_path, fetcher=listings[0], urls={"bybit": venue.url}, timeouts=QUICK, stop=stop)
    listed = truth["instruments"].filter(exchange="bybit", status="trading")
    perps = listed.filter(pl.col("instrument_type") != "spot")["venue_symbol"]
    assert sorted(venue.subscribed) == sorted(f"allLiquidation.{symbol}" for symbol in perps)
    assert set(venue.pings) == {'{"op":"ping"}'}
    assert venue.busy == ["kline.1.BTCUSDT"]


@pytest.mark.parametrize("exchange", VENUES)
def test_a_silent_connection_covers_nothing(exchange, truth, listings, tmp_path):
    """It connects, acknowledges every subscription, and responds to pings, but delivers no data."""
    before, warehouse = datetime.now(UTC), Warehouse(tmp_path)
    with LoopbackStream(exchange, truth["liquidations"], truth["instruments"], faults=["silent"]) as venue:
        done = collect(exchange, warehouse, fetcher=listings[0], urls={exchange: venue.url}, timeouts=QUICK, seconds=1)
    assert (venue.connections, done.sessions, done.messages) == (1, 0, 0)
    spans = coverage(warehouse, exchange, before, datetime.now(UTC))
    assert spans["coverage"].to_list() == ["absent"]


def test_a_silent_connection_is_replaced_and_only_the_next_one_covers(truth, listings, tmp_path):
    before, warehouse = datetime.now(UTC), Warehouse(tmp_path)
    with LoopbackStream("bybit", truth["liquidations"], truth["instruments"], faults=["silent"]) as venue:
        done = listen(venue, warehouse, listings[0], replace(QUICK, silence_seconds=1.0))
    assert (venue.connections, done.sessions) == (2, 1)
    (problem,) = done.problems
    assert "delivered no data for 1 s" in problem.message
    same(rows_of(warehouse, "bybit"), expected(truth, "bybit"))
    spans = coverage(warehouse, "bybit", before, datetime.now(UTC))
    assert spans["coverage"].to_list() == ["absent", "full", "absent"]
    assert spans["end"][0] - spans["start"][0] > timedelta(seconds=1)


def test_a_market_without_liquidations_is_covered_while_the_venue_delivers(truth, listings, tmp_path):
    before, warehouse = datetime.now(UTC), Warehouse(tmp_path)
    quick = replace(QUICK, silence_seconds=0.5)
    with LoopbackStream("bybit", truth["liquidations"].clear(), truth["instruments"]) as venue:
        done = collect("bybit", warehouse, fetcher=listings[0], urls={"bybit": venue.url}, timeouts=quick, seconds=2)
    assert (venue.connections, done.sessions, done.messages) == (1, 1, 0)
    spans = coverage(warehouse, "bybit", before, datetime.now(UTC))
    (full,) = spans.filter(coverage="full").select(pl.col("end") - pl.col("start")).to_series()
    assert timedelta(seconds=1) < full < timedelta(seconds=2.5)


def test_events_of_coin_margined_contracts_are_counted_and_not_kept(truth, listings, tmp_path):
    warehouse = Warehouse(tmp_path)
    with LoopbackStream("binance", truth["liquidations"], truth["instruments"], faults=["mixed"]) as venue:
        done = listen(venue, warehouse, listings[0])
    assert done.skipped == venue.foreign == venue.messages
    assert f"{done.skipped} events of other markets skipped" in str(done)
    same(rows_of(warehouse, "binance"), expected(truth, "binance"))
    kept = b"".join(row["body"] for row in read_bronze(tmp_path, "binance", "stream.forceOrder", "liquidations"))
    assert b"USD_PERP" not in kept
    record = list(read_bronze(tmp_path, "binance", SESSIONS, "liquidations"))[-1]
    assert json.loads(record["body"])["skipped"] == done.skipped


def test_what_is_listed_meanwhile_is_subscribed(truth, tmp_path):
    listed = truth["instruments"].filter(exchange="bybit")
    (new,) = listed.filter(base="PEPE", instrument_type="perp")["venue_symbol"]
    timeouts = replace(QUICK, relist_seconds=0.3)
    with (
        LOOPBACKS["bybit"]({"instruments": listed.filter(pl.col("base") != "PEPE")}, now="2026-05-21") as venue,
        LoopbackStream("bybit", truth["liquidations"].clear(), truth["instruments"]) as stream,
        Fetcher(venue.settings) as fetcher,
    ):
        stop = threading.Event()

        def list_it() -> None:
            stream.sent_all.wait(30)
            venue.feed = Feed({"instruments": listed})
            until = time.monotonic() + 30
            while f"allLiquidation.{new}" not in stream.subscribed and time.monotonic() < until:
                time.sleep(0.02)
            time.sleep(1)
            stop.set()

        threading.Thread(target=list_it, daemon=True).start()
        done = collect("bybit", tmp_path, fetcher=fetcher, urls={"bybit": stream.url}, timeouts=timeouts, stop=stop)
    assert f"allLiquidation.{new}" in stream.subscribed
    assert (stream.connections, done.sessions) == (2, 2), "once it is subscribed, nothing is new"
    assert [problem.message for problem in done.problems] == ["other instruments are listed now"]


def test_contract_value_that_changes_meanwhile_is_kept(truth, tmp_path):
    listed, warehouse = truth["instruments"].filter(exchange="okx"), Warehouse(tmp_path)
    larger = listed.with_columns(
        pl.when(instrument_type="perp")
        .then(pl.col("contract_size") * 10)
        .otherwise("contract_size")
        .alias("contract_size")
    )
    timeouts = replace(QUICK, relist_seconds=0.3)
    with (
        LOOPBACKS["okx"]({"instruments": listed}, now="2026-05-21") as venue,
        LoopbackStream("okx", truth["liquidations"].clear(), truth["instruments"]) as stream,
        Fetcher(venue.settings) as fetcher,
    ):
        stop, periods = threading.Event(), TABLES["instrument_periods"]

        def change() -> None:
            stream.sent_all.wait(30)
            first = warehouse.read(periods).num_rows
            venue.feed = Feed({"instruments": larger})
            until = time.monotonic() + 30
            while warehouse.read(periods).num_rows == first and time.monotonic() < until:
                time.sleep(0.05)
            time.sleep(0.5)
            stop.set()

        threading.Thread(target=change, daemon=True).start()
        done = collect("okx", warehouse, fetcher=fetcher, urls={"okx": stream.url}, timeouts=timeouts, stop=stop)
    rows = pl.from_arrow(warehouse.read(periods)).filter(instrument_type="perp", base="BTC", quote="USDT")
    assert rows["contract_size"].to_list() == [0.01, 0.1]
    assert (stream.connections, done.sessions, done.problems) == (1, 1, [])


def test_files_are_written_by_one_thread_at_a_time(truth, listings, tmp_path, monkeypatch):
    flush, inside, most = BronzeWriter.flush, [], []

    def slow(writer: BronzeWriter) -> None:
        inside.append(writer)
        most.append(inside.count(writer))
        time.sleep(0.1)
        flush(writer)
        inside.remove(writer)

    monkeypatch.setattr(BronzeWriter, "flush", slow)
    with LoopbackStream("okx", truth["liquidations"], truth["instruments"]) as venue:
        # told to stop while a file is being written, as nearly always with so little patience
        done = listen(venue, Warehouse(tmp_path), listings[0], replace(QUICK, flush_seconds=0.01))
    assert max(most) == 1
    assert len(done.files) == len(set(done.files))


def test_an_interrupted_cell_ends_it(truth, listings, tmp_path):
    """In a notebook an event loop runs already, and an interrupt is raised in its thread."""

    async def cell(venue: LoopbackStream) -> None:
        interrupt = partial(os.kill, os.getpid(), signal.SIGINT)
        threading.Thread(target=lambda: [wait_until_received(venue, tmp_path), interrupt()], daemon=True).start()
        collect("okx", tmp_path, fetcher=listings[0], urls={"okx": venue.url}, timeouts=QUICK)

    with LoopbackStream("okx", truth["liquidations"], truth["instruments"]) as venue:
        loop = asyncio.new_event_loop()
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(cell(venue))
        loop.close()
    kept = list(read_bronze(tmp_path, "okx", STREAMS["okx"].endpoint, "liquidations"))
    assert len(kept) == venue.messages, "what came by then is written"


def test_a_venue_that_refuses_this_address_is_heard_by_what_is_known(truth, listings, tmp_path):
    warehouse = Warehouse(tmp_path)
    refusing = LOOPBACKS["okx"](
        {"instruments": truth["instruments"]}, now="2026-05-21", faults=[server_error(every(1), status=451)]
    )
    with refusing as venue, Fetcher(venue.settings) as fetcher:
        with pytest.raises(TransportError, match="no instruments are known"):
            collect("okx", warehouse, fetcher=fetcher, seconds=0)
        ingest_bronze(warehouse, listings[0], "okx", TABLES["instruments"])
        assert collect("okx", warehouse, fetcher=fetcher, urls={"okx": "ws://127.0.0.1:9/"}, seconds=0).sessions == 0


def test_what_was_not_heard_is_absent(truth, listings, tmp_path):
    warehouse = Warehouse(tmp_path)
    before = datetime.now(UTC)
    with LoopbackStream("bybit", truth["liquidations"], truth["instruments"], faults=["close"]) as venue:
        listen(
            venue,
            warehouse,
            listings[0],
            ListenerTimeouts(flush_seconds=0.2, heartbeat_seconds=0.4, first_retry_seconds=1, max_retry_seconds=1),
        )
    after = datetime.now(UTC)
    spans = coverage(warehouse, "bybit", before, after)
    assert spans["coverage"].to_list() == ["absent", "full", "absent", "full", "absent"]
    assert spans["start"][0] == before
    assert spans["end"][-1] == after
    assert (spans["end"][:-1] == spans["start"][1:]).all()
    silent = spans["end"][2] - spans["start"][2]
    assert timedelta(seconds=0.4) < silent < timedelta(seconds=5)


def _session(warehouse: Warehouse, name: str, start: str, end: str) -> None:
    """A session as a collector records it."""
    body = json.dumps({"session": name, "start": start, "end": end, "reason": "listening"}).encode()
    now = datetime.now(UTC)
    row = {"table": "liquidations", "data_start": now, "data_end": now, "context": "{}", "url": "", "params": "{}",
           "status": None, "headers": "{}", "received_at": now, "sha256": "", "body": body}  # fmt: skip
    with BronzeWriter(warehouse.root, "okx", SESSIONS, f"{now:%Y%m%dT%H%M%S%f}") as writer:
        writer.add(row)


def test_spans_of_several_collectors_are_one(tmp_path):
    warehouse = Warehouse(tmp_path)
    for name, start, end in [
        ("a", "2026-05-01T00:00+00:00", "2026-05-01T02:00+00:00"),
        ("a", "2026-05-01T00:00+00:00", "2026-05-01T06:00+00:00"),  # the same one, later
        ("b", "2026-05-01T05:00+00:00", "2026-05-01T08:00+00:00"),
        ("c", "2026-05-01T10:00+00:00", "2026-05-02T10:00+00:00"),
    ]:
        _session(warehouse, name, start, end)
    found = coverage(warehouse, "okx", "2026-05-01T01:00", "2026-05-02")
    assert found.select(pl.col("start").dt.hour(), pl.col("end").dt.hour(), "coverage").rows() == [
        (1, 8, "throttled"),
        (8, 10, "absent"),
        (10, 0, "throttled"),
    ]


def test_a_venue_without_a_stream_is_named(tmp_path):
    with pytest.raises(UnknownNameError, match="binance"):
        collect("coinbase", tmp_path)
    with pytest.raises(UnknownNameError, match="okx"):
        coverage(tmp_path, "coinbase", "2026-05-01", "2026-05-02")


def _process(venue: LoopbackStream, urls: dict[str, str], folder: Path) -> subprocess.Popen:
    addresses = json.dumps(urls | {f"{venue.exchange}.stream": venue.url})
    own = {"CEXKIT_BASE_URLS": addresses, "CEXKIT_MAX_CLOCK_SKEW_SECONDS": "none"}
    words = [str(Path(sys.executable).with_name("cexkit")), "collect", venue.exchange, "--warehouse", str(folder)]
    return subprocess.Popen(
        words, env=os.environ | own, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def test_sigterm_ends_it_and_nothing_that_came_is_lost(truth, listings, tmp_path):
    with LoopbackStream("okx", truth["liquidations"], truth["instruments"]) as venue:
        process = _process(venue, listings[1], tmp_path)
        assert venue.sent_all.wait(60)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        said, complaints = process.communicate(timeout=30)
    assert process.returncode == 0, complaints
    assert f"{venue.messages} messages" in said
    same(rows_of(Warehouse(tmp_path), "okx"), expected(truth, "okx"))


def test_kill_leaves_whole_files_and_claims_nothing_that_was_lost(truth, listings, tmp_path):
    with LoopbackStream("okx", truth["liquidations"], truth["instruments"]) as venue:
        process = _process(venue, listings[1], tmp_path)
        assert venue.sent_all.wait(60)
        process.kill()
        process.communicate(timeout=30)
        warehouse = Warehouse(tmp_path)
        assert list(read_bronze(tmp_path, "okx", STREAMS["okx"].endpoint, "liquidations")) == []
        now = datetime.now(UTC)
        spans = coverage(warehouse, "okx", now - timedelta(minutes=5), now)
        assert spans["coverage"].to_list() == ["absent"]


def _instruments(truth) -> list[Instrument]:
    return [Instrument.of(row) for row in truth["instruments"].to_dicts()]


RECORDED = {
    # SELL closes a long; the average price and what was filled, not the limit price and the last fill
    "binance": (
        b'{"stream":"!forceOrder@arr","data":{"e":"forceOrder","E":1779148800500,"o":{"s":"BTCUSDT","S":"SELL",'
        b'"q":"0.014","p":"9910","ap":"9920","X":"FILLED","l":"0.015","z":"0.014","T":1779148800000}}}',
        ("BTCUSDT", "long", 9920.0, 0.014, "average_fill", "throttled"),
    ),
    # Buy is a long position here
    "bybit": (
        b'{"topic":"allLiquidation.BTCUSDT","type":"snapshot","ts":1779148800500,"data":[{"T":1779148800000,'
        b'"s":"BTCUSDT","S":"Buy","v":"2","p":"50000.5"}]}',
        ("BTCUSDT", "long", 50000.5, 2.0, "bankruptcy", "full"),
    ),
    # contracts of 0.01 BTC
    "okx": (
        b'{"arg":{"channel":"liquidation-orders","instType":"SWAP"},"data":[{"details":[{"bkPx":"57102.9",'
        b'"posSide":"net","side":"sell","sz":"10000","ts":"1779148800000"}],"instId":"BTC-USDT-SWAP"}]}',
        ("BTCUSDT", "long", 57102.9, 100.0, "bankruptcy", "throttled"),
    ),
}


@pytest.mark.parametrize(
    ("order", "skipped"),
    [
        ({"s": "BTCUSDT", "st": 1}, 0),
        ({"s": "BTCUSDT", "st": "1"}, 0),
        ({"s": "BTCUSDT"}, 0),
        ({"s": "BTCUSDT_260925"}, 0),
        ({"s": "BTCUSD1"}, 0),
        ({"s": "BTCUSD_PERP", "st": 2}, 1),
        ({"s": "BTCUSD_PERP", "st": "2"}, 1),
        ({"s": "BTCUSD_PERP"}, 1),
        ({"s": "BTCUSD_260925"}, 1),
        ({"s": "BTCUSDT", "st": 2}, 1),
        ({"s": "BTCUSDT", "st": 3}, 1),
    ],
)
@pytest.mark.parametrize("place", ["inside", "outside", "list"])
def test_market_of_an_event_on_binance(order, skipped, place):
    """`st` is inside the order; a venue that moves it, or sends a list, is read alike."""
    whole = json.loads(RECORDED["binance"][0])
    whole["data"]["o"] |= order
    if place == "outside" and "st" in order:
        whole["data"]["st"] = whole["data"]["o"].pop("st")
    if place == "list":
        whole["data"] = [whole["data"]]
    received = read_message(STREAMS["binance"], json.dumps(whole).encode())
    assert (len(received.events), received.skipped, received.delivers) == (1 - skipped, skipped, True)


def test_real_frames_of_binance(shared):
    frames = (shared / "recordings" / "binance" / "ws_um_frames_2026-08-08.txt").read_bytes().splitlines()
    read = [read_message(STREAMS["binance"], frame) for frame in frames if frame]
    assert all(one.delivers and not one.skipped for one in read)
    assert [event.venue_symbol for one in read for event in one.events] == ["STGUSDT"]
    (last,) = (frame for frame in frames if b"forceOrder" in frame)
    coin_margined = last.replace(b'"st":1', b'"st":2')
    assert read_message(STREAMS["binance"], coin_margined)[:2] == ([], 1)


@pytest.mark.parametrize(
    ("exchange", "body"),
    [
        ("binance", b'{"result":null,"id":1}'),
        ("bybit", b'{"success":true,"ret_msg":"","conn_id":"x","op":"subscribe"}'),
        ("bybit", b'{"success":true,"ret_msg":"pong","conn_id":"x","op":"ping"}'),
        ("okx", b'{"event":"subscribe","arg":{"channel":"liquidation-orders","instType":"SWAP"}}'),
    ],
)
def test_acknowledgments_and_pongs_are_not_data(exchange, body):
    assert read_message(STREAMS[exchange], body) == ([], 0, False)


@pytest.mark.parametrize("exchange", VENUES)
def test_side_unit_and_price_of_each_venue(exchange, truth):
    body, wanted = RECORDED[exchange]
    rows, problems = liquidations_of(exchange, [body], _instruments(truth))
    assert problems == []
    columns = ["symbol", "side", "price", "quantity_base", "price_type", "coverage"]
    assert pl.from_arrow(rows).select(columns).rows() == [wanted]
    assert rows["timestamp"][0].as_py() == datetime(2026, 5, 19, tzinfo=UTC)
    assert rows["value_quote"][0].as_py() == pytest.approx(wanted[2] * wanted[3])


def test_two_events_alike_are_two_where_the_venue_sends_all_and_one_where_it_replays(truth):
    bybit, okx = RECORDED["bybit"][0], RECORDED["okx"][0]
    later = bybit.replace(b'"ts":1779148800500', b'"ts":1779148801000')
    rows, _ = liquidations_of("bybit", [bybit, later, bybit], _instruments(truth))
    assert rows["event"].to_pylist() == [0, 1]
    packed_otherwise = okx.replace(b'{"arg"', b' {"arg"')
    rows, _ = liquidations_of("okx", [okx, packed_otherwise, okx], _instruments(truth))
    assert rows["event"].to_pylist() == [0]
    twice = json.loads(okx)
    twice["data"][0]["details"] *= 2
    rows, _ = liquidations_of("okx", [json.dumps(twice).encode()], _instruments(truth))
    assert rows["event"].to_pylist() == [0, 1]


def test_what_cannot_be_read_is_said(truth):
    wrong_side = RECORDED["okx"][0].replace(b'"posSide":"net"', b'"posSide":"short"')
    unlisted = RECORDED["okx"][0].replace(b"BTC-USDT-SWAP", b"NEW-USDT-SWAP")
    rows, problems = liquidations_of("okx", [wrong_side, unlisted, b"{", RECORDED["okx"][0]], _instruments(truth))
    assert rows.num_rows == 1
    assert len(problems) == 3
    assert "closed by an order to sell" in problems[0]
    assert "NEW-USDT-SWAP" in problems[1]


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["data", "e", "o", "S", "T", "s", "ap", "z", "topic", "arg", "channel", "details", "instId", "ts", "side"]
    ), inner, max_size=6),
    max_leaves=12,
)  # fmt: skip


@pytest.mark.parametrize("exchange", VENUES)
@given(body=st.binary(max_size=60) | anything.map(lambda value: json.dumps(value).encode()), whole=st.booleans())
def test_any_bytes_give_rows_or_an_error_of_ours(exchange, body, whole):
    if whole:
        key = {"binance": b'{"e":"forceOrder","o":', "bybit": b'{"topic":"allLiquidation.X","data":',
               "okx": b'{"arg":{"channel":"liquidation-orders"},"data":'}[exchange]  # fmt: skip
        body = key + body + b"}"
    try:
        events = read_events(STREAMS[exchange], body)
    except PayloadError:
        return
    assert all(event.side in ("long", "short") for event in events)
    rows, _ = liquidations_of(exchange, [body], [])
    assert rows.schema.equals(to_pyarrow(LIQUIDATIONS))


def test_venue_that_is_down_at_the_start_keeps_no_other_from_being_heard(truth, listings, tmp_path):
    _, urls = listings
    down = LOOPBACKS["bybit"](
        {"instruments": truth["instruments"]}, now="2026-05-21", faults=[server_error(lambda request: True)]
    )
    stop = threading.Event()
    with (
        down as bybit,
        LoopbackStream("okx", truth["liquidations"], truth["instruments"]) as okx,
        LoopbackStream("bybit", truth["liquidations"], truth["instruments"]) as late,
        Fetcher(
            Settings(base_urls=urls | dict(bybit.settings.base_urls), max_clock_skew_seconds=None, http_attempts=2)
        ) as reader,
    ):

        def watch() -> None:
            wait_until_received(okx, tmp_path)
            bybit.faults = ()
            wait_until_received(late, tmp_path)
            stop.set()

        threading.Thread(target=watch, daemon=True).start()
        streams = {"okx": okx.url, "bybit": late.url}
        done = collect(["bybit", "okx"], tmp_path, fetcher=reader, urls=streams, timeouts=QUICK, stop=stop)
    for name in ("okx", "bybit"):
        same(rows_of(Warehouse(tmp_path), name), expected(truth, name))
    assert {problem.exchange for problem in done.problems if "no instruments are known" in problem.message} == {"bybit"}


@pytest.mark.parametrize("data", [b'"x"', b'["x"]', b"null", b"[3]"])
def test_message_of_binance_whose_data_is_no_order_is_malformed(data):
    body = b'{"stream":"!forceOrder@arr","data":' + data + b"}"
    with pytest.raises(PayloadError):
        read_events(STREAMS["binance"], body)
    STREAMS["binance"].delivers({"data": "x"})  # raises nothing
    assert read_events(STREAMS["binance"], b'{"result":null,"id":1}') == []
