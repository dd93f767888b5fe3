"""Open interest, and the liquidations that large moves bring.

Within an hour that moves far enough, positions on the wrong side are unwound: longs when the price falls, shorts when
it rises. Open interest drops by all of that; a part of it is forced, and that part is the liquidations, placed in
the minutes in which the price made new extremes.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from cexkit.schema import TABLES
from cexkit.schema.render import to_polars
from cexkit.testing.simulation.bars import bar_times, edge_prices
from cexkit.testing.simulation.coins import CoinPaths
from cexkit.testing.simulation.draws import decaying_sum
from cexkit.testing.simulation.prices import Prices, decimal
from cexkit.testing.simulation.world import HISTORY, HOURS, MINUTES_FROM_HOUR

#: Part of the unwinding that is forced.
_FORCED = 0.15
#: How far a venue's kind of price lies beyond the price at which the liquidation began.
_AWAY = {"bankruptcy": 0.005, "average_fill": 0.0004}
#: Liquidations are about this part of the open interest of the coin each, at least this many USD.
_TYPICAL_SHARE, _TYPICAL_USD = 4e-5, 25_000.0


def unwound(coin: CoinPaths, side: str) -> np.ndarray:
    """Part of the open interest that each hour's move forces out, of longs or of shorts."""
    path = coin.hours
    move = path.at[:-1] - path.low if side == "long" else path.high - path.at[:-1]
    usual = coin.coin.beta * 0.0045 + coin.coin.volatility / 250
    return 1.2 * np.maximum(move - 1.8 * usual, 0.0)


def open_units(prices: Prices) -> np.ndarray:
    """Open interest at every edge of an hour, in lots: follows the trend, drops with what is unwound."""
    listing, coin = prices.listing, prices.coin
    wandering = coin.draws.wandering(f"{listing.name} open interest", HOURS + 1, half_life=240, sd=0.1)
    trend = decaying_sum(np.concatenate([[0.0], coin.returns]), 120)
    gone = decaying_sum(np.concatenate([[0.0], unwound(coin, "long") + unwound(coin, "short")]), 60)
    units = listing.coin.open_interest * 1e6 * listing.venue.perp_share / listing.coin.price / listing.multiplier
    open_now = units * np.exp(wandering + 0.5 * trend - gone)
    return np.rint(np.exp(np.log(open_now) + np.log(10.0) * listing.lot_decimals)).astype(np.int64)


def open_interest(prices: Prices, start: int, end: int) -> pl.DataFrame:
    """Snapshots at the full hours ``start <= h < end``; the value is at the mark price, in whole quote units."""
    hours = slice(start, end)
    base = decimal(open_units(prices)[hours], prices.listing.lot_decimals)
    value = np.rint(base * edge_prices(prices, "mark")[hours])
    times = bar_times(start, end - start, 60)
    return pl.DataFrame({"timestamp": times, "open_interest_base": base, "open_interest_quote": value})


def liquidations(prices: Prices) -> pl.DataFrame:
    """Every liquidation the venue shows, in time order; none where it shows none."""
    if prices.listing.venue.liquidations == "absent":
        return to_polars(TABLES["liquidations"]).to_frame()
    sides = [_of_side(prices, side) for side in ("long", "short")]
    events = pl.concat(sides).sort("timestamp", "side", "price", "quantity_base")
    if prices.listing.venue.liquidations == "throttled":
        events = throttled(events)
    venue, alike = prices.listing.venue, ("timestamp", "side", "price", "quantity_base")
    return events.with_columns(
        event=pl.int_range(pl.len()).over(alike),
        price_type=pl.lit(venue.liquidation_price),
        coverage=pl.lit(venue.liquidations),
    )


def throttled(events: pl.DataFrame) -> pl.DataFrame:
    """At most one event of an instrument a second: the last. Events must be in time order.

    Examples
    --------
    >>> from datetime import datetime, timedelta
    >>> times = [datetime(2026, 5, 2) + timedelta(milliseconds=ms) for ms in (100, 900, 1000)]
    >>> throttled(pl.DataFrame({"timestamp": times})).height
    2
    """
    second = pl.col("timestamp").dt.truncate("1s")
    return events.filter(second.ne_missing(second.shift(-1)))


def _of_side(prices: Prices, side: str) -> pl.DataFrame:
    listing, draws = prices.listing, prices.draws
    typical = max(_TYPICAL_USD, _TYPICAL_SHARE * listing.coin.open_interest * 1e6)
    expected = _forced_usd(prices, side) / typical
    name = f"{listing.name} {side} liquidations"
    counts = (expected + draws.uniform(f"{name} counts", len(expected)) * (expected > 0)).astype(np.int64)
    minute = np.repeat(np.arange(len(counts)), counts)
    total = len(minute)
    price = _event_prices(prices, side, minute, draws.uniform(f"{name} prices", total))
    usd = typical * np.exp(1.1 * draws.normal(f"{name} sizes", total) - 0.605)
    lots = np.maximum(np.rint(usd / price * 10.0**listing.lot_decimals), 1)
    quantity = decimal(lots, listing.lot_decimals)
    ms = (60_000 * draws.uniform(f"{name} times", total)).astype(np.int64)
    times = int(HISTORY.start.timestamp()) * 1000 + 60_000 * (60 * MINUTES_FROM_HOUR + minute) + ms
    return pl.DataFrame(
        {
            "timestamp": pl.Series(times * 1000, dtype=pl.Int64).cast(pl.Datetime("us", "UTC")),
            "side": pl.repeat(side, total, eager=True, dtype=pl.String),
            "price": price,
            "quantity_base": quantity,
            "value_quote": price * quantity,
        }
    )


def _forced_usd(prices: Prices, side: str) -> np.ndarray:
    """Value liquidated in each minute: the hour's part, spread over the minutes that made new extremes."""
    coin, hours = prices.coin, slice(MINUTES_FROM_HOUR, HOURS)
    open_log = coin.hours.at[hours, None]
    extremes = coin.minutes.low if side == "long" else -coin.minutes.high
    start = open_log if side == "long" else -open_log
    furthest = np.minimum.accumulate(np.concatenate([start, extremes.reshape(-1, 60)], axis=1), axis=1)
    fresh = -np.diff(furthest, axis=1)
    reached = furthest[:, :1] - furthest[:, -1:]
    share = np.divide(fresh, reached, out=np.zeros_like(fresh), where=reached > 0)
    lots = decimal(open_units(prices)[hours], prices.listing.lot_decimals)
    usd = _FORCED * unwound(coin, side)[hours] * lots * edge_prices(prices, "mark")[hours]
    alive = np.arange(MINUTES_FROM_HOUR, HOURS) < prices.listing.life[1]
    return ((usd * alive)[:, None] * share).ravel()


def _event_prices(prices: Prices, side: str, minute: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Prices of events, each at some point of its minute's range, moved as far as the venue's kind of price is away."""
    listing, at = prices.listing, prices.coin.minutes
    offset = prices.trade[MINUTES_FROM_HOUR:-1][minute // 60]
    reached = np.exp(at.low[minute] + within * (at.high[minute] - at.low[minute]) + offset)
    away = _AWAY[listing.venue.liquidation_price] * (-1 if side == "long" else 1)
    return decimal(np.maximum(np.rint(reached * (1 + away) * 10.0**listing.price_decimals), 1), listing.price_decimals)
