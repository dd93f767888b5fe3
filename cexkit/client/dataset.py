"""Interface of an open dataset, for modules below :mod:`cexkit.client.market`.

Bars and queries need the tables of a dataset, not all of ``Market``. With this protocol they name what they need, and
``market`` imports them without a cycle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cexkit.client.table_list import TableList
    from cexkit.schema.intervals import TimeLike
    from cexkit.schema.names import OneOrMany
    from cexkit.warehouse.store.engine import Engine


class Dataset(Protocol):
    """Tables of an open dataset, as :class:`~cexkit.client.market.Market` provides them."""

    @property
    def tables(self) -> TableList:
        """Summaries of the tables by name."""

    @property
    def instrument_frame(self) -> pl.DataFrame:
        """Table ``instruments`` as a Polars frame."""

    @property
    def period_frame(self) -> pl.DataFrame:
        """Table ``instrument_periods`` as a Polars frame; empty if the dataset lacks it."""

    @property
    def _backend(self) -> Engine:
        """Ibis backend that evaluates the tables."""

    def table(
        self,
        name: str,
        *,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        exchange: OneOrMany = None,
        symbol: OneOrMany = None,
        instrument_type: OneOrMany = None,
    ) -> ir.Table:
        """Return the rows of a table in a window and of these venues, symbols, and types."""

    def open_interest_usd(self, **filters: Any) -> ir.Table:
        """Return open interest with its value in US dollars."""

    def basis(self, **filters: Any) -> ir.Table:
        """Return the basis of derivatives over a reference price."""
