"""The command line, ``cexkit-pipeline …``; everything else is Dagster's own ``dagster``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cexkit.cli.terminal import command_line

app = typer.Typer(
    help="The write path of cexkit. Assets, schedules and backfills are run by `dagster`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def root() -> None:
    """Keeps `demo` a command of its own while it is the only one."""


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where to; must be empty.")] = Path("cexkit-pipeline-demo"),
) -> None:
    """Run Bronze, Silver, checks, Gold and a publication on simulated venues; needs no network, takes a minute."""
    from cexkit_pipeline.demo import demo as run

    run(folder, typer.echo)


def main() -> None:
    """Entry point: what fails ends as a message on stderr, not as a traceback."""
    with command_line("cexkit-pipeline"):
        app()


if __name__ == "__main__":
    main()
