"""Results of ``test_pipeline.py`` as the page of the docs: ``python tests/benchmarks/report_pipeline.py a.json …``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "benchmarks-pipeline.md"
HEAD = """\
# Benchmarks of the pipeline

Four loopback venues with up to 200 perps each, at the real venues' limits: `funding_rates`, `open_interest` and
`ohlcv_1h`, into an empty warehouse, by the functions that the Dagster assets call. Venues are read side by side, the
tables of a venue one after another, one request after another. Made by

```sh
python -m pytest tests/benchmarks/test_pipeline.py --long --benchmark-json=pipeline.json
python tests/benchmarks/report_pipeline.py pipeline.json
```

which takes an hour, for most of it is spent waiting for limits. What it is not: `ohlcv_1m` is not in it (a month of it
for 200 symbols is 8,600 requests of Binance at 5 each of its weights alone), the archives of Binance and OKX are not
(loopback venues have none, so all comes through the APIs), and loopback answers come without the latency of a network.

**A refresh** is the day after the month, into the warehouse that holds the month. Memory is the peak of the one process.
"""
#: Where most of the time is spent waiting for a limit, it is what binds.
BINDING = 0.5


def main(paths: list[str]) -> None:
    found = [one for path in paths for one in json.loads(Path(path).read_text())["benchmarks"]]
    runs = [(one["extra_info"], run) for one in found for run in one["extra_info"].get("runs", [])]
    runs.sort(key=lambda pair: (pair[1]["what"] != "days", pair[0]["days"], pair[0]["symbols"]))
    PAGE.write_text("".join([HEAD, *_totals(runs), *_limits(runs), *_silver(runs)]), encoding="utf-8")


def _totals(runs: list[tuple[dict, dict]]) -> Iterator[str]:
    yield "\n## In all\n\n| symbols a venue | days | requests | refused | wall, s | rows | Silver, s | Gold, s | memory, MB |\n"
    yield "|---|---|---|---|---|---|---|---|---|\n"
    for about, run in runs:
        days = about["days"] if run["what"] == "days" else f"refresh after {about['days']}"
        requests = sum(run["statuses"].values())
        silver = sum(part["silver_s"] for part in run["tables"])
        refused = requests - run["statuses"].get("200", 0)
        yield (
            f"| {about['symbols']} | {days} | {requests:,} | {refused} | {run['wall_s']:,.0f} | {run['rows']:,} "
            f"| {silver:.1f} | {run['gold_s']:.1f} | {run['peak_mb']:,.0f} |\n"
        )


def _limits(runs: list[tuple[dict, dict]]) -> Iterator[str]:
    yield """
## How much of the limits

Requests from the first to the last of a table, as a share of what the tightest limit allows in that time; and the part
of that time in which the reader waited for the limit. Where it waited most of the time the limit is what binds, and at
least 0.9 has to be used. Shares above 1 are short runs: a tenth of a limit may be spent at once.

| symbols | days | venue | table | requests | s | limit | share | waited |
|---|---|---|---|---|---|---|---|---|
"""
    for about, run in runs:
        for part in run["tables"]:
            if part["share"] is None:
                continue
            days = about["days"] if run["what"] == "days" else "refresh"
            share = f"{part['share']:.2f}"
            yield (
                f"| {about['symbols']} | {days} | {part['exchange']} | {part['table']} | {part['requests']:,} "
                f"| {part['bronze_s']:.0f} | {part['budget'].split('.', 1)[1]} "
                f"| {f'**{share}**' if part['waited'] > BINDING else share} | {part['waited']:.2f} |\n"
            )


def _silver(runs: list[tuple[dict, dict]]) -> Iterator[str]:
    yield "\nBold is what a limit binds.\n"


if __name__ == "__main__":
    main(sys.argv[1:])
