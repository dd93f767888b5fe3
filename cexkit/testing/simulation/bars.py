"""Bars in whole ticks and lots, so that minutes add up to hours and hours to days without a rounding error."""

from __future__ import annotations

import numpy as np
import polars as pl

from cexkit.testing.simulation.coins import Path
from cexkit.testing.simulation.prices import BPS, Prices, Ticks, decimal, ticks
from cexkit.testing.simulation.world import HISTORY, MINUTES_FROM_HOUR, Listing

#: Decimals of traded values in quote.
_QUOTE_DECIMALS = 0
_MINUTE_US = 60_000_000
_START_US = int(HISTORY.start.timestamp()) * 1_000_000
#: Coins of which nothing may be traded at Coinbase for a whole bar, and how often: in a minute, in an hour.
_QUIET = {"PEPE": (0.01, 0.0005), "WIF": (0.04, 0.002)}


def bar_times(first: int, count: int, minutes: int) -> pl.Series:
    """Open times of consecutive bars; ``first`` counts bars of this length from the start of history."""
    step = minutes * _MINUTE_US
    values = _START_US + step * np.arange(first, first + count, dtype=np.int64)
    return pl.Series("timestamp", values).cast(pl.Datetime("us", "UTC"))


def hour_bars(prices: Prices, start: int, end: int) -> pl.DataFrame:
    """Trade bars of hours ``start <= h < end`` in ticks and lots; built from minutes where there are any."""
    split = min(max(start, MINUTES_FROM_HOUR), end)
    parts = []
    if start < split:
        parts.append(_coarse_hours(prices, start, split))
    if split < end:
        parts.append(aggregate(minute_bars(prices, split, end), "1h"))
    return pl.concat(parts)


def _coarse_hours(prices: Prices, start: int, end: int) -> pl.DataFrame:
    path, hours = prices.coin.hours, slice(start, end)
    edges = slice(start, end + 1)
    bars = ticks(
        Path(path.at[edges], path.high[hours], path.low[hours]), prices.trade[edges], prices.listing.price_decimals
    )
    return _traded(prices, bars, "hour", start, prices.coin.activity[hours], minutes=60)


def minute_bars(prices: Prices, start: int, end: int) -> pl.DataFrame:
    """Trade bars of the minutes of hours ``start <= h < end``, in ticks and lots."""
    first, last = (60 * (hour - MINUTES_FROM_HOUR) for hour in (start, end))
    path = prices.coin.minutes
    at = path.at[first : last + 1]
    bars = ticks(
        Path(at, path.high[first:last], path.low[first:last]),
        _by_minute(prices, start, end),
        prices.listing.price_decimals,
    )
    noise = prices.draws.normal(f"{prices.listing.name} minute activity", last - first, first)
    activity = np.repeat(prices.coin.activity[start:end], 60) * np.exp(0.5 * noise - 0.125)
    return _traded(prices, bars, "minute", 60 * start, activity, minutes=1)


def _by_minute(prices: Prices, start: int, end: int) -> np.ndarray:
    """The hourly offset drawn as straight lines, with a little noise between the hours."""
    edges = prices.trade[start : end + 1]
    share = np.arange(60) / 60
    lines = (edges[:-1, None] + share * np.diff(edges)[:, None]).ravel()
    first = 60 * (start - MINUTES_FROM_HOUR)
    noise = prices.draws.normal(f"{prices.listing.name} minute noise", len(lines), first)
    noise[::60] = 0.0
    return np.append(lines + 0.3 * BPS * prices.listing.coin.spread * noise, edges[-1])


