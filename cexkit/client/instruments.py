"""Who is listed and who is asked for: instruments by name and at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from cexkit.errors import InvalidInputError, UnknownNameError
from cexkit.schema import INSTRUMENT_KEYS
from cexkit.schema.asset_class import (
    ASSET_CLASS,
    CRYPTO,
    NOT_CRYPTO,
    check_asset_class,
    is_included,
    warn_of_excluded,
)
from cexkit.schema.names import alike, resolve, resolve_all
from cexkit.schema.symbols import INSTRUMENT_TYPES

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd

#: What venues, symbols and types are asked for by: one, several, or all of them.
DERIVATIVES = ("perp", "future")


def listed_at(
    instruments: ir.Table, periods: ir.Table | None, moment: datetime, since: datetime | None = None
) -> ir.Table:
    """Return the instruments that were listed at a moment, with their facts at it, and whether that is certain.

    ``sql/queries/universe.sql`` is the same in SQL.

    Parameters
    ----------
    instruments : ibis.Table
        Table ``instruments``.
    periods : ibis.Table or None
        Table ``instrument_periods``; None if the dataset lacks it. An instrument without a period has the facts as last
        seen.
    moment : datetime
        The time.
    since : datetime, optional
        Also instruments that were listed at any time from this one on.

    Returns
    -------
    ibis.Table
        Rows as in ``instruments``, with ``certain``. Times of listing, delisting, and expiry are those of the listing
        in which the moment lies. Before the first period, its facts hold. The asset class is the one as last seen, as
        in all views of a class: a venue that begins to state classes does not change what an instrument was.
    """
    import ibis

    inside = _is_listed(moment if since is None else since, moment)
    spans = _fact_spans(instruments, periods).mutate(_inside=inside, _begun=_held(moment))
    newest = [ibis.desc(ibis._._inside), ibis.desc(ibis._.valid_from)]
    listing = spans.mutate(_place=ibis.row_number().over(group_by=INSTRUMENT_KEYS, order_by=newest))
    listing = listing.filter(listing._inside, listing._place == 0)
    vague = (listing.status == "delisted") & listing.delisting_time.isnull()
    seen = (~vague & (listing.observed_at >= moment)) | ibis.coalesce(listing.delisting_time > moment, False)
    times = ("listing_time", "delisting_time", "expiry")
    listing = listing.mutate(certain=listing.listing_time.notnull() & seen)
    listing = listing.select(*INSTRUMENT_KEYS, *times, "certain")

    in_force = [ibis.desc(ibis._._begun), ibis.ifelse(ibis._._begun, ibis._._number, -ibis._._number).desc()]
    facts = spans.mutate(_place=ibis.row_number().over(group_by=INSTRUMENT_KEYS, order_by=in_force))
    facts = facts.filter(facts._place == 0).drop(*times)
    found = facts.join(listing, list(INSTRUMENT_KEYS)).select(*instruments.columns, "certain")
    return found.order_by(INSTRUMENT_KEYS)


def _fact_spans(instruments: ir.Table, periods: ir.Table | None) -> ir.Table:
    """Return the spans of facts of all instruments, each with its place and with what its neighbors say."""
    import ibis

    if periods is None:
        no_time = ibis.null(instruments.listing_time.type())
        spans = instruments.mutate(valid_from=no_time, valid_to=no_time)
    else:
        joined = one_per_instrument(instruments).left_join(periods, list(INSTRUMENT_KEYS))
        others = [name for name in instruments.columns if name not in INSTRUMENT_KEYS]
        dated = [name for name in others if name in periods.columns and name != ASSET_CLASS]
        stated = {name: periods.valid_from.notnull().ifelse(periods[name], instruments[name]) for name in dated}
        seen = {name: instruments[name] for name in others if name not in dated}
        spans = joined.select(*INSTRUMENT_KEYS, "valid_from", "valid_to", **seen, **stated)
    order = {"group_by": INSTRUMENT_KEYS, "order_by": [spans.valid_from]}
    return spans.mutate(
        _number=ibis.row_number().over(**order),
        _previous=spans.valid_from.lag().over(**order),
        _next_status=spans.status.lead().over(**order),
        _next_end=spans.delisting_time.lead().over(**order),
    )


def _is_listed(start: datetime, end: datetime) -> ir.Deferred:
    """True for spans of facts by which the instrument was listed at any time from one moment to another."""
    import ibis

    row = ibis._
    first = row._number == 0
    begun = row.listing_time.isnull().ifelse(first | (row._previous <= end), row.listing_time <= end)
    announced = (row.status == "pending") & row.listing_time.isnull()
    open_end = ibis.coalesce(row.delisting_time > start, True) & ibis.coalesce(row.expiry > start, True)
    # The list that first shows an instrument as delisted may not say when that was.
    vague = row.delisting_time.isnull() & (first.ifelse(row.observed_at, row.valid_from) <= start)
    # The next list may show that the instrument was delisted before it.
    ended = ibis.coalesce((row._next_status == "delisted") & (row._next_end <= start), False)
    held = ibis.coalesce(row.valid_to > start, True) & ~ended
    return begun & ~announced & open_end & (row.status == "delisted").ifelse(~vague, held)


def _held(moment: datetime) -> ir.Deferred:
    """True for spans of facts that began by a moment; that of an instrument without periods has no begin."""
    import ibis

    return ibis.coalesce(ibis._.valid_from <= moment, True)


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


def rows_of_class(
    rows: ir.Table, listing: pl.DataFrame, asset_class: str | None, view: str, *, all_others: bool
) -> ir.Table:
    """Return the rows of instruments that a view of an asset class includes, and warn of the other instruments.

    If no instrument with rows is a coin, ``all_others`` says whether a view of coins includes all of them.
    """
    import ibis

    if check_asset_class(asset_class) is None or is_included(listing[ASSET_CLASS], asset_class).all():
        return rows
    keys = list(INSTRUMENT_KEYS)
    present = rows.select(keys).distinct().to_polars().join(listing, on=keys, how="left")
    included = is_included(present[ASSET_CLASS], asset_class)
    if included.all() or (all_others and asset_class == CRYPTO and not included.any()):
        return rows
    warn_of_excluded(view, present.filter(~included)[ASSET_CLASS], asset_class)
    return rows.semi_join(ibis.memtable(present.filter(included).select(keys)), keys)


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
    exchange = resolve_all("exchange", exchange, set(instruments["exchange"]))
    requested = resolve_all("instrument type", requested, INSTRUMENT_TYPES)
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
        name = resolve("coin or symbol", name, set(self))
        found = self._listed.filter((pl.col("symbol") == name) | (pl.col("base") == name))
        return found.sort(INSTRUMENT_KEYS).to_pandas()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._listed["base"], *self._listed["symbol"]}))

    def __len__(self) -> int:
        return len({*self._listed["base"], *self._listed["symbol"]})

    def __contains__(self, name: object) -> bool:
        return bool(alike(name, self))

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)

    def __repr__(self) -> str:
        coins = self._listed["base"].unique().sort()
        return f"{self._listed['symbol'].n_unique()} symbols of {len(coins)} coins: {', '.join(coins)}"
