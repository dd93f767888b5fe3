"""Writing in batches: files are the same, byte for byte, however their rows are split."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pyarrow.parquet as pq
import pytest

from cexkit.errors import DuplicateKeyError, InvalidInputError
from cexkit.schema import TABLES
from cexkit.schema.intervals import utc
from cexkit.testing.simulation import simulate
from cexkit.warehouse.store import layout, parquet
from cexkit.warehouse.store.instrument_range import InstrumentRange, group_bounds
from cexkit.warehouse.store.warehouse import Warehouse

HOURS, MINUTES = TABLES["ohlcv_1h"], TABLES["ohlcv_1m"]
PIECES = {"ohlcv_1h": ["2026-05-01..07", "2026-05-08..12-31"], "ohlcv_1m": ["2026-05-01..07", "2026-05-08..14"]}


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    coins = ["BTC", "ETH", "SOL", "XRP"]
    rows = simulate(start="2026-05-01", end="2026-05-14", coins=coins, exchanges=["okx"]).tables["ohlcv_1h"]
    return rows.sample(fraction=1.0, shuffle=True, seed=1)


def _rows(bars: pl.DataFrame, table) -> pl.DataFrame:
    if table is HOURS:
        return bars
    minutes = bars.join(pl.DataFrame({"minute": range(0, 60, 10)}), how="cross")
    return minutes.with_columns(pl.col("timestamp") + pl.duration(minutes="minute")).drop("minute")


def _batches(rows: pl.DataFrame, size: int) -> list[pl.DataFrame]:
    """Split rows by instrument, a few instruments at a time."""
    names = rows.select("instrument_type", "symbol").unique().sort("instrument_type", "symbol")
    return [
        rows.join(names.slice(first, size), on=["instrument_type", "symbol"], how="semi")
        for first in range(0, names.height, size)
    ]


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("table", [HOURS, MINUTES], ids=lambda table: table.name)
def test_files_written_in_batches_have_the_same_bytes(tmp_path, monkeypatch, bars, table, size):
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 700)
    rows, pieces = _rows(bars, table), PIECES[table.name]
    at_once, apart = Warehouse(tmp_path / "at_once"), Warehouse(tmp_path / "apart")
    expected = at_once.replace(table, "okx", pieces, rows.to_arrow())
    files = apart.replace(table, "okx", pieces, (part.to_arrow() for part in _batches(rows, size)))
    assert files == expected
    assert len(files) == len(pieces)
    for folder in (layout.TABLES, layout.KEYS):
        contents = [
            {path.relative_to(each.root): path.read_bytes() for path in (each.root / folder).rglob("*.parquet")}
            for each in (at_once, apart)
        ]
        assert contents[0] == contents[1]
    assert sum(pq.read_metadata(apart.root / file.path).num_row_groups for file in files) > len(pieces)


def test_failure_in_a_later_batch_changes_nothing(tmp_path, bars):
    warehouse = Warehouse(tmp_path)
    pieces, (first, *others) = PIECES["ohlcv_1h"], _batches(bars, 2)
    warehouse.replace(HOURS, "okx", pieces, bars.to_arrow())
    before = warehouse.manifest

    def broken():
        yield first.to_arrow()
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        warehouse.replace(HOURS, "okx", pieces, broken())
    with pytest.raises(InvalidInputError, match="must be of instruments after those of earlier ones"):
        warehouse.replace(HOURS, "okx", pieces, [others[0].to_arrow(), first.to_arrow()])
    with pytest.raises(DuplicateKeyError):
        warehouse.replace(HOURS, "okx", pieces, [first.to_arrow(), pl.concat([others[0]] * 2).to_arrow()])
    late = others[0].with_columns(pl.col("timestamp") + timedelta(days=365))
    with pytest.raises(InvalidInputError, match="exactly one of"):
        warehouse.replace(HOURS, "okx", pieces, [first.to_arrow(), late.to_arrow()])
    assert warehouse.manifest == before
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(layout.TEMPORARY)]


def test_batches_without_rows_remove_the_files(tmp_path, bars):
    warehouse = Warehouse(tmp_path)
    warehouse.replace(HOURS, "okx", PIECES["ohlcv_1h"], bars.to_arrow())
    assert warehouse.replace(HOURS, "okx", PIECES["ohlcv_1h"], [bars.clear().to_arrow()] * 2) == ()
    assert warehouse.manifest.files == ()


def test_reading_some_instruments_skips_row_groups_of_others(tmp_path, monkeypatch, bars):
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 1)
    warehouse = Warehouse(tmp_path)
    files = warehouse.replace(HOURS, "okx", PIECES["ohlcv_1h"], bars.to_arrow())
    read, found = pq.ParquetFile.read_row_groups, []
    monkeypatch.setattr(
        pq.ParquetFile,
        "read_row_groups",
        lambda self, groups, **more: found.append(groups) or read(self, groups, **more),
    )
    some = InstrumentRange(("perp", "BTCUSDT"), ("perp", "SOLUSDT"))
    rows = pl.from_arrow(warehouse.read(HOURS, exchange="okx", instruments=some))
    wanted = bars.filter(pl.col("symbol").is_in(["ETHUSDT", "SOLUSDT"]), instrument_type="perp")
    assert rows.sort(HOURS.key).equals(wanted.sort(HOURS.key))
    assert [len(groups) for groups in found] == [2] * len(files)
    bounds = list(group_bounds(pq.read_metadata(tmp_path / files[0].path)))
    assert bounds[0].first == bounds[0].last == ("perp", "BTCUSDT")
    assert sum(each.rows for each in bounds) == files[0].rows
    assert utc("2026-05-01") == files[0].start
