"""Questions in SQL: bound values, headers that are true, the metrics' numbers, the same in a plain shell."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import cexkit
from cexkit.client.__main__ import generated as generated_pages
from cexkit.client.queries import Queries, find_sql_folder, parse_query
from cexkit.client.query import NONE, REQUIRED
from cexkit.errors import InvalidInputError, UnknownNameError, UnknownTableError
from cexkit.schema import USD_LIKE
from cexkit.schema.intervals import utc
from cexkit.warehouse.sql_views import generated
from cexkit.warehouse.store.locations import SAMPLE_ROOT

from ..rows import at, listed

QUERIES = Queries.read()
#: What each is asked here; between them every parameter is used.
ASKED = {
    "basis": {"symbol": "BTCUSDT", "days": 3},
    "data_quality": {"days": 500},
    "funding_across_venues": {"base": "WIF", "until": "2026-06-01T07:30"},
    "funding_spread": {"base": "WIF", "fees": 0.0004, "slippage": 0.001, "holding": 14, "as_of": "2026-06-20T10:00"},
    "funding_weighted": {"base": "BTC"},
    "largest_liquidations": {"base": "ETH", "days": 30, "top": 5},
    "liquidation_summary": {"symbol": "ETHUSDT", "days": 10.5, "until": "2026-06-25"},
    "open_interest_usd": {"base": "PEPE", "days": 2},
    "returns": {"symbol": "BTCUSDT", "exchange": "okx", "days": 60},
    "top_funding": {"exchange": "binance", "top": 3},
    "universe": {"as_of": "2025-11-01", "exchange": "binance", "instrument_type": "perp"},
    "volatility": {"symbol": "BTCUSDT", "exchange": "okx", "lookback": 10},
    "volume_share": {"base": "BTC", "instrument_type": "perp"},
}


@pytest.fixture(scope="module")
def market():
    return cexkit.connect("sample")


@pytest.fixture(scope="module")
def shell():
    """Plain DuckDB, in a zone of its own, with nothing of cexkit but its SQL files."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'Asia/Tokyo'")
    connection.execute("SET VARIABLE root = ?", [str(SAMPLE_ROOT)])
    connection.execute(generated()["sql/views/tables.sql"])
    return connection


def ask(market, name, **more):
    return market.query(name, return_type="polars", **(ASKED[name] | more))


def test_every_query_is_asked_here():
    assert list(ASKED) == list(QUERIES) == sorted(path.stem for path in (find_sql_folder() / "queries").glob("*.sql"))


# --- headers


@pytest.mark.parametrize("name", QUERIES)
def test_a_header_is_true(name):
    query = QUERIES[name]
    used = set(re.findall(r"getvariable\('(\w+)'\)", query.sql))
    assert used == set(query.parameters)
    assert query.question.endswith("?")
    for parameter in query.parameters.values():
        written = set(re.findall(rf"coalesce\(getvariable\('{parameter.name}'\), ([^)]*)\)", query.sql))
        given = {parameter.default, f"'{parameter.default}'"}
        assert not written or written <= given, "the file and its header give different defaults"
        assert bool(written) == (parameter.default not in (REQUIRED, NONE))
    statements = "\n".join(line for line in query.sql.splitlines() if not line.strip().startswith("--"))
    assert "date_trunc" not in statements, "follows the session's zone"


@pytest.mark.parametrize("name", QUERIES)
def test_the_columns_are_those_of_the_header(market, name):
    frame = ask(market, name)
    assert frame.columns == list(QUERIES[name].columns)
    assert frame.height > 0 or name == "data_quality"
    assert all(dtype.time_zone == "UTC" for dtype in frame.dtypes if isinstance(dtype, pl.Datetime))


def test_dollars_are_by_the_one_list():
    listed = ", ".join(f"'{quote}'" for quote in USD_LIKE)
    found = [part for query in QUERIES.values() for part in re.findall(r"quote IN \(([^)]*)\)", query.sql)]
    assert len(found) >= 5
    assert set(found) == {listed}


