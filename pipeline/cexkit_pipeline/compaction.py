"""Compaction as a Dagster job: daily pieces become weeks and months (:mod:`cexkit.warehouse.store.compact`)."""

# no `from __future__ import annotations`: Dagster reads the annotations of ops
import dagster as dg

from cexkit.warehouse.store.compact import compact
from cexkit_pipeline.resources import Store


@dg.op(description="Puts closed pieces together; no row changes.", pool="compaction")
def put_together(context: dg.OpExecutionContext, store: Store) -> None:
    """Files that are written meanwhile by Silver wait, and the other way round; the warehouse sees to that."""
    files = compact(store.open())
    for file in files:
        context.log.info(f"{file.path}: {file.rows:,} rows")
    context.add_output_metadata({"files": len(files), "rows": sum(file.rows for file in files)})


@dg.job(description="Pieces of running months that are closed, put together; files that left the dataset, deleted.")
def compaction() -> None:
    """One op over all tables and venues."""
    put_together()
