"""What a connection costs, each question beside its alternative in the same run, as a table of the docs.

``python tests/benchmarks/client_report.py --long`` measures on 50 million rows, without ``--long`` on 4 million;
``--write`` makes the page of the docs of it, ``--folder`` keeps the dataset for the next time.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import math
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "reference" / "benchmarks-client.md"
LATENCY_SECONDS = 0.04
REPO = "me/bars"
WINDOWS = {
    "30 days in a closed month": ("2026-04-01", "2026-05-01"),
    "30 days over two closed months": ("2026-04-16", "2026-05-16"),
    "26 days of the running month": ("2026-06-01", "2026-06-27"),
}
#: Requests and MB that a cold question of 30 days in closed months may take, by way; of so many files.
AIMS: dict[str, Callable[[int], tuple[int, float]]] = {
    "direct, HTTP": lambda files: (10, 1.5),
    "direct, hub": lambda files: (16, math.inf),
    # the state and the manifest, then each file; the list of instruments is one of them
    "cache, hub": lambda files: (3 + 2 * (files + 1), math.inf),
    "cache, HTTP": lambda files: (1 + files + 1, math.inf),
}


def dataset_module():
    spec = importlib.util.spec_from_file_location("client_dataset", HERE / "client_dataset.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass
class Row:
    """A line of the table: what was asked, how, what it cost, and whether that is within what is aimed at."""

    question: str
    way: str
    ms: float
    requests: int | None = None
    mb: float | None = None
    aim: str = ""
    met: bool = True

    def __str__(self) -> str:
        shown = [self.question, self.way, "" if self.requests is None else f"{self.requests}",
                 "" if self.mb is None else f"{self.mb:.2f}", f"{self.ms:,.0f}" if self.ms >= 10 else f"{self.ms:.1f}",
                 self.aim if self.met else f"**missed: {self.aim}**"]  # fmt: skip
        return f"| {' | '.join(shown)} |"


def serve(kind: str, folder: str, pipe) -> None:
    """A server in a process of its own, so that it does not take the client's time."""
    from cexkit.testing import LoopbackFiles, LoopbackHub

    server = LoopbackHub() if kind == "hub" else LoopbackFiles(Path(folder))
    with server:
        if kind == "hub":
            put(server, Path(folder) / "dataset")
        server.latency_seconds = LATENCY_SECONDS
        pipe.send(server.url)
        while pipe.recv():
            pipe.send((len(server.log), sum(logged.sent for logged in server.log)))
            server.log.clear()


def put(hub, root: Path) -> None:
    """The dataset as one commit, its files linked, not copied."""
    from cexkit.testing._hub_repo import Entry, git_sha1
    from cexkit.warehouse.store.layout import MANIFEST
    from cexkit.warehouse.store.manifest import read_manifest

    tree = {}
    for file in read_manifest(root / MANIFEST).files:
        temporary = hub.blobs.temporary()
        try:
            os.link(root / file.path, temporary)
        except OSError:
            temporary.write_bytes((root / file.path).read_bytes())
        hub.blobs.add(file.sha256, temporary)
        tree[file.path] = Entry(git_sha1(file.sha256.encode()), file.bytes, file.sha256)
    manifest = (root / MANIFEST).read_bytes()
    hub.blobs.add_bytes(git_sha1(manifest), manifest)
    hub.create(REPO).put("main", tree | {MANIFEST: Entry(git_sha1(manifest), len(manifest))}, "bars")


