"""Commands about the Bronze files of a warehouse: ``cexkit bronze …``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cexkit.cli.output import INCOMPLETE
from cexkit.cli.terminal import say, say_text
from cexkit.errors import InvalidInputError

app = typer.Typer(
    help="Bronze: missing files, files removed on purpose, and spans that venues have no rows of.", no_args_is_help=True
)

Warehouse = Annotated[Path | None, typer.Option(help="Folder of the warehouse. Default: CEXKIT_WAREHOUSE.")]


@app.command()
def check(warehouse: Warehouse = None) -> None:
    """List Bronze files that Silver rows came from and that are missing or have another size than recorded."""
    from cexkit.warehouse.store.ledgers import read_ledgers

    root = _root(warehouse)
    ledgers = read_ledgers(root)
    count = 0
    for ledger in ledgers:
        for file in ledger.lost:
            count += 1
            say(f"{ledger.exchange} {ledger.table.name}: {file.problem} ({file.rows:,} rows)")
    files = sum(ledger.files.height for ledger in ledgers)
    say(f"{files:,} files in {len(ledgers)} ledgers, {count:,} missing, of another size, or damaged when last read")
    say("their content was not hashed; `cexkit doctor --verify` does that")
    if count:
        raise typer.Exit(INCOMPLETE)


@app.command()
def retire(
    files: Annotated[list[str] | None, typer.Argument(help="Files below the warehouse, as `check` names them.")] = None,
    missing: Annotated[bool, typer.Option("--missing", help="Retire every file that is missing.")] = False,
    warehouse: Warehouse = None,
) -> None:
    """Mark Bronze files as moved or removed on purpose; their rows stay in Silver."""
    from cexkit.warehouse.store.ledgers import read_ledgers
    from cexkit.warehouse.store.ledgers import retire as run

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
        say(f"retired {path} ({rows:,} rows)")
    say(f"{len(retired):,} files retired")


@app.command()
def responses(
    file: Annotated[str, typer.Argument(help="File below the warehouse, as `check` or a problem names it.")],
    warehouse: Warehouse = None,
) -> None:
    """List the responses in a Bronze file: hash, instrument, span, and the rows that each gave."""
    from cexkit.warehouse.store.layout import received_on
    from cexkit.warehouse.store.ledgers import read_ledgers

    for ledger in read_ledgers(_root(warehouse)):
        for row in ledger.responses(received_on(file)).filter(path=file).iter_rows(named=True):
            whose = " ".join(str(row[name]) for name in ("instrument_type", "symbol") if row[name])
            say(f"{row['sha256']} {ledger.table.name} {whose} {row['start']} {row['end']} {row['rows']:,} rows")


@app.command()
def exclude(
    digest: Annotated[str, typer.Argument(help="Hash of a response, as `responses` prints it.")],
    warehouse: Warehouse = None,
) -> None:
    """Leave a response's rows out of Silver; the response stays in Bronze."""
    _rebuild_without(_root(warehouse), digest, excluded=True)


@app.command()
def release(
    digest: Annotated[str, typer.Argument(help="Hash of a response that was excluded.")],
    warehouse: Warehouse = None,
) -> None:
    """Use the rows of an excluded response again."""
    _rebuild_without(_root(warehouse), digest, excluded=False)


def _rebuild_without(root: Path, digest: str, *, excluded: bool) -> None:
    from cexkit.warehouse.ingest.silver import build_silver
    from cexkit.warehouse.store.ledgers import exclude as run
    from cexkit.warehouse.store.warehouse import Warehouse as Target

    for ledger in run(root, digest, excluded=excluded):
        say_text(f"{ledger.exchange} {ledger.table.name}: {build_silver(Target(root), ledger.exchange, ledger.table)}")


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
                say(f"{exchange} {table} {key.instrument_type} {key.symbol}: {entry.window} ({times})")
    say(f"{count:,} spans " + ("are requested again" if pending else "that venues have no rows of"))


def _root(warehouse: Path | None) -> Path:
    from cexkit.config import settings
    from cexkit.warehouse.store.layout import MANIFEST
    from cexkit.warehouse.store.manifest import read_manifest

    root = Path(warehouse or settings().warehouse)
    read_manifest(root / MANIFEST)  # raises if the folder is not a warehouse
    return root
