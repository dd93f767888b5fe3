"""Commands about the Bronze files of a warehouse: ``cexkit bronze …``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cexkit.cli.output import INCOMPLETE
from cexkit.cli.terminal import say
from cexkit.errors import InvalidInputError
from cexkit.warehouse.store.wording import counted

if TYPE_CHECKING:
    from cexkit.warehouse.store.ledger import Ledger
    from cexkit.warehouse.store.responses import StoredResponse

app = typer.Typer(
    help="Bronze: missing files, files removed on purpose, and spans that venues have no rows of.",
    no_args_is_help=True,
)

Warehouse = Annotated[Path | None, typer.Option(help="Folder of the warehouse. Default: CEXKIT_WAREHOUSE.")]
#: Most lost files of an endpoint that are listed one by one.
FILES_SHOWN = 5


@app.command()
def check(warehouse: Warehouse = None) -> None:
    """List Bronze files that Silver rows came from and that are missing or have another size than recorded."""
    from cexkit.warehouse.store.ledgers import read_ledgers

    damaged: list[str] = []
    ledgers = read_ledgers(warehouse_root(warehouse), damaged=damaged)
    count = sum(_print_lost(ledger) for ledger in ledgers)
    for problem in damaged:
        say(f"problem: {problem}")
    files = sum(ledger.files.height for ledger in ledgers)
    found = f"{count:,} missing, of another size, or damaged when last read"
    say(f"{counted(files, 'file')} in {counted(len(ledgers), 'ledger')}, {found}")
    say("their content was not hashed; `cexkit doctor --verify` does that")
    if earlier := sum(ledger.is_earlier for ledger in ledgers):
        say(f"{counted(earlier, 'ledger')} of an earlier version: run `cexkit migrate`")
    if count:
        say(
            "their rows stay in Silver: restore the files from a backup, or run `cexkit bronze retire` if they were "
            "moved or removed on purpose"
        )
    if count or damaged:
        raise typer.Exit(INCOMPLETE)


def _print_lost(ledger: Ledger) -> int:
    """Print the lost files of a table, a few per endpoint; return how many are lost."""
    by_folder: dict[str, list] = {}
    for file in ledger.lost:
        by_folder.setdefault(_endpoint(file.path), []).append(file)
    for folder, files in by_folder.items():
        for file in files[:FILES_SHOWN]:
            say(f"{ledger.exchange} {ledger.table.name}: {file.problem} ({counted(file.rows, 'row')})")
        if others := files[FILES_SHOWN:]:
            rows = counted(sum(file.rows for file in others), "row")
            say(f"{ledger.exchange} {ledger.table.name}: {counted(len(others), 'more file')} in {folder} ({rows})")
    return sum(map(len, by_folder.values()))


def _endpoint(path: str) -> str:
    """Return the folder of a Bronze file's endpoint, or of the archive files of its venue."""
    return "/".join(path.split("/")[:3])


@app.command()
def retire(
    files: Annotated[list[str] | None, typer.Argument(help="Files below the warehouse, as `check` names them.")] = None,
    missing: Annotated[bool, typer.Option("--missing", help="Retire every file that is missing.")] = False,
    warehouse: Warehouse = None,
) -> None:
    """Mark Bronze files as moved or removed on purpose; their rows stay in Silver."""
    from cexkit.warehouse.store.ledgers import read_ledgers, retired_files
    from cexkit.warehouse.store.ledgers import retire as run

    root = warehouse_root(warehouse)
    if bool(files) == missing:
        raise InvalidInputError(
            "exactly one of files and --missing must be given, got "
            f"{'both' if missing else 'neither'}; run `cexkit bronze check` to list missing files"
        )
    if missing:
        lost = (file for ledger in read_ledgers(root) for file in ledger.lost)
        files = sorted({file.path for file in lost if not (root / file.path).exists()})
    before = {file.path for file in retired_files(root)}
    done = run(root, files or ())
    for path, rows in done.items():
        if path in before:
            say(f"already retired: {path}")
            continue
        exists = ", the file exists, but no build reads it any more" if (root / path).exists() else ""
        say(f"retired {path} ({counted(rows, 'row')}){exists}")
    say(f"{counted(len(done.keys() - before), 'file')} retired")


@app.command()
def unretire(
    files: Annotated[list[str], typer.Argument(help="Files below the warehouse, as `retired` names them.")],
    warehouse: Warehouse = None,
) -> None:
    """Undo `retire` for Bronze files that were copied back, and merge them into Silver again."""
    from cexkit.warehouse.store.ledgers import unretire as run

    root = warehouse_root(warehouse)
    done, changed = run(root, files)
    for path, rows in done.items():
        say(f"no longer retired: {path} ({counted(rows, 'row')})")
    build_changed(root, changed, "")


