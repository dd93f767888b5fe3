"""Base of rows: the coin that the listing in force shows, whatever a response was stored with."""

from __future__ import annotations

import polars as pl

from cexkit.schema import INSTRUMENT_KEYS

_KEYS = list(INSTRUMENT_KEYS)


def with_listed_base(rows: pl.DataFrame, periods: pl.DataFrame) -> pl.DataFrame:
    """Replace each row's ``base`` with the one in the period in force at its time.

    A response is stored with the base that was known when it was requested. A later version can read the multiplier
    in a name that an earlier one left in the base (``10000000AIDOGE``). Base and multiplier then come from one period.

    Parameters
    ----------
    rows : polars.DataFrame
        Rows of instruments with ``timestamp``, in any order.
    periods : polars.DataFrame
        Table ``instrument_periods``.

    Returns
    -------
    polars.DataFrame
        The same rows in the same order. Rows before the first period get its base. The base of an instrument without
        periods stays.

    Examples
    --------
    >>> from cexkit.testing.simulation import simulate
    >>> tables = simulate(start="2026-05-02", end="2026-05-03", coins=["PEPE"], exchanges=["bybit"]).tables
    >>> stored = tables["ohlcv_1d"].with_columns(base="symbol")
    >>> with_listed_base(stored, tables["instrument_periods"]).select("symbol", "base").rows()
    [('1000PEPEUSDT', 'PEPE'), ('PEPEUSDT', 'PEPE')]
    """
    if rows.is_empty() or periods.is_empty():
        return rows
    starts = periods.select(*_KEYS, "base", timestamp="valid_from")
    starts = starts.unique([*_KEYS, "timestamp"], keep="last", maintain_order=True).sort("timestamp")
    first = starts.unique(_KEYS, keep="first", maintain_order=True).select(*_KEYS, _first="base")
    order = rows.select(*_KEYS, "timestamp").with_row_index("_row").sort("timestamp")
    # Both sides are sorted by time; Polars cannot check this if the join also has keys.
    joined = order.join_asof(starts, on="timestamp", by=_KEYS, strategy="backward", check_sortedness=False)
    found = joined.join(first, on=_KEYS, how="left").sort("_row").select(pl.coalesce("base", "_first"))["base"]
    return rows.with_columns(base=pl.coalesce(found, "base"))
