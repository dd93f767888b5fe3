"""Crypto derivatives data for research.

Importing it registers ``.crypto`` on pandas and polars frames. There is no network, no printing and
nothing heavier than pandas, polars and narwhals; the rest is imported where it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cexkit.accessors import crypto
from cexkit.analytics._core.registry import metrics
from cexkit.analytics.basis.basis import annualized_basis, basis, basis_bps
from cexkit.analytics.basis.carry import carry_return
from cexkit.analytics.basis.constant_maturity import constant_maturity_basis
from cexkit.analytics.beta import beta, correlation
from cexkit.analytics.cross_venue import dominance, herfindahl, price_divergence_bps, volume_share
from cexkit.analytics.funding.cashflows import funding_pnl, funding_spend_usd
from cexkit.analytics.funding.rates import cumulative_funding, funding_apr, funding_apy, funding_interval
from cexkit.analytics.funding.spread import funding_spread
from cexkit.analytics.funding.statistics import funding_pct_rank, funding_regime, funding_zscore
from cexkit.analytics.funding.weighted import weighted_funding
from cexkit.analytics.liquidations.cascades import liquidation_cascades
from cexkit.analytics.liquidations.heatmap import liquidation_heatmap
from cexkit.analytics.liquidations.intensity import liquidation_intensity_bps
from cexkit.analytics.liquidations.summary import liquidation_summary
from cexkit.analytics.liquidity import amihud, corwin_schultz
from cexkit.analytics.open_interest import oi_change, oi_quadrant, oi_to_market_cap, oi_to_volume
from cexkit.analytics.order_flow import cvd, taker_imbalance
from cexkit.analytics.prices import drawdown, log_returns, returns
from cexkit.analytics.resample import resample, vwap
from cexkit.analytics.volatility import realized_volatility

if TYPE_CHECKING:
    from cexkit.client import connect
    from cexkit.exchanges.fetcher import fetch
    from cexkit.token import Token
    from cexkit.tokens import Tokens

__version__ = "0.1.0"

__all__ = [
    "Token",
    "Tokens",
    "amihud",
    "annualized_basis",
    "basis",
    "basis_bps",
    "beta",
    "carry_return",
    "connect",
    "constant_maturity_basis",
    "correlation",
    "corwin_schultz",
    "crypto",
    "cumulative_funding",
    "cvd",
    "dominance",
    "drawdown",
    "fetch",
    "funding_apr",
    "funding_apy",
    "funding_interval",
    "funding_pct_rank",
    "funding_pnl",
    "funding_regime",
    "funding_spend_usd",
    "funding_spread",
    "funding_zscore",
    "herfindahl",
    "liquidation_cascades",
    "liquidation_heatmap",
    "liquidation_intensity_bps",
    "liquidation_summary",
    "log_returns",
    "metrics",
    "oi_change",
    "oi_quadrant",
    "oi_to_market_cap",
    "oi_to_volume",
    "price_divergence_bps",
    "realized_volatility",
    "resample",
    "returns",
    "taker_imbalance",
    "volume_share",
    "vwap",
    "weighted_funding",
]

#: Attributes whose modules are imported on first use: attribute → module that defines it.
_LAZY = {
    "Token": "cexkit.token",
    "Tokens": "cexkit.tokens",
    "connect": "cexkit.client",
    "fetch": "cexkit.exchanges.fetcher",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
