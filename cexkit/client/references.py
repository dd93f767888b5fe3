"""The rule that gives each derivative the price that it is compared with.

``market.basis()``, ``Token``, the tearsheet, and ``cexkit demo`` share it; ``sql/queries/basis.sql`` states it in SQL.
It is a function from tables to tables, so that the demo need not load Ibis and DuckDB.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from cexkit.errors import InvalidInputError
from cexkit.schema import INSTRUMENT_KEYS, USD_LIKE
from cexkit.schema.asset_class import CRYPTO, NOT_CRYPTO
from cexkit.schema.names import resolve_all

#: Name of the reference that is an instrument's own index.
INDEX = "index_1h"


def quote_group(quotes: Iterable[str]) -> tuple[str, ...]:
    """Return quote currencies as a tuple, which can be read repeatedly.

    Raises
    ------
    InvalidInputError
        If ``quotes`` is not an iterable of text.

    Examples
    --------
    >>> quote_group(iter(["USD", "USDC"])), quote_group("USD"), quote_group(())
    (('USD', 'USDC'), ('USD',), ())
    """
    try:
        names = (quotes,) if isinstance(quotes, str) else tuple(quotes)
    except TypeError as error:
        raise InvalidInputError(f"`quotes` must be quote currencies, got {quotes!r}; pass () for none") from error
    if odd := [name for name in names if not isinstance(name, str)]:
        raise InvalidInputError(f"`quotes` must be quote currencies, got {odd[0]!r}; pass their names")
    return names


def check_quotes(quotes: Iterable[str], listed: Iterable[str]) -> tuple[str, ...]:
    """Return quote currencies by their stored names; raise UnknownNameError for one that no dataset or rule knows.

    Examples
    --------
    >>> check_quotes(["USD", "EUR"], listed=["EUR"])
    ('USD', 'EUR')
    """
    return resolve_all("quote", quote_group(quotes), {*listed, *USD_LIKE}) or ()


def choose_references(
    derivatives: pl.DataFrame, indexed: pl.DataFrame, spots: pl.DataFrame, quotes: Iterable[str]
) -> pl.DataFrame:
    """Choose the price that each derivative is compared with.

    Parameters
    ----------
    derivatives : polars.DataFrame
        Perpetuals and futures: the instrument keys, ``base``, ``quote``, and ``asset_class``.
    indexed : polars.DataFrame
        Instrument keys of the derivatives whose own index has bars in the window.
    spots : polars.DataFrame
        Spot pairs with bars in the window: ``exchange``, ``symbol``, ``base``, ``quote``, ``asset_class``,
        ``multiplier``, ``bars`` (their number), and ``volume`` (quote).
    quotes : iterable of str
        Quote currencies that may be compared with each other.

    Returns
    -------
    polars.DataFrame
        One row per derivative, in order: its keys, ``base``, ``quote``, ``reference_name``, ``pair`` (symbol of the
        spot pair), ``pair_multiplier``, and ``reference_quote``. The reference is

        1. the derivative's own index (``index_1h``), else
        2. a spot pair of the same coin, venue, and quote, else
        3. a spot pair of the same coin and venue in another quote, if ``quotes`` has both.

        Never a spot pair of another class of asset; an instrument of unknown class counts as a coin.

        Of several pairs: the one with the most bars, the smallest multiplier, the largest volume, then the first by
        name. ``reference_name`` is null if nothing matches. ``reference_quote`` is null for an index, whose currency is
        the venue's choice.

    Examples
    --------
    >>> perp = {"exchange": "coinbase", "instrument_type": "perp", "symbol": "BTCUSDC", "base": "BTC", "quote": "USDC"}
    >>> spot = {"exchange": "coinbase", "symbol": "BTCUSD", "base": "BTC", "quote": "USD", "multiplier": 1.0}
    >>> perps = pl.DataFrame([perp | {"asset_class": None}])
    >>> spots = pl.DataFrame([spot | {"asset_class": None, "bars": 24, "volume": 1e9}])
    >>> none = perps.select(INSTRUMENT_KEYS).clear()
    >>> choose_references(perps, none, spots, USD_LIKE).select("reference_name", "reference_quote").row(0)
    ('spot BTCUSD', 'USD')
    >>> choose_references(perps, none, spots, ()).select("reference_name", "reference_quote").row(0)
    (None, None)
    """
    identity = derivatives.select(*INSTRUMENT_KEYS, "base", "quote", "asset_class").unique(INSTRUMENT_KEYS)
    by_index = identity.join(indexed, on=INSTRUMENT_KEYS, how="semi").select(
        INSTRUMENT_KEYS, reference_name=pl.lit(INDEX)
    )
    rest = identity.join(by_index, on=INSTRUMENT_KEYS, how="anti")
    by_spot = _best_pairs(rest, spots, tuple(quotes))
    chosen = pl.concat([by_index, by_spot], how="diagonal")
    return identity.drop("asset_class").join(chosen, on=INSTRUMENT_KEYS, how="left").sort(INSTRUMENT_KEYS)


def _best_pairs(derivatives: pl.DataFrame, spots: pl.DataFrame, quotes: tuple[str, ...]) -> pl.DataFrame:
    """Return the best spot pair of each derivative that has one."""
    pairs = spots.select(
        "exchange",
        "base",
        pl.col("symbol").alias("pair"),
        pl.col("quote").alias("reference_quote"),
        pl.col("multiplier").alias("pair_multiplier"),
        pl.col("asset_class").alias("_pair_class"),
        "bars",
        "volume",
    )
    same = pl.col("quote") == pl.col("reference_quote")
    compatible = pl.col("quote").is_in(quotes) & pl.col("reference_quote").is_in(quotes)
    # A ticker can name a stock on one side and a coin on the other. What is not known to be something else is a coin.
    clash = _known_class("asset_class") != _known_class("_pair_class")
    ranked = (
        derivatives.join(pairs, on=["exchange", "base"])
        .filter(same | compatible, ~clash)
        .with_columns(_other=~same)
        .sort(
            *INSTRUMENT_KEYS,
            *("_other", "bars", "pair_multiplier", "volume", "pair"),
            descending=[False, False, False, False, True, False, True, False],
            nulls_last=True,
        )
        .unique(INSTRUMENT_KEYS, keep="first", maintain_order=True)
    )
    name = pl.concat_str(pl.lit("spot "), "pair").alias("reference_name")
    return ranked.select(*INSTRUMENT_KEYS, name, "pair", "pair_multiplier", "reference_quote")


def _known_class(column: str) -> pl.Expr:
    return pl.when(pl.col(column).is_in(NOT_CRYPTO)).then(column).otherwise(pl.lit(CRYPTO))
