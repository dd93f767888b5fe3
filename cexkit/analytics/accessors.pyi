# Generated from the metric registry by `python -m cexkit.analytics`; do not edit.
import collections.abc
import datetime
from typing import Generic, Literal, TypeVar, overload

import ibis
import pandas as pd
import polars as pl
import pyarrow as pa

from cexkit.analytics.plotting import Plots

FrameT = TypeVar("FrameT")
ColumnT = TypeVar("ColumnT")

class Crypto(Generic[FrameT, ColumnT]):
    def __init__(self, frame: FrameT) -> None: ...
    @property
    def plot(self) -> Plots: ...
    def amihud(
        self,
        *,
        window: int = 30,
        interval: str | None = None,
        min_samples: int | None = None,
        price: str = "close",
    ) -> ColumnT: ...
    def annualized_basis(
        self,
        *,
        method: Literal["simple", "continuous", "compound"] = "simple",
        min_days: float = 3.0,
        price: str = "price",
        reference: str = "reference",
        expiry: str = "expiry",
    ) -> ColumnT: ...
    def basis(
        self,
        *,
        price: str = "price",
        reference: str = "reference",
    ) -> ColumnT: ...
    def basis_bps(
        self,
        *,
        price: str = "price",
        reference: str = "reference",
    ) -> ColumnT: ...
    def beta(
        self,
        *,
        benchmark: str | None = None,
        window: int = 30,
        min_samples: int | None = None,
        price: str = "close",
        benchmark_price: str = "benchmark",
    ) -> ColumnT: ...
    def carry_return(
        self,
        *,
        fees: float = 0.0,
        price: str = "price",
        reference: str = "reference",
    ) -> FrameT: ...
    def constant_maturity_basis(
        self,
        *,
        days: float = 30.0,
        method: Literal["simple", "continuous", "compound"] = "simple",
        min_days: float = 3.0,
        price: str = "price",
        reference: str = "reference",
        expiry: str = "expiry",
        asset_class: str | None = "crypto",
    ) -> FrameT: ...
    def correlation(
        self,
        *,
        benchmark: str | None = None,
        window: int = 30,
        min_samples: int | None = None,
        price: str = "close",
        benchmark_price: str = "benchmark",
    ) -> ColumnT: ...
    def corwin_schultz(
        self,
        *,
        window: int = 30,
        interval: str | None = None,
        min_samples: int | None = None,
        high: str = "high",
        low: str = "low",
    ) -> ColumnT: ...
    def cumulative_funding(
        self,
        *,
        rate: str = "funding_rate",
        compound: bool = False,
        gaps: Literal["null", "skip"] = "null",
    ) -> ColumnT: ...
    def cvd(
        self,
        *,
        taker_buy: str = "taker_buy_volume_base",
        volume: str = "volume_base",
    ) -> ColumnT: ...
    def dominance(
        self,
        *,
        market_cap: str = "market_cap_usd",
        asset_class: str | None = "crypto",
    ) -> FrameT: ...
    def drawdown(
        self,
        *,
        price: str = "close",
    ) -> ColumnT: ...
    def funding_apr(
        self,
        *,
        rate: str = "funding_rate",
        interval_hours: float | str | datetime.timedelta | None = None,
    ) -> ColumnT: ...
    def funding_apy(
        self,
        *,
        rate: str = "funding_rate",
        interval_hours: float | str | datetime.timedelta | None = None,
    ) -> ColumnT: ...
    def funding_interval(
        self,
    ) -> FrameT: ...
    def funding_pct_rank(
        self,
        *,
        window: int = 90,
        min_samples: int | None = None,
        rate: str = "funding_rate",
        interval_hours: float | str | datetime.timedelta | None = None,
    ) -> ColumnT: ...
    def funding_pnl(
        self,
        *,
        rate: str = "funding_rate",
        mark_price: str = "mark_price",
        quantity: str = "quantity",
        side: str = "side",
        inverse: bool | None = None,
        contract_size: float | None = None,
    ) -> ColumnT: ...
    def funding_regime(
        self,
        *,
        window: int = 90,
        min_samples: int | None = None,
        baseline: float = 0.12,
        extreme: float = 0.95,
        rate: str = "funding_rate",
        interval_hours: float | str | datetime.timedelta | None = None,
    ) -> ColumnT: ...
    def funding_spend_usd(
        self,
        *,
        rate: str = "funding_rate",
    ) -> ColumnT: ...
    def funding_spread(
        self,
        *,
        days: float = 30.0,
        fees: float | collections.abc.Mapping[str, float] = 0.0,
        slippage: float = 0.0,
        rate: str = "funding_rate",
        interval_hours: float | str | datetime.timedelta | None = None,
        asset_class: str | None = "crypto",
    ) -> FrameT: ...
    def funding_zscore(
        self,
        *,
        window: int = 90,
        min_samples: int | None = None,
        rate: str = "funding_rate",
        interval_hours: float | str | datetime.timedelta | None = None,
    ) -> ColumnT: ...
    def herfindahl(
        self,
        *,
        asset_class: str | None = "crypto",
    ) -> FrameT: ...
    def liquidation_cascades(
        self,
        *,
        gap: str = "60s",
        min_events: int = 2,
        min_value_usd: float = 0.0,
        tolerance: str = "2h",
        asset_class: str | None = "crypto",
    ) -> FrameT: ...
    def liquidation_heatmap(
        self,
        *,
        every: str = "1h",
        bin_bps: float = 100.0,
        bin_width: float | None = None,
        by: str | collections.abc.Sequence[str] | None = ...,
    ) -> FrameT: ...
    def liquidation_intensity_bps(
        self,
        *,
        every: str = "1d",
        tolerance: str = "1d",
        by: str | collections.abc.Sequence[str] | None = ...,
    ) -> FrameT: ...
    def liquidation_summary(
        self,
        *,
        every: str = "1d",
        by: str | collections.abc.Sequence[str] | None = ...,
    ) -> FrameT: ...
    def log_returns(
        self,
        *,
        price: str = "close",
    ) -> ColumnT: ...
    def oi_change(
        self,
        *,
        open_interest: str = "open_interest_base",
        relative: bool = False,
    ) -> ColumnT: ...
    def oi_quadrant(
        self,
        *,
        open_interest: str = "open_interest_base",
        price: str = "close",
    ) -> ColumnT: ...
    def oi_to_market_cap(
        self,
        *,
        market_cap: str = "market_cap_usd",
    ) -> ColumnT: ...
    def oi_to_volume(
        self,
    ) -> ColumnT: ...
    def price_divergence_bps(
        self,
        *,
        price: str = "close",
        asset_class: str | None = "crypto",
    ) -> FrameT: ...
    def realized_volatility(
        self,
        *,
        window: int = 30,
        estimator: Literal["close", "parkinson", "garman_klass", "rogers_satchell", "yang_zhang"] = "close",
        interval: str | None = None,
        min_samples: int | None = None,
        open: str = "open",
        high: str = "high",
        low: str = "low",
        price: str = "close",
    ) -> ColumnT: ...
    def resample(
        self,
        *,
        every: str = "1d",
        aggregates: collections.abc.Mapping[str, str] | None = None,
    ) -> FrameT: ...
    def returns(
        self,
        *,
        price: str = "close",
    ) -> ColumnT: ...
    def taker_imbalance(
        self,
        *,
        taker_buy: str = "taker_buy_volume_base",
        volume: str = "volume_base",
    ) -> ColumnT: ...
    def volume_share(
        self,
        *,
        asset_class: str | None = "crypto",
    ) -> FrameT: ...
    def vwap(
        self,
        *,
        every: str = "1d",
        price: str = "close",
        volume: str = "volume_base",
    ) -> FrameT: ...
    def weighted_funding(
        self,
        *,
        horizon: str = "8h",
        tolerance: str = "1h",
        weight: str | None = None,
        rate: str = "funding_rate",
        interval_hours: float | str | datetime.timedelta | None = None,
        asset_class: str | None = "crypto",
    ) -> FrameT: ...

@overload
def crypto(frame: pl.DataFrame) -> Crypto[pl.DataFrame, pl.Series]: ...
@overload
def crypto(frame: pl.LazyFrame) -> Crypto[pl.LazyFrame, pl.LazyFrame]: ...
@overload
def crypto(frame: ibis.Table) -> Crypto[ibis.Table, ibis.Table]: ...
@overload
def crypto(frame: pd.DataFrame) -> Crypto[pd.DataFrame, pd.Series]: ...
@overload
def crypto(frame: pa.Table) -> Crypto[pa.Table, pa.ChunkedArray]: ...
