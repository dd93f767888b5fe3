"""Base of the method classes that make up :class:`~cexkit.client.token.Token`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cexkit.client.return_types import ReturnType
from cexkit.client.selection import RowPlan, Selection

if TYPE_CHECKING:
    import polars as pl

PlanBuilder = Callable[[Selection], RowPlan]


class TokenBase:
    """Members that every group of methods uses; :class:`~cexkit.client.token.Token` implements them."""

    return_type: ReturnType

    @property
    def instruments(self) -> pl.DataFrame:
        """The instruments that are asked about, as table ``instruments`` has them."""
        raise NotImplementedError

    def _ask(self, build_plan: PlanBuilder, return_type: ReturnType | None) -> Any:
        """Build a plan for the selected instruments, and return its rows as the kind of frame requested."""
        raise NotImplementedError
