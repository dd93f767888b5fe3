"""A dataset of 1-minute bars to measure the client on: 4 venues, 87 days, two months closed and one running.

``python tests/benchmarks/client_dataset.py FOLDER [--long]`` writes 8 symbols (4 million rows), or 100 (50 million).
Beside it lies the reference: all rows in one file in the order they arrive, as such data is mostly published.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cexkit.schema import TABLES
from cexkit.schema.intervals import Window
from cexkit.schema.render import conform, to_pyarrow
from cexkit.warehouse.store.layout import MANIFEST, period_window, periods
from cexkit.warehouse.store.manifest import read_manifest
from cexkit.warehouse.store.warehouse import Warehouse

VENUES = ("binance", "bybit", "coinbase", "okx")
SPAN = Window(datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 6, 27, tzinfo=UTC))
BARS, MINUTES = TABLES["ohlcv_1m"], 1440
REFERENCE = "reference.parquet"


def symbols(long: bool) -> list[str]:
    return [f"C{number:02d}USDT" for number in range(100 if long else 8)]


def day_of(venue: int, names: list[str], day: datetime, *, by_minute: bool) -> pa.Table:
    """All bars of a venue's day: prices walk in ticks around a level of their own."""
    rng = np.random.default_rng([venue, day.toordinal()])
    shape = (len(names), MINUTES)
    level = np.geomspace(0.5, 50_000, len(names))[:, None]
    tick = 10.0 ** np.floor(np.log10(level) - 4)
    close = np.round(level * np.exp(np.cumsum(rng.normal(0, 4e-4, shape), axis=1)) / tick)
    start = np.concatenate([np.round(level / tick), close[:, :-1]], axis=1)
    reach = rng.integers(0, 12, (2, *shape))
    high, low = np.maximum(start, close) + reach[0], np.maximum(np.minimum(start, close) - reach[1], 1)
    volume, trades = np.round(rng.lognormal(2, 1.5, shape), 3), rng.integers(1, 900, shape)
    bought = np.round(volume * rng.random(shape), 3)
    minutes = np.datetime64(day.replace(tzinfo=None), "us") + np.arange(MINUTES) * np.timedelta64(60, "s")
    numbers = {
        "open": start * tick, "high": high * tick, "low": low * tick, "close": close * tick, "volume_base": volume,
        "volume_quote": np.round(volume * close * tick, 2), "trades": trades, "taker_buy_volume_base": bought,
        "taker_buy_volume_quote": np.round(bought * close * tick, 2), "timestamp": np.broadcast_to(minutes, shape),
        "name": np.broadcast_to(np.arange(len(names))[:, None], shape),
    }  # fmt: skip
    flat = {column: np.ravel(values, order="F" if by_minute else "C") for column, values in numbers.items()}
    return _table(VENUES[venue], names, flat)


def _table(venue: str, names: list[str], flat: dict[str, np.ndarray]) -> pa.Table:
    index, rows = pa.array(flat.pop("name").astype("int32")), len(flat["open"])
    columns = {column: pa.array(values) for column, values in flat.items()}
    columns["timestamp"] = columns["timestamp"].cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
    columns |= {key: pa.repeat(value, rows) for key, value in
                {"exchange": venue, "instrument_type": "perp", "quote": "USDT"}.items()}  # fmt: skip
    columns["symbol"] = pa.array(names).take(index)
    columns["base"] = pa.array([name.removesuffix("USDT") for name in names]).take(index)
    return conform(pa.table(columns), BARS)


def days(window: Window) -> Iterator[datetime]:
    moment = window.start
    while moment < window.end:
        yield moment
        moment += timedelta(days=1)


def instruments(names: list[str]) -> pa.Table:
    fixed = {
        "instrument_type": "perp", "quote": "USDT", "settle": "USDT", "multiplier": 1.0, "contract_size": 1.0,
        "inverse": False, "status": "trading", "observed_at": SPAN.end,
    }  # fmt: skip
    rows = [
        {field.name: None for field in TABLES["instruments"].fields}
        | fixed
        | {"exchange": venue, "symbol": name, "venue_symbol": name, "base": name.removesuffix("USDT")}
        for venue in VENUES
        for name in names
    ]
    return pa.Table.from_pylist(rows, schema=to_pyarrow(TABLES["instruments"]))


def build(folder: Path, *, long: bool) -> Path:
    """The dataset, written the way ``cexkit pull`` does; made once."""
    root, names = folder / "dataset", symbols(long)
    if (folder / REFERENCE).exists():
        return root
    warehouse = Warehouse(root)
    warehouse.write(TABLES["instruments"], instruments(names))
    for period in periods(BARS, SPAN, SPAN.end + timedelta(hours=1)):
        window = period_window(BARS, period)
        for venue, name in enumerate(VENUES):
            parts = [day_of(venue, names, day, by_minute=False) for day in days(window)]
            warehouse.replace(BARS, name, [period], pa.concat_tables(parts))
    warehouse.describe(simulated=True, description="Random walks, to measure reading.")
    _reference(folder, names)
    return root


def _reference(folder: Path, names: list[str]) -> None:
    temporary = folder / f"{REFERENCE}.part"
    with pq.ParquetWriter(temporary, to_pyarrow(BARS), compression="zstd") as writer:
        for day in days(SPAN):
            parts = [day_of(venue, names, day, by_minute=True) for venue in range(len(VENUES))]
            writer.write_table(pa.concat_tables(parts).sort_by("timestamp"), row_group_size=122_880)
    temporary.rename(folder / REFERENCE)


def main(folder: Path, *, long: bool) -> None:
    root = build(folder, long=long)
    files = read_manifest(root / MANIFEST).select("ohlcv_1m")
    size = sum(file.bytes for file in files)
    print(f"{root}: {sum(file.rows for file in files):,} rows in {len(files)} files of {size / 1e6:,.0f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), long="--long" in sys.argv)
