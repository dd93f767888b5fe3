"""Draw ``funding.png``: ``python docs/images/funding.py``. Simulated data, as everything of the sample."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

import cexkit
from cexkit import plotting


def main() -> None:
    """What a SOL long paid on each venue since April, beside its rate against that of all other coins."""
    rates = cexkit.connect("sample").table("funding_rates", start="2026-04-01").to_polars()
    figure = Figure(figsize=(12, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    plotting.funding_band(rates, base="SOL", ax=left)
    plotting.cumulative_funding(rates.filter(base="SOL"), ax=right)
    figure.suptitle("Funding of SOL on four venues (simulated data)", fontsize="medium")
    figure.savefig(Path(__file__).with_name("funding.png"), dpi=100)


if __name__ == "__main__":
    main()
