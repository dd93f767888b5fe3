"""Contract terms in force: every row has the contract value and the multiplier of its time, whenever lists are read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import permutations

import httpx
import polars as pl
import pytest

from cexkit.config import Settings
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.streams import STREAMS
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, to_ms
from cexkit.warehouse.collect.sessions import row_of
from cexkit.warehouse.ingest.bronze import ingest_bronze
from cexkit.warehouse.ingest.listings import instruments
from cexkit.warehouse.ingest.rebuild import rebuild
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.store.bronze import BronzeWriter
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.ledgers import retire
from cexkit.warehouse.store.sequence import Sequence
from cexkit.warehouse.store.warehouse import Warehouse

LISTING, EVENTS, BARS = (TABLES[name] for name in ("instruments", "liquidations", "ohlcv_1h"))


def day(number: float) -> datetime:
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=number)


class Okx:
    """A venue with one swap whose contract value, listing time, and clock are set."""

    def __init__(self, warehouse: Warehouse):
        self.warehouse = warehouse
        self.now, self.value, self.listed, self.events = day(0), "0.01", day(-30), {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path, params, data = request.url.path, request.url.params, []
        if path.endswith("/instruments"):
            data = [self._listing()] if params["instType"] == "SWAP" else []
        elif path.endswith("/liquidation-orders"):
            data = self._page(int(params["after"]))
        elif path.endswith("candles"):
            data = [self._candle(hour) for hour in range(24)][::-1]
            data = [row for row in data if int(row[0]) < int(params["after"])]
        body = {"code": "0", "data": data, "msg": ""}
        return httpx.Response(200, json=body, headers={"Date": format_datetime(self.now, usegmt=True)})

    def _listing(self) -> dict:
        terms = {"ctType": "linear", "ctVal": self.value, "ctMult": "1", "ctValCcy": "BTC", "lotSz": "1"}
        names = {"instId": "BTC-USDT-SWAP", "uly": "BTC-USDT", "settleCcy": "USDT", "baseCcy": "", "quoteCcy": ""}
        return names | terms | {"state": "live", "tickSz": "0.1", "listTime": str(to_ms(self.listed)), "expTime": ""}

    def _candle(self, hour: int) -> list[str]:
        return [str(to_ms(day(hour / 24))), "3", "4", "1", "2", "105", "10.5", "31.5", "1"]

    def _page(self, before: int) -> list[dict]:
        details = [self._detail(at, size) for at, size in self.events.items() if to_ms(at) < before]
        return [{"instId": "BTC-USDT-SWAP", "details": details[::-1]}] if details else []

    def _detail(self, at: datetime, contracts: str) -> dict:
        return {"ts": str(to_ms(at)), "bkPx": "40000", "sz": contracts, "side": "sell", "posSide": "long"}

    @property
    def fetcher(self) -> Fetcher:
        settings = Settings(max_clock_skew_seconds=None)
        return Fetcher(settings, httpx.MockTransport(self), sleep=lambda _: None)

    def read(self, table, window: Window | None = None) -> None:
        """Read a table into Bronze, by the lists that were read before."""
        found = [] if window is None else instruments(self.warehouse, "okx", table, window)
        with self.fetcher as fetcher:
            ingest_bronze(self.warehouse, fetcher, "okx", table, window, found, refresh=True)

    def list(self, at: float, value: str, listed: float = -30) -> None:
        """Read the list as it is at a time."""
        self.now, self.value, self.listed = day(at), value, day(listed)
        self.read(LISTING)

    def request(self, at: float) -> None:
        """Request the liquidations of the last day at a time, as listed by then."""
        self.now = day(at)
        build_silver(self.warehouse, "okx", LISTING)
        self.read(EVENTS, Window(day(at - 0.9), day(at)))

    def receive(self, at: float, contracts: str = "8.55") -> None:
        """Receive an event live, which the venue also serves from then on."""
        self.now = day(at)
        self.events[self.now] = contracts
        message = {"arg": {"channel": "liquidation-orders", "instType": "SWAP"}}
        message |= {"data": [{"instId": "BTC-USDT-SWAP", "details": [self._detail(self.now, contracts)]}]}
        endpoint, number = STREAMS["okx"].endpoint, Sequence(self.warehouse.root).next()
        writer = BronzeWriter(self.warehouse.root, "okx", endpoint, f"{self.now:%Y%m%dT%H%M%S%f}-{number:08}")
        writer.add(row_of(endpoint, "okx", "", json.dumps(message).encode(), *[self.now] * 3, number))
        writer.flush()

    def build(self, *tables) -> None:
        for table in tables or (LISTING, EVENTS):
            build_silver(self.warehouse, "okx", table)

    def rows(self) -> list[tuple]:
        rows = pl.from_arrow(self.warehouse.read(EVENTS)).sort("timestamp")
        days = (pl.col("timestamp") - day(0)).dt.total_microseconds() / 86_400e6
        return rows.select(days, "quantity_base", pl.col("value_quote").round(6), "event").rows()


@pytest.fixture
def okx(tmp_path) -> Okx:
    return Okx(Warehouse(tmp_path))


def require_equal_to_rebuild(venue: Okx, *tables) -> None:
    for done in rebuild(venue.warehouse, "okx", [LISTING, *(tables or (EVENTS,))], dry_run=True):
        assert (done.added, done.changed, done.lost.height) == (0, 0, 0), str(done)


EXPECTED = [(1.5, 0.0855, 3420, 0), (2.5, 0.855, 34200, 0)]


def test_live_event_has_the_contract_value_of_its_time_and_counts_once_next_to_rest(okx):
    okx.list(1, "0.01")
    okx.receive(1.5)
    okx.request(1.6)
    okx.list(2, "0.1")
    okx.request(2.1)  # the event of the day before is requested with the larger contract
    okx.receive(2.5)
    okx.request(2.6)
    okx.build()
    assert okx.rows() == EXPECTED
    require_equal_to_rebuild(okx)


@pytest.mark.parametrize("builds", [(1, 2, 3, 4, 5), (2, 4)])
def test_builds_at_any_time_give_the_same_rows(okx, builds):
    steps = [
        lambda: okx.list(1, "0.01"),
        lambda: okx.receive(1.5),
        lambda: okx.list(2, "0.1"),
        lambda: okx.receive(2.5),
        lambda: okx.request(2.51),
    ]
    for number, step in enumerate(steps, start=1):
        step()
        if number in builds:
            okx.build()
    okx.build()
    assert okx.rows() == EXPECTED
    require_equal_to_rebuild(okx)


def test_event_before_the_first_list_has_the_earliest_known_contract_value(okx):
    okx.listed = day(1)
    okx.receive(0.5)
    okx.list(1, "0.01", listed=1)
    okx.list(2, "0.1", listed=1)
    okx.build()
    assert okx.rows() == [(0.5, 0.0855, 3420, 0)]


@pytest.mark.parametrize("lost", [False, True])
def test_terms_that_a_later_list_shows_for_the_past_change_rows_that_were_built(okx, lost):
    okx.list(1, "0.01")
    for at in (1.5, 2.5):
        okx.receive(at)
    okx.build()
    assert [row[1] for row in okx.rows()] == [0.0855, 0.0855]
    if lost:
        (path,) = (file for file in Ledger(okx.warehouse.root, "okx", EVENTS).files["path"] if "20240103T" in file)
        retire(okx.warehouse.root, [path])
        (okx.warehouse.root / path).unlink()
    okx.list(3, "0.1", listed=2)  # listed again on day 2, with another contract
    okx.build()
    assert okx.rows() == EXPECTED
    removed = Ledger(okx.warehouse.root, "okx", EVENTS).removed
    assert removed.select("rule", "quantity_base").rows() == [("new contract facts", 0.0855)]
    if not lost:
        require_equal_to_rebuild(okx)


def test_only_rows_whose_terms_changed_are_read_again(okx, monkeypatch):
    from cexkit.warehouse.ingest import inputs

    for at in (1.5, 2.5):
        okx.list(at - 0.5, "0.01")
        okx.receive(at)
    okx.build()
    read, original = [], inputs.read_events
    monkeypatch.setattr(inputs, "read_events", lambda *words: read.append(words) or original(*words))
    okx.list(2.6, "0.01")
    okx.build()
    assert read == []
    okx.receive(2.9)
    okx.build()
    read.clear()
    okx.list(3, "0.1", listed=2.7)
    okx.build()
    assert [str(to_ms(day(2.9))).encode() in body for _, body, *_ in read] == [True]
    assert [row[1] for row in okx.rows()] == [0.0855, 0.0855, 0.855]


def test_rebuild_of_the_lists_alone_makes_the_next_build_use_them(okx, monkeypatch):
    from cexkit.exchanges.okx import listings as parsers

    okx.list(1, "0.01")
    okx.receive(1.5)
    okx.build()
    record = parsers._contract
    changed = lambda *words: record(*words) | {"contract_size": 0.02}  # noqa: E731
    monkeypatch.setattr(parsers, "_contract", changed)
    rebuild(okx.warehouse, "okx", [LISTING])
    okx.build()
    assert okx.rows() == [(1.5, 0.171, 6840, 0)]
    require_equal_to_rebuild(okx)


def test_multiplier_of_bars_changes_with_the_lists_that_state_it(okx, monkeypatch):
    from cexkit.exchanges.okx import listings as parsers

    okx.list(0.1, "0.01")
    okx.build(LISTING)
    okx.now = day(1.2)
    okx.read(BARS, Window(day(0), day(1)))
    okx.build(BARS)
    assert okx.warehouse.read(BARS)["multiplier"].to_pylist() == [1.0] * 24
    record = parsers._contract
    monkeypatch.setattr(parsers, "_contract", lambda *words: record(*words) | {"multiplier": 1000.0})
    okx.list(1.5, "0.01", listed=0.5)
    okx.build(LISTING, BARS)
    assert okx.warehouse.read(BARS)["multiplier"].to_pylist() == [1.0] * 12 + [1000.0] * 12


def test_fetch_uses_the_terms_of_the_lists_that_were_read_by_then(okx, monkeypatch):
    okx.events = {day(1.5): "8.55", day(1.7): "8.55"}
    with okx.fetcher as fetcher:
        for okx.now, okx.value in ((day(1.4), "0.01"), (day(1.6), "0.1")):
            fetcher.instruments("okx")
        okx.now = day(1.8)
        rows = fetcher.fetch("okx", "liquidations", "BTCUSDT", day(1), day(1.8), instrument_type="perp")
    assert rows["quantity_base"].to_pylist() == [0.0855, 0.855]


def test_list_in_memory_is_read_again_when_it_is_old(okx, monkeypatch):
    from cexkit.exchanges import listings

    okx.now, okx.events = day(1.8), {day(1.7): "8.55"}
    words = ("okx", "liquidations", "BTCUSDT", day(1), day(1.8))
    found = []
    with okx.fetcher as fetcher:
        for okx.value, age in (("0.01", 3600.0), ("0.1", 3600.0), ("0.1", -1.0)):
            monkeypatch.setattr(listings, "MAX_LIST_AGE_SECONDS", age)
            found += [fetcher.resolve(*words[:3], instrument_type="perp").contract_size]
    assert found == [0.01, 0.01, 0.1]


@pytest.mark.parametrize("order", list(permutations(range(3)))[1::2])
def test_files_of_bronze_may_arrive_in_any_order(okx, order, tmp_path):
    okx.list(1, "0.01")
    okx.receive(1.5)
    okx.list(2, "0.1")
    okx.receive(2.5)
    bronze = okx.warehouse.root / "bronze"
    lists = sorted(bronze.glob("**/endpoint=*instruments-perp/**/*.parquet"))
    messages = sorted(bronze.glob("**/endpoint=stream*/**/*.parquet"))
    parts = [lists[:1], lists[1:], messages]
    copy = Okx(Warehouse(tmp_path / "copy"))
    for number in order:
        for path in parts[number]:
            target = copy.warehouse.root / path.relative_to(okx.warehouse.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
        copy.build()
    assert copy.rows() == EXPECTED
    require_equal_to_rebuild(copy)
