"""What every venue × table must do, whoever adds it: on its loopback venue, and on any bytes at all."""

import json
import random
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from functools import cache

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as tries
from hypothesis import strategies as st

from cexkit.errors import CexkitError, NotOfferedError, NotReadYetError, PayloadError, UnknownTableError
from cexkit.exchanges.http import OnePage, Response
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.registry import EXCHANGES, parse_response
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, utc
from cexkit.schema.render import to_polars, to_pyarrow
from cexkit.schema.symbols import INSTRUMENT_TYPES, Instrument
from cexkit.testing import LOOPBACKS, every, garbled

from ..clock import Clock, reading

NOW = utc("2024-03-10T05:30:00")
EXPIRY = utc("2024-06-28T08:00")
#: Snapshots that may still change while their interval runs.
CHANGING = {("okx", "open_interest")}
HOUR = timedelta(hours=1)
#: Hours of a settlement where the venue's endpoint says how many.
HOURS = {"coinbase": 1.0}
#: Instruments of each venue, one of each kind: canonical symbol, the venue's name, quote, contract size.
NAMES = {
    ("binance", "spot"): ("BTCUSDT", "BTCUSDT", "USDT", 1.0),
    ("binance", "perp"): ("BTCUSDT", "BTCUSDT", "USDT", 1.0),
    ("binance", "future"): ("BTCUSDT-20240628", "BTCUSDT_240628", "USDT", 1.0),
    ("bybit", "spot"): ("BTCUSDT", "BTCUSDT", "USDT", 1.0),
    ("bybit", "perp"): ("BTCUSDC", "BTCPERP", "USDC", 1.0),
    ("bybit", "future"): ("BTCUSDT-20240628", "BTCUSDT-28JUN24", "USDT", 1.0),
    ("coinbase", "spot"): ("BTCUSD", "BTC-USD", "USD", 1.0),
    ("coinbase", "perp"): ("BTCUSDC", "BTC_USDC-PERPETUAL", "USDC", 1.0),
    ("coinbase", "future"): ("BTCUSDC-20240628", "BTC_USDC-28JUN24", "USDC", 1.0),
    ("okx", "spot"): ("BTCUSDT", "BTC-USDT", "USDT", 1.0),
    ("okx", "perp"): ("BTCUSDT", "BTC-USDT-SWAP", "USDT", 0.01),
    ("okx", "future"): ("BTCUSDT-20240628", "BTC-USDT-240628", "USDT", 0.01),
}
NAMES |= {(name, kind): of for name, venue in LOOPBACKS.items() for kind, of in getattr(venue, "examples", {}).items()}
FACTS = [
    pytest.param(name, table, kind, id=f"{name}-{table}-{kind}")
    for name, found in EXCHANGES.items()
    for table, kind in found.sources
    if table != "instruments"
]
LISTS = [
    pytest.param(name, part.endpoint, id=part.endpoint)
    for name, found in EXCHANGES.items()
    for part in {
        part.endpoint: part for (table, _), source in found.sources.items() if table == "instruments"
        for part in source.parts
    }.values()
]  # fmt: skip


def listed(name, kind):
    symbol, venue_symbol, quote, size = NAMES[name, kind]
    return dict.fromkeys(TABLES["instruments"].columns) | {
        "exchange": name,
        "instrument_type": kind,
        "symbol": symbol,
        "base": "BTC",
        "quote": quote,
        "venue_symbol": venue_symbol,
        "settle": quote,
        "multiplier": 1.0,
        "contract_size": size,
        "inverse": False,
        "tick_size": 0.1,
        "lot_size": 0.001,
        "status": "trading",
        "listing_time": None if kind == "spot" else utc("2023-12-29"),
        "delisting_time": EXPIRY if kind == "future" else None,
        "expiry": EXPIRY if kind == "future" else None,
        "funding_interval_hours": HOURS.get(name, 8.0) if kind == "perp" else None,
        "observed_at": NOW,
    }


def times_of(table):
    """Moments up to the venue's clock, oldest first: bars with gaps and the running one, settlements, events."""
    if table == "liquidations":
        return [NOW - timedelta(minutes=7 * i) for i in range(40, 0, -1)]
    if table == "funding_rates":
        return [utc("2024-03-10") - 8 * i * HOUR for i in range(20, -1, -1)]
    bar = TABLES[table].bar
    last = NOW - (NOW - utc("2024-01-01")) % bar
    return [last - i * bar for i in range(40, -1, -1) if i not in (7, 8, 21)]


