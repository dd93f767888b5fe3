"""Crypto derivatives data for research.

Every public name is imported on first use, so the import loads no other library. It is offline, prints nothing, and
registers ``.crypto`` on pandas and Polars frames, whether they are imported before or after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cexkit.analytics.registration import register_accessor

if TYPE_CHECKING:
    from cexkit.analytics import plotting
    from cexkit.analytics.accessors import crypto
    from cexkit.analytics.basis.basis import annualized_basis, basis, basis_bps
    from cexkit.analytics.basis.carry import carry_return
    from cexkit.analytics.basis.constant_maturity import constant_maturity_basis
    from cexkit.analytics.beta import beta, correlation
    from cexkit.analytics.catalog import metrics
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

#: Modules that define public names.
_DEFINED_IN = {
    "cexkit.analytics.accessors": ("crypto",),
    "cexkit.analytics.basis.basis": ("annualized_basis", "basis", "basis_bps"),
    "cexkit.analytics.basis.carry": ("carry_return",),
    "cexkit.analytics.basis.constant_maturity": ("constant_maturity_basis",),
    "cexkit.analytics.beta": ("beta", "correlation"),
    "cexkit.analytics.catalog": ("metrics",),
    "cexkit.analytics.cross_venue": ("dominance", "herfindahl", "price_divergence_bps", "volume_share"),
    "cexkit.analytics.funding.cashflows": ("funding_pnl", "funding_spend_usd"),
    "cexkit.analytics.funding.rates": ("cumulative_funding", "funding_apr", "funding_apy", "funding_interval"),
    "cexkit.analytics.funding.spread": ("funding_spread",),
    "cexkit.analytics.funding.statistics": ("funding_pct_rank", "funding_regime", "funding_zscore"),
    "cexkit.analytics.funding.weighted": ("weighted_funding",),
    "cexkit.analytics.liquidations.cascades": ("liquidation_cascades",),
    "cexkit.analytics.liquidations.heatmap": ("liquidation_heatmap",),
    "cexkit.analytics.liquidations.intensity": ("liquidation_intensity_bps",),
    "cexkit.analytics.liquidations.summary": ("liquidation_summary",),
    "cexkit.analytics.liquidity": ("amihud", "corwin_schultz"),
    "cexkit.analytics.open_interest": ("oi_change", "oi_quadrant", "oi_to_market_cap", "oi_to_volume"),
    "cexkit.analytics.order_flow": ("cvd", "taker_imbalance"),
    "cexkit.analytics.prices": ("drawdown", "log_returns", "returns"),
    "cexkit.analytics.resample": ("resample", "vwap"),
    "cexkit.analytics.volatility": ("realized_volatility",),
    "cexkit.client.market": ("connect",),
    "cexkit.client.token": ("Token",),
    "cexkit.client.tokens": ("Tokens",),
    "cexkit.exchanges.fetch": ("fetch",),
    "cexkit.warehouse.collect.collector": ("collect",),
    "cexkit.warehouse.ingest.pull": ("pull",),
    "cexkit.warehouse.publish": ("publish",),
}
#: Public name → its module and, unless it is the module itself, its name there. No import sets these names by accident,
#: because no module of this package has one of them.
_LAZY = {name: (module, name) for module, names in _DEFINED_IN.items() for name in names} | {
    "errors": ("cexkit.errors", None),
    "plotting": ("cexkit.analytics.plotting", None),
    "schema": ("cexkit.schema", None),
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _LAZY[name]
    loaded = import_module(module)
    globals()[name] = value = getattr(loaded, attribute) if attribute else loaded
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


register_accessor()
