"""Settlements of a whole venue, read at once where that takes fewer requests, and never with less than the truth."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cexkit.exchanges.binance.archive import ARCHIVES
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.http.client import HttpClient
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, utc
from cexkit.schema.render import to_polars
from cexkit.testing import LoopbackBinance
from cexkit.testing.loopback import chance, disordered, doubled, emptied, every, garbled, nth, server_error
from cexkit.warehouse.ingest.bronze import ingest_bronze
from cexkit.warehouse.ingest.instrument_reader import InstrumentReader
from cexkit.warehouse.ingest.listings import requestable
from cexkit.warehouse.ingest.plan import plan
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.ingest.rebuild import rebuild
from cexkit.warehouse.store.warehouse import Warehouse

from ...clock import Clock, reading

FUNDING, PATH = TABLES["funding_rates"], "/fapi/v1/fundingRate"
START, END, NOW = utc("2026-06-10"), utc("2026-06-20"), utc("2026-06-20T00:30")
KEY = ["symbol", "timestamp", "funding_rate"]
STOCKS_LATE = timedelta(milliseconds=3)


@pytest.fixture(autouse=True)
def no_archive(monkeypatch):
    """These days are in the running month of the simulated venue, so that no file holds them."""
    monkeypatch.delitem(ARCHIVES, ("funding_rates", "perp"))


def instrument(base: str, **facts) -> dict:
    names = {"symbol": f"{base}USDT", "venue_symbol": f"{base}USDT", "base": base, "quote": "USDT", "settle": "USDT"}
    usual = {
        "exchange": "binance", "instrument_type": "perp", "multiplier": 1.0, "contract_size": 1.0, "inverse": False,
        "tick_size": 0.1, "lot_size": 0.1, "status": "trading", "observed_at": NOW, "asset_class": "crypto",
        "listing_time": utc("2025-01-01"), "funding_interval_hours": 8.0,
    }  # fmt: skip
    return usual | names | facts


def settlements(one: dict, start=START, end=END) -> list[dict]:
    rows, step = [], timedelta(hours=one["funding_interval_hours"])
    late = timedelta(milliseconds=11) + (STOCKS_LATE if one["asset_class"] == "equity" else timedelta())
    time = max(start, one["listing_time"])
    while time < end:
        own = {name: one[name] for name in ("exchange", "instrument_type", "symbol", "base", "quote")}
        rate = len(rows) * 1e-6 + sum(map(ord, one["base"])) * 1e-7
        rows.append(own | {"timestamp": time, "venue_timestamp": time + late, "funding_rate": rate, "mark_price": 2.0})
        time += step
    return rows


def tables(instruments: list[dict]) -> dict[str, pl.DataFrame]:
    def frame(name, rows):
        return pl.DataFrame(rows, schema=dict(to_polars(TABLES[name])), orient="row")

    rows = [row for one in instruments for row in settlements(one)]
    return {"instruments": frame("instruments", instruments), "funding_rates": frame("funding_rates", rows)}


COINS = [instrument(f"{a}{b}", funding_interval_hours=4.0 if b < "M" else 8.0) for a in "ABCDX" for b in "AFKMRZ"]
STOCKS = [instrument(f"{a}SLA", asset_class="equity") for a in "NT"]
TRUTH = tables([*COINS, *STOCKS])


def bring(venue, folder, start="2026-06-19", end="2026-06-20", now=NOW, **more):
    with reading(venue, Clock()) as fetcher:
        more |= {"warehouse": folder, "fetcher": fetcher, "now": now}
        return pull("binance", "funding_rates", start=start, end=end, **more)


def asked(venue, *, whole: bool) -> int:
    return sum(seen.request.path == PATH and ("symbol" not in seen.request.params) == whole for seen in venue.log)


def stored(folder) -> pl.DataFrame:
    return pl.from_arrow(Warehouse(folder).read(FUNDING)).sort(KEY)


def lost(folder, truth=TRUTH, start="2026-06-19", end="2026-06-20") -> pl.DataFrame:
    """Return the settlements of a span that are in the truth or in Silver, and not in both."""
    inside = pl.col("timestamp").is_between(utc(start), utc(end), closed="left")
    want, have = (frame.filter(inside).select(KEY) for frame in (truth["funding_rates"], stored(folder)))
    return pl.concat([want.join(have, on=KEY, how="anti"), have.join(want, on=KEY, how="anti")])


@pytest.mark.parametrize(("page", "whole", "alone"), [(1000, 4, 0), (60, 6, 0), (30, 12, 0)])
def test_a_day_takes_a_few_requests(tmp_path, page, whole, alone):
    with LoopbackBinance(TRUTH, now=NOW, funding_rows=page) as venue:
        report = bring(venue, tmp_path)
        assert asked(venue, whole=True) <= whole
        assert asked(venue, whole=False) == alone
        assert not report.problems
    assert lost(tmp_path).is_empty()


def test_responses_about_a_whole_venue_are_usable(tmp_path):
    day = Window(utc("2026-06-19"), END)
    with LoopbackBinance(TRUTH, now=NOW) as venue, Fetcher(venue.settings) as fetcher:
        pull("binance", "instruments", warehouse=tmp_path, fetcher=fetcher)
        of = requestable(Warehouse(tmp_path), "binance", FUNDING, day)
        report = ingest_bronze(Warehouse(tmp_path), fetcher, "binance", FUNDING, day, of, now=NOW)
        assert asked(venue, whole=False) == 0
    assert report.usable == report.requests > 0
    assert not report.failed


def test_times_with_more_rows_than_a_page_are_completed_one_by_one(tmp_path):
    with LoopbackBinance(TRUTH, now=NOW, funding_rows=20) as venue:
        report = bring(venue, tmp_path)
        names = {seen.request.params["symbol"] for seen in venue.log if "symbol" in seen.request.params}
        assert not report.problems
    # a page of 00:00 ends behind the coins with D
    assert {"XAUSDT", "XZUSDT", "TSLAUSDT"} <= names
    assert not {name for name in names if name < "CZUSDT"}
    assert lost(tmp_path).is_empty()


def test_rows_read_at_once_are_those_read_one_by_one(tmp_path):
    with LoopbackBinance(TRUTH, now=NOW) as venue:
        bring(venue, tmp_path / "whole")
        assert asked(venue, whole=False) == 0
        alone = [one["symbol"] for one in (*COINS[::9], STOCKS[0])]
        for symbol in alone:
            bring(venue, tmp_path / "alone", symbols=symbol)
        assert asked(venue, whole=True) == 3
    found = stored(tmp_path / "whole")
    assert found.filter(pl.col("symbol").is_in(alone)).equals(stored(tmp_path / "alone"))
    rebuild(Warehouse(tmp_path / "whole"), "binance", [FUNDING])
    assert stored(tmp_path / "whole").equals(found)


@pytest.mark.parametrize("page", [1000, 20])
def test_requests_of_one_instrument_that_all_fail_leave_what_was_whole(tmp_path, page):
    """A kill between the page and the requests per instrument leaves the same: what is doubtful is requested again."""
    fault = server_error(lambda request: "symbol" in request.params)
    with LoopbackBinance(TRUTH, now=NOW, funding_rows=page, faults=[fault]) as venue:
        report = bring(venue, tmp_path)
        missing = set(lost(tmp_path)["symbol"])
        assert {problem.symbol for problem in report.problems} >= missing
    assert bool(missing) == (page == 20)
    with LoopbackBinance(TRUTH, now=NOW, funding_rows=page) as venue:
        assert not bring(venue, tmp_path).problems
    assert lost(tmp_path).is_empty()


def test_run_that_is_killed_behind_the_pages_resumes(tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(self):
        raise Killed

    with LoopbackBinance(TRUTH, now=NOW, funding_rows=20) as venue:
        with monkeypatch.context() as patch:
            patch.setattr(InstrumentReader, "read", killed)
            with pytest.raises(Killed):
                bring(venue, tmp_path)
        before = asked(venue, whole=False)
        assert before == 0
        assert not bring(venue, tmp_path).problems
        assert asked(venue, whole=False) > 0
    assert lost(tmp_path).is_empty()


def test_instruments_that_were_not_listed_throughout_are_requested_alone(tmp_path):
    young = instrument("YY", listing_time=utc("2026-06-19T11:00"), funding_interval_hours=1.0)
    truth = tables([*COINS, young])
    with LoopbackBinance(truth, now=NOW) as venue:
        assert not bring(venue, tmp_path).problems
        names = {seen.request.params["symbol"] for seen in venue.log if "symbol" in seen.request.params}
        assert names == {"YYUSDT"}
    assert lost(tmp_path, truth).is_empty()


def test_name_that_no_list_shows_is_reported_and_its_rows_wait(tmp_path):
    hidden = instrument("HIDDEN", status="delisted")
    with LoopbackBinance(tables([*COINS, hidden]), now=NOW) as venue:
        (problem,) = bring(venue, tmp_path).problems
        assert "no instrument 'HIDDENUSDT' is listed: its rows wait until it is" in problem.message
        assert asked(venue, whole=False) == 0
    assert "HIDDENUSDT" not in set(stored(tmp_path)["symbol"])
    with LoopbackBinance(tables([*COINS, hidden | {"status": "trading"}]), now=NOW) as venue:
        report = bring(venue, tmp_path, symbols="AAUSDT")
        assert not [problem for problem in report.problems if "HIDDEN" in problem.message]
    assert stored(tmp_path).filter(symbol="HIDDENUSDT").height == 3


def test_only_the_rows_of_requested_instruments_are_kept(tmp_path):
    chosen = [one["symbol"] for one in COINS[3:15]]
    with LoopbackBinance(TRUTH, now=NOW) as venue:
        assert not bring(venue, tmp_path, symbols=chosen).problems
        assert asked(venue, whole=False) == 0
    assert set(stored(tmp_path)["symbol"]) == set(chosen)
    rows = TRUTH["funding_rates"].filter(pl.col("symbol").is_in(chosen))
    assert lost(tmp_path, {"funding_rates": rows}).is_empty()


def test_planner_takes_whichever_needs_fewer_requests(tmp_path):
    with LoopbackBinance(TRUTH, now=NOW) as venue, Fetcher(venue.settings) as fetcher:
        pull("binance", "instruments", warehouse=tmp_path, fetcher=fetcher)
        day, year = Window(utc("2026-06-19"), END), Window(utc("2026-01-01"), END)

        def planned(window, **more):
            return plan(tmp_path, "binance", [FUNDING], window, fetcher=fetcher, now=NOW, **more)

        assert (planned(day).requests, len(planned(day).whole)) == (2, 1)
        assert (planned(day, symbols="AAUSDT").requests, planned(day, symbols="AAUSDT").whole) == (1, ())
        assert planned(year, symbols=["AAUSDT", "AFUSDT"]).whole == ()
        assert "of all instruments at once" in str(planned(day))
        assert planned(day).seconds < planned(day, symbols=[one["symbol"] for one in COINS[:2]]).seconds * 2


def test_bad_row_costs_only_the_requests_of_its_instrument(tmp_path, monkeypatch):
    get = HttpClient.get

    def spoiled(self, url, query, **more):
        response = get(self, url, query, **more)
        if not url.endswith(PATH) or "symbol" in query:
            return response
        rows = json.loads(response.body)
        for row in rows:
            if row["symbol"] == "CKUSDT":
                row["fundingRate"] = ""
        return replace(response, body=json.dumps(rows).encode())

    monkeypatch.setattr(HttpClient, "get", spoiled)
    with LoopbackBinance(TRUTH, now=NOW) as venue:
        report = bring(venue, tmp_path)
        names = {seen.request.params["symbol"] for seen in venue.log if "symbol" in seen.request.params}
        assert names == {"CKUSDT"}
    assert any("quarantined" in problem.message for problem in report.problems)
    assert lost(tmp_path).is_empty()


@pytest.mark.parametrize(
    "fault",
    [emptied(nth(2, path=PATH)), disordered(every(2, path=PATH)), doubled(every(2, path=PATH)),
     garbled(every(2, path=PATH)), garbled(lambda request: request.path == PATH and "symbol" not in request.params)],
    ids=["emptied", "disordered", "doubled", "garbled", "all garbled"],
)  # fmt: skip
@pytest.mark.parametrize("page", [1000, 20])
def test_faulty_pages_lose_nothing(tmp_path, fault, page):
    with LoopbackBinance(TRUTH, now=NOW, funding_rows=page, faults=[fault]) as venue:
        report = bring(venue, tmp_path)
    assert {problem.symbol for problem in report.problems} >= set(lost(tmp_path)["symbol"])
    with LoopbackBinance(TRUTH, now=NOW, funding_rows=page) as venue:
        bring(venue, tmp_path)
    assert lost(tmp_path).is_empty()


@settings(max_examples=6, deadline=None)
@given(
    page=st.integers(3, 70),
    kinds=st.lists(st.sampled_from([1.0, 2.0, 4.0, 8.0]), min_size=3, max_size=24),
    faults=st.sampled_from([None, emptied, disordered, doubled]),
    seed=st.integers(0, 99),
)
def test_any_venue_is_read_whole(tmp_path_factory, page, kinds, faults, seed):
    folder = tmp_path_factory.mktemp("any")
    truth = tables([instrument(f"Q{n:02d}X", funding_interval_hours=hours) for n, hours in enumerate(kinds)])
    faulty = [faults(chance(0.2, seed, path=PATH))] if faults else []
    with LoopbackBinance(truth, now=NOW, funding_rows=page, faults=faulty) as venue:
        bring(venue, folder)
        bring(venue, folder, now=NOW + timedelta(days=4), refresh=bool(seed % 2))
    assert lost(folder, truth).is_empty()
