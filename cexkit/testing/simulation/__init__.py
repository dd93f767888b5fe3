"""A deterministic market of real names and simulated numbers: data for tests, tutorials and the embedded sample.

It behaves as the real one does where that matters to code: venues quote in different currencies and units, settle
funding at different intervals that change, list and delist, and leave columns empty that they do not give. Nothing in
it says anything about real prices.
"""

from cexkit.testing.simulation.market import SEED, SimulatedMarket, simulate
from cexkit.testing.simulation.world import HISTORY, MINUTES_FROM

__all__ = ["HISTORY", "MINUTES_FROM", "SEED", "SimulatedMarket", "simulate"]
