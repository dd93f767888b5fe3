"""Open interest as of a moment, for metrics whose frames hold events and snapshots."""

from __future__ import annotations

from collections.abc import Sequence

import narwhals.stable.v2 as nw

from cexkit.analytics._core.compat import Frame

# further from any time than times are from each other
_FAR = 2**61


def snapshots(frame: Frame, keys: Sequence[str], interest: nw.Expr) -> Frame:
    """One row per instrument and time (``_us``) with known open interest (``_interest``).

    Snapshots of one time that differ contradict each other: theirs is null.
    """
    frame = frame.with_columns(interest.alias("_interest"))
    frame = frame.filter(~nw.col("_interest").is_null(), ~nw.col("_us").is_null())
    least, most = nw.col("_interest").min().alias("_least"), nw.col("_interest").max().alias("_most")
    known = frame.group_by(*keys, "_us").agg(least, most)
    agreed = nw.when(nw.col("_least") == nw.col("_most")).then(nw.col("_least"))
    return known.select(*keys, "_us", agreed.alias("_interest"))


def as_of(points: Frame, known: Frame, keys: Sequence[str], *, within: int, after: bool = False) -> Frame:
    """Open interest at each point: ``keys``, ``_us`` and ``_interest``, null where none is near enough.

    The last snapshot strictly before the point, or with ``after`` the first one at or after it; at most
    ``within`` microseconds away. No engine's own as-of join: Spark has none.
    """
    far = _FAR if after else -_FAR
    whole = nw.Int64
    queried = points.select(*keys, "_us", nw.lit(0, whole).alias("_kind"), nw.lit(far, whole).alias("_at"))
    seen = known.select(*keys, "_us", nw.lit(1, whole).alias("_kind"), nw.col("_us").alias("_at"))
    rows = nw.concat([queried, seen])
    # of one time, the point stands before the snapshot: it is not among the earlier ones, but among the later
    nearest = nw.col("_at").cum_min(reverse=True) if after else nw.col("_at").cum_max()
    rows = rows.with_columns(nearest.over(*keys, order_by=["_us", "_kind"]).alias("_at"))
    rows = rows.filter(nw.col("_kind") == 0)
    near = (nw.col("_us") - nw.col("_at")).abs() <= within
    rows = rows.with_columns(nw.when(near).then(nw.col("_at")).alias("_at"))
    values = known.rename({"_us": "_at"})
    return rows.join(values, on=[*keys, "_at"], how="left").select(*keys, "_us", "_interest")
