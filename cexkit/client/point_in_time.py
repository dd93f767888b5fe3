"""Point-in-time joins of prices to funding, open interest, and derivatives.

The results are Ibis tables that are not yet computed, in the units of the venue. Bars are joined by the time their
close was **known**, which is the end of the bar. A bar that opens at 08:00 therefore contributes nothing to a
settlement at 08:00.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import polars as pl

from cexkit.client.asof import asof, closes, duration, later
from cexkit.client.bars import table_of
from cexkit.client.instruments import OneOrMany, one_per_instrument, spot_pairs, to_tuple
from cexkit.errors import InvalidInputError, UnknownNameError
from cexkit.schema import IDENTITY, INSTRUMENT_KEYS, TABLES, USD_LIKE
from cexkit.schema.intervals import TimeLike, utc

if TYPE_CHECKING:
    import ibis.expr.types as ir

DERIVATIVES = ("perp", "future")


class PointInTimeMixin:
    """Methods of :class:`~cexkit.client.market.Market` that join without look-ahead.

    They build on its tables and window rules.
    """

    def funding_with_price(
        self,
        *,
        price: Literal["mark", "index", "trade"] = "mark",
        tolerance: str | timedelta = "1h",
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        exchange: OneOrMany = None,
        symbol: OneOrMany = None,
    ) -> ir.Table:
        """Return each settlement with the price that was known when it was paid.

        Parameters
        ----------
        price : str
            Hourly closes of the same instrument: ``"mark"`` (table ``mark_1h``), ``"index"`` (``index_1h``), or
            ``"trade"`` (``ohlcv_1h``).
        tolerance : str or timedelta
            Maximum time from when the close became known to the settlement.
        start, end, exchange, symbol
            See :meth:`~cexkit.client.market.Market.table`.

        Returns
        -------
        ibis.Table
            Table ``funding_rates`` with ``price``, ``price_name`` (its table), and ``price_timestamp`` (when it was
            known, at or before ``timestamp``). Null if no price was known within the tolerance.

        Raises
        ------
        UnknownNameError
            If the price is unknown, or the dataset lacks its table.

        Examples
        --------
        >>> import cexkit
        >>> market = cexkit.connect("sample")
        >>> paid = market.funding_with_price(exchange="okx", symbol="BTCUSDT", start="2026-06-30", price="index")
        >>> bool((paid.price_timestamp == paid.timestamp).to_pandas().all())
        True
        """
        table = table_of(price)
        filters = {"exchange": to_tuple(exchange), "symbol": to_tuple(symbol)}
        rates = self.table("funding_rates", start=start, end=end, **filters)
        max_age = duration(tolerance)
        bars = self._read_bars_to_join(table, start, end, max_age, **filters, instrument_type="perp")
        prices = closes(bars, TABLES[table].bar, INSTRUMENT_KEYS, price="close")
        joined = asof(rates, prices, INSTRUMENT_KEYS, max_age, available="price_timestamp")
        return joined.mutate(price_name=joined.price.notnull().ifelse(table, None))

    def open_interest_usd(
        self,
        *,
        tolerance: str | timedelta = "1h",
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        exchange: OneOrMany = None,
        symbol: OneOrMany = None,
        instrument_type: OneOrMany = None,
    ) -> ir.Table:
        """Return open interest in US dollars by a stated rule.

        The value is the venue's own (``open_interest_quote``) if given, else ``open_interest_base`` at the last mark
        price known by then, else at the last trade price. Quote currencies in :data:`~cexkit.schema.USD_LIKE` count 1:1
        as dollars; others have no value.

        Parameters
        ----------
        tolerance : str or timedelta
            Maximum time from when an hourly close became known to the snapshot.
        start, end, exchange, symbol, instrument_type
            See :meth:`~cexkit.client.market.Market.table`.

        Returns
        -------
        ibis.Table
            Table ``open_interest`` with ``open_interest_usd`` and ``usd_from`` (``venue``, ``mark_1h``, or
            ``ohlcv_1h``). Both are null if the value is unknown.

        Examples
        --------
        >>> import cexkit
        >>> held = cexkit.connect("sample").open_interest_usd(symbol="BTCUSDT", start="2026-06-30")
        >>> held.usd_from.value_counts().to_pandas().values.tolist()
        [['venue', 72]]
        """
        filters = {
            "exchange": to_tuple(exchange),
            "symbol": to_tuple(symbol),
            "instrument_type": to_tuple(instrument_type),
        }
        snapshots, max_age = self.table("open_interest", start=start, end=end, **filters), duration(tolerance)
        filters["instrument_type"] = self._resolve_derivative_types(filters["instrument_type"], filters["exchange"])
        joined, price_tables = snapshots, [name for name in ("mark_1h", "ohlcv_1h") if name in self.tables]
        for name in price_tables:
            bars = self._read_bars_to_join(name, start, end, max_age, **filters)
            prices = closes(bars, TABLES[name].bar, INSTRUMENT_KEYS, **{name: "close"})
            joined = asof(joined, prices, INSTRUMENT_KEYS, max_age, available=f"_{name}_known")
        return _value_in_usd(joined, snapshots.columns, price_tables)

    def basis(
        self,
        *,
        reference: Literal["index", "spot"] = "index",
        price: Literal["trade", "mark"] = "trade",
        interval: str = "1h",
        tolerance: str | timedelta = "0s",
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        exchange: OneOrMany = None,
        symbol: OneOrMany = None,
        instrument_type: OneOrMany = None,
    ) -> ir.Table:
        """Return how far perpetuals and dated futures trade from their index or spot price.

        Parameters
        ----------
        reference : str
            ``"index"``: the hourly close of the instrument's own index (``index_1h``). ``"spot"``: the close of the
            spot pair of the same coin and quote on the same venue, of the same interval. Of several such pairs, the one
            with the smallest multiplier is used, then the first by name. The reference is converted to the unit of the
            price.
        price : str
            Close of ``"trade"`` bars of the interval, or of ``"mark"`` bars (hourly).
        interval : str
            Length of the bars whose closes are compared; must be a stored interval.
        tolerance : str or timedelta
            Maximum time by which the reference may be older. Default: zero, because prices of different moments usually
            differ by more than a basis.
        start, end : str, date or datetime, optional
            Half-open window of the times at which closes were known.
        exchange, symbol, instrument_type
            See :meth:`~cexkit.client.market.Market.table`.

        Returns
        -------
        ibis.Table
            Identity, ``timestamp`` (when the close was known), ``price``, ``reference``, ``reference_name``
            (``index_1h`` or ``spot BTCUSDT``), ``reference_timestamp``, ``basis`` (:func:`cexkit.basis`), ``expiry``,
            and ``annualized_basis`` (:func:`cexkit.annualized_basis`, null for perpetuals). Without a reference within
            the tolerance, the row is kept and the reference and basis columns are null.

        Raises
        ------
        UnknownNameError
            If the reference, price, or stored interval is unknown.
        InvalidInputError
            If spot instruments are requested.

        Examples
        --------
        >>> import cexkit
        >>> market = cexkit.connect("sample")
        >>> rows = market.basis(reference="spot", exchange="binance", symbol="1000PEPEUSDT", start="2026-06-30")
        >>> rows.reference_name.to_pandas().unique().tolist(), float(rows.basis.abs().max().execute()) < 0.02
        (['spot PEPEUSDT'], True)
        """
        import ibis

        max_age, table, exchange = duration(tolerance), table_of(price, interval), to_tuple(exchange)
        filters = {"exchange": exchange, "symbol": to_tuple(symbol)}
        filters["instrument_type"] = self._resolve_derivative_types(to_tuple(instrument_type), exchange)
        bars = self._read_bars_at_close(table, start, end, **filters)
        contracts = one_per_instrument(self.table("instruments", exchange=exchange))
        contracts = contracts.select(*INSTRUMENT_KEYS, "expiry", _listed=contracts.multiplier)
        prices = bars.left_join(contracts, INSTRUMENT_KEYS)
        multiplier = ibis.coalesce(prices.multiplier, prices._listed)
        prices = prices.select(*IDENTITY, "timestamp", "expiry", multiplier=multiplier, price=prices.close)
        if reference == "index":
            index_bars = self._read_bars_to_join("index_1h", start, end, max_age, **filters)
            references = closes(index_bars, TABLES["index_1h"].bar, INSTRUMENT_KEYS, reference="close")
            joined = asof(prices, references, INSTRUMENT_KEYS, max_age, available="reference_timestamp")
            joined = joined.mutate(_name=ibis.literal("index_1h"))
        elif reference == "spot":
            joined = self._join_spot(prices, table_of("trade", interval), start, end, max_age, exchange)
        else:
            raise UnknownNameError.of("reference", reference, ("index", "spot"))
        return _compute_basis(joined)

    def _join_spot(
        self,
        prices: ir.Table,
        table: str,
        start: TimeLike | None,
        end: TimeLike | None,
        max_age: timedelta,
        exchange: OneOrMany,
    ) -> ir.Table:
        """Add the close of the spot pair of the same coin and quote on the same venue."""
        import ibis

        pairs = spot_pairs(self.table("instruments", exchange=exchange, instrument_type="spot"))
        paired = prices.left_join(pairs, ["exchange", "base", "quote"])
        paired = paired.select(prices, pairs._pair, pairs._pair_multiplier)
        bars = self._read_bars_to_join(table, start, end, max_age, exchange=exchange, instrument_type="spot")
        bars = bars.mutate(_pair=bars.symbol)
        values = {"reference": "close", "_reference_multiplier": "multiplier"}
        references = closes(bars, TABLES[table].bar, ("exchange", "_pair"), **values)
        joined = asof(paired, references, ("exchange", "_pair"), max_age, available="reference_timestamp")
        per_coin = joined.reference / ibis.coalesce(joined._reference_multiplier, joined._pair_multiplier)
        reference = per_coin * joined.multiplier
        return joined.mutate(reference=reference, _name="spot " + joined._pair)

    def _resolve_derivative_types(
        self, requested: tuple[str, ...] | None, exchange: tuple[str, ...] | None
    ) -> tuple[str, ...]:
        """Return the requested derivative types; by default all that these venues list."""
        if requested is None:
            instruments = (
                self.instrument_frame
                if exchange is None
                else self.instrument_frame.filter(pl.col("exchange").is_in(exchange))
            )
            available = set(instruments["instrument_type"])
            # If the venues list none, request both, so that the error says so.
            return (
                tuple(instrument_type for instrument_type in DERIVATIVES if instrument_type in available) or DERIVATIVES
            )
        if "spot" in requested:
            raise InvalidInputError(f"spot is what derivatives are compared with; ask for {' or '.join(DERIVATIVES)}")
        return requested

    def _read_bars_at_close(
        self, table: str, start: TimeLike | None, end: TimeLike | None, **filters: OneOrMany
    ) -> ir.Table:
        """Read bars whose close becomes known in a window, timestamped when it becomes known."""
        bar = TABLES[table].bar
        first, last = (None if moment is None else utc(moment) - bar for moment in (start, end))
        return later(self.table(table, start=first, end=last, **filters), bar)

    def _read_bars_to_join(
        self, table: str, start: TimeLike | None, end: TimeLike | None, max_age: timedelta, **filters: OneOrMany
    ) -> ir.Table:
        """Read the bars, at their open times, that rows of a window may be joined to."""
        first = None if start is None else utc(start) - TABLES[table].bar - max_age
        return self.table(table, start=first, end=end, **filters)


def _compute_basis(joined: ir.Table) -> ir.Table:
    """Compute basis and annualized basis by their metrics; ``reference_name`` is null without a reference."""
    from cexkit.analytics.basis.basis import annualized_basis, basis

    name = joined.reference.notnull().ifelse(joined._name, None)
    rows = joined.mutate(reference_name=name).pipe(basis).pipe(annualized_basis)
    return rows.select(
        *IDENTITY, "timestamp", "price", "reference", "reference_name", "reference_timestamp", "basis", "expiry",
        "annualized_basis",
    )  # fmt: skip


def _value_in_usd(rows: ir.Table, columns: tuple[str, ...], price_tables: list[str]) -> ir.Table:
    """Add the value from the first source that has one, and the name of the source."""
    import ibis

    is_usd = rows.quote.isin(USD_LIKE)
    values = {"venue": rows.open_interest_quote}
    values |= {name: rows.open_interest_base * rows[name] for name in price_tables}
    first_value = ibis.coalesce(*values.values())
    source = ibis.cases(*((value.notnull(), name) for name, value in values.items()), else_=None)
    return rows.select(
        *columns,
        open_interest_usd=is_usd.ifelse(first_value, None),
        usd_from=is_usd.ifelse(source, None),
    )
