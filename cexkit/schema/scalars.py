"""NumPy scalars as Python values, because users pass both."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any


def to_plain(value: Any) -> Any:
    """Return a NumPy number, text, truth value, or time as the Python value that it is; anything else unchanged.

    Durations stay as they are, because one of NumPy can lack a unit, and so does a missing time.

    Examples
    --------
    >>> import numpy as np
    >>> to_plain(np.int64(30)), to_plain(np.datetime64("2024-01-01T08")), to_plain("BTC")
    (30, datetime.datetime(2024, 1, 1, 8, 0), 'BTC')
    """
    kind = getattr(getattr(value, "dtype", None), "kind", "O")
    if kind not in "biufUM" or getattr(value, "ndim", 1):
        return value
    plain = (value.astype("datetime64[us]") if kind == "M" else value).item()
    return value if plain is None else plain


def is_among(value: object, choices: Collection[str]) -> bool:
    """Return whether a value is one of some texts; the value can be anything, even if it cannot be compared.

    Examples
    --------
    >>> is_among("skip", ["skip", "null"]), is_among(None, ["skip"])
    (True, False)
    """
    return isinstance(value, str) and value in choices
