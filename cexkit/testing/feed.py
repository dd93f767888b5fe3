"""The truth behind a loopback venue: canonical frames by table name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import polars as pl

from cexkit.errors import SchemaError
from cexkit.schema import TABLES, table
from cexkit.schema.render import to_polars


class Feed:
    """Canonical frames that a loopback venue answers from.

    Parameters
    ----------
    frames : mapping of table name to polars.DataFrame
        In the tables' declared schemas; ``instruments`` must be among them. Bars and settlements
        may reach beyond the venue's clock: it shows what is over by then.

    Raises
    ------
    UnknownTableError, SchemaError
        If a table is not declared, or a frame is not as declared.

    Examples
    --------
    >>> from cexkit.schema.render import to_polars
    >>> Feed({"instruments": to_polars(TABLES["instruments"]).to_frame()}).holds("ohlcv_1h")
    False
    """

    def __init__(self, frames: Mapping[str, pl.DataFrame]):
        for name, frame in frames.items():
            declared = to_polars(table(name))
            if frame.schema != declared:
                odd = sorted(set(declared.items()) ^ set(frame.schema.items()), key=str)
                raise SchemaError(f"{name}: the frame is not as declared; apart are {odd or 'the order of columns'}")
        if "instruments" not in frames:
            raise SchemaError("a feed needs the table 'instruments'")
        self._frames = dict(frames)

    def holds(self, name: str) -> bool:
        """Whether the feed has this table."""
        return name in self._frames

    def instruments(self, exchange: str) -> pl.DataFrame:
        """What is listed at a venue."""
        return self._frames["instruments"].filter(exchange=exchange)

    def rows(self, name: str, exchange: str, instrument_type: str, symbol: str) -> pl.DataFrame:
        """Rows of one instrument, by time."""
        found = self._parts.get((name, exchange, instrument_type, symbol))
        return to_polars(TABLES[name]).to_frame() if found is None else found

    @cached_property
    def _parts(self) -> dict[tuple[str, str, str, str], pl.DataFrame]:
        keys = ["exchange", "instrument_type", "symbol"]
        return {
            (name, *key): part
            for name, frame in self._frames.items()
            if "timestamp" in frame.columns
            for key, part in frame.sort("timestamp").partition_by(keys, as_dict=True).items()
        }
