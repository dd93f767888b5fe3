"""Columns and tables, declared once and rendered for every engine."""

from cexkit.schema.fields import FIELDS, IDENTITY, INSTRUMENT_KEYS, USD_LIKE, Field
from cexkit.schema.tables import SCHEMA_VERSION, TABLES, Check, Table, table

__all__ = [
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
