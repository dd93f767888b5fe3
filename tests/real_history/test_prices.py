"""Prices of real history: the basis of a crash, and longer bars from shorter ones."""

from __future__ import annotations

import polars as pl
import pytest

import cexkit
from cexkit.client.tearsheet.days import whole_days
from cexkit.errors import NoReferenceWarning
from cexkit.schema import INSTRUMENT_KEYS
from cexkit.schema.intervals import utc

from .replay import read_history

HOUR = {"start": "2025-10-10T22:00", "end": "2025-10-10T23:00"}
PRICES = ("open", "high", "low", "close")


def test_sol_closed_140_bps_below_spot_in_the_crash(history):
    perp, spot = (
        history.served["ohlcv_1h"]
        .filter(pl.col("timestamp") == utc("2025-10-10T21:00"), exchange="binance", base="SOL", instrument_type=kind)
        .item(0, "close")
        for kind in ("perp", "spot")
    )
    token = cexkit.Token("SOL", exchange="binance", market=history.market, return_type="polars")
    for rows in (
        history.market.basis(exchange="binance", symbol="SOLUSDT", **HOUR).to_polars(),
        history.market.basis(reference="spot", exchange="binance", symbol="SOLUSDT", **HOUR).to_polars(),
        token.basis(**HOUR),
    ):
        assert rows.select("price", "reference", "reference_name", "reference_quote").rows() == [
            (perp, spot, "spot SOLUSDT", "USDT")
        ]
        assert rows["basis"].item() == pytest.approx(perp / spot - 1, abs=1e-15)
        assert round(rows["basis"].item() * 1e4) == -140


def test_venues_without_an_index_or_a_spot_pair_are_named(history):
    with pytest.warns(NoReferenceWarning, match="bybit perp SOLUSDT") as caught:
        rows = history.market.basis(symbol="SOLUSDT", **HOUR).to_polars()
    assert {row.message.args[0].count("okx perp SOLUSDT") for row in caught if row.category is NoReferenceWarning} == {
        1
    }
    assert rows.filter(pl.col("basis").is_not_null())["exchange"].to_list() == ["binance"]
    assert rows.height == 3


@pytest.mark.parametrize(
    ("every", "name", "compared"), [("1d", "ohlcv_1d", 1599), ("4h", "ohlcv_4h_okx", 2715)], ids=["days", "4 hours"]
)
def test_aggregated_hours_equal_the_bars_of_the_venue(folder, every, name, compared):
    hourly = read_history(folder, "ohlcv_1h")
    if every == "1d":
        made = whole_days(hourly)
    else:
        made = hourly.filter(exchange="okx").crypto.resample(every=every).filter(pl.col("rows") == 4)
    pairs = made.join(read_history(folder, name, "ohlcv_1h"), on=[*INSTRUMENT_KEYS, "timestamp"], suffix="_of_venue")
    assert pairs.height == compared
    for column in PRICES:
        assert pairs[column].equals(pairs[f"{column}_of_venue"].alias(column)), column
    # One daily volume of Coinbase was corrected after its hours.
    volume = (pairs["volume_base"] / pairs["volume_base_of_venue"] - 1).abs()
    assert volume.max() < 2e-5
    assert (volume > 1e-9).sum() <= 1
