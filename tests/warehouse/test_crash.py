"""Killed at any moment, the next run ends what was begun, and readers never see anything but whole files.

By default a dozen kills. ``pytest tests/warehouse/test_crash.py --long`` has 190 of plain functions and 10 through
Dagster.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import getsource
from pathlib import Path

import polars as pl
import pytest

from cexkit.exchanges.fetcher import Fetcher
from cexkit.schema import TABLES
from cexkit.schema.intervals import utc
from cexkit.testing import LoopbackBinance, LoopbackBybit, LoopbackHub
from cexkit.testing.hub import TOKEN
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.quality import raise_on_failures, run_checks
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.compact import compact
from cexkit.warehouse.store.damage import sha256
from cexkit.warehouse.store.warehouse import Warehouse

from ..problems import failures

VENUES, NAMES = ("binance", "bybit"), ("ohlcv_1m", "ohlcv_1h", "funding_rates")
START, MIDDLE, END = "2026-06-05", "2026-06-09", "2026-06-10"
TO = "hf://datasets/me/data"


def look(where: str) -> dict[str, dict[str, list]]:
    """What a reader finds: by table, venue and day the rows, the different keys and a sum that no rounding changes."""
    import cexkit

    market, found = cexkit.connect(where), {}
    for name, value in (("ohlcv_1m", "close"), ("ohlcv_1h", "close"), ("funding_rates", "funding_rate")):
        rows = market.sql(
            "select exchange, strftime(timestamp, '%Y-%m-%d') as day, count(*) as n, "
            "count(distinct (instrument_type, symbol, timestamp)) as keys, "
            f"cast(sum(cast(round({value} * 1e8) as hugeint)) as varchar) as total from {name} group by all"
        ).to_polars()
        found[name] = {f"{exchange} {day}": list(rest) for exchange, day, *rest in rows.iter_rows()}
    return found


READER = f"""
import json, sys, threading, time, traceback

{getsource(look)}

place, ended = [sys.stdin.readline().strip()], threading.Event()

def listen():
    for line in sys.stdin:
        place[0] = line.strip()
    ended.set()

threading.Thread(target=listen, daemon=True).start()
while not ended.wait(0.2):
    where = place[0]
    try:
        said = {{"where": where, "found": look(where)}}
    except BaseException:
        said = {{"where": where, "error": traceback.format_exc()}}
    print(json.dumps(said), flush=True)
"""
#: Loads everything once; each script then runs in a process forked from it, so that kills fall into the work itself.
WORKERS = """
import json, os, sys, traceback
import httpx, huggingface_hub, polars, pyarrow.dataset, pyarrow.parquet
import cexkit.warehouse.ingest.bronze
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.store.compact import compact
from cexkit.schema.intervals import utc
from cexkit.warehouse.publish import publish
from cexkit.warehouse.store.warehouse import Warehouse
cexkit.warehouse.ingest.bronze.FLUSH_SECONDS = 0.0
print("ready", flush=True)
for line in sys.stdin:
    worker = os.fork()
    if worker == 0:
        try:
            exec(json.loads(line))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    print(worker, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]), flush=True)
