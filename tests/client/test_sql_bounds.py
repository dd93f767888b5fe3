"""Bounds of queries: memory, temporary space, the size of a result, time, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

import cexkit
from cexkit.client.query_run import run_query
from cexkit.config import Settings
from cexkit.errors import QueryBoundError

#: Takes hours, in memory that does not grow.
LONG = "SELECT sum(a.range * b.range) AS s FROM range(1000000) a, range(1000000) b"
#: The same, and yields no row meanwhile: no batch ends at which signals are checked.
SILENT = "SELECT a.range AS x FROM range(1000000) a, range(1000000) b WHERE a.range + b.range < 0"
DEEP = "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT max(n) AS n FROM t"


@pytest.fixture
def bounded(monkeypatch):
    def opened(**bounds):
        for name, value in bounds.items():
            monkeypatch.setenv(f"CEXKIT_{name.upper()}", str(value))
        return cexkit.connect("sample")

    return opened


def setting(market, name):
    return market.sql(f"SELECT current_setting('{name}') AS value").to_polars().item()


def test_defaults_are_in_force():
    market, defaults = cexkit.connect("sample"), Settings()
    assert market.sql(f"SELECT parse_formatted_bytes('{setting(market, 'memory_limit')}') AS n").to_polars().item() <= (
        defaults.sql_memory_bytes
    )
    assert setting(market, "max_temp_directory_size") == "18.6 GiB"
    assert setting(market, "temp_directory") != ".tmp"


def test_threads_are_a_setting(bounded):
    assert setting(bounded(sql_threads=1), "threads") == 1


@pytest.mark.parametrize("query", [LONG, SILENT, DEEP], ids=["long", "silent", "recursive"])
@pytest.mark.parametrize("form", ["to_pandas", "to_pyarrow", "to_polars", "to_pyarrow_batches"])
def test_query_ends_after_its_seconds(bounded, query, form):
    market = bounded(sql_seconds=0.5)
    began = time.monotonic()
    with pytest.raises(QueryBoundError, match="CEXKIT_SQL_SECONDS"):
        list(getattr(market.sql(query), form)())
    assert time.monotonic() - began < 20
    assert market.sql("SELECT 1 AS n").to_polars().item() == 1, "the connection stays usable"


def test_time_of_a_packaged_query_is_bounded(bounded):
    market = bounded(sql_seconds=0.5)
    query = replace(market.queries["universe"], sql=LONG)
    with pytest.raises(QueryBoundError, match="CEXKIT_SQL_SECONDS"):
        run_query(market, query, {})


def test_memory_of_a_query_is_bounded(bounded):
    market = bounded(sql_memory_bytes=60_000_000, sql_temp_bytes=0, sql_threads=1)
    with pytest.raises(QueryBoundError, match=r"CEXKIT_SQL_(MEMORY|TEMP)_BYTES"):
        market.sql("SELECT range AS x, random() AS y FROM range(20000000) ORDER BY y").to_polars()
    assert market.sql("SELECT 1 AS n").to_polars().item() == 1


def test_temporary_space_of_a_query_is_bounded(bounded):
    market = bounded(sql_memory_bytes=60_000_000, sql_temp_bytes=20_000_000, sql_threads=1)
    with pytest.raises(QueryBoundError, match=r"20,000,000 bytes of temporary space \(CEXKIT_SQL_TEMP_BYTES\)"):
        market.sql("SELECT range AS x, random() AS y FROM range(20000000) ORDER BY y").to_polars()


def test_query_beyond_its_memory_uses_temporary_space_outside_the_working_folder(bounded, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    market = bounded(sql_memory_bytes=100_000_000, sql_threads=1)
    rows = "(SELECT range AS x, hash(range) AS y FROM range(8000000) ORDER BY y)"
    assert market.sql(f"SELECT count(*) AS n FROM {rows}").to_polars().item() == 8_000_000
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("form", ["to_pandas", "to_pyarrow", "to_polars"])
def test_size_of_a_result_is_bounded(bounded, form):
    market = bounded(sql_memory_bytes=60_000_000)
    with pytest.raises(QueryBoundError, match=r"at most 60,000,000 bytes \(CEXKIT_SQL_MEMORY_BYTES\)"):
        getattr(market.sql("SELECT range AS x FROM range(1000000000000)"), form)()


def test_batches_of_a_large_result_are_not_bounded_together(bounded):
    market = bounded(sql_memory_bytes=60_000_000)
    batches = market.sql("SELECT range AS x FROM range(20000000)").to_pyarrow_batches()
    assert sum(batch.num_rows for batch in batches) == 20_000_000


@pytest.mark.parametrize("query", [LONG, SILENT], ids=["long", "silent"])
def test_ctrl_c_ends_a_query(query):
    market = cexkit.connect("sample")
    rows = market.sql(query)
    threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        rows.to_polars()
    assert time.monotonic() - began < 20
    assert market.sql("SELECT 1 AS n").to_polars().item() == 1


def test_ctrl_c_ends_the_command():
    code = (
        "import sys, cexkit\nfrom cexkit.cli.commands import main\n"
        "cexkit.connect('sample').sql('SELECT 1 AS n').to_pandas()\nprint('ready', flush=True)\n"
        "sys.argv = ['cexkit', 'sql', sys.argv[1]]\nmain()"
    )
    words = [sys.executable, "-c", code, SILENT]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(5)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
