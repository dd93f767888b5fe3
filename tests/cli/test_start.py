"""What commands import: a query over a local dataset takes DuckDB and PyArrow, and no other library of frames."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"pandas", "polars", "ibis", "narwhals", "httpx", "huggingface_hub", "matplotlib", "sqlglot"}
CODE = """
import sys
sys.argv = ["cexkit", *sys.argv[1:]]
from cexkit.cli.commands import main
try:
    main()
finally:
    print(*{name.partition(".")[0] for name in sys.modules}, file=sys.stderr)
"""


def imported(*words: str) -> set[str]:
    """Return the libraries that a command has imported at its end."""
    done = subprocess.run([sys.executable, "-c", CODE, *words], capture_output=True, text=True, timeout=60, check=True)
    return {*done.stderr.splitlines()[-1].split()}


@pytest.fixture(scope="module")
def old_dataset(tmp_path_factory, project_root):
    """A dataset of schema version 1, whose files lack columns."""
    import zipfile

    folder = tmp_path_factory.mktemp("schema_1")
    with zipfile.ZipFile(project_root / "tests/fixtures/schema_1.zip") as archive:
        archive.extractall(folder)
    return str(folder)


@pytest.mark.parametrize(
    "query",
    [
        "select count(*) from funding_rates",
        "select * from funding_rates order by timestamp",
        "describe funding_rates",
        "show tables",
        "select timestamp_ns '2024-01-01' as t, [1.5] as l, date '2024-01-01' as d, null::decimal as n",
    ],
)
def test_sql_imports_duckdb_and_pyarrow_only(query):
    found = imported("sql", query)
    assert {"duckdb", "pyarrow"} <= found
    assert not found & HEAVY


def test_sql_over_files_of_an_earlier_schema_imports_duckdb_and_pyarrow_only(old_dataset):
    assert not imported("sql", "select multiplier from ohlcv_1h limit 1", "--data", old_dataset) & HEAVY


def test_tables_imports_no_engine():
    assert not imported("tables") & {*HEAVY, "duckdb"}


def test_help_imports_no_library_of_data():
    assert not imported("sql", "--help") & {*HEAVY, "duckdb", "pyarrow", "numpy"}


def test_show_imports_no_pandas():
    assert not imported("show", "funding_rates", "--symbol", "BTCUSDT", "--exchange", "okx") & {"pandas", "polars"}