def _traded(prices: Prices, bars: Ticks, kind: str, first: int, activity: np.ndarray, minutes: int) -> pl.DataFrame:
    """Add volumes to bars; ``first`` numbers the first bar, counted in its own length from the start of history."""
    listing, count = prices.listing, len(bars.open)
    tilt, noise = (prices.draws.normal(f"{listing.name} {kind} {what}", count, first) for what in ("tilt", "size"))
    usd = _usd_per_minute(listing) * minutes * activity * np.exp(0.2 * noise - 0.02)
    lots = np.maximum(usd / decimal(bars.close, listing.price_decimals + listing.lot_decimals), 1).astype(np.int64)
    direction = np.sign(bars.close - bars.open)
    bought = (lots * np.clip(0.5 + 0.04 * direction + 0.07 * tilt, 0.05, 0.95)).astype(np.int64)
    typical = (bars.open + bars.high + bars.low + bars.close) // 4
    frame = pl.DataFrame(
        {
            "timestamp": bar_times(first, count, minutes),
            "open": bars.open,
            "high": bars.high,
            "low": bars.low,
            "close": bars.close,
            "volume_base": lots,
            "volume_quote": _value(lots, typical, listing),
            "trades": np.minimum(1 + (usd / 1_500).astype(np.int64), lots),
            "taker_buy_volume_base": bought,
            "taker_buy_volume_quote": _value(bought, typical, listing),
        }
    )
    quiet = _QUIET.get(listing.base) if listing.exchange == "coinbase" else None
    if quiet is None:
        return frame
    # a venue that makes no bar when nothing is traded
    drawn = prices.draws.uniform(f"{listing.name} {kind} quiet", count, first)
    return frame.filter(pl.Series(drawn >= quiet[0 if minutes == 1 else 1]))


def _usd_per_minute(listing: Listing) -> float:
    coin, venue = listing.coin, listing.venue
    volume, share = (
        (coin.spot_volume, venue.spot_share)
        if listing.instrument_type == "spot"
        else (coin.perp_volume, venue.perp_share)
    )
    return volume * 1e6 * share / 1440


def _value(lots: np.ndarray, price: np.ndarray, listing: Listing) -> np.ndarray:
    """lots × price in units of the last decimal of traded values, rounded down."""
    digits = listing.price_decimals + listing.lot_decimals - _QUOTE_DECIMALS
    value = lots * price
    return value // 10**digits if digits >= 0 else value * 10**-digits


def aggregate(bars: pl.DataFrame, every: str) -> pl.DataFrame:
    """Longer bars from sorted shorter ones."""
    return bars.group_by_dynamic("timestamp", every=every).agg(
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        pl.col("^.*volume.*$", "trades").sum(),
    )


def published(bars: pl.DataFrame, listing: Listing) -> pl.DataFrame:
    """Bars in ticks and lots as the venue shows them: decimal numbers, and null in columns it does not give."""
    venue = listing.venue
    price = [_decimal(name, listing.price_decimals) for name in ("open", "high", "low", "close")]
    base = [_decimal(name, listing.lot_decimals) for name in ("volume_base", "taker_buy_volume_base")]
    quote = [_decimal(name, _QUOTE_DECIMALS) for name in ("volume_quote", "taker_buy_volume_quote")]
    shown = bars.with_columns(*price, *base, *quote)
    hidden = []
    if not venue.counts_takers:
        hidden += ["trades", "taker_buy_volume_base", "taker_buy_volume_quote"]
    if listing.instrument_type == "spot" and not venue.spot_quote_volume:
        hidden.append("volume_quote")
    return shown.with_columns(pl.lit(None).cast(shown.schema[name]).alias(name) for name in hidden)


def _decimal(name: str, decimals: int) -> pl.Expr:
    return pl.col(name) / 10.0**decimals if decimals >= 0 else pl.col(name) * 10.0**-decimals


def reference(prices: Prices, which: str, start: int, end: int) -> pl.DataFrame:
    """Mark or index bars of hours ``start <= h < end``, as the venue shows them."""
    path, hours, edges = prices.coin.hours, slice(start, end), slice(start, end + 1)
    decimals = prices.listing.price_decimals
    offset = getattr(prices, which)[edges]
    bars = ticks(Path(path.at[edges], path.high[hours], path.low[hours]), offset, decimals)
    columns = {name: decimal(getattr(bars, name), decimals) for name in ("open", "high", "low", "close")}
    return pl.DataFrame({"timestamp": bar_times(start, end - start, 60), **columns})


def edge_prices(prices: Prices, which: str) -> np.ndarray:
    """Mark or index price at every edge of an hour, as the bars show it."""
    decimals = prices.listing.price_decimals
    edges = np.rint(np.exp(prices.coin.hours.at + getattr(prices, which) + np.log(10.0) * decimals))
    return decimal(edges, decimals)
