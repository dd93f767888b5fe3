"""Contract facts on rows: what a venue said of an instrument, as of the time of each row."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl

from cexkit.schema import INSTRUMENT_KEYS

#: Columns of facts that rows carry.
CONTRACT_FACTS = ("multiplier",)
_KEYS = list(INSTRUMENT_KEYS)
_BEFORE_ALL = datetime(1, 1, 1, tzinfo=UTC)


def with_contract_facts(rows: pl.DataFrame, periods: pl.DataFrame) -> pl.DataFrame:
    """Fill ``multiplier`` from the period in force at the time of each row.

    Parameters
    ----------
    rows : polars.DataFrame
        Rows of instruments with ``timestamp``, in any order. Without ``multiplier``, they are returned unchanged.
    periods : polars.DataFrame
        Table ``instrument_periods``. If two periods start at one time, the last row counts; if they overlap, the one
        that started last.

    Returns
    -------
    polars.DataFrame
        The same rows in the same order. Values that are not null stay. Rows before the first period get its facts,
        because no list contradicts them. Null if no period of the instrument is known.

    Examples
    --------
    >>> from cexkit.testing.simulation import simulate
    >>> tables = simulate(start="2026-05-02", end="2026-05-03", coins=["PEPE"], exchanges=["bybit"]).tables
    >>> unfilled = tables["ohlcv_1d"].with_columns(multiplier=pl.lit(None, pl.Float64))
    >>> with_contract_facts(unfilled, tables["instrument_periods"]).select("symbol", "multiplier").rows()
    [('1000PEPEUSDT', 1000.0), ('PEPEUSDT', 1.0)]
    """
    names = [name for name in CONTRACT_FACTS if name in rows.columns]
    if not names or rows.is_empty():
        return rows
    facts = _as_of_times(periods, names)
    order = rows.select(*_KEYS, "timestamp").with_row_index("_row").sort("timestamp")
    # Both sides are sorted by time; Polars cannot check this if the join also has keys.
    joined = order.join_asof(facts, on="timestamp", by=_KEYS, strategy="backward", check_sortedness=False)
    found = joined.sort("_row").select(pl.col(name).alias(f"_{name}") for name in names)
    filled = rows.hstack(found).with_columns(pl.coalesce(name, f"_{name}").alias(name) for name in names)
    return filled.select(rows.columns)


def _as_of_times(periods: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """Return the facts by the time from which they count: one row per instrument and time, the first without limit."""
    starts = periods.select(*_KEYS, *names, timestamp="valid_from").unique(
        [*_KEYS, "timestamp"], keep="last", maintain_order=True
    )
    starts = starts.sort("timestamp")
    first = pl.int_range(pl.len()).over(_KEYS) == 0
    unlimited = pl.lit(_BEFORE_ALL, starts.schema["timestamp"])
    return starts.with_columns(timestamp=pl.when(first).then(unlimited).otherwise("timestamp")).sort("timestamp")
