"""Plan of a basis: the reference of each derivative, and the rows that compare the two.

References are chosen now, from the bars that the dataset has in the window. The rows are an Ibis table that is not yet
computed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import reduce
from typing import TYPE_CHECKING

import polars as pl

from cexkit.client.asof import asof, closes, duration, later
from cexkit.client.bars import table_of
from cexkit.client.instruments import derivative_types, one_per_instrument, rows_of_class
from cexkit.client.references import INDEX, check_quotes, choose_references
from cexkit.errors import UnknownNameError
from cexkit.schema import IDENTITY, INSTRUMENT_KEYS, TABLES, USD_LIKE
from cexkit.schema.intervals import TimeLike, utc
from cexkit.schema.names import OneOrMany, resolve_all, to_tuple
from cexkit.schema.scalars import is_among

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cexkit.client.dataset import Dataset

#: Reference → instrument types whose bars are tried, in order; ``own`` is the index of the derivative.
REFERENCES = {"auto": ("own", "spot"), "index": ("own",), "spot": ("spot",)}
#: Maximum number of derivatives that a message names.
NAMED = 5
#: Columns that identify the bars of a reference.
_KEYS = ("exchange", "_type", "_symbol")


@dataclass(frozen=True, slots=True)
class BasisPlan:
    """Rows of a basis, not yet computed, and the reference of each derivative that has prices in the window."""

    rows: ir.Table
    references: pl.DataFrame
    #: Spot pairs that have bars in the window.
    pairs: pl.DataFrame
    #: What was searched for, in words.
    searched: str

    @property
    def problem(self) -> str | None:
        """Why derivatives have no basis; None if all have a reference."""
        missing = self.references.filter(pl.col("reference_name").is_null())
        if missing.is_empty():
            return None
        names = [" ".join(row) for row in missing.select(INSTRUMENT_KEYS).head(NAMED).rows()]
        more = f" and {missing.height - NAMED} more" if missing.height > NAMED else ""
        others = self.pairs.join(missing.select("exchange", "base").unique(), on=["exchange", "base"], how="semi")
        found = [" ".join(row) for row in others.select("exchange", "symbol").sort("exchange", "symbol").rows()]
        hint = f"; other spot pairs there: {', '.join(found[:NAMED])}; `quotes` decides which count" if found else ""
        return (
            f"the basis of {missing.height} of {self.references.height} derivatives is null, because they have no "
            f"reference: {', '.join(names)}{more}. Searched for {self.searched}{hint}"
        )


def plan_basis(
    market: Dataset,
    *,
    reference: str = "auto",
    price: str = "trade",
    interval: str = "1h",
    tolerance: str | timedelta = "0s",
    quotes: Iterable[str] = USD_LIKE,
    start: TimeLike | None = None,
    end: TimeLike | None = None,
    exchange: OneOrMany = None,
    symbol: OneOrMany = None,
    instrument_type: OneOrMany = None,
    asset_class: str | None = None,
) -> BasisPlan:
    """Choose the references and plan the rows of a basis; see ``market.basis()`` for the parameters.

    By default derivatives of all classes, because most callers have chosen them before.

    Examples
    --------
    >>> import cexkit
    >>> plan = plan_basis(cexkit.connect("sample"), exchange="coinbase", symbol="BTCUSDC", start="2026-06-30")
    >>> plan.references.select("symbol", "reference_name", "reference_quote").rows(), plan.problem
    ([('BTCUSDC', 'spot BTCUSD', 'USD')], None)
    """
    if not is_among(reference, REFERENCES):
        raise UnknownNameError.of("reference", reference, REFERENCES)
    max_age, table, spot_table = duration(tolerance), table_of(price, interval), table_of("trade", interval)
    quotes = check_quotes(quotes, market.instrument_frame["quote"].unique())
    exchange = resolve_all("exchange", to_tuple(exchange), set(market.instrument_frame["exchange"]))
    types = derivative_types(market.instrument_frame, to_tuple(instrument_type), exchange)
    filters = {"exchange": exchange, "symbol": to_tuple(symbol), "instrument_type": types}
    bars = _read(market, table, (start, end), timedelta(0), **filters)
    bars = rows_of_class(bars, market.instrument_frame, asset_class, "market.basis", all_others=True)
    sources = _sources(market, reference, spot_table, (start, end), max_age, filters)
    indexed, pairs = _available(market, sources)
    references = choose_references(_identities(market, bars), indexed, pairs, quotes)
    prices = later(_prices(market, bars, exchange), TABLES[table].bar)
    joined = _join(prices, sources, references, max_age)
    return BasisPlan(_compare(joined), references, pairs, _describe(reference, quotes, start, end))


def _read(
    market: Dataset,
    table: str,
    window: tuple[TimeLike | None, TimeLike | None],
    max_age: timedelta,
    **filters: OneOrMany,
) -> ir.Table:
    """Read bars, at their open times, whose close becomes known in a window or up to ``max_age`` before it."""
    bar, (start, end) = TABLES[table].bar, window
    first = None if start is None else utc(start) - bar - max_age
    last = None if end is None else utc(end) - bar
    return market.table(table, start=first, end=last, **filters)


def _sources(
    market: Dataset,
    reference: str,
    spot_table: str,
    window: tuple[TimeLike | None, TimeLike | None],
    max_age: timedelta,
    filters: dict[str, tuple[str, ...] | None],
) -> dict[str, ir.Table]:
    """Return the bars of each possible reference by table; ``auto`` does without a table that the dataset lacks."""
    kinds, sources = REFERENCES[reference], {}
    if "own" in kinds and (reference == "index" or INDEX in market.tables):
        sources[INDEX] = _read(market, INDEX, window, max_age, **filters)
    if "spot" in kinds and (reference == "spot" or spot_table in market.tables):
        venues = market.instrument_frame.filter(instrument_type="spot")["exchange"].unique().sort()
        venues = [name for name in venues if filters["exchange"] is None or name in filters["exchange"]]
        if venues:
            spot = {"exchange": venues, "instrument_type": "spot"}
            sources[spot_table] = _read(market, spot_table, window, max_age, **spot)
    return sources


def _identities(market: Dataset, bars: ir.Table) -> pl.DataFrame:
    """Return the derivatives that have bars, and the class of asset that they price."""
    return bars.select(IDENTITY).distinct().to_polars().join(_terms(market), on=INSTRUMENT_KEYS, how="left")


def _terms(market: Dataset) -> pl.DataFrame:
    newest = market.instrument_frame.sort("observed_at").unique(INSTRUMENT_KEYS, keep="last")
    return newest.select(*INSTRUMENT_KEYS, "asset_class", "multiplier")


def _available(market: Dataset, sources: dict[str, ir.Table]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the derivatives whose index has bars, and the spot pairs that have bars, with number and volume."""
    indexed = pl.DataFrame(schema=dict.fromkeys(INSTRUMENT_KEYS, pl.String))
    spots = pl.DataFrame(schema=dict.fromkeys(IDENTITY, pl.String) | {"bars": pl.Int64, "volume": pl.Float64})
    for table, rows in sources.items():
        if table == INDEX:
            indexed = rows.select(INSTRUMENT_KEYS).distinct().to_polars()
        else:
            spots = rows.group_by(IDENTITY).agg(bars=rows.count(), volume=rows.volume_quote.sum()).to_polars()
    return indexed, spots.join(_terms(market), on=INSTRUMENT_KEYS, how="left")


