"""Rows of a table before they become files: which file they belong to, whether each is there once."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from cexkit.errors import DuplicateKeyError
from cexkit.schema import Table
from cexkit.schema.intervals import Window
from cexkit.schema.render import to_pyarrow


def within(rows: pa.Table, table: Table, span: Window, *, other: bool = False) -> pa.Table:
    """Rows of a span, or the other ones; a table that has one file has all of them in it."""
    if table.period == "all":
        return rows.slice(0, 0) if other else rows
    times = rows.column(table.time)
    start, end = (pa.scalar(moment, times.type) for moment in (span.start, span.end))
    inside = pc.and_(pc.greater_equal(times, start), pc.less(times, end))
    wanted = pc.invert(inside) if other else inside
    return rows if pc.all(wanted, min_count=0).as_py() else rows.filter(wanted)


def judged(rows: pa.Table | None, table: Table) -> pa.Table:
    """Rows that failed a check, in the declared columns and the reason."""
    schema = pa.schema([*(field.with_nullable(True) for field in to_pyarrow(table)), ("reason", pa.string())])
    if rows is None:
        return schema.empty_table()
    columns = [
        rows.column(field.name).cast(field.type)
        if field.name in rows.column_names
        else pa.nulls(rows.num_rows, field.type)  # an earlier version of the schema lacks it
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def by_file(rows: pa.Table, table: Table) -> dict[tuple[str | None, str], pa.Table]:
    """Rows by the venue and period whose file they belong to."""
    import polars as pl

    if rows.num_rows == 0:
        return {}
    period = pl.lit("all")
    if table.period != "all":
        period = pl.col(table.time).dt.strftime("%Y" if table.period == "year" else "%Y-%m")
    exchange = pl.col("exchange") if table.by_exchange else pl.lit(None, pl.String)
    # beside a column, for a select of nothing but literals has one row
    labels = pl.from_arrow(rows).with_row_index().select("index", exchange=exchange, period=period)
    groups = labels.group_by("exchange", "period", maintain_order=True).agg("index")
    return {(row["exchange"], row["period"]): rows.take(pa.array(row["index"])) for row in groups.iter_rows(named=True)}


def require_unique(rows: pa.Table, table: Table) -> None:
    """Refuse rows of which two have the same key."""
    counts = rows.group_by(list(table.key)).aggregate([([], "count_all")])
    doubled = counts.filter(pc.greater(counts.column("count_all"), 1))
    if doubled.num_rows:
        first = {name: str(value) for name, value in doubled.slice(0, 1).to_pylist()[0].items() if name != "count_all"}
        raise DuplicateKeyError(f"{table.name}: {doubled.num_rows} keys stand more than once, the first is {first}")
