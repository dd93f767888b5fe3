"""DuckDB as Ibis sees it, for one state of a dataset: read-only, and safe to use from several threads."""

from __future__ import annotations

import importlib.util
import json
import threading
import uuid
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import duckdb
from ibis.backends.duckdb import Backend

from cexkit.errors import ConfigError, DatasetError, InvalidInputError
from cexkit.network import proxy_of
from cexkit.warehouse.store.base import Statement
from cexkit.warehouse.store.snapshot import Snapshot

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

#: Memory of what was read of files that never change, and as many readers as hide the way there and back.
_REMOTE = (
    "SET enable_http_metadata_cache = true",
    "SET threads = 8",
)
_CACHE_HTTPFS = (
    "SET cache_httpfs_type = 'on_disk'",
    "SET cache_httpfs_cache_block_size = 1048576",
    "SET cache_httpfs_profile_type = 'temp'",
    # without it a changed file behind an address gave a wrong sum
    "SET cache_httpfs_enable_cache_validation = true",
)


class Engine(Backend):
    """Ibis' DuckDB backend with a cursor for each thread.

    A DuckDB connection holds one result at a time, so threads that share one take each other's rows. Cursors
    share the database and its views; what Ibis registers per connection, it registers per thread here.
    """

    @property
    def db_identity(self) -> str:
        """No two are the same, or Ibis would ask one for the tables of both and mix their data."""
        return self._identity

    def to_pyarrow_batches(self, expr: ir.Expr, /, **options: Any) -> pa.ipc.RecordBatchReader:
        """On a cursor of its own: the next query on this thread's would end the batches early, and silently."""
        mine, known = self.con, self._memtables
        self._local.con, self._local.memtables = self._base.cursor(), weakref.WeakSet()
        try:
            return super().to_pyarrow_batches(expr, **options)
        finally:
            self._local.con, self._local.memtables = mine, known

    @property
    def con(self) -> duckdb.DuckDBPyConnection:
        """This thread's cursor."""
        if not hasattr(self._local, "con"):
            self._local.con = self._base.cursor()
        return self._local.con

    @con.setter
    def con(self, base: duckdb.DuckDBPyConnection) -> None:
        self._base, self._local, self._identity = base, threading.local(), uuid.uuid4().hex

    @property
    def _memtables(self) -> weakref.WeakSet:
        """Frames that this thread's cursor knows."""
        if not hasattr(self._local, "memtables"):
            self._local.memtables = weakref.WeakSet()
        return self._local.memtables

    @_memtables.setter
    def _memtables(self, value: Any) -> None:
        """Made where they are needed."""


def engine(snapshot: Snapshot, extension: str | None = None) -> Engine:
    """A database without data that may open the files of a dataset and nothing else.

    Parameters
    ----------
    snapshot : Snapshot
        Whose files.
    extension : {"cache_httpfs"}, optional
        A cache of blocks inside DuckDB for what is read directly.
    """
    base = duckdb.connect(config={"allow_persistent_secrets": False})
    base.execute("SET GLOBAL TimeZone = 'UTC'")
    base.execute("SET parquet_metadata_cache = true")
    if snapshot.over_network:
        _go_online(base, snapshot, extension)
    made = Engine.from_connection(base)
    made.snapshot = snapshot  # whose lease lasts as long as an expression can be asked for
    roots = snapshot.roots if extension is None else [*snapshot.roots, f"{_blocks(snapshot)}/"]
    base.execute("SET allowed_directories = $roots", {"roots": roots})
    base.execute("SET enable_external_access = false")
    base.execute("SET lock_configuration = true")
    return made


def _go_online(base: duckdb.DuckDBPyConnection, snapshot: Snapshot, extension: str | None) -> None:
    _load_httpfs(base)
    for statement in _REMOTE:
        base.execute(statement)
    if extension is not None:
        _load_cache_httpfs(base, snapshot)
    for statement, values in [*_proxy_statements(snapshot.location.origin), *snapshot.location.statements()]:
        base.execute(statement, values)


