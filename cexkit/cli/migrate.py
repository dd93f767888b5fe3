"""Command that brings a warehouse of an earlier version to the present storage: ``cexkit migrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cexkit.cli.output import INCOMPLETE
from cexkit.cli.terminal import say_text


def migrate(
    warehouse: Annotated[Path | None, typer.Option(help="Folder to migrate. Default: CEXKIT_WAREHOUSE.")] = None,
) -> None:
    """Bring a warehouse that an earlier version wrote to the present storage; it can be interrupted and repeated."""
    from tqdm import tqdm

    from cexkit.config import settings
    from cexkit.warehouse.ingest.migrate import migrate as run
    from cexkit.warehouse.store.layout import MANIFEST
    from cexkit.warehouse.store.manifest import read_manifest
    from cexkit.warehouse.store.warehouse import Warehouse

    root = Path(warehouse or settings().warehouse)
    read_manifest(root / MANIFEST)  # raises if the folder is not a warehouse
    with tqdm(unit=" tables", disable=None) as bar:

        def step(done: str) -> None:
            bar.set_description(done)
            bar.update()

        report = run(Warehouse(root), step=step)
    say_text(report)
    if report.problems:
        raise typer.Exit(INCOMPLETE)
