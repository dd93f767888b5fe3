"""Prices that can be compared: those of one coin in the same unit.

A venue may trade a thousand coins as one unit, and symbols are never parsed. If ``multiplier`` does not state the unit,
prices that differ by more than they do on any market show that units are mixed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from cexkit.analytics._core.metric import Note
from cexkit.errors import MixedUnitsWarning, warn

#: Prices of one coin at one time that differ by more than this factor are in different units.
MIXED = 5.0


def mixed_notes(text: str) -> Mapping[str, Note]:
    """Return what a metric declares as ``notes`` if it marks rows of different units in a column ``_mixed``."""
    return {"_mixed": Note(MixedUnitsWarning, text)}


_TEXT = (
    "in {count} rows price and reference differ by more than 5 times, so they are in different units and the result is "
    "null; bring both to one unit, for example divide prices by the column multiplier"
)
#: Notes of a metric that compares a price with a reference.
MIXED_NOTES = mixed_notes(_TEXT)


def warns_of_units(metric: str) -> Callable[[pl.DataFrame, Mapping[str, Any]], None]:
    """Return what a metric declares as ``inspects`` if its result does not have the rows that are to be counted."""

    def inspect(frame: pl.DataFrame, arguments: Mapping[str, Any]) -> None:
        price, reference = (frame.get_column(arguments[name]).cast(pl.Float64) for name in ("price", "reference"))
        ratio = price / reference
        strange = ((ratio > MIXED) | (ratio < 1 / MIXED)) & ratio.is_finite() & (price > 0) & (reference > 0)
        if count := strange.sum():
            warn(f"{metric}: {_TEXT.format(count=count)}", MixedUnitsWarning)

    return inspect