"""
#: What is loaded before, where Dagster does the work.
DAGSTER = """
import dagster as dg
from cexkit_pipeline.definitions import build_defs
from cexkit_pipeline.resources import Store, Venues
"""


class Reader:
    """A process that connects to a dataset and sums it up, again and again."""

    def __init__(self, environment: dict[str, str]):
        self._process = subprocess.Popen(
            [sys.executable, "-c", READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.said: list[dict] = []
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        for line in self._process.stdout:
            self.said.append(json.loads(line))

    def read(self, where: str) -> None:
        """Read this place from now on."""
        self._process.stdin.write(f"{where}\n")
        self._process.stdin.flush()

    def saw(self, where: str, last: dict) -> list[dict]:
        """All that it found there, up to what is to be there in the end."""
        until, found = time.monotonic() + 60, []
        while time.monotonic() < until:
            found = [one for one in self.said if one["where"] == where]
            if found and found[-1].get("found") == last:
                return found
            time.sleep(0.05)
        raise AssertionError(f"the reader of {where} never came to see what is there; at last it said {found[-1:]}")

    def close(self) -> None:
        self._process.stdin.close()
        self._thread.join(60)
        self._process.wait(60)


@dataclass(slots=True)
class Work:
    """What is killed: a script, and the place that is read meanwhile, as it was before and is to be after."""

    script: str
    where: str
    before: dict
    after: dict
    check: Callable[[], None]


class Workers:
    """Runs scripts, each in a process of its own that can be killed."""

    def __init__(self, environment: dict[str, str], preface: str = ""):
        words = [sys.executable, "-c", preface + WORKERS]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=environment
        )
        assert self._process.stdout.readline() == b"ready\n"

    def run(self, script: str, at_most_s: float) -> int:
        """Its exit code; that of SIGKILL if it was still at work after so many seconds."""
        self._process.stdin.write(json.dumps(script).encode() + b"\n")
        worker = int(self._process.stdout.readline())
        if not select.select([self._process.stdout], [], [], at_most_s)[0]:
            os.kill(worker, signal.SIGKILL)
        return int(self._process.stdout.readline())

    def finish(self, script: str) -> float:
        """A run that nobody disturbs; how long it took."""
        began = time.monotonic()
        assert self.run(script, 300) == 0, "see what it printed"
        return time.monotonic() - began

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(60)


def never_was(found: dict, before: dict, after: dict) -> list[str]:
    """What a reader found that never was: a day of bars of a minute, or a venue's whole file of another table."""
    wrong = []
    for name in NAMES:
        states = (before[name], after[name])
        for key in set(found[name]) | set(before[name]) | set(after[name]):
            if TABLES[name].period == "month":
                parts = [state.get(key) for state in (found[name], *states)]
            else:
                venue = key.split()[0]
                parts = [{k: v for k, v in s.items() if k.startswith(venue)} for s in (found[name], *states)]
            if parts[0] not in parts[1:]:
                wrong.append(f"{name} {key}: {parts[0]}")
    return wrong


def hurt(works: Iterator[Work], count: int, reader: Reader, workers: Workers, each: int = 8) -> str:
    """Kill so often, over as many pieces of work as it takes; after each a normal run must make all as it should be."""
    randomly, lasting, kills, looks = random.Random(count), None, 0, {}
    for work in works:
        reader.read(work.where)
        if lasting is None:
            lasting = workers.finish(work.script)
        else:
            for number in range(min(each, count - kills)):
                began = time.monotonic()
                if workers.run(work.script, randomly.uniform(0, lasting)) == 0:
                    # all of it was done: the machine has become faster
                    lasting = lasting if number else time.monotonic() - began
                    break
                kills += 1
            workers.finish(work.script)
        work.check()
        seen = reader.saw(work.where, work.after)
        assert not [one["error"] for one in seen if "error" in one]
        assert not [wrong for one in seen for wrong in never_was(one["found"], work.before, work.after)]
        looks[work.where] = len(seen)
        if kills >= count:
            return f"{kills} kills within {lasting:.2f} s of work each, {sum(looks.values())} looks of a reader"
    raise AssertionError(f"only {kills} of {count} runs were killed before they ended")


def whole(warehouse: Warehouse, expected: tuple) -> None:
    """Its files are the expected ones to the byte, and whatever else is there is whole, for readers of older states."""
    assert warehouse.manifest.files == expected
    assert not [path for path in warehouse.root.rglob("*") if path.name.startswith(layout.TEMPORARY)]
    there = [path for path in (warehouse.root / layout.TABLES).rglob("*") if path.is_file()]
    assert {file.path for file in expected} <= {path.relative_to(warehouse.root).as_posix() for path in there}
    assert not [path for path in there if path.stem != sha256(path)[: len(path.stem)]]
    raise_on_failures(run_checks(warehouse))


@pytest.fixture(scope="module")
def truth():
    tables = simulate(start=START, end=END, coins=["BTC"], exchanges=VENUES).tables
    minutes = tables["ohlcv_1m"].filter(pl.col("timestamp").dt.hour() < 2)  # each day ends with one long gap
    return {name: tables[name] for name in ("instruments", *NAMES)} | {"ohlcv_1m": minutes}


@pytest.fixture(scope="module")
def urls(truth) -> Iterator[dict[str, str]]:
    now = f"{END}T00:00:05"
    with LoopbackBinance(truth, now=now) as one, LoopbackBybit(truth, now=now) as other:
        yield dict(one.settings.base_urls) | dict(other.settings.base_urls)


