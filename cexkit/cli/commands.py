"""The command line, ``cexkit …``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cexkit.cli import bronze, quarantine
from cexkit.cli.migrate import migrate
from cexkit.cli.output import emit_rows, format_columns
from cexkit.cli.pull import pull
from cexkit.cli.rebuild import rebuild
from cexkit.cli.terminal import FAILED, command_line, no_garbage_collection, say, say_text
from cexkit.errors import InvalidInputError

app = typer.Typer(
    help="Crypto derivatives data for research.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


Data = Annotated[
    str | None,
    typer.Option(
        help="Dataset: a folder, hf://datasets/org/name, http(s)://…, s3://… or `sample`. Default: CEXKIT_DATA, "
        "else the sample."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a row instead of a table.")]
Output = Annotated[
    Path | None, typer.Option(help="Write the rows to this file, by its ending .parquet, .csv or .json.")
]


@app.command()
def tables(data: Data = None, as_json: Json = False, output: Output = None) -> None:
    """List the tables of a dataset: rows, span of time, venues, size."""
    from cexkit.client.opening import Opening
    from cexkit.client.table_list import TableList, describe_dataset

    reader = Opening.of(data).reader()
    found = TableList.of(reader.extents)
    if not (as_json or output):
        say(describe_dataset(reader.manifest, reader.snapshot.location.address))
    if as_json or output or not found:
        emit_rows(found.to_pyarrow(), as_json, output)
    else:  # an Arrow table of Python's values takes pandas
        texts = {name: list(map(str, values)) for name, values in found.columns.items()}
        say_text(format_columns(texts | {"MB": [f"{size:.2f}" for size in found.columns["MB"]]}))


@app.command()
def show(
    table: Annotated[str, typer.Argument(help="Table, such as funding_rates.")],
    symbol: Annotated[list[str] | None, typer.Option(help="Canonical symbol; may be given often.")] = None,
    exchange: Annotated[list[str] | None, typer.Option(help="Venue; may be given often.")] = None,
    instrument_type: Annotated[str | None, typer.Option("--type", help="spot, perp or future.")] = None,
    start: Annotated[str | None, typer.Option(help="Start, UTC, such as 2024-01-01.")] = None,
    end: Annotated[str | None, typer.Option(help="End, UTC, not included.")] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="At most so many rows. Default: 20 on a screen.")] = None,
    data: Data = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Show rows of a table; only the files that hold them are read."""
    from cexkit.client.opening import Opening

    reader = Opening.of(data).reader()
    wanted = {
        "exchange": tuple(exchange) if exchange else None,
        "instrument_type": None if instrument_type is None else (instrument_type,),
        "symbol": tuple(symbol) if symbol else None,
    }
    rows = reader.cut(reader.declared(table), start, end, wanted)
    if limit is None and not (as_json or output):
        limit = 20
    emit_rows(reader.compute(rows if limit is None else rows.limit(limit)), as_json, output)


@app.command()
def sql(
    query: Annotated[
        str, typer.Argument(help="One SELECT over the tables by their names, DESCRIBE, SUMMARIZE, or SHOW TABLES.")
    ],
    data: Data = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Run DuckDB SQL over a dataset."""
    with no_garbage_collection():
        from cexkit.client.opening import Opening

        emit_rows(Opening.of(data).reader().fetch(query), as_json, output)


@app.command()
def query(
    name: Annotated[
        str | None, typer.Argument(help="Question, such as liquidation_summary. Default: list all.")
    ] = None,
    values: Annotated[list[str] | None, typer.Argument(help="Its parameters, such as symbol=BTCUSDT days=7.")] = None,
    data: Data = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Run one of the SQL queries that come with cexkit."""
    from cexkit.client.market import connect

    market = connect(data)
    if name is None:
        say_text(market.queries)
    else:
        arguments = market.queries[name].parse_arguments(values or ())
        emit_rows(market.query(name, return_type="arrow", **arguments), as_json, output)


@app.command()
def tearsheet(
    name: Annotated[str, typer.Argument(help="Coin or symbol, such as BTC.")],
    output: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("tearsheet.html"),
    exchange: Annotated[list[str] | None, typer.Option(help="Venue; may be given often. Default: all.")] = None,
    start: Annotated[str | None, typer.Option(help="Start, UTC, such as 2024-01-01.")] = None,
    end: Annotated[str | None, typer.Option(help="End, UTC, not included. Default: the last day there is.")] = None,
    days: Annotated[int, typer.Option(min=1, help="Days before the end, where no start is given.")] = 60,
    asset_class: Annotated[
        str, typer.Option(help="Class of the perpetuals, such as crypto or equity; all: every class.")
    ] = "crypto",
    data: Data = None,
) -> None:
    """Write one page on the perpetuals of a coin: an HTML file that needs no network."""
    from cexkit.client.market import connect
    from cexkit.client.tearsheet import tearsheet as run

    window = {"start": start, "end": end, "days": days}
    chosen = None if asset_class == "all" else asset_class
    say(run(connect(data), name, output, exchange=exchange or None, asset_class=chosen, **window))


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Folder for the chart.", exists=True, file_okay=False)] = Path(),
) -> None:
    """Show funding, basis, open interest and liquidations of the embedded sample; needs no network."""
    with no_garbage_collection():
        from cexkit.cli.demo import demo as run

        say_text(run(folder))


