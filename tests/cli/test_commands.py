"""The command line, run as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

import cexkit
from cexkit.cli import demo as demo_module
from cexkit.cli.commands import app
from cexkit.schema.intervals import utc
from cexkit.testing import LoopbackBinance
from cexkit.testing.simulation import simulate

CEXKIT = str(Path(sys.executable).with_name("cexkit"))


def run(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [CEXKIT, *words], cwd=cwd, env=os.environ | environment, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("demo")
    done = run("demo", cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout, folder


def test_demo_says_what_it_is_and_when_it_ends(shown):
    text, folder = shown
    assert "SIMULATED" in text
    assert "they end at 2026-06-30 23:59 UTC" in text
    for title in ("Funding APR", "Spot-perp basis", "Open interest", "Liquidations"):
        assert title in text
    assert (folder / demo_module.CHART).read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in folder.iterdir()] == [demo_module.CHART]


def _table(text: str, title: str) -> pd.DataFrame:
    lines = text.split(title)[1].split("\n\n")[0].splitlines()[1:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not line.startswith("|-")]
    return pd.DataFrame(cells[1:], columns=cells[0]).set_index(cells[0][0])


def test_the_three_lines_give_the_numbers_of_the_first_table(shown):
    text, _ = shown
    lines = text.split("three lines of Python:\n\n")[1].strip().splitlines()
    assert len(lines) == 3
    scope: dict = {}
    exec("\n".join(lines[:2]), scope)
    expected = eval(lines[2], scope) * 100
    printed = _table(text, "Funding APR").replace("", None).astype(float)
    pd.testing.assert_frame_equal(
        printed.sort_index(),
        expected.round(2),
        check_names=False,
        check_index_type=False,
        check_column_type=False,
        atol=0.011,
    )


def test_demo_basis_and_liquidations_equal_the_client(shown):
    text, _ = shown
    market = cexkit.connect("sample")
    end = utc("2026-06-30T23:00")
    bars = market.table("ohlcv_1h", start=end, symbol="BTCUSDT", exchange="okx", instrument_type=["spot", "perp"])
    close = bars.to_pandas().set_index("instrument_type").close
    expected = (close.perp / close.spot - 1) * 1e4
    printed = _table(text, "Spot-perp basis")
    assert float(printed.loc["BTC", "okx"]) == pytest.approx(expected, abs=0.011)
    rows = market.basis(reference="spot", start="2026-07-01").to_polars()
    cells = {(base, venue): basis * 1e4 for base, venue, basis in rows.select("base", "exchange", "basis").rows()}
    shown_cells = {key: float(cell) for key, cell in printed.stack().items() if cell}
    assert shown_cells == pytest.approx(cells, abs=0.011)
    assert ("BTC", "coinbase") in cells
    assert "last hour (coinbase: USDC perp over USD spot)" in text
    held = market.open_interest_usd(start=end).to_polars()
    millions = {
        (base, venue): usd / 1e6 for base, venue, usd in held.select("base", "exchange", "open_interest_usd").rows()
    }
    printed = _table(text, "Open interest in million USD")
    assert {key: float(cell) for key, cell in printed.stack().items() if cell} == pytest.approx(millions, abs=0.011)
    week = market.table("liquidations", start="2026-06-23T23:59", exchange="okx").to_pandas()
    shown_events = _table(text, "Liquidations of the last 7 days").query("exchange == 'okx'").set_index("side").events
    assert shown_events.astype(int).to_dict() == week.side.value_counts().to_dict()


def test_pull_then_connect(tmp_path):
    truth = simulate(start="2026-06-20", end="2026-06-25", coins=["BTC"], exchanges=["binance"]).tables
    frames = {name: truth[name] for name in ("instruments", "funding_rates")}
    with LoopbackBinance(frames, now="2026-06-25") as venue:
        urls = json.dumps(dict(venue.settings.base_urls))
        environment = {"CEXKIT_BASE_URLS": urls, "CEXKIT_MAX_CLOCK_SKEW_SECONDS": "none"}
        words = ["pull", "binance", "funding_rates", "--symbol", "BTCUSDT", "--start", "2026-06-20", "--warehouse", "w"]
        done = run(*words, cwd=tmp_path, **environment)
        assert done.returncode == 0, done.stderr
        assert "0 rows quarantined" in done.stdout
        again = run(*words, "--end", "2026-06-10", cwd=tmp_path, **environment)
    rows = cexkit.connect(tmp_path / "w").funding_rates.count().execute()
    assert rows == truth["funding_rates"].height
    assert again.returncode == 1
    assert "ends before it starts" in again.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["pull", "binanse", "funding_rates"], "did you mean 'binance'"),
        (["pull", "binance", "fundings", "--start", "2024-01-01"], "did you mean 'funding_rates'"),
        (["pull", "binance", "funding_rates", "--start", "soon"], "not a time: 'soon'"),
    ],
)
def test_errors_are_one_line_without_a_traceback(tmp_path, words, says):
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_settings_that_cannot_be_used_are_named(tmp_path):
    done = run("pull", "binance", "instruments", cwd=tmp_path, CEXKIT_HTTP_ATTEMPTS="0")
    assert done.returncode == 1
    assert "CEXKIT_HTTP_ATTEMPTS" in done.stderr


def test_tables_are_listed(tmp_path):
    done = run("tables", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "simulated data" in done.stdout
    rows = [json.loads(line) for line in run("tables", "--json", cwd=tmp_path).stdout.splitlines()]
    assert {row["table"]: row["rows"] for row in rows} == {
        name: info.rows for name, info in cexkit.connect("sample").tables.items()
    }


SHOW = ["show", "funding_rates", "--symbol", "BTCUSDT", "--exchange", "okx", "--start", "2026-06-29"]


def test_rows_are_shown_and_written_with_the_same_numbers(tmp_path):
    market = cexkit.connect("sample")
    expected = market.table("funding_rates", symbol="BTCUSDT", exchange="okx", start="2026-06-29").to_pandas()
    shown = run(*SHOW, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "funding_rate" in shown.stdout
    lines = [json.loads(line) for line in run(*SHOW, "--json", cwd=tmp_path).stdout.splitlines()]
    assert [line["funding_rate"] for line in lines] == pytest.approx(expected.funding_rate.tolist(), rel=1e-13)
    assert pd.to_datetime([line["timestamp"] for line in lines]).tolist() == expected.timestamp.tolist()
    for name, read in (("rates.parquet", pd.read_parquet), ("rates.csv", pd.read_csv)):
        done = run(*SHOW, "--output", name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert read(tmp_path / name).funding_rate.tolist() == expected.funding_rate.tolist()
    away = run(*SHOW, "--output", "nowhere/rates.csv", cwd=tmp_path)
    assert away.returncode == 0, away.stderr
    refused = run(*SHOW, "--output", "rates.xls", cwd=tmp_path)
    assert refused.returncode == 1
    assert ".parquet, .csv, .json" in refused.stderr
    assert not (tmp_path / "rates.xls").exists()


def test_sql_over_a_dataset(tmp_path):
    query = "select exchange, count(*) as n from funding_rates group by all order by all"
    done = run("sql", query, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    counts = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(row["n"] for row in counts) == cexkit.connect("sample").tables["funding_rates"].rows


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("select nonsense from funding_rates", "nonsense"),
        ("select cast(symbol as int) as n from funding_rates", "Could not convert string"),  # found out by computing
    ],
)
def test_sql_that_cannot_be_answered_is_told_without_a_traceback(tmp_path, query, says):
    wrong = run("sql", query, cwd=tmp_path)
    assert wrong.returncode == 1
    assert says in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_json_keeps_every_digit_of_numbers_however_small(tmp_path):
    numbers = [1.2345678901234567e-10, 8.053e-06, 1 / 3, 1e300]
    more = "7 as n, null as nothing, 'a'::blob as bytes, timestamp '2024-01-01 10:00' as time"
    query = f"select unnest([{', '.join(map(repr, numbers))}]::double[]) as x, {more}"
    lines = CliRunner().invoke(app, ["sql", query, "--json"]).stdout
    assert CliRunner().invoke(app, ["sql", query, "--output", str(tmp_path / "numbers.json")]).exit_code == 0
    assert lines == (tmp_path / "numbers.json").read_text()
    others = {"n": 7, "nothing": None, "bytes": "61", "time": "2024-01-01T10:00:00.000000"}
    assert [json.loads(line) for line in lines.splitlines()] == [{"x": x} | others for x in numbers]
