"""Tables of one state of a dataset on a dedicated DuckDB: as views for SQL, and as Ibis expressions over them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from cexkit.errors import AmbiguousInstrumentError, DamagedFileError, InvalidInputError, UnknownTableError
from cexkit.schema import DUCKDB_TYPES, INSTRUMENT_KEYS, SCHEMA_VERSION, TABLES, Table
from cexkit.schema.intervals import TimeLike, utc
from cexkit.schema.names import resolve_all
from cexkit.warehouse.store.damage import require_columns
from cexkit.warehouse.store.manifest import DataFile, Extent
from cexkit.warehouse.store.snapshot import Snapshot

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

    from cexkit.warehouse.store.database import Database
    from cexkit.warehouse.store.engine import Engine

#: Identity of an instrument: venue, type, symbol.
Identity = tuple[str, str, str]
#: Column → the values to keep; None keeps all.
Wanted = Mapping[str, tuple[str, ...] | None]


class Reader:
    """A reader of one state of a dataset; threads may share it.

    Parameters
    ----------
    snapshot : Snapshot
        State to read.
    extension : {"cache_httpfs"}, optional
        DuckDB's own cache for files that are read directly.
    """

    def __init__(self, snapshot: Snapshot, extension: str | None = None):
        self.snapshot, self.manifest, self._extension = snapshot, snapshot.manifest, extension
        self._lock = threading.RLock()
        self._views: set[str] = set()
        self._tables: dict[str, ir.Table] = {}
        self._known: dict[str, list[Identity]] = {}

    @cached_property
    def database(self) -> Database:
        """The database, created on first use."""
        from cexkit.warehouse.store.database import open_database

        with self._lock:
            return self.__dict__.get("database") or self.__dict__.setdefault(
                "database", open_database(self.snapshot, self._extension)
            )

    @cached_property
    def engine(self) -> Engine:
        """The database as Ibis sees it, created on first use."""
        from cexkit.warehouse.store.engine import Engine

        with self._lock:
            return self.__dict__.get("engine") or self.__dict__.setdefault("engine", Engine.over(self.database))

    @cached_property
    def extents(self) -> dict[str, Extent]:
        """The extent of each available table, in declaration order."""
        return {name: Extent.of(files) for name, table in TABLES.items() if (files := self.files(table))}

    @property
    def names(self) -> list[str]:
        """Names of the available tables."""
        return list(self.extents)

    def declared(self, name: str) -> Table:
        """Return the declaration of an available table; raise UnknownTableError for another name."""
        if name not in self.names:
            raise UnknownTableError.of("table", name, self.names)
        return TABLES[name]

    def files(self, table: Table) -> tuple[DataFile, ...]:
        """Return all files of a table."""
        return self.manifest.select(table.name)

    def cut(self, table: Table, start: TimeLike | None, end: TimeLike | None, wanted: Wanted) -> ir.Table:
        """Return a table's rows of a window, venues, types, and symbols; open only files that can hold them."""
        first, last = bounds(table, start, end)
        wanted = self._stored_names(table, wanted)
        files = self.manifest.select(table.name, start=first, end=last, exchanges=wanted["exchange"])
        return _cut(self._table(self._view(table, files)), table, *_open_conditions(files, first, last, wanted))

    def whole(self, table: Table) -> ir.Table:
        """Return a table under its own name, as SQL sees it."""
        return self._table(self._whole_view(table))

    def sql(self, query: str) -> ir.Table:
        """Return the result of one SQL statement over the tables; see :meth:`cexkit.client.market.Market.sql`."""
        view = self._query_view(query)
        with self.database.reporting():
            return self.engine.table(view)

    def fetch(self, query: str) -> pa.Table:
        """Return the rows of :meth:`sql`, computed without Ibis."""
        return self.database.fetch(f'SELECT * FROM "{self._query_view(query)}"')

    def compute(self, rows: ir.Table) -> pa.Table:
        """Return the rows of an expression over the tables of this reader."""
        return self.database.fetch(self.engine.compile(rows))

    def _table(self, view: str) -> ir.Table:
        """Return a view as an expression."""
        if view not in self._tables:
            with self.database.reporting():
                self._tables[view] = self.engine.table(view)
        return self._tables[view]

    def _query_view(self, query: str) -> str:
        """Create a view of one SQL statement over the tables, and return its name."""
        import duckdb

        from cexkit.warehouse.store.query_bounds import run_bounded
        from cexkit.warehouse.store.statements import TOO_DEEP, end_transaction, parse_statement

        database = self.database
        statement = parse_statement(database.con, query)
        if statement.lists_tables:
            query = f"SELECT unnest({sorted(self.names)}::VARCHAR[]) AS name"
        for name in statement.tables & set(self.names):
            self._whole_view(TABLES[name])
        try:
            con = database.con
            result = run_bounded(con, lambda: con.sql(query))
            if twice := sorted({name for name in result.columns if result.columns.count(name) > 1}):
                raise InvalidInputError(f"several columns are named {', '.join(twice)}: name them apart with AS")
            # A view, because Ibis would parse the text itself, and knows less of DuckDB's SQL.
            view = f"_query_{hashlib.sha256(query.encode()).hexdigest()[:16]}"
            with self._lock:
                result.create_view(view)
        except RecursionError:
            raise InvalidInputError(TOO_DEEP) from None
        except duckdb.Error as error:
            end_transaction(database.con)
            text = f"the query was not accepted: {error}\nTables: {', '.join(self.names)}"
            raise (database.known_failure(error) or InvalidInputError(text)) from error
        return view

    def _whole_view(self, table: Table) -> str:
        """Create the view of a table under its own name, and return that; raise if the table is too big."""
        if self.snapshot.big(table.name):
            size, address = self.snapshot.bytes(table.name) / 1e6, self.snapshot.location.address
            raise InvalidInputError(
                f"{table.name} at {address} is {size:,.0f} MB, above the limit for implicit full reads "
                "(CEXKIT_BIG_TABLE_BYTES); select rows with "
                f"market.table({table.name!r}, start=…, end=…, exchange=…, symbol=…)"
            )
        return self._view(table, self.files(table), table.name)

    def _view(self, table: Table, files: tuple[DataFile, ...], name: str | None = None) -> str:
        """Create a view of the declared columns of these files, empty without files; return its name."""
        if not files:
            return self._nothing(table)
        # Resolve paths on every call, because that also keeps the files in the cache.
        paths = self.snapshot.paths(files)
        name = name or f"_{table.name}_{hashlib.sha256(repr(paths).encode()).hexdigest()[:16]}"
        if name not in self._views:
            self.database.opened.update(zip(paths, files, strict=True))
            self._create(name, table, paths, outdated=any(file.schema_version < SCHEMA_VERSION for file in files))
        return name

    def _nothing(self, table: Table) -> str:
        """Create an empty view, made in SQL: threads that read Python's memory through DuckDB can deadlock."""
        name = f"_{table.name}_nothing"
        with self._lock:
            if name not in self._views:
                nulls = ", ".join(_nulls(table).values())
                self.database.con.execute(f"CREATE VIEW {name} AS SELECT {nulls} WHERE false")
                self._views.add(name)
        return name

    def _create(self, name: str, table: Table, paths: list[str], *, outdated: bool) -> None:
        """Create the view of a table's files; of ``outdated`` ones, DuckDB reads the columns of each."""
        from duckdb import ColumnExpression, SQLExpression

        # Hive keys let DuckDB skip files of a whole table on `exchange`. Files in the cache have no such names. A key
        # in the location of the dataset (`/data/exchange=okx`) would be mistaken for the venue of every row.
        hive = name == table.name and self.snapshot.direct(table.name) and "=" not in self.snapshot.location.prefix
        with self.database.reporting():
            rows = self.database.con.read_parquet(paths, hive_partitioning=hive, union_by_name=outdated)
            if not outdated and not set(table.columns) <= set(rows.columns):
                # The first file is the one whose columns DuckDB took. Combined with others, its rows would be null.
                file = self.database.opened[paths[0]]
                require_columns(f"{self.snapshot.location.address}: {file.path}", rows.columns, table)
                rows = self.database.con.read_parquet(paths, hive_partitioning=hive, union_by_name=True)
        require_columns(self.snapshot.location.address, rows.columns, table)
        nulls = {} if set(table.columns) <= set(rows.columns) else _nulls(table)
        columns = [
            ColumnExpression(each) if each in rows.columns else SQLExpression(nulls[each]) for each in table.columns
        ]
        with self._lock:
            rows.select(*columns).create_view(name)
            self._views.add(name)

    def _identities(self, exchanges: Collection[str] | None, wanted: Table) -> list[Identity]:
        """Return the instruments of these venues: from the list of instruments, else from all tables.

        If the list is damaged, they are those of the table that is wanted, which can still be read.
        """
        try:
            return self._read_identities(exchanges)
        except DamagedFileError:
            if wanted.name == "instruments":
                raise
            return sorted(self._distinct(wanted, self.files(wanted)))

    def _read_identities(self, exchanges: Collection[str] | None) -> list[Identity]:
        listed = self.manifest.select("instruments", exchanges=exchanges)
        names = ["instruments"] if self.files(TABLES["instruments"]) else self.names
        key = ",".join(file.path for file in listed)
        if key not in self._known:
            found: set[Identity] = set()
            for table in (TABLES[name] for name in names if set(INSTRUMENT_KEYS) <= set(TABLES[name].columns)):
                found |= self._distinct(table, listed or self.files(table))
            self._known[key] = sorted(found)
        return self._known[key]

    def _distinct(self, table: Table, files: tuple[DataFile, ...]) -> set[Identity]:
        keys, view = ", ".join(INSTRUMENT_KEYS), self._view(table, files)
        rows = self.database.fetch(f"SELECT DISTINCT {keys} FROM {view}")
        return set(zip(*(column.to_pylist() for column in rows.columns), strict=True))

    def _stored_names(self, table: Table, wanted: Wanted) -> Wanted:
        """Return the stored names that names mean, so that files and row groups without them are not read.

        Raise for names that the dataset does not know, and for symbols that mean several instruments.
        """
        filters = {column: names for column, names in wanted.items() if names is not None}
        for column in filters:
            if column not in table.columns:
                raise InvalidInputError(f"{table.name} has no column {column!r}; it has {', '.join(table.columns)}")
        if not filters:
            return wanted
        venues = {file.exchange for file in self.files(TABLES["instruments"]) if file.exchange}
        exchanges = wanted["exchange"]
        if venues:
            exchanges = resolve_all("exchange", exchanges, venues)
        known = [one for one in self._identities(exchanges, table) if one[1] in table.instrument_types]
        found = dict(wanted)
        for column, names in filters.items():
            at = INSTRUMENT_KEYS.index(column)
            found[column] = resolve_all(column.replace("_", " "), names, {one[at] for one in known})
            known = [one for one in known if one[at] in found[column]]
        if "symbol" in filters and "instrument_type" not in filters:
            _refuse_ambiguous(known)
        return found


