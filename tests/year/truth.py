"""What a warehouse must hold in the end, from the simulated frames and the events alone, and how it differs."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from cexkit.schema import TABLES
from cexkit.schema.render import to_polars

from .events import HOUR
from .world import FACTS, World

#: Length of the interval after which a row is final.
LENGTHS = {"ohlcv_1m": HOUR / 60, "ohlcv_1d": 24 * HOUR, "funding_rates": HOUR / 60, "liquidations": 0 * HOUR}
#: Rows that differ are shown up to this number.
SHOWN = 8


def expected(world: World, now: datetime) -> dict[str, pl.DataFrame]:
    """Return every table as a warehouse must hold it after the run of a night."""
    return {name: _known(world, name, now) for name in FACTS}


def _known(world: World, name: str, now: datetime) -> pl.DataFrame:
    rows = world.facts[name].filter(pl.col("timestamp") + LENGTHS.get(name, HOUR) <= now)
    return rows.sort(TABLES[name].key)


def difference(name: str, got: pl.DataFrame, want: pl.DataFrame) -> str:
    """Return how two frames of a table differ, key by key and value by value; empty if they do not.

    Numbers may differ by a rounding error, because some venues state amounts in contracts.
    """
    table = TABLES[name]
    keys = list(table.key)
    got, want = (frame.select(to_polars(table).names()).sort(keys) for frame in (got, want))
    lines = []
    for what, one, other in (("missing", want, got), ("unexpected", got, want)):
        rows = one.join(other, on=keys, how="anti", nulls_equal=True)
        if rows.height:
            lines.append(f"{name}: {rows.height:,} rows {what}, such as {_shown(rows.select(keys))}")
    both = got.join(want, on=keys, suffix="_true", nulls_equal=True)
    for column in (column for column in table.columns if column not in keys):
        seen, true = pl.col(column), pl.col(f"{column}_true")
        equal = seen.eq_missing(true)
        if got.schema[column].is_float():
            equal |= (seen - true).abs() <= 1e-9 * true.abs()
        rows = both.filter(~equal.fill_null(value=False)).select(*keys, column, f"{column}_true")
        if rows.height:
            lines.append(f"{name}.{column}: {rows.height:,} values differ, such as {_shown(rows)}")
    return "\n".join(lines)


def _shown(rows: pl.DataFrame) -> str:
    shown = rows.with_columns(pl.col(pl.Datetime).dt.strftime("%Y-%m-%d %H:%M:%S")).head(SHOWN)
    return "; ".join(" ".join(map(str, row)) for row in shown.iter_rows())
