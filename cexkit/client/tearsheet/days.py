"""Daily bars that a dataset lacks but whose hours it has."""

from __future__ import annotations

import polars as pl

from cexkit.analytics.resample import resample
from cexkit.schema import FIELDS, INSTRUMENT_KEYS

HOURS = 24


def whole_days(hourly: pl.DataFrame) -> pl.DataFrame:
    """Aggregate hourly bars to the UTC days that have all 24 of them.

    Parameters
    ----------
    hourly : polars.DataFrame
        Table ``ohlcv_1h``.

    Returns
    -------
    polars.DataFrame
        One row per instrument and complete day. A volume is null if one of its hours is.

    Examples
    --------
    >>> import cexkit
    >>> market = cexkit.connect("sample")
    >>> filters = {"exchange": "okx", "symbol": "BTCUSDT", "instrument_type": "perp", "start": "2026-06-29"}
    >>> hourly = market.table("ohlcv_1h", **filters).to_polars()
    >>> days = market.table("ohlcv_1d", **filters).to_polars()
    >>> whole_days(hourly)["close"].to_list() == days["close"].to_list()
    True
    >>> whole_days(hourly.head(30)).height  # 24 hours of one day, 6 of the next
    1
    """
    days = resample(hourly, every="1d").filter(pl.col("rows") == HOURS)
    sums = [name for name in days.columns if name in FIELDS and FIELDS[name].aggregate == "sum"]
    parts = hourly.group_by(*INSTRUMENT_KEYS, pl.col("timestamp").dt.truncate("1d")).agg(
        pl.col(sums).null_count().name.suffix("_nulls")
    )
    whole = {name: pl.when(pl.col(f"{name}_nulls") == 0).then(name) for name in sums}
    return days.join(parts, on=[*INSTRUMENT_KEYS, "timestamp"], how="left").with_columns(**whole)