def _proxy_statements(origin: str) -> list[Statement]:
    """DuckDB reads ``HTTP_PROXY`` for every address, and exceptions from it only with some of its clients."""
    proxy = proxy_of(origin)
    if proxy is None:
        return [("SET http_proxy = ''", {})]
    if proxy.is_socks:
        raise ConfigError(
            f"{proxy.variable} must name an HTTP proxy if files are read in place, got a SOCKS proxy; use "
            "connect(…, mode='cache'), or name an HTTP proxy"
        )
    parts = urlsplit(proxy.url)
    values = {
        "http_proxy": parts.netloc.rpartition("@")[2],
        "http_proxy_username": unquote(parts.username or ""),
        "http_proxy_password": unquote(parts.password or ""),
    }
    return [(f"SET {name} = $value", {"value": value}) for name, value in values.items() if value]


def _load_httpfs(base: duckdb.DuckDBPyConnection) -> None:
    """From the wheel that brings it for this DuckDB, else as DuckDB finds it."""
    found = importlib.util.find_spec("duckdb_extension_httpfs")
    if found and found.origin:
        folder = Path(found.origin).parent / "extensions" / f"v{duckdb.__version__}"
        if (file := folder / "httpfs.duckdb_extension").is_file():
            base.load_extension(str(file))
            return
    try:
        base.install_extension("httpfs")
        base.load_extension("httpfs")
    except duckdb.Error as error:
        raise DatasetError(
            f"DuckDB {duckdb.__version__} cannot read over the network: its extension httpfs is not here and could not "
            f"be installed. `pip install duckdb-extension-httpfs=={duckdb.__version__}` brings it where that version "
            "exists; connect(…, mode='cache') does without it"
        ) from error


def _load_cache_httpfs(base: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> None:
    """What was installed before is taken, for it is built for exactly one DuckDB."""
    try:
        try:
            base.load_extension("cache_httpfs")
        except duckdb.Error:
            base.execute("INSTALL cache_httpfs FROM community")
            base.load_extension("cache_httpfs")
    except duckdb.Error as error:
        raise DatasetError(
            f"DuckDB {duckdb.__version__} could not install its community extension cache_httpfs: it needs a network "
            "and a build for exactly this version. Leave cache='cache_httpfs' out: files are cached by cexkit itself"
        ) from error
    _blocks(snapshot).mkdir(parents=True, exist_ok=True)
    for statement in _CACHE_HTTPFS:
        base.execute(statement)
    base.execute("SET cache_httpfs_cache_directory = $folder", {"folder": str(_blocks(snapshot))})


def _blocks(snapshot: Snapshot) -> Path:
    return snapshot.cache.root.absolute() / "blocks"


def tables_of(base: duckdb.DuckDBPyConnection, query: str) -> set[str]:
    """Names of the tables that one ``SELECT`` reads.

    Raises
    ------
    InvalidInputError
        If it is not one ``SELECT``.
    """
    try:
        kinds = [statement.type for statement in base.extract_statements(query)]
        if kinds != [duckdb.StatementType.SELECT]:
            raise InvalidInputError(f"one SELECT is taken, not {_kinds(kinds)}; a dataset is read-only")
        tree = json.loads(base.execute("SELECT json_serialize_sql($query)", {"query": query}).fetchone()[0])
    except duckdb.Error as error:
        raise InvalidInputError(f"the query was not accepted: {error}") from error
    if tree["error"]:
        raise InvalidInputError(f"the query was not accepted: {tree['error_message']}")
    return {node["table_name"].lower() for node in _nodes(tree) if node.get("type") == "BASE_TABLE"}


def _kinds(kinds: list) -> str:
    return " and ".join(kind.name for kind in kinds) or "nothing"


def _nodes(value: Any) -> Iterator[dict]:
    """All objects inside JSON."""
    if isinstance(value, dict):
        yield value
    for inside in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _nodes(inside)
