"""Every plot as a picture, from the embedded sample, beside one that was looked at.

``python tests/analytics/plotting/test_pictures.py`` draws the baselines again; inspect them before you commit them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import polars as pl
import pytest
from matplotlib import rc_context, rcParamsDefault, style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.testing.compare import compare_images

import cexkit
from cexkit import plotting

BASELINE = Path(__file__).parent / "baseline"
#: Root mean square of the difference, of 255: what another build of FreeType makes, not what a moved line does.
TOLERANCE = 6
STYLES = {"white": "default", "dark": "dark_background"}


@cache
def rows(table: str, days: int = 60) -> pl.DataFrame:
    market = cexkit.connect("sample")
    end = datetime(2026, 7, 1, tzinfo=UTC)
    return market.table(table, start=end - timedelta(days=days), end=end, instrument_type="perp").to_polars()


def btc(table: str, days: int = 60) -> pl.DataFrame:
    return rows(table, days).filter(base="BTC")


def lead(table: str, days: int = 60) -> pl.DataFrame:
    return btc(table, days).filter(exchange="binance")


def with_basis() -> pl.DataFrame:
    keys = ["exchange", "symbol", "timestamp"]
    index = btc("index_1h", 14).select(*keys, reference="close")
    return btc("ohlcv_1h", 14).join(index, on=keys).rename({"close": "price"})


def futures() -> pl.DataFrame:
    """The sample has no dated futures."""
    now = datetime(2026, 7, 1, tzinfo=UTC)
    days = {"binance": (9, 37, 86, 177), "okx": (9, 23, 86)}
    return pl.DataFrame(
        [
            {"exchange": venue, "base": "BTC", "quote": "USDT", "instrument_type": "future", "timestamp": now}
            | {"symbol": f"BTCUSDT-{day}", "expiry": now + timedelta(days=day, hours=8)}
            | {"price": 100_000 * (1 + rate * day / 365), "reference": 100_000.0}
            for venue, rate in (("binance", 0.08), ("okx", 0.074))
            for day in days[venue]
        ]
    )


def positions() -> pl.DataFrame:
    """Open interest at midnight, with the close of the day that ends there."""
    closes = lead("ohlcv_1d", 61).select("timestamp", "close").with_columns(pl.col("timestamp").dt.offset_by("1d"))
    return lead("open_interest").join(closes, on="timestamp")


PICTURES = {
    "basis": lambda ax: plotting.basis(with_basis(), ax=ax),
    "basis_term_structure": lambda ax: plotting.basis_term_structure(futures(), ax=ax),
    "cumulative_funding": lambda ax: plotting.cumulative_funding(btc("funding_rates"), ax=ax),
    "drawdown": lambda ax: plotting.drawdown(lead("ohlcv_1d", 365), ax=ax),
    "funding_apr": lambda ax: plotting.funding_apr(btc("funding_rates"), ax=ax),
    "funding_band": lambda ax: plotting.funding_band(rows("funding_rates"), base="BTC", ax=ax),
    "liquidation_heatmap": lambda ax: plotting.liquidation_heatmap(btc("liquidations"), ax=ax),
    "liquidations": lambda ax: plotting.liquidations(btc("liquidations"), prices=lead("ohlcv_1d"), ax=ax),
    "oi_quadrants": lambda ax: plotting.oi_quadrants(positions(), ax=ax),
    "oi_timeline": lambda ax: plotting.oi_timeline(positions(), ax=ax),
    "open_interest": lambda ax: plotting.open_interest(btc("open_interest"), prices=lead("ohlcv_1d"), ax=ax),
    "venue_share": lambda ax: plotting.venue_share(btc("ohlcv_1d"), ax=ax),
    "volatility_cone": lambda ax: plotting.volatility_cone(lead("ohlcv_1d", 365), interval="1d", ax=ax),
}


def draw(name: str, background: str, path: Path, dpi: int = 60) -> None:
    with rc_context(rcParamsDefault):
        style.use(STYLES[background])
        figure = Figure(figsize=(7, 3.6), dpi=dpi, layout="constrained")
        FigureCanvasAgg(figure)
        PICTURES[name](figure.subplots())
        # no words of versions in the file
        figure.savefig(path, metadata={"Software": None})


def test_every_plot_has_a_picture():
    assert {name for name in plotting.__all__ if name != "Plots"} == set(PICTURES)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("background", STYLES)
def test_it_looks_as_it_did_when_it_was_looked_at(name, background, tmp_path):
    drawn = tmp_path / f"{name}-{background}.png"
    draw(name, background, drawn)
    assert compare_images(str(BASELINE / drawn.name), str(drawn), tol=TOLERANCE) is None


def test_another_picture_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setitem(PICTURES, "drawdown", lambda ax: plotting.drawdown(lead("ohlcv_1d", 360), ax=ax))
    drawn = tmp_path / "drawdown-white.png"
    draw("drawdown", "white", drawn)
    assert "did not match" in compare_images(str(BASELINE / drawn.name), str(drawn), tol=TOLERANCE)


if __name__ == "__main__":
    BASELINE.mkdir(exist_ok=True)
    for each in PICTURES:
        for background in STYLES:
            draw(each, background, BASELINE / f"{each}-{background}.png")
