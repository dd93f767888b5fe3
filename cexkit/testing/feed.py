"""The truth behind a loopback venue: canonical frames by table name."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from cexkit.errors import SchemaError
from cexkit.schema import table
from cexkit.schema.render import to_polars


class Feed:
    """Canonical frames that a loopback venue answers from.

    Parameters
    ----------
    frames : mapping of table name to polars.DataFrame
        In the tables' declared schemas, ``instruments`` among them; the simulated market's ``tables`` are such a
        mapping. A table is looked up when it is first asked for. Bars and settlements may reach beyond the venue's
        clock: it shows what is over by then.

    Raises
    ------
    UnknownTableError, SchemaError
        If a table is not declared or ``instruments`` is missing; on first use, if a frame is not as declared.

    Examples
    --------
    >>> from cexkit.schema import TABLES
    >>> Feed({"instruments": to_polars(TABLES["instruments"]).to_frame()}).holds("ohlcv_1h")
    False
    """

    def __init__(self, frames: Mapping[str, pl.DataFrame]):
        self._frames = frames
        self._names = frozenset(table(name).name for name in frames)
        self._instruments: pl.DataFrame | None = None
        self._parts: dict[str, dict[tuple[str, ...], pl.DataFrame]] = {}
        if "instruments" not in self._names:
            raise SchemaError("a feed needs the table 'instruments'")

    def holds(self, name: str) -> bool:
        """Whether the feed has this table."""
        return name in self._names

    def instruments(self, exchange: str) -> pl.DataFrame:
        """What is listed at a venue."""
        if self._instruments is None:
            self._instruments = self._checked("instruments")
        return self._instruments.filter(exchange=exchange)

    def rows(self, name: str, exchange: str, instrument_type: str, symbol: str) -> pl.DataFrame:
        """Rows of one instrument, by time; none where the feed does not have them."""
        if name not in self._parts:
            by = ["exchange", "instrument_type", "symbol"]
            frame = self._checked(name) if self.holds(name) else to_polars(table(name)).to_frame()
            self._parts[name] = frame.sort("timestamp").partition_by(by, as_dict=True)
        found = self._parts[name].get((exchange, instrument_type, symbol))
        return to_polars(table(name)).to_frame() if found is None else found

    def _checked(self, name: str) -> pl.DataFrame:
        frame, declared = self._frames[name], to_polars(table(name))
        if frame.schema != declared:
            odd = sorted(set(declared.items()) ^ set(frame.schema.items()), key=str)
            raise SchemaError(f"{name}: the frame is not as declared; apart are {odd or 'the order of columns'}")
        return frame
