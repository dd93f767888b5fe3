"""Commands about the Bronze files of a warehouse: ``cexkit bronze …``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cexkit.cli.output import INCOMPLETE
from cexkit.errors import InvalidInputError

app = typer.Typer(help="Bronze files: which are missing, and which were removed on purpose.", no_args_is_help=True)

Warehouse = Annotated[Path | None, typer.Option(help="Folder of the warehouse. Default: CEXKIT_WAREHOUSE.")]


@app.command()
def check(warehouse: Warehouse = None) -> None:
    """List Bronze files that Silver rows came from and that are missing or changed."""
    from cexkit.warehouse.store.ledger import read_ledgers

    root = _root(warehouse)
    ledgers = read_ledgers(root)
    count = 0
    for ledger in ledgers:
        for file in ledger.lost:
            count += 1
            print(f"{ledger.exchange} {ledger.table.name}: {file.problem} ({file.rows:,} rows)")
    files = sum(ledger.files.height for ledger in ledgers)
    print(f"{files:,} files in {len(ledgers)} ledgers, {count:,} missing or changed")
    if count:
        raise typer.Exit(INCOMPLETE)


@app.command()
def retire(
    files: Annotated[list[str] | None, typer.Argument(help="Files below the warehouse, as `check` names them.")] = None,
    missing: Annotated[bool, typer.Option("--missing", help="Retire every file that is missing.")] = False,
    warehouse: Warehouse = None,
) -> None:
    """Mark Bronze files as moved or removed on purpose; their rows stay in Silver."""
    from cexkit.warehouse.store.ledger import read_ledgers
    from cexkit.warehouse.store.ledger import retire as run

    root = _root(warehouse)
    if bool(files) == missing:
        raise InvalidInputError(
            "exactly one of files and --missing must be given, got "
            f"{'both' if missing else 'neither'}; run `cexkit bronze check` to list missing files"
        )
    if missing:
        lost = (file for ledger in read_ledgers(root) for file in ledger.lost)
        files = sorted({file.path for file in lost if not (root / file.path).exists()})
    retired = run(root, files or ())
    for path, rows in retired.items():
        print(f"retired {path} ({rows:,} rows)")
    print(f"{len(retired):,} files retired")


def _root(warehouse: Path | None) -> Path:
    from cexkit.config import settings
    from cexkit.warehouse.store.layout import MANIFEST
    from cexkit.warehouse.store.manifest import read_manifest

    root = Path(warehouse or settings().warehouse)
    read_manifest(root / MANIFEST)  # raises if the folder is not a warehouse
    return root
