"""The DuckDB of one state of a dataset: read-only, within bounds, and safe to use from several threads."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import duckdb
import pyarrow as pa

from cexkit.errors import CexkitError, ConfigError, DatasetError, InvalidInputError, QueryBoundError
from cexkit.warehouse.store.failures import ARROW_FAILURES, dataset_failure
from cexkit.warehouse.store.manifest import DataFile
from cexkit.warehouse.store.query_bounds import bound_failure, fetch_rows, set_bounds
from cexkit.warehouse.store.snapshot import Snapshot
from cexkit.warehouse.store.statements import TOO_DEEP, end_transaction, literal

#: Metadata of files that never change is kept, and enough threads read to hide the latency of a network.
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


class Database:
    """A DuckDB over the files of a dataset, with a cursor for each thread.

    A DuckDB connection holds one result at a time, so threads that share one take each other's rows. Cursors share the
    database and its views.

    Attributes
    ----------
    base : duckdb.DuckDBPyConnection
        Connection whose cursors the threads use.
    snapshot : Snapshot
        State that is read; its lease on cached files lasts as long as the database.
    opened : dict of str to DataFile
        Files that were opened, by the address that DuckDB opens.
    """

    def __init__(self, base: duckdb.DuckDBPyConnection, snapshot: Snapshot):
        self.base, self.snapshot = base, snapshot
        self.opened: dict[str, DataFile] = {}
        self._local = threading.local()

    @property
    def con(self) -> duckdb.DuckDBPyConnection:
        """This thread's cursor."""
        if not hasattr(self._local, "con"):
            self._local.con = self.base.cursor()
        return self._local.con

    @con.setter
    def con(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._local.con = cursor

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Raise what fails in DuckDB as an error of cexkit, and leave the connection usable."""
        try:
            yield
        except RecursionError:
            raise InvalidInputError(TOO_DEEP) from None
        except CexkitError:
            raise
        except (duckdb.Error, MemoryError, *ARROW_FAILURES) as error:
            end_transaction(self.con)
            failure = self.known_failure(error)
            raise (failure or InvalidInputError(f"the query could not be computed: {error}")) from error

    def known_failure(self, error: Exception) -> DatasetError | QueryBoundError | None:
        """Return the error for a failure that a bound or the files of the dataset caused; None for another one."""
        return bound_failure(error) or dataset_failure(error, self.snapshot.location.address, self.opened)

    def fetch(self, query: str) -> pa.Table:
        """Return the result of a query within the bounds; what fails is raised as an error of cexkit."""
        with self.reporting():
            return fetch_rows(self.con, query)


def open_database(snapshot: Snapshot, extension: str | None = None) -> Database:
    """Return a database without data that may open the files of a dataset and nothing else.

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
    # Else a name in SQL that is not a table would be looked up among the variables of Python.
    base.execute("SET GLOBAL python_enable_replacements = false")
    # Its default is the variable HTTP_PROXY, which any SQL could read with the password in it.
    base.execute("SET http_proxy = ''")
    if snapshot.over_network:
        _go_online(base, snapshot, extension)
    set_bounds(base)
    roots = snapshot.roots if extension is None else [*snapshot.roots, f"{_blocks(snapshot)}/"]
    base.execute(f"SET allowed_directories = [{', '.join(map(literal, roots))}]")
    base.execute("SET enable_external_access = false")
    base.execute("SET lock_configuration = true")
    return Database(base, snapshot)


def _go_online(base: duckdb.DuckDBPyConnection, snapshot: Snapshot, extension: str | None) -> None:
    _load_httpfs(base)
    for statement in _REMOTE:
        base.execute(statement)
    if extension is not None:
        _load_cache_httpfs(base, snapshot)
    location = snapshot.location
    for statement, values in location.statements(_proxy_options(location.origin)):
        base.execute(statement, values)


def _proxy_options(origin: str) -> dict[str, str]:
    """Return the options of DuckDB's HTTP secrets for the proxy of an address; empty if there is none."""
    from cexkit.network import proxy_of

    proxy = proxy_of(origin)
    if proxy is None:
        return {}
    if proxy.is_socks:
        raise ConfigError(
            f"{proxy.variable} must name an HTTP proxy if files are read in place, got a SOCKS proxy; use "
            "connect(…, mode='cache'), or name an HTTP proxy"
        )
    parts = urlsplit(proxy.url)
    options = {
        "http_proxy": parts.netloc.rpartition("@")[2],
        "http_proxy_username": unquote(parts.username or ""),
        "http_proxy_password": unquote(parts.password or ""),
    }
    return {name: value for name, value in options.items() if value}


def _load_httpfs(base: duckdb.DuckDBPyConnection) -> None:
    """Load httpfs from the wheel that brings it for this DuckDB, else as DuckDB finds it."""
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
    """Load the extension that was installed before, else install it; it is built for exactly one DuckDB."""
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
