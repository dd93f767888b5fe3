"""Command that builds Silver from all of Bronze again: ``cexkit rebuild``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cexkit.cli.output import INCOMPLETE
from cexkit.cli.terminal import say


def rebuild(
    exchange: Annotated[list[str] | None, typer.Argument(help="Venues. Default: all that have Bronze.")] = None,
    table: Annotated[list[str] | None, typer.Option(help="Table (repeatable). Default: all.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change and stop.")] = False,
    allow_loss: Annotated[
        list[str] | None,
        typer.Option(metavar="TABLE[:EXCHANGE]", help="Drop keys that Bronze lacks (repeatable)."),
    ] = None,
    warehouse: Annotated[Path | None, typer.Option(help="Folder to rebuild. Default: CEXKIT_WAREHOUSE.")] = None,
) -> None:
    """Build Silver from all of Bronze again and compare it with the present rows before it takes their place."""
    from cexkit.config import settings
    from cexkit.exchanges.registry import EXCHANGES
    from cexkit.schema import TABLES
    from cexkit.schema import table as declared
    from cexkit.warehouse.ingest.rebuild import rebuild as run
    from cexkit.warehouse.store.bronze import has_bronze
    from cexkit.warehouse.store.warehouse import Warehouse

    target = Warehouse(warehouse or settings().warehouse)
    silver = [each for each in TABLES.values() if each.layer == "silver"]
    tables = [declared(name) for name in table] if table else silver
    problems = 0
    for name in exchange or [name for name in EXCHANGES if has_bronze(target.root, name)]:
        for done in run(target, name, tables, dry_run=dry_run, allow_loss=allow_loss or ()):
            say(done)
            for problem in done.problems:
                say(f"problem: {problem}")
            problems += len(done.problems) + (dry_run and done.lost.height > 0)
    if problems:
        raise typer.Exit(INCOMPLETE)
