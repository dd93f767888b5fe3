"""Asset classes in frames: metrics across instruments leave out rows known not to be of the requested class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from cexkit.analytics._core.compat import Frame, names, text
from cexkit.schema.asset_class import ASSET_CLASS, check_asset_class, is_included, warn_of_excluded
from cexkit.schema.fields import INSTRUMENT_KEYS


def of_class(frame: Frame, asset_class: str | None) -> Frame:
    """Return the rows that a view of an asset class includes; all of them if the frame does not state classes."""
    if check_asset_class(asset_class) is None or ASSET_CLASS not in names(frame):
        return frame
    return frame.filter(is_included(text(ASSET_CLASS), asset_class))


def select_class(metric: str, work: pl.DataFrame, arguments: Mapping[str, Any]) -> pl.DataFrame:
    """Return an eager frame's included rows without the column of classes, and warn of the instruments left out.

    A metric without the argument ``asset_class`` gets its frame unchanged.
    """
    asset_class = check_asset_class(arguments.get(ASSET_CLASS))
    if ASSET_CLASS not in arguments or ASSET_CLASS not in work.columns:
        return work
    classes = work[ASSET_CLASS]
    if classes.dtype.is_numeric() and classes.fill_nan(None).null_count() < len(classes):
        return work  # the check of types reports it
    rest, classes = work.drop(ASSET_CLASS), classes.cast(pl.String)
    if asset_class is None:
        return rest
    included = is_included(classes, asset_class)
    keys = [name for name in (*INSTRUMENT_KEYS, "base") if name in rest.columns]
    excluded = rest.select(keys).with_columns(classes).filter(~included).unique()
    warn_of_excluded(metric, excluded[ASSET_CLASS], asset_class)
    return rest.filter(included)