@pytest.fixture(scope="module")
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub(part_bytes=1 << 20) as hub:
        yield hub


@pytest.fixture(scope="module")
def environment(urls, hub, tmp_path_factory) -> dict[str, str]:
    own = {
        "CEXKIT_BASE_URLS": json.dumps(urls),
        "CEXKIT_MAX_CLOCK_SKEW_SECONDS": "none",
        "CEXKIT_CACHE_DIR": str(tmp_path_factory.mktemp("cache")),
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path_factory.mktemp("hf")),
        "HF_HUB_DISABLE_XET": "1",
        "HF_TOKEN": TOKEN,
    }
    return {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "CEXKIT_"))} | own


@pytest.fixture(scope="module")
def workers(environment) -> Iterator[Workers]:
    workers = Workers(environment)
    yield workers
    workers.close()


@pytest.fixture(scope="module")
def reader(environment) -> Iterator[Reader]:
    reader = Reader(environment)
    yield reader
    reader.close()


def brought(root: Path, urls: dict[str, str], end: str, now: str) -> Warehouse:
    from cexkit.config import Settings

    with Fetcher(Settings(base_urls=urls, max_clock_skew_seconds=None)) as fetcher:
        report = pull(VENUES, NAMES, None, START, end, warehouse=root, fetcher=fetcher, now=utc(now))
    assert not failures(report)
    return Warehouse(root)


@pytest.fixture(scope="module")
def days(urls, tmp_path_factory) -> tuple[Warehouse, Warehouse]:
    """A warehouse as it was on a day, and as it is to be the day after."""
    folder = tmp_path_factory.mktemp("days")
    before = brought(folder / "before", urls, MIDDLE, MIDDLE)
    after = Warehouse(shutil.copytree(before.root, folder / "after"))
    return before, brought(after.root, urls, END, END)


def ingesting(days, tmp_path) -> Iterator[Work]:
    """A day's refresh, which also ends a week; each time from the day before."""
    before, after = days
    seen, expected = (look(str(one.root)) for one in days)
    for number in range(1000):
        root = Path(shutil.copytree(before.root, tmp_path / f"{number}"))
        script = f"report = pull({VENUES}, {NAMES}, None, {START!r}, {END!r}, warehouse={str(root)!r}, "
        script += f"now=utc({END!r}))\nassert all('returned no data' in str(p) for p in report.problems), report"
        check = lambda root=root: whole(Warehouse(root), after.manifest.files)  # noqa: E731
        yield Work(script, str(root), seen, expected, check)


def compacting(days, tmp_path) -> Iterator[Work]:
    """Days become weeks and a month; a year in one file is split, and its pieces become the year; no row changes."""
    made, bars = Warehouse(shutil.copytree(days[1].root, tmp_path / "made")), TABLES["ohlcv_1h"]
    made.replace(bars, VENUES[0], ["2026"], made.read(bars, exchange=VENUES[0]))
    split = ["2026", "2026-06-01..07", "2026-06-08..12-31"]
    assert [file.period for file in made.manifest.select(bars.name)] == split
    done = Warehouse(shutil.copytree(made.root, tmp_path / "done"))
    moments = ("2026-06-12", "2026-06-17", "2026-07-03", "2027-01-03")
    seen = []
    for now in moments:
        compact(done, now=utc(now))
        seen.append([file.period for file in done.manifest.select(bars.name, exchanges=VENUES[:1])])
    assert seen == [split[1:], ["2026-06-01..14"], ["2026-01..06"], ["2026"]]
    expected, files = look(str(done.root)), done.manifest.files
    assert [file.period for file in files if file.table == "ohlcv_1m"] == ["2026-06"] * len(VENUES)
    for number in range(1000):
        root = Path(shutil.copytree(made.root, tmp_path / f"{number}"))
        script = f"for now in {moments}: compact(Warehouse({str(root)!r}), now=utc(now))"
        check = lambda root=root: whole(Warehouse(root), files)  # noqa: E731
        yield Work(script, str(root), expected, expected, check)


