"""The one rule by which values become dollars."""

from __future__ import annotations

import warnings

import narwhals.stable.v2 as nw
import polars as pl
import pytest

from cexkit.analytics._core.usd import QUOTED, usd, usd_inputs, warns_of_quotes
from cexkit.errors import UnpricedQuoteWarning
from cexkit.schema.fields import FIELDS, USD_LIKE

COLUMNS = sorted(QUOTED)


def values(engine, frame: pl.DataFrame, column: str) -> list:
    native = frame.lazy() if engine == "lazy" else frame
    wrapped = nw.from_native(native)
    return wrapped.select(usd(wrapped, column).alias("usd")).lazy().collect().to_native()["usd"].to_list()


@pytest.mark.parametrize("engine", ["eager", "lazy"])
@pytest.mark.parametrize("column", COLUMNS)
def test_quotes_taken_as_dollars(engine, column):
    quotes = [*USD_LIKE, "EUR", "BTC", "usdt", None]
    frame = pl.DataFrame({QUOTED[column]: [2.0] * len(quotes), "quote": quotes})
    assert values(engine, frame, column) == [2.0] * len(USD_LIKE) + [None] * 4


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_in_dollars_wins(column):
    frame = pl.DataFrame({column: [1.0, None], QUOTED[column]: [2.0, 2.0], "quote": ["BTC", "USDT"]})
    assert values("eager", frame, column) == [1.0, None]  # and is not patched up with another


def test_not_a_number_is_null_where_nobody_looked():
    frame = pl.DataFrame({"value_usd": [float("nan"), float("inf"), 3.0]})
    assert values("lazy", frame, "value_usd") == [None, None, 3.0]


def test_every_mix_of_columns_is_an_alternative():
    assert usd_inputs("open_interest_usd", "volume_usd") == (
        ("open_interest_usd", "volume_usd"),
        ("open_interest_usd", "volume_quote", "quote"),
        ("open_interest_quote", "quote", "volume_usd"),
        ("open_interest_quote", "quote", "volume_quote"),
    )


def test_the_columns_that_stand_in_are_declared():
    assert set(QUOTED.values()) <= set(FIELDS)


def test_the_warning_names_quotes_and_columns():
    frame = pl.DataFrame({"value_quote": [1.0] * 3, "quote": ["BTC", "EUR", "USDT"]})
    with pytest.warns(UnpricedQuoteWarning, match=r"metric: quotes BTC, EUR .* add a column value_usd"):
        warns_of_quotes("metric", "value_usd")(frame, {})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warns_of_quotes("metric", "value_usd")(frame.with_columns(value_usd=1.0), {})
        warns_of_quotes("metric", "value_usd")(frame.tail(1), {})
