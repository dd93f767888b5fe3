"""Methods of :class:`~cexkit.client.token.Token` about prices."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from cexkit.analytics.prices import log_returns, returns
from cexkit.analytics.volatility import Estimator, realized_volatility
from cexkit.client.asof import later
from cexkit.client.bars import TRADES, bars_of, read_bars
from cexkit.client.return_types import ReturnType
from cexkit.client.selection import RowPlan, Selection, Step, TimeRange, check_limit, parse_window
from cexkit.client.token_base import TokenBase
from cexkit.errors import InvalidInputError
from cexkit.schema import IDENTITY, INSTRUMENT_KEYS, TABLES
from cexkit.schema.intervals import TimeLike, utc
from cexkit.schema.scalars import to_plain

if TYPE_CHECKING:
    import ibis.expr.types as ir

#: How far back :meth:`PriceMethods.price` reads bars shorter than a day.
PRICE_LOOKBACK = timedelta(days=3)
#: Extra bars read before a window, in addition to those its first value needs, because bars may be missing.
PADDING_BARS = 30


class PriceMethods(TokenBase):
    """Bars, closes, and what is computed from closes."""

    def ohlcv(
        self,
        interval: str = "1d",
        *,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        limit: int | None = None,
        return_type: ReturnType | None = None,
    ) -> Any:
        """Return bars of trade prices.

        Parameters
        ----------
        interval : str
            Length of a bar: ``"1m"``, ``"1h"``, ``"1d"`` as stored, or a multiple of a stored one (``"5m"``, ``"4h"``,
            ``"1w"``). Multiples are aggregated by the rules of :func:`cexkit.resample` from the longest stored bars
            that divide them.
        start, end : str, date or datetime, optional
            Half-open window of open times, UTC.
        limit : int, optional
            Number of newest bars to keep per instrument; must be positive.
        return_type : str, optional
            ``"pandas"``, ``"polars"``, ``"arrow"``, or ``"ibis"``; by default the token's ``return_type``.

        Returns
        -------
        frame
            Identity, ``timestamp`` (open time), prices per coin, amounts in coins. Aggregated bars also have
            ``rows``, the number of stored bars in them. Bars whose end the dataset does not reach are omitted.

        Raises
        ------
        InvalidInputError
            If the dataset has no bars that make up the interval, or no bars of these instruments.

        Examples
        --------
        >>> from cexkit import Token
        >>> bars = Token("BTC", exchange="okx", instrument_type="perp").ohlcv("4h", limit=2)
        >>> bars[["timestamp", "rows"]].astype(str).values.tolist()
        [['2026-06-30 16:00:00+00:00', '4'], ['2026-06-30 20:00:00+00:00', '4']]
        """
        return self._ask(lambda selection: _plan_ohlcv(selection, interval, (start, end), limit), return_type)

    def price_history(
        self,
        interval: str = "1d",
        *,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        limit: int | None = None,
        return_type: ReturnType | None = None,
    ) -> Any:
        """Return closes, each at the time it was known.

        Parameters
        ----------
        interval, limit, return_type
            See :meth:`ohlcv`.
        start, end : str, date or datetime, optional
            Half-open window of the times the closes were known.

        Returns
        -------
        frame
            Identity, ``timestamp`` (end of the bar) and ``price`` (quote per coin).

        Examples
        --------
        >>> from cexkit import Token
        >>> Token("PEPE", exchange="binance").price_history(limit=1)[["symbol", "price"]].round(9).values.tolist()
        [['1000PEPEUSDT', 8.053e-06], ['PEPEUSDT', 8.049e-06]]
        """
        return self._ask(lambda selection: _plan_closes(selection, interval, (start, end), limit), return_type)

    def price(self, *, at: TimeLike | None = None, return_type: ReturnType | None = None) -> Any:
        """Return the newest price of each instrument.

        Parameters
        ----------
        at : str, date or datetime, optional
            Return the price known at this time (UTC); by default at the end of the dataset.
        return_type : str, optional
            See :meth:`ohlcv`.

        Returns
        -------
        frame
            One row per instrument: identity, ``timestamp`` (when the close was known), ``price`` (quote per coin), and
            ``interval`` of the bar it closes. The price is the close known last; of several known at the same time, the
            close of the shortest bar. Bars shorter than a day are read for the last 3 days only. Delisted instruments
            have their last price, so check ``timestamp``.

        Examples
        --------
        >>> from cexkit import Token
        >>> Token("BTC", exchange="okx").price()[["instrument_type", "symbol", "interval"]].values.tolist()
        [['perp', 'BTCUSDT', '1m'], ['spot', 'BTCUSDT', '1m']]
        """
        return self._ask(lambda selection: _plan_price(selection, at), return_type)

    def returns(
        self,
        interval: str = "1d",
        *,
        log: bool = False,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        limit: int | None = None,
        return_type: ReturnType | None = None,
    ) -> Any:
        """Compute returns from close to close, by :func:`cexkit.returns`.

        Parameters
        ----------
        interval, limit, return_type
            See :meth:`ohlcv`.
        log : bool
            ``ln(p / p_before)``, in a column ``log_returns``, instead of ``p / p_before - 1``.
        start, end : str, date or datetime, optional
            Half-open window of the times the closes were known. The close before it is read too, up to 31 bars back,
            so that the first return in the window has a value.

        Returns
        -------
        frame
            Identity, ``timestamp`` (end of the bar), ``price``, and ``returns`` (a fraction). A return over a gap in
            the bars spans the gap.

        Examples
        --------
        >>> from cexkit import Token
        >>> week = Token("ETH", exchange="okx", instrument_type="perp").returns(start="2026-06-24", end="2026-07-01")
        >>> len(week), int(week["returns"].isna().sum())
        (7, 0)
        """
        return self._ask(lambda selection: _plan_returns(selection, interval, (start, end), limit, log), return_type)

    def volatility(
        self,
        interval: str = "1d",
        *,
        window: int = 30,
        estimator: Estimator = "close",
        min_samples: int | None = None,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        limit: int | None = None,
        return_type: ReturnType | None = None,
    ) -> Any:
        """Compute realized volatility over trailing bars, by :func:`cexkit.realized_volatility`.

        Parameters
        ----------
        interval, limit, return_type
            See :meth:`ohlcv`.
        window : int
            Bars in the trailing window.
        estimator : str
            ``"close"``, ``"parkinson"``, ``"garman_klass"``, ``"rogers_satchell"``, or ``"yang_zhang"``.
        min_samples : int, optional
            Minimum number of bars in the window that must have a value; by default all.
        start, end : str, date or datetime, optional
            Half-open window of the times the closes were known. The bars before it that the first value needs are
            read too.

        Returns
        -------
        frame
            Identity, ``timestamp`` (end of the last bar), ``price``, and ``realized_volatility``, a fraction per year
            of 365 days. Null until the window is full, and if the window contains a gap.

        Examples
        --------
        >>> from cexkit import Token
        >>> token = Token("BTC", exchange="okx", instrument_type="perp")
        >>> bool(token.volatility(start="2026-06-01", estimator="parkinson").realized_volatility.notna().all())
        True
        """
        options = {"window": window, "estimator": estimator, "min_samples": min_samples}
        return self._ask(
            lambda selection: _plan_volatility(selection, interval, (start, end), limit, **options), return_type
        )


def _plan_ohlcv(selection: Selection, interval: str, time_range: TimeRange, limit: int | None) -> RowPlan:
    """Plan bars at the times they open."""
    window = parse_window(time_range)
    bars, rows, steps = read_bars(selection, interval, window, limit)
    columns = TABLES[bars.table].columns + (() if bars.stored else ("rows",))
    return RowPlan(rows, columns, steps, window, check_limit(limit))


def _plan_closes(
    selection: Selection,
    interval: str,
    time_range: TimeRange,
    limit: int | None,
    metric: Step | None = None,
    columns: tuple[str, ...] = (),
    bars_before: int = 0,
    over_gaps: bool = False,
) -> RowPlan:
    """Plan closes and a metric of them, at the times they are known; read ``bars_before`` bars more for the metric."""
    start, end = parse_window(time_range)
    length = bars_of(selection.market, interval).length
    opens = tuple(None if moment is None else moment - length for moment in (start, end))
    bars_before = bars_before + PADDING_BARS if bars_before else 0
    _, rows, steps = read_bars(selection, interval, opens, limit, bars_before, over_gaps)
    steps = (*steps, *((metric,) if metric else ()), partial(_shift_to_close, length=length), _add_price)
    return RowPlan(rows, (*IDENTITY, "timestamp", "price", *columns), steps, (start, end), check_limit(limit))


def _plan_returns(selection: Selection, interval: str, time_range: TimeRange, limit: int | None, log: bool) -> RowPlan:
    """Plan returns from close to close."""
    metric, column = (log_returns, "log_returns") if log else (returns, "returns")
    return _plan_closes(selection, interval, time_range, limit, metric, (column,), bars_before=1)


def _plan_volatility(
    selection: Selection,
    interval: str,
    time_range: TimeRange,
    limit: int | None,
    window: int,
    estimator: Estimator,
    min_samples: int | None,
) -> RowPlan:
    """Plan the realized volatility of trailing bars."""
    metric = partial(
        realized_volatility, window=window, estimator=estimator, interval=interval, min_samples=min_samples
    )
    window = to_plain(window)
    bars_before = max(window, 1) if isinstance(window, int) else 1  # the metric rejects invalid values
    # If a window may have missing bars, its other bars may precede a gap of any length.
    over_gaps = min_samples is not None
    columns = ("realized_volatility",)
    return _plan_closes(selection, interval, time_range, limit, metric, columns, bars_before, over_gaps)


def _plan_price(selection: Selection, at: TimeLike | None) -> RowPlan:
    """Plan the close that was known last; of several known at the same time, the close of the shortest bar."""
    import ibis

    moment = None if at is None else utc(at)
    tables = [table for table in TRADES.values() if not selection.covered_by(table).is_empty()]
    if not tables:
        raise InvalidInputError("this dataset has no bars of these instruments, and so no prices")
    parts = [_read_last_closes(selection, table, moment) for table in tables]
    closes = ibis.union(*parts) if len(parts) > 1 else parts[0]
    newest = ibis.row_number().over(group_by=INSTRUMENT_KEYS, order_by=[closes.timestamp.desc(), closes._length])
    rows = closes.mutate(_newest=newest).filter(ibis._._newest == 0)
    return RowPlan(rows, (*IDENTITY, "timestamp", "price", "interval"))


def _read_last_closes(selection: Selection, table: str, moment: datetime | None) -> ir.Table:
    """Read the closes of one table that were known by a moment."""
    import ibis

    bar = TABLES[table].bar
    newest = selection.market.tables[table].end + bar
    until = newest if moment is None else min(moment, newest)
    start = until - PRICE_LOOKBACK if bar < timedelta(days=1) else None
    # a bar that opens at `until - bar` is known at `until`
    rows = _shift_to_close(selection.rows(table, start, until - bar + timedelta(microseconds=1)), bar)
    return rows.select(
        *IDENTITY, "timestamp", price=rows.close, interval=ibis.literal(TABLES[table].interval),
        _length=ibis.literal(int(bar.total_seconds()), type="int64"),
    )  # fmt: skip


def _shift_to_close(frame: Any, length: timedelta) -> Any:
    """Move times from the open of a bar to its end, when its close is known."""
    if isinstance(frame, pl.DataFrame):
        return frame.with_columns(pl.col("timestamp") + length)
    return later(frame, length)


def _add_price(frame: Any) -> Any:
    """Append the close as column ``price``."""
    if isinstance(frame, pl.DataFrame):
        return frame.with_columns(price="close")
    return frame.mutate(price=frame.close)