@app.command()
def retired(warehouse: Warehouse = None) -> None:
    """List the Bronze files that were marked as moved or removed on purpose."""
    from cexkit.warehouse.store.ledgers import retired_files

    found = retired_files(warehouse_root(warehouse))
    for file in found:
        exists = ", the file exists" if file.present else ""
        say(f"{file.path}: {counted(file.rows, 'row')} of {', '.join(file.tables)}{exists}")
    say(f"{counted(len(found), 'file')} retired")


@app.command()
def responses(
    file: Annotated[str, typer.Argument(help="File below the warehouse, as `check` or a problem names it.")],
    warehouse: Warehouse = None,
) -> None:
    """List the responses in a Bronze file: hash, table, instrument, span, and the rows that each gave."""
    from cexkit.warehouse.store.responses import responses_in

    print_responses(responses_in(warehouse_root(warehouse), file))


def print_responses(found: Sequence[StoredResponse]) -> None:
    """Print a line per response; of several files, the file too."""
    several = len({response.path for response in found}) > 1
    if found:
        say("hash, table, instrument, span of its rows, rows")
    for response in found:
        parts = [
            response.sha256,
            response.table,
            response.instrument or "all instruments",
            response.span or "no times",
            counted(response.rows, "row"),
            *([response.path] if several else []),
            *(["excluded"] if response.excluded else []),
            *([response.reason] if response.reason else []),
        ]
        say(" ".join(map(str, parts)))


def build_changed(root: Path, changed: Iterable[Ledger], what: str) -> None:
    """Merge what a decision changed into Silver, and print how many keys left it or came back."""
    from cexkit.warehouse.ingest.silver import build_silver
    from cexkit.warehouse.store.ledger import EXCLUDED
    from cexkit.warehouse.store.warehouse import Warehouse as Target

    problems = []
    for ledger in changed:
        rows, removed = sum(ledger.days.values()), ledger.removed.height
        report = build_silver(Target(root), ledger.exchange, ledger.table)
        left, back = ledger.removed.height - removed, max(0, sum(ledger.days.values()) - rows)
        keys = f"{counted(left if 'left' in what else back, 'key')}{what}, " if what else ""
        say(f"{ledger.exchange} {ledger.table.name}: {keys}{counted(report.rows, 'row')} made again")
        problems += [problem for problem in report.problems if f"rule '{EXCLUDED}'" not in problem.message]
    for problem in problems:
        say(f"problem: {problem}")
    if problems:
        raise typer.Exit(INCOMPLETE)


@app.command()
def removed(warehouse: Warehouse = None) -> None:
    """List the keys that a recorded rule removed from Silver: by table, rule, time of removal, and instrument."""
    from cexkit.warehouse.ingest.dropped import keys_text
    from cexkit.warehouse.store.ledgers import read_ledgers

    count = 0
    for ledger in read_ledgers(warehouse_root(warehouse)):
        keys = ledger.removed
        if keys.is_empty():
            continue
        count += keys.height
        for (rule, at), part in sorted(keys.partition_by("rule", "removed_at", as_dict=True).items()):
            text = keys_text(part, ledger.table)
            say(f"{ledger.exchange} {ledger.table.name}: {text}, by the rule '{rule}' at {at:%Y-%m-%d %H:%M} UTC")
    say(f"{counted(count, 'key')} removed by rules; those of a response that was released are in Silver again")


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
    for exchange, table, inventory in read_inventories(warehouse_root(warehouse)):
        for key, entry in inventory:
            if entry.state == state:
                count += 1
                times = f"{entry.attempts} of {ATTEMPTS} requests, the last at {entry.last_requested_at:%Y-%m-%d %H:%M}"
                say(f"{exchange} {table} {key.instrument_type} {key.symbol}: {entry.window} ({times})")
    again = "is requested again" if count == 1 else "are requested again"
    say(f"{counted(count, 'span')} {again if pending else 'that venues have no rows of'}")


def warehouse_root(warehouse: Path | None) -> Path:
    from cexkit.config import settings
    from cexkit.warehouse.store.layout import MANIFEST
    from cexkit.warehouse.store.manifest import read_manifest

    root = Path(warehouse or settings().warehouse)
    read_manifest(root / MANIFEST)  # raises if the folder is not a warehouse
    return root
