"""Rows on the screen: what pandas printed, with the digits of its numbers and the end of its times."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import cexkit
from cexkit.cli.output import SCREEN_ROWS, _to_text, emit_rows
from cexkit.client.opening import Opening
from cexkit.errors import InvalidInputError

NAN, INF = math.nan, math.inf
NUMBERS = {
    "short": [0.5, 1.25, -3.0],
    "whole": [1.0, 22.0],
    "rounded": [1 / 3, 2 / 3],
    "rates": [0.0001, -0.00005],
    "tiny": [1e-7, 0.5],
    "large": [1e9 + 0.5, 2.0],
    "large and long": [123456789.123456, 0.25],
    "huge": [1e300],
    "below a digit": [0.0000001, 0.0],
    "missing": [NAN, 1.5],
    "only missing": [NAN],
    "infinite": [INF, -INF, 2.0],
}


def cells(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_have_the_digits_of_pandas(kind):
    assert cells(_to_text(pa.table({"x": NUMBERS[kind]}))) == cells(
        pd.DataFrame({"x": NUMBERS[kind]}).to_string(index=False)
    )


def test_random_numbers_have_the_digits_of_pandas():
    random = np.random.default_rng(7)
    for _ in range(300):
        values = (random.standard_normal(5) * 10.0 ** random.integers(-8, 9, 5)).round(random.integers(0, 9)).tolist()
        expected = pd.DataFrame({"x": values}).to_string(index=False)
        assert cells(_to_text(pa.table({"x": values}))) == cells(expected), values


@pytest.mark.parametrize("table", ["funding_rates", "liquidations", "instruments", "ohlcv_1d", "open_interest"])
@pytest.mark.parametrize("rows", [1, 7, SCREEN_ROWS, SCREEN_ROWS + 1, 500])
def test_tables_look_as_pandas_prints_them(table, rows):
    market = cexkit.connect("sample")
    found = market.sql(f"select * from {table} order by all limit {rows}").to_pyarrow()
    frame = found.to_pandas()
    texts = frame.select_dtypes(exclude=["number", "bool", "datetime", "datetimetz"])
    frame[texts.columns] = texts.astype(object).where(texts.notna(), None)
    expected = cells(frame.to_string(index=False, max_rows=SCREEN_ROWS))
    if len(found) > SCREEN_ROWS:
        expected[SCREEN_ROWS // 2 + 1] = ["..."] * frame.shape[1]
    assert cells(_to_text(found)) == expected


def test_times_show_the_digits_that_one_of_them_needs():
    def shown(kind, *values):
        return [" ".join(line) for line in cells(_to_text(pa.table({"t": pa.array(values, kind)})))[1:]]

    micro, utc = pa.timestamp("us"), pa.timestamp("us", "UTC")
    assert shown(micro, 0, None) == ["1970-01-01 00:00:00", "NaT"]
    assert shown(utc, 0, 1_500_000) == ["1970-01-01 00:00:00.000+00:00", "1970-01-01 00:00:01.500+00:00"]
    assert shown(utc, 1) == ["1970-01-01 00:00:00.000001+00:00"]
    assert shown(pa.timestamp("ns"), 1) == ["1970-01-01 00:00:00.000000001"]
    assert shown(pa.date32(), 0, None) == ["1970-01-01", "None"]


def test_other_values_and_missing_ones():
    rows = pa.table({"n": [2**60, None], "s": ["a", None], "b": [True, None], "l": [[1], None], "z": pa.nulls(2)})
    assert cells(_to_text(rows)) == [
        ["n", "s", "b", "l", "z"],
        [str(2**60), "a", "True", "[1]", "None"],
        ["NaN", "None", "None", "None", "None"],
    ]


def test_control_characters_are_escaped_and_columns_stay_aligned():
    lines = _to_text(pa.table({"a\nb": ["x\x1b[2J", "tab\t", "long enough"], "c": [1, 20, 300]})).splitlines()
    assert lines == ["       a\\nb   c", "   x\\x1b[2J   1", "      tab\\t  20", "long enough 300"]


@pytest.mark.parametrize("value", ["interval 1 day", "'4714-11-24 (BC)'::date", "'infinity'::timestamp"])
def test_values_that_an_output_has_no_form_for_raise_our_error(tmp_path, value):
    rows = Opening.of(None).reader().fetch(f"select {value} as x")
    outputs = {None: False, tmp_path / "x.csv": False, tmp_path / "x.parquet": False, tmp_path / "x.json": True}
    failed = 0
    for output, as_json in outputs.items():
        try:
            emit_rows(rows, as_json, output)
        except InvalidInputError as error:
            failed += 1
            assert "CAST(x AS VARCHAR)" in str(error)  # noqa: PT017
    assert 0 < failed < 4
