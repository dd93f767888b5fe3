"""What assets need from outside: the warehouse, and how to read venues."""

import dagster as dg
from pydantic import Field

from cexkit.config import settings
from cexkit.exchanges.fetcher import Fetcher
from cexkit.warehouse.store.warehouse import Warehouse


class Store(dg.ConfigurableResource):
    """The warehouse that assets write.

    ``symbols`` limits Bronze to these canonical symbols; none means all that are listed.
    """

    warehouse: str
    symbols: list[str] = Field(default_factory=list)

    def open(self) -> Warehouse:
        """The warehouse."""
        return Warehouse(self.warehouse)


class Venues(dg.ConfigurableResource):
    """How venues are read.

    ``max_clock_skew_seconds`` is None for venues whose clock is simulated.
    """

    base_urls: dict[str, str] = Field(default_factory=dict)
    max_clock_skew_seconds: float | None = Field(default_factory=lambda: settings().max_clock_skew_seconds)

    def fetcher(self) -> Fetcher:
        """Return a fetcher with these settings and the other ones of the environment."""
        own = {"base_urls": self.base_urls, "max_clock_skew_seconds": self.max_clock_skew_seconds}
        return Fetcher(settings().model_copy(update=own))


def from_settings() -> dict[str, dg.ConfigurableResource]:
    """Resources as the ``CEXKIT_…`` variables say."""
    found = settings()
    return {
        "store": Store(warehouse=str(found.warehouse), symbols=list(found.pipeline_symbols)),
        "venues": Venues(base_urls=dict(found.base_urls), max_clock_skew_seconds=found.max_clock_skew_seconds),
    }
