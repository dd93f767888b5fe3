"""Pictures of metrics: each function takes a frame and returns matplotlib Axes.

No formula is here: every number comes from :mod:`cexkit.analytics`. With ``ax=None`` a figure is made
through pyplot, so that a notebook shows it; nothing else of matplotlib's global state is touched.
"""

from cexkit.plotting.lines import cumulative_funding, drawdown, funding_apr

__all__ = ["cumulative_funding", "drawdown", "funding_apr"]
