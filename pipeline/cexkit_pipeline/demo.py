"""An offline demo of the whole pipeline: simulated venues, Bronze, Silver, checks, Gold, and a publication."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from tqdm import tqdm

from cexkit.errors import InvalidInputError
from cexkit.schema.intervals import Window
from cexkit.testing import LoopbackMarket
from cexkit.warehouse.collect.collector import collect
from cexkit.warehouse.collect.listener import CollectReport
from cexkit_pipeline.definitions import build_defs
from cexkit_pipeline.partitions import DAYS, YEARS
from cexkit_pipeline.resources import Store, Venues
from cexkit_pipeline.summary import counts_of, format_counts, total

#: Simulated days, with a market crash on the second; the last becomes today.
START, END = "2026-05-19", "2026-05-22"
COINS = ("BTC", "ETH")
#: Maximum seconds for the streams to send all their messages.
STREAM_SECONDS = 60.0

RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, slots=True)
class Stage:
    """One Dagster run: which assets, over which partitions, with what configuration."""

    title: str
    selection: dg.AssetSelection
    partitions: tuple[str, str] | None = None
    config: Mapping[str, Any] | None = None


def demo(folder: Path, say: Callable[[str], object]) -> Path:
    """Run the demo and report its results.

    Parameters
    ----------
    folder : Path
        Output folder; must be empty or missing.
    say : callable
        Receives each line of output.

    Returns
    -------
    Path
        Folder of the published dataset.

    Raises
    ------
    InvalidInputError
        If ``folder`` exists and is not an empty folder.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InvalidInputError(f"folder must be empty or missing, got {folder}; choose another one")
    warnings.simplefilter("ignore", dg.BetaWarning)
    began, warehouse, published = time.monotonic(), folder / "warehouse", folder / "published"
    say("cexkit-pipeline demo: SIMULATED venues on this machine, offline. Each line is a Dagster run.\n")
    with LoopbackMarket(START, END, coins=COINS) as market, _quiet_instance() as instance:
        store = Store(warehouse=str(warehouse))
        store.open().describe(
            simulated=True, description="Made by cexkit-pipeline demo: real names, simulated numbers."
        )
        defs = build_defs({"store": store, "venues": Venues(base_urls=market.base_urls)})
        stages = _stages(Window(market.start, market.end), str(published))
        say(_run(defs, instance, stages[0]))
        say(_line("Collector: liquidations live", f"{_hear(market, warehouse).messages:,} messages"))
        for stage in stages[1:]:
            say(_run(defs, instance, stage))
    say(_ending(warehouse, published, time.monotonic() - began))
    return published


def _stages(window: Window, to: str) -> list[Stage]:
    """Return the stages from listings to publication; Silver takes two, because its files cover days or years."""
    bronze, silver = (dg.AssetSelection.key_prefixes(layer) for layer in ("bronze", "silver"))
    listings, minutes = dg.AssetSelection.groups("listings"), dg.AssetSelection.tag("table", "ohlcv_1m")
    last = window.end - timedelta(days=1)
    days, years = (_keys(parts, window.start, last) for parts in (DAYS, YEARS))
    config = {"ops": {"publication": {"config": {"to": to}}}}
    return [
        Stage("Listings, Bronze and Silver", listings),
        Stage("Bronze: raw responses", bronze - listings, days),
        Stage("Silver: files of years, checks", silver - listings - minutes, years),
        Stage("Silver: files of days, checks", silver & minutes, days),
        Stage("Gold: tables over venues", dg.AssetSelection.key_prefixes("gold")),
        Stage("Publication", dg.AssetSelection.groups("publication"), config=config),
    ]


def _keys(parts: dg.TimeWindowPartitionsDefinition, first: datetime, last: datetime) -> tuple[str, str]:
    return f"{first:{parts.fmt}}", f"{last:{parts.fmt}}"


@contextmanager
def _quiet_instance() -> Iterator[dg.DagsterInstance]:
    """Yield an in-memory instance without telemetry."""
    with dg.DagsterInstance.ephemeral(settings={"telemetry": {"enabled": False}}) as instance:
        yield instance


def _run(defs: dg.Definitions, instance: dg.DagsterInstance, stage: Stage) -> str:
    """Run a stage in this process with a progress bar, and return a line with its results."""
    began = time.monotonic()
    with tqdm(desc=stage.title, unit=" steps", leave=False, disable=None) as bar:
        job = _job(defs, stage, bar)
        tags = dict(zip(RANGE, stage.partitions, strict=True)) if stage.partitions else None
        result = job.execute_in_process(run_config={**_QUIET, **(stage.config or {})}, instance=instance, tags=tags)
    counts, checks = counts_of(instance, result.dagster_run), result.get_asset_check_evaluations()
    parts = [f"{len(counts)} asset{'s' if len(counts) > 1 else ''}", format_counts(total(counts))]
    if checks:
        parts.append(f"{sum(check.passed for check in checks)} of {len(checks)} checks passed")
    return _line(stage.title, f"{', '.join(filter(None, parts))} ({time.monotonic() - began:.0f} s)")


def _job(defs: dg.Definitions, stage: Stage, bar: tqdm) -> dg.JobDefinition:
    """Return the stage as a job that advances the bar after each step."""

    @dg.success_hook(name="done")
    def done(context: dg.HookContext) -> None:
        bar.update()

    one = dg.define_asset_job("stage", stage.selection, hooks={done})
    job = dg.Definitions.merge(defs, dg.Definitions(jobs=[one])).resolve_job_def("stage")
    bar.reset(total=len(job.nodes))
    return job


def _hear(market: LoopbackMarket, warehouse: Path) -> CollectReport:
    """Collect from all venues with a stream until they have sent all their messages."""
    stop = threading.Event()

    def end() -> None:
        for stream in market.streams.values():
            stream.sent_all.wait(STREAM_SECONDS)
        # The last messages are still in transit.
        stop.wait(1.0)
        stop.set()

    threading.Thread(target=end, daemon=True).start()
    urls = {name: stream.url for name, stream in market.streams.items()}
    with Venues(base_urls=market.base_urls).fetcher() as fetcher:
        return collect(list(market.streams), warehouse, fetcher=fetcher, urls=urls, stop=stop)


def _line(title: str, text: str) -> str:
    return f"  {title:<32} {text}"


def _ending(warehouse: Path, published: Path, seconds: float) -> str:
    places = {
        warehouse / "bronze": "raw responses, unmodified",
        warehouse / "tables": "Silver and Gold",
        published: "what readers get: the same tables, spec.json, a card",
    }
    lines = [_line(str(path), f"{_size(path)}  {what}") for path, what in places.items()]
    opening = f'import cexkit\nmarket = cexkit.connect("{published}")'
    return "\n".join([f"\nDone in {seconds:.0f} s. Where it is:\n", *lines, f"\nOpen it:\n\n{opening}"])


def _size(folder: Path) -> str:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return f"{len(files):>4} files, {sum(path.stat().st_size for path in files) / 1e6:5.1f} MB"
