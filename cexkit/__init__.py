"""Crypto derivatives data for research.

Importing it registers ``.crypto`` on pandas and polars frames. There is no network, no printing and
nothing heavier than pandas, polars and narwhals; the rest is imported where it is used.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cexkit.accessors import crypto
from cexkit.analytics._registry import metrics
from cexkit.analytics.basis import basis, basis_bps
from cexkit.analytics.funding import cumulative_funding, funding_apr, funding_apy, funding_interval
from cexkit.analytics.liquidations import liquidation_summary
from cexkit.analytics.prices import log_returns, returns
from cexkit.analytics.volatility import realized_volatility

if TYPE_CHECKING:
    from cexkit.client import connect
    from cexkit.fetch import fetch

__version__ = "0.1.0"

__all__ = [
    "basis",
    "basis_bps",
    "connect",
    "crypto",
    "cumulative_funding",
    "fetch",
    "funding_apr",
    "funding_apy",
    "funding_interval",
    "liquidation_summary",
    "log_returns",
    "metrics",
    "realized_volatility",
    "returns",
]

#: Attributes whose modules are imported on first use: attribute → module that defines it.
_LAZY = {"connect": "cexkit.client", "fetch": "cexkit.fetch"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """This package, in which a lazy function wins over the module of the same name.

    Importing ``cexkit.fetch`` makes Python set the attribute ``fetch`` of the package to the module;
    ``cexkit.fetch(...)`` must go on being the function.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and _LAZY.get(name) == value.__name__:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
