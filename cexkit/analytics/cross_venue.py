"""Venues and coins beside each other: prices that diverge, shares of volume and of market capitalization."""

from __future__ import annotations

from collections.abc import Sequence

import narwhals.stable.v2 as nw

from cexkit.analytics._core.classes import ASSET_CLASS, of_class
from cexkit.analytics._core.compat import Column, Frame, amount, distinct_text, instrument_keys, names, positive, text
from cexkit.analytics._core.registry import metric
from cexkit.analytics._core.units import MIXED, mixed_notes
from cexkit.analytics._core.usd import usd, usd_inputs, warns_of_quotes

_MOMENT = ("base", "timestamp")


@metric(
    kind="cross-venue",
    inputs=("exchange", "base", "close"),
    optional=("multiplier", "quote", ASSET_CLASS),
    outputs=("timestamp", "base", "exchange", "price", "median_price", "price_divergence_bps", "venues", "quotes"),
    notes=mixed_notes(
        f"in {{count}} rows prices of one base differ by more than {MIXED:g} times, so they are in different units "
        "and median and divergence are null; add the column multiplier, by which prices are divided"
    ),
)
def price_divergence_bps(frame: Frame, *, price: Column = "close", asset_class: str | None = "crypto") -> Frame:
    """Distance of each instrument's price from the median of all venues, ``(p - median) / median * 1e4``, in bps.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        ``exchange``, ``base``, ``timestamp`` and a price. Compared are rows of one base with the same
        timestamp, whatever their type and quote: select the perpetuals, or one quote, before. Prices are divided by
        ``multiplier`` (1000PEPE and PEPE are one coin). Symbols are never parsed, so without a multiplier prices must
        be in one unit.
    price : str
        Column of the price.
    asset_class : str or None, default "crypto"
        Class of the instruments that count, if the frame has a column ``asset_class``. ``"crypto"`` leaves out those
        known to be of another class; null and unknown classes stay. Any other class keeps only instruments known to
        be of it. None keeps all.

    Returns
    -------
    Same type as ``frame``
        One row per instrument and time that has a price, sorted by base and time (Ibis promises no order),
        with its keys and

        * ``price``: per coin; ``median_price``: the exact median over venues, for an even number the mean of the
          middle two. A venue with several instruments of the coin counts once, with their median.
        * ``price_divergence_bps``: positive where the instrument is dearer. Null where one venue alone has a price.
          **Without ``multiplier``**, or if it is null in a row, it and ``median_price`` are null where prices of the
          base differ by more than five times: then they are in different units, or the base names different coins.
        * ``venues``: exchanges compared; ``quotes``: their quotes, in order, joined by ``+``. **USDT is not USD**:
          part of a divergence between quotes is the rate of one in the other. Null without ``quote``.

        Rows whose price is null, NaN, infinite or not above zero, or whose base is null, are left out. Nothing is
        carried forward: over a gap of a venue the others are compared.

    Raises
    ------
    MissingColumnError, ColumnTypeError, DuplicateKeyError
    UnknownNameError
        If the asset class is unknown.

    Warns
    -----
    ExcludedInstrumentsWarning
        If instruments are left out because of their class, with their number (eager frames).
    MixedUnitsWarning
        If prices of a base are in different units (eager frames).

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import date
    >>> frame = pl.DataFrame({
    ...     "exchange": ["binance", "okx", "coinbase"],
    ...     "base": "BTC",
    ...     "quote": ["USDT", "USDT", "USD"],
    ...     "timestamp": date(2024, 1, 1),
    ...     "close": [50_000.0, 50_010.0, 49_950.0],
    ... })
    >>> result = frame.crypto.price_divergence_bps()
    >>> result.select("exchange", pl.col("price_divergence_bps").round(6), "quotes").rows()
    [('binance', 0.0, 'USD+USDT'), ('coinbase', -10.0, 'USD+USDT'), ('okx', 2.0, 'USD+USDT')]
    """
    frame = of_class(frame, asset_class)
    present = names(frame)
    coins = positive(frame, "multiplier") if "multiplier" in present else nw.lit(None, nw.Float64)
    quote = text("quote") if "quote" in present else nw.lit(None, nw.String)
    frame = frame.with_columns(positive(frame, price).alias("_price"), coins.alias("_coins"), quote.alias("_quote"))
    frame = frame.with_columns((nw.col("_price") / nw.coalesce(nw.col("_coins"), nw.lit(1.0))).alias("_price"))
    frame = frame.filter(~nw.col("base").is_null(), ~nw.col("_price").is_null())
    venues = frame.group_by(*_MOMENT, "exchange").agg(nw.col("_price").median().alias("_venue"))
    medians = venues.group_by(*_MOMENT).agg(
        nw.col("_venue").median().alias("_median"), nw.len().cast(nw.Int64).alias("_venues")
    )
    frame = _with_mixed(frame)
    quotes = distinct_text(frame, _MOMENT, "_quote", "_quotes")
    frame = frame.join(medians, on=list(_MOMENT), how="left").join(quotes, on=list(_MOMENT), how="left")
    return _divergences(frame, instrument_keys(frame))