def test_the_page_is_current(project_root):
    written = (project_root / "docs/reference/queries.md").read_text(encoding="utf-8")
    assert written == generated_pages()["docs/reference/queries.md"], "run `python -m cexkit.client`"


def test_a_header_that_says_too_little_is_refused():
    for text in ("SELECT 1", "-- What?\n--\n-- Parameters\n--\n-- Columns\nSELECT 1"):
        with pytest.raises(InvalidInputError, match="no header"):
            parse_query("q", text)
    with pytest.raises(InvalidInputError, match="5 cells a line"):
        parse_query("q", "-- What?\n--\n-- Parameters\n--   x | text\n--\n-- Columns\n--   n | | N.\nSELECT 1")
    with pytest.raises(InvalidInputError, match="no type or name"):
        parse_query(
            "q", "-- What?\n--\n-- Parameters\n--   x | word | | none | X.\n--\n-- Columns\n--   n | | N.\nSELECT 1"
        )


# --- the plain shell


def literal(value):
    return f"'{value}'" if isinstance(value, str) else str(value)


@pytest.mark.parametrize("name", QUERIES)
def test_the_same_file_runs_in_a_plain_shell(market, shell, name):
    words = dict(ASKED[name])
    for parameter in words:
        text = literal(words[parameter])
        if QUERIES[name].parameters[parameter].type == "time":
            text = f"TIMESTAMPTZ '{utc(words[parameter])}'"
        shell.execute(f"SET VARIABLE {parameter} = {text}")
    try:
        got = shell.execute((find_sql_folder() / "queries" / f"{name}.sql").read_text()).pl()
    finally:
        for parameter in words:
            shell.execute(f"RESET VARIABLE {parameter}")
    got = got.with_columns(pl.col(pl.Datetime).dt.convert_time_zone("UTC"))
    assert_frame_equal(got, ask(market, name), rel_tol=1e-12, abs_tol=0)


