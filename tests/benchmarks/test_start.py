"""Commands and the import, each next to a script that merely imports the same libraries and asks DuckDB one thing.

``cexkit sql`` must print within half a second.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

IMPORTS = "import ibis, pandas, polars, matplotlib, duckdb; duckdb.sql('select 42').fetchall()"
COMMANDS = {
    "cexkit": [str(Path(sys.executable).with_name("cexkit")), "demo"],
    "imports and one query": [sys.executable, "-c", IMPORTS],
}


@pytest.mark.parametrize("version", COMMANDS)
def test_demo(benchmark, tmp_path, version):
    benchmark.group = "`cexkit demo`"
    how = {"cwd": tmp_path, "stdout": subprocess.DEVNULL, "check": True}
    benchmark.pedantic(subprocess.run, args=(COMMANDS[version],), kwargs=how, rounds=7, warmup_rounds=1)


SQL = {
    "cexkit": [sys.executable, "-m", "cexkit.cli", "sql", "select count(*) from funding_rates"],
    "imports and one query": [
        sys.executable, "-c", "import duckdb, pyarrow, pydantic_settings, typer; duckdb.sql('select 42').fetchall()"
    ],
}  # fmt: skip


@pytest.mark.parametrize("version", SQL)
def test_sql(benchmark, version):
    benchmark.group = "`cexkit sql`"
    how = {"stdout": subprocess.DEVNULL, "check": True}
    benchmark.pedantic(subprocess.run, args=(SQL[version],), kwargs=how, rounds=7, warmup_rounds=1)
    if version == "cexkit":
        assert benchmark.stats.stats.min < 0.5


@pytest.mark.parametrize("version", ["cexkit", "bare Python"])
def test_import(benchmark, version):
    benchmark.group = "`import cexkit`"
    code = {"cexkit": "import cexkit"}.get(version, "pass")
    benchmark.pedantic(
        subprocess.run, args=([sys.executable, "-c", code],), kwargs={"check": True}, rounds=7, warmup_rounds=1
    )