@cache
def truth(name, table, kind):
    """Rows of one instrument with values that differ from row to row and from slot to slot."""
    # contracts of one pair have one index
    seed = f"{name} {table} {'any' if table == 'index_1h' else kind}"
    schema, row, chance = to_polars(TABLES[table]), listed(name, kind), random.Random(seed)
    times = times_of(table)
    low, high = 40_000.0, 60_000.0
    made = {
        "timestamp": times,
        "open": [round(chance.uniform(low, high), 1) for _ in times],
        "close": [round(chance.uniform(low, high), 1) for _ in times],
        "high": [round(high + chance.uniform(1, 99), 1) for _ in times],
        "low": [round(low - chance.uniform(1, 99), 1) for _ in times],
        "volume_base": [round(chance.uniform(10, 99), 3) for _ in times],
        "volume_quote": [round(chance.uniform(1e6, 9e6), 3) for _ in times],
        "taker_buy_volume_base": [1.5] * len(times),
        "taker_buy_volume_quote": [75_000.5] * len(times),
        "trades": list(range(2, len(times) + 2)),
        # few venues say it with a settlement, and the one that does has its own
        "funding_interval_hours": [None] * len(times),
        "funding_rate": [round(chance.uniform(-1e-3, 1e-3), 8) for _ in times],
        "mark_price": [round(chance.uniform(low, high), 1) for _ in times],
        "index_price": [round(chance.uniform(low, high), 1) for _ in times],
        "open_interest_base": [round(chance.uniform(1e3, 9e3), 3) for _ in times],
        "open_interest_quote": [round(chance.uniform(1e7, 9e7), 3) for _ in times],
        "side": [chance.choice(["long", "short"]) for _ in times],
        "price": [float(50_000 + i) for i, _ in enumerate(times)],
        "price_type": ["bankruptcy"] * len(times),
        "quantity_base": [float(i + 1) for i, _ in enumerate(times)],
        "value_quote": [float((50_000 + i) * (i + 1)) for i, _ in enumerate(times)],
        "event": [0] * len(times),
        "coverage": ["throttled" if name == "okx" else "full"] * len(times),
    }
    return pl.DataFrame({c: made.get(c, [row.get(c)] * len(times)) for c in schema}, schema=schema)


@cache
def feed(name):
    kinds = [kind for kind in INSTRUMENT_TYPES if (name, kind) in NAMES]
    frames = {"instruments": pl.DataFrame([listed(name, k) for k in kinds], schema=to_polars(TABLES["instruments"]))}
    for table in {table for table, _ in EXCHANGES[name].sources} - {"instruments"}:
        meant = [kind for kind in kinds if kind in TABLES[table].instrument_types]
        frames[table] = pl.concat([truth(name, table, kind) for kind in meant])
    return frames


@pytest.fixture(scope="module")
def start():
    """Starts a venue's loopback and a fetcher of it, once each."""
    with ExitStack() as stack:

        @cache
        def started(name):
            clock = Clock()
            venue = stack.enter_context(LOOPBACKS[name](feed(name), now=NOW, clock=clock))
            return venue, stack.enter_context(reading(venue, clock))

        yield started


def over(name, table, rows):
    """The rows that were over a second before the venue's clock."""
    running = table.startswith(("ohlcv", "mark", "index")) or (name, table) in CHANGING
    bar = TABLES[table].bar if running else None
    return rows if bar is None else rows.filter(pl.col("timestamp") + bar + timedelta(seconds=1) <= NOW)


def traded(rows):
    """Without the flat bars with which some venues fill intervals without trades."""
    return rows.filter(pl.col("volume_base") > 0) if "volume_base" in rows.columns else rows


def test_every_venue_has_a_loopback_venue():
    assert set(LOOPBACKS) == set(EXCHANGES)


