"""From the price of a coin in USD to what one instrument shows: index, mark and trade prices.

Everything is a log distance from the coin's USD price at the edges of hours: the quote currency is not quite a dollar,
venues are a little apart, and a perp stands at a premium over its index that always comes back.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cexkit.testing.simulation.coins import CoinPaths, Path
from cexkit.testing.simulation.draws import Draws, decaying_sum
from cexkit.testing.simulation.world import HOURS, Listing

BPS = 1e-4
_EDGES = HOURS + 1
_QUOTE_SD_BPS = {"USDT": 3.0, "USDC": 1.0}


def quote_in_usd(quote: str, draws: Draws) -> np.ndarray:
    """Log price of a quote currency in USD; it wanders around one."""
    if quote == "USD":
        return np.zeros(_EDGES)
    return draws.wandering(f"{quote} in USD", _EDGES, half_life=72, sd=_QUOTE_SD_BPS[quote] * BPS)


def sentiment(coin: CoinPaths) -> np.ndarray:
    """What all perps of a coin have in common in their premium: slow moods, and the coin's own recent returns."""
    returns = np.concatenate([[0.0], coin.returns])
    mood = coin.draws.wandering(f"{coin.base} mood", _EDGES, half_life=240, sd=2.2 * BPS * np.sqrt(coin.coin.spread))
    return mood + 0.004 * decaying_sum(returns, 48) + 0.005 * decaying_sum(returns, 6)


class Prices:
    """Prices of one instrument, as log distances from its coin in USD at the edges of hours."""

    def __init__(self, listing: Listing, coin: CoinPaths) -> None:
        self.listing, self.coin, self.draws = listing, coin, coin.draws

    def _apart(self, name: str, *, half_life: float, bps: float) -> np.ndarray:
        return self.draws.wandering(name, _EDGES, half_life=half_life, sd=bps * BPS * self.listing.coin.spread)

    @cached_property
    def index(self) -> np.ndarray:
        """The venue's index of the coin."""
        listing = self.listing
        unit = np.log(listing.multiplier) - quote_in_usd(listing.quote, self.draws)
        return unit + self._apart(f"{listing.exchange} {listing.base} index", half_life=6, bps=0.8)

    @cached_property
    def mark(self) -> np.ndarray:
        """The mark price of a perp: index and premium."""
        own = self._apart(f"{self.listing.name} premium", half_life=6, bps=0.7)
        return self.index + self.listing.venue.premium_bps * BPS + sentiment(self.coin) + own

    @cached_property
    def trade(self) -> np.ndarray:
        """Prices traded: close to the index on spot, to the mark on perps."""
        if self.listing.instrument_type == "spot":
            return self.index + self._apart(f"{self.listing.name} trades", half_life=3, bps=1.2)
        return self.mark + self._apart(f"{self.listing.name} trades", half_life=0.5, bps=0.6)


@dataclass(frozen=True, slots=True)
class Ticks:
    """Prices of consecutive bars in whole ticks."""

    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray


def ticks(path: Path, offset: np.ndarray, decimals: int) -> Ticks:
    """Bars of a path that is shifted by an offset, in units of the last decimal.

    Each bar opens where the one before closed. The extremes are shifted by whichever end leaves the bar wider.
    """
    scale = np.log(10.0) * decimals

    def rounded(log_price: np.ndarray) -> np.ndarray:
        return np.rint(np.exp(log_price + scale)).astype(np.int64)

    edges = rounded(path.at + offset)
    first, last = edges[:-1], edges[1:]
    high = rounded(path.high + np.maximum(offset[:-1], offset[1:]))
    low = rounded(path.low + np.minimum(offset[:-1], offset[1:]))
    return Ticks(first, np.maximum(high, np.maximum(first, last)), np.minimum(low, np.minimum(first, last)), last)


def decimal(units: np.ndarray, decimals: int) -> np.ndarray:
    """Whole units of the last decimal as the nearest floats.

    Examples
    --------
    >>> decimal(np.array([12345]), 2).tolist(), decimal(np.array([7]), -3).tolist()
    ([123.45], [7000.0])
    """
    return units / 10.0**decimals if decimals >= 0 else units * 10.0**-decimals
