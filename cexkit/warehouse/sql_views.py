"""Metrics as DuckDB SQL, rendered from the declared schema alone.

``python -m cexkit.warehouse.sql_views`` writes ``sql/views``.

Row metrics and summaries become one view for each declared table that has their inputs. Rolling and
cross-venue metrics look at neighboring rows and other venues; they stay in Python, where their windows
and tolerances are arguments.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import ibis

from cexkit.analytics._core.metric import Metric
from cexkit.analytics.catalog import METRICS
from cexkit.schema import INSTRUMENT_KEYS, TABLES, Table
from cexkit.schema.render import to_ibis
from cexkit.warehouse.store.layout import MANIFEST

KINDS = ("row", "summary")
_HEAD = "-- Generated from the metric registry and the schema by `python -m cexkit.warehouse.sql_views`; do not edit.\n"

_TABLES = """\
-- The tables of a dataset by name, in a plain DuckDB shell. Give the dataset's folder first:
--   SET VARIABLE root = 'path/to/warehouse';
-- Only files that the manifest names are read: others in the folder are older versions of them.
-- A column that older files lack is null, and a table that the dataset lacks is empty.

SET VARIABLE any_file = (
  SELECT [getvariable('root') || '/' || files[1].path] FROM read_json(getvariable('root') || '/{manifest}')
);
"""
_ONE_TABLE = """
SET VARIABLE {name}_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/{manifest}'))
  WHERE file."table" = '{name}'
);
CREATE OR REPLACE TEMP VIEW {name} AS
SELECT {columns}
FROM (
  SELECT {nulls} WHERE false
  UNION ALL BY NAME
  FROM read_parquet(
    coalesce(getvariable('{name}_files'), getvariable('any_file')), hive_partitioning = false, union_by_name = true
  )
  WHERE getvariable('{name}_files') IS NOT NULL
);
"""


def tables_of(metric: Metric) -> list[Table]:
    """Declared tables of instruments that have all inputs of a metric under its default arguments."""
    arguments = {name: parameter.default for name, parameter in list(metric.signature.parameters.items())[1:]}
    if inspect.Parameter.empty in arguments.values():
        return []
    needed = {metric.column(name, arguments) for name in metric.required(arguments)}
    choices = [{metric.column(name, arguments) for name in each} for each in metric.alternatives] or [set()]
    return [
        table
        for table in TABLES.values()
        if {*INSTRUMENT_KEYS, "timestamp"} <= set(table.columns)
        and needed <= set(table.columns)
        and any(each <= set(table.columns) for each in choices)
    ]


def view_sql(metric: Metric, table: Table) -> str:
    """``CREATE VIEW`` of a metric over a table; no data is looked at.

    Examples
    --------
    >>> view_sql(METRICS["funding_apr"], TABLES["funding_rates"]).splitlines()[0]
    'CREATE OR REPLACE TEMP VIEW funding_rates_funding_apr AS'
    """
    expression = metric.function(ibis.table(to_ibis(table), name=table.name))
    return f"CREATE OR REPLACE TEMP VIEW {table.name}_{metric.name} AS\n{ibis.to_sql(expression, dialect='duckdb')};\n"


def generated() -> dict[str, str]:
    """Path below the project's root → text, for all views."""
    tables = "".join(_one_table(table) for table in TABLES.values())
    files = {"sql/views/tables.sql": _HEAD + _TABLES.format(manifest=MANIFEST) + tables}
    for name, metric in sorted(METRICS.items()):
        tables = tables_of(metric) if metric.kind in KINDS else []
        if tables:
            about = f"-- {name}: {metric.meaning}\n-- Columns added or given: {', '.join(metric.outputs)}.\n"
            views = "\n".join(view_sql(metric, table) for table in tables)
            files[f"sql/views/{name}.sql"] = f"{_HEAD}{about}\n{views}"
    return files


def _one_table(table: Table) -> str:
    columns = ", ".join(f'"{name}"' for name in table.columns)
    typed = to_ibis(table).to_sqlglot_column_defs("duckdb")
    nulls = ", ".join(f'CAST(NULL AS {column.kind.sql("duckdb")}) AS "{column.this.name}"' for column in typed)
    return _ONE_TABLE.format(name=table.name, columns=columns, nulls=nulls, manifest=MANIFEST)


if __name__ == "__main__":
    for old in Path("sql/views").glob("*.sql"):
        old.unlink()
    for path, text in generated().items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text, encoding="utf-8")
