"""``connect()`` → :class:`Market`: the tables of a dataset as Ibis expressions on DuckDB."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
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
from cexkit.store.layout import MANIFEST
from cexkit.store.locations import SAMPLE_ROOT, resolve
from cexkit.store.manifest import DataFile, Manifest, read_manifest

if TYPE_CHECKING:
    import ibis
    import ibis.expr.types as ir
    import pandas as pd

Names = str | Iterable[str] | None


def connect(where: str | Path | None = None) -> Market:
    """Open a dataset.

    Parameters
    ----------
    where : str or Path, optional
        A folder written by ``cexkit pull`` or the pipeline, or ``"sample"``. By default the setting
        ``CEXKIT_DATA``, else the sample that comes with the package (simulated data).

    Returns
    -------
    Market

    Raises
    ------
    DatasetNotFoundError
        If no dataset is there.

    Examples
    --------
    >>> market = connect("sample")
    >>> market.simulated
    True
    >>> market.funding_rates.columns[:3]
    ('exchange', 'instrument_type', 'symbol')
    """
    return Market(resolve(where))


class Market(Questions):
    """A dataset: every table an attribute (found by Tab) that is an Ibis table.

    ``market.funding_rates`` is the whole table; :meth:`table` is the same cut to a window, venues and
    symbols, and opens only the files that can hold them. :meth:`sql` takes DuckDB SQL.

    Examples
    --------
    >>> market = connect("sample")
    >>> market.funding_rates.count().execute() == market.tables["funding_rates"].rows
    True
    """

    def __init__(self, root: Path):
        self._root = root
        self._views: dict[str, ir.Table] = {}

    @cached_property
    def _manifest(self) -> Manifest:
        return read_manifest(self._root / MANIFEST)

    @cached_property
    def _backend(self) -> ibis.BaseBackend:
        import ibis

        return ibis.duckdb.connect()

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
        return _cut(self._view(declared, files), declared, first, last, wanted)

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

        for name in self.tables:
            self._whole(TABLES[name])
        try:
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
        place = "the embedded sample" if self._root == SAMPLE_ROOT else self._root
        return f"Market: {kind} in {place}, updated {self.updated:%Y-%m-%d %H:%M} UTC"

    def _files(self, table: Table) -> tuple[DataFile, ...]:
        return self._manifest.select(table.name)

    def _declared(self, name: str) -> Table:
        if name not in TABLES or not self._files(TABLES[name]):
            raise UnknownTableError.of("table", name, self.tables)
        return TABLES[name]

    def _whole(self, table: Table) -> ir.Table:
        if table.name not in self._views:
            files = self._view(table, self._files(table), hive=True)
            self._backend.create_view(table.name, files, overwrite=True)
            self._views[table.name] = self._backend.table(table.name)
        return self._views[table.name]

    def _view(self, table: Table, files: tuple[DataFile, ...], *, hive: bool = False) -> ir.Table:
        """The declared columns of these files (with none, an empty table of the same shape)."""
        from cexkit.schema.render import to_ibis

        if not files:
            import ibis

            return ibis.memtable([], schema=to_ibis(table))
        paths = [str(self._root / file.path) for file in files]
        digest = hashlib.sha256("\n".join(paths).encode()).hexdigest()[:16]
        name = f"_{table.name}_{digest}{'_hive' if hive else ''}"
        if name not in self._views:
            # hive keys let DuckDB skip files on `exchange`; pruned reads have done so already
            self._views[name] = self._backend.read_parquet(paths, table_name=name, hive_partitioning=hive)
        return self._views[name].select(*table.columns)

    @cached_property
    def _instruments(self) -> pd.DataFrame:
        """Distinct identities of everything in the dataset."""
        if self._files(TABLES["instruments"]):
            return self.instruments.select(*INSTRUMENT_KEYS).to_pandas()
        import pandas as pd

        parts = [
            self._whole(TABLES[name]).select(*INSTRUMENT_KEYS).distinct().to_pandas()
            for name in self.tables
            if set(INSTRUMENT_KEYS) <= set(TABLES[name].columns)
        ]
        return pd.concat(parts).drop_duplicates() if parts else pd.DataFrame(columns=list(INSTRUMENT_KEYS))

    def _check_names(self, table: Table, wanted: Mapping[str, tuple[str, ...] | None]) -> None:
        """Refuse names that the dataset does not know, and symbols that mean several instruments."""
        asked = {column: names for column, names in wanted.items() if names is not None}
        if not asked:
            return
        for column in asked:
            if column not in table.columns:
                raise InvalidInputError(f"{table.name} has no column {column!r}; it has {', '.join(table.columns)}")
        known = self._instruments[self._instruments.instrument_type.isin(table.instrument_types)]
        for column, names in asked.items():
            there = known[column].unique()
            for name in names:
                if name not in there:
                    raise UnknownNameError.of(column.replace("_", " "), name, there)
            known = known[known[column].isin(names)]
        if "symbol" in asked and "instrument_type" not in asked:
            _refuse_ambiguous(known)


def _refuse_ambiguous(known: pd.DataFrame) -> None:
    types = known.groupby("symbol").instrument_type.unique()
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


def _cut(
    view: ir.Table,
    table: Table,
    start: datetime | None,
    end: datetime | None,
    wanted: Mapping[str, tuple[str, ...] | None],
) -> ir.Table:
    if start is not None:
        view = view.filter(view[table.time] >= start)
    if end is not None:
        view = view.filter(view[table.time] < end)
    for column, values in wanted.items():
        if values is not None:
            view = view.filter(view[column].isin(values))
    return view


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