def _with_mixed(frame: Frame) -> Frame:
    """Add ``_mixed``: whether prices of the base differ too much at a time at which some unit is not known."""
    frame = frame.with_columns(
        nw.col("_price").min().over(*_MOMENT).alias("_lowest"),
        nw.col("_price").max().over(*_MOMENT).alias("_highest"),
        nw.col("_coins").is_null().cast(nw.Int64).alias("_unknown"),
    )
    frame = frame.with_columns(nw.col("_unknown").max().over(*_MOMENT).alias("_unknown"))
    mixed = (nw.col("_unknown") > 0) & (nw.col("_highest") > nw.col("_lowest") * MIXED)
    return frame.with_columns(mixed.alias("_mixed"))


def _divergences(frame: Frame, keys: Sequence[str]) -> Frame:
    median = nw.when(~nw.col("_mixed")).then(nw.col("_median"))
    bps = nw.when(nw.col("_venues") > 1).then((nw.col("_price") - median) / median * 1e4)
    return frame.select(
        "timestamp",
        "base",
        *keys,
        nw.col("_price").alias("price"),
        median.alias("median_price"),
        bps.alias("price_divergence_bps"),
        nw.col("_venues").alias("venues"),
        nw.col("_quotes").alias("quotes"),
        "_mixed",
    ).sort(*_MOMENT, *keys)


@metric(
    kind="cross-venue",
    inputs=("exchange", "base"),
    optional=(ASSET_CLASS,),
    alternatives=usd_inputs("volume_usd"),
    outputs=("timestamp", "base", "exchange", "volume_usd", "volume_share"),
    inspects=warns_of_quotes("volume_share", "volume_usd"),
)
def volume_share(frame: Frame, *, asset_class: str | None = "crypto") -> Frame:
    """Share of each exchange in the volume of a coin, ``v / sum(v)``, in dollars.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        Bars of the same length: ``exchange``, ``base``, ``timestamp`` and ``volume_usd``, or ``volume_quote`` with
        ``quote``; dollar stablecoins are then taken 1:1 (``cexkit.schema.USD_LIKE``). All instruments of
        an exchange are added up, whatever their type: select those that are meant before.
    asset_class : str or None, default "crypto"
        Class of the instruments that count, if the frame has a column ``asset_class``. ``"crypto"`` leaves out those
        known to be of another class; null and unknown classes stay. Any other class keeps only instruments known to
        be of it. None keeps all.

    Returns
    -------
    Same type as ``frame``
        One row per base, time and exchange, sorted so (Ibis promises no order), with ``volume_usd``, the sum over the
        exchange's instruments, and ``volume_share``, a fraction; those of one base and time add up to 1. Null
        where nothing was traded, and **where a volume of the coin at that time is not known**: null, NaN,
        infinite, below zero or in a quote that is not taken as dollars. A part is not passed off as the whole.
        An exchange without a row at that time, as in a gap, is not known of: the shares are among the others.
        Rows whose base is null are left out.

    Raises
    ------
    MissingColumnError, ColumnTypeError, DuplicateKeyError
    UnknownNameError
        If the asset class is unknown.

    Warns
    -----
    UnpricedQuoteWarning
        If volumes are in quotes that are not taken as dollars (eager frames).
    ExcludedInstrumentsWarning
        If instruments are left out because of their class, with their number (eager frames).

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import date
    >>> frame = pl.DataFrame({
    ...     "exchange": ["binance", "okx"],
    ...     "base": "BTC",
    ...     "timestamp": date(2024, 1, 1),
    ...     "volume_usd": [3e9, 1e9],
    ... })
    >>> frame.crypto.volume_share().select("exchange", "volume_share").rows()
    [('binance', 0.75), ('okx', 0.25)]
    """
    return _shares(of_class(frame, asset_class)).sort(*_MOMENT, "exchange")


