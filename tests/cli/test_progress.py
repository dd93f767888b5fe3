"""Progress bars of a pull: what they say of each venue, and that they are silent without a terminal."""

from __future__ import annotations

import io
import sys

import pytest

from cexkit.cli.progress import Bars
from cexkit.exchanges.venue_client import Pace
from cexkit.warehouse.ingest.report import Done


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("shown", [True, False])
def test_each_venue_has_its_bar(monkeypatch, shown):
    output = Terminal() if shown else io.StringIO()
    monkeypatch.setattr(sys, "stderr", output)
    paces = {"okx": Pace(0, 0.0), "bybit": Pace(7, 0.25)}
    with Bars({"okx": 2, "bybit": 3}, paces.get) as bars:
        paces["okx"] = Pace(90, 0.97)
        bars.step(Done("okx", "ohlcv_1h", "BTCUSDT"))
        bars.step(Done("okx", "ohlcv_1h", "ETH\x1b[2JUSDT"))
        bars.step(Done("coinbase", "ohlcv_1h", "BTCUSD"))  # has no bar: its listing could not be read before
    said = output.getvalue()
    assert ("okx ohlcv_1h ETH\\x1b[2JUSDT: 100%" in said) is shown
    assert ("requests/s, 97% of the limit" in said) is shown
    assert ("bybit:   0%" in said) is shown
    assert shown or not said
