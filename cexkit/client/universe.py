"""Instruments of a market, now and at a past time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cexkit.client.instruments import Symbols, listed_at, of_class
from cexkit.schema import TABLES
from cexkit.schema.asset_class import check_asset_class
from cexkit.schema.intervals import TimeLike, utc
from cexkit.schema.names import OneOrMany
from cexkit.schema.render import to_polars

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl


class UniverseMixin:
    """Methods of :class:`~cexkit.client.market.Market` that return instruments."""

    @property
    def instrument_frame(self) -> pl.DataFrame:
        """Table ``instruments`` as a Polars frame, read once per revision of the dataset.

        Examples
        --------
        >>> import cexkit
        >>> cexkit.connect("sample").instrument_frame.filter(base="PEPE", exchange="okx")["symbol"].to_list()
        ['PEPEUSDT', 'PEPEUSDT']
        """
        return self._read_once("instruments")

    @property
    def period_frame(self) -> pl.DataFrame:
        """Table ``instrument_periods`` as a Polars frame, read once per revision; empty if the dataset lacks it.

        Examples
        --------
        >>> import cexkit
        >>> periods = cexkit.connect("sample").period_frame
        >>> periods.filter(symbol="1000PEPEUSDT", exchange="bybit")["funding_interval_hours"].to_list()
        [4.0, 1.0, 4.0]
        """
        if "instrument_periods" not in self.tables:
            return to_polars(TABLES["instrument_periods"]).to_frame()
        return self._read_once("instrument_periods")

    def _read_once(self, name: str) -> pl.DataFrame:
        frames: dict[str, tuple[str, pl.DataFrame]] = self.__dict__.setdefault("_frames", {})
        if name not in frames or frames[name][0] != self.revision:
            frames[name] = self.revision, self.table(name).to_polars()
        return frames[name][1]

    @property
    def symbols(self) -> Symbols:
        """Instruments by symbol and by coin: ``market.symbols["BTC"]``; Tab completes the names.

        Examples
        --------
        >>> import cexkit
        >>> cexkit.connect("sample").symbols["1000PEPEUSDT"].exchange.tolist()
        ['binance', 'bybit']
        """
        return Symbols(self.instrument_frame)

    def universe(
        self,
        at: TimeLike | None = None,
        *,
        exchange: OneOrMany = None,
        instrument_type: OneOrMany = None,
        asset_class: str | None = "crypto",
    ) -> ir.Table:
        """Return the instruments that were listed at a time, including those delisted since.

        Parameters
        ----------
        at : str, date or datetime, optional
            The time (UTC); by default the newest ``observed_at``, when venue listings were last read.
        exchange, instrument_type : str or iterable of str, optional
            Only these; by default all.
        asset_class : str or None, default "crypto"
            ``"crypto"`` leaves out instruments known to be of another class, such as perpetuals of stocks; null and
            unknown classes stay. Any other class returns only instruments known to be of it. None returns all.

        Returns
        -------
        ibis.Table
            Rows as in table ``instruments``, plus ``certain``: instruments with a listing from ``listing_time`` on and
            until ``delisting_time`` and ``expiry`` in which ``at`` lies, also if the name was listed again since. If
            the venue does not report a time:

            * no ``listing_time``: treated as always listed, not certain; not listed while ``pending``.
            * ``delisted`` without ``delisting_time``: listed until a list first showed it as delisted, or else until
              ``observed_at``, when the venue last showed it; not certain.
            * ``at`` later than ``observed_at``: treated as still listed, not certain.

            ``status``, contract terms, and the funding interval are those at ``at`` by table ``instrument_periods``;
            before its first row of an instrument, those of that row. If the dataset lacks the table, they are those
            when the venue was last read. ``asset_class`` is always the one as last seen.

        Raises
        ------
        UnknownNameError
            If the dataset lacks the venue or type, or the asset class is unknown.
        InvalidInputError
            If ``at`` is not a valid time.

        Warns
        -----
        ExcludedInstrumentsWarning
            If instruments are left out because of their class, with their number. The expression itself cannot state
            it.

        Examples
        --------
        >>> import cexkit
        >>> then = cexkit.connect("sample").universe("2025-11-01", exchange="binance", instrument_type="perp")
        >>> "FTTUSDT" in set(then.symbol.to_pandas())  # delisted four weeks later
        True
        """
        check_asset_class(asset_class)
        filters = {"exchange": exchange, "instrument_type": instrument_type}
        rows = self.table("instruments", **filters)
        periods = self.table("instrument_periods", **filters) if "instrument_periods" in self.tables else None
        moment = utc(self.instrument_frame["observed_at"].max() if at is None else at)
        return of_class(listed_at(rows, periods, moment), asset_class, "market.universe")
