"""Commands about what is kept out of Silver: ``cexkit quarantine …``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cexkit.cli.bronze import Warehouse, build_changed, print_responses, warehouse_root
from cexkit.cli.terminal import say
from cexkit.warehouse.store.wording import counted

app = typer.Typer(
    help="Quarantine: rows that failed a check or cannot be used, and responses that are excluded.",
    no_args_is_help=True,
)

Digest = Annotated[
    str,
    typer.Argument(help="Hash of a response, or its first 8 characters, as `list` or `bronze responses` prints it."),
]


@app.command("list")
def list_all(warehouse: Warehouse = None) -> None:
    """List quarantined rows by reason, responses with rows that cannot be used, and excluded responses."""
    from cexkit.warehouse.store.quarantine import quarantined_rows
    from cexkit.warehouse.store.responses import excluded_responses, responses_with_bad_rows

    root = warehouse_root(warehouse)
    failed, bad, excluded = quarantined_rows(root), responses_with_bad_rows(root), excluded_responses(root)
    for rows in failed:
        say(str(rows))
    print_responses([*bad, *(response for response in excluded if response not in bad)])
    say(f"{counted(sum(rows.count for rows in failed), 'row')} failed a check; their reasons are names of checks")
    unusable = counted(sum(response.quarantined for response in bad), "row")
    say(f"{unusable} of {counted(len(bad), 'response')} cannot be used; Bronze holds the raw responses")
    say(f"{counted(len(excluded), 'response')} excluded")


@app.command()
def exclude(digest: Digest, warehouse: Warehouse = None) -> None:
    """Leave a response's rows out of Silver; the response stays in Bronze."""
    _decide(warehouse_root(warehouse), digest, exclude=True)


@app.command()
def release(digest: Digest, warehouse: Warehouse = None) -> None:
    """Use the rows of an excluded response again."""
    _decide(warehouse_root(warehouse), digest, exclude=False)


def _decide(root: Path, digest: str, *, exclude: bool) -> None:
    from cexkit.warehouse.store.ledgers import exclude as run
    from cexkit.warehouse.store.ledgers import retired_files
    from cexkit.warehouse.store.responses import excluded_responses, find_digest

    digest = find_digest(root, digest)
    if exclude == (digest in {response.sha256 for response in excluded_responses(root)}):
        say(f"{'already' if exclude else 'not'} excluded: {digest}")
        return
    before = {file.path for file in retired_files(root)}
    changed = run(root, digest, excluded=exclude)
    for path in sorted(before - {file.path for file in retired_files(root)}):
        say(f"no longer retired: {path}")
    say(f"{'excluded' if exclude else 'released'} {digest}")
    build_changed(root, changed, " left Silver" if exclude else " came back")