@contextmanager
def server(kind: str, folder: Path) -> Iterator[tuple[str, Callable[[], tuple[int, int]]]]:
    """Where it is, and what it was asked since the last time: requests and bytes."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(kind, str(folder), there), daemon=True)
    process.start()
    url = here.recv()

    def take() -> tuple[int, int]:
        here.send(True)
        return here.recv()

    try:
        yield url, take
    finally:
        here.send(False)
        process.join()


def timed(do: Callable[[], Any]) -> tuple[float, Any]:
    gc.collect()
    begin = time.perf_counter()
    found = do()
    return (time.perf_counter() - begin) * 1e3, found


def least(do: Callable[[], Any], rounds: int) -> float:
    return min(timed(do)[0] for _ in range(rounds))


def ask(market, window: str, symbol: str = "C03USDT"):
    start, end = WINDOWS[window]
    return market.table("ohlcv_1m", start=start, end=end, exchange="okx", symbol=symbol).to_pyarrow()


def remote(where: str, way: str, take, cache: Path) -> Iterator[Row]:
    """A connection with an empty cache, each question cold and again."""
    import cexkit

    mode = way.split(",")[0]
    for window in WINDOWS:
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            take()
            opened = partial(_opened, cexkit, where, mode, folder, window)
            cold, (market, rows) = timed(opened)
            assert rows.num_rows == _minutes(window), rows.num_rows
            span = {"start": _utc(window, 0), "end": _utc(window, 1)}
            files = len(market._manifest.select("ohlcv_1m", exchanges=["okx"], **span))
            yield judged(Row(window, f"{way}, cold", cold, *_counted(take())), way, files)
            warm = least(partial(ask, market, window), 15)
            requests, mb = _counted(take())
            busy = min(worked(partial(ask, market, window)) for _ in range(5))
            aim = f"0 requests, < 100 ms ({busy:.0f} ms of processor time)"
            yield Row(window, f"{way}, again", warm, requests, mb, aim, requests == 0 and warm < 100)
            other = timed(partial(ask, market, window, "C05USDT"))[0]
            yield Row(window, f"{way}, another symbol", other, *_counted(take()))


def _opened(cexkit, where, mode, folder, window):
    market = cexkit.connect(where, mode=mode, cache=folder)
    return market, ask(market, window)


def _utc(window: str, which: int):
    from cexkit.schema.intervals import utc

    return utc(WINDOWS[window][which])


def _minutes(window: str) -> int:
    return int((_utc(window, 1) - _utc(window, 0)).total_seconds() // 60)


def _counted(counted: tuple[int, int]) -> tuple[int, float]:
    return counted[0], counted[1] / 1e6


def judged(row: Row, way: str, files: int) -> Row:
    """Whether a cold question keeps within what is aimed at; the running month stands by itself."""
    if "running" in row.question:
        row.aim = f"{files} files"
        return row
    requests, mb = AIMS[way](files)
    row.met = row.requests <= requests and row.mb <= mb
    row.aim = f"≤ {requests} requests" + (f", ≤ {mb} MB" if mb < math.inf else "")
    return row


def reference(where: str, take, name: str) -> Iterator[Row]:
    """The same rows from one file in the order of arrival, by bare DuckDB."""
    import duckdb

    from cexkit.warehouse.store.database import _load_httpfs

    for window in list(WINDOWS)[:2]:
        base = duckdb.connect()
        _load_httpfs(base)
        base.execute("SET threads = 8; SET enable_http_metadata_cache = true; SET parquet_metadata_cache = true")
        values = {"files": [f"{where}/{name}"], **_values(window)}
        take()
        ms, rows = timed(lambda: base.execute(SELECT, values).to_arrow_table())  # noqa: B023
        assert rows.num_rows == _minutes(window)
        yield Row(window, "one file in order of arrival, DuckDB, cold", ms, *_counted(take()))


SELECT = (
    "SELECT * FROM read_parquet($files) "
    "WHERE exchange = 'okx' AND symbol = $symbol AND timestamp >= $start AND timestamp < $end"
)


def _values(window: str) -> dict[str, Any]:
    return {"symbol": "C03USDT", "start": _utc(window, 0), "end": _utc(window, 1)}


def local(root: Path) -> Iterator[Row]:
    """Beside bare DuckDB on the same files of this disk."""
    import duckdb

    import cexkit

    market, base = cexkit.connect(root), duckdb.connect()
    base.execute("SET parquet_metadata_cache = true")
    window = "30 days over two closed months"
    files = market._manifest.select("ohlcv_1m", start=_utc(window, 0), end=_utc(window, 1), exchanges=["okx"])
    values = {"files": [str(root / file.path) for file in files], **_values(window)}
    whole = {"files": [str(root / file.path) for file in market._manifest.select("ohlcv_1m")]}

    def ours():
        return ask(market, window)

    def theirs():
        return base.execute(SELECT, values).to_arrow_table()

    assert ours().num_rows == theirs().num_rows
    yield from _pair("one symbol, 30 days, local", ours, theirs, 1.5, 30)
    table = market.ohlcv_1m
    sums = table.group_by("exchange", "symbol").agg(rows=table.count(), volume=table.volume_base.sum())
    by_hand = (
        "SELECT exchange, symbol, count(*) AS rows, sum(volume_base) AS volume FROM read_parquet($files) "
        "GROUP BY exchange, symbol"
    )
    yield from _pair(
        "sums over the whole table, local",
        sums.to_pyarrow,
        lambda: base.execute(by_hand, whole).to_arrow_table(),
        1.1,
        7,
    )


def _sums(base, query: str, values: dict[str, Any]):
    return base.execute(query, values).to_arrow_table()


def _pair(question: str, ours, theirs, most: float, rounds: int) -> Iterator[Row]:
    """In turns, so that whatever else the machine does meets both; the ratio is the median of the turns'."""
    ours(), theirs()
    times = [(timed(ours)[0], timed(theirs)[0], worked(ours) / worked(theirs)) for _ in range(rounds)]
    mine, other = (min(times, key=lambda one: one[side])[side] for side in (0, 1))
    ratio = statistics.median(one[2] for one in times)
    aim = f"processor time {ratio:.2f}, ≤ {most} of DuckDB by hand"
    yield Row(question, "cexkit", mine, aim=aim, met=ratio <= most)
    yield Row(question, "DuckDB by hand", other)


def worked(do: Callable[[], Any]) -> float:
    """Milliseconds of processor time, which other programs on the machine hardly change."""
    begin = time.process_time()
    do()
    return (time.process_time() - begin) * 1e3


