"""Command that brings a warehouse of an earlier version to the present storage: ``cexkit migrate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cexkit.cli.output import INCOMPLETE
from cexkit.cli.terminal import say_text
from cexkit.warehouse.store.wording import counted

if TYPE_CHECKING:
    from cexkit.warehouse.ingest.report import Report


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
    say_text(_text(report))
    if report.problems:
        raise typer.Exit(INCOMPLETE)


def _text(report: Report) -> str:
    """Return what a migration changed, and every problem."""
    if not report.files and not report.problems:
        return "already current: nothing was changed"
    done = f"migrated: {counted(report.rows, 'row')} written, {counted(len(report.files), 'file')} replaced"
    quarantined = f", {counted(report.quarantined, 'row')} quarantined" if report.quarantined else ""
    return "\n".join([f"{done}{quarantined}", *(f"problem: {problem}" for problem in report.problems)])
