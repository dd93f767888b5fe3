"""Declarations rendered for each engine, and tables brought to them.

Everything goes through one :class:`ibis.Schema` per table, so that pyarrow, polars, Ibis and the DDL
cannot disagree about a type.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from cexkit.errors import SchemaError
from cexkit.schema.fields import Field
from cexkit.schema.tables import SCHEMA_VERSION, TABLES, Table

if TYPE_CHECKING:
    import ibis
    import polars as pl
    import pyarrow as pa


@lru_cache
def to_ibis(table: Table) -> ibis.Schema:
    """The table as an Ibis schema.

    Examples
    --------
    >>> to_ibis(TABLES["funding_rates"])["timestamp"]
    Timestamp(timezone='UTC', scale=6, nullable=False)
    """
    import ibis

    return ibis.schema({field.name: ibis.dtype(field.type)(nullable=field.nullable) for field in table.fields})


@lru_cache
def to_pyarrow(table: Table) -> pa.Schema:
    """The table as an Arrow schema; unit and meaning travel as field metadata.

    Examples
    --------
    >>> to_pyarrow(TABLES["open_interest"]).field("open_interest_base").metadata[b"unit"]
    b'units'
    """
    import pyarrow as pa

    plain = to_ibis(table).to_pyarrow()
    return pa.schema([plain.field(f.name).with_metadata({"unit": f.unit, "meaning": f.meaning}) for f in table.fields])


@lru_cache
def to_polars(table: Table) -> pl.Schema:
    """The table as a polars schema.

    Examples
    --------
    >>> to_polars(TABLES["funding_rates"])["funding_rate"]
    Float64
    """
    import polars as pl

    return pl.Schema(to_ibis(table).to_polars())


def to_ddl(table: Table) -> str:
    """``CREATE TABLE`` for DuckDB, with units as comments.

    Examples
    --------
    >>> print(to_ddl(TABLES["open_interest"]).splitlines()[1])
    CREATE TABLE open_interest (
    """
    definitions = to_ibis(table).to_sqlglot_column_defs("duckdb")
    lines = [
        f"  {definition.sql('duckdb')},{_comment(field)}"
        for definition, field in zip(definitions, table.fields, strict=True)
    ]
    checks = [f"  CONSTRAINT {check.name} CHECK ({check.must})," for check in table.checks]
    key = f"  PRIMARY KEY ({', '.join(table.key)})"
    return "\n".join([f"-- {table.meaning}", f"CREATE TABLE {table.name} (", *lines, *checks, key, ");", ""])


def _comment(field: Field) -> str:
    return f"  -- {field.unit}" if field.unit else ""


def to_markdown(table: Table) -> str:
    """The table's section of the data dictionary."""
    rows = [f"| `{field.name}` | {_type(field)} | {field.unit} | {_meaning(field)} |" for field in table.fields]
    checks = [f"| `{check.name}` | `{check.must}` | {check.meaning} |" for check in table.checks]
    where = "/".join(f"{part}=…" for part in table.partitions) or "one file"
    facts = f"Key and order: {', '.join(f'`{name}`' for name in table.key)}. Files: `{where}`. Layer: {table.layer}."
    parts = [f"## {table.name}", table.meaning, facts]
    parts.append("\n".join(["| column | type | unit | meaning |", "|---|---|---|---|", *rows]))
    if checks:
        parts.append("\n".join(["| check | every row must meet | meaning |", "|---|---|---|", *checks]))
    return "\n\n".join(parts) + "\n"


def _type(field: Field) -> str:
    short = "timestamp" if field.type.startswith("timestamp") else field.type
    return f"{short}, null" if field.nullable else short


def _meaning(field: Field) -> str:
    values = ", ".join(f"`{value}`" for value in field.values)
    return f"{field.meaning} One of {values}." if values else field.meaning


def data_dictionary() -> str:
    """All tables as one Markdown page."""
    head = (
        "# 05 Data schemas: the data dictionary\n\n"
        "Date: 2026-11-26. Status: implemented, schema version "
        f"{SCHEMA_VERSION}. Generated from `cexkit/schema` by `python -m cexkit.schema`; do not edit.\n\n"
        "Times are UTC, windows half-open, rates fractions. `null` in the type: the value may be missing.\n"
    )
    return "\n".join([head, *(to_markdown(table) for table in TABLES.values())])


def conform(data: pa.Table, table: Table) -> pa.Table:
    """Bring an Arrow table to its declaration: columns, order, types, required values.

    Parameters
    ----------
    data : pyarrow.Table
        Rows with at least the required columns; a nullable one that is missing is null.
    table : Table
        The declaration.

    Returns
    -------
    pyarrow.Table
        The same rows in the declared schema.

    Raises
    ------
    SchemaError
        If a required column is missing, or a column is unknown, cannot be cast without loss, lacks a required value,
        or has a number that is none (NaN, infinite).

    Examples
    --------
    >>> import pyarrow as pa
    >>> conform(pa.table({"symbol": ["BTCUSDT"]}), TABLES["open_interest"])
    Traceback (most recent call last):
    cexkit.errors.SchemaError: open_interest: missing columns exchange, instrument_type, base, quote, ...
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    schema = to_pyarrow(table)
    missing = [field.name for field in schema if not field.nullable and field.name not in data.column_names]
    extra = [name for name in data.column_names if name not in schema.names]
    if missing:
        raise SchemaError(f"{table.name}: missing columns {', '.join(missing)}")
    if extra:
        raise SchemaError(f"{table.name}: unknown columns {', '.join(extra)}")
    columns = []
    for field in schema:
        if field.name not in data.column_names:
            columns.append(pa.nulls(data.num_rows, field.type))
            continue
        column = data.column(field.name)
        if not field.nullable and column.null_count:
            raise SchemaError(f"{table.name}: column {field.name!r} has {column.null_count} missing values")
        try:
            columns.append(column.cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise SchemaError(f"{table.name}: column {field.name!r}: {error}") from error
        if pa.types.is_floating(field.type) and (bad := pc.sum(pc.invert(pc.is_finite(columns[-1]))).as_py()):
            raise SchemaError(f"{table.name}: column {field.name!r} has {bad} NaN or infinite; a missing value is null")
    return pa.table(columns, schema=schema)


def empty(table: Table) -> pa.Table:
    """A conforming table without rows.

    Examples
    --------
    >>> empty(TABLES["funding_rates"]).num_rows
    0
    """
    return to_pyarrow(table).empty_table()
