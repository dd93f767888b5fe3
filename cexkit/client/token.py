"""``Token("BTC")``: familiar methods over the tables of a dataset.

Every method returns a long frame with one row per instrument and time, and with the columns that identify the
instrument. No instrument is chosen implicitly: methods return all instruments of the coin unless ``exchange`` and
``instrument_type`` select fewer.

Three rules hold for all methods.

* **Per coin.** Prices are per coin and amounts in coins, even if a venue lists a multiple
  (``1000PEPEUSDT``). ``market.table()`` returns the venue's own units.
* **Known at.** ``ohlcv`` has bars at the time they *open*, as the tables do. Everything derived from closes (``price``,
  ``price_history``, ``returns``, ``volatility``, ``basis``) has the time the close was *known*, the end of its bar.
  Joined to other rows by time, it contains no information from the future.
* **Newest.** ``limit`` keeps the newest rows of each instrument.
"""

from __future__ import annotations

import sys
from functools import cache, cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from cexkit.client.return_types import ReturnType, check_return_type, to_return_type
from cexkit.client.selection import RowPlan, Selection
from cexkit.client.token_base import PlanBuilder
from cexkit.client.token_derivatives import DerivativeMethods
from cexkit.client.token_prices import PriceMethods
from cexkit.schema import INSTRUMENT_KEYS, TABLES
from cexkit.schema.intervals import TimeLike
from cexkit.schema.names import OneOrMany, resolve, to_tuple

if TYPE_CHECKING:
    from cexkit.client.market import Market
    from cexkit.client.tearsheet import Tearsheet

#: Columns of instruments that a notebook shows.
HTML_COLUMNS = ("exchange", "instrument_type", "symbol", "base", "quote", "multiplier", "status", "listing_time")


class TokenMethods(PriceMethods, DerivativeMethods):
    """Methods of :class:`Token` and :class:`~cexkit.client.tokens.Tokens`.

    Every method takes ``return_type``, the type of frame to return.
    """

    def info(self, *, return_type: ReturnType | None = None) -> Any:
        """Return contract terms and lifetime of each instrument, as in table ``instruments`` (the venue's own units).

        Examples
        --------
        >>> Token("PEPE", instrument_type="perp").info()[["exchange", "symbol", "multiplier"]].values.tolist()
        [['binance', '1000PEPEUSDT', 1000.0], ['bybit', '1000PEPEUSDT', 1000.0], ['okx', 'PEPEUSDT', 1.0]]
        """
        return self._ask(_plan_info, return_type)

    def exchanges(self, *, return_type: ReturnType | None = None) -> Any:
        """Return one row per venue and instrument type, with the number of instruments and of those trading now.

        Examples
        --------
        >>> where = Token("FTT", exchange=["binance", "bybit"]).exchanges()
        >>> where[["exchange", "instrument_type", "instruments", "trading"]].values.tolist()
        [['binance', 'perp', 1, 0], ['binance', 'spot', 1, 0], ['bybit', 'perp', 1, 0]]
        """
        return self._ask(_plan_exchanges, return_type)

    def _summary(self) -> str:
        venues = self.instruments["exchange"].unique().sort()
        types = self.instruments["instrument_type"].unique().sort()
        multiples = self.instruments.filter(pl.col("multiplier") != 1)["symbol"].unique().sort()
        note = f", counted per coin where {', '.join(multiples)} lists several" if len(multiples) else ""
        return f"{len(self.instruments)} instruments ({', '.join(types)}) at {', '.join(venues)}{note}"

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>{self.instruments.select(*HTML_COLUMNS).to_pandas().to_html(index=False)}"


def _plan_info(selection: Selection) -> RowPlan:
    """Plan the listing of each instrument, in the venue's own units."""
    return RowPlan(selection.listing(), TABLES["instruments"].columns, order=INSTRUMENT_KEYS)


def _plan_exchanges(selection: Selection) -> RowPlan:
    """Plan how many instruments of each type a venue has, and how many of them trade."""
    rows, keys = selection.listing(), ("base", "exchange", "instrument_type")
    counts = rows.group_by(keys).agg(instruments=rows.count(), trading=(rows.status == "trading").sum())
    return RowPlan(counts, tuple(counts.columns), order=keys)


