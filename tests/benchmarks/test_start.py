"""``cexkit demo`` beside a script that merely imports its libraries and asks DuckDB one thing, in one run."""

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


@pytest.mark.parametrize("version", ["cexkit", "pandas, polars, narwhals"])
def test_import(benchmark, version):
    benchmark.group = "`import cexkit`"
    code = {"cexkit": "import cexkit"}.get(version, f"import {version}.stable.v2")
    benchmark.pedantic(
        subprocess.run, args=([sys.executable, "-c", code],), kwargs={"check": True}, rounds=7, warmup_rounds=1
    )
