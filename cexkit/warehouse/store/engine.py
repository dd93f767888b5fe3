"""DuckDB as Ibis sees it, for one state of a dataset."""

from __future__ import annotations

import threading
import uuid
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
from ibis.backends.duckdb import Backend

from cexkit.errors import CexkitError, InvalidInputError
from cexkit.warehouse.store.database import Database
from cexkit.warehouse.store.query_bounds import BoundedQuery, bounded_batches, run_bounded

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl


class Engine(Backend):
    """Ibis' DuckDB backend over a database, whose cursors it uses.

    What Ibis registers per connection, it registers per thread here.
    """

    database: Database

    @classmethod
    def over(cls, database: Database) -> Engine:
        """Return the backend of a database."""
        made = cls.from_connection(database.base)
        made.database, made._local, made._identity = database, threading.local(), uuid.uuid4().hex
        return made

    def _post_connect(self, extensions: Sequence[str] | None = None) -> None:
        """Leave out the settings that Ibis makes: the database made them, and has locked its configuration."""
        self._record_batch_readers_consumed = {}

    def execute(self, expr: ir.Expr, /, **options: Any) -> Any:
        """Return the result as pandas."""
        with self._converting("pandas"):
            return super().execute(expr, **options)

    def to_polars(self, expr: ir.Expr, /, **options: Any) -> pl.DataFrame:
        """Return the result as Polars."""
        with self._converting("Polars"):
            return super().to_polars(expr, **options)

    def to_pyarrow(self, expr: ir.Expr, /, **options: Any) -> pa.Table:
        """Return the result as PyArrow."""
        with self._converting("PyArrow"):
            return super().to_pyarrow(expr, **options)

    @contextmanager
    def _converting(self, library: str) -> Iterator[None]:
        """Raise what fails in DuckDB, or in the conversion of its result, as an error of cexkit."""
        with self.database.reporting():
            try:
                yield
            except CexkitError:
                raise
            except (NotImplementedError, OverflowError, TypeError, ValueError) as error:
                raise InvalidInputError(
                    f"the result must hold values that {library} has types for, got others ({error}); convert their "
                    "column, as in CAST(x AS VARCHAR)"
                ) from error

    @property
    def db_identity(self) -> str:
        """No two are the same, or Ibis would ask one for the tables of both and mix their data."""
        return self._identity

    def to_pyarrow_batches(self, expr: ir.Expr, /, **options: Any) -> pa.ipc.RecordBatchReader:
        """On a cursor of its own: the next query on this thread's would end the batches early, and silently."""
        cursor = self.database.base.cursor()

        def begin() -> pa.RecordBatchReader:
            # in the thread of this query, which has no other
            self.database.con, self._local.memtables = cursor, weakref.WeakSet()
            return Backend.to_pyarrow_batches(self, expr, **options)

        with self.database.reporting():
            batches = run_bounded(cursor, begin)
        return pa.RecordBatchReader.from_batches(batches.schema, self._reported(cursor, batches))

    def _reported(self, cursor: duckdb.DuckDBPyConnection, batches: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        with self.database.reporting():
            yield from bounded_batches(cursor, batches)

    def _to_duckdb_relation(self, expr: ir.Expr, /, **options: Any) -> BoundedQuery:
        """Return what Ibis reads results from, within bounds; a relation, as Ibis makes it, binds the query twice."""
        self._run_pre_execute_hooks(expr)
        return BoundedQuery(self.con, self.compile(expr.as_table(), **options))

    @property
    def con(self) -> duckdb.DuckDBPyConnection:
        """This thread's cursor."""
        return self.database.con

    @con.setter
    def con(self, base: duckdb.DuckDBPyConnection) -> None:
        """Ibis sets the connection; its cursors are those of the database."""

    @property
    def _memtables(self) -> weakref.WeakSet:
        """Frames that this thread's cursor knows."""
        if not hasattr(self._local, "memtables"):
            self._local.memtables = weakref.WeakSet()
        return self._local.memtables

    @_memtables.setter
    def _memtables(self, value: Any) -> None:
        """Made where they are needed."""