def threads(where: str, mode: str, cache: Path, symbols: list[str], question: str) -> Iterator[Row]:
    """The same questions by one thread and by eight, each time on a new connection."""
    import cexkit

    times = {}
    for count in (1, 8):
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            market = cexkit.connect(where, mode=mode, cache=folder)
            ask(market, "30 days in a closed month")

            with ThreadPoolExecutor(count) as pool:
                one = partial(ask, market, "30 days in a closed month")
                times[count], tables = timed(lambda: list(pool.map(one, symbols)))  # noqa: B023
            assert {table.num_rows for table in tables} == {43_200}
    yield Row(question, "1 thread", times[1])
    yield Row(question, "8 threads", times[8], aim=f"{times[1] / times[8]:.1f} times faster", met=times[8] < times[1])


def memory(root: Path, symbols: list[str], queries: int) -> Iterator[Row]:
    """What a thousand different questions leave behind."""
    import psutil

    import cexkit

    market, me, sizes = cexkit.connect(root), psutil.Process(), []
    begin = time.perf_counter()
    for number in range(queries):
        day = 1 + number % 28
        words = {"start": f"2026-04-{day:02d}", "end": f"2026-05-{day:02d}", "exchange": "okx"}
        market.table("ohlcv_1m", symbol=symbols[number % len(symbols)], **words).close.mean().execute()
        if number % 50 == 49:
            gc.collect()
            sizes.append(me.memory_info().rss / 1e6)
    ms = (time.perf_counter() - begin) * 1e3 / queries
    settled, last = statistics.median(sizes[2:5]), statistics.median(sizes[-3:])
    aim = f"{settled:,.0f} MB after 200, {last:,.0f} MB after {queries:,}"
    yield Row(f"{queries:,} questions, one connection", "each", ms, aim=aim, met=last - settled < 0.05 * settled)


def measure(folder: Path, *, long: bool) -> list[Row]:
    data = dataset_module()
    root, names = data.build(folder, long=long), data.symbols(long)
    rows: list[Row] = []

    def add(found: Iterator[Row]) -> None:
        for row in found:
            rows.append(row)
            print(rows[-1], flush=True)

    with tempfile.TemporaryDirectory(prefix="cexkit-") as cache:
        add(local(root))
        add(memory(root, names, 1_000))
        add(threads(str(root), "auto", Path(cache), names[:8] * 4, "32 questions, local"))
        with server("http", folder) as (url, take):
            for mode in ("direct", "cache"):
                add(remote(f"{url}/dataset", f"{mode}, HTTP", take, Path(cache)))
            add(threads(f"{url}/dataset", "direct", Path(cache), names[:8], "8 questions, direct, HTTP"))
            add(reference(url, take, data.REFERENCE))
        with server("hub", folder) as (url, take):
            aim_hub(url)
            for mode in ("direct", "cache"):
                add(remote(f"hf://datasets/{REPO}", f"{mode}, hub", take, Path(cache)))
    return rows


def aim_hub(url: str) -> None:
    """Let ``huggingface_hub`` of this process take the loopback for the hub."""
    from huggingface_hub import constants

    constants.ENDPOINT = url
    constants.HUGGINGFACE_CO_URL_TEMPLATE = url + "/{repo_id}/resolve/{revision}/{filename}"
    constants.HF_HUB_DISABLE_XET = True


HEAD = """\
# Benchmarks of the client

{rows} of 1-minute bars ({size}): {symbols} symbols at 4 venues, two months closed, the running one in weekly and daily
pieces. Servers answer over loopback after 40 ms. "Cold" is a new connection with an empty cache, from `connect()` to
the rows as an Arrow table, the list of instruments included; "again" is the fastest of 15 repeats; "another symbol" is
the first question for it. Made on {cores} cores, at a load of {load:.0f}, by

```sh
python tests/benchmarks/client_report.py --long --write
```

(without `--long`, 4 million rows). Requests, bytes and processor time do not depend on what else the machine does;
milliseconds do. **Bold** is what is missed. Thirty days over two months lie in two row
groups and cost the bytes of both.

| question | way | requests | MB | ms | aim |
|---|---|---|---|---|---|
"""


def write(rows: list[Row], folder: Path, *, long: bool) -> None:
    from cexkit.warehouse.store.layout import MANIFEST
    from cexkit.warehouse.store.manifest import read_manifest

    files = read_manifest(folder / "dataset" / MANIFEST).select("ohlcv_1m")
    count, size = sum(file.rows for file in files), sum(file.bytes for file in files)
    head = HEAD.format(
        rows=f"{count / 1e6:.1f} million rows", size=f"{size / 1e6:,.0f} MB in {len(files)} files",
        symbols=len(dataset_module().symbols(long)), cores=os.cpu_count(), load=os.getloadavg()[0],
    )  # fmt: skip
    PAGE.write_text(head + "".join(f"{row}\n" for row in rows), encoding="utf-8")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="cexkit-bench-") as temporary:
        folder = asked.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = measure(folder, long=asked.long)
        if asked.write:
            write(rows, folder, long=asked.long)
    return sum(not row.met for row in rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
