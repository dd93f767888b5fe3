"""Tearsheets of real history: each number is the one that plain Python finds in the rows."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import timedelta

import polars as pl
import pytest

import cexkit
from cexkit.schema.intervals import utc

START, END = "2025-10-01", "2025-10-20"


@dataclass(frozen=True)
class Page:
    """A tearsheet: its coin, its text, its venues in order, and the cells of each row by name."""

    base: str
    html: str
    venues: list[str]
    cells: dict[str, list[str]]

    def cell(self, name: str, venue: str) -> str:
        """Return a cell of the key figures."""
        return self.cells[name][self.venues.index(venue)]


@pytest.fixture(scope="module", params=["BTC", "SOL"])
def page(request, history):
    html = cexkit.Token(request.param, market=history.market).tearsheet(start=START, end=END).html
    rows = re.findall(r"<tr>\s*<th[^>]*>([^<]*)</th>(.*?)</tr>", html, flags=re.DOTALL)
    cells = {name: re.findall(r"<td[^>]*>([^<]*)</td>", rest) for name, rest in reversed(rows)}
    return Page(request.param, html, re.search(r"UTC · ([a-z, ]+) · dataset", html)[1].split(", "), cells)


def shown(number: float, places: int = 2) -> str:
    """Return a fraction as the page shows it."""
    return f"{number * 100:.{places}f} %".replace("-", "−")


def rows_of(history, table: str, base: str, exchange: str, kind: str = "perp") -> pl.DataFrame:
    """Return the served rows of an instrument in the window, by time."""
    rows = history.served[table].filter(
        pl.col("timestamp") >= utc(START), pl.col("timestamp") < utc(END),
        base=base, exchange=exchange, instrument_type=kind, symbol=f"{base}USDT",
    )  # fmt: skip
    return rows.sort("timestamp")


def number(text: str) -> float:
    """Return a number as the page shows it."""
    return float(text.replace("−", "-").replace(",", ""))


def test_numbers_are_those_of_the_rows(page, history):
    venues = ["binance", "bybit", "okx"] if page.base == "SOL" else ["binance", "bybit"]
    for venue in venues:
        close = rows_of(history, "ohlcv_1h", page.base, venue)["close"][-1]
        rates = rows_of(history, "funding_rates", page.base, venue)["funding_rate"].to_list()
        assert number(page.cell("Price, quote per coin", venue)) == pytest.approx(close, rel=1e-5)
        assert page.cell("Funding APR, last settlement", venue) == shown(rates[-1] * 3 * 365)
        assert page.cell("Funding paid by longs in the window", venue) == shown(math.fsum(rates), 3)
        mean = math.fsum(rates) / len(rates) * 3 * 365
        assert page.cell("Funding APR, mean of the window by hours", venue) == shown(mean)


def test_basis_shows_the_crash(page, history):
    perp, spot = (rows_of(history, "ohlcv_1h", page.base, "binance", kind)["close"] for kind in ("perp", "spot"))
    bps = [(one / other - 1) * 1e4 for one, other in zip(perp, spot, strict=True)]
    assert number(page.cell("Basis, last hour, bps", "binance")) == pytest.approx(bps[-1], rel=5e-3)
    mean = math.fsum(bps) / len(bps)
    assert number(page.cell("Basis, mean of the window, bps", "binance")) == pytest.approx(mean, rel=5e-3)
    assert page.cell("Reference of the basis", "binance") == f"spot {page.base}USDT"
    assert (min(bps) < -139) == (page.base == "SOL")


def test_no_venue_with_data_shows_dashes(page):
    for venue in ("binance", "bybit"):
        for name in ("Price, quote per coin", "Funding APR, last settlement", "Deepest drawdown of the year"):
            assert page.cell(name, venue) != "–", (venue, name)
    assert "Not drawn" not in page.html
    if page.base == "SOL":
        days = (utc(END) - utc(START)) // timedelta(days=1)
        note = re.search(
            "aggregated from their 24 hourly bars: binance SOLUSDT ([0-9]+), bybit SOLUSDT ([0-9]+)", page.html
        )
        assert all(days <= int(count) <= 365 for count in note.groups())
