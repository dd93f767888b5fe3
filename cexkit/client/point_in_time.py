"""Point-in-time joins of prices to funding, open interest, and derivatives.

The results are Ibis tables that are not yet computed, in the units of the venue. Bars are joined by the time their
close was **known**, which is the end of the bar. A bar that opens at 08:00 therefore contributes nothing to a
settlement at 08:00.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from cexkit.client.asof import asof, closes, duration
from cexkit.client.bars import table_of
from cexkit.client.basis import plan_basis
from cexkit.client.instruments import derivative_types
from cexkit.errors import NoReferenceWarning, warn
from cexkit.schema import INSTRUMENT_KEYS, TABLES, USD_LIKE
from cexkit.schema.intervals import TimeLike, utc
from cexkit.schema.names import OneOrMany, to_tuple

if TYPE_CHECKING:
    import ibis.expr.types as ir


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
        filters["instrument_type"] = derivative_types(
            self.instrument_frame, filters["instrument_type"], filters["exchange"]
        )
        joined, price_tables = snapshots, [name for name in ("mark_1h", "ohlcv_1h") if name in self.tables]
        for name in price_tables:
            bars = self._read_bars_to_join(name, start, end, max_age, **filters)
            prices = closes(bars, TABLES[name].bar, INSTRUMENT_KEYS, **{name: "close"})
            joined = asof(joined, prices, INSTRUMENT_KEYS, max_age, available=f"_{name}_known")
        return _value_in_usd(joined, snapshots.columns, price_tables)

    def basis(
        self,
        *,
        reference: Literal["auto", "index", "spot"] = "auto",
        price: Literal["trade", "mark"] = "trade",
        interval: str = "1h",
        tolerance: str | timedelta = "0s",
        quotes: Iterable[str] = USD_LIKE,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        exchange: OneOrMany = None,
        symbol: OneOrMany = None,
        instrument_type: OneOrMany = None,
        asset_class: str | None = "crypto",
    ) -> ir.Table:
        """Return how far perpetuals and dated futures trade from their index or spot price.

        Parameters
        ----------
        reference : str
            ``"index"``: the hourly close of the instrument's own index (``index_1h``). ``"spot"``: the close of a spot
            pair of the same coin on the same venue, of the same interval. ``"auto"``: the index if it has bars in the
            window, else spot. The reference is converted to the unit of the price.
        price : str
            Close of ``"trade"`` bars of the interval, or of ``"mark"`` bars (hourly).
        interval : str
            Length of the bars whose closes are compared; must be a stored interval.
        tolerance : str or timedelta
            Maximum time by which the reference may be older. Default: zero, because prices of different moments usually
            differ by more than a basis.
        quotes : iterable of str
            Quote currencies that may be compared with each other; by default those that count as US dollars
            (:data:`~cexkit.schema.USD_LIKE`). A spot pair in the derivative's own quote is preferred. A basis across
            quotes contains the premium of one over the other; ``reference_quote`` then differs from ``quote``. Pass
            ``()`` to compare within one quote only.
        start, end : str, date or datetime, optional
            Half-open window of the times at which closes were known.
        exchange, symbol, instrument_type
            See :meth:`~cexkit.client.market.Market.table`.
        asset_class : str or None, default "crypto"
            ``"crypto"`` leaves out derivatives known to be of another class, unless nothing else has bars; null and
            unknown classes stay. Any other class keeps only derivatives known to be of it. None keeps all. A derivative
            is never compared with a spot pair of another class; an instrument of unknown class counts as a coin.

        Returns
        -------
        ibis.Table
            Identity, ``timestamp`` (when the close was known), ``price``, ``reference``, ``reference_name``
            (``index_1h`` or ``spot BTCUSDT``), ``reference_quote`` (of the spot pair; null for an index),
            ``reference_timestamp``, ``basis`` (:func:`cexkit.basis`), ``expiry``, and ``annualized_basis``
            (:func:`cexkit.annualized_basis`, null for perpetuals).

            **Choice:** each derivative has one reference in the whole window, among those with bars in it. Of several
            spot pairs, that in the derivative's quote, then with the most bars, the smallest multiplier, the largest
            volume, and the first by name. **Nulls:** rows without a reference within the tolerance are kept, and their
            reference and basis columns are null.

        Raises
        ------
        UnknownNameError
            If the reference, price, stored interval, or a quote is unknown, or the dataset lacks the table of a
            requested reference, or the asset class is unknown.
        InvalidInputError
            If spot instruments are requested.

        Warns
        -----
        ExcludedInstrumentsWarning
            If derivatives with bars are left out because of their class, with their number.
        NoReferenceWarning
            If derivatives have no reference in the window; the message names them and what was searched for.

        Examples
        --------
        >>> import cexkit
        >>> market = cexkit.connect("sample")
        >>> rows = market.basis(reference="spot", exchange="binance", symbol="1000PEPEUSDT", start="2026-06-30")
        >>> rows.reference_name.to_pandas().unique().tolist(), float(rows.basis.abs().max().execute()) < 0.02
        (['spot PEPEUSDT'], True)
        >>> rows = market.basis(exchange="coinbase", symbol="BTCUSDC", start="2026-06-30")  # a venue without an index
        >>> rows.select("quote", "reference_name", "reference_quote").distinct().to_pandas().values.tolist()
        [['USDC', 'spot BTCUSD', 'USD']]
        """
        plan = plan_basis(
            self,
            reference=reference,
            price=price,
            interval=interval,
            tolerance=tolerance,
            quotes=quotes,
            start=start,
            end=end,
            exchange=exchange,
            symbol=symbol,
            instrument_type=instrument_type,
            asset_class=asset_class,
        )
        if plan.problem:
            warn(plan.problem, NoReferenceWarning)
        return plan.rows

    def _read_bars_to_join(
        self, table: str, start: TimeLike | None, end: TimeLike | None, max_age: timedelta, **filters: OneOrMany
    ) -> ir.Table:
        """Read the bars, at their open times, that rows of a window may be joined to."""
        first = None if start is None else utc(start) - TABLES[table].bar - max_age
        return self.table(table, start=first, end=end, **filters)


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