class Token(TokenMethods):
    """A coin, or one symbol, over all venues of a dataset.

    Parameters
    ----------
    name : str
        A base coin (``"BTC"``): all its instruments, in any quote currency. Or a canonical symbol
        (``"BTCUSDT"``): the instruments with that symbol. In any case, if only one name is meant.
    exchange, instrument_type : str or iterable of str, optional
        Only these; by default all.
    asset_class : str or None, default "crypto"
        ``"crypto"``: only coins, if the name also matches instruments known to be of another class (``ON`` is a coin
        and a company). Any other class: only instruments known to be of it. None: all.
    market : Market, optional
        The dataset; by default the one that :func:`cexkit.connect` opens without arguments.
    return_type : str
        Type of the frames that methods return: ``"pandas"``, ``"polars"``, ``"arrow"``, or ``"ibis"`` (not yet
        computed).

    Attributes
    ----------
    instruments : polars.DataFrame
        The selected instruments, as in table ``instruments``.

    Raises
    ------
    UnknownNameError
        If the dataset lacks the coin, symbol, venue, type, or class, or their combination.
    AmbiguousInstrumentError
        If the name is a coin and also a symbol of another coin, or means several names in another case.

    Warns
    -----
    ExcludedInstrumentsWarning
        If instruments of the name are left out because of their class, with their number.

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
        exchange: OneOrMany = None,
        instrument_type: OneOrMany = None,
        asset_class: str | None = "crypto",
        market: Market | None = None,
        return_type: ReturnType = "pandas",
    ):
        self.return_type = check_return_type(return_type)
        self.market = default_market() if market is None else market
        self._filters = {"exchange": to_tuple(exchange), "instrument_type": to_tuple(instrument_type)}
        self._asset_class = asset_class
        self.name = name
        self.name = resolve("coin or symbol", name, {*self.instruments["base"], *self.instruments["symbol"]})
        announce_dataset(self.market)

    @cached_property
    def _selection(self) -> Selection:
        return Selection.of(self.market, self.name, **self._filters, asset_class=self._asset_class)

    def __getstate__(self) -> dict[str, Any]:
        # The instruments follow from the revision of the market.
        return {name: value for name, value in self.__dict__.items() if name != "_selection"}

    @property
    def instruments(self) -> pl.DataFrame:
        """The selected instruments."""
        return self._selection.instruments

    def tearsheet(
        self,
        path: str | Path | None = None,
        *,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        days: int = 60,
    ) -> Tearsheet:
        """Return a one-page tearsheet of the coin's perpetuals, a self-contained HTML file.

        Parameters
        ----------
        path : str or Path, optional
            File to write; without one, a notebook shows the page, and ``.save()`` writes it.
        start, end, days
            See :func:`cexkit.client.tearsheet.tearsheet`.

        Returns
        -------
        Tearsheet

        Raises
        ------
        UnknownNameError
            If the token has no perpetual.
        InvalidInputError
            If the window is invalid, or the dataset has no data of the coin.

        Examples
        --------
        >>> sheet = Token("BTC", exchange="okx").tearsheet(days=10)
        >>> sheet.base, "Funding APR" in sheet.html
        ('BTC', True)
        """
        from cexkit.client.tearsheet import tearsheet

        venues = self.instruments["exchange"].unique().sort().to_list()
        window = {"start": start, "end": end, "days": days}
        return tearsheet(self.market, self.name, path, exchange=venues, asset_class=self._asset_class, **window)

    def _ask(self, build_plan: PlanBuilder, return_type: ReturnType | None) -> Any:
        kind = check_return_type(return_type or self.return_type)
        plan = build_plan(self._selection)
        return plan.to_ibis() if kind == "ibis" else to_return_type(plan.to_polars(), kind)

    def __repr__(self) -> str:
        return f"Token({self.name!r}): {self._summary()}"


def default_market() -> Market:
    """Return the dataset that :func:`cexkit.connect` opens without arguments, opened once per setting."""
    from cexkit.config import settings

    return _open_market(settings().data)


@cache
def _open_market(source: str | None) -> Market:
    from cexkit.client.market import connect

    return connect(source)


_announced: set[str] = set()


def announce_dataset(market: Market) -> None:
    """Print once, for a person and not for a script, which data are used, their age, and the version of cexkit."""
    from importlib.metadata import version

    from cexkit.config import settings

    title = repr(market).splitlines()[0].removeprefix("Market: ")
    if title not in _announced and not settings().quiet and _is_interactive():
        sys.stderr.write(f"cexkit {version('cexkit')}: {title} (set CEXKIT_QUIET=1 to leave this out)\n")
        _announced.add(title)


def _is_interactive() -> bool:
    """Return True if a terminal or a notebook shows what is printed."""
    return sys.stderr.isatty() or hasattr(sys.modules.get("IPython") and sys.modules["IPython"].get_ipython(), "kernel")