app.command()(pull)
app.command()(rebuild)
app.command()(migrate)


@app.command()
def collect(
    exchanges: Annotated[list[str], typer.Argument(help="Venues with a stream: binance bybit okx.")],
    seconds: Annotated[float | None, typer.Option(min=0, help="Stop after so long. Default: when told to.")] = None,
    warehouse: Annotated[Path | None, typer.Option(help="Folder to write. Default: CEXKIT_WAREHOUSE.")] = None,
) -> None:
    """Listen to liquidations live and keep every message, until SIGTERM or Ctrl-C."""
    from cexkit.config import settings
    from cexkit.warehouse.collect.collector import collect as run

    found = settings()
    urls = {name.removesuffix(".stream"): url for name, url in found.base_urls.items() if name.endswith(".stream")}
    say_text(run(exchanges, warehouse or found.warehouse, seconds=seconds, urls=urls))


@app.command()
def publish(
    warehouse: Annotated[Path | None, typer.Argument(help="Folder to publish. Default: CEXKIT_WAREHOUSE.")] = None,
    to: Annotated[
        str | None,
        typer.Option(help="hf://datasets/owner/name[@branch] or a folder. Default: CEXKIT_PUBLISH_TO."),
    ] = None,
    tag: Annotated[str | None, typer.Option(help="Name of the release, such as v2026.06.30.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change and stop.")] = False,
    allow_loss: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TABLE[:EXCHANGE]",
            help="Table whose published keys may disappear, such as ohlcv_1h:okx (repeatable). Default: none.",
        ),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="A repository that is made is private.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Check every row again, whatever is cached.")] = False,
) -> None:
    """Publish a warehouse to HuggingFace (the token is HF_TOKEN) or to a folder: what changed, in one step."""
    from tqdm import tqdm

    from cexkit.config import settings
    from cexkit.warehouse.publish import publish as run

    to = to or settings().publish_to
    if to is None:
        raise InvalidInputError("say where to with --to, or set CEXKIT_PUBLISH_TO")
    common = {"tag": tag, "allow_loss": allow_loss or (), "private": private}
    with tqdm(unit=" files", disable=None) as bar:
        done = run(
            warehouse or settings().warehouse, to, dry_run=dry_run, step=lambda _: bar.update(), full=full, **common
        )
    say_text(done)


@app.command()
def doctor(
    data: Data = None,
    warehouse: Annotated[
        Path | None,
        typer.Option(help="Folder of a warehouse, instead of --data. Default with --verify: CEXKIT_WAREHOUSE."),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Read nothing but the cache.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Hash every data file and Bronze file of a folder, which takes a while.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what a connection is made of and whether it works: place, revision, versions, cache, latency, sizes."""
    import json

    from cexkit.cli.doctor import diagnose, source_of

    found = diagnose(source_of(data, warehouse, verify=verify), verify=verify, offline=offline)
    say_text(json.dumps(found.as_dict(), indent=1) if as_json else found)
    if found.problems:
        raise typer.Exit(FAILED)


cache = typer.Typer(help="The cache of remote datasets.", no_args_is_help=True)
app.add_typer(cache, name="cache")


@cache.command("info")
def cache_info(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Say where the cache is, how much it holds and of which datasets."""
    import json

    from cexkit.cli.doctor import cache_info, format_cache_usage

    found = cache_info()
    if as_json:
        say_text(json.dumps(found))
        return
    say_text(
        "\n".join([format_cache_usage(found), *(f"  {location}" for location in found["locations"] or ["nothing yet"])])
    )


app.add_typer(bronze.app, name="bronze")
app.add_typer(quarantine.app, name="quarantine")


@cache.command("clear")
def cache_clear() -> None:
    """Drop all files that no running process uses."""
    from cexkit.cli.doctor import default_cache

    files, size = default_cache().clear()
    say(f"{files} files dropped, {size / 1e6:,.1f} MB")


@cache.command("warm")
def cache_warm(
    tables: Annotated[list[str] | None, typer.Argument(help="Tables. Default: all.")] = None,
    data: Data = None,
    exchange: Annotated[list[str] | None, typer.Option(help="Venue; may be given often.")] = None,
    start: Annotated[str | None, typer.Option(help="Start, UTC, such as 2024-01-01.")] = None,
    end: Annotated[str | None, typer.Option(help="End, UTC, not included.")] = None,
) -> None:
    """Bring tables into the cache, to be read offline or without waiting."""
    from cexkit.client.market import connect

    market = connect(data)
    count = market.warm(*(tables or ()), start=start, end=end, exchange=exchange or None)
    say(f"{count} files of {market.location} at {market.revision[:12]} are in the cache")


def main() -> None:
    """Entry point: what fails ends as a message on stderr, not as a traceback."""
    with command_line("cexkit"):
        app()
