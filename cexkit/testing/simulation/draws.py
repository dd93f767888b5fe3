"""Named random streams that give the same numbers on every machine, and the filters laid over them.

Only the raw output of PCG64 is used, which numpy promises to keep; uniform and normal numbers are made from it here. A
stream is known by its name, and any part of it can be drawn without the parts before. So what one instrument gets does
not depend on which others are simulated, nor on the window.
"""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl


class Draws:
    """Random streams of one seed.

    Examples
    --------
    >>> draws = Draws(7)
    >>> bool((draws.uniform("BTC", 10)[4:] == draws.uniform("BTC", 6, start=4)).all())
    True
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def uniform(self, name: str, count: int, start: int = 0) -> np.ndarray:
        """``count`` numbers in [0, 1) of the stream, from its number ``start`` on."""
        words = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "big")
        bits = np.random.PCG64(np.random.SeedSequence([self.seed, words])).advance(start)
        return (bits.random_raw(count) >> np.uint64(11)) * 2.0**-53

    def normal(self, name: str, count: int, start: int = 0) -> np.ndarray:
        """``count`` standard normal numbers of the stream, from its number ``start`` on (Box and Muller)."""
        radius, angle = self.uniform(name, 2 * count, 2 * start).reshape(-1, 2).T
        return np.sqrt(-2 * np.log1p(-radius)) * np.cos(2 * np.pi * angle)

    def wandering(self, name: str, count: int, *, half_life: float, sd: float) -> np.ndarray:
        """A series that returns to zero: stationary AR(1) with this half-life (in steps) and standard deviation."""
        noise = sd * self.normal(name, count)
        noise[1:] *= np.sqrt(1 - 0.25 ** (1 / half_life))
        return decaying_sum(noise, half_life)


def decaying_sum(impulses: np.ndarray, half_life: float) -> np.ndarray:
    """Sum of the impulses so far, each halved every ``half_life`` steps.

    Examples
    --------
    >>> decaying_sum(np.array([8.0, 0.0, 0.0, 1.0]), half_life=1).tolist()
    [8.0, 4.0, 2.0, 2.0]
    """
    # y[t] = keep·y[t-1] + x[t] is an unadjusted ewm_mean of x / (1 - keep), whose first value is taken as it is
    keep = 0.5 ** (1 / half_life)
    scaled = impulses / (1 - keep)
    scaled[:1] = impulses[:1]
    return pl.Series(scaled).ewm_mean(alpha=1 - keep, adjust=False).to_numpy()
