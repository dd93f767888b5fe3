"""Command ``cexkit pull``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cexkit.cli.output import INCOMPLETE, INTERRUPTED
from cexkit.cli.terminal import FAILED, say, say_text

if TYPE_CHECKING:
    from cexkit.exchanges.fetcher import Fetcher
    from cexkit.warehouse.ingest.plan import Plan
    from cexkit.warehouse.ingest.report import Report


def pull(
    exchange: Annotated[str, typer.Argument(help="Venue, such as binance; several with commas: binance,okx.")],
    tables: Annotated[list[str], typer.Argument(help="Tables, such as funding_rates ohlcv_1h.")],
    symbol: Annotated[list[str] | None, typer.Option(help="Canonical symbol (repeatable). Default: all.")] = None,
    start: Annotated[str | None, typer.Option(help="Start, UTC, such as 2024-01-01.")] = None,
    end: Annotated[str | None, typer.Option(help="End, UTC, not included. Default: now.")] = None,
    instrument_type: Annotated[str | None, typer.Option("--type", help="spot, perp or future. Default: all.")] = None,
    warehouse: Annotated[Path | None, typer.Option(help="Folder to write. Default: CEXKIT_WAREHOUSE.")] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Re-request data already downloaded.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read the listings, show the plan and stop.")] = False,
) -> None:
    """Download tables of exchanges into a warehouse: Bronze, then Silver. Interrupted runs resume."""
    from cexkit.exchanges.fetcher import Fetcher
    from cexkit.warehouse.ingest.plan import plans
    from cexkit.warehouse.ingest.report import Report

    request = (exchange.split(","), tables, symbol or None, start, end)
    with Fetcher() as fetcher:
        common = {"instrument_type": instrument_type, "warehouse": warehouse, "refresh": refresh, "fetcher": fetcher}
        made = plans(*request, **common)
        for plan in made:
            say_text(plan)
        # what the plan found is made again by then, so that the run does not find it
        planned = Report(problems=tuple(problem for plan in made for problem in plan.problems))
        if dry_run:
            raise typer.Exit(_show_problems(made, planned))
        report = planned + _pull_with_bars(made, fetcher, request, common)
    say_text(report)
    if report.failed:
        say(f"cexkit: {report.cause}", err=True)
        raise typer.Exit(FAILED)
    if report.problems:
        raise typer.Exit(INCOMPLETE)


def _show_problems(made: list[Plan], planned: Report) -> int:
    """Print the problems of plans; return the exit code of a dry run."""
    unread = [problem for plan in made for problem in plan.unread]
    for problem in (*planned.problems, *unread):
        say(f"problem: {problem}")
    if unread and all(plan.unread for plan in made):
        return FAILED
    return INCOMPLETE if planned.problems or unread else 0


def _pull_with_bars(made: list[Plan], fetcher: Fetcher, request: tuple, common: dict) -> Report:
    from cexkit.cli.progress import Bars
    from cexkit.warehouse.ingest.pull import pull

    with Bars({plan.exchange: len(plan.steps) for plan in made}, fetcher.pace) as bars:
        try:
            return pull(*request, step=bars.step, **common)
        except KeyboardInterrupt:
            bars.close()
            say("interrupted; what arrived is stored: run the same command again to resume")
            raise typer.Exit(INTERRUPTED) from None
