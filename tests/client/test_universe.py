"""Universe of a time: every life of a name, with the facts that held then; the same in Python and in SQL."""

from __future__ import annotations

from datetime import datetime
from random import Random
from typing import Any

import polars as pl
import pytest

import cexkit
from cexkit.schema import TABLES
from cexkit.schema.render import to_polars
from cexkit.warehouse.ingest.instrument_periods import PeriodLog
from cexkit.warehouse.store.warehouse import Warehouse

from ..rows import at, listed

LISTING, PERIODS = TABLES["instruments"], TABLES["instrument_periods"]


def life(day: int, **more: Any) -> dict[str, Any]:
    """The instrument as a list of a day of January 2024 shows it; times as days."""
    days = {name: more.pop(name, None) for name in ("listing_time", "delisting_time")}
    times = {name: at(0, day=number) for name, number in days.items() if number}
    return listed("AUSDT", base="A", listing_time=None, observed_at=at(0, day=day)) | more | times


def market_of(folder, *lists: dict[str, Any]) -> cexkit.client.market.Market:
    """A market whose venue was read several times."""
    log, warehouse = PeriodLog(), Warehouse(folder)
    for row in lists:
        frame = pl.DataFrame([dict.fromkeys(LISTING.columns) | row], schema=to_polars(LISTING))
        log.add(frame, row["observed_at"])
    warehouse.write(LISTING, frame.to_arrow())
    warehouse.write(PERIODS, log.periods().to_arrow())
    return cexkit.connect(folder)


def universe(market, moment: datetime) -> list[tuple]:
    columns = ("status", "listing_time", "delisting_time", "certain")
    rows = market.universe(moment).to_polars().select(columns).rows()
    assert market.query("universe", as_of=moment, return_type="polars").select(columns).rows() == rows
    return rows


@pytest.fixture
def relisted(tmp_path):
    """Listed on the 2nd, delisted on the 5th, listed again on the 8th with a larger unit."""
    gone = {"listing_time": 2, "delisting_time": 5, "status": "delisted"}
    first = life(3, listing_time=2, multiplier=1.0, tick_size=0.1)
    return market_of(tmp_path, first, life(6, **gone), life(10, listing_time=8, multiplier=1000.0, tick_size=0.5))


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (at(0, day=1), []),
        (at(0, day=2), [("trading", at(0, day=2), at(0, day=5), True)]),
        (at(12, day=4), [("trading", at(0, day=2), at(0, day=5), True)]),
        (at(0, day=5), []),
        (at(0, day=7), []),
        (at(0, day=8), [("trading", at(0, day=8), None, True)]),
        (at(0, day=20), [("trading", at(0, day=8), None, False)]),
    ],
)
def test_each_life_of_a_name_is_in_the_universe_of_its_time(relisted, moment, expected):
    assert universe(relisted, moment) == expected


def test_facts_are_those_of_the_time(relisted):
    found = [
        relisted.universe(at(0, day=day)).to_polars().select("multiplier", "tick_size", "observed_at").row(0)
        for day in (4, 9)
    ]
    assert found == [(1.0, 0.1, at(0, day=10)), (1000.0, 0.5, at(0, day=10))]


def test_status_is_that_of_the_time(tmp_path):
    market = market_of(
        tmp_path, life(3, listing_time=2), life(5, listing_time=2, status="halted"), life(7, listing_time=2)
    )
    assert [universe(market, at(0, day=day))[0][0] for day in (2, 4, 5, 6, 7, 9)] == [
        "trading", "trading", "halted", "halted", "trading", "trading",
    ]  # fmt: skip


def test_delisting_that_a_later_list_dates_back_ends_the_listing(tmp_path):
    market = market_of(tmp_path, life(3, listing_time=2), life(9, listing_time=2, delisting_time=6, status="delisted"))
    assert [len(universe(market, at(0, day=day))) for day in (5, 6, 8, 9)] == [1, 0, 0, 0]


def test_instrument_that_vanished_without_a_time_was_listed_until_a_list_lacked_it(tmp_path):
    market = market_of(tmp_path, life(3), life(6, status="delisted"), life(9, status="delisted"))
    assert [len(universe(market, at(0, day=day))) for day in (1, 5, 6, 8)] == [1, 1, 0, 0]


def test_dataset_without_periods_has_the_facts_as_last_seen(tmp_path):
    warehouse = Warehouse(tmp_path)
    row = dict.fromkeys(LISTING.columns) | life(9, listing_time=2, status="halted")
    warehouse.write(LISTING, pl.DataFrame([row], schema=to_polars(LISTING)).to_arrow())
    market = cexkit.connect(tmp_path)
    assert universe(market, at(0, day=3)) == [("halted", at(0, day=2), None, True)]
    assert universe(market, at(0, day=1)) == []


def test_python_and_sql_agree_on_any_history_and_double_no_instrument(tmp_path):
    randomly, log, warehouse = Random(15), PeriodLog(), Warehouse(tmp_path)
    for day in (3, 5, 8, 11):
        rows = [
            life(
                day,
                symbol=f"A{number}",
                listing_time=randomly.choice([None, 1, 4, 7, 9]),
                delisting_time=randomly.choice([None, 2, 6, 10]),
                status=randomly.choice(["trading", "trading", "halted", "pending", "delisted"]),
            )
            for number in range(60)
        ]
        frame = pl.DataFrame([dict.fromkeys(LISTING.columns) | row for row in rows], schema=to_polars(LISTING))
        log.add(frame, at(0, day=day))
    warehouse.write(LISTING, frame.sort("symbol").to_arrow())
    warehouse.write(PERIODS, log.periods().to_arrow())
    market, sizes = cexkit.connect(tmp_path), []
    for hour in (12, 60, 96, 100, 150, 192, 250, 300):
        universe(market, at(hour))
        rows = market.universe(at(hour)).to_polars()
        assert rows["symbol"].is_unique().all()
        sizes.append(rows.height)
    assert 0 < min(sizes) < max(sizes) < 60
