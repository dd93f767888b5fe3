"""Columns and tables, declared once and rendered for every engine."""

from cexkit.schema.fields import DUCKDB_TYPES, FIELDS, IDENTITY, INSTRUMENT_KEYS, USD_LIKE, Field
from cexkit.schema.tables import SCHEMA_VERSION, TABLES, Check, Table, table

__all__ = [
    "DUCKDB_TYPES",
    "FIELDS",
    "IDENTITY",
    "INSTRUMENT_KEYS",
    "SCHEMA_VERSION",
    "TABLES",
    "USD_LIKE",
    "Check",
    "Field",
    "Table",
    "table",
]
