"""Every metric: the registry once all definitions are in it, and its list."""

from __future__ import annotations

import polars as pl

# Each definition registers itself when its module is imported.
from cexkit.analytics import (  # noqa: F401
    beta,
    cross_venue,
    liquidity,
    open_interest,
    order_flow,
    prices,
    resample,
    volatility,
)
from cexkit.analytics._core.registry import METRICS
from cexkit.analytics.basis import basis, carry, constant_maturity  # noqa: F401
from cexkit.analytics.funding import cashflows, rates, spread, statistics, weighted  # noqa: F401
from cexkit.analytics.liquidations import cascades, heatmap, intensity, summary  # noqa: F401

__all__ = ["METRICS", "metrics"]


def metrics() -> pl.DataFrame:
    """Return all metrics with name, kind, inputs, outputs, window, and meaning, one row per metric.

    Returns
    -------
    polars.DataFrame
        ``inputs`` are the columns that a frame must have in addition to ``timestamp`` and the instrument keys;
        ``window`` is the default number of rows of rolling metrics that have one.

    Examples
    --------
    >>> import cexkit
    >>> cexkit.metrics().filter(name="basis_bps").select("kind", "inputs", "outputs").rows()
    [('row', ['price', 'reference'], ['basis_bps'])]
    """
    text = pl.List(pl.String)
    schema = {"name": pl.String, "kind": pl.String, "inputs": text, "outputs": text, "window": pl.Int64}
    rows = [
        (m.name, m.kind, list(m.inputs), list(m.outputs), m.window, list(m.engines), m.meaning)
        for m in METRICS.values()
    ]
    return pl.DataFrame(rows, schema=schema | {"engines": text, "meaning": pl.String}, orient="row").sort("name")