def test_the_files_are_in_the_wheel_and_found_in_both_places(tmp_path, project_root):
    import tomllib

    wheel = tomllib.loads((project_root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"]["sql"] == "cexkit/_sql"
    installed, checkout = tmp_path / "a" / "cexkit", tmp_path / "b" / "cexkit"
    (installed / "_sql" / "queries").mkdir(parents=True)
    checkout.mkdir(parents=True)
    assert find_sql_folder(installed) == installed / "_sql"
    assert find_sql_folder(checkout) == tmp_path / "b" / "sql"
    assert find_sql_folder() == project_root / "sql"


# --- the numbers of the metrics


def same(got: pl.DataFrame, want: pl.DataFrame, keys: list[str], tolerance=1e-12) -> None:
    """Equal in the columns of the wanted, whatever the order of rows."""
    assert got.height == want.height > 0
    got, want = got.select(want.columns).sort(keys), want.sort(keys)
    assert_frame_equal(got, want, rel_tol=tolerance, abs_tol=1e-15, check_dtypes=False)


INSTRUMENT = ["exchange", "instrument_type", "symbol", "timestamp"]


def test_liquidation_summary_is_the_metric(market):
    window = {"start": datetime(2026, 6, 14, 12, tzinfo=UTC), "end": "2026-06-25"}
    events = market.table("liquidations", symbol="ETHUSDT", **window).to_polars()
    same(ask(market, "liquidation_summary"), cexkit.liquidation_summary(events), [*INSTRUMENT, "side"])


def test_returns_are_the_metrics(market):
    bars = market.table("ohlcv_1d", exchange="okx", symbol="BTCUSDT", instrument_type=["spot", "perp"])
    bars = bars.to_polars().filter(pl.col("timestamp") > datetime(2026, 5, 1, tzinfo=UTC))
    want = cexkit.log_returns(cexkit.returns(bars)).select(*INSTRUMENT, "close", "returns", "log_returns")
    same(ask(market, "returns"), want, INSTRUMENT)


def test_volatility_is_the_metric(market):
    bars = market.table("ohlcv_1d", exchange="okx", symbol="BTCUSDT", instrument_type=["spot", "perp"]).to_polars()
    bars = bars.filter(pl.col("timestamp") > datetime(2026, 4, 1, tzinfo=UTC))
    want = cexkit.realized_volatility(bars, window=10, interval="1d").select(*INSTRUMENT, "realized_volatility")
    same(ask(market, "volatility"), want, INSTRUMENT, 1e-9)
    assert want["realized_volatility"].null_count() == 20


def test_a_gap_leaves_volatility_null_as_the_metric_does(made_market):
    keys = {"exchange": "okx", "instrument_type": "perp", "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT"}
    start = datetime(2024, 1, 1, tzinfo=UTC)
    days = [day for day in range(12) if day != 5]
    prices = {day: 100.0 + day * day % 7 for day in days}
    rows = [
        keys
        | {"timestamp": start + timedelta(days=day), "volume_base": 1.0}
        | dict.fromkeys(("open", "high", "low", "close"), price)
        for day, price in prices.items()
    ]
    market = made_market(ohlcv_1d=rows, instruments=[listing(keys, start)])
    got = market.query("volatility", symbol="BTCUSDT", lookback=3, return_type="polars")
    want = cexkit.realized_volatility(market.ohlcv_1d.to_polars(), window=3, interval="1d")
    same(got, want.select(*INSTRUMENT, "realized_volatility"), INSTRUMENT, 1e-9)
    assert got["realized_volatility"].is_null().sum() == 6


def listing(keys, start):
    terms = {"venue_symbol": "x", "settle": "USDT", "multiplier": 1.0, "contract_size": 1.0, "inverse": False}
    return keys | terms | {"status": "trading", "listing_time": start, "observed_at": start}


def test_funding_spread_is_the_metric(market):
    rates = market.table("funding_rates", start="2026-06-18", end="2026-06-20T10:00:00.000001").to_polars()
    spread = cexkit.funding_spread(rates.filter(base="WIF"), fees=0.0004, slippage=0.001, days=14)
    want = spread.filter(pl.col("timestamp") == pl.col("timestamp").max()).drop("base")
    same(ask(market, "funding_spread"), want, ["long_exchange", "short_exchange"])


def test_funding_of_venues_has_no_sum_over_missing_settlements(made_market):
    perps = [listed(), listed("ETHUSDT", base="ETH")]
    facts = {"funding_rate": 1e-4, "funding_interval_hours": 8.0}
    hours = {"BTC": (0, 8, 16, 32, 40), "ETH": (0, 8, 18, 24, 32)}  # one is missing; one is late
    keys = ("exchange", "instrument_type", "symbol", "base", "quote")
    paid = [
        {name: perp[name] for name in keys} | facts | {"timestamp": at(hour)}
        for perp in perps
        for hour in hours[perp["base"]]
    ]
    made = made_market(instruments=perps, funding_rates=paid)
    columns = ("settlements", "funding_sum", "hours")
    found = [
        made.query("funding_across_venues", base=base, return_type="polars").select(columns).row(0) for base in hours
    ]
    assert found == [(5, None, 40.0), (5, pytest.approx(5e-4), 40.0)]


def test_funding_of_venues_is_the_mean_of_the_metric_over_hours(market):
    until = datetime(2026, 6, 1, 7, 30, tzinfo=UTC)
    rates = market.table("funding_rates", start=until - timedelta(days=30), end=until).to_polars().filter(base="WIF")
    rates = cexkit.funding_apr(rates)
    hours = pl.col("funding_interval_hours")
    want = rates.group_by("exchange", "symbol").agg(
        funding_sum=pl.col("funding_rate").sum(),
        settlements=pl.len().cast(pl.Int64),
        funding_apr=(pl.col("funding_apr") * hours).sum() / hours.sum(),
    )
    same(ask(market, "funding_across_venues"), want, ["exchange", "symbol"])


def test_top_funding_is_the_metric_of_the_last_settlements(market):
    rates = cexkit.funding_apr(market.table("funding_rates", exchange="binance", start="2026-06-30").to_polars())
    last = rates.sort("timestamp").group_by("symbol").last()
    everyone = ask(market, "top_funding", top=100)
    same(everyone, last.select("symbol", "timestamp", "funding_apr"), ["symbol"])
    assert everyone["funding_apr"].abs().is_sorted(descending=True)
    assert ask(market, "top_funding").equals(everyone.head(3))


def test_basis_open_interest_and_universe_are_those_of_the_market(market):
    for symbol in ("BTCUSDT", "BTCUSDC"):  # over indexes, and over spot in another quote
        basis = market.basis(symbol=symbol, start=datetime(2026, 6, 28, 0, 0, 1, tzinfo=UTC)).to_polars()
        columns = [*INSTRUMENT, "price", "reference", "reference_name", "reference_quote", "basis"]
        assert not basis["basis"].has_nulls()
        same(ask(market, "basis", symbol=symbol), basis.select(columns), INSTRUMENT)
    held = market.open_interest_usd(start=datetime(2026, 6, 28, 23, 0, 1, tzinfo=UTC) - timedelta(days=0)).to_polars()
    held = held.filter(base="PEPE").select(*INSTRUMENT, "open_interest_usd", "usd_from")
    same(ask(market, "open_interest_usd"), held, INSTRUMENT)
    universe = market.universe("2025-11-01", exchange="binance", instrument_type="perp").to_polars()
    same(ask(market, "universe"), universe.select("symbol", "certain", "delisting_time"), ["symbol"])


def test_open_interest_without_a_value_of_the_venue_is_priced_as_the_market_does(made_market):
    keys = {"exchange": "okx", "instrument_type": "perp", "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT"}
    start = datetime(2024, 1, 1, tzinfo=UTC)

    def bar(hour, close):
        return (
            keys
            | {"timestamp": start + timedelta(hours=hour), "volume_base": 1.0}
            | dict.fromkeys(("open", "high", "low", "close"), close)
        )

    held = [keys | {"timestamp": start + timedelta(hours=hour), "open_interest_base": 2.0} for hour in (1, 4, 8, 12)]
    market = made_market(
        instruments=[listing(keys, start)],
        open_interest=held,
        mark_1h=[bar(0, 10.0), bar(4, 99.0)],
        ohlcv_1h=[bar(0, 11.0), bar(3, 12.0), bar(6, 13.0)],
    )
    got = market.query("open_interest_usd", base="BTC", return_type="polars")
    assert got["usd_from"].to_list() == ["mark_1h", "ohlcv_1h", "ohlcv_1h", None]
    assert got["open_interest_usd"].to_list() == [20.0, 24.0, 26.0, None]
    same(got, market.open_interest_usd().to_polars().select(*INSTRUMENT, "open_interest_usd", "usd_from"), INSTRUMENT)


def test_volume_share_is_the_metric(market):
    bars = market.table("ohlcv_1d", instrument_type="perp").to_polars().filter(base="BTC")
    bars = bars.filter(pl.col("timestamp") > datetime(2026, 5, 31, tzinfo=UTC))
    want = cexkit.volume_share(bars).select("timestamp", "exchange", "volume_usd", "volume_share")
    same(ask(market, "volume_share"), want, ["timestamp", "exchange"])


def test_the_largest_are_the_largest(market):
    got = ask(market, "largest_liquidations")
    events = market.table("liquidations", start="2026-05-31T18").to_polars().filter(base="ETH")
    newest = market.tables["liquidations"].end
    events = events.filter(pl.col("timestamp") > newest - timedelta(days=30))
    assert got["value_usd"].to_list() == events["value_quote"].sort(descending=True).head(5).to_list()


def test_failed_checks_are_counted(made_market):
    day = datetime(2024, 1, 1, tzinfo=UTC)
    check = {"exchange": "okx", "table_name": "ohlcv_1d", "check_name": "ohlc_order", "blocking": True}
    rows = [check | {"timestamp": day + timedelta(days=n), "rows_checked": 10, "rows_failed": n} for n in range(3)]
    rows.append(check | {"check_name": "fresh", "timestamp": day, "rows_checked": 10, "rows_failed": 0})
    keys = {"exchange": "okx", "instrument_type": "perp", "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT"}
    market = made_market(data_quality=rows, instruments=[listing(keys, day)])
    got = market.query("data_quality", return_type="polars")
    assert got.rows() == [("ohlcv_1d", "okx", "ohlc_order", True, 30, 3, 0.1, 2, day + timedelta(days=2))]


# --- values


def test_what_a_query_takes_is_checked_before_it_runs(market):
    with pytest.raises(UnknownNameError, match="did you mean 'liquidation_summary'"):
        market.query("liquidations_summary")
    with pytest.raises(
        UnknownNameError, match=r"unknown parameter of basis 'sybmol'(.|\n)*Parameters:\n  symbol: text"
    ):
        market.query("basis", sybmol="BTCUSDT")
    with pytest.raises(InvalidInputError, match=r"basis needs symbol\n(.|\n)*days: number \[days\], by default 7"):
        market.query("basis")
    with pytest.raises(UnknownNameError, match="unknown kind of frame"):
        market.query("universe", return_type="spark")
    wrong = {
        "symbol": [3, b"BTCUSDT", ["BTCUSDT"]],
        "days": ["7", True, float("nan"), float("inf"), 10**400],
        "until": ["tomorrow", 7, float("nan")],
        "lookback": [2.5, True, "30", 2**70],
    }
    for name, values in wrong.items():
        for value in values:
            with pytest.raises(InvalidInputError, match=rf"{name} is a.*, not "):
                market.query("volatility", **({"symbol": "BTCUSDT"} | {name: value}))


def test_values_that_make_no_sense_are_errors_or_nothing(market):
    assert market.query("returns", symbol="BTCUSDT", days=0).empty
    assert market.query("returns", symbol="BTCUSDT", days=-3).empty
    assert not market.query("returns", symbol="BTCUSDT", days=200_000).empty
    with pytest.raises(InvalidInputError, match="could not be answered with these values"):
        market.query("returns", symbol="BTCUSDT", days=1e300)
    with pytest.raises(InvalidInputError, match="could not be answered with these values"):
        market.query("top_funding", top=-1)


HOSTILE = ["x'; DROP TABLE ohlcv_1d; --", "' OR '1'='1", "BTCUSDT\x00", "ВТСUSDT", "../x", "getvariable('root')", ""]


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_are_unknown_names_and_do_no_harm(market, value):
    for name, parameter in [("returns", "symbol"), ("universe", "exchange"), ("funding_weighted", "base")]:
        with pytest.raises(UnknownNameError, match="Available: "):
            market.query(name, **{parameter: value})
    with pytest.raises(UnknownNameError, match="unknown query"):
        market.query(value)
    assert len(market.query("universe")) == 54


def test_a_hostile_symbol_that_is_listed_is_a_value_like_others(made_market):
    symbol = "x'\"; DROP VIEW ohlcv_1d; --$symbol"
    keys = {"exchange": "okx", "instrument_type": "perp", "symbol": symbol, "base": "X", "quote": "USDT"}
    start = datetime(2024, 1, 1, tzinfo=UTC)
    bar = keys | {"timestamp": start, "volume_base": 1.0} | dict.fromkeys(("open", "high", "low", "close"), 5.0)
    market = made_market(instruments=[listing(keys, start)], ohlcv_1d=[bar])
    assert market.query("returns", symbol=symbol).close.tolist() == [5.0]
    assert market.ohlcv_1d.count().execute() == 1
    with pytest.raises(UnknownTableError, match="unknown table 'liquidations'"):
        market.query("liquidation_summary", symbol=symbol)


def test_variables_of_one_question_are_not_seen_by_the_next(market):
    """Two that take the same parameter, one after the other and side by side."""
    first = market.query("top_funding", exchange="okx", top=2)
    assert market.query("top_funding").exchange.nunique() > 1
    assert len(first) == 2

    def one(exchange):
        return set(market.query("returns", symbol="BTCUSDT", exchange=exchange, days=5).exchange)

    venues = ["okx", "binance", "bybit"] * 8
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, venues)) == [{venue} for venue in venues]


