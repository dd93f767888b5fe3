"""Who is listed and who is asked for: instruments by name, at a time, and the spot pair that goes with each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from cexkit.errors import UnknownNameError
from cexkit.schema import INSTRUMENT_KEYS
from cexkit.schema.asset_class import (
    ASSET_CLASS,
    CRYPTO,
    NOT_CRYPTO,
    check_asset_class,
    is_included,
    warn_of_excluded,
)

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd

#: What venues, symbols and types are asked for by: one, several, or all of them.
OneOrMany = str | Iterable[str] | None


def to_tuple(names: OneOrMany) -> tuple[str, ...] | None:
    """Return names as a tuple, which can be read repeatedly; None for all.

    Examples
    --------
    >>> to_tuple("okx"), to_tuple(name for name in ["okx", "bybit"]), to_tuple(None)
    (('okx',), ('okx', 'bybit'), None)
    """
    if names is None:
        return None
    return (names,) if isinstance(names, str) else tuple(names)


def listed_at(rows: ir.Table, moment: datetime) -> ir.Table:
    """Listings that hold at a moment, and whether that is certain."""
    import ibis

    vague = (rows.status == "delisted") & rows.delisting_time.isnull()
    end = vague.ifelse(rows.observed_at, rows.delisting_time)
    began = ibis.coalesce(rows.listing_time <= moment, rows.status != "pending")
    listed = began & ibis.coalesce(end > moment, True) & ibis.coalesce(rows.expiry > moment, True)
    seen = (~vague & (rows.observed_at >= moment)) | ibis.coalesce(rows.delisting_time > moment, False)
    return rows.mutate(certain=rows.listing_time.notnull() & seen).filter(listed)


def of_class(listed: ir.Table, asset_class: str | None, view: str) -> ir.Table:
    """Return the listings that a view of an asset class includes, and warn of those it leaves out.

    The warning needs a query, because an expression cannot carry the number.
    """
    import ibis

    if asset_class is None:
        return listed
    column = listed[ASSET_CLASS]
    included = (
        column.isnull() | ~column.isin(NOT_CRYPTO)
        if asset_class == CRYPTO
        else ibis.coalesce(column == asset_class, ibis.literal(value=False))
    )
    warn_of_excluded(view, listed.filter(~included).select(ASSET_CLASS).to_polars()[ASSET_CLASS], asset_class)
    return listed.filter(included)


def named_of_class(instruments: pl.DataFrame, name: str, asset_class: str | None) -> pl.DataFrame:
    """Return the instruments of a name that are of an asset class.

    By default a name means its coins, and a warning states how many other instruments it leaves out. A name without
    coins, such as ``"TSLA"``, means all of its instruments.

    Raises
    ------
    UnknownNameError
        If the class is unknown, or none of the instruments is of it.
    """
    if check_asset_class(asset_class) is None:
        return instruments
    included = is_included(instruments[ASSET_CLASS], asset_class)
    if not included.any():
        if asset_class == CRYPTO:
            return instruments
        known = instruments[ASSET_CLASS].drop_nulls().unique()
        raise UnknownNameError.of(f"asset class of {name}", asset_class, known)
    warn_of_excluded(name, instruments.filter(~included)[ASSET_CLASS], asset_class)
    return instruments.filter(included)


def one_per_instrument(listing: ir.Table) -> ir.Table:
    """Return each instrument once, as last seen, so that a join cannot multiply rows."""
    import ibis

    place = ibis.row_number().over(group_by=INSTRUMENT_KEYS, order_by=[ibis.desc(listing.observed_at)])
    return listing.mutate(_place=place).filter(ibis._._place == 0).drop("_place")


def spot_pairs(listing: ir.Table) -> ir.Table:
    """One spot pair for each venue, coin and quote."""
    import ibis

    place = ibis.row_number().over(
        group_by=["exchange", "base", "quote"], order_by=[listing.multiplier, listing.symbol]
    )
    first = listing.mutate(_place=place).filter(ibis._._place == 0)
    return first.select("exchange", "base", "quote", _pair=first.symbol, _pair_multiplier=first.multiplier)


class Symbols(Mapping[str, "pd.DataFrame"]):
    """Instruments by symbol and by coin; names are completed in ``market.symbols["…``."""

    def __init__(self, listed: pl.DataFrame):
        self._listed = listed

    def __getitem__(self, name: str) -> pd.DataFrame:
        found = self._listed.filter((pl.col("symbol") == name) | (pl.col("base") == name))
        if found.is_empty():
            raise UnknownNameError.of("coin or symbol", name, self)
        return found.sort(INSTRUMENT_KEYS).to_pandas()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._listed["base"], *self._listed["symbol"]}))

    def __len__(self) -> int:
        return len({*self._listed["base"], *self._listed["symbol"]})

    def __contains__(self, name: object) -> bool:
        return name in {*self._listed["base"], *self._listed["symbol"]}

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)

    def __repr__(self) -> str:
        coins = self._listed["base"].unique().sort()
        return f"{self._listed['symbol'].n_unique()} symbols of {len(coins)} coins: {', '.join(coins)}"
