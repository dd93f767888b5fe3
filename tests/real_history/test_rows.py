"""Every row of real history comes back from the wire as it was, and nothing of it is flagged."""

from __future__ import annotations

import polars as pl
import pytest

from cexkit.schema import TABLES
from cexkit.schema.intervals import utc
from cexkit.warehouse.quality import run_checks

#: Columns that the wire carries, by table; a value that the history lacks is not compared.
COMPARED = {
    "funding_rates": ("funding_rate", "funding_interval_hours", "venue_timestamp", "mark_price"),
    "ohlcv_1h": ("open", "high", "low", "close", "volume_base", "volume_quote", "trades", "taker_buy_volume_base"),
    "mark_1h": ("open", "high", "low", "close"),
    "ohlcv_1d": ("open", "high", "low", "close", "volume_base"),
    "open_interest": ("open_interest_base", "open_interest_quote"),
}
#: Venues whose API does not carry a column.
NOT_SENT = {
    "volume_quote": ("coinbase",),
    "trades": ("bybit", "okx", "coinbase"),
    "taker_buy_volume_base": ("bybit", "okx", "coinbase"),
    "open_interest_quote": ("okx",),
    "venue_timestamp": (),
    "mark_price": ("bybit", "okx"),
}


#: Tables with rows that are lost, and why.
@pytest.mark.parametrize("table", COMPARED)
def test_rows_come_back_as_they_were_served(history, table):
    key = list(TABLES[table].key)
    served, stored = history.served[table].sort(key), history.stored(table)
    counts = [rows.group_by(key[:3]).len().sort(key[:3]) for rows in (served, stored)]
    assert counts[0].equals(counts[1])
    assert stored.select(key).equals(served.select(key))
    assert stored.select("base", "quote").equals(served.select("base", "quote"))
    for column in COMPARED[table]:
        known = served[column].is_not_null() & ~served["exchange"].is_in(NOT_SENT.get(column, ()))
        found, wanted = stored[column].filter(known), served[column].filter(known)
        assert found.equals(wanted) or _close(found, wanted), column


def _close(found: pl.Series, wanted: pl.Series) -> bool:
    """Return whether numbers agree but for the last digits that a change of units leaves."""
    return bool(((found - wanted).abs() <= 1e-12 * wanted.abs()).all())


def test_liquidations_of_the_stream_come_back(history):
    key = ["symbol", "timestamp", "side", "price", "quantity_base", "event"]
    served = history.served["liquidations"].sort(key)
    stored = history.stored("liquidations").sort(key)
    assert stored.height == served.height == 4984
    exact = ["exchange", "instrument_type", "quote", *key, "price_type", "coverage"]
    assert stored.select(exact).equals(served.select(exact))
    assert _close(stored["value_quote"], served["value_quote"])
    longs = history.market.liquidations.filter(history.market.liquidations.side == "long").value_quote.sum().execute()
    assert longs == pytest.approx(served.filter(side="long")["value_quote"].sum(), rel=1e-12)


@pytest.mark.parametrize("table", COMPARED)
def test_no_row_is_missing_quarantined_or_flagged(history, table, pytestconfig):
    report = history.reports[table]
    assert report.quarantined == 0
    days = run_checks(history.warehouse, [table], now=utc("2026-07-22"))
    failed = days.filter((pl.col("rows_failed") > 0) & (pl.col("check_name") != "fresh"))
    assert failed.filter("blocking").is_empty(), failed
    assert days.filter(check_name="outlier")["rows_checked"].sum() > 0 or table != "ohlcv_1h"
    if pytestconfig.getoption("--long"):
        assert failed["rows_failed"].sum() == _count_missing(history.served[table], table)
    else:
        assert report.problems == ()
        assert failed.is_empty(), failed


def _count_missing(rows: pl.DataFrame, table: str) -> int:
    """Count the rows that the history lacks: bars up to the venue's newest one, settlements up to the last of each."""
    bar, missing = TABLES[table].bar, 0
    newest = dict(rows.group_by("exchange").agg(pl.col("timestamp").max()).rows())
    for (exchange, *_), part in rows.sort("timestamp").group_by("exchange", "instrument_type", "symbol"):
        times = part["timestamp"]
        if bar is not None:
            missing += round((newest[exchange] - times[0]) / bar) + 1 - len(times)
            continue
        steps = times.diff().drop_nulls().dt.total_hours()
        missing += sum(
            round(step / hours) - 1 for step, hours in zip(steps, part["funding_interval_hours"][1:], strict=True)
        )
    return missing