def _prices(market: Dataset, bars: ir.Table, exchange: OneOrMany) -> ir.Table:
    """Return prices of derivatives at open times, with the terms of their contracts."""
    import ibis

    contracts = one_per_instrument(market.table("instruments", exchange=exchange))
    contracts = contracts.select(*INSTRUMENT_KEYS, "expiry", _listed=contracts.multiplier)
    prices = bars.left_join(contracts, INSTRUMENT_KEYS)
    multiplier = ibis.coalesce(prices.multiplier, prices._listed)
    return prices.select(*IDENTITY, "timestamp", "expiry", multiplier=multiplier, price=prices.close)


def _join(prices: ir.Table, sources: dict[str, ir.Table], references: pl.DataFrame, max_age: timedelta) -> ir.Table:
    """Add the close of each derivative's reference that was known at the time, in the unit of the price."""
    import ibis

    chosen = _literal_table(references)
    paired = prices.left_join(chosen, INSTRUMENT_KEYS)
    paired = paired.select(prices, *(chosen[name] for name in chosen.columns if name not in INSTRUMENT_KEYS))
    values = {"reference": "close", "_reference_multiplier": "multiplier"}
    parts = [
        closes(rows.mutate(_type=rows.instrument_type, _symbol=rows.symbol), TABLES[table].bar, _KEYS, **values)
        for table, rows in sources.items()
    ]
    if not parts:
        moment, number = prices.timestamp.type(), prices.price.type()
        return paired.mutate(reference=ibis.null(number), reference_timestamp=ibis.null(moment))
    joined = asof(paired, reduce(lambda one, other: one.union(other), parts), _KEYS, max_age,
                  available="reference_timestamp")  # fmt: skip
    # An index has the unit of its derivative.
    coins = ibis.coalesce(joined._reference_multiplier, joined._pair_multiplier, joined.multiplier)
    return joined.mutate(reference=joined.reference * (joined.multiplier / coins))


