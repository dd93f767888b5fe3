"""A year in fast forward."""
from __future__ import annotations

import time

import cexkit

from ..clock import set_local_clock
from .events import QUIET
from .night import Operator
from .truth import difference, expected
from .world import World


def test_slice(tmp_path, monkeypatch):
    world = World(QUIET, 20250841)
    set_local_clock(monkeypatch, lambda: world.now)
    with world:
        operator = Operator(world, tmp_path / "warehouse", str(tmp_path / "published"))
        for night in QUIET.nights:
            t = time.time()
            told = operator.run(night)
            print(night, round(time.time() - t, 2), told.report.responses, told.report.requests, told.report.rows, told.held)
            for p in told.report.problems[:20]:
                print("   ", p)
    market = cexkit.connect(tmp_path / "published")
    for name, want in expected(world, world.now).items():
        print(difference(name, market.table(name).to_polars(), want))
    print(market.table("instruments").to_polars().glimpse())
    assert 0
