"""Generator of the queries' reference page, run by ``python -m cexkit.client`` from the project's root."""

from __future__ import annotations

from pathlib import Path

from cexkit.client.queries import Queries
from cexkit.client.query import Query

_HEAD = """\
# Questions in SQL

Generated from the headers of `sql/queries` by `python -m cexkit.client`; do not edit.

`market.query(name, …)` runs a query; `market.queries` lists all. Values are bound to variables and never become part of
the SQL text. The same files run in a plain DuckDB shell:

```sql
SET TimeZone = 'UTC';
SET VARIABLE root = 'path/to/warehouse';
.read sql/views/tables.sql
SET VARIABLE symbol = 'BTCUSDT';
.read sql/queries/liquidation_summary.sql
```

A variable stays set until `RESET VARIABLE`. Set a time with an explicit zone:
`SET VARIABLE until = TIMESTAMPTZ '2026-01-01 00:00:00+00'`.
"""


def generated() -> dict[str, str]:
    """Return the text of each file rendered from the queries, by its path below the project's root."""
    return {"docs/reference/queries.md": _HEAD + "".join(_render_section(query) for query in Queries.read().values())}


def _render_section(query: Query) -> str:
    parameters = [
        [f"`{parameter.name}`", parameter.type, parameter.unit, parameter.default, parameter.meaning]
        for parameter in query.parameters.values()
    ]
    columns = [[f"`{name}`", unit, meaning] for name, (unit, meaning) in query.columns.items()]
    return (
        f"\n## {query.name}\n\n{query.question}\n\n"
        + _render_table(["parameter", "type", "unit", "default", "meaning"], parameters)
        + "\n"
        + _render_table(["column", "unit", "meaning"], columns)
    )


def _render_table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in lines)


if __name__ == "__main__":
    for path, text in generated().items():
        Path(path).write_text(text, encoding="utf-8")
