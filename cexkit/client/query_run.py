"""Execution of SQL queries over the tables of a market.

DuckDB variables live on a cursor. Each execution has a separate cursor.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from cexkit.client.instruments import listed_at
from cexkit.client.queries import Queries
from cexkit.client.query import ALL_CLASSES, Query
from cexkit.client.references import check_quotes
from cexkit.client.return_types import check_return_type, to_return_type
from cexkit.errors import CexkitError, InvalidInputError
from cexkit.schema import TABLES
from cexkit.schema.asset_class import ASSET_CLASS, is_included, warn_of_excluded
from cexkit.schema.intervals import EPOCH, YEARS
from cexkit.schema.names import resolve
from cexkit.schema.render import to_ibis
from cexkit.schema.symbols import INSTRUMENT_TYPES

if TYPE_CHECKING:
    import duckdb
    import ibis.expr.types as ir

    from cexkit.client.dataset import Dataset

#: Time before a window whose rows a query may use: an hourly close, a settlement up to 8 h old.
LOOKBACK = timedelta(days=1)


class QueryMixin:
    """Methods of :class:`~cexkit.client.market.Market` that list and run SQL queries."""

    @property
    def queries(self) -> Queries:
        """The SQL queries that :meth:`query` runs, with the question and the parameters of each.

        Examples
        --------
        >>> import cexkit
        >>> cexkit.connect("sample").queries["universe"]
        universe: Which instruments were listed at a time, those delisted since included?
        Parameters:
          as_of: time [UTC], may be left out. The time; none: the newest observation of the venues.
          exchange: text, may be left out. One venue; none: all.
          instrument_type: text, may be left out. spot, perp or future; none: all.
          asset_class: class, by default crypto. Class that counts; unknown counts as crypto. all: every class.
        """
        return Queries.read()

    def query(self, name: str, /, *, return_type: str = "pandas", **parameters: Any) -> Any:
        """Run a SQL query by name. The same file of ``sql/queries`` runs in a plain DuckDB shell.

        Parameters
        ----------
        name : str
            One of :attr:`queries`.
        return_type : str
            ``"pandas"``, ``"polars"``, ``"arrow"``, or ``"ibis"``. Queries are computed immediately, so ``"ibis"``
            returns an in-memory table that can be joined with others.
        **parameters
            Parameters of the query by name. Values are bound and never become part of the SQL text.

        Returns
        -------
        frame
            The columns named in the header of the query.

        Raises
        ------
        UnknownNameError
            If the query or a parameter is unknown; the message lists the valid names.
        InvalidInputError
            If a parameter is missing or has another type.
        UnknownTableError
            If the dataset lacks a table of the query.

        Warns
        -----
        ExcludedInstrumentsWarning
            If the query has a parameter ``asset_class`` and leaves out instruments because of their class, with the
            number of those that were listed in its window and match its other parameters. ``asset_class=None``
            includes all.

        Examples
        --------
        >>> import cexkit
        >>> market = cexkit.connect("sample")
        >>> market.query("liquidation_summary", symbol="BTCUSDT", exchange="okx", days=14)[["side", "events"]].head(2)
           side  events
        0  long       7
        1  long      13
        """
        check_return_type(return_type)
        return to_return_type(run_query(self, self.queries[name], parameters), return_type)


def run_query(market: Dataset, query: Query, arguments: Mapping[str, Any]) -> pl.DataFrame:
    """Run a query over the tables of a market.

    Parameters
    ----------
    market : Dataset
        The dataset.
    query : Query
        The query to run.
    arguments : mapping
        Parameters by name.

    Returns
    -------
    polars.DataFrame
        The rows.
    """
    from cexkit.warehouse.store.statements import parse_statement

    values = _stored_names(market.instrument_frame, query.bind(arguments))
    connection = market._backend.con
    names = sorted(parse_statement(connection, query.sql).tables & set(TABLES))
    _warn_of_excluded(market, query, names, values)
    with connection.cursor() as cursor:
        for name, rows in _select_tables(market, names, values).items():
            # Both inserts are safe: the name of a declared table, and the SQL of an expression.
            cursor.execute(f"CREATE TEMP VIEW {name} AS {market._backend.compile(rows)}")
        for name, value in values.items():
            if value is not None:
                cursor.execute(f"SET VARIABLE {name} = $value", {"value": value})
        return _fetch_rows(market, cursor, query)


def _stored_names(instruments: pl.DataFrame, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with names as the dataset stores them.

    Raise UnknownNameError for names that it lacks, for which a query would silently return no rows.
    """
    found = dict(values)
    for column in ("exchange", "instrument_type", "base", "symbol"):
        if (value := values.get(column)) is not None:
            found[column] = resolve(column.replace("_", " "), value, set(instruments[column]))
    if (quotes := values.get("quotes")) is not None:
        found["quotes"] = ",".join(check_quotes(quotes.split(","), instruments["quote"].unique()))
    return found


