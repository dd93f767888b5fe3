"""Units of rows: how many coins one unit of a price or an amount is."""

from __future__ import annotations

import polars as pl

from cexkit.schema import INSTRUMENT_KEYS


def with_multiplier(rows: pl.LazyFrame, instruments: pl.LazyFrame) -> pl.LazyFrame:
    """Fill null multipliers of rows from the instruments as last seen.

    Files written before schema version 2 lack the column.

    Parameters
    ----------
    rows : polars.LazyFrame
        Rows with the keys of an instrument and ``multiplier``.
    instruments : polars.LazyFrame
        Table ``instruments``.

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
    keys = list(INSTRUMENT_KEYS)
    units = instruments.select(*keys, _now="multiplier").unique(keys, keep="last", maintain_order=True)
    joined = rows.join(units, on=keys, how="left", maintain_order="left")
    return joined.with_columns(multiplier=pl.coalesce("multiplier", "_now")).drop("_now")
