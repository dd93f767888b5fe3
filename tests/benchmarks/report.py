"""Benchmark results as the table of the docs: ``python tests/benchmarks/report.py benchmarks.json``."""

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from cexkit.analytics.catalog import METRICS

Times = dict[str, dict[str, float]]
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "benchmarks.md"
HEAD = """\
# Benchmarks

Metrics beside what a user would write, 3 million rows of 100 instruments; fastest of several rounds, all in one run.
Milliseconds depend on the machine, the ratios much less. Made by

```sh
python -m pytest tests/benchmarks/test_metrics.py tests/benchmarks/test_memory.py tests/benchmarks/test_ingest.py \
tests/benchmarks/test_start.py tests/benchmarks/test_by_time.py --benchmark-json=benchmarks.json
python tests/benchmarks/report.py benchmarks.json
```

"Same steps" is the metric written by hand with the same rules (NaN and impossible prices are null, time order per
instrument); "shortest" leaves them out and takes the rows to be sorted. `groupby().rolling()` is what a pandas user
would write, sorting included, for without it the result is wrong wherever rows are not in order; "loop" is one over
the instruments, which for correlation and beta makes less than pandas' matrices do.

What is aimed at: on polars 1.15 of the same steps and 3 of the shortest; row metrics on pandas 1.25 of both; rolling
ones on pandas 0.2. Pages of candles, from JSON to checked Arrow, 0.4 of ccxt's `parse_ohlcvs`, which checks nothing;
files of an archive 2 of DuckDB's bare `COPY`. On 1,000 rows: row metrics 1 ms on polars and 2 ms on pandas,
rolling ones 4 and 8 ms. Memory beyond the frame: 3 times the columns used. **Bold** is what is missed.
"""

#: Alternative → the ratio aimed at.
AIMS = {"same steps": 1.15, "shortest": 3.0, "groupby().rolling()": 0.2, "ccxt": 0.4, "duckdb COPY": 2.0}
#: Kind of metric → milliseconds on polars and pandas.
SMALL = {"row": (1.0, 2.0), "rolling": (4.0, 8.0)}
MEMORY = 3.0
#: Ratio of processor time on rows by time.
TURN = 1.1
BY_TIME = """
On rows by time, instruments interleaved, compared with the shortest Polars code that is right on them: median and
quartiles of 9 turns. Processor time is what is aimed at, 1.1, because the load of the machine hardly changes it.
`resample` of 600,000 bars joined with funding is compared with `resample` of the bars alone.

| metric by time | ratio | quartiles | ratio of processor time | cexkit, ms of processor time |
|---|---|---|---|---|
"""


def main(results: Path) -> None:
    found = json.loads(results.read_text())["benchmarks"]
    least: dict[str, dict[str, float]] = defaultdict(dict)
    turns = {one["name"]: one["extra_info"] for one in found if one["group"] == "by time"}
    found = [one for one in found if one["group"] != "by time"]
    for one in found:
        key = one["params"].get("version") or one["params"]["name"]
        least[one["group"]][key] = one["stats"]["min"] * 1e3
    memory = {one["params"]["name"]: one["extra_info"]["ratio"] for one in found if one["group"] == "memory"}
    PAGE.write_text(
        "".join([HEAD, *_ratios(least), *_small(least), *_memory(memory), *_turns(turns)]), encoding="utf-8"
    )


def _ratios(least: Times) -> Iterator[str]:
    yield "\n| metric | cexkit, ms | alternative | ms | ratio |\n|---|---|---|---|---|\n"
    for group, times in least.items():
        for other, ms in times.items():
            if other != "cexkit" and "cexkit" in times:
                ratio = times["cexkit"] / ms
                on_pandas = "pandas" in group and other in ("same steps", "shortest")
                aim = 1.25 if on_pandas else AIMS.get(other, float("inf"))
                yield f"| {group} | {times['cexkit']:.1f} | {other} | {ms:.1f} | {_marked(ratio, aim)} |\n"


def _small(least: Times) -> Iterator[str]:
    yield "\n| metric on 1,000 rows | kind | polars, ms | pandas, ms |\n|---|---|---|---|\n"
    polars, pandas = (least.get(f"1,000 rows on {library}", {}) for library in ("polars", "pandas"))
    for name in polars:
        kind = METRICS[name].kind
        one, two = (_marked(ms, aim) for ms, aim in zip((polars[name], pandas[name]), SMALL[kind], strict=True))
        yield f"| {name} | {kind} | {one} | {two} |\n"


def _memory(ratios: dict[str, float]) -> Iterator[str]:
    yield "\n| metric on polars | peak memory beyond the frame, in sizes of the columns used |\n|---|---|\n"
    for name, ratio in ratios.items():
        yield f"| {name} | {_marked(ratio, MEMORY)} |\n"


def _turns(found: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Yield the ratios on rows by time; bars without funding are the alternative of bars with it."""
    yield BY_TIME
    for name, one in found.items():
        metric = name.removeprefix("test_").removeprefix("by_time").strip("[]").replace("_of_bars_with_funding", "")
        spread, aim = f"{one['low']:.2f} to {one['high']:.2f}", math.inf if metric == "resample" else TURN
        work = _marked(one["work"], aim)
        yield f"| {metric} | {one['ratio']:.2f} | {spread} | {work} | {one['work_ms']:.0f} |\n"


def _marked(value: float, aim: float) -> str:
    return f"{value:.2f}" if value <= aim else f"**{value:.2f}**"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
