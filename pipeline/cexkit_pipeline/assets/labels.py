"""What an asset is called and where the graph shows it: one group a layer and venue, from listings to Gold."""

from __future__ import annotations

from typing import Any

_KINDS = {"bronze": {"python", "parquet"}, "silver": {"polars", "parquet"}, "gold": {"polars", "parquet"}}


def labels(layer: str, table: str, exchange: str | None = None) -> dict[str, Any]:
    """Key, group, tags and kinds of the asset of a table.

    Listings are a group of their own, for they come before Bronze and are read by all that follows.

    Examples
    --------
    >>> labels("bronze", "funding_rates", "okx")["group_name"], labels("silver", "instruments", "okx")["group_name"]
    ('bronze_okx', 'listings')
    """
    parts = [layer, table] if exchange is None else [layer, exchange, table]
    tags = {"layer": layer, "table": table} | ({} if exchange is None else {"exchange": exchange})
    return {
        "key": parts,
        "group_name": "listings" if table in ("instruments", "instrument_periods") else "_".join(parts[:-1]),
        "tags": tags,
        "kinds": _KINDS[layer],
    }
