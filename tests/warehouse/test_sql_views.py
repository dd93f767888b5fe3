"""The SQL views are what the metrics are: generated, current, and the same numbers in a plain DuckDB shell."""

from __future__ import annotations

import duckdb
import polars as pl
import pytest

from cexkit.analytics.catalog import METRICS
from cexkit.schema import TABLES
from cexkit.warehouse.sql_views import KINDS, generated, tables_of
from cexkit.warehouse.store.locations import SAMPLE_ROOT

VIEWS = [(name, table.name) for name, metric in METRICS.items() if metric.kind in KINDS for table in tables_of(metric)]


def test_the_files_are_current(project_root):
    written = {
        f"sql/views/{path.name}": path.read_text(encoding="utf-8") for path in (project_root / "sql/views").glob("*")
    }
    assert written == generated(), "run `python -m cexkit.warehouse.sql_views`"


@pytest.fixture(scope="module")
def shell():
    """Plain DuckDB with nothing of cexkit but its SQL files."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'Asia/Tokyo'")  # whatever the user's is
    connection.execute("SET VARIABLE root = ?", [str(SAMPLE_ROOT)])
    for text in generated().values():
        connection.execute(text)
    return connection


@pytest.mark.parametrize("table", TABLES)
def test_tables_are_there_by_name(shell, table):
    described = shell.execute(f"describe {table}").fetchall()
    assert [row[0] for row in described] == list(TABLES[table].columns)


@pytest.mark.parametrize(("name", "table"), VIEWS)
def test_a_view_gives_the_numbers_of_the_metric(shell, name, table):
    # times as numbers: they must not depend on the session's zone
    rows = f"(select * from {table})"
    frame = pl.from_arrow(shell.execute(f"select * from {rows}").to_arrow_table())
    frame = frame.with_columns(pl.col(pl.Datetime).dt.convert_time_zone("UTC"))
    want = METRICS[name].function(frame)
    got = pl.from_arrow(shell.execute(f"select * from {table}_{name}").to_arrow_table())
    got = got.with_columns(pl.col(pl.Datetime).dt.convert_time_zone("UTC")).select(want.columns)
    keys = [column for column, dtype in want.schema.items() if not dtype.is_float()]
    keys += [column for column in TABLES[table].key if column in want.columns and column not in keys]
    got, want = got.sort(keys), want.sort(keys)
    assert got.height == want.height > 0
    for column in want.columns:
        if want.schema[column].is_float():
            apart = (got[column] - want[column]).abs() / want[column].abs().clip(1e-300)
            assert (got[column].is_null() == want[column].is_null()).all(), column
            assert (apart.max() or 0.0) <= 1e-12, column
        else:
            assert got[column].to_list() == want[column].to_list(), column
