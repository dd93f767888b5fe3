"""``frame.crypto.plot``: every plot as a method of a frame."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec

from cexkit.analytics.plotting import _liquidations, _open_interest, bands, lines, term, venues

if TYPE_CHECKING:
    from matplotlib.axes import Axes

P = ParamSpec("P")


class _Plot(Generic[P]):
    """A function of a frame as a method of what holds the frame."""

    def __init__(self, function: Callable[Concatenate[Any, P], Axes]) -> None:
        self._function = function

    def __get__(self, plots: Plots | None, _: type) -> Callable[P, Axes]:
        return self._function if plots is None else MethodType(self._function, plots._frame)  # type: ignore[return-value]


class Plots:
    """Plots of a frame; each method is the function of the same name in :mod:`cexkit.analytics.plotting`.

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import datetime
    >>> from matplotlib.figure import Figure
    >>> frame = pl.DataFrame({"timestamp": [datetime(2024, 1, 1), datetime(2024, 1, 2)], "close": [100.0, 75.0]})
    >>> [float(y) for y in frame.crypto.plot.drawdown(ax=Figure().subplots()).lines[0].get_ydata()]
    [0.0, -25.0]
    """

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    basis = _Plot(lines.basis)
    basis_term_structure = _Plot(term.basis_term_structure)
    cumulative_funding = _Plot(lines.cumulative_funding)
    drawdown = _Plot(lines.drawdown)
    funding_apr = _Plot(lines.funding_apr)
    funding_band = _Plot(bands.funding_band)
    liquidation_heatmap = _Plot(_liquidations.liquidation_heatmap)
    liquidations = _Plot(_liquidations.liquidations)
    oi_quadrants = _Plot(_open_interest.oi_quadrants)
    oi_timeline = _Plot(_open_interest.oi_timeline)
    open_interest = _Plot(_open_interest.open_interest)
    venue_share = _Plot(venues.venue_share)
    volatility_cone = _Plot(bands.volatility_cone)
