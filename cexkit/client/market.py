"""``connect()`` → :class:`Market`: the tables of a dataset as Ibis expressions on DuckDB."""

from __future__ import annotations

import threading
from datetime import datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from cexkit.client.opening import Opening
from cexkit.client.panel import PanelMixin
from cexkit.client.point_in_time import PointInTimeMixin
from cexkit.client.query_run import QueryMixin
from cexkit.client.table_list import TableList, describe_dataset
from cexkit.client.universe import UniverseMixin
from cexkit.schema.intervals import TimeLike
from cexkit.schema.names import OneOrMany, resolve_all, to_tuple
from cexkit.warehouse.store.manifest import Manifest
from cexkit.warehouse.store.reader import Reader, bounds
from cexkit.warehouse.store.snapshot import Mode, Snapshot

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cexkit.warehouse.store.engine import Engine


def connect(
    source: str | Path | None = None,
    *,
    mode: Mode = "auto",
    cache: str | Path | None = None,
    offline: bool = False,
) -> Market:
    """Open a dataset.

    Parameters
    ----------
    source : str or Path, optional
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
    market = Market(Opening.of(source, mode, cache, offline))
    _ = market.revision  # opens the dataset, so that errors are raised here
    return market


class Market(PanelMixin, PointInTimeMixin, QueryMixin, UniverseMixin):
    """A dataset: every table an attribute (found by Tab) that is an Ibis table.

    ``market.funding_rates`` is the whole table; :meth:`table` is the same cut to a window, venues and
    symbols, and opens only the files that can hold them. :meth:`sql` takes DuckDB SQL. Threads may share it.

    A pickle of it holds location, revision, and options. Another process opens the same revision when it first reads;
    it needs credentials of its own, and raises DatasetNotFoundError if the revision no longer exists.

    Examples
    --------
    >>> market = connect("sample")
    >>> market.funding_rates.count().execute() == market.tables["funding_rates"].rows
    True
    """

    def __init__(self, opening: Opening, revision: str | None = None):
        self._opening, self._revision = opening, revision
        self._opened: Reader | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Market], tuple[Opening, str]]:
        return type(self), (self._opening, self.revision)

    @property
    def _reader(self) -> Reader:
        # An unpickled market opens here: an error in unpickling would end the process of a pool without a word.
        with self._lock:
            if self._opened is None:
                self._opened = self._opening.reader(self._revision)
            return self._opened

    @property
    def _snapshot(self) -> Snapshot:
        return self._reader.snapshot

    @property
    def _manifest(self) -> Manifest:
        return self._reader.manifest

    @property
    def _backend(self) -> Engine:
        return self._reader.engine

    @property
    def location(self) -> str:
        """Where the dataset is."""
        return self._snapshot.location.address

    @property
    def revision(self) -> str:
        """The state that is read: the commit on the hub, the hash of the manifest elsewhere."""
        return self._revision if self._opened is None and self._revision else self._snapshot.revision

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
        reader = self._opening.reader()
        if reader.snapshot.revision != self.revision:
            # in one step: a question that another thread is asking goes on with the state it began on
            self._opened = reader
        return self

    def warm(
        self, *tables: str, start: TimeLike | None = None, end: TimeLike | None = None, exchange: OneOrMany = None
    ) -> int:
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

        Raises
        ------
        UnknownTableError, UnknownNameError
            If the dataset has no such table or venue.
        DatasetUnreachableError
            If a file cannot be brought.
        """
        reader, venues, count = self._reader, to_tuple(exchange), 0
        there = {file.exchange for file in reader.manifest.files if file.exchange}
        venues = resolve_all("exchange", venues, there)
        for name in tables or reader.names:
            table = reader.declared(name)
            first, last = bounds(table, start, end) if table.time else (None, None)
            files = reader.manifest.select(name, start=first, end=last, exchanges=venues)
            count += reader.snapshot.warm(files)
        return count

    @property
    def updated(self) -> datetime:
        """When the dataset was last written (UTC)."""
        return self._manifest.updated_at

    @property
    def simulated(self) -> bool:
        """Whether the numbers are made up."""
        return self._manifest.simulated

    @property
    def tables(self) -> TableList:
        """The tables this dataset holds: a mapping name → :class:`TableInfo`, shown as a table.

        Examples
        --------
        >>> "liquidations" in connect("sample").tables
        True
        """
        return TableList.of(self._reader.extents)

    def table(
        self,
        name: str,
        *,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        exchange: OneOrMany = None,
        symbol: OneOrMany = None,
        instrument_type: OneOrMany = None,
    ) -> ir.Table:
        """A table cut to a window and to venues, symbols or types; only files that matter are opened.

        Parameters
        ----------
        name : str
            Table, one of :attr:`tables`.
        start, end : str, date or datetime, optional
            Half-open window, ``start <= timestamp < end``; times without a zone are UTC.
        exchange, symbol, instrument_type : str or iterable of str, optional
            Keep these only; in any case (``"btcusdt"``), if only one name is meant. A symbol that means instruments of
            several types (``BTCUSDT`` spot and perp) needs ``instrument_type``.

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
        reader = self._reader
        wanted = {
            "exchange": to_tuple(exchange),
            "instrument_type": to_tuple(instrument_type),
            "symbol": to_tuple(symbol),
        }
        return reader.cut(reader.declared(name), start, end, wanted)

    def sql(self, query: str) -> ir.Table:
        """Run DuckDB SQL over the tables by their names.

        Parameters
        ----------
        query : str
            One ``SELECT`` (with ``WITH RECURSIVE``, too), ``DESCRIBE``, ``SUMMARIZE``, or ``SHOW TABLES``.

        Returns
        -------
        ibis Table
            The result, not yet computed.

        Raises
        ------
        InvalidInputError
            If DuckDB does not accept the query, whose message is in the text, or two columns have one name.
        DatasetError
            If a file of a table in the query cannot be read; other tables still can.

        Examples
        --------
        >>> result = connect("sample").sql("select distinct exchange from funding_rates order by exchange")
        >>> result.to_pandas().exchange.tolist()
        ['binance', 'bybit', 'coinbase', 'okx']
        """
        return self._reader.sql(query)

    def __getattr__(self, name: str) -> ir.Table:
        if name.startswith("_"):
            raise AttributeError(name)
        reader = self._reader
        return reader.whole(reader.declared(name))

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.tables})

    def __repr__(self) -> str:
        return f"{self._title()}\n{self.tables!r}"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self._title())}</p>{self.tables._repr_html_()}"

    def _title(self) -> str:
        return describe_dataset(self._manifest, self.location)
