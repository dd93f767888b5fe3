"""Choice of the main perpetual of a venue, which the page shows for the venue."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from cexkit.analytics.plotting._series import with_usd
from cexkit.schema import INSTRUMENT_KEYS

#: A contract with this share of the data of the venue's best-covered contract counts as having as much.
AS_MUCH = 0.9


def choose_main_perps(
    instruments: pl.DataFrame, tables: Iterable[pl.DataFrame], bars: Iterable[pl.DataFrame]
) -> pl.DataFrame:
    """Choose the main perpetual of each venue.

    Parameters
    ----------
    instruments : polars.DataFrame
        The perpetuals, as in table ``instruments``.
    tables : iterable of polars.DataFrame
        Their rows in the window, one frame per table.
    bars : iterable of polars.DataFrame
        Their bars in the window, one frame per length.

    Returns
    -------
    polars.DataFrame
        One row of ``instruments`` per venue, with ``covered_days`` (days with rows, added over the tables) and ``size``
        (volume in dollars, null if unknown or zero). It is the contract

        1. with the most data: at least 90% of the venue's highest ``covered_days``;
        2. of these, with the largest volume, a known one before an unknown one;
        3. then linear before inverse, with more data, and first by name.

        Venues are in descending order of ``size``.

    Examples
    --------
    >>> from datetime import datetime
    >>> listed = {"exchange": "okx", "instrument_type": "perp"}
    >>> listed = pl.DataFrame([
    ...     listed | {"symbol": "BTCUSD:BTC", "inverse": True}, listed | {"symbol": "BTCUSDT", "inverse": False}
    ... ])
    >>> rows = listed.filter(symbol="BTCUSDT").with_columns(timestamp=datetime(2024, 1, 1))
    >>> bars = rows.with_columns(volume_base=1.0, volume_quote=None, close=None, quote=pl.lit("USDT"))
    >>> choose_main_perps(listed, [rows], [bars]).select("symbol", "covered_days", "size").row(0)
    ('BTCUSDT', 1, None)
    """
    listed = instruments.join(_count_days(tables), on=INSTRUMENT_KEYS, how="left")
    listed = listed.join(_sum_volumes(bars), on=INSTRUMENT_KEYS, how="left")
    listed = listed.with_columns(pl.col("covered_days").fill_null(0), pl.col("inverse").fill_null(False))
    enough = pl.col("covered_days") >= AS_MUCH * pl.col("covered_days").max().over("exchange")
    ranked = listed.filter(enough).sort(
        *("exchange", "size", "inverse", "covered_days", "symbol"),
        descending=[False, True, False, True, False],
        nulls_last=True,
    )
    main = ranked.unique("exchange", keep="first", maintain_order=True)
    return main.sort("size", "covered_days", "exchange", descending=[True, True, False], nulls_last=True)


def _count_days(tables: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Count the UTC days on which each perpetual has rows, added over tables."""
    days = [
        rows.select(*INSTRUMENT_KEYS, pl.col("timestamp").dt.truncate("1d")).unique().group_by(INSTRUMENT_KEYS).len()
        for rows in tables
    ]
    return pl.concat(days).group_by(INSTRUMENT_KEYS).agg(covered_days=pl.col("len").sum())


def _sum_volumes(bars: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Sum the volume of each perpetual in dollars, over the length of bars that has the larger sum."""
    sums = []
    for rows in bars:
        # A venue that gives no value gives the amount.
        value = pl.coalesce(pl.col("volume_quote").cast(pl.Float64), pl.col("volume_base") * pl.col("close"))
        priced = with_usd(rows.with_columns(volume_quote=value), "volume_usd", "tearsheet")
        total = pl.col("volume_usd").sum()
        sums.append(priced.group_by(INSTRUMENT_KEYS).agg(size=pl.when(total > 0).then(total)))
    return pl.concat(sums).group_by(INSTRUMENT_KEYS).agg(pl.col("size").max())
