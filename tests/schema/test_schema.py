"""The schema is declared once: renderings agree, generated files are current."""

from __future__ import annotations

import duckdb
import ibis
import polars as pl
import pyarrow as pa
import pytest

from cexkit.errors import SchemaError, UnknownTableError
from cexkit.schema import DUCKDB_TYPES, FIELDS, INSTRUMENT_KEYS, TABLES, table
from cexkit.schema.__main__ import generated
from cexkit.schema.render import conform, empty, to_ddl, to_ibis, to_polars, to_pyarrow

each_table = pytest.mark.parametrize("declared", TABLES.values(), ids=lambda declared: declared.name)


@each_table
def test_renderings_agree_on_names_and_types(declared):
    names = list(declared.columns)
    assert to_pyarrow(declared).names == list(to_polars(declared)) == list(to_ibis(declared)) == names
    assert ibis.Schema.from_pyarrow(to_pyarrow(declared)) == to_ibis(declared)
    assert pl.from_arrow(empty(declared)).schema == to_polars(declared)


@each_table
def test_ddl_is_accepted_by_duckdb_and_has_the_same_columns(declared):
    connection = duckdb.connect()
    connection.execute(to_ddl(declared))
    described = connection.execute(f"describe {declared.name}").fetchall()
    assert [row[0] for row in described] == list(declared.columns)
    assert [row[2] == "YES" for row in described] == [field.nullable for field in declared.fields]


@each_table
def test_types_of_duckdb_are_those_that_ibis_renders(declared):
    rendered = {each.this.name: each.kind.sql("duckdb") for each in to_ibis(declared).to_sqlglot_column_defs("duckdb")}
    assert {field.name: DUCKDB_TYPES[field.type] for field in declared.fields} == rendered


@each_table
def test_keys_and_checks_speak_of_declared_columns(declared):
    assert set(declared.key) <= set(declared.columns)
    assert not any(FIELDS[name].nullable for name in declared.key)
    assert declared.time is None or declared.time in declared.columns
    assert set(declared.partitions) <= {"exchange", "year", "month"}
    frame = pl.from_arrow(empty(declared))
    for check in declared.checks:
        assert frame.select(pl.sql_expr(check.must).alias("ok")).schema["ok"] == pl.Boolean
        duckdb.sql(f"select {check.must} from frame")


@each_table
def test_every_fact_carries_identity_and_currencies(declared):
    if declared.layer == "silver":
        assert declared.columns[:5] == (*INSTRUMENT_KEYS, "base", "quote")


def test_every_field_is_used_and_says_what_it_means():
    used = {name for declared in TABLES.values() for name in declared.columns}
    assert used == set(FIELDS)
    for field in FIELDS.values():
        assert field.meaning.endswith((".", "0, 1, …")), field.name
        if field.type == "float64":
            assert field.unit, f"{field.name} has no unit"


@pytest.mark.parametrize("path", generated())
def test_generated_files_are_current(path, project_root):
    written = (project_root / path).read_text(encoding="utf-8")
    assert written == generated()[path], f"{path} has drifted: run `python -m cexkit.schema`"


def _one_row() -> dict:
    return {
        "exchange": ["okx"],
        "instrument_type": ["perp"],
        "symbol": ["BTCUSDT"],
        "base": ["BTC"],
        "quote": ["USDT"],
        "timestamp": pa.array([0], pa.timestamp("ms", tz="UTC")),
        "open_interest_base": [1.5],
        "open_interest_quote": pa.array([None], pa.float64()),
    }


def test_conform_casts_and_orders():
    shuffled = pa.table(dict(reversed(_one_row().items())))
    done = conform(shuffled, TABLES["open_interest"])
    assert done.schema == to_pyarrow(TABLES["open_interest"])
    assert done.schema.field("open_interest_base").metadata[b"unit"] == b"units"


def test_conform_fills_missing_nullable_columns_only():
    done = conform(pa.table(_one_row()), TABLES["open_interest"])
    assert done["multiplier"].null_count == 1
    with pytest.raises(SchemaError, match="missing columns open_interest_base"):
        conform(pa.table(_one_row()).drop_columns(["open_interest_base"]), TABLES["open_interest"])


def test_column_may_be_null_in_one_table_and_required_in_another():
    nullable = {name: {field.name: field.nullable for field in each.fields} for name, each in TABLES.items()}
    assert nullable["ohlcv_1h"]["multiplier"]
    assert not nullable["instruments"]["multiplier"]
    assert not FIELDS["multiplier"].nullable


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"surprise": [1]}, "unknown columns surprise"),
        ({"symbol": pa.array([None], pa.string())}, "column 'symbol' has 1 missing"),
        ({"open_interest_base": ["a lot"]}, "column 'open_interest_base'"),
        ({"open_interest_base": pa.array([float("nan")])}, "column 'open_interest_base' has 1 NaN"),
        ({"open_interest_base": ["nan"]}, "column 'open_interest_base' has 1 NaN"),
        ({"open_interest_base": pa.array([float("-inf")])}, "column 'open_interest_base' has 1 NaN"),
    ],
)
def test_conform_refuses_what_does_not_conform(change, says):
    with pytest.raises(SchemaError, match=says):
        conform(pa.table(_one_row() | change), TABLES["open_interest"])


def test_unknown_table_lists_what_there_is():
    with pytest.raises(UnknownTableError, match="did you mean 'funding_rates'"):
        table("funding_rate")
    with pytest.raises(ValueError, match="Available: data_quality"):
        table(None)
