"""Asset classes: which instruments rankings, universes, and views across venues include.

A base does not tell a coin from a stock: ``ON`` is a coin on one venue and a company on another. By default such a view
leaves out the instruments that are **known** not to be coins. An instrument whose class the venue does not state stays.
The view warns with the number that it left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from cexkit.errors import ExcludedInstrumentsWarning, UnknownNameError, warn
from cexkit.schema.fields import FIELDS
from cexkit.schema.scalars import is_among

#: Column that states the class.
ASSET_CLASS = "asset_class"
#: Class of coins, the default of every view.
CRYPTO = "crypto"
#: Classes of instruments that are known not to be coins.
NOT_CRYPTO: tuple[str, ...] = tuple(name for name in FIELDS[ASSET_CLASS].values if name != CRYPTO)


def check_asset_class(asset_class: str | None) -> str | None:
    """Return the class; None for all.

    Raises
    ------
    UnknownNameError
        If the class is unknown; the message lists the classes.

    Examples
    --------
    >>> check_asset_class("crypto")
    'crypto'
    """
    if asset_class is not None and not is_among(asset_class, FIELDS[ASSET_CLASS].values):
        raise UnknownNameError.of("asset class", asset_class, FIELDS[ASSET_CLASS].values)
    return asset_class


def is_included(column: Any, asset_class: str) -> Any:
    """Return the condition under which a view of a class includes an instrument.

    Parameters
    ----------
    column : polars.Expr, polars.Series or narwhals.Expr
        Class of each instrument; null if unknown.
    asset_class : str
        ``"crypto"`` includes all that are not known to be something else. Any other class includes only
        instruments known to be of it.

    Examples
    --------
    >>> import polars as pl
    >>> classes = pl.Series(["crypto", None, "equity", "never seen"])
    >>> is_included(classes, "crypto").to_list()
    [True, True, False, True]
    """
    if asset_class == CRYPTO:
        return column.is_null() | ~column.is_in(list(NOT_CRYPTO))
    return ~column.is_null() & (column == asset_class)


def warn_of_excluded(view: str, classes: Iterable[str | None], asset_class: str | None) -> None:
    """Warn that a view left out instruments of these classes, one per instrument. Without any, do not warn.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings(record=True, action="always") as caught:
    ...     warn_of_excluded("volume_share", ["equity", "index", "equity"], "crypto")
    >>> print(caught[0].message)
    volume_share leaves out 3 instruments known not to be crypto (2 equity, 1 index); asset_class=None includes them
    """
    counts = Counter("of unknown class" if name is None else name for name in classes)
    if not counts:
        return
    number = counts.total()
    each = ", ".join(f"{count:,} {name}" for name, count in counts.most_common())
    reason = "known not to be crypto" if asset_class == CRYPTO else f"not known to be {asset_class}"
    noun, them = ("instrument", "it") if number == 1 else ("instruments", "them")
    text = f"{view} leaves out {number:,} {noun} {reason} ({each}); asset_class=None includes {them}"
    warn(text, ExcludedInstrumentsWarning)
