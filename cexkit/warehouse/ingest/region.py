"""Region: the instruments and times whose rows a build makes again; all other rows of Silver stay."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from cexkit.schema.intervals import Window, merged
from cexkit.warehouse.ingest.replay import Identity
from cexkit.warehouse.store.instrument_range import InstrumentRange

if TYPE_CHECKING:
    import polars as pl

_KEYS = ("instrument_type", "symbol")


class Region:
    """Windows by instrument; those of ``None`` apply to all instruments.

    Examples
    --------
    >>> region = Region([(("perp", "BTCUSDT"), Window.of("2024-01-02", "2024-01-03"))])
    >>> region.touches(("perp", "BTCUSDT"), Window.of("2024-01-01", "2024-01-02"))
    False
    >>> region.padded(timedelta(days=1)).touches(("perp", "BTCUSDT"), Window.of("2024-01-01", "2024-01-02"))
    True
    >>> region.touches(None, Window.of("2024-01-01", "2024-01-05"))
    True
    """

    def __init__(self, parts: Iterable[tuple[Identity, Window]] = ()):
        windows: dict[Identity, list[Window]] = defaultdict(list)
        for identity, window in parts:
            if not window.empty:
                windows[identity].append(window)
        self._windows = {identity: merged(found) for identity, found in windows.items()}

    def __bool__(self) -> bool:
        return bool(self._windows)

    def __iter__(self) -> Iterator[tuple[Identity, Window]]:
        return ((identity, window) for identity, windows in self._windows.items() for window in windows)

    @property
    def bounds(self) -> Window:
        """The span from its first time to its last."""
        windows = [window for _, window in self]
        return Window(min(w.start for w in windows), max(w.end for w in windows))

    def padded(self, by: timedelta) -> Region:
        """Return the region with each window longer at both ends."""
        return Region((identity, Window(window.start - by, window.end + by)) for identity, window in self)

    def within(self, span: Window) -> Region:
        """Return the part of the region in a span."""
        return Region(
            (identity, Window(max(window.start, span.start), min(window.end, span.end)))
            for identity, window in self
            if window.start < span.end and span.start < window.end
        )

    def among(self, instruments: InstrumentRange) -> Region:
        """Return the part of the region about some instruments."""
        return Region((identity, window) for identity, window in self if instruments.contains(identity))

    def touches(self, identity: Identity, span: Window) -> bool:
        """Return whether it has a time of a span, of an instrument or, if it is None, of any."""
        found = self if identity is None else ((i, w) for i in (identity, None) for w in self._windows.get(i, ()))
        return any(window.start < span.end and span.start < window.end for _, window in found)

    def contains(self, rows: pl.DataFrame) -> pl.Series:
        """Return whether each row is in the region."""
        import numpy as np
        import polars as pl

        time = pl.Datetime("us", "UTC")
        frame = pl.DataFrame(
            [(*identity, window.start, window.end) for identity, window in self if identity is not None],
            schema={"instrument_type": pl.String, "symbol": pl.String, "_start": time, "_end": time},
            orient="row",
        )
        inside = (pl.col("timestamp") >= pl.col("_start")) & (pl.col("timestamp") < pl.col("_end"))
        numbered = rows.select(*_KEYS, "timestamp").with_row_index("_row")
        found = np.zeros(rows.height, dtype=bool)
        found[numbered.join(frame, on=_KEYS).filter(inside)["_row"].to_numpy()] = True
        all_names = [
            pl.col("timestamp").is_between(window.start, window.end, closed="left")
            for window in self._windows.get(None, ())
        ]
        return rows.select(pl.any_horizontal(pl.Series(found), *all_names)).to_series()
