"""Units of rows: how many coins one unit of a price or an amount is, by the facts that held at their time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl

from cexkit.schema import INSTRUMENT_KEYS

_KEYS = list(INSTRUMENT_KEYS)
_BEFORE_ALL = datetime(1, 1, 1, tzinfo=UTC)


def facts_at(rows: pl.DataFrame, periods: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Return facts of instruments at the times of rows.

    Parameters
    ----------
    rows : polars.DataFrame
        Rows with the keys of an instrument and ``timestamp``, in any order.
    periods : polars.DataFrame
        Table ``instrument_periods``. If two periods start at one time, the last row counts; if they overlap, the one
        that started last.
    names : sequence of str
        Columns of ``periods``.

    Returns
    -------
    polars.DataFrame
        These columns, one row per row in the same order. Rows before the first period get its facts, because no list
        contradicts them. Null if no period of the instrument is known.
    """
    starts = periods.select(*_KEYS, *names, timestamp="valid_from")
    starts = starts.unique([*_KEYS, "timestamp"], keep="last", maintain_order=True).sort("timestamp")
    first = pl.int_range(pl.len()).over(_KEYS) == 0
    unlimited = pl.lit(_BEFORE_ALL, starts.schema["timestamp"])
    starts = starts.with_columns(timestamp=pl.when(first).then(unlimited).otherwise("timestamp")).sort("timestamp")
    order = rows.select(*_KEYS, "timestamp").with_row_index("_row").sort("timestamp")
    # Both sides are sorted by time; Polars cannot check this if the join also has keys.
    joined = order.join_asof(starts, on="timestamp", by=_KEYS, strategy="backward", check_sortedness=False)
    return joined.sort("_row").select(names)


def with_multiplier(rows: pl.LazyFrame, instruments: pl.LazyFrame, periods: pl.LazyFrame | None = None) -> pl.LazyFrame:
    """Fill null multipliers of rows from their periods, else from the instruments as last seen.

    Files written before schema version 2 lack the column.

    Parameters
    ----------
    rows : polars.LazyFrame
        Rows with the keys of an instrument and ``multiplier``; with ``timestamp`` if there are periods.
    instruments : polars.LazyFrame
        Table ``instruments``.
    periods : polars.LazyFrame, optional
        Table ``instrument_periods``.

    Returns
    -------
    polars.LazyFrame
        The same rows in the same order. Null if the instrument is unknown.

    Examples
    --------
    >>> from cexkit.testing.simulation import simulate
    >>> tables = simulate(start="2026-05-02", end="2026-05-03", coins=["PEPE"], exchanges=["bybit"]).tables
    >>> old = tables["ohlcv_1d"].lazy().with_columns(multiplier=pl.lit(None, pl.Float64))
    >>> with_multiplier(old, tables["instruments"].lazy()).select("symbol", "multiplier").collect().rows()
    [('1000PEPEUSDT', 1000.0), ('PEPEUSDT', 1.0)]
    """
    if periods is not None:
        frame = rows.collect()
        then = facts_at(frame, periods.collect(), ["multiplier"]).to_series()
        rows = frame.with_columns(pl.coalesce("multiplier", then)).lazy()
    units = instruments.select(*_KEYS, _now="multiplier").unique(_KEYS, keep="last", maintain_order=True)
    joined = rows.join(units, on=_KEYS, how="left", maintain_order="left")
    return joined.with_columns(multiplier=pl.coalesce("multiplier", "_now")).drop("_now")
