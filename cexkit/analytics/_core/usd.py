"""Values in US dollars, by one rule for every metric.

A ``*_usd`` column of the caller's is taken as it is. Without one, ``*_quote`` with ``quote`` does as well:
quotes in :data:`~cexkit.schema.fields.USD_LIKE` are taken 1:1, all others have no value in dollars.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl

from cexkit.analytics._core.compat import Frame, amount, names, text
from cexkit.errors import UnpricedQuoteWarning, warn
from cexkit.schema.fields import USD_LIKE

#: Dollar column → the column that, with ``quote``, stands in for it.
QUOTED: dict[str, str] = {
    "open_interest_usd": "open_interest_quote",
    "value_usd": "value_quote",
    "volume_usd": "volume_quote",
}


def usd(frame: Frame, column: str) -> nw.Expr:
    """A dollar column as float64; null unless it is a finite number of zero or more in a quote taken as dollars."""
    if column in names(frame):
        return amount(frame, column)
    return nw.when(text("quote").is_in(list(USD_LIKE))).then(amount(frame, QUOTED[column]))


def usd_inputs(*columns: str) -> tuple[tuple[str, ...], ...]:
    """What a metric declares as ``alternatives`` so that each of these dollar columns can be had.

    Examples
    --------
    >>> usd_inputs("value_usd")
    (('value_usd',), ('value_quote', 'quote'))
    """
    choices = (((column,), (QUOTED[column], "quote")) for column in columns)
    return tuple(tuple(dict.fromkeys(name for group in groups for name in group)) for groups in product(*choices))


def warns_of_quotes(metric: str, *columns: str) -> Callable[[pl.DataFrame, Mapping[str, Any]], None]:
    """What a metric declares as ``inspects`` to name the quotes that have no value in dollars."""

    def inspect(frame: pl.DataFrame, arguments: Mapping[str, Any]) -> None:
        unpriced = [column for column in columns if column not in frame.columns]
        if not unpriced:
            return
        quotes = frame["quote"].cast(pl.String).unique()
        strange = sorted(str(quote) for quote in quotes if quote not in USD_LIKE)
        if strange:
            warn(
                f"{metric}: quotes {', '.join(strange)} are not taken as dollars, so their rows, and totals that hold "
                f"them, are null; add a column {' and '.join(unpriced)}, or select other quotes",
                UnpricedQuoteWarning,
            )

    return inspect