def _literal_table(references: pl.DataFrame) -> ir.Table:
    """Return the chosen references as a table of one JSON literal.

    It needs no memory of Python when it is computed, and Ibis compiles one literal much faster than one per cell.
    """
    import ibis

    own = pl.col("pair").is_null()
    rows = references.filter(pl.col("reference_name").is_not_null()).select(
        *INSTRUMENT_KEYS,
        "reference_name",
        "reference_quote",
        _type=pl.when(own).then("instrument_type").otherwise(pl.lit("spot")),
        _symbol=pl.when(own).then("symbol").otherwise("pair"),
        _pair_multiplier="pair_multiplier",
    )
    types = {name: "float64" if name == "_pair_multiplier" else "string" for name in rows.columns}
    struct = ", ".join(f"{name}: {dtype}" for name, dtype in types.items())
    cells = ibis.literal(json.dumps(rows.to_dicts())).cast("json").cast(f"array<struct<{struct}>>")
    return cells.unnest().name("_chosen").as_table().unpack("_chosen")


def _compare(joined: ir.Table) -> ir.Table:
    """Compute basis and annualized basis by their metrics; null without a reference within the tolerance."""
    from cexkit.analytics.basis.basis import annualized_basis, basis

    found = joined.reference.notnull()
    names = {name: found.ifelse(joined[name], None) for name in ("reference_name", "reference_quote")}
    rows = joined.mutate(**names).pipe(basis).pipe(annualized_basis)
    return rows.select(
        *IDENTITY, "timestamp", "price", "reference", "reference_name", "reference_quote", "reference_timestamp",
        "basis", "expiry", "annualized_basis",
    )  # fmt: skip


def _describe(reference: str, quotes: tuple[str, ...], start: TimeLike | None, end: TimeLike | None) -> str:
    """Return what is searched for, in words."""
    others = f" or another of {', '.join(quotes)}" if len(quotes) > 1 else ""
    words = {
        "own": f"bars of its index ({INDEX})",
        "spot": f"bars of a spot pair of the same coin and venue in its quote{others}",
    }
    first, last = (
        "" if moment is None else f" {word} {utc(moment):%Y-%m-%d %H:%M}"
        for word, moment in (("from", start), ("to", end))
    )
    window = f", known{first}{last} UTC" if first or last else ""
    return ", then ".join(words[kind] for kind in REFERENCES[reference]) + window