@pytest.mark.parametrize(("name", "table", "kind"), FACTS)
class TestFacts:
    def fetch(self, start, name, table, kind, since, until):
        return start(name)[1].fetch(name, table, NAMES[name, kind][0], since, until, instrument_type=kind)

    def test_the_truth_comes_back_in_a_conforming_table(self, start, name, table, kind):
        rows = truth(name, table, kind)
        since = rows["timestamp"][2]
        fetched = self.fetch(start, name, table, kind, since - timedelta(seconds=7), NOW)
        assert fetched.schema.equals(to_pyarrow(TABLES[table]))
        expected = over(name, table, rows).filter(pl.col("timestamp") >= since, pl.col("timestamp") < NOW)
        expected = expected.sort(TABLES[table].key)
        found = traded(pl.from_arrow(fetched))
        key = list(TABLES[table].key)
        assert found.select(key).equals(expected.select(key))
        assert found.select(key).is_unique().all()
        said = [c for c in found.columns if found[c].null_count() == 0 and expected[c].null_count() == 0]
        assert {field.name for field in TABLES[table].fields if not field.nullable} <= set(said)
        for column in said:
            exact = found[column].equals(expected[column], check_names=False)
            assert exact or found[column].to_list() == pytest.approx(expected[column].to_list(), rel=1e-12), column

    def test_windows_are_half_open(self, start, name, table, kind):
        times = truth(name, table, kind)["timestamp"].to_list()
        fetched = self.fetch(start, name, table, kind, times[3], times[6])
        assert sorted(set(fetched["timestamp"].to_pylist())) == times[3:6]
        assert times[6] - times[3] == 3 * (times[4] - times[3])

    def test_neighboring_windows_share_nothing_and_lose_nothing(self, start, name, table, kind):
        times = truth(name, table, kind)["timestamp"].to_list()
        cut = times[-5] + timedelta(milliseconds=1)
        parts = [self.fetch(start, name, table, kind, *ends) for ends in ((times[4], cut), (cut, NOW))]
        whole = self.fetch(start, name, table, kind, times[4], NOW)
        keys = [(name, "ascending") for name in TABLES[table].key]
        assert pa.concat_tables(parts).sort_by(keys).equals(whole)

    def test_nothing_there_is_an_empty_conforming_table(self, start, name, table, kind):
        since = utc("2024-02-20T03:00") if table != "ohlcv_1d" else utc("2023-12-30")
        since = NOW - timedelta(hours=20) if table == "liquidations" else since
        fetched = self.fetch(start, name, table, kind, since, since + timedelta(minutes=90))
        assert fetched.num_rows == 0
        assert fetched.schema.equals(to_pyarrow(TABLES[table]))

    def test_a_malformed_body_is_a_payload_error(self, start, name, table, kind):
        venue, fetcher = start(name)
        fetcher.resolve(name, table, NAMES[name, kind][0], kind)
        venue.faults = (garbled(every(1)),)
        try:
            with pytest.raises(PayloadError, match="JSON"):
                self.fetch(start, name, table, kind, times_of(table)[-9], NOW)
        finally:
            venue.faults = ()

    @tries(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def test_any_bytes_are_a_table_or_an_error_of_ours(self, start, name, table, kind, data):
        page = first_page(start(name)[1], name, table, kind)
        body = data.draw(mutations(page.response.body))
        survives(name, table, page.endpoint, page.response, body, page.context)


@cache
def first_page(fetcher, name, table, kind):
    instrument = fetcher.resolve(name, table, NAMES[name, kind][0], kind)
    return next(fetcher.pages(name, table, instrument, Window(times_of(table)[-9], NOW)))


@cache
def list_pages(fetcher, name):
    return {page.endpoint: page for page in fetcher.instrument_pages(name)}


def survives(name, table, endpoint, response, body, context):
    """Everything that reads a body gives a response or an error of our tree."""
    source = EXCHANGES[name].endpoint(table, endpoint)
    response = Response(response.url, response.params, 200, response.headers, response.received_at, body)
    assert isinstance(EXCHANGES[name].apis[source.api].error(response), Exception | None)
    EXCHANGES[name].apis[source.api].usage(response)
    for read in (source.cursor, source.limits):
        with suppress(CexkitError):
            read(body)
    try:
        rows = parse_response(name, endpoint, body, context)
    except CexkitError:
        return
    # what parses also tells where the next page is: an error there would end more than this page
    source.cursor(body)
    if not is_companion(name, endpoint):
        assert rows.schema.equals(to_pyarrow(TABLES[table]))
        rows.validate(full=True)
    if context.window is not None:
        assert all(moment in context.window for moment in rows["timestamp"].to_pylist())


def is_companion(name, endpoint):
    return any(part.endpoint == endpoint for source in EXCHANGES[name].sources.values() for part in source.companions)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["", "0", "-1", "NaN", "Infinity", "1e400", "9" * 30, 10**12, 10**13 - 1, 2**63, -(2**63)]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@st.composite
def mutations(draw, body):
    """Any bytes; a real body cut, spoilt or with one of its values replaced."""
    way = draw(st.sampled_from(["any", "cut", "spoilt", "value", "value", "value"]))
    if way == "any":
        return draw(st.binary(max_size=40))
    at = draw(st.integers(0, len(body)))
    if way == "cut":
        return body[:at]
    if way == "spoilt":
        return body[:at] + draw(st.binary(min_size=1, max_size=3)) + body[at + draw(st.integers(0, 3)) :]
    tree = [json.loads(body)]
    spots = list(places(tree))
    parent, key = spots[draw(st.integers(0, len(spots) - 1))]
    parent[key] = draw(JSON)
    return json.dumps(tree[0]).encode()


def places(tree):
    """Every place of a value in a JSON tree."""
    for key in tree if isinstance(tree, dict) else range(len(tree)):
        yield tree, key
        if isinstance(tree[key], dict | list):
            yield from places(tree[key])


class TestLists:
    @pytest.mark.parametrize(("name", "kind"), list(NAMES))
    def test_the_truth_comes_back_in_a_conforming_table(self, start, name, kind):
        if name not in EXCHANGES or ("instruments", kind) not in EXCHANGES[name].sources:
            pytest.skip(f"{name} lists no {kind} here")
        fetched = start(name)[1].fetch(name, "instruments", instrument_type=kind)
        assert fetched.schema.equals(to_pyarrow(TABLES["instruments"]))
        (row,) = fetched.to_pylist()
        want = listed(name, kind)
        exact = ["exchange", "symbol", "venue_symbol", "base", "quote", "settle", "status", "expiry", "inverse"]
        exact += ["multiplier", "contract_size"]
        assert {c: row[c] for c in exact} == {c: want[c] for c in exact}

    @pytest.mark.parametrize(("name", "endpoint"), LISTS)
    def test_a_malformed_list_is_a_payload_error(self, start, name, endpoint):
        page = list_pages(start(name)[1], name)[endpoint]
        with pytest.raises(PayloadError, match="JSON"):
            parse_response(name, endpoint, page.response.body[: len(page.response.body) // 2] + b"<<", page.context)

    @tries(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    @pytest.mark.parametrize(("name", "endpoint"), LISTS)
    def test_any_bytes_are_a_table_or_an_error_of_ours(self, start, name, endpoint, data):
        page = list_pages(start(name)[1], name)[endpoint]
        body = data.draw(mutations(page.response.body))
        survives(name, "instruments", endpoint, page.response, body, page.context)


@pytest.mark.parametrize("name", list(EXCHANGES))
class TestVenues:
    def test_what_is_not_read_is_refused_with_the_reason(self, start, name):
        found = EXCHANGES[name]
        for table in [table for table in TABLES.values() if table.layer == "silver" and table.made_with is None]:
            for kind in INSTRUMENT_TYPES:
                if (table.name, kind) in found.sources:
                    assert (table.name, kind) not in found.not_offered
                    continue
                with pytest.raises((NotOfferedError, NotReadYetError), match=table.name):
                    start(name)[1].fetch(name, table.name, "BTCUSDT", "2024-03-01", instrument_type=kind)

    def test_table_made_with_another_is_refused(self, start, name):
        with pytest.raises(UnknownTableError, match="'instrument_periods' is computed, not published by venues"):
            start(name)[1].fetch(name, "instrument_periods")

    def test_companions_are_one_page(self, name):
        companions = [part for source in EXCHANGES[name].sources.values() for part in source.companions]
        assert all(isinstance(part.paginator, OnePage) for part in companions)

    def test_symbols_cannot_leave_their_place_in_an_archive(self, name):
        for (table, kind), archive in EXCHANGES[name].archives.items():
            parts = {"exchange": name, "instrument_type": kind, "base": "X", "quote": "USDT"}
            plain, odd = (
                Instrument(symbol="X", venue_symbol=symbol, **parts) for symbol in ("X-USDT", "币/../?a=b#c %41\n")
            )
            for period in archive.periods:
                path, other = (archive.path(each, period, utc("2024-01-01")) for each in (plain, odd))
                assert other == path.replace("X-USDT", "%E5%B8%81%2F..%2F%3Fa%3Db%23c%20%2541%0A"), table

    def test_every_api_is_polite(self, name):
        found = EXCHANGES[name]
        for (table, kind), source in found.sources.items():
            window = None if table == "instruments" else Window.of("2024-03-01", NOW)
            instrument = None if window is None else some_instrument(name, kind)
            for part in source.parts:
                cost = part.cost(part.params(instrument, part.paginator.first(window)))
                assert set(cost) <= {budget.name for budget in found.apis[part.api].budgets}
                assert sum(cost.values()) > 0

    def test_recorded_bodies_are_tables_or_errors_for_every_parser(self, shared, name):
        folder = shared / "recordings" / name
        bodies = [path.read_bytes() for path in sorted(folder.glob("*.json"))]
        assert bodies, f"no recordings in {folder}"
        now = datetime(2026, 10, 1, tzinfo=UTC)
        response = Response("http://x", {}, 200, {}, now, b"")
        for (table, kind), source in EXCHANGES[name].sources.items():
            window = None if table == "instruments" else Window.of("2020-01-01", now)
            instrument = None if window is None else some_instrument(name, kind)
            context = Context(exchange=name, table=table, now=now, instrument=instrument, window=window)
            for part in source.parts:
                for body in bodies:
                    survives(name, table, part.endpoint, response, body, context)


def some_instrument(name, kind):
    row = listed(name, kind)
    return Instrument.of(row)
