"""Funding as each venue settles it, from the premium of the perp's mark over its index.

The premium is taken once an hour, from the closes of mark and index bars. ``P`` is its average over the ``n`` hours
that a settlement covers, and the interest is 0.01 % per 8 hours:

- ``rising_average`` (Binance, Bybit): P is weighted 1, 2, … n, later hours more;
  rate = (P + clamp(0.01 % − P, ±0.05 %)) · n / 8
- ``plain_average`` (OKX): the same with equal weights
- ``dead_zone`` (Coinbase): rate = (max(P, 0.025 %) + min(P, −0.025 %)) · n / 8, hourly

Each is capped by its venue and rounded to 8 decimals. These are models of the venues' published rules: what a venue
computes every minute is computed here every hour.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl

from cexkit.testing.simulation.bars import edge_prices
from cexkit.testing.simulation.prices import Prices
from cexkit.testing.simulation.world import HISTORY, HOUR, Listing, hour

INTEREST_8H = 0.0001
CLAMP = 0.0005
DEAD_ZONE = 0.00025
_DECIMALS = 8
_JITTER_MS = 48


def settlements(listing: Listing) -> tuple[np.ndarray, np.ndarray]:
    """Hours at which an instrument settles, counted from the start of history, and the hours each one covers.

    Settlements lie on whole multiples of the interval in the UTC day; a new interval counts from the last one on.
    """
    first, last = listing.life
    changes = [(hour(moment), hours) for moment, hours in listing.intervals] + [(last, 0)]
    times, intervals = [], []
    for (begin, interval), (end, _) in pairwise(changes):
        begin = -(-max(begin, first) // interval) * interval
        at = np.arange(begin + interval, end + 1, interval)
        times.append(at)
        intervals.append(np.full(len(at), interval))
    return np.concatenate(times), np.concatenate(intervals)


def average_premium(premium: np.ndarray, at: np.ndarray, interval: int, *, rising: bool) -> np.ndarray:
    """Average of the hourly premium over the ``interval`` hours before each settlement."""
    weights = np.arange(1.0, interval + 1) if rising else np.ones(interval)
    hours = premium[at[:, None] + np.arange(-interval, 0)]
    # a running sum instead of a product of matrices: the same order of addition on every machine
    return np.cumsum(hours * weights, axis=1)[:, -1] / weights.sum()


def rate(premium: np.ndarray, interval: int, rule: str, cap: float) -> np.ndarray:
    """The rate of one settlement from the average premium.

    Examples
    --------
    >>> rate(np.array([0.0, 0.001, -0.001]), 8, "plain_average", 0.02).tolist()
    [0.0001, 0.0005, -0.0005]
    >>> rate(np.array([0.0001, 0.00105]), 1, "dead_zone", 0.02).tolist()
    [0.0, 0.0001]
    """
    if rule == "dead_zone":
        per_8h = np.maximum(premium, DEAD_ZONE) + np.minimum(premium, -DEAD_ZONE)
    else:
        per_8h = premium + np.clip(INTEREST_8H - premium, -CLAMP, CLAMP)
    return np.rint(np.clip(per_8h * interval / 8, -cap, cap) * 10**_DECIMALS) / 10**_DECIMALS


def funding_rates(prices: Prices) -> pl.DataFrame:
    """All settlements of a perp, with the columns that its venue gives."""
    listing, venue = prices.listing, prices.listing.venue
    at, intervals = settlements(listing)
    mark, index = edge_prices(prices, "mark"), edge_prices(prices, "index")
    premium = (mark / index - 1)[1:]
    cap = venue.cap[0 if listing.base in ("BTC", "ETH") else 1]
    rates = np.zeros(len(at))
    for interval in np.unique(intervals):
        same = intervals == interval
        average = average_premium(premium, at[same], int(interval), rising=venue.funding == "rising_average")
        rates[same] = rate(average, int(interval), venue.funding, cap)
    frame = pl.DataFrame(
        {
            "hour": at,
            "funding_rate": rates,
            "funding_interval_hours": intervals.astype(np.float64),
            "mark_price": mark[at] if listing.exchange == "binance" else np.full(len(at), np.nan),
            "index_price": index[at] if listing.exchange == "coinbase" else np.full(len(at), np.nan),
            "jitter_ms": _jitter(prices, len(at)),
        }
    )
    timestamp = pl.lit(HISTORY.start) + pl.col("hour") * pl.lit(HOUR)
    frame = frame.with_columns(
        timestamp.cast(pl.Datetime("us", "UTC")).alias("timestamp"), pl.col("mark_price", "index_price").fill_nan(None)
    )
    frame = frame.with_columns(venue_timestamp=pl.col("timestamp") + pl.duration(milliseconds="jitter_ms"))
    if listing.gap is not None:
        frame = frame.filter(~pl.col("timestamp").is_between(listing.gap.start, listing.gap.end, closed="left"))
    return frame.drop("hour", "jitter_ms")


def _jitter(prices: Prices, count: int) -> np.ndarray:
    """Milliseconds by which Binance's settlement times are late: half of them none, the others up to 47."""
    if prices.listing.exchange != "binance":
        return np.zeros(count, dtype=np.int64)
    drawn = prices.draws.uniform(f"{prices.listing.name} jitter", count)
    return np.maximum(((2 * drawn - 1) * _JITTER_MS).astype(np.int64), 0)
