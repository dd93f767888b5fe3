"""The contract against the real venues; ``python -m pytest tests/exchanges/test_live.py --live`` where a network is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow.compute as pc
import pytest

from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.registry import EXCHANGES
from cexkit.schema import TABLES
from cexkit.schema.render import to_pyarrow
from cexkit.schema.validate import split

pytestmark = pytest.mark.live

#: An instrument of each venue that has long been there and will be for long; dated ones come and go.
SYMBOLS = {
    ("binance", "spot"): "BTCUSDT",
    ("binance", "perp"): "BTCUSDT",
    ("bybit", "spot"): "BTCUSDT",
    ("bybit", "perp"): "BTCUSDT",
    ("coinbase", "spot"): "BTCUSD",
    ("coinbase", "perp"): "BTCUSDC",
    ("okx", "spot"): "BTCUSDT",
    ("okx", "perp"): "BTCUSDT",
}
READ = [
    pytest.param(name, table, kind, id=f"{name}-{table}-{kind}")
    for name, venue in EXCHANGES.items()
    for table, kind in venue.sources
    if (name, kind) in SYMBOLS and table != "instruments"
]


@pytest.fixture(scope="module")
def fetcher(request):
    if not request.config.getoption("--live"):
        pytest.skip("asks real venues; run it with --live where a network is")
    with Fetcher() as reader:
        yield reader


@pytest.mark.parametrize(("name", "table", "kind"), READ)
def test_the_last_days_come_in_a_conforming_table(fetcher, name, table, kind):
    import polars as pl

    bar = TABLES[table].bar or timedelta(hours=1)
    end = datetime.now(UTC)
    start = end - max(30 * bar, timedelta(hours=30)) if table != "liquidations" else end - timedelta(hours=2)
    start = max(start, end - timedelta(hours=2)) if table == "ohlcv_1m" else start
    rows = fetcher.fetch(name, table, SYMBOLS[name, kind], start, end, instrument_type=kind)
    assert rows.schema.equals(to_pyarrow(TABLES[table]))
    assert rows.num_rows or table == "liquidations"
    if rows.num_rows:
        times = pc.min_max(rows["timestamp"]).as_py()
        assert start <= times["min"] <= times["max"] < end
    good, bad = split(pl.from_arrow(rows), TABLES[table])
    assert bad.is_empty(), bad
    assert good.select(TABLES[table].key).is_unique().all()


@pytest.mark.parametrize("name", EXCHANGES)
def test_what_is_listed(fetcher, name):
    rows = fetcher.instruments(name)
    assert rows.schema.equals(to_pyarrow(TABLES["instruments"]))
    assert rows.num_rows > 50
