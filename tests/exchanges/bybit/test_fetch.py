"""Bybit over real sockets: what is fetched is the truth, and ignoring a quirk would show."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st

from cexkit.errors import (
    AmbiguousInstrumentError,
    BlockedError,
    NotOfferedError,
    PayloadError,
    QuarantinedRowsWarning,
    RateLimitedError,
    UnknownNameError,
    VenueError,
)
from cexkit.exchanges.fetcher import Fetcher
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, to_ms, utc
from cexkit.schema.render import to_polars
from cexkit.testing import Fault, LoopbackBybit, chance, every, garbled, nth, reset, server_error, truncated
from cexkit.testing.bybit import code, shut_out, wrong_country
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.store.warehouse import Warehouse

from ...clock import Clock
from ...lengths import examples
from ...problems import failures

START = utc("2024-01-01")
HOUR = timedelta(hours=1)
LATER = utc("2025-01-01")
KLINE, FUNDING, OI, LIST = (
    f"/v5/market/{name}" for name in ("kline", "funding/history", "open-interest", "instruments-info")
)


def listed(kind, symbol, venue_symbol=None, base="BTC", **terms):
    row = dict.fromkeys(TABLES["instruments"].columns) | {
        "exchange": "bybit", "instrument_type": kind, "symbol": symbol, "venue_symbol": venue_symbol or symbol,
        "base": base, "quote": "USDT", "settle": "USDT", "multiplier": 1.0, "contract_size": 1.0, "inverse": False,
        "tick_size": 0.1, "lot_size": 0.001, "status": "trading", "observed_at": LATER,
        "listing_time": None if kind == "spot" else utc("2023-01-01"),
        "funding_interval_hours": 8.0 if kind == "perp" else None,
    }  # fmt: skip
    return row | terms


GONE = utc("2024-01-20T09:00")
LISTED = [
    listed("spot", "BTCUSDT"),
    listed("perp", "BTCUSDT"),
    listed("perp", "BTCUSDC", "BTCPERP", quote="USDC", settle="USDC", funding_interval_hours=1.0),
    listed("perp", "SHIB1000USDT", base="SHIB", multiplier=1000.0, funding_interval_hours=4.0),
    listed("perp", "OLDUSDT", base="OLD", status="delisted", delisting_time=GONE),
    listed("future", "BTCUSDT-20250328", "BTCUSDT-28MAR25", expiry=utc("2025-03-28T08:00"),
           delisting_time=utc("2025-03-28T08:00")),
]  # fmt: skip
INSTRUMENTS = pl.DataFrame(LISTED, schema=to_polars(TABLES["instruments"]))


def rows_of(table, times, symbol="BTCUSDT", kind="perp"):
    """Rows at these times, every value another one."""
    schema = to_polars(TABLES[table])
    row = next(row for row in LISTED if (row["instrument_type"], row["symbol"]) == (kind, symbol))
    made = {"timestamp": times}
    for place, name in enumerate(("low", "open", "close", "high", "volume_base", "volume_quote")):
        made[name] = [1000.0 * place + i + 0.1 for i, _ in enumerate(times)]
    made["funding_rate"] = [(i + 1) / 1e6 for i, _ in enumerate(times)]
    made["open_interest_base"] = [1000.5 + i for i, _ in enumerate(times)]
    names = ("exchange", "instrument_type", "symbol", "base", "quote", "multiplier")
    identity = {name: [row[name]] * len(times) for name in names}
    columns = identity | {name: values for name, values in made.items() if name in schema}
    return pl.DataFrame({name: columns.get(name, [None] * len(times)) for name in schema}, schema=schema)


def hours(count, step=1):
    return [START + step * i * HOUR for i in range(count)]


PRICES = ("open", "high", "low", "close")
#: Settlements 8 hours apart, then 4, then 1: a window sized for 8 hours would lose some.
CHANGING = hours(100, 8) + [START + (800 + 4 * i) * HOUR for i in range(100)]
CHANGING += [START + (1200 + i) * HOUR for i in range(600)]
TRUTH = {
    "instruments": INSTRUMENTS,
    "ohlcv_1h": pl.concat(
        [
            rows_of("ohlcv_1h", hours(2500)),
            rows_of("ohlcv_1h", hours(50), kind="spot").with_columns(pl.lit(7.0).alias(name) for name in PRICES),
            rows_of("ohlcv_1h", hours(457), "OLDUSDT"),
        ]
    ),
    "funding_rates": pl.concat([rows_of("funding_rates", CHANGING), rows_of("funding_rates", hours(90), "BTCUSDC")]),
    "open_interest": rows_of("open_interest", hours(900)),
}


@pytest.fixture
def venue():
    with LoopbackBybit(TRUTH, now=LATER) as loopback:
        yield loopback


@pytest.fixture
def fetcher(venue):
    with Fetcher(venue.settings) as reader:
        yield reader


def same(fetched, expected):
    """Equal in all that the venue says."""
    found = pl.from_arrow(fetched).drop("venue_timestamp", strict=False)
    assert found.equals(expected.drop("venue_timestamp", strict=False))


def within(table, start, end, symbol="BTCUSDT", kind="perp"):
    times = pl.col("timestamp")
    return TRUTH[table].filter(times >= start, times < end, symbol=symbol, instrument_type=kind)


def moved(time, to, path=FUNDING):
    """A fault by which all pages state another time of one settlement."""
    field = '"fundingRateTimestamp":"{}"'

    def change(reply):
        return replace(reply, body=reply.body.replace(*(field.format(to_ms(each)).encode() for each in (time, to))))

    return Fault("moved", every(1, path=path), change)


def asked(venue, path):
    return [entry.request.params for entry in venue.log if entry.request.path == path]


class TestOneWrongTime:
    """Pages lead to the next one by their last row, so that one wrong time could skip years."""

    @pytest.mark.parametrize("place", [300, 500, 700, 798])
    @pytest.mark.parametrize("to", [CHANGING[3] + HOUR, CHANGING[150] + HOUR])
    def test_wrong_time_costs_one_settlement(self, place, to):
        faults = [moved(CHANGING[place], to)]
        with (
            LoopbackBybit(TRUTH, now=LATER, faults=faults) as venue,
            Fetcher(venue.settings) as fetcher,
            pytest.warns(QuarantinedRowsWarning, match="is not between the times of the rows around it"),
        ):
            rows = fetcher.fetch("bybit", "funding_rates", "BTCUSDT", START, LATER)
        assert rows["timestamp"].to_pylist() == [time for time in CHANGING if time != CHANGING[place]]

    @pytest.mark.parametrize("place", [200, 400, 600])
    def test_wrong_time_of_the_last_row_of_a_page_skips_nothing(self, place):
        faults = [moved(CHANGING[place], CHANGING[3] + HOUR)]
        with (
            LoopbackBybit(TRUTH, now=LATER, faults=faults) as venue,
            Fetcher(venue.settings) as fetcher,
            pytest.warns(QuarantinedRowsWarning),
        ):
            rows = fetcher.fetch("bybit", "funding_rates", "BTCUSDT", START, LATER)
        assert set(rows["timestamp"].to_pylist()) >= {time for time in CHANGING if time != CHANGING[place]}


class TestTheTruthComesBack:
    @pytest.mark.parametrize("table", ["ohlcv_1h", "funding_rates", "open_interest"])
    @pytest.mark.parametrize("most", [None, 7])
    def test_bit_for_bit(self, table, most):
        with LoopbackBybit(TRUTH, now=LATER, page_rows=most) as venue, Fetcher(venue.settings) as fetcher:
            ends = (START + 5 * HOUR, START + 1900 * HOUR)
            rows = fetcher.fetch("bybit", table, "BTCUSDT", *ends, instrument_type="perp")
        same(rows, within(table, *ends))

    def test_bars_without_gaps_need_no_request_more(self, venue, fetcher):
        fetcher.fetch("bybit", "ohlcv_1h", "BTCUSDT", START, START + 2500 * HOUR, instrument_type="perp")
        assert len(asked(venue, KLINE)) == 3

    def test_open_interest_without_gaps_needs_no_request_more(self, venue, fetcher):
        fetcher.fetch("bybit", "open_interest", "BTCUSDT", START, START + 900 * HOUR)
        assert len(asked(venue, OI)) == 5

    def test_changing_intervals_lose_no_settlement(self, venue, fetcher):
        rows = fetcher.fetch("bybit", "funding_rates", "BTCUSDT", START, LATER)
        assert rows["timestamp"].to_pylist() == CHANGING
        assert len(asked(venue, FUNDING)) == 4
        assert all("startTime" not in params for params in asked(venue, FUNDING))

    def test_open_interest_is_of_one_side_with_every_row_at_its_hour(self, fetcher):
        rows = fetcher.fetch("bybit", "open_interest", "BTCUSDT", START, START + 900 * HOUR)
        assert rows["timestamp"].to_pylist() == hours(900)
        assert rows["open_interest_base"][0].as_py() == 1000.5

    def test_spot_and_perp_are_not_confused(self, fetcher):
        with pytest.raises(AmbiguousInstrumentError):
            fetcher.fetch("bybit", "ohlcv_1h", "BTCUSDT", START, START + HOUR)
        (spot,) = fetcher.fetch("bybit", "ohlcv_1h", "BTCUSDT", START, START + HOUR, instrument_type="spot").to_pylist()
        assert spot["close"] == 7.0

    @pytest.mark.parametrize("name", ["BTCUSDC", "BTCPERP"])
    def test_usdc_perpetuals(self, fetcher, name):
        assert fetcher.fetch("bybit", "funding_rates", name, START, LATER).num_rows == 90

    def test_the_running_bar_is_left_out_and_comes_when_it_is_over(self, venue, fetcher):
        venue.now = START + 10 * HOUR + timedelta(minutes=30)
        args = ("bybit", "ohlcv_1h", "BTCUSDT", START, START + 20 * HOUR)
        assert fetcher.fetch(*args, instrument_type="perp").num_rows == 10
        venue.now = START + 11 * HOUR + timedelta(seconds=1)
        same(fetcher.fetch(*args, instrument_type="perp"), within("ohlcv_1h", START, START + 11 * HOUR))

    def test_a_page_of_the_running_bar_alone_is_not_the_end(self):
        now = START + 10 * HOUR + timedelta(minutes=30)
        with LoopbackBybit(TRUTH, now=now, page_rows=1) as venue, Fetcher(venue.settings) as fetcher:
            rows = fetcher.fetch("bybit", "ohlcv_1h", "BTCUSDT", START, START + 20 * HOUR, instrument_type="perp")
        assert rows.num_rows == 10

    def test_liquidations_are_not_offered(self, fetcher):
        with pytest.raises(NotOfferedError, match="live stream"):
            fetcher.fetch("bybit", "liquidations", "BTCUSDT", START)


class TestInstruments:
    @pytest.mark.parametrize("most", [None, 1])
    def test_as_the_feed_has_them_closed_ones_too(self, most):
        with LoopbackBybit(TRUTH, now=LATER, page_rows=most) as venue, Fetcher(venue.settings) as fetcher:
            listed = pl.from_arrow(fetcher.instruments("bybit"))
        assert listed.equals(INSTRUMENTS.sort(TABLES["instruments"].key))

    def test_a_symbol_on_a_later_page_is_found(self):
        with LoopbackBybit(TRUTH, now=LATER, page_rows=1) as venue, Fetcher(venue.settings) as fetcher:
            assert fetcher.resolve("bybit", "funding_rates", "SHIB1000USDT").base == "SHIB"

    def test_a_closed_one_is_looked_for_only_when_it_is_asked_for(self, venue, fetcher):
        fetcher.resolve("bybit", "funding_rates", "BTCUSDT")
        assert [params.get("status") for params in asked(venue, LIST)] == [None]
        rows = fetcher.fetch("bybit", "ohlcv_1h", "OLDUSDT", START, LATER, instrument_type="perp")
        assert rows["timestamp"][-1].as_py() == START + 456 * HOUR
        assert "Closed" in [params.get("status") for params in asked(venue, LIST)]
        count = len(asked(venue, LIST))
        fetcher.resolve("bybit", "funding_rates", "OLDUSDT")
        assert len(asked(venue, LIST)) == count

    def test_a_list_shifting_between_pages_gives_each_instrument_once(self):
        ticks = iter(range(1000))
        now = lambda: LATER + timedelta(seconds=next(ticks))  # noqa: E731
        overlapping = pl.concat([INSTRUMENTS.head(2), INSTRUMENTS[1:]])
        with (
            LoopbackBybit(TRUTH | {"instruments": overlapping}, now=now, page_rows=1) as venue,
            Fetcher(venue.settings) as fetcher,
        ):
            listed = fetcher.instruments("bybit", "perp")
        assert sorted(listed["symbol"].to_pylist()) == ["BTCUSDC", "BTCUSDT", "OLDUSDT", "SHIB1000USDT"]

    def test_an_unknown_symbol(self, fetcher):
        with pytest.raises(UnknownNameError, match="did you mean 'BTCUSDT'"):
            fetcher.resolve("bybit", "funding_rates", "BTCUSDTT")

    def test_a_closed_list_that_is_not_offered_does_not_hide_the_others(self, venue, fetcher):
        venue.faults = (code(lambda r: r.params.get("status") == "Closed", 10001, "params error: status"),)
        assert fetcher.resolve("bybit", "funding_rates", "BTCUSDT").base == "BTC"
        with pytest.raises(VenueError, match="params error: status"):
            fetcher.instruments("bybit")


class TestFaults:
    @pytest.mark.parametrize(
        "fault",
        [
            server_error(chance(0.3, seed=5)),
            truncated(chance(0.3, seed=6)),
            reset(chance(0.3, seed=7)),
            code(every(3), 10016, "Internal System Error."),
            code(every(3), 10006, "Too many visits."),
            code(every(4), 10018, "Exceeded the IP Rate Limit."),
        ],
        ids=lambda fault: fault.name,
    )
    def test_the_table_is_the_truth_all_the_same(self, fault):
        clock = Clock()
        with (
            LoopbackBybit(TRUTH, now=LATER, faults=[fault], page_rows=60) as venue,
            Fetcher(venue.settings, clock=clock, sleep=clock.sleep) as fetcher,
        ):
            rows = fetcher.fetch("bybit", "open_interest", "BTCUSDT", START, LATER)
            assert any(entry.fault for entry in venue.log)
        same(rows, TRUTH["open_interest"])

    def test_a_ban_is_not_hammered(self):
        clock = Clock()
        with (
            LoopbackBybit(TRUTH, now=LATER, faults=[shut_out(nth(1))]) as venue,
            Fetcher(venue.settings, clock=clock, sleep=clock.sleep) as fetcher,
        ):
            for _ in range(3):
                with pytest.raises(RateLimitedError) as caught:
                    fetcher.instruments("bybit")
                assert caught.value.retry_after == pytest.approx(600)
            assert len(venue.log) == 1
            clock.sleep(601)
            assert fetcher.instruments("bybit").num_rows == len(LISTED)

    def test_a_geoblock_is_no_ban(self):
        faults = [wrong_country(nth(1))]
        with LoopbackBybit(TRUTH, now=LATER, faults=faults) as venue, Fetcher(venue.settings) as fetcher:
            with pytest.raises(BlockedError, match="block access from your country"):
                fetcher.instruments("bybit")
            assert fetcher.instruments("bybit").num_rows == len(LISTED)

    def test_the_limit_is_kept_and_the_reset_of_the_headers_waited_for(self):
        clock = Clock()
        with (
            LoopbackBybit(TRUTH, now=LATER, limit=40, page_rows=5, clock=clock) as venue,
            Fetcher(venue.settings, clock=clock, sleep=clock.sleep) as fetcher,
        ):
            rows = fetcher.fetch("bybit", "open_interest", "BTCUSDT", START, LATER)
            assert len(venue.log) > 180
            # the headers tell of a limit narrower than the documented one: little is refused
            assert asked_again(venue) <= len(venue.log) // 40 + 1
            assert clock.seconds > 15
        same(rows, TRUTH["open_interest"])

    def test_a_malformed_page_costs_its_span(self):
        faults = [garbled(nth(2, 3, 4, 5, 6, path=KLINE))]
        with LoopbackBybit(TRUTH, now=LATER, faults=faults) as venue, Fetcher(venue.settings) as fetcher:
            instrument = fetcher.resolve("bybit", "ohlcv_1h", "BTCUSDT", "perp")
            pages = list(fetcher.pages("bybit", "ohlcv_1h", instrument, Window(START, START + 2500 * HOUR)))
        assert [page.error is None for page in pages] == [True, False, True]
        assert pages[1].skipped == Window(START + 500 * HOUR, START + 1500 * HOUR)
        assert sum(page.table.num_rows for page in pages if page.table is not None) == 1500

    def test_fetch_raises_rather_than_leaves_out(self):
        with (
            LoopbackBybit(TRUTH, now=LATER, faults=[garbled(nth(2, 3, 4, 5, 6, path=OI))]) as venue,
            Fetcher(venue.settings) as fetcher,
            pytest.raises(PayloadError, match=r"v5\.open-interest"),
        ):
            fetcher.fetch("bybit", "open_interest", "BTCUSDT", START, LATER)


def asked_again(venue):
    """Number of requests that repeat the one before, as after a refusal."""
    return sum(before.request.params == after.request.params for before, after in pairwise(venue.log))


@st.composite
def histories(draw):
    """Gappy histories with a page size and a window that need not fit them."""
    table = draw(st.sampled_from(["ohlcv_1h", "ohlcv_1d", "ohlcv_1m", "mark_1h", "funding_rates", "open_interest"]))
    step = TABLES[table].bar or HOUR
    slots = draw(st.lists(st.integers(0, 120), unique=True, max_size=60).map(sorted))
    off = st.timedeltas(timedelta(0), 3 * step)
    start = START + draw(st.integers(-3, 60)) * step + draw(off)
    end = start + draw(st.integers(0, 120)) * step + draw(off)
    now = START + draw(st.integers(1, 150)) * step + draw(off)
    return table, [START + slot * step for slot in slots], Window(start, end), now, draw(st.integers(1, 25))


class TestAnyHistory:
    @tries(max_examples=examples(25, 200), deadline=None)
    @given(histories())
    def test_fetched_is_the_truth(self, history):
        table, times, window, now, limit = history
        rows, now = rows_of(table, times), now.replace(microsecond=0)
        with (
            LoopbackBybit({"instruments": INSTRUMENTS, table: rows}, now=now, page_rows=limit) as venue,
            Fetcher(venue.settings) as fetcher,
        ):
            fetched = fetcher.fetch("bybit", table, "BTCUSDT", window.start, window.end, instrument_type="perp")
        time = pl.col("timestamp")
        snapshot = table in ("funding_rates", "open_interest")
        over = time <= now if snapshot else time + TABLES[table].bar + timedelta(seconds=1) <= now
        same(fetched, rows.filter(over, time >= window.start, time < window.end))


class TestSimulatedMarket:
    def test_it_is_served_and_read_back_whole(self):
        start, end = "2026-06-01", "2026-06-03"
        market = simulate(start=start, end=end, coins=["BTC", "PEPE"], exchanges=["bybit"])
        listings = market.tables["instruments"].rows(named=True)
        tables = ("ohlcv_1m", "ohlcv_1h", "ohlcv_1d", "mark_1h", "index_1h", "funding_rates", "open_interest")
        with LoopbackBybit(market.tables, now=f"{end}T00:00:01") as venue, Fetcher(venue.settings) as fetcher:
            for table in tables:
                for row in listings:
                    kind, symbol = row["instrument_type"], row["symbol"]
                    expected = market.tables[table].filter(instrument_type=kind, symbol=symbol)
                    if kind not in TABLES[table].instrument_types:
                        continue
                    rows = pl.from_arrow(fetcher.fetch("bybit", table, symbol, start, end, instrument_type=kind))
                    # what the venue does not say is not made up
                    said = [name for name in rows.columns if rows[name].null_count() == 0 and name != "venue_timestamp"]
                    assert expected.height > 0
                    assert rows.select(said).equals(expected.select(said))


class TestSilver:
    """A page of a list is not the list: what is on no page of a whole list is gone, and nothing else."""

    def listed(self, warehouse):
        rows = pl.from_arrow(warehouse.read(TABLES["instruments"], exchange="bybit"))
        return {row["symbol"]: row for row in rows.filter(instrument_type="perp").iter_rows(named=True)}

    def pull(self, tmp_path, frames, now, **options):
        with LoopbackBybit(frames, now=now, page_rows=1, **options) as venue, Fetcher(venue.settings) as fetcher:
            report = pull("bybit", "instruments", warehouse=tmp_path, fetcher=fetcher)
        return report, self.listed(Warehouse(tmp_path))

    def test_pages_of_one_list_delist_nothing(self, tmp_path):
        for day in (1, 2):
            report, rows = self.pull(tmp_path, TRUTH, LATER + timedelta(days=day))
            assert not report.problems
            assert {symbol: row["status"] for symbol, row in rows.items()} == {
                "BTCUSDT": "trading", "BTCUSDC": "trading", "SHIB1000USDT": "trading", "OLDUSDT": "delisted"
            }  # fmt: skip
        assert rows["OLDUSDT"]["delisting_time"] == GONE

    def test_what_a_whole_list_lacks_is_delisted(self, tmp_path):
        self.pull(tmp_path, TRUTH, LATER)
        fewer = TRUTH | {"instruments": INSTRUMENTS.filter(pl.col("symbol") != "SHIB1000USDT")}
        _, rows = self.pull(tmp_path, fewer, LATER + timedelta(days=1))
        assert rows["SHIB1000USDT"]["status"] == "delisted"
        assert rows["SHIB1000USDT"]["delisting_time"] == LATER + timedelta(days=1)
        assert rows["BTCUSDT"]["status"] == "trading"

    def test_what_moves_to_the_closed_list_is_taken_from_there(self, tmp_path):
        self.pull(tmp_path, TRUTH, LATER)
        gone = pl.col("symbol") == "SHIB1000USDT"
        moved = INSTRUMENTS.with_columns(
            status=pl.when(gone).then(pl.lit("delisted")).otherwise("status"),
            delisting_time=pl.when(gone).then(pl.lit(LATER + HOUR)).otherwise("delisting_time"),
        )
        _, rows = self.pull(tmp_path, TRUTH | {"instruments": moved}, LATER + timedelta(days=1))
        assert rows["SHIB1000USDT"]["delisting_time"] == LATER + HOUR
        assert len(rows) == 4

    @pytest.mark.parametrize("fault", [garbled, server_error], ids=["malformed", "unreachable"])
    @pytest.mark.parametrize("page", [2, 3, 4])
    def test_a_list_that_breaks_off_delists_nothing(self, tmp_path, fault, page):
        self.pull(tmp_path, TRUTH, LATER)
        clock, faults = Clock(), [fault(nth(*range(page, 60), path=LIST))]
        with (
            LoopbackBybit(TRUTH, now=LATER + timedelta(days=1), page_rows=1, faults=faults) as venue,
            Fetcher(venue.settings, clock=clock, sleep=clock.sleep) as fetcher,
        ):
            report = pull("bybit", "instruments", warehouse=tmp_path, fetcher=fetcher)
        assert report.problems
        rows = self.listed(Warehouse(tmp_path))
        assert {row["status"] for symbol, row in rows.items() if symbol != "OLDUSDT"} == {"trading"}

    def test_facts_are_brought_in_with_derived_intervals(self, tmp_path):
        with LoopbackBybit(TRUTH, now=LATER) as venue, Fetcher(venue.settings) as fetcher:
            report = pull(
                "bybit", ["funding_rates", "open_interest"], "BTCUSDT", START, LATER, warehouse=tmp_path,
                fetcher=fetcher,
            )  # fmt: skip
        assert not failures(report)
        rows = pl.from_arrow(Warehouse(tmp_path).read(TABLES["funding_rates"], exchange="bybit"))
        assert rows["timestamp"].to_list() == CHANGING
        assert set(rows["funding_interval_hours"]) == {8.0, 4.0, 1.0}
