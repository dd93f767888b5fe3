"""``connect()`` → :class:`Market`: the tables of a dataset as Ibis expressions on DuckDB."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cexkit.errors import AmbiguousInstrumentError, InvalidInputError, UnknownNameError, UnknownTableError
from cexkit.intervals import TimeLike, utc
from cexkit.questions import Questions
from cexkit.schema import INSTRUMENT_KEYS, TABLES, Table
from cexkit.store.cache import FileCache
from cexkit.store.locations import locate
from cexkit.store.manifest import DataFile, Manifest
from cexkit.store.snapshot import Mode, Snapshot, open_snapshot

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd

    from cexkit.store.engine import Engine

#: DuckDB's community extension that caches blocks, and what ``cache=`` calls it by.
CACHE_HTTPFS = "cache_httpfs"

#: Who an instrument is: venue, type, symbol.
Identity = tuple[str, str, str]
Names = str | Iterable[str] | None


def connect(
    where: str | Path | None = None,
    *,
    mode: Mode = "auto",
    cache: str | Path | None = None,
    offline: bool = False,
) -> Market:
    """Open a dataset.

    Parameters
    ----------
    where : str or Path, optional
        A folder written by ``cexkit pull`` or the pipeline, ``hf://datasets/org/name[@revision]``, an
        ``http(s)://`` prefix, ``s3://bucket/prefix``, or ``"sample"``. By default the setting ``CEXKIT_DATA``,
        else the sample that comes with the package (simulated data).
    mode : {"auto", "cache", "direct"}
        How files of a remote dataset are read: brought whole into the cache, or in place, only the bytes that a
        query needs. ``auto`` reads tables larger than the setting ``CEXKIT_BIG_TABLE_BYTES`` in place.
    cache : str or Path, optional
        Folder of the cache; by default the setting ``CEXKIT_CACHE_DIR``. ``"cache_httpfs"`` keeps the default folder
        and lets DuckDB's community extension of that name cache what is read in place.
    offline : bool
        Read nothing but the cache, at the revision last seen.

    Returns
    -------
    Market
        Pinned to the state the dataset has now; see :meth:`Market.refresh`.

    Raises
    ------
    DatasetNotFoundError, DatasetAccessError, DatasetUnreachableError, NewerSchemaError
        If there is no dataset, none for this token, no network, or one of a later cexkit.
    InvalidInputError
        If an argument makes no sense.

    Examples
    --------
    >>> market = connect("sample")
    >>> market.simulated
    True
    >>> market.funding_rates.columns[:3]
    ('exchange', 'instrument_type', 'symbol')
    """
    from cexkit.config import settings

    found = settings()
    location = locate(where)
    extension = CACHE_HTTPFS if cache == CACHE_HTTPFS else None
    folder = found.cache_dir if cache is None or extension else Path(cache)
    files = FileCache(folder.expanduser(), found.cache_max_bytes) if location.remote else None
    options = {"mode": mode, "offline": offline, "big_bytes": found.big_table_bytes}
    return Market(lambda: open_snapshot(location, files, **options), extension)


class Market(Questions):
    """A dataset: every table an attribute (found by Tab) that is an Ibis table.

    ``market.funding_rates`` is the whole table; :meth:`table` is the same cut to a window, venues and
    symbols, and opens only the files that can hold them. :meth:`sql` takes DuckDB SQL. Threads may share it.

    Examples
    --------
    >>> market = connect("sample")
    >>> market.funding_rates.count().execute() == market.tables["funding_rates"].rows
    True
    """

    def __init__(self, open_now: Callable[[], Snapshot], extension: str | None = None):
        self._open, self._extension = open_now, extension
        self._lock = threading.RLock()
        self._show(open_now())

    def _show(self, snapshot: Snapshot) -> None:
        """Answer from this state from now on; expressions made before keep theirs."""
        with self._lock:
            self._snapshot, self._manifest = snapshot, snapshot.manifest
            self._views: dict[str, ir.Table] = {}
            self._known: dict[str, list[Identity]] = {}
            for made in ("_backend", "tables"):
                self.__dict__.pop(made, None)

    @cached_property
    def _backend(self) -> Engine:
        from cexkit.store.engine import engine

        with self._lock:
            return self.__dict__.get("_backend") or engine(self._snapshot, self._extension)

    @property
    def location(self) -> str:
        """Where the dataset is."""
        return self._snapshot.location.where

    @property
    def revision(self) -> str:
        """The state that is read: the commit on the hub, the hash of the manifest elsewhere."""
        return self._snapshot.revision

    def refresh(self) -> Market:
        """Move on to the state the dataset has now.

        Returns
        -------
        Market
            Itself. Expressions made before go on reading the state they were made on, and cannot be joined
            with later ones.

        Examples
        --------
        >>> market = connect("sample")
        >>> market.refresh().revision == market.revision
        True
        """
        snapshot = self._open()
        if snapshot.revision != self.revision:
            self._show(snapshot)
        return self

    def warm(self, *tables: str, start: TimeLike | None = None, end: TimeLike | None = None, exchange: Names = None):
        """Bring tables into the cache, so that ``offline=True`` can read them.

        Parameters
        ----------
        *tables : str
            Which; none means all of them.
        start, end, exchange
            Keep to the files of this window and these venues.

        Returns
        -------
        int
            How many files are there now. A folder needs none.
        """
        count = 0
        for name in tables or tuple(self.tables):
            table = self._declared(name)
            first, last = _bounds(table, start, end) if table.time else (None, None)
            files = self._manifest.select(name, start=first, end=last, exchanges=_names(exchange))
            count += self._snapshot.warm(files)
        return count

    @property
    def updated(self) -> datetime:
        """When the dataset was last written (UTC)."""
        return self._manifest.updated_at

    @property
    def simulated(self) -> bool:
        """Whether the numbers are made up."""
        return self._manifest.simulated

    @cached_property
    def tables(self) -> TableList:
        """The tables this dataset holds: a mapping name → :class:`TableInfo`, shown as a table.

        Examples
        --------
        >>> "liquidations" in connect("sample").tables
        True
        """
        return TableList({name: _info(self._manifest, table) for name, table in TABLES.items() if self._files(table)})

    def table(
        self,
        name: str,
        *,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        exchange: Names = None,
        symbol: Names = None,
        instrument_type: Names = None,
    ) -> ir.Table:
        """A table cut to a window and to venues, symbols or types; only files that matter are opened.

        Parameters
        ----------
        name : str
            Table, one of :attr:`tables`.
        start, end : str, date or datetime, optional
            Half-open window, ``start <= timestamp < end``; times without a zone are UTC.
        exchange, symbol, instrument_type : str or iterable of str, optional
            Keep these only. A symbol that means instruments of several types (``BTCUSDT`` spot and perp)
            needs ``instrument_type``.

        Returns
        -------
        ibis Table
            In the declared columns; compose it further or ``.to_pandas()`` it.

        Raises
        ------
        UnknownTableError, UnknownNameError
            If the dataset has no such table, venue, symbol or type; the message lists what there is.
        AmbiguousInstrumentError
            If a symbol means several instruments.
        InvalidInputError
            If a window makes no sense.

        Examples
        --------
        >>> market = connect("sample")
        >>> btc = market.table("funding_rates", start="2026-06-01", exchange="binance", symbol="BTCUSDT")
        >>> btc.count().execute() > 0
        True
        """
        declared = self._declared(name)
        wanted = {
            "exchange": _names(exchange),
            "instrument_type": _names(instrument_type),
            "symbol": _names(symbol),
        }
        first, last = _bounds(declared, start, end)
        self._check_names(declared, wanted)
        files = self._manifest.select(name, start=first, end=last, exchanges=wanted["exchange"])
        return _cut(self._view(declared, files), declared, *_open_conditions(files, first, last, wanted))

    def sql(self, query: str) -> ir.Table:
        """Run DuckDB SQL over the tables by their names.

        Parameters
        ----------
        query : str
            One ``SELECT``.

        Returns
        -------
        ibis Table
            The result, not yet computed.

        Raises
        ------
        InvalidInputError
            If DuckDB does not accept the query; its message is in the text.

        Examples
        --------
        >>> result = connect("sample").sql("select distinct exchange from funding_rates order by exchange")
        >>> result.to_pandas().exchange.tolist()
        ['binance', 'bybit', 'coinbase', 'okx']
        """
        import duckdb

        from cexkit.store.engine import tables_of

        try:
            for name in tables_of(self._backend.con, query) & set(self.tables):
                self._whole(TABLES[name])
            return self._backend.sql(query)
        except duckdb.Error as error:
            raise InvalidInputError(f"the query was not accepted: {error}\nTables: {', '.join(self.tables)}") from error

    def __getattr__(self, name: str) -> ir.Table:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._whole(self._declared(name))

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.tables})

    def __repr__(self) -> str:
        return f"{self._title()}\n{self.tables!r}"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self._title())}</p>{self.tables._repr_html_()}"

    def _title(self) -> str:
        kind = "simulated data" if self.simulated else "data"
        return f"Market: {kind} in {self.location}, updated {self.updated:%Y-%m-%d %H:%M} UTC"

    def _files(self, table: Table) -> tuple[DataFile, ...]:
        return self._manifest.select(table.name)

    def _declared(self, name: str) -> Table:
        if name not in TABLES or not self._files(TABLES[name]):
            raise UnknownTableError.of("table", name, self.tables)
        return TABLES[name]

    def _whole(self, table: Table) -> ir.Table:
        """A table under its own name, as SQL sees it."""
        if self._snapshot.big(table.name):
            raise InvalidInputError(
                f"{table.name} is {self._snapshot.bytes(table.name) / 1e6:,.0f} MB at {self.location}, too much to "
                f"read whole unasked; market.table({table.name!r}, start=…, end=…, exchange=…, symbol=…) reads what it "
                "needs. The setting CEXKIT_BIG_TABLE_BYTES says what is too much"
            )
        return self._view(table, self._files(table), table.name)

    def _view(self, table: Table, files: tuple[DataFile, ...], name: str | None = None) -> ir.Table:
        """The declared columns of these files (with none, an empty table of the same shape)."""
        from cexkit.schema.render import to_ibis

        if not files:
            import ibis

            return ibis.memtable([], schema=to_ibis(table))
        # asked for each time: what is in the cache is looked after
        paths = self._snapshot.paths(files)
        name = name or f"_{table.name}_{hashlib.sha256(repr(paths).encode()).hexdigest()[:16]}"
        if name not in self._views:
            self._create(name, table, paths)
        return self._views[name]

    def _create(self, name: str, table: Table, paths: list[str]) -> None:
        from duckdb import ColumnExpression

        # hive keys let DuckDB skip files of a whole table on `exchange`; the cache has no such names
        hive = name == table.name and self._snapshot.direct(table.name)
        rows = self._backend.con.read_parquet(paths, hive_partitioning=hive)
        with self._lock:
            rows.select(*map(ColumnExpression, table.columns)).create_view(name)
            self._views[name] = self._backend.table(name)

    def _identities(self, exchanges: Collection[str] | None) -> list[Identity]:
        """Who is in the dataset, of these venues: from the list of instruments, else from all tables."""
        listed = self._manifest.select("instruments", exchanges=exchanges)
        names = ["instruments"] if self._files(TABLES["instruments"]) else list(self.tables)
        key = ",".join(file.path for file in listed)
        if key not in self._known:
            found: set[Identity] = set()
            for table in (TABLES[name] for name in names if set(INSTRUMENT_KEYS) <= set(TABLES[name].columns)):
                rows = self._view(table, listed or self._files(table)).select(*INSTRUMENT_KEYS).distinct().to_pyarrow()
                found |= set(zip(*(column.to_pylist() for column in rows.columns), strict=True))
            self._known[key] = sorted(found)
        return self._known[key]

    def _check_names(self, table: Table, wanted: Mapping[str, tuple[str, ...] | None]) -> None:
        """Refuse names that the dataset does not know, and symbols that mean several instruments."""
        asked = {column: names for column, names in wanted.items() if names is not None}
        for column in asked:
            if column not in table.columns:
                raise InvalidInputError(f"{table.name} has no column {column!r}; it has {', '.join(table.columns)}")
        if not asked:
            return
        venues = {file.exchange for file in self._files(TABLES["instruments"]) if file.exchange}
        _refuse_unknown("exchange", asked.get("exchange", ()) if venues else (), venues)
        known = [one for one in self._identities(wanted["exchange"]) if one[1] in table.instrument_types]
        for column, names in asked.items():
            at = INSTRUMENT_KEYS.index(column)
            _refuse_unknown(column.replace("_", " "), names, {one[at] for one in known})
            known = [one for one in known if one[at] in names]
        if "symbol" in asked and "instrument_type" not in asked:
            _refuse_ambiguous(known)


def _refuse_unknown(what: str, names: Iterable[str], there: Collection[str]) -> None:
    for name in names:
        if name not in there:
            raise UnknownNameError.of(what, name, there)


def _refuse_ambiguous(known: Iterable[Identity]) -> None:
    types: dict[str, set[str]] = {}
    for _, kind, symbol in known:
        types.setdefault(symbol, set()).add(kind)
    for symbol, found in types.items():
        if len(found) > 1:
            choices = " or ".join(f"instrument_type={kind!r}" for kind in sorted(found))
            raise AmbiguousInstrumentError(f"{symbol!r} means several instruments; say {choices}")


def _names(value: Names) -> tuple[str, ...] | None:
    if value is None:
        return None
    return (value,) if isinstance(value, str) else tuple(value)


def _bounds(table: Table, start: TimeLike | None, end: TimeLike | None) -> tuple[datetime | None, datetime | None]:
    if (start is not None or end is not None) and table.time is None:
        raise InvalidInputError(
            f"{table.name} has one row an instrument and no time to cut by; leave start and end out"
        )
    first, last = (None if moment is None else utc(moment) for moment in (start, end))
    if first and last and last < first:
        raise InvalidInputError(f"the window ends before it starts: {first.isoformat()} … {last.isoformat()}")
    return first, last


def _open_conditions(
    files: Collection[DataFile], start: datetime | None, end: datetime | None, wanted: Mapping[str, Any]
) -> tuple[datetime | None, datetime | None, dict[str, Any]]:
    """What the choice of files leaves to be asked of their rows."""
    if start is not None and all(file.start and file.start >= start for file in files):
        start = None
    if end is not None and all(file.end and file.end < end for file in files):
        end = None
    venues = wanted["exchange"]
    chosen = venues is not None and all(file.exchange in venues for file in files)
    return start, end, {**wanted, "exchange": None} if chosen else dict(wanted)


def _cut(
    view: ir.Table,
    table: Table,
    start: datetime | None,
    end: datetime | None,
    wanted: Mapping[str, tuple[str, ...] | None],
) -> ir.Table:
    """All in one filter, which Ibis compiles several times faster than one after the other."""
    conditions = [] if start is None else [view[table.time] >= start]
    conditions += [] if end is None else [view[table.time] < end]
    for column, values in wanted.items():
        if values is not None:
            conditions.append(view[column] == values[0] if len(values) == 1 else view[column].isin(values))
    return view.filter(conditions) if conditions else view


@dataclass(frozen=True, slots=True)
class TableInfo:
    """What a dataset holds of one table; ``end`` is the time of the last row."""

    name: str
    meaning: str
    rows: int
    bytes: int
    start: datetime | None
    end: datetime | None
    exchanges: tuple[str, ...]


class TableList(Mapping[str, TableInfo]):
    """Tables of a dataset by name."""

    def __init__(self, infos: Mapping[str, TableInfo]):
        self._infos = dict(infos)

    def __getitem__(self, name: str) -> TableInfo:
        return self._infos[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._infos)

    def __len__(self) -> int:
        return len(self._infos)

    def to_pandas(self) -> pd.DataFrame:
        """The list as a frame, one row a table."""
        import pandas as pd

        rows: list[dict[str, Any]] = [
            {
                "table": info.name,
                "rows": info.rows,
                "first": _day(info.start),
                "last": _day(info.end),
                "exchanges": ", ".join(info.exchanges),
                "MB": round(info.bytes / 1e6, 2),
            }
            for info in self.values()
        ]
        return pd.DataFrame(rows, columns=["table", "rows", "first", "last", "exchanges", "MB"]).set_index("table")

    def __repr__(self) -> str:
        return self.to_pandas().to_string()

    def _repr_html_(self) -> str:
        return self.to_pandas().to_html()


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else ""


def _info(manifest: Manifest, table: Table) -> TableInfo:
    files = manifest.select(table.name)
    window = manifest.window(table.name)
    return TableInfo(
        name=table.name,
        meaning=table.meaning,
        rows=sum(file.rows for file in files),
        bytes=sum(file.bytes for file in files),
        start=window.start if window else None,
        end=window.end if window else None,
        exchanges=tuple(sorted({file.exchange for file in files if file.exchange})),
    )
