"""Who is listed and who is asked for: instruments by name and at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from cexkit.errors import InvalidInputError, UnknownNameError
from cexkit.schema import INSTRUMENT_KEYS

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd

#: What venues, symbols and types are asked for by: one, several, or all of them.
OneOrMany = str | Iterable[str] | None
DERIVATIVES = ("perp", "future")


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


def one_per_instrument(listing: ir.Table) -> ir.Table:
    """Return each instrument once, as last seen, so that a join cannot multiply rows."""
    import ibis

    place = ibis.row_number().over(group_by=INSTRUMENT_KEYS, order_by=[ibis.desc(listing.observed_at)])
    return listing.mutate(_place=place).filter(ibis._._place == 0).drop("_place")


def derivative_types(
    instruments: pl.DataFrame, requested: tuple[str, ...] | None, exchange: tuple[str, ...] | None
) -> tuple[str, ...]:
    """Return the requested types of derivatives; by default all that these venues list.

    Raises
    ------
    InvalidInputError
        If spot is requested.

    Examples
    --------
    >>> listed = pl.DataFrame({"exchange": ["okx", "okx"], "instrument_type": ["spot", "perp"]})
    >>> derivative_types(listed, None, ("okx",))
    ('perp',)
    """
    if requested is None:
        venues = instruments if exchange is None else instruments.filter(pl.col("exchange").is_in(exchange))
        available = set(venues["instrument_type"])
        # If the venues list none, request both, so that the error says so.
        return tuple(name for name in DERIVATIVES if name in available) or DERIVATIVES
    if "spot" in requested:
        raise InvalidInputError(f"spot is what derivatives are compared with; ask for {' or '.join(DERIVATIVES)}")
    return requested


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
