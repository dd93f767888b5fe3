"""The command line: ``cexkit demo``, ``cexkit pull``."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Annotated

import typer

from cexkit.errors import CexkitError

#: Exit codes: all went well; an error; finished, but something is missing and was said.
OK, FAILED, INCOMPLETE = 0, 1, 3

app = typer.Typer(
    help="Crypto derivatives data for research.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Folder for the chart.", exists=True, file_okay=False)] = Path(),
) -> None:
    """Show funding, basis, open interest and liquidations of the embedded sample; needs no network."""
    # A process this short has no use for collecting garbage, neither while it imports nor at its end.
    gc.disable()
    from cexkit.demo import demo as run

    print(run(folder))
    gc.freeze()


@app.command()
def pull(
    exchange: Annotated[str, typer.Argument(help="Venue, such as binance.")],
    tables: Annotated[list[str], typer.Argument(help="Tables, such as funding_rates ohlcv_1h.")],
    symbol: Annotated[
        list[str] | None, typer.Option(help="Canonical symbol; may be given often. Default: all.")
    ] = None,
    start: Annotated[str | None, typer.Option(help="Start, UTC, such as 2024-01-01.")] = None,
    end: Annotated[str | None, typer.Option(help="End, UTC, not included. Default: now.")] = None,
    instrument_type: Annotated[str | None, typer.Option("--type", help="spot, perp or future. Default: all.")] = None,
    warehouse: Annotated[Path | None, typer.Option(help="Folder to write. Default: CEXKIT_WAREHOUSE.")] = None,
) -> None:
    """Bring tables of an exchange into a warehouse: Bronze, then Silver."""
    from tqdm import tqdm

    from cexkit.ingest import pull as run

    with tqdm(unit=" instruments", disable=None) as bar:

        def step(done: str) -> None:
            bar.set_description(done)
            bar.update()

        report = run(
            exchange,
            tables,
            symbol or None,
            start,
            end,
            instrument_type=instrument_type,
            warehouse=warehouse,
            step=step,
        )
    print(report)
    if report.problems:
        raise typer.Exit(INCOMPLETE)


def main() -> None:
    """Entry point: errors of cexkit end as one line on stderr, not as a traceback."""
    try:
        app()
    except CexkitError as error:
        print(f"cexkit: {error}", file=sys.stderr)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
