"""The check across venues: closes that differ from the median of all venues.

Instruments are compared within their class, because a base can be a coin on one venue and a company on another. An
instrument of unknown class is compared with coins.

Files of all venues that have rows in the same time are one unit. Its result depends only on these files and on the
multipliers of their instruments, so the unit of a closed period is never read again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl

from cexkit.errors import DatasetError
from cexkit.schema import INSTRUMENT_KEYS, SCHEMA_VERSION, USD_LIKE, Table
from cexkit.schema.asset_class import ASSET_CLASS, CRYPTO, is_included
from cexkit.warehouse.quality.cache import ResultCache, digest, frame_digest
from cexkit.warehouse.quality.catalog import named
from cexkit.warehouse.quality.files import InspectedFile
from cexkit.warehouse.quality.overlaps import overlapping
from cexkit.warehouse.store.parquet import scan_table
from cexkit.warehouse.units import with_multiplier

#: How far a close may be from the median of all venues.
OUTLIER = 0.05
#: Minimum number of venues for a median.
MIN_VENUES = 3
#: Raised when the outliers of the same rows would be others.
OUTLIER_VERSION = 3

_COUNTS = {
    "exchange": pl.String,
    "timestamp": pl.Datetime("us", "UTC"),
    "rows_checked": pl.Int64,
    "rows_failed": pl.Int64,
}
_NEVER = datetime.min.replace(tzinfo=UTC)


def outliers(table: Table, files: Sequence[InspectedFile], listed: pl.DataFrame, cache: ResultCache) -> pl.DataFrame:
    """Return the check ``outlier`` of a table of bars."""
    readable = [each for each in files if each.facts is not None and each.facts.rows]
    units = overlapping([{"": each.facts.extent} for each in readable])
    parts = [_count_unit(table, [readable[number] for number in unit], listed, cache) for unit in units]
    counted = pl.concat([pl.DataFrame(schema=_COUNTS), *parts])
    return named(counted.group_by("exchange", "timestamp").agg(pl.sum("rows_checked", "rows_failed")), table, "outlier")


def _count_unit(table: Table, unit: Sequence[InspectedFile], listed: pl.DataFrame, cache: ResultCache) -> pl.DataFrame:
    instruments = pl.concat([each.facts.instruments.select(INSTRUMENT_KEYS) for each in unit]).unique()
    if instruments["exchange"].n_unique() < MIN_VENUES:
        return pl.DataFrame(schema=_COUNTS)
    units = listed.select(*INSTRUMENT_KEYS, "multiplier", ASSET_CLASS).join(instruments, on=INSTRUMENT_KEYS, how="semi")
    key = _key(table, unit, units.sort(units.columns))
    cacheable = all(each.intact for each in unit)
    if cacheable and (stored := cache.load(table, key)):
        return stored[0]
    try:
        counted = _count_outliers(scan_table([each.path for each in unit], table), units)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DatasetError(f"cannot read {table.name} in {unit[0].path.parent}: {error}; run it again") from error
    if cacheable:
        cache.store(table, key, [counted])
    return counted


def _count_outliers(rows: pl.LazyFrame, units: pl.DataFrame) -> pl.DataFrame:
    """Count the bars whose close per coin is far from the median of all venues at that time."""
    near = with_multiplier(rows.filter(pl.col("quote").is_in(USD_LIKE)), units.lazy())
    keys = list(INSTRUMENT_KEYS)
    classes = units.lazy().select(*keys, kind=_class_compared()).unique(keys, keep="last", maintain_order=True)
    near = near.join(classes, on=keys, how="left", maintain_order="left")
    close = pl.col("close") / pl.col("multiplier")
    near = near.select("exchange", "base", "timestamp", pl.col("kind").fill_null(CRYPTO), close=close).drop_nulls()
    same = ["base", "kind", "timestamp"]
    medians = near.group_by(same).agg(median=pl.median("close"), venues=pl.n_unique("exchange"))
    joined = near.join(medians.filter(pl.col("venues") >= MIN_VENUES), on=same)
    far = (pl.col("close") / pl.col("median") - 1).abs() > OUTLIER
    day = pl.col("timestamp").dt.truncate("1d")
    counted = joined.group_by("exchange", timestamp=day).agg(rows_checked=pl.len(), rows_failed=far.sum())
    return counted.select(*_COUNTS).cast(_COUNTS).sort("exchange", "timestamp").collect()


def _class_compared() -> pl.Expr:
    """Return the class within which an instrument is compared."""
    return pl.when(is_included(pl.col(ASSET_CLASS), CRYPTO)).then(pl.lit(CRYPTO)).otherwise(ASSET_CLASS)


def _key(table: Table, unit: Sequence[InspectedFile], units: pl.DataFrame) -> str:
    """Return the key of a unit's result: files, multipliers, classes, version of the code, and declaration."""
    hashes = sorted(each.file.sha256 for each in unit)
    rule = (OUTLIER_VERSION, OUTLIER, MIN_VENUES, sorted(USD_LIKE))
    return digest("outlier", rule, SCHEMA_VERSION, table, table.fields, hashes, frame_digest(units))
