"""Instruments of a market, now and at a past time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cexkit.client.instruments import OneOrMany, Symbols, listed_at, of_class
from cexkit.schema.asset_class import check_asset_class
from cexkit.schema.intervals import TimeLike, utc

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
        cached: tuple[str, pl.DataFrame] | None = self.__dict__.get("_listing")
        if cached is None or cached[0] != self.revision:
            cached = self.revision, self.table("instruments").to_polars()
            self.__dict__["_listing"] = cached
        return cached[1]

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
            Rows of table ``instruments`` with ``listing_time <= at`` and ``at`` before ``delisting_time`` and
            ``expiry``, plus ``certain``. If the venue does not report a time:

            * no ``listing_time``: treated as always listed, not certain; not listed while ``pending``.
            * ``delisted`` without ``delisting_time``: listed until ``observed_at``, when the venue last showed it, not
              certain.
            * ``at`` later than ``observed_at``: treated as still listed, not certain.

            ``status`` is the status when the venue was last read, not at ``at``.

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
        rows = self.table("instruments", exchange=exchange, instrument_type=instrument_type)
        moment = utc(self.instrument_frame["observed_at"].max() if at is None else at)
        return of_class(listed_at(rows, moment), asset_class, "market.universe")
