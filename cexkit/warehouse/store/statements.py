"""SQL statements that users write: which of them a dataset takes, and which tables they read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import duckdb

from cexkit.errors import InvalidInputError

#: DuckDB makes two statements of a PIVOT that has to find out its columns.
PIVOT = "a PIVOT must name its values, as in PIVOT ohlcv_1d ON exchange IN ('okx', 'bybit') USING avg(close)"
TOO_DEEP = "the query must be nested less deeply; divide it into several queries"

_PIVOT = re.compile(r"\bpivot", re.IGNORECASE)
#: What DuckDB calls the lists of tables: those of ``SHOW TABLES``, and of ``SHOW ALL TABLES`` and ``DESCRIBE`` alone.
_LISTS = {'"tables"', "__show_tables_expanded"}


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement that reads: ``SELECT``, ``DESCRIBE``, ``SUMMARIZE``, or ``SHOW``.

    Attributes
    ----------
    tables : frozenset of str
        Names of the tables that it reads, in lower case.
    lists_tables : bool
        True if it lists all tables, as ``SHOW TABLES`` does.
    """

    tables: frozenset[str]
    lists_tables: bool


def parse_statement(base: duckdb.DuckDBPyConnection, query: str) -> Statement:
    """Parse one statement without running it.

    Raises
    ------
    InvalidInputError
        If it is not one statement that only reads.
    """
    if not isinstance(query, str):
        raise InvalidInputError(f"a query must be text, got {query!r}")
    try:
        query.encode()  # DuckDB's own error for text that is not valid Unicode is a TypeError
        kinds = [statement.type for statement in base.extract_statements(query)]
        if kinds == [duckdb.StatementType.CREATE, duckdb.StatementType.SELECT] and _PIVOT.search(query):
            raise InvalidInputError(PIVOT)
        if kinds != [duckdb.StatementType.SELECT]:
            raise InvalidInputError(
                "a query must be one SELECT, DESCRIBE, SUMMARIZE, or SHOW, got "
                f"{' and '.join(kind.name for kind in kinds) or 'nothing'}; a dataset is read-only"
            )
        tree = json.loads(base.execute(f"SELECT json_serialize_sql({literal(query)})").fetchone()[0])
    except RecursionError:
        raise InvalidInputError(TOO_DEEP) from None
    except (duckdb.Error, UnicodeError) as error:
        end_transaction(base)
        raise InvalidInputError(f"the query was not accepted: {error}") from error
    if tree["error"]:
        raise InvalidInputError(f"the query was not accepted: {tree['error_message']}")
    nodes = list(_nodes(tree))
    tables = frozenset(node["table_name"].lower() for node in nodes if node.get("type") == "BASE_TABLE")
    lists = [node for node in nodes if node.get("type") == "SHOW_REF" and _is_list(node)]
    if lists and lists != [tree["statements"][0]["node"].get("from_table")]:
        raise InvalidInputError("SHOW TABLES must stand alone, got it inside another query")
    return Statement(tables, bool(lists))


def literal(text: str) -> str:
    """Return a text as a literal of DuckDB's SQL, in which only quotes are special.

    DuckDB imports pandas to inspect bound values, which takes longer than a short query.

    Examples
    --------
    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def _is_list(node: dict) -> bool:
    return node.get("table_name") in _LISTS or node.get("show_type") == "SHOW_FROM"


def end_transaction(connection: duckdb.DuckDBPyConnection) -> None:
    """End the transaction that a failed query of DuckDB leaves open, in which every later query would fail."""
    with suppress(duckdb.Error):
        connection.rollback()


def _nodes(tree: dict) -> Iterator[dict]:
    """Yield all objects inside JSON."""
    waiting: list[Any] = [tree]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
