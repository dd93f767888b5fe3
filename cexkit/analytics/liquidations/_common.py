"""What all metrics of liquidations share: sides, coverage, sums that are whole or null."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl

from cexkit.analytics._core.compat import Frame, amount, names, positive, text
from cexkit.analytics._core.usd import usd, warns_of_quotes
from cexkit.errors import DuplicateKeyError, InvalidInputError
from cexkit.schema.fields import FIELDS, INSTRUMENT_KEYS, USD_LIKE

SIDES = FIELDS["side"].values
#: From best to worst; a total carries the worst of its parts.
COVERAGE = FIELDS["coverage"].values
_UNKNOWN = len(COVERAGE)


def inspects_events(
    metric: str,
    *,
    dollars: Sequence[str] = ("value_usd",),
    needs: Sequence[str] = (),
    snapshots: Sequence[str] = (),
    by: str | None = None,
) -> Callable[[pl.DataFrame, Mapping[str, Any]], None]:
    """What a metric declares as ``inspects``: sides are of positions, quotes are dollars, keys are known.

    Events must have all of ``needs`` and of the columns that the argument ``by`` lists. Where one of
    ``snapshots`` is a column, rows without a side are snapshots of open interest.
    """
    warn_of_quotes = warns_of_quotes(metric, *dollars)

    def inspect(frame: pl.DataFrame, arguments: Mapping[str, Any]) -> None:
        keys = [key for key in INSTRUMENT_KEYS if key in frame.columns]
        interest = [name for name in snapshots if name in frame.columns]
        events = frame.filter(pl.col("side").is_not_null()) if interest else frame
        if interest:
            _check_snapshots(metric, frame, [*keys, "timestamp"], interest)
        _check_sides(metric, events["side"])
        groups = group_columns(metric, arguments[by], frame.columns, set()) if by else []
        for name in dict.fromkeys([*needs, *groups]):
            if nulls := events[name].null_count():
                raise InvalidInputError(f"{metric}: {nulls} events have no {name}, so they belong nowhere; drop them")
        warn_of_quotes(frame, arguments)

    return inspect


def _check_sides(metric: str, column: pl.Series) -> None:
    strange = sorted(str(side) for side in column.cast(pl.String).unique() if side not in SIDES)
    if strange:
        raise InvalidInputError(
            f"{metric}: side holds {', '.join(strange)}; it is the side of the position that was closed, "
            "'long' or 'short' (an order that sells closes a long, one that buys closes a short)"
        )


def _check_snapshots(metric: str, frame: pl.DataFrame, key: Sequence[str], interest: Sequence[str]) -> None:
    known = frame.filter(pl.any_horizontal(pl.col(interest).is_not_null())).select(*key, *interest).unique()
    twice = known.filter(pl.struct(key).is_duplicated())
    if twice.height:
        raise DuplicateKeyError(
            f"{metric}: {twice.height} snapshots share instrument and time but not open interest, for example "
            f"{', '.join(f'{name}={value}' for name, value in twice.row(0, named=True).items())}; see that exchange, "
            "instrument_type and symbol are columns where the frame holds several instruments"
        )


def group_columns(metric: str, by: str | Sequence[str] | None, present: Sequence[str], taken: set[str]) -> list[str]:
    """Columns that totals are taken by; ``taken`` are the names that the result has anyway."""
    if by is INSTRUMENT_KEYS:
        return [key for key in INSTRUMENT_KEYS if key in present]
    groups = [by] if isinstance(by, str) else list(by or ())
    if taken & set(groups) or len(set(groups)) < len(groups):
        implied = " and ".join(sorted(taken, reverse=True))
        raise InvalidInputError(f"{metric}: by={by!r} names a column twice; {implied} are implied")
    return groups


def rank(frame: Frame) -> nw.Expr:
    """Coverage as a number, the larger the worse; unknown is the worst."""
    if "coverage" not in names(frame):
        return nw.lit(_UNKNOWN)
    ranks = [nw.when(text("coverage") == name).then(nw.lit(rank)) for rank, name in enumerate(COVERAGE)]
    return nw.coalesce(*ranks, nw.lit(_UNKNOWN))


def coverage(column: str) -> nw.Expr:
    """The name of a rank; null for unknown."""
    return nw.coalesce(*(nw.when(nw.col(column) == rank).then(nw.lit(name)) for rank, name in enumerate(COVERAGE)))


def with_values(frame: Frame) -> Frame:
    """Add ``_value`` and its parts by side, ``_long`` and ``_short``, in dollars.

    Each comes with ``_no`` before its name: 1 where it is unknown, else 0.

    An event of neither side, which only frames that cannot be looked at still hold, makes both parts unknown.
    """
    value, side = usd(frame, "value_usd"), text("side")
    frame = frame.with_columns(value.alias("_value"))
    known = side.is_in(list(SIDES)).fill_null(False)
    for name in SIDES:
        part = nw.when(side == name).then(nw.col("_value")).otherwise(nw.when(known).then(nw.lit(0.0)))
        frame = frame.with_columns(part.alias(f"_{name}"))
    return frame.with_columns(
        nw.col(part).is_null().cast(nw.Int64).alias(f"_no{part}") for part in ("_value", "_long", "_short")
    )


def summed_values() -> list[nw.Expr]:
    """Aggregates of what :func:`with_values` adds, under the same names."""
    return [nw.col(f"{no}{part}").sum() for part in ("_value", "_long", "_short") for no in ("", "_no")]


def whole(part: str) -> nw.Expr:
    """A sum, null where an event in it is unknown: a part is not passed off as the whole."""
    return nw.when(nw.col(f"_no{part}") == 0).then(nw.col(part))


def total_values() -> list[nw.Expr]:
    """The published sums: ``value_usd``, ``long_value_usd``, ``short_value_usd``."""
    published = {"_value": "value_usd", "_long": "long_value_usd", "_short": "short_value_usd"}
    return [whole(part).alias(name) for part, name in published.items()]


def quantity(frame: Frame, groups: Sequence[str]) -> nw.Expr:
    """Amount liquidated: units of base within a symbol, else coins where ``multiplier`` is there."""
    scaled = "multiplier" in names(frame) and "symbol" not in groups
    units = amount(frame, "quantity_base")
    return units * positive(frame, "multiplier") if scaled else units


def must_agree(present: Sequence[str], groups: Sequence[str]) -> list[str]:
    """Columns that must be one in a total for its quantities to add up."""
    if "symbol" in groups:
        return []
    symbol = [] if "multiplier" in present and "base" in present else ["symbol"]
    return [name for name in ("base", *symbol) if name in present and name not in groups]


def with_price(frame: Frame, cell: Sequence[str], *, per_unit: bool = False) -> Frame:
    """Add ``_price`` per coin (or per unit of base), null where it is unknown or not comparable within its cell.

    Comparable are prices in dollars and stablecoins taken as such, or in one other quote; of several
    symbols only where ``multiplier`` says what their units are.
    """
    present = names(frame)
    scaled = "multiplier" in present and not per_unit
    price = positive(frame, "price") / positive(frame, "multiplier") if scaled else positive(frame, "price")
    quote = nw.when(text("quote").is_in(list(USD_LIKE))).then(nw.lit("USD")).otherwise(text("quote").fill_null(""))
    frame = frame.with_columns(quote.alias("_unit")) if "quote" in present else frame
    agree = ["_unit"] if "quote" in present else []
    agree += ["symbol"] if "symbol" in present and "symbol" not in cell and not (scaled and agree) else []
    for name in agree:
        frame = (
            frame.with_columns(
                text(name).min().over(*cell).alias("_least"), text(name).max().over(*cell).alias("_most")
            )
            if cell
            else frame.with_columns(text(name).min().alias("_least"), text(name).max().alias("_most"))
        )
        price = nw.when(nw.col("_least") == nw.col("_most")).then(price)
        frame = frame.with_columns(price.alias("_price"))
        price = nw.col("_price")
    return frame.with_columns(price.alias("_price"))
