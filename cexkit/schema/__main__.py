"""Write the generated files: ``python -m cexkit.schema`` from the project's root."""

from __future__ import annotations

from pathlib import Path

from cexkit.schema.render import data_dictionary, to_ddl
from cexkit.schema.tables import TABLES


def generated() -> dict[str, str]:
    """Path below the project's root → text, for every file rendered from the schema."""
    return {
        "specs/05-data-schemas.md": data_dictionary(),
        "sql/ddl/tables.sql": "\n".join(
            ["-- Generated from cexkit/schema by `python -m cexkit.schema`; do not edit.\n"]
            + [to_ddl(table) for table in TABLES.values()]
        ),
    }


if __name__ == "__main__":
    for path, text in generated().items():
        Path(path).write_text(text, encoding="utf-8")
