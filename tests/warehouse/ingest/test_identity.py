"""Rows carry the base of the listing in force, so that base and multiplier belong together."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from cexkit.exchanges import registry
from cexkit.exchanges.bybit import payloads
from cexkit.exchanges.fetcher import Fetcher
from cexkit.schema import TABLES
from cexkit.testing import LOOPBACKS
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.identity import with_listed_base
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.ingest.rebuild import rebuild
from cexkit.warehouse.store.warehouse import Warehouse

BARS = TABLES["ohlcv_1d"]


def test_base_is_the_one_in_force():
    tables = simulate(start="2026-05-02", end="2026-05-06", coins=["PEPE"], exchanges=["bybit"]).tables
    perp = pl.col("symbol") == "1000PEPEUSDT"
    rows = tables["ohlcv_1d"].filter(perp).reverse()
    period = tables["instrument_periods"].filter(perp).head(1)
    cut = pl.lit(rows["timestamp"].sort()[2])
    both = pl.concat(
        [period.with_columns(base=pl.lit("OLD")), period.with_columns(valid_from=cut.dt.cast_time_unit("us"))]
    )
    found = with_listed_base(rows, both)
    assert found["base"].to_list() == ["PEPE", "PEPE", "OLD", "OLD"]
    assert found.drop("base").equals(rows.drop("base"))
    assert with_listed_base(rows, both.with_columns(symbol=pl.lit("OTHER"))).equals(rows)


def test_rows_of_an_older_parser_get_the_base_and_the_multiplier_together(tmp_path, monkeypatch):
    """An older version left a multiplier in the base; a rebuild reads it, and the rows agree with the listing."""
    tables = simulate(start="2026-05-02", end="2026-05-05", coins=["PEPE"], exchanges=["bybit"]).tables
    with (
        LOOPBACKS["bybit"](tables, now="2026-05-05") as venue,
        Fetcher(venue.settings) as fetcher,
        monkeypatch.context() as older,
    ):
        older.setattr(payloads, "split_multiplier", lambda listed, asset_class=None: (listed, 1))
        older.setitem(registry.EXCHANGES, "bybit", replace(registry.EXCHANGES["bybit"], parser_version=2))
        pull("bybit", BARS.name, "1000PEPEUSDT", "2026-05-02", "2026-05-05", warehouse=tmp_path, fetcher=fetcher)
    assert _units(tmp_path) == {("1000PEPE", 1.0)}
    rebuild(Warehouse(tmp_path), "bybit", [TABLES["instruments"], BARS])
    assert _units(tmp_path) == {("PEPE", 1000.0)}


def _units(folder) -> set[tuple[str, float]]:
    rows = pl.from_arrow(Warehouse(folder).read(BARS, exchange="bybit"))
    return set(rows.select("base", "multiplier").rows())