def test_only_the_files_of_the_window_are_read(market, monkeypatch):
    asked = {}
    real = market.table

    def table(name, **words):
        asked[name] = words
        return real(name, **words)

    monkeypatch.setattr(market, "table", table)
    market.query("basis", symbol="BTCUSDT", days=2, until="2026-06-20")
    assert {name: words["start"] for name, words in asked.items() if name != "instruments"} == dict.fromkeys(
        ["index_1h", "ohlcv_1h"], datetime(2026, 6, 17, tzinfo=UTC)
    )


def test_every_kind_of_frame(market):
    words = {"base": "BTC", "days": 3}
    polars = market.query("funding_weighted", return_type="polars", **words)
    assert isinstance(market.query("funding_weighted", **words), pd.DataFrame)
    assert pl.from_arrow(market.query("funding_weighted", return_type="arrow", **words)).equals(polars)
    table = market.query("funding_weighted", return_type="ibis", **words)
    assert table.filter(table.venues == 4).count().execute() == 9


def test_queries_are_listed_with_what_they_ask(market):
    for shown in (repr(market.queries), market.queries._repr_html_()):
        assert "liquidation_summary" in shown
        assert "symbol, exchange, days, until" in shown
        assert "Which instruments were listed at a time" in shown
    assert market.queries._ipython_key_completions_() == list(QUERIES)
    assert "by default 7" in repr(market.queries["liquidation_summary"])
    assert Path(find_sql_folder()).name in {"sql", "_sql"}


