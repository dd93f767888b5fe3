"""Commands about the Bronze files of a warehouse: ``cexkit bronze …``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cexkit.cli.output import INCOMPLETE
from cexkit.errors import InvalidInputError

app = typer.Typer(
    help="Bronze: missing files, files removed on purpose, and spans that venues have no rows of.", no_args_is_help=True
)

Warehouse = Annotated[Path | None, typer.Option(help="Folder of the warehouse. Default: CEXKIT_WAREHOUSE.")]


@app.command()
def check(warehouse: Warehouse = None) -> None:
    """List Bronze files that Silver rows came from and that are missing or changed."""
    from cexkit.warehouse.store.ledger import read_ledgers

    root = _root(warehouse)
    ledgers = read_ledgers(root)
    count = 0
    for exchange, table, ledger in ledgers:
        for entry in ledger.missing():
            count += 1
            print(f"{exchange} {table}: {entry.problem(root)} ({sum(entry.rows):,} rows)")
    files = sum(len(ledger.entries) for _, _, ledger in ledgers)
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
        lost = (entry for _, _, ledger in read_ledgers(root) for entry in ledger.missing())
        files = sorted({entry.path for entry in lost if not (root / entry.path).exists()})
    retired = run(root, files or ())
    for path, rows in retired.items():
        print(f"retired {path} ({rows:,} rows)")
    print(f"{len(retired):,} files retired")


@app.command()
def unavailable(
    pending: Annotated[
        bool, typer.Option("--pending", help="List the spans that later runs request again instead.")
    ] = False,
    warehouse: Warehouse = None,
) -> None:
    """List the spans that a venue has no rows of, although they should exist."""
    from cexkit.warehouse.store.inventory import read_inventories
    from cexkit.warehouse.store.inventory_entries import ATTEMPTS

    state, count = "missing" if pending else "none", 0
    for exchange, table, inventory in read_inventories(_root(warehouse)):
        for key, entry in inventory:
            if entry.state == state:
                count += 1
                times = f"{entry.attempts} of {ATTEMPTS} requests, the last at {entry.last_requested_at:%Y-%m-%d %H:%M}"
                print(f"{exchange} {table} {key.instrument_type} {key.symbol}: {entry.window} ({times})")
    print(f"{count:,} spans " + ("are requested again" if pending else "that venues have no rows of"))


def _root(warehouse: Path | None) -> Path:
    from cexkit.config import settings
    from cexkit.warehouse.store.layout import MANIFEST
    from cexkit.warehouse.store.manifest import read_manifest

    root = Path(warehouse or settings().warehouse)
    read_manifest(root / MANIFEST)  # raises if the folder is not a warehouse
    return root