@metric(
    kind="cross-venue",
    inputs=("exchange", "base"),
    optional=(ASSET_CLASS,),
    alternatives=usd_inputs("volume_usd"),
    outputs=("timestamp", "base", "herfindahl", "venues"),
    inspects=warns_of_quotes("herfindahl", "volume_usd"),
)
def herfindahl(frame: Frame, *, asset_class: str | None = "crypto") -> Frame:
    """Concentration of a coin's volume on exchanges, ``sum(share^2)`` of :func:`volume_share`.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        As for :func:`volume_share`.
    asset_class : str or None, default "crypto"
        Class of the instruments that count, if the frame has a column ``asset_class``. ``"crypto"`` leaves out those
        known to be of another class; null and unknown classes stay. Any other class keeps only instruments known to
        be of it. None keeps all.

    Returns
    -------
    Same type as ``frame``
        One row per base and time, sorted so (Ibis promises no order), with ``herfindahl``, from 1 / venues (all
        alike) to 1 (one has it all), and ``venues``, the exchanges that have a row. Null where the shares are;
        exchanges that are missing, as in a gap, are not known of, and raise it.

    Raises
    ------
    MissingColumnError, ColumnTypeError, DuplicateKeyError
    UnknownNameError
        If the asset class is unknown.

    Warns
    -----
    UnpricedQuoteWarning
        As for :func:`volume_share`.
    ExcludedInstrumentsWarning
        If instruments are left out because of their class, with their number (eager frames).

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import date
    >>> frame = pl.DataFrame({
    ...     "exchange": ["binance", "okx"],
    ...     "base": "BTC",
    ...     "timestamp": date(2024, 1, 1),
    ...     "volume_usd": [3e9, 1e9],
    ... })
    >>> frame.crypto.herfindahl().select("herfindahl", "venues").rows()
    [(0.625, 2)]
    """
    shares = _shares(of_class(frame, asset_class)).with_columns((nw.col("volume_share") ** 2).alias("_square"))
    sums = shares.group_by(*_MOMENT).agg(
        nw.col("_square").sum().alias("_squares"),
        nw.col("_square").is_null().cast(nw.Int64).sum().alias("_unknown"),
        nw.len().cast(nw.Int64).alias("venues"),
    )
    index = nw.when(nw.col("_unknown") == 0).then(nw.col("_squares"))
    return sums.select("timestamp", "base", index.alias("herfindahl"), "venues").sort(*_MOMENT)


