"""OKX's archive of funding: months of UTC+8 cut right, and never mixed with rates that differ."""

from __future__ import annotations

import io
import zipfile
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cexkit.errors import PayloadError
from cexkit.exchanges.archives import plan
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.registry import EXCHANGES, parse_response
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, utc
from cexkit.schema.render import to_pyarrow
from cexkit.schema.symbols import Instrument
from cexkit.testing import LoopbackOkx
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.store.warehouse import Warehouse
from tests.flaws import flaw

from ...clock import Clock, reading

#: The time of venues and readers, which passes when budgets wait.
CLOCK = Clock()

FUNDING = TABLES["funding_rates"]
BTC = Instrument(exchange="okx", instrument_type="perp", symbol="BTCUSDT", venue_symbol="BTC-USDT-SWAP", base="BTC",
                 quote="USDT", contract_size=0.01)  # fmt: skip
ARCHIVE = EXCHANGES["okx"].archives["funding_rates", "perp"]
START, END = "2025-07-01", "2026-06-25"


@pytest.fixture(scope="module")
def truth() -> dict[str, pl.DataFrame]:
    tables = simulate(start=START, end=END, coins=["BTC"], exchanges=["okx"]).tables
    return {name: tables[name] for name in ("instruments", "funding_rates")}


def brought(truth, folder, start=START, **more):
    with LoopbackOkx(truth, now=f"{END}T00:00:05", **more, clock=CLOCK) as venue, reading(venue, CLOCK) as fetcher:
        report = pull("okx", "funding_rates", "BTCUSDT", start, END, warehouse=folder, fetcher=fetcher)
        files = [entry for entry in venue.log if "swaprates" in entry.request.path]
    return report, pl.from_arrow(Warehouse(folder).read(FUNDING)).sort("timestamp"), files


def test_a_year_is_whole_over_all_borders_of_months_years_and_of_what_the_api_keeps(truth, tmp_path):
    report, rows, files = brought(truth, tmp_path)
    assert not report.problems
    expected = truth["funding_rates"].sort("timestamp")
    assert rows.select("timestamp", "funding_rate").equals(expected.select("timestamp", "funding_rate"))
    # July 2025 of UTC to May 2026 of UTC+8: 11 months; June is not out
    assert [entry.status for entry in files].count(200) == 11
    assert rows["timestamp"].is_unique().all()


def test_a_day_of_utc_needs_the_month_that_begins_before_it_ends():
    window = Window.of("2026-01-31T12:00", "2026-01-31T20:00")
    made = plan(ARCHIVE, BTC, window, utc("2026-06-01"))
    assert [piece.path[-11:-4] for piece in made.files] == ["2026-01", "2026-02"]
    assert made.files[0].window.end == utc("2026-01-31T16:00") == made.files[1].window.start
    assert not made.rest
    fresh = plan(ARCHIVE, BTC, window, utc("2026-03-01"))
    assert [piece.path[-11:-4] for piece in fresh.files] == ["2026-01"], "out two days after its end"
    assert fresh.rest == (Window(utc("2026-01-31T16:00"), window.end),)


def test_an_archive_whose_rates_differ_is_not_used_and_that_is_said(truth, tmp_path):
    report, rows, _ = brought(truth, tmp_path, archive_error=1e-6)
    (problem,) = {problem.message for problem in report.problems if "differs from the paid one" in problem.message}
    assert "only what the API has is used" in problem
    expected = truth["funding_rates"].filter(pl.col("timestamp") >= rows["timestamp"].min()).sort("timestamp")
    assert rows.select("timestamp", "funding_rate").equals(expected.select("timestamp", "funding_rate"))
    assert timedelta(days=90) < utc(END) - rows["timestamp"].min() < timedelta(days=94)


def test_digits_that_the_archive_leaves_out_are_no_difference(truth, tmp_path):
    report, rows, _ = brought(truth, tmp_path, archive_error=1e-10)
    assert not report.problems
    assert rows.height == truth["funding_rates"].height


def test_a_file_is_kept_once_and_again_where_it_was_replaced(truth, tmp_path):
    def kept() -> int:
        return len(list((tmp_path / "bronze" / "exchange=okx" / "archive").glob("*.zip")))

    brought(truth, tmp_path)
    assert kept() == 11
    brought(truth, tmp_path)
    assert kept() == 11
    report, rows, _ = brought(truth, tmp_path, archive_error=1e-9)
    assert kept() == 22
    assert not report.problems
    assert rows.height == truth["funding_rates"].height


def test_a_month_that_is_not_there_is_said(truth, tmp_path):
    listed = truth["funding_rates"]
    hole = (pl.col("timestamp") >= utc("2025-10-31T16:00")) & (pl.col("timestamp") < utc("2025-11-30T16:00"))
    report, rows, _ = brought(truth | {"funding_rates": listed.filter(~hole)}, tmp_path)
    (problem,) = report.problems
    assert "does not keep it" in problem.message
    assert problem.window.start == utc("2025-10-31T16:00")
    assert rows.height == listed.filter(~hole).height


def packed(text: str) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as file:
        file.writestr("rates.csv", text.encode("gb18030"))
    return body.getvalue()


CONTEXT = Context(exchange="okx", table="funding_rates", now=utc("2026-01-01"), instrument=BTC,
                  window=Window.of("2023-01-01", "2023-02-01"))  # fmt: skip
ROW = "BTC-USDT-SWAP,0.0001,1672617600000\n"


@pytest.mark.parametrize("head", ["", "instrument_name,funding_rate,funding_time\n", "合约,资金费率,时间\n"])
@pytest.mark.parametrize("time", ["1672617600000", "1672617600000000", "1672617600004"])
def test_headers_and_units_are_told_by_the_rows(head, time):
    rows = parse_response("okx", ARCHIVE.endpoint, packed(head + ROW.replace("1672617600000", time)), CONTEXT)
    assert rows["timestamp"].to_pylist() == [utc("2023-01-02")]
    assert rows["funding_rate"].to_pylist() == [0.0001]


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("ETH-USDT-SWAP,0.0001,1672617600000", "instrument_name"),
        ("BTC-USDT-SWAP,nan,1672617600000", "funding_rate"),
        ("BTC-USDT-SWAP,much,1672617600000", "funding_rate"),
        ("BTC-USDT-SWAP,0.0001,1672617600", "funding_time"),
        ("BTC-USDT-SWAP,0.0001", "columns"),
    ],
)
def test_what_is_wrong_is_named_and_costs_only_its_row(row, field):
    found = flaw(parse_response("okx", ARCHIVE.endpoint, packed(ROW + row + "\n"), CONTEXT))
    assert found.startswith("row 1")
    assert field in found


@given(st.binary(max_size=80) | st.text(max_size=60).map(packed))
def test_any_bytes_give_rows_or_an_error_of_ours(body):
    try:
        rows = parse_response("okx", ARCHIVE.endpoint, body, CONTEXT)
    except PayloadError:
        return
    assert rows.schema.equals(to_pyarrow(FUNDING))
