"""Archives found wrong, and mended, after their rows were merged: Silver follows, as a rebuild would make it."""

from __future__ import annotations

import polars as pl
import pytest

from cexkit.exchanges.parsing import Context
from cexkit.schema import TABLES
from cexkit.schema.intervals import utc
from cexkit.schema.symbols import Instrument
from cexkit.testing import LoopbackOkx
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.conflicts import CONFLICT, conflicting
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.ingest.rebuild import rebuild
from cexkit.warehouse.ingest.replay import Parsed
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.warehouse import Warehouse

from ...clock import Clock, reading

#: The time of venues and readers, which passes when budgets wait.
CLOCK = Clock()

FUNDING = TABLES["funding_rates"]
START, MIDDLE, END = "2025-11-01", "2026-03-01", "2026-06-25"


@pytest.fixture(scope="module")
def truth() -> dict[str, pl.DataFrame]:
    tables = simulate(start=START, end=END, coins=["BTC"], exchanges=["okx"]).tables
    return {name: tables[name] for name in ("instruments", "funding_rates")}


def _pull(truth, warehouse, start, end, now=END, **more):
    with LoopbackOkx(truth, now=f"{now}T00:00:05", **more, clock=CLOCK) as venue, reading(venue, CLOCK) as fetcher:
        words = {"warehouse": warehouse, "fetcher": fetcher, "now": utc(END)}
        return pull("okx", "funding_rates", "BTCUSDT", start, end, **words)


def _rows(warehouse: Warehouse) -> pl.DataFrame:
    return pl.from_arrow(warehouse.read(FUNDING)).sort("timestamp")


def _require_equal_to_rebuild(warehouse: Warehouse) -> None:
    (done,) = rebuild(warehouse, "okx", [FUNDING], dry_run=True, now=utc(END))
    assert (done.added, done.changed, done.lost.height) == (0, 0, 0), str(done)


def test_archive_found_wrong_later_leaves_all_of_silver_and_comes_back_when_it_is_mended(truth, tmp_path):
    warehouse, paid = Warehouse(tmp_path), truth["funding_rates"].sort("timestamp")
    assert not _pull(truth, warehouse, START, MIDDLE).problems
    archived = _rows(warehouse)
    assert archived.height > 300
    report = _pull(truth, warehouse, MIDDLE, END, archive_error=1e-6)
    assert any("differs from the paid one" in problem.message for problem in report.problems)
    assert _rows(warehouse)["timestamp"].min() > utc(MIDDLE)
    removed = Ledger(warehouse.root, "okx", FUNDING).removed
    assert removed["rule"].unique().to_list() == [CONFLICT]
    assert set(removed["timestamp"]) == set(archived["timestamp"]) - set(_rows(warehouse)["timestamp"])
    _require_equal_to_rebuild(warehouse)
    _pull(truth, warehouse, MIDDLE, END)
    facts = ["timestamp", "funding_rate"]
    assert _rows(warehouse).select(facts).equals(paid.select(facts))
    assert Ledger(warehouse.root, "okx", FUNDING).rules.filter(rule=CONFLICT).is_empty()
    _require_equal_to_rebuild(warehouse)


def test_conflict_stays_while_responses_of_the_api_are_lost(truth, tmp_path):
    """The archive could look right only because the responses that contradict it are missing."""
    warehouse = Warehouse(tmp_path)
    _pull(truth, warehouse, MIDDLE, END, archive_error=1e-6)
    before = _rows(warehouse)
    for path in (warehouse.root / "bronze").glob("exchange=okx/endpoint=*rate-history*/*/*.parquet"):
        path.unlink()
    _pull(truth, warehouse, START, MIDDLE, archive_error=1e-6)
    assert _rows(warehouse).equals(before)
    assert Ledger(warehouse.root, "okx", FUNDING).rules.filter(rule=CONFLICT)["symbol"].to_list() == ["BTCUSDT"]


def test_archive_is_compared_with_the_rows_of_lost_responses(truth, tmp_path):
    warehouse, span = Warehouse(tmp_path), ("2026-05-05", "2026-05-20")
    _pull(truth, warehouse, *span, now="2026-05-24")  # the month's file is not out yet
    before = _rows(warehouse)
    for path in (warehouse.root / "bronze").glob("exchange=okx/endpoint=*rate-history*/*/*.parquet"):
        path.unlink()
    report = _pull(truth, warehouse, *span, archive_error=1e-6)
    assert any("differs from the paid one" in problem.message for problem in report.problems)
    assert _rows(warehouse).equals(before)


@pytest.mark.parametrize(
    ("paid", "expected"),
    [
        ([0.1, 0.2, 0.3], None),
        ([0.1, 0.2 + 1e-9, 0.3], None),
        ([0.1, 0.2 + 1e-6, 0.3], "1 of 3 settlements"),
        ([0.1, 0.3], "1 of 2 settlements"),
        ([], None),
    ],
)
def test_one_settlement_that_differs_is_a_conflict(truth, paid, expected):
    rows = truth["funding_rates"].head(3).with_columns(funding_rate=pl.Series([0.1, 0.2, 0.3]))
    (instrument,) = [Instrument.of(row) for row in truth["instruments"].filter(instrument_type="perp").rows(named=True)]
    context = Context(exchange="okx", table="funding_rates", now=utc(END), instrument=instrument)
    answered = rows.head(len(paid)).with_columns(funding_rate=pl.Series(paid, dtype=pl.Float64))
    parsed = [
        Parsed({"endpoint": endpoint}, context, frame.to_arrow())
        for endpoint, frame in (("archive", rows), ("api", answered))
    ]
    found = conflicting(parsed, ["archive"], FUNDING, rows.clear())
    assert [expected in text for text in found.values()] == [True] if expected else found == {}