def _warn_of_excluded(market: Dataset, query: Query, names: list[str], values: Mapping[str, Any]) -> None:
    """Warn of the instruments of another class that were listed in a query's window and match its parameters."""
    asset_class, listed = values.get(ASSET_CLASS, ALL_CLASSES), market.instrument_frame
    if asset_class == ALL_CLASSES or is_included(listed[ASSET_CLASS], asset_class).all():
        return
    facts = [name for name in names if TABLES[name].time]
    types = set(INSTRUMENT_TYPES).intersection(*(TABLES[name].instrument_types for name in facts))
    end = (
        values.get("as_of")
        or values.get("until")
        or max(
            (market.tables[name].end for name in facts if name in market.tables), default=listed["observed_at"].max()
        )
    )
    start = end if values.get("days") is None else _compute_read_start(end, values["days"])
    tables = [market.table(name) if name in market.tables else None for name in ("instruments", "instrument_periods")]
    present = listed_at(*tables, end, since=start or EPOCH).to_polars()
    matched = {name: values[name] for name in ("exchange", "instrument_type", "base", "symbol") if values.get(name)}
    excluded = present.filter(
        ~is_included(present[ASSET_CLASS], asset_class),
        *(pl.col(name) == value for name, value in matched.items()),
        pl.col("instrument_type").is_in(types),
    )
    warn_of_excluded(query.name, excluded[ASSET_CLASS], asset_class)


def _select_tables(market: Dataset, names: list[str], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tables without the files before the requested window."""
    ends = {name: market.tables[name].end for name in names if TABLES[name].time and name in market.tables}
    starts: dict[str, datetime | None] = {}
    if values.get("days") is not None and ends:
        # Without `until`, the window ends with the newest row of one of the tables.
        start = _compute_read_start(values.get("until") or min(ends.values()), values["days"])
        # If a table ends before the window, read its last file, so that the query finds rows.
        starts = {name: start and min(start, end) for name, end in ends.items()}
    return {
        name: _empty(market, name) if _is_optional(market, name) else market.table(name, start=starts.get(name))
        for name in names
    }


def _is_optional(market: Dataset, name: str) -> bool:
    """Return whether the dataset lacks a table only because an earlier version wrote the table it is made with."""
    return name not in market.tables and TABLES[name].made_with in market.tables


def _empty(market: Dataset, name: str) -> ir.Table:
    import ibis

    columns = {column: ibis.null(dtype(nullable=True)) for column, dtype in to_ibis(TABLES[name]).items()}
    return market.table(TABLES[name].made_with).limit(0).select(**columns)


def _compute_read_start(end: datetime, days: float) -> datetime | None:
    """Return the time from which to read; None for all that is stored."""
    try:
        start = end - timedelta(days=days) - LOOKBACK
    except OverflowError:
        return None
    return start if start.year in YEARS else None


def _fetch_rows(market: Dataset, cursor: duckdb.DuckDBPyConnection, query: Query) -> pl.DataFrame:
    import duckdb

    from cexkit.warehouse.store.failures import ARROW_FAILURES
    from cexkit.warehouse.store.query_bounds import fetch_rows

    try:
        return pl.DataFrame(fetch_rows(cursor, query.sql))
    except CexkitError:
        raise
    except (duckdb.Error, MemoryError, *ARROW_FAILURES) as error:
        text = f"{query.name} could not be answered with these values: {error}\n{query}"
        raise (market._backend.database.known_failure(error) or InvalidInputError(text)) from error
