"""Questions across instruments: what :class:`~cexkit.client.Market` can be asked beside its tables."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    pass


class Questions:
    """Mixed into :class:`~cexkit.client.Market`, whose tables and window rules it builds on."""

    @property
    def listed(self) -> pl.DataFrame:
        """Table ``instruments`` as a polars frame, read once for each update of the dataset."""
        kept: tuple[datetime, pl.DataFrame] | None = self.__dict__.get("_listing")
        if kept is None or kept[0] != self.updated:
            kept = self.updated, self.table("instruments").to_polars()
            self.__dict__["_listing"] = kept
        return kept[1]
