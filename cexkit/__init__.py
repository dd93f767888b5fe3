"""Crypto derivatives data for research.

The import registers ``.crypto`` on pandas and Polars frames. It is offline, prints nothing, and loads nothing heavier
than pandas, Polars, and Narwhals. Other modules are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cexkit.analytics._core.registry import metrics
from cexkit.analytics.accessors import crypto
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
    from cexkit.analytics import plotting
    from cexkit.client.market import connect
    from cexkit.client.token import Token
    from cexkit.client.tokens import Tokens
    from cexkit.exchanges.fetch import fetch
    from cexkit.warehouse.collect.collector import collect
    from cexkit.warehouse.ingest.pull import pull
    from cexkit.warehouse.publish import publish

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
    "collect",
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
    "plotting",
    "price_divergence_bps",
    "publish",
    "pull",
    "realized_volatility",
    "resample",
    "returns",
    "taker_imbalance",
    "volume_share",
    "vwap",
    "weighted_funding",
]

#: Public names that are imported on first use, because their dependencies are heavy: name → module[:attribute].
_LAZY = {
    "Token": "cexkit.client.token:Token",
    "Tokens": "cexkit.client.tokens:Tokens",
    "collect": "cexkit.warehouse.collect.collector:collect",
    "connect": "cexkit.client.market:connect",
    "fetch": "cexkit.exchanges.fetch:fetch",
    "plotting": "cexkit.analytics.plotting",
    "publish": "cexkit.warehouse.publish:publish",
    "pull": "cexkit.warehouse.ingest.pull:pull",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, _, attribute = _LAZY[name].partition(":")
    loaded = import_module(module)
    globals()[name] = value = getattr(loaded, attribute) if attribute else loaded
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
