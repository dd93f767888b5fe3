"""What a warehouse must hold in the end, from the simulated frames and the events alone, and how it differs."""

from __future__ import annotations

import polars as pl

from cexkit.schema import TABLES
from cexkit.schema.render import to_polars

from .disk import LATER
from .events import AFTER_MIDNIGHT, HOUR, runs
from .listings import expected_listings
from .night import KEPT, Operator
from .reports import FORGETFUL
from .world import FACTS, LENGTHS, World

#: Tables that an archive still has of instruments that are delisted.
ARCHIVED = {("binance", "open_interest")}
#: Rows that differ are shown up to this number.
SHOWN = 8


def expected(operator: Operator) -> dict[str, pl.DataFrame]:
    """Return every Silver table as a warehouse must hold it after all nights of a calendar."""
    world = operator.world
    return {name: _held(operator, name) for name in FACTS} | expected_listings(world, world.calendar.nights)


def _held(operator: Operator, name: str) -> pl.DataFrame:
    world = operator.world
    final = pl.col("timestamp") + LENGTHS.get(name, HOUR)
    lost = _forgotten(world) if name == "liquidations" else _delisted(operator, name, final)
    rows = world.facts[name].filter(final <= world.calendar.nights[-1], ~lost)
    if name == "open_interest":
        # Coinbase gives no open interest, and Bybit and OKX do not give its value.
        rows = rows.filter(pl.col("exchange") != "coinbase")
        rows = rows.with_columns(open_interest_quote=pl.when(exchange="binance").then("open_interest_quote"))
    if LATER.name in TABLES[name].columns:
        rows = rows.with_columns(pl.lit(None, pl.Float64).alias(LATER.name))
    return rows.sort(TABLES[name].key)


def _delisted(operator: Operator, name: str, final: pl.Expr) -> pl.Expr:
    """Return which rows nobody could read between the last night before a delisting and the delisting.

    If the name is listed again, the venue gives them again to those who ask for all days.
    """
    lost, nights = pl.lit(False), operator.world.calendar.nights
    for exchange in FORGETFUL:
        lives = operator.world.lives(exchange)
        for life in lives[-1:] if operator.reads_all_days else lives:
            if life.end <= nights[-1] and (exchange, name) not in ARCHIVED:
                last = max(night for night in nights if night < life.end)
                of = pl.col("base").eq("ETH") & pl.col("instrument_type").eq("perp") & pl.col("exchange").eq(exchange)
                unread = final > last if operator.reads_all_days else pl.col("timestamp") >= last - AFTER_MIDNIGHT
                lost |= of & pl.col("timestamp").is_between(life.start, life.end) & unread
    return lost


def _forgotten(world: World) -> pl.Expr:
    """Return which liquidations OKX keeps no longer when it can be read again after an outage."""
    lost = pl.lit(False)
    times = [run for night in world.calendar.nights for run in runs("okx", night)]
    for event in world.calendar.of("outage", exchange="okx"):
        before = max(run for run in times if run < event.window.start)
        after = min(run for run in times if run >= event.window.end)
        lost |= pl.col("timestamp").is_between(before, after - KEPT, "none")
    return lost & (pl.col("exchange") == "okx")


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
