"""Questions in SQL, by name: the files of ``sql/queries``, each with a header that says what it asks, takes and gives.

A value never becomes text of a query. It is bound to a DuckDB variable, which the file reads by ``getvariable``; so the
very same file runs in a plain DuckDB shell, after ``SET VARIABLE``. Variables live on a cursor that one question has to
itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cexkit.errors import InvalidInputError, UnknownNameError
from cexkit.schema import TABLES
from cexkit.schema.intervals import YEARS, utc

if TYPE_CHECKING:
    import duckdb
    import polars as pl

    from cexkit.client.market import Market

REQUIRED = "required"
NONE = "none"
#: Rows before a window that a question may look at: an hourly close, a settlement up to 8 h old.
BEFORE = timedelta(days=1)
_HEADER = re.compile(
    r"-- (?P<question>.+)\n--\n-- Parameters\n(?P<takes>(?:--  .*\n)*)--\n-- Columns\n(?P<gives>(?:--  .*\n)+)"
)


def folder(package: Path = Path(__file__).parents[1]) -> Path:
    """Where the SQL files lie: in the wheel below the package, in a checkout beside it.

    Examples
    --------
    >>> (folder() / "queries" / "basis.sql").is_file()
    True
    """
    inside = package / "_sql"
    return inside if inside.is_dir() else package.parent / "sql"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing a query takes."""

    name: str
    type: str
    unit: str
    default: str
    meaning: str

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default == REQUIRED

    def value(self, given: Any) -> Any:
        """A value as DuckDB takes it.

        Raises
        ------
        InvalidInputError
            If it is of another type.
        """
        read = _READERS[self.type]
        try:
            return read(given)
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidInputError(f"{self.name} is {_ARTICLES[self.type]}, not {given!r}") from error

    def __str__(self) -> str:
        unit = f" [{self.unit}]" if self.unit else ""
        said = {REQUIRED: "required", NONE: "may be left out"}.get(self.default, f"by default {self.default}")
        return f"{self.name}: {self.type}{unit}, {said}. {self.meaning}"


