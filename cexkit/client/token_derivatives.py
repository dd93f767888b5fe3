"""Methods of :class:`~cexkit.client.token.Token` about derivatives: funding, open interest, basis, liquidations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Literal

import polars as pl

from cexkit.analytics.funding.rates import funding_apr, funding_apy
from cexkit.client.bars import table_of
from cexkit.client.references import quote_group
from cexkit.client.return_types import ReturnType
from cexkit.client.selection import RowPlan, Selection, TimeRange, check_limit, parse_window, probe_start
from cexkit.client.token_base import TokenBase
from cexkit.errors import UnpricedQuoteWarning, warn
from cexkit.schema import IDENTITY, INSTRUMENT_KEYS, TABLES, USD_LIKE
from cexkit.schema.intervals import TimeLike

#: Time around a window whose settlements give the interval of its first and last one, if that is not stored.
FUNDING_MARGIN = timedelta(days=2)
#: Longest settlement interval.
MAX_FUNDING_INTERVAL = timedelta(hours=8)


class DerivativeMethods(TokenBase):
    """Funding, open interest, basis, and liquidations."""

    def funding_rate(
        self,
        *,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        limit: int | None = None,
        return_type: ReturnType | None = None,
    ) -> Any:
        """Return settled funding rates.

        Parameters
        ----------
        start, end : str, date or datetime, optional
            Half-open window of settlement times, UTC.
        limit, return_type
            See :meth:`ohlcv`.

        Returns
        -------
        frame
            Identity, ``timestamp``, ``funding_rate`` (fraction per interval; positive: longs pay shorts),
            and ``funding_interval_hours``, which differs between venues, instruments, and times.

        Examples
        --------
        >>> from cexkit import Token
        >>> sorted(Token("BTC").funding_rate(limit=1).funding_interval_hours)
        [1.0, 8.0, 8.0, 8.0]
        """
        return self._ask(lambda selection: _plan_funding(selection, (start, end), limit), return_type)

    def funding_rate_annualized(
        self,
        *,
        compound: bool = False,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        limit: int | None = None,
        return_type: ReturnType | None = None,
    ) -> Any:
        """Compute funding per year, each settlement by its own interval (:func:`cexkit.funding_apr`).

        Parameters
        ----------
        compound : bool
            Compound over a year, in a column ``funding_apy``, instead of the simple rate.
        start, end, limit, return_type
            See :meth:`funding_rate`.

        Returns
        -------
        frame
            Columns of :meth:`funding_rate` plus ``funding_apr``, a fraction per 365 days.

        Examples
        --------
        >>> from cexkit import Token
        >>> frame = Token("WIF", exchange=["binance", "okx"]).funding_rate_annualized(limit=1)  # every hour, every 4 h
        >>> (frame.funding_apr / frame.funding_rate).round(6).tolist()
        [8760.0, 2190.0]
        """
        return self._ask(
            lambda selection: _plan_annualized_funding(selection, (start, end), limit, compound), return_type
        )

    def open_interest(
        self,
        *,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        limit: int | None = None,
        return_type: ReturnType | None = None,
    ) -> Any:
        """Return one-sided open interest in coins, in the quote currency, and in dollars.

        Parameters
        ----------
        start, end : str, date or datetime, optional
            Half-open window of snapshot times, UTC.
        limit, return_type
            See :meth:`ohlcv`.

        Returns
        -------
        frame
            Identity, ``timestamp``, ``open_interest_base`` (coins), ``open_interest_quote`` (the venue's own value),
            ``open_interest_usd``, and ``usd_from``, by the rule of ``market.open_interest_usd()``.

        Warns
        -----
        UnpricedQuoteWarning
            If a quote currency is not treated as dollars.

        Examples
        --------
        >>> from cexkit import Token
        >>> held = Token("BTC").open_interest(limit=1)
        >>> held.quote.tolist(), held.usd_from.unique().tolist()
        (['USDT', 'USDT', 'USDC', 'USDT'], ['venue'])
        """
        return self._ask(lambda selection: _plan_open_interest(selection, (start, end), limit), return_type)

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
        limit: int | None = None,
        return_type: ReturnType | None = None,
    ) -> Any:
        """Return how far perpetuals and dated futures trade from their index or spot price.

        Parameters
        ----------
        reference, price, interval, tolerance, quotes
            See ``market.basis()``: which price is compared with which, how much older the reference may be (by
            default, zero), and which quote currencies may be compared with each other.
        start, end : str, date or datetime, optional
            Half-open window of the times at which closes were known.
        limit, return_type
            See :meth:`ohlcv`.

        Returns
        -------
        frame
            Identity, ``timestamp`` (when the close was known), ``price`` and ``reference`` (quote per coin),
            ``reference_name``, ``reference_quote`` (of a spot pair), ``reference_timestamp``, ``basis`` (a fraction),
            ``expiry``, and ``annualized_basis``. Reference and basis columns are null without a reference within the
            tolerance.

        Warns
        -----
        NoReferenceWarning
            If derivatives have no reference in the window; the message names them and what was searched for.

        Examples
        --------
        >>> from cexkit import Token
        >>> token = Token("PEPE", exchange="binance")
        >>> token.basis(reference="spot", limit=1)[["symbol", "reference_name"]].values.tolist()
        [['1000PEPEUSDT', 'spot PEPEUSDT']]
        """
        options = {"reference": reference, "price": price, "interval": interval, "tolerance": tolerance}
        options["quotes"] = quote_group(quotes)
        return self._ask(lambda selection: _plan_basis(selection, (start, end), limit, **options), return_type)

    def liquidations(
        self,
        *,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        limit: int | None = None,
        return_type: ReturnType | None = None,
    ) -> Any:
        """Return liquidations, one row per event.

        Parameters
        ----------
        start, end : str, date or datetime, optional
            Half-open window of event times, UTC.
        limit, return_type
            See :meth:`ohlcv`.

        Returns
        -------
        frame
            Identity, ``timestamp``, ``side`` (of the position that was closed), ``price``, ``price_type``,
            ``quantity_base`` (coins), ``value_quote``, ``event``, and ``coverage``. Venues with coverage ``throttled``
            publish only a sample, so their totals are lower bounds.

        Examples
        --------
        >>> from cexkit import Token
        >>> events = Token("ETH", exchange="okx").liquidations(start="2026-06-30")
        >>> events.crypto.liquidation_summary()[["side", "coverage"]].values.tolist()
        [['long', 'throttled']]
        """
        return self._ask(lambda selection: _plan_liquidations(selection, (start, end), limit), return_type)


def _plan_funding(selection: Selection, time_range: TimeRange, limit: int | None) -> RowPlan:
    """Plan settled funding rates."""
    start, end = parse_window(time_range)
    start = start or probe_start(selection, "funding_rates", end, limit, MAX_FUNDING_INTERVAL)
    columns = (*IDENTITY, "timestamp", "funding_rate", "funding_interval_hours")
    return RowPlan(selection.rows("funding_rates", start, end), columns, limit=check_limit(limit))


def _plan_annualized_funding(selection: Selection, time_range: TimeRange, limit: int | None, compound: bool) -> RowPlan:
    """Plan funding per year, each settlement by its own interval."""
    start, end = window = parse_window(time_range)
    metric, column = (funding_apy, "funding_apy") if compound else (funding_apr, "funding_apr")
    start = start or probe_start(selection, "funding_rates", end, limit, MAX_FUNDING_INTERVAL)
    start = None if start is None else start - FUNDING_MARGIN
    rows = selection.rows("funding_rates", start, None if end is None else end + FUNDING_MARGIN)
    columns = (*IDENTITY, "timestamp", "funding_rate", "funding_interval_hours", column)
    return RowPlan(rows, columns, (metric,), window, check_limit(limit))


def _plan_open_interest(selection: Selection, time_range: TimeRange, limit: int | None) -> RowPlan:
    """Plan open interest with its value in dollars."""
    start, end = parse_window(time_range)
    start = start or probe_start(selection, "open_interest", end, limit, TABLES["open_interest"].bar)
    rows = selection.query_market("open_interest", selection.market.open_interest_usd, start=start, end=end)
    unpriced = sorted(set(selection.require_covered_by("open_interest")["quote"]) - set(USD_LIKE))
    if unpriced:
        text = f"quotes {', '.join(unpriced)} are not treated as dollars: their open_interest_usd is null"
        warn(text, UnpricedQuoteWarning)
    columns = (*IDENTITY, "timestamp", "open_interest_base", "open_interest_quote", "open_interest_usd", "usd_from")
    return RowPlan(rows, columns, limit=check_limit(limit))


def _plan_basis(selection: Selection, time_range: TimeRange, limit: int | None, **options: Any) -> RowPlan:
    """Plan closes of derivatives against a reference known at the same time."""
    start, end = parse_window(time_range)
    table = table_of(options["price"], options["interval"])
    derivatives = replace(selection, instruments=selection.instruments.filter(pl.col("instrument_type") != "spot"))
    selection = derivatives if len(derivatives.instruments) else selection
    if start is None and (first_open := probe_start(selection, table, end, limit, TABLES[table].bar)):
        start = first_open + TABLES[table].bar  # known a bar after it opens
    # The selection has chosen by class, and a name without coins means all of its instruments.
    basis = partial(selection.market.basis, asset_class=None)
    rows = selection.query_market(table, basis, start=start, end=end, **options)
    return RowPlan(rows, tuple(rows.columns), limit=check_limit(limit))


def _plan_liquidations(selection: Selection, time_range: TimeRange, limit: int | None) -> RowPlan:
    """Plan liquidations, event by event."""
    table = TABLES["liquidations"]
    rows = selection.rows(table.name, *parse_window(time_range))
    order = (*INSTRUMENT_KEYS, "timestamp", "side", "price", "quantity_base", "event")
    return RowPlan(rows, table.columns, limit=check_limit(limit), order=order)
