"""The embedded sample: a small dataset of the simulated market, written like any other."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import polars as pl

from cexkit.schema import TABLES
from cexkit.schema.intervals import Window
from cexkit.testing.simulation.market import simulate
from cexkit.testing.simulation.world import HISTORY, MINUTES_FROM
from cexkit.warehouse.gold import tables as gold
from cexkit.warehouse.quality.row_checks import data_quality

_DAY, _WEEKS, _MONTHS = (Window.of(start, HISTORY.end) for start in ("2026-06-30", "2026-06-01", MINUTES_FROM))
#: What the sample holds of the tables that are too large to hold all of.
WINDOWS: dict[str, Window] = {
    "ohlcv_1m": _DAY,
    "ohlcv_1h": _WEEKS,
    "mark_1h": _WEEKS,
    "index_1h": _WEEKS,
    "open_interest": _MONTHS,
    "liquidations": _MONTHS,
}
_SILVER = tuple(name for name, table in TABLES.items() if table.layer == "silver")
#: Coins with one-minute bars: two large ones, and one with minutes in which nothing is traded.
MINUTE_COINS = ("BTC", "ETH", "WIF")


def frames() -> dict[str, pl.DataFrame]:
    """Every table of the sample, Silver and Gold; Gold is made from the Silver that is in it."""
    # tables of one window come from one market, whose paths are made once
    market = cache(lambda window, coins: simulate(start=window.start, end=window.end, coins=coins))
    tables = {}
    for name in _SILVER:
        coins = MINUTE_COINS if name == "ohlcv_1m" else None
        tables[name] = market(WINDOWS.get(name, HISTORY), coins).tables[name]
    instruments = tables["instruments"]
    tables["funding_weighted_8h"] = gold.funding_weighted_8h(
        tables["funding_rates"], tables["open_interest"], instruments
    )
    tables["ohlcv_1d_composite"] = gold.ohlcv_1d_composite(tables["ohlcv_1d"], instruments)
    tables["liquidations_1d"] = gold.liquidations_1d(tables["liquidations"])
    checked = [data_quality(TABLES[name], tables[name]) for name in _SILVER]
    return tables | {"data_quality": pl.concat(checked).sort(TABLES["data_quality"].key)}


def description() -> str:
    """What the sample is, for its manifest."""
    days = "; ".join(f"{name} from {window.start:%Y-%m-%d}" for name, window in WINDOWS.items())
    return (
        "Simulated market: real names, made-up numbers; says nothing about real prices. "
        f"{HISTORY.start:%Y-%m-%d} to {HISTORY.end:%Y-%m-%d} (exclusive), but {days}; "
        f"ohlcv_1m of {', '.join(MINUTE_COINS)} only. "
        "Made by `python -m cexkit.testing.simulation`."
    )


def write(root: Path) -> dict[str, int]:
    """Write the sample as a dataset.

    Parameters
    ----------
    root : pathlib.Path
        Its folder; files that are no longer part of it are deleted.

    Returns
    -------
    dict of str to int
        Bytes of each table.
    """
    from cexkit.warehouse.store.layout import LOCK
    from cexkit.warehouse.store.warehouse import Warehouse

    warehouse = Warehouse(root)
    sizes = {}
    for name, rows in frames().items():
        files = warehouse.write(TABLES[name], rows.to_arrow())
        sizes[name] = sum(file.bytes for file in files)
    warehouse.describe(simulated=True, description=description())
    warehouse.sweep(older_than_seconds=0)
    (root / LOCK).unlink(missing_ok=True)
    return sizes