@dataclass(frozen=True, slots=True)
class Query:
    """One question: its file, what it takes and what it gives."""

    name: str
    question: str
    parameters: Mapping[str, Parameter]
    columns: Mapping[str, tuple[str, str]]
    sql: str

    def bind(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Values of all parameters, defaults included; None for those left out.

        Raises
        ------
        InvalidInputError
            If one is missing or of another type; the message lists the parameters.
        UnknownNameError
            If there is none of this name.
        """
        for name in given:
            if name not in self.parameters:
                raise UnknownNameError(
                    f"{UnknownNameError.of(f'parameter of {self.name}', name, self.parameters)}\n{self}"
                )
        missing = [name for name, each in self.parameters.items() if each.required and given.get(name) is None]
        if missing:
            raise InvalidInputError(f"{self.name} needs {', '.join(missing)}\n{self}")
        try:
            return {name: _bound(each, given.get(name)) for name, each in self.parameters.items()}
        except InvalidInputError as error:
            raise InvalidInputError(f"{self.name}: {error}\n{self}") from error

    def from_words(self, words: Iterable[str]) -> dict[str, Any]:
        """Values from words such as ``days=7``, as a command line has them.

        Raises
        ------
        InvalidInputError
            If a word is no ``name=value``, or a value no number or time where one is needed.

        Examples
        --------
        >>> Queries.read()["returns"].from_words(["symbol=BTCUSDT", "days=7"])
        {'symbol': 'BTCUSDT', 'days': 7.0}
        """
        given: dict[str, Any] = {}
        for word in words:
            name, equals, text = word.partition("=")
            if not equals or name in given:
                raise InvalidInputError(f"{self.name} takes name=value, each once, not {word!r}\n{self}")
            known = self.parameters.get(name)
            try:
                given[name] = _FROM_TEXT[known.type](text) if known else text
            except ValueError as error:
                raise InvalidInputError(
                    f"{self.name}: {name} is {_ARTICLES[known.type]}, not {text!r}\n{self}"
                ) from error
        return given

    def __str__(self) -> str:
        takes = "\n".join(f"  {each}" for each in self.parameters.values())
        return f"{self.name}: {self.question}\nParameters:\n{takes or '  none'}"

    __repr__ = __str__


def _bound(parameter: Parameter, given: Any) -> Any:
    if given is not None:
        return parameter.value(given)
    if parameter.default in (NONE, REQUIRED):
        return None
    return parameter.value(_FROM_TEXT[parameter.type](parameter.default))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise TypeError("not a whole number")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError("not a number")
    return float(value)


_READERS: dict[str, Callable[[Any], Any]] = {"text": _text, "integer": _integer, "number": _number, "time": utc}
_FROM_TEXT: dict[str, Callable[[str], Any]] = {"text": str, "integer": int, "number": float, "time": utc}
_ARTICLES = {
    "text": "a text",
    "integer": "a whole number",
    "number": "a finite number",
    "time": "a time, as ISO text, date or datetime",
}


class Queries(Mapping[str, Query]):
    """The questions by name; shown with what each asks, names found by Tab.

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
        """All files, read once."""
        return cls(
            {
                path.stem: parse(path.stem, path.read_text("utf-8"))
                for path in sorted((folder() / "queries").glob("*.sql"))
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
        lines = [(name, ", ".join(query.parameters), query.question) for name, query in self.items()]
        rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>" for line in lines)
        return f"<table><tr><th>query</th><th>parameters</th><th>question</th></tr>{rows}</table>"


def parse(name: str, text: str) -> Query:
    """A query from its file.

    Parameters
    ----------
    name : str
        What it is called.
    text : str
        A header of comments (question, ``Parameters``, ``Columns``), then one ``SELECT``.

    Raises
    ------
    InvalidInputError
        If the header says too little.

    Examples
    --------
    >>> query = parse("q", '''-- How many?
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
    parts = _HEADER.match(text)
    if parts is None:
        raise InvalidInputError(f"{name}.sql has no header of question, Parameters and Columns")
    takes = [Parameter(*cells) for cells in _cells(name, parts["takes"], 5)]
    if strange := [each.name for each in takes if each.type not in _READERS or not re.fullmatch("[a-z_]+", each.name)]:
        raise InvalidInputError(f"{name}.sql: no type or name of a parameter: {', '.join(strange)}")
    gives = _cells(name, parts["gives"], 3)
    columns = {column: (unit, meaning) for names, unit, meaning in gives for column in names.split(", ")}
    return Query(name, parts["question"], {each.name: each for each in takes}, columns, text)


def _cells(name: str, lines: str, count: int) -> list[list[str]]:
    rows = [[cell.strip() for cell in line.removeprefix("--").split("|")] for line in lines.splitlines()]
    if wrong := [row for row in rows if len(row) != count]:
        raise InvalidInputError(f"{name}.sql: {count} cells a line, parted by |, not {wrong[0]}")
    return rows


def run(market: Market, query: Query, given: Mapping[str, Any]) -> pl.DataFrame:
    """Answer a query over the tables of a market.

    Parameters
    ----------
    market : Market
        The dataset.
    query : Query
        What is asked.
    given : mapping
        Parameters by name.

    Returns
    -------
    polars.DataFrame
        The rows.
    """
    from cexkit.warehouse.store.engine import tables_of

    values = query.bind(given)
    _check(market.listed, values)
    connection = market._backend.con
    names = sorted(tables_of(connection, query.sql) & set(TABLES))
    with connection.cursor() as cursor:
        for name, rows in _tables(market, names, values).items():
            # a name of a declared table, and the SQL of an expression
            cursor.execute(f"CREATE TEMP VIEW {name} AS {market._backend.compile(rows)}")
        for name, value in values.items():
            if value is not None:
                cursor.execute(f"SET VARIABLE {name} = $value", {"value": value})
        return _rows(cursor, query)


def _check(listed: pl.DataFrame, values: Mapping[str, Any]) -> None:
    """Refuse names that the dataset does not know: a query would give no rows, and say nothing."""
    for column in ("exchange", "instrument_type", "base", "symbol"):
        if (value := values.get(column)) is not None and value not in listed[column]:
            raise UnknownNameError.of(column.replace("_", " "), value, listed[column].unique())


def _tables(market: Market, names: list[str], values: Mapping[str, Any]) -> dict[str, Any]:
    """The tables, without files that lie before the window that is asked for."""
    ends = {name: market.tables[name].end for name in names if TABLES[name].time and name in market.tables}
    starts: dict[str, datetime | None] = {}
    if values.get("days") is not None and ends:
        # without `until` the window ends with the newest row of one of the tables
        start = _before(values.get("until") or min(ends.values()), values["days"])
        # of a table that ends before the window its last file is read, so that there is something to look at
        starts = {name: start and min(start, end) for name, end in ends.items()}
    return {name: market.table(name, start=starts.get(name)) for name in names}


def _before(end: datetime, days: float) -> datetime | None:
    """Where reading begins; None for all there is."""
    try:
        start = end - timedelta(days=days) - BEFORE
    except OverflowError:
        return None
    return start if start.year in YEARS else None


def _rows(cursor: duckdb.DuckDBPyConnection, query: Query) -> pl.DataFrame:
    import duckdb

    try:
        return cursor.execute(query.sql).pl()
    except duckdb.Error as error:
        raise InvalidInputError(f"{query.name} could not be answered with these values: {error}\n{query}") from error


_HEAD = """\
# Questions in SQL

Generated from the headers of `sql/queries` by `python -m cexkit.client.queries`; do not edit.

`market.query(name, …)` answers each; `market.queries` lists them. Values are bound to variables and never become part
of a query. The very same files run in a plain DuckDB shell:

```sql
SET TimeZone = 'UTC';
SET VARIABLE root = 'path/to/warehouse';
.read sql/views/tables.sql
SET VARIABLE symbol = 'BTCUSDT';
.read sql/queries/liquidation_summary.sql
```

A variable stays set until `RESET VARIABLE`. A time is best set as
`SET VARIABLE until = TIMESTAMPTZ '2026-01-01 00:00:00+00'`.
"""


def to_markdown() -> str:
    """The page of all queries."""
    return _HEAD + "".join(_section(query) for query in Queries.read().values())


def _section(query: Query) -> str:
    takes = [[f"`{each.name}`", each.type, each.unit, each.default, each.meaning] for each in query.parameters.values()]
    gives = [[f"`{name}`", unit, meaning] for name, (unit, meaning) in query.columns.items()]
    return (
        f"\n## {query.name}\n\n{query.question}\n\n"
        + _grid(["parameter", "type", "unit", "default", "meaning"], takes)
        + "\n"
        + _grid(["column", "unit", "meaning"], gives)
    )


def _grid(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    Path("docs/reference/queries.md").write_text(to_markdown(), encoding="utf-8")
