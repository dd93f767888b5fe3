"""Recent rows: runs within a day request what is new and two steps before, and miss no row."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

from cexkit.exchanges.fetcher import Fetcher
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, from_ms, utc
from cexkit.testing import LOOPBACKS, Fault, LoopbackBinance, LoopbackBybit
from cexkit.testing.loopback import emptied, nth
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.store.inventory_entries import Content, Key
from cexkit.warehouse.store.warehouse import Warehouse

START, NOON = "2026-05-10", utc("2026-05-20T12:00:30")
HOUR = timedelta(hours=1)
SETTLEMENTS = {"/v5/market/funding/history", "/api/v5/public/funding-rate-history"}


@pytest.fixture(scope="module")
def truth() -> dict[str, pl.DataFrame]:
    made = simulate(start=START, end="2026-05-24", coins=["BTC"], exchanges=["binance", "bybit"])
    names = ("instruments", "ohlcv_1h", "funding_rates", "open_interest")
    return {name: made.tables[name].filter(pl.col("exchange").is_in(["binance", "bybit"])) for name in names}


def bring(folder, tables, at, *, kind=LoopbackBinance, table="ohlcv_1h", faults=(), **more):
    """Pull as of a time; return the report and the windows of the requests."""
    name = "binance" if kind is LoopbackBinance else "bybit"
    with kind(tables, now=at, faults=faults) as venue:
        with Fetcher(venue.settings) as fetcher:
            more |= {"instrument_type": "perp", "warehouse": folder, "fetcher": fetcher, "now": at}
            report = pull(name, table, "BTCUSDT", START, at, **more)
        found = [seen.request.params for seen in venue.log if {"startTime", "start"} & seen.request.params.keys()]
    return report, found


def rows(folder, table="ohlcv_1h") -> pl.DataFrame:
    return pl.from_arrow(Warehouse(folder).read(TABLES[table]))


def corrected(truth, at, close):
    """Return the tables with another close of the bar at a time."""
    bars = truth["ohlcv_1h"].with_columns(
        close=pl.when(pl.col("timestamp") == at).then(close).otherwise("close"),
        high=pl.when(pl.col("timestamp") == at).then(1e9).otherwise("high"),
    )
    return truth | {"ohlcv_1h": bars}


def test_next_run_requests_the_new_bars_and_two_before(truth, tmp_path):
    bring(tmp_path, truth, NOON)
    for hours in (1, 2, 5):
        at = NOON + hours * HOUR
        report, requests = bring(tmp_path, truth, at)
        (start,) = [utc(at) - _time(one["startTime"]) for one in requests]
        assert start < timedelta(hours=6, minutes=1)
        assert not report.problems
    want = truth["ohlcv_1h"].filter(
        (pl.col("exchange") == "binance") & (pl.col("instrument_type") == "perp")
        & (pl.col("timestamp") < utc("2026-05-20T17:00"))
    )  # fmt: skip
    assert rows(tmp_path).height == want.height


def test_day_later_two_days_are_read_again_and_their_corrections_found(truth, tmp_path):
    at = utc("2026-05-19T03:00")
    bring(tmp_path, truth, NOON)
    after = corrected(truth, at, 1e8)
    bring(tmp_path, after, NOON + 23 * HOUR)
    assert 1e8 not in rows(tmp_path)["close"]
    _, requests = bring(tmp_path, after, NOON + 24 * HOUR)
    assert rows(tmp_path).filter(timestamp=at)["close"].to_list() == [1e8]
    assert min(_time(one["startTime"]) for one in requests) <= NOON - 48 * HOUR
    _, requests = bring(tmp_path, after, NOON + 25 * HOUR)
    assert min(_time(one["startTime"]) for one in requests) > NOON + 20 * HOUR


def test_refresh_reads_everything_again(truth, tmp_path):
    bring(tmp_path, truth, NOON)
    bring(tmp_path, corrected(truth, utc("2026-05-19T03:00"), 1e8), NOON + HOUR, refresh=True)
    assert rows(tmp_path).filter(timestamp=utc("2026-05-19T03:00"))["close"].to_list() == [1e8]


def test_bar_that_the_venue_lacks_is_requested_by_every_run(truth, tmp_path):
    late = utc("2026-05-20T02:00")
    without = truth | {"ohlcv_1h": truth["ohlcv_1h"].filter(pl.col("timestamp") != late)}
    bring(tmp_path, without, NOON)
    bring(tmp_path, without, NOON + 3 * HOUR)
    assert late not in rows(tmp_path)["timestamp"]
    bring(tmp_path, truth, NOON + 6 * HOUR)
    assert late in rows(tmp_path)["timestamp"]


@pytest.mark.parametrize("kind", [LoopbackBinance, LoopbackBybit])
@pytest.mark.parametrize("table", ["ohlcv_1h", "funding_rates"])
@pytest.mark.parametrize("number", [1, 2])
def test_page_that_was_empty_by_mistake_is_made_up_by_the_next_run(truth, tmp_path, kind, table, number):
    """An empty last page of recent rows is not requested again at once, so the next run must not trust it."""
    paths = ["/fapi/v1/klines", "/fapi/v1/fundingRate", "/v5/market/kline", "/v5/market/funding/history"]
    bring(tmp_path, truth, NOON, kind=kind, table=table)
    later = NOON + 17 * HOUR
    bring(tmp_path, truth, later, kind=kind, table=table, faults=[emptied(nth(number, path=path)) for path in paths])
    bring(tmp_path, truth, later + HOUR, kind=kind, table=table)
    name = "binance" if kind is LoopbackBinance else "bybit"
    want = truth[table].filter(pl.col("timestamp") < later, exchange=name, instrument_type="perp")
    have = rows(tmp_path, table)
    assert want.join(have, on=["symbol", "timestamp"], how="anti").is_empty()


def test_clock_that_jumps_back_trusts_no_reading(truth, tmp_path):
    bring(tmp_path, truth, NOON)
    _, requests = bring(tmp_path, truth, NOON - HOUR)
    assert min(_time(one["startTime"]) for one in requests) <= NOON - 48 * HOUR


def test_forgotten_spans_are_no_longer_recent():
    content, key = Content(), Key("perp", "BTCUSDT")
    content.note_recent(key, Window.of("2026-05-18", "2026-05-20"), NOON)
    content.note_recent(key, Window.of("2026-05-19T22:00", "2026-05-20T03:00"), NOON + HOUR)
    (whole,) = content.recent[key]
    assert (str(whole.window.end), whole.read_at) == ("2026-05-20 03:00:00+00:00", NOON)
    content.forget(key, Window.of("2026-05-19", "2026-05-20"))
    assert [one.window.days for one in content.recent[key]] == [1.0, 0.125]


def _time(milliseconds: str):
    return from_ms(int(milliseconds))


@pytest.mark.parametrize("name", ["bybit", "okx"])
def test_settlements_whose_pages_reach_back_take_one_request_a_run(tmp_path, name):
    """Also in hours without a settlement."""
    tables = simulate(start=START, end="2026-05-24", coins=["BTC"], exchanges=[name]).tables
    tables = {each: tables[each] for each in ("instruments", "funding_rates")}
    for hours in (0, 1, 4, 5, 9):
        at = NOON + hours * HOUR
        with LOOPBACKS[name](tables, now=at) as venue, Fetcher(venue.settings) as fetcher:
            words = {"instrument_type": "perp", "warehouse": tmp_path, "fetcher": fetcher, "now": at}
            assert not pull(name, "funding_rates", "BTCUSDT", utc("2026-05-19"), at, **words).problems
            assert sum(seen.request.path in SETTLEMENTS for seen in venue.log) == 1
    want = tables["funding_rates"].filter(
        pl.col("symbol") == "BTCUSDT", pl.col("timestamp").is_between(utc("2026-05-19"), NOON + 9 * HOUR, closed="left")
    )
    assert rows(tmp_path, "funding_rates")["timestamp"].sort().to_list() == want["timestamp"].sort().to_list()


@pytest.mark.parametrize("days", [1, 20])
def test_oldest_row_that_one_response_lacks_is_not_lost(tmp_path, days):
    """The first response leaves out the settlement at the start of the window, and has those before it."""
    tables = simulate(start=START, end="2026-05-24", coins=["BTC"], exchanges=["bybit"]).tables
    first, now = utc("2026-05-19"), utc("2026-05-19T18:00") + days * timedelta(days=1)
    end = utc("2026-05-21")

    def change(reply):
        body = json.loads(reply.body)
        kept = [
            row for row in body["result"]["list"] if from_ms([int(row["fundingRateTimestamp"])])[0].as_py() != first
        ]
        body["result"]["list"] = kept
        return replace(reply, body=json.dumps(body).encode())

    hole = Fault("hole", nth(1, path="/v5/market/funding/history"), change=change)
    frames = {name: tables[name] for name in ("instruments", "funding_rates")}
    for at, faults in ((now, [hole]), (now + timedelta(days=1), [])):
        with LoopbackBybit(frames, now=at, faults=faults) as venue, Fetcher(venue.settings) as fetcher:
            words = {"instrument_type": "perp", "warehouse": tmp_path, "fetcher": fetcher, "now": at}
            pull("bybit", "funding_rates", "BTCUSDT", first, end, **words)
    want = tables["funding_rates"].filter(symbol="BTCUSDT")["timestamp"]
    want = want.filter(want.is_between(first, min(end, now + timedelta(days=1)), closed="left"))
    assert rows(tmp_path, "funding_rates")["timestamp"].sort().to_list() == want.sort().to_list()
