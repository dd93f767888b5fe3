"""Funding of real history: every settlement, what was paid in each year, and the intervals of 539 perpetuals."""

from __future__ import annotations

import math
from collections import defaultdict

import polars as pl
import pytest

import cexkit
from cexkit.schema import INSTRUMENT_KEYS, TABLES
from cexkit.schema.intervals import utc
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.store.warehouse import Warehouse

from .intervals import settlement_intervals
from .replay import list_instruments, read_history, serve

YEAR = {"start": "2025-03-08", "end": "2026-03-08"}


def test_sums_of_each_year_equal_plain_sums(history):
    plain: dict[tuple, list[float]] = defaultdict(list)
    for row in history.served["funding_rates"].iter_rows(named=True):
        plain[*(row[name] for name in INSTRUMENT_KEYS), row["timestamp"].year].append(row["funding_rate"])
    assert len(plain) >= 30
    years = {key[-1] for key in plain}
    for year in years:
        rows = history.market.table("funding_rates", start=f"{year}-01-01", end=f"{year + 1}-01-01").to_pandas()
        rows["paid"] = rows.crypto.cumulative_funding()
        last = rows.loc[rows.groupby(list(INSTRUMENT_KEYS)).timestamp.idxmax()]
        paid = {(*keys, year): total for *keys, total in last[[*INSTRUMENT_KEYS, "paid"]].itertuples(index=False)}
        wanted = {key: math.fsum(rates) for key, rates in plain.items() if key[-1] == year}
        assert paid == pytest.approx(wanted, abs=1e-12, rel=0)


@pytest.mark.parametrize(("exchange", "percent"), [("binance", 4.41), ("bybit", 4.25)])
def test_bitcoin_paid_what_is_known_of_the_year(history, exchange, percent):
    paid = cexkit.Token("BTCUSDT", exchange=exchange, instrument_type="perp", market=history.market)
    assert paid.funding_rate(**YEAR).funding_rate.sum() * 100 == pytest.approx(percent, abs=0.005)
    asked = history.market.query(
        "funding_across_venues", base="BTC", days=365, until="2026-03-08", return_type="polars"
    )
    row = asked.filter(exchange=exchange, symbol="BTCUSDT").row(0, named=True)
    assert row["funding_sum"] * 100 == pytest.approx(percent, abs=0.005)
    assert row["unknown_interval"] == 0


def test_intervals_are_those_of_the_contracts(history):
    hype = history.stored("funding_rates").filter(base="HYPE").filter(pl.col("timestamp") >= utc("2025-12-04"))
    found = hype.group_by("exchange").agg(pl.col("funding_interval_hours").unique()).sort("exchange").rows()
    assert found == [("binance", [4.0]), ("bybit", [8.0]), ("okx", [4.0])]


@pytest.fixture(scope="module")
def perps(folder) -> pl.DataFrame:
    return read_history(folder, "market_funding_binance_2026q1", "funding_rates")


@pytest.fixture(scope="module")
def independent(perps) -> pl.DataFrame:
    """The settlements with the intervals of :mod:`intervals`."""
    parts = []
    for rows in perps.sort("timestamp").partition_by("symbol"):
        hours = settlement_intervals(rows["timestamp"].dt.epoch("ms").to_list())
        parts.append(rows.select("symbol", "timestamp", hours=pl.Series(hours, dtype=pl.Float64)))
    return pl.concat(parts).sort("symbol", "timestamp")


def test_intervals_of_539_perps_equal_an_independent_implementation(perps, independent):
    assert perps["symbol"].n_unique() == 539
    changed = independent.group_by("symbol").agg(pl.col("hours").drop_nulls().n_unique()).filter(pl.col("hours") > 1)
    assert changed.height >= 20
    for frame in (perps, perps.drop("funding_interval_hours").sample(fraction=1.0, shuffle=True, seed=3)):
        derived = frame.crypto.funding_interval().sort("symbol", "timestamp")
        pairs = zip(derived["funding_interval_hours"], independent["hours"], strict=True)
        differ = [place for place, (found, wanted) in enumerate(pairs) if found != wanted]
        assert not differ, independent[differ[:5]].rows()
    assert 0 < independent["hours"].null_count() < 30


def test_changed_intervals_reach_silver(perps, independent, tmp_path, pytestconfig):
    """The perpetuals that change their interval and some others, or all, from the wire to the client."""
    distances = perps.sort("timestamp").group_by("symbol").agg(pl.col("timestamp").diff().drop_nulls().n_unique())
    names = distances.filter(pl.col("timestamp") > 1)["symbol"].sort()
    assert len(names) == 26
    others = perps["symbol"].unique().sort().gather_every(20)
    chosen = perps if pytestconfig.getoption("--long") else perps.filter(pl.col("symbol").is_in([*names, *others]))
    span = chosen["timestamp"].min(), chosen["timestamp"].max() + pl.Series([1]).cast(pl.Duration("ms"))[0]
    warehouse = Warehouse(tmp_path)
    with serve({"funding_rates": chosen}, list_instruments([chosen]), "2026-03-20T12:00") as fetcher:
        report = pull("binance", "funding_rates", None, *span, warehouse=warehouse, fetcher=fetcher)
    assert (report.problems, report.quarantined) == ((), 0)
    rows = pl.from_arrow(warehouse.read(TABLES["funding_rates"])).sort("symbol", "timestamp")
    wanted = independent.join(chosen.select("symbol").unique(), on="symbol", how="semi")
    assert rows.select("symbol", "timestamp").equals(wanted.select("symbol", "timestamp"))
    assert rows["venue_timestamp"].equals(chosen.sort("symbol", "timestamp")["venue_timestamp"])
    assert rows["funding_rate"].equals(chosen.sort("symbol", "timestamp")["funding_rate"])
    derived = rows.drop("funding_interval_hours").crypto.funding_interval()
    assert derived["funding_interval_hours"].equals(wanted["hours"].alias("funding_interval_hours"))
    # Silver stores what it is sure of, and nothing else.
    known = rows.with_columns(wanted["hours"]).filter(pl.col("funding_interval_hours").is_not_null())
    assert known.filter(pl.col("funding_interval_hours") != pl.col("hours")).is_empty()
    assert known.height > 0.99 * rows.height


def test_rates_at_the_cap_are_no_percent(perps):
    assert perps["funding_rate"].min() == -0.02
    assert perps.filter(pl.col("funding_rate") == -0.02).height == 21
    assert perps.with_columns(funding_interval_hours=4.0).crypto.funding_apr().min() == pytest.approx(-0.02 * 6 * 365)