def _nulls(table: Table) -> dict[str, str]:
    """Return SQL for a null of each declared column, by its name."""
    return {field.name: f'CAST(NULL AS {DUCKDB_TYPES[field.type]}) AS "{field.name}"' for field in table.fields}


def _refuse_ambiguous(known: Iterable[Identity]) -> None:
    types: dict[str, set[str]] = {}
    for _, kind, symbol in known:
        types.setdefault(symbol, set()).add(kind)
    for symbol, found in types.items():
        if len(found) > 1:
            choices = " or ".join(f"instrument_type={kind!r}" for kind in sorted(found))
            raise AmbiguousInstrumentError(f"{symbol!r} means several instruments; say {choices}")


def bounds(table: Table, start: TimeLike | None, end: TimeLike | None) -> tuple[datetime | None, datetime | None]:
    """Return a window as times; raise if the table has no times or the window is invalid."""
    if (start is not None or end is not None) and table.time is None:
        raise InvalidInputError(f"{table.name} has no time to cut by; omit start and end")
    first, last = (None if moment is None else utc(moment) for moment in (start, end))
    if first and last and last < first:
        raise InvalidInputError(f"the window ends before it starts: {first.isoformat()} … {last.isoformat()}")
    return first, last


def _open_conditions(
    files: Collection[DataFile], start: datetime | None, end: datetime | None, wanted: Wanted
) -> tuple[datetime | None, datetime | None, Wanted]:
    """Return the conditions that the choice of files does not meet for all their rows."""
    if start is not None and all(file.start and file.start >= start for file in files):
        start = None
    if end is not None and all(file.end and file.end < end for file in files):
        end = None
    venues = wanted["exchange"]
    chosen = venues is not None and all(file.exchange in venues for file in files)
    return start, end, {**wanted, "exchange": None} if chosen else wanted


def _cut(view: ir.Table, table: Table, start: datetime | None, end: datetime | None, wanted: Wanted) -> ir.Table:
    """Apply all conditions in one filter, which Ibis compiles several times faster than consecutive filters."""
    conditions = [] if start is None else [view[table.time] >= start]
    conditions += [] if end is None else [view[table.time] < end]
    for column, values in wanted.items():
        if values is not None:
            conditions.append(view[column] == values[0] if len(values) == 1 else view[column].isin(values))
    return view.filter(conditions) if conditions else view
