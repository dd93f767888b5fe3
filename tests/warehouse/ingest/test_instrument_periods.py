"""Periods of instruments: what lists showed, valid from when, and never changed by a later list."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import httpx
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st

from cexkit.config import Settings
from cexkit.exchanges.fetcher import Fetcher
from cexkit.schema import INSTRUMENT_KEYS, TABLES
from cexkit.schema.intervals import to_ms
from cexkit.schema.render import to_polars
from cexkit.warehouse.ingest.bronze import ingest_bronze
from cexkit.warehouse.ingest.instrument_periods import PeriodLog
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.warehouse import Warehouse

LISTING, PERIODS = TABLES["instruments"], TABLES["instrument_periods"]
FACTS = [name for name in PERIODS.columns if name not in (*INSTRUMENT_KEYS, "valid_from", "valid_to")]


def day(number: int) -> datetime:
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=number)


def listed(symbol: str = "PEPEUSDT", at: int = 0, **more) -> dict:
    """An instrument as a list shows it; times as numbers of days."""
    terms = {"exchange": "bybit", "instrument_type": "perp", "symbol": symbol, "base": "PEPE", "quote": "USDT"}
    terms |= {"venue_symbol": symbol, "settle": "USDT", "multiplier": 1.0, "contract_size": 1.0, "inverse": False}
    times = {name: day(more[name]) for name in ("listing_time", "delisting_time") if more.get(name) is not None}
    return terms | {"status": "trading", "observed_at": day(at)} | more | times


def frame(*rows: dict) -> pl.DataFrame:
    return pl.DataFrame([dict.fromkeys(LISTING.columns) | row for row in rows], schema=to_polars(LISTING))


def log_of(*lists: tuple[int, list[dict]]) -> PeriodLog:
    """The log of lists, each read on a day."""
    log = PeriodLog()
    for at, rows in lists:
        log.add(frame(*rows), day(at))
    return log


def spans(log: PeriodLog, *names: str) -> list[tuple]:
    """Days from and to which periods are valid, and some of their facts."""
    rows = log.periods().select("valid_from", "valid_to", *names).rows()
    return [(*((None if time is None else (time - day(0)).days) for time in row[:2]), *row[2:]) for row in rows]


def test_first_list_is_valid_from_the_listing_time():
    assert spans(log_of((10, [listed(listing_time=3)]))) == [(3, None)]


def test_first_list_without_a_listing_time_is_valid_from_its_own_time():
    assert spans(log_of((10, [listed()]))) == [(10, None)]


def test_pending_instrument_is_valid_from_the_list_that_announces_it():
    log = log_of((10, [listed(listing_time=12, status="pending")]), (13, [listed(listing_time=12)]))
    assert spans(log, "status") == [(10, 12, "pending"), (12, None, "trading")]


def test_change_is_valid_from_the_list_that_shows_it():
    log = log_of(
        (10, [listed(listing_time=3)]),
        (11, [listed(listing_time=3)]),
        (12, [listed(listing_time=3, tick_size=0.5)]),
        (13, [listed(listing_time=3, tick_size=0.5)]),
        (14, [listed(listing_time=3)]),
    )
    assert spans(log, "tick_size") == [(3, 12, None), (12, 14, 0.5), (14, None, None)]


def test_observation_time_is_not_a_fact():
    assert len(spans(log_of((10, [listed(at=10)]), (11, [listed(at=11)])))) == 1


def test_two_lives_of_a_name_are_two_listing_periods():
    gone = listed(listing_time=3, delisting_time=12, status="delisted")
    log = log_of(
        (10, [listed(listing_time=3, multiplier=1000.0)]),
        (12, [gone | {"multiplier": 1000.0}]),
        (20, [listed(listing_time=15)]),
    )
    assert spans(log, "status", "multiplier") == [
        (3, 12, "trading", 1000.0),
        (12, 15, "delisted", 1000.0),
        (15, None, "trading", 1.0),
    ]


def test_relisting_between_two_lists_is_valid_from_its_listing_time():
    log = log_of((10, [listed(listing_time=3, contract_size=0.1)]), (20, [listed(listing_time=15)]))
    assert spans(log, "contract_size") == [(3, 15, 0.1), (15, None, 1.0)]


def test_listing_time_before_the_previous_list_changes_nothing_before_this_one():
    log = log_of((10, [listed(listing_time=3, contract_size=0.1)]), (20, [listed(listing_time=8)]))
    assert spans(log, "contract_size") == [(3, 20, 0.1), (20, None, 1.0)]


def test_instrument_first_seen_after_its_end_was_trading_before():
    log = log_of((10, [listed(listing_time=3, delisting_time=7, status="delisted")]))
    assert spans(log, "status") == [(3, 7, "trading"), (7, None, "delisted")]


@pytest.mark.parametrize("delisting_time", [6, 5, 9])
def test_earlier_life_in_another_list_is_kept(delisting_time):
    closed = listed(listing_time=1, delisting_time=delisting_time, status="delisted", multiplier=1000.0)
    log = log_of((10, [closed, listed(listing_time=6)]))
    end = min(delisting_time, 6)
    gap = [(5, 6, "delisted", 1000.0)] if end == 5 else []
    assert spans(log, "status", "multiplier") == [(1, end, "trading", 1000.0), *gap, (6, None, "trading", 1.0)]


def test_earlier_life_found_later_does_not_change_known_facts():
    closed = listed(listing_time=1, delisting_time=5, status="delisted", multiplier=1000.0)
    log = log_of((10, [listed(listing_time=6)]), (11, [closed, listed(listing_time=6)]))
    assert spans(log, "multiplier") == [(6, None, 1.0)]


def test_stored_periods_win_over_those_of_the_remaining_lists():
    sizes = {10: 0.1, 20: 0.5, 30: 2.0, 40: 0.5}
    lists = [(at, [listed(listing_time=3, tick_size=size)]) for at, size in sizes.items()]
    whole = log_of(*lists).periods()
    assert log_of(*lists[3:]).periods(log_of(*lists[:3]).periods()).equals(whole)
    assert log_of(*lists[2:]).periods(log_of(*lists[:3]).periods()).equals(whole)
    for lost in range(4):
        assert log_of(*lists[:lost], *lists[lost + 1 :]).periods(whole).equals(whole)
    assert log_of(*lists).periods(whole.clear()).equals(whole)


def test_stored_delisting_stays_when_its_list_is_lost():
    gone = {"listing_time": 3, "status": "delisted"}
    stored = log_of((10, [listed(listing_time=3)]), (20, [listed(delisting_time=20, **gone)])).periods()
    remaining = log_of((10, [listed(listing_time=3)]), (30, [listed(delisting_time=30, **gone)]))
    assert remaining.periods(stored).equals(stored)


# --- no later list changes what was valid before an earlier one ---

days = st.integers(0, 9)
life = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(["A", "B"]),
        "listing_time": st.none() | days,
        "delisting_time": st.none() | days,
        "status": st.sampled_from(["trading", "pending", "halted", "delisted"]),
        "multiplier": st.sampled_from([1.0, 1000.0]),
        "asset_class": st.sampled_from([None, "crypto"]),
    }
)
histories = st.lists(st.lists(life, max_size=3), min_size=1, max_size=6)


def as_of(periods: pl.DataFrame, symbol: str, moment: datetime) -> dict | None:
    """Return the facts of a symbol at a time; before its first period, those of this."""
    own = periods.filter(symbol=symbol).sort("valid_from").to_dicts()
    known = [row for row in own if row["valid_from"] <= moment] or own[:1]
    return {name: known[-1][name] for name in FACTS} if known else None


def _log(lists: list[list[dict]]) -> PeriodLog:
    """Return the log of lists that are read every second day; each keeps what earlier ones showed."""
    log, seen = PeriodLog(), {}
    for number, rows in enumerate(lists):
        at = 2 * number + 1
        seen |= {(row["symbol"], row["listing_time"]): listed(**row, at=at) for row in rows}
        log.add(frame(*seen.values()), day(at))
    return log


@tries(max_examples=100, deadline=None)
@given(histories, st.integers(1, 6))
def test_later_list_does_not_change_facts_before_an_earlier_one(lists, count):
    earlier, whole = lists[:count], _log(lists).periods()
    before = _log(earlier).periods()
    last = 2 * len(earlier) - 1
    moments = [day(0) + timedelta(hours=6 * number) for number in range(4 * last)]
    for symbol in before["symbol"].unique():
        for moment in moments:
            assert as_of(whole, symbol, moment) == as_of(before, symbol, moment)


@tries(max_examples=200, deadline=None)
@given(histories)
def test_periods_follow_each_other_and_differ(lists):
    found = _log(lists).periods()
    assert found.schema == to_polars(PERIODS)
    assert found.equals(found.sort(PERIODS.key))
    for _, own in found.group_by(INSTRUMENT_KEYS, maintain_order=True):
        assert own["valid_to"].to_list() == [*own["valid_from"].to_list()[1:], None]
        rows = own.select(FACTS).rows()
        assert all(row != following for row, following in pairwise(rows))


# --- from Bronze ---


class Lists:
    """A venue whose list of contracts and clock are set."""

    def __init__(self):
        self.contracts: list[dict] = []
        self.now = day(0)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body: object = []
        if request.url.path.endswith("exchangeInfo"):
            body = {"symbols": self.contracts if "fapi" in request.url.path else [], "rateLimits": []}
        return httpx.Response(200, json=body, headers={"Date": format_datetime(self.now, usegmt=True)})

    def read(self, warehouse: Warehouse, at: int, *contracts: dict) -> None:
        """Read the list as it is on a day into Bronze."""
        self.now, self.contracts = day(at), list(contracts)
        settings = Settings(max_clock_skew_seconds=None)
        with Fetcher(settings, httpx.MockTransport(self), sleep=lambda _: None) as fetcher:
            ingest_bronze(warehouse, fetcher, "binance", LISTING)


def contract(symbol: str, onboard: int, **more) -> dict:
    names = {"symbol": symbol, "baseAsset": symbol.removesuffix("USDT"), "quoteAsset": "USDT", "marginAsset": "USDT"}
    times = {"deliveryDate": 4133404800000, "onboardDate": to_ms(day(onboard))}
    return names | times | {"status": "TRADING", "contractType": "PERPETUAL", "filters": []} | more


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(tmp_path / "warehouse")


def _stored(warehouse: Warehouse) -> list[tuple]:
    rows = pl.from_arrow(warehouse.read(PERIODS)).select("symbol", "valid_from", "valid_to", "status", "asset_class")
    to_days = (pl.col("valid_from", "valid_to") - day(0)).dt.total_days()
    return rows.with_columns(to_days).rows()


def test_both_tables_are_built_from_the_same_lists(warehouse):
    venue = Lists()
    venue.read(warehouse, 10, contract("AUSDT", 3), contract("BUSDT", 4))
    venue.read(warehouse, 20, contract("AUSDT", 3, underlyingType="COIN"))
    venue.read(warehouse, 30, contract("AUSDT", 3, underlyingType="COIN"), contract("BUSDT", 25))
    build_silver(warehouse, "binance", PERIODS)
    assert _stored(warehouse) == [
        ("AUSDT", 3, 20, "trading", None),
        ("AUSDT", 20, None, "trading", "crypto"),
        ("BUSDT", 4, 20, "trading", None),
        ("BUSDT", 20, 25, "delisted", None),
        ("BUSDT", 25, None, "trading", None),
    ]
    current = pl.from_arrow(warehouse.read(LISTING))
    assert current.select("symbol", "status", "asset_class").rows() == [
        ("AUSDT", "trading", "crypto"),
        ("BUSDT", "trading", None),
    ]


def test_building_again_changes_no_file(warehouse):
    venue = Lists()
    venue.read(warehouse, 10, contract("AUSDT", 3))
    build_silver(warehouse, "binance", LISTING)
    before = warehouse.manifest.files
    venue.read(warehouse, 20, contract("AUSDT", 3))
    build_silver(warehouse, "binance", LISTING)
    digests = [{file.table: file.sha256 for file in files} for files in (before, warehouse.manifest.files)]
    assert digests[0]["instrument_periods"] == digests[1]["instrument_periods"]
    assert digests[0]["instruments"] != digests[1]["instruments"]  # observed later


def test_periods_of_a_lost_list_stay(warehouse):
    venue = Lists()
    venue.read(warehouse, 10, contract("AUSDT", 3), contract("BUSDT", 4))
    venue.read(warehouse, 20, contract("AUSDT", 3, underlyingType="COIN"))
    build_silver(warehouse, "binance", LISTING)
    before = _stored(warehouse)
    (first, *_) = sorted(path for path in Ledger(warehouse.root, "binance", LISTING).files["path"] if "um." in path)
    (warehouse.root / first).unlink()
    report = build_silver(warehouse, "binance", LISTING)
    assert any("is missing" in problem.message for problem in report.problems)
    assert _stored(warehouse) == before


def test_pull_of_periods_reads_only_the_lists(warehouse):
    venue = Lists()
    venue.now, venue.contracts = day(10), [contract("AUSDT", 3)]
    settings = Settings(max_clock_skew_seconds=None)
    with Fetcher(settings, httpx.MockTransport(venue), sleep=lambda _: None) as fetcher:
        report = pull("binance", "instrument_periods", warehouse=warehouse, fetcher=fetcher)
    assert report.problems == ()
    assert {file.table for file in warehouse.manifest.files} == {"instruments", "instrument_periods"}