def _shares(frame: Frame) -> Frame:
    """Volume of each exchange and its share, per base and time."""
    volume = usd(frame, "volume_usd")
    frame = frame.filter(~nw.col("base").is_null()).with_columns(volume.alias("_volume"))
    venues = frame.group_by(*_MOMENT, "exchange").agg(
        nw.col("_volume").sum().alias("_volume"),
        nw.col("_volume").is_null().cast(nw.Int64).sum().alias("_unknown"),
    )
    venues = _in_order(venues, "exchange").with_columns(
        nw.col("_volume").sum().over(*_MOMENT).alias("_all"),
        nw.col("_unknown").sum().over(*_MOMENT).alias("_unknown_all"),
    )
    whole = (nw.col("_unknown_all") == 0) & (nw.col("_all") > 0)
    return venues.select(
        "timestamp",
        "base",
        "exchange",
        nw.when(nw.col("_unknown") == 0).then(nw.col("_volume")).alias("volume_usd"),
        nw.when(whole).then(nw.col("_volume") / nw.col("_all")).alias("volume_share"),
    )


def _in_order(frame: Frame, part: str) -> Frame:
    """Eager frames sorted by the parts of each sum, so that it is the same to the last bit each time."""
    return frame.sort(part) if isinstance(frame, nw.DataFrame) else frame


@metric(
    kind="cross-venue",
    inputs=("base", "market_cap_usd"),
    optional=(ASSET_CLASS,),
    outputs=("timestamp", "base", "market_cap_usd", "dominance"),
    ties=True,
)
def dominance(frame: Frame, *, market_cap: Column = "market_cap_usd", asset_class: str | None = "crypto") -> Frame:
    """Share of each coin in the market capitalization of all coins of the frame, ``cap / sum(cap)``.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        ``timestamp``, ``base`` and the market capitalization, which is yours to join on. Several rows of a
        coin at one time (as of several exchanges) count once.
    market_cap : str
        Column of the market capitalization, in dollars.
    asset_class : str or None, default "crypto"
        Class of the instruments that count, if the frame has a column ``asset_class``. ``"crypto"`` leaves out those
        known to be of another class; null and unknown classes stay. Any other class keeps only instruments known to
        be of it. None keeps all.

    Returns
    -------
    Same type as ``frame``
        One row per time and base, sorted so (Ibis promises no order), with ``market_cap_usd`` and ``dominance``,
        a fraction; those of one time add up to 1. It is a share **of the coins in the frame**. Null are
        ``market_cap_usd`` where it is null, NaN, infinite, below zero, or not the same in all rows of the coin
        at that time; and ``dominance`` of **all** coins at a time at which one of them is null, or all are
        zero: a part is not passed off as the whole. A coin without a row at a time, as in a gap, does not
        count. Rows whose base is null are left out.

    Raises
    ------
    MissingColumnError, ColumnTypeError
    UnknownNameError
        If the asset class is unknown.

    Warns
    -----
    ExcludedInstrumentsWarning
        If instruments are left out because of their class, with their number (eager frames).

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import date
    >>> frame = pl.DataFrame({
    ...     "timestamp": date(2024, 1, 1), "base": ["BTC", "ETH"], "market_cap_usd": [750e9, 250e9]
    ... })
    >>> frame.crypto.dominance().select("base", "dominance").rows()
    [('BTC', 0.75), ('ETH', 0.25)]
    """
    frame = of_class(frame, asset_class)
    frame = frame.with_columns(amount(frame, market_cap).alias("_cap")).filter(~nw.col("base").is_null())
    coins = frame.group_by("timestamp", "base").agg(
        nw.col("_cap").min().alias("_least"), nw.col("_cap").max().alias("_most")
    )
    one = nw.when(nw.col("_least") == nw.col("_most")).then(nw.col("_most"))
    coins = _in_order(coins, "base").with_columns(one.alias("_cap"))
    coins = coins.with_columns(nw.col("_cap").is_null().cast(nw.Int64).alias("_unknown"))
    coins = coins.with_columns(
        nw.col("_cap").sum().over("timestamp").alias("_all"),
        nw.col("_unknown").sum().over("timestamp").alias("_unknown"),
    )
    whole = (nw.col("_unknown") == 0) & (nw.col("_all") > 0)
    return coins.select(
        "timestamp",
        "base",
        nw.col("_cap").alias("market_cap_usd"),
        nw.when(whole).then(nw.col("_cap") / nw.col("_all")).alias("dominance"),
    ).sort("timestamp", "base")
