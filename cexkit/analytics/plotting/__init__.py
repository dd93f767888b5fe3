"""Pictures of metrics: each function takes a frame and returns matplotlib Axes.

No formula is here: every number comes from :mod:`cexkit.analytics`; bands are quantiles of a metric. With ``ax=None``
a figure is made through pyplot, so that a notebook shows it; nothing else of matplotlib's global state is touched.
``frame.crypto.plot.funding_apr()`` is ``funding_apr(frame)``.
"""

from cexkit.analytics.plotting._liquidations import liquidation_heatmap, liquidations
from cexkit.analytics.plotting._open_interest import oi_quadrants, oi_timeline, open_interest
from cexkit.analytics.plotting.accessor import Plots
from cexkit.analytics.plotting.bands import funding_band, volatility_cone
from cexkit.analytics.plotting.lines import basis, cumulative_funding, drawdown, funding_apr
from cexkit.analytics.plotting.term import basis_term_structure
from cexkit.analytics.plotting.venues import venue_share

__all__ = [
    "Plots",
    "basis",
    "basis_term_structure",
    "cumulative_funding",
    "drawdown",
    "funding_apr",
    "funding_band",
    "liquidation_heatmap",
    "liquidations",
    "oi_quadrants",
    "oi_timeline",
    "open_interest",
    "venue_share",
    "volatility_cone",
]
