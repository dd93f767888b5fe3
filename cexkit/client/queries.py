"""The SQL queries of ``sql/queries`` by name, parsed from their files.

Each file has a header with a question, its parameters, and its columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from html import escape
from pathlib import Path

from cexkit.client.query import VALIDATORS, Parameter, Query
from cexkit.errors import InvalidInputError, UnknownNameError

_HEADER = re.compile(
    r"-- (?P<question>.+)\n--\n-- Parameters\n(?P<parameters>(?:--  .*\n)*)--\n-- Columns\n(?P<columns>(?:--  .*\n)+)"
)


class Queries(Mapping[str, Query]):
    """Queries by name, displayed with their questions; Tab completes the names.

    Examples
    --------
    >>> queries = Queries.read()
    >>> queries["liquidation_summary"].question
    'What was liquidated of a symbol, by venue, UTC day and side of the position?'
    """

    def __init__(self, queries: Mapping[str, Query]):
        self._queries = dict(queries)

    @classmethod
    @cache
    def read(cls) -> Queries:
        """Read all query files once."""
        return cls(
            {
                path.stem: parse_query(path.stem, path.read_text("utf-8"))
                for path in sorted((find_sql_folder() / "queries").glob("*.sql"))
            }
        )

    def __getitem__(self, name: str) -> Query:
        if name not in self._queries:
            raise UnknownNameError.of("query", name, self._queries)
        return self._queries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._queries

    def __iter__(self) -> Iterator[str]:
        return iter(self._queries)

    def __len__(self) -> int:
        return len(self._queries)

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)

    def __repr__(self) -> str:
        return "\n".join(f"{name}({', '.join(query.parameters)}): {query.question}" for name, query in self.items())

    def _repr_html_(self) -> str:
        cells = [(name, ", ".join(query.parameters), query.question) for name, query in self.items()]
        rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in cells)
        return f"<table><tr><th>query</th><th>parameters</th><th>question</th></tr>{rows}</table>"


def find_sql_folder(package: Path = Path(__file__).parents[1]) -> Path:
    """Return the folder of the SQL files: inside the package in a wheel, next to the package in a checkout.

    Examples
    --------
    >>> (find_sql_folder() / "queries" / "basis.sql").is_file()
    True
    """
    packaged = package / "_sql"
    return packaged if packaged.is_dir() else package.parent / "sql"


def parse_query(name: str, text: str) -> Query:
    """Parse a query from the text of its file.

    Parameters
    ----------
    name : str
        Name of the query.
    text : str
        A header of comments (question, ``Parameters``, ``Columns``), then one ``SELECT``.

    Raises
    ------
    InvalidInputError
        If the header is incomplete or invalid.

    Examples
    --------
    >>> query = parse_query("q", '''-- How many?
    ... --
    ... -- Parameters
    ... --   base | text | | required | Coin.
    ... --
    ... -- Columns
    ... --   n | | How many.
    ... SELECT 1 AS n;
    ... ''')
    >>> print(query)
    q: How many?
    Parameters:
      base: text, required. Coin.
    """
    header = _HEADER.match(text)
    if header is None:
        raise InvalidInputError(f"{name}.sql has no header of question, Parameters and Columns")
    parameters = [Parameter(*cells) for cells in _split_cells(name, header["parameters"], 5)]
    if invalid := [parameter.name for parameter in parameters if not _is_valid(parameter)]:
        raise InvalidInputError(f"{name}.sql: no type or name of a parameter: {', '.join(invalid)}")
    column_rows = _split_cells(name, header["columns"], 3)
    columns = {column: (unit, meaning) for names, unit, meaning in column_rows for column in names.split(", ")}
    return Query(name, header["question"], {parameter.name: parameter for parameter in parameters}, columns, text)


def _is_valid(parameter: Parameter) -> bool:
    return parameter.type in VALIDATORS and re.fullmatch("[a-z_]+", parameter.name) is not None


def _split_cells(name: str, lines: str, count: int) -> list[list[str]]:
    rows = [[cell.strip() for cell in line.removeprefix("--").split("|")] for line in lines.splitlines()]
    if invalid := [row for row in rows if len(row) != count]:
        raise InvalidInputError(f"{name}.sql: {count} cells a line, parted by |, not {invalid[0]}")
    return rows
