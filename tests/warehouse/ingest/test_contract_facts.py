"""Contract facts on rows: the period in force at the time of each row, and never another number of rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st

from cexkit.schema import INSTRUMENT_KEYS
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.contract_facts import with_contract_facts

KEYS = list(INSTRUMENT_KEYS)
START = datetime(2024, 1, 1, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")
ROWS = {"exchange": pl.String, "instrument_type": pl.String, "symbol": pl.String, "timestamp": TIME}
ROWS |= {"close": pl.Float64, "multiplier": pl.Float64}
PERIODS = {"exchange": pl.String, "instrument_type": pl.String, "symbol": pl.String, "valid_from": TIME}
PERIODS |= {"valid_to": TIME, "multiplier": pl.Float64}


def hour(number: int) -> datetime:
    return START + timedelta(hours=number)


def bars(*rows: tuple[str, int, float | None]) -> pl.DataFrame:
    """Rows of a symbol, an hour, and a multiplier."""
    records = [("okx", "perp", symbol, hour(at), float(n), value) for n, (symbol, at, value) in enumerate(rows)]
    return pl.DataFrame(records, schema=ROWS, orient="row")


def periods(*rows: tuple[str, int, float]) -> pl.DataFrame:
    """Periods of a symbol, the hour from which they are valid, and a multiplier."""
    records = [("okx", "perp", symbol, hour(start), None, value) for symbol, start, value in rows]
    return pl.DataFrame(records, schema=PERIODS, orient="row")


def filled(rows: pl.DataFrame, spans: pl.DataFrame) -> list[float | None]:
    return with_contract_facts(rows, spans)["multiplier"].to_list()


def test_row_has_the_facts_of_its_time():
    spans = periods(("PEPE", 10, 1000.0), ("PEPE", 20, 1.0))
    assert filled(bars(("PEPE", 10, None), ("PEPE", 19, None), ("PEPE", 20, None)), spans) == [1000.0, 1000.0, 1.0]


def test_row_before_the_first_period_has_its_facts():
    assert filled(bars(("PEPE", 0, None)), periods(("PEPE", 10, 1000.0), ("PEPE", 20, 1.0))) == [1000.0]


def test_unknown_instrument_is_null():
    assert filled(bars(("WIF", 0, None), ("PEPE", 0, None)), periods(("PEPE", 0, 1000.0))) == [None, 1000.0]
    assert filled(bars(("WIF", 0, None)), periods()) == [None]


def test_value_of_a_row_stays():
    assert filled(bars(("PEPE", 0, 7.0), ("PEPE", 0, None)), periods(("PEPE", 0, 1000.0))) == [7.0, 1000.0]


def test_coin_is_the_one_that_the_lists_state():
    rows = bars(("PEPE", 5, None), ("WIF", 5, None)).with_columns(base=pl.lit("1000PEPE"))
    spans = periods(("PEPE", 0, 1000.0)).with_columns(base=pl.lit("PEPE"))
    found = with_contract_facts(rows, spans)
    assert found.select("base", "multiplier").rows() == [("PEPE", 1000.0), ("1000PEPE", None)]


def test_last_of_two_periods_with_one_start_counts():
    assert filled(bars(("PEPE", 5, None)), periods(("PEPE", 0, 1000.0), ("PEPE", 0, 1.0))) == [1.0]


def test_rows_without_the_column_are_returned_unchanged():
    rows = bars(("PEPE", 5, None)).drop("multiplier")
    assert with_contract_facts(rows, periods(("PEPE", 0, 1.0))) is rows


def test_instruments_of_one_symbol_are_distinguished():
    rows = bars(("PEPE", 5, None), ("PEPE", 5, None)).with_columns(instrument_type=pl.Series(["spot", "perp"]))
    spans = periods(("PEPE", 0, 1.0), ("PEPE", 0, 1000.0)).with_columns(instrument_type=pl.Series(["spot", "perp"]))
    assert filled(rows, spans) == [1.0, 1000.0]


def _expected(row: dict, spans: pl.DataFrame) -> float | None:
    """Return the multiplier of a row by a plain search."""
    if row["multiplier"] is not None:
        return row["multiplier"]
    own = [span for span in spans.to_dicts() if all(span[key] == row[key] for key in KEYS)]
    started = [span for span in own if span["valid_from"] <= row["timestamp"]]
    starts = [span["valid_from"] for span in started or own]
    wanted = (max(starts) if started else min(starts)) if starts else None
    return next((span["multiplier"] for span in reversed(own) if span["valid_from"] == wanted), None)


symbols, hours = st.sampled_from(["BTC", "PEPE", "WIF"]), st.integers(0, 12)
values = st.sampled_from([1.0, 10.0, 1000.0])


@tries(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(symbols, hours, st.none() | values), max_size=20),
    st.lists(st.tuples(st.sampled_from(["BTC", "PEPE"]), hours, values), max_size=8),
)
def test_join_keeps_rows_and_order_and_matches_a_plain_search(row_tuples, period_tuples):
    rows, spans = bars(*row_tuples), periods(*period_tuples)
    found = with_contract_facts(rows, spans)
    assert found.drop("multiplier").equals(rows.drop("multiplier"))
    assert found.schema == rows.schema
    assert found["multiplier"].to_list() == [_expected(row, spans) for row in rows.to_dicts()]


@pytest.mark.parametrize("table", ["ohlcv_1h", "ohlcv_1d", "mark_1h", "index_1h", "open_interest"])
def test_simulated_rows_have_their_multiplier(table):
    tables = simulate(start="2025-10-09", end="2025-10-16", coins=["PEPE", "FTT"]).tables
    unfilled = tables[table].with_columns(multiplier=pl.lit(None, pl.Float64))
    assert with_contract_facts(unfilled, tables["instrument_periods"]).equals(tables[table])
