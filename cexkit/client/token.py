"""``Token("BTC")``: familiar verbs over the tables of a dataset.

Every verb gives a long frame, one row an instrument and time, with the columns that say which instrument it is.
Nothing is chosen in silence: all instruments of the coin come, until ``exchange`` and ``instrument_type`` say fewer.

Three rules hold for all methods.

* **Per coin.** Prices are per coin and amounts in coins, also where a venue lists a multiple
  (``1000PEPEUSDT``); ``market.table()`` gives the venue's own units.
* **Known at.** ``ohlcv`` has bars at the time they *open*, as the tables do. Everything made of closes (``price``,
  ``price_history``, ``returns``, ``volatility``, ``basis``) stands at the time the close was *known*, the end of its
  bar: joined to other rows by time, it tells nothing from the future.
* **Newest.** ``limit`` keeps the newest rows of each instrument.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from cexkit.analytics.volatility import Estimator
from cexkit.client import selection
from cexkit.client.instruments import Names
from cexkit.client.return_types import As, give, known
from cexkit.client.selection import Rows, Selection
from cexkit.schema.intervals import TimeLike

if TYPE_CHECKING:
    from cexkit.client.market import Market
    from cexkit.client.tearsheet import Tearsheet

Question = Callable[[Selection], Rows]
#: Columns of instruments that a notebook shows.
SHOWN = ("exchange", "instrument_type", "symbol", "base", "quote", "multiplier", "status", "listing_time")


class Verbs:
    """What :class:`Token` and :class:`~cexkit.client.tokens.Tokens` can be asked.

    Every verb takes ``as_`` for the kind of frame.
    """

    as_: As

    @property
    def instruments(self) -> pl.DataFrame:
        """The instruments that are asked about, as table ``instruments`` has them."""
        raise NotImplementedError

    def _ask(self, question: Question, as_: As | None) -> Any:
        raise NotImplementedError

    def _summary(self) -> str:
        venues = self.instruments["exchange"].unique().sort()
        kinds = self.instruments["instrument_type"].unique().sort()
        several = self.instruments.filter(pl.col("multiplier") != 1)["symbol"].unique().sort()
        counted = f", counted per coin where {', '.join(several)} lists several" if len(several) else ""
        return f"{len(self.instruments)} instruments ({', '.join(kinds)}) at {', '.join(venues)}{counted}"

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>{self.instruments.select(*SHOWN).to_pandas().to_html(index=False)}"

    def ohlcv(
        self,
        interval: str = "1d",
        *,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        limit: int | None = None,
        as_: As | None = None,
    ) -> Any:
        """Bars of trade prices.

        Parameters
        ----------
        interval : str
            Length of a bar: ``"1m"``, ``"1h"``, ``"1d"`` as stored, or a multiple of a stored one (``"5m"``, ``"4h"``,
            ``"1w"``), made by the rules of :func:`cexkit.resample` from the longest that divides it.
        start, end : str, date or datetime, optional
            Half-open window of open times, UTC.
        limit : int, optional
            The newest so many bars of each instrument.
        as_ : str, optional
            ``"pandas"``, ``"polars"``, ``"arrow"`` or ``"ibis"``; by default that of the token.

        Returns
        -------
        frame
            Identity, ``timestamp`` (open time), prices per coin, amounts in coins. Bars that were made have ``rows``
            too, the number of stored bars in them; bars that the dataset does not reach the end of are not there.

        Raises
        ------
        InvalidInputError
            If the dataset has no bars that make up the interval, or none of these instruments.

        Examples
        --------
        >>> bars = Token("BTC", exchange="okx", instrument_type="perp").ohlcv("4h", limit=2)
        >>> bars[["timestamp", "rows"]].astype(str).values.tolist()
        [['2026-06-30 16:00:00+00:00', '4'], ['2026-06-30 20:00:00+00:00', '4']]
        """
        return self._ask(lambda chosen: selection.ohlcv(chosen, interval, start, end, limit), as_)

    def price_history(
        self,
        interval: str = "1d",
        *,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        limit: int | None = None,
        as_: As | None = None,
    ) -> Any:
        """Closes, each at the time it was known.

        Parameters
        ----------
        interval, limit, as_
            As for :meth:`ohlcv`.
        start, end : str, date or datetime, optional
            Half-open window of the times the closes were known.

        Returns
        -------
        frame
            Identity, ``timestamp`` (end of the bar) and ``price`` (quote per coin).

        Examples
        --------
        >>> Token("PEPE", exchange="binance").price_history(limit=1)[["symbol", "price"]].round(9).values.tolist()
        [['1000PEPEUSDT', 8.053e-06], ['PEPEUSDT', 8.049e-06]]
        """
        return self._ask(lambda chosen: selection.closes(chosen, interval, start, end, limit), as_)

    def price(self, *, at: TimeLike | None = None, as_: As | None = None) -> Any:
        """The newest price of each instrument.

        Parameters
        ----------
        at : str, date or datetime, optional
            As it was known at this time (UTC); by default at the end of the dataset.
        as_ : str, optional
            As for :meth:`ohlcv`.

        Returns
        -------
        frame
            One row an instrument: identity, ``timestamp`` (when the close was known), ``price`` (quote per coin) and
            ``interval`` of the bar it closes. It is the close that was known last, of the shortest bars where several
            are known at the same time; bars shorter than a day are looked at for the last 3 days only. Delisted
            instruments have their last price: look at ``timestamp``.

        Examples
        --------
        >>> Token("BTC", exchange="okx").price()[["instrument_type", "symbol", "interval"]].values.tolist()
        [['perp', 'BTCUSDT', '1m'], ['spot', 'BTCUSDT', '1m']]
        """
        return self._ask(lambda chosen: selection.price(chosen, at), as_)

    def returns(
        self,
        interval: str = "1d",
        *,
        log: bool = False,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        limit: int | None = None,
        as_: As | None = None,
    ) -> Any:
        """Returns from close to close, by :func:`cexkit.returns`.

        Parameters
        ----------
        interval, limit, as_
            As for :meth:`ohlcv`.
        log : bool
            ``ln(p / p_before)``, in a column ``log_returns``, instead of ``p / p_before - 1``.
        start, end : str, date or datetime, optional
            Half-open window of the times the closes were known. The close before it is read too, up to 31 bars back,
            so that the first return in the window is there.

        Returns
        -------
        frame
            Identity, ``timestamp`` (end of the bar), ``price`` and ``returns`` (a fraction). Over a gap in the bars the
            return spans the gap.

        Examples
        --------
        >>> week = Token("ETH", exchange="okx", instrument_type="perp").returns(start="2026-06-24", end="2026-07-01")
        >>> len(week), int(week["returns"].isna().sum())
        (7, 0)
        """
        return self._ask(lambda chosen: selection.returns_(chosen, interval, log, start, end, limit), as_)

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
        as_: As | None = None,
    ) -> Any:
        """Realized volatility over trailing bars, by :func:`cexkit.realized_volatility`.

        Parameters
        ----------
        interval, limit, as_
            As for :meth:`ohlcv`.
        window : int
            Bars in the trailing window.
        estimator : str
            ``"close"``, ``"parkinson"``, ``"garman_klass"``, ``"rogers_satchell"`` or ``"yang_zhang"``.
        min_samples : int, optional
            Bars in the window that must have a value; by default all.
        start, end : str, date or datetime, optional
            Half-open window of the times the closes were known. The bars before it that the first value needs are
            read too.

        Returns
        -------
        frame
            Identity, ``timestamp`` (end of the last bar), ``price`` and ``realized_volatility``, a fraction per year of
            365 days. Null until the window is full, and where a gap is in it.

        Examples
        --------
        >>> token = Token("BTC", exchange="okx", instrument_type="perp")
        >>> bool(token.volatility(start="2026-06-01", estimator="parkinson").realized_volatility.notna().all())
        True
        """
        return self._ask(
            lambda chosen: selection.volatility(chosen, interval, window, estimator, min_samples, start, end, limit),
            as_,
        )

    def funding_rate(
        self,
        *,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        limit: int | None = None,
        as_: As | None = None,
    ) -> Any:
        """Funding as settled.

        Parameters
        ----------
        start, end : str, date or datetime, optional
            Half-open window of settlement times, UTC.
        limit, as_
            As for :meth:`ohlcv`.

        Returns
        -------
        frame
            Identity, ``timestamp``, ``funding_rate`` (fraction per interval; positive: longs pay shorts) and
            ``funding_interval_hours``, which differs between venues, instruments and times.

        Examples
        --------
        >>> sorted(Token("BTC").funding_rate(limit=1).funding_interval_hours)
        [1.0, 8.0, 8.0, 8.0]
        """
        return self._ask(lambda chosen: selection.funding(chosen, start, end, limit), as_)

    def funding_rate_annualized(
        self,
        *,
        compound: bool = False,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        limit: int | None = None,
        as_: As | None = None,
    ) -> Any:
        """Funding per year, each settlement by its own interval (:func:`cexkit.funding_apr`).

        Parameters
        ----------
        compound : bool
            Compounded over a year, in a column ``funding_apy``, instead of the simple rate.
        start, end, limit, as_
            As for :meth:`funding_rate`.

        Returns
        -------
        frame
            As :meth:`funding_rate`, with ``funding_apr`` added, a fraction per 365 days.

        Examples
        --------
        >>> frame = Token("WIF", exchange=["binance", "okx"]).funding_rate_annualized(limit=1)  # every hour, every 4 h
        >>> (frame.funding_apr / frame.funding_rate).round(6).tolist()
        [8760.0, 2190.0]
        """
        return self._ask(lambda chosen: selection.funding_per_year(chosen, compound, start, end, limit), as_)

    def open_interest(
        self,
        *,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        limit: int | None = None,
        as_: As | None = None,
    ) -> Any:
        """Open interest, one side, in coins, in quote and in dollars.

        Parameters
        ----------
        start, end : str, date or datetime, optional
            Half-open window of snapshot times, UTC.
        limit, as_
            As for :meth:`ohlcv`.

        Returns
        -------
        frame
            Identity, ``timestamp``, ``open_interest_base`` (coins), ``open_interest_quote`` (the venue's own value),
            ``open_interest_usd`` and ``usd_from``, by the rule of ``market.open_interest_usd()``.

        Warns
        -----
        UnpricedQuoteWarning
            If a quote is not taken as dollars.

        Examples
        --------
        >>> held = Token("BTC").open_interest(limit=1)
        >>> held.quote.tolist(), held.usd_from.unique().tolist()
        (['USDT', 'USDT', 'USDC', 'USDT'], ['venue'])
        """
        return self._ask(lambda chosen: selection.open_interest(chosen, start, end, limit), as_)

    def basis(
        self,
        *,
        reference: Literal["index", "spot"] = "index",
        price: Literal["trade", "mark"] = "trade",
        interval: str = "1h",
        tolerance: str | timedelta = "0s",
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        limit: int | None = None,
        as_: As | None = None,
    ) -> Any:
        """How far perpetuals and dated futures trade from their index or from spot.

        Parameters
        ----------
        reference, price, interval, tolerance
            As for ``market.basis()``: which price is compared with which, and how much older the reference may be (by
            default nothing).
        start, end : str, date or datetime, optional
            Half-open window of the times at which closes were known.
        limit, as_
            As for :meth:`ohlcv`.

        Returns
        -------
        frame
            Identity, ``timestamp`` (when the close was known), ``price`` and ``reference`` (quote per coin),
            ``reference_name``, ``reference_timestamp``, ``basis`` (a fraction), ``expiry`` and ``annualized_basis``;
            null where there is no reference within the tolerance.

        Examples
        --------
        >>> token = Token("PEPE", exchange="binance")
        >>> token.basis(reference="spot", limit=1)[["symbol", "reference_name"]].values.tolist()
        [['1000PEPEUSDT', 'spot PEPEUSDT']]
        """
        words = {"reference": reference, "tolerance": tolerance}
        return self._ask(lambda chosen: selection.basis(chosen, start, end, limit, interval, price, **words), as_)

    def liquidations(
        self,
        *,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        limit: int | None = None,
        as_: As | None = None,
    ) -> Any:
        """Forced closings, event by event.

        Parameters
        ----------
        start, end : str, date or datetime, optional
            Half-open window of event times, UTC.
        limit, as_
            As for :meth:`ohlcv`.

        Returns
        -------
        frame
            Identity, ``timestamp``, ``side`` (of the position that was closed), ``price``, ``price_type``,
            ``quantity_base`` (coins), ``value_quote``, ``event`` and ``coverage``: ``throttled`` venues show a sample,
            so that their totals are lower bounds.

        Examples
        --------
        >>> events = Token("ETH", exchange="okx").liquidations(start="2026-06-30")
        >>> events.crypto.liquidation_summary()[["side", "coverage"]].values.tolist()
        [['long', 'throttled']]
        """
        return self._ask(lambda chosen: selection.events(chosen, start, end, limit), as_)

    def info(self, *, as_: As | None = None) -> Any:
        """Contract terms and life of each instrument, as in table ``instruments`` (the venue's own units).

        Examples
        --------
        >>> Token("PEPE", instrument_type="perp").info()[["exchange", "symbol", "multiplier"]].values.tolist()
        [['binance', '1000PEPEUSDT', 1000.0], ['bybit', '1000PEPEUSDT', 1000.0], ['okx', 'PEPEUSDT', 1.0]]
        """
        return self._ask(lambda chosen: selection.info(chosen), as_)

    def exchanges(self, *, as_: As | None = None) -> Any:
        """Where it trades: one row a venue and type of instrument, with how many there are and how many trade now.

        Examples
        --------
        >>> where = Token("FTT", exchange=["binance", "bybit"]).exchanges()
        >>> where[["exchange", "instrument_type", "instruments", "trading"]].values.tolist()
        [['binance', 'perp', 1, 0], ['binance', 'spot', 1, 0], ['bybit', 'perp', 1, 0]]
        """
        return self._ask(lambda chosen: selection.exchanges(chosen), as_)


class Token(Verbs):
    """A coin, or one symbol, over all venues of a dataset.

    Parameters
    ----------
    name : str
        A base coin (``"BTC"``): all its instruments, whatever they are quoted in. Or a canonical symbol
        (``"BTCUSDT"``): the instruments of that name.
    exchange, instrument_type : str or iterable of str, optional
        Only these; by default all.
    market : Market, optional
        The dataset; by default that of :func:`cexkit.connect` without arguments.
    as_ : str
        Kind of the frames that verbs give: ``"pandas"``, ``"polars"``, ``"arrow"`` or ``"ibis"`` (not yet computed).

    Attributes
    ----------
    instruments : polars.DataFrame
        The instruments it stands for, as table ``instruments`` has them.

    Raises
    ------
    UnknownNameError
        If the dataset has no such coin, symbol, venue or type, or not together.
    AmbiguousInstrumentError
        If the name is a coin and also a symbol of another.

    Examples
    --------
    >>> btc = Token("BTC", instrument_type="perp")
    >>> btc.funding_rate(limit=1)[["exchange", "symbol"]].values.tolist()
    [['binance', 'BTCUSDT'], ['bybit', 'BTCUSDT'], ['coinbase', 'BTCUSDC'], ['okx', 'BTCUSDT']]
    """

    def __init__(
        self,
        name: str,
        *,
        exchange: Names = None,
        instrument_type: Names = None,
        market: Market | None = None,
        as_: As = "pandas",
    ):
        self.as_ = known(as_)
        self.market = default_market() if market is None else market
        self._chosen = Selection.of(self.market, name, exchange, instrument_type)
        names = {*self.instruments["base"], *self.instruments["symbol"]}
        self.name = name if name in names else name.upper()
        tell_once(self.market)

    @property
    def instruments(self) -> pl.DataFrame:
        """The instruments it stands for."""
        return self._chosen.instruments

    def tearsheet(
        self,
        path: str | Path | None = None,
        *,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        days: int = 60,
    ) -> Tearsheet:
        """One page on the perpetuals of the coin, an HTML file that asks no network for anything.

        Parameters
        ----------
        path : str or Path, optional
            File to write; without one a notebook shows the page, and ``.save()`` writes it.
        start, end, days
            As for :func:`cexkit.client.tearsheet.tearsheet`.

        Returns
        -------
        Tearsheet

        Raises
        ------
        UnknownNameError
            If the token has no perpetual.
        InvalidInputError
            If the window makes no sense, or nothing is stored of the coin.

        Examples
        --------
        >>> sheet = Token("BTC", exchange="okx").tearsheet(days=10)
        >>> sheet.base, "Funding APR" in sheet.html
        ('BTC', True)
        """
        from cexkit.client.tearsheet import tearsheet

        venues = self.instruments["exchange"].unique().sort().to_list()
        return tearsheet(self.market, self.name, path, exchange=venues, start=start, end=end, days=days)

    def _ask(self, question: Question, as_: As | None) -> Any:
        kind = known(as_ or self.as_)
        rows = question(self._chosen)
        return rows.expression() if kind == "ibis" else give(rows.computed(), kind)

    def __repr__(self) -> str:
        return f"Token({self.name!r}): {self._summary()}"


def default_market() -> Market:
    """The dataset that :func:`cexkit.connect` opens without arguments, opened once for each setting."""
    from cexkit.config import settings

    return _opened(settings().data)


@cache
def _opened(where: str | None) -> Market:
    from cexkit.client.market import connect

    return connect(where)


_told: set[str] = set()


def tell_once(market: Market) -> None:
    """Say once, to a person and not to a script, which data are used, how old they are, and by which version."""
    from importlib.metadata import version

    from cexkit.config import settings

    title = repr(market).splitlines()[0].removeprefix("Market: ")
    if title not in _told and not settings().quiet and _someone_there():
        sys.stderr.write(f"cexkit {version('cexkit')}: {title} (set CEXKIT_QUIET=1 to leave this out)\n")
        _told.add(title)


def _someone_there() -> bool:
    """Whether a terminal or a notebook shows what is printed."""
    return sys.stderr.isatty() or hasattr(sys.modules.get("IPython") and sys.modules["IPython"].get_ipython(), "kernel")
