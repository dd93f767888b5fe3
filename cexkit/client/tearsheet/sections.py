"""The parts of a page, in order."""

from __future__ import annotations

from cexkit.client.tearsheet.components import Section
from cexkit.client.tearsheet.data import TearsheetData
from cexkit.client.tearsheet.flows import liquidations, positions
from cexkit.client.tearsheet.key_figures import compute_key_figures
from cexkit.client.tearsheet.overview import contracts, quality, render_key_figures, tiles
from cexkit.client.tearsheet.rates import basis, funding, liquidity, price, volatility

PARTS = (contracts, price, funding, basis, positions, liquidations, volatility, liquidity, quality)


def page(data: TearsheetData) -> tuple[list[tuple[str, str, str]], list[Section]]:
    """The tiles above, and all sections."""
    figures = compute_key_figures(data)
    return tiles(data, figures), [render_key_figures(data, figures), *(part(data) for part in PARTS)]
