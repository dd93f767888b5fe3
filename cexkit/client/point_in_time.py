"""Questions across instruments: what :class:`~cexkit.client.market.Market` can be asked beside its tables.

The answers are Ibis tables, nothing computed yet, in the venue's own units as the tables are. Bars are joined by the
time their close was **known**, the end of the bar: a bar that opens at 08:00 says nothing to a settlement of 08:00.
"""

from __future__ import annotations

from datetime import timedelta
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from cexkit.client.asof import asof, closes, duration, later
from cexkit.client.bars import table_of
from cexkit.client.instruments import Names, Symbols, as_tuple, listed_at, spot_pairs
from cexkit.client.queries import Queries
from cexkit.client.query_run import run_query
from cexkit.client.return_types import give, known
from cexkit.errors import InvalidInputError, UnknownNameError
from cexkit.schema import IDENTITY, INSTRUMENT_KEYS, TABLES, USD_LIKE
from cexkit.schema.intervals import TimeLike, utc

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cexkit.schema import Table

DERIVATIVES = ("perp", "future")


class Questions:
    """Mixed into :class:`~cexkit.client.market.Market`, whose tables and window rules it builds on."""

    @property
    def listed(self) -> pl.DataFrame:
        """Table ``instruments`` as a polars frame, read once for each revision of the dataset.

        Examples
        --------
        >>> import cexkit
        >>> cexkit.connect("sample").listed.filter(base="PEPE", exchange="okx")["symbol"].to_list()
        ['PEPEUSDT', 'PEPEUSDT']
        """
        kept: tuple[str, pl.DataFrame] | None = self.__dict__.get("_listing")
        if kept is None or kept[0] != self.revision:
            kept = self.revision, self.table("instruments").to_polars()
            self.__dict__["_listing"] = kept
        return kept[1]

    @property
    def symbols(self) -> Symbols:
        """Instruments by symbol and by coin: ``market.symbols["BTC"]``, names found by Tab.

        Examples
        --------
        >>> import cexkit
        >>> cexkit.connect("sample").symbols["1000PEPEUSDT"].exchange.tolist()
        ['binance', 'bybit']
        """
        return Symbols(self.listed)

    @property
    def queries(self) -> Queries:
        """The questions in SQL that :meth:`query` answers, with what each asks and takes.

        Examples
        --------
        >>> import cexkit
        >>> cexkit.connect("sample").queries["universe"]
        universe: Which instruments were listed at a time, those delisted since included?
        Parameters:
          as_of: time [UTC], may be left out. The time; none: the newest at which venues were looked at.
          exchange: text, may be left out. One venue; none: all.
          instrument_type: text, may be left out. spot, perp or future; none: all.
        """
        return Queries.read()

    def query(self, name: str, /, *, as_: str = "pandas", **parameters: Any) -> Any:
        """Answer a question in SQL, by name; the same file of ``sql/queries`` runs in a plain DuckDB shell.

        Parameters
        ----------
        name : str
            One of :attr:`queries`.
        as_ : str
            ``"pandas"``, ``"polars"``, ``"arrow"``, or ``"ibis"``: a query is computed at once, so that this is a table
            in memory, to be joined with others.
        **parameters
            What the query takes, by name. Values are bound, never made part of the text.

        Returns
        -------
        frame
            The columns that the header of the query names.

        Raises
        ------
        UnknownNameError
            If there is no such query or parameter; the message lists them.
        InvalidInputError
            If a parameter is missing or of another type.
        UnknownTableError
            If the dataset lacks a table of the query.

        Examples
        --------
        >>> import cexkit
        >>> market = cexkit.connect("sample")
        >>> market.query("liquidation_summary", symbol="BTCUSDT", exchange="okx", days=14)[["side", "events"]].head(2)
           side  events
        0  long       7
        1  long      13
        """
        known(as_)
        return give(run_query(self, self.queries[name], parameters), as_)

    def universe(
        self, at: TimeLike | None = None, *, exchange: Names = None, instrument_type: Names = None
    ) -> ir.Table:
        """Instruments that were listed at a time, those delisted since included.

        Parameters
        ----------
        at : str, date or datetime, optional
            The time (UTC); by default the newest at which venues were looked at.
        exchange, instrument_type : str or iterable of str, optional
            Only these.

        Returns
        -------
        ibis.Table
            Rows of table ``instruments`` with ``listing_time <= at`` and ``at`` before ``delisting_time`` and
            ``expiry``, and ``certain``. Where the venue does not say:

            * no ``listing_time``: taken as listed all along, not certain; not listed while ``pending``.
            * ``delisted`` without ``delisting_time``: listed until ``observed_at``, when the venue last showed it, not
              certain.
            * later than ``observed_at``: taken as still listed, not certain.

            ``status`` is that of the last look at the venue, not of ``at``.

        Raises
        ------
        UnknownNameError
            If the dataset has no such venue or type.
        InvalidInputError
            If ``at`` is no time.

        Examples
        --------
        >>> import cexkit
        >>> then = cexkit.connect("sample").universe("2025-11-01", exchange="binance", instrument_type="perp")
        >>> "FTTUSDT" in set(then.symbol.to_pandas())  # delisted four weeks later
        True
        """
        rows = self.table("instruments", exchange=exchange, instrument_type=instrument_type)
        moment = utc(self.listed["observed_at"].max() if at is None else at)
        return listed_at(rows, moment)

    def panel(
        self,
        column: str,
        table: str = "ohlcv_1d",
        *,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        exchange: Names = None,
        symbol: Names = None,
        instrument_type: Names = None,
        as_: str = "pandas",
    ) -> Any:
        """One column of a table, wide: one row a timestamp, one column an instrument.

        Parameters
        ----------
        column : str
            Column of the table, such as ``"close"`` or ``"funding_rate"``.
        table : str
            A table that has one row for each instrument (or coin) and time.
        start, end, exchange, symbol, instrument_type
            As for :meth:`~cexkit.client.market.Market.table`.
        as_ : str
            ``"pandas"`` (``timestamp`` is the index), ``"polars"``, ``"arrow"`` or ``"ibis"``. For ``"ibis"`` the
            instruments are looked up now, the values are not yet computed.

        Returns
        -------
        frame
            ``timestamp`` as in the table, in order, and a column for each instrument that has rows, named by all that
            identifies it (``"binance perp BTCUSDT"``), in order of the names; of tables by coin, the coin. Null where
            an instrument has no row; nothing is filled in.

        Raises
        ------
        InvalidInputError
            If the table can have several rows for one instrument and time.
        UnknownNameError
            If the table has no such column.

        Examples
        --------
        >>> import cexkit
        >>> market = cexkit.connect("sample")
        >>> closes = market.panel("close", symbol="BTCUSDT", instrument_type="perp", start="2026-06-01")
        >>> closes.columns.tolist(), len(closes)
        (['binance perp BTCUSDT', 'bybit perp BTCUSDT', 'okx perp BTCUSDT'], 30)
        """
        known(as_)
        series = _series_of(table, column)
        words = {"exchange": exchange, "symbol": symbol, "instrument_type": instrument_type}
        rows = self.table(table, start=start, end=end, **words)
        long = rows.select("timestamp", _name=_joined(rows, series), _value=rows[column])
        if as_ == "ibis":
            names = sorted(long.select("_name").distinct().to_polars()["_name"])
            return _wide(long, names)
        wide = long.to_polars().pivot("_name", index="timestamp", values="_value", sort_columns=True).sort("timestamp")
        return give(wide, as_).set_index("timestamp") if as_ == "pandas" else give(wide, as_)

    def funding_with_price(
        self,
        *,
        price: Literal["mark", "index", "trade"] = "mark",
        tolerance: str | timedelta = "1h",
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        exchange: Names = None,
        symbol: Names = None,
    ) -> ir.Table:
        """Every settlement with the price that was known when it was paid.

        Parameters
        ----------
        price : str
            Hourly closes of the same instrument: ``"mark"`` (table ``mark_1h``), ``"index"`` (``index_1h``) or
            ``"trade"`` (``ohlcv_1h``).
        tolerance : str or timedelta
            How long before the settlement the close may have become known.
        start, end, exchange, symbol
            As for :meth:`~cexkit.client.market.Market.table`.

        Returns
        -------
        ibis.Table
            Table ``funding_rates`` with ``price``, ``price_name`` (table it is from) and ``price_timestamp`` (when it
            was known, at or before ``timestamp``); null where there is none within the tolerance.

        Raises
        ------
        UnknownNameError
            If there is no such price, or the dataset lacks its table.

        Examples
        --------
        >>> import cexkit
        >>> market = cexkit.connect("sample")
        >>> paid = market.funding_with_price(exchange="okx", symbol="BTCUSDT", start="2026-06-30", price="index")
        >>> bool((paid.price_timestamp == paid.timestamp).to_pandas().all())
        True
        """
        table = table_of(price)
        words = {"exchange": as_tuple(exchange), "symbol": as_tuple(symbol)}
        rates = self.table("funding_rates", start=start, end=end, **words)
        late = duration(tolerance)
        bars = self._bars_until(table, start, end, late, **words, instrument_type="perp")
        right = closes(bars, TABLES[table].bar, INSTRUMENT_KEYS, price="close")
        joined = asof(rates, right, INSTRUMENT_KEYS, late, known="price_timestamp")
        return joined.mutate(price_name=joined.price.notnull().ifelse(table, None))

    def open_interest_usd(
        self,
        *,
        tolerance: str | timedelta = "1h",
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        exchange: Names = None,
        symbol: Names = None,
        instrument_type: Names = None,
    ) -> ir.Table:
        """Open interest in US dollars, by a stated rule.

        The value is the venue's own (``open_interest_quote``) where it gives one, else ``open_interest_base`` at the
        last mark price known by then, else at the last trade price. Quotes of :data:`~cexkit.schema.USD_LIKE` are taken
        1:1 as dollars; others have no value.

        Parameters
        ----------
        tolerance : str or timedelta
            How long before the snapshot an hourly close may have become known.
        start, end, exchange, symbol, instrument_type
            As for :meth:`~cexkit.client.market.Market.table`.

        Returns
        -------
        ibis.Table
            Table ``open_interest`` with ``open_interest_usd`` and ``usd_from``: ``venue``, ``mark_1h`` or ``ohlcv_1h``;
            both null where the value is not known.

        Examples
        --------
        >>> import cexkit
        >>> held = cexkit.connect("sample").open_interest_usd(symbol="BTCUSDT", start="2026-06-30")
        >>> held.usd_from.value_counts().to_pandas().values.tolist()
        [['venue', 72]]
        """
        words = {
            "exchange": as_tuple(exchange),
            "symbol": as_tuple(symbol),
            "instrument_type": as_tuple(instrument_type),
        }
        held, late = self.table("open_interest", start=start, end=end, **words), duration(tolerance)
        words["instrument_type"] = self._types(words["instrument_type"], words["exchange"])
        joined, prices = held, [name for name in ("mark_1h", "ohlcv_1h") if name in self.tables]
        for name in prices:
            bars = self._bars_until(name, start, end, late, **words)
            right = closes(bars, TABLES[name].bar, INSTRUMENT_KEYS, **{name: "close"})
            joined = asof(joined, right, INSTRUMENT_KEYS, late, known=f"_{name}_known")
        return _in_dollars(joined, held.columns, prices)

    def basis(
        self,
        *,
        reference: Literal["index", "spot"] = "index",
        price: Literal["trade", "mark"] = "trade",
        interval: str = "1h",
        tolerance: str | timedelta = "0s",
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        exchange: Names = None,
        symbol: Names = None,
        instrument_type: Names = None,
    ) -> ir.Table:
        """How far perpetuals and dated futures trade from their index or from spot.

        Parameters
        ----------
        reference : str
            ``"index"``: the hourly close of the instrument's own index (``index_1h``). ``"spot"``: the close of the
            spot pair of the same coin and quote at the same venue, of the same interval; of several such pairs the one
            with the smallest multiplier, then the first by name. The reference is brought to the unit of the price.
        price : str
            Close of ``"trade"`` bars of the interval, or of ``"mark"`` bars (hourly).
        interval : str
            Length of the bars whose closes are compared, as stored.
        tolerance : str or timedelta
            How much older the reference may be. By default nothing: prices of different moments are mostly further
            apart than a basis.
        start, end : str, date or datetime, optional
            Half-open window of the times at which closes were known.
        exchange, symbol, instrument_type
            As for :meth:`~cexkit.client.market.Market.table`.

        Returns
        -------
        ibis.Table
            Identity, ``timestamp`` (when the close was known), ``price``, ``reference``, ``reference_name``
            (``index_1h`` or ``spot BTCUSDT``), ``reference_timestamp``, ``basis`` (:func:`cexkit.basis`), ``expiry``
            and ``annualized_basis`` (:func:`cexkit.annualized_basis`, null for perpetuals). Without a reference within
            the tolerance these are null and the row stays.

        Raises
        ------
        UnknownNameError
            If there is no such reference, price or stored interval.
        InvalidInputError
            If spot instruments are asked for.

        Examples
        --------
        >>> import cexkit
        >>> market = cexkit.connect("sample")
        >>> rows = market.basis(reference="spot", exchange="binance", symbol="1000PEPEUSDT", start="2026-06-30")
        >>> rows.reference_name.to_pandas().unique().tolist(), float(rows.basis.abs().max().execute()) < 0.02
        (['spot PEPEUSDT'], True)
        """
        import ibis

        late, table, exchange = duration(tolerance), table_of(price, interval), as_tuple(exchange)
        words = {"exchange": exchange, "symbol": as_tuple(symbol)}
        words["instrument_type"] = self._types(as_tuple(instrument_type), exchange)
        bars = self._bars_known(table, start, end, **words)
        terms = self.table("instruments", exchange=exchange).select(*INSTRUMENT_KEYS, "multiplier", "expiry")
        left = bars.left_join(terms, INSTRUMENT_KEYS)
        left = left.select(*IDENTITY, "timestamp", "multiplier", "expiry", price=left.close)
        if reference == "index":
            right = self._bars_until("index_1h", start, end, late, **words)
            right = closes(right, TABLES["index_1h"].bar, INSTRUMENT_KEYS, reference="close")
            joined = asof(left, right, INSTRUMENT_KEYS, late, known="reference_timestamp")
            joined = joined.mutate(_name=ibis.literal("index_1h"))
        elif reference == "spot":
            joined = self._with_spot(left, table_of("trade", interval), start, end, late, exchange)
        else:
            raise UnknownNameError.of("reference", reference, ("index", "spot"))
        return _measured(joined)

    def _with_spot(
        self,
        left: ir.Table,
        table: str,
        start: TimeLike | None,
        end: TimeLike | None,
        late: timedelta,
        exchange: Names,
    ) -> ir.Table:
        """Rows with the close of the spot pair of the same coin and quote at the same venue."""
        pairs = spot_pairs(self.table("instruments", exchange=exchange, instrument_type="spot"))
        left = left.left_join(pairs, ["exchange", "base", "quote"]).select(left, pairs._pair, pairs._pair_multiplier)
        bars = self._bars_until(table, start, end, late, exchange=exchange, instrument_type="spot")
        right = closes(bars.mutate(_pair=bars.symbol), TABLES[table].bar, ("exchange", "_pair"), reference="close")
        joined = asof(left, right, ("exchange", "_pair"), late, known="reference_timestamp")
        reference = joined.reference * joined.multiplier / joined._pair_multiplier
        return joined.mutate(reference=reference, _name="spot " + joined._pair)

    def _types(self, asked: tuple[str, ...] | None, exchange: tuple[str, ...] | None) -> tuple[str, ...]:
        """Types of derivatives asked for; by default all that these venues list."""
        if asked is None:
            listed = self.listed if exchange is None else self.listed.filter(pl.col("exchange").is_in(exchange))
            # without any, asking for them says so
            return tuple(kind for kind in DERIVATIVES if kind in set(listed["instrument_type"])) or DERIVATIVES
        if "spot" in asked:
            raise InvalidInputError(f"spot is what derivatives are compared with; ask for {' or '.join(DERIVATIVES)}")
        return asked

    def _bars_known(self, table: str, start: TimeLike | None, end: TimeLike | None, **words: Names) -> ir.Table:
        """Bars whose close becomes known in a window, at that time."""
        bar = TABLES[table].bar
        first, last = (None if moment is None else utc(moment) - bar for moment in (start, end))
        return later(self.table(table, start=first, end=last, **words), bar)

    def _bars_until(
        self, table: str, start: TimeLike | None, end: TimeLike | None, late: timedelta, **words: Names
    ) -> ir.Table:
        """Bars, at their open times, that something in a window may be joined to."""
        first = None if start is None else utc(start) - TABLES[table].bar - late
        return self.table(table, start=first, end=end, **words)


