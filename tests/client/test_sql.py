"""``market.sql``: every statement that reads, and none that reads anything but the dataset."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import duckdb
import pyarrow as pa
import pytest

import cexkit
from cexkit.client.opening import Opening
from cexkit.errors import CexkitError, InvalidInputError
from cexkit.schema import TABLES
from cexkit.warehouse.store.locations import SAMPLE_ROOT


@pytest.fixture(scope="module")
def market():
    return cexkit.connect("sample")


def test_recursion_runs(market):
    query = """
        WITH RECURSIVE days(day) AS (
            SELECT min(timestamp) FROM funding_rates UNION ALL
            SELECT day + INTERVAL 1 DAY FROM days
            WHERE day < (SELECT min(timestamp) + INTERVAL 9 DAY FROM funding_rates)
        )
        SELECT count(*) AS n, max(day) - min(day) AS span FROM days
    """
    found = market.sql(query).to_pandas()
    assert (found.n[0], found.span[0].days) == (10, 9)


@pytest.mark.parametrize("query", ["DESCRIBE funding_rates", "desc Funding_Rates;", "show funding_rates -- columns"])
def test_describe_lists_the_columns(market, query):
    assert market.sql(query).column_name.execute().tolist() == list(TABLES["funding_rates"].columns)


def test_summarize_counts_the_rows(market):
    found = market.sql("SUMMARIZE funding_rates").to_pandas().set_index("column_name")
    assert set(found["count"]) == {market.tables["funding_rates"].rows}
    assert found["max"]["exchange"] == "okx"


@pytest.mark.parametrize(
    "query", ["SHOW TABLES", "show all tables", "(show tables)", "DESCRIBE", "show tables from memory"]
)
def test_show_tables_lists_the_tables_of_the_dataset(query):
    market = cexkit.connect("sample")
    market.table("funding_rates", start="2026-06-30")  # views of parts of a table are not tables
    market.sql("select 1 as a")
    assert market.sql(query).name.execute().tolist() == sorted(market.tables)


@pytest.mark.parametrize(
    "query", ["TABLE instruments", "VALUES (1), (2)", "UNPIVOT instruments ON symbol", "FROM instruments"]
)
def test_other_statements_that_read_run(market, query):
    assert len(market.sql(query).to_pandas()) > 1


@pytest.mark.parametrize("query", ["select '\udc80'", None, 7, b"select 1"])
def test_query_that_is_no_text_is_our_error(market, query):
    with pytest.raises(InvalidInputError, match=r"must be text|not accepted"):
        market.sql(query)


def test_pivot_with_its_values_runs_and_without_them_is_told_of_them(market):
    prices = "PIVOT ohlcv_1d ON exchange {} USING avg(close) GROUP BY symbol"
    assert {"binance", "okx"} < set(market.sql(prices.format("IN ('binance', 'okx')")).columns)
    with pytest.raises(InvalidInputError, match="a PIVOT must name its values"):
        market.sql(prices.format(""))


def test_results_can_be_composed(market):
    found = market.sql("describe instruments")
    assert found.filter(found.column_name == "symbol").count().execute() == 1


@pytest.mark.parametrize(
    "query",
    [
        "DESCRIBE SELECT * FROM read_text('/etc/hostname')",
        "SUMMARIZE SELECT * FROM read_csv('/etc/passwd')",
        "SUMMARIZE (FROM '/etc/passwd')",
        "DESCRIBE '/etc/passwd'",
        "SHOW TABLES; DROP VIEW instruments",
        "DESCRIBE instruments; DELETE FROM instruments",
        "SELECT * FROM (SHOW TABLES)",
        "WITH RECURSIVE t AS (SELECT content FROM read_text('{root}/../errors.py') UNION ALL FROM t) FROM t",
        "WITH RECURSIVE t AS (SELECT * FROM glob('/etc/*') UNION ALL FROM t) FROM t",
        "DESCRIBE (INSERT INTO instruments VALUES (1))",
        "SUMMARIZE (COPY instruments TO '/tmp/x.csv')",
        "SHOW TABLES FROM read_csv('/etc/passwd')",
        "DESCRIBE SELECT * FROM query('SELECT content FROM read_text(''/etc/hostname'')')",
        "SUMMARIZE SELECT getenv('HOME')",
        "EXPLAIN ANALYZE SELECT 1",
        "PRAGMA show_tables",
        "CALL pragma_show('instruments')",
        "SELECT 1 AS a) ; DROP VIEW instruments; --",
        "DESCRIBE x UNION ALL SELECT * FROM '/etc/passwd'",
    ],
)
def test_statements_do_not_leave_the_dataset(market, query):
    with pytest.raises(CexkitError):
        market.sql(query.replace("{root}", str(SAMPLE_ROOT))).to_pandas()
    assert market.instruments.count().execute() == market.tables["instruments"].rows


def test_password_of_a_proxy_cannot_be_read(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://me:hunter2@127.0.0.1:9")
    found = cexkit.connect("sample").sql("select name, value from duckdb_settings()").to_pandas()
    assert "hunter2" not in found.to_csv()


DEEP = {
    "parentheses": ("select {} as a", "(", "1", ")"),
    "subqueries": ("{}", "select * from (", "select 1 as a", ")"),
    "functions": ("select {} as a", "abs(", "1", ")"),
    "cases": ("select {} as a", "case when true then ", "1", " end"),
    "lists": ("select {} as a", "[", "1", "]"),
    "negations": ("select {} as a", "not ", "true", ""),
    "sums": ("select {} as a", "1 + ", "1", ""),
}


@pytest.mark.parametrize("depth", [500, 100_000])
@pytest.mark.parametrize("kind", DEEP)
def test_deeply_nested_sql_is_a_result_or_our_error(market, kind, depth):
    text, left, inner, right = DEEP[kind]
    query = text.format(left * depth + inner + right * depth)
    with suppress(InvalidInputError):
        assert market.sql(query).count().execute() == 1
    assert market.sql("select 1 as a").a.execute().tolist() == [1]


def test_failure_while_a_query_runs_is_our_error_and_ends_nothing(market):
    failing = market.sql("select cast(symbol as int) as n from instruments")
    for run in (failing.to_pandas, failing.to_polars, failing.to_pyarrow, lambda: list(failing.to_pyarrow_batches())):
        with pytest.raises(InvalidInputError, match=r"could not be computed: (.|\n)*Could not convert") as error:
            run()
        assert isinstance(error.value.__cause__, duckdb.Error)
    for _ in range(2):
        with pytest.raises(InvalidInputError, match="not accepted"):
            market.sql("select nothing")
        assert market.instruments.count().execute() > 0


QUERIES = {
    "rows": "select * from funding_rates where exchange = 'okx' order by timestamp, symbol limit 50",
    "list": "SHOW TABLES",
    "columns": "DESCRIBE instruments",
    "not accepted": "select nonsense from instruments",
    "two of a name": "select 1 as a, 2 as a",
    "not computed": "select cast(symbol as int) as n from instruments",
    "outside": "select * from read_text('/etc/hostname')",
    "writes": "delete from instruments",
    "nothing": "",
    "no text": None,
    "variable": "select * from hidden",
    "deep": "select " + "(" * 100_000 + "1" + ")" * 100_000,
}


@pytest.mark.parametrize("kind", QUERIES)
def test_fetch_is_sql_computed_without_ibis(kind):
    """Also in a new thread, whose cursor has the settings of the database."""
    hidden = pa.table({"a": [1]})

    def computed(run):
        try:
            return run()
        except InvalidInputError as error:
            return str(error)

    market = cexkit.connect("sample")
    query = QUERIES[kind]
    ways = [lambda: market.sql(query).to_pyarrow(), lambda: Opening.of("sample").reader().fetch(query)]
    with ThreadPoolExecutor(1) as pool:
        found = [*map(computed, ways), *pool.map(computed, ways)]
    assert all(each == found[0] for each in found)
    assert isinstance(found[0], pa.Table) == (kind in ("rows", "list", "columns"))
    assert hidden.num_rows == 1


@pytest.mark.parametrize("name", ["it's", "a, b", "[x]", "back\\slash", '"quoted"'])
def test_folder_of_any_name_is_read_and_nothing_beside_it(tmp_path, name):
    folder = shutil.copytree(SAMPLE_ROOT, tmp_path / name)
    (tmp_path / "secret.csv").write_text("a\n1\n")
    reader = Opening.of(folder).reader()
    assert reader.fetch("select count(*) as n from instruments").column("n")[0].as_py() > 0
    with pytest.raises(InvalidInputError):
        reader.fetch(f"select * from '{str(tmp_path / 'secret.csv').replace(chr(39), chr(39) * 2)}'")


@pytest.mark.parametrize("form", ["to_pandas", "to_polars", "to_pyarrow"])
@pytest.mark.parametrize(
    "value",
    [
        "interval 1 day", "map{'a': 1}", "'{}'::json", "(2::hugeint ** 126)::hugeint", "1::uhugeint", "'101'::bit",
        "'4714-11-24 (BC)'::date", "'infinity'::timestamp", "'infinity'::date", "union_value(k := 1)",
    ],
)  # fmt: skip
def test_values_without_a_type_in_a_library_raise_our_error(market, value, form):
    result = market.sql(f"select {value} as x")
    try:
        getattr(result, form)()
    except InvalidInputError as error:
        assert "must hold values that" in str(error)  # noqa: PT017
        assert "CAST(x AS VARCHAR)" in str(error)  # noqa: PT017
    assert market.sql(f"select cast({value} as varchar) as x").to_pandas().x.notna().all()