# --- the command line


def run(*words):
    from typer.testing import CliRunner

    from cexkit.cli.commands import app

    return CliRunner().invoke(app, ["query", *words])


def test_a_question_from_a_shell(market):
    done = run("liquidation_summary", "symbol=ETHUSDT", "days=10.5", "until=2026-06-25", "--json")
    assert done.exit_code == 0
    assert [json.loads(line)["events"] for line in done.stdout.splitlines()] == ask(market, "liquidation_summary")[
        "events"
    ].to_list()
    assert "universe(as_of, exchange, instrument_type, asset_class)" in run().stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["returns"], "returns needs symbol"),
        (["returns", "BTCUSDT"], "takes name=value"),
        (["returns", "symbol=BTCUSDT", "symbol=ETHUSDT"], "each once"),
        (["returns", "symbol=BTCUSDT", "days=week"], "days is a finite number, not 'week'"),
        (["returns", "symbol=BTCUSDT", "days=nan"], "days is a finite number"),
        (["returns", "symbol=BTCUSDT", "until=soon"], "until is a time"),
        (["returns", "symbol=BTC'; --"], "unknown symbol"),
        (["return", "symbol=BTCUSDT"], "did you mean 'returns'"),
        (["returns", "sybmol=BTCUSDT"], "unknown parameter"),
    ],
)
def test_a_wrong_question_from_a_shell_says_what_is_right(words, says):
    done = run(*words)
    assert done.exit_code != 0
    assert says in str(done.exception)