def publishing(days, to: str, workers: Workers, check: Callable[[Warehouse], None]) -> Iterator[Work]:
    """One state after the other, in turn, to the same place."""
    states = [(warehouse, look(str(warehouse.root))) for warehouse in days]
    workers.finish(f"publish({str(days[0].root)!r}, {to!r})")
    for number in range(1, 1000):
        (_, before), (warehouse, after) = states[1 - number % 2], states[number % 2]
        # Every other state is an earlier one: write to it so that it is the newest, and allow that its keys are fewer.
        warehouse.describe(simulated=warehouse.manifest.simulated, description=f"State {number} of {to}.")
        script = f"publish({str(warehouse.root)!r}, {to!r}, allow_loss={NAMES!r})"
        yield Work(script, to, before, after, lambda warehouse=warehouse: check(warehouse))


def materializing(days, urls: dict[str, str], tmp_path) -> Iterator[Work]:
    """The same day's refresh as Dagster's assets do it, and a table of Gold after it."""
    before, after = days
    seen, expected = (look(str(one.root)) for one in days)
    steps = [("bronze", "instruments", None), ("silver", "instruments", None)]
    for table in NAMES:
        of_file = MIDDLE if table == "ohlcv_1m" else MIDDLE[:4]
        steps += [("bronze", table, MIDDLE), ("silver", table, of_file)]
    for number in range(1000):
        root = Path(shutil.copytree(before.root, tmp_path / f"{number}"))
        script = f"""
venues = Venues(base_urls={urls!r}, max_clock_skew_seconds=None)
defs = build_defs({{"store": Store(warehouse={str(root)!r}), "venues": venues}})
for venue in {VENUES!r}:
    for layer, table, partition in {steps!r}:
        asset = defs.resolve_assets_def(dg.AssetKey([layer, venue, table]))
        assert dg.materialize([asset], partition_key=partition).success
"""

        def check(root: Path = root) -> None:
            held = Warehouse(root)
            for name in ("instruments", "ohlcv_1h", "funding_rates"):  # their files lie together, as nothing compacts
                tables = [pl.from_arrow(one.read(TABLES[name])).sort(TABLES[name].key) for one in (held, after)]
                assert tables[0].equals(tables[1])
            whole(held, held.manifest.files)

        yield Work(script, str(root), seen, expected, check)


def often(request, short: int, long: int) -> int:
    return long if request.config.getoption("--long") else short


@pytest.mark.soak
def test_ingesting_can_be_killed_at_any_moment(request, days, tmp_path, reader, workers):
    print(hurt(ingesting(days, tmp_path), often(request, 4, 80), reader, workers))


@pytest.mark.soak
def test_compacting_can_be_killed_at_any_moment(request, days, tmp_path, reader, workers):
    print(hurt(compacting(days, tmp_path), often(request, 3, 50), reader, workers))


@pytest.mark.soak
def test_publishing_to_a_folder_can_be_killed_at_any_moment(request, days, tmp_path, reader, workers):
    copy = tmp_path / "copy"

    def check(warehouse: Warehouse) -> None:
        published = Warehouse(copy).manifest.files
        assert published == warehouse.manifest.files
        assert all(sha256(copy / file.path) == file.sha256 for file in published)
        assert not [path for path in copy.rglob("*") if path.name.startswith(layout.TEMPORARY)]

    work = publishing(days, str(copy), workers, check)
    print(hurt(work, often(request, 2, 30), reader, workers))


@pytest.mark.soak
def test_publishing_to_a_hub_can_be_killed_at_any_moment(request, days, hub, reader, workers):
    def check(warehouse: Warehouse) -> None:
        held = hub.repos["me/data"].at("main").tree
        sums = {file.path: sha256(hub.blobs.path(held[file.path].blob)) for file in warehouse.manifest.files}
        assert sums == {file.path: file.sha256 for file in warehouse.manifest.files}
        assert {path for path in held if path.startswith(layout.TABLES)} == set(sums)

    work = publishing(days, TO, workers, check)
    print(hurt(work, often(request, 2, 30), reader, workers))


@pytest.mark.soak
@pytest.mark.skipif(importlib.util.find_spec("dagster") is None, reason="needs the extra `pipeline`")
def test_a_refresh_through_dagster_can_be_killed_at_any_moment(request, days, urls, tmp_path, reader, environment):
    if not request.config.getoption("--long"):
        pytest.skip("Dagster takes seconds to load; run with --long")
    workers = Workers(environment, DAGSTER)
    try:
        print(hurt(materializing(days, urls, tmp_path), 10, reader, workers))
    finally:
        workers.close()
