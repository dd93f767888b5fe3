"""Command that builds Silver from all of Bronze again: ``cexkit rebuild``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cexkit.cli.output import INCOMPLETE
from cexkit.cli.terminal import say
from cexkit.errors import DataLossError, InvalidInputError
from cexkit.warehouse.store.wording import counted

if TYPE_CHECKING:
    from cexkit.schema import Table
    from cexkit.warehouse.ingest.rebuild import Rebuilt


def rebuild(
    exchange: Annotated[
        list[str] | None, typer.Argument(help="Venues. Default: all that have Bronze or a ledger of lost Bronze.")
    ] = None,
    table: Annotated[list[str] | None, typer.Option(help="Silver table (repeatable). Default: all.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change and stop.")] = False,
    allow_loss: Annotated[
        list[str] | None,
        typer.Option(metavar="TABLE[:EXCHANGE]", help="Drop keys that Bronze lacks (repeatable). Default: none."),
    ] = None,
    warehouse: Annotated[Path | None, typer.Option(help="Folder to rebuild. Default: CEXKIT_WAREHOUSE.")] = None,
) -> None:
    """Build Silver from all of Bronze again and compare it with the present rows before it takes their place."""
    from cexkit.config import settings
    from cexkit.exchanges.registry import resolve_exchange
    from cexkit.warehouse.ingest.rebuild import rebuild as run
    from cexkit.warehouse.store.warehouse import Warehouse

    target = Warehouse(warehouse or settings().warehouse)
    tables = _silver(table)
    done: list[Rebuilt] = []
    refused: list[DataLossError] = []
    for name in [resolve_exchange(each) for each in exchange or ()] or _venues(target.root):
        try:
            found = run(target, name, tables, dry_run=dry_run, allow_loss=allow_loss or ())
        except DataLossError as error:
            refused.append(error)  # the other venues are rebuilt all the same
            continue
        _print(name, found)
        done += found
    if done:
        say(_total(done, dry_run=dry_run))
    if refused:
        raise DataLossError("\n".join(map(str, refused)))
    if any(one.problems or (dry_run and one.lost_keys and not one.allowed) for one in done):
        raise typer.Exit(INCOMPLETE)


def _silver(names: Sequence[str] | None) -> list[Table]:
    from cexkit.schema import TABLES
    from cexkit.schema import table as declared

    tables = [declared(name) for name in names] if names else list(TABLES.values())
    if other := [each.name for each in tables if each.layer != "silver" and names]:
        raise InvalidInputError(f"table must be a Silver table, got {other[0]!r}, which is built from Silver")
    return [each for each in tables if each.layer == "silver"]


def _venues(root: Path) -> list[str]:
    """Return the venues that have Bronze or a ledger; raise an error if the folder has neither."""
    from cexkit.exchanges.registry import EXCHANGES
    from cexkit.warehouse.store.bronze import has_bronze
    from cexkit.warehouse.store.layout import MANIFEST
    from cexkit.warehouse.store.ledgers import ledger_venues
    from cexkit.warehouse.store.manifest import read_manifest

    recorded = ledger_venues(root)
    if found := [name for name in EXCHANGES if has_bronze(root, name) or name in recorded]:
        return found
    read_manifest(root / MANIFEST)  # raises if the folder is not a warehouse
    raise InvalidInputError(
        f"the warehouse must hold Bronze, got {root} with neither Bronze nor ledgers; a dataset that was downloaded or "
        "simulated cannot be rebuilt"
    )


def _print(exchange: str, found: Sequence[Rebuilt]) -> None:
    shown = [one for one in found if one.rows or one.lost_keys or one.problems]
    if not shown:
        say(f"{exchange}: neither Bronze nor Silver has rows")
    for one in shown:
        say(one)
        if one.lost_keys:
            say(f"  lost{', as allowed' if one.allowed else ''}: {one.lost_text}")
        for problem in one.problems:
            say(f"problem: {problem}")


def _total(done: Sequence[Rebuilt], *, dry_run: bool) -> str:
    added, changed, lost = (sum(getattr(one, name) for one in done) for name in ("added", "changed", "lost_keys"))
    tables = counted(sum(bool(one.rows) for one in done), "table")
    change = f"{counted(added, 'key')} added, {changed:,} changed, {lost:,} lost"
    return f"dry run, nothing was changed: {tables}, {change}" if dry_run else f"rebuilt {tables}: {change}"
