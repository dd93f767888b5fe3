# Generated from the metric registry by `python -m cexkit.analytics`; do not edit.
import collections.abc
from typing import Generic, Literal, TypeVar, overload

import ibis
import pandas as pd
import polars as pl
import pyarrow as pa

FrameT = TypeVar("FrameT")
ColumnT = TypeVar("ColumnT")

class Crypto(Generic[FrameT, ColumnT]):
    def __init__(self, frame: FrameT) -> None: ...
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
    def cumulative_funding(
        self,
        *,
        rate: str = "funding_rate",
        compound: bool = False,
    ) -> ColumnT: ...
    def funding_apr(
        self,
        *,
        rate: str = "funding_rate",
        interval_hours: float | None = None,
    ) -> ColumnT: ...
    def funding_apy(
        self,
        *,
        rate: str = "funding_rate",
        interval_hours: float | None = None,
    ) -> ColumnT: ...
    def funding_interval(
        self,
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
    def returns(
        self,
        *,
        price: str = "close",
    ) -> ColumnT: ...

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
