"""Universe of a time: every life of a name, with the facts that held then; the same in Python and in SQL."""

from __future__ import annotations

import warnings
from datetime import datetime
from random import Random
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import cexkit
from cexkit.errors import ExcludedInstrumentsWarning
from cexkit.schema import INSTRUMENT_KEYS as KEYS
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


def test_class_is_the_one_as_last_seen(tmp_path):
    """A venue that begins to state classes does not make a stock a coin of the time before."""
    market = market_of(tmp_path, life(3, listing_time=2), life(9, listing_time=2, asset_class="equity"))
    for ask in (
        lambda moment: market.universe(moment).to_polars(),
        lambda moment: market.query("universe", as_of=moment),
    ):
        with pytest.warns(ExcludedInstrumentsWarning, match=r"leaves out 1 instrument .*\(1 equity\)"):
            assert len(ask(at(0, day=5))) == 0


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


#: Facts of which a random list shows one each.
RANDOM_FACTS = {
    "listing_time": [None, at(0, day=1), at(0, day=4), at(5, day=7), at(0, day=9), at(0, day=25)],
    "delisting_time": [None, None, at(0, day=2), at(0, day=6), at(7, day=8), at(0, day=10)],
    "expiry": [None, None, None, at(8, day=6), at(0, day=28)],
    "status": ["trading", "trading", "halted", "pending", "delisted"],
    "asset_class": [None, "crypto", "equity", "never seen"],
    "base": ["A", "B"],
    "exchange": ["binance", "okx"],
    "instrument_type": ["perp", "future"],
}
#: Facts that are a part of the name.
NAMED = ("exchange", "instrument_type")


def random_list(randomly: Random, day: int) -> pl.DataFrame:
    """List 60 names on a day of January 2024, each with random facts; a name has the same type on all days."""
    rows = []
    for number in range(60):
        facts = {name: randomly.choice(values) for name, values in RANDOM_FACTS.items()}
        facts |= {name: RANDOM_FACTS[name][number // (place + 1) % 2] for place, name in enumerate(NAMED)}
        rows.append(dict.fromkeys(LISTING.columns) | life(day, symbol=f"A{number:02}") | facts)
    return pl.DataFrame(rows, schema=to_polars(LISTING))


def logged(randomly: Random) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return a listing and periods as lists of four days give them."""
    log = PeriodLog()
    for day in (3, 5, 8, 11):
        log.add(frame := random_list(randomly, day), at(0, day=day))
    return frame, log.periods()


def unrelated(randomly: Random) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return a listing and periods that contradict each other; some names have no period."""
    parts = [random_list(randomly, day).sample(40, seed=day) for day in (2, 4, 6, 9)]
    rows = pl.concat(parts).with_columns(valid_from="observed_at").sort("symbol", "valid_from")
    ends = pl.col("valid_from").shift(-1).over("symbol")
    return random_list(randomly, 11), rows.with_columns(valid_to=ends).select(PERIODS.columns)


@pytest.mark.parametrize("history", [logged, unrelated])
@pytest.mark.parametrize("seed", [15, 16, 17])
def test_python_and_sql_agree_on_any_history_and_double_no_instrument(tmp_path, history, seed):
    frame, periods = history(Random(seed))
    warehouse = Warehouse(tmp_path)
    warehouse.write(LISTING, frame.sort(LISTING.key).to_arrow())
    warehouse.write(PERIODS, periods.sort(PERIODS.key).to_arrow())
    market, sizes = cexkit.connect(tmp_path), []
    views = [{}, {"asset_class": None}, {"asset_class": "equity", "exchange": "okx"}, {"instrument_type": "perp"}]
    moments = [at(0, day=day) for day in (3, 4, 6, 8, 10, 20)] + [at(8, day=6), at(5, day=7)]
    for number, moment in enumerate(moments):
        view = views[number % len(views)]
        with warnings.catch_warnings(record=True, action="always") as caught:
            rows = market.universe(moment, **view).to_polars()
            asked = market.query("universe", as_of=moment, return_type="polars", **view)
        assert_frame_equal(asked, rows.select(asked.columns))
        assert rows.select(KEYS).is_unique().all()
        said = [str(one.message).partition(" leaves out ")[2] for one in caught]
        assert said[::2] == said[1::2]
        sizes.append(rows.height)
    assert 0 < min(sizes) < max(sizes) <= 60