def _series_of(table: str, column: str) -> tuple[str, ...]:
    """Columns that tell apart the series of a table which has one row for each of them and time."""
    declared = TABLES.get(table)
    if declared is None:
        raise UnknownNameError.of("table", table, TABLES)
    series = tuple(name for name in declared.key if name != declared.time)
    if not _is_panel(declared):
        fit = ", ".join(name for name, each in TABLES.items() if _is_panel(each))
        raise InvalidInputError(
            f"{table} can have several rows for one instrument and time; panels are of {fit}. Aggregate it first, and "
            "pivot the outcome"
        )
    if column not in declared.columns or column in declared.key:
        raise UnknownNameError.of(f"column of {table}", column, set(declared.columns) - set(declared.key))
    return series


def _is_panel(declared: Table) -> bool:
    return declared.time is not None and declared.key in ((*INSTRUMENT_KEYS, declared.time), ("base", declared.time))


def _joined(rows: ir.Table, names: tuple[str, ...]) -> ir.StringValue:
    return reduce(lambda text, name: text + " " + rows[name], names[1:], rows[names[0]])


def _wide(long: ir.Table, names: list[str]) -> ir.Table:
    if not names:
        return long.select("timestamp").limit(0)
    wide = long.pivot_wider(
        id_cols="timestamp", names_from="_name", names=names, values_from="_value", values_agg="max"
    )
    return wide.order_by("timestamp")


def _measured(joined: ir.Table) -> ir.Table:
    """Basis and annual basis by their metrics; names only where there is a reference."""
    from cexkit.analytics.basis.basis import annualized_basis, basis

    name = joined.reference.notnull().ifelse(joined._name, None)
    rows = joined.mutate(reference_name=name).pipe(basis).pipe(annualized_basis)
    return rows.select(
        *IDENTITY, "timestamp", "price", "reference", "reference_name", "reference_timestamp", "basis", "expiry",
        "annualized_basis",
    )  # fmt: skip


def _in_dollars(rows: ir.Table, columns: tuple[str, ...], prices: list[str]) -> ir.Table:
    """The value by the first source that has one."""
    import ibis

    dollars = rows.quote.isin(USD_LIKE)
    values = {"venue": rows.open_interest_quote, **{name: rows.open_interest_base * rows[name] for name in prices}}
    value = ibis.coalesce(*values.values())
    source = ibis.cases(*((each.notnull(), name) for name, each in values.items()), else_=None)
    return rows.select(
        *columns,
        open_interest_usd=dollars.ifelse(value, None),
        usd_from=dollars.ifelse(source, None),
    )
