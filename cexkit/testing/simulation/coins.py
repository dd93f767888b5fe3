"""Prices of coins in USD, before any venue: one market factor, stochastic volatility, jumps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cexkit.testing.simulation.draws import Draws, decaying_sum
from cexkit.testing.simulation.world import COINS, HOURS, MINUTES_FROM_HOUR, SHOCKS, hour

_MARKET_VOLATILITY = 0.38 / np.sqrt(8760)
_DETAILED = HOURS - MINUTES_FROM_HOUR


@dataclass(frozen=True, slots=True)
class Path:
    """Log prices in USD: at the edges of equal steps, and the extremes within each step."""

    at: np.ndarray
    high: np.ndarray
    low: np.ndarray


def _extremes(at: np.ndarray, sd: np.ndarray, draws: Draws, name: str) -> Path:
    """Add the extremes of Brownian bridges with these ends and this standard deviation per step."""
    left, right = at[:-1], at[1:]
    squared = (right - left) ** 2
    up, down = (
        np.sqrt(squared - 2 * sd**2 * np.log1p(-draws.uniform(f"{name} {end}", len(sd)))) for end in ("high", "low")
    )
    return Path(at, (left + right + up) / 2, (left + right - down) / 2)


class Market:
    """What moves all coins: returns and volatility of the market factor, hour by hour."""

    def __init__(self, draws: Draws) -> None:
        self.draws = draws

    @cached_property
    def shocks(self) -> np.ndarray:
        """Returns of the scripted falls, zero in all other hours."""
        return self._at_shocks("market_return")

    @cached_property
    def volatility(self) -> np.ndarray:
        """Standard deviation of the hour's return: log volatility wanders, the hour of the day and shocks add to it."""
        wandering = self.draws.wandering("market volatility", HOURS, half_life=120, sd=0.35)
        daily = 0.2 * np.sin(2 * np.pi * (np.arange(HOURS) % 24 - 9) / 24)
        return _MARKET_VOLATILITY * np.exp(wandering + daily + self.nerves - 0.08)

    @cached_property
    def nerves(self) -> np.ndarray:
        """What shocks add to log volatility; it fades with a half-life of 18 hours."""
        return decaying_sum(self._at_shocks("log_volatility"), 18)

    @cached_property
    def jumps(self) -> np.ndarray:
        """Jumps of the market: about thirty a year, more often down, and the scripted shocks."""
        return _jumps(self.draws, "market", rate=1 / 300, sd=0.015) + self.shocks

    @cached_property
    def diffusion(self) -> np.ndarray:
        """Returns without jumps."""
        return self.volatility * self.draws.normal("market returns", HOURS)

    def _at_shocks(self, attribute: str) -> np.ndarray:
        values = np.zeros(HOURS)
        values[[hour(shock.at) for shock in SHOCKS]] = [getattr(shock, attribute) for shock in SHOCKS]
        return values


def _jumps(draws: Draws, name: str, *, rate: float, sd: float) -> np.ndarray:
    happens = draws.uniform(f"{name} jumps", HOURS) < rate
    return happens * sd * (draws.normal(f"{name} jump sizes", HOURS) - 0.2)


class CoinPaths:
    """One coin over all of history; everything is computed when first asked for."""

    def __init__(self, base: str, market: Market) -> None:
        self.base, self.coin, self.market, self.draws = base, COINS[base], market, market.draws

    @cached_property
    def volatility(self) -> np.ndarray:
        """Standard deviation of the hour's return without jumps."""
        return np.sqrt((self.coin.beta * self.market.volatility) ** 2 + self._own_volatility**2)

    @cached_property
    def _own_volatility(self) -> np.ndarray:
        wandering = self.draws.wandering(f"{self.base} volatility", HOURS, half_life=96, sd=0.4)
        return self.coin.volatility / np.sqrt(8760) * np.exp(wandering + 0.5 * self.market.nerves - 0.08)

    @cached_property
    def jumps(self) -> np.ndarray:
        """Jumps of the hour: the market's times beta, and the coin's own."""
        own = _jumps(self.draws, self.base, rate=1 / 500, sd=self.coin.volatility / 12)
        return self.coin.beta * self.market.jumps + own

    @cached_property
    def returns(self) -> np.ndarray:
        """Log returns of the hours."""
        own = self._own_volatility * self.draws.normal(f"{self.base} returns", HOURS)
        return self.coin.beta * self.market.diffusion + own + self.jumps

    @cached_property
    def _edges(self) -> np.ndarray:
        return np.log(self.coin.price) + np.concatenate([[0.0], np.cumsum(self.returns)])

    @cached_property
    def hours(self) -> Path:
        """Log prices by the hour; where there are minutes, the extremes are theirs."""
        path = _extremes(self._edges, self.volatility, self.draws, f"{self.base} hours")
        path.high[MINUTES_FROM_HOUR:] = self.minutes.high.reshape(-1, 60).max(axis=1)
        path.low[MINUTES_FROM_HOUR:] = self.minutes.low.reshape(-1, 60).min(axis=1)
        return path

    @cached_property
    def minutes(self) -> Path:
        """Log prices by the minute, from the first hour built from minutes on."""
        return self._minutes_between(self._edges[MINUTES_FROM_HOUR:])

    @cached_property
    def activity(self) -> np.ndarray:
        """How much is traded in each hour, as a multiple of the usual."""
        usual = np.sqrt((self.coin.beta * _MARKET_VOLATILITY) ** 2 + self.coin.volatility**2 / 8760)
        wandering = self.draws.wandering(f"{self.base} activity", HOURS, half_life=12, sd=0.3)
        moved = np.minimum(np.abs(self.returns) / usual, 12.0)
        return np.exp(wandering - 0.2) * (0.4 + 0.5 * self.volatility / usual + 0.25 * moved)

    def _minutes_between(self, at: np.ndarray) -> Path:
        """Bridges from hour to hour; the whole jump of an hour falls into one minute."""
        sd = np.repeat(self.volatility[MINUTES_FROM_HOUR:] / np.sqrt(60), 60)
        steps = (sd * self.draws.normal(f"{self.base} minutes", 60 * _DETAILED)).reshape(-1, 60)
        jumps = self.jumps[MINUTES_FROM_HOUR:]
        # running sums instead of sum(): their order of addition is the same on every machine
        excess = np.cumsum(steps, axis=1)[:, -1] + jumps - np.diff(at)
        steps -= excess[:, None] / 60
        minute = (60 * self.draws.uniform(f"{self.base} jump minutes", _DETAILED)).astype(np.int64)
        steps[np.arange(_DETAILED), minute] += jumps
        ends = at[:-1, None] + np.cumsum(steps, axis=1)
        ends[:, -1] = at[1:]
        return _extremes(np.concatenate([at[:1], ends.ravel()]), sd, self.draws, f"{self.base} minutes")
